"""Textbook densities in their usual parameters, with score, information, estimate and exact intervals in closed form.

None of them is a polynomial in its parameters theta. Events are drawn at a reference point theta0 and carry the
derivatives of p(x|theta) there, up to second order, as their weights: with the score t_a = d_a ln p,

    w_a/w_0 = t_a,   w_ab/w_0 = t_a t_b + d_a d_b ln p,

so that weights away from theta0 are those of a Taylor series, not of the density. Both sums over many events vanish:
the rate does not depend on theta.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv, stdtrit

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import InputError
from bit.events import EventTable
from bit.processes.toy import normal_quantile, require_count, require_level, require_seed


@dataclass(frozen=True, kw_only=True)
class Family(ABC):
    """What all families share.

    Parameters
    ----------
    sigma_fb : float, default=1.0
        Cross-section in fb, the same for all theta.

    Raises
    ------
    InputError
        For this or parameters of the family that are out of range.
    """

    sigma_fb: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma_fb) and self.sigma_fb > 0.0):
            raise InputError(f"sigma_fb={self.sigma_fb}: a cross-section must be positive.")

    @property
    @abstractmethod
    def param_names(self) -> tuple[str, ...]:
        """Names of the parameters."""

    @property
    @abstractmethod
    def lowest(self) -> tuple[float, ...]:
        """Lower limits of the parameters, excluded."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features."""
        return ("x",)

    @property
    def basis(self) -> PolynomialBasis:
        """Basis of the weights, about 0; `sample` has it about its reference point."""
        return PolynomialBasis(self.param_names)

    @abstractmethod
    def _draw(self, rng: np.random.Generator, n_events: int, theta: FloatArray) -> FloatArray:
        """Features at theta, shape (n_events, n_features)."""

    @abstractmethod
    def _log_density(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        """Of shape (n,)."""

    @abstractmethod
    def _score(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        """Of shape (n, n_params)."""

    @abstractmethod
    def _curvature(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        """Second derivatives of ln p, shape (n, n_params, n_params)."""

    @abstractmethod
    def _information(self, theta: FloatArray) -> FloatArray:
        """Of one event, shape (n_params, n_params)."""

    @abstractmethod
    def _estimate(self, x: FloatArray) -> FloatArray:
        """Of shape (n_params,)."""

    @abstractmethod
    def _limits(self, estimate: FloatArray, n_events: int, low: float, high: float) -> FloatArray:
        """Exact limits for tail probabilities low and high = 1 - low, shape (n_params, 2)."""

    def sample(self, n_events: int, seed: int, *, theta0: ThetaLike) -> EventTable:
        """Draw events at a reference point.

        Parameters
        ----------
        n_events : int
            At least 1.
        seed : int
            Not negative.
        theta0 : array-like of shape (n_params,), or mapping
            The parameters.

        Returns
        -------
        EventTable
            Features (float64), weights with sum `sigma_fb` that are derivatives at `theta0`, which is the reference
            point of their basis, and the score in ``aux["truth"]``, shape (n_events, n_params).

        Raises
        ------
        InputError
            If an argument is outside its rule.
        """
        require_count(n_events)
        require_seed(seed)
        point = self._point(theta0)
        x = self._draw(np.random.default_rng(seed), int(n_events), point)
        nominal = np.ones((n_events, 1))
        return EventTable(
            x,
            np.hstack([nominal, self.ratio_terms(x, point)]) * (self.sigma_fb / n_events),
            self.basis.at_reference(point),
            feature_names=self.feature_names,
            aux={"truth": self.score(x, point)},
        )

    def density(self, x: npt.ArrayLike, theta: ThetaLike) -> FloatArray:
        """Density p(x|theta).

        Parameters
        ----------
        x : array-like of shape (n, n_features)
            Features; shape (n,) will do for one.
        theta : array-like of shape (n_params,), or mapping
            The parameters.

        Returns
        -------
        ndarray of float64, shape (n,)
            Normalised to 1.
        """
        result: FloatArray = np.exp(self._log_density(self._features(x), self._point(theta)))
        return result

    def score(self, x: npt.ArrayLike, theta: ThetaLike) -> FloatArray:
        """Score d ln p(x|theta)/d theta_a.

        Parameters
        ----------
        x : array-like of shape (n, n_features)
            Features, within the support; shape (n,) will do for one.
        theta : array-like of shape (n_params,), or mapping
            The parameters.

        Returns
        -------
        ndarray of float64, shape (n, n_params)
            Its mean at theta is 0.
        """
        return self._score(self._features(x), self._point(theta))

    def ratio(self, x: npt.ArrayLike, theta: ThetaLike, theta0: ThetaLike) -> FloatArray:
        """Likelihood ratio p(x|theta)/p(x|theta0), of which the weights give the series to second order.

        Parameters
        ----------
        x : array-like of shape (n, n_features)
            Features, within the support; shape (n,) will do for one.
        theta, theta0 : array-like of shape (n_params,), or mapping
            The parameters, and the reference point.

        Returns
        -------
        ndarray of float64, shape (n,)
            1 at theta0.
        """
        values = self._features(x)
        difference = self._log_density(values, self._point(theta)) - self._log_density(values, self._point(theta0))
        result: FloatArray = np.exp(difference)
        return result

    def ratio_terms(self, x: npt.ArrayLike, theta0: ThetaLike) -> FloatArray:
        """R_a(x) and R_ab(x), the derivatives of the ratio at a reference point: what a model has to find.

        Parameters
        ----------
        x : array-like of shape (n, n_features)
            Features, within the support; shape (n,) will do for one.
        theta0 : array-like of shape (n_params,), or mapping
            The reference point.

        Returns
        -------
        ndarray of float64, shape (n, n_terms - 1)
            In the order of `basis`.
        """
        values, point = self._features(x), self._point(theta0)
        score = self._score(values, point)
        second = score[:, :, np.newaxis] * score[:, np.newaxis, :] + self._curvature(values, point)
        rows, columns = np.triu_indices(len(self.param_names))
        return np.hstack([score, second[:, rows, columns]])

    def information(self, theta: ThetaLike, n_events: float = 1.0) -> FloatArray:
        """Fisher information, the covariance of the score.

        Parameters
        ----------
        theta : array-like of shape (n_params,), or mapping
            The parameters.
        n_events : float, default=1.0
            Number of events.

        Returns
        -------
        ndarray of float64, shape (n_params, n_params)
            Of `n_events` events.
        """
        return n_events * self._information(self._point(theta))

    def maximum_likelihood(self, x: npt.ArrayLike) -> FloatArray:
        """Maximum-likelihood estimate of the parameters, in closed form.

        Parameters
        ----------
        x : array-like of shape (n, n_features)
            Features of the observed events; shape (n,) will do for one.

        Returns
        -------
        ndarray of float64, shape (n_params,)
            The estimate.
        """
        return self._estimate(self._features(x))

    def exact_limits(self, estimate: ThetaLike, n_events: int, *, level: float = 0.95) -> FloatArray:
        """Central confidence interval of each parameter, with exact coverage for any number of events.

        Parameters
        ----------
        estimate : array-like of shape (n_params,), or mapping
            Maximum-likelihood estimate; the expected limits are those of the true parameters.
        n_events : int
            Number of observed events, at least 2.
        level : float, default=0.95
            Confidence level, in (0, 1).

        Returns
        -------
        ndarray of float64, shape (n_params, 2)
            Lower and upper limit, the other parameters being unknown.

        Raises
        ------
        InputError
            If an argument is outside its rule.
        """
        require_count(n_events)
        if n_events < 2:
            raise InputError(f"n_events={n_events}: limits need at least 2 events.")
        require_level(level)
        return self._limits(self._point(estimate), int(n_events), 0.5 * (1.0 - level), 0.5 * (1.0 + level))

    def expected_limits(self, theta: ThetaLike, n_events: float, *, level: float = 0.95) -> FloatArray:
        """Expected central interval of each parameter for many events, from the inverse of the information.

        Parameters
        ----------
        theta : array-like of shape (n_params,), or mapping
            True parameters.
        n_events : float
            Number of events.
        level : float, default=0.95
            Confidence level, in (0, 1).

        Returns
        -------
        ndarray of float64, shape (n_params, 2)
            theta -+ z sqrt(diagonal of the inverse), the other parameters being unknown.

        Raises
        ------
        InputError
            If an argument is outside its rule.
        """
        point = self._point(theta)
        reach = normal_quantile(level) * np.sqrt(np.diag(np.linalg.inv(self.information(point, n_events))))
        return np.stack([point - reach, point + reach], axis=-1)

    def _point(self, theta: ThetaLike) -> FloatArray:
        """One checked point."""
        point = self.basis.as_theta(theta)
        if point.ndim != 1:
            raise InputError(f"theta has shape {point.shape}: one point of {len(self.param_names)} values is needed.")
        for name, value, low in zip(self.param_names, point.tolist(), self.lowest, strict=True):
            if not value > low:
                raise InputError(f"{name}={value:g}: this parameter must be above {low:g}.")
        return point

    def _features(self, x: npt.ArrayLike) -> FloatArray:
        values = np.asarray(x, dtype=np.float64)
        if values.ndim == 1 and len(self.feature_names) == 1:
            values = values[:, np.newaxis]
        if values.ndim != 2 or values.shape[1] != len(self.feature_names):
            raise InputError(
                f"x has shape {values.shape}: (n, {len(self.feature_names)}) is needed, with one column for each of "
                f"{list(self.feature_names)}."
            )
        return values


@dataclass(frozen=True, kw_only=True)
class PowerLawSlope(Family):
    """Falling spectrum p(x) = (slope - 1)/low (x/low)^-slope above low.

    The estimate is slope = 1 + n/sum ln(x_i/low), the information n/(slope - 1)^2; 2 (slope - 1) sum ln(x_i/low) has a
    chi-square distribution with 2n degrees of freedom.

    Parameters
    ----------
    low : float, default=1.0
        Lower end of x, positive.
    """

    low: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.low) and self.low > 0.0):
            raise InputError(f"low={self.low!r}: a positive number is needed.")

    @property
    def param_names(self) -> tuple[str, ...]:
        """The slope."""
        return ("slope",)

    @property
    def lowest(self) -> tuple[float, ...]:
        """A slope of 1 has no finite integral."""
        return (1.0,)

    def _draw(self, rng: np.random.Generator, n_events: int, theta: FloatArray) -> FloatArray:
        return self.low * np.exp(rng.standard_exponential((n_events, 1)) / (theta - 1.0))

    def _log_density(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        inside = x[:, 0] >= self.low
        length = np.log(np.where(inside, x[:, 0], self.low) / self.low)
        return np.where(inside, np.log((theta - 1.0) / self.low) - theta * length, -math.inf)

    def _score(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        result: FloatArray = 1.0 / (theta - 1.0) - np.log(x / self.low)
        return result

    def _curvature(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        return np.broadcast_to(-self._information(theta), (len(x), 1, 1))

    def _information(self, theta: FloatArray) -> FloatArray:
        return np.diag((theta - 1.0) ** -2)

    def _estimate(self, x: FloatArray) -> FloatArray:
        result: FloatArray = 1.0 + 1.0 / np.log(x / self.low).mean(axis=0)
        return result

    def _limits(self, estimate: FloatArray, n_events: int, low: float, high: float) -> FloatArray:
        return 1.0 + np.outer(estimate - 1.0, gammaincinv(n_events, [low, high]) / n_events)


@dataclass(frozen=True, kw_only=True)
class ExponentialRates(Family):
    """Product of exponentials, p(x) = prod_a rate_a exp(-rate_a x_a), one parameter for each feature.

    The estimates are 1/mean(x_a), the information n/rate_a^2 on the diagonal; 2 rate_a sum x_a has a chi-square
    distribution with 2n degrees of freedom.

    Parameters
    ----------
    n_features : int, default=1
        At least 1.
    """

    n_features: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.n_features, (int, np.integer)) or self.n_features < 1:
            raise InputError(f"n_features={self.n_features!r}: a whole number of at least 1 is needed.")

    @property
    def param_names(self) -> tuple[str, ...]:
        """``rate``, or ``rate1``, ``rate2``, ..."""
        return self._numbered("rate")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """``x``, or ``x1``, ``x2``, ..."""
        return self._numbered("x")

    def _numbered(self, name: str) -> tuple[str, ...]:
        return (name,) if self.n_features == 1 else tuple(f"{name}{number + 1}" for number in range(self.n_features))

    @property
    def lowest(self) -> tuple[float, ...]:
        """Rates are positive."""
        return (0.0,) * self.n_features

    def _draw(self, rng: np.random.Generator, n_events: int, theta: FloatArray) -> FloatArray:
        return rng.standard_exponential((n_events, self.n_features)) / theta

    def _log_density(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        return np.where((x >= 0.0).all(axis=1), np.log(theta).sum() - x @ theta, -math.inf)

    def _score(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        return 1.0 / theta - x

    def _curvature(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        return np.broadcast_to(-self._information(theta), (len(x), self.n_features, self.n_features))

    def _information(self, theta: FloatArray) -> FloatArray:
        return np.diag(theta**-2.0)

    def _estimate(self, x: FloatArray) -> FloatArray:
        result: FloatArray = 1.0 / x.mean(axis=0)
        return result

    def _limits(self, estimate: FloatArray, n_events: int, low: float, high: float) -> FloatArray:
        return np.outer(estimate, gammaincinv(n_events, [low, high]) / n_events)


@dataclass(frozen=True, kw_only=True)
class GaussianMeanWidth(Family):
    """Gaussian with both of its parameters.

    The estimates are the mean of x and the root of its mean squared deviation, the information n/width^2 and
    2n/width^2 on the diagonal; the exact limits are those of Student and of the chi-square distribution with n - 1
    degrees of freedom.
    """

    @property
    def param_names(self) -> tuple[str, ...]:
        """Mean and width."""
        return ("mean", "width")

    @property
    def lowest(self) -> tuple[float, ...]:
        """The width is positive."""
        return (-math.inf, 0.0)

    def _draw(self, rng: np.random.Generator, n_events: int, theta: FloatArray) -> FloatArray:
        mean, width = theta
        result: FloatArray = mean + width * rng.standard_normal((n_events, 1))
        return result

    def _log_density(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        mean, width = theta
        result: FloatArray = -0.5 * ((x[:, 0] - mean) / width) ** 2 - math.log(width * math.sqrt(2.0 * math.pi))
        return result

    def _score(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        pull = (x[:, 0] - theta[0]) / theta[1]
        result: FloatArray = np.stack([pull, pull**2 - 1.0], axis=-1) / theta[1]
        return result

    def _curvature(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        pull = (x[:, 0] - theta[0]) / theta[1]
        result: FloatArray = np.empty((len(x), 2, 2))
        result[:, 0, 0] = -1.0
        result[:, 0, 1] = result[:, 1, 0] = -2.0 * pull
        result[:, 1, 1] = 1.0 - 3.0 * pull**2
        result /= theta[1] ** 2
        return result

    def _information(self, theta: FloatArray) -> FloatArray:
        result: FloatArray = np.diag([1.0, 2.0]) / theta[1] ** 2
        return result

    def _estimate(self, x: FloatArray) -> FloatArray:
        return np.array([x.mean(), x.std()])

    def _limits(self, estimate: FloatArray, n_events: int, low: float, high: float) -> FloatArray:
        mean, width = estimate
        of_mean = mean + width * stdtrit(n_events - 1, [low, high]) / math.sqrt(n_events - 1)
        # Half a chi-square variable of k degrees of freedom has a gamma distribution of order k/2.
        of_width = width * np.sqrt(n_events / 2.0 / gammaincinv((n_events - 1) / 2.0, [high, low]))
        return np.stack([of_mean, of_width])
