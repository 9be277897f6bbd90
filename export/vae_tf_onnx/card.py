"""The model card: the README.md of a bundle, made from its manifest."""

from __future__ import annotations

import math
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_tf_onnx._scale import Scale, scale_of
from vae_tf_onnx._templates import render
from vae_tf_onnx.bundle import CARD, FP32, GRAPHS, Bundle, open_bundle, write_manifest

__all__ = ["CARD", "write"]

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~&$])")
_UNDEFINED = {"scale_error": None, "log_prob_error": None}
_NOTES = {
    "fp16": "fp16 halves the file, for GPUs and downloads. A CPU computes it in float32 and is no faster. Numbers too "
    "large or too small for float16 stay in float32.",
    "int8": "8 bits speed up fully connected layers and, with int8-static, convolutions, on processors with 8-bit "
    "instructions. Transposed convolutions stay in float32 on a CPU: a conv decoder gets smaller, and little faster.",
    "int8-dynamic": "int8-dynamic takes the ranges of activations from the batch at hand: a row's result depends on "
    "its neighbours in the batch.",
    "ort": "ort is onnxruntime's own format, loaded faster and by its smallest builds. On a CPU fp16-ort is slow: it "
    "unpacks its weights in every run.",
}


def write(folder: str | Path) -> None:
    """Writes README.md into a bundle, from its manifest, and the checksum of README.md into the manifest.

    Raises:
        BundleError: For a bundle that is damaged or newer.
        ImportError: If the package jinja2 is not installed.
    """
    bundle = open_bundle(folder)
    for name in bundle.manifest["files"]:
        if name != CARD:
            bundle.read(name)
    text = render("card.md.j2", _template_values(bundle), what="Model card", filters=_FILTERS)
    with tempfile.TemporaryDirectory(prefix=f".{bundle.folder.name}.", dir=bundle.folder.parent) as scratch:
        draft = Path(scratch) / CARD
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, bundle.folder / CARD)
    write_manifest(bundle.folder, bundle.manifest)


