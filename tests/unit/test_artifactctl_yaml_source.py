"""YAML sources: lines, literal text, and hostile documents."""

import os
import pickle
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactctl.errors import ArtifactError
from artifactctl.yaml_source import YamlError, load, loads

_PATH = Path("some.yml")
_DOCUMENT = b"""\
base: &base
  Region: eu-1
  tier: "gold"
items:
- id: a
- id: b
  version: 1.10
  <<: *base
folded:
  deep:
    - [1, 2]
"""


def test_data_is_plain_and_merge_keys_are_filled_in() -> None:
    """The data is what the usual loader gives, dates excepted."""
    assert loads(_DOCUMENT, _PATH).data == yaml.safe_load(_DOCUMENT)
    assert loads(b"day: 2012-10-17", _PATH).data == {"day": "2012-10-17"}


@pytest.mark.parametrize(
    ("keys", "line", "key_line"),
    [
        ((), 1, 1),
        (("base",), 1, 1),
        (("base", "tier"), 3, 3),
        (("items", 1, "id"), 6, 6),
        (("items", 1, "Region"), 2, 2),
        (("items", 7, "id"), 5, 4),
        (("folded", "deep"), 11, 10),
        (("folded", "deep", 0, 1), 11, 11),
        (("absent", "deep"), 1, 1),
    ],
)
def test_every_value_knows_its_line(keys: tuple[str | int, ...], line: int, key_line: int) -> None:
    """A path that does not exist has the line of its nearest ancestor."""
    document = loads(_DOCUMENT, _PATH)
    assert (document.line(keys), document.key_line(keys)) == (line, key_line)


def test_scalars_keep_their_literal_text() -> None:
    """Numbers and keys can be had as they are written."""
    document = loads(b"version: 1.10\nyes: 'no'\nlist: []\n", _PATH)
    assert document.text(("version",)) == "1.10"
    assert document.key_text((True,)) == "yes"
    assert document.text(("list",)) is None
    assert document.text(("absent",)) is None


_LAUGHS = b"a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + b"".join(
    b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 110)
)
_CHAIN = b"x0: &x0 [1]\n" + b"".join(b"x%d: &x%d [*x%d]\n" % (i, i, i - 1) for i in range(1, 100))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "some.yml:1: expected a mapping, found nothing"),
        (b"- 1", "some.yml:1: expected a mapping at the top"),
        (b"a: 1\nb: 2\na: 3", "some.yml:3: 'a': duplicate key, first on line 1; remove one of the two"),
        (b"x: 1\n<<: {y: 1}\n<<: {z: 1}", "some.yml:3: duplicate key <<"),
        (b"a: 1\nb: \xff", "some.yml:2: is not UTF-8; save it as UTF-8"),
        ("a: ä".encode("utf-16"), "some.yml:1: is not UTF-8; save it as UTF-8"),
        (b"a: 1\nb: \0", r"some.yml:2: '\x00': character is not allowed in YAML"),
        (b"a: b: c", "some.yml:1: is not valid YAML: mapping values are not allowed "),
        (b"a: *b", "some.yml:1: alias *b has no anchor before it"),
        (b"a: &a [*a]", "some.yml:1: alias *a contains itself"),
        (b"? &m <<\n: {}\nb: *m", "some.yml:3: alias *m stands for <<"),
        (b"a: 1\n---\nb: 2", "some.yml:2: expected one document, found several"),
        (b"[a]: 1", "some.yml:1: a key must be a scalar"),
        (b"<<: 1", "some.yml:1: << expects a mapping or a list of mappings"),
        (b"a: !python/object:os.system {}", "tag !python/object:os.system is not supported here"),
        (b"a: !!binary aGk=", "is not supported here"),
        (b"a: !!int x", "some.yml:1: 'x' is not a value of type int"),
        (b"a: 0x_", "some.yml:1: '0x_' is not a value of type int"),
        (b"a: " + b"9" * 5000, "some.yml:1: a number may have 256 characters"),
        (b"a: " + b"[" * 100_000, "some.yml:1: is nested deeper than 64 levels"),
        (b"{a: " * 100_000, "some.yml:1: is nested deeper than 64 levels"),
        (_CHAIN, "some.yml:64: is nested deeper than 64 levels"),
        (_LAUGHS, "some.yml:7: stands for more than 1000000 values"),
    ],
    ids=range(23),
)
def test_a_hostile_or_broken_document_is_one_error_with_its_line(text: bytes, told: str) -> None:
    """Whatever the file holds, the user reads one line that says where and what."""
    with pytest.raises(YamlError) as caught:
        loads(text, _PATH)
    assert told in str(caught.value)
    assert str(caught.value).isprintable()


@settings(deadline=None)
@given(st.binary() | st.text().map(str.encode) | st.text("{}[]:-&*<>!?'\"\n a1#|,%@").map(str.encode))
def test_no_bytes_cause_anything_but_a_mapping_or_a_yaml_error(text: bytes) -> None:
    """Fuzzed bytes give data or one printable line."""
    told = ""
    try:
        assert isinstance(loads(text, _PATH).data, dict)
    except YamlError as error:
        told = str(error)
    assert told == "" or told.startswith("some.yml")
    assert told.isprintable()


def test_what_is_not_a_readable_file_is_told(tmp_path: Path) -> None:
    """Missing files, folders, pipes without a writer and files over the limit are errors, not waits."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    large = tmp_path / "large.yml"
    large.write_text("a: 1\n" * 3)
    cases = [
        (tmp_path / "absent.yml", "file not found"),
        (tmp_path, "is not a regular file"),
        (pipe, "is not a regular file"),
        (large, "is larger than 10 bytes"),
        (tmp_path / "n\0l", "is not a file name"),
        (large / "below.yml", "cannot be read"),
    ]
    for path, told in cases:
        with pytest.raises(YamlError, match=told):
            load(path, limit_bytes=10)


def test_errors_survive_pickling_and_stay_on_one_line() -> None:
    """An error that crosses processes tells the same; control characters are escaped."""
    error = ArtifactError(
        "rule\nbroken", path=Path("a\nb.yml"), line=3, field="x", value="v" * 200, remedy="do\x1b"
    )
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert str(copy) == str(error) == f"a\\nb.yml:3: x = {'v' * 80!r}…: rule\\nbroken; do\\x1b"
    assert (copy.line, copy.field, copy.path) == (3, "x", Path("a\nb.yml"))
