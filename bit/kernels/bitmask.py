"""Events passed through small trees without walking: every split of a tree is tried, on many events at once.

A tree of at most 32 leaves, numbered from left to right, keeps 32 bits for each event: those of the leaves that
it can still reach. A split at which the event goes right takes away the leaves of the left branch, and after all
splits the lowest bit that is left is the leaf (the QuickScorer of Lucchese et al., SIGIR 2015, with the events of
a block in place of the trees in the inner loop). That is more comparisons than a walk down makes, but no step
depends on the one before, and eight or more events take each together.
"""

from __future__ import annotations

import numpy as np

from bit.kernels._jit import LANES, add_four, add_linear_values, kernel, linear_value, lowest_bit, write_deviations
from bit.kernels.dtypes import INDEX

MAX_LEAVES = 32
BLOCK = 256
"""Events that pass a tree together."""
_ALL = np.uint32(0xFFFFFFFF)


@kernel
def predict_small_trees(
    features, split_offset, feature, threshold, mask, leaf_offset, value, first_tree, last_tree, columns, out_prediction
):
    """Add trees of at most 32 leaves to predictions, in tree order.

    Parameters
    ----------
    features : float32 array, shape (n, n_features)
        Values; ``x < threshold`` goes left, NaN right.
    split_offset : int64 array, shape (n_trees + 1,)
        First split of each tree.
    feature : int64 array, shape (n_splits,)
        Feature of each split.
    threshold : float32 array, shape (n_splits,)
        Threshold of each split.
    mask : uint32 array, shape (n_splits,)
        0 for the leaves of the left branch of each split, 1 for the others.
    leaf_offset : int64 array, shape (n_trees + 1,)
        First leaf of each tree; the last entry is a leaf of zeros.
    value : float64 array, shape (n_leaves + 1, n_lanes)
        Values of the leaves from left to right; n_lanes is 1, or n_outputs filled up with zeros to a multiple of 4.
    first_tree, last_tree : int
        Range of trees, the last one not included.
    columns : int64 array, shape (n_outputs,)
        Columns of `out_prediction` to which the group adds.
    out_prediction : float64 array, shape (n, n_columns)
        Added to.
    """
    n_features, n_lanes = features.shape[1], value.shape[1]
    values = value.reshape(value.size)
    nowhere = leaf_offset.size - 1
    # Transposed, so that the values of one feature stand side by side.
    tile = np.empty(n_features * BLOCK, dtype=np.float32)
    total = np.zeros(BLOCK * n_lanes)
    reachable = np.empty((4, BLOCK), dtype=np.uint32)
    for low in range(0, features.shape[0], BLOCK):
        n_rows = min(BLOCK, features.shape[0] - low)
        for j in range(n_rows):
            for f in range(n_features):
                tile[INDEX(f * BLOCK + j)] = features[INDEX(low + j), INDEX(f)]
            for k in range(columns.size):
                total[INDEX(j * n_lanes + k)] = out_prediction[INDEX(low + j), INDEX(columns[k])]
        # Four trees at a time, so that a total is read and written once for them.
        for tree in range(first_tree, last_tree, 4):
            for s in range(4):
                bits = reachable[s]
                bits[:] = _ALL
                if tree + s < last_tree:
                    for split in range(split_offset[tree + s], split_offset[tree + s + 1]):
                        column = tile[feature[split] * BLOCK : (feature[split] + 1) * BLOCK]
                        edge, rest = threshold[split], mask[split]
                        for j in range(BLOCK):
                            bits[j] &= _ALL if column[j] < edge else rest
            a = INDEX(leaf_offset[tree])
            b = INDEX(leaf_offset[tree + 1 if tree + 1 < last_tree else nowhere])
            c = INDEX(leaf_offset[tree + 2 if tree + 2 < last_tree else nowhere])
            d = INDEX(leaf_offset[tree + 3 if tree + 3 < last_tree else nowhere])
            for j in range(n_rows):
                i, width = INDEX(j), INDEX(n_lanes)
                at_a = (a + INDEX(lowest_bit(reachable[0, i]))) * width
                at_b = (b + INDEX(lowest_bit(reachable[1, i]))) * width
                at_c = (c + INDEX(lowest_bit(reachable[2, i]))) * width
                at_d = (d + INDEX(lowest_bit(reachable[3, i]))) * width
                if n_lanes == 1:
                    total[i] = (((total[i] + values[at_a]) + values[at_b]) + values[at_c]) + values[at_d]
                else:
                    for k in range(0, n_lanes, LANES):
                        lane = INDEX(k)
                        add_four(total, i * width + lane, values, at_a + lane, at_b + lane, at_c + lane, at_d + lane)
        for j in range(n_rows):
            for k in range(columns.size):
                out_prediction[INDEX(low + j), INDEX(columns[k])] = total[INDEX(j * n_lanes + k)]


