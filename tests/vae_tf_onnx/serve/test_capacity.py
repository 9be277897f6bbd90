"""The capacity of a graph: the most that a request may have, known before the request is parsed."""

import asyncio
import json
import threading

import numpy as np
import pytest

from vae_tf_onnx.serve._capacity import capacity, decoded

LIMIT = 2**24
SHAPES = {"vector": [(3,)], "image": [(4, 2, 1)], "two inputs": [(5, 5, 1), (3,)]}


def request(shapes, rows, *, nested, indent=None):
    """The longest JSON that a client has reason to send."""
    arrays = [np.full((rows, *shape), -1.2345678901234567e-300) for shape in shapes]
    inputs = [
        {"name": f"x{i}", "shape": a.shape, "datatype": "FP32", "data": (a if nested else a.reshape(-1)).tolist()}
        for i, a in enumerate(arrays)
    ]
    outputs = [{"name": "mean", "parameters": {"binary_data": True}}] * 8
    return json.dumps({"id": "x" * 100, "inputs": inputs, "outputs": outputs}, indent=indent).encode()


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_the_largest_request_fits(shapes, nested):
    limits = capacity(shapes, 256, LIMIT)
    body = request(shapes, 256, nested=nested)
    assert len(body) <= limits.num_bytes
    assert limits.excess(body) is None


@pytest.mark.parametrize("content", [b"[],", b"[1],", b"1,", b"{},", b'"",', b"[", b"[[],"])
def test_what_no_request_needs_is_too_much(content):
    limits = capacity([(3,)], 256, LIMIT)
    body = b'{"inputs":[{"name":"z","shape":[1,3],"datatype":"FP32","data":[' + content * 20_000
    assert limits.num_bytes < 10**5
    assert "expected JSON with at most" in limits.excess(body)


def test_wide_graphs_are_bounded_too():
    limits = capacity([(512, 512, 3)], 256, LIMIT)
    assert limits.num_bytes == LIMIT
    assert "times [, received 5592405" in limits.excess(b"[]," * (LIMIT // 3))


def test_large_bodies_are_decoded_in_a_thread():
    async def threads():
        return [await decoded(size, threading.get_ident) for size in (100, 10**6)]

    small, large = asyncio.run(threads())
    assert small == threading.get_ident()
    assert large != small
