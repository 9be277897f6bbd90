"""How many latents of a deep VAE collapse at each sigma^2: fixed, learned, and the optimal one (arXiv 1911.02469).

    python tests/integration/deep_collapse.py                                  # the short form: digits, a minute or two
    python tests/integration/deep_collapse.py --full --folder models --jobs 7  # 20,000 steps of 21 models: for a GPU
    python tests/integration/deep_collapse.py --full --folder models --steps 2500 --modes fixed

784-1024-512-200 with ReLU and its mirror image, Adam 5e-4, the first 1,000 training images as one batch, their pixels
as logit(1e-6 + (1 - 2e-6) (x + u) / 256). A latent is collapsed where its KL is below 0.01 nats for 99 % of the images.
Sigma^2 stays at its starting value ("fixed"), is trained from there ("learned"), or follows the residual by
`scale="optimal"` from there. Prints a table, ours beside the published shares (read off the paper's plots, +-0.01), and
writes a picture. With `--folder` an interrupted run goes on, and more `--steps` are added to what is there. With
`--jobs` so many models are trained at once, each in a process of its own.

The steps run in one compiled loop on a batch that stays on the device, by XLA where there is a GPU; `--float32` turns
TF32 off there.

The short form has 500 images of scikit-learn's digits, 64-64-8 and Adam 5e-3. In the full form MNIST comes from
$VAE_TF_DATA_DIR, or is downloaded.
"""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras
from reproduction import arguments, axes, echo, keep, markdown, mnist, resumed, save

import vae_tf
from vae_tf import collapse

MODES = ("fixed", "learned", "optimal")
PUBLISHED = {
    "fixed": {30.0: 0.98, 10.0: 0.93, 3.0: 0.89, 1.0: 0.85, 0.3: 0.74, 0.1: 0.50, 0.01: 0.0},
    "learned": {30.0: 0.97, 10.0: 0.91, 3.0: 0.865, 1.0: 0.82, 0.3: 0.67, 0.1: 0.61},
    "optimal": {},  # nobody has published any
}
STARTS = tuple(PUBLISHED["fixed"])
FULL = {"latent_dim": 200, "hidden": (1024, 512), "learning_rate": 5e-4}
SHORT = {"latent_dim": 8, "hidden": (64,), "learning_rate": 5e-3}
SHORT_STARTS = (1.0, 0.3, 0.1, 0.01)


def data(full):
    """The first training images, flat: 1,000 of MNIST in logits, or 500 digits in [0, 1]."""
    if not full:
        return vae_tf.data.load("digits")[0][:500].reshape(500, -1)
    x = np.round(mnist(1000) * 255)
    x = 1e-6 + (1 - 2e-6) * (x + np.random.default_rng(0).random(x.shape)) / 256
    return np.log(x / (1 - x)).astype(np.float32)


def build(mode, sigma2, dims, *, latent_dim, hidden, learning_rate):
    """The VAE, with sigma^2 at its starting value."""
    keras.utils.set_random_seed(0)
    sigma = float(np.sqrt(sigma2))
    likelihood = vae_tf.likelihoods.Gaussian((dims,), scale=sigma if mode == "fixed" else mode)
    if mode != "fixed":
        likelihood.assign_scale(sigma)
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder((dims,), vae_tf.posteriors.DiagonalNormal(latent_dim), hidden=hidden),
        vae_tf.networks.mlp_decoder(latent_dim, likelihood, hidden=hidden[::-1]),
        vae_tf.priors.StandardNormal(latent_dim),
    )
    vae.compile(keras.optimizers.Adam(learning_rate))
    return vae


def loop(vae, x):
    """A function that takes so many training steps on the one batch x, which stays on the device, in one call."""
    images = tf.constant(x)
    vae.optimizer.build(vae.trainable_variables)  # no variable may be made within the loop

    @tf.function(jit_compile=bool(tf.config.list_physical_devices("GPU")))
    def steps(count):
        for _ in tf.range(count):
            vae.train_step((images,))

    return steps


