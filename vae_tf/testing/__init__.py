"""The contracts that every likelihood, posterior and prior keeps, for the tests of those who write one.

Each check raises AssertionError with the clause that is broken.
"""

from vae_tf.testing._likelihood import check_likelihood
from vae_tf.testing._posterior import check_posterior
from vae_tf.testing._prior import check_prior

__all__ = ["check_likelihood", "check_posterior", "check_prior"]
