"""Rows of nodes divided between their children."""

from __future__ import annotations

from bit.kernels._jit import inlined, kernel
from bit.kernels.dtypes import INDEX


@inlined
def _place(row, right, left, n_right, scratch, out_rows):
    # Both places are written and one counter moves: no branch to mispredict.
    out_rows[left] = row
    scratch[n_right] = row
    return left + INDEX(1) - right, n_right + right


@kernel
def divide_rows(columns, starts, stops, features, goes_right, whole, scratch, out_rows, out_middles):
    """Divide the rows of nodes between their children.

    Parameters
    ----------
    columns : uint8 array, shape (n_features, n)
        Bin numbers, those of one feature side by side: a whole column stays in the second cache.
    starts, stops : int64 arrays, shape (n_nodes,)
        Bounds of the nodes in `out_rows`.
    features : int64 array, shape (n_nodes,)
        Feature whose code decides.
    goes_right : uint8 array, shape (n_nodes, 256)
        1 for the codes that go right.
    whole : bool
        Whether the only node holds all rows in order; `out_rows` is then not read.
    scratch : int32 array, shape (n,)
        Working space.
    out_rows : int32 array, shape (n,)
        Row numbers; those of a node stand together, and afterwards those that go left in front of those that
        go right. The order within a child is kept, so that memory is read forwards.
    out_middles : int64 array, shape (n_nodes,)
        First place of the right child.
    """
    for node in range(starts.size):
        codes, side = columns[features[node]], goes_right[node]
        left, n_right = INDEX(starts[node]), INDEX(0)
        if whole:
            for i in range(starts[node], stops[node]):
                right = INDEX(side[INDEX(codes[INDEX(i)])])
                left, n_right = _place(i, right, left, n_right, scratch, out_rows)
        else:
            for i in range(starts[node], stops[node]):
                row = out_rows[INDEX(i)]
                right = INDEX(side[INDEX(codes[INDEX(row)])])
                left, n_right = _place(row, right, left, n_right, scratch, out_rows)
        for i in range(n_right):
            out_rows[left + INDEX(i)] = scratch[INDEX(i)]
        out_middles[node] = left
