"""Asking a service whether it serves."""

import http.client
import json
import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True)
class HealthCheck:
    """Where a service says that it is well.

    Attributes:
        url: answers GET with 200 when the service can serve.
        ca: certificate authority (PEM) that its certificate must be signed by; None for plain HTTP.
    """

    url: str
    ca: Path | None = None


@dataclass(frozen=True)
class Health:
    """What a service answered.

    Attributes:
        ok: whether it serves.
        detail: the answer, or why there was none, in a few words.
        body: the JSON object of the answer, where it is one.
    """

    ok: bool
    detail: str
    body: dict[str, Any] | None = None


def probe(check: HealthCheck) -> Health:
    """Ask once, and wait at most a second for each part of the answer."""
    parts = urlsplit(check.url)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if check.ca is None:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    else:
        try:
            context = _trusting(check.ca, check.ca.stat().st_mtime_ns)
        except OSError as error:  # also where it is no certificate: ssl.SSLError
            return Health(ok=False, detail=f"nothing that {check.ca} verifies: {error.strerror}")
        connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_SECONDS, context=context)
    try:
        connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        response = connection.getresponse()
        payload = response.read()
    except ssl.SSLError as error:
        return Health(ok=False, detail=f"TLS: {error.reason or error}")
    except (OSError, http.client.HTTPException) as error:
        return Health(ok=False, detail=str(error) or type(error).__name__)
    finally:
        connection.close()
    return Health(
        ok=response.status == http.HTTPStatus.OK, detail=f"HTTP {response.status}", body=_object(payload)
    )


@cache
def _trusting(ca: Path, _changed: int) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca))


def _object(payload: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(payload)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None
