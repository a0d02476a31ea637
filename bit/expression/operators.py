"""The operators of formulas: values, derivatives and symmetries, defined once for every printer and backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import erf

from bit.basis import FloatArray

# Values are arrays or plain floats alike, hence Any.
_Function = Callable[..., Any]


@dataclass(frozen=True)
class Operator:
    """One operator of formulas.

    Attributes
    ----------
    name : str
        As it stands in files.
    function : callable
        ``function(a)`` or ``function(a, b)``, on arrays of float64.
    derivatives : tuple of callable
        One per argument, ``derivative(value, a, b)``: the partial derivative, where `value` is that of the operator.
    parity : int
        -1 if it is odd in its one argument, 1 if it is even, 0 if it is neither, or has two arguments.
    """

    name: str
    function: _Function
    derivatives: tuple[_Function, ...]
    parity: int = 0

    @property
    def arity(self) -> int:
        """Number of arguments, 1 or 2."""
        return len(self.derivatives)


def _power(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.power(np.asarray(a, dtype=np.float64), b)


def _log_derivative(value: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """D a^b / d b, which is 0 at a = 0 for the positive b where a^b exists near it."""
    return np.where(np.asarray(a) == 0.0, 0.0, value * np.log(np.where(np.asarray(a) == 0.0, 1.0, a)))


_ALL = (
    Operator("add", np.add, (lambda v, a, b: 1.0, lambda v, a, b: 1.0)),
    Operator("sub", np.subtract, (lambda v, a, b: 1.0, lambda v, a, b: -1.0)),
    Operator("mul", np.multiply, (lambda v, a, b: b, lambda v, a, b: a)),
    Operator("div", np.divide, (lambda v, a, b: 1.0 / b, lambda v, a, b: -v / b)),
    Operator("pow", _power, (lambda v, a, b: b * _power(a, b - 1.0), _log_derivative)),
    Operator(
        "aq",
        lambda a, b: a / np.sqrt(1.0 + b * b),
        (lambda v, a, b: 1.0 / np.sqrt(1.0 + b * b), lambda v, a, b: -v * b / (1.0 + b * b)),
    ),
    Operator("min", np.minimum, (lambda v, a, b: (a <= b) * 1.0, lambda v, a, b: (a > b) * 1.0)),
    Operator("max", np.maximum, (lambda v, a, b: (a >= b) * 1.0, lambda v, a, b: (a < b) * 1.0)),
    Operator("neg", np.negative, (lambda v, a: -1.0,), -1),
    Operator("square", lambda a: a * a, (lambda v, a: 2.0 * a,), 1),
    Operator("cube", lambda a: a * a * a, (lambda v, a: 3.0 * a * a,), -1),
    Operator("inv", lambda a: 1.0 / a, (lambda v, a: -v * v,), -1),
    Operator("sqrt", np.sqrt, (lambda v, a: 0.5 / v,)),
    Operator("sqrt_abs", lambda a: np.sqrt(np.abs(a)), (lambda v, a: 0.5 * np.sign(a) / v,), 1),
    Operator("cbrt", np.cbrt, (lambda v, a: 1.0 / (3.0 * v * v),), -1),
    Operator("abs", np.abs, (lambda v, a: np.sign(a),), 1),
    Operator("sign", np.sign, (lambda v, a: 0.0 * a,), -1),
    Operator("relu", lambda a: np.maximum(a, 0.0), (lambda v, a: (a > 0.0) * 1.0,)),
    Operator("exp", np.exp, (lambda v, a: v,)),
    Operator("log", np.log, (lambda v, a: 1.0 / a,)),
    Operator("log_abs", lambda a: np.log(np.abs(a)), (lambda v, a: 1.0 / a,), 1),
    Operator("log1p", np.log1p, (lambda v, a: 1.0 / (1.0 + a),)),
    Operator("sin", np.sin, (lambda v, a: np.cos(a),), -1),
    Operator("cos", np.cos, (lambda v, a: -np.sin(a),), 1),
    Operator("tan", np.tan, (lambda v, a: 1.0 + v * v,), -1),
    Operator("asin", np.arcsin, (lambda v, a: 1.0 / np.sqrt(1.0 - a * a),), -1),
    Operator("acos", np.arccos, (lambda v, a: -1.0 / np.sqrt(1.0 - a * a),)),
    Operator("atan", np.arctan, (lambda v, a: 1.0 / (1.0 + a * a),), -1),
    Operator("sinh", np.sinh, (lambda v, a: np.cosh(a),), -1),
    Operator("cosh", np.cosh, (lambda v, a: np.sinh(a),), 1),
    Operator("tanh", np.tanh, (lambda v, a: 1.0 - v * v,), -1),
    Operator("asinh", np.arcsinh, (lambda v, a: 1.0 / np.sqrt(1.0 + a * a),), -1),
    Operator("erf", erf, (lambda v, a: 2.0 / np.sqrt(np.pi) * np.exp(-a * a),), -1),
)

OPERATORS: dict[str, Operator] = {operator.name: operator for operator in _ALL}
"""By name. aq(a, b) = a / sqrt(1 + b^2); sqrt_abs and log_abs take the absolute value first; relu(a) = max(a, 0);
sqrt and log of negative numbers, and powers of negative numbers with broken exponents, are NaN."""
