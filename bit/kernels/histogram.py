"""Sums of the weights of a node's events in every bin of every feature.

The sums are 64-bit integers: the result is the same for any order of the events and any division of them
among threads or machines. A histogram is one flat array, indexed by ``((feature << 8) + code) * n_channels``,
with the channels of a bin side by side:

    0                nominal weight
    1 (if counted)   (squared nominal weight << count_bits) + 1 for each event
    then             one for each rotated residual
    then             zeros up to a multiple of 4, which keeps the adds in vector registers
"""

from __future__ import annotations

import numpy as np

from bit.kernels._jit import inlined, kernel
from bit.kernels.dtypes import INDEX

_TILE = 512  # rows whose codes and integers stay in the first cache


@inlined
def _quantise(value, scale):
    return np.int64(np.rint(value * scale))


@inlined
def _quantise_count(nominal, square_scale, count_bits):
    # Rounded up, so that the sum of squares is never too small and the effective number never too large.
    return (np.int64(np.ceil(nominal * nominal * square_scale)) << count_bits) + 1


@kernel
def build_histograms(codes, rows, starts, stops, nominal, residual, scales, square_scale, count_bits, out_histograms):
    """Add the events of several nodes to their histograms.

    Parameters
    ----------
    codes : uint8 array, shape (n, n_features)
        Bin numbers.
    rows : int32 array, shape (n,)
        Row numbers; those of one node stand together.
    starts, stops : int64 arrays, shape (n_nodes,)
        Bounds of the nodes in `rows`.
    nominal : float64 array, shape (n,)
        Nominal weights.
    residual : float64 array, shape (n, n_outputs)
        Rotated pseudo-residual weights.
    scales : float64 array, shape (1 + n_outputs,)
        Powers of two that turn the nominal weight and the residuals into integers.
    square_scale : float
        The same for squared nominal weights.
    count_bits : int
        Bits of the event count in channel 1; 0 if there is no such channel.
    out_histograms : int64 array, shape (n_nodes, n_features * 256 * n_channels)
        Added to.
    """
    n_features = codes.shape[1]
    n_outputs = residual.shape[1]
    n_channels = out_histograms.shape[1] // (n_features << 8)
    first = 2 if count_bits > 0 else 1
    quanta = np.zeros((_TILE, n_channels), dtype=np.int64)
    tile = np.empty((_TILE, n_features), dtype=np.uint8)
    for node in range(starts.size):
        histogram = out_histograms[node]
        for low in range(starts[node], stops[node], _TILE):
            n_rows = min(_TILE, stops[node] - low)
            # Rows of a node lie scattered in memory. Fetched in a loop of their own, many of them are on
            # their way at once; fetched between the adds, each would be waited for.
            for i in range(n_rows):
                row = INDEX(rows[INDEX(low + i)])
                for f in range(n_features):
                    tile[INDEX(i), INDEX(f)] = codes[row, INDEX(f)]
                quanta[i, 0] = _quantise(nominal[row], scales[0])
                if count_bits > 0:
                    quanta[i, 1] = _quantise_count(nominal[row], square_scale, count_bits)
                for k in range(n_outputs):
                    quanta[i, first + k] = _quantise(residual[row, INDEX(k)], scales[1 + k])
            if n_channels == 4:
                # The commonest case: four sums in one register.
                for i in range(n_rows):
                    q0, q1, q2, q3 = quanta[i, 0], quanta[i, 1], quanta[i, 2], quanta[i, 3]
                    for f in range(n_features):
                        at = (INDEX(f << 8) + INDEX(tile[INDEX(i), INDEX(f)])) << INDEX(2)
                        histogram[at] += q0
                        histogram[at + INDEX(1)] += q1
                        histogram[at + INDEX(2)] += q2
                        histogram[at + INDEX(3)] += q3
            else:
                for i in range(n_rows):
                    added = quanta[i]
                    for f in range(n_features):
                        at = ((f << 8) + np.int64(tile[INDEX(i), INDEX(f)])) * n_channels
                        sums = histogram[at : at + n_channels]
                        for c in range(n_channels):
                            sums[INDEX(c)] += added[INDEX(c)]


@kernel
def build_root_histogram(codes, residual, scale, out_histogram):
    """Add the only residual of all events; at the root the nominal sums never change.

    Parameters
    ----------
    codes : uint8 array, shape (n, n_features)
        Bin numbers.
    residual : float64 array, shape (n, 1)
        Rotated pseudo-residual weights.
    scale : float
        Power of two that turns the residuals into integers.
    out_histogram : int64 array, shape (n_features * 256,)
        Added to.
    """
    for row in range(codes.shape[0]):
        quantum = _quantise(residual[row, 0], scale)
        for f in range(codes.shape[1]):
            out_histogram[INDEX(f << 8) + INDEX(codes[INDEX(row), INDEX(f)])] += quantum
