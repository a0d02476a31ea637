"""Les Houches event files: particles, weights, and the event tables made of them."""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from bit.basis import PolynomialBasis, ThetaLike
from bit.errors import FileFormatError, InputError
from bit.events import EventTable
from bit.files import existing_file, replacing
from bit.io._metadata import to_fb, warn_of_residual
from bit.io._weight_ids import CENTRAL, Points, base_points
from bit.particles import LHEEvents
from bit.progress import progress_bar

Features: TypeAlias = Callable[[LHEEvents], tuple[npt.ArrayLike, Sequence[str]]] | Mapping[str, npt.ArrayLike] | None

_CHUNK: Final = 1 << 22
_ID: Final = r"""\bid\s*=\s*("[^"]*"|'[^']*'|[^\s>"']+)[^>]*>"""
_WEIGHT: Final = re.compile(r"<weight\b[^>]*?" + _ID + r"([^<]*)")
_WGT: Final = re.compile(r"<wgt\b[^>]*?" + _ID + r"\s*([^<\s]*)")
_WEIGHTS: Final = re.compile(r"<weights\b[^>]*>([^<]*)<")
_EVENT: Final = re.compile(r"<event(?:\s[^>]*)?>")
_INIT: Final = re.compile(r"<init(?:\s[^>]*)?>([^<]*)")
_NORM: Final = re.compile(r"^\s*(\w+)\s*=\s*event_norm\b", re.MULTILINE)
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)


# ---------------------------------------------------------------------- event tables
def read_lhe(
    path: str | os.PathLike[str],
    *,
    params: Sequence[str] | None = None,
    points: Points | None = None,
    features: Features = None,
    reference: ThetaLike | None = None,
    order: int = 2,
    norm: str | None = None,
    unit: str = "pb",
    show_progress: bool = True,
) -> EventTable:
    """Read an LHE file with reweighting weights into an event table.

    The weights at the reweighting points are turned into derivatives at `reference` by least squares
    (`PolynomialBasis.from_base_points`).

    Parameters
    ----------
    path : str or path-like
        LHE file, plain or gzipped.
    params : sequence of str, optional
        Coefficients. Default: all that the ids name, in the order of their appearance. With a choice, points at
        which another coefficient differs from 0 are left out.
    points : mapping of id to {coefficient: value}, or callable of an id, optional
        Base points in TeV^-2; coefficients not named are 0, and a callable returns None for weights that are not
        base points. A mapping uses just the ids it names; its key ``"XWGTUP"`` stands for the central weight (the
        point at which the events were made often has no entry among the reweighting weights). Default: read from
        the ids, see Notes.
    features : callable or mapping, optional
        Function of `LHEEvents` that returns an array (n_events, n_features) and the names; or arrays (n_events,) by
        name. Default: ``p1_E, p1_px, p1_py, p1_pz, p2_E, ...`` in GeV of the outgoing particles, in the file's order.
    reference : array-like of shape (n_params,) or mapping, optional
        Reference point of the table, default 0, the SM.
    order : {1, 2}, default=2
        Order of the polynomial.
    norm : {"average", "sum"}, optional
        Whether the mean or the sum of the weights is the cross-section; default: ``event_norm`` in the header.
    unit : {"pb", "fb"}, default="pb"
        Unit of the weights in the file.
    show_progress : bool, default=True
        Show a progress bar on a terminal.

    Returns
    -------
    EventTable
        Weights in fb; aux ``event_number`` (from 0) and ``process_id``.

    Raises
    ------
    InputError
        For a missing file, unknown `unit` or `norm`, no normalisation in the header, events with different numbers
        of outgoing particles (default features), or points that do not determine all terms.
    FileFormatError
        If the file is damaged, an event lacks a weight, or the ids carry no coefficients.

    Warns
    -----
    BitWarning
        If ids other than bare numbers name no coefficients, or if in more than 1% of the events the polynomial misses
        a weight by more than 10^-3 of the event's largest weight.

    Notes
    -----
    Ids are pairs of name and value between underscores, ``p`` for the decimal point and ``m`` for minus:
    ``cHW_0p1_cHbox_m1p0``, ``rwgt_cHW_m1p0``, ``EFTrwgt183_ctG_0.4_ctW_-1.2``; ``SM`` or ``sm`` is the point 0.
    A bare number (``1001``, ``rwgt_1``) carries no values; such weights are scale and density variations where
    other ids name coefficients, and need `points` otherwise. A coefficient that an id does not name is taken to
    be 0 there, so samples made at another value of it need `points`.
    """
    events = read_lhe_particles(path, show_progress=show_progress)
    chosen = norm if norm is not None else events.event_norm
    if chosen is None or (norm is None and chosen not in ("average", "sum")):
        raise InputError(
            f"{path}: event_norm in the header is {chosen!r}; say with norm='average' or norm='sum' whether the mean "
            "or the sum of the weights is the cross-section."
        )
    factor = to_fb(unit, chosen, events.n_events)
    used = base_points(events.weight_ids, points, params, str(path))
    if params is None:
        params = list(dict.fromkeys(name for point in used.values() for name in point))
    basis = PolynomialBasis(params, order=order, reference=reference)
    column = {name: events.weights[:, k] for k, name in enumerate(events.weight_ids)} | {CENTRAL: events.weight}
    grid = np.array([basis.as_theta(point) for point in used.values()]).reshape(-1, basis.n_params)
    fit = basis.from_base_points(grid, np.stack([column[name] for name in used], axis=1))
    warn_of_residual(fit.residual, order, str(path))
    values, names, units = _features(events, features)
    return EventTable(
        cast(Any, values),
        fit.weights * factor,
        basis,
        feature_names=names,
        units=units,
        aux={"event_number": np.arange(events.n_events), "process_id": events.process_id},
    )


