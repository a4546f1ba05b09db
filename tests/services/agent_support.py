"""A real agent with certificates of its own, and functions for it to run."""

import contextlib
import datetime as dt
import ipaddress
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from esb_services.agent import procfs
from esb_services.agent.v1 import agent_pb2 as pb
from esb_services.agent.v1 import agent_pb2_grpc
from esb_services.listening import ADDRESS_IN_USE

from tests.services.service_process import PATIENCE, Service, free_port, running
from tests.waiting import eventually

INVOKE_PATH = "/2015-03-31/functions/function/invocations"
OWNER = "esb-test"
IMAGE = "fixture:latest"
LIMIT = 32 * 1024 * 1024

FUNCTION = """
import json, os, subprocess, sys, time

def handler(event, context):
    action = event.get("action")
    if action == "exit":
        os._exit(3)
    if action == "raise":
        raise ValueError("boom")
    if action == "sleep":
        open(os.path.join(os.environ["TMPDIR"], "asleep"), "w").close()
        time.sleep(event["seconds"])
    if action == "allocate":
        block = bytearray(event["mib"] * 1024 * 1024)
        time.sleep(event.get("seconds", 0))
    if action == "environ":
        return dict(os.environ)
    if action == "daemon":
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        return subprocess.Popen(command, start_new_session=True).pid
    if action == "bytes":
        return "x" * (event["size"] - 2)
    if action == "import":
        return __import__(event["module"]).VALUE
    if action == "write":
        with open(os.path.join(os.environ["TMPDIR"], "file"), "w") as file:
            file.write("x")
    return {"length": len(json.dumps(event)), "pid": os.getpid()}
"""


