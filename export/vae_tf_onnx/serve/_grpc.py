"""The gRPC half of the server: kserve's servicer behind the guard."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc import aio
from kserve.errors import InvalidInput
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from kserve.protocol.grpc.servicer import InferenceServicer

from vae_tf_onnx.serve._admission import Admission
from vae_tf_onnx.serve._grpc_guard import Guard
from vae_tf_onnx.serve._model import FixedRepository, GraphDataPlane
from vae_tf_onnx.serve._server_settings import ServerSettings
from vae_tf_onnx.serve._tensors import VERSION
from vae_tf_onnx.serve._wire import MAX_RANK, MAX_TENSORS

_SPARE = 32
"""Calls other than inference that may run too, for health and metadata."""
_AGE_SECONDS = 600
"""The age at which a connection takes no new calls. Its client opens another one; calls that never end go with it."""
_REFUSE_SECONDS = 0.25
"""The time in which new calls are told that the server stops. After that, grpc drops them without a word."""


class RpcServer:
    """A gRPC server, which is bound to its port when it is made.

    Args:
        data_plane: Data plane with the models.
        admission: Count of the requests.
        settings: Address to listen on, and limits of what is answered.

    Raises:
        OSError: If the port is taken.
    """

    def __init__(self, data_plane: GraphDataPlane, admission: Admission, settings: ServerSettings) -> None:
        self._guard = Guard(admission, settings)
        self._server = aio.server(
            interceptors=[self._guard],
            options=[
                ("grpc.max_receive_message_length", data_plane.largest_body()),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_connection_age_ms", 1000 * _AGE_SECONDS),
                ("grpc.max_connection_age_grace_ms", int(2000 * settings.body_seconds) + 60_000),
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=2 * settings.max_concurrent + _SPARE,  # half of them wait for their message
        )
        add_GRPCInferenceServiceServicer_to_server(GraphServicer(data_plane), self._server)
        self.port = self._bind(settings)

    def _bind(self, settings: ServerSettings) -> int:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address, tls = f"{host}:{settings.grpc_port}", settings.tls()
        try:
            if tls is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, grpc.ssl_server_credentials([tls]))
        except RuntimeError as error:
            raise OSError(f"grpc_port: expected a free port, received {address}: {error}. Pass another one.") from error

    async def start(self) -> None:
        """Begins to take calls."""
        await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Refuses new calls, with an error first, and returns when the running ones are answered or the time is up."""
        self._guard.closed = True
        await asyncio.sleep(_REFUSE_SECONDS)
        await self._server.stop(grace_seconds)


class GraphServicer(InferenceServicer):
    """kserve's servicer, with a bound on what it unpacks.

    Args:
        data_plane: Data plane with the models.
    """

    def __init__(self, data_plane: GraphDataPlane) -> None:
        super().__init__(data_plane, FixedRepository(data_plane.model_registry))

    @classmethod
    def validate_grpc_request(cls, request: pb.ModelInferRequest) -> None:
        """Refuses a request that has more tensors, parameters or axes than any graph, before it is unpacked."""
        counts = [len(request.inputs), len(request.outputs), len(request.parameters)]
        if max(counts) > MAX_TENSORS or any(
            len(item.shape) > MAX_RANK or len(item.parameters) > MAX_TENSORS for item in request.inputs
        ):
            raise InvalidInput(
                f"request: expected at most {MAX_TENSORS} inputs, outputs and parameters and {MAX_RANK} axes, "
                "received more. Send what the model's metadata lists."
            )
        super().validate_grpc_request(request)

    async def ModelMetadata(  # noqa: N802 -- the protocol's name
        self, request: pb.ModelMetadataRequest, context: Any
    ) -> pb.ModelMetadataResponse:
        """Names, datatypes and shapes of a model's tensors, and its version."""
        response = await super().ModelMetadata(request, context)
        response.versions.append(VERSION)
        return response
