"""InverseAutoregressiveFlow: a normal distribution that a network transforms, one latent after another."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.posteriors.normal import NormalBase, standard_log_prob


@keras.saving.register_keras_serializable("vae_tf")
class InverseAutoregressiveFlow(NormalBase):
    """q(z|x): a diagonal normal, then `flows` autoregressive steps `z <- gate * z + (1 - gate) * shift`.

    The gate and the shift of latent i depend on the latents before it and on a context `[B, units]` from the network,
    through one masked hidden layer. The order of the latents is reversed between steps. A draw and its own
    log-probability take one pass; the log-probability of any other z takes D passes for each step. The network puts
    out loc, raw scale and context: 2 D + units numbers.

    E[z|x] has no closed form: `mean()` is a point estimate, the image of the base's mean under the flow. The KL has no
    closed form either, and is estimated from the draws.

    Args:
        latent_dim: Number of latents D.
        flows: Number of steps.
        units: Width of the hidden layer and of the context.
        min_scale: Floor of the standard deviation of the base, the diagonal normal.
        **kwargs: Arguments of every Keras layer.

    Raises:
        ValueError: For counts below 1 or a floor that is not positive.

    References:
        Kingma et al. 2016, algorithm 1, arXiv 1606.04934.
    """

    def __init__(self, latent_dim: int, flows: int = 2, units: int = 64, **kwargs: Any) -> None:
        super().__init__(latent_dim, **kwargs)
        self.flows = _checks.positive_int("flows", flows)
        self.units = _checks.positive_int("units", units)
        dims, width = self.latent_dim, self.units
        order = np.arange(1, dims + 1)
        hidden = np.arange(width) % max(dims - 1, 1) + (dims > 1)  # hidden unit h sees latents up to hidden[h]
        self._mask_in = (order[:, None] <= hidden[None]).astype(np.float32)
        self._mask_out = np.tile(hidden[:, None] < order[None], (1, 2)).astype(np.float32)
        glorot = keras.initializers.GlorotUniform
        self.flow_weights = []
        for step in range(self.flows):
            shapes = {"in": (dims, width), "context": (width, width), "out": (width, 2 * dims)}
            kernels = [self.add_weight(f"flow_{step}/{k}", shape, initializer=glorot()) for k, shape in shapes.items()]
            bias = self.add_weight(f"flow_{step}/bias", (width,), initializer="zeros")
            gates = self.add_weight(f"flow_{step}/gates", (2 * dims,), initializer=_OpenGates(dims))
            self.flow_weights.append([*kernels, bias, gates])

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """See DistributionLayer.parameter_shape."""
        return (2 * self.latent_dim + self.units,)

    def parameters(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """See DistributionLayer.parameters; `loc` and `scale` are the base's."""
        loc, raw, context = tf.split(inputs, [self.latent_dim, self.latent_dim, self.units], axis=-1)
        return {"loc": loc, "scale": self._scale(raw), "context": context}

    def distribution(self, parameters: dict[str, tf.Tensor]) -> tfd.Distribution:
        """See DistributionLayer.distribution."""
        return _Flow(self, parameters)

    def draw(self, noise: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """See Posterior.draw."""
        scale = parameters["scale"]
        z = noise * scale + parameters["loc"]
        log_prob = standard_log_prob(noise) - tf.reduce_sum(tf.math.log(scale), axis=-1)
        for step in range(self.flows):
            log_gate, gate, shift = self._gates(step, z, parameters["context"])
            z = tf.reverse(gate * z + (1 - gate) * shift, axis=[-1])
            log_prob -= tf.reduce_sum(log_gate, axis=-1)
        return z, log_prob

    def log_prob(self, z: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """log q(z|x) in nats at any z `[*K, B, D]`: `[*K, B]`."""
        log_jacobian = tf.zeros(())
        for step in reversed(range(self.flows)):
            after = tf.reverse(z, axis=[-1])

            def invert(i: tf.Tensor, before: tf.Tensor, step: int = step, after: tf.Tensor = after) -> Any:
                _, gate, shift = self._gates(step, before, parameters["context"])
                return i + 1, (after - (1 - gate) * shift) / gate  # after i rounds the first i latents are right

            _, z = tf.while_loop(lambda i, _: i < self.latent_dim, invert, (0, after))
            log_jacobian += tf.reduce_sum(self._gates(step, z, parameters["context"])[0], axis=-1)
        base = tfd.Independent(tfd.Normal(parameters["loc"], parameters["scale"]), 1)
        return base.log_prob(z) - log_jacobian

    def _gates(self, step: int, z: tf.Tensor, context: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """log gate, gate and shift, `[*K, B, D]` each."""
        kernel_in, kernel_context, kernel_out, bias, gates = self.flow_weights[step]
        hidden = tf.tensordot(z, kernel_in * self._mask_in, 1) + tf.matmul(context, kernel_context) + bias
        raw, shift = tf.split(tf.tensordot(tf.nn.elu(hidden), kernel_out * self._mask_out, 1) + gates, 2, axis=-1)
        return -tf.math.softplus(-raw), tf.sigmoid(raw), shift

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | {"flows": self.flows, "units": self.units}


class _OpenGates(keras.initializers.Initializer):
    """Initial biases that make a step start near the identity: gate logits 2, shifts 0."""

    def __init__(self, dims: int) -> None:
        self.dims = dims

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> tf.Tensor:
        return tf.concat([tf.fill((self.dims,), 2.0), tf.zeros(self.dims)], axis=0)


class _Flow(tfd.Distribution):
    """The distribution that an InverseAutoregressiveFlow returns: batch shape [B], event shape [D]."""

    def __init__(self, layer: InverseAutoregressiveFlow, parameters: dict[str, tf.Tensor]) -> None:
        self.layer = layer
        self.layer_parameters = parameters
        super().__init__(tf.float32, tfd.FULLY_REPARAMETERIZED, validate_args=False, allow_nan_stats=False)

    def _batch_shape(self) -> tf.TensorShape:
        return self.layer_parameters["loc"].shape[:-1]

    def _batch_shape_tensor(self, **kwargs: Any) -> tf.Tensor:
        return tf.shape(self.layer_parameters["loc"])[:-1]

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self.layer.latent_dim])

    def _event_shape_tensor(self, **kwargs: Any) -> tf.Tensor:
        return tf.constant([self.layer.latent_dim])

    def _sample_n(self, n: Any, seed: Any = None, **kwargs: Any) -> tf.Tensor:
        loc = self.layer_parameters["loc"]
        noise = tfd.Normal(tf.zeros_like(loc), 1.0).sample(n, seed=seed)
        return self.layer.draw(noise, self.layer_parameters)[0]

    def _log_prob(self, z: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        return self.layer.log_prob(z, self.layer_parameters)

    def _mean(self, **kwargs: Any) -> tf.Tensor:
        return self.layer.draw(tf.zeros_like(self.layer_parameters["loc"]), self.layer_parameters)[0]
