"""The inputs on which graphs are compared."""

import numpy as np
from models import SHAPE

import vae_tf
from vae_tf_onnx import export


def test_observed_levels_do_not_hang_on_rounding(make_vae, tmp_path):
    """Noise of the golden set keeps its distance from the steps of the distribution function."""
    vae = make_vae(vae_tf.likelihoods.DiscretizedLogistic(SHAPE, levels=256))
    folder = export(vae, tmp_path / "bundle", graphs=("sampler",))
    with np.load(folder / "golden.npz") as golden:
        arrays = {name: golden[name] for name in golden}
    given = {name: arrays[f"decoder/{name}"] for name in ("loc", "scale")}
    for factor in (1 - 2e-6, 1 + 2e-6):
        shifted = {name: (value * factor).astype(np.float32) for name, value in given.items()}
        x = vae.likelihood.observe(arrays["observation/observation_noise"], shifted)
        np.testing.assert_array_equal(x, arrays["observation/x"])
    loose = vae.likelihood.noise(np.random.default_rng(0), 20000)
    some = {name: value[:1] for name, value in given.items()}
    moved = {name: (value * (1 + 2e-6)).astype(np.float32) for name, value in some.items()}
    observed = [vae.likelihood.observe(loose, parameters).numpy() for parameters in (some, moved)]
    assert (observed[0] != observed[1]).any(), "other noise does not"
