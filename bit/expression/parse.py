"""Text to trees and back: a small grammar of our own on Python's syntax, without evaluating anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence

from bit.errors import InputError, near_match
from bit.expression.nodes import Call, Constant, Integer, Node, Variable, call, replace
from bit.expression.operators import OPERATORS

LONGEST = 20_000
"""Characters of the longest text that is read; formulas for people are shorter."""

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.Pow: "pow",
}
# Other spellings, of symbolic-regression programs.
_ALIASES = {"plus": "add", "mult": "mul", "fmin": "min", "fmax": "max", "powabs": "pow_abs", "ln": "log"}
# Single-precision literals of Julia, 1.2f-5.
_JULIA = re.compile(r"(?<![\w.])(\d+\.?\d*|\.\d+)[fF]([+-]?\d+)\b")
_SYMBOL = {"add": " + ", "sub": " - ", "mul": "*", "div": "/", "pow": "**"}
_STRENGTH = {"add": 1, "sub": 1, "neg": 2, "mul": 2, "div": 2, "pow": 4}
_ATOM = 5


def parse(text: str, names: Sequence[str] | Mapping[str, str]) -> Node:
    """Read a formula.

    Parameters
    ----------
    text : str
        Such as ``"(0.5 - x1) * x2 * sin(dphi)"`` with + - * / ** ^ and the functions of `OPERATORS`, as PySR, Operon
        and `to_text` write. A number with a decimal point or an exponent is a constant that can be refitted; a whole
        number without them belongs to the form.
    names : sequence of str, or mapping of str to str
        Variables that may stand there; a mapping translates them.

    Returns
    -------
    node
        The tree, as it stands: nothing is simplified.

    Raises
    ------
    InputError
        For anything else: the text, the place and what is allowed are named.
    """
    if not isinstance(text, str):
        raise InputError(f"a formula is a text, such as '2.0*x', not {text!r}.")
    known = names if isinstance(names, Mapping) else {name: name for name in names}
    if len(text) > LONGEST:
        raise InputError(f"the formula has {len(text)} characters; at most {LONGEST} are read.")
    plain = _JULIA.sub(r"\1e\2", text.strip()).replace("^", "**")
    try:
        tree = ast.parse(plain, mode="eval").body
        return _convert(tree, known)
    except (SyntaxError, ValueError) as error:
        raise InputError(f"cannot read the formula {_short(text)}: {error}.") from None
    except (RecursionError, MemoryError):
        raise InputError(f"the formula {_short(text)} is nested too deeply; simplify it.") from None
    except InputError as error:
        raise InputError(f"cannot read the formula {_short(text)}: {error}") from None


def _convert(tree: ast.expr, names: Mapping[str, str]) -> Node:
    match tree:
        case ast.Constant(value=bool(value)):
            raise InputError(f"{value!r} is neither a number nor a variable.")
        case ast.Constant(value=int(value)):
            return Integer(value)
        case ast.Constant(value=float(value)):
            return Constant(value)
        case ast.Name():
            if tree.id not in names:
                raise InputError(f"unknown variable {tree.id!r}: {near_match(tree.id, names)}")
            return Variable(names[tree.id])
        case ast.UnaryOp(op=ast.UAdd()):
            return _convert(tree.operand, names)
        case ast.UnaryOp(op=ast.USub()):
            return _negative(_convert(tree.operand, names))
        case ast.BinOp() if type(tree.op) in _BINARY:
            return call(_BINARY[type(tree.op)], _convert(tree.left, names), _convert(tree.right, names))
        case ast.Call(func=ast.Name(id=function), keywords=[]):
            arguments = [_convert(argument, names) for argument in tree.args]
            operator = _ALIASES.get(function, function)
            if operator == "pow_abs" and len(arguments) == 2:
                return call("pow", call("abs", arguments[0]), arguments[1])
            if operator not in OPERATORS:
                raise InputError(f"unknown function {operator!r}: {near_match(operator, OPERATORS)}")
            return call(operator, *arguments)
        case _:
            raise InputError(f"{_short(ast.unparse(tree))} is not allowed: only + - * / **, functions and numbers are.")


def _negative(node: Node) -> Node:
    """A minus in front of a number belongs to the number."""
    match node:
        case Constant():
            return Constant(-node.value)
        case Integer():
            return Integer(-node.value)
        case _:
            return call("neg", node)


def to_text(node: Node, number: Callable[[float], str] = repr) -> str:
    """Write a formula so that `parse` gives back the same tree.

    Parameters
    ----------
    node : node
        Root.
    number : callable, default=repr
        Text of a constant; `repr` loses nothing.

    Returns
    -------
    str
        Such as ``"(0.5 - x1)*x2*sin(dphi)"``.
    """
    return _print(node, number)[0]


def readable(node: Node) -> Node:
    """Return a formula in which a negative number is subtracted, rather than added, for people to read.

    Parameters
    ----------
    node : node
        Root.

    Returns
    -------
    node
        Of the same values, with its constants, up to their signs, in the same order.
    """

    def subtracted(item: Node) -> Node | None:
        match item:
            case Call(operator="add", arguments=(first, second)) if (positive := _opposite(second)) is not None:
                return call("sub", readable(first), readable(positive))
            case Call(operator="sub", arguments=(first, second)) if (positive := _opposite(second)) is not None:
                return call("add", readable(first), readable(positive))
            case _:
                return None

    return replace(node, subtracted)


def _opposite(node: Node) -> Node | None:
    """Minus the node, if that takes a minus sign away from its first number."""
    match node:
        case Constant() | Integer() if node.value < 0:
            return _negative(node)
        case Call(operator="neg"):
            return node.arguments[0]
        case Call(operator="mul" | "div", arguments=(first, second)):
            positive = _opposite(first)
            return None if positive is None else call(node.operator, positive, second)
        case _:
            return None


def _print(node: Node, number: Callable[[float], str]) -> tuple[str, int]:
    """Text of a node, and how strongly it binds."""
    match node:
        case Variable():
            return node.name, _ATOM
        case Integer():
            return str(node.value), _ATOM if node.value >= 0 else _STRENGTH["add"]
        case Constant():
            text = number(node.value)
            return text, _ATOM if not text.startswith("-") else _STRENGTH["add"]
        case Call(operator="neg"):
            inner, strength = _print(node.arguments[0], number)
            # -1.5 would be read as a number, -x*y as (-x)*y.
            if isinstance(node.arguments[0], Constant | Integer):
                return f"neg({inner})", _ATOM
            return f"-{inner}" if strength >= _STRENGTH["pow"] else f"-({inner})", _STRENGTH["neg"]
        case Call() if node.operator in _SYMBOL:
            return _infix(node, number)
        case Call():
            return f"{node.operator}({', '.join(_print(item, number)[0] for item in node.arguments)})", _ATOM


def _infix(node: Call, number: Callable[[float], str]) -> tuple[str, int]:
    strength = _STRENGTH[node.operator]
    (left, left_strength), (right, right_strength) = (_print(item, number) for item in node.arguments)
    # Python groups a - b - c to the left and a**b**c to the right; only a base needs parentheses around -1.5.
    number_first = node.operator != "pow" and isinstance(node.arguments[0], Constant | Integer)
    left_needs = left_strength <= strength if node.operator == "pow" else left_strength < strength and not number_first
    right_needs = right_strength < strength if node.operator == "pow" else right_strength <= strength
    left = f"({left})" if left_needs else left
    right = f"({right})" if right_needs else right
    return f"{left}{_SYMBOL[node.operator]}{right}", strength


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
