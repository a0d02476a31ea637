"""One number of a paper beside ours, formulas fitted to simulated events, and errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from bit import EventTable

FloatArray = npt.NDArray[np.float64]
EVENTS_OF_THE_PAPER = 500_000
"""Events of weight 1 behind each number of arXiv:2109.10414."""
_GROUPS = 8


class Row(NamedTuple):
    """One number."""

    quantity: str
    published: float | None
    reference: float | None
    """Of an independent leading-order calculation."""
    ours: float
    error: float
    """Standard error of ours."""
    scatter: float | None = None
    """Of an MSE: standard error on as many events of weight 1 as the paper has."""


@dataclass(frozen=True, eq=False)
class Target:
    """A target and normalised weights; arrays of shape (n,)."""

    target: FloatArray
    weight: FloatArray


@dataclass(frozen=True, eq=False)
class Fit:
    """Parameters of a formula, their covariance, and the residuals."""

    values: FloatArray
    covariance: FloatArray
    residual: FloatArray
    weight: FloatArray

    @property
    def mse(self) -> float:
        """Weighted mean squared error."""
        return mean_and_error(self.weight, self.residual**2)[0]

    @property
    def mse_error(self) -> float:
        """Its standard error."""
        return mean_and_error(self.weight, self.residual**2)[1]

    def mse_scatter(self, n_events: int = EVENTS_OF_THE_PAPER) -> float:
        """Standard error of the MSE on so many events of weight 1."""
        return float(np.sqrt(self.weight @ (self.residual**2 - self.mse) ** 2 / n_events))

    def mse_row(self, quantity: str, published: float | None = None, reference: float | None = None) -> Row:
        """Row of the MSE."""
        return Row(f"{quantity}: MSE", published, reference, self.mse, self.mse_error, self.mse_scatter())

    def value_row(self, quantity: str, index: int, published: float | None, reference: float | None = None) -> Row:
        """Row of a parameter."""
        return Row(quantity, published, reference, float(self.values[index]), self.covariance[index, index] ** 0.5)


def fit_linear(sample: Target, columns: Sequence[FloatArray]) -> Fit:
    """Weighted least squares of a sum of given functions."""
    design = np.stack(np.broadcast_arrays(*columns, sample.target)[:-1], axis=-1)
    root = np.sqrt(sample.weight)
    values = np.linalg.lstsq(design * root[:, np.newaxis], sample.target * root, rcond=None)[0]
    return _fit(sample, values, sample.target - design @ values, design)


def fit(sample: Target, form: Callable[..., FloatArray], start: Sequence[float]) -> Fit:
    """Weighted least squares of a formula ``form(*parameters)``."""
    root = np.sqrt(sample.weight)

    def residual(values: FloatArray) -> FloatArray:
        return root * (form(*values) - sample.target)

    found = least_squares(residual, start, x_scale="jac", method="lm")
    return _fit(sample, found.x, -found.fun / root, found.jac / root[:, np.newaxis])


def evaluate(sample: Target, predicted: FloatArray) -> Fit:
    """A formula as it is."""
    return Fit(np.empty(0), np.empty((0, 0)), sample.target - predicted, sample.weight)


def _fit(sample: Target, values: FloatArray, residual: FloatArray, design: FloatArray) -> Fit:
    # The "sandwich": neither equal weights nor normal residuals are assumed.
    curvature = np.linalg.pinv((design.T * sample.weight) @ design)
    slope = design * (sample.weight * residual)[:, np.newaxis]
    return Fit(values, curvature @ (slope.T @ slope) @ curvature, residual, sample.weight)


def mean_and_error(weight: FloatArray, values: FloatArray) -> tuple[float, float]:
    """Mean with weights that sum to 1, and its standard error."""
    mean = float(weight @ values)
    return mean, float(np.sqrt(weight**2 @ (values - mean) ** 2))


def rms_and_error(weight: FloatArray, values: FloatArray) -> tuple[float, float]:
    """Root of the mean square, and its standard error."""
    mean, error = mean_and_error(weight, values**2)
    return mean**0.5, 0.5 * error / mean**0.5


def jackknife(numbers: Callable[[EventTable], FloatArray], table: EventTable) -> FloatArray:
    """Standard errors of numbers found from events, from what is found without an eighth of these at a time."""
    group = np.arange(table.n_events) % _GROUPS
    found = np.stack([numbers(table.take(np.flatnonzero(group != left_out))) for left_out in range(_GROUPS)])
    errors: FloatArray = np.sqrt((_GROUPS - 1) * found.var(axis=0))
    return errors
