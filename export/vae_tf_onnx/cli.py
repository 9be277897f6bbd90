"""The command `vae-tf-onnx` (check, sample), and what it adds to `vae-tf` (export, check, sample)."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

_BUNDLE = click.Path(path_type=Path)


@click.command("export")
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=_BUNDLE, required=False)
@click.option("--opset", default=17, show_default=True, help="Of ONNX, 13 to 18.")
def export_command(model: Path, folder: Path | None, opset: int = 17) -> None:
    """Writes MODEL, a .keras file or a run's folder, as an ONNX bundle into FOLDER (beside it by default)."""
    import vae_tf
    from vae_tf import _quiet

    _quiet.import_tensorflow()
    from vae_tf_onnx.convert import export

    model = model / "model.keras" if model.is_dir() else model
    folder = folder or model.parent / "bundle"
    export(vae_tf.load(model), folder, opset=opset)
    click.echo(f"Exported: {folder}, equal to the Keras model to 1e-5 at batch 1, 3 and 17")


@click.command()
@click.argument("bundle", type=_BUNDLE)
def check(bundle: Path) -> None:
    """Verifies a bundle's checksums and replays its golden set."""
    from vae_tf_onnx.verification import verify

    errors = verify(bundle)
    name = max(errors, key=errors.__getitem__)
    click.echo(f"Checked: {bundle}, {len(errors)} outputs, largest relative error {errors[name]:.1e} ({name})")


@click.command()
@click.argument("bundle", type=_BUNDLE)
@click.option("--num-samples", default=64, show_default=True)
@click.option("--seed", type=int, default=None, help="Of numpy's generator; a new one by default.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help=".npz, .npy or .png file.")
def sample(bundle: Path, num_samples: int, seed: int | None, out: Path) -> None:
    """Draws images x ~ p(x|z), z ~ p(z), with onnxruntime alone.

    A .npz file holds the draws `x` and, of the same z, their means `mean`; .npy and .png the draws.
    """
    import numpy as np

    from vae_tf_onnx.runtime import Decoder

    if out.suffix not in (".npz", ".npy", ".png"):
        raise click.UsageError(f"--out: expected a .npz, .npy or .png file, received {out.name!r}.")
    decoder = Decoder(bundle)
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    x = decoder.sample(num_samples, seed=seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        draft = Path(scratch) / out.name
        if out.suffix == ".npz":
            np.savez(draft, x=x, mean=decoder.sample(num_samples, seed=seed, observation_noise=False))
        elif out.suffix == ".npy":
            np.save(draft, x)
        else:
            _save_png(draft, x)
        os.replace(draft, out)
    click.echo(f"Sampled: {out}, {num_samples} images, seed {seed}")


def _save_png(path: Path, x: Any) -> None:
    """A near-square grid of images `[n, H, W, C]`, each pixel four pixels wide."""
    try:
        from PIL import Image
    except ImportError as error:
        raise click.UsageError('a .png file needs Pillow. Install it: pip install "vae-tf-onnx[image]"') from error
    import numpy as np

    n, height, width, channels = x.shape
    columns = int(np.ceil(np.sqrt(n)))
    padded = np.ones((-(-n // columns) * columns, height, width, channels), np.float32)
    padded[:n] = np.clip(x, 0, 1)
    grid = padded.reshape(-1, columns, height, width, channels).swapaxes(1, 2)
    grid = grid.reshape(-1, columns * width, channels).repeat(4, axis=0).repeat(4, axis=1)
    pixels = (255 * grid).round().astype(np.uint8)
    Image.fromarray(pixels if channels == 3 else pixels[..., 0]).save(path)


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vae-tf-onnx")
def cli() -> None:
    """Exported VAEs on the edge: numpy and onnxruntime, no TensorFlow."""


cli.add_command(check)
cli.add_command(sample)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line: exit code 2 and one line where something is wrong with the input."""
    try:
        code = cli.main(arguments, prog_name="vae-tf-onnx", standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except (click.ClickException, ValueError, ImportError, OSError, MemoryError) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        click.echo(f"vae-tf-onnx: error: {' '.join(text.split())}", err=True)
        code = 2
    sys.exit(code)
