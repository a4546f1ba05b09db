"""Asking a registry what it has."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from artifactctl.registry import manifest_digest


class _Registry(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        known = self.path == "/v2/team/pay/manifests/v1" and "oci.image.manifest" in self.headers["Accept"]
        self.send_response(200 if known else 404)
        if known:
            self.send_header("Docker-Content-Digest", "sha256:abc")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def address() -> Iterator[str]:
    """A registry on loopback that has one image."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Registry) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_digest_is_what_the_registry_says(address: str) -> None:
    """One that is there has a digest, one that is not has none."""
    assert manifest_digest(f"{address}/team/pay:v1") == "sha256:abc"
    assert manifest_digest(f"{address}/team/pay:v2") is None


def test_a_registry_that_does_not_tell_is_no_error() -> None:
    """Not reachable, or none at all: then the push itself will say."""
    assert manifest_digest("127.0.0.1:1/pay:v1") is None
    assert manifest_digest("pay:v1") is None
