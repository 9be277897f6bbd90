"""Families of a location and a scale: the network gives the location, and an object of `_scales` the scale."""

from __future__ import annotations

import abc
import math
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from tf_keras.src.engine.base_layer_utils import call_context

from vae_tf import _checks
from vae_tf.likelihoods import _calibration, _links
from vae_tf.likelihoods._quantised import OnGrid
from vae_tf.likelihoods._scales import Fixed, PerPixel, Scale, Settable, Trained, make_scale
from vae_tf.likelihoods.base import Batches
from vae_tf.likelihoods.levels import Levels, Reals, mean_of_levels

_MIN_SCALE = 1e-3
"""The floor of a scale by default."""
_FLOOR_SHARE, _CLOSE = 1e-3, 1e-2
"""The floor of a scale as a share of the one that it starts from, and the share at which it counts as too close."""

_FAR = 100.0
"""Ratio between the scale of the data and the one that training starts from at which `fit` warns."""


class LocationScale(OnGrid):
    """x = location + scale * eps, or the level nearest to that; the scale is chosen by `scale`, see Gaussian.

    A subclass says what eps is (`standard`, `noise`), what its density is, and what the scale measures: `spread`, a
    statistic of the residuals whose mean, to the power `1 / spread_power`, is the most likely scale.
    """

    scaling: Scale
    """The way in which the scale is chosen, with its weights."""
    location: str = "mean"
    """Name of the location among the parameters."""
    spread_name: ClassVar[str | None] = None
    """Name of the weight for a running average of `spread`; None where that average is `running_mse`."""
    spread_power: ClassVar[int] = 2
    spread_needs_scale: ClassVar[bool] = False
    """Whether `spread` depends on the scale, whose most likely value is then found in several steps."""

    def __init__(
        self,
        event_shape: int | tuple[int, ...],
        scale: float | str = "optimal",
        *,
        grid: Levels | Reals | None = None,
        min_scale: float | None = None,
        learning_rate_multiplier: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(event_shape, Reals() if grid is None else grid, **kwargs)
        self._floor_is_chosen = min_scale is not None
        self.min_scale = _MIN_SCALE if min_scale is None else _checks.positive_float("min_scale", min_scale)
        self.scaling = make_scale(scale, self, learning_rate_multiplier)
        self._warned = self._compared = False
        self.locations = self.event_shape[-1]
        self.has_a_scale_for_each_dimension = self.measure == "density" and not self.scaling.is_one_number

    @property
    def scale(self) -> tf.Tensor:
        """The present scale: a scalar, or `event_shape` for "per_dimension" and "per_pixel".

        The scale of "per_pixel" is the network's; what stands here is its average over the last batches.
        """
        return self.scaling.value

    @property
    def precision(self) -> tf.Tensor:
        """1/scale^2, of the shape of `scale`; for "per_pixel" its average over the last batches."""
        return self.scaling.precision

    def assign_scale(self, value: Any) -> None:
        """Makes `value` the scale from which training goes on.

        Args:
            value: A number, or for "per_dimension" an array that broadcasts to `event_shape`, of at least `min_scale`.

        Raises:
            ValueError: For a fixed scale and one of the network's, and for a value that cannot be the scale.
        """
        scaling, shape = self._settable("Assignment of a scale to"), tuple(self.scale.shape)
        try:
            array = np.broadcast_to(np.asarray(value, np.float64), shape)
        except (TypeError, ValueError):
            array = np.array(np.nan)
        if not np.all(np.isfinite(array) & (array >= self.min_scale)):
            raise ValueError(
                _checks.problem(
                    "scale",
                    expected=f"finite numbers of at least min_scale = {self.min_scale:g} in the shape {shape}",
                    received=f"{value!r}",
                    remedy="Pass sigma in the data's units.",
                )
            )
        scaling.assign(array)

    def calibrate(self, batches: Batches, *, weights_follow_scale: bool = False) -> None:
        """See Likelihood.calibrate.

        "optimal" becomes the square root of the mean squared residual (Gaussian), the mean absolute one (Laplace) or
        the limit of EM steps (StudentT). "learned" and "per_dimension" become the same; for quantised data, the values
        that maximise the likelihood of the levels.
        """
        scaling = self._settable("Calibration of")
        if not self.trainable:
            raise ValueError(
                _checks.problem(
                    f"Calibration of {type(self).__name__}",
                    expected="a likelihood that may change",
                    received="a frozen one, trainable=False",
                    remedy="Set its `trainable` to True first.",
                )
            )
        before = self.get_weights()
        try:
            scale, mse = _calibration.maximum_likelihood(self, scaling, batches, weights_follow_scale)
        except BaseException:
            self.set_weights(before)
            raise
        scaling.assign(scale)
        self.running_mse.assign(mse)
        self.update_count.assign(1 / (1 - self.decay))

    def start_at(self, mean: np.ndarray, std: np.ndarray) -> None:
        """See Likelihood.start_at: the scale becomes that of data which the location does not follow yet.

        "per_dimension" starts at the scale of each dimension, "learned" and "optimal" at the root of their mean square
        (the first batch replaces that of "optimal"). A `min_scale` that nobody has chosen, and that is above a
        hundredth of the smallest of them, becomes a thousandth of it.

        Raises:
            ValueError: For a `min_scale` that was chosen and is not below the smallest of them.
        """
        scale = self._scale_of(std)
        smallest = float(scale.min())
        if not self._floor_is_chosen and self.min_scale > _CLOSE * smallest:
            self.min_scale = _FLOOR_SHARE * smallest
            if isinstance(self.scaling, Trained):
                self.scaling.lower_floor()
        if self.min_scale >= smallest and not isinstance(self.scaling, Fixed):
            raise ValueError(
                _checks.problem(
                    "min_scale",
                    expected=f"a floor below the scale of every dimension of the data, of which the smallest is "
                    f"{smallest:.3g}",
                    received=f"{self.min_scale:g}",
                    remedy="Leave it out, and it is chosen below them.",
                )
            )
        self.scaling.start_at(scale)

    def compare_scale(self, x: np.ndarray) -> None:
        """See Likelihood.compare_scale; "optimal" finds the scale of the data in one batch, and a number was chosen."""
        if self._compared or not isinstance(self.scaling, Trained | PerPixel):
            return
        self._compared = True
        columns = self.event_shape[-1] if self.scale.shape.rank else 1  # or channels
        std = _root_mean_square(np.asarray(x, np.float64) - x.mean(axis=0, dtype=np.float64), columns)
        ratio = self._scale_of(std[std > 0]) / _root_mean_square(self.scale.numpy(), columns)[std > 0]
        smallest, largest = ratio.min(initial=1.0), ratio.max(initial=1.0)
        if np.min(x) >= 0 and np.max(x) <= 1:  # pixels at the edge of an image hardly vary, and need no scale to say so
            smallest = np.sqrt(np.mean(np.square(ratio)))
        if largest > _FAR or smallest < 1 / _FAR:
            warnings.warn(
                f"{type(self).__name__}(scale={self.scaling.get_config()['scale']!r}): sigma starts far from the scale "
                f"of the data, whose standard deviations are {smallest:.2g} to {largest:.2g} times it, and would take "
                "very long to get there. Build the networks with standardise=x_train (vae_tf.networks), which starts "
                "everything in the units of the data, or call assign_scale.",
                UserWarning,
                stacklevel=3,
            )

    def outputs_at(self, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See Likelihood.outputs_at."""
        scale = self._scale_of(std)
        starts, steps = zip((self._location_at(mean, scale), std), *self.scaling.outputs_at(scale), strict=True)
        return np.concatenate(starts, axis=-1), np.concatenate(steps, axis=-1)

    def _scale_of(self, std: np.ndarray) -> np.ndarray:
        """The scale at which the standard deviation is `std`, where there is one."""
        unit = float(self.standard().stddev())
        return np.asarray(std, np.float64) / (unit if math.isfinite(unit) else 1.0)

    def _location_at(self, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The location at which E[x|z] is `mean`."""
        return np.asarray(mean, np.float64)

    def _settable(self, what: str) -> Settable:
        if not isinstance(self.scaling, Settable):
            raise ValueError(
                _checks.problem(
                    f"{what} {type(self).__name__}",
                    expected='scale="optimal", "learned" or "per_dimension"',
                    received=f"scale={self.scaling.get_config()['scale']!r}",
                    remedy="A fixed scale is given when the layer is made, and that of per_pixel is the network's.",
                )
            )
        return self.scaling

    @abc.abstractmethod
    def standard(self) -> tfd.Distribution:
        """The distribution of eps, a scalar."""

    @abc.abstractmethod
    def spread(self, residual: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        """The statistic of each residual whose mean the scale measures; `scale` is the present one."""

    def scale_from_spread(self, spread: tf.Tensor) -> tf.Tensor:
        """The most likely scale for this mean of `spread`."""
        return tf.sqrt(spread) if self.spread_power == 2 else tf.convert_to_tensor(spread)

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """See DistributionLayer.parameter_shape."""
        *outer, last = self.event_shape
        return (*outer, self.scaling.outputs * last)

    def parameters(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """See DistributionLayer.parameters."""
        location, scale = self.scaling.split(inputs)
        return {self.location: location, "scale": scale}

    def observe(self, noise: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Likelihood.observe."""
        return self.grid.nearest(parameters[self.location] + parameters["scale"] * noise)

    def draw(self, num_samples: tf.Tensor, seed: Any, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.draw."""
        shape = tf.concat([[num_samples], tf.shape(parameters[self.location])], axis=0)
        return self.observe(self.standard().sample(shape, seed=seed), parameters)

    def _make_distribution(self, inputs: tf.Tensor) -> tfd.Distribution:
        p = super()._make_distribution(inputs)
        if self.scaling.follows_updates and self.trainable and call_context().training is True:
            p._log_prob = self._warning_of_a_stale_scale(p._log_prob)  # noqa: SLF001 - what TFP's wrapper of it calls
        return p

    def _warning_of_a_stale_scale(self, log_prob: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
        """`log_prob` of an output in training that has not passed through `update`; it warns once."""

        def warned(*args: Any, **kwargs: Any) -> tf.Tensor:
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"{type(self).__name__}(scale='optimal') is trained on without its update: its scale stays where "
                    "it is. In a training loop of your own call p = vae.likelihood.update(p, x) before p.log_prob(x), "
                    "or vae.calibrate(x) after training.",
                    UserWarning,
                    stacklevel=2,
                )
            return log_prob(*args, **kwargs)

        return warned

    def refit(
        self, p: tfd.Distribution, x: tf.Tensor, residual: tf.Tensor, weight: tf.Tensor | None
    ) -> tfd.Distribution:
        """See Likelihood.refit; with "optimal" this is the M-step, and p comes back at the new scale."""
        parameters = self.parameters_of(p)
        before = parameters["scale"]
        scale = self.scaling.update(residual, before, weight)
        if self.scaling.spread is not self.running_mse:  # else the scale has just moved it
            super().refit(p, x, residual, weight)
        return p if scale is before else self.from_parameters(parameters | {"scale": scale})

    def center(self, p: tfd.Distribution) -> tf.Tensor:
        """See Likelihood.center; the location, within the levels where the data are quantised.

        A location may lie far outside, where the outer bin is open: the distance from there to the level is no noise.
        Taken for noise it would let location and an optimal scale grow together without end.
        """
        return self.grid.clip(self.parameters_of(p)[self.location])

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | self.scaling.get_config() | {"min_scale": self.min_scale}


def _root_mean_square(values: np.ndarray, columns: int) -> np.ndarray:
    """The root of the mean square over all axes but that of the columns, `[columns]`."""
    return np.sqrt(np.mean(np.square(values.reshape(-1, columns)), axis=0))


class Quantisable(LocationScale):
    """A LocationScale with a symmetric density that TensorFlow Probability has, for real or for quantised data.

    With `quantised` log p(x|z) is the log of the mass that the density gives to the bin of x; see Levels.log_bin_mass.

    Args:
        event_shape: Shape of one example, without the batch axis.
        scale: Choice of the scale; see Gaussian.
        quantised: Whether the data are levels.
        levels: Number of levels, in [0, 1]; None for the whole numbers 0 to 255.
        **kwargs: As for Gaussian.
    """

    def __init__(
        self,
        event_shape: int | tuple[int, ...],
        scale: float | str = "optimal",
        *,
        quantised: bool = False,
        levels: int | None = None,
        **kwargs: Any,
    ) -> None:
        if levels is not None and not quantised:
            raise ValueError(
                _checks.problem(
                    "levels",
                    expected="quantised=True beside it",
                    received=f"levels={levels!r} and quantised=False, which makes a density of real numbers",
                    remedy="Add quantised=True, or leave both out.",
                )
            )
        super().__init__(event_shape, scale, grid=Levels(levels) if quantised else Reals(), **kwargs)
        self.location = "loc" if quantised else "mean"

    @property
    def quantised(self) -> bool:
        """Whether the data are levels."""
        return isinstance(self.grid, Levels)

    @abc.abstractmethod
    def density(self, parameters: dict[str, tf.Tensor]) -> tfd.Distribution:
        """The density of each dimension before anything is quantised, `[B, *E]`."""

    @abc.abstractmethod
    def log_tail(self, t: tf.Tensor) -> tf.Tensor:
        """log P(eps > t) for t >= 0, in the precision of t."""

    @staticmethod
    @abc.abstractmethod
    def above(t: tf.Tensor) -> tf.Tensor:
        """P(eps > t) for every t, in plain TensorFlow operations."""

    def distribution(self, parameters: dict[str, tf.Tensor]) -> tfd.Distribution:
        """See DistributionLayer.distribution."""
        if self.quantised:
            return super().distribution(parameters)
        return tfd.Independent(self.density(parameters), len(self.event_shape))

    def mean(self, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See Likelihood.mean; where the data are quantised it is that of the level, a sum over the levels."""
        if isinstance(self.grid, Reals):
            return super().mean(parameters)
        loc = parameters["loc"]
        scale = tf.broadcast_to(parameters["scale"], tf.shape(loc))
        return mean_of_levels(self.above, loc, scale, self.grid.levels)

    def _location_at(self, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
        if isinstance(self.grid, Reals):
            return super()._location_at(mean, scale)
        widths = tf.constant(scale, tf.float32)

        def mean_at(location: np.ndarray) -> np.ndarray:
            return self.mean({"loc": tf.constant(location, tf.float32)[None], "scale": widths})[0].numpy()

        return _links.inverse(mean_at, self.grid.inside(mean), *self.grid.wide)

    def pointwise_log_prob(self, x: tf.Tensor, parameters: dict[str, tf.Tensor]) -> tf.Tensor:
        """See PointwiseLikelihood.pointwise_log_prob."""
        if isinstance(self.grid, Reals):
            return self.density(parameters).log_prob(x)
        grid, loc, scale = self.grid, parameters["loc"], parameters["scale"]
        return grid.log_prob(x, lambda index: grid.log_bin_mass(index, loc, scale, self.log_tail))

    def get_config(self) -> dict[str, Any]:
        """See DistributionLayer.get_config."""
        return super().get_config() | {"quantised": self.quantised}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Quantisable:
        """The layer with these constructor arguments; files of version 0.1.0 name levels for real data, too."""
        used = config if config.get("quantised") else {name: config[name] for name in config if name != "levels"}
        return cls(**used)
