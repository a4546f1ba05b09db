"""The hooks of every pytest session; what they do lives elsewhere, and is imported when it is needed.

A session with environments registers two more plugins: `session.OwnerSession` (in an xdist worker
`worker_session.WorkerSession`), and in a controller `distribution.ControllerSide`. Any other session pays for
nothing but this module.
"""

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from esb_e2e_plugin import options, pytest_options
from esb_e2e_plugin.errors import UserError
from esb_e2e_plugin.fixtures import (
    esb_dynamodb,
    esb_environment,
    esb_gateway,
    esb_gateway_url,
    esb_lambda,
    esb_logs,
    esb_ports,
    esb_s3,
    esb_token,
)
from esb_e2e_plugin.keys import BRINGUP, SELECTION, TERMINAL
from esb_e2e_plugin.selection import (
    EXCLUSIVE,
    Selection,
    environment_of,
    is_exclusive,
    needs_environment,
)

__all__ = [
    "esb_dynamodb",
    "esb_environment",
    "esb_gateway",
    "esb_gateway_url",
    "esb_lambda",
    "esb_logs",
    "esb_ports",
    "esb_s3",
    "esb_token",
]

_DESELECTED = "esb_deselected"

MARKERS = (
    "esb_env(name, ...): run the test only in these environments of the matrix",
    "esb_mode(mode, ...): run the test only in environments of these modes: process, docker, containerd",
    "esb_exclusive: the test disturbs others, such as by ending a service: it takes its environment alone",
)
"""Name, arguments and meaning of each marker, as pytest shows them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    pytest_options.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hooks that projects may implement."""
    from esb_e2e_plugin import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: Sequence[str]) -> Generator[None]:
    """Keep a way to the terminal before capture takes it, where environments may come up."""
    with _usage_errors():
        selected = pytest_options.profiles_named(early_config, os.environ)
    if selected or options.ENVIRONMENT_VARIABLE in os.environ or any("[" in argument for argument in args):
        from esb_e2e_plugin.reporting.screen import Screen

        early_config.stash[TERMINAL] = Screen(os.dup(1))
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Plan the run, where a profile, a node id, or a controller selects environments."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if config.option.help or config.option.version:
        return
    with _usage_errors():
        if (
            pytest_options.profiles_named(config, os.environ)
            or pytest_options.names_instance(config, os.environ)
            or hasattr(config, "workerinput")
            or _distributes(config)
            or pytest_options.needs_profile(config)
        ):
            from esb_e2e_plugin.startup import configure

            configure(config)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Start as many workers as environments can use: their tests wait more than they compute."""
    if config.option.numprocesses != "auto" or os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    with _usage_errors():
        named = pytest_options.profiles_named(config, os.environ) or pytest_options.names_instance(
            config, os.environ
        )
    if not named and not any("[" in argument for argument in config.args):
        return None
    from esb_e2e_plugin.startup import auto_workers

    return auto_workers(config)


@pytest.hookimpl(tryfirst=True)  # parametrized first, the environment leads the test's id
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test with its environments."""
    if needs_environment(metafunc):
        _selection(metafunc.config).parametrize(metafunc)
    elif _is_alone_in_nothing(metafunc.definition):
        raise pytest.Collector.CollectError(_exclusive_without_environment(metafunc.definition))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop the tests that got no environment, and keep those of one environment together."""
    # Only items tell where a parameter has the marker, or a method of unittest.TestCase.
    wrong = [item for item in items if EXCLUSIVE in item.keywords and _is_alone_in_nothing(item)]
    for item in wrong:
        report = pytest.CollectReport(item.nodeid, "failed", _exclusive_without_environment(item), [])
        config.hook.pytest_collectreport(report=report)
        items.remove(item)
    if any(needs_environment(item) for item in items):
        _selection(config).filter_and_sort(config, items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test at once whose environment has failed."""
    bringup, name = item.config.stash.get(BRINGUP, None), environment_of(item)
    if bringup is not None and name is not None and (failure := bringup.failure(name)) is not None:
        pytest.fail(failure.one_line(), pytrace=False)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over to the controller what this worker has deselected."""
    output, selection = (
        getattr(session.config, "workeroutput", None),
        session.config.stash.get(SELECTION, None),
    )
    if output is not None and selection is not None:
        output[_DESELECTED] = (selection.deselected, selection.note)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker has deselected; every worker says the same."""
    if (found := getattr(node, "workeroutput", {}).get(_DESELECTED)) is not None:
        selection = node.config.stash.setdefault(SELECTION, Selection(None))
        selection.deselected, selection.note = found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how to run the tests that need an environment, where they got none."""
    selection = config.stash.get(SELECTION, None)
    if selection is not None and selection.deselected and selection.note:
        terminalreporter.write_line(
            f"esb: {selection.deselected} test(s) need an environment and were deselected: {selection.note}"
        )


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the copy of stdout back."""
    if (terminal := config.stash.get(TERMINAL, None)) is not None:
        terminal.close()


def _is_alone_in_nothing(item: pytest.Item) -> bool:
    return is_exclusive(item) and not needs_environment(item)


def _exclusive_without_environment(item: pytest.Item) -> str:
    return (
        f"{item.nodeid}: {EXCLUSIVE}, but the test asks for no environment: "
        "remove the marker, or ask for a fixture such as esb_environment"
    )


def _distributes(config: pytest.Config) -> bool:
    return bool(config.getoption("tx", None)) and config.getoption("dist", "no") != "no"


def _selection(config: pytest.Config) -> Selection:
    if (found := config.stash.get(SELECTION, None)) is not None:
        return found
    if config.option.collectonly or any("[" in argument for argument in config.args):
        from esb_e2e_plugin.startup import select_late

        with _usage_errors():
            return config.stash.setdefault(SELECTION, select_late(config))
    return config.stash.setdefault(SELECTION, Selection(None))


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Show a user's mistake as pytest does: one line, exit code 4."""
    try:
        yield
    except UserError as error:
        raise pytest.UsageError(str(error)) from None
