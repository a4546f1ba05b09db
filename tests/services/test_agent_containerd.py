"""The parts of the containerd runtime that need no containerd: names, addresses, specifications, output."""

import asyncio
import http.server
import io
import json
import os
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from esb_services.agent.containerd_network import AddressPool, cni_config, network_hook
from esb_services.agent.containerd_output import WorkerOutput
from esb_services.agent.containerd_registry import PullError, Reference, Registry, digest_of
from esb_services.agent.containerd_spec import WorkerPlan, make_spec
from esb_services.agent.runtime import WorkerStartError
from esb_services.cni import NetworkSettings
from esb_services.variables import SettingError, Variables

NETWORK = NetworkSettings("esb0", IPv4Network("10.9.8.0/28"))
REGISTRY = "registry:5010"
DIGEST = "sha256:" + "a" * 64
CONFIG: dict[str, Any] = {
    "Entrypoint": ["sh", "/entry.sh"],
    "Cmd": ["app.handler"],
    "Env": ["PATH=/bin", "A=image"],
    "WorkingDir": "/var/task",
    "User": "65534:65534",
}


def plan(**changes: Any) -> WorkerPlan:
    """Return the plan of a worker."""
    values: dict[str, Any] = {
        "name": "esb-e-echo-1",
        "image": "echo:1",
        "environment": {"A": "function", "B": "2"},
        "memory": 1024,
        "hook": {"path": "/hook"},
        "files": {"/etc/hosts": "/run/hosts"},
    }
    return WorkerPlan(**{**values, **changes})


def test_a_specification_runs_the_images_command_with_the_functions_variables() -> None:
    """Entry point and command are joined; what the function is given is stronger than what the image says."""
    process = make_spec(CONFIG, plan(), limit_swap=True)["process"]
    assert process["args"] == ["sh", "/entry.sh", "app.handler"]
    assert process["env"] == ["PATH=/bin", "A=function", "B=2"]
    assert process["cwd"] == "/var/task"
    assert process["user"] == {"uid": 65534, "gid": 65534}
    assert set(process["capabilities"]) == {"bounding"}


def test_an_image_without_a_user_runs_as_root_with_a_search_path() -> None:
    """What an image leaves out is what Docker makes of it."""
    process = make_spec({"Cmd": ["run"]}, plan(environment={}), limit_swap=True)["process"]
    assert process["user"] == {"uid": 0, "gid": 0}
    assert process["env"] == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    assert "CAP_CHOWN" in process["capabilities"]["effective"]
    assert process["cwd"] == "/"


@pytest.mark.parametrize(
    ("memory", "limit_swap", "expected"),
    [(0, True, {}), (1024, True, {"limit": 1024, "swap": 1024}), (1024, False, {"limit": 1024})],
)
def test_the_memory_limit_counts_swap_where_the_kernel_does(
    memory: int, limit_swap: bool, expected: dict[str, int]
) -> None:
    """No limit where none is configured; no swap beyond it where that can be told."""
    spec = make_spec(CONFIG, plan(memory=memory), limit_swap=limit_swap)
    assert spec["linux"]["resources"]["memory"] == expected


def test_a_specification_has_the_network_hook_and_the_files_for_names() -> None:
    """The network is made by the hook, names are resolved by files that are mounted."""
    spec = make_spec(CONFIG, plan(), limit_swap=True)
    assert spec["hooks"] == {"createRuntime": [{"path": "/hook"}]}
    assert {
        "destination": "/etc/hosts",
        "type": "bind",
        "source": "/run/hosts",
        "options": ["bind", "ro"],
    } in (spec["mounts"])
    assert {"type": "network"} in spec["linux"]["namespaces"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "image echo:1 cannot run: it has neither ENTRYPOINT nor CMD"),
        ({"Cmd": ["run"], "User": "nobody"}, "image echo:1 runs as user 'nobody'"),
    ],
)
def test_an_image_that_says_too_little_is_refused(config: dict[str, Any], expected: str) -> None:
    """The error names the image and what to change."""
    with pytest.raises(WorkerStartError, match=expected):
        make_spec(config, plan(), limit_swap=True)


def test_addresses_come_back_last_and_run_out_with_an_error() -> None:
    """A freed address is given out again only when all others were; used ones never."""
    pool = AddressPool(NETWORK, [IPv4Address("10.9.8.3")])
    first = pool.take()
    pool.give_back(first)
    others = [pool.take() for _ in range(11)]
    assert first == IPv4Address("10.9.8.2")
    assert len({*others, first}) == 12
    assert IPv4Address("10.9.8.3") not in others
    assert all(address in NETWORK.subnet for address in others)
    assert {NETWORK.gateway, NETWORK.subnet.broadcast_address}.isdisjoint(others)
    assert pool.take() == first
    with pytest.raises(
        WorkerStartError, match=r"all 13 addresses of the workers' subnet 10.9.8.0/28 are in use"
    ):
        pool.take()