def _template_values(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    rows = _rows(manifest)
    run = bundle.batch or 1
    stated = manifest["likelihood"].get("family") is not None
    return {
        "title": f"Variational autoencoder of {manifest['data']}"
        if manifest.get("data")
        else "Variational autoencoder",
        "summary": _summary(bundle, stated),
        "data": manifest.get("data"),
        "shape": _shape(bundle.event_shape),
        "shape_16": _shape((16, *bundle.event_shape)),
        "shape_run": _shape((run, *bundle.event_shape)),
        "data_range": manifest["data_range"],
        "latent_dim": bundle.latent_dim,
        "prior": _part(manifest["prior"]),
        "likelihood": _part(manifest["likelihood"]),
        "posterior": _part(manifest.get("posterior", {})),
        "scale_lines": scale_lines(manifest["likelihood"], math.prod(bundle.event_shape)),
        "evaluation": manifest.get("evaluation"),
        "batch": bundle.batch,
        "graphs": [_graph(bundle, name) for name in GRAPHS if bundle.holds(name)],
        "rows": rows,
        "batch_sizes": list(rows[0]["latency_ms"]) if rows else [],
        "threads": rows[0]["threads"] if rows else 1,
        "num_inputs": min((row["num_inputs"] for row in rows if "num_inputs" in row), default=0),
        "engine": rows[0]["onnxruntime"] if rows else "",
        "has_encoder": bundle.holds("encoder"),
        "notes": [*_limits(rows), *_notes({row["variant"] for row in rows})],
        "stated": stated,
        "rows_per_run": run,
        "compute_dtype": manifest.get("compute_dtype", "float32"),
        "opset": str(manifest.get("opset", "not stated")),
        "versions": manifest.get("versions", {}),
    }


def _summary(bundle: Bundle, stated: bool) -> str:
    what = "a variational autoencoder" if stated else "a decoder, a Keras model whose likelihood is not stated,"
    return (
        f"This folder is {what} as ONNX graphs: {bundle.latent_dim} latents, examples of shape "
        f"{_shape(bundle.event_shape)}. It is a bundle of `vae_tf_onnx`, and a model repository for Triton."
    )


def _rows(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The measurements of all variants, one row of the card's table each, float32 first."""
    rows = []
    for graph in GRAPHS:
        variants = manifest["graphs"].get(graph, {}).get("variants", {})
        for variant in sorted(variants, key=lambda name: (name != FP32, name)):
            rows.append({"graph": graph, "variant": variant} | _errors(variants[variant]))
    return rows


def _errors(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with all its errors, which are infinite for outputs that are not finite."""
    if not row.get("finite", True):
        return {**row, "max_abs_error": math.inf, "mean_abs_error": math.inf, **_UNDEFINED}
    return {**_UNDEFINED, **row}


def _limits(rows: list[dict[str, Any]]) -> list[str]:
    """Sentences about the tolerances of each variant, and whether it was kept although it exceeds them."""
    lines = []
    for variant in dict.fromkeys(row["variant"] for row in rows if "tolerances" in row):
        chosen = [row for row in rows if row["variant"] == variant]
        limits = chosen[0]["tolerances"]
        line = (
            f"{variant} may err by {limits['max_abs_error']:g} of the range in the mean, by {limits['scale_error']:g} "
            f"of `scale`, and by {limits['log_prob_error']:g} nats per dimension of x in log p(x|z)."
        )
        forced = " and ".join(row["graph"] for row in chosen if not row["within_tolerances"])
        lines.append(line + (f" **Beyond that, and kept by force: {forced}.**" if forced else ""))
    return lines


def _graph(bundle: Bundle, name: str) -> dict[str, str]:
    described = bundle.manifest["graphs"].get(name, {})
    parity = described.get("parity", {}).values()
    return {
        "name": name,
        "file": GRAPHS[name],
        "inputs": _tensors(described.get("inputs", [])),
        "outputs": _tensors(described.get("outputs", [])),
        "parity": f"{max(parity):.1e}" if parity else "not stated",
    }


def _tensors(tensors: list[dict[str, Any]]) -> str:
    return ", ".join(f"{tensor['name']} {_shape(tensor['shape'])}" for tensor in tensors) or "not stated"


def _part(part: Mapping[str, Any]) -> str:
    """The name of a likelihood, prior or posterior, with those of its parameters that are one word or number."""
    if part.get("family") is None:
        return "not stated"
    values = part.get("parameters", {})
    short = {key: value for key, value in values.items() if isinstance(value, str | int | float)}
    listed = ", ".join(f"{key}={value}" for key, value in short.items())
    return f"{part['family']}({listed})"


def scale_lines(likelihood: Mapping[str, Any], dims: int) -> list[str]:
    """Sentences about sigma, and about the pointwise loss that -log p(x|z) is."""
    equivalence = likelihood.get("equivalence")
    if likelihood.get("family") is None:
        return ["The likelihood is not stated: there is no sigma, no log p(x|z) and no draw of x, only the mean."]
    if not equivalence:
        return _unequal(likelihood)
    factor, constant = float(equivalence["scale_factor"]), float(equivalence["constant"])
    sign = "-" if constant < 0 else "+"
    loss = (
        f"`-log p(x|z) = {factor:.4g} sum({{}}) {sign} {abs(constant):.4g}` nats per example, over {dims} dimensions."
    )
    if equivalence["loss"] == "mse":
        sigma = math.sqrt(1 / (2 * factor))
        return [f"**sigma = {sigma:.4g}, 1/(2 sigma^2) = {factor:.4g}.**", loss.format("(x - mean)^2")]
    if equivalence["loss"] == "mae":
        scale = 1 / factor
        spread = f"standard deviation {math.sqrt(2) * scale:.4g}"
        return [f"**b = {scale:.4g}, 1/b = {factor:.4g}**, {spread}.", loss.format("|x - mean|")]
    return [f"-log p(x|z) is the binary cross-entropy in nats, summed over the {dims} dimensions: there is no sigma."]


def _unequal(likelihood: Mapping[str, Any]) -> list[str]:
    """Sentences about sigma where no pointwise loss is -log p(x|z)."""
    scale = scale_of(likelihood)
    if scale is None:
        return ["There is no one sigma, and no pointwise loss is -log p(x|z). The decoder gives the parameters."]
    factor = {"sigma": " and 1/(2 sigma^2)", "b": " and 1/b"}.get(scale.symbol, "") if not scale.rounded else ""
    where = "output `scale` of the decoder"
    if scale.mode == "per_dimension":
        first = f"{scale.symbol}{factor} differ{'' if factor else 's'} between dimensions of x: {where}."
    elif scale.mode == "per_pixel":
        first = f"{scale.symbol}{factor} differ{'' if factor else 's'} between dimensions and with z: {where}."
    elif isinstance(scale.mode, str):
        first = f"{scale.symbol} is one number, {where}."
    else:
        first = f"**{scale.symbol} = {scale.mode:.4g}.**"
    return [f"{first} {_deviation(scale)} No pointwise loss is -log p(x|z)."]


def _deviation(scale: Scale) -> str:
    before = " before it is rounded to levels" if scale.rounded else ""
    return f"The standard deviation of x given z{before} is {scale.formula}."


def _notes(variants: set[str]) -> list[str]:
    notes = [_NOTES["fp16"]] if any(name.startswith("fp16") for name in variants) else []
    notes += [_NOTES["int8"]] if any(name.startswith("int8") for name in variants) else []
    notes += [_NOTES["int8-dynamic"]] if any(name.startswith("int8-dynamic") for name in variants) else []
    return notes + ([_NOTES["ort"]] if any(name.endswith("ort") for name in variants) else [])


def _line(value: Any) -> str:
    return " ".join(str(value).split())


def _text(value: Any) -> str:
    """Markdown on one line that reads as the value."""
    return _MARKDOWN.sub(r"\\\1", _line(value))


def _code(value: Any) -> str:
    """A code span that fits on one line of a table."""
    return "`" + _line(value).replace("`", "'").replace("|", r"\|") + "`"


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{float(value):.4g}" if abs(float(value)) < sys.float_info.max else "not finite"


def _shape(shape: Any) -> str:
    return f"[{', '.join(map(str, shape))}]"


_FILTERS = {"text": _text, "code": _code, "line": _line, "number": _number}
