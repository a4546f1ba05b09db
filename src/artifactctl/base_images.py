"""Images that others start from: taken from the engine, else pulled, else built from Debian packages."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from artifactctl import image_reference
from artifactctl.commands import CommandError, Commands, checked
from artifactctl.docker_engine import DockerEngine
from artifactctl.errors import ArtifactError
from artifactctl.host_cache import HostCache

PYTHON_BASE: Final = "esb-python-base"
JAVA_BASE: Final = "esb-java-base"
REGISTRY: Final = "esb-registry"
NODE_BASE: Final = "esb-node-base"
PUBLIC_PYTHON: Final = "python:3.11-slim-bookworm"

_PULL_SECONDS = 300.0
_SUITE = "bookworm"
_LEFT_OUT = ("doc", "info", "locale", "man")
_SOURCES = Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")
_REMEDY = "build or pull it once by hand, or name another image"


@dataclass(frozen=True, slots=True)
class _Debian:
    """A base that can be built from Debian packages.

    Attributes:
        packages: their names, separated by commas.
        public: an image of a public registry that does as well, or None.
        variable: names another image.
        label: what its containers have too.
    """

    packages: str
    public: str | None
    variable: str
    label: str = "com.esb.managed=true"


_DEBIAN: Final = {
    PYTHON_BASE: _Debian("python3,ca-certificates", PUBLIC_PYTHON, "PYTHON_BASE_IMAGE"),
    # The supervisor of every worker is Python.
    JAVA_BASE: _Debian("python3,ca-certificates,default-jre-headless", None, "JAVA_BASE_IMAGE"),
    NODE_BASE: _Debian(
        "python3,ca-certificates,containerd,runc,containernetworking-plugins,iptables,iproute2",
        None,
        "NODE_BASE_IMAGE",
    ),
    # What no run owns must not look like a run's leftover.
    REGISTRY: _Debian(
        "docker-registry,ca-certificates", None, "ESB_REGISTRY_IMAGE", label="com.esb.infra=registry"
    ),
}


def obtain(reference: str, engine: DockerEngine, commands: Commands, cache: HostCache) -> str:
    """Make sure that the engine has `reference`, and return its id.

    Raises:
        ArtifactError: it is not there and cannot be had; gives the reason of every way that was tried.
    """
    with cache.lock("base", reference, commands):
        found = engine.inspect([reference])
        if not found:
            _pull_or_build(reference, engine, commands)
            found = engine.inspect([reference])
        return found[reference].id


def _pull_or_build(reference: str, engine: DockerEngine, commands: Commands) -> None:
    debian = _DEBIAN.get(image_reference.repository(reference).rpartition("/")[2])
    is_ours = debian is not None and image_reference.registry_of(reference) is None
    source = debian.public if debian is not None and is_ours else reference

    def pull() -> None:
        if source is not None:
            engine.pull(source, limit=_PULL_SECONDS)
            if is_ours:
                engine.tag(source, reference)

    def build() -> None:
        if debian is not None:
            _build_from_packages(reference, debian, engine, commands)

    ways = [(pull, f"pulling {source}", f"{source}")] if source is not None else []
    if debian is not None:
        ways.append((build, "building it from Debian packages", "it cannot be built from Debian packages:"))
    reasons = ["it is not in the engine"]
    for way, doing, failed in ways:
        commands.say(f"the image {reference} is not in the engine: {doing}")
        try:
            return way()
        except CommandError as error:
            reasons.append(f"{failed} {error.rule}")
    remedy = f"{_REMEDY} in {debian.variable}" if debian is not None else _REMEDY
    raise ArtifactError("; ".join(reasons), field="image", value=reference, remedy=remedy)


def _build_from_packages(reference: str, debian: _Debian, engine: DockerEngine, commands: Commands) -> None:
    if shutil.which("mmdebstrap", path=commands.environ.get("PATH")) is None:
        raise CommandError("mmdebstrap is not installed")
    release = _debian_release()
    # The machine's own mirrors; elsewhere mmdebstrap knows the public one.
    mirrors = [str(path) for path in _SOURCES if path.is_file()][:1] if release else []
    with tempfile.TemporaryDirectory(prefix="artifactctl-") as folder:
        archive = Path(folder, "root.tar")
        options = ["--quiet", "--variant=minbase", f"--include={debian.packages}"]
        # Java's packages fail without this folder, whose files are left out.
        options.append('--essential-hook=mkdir -p "$1/usr/share/man/man1"')
        options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
        argv = ["mmdebstrap", *options, release or _SUITE, str(archive), *mirrors]
        checked(commands.run(argv), "mmdebstrap failed")
        engine.import_root(archive, reference, [f"LABEL {debian.label}", 'CMD ["python3"]'])


def _debian_release() -> str | None:
    """Return the code name of the Debian that this host runs, or None."""
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    values = {name: value.strip("\"'") for name, _, value in (line.partition("=") for line in lines)}
    return values.get("VERSION_CODENAME") if values.get("ID") == "debian" else None
