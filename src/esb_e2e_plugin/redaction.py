"""Keeping secrets out of everything that is written: text, streams of bytes, files of others.

Pure but for `mask_file`, which changes a file in its place.
"""

import base64
import html
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, AnyStr, Final
from urllib.parse import quote, quote_plus

HIDDEN: Final = "***"

_SHORTEST_ENCODED = 6
_SHORTEST_SECRET = 4  # anything shorter would blacken ordinary words
_SHORTEST_LINE = 8  # of a secret of several lines: a last line may be a bracket only
_SHORTEST_PART = 5  # of a secret that somebody has shortened
_LEFT_OUT = re.compile(r"(\.\.\.|…)")
_LONGEST_WAIT = 1 << 16  # bytes without a newline until a stream is written on all the same
# Whatever signed a token or made a key: nobody else may have either of them.
_JWT = r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{16,}"
_PEM = r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
_SHAPES = re.compile(f"{_JWT}|{_PEM}")
_SHAPES_BYTES = re.compile(f"{_JWT}|{_PEM}".encode())


class Redactor:
    """Replaces secret values by `***`, also where they stand in base64, escaped or URL-encoded.

    Tokens (JWT) and private keys (PEM) are hidden whosever they are. Threads may share it.
    """

    def __init__(self) -> None:
        """Know no secret yet."""
        self._lock = threading.Lock()
        self._forms: tuple[str, ...] = ()
        self._encoded: tuple[bytes, ...] = ()
        self._long: tuple[str, ...] = ()
        self.longest = 0

    def add(self, secrets: Iterable[str]) -> None:
        """Hide `secrets` from now on; values of less than four characters are left alone."""
        found = {form for secret in secrets if len(secret) >= _SHORTEST_SECRET for form in _forms(secret)}
        with self._lock:
            if found <= set(self._forms):
                return
            forms = sorted(found | set(self._forms), key=lambda form: (-len(form), form))
            encoded = tuple(form.encode() for form in forms)
            self.longest = max(map(len, encoded))
            self._encoded = encoded
            self._long = (*self._long, *{form for form in found if len(form) > _SHORTEST_PART})
            self._forms = tuple(forms)

    def __call__(self, text: str) -> str:
        """Return `text` with every known secret hidden."""
        if "eyJ" in text or "PRIVATE KEY" in text:
            text = _SHAPES.sub(HIDDEN, text)
        if _LEFT_OUT.search(text) is not None:
            text = self._without_parts(text)
        found = [form for form in self._forms if form in text]
        return _any_of(found).sub(HIDDEN, text) if found else text

    def _without_parts(self, text: str) -> str:
        """Hide what is left of a secret in a text that somebody has shortened: `corre...taple`."""
        pieces = _LEFT_OUT.split(text)  # text, mark, text, mark, …
        for index in range(0, len(pieces) - 1, 2):
            pieces[index] = _without_end(pieces[index], self._long)
            pieces[index + 2] = _without_beginning(pieces[index + 2], self._long)
        return "".join(pieces)

    def of(self, value: Any) -> Any:
        """Return plain data with the secrets in its texts hidden."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {key: self.of(one) for key, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.of(one) for one in value]
        return value

    def hide(self, data: bytes) -> bytes:
        """Return `data` with every known secret hidden."""
        if b"eyJ" in data or b"PRIVATE KEY" in data:
            data = _SHAPES_BYTES.sub(HIDDEN.encode(), data)
        found = [form for form in self._encoded if form in data]
        return _any_of(found).sub(HIDDEN.encode(), data) if found else data

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Return where secrets stand in `data`."""
        patterns = [_SHAPES_BYTES] if b"eyJ" in data or b"PRIVATE KEY" in data else []
        if forms := [form for form in self._encoded if form in data]:
            patterns.append(_any_of(forms))
        return [found.span() for pattern in patterns for found in pattern.finditer(data)]


class Stream:
    """A stream of bytes whose secrets are hidden, also those that are split between two chunks."""

    def __init__(self, redact: Redactor) -> None:
        """Hide what `redact` knows."""
        self._redact = redact
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Return what can be written of what has come so far: whole lines, or what is too long for one."""
        data = self._held + chunk
        end = data.rfind(b"\n") + 1
        if not end and len(data) > _LONGEST_WAIT:
            # A secret may have begun at the end of it.
            end = len(data) - max(self._redact.longest - 1, 0)
            end = min([start for start, stop in self._redact.spans(data) if stop > end] + [end])
        self._held = data[end:]
        return self._redact.hide(data[:end])

    def end(self) -> bytes:
        """Return the rest."""
        rest, self._held = self._held, b""
        return self._redact.hide(rest)


def _any_of(forms: Sequence[AnyStr]) -> re.Pattern[AnyStr]:
    """Return an expression for `forms`; where several match, the first of them does.

    Args:
        forms: those that a text is known to have. To look for each form, and to make an expression of these
            few, is many times faster than to make and to use one of all forms.
    """
    bar = b"|" if isinstance(forms[0], bytes) else "|"
    return re.compile(bar.join(map(re.escape, forms)))


def _without_end(text: str, secrets: Iterable[str]) -> str:
    """Hide the beginning of a secret at the end of a text."""
    for secret in secrets:
        start = text.rfind(secret[:_SHORTEST_PART])
        if start >= 0 and secret.startswith(text[start:]):
            return text[:start] + HIDDEN
    return text


def _without_beginning(text: str, secrets: Iterable[str]) -> str:
    """Hide the end of a secret at the beginning of a text."""
    for secret in secrets:
        end = text.find(secret[-_SHORTEST_PART:])
        if end >= 0 and secret.endswith(text[: end + _SHORTEST_PART]):
            return HIDDEN + text[end + _SHORTEST_PART :]
    return text


def mask_file(descriptor: int, offset: int, data: bytes, redact: Redactor) -> None:
    """Blacken the secrets in a file that somebody else writes to; its length stays, so nobody is disturbed.

    Args:
        descriptor: the file, open for writing.
        offset: where `data` stands in it.
        data: what was read there.
        redact: knows the secrets.
    """
    for start, stop in redact.spans(data):
        os.pwrite(descriptor, b"*" * (stop - start), offset + start)


def _forms(secret: str) -> Iterator[str]:
    """Yield every way in which a secret may be written."""
    yield secret
    once = {json.dumps(secret, ensure_ascii=plain)[1:-1] for plain in (True, False)}
    yield from once
    yield from (json.dumps(form)[1:-1] for form in once)  # a document inside of another one
    yield repr(secret)[1:-1]
    yield repr(secret.encode())[2:-1]
    yield html.escape(secret)
    for quoted in (quote(secret), quote(secret, safe=""), quote_plus(secret)):  # `/` as in a path, or not
        yield quoted
        yield re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), quoted)
    yield from _in_base64(secret.encode())
    yield secret.encode().hex()
    lines = secret.splitlines()
    if len(lines) > 1:
        yield from (line for line in map(str.strip, lines) if len(line) >= _SHORTEST_LINE)


def _in_base64(secret: bytes) -> Iterator[str]:
    """Yield how `secret` looks in base64, alone and inside of something longer, as `user:secret` is."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(secret).decode().rstrip("=")
        for before in range(3):
            # Characters at both ends also carry bits of the neighbours: what they are cannot be known.
            first, unknown = -(-before * 4 // 3), (before + len(secret)) % 3
            text = encode(bytes(before) + secret).decode().rstrip("=")
            inner = text[first : -1 if unknown else None]
            if len(inner) >= _SHORTEST_ENCODED:
                yield inner