def train(x, mode, sigma2, steps, *, folder=None, every=500, **network):
    """Trains one model on x `[n, d]` to so many steps.

    Returns its history: step, sigma^2, ELBO, share of collapsed latents and seconds, every so many steps. With a folder
    it is kept there, and goes on from where it is.
    """
    vae, history = resumed(folder, f"{mode}-{sigma2:g}") or (build(mode, sigma2, x.shape[1], **network), [])
    take = loop(vae, x)
    (elbo,) = (metric for metric in vae.metrics if metric.name == "elbo")
    while (done := int(vae.optimizer.iterations)) < steps:
        start = time.perf_counter()
        count = min(every, steps - done)
        vae.reset_metrics()
        take(count)
        history.append(
            {
                "step": done + count,
                "sigma2": float(vae.likelihood.scale) ** 2,
                "elbo": float(elbo.result()),
                "collapsed": float(collapse.collapsed(vae, x).mean()),
                "seconds": time.perf_counter() - start + (history[-1]["seconds"] if history else 0.0),
            }
        )
        echo(f"{mode} from {sigma2:g}: " + ", ".join(f"{name} {value:.5g}" for name, value in history[-1].items()))
        keep(folder, f"{mode}-{sigma2:g}", vae, history)
    return history


def at_once(wanted, jobs, folder):
    """The histories of models that are trained by processes with this one's arguments, so many at a time."""

    def run(pair):
        mode, start = pair
        command = [sys.executable, *sys.argv, "--jobs", "1", "--modes", mode, "--starts", f"{start:g}"]
        subprocess.run([*command, "--picture", folder / f"{mode}-{start:g}.png"], check=False)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run, wanted))
    paths = {pair: folder / f"{pair[0]}-{pair[1]:g}.json" for pair in wanted}
    return {pair: json.loads(path.read_text()) for pair, path in paths.items() if path.exists()}


def table(histories, full):
    """The last state of each model."""
    head = "mode | sigma^2 at the start | at the end | ELBO (nats) | collapsed | published | half-way | steps | s"
    rows = []
    for (mode, start), history in histories.items():
        last, before = history[-1], history[(len(history) - 1) // 2]
        numbers = f"{last['sigma2']:.4g}", f"{last['elbo']:.1f}", f"{last['collapsed']:.3f}"
        known, half_way = PUBLISHED[mode].get(start, "") if full else "", f"{before['collapsed']:.3f}"
        rows.append((mode, f"{start:g}", *numbers, known, half_way, last["step"], f"{last['seconds']:.0f}"))
    return markdown(head, rows)


def draw(histories, full, path):
    """The share of collapsed latents against sigma^2 at the start; published values as crosses."""
    figure, ax = axes(
        xlabel="sigma² at the start", ylabel="share of collapsed latents", xscale="log", ylim=(-0.03, 1.03)
    )
    for color, mode in zip(("C0", "C1", "C2"), MODES, strict=True):
        points = sorted((start, history[-1]["collapsed"]) for (of, start), history in histories.items() if of == mode)
        if points:
            ax.plot(*zip(*points, strict=True), "o-", color=color, label=f"{mode}, ours")
        if points and PUBLISHED[mode] and full:
            ax.plot(*zip(*sorted(PUBLISHED[mode].items()), strict=True), "x", color=color, label=f"{mode}, published")
    ax.set_title("Sigma decides how many latents collapse")
    ax.xaxis.set_major_formatter("{x:g}")
    save(figure, path)


def main():
    parser = arguments(__doc__, "deep_collapse.png")
    parser.add_argument("--steps", type=int, help="of each model; 20,000 by default with --full, else 1,500")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--starts", nargs="+", type=float, help="of sigma^2; all those of the form by default")
    parser.add_argument("--folder", type=Path, help="keeps the models here, and goes on with those that are there")
    parser.add_argument("--every", type=int, default=500, help="steps between two entries of a history")
    parser.add_argument("--jobs", type=int, default=1, help="models that are trained at once; needs --folder")
    parser.add_argument("--float32", action="store_true", help="TF32 off, on a GPU that has it")
    options = parser.parse_args()
    if options.jobs > 1 and options.folder is None:
        parser.error("--jobs: expected --folder beside it. Add it, or leave it out.")
    tf.config.experimental.enable_tensor_float_32_execution(not options.float32)
    steps, starts, network = (20_000, STARTS, FULL) if options.full else (1500, SHORT_STARTS, SHORT)
    wanted = [(mode, start) for mode in options.modes for start in options.starts or starts]
    if options.jobs > 1:
        histories = at_once(wanted, options.jobs, options.folder)
    else:
        x, network = data(options.full), network | {"folder": options.folder, "every": options.every}
        histories = {(mode, start): train(x, mode, start, options.steps or steps, **network) for mode, start in wanted}
    echo(f"\n{table(histories, options.full)}")
    draw(histories, options.full, options.picture)


if __name__ == "__main__":
    main()
