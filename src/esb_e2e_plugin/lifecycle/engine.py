"""The container engine of an environment, through its API."""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import requests
import urllib3
from docker.errors import APIError, DockerException, NotFound

from esb_e2e_plugin.failure import Kind, StepError
from esb_e2e_plugin.lifecycle.endpoint import connect, find
from esb_e2e_plugin.lifecycle.engine_errors import CONNECTION_ERRORS, engine_errors
from esb_e2e_plugin.lifecycle.engine_events import EventStream
from esb_e2e_plugin.redaction import Redactor, Stream

PROJECT_LABEL = "com.esb.project"

_API_SECONDS = 60
_PARALLEL = 8
_ROUNDS = 6
_PAUSE_SECONDS = 0.2
_SETTLE_POLL_SECONDS = 0.05
_NOT_NOW = (403, 409)  # a network with containers in it; a container or volume that is being removed or used


class Engine:
    """One container engine.

    Attributes:
        id: its identity, the same by whatever way it is reached.
        version: of its program.
        remote: whether it is reached otherwise than by a socket of this machine.
        host: the other machine that it is on; None for this one.
    """

    def __init__(self, environ: Mapping[str, str], context: str | None) -> None:
        """Connect to an engine.

        Args:
            environ: variables that may name it, see `endpoint.find`.
            context: a docker context that names it, or None.

        Raises:
            StepError: it does not answer.
        """
        with engine_errors("connecting to the container engine"):
            endpoint = find(environ, context)
            self._client = connect(endpoint, timeout=_API_SECONDS)
            self._api: Any = self._client.api
            facts = self._client.info()
        self.id: str = facts["ID"]
        self.version: str = facts.get("ServerVersion", "")
        self.remote = endpoint.remote
        self.host = endpoint.host

    @property
    def api(self) -> Any:
        """The engine's API."""
        return self._api

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def subnets(self) -> list[IPv4Network]:
        """Return the subnets of the engine's networks."""
        with engine_errors("listing networks"):
            networks = self._api.networks()
        configs = [
            config for network in networks for config in (network.get("IPAM") or {}).get("Config") or ()
        ]
        return [
            IPv4Network(config["Subnet"], strict=False)
            for config in configs
            if ":" not in config.get("Subnet", ":")
        ]

    def containers(self, project: str) -> list[dict[str, Any]]:
        """Return the containers of an environment, running or not."""
        with engine_errors("listing containers"):
            found: list[dict[str, Any]] = self._api.containers(all=True, filters=_labelled(project))
        return found

    def remove_all(self, project: str, settle: float = 0.0) -> list[str]:
        """Kill and remove everything that is labelled for an environment, also what comes up meanwhile.

        Args:
            project: the compose project.
            settle: seconds to see nothing new; a command that was ended may have left requests that the
                engine is still at work on.

        Returns:
            What is left, each with the command that removes it.
        """
        with engine_errors("removing what the environment has left"), ThreadPoolExecutor(_PARALLEL) as pool:
            for number in range(_ROUNDS):
                # What somebody else removes at the same moment, such as an agent at its end, takes a while.
                time.sleep(_PAUSE_SECONDS * max(0, number - 1))
                if not self._remove_once(project, pool) and self._stays_empty(project, settle):
                    return []
            return self.left(project)

    def _remove_once(self, project: str, pool: ThreadPoolExecutor) -> bool:
        containers = [container["Id"] for container in self.containers(project)]
        list(pool.map(self._remove_container, containers))
        networks = [network["Id"] for network in self._api.networks(filters=_labelled(project))]
        volumes = [v["Name"] for v in self._api.volumes(filters=_labelled(project))["Volumes"] or ()]
        removing = [pool.submit(self._remove_network, network) for network in networks]
        removing += [pool.submit(self._remove_volume, volume) for volume in volumes]
        for future in removing:
            future.result()
        return bool(containers or networks or volumes)

    def _stays_empty(self, project: str, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.left(project):
                return False
            time.sleep(_SETTLE_POLL_SECONDS)
        return True

    def start_all(self, containers: Mapping[str, str]) -> None:
        """Start containers, all at once.

        Args:
            containers: the service of each, by its id.
        """

        def start(container: str) -> None:
            service = containers[container]
            with engine_errors(f"starting {service}", service, Kind.SERVICE_START):
                self._api.start(container)

        with ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(start, containers))

    def inspect(self, container: str) -> dict[str, Any]:
        """Return everything that the engine knows about a container."""
        with engine_errors("inspecting a container"):
            found: dict[str, Any] = self._api.inspect_container(container)
        return found

    def facts(self, container: str) -> dict[str, Any] | None:
        """Return what `inspect` does; None where there is no such container any more."""
        with engine_errors("inspecting a container"):
            try:
                found: dict[str, Any] = self._api.inspect_container(container)
            except NotFound:
                return None
        return found

    def state(self, container: str) -> dict[str, Any] | None:
        """Return how a container is; None where there is no such container any more."""
        facts = self.facts(container)
        return facts["State"] if facts is not None else None

    def execute(self, container: str, argv: Sequence[str]) -> str:
        """Run a program in a container to its end, and return what it writes.

        Raises:
            StepError: it failed, or there is no such container.
        """
        what = f"running {argv[0]} in {container}"
        with engine_errors(what):
            made = self._api.exec_create(container, list(argv))["Id"]
            output: bytes = self._api.exec_start(made)
            code = self._api.exec_inspect(made)["ExitCode"]
        text = output.decode(errors="replace")
        if code != 0:
            raise StepError(f"{what}: exit code {code}: {text.strip()}")
        return text

    def image_user(self, image: str) -> tuple[int, int]:
        """Return uid and gid that an image runs as, where it names them as numbers; else root's."""
        with engine_errors("inspecting an image"):
            user = self._api.inspect_image(image)["Config"].get("User") or "0"
        uid, _, gid = user.partition(":")
        return (int(uid), int(gid) if gid.isdecimal() else int(uid)) if uid.isdecimal() else (0, 0)

    def image_ids(self, names: Iterable[str]) -> dict[str, str]:
        """Return the ids of those of the named images that the engine has."""

        def ask(name: str) -> tuple[str, str] | None:
            try:
                return name, self._api.inspect_image(name)["Id"]
            except NotFound:
                return None

        with engine_errors("inspecting an image"), ThreadPoolExecutor(_PARALLEL) as pool:
            return dict(found for found in pool.map(ask, names) if found is not None)

    def put(self, container: str, folder: str, archive: bytes) -> None:
        """Unpack a tar archive into a folder of a container, running or not, and so into its volumes."""
        with engine_errors(f"copying files into {folder}"):
            self._api.put_archive(container, folder, archive)

    def tail(self, container: str, lines: int) -> list[str]:
        """Return the last lines that a container wrote."""
        try:
            output: bytes = self._api.logs(container, tail=lines)
        except (DockerException, requests.RequestException):
            return []
        return output.decode(errors="replace").splitlines()

    def output(
        self, container: str, *, since: float | None = None, until: float | None = None, follow: bool = False
    ) -> Iterator[bytes]:
        """Yield what a container writes, each line behind the time at which it came.

        Args:
            container: its id.
            since: seconds since the epoch; nothing that came before.
            until: the same; nothing that came after.
            follow: whether to wait for more until it ends.
        """
        with engine_errors("reading what a container wrote"):
            given = {"since": since} if since is not None else {}
            given |= {"until": until} if until is not None else {}
            yield from self._api.logs(container, timestamps=True, stream=True, follow=follow, **given)

    def wait(self, container: str, timeout: float) -> int | None:
        """Wait for the end of a container and return its exit code; None when the time is up."""
        with engine_errors("waiting for a container"):
            try:
                return int(self._api.wait(container, timeout=math.ceil(timeout))["StatusCode"])
            except requests.ReadTimeout:
                return None
            except requests.ConnectionError as error:
                # What comes late in the middle of an answer is no ReadTimeout to requests.
                if error.args and isinstance(error.args[0], urllib3.exceptions.ReadTimeoutError):
                    return None
                raise

    def _remove_container(self, container: str) -> None:
        _ignoring_absence(lambda: self._api.remove_container(container, force=True, v=True))

    def _remove_network(self, network: str) -> None:
        def remove() -> None:
            # Containers of others that were attached, such as a shared registry, are let go, not removed.
            for attached in self._api.inspect_network(network).get("Containers") or ():
                self._api.disconnect_container_from_network(attached, network, force=True)
            self._api.remove_network(network)

        _ignoring_absence(remove)

    def _remove_volume(self, volume: str) -> None:
        _ignoring_absence(lambda: self._api.remove_volume(volume, force=True))

    def left(self, project: str) -> list[str]:
        """Return what is labelled for an environment, each with the command that removes it."""
        networks = [network["Name"] for network in self._api.networks(filters=_labelled(project))]
        volumes = [v["Name"] for v in self._api.volumes(filters=_labelled(project))["Volumes"] or ()]
        containers = [(c["Names"][0].lstrip("/"), c["Id"][:12]) for c in self.containers(project)]
        return [
            *(f"container {name} (docker rm -f -v {short})" for name, short in containers),
            *(f"network {name} (docker network rm {name})" for name in networks),
            *(f"volume {name} (docker volume rm {name})" for name in volumes),
        ]

    def listen(self, project: str) -> EventStream:
        """Start to listen to what happens to an environment's containers."""
        with engine_errors("listening to the engine's events"):
            stream = self._api.events(
                decode=True, filters={"type": "container", "label": f"{PROJECT_LABEL}={project}"}
            )
        return EventStream(stream)

    def follow(self, container: str, path: Path, redact: Redactor) -> threading.Thread:
        """Copy everything that a container writes into a file, in a thread that ends with the container.

        Args:
            container: its id.
            path: the file; it begins anew.
            redact: hides the secrets in it.
        """

        def copy() -> None:
            hidden = Stream(redact)
            with path.open("wb") as file:
                with suppress(*CONNECTION_ERRORS):
                    for chunk in self._api.logs(container, stream=True, follow=True):
                        file.write(hidden.feed(chunk))
                        file.flush()
                file.write(hidden.end())

        thread = threading.Thread(target=copy, name=f"esb-log-{path.stem}", daemon=True)
        thread.start()
        return thread


def _labelled(project: str) -> dict[str, str]:
    return {"label": f"{PROJECT_LABEL}={project}"}


def _ignoring_absence(act: Callable[[], None]) -> None:
    try:
        act()
    except NotFound:
        return
    except APIError as error:
        if error.status_code not in _NOT_NOW:
            raise
