"""Names of images: their parts, and the names one image has here, for the host and for the runtime."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LAMBDA_BASE: Final = "esb-lambda-base"
JAVA_LAMBDA_BASE: Final = "esb-lambda-java-base"

# Source: the grammar of https://pkg.go.dev/github.com/distribution/reference
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_HOST}/)?{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?P<digest>@sha256:[0-9a-f]{64})?"
)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_IMPLIED = ("index.docker.io/", "docker.io/", "library/")


def is_valid(reference: str) -> bool:
    """Tell whether `reference` is a well-formed name of an image."""
    return len(reference) <= 255 and _REFERENCE.fullmatch(reference) is not None


def registry_of(reference: str) -> str | None:
    """Return the registry that `reference` names, as `host[:port]`, or None if it names none."""
    first, slash, _ = reference.partition("/")
    return first if slash and (first == "localhost" or any(c in first for c in ".:")) else None


def is_lambda_base(reference: str) -> bool:
    """Tell whether `reference` names a base that `runtime-base` builds, in whatever registry."""
    return _name_and_tag(reference)[0].rpartition("/")[2] in (LAMBDA_BASE, JAVA_LAMBDA_BASE)


def repository(reference: str) -> str:
    """Return `reference` without tag and digest."""
    return _name_and_tag(reference)[0]


def tag(reference: str) -> str:
    """Return the tag of `reference`; `latest` if it has none."""
    return _name_and_tag(reference)[1] or "latest"


def normalized(reference: str) -> str:
    """Return `reference` in the one spelling that the engine lists it by."""
    name, own_tag = _name_and_tag(reference)
    digest = reference.partition("@")[2]
    for prefix in _IMPLIED:
        name = name.removeprefix(prefix)
    return f"{name}@{digest}" if digest else f"{name}:{own_tag or 'latest'}"


def filled(text: str, environ: Mapping[str, str]) -> str:
    """Return `text` with each `${VAR}` replaced, as the gateway does when it loads the file.

    Raises:
        KeyError: a variable is not set; its argument is the name.
    """
    return _VARIABLE.sub(lambda match: environ[match[1]], text)


def _name_and_tag(reference: str) -> tuple[str, str | None]:
    named, _, _ = reference.partition("@")
    name, colon, own_tag = named.rpartition(":")
    return (name, own_tag) if colon and "/" not in own_tag else (named, None)


@dataclass(frozen=True, slots=True)
class Registries:
    """The registry that images go through, under its two names.

    Attributes:
        runtime: what the runtime pulls from; None if nothing is pulled.
        host: what this host pushes to; None if nothing is pushed.
    """

    runtime: str | None = None
    host: str | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Registries":
        """Read `CONTAINER_REGISTRY` and `HOST_REGISTRY_ADDR`; one of them alone stands for both.

        Raises:
            ValueError: one of them is not `host[:port]`; the message names it.
        """
        names = {}
        for variable in ("CONTAINER_REGISTRY", "HOST_REGISTRY_ADDR"):
            value = environ.get(variable, "").strip().rstrip("/")
            if value and not re.fullmatch(_HOST, value):
                raise ValueError(f"{variable} = {value!r}: expected host[:port]")
            names[variable] = value
        runtime, host = names["CONTAINER_REGISTRY"], names["HOST_REGISTRY_ADDR"]
        return cls(runtime or host or None, host or runtime or None)

    def pushed_as(self, reference: str) -> str | None:
        """Return the name that this host pushes `reference` by; None if it belongs to no registry of ours."""
        if self.host is None:
            return None
        own = registry_of(reference)
        if own is None:
            return f"{self.host}/{reference}"
        if own in (self.runtime, self.host):
            return f"{self.host}{reference.removeprefix(own)}"
        return None
