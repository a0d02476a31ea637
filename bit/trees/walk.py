"""Trees in the forms in which events pass through them.

For walking down, leaves lead to themselves, so that all paths are equally long; small trees also as bit masks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bit.kernels._jit import LANES
from bit.kernels.bitmask import MAX_LEAVES

IntArray = npt.NDArray[np.int64]


class Walk(NamedTuple):
    """One tree in bin numbers, as ``kernels.residuals`` takes it.

    Attributes
    ----------
    feature : ndarray of uint32, shape (n_nodes,)
        Feature of the split, 0 for leaves.
    above, below : ndarray of uint8, shape (n_nodes,)
        ``code > above`` and ``code < below`` go right; 255 and 0 for leaves.
    children : ndarray of uint32, shape (2 n_nodes,)
        Left and right child; a leaf has itself.
    depth : int
        Steps to the lowest leaf.
    """

    feature: npt.NDArray[np.uint32]
    above: npt.NDArray[np.uint8]
    below: npt.NDArray[np.uint8]
    children: npt.NDArray[np.uint32]
    depth: int


def walk_of(feature: IntArray, bins: IntArray, left: IntArray, right: IntArray, depth: int) -> Walk:
    """Bring one tree into the form for traversal.

    Parameters
    ----------
    feature, bins, left, right : ndarray of int, shape (n_nodes,)
        The tree; feature -1 marks a leaf.
    depth : int
        Steps to the lowest leaf.

    Returns
    -------
    Walk
        The same tree.
    """
    leaf = feature < 0
    return Walk(
        feature=np.where(leaf, 0, feature).astype(np.uint32),
        above=np.where(leaf, 255, bins).astype(np.uint8),
        below=np.zeros(len(feature), dtype=np.uint8),
        children=children_of(feature, left, right),
        depth=depth,
    )


def children_of(
    feature: npt.NDArray[np.integer], left: npt.NDArray[np.integer], right: npt.NDArray[np.integer]
) -> npt.NDArray[np.uint32]:
    """Left and right child of each node side by side, a leaf its own child.

    Parameters
    ----------
    feature, left, right : ndarray of int, shape (n_nodes,)
        The trees; feature -1 marks a leaf.

    Returns
    -------
    ndarray of uint32, shape (2 n_nodes,)
        Children of node i at 2i and 2i + 1.
    """
    itself = np.arange(len(feature))
    both = np.stack([np.where(feature < 0, itself, left), np.where(feature < 0, itself, right)], axis=1)
    return both.ravel().astype(np.uint32)


def depths_of(
    feature: npt.NDArray[np.integer],
    left: npt.NDArray[np.integer],
    right: npt.NDArray[np.integer],
    tree_offset: IntArray,
) -> IntArray:
    """Steps from the root to the lowest leaf of each tree.

    Parameters
    ----------
    feature, left, right : ndarray of int, shape (n_nodes,)
        The trees; feature -1 marks a leaf.
    tree_offset : ndarray of int64, shape (n_trees + 1,)
        First node of each tree.

    Returns
    -------
    ndarray of int64, shape (n_trees,)
        Depths; 0 for a single leaf.
    """
    if len(tree_offset) == 1:
        return np.empty(0, dtype=np.int64)
    level = np.zeros(len(feature), dtype=np.int64)
    nodes, step = tree_offset[:-1], 0
    while len(nodes):
        level[nodes] = step
        inner = nodes[feature[nodes] >= 0]
        nodes, step = np.concatenate([left[inner], right[inner]]), step + 1
    return np.maximum.reduceat(level, tree_offset[:-1])


def leaves_of(
    feature: npt.NDArray[np.integer],
    left: npt.NDArray[np.integer],
    right: npt.NDArray[np.integer],
    tree_offset: IntArray,
) -> IntArray:
    """Leaves of all trees, those of each from left to right.

    Parameters
    ----------
    feature, left, right : ndarray of int, shape (n_nodes,)
        The trees; feature -1 marks a leaf.
    tree_offset : ndarray of int64, shape (n_trees + 1,)
        First node of each tree.

    Returns
    -------
    ndarray of int64, shape (n_leaves,)
        Numbers of the leaves.
    """
    leaves: list[int] = []
    open_nodes = tree_offset[:-1][::-1].tolist()
    while open_nodes:
        node = open_nodes.pop()
        if feature[node] < 0:
            leaves.append(node)
        else:
            open_nodes += [int(right[node]), int(left[node])]
    return np.array(leaves, dtype=np.int64)


def bitmasks_of(
    feature: npt.NDArray[np.int32],
    threshold: npt.NDArray[np.float32],
    left: npt.NDArray[np.int32],
    right: npt.NDArray[np.int32],
    value: npt.NDArray[np.float64],
    tree_offset: IntArray,
) -> tuple[npt.NDArray[Any], ...] | None:
    """Bring trees into the form of ``kernels.bitmask.predict_small_trees``.

    Parameters
    ----------
    feature, threshold, left, right : ndarray, shape (n_nodes,)
        The trees; feature -1 marks a leaf.
    value : ndarray of float64, shape (n_nodes, n_outputs)
        Values of the leaves.
    tree_offset : ndarray of int64, shape (n_trees + 1,)
        First node of each tree.

    Returns
    -------
    tuple of ndarray, or None
        Its arguments from `split_offset` to `value`; None if a tree has too many leaves.
    """
    is_leaf = feature < 0
    n_leaves = np.diff(np.concatenate([[0], np.cumsum(is_leaf)])[tree_offset])
    if len(n_leaves) == 0 or n_leaves.max() > MAX_LEAVES:
        return None
    leaves: list[int] = []
    masks = np.zeros(len(feature), dtype=np.uint32)
    for root, n in zip(tree_offset[:-1].tolist(), n_leaves.tolist(), strict=True):
        first, open_nodes = len(leaves), [(root, False)]
        begins: dict[int, int] = {}
        while open_nodes:
            node, left_is_done = open_nodes.pop()
            place = len(leaves) - first
            if is_leaf[node]:
                leaves.append(node)
            elif left_is_done:
                # The leaves met since this split was opened are those of its left branch.
                taken = (1 << place) - (1 << begins[node])
                masks[node] = (1 << MAX_LEAVES) - 1 - taken
                open_nodes.append((int(right[node]), False))
            else:
                begins[node] = place
                open_nodes += [(node, True), (int(left[node]), False)]
        assert len(leaves) - first == n
    inner = ~is_leaf
    n_lanes = 1 if value.shape[1] == 1 else -(-value.shape[1] // LANES) * LANES
    leaf_values = np.zeros((len(leaves) + 1, n_lanes))
    leaf_values[:-1, : value.shape[1]] = value[leaves]
    return (
        np.concatenate([[0], np.cumsum(inner)])[tree_offset],
        feature[inner].astype(np.int64),
        threshold[inner],
        masks[inner],
        np.concatenate([[0], np.cumsum(n_leaves)]),
        leaf_values,
    )
