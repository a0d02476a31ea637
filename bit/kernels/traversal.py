"""Events passed through trees: by bin numbers while training, by feature values afterwards.

All rows of a block take a step down before any takes the next one. The steps of a block do not depend on each
other, so that the processor works on many at once, while a row on its own would wait at each node for the last. To
this end trees come in a form in which every path has the same length: the children of a leaf are the leaf itself.
"""

from __future__ import annotations

import numpy as np

from bit.kernels._jit import inlined, kernel
from bit.kernels.dtypes import INDEX

_BLOCK = 256


@inlined
def _walk(codes, low, n_rows, feature, bins, children, depth, out_nodes):
    """Leaves of a block of rows."""
    out_nodes[:] = 0
    for _ in range(depth):
        for j in range(n_rows):
            node = INDEX(out_nodes[INDEX(j)])
            goes_right = codes[INDEX(low + j), INDEX(feature[node])] > bins[node]
            out_nodes[INDEX(j)] = children[(node << INDEX(1)) | INDEX(goes_right)]


@inlined
def _walk_images(codes, low, n_rows, feature, bins, children, depth, source, relabel, out_nodes):
    """Leaves of the CP images of a block of rows."""
    out_nodes[:] = 0
    for _ in range(depth):
        for j in range(n_rows):
            node = INDEX(out_nodes[INDEX(j)])
            f = INDEX(feature[node])
            code = INDEX(codes[INDEX(low + j), INDEX(source[f])])
            goes_right = relabel[(f << INDEX(8)) | code] > bins[node]
            out_nodes[INDEX(j)] = children[(node << INDEX(1)) | INDEX(goes_right)]


@inlined
def _quantise(value, scale):
    return np.int64(np.rint(value * scale))


@kernel
def update_residuals(
    codes,
    feature,
    bins,
    children,
    depth,
    value,
    weights,
    columns,
    scales,
    residual,
    first,
    root_scale,
    n_features,
    out_sums,
    out_largest,
    out_root,
):
    """Sum weights and residuals by leaf of one tree, then take the tree's prediction out of the residuals.

    Of a single residual the next tree's root histogram can be made at once, while the codes are at hand.

    Parameters
    ----------
    codes : uint8 array, shape (n, at least n_features)
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
    weights : float64 array, shape (n, n_columns)
        Derivatives of the event weights, the nominal one first.
    columns : int64 array, shape (n_outputs,)
        Columns of the outputs.
    scales : float64 array, shape (2 + 2 n_outputs,)
        Powers of two for the squared nominal weight, the nominal weight, the outputs' weights and the residuals.
    residual : float64 array, shape (n, at least first + n_outputs)
        Rotated pseudo-residual weights, w_k -> w_k - w_0 value_k.
    first : int
        Column of the first one.
    root_scale : float
        Power of two for the first residual after the update.
    n_features : int
        Number of features.
    out_sums : int64 array, shape (n_nodes, 3 + 2 n_outputs)
        Added to: count, squared nominal weight, nominal weight, outputs' weights, residuals before the update.
    out_largest : float64 array, shape (n_outputs,)
        Raised to the largest absolute residual.
    out_root : int64 array, shape (n_features * 256,) or (0,)
        Added to, if not empty: the first residual after the update, by feature and code.
    """
    n_outputs = value.shape[1]
    nodes = np.empty(_BLOCK, dtype=np.uint32)
    for low in range(0, weights.shape[0], _BLOCK):
        n_rows = min(_BLOCK, weights.shape[0] - low)
        _walk(codes, low, n_rows, feature, bins, children, depth, nodes)
        for j in range(n_rows):
            i, node = INDEX(low + j), INDEX(nodes[INDEX(j)])
            w0 = weights[i, INDEX(0)]
            sums = out_sums[node]
            sums[0] += 1
            sums[1] += _quantise(w0 * w0, scales[0])
            sums[2] += _quantise(w0, scales[1])
            for k in range(n_outputs):
                rest = residual[i, INDEX(first + k)]
                sums[3 + k] += _quantise(weights[i, INDEX(columns[k])], scales[2 + k])
                sums[3 + n_outputs + k] += _quantise(rest, scales[2 + n_outputs + k])
                rest -= w0 * value[node, INDEX(k)]
                residual[i, INDEX(first + k)] = rest
                if abs(rest) > out_largest[k]:
                    out_largest[k] = abs(rest)
            if out_root.size > 0:
                quantum = _quantise(residual[i, INDEX(first)], root_scale)
                for f in range(n_features):
                    out_root[INDEX(f << 8) + INDEX(codes[i, INDEX(f)])] += quantum


@kernel
def update_residuals_of_pairs(
    codes,
    feature,
    bins,
    children,
    depth,
    value,
    weights,
    columns,
    scales,
    loss_scales,
    signs,
    source,
    relabel,
    residual,
    first,
    out_sums,
    out_losses,
    out_largest,
):
    """The same for events with their CP images, of which a tree h predicts f(x) = (h(x) + sign h(Cx)) / 2.

    Parameters
    ----------
    codes, feature, bins, children, depth, value, weights, columns, scales, residual, first
        As for `update_residuals`; weights and residuals are those of the events, the images have `signs` times
        them.
    loss_scales : float64 array, shape (n_outputs,)
        Powers of two for the changes of the loss.
    signs : float64 array, shape (n_outputs,)
        Sign of each output under CP.
    source : int64 array, shape (n_features,)
        Column from which each feature of the image comes.
    relabel : uint8 array, shape (n_features * 256,)
        Code in the image for every feature and code.
    out_sums : int64 array, shape (n_nodes, 3 + 2 n_outputs)
        Added to, by events and images alike.
    out_losses : int64 array, shape (n_outputs,)
        Added to: w_0 f^2 - 2 u f of the events.
    out_largest : float64 array, shape (n_outputs,)
        Raised to the largest absolute residual.
    """
    n_outputs = value.shape[1]
    nodes = np.empty(_BLOCK, dtype=np.uint32)
    images = np.empty(_BLOCK, dtype=np.uint32)
    for low in range(0, weights.shape[0], _BLOCK):
        n_rows = min(_BLOCK, weights.shape[0] - low)
        _walk(codes, low, n_rows, feature, bins, children, depth, nodes)
        _walk_images(codes, low, n_rows, feature, bins, children, depth, source, relabel, images)
        for j in range(n_rows):
            i, node, image = INDEX(low + j), INDEX(nodes[INDEX(j)]), INDEX(images[INDEX(j)])
            w0 = weights[i, INDEX(0)]
            for leaf in (node, image):
                out_sums[leaf, 0] += 1
                out_sums[leaf, 1] += _quantise(w0 * w0, scales[0])
                out_sums[leaf, 2] += _quantise(w0, scales[1])
            for k in range(n_outputs):
                rest = residual[i, INDEX(first + k)]
                quantum = _quantise(weights[i, INDEX(columns[k])], scales[2 + k])
                quantum_rest = _quantise(rest, scales[2 + n_outputs + k])
                sign = np.int64(signs[k])
                out_sums[node, 3 + k] += quantum
                out_sums[image, 3 + k] += sign * quantum
                out_sums[node, 3 + n_outputs + k] += quantum_rest
                out_sums[image, 3 + n_outputs + k] += sign * quantum_rest
                step = 0.5 * (value[node, INDEX(k)] + signs[k] * value[image, INDEX(k)])
                out_losses[k] += _quantise((w0 * step - 2.0 * rest) * step, loss_scales[k])
                rest -= w0 * step
                residual[i, INDEX(first + k)] = rest
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
