"""Growth of one tree: which node to split next, which child to scan, when to stop."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.kernels._jit import LANES
from bit.kernels.dtypes import N_CODES
from bit.kernels.histogram import divide_histogram
from bit.kernels.splitting import find_splits
from bit.trees.shards import Quanta, Shards, Split
from bit.trees.walk import IntArray, Walk, walk_of

_AHEAD = 4  # leaves divided together where trees grow leaf by leaf
_FEW = 1000  # sums of a bin in all nodes and features: scanned sooner than another thread wakes up


@dataclass(frozen=True)
class GrowthRules:
    """When a node may be split.

    Attributes
    ----------
    max_depth : int or None
        Levels of splits; None for no limit.
    max_leaf_nodes : int or None
        If given, the leaf with the largest gain is split next until there are so many leaves.
    min_samples_leaf : int
        Smallest number of events in a leaf.
    min_effective_samples : float
        Smallest effective number (sum w_0)^2 / sum w_0^2 in a leaf.
    l2 : float
        Added to the nominal weight of a leaf, in its unit.
    min_gain : float
        A split must gain more, in units of the nominal weight times the metric.
    form : ndarray of int64, shape (n_params + 1, n_params + 1)
        If not empty: which residual stands for each entry of the quadratic form of the weights, -1 for the
        nominal weight; no leaf may have a form with a negative eigenvalue.
    """

    max_depth: int | None
    max_leaf_nodes: int | None
    min_samples_leaf: int
    min_effective_samples: float
    l2: float
    min_gain: float
    form: IntArray = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64))


@dataclass
class Tree:
    """A grown tree in bin numbers, with the sums of the weights it was fitted to.

    Attributes
    ----------
    feature, bins, left, right : list of int
        Split of every node; feature -1 marks a leaf.
    sums : list of ndarray of int64
        Integer sums of every node, see `Quanta`.
    gain : list of float
        Information gained by the split, 0 for leaves.
    quanta : Quanta
        Scales of the sums.
    depth : int
        Steps to the lowest leaf.
    """

    quanta: Quanta
    depth: int = 0
    feature: list[int] = field(default_factory=list)
    bins: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    sums: list[IntArray] = field(default_factory=list)
    gain: list[float] = field(default_factory=list)

    def add_leaf(self, sums: IntArray) -> int:
        """Append a leaf.

        Parameters
        ----------
        sums : ndarray of int64, shape (n_channels,)
            Its sums.

        Returns
        -------
        int
            Its number.
        """
        for column in (self.feature, self.bins, self.left, self.right):
            column.append(-1)
        self.sums.append(sums)
        self.gain.append(0.0)
        return len(self.feature) - 1

    def walk(self) -> Walk:
        """Return the tree in the form of ``kernels.traversal``.

        Returns
        -------
        Walk
            Feature, bin, children, depth.
        """
        feature, bins, left, right = (np.array(column) for column in (self.feature, self.bins, self.left, self.right))
        return walk_of(feature, bins, left, right, self.depth)

    def node_sums(self) -> FloatArray:
        """Nominal weight and residuals of the nodes.

        Returns
        -------
        ndarray of float64, shape (n_nodes, 1 + n_outputs)
            S_0 and U.
        """
        first, n_outputs = self.quanta.first, self.quanta.n_outputs
        sums = np.array(self.sums)[:, [0, *range(first, first + n_outputs)]]
        quotient: FloatArray = sums / self.quanta.scales[: 1 + n_outputs]
        return quotient


@dataclass
class _Candidate:
    """A leaf that may be split: its events, its histogram and its best split."""

    segment: int
    depth: int
    sums: IntArray
    histogram: npt.NDArray[np.int64]
    gain: float = 0.0
    feature: int = -1
    bins: int = -1
    left_sums: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    # Its number in the tree, and which of its children may be split, once these are known.
    node: int = -1
    children: dict[str, _Candidate] | None = None


class _Grower:
    def __init__(self, shards: Shards, n_edges: IntArray, rules: GrowthRules, quanta: Quanta) -> None:
        self.shards, self.n_edges, self.rules, self.quanta = shards, n_edges, rules, quanta
        self.tree = Tree(quanta)
        self.n_segments = 1

    def root(self, *, of_all_events: bool) -> list[_Candidate]:
        if of_all_events:
            histogram = self.shards.root_histogram(self.quanta)
        else:
            histogram = self.shards.whole_histogram(self.quanta)
        # Every event is in one bin of the first feature; see kernels.histogram for the layout.
        by_lane = histogram.reshape(self.quanta.n_channels // LANES, self.shards.n_features, N_CODES, LANES)
        sums = by_lane[:, 0].sum(axis=1).ravel()
        root = _Candidate(0, 0, sums, histogram, node=self.tree.add_leaf(sums))
        return self.with_splits([root], histogram[np.newaxis])

    def with_splits(self, candidates: list[_Candidate], histograms: npt.NDArray[np.int64]) -> list[_Candidate]:
        """Find the best splits and return the candidates that have one; their histograms are the rows."""
        n_features = len(self.n_edges)
        few = len(candidates) * n_features * self.quanta.n_channels <= _FEW
        ranges = [(0, n_features)] if few else self.shards.threads.ranges(n_features)
        gains = np.zeros((len(ranges), len(candidates)))
        splits = np.full((len(ranges), len(candidates), 2), -1, dtype=np.int64)
        left = np.zeros((len(ranges), len(candidates), self.quanta.n_channels), dtype=np.int64)
        self.shards.threads.map(
            lambda bounds, out_gains, out_splits, out_left: find_splits(
                histograms,
                bounds[0],
                bounds[1],
                self.n_edges,
                self.quanta.scales,
                self.quanta.square_scale,
                self.quanta.count_bits,
                self.quanta.quantum,
                self.rules.min_samples_leaf,
                float(self.rules.min_effective_samples),
                self.rules.l2,
                self.rules.min_gain,
                self.quanta.n_outputs,
                self.rules.form,
                out_gains,
                out_splits,
                out_left,
            ),
            ranges,
            gains,
            splits,
            left,
        )
        best = gains.argmax(axis=0)  # the first of equal gains: the lowest feature, for any number of threads
        for i, candidate in enumerate(candidates):
            candidate.gain = float(gains[best[i], i])
            candidate.feature, candidate.bins = (int(number) for number in splits[best[i], i])
            candidate.left_sums = left[best[i], i].copy()
        return [candidate for candidate in candidates if candidate.feature >= 0]

    def expand(self, candidates: list[_Candidate]) -> None:
        """Find the children of leaves that may be split further; the tree stays as it is."""
        splits, plans = [], []
        for parent in candidates:
            parent.children = {}
            sums = {"left": parent.left_sums, "right": parent.sums - parent.left_sums}
            counts = {side: self.quanta.count(of_side) for side, of_side in sums.items()}
            if self.rules.max_depth is not None and parent.depth + 1 >= self.rules.max_depth:
                continue
            if max(counts.values()) < 2 * self.rules.min_samples_leaf:
                continue
            left, right = self.n_segments, self.n_segments + 1
            self.n_segments += 2
            small = "left" if counts["left"] <= counts["right"] else "right"
            splits.append(Split(parent.segment, parent.feature, parent.bins, left, right, small == "right"))
            plans.append((parent, small, {"left": left, "right": right}, sums))
        if not plans:
            return
        parts = self.shards.divide(splits, self.quanta)
        histograms = np.empty((2 * len(plans), parts.shape[2]), dtype=np.int64)
        children = []
        for i, (parent, small, segments, sums) in enumerate(plans):
            rows = {"left": histograms[2 * i], "right": histograms[2 * i + 1]}
            large = "right" if small == "left" else "left"
            divide_histogram(parts, i, parent.histogram, rows[small], rows[large])
            both = {side: _Candidate(segments[side], parent.depth + 1, sums[side], rows[side]) for side in rows}
            children += [(parent, side, child) for side, child in both.items()]
        self.with_splits([child for *_, child in children], histograms)
        for parent, side, child in children:
            if child.feature >= 0 and parent.children is not None:
                parent.children[side] = child

    def split(self, parent: _Candidate) -> list[_Candidate]:
        """Split a leaf whose children are known, and return those of them that may be split further."""
        tree, node = self.tree, parent.node
        nodes = {"left": tree.add_leaf(parent.left_sums), "right": tree.add_leaf(parent.sums - parent.left_sums)}
        tree.feature[node], tree.bins[node], tree.gain[node] = parent.feature, parent.bins, parent.gain
        tree.left[node], tree.right[node] = nodes["left"], nodes["right"]
        tree.depth = max(tree.depth, parent.depth + 1)
        children = parent.children or {}
        for side, child in children.items():
            child.node = nodes[side]
        return list(children.values())


def grow_tree(
    shards: Shards,
    n_edges: IntArray,
    rules: GrowthRules,
    n_outputs: int,
    chosen: npt.NDArray[np.bool_] | None = None,
) -> Tree:
    """Grow one tree.

    Parameters
    ----------
    shards : Shards
        Events with pseudo-residuals.
    n_edges : ndarray of int64, shape (n_features,)
        Number of thresholds of each feature; 0 for features that this tree must not use.
    rules : GrowthRules
        When to stop.
    n_outputs : int
        Number of residuals that count for the gain, the first ones.
    chosen : ndarray of bool, shape (n_events,), optional
        Subsample to grow it on; default all events.

    Returns
    -------
    Tree
        Nodes in order of creation: level by level, or by decreasing gain if `max_leaf_nodes` is given.
    """
    grower = _Grower(shards, n_edges, rules, shards.plant(chosen, n_outputs))
    frontier = grower.root(of_all_events=chosen is None)
    if rules.max_leaf_nodes is None:
        while frontier:
            grower.expand(frontier)
            frontier = [child for parent in frontier for child in grower.split(parent)]
        return grower.tree
    heap = [(-candidate.gain, candidate.node, candidate) for candidate in frontier]
    for n_left in range(rules.max_leaf_nodes - 1, 0, -1):
        if not heap:
            break
        if heap[0][2].children is None:
            # Most of those that come next will be split, too, and several at once cost little more than one.
            best = heapq.nsmallest(min(_AHEAD, n_left), heap)
            grower.expand([candidate for *_, candidate in best if candidate.children is None])
        *_, parent = heapq.heappop(heap)
        for child in grower.split(parent):
            heapq.heappush(heap, (-child.gain, child.node, child))
    return grower.tree
