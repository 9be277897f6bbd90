"""The HTTP half of the server: kserve's endpoints, metrics, and the page."""

from __future__ import annotations

import logging
from pathlib import Path

from fastapi import FastAPI
from kserve.protocol.rest.server import metrics_handler
from kserve.protocol.rest.v2_endpoints import register_v2_endpoints
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from vae_tf_onnx.serve._admission import Admission
from vae_tf_onnx.serve._client_errors import STATUSES
from vae_tf_onnx.serve._http_middleware import Closing, Inference, OneVersion, Token, error_response
from vae_tf_onnx.serve._model import FixedRepository, GraphDataPlane
from vae_tf_onnx.serve._server_settings import ServerSettings

_LOG = logging.getLogger(__name__)
_INDEX = """This server speaks the Open Inference Protocol (KServe v2).

Models: GET /v2/models. One of them: GET /v2/models/decoder. Inference: POST /v2/models/decoder/infer.
Health: GET /v2/health/ready. Metrics: GET /metrics.
The explorer of the latents is shown here once it is made, where it can be: the server's log says when, or why not.
"""


def make_app(
    data_plane: GraphDataPlane, admission: Admission, settings: ServerSettings, page: Path | None = None
) -> ASGIApp:
    """The ASGI application; `page` is a folder that is shown at `/` as soon as it holds an index.html."""
    app = FastAPI(title="vae-tf-onnx", docs_url=None, redoc_url=None, openapi_url=None)
    register_v2_endpoints(app, data_plane, FixedRepository(data_plane.model_registry))
    app.add_api_route("/metrics", metrics_handler, methods=["GET"])
    for kind in STATUSES:
        app.add_exception_handler(kind, _refuse)
    app.add_exception_handler(HTTPException, _refuse_path)
    app.add_exception_handler(Exception, _fail)
    if page is None:
        app.add_api_route("/", _index, methods=["GET"])
    else:
        app.mount("/", _Page(page))
    guarded: ASGIApp = Closing(OneVersion(Inference(app, data_plane, admission, settings)), admission)
    token = settings.token()
    return guarded if token is None else Token(guarded, token)


class _Page:
    """The files of a folder as soon as it holds an index.html, and a text before that."""

    def __init__(self, folder: Path) -> None:
        self._index = folder / "index.html"
        self._files = StaticFiles(directory=folder, html=True, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; see ASGI."""
        if self._index.is_file():
            await self._files(scope, receive, send)
        elif scope["method"] in ("GET", "HEAD") and scope["path"] == "/":
            await PlainTextResponse(_INDEX)(scope, receive, send)
        else:
            raise HTTPException(404)


async def _index() -> PlainTextResponse:
    return PlainTextResponse(_INDEX)


async def _refuse(_: Request, error: Exception) -> Response:
    return error_response(error)


async def _refuse_path(_: Request, error: Exception) -> Response:
    code, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (400, str(error))
    return JSONResponse({"error": detail}, code)


async def _fail(request: Request, error: Exception) -> Response:
    _LOG.error("%s %s failed", request.method, request.url.path)
    return error_response(error)
