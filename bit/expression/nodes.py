"""Trees of formulas: values, derivatives, complexity, constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from bit.basis import FloatArray
from bit.errors import FileFormatError, InputError, near_match
from bit.expression.operators import OPERATORS

LARGEST = int(np.finfo(np.float64).max)
"""Of whole numbers."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that a refit may change.

    Parameters
    ----------
    value : float
        The number.

    Raises
    ------
    InputError
        If it is not finite.
    """

    value: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise InputError(f"the constant {self.value} of a formula is not finite; drop this formula.")
        if self.value == 0.0:
            object.__setattr__(self, "value", 0.0)  # equal formulas have equal texts: no -0.0


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number that belongs to the form, such as an exponent; no refit changes it.

    Parameters
    ----------
    value : int
        The number.

    Raises
    ------
    InputError
        If it is beyond `LARGEST`.
    """

    value: int

    def __post_init__(self) -> None:
        if abs(self.value) > LARGEST:
            raise InputError("a whole number of a formula is beyond double precision; drop this formula.")


@dataclass(frozen=True, slots=True)
class Variable:
    """A feature.

    Parameters
    ----------
    name : str
        Its name.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """An operator of `OPERATORS` and its arguments.

    Parameters
    ----------
    operator : str
        Its name.
    arguments : tuple of node
        As many as the operator takes.
    """

    operator: str
    arguments: tuple[Node, ...]


Node: TypeAlias = Constant | Integer | Variable | Call


def call(operator: str, *arguments: Node) -> Call:
    """Return an operator applied to arguments.

    Parameters
    ----------
    operator : str
        One of `OPERATORS`.
    *arguments : node
        As many as it takes.

    Returns
    -------
    Call
        The node.

    Raises
    ------
    InputError
        For an unknown operator, or another number of arguments.
    """
    known = OPERATORS.get(operator)
    if known is None:
        raise InputError(f"unknown operator {operator!r}: {near_match(operator, OPERATORS)}")
    if len(arguments) != known.arity:
        raise InputError(f"{operator} takes {known.arity} argument(s), not {len(arguments)}.")
    return Call(operator, arguments)


def walk(node: Node) -> Iterator[Node]:
    """Visit a node and all below it, parents first, arguments in order: the order of all printers.

    Parameters
    ----------
    node : node
        Root.

    Yields
    ------
    node
        Each node once.
    """
    waiting = [node]
    while waiting:
        item = waiting.pop()
        yield item
        if isinstance(item, Call):
            waiting.extend(reversed(item.arguments))


def complexity(node: Node) -> int:
    """Number of nodes: every operator, constant and variable counts one, as in PySR.

    Parameters
    ----------
    node : node
        Root.

    Returns
    -------
    int
        At least 1; ``(0.5 - x1) * x2 * sin(dphi)`` has 8.
    """
    return 1 + sum(map(complexity, node.arguments)) if isinstance(node, Call) else 1


def variables(node: Node) -> tuple[str, ...]:
    """Names of the features, in order of appearance.

    Parameters
    ----------
    node : node
        Root.

    Returns
    -------
    tuple of str
        Each name once.
    """
    return tuple(dict.fromkeys(item.name for item in walk(node) if isinstance(item, Variable)))


def constants(node: Node) -> tuple[float, ...]:
    """Values of the constants in the order of `walk`.

    Parameters
    ----------
    node : node
        Root.

    Returns
    -------
    tuple of float
        One per `Constant`.
    """
    return tuple(item.value for item in walk(node) if isinstance(item, Constant))


def exponents(node: Node) -> tuple[bool, ...]:
    """Tell which constants stand in an exponent, the second argument of ``pow``.

    Parameters
    ----------
    node : node
        Root.

    Returns
    -------
    tuple of bool
        One per constant, in the order of `constants`.
    """

    def inside(item: Node, exponent: bool) -> Iterator[bool]:
        if isinstance(item, Constant):
            yield exponent
        elif isinstance(item, Call):
            for position, argument in enumerate(item.arguments):
                yield from inside(argument, exponent or (item.operator == "pow" and position == 1))

    return tuple(inside(node, False))


def with_constants(node: Node, values: Sequence[float]) -> Node:
    """Return the same form with other constants.

    Parameters
    ----------
    node : node
        Root.
    values : sequence of float
        One per constant, in the order of `constants`.

    Returns
    -------
    node
        New root.

    Raises
    ------
    InputError
        If the number of values is another one, or one is not finite.
    """
    expected = len(constants(node))
    if len(values) != expected:
        raise InputError(f"{len(values)} values for {expected} constants: give one for each.")
    remaining = iter(values)
    return replace(node, lambda item: Constant(float(next(remaining))) if isinstance(item, Constant) else None)


def replace(node: Node, rule: Callable[[Node], Node | None]) -> Node:
    """Return a tree with some nodes replaced, visited in the order of `walk`.

    Parameters
    ----------
    node : node
        Root.
    rule : callable
        ``rule(item)`` gives the replacement, below which nothing is visited, or None to keep the item.

    Returns
    -------
    node
        New root.
    """
    other = rule(node)
    if other is not None:
        return other
    if isinstance(node, Call):
        return Call(node.operator, tuple(replace(argument, rule) for argument in node.arguments))
    return node


def evaluate(node: Node, columns: Mapping[str, FloatArray]) -> FloatArray:
    """Value of a formula.

    Parameters
    ----------
    node : node
        Root.
    columns : mapping of str to ndarray
        Features by name, all of one shape.

    Returns
    -------
    ndarray of float64
        Shape of the columns, or of a number if there is no variable; NaN or infinite outside the domain.
    """
    with np.errstate(all="ignore"):
        return np.asarray(_value(node, columns), dtype=np.float64)


def _value(node: Node, columns: Mapping[str, FloatArray]) -> Any:
    match node:
        case Call():
            return OPERATORS[node.operator].function(*(_value(argument, columns) for argument in node.arguments))
        case Variable():
            return columns[node.name]
        case _:
            return np.float64(node.value)


def to_list(node: Node) -> Any:
    """Return a tree as JSON types: ``["mul", 1.5, ["sin", "dphi"]]``.

    Parameters
    ----------
    node : node
        Root.

    Returns
    -------
    list, float, int or str
        An operator with its arguments, a constant, a fixed integer, a variable.
    """
    match node:
        case Call():
            return [node.operator, *(to_list(argument) for argument in node.arguments)]
        case Variable():
            return node.name
        case _:
            return node.value


def from_list(document: Any) -> Node:
    """Build a tree from what `to_list` returned.

    Parameters
    ----------
    document : list, float, int or str
        JSON types.

    Returns
    -------
    node
        Root.

    Raises
    ------
    FileFormatError
        If it is not such a tree.
    """
    if isinstance(document, bool) or document is None:
        raise FileFormatError(f"{document!r} stands in a formula: only operators, numbers and names can.")
    if isinstance(document, str):
        return Variable(document)
    if isinstance(document, int):
        return Integer(document)
    try:
        if isinstance(document, float):
            return Constant(document)
        if isinstance(document, list) and document and isinstance(document[0], str):
            return call(document[0], *(from_list(argument) for argument in document[1:]))
    except InputError as error:
        raise FileFormatError(f"not a formula: {error}") from None
    raise FileFormatError(f"{document!r} stands in a formula: only operators, numbers and names can.")
