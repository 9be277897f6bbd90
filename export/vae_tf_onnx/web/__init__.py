"""A page that explores a bundle's latents, with the decoder at work in the browser, by onnxruntime-web."""

from __future__ import annotations

from pathlib import Path

from vae_tf_onnx.bundle import FP32, Bundle, open_bundle
from vae_tf_onnx.web import _onnxruntime_web
from vae_tf_onnx.web._onnxruntime_web import RUNTIME_FILES, RUNTIME_VERSION, ort_web
from vae_tf_onnx.web._page import write_folder, write_single
from vae_tf_onnx.web._page_facts import carried, page_facts

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

    The page needs no files but its own, asks no other server, and checks its decoder against the golden set when it
    loads. Any web server can serve it; with `single_file` it is one index.html that opens from disk.

    Args:
        bundle: Folder of the bundle, or an opened bundle.
        out: Folder of the page. A page in that place is replaced if no other file is in it; anything else is refused.
        variant: Variant of the decoder, "fp32" or one of `vae_tf_onnx.bundle.VARIANTS` that the bundle holds.
        ort_web: Unpacked npm package onnxruntime-web, or its dist folder; for None see the function `ort_web`.
        single_file: Whether to put everything inside index.html.

    Raises:
        BundleError: For a bundle that is damaged or newer, or that lacks facts that the page needs.
        ValueError: For a variant that the bundle does not hold, for weights that a browser cannot take, for a folder
            `out` that is no page, and if onnxruntime-web is not available.
    """
    bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    contents = carried(bundle, variant) | {"bundle.json": page_facts(bundle, variant)}
    runtime = _onnxruntime_web.ort_web(ort_web)
    contents |= {f"ort/{name}": (runtime / name).read_bytes() for name in RUNTIME_FILES}
    write = write_single if single_file else write_folder
    return write(Path(out), contents)
