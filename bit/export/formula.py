"""Formulas in the languages of analysis code: C++, numpy, TFormula, correctionlib, LaTeX.

One walk writes the trees for all languages, operators before their arguments, with brackets around every operation: so
nothing depends on precedence (in correctionlib a minus sign binds tighter than a power, and a difference weaker than a
sum), and the order of rounding is that of the tree. A table per language has the form of each operator; what a
language lacks is spelt out by other operators first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from string import Template
from typing import Any, Final, NamedTuple

import numpy as np

from bit.errors import InputError
from bit.export._source import cpp_array, cpp_text, hexadecimals, python_source
from bit.expression.expression import Expression
from bit.expression.nodes import Call, Integer, Node, Variable, call, walk
from bit.files import replacing


class Language(NamedTuple):
    """How a language writes formulas.

    Attributes
    ----------
    literal : callable
        Text of a number that is not negative.
    forms : dict of str to str
        Of operators, with {0} and {1} for the arguments.
    """

    literal: Callable[[float], str]
    forms: Mapping[str, str]


def _decimal(value: float) -> str:
    """Shortest decimal that gives every bit back, always with a point, never with "e+"."""
    mantissa, e, exponent = repr(value).partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}{e}{exponent.removeprefix('+')}"


_INFIX: Final = {"add": "({0} + {1})", "sub": "({0} - {1})", "mul": "({0} * {1})"}
# Functions of the C library.
_SAME: Final = ("sqrt", "exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh")

CPP: Final = Language(
    lambda value: hexadecimals(np.array([value]))[0],
    {
        **_INFIX,
        **{name: f"std::{name}({{0}})" for name in (*_SAME, "cbrt", "log1p", "asinh", "erf")},
        **{name: f"detail::{name}({{0}})" for name in ("square", "cube", "sign", "relu")},
        **{name: f"detail::{name}({{0}}, {{1}})" for name in ("aq", "min", "max")},
        "div": "({0} / {1})",
        "pow": "std::pow({0}, {1})",
        "neg": "(-{0})",
        "inv": "(0x1p+0 / {0})",
        "abs": "std::fabs({0})",
        "sqrt_abs": "std::sqrt(std::fabs({0}))",
        "log_abs": "std::log(std::fabs({0}))",
    },
)
NUMPY: Final = Language(
    repr,
    {
        **_INFIX,
        **{name: f"np.{name}({{0}})" for name in (*_SAME, "cbrt", "log1p", "abs", "sign")},
        **{name: f"{name}({{0}})" for name in ("square", "cube", "erf")},
        "asin": "np.arcsin({0})",
        "acos": "np.arccos({0})",
        "atan": "np.arctan({0})",
        "asinh": "np.arcsinh({0})",
        "div": "np.divide({0}, {1})",  # Python's own division of numbers by zero is an error
        "pow": "np.power({0}, {1})",
        "neg": "(-{0})",
        "inv": "np.divide(1.0, {0})",
        "aq": "aq({0}, {1})",
        "min": "np.minimum({0}, {1})",
        "max": "np.maximum({0}, {1})",
        "relu": "np.maximum({0}, 0.0)",
        "sqrt_abs": "np.sqrt(np.abs({0}))",
        "log_abs": "np.log(np.abs({0}))",
    },
)
# Of min and max of C++ only one order of the arguments keeps NaN; the half of both keeps it always.
_TWICE: Final = "((0.5 * {f}({{0}}, {{1}})) + (0.5 * {f}({{1}}, {{0}})))"
_ROOT_LIKE: Final = {
    **_INFIX,
    **{name: f"{name}({{0}})" for name in _SAME},
    "div": "({0} / {1})",
    "pow": "pow({0}, {1})",
    "neg": "((-1.0) * {0})",
    "sign": "((({0} > 0.0) - ({0} < 0.0)) + (0.0 * atan({0})))",  # atan: NaN stays NaN, and infinities count
}
TFORMULA: Final = Language(
    _decimal,
    {
        **_ROOT_LIKE,
        "abs": "TMath::Abs({0})",
        "asinh": "TMath::ASinH({0})",
        "erf": "TMath::Erf({0})",
        "min": _TWICE.format(f="TMath::Min"),
        "max": _TWICE.format(f="TMath::Max"),
        "relu": "TMath::Max(0.0, {0})",
    },
)
CORRECTIONLIB: Final = Language(
    _decimal,
    {
        **_ROOT_LIKE,
        "abs": "abs({0})",
        "asinh": "asinh({0})",
        "erf": "erf({0})",
        "min": _TWICE.format(f="min"),
        "max": _TWICE.format(f="max"),
        "relu": "max({0}, 0.0)",
    },
)
LANGUAGES: Final = {"cpp": CPP, "numpy": NUMPY, "tformula": TFORMULA, "correctionlib": CORRECTIONLIB}
"""Those whose files have numbers, by format."""

_ONE, _TWO, _THREE = Integer(1), Integer(2), Integer(3)


def _log1p(a: Node) -> Node:
    """Log(1 + a) = asinh(((1 + a) - 1/(1 + a))/2), accurate near 0; the root makes it NaN below -1."""
    inverse = call("pow", call("sqrt", call("add", _ONE, a)), Integer(-2))
    half = call("div", _ONE, _TWO)
    return call("asinh", call("mul", call("mul", half, a), call("add", _ONE, inverse)))


_SPELT_OUT: Final[dict[str, Callable[..., Node]]] = {
    "square": lambda a: call("pow", a, _TWO),
    "cube": lambda a: call("pow", a, _THREE),
    "inv": lambda a: call("div", _ONE, a),
    "aq": lambda a, b: call("div", a, call("sqrt", call("add", _ONE, call("pow", b, _TWO)))),
    "sqrt_abs": lambda a: call("sqrt", call("abs", a)),
    "log_abs": lambda a: call("log", call("abs", a)),
    "cbrt": lambda a: call("mul", call("sign", a), call("pow", call("abs", a), call("div", _ONE, _THREE))),
    "log1p": _log1p,
}


DEEPEST: Final = 150
"""Levels of brackets; clang reads 256, Python 200."""


def spelt_out(node: Node, language: Language) -> Node:
    """Return a formula in the operators that a language has.

    Parameters
    ----------
    node : node
        Root.
    language : Language
        One of `LANGUAGES`.

    Returns
    -------
    node
        The same function.
    """
    if not isinstance(node, Call):
        return node
    arguments = tuple(spelt_out(argument, language) for argument in node.arguments)
    if node.operator in language.forms:
        return Call(node.operator, arguments)
    return spelt_out(_SPELT_OUT[node.operator](*arguments), language)


def source(expression: Expression, language: Language) -> str:
    """Return a formula in a language, with ``x[0]``, ``x[1]`` for its features.

    Parameters
    ----------
    expression : Expression
        The formula.
    language : Language
        One of `LANGUAGES`.

    Returns
    -------
    str
        One expression.

    Raises
    ------
    InputError
        If it is nested more deeply than compilers read.
    """
    position = {name: number for number, name in enumerate(expression.features)}

    def write(item: Node) -> str:
        if isinstance(item, Call):
            return language.forms[item.operator].format(*map(write, item.arguments))
        if isinstance(item, Variable):
            return f"x[{position[item.name]}]"
        text = language.literal(abs(float(item.value)))
        return f"(-{text})" if np.signbit(float(item.value)) else text

    node = spelt_out(expression.node, language)
    if (levels := _levels(node)) > DEEPEST:
        raise InputError(f"the formula is nested {levels} levels deep, compilers read about 200; simplify it.")
    return write(node)


def _levels(node: Node) -> int:
    return 1 + max(map(_levels, node.arguments)) if isinstance(node, Call) else 0


def describe_formula(expression: Expression) -> dict[str, Any]:
    """Return what every file tells of a formula.

    Parameters
    ----------
    expression : Expression
        The formula.

    Returns
    -------
    dict
        JSON types: the formula with all digits, features with units in their order, term, how it was found, version,
        and the checksum of the formula as ``bit-expression/1`` JSON.
    """
    document = expression.as_document()
    told = ("name", "label", "odd", "term", "features", "covariance", "config", "format", "version", "sha256")
    return {"formula": expression.to_text(), **{name: document[name] for name in told}}


def _comment(expression: Expression, mark: str) -> str:
    """The description as JSON behind marks of comments, one field a line."""
    fields = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in describe_formula(expression).items()]
    return "\n".join(f"{mark} {line}" for line in ["{", *",\n".join(fields).split("\n"), "}"])


# ---------------------------------------------------------------------- LaTeX and TFormula
def to_latex(expression: Expression, path: str | os.PathLike[str]) -> None:
    """Write a formula as LaTeX for math mode, to be read within an equation.

    The formula is that of `Expression.to_latex`, with rounded constants; comments have all digits.

    Parameters
    ----------
    expression : Expression
        The formula.
    path : str or path-like
        The file; an older one is replaced only by a complete one.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    _write(f"{_comment(expression, '%')}\n{expression.to_latex()}\n", path)


