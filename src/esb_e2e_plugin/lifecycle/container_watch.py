"""The containers of an environment under watch: until all are well, and that none ends or turns unhealthy."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from esb_e2e_plugin.diagnosis import LAST_LINES, Deviation, Observed, Way, furthest_up
from esb_e2e_plugin.events import Journal, tail
from esb_e2e_plugin.failure import CancelledError, Kind, StepError
from esb_e2e_plugin.lifecycle import container_state
from esb_e2e_plugin.lifecycle.containers import Container, Containers
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.lifecycle.engine import Engine
from esb_e2e_plugin.lifecycle.engine_events import (
    FUNCTION,
    KIND_LABEL,
    SERVICE_LABEL,
    ContainerEvent,
    EventStream,
)
from esb_e2e_plugin.lifecycle.health import HealthCheck, probe
from esb_e2e_plugin.lifecycle.supervisor import GUILTY_LINES, POLL_SECONDS
from esb_e2e_plugin.service_state import ServiceState

_CHECKS_SHOWN = 3
_CAUGHT_UP_LINES = 3
_CAUGHT_UP_BYTES = 256 * 1024
_CATCH_UP_POLL_SECONDS = 0.005
_ALIVE = ("created", "running", "paused", "restarting")
_ENDED = ("exited", "dead")


class ContainerWatch:
    """Follows what the engine tells about an environment's containers and what they write.

    Attributes:
        needs: what each service needs to run, where that is known.
    """

    def __init__(
        self,
        engine: Engine,
        project: str,
        containers: Containers,
        *,
        front_door: str,
        logs: Path,
        journal: Journal,
    ) -> None:
        """Watch nothing yet.

        Args:
            engine: where the containers live.
            project: the compose project.
            containers: those of the environment.
            front_door: the service that it is reached by.
            logs: folder of the log files.
            journal: the environment's log and events.
        """
        self._engine = engine
        self._project = project
        self._containers = containers
        self._front_door = front_door
        self._logs = logs
        self._journal = journal
        self._events: EventStream | None = None
        self._followed: set[str] = set()
        self._told_at: dict[str, float] = {}
        self.needs: Mapping[str, frozenset[str]] = {}

    def begin(self) -> None:
        """Listen to the engine."""
        self.end()
        self._events = self._engine.listen(self._project)

    def end(self) -> None:
        """Stop to listen."""
        if self._events is not None:
            self._events.close()
            self._events = None

    def follow(self, services: Mapping[str, str]) -> None:
        """Copy what containers write into the log files, until they end.

        Args:
            services: ids of the containers by their services.
        """
        for service, container in services.items():
            self._engine.follow(container, self.log_of(service), self._journal.redact)

    def follow_workers(self) -> None:
        """Copy what functions' workers write that run already."""
        for container in self._engine.containers(self._project):
            if container["Labels"].get(KIND_LABEL) == FUNCTION and container["State"] == "running":
                self._follow_worker(container["Id"], container["Names"][0].lstrip("/"))

    def catch_up(self, timeout: float) -> None:
        """Return when the log files hold what the engine has of every container, or the time is up.

        Args:
            timeout: seconds until giving up.
        """
        deadline = time.monotonic() + timeout
        for container in self._engine.containers(self._project):
            path, identity = self._log_of_container(container), container["Id"]
            if path is None:
                continue
            told = "\n".join(self._engine.tail(identity, _CAUGHT_UP_LINES)).encode()
            last = self._journal.redact.hide(told).decode(errors="replace").splitlines()
            while not _holds(path, last) and time.monotonic() < deadline:
                time.sleep(_CATCH_UP_POLL_SECONDS)

    def states(self) -> list[ServiceState]:
        """Return how every container is."""
        found = []
        for container in self._engine.containers(self._project):
            labels, name = container["Labels"], container["Names"][0].lstrip("/")
            if (facts := self._engine.facts(container["Id"])) is None:
                continue  # removed meanwhile
            state = facts["State"]
            running = state["Status"] in _ALIVE
            found.append(
                ServiceState(
                    name=name if labels.get(KIND_LABEL) == FUNCTION else labels.get(SERVICE_LABEL, name),
                    state=state["Status"],
                    function=labels.get(KIND_LABEL) == FUNCTION,
                    health=(state.get("Health") or {}).get("Status"),
                    exit_code=None if running else state["ExitCode"],
                    oom_killed=state.get("OOMKilled"),
                    restarts=facts.get("RestartCount"),
                )
            )
        return sorted(found, key=lambda state: (state.function, state.name))

    def log_of(self, service: str) -> Path:
        """Return the file that a service's output is copied to."""
        return self._logs / f"{service}.log"

    def next(self, timeout: float) -> StepError | None:
        """Wait up to `timeout` seconds for a service to end or to turn unhealthy."""
        errors = [self._unexpected(event) for event in self._listening().next(timeout)]
        return next((error for error in errors if error is not None), None)

    def endure(self, timeout: float) -> None:
        """Wait up to `timeout` seconds whatever services do; what is started again is followed again."""
        for event in self._listening().next(timeout):
            if event.worker:
                self._unexpected(event)
            elif event.action == "start" and self._containers.get(event.service) is not None:
                self._engine.follow(event.container, self.log_of(event.service), self._journal.redact)

    def settle(self, check: HealthCheck, deadline: Deadline, follow: Callable[[], object]) -> None:
        """Wait until every service runs, is healthy, and the front door answers again.

        Args:
            check: how to ask the front door.
            deadline: until when.
            follow: called again and again, to show what the services write.

        Raises:
            StepError: a service is not there any more, or the time is up.
        """
        while True:
            self.endure(POLL_SECONDS)
            follow()
            guilty = self.not_well()
            if guilty is None and probe(check).ok:
                self.endure(POLL_SECONDS)  # the last events about what is well again
                return
            guilty = guilty or self._front_door
            try:
                deadline.check(f"{guilty} to be well again")
            except CancelledError:
                raise
            except StepError as error:
                raise self.failed(guilty, error.message, error.remedy, Kind.HEALTH) from None

    def wait_until_well(
        self, check: HealthCheck, run_id: str, deadline: Deadline, follow: Callable[[], object]
    ) -> None:
        """Wait until every service is healthy and the front door answers.

        Args:
            check: how to ask the front door.
            run_id: what it tells where it tells its run.
            deadline: until when.
            follow: called again and again, to show what the services write.

        Raises:
            StepError: a service ended or turned unhealthy, or the time is up.
        """
        pending = {c.service for c in self._containers.long_running() if c.has_health}
        waiting = sorted({*pending, self._front_door})
        self._journal.event("phase.progress", phase="compose", step="health", waiting=waiting)
        answer = None
        while True:
            for event in self._listening().next(POLL_SECONDS):
                error = self._unexpected(event)
                if error is not None:
                    raise error
                if event.action == "health_status: healthy" and event.service in pending:
                    pending.discard(event.service)
                    self._journal.event("service.state", service=event.service, state="healthy")
            follow()
            if not pending:
                answer = probe(check)
                if answer.ok and (answer.body or {}).get("run_id", run_id) == run_id:
                    # Its event may not be here yet.
                    if (error := self.ended_already()) is not None:
                        raise error
                    return
            guilty = furthest_up(pending or {self._front_door}, self.needs)
            try:
                deadline.check(f"{', '.join(sorted(pending)) or guilty} to become healthy")
            except CancelledError:
                raise
            except StepError as error:
                detail = f"; {check.url} answers {answer.detail}" if answer is not None else ""
                raise self.failed(guilty, f"{error.message}{detail}", error.remedy, Kind.HEALTH) from None

    def gone(self) -> str | None:
        """Return the first service that does not run, and has not done its work either."""
        for container in self._containers.long_running():
            state = self._engine.state(container.id) or {"Status": "removed"}
            is_done = state["Status"] in _ENDED and state["ExitCode"] == 0 and self._is_one_shot(container)
            if state["Status"] != "running" and not is_done:
                return container.service
        return None

    def ended_already(self) -> StepError | None:
        """Return the first service that is not running any more, or unhealthy, as an error."""
        for container in self._containers.long_running():
            error = self._error(self._deviation(container, self._engine.state(container.id)))
            if error is not None:
                return error
        return None

    def observed(self) -> Observed:
        """Return which services are not as they should be, each with its last lines."""
        found = [self._deviation(c, self._engine.state(c.id)) for c in self._containers.long_running()]
        deviations = [
            replace(one, lines=self.last_lines(one.component, GUILTY_LINES))
            for one in found
            if one is not None
        ]
        return Observed(tuple(deviations), self.needs)

    def reason(self, error: StepError) -> StepError:
        """Return why services could not be started: one that has ended or is unhealthy, else `error` itself.

        Args:
            error: what was told about it.
        """
        if (found := self.ended_already()) is not None:
            return found
        observed = self.observed()
        stopped = next((one for one in observed.deviations if f"-{one.component}-" in error.last_line), None)
        if stopped is not None:
            error.component = stopped.component
        return error

    def not_well(self) -> str | None:
        """Return a service that may still become well, or None; raise for one that will not."""
        waiting = None
        for container in self._containers.long_running():
            state = self._engine.inspect(container.id)["State"]
            status, health = state["Status"], state.get("Health") or {"Status": "healthy"}
            if status in ("exited", "dead", "paused"):
                if (error := self._error(self._deviation(container, state))) is not None:
                    raise error
            elif status != "running" or health["Status"] != "healthy":
                waiting = waiting or container.service
        return waiting

    def failed(
        self, service: str, message: str, remedy: str | None = None, kind: Kind | None = None
    ) -> StepError:
        """Return what happened to a service as an error that carries its last lines."""
        self._journal.event("service.state", service=service, state="failed", what=message)
        return StepError(
            message,
            remedy=remedy or LAST_LINES,
            service=service,
            lines=self.last_lines(service, GUILTY_LINES),
            kind=kind,
        )

    def last_lines(self, service: str, count: int) -> tuple[str, ...]:
        """Return the last lines that a service's container wrote."""
        container = self._containers.get(service)
        lines = self._engine.tail(container.id, count) if container else tail(self.log_of(service), count)
        return tuple(self._journal.redact(line) for line in lines)

    def diagnose(self) -> None:
        """Write state and health output of every container into the log."""
        # An engine that has gone away is the cause already; it must not be hidden by another error.
        with suppress(StepError):
            for container in self._engine.containers(self._project):
                name = container["Names"][0].lstrip("/")
                self._journal.line("ps", f"{name}: {container['State']}: {container['Status']}")
                health = (self._engine.inspect(container["Id"])["State"].get("Health") or {}).get("Log") or ()
                for check in health[-_CHECKS_SHOWN:]:
                    self._journal.line("health", f"{name}: {container_state.said_by(check)}")

    def _unexpected(self, event: ContainerEvent) -> StepError | None:
        if event.worker:
            if event.action == "start":
                self._follow_worker(event.container, event.service)
            return None
        container = self._containers.get(event.service)
        if container is None or container.deploy_only:
            return None
        if event.action in ("health_status: unhealthy", "pause", "die"):
            state = self._engine.state(event.container)
            if state is not None:
                # What the engine tells of it later may be another end than the one of the event.
                state = {**state, **_told_by(event, state)}
            return self._error(self._deviation(container, state, event.at))
        return None

    def _follow_worker(self, container: str, name: str) -> None:
        if container in self._followed:  # whoever looked before its event came has begun already
            return
        self._followed.add(container)
        path = self._log_of_worker(name)
        path.parent.mkdir(exist_ok=True)
        self._engine.follow(container, path, self._journal.redact)

    def _log_of_worker(self, name: str) -> Path:
        return self._logs / "functions" / f"{name}.log"

    def _log_of_container(self, container: Mapping[str, Any]) -> Path | None:
        """Return the file that a container's output is copied to; None where nobody copies it."""
        labels = container["Labels"]
        if labels.get(KIND_LABEL) == FUNCTION:
            name = container["Names"][0].lstrip("/")
            self._follow_worker(container["Id"], name)
            return self._log_of_worker(name)
        service = self._containers.get(labels.get(SERVICE_LABEL, ""))
        return self.log_of(service.service) if service is not None and not service.deploy_only else None

    def _deviation(
        self, container: Container, state: Mapping[str, Any] | None, at: float | None = None
    ) -> Deviation | None:
        service = container.service
        has_to_run = not self._is_one_shot(container)
        if at is not None:
            self._told_at.setdefault(service, at)
        since = self._told_at.get(service, time.time())
        return container_state.deviation(service, state, has_to_run=has_to_run, now=since)

    def _error(self, found: Deviation | None) -> StepError | None:
        if found is None or found.way is Way.ENDED_WELL:  # a one-shot service that has done its work
            return None
        kind = Kind.HEALTH if found.way is Way.UNHEALTHY else None
        said = None
        if found.way is Way.ENDED:
            said = container_state.last_error(self.last_lines(found.component, GUILTY_LINES))
        return self.failed(found.component, f"{found.what}: {said}" if said else found.what, kind=kind)

    def _is_one_shot(self, container: Container) -> bool:
        return not container.has_health and container.service != self._front_door

    def _listening(self) -> EventStream:
        if self._events is None:
            self._events = self._engine.listen(self._project)
        return self._events


def _holds(path: Path, lines: Sequence[str]) -> bool:
    """Tell whether the end of a file holds `lines`, or what came after them."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _CAUGHT_UP_BYTES))
            end = file.read().decode(errors="replace")
    except OSError:
        return not lines
    return "\n".join(lines) in "\n".join(end.splitlines())


def _told_by(event: ContainerEvent, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event tells of a container's state."""
    if event.action == "pause":
        return {"Status": "paused"}
    if event.action == "die":
        return {"Status": "exited", "ExitCode": event.exit_code}
    return {"Status": "running", "Health": {**(state.get("Health") or {}), "Status": "unhealthy"}}
