"""Formulas for sympy and back, and what its simplification gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, Final

import numpy as np
import sympy

from bit.basis import FloatArray
from bit.errors import InputError
from bit.expression.fold import fold
from bit.expression.nodes import Call, Constant, Integer, Node, Variable, call, complexity, evaluate, variables
from bit.expression.rounding import deviation, rounding_error

LARGEST: Final = 100
"""Nodes of the largest formula that is given to sympy, whose time grows steeply."""

_POINTS: Final = 400
_UNITS_OF_CONSTANTS: Final = 64.0  # what merging constants in another order may change

_TO: Final[dict[str, Callable[..., Any]]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "aq": lambda a, b: a / sympy.sqrt(1 + b**2),
    "min": sympy.Min,
    "max": sympy.Max,
    "neg": lambda a: -a,
    "square": lambda a: a**2,
    "cube": lambda a: a**3,
    "inv": lambda a: 1 / a,
    "sqrt": sympy.sqrt,
    "sqrt_abs": lambda a: sympy.sqrt(sympy.Abs(a)),
    "cbrt": lambda a: sympy.sign(a) * sympy.cbrt(sympy.Abs(a)),
    "abs": sympy.Abs,
    "sign": sympy.sign,
    "relu": lambda a: sympy.Max(a, 0),
    "exp": sympy.exp,
    "log": sympy.log,
    "log_abs": lambda a: sympy.log(sympy.Abs(a)),
    "log1p": lambda a: sympy.log(1 + a),
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "asin": sympy.asin,
    "acos": sympy.acos,
    "atan": sympy.atan,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "tanh": sympy.tanh,
    "asinh": sympy.asinh,
    "erf": sympy.erf,
}
_TRIGONOMETRIC: Final = ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh")
# Classes of sympy that are operators of ours; sums, products and powers have rules of their own.
_FROM: Final[dict[Any, str]] = {
    sympy.Abs: "abs",
    **{getattr(sympy, name): name for name in ("sign", "exp", "erf", *_TRIGONOMETRIC)},
}


def real_symbols(features: Sequence[str]) -> dict[str, Any]:
    """Real symbols of sympy for features.

    Parameters
    ----------
    features : sequence of str
        Names.

    Returns
    -------
    dict of str to sympy.Symbol
        By name.
    """
    return {name: sympy.Symbol(name, real=True) for name in features}


def to_sympy(node: Node, symbols: Mapping[str, Any]) -> Any:
    """Return a formula for sympy.

    Parameters
    ----------
    node : node
        Root.
    symbols : mapping of str to sympy.Symbol
        One for each feature.

    Returns
    -------
    sympy.Expr
        What sympy makes of it on the way: it merges numbers and equal terms at once.
    """
    match node:
        case Call():
            return _TO[node.operator](*(to_sympy(argument, symbols) for argument in node.arguments))
        case Variable():
            return symbols[node.name]
        case Integer():
            return sympy.Integer(node.value)
        case Constant():
            return sympy.Float(node.value)


def from_sympy(expression: Any, names: Mapping[Any, str]) -> Node:
    """Return what sympy gave as a tree.

    Parameters
    ----------
    expression : sympy.Expr
        Of the operators of `bit.expression.OPERATORS`.
    names : mapping of sympy.Symbol to str
        Features.

    Returns
    -------
    node
        The tree; ``Float`` is a constant, whole and rational numbers belong to the form.

    Raises
    ------
    InputError
        If there is anything else in it.
    """
    if expression in names:
        return Variable(names[expression])
    if isinstance(expression, sympy.Integer):
        return Integer(int(expression))
    if isinstance(expression, sympy.Rational):
        return call("div", Integer(int(expression.p)), Integer(int(expression.q)))
    if isinstance(expression, sympy.Float) or expression is sympy.pi:
        return Constant(float(expression))
    if expression is sympy.E:
        return call("exp", Integer(1))

    def below(*items: Any) -> list[Node]:
        return [from_sympy(item, names) for item in items]

    if isinstance(expression, sympy.Pow):
        return _power(expression, below)
    if isinstance(expression, sympy.Add):
        return reduce(lambda a, b: call("add", a, b), below(*expression.as_ordered_terms()))
    if isinstance(expression, sympy.Mul):
        return reduce(lambda a, b: call("mul", a, b), below(*expression.as_ordered_factors()))
    if isinstance(expression, sympy.Max) and sympy.S.Zero in expression.args and len(expression.args) == 2:
        return call("relu", *below(*(item for item in expression.args if item != 0)))
    if isinstance(expression, (sympy.Max, sympy.Min)):
        operator = "max" if isinstance(expression, sympy.Max) else "min"
        return reduce(lambda a, b: call(operator, a, b), below(*sorted(expression.args, key=sympy.default_sort_key)))
    if isinstance(expression, sympy.log):
        return _logarithm(expression.args[0], below)
    operator = _FROM.get(expression.func, "")
    if not operator:
        raise InputError(f"{expression.func} of sympy is no operator of formulas; rewrite it with those of OPERATORS.")
    return call(operator, *below(*expression.args))


def _power(expression: Any, below: Callable[..., list[Node]]) -> Node:
    base, exponent = expression.as_base_exp()
    if isinstance(exponent, sympy.Rational) and abs(exponent) == sympy.Rational(1, 2):
        inner = base.args[0] if isinstance(base, sympy.Abs) else base
        root = call("sqrt" if inner is base else "sqrt_abs", *below(inner))
        return root if exponent > 0 else call("inv", root)
    if exponent == -1:
        return call("inv", *below(base))
    return call("pow", *below(base, exponent))


def _logarithm(argument: Any, below: Callable[..., list[Node]]) -> Node:
    if isinstance(argument, sympy.Abs):
        return call("log_abs", *below(argument.args[0]))
    if isinstance(argument, sympy.Add) and sympy.S.One in argument.args:
        return call("log1p", *below(argument - 1))
    return call("log", *below(argument))


def simplify(node: Node, samples: Sequence[Mapping[str, FloatArray]] = ()) -> Node:
    """Return the shortest of the folded form and what sympy's simplification and factorisation give.

    Parameters
    ----------
    node : node
        Root.
    samples : sequence of mapping of str to ndarray
        Features by name of events on which the values must stay, besides random points.

    Returns
    -------
    node
        The same function, where the value of `node` is finite and where it is not.
    """
    best = fold(node)
    if complexity(best) > LARGEST:
        return best
    # Dummies equal no other symbol, so that a feature may be called I, E or beta.
    symbols = {name: sympy.Dummy(f"x{position}", real=True) for position, name in enumerate(variables(node))}
    names = {symbol: name for name, symbol in symbols.items()}
    points = [*samples, _random_points(symbols)]
    for rule in (sympy.simplify, sympy.factor, sympy.factor_terms):
        try:
            other = fold(from_sympy(rule(to_sympy(node, symbols)), names))
        except (InputError, ArithmeticError, NotImplementedError, TypeError, ValueError):
            continue  # sympy went beyond our operators, or did not get through
        if complexity(other) < complexity(best) and all(_agree(node, other, columns) for columns in points):
            best = other
    return best


def _random_points(names: Sequence[str] | Mapping[str, Any]) -> dict[str, FloatArray]:
    """Both signs and several orders of magnitude."""
    rng = np.random.default_rng(1)
    return {name: rng.normal(size=_POINTS) * 10.0 ** rng.uniform(-1.0, 1.0, _POINTS) for name in names}


def _agree(first: Node, second: Node, columns: Mapping[str, FloatArray]) -> bool:
    """Equal up to rounding, wherever rounding does not decide whether there is a value; no value in the same places."""
    error = sum(rounding_error(node, columns, units_of_constants=_UNITS_OF_CONSTANTS) for node in (first, second))
    equal = deviation(evaluate(first, columns), evaluate(second, columns)) <= error
    return bool(equal.all() and np.isfinite(error).any())
