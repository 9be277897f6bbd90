"""The numbers that may stand in one column, and the number that is added to make them comparable."""

import functools

import numpy as np
import pytest
from models import SHAPE, make_vae

from vae_tf import evaluation
from vae_tf.evaluation._importance import Run
from vae_tf.likelihoods import Categorical, Gaussian, NegativeBinomial, Poisson


def test_one_column_holds_one_data_set():
    """Halved, the data look as if they were in [0, 1] too; their density differs by D log 2."""
    vae = make_vae(Gaussian(SHAPE, scale=0.2), latent_dim=2)
    x = np.random.default_rng(0).random((8, *SHAPE)).astype(np.float32)
    models = {"a": vae, "half": vae}
    with pytest.raises(ValueError, match=r"half beside a: expected a density .* of other data, or of data scaled"):
        evaluation.compare(models, {"a": x, "half": x / 2}, num_samples=2)
    estimates = {name: evaluation.elbo(vae, data) for name, data in (("a", x), ("fewer", x[:4]))}
    with pytest.raises(ValueError, match="of other data"):
        evaluation.tabulate(estimates)


def test_counts_given_their_total_are_no_counts():
    library, poisson = (
        make_vae(make(SHAPE), latent_dim=2)
        for make in (functools.partial(NegativeBinomial, library_size=True), Poisson)
    )
    x = np.random.default_rng(0).poisson(3.0, (4, *SHAPE)).astype(np.float32)
    with pytest.raises(ValueError, match="counts, given their total"):
        evaluation.compare({"poisson": poisson, "library": library}, x, num_samples=2)


def test_bits_per_dimension_do_not_depend_on_the_scale_of_the_data():
    """A Gaussian VAE of images in [0, 255] with 255 sigma is that of images in [0, 1] with sigma."""
    unit = make_vae(Gaussian(SHAPE, scale=0.2), latent_dim=2)
    wide = make_vae(Gaussian(SHAPE, scale=51.0), latent_dim=2)
    wide.set_weights(unit.get_weights())
    first, last = wide.encoder.layers[1], wide.decoder.layers[-2]
    first.kernel.assign(first.kernel / 255)
    last.kernel.assign(last.kernel * 255)
    last.bias.assign(last.bias * 255)
    x = np.random.default_rng(0).integers(0, 256, (5, *SHAPE)).astype(np.float32)
    expected = evaluation.bits_per_dim(unit, x / 255, 20)
    received = evaluation.bits_per_dim(wide, x, 20, data_range=(0, 255))
    np.testing.assert_allclose(received.values, expected.values, rtol=1e-4)
    assert received.convention == "log2(256/255) bits, for x = 0 + 255 (k + u)/256"
    with pytest.raises(ValueError, match="data_range: expected"):
        evaluation.bits_per_dim(wide, x, 20, data_range=(1, 1))


def test_the_default_chunk_counts_numbers_not_pairs():
    vae = make_vae(Categorical(SHAPE, levels=17), latent_dim=2)
    x = np.zeros((2, *SHAPE), np.float32)
    assert Run(vae, x, 10, None, 0, False).pairs == 4096 // 17
    assert Run(vae, x, 10, 7, 0, False).pairs == 7
