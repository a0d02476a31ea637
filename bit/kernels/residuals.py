"""Trees applied to the training events: out of the residuals, and sums by leaf.

A split sends a code right if ``code > above or code < below``; the second part is needed for CP images, whose
codes run the other way.
"""

from __future__ import annotations

import numpy as np

from bit.kernels._jit import LANES, add_lanes, add_quanta, inlined, kernel
from bit.kernels.dtypes import INDEX

_BLOCK = 1024  # rows: of a few features at a time, their codes and histograms stay in the first cache
_GROUP = 4  # features that are summed together
_BYTE = 256  # numbers that fit into a byte
LEAF_FEATURES = 4
"""Features of which a leaf can be a linear function."""
_MANTISSA = np.uint64(0xFFFFFFFFFFFFF)
_MIX = np.uint64(0x9E3779B97F4A7C15)
N_MOMENTS = 16
"""Sums of products of the features with the nominal weight, before those with the residuals."""


@inlined
def _find_nodes(columns, low, n_rows, feature, above, below, children, depth, out_bytes, out_nodes):
    """Leaves of a block of rows."""
    if feature.size <= _BYTE:
        # Every split is tried on all rows of the block, and moves those that are there: no step waits for the
        # one before, and one instruction takes dozens of rows. Parents have lower numbers than their children.
        out_bytes[:] = 0
        for node in range(feature.size):
            left, right = np.uint8(children[node << 1]), np.uint8(children[(node << 1) | 1])
            if left != right:
                codes = columns[INDEX(feature[node])][low : low + n_rows]
                here, high, deep = np.uint8(node), above[node], below[node]
                for j in range(n_rows):
                    child = right if (codes[j] > high) or (codes[j] < deep) else left
                    out_bytes[j] = child if out_bytes[j] == here else out_bytes[j]
        for j in range(n_rows):
            out_nodes[j] = out_bytes[j]
    else:
        out_nodes[:] = 0
        for _ in range(depth):
            for j in range(n_rows):
                at = INDEX(out_nodes[INDEX(j)])
                code = columns[INDEX(feature[at]), INDEX(low + j)]
                goes_right = (code > above[at]) | (code < below[at])
                out_nodes[INDEX(j)] = children[(at << INDEX(1)) | INDEX(goes_right)]


@inlined
def _quantise(value, scale):
    return np.int64(np.rint(value * scale))


@inlined
def _sum_block(columns, low, n_rows, quanta, out_histogram):
    """Add the integers of a block of rows to a histogram of one channel."""
    n_features = columns.shape[0]
    n_grouped = n_features - n_features % _GROUP
    for f in range(0, n_grouped, _GROUP):
        first, second = columns[f][low : low + n_rows], columns[f + 1][low : low + n_rows]
        third, fourth = columns[f + 2][low : low + n_rows], columns[f + 3][low : low + n_rows]
        at = INDEX(f << 8)
        for j in range(n_rows):
            i = INDEX(j)
            quantum = quanta[i]
            out_histogram[at + INDEX(first[i])] += quantum
            out_histogram[at + INDEX(256) + INDEX(second[i])] += quantum
            out_histogram[at + INDEX(512) + INDEX(third[i])] += quantum
            out_histogram[at + INDEX(768) + INDEX(fourth[i])] += quantum
    for f in range(n_grouped, n_features):
        codes = columns[f][low : low + n_rows]
        for j in range(n_rows):
            out_histogram[INDEX(f << 8) + INDEX(codes[INDEX(j)])] += quanta[INDEX(j)]


@kernel
def build_root_histogram(columns, residual, first, scale, out_histogram):
    """Add the only residual of all events; at the root the nominal sums never change.

    Parameters
    ----------
    columns : uint8 array, shape (n_features, n)
        Bin numbers, those of one feature side by side.
    residual : float64 array, shape (n, at least first + 1)
        Pseudo-residual weights.
    first : int
        Their column.
    scale : float
        Power of two that turns the residuals into integers.
    out_histogram : int64 array, shape (n_features * 256,)
        Added to.
    """
    quanta = np.empty(_BLOCK, dtype=np.int64)
    for low in range(0, columns.shape[1], _BLOCK):
        n_rows = min(_BLOCK, columns.shape[1] - low)
        for j in range(n_rows):
            quanta[INDEX(j)] = _quantise(residual[INDEX(low + j), INDEX(first)], scale)
        _sum_block(columns, low, n_rows, quanta, out_histogram)


