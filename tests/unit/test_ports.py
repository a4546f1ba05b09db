"""Port leases: real processes never share a block, and none is lost with the process that held it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from esb_e2e_plugin import ports
from esb_e2e_plugin.errors import EsbError, UserError
from esb_e2e_plugin.ports import BLOCK_SIZE, OFFSETS, PortBlock, PortLedger
from esb_e2e_plugin.process_identity import ProcessIdentity
from tests.ports import listener, own_ports

HOLDER = """
import sys
from pathlib import Path
from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.ports import PortLedger
folder, key, base, keep = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
ledger = PortLedger(Path(folder))
try:
    print(ledger.lease(key, environment=key, port_base=int(base)).base, flush=True)
except EsbError as error:
    print(error, flush=True)
if keep == "keep":
    ledger.keep(key)
else:
    sys.stdin.readline()
"""


class Holder:
    """A process that leases a block when told, and holds it until its end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert self._line() == "ready"

    def start(self) -> None:
        """Tell it to go on."""
        stdin = self.process.stdin
        assert stdin is not None
        stdin.write("\n")
        stdin.flush()

    def answer(self) -> str:
        """Return the base of its lease, or the error it got."""
        return self._line()

    def lease(self) -> int:
        """Let it lease, and return the base."""
        self.start()
        return int(self.answer())

    def _line(self) -> str:
        stdout: IO[str] | None = self.process.stdout
        assert stdout is not None
        return stdout.readline().strip()


StartHolder = Callable[..., Holder]


@pytest.fixture
def start_holder(tmp_path: Path, port_base: int) -> Iterator[StartHolder]:
    with ExitStack() as stack:

        def start_holder(key: str, *, keep: bool = False) -> Holder:
            arguments = [str(tmp_path), key, str(port_base), "keep" if keep else ""]
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", HOLDER, *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return Holder(process)

        yield start_holder


@pytest.fixture
def ledger(tmp_path: Path) -> PortLedger:
    return PortLedger(tmp_path)


@pytest.fixture
def port_base() -> Iterator[int]:
    """The first port of 40 blocks that no other test uses."""
    with own_ports(ranges=4) as base:
        yield base


def set_range_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: int) -> None:
    file = tmp_path / "ip_local_port_range"
    file.write_text(f"{end}\t60999\n")
    monkeypatch.setattr(ports, "_EPHEMERAL_RANGE", file)


def test_a_block_names_its_ports() -> None:
    """Offsets and variables are those of the contract."""
    block = PortBlock(18000)
    assert block.as_mapping() == {
        "gateway_https": 18000,
        "gateway_http": 18001,
        "agent_grpc": 18002,
        "agent_metrics": 18003,
        "registry": 18004,
        "database": 18005,
        "s3": 18006,
        "s3_console": 18007,
    }
    assert {name: getattr(block, name) for name in OFFSETS} == block.as_mapping()
    assert block.to_env()["ESB_PORT_S3_CONSOLE"] == "18007"


def test_twenty_processes_at_once_never_share_a_block(start_holder: StartHolder, port_base: int) -> None:
    """All lease in the same instant; each gets a block of its own, and none is left out."""
    holders = [start_holder(f"key-{index}") for index in range(20)]
    for holder in holders:
        holder.start()
    bases = sorted(int(holder.answer()) for holder in holders)
    assert bases == [port_base + index * BLOCK_SIZE for index in range(20)]


def test_a_killed_holder_frees_its_block(
    start_holder: StartHolder, ledger: PortLedger, port_base: int
) -> None:
    """While it lives nobody gets its lease; after SIGKILL the next one does, even before it is reaped."""
    holder = start_holder("key")
    assert holder.lease() == port_base
    with pytest.raises(EsbError, match=f"environment e are held by process {holder.process.pid}"):
        ledger.lease("key", environment="e", port_base=port_base)
    holder.process.kill()
    os.waitid(os.P_PID, holder.process.pid, os.WEXITED | os.WNOWAIT)
    assert ledger.lease("key", environment="e", port_base=port_base).base == port_base


