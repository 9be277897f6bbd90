"""The variational autoencoder, as a Keras model."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf.likelihoods import Likelihood
from vae_tf.objectives import ELBO, Objective, Terms, negative_log_prob
from vae_tf.posteriors import Posterior
from vae_tf.priors import Prior
from vae_tf.training.steps import ELBOModel, seed_pair

__all__ = ["VAE"]

_PARTS = ("encoder", "decoder", "prior", "objective")
_CHUNK = 256
_EXAMPLES = {"posterior": "posteriors.DiagonalNormal(8)", "likelihood": "likelihoods.Gaussian((28, 28, 1))"}


@keras.saving.register_keras_serializable("vae_tf")
class VAE(ELBOModel):
    """p(x, z) = p(z) p(x|z) with the approximate posterior q(z|x), trained on `-log p(x|z) + KL(q || p(z))`.

    `vae(x)` is the distribution p(x|z) for one draw z ~ q(z|x). `fit` takes the images once: `fit(x)`. The logs
    are in nats per example: `loss` (the objective; -ELBO by default), `distortion` (-log p(x|z)), `rate` (the KL) and,
    whatever the objective, the true unweighted `elbo == -distortion - rate`. Where the KL has no closed form
    `rate_num_samples` is logged too: how many draws of z it was estimated from. Regularisers of the networks are
    trained on, and logged as `regularization` beside the loss.

    Training is a function of the seed and the step: noise of the posterior is drawn from (seed, optimizer
    step), the order of arrays given to `fit` from (seed, epoch), and an epoch is a number of optimizer steps.
    Saved, loaded and trained on, a model goes on as if it had never stopped. (Layers that draw numbers of their
    own, such as Dropout, and `keras.optimizers.legacy`, whose state Keras does not save, are beyond that.)

    Args:
        encoder: a Keras model `[B, *E]` -> q(z|x) with one posterior layer, its last.
        decoder: a Keras model `[B, D]` -> p(x|z) with one likelihood layer, its last.
        prior: p(z).
        objective: what is minimised; `ELBO()` by default.
        seed: of the posterior noise and the order of the data, at least 0.
        **kwargs: `name`, as for every Keras model.

    Raises:
        ValueError: for networks that do not end in such layers, or whose latents are not the prior's.

    References:
        Kingma and Welling 2014, eq. 3, arXiv 1312.6114.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior,
        objective: Objective | None = None,
        *,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.prior = prior
        self.objective = ELBO() if objective is None else objective
        self.seed = _checks.seed(seed)
        _ = self.likelihood  # raises here, not in the first step
        self._check_parts()
        if self.posterior.latent_dim != prior.latent_dim:
            raise ValueError(
                _checks.problem(
                    "latent_dim of the prior",
                    expected=f"{self.posterior.latent_dim}, that of the encoder's posterior",
                    received=str(prior.latent_dim),
                    remedy="Give both the same latent_dim.",
                )
            )
        self.prior.attach(encoder, self.posterior)
        state = self.objective.initial_state()
        if any(schedule.unit == "epochs" for schedule in self.objective.schedules().values()):
            state |= {"steps_per_epoch": 1.0, "step_before": 0.0, "epochs_before": 0.0}
        self.objective_state = {
            name: self.add_weight(name, (), initializer=keras.initializers.Constant(value), trainable=False)
            for name, value in state.items()
        }
        self.built = True

    def _check_parts(self) -> None:
        for name, kind in (("prior", Prior), ("objective", Objective)):
            part = getattr(self, name)
            if not isinstance(part, kind):
                remedy = f"Pass one of vae_tf.{kind.__name__.lower()}s."
                expected = f"a vae_tf {kind.__name__}"
                raise TypeError(_checks.problem(name, expected=expected, received=repr(part), remedy=remedy))
        inputs = getattr(self.decoder, "inputs", None) or [None]
        if len(inputs) > 1:
            raise ValueError(
                _checks.problem(
                    "The decoder",
                    expected="a model of one input, z",
                    received=f"{len(inputs)} inputs",
                    remedy="A library size is taken from the data: NegativeBinomial(..., library_size=True).",
                )
            )
        separable = self.posterior.factorises and self.prior.factorises
        if "rate_per_latent" in self.objective.needs and not separable:
            raise ValueError(
                _checks.problem(
                    f"Objective {type(self.objective).__name__}",
                    expected="a posterior and a prior of independent latents, whose KL is a sum over them",
                    received=f"{type(self.posterior).__name__} and {type(self.prior).__name__}",
                    remedy="Use DiagonalNormal and StandardNormal, or another objective.",
                )
            )

    # --- the model -------------------------------------------------------------------------------------

    @property
    def posterior(self) -> Posterior:
        """The encoder's last layer."""
        return _only_layer("encoder", self.encoder, Posterior)

    @property
    def likelihood(self) -> Likelihood:
        """The decoder's last layer."""
        return _only_layer("decoder", self.decoder, Likelihood)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.likelihood.event_shape

    @property
    def latent_dim(self) -> int:
        """Number of latents D."""
        return self.prior.latent_dim

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tfd.Distribution:
        """p(x|z) for one draw z ~ q(z|x): batch shape [B], event shape `E`."""
        p = self.decoder(self.encoder(inputs, training=training).sample(), training=training)
        return self.likelihood.given(p, inputs)

    def terms(self, x: Any, target: Any = None, *, seed: int = 0) -> Terms:
        """Distortion and rate in nats per example, `[B]` each, not averaged.

        Args:
            x: data `[B, *E]`.
            target: data to be scored, `[B, *E]`, where they are not x itself (denoising).
            seed: of the one draw from the posterior.

        Raises:
            ValueError: where the data have another shape than the likelihood.
        """
        x, target, _ = self._inputs((x,) if target is None else (x, target))
        self._check_shape(target)
        q, z, log_q = self._draw(x, seed_pair(seed, 0), training=False)
        p = self.likelihood.given(self.decoder(z[0], training=False), target)
        return self._terms(negative_log_prob(target, p)[None], q, z, log_q)

    def encode(self, x: Any, *, batch_size: int = _CHUNK) -> np.ndarray:
        """The posterior mean E[z|x], `[B, D]`. (`vae.encoder(x)` is the whole posterior.)"""
        return _in_chunks(self.encoder, x, batch_size)

    def decode(self, z: Any, *, batch_size: int = _CHUNK) -> np.ndarray:
        """The mean E[x|z], `[B, *E]`. (`vae.decoder(z)` is the whole likelihood.)"""
        return _in_chunks(self.decoder, z, batch_size)

    def reconstruct(self, x: Any, *, batch_size: int = _CHUNK) -> np.ndarray:
        """E[x|z] at the posterior mean z = E[z|x], `[B, *E]`: nothing is drawn, as in `predict`."""
        return np.concatenate(
            [self.predict_step((x[i : i + batch_size],)).numpy() for i in range(0, len(x), batch_size)]
        )

    def sample(self, num_samples: int, seed: int | None = None, *, observation_noise: bool = True) -> np.ndarray:
        """Draws x ~ p(x|z), z ~ p(z): `[num_samples, *E]`.

        All noise comes from `numpy.random.default_rng(seed)`, prior first, so that the exported decoder
        draws the same images.

        Args:
            num_samples: how many.
            seed: of the draw; None takes a new one.
            observation_noise: False returns the mean E[x|z] of each draw instead of a draw of x.

        Raises:
            ValueError: for a count below 1 or a negative seed.
        """
        num_samples = _checks.positive_int("num_samples", num_samples)
        rng = np.random.default_rng(None if seed is None else _checks.seed(seed))
        z = self.prior.from_noise(self.prior.noise(rng, num_samples))
        if not observation_noise:
            return self.decode(z)
        noise = self.likelihood.noise(rng, num_samples)
        draw = [
            self.likelihood.observe(
                noise[i : i + _CHUNK], self.likelihood.parameters_of(self.decoder(z[i : i + _CHUNK]))
            )
            for i in range(0, num_samples, _CHUNK)
        ]
        return np.concatenate(draw)

    # --- saving ----------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The parts, serialised by Keras."""
        parts = {name: getattr(self, name) for name in _PARTS}
        serialized = {name: keras.saving.serialize_keras_object(part) for name, part in parts.items()}
        return {"name": self.name, "seed": self.seed} | serialized

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> VAE:
        """The model with these parts."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects) for name in _PARTS
        }
        return cls(**config | parts)

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Nothing to do: the parts are built already."""

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the saved model was, and makes the optimizer's slots, for their saved values."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if isinstance(self.optimizer, keras.optimizers.Optimizer):  # those of before Keras 2.11 make their own
            self.optimizer.build(self.trainable_variables)


def _in_chunks(model: Any, inputs: Any, batch_size: int) -> np.ndarray:
    """The mean of the distributions that `model` makes of `inputs`, a part at a time."""
    chunks = [model(inputs[i : i + batch_size]).mean().numpy() for i in range(0, len(inputs), batch_size)]
    return np.concatenate(chunks)


def _only_layer(name: str, model: keras.Model, kind: type) -> Any:
    """The one layer of this kind in `model`."""
    found = [layer for layer in model.submodules if isinstance(layer, kind)]
    if len(found) != 1:
        what = kind.__name__.lower()
        raise ValueError(
            _checks.problem(
                f"The {name}",
                expected=f"a model that ends in one {what} layer",
                received=f"{len(found)} of them among its layers",
                remedy=f"End it in a layer of vae_tf, such as {_EXAMPLES[what]}.",
            )
        )
    return found[0]
