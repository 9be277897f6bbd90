"""The command `vae-tf equivalence`: the sigma that a recipe hides."""

from __future__ import annotations

from typing import Any

import click


@click.command()
@click.option("--loss", type=click.Choice(["mse", "mae", "bce"]), required=True, help="The pointwise loss.")
@click.option("--reduction", type=click.Choice(["sum", "mean"]), required=True, help="Over an example's dimensions.")
@click.option("--kl-weight", type=float, default=1.0, show_default=True, help="What multiplies the KL.")
@click.option("--kl-reduction", type=click.Choice(["sum", "mean"]), default="sum", show_default=True)
@click.option("--dims", type=int, required=True, help="Dimensions of one example, 784 for 28 x 28.")
@click.option("--latent-dim", type=int, default=None, help="Latents; needed for --kl-reduction mean.")
def equivalence(**recipe: Any) -> None:
    """Says which sigma a recipe such as "mean MSE + KL" hides, and what to write instead."""
    from vae_tf import equivalence as recipes

    click.echo(recipes.explain(**recipe))
