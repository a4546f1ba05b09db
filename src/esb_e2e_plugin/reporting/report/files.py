"""Reports as files: how they are written and read."""

from __future__ import annotations

from pathlib import Path

from esb_e2e_plugin.errors import UserError
from esb_e2e_plugin.reporting.report import html_file, json_file
from esb_e2e_plugin.reporting.report.records import Report
from esb_e2e_plugin.store import write_atomically

_READABLE = 0o644  # secrets are hidden, and CI uploads it as somebody else


def write(report: Report, path: Path) -> None:
    """Write a report in the format of its suffix, whole or not at all; its folder is made.

    Raises:
        OSError: it could not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    dump = html_file.dump if path.suffix == ".html" else json_file.dump
    write_atomically(path, dump(report), _READABLE)


def read(path: Path) -> Report:
    """Read a report.

    Raises:
        UserError: the file cannot be read, or is no report.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}", "expected a report of --esb-report") from None
    load = html_file.load if path.suffix == ".html" else json_file.load
    return load(text, str(path))
