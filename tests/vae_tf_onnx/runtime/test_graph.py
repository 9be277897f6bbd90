"""Graph, and the heads made of it: their inputs, batches, variants and neighbours."""

import numpy as np
import pytest
from bundle_changes import rewrite
from handmade import EVENT_SHAPE, latents, means

from vae_tf_onnx import BundleError, Decoder
from vae_tf_onnx.bundle import GRAPHS
from vae_tf_onnx.runtime import Graph
from vae_tf_onnx.runtime._session import open_session

CUDA = "CUDAExecutionProvider"


@pytest.mark.parametrize("rows", [1, 4, 5, 11])
def test_a_fixed_batch_takes_any_number_of_rows(fixed_batch, rows):
    decoder, z = Decoder(fixed_batch), latents(rows)
    with pytest.raises(Exception, match="Got invalid dimensions"):
        decoder.session.run(None, {"z": latents(3)})
    np.testing.assert_allclose(decoder.decode(z), means(z), rtol=1e-4, atol=1e-6)
    assert decoder.parameters(z)["scale"].shape == (rows, *EVENT_SHAPE)
    assert decoder.sample(rows, seed=0).shape == (rows, *EVENT_SHAPE)


def test_rows_that_do_not_fit(make_bundle):
    decoder = Decoder(make_bundle())
    for z in (np.zeros((0, 3)), np.zeros(3), np.zeros((2, 4)), 1.0):
        for decode in (decoder.decode, decoder.parameters):
            with pytest.raises(ValueError, match=r"z: expected shape \[B, 3\], received .* of at least one row"):
                decode(z)


def test_a_variant_that_is_none(make_bundle):
    folder = make_bundle()
    with pytest.raises(ValueError, match=r"variant: expected fp32, fp16, .* received 'fp8'\. Choose one"):
        Decoder(folder, variant="fp8")
    with pytest.raises(BundleError, match=r"model\.fp16\.onnx: expected a file that the manifest lists"):
        Decoder(folder, variant="fp16")


def test_an_unknown_input_is_refused(make_bundle):
    def rename(model):
        model.graph.input[0].name = model.graph.node[0].input[0] = "y"

    folder = rewrite(make_bundle(), rename)
    with pytest.raises(BundleError, match="expected inputs of this kind of graph, received 'y'"):
        Graph(folder, "decoder")


def test_the_graphs_beside_a_head_take_its_provider(make_bundle, monkeypatch):
    asked = []

    def spy(bundle, name, *, threads, providers):
        asked.append((name, threads, providers))
        return open_session(bundle, name, threads=threads, providers=None)

    monkeypatch.setattr("vae_tf_onnx.runtime._graph.open_session", spy)
    Decoder(make_bundle(), threads=3, providers=[CUDA]).beside("encoder")
    assert asked == [(GRAPHS[name], 3, [CUDA]) for name in ("decoder", "encoder")]
