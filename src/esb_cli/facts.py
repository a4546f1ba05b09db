"""What `esb doctor` looks at: the machine, its engine, and the project around the current folder."""

import importlib.util
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

from esb_cli.machine import Engine, Facts
from esb_cli.project import Project
from esb_e2e_plugin.errors import EsbError, UserError
from esb_e2e_plugin.networks import host_routes
from esb_e2e_plugin.ports import PORT_BASE, free_blocks, range_end
from esb_e2e_plugin.store import host_path, make_host_folder

_SECONDS: Final = 15
_POOL: Final = IPv4Network("10.231.0.0/16")


def gather(project: Project | None, missing: str | None, environ: Mapping[str, str]) -> Facts:
    """Look at everything; what cannot be looked at is a fact, too.

    Args:
        project: the project around the current folder, or None.
        missing: why there is none.
        environ: the caller's variables.
    """
    host = host_path(environ)
    port_base = project.matrix.port_base if project is not None else PORT_BASE
    engine = _engine(environ)
    host_error = _host_error(host)
    left, unknown = _leftovers(project, host, missing if host_error is None else host_error)
    return Facts(
        system=platform.system(),
        kernel=platform.release(),
        python=sys.version_info[:3],
        services=importlib.util.find_spec("esb_services") is not None,
        engine=engine,
        free=_free(host, project, environ, engine),
        host_error=host_error,
        pidfd=_has_pidfd(),
        overlay="overlay" in _text("/proc/filesystems"),
        forwarding=_text("/proc/sys/net/ipv4/ip_forward").strip() == "1",
        files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        kvm=os.access("/dev/kvm", os.R_OK | os.W_OK) if Path("/dev/kvm").exists() else None,
        pool=project.matrix.subnet_pool if project is not None else _POOL,
        routes=tuple(route for route in host_routes() if route not in engine.subnets),
        port_base=port_base,
        free_blocks=free_blocks(port_base),
        ephemeral=range_end(0),
        variables={name: value for name, value in environ.items() if name.upper().endswith("_PROXY")},
        leftovers=left,
        unknown=unknown,
    )


def _engine(environ: Mapping[str, str]) -> Engine:
    if shutil.which("docker", path=environ.get("PATH")) is None:
        return Engine(client=False)
    asked = (
        ("info", "--format", "json"),
        ("compose", "version", "--short"),
        ("buildx", "version"),
    )
    with ThreadPoolExecutor(len(asked)) as pool:
        info, compose, buildx = pool.map(lambda words: _docker(words, environ), asked)
    found = Engine(client=True, compose=compose[0], buildx=_word(buildx[0]))
    facts = _json(info[0])
    errors = facts.get("ServerErrors") or ([] if facts.get("ID") else [info[1] or "no answer"])
    if errors:
        return replace(found, error=" ".join(errors[0].split()))
    return replace(
        found,
        version=str(facts.get("ServerVersion", "")),
        storage=str(facts.get("Driver", "")),
        cgroup=str(facts.get("CgroupVersion", "")),
        rootless=any("rootless" in option for option in facts.get("SecurityOptions") or ()),
        subnets=tuple(_subnets(environ)),
        warnings=tuple(w.removeprefix("WARNING: ") for w in facts.get("Warnings") or () if "limit" in w),
    )


def _subnets(environ: Mapping[str, str]) -> Iterable[IPv4Network]:
    listed, _ = _docker(("network", "ls", "--quiet"), environ)
    if not listed:
        return
    inspected, _ = _docker(("network", "inspect", *listed.split()), environ)
    for network in json.loads(inspected or "[]"):
        for config in (network.get("IPAM") or {}).get("Config") or ():
            if ":" not in config.get("Subnet", ":"):
                yield IPv4Network(config["Subnet"], strict=False)


def _docker(words: Iterable[str], environ: Mapping[str, str]) -> tuple[str | None, str]:
    """Return what docker answers, None where it fails, and what it says beside."""
    try:
        done = subprocess.run(
            ["docker", *words],  # noqa: S607  the caller's docker
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"no answer within {_SECONDS} s"
    except OSError as error:
        return None, error.strerror or str(error)
    return (done.stdout.strip() if done.returncode == 0 else None), done.stderr.strip()


def _word(text: str | None) -> str | None:
    """Return the version in what buildx says: its name, its version, its commit."""
    return (
        None if text is None else next((w for w in text.split() if w[:1] in "v0123456789" and "." in w), text)
    )


def _json(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _host_error(host: Path) -> str | None:
    if not host.exists():
        return None  # made with the first run
    try:
        make_host_folder(host)
    except EsbError as error:
        return error.message
    return None


def _free(
    host: Path, project: Project | None, environ: Mapping[str, str], engine: Engine
) -> Mapping[str, int]:
    folders = [host if host.exists() else host.parent]
    if project is not None:
        folders.append(project.root)
    if engine.client and engine.error is None:
        root, _ = _docker(("info", "--format", "{{.DockerRootDir}}"), environ)
        if root and Path(root).is_dir():  # else it is on another machine
            folders.append(Path(root))
    found: dict[int, tuple[str, int]] = {}
    for folder in folders:
        with suppress(OSError):  # gone meanwhile
            found.setdefault(folder.stat().st_dev, (str(folder), shutil.disk_usage(folder).free))
    return dict(found.values())


def _has_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError):
        return False
    return True


def _leftovers(
    project: Project | None, host: Path, missing: str | None
) -> tuple[tuple[str, ...], str | None]:
    if project is None or missing is not None:
        return (), missing
    from esb_cli.leftovers import leftovers

    try:
        return tuple(found.environment for found in leftovers(project, host)), None
    except (EsbError, UserError) as error:
        return (), error.message


def _text(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text(encoding="utf-8", errors="replace")
    return ""