@kernel
def predict_small_linear_trees(
    features,
    split_offset,
    feature,
    threshold,
    mask,
    leaf_offset,
    records,
    first_tree,
    last_tree,
    columns,
    out_prediction,
):
    """The same for trees with linear leaves.

    Parameters
    ----------
    features, split_offset, feature, threshold, mask, leaf_offset, first_tree, last_tree, columns, out_prediction
        As for `predict_small_trees`.
    records : float64 array, shape (n_leaves, n_numbers)
        The leaves from left to right, see `trees.forest.LinearLeaves.records`.
    """
    n_features, n_numbers = features.shape[1], records.shape[1]
    n_lanes = 1 if columns.size == 1 else (columns.size + LANES - 1) // LANES * LANES
    leaves = records.reshape(records.size)
    tile = np.empty(n_features * BLOCK, dtype=np.float32)
    total = np.zeros(BLOCK * n_lanes)
    bits = np.empty(BLOCK, dtype=np.uint32)
    distance = np.empty(BLOCK * LANES)
    for low in range(0, features.shape[0], BLOCK):
        n_rows = min(BLOCK, features.shape[0] - low)
        for j in range(n_rows):
            for f in range(n_features):
                tile[INDEX(f * BLOCK + j)] = features[INDEX(low + j), INDEX(f)]
            for k in range(columns.size):
                total[INDEX(j * n_lanes + k)] = out_prediction[INDEX(low + j), INDEX(columns[k])]
        for tree in range(first_tree, last_tree):
            bits[:] = _ALL
            for split in range(split_offset[tree], split_offset[tree + 1]):
                column = tile[feature[split] * BLOCK : (feature[split] + 1) * BLOCK]
                edge, rest = threshold[split], mask[split]
                for j in range(BLOCK):
                    bits[j] &= _ALL if column[j] < edge else rest
            first, size, width = INDEX(leaf_offset[tree]), INDEX(n_numbers), INDEX(n_lanes)
            if n_lanes == 1:
                for j in range(n_rows):
                    i = INDEX(j)
                    total[i] += linear_value(leaves, (first + INDEX(lowest_bit(bits[i]))) * size, tile, i)
                continue
            # In two passes, each of which takes few steps that wait for one another.
            for j in range(n_rows):
                i = INDEX(j)
                bits[i] = lowest_bit(bits[i])
                write_deviations(leaves, (first + INDEX(bits[i])) * size, tile, i, distance, i * INDEX(LANES))
            for j in range(n_rows):
                i = INDEX(j)
                at = (first + INDEX(bits[i])) * size + INDEX(3 * LANES)
                for k in range(0, n_lanes, LANES):
                    lane = INDEX(k)
                    add_linear_values(total, i * width + lane, leaves, at + lane, width, distance, i * INDEX(LANES))
        for j in range(n_rows):
            for k in range(columns.size):
                out_prediction[INDEX(low + j), INDEX(columns[k])] = total[INDEX(j * n_lanes + k)]
