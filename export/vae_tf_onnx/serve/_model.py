"""The graphs of a bundle as kserve models, in kserve's data plane."""

from __future__ import annotations

import math
from concurrent.futures import Executor
from importlib.metadata import version
from typing import Any

import orjson
from kserve import InferRequest, InferResponse, Model, ModelRepository
from kserve.errors import InvalidInput
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from vae_tf_onnx.serve import _metrics, _wire
from vae_tf_onnx.serve._admission import Admission
from vae_tf_onnx.serve._capacity import capacity, decoded
from vae_tf_onnx.serve._served_graph import ServedGraph
from vae_tf_onnx.serve._server_settings import ServerSettings
from vae_tf_onnx.serve._tensors import FP32, VERSION, check_version, to_arrays, to_response, wanted_outputs


class GraphModel(Model):
    """One graph of a bundle, as the model of its name.

    Args:
        served: The graph.
        settings: Limits of the rows and bytes of one request.
        executor: Executor whose threads run the graph.

    Attributes:
        capacity: The most that one request can need.
    """

    def __init__(self, served: ServedGraph, settings: ServerSettings, executor: Executor) -> None:
        graph = self._graph = served.graph
        super().__init__(graph.name)
        self._max_rows = settings.max_rows
        self.capacity = capacity(graph.input_shapes.values(), settings.max_rows, settings.max_body_bytes)
        on_run = _metrics.on_run(graph.name)
        self._batcher = served.batcher(max_rows=settings.max_rows, executor=executor, on_run=on_run)
        self.ready = True

    def get_input_types(self) -> list[dict[str, Any]]:
        """Name, datatype and shape of each input."""
        return [_tensor(name, shape) for name, shape in self._graph.input_shapes.items()]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Name, datatype and shape of each output."""
        return [_tensor(output.name, tuple(output.shape[1:])) for output in self._graph.session.get_outputs()]

    async def predict(
        self, payload: InferRequest, headers: dict[str, str] | None = None, response_headers: Any = None
    ) -> InferResponse:
        """The outputs for a request, whose inputs are checked first.

        Raises:
            InvalidInput: For inputs or outputs that the graph does not have.
            TooLargeError: For too many rows.
        """
        check_version(payload)
        wanted = wanted_outputs(payload, self._graph.output_names)
        num_bytes = sum(4 * math.prod(item.shape) for item in payload.inputs if item.data)
        inputs = await decoded(num_bytes, to_arrays, payload, self._graph.input_shapes, self._max_rows)
        return to_response(payload, await self._batcher(inputs), wanted)


def _tensor(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"name": name, "datatype": FP32, "shape": [-1, *shape]}


class GraphDataPlane(DataPlane):
    """kserve's data plane with our decoding, which is not ready when the server is about to stop."""

    def __init__(self, models: list[GraphModel], admission: Admission) -> None:
        repository = ModelRepository()
        for model in models:
            repository.update(model)
        super().__init__(repository)
        self._admission = admission

    def metadata(self) -> dict[str, Any]:
        """Name and version of the server, and the protocol's extensions that it has."""
        return {"name": "vae-tf-onnx", "version": version("vae-tf-onnx"), "extensions": ["binary_tensor_data"]}

    async def ready(self) -> bool:
        """Whether new requests are welcome."""
        return not self._admission.draining

    async def model_ready(self, model_name: str, disable_predictor_health_check: bool = False) -> bool:
        """Whether a model is ready. kserve's inference endpoint passes True and is answered while the server drains."""
        is_ready = await super().model_ready(model_name, disable_predictor_health_check)
        return is_ready and (disable_predictor_health_check or not self._admission.draining)

    async def model_metadata(self, model_name: str) -> dict[str, Any]:
        """Names, datatypes and shapes of a model's tensors, in which -1 stands for the number of rows."""
        return await super().model_metadata(model_name) | {"platform": "onnxruntime_onnx", "versions": [VERSION]}

    def body_limit(self, model_name: str) -> int:
        """The most bytes that one request to a model may have.

        Raises:
            ModelNotFound: For an unknown model.
        """
        return self.get_model_from_registry(model_name).capacity.num_bytes

    def largest_body(self) -> int:
        """The most bytes that one request to any of the models may have."""
        return max(map(self.body_limit, self.model_registry.get_models()))

    async def decode_body(self, body: bytes, json_length: str | None, model_name: str) -> InferRequest:
        """The request in a body; see _wire.decode."""
        limits = self.get_model_from_registry(model_name).capacity
        return await decoded(len(body), _wire.decode, body, json_length, model_name, limits)

    def encode(self, model_name: str, response: InferResponse, headers: Any, req_attributes: Any) -> Any:
        """The body of the answer and its headers, without CloudEvents."""
        content, answer_headers = super().encode(model_name, response, None, {})
        return content if isinstance(content, bytes) else orjson.dumps(
            content, option=orjson.OPT_SERIALIZE_NUMPY
        ), answer_headers


class FixedRepository(ModelRepositoryExtension):
    """A repository whose models stay: clients neither load nor unload them."""

    async def load(self, model_name: str) -> None:
        """Refuses to load a model."""
        raise InvalidInput("repository: expected a fixed set of models, received a load. Restart the server for it.")

    async def unload(self, model_name: str) -> None:
        """Refuses to unload a model."""
        raise InvalidInput("repository: expected a fixed set of models, received an unload. Restart the server for it.")
