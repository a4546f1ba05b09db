"""The report as one page that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from functools import cache
from importlib import resources

from esb_e2e_plugin.errors import UserError
from esb_e2e_plugin.reporting.report import compact
from esb_e2e_plugin.reporting.report.records import Report

_SCRIPTS = ("model.js", "dom.js", "overview.js", "timeline.js", "grid.js", "panel.js", "main.js")
_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
_MARK = re.compile(r"\{\{(\w+)\}\}")
# Nothing is loaded and nothing runs but the style and the script of the page itself.
_POLICY = (
    "default-src 'none'; style-src {style}; script-src {script}; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


def dump(report: Report) -> str:
    """Return a report as a page."""
    style, script = _page("page.css"), "".join(map(_page, _SCRIPTS))
    parts = {
        "policy": _POLICY.format(style=_digest(style), script=_digest(script)),
        "title": html.escape(f"esb report {', '.join(run.id for run in report.runs)}"),
        "style": style,
        "script": script,
        "data": _inert(json.dumps(compact.pack(report), ensure_ascii=False, separators=(",", ":"))),
    }
    return _MARK.sub(lambda mark: parts[mark[1]], _page("page.html"))


def load(text: str, label: str) -> Report:
    """Read a report from its page.

    Args:
        text: what `dump` returned.
        label: where it was found, for messages.

    Raises:
        UserError: it is no report, or one of another version.
    """
    found = _DATA.search(text)
    if found is None:
        raise UserError(f"{label}: this is no report", "expected a report of --esb-report")
    try:
        data = json.loads(found[1])
    except ValueError as error:
        raise UserError(f"{label}: {error}", "expected a report of --esb-report") from None
    return compact.unpack(data, label)


@cache
def _page(name: str) -> str:
    return resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _inert(data: str) -> str:
    """Keep data from ending the element that they stand in."""
    return data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
