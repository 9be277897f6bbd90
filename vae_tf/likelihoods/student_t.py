"""Student's t: real-valued data with heavy tails."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from scipy import special
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.likelihoods._location_scale import LocationScale


@keras.saving.register_keras_serializable("vae_tf")
class StudentT(LocationScale):
    """x = mu(z) + sigma * eps, eps Student's t with df degrees of freedom, independently for each of D dimensions.

    `-log p(x|z) = (df + 1)/2 sum(log(1 + ((x - mu) / sigma)^2 / df)) + D (log(sigma) + log B(1/2, df/2) + log(df)/2)`,
    B the beta function. The support is the reals. Use it for data with outliers: the pull of a residual on mu falls
    once it passes sqrt(df) sigma. Not for bounded data without outliers: the tails waste mass. sigma is not the
    standard deviation, which is sigma sqrt(df / (df - 2)), and infinite for df <= 2.

    As df grows it tends to Gaussian(scale=sigma), at a distance of order 1/df.

    Args:
        event_shape: Shape of one example, without the batch axis; a number d is `(d,)`.
        df: Degrees of freedom, a number above 1: at 1, the Cauchy distribution, E[x|z] does not exist. 3 to 10 suit
            data with outliers.
        scale: Choice of sigma, in the units of the data.
            A positive number, "learned", "per_dimension" or "per_pixel": as for Gaussian.
            "optimal" (default): one EM step for each batch, `sigma^2 <- mean((df + 1) r^2 / (df + r^2 / sigma^2))`
            with residuals r, as a running average over batches, from sigma = 1. There is no closed form, but the
            maximum-likelihood value is where these steps come to rest.
        min_scale: Floor of every sigma that is not fixed; see Gaussian.
        learning_rate_multiplier: Factor by which a trained sigma learns faster; see Gaussian.
        decay: Memory of the running average; see Likelihood.
        **kwargs: As for every Keras layer.

    Raises:
        ValueError: For a df that is not above 1, and as for Gaussian.

    References:
        The EM step: Liu and Rubin 1995, "ML Estimation of the t Distribution Using EM and Its Extensions, ECM and
        ECME", Statistica Sinica 5, section 2.
    """

    spread_name = "running_square"
    spread_needs_scale = True

    def __init__(
        self, event_shape: int | tuple[int, ...], df: float, scale: float | str = "optimal", **kwargs: Any
    ) -> None:
        super().__init__(event_shape, scale, **kwargs)
        self.df = _checks.finite_float("df", df)
        if self.df <= 1:
            raise ValueError(
                _checks.problem(
                    "df",
                    expected="a number above 1, where the mean exists",
                    received=repr(df),
                    remedy="Pass df=1.5, say, for the heaviest tails.",
                )
            )

    def spread(self, residual: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        """See LocationScale.spread: the square as an EM step weighs it, whose mean is the next sigma^2."""
        square = tf.square(residual)
        return (self.df + 1) * square / (self.df + square / tf.square(scale))

    def pointwise_log_prob(self, x: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.pointwise_log_prob; in float64, where squares neither overflow nor cancel."""
        x, loc, scale = (tf.cast(value, tf.float64) for value in (x, parameters["mean"], parameters["scale"]))
        log_norm = float(special.betaln(0.5, self.df / 2)) + 0.5 * math.log(self.df)
        log_prob = -0.5 * (self.df + 1) * tf.math.log1p(tf.square((x - loc) / scale) / self.df)
        return tf.cast(log_prob - tf.math.log(scale) - log_norm, self.compute_dtype)

    def standard(self) -> tfd.Distribution:
        """See LocationScale.standard."""
        return tfd.StudentT(tf.constant(self.df, self.compute_dtype), 0.0, 1.0)

    def noise(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """Standard t; see Likelihood.noise."""
        return rng.standard_t(self.df, (num_samples, *self.event_shape)).astype(np.float32)

    def equivalence(self) -> None:
        """See Likelihood.equivalence; None, and the squared error only in the limit of large df."""
        return None

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | {"df": self.df}
