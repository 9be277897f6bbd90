"""`vae-tf evaluate`: the scores of a run and of a model file; tests of the table are in evaluation/test_quantities."""

import vae_tf


def test_evaluate(run, finished):
    code, out, _ = run("evaluate", finished[0])
    assert code == 0
    vae = vae_tf.load(finished[0] / "model.keras")
    logs = vae.evaluate(vae_tf.data.load("digits")[1], batch_size=256, verbose=0, return_dict=True)
    assert out.splitlines()[0].split() == ["test", "-ELBO", f"{logs['loss']:.4f}", "nats", "per", "example"]
    assert f"{0.5 / float(vae.likelihood.scale) ** 2:.4g} x summed mse" in out
    assert run("evaluate", finished[0] / "model.keras", "--data", "digits")[1] == out
