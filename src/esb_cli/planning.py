"""What a run would do, as data; nothing is started, leased or written."""

from collections.abc import Mapping
from typing import Any

from esb_cli.project import Target
from esb_cli.running import begin, env_file_values
from esb_e2e_plugin.context import RunContext, build_context
from esb_e2e_plugin.credentials import Credentials
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.lifecycle.backend import backend_of, project_of
from esb_e2e_plugin.lifecycle.recorded import recorded
from esb_e2e_plugin.lifecycle.run import Run
from esb_e2e_plugin.locks import EnvironmentLock, lock_key
from esb_e2e_plugin.networks import SubnetLedger
from esb_e2e_plugin.ports import PortBlock, PortLedger


def planned(target: Target) -> dict[str, Any]:
    """Return what bringing an environment up would do.

    Raises:
        UserError: it could not begin; says what is wrong.
    """
    scenario, entry = target.scenario, target.scenario.entry
    run = begin(target, lambda _environment, _text: None)
    key, holder, note, subnets, here = "", None, None, None, True
    try:
        backend = backend_of(scenario, run)
        key, here = lock_key(backend.identity, project_of(scenario)), backend.host is None
        backend.close()
        lock = EnvironmentLock(run.host, key)
        holder = lock.holder() if lock.is_held() else None
        if entry.mode != "process":
            subnets = _subnets(target, run, key)
    except EsbError as error:
        note = str(error)
    state = target.state.read()
    ports = PortLedger(run.host).preview(
        key, port_base=run.port_base, bind_address=entry.bind_address, here=here
    )
    if state is not None and state.environment:
        environment = Environment.from_data(state.environment)
        ports = PortBlock(environment.ports.gateway_https, entry.bind_address)
        subnets = _own_subnets(environment) or subnets
    context = _context(target, run, ports or PortBlock(run.port_base, entry.bind_address))
    settings = target.settings
    return {
        "environment": target.name,
        "profile": scenario.profile,
        "mode": entry.mode,
        "project": context.project,
        "state": None if state is None else state.status,
        "held_by": None if holder is None else holder.describe(),
        "url": context.urls.gateway if ports is not None else None,
        "ports": None if ports is None else ports.as_mapping(),
        "subnets": subnets,
        "compose_files": [str(path) for path in entry.compose_files],
        "config": None if context.paths.config is None else str(context.paths.config),
        "log": str(context.paths.log),
        "images": _images(target, context),
        "phases": _phases(target, settings.timeout_reset, settings.timeout_compose, settings.timeout_deploy),
        "suites": [suite.name for suite in scenario.suites],
        "note": note,
    }


def text_of(plan: Mapping[str, Any]) -> str:
    """Return a plan for people."""
    lines = [f"environment {plan['environment']} from {plan['profile']}, mode {plan['mode']}"]
    shown = {
        "project": plan["project"],
        "state": plan["state"] or "not there",
        "held by": plan["held_by"],
        "url": plan["url"],
        "ports": plan["ports"] and _spaced(plan["ports"]),
        "subnets": plan["subnets"] and _spaced(plan["subnets"]),
        "compose": ", ".join(plan["compose_files"]),
        "config": plan["config"],
        "log": plan["log"],
        "images": ", ".join(plan["images"]),
        "suites": ", ".join(plan["suites"]),
        "note": plan["note"],
    }
    lines += [f"  {name:8} {value}" for name, value in shown.items() if value]
    lines += [
        f"  phase    {phase['name']}: {phase['does']} (at most {phase['seconds']:g} s)"
        for phase in plan["phases"]
    ]
    return "\n".join(lines)


def _spaced(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())


def _context(target: Target, run: Run, ports: PortBlock) -> RunContext:
    return build_context(
        target.scenario,
        root=run.root,
        run_id=run.run_id,
        ports=ports,
        host_env={},
        env_file_values=env_file_values(target),
        credentials=Credentials.random(),
        git_sha=run.commit,
        ci=run.ci,
    )


def _own_subnets(environment: Environment) -> dict[str, str]:
    variables = recorded(environment.paths.run)
    names = {"external": "ESB_SUBNET_EXTERNAL", "runtime": "ESB_SUBNET_RUNTIME"}
    return {name: variables[variable] for name, variable in names.items() if variable in variables}


def _subnets(target: Target, run: Run, key: str) -> dict[str, str] | None:
    from esb_e2e_plugin.lifecycle.backend import engine_of

    engine = engine_of(target.scenario, target.project.environ)
    try:
        pair = SubnetLedger(run.host).preview(key, pool=run.subnet_pool, used=engine.subnets())
    finally:
        engine.close()
    return None if pair is None else {"external": str(pair.external), "runtime": str(pair.runtime)}


def _images(target: Target, context: RunContext) -> list[str]:
    """Return the names of the images that the functions of an environment run from."""
    entry = target.scenario.entry
    if entry.artifact_manifest is None:
        return []
    from artifactctl.image_plan import plan
    from artifactctl.manifest import load_manifest
    from esb_e2e_plugin.lifecycle.fixture_images import fixture_images

    environment = context.environment
    fixtures = fixture_images(target.scenario, target.project.root, environment)
    wanted = plan(load_manifest(entry.artifact_manifest), fixtures, environment)
    bases = (base.reference for base in wanted.bases.values())
    return sorted({*bases, *(each.reference for each in wanted.targets), *wanted.existing})


def _phases(target: Target, reset: float, compose: float, deploy: float) -> list[dict[str, Any]]:
    entry = target.scenario.entry
    services = (
        "start the services as processes" if entry.mode == "process" else "make and start the containers"
    )
    applied = "prepare images, apply the artifact, provision" if entry.artifact_manifest else "nothing"
    return [
        {"name": "reset", "seconds": reset, "does": "remove what is there of it"},
        {"name": "compose", "seconds": compose, "does": f"{services}, wait until all are well"},
        {"name": "deploy", "seconds": deploy, "does": applied},
    ]
