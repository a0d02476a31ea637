"""Sums that do not depend on the order of the events.

Values are multiplied by a power of two, rounded to 64-bit integers and added: integer addition commutes, so
any order, chunking or number of threads gives the same bits. With n events and largest absolute value m
the scale is the largest power of two with n m scale < 2^62, so the error of one event is at most n m 2^-62:
below 2^-35 m at 10^8 events and 2^-43 m at 5 10^5.
"""

from __future__ import annotations

import math

from bit.basis import FloatArray
from bit.kernels.sums import bounds_of, sum_quanta

_MAX_EXPONENT = 1000  # beyond it the scale itself would leave the range of float64


def quantisation_scale(largest: float, n_events: int) -> float:
    """Largest power of two by which n values up to `largest` can be scaled and summed in 62 bits.

    Parameters
    ----------
    largest : float
        Largest absolute value, finite.
    n_events : int
        Number of values.

    Returns
    -------
    float
        The scale; 1 if all values are 0.
    """
    if largest == 0.0:
        return 1.0
    mantissa, exponent = math.frexp(largest)
    exponent += math.frexp(mantissa * n_events)[1]
    return math.ldexp(1.0, min(62 - exponent, _MAX_EXPONENT))


def exact_sum(values: FloatArray) -> float:
    """Sum of values, rounded to integers as described above.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Finite values.

    Returns
    -------
    float
        The sum, the same for any order of the values.
    """
    lowest, highest = bounds_of(values)
    scale = quantisation_scale(max(highest, -lowest), len(values))
    return int(sum_quanta(values, scale)) / scale
