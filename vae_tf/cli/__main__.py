"""`python -m vae_tf.cli` is `vae-tf`."""

from vae_tf.cli import main

main()
