"""Reader of the file in which PySR keeps its formulas, of searches made here or anywhere else."""

from __future__ import annotations

import csv
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from bit.errors import BitWarning, FileFormatError, InputError
from bit.expression.nodes import Node
from bit.expression.parse import parse
from bit.files import existing_file

FILE_NAME = "hall_of_fame.csv"
_COLUMNS = ("complexity", "loss", "equation")
_IMAGINARY = re.compile(r"(?<![A-Za-z_])im\b")
# Single-precision literals of Julia, 1.2f-5.
_JULIA = re.compile(r"(?<=[\d.])[fF](?=[+-]?\d)")
# PySR puts parentheses around every operation but none around a negative number, and a minus that is not a number is a
# function there: its (-1.5 ^ x0) has the base -1.5 and its (-(x0) ^ 2.0) the base -x0, unlike in Python.
_NEGATIVE_BASE = re.compile(r"(^|[(,])\s*(-(?:\d+\.?\d*|\.\d+)(?:[eEfF][+-]?\d+)?)\s*\^")
_UNARY_MINUS = re.compile(r"(^|[(,]|[-+*/^]\s)\s*-\(")


def read_hall_of_fame(
    path: str | os.PathLike[str], names: Sequence[str] | Mapping[str, str]
) -> list[tuple[int, float, Node]]:
    """Read the formulas that a search with PySR has found, wherever it ran.

    Parameters
    ----------
    path : str or path-like
        ``hall_of_fame.csv``, or the folder of the run in which it lies. As PySR does, the copy
        ``hall_of_fame.csv.bak`` beside it is preferred; where a killed run has cut one of the two, the other is read.
        Searches for several targets have one file for each, ``hall_of_fame_output1.csv`` and so on: name one.
    names : sequence of str, or mapping of str to str
        Variables that may stand in the formulas; a mapping translates them: ``{"x0": "pt", "x1": "dphi"}``.

    Returns
    -------
    list of (int, float, node)
        Complexity and loss as PySR states them, and the formula, in the order of the file. PySR searches in single
        precision: compute the loss again before comparing.

    Raises
    ------
    InputError
        If there is no such file.
    FileFormatError
        If it is no hall of fame, has no formula that can be read, or one of complex numbers.

    Warns
    -----
    BitWarning
        If formulas are left out because they hold unknown variables, functions or constants that are not finite.
    """
    file = _file_of(Path(path))
    columns, *rows = _rows(file)
    places = [[name.strip().lower() for name in columns].index(name) for name in _COLUMNS]
    found: list[tuple[int, float, Node]] = []
    refused: list[str] = []
    for row in rows:
        complexity, loss, equation = (row[place] for place in places)
        if _IMAGINARY.search(equation):
            raise FileFormatError(f"{file}: {equation!r} is a formula of complex numbers; search with real ones.")
        try:
            numbers = int(complexity), float(_JULIA.sub("e", loss))
        except ValueError:
            raise FileFormatError(
                f"{file}: complexity {complexity!r} and loss {loss!r} of {equation!r} are not numbers; check the file."
            ) from None
        try:
            found.append((*numbers, parse(_python(equation), names)))
        except InputError as error:
            refused.append(str(error))
    if not found:
        reason = f" The first: {refused[0]}" if refused else " Let the search run for longer."
        raise FileFormatError(f"{file} has no formula that can be read.{reason}")
    if refused:
        warnings.warn(
            f"{file}: {len(refused)} of {len(rows)} formulas are left out; the first: {refused[0]}",
            BitWarning,
            stacklevel=2,
        )
    return found


def _file_of(path: Path) -> Path:
    """The file that `path` means; only its copy needs to exist."""
    if not path.is_dir():
        return path if _copy_of(path).is_file() else existing_file(path)
    file = path / FILE_NAME
    if file.is_file() or _copy_of(file).is_file():
        return file
    several = sorted(entry.name for entry in path.glob("hall_of_fame_output*.csv"))
    hint = f"it has one file for each target; name one of {several}." if several else "name the folder of one run."
    raise InputError(f"no {FILE_NAME} in {path}: {hint}")


def _copy_of(path: Path) -> Path:
    return path.with_name(path.name + ".bak")


def _rows(file: Path) -> list[list[str]]:
    """Header and complete rows; a last line that is cut is left out."""
    text = _text(file)
    whole, _, last = text.rpartition("\n")
    rows = _split(file, whole)
    try:
        # The equation comes last, in quotes; without them, nobody knows whether the line is complete.
        tail = next(csv.reader([last], strict=True), []) if last.endswith('"') else []
    except csv.Error:
        tail = []
    if not rows or not {*_COLUMNS} <= {name.strip().lower() for name in rows[0]}:
        found = ",".join(rows[0]) if rows else ""
        raise FileFormatError(f"{file} starts with {found[:80]!r}, not with Complexity,Loss,Equation: no hall of fame.")
    if len(tail) == len(rows[0]):
        rows.append(tail)
    for row in rows:
        if len(row) != len(rows[0]):
            raise FileFormatError(
                f"{file}: the line {','.join(row)[:80]!r} needs {len(rows[0])} fields; check the file."
            )
    return rows


def _text(file: Path) -> str:
    """Text of the copy, or of the file where the copy is absent or cut."""
    texts = [
        candidate.read_text(encoding="utf-8-sig", errors="replace")
        for candidate in (_copy_of(file), file)
        if candidate.is_file()
    ]
    return next((text for text in texts if text.endswith("\n")), texts[0])


def _split(file: Path, text: str) -> list[list[str]]:
    try:
        return [row for row in csv.reader(text.splitlines(), strict=True) if row]
    except csv.Error as error:
        raise FileFormatError(f"{file} is not a table of comma-separated values: {error}.") from None


def _python(equation: str) -> str:
    """The same formula where Python would read PySR's signs otherwise."""
    return _UNARY_MINUS.sub(r"\1neg(", _NEGATIVE_BASE.sub(r"\1(\2) ^", equation))
