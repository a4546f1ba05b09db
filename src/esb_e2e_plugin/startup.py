"""How a session with environments begins: which plan, and which part this process has in it."""

import os
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from esb_e2e_plugin import capacity, nested_hooks, planner
from esb_e2e_plugin.context import states_folder
from esb_e2e_plugin.errors import UserError
from esb_e2e_plugin.keys import AUTO_WORKERS, SELECTION, TERMINAL, WORKERINPUT
from esb_e2e_plugin.matrix import Matrix, check_files, load_matrix
from esb_e2e_plugin.planner import Plan
from esb_e2e_plugin.pytest_options import Configured, needs_profile
from esb_e2e_plugin.reporting.header import Header
from esb_e2e_plugin.reporting.report.wanted import check_writable, is_wanted
from esb_e2e_plugin.reporting.screen import Screen
from esb_e2e_plugin.selection import HOW_TO_SELECT, NamedTests, Selection
from esb_e2e_plugin.settings import Settings, read_settings
from esb_e2e_plugin.store import StateFile

if TYPE_CHECKING:
    from esb_e2e_plugin.lifecycle.run import ComposeAnswer

_OWNER = "esb_e2e_owner"
_COMPOSE = "esb_e2e_compose"


class _ComposeSession:
    """Has the compose files read beside what else the session begins with."""

    def __init__(self, plan: Plan) -> None:
        from esb_e2e_plugin.compose_preflight import ComposePreflight

        self._preflight = ComposePreflight(plan, os.environ)
        self.models = self._preflight.models

    @pytest.hookimpl(tryfirst=True)  # before xdist starts its workers
    def pytest_sessionstart(self) -> None:
        try:
            self._preflight.check()
        except UserError as error:
            raise pytest.UsageError(str(error)) from None

    def pytest_unconfigure(self) -> None:
        self._preflight.close()


def configure(config: pytest.Config) -> None:
    """Select the environments of a session that knows them before it collects.

    Args:
        config: the configuration; in an xdist worker the controller's decisions come with it.

    Raises:
        UserError: an option, the matrix or what an environment is made of is wrong.
    """
    if hasattr(config, "workerinput"):
        _join(config)
        return
    settings = _settings(config)
    if settings.profiles:
        plan = _checked_plan(config, settings, settings.profiles)
        config.stash[SELECTION] = Selection(plan, note="")
        replaced = _replace_arguments(config, settings, plan)
        _own(config, settings, plan, replaced=replaced)
    elif named := _named_tests(config):
        config.stash[SELECTION] = _select_named(config, settings, named)
    elif needs_profile(config):
        given = {
            "--esb-build-only": settings.build_only,
            "--esb-test-only": settings.test_only,
            "--esb-reuse": settings.reuse,
        }
        flag = next((name for name, is_given in given.items() if is_given), "--esb-report")
        raise UserError(f"{flag}: no environment is selected", "name one with --esb-profile")


def auto_workers(config: pytest.Config) -> int | None:
    """Return how many workers `-n auto` means; None where no environment is seen to be selected."""
    try:
        settings = _settings(config)
        names = settings.profiles
        if not names and (named := _named_tests(config)):
            names = named.environments([entry.name for entry in _matrix(config, settings).entries])
        if not names:
            return None
        selected = _matrix(config, settings).select(names)
    except UserError:  # told when the session is configured
        return None
    return config.stash.setdefault(AUTO_WORKERS, capacity.workers(capacity.cores(), len(selected)))


def select_late(config: pytest.Config) -> Selection:
    """Return the selection of a session without a profile in which a test turned out to need an environment.

    Tests are listed for every enabled environment, and run where a node id names one.

    Raises:
        UserError: what a named environment is made of is wrong.
    """
    settings = _settings(config)
    if named := _named_tests(config):
        selection = _select_named(config, settings, named)
        # The hook was called before there were these.
        for name in (_COMPOSE, _OWNER):
            if (plugin := config.pluginmanager.get_plugin(name)) is not None:
                plugin.pytest_sessionstart()
        return selection
    try:
        return Selection(planner.plan(_matrix(config, settings), ["all"]), note="")
    except UserError as error:
        return Selection(None, note=str(error))


def _settings(config: pytest.Config) -> Settings:
    settings = read_settings(Configured(config), os.environ)
    if settings.profiles or settings.env is None:
        return settings
    try:
        matrix = _matrix(config, settings)
    except UserError:  # without a profile the matrix is no business of this session
        return settings
    # An ESB_ENV that is an entry's name selects that entry; what is running says what it was made from.
    wanted = {settings.env.casefold()}
    takes = settings.test_only or settings.reuse
    if takes and (made_from := _profile_of(matrix, settings.env)) is not None:
        wanted = {made_from.casefold()}
    return replace(settings, profiles=tuple(e.name for e in matrix.entries if e.name.casefold() in wanted))