def to_tformula(expression: Expression, path: str | os.PathLike[str]) -> None:
    """Write a formula as the string that ROOT's TFormula and TF1 take.

    The last line is the string, ``x[0]``, ``x[1]`` are the features in their order; the lines before it are comments
    with what the formula is. Powers are ``pow(a, b)``, numbers have all digits and a decimal point.

    Parameters
    ----------
    expression : Expression
        The formula.
    path : str or path-like
        The file; an older one is replaced only by a complete one.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    _write(f"{_comment(expression, '//')}\n{source(expression, TFORMULA)}\n", path)


def _write(text: str, path: str | os.PathLike[str]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


# ---------------------------------------------------------------------- correctionlib
def correction_set(expression: Expression) -> dict[str, Any]:
    """Return the content of a correctionlib file whose one correction is the formula.

    Parameters
    ----------
    expression : Expression
        The formula.

    Returns
    -------
    dict
        JSON types, schema version 2; `bit.export.to_correctionlib` writes them.
    """
    units = expression.units or ("",) * len(expression.features)
    correction = {
        "name": expression.name,
        "description": expression.to_text(),
        "version": 1,
        "inputs": [
            {"name": name, "type": "real", "description": unit}
            for name, unit in zip(expression.features, units, strict=True)
        ],
        "output": {"name": expression.name, "type": "real", "description": expression.label},
        "data": {
            "nodetype": "formula",
            "expression": source(expression, CORRECTIONLIB),
            "parser": "TFormula",
            "variables": list(expression.features),
        },
    }
    description = json.dumps(describe_formula(expression), ensure_ascii=False)
    return {"schema_version": 2, "description": description, "corrections": [correction]}


# ---------------------------------------------------------------------- C++
_CPP_PARTS: Final = {
    "square": "inline double square(double a) noexcept { return a * a; }",
    "cube": "inline double cube(double a) noexcept { return a * a * a; }",
    "aq": "inline double aq(double a, double b) noexcept { return a / std::sqrt(1.0 + b * b); }",
    "min": "inline double min(double a, double b) noexcept { return std::isnan(a) || a < b ? a : b; }",
    "max": "inline double max(double a, double b) noexcept { return std::isnan(a) || a > b ? a : b; }",
    "sign": "inline double sign(double a) noexcept { return a > 0.0 ? 1.0 : a < 0.0 ? -1.0 : a; }",
    "relu": "inline double relu(double a) noexcept { return a < 0.0 ? 0.0 : a; }",
}

_HEADER: Final = Template("""\
// A formula, written by bit $version.
//
//     const double value = $name::value(x);           // x: $n_features numbers in the order of feature_names
//     $name::evaluate(x, n_events, out);              // many events, one after the other
//
// evaluate(x) gives the same number as an array of one, as the headers of forests do. Constants have every bit of
// those in bit; functions are those of the C library, whose last digits differ from numpy's. Outside its domain the
// formula is NaN or infinite. -ffast-math is refused.
//
$description

