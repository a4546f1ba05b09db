"""What pytest's JUnit file says about environments, as properties of its suite."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from esb_e2e_plugin.reporting.report.records import EnvironmentRecord, RunRecord


def properties(run: RunRecord) -> Iterator[tuple[str, str]]:
    """Yield name and value of each property, such as `esb.e2e-docker.result` and `passed`."""
    yield "esb.run", run.id
    for environment in run.environments:
        for name, value in _properties(environment):
            yield f"esb.{environment.name}.{name}", value


def with_properties(xml: str, run: RunRecord) -> str:
    """Return pytest's JUnit file with the properties of a run in its first suite.

    Raises:
        ElementTree.ParseError: this is no XML.
    """
    root = ET.fromstring(xml)  # noqa: S314  pytest has just written it
    suite = root if root.tag == "testsuite" else root.find("testsuite")
    if suite is None:
        return xml
    found = suite.find("properties")
    if found is None:
        found = ET.Element("properties")
        suite.insert(0, found)
    for name, value in properties(run):
        ET.SubElement(found, "property", name=name, value=value)
    return '<?xml version="1.0" encoding="utf-8"?>' + ET.tostring(root, encoding="unicode")


def _properties(environment: EnvironmentRecord) -> Iterator[tuple[str, str]]:
    yield "profile", environment.profile
    yield "mode", environment.mode
    yield "result", {True: "passed", False: "failed", None: "not started"}[environment.ok]
    for failure in environment.failures[:1]:
        yield "failed_in", failure.phase
        yield "class", failure.kind
        yield "component", failure.component
        yield "cause", failure.cause
        if failure.remedy:
            yield "remedy", failure.remedy
    for phase in environment.phases:
        if phase.finished is not None:
            yield f"{phase.name}.seconds", f"{phase.finished - phase.started:.3f}"
    yield "log", environment.log