@inlined
def _read_features(features, row, node, leaf_columns, leaf_signs, out_values):
    """Features of a linear leaf; whether all of them are finite."""
    finite = True
    for m in range(LEAF_FEATURES):
        column = leaf_columns[node, m]
        value = 0.0
        if column >= 0:
            value = leaf_signs[node, m] * np.float64(np.float32(features[row, INDEX(column)]))
            finite &= np.isfinite(value)
        out_values[m] = value
    return finite


@inlined
def _deviations(values, node, centre, low, high):
    """From the centre of the leaf, within the range of its training events; in place."""
    for m in range(LEAF_FEATURES):
        values[m] = min(max(values[m], low[node, m]), high[node, m]) - centre[node, m]


@inlined
def _leaf_value(value, slope, node, output, deviations, is_linear):
    total = value[node, output]
    if is_linear:
        for m in range(LEAF_FEATURES):
            total += slope[node, output, m] * deviations[m]
    return total


@inlined
def _half_of(words, row):
    """0 or 1: half of the events, whatever their order; no matter if all weights double."""
    mixed = np.uint64(0)
    for word in range(words.shape[1]):
        mixed = (mixed ^ (words[row, word] & _MANTISSA)) * _MIX
    return INDEX(mixed >> np.uint64(63))


@kernel
def sum_moments(
    columns,
    feature,
    above,
    below,
    children,
    depth,
    features,
    leaf_columns,
    leaf_signs,
    origin,
    unit,
    words,
    nominal,
    residual,
    first,
    signs,
    scales,
    out_sums,
    out_low,
    out_high,
):
    """Sum products of the features of linear leaves with the nominal weight and the residuals.

    Events of which one of these features is not finite do not count.

    Parameters
    ----------
    columns, feature, above, below, children, depth
        As for `update_residuals`.
    features : float32 or float64 array, shape (n, n_columns)
        Values x, cast to float32.
    leaf_columns : int64 array, shape (n_nodes, 4)
        Columns of the features of each leaf, -1 for none; all -1 if the leaf is constant.
    leaf_signs : float64 array, shape (n_nodes, 4)
        Their signs, for CP images.
    origin, unit : float64 arrays, shape (n_nodes, 4)
        The products are those of z = (sign x - origin) unit, between -1 and 1.
    words : uint64 array, shape (n, m)
        The bits of the records: they decide in which half an event is.
    nominal : float64 array, shape (n,)
        Nominal weights w.
    residual : float64 array, shape (n, at least first + n_outputs)
        Pseudo-residual weights u.
    first : int
        Column of the first one.
    signs : float64 array, shape (n_outputs,)
        Their signs, for CP images.
    scales : float64 array, shape (2 + n_outputs,)
        Powers of two for the squared nominal weight, the nominal weight and the residuals.
    out_sums : int64 array, shape (n_nodes * 2 * n_lanes,)
        Added to: for each node and each half of the events the sums in the order of `lanes_of_moments`.
    out_low, out_high : float64 arrays, shape (n_nodes, 4)
        Lowered and raised to the range of sign x.
    """
    n, n_outputs = columns.shape[1], signs.size
    # w^2 and w, w z and w z z^T, the u, and u z for each of them.
    of_outputs = LANES * (2 + LEAF_FEATURES)
    of_slopes = of_outputs + (n_outputs + LANES - 1) // LANES * LANES
    n_lanes = of_slopes + LANES * n_outputs
    own = np.empty(_BLOCK, dtype=np.uint8)
    nodes = np.empty(_BLOCK, dtype=np.uint32)
    values = np.empty(LEAF_FEATURES)
    for low in range(0, n, _BLOCK):
        n_rows = min(_BLOCK, n - low)
        _find_nodes(columns, low, n_rows, feature, above, below, children, depth, own, nodes)
        for j in range(n_rows):
            i, node = INDEX(low + j), INDEX(nodes[INDEX(j)])
            if leaf_columns[node, 0] < 0:
                continue
            if not _read_features(features, i, node, leaf_columns, leaf_signs, values):
                continue
            for m in range(LEAF_FEATURES):
                out_low[node, m] = min(out_low[node, m], values[m])
                out_high[node, m] = max(out_high[node, m], values[m])
                values[m] = (values[m] - origin[node, m]) * unit[node, m]
            start = (INDEX(2) * node + _half_of(words, i)) * INDEX(n_lanes)
            w0 = nominal[i]
            out_sums[start] += _quantise(w0 * w0, scales[0])
            out_sums[start + INDEX(1)] += _quantise(w0, scales[1])
            add_quanta(out_sums, start + INDEX(LANES), values, w0, scales[1])
            for m in range(LEAF_FEATURES):
                add_quanta(out_sums, start + INDEX(LANES * (2 + m)), values, w0 * values[m], scales[1])
            for k in range(n_outputs):
                rest = signs[k] * residual[i, INDEX(first + k)]
                out_sums[start + INDEX(of_outputs + k)] += _quantise(rest, scales[2 + k])
                add_quanta(out_sums, start + INDEX(of_slopes + LANES * k), values, rest, scales[2 + k])


