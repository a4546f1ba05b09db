"""The examples of a page of the documentation."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a page that are in a language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def sessions(page: Path) -> list[tuple[str, list[str]]]:
    """Return each command that a page shows, and what it shows of its output."""
    found: list[tuple[str, list[str]]] = []
    for line in "".join(blocks(page, "console")).splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found


def check_shown(lines: list[str], output: str) -> None:
    """Assert that lines of a page are in an output in their order, whatever the times and widths."""
    found, place = _comparable(output), 0
    for line in lines:
        place = found.find(_comparable(line), place)
        assert place >= 0, f"no {line!r} in its place in:\n{output}"


def _comparable(text: str) -> str:
    return re.sub(r" +", " ", re.sub(r"\d+\.\d s", "_ s", text))
