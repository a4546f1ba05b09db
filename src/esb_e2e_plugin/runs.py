"""The beginning of a run: what its environments share, from a plan and the caller's variables."""

import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event

from esb_e2e_plugin import preflight
from esb_e2e_plugin.events import NOBODY, Observer
from esb_e2e_plugin.lifecycle.deploy import find_applier
from esb_e2e_plugin.lifecycle.run import ComposeAnswer, Hooks, Run
from esb_e2e_plugin.planner import Plan
from esb_e2e_plugin.settings import Settings
from esb_e2e_plugin.store import host_path


def new_run(
    plan: Plan,
    settings: Settings,
    environ: Mapping[str, str],
    hooks: Hooks,
    listener: Callable[[str, str], None],
    *,
    observer: Observer = NOBODY,
    hook_files: tuple[Path, ...] = (),
    models: Mapping[str, ComposeAnswer] | None = None,
) -> Run:
    """Return a run with an id of its own; starts and writes nothing.

    Args:
        plan: what was selected.
        settings: options.
        environ: the caller's variables.
        hooks: the project's own steps.
        listener: receives environment and text of each line for the terminal, from any thread.
        observer: sees each event and each line of output, from any thread.
        hook_files: where the project's part of the deploy phase is written.
        models: what Compose has said of compose files, see `Run.models`.

    Raises:
        UserError: `ARTIFACTCTL_BIN` names no program.
    """
    ci = bool(environ.get("CI"))
    return Run(
        run_id=f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}",
        root=plan.root,
        host=host_path(environ),
        port_base=plan.port_base,
        subnet_pool=plan.subnet_pool,
        environ=dict(environ),
        settings=settings,
        applier=find_applier(environ),
        commit=preflight.version_of(plan) if ci else None,
        ci=ci,
        hooks=hooks,
        listener=listener,
        cancelled=Event(),
        observer=observer,
        hook_files=hook_files,
        models={} if models is None else models,
    )
