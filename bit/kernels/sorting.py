"""Values in order, for quantiles: a radix sort, several times as fast as sorting by comparison."""

from __future__ import annotations

import numpy as np

from bit.kernels._jit import kernel
from bit.kernels.dtypes import INDEX

_DIGIT = 11  # bits; three digits make up a key
_N_DIGITS = 1 << _DIGIT
_LOW = np.uint32(_N_DIGITS - 1)
_SIGN = np.uint32(0x80000000)
_LAST = np.uint32(0xFFFFFFFF)


@kernel
def sort_values(values, scratch_keys, scratch_order, out_keys, out_order):
    """Sort values, the NaN last.

    Parameters
    ----------
    values : uint32 array, shape (n,)
        The bits of float32 values.
    scratch_keys, scratch_order : uint32 and int32 array, shape (n,)
        Working space.
    out_keys : uint32 array, shape (n,)
        Keys in increasing order: integers that are ordered as the values; both zeros have the same key, and
        NaN has the largest of all.
    out_order : int32 array, shape (n,)
        Numbers of the values in that order.
    """
    n = values.size
    count = np.zeros((3, _N_DIGITS), dtype=np.int64)
    for i in range(n):
        bits = values[i]
        size = bits & ~_SIGN
        if size > np.uint32(0x7F800000):
            key = _LAST
        elif size == 0:
            key = _SIGN
        else:
            key = ~bits if bits & _SIGN else bits | _SIGN
        scratch_keys[i] = key
        scratch_order[i] = i
        count[0, INDEX(key & _LOW)] += 1
        count[1, INDEX((key >> np.uint32(_DIGIT)) & _LOW)] += 1
        count[2, INDEX(key >> np.uint32(2 * _DIGIT))] += 1
    for digit in range(3):
        place = count[digit]
        total = 0
        for value in range(_N_DIGITS):
            here = place[value]
            place[value] = total
            total += here
        shift = np.uint32(digit * _DIGIT)
        if digit == 1:
            keys, order, to_keys, to_order = out_keys, out_order, scratch_keys, scratch_order
        else:
            keys, order, to_keys, to_order = scratch_keys, scratch_order, out_keys, out_order
        for i in range(n):
            key = keys[INDEX(i)]
            digits = INDEX((key >> shift) & _LOW)
            at = INDEX(place[digits])
            place[digits] += 1
            to_keys[at] = key
            to_order[at] = order[INDEX(i)]


@kernel
def sum_sorted(keys, order, quanta):
    """Number of values, number of places where the next value is larger, and sum of the weights, without NaN.

    Parameters
    ----------
    keys, order : uint32 and int32 array, shape (n,)
        From `sort_values`.
    quanta : int64 array, shape (n,) or (0,)
        Weights of the values; 1 each if empty.

    Returns
    -------
    tuple of int
        The three numbers.
    """
    n_steps, total = 0, 0
    for i in range(keys.size):
        if keys[i] == _LAST:
            return i, n_steps, total
        if i > 0 and keys[i] != keys[i - 1]:
            n_steps += 1
        total += quanta[INDEX(order[i])] if quanta.size else 1
    return keys.size, n_steps, total


@kernel
def pick_steps(keys, order, quanta, n_valid, targets, out_steps):
    """Find, for increasing targets, the first place where the value grows and at least so much weight lies below.

    Parameters
    ----------
    keys, order, quanta
        As for `sum_sorted`.
    n_valid : int
        Number of values that are not NaN.
    targets : int64 array, shape (n_targets,)
        Increasing sums of weights.
    out_steps : int64 array, shape (n_targets,)
        Places i with ``keys[i - 1] < keys[i]``, each once.

    Returns
    -------
    int
        How many there are.
    """
    n_found, target, below = 0, 0, 0
    for i in range(n_valid):
        if i > 0 and keys[i] != keys[i - 1] and below >= targets[target]:
            out_steps[n_found] = i
            n_found += 1
            while target < targets.size and targets[target] <= below:
                target += 1
            if target == targets.size:
                break
        below += quanta[INDEX(order[i])] if quanta.size else 1
    return n_found
