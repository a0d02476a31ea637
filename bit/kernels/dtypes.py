"""The types of the engine's arrays, each with its reason, and how they lie in memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FEATURE = np.float32
"""Features at training and prediction: every export format compares in float32."""

CODE = np.uint8
"""Bin numbers of features: one byte, so that a row of features is one cache line."""

NAN_CODE = 255
"""Bin of NaN: above every threshold, so NaN goes right as in ``x < threshold``."""

N_CODES = 256
"""Stride of a feature in a flat histogram, ``(feature << 8) + code``."""

INDEX = np.uint64
"""Type of computed indices in inner loops: for an unsigned one numba compiles no test for negative values,
which costs a tenth of a histogram and most of a traversal."""

ROW = np.int32
"""Row numbers within one shard; a shard holds at most 2**31 - 1 events."""

SUM = np.int64
"""Sums over events: integers, so that they do not depend on the order of the events."""

_CACHE_LINE = 64  # bytes


def aligned_empty(n: int, m: int) -> npt.NDArray[np.float64]:
    """Return a matrix that begins at a cache line.

    Then short records, and four sums side by side, do not straddle two.

    Parameters
    ----------
    n, m : int
        Shape.

    Returns
    -------
    ndarray of float64, shape (n, m)
        Not set to anything.
    """
    flat = np.empty(n * m + _CACHE_LINE // 8)
    skipped = (-flat.ctypes.data % _CACHE_LINE) // 8
    return flat[skipped : skipped + n * m].reshape(n, m)
