"""Names of images, and the registries that they go through."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactctl.image_reference import Registries, filled, is_lambda_base, is_valid, normalized, registry_of

_DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("reference", "registry", "listed"),
    [
        ("pay", None, "pay:latest"),
        ("docker.io/library/pay:v1", "docker.io", "pay:v1"),
        ("team/pay", None, "team/pay:latest"),
        ("registry:5010/pay", "registry:5010", "registry:5010/pay:latest"),
        ("localhost/pay:v1", "localhost", "localhost/pay:v1"),
        ("[::1]:5000/pay:v1", "[::1]:5000", "[::1]:5000/pay:v1"),
        (f"host.test/pay@{_DIGEST}", "host.test", f"host.test/pay@{_DIGEST}"),
    ],
)
def test_a_name_is_read_as_the_engine_reads_it(reference: str, registry: str | None, listed: str) -> None:
    """Registry, repository and tag are told apart, and the spelling is the engine's own."""
    assert is_valid(reference)
    assert (registry_of(reference), normalized(reference)) == (registry, listed)


@pytest.mark.parametrize(
    "reference", ["", "-rf", "Pay", "pay:", "pay:a b", "pay\n", "a//b", "pay@sha256:12", "x" * 256, "${TAG}"]
)
def test_what_is_no_name_is_refused(reference: str) -> None:
    """Nothing that an engine would misunderstand, an option among them, gets through."""
    assert not is_valid(reference)


@settings(deadline=None)
@given(st.text(max_size=30) | st.from_regex(r"[a-z:/@.-]{0,20}"))
def test_whatever_counts_as_a_name_is_one_harmless_argument(text: str) -> None:
    """No text that passes could be taken for an option or for two words, and its parts can be told."""
    if is_valid(text):
        assert not text.startswith("-")
        assert text.split() == [text]
        assert is_valid(normalized(text))


@pytest.mark.parametrize(
    ("reference", "is_base"),
    [
        ("esb-lambda-base", True),
        ("registry:5010/esb-lambda-base:v1", True),
        ("team/esb-lambda-base", True),
        ("esb-lambda-java-base:v1", True),
        ("my-esb-lambda-base", False),
        ("esb-lambda-base/x", False),
    ],
)
def test_the_lambda_base_is_known_in_every_registry(reference: str, is_base: bool) -> None:
    """Only the last part of the name counts."""
    assert is_lambda_base(reference) == is_base


@pytest.mark.parametrize(
    ("environ", "pushed"),
    [
        ({}, [None, None, None]),
        ({"CONTAINER_REGISTRY": "r:1"}, ["r:1/pay", "r:1/pay", None]),
        ({"HOST_REGISTRY_ADDR": "h:2"}, ["h:2/pay", None, None]),
        ({"CONTAINER_REGISTRY": "r:1", "HOST_REGISTRY_ADDR": "h:2/"}, ["h:2/pay", "h:2/pay", None]),
    ],
)
def test_images_are_pushed_by_the_name_of_the_host(environ: dict[str, str], pushed: list[str | None]) -> None:
    """One of the two names stands for both; an image of another registry is not ours to push."""
    registries = Registries.from_environ(environ)
    assert [registries.pushed_as(name) for name in ("pay", "r:1/pay", "other.test/pay")] == pushed


def test_a_registry_that_is_no_host_is_told() -> None:
    """The error names the variable."""
    with pytest.raises(ValueError, match="CONTAINER_REGISTRY = 'http://r': expected host"):
        Registries.from_environ({"CONTAINER_REGISTRY": "http://r"})


def test_variables_in_a_name_are_filled_in_as_the_gateway_does() -> None:
    """Only the form with braces is a variable; one that is not set is an error with its name."""
    assert filled("pay:${TAG}-$TAG", {"TAG": "v1"}) == "pay:v1-$TAG"
    with pytest.raises(KeyError, match="TAG"):
        filled("pay:${TAG}", {})
