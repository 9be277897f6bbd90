"""Arguments that an export refuses before it computes anything."""

import numpy as np
import pytest
from models import SHAPE

import vae_tf
from vae_tf_onnx import export


@pytest.mark.parametrize("graphs", [("decoder", "prior"), ("Decoder",), "decoder"])
def test_graphs_that_cannot_be_asked_for(make_vae, tmp_path, graphs):
    with pytest.raises(ValueError, match="graphs: expected some of decoder, encoder, sampler, reconstructor, scorer"):
        export(make_vae(), tmp_path / "bundle", graphs=graphs)


@pytest.mark.parametrize("batch", [0, -1, 2.0, True])
def test_bad_fixed_batch(make_vae, tmp_path, batch):
    with pytest.raises(ValueError, match="fixed_batch: expected a whole number of at least 1"):
        export(make_vae(), tmp_path / "bundle", fixed_batch=batch)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 4, 4, 1)), r"x: expected shape \[n, 8, 8, 1\], received \[3, 4, 4, 1\]"),
        (np.zeros((0, *SHAPE)), r"x: expected shape \[n, 8, 8, 1\], received \[0, 8, 8, 1\]"),
        (np.full((3, *SHAPE), np.nan), "Data for Gaussian: expected finite numbers"),
    ],
)
def test_data_that_do_not_fit(make_vae, tmp_path, x, message):
    with pytest.raises(ValueError, match=message):
        export(make_vae(vae_tf.likelihoods.Gaussian(SHAPE)), tmp_path / "bundle", x=x)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("opset", [12, 99])
def test_bad_opset(make_vae, tmp_path, opset):
    with pytest.raises(ValueError, match=rf"opset: expected 13 to \d+, received {opset}"):
        export(make_vae(), tmp_path / "bundle", opset=opset)


@pytest.mark.parametrize("data_range", [(1, 0), (0, 0), (0, float("nan"))])
def test_bad_data_range(make_vae, tmp_path, data_range):
    with pytest.raises(ValueError, match="data_range: expected"):
        export(make_vae(), tmp_path / "bundle", data_range=data_range)
