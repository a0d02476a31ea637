"""Exported formulas read back: evaluated by their own runtimes and compared with the formula."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from bit.basis import FloatArray
from bit.errors import FileFormatError, InputError
from bit.export.check import Agreement, _of_cpp, _of_numpy
from bit.export.formula import LANGUAGES, spelt_out
from bit.export.load import load
from bit.expression.expression import Expression
from bit.expression.nodes import Call, walk
from bit.expression.rounding import deviation, rounding_error
from bit.files import existing_file
from bit.optional import require

FormulaFormat = Literal["json", "cpp", "numpy", "correctionlib"]


def check_formula(
    expression: Expression,
    path: str | os.PathLike[str],
    to: FormulaFormat,
    features: FloatArray,
    *,
    name: str = "observable",
) -> Agreement:
    """Evaluate the export of a formula with its own runtime and compare with the formula.

    As `bit.export.check.check_export` does with forests. Functions differ in the last digits from library to library;
    what follows from that is bounded by `bit.expression.rounding.rounding_error`, for the formula and for what it was
    spelt out to.

    Parameters
    ----------
    expression : Expression
        What was exported.
    path : str or path-like
        The file.
    to : {"json", "cpp", "numpy", "correctionlib"}
        Its format.
    features : ndarray of float64, shape (n, n_features)
        Events, such as those of `probe_formula`.
    name : str, default="observable"
        Namespace of a C++ header.

    Returns
    -------
    Agreement
        Events whose value rounding does not decide, and deviation and bound in the one that comes closest to its bound.

    Raises
    ------
    InputError
        If there is no such file, no compiler, or no event that can be compared.
    MissingPackageError
        If correctionlib is not installed.
    FileFormatError
        If the export deviates from the formula by more than rounding, or does not compile.
    """
    file = existing_file(path)
    evaluate: dict[FormulaFormat, Callable[[], FloatArray]] = {
        "json": lambda: _of_json(file, features),
        "cpp": lambda: _of_cpp(file, name, features, 1)[:, 0],
        "numpy": lambda: _of_numpy(file, features),
        "correctionlib": lambda: _of_correctionlib(file, expression.name, features),
    }
    allowed = formula_error(expression, to, features)
    decided = np.isfinite(allowed)
    found, allowed = deviation(evaluate[to](), expression.predict(features))[decided], allowed[decided]
    share = np.divide(found, allowed, where=allowed > 0.0, out=np.where(found > 0.0, np.inf, 0.0))
    if not len(share):
        raise InputError(f"rounding decides the value of {expression} in all {len(features)} events; give others.")
    closest = share.argmax()
    agreement = Agreement(len(found), float(found[closest]), float(allowed[closest]))
    if not (found <= allowed).all():
        raise FileFormatError(
            f"{file} deviates from the formula by {agreement.largest:.3g} where rounding explains at most "
            f"{agreement.allowed:.3g}: write it again from this formula."
        )
    return agreement


def formula_error(expression: Expression, to: str, features: FloatArray) -> FloatArray:
    """Bound on the deviation of an exported formula that the last digits of functions explain.

    Parameters
    ----------
    expression : Expression
        The formula.
    to : {"json", "cpp", "numpy", "tformula", "correctionlib"}
        Format.
    features : ndarray of float64, shape (n, n_features)
        Events.

    Returns
    -------
    ndarray of float64, shape (n,)
        Bounds; 0 for formats that use the same functions, infinite where rounding decides whether there is a value.
    """
    own_erf = to == "numpy" and any(isinstance(item, Call) and item.operator == "erf" for item in walk(expression.node))
    if to == "json" or (to == "numpy" and not own_erf):
        return np.zeros(len(features))
    columns = expression.columns(features)
    error = rounding_error(expression.node, columns)
    written = spelt_out(expression.node, LANGUAGES[to])
    if written != expression.node:
        error = error + rounding_error(written, columns)
    return np.broadcast_to(error, (len(features),))


def probe_formula(expression: Expression, n_events: int = 10_000, *, seed: int = 1) -> FloatArray:
    """Events on which the export of a formula could go wrong.

    The first half of the rows is random, of both signs and many orders of magnitude; in the others some features are
    NaN, infinite, zeros of both signs, whole, denormal or very large.

    Parameters
    ----------
    expression : Expression
        The formula.
    n_events : int, default=10_000
        Events.
    seed : int, default=1
        Same seed, same events.

    Returns
    -------
    ndarray of float64, shape (n_events, n_features)
        Events.
    """
    rng = np.random.default_rng(seed)
    shape = (n_events, len(expression.features))
    events = rng.normal(size=shape) * 10.0 ** rng.uniform(-3.0, 3.0, shape)
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -3.0, 1e-310, 1e300, -1e300]
    chosen = rng.random(shape) < 0.3
    chosen[: n_events // 2] = False
    return np.where(chosen, rng.choice(special, shape), events)


def _of_json(file: Path, features: FloatArray) -> FloatArray:
    expression = load(file)
    assert isinstance(expression, Expression)
    return expression.predict(features)


def _of_correctionlib(file: Path, name: str, features: FloatArray) -> FloatArray:
    correctionlib = require("correctionlib", for_="the check of a correctionlib file")
    values: FloatArray = correctionlib.CorrectionSet.from_file(str(file))[name].evaluate(*features.T)
    return values
