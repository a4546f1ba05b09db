"""Hides secrets in what pytest tells of tests: failure texts, captured output, log records, warnings."""

import logging
from collections.abc import Callable, Generator
from typing import Any

import pytest

_PYTEST = "_pytest."
_HANDLERS = ("log_cli_handler", "log_file_handler", "caplog_handler", "report_handler")


class RedactedReports:
    """A plugin that hides secrets in every report before anybody shows, writes or sends it.

    What a test writes past pytest's capture (`-s`) is out of reach.
    """

    def __init__(self, config: pytest.Config, redact: Callable[[str], str]) -> None:
        """Hide what `redact` hides."""
        self._config = config
        self._redact = redact

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Hide secrets in live and file logs."""
        logs = self._config.pluginmanager.get_plugin("logging-plugin")
        for name in _HANDLERS:
            handler = getattr(logs, name, None)
            if isinstance(handler, logging.Handler):
                handler.setFormatter(_Formatter(handler.formatter, self._redact))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Hide secrets in a report that was made here."""
        report = yield
        self._hide(report)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hide secrets in a report that a worker has sent, or that another plugin has made."""
        self._hide(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Hide secrets in why something could not be collected."""
        self._hide(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: Any) -> None:
        """Hide secrets in a warning."""
        text = str(warning_message.message)
        if (hidden := self._redact(text)) != text:
            warning_message.message = UserWarning(hidden)

    def _hide(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        redact = self._redact
        report.sections = [(redact(name), redact(text)) for name, text in report.sections]
        if properties := getattr(report, "user_properties", None):
            report.user_properties = [  # type: ignore[union-attr]
                (name, redact(value) if isinstance(value, str) else value) for name, value in properties
            ]
        if report.longrepr is None:
            return
        report.longrepr = _hidden(report.longrepr, redact, set())
        # A plugin's own way to show an error is at least shown without secrets.
        if (text := str(report.longrepr)) != redact(text):
            report.longrepr = redact(text)


class _Formatter(logging.Formatter):
    """Formats as another formatter does, without secrets."""

    def __init__(self, inner: logging.Formatter | None, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(self._inner.format(record))


def _hidden(value: Any, redact: Callable[[str], str], seen: set[int]) -> Any:
    """Return a part of a failure's representation with secrets hidden; pytest's own objects are changed."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        value[:] = [_hidden(one, redact, seen) for one in value]
    elif isinstance(value, tuple):
        return tuple(_hidden(one, redact, seen) for one in value)
    elif type(value).__module__.startswith(_PYTEST) and id(value) not in seen:
        seen.add(id(value))
        for name, one in list(getattr(value, "__dict__", {}).items()):
            object.__setattr__(value, name, _hidden(one, redact, seen))
    return value
