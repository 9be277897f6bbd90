"""The command `vae-tf ppca`: exact pPCA of images, and how many latents their spectrum allows a VAE. No TensorFlow."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tabulate import tabulate

from vae_tf.cli import _loading

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from vae_tf.ppca import PPCA

_PICTURES = (".png", ".pdf", ".svg", ".jpg")


@click.command()
@click.option("--data", "source", default="digits", show_default=True, help=_loading.DATA_HELP)
@_loading.loading_options(stream=False)
@click.option("--latent-dim", default=8, show_default=True, help="Number of latents.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default="ppca.png",
    show_default=True,
    help="Picture of the spectrum.",
)
def ppca(source: str, latent_dim: int, output: Path, **reading: Any) -> None:
    """Fits the linear VAE in closed form: its sigma, its scores, and how many latents the data allow at a sigma.

    Writes a picture of the spectrum of the training images against sigma^2.
    """
    if output.suffix.lower() not in _PICTURES:
        raise click.UsageError(f"--output: expected a name that ends in {', '.join(_PICTURES)}, received '{output}'.")
    from vae_tf import _files, data
    from vae_tf.ppca import PPCA

    train, test = data.load(source, **_loading.arguments(reading))
    model = PPCA(latent_dim).fit(train)
    click.echo(_text(model, train, test))
    with _files.replacing(output) as draft:
        _picture(model).savefig(draft, dpi=150, format=output.suffix[1:])
    click.echo(f"Spectrum: {output}")


def _text(model: PPCA, train: np.ndarray, test: np.ndarray) -> str:
    """sigma^2_MLE, log-likelihoods, bits per dimension and the latents that can survive, a line each.

    Args:
        model: A pPCA fitted to `train`.
        train: Images `[n, *E]` in [0, 1], or rows of a table.
        test: Images or rows `[m, *E]`.
    """
    sigma2, eigenvalues = model.sigma2_, model.eigenvalues_
    noun = "row" if hasattr(train, "columns") else "image"
    rows = [
        ("sigma^2_MLE", f"{sigma2:.6g}", f"sigma_MLE = {math.sqrt(sigma2):.4g}"),
        ("train log-likelihood", f"{model.log_likelihood_:.4f}", f"nats per {noun}"),
        ("test log-likelihood", *_mean(model.log_prob(test), f"nats per {noun}")),
        ("bits per dimension", *_bits(model, train, test)),
        *(
            (
                f"latents at {name}",
                f"{model.active_latents(level)} of {model.latent_dim}",
                f"can survive in a linear VAE: {(eigenvalues > level).sum()} eigenvalues exceed {level:.6g}",
            )
            for name, level in (("sigma = 1", 1.0), ("sigma_MLE", sigma2))
        ),
    ]
    head = f"pPCA with {model.latent_dim} latents: {len(train)} training and {len(test)} test {noun}s"
    table = tabulate(rows, tablefmt="plain", colalign=("left", "right", "left"), disable_numparse=True)
    return "\n".join(
        [f"{head} of {model.n_features_in_} dimensions", table, "For a VAE of networks the last two are a guide."]
    )


def _picture(model: PPCA) -> Figure:
    """The spectrum against sigma^2 = 1 and sigma^2_MLE."""
    from vae_tf import plotting

    levels = {"sigma = 1": 1.0, f"sigma_MLE = {math.sqrt(model.sigma2_):.3g}": model.sigma2_}
    return plotting.spectrum(model.eigenvalues_, levels, latent_dim=model.latent_dim)


def bits_per_dim(model: PPCA, x: np.ndarray, levels: int) -> np.ndarray:
    """-log p(x') / (d log 2) + log2(L) bits per dimension, `[n]`, x' = (k + u) / L, on average over u ~ U[0, 1)^d.

    This is the closed form of what `evaluation.bits_per_dim` estimates from one u for each image: a Gaussian's
    log-likelihood is quadratic, so its average over u is the value at u = 1/2 less tr(C^-1) / (24 L^2), with
    tr(C^-1) = sum_j 1/lambda_j + (d - q) / sigma^2.

    Args:
        model: A pPCA fitted to images k / (L - 1); its density is taken as it is.
        x: Images k / (L - 1), `[n, *E]`.
        levels: The number of levels, L.
    """
    dims, kept = model.n_features_in_, model.explained_variance_
    trace = float((1 / kept).sum()) + (dims - len(kept)) / model.sigma2_
    centres = (x.astype("float64") * (levels - 1) + 0.5) / levels
    nats = model.log_prob(centres) - trace / (24 * levels**2)
    return -nats / (dims * math.log(2)) + math.log2(levels)


def _bits(model: PPCA, train: np.ndarray, test: np.ndarray) -> tuple[str, str]:
    """The bits per dimension of the test images and what was added, or why there are none."""
    import numpy as np

    from vae_tf import data

    try:
        levels = data.levels(np.concatenate([train, test]))
    except ValueError as error:
        return "none", str(error)
    added = f"log2({levels}) bits added, for x = (k + u)/{levels} on average over u"
    return _mean(bits_per_dim(model, test, levels), f"test images; {added}")


def _mean(values: np.ndarray, unit: str) -> tuple[str, str]:
    """The mean; and its standard error, where there is one, before the unit."""
    error = f"+- {values.std(ddof=1) / math.sqrt(len(values)):.4f} " if len(values) > 1 else ""
    return f"{values.mean():.4f}", error + unit
