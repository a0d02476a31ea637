"""Closed-form toys: one feature, one coefficient, and a truth that can be written down.

Each toy draws x (and perhaps a latent z) from a density p and gives the event the polynomial

    order 1:  w(theta)/w_0 = 1 + theta t              (interference only; may become negative)
    order 2:  w(theta)/w_0 = (1 + theta t/2)^2        (a squared amplitude; never negative)

with a joint score t that is known in closed form. The truth that a model has to find is R_a(x) = E[t|x] and
R_aa(x) = E[t^2|x]/2; without a latent variable the expectations are the values themselves.
`GaussianMean` with smearing is the toy with a latent variable. `with_negative_weights` gives a part of the events
of any table negative weights and leaves its expectations as they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis
from bit.errors import InputError
from bit.events import EventTable
from bit.processes.zh_background import zh_background as zh_background


@dataclass(frozen=True)
class _Draw:
    """Feature, joint score and what else the event knows."""

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
    def _draw(self, rng: np.random.Generator, n_events: int) -> _Draw:
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
        if not isinstance(n_events, (int, np.integer)) or n_events < 1:
            raise InputError(f"n_events={n_events!r}: a whole number of at least 1 is needed.")
        _require_seed(seed)
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

    def information(self, lumi_fb: float = 1.0) -> float:
        """Fisher information of x on theta at theta = 0, rate included.

        Parameters
        ----------
        lumi_fb : float, default=1.0
            Integrated luminosity in 1/fb.

        Returns
        -------
        float
            lumi sigma E[E[t|x]^2].
        """
        return lumi_fb * self.sigma_fb * self.mean_moments()[2]


@dataclass(frozen=True, kw_only=True)
class PowerLaw(Toy):
    """Falling spectrum p(x) ~ x^-slope on [low, high] with t = offset - ln(x/pivot).

    The score is that of the family x^-(slope + theta) with a rate exp(theta offset) pivot^theta.

    Parameters
    ----------
    slope : float, default=3.0
        Above 1.
    low, high : float, default=20.0, 420.0
        Range of x in GeV.
    offset, pivot : float, default=0.5, 100.0
        Constants of the score.
    """

    slope: float = 3.0
    low: float = 20.0
    high: float = 420.0
    offset: float = 0.5
    pivot: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.slope > 1.0 and 0.0 < self.low < self.high):
            raise InputError(f"{self}: a power law needs slope > 1 and 0 < low < high.")

    def _draw(self, rng: np.random.Generator, n_events: int) -> _Draw:
        rate = self.slope - 1.0
        x = self.low * (1.0 - rng.random(n_events) * self._covered) ** (-1.0 / rate)
        return _Draw(x, self.score_moments(x)[0])

    @property
    def _covered(self) -> float:
        """Part of the untruncated distribution of x > low that lies below high."""
        return 1.0 - float((self.high / self.low) ** (1.0 - self.slope))

    def nominal_density(self, x: npt.ArrayLike) -> FloatArray:
        """Density at theta = 0; see `Toy.nominal_density`."""
        values = np.asarray(x, dtype=np.float64)
        inside = (values >= self.low) & (values <= self.high)
        safe = np.where(inside, values, self.low)
        return np.where(inside, (self.slope - 1.0) / self.low / self._covered * (safe / self.low) ** -self.slope, 0.0)

    def score_moments(self, x: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Score and its square; see `Toy.score_moments`."""
        score = self.offset - np.log(np.asarray(x, dtype=np.float64) / self.pivot)
        return score, score**2

    def mean_moments(self) -> tuple[float, float, float]:
        """Means of the score and its square; see `Toy.mean_moments`.

        ln(x/low) has an exponential distribution of rate slope - 1, cut at ln(high/low).
        """
        rate, length = self.slope - 1.0, float(np.log(self.high / self.low))
        beyond = (1.0 - self._covered) / self._covered
        mean = 1.0 / rate - length * beyond
        square = 2.0 * mean / rate - length**2 * beyond
        at_low = self.offset - float(np.log(self.low / self.pivot))
        second = at_low**2 - 2.0 * at_low * mean + square
        return at_low - mean, second, second


