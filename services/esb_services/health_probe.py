"""Asks a service whether it serves: `python -m esb_services.health_probe 8080`, exit status 0 or 1.

Started every few hundred milliseconds while an environment comes up, so it imports next to nothing.
"""

import socket
import sys

# A service that listens already answers as soon as it serves: waiting finds that sooner than asking again.
_SECONDS = 4.0
_SHOWN_BYTES = 500


def probe(port: int) -> tuple[bool, str]:
    """Ask `GET /health` on a port of this machine; return whether it serves, and what it answered."""
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
            connection.settimeout(_SECONDS)
            connection.sendall(request)
            answer = b""
            while len(answer) < _SHOWN_BYTES and (received := connection.recv(_SHOWN_BYTES)):
                answer += received
    except OSError as error:
        return False, f"port {port}: {error}"
    head, _, body = answer.decode(errors="replace").partition("\r\n\r\n")
    status = head.partition("\r\n")[0]
    return status.split(" ")[1:2] == ["200"], f"{status} {body}"


if __name__ == "__main__":
    serves, said = probe(int(sys.argv[1]))
    sys.stdout.write(f"{said}\n")
    sys.exit(0 if serves else 1)
