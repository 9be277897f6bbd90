"""The variational autoencoder, as a Keras model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_probability import distributions as tfd

from vae_tf import _checks
from vae_tf._layers import check_of_inputs
from vae_tf.bound import bound, draw_weights, repeated
from vae_tf.data.adapter import Adapter, Table, latents
from vae_tf.data.tables import no_examples
from vae_tf.likelihoods import Likelihood
from vae_tf.objectives import ELBO, Objective, Terms
from vae_tf.posteriors import Posterior
from vae_tf.priors import Prior
from vae_tf.storage import StoredModel, new_clock
from vae_tf.training.finite import check_outputs
from vae_tf.training.steps import TrainedModel, seed_pair

__all__ = ["VAE"]

_PARTS = ("encoder", "decoder", "prior", "objective")
_CHUNK = 256
_EXAMPLES = {"posterior": "posteriors.DiagonalNormal(8)", "likelihood": "likelihoods.Gaussian((28, 28, 1))"}


@keras.saving.register_keras_serializable("vae_tf")
class VAE(StoredModel, TrainedModel):
    """p(x, z) = p(z) p(x|z) with the approximate posterior q(z|x), trained on `-log p(x|z) + KL(q || p(z))`.

    `vae(x)` is the distribution p(x|z) for one draw z ~ q(z|x). `fit` takes the images once: `fit(x)`. The logs
    are in nats per example: `loss` (the objective; -ELBO by default), `distortion` (-log p(x|z)), `rate` (the KL) and,
    whatever the objective, the true unweighted `elbo == -distortion - rate`. Where the KL has no closed form
    `rate_num_samples` is logged too: how many draws of z it was estimated from. Regularisers of the networks are
    trained on, and logged as `regularization` beside the loss.

    Training is a function of the seed and of the model's own count of steps, `steps_done`, which goes on when the
    model is compiled anew: the noise of the posterior is drawn from (seed, step), the order of arrays given to `fit`
    from (seed, epoch), and an epoch is a number of steps. Saved, loaded and trained on, a model goes on as if it had
    never stopped. (Layers that draw numbers of their own, such as Dropout, and `keras.optimizers.legacy`, whose state
    Keras does not save, are beyond that.)

    Args:
        encoder: Keras model `[B, *E]` -> q(z|x) with one posterior layer, its last.
        decoder: Keras model `[B, D]` -> p(x|z) with one likelihood layer, its last.
        prior: Prior p(z).
        objective: Objective that is minimised; `ELBO()` by default.
        seed: Seed of the posterior noise and of the order of the data, at least 0.
        **kwargs: `name`, as for every Keras model.

    Raises:
        ValueError: For networks of several inputs, or that do not end in such layers, or whose latents are not the
            prior's.

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
        self.objective_state = {
            name: self.add_weight(name, (), initializer=keras.initializers.Constant(value), trainable=False)
            for name, value in self.objective.initial_state().items()
        }
        self.clock = new_clock()
        self.built = True

    def _check_parts(self) -> None:
        for name, kind in (("prior", Prior), ("objective", Objective)):
            part = getattr(self, name)
            if not isinstance(part, kind):
                example = "priors.StandardNormal(8)" if kind is Prior else "objectives.ELBO()"
                remedy = f"Pass one, made by its class: vae_tf.{example}."
                expected = f"a vae_tf {kind.__name__}"
                raise TypeError(_checks.problem(name, expected=expected, received=repr(part), remedy=remedy))
        remedies = {
            "encoder": "Concatenate what belongs to an example into one input; labels cannot be given beside it.",
            "decoder": "A library size is taken from the data: NegativeBinomial(..., library_size=True).",
        }
        for name, remedy in remedies.items():
            inputs = getattr(getattr(self, name), "inputs", None) or [None]
            if len(inputs) > 1:
                expected = f"a model of one input, {'x' if name == 'encoder' else 'z'}"
                received = f"{len(inputs)} inputs"
                raise ValueError(_checks.problem(f"The {name}", expected=expected, received=received, remedy=remedy))
        width = self.posterior.latent_dim
        shape = tuple(self.decoder.input_shape) if getattr(self.decoder, "inputs", None) else (None, width)
        if not tf.TensorShape(shape).is_compatible_with((None, width)):
            expected = f"inputs [B, {width}], the latents of the encoder's posterior"
            received, remedy = f"shape {list(shape)}", "Give encoder, decoder and prior the same latent_dim."
            raise ValueError(_checks.problem("The decoder", expected=expected, received=received, remedy=remedy))
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

    @property
    def adapter(self) -> Adapter:
        """The door for this model's data: every container goes through it."""
        known = getattr(self.encoder, "inputs", None)
        shape = tuple(self.encoder.input_shape[1:]) if known else None
        check_inputs = check_of_inputs(self.encoder)
        return Adapter(self.event_shape, shape, self.likelihood.check_data, self.columns, check_inputs)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tfd.Distribution:
        """p(x|z) for one draw z ~ q(z|x): batch shape [B], event shape `E`."""
        p = self.decoder(self.encoder(inputs, training=training).sample(), training=training)
        return self.likelihood.given(p, inputs)

    def terms(self, x: Any, target: Any = None, *, seed: int = 0) -> Terms:
        """Distortion and rate in nats per example, `[B]` each, not averaged, from one draw of z.

        Args:
            x: Data `[B, *E]`.
            target: Data to be scored, `[B, *E]`, where they are not x itself (denoising).
            seed: Seed of the draw from the posterior.

        Raises:
            TypeError: For data that are no numbers.
            ValueError: For data of another shape than the likelihood's, or to which it gives no density.
        """
        x, target, _ = self._inputs(self.adapter.rows(x, target).batch(slice(None)))
        noise = tfd.Normal(tf.zeros((len(x), self.latent_dim)), 1.0).sample(1, seed=seed_pair(seed, 0))
        return bound(self, x, noise, target=target)[0]

    def encode(self, x: Any, *, batch_size: int = _CHUNK) -> np.ndarray:
        """The posterior mean E[z|x], `[n, D]`; `vae.encoder(x)` is the whole posterior.

        Args:
            x: Data `[n, *E]` in any container that `fit` takes.
            batch_size: Examples at a time, where the container does not say.

        Raises:
            TypeError: For data that are no numbers.
            ValueError: For data of another shape, that are not finite, or that have no end; and for outputs that are
                not finite.
        """
        return self._in_batches(self._compiled["encode"], self.adapter.inputs(x), batch_size)

    def decode(self, z: Any, *, batch_size: int = _CHUNK) -> np.ndarray:
        """The mean E[x|z], `[n, *E]`, of latents `[n, D]`. (`vae.decoder(z)` is the whole likelihood.) See `encode`."""
        return self._in_batches(self._compiled["decode"], latents(z, self.latent_dim), batch_size)

    def reconstruct(self, x: Any, *, batch_size: int = _CHUNK) -> np.ndarray:
        """E[x|z] at the posterior mean z = E[z|x], `[n, *E]`: nothing is drawn, as in `predict`. See `encode`."""
        return self._in_batches(self._compiled["reconstruct"], self.adapter.inputs(x), batch_size)

    @property
    def _compiled(self) -> dict[str, Callable[[tf.Tensor], tf.Tensor]]:
        """Compiled functions by name, made anew for a copy of the model and for other networks."""
        owners = tuple(map(id, (self, self.encoder, self.decoder)))
        made = self.__dict__.get("_made")
        if made is None or made[0] != owners:
            made = self.__dict__["_made"] = (owners, self._functions())
        return made[1]

    def _functions(self) -> dict[str, Callable[[tf.Tensor], tf.Tensor]]:
        functions = {
            "encode": lambda x: self.encoder(x, training=False).mean(),
            "decode": lambda z: self.decoder(z, training=False).mean(),
            "reconstruct": lambda x: self.predict_step((x,)),
        }
        return {name: tf.function(function, reduce_retracing=True) for name, function in functions.items()}

    def _in_batches(
        self, function: Callable[[tf.Tensor], tf.Tensor], data: Table | Iterator[np.ndarray], batch_size: int
    ) -> np.ndarray:
        if isinstance(data, Table):
            size, table = _checks.positive_int("batch_size", batch_size), data
            data = (table[start : start + size] for start in range(0, len(table), size))
        dtype = self.likelihood.compute_dtype
        results = [function(tf.convert_to_tensor(part.astype(dtype, copy=False))).numpy() for part in data]
        if not results:
            raise no_examples("none")
        return check_outputs(np.concatenate(results))

    def calibrate(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        num_samples: int = 1,
        batch_size: int = _CHUNK,
        seed: int = 0,
    ) -> None:
        """Sets sigma to the maximiser of the objective on these data, exactly, with all other weights as they are.

        An optimal sigma is a running average of what training saw, with dropout on. Here dropout is off, and one pass
        over the data is averaged exactly: on the training data that is the sigma of the trained decoder, on held-out
        data the sigma of what it has not seen, which is larger. A learned sigma is set likewise. Where the draws count
        differently (IWAE) or the family has no closed form (Student t) the pass is repeated until sigma rests.

        Args:
            x: Data `[n, *E]` that can be indexed.
            y: Data to be scored where they are not x (denoising).
            sample_weight: Weights of the examples, `[n]`.
            num_samples: Draws of z for each example, rounded up to a multiple of those of the objective.
            batch_size: Examples at a time; the result does not depend on it.
            seed: Seed of the draws.

        Raises:
            TypeError: For data that are no numbers, or that cannot be indexed.
            ValueError: For data that the VAE cannot take, and a likelihood without a scale to set.
        """
        rows = self.adapter.rows(x, y, sample_weight)
        draws = self.objective.num_samples
        repeats = -(-_checks.positive_int("num_samples", num_samples) // draws)
        size = _checks.positive_int("batch_size", batch_size)

        def one_pass() -> Iterator[tuple[tfd.Distribution, tf.Tensor, tf.Tensor | None]]:
            rng = np.random.default_rng(_checks.seed(seed))
            for start in range(0, len(rows), size):
                x, target, weight = self._inputs(rows.batch(slice(start, start + size)))
                noise = rng.standard_normal((len(x), repeats, draws, self.latent_dim), dtype=np.float32)
                for part in tf.unstack(noise.transpose(1, 2, 0, 3)):
                    terms, p = bound(self, x, part, target=target, weight=weight)
                    yield p, repeated(target, draws), draw_weights(self.objective, terms.log_weights, weight)

        self.likelihood.calibrate(one_pass, weights_follow_scale=self.objective.weighs_draws)

    def sample(self, num_samples: int, seed: int | None = None, *, observation_noise: bool = True) -> np.ndarray:
        """Draws x ~ p(x|z), z ~ p(z): `[num_samples, *E]`.

        All noise comes from `numpy.random.default_rng(seed)`, prior first, so that the exported decoder
        draws the same images.

        Args:
            num_samples: Number of draws.
            seed: Seed of the draws; None takes a new one.
            observation_noise: False returns the mean E[x|z] of each draw instead of a draw of x.

        Raises:
            ValueError: For a count below 1 or a negative seed.
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

    # --- configuration ----------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The parts, serialised by Keras."""
        parts = {name: getattr(self, name) for name in _PARTS}
        serialized = {name: keras.saving.serialize_keras_object(part) for name, part in parts.items()}
        return {"name": self.name, "seed": self.seed} | self.columns_config() | serialized

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> VAE:
        """The model with these parts."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects) for name in _PARTS
        }
        arguments = config | parts
        columns = arguments.pop("columns", None)
        vae = cls(**arguments)
        vae.remember_columns(columns)
        return vae

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Nothing to do: the parts are built already."""


def _only_layer(name: str, model: keras.Model, kind: type) -> Any:
    """The one layer of this kind in `model`."""
    if not isinstance(model, keras.layers.Layer):
        received = f"a {type(model).__name__} of {type(model).__module__.split('.')[0]}"
        remedy = "Import tf_keras as keras: TensorFlow Probability's layers are built on it."
        expected = "a model of tf_keras"
        raise TypeError(_checks.problem(f"The {name}", expected=expected, received=received, remedy=remedy))
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
