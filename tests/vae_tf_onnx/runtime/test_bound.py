"""Bound: fixed buffers for the runs of one batch size."""

import numpy as np
import pytest
from handmade import latents, means

from vae_tf_onnx import Bound, Decoder, ProviderError


@pytest.mark.parametrize("batch", [1, 7])
def test_bound_buffers(make_bundle, batch):
    decoder = Decoder(make_bundle())
    bound = Bound(decoder, batch)
    first = bound.run(latents(batch))["mean"]
    kept, z = first.copy(), latents(batch) + 1
    np.testing.assert_allclose(bound.run(z)["mean"], means(z), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(first, kept, "outputs of one run are not those of the next")
    assert list(bound.run(z, names=["mean"])) == ["mean"]
    with pytest.raises(ValueError, match=rf"z: expected {batch} rows, received {batch + 1}"):
        bound.run(latents(batch + 1))


@pytest.mark.parametrize("batch", [0, -1, True, 2.0])
def test_bound_to_a_batch_that_cannot_be(make_bundle, batch):
    with pytest.raises(ValueError, match="batch: expected a whole number of at least 1"):
        Bound(Decoder(make_bundle()), batch)


def test_bound_to_a_fixed_batch(fixed_batch):
    decoder = Decoder(fixed_batch)
    np.testing.assert_allclose(Bound(decoder, 4).run(latents(4))["mean"], means(latents(4)), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="batch: expected 4, that of the bundle, received 3"):
        Bound(decoder, 3)


def test_cuda_graphs_need_cuda(make_bundle):
    with pytest.raises(ProviderError, match="expected CUDAExecutionProvider, for cuda_graph"):
        Bound(Decoder(make_bundle()), 1, cuda_graph=True)
