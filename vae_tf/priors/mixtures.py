"""Mixtures as priors: of normals that are trained freely, or of posteriors at pseudo-inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.priors.base import Prior


class _Mixture(Prior):
    """A mixture of C components. Its noise is one uniform number, which picks the component, and D normal ones."""

    def noise(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """Noise `[num_samples, 1 + D]` for `from_noise`: one uniform number, then D standard normal ones."""
        uniform = rng.random((num_samples, 1), dtype=np.float32)
        return np.concatenate([uniform, super().noise(rng, num_samples)], axis=1)

    @staticmethod
    def _pick(uniform: tf.Tensor, probs: tf.Tensor) -> tf.Tensor:
        """The component that each uniform number `[n, 1]` picks, `[n]`, given the probabilities `[C]`."""
        passed = tf.cast(uniform >= tf.cumsum(probs)[:-1], tf.int32)
        return tf.reduce_sum(passed, axis=-1)


@keras.saving.register_keras_serializable("vae_tf")
class MixtureOfNormals(_Mixture):
    """p(z) = sum_c w_c N(z; loc_c, diag(scale_c^2)), with all parameters trained; the KL is estimated from the draws.

    Args:
        latent_dim: Number of latents D.
        components: Number of components C. Their means start as standard normal draws, and their scales at 1.
        min_scale: Floor of the scales, `min_scale + softplus(raw)`.
        **kwargs: Arguments of every Keras layer.

    Raises:
        ValueError: For counts below 1 or a floor that is not positive.
    """

    def __init__(self, latent_dim: int, components: int, *, min_scale: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(latent_dim, **kwargs)
        self.components = _checks.positive_int("components", components)
        self.min_scale = _checks.positive_float("min_scale", min_scale)
        shape = (self.components, self.latent_dim)
        unit = keras.initializers.Constant(float(np.log(np.expm1(1.0))))
        self.logits = self.add_weight("logits", (self.components,), initializer="zeros")
        self.loc = self.add_weight("loc", shape, initializer=keras.initializers.RandomNormal(stddev=1.0))
        self.raw_scale = self.add_weight("raw_scale", shape, initializer=unit)

    @property
    def scale(self) -> tf.Tensor:
        """Standard deviations, `[C, D]`."""
        return self.min_scale + tf.math.softplus(self.raw_scale)

    def distribution(self) -> tfd.Distribution:
        """See Prior.distribution."""
        components = tfd.Independent(tfd.Normal(self.loc, self.scale), 1)
        return tfd.MixtureSameFamily(tfd.Categorical(logits=self.logits), components)

    def from_noise(self, noise: tf.Tensor) -> tf.Tensor:
        """See Prior.from_noise."""
        component = self._pick(noise[:, :1], tf.nn.softmax(self.logits))
        return tf.gather(self.loc, component) + tf.gather(self.scale, component) * noise[:, 1:]

    def get_config(self) -> dict[str, Any]:
        """See Prior.get_config."""
        return super().get_config() | {"components": self.components, "min_scale": self.min_scale}


@keras.saving.register_keras_serializable("vae_tf")
class VampPrior(_Mixture):
    """p(z) = (1/C) sum_c q(z|u_c): the mean of the posteriors at C trained pseudo-inputs u_c.

    The posteriors come from the VAE's own encoder (without dropout, and with the averages of batch normalisation). The
    KL is estimated from the draws.

    Args:
        latent_dim: Number of latents D.
        pseudo_inputs: First values of the pseudo-inputs, `[C, *E]` (C training examples are a good choice), or their
            shape `(C, *E)`, which starts them at draws from N(0.5, 0.1^2).
        **kwargs: Arguments of every Keras layer.

    Raises:
        ValueError: For pseudo-inputs without examples or axes, that are not finite, or that do not have the
            shape of the encoder's input; for a posterior that is not normal.

    References:
        Tomczak and Welling 2018, eq. 9, arXiv 1705.07120.
    """

    def __init__(self, latent_dim: int, pseudo_inputs: np.ndarray | Sequence[int], **kwargs: Any) -> None:
        super().__init__(latent_dim, **kwargs)
        values = np.asarray(pseudo_inputs)
        if values.ndim == 1:
            shape = _checks.shape("pseudo_inputs", tuple(values.tolist()))
            initializer: Any = keras.initializers.RandomNormal(0.5, 0.1)
        else:
            shape = _checks.shape("pseudo_inputs", values.shape)
            initializer = _Values(values)
        if len(shape) < 2 or not (values.ndim == 1 or np.isfinite(values).all()):
            raise ValueError(
                _checks.problem(
                    "pseudo_inputs",
                    expected="finite examples [C, *E], or their shape (C, *E)",
                    received=f"shape {shape}" if len(shape) < 2 else "values that are NaN or infinite",
                    remedy="Pass x_train[:100], say.",
                )
            )
        self.pseudo_inputs = self.add_weight("pseudo_inputs", shape, initializer=initializer)
        self._components: Any = None
        self._posterior: Any = None

    def attach(self, encoder: keras.Model, posterior: Any) -> None:
        """See Prior.attach."""
        expected = tuple(encoder.input_shape[1:]) if encoder.built and hasattr(encoder, "input_shape") else None
        received = tuple(self.pseudo_inputs.shape[1:])
        if expected not in (None, received):
            raise ValueError(
                _checks.problem(
                    "Shape of a pseudo-input of VampPrior",
                    expected=f"{expected}, that of the encoder's input",
                    received=f"{received}",
                    remedy="Pass examples of the training data.",
                )
            )
        if not posterior.is_normal:
            raise ValueError(
                _checks.problem(
                    "Posterior beside VampPrior",
                    expected="a normal one, whose density at any z is cheap",
                    received=type(posterior).__name__,
                    remedy="Use DiagonalNormal or FullCovarianceNormal, or another prior.",
                )
            )
        if self._components is not None and self._posterior() is not posterior:
            raise ValueError(
                _checks.problem(
                    "VampPrior",
                    expected="one VAE, whose encoder it is made of",
                    received="a second one",
                    remedy="Make a new VampPrior for each VAE.",
                )
            )
        self._components = lambda: posterior.parameters_of(encoder(self.pseudo_inputs, training=False))
        self._posterior = lambda: posterior  # a function, so that Keras does not count the encoder's weights twice

    def distribution(self) -> tfd.Distribution:
        """See Prior.distribution."""
        logits = tf.zeros(self.pseudo_inputs.shape[0])
        components = self._posterior().distribution(self._components())
        return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), components)

    def from_noise(self, noise: tf.Tensor) -> tf.Tensor:
        """See Prior.from_noise."""
        count = self.pseudo_inputs.shape[0]
        component = self._pick(noise[:, :1], tf.fill((count,), 1.0 / count))
        parameters = {name: tf.gather(value, component) for name, value in self._components().items()}
        return self._posterior().draw(noise[:, 1:], parameters)[0]

    def get_config(self) -> dict[str, Any]:
        """See Prior.get_config; the pseudo-inputs themselves are weights."""
        return super().get_config() | {"pseudo_inputs": list(self.pseudo_inputs.shape)}


class _Values(keras.initializers.Initializer):
    """An initialiser with given values."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> tf.Tensor:
        return tf.cast(self.values, dtype or tf.float32)
