"""The content of the page's bundle.json, with facts, golden set and test images; and the graphs beside it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

import vae_tf_onnx
from vae_tf_onnx.bundle import EXAMPLES, EXTERNAL, FP32, GOLDEN, VARIANTS, Bundle
from vae_tf_onnx.errors import BundleError
from vae_tf_onnx.verification import TOLERANCE
from vae_tf_onnx.web._arrays import Arrays, first_rows, load, packed
from vae_tf_onnx.web._noise_laws import PRIOR_NOISE, noise_facts
from vae_tf_onnx.web._summary import scale_symbol, summary

SAMPLES = "samples of the model"
"""The manifest's name for the source of latents and examples if no data were given."""
_WIDEST_RANGE = 65535.0  # a wider range is that of a type of numbers, not that of images
_MARGIN = 2.0  # factor on the error of a variant, which was measured on other inputs


def carried(bundle: Bundle, variant: str) -> dict[str, bytes]:
    """The files of the graphs that the page runs, by their names in the page.

    Raises:
        BundleError: For a damaged file.
        ValueError: For a variant that the bundle does not hold, and for weights beside their graph.
    """
    if not bundle.holds("decoder", variant):
        present = [name for name in (FP32, *VARIANTS) if bundle.holds("decoder", name)]
        raise ValueError(
            f"variant: expected one that the bundle holds ({', '.join(present)}), received {variant!r}. "
            "Choose one of them, or add it: vae-tf export --precision."
        )
    names = {graph: bundle.file(graph, variant if graph == "decoder" else FP32) for graph in _graphs(bundle)}
    for name in names.values():
        if name + EXTERNAL in bundle.manifest["files"]:
            raise ValueError(
                f"Bundle file {name}: expected a graph with its weights inside, received one of more than 2 GB with "
                "its weights beside it. A browser cannot take them; export a smaller decoder."
            )
    return {f"{graph}.onnx": bundle.read(name) for graph, name in names.items()}


def page_facts(bundle: Bundle, variant: str) -> bytes:
    """The content of bundle.json.

    Raises:
        BundleError: For a malformed manifest, golden set or examples.
    """
    try:
        return json.dumps(_content(bundle, variant), allow_nan=False).encode()
    except BundleError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise _error(bundle, "a manifest with the facts that a page shows", repr(error)) from error


def _content(bundle: Bundle, variant: str) -> dict[str, Any]:
    manifest, latents = bundle.manifest, _latents(bundle)
    z, x = (bundle.latent_dim,), bundle.event_shape
    golden = load(bundle, GOLDEN, {"z": z, "decoder/mean": x})
    examples = first_rows(load(bundle, EXAMPLES, {"z": z, "x": x})) if EXAMPLES in manifest["files"] else {}
    return {
        "title": f"Latent explorer: {manifest['data']}" if manifest.get("data") else "Latent explorer",
        "credits": f"Written by vae-tf-onnx {vae_tf_onnx.__version__}. The decoder ({variant}) runs in this browser, "
        "by onnxruntime-web; nothing is sent anywhere.",
        "summary": summary(bundle, latents["kl"]),
        "event_shape": list(bundle.event_shape),
        "batch": bundle.batch,
        "display_range": _display_range(bundle, examples.get("x", golden["decoder/mean"])),
        "graphs": _graphs(bundle),
        "latents": latents,
        "scale_symbol": scale_symbol(manifest["likelihood"]),
        "is_mse": (manifest["likelihood"].get("equivalence") or {}).get("loss") == "mse",
        "golden": [_golden_run("decoder", "z", "mean", first_rows(golden)), *_prior_run(bundle)],
        "tolerance": _tolerance(bundle, variant, golden["decoder/mean"]),
        "examples": {name: packed(array) for name, array in examples.items()} or None,
        "examples_name": "sample of the model" if latents["source"] == SAMPLES else "test image",
        **noise_facts(bundle),
    }


def _graphs(bundle: Bundle) -> list[str]:
    return ["decoder", *(graph for graph in ("prior", "observation") if bundle.holds(graph))]


def _golden_run(graph: str, source: str, output: str, golden: Arrays) -> dict[str, Any]:
    return {
        "graph": graph,
        "inputs": {source: packed(golden[source if source in golden else f"{graph}/{source}"])},
        "output": output,
        "expected": packed(golden[f"{graph}/{output}"]),
    }


def _prior_run(bundle: Bundle) -> list[dict[str, Any]]:
    law = PRIOR_NOISE.get(bundle.manifest["prior"].get("family"))
    if law is None or not bundle.holds("prior"):
        return []
    size = bundle.latent_dim
    golden = load(bundle, GOLDEN, {"prior/noise": (size + (law == "mixture"),), "prior/z": (size,)})
    return [_golden_run("prior", "noise", "z", golden)]


def _tolerance(bundle: Bundle, variant: str, expected: np.ndarray) -> float:
    """The relative error that the self-test allows: that of float32, or the variant's measured one with a margin."""
    if variant == FP32:
        return TOLERANCE
    measured = float(bundle.manifest["graphs"]["decoder"]["variants"][variant]["max_abs_error"])
    return max(TOLERANCE, _MARGIN * measured / max(float(np.abs(expected).max()), TOLERANCE))


def _display_range(bundle: Bundle, x: np.ndarray) -> list[float]:
    """The values of black and white: the range of the data, or of examples if that is wider than any image's."""
    low, high = (float(bound) for bound in bundle.manifest["data_range"])
    if 0 < high - low <= _WIDEST_RANGE:
        return [low, high]
    return [min(0.0, float(x.min())), max(1.0, float(x.max()))]


def _latents(bundle: Bundle) -> dict[str, Any]:
    """Ranges, start and order of the sliders; those of a standard normal if the manifest states none."""
    size = bundle.latent_dim
    stated = bundle.manifest.get("latents") or {
        "kl": None,
        "mean": [0.0] * size,
        "scale": [1.0] * size,
        "source": "a standard normal",
    }
    mean, scale = (np.array(stated[key], np.float64) for key in ("mean", "scale"))
    kl = None if stated["kl"] is None else np.array(stated["kl"], np.float64)
    numbers = [mean, scale] if kl is None else [mean, scale, kl]
    if any(array.shape != (size,) or not np.isfinite(array).all() for array in numbers) or (scale <= 0).any():
        raise _error(bundle, f"{size} finite numbers in latents kl, mean and scale, the scales positive", repr(stated))
    order = np.arange(size) if kl is None else np.argsort(-kl, kind="stable")
    return {
        "kl": None if kl is None else kl.tolist(),
        "mean": mean.tolist(),
        "low": (mean - 3 * scale).tolist(),
        "high": (mean + 3 * scale).tolist(),
        "order": order.tolist(),
        "order_note": _order_note(kl is not None, bool(stated.get("kl_is_exact", True))),
        "source": "the test images" if stated["source"] == "x" else str(stated["source"]),
    }


def _order_note(has_kl: bool, is_exact: bool) -> str:
    if not has_kl:
        return ""
    return f"Ordered by KL in nats{'' if is_exact else ' (an estimate)'}, the largest first. "


def _error(bundle: Bundle, expected: str, received: str) -> BundleError:
    return BundleError(
        f"Bundle {bundle.folder}: expected {expected}, received {received}. Export the model again.",
        str(bundle.folder),
    )
