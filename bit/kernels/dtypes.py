"""The types of the engine's arrays, each with its reason."""

from __future__ import annotations

import numpy as np

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
