"""The settings of a run, and the model that they make."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras

from vae_tf import _checks, data, likelihoods, networks, priors
from vae_tf.vae import VAE

__all__ = ["LIKELIHOODS", "LOADING", "MODEL", "SETTINGS", "Settings", "is_table", "stored_settings"]

MODEL, SETTINGS = "model.keras", "settings.json"
_STEPS_PER_EXECUTION = 16

LIKELIHOODS: dict[str, tuple[type[likelihoods.Likelihood], tuple[str, ...]]] = {
    "bernoulli": (likelihoods.Bernoulli, ()),
    "categorical": (likelihoods.Categorical, ("levels",)),
    "continuous_bernoulli": (likelihoods.ContinuousBernoulli, ()),
    "discretized_logistic": (likelihoods.DiscretizedLogistic, ("levels",)),
    "gaussian": (likelihoods.Gaussian, ("scale", "quantised", "levels")),
    "laplace": (likelihoods.Laplace, ("scale", "quantised", "levels")),
    "mixture_of_logistics": (likelihoods.MixtureOfLogistics, ("components", "levels")),
    "negative_binomial": (likelihoods.NegativeBinomial, ()),
    "poisson": (likelihoods.Poisson, ()),
    "student_t": (likelihoods.StudentT, ("df", "scale")),
    "zero_inflated_negative_binomial": (likelihoods.ZeroInflatedNegativeBinomial, ()),
}
"""Likelihood classes by name, each with the names of the settings that it takes."""
_BEFORE: dict[str, Any] = {"transform": "none"}
"""Settings of the runs that were made before there was such a setting."""
_COUNTS = ("negative_binomial", "poisson", "zero_inflated_negative_binomial")
LOADING = ("drop", "size", "crop", "stretch", "channels", "background", "test_fraction", "on_error", "in_memory")
"""The settings that are arguments of `vae_tf.data.load`."""


@dataclass(frozen=True)
class Settings:
    """The settings of a run. The same settings give the same model.

    Attributes:
        data: A name or path for `vae_tf.data.load`.
        likelihood: A name in `LIKELIHOODS`. Likelihoods of counts see images as whole numbers 0 to levels - 1, and
            tables as they are.
        scale: Sigma of a Gaussian, Laplace or Student t: a positive number, or "learned", "optimal", "per_dimension"
            or "per_pixel"; "auto" takes "optimal" for images and "per_dimension" for tables.
        quantised: Whether a Gaussian or Laplace is the mass of a pixel's bin instead of a density.
        levels: Number of grey levels of the images; None counts those of the data, where they matter.
        components: Number of components of a mixture.
        df: Degrees of freedom of a Student t.
        network: "mlp", "conv", or "auto", which goes by the shape of the data; see networks.for_data.
        transform: Transform before the encoder: "log1p", "none", or "auto", which is log1p for a likelihood of counts.
        latent_dim: Number of latents.
        epochs: Number of passes over the data.
        batch_size: Number of examples in a step.
        learning_rate: Learning rate of Adam.
        seed: Seed of the weights, the noise and the order of the data.
        size: Height and width of the images; this and what follows are arguments of `vae_tf.data.load`.
        crop: Height and width of the part in the middle that is taken first.
        stretch: Whether resizing may change the aspect ratio.
        channels: 1 for grey, 3 for colour; None goes by the images.
        background: Colour behind transparent parts.
        test_fraction: Share of the test set, of data that have none.
        on_error: "raise" or "skip", for image files that cannot be decoded.
        in_memory: Whether all data are read into memory; None goes by their size.
        drop: Names of columns of a table that are left out.
    """

    data: str = "digits"
    likelihood: str = "gaussian"
    scale: float | str = "auto"
    quantised: bool = False
    levels: int | None = None
    components: int = 5
    df: float = 4.0
    network: str = "auto"
    latent_dim: int = 8
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    seed: int = 0
    size: int | tuple[int, int] | None = None
    crop: int | tuple[int, int] | None = None
    stretch: bool = False
    channels: int | None = None
    background: str = "white"
    test_fraction: float | None = None
    on_error: str = "raise"
    in_memory: bool | None = None
    drop: tuple[str, ...] = ()
    transform: str = "auto"

    def __post_init__(self) -> None:
        _checks.one_of("likelihood", self.likelihood, LIKELIHOODS)
        _checks.one_of("network", self.network, networks.NETWORKS)
        _checks.one_of("transform", self.transform, ("auto", "none", "log1p"))
        for name in ("latent_dim", "epochs", "batch_size", "components"):
            _checks.positive_int(name, getattr(self, name))
        _checks.positive_float("learning_rate", self.learning_rate)
        _checks.seed(self.seed)

    def on(self, name_or_path: str) -> Settings:
        """The same settings for other data: a folder is read as its images were, a file without the dropped columns."""
        default = Settings()
        others = [name for name in LOADING if name != "drop"]
        reset = ("test_fraction", "drop") if Path(name_or_path).is_dir() else others
        return replace(self, data=name_or_path, **{name: getattr(default, name) for name in reset})

    @property
    def _transform(self) -> str | None:
        """The transform as the networks call it."""
        if self.transform == "auto":
            return LIKELIHOODS[self.likelihood][0].encoder_transform
        return None if self.transform == "none" else self.transform

    def loaded(self) -> tuple[Any, Any]:
        """Training and test images in [0, 1], as arrays or, of large data, as `data.LazyImages`."""
        return data.load(self.data, **{name: getattr(self, name) for name in LOADING})

    def resolved(self, train: Any = None) -> Settings:
        """These settings, `transform` decided, and `levels` counted in the training images if it matters.

        Args:
            train: Training images as `loaded` returns them; None loads them if they are needed.
        """
        decided = replace(self, transform=self._transform or "none")
        if not (self.likelihood in _COUNTS or self._on_levels):
            return decided
        train = self.loaded()[0] if train is None else train
        if self.likelihood in _COUNTS and is_table(train):
            if self.levels is not None:
                expected, remedy = "none for a table, whose counts are taken as they are", "Leave it out."
                raise ValueError(_checks.problem("levels", expected=expected, received=self.levels, remedy=remedy))
            return decided
        return decided if self.levels is not None else replace(decided, levels=data.levels(train))

    def images(self) -> tuple[Any, Any]:
        """Training and test images, `[n, H, W, C]` float32, as the likelihood takes them; for resolved settings."""
        train, test = self.loaded()
        return self.scaled(train), self.scaled(test)

    def scaled(self, images: Any) -> Any:
        """Images in [0, 1] as the likelihood takes them; for resolved settings."""
        if self.peak == 1:
            return images
        lazy = isinstance(images, data.LazyImages)
        return images.as_levels(self.peak) if lazy else np.rint(images * np.float32(self.peak))

    @property
    def peak(self) -> float:
        """The value of white in the data that the likelihood sees; in an image it is 1."""
        return float(self.levels - 1) if self.levels and self.likelihood in _COUNTS else 1.0

    @property
    def _on_levels(self) -> bool:
        names = LIKELIHOODS[self.likelihood][1]
        return "levels" in names and (self.quantised or "quantised" not in names)

    def model(self, x: np.ndarray) -> VAE:
        """A new, compiled model for the training data `x`, `[n, *E]`, which also says where it starts."""
        keras.utils.set_random_seed(self.seed)
        pair = networks.for_data(
            x, self.latent_dim, likelihood=self._likelihood(x), network=self.network, transform=self._transform
        )
        vae = VAE(*pair, priors.StandardNormal(self.latent_dim), seed=self.seed)
        vae.compile(keras.optimizers.Adam(self.learning_rate), steps_per_execution=_STEPS_PER_EXECUTION)
        vae.build_optimizer()
        return vae

    def _likelihood(self, x: np.ndarray) -> likelihoods.Likelihood:
        make, names = LIKELIHOODS[self.likelihood]
        arguments = {name: getattr(self, name) for name in names if name != "levels" or self._on_levels}
        if arguments.get("scale") == "auto":
            arguments |= networks.scale_for(x.shape[1:])
        return make(x.shape[1:], **arguments)


def is_table(x: Any) -> bool:
    """Whether data are a table, with names of columns, as `vae_tf.data.load` returns one."""
    return hasattr(x, "columns")


def stored_settings(folder: Path) -> Settings:
    """The settings of the run in `folder`.

    Raises:
        ValueError: For a folder that holds no run.
    """
    try:
        stored = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        known = {field.name for field in fields(Settings)}
        if not isinstance(stored, dict) or not set(stored) <= known:
            raise ValueError(f"settings other than {', '.join(sorted(known))}")
        return Settings(**_BEFORE | stored)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            _checks.problem(
                f"Run folder {folder}",
                expected=f"a run, with {SETTINGS} and {MODEL}",
                received=str(error),
                remedy="Name the --out folder of an earlier run.",
            )
        ) from error
