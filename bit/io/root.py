"""Event tables in ROOT files, as TTree or RNTuple."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import awkward as ak
import numpy as np
import numpy.typing as npt
import uproot

from bit.basis import ThetaLike
from bit.errors import BitError, FileFormatError, InputError, near_match
from bit.events import EventTable
from bit.files import existing_file, replacing
from bit.io._builder import Column, TableBuilder
from bit.io._metadata import describe, from_json, to_fb, to_json
from bit.io._plan import (
    Plan,
    Request,
    branch_and_element,
    branch_name,
    foreign_plan,
    own_plan,
    require_one_number,
    stored_branches,
    weight_branch,
)
from bit.progress import progress_bar

_METADATA: Final = "bit_metadata"
_ROWS: Final = 100_000
_Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


# ---------------------------------------------------------------------- writing
def write_root(
    path: str | os.PathLike[str],
    table: EventTable,
    *,
    tree: str = "events",
    format: Literal["ttree", "rntuple"] = "ttree",  # noqa: A002  (the word that users of ROOT look for)
    configuration: Mapping[str, Any] | None = None,
    show_progress: bool = True,
) -> None:
    """Write a table into a ROOT file; `read_root` gives it back without further arguments.

    Parameters
    ----------
    path : str or path-like
        The file; an older one is replaced once the new one is whole.
    table : EventTable
        What to write.
    tree : str, default="events"
        Name of the tree.
    format : {"ttree", "rntuple"}, default="ttree"
        TTree is read by every version of ROOT, RNTuple by 6.34 and later.
    configuration : mapping, optional
        Plain values (as for JSON) that say how the events were made; `root_metadata` returns them.
    show_progress : bool, default=True
        Show a progress bar on a terminal.

    Raises
    ------
    InputError
        If two branches would get one name, an aux array is not made of numbers or has more than two
        axes, `format` is unknown, or the folder does not exist.

    Notes
    -----
    Branches: one for each feature (its dtype kept), one for each aux array, and one float64 branch in fb for
    each term, named ``w`` (nominal), ``w__cHW`` (first derivative), ``w__cHW__cHWtil`` (second derivative).
    Characters that ROOT does not allow in a branch become ``_``. The true names, the terms, the reference
    point and the units stand as JSON in the string ``bit_metadata`` (schema ``bit-events/1``), so that no
    branch name has to be parsed.
    """
    if format not in ("ttree", "rntuple"):
        raise InputError(f"format={format!r}: 'ttree' or 'rntuple'.")
    if not re.fullmatch(r"[A-Za-z_]\w*", tree, flags=re.ASCII) or tree == _METADATA:
        raise InputError(f"tree={tree!r}: use letters, digits and _ only, and not {_METADATA!r}.")
    columns, branches = _columns(table)
    metadata = to_json(describe(table, configuration) | {"tree": tree, "branches": branches})
    types = {name: _branch_type(name, values) for name, values in columns.items()}
    with (
        replacing(path) as temporary,
        uproot.recreate(temporary) as file,
        progress_bar(table.n_events, f"writing {Path(path).name}", "events", show=show_progress) as bar,
    ):
        make = file.mktree if format == "ttree" else file.mkrntuple
        written = make(tree, types)
        for start in range(0, table.n_events, _ROWS):
            rows = slice(start, start + _ROWS)
            written.extend({name: np.ascontiguousarray(values[rows]) for name, values in columns.items()})
            bar.update(min(_ROWS, table.n_events - start))
        file[_METADATA] = metadata


def _columns(table: EventTable) -> tuple[dict[str, npt.NDArray[Any]], dict[str, list[str]]]:
    """Return all columns by branch, and the branches of features, terms and aux in their order."""
    aux = table.aux or {}
    parts: dict[str, list[tuple[str, npt.NDArray[Any]]]] = {
        "weights": [(weight_branch(term), table.weights[:, k]) for k, term in enumerate(table.basis.terms)],
        "features": [(branch_name(name), table.features[:, k]) for k, name in enumerate(table.feature_names)],
        "aux": [(branch_name(name), values) for name, values in aux.items()],
    }
    named = [branch for part in parts.values() for branch, _ in part]
    twice = sorted({branch for branch in named if named.count(branch) > 1})
    if twice:
        raise InputError(
            f"two columns would share the branch {twice[0]!r} (branches keep letters, digits and _; 'w' and 'w__...' "
            "are the weights); rename a feature, an aux array or a coefficient."
        )
    columns = dict(pair for part in ("features", "weights", "aux") for pair in parts[part])
    return columns, {kind: [branch for branch, _ in part] for kind, part in parts.items()}


def _branch_type(name: str, values: npt.NDArray[Any]) -> Any:
    if values.dtype.kind not in "biuf" or values.dtype.itemsize not in (1, 2, 4, 8) or values.dtype == np.float16:
        raise InputError(f"aux {name!r} has dtype {values.dtype}: ROOT files take bool, integer, float32 and float64.")
    if values.ndim > 2:
        raise InputError(f"aux {name!r} has shape {values.shape}: ROOT files take one or two axes; reshape it.")
    # Both formats know this spelling; a numpy type with a shape is understood by TTrees only.
    return values.dtype if values.ndim == 1 else np.dtype((values.dtype, values.shape[1:]))


# ---------------------------------------------------------------------- reading
def root_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `write_root` noted about the events of a file.

    Parameters
    ----------
    path : str or path-like
        A file written by `write_root`.

    Returns
    -------
    dict
        Keys ``schema, bit_version, tree, param_names, terms, reference, features, aux, branches, sigma_fb,
        n_events, configuration``.

    Raises
    ------
    FileFormatError
        If it is not a ROOT file or was not written by `write_root`.
    """
    with _opened(existing_file(path)) as file:
        metadata = _metadata(file, Path(path))
    if metadata is None:
        raise FileFormatError(f"{path} holds no {_METADATA!r}: it was not written by write_root.")
    return metadata


