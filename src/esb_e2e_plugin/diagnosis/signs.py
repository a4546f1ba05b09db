"""What engines, tools and services say when something known is wrong, and what to do about it. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from esb_e2e_plugin.failure import Kind


@dataclass(frozen=True)
class Sign:
    """Words by which a cause is recognised.

    Attributes:
        name: what is wrong, for the reference.
        pattern: the words; the named group `what`, where there is one, is filled into the remedy.
        remedy: what to do about it.
        kind: the class that it makes a failure one of; None leaves it.
        component: what is guilty of it; None leaves it.
    """

    name: str
    pattern: re.Pattern[str]
    remedy: str
    kind: Kind | None = None
    component: str | None = None


def _sign(
    name: str, pattern: str, remedy: str, kind: Kind | None = None, component: str | None = None
) -> Sign:
    return Sign(name, re.compile(pattern, re.IGNORECASE), remedy, kind, component)


ENGINE = "engine"
START_ENGINE = "start it (make engine), or name another one with docker_context or DOCKER_HOST"

SIGNS = (
    _sign(
        "full disk",
        r"no space left on device|errno 28\b|enospc|disk quota exceeded",
        "make room on the disk: df -h shows which is full; on an engine's: docker image prune",
        Kind.ENGINE,
    ),
    _sign(
        "the engine's address pool is exhausted",
        r"non-overlapping IPv4 address pool|predefined address pools have been fully subnetted",
        "remove networks that nobody uses (docker network prune), or widen its default-address-pools",
        Kind.ENGINE,
        ENGINE,
    ),
    _sign(
        "the engine does not answer",
        r"cannot connect to the docker daemon|is the docker daemon running|error during connect",
        START_ENGINE,
        Kind.ENGINE,
        ENGINE,
    ),
    _sign(
        "a registry whose certificate is not trusted",
        r"/v2/.*(x509|tls: )|server gave HTTP response to HTTPS client",
        "let the engine trust the registry (/etc/docker/certs.d, or insecure-registries of the engine)",
        Kind.IMAGE_BUILD,
    ),
    _sign(
        "a registry that cannot be reached",
        r"/v2/.*(dial|refused|timeout|no such host|reset by peer|EOF|unreachable|canceled)"
        r"|(lookup|dial tcp) .*(no such host|refused|timeout|unreachable|misbehaving)",
        "check that the registry answers, or bring the image to the engine yourself: docker load",
        Kind.IMAGE_BUILD,
    ),
    _sign(
        "an image that does not exist",
        r"manifest unknown|manifest for .* not found|pull access denied|repository does not exist"
        r"|no such image|failed to resolve (source metadata|reference)",
        "correct the image's name, or build it first",
        Kind.IMAGE_BUILD,
    ),
    _sign(
        "a variable with a wrong value, or without one",
        r"environment variable (?P<what>\w+) is ",
        "correct {what}: env_vars in the matrix, or the env file",
        Kind.USER_INPUT,
    ),
    _sign(
        "a program that is not there",
        r"executable file not found in \$PATH|exec format error|\bsh: (\d+: )?.*: not found$"
        r"|stat [^:]+: no such file or directory",
        "correct the command or entrypoint of the service, or its image",
        Kind.SERVICE_START,
    ),
    _sign(
        "a process that was killed",
        r"was killed by signal 9\b",
        "find out who killed it; where nobody did, the machine ran out of memory: dmesg tells",
    ),
    _sign(
        "a missing privilege or kernel feature",
        r"operation not permitted|cannot run containerd|/dev/kvm|modprobe|not supported by (the|this) kernel"
        r"|could not select device driver|unknown or invalid runtime name|no such device",
        "allow it what it asks for (privileged, cap_add, devices), or run on a host whose kernel has it",
        Kind.ENGINE,
    ),
    _sign(
        "a certificate that is not trusted",
        r"certificate[_ ]verify[_ ]failed|x509: certificate|certificate has expired",
        "let it serve gateway.crt and gateway.key of the environment's certificates (volume `certificates`)",
    ),
)
"""In the order in which they are looked for."""


def recognised(texts: Iterable[str]) -> tuple[Sign, str] | None:
    """Return the first known sign, with its remedy filled in, or None.

    Args:
        texts: messages and lines, the most telling first.
    """
    told = list(texts)
    for sign in SIGNS:
        for text in told:
            if (found := sign.pattern.search(text)) is not None:
                return sign, sign.remedy.format(**found.groupdict())
    return None
