"""The linear VAE, for which log p(x), the ELBO and every optimum are known in closed form."""

from vae_tf.linear.vae import LinearVAE

__all__ = ["LinearVAE"]
