"""The AWS Lambda Invoke API: `POST /2015-03-31/functions/{name}/invocations`."""

import json
import logging
import re
from urllib.parse import parse_qs, unquote

from esb_services.gateway.functions import FunctionRegistry, LiveFunction
from esb_services.gateway.http import (
    BodyTooLargeError,
    ClientGoneError,
    Receive,
    Scope,
    Send,
    gone,
    header,
    info_of,
    read_body,
    respond,
)
from esb_services.gateway.invocation import (
    MAX_PAYLOAD_BYTES,
    Invocation,
    InvocationError,
    Invoker,
    Result,
    ThrottledError,
)
from esb_services.gateway.pool import Spawn

EVENT_QUEUE_TIMEOUT = 300.0
"""Seconds that an asynchronous invocation waits for a worker before it is given up."""

_PATH = re.compile(r"/2015-03-31/functions/([^/]+)/invocations/?")
_FUNCTION = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:[a-z0-9-]+:\d{12}:function:|(?:\d{12}:)?function:)?"
    r"(?P<name>[a-zA-Z0-9_-]{1,64})(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]{1,128}))?"
)
_TYPES = ("RequestResponse", "Event", "DryRun")
_JSON = ("content-type", "application/json")

logger = logging.getLogger("esb.gateway.invoke")


class ApiError(Exception):
    """An answer that an AWS SDK raises as the exception `code`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def function_name(identifier: str, qualifier: str | None = None) -> str:
    """Return the name in a function identifier: a name, `name:qualifier`, a partial or a full ARN.

    Args:
        identifier: the decoded path segment.
        qualifier: the `Qualifier` of the query.

    Raises:
        ApiError: the identifier is malformed, or names another qualifier than the query.
    """
    match = _FUNCTION.fullmatch(identifier)
    if match is None:
        raise ApiError(400, "ValidationException", f"{identifier!r} is no function name or ARN")
    if qualifier and match["qualifier"] and qualifier != match["qualifier"]:
        message = f"the qualifier {match['qualifier']} of the name differs from the parameter {qualifier}"
        raise ApiError(400, "InvalidParameterValueException", message)
    return match["name"]


def is_invocation(method: str, raw_path: str) -> bool:
    """Tell whether a request is for this API."""
    return method == "POST" and _PATH.fullmatch(raw_path) is not None


class LambdaApi:
    """Answers Invoke requests as AWS does."""

    def __init__(self, functions: FunctionRegistry, invoker: Invoker, spawn: Spawn) -> None:
        self._functions = functions
        self._invoker = invoker
        self._spawn = spawn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            await self._serve(scope, receive, send)
        except ClientGoneError:
            return
        except ApiError as error:
            await _respond_error(send, error)
        except InvocationError as error:
            code = "TooManyRequestsException" if isinstance(error, ThrottledError) else "ServiceException"
            await _respond_error(send, ApiError(error.status, code, str(error)))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        info = info_of(scope)
        function = self._function(scope)
        info.function = function.config.name
        kind = header(scope, b"x-amz-invocation-type") or "RequestResponse"
        if kind not in _TYPES:
            message = f"InvocationType {kind!r} is not one of {', '.join(_TYPES)}"
            raise ApiError(400, "InvalidParameterValueException", message)
        invocation = Invocation(
            payload=await _payload(receive),
            trace_header=info.trace.header,
            request_id=info.request_id,
            client_context=header(scope, b"x-amz-client-context"),
        )
        if kind == "DryRun":
            await respond(send, 204)
        elif kind == "Event":
            self._spawn(self._run_event(function, invocation))
            await respond(send, 202)
        else:
            await _respond_result(send, await self._invoker.invoke(function, invocation, gone=gone(receive)))

    def _function(self, scope: Scope) -> LiveFunction:
        match = _PATH.fullmatch(scope["raw_path"].decode("ascii"))
        identifier = unquote(match[1]) if match else ""
        qualifier = parse_qs(scope["query_string"].decode("latin-1")).get("Qualifier", [None])[-1]
        name = function_name(identifier, qualifier)
        function = self._functions.current.functions.get(name)
        if function is None:
            message = f"Function not found: {self._invoker.arn(name)}"
            raise ApiError(404, "ResourceNotFoundException", message)
        return function

    async def _run_event(self, function: LiveFunction, invocation: Invocation) -> None:
        fields = {"function": function.config.name}
        try:
            result = await self._invoker.invoke(function, invocation, queue_timeout=EVENT_QUEUE_TIMEOUT)
        except InvocationError as error:
            message = "asynchronous invocation failed: %s"
            logger.error(message, error, extra={"fields": fields})  # noqa: TRY400 the cause is in the message
            return
        if result.error is not None:
            text = result.payload.decode(errors="replace")
            logger.error("asynchronous invocation ended in an error: %s", text, extra={"fields": fields})


async def _payload(receive: Receive) -> bytes:
    try:
        payload = await read_body(receive, MAX_PAYLOAD_BYTES)
    except BodyTooLargeError:
        message = f"the payload is larger than {MAX_PAYLOAD_BYTES} bytes"
        raise ApiError(413, "RequestTooLargeException", message) from None
    if not payload:
        return b"{}"
    try:
        json.loads(payload)
    except ValueError as error:
        message = f"Could not parse request body into json: {error}"
        raise ApiError(400, "InvalidRequestContentException", message) from error
    return payload


async def _respond_result(send: Send, result: Result) -> None:
    headers = [_JSON, ("x-amz-executed-version", "$LATEST")]
    if result.error is not None:
        headers.append(("x-amz-function-error", result.error))
    await respond(send, 200, headers, result.payload)


async def _respond_error(send: Send, error: ApiError) -> None:
    kind = "User" if error.status < 500 else "Service"
    # SDKs read `message` or `Message`, depending on how the service's model spells the error's member.
    body = {"Type": kind, "message": str(error), "Message": str(error)}
    await respond(send, error.status, [_JSON, ("x-amzn-errortype", error.code)], json.dumps(body).encode())
