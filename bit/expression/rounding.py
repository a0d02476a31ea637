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
        overflow an argument lies, and for broken powers of -inf.
    """

    def visit(item: Node) -> tuple[Any, Any]:
        if not isinstance(item, Call):
            value = evaluate(item, columns)
            return value, units_of_constants * _last_place(value) if isinstance(item, Constant) else 0.0
        values, errors = zip(*(visit(argument) for argument in item.arguments), strict=True)
        value = OPERATORS[item.operator].function(*values)
        own = _UNITS[item.operator] * np.where(np.isfinite(value), _last_place(value), 0.0)
        error = _change(item.operator, value, values, errors) + own
        return value, np.where(np.isfinite(value) & np.isinf(np.abs(value) + own), np.inf, error)

    with np.errstate(all="ignore"):
        return np.asarray(visit(node)[1], dtype=np.float64)


def _change(operator: str, value: Any, values: tuple[Any, ...], errors: tuple[Any, ...]) -> Any:
    """What an operator changes when its arguments move by their errors."""
    if operator in ("sin", "cos"):
        return np.where(np.isfinite(errors[0]), np.minimum(errors[0], 2.0), np.inf)
    change = np.zeros_like(value)
    # The ends of each interval, and the place in it closest to 0, where all poles and extrema of other operators are.
    places = ((a - e, a - np.clip(a, -e, e), a + e) for a, e in zip(values, errors, strict=True))
    for moved in product(*places):
        change = np.maximum(change, deviation(OPERATORS[operator].function(*moved), value))
    if operator == "tan":
        change = np.where(errors[0] * np.maximum(np.abs(value), 1.0) > 0.5, np.inf, change)
    if operator == "pow":
        # sqrt(-inf), which numpy takes for the exponent 1/2, is NaN; pow(-inf, 0.5) of C is infinite.
        change = np.where(np.isneginf(values[0]) & (values[1] % 1.0 != 0.0), np.inf, change)
    return change


def _last_place(value: FloatArray) -> FloatArray:
    """Distance of neighbouring numbers, at least; unlike np.spacing finite for the largest number."""
    return np.abs(value) * np.finfo(np.float64).eps + np.finfo(np.float64).smallest_subnormal


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
