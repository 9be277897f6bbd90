"""Sigma decides how many latents of a deep VAE collapse, and the optimal one leaves none: the short form, on digits."""

import deep_collapse
import pytest
import tensorflow as tf
from mnist_data import needs_mnist

pytestmark = pytest.mark.integration


def test_sigma_decides_and_the_optimal_one_leaves_none_collapsed():
    """At a fixed sigma^2 the collapsed share rises with it from 0 to 1. "optimal", from either end, reaches a sigma of
    its own, the best ELBO of all, and leaves no more latents collapsed than the best fixed sigma."""
    x = deep_collapse.data(full=False)

    def last(mode, start):
        return deep_collapse.train(x, mode, start, 1000, every=1000, **deep_collapse.SHORT)[-1]

    fixed = {sigma2: last("fixed", sigma2) for sigma2 in (1.0, 0.3, 0.01)}
    shares = [fixed[sigma2]["collapsed"] for sigma2 in sorted(fixed)]
    assert shares[0] == 0
    assert 0.25 <= shares[1] <= 0.75
    assert shares[2] == 1
    best = max(fixed.values(), key=lambda state: state["elbo"])
    for optimal in (last("optimal", 1.0), last("optimal", 0.001)):
        assert optimal["collapsed"] <= best["collapsed"]
        assert optimal["elbo"] >= best["elbo"] - 1
        assert 0.005 < optimal["sigma2"] < 0.03


@pytest.mark.slow
@pytest.mark.gpu
@pytest.mark.skipif(not tf.config.list_physical_devices("GPU"), reason="20,000 steps of six models: needs a GPU")
@needs_mnist
def test_published_shares():
    """At a fixed sigma^2 the collapsed share rises with it, and is within 0.1 of the paper's where it has settled.

    After 20,000 steps that of 0.3 and 0.1 is still rising, and that of 30 unsteady: see README.md, also for a trained
    sigma, which does not end where the paper's does.
    """
    x = deep_collapse.data(full=True)

    def last(start):
        return deep_collapse.train(x, "fixed", start, 20_000, every=20_000, **deep_collapse.FULL)[-1]["collapsed"]

    shares = {start: last(start) for start in (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)}
    assert list(shares.values()) == sorted(shares.values())
    for start in (0.01, 1.0, 3.0, 10.0):
        assert shares[start] == pytest.approx(deep_collapse.PUBLISHED["fixed"][start], abs=0.1)
