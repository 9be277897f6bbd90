"""`vae_tf.ppca.PPCA`: scikit-learn's conventions and numbers, shapes, batches, memory."""

import copy
import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from ppca_problems import D, N, Q, example
from sklearn.base import clone
from sklearn.decomposition import PCA

from vae_tf.ppca import PPCA, LinearGaussian, Spectrum
from vae_tf.ppca import _seen as seen_module


@pytest.fixture
def x():
    return example()


@pytest.fixture
def ppca(x):
    return PPCA(Q).fit(x)


class TestAgainstScikitLearn:
    def test_score(self, x, ppca):
        """On the training data, and on any once its variances are those of ddof = 0."""
        pca, other = PCA(Q).fit(x), x[:7] * 1.5
        shift = D / 2 * (np.log(N / (N - 1)) - 1 / N)
        assert pca.score(x) == pytest.approx(ppca.score(x) - shift, rel=1e-9)
        pca.explained_variance_ *= (N - 1) / N
        pca.noise_variance_ *= (N - 1) / N
        for data in (x, other):
            assert pca.score(data) == pytest.approx(ppca.score(data), rel=1e-9)
            assert pca.score_samples(data) == pytest.approx(ppca.log_prob(data), rel=1e-9)

    def test_covariance(self, x, ppca):
        covariance = ppca.loadings_ @ ppca.loadings_.T + ppca.sigma2_ * np.eye(D)
        assert covariance == pytest.approx(PCA(Q).fit(x).get_covariance() * (N - 1) / N, rel=1e-9, abs=1e-9)

    def test_attributes(self, x, ppca):
        pca = PCA(Q).fit(x)
        assert ppca.explained_variance_ == pytest.approx(pca.explained_variance_ * (N - 1) / N)
        assert np.abs(ppca.components_ @ pca.components_.T) == pytest.approx(np.eye(Q), abs=1e-9)
        assert ppca.mean_ == pytest.approx(pca.mean_)
        assert (ppca.n_features_in_, ppca.n_samples_seen_, ppca.latent_dim) == (D, N, Q)
        assert ppca.eigenvalues_.shape == (D,)


class TestShapes:
    def test_of_everything(self, x, ppca):
        assert ppca.log_prob(x).shape == (N,)
        assert ppca.transform(x).shape == (N, Q)
        assert ppca.inverse_transform(np.zeros((2, Q))).shape == (2, D)
        assert ppca.sample(4).shape == (4, D)
        assert (ppca.loadings_.shape, ppca.components_.shape) == ((D, Q), (Q, D))
        assert (ppca.curvature(0.5, ()).values.shape, ppca.curvature(0.5, ()).verdicts.shape) == ((Q, D), (Q, D))
        assert ppca.log_likelihood_curve(np.ones((2, 3))).shape == (2, 3)

    def test_images_come_back_as_images(self, x, ppca):
        images = PPCA(Q).fit(x.reshape(N, 2, 4, 1))
        assert images.sample(5, seed=0).shape == (5, 2, 4, 1)
        assert images.inverse_transform(images.transform(x.reshape(N, 2, 4, 1))).shape == (N, 2, 4, 1)
        assert images.log_prob(x) == pytest.approx(ppca.log_prob(x))  # flat rows will do
        by_covariance = PPCA(Q).fit_covariance(np.cov(x.T, ddof=0), x.mean(axis=0).reshape(2, 4, 1), n=N)
        assert by_covariance.sample(1).shape == (1, 2, 4, 1)
        assert by_covariance.log_likelihood_ == pytest.approx(images.log_likelihood_)

    @pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float32"])
    def test_any_dtype_is_computed_in_float64(self, x, dtype):
        levels = np.clip(np.round(10 * x) + 100, 0, 255).astype(dtype)
        whole, batches = PPCA(Q).fit(levels), PPCA(Q).partial_fit(levels[:9]).partial_fit(levels[9:])
        expected = PPCA(Q).fit(levels.astype(np.float64))
        for ppca in (whole, batches):
            assert ppca.log_prob(levels) == pytest.approx(expected.log_prob(levels), rel=1e-12)
            assert ppca.sample(2).dtype == ppca.transform(levels).dtype == np.float64

    def test_lists_will_do(self):
        assert PPCA(1).fit([[0, 1], [2, 0], [1, 1]]).sigma2_ > 0


