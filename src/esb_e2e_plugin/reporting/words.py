"""How the state of an environment reads: in the live display's rows, and in a sentence. Pure."""

from collections.abc import Callable, Sequence

from _pytest._io.wcwidth import wcwidth

from esb_e2e_plugin.reporting.board import ENDED, ERROR, FAILED, OUTCOMES, PASSED, QUEUED, Standing

_STEPS = {
    "leases": "ports and subnets",
    "images": "images of the services",
    "build": "docker compose build",
    "create": "docker compose create",
    "start": "containers to start",
    "health": "services to become healthy",
    "prepare-images": "images of the functions",
    "apply": "artifacts to be applied",
    "publish": "configuration to be copied",
    "provisioner": "provisioner",
    "gateway": "gateway to serve the configuration",
    "hooks": "pytest_esb_deploy hooks",
}
_PHASES = {
    QUEUED: "room to start",
    "reset": "what an earlier run left to be removed",
    "compose": "services",
    "deploy": "artifacts",
    "cleanup": "everything to be removed",
}
_WAITING = "waiting for "
_MOST_NAME = 24
_PHASE_WIDTH = len("compose")
_MINUTE = 60

Markup = Callable[..., str]
"""Colours a text, by the names of pytest's terminal writer, where there are colours."""


def row(standing: Standing, now: float, name_width: int, columns: int, markup: Markup) -> str:
    """Return one row of the live display, at most `columns` wide.

    Args:
        standing: the environment.
        now: seconds of the clock that it was told of.
        name_width: how wide the names of all environments are shown.
        columns: how wide the row may be.
        markup: colours.
    """
    state, colour = _state(standing)
    clock = "" if standing.phase in ("", ENDED) else duration(now - standing.since)
    parts = [
        (padded(standing.name, min(name_width, _MOST_NAME, columns // 3)), {"bold": True}),
        (padded(state, _PHASE_WIDTH), {colour: True}),
        (f"{clock:>5}", {}),
        (_detail(standing, now), {}),
    ]
    shown, left = [], columns
    for text, style in parts:
        if left <= 1:
            break
        if width(text) > left:
            text = text.removeprefix(_WAITING)
        piece = cut(text, left)
        shown.append(markup(piece, **style))
        left -= width(piece) + 1
    return " ".join(shown).rstrip()


def sentence(standing: Standing, now: float) -> str:
    """Return what goes on in an environment, as `compose: waiting for database (4 s)`."""
    detail = _detail(standing, now)
    clock = "" if standing.phase == "test" else f" ({duration(now - standing.since)})"
    return f"{standing.phase}: {detail}{clock}"


def duration(seconds: float) -> str:
    """Return whole seconds as `7 s`, and from a minute on as `2:05`."""
    whole = max(0, int(seconds))
    return f"{whole} s" if whole < _MINUTE else f"{whole // _MINUTE}:{whole % _MINUTE:02d}"


def width(text: str) -> int:
    """Return how many columns a text takes on a terminal."""
    return sum(max(0, wcwidth(character)) for character in text)


def cut(text: str, columns: int) -> str:
    """Return `text` on at most `columns` columns, with `…` at its end where it is longer."""
    if width(text) <= columns:
        return text
    shown, used = "", 0
    for character in text:
        if used + max(0, wcwidth(character)) > columns - 1:
            break
        shown += character
        used += max(0, wcwidth(character))
    return f"{shown}…" if columns > 0 else ""


def padded(text: str, columns: int) -> str:
    """Return `text` on exactly `columns` columns."""
    shown = cut(text, columns)
    return shown + " " * (columns - width(shown))


def _state(standing: Standing) -> tuple[str, str]:
    if standing.phase == ENDED:
        failed = standing.cause or standing.counts[FAILED] or standing.counts[ERROR]
        return ("failed", "red") if failed else ("done", "green")
    if standing.cause is not None:
        return standing.phase, "red"
    return standing.phase or "-", "green" if standing.phase == "test" else "cyan"


def _detail(standing: Standing, now: float) -> str:
    if standing.phase == ENDED:
        return standing.cause or _tests(standing)
    if standing.phase == "test":
        return "; ".join(part for part in (_tests(standing), _running(standing, now)) if part)
    if standing.phase == "":
        return "no test has asked for it yet"
    if standing.cause is not None and standing.phase != "cleanup":
        return f"failed: {standing.cause}"
    if standing.step == "lock":
        return f"waiting: held by {', '.join(standing.waiting)}"
    what = ", ".join(standing.waiting) or _STEPS.get(standing.step) or _PHASES.get(standing.phase, "")
    return f"{_WAITING}{what}{f': {standing.image}' if standing.image else ''}"


def _tests(standing: Standing) -> str:
    counts = standing.counts
    others = [f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if outcome != PASSED and counts[outcome]]
    return ", ".join([f"{counts[PASSED]}/{standing.total} passed", *others])


def _running(standing: Standing, now: float) -> str:
    if not standing.running:
        return ""
    test, since = min(standing.running.items(), key=lambda item: item[1])
    more = f" and {len(standing.running) - 1} more" if len(standing.running) > 1 else ""
    return f"{short_id(test, standing.profile)}{more} ({duration(now - since)})"


def short_id(test: str, profile: str) -> str:
    """Return the last part of a node id without the environment that its parameters begin with."""
    name, _, parameters = test.rpartition("::")[2].partition("[")
    rest = parameters.removesuffix("]").removeprefix(profile).removeprefix("-")
    return f"{name}[{rest}]" if rest else name


def region(standings: Sequence[Standing], now: float, columns: int, rows: int, markup: Markup) -> list[str]:
    """Return the rows of the live display, as many as a terminal has room for.

    Args:
        standings: the environments.
        now: seconds of the clock that they were told of.
        columns: the terminal's width.
        rows: its height.
        markup: colours.
    """
    room = max(1, rows - 2)  # pytest's own line stays in sight, and the cursor has one below
    asked = [standing for standing in standings if standing.phase]
    shown = asked
    if len(asked) > room:
        # What goes on is worth more than what has ended.
        shown = sorted(asked, key=lambda standing: standing.phase in (ENDED, QUEUED))[: room - 1]
    name_width = max((width(standing.name) for standing in shown), default=0)
    # A row that fills the last column would make some terminals begin another one.
    lines = [row(standing, now, name_width, columns - 1, markup) for standing in shown]
    if len(asked) > len(shown):
        lines.append(cut(f"and {len(asked) - len(shown)} more environments", columns - 1))
    return lines
