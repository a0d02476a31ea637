"""Weights turned into rotated pseudo-residuals, and these into a few combinations."""

from __future__ import annotations

from bit.kernels._jit import kernel


@kernel
def rotate_weights(weights, columns, base, rotation, out_residual, first, out_largest):
    """Rotate w_k - w_0 base_k, event by event and in a fixed order of additions.

    A matrix product of a library would round differently for different numbers of rows.

    Parameters
    ----------
    weights : float64 array, shape (n, n_columns)
        Derivatives of the event weights, the nominal one first.
    columns : int64 array, shape (n_outputs,)
        Columns of the outputs.
    base : float64 array, shape (n_outputs,)
        Prediction before the first tree.
    rotation : float64 array, shape (n_outputs, n_outputs)
        The factor L of the metric Q = L L^T; ``residual = (w - w_0 base) @ L``.
    out_residual : float64 array, shape (n, at least first + n_outputs)
        Rotated pseudo-residuals.
    first : int
        Column of the first one.
    out_largest : float64 array, shape (n_outputs,)
        Raised to the largest absolute residual.
    """
    n_outputs = columns.size
    for i in range(weights.shape[0]):
        nominal = weights[i, 0]
        for k in range(n_outputs):
            total = 0.0
            for j in range(n_outputs):
                if rotation[j, k] != 0.0:
                    total += (weights[i, columns[j]] - nominal * base[j]) * rotation[j, k]
            out_residual[i, first + k] = total
            size = abs(total)
            if size > out_largest[k]:
                out_largest[k] = size


@kernel
def combine_residuals(residual, directions, out_records, first, out_largest):
    """Project the residuals on a few directions, event by event and in a fixed order of additions.

    Parameters
    ----------
    residual : float64 array, shape (n, n_outputs)
        Rotated pseudo-residuals.
    directions : float64 array, shape (n_outputs, n_directions)
        Combinations.
    out_records : float64 array, shape (n, at least first + n_directions)
        The combinations.
    first : int
        Column of the first one.
    out_largest : float64 array, shape (n_directions,)
        Raised to the largest absolute value.
    """
    n_outputs, n_directions = directions.shape
    for i in range(residual.shape[0]):
        for d in range(n_directions):
            total = 0.0
            for k in range(n_outputs):
                total += residual[i, k] * directions[k, d]
            out_records[i, first + d] = total
            out_largest[d] = max(out_largest[d], abs(total))
