"""-2 ln of the probability of counts, as a function of what is predicted for them: values, derivatives, continuations.

Each class has `value` (+inf where no probability exists) and `slope` (NaN there), and `continued`, `continued_slope`,
which are finite and continuously differentiable everywhere and equal the others where yields are not nearly 0.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from bit.basis import FloatArray

# Below this fraction of the observed yield, a parabola continues -2 ln L.
_NEARLY_ZERO = 1e-4


class Counts(Protocol):
    """-2 ln of the probability of counts, relative to a perfect description."""

    observed: FloatArray
    curvature: FloatArray

    def __init__(self, observed: FloatArray, nominal: FloatArray) -> None:
        """Take the counts, and what is expected at the SM."""

    def value(self, predicted: FloatArray) -> FloatArray | np.float64:
        """Return -2 ln L (...) of predictions (..., n)."""

    def slope(self, predicted: FloatArray) -> FloatArray:
        """Return its derivatives (n,)."""

    def continued(self, predicted: FloatArray) -> FloatArray | np.float64:
        """Return -2 ln L (...), finite everywhere."""

    def continued_slope(self, predicted: FloatArray) -> FloatArray:
        """Return its derivatives (n,)."""

    def metric(self, predicted: FloatArray, slope: FloatArray) -> FloatArray:
        """Return J^T H J of the derivatives J of the predictions, H >= 0 the second derivatives of `continued`."""


class Poisson:
    """Independent Poisson counts; predictions are yields."""

    def __init__(self, observed: FloatArray, nominal: FloatArray) -> None:
        self.observed = observed
        some = observed > 0
        # Without events -2 ln L is linear down to 0, so only negative yields are continued; the SM sets the scale.
        least = np.maximum(nominal, 1e-6 * max(float(observed.sum()), 1.0))
        width = _NEARLY_ZERO * np.where(some, observed, least)
        self.floor = np.where(some, width, 0.0)
        self.floor_slope = 2.0 * (1.0 - np.where(some, observed / width, 0.0))
        self.curvature = 2.0 * np.maximum(observed, 1.0) / width**2

    def value(self, predicted: FloatArray) -> FloatArray | np.float64:
        possible = self.possible(predicted)
        terms = np.where(possible, deviance(np.where(possible, predicted, 1.0), self.observed), np.inf)
        value: FloatArray | np.float64 = terms.sum(axis=-1)
        return value

    def slope(self, predicted: FloatArray) -> FloatArray:
        if not self.possible(predicted).all():
            return np.full(len(predicted), np.nan)
        return 2.0 * (1.0 - self._ratio(predicted))

    def continued(self, predicted: FloatArray) -> FloatArray | np.float64:
        value: FloatArray | np.float64 = self.continued_terms(predicted).sum(axis=-1)
        return value

    def continued_terms(self, predicted: FloatArray) -> FloatArray:
        """Return the terms of all bins, parabolas below the floor."""
        missing, inside = self.inside(predicted)
        parabola = missing * (self.floor_slope + 0.5 * self.curvature * missing)
        terms: FloatArray = deviance(inside, self.observed) + parabola
        return terms

    def continued_slope(self, predicted: FloatArray) -> FloatArray:
        missing, inside = self.inside(predicted)
        slope: FloatArray = 2.0 * (1.0 - self._ratio(inside)) + self.curvature * missing
        return slope

    def metric(self, predicted: FloatArray, slope: FloatArray) -> FloatArray:
        metric: FloatArray = (slope.T * self.bend(predicted)) @ slope
        return metric

    def bend(self, predicted: FloatArray) -> FloatArray:
        """Return second derivatives (n,), the larger of the observed and of the expected information."""
        # Together they are exact for a factor exp(nu) where many events are expected.
        safe = np.where(predicted > 0, predicted, 1.0)
        above = np.divide(2.0 * np.maximum(self.observed, predicted), safe**2)
        bend: FloatArray = np.where(predicted < self.floor, self.curvature, above)
        return bend

    def inside(self, predicted: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what is missing to the floor (negative), and yields that are not below it."""
        missing = np.minimum(predicted - self.floor, 0.0)
        # Of a yield of -1e20 the difference leaves nothing, not the floor.
        return missing, np.maximum(predicted - missing, 0.5 * self.floor)

    def possible(self, predicted: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether each bin has a probability."""
        result: npt.NDArray[np.bool_] = (predicted > 0) | ((predicted == 0) & (self.observed == 0))
        return result

    def _ratio(self, predicted: FloatArray) -> FloatArray:
        ratio: FloatArray = np.divide(self.observed, predicted, out=np.zeros_like(predicted), where=self.observed > 0)
        return ratio


class Multinomial:
    """Counts of which the shape alone is compared: one factor for all yields is free, s = n / lambda of the sums."""

    def __init__(self, observed: FloatArray, nominal: FloatArray) -> None:
        self._poisson = Poisson(observed, nominal)
        self.observed, self.curvature = observed, self._poisson.curvature
        self._total = float(observed.sum())

    def value(self, predicted: FloatArray) -> FloatArray | np.float64:
        return self._poisson.value(self._scaled(predicted))

    def slope(self, predicted: FloatArray) -> FloatArray:
        scaled = self._scaled(predicted)
        # The factor minimises -2 ln L, so that its own change does not count.
        slope: FloatArray = self._poisson.slope(scaled) * (self._total / predicted.sum())
        return slope

    def continued(self, predicted: FloatArray) -> FloatArray | np.float64:
        missing, inside = self._poisson.inside(predicted)
        factor = self._total / inside.sum(axis=-1, keepdims=True)
        parabola = missing * (2.0 * (factor - self._low()) + 0.5 * self.curvature * missing)
        value: FloatArray | np.float64 = (deviance(factor * inside, self.observed) + parabola).sum(axis=-1)
        return value

    def continued_slope(self, predicted: FloatArray) -> FloatArray:
        missing, inside = self._poisson.inside(predicted)
        factor = self._total / inside.sum(axis=-1, keepdims=True)
        ratio = np.divide(self.observed, inside, out=np.zeros_like(inside), where=self.observed > 0)
        moved = -2.0 * missing.sum() * factor / inside.sum() * (missing == 0)
        slope: FloatArray = 2.0 * (factor - ratio) + self.curvature * missing + moved
        return slope

    def metric(self, predicted: FloatArray, slope: FloatArray) -> FloatArray:
        missing, inside = self._poisson.inside(predicted)
        total = inside.sum()
        free = (missing == 0) & (inside > 0)
        safe = np.where(free, inside, 1.0)
        above = 2.0 * np.maximum(self.observed / safe**2, self._total / (total * safe))
        metric: FloatArray = (slope.T * np.where(free, above, self.curvature)) @ slope
        # The free factor takes away what the sum tells; without this, descents along it crawl.
        common = slope[free].sum(axis=0) / total
        return metric - 2.0 * self._total * np.outer(common, common)

    def _scaled(self, predicted: FloatArray) -> FloatArray:
        """Yields with the observed sum; negative ones where the sum is not positive."""
        total = predicted.sum(axis=-1, keepdims=True)
        scaled: FloatArray = np.divide(
            self._total * predicted, total, out=np.full_like(predicted, -1.0), where=total > 0
        )
        return scaled

    def _low(self) -> FloatArray:
        """Observed counts over the yields at the floor."""
        low: FloatArray = 1.0 - 0.5 * self._poisson.floor_slope
        return low


class BarlowBeeston:
    """Poisson counts of yields with Gaussian Monte Carlo errors; predictions are all yields, then all variances.

    The true yield mu of a bin minimises 2 [mu - n - n ln(mu/n)] + (mu - lambda)^2 / V:
    mu = [lambda - V + sqrt((lambda - V)^2 + 4 n V)] / 2. Where V = 0, mu = lambda.
    """

    def __init__(self, observed: FloatArray, nominal: FloatArray) -> None:
        self._poisson = Poisson(observed, nominal)
        self.observed, self.curvature = observed, self._poisson.curvature

    def value(self, predicted: FloatArray) -> FloatArray | np.float64:
        expected, variance = self._split(predicted)
        smeared = variance > 0
        possible = smeared | self._poisson.possible(expected)
        exact = deviance(np.where(possible & ~smeared, expected, 1.0), self.observed)
        terms = np.where(smeared, self._profiled(expected, variance), np.where(possible, exact, np.inf))
        value: FloatArray | np.float64 = terms.sum(axis=-1)
        return value

    def slope(self, predicted: FloatArray) -> FloatArray:
        if not np.isfinite(self.value(predicted)):
            return np.full(len(predicted), np.nan)
        return self.continued_slope(predicted)

    def continued(self, predicted: FloatArray) -> FloatArray | np.float64:
        expected, variance = self._split(predicted)
        exact = self._poisson.continued_terms(expected)
        terms = np.where(variance > 0, self._profiled(expected, variance), exact)
        value: FloatArray | np.float64 = terms.sum(axis=-1)
        return value

    def continued_slope(self, predicted: FloatArray) -> FloatArray:
        expected, variance = self._split(predicted)
        _, pull = self._solved(expected, variance)
        smeared = variance > 0
        # Envelope theorem: mu minimises the sum, so that only the explicit dependence on lambda and V counts.
        by_expected = np.where(smeared, 2.0 * pull, self._poisson.continued_slope(expected))
        by_variance = np.where(smeared, -(pull**2), 0.0)
        return np.concatenate([by_expected, by_variance])

    def metric(self, predicted: FloatArray, slope: FloatArray) -> FloatArray:
        expected, variance = self._split(predicted)
        true, pull = self._solved(expected, variance)
        smeared = variance > 0
        larger = np.maximum(self.observed, true)
        below = true**2 + larger * variance
        some = np.divide(2.0 * larger, below, out=np.zeros_like(true), where=below > 0)
        none = np.divide(2.0, variance, out=np.zeros_like(true), where=smeared)
        bend = np.where(smeared, np.where(larger > 0, some, none), self._poisson.bend(expected))
        # d pull is proportional to d lambda - pull d V, so that the 2 x 2 matrix of each bin has rank one.
        n = len(self.observed)
        moved = slope[:n] - np.where(smeared, pull, 0.0)[:, np.newaxis] * slope[n:]
        metric: FloatArray = (moved.T * bend) @ moved
        return metric

    def _split(self, predicted: FloatArray) -> tuple[FloatArray, FloatArray]:
        n = len(self.observed)
        return predicted[..., :n], predicted[..., n:]

    def _profiled(self, expected: FloatArray, variance: FloatArray) -> FloatArray:
        true, pull = self._solved(expected, variance)
        # True yields of hopeless predictions are tiny: their logarithm is taken separately.
        inside = np.maximum(true, _NEARLY_ZERO * self.observed)
        below = np.maximum(true, np.finfo(np.float64).tiny)
        rest = 2.0 * (true - inside + xlogy(self.observed, np.maximum(inside, below) / below))
        # (mu - lambda)^2 / V with pull = (lambda - mu) / V.
        terms: FloatArray = deviance(inside, self.observed) + rest + pull**2 * variance
        return terms

    def _solved(self, expected: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
        """True yields, and (lambda - mu) / V, which is 1 - n / mu; any numbers where V = 0."""
        some = self.observed > 0
        safe = np.where(variance > 0, variance, 1.0)
        gap = expected - safe
        root = np.hypot(gap, 2.0 * np.sqrt(self.observed * safe))
        # The form without cancellation; without events mu is gap or 0.
        lower = np.divide(2.0 * self.observed * safe, root - gap, out=np.zeros_like(gap), where=some & (gap <= 0))
        true = np.where(gap > 0, 0.5 * (gap + root), lower)
        seen = 1.0 - np.divide(self.observed, true, out=np.zeros_like(gap), where=some)
        return true, np.where(some, seen, np.minimum(expected / safe, 1.0))


def deviance(expected: FloatArray, observed: FloatArray) -> FloatArray:
    """2 [lambda - n - n ln(lambda/n)] for lambda > 0, or lambda = n = 0; accurate where lambda is close to n."""
    some = observed > 0
    excess = np.divide(expected - observed, observed, out=np.zeros_like(expected), where=some)
    return 2.0 * np.where(some, observed * (excess - np.log1p(excess)), expected)