def test_the_hook_is_told_bridge_address_and_route() -> None:
    """What CNI's plugin reads is in the hook's variables."""
    hook = network_hook(NETWORK, "worker", IPv4Address("10.9.8.5"))
    variables = dict(entry.split("=", 1) for entry in hook["env"])
    config = cni_config(NETWORK, IPv4Address("10.9.8.5"))
    assert json.loads(variables["ESB_CNI_CONFIG"]) == config
    assert variables["CNI_CONTAINERID"] == "worker"
    assert variables["ESB_ADDRESS"] == "10.9.8.5"
    assert config["bridge"] == "esb0"
    assert config["ipam"]["addresses"] == [{"address": "10.9.8.5/28", "gateway": "10.9.8.1"}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo", ("registry:5010/echo", "echo", "latest")),
        ("team/echo:1", ("registry:5010/team/echo:1", "team/echo", "1")),
        ("registry:5010/echo:1", ("registry:5010/echo:1", "echo", "1")),
        (f"echo@{DIGEST}", (f"registry:5010/echo@{DIGEST}", "echo", DIGEST)),
    ],
)
def test_a_name_without_a_registry_is_one_of_the_environments(
    text: str, expected: tuple[str, str, str]
) -> None:
    """Tag and digest are told apart."""
    reference = Reference.parse(text, REGISTRY)
    assert (reference.text, reference.repository, reference.version) == expected


@pytest.mark.parametrize("text", ["other:5000/echo:1", "docker.io/echo", "Echo", "echo:a b", ""])
def test_a_name_of_another_registry_or_none_is_refused(text: str) -> None:
    """Nothing is pulled from elsewhere."""
    with pytest.raises(PullError, match="expected the name of an image in the registry registry:5010"):
        Reference.parse(text, REGISTRY)


class _Registry(http.server.BaseHTTPRequestHandler):
    answers: dict[str, tuple[str, bytes]]

    def do_GET(self) -> None:
        """Answer with what the test prepared."""
        kind, body = self.answers.get(
            self.path, ("application/json", b'{"errors": [{"message": "unknown"}]}')
        )
        self.send_response(200 if self.path in self.answers else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry() -> Iterator[tuple[str, dict[str, tuple[str, bytes]]]]:
    """The address of a small registry, and what it answers by path."""
    answers: dict[str, tuple[str, bytes]] = {}
    handler = type("Handler", (_Registry,), {"answers": answers})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}", answers
        server.shutdown()
        thread.join()


def test_of_an_index_the_manifest_of_the_architecture_is_taken(
    registry: tuple[str, dict[str, tuple[str, bytes]]],
) -> None:
    """The name stands for the index' digest, the image for its own."""
    address, answers = registry
    layer = {"mediaType": "application/layer", "digest": DIGEST, "size": 3}
    manifest = json.dumps({"config": layer, "layers": [layer]}).encode()
    entries = [
        {"digest": DIGEST, "platform": {"os": "linux", "architecture": "other"}},
        {"digest": digest_of(manifest), "platform": {"os": "linux", "architecture": "mine"}},
    ]
    index = json.dumps({"manifests": entries}).encode()
    answers["/v2/echo/manifests/1"] = ("application/vnd.oci.image.index.v1+json", index)
    answers[f"/v2/echo/manifests/{digest_of(manifest)}"] = (
        "application/vnd.oci.image.manifest.v1+json",
        manifest,
    )
    found, named = asyncio.run(Registry(address, "mine").manifest(Reference.parse("echo:1", address)))
    assert named == digest_of(index)
    assert (found.descriptor.digest, found.descriptor.size) == (digest_of(manifest), len(manifest))
    assert [one.digest for one in found.layers] == [DIGEST]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            None,
            r"image .*/echo:1 could not be pulled: manifest: the registry .* answered 404 .* \(unknown\)",
        ),
        (b"nonsense", "could not be pulled: manifest: it has not the form of one"),
    ],
)
def test_a_manifest_that_cannot_be_had_or_read_names_the_image(
    registry: tuple[str, dict[str, tuple[str, bytes]]], body: bytes | None, expected: str
) -> None:
    """The error says which image, in which step, and what the registry said."""
    address, answers = registry
    if body is not None:
        answers["/v2/echo/manifests/1"] = ("application/json", body)
    with pytest.raises(PullError, match=expected):
        asyncio.run(Registry(address, "mine").manifest(Reference.parse("echo:1", address)))


def test_output_is_passed_on_in_whole_lines_and_its_end_is_kept(tmp_path: Path) -> None:
    """A line written in parts comes whole, the last ones are remembered, the rest comes at the end."""
    sink = io.BytesIO()

    async def write() -> list[str]:
        output = WorkerOutput(tmp_path / "output", sink)
        writer = os.open(output.path, os.O_WRONLY)
        os.write(writer, b'{"a": 1}\n{"b"')
        lines = output.last_lines()
        os.write(writer, b": 2}\nrest")
        os.close(writer)
        lines += output.last_lines()
        output.close()
        return lines

    assert asyncio.run(write()) == ['{"a": 1}', '{"a": 1}', '{"b": 2}']
    assert sink.getvalue() == b'{"a": 1}\n{"b": 2}\nrest\n'
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "CNI_SUBNET"),
        ({"CNI_SUBNET": "10.0.0.1/24"}, "CNI_SUBNET"),
        ({"CNI_SUBNET": "8.8.8.0/24"}, "CNI_SUBNET"),
        ({"CNI_SUBNET": "10.0.0.0/29"}, "CNI_SUBNET"),
        ({"CNI_SUBNET": "10.0.0.0/24", "CNI_BRIDGE": "a bridge with spaces"}, "CNI_BRIDGE"),
    ],
)
def test_a_network_that_cannot_be_is_refused(variables: dict[str, str], named: str) -> None:
    """The error names the variable."""
    with pytest.raises(SettingError, match=f"environment variable {named} "):
        NetworkSettings.from_variables(Variables(variables))
