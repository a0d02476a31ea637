"""Weights turned into rotated pseudo-residuals."""

from __future__ import annotations

from bit.kernels._jit import kernel


@kernel
def rotate_weights(weights, columns, nominal, base, rotation, out_residual, out_largest):
    """Rotate w_k - w_0 base_k, event by event and in a fixed order of additions.

    A matrix product of a library would round differently for different numbers of rows.

    Parameters
    ----------
    weights : float64 array, shape (n, n_columns)
        Derivatives of the event weights.
    columns : int64 array, shape (n_outputs,)
        Columns of the outputs.
    nominal : float64 array, shape (n,)
        Nominal weights.
    base : float64 array, shape (n_outputs,)
        Prediction before the first tree.
    rotation : float64 array, shape (n_outputs, n_outputs)
        The factor L of the metric Q = L L^T; ``out = (w - w_0 base) @ L``.
    out_residual : float64 array, shape (n, n_outputs)
        Rotated pseudo-residuals.
    out_largest : float64 array, shape (n_outputs,)
        Raised to the largest absolute residual.
    """
    n_outputs = columns.size
    for i in range(weights.shape[0]):
        for k in range(n_outputs):
            total = 0.0
            for j in range(n_outputs):
                if rotation[j, k] != 0.0:
                    total += (weights[i, columns[j]] - nominal[i] * base[j]) * rotation[j, k]
            out_residual[i, k] = total
            size = abs(total)
            if size > out_largest[k]:
                out_largest[k] = size
