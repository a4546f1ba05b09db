"""Certificates: real handshakes that succeed where they should, and only there."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from esb_e2e_plugin.lifecycle.certificates import write_certificates

HOSTS = ("localhost", "127.0.0.1", "10.1.2.3", "127.0.0.1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certificates")
    write_certificates(made, "esb-one", HOSTS)
    return made


def client(folder: Path, *, certificate: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if certificate is not None:
        context.load_cert_chain(folder / f"{certificate}.crt", folder / f"{certificate}.key")
    return context


def server(folder: Path, name: str, *, demands: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    context.verify_mode = ssl.CERT_REQUIRED if demands else ssl.CERT_NONE
    return context


def greet(serving: ssl.SSLContext, asking: ssl.SSLContext, host: str) -> bytes:
    """Return what a client reads from a server over TLS; raises what the client notices."""
    near, far = socket.socketpair()

    def serve() -> None:
        try:
            with far, serving.wrap_socket(far, server_side=True) as connection:
                connection.sendall(b"hello")
        except OSError:
            return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        near.settimeout(10)
        with near, asking.wrap_socket(near, server_hostname=host) as connection:
            return connection.recv(16)
    finally:
        thread.join(10)


@pytest.mark.parametrize("name", ["gateway", "agent"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "10.1.2.3"])
def test_a_server_is_verified_by_each_name_and_address(folder: Path, name: str, host: str) -> None:
    """Names and addresses that it is reached by are in its certificate, and its role's name."""
    assert greet(server(folder, name), client(folder), host) == b"hello"
    assert greet(server(folder, name), client(folder), name) == b"hello"


@pytest.mark.parametrize("host", ["example.test", "127.0.0.2"])
def test_a_server_is_refused_by_any_other_name(folder: Path, host: str) -> None:
    """A name or address that is not in the certificate fails the handshake."""
    with pytest.raises(ssl.SSLCertVerificationError, match="match"):
        greet(server(folder, "gateway"), client(folder), host)


def test_another_environments_authority_is_not_trusted(folder: Path, tmp_path: Path) -> None:
    """Each environment has an authority of its own."""
    write_certificates(tmp_path, "esb-two", HOSTS)
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        greet(server(folder, "gateway"), client(tmp_path), "localhost")


def test_the_agent_lets_only_the_gateways_certificate_in(folder: Path) -> None:
    """Mutual TLS succeeds with the client's certificate, not without one and not with a server's."""
    agent = server(folder, "agent", demands=True)
    assert greet(agent, client(folder, certificate="agent-client"), "agent") == b"hello"
    for certificate in (None, "gateway"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            greet(agent, client(folder, certificate=certificate), "agent")


def test_openssl_agrees_and_keys_are_for_their_owner_only(folder: Path) -> None:
    """`openssl verify` accepts each certificate for its purpose; the authority's key is nowhere."""
    for name, purpose in (("gateway", "sslserver"), ("agent", "sslserver"), ("agent-client", "sslclient")):
        done = subprocess.run(
            ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.crt", f"{name}.crt"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.stdout.strip() == f"{name}.crt: OK", done.stderr
        assert (folder / f"{name}.key").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in folder.iterdir()) == [
        "agent-client.crt",
        "agent-client.key",
        "agent.crt",
        "agent.key",
        "ca.crt",
        "gateway.crt",
        "gateway.key",
    ]
