"""Callbacks that make sigma visible while a model trains."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import tf_keras as keras

from vae_tf import _checks
from vae_tf.likelihoods import Likelihood
from vae_tf.vae import VAE

__all__ = ["MSEEquivalence"]


class MSEEquivalence(keras.callbacks.Callback):
    """Adds to the logs of each epoch what "MSE" is being minimised.

    `sigma`: the scale of the likelihood, in the units of the data.
    `mse_scale`: 1/(2 sigma^2), the factor that multiplies the summed squared error in -log p(x|z); for a
    Bernoulli 1, the factor of its cross-entropy.
    `rmse`: the residual sqrt(mean (x - E[x|z])^2), a running average over the last batches of the epoch.
    `optimal_mse_scale`: 1/(2 rmse^2), what `mse_scale` would be at the best scalar sigma.
    `beta_equivalent`: 1/(2 mse_scale) times the objective's kl_weight: the beta with which a decoder of unit
    variance (likelihood `||x - x'||^2 / 2`) would make the same trade-off.

    Where sigma differs between dimensions, `sigma` and `mse_scale` are means over dimensions, beside their
    5 % and 95 % quantiles `sigma_q05`, `sigma_q95`, `mse_scale_q05`, `mse_scale_q95`; for "per_pixel" the values of
    a dimension are averages over the images of the last batches. A likelihood without a
    scale logs no `sigma` and no `beta_equivalent`.

    Warns once when sigma is more than three times off the residual after two epochs in a row. It runs before
    callbacks that write logs, wherever it stands in the list given to `VAE.fit`.

    Raises:
        TypeError: when the model is not a VAE.
    """

    adds_logs = True

    def __init__(self) -> None:
        super().__init__()
        self._epochs_off = 0
        self._warned = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Refuses a model that is not a VAE."""
        if not isinstance(self.model, VAE):
            raise TypeError(
                _checks.problem(
                    "Model of MSEEquivalence",
                    expected="a vae_tf.VAE",
                    received=type(self.model).__name__,
                    remedy="Its sigma is that of the VAE's likelihood.",
                )
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds the quantities to `logs`."""
        logs = {} if logs is None else logs
        likelihood = self.model.likelihood
        rmse = math.sqrt(float(likelihood.running_mse))
        scale = getattr(likelihood, "scale", None)
        if scale is None:
            logs["mse_scale"] = likelihood.equivalence().scale_factor
        else:
            kl_weight = getattr(self.model.objective, "kl_weight", 1.0)
            logs.update(_track(np.asarray(scale, np.float64), np.asarray(likelihood.precision) / 2, kl_weight))
            self._warn_if_off(np.sqrt(np.mean(np.square(scale))), rmse, likelihood)
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


def _track(scale: np.ndarray, mse_scale: np.ndarray, kl_weight: float) -> dict[str, float]:
    mse_scale = mse_scale.astype(np.float64)
    logs = {"sigma": float(scale.mean()), "mse_scale": float(mse_scale.mean())}
    logs["beta_equivalent"] = kl_weight / (2 * logs["mse_scale"])
    if scale.size > 1:
        for name, values in (("sigma", scale), ("mse_scale", mse_scale)):
            low, high = np.quantile(values, [0.05, 0.95])
            logs |= {f"{name}_q05": float(low), f"{name}_q95": float(high)}
    return logs
