"""Bin edges of the features, and the one-byte codes in which training sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.kernels.binning import encode_features
from bit.kernels.dtypes import CODE, FEATURE
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
        table = np.full((len(self.edges), 256), np.nan, dtype=FEATURE)
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
    if event_weights is None:
        values.sort()  # NaN last
        n_valid = len(values) - int(np.isnan(values).sum())
        n_nan, values = len(values) - n_valid, values[:n_valid]
        cumulative = None
    else:
        order = np.argsort(values, kind="stable")
        values = values[order]
        n_valid = len(values) - int(np.isnan(values).sum())
        n_nan, values = len(values) - n_valid, values[:n_valid]
        scale = quantisation_scale(float(event_weights.max()), len(event_weights))
        cumulative = np.cumsum(np.rint(event_weights[order[:n_valid]] * scale).astype(np.int64))
    if n_valid == 0:
        return np.empty(0, dtype=FEATURE)
    is_new = np.concatenate([[False], values[1:] != values[:-1]])
    starts = np.flatnonzero(is_new)  # first place of each value but the lowest
    if len(starts) >= max_bins:
        starts = _quantile_starts(starts, n_valid, max_bins, cumulative)
    edges = _between(values[starts - 1], values[starts]) if len(starts) else np.empty(0, dtype=FEATURE)
    if n_nan:
        # One more threshold above all finite values lets a split part NaN (and +inf) from the rest.
        finite = values[np.isfinite(values)]
        top = np.nextafter(finite[-1], FEATURE(np.inf)) if len(finite) else FEATURE(0)
        if np.isfinite(top) and (not len(edges) or top > edges[-1]):
            edges = np.append(edges[: max_bins - 2], top)
    return edges


def _quantile_starts(
    starts: npt.NDArray[np.int64], n_valid: int, max_bins: int, cumulative: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.int64]:
    """Places nearest above the quantiles 1/max_bins, 2/max_bins, ... at which a new value begins."""
    steps = np.arange(1, max_bins)
    if cumulative is None:
        places = steps * n_valid // max_bins
    else:
        # Python integers: the product of a 62-bit sum and a bin number leaves 64 bits.
        targets = [int(step) * int(cumulative[-1]) // max_bins for step in steps]
        places = np.searchsorted(cumulative, np.array(targets), side="right")
    chosen = np.unique(np.searchsorted(starts, places))
    return starts[chosen[chosen < len(starts)]]


def _between(low: npt.NDArray[np.float32], high: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Finite float32 thresholds t with low < t <= high, the midpoint where it is one."""
    with np.errstate(invalid="ignore", over="ignore"):
        middle = (0.5 * (low.astype(np.float64) + high.astype(np.float64))).astype(FEATURE)
        fits = np.isfinite(middle) & (low < middle) & (middle <= high)
    threshold = np.where(fits, middle, high)
    # Below +inf only the next number above `low` is finite; it is +inf itself above the largest float32,
    # and then nothing can part the two: such an edge is dropped.
    threshold = np.where(np.isfinite(threshold), threshold, np.nextafter(low, FEATURE(np.inf)))
    return threshold[np.isfinite(threshold)]
