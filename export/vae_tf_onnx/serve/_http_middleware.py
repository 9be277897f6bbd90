"""The ASGI middleware before kserve's endpoints: the token, the version in a path, the limits, and the end."""

from __future__ import annotations

import asyncio
import logging
import re

from kserve.constants.constants import INFERENCE_CONTENT_LENGTH_HEADER
from kserve.errors import ServerNotReady
from kserve.protocol.rest.v2_endpoints import V2Endpoints
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vae_tf_onnx.serve import _metrics
from vae_tf_onnx.serve._admission import Admission
from vae_tf_onnx.serve._body import read_body
from vae_tf_onnx.serve._client_errors import (
    STATUSES,
    UNAUTHENTICATED,
    TooManyError,
    UnauthenticatedError,
    shown,
    status,
    text,
)
from vae_tf_onnx.serve._model import GraphDataPlane
from vae_tf_onnx.serve._server_settings import ServerSettings
from vae_tf_onnx.serve._tensors import VERSION
from vae_tf_onnx.serve._token import carries

_LOG = logging.getLogger(__name__)
_PART = 2**16
"""Bytes of an answer that are handed over at once: no more, because TLS hides what the system has not taken."""
_OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})
_VERSIONED = re.compile(r"(/v2/models/[^/]+)/versions/([^/]+)((?:/.*)?)", re.DOTALL)
_INFER = re.compile(r"/v2/models/([^/]+)/infer", re.DOTALL)
_STOPPED = ServerNotReady("It is stopping: ask another one.")


def error_response(error: Exception) -> JSONResponse:
    """The response to an error, in the protocol's form."""
    code, _ = status(error)
    headers = {"www-authenticate": "Bearer"} if isinstance(error, UnauthenticatedError) else None
    headers = {"retry-after": "1"} if isinstance(error, TooManyError) else headers
    return JSONResponse({"error": text(error)}, code, headers)


class Token:
    """Middleware that answers 401 to a request without the token, unless it asks for the server's health."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; see ASGI."""
        if scope["path"] in _OPEN or carries(Headers(scope=scope).get("authorization", ""), self._token):
            await self._app(scope, receive, send)
        else:
            await error_response(UNAUTHENTICATED)(scope, receive, send)


class OneVersion:
    """Middleware that takes the one version out of a path that names it, and answers 404 to other versions."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; see ASGI."""
        match = _VERSIONED.fullmatch(scope["path"])
        if match is None:
            await self._app(scope, receive, send)
        elif match[2] == VERSION:
            await self._app({**scope, "path": match[1] + match[3]}, receive, send)
        else:
            message = f"version: expected {VERSION}, received {shown(match[2])}. Ask for it, or for none."
            await JSONResponse({"error": message}, 404)(scope, receive, send)


class Closing:
    """Middleware that closes each connection with its next answer when the server is about to stop."""

    def __init__(self, app: ASGIApp, admission: Admission) -> None:
        self._app = app
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; see ASGI."""

        async def closing(message: Message) -> None:
            if self._admission.draining and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, closing)


def _in_parts(send: Send) -> Send:
    """A `send` that returns when the system has taken a whole answer: uvicorn waits before a part, not after it."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.body":
            body = memoryview(message.get("body", b""))
            for start in range(0, len(body), _PART):
                await send({**message, "body": body[start : start + _PART], "more_body": True})
            message = {**message, "body": b""}
        await send(message)

    return sending


class Inference:
    """Middleware that answers inference requests by kserve's endpoint, and leaves all others to the app.

    A request counts from the arrival of its whole body until its answer is sent. FastAPI would route and decode each
    request once more, which takes half the time of a small one.
    """

    def __init__(
        self, app: ASGIApp, data_plane: GraphDataPlane, admission: Admission, settings: ServerSettings
    ) -> None:
        self._app = app
        self._data_plane = data_plane
        self._endpoints = V2Endpoints(data_plane)
        self._admission = admission
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; see ASGI."""
        match = _INFER.fullmatch(scope["path"])
        if scope["method"] != "POST" or match is None:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            body = await self._body(receive, headers, match[1])
            with self._admission.enter("http"):
                await _answer(await self._response(Request(scope), body, match[1]), scope, receive, send)
        except ClientDisconnect:
            return
        except tuple(STATUSES) as error:
            await _answer(error_response(error), scope, receive, send)

    async def _body(self, receive: Receive, headers: Headers, model: str) -> bytes:
        limit, seconds = self._data_plane.body_limit(model), self._settings.body_seconds
        with self._admission.arrive() as hold:
            try:
                return await read_body(receive, headers, limit=limit, seconds=seconds, hold=hold)
            except asyncio.CancelledError:  # uvicorn cancels at the end of the grace
                raise _STOPPED from None

    async def _response(self, request: Request, body: bytes, model: str) -> Response:
        try:
            return await self._infer(request, body, model)
        except asyncio.CancelledError:  # uvicorn cancels at the end of the grace
            return error_response(_STOPPED)
        except tuple(STATUSES) as error:
            return error_response(error)
        except Exception as error:  # a fault of ours, which belongs into the log
            _LOG.error("%s failed", request.url.path, exc_info=error)
            return error_response(error)

    async def _infer(self, request: Request, body: bytes, model: str) -> Response:
        json_length = request.headers.get(INFERENCE_CONTENT_LENGTH_HEADER)
        decoded = await self._data_plane.decode_body(body, json_length, model)
        response = Response()
        await self._endpoints.infer(request, response, model, decoded)
        response.headers["content-length"] = str(len(response.body))
        binary = INFERENCE_CONTENT_LENGTH_HEADER in response.headers
        response.headers["content-type"] = "application/octet-stream" if binary else "application/json"
        return response


async def _answer(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    _metrics.REQUESTS.labels("http", str(response.status_code)).inc()
    await response(scope, receive, _in_parts(send))
