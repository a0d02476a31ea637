"""Trees of other programs, brought into the form of a forest.

A forest sends NaN to the right. Where a program sends it to the left, a further split follows on the right,
x < 3.4028235e38 (the largest float32 number): what goes left there is a number, anything else takes a copy of the left
branch, without further splits by this feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

import bit
from bit.basis import FloatArray
from bit.trees.forest import Forest, TreeGroup

_LARGEST: Final = float(np.finfo(np.float32).max)


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
    nan_left : ndarray of bool, shape (n_nodes,)
        Whether NaN goes left.
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
    nan_left: npt.NDArray[np.bool_]
    value: FloatArray
    gain: FloatArray
    n_events: npt.NDArray[np.int64]
    sum_w0: FloatArray


def forest_of_trees(
    trees: Sequence[ImportedTree],
    *,
    base: float,
    feature_names: Sequence[str],
    output: str,
    estimator: str,
    missing_values: bool,
) -> Forest:
    """Return a forest with one output; ValueError if a tree points to what does not exist."""
    for tree in trees:
        _require_tree(tree, len(feature_names))
    ordered = [_in_order(tree, missing_values) for tree in trees]
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


def _require_tree(tree: ImportedTree, n_features: int) -> None:
    n_visited, open_nodes = 0, [0]
    while open_nodes:
        node = open_nodes.pop()
        if not 0 <= node < len(tree.feature) or tree.feature[node] >= n_features:
            raise ValueError("a node points to a feature or a child that does not exist")
        n_visited += 1
        if n_visited > len(tree.feature):
            raise ValueError("a tree runs in circles")
        if tree.feature[node] >= 0:
            open_nodes += [int(tree.right[node]), int(tree.left[node])]


def _in_order(tree: ImportedTree, missing_values: bool) -> ImportedTree:
    """The nodes that can be reached, parents before children, and the splits that part NaN from numbers."""
    feature, left, right = tree.feature.tolist(), tree.left.tolist(), tree.right.tolist()
    source: list[int] = []  # node of the tree
    threshold: list[float] = []
    children: list[list[int]] = []

    def append(node: int, value: float) -> int:
        source.append(node)
        threshold.append(value)
        children.append([-1, -1])
        return len(source) - 1

    # A node, which of the features before it are known to be NaN or not, and whose child it becomes.
    open_nodes: list[tuple[int, dict[int, bool], list[int], int]] = [(0, {}, [-1], 0)]
    while open_nodes:
        node, is_nan, place, side = open_nodes.pop()
        while is_nan.get(feature[node], False):
            node = left[node] if tree.nan_left[node] else right[node]
        place[side] = number = append(node, float(tree.threshold[node]))
        f = feature[node]
        if f < 0:
            continue
        is_number = is_nan | {f: False}
        if missing_values and tree.nan_left[node] and f not in is_nan:
            further = append(node, _LARGEST)
            children[number][1] = further
            open_nodes.append((left[node], is_nan | {f: True}, children[further], 1))
            open_nodes.append((right[node], is_number, children[further], 0))
        else:
            open_nodes.append((right[node], is_nan, children[number], 1))
        open_nodes.append((left[node], is_number, children[number], 0))
    both = np.array(children, dtype=np.int64)
    # Copies and additional splits gained nothing, and their events are unknown.
    first = np.zeros(len(source), dtype=np.bool_)
    first[np.unique(source, return_index=True)[1]] = True
    return ImportedTree(
        feature=tree.feature[source],
        threshold=np.array(threshold, dtype=np.float32),
        left=both[:, 0],
        right=both[:, 1],
        nan_left=np.zeros(len(source), dtype=np.bool_),
        value=tree.value[source],
        gain=np.where(first, tree.gain[source], 0.0),
        n_events=np.where(first, tree.n_events[source], 0),
        sum_w0=np.where(first, tree.sum_w0[source], 0.0),
    )
