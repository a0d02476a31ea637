"""From float32 features to one-byte bin numbers."""

from __future__ import annotations

import numpy as np

from bit.kernels._jit import kernel
from bit.kernels.dtypes import NAN_CODE


@kernel
def encode_features(features, edges, out_codes, out_columns):
    """Number of edges at or below each value; NaN gets the last code.

    Parameters
    ----------
    features : float32 array, shape (n, n_features)
        Values.
    edges : float32 array, shape (n_features, 256)
        Increasing thresholds of each feature, filled up with NaN (which no value reaches).
    out_codes : uint8 array, shape (n, at least n_features)
        Bin numbers: ``x < edges[f, b]`` if and only if ``code <= b``.
    out_columns : uint8 array, shape (n_features, n)
        The same, those of one feature side by side.
    """
    for i in range(features.shape[0]):
        for f in range(features.shape[1]):
            x = features[i, f]
            if np.isnan(x):
                out_codes[i, f] = NAN_CODE
                out_columns[f, i] = NAN_CODE
                continue
            # Binary search over 256 places without branches: eight conditional moves.
            position = 0
            step = 128
            while step > 0:
                position += step if edges[f, position + step - 1] <= x else 0
                step >>= 1
            out_codes[i, f] = position
            out_columns[f, i] = position
