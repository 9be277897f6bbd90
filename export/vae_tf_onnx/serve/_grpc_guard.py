"""The guard before every gRPC call: the token, the time limits, and the number of inference requests that run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import aio
from kserve.errors import InvalidInput, ServerNotReady

from vae_tf_onnx.serve import _metrics
from vae_tf_onnx.serve._admission import Admission
from vae_tf_onnx.serve._client_errors import STATUSES, UNAUTHENTICATED, BodyTimeoutError, status, text
from vae_tf_onnx.serve._server_settings import ServerSettings
from vae_tf_onnx.serve._token import carries

_LOG = logging.getLogger(__name__)
_SERVICE = "/inference.GRPCInferenceService/"
_OPEN = frozenset({f"{_SERVICE}ServerLive", f"{_SERVICE}ServerReady"})
_INFER = f"{_SERVICE}ModelInfer"


class Guard(aio.ServerInterceptor):
    """An interceptor that calls the servicer's methods and answers their errors with gRPC's codes.

    Every call is a stream to grpc, which looks the same to a client that sends one message. For other calls grpc would
    wait for the message without end, and it would send the answer without saying when that is taken. A message that
    cannot be parsed is answered INVALID_ARGUMENT; grpc itself would say INTERNAL, which blames the server.

    Args:
        admission: Count of the inference requests that run.
        settings: Token of the server, and the time that a message may take.

    Attributes:
        closed: Whether inference is refused.
    """

    def __init__(self, admission: Admission, settings: ServerSettings) -> None:
        self._admission = admission
        self._token = settings.token()
        self._seconds = settings.body_seconds
        self.closed = False

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """Chooses the handler of one call; see grpc.aio."""
        given = dict(details.invocation_metadata).get("authorization", "")
        if self._token is not None and details.method not in _OPEN and not carries(given, self._token):
            return grpc.stream_stream_rpc_method_handler(_refuse)
        handler = await continuation(details)
        if handler is None:
            return None
        call = self._infer if details.method == _INFER else self._respond
        return grpc.stream_stream_rpc_method_handler(partial(_call, partial(call, handler), self._receive))

    async def _receive(self, context: aio.ServicerContext) -> bytes:
        try:
            async with asyncio.timeout(self._seconds):
                message = await context.read()
        except TimeoutError as error:
            raise BodyTimeoutError(f"message: expected one within {self._seconds:g} seconds, received none.") from error
        if message is aio.EOF:
            raise InvalidInput("message: expected one, received none.")
        return message

    async def _respond(self, handler: grpc.RpcMethodHandler, message: bytes, context: aio.ServicerContext) -> None:
        response = await handler.unary_unary(_parsed(handler, message), context)
        try:
            async with asyncio.timeout(self._seconds):
                await context.write(handler.response_serializer(response))
        except TimeoutError:
            raise asyncio.CancelledError from None  # grpc can say nothing on a call that its client does not read

    async def _infer(self, handler: grpc.RpcMethodHandler, message: bytes, context: aio.ServicerContext) -> None:
        """Answers one inference, which counts from the arrival of its message until its answer is taken."""
        code = grpc.StatusCode.CANCELLED
        try:
            if self.closed:
                raise ServerNotReady("It is stopping: ask another one.")
            with self._admission.enter("grpc"):
                await self._respond(handler, message, context)
            code = grpc.StatusCode.OK
        except Exception as error:  # counted here, answered by _call
            _, code = status(error)
            raise
        finally:
            _metrics.REQUESTS.labels("grpc", code.name).inc()


def _end(context: aio.ServicerContext, error: Exception) -> None:
    """Ends a call with the code of an error. `context.abort` would keep its message alive in a cycle of references."""
    context.set_code(status(error)[1])
    context.set_details(text(error))


async def _refuse(_: Any, context: aio.ServicerContext) -> None:
    """Refuses a call before its message is read."""
    _end(context, UNAUTHENTICATED)


async def _call(
    respond: Callable[[bytes, aio.ServicerContext], Awaitable[None]],
    receive: Callable[[aio.ServicerContext], Awaitable[bytes]],
    _: Any,
    context: aio.ServicerContext,
) -> None:
    try:
        await respond(await receive(context), context)
    except Exception as error:  # an error that is not the client's is ours, and belongs into the log
        if not isinstance(error, tuple(STATUSES)):
            _LOG.error("A call failed", exc_info=error)
        _end(context, error)


def _parsed(handler: grpc.RpcMethodHandler, message: bytes) -> Any:
    try:
        return handler.request_deserializer(message)
    except DecodeError as error:
        raise InvalidInput(f"message: expected the protocol's, received {len(message)} bytes: {error}.") from error
