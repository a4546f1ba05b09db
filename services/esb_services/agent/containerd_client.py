"""Calls of containerd's gRPC API, over its unix socket."""

from collections.abc import AsyncIterator, Collection
from typing import TypeVar

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from esb_services.agent.containerd_api import containerd_pb2 as pb
from esb_services.agent.runtime import EngineError

CALL_SECONDS = 30.0
"""Deadline of each call; containerd answers most in milliseconds, and starts a task in 0.1 s."""
CONNECT_SECONDS = 20.0
"""How long an agent that starts waits for containerd."""
CHUNK_BYTES = 1024 * 1024

Answer = TypeVar("Answer", bound=Message)

_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_receive_message_length", 16 * CHUNK_BYTES),
)


class ContainerdClient:
    """One containerd, seen from one namespace.

    Args:
        address: of its unix socket.
        namespace: of everything that is made and seen.
    """

    def __init__(self, address: str, namespace: str) -> None:
        self._address = address
        self._metadata = (("containerd-namespace", namespace),)
        self._namespace = namespace
        self._channel = grpc.aio.insecure_channel(f"unix:{address}", options=_OPTIONS)

    async def connect(self) -> str:
        """Wait for containerd, make the namespace, and return containerd's own id.

        Raises:
            EngineError: it does not answer in time.
        """
        server = await self.call(
            "introspection.v1.Introspection/Server",
            Empty(),
            pb.ServerResponse,
            seconds=CONNECT_SECONDS,
        )
        namespace = pb.CreateNamespaceRequest(namespace=pb.Namespace(name=self._namespace))
        await self.attempt(
            "namespaces.v1.Namespaces/Create",
            namespace,
            Empty,
            (grpc.StatusCode.ALREADY_EXISTS,),
        )
        return server.uuid

    async def close(self) -> None:
        """Close the connection; calls in flight end."""
        await self._channel.close(None)

    async def call(
        self,
        method: str,
        request: Message,
        answer: type[Answer],
        *,
        lease: str | None = None,
        seconds: float | None = CALL_SECONDS,
    ) -> Answer:
        """Make a call.

        Args:
            method: service and name, such as `tasks.v1.Tasks/Start`.
            request: its argument.
            answer: the type of its result.
            lease: what the call makes is kept as long as this lease.
            seconds: its deadline; None: it ends with the channel.

        Raises:
            EngineError: containerd does not answer, or refuses.
        """
        try:
            return await self._unary(method, request, answer, lease, seconds)
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error

    async def attempt(
        self,
        method: str,
        request: Message,
        answer: type[Answer],
        fine: Collection[grpc.StatusCode] = (grpc.StatusCode.NOT_FOUND,),
        *,
        lease: str | None = None,
        seconds: float | None = CALL_SECONDS,
    ) -> Answer | None:
        """Make a call like `call`, and return None where it ends with one of the codes in `fine`."""
        try:
            return await self._unary(method, request, answer, lease, seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() in fine:
                return None
            raise self._failure(error) from error

    async def _unary(
        self,
        method: str,
        request: Message,
        answer: type[Answer],
        lease: str | None,
        seconds: float | None,
    ) -> Answer:
        call = self._channel.unary_unary(
            f"/containerd.services.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        # a containerd that crashed is back within a moment
        result: Answer = await call(
            request, timeout=seconds, metadata=self._metadata_for(lease), wait_for_ready=True
        )
        return result

    def _metadata_for(self, lease: str | None) -> tuple[tuple[str, str], ...]:
        return self._metadata if lease is None else (*self._metadata, ("containerd-lease", lease))

    async def read(self, digest: str) -> bytes:
        """Return a whole piece of content.

        Raises:
            EngineError: there is none, or containerd does not answer.
        """
        call = self._channel.unary_stream(
            "/containerd.services.content.v1.Content/Read",
            request_serializer=pb.ReadContentRequest.SerializeToString,
            response_deserializer=pb.ReadContentResponse.FromString,
        )
        request = pb.ReadContentRequest(digest=digest)
        try:
            parts = call(request, timeout=CALL_SECONDS, metadata=self._metadata)
            return b"".join([part.data async for part in parts])
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error

    async def write(
        self,
        ref: str,
        descriptor: pb.Descriptor,
        chunks: AsyncIterator[bytes],
        *,
        labels: dict[str, str],
        lease: str,
        seconds: float,
    ) -> None:
        """Store a piece of content, checked against its digest; it is fine if it is there already.

        Args:
            ref: a name for this attempt.
            descriptor: digest and size.
            chunks: the content.
            labels: what it gets, such as references to what must be kept with it.
            lease: what keeps it for now.
            seconds: the deadline for all of it.

        Raises:
            EngineError: it is not what the descriptor says, or containerd does not answer.
        """
        call = self._channel.stream_stream(
            "/containerd.services.content.v1.Content/Write",
            request_serializer=pb.WriteContentRequest.SerializeToString,
            response_deserializer=pb.WriteContentResponse.FromString,
        )
        # requests are written one by one: what goes wrong in `chunks` shall reach the caller
        stream = call(None, timeout=seconds, metadata=self._metadata_for(lease))

        async def send(action: pb.WriteAction, offset: int = 0, data: bytes = b"") -> None:
            request = pb.WriteContentRequest(
                action=action,
                ref=ref,
                total=descriptor.size,
                expected=descriptor.digest,
                offset=offset,
                data=data,
                labels=labels if action == pb.COMMIT else None,
            )
            await stream.write(request)
            await stream.read()

        try:
            await send(pb.STAT)
            offset = 0
            async for chunk in chunks:
                await send(pb.WRITE, offset, chunk)
                offset += len(chunk)
            await send(pb.COMMIT, offset)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise self._failure(error) from error
        finally:
            stream.cancel()

    def _failure(self, error: grpc.aio.AioRpcError) -> EngineError:
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            return EngineError(f"containerd at {self._address} does not answer: {error.details()}")
        return EngineError(str(error.details()))
