"""The tolerances beyond which a variant is too far from float32 to be kept."""

from __future__ import annotations

import math

from vae_tf_onnx.bundle import FP32, ORT, Bundle
from vae_tf_onnx.errors import ParityError
from vae_tf_onnx.variants.measured import MEANS, Measurements, Outputs, unit

TOLERANCES = {"": 1e-4, "fp16": 5e-3, "int8-dynamic": 0.1, "int8-static": 0.1}
"""Largest error of the mean, in units of the data range, by precision ("": float32 in another format).

On MLPs and conv nets of digits and MNIST float16 errs by less than 0.001, and 8 bits by 0.01 to 0.04. The limits are
about five and three times that: one grey level of 256 for float16, and for 8 bits an error that the eye can find.
"""
NATS = {"": 1e-4, "fp16": 0.01, "int8-dynamic": 0.1, "int8-static": 0.1}
"""Largest error of log p(x|z), in nats per dimension of x, by precision.

The same models err by at most 0.0003 in float16 and 0.011 in 8 bits. A small sigma multiplies the error of the mean: at
sigma = 0.001 an error that no eye sees costs hundreds of nats per dimension.
"""
SCALES = {"": 1e-4, "fp16": 5e-3, "int8-dynamic": 0.25, "int8-static": 0.25}
"""Largest error of an output `scale`, as a share of it, by precision; log q(z|x) errs by as many nats for each latent.

The same models' encoders err by at most 0.0007 in float16 and 0.13 in 8 bits.
"""


def precision(name: str) -> str:
    """The precision of a variant; "" for float32."""
    return "" if name == FP32 else name.removesuffix(ORT).removesuffix("-")


def limits(name: str, tolerance: float | None) -> dict[str, float]:
    """The largest errors that a variant may have, by their names; `log_prob_error` is per dimension of x.

    Args:
        name: Name of the variant.
        tolerance: Largest error of the mean, in place of `TOLERANCES`.
    """
    kind = precision(name)
    mean = TOLERANCES[kind] if tolerance is None else tolerance
    return {"max_abs_error": mean, "scale_error": SCALES[kind], "log_prob_error": NATS[kind]}


def beyond(
    bundle: Bundle, graph: str, name: str, errors: Measurements, expected: Outputs, allowed: dict[str, float]
) -> ParityError | None:
    """The first error of a variant that is beyond its limit, as a ParityError; None if all are within their limits.

    Args:
        bundle: Bundle of the variant.
        graph: "decoder" or "encoder".
        name: Name of the variant.
        errors: Errors of the variant.
        expected: Outputs of the float32 graph.
        allowed: Largest errors, see limits.
    """
    size, size_name = unit(bundle, graph, expected)
    dims = math.prod(bundle.event_shape)
    for key, what, one, in_units, more in (
        ("max_abs_error", f"{graph}/{MEANS[graph]}", size, f"in units of {size_name}", "allow more (tolerance), "),
        ("scale_error", f"{graph}/scale", 1.0, "as a share of it", ""),
        ("log_prob_error", f"log p(x|z) of the {graph}", dims, "in nats per dimension of x", ""),
    ):
        if errors[key] is not None and not errors[key] / one <= allowed[key]:
            return ParityError(
                f"{what} in {name}",
                errors[key] / one,
                allowed[key],
                kind=f"an error, {in_units},",
                remedy=f"Choose another variant, {more}or keep it all the same (force=True, --force).",
            )
    return None
