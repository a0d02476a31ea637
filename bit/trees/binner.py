"""Bin edges of the features, and the one-byte codes in which training sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.kernels.binning import encode_features
from bit.kernels.dtypes import CODE, FEATURE, N_CODES
from bit.trees.exact import quantisation_scale

MAX_BINS = 255  # codes 0 to 254; code 255 is NaN
_BLOCK = 8192  # rows cast at a time: a block of features and its codes stay in the cache

Map = Callable[..., Iterable[Any]]


@dataclass(frozen=True)
class Binner:
    """Thresholds of every feature.

    Attributes
    ----------
    edges : tuple of ndarray of float32
        Increasing and finite; ``x < edges[b]`` goes left.
    """

    edges: tuple[npt.NDArray[np.float32], ...]

    @classmethod
    def fit(
        cls, features: npt.NDArray[np.floating], max_bins: int, event_weights: FloatArray | None, run: Map
    ) -> Binner:
        """Choose thresholds between quantiles; between all values if they are few.

        Parameters
        ----------
        features : ndarray of float32 or float64, shape (n, n_features)
            Training events.
        max_bins : int
            Largest number of bins, 2 to 255, NaN not counted.
        event_weights : ndarray of float64, shape (n,), or None
            Non-negative weights of the quantiles; None counts events.
        run : callable
            ``map`` or a thread pool's; one call per feature.

        Returns
        -------
        Binner
            The thresholds. They do not depend on the order of the events.
        """
        columns = range(features.shape[1])
        return cls(tuple(run(lambda f: _edges_of(features[:, f], max_bins, event_weights), columns)))

    @property
    def n_edges(self) -> npt.NDArray[np.int64]:
        """Number of thresholds of each feature."""
        return np.array([len(edges) for edges in self.edges], dtype=np.int64)

    def encode(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
        """Codes of events: the number of thresholds at or below each value, 255 for NaN.

        Parameters
        ----------
        features : ndarray of float32 or float64, shape (n, n_features)
            Events.

        Returns
        -------
        ndarray of uint8, shape (n, n_features)
            ``x < edges[f][b]`` if and only if ``code <= b``.
        """
        table = np.full((len(self.edges), N_CODES), np.nan, dtype=FEATURE)
        for f, edges in enumerate(self.edges):
            table[f, : len(edges)] = edges
        codes = np.empty(features.shape, dtype=CODE)
        for low in range(0, len(features), _BLOCK):
            block = np.array(features[low : low + _BLOCK], dtype=FEATURE, order="C")
            encode_features(block, table, codes[low : low + _BLOCK])
        return codes


def _edges_of(
    column: npt.NDArray[np.floating], max_bins: int, event_weights: FloatArray | None
) -> npt.NDArray[np.float32]:
    values = np.array(column, dtype=FEATURE)
    order = None if event_weights is None else np.argsort(values, kind="stable")
    values = np.sort(values) if order is None else values[order]
    n_valid = len(values) - int(np.isnan(values).sum())  # NaN is sorted to the end
    has_nan, values = n_valid < len(values), values[:n_valid]
    if n_valid == 0:
        return np.empty(0, dtype=FEATURE)
    # Thresholds may stand below every value but the lowest.
    starts = 1 + np.flatnonzero(values[1:] != values[:-1])
    if len(starts) >= max_bins:
        weight_below, total = starts, n_valid
        if order is not None and event_weights is not None:
            scale = quantisation_scale(float(event_weights.max()), len(event_weights))
            cumulative = np.cumsum(np.rint(event_weights[order[:n_valid]] * scale).astype(np.int64))
            weight_below, total = cumulative[starts - 1], int(cumulative[-1])
        # Rounded up in Python integers, since 62-bit sums times bin numbers leave 64 bits.
        targets = np.array([-(-step * total // max_bins) for step in range(1, max_bins)])
        chosen = np.unique(np.searchsorted(weight_below, targets))
        starts = starts[chosen[chosen < len(starts)]]
    edges = _between(values[starts - 1], values[starts])
    return _with_room_for_nan(edges, values, max_bins) if has_nan else edges


def _with_room_for_nan(
    edges: npt.NDArray[np.float32], values: npt.NDArray[np.float32], max_bins: int
) -> npt.NDArray[np.float32]:
    """Add a threshold above all finite values, so that a split can part NaN (and +inf) from the rest."""
    finite = values[np.isfinite(values)]
    top = _next_after(finite[-1:]) if len(finite) else np.zeros(1, dtype=FEATURE)
    if not np.isfinite(top[0]) or (len(edges) and top[0] <= edges[-1]):
        return edges
    return np.append(edges[: max_bins - 2], top)


def _next_after(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return np.nextafter(values, FEATURE(np.inf))


def _between(low: npt.NDArray[np.float32], high: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Finite float32 thresholds t with low < t <= high, the midpoint where it is one."""
    with np.errstate(invalid="ignore", over="ignore"):
        middle = (0.5 * (low.astype(np.float64) + high.astype(np.float64))).astype(FEATURE)
        fits = np.isfinite(middle) & (low < middle) & (middle <= high)
    threshold = np.where(fits, middle, high)
    # Below +inf only the next number above `low` is finite; it is +inf itself above the largest float32,
    # and then nothing can part the two: such an edge is dropped.
    threshold = np.where(np.isfinite(threshold), threshold, _next_after(low))
    return threshold[np.isfinite(threshold)]
