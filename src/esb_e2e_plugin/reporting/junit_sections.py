"""The sections of failed tests in pytest's JUnit file, which of itself takes captured output only."""

from collections.abc import Generator
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from _pytest.junitxml import bin_xml_escape, xml_key  # pytest has no public way to a test's element

PREFIX = "esb "
"""What the titles of this plugin's sections begin with."""


class JunitSections:
    """Writes each section of a failed test as a `system-out` of its element."""

    def __init__(self, config: pytest.Config) -> None:
        """Write into the file of `config`, where one is asked for."""
        self._config = config

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        """Add what a report brings; its element is closed with the report of the teardown."""
        if report.when == "teardown":
            self._add(report)
        result = yield
        if report.when != "teardown":
            self._add(report)
        return result

    def _add(self, report: pytest.TestReport) -> None:
        xml: Any = self._config.stash.get(xml_key, None)
        sections = [section for section in report.sections if section[0].startswith(PREFIX)]
        if xml is None or not report.failed or not sections:
            return
        reporter = xml.node_reporter(report)
        for title, text in sections:
            element = ET.Element("system-out")
            element.text = bin_xml_escape(f"{title}\n{text}")
            reporter.append(element)