def read_root(
    paths: _Paths,
    *,
    features: Sequence[str] | None = None,
    tree: str | None = None,
    params: Sequence[str] | None = None,
    weights: str | Sequence[str] | None = None,
    points: npt.ArrayLike | Sequence[Mapping[str, float]] | None = None,
    order: int | None = None,
    reference: ThetaLike | None = None,
    unit: str = "fb",
    norm: str = "sum",
    aux: Sequence[str] | None = None,
    max_events: int | None = None,
    step_size: int | str = "100 MB",
    show_progress: bool = True,
) -> EventTable:
    """Read events from ROOT files, TTree or RNTuple, in chunks.

    Files of `write_root` need no argument but the path. In other files the weight polynomial is found in
    one of two forms: as branches ``w``, ``w__cHW``, ``w__cHW__cHWtil`` that hold the derivatives at the reference
    point, or as weights at base points (`weights` and `points`), from which derivatives are fitted.

    Parameters
    ----------
    paths : str, path-like, or sequence of them
        Files with the same branches, read one after the other as ONE sample: the common factor from `unit` and
        `norm` is applied to all, so their weights must already be normalised alike. With ``norm="sum"`` the
        cross-sections of the files add up (parts of one sample, or processes); two files that each carry the whole
        cross-section of one process are read singly and joined by `EventTable.pool`.
    features : sequence of str, optional
        Branches, globs (``"jet_*"``), or elements of jagged branches (``"jet_pt[0]"``, NaN in events that have fewer).
        Default: the features of our own files; else all branches with one number per event that are neither weights
        nor `aux`. A glob skips branches of other types.
    tree : str, optional
        Name of the tree; default the only one of the file. Of several cycles the highest is read.
    params : sequence of str, optional
        Coefficients. Default: as stored; for branches ``w__...`` the names found there, sorted. Given for files of
        `write_root`, it keeps the terms of these coefficients only, the others staying at the reference point.
    weights : str or sequence of str, optional
        Weights at base points: one branch (name or glob) that holds an array per event, of fixed length or
        jagged with constant length; or a list of branches with one number each, in the order of `points`.
    points : array-like of shape (n_points, n_params), or sequence of mappings
        Coefficients (TeV^-2) of the base points in the order of `weights`; needs `params` if an array.
    order : {1, 2}, optional
        Order of the polynomial. Default: 2 for base points, else the terms that are found.
    reference : array-like of shape (n_params,) or mapping, optional
        Where derivatives are taken (base points) or were taken (derivative branches); default 0, the SM.
    unit : {"fb", "pb"}, default="fb"
        Unit of the weights in the file.
    norm : {"sum", "average"}, default="sum"
        Whether the sum or the mean of the nominal weights of all events in `paths` is the cross-section.
    aux : sequence of str, optional
        Branches or globs to carry along in ``table.aux``. Default: as stored; none for other files.
    max_events : int, optional
        Read at most so many; as with `EventTable.take`, weights are not rescaled.
    step_size : int or str, default="100 MB"
        Events, or memory, per chunk.
    show_progress : bool, default=True
        Show a progress bar on a terminal.

    Returns
    -------
    EventTable
        Features are float32 if all branches are at most that, else float64; weights in fb.

    Raises
    ------
    InputError
        For a missing file, tree or branch (near matches are named), base points that do not determine the
        terms, weights that are NaN or infinite, unknown `unit` or `norm`.
    FileFormatError
        If a file is not a ROOT file, is damaged, holds no events, or a branch has another shape than needed.

    Warns
    -----
    BitWarning
        If in more than 1% of the events the fitted polynomial misses a base-point weight by more than 10^-3 of the
        event's largest weight.
    """
    if max_events is not None and max_events < 1:
        raise InputError(f"max_events={max_events}: at least one event is needed.")
    request = Request(features, params, weights, points, order, reference, aux)
    reading = plan_reading(paths, tree, request, unit, norm)
    builder = _read(reading.sources, reading.plan, max_events, step_size, show_progress)
    return builder.table(reading.factor, str(reading.sources[0].path))


