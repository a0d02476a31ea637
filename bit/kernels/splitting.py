"""The best split of a node, by Fisher information."""

from __future__ import annotations

import numpy as np

from bit.kernels._jit import inlined, kernel
from bit.kernels.dtypes import INDEX

# A gain below this fraction of the children's information is rounding, not information.
_RELATIVE_GAIN = 1e-12
# An eigenvalue below this fraction of its diagonal entry is rounding.
_FLAT = 1e-9


@inlined
def _count(sums, count_bits, quantum):
    """Events behind a set of sums; if all nominal weights are equal their sum counts them."""
    return sums[1] & ((np.int64(1) << count_bits) - 1) if count_bits > 0 else sums[0] // quantum


@inlined
def _effective(sums, count, scales, square_scale, count_bits):
    """Effective number of events (sum w)^2 / sum w^2, at most the number of events."""
    if count_bits == 0:
        return np.float64(count)
    nominal = sums[0] / scales[0]
    square = (sums[1] >> count_bits) / square_scale
    return min(nominal * nominal / square, np.float64(count))


@inlined
def _is_positive(sums, first, scales, form, matrix, diagonal):
    """Whether the polynomial S_0 + S_a d_a + S_ab d_a d_b / 2 of a set of sums is nowhere negative."""
    size = form.shape[0]
    for a in range(size):
        for b in range(a + 1):
            channel = form[a, b]
            value = sums[0] / scales[0] if channel < 0 else 0.5 * sums[first + channel] / scales[1 + channel]
            matrix[a, b] = value
        diagonal[a] = abs(matrix[a, a])
    positive = True
    # Factored as L D L^T it has a negative eigenvalue if and only if D has a negative entry, or a zero one
    # with something beside it.
    for a in range(size):
        pivot = matrix[a, a]
        is_flat = pivot <= _FLAT * diagonal[a]
        if pivot < -_FLAT * diagonal[a]:
            positive = False
        for b in range(a + 1, size):
            if is_flat:
                positive &= matrix[b, a] * matrix[b, a] <= _FLAT * diagonal[a] * diagonal[b]
            else:
                for c in range(a + 1, b + 1):
                    matrix[b, c] -= matrix[b, a] * matrix[c, a] / pivot
    return positive


@kernel
def all_positive(weights, form):
    """Whether the weight polynomial of every event is nowhere negative.

    Parameters
    ----------
    weights : float64 array, shape (n, n_columns)
        Derivatives of the event weights, the nominal one first.
    form : int64 array, shape (n_params + 1, n_params + 1)
        Column less 1 of each entry of the quadratic form, -1 for the nominal weight; lower triangle.

    Returns
    -------
    bool
        To a relative accuracy of 1e-9.
    """
    size = form.shape[0]
    ones = np.ones(weights.shape[1])
    matrix, diagonal = np.empty((size, size)), np.empty(size)
    n_positive = 0
    for i in range(weights.shape[0]):
        n_positive += _is_positive(weights[i], 1, ones, form, matrix, diagonal)
    return n_positive == weights.shape[0]


@inlined
def _information(sums, first, n_outputs, units, l2):
    """Sum over outputs of U_k^2 / (S_0 + l2)."""
    total = 0.0
    for k in range(n_outputs):
        value = sums[first + k] * units[1 + k]
        total += value * value
    return total / (sums[0] * units[0] + l2)


@inlined
def _sum_below(histogram, feature, n_edges, n_features, out_below):
    """Sums of what lies below every threshold, channel by channel."""
    for lane in range(out_below.shape[0] >> 2):
        at = INDEX((lane * n_features + feature) << 10)
        a, b, c, d = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        for threshold in range(n_edges):
            a += histogram[at]
            b += histogram[at + INDEX(1)]
            c += histogram[at + INDEX(2)]
            d += histogram[at + INDEX(3)]
            at += INDEX(4)
            out_below[(lane << 2), threshold] = a
            out_below[(lane << 2) + 1, threshold] = b
            out_below[(lane << 2) + 2, threshold] = c
            out_below[(lane << 2) + 3, threshold] = d


@inlined
def _information_of_children(below, total, n_edges, first, n_outputs, units, l2, right, out_information):
    """The information of both sides of every threshold, whether allowed or not: many thresholds at a time."""
    left = out_information[:n_edges]
    left[:] = 0.0
    right[:] = 0.0
    for k in range(n_outputs):
        sums, whole, unit = below[first + k], total[first + k], units[1 + k]
        for b in range(n_edges):
            value = sums[b] * unit
            left[b] += value * value
            rest = (whole - sums[b]) * unit
            right[b] += rest * rest
    sums, whole, unit = below[0], total[0], units[0]
    for b in range(n_edges):
        left[b] = left[b] / (sums[b] * unit + l2) + right[b] / ((whole - sums[b]) * unit + l2)


