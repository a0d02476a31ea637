"""The training events, divided into shards that one thread each works on.

A shard owns its rows for good: a node's events are the union of one segment in every shard, so that threads
share nothing but the integer histograms, which are added up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.kernels.dtypes import N_CODES, ROW, SUM
from bit.kernels.histogram import build_histograms, build_root_histogram
from bit.kernels.partition import partition_rows
from bit.kernels.rotation import rotate_weights
from bit.kernels.traversal import update_residuals
from bit.trees.exact import exact_sum, quantisation_scale
from bit.trees.threads import Threads
from bit.trees.walk import IntArray, Walk


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
    """

    scales: FloatArray
    square_scale: float
    count_bits: int
    quantum: int

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
        outputs: FloatArray = sums[self.first : self.first + len(self.scales) - 1] / self.scales[1:]
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


class _Shard:
    """Events of one thread and their division into the nodes of the current tree."""

    def __init__(self, codes: npt.NDArray[np.uint8], weights: FloatArray, n_outputs: int) -> None:
        self.codes = codes
        self.weights = weights
        self.nominal = np.ascontiguousarray(weights[:, 0])
        self.residual = np.empty((len(codes), n_outputs))
        self.rows = np.empty(len(codes), dtype=ROW)
        self.scratch = np.empty(len(codes), dtype=ROW)
        self.bounds: dict[int, tuple[int, int]] = {}
        self._buffer = np.empty((0, 0), dtype=SUM)

    def plant(self, chosen: npt.NDArray[np.bool_] | None) -> None:
        """Put all rows, or the chosen ones, into node 0."""
        picked = np.arange(len(self.rows), dtype=ROW) if chosen is None else np.flatnonzero(chosen)
        self.rows[: len(picked)] = picked
        self.bounds = {0: (0, len(picked))}

    def divide(self, splits: Sequence[tuple[int, int, int, int, int]]) -> None:
        """Divide nodes: (node, feature, bin, left child, right child)."""
        lows = np.array([self.bounds[split[0]][0] for split in splits], dtype=np.int64)
        highs = np.array([self.bounds[split[0]][1] for split in splits], dtype=np.int64)
        features = np.array([split[1] for split in splits], dtype=np.int64)
        bins = np.array([split[2] for split in splits], dtype=np.int64)
        middles = np.empty(len(splits), dtype=np.int64)
        partition_rows(self.codes, lows, highs, features, bins, self.scratch, self.rows, middles)
        for i, (node, _, _, left, right) in enumerate(splits):
            del self.bounds[node]
            self.bounds[left] = (int(lows[i]), int(middles[i]))
            self.bounds[right] = (int(middles[i]), int(highs[i]))

    def histograms(self, nodes: Sequence[int], quanta: Quanta) -> npt.NDArray[np.int64]:
        """Histograms of nodes; the array is reused by the next call."""
        size = self.codes.shape[1] * N_CODES * quanta.n_channels
        if self._buffer.shape[0] < len(nodes) or self._buffer.shape[1] != size:
            self._buffer = np.empty((len(nodes), size), dtype=SUM)
        out = self._buffer[: len(nodes)]
        out.fill(0)
        build_histograms(
            self.codes,
            self.rows,
            np.array([self.bounds[node][0] for node in nodes], dtype=np.int64),
            np.array([self.bounds[node][1] for node in nodes], dtype=np.int64),
            self.nominal,
            self.residual,
            quanta.scales,
            quanta.square_scale,
            quanta.count_bits,
            out,
        )
        return out