@dataclass(frozen=True, eq=False)
class Reading:
    """What is to be read, from files that were found to hold it.

    Attributes
    ----------
    plan : Plan
        Branches and what they mean.
    sources : list of Source
        The files.
    factor : float
        Turns the weights into fb.
    """

    plan: Plan
    sources: list[Source]
    factor: float


def plan_reading(paths: _Paths, tree: str | None, request: Request, unit: str, norm: str) -> Reading:
    """Find out what to read, and check that all files have it.

    Parameters
    ----------
    paths, tree, unit, norm
        As for `read_root`.
    request : Request
        What else the caller asked for.

    Returns
    -------
    Reading
        Plan, files, factor of the weights.

    Raises
    ------
    InputError, FileFormatError
        As `read_root`.
    """
    files = [existing_file(path) for path in _as_paths(paths)]
    for name in ("features", "params", "aux"):
        names = getattr(request, name)
        if isinstance(names, str):
            raise InputError(f"{name}={names!r}: give a list of names, such as [{names!r}].")
    to_fb(unit, norm, 1)
    with _opened(files[0]) as first:
        metadata = _metadata(first, files[0]) if request.weights is None else None
        if metadata is not None and tree in (None, metadata["tree"]):
            if (unit, norm) != ("fb", "sum") or request.reference is not None or request.order is not None:
                raise InputError(
                    f"{files[0]} was written by bit and states its own unit, normalisation, order and reference "
                    "point; leave these arguments out (EventTable.rebase moves the reference point)."
                )
            tree = metadata["tree"]
            plan = own_plan(metadata, metadata["branches"], request, files[0])
        else:
            metadata = None
            tree = _tree_name(first, tree, files[0])
            plan = foreign_plan(first[tree], request, files[0])
    sources = _scan_all(files, tree, plan, metadata)
    return Reading(plan, sources, to_fb(unit, norm, sum(source.n_events for source in sources)))


