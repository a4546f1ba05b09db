"""The facts that `esb doctor` judges by."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network


@dataclass(frozen=True)
class Engine:
    """What an engine says of itself.

    Attributes:
        client: Whether there is a docker command.
        error: Why the engine does not answer; None where it does.
        version: Of the engine.
        compose: Version of Compose; None where there is none.
        buildx: Version of buildx; None where there is none.
        storage: Its storage driver.
        cgroup: Version of control groups that it uses, such as `2`.
        rootless: Whether it runs without root's rights.
        subnets: Those of its networks.
        warnings: What it warns of itself.
    """

    client: bool
    error: str | None = None
    version: str = ""
    compose: str | None = None
    buildx: str | None = None
    storage: str = ""
    cgroup: str = ""
    rootless: bool = False
    subnets: tuple[IPv4Network, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What is known about a machine.

    Attributes:
        system: Such as `Linux`.
        kernel: Version of the kernel.
        python: Version of the interpreter.
        services: Whether the package with the platform's services is installed.
        engine: The container engine.
        free: Free bytes by folder: of the host folder, the project, the engine's data.
        host_error: Why the folder of locks and leases cannot be used; None where it can.
        pidfd: Whether processes can be named by a descriptor.
        overlay: Whether the kernel knows overlay file systems.
        forwarding: Whether it forwards packets between networks.
        files: How many files a process may have open.
        kvm: Whether virtual machines can be made; None where there is no such device.
        pool: The network that subnets are taken from.
        routes: Networks that this machine has routes to.
        port_base: The first port that environments may use.
        free_blocks: How many blocks of ports are free.
        ephemeral: First port that the kernel gives to whoever asks for any.
        variables: The caller's variables that name proxies.
        leftovers: Environments that dead runs have left something of.
        unknown: Why leftovers could not be looked for; None where they could.
    """

    system: str
    kernel: str
    python: tuple[int, ...]
    services: bool
    engine: Engine
    free: Mapping[str, int]
    host_error: str | None
    pidfd: bool
    overlay: bool
    forwarding: bool
    files: int
    kvm: bool | None
    pool: IPv4Network
    routes: tuple[IPv4Network, ...]
    port_base: int
    free_blocks: int
    ephemeral: int
    variables: Mapping[str, str]
    leftovers: tuple[str, ...]
    unknown: str | None = None
