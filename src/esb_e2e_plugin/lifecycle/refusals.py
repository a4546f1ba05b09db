"""What an engine refuses, told from the words that it uses, and an engine that does not do its part."""

from collections.abc import Sequence
from ipaddress import IPv4Network

from esb_e2e_plugin.diagnosis.signs import ENGINE
from esb_e2e_plugin.failure import Kind, PortTakenError, StepError

_PORT_TAKEN = ("port is already allocated", "address already in use", "failed to bind host port")
_SUBNET_TAKEN = ("Pool overlaps", "conflicts with network")
_UNSEEN = "bind source path does not exist:"


def engine_error(message: str, remedy: str = "", lines: tuple[str, ...] = ()) -> StepError:
    """Return the error of an engine, or of a tool that leads to it, that does not do its part."""
    return StepError(message, remedy=remedy, lines=lines, kind=Kind.ENGINE, component=ENGINE)


def refused_to_create(error: StepError, subnets: tuple[IPv4Network, IPv4Network]) -> StepError:
    """Return why networks, volumes and containers could not be made, which may be the error itself.

    Args:
        error: what Compose failed with.
        subnets: those that the networks were to have.
    """
    if _tells(error.lines, *_SUBNET_TAKEN):
        return PortTakenError(f"subnet {subnets[0]} or {subnets[1]} was taken meanwhile")
    unseen = next((line for line in error.lines if _UNSEEN in line), None)
    if unseen is None:
        return error
    mounted = unseen.partition(_UNSEEN)[2].strip()
    return StepError(
        f"a service mounts {mounted}, which the engine's host does not have",
        remedy="set engine_socket in the matrix to the engine's socket on its own host",
        service=error.service,
        lines=error.lines,
        kind=Kind.USER_INPUT,
        component="engine_socket",
    )


def port_taken(error: StepError) -> PortTakenError | None:
    """Return the error of a port that belongs to somebody else where that kept a container from starting."""
    refusal = next((line for line in (error.message, *error.lines) if _tells([line], *_PORT_TAKEN)), None)
    if refusal is None:
        return None
    return PortTakenError(f"a port was taken before the engine could publish it: {refusal}")


def _tells(lines: Sequence[str], *signs: str) -> bool:
    return any(sign in line for line in lines for sign in signs)
