"""Makes certificates for a stack started by hand: `python -m esb_services.local_certificates FOLDER`.

One self-signed certificate stands for the authority and for everybody it would sign. It is good for a
machine of one's own and nothing else; whatever brings up an environment puts real ones into the folder
before the services start, and then this does nothing.
"""

import datetime as dt
import fcntl
import ipaddress
import os
import sys
from pathlib import Path

AUTHORITY = "ca.crt"
ROLES = ("gateway", "agent", "agent-client")

_LIFETIME = dt.timedelta(days=30)
_HOSTS = ("gateway", "agent", "localhost")


def ensure(folder: Path) -> bool:
    """Make the certificates in `folder` unless they are there; return whether they were made.

    Services that share the folder may call this at the same time.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if (folder / AUTHORITY).exists():
            return False
        key, certificate = _self_signed()
        for role in ROLES:
            _write(folder / f"{role}.key", key, 0o600)
            _write(folder / f"{role}.crt", certificate, 0o644)
        _write(folder / AUTHORITY, certificate, 0o644)  # last: it says that the others are complete
        return True
    finally:
        os.close(descriptor)


def _self_signed() -> tuple[bytes, bytes]:
    """Return a key and its certificate, both as PEM."""
    from cryptography import x509  # not loaded where the certificates are there
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local stack, started by hand")])
    now = dt.datetime.now(dt.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in _HOSTS]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes, mode: int) -> None:
    unfinished = path.with_name(f".{path.name}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        # The agent runs as root, and the gateway must read what it made.
        owner = path.parent.stat()
        os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
    unfinished.replace(path)


if __name__ == "__main__":
    ensure(Path(sys.argv[1]))