def test_a_recycled_pid_does_not_hold_a_block(
    start_holder: StartHolder, ledger: PortLedger, tmp_path: Path, port_base: int
) -> None:
    """A process that started at another time than the holder is another process."""
    holder = start_holder("key")
    assert holder.lease() == port_base
    table = json.loads((tmp_path / "ports.json").read_text())
    table["leases"]["key"]["holder"]["start"] += 1
    (tmp_path / "ports.json").write_text(json.dumps(table))
    assert ledger.lease("key", environment="e", port_base=port_base).base == port_base


def test_a_process_of_an_earlier_boot_is_gone() -> None:
    """Pids and start times begin anew with each boot."""
    me = ProcessIdentity.current()
    assert me.alive
    assert not ProcessIdentity(me.pid, me.start, "another boot").alive


def test_a_kept_lease_outlives_its_process(
    start_holder: StartHolder, ledger: PortLedger, port_base: int
) -> None:
    """Others stay away from it; the same environment gets it back."""
    holder = start_holder("kept", keep=True)
    assert holder.lease() == port_base
    assert holder.process.wait(timeout=30) == 0
    other = ledger.lease("other", environment="o", port_base=port_base)
    assert other.base == port_base + BLOCK_SIZE
    assert ledger.lease("kept", environment="e", port_base=port_base).base == port_base


def test_a_kept_lease_does_not_survive_a_reboot(ledger: PortLedger, tmp_path: Path, port_base: int) -> None:
    """What was kept is gone then, and its block is not lost for ever."""
    ledger.lease("kept", environment="e", port_base=port_base)
    ledger.keep("kept")
    table = json.loads((tmp_path / "ports.json").read_text())
    table["leases"]["kept"]["kept_boot"] = "another boot"
    (tmp_path / "ports.json").write_text(json.dumps(table))
    blocks = [ledger.lease(f"k{n}", environment="e", port_base=port_base).base for n in range(2)]
    assert blocks == [port_base + BLOCK_SIZE, port_base + 2 * BLOCK_SIZE]
    assert ledger.lease("kept", environment="e", port_base=port_base).base == port_base


def test_a_key_gets_the_same_block_whenever_it_is_free(ledger: PortLedger, port_base: int) -> None:
    """Released blocks stay remembered: another key takes one that nobody has had."""
    first = ledger.lease("a", environment="a", port_base=port_base).base
    ledger.release("a")
    second = ledger.lease("b", environment="b", port_base=port_base).base
    ledger.release("b")
    assert (first, second) == (port_base, port_base + BLOCK_SIZE)
    assert ledger.lease("b", environment="b", port_base=port_base).base == second
    assert ledger.lease("a", environment="a", port_base=port_base).base == first


