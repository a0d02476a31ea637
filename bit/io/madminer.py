"""Event tables from MadMiner files (HDF5)."""

from __future__ import annotations

import ast
import math
import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.conventions import from_madminer
from bit.errors import BitError, FileFormatError, InputError, near_match
from bit.events import EventTable
from bit.files import existing_file
from bit.io._metadata import to_fb, warn_of_residual
from bit.optional import require
from bit.progress import progress_bar

BACKGROUND: Final = "background"
_ROWS: Final = 100_000
_LONGEST_TRANSFORM: Final = 256


def read_madminer(
    path: str | os.PathLike[str],
    *,
    params: Sequence[str] | None = None,
    reference: ThetaLike | None = None,
    observables: Sequence[str] | None = None,
    sampling_factors: Mapping[str, float] | None = None,
    raw: bool = False,
    show_progress: bool = True,
) -> EventTable:
    """Read the events of a MadMiner file, with the weight polynomial that its morphing set-up gives.

    Parameters
    ----------
    path : str or path-like
        HDF5 file with events, as ``DelphesReader``, ``LHEReader`` or ``combine_and_shuffle`` of MadMiner write it.
    params : sequence of str, optional
        Coefficients whose terms are kept, the others staying at the reference point; default all, in the file's order.
    reference : array-like of shape (n_params,) or mapping, optional
        Reference point of the table in all coefficients of the file; default 0, the SM.
    observables : sequence of str, optional
        Which of the file's observables become features; default all. NaN stays NaN ("not measured").
    sampling_factors : mapping of benchmark to float, optional
        Factor for the events that were sampled from each benchmark, needed if there are several: the events of each
        alone sum to the whole cross-section. The key ``"background"`` (default 1) is for background events. MadMiner
        itself uses the shares of the events generated, which sum to 1.
    raw : bool, default=False
        Stay with the parameters as stored, instead of the values of the card that ``parameters/transforms`` gives.
    show_progress : bool, default=True
        Show a progress bar on a terminal.

    Returns
    -------
    EventTable
        Weights in fb, from pb. Aux ``sampling_benchmark`` (number of the benchmark from which an event was
        sampled, negative for background) and ``is_background``, where the file tells.

    Raises
    ------
    InputError
        If there is no such file; for an unknown coefficient, observable or benchmark; if events were sampled from
        several benchmarks and `sampling_factors` is not given; for a transform that is not affine, without `raw`.
    FileFormatError
        If it is not an HDF5 file, is damaged, lacks what is needed (which is named), or its polynomial has powers
        beyond 2.
    MissingPackageError
        If h5py is not installed.

    Warns
    -----
    BitWarning
        If in more than 1% of the events the polynomial misses a benchmark's weight by more than 10^-3 of the event's
        largest weight.

    Notes
    -----
    C = W M^T with the weights W at the physics benchmarks (weights of nuisance benchmarks are left out) and the
    morphing matrix M; C are the coefficients of the monomials whose powers are ``morphing/components``
    (`bit.conventions.from_madminer`; arXiv:1907.10621). Without a morphing set-up, the polynomial is fitted to the
    weights at the benchmarks. MadMiner's polynomial is one in its stored parameters theta. A transform
    card = a theta + b makes it one in the value of the card, with derivatives divided by a for each power; any other
    transform does not. Transforms are parsed, never evaluated as code; definitions of observables are not read.
    """
    file = existing_file(path)
    with _opened(file) as content:
        samples = _read_samples(content, file)
        setup = _read_setup(content, samples.weights.shape[1], file)
        basis, stored = _bases(setup, reference, raw, file)
        columns = _chosen(samples.names, observables, "observable", file)
        kept = _kept(basis, params, file)
        factor = to_fb("pb", "sum", 1) * _event_factors(samples, setup, sampling_factors, file)
        n_events = len(samples.weights)
        features = np.empty((n_events, len(columns)), dtype=np.float64)
        weights = np.empty((n_events, len(kept.terms)))
        residual = np.empty(n_events)
        scale = _derivative_scale(setup, stored, raw, file)
        chosen = [basis.index(term) for term in kept.terms]
        with progress_bar(n_events, f"reading {file.name}", "events", show=show_progress) as bar:
            for start in range(0, n_events, _ROWS):
                rows = slice(start, start + _ROWS)
                at_benchmarks = np.asarray(samples.weights[rows], dtype=np.float64)[:, setup.is_physics]
                derivatives = _derivatives(at_benchmarks, setup, stored)
                residual[rows] = _residual(derivatives, at_benchmarks, setup, stored)
                weights[rows] = (derivatives * scale)[:, chosen] * factor[rows, np.newaxis]
                features[rows] = np.asarray(samples.observations[rows], dtype=np.float64)[:, columns]
                bar.update(len(at_benchmarks))
    warn_of_residual(residual, stored.order, str(file))
    return EventTable(
        features, weights, kept, feature_names=tuple(samples.names[k] for k in columns), aux=_aux(samples.sampled_from)
    )


