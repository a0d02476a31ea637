"""What closed-form toys share: weights, ratios, densities, information and the maximum-likelihood estimate."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.special import ndtri

from bit.basis import FloatArray, PolynomialBasis
from bit.errors import InputError
from bit.events import EventTable


@dataclass(frozen=True)
class Draw:
    """Feature, joint score and what else the event knows.

    Attributes
    ----------
    x, joint_score : ndarray of float64, shape (n_events,)
        In the units of the toy.
    latent : dict of str to ndarray, shape (n_events,)
        What is not a feature.
    """

    x: FloatArray
    joint_score: FloatArray
    latent: dict[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Toy(ABC):
    """What all toys share.

    Parameters
    ----------
    order : {1, 2}, default=2
        Order of the polynomial, see the module.
    sigma_fb : float, default=1.0
        Cross-section at theta = 0 in fb.

    Raises
    ------
    InputError
        For these or parameters of the toy that are out of range.
    """

    order: int = 2
    sigma_fb: float = 1.0

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise InputError(f"order={self.order!r}: a toy has order 1 or 2.")
        if not (np.isfinite(self.sigma_fb) and self.sigma_fb > 0):
            raise InputError(f"sigma_fb={self.sigma_fb}: a cross-section must be positive.")

    @property
    def basis(self) -> PolynomialBasis:
        """Basis of the weights, with the one coefficient "theta"."""
        return PolynomialBasis(("theta",), order=self.order)

    @abstractmethod
    def _draw(self, rng: np.random.Generator, n_events: int) -> Draw:
        """Events at theta = 0."""

    @abstractmethod
    def nominal_density(self, x: npt.ArrayLike) -> FloatArray:
        """Density p(x) at theta = 0.

        Parameters
        ----------
        x : array-like of shape (n,)
            Feature.

        Returns
        -------
        ndarray of float64, shape (n,)
            Normalised to 1.
        """

    @abstractmethod
    def score_moments(self, x: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """E[t|x] and E[t^2|x].

        Parameters
        ----------
        x : array-like of shape (n,)
            Feature.

        Returns
        -------
        first, second : ndarray of float64, shape (n,)
            Conditional moments of the joint score.
        """

    @abstractmethod
    def mean_moments(self) -> tuple[float, float, float]:
        """E[t], E[t^2] and E[E[t|x]^2] at theta = 0.

        Returns
        -------
        first, second, second_of_mean : float
            The last two agree where there is no latent variable.
        """

    @property
    @abstractmethod
    def support(self) -> tuple[float, float]:
        """Range of x."""

    @property
    @abstractmethod
    def score_range(self) -> tuple[float, float]:
        """Lowest and highest E[t|x]."""

    def sample(self, n_events: int, seed: int) -> EventTable:
        """Draw events at theta = 0.

        Parameters
        ----------
        n_events : int
            At least 1.
        seed : int
            Not negative.

        Returns
        -------
        EventTable
            Feature "x" (float64), equal nominal weights with sum `sigma_fb`, and in ``aux["truth"]`` the score
            E[t|x]; a latent variable stands in ``aux`` under its name.

        Raises
        ------
        InputError
            If `n_events` or `seed` is outside its rule.
        """
        require_count(n_events)
        require_seed(seed)
        events = self._draw(np.random.default_rng(seed), int(n_events))
        score = events.joint_score
        ratios = np.stack([np.ones_like(score), score, 0.5 * score**2], axis=-1)[:, : self.order + 1]
        return EventTable(
            events.x[:, np.newaxis],
            ratios * (self.sigma_fb / n_events),
            self.basis,
            feature_names=("x",),
            aux={"truth": self.score(events.x), **events.latent},
        )

    def ratio(self, x: npt.ArrayLike, theta: float) -> FloatArray:
        """Likelihood ratio R(x|theta), rate included.

        Parameters
        ----------
        x : array-like of shape (n,)
            Feature.
        theta : float
            Coefficient.

        Returns
        -------
        ndarray of float64, shape (n,)
            d sigma(theta)/d sigma(0) at x.
        """
        first, second = self.score_moments(x)
        return 1.0 + theta * first + (0.25 * theta**2 * second if self.order == 2 else 0.0)

    def score(self, x: npt.ArrayLike, theta: float = 0.0) -> FloatArray:
        """Score d log R(x|theta)/d theta, rate included.

        Parameters
        ----------
        x : array-like of shape (n,)
            Feature.
        theta : float, default=0
            Coefficient.

        Returns
        -------
        ndarray of float64, shape (n,)
            At theta = 0 it is E[t|x].
        """
        first, second = self.score_moments(x)
        slope = first + (0.5 * theta * second if self.order == 2 else 0.0)
        result: FloatArray = slope / self.ratio(x, theta)
        return result

    def density(self, x: npt.ArrayLike, theta: float = 0.0) -> FloatArray:
        """Density p(x|theta), normalised to 1.

        Parameters
        ----------
        x : array-like of shape (n,)
            Feature.
        theta : float, default=0
            Coefficient.

        Returns
        -------
        ndarray of float64, shape (n,)
            p(x) R(x|theta)/R(theta), with R(theta) the ratio of cross-sections.
        """
        return self.nominal_density(x) * self.ratio(x, theta) * (self.sigma_fb / self.cross_section(theta))

    def cross_section(self, theta: float) -> float:
        """Cross-section at theta.

        Parameters
        ----------
        theta : float
            Coefficient.

        Returns
        -------
        float
            In fb.
        """
        first, second, _ = self.mean_moments()
        return self.sigma_fb * (1.0 + theta * first + (0.25 * theta**2 * second if self.order == 2 else 0.0))

    def ratio_terms(self, x: npt.ArrayLike) -> FloatArray:
        """R_a(x) = E[t|x] and, at order 2, R_aa(x) = E[t^2|x]/2: what a model has to find.

        Parameters
        ----------
        x : array-like of shape (n,)
            Feature.

        Returns
        -------
        ndarray of float64, shape (n, order)
            In the order of `basis`, as ``EventTable.joint_ratio`` gives them for events.
        """
        first, second = self.score_moments(x)
        return np.stack([first, 0.5 * second], axis=-1)[..., : self.order]

    def information(self, lumi_fb: float = 1.0, theta: float = 0.0) -> float:
        """Fisher information of x on theta, rate included: lumi sigma E[(dR/d theta)^2 / R], with the mean at 0.

        Parameters
        ----------
        lumi_fb : float, default=1.0
            Integrated luminosity in 1/fb.
        theta : float, default=0.0
            Coefficient.

        Returns
        -------
        float
            At theta = 0, lumi sigma E[E[t|x]^2]. Of a squared amplitude without a latent variable it is the same at
            every theta, since dR/d theta = t sqrt(R). Else a closed form where the toy has one, or a quadrature.

        Raises
        ------
        InputError
            If the density is negative somewhere at `theta`.
        """
        _, second, second_of_mean = self.mean_moments()
        if theta == 0.0 or (self.order == 2 and second == second_of_mean):
            return lumi_fb * self.sigma_fb * second_of_mean
        if self.order == 1:
            self._require_positive(theta)
        return lumi_fb * self.sigma_fb * self._mean_square_slope(theta)

    def _mean_square_slope(self, theta: float) -> float:
        """E[(dR/d theta)^2 / R] at theta = 0 of the density, theta of the ratio."""

        def integrand(x: float) -> float:
            return float(self.nominal_density(x) * self.score(x, theta) ** 2 * self.ratio(x, theta))

        return float(quad(integrand, *self.support, limit=400, epsabs=1e-12, epsrel=1e-10)[0])

    def _require_positive(self, theta: float) -> None:
        """Refuse a coefficient at which the density is negative, at order 1."""
        low, high = self.score_range
        if not min(1.0 + theta * low, 1.0 + theta * high) > 0.0:
            raise InputError(
                f"theta={theta}: 1 + theta t, t in [{low:g}, {high:g}], must be positive for a density; choose theta "
                "closer to 0, or order=2."
            )

    def twice_nll(self, x: npt.ArrayLike, theta: npt.ArrayLike, lumi_fb: float) -> FloatArray:
        """Extended -2 ln L(theta) of observed events, relative to theta = 0.

        Parameters
        ----------
        x : array-like of shape (n,)
            Features of the observed events; their number has a Poisson distribution.
        theta : float or array-like of shape (n_points,)
            Coefficient.
        lumi_fb : float
            Integrated luminosity in 1/fb.

        Returns
        -------
        ndarray of float64, shape () or (n_points,)
            2 lumi (sigma(theta) - sigma(0)) - 2 sum_i ln R(x_i|theta); inf where a ratio is not positive.
        """
        points = np.asarray(theta, dtype=np.float64)
        first, second = (moment[..., np.newaxis] for moment in self.score_moments(np.ravel(x)))
        ratio = 1.0 + points.ravel() * first + (0.25 * points.ravel() ** 2 * second if self.order == 2 else 0.0)
        logarithms = np.log(ratio, out=np.full(ratio.shape, -math.inf), where=ratio > 0.0).sum(axis=0)
        rates = np.array([self.cross_section(point) - self.sigma_fb for point in points.ravel()])
        return np.asarray(2.0 * (lumi_fb * rates - logarithms)).reshape(points.shape)

    def maximum_likelihood(self, x: npt.ArrayLike, lumi_fb: float) -> float:
        """Maximum-likelihood estimate of theta within eight standard deviations of 0.

        At order 1 there is one maximum; a squared amplitude may have several, of which this is the highest.

        Parameters
        ----------
        x : array-like of shape (n,)
            Features of the observed events.
        lumi_fb : float
            Integrated luminosity in 1/fb.

        Returns
        -------
        float
            To about 1e-7 of a standard deviation.
        """
        unit = self.expected_error(lumi_fb)
        grid = unit * np.linspace(-8.0, 8.0, 129)
        best = float(grid[np.argmin(self.twice_nll(x, grid, lumi_fb))])
        around = (best - unit / 8.0, best + unit / 8.0)
        found = minimize_scalar(
            lambda theta: float(self.twice_nll(x, theta, lumi_fb)),
            bounds=around,
            method="bounded",
            options={"xatol": 1e-7 * unit},
        )
        return float(found.x)

    def expected_error(self, lumi_fb: float, theta: float = 0.0) -> float:
        """Standard deviation of the maximum-likelihood estimate for many events, 1/sqrt(information).

        Parameters
        ----------
        lumi_fb : float
            Integrated luminosity in 1/fb.
        theta : float, default=0.0
            True coefficient.

        Returns
        -------
        float
            In the unit of theta.
        """
        return 1.0 / math.sqrt(self.information(lumi_fb, theta))

    def expected_limits(self, lumi_fb: float, *, level: float = 0.95, theta: float = 0.0) -> tuple[float, float]:
        """Expected central interval for theta from many events.

        Parameters
        ----------
        lumi_fb : float
            Integrated luminosity in 1/fb.
        level : float, default=0.95
            Confidence level, in (0, 1).
        theta : float, default=0.0
            True coefficient.

        Returns
        -------
        low, high : float
            theta -+ z/sqrt(information) with the normal quantile z of (1 + level)/2: 1.96 by default.

        Raises
        ------
        InputError
            If `level` is not in (0, 1).
        """
        reach = normal_quantile(level) * self.expected_error(lumi_fb, theta)
        return theta - reach, theta + reach


def normal_quantile(level: float) -> float:
    """Half-width, in standard deviations, of the central interval of a normal variable.

    Parameters
    ----------
    level : float
        Confidence level, in (0, 1).

    Returns
    -------
    float
        1.96 for 0.95.

    Raises
    ------
    InputError
        If `level` is not in (0, 1).
    """
    require_level(level)
    return float(ndtri(0.5 * (1.0 + level)))


def require_level(level: float) -> None:
    """Refuse a confidence level that is not in (0, 1).

    Parameters
    ----------
    level : float
        Confidence level.

    Raises
    ------
    InputError
        If it is not in (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"level={level!r}: a confidence level lies between 0 and 1, such as 0.95.")


def require_count(n_events: int) -> None:
    """Refuse a number of events below 1.

    Parameters
    ----------
    n_events : int
        Number of events.

    Raises
    ------
    InputError
        If it is not a whole number of at least 1.
    """
    if not isinstance(n_events, (int, np.integer)) or n_events < 1:
        raise InputError(f"n_events={n_events!r}: a whole number of at least 1 is needed.")


def require_seed(seed: int) -> None:
    """Refuse a seed below 0.

    Parameters
    ----------
    seed : int
        Seed of a random generator.

    Raises
    ------
    InputError
        If it is not a whole number of at least 0.
    """
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed={seed!r}: a whole number of at least 0 is needed.")
