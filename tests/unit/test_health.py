"""Asking a service whether it serves: every answer, and every way not to answer."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from esb_e2e_plugin.lifecycle import health
from esb_e2e_plugin.lifecycle.certificates import write_certificates
from esb_e2e_plugin.lifecycle.health import HealthCheck, probe

Serve = Callable[..., int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that answers everything alike; return its port."""
    with contextlib.ExitStack() as stack:

        def serve(status: int, body: bytes, tls: ssl.SSLContext | None = None) -> int:
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *_: object) -> None:
                    """Say nothing."""

            class Server(http.server.HTTPServer):
                def handle_error(self, *_: object) -> None:
                    """Say nothing: a client that refuses the certificate is what a test wants."""

            server = stack.enter_context(Server(("127.0.0.1", 0), Handler))
            if tls is not None:
                server.socket = tls.wrap_socket(
                    server.socket, server_side=True, do_handshake_on_connect=False
                )
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return int(server.server_address[1])

        yield serve


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_TIMEOUT_SECONDS", 20.0)


def test_a_query_is_part_of_what_is_asked() -> None:
    """A front door may tell by it how much of its health is wanted."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(4096).partition(b"\r\n")[0])
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert probe(HealthCheck(f"http://127.0.0.1:{server.getsockname()[1]}/health?ready=1")).ok
        thread.join()
    assert asked == [b"GET /health?ready=1 HTTP/1.1"]


def test_an_answer_with_200_is_well_and_its_object_is_read(serve: Serve) -> None:
    """The body is there where it is a JSON object; anything else is well too, without a body."""
    port = serve(200, b'{"run_id": "r"}')
    found = probe(HealthCheck(f"http://127.0.0.1:{port}/health"))
    assert (found.ok, found.detail, found.body) == (True, "HTTP 200", {"run_id": "r"})
    for body in (b"", b"ok", b"[1]", b"\xff"):
        found = probe(HealthCheck(f"http://127.0.0.1:{serve(200, body)}/health"))
        assert (found.ok, found.body) == (True, None)


def test_any_other_status_is_not_well(serve: Serve) -> None:
    """Also redirects, which are not followed."""
    for status in (204, 302, 404, 503):
        found = probe(HealthCheck(f"http://127.0.0.1:{serve(status, b'')}"))
        assert (found.ok, found.detail) == (False, f"HTTP {status}")


def test_without_its_authority_a_service_is_not_well(tmp_path: Path) -> None:
    """Somebody may have removed the file of an environment that was left running."""
    found = probe(HealthCheck("https://127.0.0.1:1/health", tmp_path / "ca.crt"))
    expected = f"nothing that {tmp_path}/ca.crt verifies: No such file or directory"
    assert (found.ok, found.detail) == (False, expected)


def test_nobody_there_and_silence_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed port is refused; a listener that says nothing runs into the probe's own deadline."""
    monkeypatch.setattr(health, "_TIMEOUT_SECONDS", 0.1)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/health"
        assert "refused" in probe(HealthCheck(url)).detail
        sock.listen()
        found = probe(HealthCheck(url))
    assert (found.ok, found.detail) == (False, "timed out")


def test_tls_is_verified_against_the_environments_authority(serve: Serve, tmp_path: Path) -> None:
    """The right authority is well, another one is named as the reason."""
    ours, others = tmp_path / "ours", tmp_path / "others"
    for folder in (ours, others):
        folder.mkdir()
        write_certificates(folder, "esb-one", ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ours / "gateway.crt", ours / "gateway.key")
    url = f"https://127.0.0.1:{serve(200, b'{}', context)}/health"
    assert probe(HealthCheck(url, ours / "ca.crt")).ok
    found = probe(HealthCheck(url, others / "ca.crt"))
    assert (found.ok, found.detail) == (False, "TLS: CERTIFICATE_VERIFY_FAILED")
    for name in ("ca.crt", "gateway.crt"):
        (others / name).write_bytes((ours / name).read_bytes())
    assert probe(HealthCheck(url, others / "ca.crt")).ok
