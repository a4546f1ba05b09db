"""An agent that is none: real gRPC over mTLS, workers that are Python functions."""

import datetime as dt
import ipaddress
import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from esb_services.agent.v1 import agent_pb2 as pb
from esb_services.agent.v1 import agent_pb2_grpc as pb_grpc

from tests.services.service_process import PATIENCE, free_port

PROJECT = "esb-gateway-test"


@dataclass(frozen=True)
class Certificates:
    """Files of an authority and of one identity that serves and calls on the loopback interface."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> "Certificates":
        """Write a new authority's certificate, and a key with a certificate that it signed, into `folder`."""
        now = dt.datetime.now(dt.UTC)

        def builder(subject: str, issuer: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
            return (
                x509.CertificateBuilder()
                .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
                .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
                .public_key(key)
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - dt.timedelta(hours=1))
                .not_valid_after(now + dt.timedelta(hours=1))
                .add_extension(x509.BasicConstraints(ca=subject == issuer, path_length=None), critical=True)
            )

        ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        authority = builder("test ca", "test ca", ca_key.public_key()).sign(ca_key, hashes.SHA256())
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        leaf = builder("localhost", "test ca", key.public_key()).add_extension(names, critical=False)
        certificates = cls(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
        certificates.ca.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        certificates.certificate.write_bytes(
            leaf.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        certificates.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificates


class Refusal(Exception):  # noqa: N818 what the agent says, not a fault of the test
    """Raised by a fake worker: the agent answers with this status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class FakeWorker:
    """A worker of the fake agent."""

    id: str
    function: str
    image: str
    env: dict[str, str]
    created_at: float
    status: str = "RUNNING"


@dataclass(frozen=True)
class Call:
    """One invocation as a fake worker sees it."""

    worker: FakeWorker
    event: Any
    headers: dict[str, str]
    timeout_ms: int


@dataclass(frozen=True)
class Reply:
    """What a fake worker answers beside plain JSON."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


def function_error(kind: str, message: str) -> Reply:
    """Return a worker's report of an exception in its handler."""
    report = {"errorType": kind, "errorMessage": message, "stackTrace": []}
    return Reply(json.dumps(report).encode(), {"X-Amz-Function-Error": "Unhandled"})


Handler = Callable[[Call], Any]


class Gate:
    """A handler whose calls wait until the test lets them go."""

    def __init__(self) -> None:
        self._open = threading.Semaphore(0)
        self.waiting = 0

    def __call__(self, call: Call) -> Any:
        """Wait, then answer with the worker's id."""
        self.waiting += 1
        assert self._open.acquire(timeout=PATIENCE)
        return {"worker": call.worker.id, "event": call.event}

    def let_go(self, count: int = 1) -> None:
        """Let `count` calls end, now or later."""
        self._open.release(count)


class FakeAgent(pb_grpc.AgentServiceServicer):
    """An agent whose workers run `handlers[function]` in threads of the test process."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._lock = threading.Lock()
        self._server: grpc.Server | None = None
        self._count = 0
        self.port = free_port()
        self.handlers: dict[str, Handler] = {}
        self.before_start: Callable[[pb.EnsureContainerRequest], None] = lambda _request: None
        self.workers: dict[str, FakeWorker] = {}
        self.started: list[FakeWorker] = []
        self.destroyed: list[str] = []
        self.calls: list[Call] = []
        self.owners: set[str] = set()
        self.start_metadata: dict[str, str] = {}

    def serve(self) -> None:
        """Listen on the agent's port; after `stop`, a new life begins without workers."""
        identity = (self._certificates.key.read_bytes(), self._certificates.certificate.read_bytes())
        credentials = grpc.ssl_server_credentials(
            [identity], root_certificates=self._certificates.ca.read_bytes(), require_client_auth=True
        )
        self._server = grpc.server(
            futures.ThreadPoolExecutor(64),
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 16 << 20)],
        )
        pb_grpc.add_AgentServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        self._server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        self._server.start()

    def stop(self) -> None:
        """End as a killed agent does: calls in flight break, workers are gone."""
        if self._server is not None:
            self._server.stop(0).wait(PATIENCE)
            self._server = None
        with self._lock:
            self.workers.clear()

    def add_worker(self, function: str, age: float) -> FakeWorker:
        """Let a worker of an earlier gateway be there for `age` seconds."""
        with self._lock:
            self._count += 1
            worker = FakeWorker(f"w{self._count}", function, "old", {}, time.time() - age)
            self.workers[worker.id] = worker
        return worker

    def EnsureContainer(self, request: pb.EnsureContainerRequest, context: Any) -> pb.WorkerInfo:  # noqa: N802
        """Start a worker."""
        self.owners.add(request.owner_id)
        self.start_metadata = dict(context.invocation_metadata())
        try:
            self.before_start(request)
        except Refusal as refusal:
            context.abort(refusal.code, str(refusal))
        with self._lock:
            self._count += 1
            worker = FakeWorker(
                f"w{self._count}", request.function_name, request.image, dict(request.env), time.time()
            )
            self.workers[worker.id] = worker
            self.started.append(worker)
        return pb.WorkerInfo(id=worker.id, name=f"{PROJECT}-{worker.function}-{worker.id}", port=1)

    def DestroyContainer(self, request: pb.ContainerRequest, _context: Any) -> pb.Empty:  # noqa: N802
        """Remove a worker."""
        with self._lock:
            self.workers.pop(request.container_id, None)
            self.destroyed.append(request.container_id)
        return pb.Empty()

    def ListContainers(self, request: pb.ListContainersRequest, _context: Any) -> pb.ListContainersResponse:  # noqa: N802
        """List the workers."""
        self.owners.add(request.owner_id)
        with self._lock:
            states = [
                pb.ContainerState(
                    container_id=worker.id,
                    function_name=worker.function,
                    status=worker.status,
                    container_name=worker.id,
                    created_at=worker.created_at,
                    owner_id=request.owner_id,
                )
                for worker in self.workers.values()
            ]
        return pb.ListContainersResponse(containers=states)

    def GetContainerMetrics(self, request: pb.ContainerRequest, context: Any) -> pb.ContainerMetrics:  # noqa: N802
        """Measure a worker; one with the image `unmeasurable` refuses."""
        worker = self.workers.get(request.container_id)
        if worker is None or worker.image == "unmeasurable":
            context.abort(grpc.StatusCode.INTERNAL, "no figures")
        assert worker is not None
        return pb.ContainerMetrics(
            function_name=worker.function,
            container_id=worker.id,
            container_name=worker.id,
            state=worker.status,
            memory_current=1 << 20,
            memory_max=128 << 20,
            cpu_usage_ns=5,
        )

    def InvokeWorker(self, request: pb.InvokeWorkerRequest, context: Any) -> pb.InvokeWorkerResponse:  # noqa: N802
        """Run the handler of a worker's function."""
        worker = self.workers.get(request.container_id)
        if worker is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such worker")
        assert worker is not None
        call = Call(worker, json.loads(request.payload), dict(request.headers), request.timeout_ms)
        self.calls.append(call)
        try:
            answer = self.handlers[worker.function](call)
        except Refusal as refusal:
            context.abort(refusal.code, str(refusal))
        if not isinstance(answer, Reply):
            answer = Reply(json.dumps(answer).encode())
        return pb.InvokeWorkerResponse(status_code=answer.status, headers=answer.headers, body=answer.body)
