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
@pytest.mark.skipif(not tf.config.list_physical_devices("GPU"), reason="20,000 steps of 20 models: needs a GPU")
@needs_mnist
def test_published_shares():
    """Each within 0.1 of the paper's, rising with sigma^2; "optimal" leaves no more collapsed than the best of them."""
    x = deep_collapse.data(full=True)

    def last(mode, start):
        return deep_collapse.train(x, mode, start, 20_000, every=20_000, **deep_collapse.FULL)[-1]

    fixed = {}
    for mode in ("fixed", "learned"):
        found = {start: last(mode, start) for start in sorted(deep_collapse.PUBLISHED[mode])}
        fixed = fixed or found
        for start, share in deep_collapse.PUBLISHED[mode].items():
            assert found[start]["collapsed"] == pytest.approx(share, abs=0.1)
    shares = [state["collapsed"] for state in fixed.values()]
    assert shares == sorted(shares)
    best = max(fixed.values(), key=lambda state: state["elbo"])
    for start in deep_collapse.STARTS:
        assert last("optimal", start)["collapsed"] <= best["collapsed"]
