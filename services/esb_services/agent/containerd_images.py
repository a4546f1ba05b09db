"""The images of containerd workers: pulled once, unpacked into snapshots, kept while they are named."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from esb_services.agent.containerd_api import containerd_pb2 as pb
from esb_services.agent.containerd_client import ContainerdClient
from esb_services.agent.containerd_registry import Manifest, PullError, Reference, Registry, digest_of
from esb_services.agent.runtime import EngineError

SNAPSHOTTER = "overlayfs"
PULL_SECONDS = 300.0
LEASE_HOURS = 1
"""After this, containerd drops what an agent left that died while it pulled."""

_SOURCE_LABEL = "com.esb.source"
_KEEP_CONTENT = "containerd.io/gc.ref.content"
_KEEP_SNAPSHOT = f"containerd.io/gc.ref.snapshot.{SNAPSHOTTER}"


@dataclass(frozen=True, slots=True)
class UnpackedImage:
    """An image that workers can be made of: its settings, and the name of its files' snapshot."""

    config: dict[str, Any]
    snapshot: str


class ContainerdImages:
    """The images of one namespace.

    Args:
        client: the way to containerd.
        registry: where images come from.
        always: ask the registry before each use whether a name stands for another image now.
    """

    def __init__(self, client: ContainerdClient, registry: Registry, *, always: bool) -> None:
        self._client = client
        self._registry = registry
        self._always = always
        self._known: dict[str, UnpackedImage] = {}
        # one at a time: most layers of one are those of the next
        self._pulling = asyncio.Lock()

    async def ensure(self, name: str) -> UnpackedImage:
        """Return an image, pulled and unpacked if need be.

        Raises:
            PullError: it cannot be had; names the step that failed.
            EngineError: containerd does not do its part.
        """
        reference = Reference.parse(name, self._registry.address)
        async with self._pulling:
            image = await self._present(reference)
            if image is None:
                try:
                    async with asyncio.timeout(PULL_SECONDS):
                        image = await self._pull(reference)
                except TimeoutError:
                    reason = f"it took longer than {PULL_SECONDS:g} s"
                    raise PullError(reference.text, "pull", reason) from None
            self._known[reference.text] = image
            return image

    async def _present(self, reference: Reference) -> UnpackedImage | None:
        if self._always and await self._moved(reference):
            return None
        return self._known.get(reference.text) or await self._stored(reference.text)

    async def _moved(self, reference: Reference) -> bool:
        image = await self._record(reference.text)
        return image is not None and image.labels.get(_SOURCE_LABEL) != await self._registry.digest(reference)

    async def _record(self, name: str) -> pb.Image | None:
        request = pb.GetImageRequest(name=name)
        found = await self._client.attempt("images.v1.Images/Get", request, pb.ImageResponse)
        return None if found is None else found.image

    async def _stored(self, name: str) -> UnpackedImage | None:
        record = await self._record(name)
        if record is None:
            return None
        manifest = json.loads(await self._client.read(record.target.digest))
        return _unpacked(await self._client.read(manifest["config"]["digest"]))

    async def _pull(self, reference: Reference) -> UnpackedImage:
        manifest, source = await self._registry.manifest(reference)
        async with self._lease() as lease:
            config = await self._fetch_config(reference, manifest, lease)
            image = _unpacked(config)
            for number, layer in enumerate(manifest.layers, 1):
                step = f"layer {number} of {len(manifest.layers)}"
                await self._fetch(reference, step, layer, lease)
            await self._unpack(reference, manifest, _diff_ids(config), lease)
            await self._store_manifest(manifest, lease)
            await self._name(reference, manifest, source)
        return image

    @asynccontextmanager
    async def _lease(self) -> AsyncIterator[str]:
        """Keep what is made from containerd's garbage collection until it is named."""
        lease = f"esb-pull-{secrets.token_hex(8)}"
        until = (datetime.now(UTC) + timedelta(hours=LEASE_HOURS)).isoformat()
        request = pb.CreateLeaseRequest(id=lease, labels={"containerd.io/gc.expire": until})
        await self._client.call("leases.v1.Leases/Create", request, Empty)
        try:
            yield lease
        finally:
            await self._client.attempt("leases.v1.Leases/Delete", pb.DeleteLeaseRequest(id=lease), Empty)

    async def _keep(self, lease: str, kind: str, name: str) -> None:
        """Keep what is perhaps there already; what is made under the lease is kept anyway."""
        request = pb.AddResourceRequest(id=lease, resource=pb.Resource(id=name, type=kind))
        await self._client.call("leases.v1.Leases/AddResource", request, Empty)

    async def _fetch_config(self, reference: Reference, manifest: Manifest, lease: str) -> bytes:
        parts = self._registry.blob(reference, "configuration", manifest.config.digest)
        config = b"".join([part async for part in parts])
        if digest_of(config) != manifest.config.digest:
            raise PullError(reference.text, "configuration", "it is not what its digest says")
        labels = {_KEEP_SNAPSHOT: _chain(_diff_ids(config))[-1]}
        await self._write(manifest.config, config, labels, lease)
        return config

    async def _fetch(self, reference: Reference, step: str, blob: pb.Descriptor, lease: str) -> None:
        await self._keep(lease, "content", blob.digest)
        request = pb.InfoRequest(digest=blob.digest)
        if await self._client.attempt("content.v1.Content/Info", request, Empty, lease=lease) is not None:
            return
        parts = self._registry.blob(reference, step, blob.digest)
        try:
            await self._client.write(
                _attempt(blob), blob, parts, labels={}, lease=lease, seconds=PULL_SECONDS
            )
        except EngineError as error:
            raise PullError(reference.text, step, str(error)) from error

    async def _store_manifest(self, manifest: Manifest, lease: str) -> None:
        labels = {f"{_KEEP_CONTENT}.config": manifest.config.digest}
        labels |= {f"{_KEEP_CONTENT}.l.{i}": layer.digest for i, layer in enumerate(manifest.layers)}
        await self._write(manifest.descriptor, manifest.body, labels, lease)

    async def _write(
        self, descriptor: pb.Descriptor, content: bytes, labels: dict[str, str], lease: str
    ) -> None:
        async def whole() -> AsyncIterator[bytes]:
            yield content

        await self._client.write(
            _attempt(descriptor), descriptor, whole(), labels=labels, lease=lease, seconds=PULL_SECONDS
        )

    async def _unpack(
        self, reference: Reference, manifest: Manifest, diff_ids: list[str], lease: str
    ) -> None:
        parent = ""
        for number, (layer, name) in enumerate(zip(manifest.layers, _chain(diff_ids), strict=True), 1):
            if not await self._has_snapshot(name, lease):
                try:
                    await self._unpack_layer(layer, name, parent, lease)
                except EngineError as error:
                    step = f"unpacking layer {number} of {len(manifest.layers)}"
                    raise PullError(reference.text, step, str(error)) from error
            parent = name

    async def _has_snapshot(self, name: str, lease: str) -> bool:
        await self._keep(lease, f"snapshots/{SNAPSHOTTER}", name)
        request = pb.SnapshotRequest(snapshotter=SNAPSHOTTER, key=name)
        found = await self._client.attempt("snapshots.v1.Snapshots/Stat", request, Empty, lease=lease)
        return found is not None

    async def _unpack_layer(self, layer: pb.Descriptor, name: str, parent: str, lease: str) -> None:
        key = f"unpack-{secrets.token_hex(8)}"
        prepare = pb.PrepareSnapshotRequest(snapshotter=SNAPSHOTTER, key=key, parent=parent)
        prepared = await self._client.call(
            "snapshots.v1.Snapshots/Prepare", prepare, pb.MountsResponse, lease=lease
        )
        try:
            apply = pb.ApplyRequest(diff=layer, mounts=prepared.mounts)
            await self._client.call("diff.v1.Diff/Apply", apply, Empty, lease=lease, seconds=PULL_SECONDS)
            commit = pb.CommitSnapshotRequest(snapshotter=SNAPSHOTTER, name=name, key=key)
            await self._client.call("snapshots.v1.Snapshots/Commit", commit, Empty, lease=lease)
        except BaseException:
            remove = pb.SnapshotRequest(snapshotter=SNAPSHOTTER, key=key)
            await self._client.attempt("snapshots.v1.Snapshots/Remove", remove, Empty)
            raise

    async def _name(self, reference: Reference, manifest: Manifest, source: str) -> None:
        """Give the image its name, which keeps it from now on."""
        image = pb.Image(name=reference.text, labels={_SOURCE_LABEL: source}, target=manifest.descriptor)
        if await self._record(reference.text) is None:
            await self._client.call("images.v1.Images/Create", pb.ImageRequest(image=image), Empty)
            return
        mask = FieldMask(paths=["target", "labels"])
        request = pb.ImageRequest(image=image, update_mask=mask)
        await self._client.call("images.v1.Images/Update", request, Empty)


def _attempt(descriptor: pb.Descriptor) -> str:
    return f"{descriptor.digest}-{secrets.token_hex(8)}"


def _unpacked(config: bytes) -> UnpackedImage:
    settings: dict[str, Any] = json.loads(config).get("config") or {}
    return UnpackedImage(settings, _chain(_diff_ids(config))[-1])


def _diff_ids(config: bytes) -> list[str]:
    return [str(diff_id) for diff_id in json.loads(config)["rootfs"]["diff_ids"]]


def _chain(diff_ids: list[str]) -> list[str]:
    """Return the names of the snapshots of an image's layers, from the lowest (OCI's chain ids)."""
    names: list[str] = []
    for diff_id in diff_ids:
        names.append(digest_of(f"{names[-1]} {diff_id}".encode()) if names else diff_id)
    return names
