"""What makes the compose file start by hand: certificates made on the spot, and a probe for health checks."""

import http.server
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from esb_services.local_certificates import AUTHORITY, ROLES, ensure

from tests.services.service_process import free_port


class Health(http.server.BaseHTTPRequestHandler):
    """Answers 200 on /health as long as the server says so, else 503."""

    serves = True

    def do_GET(self) -> None:
        """Answer one request."""
        self.send_response(200 if type(self).serves and self.path == "/health" else 503)
        self.end_headers()
        self.wfile.write(b'{"status":"as told"}')

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a service that is healthy at first."""
    monkeypatch.setattr(Health, "serves", True)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()


def _probe(port: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "esb_services.health_probe", str(port)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_probe_of_a_service_that_serves_succeeds_and_shows_its_answer(port: int) -> None:
    """Status 0, and what the service said for whoever inspects the container."""
    probe = _probe(port)
    assert (probe.returncode, probe.stdout, probe.stderr) == (0, 'HTTP/1.0 200 OK {"status":"as told"}\n', "")


def test_probe_of_a_service_that_does_not_serve_fails(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another answer than 200 is status 1, with the answer."""
    monkeypatch.setattr(Health, "serves", False)
    probe = _probe(port)
    assert (probe.returncode, probe.stderr) == (1, "")
    assert "503" in probe.stdout


def test_probe_of_a_port_where_nobody_listens_fails() -> None:
    """No connection is status 1 with the reason, not a traceback."""
    port = free_port()
    probe = _probe(port)
    assert (probe.returncode, probe.stderr) == (1, "")
    assert probe.stdout.startswith(f"port {port}: ")


def test_services_that_start_together_make_one_set_of_certificates(tmp_path: Path) -> None:
    """Whoever comes second takes what the first has made."""
    command = [sys.executable, "-m", "esb_services.local_certificates", str(tmp_path)]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made.keys() == {AUTHORITY, *(f"{role}.{kind}" for role in ROLES for kind in ("crt", "key"))}
    assert len({content for name, content in made.items() if name.endswith(".crt")}) == 1


def test_certificates_that_are_there_are_left_alone(tmp_path: Path) -> None:
    """What the plugin has put into the folder is used as it is."""
    (tmp_path / AUTHORITY).write_text("the plugin's")
    assert ensure(tmp_path) is False
    assert [path.name for path in tmp_path.iterdir()] == [AUTHORITY]


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    """Nobody else on the machine can read a key."""
    assert ensure(tmp_path) is True
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.key")}
    assert modes == {0o600}


def test_both_sides_trust_each_other(tmp_path: Path) -> None:
    """A client with the made certificate and a server with it complete a mutual handshake by name."""
    ensure(tmp_path)
    accepting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / AUTHORITY)
    accepting.verify_mode = ssl.CERT_REQUIRED
    accepting.load_cert_chain(tmp_path / "agent.crt", tmp_path / "agent.key")
    asking = ssl.create_default_context(cafile=tmp_path / AUTHORITY)
    asking.load_cert_chain(tmp_path / "agent-client.crt", tmp_path / "agent-client.key")
    one, other = socket.socketpair()

    def serve() -> None:
        with accepting.wrap_socket(other, server_side=True) as server:
            server.sendall(server.recv(5).upper())

    thread = threading.Thread(target=serve)
    thread.start()
    with asking.wrap_socket(one, server_hostname="agent") as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"HELLO"
    thread.join()
