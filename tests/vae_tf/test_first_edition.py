"""Files that version 0.1.0 wrote still load, and training goes on as it would have gone on there.

`saved/` holds one small model for each kind of likelihood, objective, posterior and prior, and a run of `vae-tf train`.
`saved/expected.npz` holds what version 0.1.0 made of each: two more epochs' logs and weights, samples, reconstructions.
"""

import shutil

import numpy as np
import pytest
from marks import integration_but
from paths import ROOT

import vae_tf

SAVED = ROOT / "tests" / "vae_tf" / "saved"
EXPECTED = np.load(SAVED / "expected.npz", allow_pickle=False)
MODELS = sorted(path.stem for path in SAVED.glob("*.keras"))
LOGS = ("loss", "distortion", "rate", "val_loss", "val_distortion", "val_rate")


def weights(vae):
    """All weights in a row."""
    return np.concatenate([np.ravel(weight) for weight in variables(vae)])


def variables(vae):
    return [weight for part in (vae.encoder, vae.decoder, vae.prior) for weight in part.weights]


def kept_as_they_were(vae):
    """Which numbers of `weights` go on as in version 0.1.0: all, but under IWAE the residual now weighs the draws."""
    changed = [vae.likelihood.running_mse] if vae.objective.weighs_draws else []
    return np.concatenate(
        [np.full(weight.shape.num_elements(), not same(weight, changed)) for weight in variables(vae)]
    )


def same(weight, others):
    return any(weight is other for other in others)


def close(received, expected):
    """Equal up to what another processor rounds otherwise."""
    np.testing.assert_allclose(received, expected, rtol=2e-5, atol=1e-6)


def test_there_are_models():
    assert len(MODELS) == 16


@pytest.mark.filterwarnings("ignore:Schedule of:UserWarning")  # four of six epochs
@pytest.mark.parametrize("name", integration_but(MODELS, "gaussian_optimal", "bernoulli", "negative_binomial"))
def test_a_model_loads_and_goes_on(name):
    expected = {key.split("/")[1]: EXPECTED[key] for key in EXPECTED.files if key.startswith(f"{name}/")}
    vae, x = vae_tf.load(SAVED / f"{name}.keras"), expected["x"]
    history = vae.fit(x, batch_size=10, epochs=2, validation_data=x, verbose=0).history
    for log in LOGS:
        close(history[log], expected[log])
    kept = kept_as_they_were(vae)
    close(weights(vae)[kept], expected["weights"][kept])
    close(vae.sample(2, seed=0), expected["sample"])
    close(vae.reconstruct(x[:2]), expected["reconstruct"])


def test_a_run_goes_on(tmp_path, monkeypatch):
    from vae_tf.runs.run import Run

    shutil.copytree(SAVED / "run", tmp_path / "run")
    shutil.copy(SAVED / "images.npy", tmp_path)
    monkeypatch.chdir(tmp_path)
    run = Run("run", epochs=4)
    assert run.train(verbose=0)
    columns = run.columns()
    for log in ("loss", "val_loss", "sigma", "rmse"):
        close(columns[log], EXPECTED[f"run/{log}"])
    received = np.concatenate([np.ravel(w) for part in (run.vae.encoder, run.vae.decoder) for w in part.get_weights()])
    close(received, EXPECTED["run/weights"])
