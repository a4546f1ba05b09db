"""Routed requests: token, route, proxy event, function, response."""

import json

from esb_services.gateway.auth import Authenticator, UnauthorizedError
from esb_services.gateway.functions import FunctionRegistry
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
    respond_error,
)
from esb_services.gateway.invocation import MAX_PAYLOAD_BYTES, Invocation, InvocationError, Invoker, Result
from esb_services.gateway.proxy_event import MalformedResponseError, Request, build_event, build_response


class HttpError(Exception):
    """A request is answered with `status` and the message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Proxy:
    """Turns requests to routed paths into invocations."""

    def __init__(self, functions: FunctionRegistry, auth: Authenticator, invoker: Invoker) -> None:
        self._functions = functions
        self._auth = auth
        self._invoker = invoker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            await self._serve(scope, receive, send)
        except ClientGoneError:
            return
        except UnauthorizedError as error:
            await respond_error(send, 401, str(error), [("www-authenticate", "Bearer")])
        except (HttpError, InvocationError) as error:
            await respond_error(send, error.status, str(error))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        user = self._auth.user(header(scope, b"authorization"))
        snapshot = self._functions.current
        match = snapshot.config.routes.match(scope["method"], scope["raw_path"].decode("ascii"))
        if match is None:
            raise HttpError(404, f"no route for {scope['method']} {scope['path']}")
        info = info_of(scope)
        info.function = match.route.function
        request = Request(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers=_headers(scope, info.trace.header),
            body=await _body(receive),
            source_ip=scope["client"][0] if scope["client"] else "",
            request_id=info.request_id,
            user=user,
        )
        payload = json.dumps(build_event(request, match), ensure_ascii=False).encode(errors="replace")
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise _too_large()
        invocation = Invocation(payload, info.trace.header, info.request_id)
        function = snapshot.functions[match.route.function]
        result = await self._invoker.invoke(function, invocation, gone=gone(receive))
        if result.error is not None:
            raise HttpError(502, _describe(match.route.function, result))
        try:
            response = build_response(result.payload)
        except MalformedResponseError as error:
            raise HttpError(502, f"malformed response of {match.route.function}: {error}") from error
        await respond(send, response.status, response.headers, response.body)


async def _body(receive: Receive) -> bytes:
    try:
        return await read_body(receive, MAX_PAYLOAD_BYTES)
    except BodyTooLargeError:
        raise _too_large() from None


def _too_large() -> HttpError:
    return HttpError(413, f"the request makes an event of more than {MAX_PAYLOAD_BYTES} bytes")


def _headers(scope: Scope, trace_header: str) -> list[tuple[str, str]]:
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in scope["headers"]
        if name != b"x-amzn-trace-id"
    ]
    return [*headers, ("x-amzn-trace-id", trace_header)]


def _describe(name: str, result: Result) -> str:
    try:
        report = json.loads(result.payload)
        return f"{name} failed: {report['errorType']}: {report['errorMessage']}"
    except (ValueError, KeyError, TypeError):
        return f"{name} failed"
