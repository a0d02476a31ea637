"""Events passed through trained trees.

All rows of a block take a step down before any takes the next one. The steps of a block do not depend on each
other, so that the processor works on many at once, while a row on its own would wait at each node for the last. To
this end trees come in a form in which every path has the same length: the children of a leaf are the leaf itself.
"""

from __future__ import annotations

import numpy as np

from bit.kernels._jit import kernel
from bit.kernels.dtypes import INDEX

_BLOCK = 256


@kernel
def predict_trees(
    features, feature, threshold, children, value, tree_offset, depth, first_tree, last_tree, columns, out_prediction
):
    """Add trees of one group to predictions, in tree order.

    Parameters
    ----------
    features : float32 array, shape (n, n_features)
        Values; ``x < threshold`` goes left, NaN right.
    feature : uint32 array, shape (n_nodes,)
        Feature of each split; any for leaves.
    threshold : float32 array, shape (n_nodes,)
        Threshold of each split.
    children : uint32 array, shape (2 n_nodes,)
        Left and right child, by number within the group; a leaf has itself.
    value : float64 array, shape (n_nodes, n_outputs)
        Leaf values, learning rate included.
    tree_offset : int64 array, shape (n_trees + 1,)
        First node of each tree.
    depth : int64 array, shape (n_trees,)
        Steps from the root to the lowest leaf of each tree.
    first_tree, last_tree : int
        Range of trees, the last one not included.
    columns : int64 array, shape (n_outputs,)
        Columns of `out_prediction` to which the group adds.
    out_prediction : float64 array, shape (n, n_columns)
        Added to.
    """
    n_features = features.shape[1]
    nodes = np.empty(_BLOCK, dtype=np.uint32)
    # Transposed, so that all rows of a block meet the root's feature side by side.
    tile = np.empty(n_features * _BLOCK, dtype=np.float32)
    for low in range(0, features.shape[0], _BLOCK):
        n_rows = min(_BLOCK, features.shape[0] - low)
        for j in range(n_rows):
            for f in range(n_features):
                tile[INDEX(f * _BLOCK + j)] = features[INDEX(low + j), INDEX(f)]
        for tree in range(first_tree, last_tree):
            root = INDEX(tree_offset[tree])
            column, edge = INDEX(feature[root]) * INDEX(_BLOCK), threshold[root]
            left, right = children[root << INDEX(1)], children[(root << INDEX(1)) | INDEX(1)]
            for j in range(n_rows):
                nodes[INDEX(j)] = left if tile[column + INDEX(j)] < edge else right
            for _ in range(depth[tree] - 1):
                for j in range(n_rows):
                    node = INDEX(nodes[INDEX(j)])
                    goes_left = tile[INDEX(feature[node]) * INDEX(_BLOCK) + INDEX(j)] < threshold[node]
                    nodes[INDEX(j)] = children[(node << INDEX(1)) | INDEX(not goes_left)]
            for j in range(n_rows):
                node = INDEX(nodes[INDEX(j)])
                for k in range(columns.size):
                    out_prediction[INDEX(low + j), INDEX(columns[k])] += value[node, INDEX(k)]


@kernel
def predict_linear_trees(
    features,
    feature,
    threshold,
    children,
    value,
    leaf_columns,
    centre,
    low,
    high,
    slope,
    tree_offset,
    depth,
    first_tree,
    last_tree,
    columns,
    out_prediction,
):
    """Add trees with linear leaves of one group to predictions, in tree order.

    Parameters
    ----------
    features, feature, threshold, children, value, tree_offset, depth, first_tree, last_tree, columns
        As for `predict_trees`.
    leaf_columns : int64 array, shape (n_nodes, 4)
        Features of each leaf, -1 for none; those that are there come first.
    centre, low, high : float64 arrays, shape (n_nodes, 4)
        Where the linear part is 0, and the range to which x is cut.
    slope : float64 array, shape (n_nodes, n_outputs, 4)
        To the value is added sum_m slope_m (x_m - centre_m), unless one of the x_m is not finite.
    out_prediction : float64 array, shape (n, n_columns)
        Added to.
    """
    n_features = features.shape[1]
    nodes = np.empty(_BLOCK, dtype=np.uint32)
    tile = np.empty(n_features * _BLOCK, dtype=np.float32)
    deviation = np.empty(leaf_columns.shape[1])
    for start in range(0, features.shape[0], _BLOCK):
        n_rows = min(_BLOCK, features.shape[0] - start)
        for j in range(n_rows):
            for f in range(n_features):
                tile[INDEX(f * _BLOCK + j)] = features[INDEX(start + j), INDEX(f)]
        for tree in range(first_tree, last_tree):
            nodes[:] = tree_offset[tree]
            for _ in range(depth[tree]):
                for j in range(n_rows):
                    node = INDEX(nodes[INDEX(j)])
                    goes_left = tile[INDEX(feature[node]) * INDEX(_BLOCK) + INDEX(j)] < threshold[node]
                    nodes[INDEX(j)] = children[(node << INDEX(1)) | INDEX(not goes_left)]
            for j in range(n_rows):
                node = INDEX(nodes[INDEX(j)])
                finite = True
                for m in range(deviation.size):
                    column = leaf_columns[node, m]
                    deviation[m] = 0.0
                    if column >= 0:
                        x = np.float64(tile[INDEX(column * _BLOCK + j)])
                        finite &= np.isfinite(x)
                        deviation[m] = min(max(x, low[node, m]), high[node, m]) - centre[node, m]
                for k in range(columns.size):
                    total = value[node, INDEX(k)]
                    if finite:
                        for m in range(deviation.size):
                            total += slope[node, k, m] * deviation[m]
                    out_prediction[INDEX(start + j), INDEX(columns[k])] += total


@kernel
def predict_one(row, feature, threshold, children, value, roots, depth, columns, out_prediction):
    """Add all trees of one group to the prediction of one event, in tree order.

    Parameters
    ----------
    row : float32 array, shape (n_features,)
        Values; ``x < threshold`` goes left, NaN right.
    feature, threshold, children, value, depth, columns
        As for `predict_trees`.
    roots : int64 array, shape (n_trees + 1,)
        First node of each tree.
    out_prediction : float64 array, shape (n_columns,)
        Added to.
    """
    for tree in range(depth.size):
        node = INDEX(roots[tree])
        for _ in range(depth[tree]):
            goes_left = row[INDEX(feature[node])] < threshold[node]
            node = INDEX(children[(node << INDEX(1)) | INDEX(not goes_left)])
        for k in range(columns.size):
            out_prediction[INDEX(columns[k])] += value[node, INDEX(k)]
