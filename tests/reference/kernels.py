"""Slow twins of the kernels: one event, one bin at a time, in Python integers, floats and fractions."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np


def encode_features(features, edges):
    """Number of edges at or below each value; 255 for NaN."""
    out = np.empty(features.shape, dtype=np.uint8)
    for (i, f), x in np.ndenumerate(features):
        out[i, f] = 255 if math.isnan(x) else sum(bool(edge <= x) for edge in edges[f] if not math.isnan(edge))
    return out


def sort_values(values):
    """Numbers of the values in increasing order, equal ones (also zeros of both signs) as they stand, NaN last."""
    return sorted(
        range(len(values)), key=lambda i: (math.isnan(values[i]), 0.0 if math.isnan(values[i]) else values[i])
    )


def pick_steps(values, weights, targets):
    valid = sorted(float(value) for value in values if not math.isnan(value))
    steps = [i for i in range(1, len(valid)) if valid[i - 1] < valid[i]]
    below = [sum(int(w) for x, w in zip(values, weights, strict=True) if x < valid[i]) for i in steps]
    reached = ([i for i, weight in zip(steps, below, strict=True) if weight >= target] for target in targets)
    return sorted({places[0] for places in reached if places})


def image_of(codes, source, relabel):
    """Codes of the CP image of one event; the event itself where nothing is relabelled."""
    if not len(relabel):
        return list(codes)
    return [int(relabel[256 * f + int(codes[source[f]])]) for f in range(len(source))]


def quanta_of(nominal, residual, scales, square_scale, count_bits, signs):
    channels = [round(nominal * scales[0])]
    if count_bits:
        channels.append((math.ceil(nominal * nominal * square_scale) << count_bits) + 1)
    return channels + [round(s * r * scale) for s, r, scale in zip(signs, residual, scales[1:], strict=True)]


def flat(bins):
    """Sums (n_features, 256, n_channels) in the order of the engine: four channels side by side, then four more."""
    n_features, n_codes, n_channels = bins.shape
    return bins.reshape(n_features, n_codes, n_channels // 4, 4).transpose(2, 0, 1, 3).ravel()


def bins_of(histogram, n_features):
    """The opposite of `flat`."""
    return histogram.reshape(-1, n_features, 256, 4).transpose(1, 2, 0, 3).reshape(n_features, 256, -1)


def build_histogram(
    codes, nominal, residual, rows, scales, square_scale, count_bits, signs, source, relabel, n_channels
):
    n_features = codes.shape[1]
    out = np.zeros((n_features, 256, n_channels), dtype=np.int64)
    for row in rows:
        channels = quanta_of(nominal[row], residual[row], scales, square_scale, count_bits, signs)
        for f, code in enumerate(image_of(codes[row], source, relabel)):
            out[f, code, : len(channels)] += channels
    return flat(out)


def divide_rows(columns, starts, stops, features, goes_right, rows):
    """Rows, and first places of the right children."""
    out, middles = rows.copy(), []
    for node, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        mine = rows[start:stop]
        left = [row for row in mine if not goes_right[node, columns[features[node], row]]]
        right = [row for row in mine if goes_right[node, columns[features[node], row]]]
        out[start:stop] = left + right
        middles.append(start + len(left))
    return out, middles


def build_root_histogram(codes, residual, scale):
    out = np.zeros((codes.shape[1], 256), dtype=np.int64)
    for (i, f), code in np.ndenumerate(codes):
        out[f, code] += round(residual[i] * scale)
    return out.ravel()


def leaf_of(codes, tree):
    feature, bins, left, right = tree
    node = 0
    while feature[node] >= 0:
        node = left[node] if codes[feature[node]] <= bins[node] else right[node]
    return node


def leaf_output(x, node, value, linear):
    """What the leaf predicts for the features of one event, term by term; without linear parts its value."""
    out = [float(v) for v in value[node]]
    if linear is None or linear.columns[node][0] < 0:
        return np.array(out)
    deviations = []
    for m, column in enumerate(linear.columns[node]):
        if column < 0:
            continue
        with np.errstate(over="ignore"):
            position = float(np.float32(x[column]))
        if hasattr(linear, "signs"):
            position *= float(linear.signs[node, m])
        if not math.isfinite(position):
            return np.array(out)
        cut = min(max(position, float(linear.low[node, m])), float(linear.high[node, m]))
        deviations.append(cut - float(linear.centre[node, m]))
    for k, slopes in enumerate(linear.slope[node]):
        for slope, deviation in zip(slopes, deviations, strict=False):
            out[k] += float(slope) * deviation
    return np.array(out)


def update_residuals(codes, tree, value, nominal, loss_scales, residual, features=None, linear=None):
    losses, out = np.zeros(value.shape[1], dtype=np.int64), residual.copy()
    for i, row in enumerate(codes):
        step = leaf_output(None if features is None else features[i], leaf_of(row, tree), value, linear)
        change = (nominal[i] * step - 2 * residual[i]) * step
        losses += [round(x * s) for x, s in zip(change, loss_scales, strict=True)]
        out[i] = residual[i] - nominal[i] * step
    return losses, out, np.abs(out).max(axis=0)


def update_residuals_of_pairs(
    codes, tree, value, nominal, loss_scales, signs, source, relabel, residual, features=None, linear=None, mirror=None
):
    losses, out = np.zeros(value.shape[1], dtype=np.int64), residual.copy()
    for i, row in enumerate(codes):
        node, image = leaf_of(row, tree), leaf_of(image_of(row, source, relabel), tree)
        x, image_of_x = None, None
        if linear is not None:
            x = features[i]
            image_of_x = [-x[j] if turned else x[j] for j, turned in zip(mirror.source, mirror.flipped, strict=True)]
        step = (leaf_output(x, node, value, linear) + signs * leaf_output(image_of_x, image, value, linear)) / 2
        change = (nominal[i] * step - 2 * residual[i]) * step
        losses += [round(x * s) for x, s in zip(change, loss_scales, strict=True)]
        out[i] = residual[i] - nominal[i] * step
    return losses, out, np.abs(out).max(axis=0)


def half_of(words):
    """Half of an event: its record mixed word by word, signs and exponents left out."""
    mixed = 0
    for word in words:
        mixed = (mixed ^ (int(word) % 2**52)) * 0x9E3779B97F4A7C15 % 2**64
    return mixed >> 63


def sum_moments(codes, tree, features, columns, leaf_signs, origin, unit, words, nominal, residual, signs, scales):
    """Sums by leaf and half, and the lowest and highest values of the features."""
    n_outputs = len(signs)
    sums = np.zeros((len(tree[0]), 2, 16 + 5 * n_outputs), dtype=np.int64)
    low, high = np.full(columns.shape, np.inf), np.full(columns.shape, -np.inf)
    for i, row in enumerate(codes):
        node = leaf_of(row, tree)
        if columns[node, 0] < 0:
            continue
        with np.errstate(over="ignore"):
            x = [0.0 if c < 0 else s * float(np.float32(features[i, c]))
                 for c, s in zip(columns[node], leaf_signs[node], strict=True)]  # fmt: skip
        if not all(math.isfinite(position) for position in x):
            continue
        low[node], high[node] = np.minimum(low[node], x), np.maximum(high[node], x)
        z = [(position - o) * u for position, o, u in zip(x, origin[node], unit[node], strict=True)]
        w = float(nominal[i])
        products = [w, *(w * a for a in z), *(w * z[a] * z[b] for a in range(4) for b in range(a, 4))]
        summed = [round(w * w * scales[0]), *(round(product * scales[1]) for product in products)]
        for sign, rest, scale in zip(signs, residual[i], scales[2:], strict=True):
            summed += [round(product * scale) for product in [sign * rest, *(sign * rest * a for a in z)]]
        sums[node, half_of(words[i])] += summed
    return sums, low, high


def sum_by_leaf(codes, tree, nominal, weights, scales):
    sums = np.zeros((len(tree[0]), 3 + weights.shape[1]), dtype=np.int64)
    for i, row in enumerate(codes):
        summed = [nominal[i] ** 2, nominal[i], *weights[i]]
        sums[leaf_of(row, tree)] += [1, *(round(x * s) for x, s in zip(summed, scales, strict=True))]
    return sums


def rotate_weights(weights, columns, base, rotation):
    return (weights[:, columns] - weights[:, :1] * base) @ rotation


def is_positive(polynomial, form):
    """Whether a quadratic form has no negative eigenvalue: no principal minor is negative."""
    matrix = [[Fraction(0)] * len(form) for _ in form]
    for a, b in itertools.product(range(len(form)), repeat=2):
        entry = form[max(a, b)][min(a, b)]
        matrix[a][b] = Fraction(polynomial[0]) if entry < 0 else Fraction(polynomial[1 + entry]) / 2
    picks = itertools.chain.from_iterable(itertools.combinations(range(len(form)), n + 1) for n in range(len(form)))
    return all(determinant([[matrix[a][b] for b in picked] for a in picked]) >= 0 for picked in picks)


def determinant(matrix):
    if not matrix:
        return 1
    return sum(
        (-1) ** k * matrix[0][k] * determinant([row[:k] + row[k + 1 :] for row in matrix[1:]])
        for k in range(len(matrix))
    )


def all_positive(weights, form):
    return all(is_positive(row, form) for row in weights)


def find_splits(
    histograms, features, n_edges, scales, square_scale, count_bits, quantum, min_samples, min_effective, l2, min_gain,
    n_outputs, form,
):  # fmt: skip
    """Of every node the best gain, its feature and bin, and the sums of the left child."""
    first = 2 if count_bits else 1

    def count(sums):
        return int(sums[1]) % 2**count_bits if count_bits else int(sums[0]) // quantum

    def polynomial(sums):
        return [int(s) / scale for s, scale in zip([sums[0], *sums[first:]], scales, strict=False)]

    def information(sums):
        nominal, *residuals = polynomial(sums)
        return sum(r * r for r in residuals[:n_outputs]) / (nominal + l2)

    def is_allowed(sums):
        nominal = polynomial(sums)[0]
        if count(sums) < max(1, min_samples) or nominal <= 0:
            return False
        effective = count(sums)
        if count_bits:
            effective = min(effective, nominal * nominal / ((int(sums[1]) >> count_bits) / square_scale))
        return effective >= min_effective and (not len(form) or is_positive(polynomial(sums), form))

    out = []
    for histogram in histograms:
        bins = bins_of(histogram, len(n_edges))
        total = bins[features[0]].sum(axis=0)
        parent = information(total) if total[0] > 0 else 0.0
        best = (0.0, (-1, -1), None)
        for f, b in [(column, b) for column in features for b in range(n_edges[column])]:
            left = bins[f, : b + 1].sum(axis=0)
            if not (bins[f, b].any() and is_allowed(left) and is_allowed(total - left)):
                continue
            children = information(left) + information(total - left)
            gain = children - parent
            # What is not above 1e-12 of the children's information is rounding.
            if gain > max(best[0], min_gain, 1e-12 * children):
                best = (gain, (f, b), left)
        out.append(best)
    return out


def predict_trees(features, group, trees, prediction):
    """Tree by tree, from the root to a leaf, in Python floats."""
    out = []
    for row, start in zip(features, prediction, strict=True):
        total = [float(value) for value in start]
        for root in group.tree_offset[:-1][trees]:
            node = int(root)
            while group.feature[node] >= 0:
                goes_left = row[group.feature[node]] < group.threshold[node]
                node = int(group.left[node] if goes_left else group.right[node])
            for output, value in zip(group.outputs, leaf_output(row, node, group.value, group.linear), strict=True):
                total[output] += float(value)
        out.append(total)
    return np.array(out)


predict_small_trees = predict_trees
predict_one = predict_trees


def predict_forest(forest, features):
    """Base first, then tree by tree; for a forest with a parity also at the CP image of each event."""
    features = np.asarray(features, dtype=np.float32)
    out = np.tile(forest.base, (len(features), 1))
    for group in forest.groups:
        out = predict_trees(features, group, slice(None), out)
    if forest.cp is None:
        return out
    moved = [[row[j] * sign for j, sign in zip(forest.cp.permutation, forest.cp.sign, strict=True)] for row in features]
    images = predict_forest(replace(forest, cp=None), moved)
    return np.array([(one + forest.cp.parity * other) / 2 for one, other in zip(out, images, strict=True)])


def sum_log_ratios(ratios, weights, phi, floor):
    """Sums over events, one after the other."""
    total, slopes, below = 0.0, [0.0] * len(phi), 0
    for row, weight in zip(ratios, weights, strict=True):
        ratio = 1.0 + math.fsum(r * p for r, p in zip(row, phi, strict=True))
        cut = max(ratio, floor)
        total += weight * (math.log(cut) + min(ratio - floor, 0.0) / floor)
        slopes = [s + weight / cut * r for s, r in zip(slopes, row, strict=True)]
        below += ratio < floor and weight != 0.0
    return [total, *slopes, below]
