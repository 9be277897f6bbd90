"""The command `vae-tf evaluate`: the scores of a trained model on test images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tabulate import tabulate

from vae_tf import quiet
from vae_tf.cli import _loading

if TYPE_CHECKING:
    import numpy as np

    from vae_tf.vae import VAE

_ELBO_DRAWS = 100  # beyond these the ELBO's error is that of the finite test set


@click.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.option("--data", default=None, help="Score these data instead of the run's test images.")
@_loading.loading_options(stream=True)
@click.option("--num-samples", type=int, default=None, help="Draws of z for each image: a table with standard errors.")
@click.option("--chunk-size", type=int, default=None, help="Draws decoded at a time, for the table.  [default: 4096]")
@click.option("--seed", type=int, default=None, help="Of the draws, for the table.  [default: 0]")
@click.pass_context
def evaluate(ctx: click.Context, run: Path, data: str | None, num_samples: int | None, **options: Any) -> None:
    """Scores a run (its folder) or a model (a .keras file, with --data) on test images.

    Without --num-samples: the loss in nats per example, from one draw of z. With it, a table of the ELBO (at most
    100 draws), the importance-weighted log-likelihood and, where it is defined, bits per dimension.
    """
    named = _loading.given(ctx, _loading.NAMES)
    if named and data is None:
        raise click.UsageError(
            f"--{', --'.join(named).replace('_', '-')}: of --data; a run's own images are as it says."
        )
    reading = _loading.arguments(options)
    given = {name: value for name, value in options.items() if value is not None}
    if given and num_samples is None:
        raise click.UsageError(f"--{', --'.join(given).replace('_', '-')}: of the table; add --num-samples.")
    quiet.import_tensorflow()
    from vae_tf import saving
    from vae_tf.runs import settings

    train, x = _images(run, data, reading if named else None)
    vae = saving.load(run / settings.MODEL if run.is_dir() else run)
    click.echo(_losses(vae, x) if num_samples is None else _table(vae, train, x, num_samples, **given))


def _images(run: Path, data: str | None, reading: dict[str, Any] | None) -> tuple[Any, Any]:
    """Training and test images: those of the run, or the ones that `data` names.

    Args:
        run: Folder of a run, or file of a model.
        data: Name or path of other data.
        reading: Arguments of `load` for the other data; None takes those of the run, where the data are a folder.
    """
    from vae_tf import data as datasets
    from vae_tf.runs import settings

    if not run.is_dir():
        if data is None:
            raise click.UsageError("a model file does not say what it was trained on: name the data with --data.")
        return datasets.load(data, **(reading or {}))
    stored = settings.stored_settings(run)
    if data is None:
        return stored.images()
    return replace(stored.on(data), **(reading or {})).images()


def _losses(vae: VAE, x: np.ndarray) -> str:
    """The loss and its two terms in nats per example, and the pointwise loss that -log p(x|z) is, if it is one."""
    logs = vae.evaluate(x, batch_size=256, verbose=0, return_dict=True)
    rows = [
        ("test -ELBO", logs["distortion"] + logs["rate"], "nats per example"),
        ("distortion", logs["distortion"], "-log p(x|z), one draw of z"),
        ("rate", logs["rate"], "KL(q(z|x) || p(z))"),
    ]
    text = tabulate(rows, tablefmt="plain", floatfmt=".4f")
    equivalence = vae.likelihood.equivalence()
    if equivalence is None:
        return text
    factor = f"{equivalence.scale_factor:.4g} x summed {equivalence.loss} + {equivalence.constant:.4g}"
    return f"{text}\n-log p(x|z) = {factor}"


def _table(vae: VAE, train: np.ndarray, x: np.ndarray, num_samples: int, **options: Any) -> str:
    """ELBO, log-likelihood and bits per dimension of one model, with standard errors; or a note why not bits.

    Args:
        vae: The model.
        train: Training data, which say how many grey levels there are.
        x: Test data `[n, *E]`.
        num_samples: Draws of z for each example; of the ELBO at most 100.
        **options: The `chunk_size` and the `seed`.

    Raises:
        ValueError: See evaluation.log_likelihood.
    """
    from vae_tf import data, evaluation
    from vae_tf.runs import settings

    log_likelihood = evaluation.log_likelihood(vae, x, num_samples, **options)
    elbo = evaluation.elbo(vae, x, min(num_samples, _ELBO_DRAWS), **options)
    scores, note = {"ELBO": elbo, "log-likelihood": log_likelihood}, ""
    try:
        if log_likelihood.measure == "density":
            levels = data.levels(train)
            scores["bits per dimension"] = evaluation.bits_per_dim(vae, x, num_samples, levels=levels, **options)
        else:
            scores["bits per dimension"] = log_likelihood.in_bits(vae.likelihood.dims)
    except ValueError as error:
        note = f"\nNo bits per dimension. {error}"
    rows = [
        {"test data" if settings.is_table(x) else "test images": name, **estimate.cells()}
        for name, estimate in scores.items()
    ]
    return tabulate(rows, headers="keys", tablefmt="plain", floatfmt=".4f") + note