@dataclass(frozen=True)
class Certificates:
    """A certificate authority, and a certificate of it for agent and client alike."""

    folder: Path
    ca: bytes
    certificate: bytes
    key: bytes = field(repr=False)

    @property
    def channel(self) -> grpc.ChannelCredentials:
        """Credentials of a client that the agent trusts."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)


def make_certificates(folder: Path) -> Certificates:
    """Write `ca.pem`, `agent.pem` and `agent-key.pem` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    authority = _certificate(
        authority_name, authority_key.public_key(), authority_name, authority_key, is_ca=True
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agent")])
    certificate = _certificate(name, key.public_key(), authority_name, authority_key, is_ca=False)
    made = Certificates(
        folder,
        authority.public_bytes(serialization.Encoding.PEM),
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
    (folder / "ca.pem").write_bytes(made.ca)
    (folder / "agent.pem").write_bytes(made.certificate)
    (folder / "agent-key.pem").write_bytes(made.key)
    return made


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_ca: bool,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


class AgentSetup:
    """Everything an agent needs, in one folder; several agents may be started on it in turn."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificates = make_certificates(folder / "certificates")
        self.logs = folder / "logs"
        self.index = folder / "images.json"
        self.environment: dict[str, str] = {}
        self.image = IMAGE
        self.images: dict[str, dict[str, Any]] = {}
        self.add_image(IMAGE, FUNCTION)

    def add_image(self, reference: str, code: str, **entry: Any) -> Path:
        """Put an image of `app.py` with this `code` into the index, and return its source folder."""
        source = self.folder / "sources" / reference.replace(":", "-")
        source.mkdir(parents=True, exist_ok=True)
        (source / "app.py").write_text(code)
        self.images[reference] = {
            "runtime": "python",
            "source": str(source),
            "handler": "app.handler",
            **entry,
        }
        fresh = self.index.with_suffix(".new")
        fresh.write_text(json.dumps({"version": 1, "images": self.images}))
        fresh.replace(self.index)
        return source

    def variables(self, grpc_port: int, metrics_port: int) -> dict[str, str]:
        """Return the environment of an agent."""
        return {
            "ESB_PROJECT": "esb-test",
            "BIND_ADDRESS": "127.0.0.1",
            "AGENT_GRPC_PORT": str(grpc_port),
            "AGENT_METRICS_PORT": str(metrics_port),
            "AGENT_CERT_FILE": str(self.certificates.folder / "agent.pem"),
            "AGENT_KEY_FILE": str(self.certificates.folder / "agent-key.pem"),
            "AGENT_CA_FILE": str(self.certificates.folder / "ca.pem"),
            "AGENT_RUNTIME": "process",
            "AGENT_IMAGE_INDEX": str(self.index),
            "AGENT_LOG_DIR": str(self.logs),
            **self.environment,
        }

    @contextlib.contextmanager
    def agent(self) -> Iterator["Agent"]:
        """Start an agent on free ports, and end it and what its workers left."""
        for _ in range(5):
            grpc_port, metrics_port = free_port(), free_port()
            variables = self.variables(grpc_port, metrics_port)
            with running("esb_services.agent", variables, self.folder / "agent.log") as service:
                try:
                    service.wait_healthy(metrics_port)
                except AssertionError:
                    if service.process.poll() == ADDRESS_IN_USE:
                        continue
                    raise
                target = f"127.0.0.1:{grpc_port}"
                options = [
                    ("grpc.max_receive_message_length", LIMIT),
                    ("grpc.max_send_message_length", LIMIT),
                ]
                with grpc.secure_channel(target, self.certificates.channel, options) as channel:
                    yield Agent(self, service, channel, grpc_port, metrics_port)
                return
        raise AssertionError("five pairs of free ports were all taken")

    def processes(self) -> dict[int, str]:
        """Return the pids of all processes of this setup's workers, with their state letters."""
        found = {}
        for path in Path("/proc").iterdir():
            if path.name.isdigit() and (procfs.mark_of(int(path.name)) or "").startswith(f"{self.logs}/"):
                with contextlib.suppress(OSError):
                    found[int(path.name)] = (path / "stat").read_text().rpartition(")")[2].split()[0]
        return found


class Agent:
    """A running agent and calls to it."""

    def __init__(
        self, setup: AgentSetup, service: Service, channel: grpc.Channel, grpc_port: int, metrics_port: int
    ) -> None:
        self.setup = setup
        self.service = service
        self.channel = channel
        self.grpc_port = grpc_port
        self.metrics_port = metrics_port
        self.stub: Any = agent_pb2_grpc.AgentServiceStub(channel)  # type: ignore[no-untyped-call]

    def start(
        self, function: str = "echo", image: str | None = None, owner: str = OWNER, **env: str
    ) -> pb.WorkerInfo:
        """Start a worker with these variables; without an image it runs the one of its setup."""
        image = image or self.setup.image
        request = pb.EnsureContainerRequest(function_name=function, image=image, env=env, owner_id=owner)
        worker: pb.WorkerInfo = self.stub.EnsureContainer(request, timeout=PATIENCE)
        return worker

    def invoke(
        self, worker: pb.WorkerInfo, event: object, timeout_ms: int = 10_000, **headers: str
    ) -> pb.InvokeWorkerResponse:
        """Invoke a worker; underscores in the names of headers become dashes."""
        request = pb.InvokeWorkerRequest(
            container_id=worker.id,
            path=INVOKE_PATH,
            payload=json.dumps(event).encode(),
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            timeout_ms=timeout_ms,
            owner_id=OWNER,
        )
        response: pb.InvokeWorkerResponse = self.stub.InvokeWorker(request, timeout=PATIENCE)
        return response

    def begin(self, worker: pb.WorkerInfo, event: object) -> Any:
        """Invoke a worker, and return the call without waiting for its answer."""
        request = pb.InvokeWorkerRequest(
            container_id=worker.id,
            path=INVOKE_PATH,
            payload=json.dumps(event).encode(),
            timeout_ms=600_000,
            owner_id=OWNER,
        )
        return self.stub.InvokeWorker.future(request, timeout=PATIENCE)

    def begin_sleep(self, worker: pb.WorkerInfo) -> Any:
        """Invoke a worker with an event that it sleeps on, and return the call once it does."""
        call = self.begin(worker, {"action": "sleep", "seconds": 600})
        asleep = self.setup.logs / ".scratch" / worker.name / "asleep"
        eventually(asleep.exists, "the function sleeps")
        return call

    def result(self, worker: pb.WorkerInfo, event: object) -> Any:
        """Invoke a worker and return what its handler returned."""
        return json.loads(self.invoke(worker, event).body)

    def listed(self, owner: str = OWNER) -> dict[str, str]:
        """Return the status of each worker by its id."""
        answer = self.stub.ListContainers(pb.ListContainersRequest(owner_id=owner), timeout=PATIENCE)
        return {container.container_id: container.status for container in answer.containers}

    def log_of(self, worker: pb.WorkerInfo) -> list[dict[str, Any]]:
        """Return the JSON lines of a worker's log."""
        return [
            json.loads(line) for line in (self.setup.logs / f"{worker.name}.log").read_text().splitlines()
        ]


def worker_request(worker: pb.WorkerInfo, owner: str = OWNER) -> pb.ContainerRequest:
    """Return the request that names a worker."""
    return pb.ContainerRequest(container_id=worker.id, owner_id=owner)
