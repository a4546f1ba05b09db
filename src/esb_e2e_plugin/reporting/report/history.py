"""What the events of an environment tell: phases, steps, services, and what happened at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from esb_e2e_plugin.reporting.report.records import EventRecord, Phase, Span

_MOST_EVENTS = 2000  # a service that restarts for ever must not fill the report
_LONGEST_TEXT = 500


@dataclass(frozen=True)
class History:
    """What happened to an environment; see `records.EnvironmentRecord`."""

    phases: tuple[Phase, ...]
    steps: tuple[Span, ...]
    services: tuple[Span, ...]
    events: tuple[EventRecord, ...]


def history(events: Iterable[Mapping[str, Any]], run_id: str) -> History:
    """Read the events of an environment.

    Args:
        events: the records of `events.jsonl`, in their order; kinds that are not known are passed over.
        run_id: the run to tell of; events of other runs are passed over.
    """
    reading = _Reading()
    for event in events:
        if event.get("run") == run_id:
            reading.take(event)
    return reading.result()


@dataclass
class _Reading:
    phases: list[Phase] = field(default_factory=list)
    steps: list[Span] = field(default_factory=list)
    services: list[Span] = field(default_factory=list)
    events: list[EventRecord] = field(default_factory=list)
    step: Span | None = None
    commands: dict[str, Span] = field(default_factory=dict)
    up: dict[str, Span] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any]) -> None:
        at = float(event["t"])
        match event["kind"]:
            case "phase.started":
                self._phase_started(str(event["phase"]), at)
            case "phase.progress":
                self._end_step(at)
                self.step = Span(name=f"{event['phase']}: {event['step']}", started=at)
            case "phase.finished":
                self._phase_finished(event, at)
            case "command.started":
                detail = " ".join(map(str, event["command"]))[:_LONGEST_TEXT]
                self.commands[event["service"]] = Span(name=event["service"], started=at, detail=detail)
            case "command.finished":
                self._command_finished(event, at)
            case "service.state":
                self._service(event, at)
            case "lease.moved":
                text = f"ports at {event['base']} passed over: {event['reason']}"
                self._tell(EventRecord(at=at, kind="lease", subject="", text=text))
            case "cleanup.left":
                for thing in event["things"]:
                    self._tell(EventRecord(at=at, kind="left", subject="", text=str(thing), bad=True))

    def result(self) -> History:
        self._end_step(None)
        for span in self.commands.values():
            self.steps.append(span)
        for span in self.up.values():
            self.services.append(span)
        in_order = sorted(self.steps, key=lambda span: span.started)
        services = sorted(self.services, key=lambda span: span.started)
        return History(tuple(self.phases), tuple(in_order), tuple(services), tuple(self.events))

    def _phase_started(self, name: str, at: float) -> None:
        if self.phases and self.phases[-1].finished is None:
            self.phases[-1] = replace(self.phases[-1], finished=at)
        self.phases.append(Phase(name=name, started=at))
        if name == "cleanup":
            for service in list(self.up):
                self._ended(service, at, ok=None)

    def _phase_finished(self, event: Mapping[str, Any], at: float) -> None:
        ok, cause = bool(event["ok"]), str(event.get("cause", ""))
        self._end_step(at, ok=ok)
        if self.phases and self.phases[-1].name == event["phase"] and self.phases[-1].ok is None:
            self.phases[-1] = replace(self.phases[-1], finished=at, ok=ok, cause=cause)

    def _end_step(self, at: float | None, *, ok: bool | None = True) -> None:
        if self.step is not None:
            self.steps.append(replace(self.step, finished=at, ok=ok if at is not None else None))
            self.step = None

    def _command_finished(self, event: Mapping[str, Any], at: float) -> None:
        name, status = str(event["service"]), event["exit"]
        if name in self.up:
            self._ended(name, at, ok=None)
        elif (span := self.commands.pop(name, None)) is not None:
            told = "" if status in (0, None) else f" (exit {status})"
            ok = None if status is None else status == 0
            self.steps.append(replace(span, finished=at, ok=ok, detail=span.detail + told))

    def _service(self, event: Mapping[str, Any], at: float) -> None:
        name, state = str(event["service"]), str(event["state"])
        bad = state in ("exited", "failed", "unhealthy", "died")
        more = " ".join(str(event[key]) for key in ("what", "reason") if event.get(key))
        if event.get("exit") is not None:
            more = f"{more} exit {event['exit']}".strip()
        text = f"{state}: {more}" if more else state
        self._tell(EventRecord(at=at, kind="service", subject=name, text=text[:_LONGEST_TEXT], bad=bad))
        if state == "healthy" and name not in self.up:
            self.services.append(self._coming_up(name, at))
            self.up[name] = Span(name=name, started=at, detail="up")
        elif bad:
            self._ended(name, at, ok=False)

    def _coming_up(self, name: str, at: float) -> Span:
        if (started := self.commands.pop(name, None)) is not None:
            return replace(started, finished=at, ok=True)
        # A container starts after what made it, else some time in this phase.
        made = [span.finished for span in self.steps if span.name == "compose-create" and span.finished]
        begun = made[-1] if made else self.phases[-1].started if self.phases else at
        return Span(name=name, started=min(begun, at), finished=at, ok=True, detail="coming up")

    def _ended(self, name: str, at: float, *, ok: bool | None) -> None:
        if (span := self.up.pop(name, None)) is not None:
            self.services.append(replace(span, finished=at, ok=ok))

    def _tell(self, event: EventRecord) -> None:
        if len(self.events) < _MOST_EVENTS:
            self.events.append(event)
