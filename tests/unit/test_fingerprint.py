"""What follows from a difference between what an environment was made of and what it would be made of now."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esb_e2e_plugin.fingerprint import Decision, Fingerprint, Verdict, compare, digest

PARTS = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4)


def made_of(compose: dict[str, str] | None = None, deploy: dict[str, str] | None = None) -> Fingerprint:
    """Return a fingerprint with some parts."""
    return Fingerprint(
        {"docker-compose.yml": "1", **(compose or {})}, {"functions.yml": "1", **(deploy or {})}
    )


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (made_of(), "reused: nothing changed"),
        (made_of(deploy={"functions.yml": "2"}), "redeploy: functions.yml changed"),
        (made_of(deploy={"lambda-echo sources": "1"}), "redeploy: lambda-echo sources is new"),
        (Fingerprint({"docker-compose.yml": "1"}, {}), "redeploy: functions.yml is gone"),
        (made_of({"docker-compose.yml": "2"}), "anew: docker-compose.yml changed"),
        (made_of({"engine": "1"}, {"functions.yml": "2"}), "anew: engine is new"),
        (
            made_of(deploy={"functions.yml": "2", **dict.fromkeys("abcd", "1")}),
            "redeploy: functions.yml changed, a is new, b is new and 2 more",
        ),
    ],
)
def test_the_first_phase_that_a_change_concerns_is_the_first_to_be_redone(
    now: Fingerprint, expected: str
) -> None:
    """The reason names what changed as a user calls it."""
    assert str(compare(made_of(), now)) == expected


def test_what_nobody_wrote_down_is_not_trusted() -> None:
    """An environment of an earlier version, or of a run that did not look, is brought up anew."""
    expected = Verdict(Decision.ANEW, "nobody wrote down what it was made of")
    assert compare(None, made_of()) == expected


def test_an_image_counts_by_what_its_name_stands_for_now() -> None:
    """A name that stands for another image is a change; the file that names it is told first."""
    before = made_of().with_images({"store:1": "sha256:a"}, {"f:1": "sha256:b", "base:1": "sha256:c"})
    assert before.images() == (["store:1"], ["f:1", "base:1"])
    moved = made_of().with_images({"store:1": "sha256:a"}, {"f:1": "sha256:x", "base:1": "sha256:c"})
    assert str(compare(before, moved)) == "redeploy: image f:1 changed"
    gone = made_of().with_images({}, {"f:1": "sha256:b", "base:1": "sha256:c"})
    assert str(compare(before, gone)) == "anew: image store:1 is gone"
    both = made_of({"docker-compose.yml": "2"}).with_images({"store:1": "sha256:y"}, {})
    assert str(compare(before, both)) == "anew: docker-compose.yml changed, image store:1 changed"


@given(PARTS, PARTS, PARTS, PARTS)
def test_only_what_is_equal_in_every_part_is_reused(
    compose: dict[str, str], deploy: dict[str, str], other: dict[str, str], another: dict[str, str]
) -> None:
    """Whatever the parts are called, and whichever differ."""
    before, now = Fingerprint(compose, deploy), Fingerprint(other, another)
    decision = compare(before, now).decision
    assert (decision is Decision.REUSED) == (compose == other and deploy == another)
    assert (decision is Decision.ANEW) == (compose != other)
    assert compare(before, Fingerprint(dict(compose), dict(deploy))).decision is Decision.REUSED


@given(PARTS, PARTS)
def test_a_file_keeps_a_fingerprint(compose: dict[str, str], deploy: dict[str, str]) -> None:
    """What is written is what is read; anything else is none."""
    whole = Fingerprint(compose, deploy)
    data = json.loads(json.dumps(whole.to_data()))
    assert Fingerprint.from_data(data) == whole
    damaged: list[object] = [
        None,
        [],
        {},
        {**data, "v": 2},
        {**data, "compose": None},
        {**data, "deploy": []},
    ]
    for broken in damaged:
        assert Fingerprint.from_data(broken) is None


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_a_digest_tells_texts_apart_wherever_they_are_cut(one: list[str], other: list[str]) -> None:
    """`ab, c` is not `a, bc`, and an empty text is one."""
    assert (digest(one) == digest(other)) == (one == other)