def fill_table(
    paths: _Paths,
    tree: str,
    plan: Plan,
    *,
    prepare: Callable[[Column], Column],
    max_events: int | None = None,
    step_size: int | str = "100 MB",
    show_progress: bool = True,
) -> TableBuilder:
    """Read the branches of a plan, changed on the way: what readers of particular ROOT files are made of.

    Parameters
    ----------
    paths : str, path-like, or sequence of them
        Files with the same branches, read one after the other.
    tree : str
        Name of the tree.
    plan : Plan
        Branches and what they mean.
    prepare : callable
        Takes the columns of a chunk and gives those that go into the table.
    max_events : int, optional
        Read at most so many.
    step_size : int or str, default="100 MB"
        Events, or memory, per chunk.
    show_progress : bool, default=True
        Show a progress bar on a terminal.

    Returns
    -------
    TableBuilder
        Filled.

    Raises
    ------
    InputError, FileFormatError
        As `read_root`.
    """
    sources = _scan_all([existing_file(path) for path in _as_paths(paths)], tree, plan, None)
    return _read(sources, plan, max_events, step_size, show_progress, prepare)


def sum_branch(paths: _Paths, tree: str, branch: str) -> float:
    """Add up a branch over all files.

    Parameters
    ----------
    paths : str, path-like, or sequence of them
        Files with this tree.
    tree, branch : str
        Names; the branch holds one number per entry.

    Returns
    -------
    float
        The sum.

    Raises
    ------
    InputError
        For a missing file, tree or branch.
    FileFormatError
        If a file is not a ROOT file or is damaged.
    """
    total = 0.0
    for path in map(existing_file, _as_paths(paths)):
        with _opened(path) as file:
            entries = file[_tree_name(file, tree, path)]
            if branch not in set(entries.keys()):
                raise InputError(f"no branch {branch!r} in {tree} of {path}: {near_match(branch, entries.keys())}")
            total += float(ak.sum(entries[branch].array()))
    return total


@dataclass(frozen=True)
class Source:
    """One file that was found to hold all branches of the plan.

    Attributes
    ----------
    path : Path
        The file.
    tree : str
        Name of the tree.
    n_events : int
        Its events.
    empty : dict of str to ndarray
        Features and aux without events: their dtypes and shapes.
    """

    path: Path
    tree: str
    n_events: int
    empty: dict[str, npt.NDArray[Any]]


