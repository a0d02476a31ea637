"""One pass over a column of weights, for sums that do not depend on the order of the events."""

from __future__ import annotations

import numpy as np

from bit.kernels._jit import kernel
from bit.kernels.dtypes import INDEX


@kernel
def bounds_of(values):
    """Smallest and largest value.

    Parameters
    ----------
    values : float64 array, shape (n,)
        Finite values.

    Returns
    -------
    tuple of float
        Infinity and minus infinity of no values.
    """
    lowest, highest = np.inf, -np.inf
    for i in range(values.size):
        lowest = min(lowest, values[INDEX(i)])
        highest = max(highest, values[INDEX(i)])
    return lowest, highest


@kernel
def sum_quanta(values, scale):
    """Sum of values as integers.

    Parameters
    ----------
    values : float64 array, shape (n,)
        Finite values.
    scale : float
        Power of two that turns them into integers, so small that the sum fits into 64 bits.

    Returns
    -------
    int
        Sum of the rounded products.
    """
    total = np.int64(0)
    for i in range(values.size):
        total += np.int64(np.rint(values[INDEX(i)] * scale))
    return total
