"""The trained model: trees as flat arrays, and their sum for any events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, Term
from bit.kernels.dtypes import FEATURE
from bit.kernels.traversal import predict_trees
from bit.trees.threads import Threads
from bit.trees.walk import children_of, depths_of

_BLOCK = 65536  # rows cast at a time


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
        feature, children, depth = self._walk
        last_tree = min(last_tree, self.n_trees)
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
        return replace(self, tree_offset=self.tree_offset[: n_trees + 1], **cut)


@dataclass(frozen=True, eq=False)
class Forest:
    """A sum of trees, base first, then tree by tree.

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
    """

    groups: tuple[TreeGroup, ...]
    base: FloatArray
    output_terms: tuple[Term, ...]
    basis: PolynomialBasis | None
    feature_names: tuple[str, ...]
    units: tuple[str, ...]
    latex: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)

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
        """
        out = np.tile(self.base, (len(features), 1))

        def work(bounds: tuple[int, int]) -> None:
            for low in range(*bounds, _BLOCK):
                rows = slice(low, min(low + _BLOCK, bounds[1]))
                block = np.array(features[rows], dtype=FEATURE, order="C")  # a copy: read-only input would compile anew
                for group in self.groups:
                    group.add_to(out[rows], block, 0, group.n_trees)

        with Threads(n_threads) as threads:
            threads.map(work, threads.ranges(len(features)))
        return out

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
        out = np.tile(self.base, (len(block), 1))
        for tree in range(self.n_trees):
            for group in self.groups:
                group.add_to(out, block, tree, tree + 1)
            yield out.copy()

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
        """Share of each feature in the information gained by all splits.

        Returns
        -------
        ndarray of float64, shape (n_features,)
            Sums to 1, or all 0 if no tree has a split.
        """
        total = np.zeros(self.n_features)
        for group in self.groups:
            inner = group.feature >= 0
            total += np.bincount(group.feature[inner], weights=group.gain[inner], minlength=self.n_features)
        return total / total.sum() if total.sum() > 0 else total
