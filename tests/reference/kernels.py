"""Slow twins of the kernels: one event, one bin at a time, in Python integers and floats."""

import math

import numpy as np


def encode_features(features, edges):
    """Number of edges at or below each value; 255 for NaN."""
    out = np.empty(features.shape, dtype=np.uint8)
    for (i, f), x in np.ndenumerate(features):
        out[i, f] = 255 if math.isnan(x) else sum(bool(edge <= x) for edge in edges[f] if not math.isnan(edge))
    return out


def quanta_of(row, nominal, residual, scales, square_scale, count_bits):
    channels = [round(nominal[row] * scales[0])]
    if count_bits:
        channels.append((math.ceil(nominal[row] * nominal[row] * square_scale) << count_bits) + 1)
    channels += [round(residual[row, k] * scales[1 + k]) for k in range(residual.shape[1])]
    return channels


def build_histograms(codes, rows, starts, stops, nominal, residual, scales, square_scale, count_bits, n_channels):
    n_features = codes.shape[1]
    out = np.zeros((len(starts), n_features, 256, n_channels), dtype=np.int64)
    for node in range(len(starts)):
        for row in rows[starts[node] : stops[node]]:
            channels = quanta_of(row, nominal, residual, scales, square_scale, count_bits)
            for f in range(n_features):
                out[node, f, codes[row, f], : len(channels)] += channels
    return out.reshape(len(starts), -1)


def build_root_histogram(codes, residual, scale):
    out = np.zeros((codes.shape[1], 256), dtype=np.int64)
    for (i, f), code in np.ndenumerate(codes):
        out[f, code] += round(residual[i, 0] * scale)
    return out.ravel()


def partition_rows(codes, starts, stops, features, bins, rows):
    out, middles = rows.copy(), []
    for node in range(len(starts)):
        mine = rows[starts[node] : stops[node]]
        left = [row for row in mine if codes[row, features[node]] <= bins[node]]
        right = [row for row in mine if codes[row, features[node]] > bins[node]]
        out[starts[node] : stops[node]] = left + right
        middles.append(starts[node] + len(left))
    return out, np.array(middles)


def update_residuals(codes, tree, value, nominal, weights, columns, scales, residual):
    feature, bins, left, right = tree
    n_outputs = value.shape[1]
    sums = np.zeros((len(value), 3 + 2 * n_outputs), dtype=np.int64)
    out = residual.copy()
    for i in range(len(codes)):
        node = 0
        while feature[node] >= 0:
            node = left[node] if codes[i, feature[node]] <= bins[node] else right[node]
        columns_summed = [nominal[i] ** 2, nominal[i], *weights[i, columns], *residual[i]]
        sums[node] += [1, *(round(x * s) for x, s in zip(columns_summed, scales, strict=True))]
        out[i] = residual[i] - nominal[i] * value[node]
    return sums, out, np.abs(out).max(axis=0)


def rotate_weights(weights, columns, nominal, base, rotation):
    return (weights[:, columns] - nominal[:, None] * base) @ rotation


def predict_forest(forest, features):
    """Leaf by leaf, in Python floats: base first, then tree by tree."""
    out = np.empty((len(features), forest.n_outputs))
    for i, row in enumerate(np.asarray(features, dtype=np.float32)):
        total = [float(value) for value in forest.base]
        for group in forest.groups:
            for root in group.tree_offset[:-1]:
                node = int(root)
                while group.feature[node] >= 0:
                    goes_left = row[group.feature[node]] < group.threshold[node]
                    node = int(group.left[node] if goes_left else group.right[node])
                for k, output in enumerate(group.outputs):
                    total[output] += float(group.value[node, k])
        out[i] = total
    return out