#ifndef $guard
#define $guard

#if defined(__FAST_MATH__) || defined(_M_FP_FAST) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "this header needs NaN, infinity and the order of operations: compile without -ffast-math"
#endif

#include <array>
#include <cmath>
#include <cstddef>

namespace $name {

inline constexpr std::size_t n_features = $n_features;
inline constexpr std::size_t n_outputs = 1;
inline constexpr std::array<const char*, n_features> feature_names = $feature_names;
inline constexpr std::array<const char*, n_features> feature_units = $feature_units;
inline constexpr std::array<const char*, n_outputs> output_names = $output_names;
inline constexpr const char* bit_version = $version_text;
inline constexpr const char* sha256 = $sha256;  // of the formula as bit-expression/1 JSON
$parts
// The formula for one event; x points to n_features numbers.
inline double value([[maybe_unused]] const double* x) noexcept {
  return $formula;
}

inline std::array<double, n_outputs> evaluate(const double* x) noexcept { return {{value(x)}}; }

// Many events: x[event * n_features + feature] gives out[event].
inline void evaluate(const double* x, std::size_t n_events, double* out) noexcept {
  for (std::size_t event = 0; event < n_events; ++event) {
    out[event] = value(x + event * n_features);
  }
}

}  // namespace $name

#endif  // $guard
""")


def cpp_header(expression: Expression, name: str) -> str:
    """Return a formula as a C++17 header that needs nothing but the standard library.

    Parameters
    ----------
    expression : Expression
        The formula.
    name : str
        Namespace.

    Returns
    -------
    str
        The header.

    """
    description = describe_formula(expression)
    parts = _parts(expression, _CPP_PARTS)
    return _HEADER.substitute(
        name=name,
        guard=f"BIT_{name}_{description['sha256'][:16]}",
        version=description["version"],
        version_text=cpp_text(description["version"]),
        sha256=cpp_text(description["sha256"]),
        description=_comment(expression, "//"),
        n_features=len(expression.features),
        feature_names=cpp_array(cpp_text(feature["name"]) for feature in description["features"]),
        feature_units=cpp_array(cpp_text(feature["unit"]) for feature in description["features"]),
        output_names=cpp_array([cpp_text(expression.name)]),
        parts="\n".join(["", "namespace detail {", *parts, "}  // namespace detail", ""]) if parts else "",
        formula=source(expression, CPP),
    )


def _parts(expression: Expression, parts: Mapping[str, str]) -> list[str]:
    """Definitions of the operators that the formula uses."""
    used = {item.operator for item in walk(expression.node) if isinstance(item, Call)}
    return [text for name, text in parts.items() if name in used]


# ---------------------------------------------------------------------- numpy
_NUMPY_PARTS: Final = {
    "square": "def square(a):\n    return a * a\n",
    "cube": "def cube(a):\n    return a * a * a\n",
    "aq": "def aq(a, b):\n    return a / np.sqrt(1.0 + b * b)\n",
    "erf": "erf = np.vectorize(math.erf, otypes=[np.float64])  # numpy has none\n",
}

_MODULE: Final = Template('''\
"""A formula, written by bit $version; needs nothing but numpy.

    value = predict(features)      # (n_events, $n_features) -> (n_events,)

