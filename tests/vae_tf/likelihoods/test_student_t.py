"""StudentT: its limit, its optimal scale, and degrees of freedom that it refuses."""

import numpy as np
import pytest
from models import SHAPE
from scipy import optimize, stats

from vae_tf.likelihoods import Gaussian, StudentT
from vae_tf_onnx.families import continuous as twins


def test_student_t_has_no_equivalence_and_tends_to_the_gaussian():
    mean, x = (np.random.default_rng(seed).normal(size=(3, *SHAPE)).astype(np.float32) for seed in (0, 1))
    likelihood = StudentT(SHAPE, df=1e8, scale=0.5)
    assert likelihood.equivalence() is None
    np.testing.assert_allclose(likelihood(mean).log_prob(x), Gaussian(SHAPE, scale=0.5)(mean).log_prob(x), rtol=1e-5)


def test_optimal_student_t_scale_comes_to_rest_at_the_maximum_likelihood():
    x = stats.t.rvs(3.0, scale=0.02, size=(500, 4), random_state=0).astype(np.float32)
    likelihood = StudentT((4,), df=3.0, scale="optimal", decay=0.0)
    for _ in range(60):
        p = likelihood.update(likelihood(np.zeros_like(x)), x)
    search = optimize.minimize_scalar(
        lambda scale: -stats.t.logpdf(x.astype(np.float64), 3, 0, scale).sum(), (0.01, 0.03), tol=1e-8
    )
    best = search.x
    assert float(likelihood.scale) == pytest.approx(best, rel=1e-4)
    np.testing.assert_allclose(p.log_prob(x), stats.t.logpdf(x, 3, 0, best).sum(axis=1), rtol=1e-3)


@pytest.mark.parametrize("df", [1.0, 0.5, -3, float("nan"), "3", None, True])
def test_bad_degrees_of_freedom(df):
    with pytest.raises(ValueError, match="df: expected"):
        StudentT(SHAPE, df=df)


def test_twin_of_a_student_t_with_many_degrees_of_freedom():
    x, parameters = np.full((1, 1), 0.7, np.float32), {key: np.ones((1, 1), np.float32) for key in ("mean", "scale")}
    for df in (1.01, 3.0, 199.9, 200.1, 1e4, 1e12):
        ours = twins.student_t({"df": df}).log_prob(x, parameters)
        np.testing.assert_allclose(ours, StudentT((1,), df=df, scale=1.0)(x * 0 + 1).log_prob(x)[None], rtol=1e-6)
