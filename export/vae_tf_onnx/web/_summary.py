"""The summary of a bundle in a few terms and texts, as the page shows it."""

from __future__ import annotations

import math
from typing import Any

from vae_tf_onnx._scale import scale_of
from vae_tf_onnx.bundle import Bundle

USED = 0.01  # nats of KL, below which the page calls a latent unused
_SIGMA = "\N{GREEK SMALL LETTER SIGMA}"


def scale_symbol(likelihood: dict[str, Any]) -> str | None:
    """The symbol of the decoder's output `scale`; None for families without one."""
    scale = scale_of(likelihood)
    return None if scale is None else scale.symbol.replace("sigma", _SIGMA)


def summary(bundle: Bundle, kl: list[float] | None) -> list[tuple[str, str]]:
    """Terms and texts about shape, likelihood and its scale, prior, latents and ELBO."""
    manifest = bundle.manifest
    facts = [("Shape", " × ".join(map(str, bundle.event_shape)))]  # noqa: RUF001 - the sign that people read
    facts += [("Likelihood", manifest["likelihood"].get("family") or "unstated"), *_scale(manifest["likelihood"])]
    facts += [("Prior", manifest["prior"].get("family") or "unstated")]
    facts += [("Latents", str(bundle.latent_dim) + _used(kl))]
    return facts + _evaluation(manifest.get("evaluation"))


def _scale(likelihood: dict[str, Any]) -> list[tuple[str, str]]:
    symbol = scale_symbol(likelihood)
    if symbol is None:
        return []
    equivalence = likelihood.get("equivalence")
    chosen = likelihood.get("parameters", {}).get("scale")
    how = f" ({chosen.replace('_', ' ')})" if isinstance(chosen, str) else ""
    if not equivalence:
        return [(symbol, f"beside the image{how}")]
    factor = float(equivalence["scale_factor"])
    if equivalence["loss"] == "mse":
        return [(symbol, f"{math.sqrt(0.5 / factor):.4g}{how}"), (f"1/(2{_SIGMA}²)", f"{factor:.4g}")]
    return [(symbol, f"{1 / factor:.4g}{how}"), (f"1/{symbol}", f"{factor:.4g}")]


def _used(kl: list[float] | None) -> str:
    used = sum(value >= USED for value in kl or [])
    return "" if kl is None else f" ({'all' if used == len(kl) else used} in use)"


def _evaluation(evaluation: dict[str, Any] | None) -> list[tuple[str, str]]:
    if not evaluation:
        return []
    facts = [(term, f"{float(evaluation[term.lower()]):.1f} nats") for term in ("ELBO", "Distortion", "Rate")]
    return [*facts, ("Examples", f"{int(evaluation['num_examples']):,}")]
