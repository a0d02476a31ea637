"""One pass over events for the logarithm of an unbinned likelihood and its derivatives.

Events stand in blocks of `LANES`, term by term within a block. Each lane keeps sums of its own, so that every loop
does the same to neighbouring numbers, and the compiler takes several at once.
"""

from __future__ import annotations

import numpy as np

from bit.kernels._jit import kernel
from bit.kernels.dtypes import INDEX

LANES = 128
"""Events in a block: what a block needs, its sums included, stays in the first-level cache."""

_MANTISSA_BITS = np.int64(52)
_ROOT_HALF = np.int64(0x3FE6A09E667F3BCD)  # bits of sqrt(1/2)
_LN_2 = 0.6931471805599453


@kernel
def sum_log_ratios(ratios, weights, phi, floor, out_sums):
    """Sum w log R and w R_k / R of events with R = 1 + sum_k R_k phi_k, by lane.

    Below `floor` the logarithm is continued by its tangent there, so that value and derivatives are finite for any
    R; they remain the derivatives of the value.

    Parameters
    ----------
    ratios : float64 array, shape (n_blocks, n_terms - 1, LANES)
        The R_k of every event.
    weights : float64 array, shape (n_blocks, LANES)
        How often each event counts.
    phi : float64 array, shape (n_terms - 1,)
        Monomials without the nominal one.
    floor : float
        A positive normal number.
    out_sums : float64 array, shape (n_terms + 1, LANES)
        Sums of w log R; of w R_k / R, in the order of `phi`; numbers of events of weight other than 0 below the floor.
        Overwritten.

    Notes
    -----
    log(2^e m) = e log 2 + 2 artanh(s) with s = (m - 1)/(m + 1) and m within [sqrt(1/2), sqrt(2)), where the series
    2 (s + s^3/3 + ... + s^21/21) is exact to 2 units in the last place. The function of the C library takes one
    number at a time.
    """
    n_terms = phi.size
    out_sums[:] = 0.0
    ratio, logarithm = np.empty(LANES), np.empty(LANES)
    bits = np.empty(LANES, dtype=np.int64)
    mantissa, ratio_bits = bits.view(np.float64), ratio.view(np.int64)
    for b in range(ratios.shape[0]):
        ratio[:] = 1.0
        for k in range(n_terms):
            factor = phi[INDEX(k)]
            column = ratios[b, k]
            for i in range(LANES):
                ratio[INDEX(i)] += column[INDEX(i)] * factor
        for i in range(LANES):
            missing = min(ratio[INDEX(i)] - floor, 0.0)
            logarithm[INDEX(i)] = missing / floor
            ratio[INDEX(i)] = max(ratio[INDEX(i)], floor)
            counted = missing < 0.0 and weights[INDEX(b), INDEX(i)] != 0.0
            out_sums[INDEX(n_terms + 1), INDEX(i)] += 1.0 if counted else 0.0
        for i in range(LANES):
            exponent = (ratio_bits[INDEX(i)] - _ROOT_HALF) >> _MANTISSA_BITS
            bits[INDEX(i)] = ratio_bits[INDEX(i)] - (exponent << _MANTISSA_BITS)
            logarithm[INDEX(i)] += np.float64(exponent) * _LN_2
        for i in range(LANES):
            s = (mantissa[INDEX(i)] - 1.0) / (mantissa[INDEX(i)] + 1.0)
            z = s * s
            series = 2.0 / 21.0
            series = series * z + 2.0 / 19.0
            series = series * z + 2.0 / 17.0
            series = series * z + 2.0 / 15.0
            series = series * z + 2.0 / 13.0
            series = series * z + 2.0 / 11.0
            series = series * z + 2.0 / 9.0
            series = series * z + 2.0 / 7.0
            series = series * z + 2.0 / 5.0
            series = series * z + 2.0 / 3.0
            weight = weights[INDEX(b), INDEX(i)]
            out_sums[INDEX(0), INDEX(i)] += weight * (logarithm[INDEX(i)] + (2.0 * s + s * z * series))
            # The ratio is not needed any more: its place takes what multiplies the R_k.
            ratio[INDEX(i)] = weight / ratio[INDEX(i)]
        for k in range(n_terms):
            column, slope = ratios[b, k], out_sums[k + 1]
            for i in range(LANES):
                slope[INDEX(i)] += ratio[INDEX(i)] * column[INDEX(i)]