class Shards:
    """Events with codes, weights and pseudo-residuals, in shards.

    Parameters
    ----------
    codes : ndarray of uint8, shape (n, n_features)
        Bin numbers.
    weights : ndarray of float64, shape (n, n_terms)
        Weights, the nominal one first.
    columns : ndarray of int64, shape (n_outputs,)
        Columns of the outputs.
    threads : Threads
        Who does the work; there is one shard per thread.

    Attributes
    ----------
    largest : ndarray of float64, shape (n_outputs,)
        Largest absolute residual of each output.
    largest_weights : ndarray of float64, shape (n_outputs,)
        Largest absolute weight of each output.
    """

    def __init__(self, codes: npt.NDArray[np.uint8], weights: FloatArray, columns: IntArray, threads: Threads) -> None:
        if len(columns) + 1 < weights.shape[1]:
            # Every tree reads these columns of every event: side by side, not one from each cache line.
            weights, columns = weights[:, [0, *columns]], np.arange(1, len(columns) + 1)
        weights = np.ascontiguousarray(weights)
        self.threads = threads
        self.columns = columns
        self.n_events = len(codes)
        self.n_features = codes.shape[1]
        self._ranges = threads.ranges(len(codes))
        self._shards = [_Shard(codes[a:b], weights[a:b], len(columns)) for a, b in self._ranges]
        self.largest = np.zeros(len(columns))
        self.largest_weights = np.abs(weights[:, columns]).max(axis=0)
        self._root: npt.NDArray[np.int64] | None = None
        lowest, highest = float(weights[:, 0].min()), float(weights[:, 0].max())
        largest = max(highest, -lowest)
        self._nominal_scale = quantisation_scale(largest, self.n_events)
        # Of the squared nominal weight, the nominal weight and the outputs, for sums by leaf.
        sizes = [largest**2, largest, *self.largest_weights]
        self._sum_scales = np.array([quantisation_scale(size, self.n_events) for size in sizes])
        self._count_bits, self._square_scale, self._quantum = 0, 1.0, 0
        if lowest == highest:
            self._quantum = int(np.rint(highest * self._nominal_scale))
        else:
            self._share_channel()

    def _share_channel(self) -> None:
        """Choose how squared nominal weights and the event count share one 64-bit channel."""
        # sum of ceil(w^2 scale) <= (sum w^2) scale + n must fit above the count: the sum, not n times the
        # largest, fixes the scale, so that heavy tails do not cost resolution.
        self._count_bits = self.n_events.bit_length()
        scale = self._sum_scales[0]
        total = sum(self.threads.map(lambda s: int(np.rint(s.nominal**2 * scale).astype(np.int64).sum()), self._shards))
        room = (1 << (62 - self._count_bits)) - self.n_events
        self._square_scale = float(2.0 ** np.floor(np.log2(room / (max(total, 1) / scale))))

    def mean_of_residuals(self, function: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Mean of a function of the residuals of each output.

        Parameters
        ----------
        function : callable
            Such as ``numpy.abs``, of an array of shape (n,).

        Returns
        -------
        ndarray of float64, shape (n_outputs,)
            The means, the same for any order of the events.
        """
        columns = range(len(self.columns))
        values = (np.concatenate([function(s.residual[:, k]) for s in self._shards]) for k in columns)
        return np.array([exact_sum(column) for column in values]) / self.n_events

    def start(self, base: FloatArray, rotation: FloatArray) -> None:
        """Set the residuals to (w - w_0 base) @ rotation.

        Parameters
        ----------
        base : ndarray of float64, shape (n_outputs,)
            Prediction before the first tree.
        rotation : ndarray of float64, shape (n_outputs, n_outputs)
            Factor of the metric.
        """
        largest = [np.zeros(len(self.columns)) for _ in self._shards]
        self.threads.map(
            lambda s, out: rotate_weights(s.weights, self.columns, s.nominal, base, rotation, s.residual, out),
            self._shards,
            largest,
        )
        self.largest = np.max(largest, axis=0)

    def plant(self, chosen: npt.NDArray[np.bool_] | None) -> Quanta:
        """Begin a tree: all events, or the chosen ones, in node 0.

        Parameters
        ----------
        chosen : ndarray of bool, shape (n,), or None
            Subsample.

        Returns
        -------
        Quanta
            Integer scales of this tree.
        """
        self.threads.map(
            lambda s, bounds: s.plant(None if chosen is None else chosen[bounds[0] : bounds[1]]),
            self._shards,
            self._ranges,
        )
        scales = [self._nominal_scale, *(quantisation_scale(value, self.n_events) for value in self.largest)]
        return Quanta(np.array(scales), self._square_scale, self._count_bits, self._quantum)

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
        total: npt.NDArray[np.int64] = np.sum(self.histograms([], [0], quanta), axis=0)[0]
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
        if len(self.columns) > 1:  # four sums cost as much as one: nothing would be saved
            return self.whole_histogram(quanta)
        if self._root is None:
            self._root = self.whole_histogram(quanta)
        parts = [np.zeros(self.n_features * N_CODES, dtype=SUM) for _ in self._shards]
        self.threads.map(
            lambda s, out: build_root_histogram(s.codes, s.residual, quanta.scales[1], out), self._shards, parts
        )
        root: npt.NDArray[np.int64] = self._root.copy()
        root.reshape(-1, quanta.n_channels)[:, quanta.first] = np.sum(parts, axis=0)
        return root

    def histograms(
        self,
        splits: Sequence[tuple[int, int, int, int, int]],
        nodes: Sequence[int],
        quanta: Quanta,
    ) -> list[npt.NDArray[np.int64]]:
        """Divide nodes, then sum the events of some of the children.

        Parameters
        ----------
        splits : sequence of (node, feature, bin, left child, right child)
            Nodes to be divided.
        nodes : sequence of int
            Nodes to be summed.
        quanta : Quanta
            Integer scales.

        Returns
        -------
        list of ndarray of int64, shape (n_nodes, n_features * 256 * n_channels)
            Histograms of every shard, to be added up; overwritten by the next call.
        """

        def work(shard: _Shard) -> npt.NDArray[np.int64]:
            if splits:
                shard.divide(splits)
            return shard.histograms(nodes, quanta)

        return self.threads.map(work, self._shards)

    def update(self, tree: Walk, value: FloatArray) -> FloatArray:
        """Sum weights and residuals by the leaves of a tree, then take the tree out of the residuals.

        Parameters
        ----------
        tree : Walk
            The tree.
        value : ndarray of float64, shape (n_nodes, n_outputs)
            Rotated leaf values, learning rate included.

        Returns
        -------
        ndarray of float64, shape (n_nodes, 3 + 2 n_outputs)
            Count, sum w_0^2, sum w_0, sums of the outputs' weights, sums of the rotated residuals before the
            update; over all events, 0 at inner nodes.
        """
        n_outputs = len(self.columns)
        scales = np.append(self._sum_scales, [quantisation_scale(size, self.n_events) for size in self.largest])
        sums = [np.zeros((len(value), 3 + 2 * n_outputs), dtype=SUM) for _ in self._shards]
        largest = [np.zeros(n_outputs) for _ in self._shards]
        self.threads.map(
            lambda s, out_sums, out_largest: update_residuals(
                s.codes, *tree, value, s.nominal, s.weights, self.columns, scales, s.residual, out_sums, out_largest
            ),
            self._shards,
            sums,
            largest,
        )
        self.largest = np.max(largest, axis=0)
        total: FloatArray = np.sum(sums, axis=0) / np.append(1.0, scales)
        return total
