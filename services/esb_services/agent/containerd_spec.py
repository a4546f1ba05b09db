"""The OCI runtime specification of a worker, made from its image's configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esb_services.agent.runtime import WorkerStartError

CAPABILITIES = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
"""What Docker grants, so that a function may do the same in both modes."""
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MASKED = ("acpi", "asound", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list")
READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
DEVICES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, None))
"""null, zero, full, random, urandom, tty, ptmx, and terminals."""

_SWAP_LIMIT_V1 = Path("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
_CGROUP_V1 = Path("/sys/fs/cgroup/memory")


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """What the specification of one worker is made of, besides its image.

    Attributes:
        name: the worker's name, also its host name.
        image: the image's reference, for errors.
        environment: variables, stronger than the image's.
        memory: the limit in bytes, 0 for none.
        hook: the OCI hook that makes its network.
        files: what is mounted read-only: path inside → path on runtime-node.
    """

    name: str
    image: str
    environment: Mapping[str, str]
    memory: int
    hook: Mapping[str, Any]
    files: Mapping[str, str]


def make_spec(config: Mapping[str, Any], plan: WorkerPlan, *, limit_swap: bool) -> dict[str, Any]:
    """Return the specification.

    Args:
        config: the `config` of the image's configuration.
        plan: everything else.
        limit_swap: limit memory with swap as much as without, so that there is none.

    Raises:
        WorkerStartError: the image says too little, or what cannot be done.
    """
    arguments = [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
    if not arguments:
        raise WorkerStartError(f"image {plan.image} cannot run: it has neither ENTRYPOINT nor CMD")
    uid, gid = _user(config.get("User") or "", plan.image)
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": uid, "gid": gid},
            "args": arguments,
            "env": _environment(config.get("Env") or (), plan.environment),
            "cwd": config.get("WorkingDir") or "/",
            "capabilities": _capabilities(uid),
        },
        "root": {"path": "rootfs"},
        "hostname": plan.name,
        "mounts": [*_mounts(), *(_file(inside, source) for inside, source in plan.files.items())],
        "hooks": {"createRuntime": [dict(plan.hook)]},
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "cgroupsPath": f"/esb/{plan.name}",
            "resources": {"devices": _devices(), "memory": _memory(plan.memory, limit_swap=limit_swap)},
            "maskedPaths": [*(f"/proc/{name}" for name in MASKED), "/sys/firmware"],
            "readonlyPaths": [f"/proc/{name}" for name in READ_ONLY],
        },
    }


def can_limit_swap() -> bool:
    """Return whether the kernel counts swap; cgroup v2 always does."""
    return _SWAP_LIMIT_V1.exists() or not _CGROUP_V1.exists()


def _user(user: str, image: str) -> tuple[int, int]:
    uid, _, gid = user.partition(":")
    numbers = (uid or "0", gid or "0")
    if not all(number.isascii() and number.isdigit() for number in numbers):
        raise WorkerStartError(
            f"image {image} runs as user {user!r}; a function's image must name its user by number,"
            " such as USER 65534:65534"
        )
    return int(numbers[0]), int(numbers[1])


def _environment(given: tuple[str, ...], stronger: Mapping[str, str]) -> list[str]:
    kept = [entry for entry in given if entry.partition("=")[0] not in stronger]
    path = [] if any(entry.startswith("PATH=") for entry in kept) or "PATH" in stronger else [PATH]
    return [*path, *kept, *(f"{name}={value}" for name, value in stronger.items())]


def _capabilities(uid: int) -> dict[str, list[str]]:
    granted = list(CAPABILITIES)
    # as Docker does: somebody else than root may get them only through a file that has them
    return {"bounding": granted} | ({} if uid else {"effective": granted, "permitted": granted})


def _memory(limit: int, *, limit_swap: bool) -> dict[str, int]:
    if not limit:
        return {}
    return {"limit": limit} | ({"swap": limit} if limit_swap else {})


def _devices() -> list[dict[str, Any]]:
    allowed = [
        {"allow": True, "type": "c", "major": major, "access": "rwm"}
        | ({} if minor is None else {"minor": minor})
        for major, minor in DEVICES
    ]
    return [{"allow": False, "access": "rwm"}, *allowed]


def _mounts() -> list[dict[str, Any]]:
    quiet = ["nosuid", "noexec", "nodev"]
    return [
        _mount("/proc", "proc", "proc", quiet),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666"]),
        _mount("/dev/shm", "tmpfs", "shm", [*quiet, "mode=1777", "size=65536k"]),  # noqa: S108 - in a container
        _mount("/dev/mqueue", "mqueue", "mqueue", quiet),
        _mount("/sys", "sysfs", "sysfs", [*quiet, "ro"]),
        # where a runtime such as Java's looks for its memory limit
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", [*quiet, "relatime", "ro"]),
    ]


def _file(inside: str, source: str) -> dict[str, Any]:
    return _mount(inside, "bind", source, ["bind", "ro"])


def _mount(destination: str, kind: str, source: str, options: list[str]) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": options}