@kernel
def find_splits(
    histograms,
    feature_low,
    feature_high,
    n_edges,
    scales,
    square_scale,
    count_bits,
    quantum,
    min_samples,
    min_effective,
    l2,
    min_gain,
    n_outputs,
    form,
    out_gains,
    out_splits,
    out_left,
):
    """Best split of every node among a range of features.

    The gain is the information of the children minus that of the node, I = sum_k U_k^2 / (S_0 + l2); the
    first of equal gains wins. The nominal sums are not monotone for signed weights, so a scan never stops early.

    Parameters
    ----------
    histograms : int64 array, shape (n_nodes, n_features * 256 * n_channels)
        Sums of the nodes, see ``kernels.histogram``.
    feature_low, feature_high : int
        Range of features to scan.
    n_edges : int64 array, shape (n_features,)
        Number of thresholds of each feature.
    scales : float64 array, shape (1 + n_outputs,)
        Scales of the nominal weight and of the residuals.
    square_scale : float
        Scale of the squared nominal weights.
    count_bits : int
        Bits of the event count in channel 1; 0 if there is no such channel.
    quantum : int
        The common nominal weight in units of its scale, where there is no such channel.
    min_samples : int
        Smallest number of events in a child.
    min_effective : float
        Smallest effective number of events in a child.
    l2 : float
        Added to the nominal sum, in its unit.
    min_gain : float
        A split must gain more than this.
    n_outputs : int
        Number of residuals that count for the gain, the first ones.
    form : int64 array, shape (n_params + 1, n_params + 1)
        If not empty: residual that stands for each entry of the quadratic form of the weights, -1 for the
        nominal weight; lower triangle. No child may have a form with a negative eigenvalue.
    out_gains : float64 array, shape (n_nodes,)
        Best gain; 0 where no split is allowed.
    out_splits : int64 array, shape (n_nodes, 2)
        Feature and bin; -1 where no split is allowed.
    out_left : int64 array, shape (n_nodes, n_channels)
        Sums of the left child.
    """
    n_features = n_edges.size
    n_channels = histograms.shape[1] // (n_features << 8)
    first = 2 if count_bits > 0 else 1
    matrix, diagonal = np.empty(form.shape), np.empty(form.shape[0])
    units = 1.0 / scales  # exact, as are products with powers of two
    total = np.empty(n_channels, dtype=np.int64)
    left = np.empty(n_channels, dtype=np.int64)
    right = np.empty(n_channels, dtype=np.int64)
    below = np.empty((n_channels, 256), dtype=np.int64)
    information, scratch = np.empty(256), np.empty(256)
    for node in range(histograms.shape[0]):
        histogram = histograms[node]
        best = 0.0
        out_gains[node] = best
        out_splits[node, 0] = -1
        out_splits[node, 1] = -1
        _sum_below(histogram, feature_low, 256, n_features, below)
        for c in range(n_channels):
            total[c] = below[c, 255]
        n_total = _count(total, count_bits, quantum)
        parent = _information(total, first, n_outputs, units, l2) if total[0] > 0 else 0.0
        for f in range(feature_low, feature_high):
            _sum_below(histogram, f, n_edges[f], n_features, below)
            _information_of_children(
                below, total, n_edges[f], first, n_outputs, units, l2, scratch[: n_edges[f]], information
            )
            for b in range(n_edges[f]):
                gain = information[b] - parent
                if not (gain > best and gain > min_gain and gain > _RELATIVE_GAIN * information[b]):
                    continue
                # What seldom decides comes last.
                for c in range(n_channels):
                    left[c] = below[c, b]
                    right[c] = total[c] - left[c]
                if left[0] <= 0 or right[0] <= 0:
                    continue
                n_left = _count(left, count_bits, quantum)
                if n_left < min_samples or n_total - n_left < min_samples:
                    continue
                if _effective(left, n_left, scales, square_scale, count_bits) < min_effective:
                    continue
                if _effective(right, n_total - n_left, scales, square_scale, count_bits) < min_effective:
                    continue
                if form.size > 0 and not (
                    _is_positive(left, first, scales, form, matrix, diagonal)
                    and _is_positive(right, first, scales, form, matrix, diagonal)
                ):
                    continue
                best = gain
                out_gains[node] = gain
                out_splits[node, 0] = f
                out_splits[node, 1] = b
                for c in range(n_channels):
                    out_left[node, c] = left[c]
