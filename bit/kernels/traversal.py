"""Events passed through trees: by bin numbers while training, by feature values afterwards."""

from __future__ import annotations

import numpy as np

from bit.kernels._jit import kernel


@kernel
def update_residuals(
    codes, feature, bins, left, right, value, nominal, weights, columns, scales, residual, out_sums, out_largest
):
    """Sum weights and residuals by leaf of one tree, then take the tree's prediction out of the residuals.

    Parameters
    ----------
    codes : uint8 array, shape (n, n_features)
        Bin numbers.
    feature, bins, left, right : int64 arrays, shape (n_nodes,)
        The tree; feature -1 marks a leaf, rows with ``code <= bin`` go left.
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
    for i in range(codes.shape[0]):
        node = 0
        while feature[node] >= 0:
            node = left[node] if codes[i, feature[node]] <= bins[node] else right[node]
        w0 = nominal[i]
        sums = out_sums[node]
        sums[0] += 1
        sums[1] += np.int64(np.rint(w0 * w0 * scales[0]))
        sums[2] += np.int64(np.rint(w0 * scales[1]))
        for k in range(n_outputs):
            sums[3 + k] += np.int64(np.rint(weights[i, columns[k]] * scales[2 + k]))
            sums[3 + n_outputs + k] += np.int64(np.rint(residual[i, k] * scales[2 + n_outputs + k]))
            residual[i, k] -= w0 * value[node, k]
            size = abs(residual[i, k])
            if size > out_largest[k]:
                out_largest[k] = size


@kernel
def predict_trees(features, feature, threshold, left, right, value, tree_offset, columns, out_prediction):
    """Add the trees of one group to predictions, in tree order.

    Parameters
    ----------
    features : float32 array, shape (n, n_features)
        Values; ``x < threshold`` goes left, NaN right.
    feature : int32 array, shape (n_nodes,)
        Feature of each split; -1 marks a leaf.
    threshold : float32 array, shape (n_nodes,)
        Threshold of each split.
    left, right : int32 arrays, shape (n_nodes,)
        Children, by number within the group.
    value : float64 array, shape (n_nodes, n_outputs)
        Leaf values, learning rate included.
    tree_offset : int64 array, shape (n_trees + 1,)
        First node of each tree.
    columns : int64 array, shape (n_outputs,)
        Columns of `out_prediction` to which the group adds.
    out_prediction : float64 array, shape (n, n_columns)
        Added to.
    """
    for i in range(features.shape[0]):
        for t in range(tree_offset.size - 1):
            node = tree_offset[t]
            while feature[node] >= 0:
                node = left[node] if features[i, feature[node]] < threshold[node] else right[node]
            for k in range(columns.size):
                out_prediction[i, columns[k]] += value[node, k]
