"""The gateway's routes: its own endpoints through FastAPI, all else straight to the invocation paths."""

import asyncio
import time
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError

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


class AuthParameters(BaseModel):
    """A user's credentials."""

    USERNAME: str
    PASSWORD: str


class AuthRequest(BaseModel):
    """The body of an authentication request."""

    parameters: AuthParameters = Field(alias="AuthParameters")


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
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)

    async def bearer(authorization: Annotated[str | None, Header()] = None) -> None:
        auth.user(authorization)

    @app.exception_handler(UnauthorizedError)
    async def unauthorized(_request: Request, error: UnauthorizedError) -> Response:
        return JSONResponse({"message": str(error)}, 401, {"www-authenticate": "Bearer"})

    @app.get("/health")
    async def health() -> Response:
        config = functions.current.config
        state: dict[str, Any] = {"digest": config.digest, "loaded_at": config.loaded_at}
        if source.rejected is not None:
            state["rejected"] = source.rejected
        return JSONResponse(healthy(config=state))

    @app.post(auth_path)
    async def authenticate(request: Request, x_api_key: Annotated[str | None, Header()] = None) -> Response:
        auth.check_api_key(x_api_key)
        try:
            credentials = AuthRequest.model_validate_json(await request.body()).parameters
        except ValidationError as error:
            return JSONResponse({"message": _describe(error)}, 422)
        token = auth.token(credentials.USERNAME, credentials.PASSWORD)
        return JSONResponse({"AuthenticationResult": {"IdToken": token}})

    @app.get("/metrics")
    async def prometheus() -> Response:
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE})

    @app.get("/metrics/pools", dependencies=[Depends(bearer)])
    async def pools() -> Response:
        figures = [function.pool.figures() for function in functions.current.functions.values()]
        return JSONResponse({"pools": figures, "collected_at": logs.timestamp(time.time())})

    @app.get("/metrics/containers", dependencies=[Depends(bearer)])
    async def containers() -> Response:
        return JSONResponse(await _measure(functions, agent))

    async def invoke(scope: Scope, receive: Receive, send: Send) -> None:
        target = lambda_api if is_invocation(scope["method"], scope["raw_path"].decode("ascii")) else proxy
        await target(scope, receive, send)

    app.mount("/", invoke)
    return app


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


def _describe(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return f"{where}: {first['msg']}"
