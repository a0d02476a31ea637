"""The training events, divided into shards that one thread each works on.

A shard owns its rows for good: a node's events are the union of one segment in every shard, so that threads
share nothing but the integer histograms, which are added up. All that `Shards` asks of one is in the methods of
`_Shard`, which take and give small arrays: trees, values, scales; sums and largest values. Shards may therefore lie
in other processes (`bit.dask`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.kernels._jit import LANES
from bit.kernels.dtypes import CODE, FEATURE, N_CODES, ROW, SUM, aligned_empty
from bit.kernels.histogram import build_histograms
from bit.kernels.partition import divide_rows
from bit.kernels.residuals import (
    LEAF_FEATURES,
    N_MOMENTS,
    build_root_histogram,
    lanes_of_moments,
    sum_by_leaf,
    sum_moments,
    update_residuals,
    update_residuals_of_pairs,
)
from bit.kernels.rotation import combine_residuals, rotate_weights
from bit.kernels.sums import bounds_of, sum_quanta
from bit.mapped import forget
from bit.threads import Threads
from bit.trees.binner import Binner, encode
from bit.trees.exact import quantisation_scale
from bit.trees.linear import CONSTANT, LinearWalk, Moments
from bit.trees.mirror import Mirror
from bit.trees.walk import IntArray, Walk

_ALMOST_ONE = 1.0 - 1e-9
_BLOCK = 65536  # events whose squares are held at a time
_ALL_CODES = np.arange(N_CODES)[np.newaxis]
_NO_FEATURES = np.empty((0, 0), dtype=FEATURE)
_ALL_ROWS = np.empty(0, dtype=ROW)  # as the kernels take it


@dataclass(frozen=True)
class Quanta:
    """How the sums of one tree are turned into integers.

    Attributes
    ----------
    scales : ndarray of float64, shape (1 + n_outputs,)
        Powers of two of the nominal weight and the residuals.
    square_scale : float
        The same for squared nominal weights.
    count_bits : int
        Bits of the event count that stands below the squared weights; 0 if all nominal weights are equal,
        since then their sum counts the events.
    quantum : int
        That common weight in units of its scale, else 0.
    n_outputs : int
        How many of the residuals count for the gain; those behind them are only summed.
    """

    scales: FloatArray
    square_scale: float
    count_bits: int
    quantum: int
    n_outputs: int

    @property
    def first(self) -> int:
        """Channel of the first residual."""
        return 2 if self.count_bits else 1

    @property
    def n_channels(self) -> int:
        """Channels of a bin, a multiple of 4."""
        return -(-(self.first + len(self.scales) - 1) // 4) * 4

    def count(self, sums: IntArray) -> int:
        """Events behind a set of sums.

        Parameters
        ----------
        sums : ndarray of int64, shape (n_channels,)
            Sums.

        Returns
        -------
        int
            Their number.
        """
        if self.count_bits:
            return int(sums[1]) & ((1 << self.count_bits) - 1)
        return int(sums[0]) // self.quantum


class Split(NamedTuple):
    """A node to be divided.

    Attributes
    ----------
    node, feature, bins : int
        Events of the node with ``code <= bins`` go left.
    left, right : int
        Numbers of the children.
    sums_right : bool
        Whether the right child is to be summed, else the left one.
    """

    node: int
    feature: int
    bins: int
    left: int
    right: int
    sums_right: bool


class _View:
    """The events of a shard, or their CP images, divided into the nodes of the current tree."""

    def __init__(self, n: int, mirror: Mirror | None, n_edges: IntArray) -> None:
        self.rows = np.empty(n, dtype=ROW)
        self.scratch = np.empty(n, dtype=ROW)
        self.bounds: dict[int, tuple[int, int]] = {}
        self.whole = False
        self.source = np.arange(len(n_edges)) if mirror is None else mirror.source
        self.relabel = np.empty(0, dtype=CODE) if mirror is None else mirror.relabel(n_edges)

    def plant(self, chosen: npt.NDArray[np.bool_] | None) -> None:
        """Put all rows, or the chosen ones, into node 0."""
        # All rows need not be written down: the first division does it.
        self.whole, n_rows = chosen is None, len(self.rows)
        if chosen is not None:
            picked = np.flatnonzero(chosen)
            n_rows = len(picked)
            self.rows[:n_rows] = picked
        self.bounds = {0: (0, n_rows)}

    def sides(self, splits: Sequence[Split]) -> tuple[IntArray, npt.NDArray[np.uint8]]:
        """Columns that decide, and which codes go right."""
        features = np.array([split.feature for split in splits], dtype=np.int64)
        bins = np.array([split.bins for split in splits])
        labels = self.relabel.reshape(-1, N_CODES)[features] if len(self.relabel) else _ALL_CODES
        return self.source[features], (labels > bins[:, np.newaxis]).view(CODE)

    def bounds_of(self, nodes: Sequence[int]) -> tuple[IntArray, IntArray]:
        """Bounds of nodes in `rows`."""
        low, high = np.array([self.bounds[node] for node in nodes], dtype=np.int64).reshape(-1, 2).T.copy()
        return low, high

    def divide(
        self, columns: npt.NDArray[np.uint8], splits: Sequence[Split], sides: tuple[IntArray, npt.NDArray[np.uint8]]
    ) -> None:
        """Replace nodes by their children."""
        low, high = self.bounds_of([split.node for split in splits])
        middles = np.empty(len(splits), dtype=np.int64)
        divide_rows(columns, low, high, *sides, self.whole, self.scratch, self.rows, middles)
        self.whole = False
        for split, middle in zip(splits, middles.tolist(), strict=True):
            first, last = self.bounds.pop(split.node)
            self.bounds[split.left], self.bounds[split.right] = (first, middle), (middle, last)


def _range_of(values: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Smallest and largest finite value, 0 if there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)


def _zeros(n: int) -> IntArray:
    """Sums that begin at a cache line."""
    sums: IntArray = aligned_empty(1, n).view(SUM)[0]
    sums.fill(0)
    return sums


class _Shard:
    """Events of one thread, or of one process.

    Records of codes, nominal weight and residuals make a row one piece of memory, to be added to histograms; the
    codes stand a second time feature by feature, to pass many events through a split.
    """

    def __init__(
        self, weights: FloatArray, n_features: int, n_residuals: int, n_directions: int, views: list[_View]
    ) -> None:
        self.n_features = n_features
        self.n_residuals = n_residuals
        self.weights = weights
        self.features: npt.NDArray[np.floating] = _NO_FEATURES
        self.first = -(-n_features // 8) + 1
        self.records = aligned_empty(len(weights), self.first + (n_directions or n_residuals))
        # What fills up the last word of the codes is read where events are divided into halves.
        self.records[:, : self.first - 1] = 0.0
        self.nominal = self.records[:, self.first - 1]
        self.nominal[:] = weights[:, 0]
        self.codes = self.records.view(CODE)
        self.words = self.records.view(np.uint64)
        self.columns = np.empty((n_features, len(weights)), dtype=CODE)
        # Of many residuals the records hold combinations only; they themselves then stand apart.
        self.residual = np.empty((len(weights), n_residuals)) if n_directions else self.records
        self.first_residual = 0 if n_directions else self.first
        self.views = views

    def add_nodes(
        self,
        nodes: Sequence[int],
        quanta: Quanta,
        signs: Sequence[FloatArray],
        out_histograms: npt.NDArray[np.int64],
    ) -> None:
        """Add the events of nodes to their histograms."""
        for view, sign in zip(self.views, signs, strict=True):
            build_histograms(
                self.codes,
                self.words,
                self.records,
                self.n_features,
                _ALL_ROWS if view.whole else view.rows,
                *view.bounds_of(nodes),
                quanta.scales,
                quanta.square_scale,
                quanta.count_bits,
                sign,
                view.source,
                view.relabel,
                out_histograms,
            )

    def root_histogram(self, quanta: Quanta, signs: Sequence[FloatArray]) -> npt.NDArray[np.int64]:
        """Histogram of node 0."""
        out = _zeros(self.n_features * N_CODES * quanta.n_channels)
        self.add_nodes([0], quanta, signs, out[np.newaxis])
        return out

    def divide(
        self,
        splits: Sequence[Split],
        sides: Sequence[tuple[IntArray, npt.NDArray[np.uint8]]],
        quanta: Quanta,
        signs: Sequence[FloatArray],
        out_histograms: npt.NDArray[np.int64],
    ) -> None:
        """Divide nodes and sum a child of each."""
        for view, sides_of_view in zip(self.views, sides, strict=True):
            view.divide(self.columns, splits, sides_of_view)
        out_histograms.fill(0)
        children = [split.right if split.sums_right else split.left for split in splits]
        self.add_nodes(children, quanta, signs, out_histograms)

    def plant(self, chosen: npt.NDArray[np.bool_] | None) -> None:
        """Put all events, or the chosen ones, into node 0."""
        for view in self.views:
            view.plant(chosen)

    def bounds_of_weights(self, columns: IntArray) -> tuple[FloatArray, FloatArray]:
        """Smallest and largest weights of some columns."""
        low, high = np.array([bounds_of(self.weights[:, k]) for k in columns], dtype=np.float64).reshape(-1, 2).T
        forget(self.weights)
        return low, high

    def bounds_of_residuals(self, function: Callable[[FloatArray], FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Smallest and largest values of a function of the residuals."""
        low, high = np.array([bounds_of(function(column)) for column in self._residuals()]).reshape(-1, 2).T
        return low, high

    def sum_of_residuals(self, function: Callable[[FloatArray], FloatArray], scales: Sequence[float]) -> IntArray:
        """Integer sums of a function of the residuals."""
        pairs = zip(self._residuals(), scales, strict=True)
        return np.array([sum_quanta(function(column), scale) for column, scale in pairs], dtype=SUM)

    def _residuals(self) -> list[FloatArray]:
        return list(self.residual[:, self.first_residual : self.first_residual + self.n_residuals].T)

    def sum_of_squares(self, scale: float) -> IntArray:
        """Integer sum of squared nominal weights, some at a time, so that those of all events are never held."""
        total = np.zeros(1, dtype=SUM)
        for low in range(0, len(self.nominal), _BLOCK):
            total += sum_quanta(self.nominal[low : low + _BLOCK] ** 2, scale)
        return total

    def start(self, columns: IntArray, base: FloatArray, rotation: FloatArray) -> FloatArray:
        """Set the residuals; return the largest ones."""
        largest = np.zeros(len(columns))
        rotate_weights(self.weights, columns, base, rotation, self.residual, self.first_residual, largest)
        forget(self.weights)
        return largest

    def combine(self, directions: FloatArray) -> FloatArray:
        """Put combinations of the residuals into the records; return the largest ones."""
        largest = np.zeros(directions.shape[1])
        combine_residuals(self.residual, directions, self.records, self.first, largest)
        return largest

    def root_of_residual(self, scale: float) -> IntArray:
        """Sums of the only residual in all bins."""
        out = np.zeros(self.n_features * N_CODES, dtype=SUM)
        build_root_histogram(self.columns, self.records, self.first, scale, out)
        return out

    def sum_moments(
        self,
        views: Sequence[tuple[Walk, IntArray, FloatArray, FloatArray]],
        origin: FloatArray,
        unit: FloatArray,
        scales: FloatArray,
        n_lanes: int,
    ) -> tuple[IntArray, FloatArray, FloatArray]:
        """Sums of products for the linear leaves of a tree, and the ranges of their features."""
        sums = _zeros(len(origin) * 2 * n_lanes)
        low, high = np.full(origin.shape, np.inf), np.full(origin.shape, -np.inf)
        residuals = (self.words, self.nominal, self.residual, self.first_residual)
        for walk, leaf_columns, leaf_signs, signs in views:
            leaves = (self.features, leaf_columns, leaf_signs, origin, unit)
            sum_moments(self.columns, *walk, *leaves, *residuals, signs, scales, sums, low, high)
        return sums, low, high

    def update(
        self, tree: Walk, value: FloatArray, linear: LinearWalk, loss_scales: FloatArray, root_scale: float | None
    ) -> tuple[IntArray, FloatArray, IntArray]:
        """Take a tree out of the residuals; return changes of the loss, largest residuals, the next root's sums."""
        losses, largest = np.zeros(len(loss_scales), dtype=SUM), np.zeros(value.shape[1])
        root = np.zeros(0 if root_scale is None else self.n_features * N_CODES, dtype=SUM)
        residuals = (self.nominal, self.residual, self.first_residual, loss_scales)
        leaves = (value, self.features, *linear)
        scale = 1.0 if root_scale is None else root_scale
        update_residuals(self.columns, *tree, *leaves, *residuals, scale, losses, largest, root)
        return losses, largest, root

    def update_pairs(
        self,
        trees: tuple[Walk, Walk],
        value: FloatArray,
        linear: LinearWalk,
        of_images: tuple[IntArray, FloatArray],
        loss_scales: FloatArray,
        signs: FloatArray,
    ) -> tuple[IntArray, FloatArray, IntArray]:
        """The same for events with their images, to which the tree and its leaves look as given."""
        losses, largest = np.zeros(len(loss_scales), dtype=SUM), np.zeros(value.shape[1])
        tree, image = trees
        images = (image.feature, image.above, image.below)
        both = (value, self.features, *linear[:2], *of_images, *linear[2:])
        residuals = (self.nominal, self.residual, self.first_residual, loss_scales, signs)
        update_residuals_of_pairs(self.columns, *tree, *images, *both, *residuals, losses, largest)
        return losses, largest, np.zeros(0, dtype=SUM)

    def sum_by_leaf(
        self,
        views: Sequence[tuple[tuple[npt.NDArray[Any], ...], FloatArray]],
        offset: IntArray,
        depth: IntArray,
        outputs: IntArray | None,
        scales: FloatArray,
        n_lanes: int,
    ) -> IntArray:
        """Sums of columns of the weights, or of all residuals (None), by the leaves of trees."""
        sums = _zeros(int(offset[-1]) * n_lanes)
        values = self.residual if outputs is None else self.weights
        if outputs is None:
            outputs = self.first_residual + np.arange(len(scales) - 2)
        for (feature, above, below, children), signs in views:
            splits = (feature, above, below, children, offset, depth)
            sum_by_leaf(self.columns, *splits, self.nominal, values, outputs, signs, scales, sums)
        forget(self.weights)
        return sums