# ---------------------------------------------------------------------- what a file holds
@dataclass(frozen=True)
class _Setup:
    """Parameters, benchmarks and morphing; None for what the file lacks."""

    params: tuple[str, ...]
    transforms: tuple[str, ...]
    benchmarks: tuple[str, ...]
    is_physics: npt.NDArray[np.bool_]
    values: FloatArray | None
    components: npt.NDArray[np.int64] | None
    matrix: FloatArray | None


@dataclass(frozen=True)
class _Samples:
    """Events; datasets are read chunk by chunk."""

    names: tuple[str, ...]
    observations: Any
    weights: Any
    sampled_from: npt.NDArray[np.int64] | None
    generated: npt.NDArray[np.float64] | None


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open an HDF5 file; failures of h5py inside the block become one kind of error."""
    h5py = require("h5py", for_="read_madminer")
    try:
        with h5py.File(file, "r") as content:
            yield content
    except BitError:
        raise
    except (OSError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{file} is not a whole HDF5 file ({reason}); copy or make it again.") from None


def _array(content: Any, name: str) -> npt.NDArray[Any] | None:
    return np.asarray(content[name][()]) if name in content else None


def _texts(content: Any, name: str) -> tuple[str, ...] | None:
    values = _array(content, name)
    if values is None:
        return None
    decoded = (value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values.tolist())
    return tuple(text.rstrip("\0") for text in decoded)


def _read_setup(content: Any, n_benchmarks: int, file: Path) -> _Setup:
    params = _texts(content, "parameters/names")
    if not params:
        raise FileFormatError(f"{file} lacks parameters/names: without them weights have no meaning in coefficients.")
    transforms = _texts(content, "parameters/transforms") or ("",) * len(params)
    if len(transforms) != len(params):
        raise FileFormatError(f"{file}: {len(transforms)} parameters/transforms for {len(params)} parameters.")
    values = _array(content, "benchmarks/values")
    matrix = _array(content, "morphing/morphing_matrix")
    components = _array(content, "morphing/components")
    if values is None and (matrix is None or components is None):
        raise FileFormatError(
            f"{file} lacks morphing/components, morphing/morphing_matrix and benchmarks/values: weights at unknown "
            "points give no polynomial; take the file that was set up with add_benchmark and set_morphing."
        )
    nuisance = _array(content, "benchmarks/is_nuisance")
    names = _texts(content, "benchmarks/names")
    for what, array in (("names", names), ("values", values), ("is_nuisance", nuisance)):
        if array is not None and len(array) != n_benchmarks:
            raise FileFormatError(
                f"{file}: benchmarks/{what} has {len(array)} entries, but samples/weights has {n_benchmarks} columns."
            )
    is_physics = np.ones(n_benchmarks, dtype=bool) if nuisance is None else ~nuisance.astype(bool)
    n_physics = int(is_physics.sum())
    if matrix is not None and matrix.shape[1:] != (n_physics,):
        raise FileFormatError(
            f"{file}: morphing/morphing_matrix has shape {matrix.shape} for {n_physics} physics benchmarks; set the "
            "morphing up again after the last benchmark."
        )
    return _Setup(
        params=params,
        transforms=transforms,
        benchmarks=names or tuple(f"benchmark_{k}" for k in range(n_benchmarks)),
        is_physics=is_physics,
        values=None if values is None else values[is_physics].astype(np.float64),
        components=components if matrix is not None else None,
        matrix=matrix if components is not None else None,
    )


def _read_samples(content: Any, file: Path) -> _Samples:
    for name in ("samples/observations", "samples/weights"):
        if name not in content:
            raise FileFormatError(
                f"{file} lacks {name}: it holds a set-up but no events; run DelphesReader or LHEReader of MadMiner."
            )
    observations, weights = content["samples/observations"], content["samples/weights"]
    if observations.ndim != 2 or weights.ndim != 2 or len(observations) != len(weights):
        raise FileFormatError(
            f"{file}: samples/observations {observations.shape} and samples/weights {weights.shape} do not fit."
        )
    if len(weights) == 0:
        raise FileFormatError(f"{file} holds no events.")
    names = _texts(content, "observables/names") or tuple(f"observable_{k}" for k in range(observations.shape[1]))
    if len(names) != observations.shape[1]:
        raise FileFormatError(f"{file}: {len(names)} observables/names for {observations.shape[1]} observables.")
    sampled_from = _array(content, "samples/sampling_benchmarks")
    if sampled_from is not None and len(sampled_from) == 0:
        sampled_from = None
    if sampled_from is not None and len(sampled_from) != len(weights):
        raise FileFormatError(f"{file}: {len(sampled_from)} samples/sampling_benchmarks for {len(weights)} events.")
    return _Samples(
        names,
        observations,
        weights,
        None if sampled_from is None else sampled_from.astype(np.int64),
        _array(content, "sample_summary/signal_events"),
    )


# ---------------------------------------------------------------------- choices
def _chosen(names: tuple[str, ...], wanted: Sequence[str] | None, what: str, file: Path) -> list[int]:
    if isinstance(wanted, str):
        raise InputError(f"{what}s={wanted!r}: give a list of names, such as [{wanted!r}].")
    for name in wanted or ():
        if name not in names:
            raise InputError(f"{file} has no {what} {name!r}: {near_match(name, names)}")
    return [names.index(name) for name in (names if wanted is None else wanted)]


def _kept(basis: PolynomialBasis, params: Sequence[str] | None, file: Path) -> PolynomialBasis:
    """Return the basis of the coefficients asked for, in their order."""
    columns = _chosen(basis.param_names, params, "param", file)
    return PolynomialBasis([basis.param_names[k] for k in columns], reference=[basis.reference[k] for k in columns])


def _event_factors(samples: _Samples, setup: _Setup, factors: Mapping[str, float] | None, file: Path) -> FloatArray:
    """Return the factor of each event, by the benchmark from which it was sampled."""
    n_events = len(samples.weights)
    if samples.sampled_from is None:
        if factors is not None:
            raise InputError(
                f"sampling_factors={dict(factors)}: {file} does not say how events were sampled; omit them."
            )
        return np.ones(n_events)
    physics = [name for name, kept in zip(setup.benchmarks, setup.is_physics, strict=True) if kept]
    used = np.unique(samples.sampled_from[samples.sampled_from >= 0])
    if len(used) and used[-1] >= len(physics):
        raise FileFormatError(f"{file}: samples/sampling_benchmarks names benchmark {used[-1]} of {len(physics)}.")
    for name in factors or ():
        if name not in physics and name != BACKGROUND:
            raise InputError(f"sampling_factors: no benchmark {name!r}: {near_match(name, [*physics, BACKGROUND])}")
    by_benchmark = np.ones(len(physics) + 1)  # the last one is for background: -1
    if factors is not None:
        by_benchmark[-1] = factors.get(BACKGROUND, 1.0)
    if len(used) > 1 or factors is not None:
        missing = [physics[k] for k in used if physics[k] not in (factors or {})]
        if missing:
            raise InputError(
                f"{file}: events were sampled from {[physics[k] for k in used]}, and those of each alone sum to the "
                f"cross-section; give sampling_factors for {missing}{_own_factors(samples, physics, used)}."
            )
        for k in used:
            by_benchmark[k] = (factors or {})[physics[k]]
    if not np.isfinite(by_benchmark).all():
        raise InputError(f"sampling_factors={dict(factors or {})}: every factor must be finite.")
    return by_benchmark[np.maximum(samples.sampled_from, -1)]


def _own_factors(samples: _Samples, physics: list[str], used: npt.NDArray[np.int64]) -> str:
    """What MadMiner would use, where the file tells how many events were generated."""
    generated = samples.generated
    if generated is None or len(generated) != len(physics) or not generated.sum() > 0:
        return ""
    shares = {physics[k]: round(float(generated[k] / generated.sum()), 6) for k in used}
    return f"; MadMiner itself would use the shares of generated events, {shares}"


def _aux(sampled_from: npt.NDArray[np.int64] | None) -> dict[str, npt.NDArray[Any]]:
    return {} if sampled_from is None else {"sampling_benchmark": sampled_from, "is_background": sampled_from < 0}


# ---------------------------------------------------------------------- the polynomial
def _bases(
    setup: _Setup, reference: ThetaLike | None, raw: bool, file: Path
) -> tuple[PolynomialBasis, PolynomialBasis]:
    """Return the basis in the coefficients, and the same in the parameters as stored."""
    if setup.components is not None:
        orders = np.asarray(setup.components).sum(axis=1)
        if (orders > 2).any():
            worst = np.asarray(setup.components)[int(np.argmax(orders))].tolist()
            raise FileFormatError(
                f"{file}: the component with powers {worst} of {list(setup.params)} is of order {orders.max()}: "
                "weights are polynomials of order 2 at most, so this sample cannot be read without truncation."
            )
    basis = PolynomialBasis(setup.params, reference=reference)
    slopes, offsets = _affine_transforms(setup, raw, file)
    return basis, basis.at_reference((np.array(basis.reference) - offsets) / slopes)


def _derivatives(at_benchmarks: FloatArray, setup: _Setup, stored: PolynomialBasis) -> FloatArray:
    if setup.components is not None and setup.matrix is not None:
        return from_madminer(at_benchmarks, setup.components, setup.matrix, stored)
    assert setup.values is not None
    return stored.from_base_points(setup.values, at_benchmarks).weights


def _residual(derivatives: FloatArray, at_benchmarks: FloatArray, setup: _Setup, stored: PolynomialBasis) -> FloatArray:
    """Largest deviation from a weight at a benchmark, relative to the event's largest weight."""
    if setup.values is None:
        return np.zeros(len(derivatives))
    deviation = np.abs(derivatives @ stored.monomials(setup.values).T - at_benchmarks).max(axis=1)
    largest = np.abs(at_benchmarks).max(axis=1)
    residual: FloatArray = np.divide(deviation, largest, out=np.zeros(len(deviation)), where=largest > 0)
    return residual


