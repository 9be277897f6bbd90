"""The theory of pPCA on random data: eigenpairs known beforehand, densities by scipy, maxima found by search."""

import math

import numpy as np
import pytest
from hypothesis import given
from ppca_problems import KINDS, SETTINGS, build, problems
from scipy import optimize, stats

from vae_tf.ppca import PPCA, LinearGaussian


def close(expected, scale=1.0):
    """Within 1e-9 of the scale."""
    return pytest.approx(expected, rel=1e-9, abs=1e-9 * scale)


def mean_log_prob(covariance, loadings, sigma2):
    """-1/2 [d log 2 pi + log|C| + tr(C^-1 S)], by numpy."""
    model = loadings @ loadings.T + sigma2 * np.eye(len(covariance))
    trace = np.trace(np.linalg.solve(model, covariance))
    return -0.5 * (len(covariance) * math.log(2 * math.pi) + np.linalg.slogdet(model)[1] + trace)


def gradients(covariance, loadings, sigma2):
    """Of the mean log p(x) by W and by sigma^2: with G = C^-1 S C^-1 - C^-1 they are G W and tr(G) / 2."""
    inverse = np.linalg.inv(loadings @ loadings.T + sigma2 * np.eye(len(covariance)))
    gradient = inverse @ covariance @ inverse - inverse
    return gradient @ loadings, np.trace(gradient) / 2


class TestMaximum:
    @SETTINGS
    @given(problems())
    def test_eigenpairs(self, problem):
        ppca = PPCA(problem.latent_dim).fit(problem.x)
        covariance = np.cov(problem.x.T, ddof=0)
        assert ppca.eigenvalues_ == close(problem.eigenvalues, problem.scale)
        assert ppca.eigenvalues_ == close(np.linalg.eigvalsh(covariance)[::-1], problem.scale)
        assert ppca.explained_variance_ == close(problem.eigenvalues[: problem.latent_dim], problem.scale)
        assert ppca.mean_ == close(problem.x.mean(axis=0), math.sqrt(problem.scale))
        axes = ppca.components_
        assert axes @ axes.T == close(np.eye(problem.latent_dim))
        assert axes @ covariance == close(ppca.explained_variance_[:, None] * axes, problem.scale)
        assert (axes[range(len(axes)), np.abs(axes).argmax(axis=1)] > 0).all()

    @SETTINGS
    @given(problems())
    def test_sigma2_and_loadings(self, problem):
        q, ppca = problem.latent_dim, PPCA(problem.latent_dim).fit(problem.x)
        assert ppca.sigma2_ == close(problem.eigenvalues[q:].mean(), problem.scale)
        lengths = np.sqrt(np.maximum(ppca.explained_variance_ - ppca.sigma2_, 0))
        assert ppca.loadings_ == close(ppca.components_.T * lengths, math.sqrt(problem.scale))
        model = ppca.loadings_ @ ppca.loadings_.T + ppca.sigma2_ * np.eye(problem.dims)
        variances = np.where(np.arange(problem.dims) < q, problem.eigenvalues, ppca.sigma2_)
        assert np.linalg.eigvalsh(model)[::-1] == close(variances, problem.scale)

    @SETTINGS
    @given(problems())
    def test_log_likelihood(self, problem):
        """The sum over eigenvalues, the formula in general, and the mean over examples are one number."""
        q, dims, ppca = problem.latent_dim, problem.dims, PPCA(problem.latent_dim).fit(problem.x)
        sigma2 = problem.eigenvalues[q:].mean()
        logs = np.log(problem.eigenvalues[:q]).sum() + (dims - q) * math.log(sigma2)
        assert ppca.log_likelihood_ == close(-0.5 * (dims * math.log(2 * math.pi) + logs + dims), dims)
        assert ppca.log_likelihood_ == close(mean_log_prob(problem.covariance, ppca.loadings_, ppca.sigma2_), dims)
        assert ppca.log_likelihood_ == close(ppca.score(problem.x), dims)
        assert ppca.log_likelihood_ == close(ppca.log_likelihood_curve(ppca.sigma2_), dims)

    @SETTINGS
    @given(problems())
    def test_log_prob(self, problem):
        """Against scipy's density, on the data and far from them."""
        ppca = PPCA(problem.latent_dim).fit(problem.x)
        covariance = ppca.loadings_ @ ppca.loadings_.T + ppca.sigma2_ * np.eye(problem.dims)
        x = np.concatenate([problem.x, problem.rng.normal(size=(5, problem.dims)) * 3 * math.sqrt(problem.scale)])
        assert ppca.log_prob(x) == close(stats.multivariate_normal(ppca.mean_, covariance).logpdf(x), problem.dims)

    @SETTINGS
    @given(problems())
    def test_it_is_a_maximum(self, problem):
        """Both gradients are 0, and whatever is near is worse."""
        ppca, rng = PPCA(problem.latent_dim).fit(problem.x), problem.rng
        by_loadings, by_sigma2 = gradients(problem.covariance, ppca.loadings_, ppca.sigma2_)
        assert by_loadings == close(0 * by_loadings, math.sqrt(problem.scale) / ppca.sigma2_)
        assert by_sigma2 == close(0.0, problem.dims * problem.scale / ppca.sigma2_**2)
        for size in (1e-3, 0.1, 1.0):
            loadings = ppca.loadings_ + size * math.sqrt(problem.scale) * rng.normal(size=ppca.loadings_.shape)
            sigma2 = ppca.sigma2_ * math.exp(size * rng.normal())
            assert mean_log_prob(problem.covariance, loadings, sigma2) <= ppca.log_likelihood_ + 1e-9

    @SETTINGS
    @given(problems())
    def test_the_posterior(self, problem):
        """E[z|x] from the joint normal of z and x; and what transform maps back are projections."""
        ppca = PPCA(problem.latent_dim).fit(problem.x)
        centred, loadings = problem.x - problem.x.mean(axis=0), ppca.loadings_
        covariance = loadings @ loadings.T + ppca.sigma2_ * np.eye(problem.dims)
        z = ppca.transform(problem.x)
        assert z == close(np.linalg.solve(covariance, centred.T).T @ loadings, 1.0)
        shrunk = (1 - ppca.sigma2_ / ppca.explained_variance_) * (centred @ ppca.components_.T)
        expected = shrunk @ ppca.components_ + ppca.mean_
        assert ppca.inverse_transform(z) == close(expected, math.sqrt(problem.scale))


