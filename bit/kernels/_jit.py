"""The numba policy of the package, in one place.

Every kernel is compiled lazily, cached on disk, releases the GIL (the callers run chunks of rows on a
thread pool) and follows numpy's rules for division by zero. Nothing else in the package imports numba.
A cached kernel calls only kernels of its own file, since the cache of numba is keyed by that file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic as _untyped_intrinsic

_F = TypeVar("_F", bound=Callable[..., Any])

# A function that writes instructions for a call of it; its first parameter does not appear in the call.
intrinsic = cast(Any, _untyped_intrinsic)


def kernel(function: _F) -> _F:
    """Compile a function for one set of argument types, at its first call.

    Parameters
    ----------
    function : callable
        A loop over events, bins or nodes, with its outputs among the arguments.

    Returns
    -------
    callable
        The compiled function.
    """
    return cast(_F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def inlined(function: _F) -> _F:
    """Compile a helper that is only called by kernels of its own file, and inlined there.

    Parameters
    ----------
    function : callable
        A few lines shared by kernels.

    Returns
    -------
    callable
        The compiled function.
    """
    return cast(_F, numba.njit(nogil=True, error_model="numpy", inline="always")(function))


LANES = 4
"""Neighbouring 64-bit numbers that one instruction adds."""

_LANES = ir.VectorType(ir.IntType(64), LANES)
_DOUBLES = ir.VectorType(ir.DoubleType(), LANES)
_RINT = ir.FunctionType(_DOUBLES, [_DOUBLES])


def _pointer(context, builder, array_type, array, index, element):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), element.as_pointer())


def _in_all_lanes(builder, number):
    """A float64 number, as many times as there are lanes."""
    lanes = ir.Constant(_DOUBLES, ir.Undefined)
    for place in range(LANES):
        lanes = builder.insert_element(lanes, number, ir.IntType(32)(place))
    return lanes


@intrinsic
def add_lanes(_, target, index, source, start):
    """Add ``source[start : start + 4]`` to ``target[index : index + 4]``, contiguous int64 arrays, in one step.

    numba leaves four additions written one below the other as they are, and then the stores are what a
    histogram waits for.
    """

    def generate(context, builder, signature, args):
        into = _pointer(context, builder, signature.args[0], args[0], args[1], _LANES)
        terms = _pointer(context, builder, signature.args[2], args[2], args[3], _LANES)
        total = builder.add(builder.load(into, align=8), builder.load(terms, align=8))
        builder.store(total, into, align=8)
        return context.get_dummy_value()

    return types.void(target, index, source, start), generate


@intrinsic
def add_quanta(_, target, index, values, factor, scale):
    """Add ``values[:4] * factor * scale``, rounded to integers, to ``target[index : index + 4]`` in one step.

    `values` is a contiguous float64 array, `target` one of int64; the products are taken from left to right.
    """

    def generate(context, builder, signature, args):
        zero = context.get_constant(types.uint64, 0)
        product = builder.load(_pointer(context, builder, signature.args[2], args[2], zero, _DOUBLES), align=8)
        for number in args[3:]:
            product = builder.fmul(product, _in_all_lanes(builder, number))
        rounded = builder.call(
            cgutils.get_or_insert_function(builder.module, _RINT, f"llvm.rint.v{LANES}f64"), [product]
        )
        into = _pointer(context, builder, signature.args[0], args[0], args[1], _LANES)
        total = builder.add(builder.load(into, align=8), builder.fptosi(rounded, _LANES))
        builder.store(total, into, align=8)
        return context.get_dummy_value()

    return types.void(target, index, values, types.float64, types.float64), generate


@intrinsic
def add_four(_, target, index, source, first, second, third, fourth):
    """Add four times four neighbouring values of `source`, one after the other, to ``target[index : index + 4]``.

    Both are contiguous float64 arrays; every element is the sum ((((t + a) + b) + c) + d).
    """

    def generate(context, builder, signature, args):
        into = _pointer(context, builder, signature.args[0], args[0], args[1], _DOUBLES)
        total = builder.load(into, align=8)
        for start in args[3:]:
            terms = _pointer(context, builder, signature.args[2], args[2], start, _DOUBLES)
            total = builder.fadd(total, builder.load(terms, align=8))
        builder.store(total, into, align=8)
        return context.get_dummy_value()

    return types.void(target, index, source, first, second, third, fourth), generate


def _deviations(context, builder, signature, args):
    """Distances of four values from four centres, and whether all values are finite; see `linear_value`."""
    leaves, at, source, row = args
    lane, floats = ir.IntType(32), ir.VectorType(ir.FloatType(), LANES)
    at_row = _pointer(context, builder, signature[2], source, row, ir.FloatType())
    leaf = _pointer(context, builder, signature[0], leaves, at, lane)
    values = ir.Constant(floats, ir.Undefined)
    for k in range(LANES):
        place = builder.zext(builder.load(builder.gep(leaf, [lane(k)])), ir.IntType(64))
        values = builder.insert_element(values, builder.load(builder.gep(at_row, [place])), lane(k))
    bound = builder.bitcast(leaf, floats.as_pointer())
    low, high = (builder.load(builder.gep(bound, [lane(k)]), align=8) for k in (1, 2))
    above = builder.select(builder.fcmp_ordered(">", values, low), values, low)
    within = builder.select(builder.fcmp_ordered("<", above, high), above, high)
    centre = builder.load(builder.gep(builder.bitcast(leaf, _DOUBLES.as_pointer()), [lane(2)]), align=8)
    # x - x is 0 for finite numbers only.
    rest = builder.fsub(values, values)
    mask = ir.IntType(LANES)
    finite = builder.bitcast(builder.fcmp_ordered("ord", rest, rest), mask)
    all_finite = builder.icmp_unsigned("==", finite, mask((1 << LANES) - 1))
    return builder.fsub(builder.fpext(within, _DOUBLES), centre), all_finite


@intrinsic
def linear_value(_, leaves, at, source, row):
    """``value + slope_0 d_0 + ... + slope_3 d_3``, added in this order.

    What belongs to the leaf stands in the contiguous float64 array `leaves` from index `at` on: as four uint32 the
    places in the contiguous float32 array `source` where row 0 of each feature begins, as eight float32 four lower and
    four upper bounds, a number, the value, four centres, four slopes. The d are the distances of the features of the
    row, cut to the bounds, from the centres. If one of the features is not finite, this is the value.
    """

    def generate(context, builder, signature, args):
        lane = ir.IntType(32)
        distances, all_finite = _deviations(context, builder, signature.args, args)
        leaf = _pointer(context, builder, signature.args[0], args[0], args[1], ir.DoubleType())
        value = builder.load(builder.gep(leaf, [lane(7)]))
        slope = builder.load(builder.gep(builder.bitcast(leaf, _DOUBLES.as_pointer()), [lane(3)]), align=8)
        terms = builder.fmul(slope, distances)
        total = value
        for k in range(LANES):
            total = builder.fadd(total, builder.extract_element(terms, lane(k)))
        return builder.select(all_finite, total, value)

    return types.float64(leaves, at, source, row), generate


@intrinsic
def write_deviations(_, leaves, at, source, row, target, index):
    """Write the distances of `linear_value` to ``target[index : index + 4]``, zeros if one feature is not finite."""

    def generate(context, builder, signature, args):
        distances, all_finite = _deviations(context, builder, signature.args, args[:4])
        zero = ir.Constant(_DOUBLES, [0.0] * LANES)
        into = _pointer(context, builder, signature.args[4], args[4], args[5], _DOUBLES)
        builder.store(builder.select(all_finite, distances, zero), into, align=8)
        return context.get_dummy_value()

    return types.void(leaves, at, source, row, target, index), generate


@intrinsic
def add_linear_values(_, target, index, leaves, at, stride, distance, first):
    """``value + slope_0 distance[first] + ...`` for four neighbouring outputs, added to ``target[index : index + 4]``.

    Their values stand in `leaves` from index `at` on, their slopes for the first distance `stride` further on, and so
    on.
    """

    def generate(context, builder, signature, args):
        lane = ir.IntType(32)
        into = _pointer(context, builder, signature.args[0], args[0], args[1], _DOUBLES)
        distances = builder.load(_pointer(context, builder, signature.args[5], args[5], args[6], _DOUBLES), align=8)
        at = args[3]
        total = builder.load(_pointer(context, builder, signature.args[2], args[2], at, _DOUBLES), align=8)
        for k in range(LANES):
            at = builder.add(at, args[4])
            factors = builder.load(_pointer(context, builder, signature.args[2], args[2], at, _DOUBLES), align=8)
            each = _in_all_lanes(builder, builder.extract_element(distances, lane(k)))
            total = builder.fadd(total, builder.fmul(factors, each))
        builder.store(builder.fadd(builder.load(into, align=8), total), into, align=8)
        return context.get_dummy_value()

    return types.void(target, index, leaves, at, stride, distance, first), generate


@intrinsic
def lowest_bit(_, mask):
    """Number of the lowest bit that is set in a uint32, which is not 0."""

    def generate(_, builder, __, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint32(types.uint32), generate


@intrinsic
def prefetch(_, source, index):
    """Ask for the cache line of an element of a contiguous array, which is read soon."""

    def generate(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1], ir.IntType(8))
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # To be read, to be kept in all caches, data.
        builder.call(function, [pointer, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(source, index), generate
