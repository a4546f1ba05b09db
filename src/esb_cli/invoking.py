"""Calling a function of an environment through its gateway."""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from esb_cli.project import Target
from esb_cli.running import found
from esb_e2e_plugin.errors import EsbError, UserError

_CONNECT_SECONDS = 10.0
_ACCEPTED = 300


@dataclass(frozen=True)
class Answer:
    """What came of a call.

    Attributes:
        status: HTTP status.
        text: The result as it came.
        error: The kind of a function's error, such as `Unhandled`; None where it returned.
        trace_id: What finds the call in the logs.
    """

    status: int
    text: str
    error: str | None
    trace_id: str

    @property
    def result(self) -> Any:
        """The result as data; text where it is no JSON, None where there is none."""
        try:
            return json.loads(self.text) if self.text else None
        except ValueError:
            return self.text


def read_payload(given: str) -> bytes:
    """Return the event that an argument stands for.

    Args:
        given: JSON, `@FILE`, or `-` for stdin.

    Raises:
        UserError: the file cannot be read, or its content is no JSON.
    """
    place = "PAYLOAD"
    try:
        if given == "-":
            place, data = "stdin", sys.stdin.buffer.read()
        elif given.startswith("@"):
            place, data = given[1:], Path(given[1:]).read_bytes()
        else:
            data = given.encode()
    except OSError as error:
        raise UserError(f"{place} cannot be read: {error.strerror}") from error
    try:
        json.loads(data)
    except ValueError as error:
        raise UserError(
            f"{place} is no JSON: {error}", "a text is JSON in quotation marks: '\"text\"'"
        ) from error
    return data


def invoke(target: Target, function: str, event: bytes, *, asynchronous: bool, timeout: float) -> Answer:
    """Call a function.

    Args:
        target: the environment.
        function: its name.
        event: JSON.
        asynchronous: whether to queue the event only.
        timeout: seconds to wait for the result.

    Raises:
        EsbError: the environment is not running, the gateway refuses, or does not answer.
    """
    import requests

    environment, _ = found(target)
    trace = f"1-{int(time.time()):08x}-{os.urandom(12).hex()}"
    with requests.Session() as session:
        session.trust_env = False  # the caller's proxies and CA bundles are not meant for loopback
        session.verify = str(environment.paths.ca_certificate)
        try:
            answer = session.post(
                f"{environment.urls.gateway}/2015-03-31/functions/{quote(function, safe='')}/invocations",
                data=event,
                headers={
                    "Content-Type": "application/json",
                    "X-Amz-Invocation-Type": "Event" if asynchronous else "RequestResponse",
                    "X-Amzn-Trace-Id": f"Root={trace};Sampled=1",
                },
                timeout=(_CONNECT_SECONDS, timeout),
            )
        except requests.Timeout as error:
            raise EsbError(
                f"{function} did not answer within {timeout:g} s", f"esb logs --trace {trace}"
            ) from error
        except requests.RequestException as error:
            raise EsbError(
                f"the gateway does not answer at {environment.urls.gateway}: {_reason(error)}",
                f"esb ps --env {target.name} shows its services",
            ) from error
    if answer.status_code >= _ACCEPTED:
        raise EsbError(
            f"the gateway refuses the call of {function}: {answer.status_code} {answer.text.strip()}"
        )
    return Answer(answer.status_code, answer.text, answer.headers.get("X-Amz-Function-Error"), trace)


def _reason(error: BaseException) -> str:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return str(error) or type(error).__name__
