"""Ports that belong to somebody else: the block moves, the run stays green, one line tells it."""

import contextlib
import re
from pathlib import Path

from esb_e2e_plugin.ports import BLOCK_SIZE, OFFSETS
from tests.faults.project import Project
from tests.ports import ephemeral_ports_begin, listener

STOLEN_AFTER_THE_LEASE = """
import socket
from esb_e2e_plugin.ports import PortLedger

OFFSETS = {offsets}
lease = PortLedger.lease
stolen = []

def lease_and_steal(self, key, **arguments):
    block = lease(self, key, **arguments)
    if len(stolen) < len(OFFSETS):
        stolen.append(socket.create_server(("127.0.0.1", block.base + OFFSETS[len(stolen)])))
    return block

PortLedger.lease = lease_and_steal
"""


def check_moved(project: Project, *options: str, blocks: int) -> list[str]:
    """Assert that a run is green `blocks` after the first block; return what it says of its moves."""
    result = project.run("-n0", *options)
    assert result.code == 0, result.output
    assert len(result.moves()) == blocks
    assert result.log.count("passed over") == blocks
    assert len([event for event in project.events() if event["kind"] == "lease.moved"]) == blocks
    agent = project.port_base + blocks * BLOCK_SIZE + OFFSETS["agent_grpc"]
    assert f"agent listens on 127.0.0.1:{agent}" in result.log
    return result.moves()


def test_a_port_that_is_taken_before_the_lease_moves_the_block(project: Project) -> None:
    """The next block is used, and one line says why."""
    taken = project.port_base + OFFSETS["database"]
    with listener(taken):
        (line,) = check_moved(project, blocks=1)
    assert f"port {taken} is in use: the block of ports at {project.port_base} is passed over" in line
    project.check_nothing_left()


def test_a_port_that_is_stolen_after_the_lease_moves_the_block(project: Project) -> None:
    """Whichever service finds its port taken, all move on to the next block; one line for each move."""
    offsets = [OFFSETS[name] for name in ("gateway_http", "agent_grpc", "s3")]
    project.write("conftest.py", STOLEN_AFTER_THE_LEASE.format(offsets=offsets))
    lines = check_moved(project, blocks=len(offsets))
    for number, (offset, line) in enumerate(zip(offsets, lines, strict=True)):
        stolen = project.port_base + number * BLOCK_SIZE + offset
        assert re.search(rf"port .*\b{stolen}\b.* was taken before .+ could listen", line)
    project.check_nothing_left()


def test_no_block_that_is_left_fails_compose_with_the_range(tmp_path: Path) -> None:
    """The last resort is an error that names the range and the setting that changes it."""
    base = ephemeral_ports_begin() - BLOCK_SIZE
    project = Project(tmp_path / "tiny", base)
    with contextlib.ExitStack() as stack:
        for offset in OFFSETS.values():
            with contextlib.suppress(OSError):  # taken all the same
                stack.enter_context(listener(base + offset))
        result = project.run("-n0")
    assert result.code == 1, result.output
    assert "= Failed: e2e-local > compose =" in result.output
    assert (
        f"is left for environment e2e-local in {base}-{base + BLOCK_SIZE - 1} on 127.0.0.1" in result.summary
    )
    assert "choose another port_base in the matrix" in result.summary
    assert [line for line in project.left_over() if line.startswith("process ")] == []
    assert [path.name for path in project.state.iterdir()] == ["events.jsonl"]
