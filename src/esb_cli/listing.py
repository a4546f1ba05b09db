"""What there is: the environments of a project, and what runs in one of them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from esb_cli.project import Project, Target
from esb_cli.running import begin
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.lifecycle.backend import backend_of, engine_of, mark_of, project_of
from esb_e2e_plugin.lifecycle.health import HealthCheck, probe
from esb_e2e_plugin.locks import EnvironmentLock, lock_key
from esb_e2e_plugin.process_identity import ProcessIdentity
from esb_e2e_plugin.processes import marked, variable_of
from esb_e2e_plugin.store import EnvironmentState

_COMMAND_LENGTH = 60


def environments(project: Project) -> list[dict[str, Any]]:
    """Return the environments of a project that have a state, each as a row."""
    return [_row(project, name) for name in project.environments()]


def services(target: Target) -> list[dict[str, Any]]:
    """Return what runs in an environment, each as a row: services first, then function workers.

    Raises:
        EsbError: its engine does not answer.
    """
    rows = _processes(target) if target.scenario.entry.mode == "process" else _containers(target)
    return sorted(rows, key=lambda row: (row["kind"] != "service", row["name"]))


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows under the names of their columns; columns in which no row has anything are left out."""
    shown = [column for column in columns if any(row.get(column) for row in rows)]
    cells = [[column.upper() for column in shown]]
    cells += [[str(row.get(column) or "") for column in shown] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(shown))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)


def _row(project: Project, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "profile": None, "mode": None, "url": None, "detail": None}
    try:
        target = project.target(name)
    except EsbError as error:  # the matrix has changed since
        return {**row, "status": "unknown", "detail": error.message}
    row |= {"profile": target.scenario.profile, "mode": target.scenario.entry.mode}
    state = target.state.read()
    if state is None:
        return {**row, "status": "unknown", "detail": f"{target.state.path} cannot be read"}
    if state.environment:
        row["url"] = state.environment["urls"]["gateway"]
    try:
        holder = _holder(target)
    except EsbError as error:
        return {**row, "status": "unknown", "detail": error.message}
    return {**row, **_status(target, state, holder)}


def _status(target: Target, state: EnvironmentState, holder: str | None) -> dict[str, str | None]:
    if holder is not None:
        return {"status": state.status, "detail": f"held by {holder}"}
    if state.status != "kept" or not state.environment:
        return {"status": "left", "detail": f"its run has ended: esb down --env {target.name} removes it"}
    environment = Environment.from_data(state.environment)
    gateway = target.scenario.entry.gateway
    ca = environment.paths.ca_certificate if gateway.scheme == "https" else None
    health = probe(HealthCheck(f"{environment.urls.gateway}{gateway.health_path}", ca))
    if not health.ok:
        return {"status": "unwell", "detail": f"its gateway answers {health.detail}"}
    if state.cause is not None:
        return {"status": "up", "detail": f"failed in {state.phase}: {state.cause}"}
    return {"status": "up", "detail": None}


def _holder(target: Target) -> str | None:
    run = begin(target, lambda _environment, _text: None)
    backend = backend_of(target.scenario, run)
    try:
        key = lock_key(backend.identity, project_of(target.scenario))
    finally:
        backend.close()
    lock = EnvironmentLock(run.host, key)
    if not lock.is_held():
        return None
    holder = lock.holder()
    return "a run that has just begun" if holder is None else holder.describe()


def _containers(target: Target) -> list[dict[str, Any]]:
    project = project_of(target.scenario)
    engine = engine_of(target.scenario, target.project.environ)
    try:
        found = engine.containers(project)
    finally:
        engine.close()
    return [
        {
            "name": container["Names"][0].lstrip("/"),
            "kind": "function" if container["Labels"].get("com.esb.kind") == "function" else "service",
            "status": container["State"],
            "detail": container["Status"],
            "id": container["Id"][:12],
        }
        for container in found
    ]


def _processes(target: Target) -> list[dict[str, Any]]:
    state = target.state.read()
    rows, known = [], set()
    for name, identity in ((state.services if state is not None else None) or {}).items():
        with suppress(TypeError):  # written by another version, or by hand
            who = ProcessIdentity(**identity)
            known.add(who.pid)
            status = "running" if who.alive else "exited"
            rows.append({"name": name, "kind": "service", "status": status, "detail": f"pid {who.pid}"})
    for pid in marked(mark_of(target.paths)):
        if pid not in known:
            function = variable_of(pid, "AWS_LAMBDA_FUNCTION_NAME")
            row = {"name": function or str(pid), "kind": "function" if function else "process"}
            rows.append({**row, "status": "running", "detail": f"pid {pid}: {_command(pid)}"})
    return rows


def _command(pid: int) -> str:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return b" ".join(words).decode(errors="replace").strip()[:_COMMAND_LENGTH]
    return ""
