"""A page that explores a bundle's latents: the decoder runs in the browser, by onnxruntime-web."""

from __future__ import annotations

from pathlib import Path

from vae_tf_onnx.bundle import FP32, Bundle, open_bundle
from vae_tf_onnx.web._facts import carried, page_facts
from vae_tf_onnx.web._page import write_folder, write_single
from vae_tf_onnx.web._runtime import RUNTIME_FILES, RUNTIME_VERSION, ort_web

__all__ = ["RUNTIME_FILES", "RUNTIME_VERSION", "build", "ort_web"]


def build(
    bundle: str | Path | Bundle,
    out: str | Path,
    *,
    variant: str = FP32,
    ort_web: str | Path | None = None,
    single_file: bool = False,
) -> Path:
    """Writes the latent explorer of a bundle into the folder `out`. Returns its index.html.

    The page has no other files than its own, asks no other server, and checks its decoder against the golden set
    when it loads. Served by any web server; with `single_file` it is one index.html that opens from disk.

    Args:
        bundle: the folder of the bundle, or an opened one.
        out: the folder of the page; a page that is there, and nothing else in it, is replaced; all else is refused.
        variant: of the decoder, "fp32" or one of `vae_tf_onnx.bundle.VARIANTS` that the bundle holds.
        ort_web: an unpacked npm package onnxruntime-web, or its dist folder; None: see `ort_web`.
        single_file: everything inside index.html.

    Raises:
        BundleError: for a bundle that is damaged or newer, and one without facts that the page needs.
        ValueError: for a variant that the bundle does not hold, weights that a browser cannot take, a folder `out`
            that is no page, and where onnxruntime-web is not to be had.
    """
    bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    contents = carried(bundle, variant) | {"bundle.json": page_facts(bundle, variant)}
    runtime = _ort_web(ort_web)
    contents |= {f"ort/{name}": (runtime / name).read_bytes() for name in RUNTIME_FILES}
    write = write_single if single_file else write_folder
    return write(Path(out), contents)


_ort_web = ort_web
