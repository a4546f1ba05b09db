"""What the summary says of a failed environment: why, what to do, and the commands to go on with. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from esb_e2e_plugin.failure import Failure
from esb_e2e_plugin.reporting.summary import clipped, readable

_COLUMN = 11
_UP = ("test",)  # phases in which an environment has been up


@dataclass(frozen=True)
class Place:
    """An environment, as commands find it.

    Attributes:
        command: what runs its scenarios.
        removal: what removes it.
        test: the failed test as an argument of it, or empty.
        running: whether it was left running.
        attached: whether it was found running.
        look: what shows a person what is left of it when it did not come up.
        log: its log.
    """

    command: str
    removal: str
    test: str
    running: bool
    attached: bool
    look: str
    log: str


def block(failure: Failure, place: Place, *, tests: int, tail: Sequence[str], cleaned_up: bool) -> list[str]:
    """Return the lines below `Failed: <environment> > <phase>`; who is guilty and what to do come first.

    Args:
        failure: why it failed.
        place: how commands find the environment.
        tests: how many tests ended in this failure.
        tail: the last lines of its log.
        cleaned_up: whether its removal left nothing.
    """
    # A failed assertion may quote a whole document; any other cause is one sentence, and wanted whole.
    cause = clipped(failure.cause) if failure.test else failure.cause
    lines = [
        *_entry("class", failure.kind),
        *_entry("component", failure.component),
        *_entry("cause", cause),
        *_entry("remedy", failure.remedy),
        *_entry("tests", f"{tests} ended in this error" if tests else ""),
    ]
    if failure.service_lines:
        lines.append(f"last lines of {failure.service}:")
        lines += [f"  {clipped(readable(line))}" for line in failure.service_lines]
    if tail:
        lines.append(f"last {len(tail)} lines of {place.log}:")
        for line in tail:
            head, separator, rest = line.partition("] ")
            lines.append(f"  {clipped(head + separator + readable(rest, clock=False))}")
    lines += _entry("log", place.log)
    lines += _entry("reproduce", _reproduce(place))
    lines += _entry("enter", *_enter(failure.phase, place))
    return lines + _entry("clean up", _clean_up(failure.phase, place, cleaned_up=cleaned_up))


def _entry(name: str, *values: str) -> list[str]:
    shown = [value for value in values if value]
    heads = [f"{name}:", *("" for _ in shown[1:])]
    return [f"{head:<{_COLUMN}}{value}" for head, value in zip(heads, shown, strict=False)]


def _reproduce(place: Place) -> str:
    attached = ["--esb-test-only"] if place.attached and place.running else []
    return " ".join(filter(None, [place.command, *attached, place.test]))


def _enter(phase: str, place: Place) -> list[str]:
    """Return what leads into the environment: where it still runs at once, else by another run."""
    if phase in ("reset", "cleanup") or (place.attached and not place.running):
        return []
    into = f"{place.command} --esb-test-only" if phase in _UP else place.look
    if place.running:
        return [into]
    return [" ".join(filter(None, [place.command, "--esb-keep-failed", place.test])), into]


def _clean_up(phase: str, place: Place, *, cleaned_up: bool) -> str:
    if place.running:
        return place.removal
    return "done, nothing is left" if cleaned_up and phase != "reset" and not place.attached else ""
