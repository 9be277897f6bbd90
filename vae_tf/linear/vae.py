"""The linear VAE, for which log p(x), the ELBO and every optimum are known in closed form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tf_keras as keras

from vae_tf import _checks
from vae_tf.data.streams import whole
from vae_tf.likelihoods import Gaussian
from vae_tf.linear import _covariance_fit
from vae_tf.linear._centred_dense import CentredDense
from vae_tf.objectives import ELBO, Objective
from vae_tf.posteriors import DiagonalNormal
from vae_tf.ppca import LinearGaussian
from vae_tf.ppca.arrays import as_mean, as_rows, check_covariance
from vae_tf.priors import StandardNormal
from vae_tf.vae import VAE

__all__ = ["LinearVAE"]

_SCALES = ("learned", "optimal")


@keras.saving.register_keras_serializable("vae_tf")
class LinearVAE(VAE):
    """A VAE of linear layers: x = W z + mean + sigma eps, z ~ N(0, I), with q(z|x) = N(V (x - mean), diag(d)).

    Encoder and decoder share the mean; the variances d of the posterior do not depend on x. A LinearVAE can do all
    that a VAE can do, with the same distribution layers. Besides, three values that other VAEs only estimate are exact
    here, computed in float64 from the present weights: `log_prob`, `elbo` and `gap`. The model can also be trained on
    the covariance of the data alone (`fit_covariance`).

    The greatest ELBO over all weights equals the greatest log-likelihood of pPCA (`vae_tf.ppca.PPCA`): at the same
    sigma where sigma is fixed, and over sigma as well where it is trained. There are no other local maxima. At the
    maximum the columns of W are the principal axes of the data; the columns whose eigenvalues are below sigma^2 are
    zero, and their latents collapse.

    Args:
        latent_dim: Number of latents D, below the number d of dimensions of x.
        event_shape: Shape of one example E.
        scale: Sigma, as for `likelihoods.Gaussian`: a positive number, "learned" or "optimal".
        objective: The objective that training minimises; `ELBO()` by default.
        min_scale: Floor of a sigma that is not fixed.
        seed: Seed of the posterior noise and of the order of the data. (The first weights depend on Keras' global
            seed, `keras.utils.set_random_seed`.)
        **kwargs: `name`, as of every Keras model.

    Raises:
        ValueError: For a latent_dim that is not below d, or a scale of another kind.

    References:
        Lucas, Tucker, Grosse, Norouzi 2019, "Don't Blame the ELBO! A Linear VAE Perspective on Posterior Collapse",
        theorem 1, arXiv 1911.02469.
    """

    def __init__(
        self,
        latent_dim: int,
        event_shape: int | tuple[int, ...],
        *,
        scale: float | str = "optimal",
        objective: Objective | None = None,
        min_scale: float = 1e-3,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        shape = _checks.shape("event_shape", event_shape)
        dims = math.prod(shape)
        if _checks.positive_int("latent_dim", latent_dim) >= dims:
            remedy = "With as many latents as dimensions nothing is left for sigma."
            expected = f"fewer than the {dims} dimensions of event_shape {shape}"
            raise ValueError(_checks.problem("latent_dim", expected=expected, received=latent_dim, remedy=remedy))
        remedies = "Pass sigma > 0 in the data's units, or scale='optimal'.", "A linear VAE has one sigma."
        scale = _checks.positive_float_or_word("scale", scale, _SCALES, remedies=remedies)
        decoder = keras.Sequential(
            [
                keras.layers.InputLayer((latent_dim,), name="z"),
                keras.layers.Dense(dims, name="loadings", dtype="float32"),
                Gaussian(shape, scale=scale, min_scale=min_scale),
            ],
            name="decoder",
        )
        encoding = CentredDense(latent_dim, mean=decoder.layers[0].bias, name="encoding")
        encoder = keras.Sequential(
            [keras.layers.InputLayer(shape, name="x"), encoding, DiagonalNormal(latent_dim)], name="encoder"
        )
        super().__init__(encoder, decoder, StandardNormal(latent_dim), objective, seed=seed, **kwargs)

    @property
    def linear_gaussian(self) -> LinearGaussian:
        """The generative model at the present weights, in float64: W, mean and sigma^2."""
        kernel, mean = (weight.numpy().astype(np.float64) for weight in self.decoder.layers[0].weights)
        return LinearGaussian(kernel.T, mean, float(self.likelihood.scale) ** 2)

    @property
    def linear_encoder(self) -> tuple[np.ndarray, np.ndarray]:
        """The encoder at the present weights, in float64: V `[D, d]` and the posterior's variances `[D]`."""
        layer = self.encoder.layers[0]
        scale = self.posterior.min_scale + np.logaddexp(0.0, layer.raw_scale.numpy().astype(np.float64))
        return layer.kernel.numpy().astype(np.float64).T, scale**2

    # --- exact values ----------------------------------------------------------------------------------

    def log_prob(self, x: Any) -> np.ndarray:
        """log p(x) in nats, exact, `[n]`, not averaged, for data `[n, *E]`.

        Raises:
            ValueError: For data of another shape.
        """
        return self.linear_gaussian.log_prob(self._flat(x))

    def elbo(self, x: Any) -> np.ndarray:
        """The ELBO in nats, exact (no draw of z), `[n]`, not averaged, for data `[n, *E]`.

        Raises:
            ValueError: For data of another shape.
        """
        return self.linear_gaussian.elbo(self._flat(x), *self.linear_encoder)

    def elbo_from_covariance(self, covariance: np.ndarray, mean: np.ndarray) -> float:
        """The ELBO averaged over data, exact, in nats per example, computed from their covariance and mean alone.

        Args:
            covariance: S of the flattened data, `[d, d]`, n in the denominator.
            mean: Mean of the flattened data, `[d]`.

        Raises:
            ValueError: If the arrays are not the covariance and mean of data of this shape.
        """
        covariance, mean = self._check_moments(covariance, mean)
        return self.linear_gaussian.expected_elbo(covariance, *self.linear_encoder, mean)

    def gap(self, x: Any = None) -> np.ndarray | float:
        """log p(x) - ELBO in nats, in closed form.

        Args:
            x: Data `[n, *E]`, for the gap of the present encoder for each example, `[n]`. None asks for the gap of the
                optimal encoder, 1/2 (sum_i log M_ii - log|M|), which is one number for every x. It is 0 where W^T W
                is diagonal.

        Raises:
            ValueError: For data of another shape.
        """
        if x is None:
            return self.linear_gaussian.gap()
        return self.linear_gaussian.encoder_gap(self._flat(x), *self.linear_encoder)

    def optimal_encoder(self, *, assign: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The encoder of the highest ELBO for the present decoder: V = M^-1 W^T `[D, d]`, d = sigma^2 / diag(M) `[D]`.

        Args:
            assign: Whether to set the model's encoder to it.
        """
        weights, variance = self.linear_gaussian.optimal_encoder()
        if assign:
            layer = self.encoder.layers[0]
            layer.kernel.assign(weights.T)
            softplus = np.maximum(np.sqrt(variance) - self.posterior.min_scale, np.finfo(np.float32).tiny)
            layer.raw_scale.assign(softplus + np.log(-np.expm1(-softplus)))
        return weights, variance

    def principal_axes(self) -> np.ndarray:
        """The columns of W as rows `[D, d]`, the longest first, each scaled to unit length; a column of 0 stays 0.

        At the optimum they are the principal axes of the data. The ELBO identifies these axes; log p(x) does not.
        """
        columns = self.linear_gaussian.loadings.T
        length = np.linalg.norm(columns, axis=1, keepdims=True)
        return (columns / np.where(length > 0, length, 1.0))[np.argsort(-length[:, 0], kind="stable")]

    def _flat(self, x: Any) -> np.ndarray:
        x = whole(x, "data")
        self.adapter.check_shape(x.shape)
        return as_rows(x)[0]

    # --- training on the covariance --------------------------------------------------------------------

    def fit_covariance(
        self,
        covariance: np.ndarray,
        mean: np.ndarray,
        n: int,
        steps: int,
        *,
        train_encoder: bool = False,
        steps_per_epoch: int = 100,
        callbacks: Any = None,
    ) -> keras.callbacks.History:
        """Trains on the ELBO of n examples, of which it needs only the covariance: no draws, no batches.

        A step costs O(d^2 D), whatever n is. In each step the encoder is the optimal one for the present decoder, and
        the optimizer moves the decoder and a "learned" sigma; an "optimal" sigma^2 is set to its optimum. After each
        epoch the latents are turned so that W^T W is diagonal, which is best for the ELBO and leaves log p(x) as it
        is. The model's mean is set to the mean of the data, which is its optimum whatever the other weights are.

        The logs of an epoch, in nats per example, are the `loss` of its last step, and the distortion, rate and `elbo`
        at its end, exact in float64. The steps are taken in float32, which resolves a sigma^2 down to about 1e-6 of
        the mean variance of a dimension.

        Args:
            covariance: S of the flattened data, `[d, d]`, n in the denominator.
            mean: Mean of the flattened data, `[d]`.
            n: Number of examples. It serves for a check only: where n <= latent_dim, nothing is left for sigma.
            steps: Number of optimizer steps.
            train_encoder: Whether the optimizer moves the encoder, too, as `fit` does. The latents are then not
                turned. It takes many more steps until the columns of W are the principal axes, but every objective
                that draws no z can be used.
            steps_per_epoch: Number of steps between two entries of the history and two calls of the callbacks.
            callbacks: Keras callbacks, as for `fit`. Their methods for single batches are not called.

        Raises:
            TypeError: If the arrays are not real numbers.
            ValueError: For arrays that are no covariance and mean, an n that is not above latent_dim, or fewer than 1
                step; for an objective that needs draws of z, or one other than `ELBO()` without train_encoder; if the
                weights to be trained are frozen; and if training diverges.
            RuntimeError: If the model has not been compiled.
        """
        moment, mean = self._check_moments(covariance, mean)
        steps = _checks.positive_int("steps", steps)
        steps_per_epoch = _checks.positive_int("steps_per_epoch", steps_per_epoch)
        if _checks.positive_int("n", n) <= self.latent_dim:
            expected, remedy = f"more than latent_dim = {self.latent_dim}", "Lower latent_dim, or take more examples."
            raise ValueError(_checks.problem("n", expected=expected, received=n, remedy=remedy))
        is_elbo = isinstance(self.objective, ELBO) and self.objective.kl_weight == 1
        if "log_weights" in self.objective.needs or not (is_elbo or train_encoder):
            expected = "one of distortion and rate" if train_encoder else "ELBO(), for which the best encoder is known"
            received = f"{type(self.objective).__name__} of {self.objective.get_config()}"
            remedy = "Use fit, which draws z." if train_encoder else "Pass train_encoder=True, or use fit."
            raise ValueError(_checks.problem("objective", expected=expected, received=received, remedy=remedy))
        self._assert_compile_was_called()
        options = {"train_encoder": train_encoder, "steps_per_epoch": steps_per_epoch, "callbacks": callbacks}
        return _covariance_fit.fit(self, moment, mean, steps, **options)

    def _check_moments(self, covariance: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        covariance, dims = check_covariance(covariance), self.likelihood.dims
        if len(covariance) != dims:
            expected, remedy = f"shape ({dims}, {dims})", "Pass that of x.reshape(len(x), -1)."
            raise ValueError(
                _checks.problem("covariance", expected=expected, received=f"shape {covariance.shape}", remedy=remedy)
            )
        return covariance, as_mean(mean, dims)[0]

    # --- saving ----------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Plain JSON: the arguments of the constructor."""
        return {
            "name": self.name,
            "latent_dim": self.latent_dim,
            "event_shape": list(self.event_shape),
            "scale": self.likelihood.get_config()["scale"],
            "objective": keras.saving.serialize_keras_object(self.objective),
            "min_scale": self.likelihood.min_scale,
            "frozen": [part.name for part in (self.encoder, self.decoder) if not part.trainable],
            "seed": self.seed,
        } | self.columns_config()

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> LinearVAE:
        """The model with these constructor arguments."""
        objective = keras.saving.deserialize_keras_object(config["objective"], custom_objects=custom_objects)
        arguments = config | {"objective": objective}
        frozen, columns = arguments.pop("frozen"), arguments.pop("columns", None)
        vae = cls(**arguments)
        vae.remember_columns(columns)
        for name in frozen:
            getattr(vae, name).trainable = False
        return vae
