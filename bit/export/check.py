"""Exports read back: each is evaluated by its own runtime and compared with the forest that it was made from."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.errors import FileFormatError, InputError
from bit.export._tables import output_names
from bit.export.load import load
from bit.export.xgboost_json import xgboost_files
from bit.files import existing_file
from bit.optional import require
from bit.trees.forest import Forest, TreeGroup

Format = Literal["json", "cpp", "numpy", "onnx", "xgboost", "correctionlib"]
COMPILERS: Final = ("g++", "clang++", "c++")
FLAGS: Final = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror")
_ONNX_BLOCK = 1000  # events at a time: linear leaves are gathered for all trees at once

_PROGRAM = """\
#include HEADER
#include <cstdio>
#include <vector>

int main() {
  std::vector<double> x(1024 * MODEL::n_features), out(1024 * MODEL::n_outputs);
  for (;;) {
    const std::size_t n = std::fread(x.data(), sizeof(double) * MODEL::n_features, 1024, stdin);
    if (n == 0) return 0;
    MODEL::evaluate(x.data(), n, out.data());
    if (std::fwrite(out.data(), sizeof(double) * MODEL::n_outputs, n, stdout) != n) return 1;
  }
}
"""


class Agreement(NamedTuple):
    """Comparison of an export with its forest.

    Attributes
    ----------
    n_events : int
        Events compared.
    largest : float
        Largest deviation of any output.
    allowed : float
        Largest deviation that rounding explains; 0 for formats that give the forest's numbers bit for bit.
    """

    n_events: int
    largest: float
    allowed: float


def check_export(
    forest: Forest, path: str | os.PathLike[str], to: Format, features: FloatArray, *, name: str = "observable"
) -> Agreement:
    """Evaluate an export with its own runtime and compare with the forest.

    JSON is read by `bit.load`, a numpy module is run, ONNX goes through onnxruntime, files for XGBoost and
    correctionlib through these packages, a C++ header is compiled with the compiler that the environment variable CXX
    names, or the first of g++, clang++, c++.

    Parameters
    ----------
    forest : Forest
        What was exported.
    path : str or path-like
        The file; for XGBoost the folder, if there are several outputs.
    to : {"json", "cpp", "numpy", "onnx", "xgboost", "correctionlib"}
        Its format.
    features : ndarray of float64, shape (n, n_features)
        Events, such as those of `probe_events`.
    name : str, default="observable"
        Namespace of a C++ header.

    Returns
    -------
    Agreement
        Number of events and largest deviation.

    Raises
    ------
    InputError
        If there is no such file, or no compiler.
    MissingPackageError
        If onnxruntime, xgboost or correctionlib is needed and not installed.
    FileFormatError
        If the export deviates from the forest by more than rounding, or does not compile.
    """
    file = Path(path) if to == "xgboost" else existing_file(path)
    evaluate: dict[Format, Callable[[], FloatArray]] = {
        "json": lambda: _of_json(file, features),
        "cpp": lambda: _of_cpp(file, name, features, forest.n_outputs),
        "numpy": lambda: _of_numpy(file, features),
        "onnx": lambda: _of_onnx(file, features),
        "xgboost": lambda: _of_xgboost(forest, file, features),
        "correctionlib": lambda: _of_correctionlib(forest, file, features),
    }
    expected = forest.predict(features)
    deviation = np.abs(evaluate[to]() - expected)
    allowed = _allowed(forest, to, features)
    agreement = Agreement(len(features), float(deviation.max(initial=0.0)), float(allowed.max(initial=0.0)))
    if not (deviation <= allowed).all():
        raise FileFormatError(
            f"{file} deviates from the forest by up to {agreement.largest:.3g}, rounding explains at most "
            f"{agreement.allowed:.3g}: write it again from this forest."
        )
    return agreement


def _allowed(forest: Forest, to: Format, features: FloatArray) -> FloatArray:
    """Largest deviations that rounding explains."""
    if to == "onnx":
        return single_precision_error(forest, features)
    if to == "xgboost":
        return xgboost_error(forest, features)
    if to == "correctionlib":
        return correctionlib_error(forest, features)
    return np.zeros((len(features), forest.n_outputs))


def probe_events(forest: Forest, n_events: int = 10_000, *, seed: int = 1) -> FloatArray:
    """Events on which an export could go wrong.

    The first half of the rows is random; in the others each feature runs through all thresholds and bounds of linear
    leaves, their neighbours in single and double precision, NaN, infinities, both zeros and denormal numbers.

    Parameters
    ----------
    forest : Forest
        Trees.
    n_events : int, default=10_000
        Events; more if the values of one feature need it.
    seed : int, default=1
        Same seed, same events.

    Returns
    -------
    ndarray of float64, shape (n, n_features)
        Events.
    """
    rng = np.random.default_rng(seed)
    edges = [_edges_of(forest.groups, feature) for feature in range(forest.n_features)]
    chosen = [_with_neighbours(values) for values in edges]
    n_chosen = max(n_events - n_events // 2, *(len(values) for values in chosen))
    columns = []
    for values, special in zip(edges, chosen, strict=True):
        low, high = (values.min(), values.max()) if len(values) else (-1.0, 1.0)
        margin = 0.1 * (high - low) + 1.0
        at_random = rng.uniform(low - margin, high + margin, n_events // 2)
        columns.append(np.concatenate([at_random, rng.permutation(np.resize(special, n_chosen))]))
    return np.column_stack(columns)


def _edges_of(groups: tuple[TreeGroup, ...], feature: int) -> FloatArray:
    edges: list[npt.NDArray[np.floating]] = [np.empty(0)]
    for group in groups:
        edges.append(group.threshold[group.feature == feature])
        if group.linear is not None:
            there = group.linear.columns == feature
            edges += [group.linear.low[there], group.linear.high[there]]
    return np.unique(np.concatenate(edges).astype(np.float64))


def _with_neighbours(edges: FloatArray) -> FloatArray:
    tiny = float(np.finfo(np.float32).smallest_subnormal)
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, tiny, -tiny, 1e-310, -1e-310, 3e38, -3e38]
    single = edges.astype(np.float32)
    neighbours = [
        np.nextafter(values, values.dtype.type(side)) for values in (single, edges) for side in (-np.inf, np.inf)
    ]
    return np.concatenate([special, edges, *neighbours])


def single_precision_error(forest: Forest, features: FloatArray) -> FloatArray:
    """Bound on the rounding error of an ONNX model.

    With u = 2^-24, constant leaves are rounded to and summed in single precision: for T trees, in any order,
    ``|error| <= (T + 3) u S / (1 - (T + 3) u)`` with S = abs(base) + sum of abs(leaf value). Linear leaves
    are summed in double precision and the result is rounded once: ``u abs(f)``, and what changes with the order of the
    sums of double precision. With a parity S is the mean over the event and its image.

    Parameters
    ----------
    forest : Forest
        Trees.
    features : ndarray of float64, shape (n, n_features)
        Events.

    Returns
    -------
    ndarray of float64, shape (n, n_outputs)
        Bounds.
    """
    size = _magnitudes(forest).predict(features)
    n_trees = sum(group.n_trees for group in forest.groups)
    if any(group.linear is not None for group in forest.groups):
        double = 10 * (n_trees + 1) * 2.0**-53  # 4 products and 5 sums per tree
        smallest = n_trees * float(np.finfo(np.float32).smallest_subnormal)
        return 2.0**-24 * np.abs(forest.predict(features)) + double * size + smallest
    return _error_of_sum(n_trees, size, np.float32)


def xgboost_error(forest: Forest, features: FloatArray) -> FloatArray:
    """Bound on the rounding error of XGBoost, which rounds leaves to and sums them in single precision.

    ``|error| <= (n + 3) u S / (1 - (n + 3) u)`` in any order, with u = 2^-24, n trees (with a parity those of the
    images are trees as well, n = 2T), and S as in `single_precision_error`.

    Parameters
    ----------
    forest : Forest
        Trees with constant leaves.
    features : ndarray of float64, shape (n, n_features)
        Events.

    Returns
    -------
    ndarray of float64, shape (n, n_outputs)
        Bounds.
    """
    return _error_of_sum(_n_expanded(forest), _magnitudes(forest).predict(features), np.float32)


def correctionlib_error(forest: Forest, features: FloatArray) -> FloatArray:
    """Bound on the rounding error of correctionlib, which sums in double precision.

    ``|error| <= (n + 9) u S / (1 - (n + 9) u)`` with u = 2^-53, n and S as in `xgboost_error`: below 10^-12 S for a
    thousand trees. Its parser of JSON (RapidJSON, normal precision) reads numbers to three units in the last place,
    which are six of the nine u.

    Parameters
    ----------
    forest : Forest
        Trees with constant leaves.
    features : ndarray of float64, shape (n, n_features)
        Events.

    Returns
    -------
    ndarray of float64, shape (n, n_outputs)
        Bounds.
    """
    return _error_of_sum(_n_expanded(forest) + 6, _magnitudes(forest).predict(features), np.float64)


def _n_expanded(forest: Forest) -> int:
    return sum(group.n_trees for group in forest.groups) * (1 if forest.cp is None else 2)


def _error_of_sum(n_trees: int, size: FloatArray, precision: type[np.float32] | type[np.float64]) -> FloatArray:
    limits = np.finfo(precision)
    relative = (n_trees + 3) * 0.5 * float(limits.eps)
    smallest = n_trees * float(limits.smallest_subnormal)  # denormal numbers round to multiples of it
    return relative / (1 - relative) * size + smallest


def _magnitudes(forest: Forest) -> Forest:
    """Trees whose leaves are as large as those of `forest` can be for any event, and positive."""
    groups = []
    for group in forest.groups:
        value = np.abs(group.value)
        if group.linear is not None:
            part = group.linear
            reach = np.maximum(np.abs(part.low - part.centre), np.abs(part.high - part.centre))
            value = value + (np.abs(part.slope) * reach[:, np.newaxis]).sum(axis=2)
        groups.append(replace(group, value=value, linear=None))
    cp = None if forest.cp is None else replace(forest.cp, parity=np.ones(forest.n_outputs))
    return replace(forest, groups=tuple(groups), base=np.abs(forest.base), cp=cp)


def _of_json(file: Path, features: FloatArray) -> FloatArray:
    forest = load(file)
    assert isinstance(forest, Forest)
    return forest.predict(features)


def _of_numpy(file: Path, features: FloatArray) -> FloatArray:
    prediction: FloatArray = runpy.run_path(str(file))["predict"](features)
    return prediction


def _of_onnx(file: Path, features: FloatArray) -> FloatArray:
    runtime = require("onnxruntime", for_="the check of an ONNX file")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    with np.errstate(over="ignore"):
        x = features.astype(np.float32)
    blocks = (x[low : low + _ONNX_BLOCK] for low in range(0, len(x), _ONNX_BLOCK))
    return np.concatenate([session.run(None, {"features": block})[0] for block in blocks]).astype(np.float64)


def _of_xgboost(forest: Forest, path: Path, features: FloatArray) -> FloatArray:
    xgboost = require("xgboost", for_="the check of files for XGBoost")
    with np.errstate(over="ignore"):
        x = features.astype(np.float32)
    outputs = []
    for file in xgboost_files(forest, path):
        booster = xgboost.Booster({"nthread": 1}, model_file=existing_file(file))
        outputs.append(booster.inplace_predict(x).astype(np.float64))  # a DMatrix would refuse infinite numbers
    return np.column_stack(outputs)


def _of_correctionlib(forest: Forest, file: Path, features: FloatArray) -> FloatArray:
    correctionlib = require("correctionlib", for_="the check of a correctionlib file")
    compound = correctionlib.CorrectionSet.from_file(str(file)).compound
    return np.column_stack([compound[name].evaluate(*features.T) for name in output_names(forest)])


def _of_cpp(file: Path, name: str, features: FloatArray, n_outputs: int) -> FloatArray:
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "check.cpp"), Path(folder, "check")
        header = f'"{file.resolve().as_posix()}"'
        source.write_text(_PROGRAM.replace("HEADER", header).replace("MODEL", name), encoding="utf-8")
        compile_cpp(source, program)
        events = np.ascontiguousarray(features, dtype=np.float64).tobytes()
        output = subprocess.run([program], input=events, capture_output=True, check=True).stdout
    return np.frombuffer(output).reshape(-1, n_outputs)


def compile_cpp(source: Path, program: Path, *flags: str) -> None:
    """Compile C++17 with warnings as errors.

    Parameters
    ----------
    source, program : pathlib.Path
        From, to.
    *flags : str
        More flags.

    Raises
    ------
    InputError
        If there is no compiler.
    FileFormatError
        If it does not compile; the message has the compiler's first error.
    """
    compiler = os.environ.get("CXX") or next(filter(shutil.which, COMPILERS), None)
    if compiler is None or shutil.which(compiler) is None:
        raise InputError(
            f"no C++ compiler ({compiler or ', '.join(COMPILERS)}) was found to check the header with; install one or "
            "name it in the environment variable CXX."
        )
    command = [compiler, *FLAGS, *flags, str(source), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
        raise FileFormatError(f"{compiler} does not compile the header: {said}")
