"""The parts of runtime-node that need no privileges: what it misses, passes on, and starts again."""

import asyncio
import logging
import socket
import struct
import sys
from pathlib import Path

import pytest
from esb_services.cni import NetworkSettings
from esb_services.runtime_node.containerd import Containerd, ContainerdError, answers, read_line
from esb_services.runtime_node.host import Host, HostError
from esb_services.runtime_node.name_server import NameServer
from esb_services.variables import Variables

NETWORK = NetworkSettings.from_variables(Variables({"CNI_SUBNET": "10.9.8.0/24"}))
ALL = "CapEff:\tffffffffffffffff\n"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A privileged host with cgroup v2, where every command succeeds but looking for a rule."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/sys/net/ipv4").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text(ALL)
    (tmp_path / "proc/filesystems").write_text("nodev\tproc\nnodev\toverlay\n")
    (tmp_path / "cgroup").mkdir()
    (tmp_path / "cgroup/cgroup.controllers").write_text("cpu io memory pids\n")
    (tmp_path / "cgroup/cgroup.procs").write_text("1\n7\n")
    return Host(tmp_path / "proc", tmp_path / "cgroup", lambda command: "no" if "-C" in command else None)


def test_control_groups_are_delegated_and_forwarding_is_on(host: Host) -> None:
    """With cgroup v2, controllers are handed on after the root group was emptied."""
    host.prepare(NETWORK)
    assert (host.cgroup / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert (host.cgroup / "esb-node/cgroup.procs").read_text() == "7"
    assert (host.proc / "sys/net/ipv4/ip_forward").read_text() == "1"


def test_the_bridge_has_rules_for_its_subnet(host: Host) -> None:
    """Workers reach what the node reaches, by its address; a rule that is there is not made twice."""
    asked: list[list[str]] = []
    missing = "no"

    def run(command: list[str]) -> str | None:
        asked.append(command)
        return missing if "-C" in command and "FORWARD" not in command else None

    Host(host.proc, host.cgroup, run).prepare(NETWORK)
    lines = [" ".join(command) for command in asked]
    assert "ip link add esb0 address 02:42:0a:09:08:01 type bridge" in lines
    assert "ip address add 10.9.8.1/24 dev esb0" in lines
    assert "iptables --wait -t nat -A POSTROUTING -s 10.9.8.0/24 ! -o esb0 -j MASQUERADE" in lines
    assert not any("-A FORWARD" in line for line in lines)


def test_all_that_an_unprivileged_container_lacks_is_named_at_once(host: Host) -> None:
    """One error names capabilities, file system and control groups."""
    (host.proc / "self/status").write_text("CapEff:\t00000000a80425fb\n")
    (host.proc / "filesystems").write_text("nodev\tproc\n")
    (host.cgroup / "cgroup.controllers").write_text("io\n")
    with pytest.raises(HostError) as error:
        host.prepare(NETWORK)
    message = str(error.value)
    assert message.startswith("this host cannot run containerd: ")
    for part in (
        "CAP_NET_ADMIN is missing",
        "CAP_SYS_ADMIN is missing",
        "no overlayfs",
        "cgroup controllers cpu, memory, pids are missing",
    ):
        assert part in message


def test_control_groups_that_cannot_be_written_are_named_once(host: Host) -> None:
    """With cgroup v1, controllers are told together where the reason is the same."""
    (host.cgroup / "cgroup.controllers").unlink()
    with pytest.raises(
        HostError, match="the cgroup controllers cpu, memory, pids, devices, freezer cannot be used"
    ):
        host.prepare(NETWORK)


def test_a_command_that_fails_is_named_with_what_it_said(host: Host) -> None:
    """A kernel without bridges is told by the command that needs them."""
    failing = Host(host.proc, host.cgroup, lambda command: "not supported" if "bridge" in command else None)
    with pytest.raises(
        HostError, match="`ip link add esb0 address 02:42:0a:09:08:01 type bridge` failed: not supported"
    ):
        failing.prepare(NETWORK)


def test_containerd_that_crashes_again_and_again_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """It is started again twice; the last word it said is the cause."""
    code = "import sys; print('panic: boom', file=sys.stderr); sys.exit(7)"
    with (
        caplog.at_level(logging.INFO, "esb.runtime-node"),
        pytest.raises(
            ContainerdError, match=r"containerd ended with status 7 \(panic: boom\), 3 times within 30 s"
        ),
    ):
        asyncio.run(Containerd((sys.executable, "-c", code)).keep_running())
    restarts = [message for message in caplog.messages if "it is started again" in message]
    assert len(restarts) == 2


def test_containerd_that_cannot_be_started_says_why() -> None:
    """A missing program is not tried again."""
    with pytest.raises(ContainerdError, match=r"containerd cannot be started: .*No such file"):
        asyncio.run(Containerd(("/nowhere/containerd",)).keep_running())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"level":"error","msg":"failed","error":"because"}', (logging.ERROR, "failed: because")),
        ('{"level":"info","msg":"fine"}', (logging.DEBUG, "fine")),
        ('time="now" level=warning msg="a \\"quoted\\" word" pid=1', (logging.WARNING, 'a "quoted" word')),
        ("panic: boom", (logging.ERROR, "panic: boom")),
    ],
)
def test_lines_of_containerd_and_its_shims_keep_their_level(line: str, expected: tuple[int, str]) -> None:
    """What is no line of a log at all is an error."""
    assert read_line(line) == expected


@pytest.mark.parametrize(
    ("said", "expected"), [(b"\0\0\x12\x04\0\0\0\0\0", True), (b"HTTP/1.1 ", False), (b"", False)]
)
def test_only_a_grpc_server_counts_as_an_answer(tmp_path: Path, said: bytes, expected: bool) -> None:
    """A socket that is there but serves something else, or nothing, does not."""
    path = str(tmp_path / "socket")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(24)
        writer.write(said)
        writer.close()

    async def ask() -> bool:
        async with await asyncio.start_unix_server(serve, path):
            return await answers(path)

    assert asyncio.run(ask()) is expected
    assert asyncio.run(answers(str(tmp_path / "absent"))) is False


def test_questions_for_names_are_passed_on_over_udp_and_tcp() -> None:
    """Each answer reaches the one who asked."""

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(b"udp " + data, addr)  # type: ignore[attr-defined]

    async def framed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        body = b"tcp " + await reader.readexactly(length)
        writer.write(struct.pack("!H", len(body)) + body)
        writer.close()

    def ask_udp(port: int, question: bytes) -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(10)
            sock.sendto(question, ("127.0.0.1", port))
            return sock.recv(512)

    async def run() -> tuple[list[bytes], bytes]:
        async with await asyncio.start_server(framed, "127.0.0.1", 0) as tcp:
            upstream: tuple[str, int] = tcp.sockets[0].getsockname()
            loop = asyncio.get_running_loop()
            udp, _ = await loop.create_datagram_endpoint(Echo, local_addr=upstream)
            names = NameServer(upstream)
            port = await names.open("127.0.0.1", 0)
            questions = [asyncio.to_thread(ask_udp, port, name) for name in (b"one", b"two")]
            over_udp = await asyncio.gather(*questions)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(struct.pack("!H", 3) + b"big")
            over_tcp = await reader.read()
            writer.close()
            names.close()
            udp.close()
        return over_udp, over_tcp

    over_udp, over_tcp = asyncio.run(run())
    assert over_udp == [b"udp one", b"udp two"]
    assert over_tcp == struct.pack("!H", 7) + b"tcp big"
