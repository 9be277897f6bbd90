"""`vae_tf.ppca`: one clear error for each misuse, and a fit that survives it."""

import numpy as np
import pytest
from ppca_problems import D, N, Q, example

from vae_tf.ppca import PPCA
from vae_tf.ppca.arrays import check_covariance


@pytest.fixture
def x():
    return example()


@pytest.fixture
def ppca(x):
    return PPCA(Q).fit(x)


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({"latent_dim": 0}, "latent_dim: expected a whole number of at least 1"),
            ({"latent_dim": 2.0}, "latent_dim"),
            ({"latent_dim": 2, "solver": "svd"}, "solver: expected one of 'exact', 'randomized'"),
            ({"latent_dim": 2, "seed": -1}, "seed"),
        ],
    )
    def test_construction(self, arguments, match):
        with pytest.raises(ValueError, match=match):
            PPCA(**arguments)

    @pytest.mark.parametrize("name", ["mean_", "sigma2_", "components_", "n_samples_seen_", "spectrum_"])
    def test_before_fit(self, name):
        with pytest.raises(ValueError, match="PPCA: expected a fitted model"):
            getattr(PPCA(2), name)

    @pytest.mark.parametrize("solver", ["exact", "randomized"])
    @pytest.mark.parametrize(
        ("latent_dim", "rows", "match"),
        [
            (D, N, f"latent_dim: expected fewer latents than the {D} dimensions"),
            (D + 9, N, f"latent_dim: expected fewer latents than the {D} dimensions"),
            (5, 5, "latent_dim: expected fewer latents than the 5 examples: .* unbounded"),
            (4, 5, "sigma\\^2_MLE at latent_dim=4: .* grows without bound, .* rank 4"),
            (1, 1, "latent_dim: expected fewer latents than the 1 examples"),
        ],
    )
    def test_too_many_latents(self, x, ppca, solver, latent_dim, rows, match):
        """Of `fit` at once, and the earlier fit stays; of `partial_fit` on first use."""
        fitted = PPCA(Q, solver=solver).fit(x)
        before, fitted.latent_dim = fitted.sigma2_, latent_dim
        with pytest.raises(ValueError, match=match):
            fitted.fit(x[:rows])
        assert (fitted.sigma2_, fitted.n_samples_seen_) == (before, N)
        lazy = PPCA(latent_dim, solver=solver).partial_fit(x[:rows])
        assert lazy.n_samples_seen_ == rows
        with pytest.raises(ValueError, match=match):
            _ = lazy.sigma2_
        if rows < N:
            enough = lazy.partial_fit(x[rows:])
            assert enough.sigma2_ == pytest.approx(PPCA(latent_dim).fit(x).sigma2_, rel=1e-3)

    @pytest.mark.parametrize("solver", ["exact", "randomized"])
    def test_data_without_noise(self, solver):
        rank_two = np.random.default_rng(0).standard_normal((30, 2)) @ np.eye(2, 6)
        with pytest.raises(ValueError, match="grows without bound"):
            PPCA(2, solver=solver).fit(rank_two)
        with pytest.raises(ValueError, match="grows without bound"):
            PPCA(1, solver=solver).fit(np.ones((30, 6)))
        assert PPCA(1, solver=solver).fit(rank_two).sigma2_ > 0

    @pytest.mark.parametrize(
        ("bad", "error", "match"),
        [
            (np.full((4, D), np.nan), ValueError, "data: expected finite numbers, received 32 NaN"),
            (np.full((4, D), np.inf), ValueError, "finite"),
            (np.zeros(D), ValueError, r"shape \(8,\)\. Give a single example a first axis"),
            (np.zeros((0, D)), ValueError, "at least one number"),
            (np.zeros((4, 0)), ValueError, "at least one number"),
            (np.full((4, D), "a"), TypeError, "real numbers"),
            (np.zeros((4, D), complex), TypeError, "real numbers"),
        ],
    )
    def test_bad_data(self, x, ppca, bad, error, match):
        before = ppca.sigma2_
        for method in (ppca.fit, ppca.partial_fit, ppca.log_prob, ppca.score, ppca.transform):
            with pytest.raises(error, match=match):
                method(bad)
        assert (ppca.sigma2_, ppca.n_samples_seen_) == (before, N)

    def test_another_shape(self, x, ppca):
        for method in (ppca.partial_fit, ppca.log_prob, ppca.transform):
            with pytest.raises(ValueError, match=r"examples of shape \(8,\), received shape \(4, 2\)"):
                method(x.reshape(N, 4, 2))
            with pytest.raises(ValueError, match=r"received shape \(7,\)"):
                method(x[:, 1:])
        with pytest.raises(ValueError, match=r"z: expected shape \[n, 3\]"):
            ppca.inverse_transform(np.zeros((2, 4)))
        with pytest.raises(ValueError, match="num_samples"):
            ppca.sample(0)

    @pytest.mark.parametrize("sigma2", [0.0, -1.0, np.nan, np.inf, None, "1"])
    def test_sigma2(self, ppca, sigma2):
        calls = [ppca.active_latents, ppca.log_likelihood_curve, ppca.stationary_points]
        for call in [*calls, lambda s: ppca.curvature(s, ()), lambda s: ppca.stationary_point(s, ())]:
            with pytest.raises(ValueError, match=r"sigma2: expected (a )?finite numbers? above 0"):
                call(sigma2)
        with pytest.raises(ValueError, match="sigma2"):
            ppca.log_likelihood_curve([1.0, sigma2])

    @pytest.mark.parametrize("kept", [(0, 0), (0, 1, 2, 3), (-1,), (7,), (0.5,)])
    def test_kept(self, ppca, kept):
        sigma2 = ppca.eigenvalues_[5]
        with pytest.raises(ValueError, match="kept: expected at most 3 different indices below 5"):
            ppca.stationary_point(sigma2, kept)


