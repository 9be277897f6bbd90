"""The command `vae-tf`. Imports TensorFlow only where a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vae_tf import quiet

if TYPE_CHECKING:
    from vae_tf.runs.run import Run

_PLUGINS = "vae_tf.commands"
_ONNX_COMMANDS = ("bench", "check", "export", "sample", "serve", "web")
_INSTALL = 'pip install "vae-tf-onnx[convert]" (in a clone: pip install -e "./export[convert]")'


def _plugin(name: str) -> EntryPoint | None:
    return next(iter(entry_points(group=_PLUGINS, name=name)), None)


class _Commands(click.Group):
    """The commands below, and those that other packages add through the entry-point group."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *(entry.name for entry in entry_points(group=_PLUGINS))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _plugin(cmd_name)
        if cmd_name in _ONNX_COMMANDS and entry is None:
            raise click.UsageError(f"'{cmd_name}' needs the package vae-tf-onnx. Install it: {_INSTALL}")
        return entry.load() if entry else super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vae-tf")
def cli() -> None:
    """Variational autoencoders whose loss is -log p(x|z) + KL, with sigma in plain sight."""


_OPTIONS: dict[str, tuple[str, ...]] = {
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
}
"""Likelihoods, and the options that mean something to each; here, so that --help needs no TensorFlow."""


def _refuse_foreign(given: list[str], likelihood: str) -> None:
    """A usage error for an option of another likelihood."""
    for name in given:
        takers = [family for family, options in _OPTIONS.items() if name in options]
        if takers and likelihood not in takers:
            raise click.UsageError(
                f"--{name}: expected a likelihood of {', '.join(takers)}, received {likelihood}, which has no {name}. "
                "Leave it out."
            )


class _Scale(click.ParamType):
    name = "sigma|learned|optimal|per_dimension|per_pixel"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        try:
            return float(value)
        except ValueError:
            return str(value)


_OUT = click.Path(file_okay=False, path_type=Path)
_PICTURES = (".png", ".pdf", ".svg", ".jpg")
_FILE = click.Path(dir_okay=False, path_type=Path)


@cli.command()
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


