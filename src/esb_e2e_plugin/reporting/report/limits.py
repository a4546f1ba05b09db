"""How much of what is known of failed tests a report holds, so that it can be opened whatever has failed."""

from __future__ import annotations

from collections.abc import Iterable

from esb_e2e_plugin.reporting.report.records import Section

SECTION_CHARACTERS = 48_000
"""The longest text of one section."""

REPORT_CHARACTERS = 8_000_000
"""All texts of a report together; afterwards a failed test keeps only its traceback's end."""

_HEAD_SHARE = 4  # what happened last usually matters more
_LEAST_CHARACTERS = 1_500


class Budget:
    """Cuts the sections of one test after the other to what a report may hold."""

    def __init__(self, characters: int = REPORT_CHARACTERS) -> None:
        """Allow `characters` altogether."""
        self._left = characters
        self._seen: set[str] = set()

    def spend(self, sections: Iterable[Section]) -> tuple[Section, ...]:
        """Return the sections of a test, as much of each as fits; a text that repeats costs once."""
        kept = []
        for section in sections:
            longest = SECTION_CHARACTERS if self._left > 0 else _LEAST_CHARACTERS
            text = shortened(section.text, longest)
            if text not in self._seen:
                self._seen.add(text)
                self._left -= len(text)
            kept.append(Section(title=section.title, text=text))
        return tuple(kept)


def shortened(text: str, longest: int) -> str:
    """Return `text` with its middle left out where it is longer than `longest` characters.

    What is left out is whole lines, where there are lines.
    """
    if len(text) <= longest:
        return text
    head, tail = text[: longest // _HEAD_SHARE], text[-(longest - longest // _HEAD_SHARE) :]
    head = head[: head.rfind("\n") + 1] or head
    tail = tail[tail.find("\n") + 1 :] or tail
    left_out = len(text) - len(head) - len(tail)
    return f"{head.rstrip()}\n… {left_out} characters left out …\n{tail}"