class TestCovariance:
    @pytest.mark.parametrize(
        ("bad", "match"),
        [
            (np.ones((3, 2)), r"a square array \[d, d\], received shape \(3, 2\)"),
            (np.ones(3), "square"),
            (np.zeros((0, 0)), "square"),
            (np.diag([1.0, np.nan, 1.0]), "finite"),
            (
                np.array([[1.0, 0.1], [0.2, 1.0]]),
                "a symmetric array, received mirrored entries that differ by up to 0.1",
            ),
            (np.array([[1.0, 0.1], [0.1 + 1e-7, 1.0]]), "a symmetric array, received mirrored entries that differ by"),
            (np.array([[1.0, 2.0], [2.0, 1.0]]), "no negative eigenvalue, received an eigenvalue of -1"),
        ],
    )
    def test_errors(self, bad, match):
        for check in (check_covariance, PPCA(1).fit_covariance):
            with pytest.raises(ValueError, match=f"covariance: expected .*{match}|covariance: expected {match}"):
                check(bad)

    def test_rounding_is_forgiven(self, x):
        covariance = np.cov(x.T, ddof=0)
        tilted = covariance * (1 + 1e-12 * np.triu(np.ones((D, D)), 1))
        assert (check_covariance(tilted) == check_covariance(tilted).T).all()
        singular = np.cov(x[:4].T.astype(np.float32), dtype=np.float32)
        assert np.linalg.eigvalsh(check_covariance(singular))[0] == pytest.approx(0, abs=1e-4)

    def test_fit(self, x, ppca):
        fitted = PPCA(Q).fit_covariance(np.cov(x.T, ddof=0), x.mean(axis=0), n=N)
        assert fitted.log_prob(x) == pytest.approx(ppca.log_prob(x), rel=1e-9)
        assert fitted.partial_fit(x[:5]).n_samples_seen_ == N + 5
        unknown = PPCA(Q).fit_covariance(np.cov(x.T, ddof=0))
        assert unknown.n_samples_seen_ is None
        assert (unknown.mean_ == 0).all()
        with pytest.raises(ValueError, match="fit_covariance without n"):
            unknown.partial_fit(x)

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [({"mean": np.zeros(3)}, "mean: expected 8 numbers"), ({"n": Q}, "3 examples"), ({"n": 0}, "n: ")],
    )
    def test_other_arguments(self, x, arguments, match):
        with pytest.raises(ValueError, match=match):
            PPCA(Q).fit_covariance(np.cov(x.T, ddof=0), **arguments)