@cli.command()
@click.option("--data", default="digits", show_default=True, help="Name, .npz or .npy file, or folder of images.")
@click.option("--likelihood", type=click.Choice([*_OPTIONS]), default="gaussian", show_default=True)
@click.option("--scale", type=_Scale(), default="optimal", show_default=True, help="How sigma is chosen.")
@click.option("--quantised", is_flag=True, help="Score the mass of a pixel's bin, not the density.")
@click.option("--levels", type=int, default=None, help="Grey levels of the images.  [default: those of the data]")
@click.option("--components", default=5, show_default=True, help="Of each pixel's mixture.")
@click.option("--df", default=4.0, show_default=True, help="Degrees of freedom of a Student t.")
@click.option("--network", type=click.Choice(["mlp", "conv"]), default="mlp", show_default=True)
@click.option("--latent-dim", default=8, show_default=True, help="Number of latents.")
@click.option("--epochs", type=int, default=None, help="Passes over the data.  [default: 20, or the run's]")
@click.option("--batch-size", default=32, show_default=True)
@click.option("--learning-rate", default=1e-3, show_default=True, help="Of Adam.")
@click.option("--seed", default=0, show_default=True, help="Of weights, noise and order of the data.")
@click.option("--out", type=_OUT, required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, under its own settings.")
@click.pass_context
def train(ctx: click.Context, out: Path, resume: bool, epochs: int | None, **settings: Any) -> None:
    """Trains on any images; exports, checks and samples the result."""
    given = [name for name in settings if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]
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
        _finish(run.Run(out, run.Settings(epochs=20 if epochs is None else epochs, **settings)))


@cli.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.option("--data", default=None, help="Score these data instead of the run's test images.")
@click.option("--num-samples", type=int, default=None, help="Draws of z for each image: a table with standard errors.")
@click.option("--chunk-size", type=int, default=None, help="Draws decoded at a time, for the table.  [default: 4096]")
@click.option("--seed", type=int, default=None, help="Of the draws, for the table.  [default: 0]")
def evaluate(run: Path, data: str | None, num_samples: int | None, **options: int | None) -> None:
    """Scores a run (its folder) or a model (a .keras file, with --data) on test images.

    Without --num-samples: the loss in nats per example, from one draw of z. With it, a table of the ELBO (at most
    100 draws), the importance-weighted log-likelihood and, where it is defined, bits per dimension.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if given and num_samples is None:
        raise click.UsageError(f"--{', --'.join(given).replace('_', '-')}: of the table; add --num-samples.")
    quiet.import_tensorflow()
    from vae_tf import data as datasets
    from vae_tf import saving
    from vae_tf.cli import _scores
    from vae_tf.runs import settings

    if run.is_dir():
        stored = settings.stored_settings(run)
        train, x = (replace(stored, data=data) if data else stored).images()
    elif data is None:
        raise click.UsageError("a model file does not say what it was trained on: name the data with --data.")
    else:
        train, x = datasets.load(data)
    vae = saving.load(run / settings.MODEL if run.is_dir() else run)
    if num_samples is not None:
        click.echo(_scores.table(vae, train, x, num_samples, **given))
        return
    logs = vae.evaluate(x, batch_size=256, verbose=0, return_dict=True)
    click.echo(f"test -ELBO   {logs['distortion'] + logs['rate']:12.4f} nats per example")
    click.echo(f"distortion   {logs['distortion']:12.4f}   -log p(x|z), one draw of z")
    click.echo(f"rate         {logs['rate']:12.4f}   KL(q(z|x) || p(z))")
    equivalence = vae.likelihood.equivalence()
    if equivalence is not None:
        factor = f"{equivalence.scale_factor:.4g} x summed {equivalence.loss} + {equivalence.constant:.4g}"
        click.echo(f"-log p(x|z) = {factor}")


@cli.command()
@click.option("--loss", type=click.Choice(["mse", "mae", "bce"]), required=True, help="The pointwise loss.")
@click.option("--reduction", type=click.Choice(["sum", "mean"]), required=True, help="Over an example's dimensions.")
@click.option("--kl-weight", type=float, default=1.0, show_default=True, help="What multiplies the KL.")
@click.option("--kl-reduction", type=click.Choice(["sum", "mean"]), default="sum", show_default=True)
@click.option("--dims", type=int, required=True, help="Dimensions of one example, 784 for 28 x 28.")
@click.option("--latent-dim", type=int, default=None, help="Latents; needed for --kl-reduction mean.")
def equivalence(**recipe: Any) -> None:
    """Says which sigma a recipe such as "mean MSE + KL" hides, and what to write instead."""
    from vae_tf import equivalence as eq

    click.echo(eq.explain(**recipe))


@cli.command()
@click.option("--data", "source", default="digits", show_default=True, help="Name, .npz or .npy file, or folder.")
@click.option("--latent-dim", default=8, show_default=True, help="Number of latents.")
@click.option("--output", type=_FILE, default="ppca.png", show_default=True, help="Picture of the spectrum.")
def ppca(source: str, latent_dim: int, output: Path) -> None:
    """Fits the linear VAE in closed form: its sigma, its scores, and how many latents the data allow at a sigma.

    Writes a picture of the spectrum of the training images against sigma^2.
    """
    if output.suffix.lower() not in _PICTURES:
        raise click.UsageError(f"--output: expected a name that ends in {', '.join(_PICTURES)}, received '{output}'.")
    from vae_tf import _files, data
    from vae_tf.cli import _spectrum
    from vae_tf.ppca import PPCA

    train, test = data.load(source)
    model = PPCA(latent_dim).fit(train)
    click.echo(_spectrum.text(model, train, test))
    with _files.replacing(output) as draft:
        _spectrum.picture(model).savefig(draft, dpi=150, format=output.suffix[1:])
    click.echo(f"Spectrum: {output}")


def _finish(run: Run) -> None:
    """Trains, exports and illustrates a run."""
    folder = run.folder
    click.echo(f"{folder}: interrupt at any time; go on with: vae-tf train --out {folder} --resume")
    if not run.train(click.echo, verbose="auto" if sys.stdout.isatty() else 2):
        raise click.exceptions.Exit(_interrupted(run))
    samples = _export(folder)
    if samples is None:
        samples = [run.vae.sample(64, seed=0, observation_noise=noise) for noise in (False, True)]
    run.illustrate(*samples)
    click.echo(run.summary())
    click.echo(f"Pictures and numbers: {folder / 'report.html'}")


def _interrupted(run: Run) -> int:
    done = len(run.history)
    click.echo(f"\nInterrupted: {run.folder / 'model.keras'} is the model after {done} whole epochs.", err=True)
    click.echo(f"Go on with: vae-tf train --out {run.folder} --resume", err=True)
    return 130


def _export(folder: Path) -> list[Any] | None:
    """Exports and checks by the commands of vae-tf-onnx; the means and draws that its runtime samples."""
    if _plugin("export") is None:
        click.echo(f"Not exported to ONNX: that needs vae-tf-onnx. {_INSTALL}, then vae-tf export {folder}.", err=True)
        return None
    import numpy as np

    bundle, samples = folder / "bundle", folder / "samples.npz"
    _invoke("export", model=folder, folder=bundle)
    _invoke("check", bundle=bundle)
    _invoke("sample", bundle=bundle, num_samples=64, seed=0, out=samples)
    with np.load(samples, allow_pickle=False) as arrays:
        return [arrays["mean"], arrays["x"]]


def _invoke(name: str, **arguments: Any) -> None:
    entry = _plugin(name)
    if entry is not None:
        click.get_current_context().invoke(entry.load(), **arguments)


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


def _input_errors() -> tuple[type[BaseException], ...]:
    """What input that cannot be worked with raises."""
    errors = (click.ClickException, ValueError, TypeError, ImportError, OSError, MemoryError, ArithmeticError)
    tensorflow = sys.modules.get("tensorflow")
    return (*errors, tensorflow.errors.OpError) if tensorflow else errors


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line: exit code 2 and one line where something is wrong with the input."""
    try:
        code = cli.main(arguments, prog_name="vae-tf", standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except _input_errors() as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo(f"vae-tf: error: {' '.join(text.split())}", err=True)
        code = 2
    sys.exit(code)


if __name__ == "__main__":
    main()
