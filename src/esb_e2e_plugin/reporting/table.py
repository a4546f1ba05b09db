"""The table of all environments at the end of a run, as wide as the terminal allows. Pure."""

from collections.abc import Sequence

from esb_e2e_plugin.reporting.board import ERROR, FAILED, OUTCOMES, PASSED, Standing
from esb_e2e_plugin.reporting.words import padded, width

_PHASES = ("reset", "compose", "deploy", "test", "cleanup")
_ALWAYS = (PASSED, FAILED)
_HEADS = {ERROR: "errors"}
_GAP = 2
_MINUTE = 60
_LEAST = ("cleanup", "reset", "test", "deploy", "compose")


def table(standings: Sequence[Standing], results: Sequence[str], columns: int) -> list[str]:
    """Return the table's lines, the first one its heads.

    Where not all fits, phases are left out, from the one that tells least; where even a narrow table does not
    fit, each environment gets lines of its own.

    Args:
        standings: the environments.
        results: how each of them did.
        columns: how wide the terminal is.
    """
    named = [("environment", [standing.name for standing in standings]), ("result", [*results])]
    counts = [
        (_HEADS.get(outcome, outcome), [str(standing.counts[outcome]) for standing in standings])
        for outcome in OUTCOMES
        if outcome in _ALWAYS or any(standing.counts[outcome] for standing in standings)
    ]
    phases = {
        phase: (phase, [_seconds(standing.seconds.get(phase)) for standing in standings])
        for phase in _PHASES
        if any(phase in standing.seconds for standing in standings)
    }
    for left_out in range(len(_PHASES) + 1):
        kept = [cells for phase, cells in phases.items() if phase not in _LEAST[:left_out]]
        made = _aligned([*named, *kept, *counts], columns)
        if made:
            return made
    return _stacked([*named, *phases.values(), *counts], columns)


def _aligned(cells: Sequence[tuple[str, Sequence[str]]], columns: int) -> list[str]:
    """Return one line for each environment; none where they are too wide."""
    widths = [max(width(head), *map(width, values)) for head, values in cells]
    if sum(widths) + _GAP * (len(widths) - 1) > columns:
        return []
    rows = [[head for head, _ in cells], *zip(*(values for _, values in cells), strict=True)]
    lines = []
    for row in rows:
        shown = [
            padded(text, size) if column < 2 else " " * (size - width(text)) + text
            for column, (text, size) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((" " * _GAP).join(shown).rstrip())
    return lines


def _stacked(cells: Sequence[tuple[str, Sequence[str]]], columns: int) -> list[str]:
    """Return for each environment its name and result, and all else below, broken where it has to be."""
    (_, names), (_, results), *others = cells
    lines = []
    for index, (name, result) in enumerate(zip(names, results, strict=True)):
        lines.append(f"{name}: {result}")
        line = ""
        for head, values in others:
            if values[index] in ("", "0"):
                continue
            word = f"{head} {values[index]}"
            if line and width(line) + _GAP + width(word) > columns:
                lines.append(line)
                line = ""
            line = f"{line}, {word}" if line else f"  {word}"
        lines += [line] if line else []
    return lines


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // _MINUTE}:{int(seconds) % _MINUTE:02d}"
