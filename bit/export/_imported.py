"""Trees of other programs, brought into the form of a forest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import bit
from bit.basis import FloatArray
from bit.trees.forest import Forest, TreeGroup


class ImportedTree(NamedTuple):
    """One tree with one output, nodes in any order, node 0 the root.

    Attributes
    ----------
    feature : ndarray of int64, shape (n_nodes,)
        Column that is compared; -1 marks a leaf.
    threshold : ndarray of float32, shape (n_nodes,)
        ``float32(x) < threshold`` goes left, anything else right.
    left, right : ndarray of int64, shape (n_nodes,)
        Children.
    value : ndarray of float64, shape (n_nodes,)
        Values of the leaves, the learning rate folded in.
    gain : ndarray of float64, shape (n_nodes,)
        What the splits gained, in the unit of the program.
    n_events : ndarray of int64, shape (n_nodes,)
        Training events, 0 if unknown.
    sum_w0 : ndarray of float64, shape (n_nodes,)
        Their weights, 0 if unknown.
    """

    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float32]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    value: FloatArray
    gain: FloatArray
    n_events: npt.NDArray[np.int64]
    sum_w0: FloatArray


def forest_of_trees(
    trees: Sequence[ImportedTree], *, base: float, feature_names: Sequence[str], output: str, estimator: str
) -> Forest:
    """Return a forest with one output; ValueError if a tree points to what does not exist."""
    ordered = [_in_order(tree, len(feature_names)) for tree in trees]
    tree_offset = np.cumsum([0, *(len(tree.feature) for tree in ordered)])
    shifts = tree_offset[:-1].tolist()

    def joined(name: str) -> npt.NDArray[np.float64]:
        return np.concatenate([np.empty(0), *(getattr(tree, name) for tree in ordered)])

    def children(name: str) -> npt.NDArray[np.int32]:
        parts = [np.where(getattr(t, name) < 0, -1, getattr(t, name) + i) for t, i in zip(ordered, shifts, strict=True)]
        return np.concatenate([np.empty(0), *parts]).astype(np.int32)

    feature, sum_w0 = joined("feature").astype(np.int32), joined("sum_w0")
    is_leaf = feature < 0
    group = TreeGroup(
        outputs=np.zeros(1, dtype=np.int64),
        feature=feature,
        threshold=np.where(is_leaf, 0.0, joined("threshold")).astype(np.float32),
        left=children("left"),
        right=children("right"),
        value=np.where(is_leaf, joined("value"), 0.0)[:, np.newaxis],
        tree_offset=tree_offset,
        count=joined("n_events").astype(np.int64),
        sum_w=np.column_stack([sum_w0, np.zeros_like(sum_w0)]),
        sum_w0_squared=np.zeros_like(sum_w0),
        gain=np.where(is_leaf, 0.0, joined("gain")),
    )
    return Forest(
        groups=(group,),
        base=np.array([base]),
        output_terms=((output,),),
        basis=None,
        feature_names=tuple(feature_names),
        units=("",) * len(feature_names),
        config={"estimator": estimator, "target_is_1d": True, "bit_version": bit.__version__},
    )


def _in_order(tree: ImportedTree, n_features: int) -> ImportedTree:
    """The nodes that can be reached, parents before children: programs leave gaps where they pruned."""
    n_nodes = len(tree.feature)
    order, open_nodes = [], [0]
    while open_nodes:
        node = open_nodes.pop()
        order.append(node)
        if len(order) > n_nodes:
            raise ValueError("a tree runs in circles")
        if tree.feature[node] >= 0:
            open_nodes += [int(tree.right[node]), int(tree.left[node])]
    if min(order) < 0 or tree.feature[order].max() >= n_features:
        raise ValueError("a node points to a feature or a child that does not exist")
    number = np.full(n_nodes, -1)
    number[order] = np.arange(len(order))
    reached: dict[str, Any] = {name: values[order] for name, values in tree._asdict().items()}
    kept = ImportedTree(**reached)
    inner = kept.feature >= 0
    left, right = (np.where(inner, number[np.where(inner, child, 0)], -1) for child in (kept.left, kept.right))
    return kept._replace(left=left, right=right)
