"""Negative binomial: counts whose variance is above their mean, such as those of genes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf._means import mean_of_all
from vae_tf.likelihoods._counts import Counts, positive, raw_of

_BEND = math.log(1e6)
_MIN_MEAN = 1e-6
_SPREAD = 1e-6
DISPERSIONS = ("per_dimension", "network")


@keras.saving.register_keras_serializable("vae_tf")
class NegativeBinomial(Counts):
    """x is a count with mean mu(z) and variance mu + alpha mu^2, independently for each of the D dimensions.

    A Poisson count whose rate is a Gamma variable of mean mu and variance alpha mu^2. With r = 1 / alpha
    `-log p(x|z) = -sum(log Gamma(x + r) - log Gamma(r) - log x! + x log(alpha mu) - (x + r) log(1 + alpha mu))`,
    in float64. alpha is the dispersion; r is TFP's `total_count`, and `theta`, the inverse dispersion, of scVI.
    alpha -> 0 is Poisson. Support: whole numbers from 0; -inf elsewhere.

    mu is Poisson's map of one network output per dimension: exp, with a floor of 1e-6 and a tangent beyond 1e6.

    With `library_size=True`, for counts whose total says how much was measured rather than what, as the reads of
    a cell, `mu = library * share` instead: share is the softmax of the network's outputs over all dimensions, of
    which a millionth is spread evenly, so that no share is 0. The layer takes `[raw, library]`, library `[B]` or
    `[B, 1]` (in models of your own; the decoder of a VAE sees z alone), or raw alone: then library is
    `running_library`, a running mean of the training totals (1 at first).
    In a VAE the library of an example is its own total, scVI's observed library size: `given` makes of p(x|z) the
    p(x|z, library = sum(x)), and that is what is trained and reported. It is a plug-in score and no mass (`measure` is
    "score"): for one library it sums to 1 over x, but each x is scored at another, its own, and over all x the sum is
    above 1. It compares models with a library size on the same data, and nothing else: a Poisson beside it is at a
    disadvantage, and it has no bits per dimension.

    Use it for counts that vary more than Poisson's; with alpha known to be 0, use Poisson.

    Args:
        event_shape: Shape of one example, without the batch axis; a number d is `(d,)`.
        library_size: Whether the mean is a library size times a share.
        dispersion: Choice of alpha.
            "per_dimension" (default): a trained number for each dimension, from 1.
            "network": the network puts out alpha as well, twice the channels.
            A positive number: fixed.
        min_dispersion: Floor of a trained alpha, `min_dispersion + exp(raw)`, linear in raw beyond raw = 0:
            at 1e-6 the variance of a mean of 10,000 is 1 % above Poisson's.
        decay: Memory of the running average; see Likelihood.
        **kwargs: As for every Keras layer.

    Raises:
        ValueError: For a dispersion that is neither a positive number nor one of the two words, or a library
            of another shape; when negative or fractional numbers are given to `fit`.

    References:
        Lopez et al. 2018, "Deep generative modeling for single-cell transcriptomics", Nature Methods 15,
        arXiv 1709.02082.
    """

    drawn_from = ("mean", "dispersion")

    def __init__(
        self,
        event_shape: int | tuple[int, ...],
        *,
        library_size: bool = False,
        dispersion: float | str = "per_dimension",
        min_dispersion: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        super().__init__(event_shape, **kwargs)
        self.library_size = bool(library_size)
        self.min_dispersion = _checks.positive_float("min_dispersion", min_dispersion)
        self.dispersion_mode = dispersion = _checks.positive_float_or_word(
            "dispersion",
            dispersion,
            DISPERSIONS,
            remedies=('Pass alpha > 0, or "per_dimension".', "dispersion='per_dimension' suits most data."),
        )
        if dispersion == "per_dimension":
            self.raw_dispersion = self.add_weight("raw_dispersion", self.event_shape, initializer="zeros")
        if self.library_size:
            self.measure, self.support = "score", "counts, each example scored at its own total"
            self.running_library = self.statistic("running_library", 1.0)

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """See DistributionLayer.parameter_shape."""
        *outer, last = self.event_shape
        return (*outer, 2 * last if self.dispersion_mode == "network" else last)

    def build(self, input_shape: Any) -> None:
        """See DistributionLayer.build; of `[raw, library]` it looks at raw."""
        super().build(input_shape[0] if _is_pair(input_shape) else input_shape)

    def _make_distribution(self, inputs: Any) -> tfd.Distribution:
        if not isinstance(inputs, list | tuple):
            return super()._make_distribution(inputs)
        raw, library = inputs
        return self.at_library_size(super()._make_distribution(raw), library)

    def parameters(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """See DistributionLayer.parameters."""
        raw, dispersion = inputs, self.dispersion_mode
        if dispersion == "network":
            raw, raw_dispersion = tf.split(inputs, 2, axis=-1)
            dispersion = self.min_dispersion + positive(raw_dispersion, 0.0)
        elif dispersion == "per_dimension":
            dispersion = self.min_dispersion + positive(self.raw_dispersion, 0.0)
        mean = self.running_library * self._share(raw) if self.library_size else _MIN_MEAN + positive(raw, _BEND)
        return {"mean": mean, "dispersion": tf.cast(dispersion, mean.dtype)}

    def outputs_at(self, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See Likelihood.outputs_at; the logarithms of the means (shares, by a softmax), and dispersions of 1."""
        outputs, steps = super().outputs_at(mean, std)
        outputs[..., : self.event_shape[-1]] = raw_of(mean, _BEND)
        return outputs, steps

    def start_at(self, mean: np.ndarray, std: np.ndarray) -> None:
        """See Likelihood.start_at; the library size is the mean total, until the first batch replaces it."""
        if self.library_size:
            self.running_library.assign(np.sum(mean))

    def _share(self, raw: tf.Tensor) -> tf.Tensor:
        share = tf.nn.softmax(tf.reshape(raw, (-1, self.dims)))
        return tf.reshape((1 - _SPREAD) * share + _SPREAD / self.dims, (-1, *self.event_shape))

    def at_library_size(self, p: tfd.Distribution, library: tf.Tensor) -> tfd.Distribution:
        """p(x|z) with the means of each example scaled to the sum `library`, `[B]` or `[B, 1]`.

        Raises:
            ValueError: For a library of another shape, or a layer without `library_size=True`.
        """
        library = tf.cast(library, self.compute_dtype)
        if not self.library_size or library.shape[1:] not in ((), (1,)):
            raise ValueError(
                _checks.problem(
                    f"Library size of NegativeBinomial '{self.name}'",
                    expected="shape [B] or [B, 1], and a layer with library_size=True",
                    received=f"shape {library.shape.as_list()} and library_size={self.library_size}",
                    remedy="Pass one positive number per example to a layer made with library_size=True.",
                )
            )
        parameters = self.parameters_of(p)
        axes = tuple(range(1, len(self.event_shape) + 1))
        library = tf.reshape(library, (-1, *(1 for _ in axes)))
        share = parameters["mean"] / tf.reduce_sum(parameters["mean"], axis=axes, keepdims=True)
        return self.distribution(parameters | {"mean": library * share})

    def given(self, p: tfd.Distribution, x: tf.Tensor) -> tfd.Distribution:
        """p(x|z, library = sum(x)) where the layer has a library size, else p itself; see Likelihood.given."""
        return self.at_library_size(p, self._total(x)) if self.library_size else p

    def _total(self, x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.cast(x, self.compute_dtype), axis=tuple(range(1, len(self.event_shape) + 1)))

    def refit(
        self, p: tfd.Distribution, x: tf.Tensor, residual: tf.Tensor, weight: tf.Tensor | None
    ) -> tfd.Distribution:
        """See Likelihood.refit."""
        if self.library_size:
            library = mean_of_all(self._total(x), weight, self.running_library)
            self.running_library.assign_add(self.step_towards(library, self.running_library))
        return super().refit(p, x, residual, weight)

    def log_mass(self, x: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Counts.log_mass; the Gammas are one Beta, which does not cancel where alpha is small."""
        scaled, count = parameters["dispersion"] * parameters["mean"], 1 / parameters["dispersion"]
        log_choices = -tf.math.log(x + count) - tfp.math.lbeta(count, x + 1.0)
        return log_choices + tf.math.xlogy(x, scaled) - (x + count) * tf.math.log1p(scaled)

    @staticmethod
    def draw_counts(rng: np.random.Generator, *parameters: np.ndarray) -> np.ndarray:
        """See Counts.draw_counts."""
        mean, dispersion = parameters
        return rng.poisson(rng.gamma(1 / dispersion, dispersion * mean))

    def draw(self, num_samples: tf.Tensor, seed: Any, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.draw."""
        seeds = tfp.random.split_seed(seed)
        mean = tf.cast(parameters["mean"], tf.float64)
        count = 1 / tf.cast(parameters["dispersion"], tf.float64) * tf.ones_like(mean)
        rate = mean * tfd.Gamma(count, count).sample(num_samples, seed=seeds[0])
        return tf.cast(tfd.Poisson(rate).sample(seed=seeds[1]), parameters["mean"].dtype)

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | {
            "library_size": self.library_size,
            "dispersion": self.dispersion_mode,
            "min_dispersion": self.min_dispersion,
        }


def _is_pair(shapes: Any) -> bool:
    """Whether these are the shapes of two inputs rather than one shape."""
    return isinstance(shapes, list | tuple) and isinstance(shapes[0], list | tuple | tf.TensorShape)
