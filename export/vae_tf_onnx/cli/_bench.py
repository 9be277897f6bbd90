"""The command `bench`."""

from __future__ import annotations

from pathlib import Path

import click

from vae_tf_onnx.cli._inspect import BUNDLE


@click.command()
@click.argument("bundle", type=BUNDLE)
@click.option("--graph", type=click.Choice(["decoder", "encoder"]), default="decoder", show_default=True)
@click.option(
    "--batch", "batches", type=int, multiple=True, default=(1, 32), show_default=True, help="May be repeated."
)
@click.option("--threads", default=1, show_default=True, help="Threads of onnxruntime and TensorFlow, for one run.")
@click.option(
    "--model",
    type=click.Path(exists=True, path_type=Path),
    default=None,
    help="The .keras file or the run that the bundle came from: measured too.",
)
def bench(bundle: Path, graph: str, batches: tuple[int, ...], threads: int, model: Path | None) -> None:
    """Measures the variants of BUNDLE on this machine: size, errors, latency."""
    from vae_tf_onnx.bench import bench as measure

    model = model / "model.keras" if model is not None and model.is_dir() else model
    click.echo(measure(bundle, graph=graph, batches=batches, threads=threads, model=model))
