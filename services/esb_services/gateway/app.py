"""The gateway's routes: its own endpoints through Starlette, all else straight to the invocation paths."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from esb_services import logs
from esb_services.gateway.agent_client import AgentClient, AgentError
from esb_services.gateway.auth import Authenticator, UnauthorizedError
from esb_services.gateway.config_source import ConfigSource
from esb_services.gateway.functions import FunctionRegistry
from esb_services.gateway.http import AsgiApp, Receive, Scope, Send
from esb_services.gateway.lambda_api import LambdaApi, is_invocation
from esb_services.gateway.metrics import CONTENT_TYPE, RequestMetrics
from esb_services.gateway.proxy import Proxy
from esb_services.health import healthy


class MalformedError(Exception):
    """The body of a request is not what it has to be; the message is for the client."""


def create_app(
    *,
    functions: FunctionRegistry,
    source: ConfigSource,
    agent: AgentClient,
    auth: Authenticator,
    auth_path: str,
    metrics: RequestMetrics,
    lambda_api: LambdaApi,
    proxy: Proxy,
) -> AsgiApp:
    """Return the application that serves every request of both listeners."""

    async def health(_request: Request) -> Response:
        config = functions.current.config
        state: dict[str, Any] = {"digest": config.digest, "loaded_at": config.loaded_at}
        if source.rejected is not None:
            state["rejected"] = source.rejected
        return JSONResponse(healthy(config=state))

    async def authenticate(request: Request) -> Response:
        auth.check_api_key(request.headers.get("x-api-key"))
        token = auth.token(*_credentials(await request.body()))
        return JSONResponse({"AuthenticationResult": {"IdToken": token}})

    async def prometheus(_request: Request) -> Response:
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE})

    async def pools(request: Request) -> Response:
        auth.user(request.headers.get("authorization"))
        figures = [function.pool.figures() for function in functions.current.functions.values()]
        return JSONResponse({"pools": figures, "collected_at": logs.timestamp(time.time())})

    async def containers(request: Request) -> Response:
        auth.user(request.headers.get("authorization"))
        return JSONResponse(await _measure(functions, agent))

    async def invoke(scope: Scope, receive: Receive, send: Send) -> None:
        target = lambda_api if is_invocation(scope["method"], scope["raw_path"].decode("ascii")) else proxy
        await target(scope, receive, send)

    routes = [
        _get("/health", health),
        Route(auth_path, authenticate, methods=["POST"]),
        _get("/metrics", prometheus),
        _get("/metrics/pools", pools),
        _get("/metrics/containers", containers),
        Mount("/", invoke),
    ]
    return Starlette(
        routes=routes, exception_handlers={UnauthorizedError: _unauthorized, MalformedError: _malformed}
    )


def _get(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
    """Return a route for GET alone: Starlette adds HEAD, which belongs to the routes of functions."""
    route = Route(path, endpoint)
    route.methods = {"GET"}
    return route


async def _unauthorized(_request: Request, error: Exception) -> Response:
    return JSONResponse({"message": str(error)}, 401, {"www-authenticate": "Bearer"})


async def _malformed(_request: Request, error: Exception) -> Response:
    return JSONResponse({"message": str(error)}, 422)


async def _measure(functions: FunctionRegistry, agent: AgentClient) -> dict[str, Any]:
    """Return the figures of all workers, and for those without figures the reason."""
    workers = [(pool.function.name, worker) for pool in functions.pools for worker in pool.workers]
    answers = await asyncio.gather(
        *(agent.metrics(worker.id) for _, worker in workers), return_exceptions=True
    )
    measured, failures = [], []
    for (name, worker), answer in zip(workers, answers, strict=True):
        if isinstance(answer, AgentError):
            failures.append({"function_name": name, "container_id": worker.id, "error": str(answer)})
        elif isinstance(answer, BaseException):
            raise answer
        else:
            measured.append(answer)
    return {"containers": measured, "failures": failures}


def _credentials(body: bytes) -> tuple[str, str]:
    """Return the user name and the password in the body of an authentication request.

    Raises:
        MalformedError: there is none, or it is no text.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedError("body: expected JSON") from None
    parameters = document.get("AuthParameters") if isinstance(document, dict) else None
    if not isinstance(parameters, dict):
        raise MalformedError('body: expected {"AuthParameters": {"USERNAME": "...", "PASSWORD": "..."}}')
    return _text(parameters, "USERNAME"), _text(parameters, "PASSWORD")


def _text(parameters: dict[str, Any], name: str) -> str:
    value = parameters.get(name)
    if not isinstance(value, str):
        raise MalformedError(f"AuthParameters.{name}: expected a text")
    return value
