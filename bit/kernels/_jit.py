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
