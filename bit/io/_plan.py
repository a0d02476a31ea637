"""Which columns of a file are features, weights and aux, and what the weights mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, Term, ThetaLike
from bit.errors import FileFormatError, InputError, near_match
from bit.io._metadata import stored_basis

_NUMBER: Final = re.compile(
    r"(std::)?(u?int(8|16|32|64)_t|bool|float|double|(unsigned )?(char|short|int|long)|Float16_t|Double32_t)"
)

_ELEMENT: Final = re.compile(r"(.+)\[(\d+)\]")
_JAGGED: Final = re.compile(r"(?:std::vector<(?P<vector>.+)>|(?P<array>.+)\[\])")


def branch_name(name: str) -> str:
    """Return a name that ROOT allows for a branch."""
    safe = re.sub(r"\W", "_", name, flags=re.ASCII)
    return safe if safe and not safe[0].isdigit() else f"_{safe}"


def branch_and_element(column: str) -> tuple[str, int | None]:
    """Return ("jet_pt", 0) for ``jet_pt[0]``, the first element of a jagged branch, and (name, None) for others."""
    found = _ELEMENT.fullmatch(column)
    return (found[1], int(found[2])) if found else (column, None)


def stored_branches(columns: Iterable[str]) -> list[str]:
    """Return the branches that hold some columns, each once."""
    return list(dict.fromkeys(branch for branch, _ in map(branch_and_element, columns)))


def weight_branch(term: Term) -> str:
    """Return the branch of a derivative: w, w__cHW, w__cHW__cHWtil."""
    return "__".join(["w", *(re.sub(r"\W", "_", name, flags=re.ASCII) for name in term)])


@dataclass(frozen=True)
class Request:
    """What the caller of `read_root` asked for."""

    features: Sequence[str] | None
    params: Sequence[str] | None
    weights: str | Sequence[str] | None
    points: npt.ArrayLike | Sequence[Mapping[str, float]] | None
    order: int | None
    reference: ThetaLike | None
    aux: Sequence[str] | None


@dataclass(frozen=True)
class Plan:
    """Which branches to read and what they mean; `points` is None for derivative branches."""

    features: list[str]
    feature_names: list[str]
    units: list[str] | None
    aux: dict[str, str]
    weights: list[str]
    basis: PolynomialBasis
    points: FloatArray | None

    @property
    def columns(self) -> list[str]:
        """All columns to read, each once."""
        return list(dict.fromkeys([*self.features, *self.weights, *self.aux.values()]))


def _select(patterns: Iterable[str], available: Sequence[str], numeric: Sequence[str], what: str) -> list[str]:
    """Resolve names and globs; only globs skip what is not numeric."""
    chosen: list[str] = []
    for pattern in patterns:
        if branch_and_element(pattern)[0] in available:
            chosen.append(pattern)
            continue
        hits = [name for name in numeric if fnmatchcase(name, pattern)]
        if not hits:
            raise InputError(f"no {what} {pattern!r}: {near_match(pattern, available)}")
        chosen.extend(hits)
    return list(dict.fromkeys(chosen))


def own_plan(metadata: Mapping[str, Any], columns: Mapping[str, Sequence[str]], request: Request, path: Path) -> Plan:
    """Plan for a file that bit wrote, from its metadata and its columns of each kind."""
    basis = stored_basis(metadata)
    if request.points is not None:
        raise InputError(f"points= without weights=: {path} holds derivatives; leave points out.")
    branch_of = {
        kind: dict(zip(names, columns[kind], strict=True))
        for kind, names in (
            ("features", [feature["name"] for feature in metadata["features"]]),
            ("aux", metadata["aux"]),
            ("weights", basis.terms),
        )
    }
    unit_of = {feature["name"]: feature["unit"] for feature in metadata["features"]}
    names, extra = list(branch_of["features"]), list(branch_of["aux"])
    names = names if request.features is None else _select(request.features, names, names, "feature")
    extra = extra if request.aux is None else _select(request.aux, extra, extra, "aux array")
    if request.params is not None:
        for name in request.params:
            if name not in basis.param_names:
                raise InputError(f"{path} has no coefficient {name!r}: {near_match(name, basis.param_names)}")
        at = dict(zip(basis.param_names, basis.reference, strict=True))
        # The terms of the file, in the order of the coefficients asked for.
        kept = [
            term
            for term in PolynomialBasis(request.params).terms
            if tuple(sorted(term, key=basis.param_names.index)) in basis.terms
        ]
        basis = PolynomialBasis(request.params, reference=[at[name] for name in request.params], terms=kept)
    stored = [tuple(sorted(term, key=metadata["param_names"].index)) for term in basis.terms]
    return Plan(
        features=[branch_of["features"][name] for name in names],
        feature_names=names,
        units=[unit_of[name] for name in names],
        aux={name: branch_of["aux"][name] for name in extra},
        weights=[branch_of["weights"][term] for term in stored],
        basis=basis,
        points=None,
    )


def foreign_plan(tree: Any, request: Request, path: Path) -> Plan:
    """Plan for any other file, from its branches and what the caller says about them."""
    types = dict(tree.typenames())
    available = list(types)
    numeric = [name for name, kind in types.items() if _NUMBER.fullmatch(kind)]
    points: FloatArray | None = None
    if request.weights is None:
        if request.points is not None:
            raise InputError("points= without weights=: name the branches that hold the weights at these points.")
        columns, basis = _derivative_branches(available, request, path)
    else:
        listed = isinstance(request.weights, str)
        patterns = [request.weights] if isinstance(request.weights, str) else list(request.weights)
        columns = _select(patterns, available, available if listed else numeric, "branch for the weights")
        if listed and len(columns) > 1:
            raise InputError(
                f"weights={request.weights!r} fits {columns}: name one branch, or give a list in the order of points."
            )
        points, basis = _base_points(request)
    extra = _select(request.aux or (), available, available, "branch for the aux array")
    taken = {*columns, *extra, *(f"n{column}" for column in columns)}
    free = [name for name in numeric if name not in taken]
    names = free if request.features is None else _select(request.features, available, free, "branch for the feature")
    if not names:
        raise FileFormatError(f"{path}: no branch is left for the features; name them with features=.")
    return Plan(names, names, None, {name: name for name in extra}, columns, basis, points)


def require_one_number(kind: str, column: str, path: Path) -> None:
    """Refuse a feature whose branch, of type `kind`, does not hold one number per event."""
    branch, element = branch_and_element(column)
    jagged = _JAGGED.fullmatch(kind)
    if _NUMBER.fullmatch(kind if element is None or jagged is None else jagged["vector"] or jagged["array"]) is None:
        hint = f", such as {branch}[0]" if jagged else ""
        raise FileFormatError(
            f"{path}: the branch {branch!r} has type {kind!r}; a feature needs one number per event{hint}."
        )
    if element is not None and jagged is None:
        raise InputError(f"{path}: the branch {branch!r} has one number per event; write {branch!r}, not {column!r}.")


def _derivative_branches(available: Sequence[str], request: Request, path: Path) -> tuple[list[str], PolynomialBasis]:
    """Find the branches w, w__a, w__a__b and the terms that they stand for."""
    found = {name for name in available if name == "w" or name.startswith("w__")}
    params = request.params
    if params is None:
        params = sorted(name[3:] for name in found if name != "w" and "__" not in name[3:])
    if "w" not in found or not params:
        raise InputError(
            f"{path} has no weight polynomial in branches 'w', 'w__cHW', 'w__cHW__cHWtil', ...; name weights at base "
            f"points with weights= and points=. Branches: {', '.join(available[:20])}"
        )
    columns, terms = [], []
    required = 1 if request.order is None else request.order
    for term in PolynomialBasis(params, order=request.order or 2).terms:
        branches = [weight_branch(term), weight_branch(term[::-1])]
        branch = next((name for name in branches if name in found), None)
        if branch is not None:
            columns.append(branch)
            terms.append(term)
        elif len(term) <= required:
            raise InputError(f"no branch {branches[0]!r} in {path}: {near_match(branches[0], sorted(found))}")
    return columns, PolynomialBasis(params, reference=request.reference, terms=terms)


def _base_points(request: Request) -> tuple[FloatArray, PolynomialBasis]:
    if request.points is None:
        raise InputError("weights= without points=: give the coefficients of each point, in the order of the weights.")
    points: Any = request.points
    named = all(isinstance(point, Mapping) for point in points)
    params = request.params
    if params is None:
        if not named:
            raise InputError("points= as an array needs params=, the names of its columns.")
        params = list(dict.fromkeys(name for point in points for name in point))
    basis = PolynomialBasis(params, order=request.order or 2, reference=request.reference)
    rows = [basis.as_theta(point) for point in points] if named else points
    return np.atleast_2d(basis.as_theta(rows)), basis
