"""One worker of the docker runtime: a container, as the engine describes it."""

from collections.abc import Mapping
from typing import Any

from esb_services.agent.container_worker import REMOVED, ContainerWorker


class DockerWorker(ContainerWorker):
    """A container of a Docker engine."""

    def locate(self, inspected: Mapping[str, Any], network: str) -> None:
        """Take id, limit, address and state from what `inspect` says of the container."""
        self.container_id = inspected["Id"]
        self.memory_max = inspected["HostConfig"]["Memory"]
        self.reach(inspected["NetworkSettings"]["Networks"].get(network, {}).get("IPAddress", ""))
        self.paused = inspected["State"]["Paused"]
        self.check(inspected)

    def check(self, inspected: Mapping[str, Any] | None) -> None:
        """Note an end that only shows in what `inspect` says now; None: there is no such container."""
        if inspected is None:
            self.end(REMOVED)
            return
        state = inspected["State"]
        self.out_of_memory = self.out_of_memory or state["OOMKilled"]
        if state["Status"] == "created":
            self.end("was never started")
        elif not state["Running"]:
            self.end_with(state["ExitCode"])
