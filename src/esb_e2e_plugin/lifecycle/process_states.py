"""How the processes of an environment are: its services, and the workers of its functions."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from esb_e2e_plugin.lifecycle.health import HealthCheck, probe
from esb_e2e_plugin.lifecycle.supervisor import Exit
from esb_e2e_plugin.process_identity import ProcessIdentity
from esb_e2e_plugin.processes import marked, variable_of
from esb_e2e_plugin.service_state import ServiceState

_WORKER_NAME = "ESB_WORKER_NAME"
_STATES = {"T": "paused", "t": "paused", "Z": "exited", "X": "exited"}


def services(
    running: Mapping[str, ProcessIdentity], ended: Iterable[Exit], checks: Mapping[str, HealthCheck]
) -> list[ServiceState]:
    """Return how services are.

    Args:
        running: the processes that nobody has seen to end.
        ended: the others.
        checks: how to ask services for their health.
    """
    states = [
        ServiceState(
            name=name,
            state=_state(identity.pid),
            health=_health(checks[name]) if name in checks else None,
        )
        for name, identity in running.items()
    ]
    return states + [ServiceState(name=end.name, state="exited", exit_code=end.status) for end in ended]


def workers(mark: str) -> list[ServiceState]:
    """Return how the running workers of functions are.

    Args:
        mark: what each process of the environment carries, see `processes.MARK`.
    """
    names = {pid: name for pid in marked(mark) if (name := variable_of(pid, _WORKER_NAME)) is not None}
    return [ServiceState(name=name, state=_state(pid), function=True) for pid, name in sorted(names.items())]


def _state(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "gone"
    return _STATES.get(stat.rpartition(")")[2].split()[0], "running")


def _health(check: HealthCheck) -> str:
    health = probe(check)
    return "healthy" if health.ok else health.detail
