"""The image registry that all environments of an engine share; it outlives the runs that use it.

It carries a label of its own and none of an environment's, so no clean-up takes it away: with the network of
an environment it is only let go.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from artifactctl import base_images
from artifactctl.commands import CommandError, Commands, Completed, checked
from artifactctl.docker_engine import DockerEngine
from artifactctl.errors import ArtifactError
from artifactctl.host_cache import HostCache
from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.failure import Kind, StepError
from esb_e2e_plugin.leases import LeaseLedger
from esb_e2e_plugin.lifecycle.refusals import port_taken

CONTAINER: Final = "esb-registry"
ALIAS: Final = "registry"
PORT: Final = 5010
IMAGE_VARIABLE: Final = "ESB_REGISTRY_IMAGE"

_LABEL_NAME, _LABEL_VALUE = "com.esb.infra", "registry"
_LABEL = f"{_LABEL_NAME}={_LABEL_VALUE}"
_DATA = "/var/lib/registry"
_HOST_ADDRESS = "127.0.0.1"
_HOST_PORTS = range(PORT, PORT + 100)
_CONFIG = {
    "version": 0.1,
    "log": {"level": "warn", "accesslog": {"disabled": True}},
    "storage": {
        "filesystem": {"rootdirectory": _DATA},
        "cache": {"blobdescriptor": "inmemory"},
        "delete": {"enabled": True},
    },
    "http": {"addr": f":{PORT}"},
}
_CONFIG_VARIABLE = "ESB_REGISTRY_CONFIG"
_SERVE = f'printf %s "${_CONFIG_VARIABLE}" >/run/registry.yml && exec docker-registry serve /run/registry.yml'
_PROBE = (
    f"exec 3<>/dev/tcp/127.0.0.1/{PORT} && printf 'GET /v2/ HTTP/1.0\\r\\n\\r\\n' >&3"
    " && read -r -t 2 line <&3 && [[ $line == *' 200 '* ]]"
)
_ANSWER_SECONDS = 20.0
_POLL_SECONDS = 0.1
_LAST_LINES = "20"
_ATTEMPTS = 3


class Registry:
    """The registry of one engine.

    Args:
        host: the folder that all runs of this user on this host share.
        engine: the engine's id.
        commands: run `docker` on that engine; in their environment `ESB_REGISTRY_IMAGE` names another image
            with `docker-registry` and `bash`.
    """

    def __init__(self, host: Path, engine: str, commands: Commands) -> None:
        self._key = f"registry-{sha256(engine.encode()).hexdigest()[:12]}"
        self._lock = host / "locks" / f"{self._key}.lock"
        self._leases = LeaseLedger(host, "registry")
        self._commands = commands
        self._image = commands.environ.get(IMAGE_VARIABLE, "").strip() or f"{base_images.REGISTRY}:latest"

    def ensure(self) -> str:
        """Make sure that it runs and answers, and return the address that images are pushed to.

        Raises:
            StepError: it cannot be started, or does not answer; carries its last lines.
        """
        try:
            found = self._find()
            if found is None or not (_runs(found) and self._answers()):
                with self._alone():
                    found = self._start()
        except ArtifactError as error:
            lines = error.output if isinstance(error, CommandError) else ()
            raise _error(error.rule, remedy=error.remedy or "", lines=lines) from error
        return f"{_HOST_ADDRESS}:{_host_port(found)}"

    def attach(self, network: str) -> None:
        """Make it reachable in a network as `registry:5010`.

        Raises:
            StepError: it cannot be reached there.
        """
        done = self._docker("network", "connect", "--alias", ALIAS, network, CONTAINER)
        if done.code != 0 and not _tells(done, "already exists in network"):
            raise _error(f"it cannot be attached to {network}: {done.reason()}", lines=done.tail)

    def is_unused(self) -> bool:
        """Tell whether it is there, and no network of an environment leads to it."""
        found = self._find()
        return found is not None and not set(found["NetworkSettings"]["Networks"]) - {"bridge"}

    def remove_unused(self) -> bool:
        """Remove it with what was pushed to it, unless a network of an environment leads to it.

        Returns:
            Whether it was there and is gone.

        Raises:
            StepError: it cannot be removed.
        """
        with self._alone():
            if not self.is_unused():
                return False
            self._remove()
            done = self._docker("volume", "rm", CONTAINER)
            if done.code != 0 and not _tells(done, "no such volume"):
                raise _error(f"its volume cannot be removed: {done.reason()}", lines=done.tail)
            self._leases.release(self._key)
            return True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        import filelock

        lock = filelock.FileLock(self._lock)
        try:
            lock.acquire(timeout=self._commands.remaining(), cancel_check=lambda: self._commands.stopped)
        except filelock.Timeout:
            raise _error(f"another run starts it for too long (see: fuser {self._lock})") from None
        try:
            yield
        finally:
            lock.release()

    def _start(self) -> dict[str, Any]:
        for _ in range(_ATTEMPTS):
            found = self._find()
            if found is None:
                self._create()
            elif not _runs(found):
                self._commands.say(f"starting the shared registry {CONTAINER}")
                done = self._docker("container", "start", CONTAINER)
                if _port_taken(done):
                    self._remove()  # what it holds lies in a volume
                elif done.code != 0:
                    raise _error(f"it cannot be started: {done.reason()}", lines=done.tail)
            else:
                self._wait_until_it_answers()
                return found
        raise _error("it ends as soon as it is started", lines=self._last_lines())

    def _create(self) -> None:
        """Make the container on the first free port, unless somebody else makes it meanwhile."""
        self._commands.say(f"making the shared registry {CONTAINER}")
        engine, cache = DockerEngine(self._commands), HostCache(self._commands.environ)
        base_images.obtain(self._image, engine, self._commands, cache)
        checked(self._docker("volume", "create", "--label", _LABEL, CONTAINER), "its volume cannot be made")
        taken: set[int] = set()
        while True:
            port = self._lease(taken)
            done = self._docker(*_run_arguments(self._image, port))
            if done.code == 0:
                self._leases.keep(self._key)
                return
            self._leases.release(self._key)
            if _tells(done, "is already in use by container"):
                return
            self._remove()
            if not _port_taken(done):
                raise _error(f"it cannot be made: {done.reason()}", lines=done.tail)
            taken.add(port)

    def _lease(self, taken: set[int]) -> int:
        return self._leases.lease(
            self._key,
            environment=CONTAINER,
            blocks=_HOST_PORTS,
            taken=lambda port: (port, "is in use") if port in taken else None,
            none_left=EsbError(
                f"no port is left for the shared registry in {_HOST_PORTS[0]}-{_HOST_PORTS[-1]}",
                "end what uses these ports",
            ),
        )

    def _wait_until_it_answers(self) -> None:
        end = time.monotonic() + min(_ANSWER_SECONDS, self._commands.remaining())
        while not self._answers():
            found = self._find()
            if found is None or not _runs(found):
                raise _error("it has ended", lines=self._last_lines())
            if time.monotonic() >= end:
                raise _error(f"it does not answer within {_ANSWER_SECONDS:g} s", lines=self._last_lines())
            time.sleep(_POLL_SECONDS)

    def _answers(self) -> bool:
        # Asked from inside: its port may be one of another machine, where the engine is.
        return self._docker("container", "exec", CONTAINER, "bash", "-c", _PROBE).code == 0

    def _find(self) -> dict[str, Any] | None:
        done = self._docker("container", "inspect", CONTAINER)
        if done.code != 0:
            if not _tells(done, "No such container"):
                raise _error(f"the engine cannot be asked for it: {done.reason()}", lines=done.tail)
            return None
        found: dict[str, Any] = json.loads(done.stdout)[0]
        if (found["Config"]["Labels"] or {}).get(_LABEL_NAME) != _LABEL_VALUE:
            raise _error(
                f"a container of that name is there that was not made by a run (it has no label {_LABEL})",
                remedy=f"rename or remove it: docker rename {CONTAINER} another-name",
            )
        return found

    def _remove(self) -> None:
        self._docker("container", "rm", "--force", CONTAINER)

    def _last_lines(self) -> tuple[str, ...]:
        done = self._docker("container", "logs", "--tail", _LAST_LINES, CONTAINER)
        return (*done.stdout.splitlines(), *done.tail)

    def _docker(self, *arguments: str) -> Completed:
        return self._commands.run(["docker", *arguments], quiet=True)


def _run_arguments(image: str, port: int) -> list[str]:
    options = ["--detach", "--init", "--name", CONTAINER, "--label", _LABEL]
    options += ["--publish", f"{_HOST_ADDRESS}:{port}:{PORT}", "--volume", f"{CONTAINER}:{_DATA}"]
    options += ["--env", f"{_CONFIG_VARIABLE}={json.dumps(_CONFIG)}"]
    return ["container", "run", *options, image, "sh", "-c", _SERVE]


def _runs(found: dict[str, Any]) -> bool:
    return bool(found["State"]["Running"])


def _host_port(found: dict[str, Any]) -> str:
    return str(found["HostConfig"]["PortBindings"][f"{PORT}/tcp"][0]["HostPort"])


def _port_taken(done: Completed) -> bool:
    return port_taken(StepError("", lines=done.tail)) is not None


def _tells(done: Completed, sign: str) -> bool:
    return any(sign in line for line in done.tail)


def _error(what: str, *, remedy: str = "", lines: tuple[str, ...] = ()) -> StepError:
    return StepError(
        f"the shared registry ({CONTAINER}): {what}",
        remedy=remedy or f"see: docker logs {CONTAINER}",
        service=ALIAS,
        lines=lines,
        kind=Kind.ENGINE,
    )
