"""Events of ROOT files that are larger than memory: read once, chunk by chunk, into memory-mapped files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from bit.basis import PolynomialBasis, ThetaLike
from bit.errors import FileFormatError, InputError
from bit.events import EventTable
from bit.files import replacing
from bit.io._builder import Column, TableBuilder
from bit.io._metadata import warn_of_residual
from bit.io._plan import Request
from bit.io.root import Reading, Source, iterate, plan_reading
from bit.mapped import EventStream, MappedTable, map_file
from bit.progress import progress_bar

FORMAT: Final = "bit-cache/1"
_ROWS: Final = 200_000
_Stamp = tuple[int, int]


def stream_root(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    cache: str | os.PathLike[str],
    features: Sequence[str] | None = None,
    tree: str | None = None,
    params: Sequence[str] | None = None,
    weights: str | Sequence[str] | None = None,
    points: npt.ArrayLike | Sequence[Mapping[str, float]] | None = None,
    order: int | None = None,
    reference: ThetaLike | None = None,
    unit: str = "fb",
    norm: str = "sum",
    step_size: int = _ROWS,
    show_progress: bool = True,
) -> RootStream:
    """Describe events of ROOT files that need not fit into memory; ``BIT().fit(stream)`` trains on them.

    Parameters
    ----------
    paths, features, tree, params, weights, points, order, reference, unit, norm
        As of `bit.read_root`.
    cache : str or path-like
        Folder for the events, made if it does not exist: 4 bytes for each feature and 8 for each term of an event.
    step_size : int, default=200000
        Events per chunk: those in memory at a time, and those to be read again after an interrupt.
    show_progress : bool, default=True
        Show a progress bar on a terminal.

    Returns
    -------
    RootStream
        The description; all files were found to hold what is asked for.

    Raises
    ------
    InputError, FileFormatError
        As `bit.read_root`, and for a cache that cannot be made or a `step_size` below 1.

    Notes
    -----
    The first use reads the files, each branch once, and puts features (float32, as models take them) and weights
    (float64) into files of the cache, which are then memory-mapped. After every chunk the cache notes how far it
    is: an interrupted reading goes on with the next chunk. A complete cache serves any number of trainings with any
    parameters. It is refused if the files (size, time of change) or the arguments are other ones than it was made of.

    Thresholds are exact quantiles, those of a table in memory: each feature is a piece of the file of its own, so
    that one of them at a time is ranked. No sketch comes in between, and forests are the same, bit for bit,
    as those of ``fit(read_root(...))``.

    Examples
    --------
    >>> import tempfile
    >>> import bit
    >>> from bit.processes.analytic import PowerLaw
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bit.write_root(f"{folder}/events.root", PowerLaw().sample(2000, seed=1))
    ...     stream = bit.stream_root(f"{folder}/events.root", cache=f"{folder}/cache")
    ...     stream.n_events, bit.BIT(n_estimators=10).fit(stream).n_iter_
    (2000, 10)
    """
    if not isinstance(step_size, (int, np.integer)) or isinstance(step_size, bool) or step_size < 1:
        raise InputError(f"step_size={step_size!r}: a positive number of events is needed.")
    request = Request(features, params, weights, points, order, reference, ())
    reading = plan_reading(paths, tree, request, unit, norm)
    stamps = tuple(_stamp(source.path) for source in reading.sources)
    return RootStream(Path(cache), reading, stamps, int(step_size), show_progress)


@dataclass(frozen=True, eq=False, repr=False)
class RootStream(EventStream):
    """Events of ROOT files, read into a cache on their first use; made by `stream_root`.

    Attributes
    ----------
    cache : Path
        Folder of the files into which they are read.
    reading : Reading
        What is read from which files.
    stamps : tuple of (int, int)
        Size and time of change of each file.
    step_size : int
        Events per chunk.
    show_progress : bool
        Whether to draw a progress bar.
    """

    cache: Path
    reading: Reading
    stamps: tuple[_Stamp, ...]
    step_size: int
    show_progress: bool

    @property
    def n_events(self) -> int:
        """Number of events in all files."""
        return sum(source.n_events for source in self.reading.sources)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(self.reading.plan.feature_names)

    @property
    def basis(self) -> PolynomialBasis:
        """Polynomial of the weights."""
        return self.reading.plan.basis

    def __repr__(self) -> str:
        """Return a short description."""
        return (
            f"RootStream({self.n_events} events of {len(self.stamps)} files, features={list(self.feature_names)}, "
            f"params={list(self.basis.param_names)}, cache={str(self.cache)!r})"
        )

    def table(self) -> MappedTable:
        """Read what the cache does not hold yet, and return it as a table.

        Returns
        -------
        MappedTable
            All events, memory-mapped; features in float32, weights in fb.

        Raises
        ------
        InputError
            If the cache was made of other files or with other arguments, a file changed meanwhile, the disk has too
            little room, or a weight is NaN or infinite.
        FileFormatError
            If a file is damaged.

        Warns
        -----
        BitWarning
            As `bit.read_root`.
        """
        described = self._described()
        n_read = self._n_read(described)
        if n_read < self.n_events:
            self._read(n_read, described)
        plan, n = self.reading.plan, self.n_events
        return MappedTable(
            map_file(self._file("features"), (len(plan.features), n), np.float32).T,
            map_file(self._file("weights"), (n, plan.basis.n_terms), np.float64),
            plan.basis,
            feature_names=self.feature_names,
            units=None if plan.units is None else tuple(plan.units),
            folder=self.cache,
        )

    def _file(self, name: str) -> Path:
        return self.cache / f"{name}.{'f32' if name == 'features' else 'f64'}"

    def _described(self) -> dict[str, Any]:
        """What the cache is made of, as JSON types."""
        plan = self.reading.plan
        return {
            "files": [
                {"path": str(source.path.resolve()), "tree": source.tree, "size": size, "changed": changed}
                for source, (size, changed) in zip(self.reading.sources, self.stamps, strict=True)
            ],
            "features": plan.features,
            "weights": plan.weights,
            "points": None if plan.points is None else plan.points.tolist(),
            "terms": [list(term) for term in plan.basis.terms],
            "params": list(plan.basis.param_names),
            "reference": list(plan.basis.reference),
            "factor": self.reading.factor,
        }

    def _n_read(self, described: Mapping[str, Any]) -> int:
        """How many events the cache holds, if it is one of these events."""
        notes = self.cache / "cache.json"
        if not notes.is_file():
            try:
                self.cache.mkdir(exist_ok=True)
            except OSError as error:
                raise InputError(f"cache={str(self.cache)!r}: {error.strerror}; name a folder.") from None
            return 0
        try:
            document = json.loads(notes.read_text(encoding="utf-8"))
            found, n_read = document["source"], int(document["n_read"])
        except (ValueError, KeyError, TypeError):
            raise FileFormatError(f"{notes} cannot be read; delete the folder {self.cache}.") from None
        for name, value in {"format": FORMAT, **described}.items():
            there = document.get("format") if name == "format" else found.get(name)
            if there != value:
                what = _difference(there, value) if name == "files" else f"{name}={there!r}, now {name}={value!r}"
                raise InputError(
                    f"cache={str(self.cache)!r} holds other events: {what}. Delete the folder, or name another one."
                )
        return n_read

    def _note(self, n_read: int, described: Mapping[str, Any]) -> None:
        with replacing(self.cache / "cache.json") as temporary:
            document = {"kind": "cache", "format": FORMAT, "n_read": n_read, "source": described}
            temporary.write_text(json.dumps(document), encoding="utf-8")

    def _read(self, n_read: int, described: Mapping[str, Any]) -> None:
        """Add the events from number `n_read` on to the cache."""
        plan, n = self.reading.plan, self.n_events
        sizes = {"features": 4 * len(plan.features), "weights": 8 * plan.basis.n_terms}
        if plan.points is not None:
            sizes["residual"] = 8
        needed, free = sum(sizes.values()) * (n - n_read), shutil.disk_usage(self.cache).free
        if needed > free:
            raise InputError(
                f"cache={str(self.cache)!r}: {needed / 1e9:.3g} GB are needed, {free / 1e9:.3g} GB are free; "
                "name a folder on a larger disk."
            )
        self._note(n_read, described)
        with ExitStack() as stack:
            files = {}
            for name, size in sizes.items():
                self._file(name).touch()
                files[name] = stack.enter_context(self._file(name).open("r+b"))
                files[name].truncate(size * n)
            bar = stack.enter_context(progress_bar(n, "reading into the cache", "events", show=self.show_progress))
            bar.update(n_read)
            for chunk, residual in self._chunks(n_read):
                _write(files, n, n_read, chunk, residual)
                n_read += chunk.n_events
                self._note(n_read, described)
                bar.update(chunk.n_events)
        if plan.points is not None:
            where = str(self.reading.sources[0].path)
            warn_of_residual(np.fromfile(self._file("residual"), dtype=np.float64), plan.basis.order, where)

    def _chunks(self, first: int) -> Iterator[tuple[EventTable, npt.NDArray[np.float64]]]:
        """Events from number `first` on, and how well their base-point weights fit."""
        for source, stamp in zip(self.reading.sources, self.stamps, strict=True):
            if first < source.n_events:
                for n, column in iterate(source, self.reading.plan, self.step_size, start=first):
                    chunk = self._chunk(n, column, source)
                    if _stamp(source.path) != stamp:
                        raise InputError(f"{source.path} changed while it was read; describe the stream anew.")
                    yield chunk
            first = max(first - source.n_events, 0)

    def _chunk(self, n: int, column: Column, source: Source) -> tuple[EventTable, npt.NDArray[np.float64]]:
        builder = TableBuilder(self.reading.plan, n, [source.empty])
        builder.add(n, column, source.path)
        return builder.events(self.reading.factor), builder.residual


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _difference(there: Any, here: list[dict[str, Any]]) -> str:
    """Say which file differs."""
    for old, new in zip(there, here, strict=False):
        if old != new:
            return f"it was made of {old}, now {new}"
    return f"it was made of {len(there)} files, now {len(here)}"


def _write(
    files: Mapping[str, IO[bytes]],
    n_events: int,
    first: int,
    chunk: EventTable,
    residual: npt.NDArray[np.float64],
) -> None:
    """Put a chunk in its place, column by column of the features, row by row of the rest."""
    file = files["features"]
    for f, column in enumerate(chunk.features.T):
        file.seek(4 * (f * n_events + first))
        file.write(column.astype(np.float32).tobytes())
    for name, values in (("weights", chunk.weights), ("residual", residual)):
        if name in files:
            files[name].seek(values.itemsize * first * (values.size // len(values)))
            files[name].write(np.ascontiguousarray(values).tobytes())
    # On the disk before it is noted as read.
    for file in files.values():
        file.flush()
        os.fsync(file.fileno())