class TestFixedSigma:
    @SETTINGS
    @given(problems())
    def test_active_latents(self, problem):
        ppca = PPCA(problem.latent_dim).fit(problem.x)
        for sigma2 in problem.between():
            columns = np.linalg.norm(next(ppca.stationary_points(sigma2)).loadings, axis=0)
            active = min(problem.latent_dim, int((problem.eigenvalues > sigma2).sum()))
            assert ppca.active_latents(sigma2) == active
            assert (columns > 0).tolist() == [i < active for i in range(problem.latent_dim)]

    @SETTINGS
    @given(problems())
    def test_the_curve_is_the_best_stationary_point(self, problem):
        ppca, grid = PPCA(problem.latent_dim).fit(problem.x), problem.between(4).reshape(2, 2)
        curve = ppca.log_likelihood_curve(grid)
        assert curve.shape == (2, 2)
        assert (curve <= ppca.log_likelihood_ + 1e-9).all()
        for sigma2, value in zip(grid.flat, curve.flat, strict=True):
            points = list(ppca.stationary_points(sigma2))
            assert points[0].log_likelihood == close(value, problem.dims)
            assert max(point.log_likelihood for point in points) <= value + 1e-9
            loadings = problem.rng.normal(size=(problem.dims, problem.latent_dim)) * math.sqrt(problem.scale)
            assert mean_log_prob(problem.covariance, loadings, sigma2) <= value + 1e-9

    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "n < d"])
    def test_the_curve_is_what_a_search_finds(self, kind):
        """BFGS over W from random starts, with the gradient above."""
        problem = build(kind, 4)
        q, ppca = problem.latent_dim, PPCA(problem.latent_dim).fit(problem.x)
        for sigma2 in problem.between(2):

            def loss(flat, sigma2=sigma2):
                loadings = flat.reshape(problem.dims, q)
                slope = gradients(problem.covariance, loadings, sigma2)[0]
                return -mean_log_prob(problem.covariance, loadings, sigma2), -slope.ravel()

            start = math.sqrt(problem.scale) * problem.rng.normal(size=problem.dims * q)
            found = -optimize.minimize(loss, start, jac=True, method="L-BFGS-B").fun
            assert found == pytest.approx(ppca.log_likelihood_curve(sigma2), abs=1e-4)

    @SETTINGS
    @given(problems())
    def test_stationary_points(self, problem):
        """As many as there are choices; each has the likelihood it says, rotated or not, and no gradient."""
        ppca, sigma2 = PPCA(problem.latent_dim).fit(problem.x), problem.between(1)[0]
        above = int((problem.eigenvalues > sigma2).sum())
        points = list(ppca.stationary_points(sigma2))
        sizes = range(min(problem.latent_dim, above) + 1)
        rotation = np.linalg.qr(problem.rng.normal(size=(problem.latent_dim, problem.latent_dim)))[0]
        assert len({point.kept for point in points}) == len(points) == sum(math.comb(above, size) for size in sizes)
        for point in points:
            for loadings in (point.loadings, point.loadings @ rotation):
                assert mean_log_prob(problem.covariance, loadings, sigma2) == close(point.log_likelihood, problem.dims)
                slope = gradients(problem.covariance, loadings, sigma2)[0]
                assert slope == close(0 * slope, math.sqrt(problem.scale) * problem.scale / sigma2**2)


