"""The trained model: trees as flat arrays, and their sum for any events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, Term
from bit.errors import InputError
from bit.kernels._jit import LANES
from bit.kernels.bitmask import BLOCK, predict_small_linear_trees, predict_small_trees
from bit.kernels.dtypes import FEATURE, aligned_empty
from bit.kernels.traversal import predict_linear_trees, predict_one, predict_trees
from bit.threads import Threads
from bit.trees.walk import bitmasks_of, children_of, depths_of, leaves_of

_BLOCK = 16384  # rows cast at a time: they and their predictions stay in the caches


@dataclass(frozen=True, eq=False)
class LinearLeaves:
    """Linear parts of the leaves of trees.

    To the value of a leaf is added sum_m slope_m (x_m - centre_m) over its features, each x_m cut to the range from
    low to high of the training events in the leaf: nothing is extrapolated. If one of them is not finite, nothing is
    added.

    Attributes
    ----------
    columns : ndarray of int64, shape (n_nodes, 4)
        Features of each leaf, -1 for none; all -1 for constant leaves and inner nodes.
    centre : ndarray of float64, shape (n_nodes, 4)
        Mean of the events; 0 where there is no feature.
    low, high : ndarray of float32, shape (n_nodes, 4)
        Range of the events; 0 where there is no feature.
    slope : ndarray of float64, shape (n_nodes, n_group_outputs, 4)
        Slopes with the learning rate folded in.
    gain : ndarray of float64, shape (n_nodes, 4)
        Information gained by the slopes of each feature, in the training metric.
    """

    columns: npt.NDArray[np.int64]
    centre: FloatArray
    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]
    slope: FloatArray
    gain: FloatArray

    def first(self, n_nodes: int) -> LinearLeaves:
        """Return those of the first nodes.

        Parameters
        ----------
        n_nodes : int
            How many.

        Returns
        -------
        LinearLeaves
            Views.
        """
        return LinearLeaves(*(getattr(self, part.name)[:n_nodes] for part in fields(self)))

    def records(self, leaves: npt.NDArray[np.int64], value: FloatArray) -> FloatArray:
        """Bring leaves into the form of ``kernels.bitmask.predict_small_linear_trees``.

        Parameters
        ----------
        leaves : ndarray of int64, shape (n_leaves,)
            Numbers of the leaves.
        value : ndarray of float64, shape (n_leaves, n_group_outputs)
            Their values.

        Returns
        -------
        ndarray of float64, shape (n_leaves, n_numbers)
            One record per leaf: where in a block of events its features begin (four uint32), lower and upper bounds
            (eight float32), centres, then the values and, feature by feature, the slopes of all outputs, filled up with
            zeros to a multiple of four; the value of a single output stands before the centres.
        """
        n_outputs = value.shape[1]
        n_lanes = 1 if n_outputs == 1 else -(-n_outputs // LANES) * LANES
        centre, slopes = 2 * LANES, (3 if n_outputs == 1 else 3 + n_lanes // LANES) * LANES
        records = aligned_empty(len(leaves), -(-(slopes + LANES * n_lanes) // 8) * 8)
        records[:] = 0.0
        # A feature that is not there is replaced by any that is, with slope 0.
        columns = self.columns[leaves]
        columns = np.where(columns < 0, np.maximum(columns[:, :1], 0), columns)
        records.view(np.uint32)[:, :LANES] = columns * BLOCK
        records.view(np.float32)[:, LANES : 3 * LANES] = np.concatenate([self.low[leaves], self.high[leaves]], axis=1)
        records[:, centre : centre + LANES] = self.centre[leaves]
        value_at = centre - 1 if n_outputs == 1 else centre + LANES
        records[:, value_at : value_at + n_outputs] = value
        for m in range(LANES):
            begin = slopes + m * n_lanes
            records[:, begin : begin + n_outputs] = self.slope[leaves, :, m]
        return records


@dataclass(frozen=True, eq=False)
class TreeGroup:
    """Trees that share their splits over a set of outputs.

    Attributes
    ----------
    outputs : ndarray of int64, shape (n_group_outputs,)
        Which outputs of the forest.
    feature : ndarray of int32, shape (n_nodes,)
        Feature of the split; -1 marks a leaf.
    threshold : ndarray of float32, shape (n_nodes,)
        ``float32(x) < threshold`` goes left, NaN right; 0 for leaves.
    left, right : ndarray of int32, shape (n_nodes,)
        Children, numbered over all trees of the group; -1 for leaves.
    value : ndarray of float64, shape (n_nodes, n_group_outputs)
        Leaf values with the learning rate folded in, in the unit of w_k / w_0; 0 for inner nodes.
    tree_offset : ndarray of int64, shape (n_trees + 1,)
        First node of every tree.
    count : ndarray of int64, shape (n_nodes,)
        Training events.
    sum_w : ndarray of float64, shape (n_nodes, 1 + n_group_outputs)
        Sums of the events' weights: nominal, then the outputs' terms.
    sum_w0_squared : ndarray of float64, shape (n_nodes,)
        Sum of squared nominal weights.
    gain : ndarray of float64, shape (n_nodes,)
        Information gained by the split, in the training metric; 0 for leaves.
    linear : LinearLeaves or None
        Linear parts of the leaves.
    """

    outputs: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int32]
    threshold: npt.NDArray[np.float32]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    value: FloatArray
    tree_offset: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    sum_w: FloatArray
    sum_w0_squared: FloatArray
    gain: FloatArray
    linear: LinearLeaves | None = None

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.tree_offset) - 1

    @cached_property
    def _walk(
        self,
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """Feature, children and depths in the form of ``kernels.traversal``."""
        return (
            np.where(self.feature < 0, 0, self.feature).astype(np.uint32),
            children_of(self.feature, self.left, self.right),
            depths_of(self.feature, self.left, self.right, self.tree_offset),
        )

    @cached_property
    def _linear_arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """Trees with linear leaves in the form of ``kernels.traversal.predict_linear_trees``."""
        assert self.linear is not None
        feature, children, depth = self._walk
        linear = self.linear
        leaves = (self.value, linear.columns, linear.centre, linear.low, linear.high, linear.slope)
        return (feature, self.threshold, children, *leaves, self.tree_offset, depth)

    @cached_property
    def _bitmasks(self) -> tuple[npt.NDArray[Any], ...] | None:
        """Splits and leaves in the form of ``kernels.bitmask``; None if a tree has too many leaves for it."""
        return bitmasks_of(self.feature, self.threshold, self.left, self.right, self.value, self.tree_offset)

    @cached_property
    def _linear_bitmasks(self) -> tuple[npt.NDArray[Any], ...] | None:
        """The same for trees with linear leaves."""
        if self.linear is None or self._bitmasks is None:
            return None
        *splits, _ = self._bitmasks
        leaves = leaves_of(self.feature, self.left, self.right, self.tree_offset)
        return (*splits, self.linear.records(leaves, self.value[leaves]))

    def add_to(self, out: FloatArray, features: npt.NDArray[np.float32], first_tree: int, last_tree: int) -> None:
        """Add some of the trees to predictions.

        Parameters
        ----------
        out : ndarray of float64, shape (n, n_outputs)
            Added to.
        features : ndarray of float32, shape (n, n_features)
            Events, C-ordered.
        first_tree, last_tree : int
            Range of trees, the last one not included.
        """
        last_tree = min(last_tree, self.n_trees)
        if self._linear_bitmasks is not None:
            arrays = self._linear_bitmasks
            predict_small_linear_trees(features, *arrays, first_tree, last_tree, self.outputs, out)  # type: ignore[call-arg]
            return
        if self.linear is not None:
            linear = (*self._linear_arrays, first_tree, last_tree, self.outputs, out)
            predict_linear_trees(features, *linear)
            return
        if self._bitmasks is not None:
            tree_arrays = self._bitmasks
            predict_small_trees(features, *tree_arrays, first_tree, last_tree, self.outputs, out)  # type: ignore[call-arg]
            return
        feature, children, depth = self._walk
        predict_trees(
            features,
            feature,
            self.threshold,
            children,
            self.value,
            self.tree_offset,
            depth,
            first_tree,
            last_tree,
            self.outputs,
            out,
        )

    def add_to_one(self, out: FloatArray, row: npt.NDArray[np.float32]) -> None:
        """Add all trees to the prediction of one event.

        Parameters
        ----------
        out : ndarray of float64, shape (n_outputs,)
            Added to.
        row : ndarray of float32, shape (n_features,)
            Event.
        """
        if self.linear is not None:
            arrays = (*self._linear_arrays, 0, self.n_trees, self.outputs, out[np.newaxis])
            predict_linear_trees(row[np.newaxis], *arrays)
            return
        feature, children, depth = self._walk
        predict_one(row, feature, self.threshold, children, self.value, self.tree_offset, depth, self.outputs, out)

    def first(self, n_trees: int) -> TreeGroup:
        """Return the group cut after some trees.

        Parameters
        ----------
        n_trees : int
            Trees to keep.

        Returns
        -------
        TreeGroup
            The first trees.
        """
        stop = int(self.tree_offset[min(n_trees, self.n_trees)])
        per_node = ("feature", "threshold", "left", "right", "value", "count", "sum_w", "sum_w0_squared", "gain")
        cut = {name: getattr(self, name)[:stop] for name in per_node}
        linear = None if self.linear is None else self.linear.first(stop)
        return replace(self, tree_offset=self.tree_offset[: n_trees + 1], linear=linear, **cut)


@dataclass(frozen=True, eq=False)
class ExactParity:
    """The CP image of an event, and the parity of each output.

    Attributes
    ----------
    sign : ndarray of float32, shape (n_features,)
        Sign of each feature of the image.
    permutation : ndarray of int64, shape (n_features,)
        Column from which it comes: ``image = x[:, permutation] * sign``.
    parity : ndarray of float64, shape (n_outputs,)
        +1 for even outputs, -1 for odd ones.
    """

    sign: npt.NDArray[np.float32]
    permutation: npt.NDArray[np.int64]
    parity: FloatArray

    def image(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Features of the CP images.

        Parameters
        ----------
        features : ndarray of float32, shape (n, n_features)
            Events.

        Returns
        -------
        ndarray of float32, shape (n, n_features)
            A new array; applied twice it gives every bit back.
        """
        return np.ascontiguousarray(features[:, self.permutation] * self.sign)


