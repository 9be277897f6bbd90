"""The decoding of an inference request's body over HTTP: JSON, and the binary tensors after it."""

from __future__ import annotations

from typing import Any

import orjson
from kserve import InferRequest
from kserve.errors import InvalidInput
from kserve.protocol.rest.v2_datamodels import InferenceRequest, Parameters, RequestInput, RequestOutput
from pydantic import Field, StrictInt, ValidationError

from vae_tf_onnx.serve._capacity import Capacity
from vae_tf_onnx.serve._client_errors import TooLargeError, shown

MAX_TENSORS = 64
"""The most inputs, and the most outputs, that one request may name: many more than a graph has."""
MAX_RANK = 16
_SIZE = "binary_data_size"

_BOUNDED: dict[str, Any] = {"max_length": MAX_TENSORS, "fail_fast": True}


class _Input(RequestInput):
    shape: list[StrictInt] = Field(max_length=MAX_RANK, fail_fast=True)
    parameters: Parameters | None = Field(None, max_length=MAX_TENSORS)
    data: list[Any] = Field(default_factory=list)


class _Output(RequestOutput):
    parameters: Parameters | None = Field(None, max_length=MAX_TENSORS)


class _Request(InferenceRequest):
    """kserve's model of a request, whose data may follow in binary, and whose lists are bounded."""

    parameters: Parameters | None = Field(None, max_length=MAX_TENSORS)
    inputs: list[_Input] = Field(**_BOUNDED)
    outputs: list[_Output] | None = Field(None, **_BOUNDED)


def decode(body: bytes, json_length: str | None, model_name: str, capacity: Capacity) -> InferRequest:
    """The request in a body whose first `json_length` bytes, all by default, are JSON.

    Raises:
        InvalidInput: For a body that is no inference request.
        TooLargeError: For JSON above the capacity of the graph.
    """
    size = _json_size(body, json_length)
    content = body[:size]
    if excess := capacity.excess(content):
        raise TooLargeError(f"body: {excess}. Send fewer rows, flat lists or binary tensors.")
    try:
        request = _Request.model_validate(orjson.loads(content))
    except orjson.JSONDecodeError as error:
        remedy = "JSON has no NaN or Infinity." if b"NaN" in body or b"Infinity" in body else "Send JSON."
        raise InvalidInput(f"body: expected JSON, received {size} bytes that are not: {error}. {remedy}") from error
    except ValidationError as error:
        raise InvalidInput(
            f"body: expected an inference request, received {_first(error)}. See the Open Inference Protocol."
        ) from error
    chunks = _chunks(request, body[size:])
    decoded = InferRequest.from_inference_request(request, model_name)
    return InferRequest(
        model_name,
        decoded.inputs,
        decoded.id,
        raw_inputs=chunks,
        parameters=decoded.parameters,
        request_outputs=decoded.request_outputs,
    )


def _json_size(body: bytes, header: str | None) -> int:
    if header is None:
        return len(body)
    if not header.isascii() or not header.isdecimal() or len(header) > 18 or int(header) > len(body):
        raise InvalidInput(
            f"Inference-Header-Content-Length: expected at most the {len(body)} bytes of the body, received "
            f"{shown(header)}. Send the length of the JSON."
        )
    return int(header)


def _chunks(request: _Request, tail: bytes) -> list[bytes | None]:
    """The bytes of each input after the JSON; None for an input whose data is in the JSON."""
    sizes = [(item.parameters or {}).get(_SIZE) for item in request.inputs]
    for item, size in zip(request.inputs, sizes, strict=True):
        if size is None:
            continue
        if isinstance(size, bool) or not isinstance(size, int) or size < 0 or item.data:
            raise InvalidInput(
                f"{shown(item.name)}: expected data, or {_SIZE}, a number of bytes, received "
                f"{shown(size)}{' and data' if item.data else ''}. Send one of them."
            )
    total = sum(int(size) for size in sizes if size is not None)
    if total != len(tail):
        raise InvalidInput(
            f"body: expected {total} bytes after the JSON, the sum of each {_SIZE}, received {len(tail)}. "
            "Send the tensors in the order of the inputs."
        )
    chunks: list[bytes | None] = []
    start = 0
    for size in sizes:
        chunks.append(None if size is None else tail[start : start + int(size)])
        start += int(size or 0)
    return chunks


def _first(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(map(str, details["loc"])) or "the top"
    return f"{shown(details['input'])} at {shown(place)}: {details['msg']}"
