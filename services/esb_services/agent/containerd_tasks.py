"""Containers of containerd, and the tasks that run in them, as far as workers need them."""

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty

from esb_services.agent.containerd_api import containerd_pb2 as pb
from esb_services.agent.containerd_client import CALL_SECONDS, ContainerdClient
from esb_services.agent.containerd_images import SNAPSHOTTER

_SPEC_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Spec"
_METRICS_V1 = "io.containerd.cgroups.v1.Metrics"
_GONE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
"""There is no such task, or it has ended."""


@dataclass(frozen=True, slots=True)
class TaskUsage:
    """What a task uses: bytes of memory, nanoseconds of processor time, and how often its limit killed."""

    memory: int
    cpu_ns: int
    memory_kills: int


@dataclass(frozen=True, slots=True)
class ContainerPlan:
    """What a container is made of."""

    name: str
    labels: Mapping[str, str]
    image: str
    snapshot: str
    runtime: str
    spec: Mapping[str, Any]


class ContainerdTasks:
    """The containers of one namespace.

    Args:
        client: the way to containerd.
    """

    def __init__(self, client: ContainerdClient) -> None:
        self._client = client

    async def create(self, plan: ContainerPlan, output: str) -> None:
        """Make a container and its task, which waits to be started.

        Args:
            plan: what it is made of.
            output: path of the named pipe for what it writes.
        """
        container = pb.Container(
            id=plan.name,
            labels=plan.labels,
            image=plan.image,
            runtime=pb.Runtime(name=plan.runtime),
            spec=AnyMessage(type_url=_SPEC_TYPE, value=json.dumps(plan.spec).encode()),
            snapshotter=SNAPSHOTTER,
            snapshot_key=plan.name,
        )
        # the record first: it is how a later agent finds what this one left half made
        await self._client.call(
            "containers.v1.Containers/Create", pb.CreateContainerRequest(container=container), Empty
        )
        prepare = pb.PrepareSnapshotRequest(snapshotter=SNAPSHOTTER, key=plan.name, parent=plan.snapshot)
        prepared = await self._client.call("snapshots.v1.Snapshots/Prepare", prepare, pb.MountsResponse)
        task = pb.CreateTaskRequest(
            container_id=plan.name, rootfs=prepared.mounts, stdout=output, stderr=output
        )
        await self._client.call("tasks.v1.Tasks/Create", task, Empty)

    async def start(self, name: str) -> None:
        """Start a task that was created."""
        await self._client.call("tasks.v1.Tasks/Start", pb.TaskRequest(container_id=name), Empty)

    async def containers(self, labels: Mapping[str, str]) -> list[pb.Container]:
        """Return all containers with these labels."""
        wanted = ",".join(f'labels."{name}"=={json.dumps(value)}' for name, value in labels.items())
        request = pb.ListContainersRequest(filters=[wanted])
        answer = await self._client.call("containers.v1.Containers/List", request, pb.ListContainersResponse)
        return list(answer.containers)

    async def status(self, name: str) -> int:
        """Return the status of a task, `pb.UNKNOWN` where there is none."""
        request = pb.TaskRequest(container_id=name)
        found = await self._client.attempt("tasks.v1.Tasks/Get", request, pb.GetTaskResponse)
        return pb.UNKNOWN if found is None else found.process.status

    async def wait(self, name: str) -> int | None:
        """Wait until a task ends; return its exit status, or None where there is no such task.

        Raises:
            EngineError: containerd does not answer any more, which says nothing about the task.
        """
        request = pb.TaskRequest(container_id=name)
        ended = await self._client.attempt("tasks.v1.Tasks/Wait", request, pb.WaitResponse, seconds=None)
        return None if ended is None else ended.exit_status

    async def usage(self, name: str) -> TaskUsage | None:
        """Measure a task, also one that has ended; None if there is none."""
        request = pb.MetricsRequest(filters=[f"id=={name}"])
        answer = await self._client.attempt("tasks.v1.Tasks/Metrics", request, pb.MetricsResponse)
        return _usage(answer.metrics[0].data) if answer is not None and answer.metrics else None

    async def pause(self, name: str) -> None:
        """Freeze all processes of a task."""
        await self._client.call("tasks.v1.Tasks/Pause", pb.TaskRequest(container_id=name), Empty)

    async def resume(self, name: str) -> None:
        """Let the processes of a task go on."""
        await self._client.call("tasks.v1.Tasks/Resume", pb.TaskRequest(container_id=name), Empty)

    async def end(self, name: str) -> None:
        """Kill a task and remove it, with all that it wrote passed on; it is fine if there is none."""
        request = pb.TaskRequest(container_id=name)
        status = await self.status(name)
        if status == pb.UNKNOWN:
            return
        if status in (pb.PAUSED, pb.PAUSING):
            # what is frozen does not die
            await self._client.attempt("tasks.v1.Tasks/Resume", request, Empty, _GONE)
        kill = pb.KillRequest(container_id=name, signal=signal.SIGKILL)
        await self._client.attempt("tasks.v1.Tasks/Kill", kill, Empty, _GONE)
        if status != pb.CREATED:
            await self._client.attempt("tasks.v1.Tasks/Wait", request, pb.WaitResponse, seconds=CALL_SECONDS)
        await self._client.attempt("tasks.v1.Tasks/Delete", request, Empty)

    async def remove(self, name: str) -> None:
        """Kill and remove a container and its files; it is fine if there is none."""
        await self.end(name)
        snapshot = pb.SnapshotRequest(snapshotter=SNAPSHOTTER, key=name)
        await self._client.attempt("snapshots.v1.Snapshots/Remove", snapshot, Empty)
        await self._client.attempt(
            "containers.v1.Containers/Delete", pb.DeleteContainerRequest(id=name), Empty
        )


def memory_limit(container: pb.Container) -> int:
    """Return the memory limit in a container's specification, 0 for none."""
    spec = json.loads(container.spec.value)
    return int(spec["linux"]["resources"]["memory"].get("limit", 0))


def _usage(data: AnyMessage) -> TaskUsage:
    # as the engine's own tools count: without the page cache that can be dropped
    if data.type_url.endswith(_METRICS_V1):
        old = pb.MetricsV1.FromString(data.value)
        memory = old.memory.usage.usage - old.memory.total_inactive_file
        return TaskUsage(max(0, memory), old.cpu.usage.total, old.memory_oom_control.oom_kill)
    new = pb.MetricsV2.FromString(data.value)
    memory = new.memory.usage - new.memory.inactive_file
    return TaskUsage(max(0, memory), new.cpu.usage_usec * 1000, new.memory_events.oom_kill)