def _derivative_scale(setup: _Setup, stored: PolynomialBasis, raw: bool, file: Path) -> FloatArray:
    """Derivatives by the value of the card over derivatives by the stored parameter: 1/a for each power."""
    slopes, _ = _affine_transforms(setup, raw, file)
    slope = dict(zip(setup.params, slopes.tolist(), strict=True))
    return np.array([1.0 / math.prod(slope[name] for name in term) for term in stored.terms])


def _affine_transforms(setup: _Setup, raw: bool, file: Path) -> tuple[FloatArray, FloatArray]:
    """Return a and b of card = a theta + b for each parameter."""
    pairs = []
    for name, text in zip(setup.params, setup.transforms, strict=True):
        pair = (1.0, 0.0) if raw or not text.strip() else affine(text)
        if pair is None:
            raise InputError(
                f"{file}: the parameter {name!r} has the transform {text!r}, which is not affine in theta, so weights "
                "are no polynomial in the value of the card; raw=True reads them in the stored parameters."
            )
        pairs.append(pair)
    slopes, offsets = np.array(pairs).T
    return slopes, offsets


class _NotAffine(Exception):
    """An expression is not of the form a theta + b."""


def affine(text: str) -> tuple[float, float] | None:
    """Read an expression of the form a theta + b, without evaluating code.

    Parameters
    ----------
    text : str
        Numbers, ``theta``, parentheses and + - * / ** in Python's notation.

    Returns
    -------
    (float, float) or None
        a and b, with a different from 0; None if the expression is anything else.

    Examples
    --------
    >>> affine("16.52 * theta - 1/2")
    (16.52, -0.5)
    >>> affine("theta**2") is None
    True
    """
    if len(text) > _LONGEST_TRANSFORM:
        return None
    try:
        slope, offset = _affine(ast.parse(text.strip(), mode="eval").body)
    except (_NotAffine, SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        return None
    return (slope, offset) if slope != 0 and math.isfinite(slope) and math.isfinite(offset) else None


_SIGNS: Final[Mapping[type[ast.unaryop], float]] = {ast.UAdd: 1.0, ast.USub: -1.0}
_SUMS: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
}


def _affine(node: ast.expr) -> tuple[float, float]:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return 0.0, float(value)
        case ast.Name(id="theta"):
            return 1.0, 0.0
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _SIGNS:
            slope, offset = _affine(operand)
            return _SIGNS[type(op)] * slope, _SIGNS[type(op)] * offset
        case ast.BinOp(left=left, op=op, right=right):
            return _combined(_affine(left), op, _affine(right))
    raise _NotAffine


def _combined(left: tuple[float, float], op: ast.operator, right: tuple[float, float]) -> tuple[float, float]:
    if type(op) in _SUMS:
        add = _SUMS[type(op)]
        return add(left[0], right[0]), add(left[1], right[1])
    if isinstance(op, ast.Mult) and left[0] == 0:
        left, right = right, left
    if right[0] != 0:
        raise _NotAffine
    constant = right[1]
    if isinstance(op, ast.Mult):
        return left[0] * constant, left[1] * constant
    if isinstance(op, ast.Div):
        return left[0] / constant, left[1] / constant
    if isinstance(op, ast.Pow) and left[0] == 0 and left[1] > 0:
        return 0.0, left[1] ** constant
    if isinstance(op, ast.Pow) and constant == 1:
        return left
    raise _NotAffine