def _features(events: LHEEvents, features: Features) -> tuple[npt.ArrayLike, tuple[str, ...], tuple[str, ...] | None]:
    if features is None:
        momenta = events.outgoing()
        names = tuple(f"p{i + 1}_{part}" for i in range(momenta.shape[1]) for part in ("E", "px", "py", "pz"))
        return momenta.reshape(events.n_events, -1), names, ("GeV",) * len(names)
    if isinstance(features, Mapping):
        columns = [np.asarray(values) for values in features.values()]
        for name, values in zip(features, columns, strict=True):
            if values.shape != (events.n_events,):
                raise InputError(f"features[{name!r}] has shape {values.shape}, expected ({events.n_events},).")
        if not columns:
            raise InputError("features is empty: name at least one.")
        return np.stack(columns, axis=1), tuple(features), None
    array, names_ = features(events)
    return array, tuple(names_), None


# ---------------------------------------------------------------------- reading particles
def read_lhe_particles(path: str | os.PathLike[str], *, show_progress: bool = True) -> LHEEvents:
    """Read all particles and weights of an LHE file.

    Parameters
    ----------
    path : str or path-like
        LHE file, plain or gzipped (told apart by content, not by name).
    show_progress : bool, default=True
        Show a progress bar on a terminal.

    Returns
    -------
    LHEEvents
        Weights in the units of the file, in the order of the header; ids without surrounding blanks.

    Raises
    ------
    InputError
        If there is no such file.
    FileFormatError
        If the file is truncated, holds no events, or an event has the wrong number of entries, lacks a
        reweighting weight or has one too many; the event is named, counted from 0.

    Notes
    -----
    The header is searched with patterns, not parsed as XML, since real headers often are not XML: quotes of either
    kind or none, weights outside groups, missing closing tags. Weights are read from ``<rwgt>`` blocks, or else from
    ``<weights>`` lists in the order of the header. Format: hep-ph/0609017, arXiv:1405.1067.
    """
    file = existing_file(path)
    try:
        with (
            open(file, "rb") as raw,
            progress_bar(file.stat().st_size, f"reading {file.name}", "B", show=show_progress) as bar,
        ):
            zipped = raw.peek(2)[:2] == b"\x1f\x8b"
            stream = gzip.GzipFile(fileobj=raw) if zipped else raw
            text = io.TextIOWrapper(cast(Any, stream), encoding="utf-8", errors="replace")
            return _read_stream(text, lambda: bar.update(raw.tell() - bar.n), file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileFormatError(f"{file} is truncated or damaged ({error}); copy or make it again.") from None


def _read_stream(text: io.TextIOWrapper, advance: Callable[[], Any], path: Path) -> LHEEvents:
    preamble = ""
    while "</init>" not in preamble:
        chunk = text.read(_CHUNK)
        if not chunk:
            raise FileFormatError(f"{path} is not an LHE file, or is truncated: it has no whole <init> block.")
        preamble += chunk
    preamble, _, rest = preamble.partition("</init>")
    header = _COMMENT.sub("", preamble)
    texts = {_clean(name): " ".join(words.split("\n")).strip() for name, words in _WEIGHT.findall(header)}
    parser = _EventParser(path, tuple(texts))
    for block in _blocks(text, rest, advance, path):
        parser.add(block)
    if parser.n_events == 0:
        raise FileFormatError(f"{path} holds no events.")
    norm = _NORM.search(preamble)
    return LHEEvents(
        **parser.arrays(),
        **_beams(preamble, path),
        weight_texts=tuple(texts.get(name, "") for name in parser.ids),
        event_norm=norm[1] if norm else None,
    )


def _blocks(text: io.TextIOWrapper, buffer: str, advance: Callable[[], Any], path: Path) -> Iterator[str]:
    """Yield what stands between <event> and </event>, and see to it that the file has its end."""
    while True:
        start = 0
        while (stop := buffer.find("</event>", start)) >= 0:
            begin = _EVENT.search(buffer, start, stop)
            if begin is None:
                raise FileFormatError(f"{path}: an </event> has no <event>; the file is damaged.")
            yield buffer[begin.end() : stop]
            start = stop + len("</event>")
        buffer = buffer[start:]
        advance()
        chunk = text.read(_CHUNK)
        if not chunk:
            break
        buffer += chunk
    if _EVENT.search(buffer) or "</LesHouchesEvents" not in buffer:
        raise FileFormatError(f"{path} is truncated: it does not end with </LesHouchesEvents>.")


def _clean(quoted: str) -> str:
    return " ".join(quoted.strip("\"'").split())


def _floats(tokens: Sequence[str]) -> list[float]:
    try:
        return list(map(float, tokens))
    except ValueError:
        # Fortran writes exponents with D.
        return [float(token.upper().replace("D", "E")) for token in tokens]


def _beams(preamble: str, path: Path) -> dict[str, Any]:
    block = _INIT.search(preamble)
    try:
        numbers = _floats(block[1].split() if block else [])
        n_processes = int(numbers[9])
        if len(numbers) != 10 + 4 * n_processes:
            raise ValueError
    except (ValueError, IndexError):
        raise FileFormatError(f"{path}: the <init> block does not hold 10 numbers and 4 for each process.") from None
    return {
        "beam_pdg": numbers[0:2],
        "beam_energies": numbers[2:4],
        "pdf_group": numbers[4:6],
        "pdf_set": numbers[6:8],
        "weight_strategy": int(numbers[8]),
        "processes": np.reshape(numbers[10:], (n_processes, 4)),
    }


class _EventParser:
    """Collects the numbers of events, block by block, in growing flat arrays."""

    def __init__(self, path: Path, header_ids: tuple[str, ...]) -> None:
        self._path = path
        self._header_ids = header_ids
        self._raw_ids: list[str] | None = None  # ids as spelt in the last event, to look them up once
        self._columns: list[int] = []
        self._heads = array("d")
        self._particles = array("d")
        self._weights = array("d")
        self.ids: tuple[str, ...] = ()
        self.n_events = 0

    def _fail(self, problem: str) -> FileFormatError:
        return FileFormatError(f"{self._path}, event {self.n_events} (from 0): {problem}")

    def add(self, block: str) -> None:
        """Read one event."""
        head, _, tags = block.partition("<")
        if "#" in head:
            head = re.sub(r"#.*", "", head)
        try:
            numbers = _floats(head.split())
        except ValueError as error:
            raise self._fail(f"{error}; the event is damaged.") from None
        if len(numbers) < 6 or len(numbers) != 6 + 13 * numbers[0]:
            count = f"{numbers[0]:g} " if numbers else ""
            raise self._fail(f"{len(numbers)} numbers, expected 6 and then 13 for each of the {count}particles.")
        self._heads.extend(numbers[:6])
        self._particles.extend(numbers[6:])
        self._add_weights("<" + tags if tags else "")
        self.n_events += 1

    def _add_weights(self, tags: str) -> None:
        if _EVENT.search(tags):
            raise self._fail("a second <event> before </event>; the event is damaged.")
        found = _WGT.findall(tags)
        if found:
            raw_ids, values = [name for name, _ in found], [value for _, value in found]
        else:
            listed = _WEIGHTS.search(tags)
            values = listed[1].split() if listed else []
            raw_ids = list(self._header_ids) if values else []
            if len(raw_ids) != len(values):
                raise self._fail(f"{len(values)} numbers in <weights>, but the header names {len(raw_ids)} weights.")
        if raw_ids != self._raw_ids:
            self._look_up(raw_ids)
        try:
            numbers = _floats(values)
        except ValueError as error:
            raise self._fail(f"reweighting weight: {error}.") from None
        self._weights.extend([numbers[k] for k in self._columns])

    def _look_up(self, raw_ids: list[str]) -> None:
        """Find the order of the weights in this event."""
        names = [_clean(name) for name in raw_ids]
        if self.n_events == 0:
            # The header of a file whose weights were stripped may still name them.
            extra = [name for name in dict.fromkeys(names) if name not in self._header_ids]
            self.ids = (*self._header_ids, *extra) if names else ()
        missing = [name for name in self.ids if name not in names]
        unknown = [name for name in names if name not in self.ids]
        if missing:
            raise self._fail(f"{len(missing)} of {len(self.ids)} weights are missing: {missing[:10]}.")
        if unknown:
            raise self._fail(f"weights {unknown[:10]} are not in the header nor in the first event.")
        if len(names) != len(self.ids):
            raise self._fail(f"{len(names)} weights for {len(self.ids)} ids: an id stands twice.")
        self._raw_ids = raw_ids
        self._columns = [names.index(name) for name in self.ids]

    def arrays(self) -> dict[str, Any]:
        """Return the fields of `LHEEvents`."""
        heads = np.frombuffer(self._heads, dtype=np.float64).reshape(-1, 6)
        rows = np.frombuffer(self._particles, dtype=np.float64).reshape(-1, 13)
        weights = np.frombuffer(self._weights, dtype=np.float64) if self.ids else np.empty(0)
        return {
            "offsets": np.concatenate([[0], np.cumsum(heads[:, 0], dtype=np.int64)]),
            "process_id": heads[:, 1],
            "weight": heads[:, 2].copy(),
            "scale": heads[:, 3].copy(),
            "alpha_qed": heads[:, 4].copy(),
            "alpha_qcd": heads[:, 5].copy(),
            "pdg": rows[:, 0],
            "status": rows[:, 1],
            "mothers": rows[:, 2:4],
            "colour": rows[:, 4:6],
            "momenta": rows[:, [9, 6, 7, 8]],
            "mass": rows[:, 10].copy(),
            "lifetime": rows[:, 11].copy(),
            "spin": rows[:, 12].copy(),
            "weight_ids": self.ids,
            "weights": weights.reshape(self.n_events, len(self.ids)),
        }


# ---------------------------------------------------------------------- writing
def write_lhe(path: str | os.PathLike[str], events: LHEEvents, *, show_progress: bool = True) -> None:
    """Write events as an LHE file; `read_lhe_particles` gives back equal arrays.

    Parameters
    ----------
    path : str or path-like
        The file, gzipped if its name ends in ``.gz``; an older one is replaced once the new one is whole.
    events : LHEEvents
        What to write.
    show_progress : bool, default=True
        Show a progress bar on a terminal.

    Raises
    ------
    InputError
        If a weight id or text holds quotes or angle brackets, or the folder does not exist.

    Notes
    -----
    Numbers are written with as many digits as float64 needs. Format: hep-ph/0609017, arXiv:1405.1067.
    """
    for text in (*events.weight_ids, *events.weight_texts):
        if re.search(r"[<>'\"]", text) or text != text.strip():
            raise InputError(f"weight id or text {text!r}: quotes, angle brackets and outer blanks cannot be written.")
    with (
        replacing(path) as temporary,
        open(temporary, "wb") as raw,
        progress_bar(events.n_events, f"writing {Path(path).name}", "events", show=show_progress) as bar,
    ):
        # mtime=0: the same events give the same bytes.
        zipped = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) if str(path).endswith(".gz") else None
        with io.TextIOWrapper(cast(Any, zipped or raw), encoding="utf-8", newline="\n") as file:
            file.write(_preamble(events))
            for number, text in enumerate(_event_texts(events)):
                file.write(text)
                if number % 1000 == 999:
                    bar.update(1000)
            file.write("</LesHouchesEvents>\n")


