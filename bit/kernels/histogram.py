"""Sums of the weights of a node's events in every bin of every feature.

The sums are 64-bit integers: the result is the same for any order of the events and any division of them
among threads or machines. The channels of a bin are

    0                nominal weight
    1 (if counted)   (squared nominal weight << count_bits) + 1 for each event
    then             one for each rotated residual
    then             zeros up to a multiple of 4

Four channels stand side by side, since one instruction adds them; four more have a histogram of their own, which
stays in the first cache. A histogram is one flat array: channel c of a bin is at
``((((c // 4) * n_features + feature) << 8) + code) * 4 + c % 4``.
"""

from __future__ import annotations

import numpy as np

from bit.kernels._jit import LANES, add_lanes, inlined, kernel, prefetch
from bit.kernels.dtypes import INDEX

_TILE = 4096  # rows whose codes and integers stay in the second cache
_SHORT = 4  # words; such records lie in one cache line
_GROUP = 4  # features whose histograms (of four channels) fill the first cache
_AHEAD = 24  # rows between asking for a row and reading it
_PIECE = 1024  # sums
_BYTE = np.uint64(255)
_BITS = np.uint64(8)


@inlined
def _quantise(value, scale):
    return np.int64(np.rint(value * scale))


@inlined
def _quantise_count(nominal, square_scale, count_bits):
    # Rounded up, so that the sum of squares is never too small and the effective number never too large.
    return (np.int64(np.ceil(nominal * nominal * square_scale)) << count_bits) + 1


@inlined
def _image_word(codes, row, n_features, first, source, relabel):
    """Eight codes of the CP image of a row."""
    word = np.uint64(0)
    for f in range(min(n_features, first + 8) - 1, first - 1, -1):
        code = codes[row, INDEX(source[INDEX(f)])]
        word = (word << _BITS) | np.uint64(relabel[INDEX(f << 8) | INDEX(code)])
    return word


@inlined
def _add_rows(
    codes,
    words,
    values,
    n_features,
    rows,
    low,
    high,
    scales,
    square_scale,
    count_bits,
    signs,
    source,
    relabel,
    fetched,
    quanta,
    histogram,
):
    """Add some rows, at most a tile, to a histogram."""
    n_outputs = scales.size - 1
    first = 2 if count_bits > 0 else 1
    n_words = (n_features + 7) >> 3
    n_rows = high - low
    flat = words.reshape(words.size)
    for i in range(n_rows):
        row = INDEX(rows[INDEX(low + i)]) if rows.size > 0 else INDEX(low + i)
        # Rows lie scattered: asked for well ahead, many of them are on their way at once.
        if rows.size > 0 and i + _AHEAD < n_rows:
            later = INDEX(rows[INDEX(low + i + _AHEAD)]) * INDEX(words.shape[1])
            prefetch(flat, later)
            if words.shape[1] > _SHORT:
                prefetch(flat, later + INDEX(words.shape[1] - 1))
        for j in range(n_words):
            if relabel.size == 0:
                fetched[INDEX(j), INDEX(i)] = words[row, INDEX(j)]
            else:
                fetched[INDEX(j), INDEX(i)] = _image_word(codes, row, n_features, j << 3, source, relabel)
        nominal = values[row, INDEX(n_words)]
        quanta[0, INDEX(i << 2)] = _quantise(nominal, scales[0])
        if count_bits > 0:
            quanta[0, INDEX((i << 2) + 1)] = _quantise_count(nominal, square_scale, count_bits)
        for k in range(n_outputs):
            value = values[row, INDEX(n_words + 1 + k)] * signs[INDEX(k)]
            channel = INDEX(first + k)
            at = INDEX(i << 2) | (channel & INDEX(LANES - 1))
            quanta[channel >> INDEX(2), at] = _quantise(value, scales[INDEX(1 + k)])
    for lane in range(quanta.shape[0]):
        added = quanta[lane]
        offset = INDEX(lane * n_features) << INDEX(10)
        # A few features at a time, so that their sums stay in the first cache for a whole tile.
        for low_feature in range(0, n_features, _GROUP):
            word_of = fetched[low_feature >> 3]
            shift = np.uint64((low_feature & 7) << 3)
            base = offset + INDEX(low_feature << 10)
            n_group = min(_GROUP, n_features - low_feature)
            if n_group == _GROUP:
                for i in range(n_rows):
                    word = word_of[INDEX(i)] >> shift
                    for g in range(_GROUP):
                        at = base + INDEX(g << 10) + ((word & _BYTE) << INDEX(2))
                        add_lanes(histogram, at, added, INDEX(i << 2))
                        word >>= _BITS
            else:
                for i in range(n_rows):
                    word = word_of[INDEX(i)] >> shift
                    for g in range(n_group):
                        at = base + INDEX(g << 10) + ((word & _BYTE) << INDEX(2))
                        add_lanes(histogram, at, added, INDEX(i << 2))
                        word >>= _BITS


