"""The worker's heart: hands invocations that come over HTTP to the runtime client, one at a time."""

import asyncio
import base64
import binascii
import contextlib
import json
import os
import signal
import socket
import sys
import time
import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any

from esb_services import logs
from esb_services.function_runtime.answers import uniform_answer
from esb_services.function_runtime.output import Context, FunctionLog, root_of
from esb_services.function_runtime.settings import MEMORY_EXCEEDED, Settings
from esb_services.http1 import MAX_HEAD_BYTES, Message, Response, serve_connection

INVOKE_PATH = "/2015-03-31/functions/function/invocations"
RUNTIME_PREFIX = "/2018-06-01/runtime/"
MAX_BODY_BYTES = 64 * 1024 * 1024
ACCOUNT = "123456789012"


@dataclass(eq=False, slots=True)
class Invocation:
    """One event on its way through the function."""

    request_id: str
    headers: dict[str, str]
    event: bytes
    context: Context
    answer: asyncio.Future[Response]


class Supervisor:
    """Serves the invoke address and the Runtime API until the function's process ends.

    Args:
        settings: the worker's settings.
        child: pid of the function's process.
        output: the read end of its output pipe.
    """

    def __init__(self, settings: Settings, child: int, output: int) -> None:
        self._settings = settings
        self._child = child
        self._output = output
        self._log = FunctionLog(
            output,
            sys.stdout.buffer,
            settings.function,
            settings.worker,
            lambda: logs.timestamp(time.time()),
        )
        self._ready = False
        self._init_error: str | None = None
        self._current: Invocation | None = None
        self._failed: tuple[Invocation, Response] | None = None
        self._memory_exceeded = False
        self._waiting: asyncio.Queue[Invocation] = asyncio.Queue(1)
        self._exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._stopping = False
        self._port = 0

    async def run(self, invoke_socket: socket.socket, runtime_socket: socket.socket) -> int:
        """Serve on two listening sockets until the function's process ends, and return its exit status."""
        loop = asyncio.get_running_loop()
        self._port = invoke_socket.getsockname()[1]
        os.set_blocking(self._output, False)
        loop.add_reader(self._output, self._read_output)
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGUSR1, self._note_full_heap)
        self._reap()
        for sock, handle in ((invoke_socket, self._answer_caller), (runtime_socket, self._answer_runtime)):
            connected = partial(serve_connection, handle=handle, max_body=MAX_BODY_BYTES)
            await asyncio.start_server(connected, sock=sock, limit=MAX_HEAD_BYTES)
        status = await self._exited
        code = self._finish(status)
        # a caller who was answered just now gets what its connection writes in the loop's next turn
        await asyncio.sleep(0)
        return code

    def _read_output(self) -> None:
        if not self._log.drain():
            asyncio.get_running_loop().remove_reader(self._output)

    def _stop(self) -> None:
        self._stopping = True
        if not self._exited.done():
            os.kill(self._child, signal.SIGKILL)

    def _note_full_heap(self) -> None:
        self._memory_exceeded = True

    def _reap(self) -> None:
        # as process 1 of a container the worker also inherits what the function leaves behind
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._child:
                    self._exited.set_result(os.waitstatus_to_exitcode(ended[1]))

    def _finish(self, status: int) -> int:
        self._answer_failed()
        if self._stopping:
            return 0
        how = (
            f"was killed by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"
        )
        shell_status = 128 - status if status < 0 else status
        if self._memory_exceeded:
            shell_status = MEMORY_EXCEEDED
        elif shell_status == MEMORY_EXCEEDED:
            shell_status = 1  # the function's own number says nothing about memory
        if not self._ready:
            cause = self._init_error or f"its process {how}"
            self._log.say("ERROR", f"the function could not be initialised: {cause}")
            return shell_status or 1
        during = " during an invocation" if self._current else ""
        self._log.say("ERROR", f"the function's process {how}{during}")
        return shell_status

    async def _answer_caller(self, request: Message) -> Response:
        method, path, _ = request.start
        if (method, path) == ("GET", "/health"):
            return _json(200 if self._ready else 503, {"status": "healthy" if self._ready else "starting"})
        if (method, path) != ("POST", INVOKE_PATH):
            return _json(404, {"message": f"no such route: {method} {path}"})
        if self._current is not None:
            return _json(429, {"message": f"worker {self._settings.worker} is busy"})
        try:
            self._current = self._invocation(request)
        except ValueError as error:
            return _json(400, {"message": str(error)})
        self._waiting.put_nowait(self._current)
        return await self._current.answer

    def _invocation(self, request: Message) -> Invocation:
        given = request.headers
        request_id = given.get("x-amzn-requestid") or str(uuid.uuid4())
        deadline = given.get("x-esb-deadline-ms") or str(
            int((time.time() + self._settings.timeout_seconds) * 1000)
        )
        default_arn = f"arn:aws:lambda:{self._settings.region}:{ACCOUNT}:function:{self._settings.function}"
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": deadline,
            "Lambda-Runtime-Invoked-Function-Arn": given.get("x-esb-function-arn") or default_arn,
        }
        trace = given.get("x-amzn-trace-id")
        if trace:
            headers["Lambda-Runtime-Trace-Id"] = trace
        if client_context := given.get("x-amz-client-context"):
            headers["Lambda-Runtime-Client-Context"] = _client_context(client_context)
        context = Context(root_of(trace) if trace else None, request_id)
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        return Invocation(request_id, headers, request.body, context, answer)

    async def _answer_runtime(self, request: Message) -> Response:
        method, path, _ = request.start
        route = path.removeprefix(RUNTIME_PREFIX)
        if (method, route) == ("GET", "invocation/next"):
            return await self._next()
        if (method, route) == ("POST", "init/error"):
            error = json.loads(request.body)
            self._init_error = f"{error.get('errorType')}: {error.get('errorMessage')}"
            return _json(202, {"status": "OK"})
        parts = route.split("/")
        if (
            method == "POST"
            and len(parts) == 3
            and parts[0] == "invocation"
            and parts[2] in ("response", "error")
        ):
            return self._accept(parts[1], request.body, failed=parts[2] == "error")
        return _json(404, {"errorType": "NotFound", "errorMessage": f"no such route: {method} {path}"})

    async def _next(self) -> Response:
        self._answer_failed()
        if not self._ready:
            self._ready = True
            self._report_ready()
        invocation = await self._waiting.get()
        self._log.finish()
        self._log.context = invocation.context
        return Response(200, invocation.event, invocation.headers)

    def _report_ready(self) -> None:
        if self._settings.ready_fd is not None:
            self._log.finish()
            os.write(self._settings.ready_fd, f"{self._port}\n".encode())
            os.close(self._settings.ready_fd)

    def _accept(self, request_id: str, body: bytes, *, failed: bool) -> Response:
        invocation = self._current
        if invocation is None or invocation.request_id != request_id or self._failed is not None:
            return _json(
                400, {"errorType": "InvalidRequestID", "errorMessage": f"no invocation {request_id}"}
            )
        if self._settings.java is not None:
            failed, body = uniform_answer(failed=failed, body=body, request_id=request_id)
            if failed:
                self._log.expect_failure(json.loads(body))
        if failed:
            # the Java client logs a failure after it has reported it: the answer waits until it asks for more
            self._failed = invocation, Response(200, body, {"X-Amz-Function-Error": "Unhandled"})
        else:
            self._answer(invocation, Response(200, body))
        return _json(202, {"status": "OK"})

    def _answer_failed(self) -> None:
        self._log.finish()
        if self._failed is not None:
            self._log.add_failure()
            self._answer(*self._failed)
            self._failed = None

    def _answer(self, invocation: Invocation, response: Response) -> None:
        # whoever sees the answer finds the log lines: they go first
        self._log.finish()
        self._log.context = None
        self._current = None
        invocation.answer.set_result(response)


def _client_context(value: str) -> str:
    """Return the JSON of an `X-Amz-Client-Context` header, which callers send in base64."""
    try:
        document = json.loads(value if value.startswith("{") else base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValueError("x-amz-client-context is not JSON in base64") from error
    return json.dumps(document, separators=(",", ":"))


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(status, json.dumps(body).encode())
