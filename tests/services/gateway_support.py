"""A real gateway process against a fake agent: real gRPC over mTLS, workers that are Python functions."""

import contextlib
import datetime as dt
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import grpc
import requests
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from esb_services.agent.v1 import agent_pb2 as pb
from esb_services.agent.v1 import agent_pb2_grpc as pb_grpc

from tests.waiting import eventually

USER, PASSWORD, API_KEY = "tester", "correct horse", "key-1"
JWT_KEY = "0123456789abcdef0123456789abcdef"
PROJECT, RUN_ID = "esb-gateway-test", "run-1"
AUTH_VARIABLES = ("AUTH_USER", "AUTH_PASS", "X_API_KEY", "JWT_SECRET_KEY")
DEADLINE = 20.0

T = TypeVar("T")


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
        assert self._open.acquire(timeout=DEADLINE)
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
            self._server.stop(0).wait(DEADLINE)
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


class GatewayProcess:
    """A gateway process with its configuration folder and its client."""

    def __init__(self, folder: Path, certificates: Certificates, agent_port: int, **variables: str) -> None:
        self._folder = folder
        self._generation = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.certificates = certificates
        self.config_dir = folder / "config"
        self.config_dir.mkdir(exist_ok=True)
        self.log_file = folder / "gateway.log"
        self.https_port, self.http_port = free_port(), free_port()
        self.url = f"https://127.0.0.1:{self.https_port}"
        self.http_url = f"http://127.0.0.1:{self.http_port}"
        self.environ = {
            "PATH": os.environ["PATH"],
            "ESB_PROJECT": PROJECT,
            "ESB_RUN_ID": RUN_ID,
            "BIND_ADDRESS": "127.0.0.1",
            "LOG_LEVEL": "DEBUG",
            "GATEWAY_HTTPS_PORT": str(self.https_port),
            "GATEWAY_HTTP_PORT": str(self.http_port),
            "TLS_CERT_FILE": str(certificates.certificate),
            "TLS_KEY_FILE": str(certificates.key),
            "CONFIG_DIR": str(self.config_dir),
            "AGENT_ADDRESS": f"127.0.0.1:{agent_port}",
            "AGENT_CA_FILE": str(certificates.ca),
            "AGENT_CLIENT_CERT_FILE": str(certificates.certificate),
            "AGENT_CLIENT_KEY_FILE": str(certificates.key),
            "AUTH_USER": USER,
            "AUTH_PASS": PASSWORD,
            "X_API_KEY": API_KEY,
            "JWT_SECRET_KEY": JWT_KEY,
            "AWS_REGION": "eu-test-1",
            "AWS_ENDPOINT_URL_S3": "http://store.test:9000",
        } | variables
        self.session = requests.Session()
        self.session.verify = str(certificates.ca)
        self.session.trust_env = False

    def apply(
        self,
        functions: Mapping[str, Any],
        routes: list[dict[str, str]],
        *,
        images: Mapping[str, str] | None = None,
        **defaults: Any,
    ) -> str:
        """Make a configuration current as the applier does, and return its digest."""
        documents: dict[str, Any] = {
            "functions.yml": {"defaults": defaults, "functions": functions},
            "routing.yml": {"routes": routes},
        }
        if images is not None:
            documents["images.yml"] = {"images": dict(images)}
        return self.apply_files({name: yaml.safe_dump(document) for name, document in documents.items()})

    def apply_files(self, files: Mapping[str, str]) -> str:
        """Make a configuration of raw files current, and return its digest."""
        self._generation += 1
        digest = f"generation-{self._generation}"
        generation = self.config_dir / ".generations" / digest
        generation.mkdir(parents=True)
        for name, text in files.items():
            (generation / name).write_text(text)
        link = self.config_dir / ".next"
        link.symlink_to(Path(".generations") / digest)
        link.replace(self.config_dir / ".current")
        return digest

    def start(self) -> None:
        """Start the process and wait until it is healthy."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "esb_services.gateway"], env=self.environ, stdout=log, stderr=log
            )
        eventually(self._healthy, "the gateway is healthy")

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run the process to its end, for a start that must fail."""
        return subprocess.run(
            [sys.executable, "-m", "esb_services.gateway"],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        status = self._process.wait(DEADLINE)
        self._process = None
        return status

    def close(self) -> None:
        """End whatever is left."""
        self.session.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE)

    def wait_for(self, digest: str) -> None:
        """Wait until the gateway serves the configuration `digest`."""
        eventually(lambda: self.health()["config"]["digest"] == digest, f"config {digest} is served")

    def health(self) -> dict[str, Any]:
        """Return the answer of `/health`."""
        answer: dict[str, Any] = self.session.get(f"{self.url}/health", timeout=DEADLINE).json()
        return answer

    def login(self) -> None:
        """Let the session carry a token from now on."""
        body = {"AuthParameters": {"USERNAME": USER, "PASSWORD": PASSWORD}}
        answer = self.session.post(
            f"{self.url}/user/auth/v1", json=body, headers={"x-api-key": API_KEY}, timeout=DEADLINE
        )
        token = answer.json()["AuthenticationResult"]["IdToken"]
        self.session.headers["authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Send a request to the HTTPS listener."""
        return self.session.request(method, self.url + path, **({"timeout": DEADLINE} | arguments))

    def get(self, path: str, **arguments: Any) -> requests.Response:
        """Send a GET request."""
        return self.request("GET", path, **arguments)

    def post(self, path: str, **arguments: Any) -> requests.Response:
        """Send a POST request."""
        return self.request("POST", path, **arguments)

    def invoke(self, name: str, event: object = None, **arguments: Any) -> requests.Response:
        """Call the Invoke API on the plain listener."""
        url = f"{self.http_url}/2015-03-31/functions/{name}/invocations"
        return self.session.post(url, data=json.dumps(event), **({"timeout": DEADLINE} | arguments))

    def pool(self, function: str) -> dict[str, Any]:
        """Return the figures of a function's pool."""
        pools = self.get("/metrics/pools").json()["pools"]
        figures: dict[str, Any] = next(pool for pool in pools if pool["function_name"] == function)
        return figures

    def log(self, **fields: Any) -> list[dict[str, Any]]:
        """Return the log records that have all `fields`."""
        records = [json.loads(line) for line in self.log_file.read_text().splitlines()]
        return [record for record in records if fields.items() <= record.items()]

    def _healthy(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the gateway ended: {self.log_file.read_text()}"
        try:
            return self.session.get(f"{self.http_url}/health", timeout=DEADLINE).status_code == 200
        except requests.ConnectionError:
            return False


@dataclass(frozen=True)
class Stack:
    """A gateway beside its fake agent."""

    gateway: GatewayProcess
    agent: FakeAgent

    def serve(self, **functions: Any) -> None:
        """Serve `functions` by name, each on `ANY /<name>`, and start the gateway.

        A value is the function's entry of functions.yml; the image and the time-out have defaults.
        """
        digest = self.apply(**functions)
        self.gateway.start()
        self.gateway.wait_for(digest)
        self.gateway.login()

    def apply(self, images: Mapping[str, str] | None = None, **functions: Any) -> str:
        """Make `functions` the current configuration, and return its digest."""
        entries = {name: {"image": f"{name}:1", "timeout": 20} | entry for name, entry in functions.items()}
        routes = [{"path": f"/{name}", "method": "ANY", "function": name} for name in functions]
        return self.gateway.apply(entries, routes, images=images)


@contextlib.contextmanager
def stack(folder: Path, **variables: str) -> Iterator[Stack]:
    """Yield a fake agent that serves, and a gateway that is not started yet."""
    certificates = Certificates.make(folder)
    agent = FakeAgent(certificates)
    agent.serve()
    gateway = GatewayProcess(folder, certificates, agent.port, **variables)
    try:
        yield Stack(gateway, agent)
    finally:
        gateway.close()
        agent.stop()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


class Together:
    """Runs calls in threads of their own and collects their results."""

    def __init__(self) -> None:
        self._pool = futures.ThreadPoolExecutor(32)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def go(self, call: Callable[[], T]) -> "futures.Future[T]":
        """Start a call."""
        return self._pool.submit(call)
