"""The commands that look into a bundle: `check` and `sample`."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

BUNDLE = click.Path(path_type=Path)


@click.command()
@click.argument("bundle", type=BUNDLE)
def check(bundle: Path) -> None:
    """Verifies a bundle's checksums and replays its golden set."""
    from vae_tf_onnx.verification import verify

    errors = verify(bundle)
    name = max(errors, key=errors.__getitem__)
    click.echo(f"Checked: {bundle}, {len(errors)} outputs, largest relative error {errors[name]:.1e} ({name})")


@click.command()
@click.argument("bundle", type=BUNDLE)
@click.option("--num-samples", default=64, show_default=True)
@click.option("--seed", type=int, default=None, help="Of numpy's generator; a new one by default.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help=".npz, .npy, .png or .csv file."
)
def sample(bundle: Path, num_samples: int, seed: int | None, out: Path) -> None:
    """Samples images or rows x ~ p(x|z), z ~ p(z), with onnxruntime alone.

    A .npz file holds the samples `x` and the means E[x|z] of the same z, `mean`. A .npy, .png or .csv file holds the
    samples; .png is for images, .csv for tables.
    """
    import numpy as np

    from vae_tf_onnx.runtime import Decoder

    if out.suffix not in (".npz", ".npy", ".png", ".csv"):
        raise click.UsageError(f"--out: expected a .npz, .npy, .png or .csv file, received {out.name!r}.")
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
        elif out.suffix == ".csv":
            _save_csv(draft, x, decoder.bundle.columns)
        else:
            _save_png(draft, x, decoder.bundle.manifest["data_range"])
        os.replace(draft, out)
    click.echo(f"Sampled: {out}, {num_samples} {'rows' if x.ndim == 2 else 'images'}, seed {seed}")


def _save_csv(path: Path, x: Any, columns: Sequence[str] | None) -> None:
    """Writes rows `[n, d]` below the names of their columns, with as many digits as float32 has."""
    if x.ndim != 2:
        received = f"--out: expected a .npz, .npy or .png file, for examples of shape {list(x.shape[1:])} are no rows"
        raise click.UsageError(f"{received}, received {path.name!r}.")
    names = [f"column {i}" for i in range(1, x.shape[1] + 1)] if columns is None else columns
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([f"{value:.9g}" for value in row] for row in x.tolist())


def _save_png(path: Path, x: Any, data_range: Sequence[float]) -> None:
    """Writes a near-square grid of images `[n, H, W, C]`, from black to white over the range, four pixels for each."""
    try:
        from PIL import Image
    except ImportError as error:
        raise click.UsageError('a .png file needs Pillow. Install it: pip install "vae-tf-onnx[image]"') from error
    import numpy as np

    if x.ndim != 4 or x.shape[-1] not in (1, 3):
        raise click.UsageError(
            f"--out: expected a .npz or .npy file, for examples of shape {list(x.shape[1:])} are no images of 1 or 3 "
            f"channels, received {path.name!r}."
        )
    n, height, width, channels = x.shape
    low, high = data_range
    columns = int(np.ceil(np.sqrt(n)))
    padded = np.ones((-(-n // columns) * columns, height, width, channels), np.float32)
    padded[:n] = np.clip((x - low) / (high - low), 0, 1)
    grid = padded.reshape(-1, columns, height, width, channels).swapaxes(1, 2)
    grid = grid.reshape(-1, columns * width, channels).repeat(4, axis=0).repeat(4, axis=1)
    pixels = (255 * grid).round().astype(np.uint8)
    Image.fromarray(pixels if channels == 3 else pixels[..., 0]).save(path)
