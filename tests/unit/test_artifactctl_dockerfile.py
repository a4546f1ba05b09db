"""Dockerfiles: what they start from, and the same file on another base."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactctl.dockerfile import DockerfileError, bases, rewritten


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("FROM a:1\n", {}, ["a:1"]),
        ("# syntax comment\n\nfrom --platform=linux/amd64 a AS x\nFROM b\nFROM x\n", {}, ["a", "b"]),
        ("ARG V=1\nFROM a:${V}\n", {}, ["a:1"]),
        ("ARG V=1\nFROM a:$V\n", {"V": "2"}, ["a:2"]),
        ("ARG V\nFROM a:${V:-3}\n", {}, ["a:3"]),
        ("ARG V=1\nFROM a${V:+-slim}\n", {}, ["a-slim"]),
        ('ARG R="r/" N=n\nFROM ${R}${N}\n', {}, ["r/n"]),
        ("ARG A=x\nARG B=$A-y\nFROM $B\n", {}, ["x-y"]),
        ("FROM a\nARG V=1\nFROM scratch\n", {}, ["a"]),
        ("FROM \\\n  # why\n  a \\\n\n  AS x\nRUN true\nFROM a\n", {}, ["a"]),
        ("FROM a\nRUN <<EOF\nFROM b\nEOF\nFROM c\n", {}, ["a", "c"]),
        ("FROM a\nRUN echo $((1<<X))\nFROM c\n", {}, ["a", "c"]),
        ("FROM A-Stage\r\nFROM b AS Final\r\nFROM final\r\n", {}, ["A-Stage", "b"]),
    ],
)
def test_bases_are_what_images_start_from(text: str, arguments: dict[str, str], expected: list[str]) -> None:
    """Stages, arguments, continued lines, comments and here-documents are understood as the builder does."""
    assert list(bases(text, arguments)) == expected


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("", 1, "has no FROM"),
        ("RUN true\n", 1, "has no FROM"),
        ("# c\nFROM a b c\n", 2, "expected FROM <image>"),
        ("ARG V\nFROM $V\n", 2, "names no image; give its ARG a default"),
    ],
)
def test_what_cannot_be_built_is_told_with_its_line(text: str, line: int, told: str) -> None:
    """A Dockerfile that starts from nothing is an error."""
    with pytest.raises(DockerfileError, match=told.replace("$", r"\$")) as caught:
        bases(text, {})
    assert caught.value.line == line


def test_only_the_named_bases_are_replaced() -> None:
    """Flags, stage names and every other line stay; one base may start several stages."""
    text = (
        "ARG T=1\n# x\nFROM --platform=linux/amd64 r/b:$T AS one\nRUN a\nFROM c\nFROM \\\n  r/b:1\nCMD [1]\n"
    )
    assert rewritten(text, {}, {"r/b:1": "b:digest"}) == (
        "ARG T=1\n# x\nFROM --platform=linux/amd64 b:digest AS one\nRUN a\nFROM c\nFROM b:digest\nCMD [1]\n"
    )


@settings(deadline=None)
@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["FROM a\n", "ARG V", "=1\n", "RUN <<E\n", "E\n", "\\\n", "#"]))
)
def test_no_text_causes_anything_but_bases_or_an_error(text: str | list[str]) -> None:
    """Whatever a Dockerfile holds, the answer is a list of images or one error with a line of it."""
    whole = text if isinstance(text, str) else "".join(text)
    line = 1
    found: tuple[str, ...] = ()
    try:
        found = bases(whole, {})
    except DockerfileError as error:
        line = error.line
    else:
        assert bases(rewritten(whole, {}, dict.fromkeys(found, "new")), {}) in ((), ("new",))
    assert 1 <= line <= whole.count("\n") + 1
    assert all(found)