def _profile_of(matrix: Matrix, environment: str) -> str | None:
    return StateFile(states_folder(matrix.root) / environment.lower()).profile()


def _select_named(config: pytest.Config, settings: Settings, named: NamedTests) -> Selection:
    try:
        names = named.environments([entry.name for entry in _matrix(config, settings).entries])
    except UserError as error:  # the matrix is no business of tests that need no environment
        return Selection(None, note=str(error))
    if not names:
        return Selection(None)
    if config.option.collectonly or hasattr(config, "workerinput"):
        return Selection(planner.plan(_matrix(config, settings), names), named)
    plan = _checked_plan(config, settings, names)
    _own(config, settings, plan, replaced=False)
    return Selection(plan, named)


def _own(config: pytest.Config, settings: Settings, plan: Plan, *, replaced: bool) -> None:
    config.pluginmanager.register(Header(config, plan, settings, replaced=replaced), "esb_e2e_header")
    option = config.option
    if option.collectonly or option.showfixtures or option.show_fixtures_per_test:
        return
    check_writable(settings.reports, f"--esb-report ({settings.sources['reports']})")
    if config.getoption("dist", "no") == "each":
        raise UserError(
            "--dist=each runs every test once per worker: the first to finish takes the environment away",
            "choose another --dist, or run pytest once per interpreter",
        )
    nested_hooks.check(
        config.args,
        folder=config.invocation_params.dir,
        root=config.rootpath,
        loaded={str(getattr(plugin, "__file__", "")) for plugin in config.pluginmanager.get_plugins()},
    )
    if settings.build_only:
        # Before xdist's own configure looks: no worker is started where no test runs.
        option.dist, option.tx, option.numprocesses = "no", [], None
    models: Mapping[str, ComposeAnswer] = {}
    composed = any(scenario.entry.mode != "process" for scenario in plan.scenarios)
    if composed and not config.getoption("setupplan", False) and not settings.test_only:
        compose = _ComposeSession(plan)
        config.pluginmanager.register(compose, _COMPOSE)
        models = compose.models
    # while Compose reads: what drives environments takes as long to import
    from esb_e2e_plugin.session import OwnerSession

    screen = config.stash.setdefault(TERMINAL, Screen(None))
    session = OwnerSession(config, settings, plan, screen, models)
    config.pluginmanager.register(session, _OWNER)
    if is_wanted(config, settings):
        from esb_e2e_plugin.reporting.report.plugin import ReportSession

        config.pluginmanager.register(ReportSession(config, settings, plan, session), "esb_e2e_report")


def _join(config: pytest.Config) -> None:
    facts = config.workerinput.get(WORKERINPUT)  # type: ignore[attr-defined]
    if facts is None:
        return
    from esb_e2e_plugin.worker_session import WorkerSession

    settings = _settings(config)
    worker = WorkerSession(config, facts)
    config.pluginmanager.register(worker, "esb_e2e_worker")
    path = settings.matrix_path(config.rootpath)
    if path.is_file() and sha256(path.read_bytes()).hexdigest() != worker.plan.matrix_digest:
        name = config.workerinput["workerid"]  # type: ignore[attr-defined]
        worker.refuse(f"worker {name} has another matrix than the controller: {path}")
    named = None if settings.profiles else _named_tests(config)
    config.stash[SELECTION] = Selection(worker.plan, named, HOW_TO_SELECT if named else "")
    if settings.profiles:
        _replace_arguments(config, settings, worker.plan)


def _replace_arguments(config: pytest.Config, settings: Settings, plan: Plan) -> bool:
    replaced = bool(settings.test_targets) or config.args_source is not pytest.Config.ArgsSource.ARGS
    if replaced:
        config.args = list(plan.arguments)
    return replaced


def _checked_plan(config: pytest.Config, settings: Settings, names: tuple[str, ...]) -> Plan:
    # Not in workers: their controller has looked.
    from esb_e2e_plugin import preflight

    matrix = _matrix(config, settings)
    plan = planner.plan(matrix, names, test_targets=settings.test_targets, instance_of=settings.instance_of)
    preflight.check_planned(plan)
    check_files(matrix, [scenario.entry for scenario in plan.scenarios])
    preflight.check(plan, settings, os.environ)
    return plan


def _matrix(config: pytest.Config, settings: Settings) -> Matrix:
    path = settings.matrix_path(config.rootpath)
    if not path.is_file():
        raise UserError(f"there is no matrix at {path}", "name it with --esb-matrix FILE")
    return load_matrix(path, settings.root)


def _named_tests(config: pytest.Config) -> NamedTests | None:
    return NamedTests(config.args, config.invocation_params.dir) or None
