"""Probabilistic PCA, by maximum likelihood in closed form."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self, cast

import numpy as np

from vae_tf import _checks
from vae_tf._checks import problem
from vae_tf.ppca._linear_gaussian import LinearGaussian
from vae_tf.ppca._moments import Moments
from vae_tf.ppca._seen import NotFittedError, Seen, check_sizes
from vae_tf.ppca._solvers import Solver
from vae_tf.ppca._spectrum import Curvature, Spectrum, StationaryPoint
from vae_tf.ppca.arrays import as_latents, as_rows


class PPCA:
    """Probabilistic PCA: the model x = W z + mean + sigma eps of greatest likelihood; z ~ N(0, I_q), eps ~ N(0, I_d).

    Let (lambda_j, u_j) be the eigenpairs of the covariance of the data (n in its denominator), lambda_1 the largest:

        sigma^2 = mean of the d - q smallest lambda_j,    W = U_q (Lambda_q - sigma^2 I)^(1/2).

    Data are `[n, d]` or `[n, *E]`, of any real dtype; d is the number of dimensions of one example. Everything is
    computed in float64. `fit` takes all data at once, `partial_fit` takes them in batches. The attributes whose names
    end in `_` exist after fitting; before, they raise a NotFittedError, which is a ValueError.

    The randomised solver finds the q leading eigenpairs only, for thousands of dimensions and few latents, from a
    random start to full precision: on MNIST, with q from 2 to 200 and three seeds, its sigma^2 differed by at most
    1e-14 of itself.

    Args:
        latent_dim: Number of latents q, below d.
        solver: "exact" works on the d x d covariance, or on the n x n matrix of inner products where `fit` sees n < d;
            "randomized" works on the data in `fit`, and on the covariance after `partial_fit` and `fit_covariance`.
        seed: Seed of the randomised solver.

    Raises:
        ValueError: For a latent_dim below 1, an unknown solver, or a seed that is no whole number in [0, 2^31).

    References:
        Tipping and Bishop 1999, "Probabilistic principal component analysis". Lucas et al. 2019, arXiv 1911.02469.
    """

    def __init__(self, latent_dim: int, *, solver: Literal["exact", "randomized"] = "exact", seed: int = 0) -> None:
        _checks.one_of("solver", solver, ("exact", "randomized"))
        self.latent_dim = _checks.positive_int("latent_dim", latent_dim)
        self.solver = solver
        self.seed = _checks.seed(seed)
        self._seen: Seen | None = None
        self._model: LinearGaussian | None = None  # also None after partial_fit, until it is asked for

    # --- fitting ----------------------------------------------------------------------------------------

    def fit(self, x: Any, y: Any = None) -> Self:
        """Fits the model to data `[n, d]` or `[n, *E]` and forgets earlier data; y is ignored.

        Raises:
            TypeError: If the data are not real numbers.
            ValueError: For latent_dim >= d or >= n, a single example, NaN or an infinity, and if sigma^2_MLE is 0,
                so that there is no maximum. An earlier fit then stays as it was.
        """
        return self._take(Seen.of_data(*as_rows(x), self._solver))

    def fit_covariance(self, covariance: Any, mean: Any = None, n: int | None = None) -> Self:
        """Fits the model to data of which only the covariance is at hand.

        Args:
            covariance: S `[d, d]`, n in its denominator: `np.cov(rows.T, ddof=0)`.
            mean: Mean of the data, `[d]`, or `[*E]` for images; 0 by default.
            n: Number of examples, if known.

        Raises:
            TypeError: If the arrays are not real numbers.
            ValueError: For a covariance that is not square, finite, symmetric and free of negative eigenvalues, for a
                mean of another size, and as `fit` does.
        """
        return self._take(Seen.of_covariance(covariance, mean, n, self._solver))

    def partial_fit(self, x: Any, y: Any = None) -> Self:
        """Adds a batch `[n, d]` or `[n, *E]` to the data so far; the memory is d x d, however many batches come.

        The eigenproblem is solved when a fitted attribute is first used. The errors that `fit` raises about latent_dim
        and sigma^2 are raised then. A batch may be smaller than latent_dim.

        Raises:
            TypeError: If the data are not real numbers.
            ValueError: For examples of another shape, no examples, NaN or an infinity, and after a fit that did not
                keep covariance and count: `fit` by the randomised solver, or `fit_covariance` without n.
        """
        rows, event_shape = as_rows(x, None if self._seen is None else self._seen.event_shape)
        moments = Moments(rows.shape[1]) if self._seen is None else self._seen.accumulated()
        self._seen, self._model = Seen.of_moments(moments, rows, event_shape), None
        return self

    def with_latent_dim(self, latent_dim: int) -> Self:
        """The fit to the same data with another number of latents; the eigenproblem is not solved again.

        Raises:
            ValueError: As `fit` does, and for more latents than the randomised solver looked for.
        """
        seen, other = self._solved(), copy.copy(self)
        other.latent_dim = _checks.positive_int("latent_dim", latent_dim)
        return other._take(seen)  # noqa: SLF001 - a copy of itself

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the constructor, for `sklearn.base.clone`."""
        return {"latent_dim": self.latent_dim, "solver": self.solver, "seed": self.seed}

    def set_params(self, **params: Any) -> Self:
        """Sets constructor arguments and forgets the fit."""
        self.__init__(**self.get_params() | params)  # type: ignore[misc]
        return self

    def __repr__(self) -> str:
        return f"PPCA({', '.join(f'{name}={value!r}' for name, value in self.get_params().items())})"

    # --- fitted attributes ------------------------------------------------------------------------------

    @property
    def model_(self) -> LinearGaussian:
        """The model of greatest likelihood."""
        if self._model is None:
            self._take(self._solved())
        return cast(LinearGaussian, self._model)

    @property
    def spectrum_(self) -> Spectrum:
        """The eigenpairs of the covariance of the data, with the values that follow from them."""
        return cast(Spectrum, self._solved().spectrum)

    @property
    def mean_(self) -> np.ndarray:
        """Mean of the data, `[d]`."""
        return self._fitted().mean

    @property
    def n_features_in_(self) -> int:
        """Number of dimensions d of one example."""
        return len(self.mean_)

    @property
    def n_samples_seen_(self) -> int | None:
        """Number of examples n; None after `fit_covariance` without n."""
        return self._fitted().count

    @property
    def sigma2_(self) -> float:
        """sigma^2_MLE, in squared units of x."""
        return self.model_.sigma2

    @property
    def loadings_(self) -> np.ndarray:
        """W `[d, q]`; its columns are orthogonal, the longest first."""
        return self.model_.loadings

    @property
    def components_(self) -> np.ndarray:
        """Principal axes `[q, d]`: orthonormal rows, each with its entry of largest magnitude positive."""
        return self.spectrum_.axes[: self.model_.latent_dim]

    @property
    def explained_variance_(self) -> np.ndarray:
        """Variance of the data along each principal axis, `[q]`: the leading eigenvalues, n in the denominator."""
        return self.spectrum_.eigenvalues[: self.model_.latent_dim]

    @property
    def eigenvalues_(self) -> np.ndarray:
        """All eigenvalues of the covariance `[d]`, largest first, or the q that the randomised solver found."""
        return self.spectrum_.eigenvalues

    @property
    def log_likelihood_(self) -> float:
        """Mean log p(x) of the training data in nats per example: the maximum, in closed form."""
        return float(self.spectrum_.log_likelihood(self.model_.latent_dim, self.model_.sigma2))

    # --- the model --------------------------------------------------------------------------------------

    def log_prob(self, x: Any) -> np.ndarray:
        """log p(x) in nats, `[n]`, not averaged, for data `[n, d]` or `[n, *E]`."""
        return self.model_.log_prob(self._rows(x))

    def score(self, x: Any) -> float:
        """Mean log p(x) in nats per example.

        The score of scikit-learn's `PCA` differs, because its covariance has n - 1 in the denominator and so is
        n / (n - 1) times this one (for a model fitted to n >= d examples). On the training data its score is lower by
        `d/2 [log(n / (n - 1)) - 1/n]`. After its `explained_variance_` and `noise_variance_` are multiplied by
        (n - 1) / n, the two scores are equal on any data. (Where n < d its noise variance is an average over fewer
        than d - q eigenvalues, and the models differ.)
        """
        return float(self.log_prob(x).mean())

    def transform(self, x: Any) -> np.ndarray:
        """E[z|x] = M^-1 W^T (x - mean), `[n, q]`, with M = W^T W + sigma^2 I."""
        return self.model_.posterior_mean(self._rows(x))

    def fit_transform(self, x: Any, y: Any = None) -> np.ndarray:
        """`fit(x).transform(x)`."""
        return self.fit(x).transform(x)

    def inverse_transform(self, z: Any) -> np.ndarray:
        """E[x|z] = W z + mean, `[n, *E]`, for latents `[n, q]`."""
        model = self.model_
        return self._events(as_latents(z, model.latent_dim) @ model.loadings.T + model.mean)

    def sample(self, num_samples: int, seed: int | None = None) -> np.ndarray:
        """Draws of x with its noise, `[num_samples, *E]`.

        All noise comes from `numpy.random.default_rng(seed)`, the latents first. With a seed of None every call
        draws anew.
        """
        model, num_samples = self.model_, _checks.positive_int("num_samples", num_samples)
        rng = np.random.default_rng(None if seed is None else _checks.seed(seed))
        x = rng.standard_normal((num_samples, model.latent_dim)) @ model.loadings.T + model.mean
        return self._events(x + math.sqrt(model.sigma2) * rng.standard_normal(x.shape))

    # --- what sigma decides -----------------------------------------------------------------------------

    def active_latents(self, sigma2: float) -> int:
        """The number of latents that survive at this sigma^2, `min(q, #{lambda_j > sigma^2})`; the others collapse."""
        return self.spectrum_.active(self.model_.latent_dim, sigma2)

    def log_likelihood_curve(self, sigma2: Any) -> np.ndarray:
        """The maximum over W of the mean log p(x) at each sigma^2, in nats per example, in the shape of sigma2."""
        return self.spectrum_.log_likelihood(self.model_.latent_dim, sigma2)

    def stationary_points(self, sigma2: float) -> Iterator[StationaryPoint]:
        """Every W at which the gradient of the mean log p(x) vanishes at this sigma^2, up to rotation of the latents.

        W = U_q (K - sigma^2 I)^(1/2) R: a column either keeps an eigenvalue above sigma^2, or is 0. The global maximum
        comes first, then the other points with as many columns that are not 0, then the points with fewer. Their
        number grows like a binomial coefficient, so they are built one at a time. (A repeated eigenvalue has many
        bases of eigenvectors; the one that the solver found stands for all of them.)

        Raises:
            ValueError: For sigma2 <= 0, or after the randomised solver.
        """
        return self.spectrum_.stationary_points(self.model_.latent_dim, sigma2)

    def stationary_point(self, sigma2: float, kept: Sequence[int]) -> StationaryPoint:
        """The stationary point whose columns keep the eigenpairs with these indices; 0 is the largest, () means W = 0.

        Raises:
            ValueError: For sigma2 <= 0, after the randomised solver, for indices that repeat or belong to eigenvalues
                that do not exceed sigma2, and for more than latent_dim indices.
        """
        return self.spectrum_.stationary_point(self.model_.latent_dim, sigma2, kept)

    def curvature(self, sigma2: float, kept: Sequence[int]) -> Curvature:
        """Second derivatives of the mean log p(x) at the stationary point that keeps these eigenpairs, `[q, d]`.

        The entry for column i moving along u_j is as follows, where k_i is the eigenvalue that column i keeps, or
        sigma^2 where the column is 0, and u_j is

            kept by no column:       (lambda_j - k_i) / (sigma^2 k_i)
            kept by another column:  -(k_i - sigma^2) / (k_i lambda_j)
            kept by column i:        -2 (lambda_i - sigma^2) / lambda_i^2

        The point is stable if and only if no entry is positive. That is so when the point keeps the largest
        eigenvalues and, if it has a zero column, sigma^2 is at least as large as every other eigenvalue.

        Raises:
            ValueError: As `stationary_point` does.
        """
        return self.spectrum_.curvature(self.model_.latent_dim, sigma2, kept)

    @property
    def _solver(self) -> Solver:
        return Solver(self.solver, self.latent_dim, self.seed)

    def _fitted(self) -> Seen:
        if self._seen is None:
            raise NotFittedError(
                problem("PPCA", expected="a fitted model", received="one without data", remedy="Call fit first.")
            )
        return self._seen

    def _solved(self) -> Seen:
        """The data with their spectrum. The spectrum is kept until more data come."""
        self._seen = self._fitted().solved(self._solver)
        return self._seen

    def _take(self, seen: Seen) -> Self:
        """Stores the data and their model of greatest likelihood. If there is no such model, nothing changes."""
        spectrum, q = cast(Spectrum, seen.spectrum), self.latent_dim
        check_sizes(q, spectrum.dims, seen.count)
        sigma2 = spectrum.sigma2(q)
        self._model = LinearGaussian(spectrum.loadings(q, sigma2, range(q)), seen.mean, sigma2)
        self._seen = seen
        return self

    def _rows(self, x: Any) -> np.ndarray:
        return as_rows(x, self._fitted().event_shape)[0]

    def _events(self, rows: np.ndarray) -> np.ndarray:
        return rows.reshape(-1, *self._fitted().event_shape)
