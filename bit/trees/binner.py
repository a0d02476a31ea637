"""Bin edges of the features, and the one-byte codes in which training sees them."""

from __future__ import annotations

import contextlib
import ctypes
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.kernels.binning import encode_features
from bit.kernels.dtypes import FEATURE, N_CODES, ROW
from bit.kernels.sorting import fill_buckets, key_range, pick_steps, select_buckets, sort_values
from bit.mapped import forget
from bit.threads import Threads
from bit.trees.exact import exact_sum, quantisation_scale
from bit.trees.mirror import Mirror

BIN_WEIGHTS = ("mixed", "count", "nominal", "loss")
MAX_BINS = 255  # codes 0 to 254; code 255 is NaN
_KEY_OF_ZERO = 1 << 31  # see kernels.sorting
_BUCKET_BITS = 16
_MANY = 1_000_000
_BLOCK = 8192  # rows cast at a time: a block of features and its codes stay in the cache


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
        cls,
        features: npt.NDArray[np.floating],
        max_bins: int,
        event_weights: FloatArray | None,
        threads: Threads,
        mirror: Mirror | None = None,
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
        threads : Threads
            Who does the work.
        mirror : Mirror or None
            If given, thresholds are those of the events and their CP images, and symmetric: the code of an
            image follows from that of the event.

        Returns
        -------
        Binner
            The thresholds. They do not depend on the order of the events.
        """

        def edges_of_feature(f: int) -> npt.NDArray[np.float32]:
            columns = columns_of_edges(f, mirror)
            values = np.empty(len(columns) * len(features), dtype=FEATURE)
            for place, column in enumerate(columns):
                values[place * len(features) : (place + 1) * len(features)] = features[:, column]
            forget(features)
            each = quanta if len(columns) == 1 else np.tile(quanta, len(columns))
            flipped = mirror is not None and bool(mirror.flipped[f])
            edges = edges_of(Ranking(np.abs(values) if flipped else values, each), max_bins, symmetric=flipped)
            del values
            _return_freed_memory(len(features))
            return edges

        quanta = np.empty(0, dtype=np.int64)
        if event_weights is not None:
            scaled = event_weights * quantisation_scale(float(event_weights.max()), 2 * len(event_weights))
            quanta = np.rint(scaled, out=scaled).astype(np.int64)
            del scaled
        _return_freed_memory(len(features))
        return cls(tuple(threads.map(edges_of_feature, range(features.shape[1]))))

    @property
    def n_edges(self) -> npt.NDArray[np.int64]:
        """Number of thresholds of each feature."""
        return np.array([len(edges) for edges in self.edges], dtype=np.int64)

    @property
    def table(self) -> npt.NDArray[np.float32]:
        """Thresholds in the form of ``kernels.binning``."""
        table = np.full((len(self.edges), N_CODES), np.nan, dtype=FEATURE)
        for f, edges in enumerate(self.edges):
            table[f, : len(edges)] = edges
        return table


def _return_freed_memory(n_events: int) -> None:
    """Give freed arrays back to the system, if they are worth it.

    glibc keeps those below 32 MB for itself; what binning leaves behind would count on top of what training needs.
    """
    if n_events >= _MANY:
        with contextlib.suppress(OSError, AttributeError):  # other systems, other libraries
            ctypes.CDLL(None).malloc_trim(0)


def encode(
    features: npt.NDArray[np.floating],
    table: npt.NDArray[np.float32],
    out_codes: npt.NDArray[np.uint8],
    out_columns: npt.NDArray[np.uint8],
) -> None:
    """Codes of events: the number of thresholds at or below each value, 255 for NaN.

    Parameters
    ----------
    features : ndarray of float32 or float64, shape (n, n_features)
        Events.
    table : ndarray of float32, shape (n_features, 256)
        Thresholds, see `Binner.table`.
    out_codes : ndarray of uint8, shape (n, at least n_features)
        ``x < edges[f][b]`` if and only if ``code <= b``.
    out_columns : ndarray of uint8, shape (n_features, n)
        The same, those of one feature side by side.
    """
    for low in range(0, len(features), _BLOCK):
        rows = slice(low, low + _BLOCK)
        encode_features(
            np.array(features[rows], dtype=FEATURE, order="C"), table, out_codes[rows], out_columns[:, rows]
        )
        forget(features)


def bin_measure(weights: FloatArray, columns: npt.NDArray[np.int64], name: str, threads: Threads) -> FloatArray | None:
    """Weights of the events in the quantiles of the bins.

    Parameters
    ----------
    weights : ndarray of float64, shape (n, n_terms)
        Weights of the events, the nominal one first, sum w_0 > 0.
    columns : ndarray of int64, shape (n_columns,)
        Columns to be learned.
    name : {"mixed", "count", "nominal", "loss"}
        "count" counts events, "nominal" is the size of w_0, "loss" is the mean over the terms of an event's share
        in sum w_0 (t_a - <t_a>)^2 with t_a = w_a / w_0, "mixed" half of count and of loss.
    threads : Threads
        Who does the work.

    Returns
    -------
    ndarray of float64, shape (n,), or None
        Non-negative; None for the number of events.
    """
    if name == "count":
        return None
    nominal = np.abs(weights[:, 0])
    if name == "nominal":
        return nominal
    size = size_or_mean(nominal, exact_sum(nominal) / len(nominal))
    total = exact_sum(weights[:, 0])

    def share_of(k: int) -> FloatArray:
        far = loss_of_term(weights, k, exact_sum(weights[:, k]) / total, size)
        whole = exact_sum(far)
        return far / whole if whole > 0 else far

    measure = np.zeros(len(weights))
    # As many terms at a time as there are threads, so that few arrays are held.
    for low in range(0, len(columns), threads.n_threads):
        for share in threads.map(share_of, columns[low : low + threads.n_threads].tolist()):
            measure += share
    whole = exact_sum(measure)
    if name == "loss":
        return measure if whole > 0 else None
    return measure / whole + 1.0 / len(measure) if whole > 0 else None


def size_or_mean(nominal: FloatArray, mean: float) -> FloatArray:
    """Sizes of the nominal weights to be divided by: where w_0 = 0 no ratio exists, and the mean stands in for it.

    Parameters
    ----------
    nominal : ndarray of float64, shape (n,)
        Sizes of the nominal weights.
    mean : float
        Their mean.

    Returns
    -------
    ndarray of float64, shape (n,)
        Positive.
    """
    return np.where(nominal == 0.0, mean, nominal)


def loss_of_term(weights: FloatArray, k: int, mean: float, size: FloatArray) -> FloatArray:
    """What each event adds to sum w_0 (t_k - <t_k>)^2, by size.

    Parameters
    ----------
    weights : ndarray of float64, shape (n, n_terms)
        Weights.
    k : int
        Column of the term.
    mean : float
        <t_k>.
    size : ndarray of float64, shape (n,)
        Of `size_or_mean`.

    Returns
    -------
    ndarray of float64, shape (n,)
        (w_k - w_0 <t_k>)^2 / size.
    """
    far: FloatArray = weights[:, k] - weights[:, 0] * mean
    far *= far / size
    return far


def columns_of_edges(f: int, mirror: Mirror | None) -> list[int]:
    """Columns whose values share the thresholds of a feature: its own, and that from which its CP image comes.

    Parameters
    ----------
    f : int
        The feature.
    mirror : Mirror or None
        How CP acts.

    Returns
    -------
    list of int
        One or two columns.
    """
    return [f] if mirror is None or mirror.source[f] == f else sorted([f, int(mirror.source[f])])


class Ranked(Protocol):
    """Values that can be ranked wherever they lie: what their owners tell is added up or put together."""

    @property
    def n_values(self) -> int:
        """Number of values, NaN among them."""

    @property
    def bucket_bits(self) -> int:
        """Logarithm of the largest number of buckets; thresholds do not depend on it."""

    def key_range(self) -> tuple[int, int, int]:
        """Smallest and largest key, and the number of values that are not NaN; see ``kernels.sorting``."""

    def fill(self, lowest: int, shift: int, n_buckets: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Number of values in each bucket, and their weights."""

    def select(
        self, lowest: int, shift: int, chosen: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Values in the chosen buckets, and their weights (none if each counts 1)."""

    def largest(self) -> float:
        """Largest finite value, minus infinity if there is none."""


@dataclass(frozen=True, eq=False)
class Ranking(Ranked):
    """Values in an array; what their methods do says `Ranked`.

    Attributes
    ----------
    values : ndarray of float32, shape (n,)
        The values.
    quanta : ndarray of int64, shape (n,) or (0,)
        Their weights, 1 each if empty.
    """

    values: npt.NDArray[np.float32]
    quanta: npt.NDArray[np.int64]

    @property
    def n_values(self) -> int:
        """Number of values."""
        return len(self.values)

    @property
    def bucket_bits(self) -> int:
        """So few that the buckets stay in the second cache."""
        return _BUCKET_BITS

    def key_range(self) -> tuple[int, int, int]:
        """Range of the keys."""
        lowest, highest, n_valid = key_range(self.values.view(np.uint32))
        return int(lowest), int(highest), int(n_valid)

    def fill(self, lowest: int, shift: int, n_buckets: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Content of the buckets."""
        counts, weights = np.zeros((2, n_buckets), dtype=np.int64)
        bits = self.values.view(np.uint32)
        fill_buckets(bits, self.quanta, np.uint32(lowest), np.uint32(shift), counts, weights)
        return counts, weights

    def select(
        self, lowest: int, shift: int, chosen: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Values in some buckets."""
        rows = np.empty(len(self.values), dtype=ROW)
        bits = self.values.view(np.uint32)
        rows = rows[: select_buckets(bits, np.uint32(lowest), np.uint32(shift), chosen, rows)]
        return self.values[rows], self.quanta[rows] if len(self.quanta) else self.quanta

    def largest(self) -> float:
        """Largest finite value."""
        finite = self.values[np.isfinite(self.values)]
        return float(finite.max()) if len(finite) else -np.inf


def edges_of(ranked: Ranked, max_bins: int, *, symmetric: bool) -> npt.NDArray[np.float32]:
    """Thresholds of one feature.

    Parameters
    ----------
    ranked : Ranked
        Values of the feature; their sizes if `symmetric`.
    max_bins : int
        Largest number of bins.
    symmetric : bool
        Whether thresholds are t and -t, so that ``x < t`` if and only if not ``-x < -t``; 0 has a bin of its own.

    Returns
    -------
    ndarray of float32, shape (n_thresholds,)
        Increasing and finite.
    """
    if not symmetric:
        return _edges_between(ranked, max_bins)
    room = (max_bins - 3) // 2
    _, highest, n_valid = ranked.key_range()
    if room < 0 or n_valid == 0 or highest == _KEY_OF_ZERO:
        return np.empty(0, dtype=FEATURE)
    zero = np.zeros(1, dtype=FEATURE)
    middle = np.append(zero, _next_after(zero))
    positive = _edges_between(ranked, room + 1) if room > 0 else zero[:0]
    positive = positive[positive > middle[-1]]
    # -x < t means x > -t, so that the partner of t is the number next to -t.
    return np.concatenate([_next_after(-positive[::-1]), middle, positive])


def _edges_between(ranked: Ranked, max_bins: int) -> npt.NDArray[np.float32]:
    lowest, highest, n_valid = ranked.key_range()
    if n_valid == 0:
        return np.empty(0, dtype=FEATURE)
    shift = max(0, (highest - lowest).bit_length() - ranked.bucket_bits)
    counts, weights = ranked.fill(lowest, shift, ((highest - lowest) >> shift) + 1)
    before = np.cumsum(weights) - weights
    total = int(before[-1] + weights[-1])
    # Rounded up in Python integers, since 62-bit sums times bin numbers leave 64 bits.
    targets = np.array([-(-step * total // max_bins) for step in range(1, max_bins)])
    occupied = np.flatnonzero(counts)
    chosen = np.ones(len(counts), dtype=np.uint8)
    if len(occupied) > max_bins:
        # There are more values than bins: only those in the buckets of the targets, and the next ones, matter.
        place = np.searchsorted((before + weights)[occupied], targets)
        chosen[:] = 0
        chosen[occupied[np.minimum([place, place + 1], len(occupied) - 1)]] = 1
    values, quanta = ranked.select(lowest, shift, chosen)
    keys, scratch_keys = np.empty((2, len(values)), dtype=np.uint32)
    order, scratch_order = np.empty((2, len(values)), dtype=ROW)
    sort_values(values.view(np.uint32), scratch_keys, scratch_order, keys, order)
    steps = 1 + np.flatnonzero(keys[1:] != keys[:-1])
    # Thresholds may stand below every value but the lowest.
    if len(occupied) > max_bins or len(steps) >= max_bins:
        steps = np.empty(len(targets), dtype=np.int64)
        buckets = (np.uint32(lowest), np.uint32(shift))
        steps = steps[: pick_steps(keys, order, quanta, *buckets, before, targets, steps)]
    edges = _between(values[order[steps - 1]], values[order[steps]])
    return edges if n_valid == ranked.n_values else _with_room_for_nan(edges, ranked.largest(), max_bins)


def _with_room_for_nan(edges: npt.NDArray[np.float32], largest: float, max_bins: int) -> npt.NDArray[np.float32]:
    """Add a threshold above all finite values, so that a split can part NaN (and +inf) from the rest."""
    top = np.zeros(1, dtype=FEATURE)
    if np.isfinite(largest):
        top = _next_after(np.array([largest], dtype=FEATURE))
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
    return threshold[np.isfinite(threshold)] + FEATURE(0)  # one zero, not two
