"""Which variants are too far from float32 to be kept."""

from __future__ import annotations

import math

from vae_tf_onnx.bundle import FP32, ORT, Bundle
from vae_tf_onnx.errors import ParityError
from vae_tf_onnx.variants.rows import MEANS, Outputs, Row, unit

TOLERANCES = {"": 1e-4, "fp16": 5e-3, "int8-dynamic": 0.1, "int8-static": 0.1}
"""Largest error of the mean, in units of the data range, by precision ("": float32 in another format).

On MLPs and conv nets of digits and MNIST float16 errs by less than 0.001 and 8 bits by 0.01 to 0.04. The limits are
five and three times that: about one grey level of 256 for float16, and what the eye finds in places for 8 bits.
"""
NATS = {"": 1e-4, "fp16": 0.01, "int8-dynamic": 0.1, "int8-static": 0.1}
"""Largest error of log p(x|z), in nats per dimension of x, by precision.

The same models err by at most 0.0003 in float16 and 0.011 in 8 bits. A small sigma multiplies the error of the mean: at
sigma = 0.001 one that no eye sees costs hundreds of nats per dimension.
"""
SCALES = {"": 1e-4, "fp16": 5e-3, "int8-dynamic": 0.25, "int8-static": 0.25}
"""Largest error of an output `scale`, as a share of it, by precision: as many nats of log q(z|x) for each latent.

The same models' encoders err by at most 0.0007 in float16 and 0.13 in 8 bits.
"""


def precision(name: str) -> str:
    """Of a variant, "" for float32."""
    return "" if name == FP32 else name.removesuffix(ORT).removesuffix("-")


def limits(name: str, tolerance: float | None) -> dict[str, float]:
    """What a variant is allowed, by the name of the error in its row; log_prob_error per dimension of x.

    Args:
        name: of the variant.
        tolerance: of the mean, in place of `TOLERANCES`.
    """
    kind = precision(name)
    mean = TOLERANCES[kind] if tolerance is None else tolerance
    return {"max_abs_error": mean, "scale_error": SCALES[kind], "log_prob_error": NATS[kind]}


def beyond(
    bundle: Bundle, graph: str, name: str, row: Row, expected: Outputs, allowed: dict[str, float]
) -> ParityError | None:
    """The first error of a variant that is beyond its limit; None where all are within.

    Args:
        bundle: whose graph it is.
        graph: "decoder" or "encoder".
        name: of the variant.
        row: its errors.
        expected: the outputs of the float32 graph.
        allowed: see limits.
    """
    size, size_name = unit(bundle, graph, expected)
    dims = math.prod(bundle.event_shape)
    for key, what, one, in_units, more in (
        ("max_abs_error", f"{graph}/{MEANS[graph]}", size, f"in units of {size_name}", "allow more (tolerance), "),
        ("scale_error", f"{graph}/scale", 1.0, "as a share of it", ""),
        ("log_prob_error", f"log p(x|z) of the {graph}", dims, "in nats per dimension of x", ""),
    ):
        if row[key] is not None and not row[key] / one <= allowed[key]:
            return ParityError(
                f"{what} in {name}",
                row[key] / one,
                allowed[key],
                kind=f"an error, {in_units},",
                remedy=f"Choose another variant, {more}or keep it all the same (force=True, --force).",
            )
    return None
