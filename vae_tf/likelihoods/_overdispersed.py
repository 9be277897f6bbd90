"""Dispersion, library size and mass, which NegativeBinomial and ZeroInflatedNegativeBinomial share."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf._means import mean_of_all
from vae_tf.likelihoods._counts import Counts, positive, raw_of

_BEND = math.log(1e6)
_MIN_MEAN = 1e-6
_SPREAD = 1e-6
DISPERSIONS = ("per_dimension", "network")
OF_SCVI = {"gene": "per_dimension", "gene-cell": "network"}
"""The words of scvi-tools for the choices of the dispersion."""


class Overdispersed(Counts):
    """A likelihood of counts made of a negative binomial; see NegativeBinomial for the arguments.

    `drawn_from` begins with the mean of the negative binomial and its dispersion, and the network puts out the
    numbers in this order, each for all channels; a dispersion that is no output of the network is left out.
    """

    drawn_from: ClassVar[tuple[str, ...]]

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
        self.dispersion_mode = _checks.positive_float_or_word(
            "dispersion",
            OF_SCVI.get(dispersion, dispersion) if isinstance(dispersion, str) else dispersion,
            DISPERSIONS,
            remedies=('Pass alpha > 0, or "per_dimension".', "dispersion='per_dimension' suits most data."),
        )
        if self.dispersion_mode == "per_dimension":
            self.raw_dispersion = self.add_weight("raw_dispersion", self.event_shape, initializer="zeros")
        if self.library_size:
            self.measure, self.support = "score", "counts, each example scored at its own total"
            self.running_library = self.statistic("running_library", 1.0)

    @property
    def _outputs(self) -> int:
        """Numbers that the network puts out for a dimension."""
        return len(self.drawn_from) - (self.dispersion_mode != "network")

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """See DistributionLayer.parameter_shape."""
        *outer, last = self.event_shape
        return (*outer, self._outputs * last)

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
        raw, *others = [inputs] if self._outputs == 1 else tf.split(inputs, self._outputs, axis=-1)
        dispersion = self.dispersion_mode
        if dispersion == "network":
            raw_dispersion, *others = others
            dispersion = self.min_dispersion + positive(raw_dispersion, 0.0)
        elif dispersion == "per_dimension":
            dispersion = self.min_dispersion + positive(self.raw_dispersion, 0.0)
        mean = self.running_library * self._share(raw) if self.library_size else _MIN_MEAN + positive(raw, _BEND)
        return dict(zip(self.drawn_from, (mean, tf.cast(dispersion, mean.dtype), *others), strict=True))

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
        """p(x|z) with the means mu of each example scaled to the sum `library`, `[B]` or `[B, 1]`.

        Raises:
            ValueError: For a library of another shape, or a layer without `library_size=True`.
        """
        library = tf.cast(library, self.compute_dtype)
        if not self.library_size or library.shape[1:] not in ((), (1,)):
            raise ValueError(
                _checks.problem(
                    f"Library size of {type(self).__name__} '{self.name}'",
                    expected="shape [B] or [B, 1], and a layer with library_size=True",
                    received=f"shape {library.shape.as_list()} and library_size={self.library_size}",
                    remedy="Pass one positive number per example to a layer made with library_size=True.",
                )
            )
        parameters = self.parameters_of(p)
        axes = tuple(range(1, len(self.event_shape) + 1))
        library = tf.reshape(library, (-1, *(1 for _ in axes)))
        mean = parameters[self.drawn_from[0]]
        share = mean / tf.reduce_sum(mean, axis=axes, keepdims=True)
        return self.from_parameters(parameters | {self.drawn_from[0]: library * share})

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

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | {
            "library_size": self.library_size,
            "dispersion": self.dispersion_mode,
            "min_dispersion": self.min_dispersion,
        }


def log_negative_binomial(x: tf.Tensor, mean: tf.Tensor, dispersion: tf.Tensor) -> tf.Tensor:
    """log of the negative binomial mass, in float64; the Gammas are one Beta, which does not cancel at small alpha."""
    scaled, count = dispersion * mean, 1 / dispersion
    log_choices = -tf.math.log(x + count) - tfp.math.lbeta(count, x + 1.0)
    return log_choices + tf.math.xlogy(x, scaled) - (x + count) * tf.math.log1p(scaled)


def draw_negative_binomial(rng: np.random.Generator, mean: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    """Counts by numpy: Poisson's, of a rate that is a Gamma variable."""
    return rng.poisson(rng.gamma(1 / dispersion, dispersion * mean))


def sample_negative_binomial(num_samples: tf.Tensor, seed: Any, mean: tf.Tensor, dispersion: tf.Tensor) -> tf.Tensor:
    """Counts by TensorFlow, `[num_samples, B, *E]`; see draw_negative_binomial."""
    seeds = tfp.random.split_seed(seed)
    wide = tf.cast(mean, tf.float64)
    count = 1 / tf.cast(dispersion, tf.float64) * tf.ones_like(wide)
    rate = wide * tfd.Gamma(count, count).sample(num_samples, seed=seeds[0])
    return tf.cast(tfd.Poisson(rate).sample(seed=seeds[1]), mean.dtype)


def _is_pair(shapes: Any) -> bool:
    """Whether these are the shapes of two inputs rather than one shape."""
    return isinstance(shapes, list | tuple) and isinstance(shapes[0], list | tuple | tf.TensorShape)
