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
    """The linear-Gaussian model x = W z + mean + sigma eps of greatest likelihood; z ~ N(0, I_q), eps ~ N(0, I_d).

    With (lambda_j, u_j) the eigenpairs of the covariance of the data (n in its denominator), lambda_1 the largest,

        sigma^2 = mean of the d - q smallest lambda_j,    W = U_q (Lambda_q - sigma^2 I)^(1/2).

    Data are `[n, d]` or `[n, *E]`, of any real dtype; d counts the numbers of one example, and everything is computed
    in float64. `fit` takes all data at once, `partial_fit` in batches. Using what ends in `_` before raises a
    NotFittedError, a ValueError.

    The randomized solver finds the q leading eigenpairs only, for thousands of dimensions and few latents, from a
    random start to full precision: on MNIST, with q from 2 to 200 and three seeds, its sigma^2 differed by at most
    1e-14 of itself.

    Args:
        latent_dim: number of latents q, below d.
        solver: "exact" takes the d x d covariance, or the n x n matrix of inner products where `fit` sees n < d;
            "randomized" takes the data in `fit`, and the covariance after the other two.
        seed: of the randomized solver.

    Raises:
        ValueError: for a latent_dim below 1, another solver, or a seed that is none.

    References:
        Tipping and Bishop 1999, "Probabilistic principal component analysis". Lucas et al. 2019, arXiv 1911.02469.
    """

    def __init__(self, latent_dim: int, *, solver: Literal["exact", "randomized"] = "exact", seed: int = 0) -> None:
        _checks.one_of("solver", solver, ("exact", "randomized"))
        self.latent_dim = _checks.positive_int("latent_dim", latent_dim)
        self.solver = solver
        self.seed = _checks.seed(seed)
        self._seen: Seen | None = None
        self._model: LinearGaussian | None = None  # after partial_fit, until it is asked for

    # --- fitting ----------------------------------------------------------------------------------------

    def fit(self, x: Any, y: Any = None) -> Self:
        """Fits the model to data `[n, d]` or `[n, *E]`, forgetting earlier ones; y is ignored.

        Raises:
            TypeError: for data that are no real numbers.
            ValueError: for latent_dim >= d or >= n, a single example, NaN or an infinity, and where sigma^2_MLE is 0,
                so that there is no maximum. An earlier fit then stays as it was.
        """
        return self._take(Seen.of_data(*as_rows(x), self._solver))

    def fit_covariance(self, covariance: Any, mean: Any = None, n: int | None = None) -> Self:
        """Fits the model to data of which only the covariance is at hand.

        Args:
            covariance: S `[d, d]`, n in its denominator: `np.cov(rows.T, ddof=0)`.
            mean: `[d]`, or `[*E]` for images; 0 by default.
            n: number of examples, if known.

        Raises:
            TypeError: for arrays that are no real numbers.
            ValueError: for a covariance that is not square, finite, symmetric and free of negative eigenvalues, a
                mean of another size, and as `fit` does.
        """
        return self._take(Seen.of_covariance(covariance, mean, n, self._solver))

    def partial_fit(self, x: Any, y: Any = None) -> Self:
        """Adds a batch `[n, d]` or `[n, *E]` to the data so far, in memory of d x d whatever their number.

        Nothing is solved before a fitted attribute is used; what `fit` would raise about latent_dim and sigma^2 is
        raised then. A batch may be smaller than latent_dim.

        Raises:
            TypeError: for data that are no real numbers.
            ValueError: for examples of another shape, no examples, NaN or an infinity, and after a fit that keeps
                no covariance or no count: `fit` by the randomized solver, `fit_covariance` without n.
        """
        rows, event_shape = as_rows(x, None if self._seen is None else self._seen.event_shape)
        moments = Moments(rows.shape[1]) if self._seen is None else self._seen.accumulated()
        self._seen, self._model = Seen.of_moments(moments, rows, event_shape), None
        return self

    def with_latent_dim(self, latent_dim: int) -> Self:
        """The fit to the same data with another number of latents; the eigenproblem is not solved again.

        Raises:
            ValueError: as `fit` does, and for more latents than the randomized solver looked for.
        """
        seen, other = self._solved(), copy.copy(self)
        other.latent_dim = _checks.positive_int("latent_dim", latent_dim)
        return other._take(seen)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the constructor, for `sklearn.base.clone`."""
        return {"latent_dim": self.latent_dim, "solver": self.solver, "seed": self.seed}

    def set_params(self, **params: Any) -> Self:
        """Other arguments; what was fitted is forgotten."""
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
        """Eigenpairs of the covariance of the data, and what follows from them."""
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
        """Principal axes `[q, d]`: orthonormal rows, their entry of largest magnitude positive."""
        return self.spectrum_.axes[: self.model_.latent_dim]

    @property
    def explained_variance_(self) -> np.ndarray:
        """Variance of the data along each of them, `[q]`: the leading eigenvalues, n in the denominator."""
        return self.spectrum_.eigenvalues[: self.model_.latent_dim]

    @property
    def eigenvalues_(self) -> np.ndarray:
        """All eigenvalues of the covariance `[d]`, largest first, or the q that the randomized solver found."""
        return self.spectrum_.eigenvalues

    @property
    def log_likelihood_(self) -> float:
        """Mean log p(x) of the training data in nats per example: the maximum, in closed form."""
        return float(self.spectrum_.log_likelihood(self.model_.latent_dim, self.model_.sigma2))

    # --- the model --------------------------------------------------------------------------------------

    def log_prob(self, x: Any) -> np.ndarray:
        """log p(x) in nats, `[n]`, not averaged, of data `[n, d]` or `[n, *E]`."""
        return self.model_.log_prob(self._rows(x))

    def score(self, x: Any) -> float:
        """Mean log p(x) in nats per example.

        scikit-learn's `PCA.score` divides by n - 1: its covariance is n / (n - 1) times this one, where the model was
        fitted to n >= d examples. On the training data its score is lower by `d/2 [log(n / (n - 1)) - 1/n]`; with its
        `explained_variance_` and `noise_variance_` multiplied by (n - 1) / n it is equal on any data. (Where n < d
        its noise variance is an average over fewer than d - q eigenvalues, and the models differ.)
        """
        return float(self.log_prob(x).mean())

    def transform(self, x: Any) -> np.ndarray:
        """E[z|x] = M^-1 W^T (x - mean), `[n, q]`, with M = W^T W + sigma^2 I."""
        return self.model_.posterior_mean(self._rows(x))

    def fit_transform(self, x: Any, y: Any = None) -> np.ndarray:
        """`fit(x).transform(x)`."""
        return self.fit(x).transform(x)

    def inverse_transform(self, z: Any) -> np.ndarray:
        """E[x|z] = W z + mean, `[n, *E]`, of latents `[n, q]`."""
        model = self.model_
        return self._events(as_latents(z, model.latent_dim) @ model.loadings.T + model.mean)

    def sample(self, num_samples: int, seed: int | None = None) -> np.ndarray:
        """Draws of x, its noise included, `[num_samples, *E]`.

        All noise comes from `numpy.random.default_rng(seed)`, latents first; a seed of None takes a new one.
        """
        model, num_samples = self.model_, _checks.positive_int("num_samples", num_samples)
        rng = np.random.default_rng(None if seed is None else _checks.seed(seed))
        x = rng.standard_normal((num_samples, model.latent_dim)) @ model.loadings.T + model.mean
        return self._events(x + math.sqrt(model.sigma2) * rng.standard_normal(x.shape))

    # --- what sigma decides -----------------------------------------------------------------------------

    def active_latents(self, sigma2: float) -> int:
        """How many latents survive at this sigma^2: `min(q, #{lambda_j > sigma^2})`, and the others collapse."""
        return self.spectrum_.active(self.model_.latent_dim, sigma2)

    def log_likelihood_curve(self, sigma2: Any) -> np.ndarray:
        """The maximum over W of the mean log p(x) at each fixed sigma^2, nats per example, of the shape of sigma2."""
        return self.spectrum_.log_likelihood(self.model_.latent_dim, sigma2)

    def stationary_points(self, sigma2: float) -> Iterator[StationaryPoint]:
        """Every W at which the gradient of the mean log p(x) vanishes at this sigma^2, up to rotation of the latents.

        W = U_q (K - sigma^2 I)^(1/2) R: a column keeps an eigenvalue above sigma^2, or is 0. The global maximum comes
        first, then the other points of as many columns, then those of fewer. Their number grows as a
        binomial coefficient: they are built one at a time. (In the eigenspace of a repeated eigenvalue any basis will
        do; the one that the solver found stands for all.)

        Raises:
            ValueError: for sigma2 <= 0, or after the randomized solver.
        """
        return self.spectrum_.stationary_points(self.model_.latent_dim, sigma2)

    def stationary_point(self, sigma2: float, kept: Sequence[int]) -> StationaryPoint:
        """The stationary point whose columns keep these eigenpairs, 0 being the largest; () is W = 0.

        Raises:
            ValueError: for sigma2 <= 0, after the randomized solver, or for indices that repeat, are more than
                latent_dim, or belong to eigenvalues that do not exceed sigma2.
        """
        return self.spectrum_.stationary_point(self.model_.latent_dim, sigma2, kept)

    def curvature(self, sigma2: float, kept: Sequence[int]) -> Curvature:
        """Second derivatives of the mean log p(x) at the stationary point that keeps these eigenpairs, `[q, d]`.

        Along u_j, with k_i the eigenvalue that column i keeps, or sigma^2 where it is 0:

            kept by no column:       (lambda_j - k_i) / (sigma^2 k_i)
            kept by another column:  -(k_i - sigma^2) / (k_i lambda_j)
            kept by column i:        -2 (lambda_i - sigma^2) / lambda_i^2

        The point is stable iff none is positive: it keeps the largest eigenvalues, and if it has a zero column,
        sigma^2 is at least every other one.

        Raises:
            ValueError: as `stationary_point` does.
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
        """The data with their spectrum, which is kept until more data come."""
        self._seen = self._fitted().solved(self._solver)
        return self._seen

    def _take(self, seen: Seen) -> Self:
        """Keeps data and the model of greatest likelihood; where there is none, nothing changes."""
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
