"""q(z|x) at work."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_tf_onnx import families
from vae_tf_onnx.runtime._graph import Head
from vae_tf_onnx.runtime._noise import for_each, generator, normal


class Encoder(Head):
    """q(z|x) of an exported model. Arguments and errors are those of Head."""

    graph = "encoder"

    def _prepare(self) -> None:
        family = self.bundle.manifest.get("posterior", {}).get("family", "DiagonalNormal")
        self._numpy = families.POSTERIORS.get(family)
        self._posterior = None if self._numpy else self.beside("posterior")

    def parameters(self, x: Any) -> dict[str, np.ndarray]:
        """The posterior's parameters: `loc` and `scale` (`[B, D]`), or what the family has, for x `[B, *E]`."""
        return self.run(x)

    def encode(self, x: Any) -> np.ndarray:
        """The posterior mean E[z|x], `[B, D]`, for x `[B, *E]`; for a flow the image of its base's mean."""
        if self._posterior is None:
            return self.run(x, names=["loc"])["loc"]
        return self._posterior.run(x, np.zeros((len(x), self.bundle.latent_dim)))["z"]

    def draw(self, x: Any, noise: Any) -> tuple[np.ndarray, np.ndarray]:
        """z ~ q(z|x) `[B, D]`, and log q(z|x) there in nats `[B]`, for x `[B, *E]` and normal noise `[B, D]`.

        Raises:
            ValueError: for shapes that do not fit.
        """
        noise = for_each(x, noise, self.bundle.latent_dim)
        if self._numpy is not None:
            return self._numpy(noise, self.run(x))
        outputs = self._posterior.run(x, noise) if self._posterior else {}
        return outputs["z"], outputs["log_prob"]

    def sample(self, x: Any, seed: int | None = None) -> np.ndarray:
        """One draw z ~ q(z|x) for each x, `[B, D]`, for x `[B, *E]`.

        Raises:
            ValueError: for shapes that do not fit, or a negative seed.
        """
        return self.draw(x, normal(generator(seed), len(x), self.bundle.latent_dim))[0]
