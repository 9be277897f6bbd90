"""StandardNormal: the prior that most VAEs have."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf.priors.base import Prior


@keras.saving.register_keras_serializable("vae_tf")
class StandardNormal(Prior):
    """p(z) = N(0, I). For a normal posterior, KL(q || p) has a closed form."""

    factorises = True

    def distribution(self) -> tfd.Distribution:
        """See Prior.distribution."""
        return tfd.Independent(tfd.Normal(tf.zeros(self.latent_dim), 1.0), 1)

    def closed_form(self, q: tfd.Distribution) -> tf.Tensor | None:
        """See Prior.closed_form; for normal posteriors."""
        for p in (self.distribution(), tfd.MultivariateNormalDiag(tf.zeros(self.latent_dim))):
            try:  # TensorFlow Probability knows the KL of an Independent to the first, of a multivariate to the second
                return tfd.kl_divergence(q, p)
            except NotImplementedError:
                continue
        return None

    def rate_per_latent(self, q: tfd.Distribution) -> tf.Tensor | None:
        """See Prior.rate_per_latent; for normal posteriors."""
        if self.closed_form(q) is None:
            return None
        return tfd.kl_divergence(tfd.Normal(q.mean(), q.stddev()), tfd.Normal(0.0, 1.0))

    def from_noise(self, noise: tf.Tensor) -> tf.Tensor:
        """See Prior.from_noise; the noise itself."""
        return tf.convert_to_tensor(noise)
