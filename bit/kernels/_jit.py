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


def _pointer(context, builder, array_type, array, index, element):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), element.as_pointer())


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


@intrinsic
def write_deviations(_, source, first, second, third, fourth, bounds, start, target):
    """Cut four float32 values to bounds, and write their distances from four centres to ``target[:4]``.

    `bounds` and `target` are contiguous float64 arrays; in the first, from `start` on, stand four lower bounds, four
    upper ones and four centres. If one of the values is not finite, all distances are 0.
    """

    def generate(context, builder, signature, args):
        lane, mask = ir.IntType(32), ir.IntType(LANES)
        values = ir.Constant(ir.VectorType(ir.FloatType(), LANES), ir.Undefined)
        for k, at in enumerate(args[1:5]):
            element = builder.load(_pointer(context, builder, signature.args[0], args[0], at, ir.FloatType()))
            values = builder.insert_element(values, element, lane(k))
        values = builder.fpext(values, _DOUBLES)
        bound = _pointer(context, builder, signature.args[5], args[5], args[6], _DOUBLES)
        low, high, centre = (builder.load(builder.gep(bound, [lane(k)]), align=8) for k in range(3))
        above = builder.select(builder.fcmp_ordered(">", values, low), values, low)
        within = builder.select(builder.fcmp_ordered("<", above, high), above, high)
        # x - x is 0 for finite numbers only.
        rest = builder.fsub(values, values)
        finite = builder.bitcast(builder.fcmp_ordered("ord", rest, rest), mask)
        all_finite = builder.icmp_unsigned("==", finite, mask((1 << LANES) - 1))
        zero = ir.Constant(_DOUBLES, [0.0] * LANES)
        index = context.get_constant(types.uint64, 0)
        into = _pointer(context, builder, signature.args[7], args[7], index, _DOUBLES)
        builder.store(builder.select(all_finite, builder.fsub(within, centre), zero), into, align=8)
        return context.get_dummy_value()

    arguments = (source, first, second, third, fourth, bounds, start, target)
    return types.void(*arguments), generate


@intrinsic
def linear_value(_, value, slope, start, distance):
    """``value + slope[start] distance[0] + ... + slope[start + 3] distance[3]``, added in this order."""

    def generate(context, builder, signature, args):
        lane = ir.IntType(32)
        index = context.get_constant(types.uint64, 0)
        factors = builder.load(_pointer(context, builder, signature.args[1], args[1], args[2], _DOUBLES), align=8)
        distances = builder.load(_pointer(context, builder, signature.args[3], args[3], index, _DOUBLES), align=8)
        terms = builder.fmul(factors, distances)
        total = args[0]
        for k in range(LANES):
            total = builder.fadd(total, builder.extract_element(terms, lane(k)))
        return total

    return types.float64(value, slope, start, distance), generate


@intrinsic
def add_linear_values(_, target, index, value, first, slope, start, stride, distance):
    """The same for four neighbouring outputs, added to ``target[index : index + 4]``.

    Their slopes for one distance stand side by side, those for the next distance `stride` further on.
    """

    def generate(context, builder, signature, args):
        lane = ir.IntType(32)
        into = _pointer(context, builder, signature.args[0], args[0], args[1], _DOUBLES)
        total = builder.load(_pointer(context, builder, signature.args[2], args[2], args[3], _DOUBLES), align=8)
        at = args[5]
        for k in range(LANES):
            factors = builder.load(_pointer(context, builder, signature.args[4], args[4], at, _DOUBLES), align=8)
            index = context.get_constant(types.uint64, k)
            one = builder.load(_pointer(context, builder, signature.args[7], args[7], index, ir.DoubleType()))
            each = ir.Constant(_DOUBLES, ir.Undefined)
            for place in range(LANES):
                each = builder.insert_element(each, one, lane(place))
            total = builder.fadd(total, builder.fmul(factors, each))
            at = builder.add(at, args[6])
        builder.store(builder.fadd(builder.load(into, align=8), total), into, align=8)
        return context.get_dummy_value()

    arguments = (target, index, value, first, slope, start, stride, distance)
    return types.void(*arguments), generate


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
