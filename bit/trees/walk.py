"""Trees in the form in which events pass through them: leaves lead to themselves, so all paths are equally long."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


class Walk(NamedTuple):
    """One tree in bin numbers, as ``kernels.traversal.update_residuals`` takes it.

    Attributes
    ----------
    feature : ndarray of uint32, shape (n_nodes,)
        Feature of the split, 0 for leaves.
    bins : ndarray of uint8, shape (n_nodes,)
        ``code <= bin`` goes left; 255 for leaves.
    children : ndarray of uint32, shape (2 n_nodes,)
        Left and right child; a leaf has itself.
    depth : int
        Steps to the lowest leaf.
    """

    feature: npt.NDArray[np.uint32]
    bins: npt.NDArray[np.uint8]
    children: npt.NDArray[np.uint32]
    depth: int


def walk_of(feature: IntArray, bins: IntArray, left: IntArray, right: IntArray) -> Walk:
    """Bring one tree into the form for traversal.

    Parameters
    ----------
    feature, bins, left, right : ndarray of int, shape (n_nodes,)
        The tree; feature -1 marks a leaf.

    Returns
    -------
    Walk
        The same tree.
    """
    leaf = feature < 0
    return Walk(
        feature=np.where(leaf, 0, feature).astype(np.uint32),
        bins=np.where(leaf, 255, bins).astype(np.uint8),
        children=children_of(feature, left, right),
        depth=int(depths_of(feature, left, right, np.array([0, len(feature)]))[0]),
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