@dataclass(frozen=True, kw_only=True)
class Exponential(Toy):
    """Exponential p(x) = exp(-x/scale)/scale with t = x/scale - 1, the score of scale -> scale (1 + theta).

    Parameters
    ----------
    scale : float, default=1.0
        Mean of x, positive.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scale > 0.0:
            raise InputError(f"scale={self.scale}: the mean of an exponential must be positive.")

    def _draw(self, rng: np.random.Generator, n_events: int) -> _Draw:
        x = self.scale * rng.standard_exponential(n_events)
        return _Draw(x, self.score_moments(x)[0])

    def nominal_density(self, x: npt.ArrayLike) -> FloatArray:
        """Density at theta = 0; see `Toy.nominal_density`."""
        values = np.asarray(x, dtype=np.float64)
        return np.where(values >= 0.0, np.exp(-np.maximum(values, 0.0) / self.scale) / self.scale, 0.0)

    def score_moments(self, x: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Score and its square; see `Toy.score_moments`."""
        score = np.asarray(x, dtype=np.float64) / self.scale - 1.0
        return score, score**2

    def mean_moments(self) -> tuple[float, float, float]:
        """Means of the score and its square: 0, 1, 1; see `Toy.mean_moments`."""
        return 0.0, 1.0, 1.0


@dataclass(frozen=True, kw_only=True)
class GaussianMean(Toy):
    """Gaussian of mean 0 with t = x/width^2, the score of its mean; odd under x -> -x like a CP-odd coefficient.

    With smearing > 0 the score belongs to a latent z, t = z/width^2, and the feature is x = z + noise: then
    E[t|x] = x/(width^2 + smearing^2), which is smaller in size than what any event carries.

    Parameters
    ----------
    width : float, default=1.0
        Standard deviation of z, positive.
    smearing : float, default=0.0
        Standard deviation of the noise, not negative.
    """

    width: float = 1.0
    smearing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.width > 0.0 and self.smearing >= 0.0):
            raise InputError(f"{self}: a Gaussian needs width > 0 and smearing >= 0.")

    @property
    def _variance(self) -> float:
        """Variance of x."""
        return self.width**2 + self.smearing**2

    def _draw(self, rng: np.random.Generator, n_events: int) -> _Draw:
        z = self.width * rng.standard_normal(n_events)
        x = z + self.smearing * rng.standard_normal(n_events)
        return _Draw(x, z / self.width**2, {"z": z})

    def nominal_density(self, x: npt.ArrayLike) -> FloatArray:
        """Density at theta = 0; see `Toy.nominal_density`."""
        values = np.asarray(x, dtype=np.float64)
        result: FloatArray = np.exp(-0.5 * values**2 / self._variance) / np.sqrt(2.0 * np.pi * self._variance)
        return result

    def score_moments(self, x: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Conditional mean and square of z/width^2; see `Toy.score_moments`."""
        mean = np.asarray(x, dtype=np.float64) / self._variance
        return mean, mean**2 + self.smearing**2 / (self.width**2 * self._variance)

    def mean_moments(self) -> tuple[float, float, float]:
        """Means: 0, 1/width^2 and 1/(width^2 + smearing^2); see `Toy.mean_moments`."""
        return 0.0, 1.0 / self.width**2, 1.0 / self._variance


def with_negative_weights(table: EventTable, fraction: npt.ArrayLike, seed: int) -> EventTable:
    """Give a part of the events negative weights, as subtractions beyond leading order do.

    All weights of an event are multiplied by s / (1 - 2 f), where the sign s is -1 with probability f. The mean
    of that factor is 1, so that E[w_k | x] and the truth R_k(x) stay, while the effective number of events
    falls by (1 - 2 f)^2.

    Parameters
    ----------
    table : EventTable
        Events, of any process.
    fraction : float or array-like of shape (n_events,)
        Probability f of a negative sign, in [0, 0.5); it may depend on the event.
    seed : int
        Not negative.

    Returns
    -------
    EventTable
        The same events with other weights; their sum keeps its expectation but fluctuates.

    Raises
    ------
    InputError
        If `fraction` or `seed` is outside its rule, or `fraction` does not fit the events.
    """
    probability = np.asarray(fraction, dtype=np.float64)
    if probability.ndim > 0 and probability.shape != (table.n_events,):
        raise InputError(f"fraction has shape {probability.shape}: give one number, or {table.n_events}.")
    bad = ~((probability >= 0.0) & (probability < 0.5))
    if bad.any():
        raise InputError(
            f"fraction={np.atleast_1d(probability)[np.atleast_1d(bad)][0]}: below 0 there is no such probability, and "
            "from 0.5 on the weights sum to nothing; choose it in [0, 0.5)."
        )
    _require_seed(seed)
    draw = np.random.default_rng(seed).random(table.n_events)
    factor = np.where(draw < probability, -1.0, 1.0) / (1.0 - 2.0 * probability)
    return replace(table, weights=table.weights * factor[:, np.newaxis])


def _require_seed(seed: int) -> None:
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed={seed!r}: a whole number of at least 0 is needed.")
