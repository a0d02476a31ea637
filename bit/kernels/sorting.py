"""Quantiles of a column: values are counted in buckets, and only those near a quantile are sorted.

Values are compared as keys: integers that are ordered as the values; both zeros have the same key, and NaN has
the largest of all.
"""

from __future__ import annotations

import numpy as np

from bit.kernels._jit import inlined, kernel
from bit.kernels.dtypes import INDEX

_DIGIT = 11  # bits; three digits make up a key
_N_DIGITS = 1 << _DIGIT
_LOW = np.uint32(_N_DIGITS - 1)
_SIGN = np.uint32(0x80000000)
_INFINITY = np.uint32(0x7F800000)
_LAST = np.uint32(0xFFFFFFFF)


@inlined
def _key_of(bits):
    size = bits & ~_SIGN
    key = ~bits if bits & _SIGN else bits | _SIGN
    key = _SIGN if size == 0 else key
    return _LAST if size > _INFINITY else key


@kernel
def key_range(values):
    """Range of the keys without NaN.

    Parameters
    ----------
    values : uint32 array, shape (n,)
        The bits of float32 values.

    Returns
    -------
    tuple of int
        Smallest and largest key, and the number of values that are not NaN.
    """
    lowest, highest, n_valid = _LAST, np.uint32(0), 0
    for i in range(values.size):
        key = _key_of(values[INDEX(i)])
        if key != _LAST:
            lowest, highest = min(lowest, key), max(highest, key)
            n_valid += 1
    return lowest, highest, n_valid


@kernel
def fill_buckets(values, quanta, lowest, shift, out_counts, out_weights):
    """Count and sum in buckets, without NaN.

    Parameters
    ----------
    values : uint32 array, shape (n,)
        The bits of float32 values.
    quanta : int64 array, shape (n,) or (0,)
        Weights of the values; 1 each if empty.
    lowest : uint32
        Smallest key.
    shift : uint32
        A key belongs to bucket ``(key - lowest) >> shift``.
    out_counts, out_weights : int64 arrays, shape (n_buckets,)
        Added to: number of values and sum of their weights.
    """
    for i in range(values.size):
        key = _key_of(values[INDEX(i)])
        if key != _LAST:
            bucket = INDEX((key - lowest) >> shift)
            out_counts[bucket] += 1
            out_weights[bucket] += quanta[INDEX(i)] if quanta.size else 1


@kernel
def select_buckets(values, lowest, shift, chosen, out_rows):
    """Find the values in some of the buckets.

    Parameters
    ----------
    values, lowest, shift
        As for `fill_buckets`.
    chosen : uint8 array, shape (n_buckets,)
        1 for the buckets in question.
    out_rows : int32 array, at least as long as there are such values
        Their numbers.

    Returns
    -------
    int
        How many there are.
    """
    n_found = 0
    for i in range(values.size):
        key = _key_of(values[INDEX(i)])
        if key != _LAST and chosen[INDEX((key - lowest) >> shift)]:
            out_rows[INDEX(n_found)] = i
            n_found += 1
    return n_found


@kernel
def sort_values(values, scratch_keys, scratch_order, out_keys, out_order):
    """Sort values, the NaN last: a radix sort, several times as fast as sorting by comparison.

    Parameters
    ----------
    values : uint32 array, shape (n,)
        The bits of float32 values.
    scratch_keys, scratch_order : uint32 and int32 array, shape (n,)
        Working space.
    out_keys : uint32 array, shape (n,)
        Keys in increasing order.
    out_order : int32 array, shape (n,)
        Numbers of the values in that order.
    """
    n = values.size
    count = np.zeros((3, _N_DIGITS), dtype=np.int64)
    for i in range(n):
        key = _key_of(values[i])
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
def pick_steps(keys, order, quanta, lowest, shift, before, targets, out_steps):
    """Find, for increasing targets, the first place where the value grows and at least so much weight lies below.

    Parameters
    ----------
    keys, order : uint32 and int32 array, shape (n,)
        From `sort_values`, without NaN, of all values in some of the buckets: those in which the targets lie and
        the next occupied ones.
    quanta : int64 array, shape (n,) or (0,)
        Weights of the values; 1 each if empty.
    lowest, shift
        As for `fill_buckets`.
    before : int64 array, shape (n_buckets,)
        Weight in the buckets before each.
    targets : int64 array, shape (n_targets,)
        Increasing sums of weights.
    out_steps : int64 array, shape (n_targets,)
        Places i with ``keys[i - 1] < keys[i]``, each once.

    Returns
    -------
    int
        How many there are.
    """
    n_found, target = 0, 0
    below, last = np.int64(0), np.int64(-1)
    for i in range(keys.size):
        bucket = np.int64((keys[i] - lowest) >> shift)
        if bucket != last:
            below, last = before[bucket], bucket
        if i > 0 and keys[i] != keys[i - 1] and below >= targets[target]:
            out_steps[n_found] = i
            n_found += 1
            while target < targets.size and targets[target] <= below:
                target += 1
            if target == targets.size:
                break
        below += quanta[INDEX(order[i])] if quanta.size else 1
    return n_found