def test_the_longest_unused_block_is_given_away_first(
    ledger: PortLedger, tmp_path: Path, port_base: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every block remembered, the one that was released first goes, and its key is forgotten."""
    set_range_end(monkeypatch, tmp_path, port_base + 3 * BLOCK_SIZE)
    bases = {}
    for key in ("a", "b", "c"):
        bases[key] = ledger.lease(key, environment=key, port_base=port_base).base
    for key in ("b", "a", "c"):
        ledger.release(key)
    assert ledger.lease("new", environment="n", port_base=port_base).base == bases["b"]
    assert ledger.lease("b", environment="b", port_base=port_base).base == bases["a"]
    assert ledger.lease("c", environment="c", port_base=port_base).base == bases["c"]


@pytest.mark.parametrize("offset", OFFSETS.values())
def test_a_taken_port_moves_the_block(ledger: PortLedger, port_base: int, offset: int) -> None:
    """Any of the named ports counts; the caller hears which one it was, and the new block is kept to."""
    ledger.lease("a", environment="a", port_base=port_base)
    ledger.release("a")
    moves: list[tuple[int, int, str]] = []

    def on_move(*move: object) -> None:
        moves.append(move)  # type: ignore[arg-type]  # compared below

    with listener(port_base + offset):
        block = ledger.lease("a", environment="a", port_base=port_base, on_move=on_move)
    assert block.base == port_base + BLOCK_SIZE
    assert moves == [(port_base, port_base + offset, "is in use")]
    assert ledger.lease("a", environment="a", port_base=port_base).base == block.base


def test_a_port_that_an_engine_reports_as_taken_is_avoided(ledger: PortLedger, port_base: int) -> None:
    """Such a port can be bound here and is taken all the same."""
    moves: list[int] = []
    block = ledger.lease(
        "a",
        environment="a",
        port_base=port_base,
        avoid={port_base + 3},
        on_move=lambda _base, port, _reason: moves.append(port),
    )
    assert (block.base, moves) == (port_base + BLOCK_SIZE, [port_base + 3])


def test_connections_that_linger_do_not_move_a_block(ledger: PortLedger, port_base: int) -> None:
    """A port whose last connection is in TIME_WAIT can be listened on again at once."""
    address = ("127.0.0.1", port_base)
    with socket.create_server(address) as server, socket.create_connection(address) as client:
        accepted, _ = server.accept()
        accepted.close()
        assert client.recv(1) == b""
    assert ledger.lease("a", environment="a", port_base=port_base).base == port_base


def test_blocks_of_another_port_base_are_respected(ledger: PortLedger, port_base: int) -> None:
    """A lease that lies across two blocks of this run holds both."""
    ledger.lease("a", environment="a", port_base=port_base + 10)
    found = ledger.lease("b", environment="b", port_base=port_base).base
    assert found == port_base + 2 * BLOCK_SIZE


def test_no_block_left_is_an_error_with_the_range(
    ledger: PortLedger, tmp_path: Path, port_base: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the range and what to do."""
    set_range_end(monkeypatch, tmp_path, port_base + BLOCK_SIZE + 5)
    ledger.lease("a", environment="a", port_base=port_base)
    with pytest.raises(EsbError) as raised:
        ledger.lease("b", environment="b", port_base=port_base)
    assert f"is left for environment b in {port_base}-{port_base + BLOCK_SIZE + 4}" in str(raised.value)
    assert "port_base" in str(raised.value)


def test_a_base_above_the_ephemeral_range_may_use_the_rest(
    ledger: PortLedger, tmp_path: Path, port_base: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hosts whose ephemeral range starts low would have no ports at all otherwise."""
    set_range_end(monkeypatch, tmp_path, 1024)
    assert ledger.lease("a", environment="a", port_base=port_base).base == port_base


def test_an_address_of_another_host_is_a_users_mistake(ledger: PortLedger, port_base: int) -> None:
    """Nothing can be bound there, so the setting is named."""
    with pytest.raises(UserError, match=r"bind_address 192\.0\.2\.1: "):
        ledger.lease("a", environment="a", port_base=port_base, bind_address="192.0.2.1")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"clock": 0, "leases": {"a": 1}}', b"\xff\xfe", b"null"]
)
def test_a_broken_table_is_set_aside(
    ledger: PortLedger, tmp_path: Path, port_base: int, content: bytes
) -> None:
    """It stops nobody, and stays beside the new one for whoever wants to look."""
    (tmp_path / "ports.json").write_bytes(content)
    assert ledger.lease("a", environment="a", port_base=port_base).base == port_base
    assert (tmp_path / "ports.json.corrupt").read_bytes() == content


def test_nothing_but_the_table_and_the_lock_stays(ledger: PortLedger, tmp_path: Path, port_base: int) -> None:
    """The lock file is never removed, temporary files always are, and others may not read the table."""
    ledger.lease("a", environment="a", port_base=port_base)
    ledger.release("a")
    ledger.release("never leased")
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["locks/ports.lock", "ports.json"]
    assert (tmp_path / "ports.json").stat().st_mode & 0o077 == 0


def test_what_this_host_uses_says_nothing_of_another_host(tmp_path: Path) -> None:
    """The ports of an environment on another machine's engine are that engine's to refuse."""
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen(1)
        base = stranger.getsockname()[1]
        ledger = PortLedger(tmp_path)
        # No address of this host either.
        there = ledger.lease("k", environment="e", port_base=base, bind_address="192.0.2.7", here=False)
        assert there.base == base
        there = ledger.lease(
            "k", environment="e", port_base=base, bind_address="192.0.2.7", here=False, avoid={base}
        )
        assert there.base == base + BLOCK_SIZE
