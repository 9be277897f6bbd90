"""The contracts that every likelihood, posterior and prior keeps, as checks for the tests of a new one.

Each check raises an AssertionError that states the broken clause of the contract.
"""

from vae_tf.testing._likelihood import check_likelihood
from vae_tf.testing._posterior import check_posterior
from vae_tf.testing._prior import check_prior

__all__ = ["check_likelihood", "check_posterior", "check_prior"]
