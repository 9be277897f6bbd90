"""The life of the server: uvicorn and grpc.aio in one event loop, from the first port to the last answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from vae_tf_onnx.serve._admission import Admission
from vae_tf_onnx.serve._grpc import RpcServer
from vae_tf_onnx.serve._http import make_app
from vae_tf_onnx.serve._http_connection import HttpConnection
from vae_tf_onnx.serve._model import GraphDataPlane, GraphModel
from vae_tf_onnx.serve._served_graph import ServedGraph
from vae_tf_onnx.serve._server_settings import ServerSettings

_LOG = logging.getLogger("vae_tf_onnx.serve")
_CONNECTIONS, _SPARE_CONNECTIONS = 8, 64
"""HTTP connections for each request that may run, and in addition. Requests on further ones are answered 503."""


def run(graphs: list[ServedGraph], settings: ServerSettings, page: Path | None, on_start: Callable[[], object]) -> None:
    """Serves these graphs until a signal comes; see vae_tf_onnx.serve.serve."""
    admission = Admission(settings)
    with ThreadPoolExecutor(len(graphs), thread_name_prefix="onnxruntime") as executor:
        models = [GraphModel(graph, settings, executor) for graph in graphs]
        data_plane = GraphDataPlane(models, admission)
        app = make_app(data_plane, admission, settings, page)
        with _listen(settings) as listener:
            asyncio.run(_serve(app, data_plane, admission, settings, listener, on_start))


@contextlib.contextmanager
def _listen(settings: ServerSettings) -> Iterator[socket.socket]:
    hint = socket.AI_PASSIVE
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.http_port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=hint
        )[0]
        listener = socket.socket(family, kind, protocol)  # asyncio sets TCP_NODELAY where the protocol is stated
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        raise OSError(
            f"http_port: expected a free port, received {settings.host}:{settings.http_port}: {error}. "
            "Pass another one."
        ) from error
    with listener:
        yield listener


class _Uvicorn(uvicorn.Server):
    """uvicorn without its own signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(
    app: ASGIApp,
    data_plane: GraphDataPlane,
    admission: Admission,
    settings: ServerSettings,
    listener: socket.socket,
    on_start: Callable[[], object],
) -> None:
    rpc = RpcServer(data_plane, admission, settings)
    await rpc.start()
    web = _Uvicorn(_config(app, settings))
    with _signals() as stopping:
        serving = asyncio.create_task(web.serve([listener]))
        while not web.started and not serving.done():
            await asyncio.sleep(0.01)
        _announce(data_plane, settings, listener.getsockname()[1], rpc.port)
        on_start()
        signalled = asyncio.create_task(stopping.wait())
        await asyncio.wait({serving, signalled}, return_when=asyncio.FIRST_COMPLETED)
        admission.draining = True
        await asyncio.sleep(settings.notice_seconds)  # HTTP connections close with their next answer
        web.should_exit = True
        await asyncio.gather(rpc.stop(settings.grace_seconds), serving)
        signalled.cancel()
    _LOG.info("Stopped: answered what was accepted, %d inference requests in all", admission.accepted)


@contextlib.contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopping.set)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _config(app: ASGIApp, settings: ServerSettings) -> uvicorn.Config:
    class Connection(HttpConnection):
        seconds = settings.body_seconds

    return uvicorn.Config(
        app,
        http=Connection,
        limit_concurrency=_CONNECTIONS * settings.max_concurrent + _SPARE_CONNECTIONS,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        timeout_graceful_shutdown=math.ceil(settings.grace_seconds),
    )


def _announce(data_plane: GraphDataPlane, settings: ServerSettings, http_port: int, rpc_port: int) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "http" if settings.tls_cert is None else "https"
    models = ", ".join(data_plane.model_registry.get_models())
    _LOG.info("Serving %s: %s://%s:%d, gRPC %s:%d", models, scheme, host, http_port, host, rpc_port)
