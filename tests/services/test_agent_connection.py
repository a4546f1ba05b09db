"""What a caller learns of a worker whose connection breaks: the cause of its end, where it is told."""

import asyncio
from typing import Any

import pytest
from esb_services.agent import connection
from esb_services.agent.runtime import WorkerDiedError

CAUSE = "exited with status 3"


async def _break(least: float, most: float, seconds: float, monkeypatch: pytest.MonkeyPatch) -> str:
    """Invoke a worker that hangs up, and is told to have ended when the caller waits for that."""
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(connection, "LEAST_END_SECONDS", least)
    monkeypatch.setattr(connection, "MOST_END_SECONDS", most)
    wait = asyncio.wait
    waited: list[float] = []

    async def wait_and_end(things: Any, **options: Any) -> Any:
        if list(things) == [ended]:
            waited.append(options["timeout"])
            if options["timeout"]:
                ended.set_result(CAUSE)
        return await wait(things, **options)

    monkeypatch.setattr(asyncio, "wait", wait_and_end)

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        worker = connection.WorkerConnections("127.0.0.1", port)
        with pytest.raises(WorkerDiedError) as error:
            await worker.invoke("echo-1", ended, "/invoke", b"{}", {}, seconds)
    (patience,) = waited
    assert least <= patience <= most
    return str(error.value)


@pytest.mark.parametrize(
    ("least", "most", "seconds", "expected"),
    [
        (0.0, 60.0, 30.0, CAUSE),
        (60.0, 60.0, 5.0, CAUSE),
        (0.0, 0.0, 30.0, "closed the connection without an answer"),
    ],
    ids=["the time that the invocation has left", "at least", "at most"],
)
def test_the_cause_of_an_end_is_waited_for(
    least: float, most: float, seconds: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine may tell of it later than the connection breaks."""
    assert asyncio.run(_break(least, most, seconds, monkeypatch)) == f"worker echo-1 {expected}"
