"""How far two evaluations of a formula in double precision can be apart."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any, Final

import numpy as np

from bit.basis import FloatArray
from bit.expression.nodes import Call, Constant, Node, evaluate
from bit.expression.operators import OPERATORS

# Two results of + - * / and sqrt differ by one unit in the last place if one of them was contracted with a sum (fused
# multiply-add); numpy's and the C library's functions are each within four units of the truth.
_ARITHMETIC: Final = frozenset(
    "add sub mul div neg inv square cube min max abs sign relu sqrt sqrt_abs".split()  # noqa: SIM905
)
_UNITS: Final = {name: 2.0 if name in _ARITHMETIC else 8.0 for name in OPERATORS}
# Argument at whose zero the value has a pole, which the ends of an interval around it do not show.
_POLE: Final = {"div": 1, "inv": 0, "log_abs": 0, "pow": 0}


def rounding_error(node: Node, columns: Mapping[str, FloatArray], *, units_of_constants: float = 0.0) -> FloatArray:
    """Bound on the difference of two evaluations, with other libraries or orders of multiplication and addition.

    From the leaves to the root: the error of an operator is what it changes when its arguments move by their errors to
    either side, and 2 (arithmetic) or 8 (functions) units in the last place of its value.

    Parameters
    ----------
    node : node
        Root.
    columns : mapping of str to ndarray, shape (n_events,)
        Features by name, taken as exact.
    units_of_constants : float, default=0.0
        Errors of the constants in units of their last place.

    Returns
    -------
    ndarray of float64
        Shape of `evaluate`; infinite where rounding decides on which side of a pole, of the edge of the domain or of
        overflow an argument lies.
    """

    def visit(item: Node) -> tuple[Any, Any]:
        if not isinstance(item, Call):
            value = evaluate(item, columns)
            return value, units_of_constants * np.spacing(np.abs(value)) if isinstance(item, Constant) else 0.0
        values, errors = zip(*(visit(argument) for argument in item.arguments), strict=True)
        function = OPERATORS[item.operator].function
        value = function(*values)
        error = np.zeros_like(value)
        for signs in product((-1.0, 1.0), repeat=len(values)):
            moved = function(*(a + sign * e for a, sign, e in zip(values, signs, errors, strict=True)))
            error = np.maximum(error, deviation(moved, value))
        own = _UNITS[item.operator] * np.spacing(np.where(np.isfinite(value), np.abs(value), 0.0))
        if item.operator in _POLE:
            position = _POLE[item.operator]
            pole = (np.abs(values[position]) <= errors[position]) & (np.asarray(errors[position]) > 0.0)
            error = np.where(pole, np.inf, error)
        return value, np.where(np.isfinite(value) & np.isinf(np.abs(value) + own), np.inf, error + own)

    with np.errstate(all="ignore"):
        return np.asarray(visit(node)[1], dtype=np.float64)


def deviation(first: FloatArray, second: FloatArray) -> FloatArray:
    """Absolute difference; 0 for equal infinities and two NaN, infinite for one NaN.

    Parameters
    ----------
    first, second : ndarray of float64
        Values of one shape.

    Returns
    -------
    ndarray of float64
        Of the same shape.
    """
    with np.errstate(all="ignore"):
        same = (first == second) | (np.isnan(first) & np.isnan(second))
        difference = np.where(same, 0.0, np.abs(np.subtract(first, second)))
    return np.where(np.isnan(difference), np.inf, difference)