Columns are FEATURES, in this order. Outside its domain the formula is NaN or infinite.
"""

$imports
FEATURES = $feature_names
UNITS = $feature_units
OUTPUTS = $output_names
METADATA = $metadata


def predict(features):
    """Return the formula: features of shape (n_events, $n_features) give doubles of shape (n_events,)."""
    events = np.asarray(features, dtype=np.float64)
    if events.ndim != 2 or events.shape[1] != len(FEATURES):
        raise ValueError(f"features have the shape {events.shape}: (n_events, {len(FEATURES)}) is needed, {FEATURES}")
    with np.errstate(all="ignore"):
        return np.broadcast_to(_formula(events.T), (len(events),)).copy()


def _formula(x):
    return $formula
$parts''')


def numpy_module(expression: Expression) -> str:
    """Return a formula as a Python module that imports numpy, and math where numpy lacks a function.

    Parameters
    ----------
    expression : Expression
        The formula.

    Returns
    -------
    str
        The module.
    """
    description = describe_formula(expression)
    parts = _parts(expression, _NUMPY_PARTS)
    return _MODULE.substitute(
        version=description["version"],
        n_features=len(expression.features),
        imports=("import math\n\n" if any("math." in part for part in parts) else "") + "import numpy as np\n",
        feature_names=python_source(expression.features),
        feature_units=python_source(tuple(feature["unit"] for feature in description["features"])),
        output_names=python_source((expression.name,)),
        metadata=python_source(description),
        formula=source(expression, NUMPY),
        parts="".join(f"\n\n{part}" for part in parts),
    )