@kernel
def build_histograms(
    codes,
    words,
    values,
    n_features,
    rows,
    starts,
    stops,
    scales,
    square_scale,
    count_bits,
    signs,
    source,
    relabel,
    out_histograms,
):
    """Add the events of nodes, or their CP images, to a histogram of each node.

    Parameters
    ----------
    codes, words, values : uint8, uint64 and float64 array, shapes (n, 8 m), (n, m) and (n, m)
        Three views of the records of the events: bin numbers, filled up to whole words, then the nominal weight
        and the rotated pseudo-residual weights.
    n_features : int
        Number of features.
    rows : int32 array, shape (n,) or (0,)
        Row numbers, those of a node side by side; empty for 0 to n - 1.
    starts, stops : int64 arrays, shape (n_nodes,)
        Bounds of the nodes in `rows`.
    scales : float64 array, shape (1 + n_outputs,)
        Powers of two that turn the nominal weight and the residuals into integers.
    square_scale : float
        The same for squared nominal weights.
    count_bits : int
        Bits of the event count in channel 1; 0 if there is no such channel.
    signs : float64 array, shape (n_outputs,)
        Sign of each residual in the image; 1 for the events themselves.
    source : int64 array, shape (n_features,)
        For images: column from which each feature comes.
    relabel : uint8 array, shape (n_features * 256,)
        For images: new code of every feature and code; empty for the events themselves.
    out_histograms : int64 array, shape (n_nodes, n_features * 256 * n_channels)
        Added to.
    """
    fetched = np.empty(((n_features + 7) >> 3, _TILE), dtype=np.uint64)
    quanta = np.zeros((out_histograms.shape[1] // (n_features << 10), LANES * _TILE), dtype=np.int64)
    for node in range(starts.size):
        for low in range(starts[node], stops[node], _TILE):
            _add_rows(
                codes,
                words,
                values,
                n_features,
                rows,
                low,
                min(low + _TILE, stops[node]),
                scales,
                square_scale,
                count_bits,
                signs,
                source,
                relabel,
                fetched,
                quanta,
                out_histograms[node],
            )


@kernel
def divide_histogram(parts, node, parent, out_summed, out_other):
    """Add up the parts of one child's histogram; what is not in it is in the other child.

    Parameters
    ----------
    parts : int64 array, shape (n_shards, n_nodes, size)
        Sums of every shard.
    node : int
        Which of them.
    parent : int64 array, shape (size,)
        Histogram of the node that was divided.
    out_summed, out_other : int64 arrays, shape (size,)
        Histograms of the child that was summed and of the other one.
    """
    # Piece by piece, so that each stays in the first cache.
    for low in range(0, parent.size, _PIECE):
        high = min(low + _PIECE, parent.size)
        summed, other, whole = out_summed[low:high], out_other[low:high], parent[low:high]
        # Loops: for an assignment of a slice numba compiles how to write a message, for seconds.
        part = parts[0, node, low:high]
        for i in range(summed.size):
            summed[i] = part[i]
        for shard in range(1, parts.shape[0]):
            part = parts[shard, node, low:high]
            for i in range(summed.size):
                summed[i] += part[i]
        for i in range(summed.size):
            other[i] = whole[i] - summed[i]
