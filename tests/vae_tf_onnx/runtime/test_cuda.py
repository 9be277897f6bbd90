"""Decoder, Encoder and fixed buffers on a GPU, against the CPU."""

import numpy as np
import onnxruntime
import pytest

from vae_tf_onnx import Bound, Decoder, Encoder

CUDA = "CUDAExecutionProvider"
EXACT = [(CUDA, {"use_tf32": "0"})]
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(CUDA not in onnxruntime.get_available_providers(), reason="needs onnxruntime-gpu and a GPU"),
]


def rows(head, batch, seed=0):
    (shape,) = head.input_shapes.values()
    return np.random.default_rng(seed).random((batch, *shape), np.float32)


@pytest.mark.parametrize("batch", [1, 3, 17])
@pytest.mark.parametrize("kind", [Decoder, Encoder])
def test_the_gpu_computes_what_the_cpu_does(make_bundle, kind, batch):
    folder = make_bundle()
    ours, expected = kind(folder, providers=EXACT), kind(folder)
    assert ours.session.get_providers()[0] == CUDA
    given = rows(ours, batch)
    for name, values in expected.run(given).items():
        np.testing.assert_allclose(ours.run(given)[name], values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cuda_graph", [False, True])
@pytest.mark.parametrize("kind", [Decoder, Encoder])
def test_buffers_on_the_gpu(make_bundle, kind, cuda_graph):
    """Replayed launches read what was written into the buffers since, and outputs are copies."""
    folder = make_bundle()
    bound, expected = Bound(kind(folder, providers=EXACT), 5, cuda_graph=cuda_graph), kind(folder)
    results = [(rows(expected, 5, seed), bound.run(rows(expected, 5, seed))) for seed in range(3)]
    for given, outputs in results:
        for name, values in expected.run(given).items():
            np.testing.assert_allclose(outputs[name], values, rtol=1e-4, atol=1e-5)
