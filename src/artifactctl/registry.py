"""Asking an image registry what it has, so that nothing is pushed twice."""

import contextlib
import http.client
import ipaddress
from typing import Final

from artifactctl import image_reference

_SECONDS: Final = 5.0
_ACCEPT: Final = ", ".join(
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    )
)


def manifest_digest(reference: str) -> str | None:
    """Return the digest that the registry in `reference` has for its tag.

    None says only that the registry did not tell: not there, not allowed, or not reachable from this host.
    """
    registry = image_reference.registry_of(reference)
    if registry is None:
        return None
    name = image_reference.repository(reference).removeprefix(f"{registry}/")
    path = f"/v2/{name}/manifests/{image_reference.tag(reference)}"
    connections = [http.client.HTTPSConnection, http.client.HTTPConnection]
    # The engine, too, speaks plain HTTP with a registry on this host.
    for connect in reversed(connections) if _is_local(registry) else connections:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            return _head(connect(registry, timeout=_SECONDS), path)
    return None


def _head(connection: http.client.HTTPConnection, path: str) -> str | None:
    with contextlib.closing(connection):
        connection.request("HEAD", path, headers={"Accept": _ACCEPT})
        response = connection.getresponse()
        return response.getheader("Docker-Content-Digest") if response.status == http.client.OK else None


def _is_local(registry: str) -> bool:
    host = registry.rpartition(":")[0] or registry
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