class TestSample:
    def test_moments(self, ppca):
        """20,000 draws: each of 8 means and 36 covariances within 6 standard errors; fails one seed in 10^7."""
        draws, count = ppca.sample(20_000, seed=0), 20_000
        covariance = ppca.loadings_ @ ppca.loadings_.T + ppca.sigma2_ * np.eye(D)
        variance = np.diag(covariance)
        assert (np.abs(draws.mean(axis=0) - ppca.mean_) < 6 * np.sqrt(variance / count)).all()
        error = np.sqrt((np.outer(variance, variance) + covariance**2) / count)
        assert (np.abs(np.cov(draws.T) - covariance) < 6 * error).all()

    def test_latents_first_then_noise(self, ppca):
        rng = np.random.default_rng(3)
        z, noise = rng.standard_normal((4, Q)), rng.standard_normal((4, D))
        expected = ppca.inverse_transform(z) + np.sqrt(ppca.sigma2_) * noise
        assert ppca.sample(4, seed=3) == pytest.approx(expected)
        assert (ppca.sample(4) != ppca.sample(4)).all()


class TestBatches:
    def test_first_batches_may_be_small(self, x, ppca):
        parts = PPCA(Q)
        for row in x:
            assert parts.partial_fit(row[None]) is parts
        assert parts.log_prob(x) == pytest.approx(ppca.log_prob(x), rel=1e-9)

    def test_solved_once_and_only_when_asked(self, x, monkeypatch):
        calls, solve = [], seen_module.Solver.of_covariance
        monkeypatch.setattr(seen_module.Solver, "of_covariance", lambda *args: calls.append(1) or solve(*args))
        ppca = PPCA(Q).partial_fit(x[:2]).partial_fit(x[2:])
        assert (ppca.n_samples_seen_, len(ppca.mean_), len(calls)) == (N, D, 0)
        first = (ppca.sigma2_, ppca.log_likelihood_, ppca.active_latents(1.0), ppca.model_, ppca.with_latent_dim(2))
        assert len(calls) == 1
        assert ppca.partial_fit(x[:5] * 2).sigma2_ != first[0]
        assert len(calls) == 2
        assert first[4].sigma2_ == pytest.approx(PPCA(2).fit(x).sigma2_)  # more data for one are none for the other
        assert first[4].partial_fit(x).n_samples_seen_ == 2 * N
        assert first[4].sigma2_ == pytest.approx(PPCA(2).fit(x).sigma2_)

    @pytest.mark.parametrize("rows", [N, 5], ids=["n >= d", "n < d"])
    def test_goes_on_after_fit(self, x, ppca, rows):
        grown = PPCA(Q).fit(x[:rows])
        for batch in np.split(x[rows:], [1]) if rows < N else [x]:
            grown.partial_fit(batch)
        expected = PPCA(Q).fit(np.concatenate([x, x])) if rows == N else ppca
        assert grown.log_prob(x) == pytest.approx(expected.log_prob(x), rel=1e-9)
        assert grown.n_samples_seen_ == expected.n_samples_seen_

    def test_fit_forgets(self, x, ppca):
        assert PPCA(Q).partial_fit(x + 100).fit(x).log_likelihood_ == pytest.approx(ppca.log_likelihood_)

    def test_far_from_zero_nothing_cancels(self, x, ppca):
        """A mean 10^6 standard deviations away costs 10 digits of a naive sum of squares."""
        parts = PPCA(Q)
        for batch in np.split(x + 1e6, 6):
            parts.partial_fit(batch)
        assert parts.sigma2_ == pytest.approx(ppca.sigma2_, rel=1e-7)

    def test_memory_does_not_grow_with_n(self):
        def peak(batches):
            rng, ppca = np.random.default_rng(0), PPCA(4)
            tracemalloc.start()
            for _ in range(batches):
                ppca.partial_fit(rng.random((200, 100)))
            assert ppca.sigma2_ > 0
            size = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return size

        peak(1)  # what is loaded once
        assert peak(50) < 1.05 * peak(5)

    def test_pickles(self, x, ppca):
        assert pickle.loads(pickle.dumps(ppca)).score(x) == ppca.score(x)