def plant_shard(
    weights: FloatArray, n_edges: IntArray, n_residuals: int, n_directions: int, mirror: Mirror | None
) -> _Shard:
    """Make a shard, whose codes are still to be filled in.

    Parameters
    ----------
    weights : ndarray of float64, shape (n, n_terms)
        Weights of its events.
    n_edges : ndarray of int64, shape (n_features,)
        Number of thresholds of each feature.
    n_residuals, n_directions : int
        As for `Shards`.
    mirror : Mirror or None
        How CP acts.

    Returns
    -------
    _Shard
        The shard.
    """
    views = [_View(len(weights), m, n_edges) for m in ([None] if mirror is None else [None, mirror])]
    return _Shard(weights, len(n_edges), n_residuals, n_directions, views)


def merge(by: np.ufunc | tuple[np.ufunc, ...], parts: Sequence[Any]) -> Any:
    """Put together what shards return.

    Parameters
    ----------
    by : ufunc or tuple of ufunc
        ``numpy.add``, ``minimum`` or ``maximum``; several for tuples.
    parts : sequence
        An array, or a tuple of arrays, of every shard.

    Returns
    -------
    ndarray of any shape, or tuple of them
        Of the same form as one part.
    """
    if isinstance(by, tuple):
        return tuple(one.reduce(values) for one, values in zip(by, zip(*parts, strict=True), strict=True))
    return by.reduce(parts)