@dataclass(frozen=True, eq=False)
class Forest:
    """A sum g of trees, base first, then tree by tree.

    With a parity the forest stands for f(x) = (g(x) + parity g(Cx)) / 2, which is even or odd to the last bit.

    Attributes
    ----------
    groups : tuple of TreeGroup
        The trees.
    base : ndarray of float64, shape (n_outputs,)
        Added first.
    output_terms : tuple of tuple of str
        What each output stands for: ``("cHW",)`` is R_cHW(x), ``("cHW", "cHWtil")`` the mixed derivative.
    basis : PolynomialBasis or None
        Polynomial to which the terms belong; None for plain targets.
    feature_names : tuple of str
        Columns of X, in order.
    units : tuple of str
        Their units.
    latex : tuple of str
        Their labels.
    config : mapping
        How the forest was trained.
    cp : ExactParity or None
        Exact symmetry of the prediction.
    """

    groups: tuple[TreeGroup, ...]
    base: FloatArray
    output_terms: tuple[Term, ...]
    basis: PolynomialBasis | None
    feature_names: tuple[str, ...]
    units: tuple[str, ...]
    latex: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    cp: ExactParity | None = None

    @property
    def n_outputs(self) -> int:
        """Number of functions."""
        return len(self.base)

    @property
    def n_trees(self) -> int:
        """Number of trees of the longest group."""
        return max((group.n_trees for group in self.groups), default=0)

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self.feature_names)

    def __repr__(self) -> str:
        return (
            f"Forest({self.n_trees} trees, {sum(len(group.feature) for group in self.groups)} nodes, "
            f"outputs={['*'.join(term) for term in self.output_terms]}, features={list(self.feature_names)})"
        )

    def predict(self, features: npt.NDArray[np.floating], n_threads: int = 1) -> FloatArray:
        """Sum of the base and all trees.

        Parameters
        ----------
        features : ndarray of float32 or float64, shape (n, n_features)
            Events; cast to float32.
        n_threads : int, default=1
            Threads; the result does not depend on it.

        Returns
        -------
        ndarray of float64, shape (n, n_outputs)
            R_a in TeV^2, R_ab in TeV^4.

        Raises
        ------
        InputError
            If there is another number of features.
        """
        shape = np.shape(features)
        if len(shape) != 2 or shape[1] != len(self.feature_names):
            raise InputError(
                f"features have shape {shape}, expected (n, {len(self.feature_names)}): columns "
                f"{', '.join(self.feature_names)}."
            )
        out = np.empty((len(features), self.n_outputs))

        def work(bounds: tuple[int, int]) -> None:
            for low in range(*bounds, _BLOCK):
                rows = slice(low, min(low + _BLOCK, bounds[1]))
                out[rows] = self.base
                block = np.array(features[rows], dtype=FEATURE, order="C")  # a copy: read-only input would compile anew
                self._add_trees(out[rows], block, 0, self.n_trees)
                if self.cp is not None:
                    images = np.tile(self.base, (len(block), 1))
                    self._add_trees(images, self.cp.image(block), 0, self.n_trees)
                    out[rows] = 0.5 * (out[rows] + self.cp.parity * images)

        with Threads(n_threads) as threads:
            threads.map(work, threads.ranges(len(features)))
        return out

    def evaluator(self) -> Callable[[npt.NDArray[np.floating]], FloatArray]:
        """Return a function for one event at a time, for loops that cannot be turned into arrays.

        Returns
        -------
        callable
            ``f(x)`` with x of shape (n_features,) returns shape (n_outputs,): the same numbers as
            ``predict(x[np.newaxis])[0]``, in some microseconds. It checks nothing: x must be an array with all
            features in order.
        """
        groups, base, cp = self.groups, self.base, self.cp

        def sum_of(row: npt.NDArray[np.float32]) -> FloatArray:
            out = base.copy()
            for group in groups:
                group.add_to_one(out, row)
            return out

        def evaluate(x: npt.NDArray[np.floating]) -> FloatArray:
            row = np.array(x, dtype=FEATURE)
            if cp is None:
                return sum_of(row)
            return 0.5 * (sum_of(row) + cp.parity * sum_of(row[cp.permutation] * cp.sign))

        return evaluate

    def staged_predict(self, features: npt.NDArray[np.floating]) -> Iterator[FloatArray]:
        """Predictions after each tree.

        Parameters
        ----------
        features : ndarray of float32 or float64, shape (n, n_features)
            Events.

        Yields
        ------
        ndarray of float64, shape (n, n_outputs)
            The sum of base and the first 1, 2, ... trees; the last equals `predict`.
        """
        block = np.array(features, dtype=FEATURE, order="C")
        images = None if self.cp is None else self.cp.image(block)
        out = np.tile(self.base, (len(block), 1))
        out_images = out.copy()
        for tree in range(self.n_trees):
            self._add_trees(out, block, tree, tree + 1)
            if self.cp is None or images is None:
                yield out.copy()
            else:
                self._add_trees(out_images, images, tree, tree + 1)
                yield 0.5 * (out + self.cp.parity * out_images)

    def _add_trees(self, out: FloatArray, features: npt.NDArray[np.float32], first_tree: int, last_tree: int) -> None:
        for group in self.groups:
            group.add_to(out, features, first_tree, last_tree)

    def first(self, n_trees: int) -> Forest:
        """Return the forest cut after some trees.

        Parameters
        ----------
        n_trees : int
            Trees to keep in each group.

        Returns
        -------
        Forest
            The first trees.
        """
        return replace(self, groups=tuple(group.first(n_trees) for group in self.groups))

    def feature_importances(self) -> FloatArray:
        """Share of each feature in the information gained by all splits, and by the slopes of linear leaves.

        Returns
        -------
        ndarray of float64, shape (n_features,)
            Sums to 1, or all 0 if no tree has a split.
        """
        total = np.zeros(self.n_features)
        for group in self.groups:
            inner = group.feature >= 0
            total += np.bincount(group.feature[inner], weights=group.gain[inner], minlength=self.n_features)
            if group.linear is not None:
                used = group.linear.columns >= 0
                gain, columns = group.linear.gain[used], group.linear.columns[used]
                total += np.bincount(columns, weights=gain, minlength=self.n_features)
        return total / total.sum() if total.sum() > 0 else total
