"""What dead runs have left: of this project, on its engines, and as processes of this machine.

A run is dead when nobody holds the lock of its environment although the lock's file still names it, or the
process that wrote the environment's state has ended. What is recorded as kept is nobody's leftover.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from esb_cli.project import Project, Target
from esb_cli.running import begin, held
from esb_e2e_plugin.context import states_folder
from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.lifecycle import ending
from esb_e2e_plugin.lifecycle.backend import backend_of, engine_of, mark_of, project_of
from esb_e2e_plugin.lifecycle.engine import Engine
from esb_e2e_plugin.lifecycle.engine_inventory import Inventory
from esb_e2e_plugin.locks import EnvironmentLock, lock_key
from esb_e2e_plugin.networks import SubnetLedger
from esb_e2e_plugin.ports import PortLedger
from esb_e2e_plugin.processes import MARK, described, end_marked, marked, variable_of
from esb_e2e_plugin.store import StateFile

_MOMENT_SECONDS = 1.0
_END_SECONDS = 30.0
_PRUNE = "esb prune"


@dataclass(frozen=True)
class Leftover:
    """What dead runs have left of one environment.

    Attributes:
        environment: its name.
        where: what it was found by: a state folder, or an engine.
        remove: removes it, unless a run has taken it meanwhile; returns what stays.
    """

    environment: str
    where: str
    remove: Callable[[], list[str]]


def leftovers(project: Project, host: Path) -> Iterator[Leftover]:
    """Yield what dead runs have left, each environment once.

    Args:
        project: the project that the command is called in.
        host: the folder of locks and leases.

    Raises:
        EsbError: an engine does not answer.
    """
    marks = set()
    projects = set()
    for target in _targets(project):
        marks.add(mark_of(target.paths))
        if (found := _of_project(target, host)) is not None:
            projects.add(project_of(target.scenario))
            yield found
    for mark in sorted(_marks() - marks):
        if (found := _of_mark(mark, host)) is not None:
            yield found
    for engine in engines(project):
        try:
            for name in sorted({made.project for made in Inventory(engine).made()} - projects):
                if (found := _of_engine(engine, name, host)) is not None:
                    yield found
        finally:
            engine.close()


def engines(project: Project) -> Iterator[Engine]:
    """Yield the engines that answer of those on which environments of a project may be, each once."""
    seen: set[str] = set()
    for entry in project.matrix.entries:
        if entry.mode == "process":
            continue
        with suppress(EsbError):  # one that is planned, or away
            engine = engine_of(project.target(entry.name).scenario, project.environ)
            if engine.id in seen:
                engine.close()
                continue
            seen.add(engine.id)
            yield engine


def _targets(project: Project) -> Iterator[Target]:
    folder = states_folder(project.root)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if any(each.name != "events.jsonl" for each in path.iterdir()) and StateFile(path).profile():
            with suppress(EsbError):  # its entry of the matrix is gone: found by marks and labels
                yield project.target(path.name)


def _of_project(target: Target, host: Path) -> Leftover | None:
    state = target.state.read()
    if state is not None and (state.status == "kept" or state.owner.alive):
        return None
    run = begin(target, _nobody, wait=False)
    backend = backend_of(target.scenario, run)
    key = lock_key(backend.identity, project_of(target.scenario))
    backend.close()
    if EnvironmentLock(host, key).is_held() or PortLedger(host).is_kept(key):
        return None

    def remove() -> list[str]:
        with held(target, run) as holding:
            now = target.state.read()
            if now is not None and now.status == "kept":  # by a run that has ended meanwhile
                holding.give_back()
                return []
            failure = ending.remove(holding)
        return [] if failure is None else [failure.cause]

    return Leftover(target.name, str(target.paths.state), remove)


def _of_mark(mark: str, host: Path) -> Leftover | None:
    """Return processes of an environment of another project, whose owner has ended."""
    state = StateFile(Path(mark)).read()
    if state is not None and (state.status == "kept" or state.owner.alive):
        return None
    key = next((path.stem for path in _lock_files(host) if _is_key_of(path.stem, mark)), None)
    if key is None:  # of an engine's environment, found by its labels, or of another user's
        return None
    run_id = _dead_run(key, host)
    if run_id is None:
        return None

    def remove() -> list[str]:
        with _in_place_of(run_id, key, host) as taken:
            return described(end_marked(mark, _END_SECONDS)) if taken else []

    return Leftover(Path(mark).name, mark, remove)


def _of_engine(engine: Engine, project: str, host: Path) -> Leftover | None:
    """Return what is labelled for an environment by a run that the free lock still names."""
    key = lock_key(engine.id, project)
    run_id = _dead_run(key, host)
    made = [each for each in Inventory(engine).made() if each.project == project]
    if run_id is None or {each.run for each in made} != {run_id}:
        return None

    def remove() -> list[str]:
        with _in_place_of(run_id, key, host) as taken:
            return engine.remove_all(project) if taken else []

    return Leftover(made[0].environment, f"project {project} on the engine", remove)


def _dead_run(key: str, host: Path) -> str | None:
    """Return the run that a lock names although nobody holds it; None where the environment is kept."""
    lock = EnvironmentLock(host, key)
    holder = lock.holder()
    if holder is None or lock.is_held() or PortLedger(host).is_kept(key):
        return None
    return holder.run_id


@contextmanager
def _in_place_of(run_id: str, key: str, host: Path) -> Iterator[bool]:
    """Hold the lock of an environment in place of a dead run; false where it is another one's by now."""
    lock = EnvironmentLock(host, key)
    if not lock.inherit(run_id, _PRUNE, _MOMENT_SECONDS):
        yield False
        return
    try:
        yield True
        PortLedger(host).release(key)
        for name in (key, f"{key}-functions"):
            SubnetLedger(host).release(name)
    finally:
        lock.release()


def _marks() -> set[str]:
    """Return the marks of this user's processes."""
    pids = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    found = {mark for pid in pids if (mark := variable_of(pid, MARK)) is not None}
    return {mark for mark in found if next(marked(mark), None) is not None}


def _lock_files(host: Path) -> list[Path]:
    folder = host / "locks"
    return sorted(folder.glob("*.lock")) if folder.is_dir() else []


def _is_key_of(key: str, mark: str) -> bool:
    return key == lock_key(mark, key.rpartition("-")[0])


def _nobody(_environment: str, _text: str) -> None:
    """Lines of a look go nowhere."""