def _preamble(events: LHEEvents) -> str:
    lines = ['<LesHouchesEvents version="3.0">', "<header>"]
    if events.event_norm is not None:
        lines += ["<MGRunCard>", f"  {events.event_norm} = event_norm", "</MGRunCard>"]
    if events.weight_ids:
        named = zip(events.weight_ids, events.weight_texts, strict=True)
        lines += ["<initrwgt>", "<weightgroup name='reweighting'>"]
        lines += [f"<weight id='{name}'>{text}</weight>" for name, text in named]
        lines += ["</weightgroup>", "</initrwgt>"]
    numbers = [events.beam_pdg, events.beam_energies, events.pdf_group, events.pdf_set]
    first = [repr(value) for pair in numbers for value in pair.tolist()]
    lines += ["</header>", "<init>", " ".join([*first, str(events.weight_strategy), str(len(events.processes))])]
    for *sigma, label in events.processes.tolist():
        lines.append(" ".join([*map(repr, sigma), str(int(label))]))
    return "\n".join([*lines, "</init>", ""])


def _event_texts(events: LHEEvents) -> Iterator[str]:
    whole = np.column_stack([events.pdg, events.status, events.mothers, events.colour])
    real = np.column_stack([events.momenta[:, [1, 2, 3, 0]], events.mass, events.lifetime, events.spin])
    opening = [f"<wgt id='{name}'> " for name in events.weight_ids]
    for i in range(events.n_events):
        rows = slice(events.offsets[i], events.offsets[i + 1])
        head = (events.weight[i], events.scale[i], events.alpha_qed[i], events.alpha_qcd[i])
        count = int(rows.stop - rows.start)
        lines = ["<event>", f"{count} {events.process_id[i]} " + " ".join(repr(float(value)) for value in head)]
        for integers, floats in zip(whole[rows].tolist(), real[rows].tolist(), strict=True):
            lines.append(" ".join([*map(str, integers), *map(repr, floats)]))
        if opening:
            lines.append("<rwgt>")
            values = zip(opening, events.weights[i].tolist(), strict=True)
            lines += [f"{tag}{value!r} </wgt>" for tag, value in values]
            lines.append("</rwgt>")
        yield "\n".join([*lines, "</event>", ""])