def lanes_of_moments(n_outputs):
    """Where `sum_moments` puts its sums.

    Parameters
    ----------
    n_outputs : int
        Number of residuals.

    Returns
    -------
    lanes : int64 array, shape (16 + 5 n_outputs,)
        Places of the sums of w^2, w, w z_i (4), w z_i z_j (10, i <= j), then for each output of u, u z_i (4).
    n_lanes : int
        Number of places.
    """
    of_outputs = LANES * (2 + LEAF_FEATURES)
    of_slopes = of_outputs + -(-n_outputs // LANES) * LANES
    rows, others = np.triu_indices(LEAF_FEATURES)
    of_products = LANES * (2 + rows) + others
    each = [[of_outputs + k, *range(of_slopes + LANES * k, of_slopes + LANES * (k + 1))] for k in range(n_outputs)]
    lanes = np.concatenate([[0, 1], LANES + np.arange(LEAF_FEATURES), of_products, np.ravel(each)])
    return lanes.astype(np.int64), of_slopes + LANES * n_outputs


@kernel
def update_residuals(
    columns,
    feature,
    above,
    below,
    children,
    depth,
    value,
    features,
    leaf_columns,
    leaf_signs,
    centre,
    low,
    high,
    slope,
    nominal,
    residual,
    first,
    loss_scales,
    root_scale,
    out_losses,
    out_largest,
    out_root,
):
    """Take a tree's prediction out of the residuals.

    Of a single residual the next tree's root histogram can be made at once, while the codes are at hand.

    Parameters
    ----------
    columns : uint8 array, shape (n_features, n)
        Bin numbers, those of one feature side by side.
    feature : uint32 array, shape (n_nodes,)
        Feature of each split; any for leaves.
    above, below : uint8 arrays, shape (n_nodes,)
        Codes above the one or below the other go right.
    children : uint32 array, shape (2 n_nodes,)
        Left and right child of each node, with larger numbers; a leaf has itself.
    depth : int
        Steps from the root to the lowest leaf.
    value : float64 array, shape (n_nodes, n_outputs)
        Rotated leaf values, learning rate included.
    features, leaf_columns, leaf_signs
        As for `sum_moments`.
    centre, low, high : float64 arrays, shape (n_nodes, 4)
        Where the linear part of a leaf is 0, and the range to which x is cut.
    slope : float64 array, shape (n_nodes, n_outputs, 4) or (0, 0, 0)
        Linear parts: added to the value is sum_m slope_m (sign x_m - centre_m) if all x_m are finite. Empty if
        all leaves are constant; the arrays from `features` on are then not read.
    nominal : float64 array, shape (n,)
        Nominal weights.
    residual : float64 array, shape (n, at least first + n_outputs)
        Rotated pseudo-residual weights, w_k -> w_k - w_0 value_k.
    first : int
        Column of the first one.
    loss_scales : float64 array, shape (n_outputs,) or (0,)
        Powers of two for the changes of the loss.
    root_scale : float
        Power of two for the first residual after the update.
    out_losses : int64 array, shape (n_outputs,) or (0,)
        Added to, if not empty: w_0 value^2 - 2 u value.
    out_largest : float64 array, shape (n_outputs,)
        Raised to the largest absolute residual.
    out_root : int64 array, shape (n_features * 256,) or (0,)
        Added to, if not empty: the first residual after the update, by feature and code.
    """
    n = columns.shape[1]
    n_outputs = value.shape[1]
    own = np.empty(_BLOCK, dtype=np.uint8)
    nodes = np.empty(_BLOCK, dtype=np.uint32)
    quanta = np.empty(_BLOCK, dtype=np.int64)
    deviations = np.empty(LEAF_FEATURES)
    for start in range(0, n, _BLOCK):
        n_rows = min(_BLOCK, n - start)
        _find_nodes(columns, start, n_rows, feature, above, below, children, depth, own, nodes)
        for j in range(n_rows):
            i, node = INDEX(start + j), INDEX(nodes[INDEX(j)])
            w0, is_linear = nominal[i], False
            if slope.size > 0 and leaf_columns[node, 0] >= 0:
                is_linear = _read_features(features, i, node, leaf_columns, leaf_signs, deviations)
                _deviations(deviations, node, centre, low, high)
            for k in range(n_outputs):
                rest = residual[i, INDEX(first + k)]
                step = _leaf_value(value, slope, node, INDEX(k), deviations, is_linear)
                if out_losses.size > 0:
                    out_losses[k] += _quantise((w0 * step - 2.0 * rest) * step, loss_scales[k])
                rest -= w0 * step
                residual[i, INDEX(first + k)] = rest
                if abs(rest) > out_largest[k]:
                    out_largest[k] = abs(rest)
            if out_root.size > 0:
                quanta[INDEX(j)] = _quantise(residual[i, INDEX(first)], root_scale)
        if out_root.size > 0:
            _sum_block(columns, start, n_rows, quanta, out_root)


@kernel
def update_residuals_of_pairs(
    columns,
    feature,
    above,
    below,
    children,
    depth,
    image_feature,
    image_above,
    image_below,
    value,
    features,
    leaf_columns,
    leaf_signs,
    image_columns,
    image_signs,
    centre,
    low,
    high,
    slope,
    nominal,
    residual,
    first,
    loss_scales,
    signs,
    out_losses,
    out_largest,
):
    """The same for events with their CP images, of which a tree h predicts f(x) = (h(x) + sign h(Cx)) / 2.

    Parameters
    ----------
    columns, feature, above, below, children, depth, value
        As for `update_residuals`; residuals are those of the events, the images have `signs` times them.
    image_feature, image_above, image_below : uint32 and uint8 arrays, shape (n_nodes,)
        The splits in terms of the codes of the event whose image passes through them.
    features, leaf_columns, leaf_signs, centre, low, high, slope, nominal, residual, first, loss_scales
        As for `update_residuals`.
    image_columns, image_signs : int64 and float64 array, shape (n_nodes, 4)
        The features of linear leaves in terms of those of the event.
    signs : float64 array, shape (n_outputs,)
        Sign of each output under CP.
    out_losses : int64 array, shape (n_outputs,) or (0,)
        Added to, if not empty: w_0 f^2 - 2 u f of the events.
    out_largest : float64 array, shape (n_outputs,)
        Raised to the largest absolute residual.
    """
    n = columns.shape[1]
    n_outputs = value.shape[1]
    own = np.empty(_BLOCK, dtype=np.uint8)
    nodes = np.empty(_BLOCK, dtype=np.uint32)
    images = np.empty(_BLOCK, dtype=np.uint32)
    deviations, of_image = np.empty(LEAF_FEATURES), np.empty(LEAF_FEATURES)
    for start in range(0, n, _BLOCK):
        n_rows = min(_BLOCK, n - start)
        _find_nodes(columns, start, n_rows, feature, above, below, children, depth, own, nodes)
        _find_nodes(columns, start, n_rows, image_feature, image_above, image_below, children, depth, own, images)
        for j in range(n_rows):
            i, node, image = INDEX(start + j), INDEX(nodes[INDEX(j)]), INDEX(images[INDEX(j)])
            w0, is_linear, image_is_linear = nominal[i], False, False
            if slope.size > 0 and leaf_columns[node, 0] >= 0:
                is_linear = _read_features(features, i, node, leaf_columns, leaf_signs, deviations)
                _deviations(deviations, node, centre, low, high)
            if slope.size > 0 and image_columns[image, 0] >= 0:
                image_is_linear = _read_features(features, i, image, image_columns, image_signs, of_image)
                _deviations(of_image, image, centre, low, high)
            for k in range(n_outputs):
                rest = residual[i, INDEX(first + k)]
                own_value = _leaf_value(value, slope, node, INDEX(k), deviations, is_linear)
                other = _leaf_value(value, slope, image, INDEX(k), of_image, image_is_linear)
                step = 0.5 * (own_value + signs[k] * other)
                if out_losses.size > 0:
                    out_losses[k] += _quantise((w0 * step - 2.0 * rest) * step, loss_scales[k])
                rest -= w0 * step
                residual[i, INDEX(first + k)] = rest
                if abs(rest) > out_largest[k]:
                    out_largest[k] = abs(rest)


@kernel
def sum_by_leaf(
    columns, feature, above, below, children, tree_offset, depth, nominal, weights, outputs, signs, scales, out_sums
):
    """Sum weights by the leaves of trees.

    Parameters
    ----------
    columns : uint8 array, shape (n_features, n)
        Bin numbers, those of one feature side by side.
    feature, above, below, children
        As for `update_residuals`, tree after tree; children by their number within the tree.
    tree_offset : int64 array, shape (n_trees + 1,)
        First node of each tree.
    depth : int64 array, shape (n_trees,)
        Steps from the root to the lowest leaf of each tree.
    nominal : float64 array, shape (n,)
        Nominal weights.
    weights : float64 array, shape (n, n_columns)
        Other weights.
    outputs : int64 array, shape (n_outputs,)
        Columns of those to be summed.
    signs : float64 array, shape (n_outputs,)
        Factors of these.
    scales : float64 array, shape (2 + n_outputs,)
        Powers of two for the squared nominal weight, the nominal weight and the other weights.
    out_sums : int64 array, shape (n_nodes * n_lanes,)
        Added to: for each node count, squared nominal weight, nominal weight, other weights; n_lanes is
        3 + n_outputs, filled up to a multiple of 4.
    """
    n, n_outputs = columns.shape[1], outputs.size
    n_lanes = ((3 + n_outputs + LANES - 1) // LANES) * LANES
    own = np.empty(_BLOCK, dtype=np.uint8)
    nodes = np.empty(_BLOCK, dtype=np.uint32)
    quanta = np.zeros(_BLOCK * n_lanes, dtype=np.int64)
    for low in range(0, n, _BLOCK):
        n_rows = min(_BLOCK, n - low)
        for j in range(n_rows):
            i, at = INDEX(low + j), INDEX(j * n_lanes)
            quanta[at] = 1
            quanta[at + INDEX(1)] = _quantise(nominal[i] * nominal[i], scales[0])
            quanta[at + INDEX(2)] = _quantise(nominal[i], scales[1])
            for k in range(n_outputs):
                quanta[at + INDEX(3 + k)] = _quantise(signs[k] * weights[i, INDEX(outputs[k])], scales[2 + k])
        for tree in range(depth.size):
            begin, end = tree_offset[tree], tree_offset[tree + 1]
            _find_nodes(
                columns,
                low,
                n_rows,
                feature[begin:end],
                above[begin:end],
                below[begin:end],
                children[2 * begin : 2 * end],
                depth[tree],
                own,
                nodes,
            )
            for j in range(n_rows):
                at = (INDEX(begin) + INDEX(nodes[INDEX(j)])) * INDEX(n_lanes)
                for lane in range(0, n_lanes, LANES):
                    add_lanes(out_sums, at + INDEX(lane), quanta, INDEX(j * n_lanes + lane))