class TestCurvature:
    @SETTINGS
    @given(problems())
    def test_finite_differences(self, problem):
        """Of the mean log p(x), at three stationary points, along every eigenvector for every column."""
        ppca, sigma2 = PPCA(problem.latent_dim).fit(problem.x), problem.between(1)[0]
        points = list(ppca.stationary_points(sigma2))
        vectors = np.linalg.eigh(problem.covariance)[1][:, ::-1].T
        if len(ppca.spectrum_.axes) == problem.dims:
            vectors = ppca.spectrum_.axes  # those of repeated eigenvalues are not unique
        for index in {0, len(points) // 2, len(points) - 1}:
            differences = second_differences(problem.covariance, points[index].loadings, sigma2, vectors)
            values = points[index].curvature.values
            assert values == pytest.approx(differences, rel=1e-3, abs=1e-4 * np.abs(differences).max())

    @SETTINGS
    @given(problems())
    def test_only_the_global_maximum_is_stable(self, problem):
        """And so is what ties with it, where eigenvalues repeat."""
        ppca, sigma2 = PPCA(problem.latent_dim).fit(problem.x), problem.between(1)[0]
        best = ppca.log_likelihood_curve(sigma2)
        for point in ppca.stationary_points(sigma2):
            assert point.stable == (point.log_likelihood > best - 1e-9)
            verdicts = point.curvature.verdicts
            assert point.stable == ("unstable" not in verdicts)
            assert ((verdicts == "stable") == (point.curvature.values < 0)).all()

    @SETTINGS
    @given(problems())
    def test_no_mixture_of_directions_decides_otherwise(self, problem):
        """No eigenvalue of the whole Hessian, `[d q, d q]`, is above what single directions have, or above 0."""
        ppca, sigma2 = PPCA(problem.latent_dim).fit(problem.x), problem.between(1)[0]
        points = list(ppca.stationary_points(sigma2))
        for point in points[:: max(1, len(points) // 4)]:
            step, moves = 1e-4 * math.sqrt(sigma2), np.eye(point.loadings.size).reshape(-1, *point.loadings.shape)
            slopes = [
                [
                    gradients(problem.covariance, point.loadings + side * move, sigma2)[0].ravel()
                    for move in step * moves
                ]
                for side in (1, -1)
            ]
            hessian = (np.array(slopes[0]) - np.array(slopes[1])) / (2 * step)
            largest = np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1]
            if point.stable:
                assert largest <= 1e-5 * np.abs(hessian).max()
            else:
                assert largest == pytest.approx(point.curvature.values.max(), rel=1e-3)

    def test_flat_directions(self):
        """Two equal eigenvalues: the axis may turn between them. Two equal to sigma^2: a column may start to grow."""
        ppca = PPCA(2).fit_covariance(np.diag([4.0, 4.0, 1.0, 0.5]))
        assert ppca.curvature(2.0, (1,)).verdicts.tolist() == [
            ["flat", "stable", "stable", "stable"],
            ["unstable", "flat", "stable", "stable"],
        ]
        assert ppca.curvature(1.0, (0, 1)).verdicts[:, 2].tolist() == ["stable", "stable"]
        assert ppca.curvature(1.0, (0,)).verdicts[1].tolist() == ["flat", "unstable", "flat", "stable"]


def second_differences(covariance, loadings, sigma2, vectors):
    """(f(h) - 2 f(0) + f(-h)) / h^2 of the mean log p(x), `[q, d]`."""
    mean, step = np.zeros(len(covariance)), 1e-3 * math.sqrt(sigma2)

    def value(moved):
        return LinearGaussian(moved, mean, sigma2).expected_log_prob(covariance)

    result = np.zeros((loadings.shape[1], len(vectors)))
    for column, axis in np.ndindex(result.shape):
        move = np.zeros_like(loadings)
        move[:, column] = step * vectors[axis]
        result[column, axis] = (value(loadings + move) - 2 * value(loadings) + value(loadings - move)) / step**2
    return result


class TestBound:
    @SETTINGS
    @given(problems())
    def test_the_best_encoder_at_the_maximum(self, problem):
        """The gap is 0, d_i = sigma^2 / lambda_i, V and the mean KL are what the eigenvalues say."""
        ppca = PPCA(problem.latent_dim).fit(problem.x)
        weights, variance = ppca.model_.optimal_encoder()
        variances, sigma2 = ppca.explained_variance_, ppca.sigma2_
        assert variance == close(sigma2 / variances)
        lengths = np.sqrt(np.maximum(variances - sigma2, 0)) / variances
        assert weights == close(ppca.components_ * lengths[:, None], 1 / math.sqrt(sigma2))
        spread = np.trace(weights @ problem.covariance @ weights.T)
        kl = 0.5 * (np.sum(variance - np.log(variance) - 1) + spread)
        assert kl == close(0.5 * np.log(variances / sigma2).sum(), problem.dims)
        assert ppca.model_.gap() == close(0.0)
        elbo = ppca.model_.expected_elbo(problem.covariance, weights, variance)
        assert elbo == close(ppca.log_likelihood_, problem.dims)

    @SETTINGS
    @given(problems())
    def test_the_gap_is_zero_for_principal_axes_only(self, problem):
        """A rotation leaves log p(x) and opens the gap 1/2 (sum log M_ii - log|M|), unless W^T W stays diagonal."""
        ppca, rng = PPCA(problem.latent_dim).fit(problem.x), problem.rng
        rotation = np.linalg.qr(rng.normal(size=(problem.latent_dim, problem.latent_dim)))[0]
        rotated = LinearGaussian(ppca.loadings_ @ rotation, ppca.mean_, ppca.sigma2_)
        assert rotated.log_prob(problem.x) == close(ppca.log_prob(problem.x), problem.dims)
        precision = rotated.loadings.T @ rotated.loadings + ppca.sigma2_ * np.eye(problem.latent_dim)
        gap = 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])
        assert rotated.gap() == close(gap)
        off_diagonal = np.abs(precision - np.diag(np.diag(precision))).max()
        assert gap >= -1e-12
        assert (gap > 1e-9) == (off_diagonal > 1e-3 * ppca.sigma2_)
        elbo = rotated.expected_elbo(problem.covariance, *rotated.optimal_encoder())
        assert ppca.log_likelihood_ - elbo == close(gap, problem.dims)


class TestBatches:
    @SETTINGS
    @given(problems())
    def test_batches_of_any_size_make_one_fit(self, problem):
        whole, parts = PPCA(problem.latent_dim).fit(problem.x), PPCA(problem.latent_dim)
        cuts = np.sort(problem.rng.integers(1, len(problem.x), 3))
        for batch in np.split(problem.x, np.unique(cuts)):
            parts.partial_fit(batch)
        covariance = PPCA(problem.latent_dim).fit_covariance(problem.covariance, problem.x.mean(axis=0))
        for other in (parts, covariance):
            assert other.sigma2_ == close(whole.sigma2_, problem.scale)
            assert other.log_likelihood_ == close(whole.log_likelihood_, problem.dims)
            if (
                problem.kind != "repeated eigenvalues"
            ):  # where the q-th may equal the next, and any axis between will do
                assert other.log_prob(problem.x) == close(whole.log_prob(problem.x), problem.dims)
        assert parts.n_samples_seen_ == len(problem.x)
