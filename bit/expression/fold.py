"""The short form of a formula: constants merged, signs and powers in their places, redundant constants gone.

A sum is held as terms with coefficients, a product as factors with whole powers and one coefficient. Both keep the
order of the text. What is merged may change the value in the last digits, never the function, except that removable
singularities (x / x) are removed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from bit.errors import InputError
from bit.expression.nodes import Call, Constant, Integer, Node, call, complexity, evaluate
from bit.expression.operators import OPERATORS

_POWERS = {"square": 2, "cube": 3, "inv": -1}
# Parts whose short forms and names are remembered: formulas that are changed at one place share all others.
_REMEMBERED = 1 << 15


@dataclass(frozen=True)
class _Number:
    """A coefficient: a float that a refit may change, or a fraction that belongs to the form."""

    value: float | Fraction

    @property
    def free(self) -> bool:
        return isinstance(self.value, float)

    def times(self, other: _Number) -> _Number:
        return _Number(self.value * other.value)

    def plus(self, other: _Number) -> _Number:
        return _Number(self.value + other.value)

    def power(self, exponent: int) -> _Number:
        return _Number(self.value**exponent)


_ONE, _MINUS = _Number(Fraction(1)), _Number(Fraction(-1))


def fold(node: Node) -> Node:
    """Return the short form of a formula.

    Parameters
    ----------
    node : node
        Root.

    Returns
    -------
    node
        Of the same value wherever `node` has one, with at most as many nodes.

    Raises
    ------
    InputError
        If a constant overflows.
    """
    try:
        best = _fold(node)
        # Distributing a constant can make another one mergeable; every further pass must remove nodes, so this ends.
        while complexity(shorter := _fold(best)) < complexity(best):
            best = shorter
    except OverflowError:
        raise InputError("a constant of a formula overflows; drop this formula.") from None
    return best


def equal(first: Node, second: Node) -> bool:
    """Tell whether two formulas have the same short form; False is no proof that they differ.

    Parameters
    ----------
    first, second : node
        Roots.

    Returns
    -------
    bool
        True only for equal functions.
    """
    return fold(call("sub", first, second)) == Integer(0) or _key(fold(first)) == _key(fold(second))


@lru_cache(_REMEMBERED)
def _fold(node: Node) -> Node:
    if not isinstance(node, Call):
        return node
    folded = Call(node.operator, tuple(_fold(argument) for argument in node.arguments))
    if node.operator in ("add", "sub", "neg"):
        return _shorter(_build_sum(_terms(folded)), folded)
    if node.operator in ("mul", "div", *_POWERS) or _whole_power(node) is not None:
        return _shorter(_build_product(*_factors(folded)), folded)
    if all(isinstance(argument, Constant | Integer) for argument in folded.arguments):
        return _constant(folded)
    return _shorter(_signed(folded), folded)


def _shorter(merged: Node, node: Node) -> Node:
    """The merged form, unless powers of products or signs have made it longer."""
    return merged if complexity(merged) <= complexity(node) else node


def _constant(node: Node) -> Node:
    """A tree without variables as one number, if it has a value."""
    value = float(evaluate(node, {}))
    return Constant(value) if math.isfinite(value) else node


def _signed(node: Call) -> Node:
    """Move a minus sign out of an odd function, and drop it inside an even one."""
    parity = OPERATORS[node.operator].parity
    if parity == 0 or not _leads_negative(node.arguments[0]):
        return node
    positive = call(node.operator, _fold(call("neg", node.arguments[0])))
    return positive if parity > 0 else call("neg", positive)


def _leads_negative(node: Node) -> bool:
    """Whether the first term carries a minus sign."""
    (_, first), *_ = _terms(node) or [(None, _ONE)]
    return first.value < 0.0


def _whole_power(node: Call) -> int | None:
    if node.operator == "pow" and isinstance(node.arguments[1], Integer) and node.arguments[1].value != 0:
        return node.arguments[1].value
    return None


# ---------------------------------------------------------------------- sums
_Terms = list[tuple[Node | None, _Number]]


def _terms(node: Node) -> _Terms:
    """Terms of a sum of folded terms with their coefficients, equal ones merged; None is the constant term."""
    return [(term, number) for term, number, _ in _merged(node).values()]


def _merged(node: Node) -> dict[str, tuple[Node | None, _Number, int]]:
    """By name: terms, their coefficients, and the signs of their names."""
    found: dict[str, tuple[Node | None, _Number, int]] = {}

    def add(item: Node, sign: _Number) -> None:
        if isinstance(item, Call) and item.operator in ("add", "sub"):
            add(item.arguments[0], sign)
            add(item.arguments[1], sign if item.operator == "add" else sign.times(_MINUS))
            return
        if isinstance(item, Call) and item.operator == "neg":
            add(item.arguments[0], sign.times(_MINUS))
            return
        number, term = _split(item)
        coefficient, (own, key) = number.times(sign), _key(term)
        if key in found:
            term, before, first = found[key]
            coefficient = before.plus(coefficient if first == own else coefficient.times(_MINUS))
            own = first
        found[key] = (term, coefficient, own)

    add(node, _ONE)
    return {key: entry for key, entry in found.items() if entry[1].value != 0}


@lru_cache(_REMEMBERED)
def _key(node: Node | None) -> tuple[int, str]:
    """Sign and name of a term or factor; the name is the same in any order of terms and factors, and for -(x - y)."""
    if isinstance(node, Constant | Integer):
        return -1 if node.value < 0 else 1, f"{type(node).__name__}({abs(node.value)!r})"
    if not isinstance(node, Call):
        return 1, repr(node)
    if node.operator in ("add", "sub", "neg"):
        return _key_of_sum(node)
    if node.operator in ("mul", "div"):
        keys_of_factors = [_key(factor) for factor in (_operands(node) if node.operator == "mul" else node.arguments)]
        names = [key for _, key in keys_of_factors]
        sign = math.prod(sign for sign, _ in keys_of_factors)
        return sign, f"{node.operator}({','.join(sorted(names) if node.operator == 'mul' else names)})"
    keys_below = [_key(argument) for argument in node.arguments]
    parity = OPERATORS[node.operator].parity
    if parity == 0:
        return 1, f"{node.operator}({','.join(f'{sign}{key}' for sign, key in keys_below)})"
    (sign, key), *_ = keys_below
    return sign if parity < 0 else 1, f"{node.operator}({key})"


def _key_of_sum(node: Call) -> tuple[int, str]:
    named = sorted((key, number.value * sign, number.free) for key, (_, number, sign) in _merged(node).items())
    sign = -1 if named and named[0][1] < 0.0 else 1
    return sign, f"add({','.join(f'{value * sign!r}{free}*{key}' for key, value, free in named)})"


def _operands(node: Node) -> list[Node]:
    """Factors of a chain of products."""
    if isinstance(node, Call) and node.operator == "mul":
        return [item for argument in node.arguments for item in _operands(argument)]
    return [node]


def _split(node: Node) -> tuple[_Number, Node | None]:
    """Coefficient of a folded term, and the rest of it."""
    if isinstance(node, Constant | Integer):
        return _number(node), None
    if isinstance(node, Call) and node.operator == "neg":
        number, rest = _split(node.arguments[0])
        return number.times(_MINUS), rest
    if isinstance(node, Call) and node.operator in ("mul", "div"):
        # The coefficient stands at the far left, the denominator of a fraction at the far right: 2 * x * y / z / 3.
        first, second = node.arguments
        number, rest = _split(first)
        if node.operator == "div" and isinstance(second, Integer) and second.value != 0:
            return number.times(_Number(Fraction(1, second.value))), rest
        if rest is not None:
            return (number, call(node.operator, rest, second)) if number != _ONE else (_ONE, node)
        if node.operator == "mul":
            return number, second
    return _ONE, node


def _number(node: Constant | Integer) -> _Number:
    return _Number(node.value if isinstance(node, Constant) else Fraction(node.value))


def _build_sum(terms: _Terms) -> Node:
    if not terms:
        return Integer(0)
    # A positive first term spares a sign: b - a instead of -a + b.
    order = sorted(terms, key=lambda item: item[1] == _MINUS)
    (term, number), *others = order
    total = _scaled(term, number)
    for term, number in others:
        if number == _MINUS and term is not None:
            total = call("sub", total, term)
        elif term is None and not number.free and number.value < 0:
            total = call("sub", total, _scaled(None, number.times(_MINUS)))
        else:
            total = call("add", total, _scaled(term, number))
    return total


def _scaled(term: Node | None, number: _Number) -> Node:
    if isinstance(number.value, float):
        return Constant(number.value) if term is None else _with_coefficient(term, number)
    above, below = number.value.numerator, number.value.denominator
    if term is None:
        product: Node = Integer(above)
    else:
        product = term if above == 1 else _with_coefficient(term, _Number(Fraction(above)))
    return product if below == 1 else call("div", product, Integer(below))


def _with_coefficient(term: Node, number: _Number) -> Node:
    """Put a coefficient to the far left of a product: 2 * x * y rather than 2 * (x * y)."""
    if isinstance(term, Call) and term.operator in ("mul", "div"):
        return call(term.operator, _with_coefficient(term.arguments[0], number), term.arguments[1])
    return call("neg", term) if number == _MINUS else call("mul", _scaled(None, number), term)


# ---------------------------------------------------------------------- products
_Factors = list[tuple[Node, int]]


def _factors(node: Node) -> tuple[_Number, _Factors]:
    """Coefficient of a product, and its factors with whole powers, equal ones merged."""
    found: dict[str, tuple[Node, int, int]] = {}
    coefficient = _ONE

    def multiply(item: Node, power: int) -> None:
        nonlocal coefficient
        if isinstance(item, Call) and item.operator in ("mul", "div"):
            multiply(item.arguments[0], power)
            multiply(item.arguments[1], power if item.operator == "mul" else -power)
            return
        if isinstance(item, Call) and item.operator in _POWERS:
            multiply(item.arguments[0], power * _POWERS[item.operator])
            return
        if isinstance(item, Call) and (whole := _whole_power(item)) is not None:
            multiply(item.arguments[0], power * whole)
            return
        if isinstance(item, Constant | Integer):
            if item.value == 0 and power < 0:
                raise InputError("a formula divides by the constant 0; drop it.")
            coefficient = coefficient.times(_number(item).power(power))
            return
        number, rest = _leading(item)
        coefficient = coefficient.times(number.power(power))
        if rest == item:
            own, key = _key(item)
            first, before, sign = found.get(key, (item, 0, own))
            if sign != own:
                coefficient = coefficient.times(_MINUS.power(power))
            found[key] = (first, before + power, sign)
        else:
            multiply(rest, power)

    multiply(node, 1)
    return coefficient, [(factor, power) for factor, power, _ in found.values() if power != 0]


def _leading(node: Node) -> tuple[_Number, Node]:
    """Move the coefficient of the first proper term, or at least its sign, out of a factor that is a sum."""
    if not isinstance(node, Call) or node.operator not in ("add", "sub", "neg"):
        number, rest = _split(node)
        return (number, rest) if rest is not None else (_ONE, node)
    terms = _terms(node)
    if len(terms) == 1 and terms[0][0] is not None:
        return terms[0][1], terms[0][0]
    if len(terms) < 2:
        return _ONE, node
    if all(number.free for _, number in terms):
        first = next(position for position, (term, _) in enumerate(terms) if term is not None)
        scale = terms[first][1]
        scaled = [(term, number.times(scale.power(-1))) for term, number in terms]
        scaled[first] = (terms[first][0], _ONE)
        return scale, _build_sum(scaled)
    if terms[0][1].value < 0.0:
        return _MINUS, _build_sum([(term, number.times(_MINUS)) for term, number in terms])
    return _ONE, node


def _build_product(coefficient: _Number, factors: _Factors) -> Node:
    if coefficient.value == 0 or not factors:
        return _scaled(None, coefficient)
    above = [_power(factor, power) for factor, power in factors if power > 0]
    below = [_power(factor, -power) for factor, power in factors if power < 0]
    if not below and len(above) == 1 and coefficient.free:
        spread = _distributed(coefficient, above[0])
        if spread is not None:
            return spread
    if not above:
        inverse = coefficient == _ONE and len(below) == 1
        return call("inv", below[0]) if inverse else call("div", _scaled(None, coefficient), _product(below))
    product = _product(above)
    if below:
        product = call("div", product, _product(below))
    return _scaled(product, coefficient)


def _distributed(coefficient: _Number, factor: Node) -> Node | None:
    """Multiply a constant into a sum whose terms all have constants already."""
    if not isinstance(factor, Call) or factor.operator not in ("add", "sub"):
        return None
    terms = _terms(factor)
    if not sum(not number.free for _, number in terms) <= 1:
        return None
    spread = _build_sum([(term, number.times(coefficient)) for term, number in terms])
    return spread if complexity(spread) <= complexity(factor) + 2 else None


def _product(factors: Iterable[Node]) -> Node:
    first, *others = factors
    for other in others:
        first = call("mul", first, other)
    return first


def _power(base: Node, exponent: int) -> Node:
    if exponent == 1:
        return base
    names = {power: name for name, power in _POWERS.items()}
    return call(names[exponent], base) if exponent in names else call("pow", base, Integer(exponent))
