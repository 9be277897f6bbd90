"""The command `web`."""

from __future__ import annotations

from pathlib import Path

import click

from vae_tf_onnx.bundle import FP32
from vae_tf_onnx.cli._inspect import BUNDLE


@click.command()
@click.argument("bundle", type=BUNDLE)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the page.")
@click.option("--variant", default=FP32, show_default=True, help="Variant of the decoder, one that the bundle holds.")
@click.option("--single-file", is_flag=True, help="Put everything inside one index.html, which opens from disk.")
@click.option(
    "--ort-web",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="An unpacked npm package onnxruntime-web; npm fetches it by default.",
)
def web(bundle: Path, out: Path, variant: str, single_file: bool, ort_web: Path | None) -> None:
    """Writes a page that explores BUNDLE's latents; its decoder runs in the browser."""
    from vae_tf_onnx.web import build

    index = build(bundle, out, variant=variant, ort_web=ort_web, single_file=single_file)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    how = "open it" if single_file else f"show it: python -m http.server --bind 127.0.0.1 -d {out}"
    click.echo(f"Written: {index}, {size:.1f} MB; {how}")
