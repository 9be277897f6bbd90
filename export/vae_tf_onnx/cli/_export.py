"""The command `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vae_tf_onnx.bundle import ORT, PRECISIONS
from vae_tf_onnx.cli._inspect import BUNDLE

_CHOICES = ("decoder", "encoder", "sampler", "reconstructor", "scorer")


@click.command("export")
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=BUNDLE, required=False)
@click.option("--graph", "graphs", multiple=True, type=click.Choice([*_CHOICES, "all"]), help="May be repeated.")
@click.option("--data", default=None, help="Test images: ELBO, examples, calibration.  [default: those of the run]")
@click.option("--precision", "precisions", multiple=True, type=click.Choice(PRECISIONS), help="A variant beside fp32.")
@click.option("--format", "formats", multiple=True, type=click.Choice(["onnx", ORT]), help="ort comes beside onnx.")
@click.option("--tolerance", type=float, default=None, help="Largest error of a variant's mean, over the data range.")
@click.option("--force", is_flag=True, help="Keep variants that are beyond a tolerance.")
@click.option("--opset", default=17, show_default=True, help="ONNX opset, from 13 to the newest that onnxruntime runs.")
@click.option("--fixed-batch", type=int, default=None, help="A batch size for devices that need static shapes.")
@click.option("--gpu", is_flag=True, help="Write Triton's configuration for a GPU, with TensorRT.")
@click.option("--kserve", is_flag=True, help="Adds a KServe InferenceService manifest.")
@click.option("--storage-uri", default=None, help="Where the cluster finds the bundle.  [default: pvc://models/FOLDER]")
def export_command(
    model: Path,
    folder: Path | None,
    graphs: tuple[str, ...],
    data: str | None,
    precisions: tuple[str, ...],
    formats: tuple[str, ...],
    kserve: bool,
    storage_uri: str | None,
    **options: Any,
) -> None:
    """Writes MODEL, a .keras file or a run's folder, as an ONNX bundle into FOLDER (beside it by default)."""
    if storage_uri is not None and not kserve:
        raise click.UsageError("--storage-uri: expected --kserve beside it, received no such option. Add --kserve.")
    import vae_tf
    from vae_tf import quiet

    quiet.import_tensorflow()
    from vae_tf_onnx.convert import export

    path = model / "model.keras" if model.is_dir() else model
    folder = folder or path.parent / "bundle"
    name, x = _test_images(model, data)
    export(
        vae_tf.load(path),
        folder,
        graphs=_CHOICES if "all" in graphs else graphs or _CHOICES[:2],
        x=x,
        data=name,
        variants=_variants(precisions, formats),
        kserve=(storage_uri or f"pvc://models/{folder.name}") if kserve else None,
        **options,
    )
    click.echo(f"Exported: {folder}, equal to the Keras model to 1e-5 at {_batches(options['fixed_batch'])}")


def _test_images(model: Path, data: str | None) -> tuple[str | None, Any]:
    """Name and test images of the data: those of `data`, else those of the run, else None and None."""
    from vae_tf import data as datasets
    from vae_tf.runs import settings

    training = click.get_current_context().meta.get("vae_tf.run")  # the run that `vae-tf train` exports, with its data
    if training is not None and data is None and training.folder == model:
        return training.settings.data, training.x_test
    if model.is_dir():
        stored = settings.stored_settings(model)
        chosen = stored.on(data) if data else stored
        return chosen.data, chosen.images()[1]
    return (data, datasets.load(data)[1]) if data else (None, None)


def _variants(precisions: tuple[str, ...], formats: tuple[str, ...]) -> tuple[str, ...]:
    """Every precision in every format, except fp32 in ONNX, which is always there."""
    return (*precisions, *((ORT, *(f"{precision}-{ORT}" for precision in precisions)) if ORT in formats else ()))


def _batches(fixed: int | None) -> str:
    return "batch 1, 3 and 17" if fixed is None else f"its batch of {fixed}"
