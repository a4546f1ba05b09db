"""Secrets in streams, in files of others, in shapes of their own, and which values are secrets."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from esb_e2e_plugin import secret_values
from esb_e2e_plugin.redaction import Redactor, Stream, mask_file

SECRET = "correct-horse-battery-staple"
PEM = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEH
BG0wawIBAQQg
-----END PRIVATE KEY-----
"""


@pytest.fixture
def redact() -> Redactor:
    found = Redactor()
    found.add([SECRET])
    return found


@pytest.mark.parametrize("border", range(1, len(SECRET)))
def test_a_secret_that_is_split_between_two_chunks_is_hidden(redact: Redactor, border: int) -> None:
    """Wherever the border is."""
    stream = Stream(redact)
    first, second = SECRET[:border].encode(), SECRET[border:].encode()
    told = stream.feed(b"a " + first) + stream.feed(second + b" b\nrest") + stream.end()
    assert told == b"a *** b\nrest"


def test_a_stream_without_newlines_goes_on_and_leaks_nothing(redact: Redactor) -> None:
    """It is not held back for ever, and a secret across the border of what is written is still hidden."""
    stream = Stream(redact)
    told = b"".join(stream.feed(b"x" * 30_000 + SECRET[:9].encode() * (n % 2)) for n in range(6))
    assert len(told) > 60_000
    told = stream.feed(b"y" * 70_000 + SECRET[:9].encode()) + stream.feed(SECRET[9:].encode()) + stream.end()
    assert SECRET.encode() not in told
    assert told.endswith(b"***")


def test_a_file_of_somebody_else_is_blackened_in_its_place(redact: Redactor, tmp_path: Path) -> None:
    """Its length stays: whoever writes to it goes on where it was."""
    path = tmp_path / "log"
    text = f"one\npassword {SECRET}!\nthree\n".encode()
    path.write_bytes(text)
    descriptor = os.open(path, os.O_RDWR)
    mask_file(descriptor, 4, text[4:], redact)
    os.close(descriptor)
    assert path.read_bytes() == text.replace(SECRET.encode(), b"*" * len(SECRET))


def test_tokens_and_private_keys_are_hidden_whosever_they_are() -> None:
    """Nobody has told of them, but their shape is plain."""
    redact = Redactor()
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1g"
    assert redact(f"Bearer {token}!") == "Bearer ***!"
    assert redact(f"key:\n{PEM}end") == "key:\n***\nend"
    assert redact.hide(PEM.encode()) == b"***\n"


@pytest.mark.parametrize("mark", ["...", "…"])
def test_what_is_left_of_a_secret_in_a_shortened_text_is_hidden(redact: Redactor, mark: str) -> None:
    """Assertions show beginning and end of a long text; words that only look alike stay."""
    shown = f"assert 'the {SECRET[:12]}{mark}{SECRET[-13:]}' == 'no'"
    assert redact(shown) == f"assert 'the ***{mark}***' == 'no'"
    assert redact(f"wait{mark} corr{mark}aple") == f"wait{mark} corr{mark}aple"


def test_a_secret_of_several_lines_is_hidden_line_by_line() -> None:
    """Output is taken apart into lines before anybody looks at it."""
    redact = Redactor()
    redact.add([PEM])
    for line in PEM.splitlines():
        assert redact(f"out: {line}") == "out: ***"
    assert "MIGH" not in redact(json.dumps({"key": PEM}))


def test_a_document_inside_of_another_one_hides_its_secrets_too() -> None:
    """A log line is often JSON inside of JSON."""
    redact = Redactor()
    redact.add(['quo"ted\\back'])
    inner = json.dumps({"password": 'quo"ted\\back'})
    assert "ted" not in redact(json.dumps({"line": inner}))
    assert redact.of({"a": [inner, 1, None], "b": {"c": 'quo"ted\\back'}})["b"] == {"c": "***"}


def test_secrets_of_a_compose_file_are_its_values_from_everywhere(tmp_path: Path) -> None:
    """From a file, from a variable, or in place; what is not there is none."""
    (tmp_path / "secret").write_text("from-a-file\n")
    model = {
        "secrets": {
            "a": {"file": str(tmp_path / "secret")},
            "b": {"environment": "B"},
            "c": {"content": "in-place"},
            "d": {"file": str(tmp_path / "none")},
            "e": {"external": True},
        }
    }
    assert secret_values.of_compose(model, {"B": "from-a-variable"}) >= {
        "from-a-file",
        "from-a-variable",
        "in-place",
    }
    assert secret_values.of_compose({}, {}) == set()
