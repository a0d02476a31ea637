"""Formulas as LaTeX, in the form in which they stand: nothing is simplified or reordered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from bit.expression.nodes import Call, Constant, Integer, Node, Variable

# How strongly a text binds; a negative is a product or number behind a minus sign.
_SUM, _NEGATIVE, _PRODUCT, _POWER, _ATOM = range(5)

# Operators that are written as a function of one argument.
_FUNCTION: Final = {
    "exp": r"\exp",
    "log": r"\ln",
    "sin": r"\sin",
    "cos": r"\cos",
    "tan": r"\tan",
    "asin": r"\arcsin",
    "acos": r"\arccos",
    "atan": r"\arctan",
    "sinh": r"\sinh",
    "cosh": r"\cosh",
    "tanh": r"\tanh",
    "asinh": r"\mathrm{arsinh}",
    "erf": r"\mathrm{erf}",
    "sign": r"\mathrm{sgn}",
    "min": r"\min",
    "max": r"\max",
}
# All others but + - * / and minus: operators between braces and bars, that need no brackets, and powers of a base.
_ENCLOSED: Final = {
    "sqrt": r"\sqrt{{{0}}}",
    "sqrt_abs": r"\sqrt{{\left|{0}\right|}}",
    "cbrt": r"\sqrt[3]{{{0}}}",
    "abs": r"\left|{0}\right|",
    "relu": r"\max\left({0},\,0\right)",
    "log_abs": r"\ln\left|{0}\right|",
    "log1p": r"\ln\left({0}\right)",
    "inv": r"\frac{{1}}{{{0}}}",
    "div": r"\frac{{{0}}}{{{1}}}",
    "aq": r"\frac{{{0}}}{{\sqrt{{1 + {1}}}}}",
}
_RAISED: Final = frozenset(("sin", "cos", "tan", "sinh", "cosh", "tanh"))  # sin^2(x) means (sin x)^2
_EXPONENT: Final = {"square": "2", "cube": "3"}
_ESCAPED: Final = {
    **{mark: f"\\{mark}" for mark in "_$%#&{}"},
    " ": r"\ ",
    "~": r"\sim ",
    "^": r"\wedge ",
    "\\": r"\backslash ",
}


def to_latex(node: Node, labels: Mapping[str, str], number: Callable[[float], str] = repr) -> str:
    """Write a formula as LaTeX.

    Parameters
    ----------
    node : node
        Root.
    labels : mapping of str to str
        LaTeX of each feature.
    number : callable, default=repr
        Text of a constant, such as ``"-1.5"`` or ``"1.5e-07"``; called in the order of the constants.

    Returns
    -------
    str
        For math mode, without dollar signs.
    """

    def write(item: Node) -> tuple[str, int]:
        match item:
            case Variable():
                return labels[item.name], _ATOM
            case Integer():
                return str(item.value), _ATOM if item.value >= 0 else _NEGATIVE
            case Constant():
                return _scientific(number(item.value))
            case Call():
                return _call(item.operator, [write(argument) for argument in item.arguments], item.arguments)

    return write(node)[0]


def label_of(name: str) -> str:
    """LaTeX of a feature that has no label of its own.

    Parameters
    ----------
    name : str
        Name of the feature.

    Returns
    -------
    str
        ``x``, ``x_{1}`` for x1, upright and escaped for names of several letters.
    """
    if match := re.fullmatch(r"([A-Za-z])_?(\d*)", name):
        return f"{match[1]}_{{{match[2]}}}" if match[2] else match[1]
    return rf"\mathrm{{{''.join(_ESCAPED.get(mark, mark) for mark in name)}}}"


def _call(operator: str, texts: list[tuple[str, int]], arguments: tuple[Node, ...]) -> tuple[str, int]:
    (first, strength), (second, second_strength) = texts[0], texts[-1]
    if operator in ("add", "sub"):
        return _sum(operator, first, second, second_strength), _SUM
    if operator == "neg":
        return f"-{first if strength > _NEGATIVE else _bracketed(first)}", _NEGATIVE
    if operator == "mul":
        left = first if strength > _SUM else _bracketed(first)
        right = second if second_strength > _NEGATIVE else _bracketed(second)
        # A digit after a thin space would read as part of the number before it.
        sign = r" \cdot " if right[0].isdigit() else r" \, "
        return left + sign + right, _NEGATIVE if strength == _NEGATIVE else _PRODUCT
    if operator == "div" and strength == _NEGATIVE:
        return rf"-\frac{{{first[1:]}}}{{{second}}}", _NEGATIVE
    if operator == "pow" or operator in _EXPONENT:
        return _power(first, strength, _EXPONENT.get(operator, second), arguments[0]), _POWER
    if operator in _FUNCTION:
        return _FUNCTION[operator] + _bracketed(r",\, ".join(text for text, _ in texts)), _POWER
    if operator == "log1p":
        first = _sum("add", "1", first, strength)
    if operator == "aq":
        second = _power(second, second_strength, "2", arguments[1])
    return _ENCLOSED[operator].format(first, second), _POWER


def _sum(operator: str, first: str, second: str, strength: int) -> str:
    if operator == "add":
        return f"{first} - {second[1:]}" if second.startswith("-") else f"{first} + {second}"
    if strength == _NEGATIVE:
        return f"{first} + {second[1:]}"
    return f"{first} - {_bracketed(second) if strength == _SUM else second}"


def _power(base: str, strength: int, exponent: str, node: Node) -> str:
    if isinstance(node, Call) and node.operator in _RAISED:
        name = _FUNCTION[node.operator]
        if exponent.isdigit():
            return f"{name}^{{{exponent}}}{base.removeprefix(name)}"
    # A label with an index above takes no second one.
    bare = strength == _ATOM and not (isinstance(node, Variable) and "^" in base)
    return f"{base if bare else _bracketed(base)}^{{{exponent}}}"


def _bracketed(text: str) -> str:
    return rf"\left({text}\right)"


def _scientific(text: str) -> tuple[str, int]:
    mantissa, _, exponent = text.partition("e")
    sign = mantissa.startswith("-")
    if exponent:
        return rf"{mantissa} \times 10^{{{int(exponent)}}}", _NEGATIVE if sign else _PRODUCT
    return mantissa, _NEGATIVE if sign else _ATOM
