"""From a recipe ("MSE + KL") to the sigma that it hides, and back. The module needs numpy only.

A recipe minimises `a * E + c * KL`. E is the squared (or absolute) error and KL the divergence, both
summed over dimensions; `reduction="mean"` makes a = 1/dims, `kl_reduction="mean"` divides c by latent_dim.
Dividing by c leaves the minimum where it is, so the recipe is the bound of a likelihood with

    mse:  Gaussian,  1/(2 sigma^2) = a/c,   sigma = sqrt(c / (2 a))
    mae:  Laplace,   1/b = a/c,             b = c / a,   standard deviation sqrt(2) b

The same recipe read as a beta-VAE whose likelihood has scale 1: beta = sigma^2 for the Gaussian and
beta = b for the Laplace. (Where beta multiplies KL beside `||x - x'||^2` without the 1/2, sigma is
sqrt(beta / 2) instead: c/a is then beta itself.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from vae_tf import _checks

__all__ = ["Implied", "PointwiseLoss", "Recipe", "explain", "from_recipe", "to_recipe"]

Loss = Literal["mse", "mae", "bce"]
Reduction = Literal["sum", "mean"]


@dataclass(frozen=True)
class PointwiseLoss:
    """`-log_prob == scale_factor * pointwise + constant`, in nats per example.

    Attributes:
        loss: The pointwise loss: "mse" (squared error), "mae" or "bce", summed over the dimensions.
        scale_factor: Factor of that sum; for a Gaussian 1/(2 sigma^2).
        constant: The rest of `-log_prob`, in nats per example.
    """

    loss: Loss
    scale_factor: float
    constant: float


@dataclass(frozen=True)
class Recipe:
    """A loss as people write it: a pointwise loss, its reduction over the dimensions, and a weight of the KL.

    Attributes:
        loss: "mse", "mae" or "bce".
        reduction: Reduction of the loss over the `dims` dimensions of an example, "sum" or "mean".
        kl_weight: Factor of the KL.
        dims: Number of dimensions of one example.
        kl_reduction: Reduction of the KL over the latents, "sum" or "mean".
        latent_dim: Number of latents; needed for `kl_reduction="mean"` only.
    """

    loss: Loss
    reduction: Reduction
    kl_weight: float
    dims: int
    kl_reduction: Reduction = "sum"
    latent_dim: int | None = None

    def __post_init__(self) -> None:
        _checks.one_of("loss", self.loss, ("mse", "mae", "bce"))
        _checks.one_of("reduction", self.reduction, ("sum", "mean"))
        _checks.one_of("kl_reduction", self.kl_reduction, ("sum", "mean"))
        weight = _checks.positive_float("kl_weight", self.kl_weight, "Without a KL term the recipe implies no sigma.")
        object.__setattr__(self, "kl_weight", weight)
        object.__setattr__(self, "dims", _checks.positive_int("dims", self.dims))
        if self.kl_reduction == "mean" and self.latent_dim is None:
            raise ValueError(
                _checks.problem(
                    "latent_dim",
                    expected="the number of latents, as kl_reduction is 'mean'",
                    received="None",
                    remedy="Pass latent_dim, or kl_reduction='sum'.",
                )
            )
        if self.latent_dim is not None:
            object.__setattr__(self, "latent_dim", _checks.positive_int("latent_dim", self.latent_dim))

    @property
    def error_weight(self) -> float:
        """a: the weight of the summed error."""
        return 1.0 if self.reduction == "sum" else 1.0 / self.dims

    @property
    def summed_kl_weight(self) -> float:
        """c: the weight of the KL summed over latents."""
        if self.kl_reduction == "mean" and self.latent_dim is not None:
            return self.kl_weight / self.latent_dim
        return self.kl_weight


@dataclass(frozen=True)
class Implied:
    """The likelihood that a recipe implies beside a KL of weight 1.

    Attributes:
        family: "Gaussian" or "Laplace".
        scale: Its scale parameter in the units of the data: sigma, or Laplace's b.
        sigma: Its standard deviation in the units of the data: sigma, or sqrt(2) b.
        scale_factor: Factor of the summed error: 1/(2 sigma^2), or 1/b.
        beta: The KL weight that a likelihood of scale 1 would need for the same trade-off.
    """

    family: Literal["Gaussian", "Laplace"]
    scale: float
    sigma: float
    scale_factor: float
    beta: float


def from_recipe(
    loss: Loss,
    *,
    reduction: Reduction,
    dims: int,
    kl_weight: float = 1.0,
    kl_reduction: Reduction = "sum",
    latent_dim: int | None = None,
) -> Implied:
    """The likelihood that a recipe implies, its scale in the units of the data.

    Args:
        loss: "mse" or "mae".
        reduction: Reduction of the loss over the dimensions of an example, "sum" or "mean".
        dims: Number of dimensions of one example, 784 for 28 x 28.
        kl_weight: Factor of the KL.
        kl_reduction: Reduction of the KL over the latents, "sum" or "mean".
        latent_dim: Number of latents; needed for `kl_reduction="mean"`.

    Raises:
        ValueError: For "bce", which has no scale, and for weights, counts or words that mean nothing.
    """
    _refuse_bce(loss)
    recipe = Recipe(loss, reduction, kl_weight, dims, kl_reduction, latent_dim)
    remedy = "The weight is too large or too small to mean anything."
    ratio = _checks.positive_float("KL weight over error weight", recipe.summed_kl_weight / recipe.error_weight, remedy)
    if loss == "mae":
        return Implied("Laplace", scale=ratio, sigma=math.sqrt(2) * ratio, scale_factor=1 / ratio, beta=ratio)
    sigma = math.sqrt(ratio / 2)
    return Implied("Gaussian", scale=sigma, sigma=sigma, scale_factor=1 / ratio, beta=ratio / 2)


def to_recipe(
    scale: float,
    *,
    dims: int,
    loss: Loss = "mse",
    reduction: Reduction = "mean",
    kl_reduction: Reduction = "sum",
    latent_dim: int | None = None,
    beta: float = 1.0,
) -> Recipe:
    """The recipe that trains a likelihood of this scale; its `kl_weight` is the number to look for.

    Args:
        scale: Sigma for "mse", Laplace's b for "mae", in the units of the data.
        dims: Number of dimensions of one example.
        loss: "mse" or "mae".
        reduction: Reduction of the loss over the dimensions of an example, "sum" or "mean".
        kl_reduction: Reduction of the KL over the latents, "sum" or "mean".
        latent_dim: Number of latents; needed for `kl_reduction="mean"`.
        beta: Weight of the KL beside the likelihood; 1 is the evidence lower bound.

    Raises:
        ValueError: As `from_recipe` does.
    """
    _refuse_bce(loss)
    scale = _checks.positive_float("scale", scale)
    beta = _checks.positive_float("beta", beta)
    unit = Recipe(loss, reduction, 1.0, dims, kl_reduction, latent_dim)
    ratio = beta * (2 * scale * scale if loss == "mse" else scale)
    weight = ratio * unit.error_weight / unit.summed_kl_weight
    _checks.positive_float("KL weight of that scale", weight, "The scale is too large or too small to mean anything.")
    return Recipe(loss, reduction, weight, dims, kl_reduction, latent_dim)


def explain(**recipe: Any) -> str:
    """A few lines of text on the sigma that a recipe hides and on what to write instead.

    The arguments are those of `from_recipe`.
    """
    implied = from_recipe(**recipe)
    symbol, factor = ("sigma", "1/(2 sigma^2)") if implied.family == "Gaussian" else ("b", "1/b")
    lines = [f"{symbol} = {implied.scale:.3g}   ({implied.family} likelihood, in the units of the data)"]
    if implied.family == "Laplace":
        lines.append(f"standard deviation = sqrt(2) b = {implied.sigma:.3g}")
    unit = {key: value for key, value in recipe.items() if key != "kl_weight"}
    low, high = (to_recipe(residual, **unit).kl_weight for residual in (0.1, 0.3))
    lines += [
        f"{factor} = {implied.scale_factor:.3g} multiplies the summed error beside a KL of weight 1",
        f"beta = {implied.beta:.3g} beside a likelihood of {symbol} = 1",
        f"\nImages in [0, 1] are reconstructed to a residual of 0.1 to 0.3: {_verdict(implied.sigma)}",
        "\nInstead:",
        f"  keep the recipe, with a KL weight from {low:.3g} ({symbol} = 0.1) to {high:.3g} ({symbol} = 0.3), or",
        f'  vae_tf.likelihoods.{implied.family}(event_shape, scale="optimal"), which measures {symbol} as it trains',
    ]
    return "\n".join(lines)


def _verdict(sigma: float) -> str:
    if sigma > 0.3:
        times = f"{sigma / 0.3:.0f} to {sigma / 0.1:.0f} times"
        return f"this sigma is {times} that. The KL weighs too much; latents collapse, images blur."
    if sigma < 0.1:
        times = f"{0.1 / sigma:.0f} to {0.3 / sigma:.0f} times"
        return f"this sigma is {times} below that. The KL hardly counts; samples suffer."
    return "this sigma is of that size."


def _refuse_bce(loss: str) -> None:
    if loss == "bce":
        raise ValueError(
            _checks.problem(
                "loss",
                expected="'mse' or 'mae'",
                received="'bce', a Bernoulli likelihood, which has no scale",
                remedy="Sum the cross-entropy over the dimensions beside a KL of weight 1; nothing else is implied.",
            )
        )
