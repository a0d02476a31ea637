"""The training events, divided into shards that one thread each works on.

A shard owns its rows for good: a node's events are the union of one segment in every shard, so that threads
share nothing but the integer histograms, which are added up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.kernels.dtypes import CODE, N_CODES, ROW, SUM
from bit.kernels.histogram import build_histogram, build_root_histogram, divide_nodes
from bit.kernels.rotation import combine_residuals, rotate_weights
from bit.kernels.traversal import update_residuals, update_residuals_of_pairs
from bit.trees.binner import Binner, encode
from bit.trees.exact import exact_sum, quantisation_scale
from bit.trees.mirror import Mirror
from bit.trees.threads import Threads
from bit.trees.walk import IntArray, Walk

_CACHE_LINE = 64  # bytes
_ALL_CODES = np.arange(N_CODES)[np.newaxis]


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

    def nominal(self, sums: IntArray) -> float:
        """Nominal weight of a set of sums.

        Parameters
        ----------
        sums : ndarray of int64, shape (n_channels,)
            Sums.

        Returns
        -------
        float
            S_0.
        """
        return float(sums[0] / self.scales[0])

    def outputs(self, sums: IntArray) -> FloatArray:
        """Rotated residuals of a set of sums.

        Parameters
        ----------
        sums : ndarray of int64, shape (n_channels,)
            Sums.

        Returns
        -------
        ndarray of float64, shape (n_outputs,)
            U_k.
        """
        outputs: FloatArray = sums[self.first : self.first + self.n_outputs] / self.scales[1 : 1 + self.n_outputs]
        return outputs

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
        self.source = np.arange(len(n_edges)) if mirror is None else mirror.source
        self.relabel = np.empty(0, dtype=CODE) if mirror is None else mirror.relabel(n_edges)

    def plant(self, chosen: npt.NDArray[np.bool_] | None) -> None:
        """Put all rows, or the chosen ones, into node 0."""
        picked = np.arange(len(self.rows), dtype=ROW) if chosen is None else np.flatnonzero(chosen)
        self.rows[: len(picked)] = picked
        self.bounds = {0: (0, len(picked))}

    def sides(self, splits: Sequence[Split]) -> tuple[IntArray, npt.NDArray[np.uint8]]:
        """Columns that decide, and which codes go right."""
        features = np.array([split.feature for split in splits], dtype=np.int64)
        bins = np.array([split.bins for split in splits])
        labels = self.relabel.reshape(-1, N_CODES)[features] if len(self.relabel) else _ALL_CODES
        return self.source[features], (labels > bins[:, np.newaxis]).view(CODE)

    def divide(self, splits: Sequence[Split], middles: IntArray) -> None:
        """Replace nodes by their children."""
        for split, middle in zip(splits, middles.tolist(), strict=True):
            low, high = self.bounds.pop(split.node)
            self.bounds[split.left], self.bounds[split.right] = (low, middle), (middle, high)


def _aligned_empty(n: int, m: int) -> FloatArray:
    """Empty matrix that begins at a cache line: then short records do not straddle two."""
    flat = np.empty(n * m + _CACHE_LINE // 8)
    skipped = (-flat.ctypes.data % _CACHE_LINE) // 8
    return flat[skipped : skipped + n * m].reshape(n, m)


class _Shard:
    """Events of one thread: records of codes, nominal weight and residuals, so that a row is one piece of memory."""

    def __init__(
        self, weights: FloatArray, n_features: int, n_residuals: int, n_directions: int, views: list[_View]
    ) -> None:
        self.n_features = n_features
        self.weights = weights
        self.first = -(-n_features // 8) + 1
        self.records = _aligned_empty(len(weights), self.first + (n_directions or n_residuals))
        self.records[:, self.first - 1] = weights[:, 0]
        self.codes = self.records.view(CODE)
        self.words = self.records.view(np.uint64)
        # Of many residuals the records hold combinations only; they themselves then stand apart.
        self.residual = np.empty((len(weights), n_residuals)) if n_directions else self.records
        self.first_residual = 0 if n_directions else self.first
        self.views = views
        self._buffer = np.empty((0, 0), dtype=SUM)

    def histogram(self, quanta: Quanta, signs: Sequence[FloatArray]) -> npt.NDArray[np.int64]:
        """Histogram of node 0."""
        out = np.zeros(self.n_features * N_CODES * quanta.n_channels, dtype=SUM)
        for view, sign in zip(self.views, signs, strict=True):
            build_histogram(
                self.codes,
                self.words,
                self.records,
                self.n_features,
                view.rows,
                view.bounds[0][1],
                quanta.scales,
                quanta.square_scale,
                quanta.count_bits,
                sign,
                view.source,
                view.relabel,
                out,
            )
        return out

    def divide(
        self,
        splits: Sequence[Split],
        sides: Sequence[tuple[IntArray, npt.NDArray[np.uint8]]],
        sums_right: npt.NDArray[np.uint8],
        quanta: Quanta,
        signs: Sequence[FloatArray],
    ) -> npt.NDArray[np.int64]:
        """Divide nodes and sum a child of each; the array is reused by the next call."""
        size = self.n_features * N_CODES * quanta.n_channels
        if self._buffer.shape[0] < len(splits) or self._buffer.shape[1] != size:
            self._buffer = np.empty((len(splits), size), dtype=SUM)
        out = self._buffer[: len(splits)]
        out.fill(0)
        for view, (columns, goes_right), sign in zip(self.views, sides, signs, strict=True):
            low, high, middles = np.empty((3, len(splits)), dtype=np.int64)
            for i, split in enumerate(splits):
                low[i], high[i] = view.bounds[split.node]
            divide_nodes(
                self.codes,
                self.words,
                self.records,
                self.n_features,
                low,
                high,
                columns,
                goes_right,
                sums_right,
                quanta.scales,
                quanta.square_scale,
                quanta.count_bits,
                sign,
                view.source,
                view.relabel,
                view.scratch,
                view.rows,
                middles,
                out,
            )
            view.divide(splits, middles)
        return out


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
        if len(columns) == 1:
            # Every tree reads this column of every event: side by side, not one from each cache line.
            weights, columns = weights[:, [0, *columns]], np.arange(1, 2)
        weights = np.ascontiguousarray(weights)
        self.threads = threads
        self.columns = columns
        self.mirror = mirror
        self.n_events, self.n_features = features.shape
        self.n_rows = self.n_events * (1 if mirror is None else 2)
        self._ranges = threads.ranges(len(weights))
        self._shards = []
        for low, high in self._ranges:
            views = [_View(high - low, m, binner.n_edges) for m in ([None] if mirror is None else [None, mirror])]
            self._shards.append(_Shard(weights[low:high], self.n_features, len(columns), n_directions, views))
        table = binner.table
        threads.map(
            lambda shard, bounds: encode(features[bounds[0] : bounds[1]], table, shard.codes),
            self._shards,
            self._ranges,
        )
        self.largest = np.zeros(len(columns))
        self.n_directions = n_directions
        self._largest_combination = np.zeros(n_directions)
        self._signs = [np.ones(n_directions or len(columns))]
        if mirror is not None:
            self._signs.append(mirror.signs)
        self.largest_weights = np.array([max(weights[:, k].max(), -weights[:, k].min()) for k in columns])
        self._root: npt.NDArray[np.int64] | None = None
        self._next_root: tuple[float, npt.NDArray[np.int64]] | None = None
        lowest, highest = float(weights[:, 0].min()), float(weights[:, 0].max())
        self._largest_nominal = max(highest, -lowest)
        self._nominal_scale = quantisation_scale(self._largest_nominal, self.n_rows)
        # Of the squared nominal weight, the nominal weight and the outputs, for sums by leaf.
        sizes = [self._largest_nominal**2, self._largest_nominal, *self.largest_weights]
        self._sum_scales = np.array([quantisation_scale(size, self.n_rows) for size in sizes])
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
        scale = self._sum_scales[0]
        sums = self.threads.map(
            lambda s: int(np.rint(s.weights[:, 0] ** 2 * scale).astype(np.int64).sum()), self._shards
        )
        total = sum(sums) * (self.n_rows // self.n_events)
        room = (1 << (62 - self._count_bits)) - self.n_rows
        self._square_scale = float(2.0 ** np.floor(np.log2(room / (max(total, 1) / scale))))

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
        columns = range(len(self.columns))
        values = (
            np.concatenate([function(s.residual[:, s.first_residual + k]) for s in self._shards]) for k in columns
        )
        means: FloatArray = np.array([exact_sum(column) for column in values]) / self.n_events
        return means

    def start(self, base: FloatArray, rotation: FloatArray) -> None:
        """Set the residuals to (w - w_0 base) @ rotation.

        Parameters
        ----------
        base : ndarray of float64, shape (n_residuals,)
            Prediction before the first tree.
        rotation : ndarray of float64, shape (n_residuals, n_residuals)
            Factor of the metric.
        """
        largest = [np.zeros(len(self.columns)) for _ in self._shards]
        self.threads.map(
            lambda s, out: rotate_weights(s.weights, self.columns, base, rotation, s.residual, s.first_residual, out),
            self._shards,
            largest,
        )
        self.largest = np.max(largest, axis=0)
        self._root = self._next_root = None

    def combine(self, directions: FloatArray) -> None:
        """Search the splits of the next trees in combinations of the residuals.

        Parameters
        ----------
        directions : ndarray of float64, shape (n_residuals, n_directions)
            Combinations; with a mirror each of even residuals or of odd ones only.
        """
        largest = [np.zeros(self.n_directions) for _ in self._shards]
        self.threads.map(
            lambda s, out: combine_residuals(s.residual, directions, s.records, s.first, out), self._shards, largest
        )
        self._largest_combination = np.max(largest, axis=0)
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

        def plant(shard: _Shard, bounds: tuple[int, int]) -> None:
            for view in shard.views:
                view.plant(None if chosen is None else chosen[bounds[0] : bounds[1]])

        self.threads.map(plant, self._shards, self._ranges)
        largest = self._largest_combination if self.n_directions else self.largest
        scales = [self._nominal_scale, *(quantisation_scale(value, self.n_rows) for value in largest)]
        return Quanta(np.array(scales), self._square_scale, self._count_bits, self._quantum, n_outputs)

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
        signs = self._signs
        total: npt.NDArray[np.int64] = np.sum(
            self.threads.map(lambda s: s.histogram(quanta, signs), self._shards), axis=0
        )
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
        if len(self.columns) > 1 or self.mirror is not None:  # four sums cost as much as one: nothing would be saved
            return self.whole_histogram(quanta)
        if self._root is None:
            self._root = self.whole_histogram(quanta)
        root: npt.NDArray[np.int64] = self._root.copy()
        if self._next_root is None or self._next_root[0] != quanta.scales[1]:
            parts = [np.zeros(self.n_features * N_CODES, dtype=SUM) for _ in self._shards]
            self.threads.map(
                lambda s, out: build_root_histogram(s.codes, s.records, s.n_features, quanta.scales[1], out),
                self._shards,
                parts,
            )
            self._next_root = quanta.scales[1], np.sum(parts, axis=0)
        root.reshape(-1, quanta.n_channels)[:, quanta.first] = self._next_root[1]
        return root

    def divide(self, splits: Sequence[Split], quanta: Quanta) -> list[npt.NDArray[np.int64]]:
        """Divide nodes and sum the events of one child of each.

        Parameters
        ----------
        splits : sequence of Split
            Nodes to be divided.
        quanta : Quanta
            Integer scales.

        Returns
        -------
        list of ndarray of int64, shape (n_splits, n_features * 256 * n_channels)
            Histograms of every shard, to be added up; overwritten by the next call.
        """
        signs = self._signs
        sides = [view.sides(splits) for view in self._shards[0].views]
        sums_right = np.array([split.sums_right for split in splits], dtype=CODE)
        return self.threads.map(lambda s: s.divide(splits, sides, sums_right, quanta, signs), self._shards)

    def update(self, tree: Walk, value: FloatArray, *, for_root: bool = False) -> tuple[FloatArray, float]:
        """Sum weights and residuals by the leaves of a tree, then take the tree out of the residuals.

        Parameters
        ----------
        tree : Walk
            The tree.
        value : ndarray of float64, shape (n_nodes, n_residuals)
            Rotated leaf values, learning rate included.
        for_root : bool, default=False
            Whether the next tree begins with all events: its root is then summed at once where that is possible.

        Returns
        -------
        sums : ndarray of float64, shape (n_nodes, 3 + 2 n_residuals)
            Count, sum w_0^2, sum w_0, sums of the outputs' weights, sums of the rotated residuals before the
            update; over all events and images, 0 at inner nodes.
        loss : float
            Change of sum (w_0 F^2 - 2 w F) over the events.
        """
        n_residuals = len(self.columns)
        scales = np.append(self._sum_scales, [quantisation_scale(size, self.n_rows) for size in self.largest])
        sums = [np.zeros((len(value), 3 + 2 * n_residuals), dtype=SUM) for _ in self._shards]
        largest = [np.zeros(n_residuals) for _ in self._shards]
        losses = [np.zeros(n_residuals, dtype=SUM) for _ in self._shards]
        height = np.abs(value).max(axis=0)
        sizes = (self._largest_nominal * height + 2 * self.largest) * height
        loss_scales = np.array([quantisation_scale(size, self.n_events) for size in sizes])

        # The scale of the next tree is most often that of this one; if not, its root is summed anew.
        root_scale = float(scales[-1])
        fused = for_root and n_residuals == 1 and self.mirror is None
        roots = [np.zeros(self.n_features * N_CODES if fused else 0, dtype=SUM) for _ in self._shards]

        def work(
            shard: _Shard, out_sums: IntArray, out_losses: IntArray, out_largest: FloatArray, out_root: IntArray
        ) -> None:
            common = (shard.codes, *tree, value, shard.weights, self.columns, scales)
            if self.mirror is None:
                residuals = (shard.residual, shard.first_residual, root_scale, self.n_features)
                update_residuals(*common, *residuals, out_sums, out_largest, out_root)
            else:
                image = shard.views[1]
                update_residuals_of_pairs(
                    *common,
                    loss_scales,
                    self.mirror.signs,
                    image.source,
                    image.relabel,
                    shard.residual,
                    shard.first_residual,
                    out_sums,
                    out_losses,
                    out_largest,
                )

        self.threads.map(work, self._shards, sums, losses, largest, roots)
        self._next_root = (root_scale, np.sum(roots, axis=0)) if fused else None
        self.largest = np.max(largest, axis=0)
        total: FloatArray = np.sum(sums, axis=0) / np.append(1.0, scales)
        if self.mirror is None:
            # Over the leaves: S_0 v^2 - 2 U v.
            residuals = total[:, 3 + n_residuals :]
            return total, float((total[:, 2] * (value**2).sum(axis=1) - 2 * (residuals * value).sum(axis=1)).sum())
        changes: FloatArray = np.sum(losses, axis=0) / loss_scales
        return total, float(changes.sum())
