"""The encoder: q(z|x) of an exported model."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_tf_onnx import families
from vae_tf_onnx.runtime._graph import Head
from vae_tf_onnx.runtime._sampling import generator, noise_for_each, normal_noise


class Encoder(Head):
    """q(z|x) of an exported model. The arguments and errors are those of Head."""

    graph = "encoder"

    def _prepare(self) -> None:
        family = self.bundle.manifest.get("posterior", {}).get("family", "DiagonalNormal")
        self._draw_in_numpy = families.POSTERIORS.get(family)
        self._posterior_graph = None if self._draw_in_numpy else self.beside("posterior")

    def parameters(self, x: Any) -> dict[str, np.ndarray]:
        """The posterior's parameters: `loc` and `scale` (`[B, D]`), or what the family has, for x `[B, *E]`."""
        return self.run(x)

    def encode(self, x: Any) -> np.ndarray:
        """The posterior mean E[z|x], `[B, D]`, for x `[B, *E]`; for a flow it is the image of its base's mean."""
        if self._posterior_graph is None:
            return self.run(x, names=["loc"])["loc"]
        return self._posterior_graph.run(x, np.zeros((len(x), self.bundle.latent_dim)))["z"]

    def draw(self, x: Any, noise: Any) -> tuple[np.ndarray, np.ndarray]:
        """Draws z ~ q(z|x), `[B, D]`, from normal noise `[B, D]`; also log q(z|x) there in nats, `[B]`.

        Raises:
            ValueError: For shapes that do not fit.
        """
        noise = noise_for_each(x, noise, self.bundle.latent_dim)
        if self._draw_in_numpy is not None:
            return self._draw_in_numpy(noise, self.run(x))
        outputs = self._posterior_graph.run(x, noise) if self._posterior_graph else {}
        return outputs["z"], outputs["log_prob"]

    def sample(self, x: Any, seed: int | None = None) -> np.ndarray:
        """Samples one z ~ q(z|x) for each x, `[B, D]`, for x `[B, *E]`.

        Raises:
            ValueError: For shapes that do not fit, or a negative seed.
        """
        return self.draw(x, normal_noise(generator(seed), len(x), self.bundle.latent_dim))[0]
