"""Closed-form toys, and a truth that can be written down.

A `Toy` has one feature and one coefficient. It draws x (and perhaps a latent z) from a density p and gives the event
the polynomial, exact at every theta,

    order 1:  w(theta)/w_0 = 1 + theta t              (interference only; may become negative)
    order 2:  w(theta)/w_0 = (1 + theta t/2)^2        (a squared amplitude; never negative)

with a joint score t that is known in closed form. The truth that a model has to find is R_a(x) = E[t|x] and
R_aa(x) = E[t^2|x]/2; without a latent variable the expectations are the values themselves.
`GaussianMean` with smearing is the toy with a latent variable. `Square` is (1 + theta x)^2, `Sine` its relative with
sin(k x), `Mixture` and `Piecewise` speak for themselves. `with_negative_weights` gives a part of the events
of any table negative weights and leaves its expectations as they are.

A `Family` (`PowerLawSlope`, `ExponentialRates`, `GaussianMeanWidth`) is a textbook density in its usual parameters,
which is no polynomial: its events carry the derivatives at a reference point.
`zh_background` simulates a background in the features of `bit.processes.zh`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.errors import InputError
from bit.events import EventTable
from bit.processes.families import ExponentialRates as ExponentialRates
from bit.processes.families import Family as Family
from bit.processes.families import GaussianMeanWidth as GaussianMeanWidth
from bit.processes.families import PowerLawSlope as PowerLawSlope
from bit.processes.toy import Draw, Toy, require_seed
from bit.processes.zh_background import zh_background as zh_background


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

    def _draw(self, rng: np.random.Generator, n_events: int) -> Draw:
        rate = self.slope - 1.0
        x = self.low * (1.0 - rng.random(n_events) * self._covered) ** (-1.0 / rate)
        return Draw(x, self.score_moments(x)[0])

    @property
    def _covered(self) -> float:
        """Part of the untruncated distribution of x > low that lies below high."""
        return 1.0 - float((self.high / self.low) ** (1.0 - self.slope))

    @property
    def support(self) -> tuple[float, float]:
        """Range of x."""
        return self.low, self.high

    @property
    def score_range(self) -> tuple[float, float]:
        """Scores at the upper and the lower end of x."""
        low, high = self.score_moments([self.high, self.low])[0].tolist()
        return low, high

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

    def _draw(self, rng: np.random.Generator, n_events: int) -> Draw:
        x = self.scale * rng.standard_exponential(n_events)
        return Draw(x, self.score_moments(x)[0])

    @property
    def support(self) -> tuple[float, float]:
        """Range of x."""
        return 0.0, math.inf

    @property
    def score_range(self) -> tuple[float, float]:
        """From -1 on."""
        return -1.0, math.inf

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

    def _draw(self, rng: np.random.Generator, n_events: int) -> Draw:
        z = self.width * rng.standard_normal(n_events)
        x = z + self.smearing * rng.standard_normal(n_events)
        return Draw(x, z / self.width**2, {"z": z})

    @property
    def support(self) -> tuple[float, float]:
        """All numbers."""
        return -math.inf, math.inf

    @property
    def score_range(self) -> tuple[float, float]:
        """All numbers."""
        return -math.inf, math.inf

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


@dataclass(frozen=True, kw_only=True)
class Square(Toy):
    """x uniform in [-1, 1] with the squared amplitude (1 + theta x)^2, that is t = 2x."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order != 2:
            raise InputError(f"order={self.order!r}: Square is a squared amplitude, order=2.")

    def _draw(self, rng: np.random.Generator, n_events: int) -> Draw:
        x = rng.uniform(-1.0, 1.0, n_events)
        return Draw(x, 2.0 * x)

    @property
    def support(self) -> tuple[float, float]:
        """Range of x."""
        return -1.0, 1.0

    @property
    def score_range(self) -> tuple[float, float]:
        """Twice the range of x."""
        return -2.0, 2.0

    def nominal_density(self, x: npt.ArrayLike) -> FloatArray:
        """Density at theta = 0; see `Toy.nominal_density`."""
        return np.where(np.abs(np.asarray(x, dtype=np.float64)) <= 1.0, 0.5, 0.0)

    def score_moments(self, x: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Score and its square; see `Toy.score_moments`."""
        score = 2.0 * np.asarray(x, dtype=np.float64)
        return score, score**2

    def mean_moments(self) -> tuple[float, float, float]:
        """Means of the score and its square: 0, 4/3, 4/3; see `Toy.mean_moments`."""
        return 0.0, 4.0 / 3.0, 4.0 / 3.0


@dataclass(frozen=True, kw_only=True)
class Sine(Toy):
    """x uniform in [-pi, pi] with t = amplitude sin(frequency x), like an angle between planes; odd under x -> -x.

    Order 1 is the density (1 + theta amplitude sin(k x))/(2 pi), order 2 its square of half the slope.

    Parameters
    ----------
    amplitude : float, default=1.0
        Largest score, positive.
    frequency : int, default=1
        Periods within the range of x, at least 1.
    """

    amplitude: float = 1.0
    frequency: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.amplitude) and self.amplitude > 0.0):
            raise InputError(f"amplitude={self.amplitude!r}: a positive number is needed.")
        if not isinstance(self.frequency, (int, np.integer)) or self.frequency < 1:
            raise InputError(f"frequency={self.frequency!r}: a whole number of at least 1 is needed.")

    def _draw(self, rng: np.random.Generator, n_events: int) -> Draw:
        x = rng.uniform(-math.pi, math.pi, n_events)
        return Draw(x, self.score_moments(x)[0])

    @property
    def support(self) -> tuple[float, float]:
        """Range of x."""
        return -math.pi, math.pi

    @property
    def score_range(self) -> tuple[float, float]:
        """The amplitude, with both signs."""
        return -self.amplitude, self.amplitude

    def nominal_density(self, x: npt.ArrayLike) -> FloatArray:
        """Density at theta = 0; see `Toy.nominal_density`."""
        return np.where(np.abs(np.asarray(x, dtype=np.float64)) <= math.pi, 0.5 / math.pi, 0.0)

    def score_moments(self, x: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Score and its square; see `Toy.score_moments`."""
        score = self.amplitude * np.sin(self.frequency * np.asarray(x, dtype=np.float64))
        return score, score**2

    def mean_moments(self) -> tuple[float, float, float]:
        """Means of the score and its square: 0 and half the amplitude squared; see `Toy.mean_moments`."""
        return 0.0, 0.5 * self.amplitude**2, 0.5 * self.amplitude**2

    def _mean_square_slope(self, theta: float) -> float:
        """E[a^2 sin^2/(1 + b sin)] = a^2/(r + r^2) with b = a theta and r = sqrt(1 - b^2)."""
        root = math.sqrt(1.0 - (self.amplitude * theta) ** 2)
        return self.amplitude**2 / (root * (1.0 + root))


@dataclass(frozen=True, kw_only=True)
class Mixture(Toy):
    """Mixture (1 - theta) f_0 + theta f_1 of f_0 = 1 and f_1 = 2x on [0, 1], that is t = 2x - 1.

    A density for theta between -1 and 1, exactly linear, with a rate that does not depend on theta.
    """

    order: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order != 1:
            raise InputError(f"order={self.order!r}: a mixture is linear in its fraction, order=1.")

    def _draw(self, rng: np.random.Generator, n_events: int) -> Draw:
        x = rng.random(n_events)
        return Draw(x, 2.0 * x - 1.0)

    @property
    def support(self) -> tuple[float, float]:
        """Range of x."""
        return 0.0, 1.0

    @property
    def score_range(self) -> tuple[float, float]:
        """From all f_0 to twice f_1."""
        return -1.0, 1.0

    def nominal_density(self, x: npt.ArrayLike) -> FloatArray:
        """Density at theta = 0; see `Toy.nominal_density`."""
        values = np.asarray(x, dtype=np.float64)
        return np.where((values >= 0.0) & (values <= 1.0), 1.0, 0.0)

    def score_moments(self, x: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Score and its square; see `Toy.score_moments`."""
        score = 2.0 * np.asarray(x, dtype=np.float64) - 1.0
        return score, score**2

    def mean_moments(self) -> tuple[float, float, float]:
        """Means of the score and its square: 0, 1/3, 1/3; see `Toy.mean_moments`."""
        return 0.0, 1.0 / 3.0, 1.0 / 3.0

    def _mean_square_slope(self, theta: float) -> float:
        """E[t^2/(1 + theta t)] = (artanh(theta) - theta)/theta^3, its series where the difference would cancel."""
        if abs(theta) < 0.05:
            return sum(theta ** (2 * k) / (2 * k + 3) for k in range(7))
        return (math.atanh(theta) - theta) / theta**3


@dataclass(frozen=True, kw_only=True)
class Piecewise(Toy):
    """Constant density and score in each bin of x: a truth that trees can represent without error.

    Parameters
    ----------
    edges : tuple of float, default=(0, 1, 2, 4, 8)
        Edges of the bins, increasing.
    probabilities : tuple of float, default=(0.4, 0.3, 0.2, 0.1)
        Probability of each bin at theta = 0; positive, with sum 1.
    scores : tuple of float, default=(-0.5, 0.1, 0.6, 1.5)
        t in each bin.
    """

    edges: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0)
    probabilities: tuple[float, ...] = (0.4, 0.3, 0.2, 0.1)
    scores: tuple[float, ...] = (-0.5, 0.1, 0.6, 1.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        n_bins = len(self.edges) - 1
        if n_bins < 1 or not (np.isfinite(self.edges).all() and (np.diff(self.edges) > 0.0).all()):
            raise InputError(f"edges={self.edges}: at least two finite numbers that increase are needed.")
        if len(self.probabilities) != n_bins or len(self.scores) != n_bins:
            raise InputError(
                f"{n_bins} bins, {len(self.probabilities)} probabilities, {len(self.scores)} scores: one of each for "
                "each bin is needed."
            )
        if not (min(self.probabilities) > 0.0 and abs(sum(self.probabilities) - 1.0) < 1e-9):
            raise InputError(f"probabilities={self.probabilities}: positive numbers with sum 1 are needed.")
        if not np.isfinite(self.scores).all():
            raise InputError(f"scores={self.scores}: finite numbers are needed.")

    def _draw(self, rng: np.random.Generator, n_events: int) -> Draw:
        reached = np.concatenate([[0.0], np.cumsum(self.probabilities)])
        x = np.interp(rng.random(n_events), reached / reached[-1], self.edges)
        return Draw(x, self.score_moments(x)[0])

    @property
    def support(self) -> tuple[float, float]:
        """Range of x."""
        return self.edges[0], self.edges[-1]

    @property
    def score_range(self) -> tuple[float, float]:
        """Of the bins."""
        return min(self.scores), max(self.scores)

    def _bin(self, x: npt.ArrayLike) -> npt.NDArray[np.int64]:
        found = np.searchsorted(self.edges, np.asarray(x, dtype=np.float64), side="right") - 1
        return np.clip(found, 0, len(self.scores) - 1)

    def nominal_density(self, x: npt.ArrayLike) -> FloatArray:
        """Density at theta = 0; see `Toy.nominal_density`."""
        values = np.asarray(x, dtype=np.float64)
        density = np.array(self.probabilities) / np.diff(self.edges)
        return np.where((values >= self.edges[0]) & (values <= self.edges[-1]), density[self._bin(values)], 0.0)

    def score_moments(self, x: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Score and its square; see `Toy.score_moments`."""
        score: FloatArray = np.array(self.scores, dtype=np.float64)[self._bin(x)]
        return score, score**2

    def mean_moments(self) -> tuple[float, float, float]:
        """Means of the score and its square; see `Toy.mean_moments`."""
        probabilities, scores = np.array(self.probabilities), np.array(self.scores)
        second = float(probabilities @ scores**2)
        return float(probabilities @ scores), second, second

    def _mean_square_slope(self, theta: float) -> float:
        """Sum of p t^2/(1 + theta t) over bins."""
        scores = np.array(self.scores)
        return float(np.array(self.probabilities) @ (scores**2 / (1.0 + theta * scores)))


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
    require_seed(seed)
    draw = np.random.default_rng(seed).random(table.n_events)
    factor = np.where(draw < probability, -1.0, 1.0) / (1.0 - 2.0 * probability)
    return replace(table, weights=table.weights * factor[:, np.newaxis])
