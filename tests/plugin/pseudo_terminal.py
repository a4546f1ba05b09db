"""pytest runs in a pseudo terminal, and what a person sees of them."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyte

_SECONDS = 120.0
_WHOLE = re.compile(
    rb"\x1b\[[0-9;?]*[A-Za-z]"  # cursor, erase, colours
    rb"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and progress
)


@dataclass(frozen=True)
class Seen:
    """What a run has left on a terminal.

    Attributes:
        code: its exit code.
        raw: every byte that it wrote.
        lines: what stands there at the end, from the first line on, without trailing blanks.
        screens: what stood there at each time that something came.
        cursor_hidden: whether the cursor is away.
    """

    code: int
    raw: bytes
    lines: list[str]
    screens: list[list[str]]
    cursor_hidden: bool

    @property
    def broken(self) -> list[bytes]:
        """Escape characters that begin no whole sequence."""
        rest = _WHOLE.sub(b"", self.raw)
        return [rest[at : at + 20] for at in range(len(rest)) if rest[at] == 0x1B]


def run(
    folder: Path,
    arguments: Sequence[str],
    *,
    columns: int = 100,
    rows: int = 30,
    variables: Mapping[str, str] | None = None,
    interrupt_at: str | None = None,
    resize: tuple[str, int] | None = None,
) -> Seen:
    """Run pytest to its end.

    Args:
        folder: the working directory.
        arguments: of the command line.
        columns: the terminal's width.
        rows: its height.
        variables: environment variables beside this process's own.
        interrupt_at: press Ctrl-C once this is to be seen.
        resize: once the first is to be seen, the terminal gets the second as its width.
    """
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    screen = pyte.HistoryScreen(columns, rows, history=5000, ratio=0.5)
    stream = pyte.ByteStream(screen)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=folder,
        env={**os.environ, "TERM": "xterm-256color", **(variables or {})},
        stdin=writer,
        stdout=writer,
        stderr=writer,
        start_new_session=True,
    )
    os.close(writer)
    raw, screens, deadline = b"", [], time.monotonic() + _SECONDS
    try:
        while True:
            assert time.monotonic() < deadline, f"still running:\n{_text(screen)}"
            try:
                chunk = os.read(reader, 65536)
            except OSError:  # how a terminal says that nobody has it open any more
                break
            if not chunk:
                break
            raw += chunk
            stream.feed(chunk)
            screens.append([line.rstrip() for line in screen.display])
            seen = "\n".join(screens[-1])
            if interrupt_at is not None and interrupt_at in seen:
                os.killpg(process.pid, signal.SIGINT)
                interrupt_at = None
            if resize is not None and resize[0] in seen:
                fcntl.ioctl(reader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, resize[1], 0, 0))
                screen.resize(rows, resize[1])
                resize = None
        code = process.wait(_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(reader)
    return Seen(code, raw, _text(screen).splitlines(), screens, screen.cursor.hidden)


def _text(screen: pyte.HistoryScreen) -> str:
    left = ["".join(line[column].data for column in range(screen.columns)) for line in screen.history.top]
    return "\n".join(line.rstrip() for line in [*left, *screen.display]).rstrip()