class TestRandomized:
    def test_as_exact(self):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((200, 60)) * np.geomspace(10, 0.1, 60) @ np.linalg.qr(rng.standard_normal((60, 60)))[0]
        exact, data = PPCA(5).fit(x), PPCA(5, solver="randomized").fit(x)
        streamed = PPCA(5, solver="randomized").partial_fit(x[:90]).partial_fit(x[90:])
        for ppca in (data, streamed):
            assert ppca.sigma2_ == pytest.approx(exact.sigma2_, rel=1e-12)
            assert ppca.score(x) == pytest.approx(ppca.log_likelihood_, rel=1e-12)
            assert ppca.log_likelihood_ == pytest.approx(exact.log_likelihood_, abs=1e-9)
            np.testing.assert_allclose(ppca.components_, exact.components_, atol=1e-9)
            assert ppca.eigenvalues_.shape == (5,)
        again, other = (PPCA(5, solver="randomized", seed=seed).fit(x) for seed in (0, 1))
        assert (again.components_ == data.components_).all()
        assert (other.components_ != data.components_).any()

    def test_equal_eigenvalues_are_all_found(self):
        """Which a Krylov space of one vector holds once, and rounding brings back."""
        axes = np.linalg.qr(np.random.default_rng(0).standard_normal((60, 60)))[0]
        covariance = axes * np.repeat([5.0, 1.0], [4, 56]) @ axes.T
        ppca = PPCA(5, solver="randomized").fit_covariance(covariance)
        np.testing.assert_allclose(ppca.eigenvalues_, [5, 5, 5, 5, 1], rtol=1e-12)
        np.testing.assert_allclose(ppca.spectrum_.axes @ ppca.spectrum_.axes.T, np.eye(5), atol=1e-12)

    def test_it_knows_no_full_spectrum(self, x):
        ppca = PPCA(2, solver="randomized").fit(x)
        message = r'all 8 eigenvalues, received the 2 .*solver="exact"'
        with pytest.raises(ValueError, match=message):
            ppca.stationary_points(1.0)
        with pytest.raises(ValueError, match=message):
            ppca.curvature(1.0, ())
        with pytest.raises(ValueError, match=message):
            ppca.spectrum_.covariance()
        with pytest.raises(ValueError, match="latent_dim=3: expected all 8 eigenvalues"):
            ppca.with_latent_dim(3)
        with pytest.raises(ValueError, match="Give a new PPCA all data through partial_fit"):
            ppca.partial_fit(x)


def test_stationary_points_are_lazy():
    """There are 2^40 or so of them, the maximum first; and the fit says where each comes from."""
    ppca = PPCA(40).fit(np.random.default_rng(0).standard_normal((300, 80)))
    points = ppca.stationary_points(ppca.eigenvalues_[60])
    first, second = next(points), next(points)
    assert first.kept == tuple(range(40))
    assert second.kept == (*range(39), 40)
    assert (first.stable, second.stable) == (True, False)
    assert isinstance(ppca.model_, LinearGaussian)
    assert isinstance(ppca.spectrum_, Spectrum)
    assert ppca.spectrum_.trace == pytest.approx(ppca.eigenvalues_.sum())


def test_no_tensorflow():
    code = "import sys; from vae_tf.ppca import PPCA; PPCA(1).fit([[0, 1], [2, 0], [1, 1]]); print(sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'vae_tf.ppca'" in modules
    assert not any(f"'{name}'" in modules for name in ("tensorflow", "tf_keras", "tensorflow_probability", "sklearn"))


def test_scikit_learn_clones_it():
    x = np.random.default_rng(0).normal(size=(50, 4)) * [3, 2, 1, 1]
    assert PPCA(2).fit_transform(x) == pytest.approx(PPCA(2).fit(x).transform(x))
    twin = clone(PPCA(3, solver="randomized", seed=7).fit(x))
    assert repr(twin) == "PPCA(latent_dim=3, solver='randomized', seed=7)"
    assert not hasattr(twin, "sigma2_")
    assert repr(twin.set_params(latent_dim=2)) == "PPCA(latent_dim=2, solver='randomized', seed=7)"


def test_a_copy_does_not_share_what_comes_later():
    x = np.random.default_rng(0).normal(size=(50, 4))
    first = PPCA(2).partial_fit(x[:20])
    twin, other = copy.copy(first), first.with_latent_dim(1)
    twin.partial_fit(x[20:])
    other.partial_fit(x[20:])
    assert first.sigma2_ == pytest.approx(PPCA(2).fit(x[:20]).sigma2_, rel=1e-12)
    assert twin.sigma2_ == pytest.approx(PPCA(2).fit(x).sigma2_, rel=1e-12)
    assert other.sigma2_ == pytest.approx(PPCA(1).fit(x).sigma2_, rel=1e-12)


def test_chunks_change_nothing(monkeypatch):
    """Rows are converted, and scored, so many at a time."""
    x = np.random.default_rng(0).normal(size=(50, 4))
    whole = PPCA(2).fit(x)
    expected = whole.sigma2_, whole.log_prob(x)
    monkeypatch.setattr("vae_tf.ppca._moments._NUMBERS", 28)
    monkeypatch.setattr("vae_tf.ppca._linear_gaussian._ROWS", 7)
    parts = PPCA(2).fit(x)
    assert parts.sigma2_ == pytest.approx(expected[0], rel=1e-12)
    assert parts.log_prob(x) == pytest.approx(expected[1], rel=1e-12)
