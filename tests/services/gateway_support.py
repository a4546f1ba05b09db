"""A real gateway process against a fake agent."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import requests
import yaml

from tests.services.fake_agent import PROJECT, Certificates, FakeAgent
from tests.services.service_process import PATIENCE, free_port
from tests.waiting import eventually

USER, PASSWORD, API_KEY = "tester", "correct horse", "key-1"
JWT_KEY = "0123456789abcdef0123456789abcdef"
RUN_ID = "run-1"
AUTH_VARIABLES = ("AUTH_USER", "AUTH_PASS", "X_API_KEY", "JWT_SECRET_KEY")

T = TypeVar("T")


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
        self.limits: dict[str, float] = {}
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
        """Start the process, with what `limits` changes of its server, and wait until it is healthy."""
        code = (
            "import sys; from esb_services.gateway import __main__ as gateway, server;"
            f"limits = {self.limits}; assert limits.keys() <= vars(server).keys();"
            "vars(server).update(limits); sys.exit(gateway.main())"
        )
        program = ["-c", code] if self.limits else ["-m", "esb_services.gateway"]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *program], env=self.environ, stdout=log, stderr=log
            )
        eventually(self._healthy, "the gateway is healthy")

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run the process to its end, for a start that must fail."""
        return subprocess.run(
            [sys.executable, "-m", "esb_services.gateway"],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        status = self._process.wait(PATIENCE)
        self._process = None
        return status

    def close(self) -> None:
        """End whatever is left."""
        self.session.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)

    def wait_for(self, digest: str) -> None:
        """Wait until the gateway serves the configuration `digest`."""
        eventually(lambda: self.health()["config"]["digest"] == digest, f"config {digest} is served")

    def health(self) -> dict[str, Any]:
        """Return the answer of `/health`."""
        answer: dict[str, Any] = self.session.get(f"{self.url}/health", timeout=PATIENCE).json()
        return answer

    def login(self) -> None:
        """Let the session carry a token from now on."""
        body = {"AuthParameters": {"USERNAME": USER, "PASSWORD": PASSWORD}}
        answer = self.session.post(
            f"{self.url}/user/auth/v1", json=body, headers={"x-api-key": API_KEY}, timeout=PATIENCE
        )
        token = answer.json()["AuthenticationResult"]["IdToken"]
        self.session.headers["authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Send a request to the HTTPS listener."""
        return self.session.request(method, self.url + path, **({"timeout": PATIENCE} | arguments))

    def get(self, path: str, **arguments: Any) -> requests.Response:
        """Send a GET request."""
        return self.request("GET", path, **arguments)

    def post(self, path: str, **arguments: Any) -> requests.Response:
        """Send a POST request."""
        return self.request("POST", path, **arguments)

    def invoke(self, name: str, event: object = None, **arguments: Any) -> requests.Response:
        """Call the Invoke API on the plain listener."""
        url = f"{self.http_url}/2015-03-31/functions/{name}/invocations"
        return self.session.post(url, data=json.dumps(event), **({"timeout": PATIENCE} | arguments))

    def pool(self, function: str) -> dict[str, Any]:
        """Return the figures of a function's pool."""
        pools = self.get("/metrics/pools").json()["pools"]
        figures: dict[str, Any] = next(pool for pool in pools if pool["function_name"] == function)
        return figures

    def log(self, **fields: Any) -> list[dict[str, Any]]:
        """Return the log records that have all `fields`."""
        whole, _, _ = self.log_file.read_text().rpartition("\n")  # the last line may be in the making
        records = [json.loads(line) for line in whole.splitlines()]
        return [record for record in records if fields.items() <= record.items()]

    def _healthy(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the gateway ended: {self.log_file.read_text()}"
        try:
            return self.session.get(f"{self.http_url}/health", timeout=PATIENCE).status_code == 200
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


def answers(esb: Stack, answer: object) -> None:
    """Let the function `echo` give `answer` from now on."""
    esb.agent.handlers["echo"] = lambda _call: answer
