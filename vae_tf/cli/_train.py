"""The commands `vae-tf train` and `vae-tf demo`: a model in a folder, exported, checked and sampled."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vae_tf import quiet
from vae_tf.cli import _loading, _plugins

if TYPE_CHECKING:
    from vae_tf.runs.run import Run

_OUT = click.Path(file_okay=False, path_type=Path)

OPTIONS: dict[str, tuple[str, ...]] = {
    "gaussian": ("scale", "quantised", "levels"),
    "bernoulli": (),
    "categorical": ("levels",),
    "continuous_bernoulli": (),
    "discretized_logistic": ("levels",),
    "laplace": ("scale", "quantised", "levels"),
    "mixture_of_logistics": ("components", "levels"),
    "negative_binomial": ("levels",),
    "poisson": ("levels",),
    "student_t": ("scale", "df"),
    "zero_inflated_negative_binomial": ("levels",),
}
"""Likelihoods, and the options that mean something to each; here, so that --help needs no TensorFlow."""


def _refuse_foreign(given: list[str], likelihood: str) -> None:
    """A usage error for an option of another likelihood."""
    for name in given:
        takers = [family for family, options in OPTIONS.items() if name in options]
        if takers and likelihood not in takers:
            raise click.UsageError(
                f"--{name}: expected a likelihood of {', '.join(takers)}, received {likelihood}, which has no {name}. "
                "Leave it out."
            )


class _Scale(click.ParamType):
    name = "auto|sigma|learned|optimal|per_dimension|per_pixel"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        try:
            return float(value)
        except ValueError:
            return str(value)


@click.command()
@click.option("--out", type=_OUT, default=None, help="Folder of the run.  [default: runs/demo, runs/demo-2, ...]")
@click.option("--epochs", default=30, show_default=True, help="Passes over the 1,500 training images.")
@click.option("--seed", default=0, show_default=True, help="Of weights, noise and order of the data.")
def demo(out: Path | None, epochs: int, seed: int) -> None:
    """Trains on the digits of scikit-learn with the optimal sigma, exports, checks, samples: under a minute."""
    run = _import_run()
    _finish(
        run.Run(
            out or _unused(Path("runs/demo")), run.Settings(data="digits", scale="optimal", epochs=epochs, seed=seed)
        )
    )


@click.command()
@click.option("--data", default="digits", show_default=True, help=_loading.DATA_HELP)
@_loading.loading_options(stream=True)
@click.option("--likelihood", type=click.Choice([*OPTIONS]), default="gaussian", show_default=True)
@click.option("--scale", type=_Scale(), default="auto", show_default=True, help="How sigma is chosen.")
@click.option("--quantised", is_flag=True, help="Score the mass of a pixel's bin, not the density.")
@click.option("--levels", type=int, default=None, help="Grey levels of the images.  [default: those of the data]")
@click.option("--components", default=5, show_default=True, help="Of each pixel's mixture.")
@click.option("--df", default=4.0, show_default=True, help="Degrees of freedom of a Student t.")
@click.option("--network", type=click.Choice(["auto", "mlp", "conv"]), default="auto", show_default=True)
@click.option(
    "--transform",
    type=click.Choice(["auto", "none", "log1p"]),
    default="auto",
    show_default=True,
    help="Before the encoder; auto is log1p for counts.",
)
@click.option("--latent-dim", default=8, show_default=True, help="Number of latents.")
@click.option("--epochs", type=int, default=None, help="Passes over the data.  [default: 20, or the run's]")
@click.option("--batch-size", default=32, show_default=True)
@click.option("--learning-rate", default=1e-3, show_default=True, help="Of Adam.")
@click.option("--seed", default=0, show_default=True, help="Of weights, noise and order of the data.")
@click.option("--out", type=_OUT, required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, under its own settings.")
@click.pass_context
def train(ctx: click.Context, out: Path, resume: bool, epochs: int | None, **settings: Any) -> None:
    """Trains on images or a table; exports, checks and samples the result."""
    given = _loading.given(ctx, settings)
    if resume and given:
        raise click.UsageError(
            f"--resume goes on under the run's own settings: leave out --{', --'.join(given).replace('_', '-')}."
        )
    _refuse_foreign(given, settings["likelihood"])
    if "levels" in given and settings["likelihood"] in ("gaussian", "laplace") and not settings["quantised"]:
        raise click.UsageError(
            "--levels: expected --quantised beside it, received a density. Add it, or leave both out."
        )
    run = _import_run()
    if resume:
        _finish(run.Run(out, epochs=epochs))
    else:
        reading = _loading.arguments(settings)
        _finish(run.Run(out, run.Settings(epochs=20 if epochs is None else epochs, **settings, **reading)))


def _finish(run: Run) -> None:
    """Trains, exports and illustrates a run."""
    folder = run.folder
    click.echo(f"{folder}: interrupt at any time; go on with: vae-tf train --out {folder} --resume")
    if not run.train(verbose="auto" if sys.stdout.isatty() else 2):
        raise click.exceptions.Exit(_interrupted(run))
    click.get_current_context().meta["vae_tf.run"] = run  # so that export need not read the data again
    samples = _export(folder, run.num_samples)
    if samples is None:
        samples = [run.vae.sample(run.num_samples, seed=0, observation_noise=noise) for noise in (False, True)]
    run.illustrate(*samples)
    click.echo(run.summary())
    click.echo(f"Pictures and numbers: {folder / 'report.html'}")


def _interrupted(run: Run) -> int:
    done = len(run.history)
    click.echo(f"\nInterrupted: {run.folder / 'model.keras'} is the model after {done} whole epochs.", err=True)
    click.echo(f"Go on with: vae-tf train --out {run.folder} --resume", err=True)
    return 130


def _export(folder: Path, num_samples: int) -> list[Any] | None:
    """Exports and checks by the commands of vae-tf-onnx; the means and draws that its runtime samples."""
    if _plugins.find("export") is None:
        click.echo(
            f"Not exported to ONNX: that needs vae-tf-onnx. {_plugins.INSTALL}, then vae-tf export {folder}.", err=True
        )
        return None
    import numpy as np

    bundle, samples = folder / "bundle", folder / "samples.npz"
    _invoke("export", model=folder, folder=bundle)
    _invoke("check", bundle=bundle)
    _invoke("sample", bundle=bundle, num_samples=num_samples, seed=0, out=samples)
    with np.load(samples, allow_pickle=False) as arrays:
        return [arrays["mean"], arrays["x"]]


def _invoke(name: str, **arguments: Any) -> None:
    command = _plugins.find(name)
    if command is not None:
        click.get_current_context().invoke(command, **arguments)


def _import_run() -> Any:
    quiet.import_tensorflow()
    from vae_tf.runs import run

    return run


def _unused(folder: Path) -> Path:
    """`folder`, or the first of folder-2, folder-3, ... that is not there yet."""
    candidate, number = folder, 1
    while candidate.exists() and any(candidate.iterdir()):
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate
