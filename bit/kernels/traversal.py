"""Events passed through trees: by bin numbers while training, by feature values afterwards.

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
def update_residuals(
    codes,
    feature,
    bins,
    children,
    depth,
    value,
    nominal,
    weights,
    columns,
    scales,
    residual,
    out_sums,
    out_largest,
):
    """Sum weights and residuals by leaf of one tree, then take the tree's prediction out of the residuals.

    Parameters
    ----------
    codes : uint8 array, shape (n, n_features)
        Bin numbers.
    feature : uint32 array, shape (n_nodes,)
        Feature of each split; any for leaves.
    bins : uint8 array, shape (n_nodes,)
        Rows with ``code <= bin`` go left.
    children : uint32 array, shape (2 n_nodes,)
        Left and right child of each node; a leaf has itself.
    depth : int
        Steps from the root to the lowest leaf.
    value : float64 array, shape (n_nodes, n_outputs)
        Rotated leaf values, learning rate included.
    nominal : float64 array, shape (n,)
        Nominal weights.
    weights : float64 array, shape (n, n_columns)
        Derivatives of the event weights.
    columns : int64 array, shape (n_outputs,)
        Columns of the outputs.
    scales : float64 array, shape (2 + 2 n_outputs,)
        Powers of two for the squared nominal weight, the nominal weight, the outputs' weights and the residuals.
    residual : float64 array, shape (n, n_outputs)
        Rotated pseudo-residual weights, w_k -> w_k - w_0 value_k.
    out_sums : int64 array, shape (n_nodes, 3 + 2 n_outputs)
        Added to: count, squared nominal weight, nominal weight, outputs' weights, residuals before the update.
    out_largest : float64 array, shape (n_outputs,)
        Raised to the largest absolute residual.
    """
    n_outputs = value.shape[1]
    nodes = np.empty(_BLOCK, dtype=np.uint32)
    for low in range(0, codes.shape[0], _BLOCK):
        n_rows = min(_BLOCK, codes.shape[0] - low)
        nodes[:] = 0
        for _ in range(depth):
            for j in range(n_rows):
                node = INDEX(nodes[INDEX(j)])
                goes_right = codes[INDEX(low + j), INDEX(feature[node])] > bins[node]
                nodes[INDEX(j)] = children[(node << INDEX(1)) | INDEX(goes_right)]
        for j in range(n_rows):
            i, node = INDEX(low + j), INDEX(nodes[INDEX(j)])
            w0 = nominal[i]
            sums = out_sums[node]
            sums[0] += 1
            sums[1] += np.int64(np.rint(w0 * w0 * scales[0]))
            sums[2] += np.int64(np.rint(w0 * scales[1]))
            for k in range(n_outputs):
                rest = residual[i, INDEX(k)]
                sums[3 + k] += np.int64(np.rint(weights[i, INDEX(columns[k])] * scales[2 + k]))
                sums[3 + n_outputs + k] += np.int64(np.rint(rest * scales[2 + n_outputs + k]))
                rest -= w0 * value[node, INDEX(k)]
                residual[i, INDEX(k)] = rest
                if abs(rest) > out_largest[k]:
                    out_largest[k] = abs(rest)


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
