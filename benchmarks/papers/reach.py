"""Expected limits on the linear coefficient of a CP-odd operator, from histograms of events and their CP images.

Histograms have the shape (n_bins, 2): sums of nominal and of linear weights. An image under CP has the same nominal
weight and the opposite linear one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from bit import EventTable

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
N_BINS = 20
CHI2_95 = 3.84
"""Quantile of one degree of freedom at 95 %."""


def linear_weights(table: EventTable, name: str) -> FloatArray:
    """Linear weights of a coefficient, shape (n,)."""
    return table.weights[:, table.basis.terms.index((name,))]


def score(table: EventTable, name: str) -> FloatArray:
    """Score of a coefficient at the reference point of the weights, shape (n,)."""
    return linear_weights(table, name) / table.weights[:, 0]


def odd_histogram(table: EventTable, name: str, values: FloatArray) -> FloatArray:
    """Histogram of an odd observable in `N_BINS` bins of equal probability."""
    both = np.concatenate([values, -values])
    weight = np.tile(table.weights[:, 0], 2)
    order = np.argsort(both)
    reached = np.empty_like(both)
    reached[order] = np.cumsum(weight[order])
    return histogram(table, name, np.minimum(reached / reached.max() * N_BINS, N_BINS - 1).astype(np.int64))


def histogram(table: EventTable, name: str, bins: IntArray) -> FloatArray:
    """Histogram from the bins of all events, followed by those of their images, shape (2 n,)."""
    linear = linear_weights(table, name)
    columns = np.tile(table.weights[:, 0], 2), np.concatenate([linear, -linear])
    return np.stack([np.bincount(bins, column) for column in columns], axis=-1)


def limit(sums: FloatArray, n_expected: float, twice_delta: float = CHI2_95) -> float:
    """Coefficient at which -2 ln L of the expected data of the Standard Model has risen by `twice_delta`.

    The Standard Model gives `n_expected` events.
    """
    expected, ratio = sums[:, 0] / sums[:, 0].sum() * n_expected, sums[:, 1] / sums[:, 0]

    def excess(value: float) -> float:
        return float(2.0 * expected @ (value * ratio - np.log1p(value * ratio)) - twice_delta)

    return float(brentq(excess, 1e-9, (1.0 - 1e-9) / np.abs(ratio).max()))


def events_for(sums: FloatArray, wanted: float) -> float:
    """Number of events with which the limit at 95 % is as wanted."""
    return float(brentq(lambda n_expected: limit(sums, n_expected) - wanted, 10.0, 10_000.0))
