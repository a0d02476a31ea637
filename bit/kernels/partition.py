"""Rows of a node divided between its children."""

from __future__ import annotations

from bit.kernels._jit import kernel
from bit.kernels.dtypes import INDEX


@kernel
def partition_rows(codes, starts, stops, features, bins, scratch, out_rows, out_middles):
    """Put the rows of each node that go left in front of those that go right.

    Parameters
    ----------
    codes : uint8 array, shape (n, n_features)
        Bin numbers.
    starts, stops : int64 arrays, shape (n_nodes,)
        Bounds of the nodes in `out_rows`.
    features, bins : int64 arrays, shape (n_nodes,)
        Split of each node: rows with ``code <= bin`` go left.
    scratch : int32 array, shape (n,)
        Working space.
    out_rows : int32 array, shape (n,)
        Row numbers, reordered in place; the order within a child is kept, so that memory is read forwards.
    out_middles : int64 array, shape (n_nodes,)
        First place of the right child.
    """
    for node in range(starts.size):
        feature, last_left = INDEX(features[node]), bins[node]
        left, n_right = INDEX(starts[node]), INDEX(0)
        for i in range(starts[node], stops[node]):
            row = out_rows[INDEX(i)]
            goes_right = codes[INDEX(row), feature] > last_left
            # Both places are written and one counter moves: no branch to mispredict.
            out_rows[left] = row
            scratch[n_right] = row
            n_right += INDEX(goes_right)
            left += INDEX(not goes_right)
        for i in range(n_right):
            out_rows[left + INDEX(i)] = scratch[INDEX(i)]
        out_middles[node] = left
