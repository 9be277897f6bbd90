"""Callbacks that make sigma and the use of the latents visible while a model trains."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import tf_keras as keras

from vae_tf import _checks, collapse
from vae_tf.likelihoods import Bernoulli, Gaussian, Laplace, Likelihood
from vae_tf.vae import VAE

__all__ = ["CollapseMonitor", "MSEEquivalence"]


class MSEEquivalence(keras.callbacks.Callback):
    """Adds to the logs of each epoch what "MSE" is being minimised.

    `sigma`: the scale of the likelihood, in the units of the data.
    `mse_scale`: 1/(2 sigma^2), the factor that multiplies the summed squared error in -log p(x|z); for a
    Bernoulli 1, the factor of its cross-entropy.
    `rmse`: the residual sqrt(mean (x - E[x|z])^2), a running average over the last batches of the epoch.
    `optimal_mse_scale`: 1/(2 rmse^2), what `mse_scale` would be at the best scalar sigma.
    `beta_equivalent`: 1/(2 mse_scale) times the present weight of the KL relative to the distortion (of GECO, one over
    its multiplier): the beta with which a decoder of unit variance (likelihood `||x - x'||^2 / 2`) would make the same
    trade-off. FreeBits and Capacity, which hold the KL up instead of weighing it, have none.

    Where sigma differs between dimensions, `sigma` and `mse_scale` are means over dimensions, beside their
    5 % and 95 % quantiles `sigma_q05`, `sigma_q95`, `mse_scale_q05`, `mse_scale_q95`; for "per_pixel" the values of
    a dimension are averages over the images of the last batches.

    Only a Gaussian has `sigma` and `beta_equivalent`. A Laplace logs `scale`, its b, and `mae_scale` = 1/b, the factor
    of its summed absolute error; a Student t its `scale`; all others the residual alone.

    Warns once when sigma is more than three times off the residual after two epochs in a row. It runs before
    callbacks that write logs, wherever it stands in the list given to `VAE.fit`.

    Raises:
        TypeError: If the model is not a VAE.
    """

    adds_logs = True

    def __init__(self) -> None:
        super().__init__()
        self._epochs_off = 0
        self._warned = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Refuses a model that is not a VAE."""
        _check_model(self, "Its sigma is that of the VAE's likelihood.")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds the quantities to `logs`."""
        logs = {} if logs is None else logs
        likelihood = self.model.likelihood
        rmse = math.sqrt(float(likelihood.running_mse))
        scale = getattr(likelihood, "scale", None)
        if isinstance(likelihood, Bernoulli):
            logs["mse_scale"] = likelihood.equivalence().scale_factor
        elif isinstance(likelihood, Gaussian):
            logs.update(_track(np.asarray(scale, np.float64), np.asarray(likelihood.precision) / 2))
            kl_weight = self.model.objective.relative_kl_weight(self.model.progress)
            if kl_weight is not None:
                logs["beta_equivalent"] = float(kl_weight) / (2 * logs["mse_scale"])
            self._warn_if_off(np.sqrt(np.mean(np.square(likelihood.scale))), rmse, likelihood)
        elif scale is not None:
            logs["scale"] = float(np.mean(scale))
            logs |= {"mae_scale": float(np.mean(1 / scale))} if isinstance(likelihood, Laplace) else {}
        logs["rmse"] = rmse
        logs["optimal_mse_scale"] = 1 / (2 * rmse**2) if rmse > 0 else math.inf

    def _warn_if_off(self, sigma: float, rmse: float, likelihood: Likelihood) -> None:
        off = not rmse / 3 <= sigma <= 3 * rmse
        self._epochs_off = self._epochs_off + 1 if off else 0
        if self._epochs_off >= 2 and not self._warned:
            self._warned = True
            warnings.warn(
                f"sigma = {sigma:.3g} but the residual is {rmse:.3g}: the likelihood weighs the squared error "
                f"{(rmse / sigma) ** 2:.3g} times what the data call for, so the KL gets "
                f"{'too little' if sigma < rmse else 'too much'} weight. "
                f"{type(likelihood).__name__}(..., scale='optimal') keeps the two equal.",
                UserWarning,
                stacklevel=2,
            )


class CollapseMonitor(keras.callbacks.Callback):
    """Adds to the logs of each epoch how many latents are in use.

    `active_units`: latents whose posterior mean varies over the data by more than `threshold`.
    `collapsed_units`: (eps, 0.01)-collapsed latents.
    `kl_max`, `kl_min`: mean KL of the most and of the least used latent, in nats per example.
    The last three only where the KL is a sum over latents: a normal posterior and a StandardNormal prior.

    Warns once, when training ends with collapsed latents, with the advice of `collapse.advice`. It runs before
    callbacks that write logs, wherever it stands in the list given to `VAE.fit`.

    Args:
        x: Data `[n, *E]`, n >= 2, to look at; a thousand examples tell enough.
        every: Epochs between two looks; those between repeat the last values.
        threshold: The variance above which a latent is active; see `collapse.active_units`. Where the KL is not a sum
            over latents, the warning goes by it too.
        eps: Threshold of collapse in nats; see `collapse.collapsed`.

    Raises:
        ValueError: For numbers out of range; when training begins, for data that the VAE cannot take.
        TypeError: If the model is not a VAE.
    """

    adds_logs = True

    def __init__(self, x: Any, *, every: int = 1, threshold: float = 0.01, eps: float = 0.01) -> None:
        super().__init__()
        self.x = x
        self.every = _checks.positive_int("every", every)
        self.threshold = _checks.nonnegative_float("threshold", threshold)
        self.eps = _checks.positive_float("eps", eps)
        self._last: dict[str, float] = {}
        self._examples: Any = None
        self._warned = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Refuses a model that is not a VAE, and data it cannot take."""
        _check_model(self, "Latents are those of a VAE.")
        self._last = {}
        self._table()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds the quantities to `logs`."""
        if not self._last or (epoch + 1) % self.every == 0:
            self._last = self._look()
        if logs is not None:
            logs.update(self._last)

    def on_train_end(self, logs: Any = None) -> None:
        """Warns with the advice, if latents collapsed."""
        if self._warned:
            return
        advice = collapse.advice(self.model, self._table(), eps=self.eps, threshold=self.threshold)
        if advice is not None:
            self._warned = True
            warnings.warn(advice, UserWarning, stacklevel=2)

    def _table(self) -> Any:
        """The data, read once: a generator would be empty the second time."""
        if self._examples is None:
            self._examples = self.model.adapter.examples(self.x, at_least=2)
        return self._examples

    def _look(self) -> dict[str, float]:
        active = collapse.active_units(self.model, self._table(), self.threshold)
        logs = {"active_units": float(active.sum())}
        kl = collapse.kl_or_none(self.model, self._table())
        if kl is None:
            return logs
        mean = kl.mean(axis=0)
        collapsed = collapse.collapse_threshold(kl) < self.eps
        return logs | {
            "collapsed_units": float(collapsed.sum()),
            "kl_max": float(mean.max()),
            "kl_min": float(mean.min()),
        }


def _check_model(callback: keras.callbacks.Callback, remedy: str) -> None:
    if not isinstance(callback.model, VAE):
        name = f"Model of {type(callback).__name__}"
        received = type(callback.model).__name__
        raise TypeError(_checks.problem(name, expected="a vae_tf.VAE", received=received, remedy=remedy))


def _track(scale: np.ndarray, mse_scale: np.ndarray) -> dict[str, float]:
    mse_scale = mse_scale.astype(np.float64)
    logs = {"sigma": float(scale.mean()), "mse_scale": float(mse_scale.mean())}
    if scale.size > 1:
        for name, values in (("sigma", scale), ("mse_scale", mse_scale)):
            low, high = np.quantile(values, [0.05, 0.95])
            logs |= {f"{name}_q05": float(low), f"{name}_q95": float(high)}
    return logs
