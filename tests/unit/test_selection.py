"""Node ids on the command line: which environments they name, and which tests they mean."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from esb_e2e_plugin.selection import NamedTests

KNOWN = ("e2e-docker", "e2e-docker2", "e2e-docker2-x", "local")


def item(path: Path, nodeid: str) -> pytest.Item:
    return cast("pytest.Item", SimpleNamespace(path=path, nodeid=nodeid))


@pytest.mark.parametrize(
    ("arguments", "environments"),
    [
        (["t.py::test_a[local]"], ("local",)),
        (["t.py::test_a[local-python]"], ("local",)),
        (["t.py::TestA::test_a[e2e-docker2-x]"], ("e2e-docker2-x",)),
        (["t.py::test_a[e2e-docker2-y]"], ("e2e-docker2",)),
        (["t.py::test_a[e2e-docker2-x-y]", "t.py::test_a[e2e-docker-y]"], ("e2e-docker", "e2e-docker2-x")),
        (["t.py::test_a[e2e-docker3]"], ()),
        (["t.py::test_a[python-local]"], ()),
        (["t.py::test_a[local"], ()),
        (["folder[local]/t.py"], ()),
        (["t.py::test_a", "folder"], ()),
        ([], ()),
    ],
)
def test_an_id_names_the_environment_that_leads_its_parameters(
    arguments: list[str], environments: tuple[str, ...], tmp_path: Path
) -> None:
    """The longest name that fits is the one meant; what is no id names none."""
    assert NamedTests(arguments, tmp_path).environments(KNOWN) == environments


def test_only_an_argument_with_parameters_counts(tmp_path: Path) -> None:
    """Paths and ids without parameters leave nothing to look for."""
    assert not NamedTests(["folder", "t.py::test_a", "folder[x]/t.py"], tmp_path)
    assert NamedTests(["t.py::test_a[x]"], tmp_path)


def test_an_item_is_included_by_its_own_file_and_name(tmp_path: Path) -> None:
    """The same name in another file, and another parameter, are other tests."""
    named = NamedTests(["sub/../t.py::TestA::test_a[local-a::b]"], tmp_path)
    assert named.includes(item(tmp_path / "t.py", "t.py::TestA::test_a[local-a::b]"))
    assert not named.includes(item(tmp_path / "u.py", "u.py::TestA::test_a[local-a::b]"))
    assert not named.includes(item(tmp_path / "t.py", "t.py::TestA::test_a[local-a]"))