class Shards:
    """Events with codes, weights and pseudo-residuals, in shards.

    Parameters
    ----------
    binner : Binner
        Thresholds.
    features : ndarray of float32 or float64, shape (n, n_features)
        Features.
    weights : ndarray of float64, shape (n, n_terms)
        Weights, the nominal one first.
    columns : ndarray of int64, shape (n_residuals,)
        Columns of the residuals.
    threads : Threads
        Who does the work; there is one shard per thread.
    mirror : Mirror or None
        If given, the CP image of every event counts as an event, too.
    n_directions : int
        If not 0, splits are searched in so many combinations of the residuals, see `combine`.

    Attributes
    ----------
    largest : ndarray of float64, shape (n_residuals,)
        Largest absolute residual.
    largest_weights : ndarray of float64, shape (n_residuals,)
        Largest absolute weight.
    n_rows : int
        Events, with their images.
    """

    def __init__(
        self,
        binner: Binner,
        features: npt.NDArray[np.floating],
        weights: FloatArray,
        columns: IntArray,
        threads: Threads,
        mirror: Mirror | None = None,
        n_directions: int = 0,
    ) -> None:
        weights = np.ascontiguousarray(weights)
        self.threads = threads
        self._ranges = threads.ranges(len(weights))
        self._shards = [
            plant_shard(weights[low:high], binner.n_edges, len(columns), n_directions, mirror)
            for low, high in self._ranges
        ]
        table = binner.table
        threads.map(
            lambda shard, bounds: encode(features[bounds[0] : bounds[1]], table, shard.codes, shard.columns),
            self._shards,
            self._ranges,
        )
        for mapped in (features, weights):
            forget(mapped)
        self._begin(len(weights), binner, columns, mirror, n_directions)

    def _begin(
        self, n_events: int, binner: Binner, columns: IntArray, mirror: Mirror | None, n_directions: int
    ) -> None:
        """Find the scales of the nominal weights."""
        self.columns = columns
        self.mirror = mirror
        self.n_events, self.n_features = n_events, len(binner.edges)
        self.n_rows = n_events * (1 if mirror is None else 2)
        # Four sums cost as much as one: for more residuals nothing would be saved.
        self._keeps_root = len(columns) == 1 and mirror is None
        self._n_edges = binner.n_edges
        self.largest = np.zeros(len(columns))
        self.n_directions = n_directions
        self._largest_combination = np.zeros(n_directions)
        self._signs = [np.ones(n_directions or len(columns))]
        if mirror is not None:
            self._signs.append(mirror.signs)
        self._parts = np.empty((0, 0, 0), dtype=SUM)
        self._root: npt.NDArray[np.int64] | None = None
        self._next_root: tuple[float, npt.NDArray[np.int64]] | None = None
        lows, highs = self._ask("bounds_of_weights", np.append(0, columns), by=(np.minimum, np.maximum))
        self.largest_weights = np.maximum(highs, -lows)[1:]
        lowest, highest = float(lows[0]), float(highs[0])
        self._largest_nominal = max(highest, -lowest)
        self._nominal_scale = quantisation_scale(self._largest_nominal, self.n_rows)
        self._count_bits, self._square_scale, self._quantum = 0, 1.0, 0
        if lowest == highest:
            self._quantum = int(np.rint(highest * self._nominal_scale))
        else:
            self._share_channel()

    def _share_channel(self) -> None:
        """Choose how squared nominal weights and the event count share one 64-bit channel."""
        # sum of ceil(w^2 scale) <= (sum w^2) scale + n must fit above the count: the sum, not n times the
        # largest, fixes the scale, so that heavy tails do not cost resolution.
        self._count_bits = self.n_rows.bit_length()
        scale = quantisation_scale(self._largest_nominal**2, self.n_rows)
        total = int(self._ask("sum_of_squares", scale)[0]) * (self.n_rows // self.n_events)
        room = (1 << (62 - self._count_bits)) - self.n_rows
        self._square_scale = float(2.0 ** np.floor(np.log2(room / (max(total, 1) / scale))))

    def _ask(self, method: str, *arguments: Any, by: np.ufunc | tuple[np.ufunc, ...] = np.add) -> Any:
        """Call a method of every shard, and put together what they return, in the order of the shards."""
        return merge(by, self.threads.map(lambda s: getattr(s, method)(*arguments), self._shards))

    def mean_of_residuals(self, function: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Mean of a function of the residuals of each output.

        Parameters
        ----------
        function : callable
            Such as ``numpy.abs``, of an array of shape (n,); the same for both signs.

        Returns
        -------
        ndarray of float64, shape (n_residuals,)
            The means, the same for any order of the events.
        """
        low, high = self._ask("bounds_of_residuals", function, by=(np.minimum, np.maximum))
        scales = [quantisation_scale(float(size), self.n_events) for size in np.maximum(high, -low)]
        sums = self._ask("sum_of_residuals", function, scales)
        means: FloatArray = np.array([int(total) / scale for total, scale in zip(sums, scales, strict=True)])
        return means / self.n_events

    def start(self, base: FloatArray, rotation: FloatArray) -> None:
        """Set the residuals to (w - w_0 base) @ rotation.

        Parameters
        ----------
        base : ndarray of float64, shape (n_residuals,)
            Prediction before the first tree.
        rotation : ndarray of float64, shape (n_residuals, n_residuals)
            Factor of the metric.
        """
        self.largest = self._ask("start", self.columns, base, rotation, by=np.maximum)
        self._root = self._next_root = None

    def combine(self, directions: FloatArray) -> None:
        """Search the splits of the next trees in combinations of the residuals.

        Parameters
        ----------
        directions : ndarray of float64, shape (n_residuals, n_directions)
            Combinations; with a mirror each of even residuals or of odd ones only.
        """
        self._largest_combination = self._ask("combine", directions, by=np.maximum)
        if self.mirror is not None:
            self._signs[1] = np.sign(self.mirror.signs @ np.abs(directions))

    def plant(self, chosen: npt.NDArray[np.bool_] | None, n_outputs: int) -> Quanta:
        """Begin a tree: all events, or the chosen ones, in node 0.

        Parameters
        ----------
        chosen : ndarray of bool, shape (n,), or None
            Subsample.
        n_outputs : int
            Residuals that count for the gain.

        Returns
        -------
        Quanta
            Integer scales of this tree.
        """
        self._plant(chosen)
        largest = self._largest_combination if self.n_directions else self.largest
        scales = [self._nominal_scale, *(quantisation_scale(value, self.n_rows) for value in largest)]
        return Quanta(np.array(scales), self._square_scale, self._count_bits, self._quantum, n_outputs)

    def _plant(self, chosen: npt.NDArray[np.bool_] | None) -> None:
        for shard, (low, high) in zip(self._shards, self._ranges, strict=True):
            shard.plant(None if chosen is None else chosen[low:high])

    def whole_histogram(self, quanta: Quanta) -> npt.NDArray[np.int64]:
        """Histogram of the events in node 0.

        Parameters
        ----------
        quanta : Quanta
            Integer scales.

        Returns
        -------
        ndarray of int64, shape (n_features * 256 * n_channels,)
            A fresh array.
        """
        total: npt.NDArray[np.int64] = self._ask("root_histogram", quanta, self._signs)
        return total

    def root_histogram(self, quanta: Quanta) -> npt.NDArray[np.int64]:
        """Histogram of all events, whose nominal sums are the same for every tree.

        Parameters
        ----------
        quanta : Quanta
            Integer scales.

        Returns
        -------
        ndarray of int64, shape (n_features * 256 * n_channels,)
            A fresh array.
        """
        if not self._keeps_root:
            return self.whole_histogram(quanta)
        if self._root is None:
            self._root = self.whole_histogram(quanta)
        root: npt.NDArray[np.int64] = self._root.copy()
        if self._next_root is None or self._next_root[0] != quanta.scales[1]:
            self._next_root = quanta.scales[1], self._ask("root_of_residual", quanta.scales[1])
        root.reshape(-1, quanta.n_channels)[:, quanta.first] = self._next_root[1]
        return root

    def divide(self, splits: Sequence[Split], quanta: Quanta) -> npt.NDArray[np.int64]:
        """Divide nodes and sum the events of one child of each.

        Parameters
        ----------
        splits : sequence of Split
            Nodes to be divided.
        quanta : Quanta
            Integer scales.

        Returns
        -------
        ndarray of int64, shape (n_shards, n_splits, n_features * 256 * n_channels)
            Sums of every shard, to be added up; overwritten by the next call.
        """
        size = self.n_features * N_CODES * quanta.n_channels
        if self._parts.shape[1] < len(splits) or self._parts.shape[2] != size:
            n_shards = len(self._shards)
            self._parts = aligned_empty(n_shards * len(splits), size).view(SUM).reshape(n_shards, len(splits), size)
        parts = self._parts[:, : len(splits)]
        signs = self._signs
        sides = [view.sides(splits) for view in self._shards[0].views]
        self.threads.map(lambda s, out: s.divide(splits, sides, quanta, signs, out), self._shards, parts)
        return parts

    def keep_features(self, features: npt.NDArray[np.floating]) -> None:
        """Hold on to the values of the features, for linear leaves.

        Parameters
        ----------
        features : ndarray of float32 or float64, shape (n, n_features)
            Those of the events.
        """
        features = np.ascontiguousarray(features)
        for shard, (low, high) in zip(self._shards, self._ranges, strict=True):
            shard.features = features[low:high]
        # As the kernels read them: in float32.
        low, high = np.array([_range_of(x.astype(FEATURE)) for x in features.T], dtype=np.float64).T
        if self.mirror is not None:
            # The range of a feature and of its images.
            image_low, image_high = low[self.mirror.source], high[self.mirror.source]
            turned = self.mirror.flipped
            low = np.minimum(low, np.where(turned, -image_high, image_low))
            high = np.maximum(high, np.where(turned, -image_low, image_high))
        half = 0.5 * (high - low)
        self._origin = 0.5 * (low + high)
        # A little less than needed, so that rounding leaves no product above 1.
        self._unit = _ALMOST_ONE / np.where(half > 0, half, 1.0)

    def sum_moments(self, tree: Walk, columns: IntArray, n_outputs: int) -> Moments:
        """Sum what a linear fit in every leaf needs.

        Parameters
        ----------
        tree : Walk
            The tree.
        columns : ndarray of int64, shape (n_nodes, 4)
            Features of each leaf, -1 for none.
        n_outputs : int
            Number of residuals, the first ones.

        Returns
        -------
        Moments
            Sums over all events and images.
        """
        n_nodes = len(columns)
        sizes = [self._largest_nominal**2, self._largest_nominal, *self.largest[:n_outputs]]
        scales = np.array([quantisation_scale(size, self.n_rows) for size in sizes])
        lanes, n_lanes = lanes_of_moments(n_outputs)
        origin, unit = np.where(columns >= 0, [self._origin[columns], self._unit[columns]], 0.0)
        linear = CONSTANT._replace(columns=columns, signs=np.ones(columns.shape))
        views = [(tree, linear.columns, linear.signs, np.ones(n_outputs))]
        if self.mirror is not None:
            image = self.mirror.walk_of_images(tree, self._n_edges)
            views.append((image, *self.mirror.leaves_of_images(linear), self.mirror.signs[:n_outputs]))
        by = (np.add, np.minimum, np.maximum)
        sums, low, high = self._ask("sum_moments", views, origin, unit, scales, n_lanes, by=by)
        total = sums.reshape(n_nodes, 2, n_lanes)[:, :, lanes]
        each = np.concatenate(
            [scales[:1], np.repeat(scales[1], N_MOMENTS - 1), np.repeat(scales[2:], 1 + LEAF_FEATURES)]
        )
        # Added before they are rounded to float64: the sum does not depend on the division into halves.
        whole = total.sum(axis=1) / each
        return Moments(whole, total / each, origin, unit, low, high)

    def update(self, tree: Walk, value: FloatArray, linear: LinearWalk, *, for_root: bool) -> None:
        """Take a tree out of the residuals.

        Parameters
        ----------
        tree : Walk
            The tree.
        value : ndarray of float64, shape (n_nodes, n_residuals)
            Rotated leaf values, learning rate included.
        linear : LinearWalk
            Linear parts of the leaves.
        for_root : bool
            Whether the next tree begins with all events: its root is then summed at once where that is possible.
        """
        self._update(tree, value, linear, np.empty(0), for_root=for_root)

    def update_with_loss(self, tree: Walk, value: FloatArray, linear: LinearWalk) -> float:
        """Take a tree out of the residuals, and follow the loss event by event.

        Parameters
        ----------
        tree : Walk
            The tree.
        value : ndarray of float64, shape (n_nodes, n_residuals)
            Rotated leaf values, learning rate included.
        linear : LinearWalk
            Linear parts of the leaves.

        Returns
        -------
        float
            Change of sum (w_0 F^2 - 2 w F) over the events.
        """
        height = np.abs(value).max(axis=0)
        if len(linear.slope):
            # The mean of signed weights may lie outside of the range.
            reach = np.maximum(np.abs(linear.low - linear.centre), np.abs(linear.high - linear.centre))
            height = (np.abs(value) + (np.abs(linear.slope) * reach[:, np.newaxis]).sum(axis=2)).max(axis=0)
        sizes = (self._largest_nominal * height + 2 * self.largest) * height
        scales = np.array([quantisation_scale(size, self.n_events) for size in sizes])
        return float((self._update(tree, value, linear, scales, for_root=False) / scales).sum())

    def _update(
        self, tree: Walk, value: FloatArray, linear: LinearWalk, loss_scales: FloatArray, *, for_root: bool
    ) -> IntArray:
        # The scale of the next tree is most often that of this one; if not, its root is summed anew.
        root_scale = quantisation_scale(float(self.largest[-1]), self.n_rows)
        fused = for_root and self._keeps_root
        by = (np.add, np.maximum, np.add)
        if self.mirror is None:
            scale = root_scale if fused else None
            losses, self.largest, root = self._ask("update", tree, value, linear, loss_scales, scale, by=by)
        else:
            trees = tree, self.mirror.walk_of_images(tree, self._n_edges)
            images = linear, self.mirror.leaves_of_images(linear)
            pairs = (trees, value, *images, loss_scales, self.mirror.signs)
            losses, self.largest, root = self._ask("update_pairs", *pairs, by=by)
        self._next_root = (root_scale, root) if fused else None
        changes: IntArray = losses
        return changes

    def sum_weights(self, trees: Sequence[Walk]) -> FloatArray:
        """Sum the weights by the leaves of trees.

        Parameters
        ----------
        trees : sequence of Walk
            The trees.

        Returns
        -------
        ndarray of float64, shape (n_nodes, 3 + n_residuals)
            Count, sum w_0^2, sum w_0, sums of the outputs' weights, over all events and images; 0 at inner nodes.
        """
        return self._sum_by_leaf(trees, self.columns, self.largest_weights)

    def sum_residuals(self, tree: Walk) -> FloatArray:
        """Sum the rotated residuals by the leaves of a tree.

        Parameters
        ----------
        tree : Walk
            The tree.

        Returns
        -------
        ndarray of float64, shape (n_nodes, 3 + n_residuals)
            Count, sum w_0^2, sum w_0, sums of the residuals, over all events and images; 0 at inner nodes.
        """
        return self._sum_by_leaf([tree], None, self.largest)

    def _sum_by_leaf(self, trees: Sequence[Walk], outputs: IntArray | None, largest: FloatArray) -> FloatArray:
        sizes = [self._largest_nominal**2, self._largest_nominal, *largest]
        scales = np.array([quantisation_scale(size, self.n_rows) for size in sizes])
        offset = np.cumsum([0, *(len(tree.feature) for tree in trees)])
        n_outputs = len(largest)
        if not trees:
            return np.empty((0, 3 + n_outputs))
        depth = np.array([tree.depth for tree in trees], dtype=np.int64)
        n_lanes = -(-(3 + n_outputs) // LANES) * LANES
        views = [(_concatenated(trees), np.ones(n_outputs))]
        if self.mirror is not None:
            images = [self.mirror.walk_of_images(tree, self._n_edges) for tree in trees]
            views.append((_concatenated(images), self.mirror.signs))
        sums = self._ask("sum_by_leaf", views, offset, depth, outputs, scales, n_lanes)
        total = sums.reshape(-1, n_lanes)[:, : 3 + n_outputs]
        by_leaf: FloatArray = total / np.append(1.0, scales)
        return by_leaf


def _concatenated(trees: Sequence[Walk]) -> tuple[npt.NDArray[Any], ...]:
    """Features, bounds and children of trees, tree after tree."""
    return tuple(np.concatenate(arrays) for arrays in zip(*(tree[:4] for tree in trees), strict=True))
