"""Reads images out of the environment's registry, over plain HTTP."""

import asyncio
import hashlib
import http.client
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

from esb_services.agent.containerd_api import containerd_pb2 as pb
from esb_services.agent.containerd_client import CHUNK_BYTES
from esb_services.agent.runtime import WorkerStartError

ANSWER_SECONDS = 10.0
"""How long the registry may stay silent."""
MAX_MANIFEST_BYTES = 4 * 1024 * 1024

_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
_INDEXES = (
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
_REFERENCE = re.compile(
    r"(?:(?P<host>localhost|[^/]*[.:][^/]*)/)?(?P<repository>[a-z0-9][a-z0-9._/-]*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


class PullError(WorkerStartError):
    """An image could not be pulled; the message names it and the step that failed."""

    def __init__(self, reference: str, step: str, reason: str) -> None:
        super().__init__(f"image {reference} could not be pulled: {step}: {reason}")


@dataclass(frozen=True, slots=True)
class Reference:
    """An image's name, taken apart.

    Attributes:
        text: the whole name, with its registry.
        repository: the part between registry and tag.
        version: tag or digest.
    """

    text: str
    repository: str
    version: str

    @classmethod
    def parse(cls, text: str, registry: str) -> Self:
        """Take `text` apart; where it names no registry, `registry` is meant.

        Raises:
            PullError: it is no name, or one of another registry.
        """
        found = _REFERENCE.fullmatch(text)
        if found is None or found["host"] not in (None, registry):
            expected = f"expected the name of an image in the registry {registry}, such as name:tag"
            raise PullError(text, "name", expected)
        whole = text if found["host"] else f"{registry}/{text}"
        return cls(whole, found["repository"], found["digest"] or found["tag"] or "latest")


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image's manifest for one platform: what it is stored as, and what it names."""

    descriptor: pb.Descriptor
    body: bytes
    config: pb.Descriptor
    layers: tuple[pb.Descriptor, ...]


class Registry:
    """A registry.

    Args:
        address: host and port.
        architecture: of the images, as Go names it, such as `amd64`.
    """

    def __init__(self, address: str, architecture: str) -> None:
        self.address = address
        self._architecture = architecture

    async def digest(self, reference: Reference) -> str:
        """Return the digest that an image has in the registry now.

        Raises:
            PullError: it cannot be had.
        """
        body, _ = await self._manifest(reference, reference.version)
        return digest_of(body)

    async def manifest(self, reference: Reference) -> tuple[Manifest, str]:
        """Return an image's manifest, and the digest that its name stands for.

        Raises:
            PullError: it cannot be had, or there is none for this architecture.
        """
        body, media_type = await self._manifest(reference, reference.version)
        named = digest_of(body)
        try:
            if media_type in _INDEXES:
                body, media_type = await self._manifest(reference, self._choose(reference, json.loads(body)))
            content = json.loads(body)
            config, layers = _descriptor(content["config"]), tuple(map(_descriptor, content["layers"]))
        except (ValueError, TypeError, KeyError) as error:
            raise PullError(reference.text, "manifest", f"it has not the form of one: {error!r}") from error
        target = pb.Descriptor(media_type=media_type, digest=digest_of(body), size=len(body))
        return Manifest(target, body, config, layers), named

    def _choose(self, reference: Reference, index: Any) -> str:
        for entry in index["manifests"]:
            platform = entry.get("platform", {})
            if (platform.get("os"), platform.get("architecture")) == ("linux", self._architecture):
                return str(entry["digest"])
        raise PullError(reference.text, "manifest", f"there is none for linux/{self._architecture}")

    async def _manifest(self, reference: Reference, version: str) -> tuple[bytes, str]:
        path = f"manifests/{version}"
        async with self._answer(reference, "manifest", path, (*_MANIFESTS, *_INDEXES)) as answer:
            body = await asyncio.to_thread(answer.read, MAX_MANIFEST_BYTES)
            return body, answer.headers.get_content_type()

    async def blob(self, reference: Reference, step: str, digest: str) -> AsyncIterator[bytes]:
        """Yield the parts of a blob.

        Raises:
            PullError: it cannot be had, in `step`.
        """
        async with self._answer(reference, step, f"blobs/{digest}", ()) as answer:
            while part := await asyncio.to_thread(answer.read, CHUNK_BYTES):
                yield part

    @asynccontextmanager
    async def _answer(
        self, reference: Reference, step: str, path: str, accepted: tuple[str, ...]
    ) -> AsyncIterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self.address, timeout=ANSWER_SECONDS)

        def ask() -> http.client.HTTPResponse:
            headers = {"Accept": ", ".join(accepted)} if accepted else {}
            connection.request("GET", f"/v2/{reference.repository}/{path}", headers=headers)
            return connection.getresponse()

        try:
            answer = await asyncio.to_thread(ask)
            if answer.status != http.HTTPStatus.OK:
                said = await asyncio.to_thread(answer.read, 500)
                raise PullError(
                    reference.text,
                    step,
                    f"the registry {self.address} answered {answer.status} {answer.reason}{_message(said)}",
                )
            yield answer
        except (OSError, http.client.HTTPException) as error:
            reason = f"the registry {self.address} does not answer: {error}"
            raise PullError(reference.text, step, reason) from error
        finally:
            connection.close()


def digest_of(body: bytes) -> str:
    """Return the digest of content."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _descriptor(entry: Any) -> pb.Descriptor:
    return pb.Descriptor(media_type=entry["mediaType"], digest=entry["digest"], size=entry["size"])


def _message(body: bytes) -> str:
    try:
        return f" ({json.loads(body)['errors'][0]['message']})"
    except (ValueError, TypeError, KeyError, IndexError):
        return ""