def _as_paths(paths: _Paths) -> list[str | os.PathLike[str]]:
    listed = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not listed:
        raise InputError("paths is empty: name at least one file.")
    return listed


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a ROOT file; failures of uproot inside the block become one kind of error."""
    try:
        # A Path, unlike a str, is not split at colons.
        with uproot.open(path) as file:
            # A file cut behind its last used byte would be read without complaint.
            if file.file.fEND > path.stat().st_size:
                raise FileFormatError(f"{path} is truncated: {path.stat().st_size} of {file.file.fEND} bytes.")
            yield file
    except BitError:
        raise
    except Exception as error:  # uproot and its decompressors share no base class
        reason = " ".join(str(error).split())[:200]
        raise FileFormatError(f"{path} cannot be read as a ROOT file ({reason}); it may be damaged.") from error


def _metadata(file: Any, path: Path) -> dict[str, Any] | None:
    return from_json(str(file[_METADATA]), path) if _METADATA in file else None


def _tree_name(file: Any, tree: str | None, path: Path) -> str:
    kinds = file.classnames(cycle=False)
    trees = [name for name, kind in kinds.items() if kind in ("TTree", "TNtuple", "TNtupleD") or "RNTuple" in kind]
    if not trees:
        raise FileFormatError(f"{path} holds no tree; it holds {sorted(kinds) or 'nothing'}.")
    if tree is None and len(trees) > 1:
        raise InputError(f"{path} holds several trees {trees}: choose one with tree=.")
    if tree is not None and tree.partition(";")[0] not in trees:
        raise InputError(f"no tree {tree!r} in {path}: {near_match(tree, trees)}")
    return tree or trees[0]


def _scan_all(files: list[Path], tree: str, plan: Plan, metadata: dict[str, Any] | None) -> list[Source]:
    sources = [_scan(file, tree, plan, metadata) for file in files]
    if not any(source.n_events for source in sources):
        raise FileFormatError(f"the tree {tree!r} of {', '.join(map(str, files))} holds no events.")
    return sources


def _scan(path: Path, tree: str, plan: Plan, metadata: dict[str, Any] | None) -> Source:
    """Check that a file holds all branches of the plan, and learn their types."""
    with _opened(path) as file:
        name = _tree_name(file, tree, path)
        if metadata is not None:
            mine = _metadata(file, path) or {}
            for key in ("param_names", "terms", "reference", "features", "branches"):
                if mine.get(key) != metadata[key]:
                    raise InputError(f"{path} differs from the first file in its {key}: read the files one by one.")
        branches = file[name]
        types = dict(branches.typenames())
        for branch in stored_branches(plan.columns):
            if branch not in types:
                raise InputError(f"no branch {branch!r} in {path}: {near_match(branch, types)}")
        for column in plan.features:
            require_one_number(types[branch_and_element(column)[0]], column, path)
        for branch in plan.aux.values():
            if "[]" in types[branch] or "vector" in types[branch]:
                raise FileFormatError(
                    f"{path}: the branch {branch!r} has type {types[branch]!r}; aux needs equally long rows."
                )
        fixed = dict.fromkeys([*plan.features, *plan.aux.values()])
        none = {branch: branches[branch].array(entry_stop=0) for branch in stored_branches(fixed)}
        empty = {column: _numpy(none, column) for column in fixed}
        return Source(path, name, int(branches.num_entries), empty)


def _read(
    sources: list[Source],
    plan: Plan,
    max_events: int | None,
    step_size: int | str,
    show_progress: bool,
    prepare: Callable[[Column], Column] = lambda column: column,
) -> TableBuilder:
    total = sum(source.n_events for source in sources)
    n_events = min(total, max_events or total)
    builder = TableBuilder(plan, n_events, [source.empty for source in sources])
    with progress_bar(n_events, f"reading {sources[0].path.name}", "events", show=show_progress) as bar:
        for source in sources:
            for n, column in iterate(source, plan, step_size, stop=n_events - builder.n_filled):
                builder.add(n, prepare(column), source.path)
                bar.update(n)
    return builder


def _numpy(chunk: Any, column: str) -> npt.NDArray[Any]:
    """Return a branch, or one element of it in each event, NaN where an event has fewer."""
    branch, element = branch_and_element(column)
    values = chunk[branch]
    if element is not None:
        values = ak.fill_none(ak.pad_none(values, element + 1, clip=True)[:, element], np.nan)
        single = ak.type(chunk[branch]).content.content == ak.types.NumpyType("float32")
        return np.asarray(ak.to_numpy(values), dtype=np.float32 if single else np.float64)
    array: npt.NDArray[Any] = ak.to_numpy(values)
    return array


def iterate(
    source: Source, plan: Plan, step_size: int | str, *, start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, Column]]:
    """Read the columns of a plan chunk by chunk.

    Parameters
    ----------
    source : Source
        The file.
    plan : Plan
        Columns.
    step_size : int or str
        Events, or memory, per chunk.
    start : int, default=0
        First event.
    stop : int, optional
        Event before which to stop; default all.

    Yields
    ------
    n_events : int
        Events of the chunk.
    column : callable
        Gives a column of the chunk by name.
    """
    stop = source.n_events if stop is None else min(stop, source.n_events)
    if start < stop:
        with _opened(source.path) as file:
            for chunk in file[source.tree].iterate(
                stored_branches(plan.columns), step_size=step_size, entry_start=start, entry_stop=stop, library="ak"
            ):
                yield len(chunk), partial(_numpy, chunk)
