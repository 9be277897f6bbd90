"""The ELBO from one draw of z lags behind the analytic one, and has the same optimum (arXiv 1911.02469, section 5).

    python tests/integration/stochastic_elbo.py            # 20 latents, 1,000 steps
    python tests/integration/stochastic_elbo.py --full     # 200 latents, 12,000 steps, Adam 1e-3

The same linear VAE, from the same first weights, on the first 1,000 training images of MNIST as one batch: `fit` draws
one z for each image in each step, `fit_covariance(train_encoder=True)` takes the expectation. Prints the exact ELBO of
both at equal steps, and what is missing to the maximum of log p(x). MNIST comes from $VAE_TF_DATA_DIR, or is
downloaded.
"""

import time

import numpy as np
import tensorflow as tf
import tf_keras as keras
from reproduction import arguments, axes, echo, markdown, mnist, moments, of_moments, save

import vae_tf


def build(latent_dim, learning_rate):
    keras.utils.set_random_seed(0)
    vae = vae_tf.LinearVAE(latent_dim, (28, 28, 1), scale="learned")
    vae.compile(keras.optimizers.Adam(learning_rate), steps_per_execution=10)
    return vae


def train(latent_dim, steps, learning_rate, *, images=1000, parts=10):
    """The exact ELBO after each part, of the analytic and of the stochastic form, the maximum, and the seconds."""
    x = mnist(images)
    data = moments(x)
    analytic, stochastic = build(latent_dim, learning_rate), build(latent_dim, learning_rate)
    analytic.decoder.layers[0].bias.assign(data[1])
    stochastic.decoder.layers[0].bias.assign(data[1])  # as fit_covariance does
    clock = [time.perf_counter()]
    history = analytic.fit_covariance(*data, steps, train_encoder=True, steps_per_epoch=steps // parts).history["elbo"]
    clock.append(time.perf_counter())
    batch = tf.data.Dataset.from_tensors(x.reshape(-1, 28, 28, 1).astype(np.float32)).repeat()
    found = []
    record = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: found.append(stochastic.elbo_from_covariance(*data[:2]))
    )
    stochastic.fit(batch, epochs=parts, steps_per_epoch=steps // parts, callbacks=[record], verbose=0)
    clock.append(time.perf_counter())
    return np.array(history), np.array(found), of_moments(*data, latent_dim).log_likelihood_, np.diff(clock)


def main():
    options = arguments(__doc__, "stochastic_elbo.png").parse_args()
    latent_dim, steps, rate = (200, 12_000, 1e-3) if options.full else (20, 1000, 1e-2)
    analytic, stochastic, maximum, seconds = train(latent_dim, steps, rate)
    at = steps // len(analytic) * (1 + np.arange(len(analytic)))
    rows = [
        (step, f"{a:.3f}", f"{s:.3f}", f"{a - s:.3f}", f"{maximum - a:.3f}", f"{maximum - s:.3f}")
        for step, a, s in zip(at, analytic, stochastic, strict=True)
    ]
    head = "step | analytic ELBO | from one draw | behind | analytic to max log p(x) | one draw to max log p(x)"
    echo(markdown(head, rows))
    echo(f"\nmax log p(x) = {maximum:.3f}; {seconds[0]:.0f} s analytic, {seconds[1]:.0f} s from draws")
    figure, ax = axes(xlabel="steps", ylabel="max log p(x) - ELBO (nats per image)", yscale="log")
    ax.set_title("The analytic ELBO and the ELBO from one draw")
    ax.plot(at, maximum - analytic, ".-", label="analytic")
    ax.plot(at, maximum - stochastic, ".-", label="one draw of z")
    save(figure, options.picture)


if __name__ == "__main__":
    main()
