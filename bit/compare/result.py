"""What a comparison found, and its tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import bit
from bit.compare.tables import latex_table, text_table
from bit.errors import FileFormatError, InputError, near_match
from bit.inference import Interval
from bit.parity import CPParity

KIND = "bit-comparison/1"
FEATURE, CLASSIC, BEST, TRAINED, EXTRA, TRUE = "feature", "classic", "best", "trained", "extra", "true"
KINDS = (FEATURE, CLASSIC, BEST, TRAINED, EXTRA, TRUE)
"""Kinds of rows, in the order of the table."""


@dataclass(frozen=True, eq=False)
class Row:
    """One observable for one coefficient.

    Attributes
    ----------
    method : str
        Name: a feature, a classic observable, "best", one of `METHODS`, a name of `extra`, or "true".
    kind : str
        One of "feature", "classic", "best", "trained", "extra", "true".
    label : str
        Text for tables and figures; LaTeX between dollar signs.
    param : str
        The coefficient.
    observable : str
        Name of the observable, for "best" the feature that was chosen.
    interval : Interval
        Expected, in TeV^-2; infinite where the observable tells nothing.
    information_kept : float or None
        Share of the Fisher information at the SM, rate included, that the bins of the test events keep; None if there
        is none to keep.
    training_s : float or None
        Seconds; None for what needs no training.
    evaluation_s : float or None
        Seconds for 10^6 events; None for the true score, which data do not have.
    joint : bool
        Whether the training was one for all coefficients.
    """

    method: str
    kind: str
    label: str
    param: str
    observable: str
    interval: Interval
    information_kept: float | None
    training_s: float | None
    evaluation_s: float | None
    joint: bool

    @property
    def width(self) -> float:
        """Length of the allowed set in TeV^-2."""
        return sum(high - low for low, high in self.interval.pieces)

    @property
    def bounded(self) -> bool:
        """Whether the interval has two ends."""
        return math.isfinite(self.width)


@dataclass(frozen=True)
class Note:
    """Why rows are missing.

    Attributes
    ----------
    method : str
        Name of the method.
    params : tuple of str
        Coefficients without a row.
    reason : str
        The message of the error.
    """

    method: str
    params: tuple[str, ...]
    reason: str


@dataclass(frozen=True, eq=False)
class Comparison:
    """Observables and methods on the same events.

    Attributes
    ----------
    rows : tuple of Row
        Coefficient by coefficient, in the order features, classic observables, the best feature, trained methods,
        extra observables, true score.
    notes : tuple of Note
        What is missing, and why.
    settings : mapping
        Luminosity, confidence level, bins, and all else that was asked for, as JSON types.
    events : mapping of str to float
        Numbers of events of the parts "train", "edges", "test", effective number "n_eff_test" of the latter, and
        cross-section "sigma_fb" of the sample.
    interrupted : bool
        Whether Ctrl-C ended it early; the rows until then are there.
    """

    rows: tuple[Row, ...]
    notes: tuple[Note, ...]
    settings: Mapping[str, Any]
    events: Mapping[str, float]
    interrupted: bool = False

    @property
    def params(self) -> tuple[str, ...]:
        """Coefficients with at least one row."""
        return tuple(dict.fromkeys(row.param for row in self.rows))

    def row(self, method: str, param: str) -> Row:
        """Return the row of one method and coefficient.

        Parameters
        ----------
        method, param : str
            Names as in the rows.

        Returns
        -------
        Row
            The row.

        Raises
        ------
        InputError
            If there is none; the notes may tell why.
        """
        for row in self.rows:
            if (row.method, row.param) == (method, param):
                return row
        reasons = [note.reason for note in self.notes if note.method == method and param in note.params]
        known = [f"{row.method}:{row.param}" for row in self.rows]
        raise InputError(
            f"no row of {method!r} for {param!r}: {reasons[0] if reasons else near_match(f'{method}:{param}', known)}"
        )

    def ratio(self, row: Row) -> float:
        """Width of an interval relative to that of the true score.

        Parameters
        ----------
        row : Row
            Of this comparison.

        Returns
        -------
        float
            1 is the best possible, up to statistical fluctuations; infinite for intervals without bounds, NaN if there
            is no true score.
        """
        best = [other.width for other in self.rows if other.kind == TRUE and other.param == row.param]
        return row.width / best[0] if best and math.isfinite(best[0]) else math.nan

    def shown(self, param: str, n_best: int = 3) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
        """Rows of one coefficient that a table shows, and those that it sums up.

        Parameters
        ----------
        param : str
            The coefficient.
        n_best : int, default=3
            So many features, and as many classic observables, are shown: those with the narrowest intervals.

        Returns
        -------
        shown, others : tuple of Row
            In the order of the rows.
        """
        rows = [row for row in self.rows if row.param == param]
        hidden: set[str] = set()
        for kind in (FEATURE, CLASSIC):
            ranked = sorted((row for row in rows if row.kind == kind), key=lambda row: row.width)
            hidden |= {row.method for k, row in enumerate(ranked) if k >= n_best or not row.bounded}
        return (
            tuple(row for row in rows if row.method not in hidden),
            tuple(row for row in rows if row.method in hidden),
        )

    # ------------------------------------------------------------------ JSON
    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON types, with the version of `bit`.

        Returns
        -------
        dict
            Kind ``bit-comparison/1``; ends of intervals that are not bounded are None. `from_dict` takes it back.
        """
        return {
            "kind": KIND,
            "bit_version": bit.__version__,
            "settings": dict(self.settings),
            "events": dict(self.events),
            "interrupted": self.interrupted,
            "rows": [
                vars(row) | {"interval": row.interval.to_dict(), "ratio": self._ratio_or_none(row)} for row in self.rows
            ],
            "notes": [vars(note) | {"params": list(note.params)} for note in self.notes],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Comparison:
        """Return the comparison that a dictionary describes.

        Parameters
        ----------
        document : mapping
            Of `to_dict`, such as ``json.loads(path.read_text())`` of a file of ``bit compare``.

        Returns
        -------
        Comparison
            Equal to the one that was written.

        Raises
        ------
        FileFormatError
            If it is no comparison, or one of another version.
        """
        if document.get("kind") != KIND:
            raise FileFormatError(f"the document is of the kind {document.get('kind')!r}: {KIND!r} is needed.")
        try:
            rows = tuple(
                Row(
                    **{key: value for key, value in row.items() if key not in ("interval", "ratio")},
                    interval=_interval(row["interval"]),
                )
                for row in document["rows"]
            )
            notes = tuple(Note(note["method"], tuple(note["params"]), note["reason"]) for note in document["notes"])
            return cls(rows, notes, document["settings"], document["events"], document["interrupted"])
        except (KeyError, TypeError) as error:
            raise FileFormatError(f"not a valid {KIND} document ({type(error).__name__}: {error}).") from None

    def _ratio_or_none(self, row: Row) -> float | None:
        ratio = self.ratio(row)
        return ratio if math.isfinite(ratio) else None

    # ------------------------------------------------------------------ tables
    def to_text(self, *, n_best: int = 3) -> str:
        """Return the table as text for a terminal.

        Parameters
        ----------
        n_best : int, default=3
            Features, and classic observables, to show for each coefficient; the others are summed up in one line.

        Returns
        -------
        str
            One block per coefficient, and the notes.
        """
        return text_table(self, n_best)

    def to_latex(self, *, n_best: int = 3) -> str:
        r"""Return the table as LaTeX (packages booktabs and amssymb).

        Parameters
        ----------
        n_best : int, default=3
            As for `to_text`; the others are left out.

        Returns
        -------
        str
            A ``tabular``, to be put into a ``table``; notes are comments behind it.
        """
        return latex_table(self, n_best)

    def note_texts(self) -> list[str]:
        """Return the notes as lines of text.

        Returns
        -------
        list of str
            Which methods are missing, for which coefficients, and why.
        """
        lines = ["interrupted: the methods that are missing were not finished"] if self.interrupted else []
        for note in self.notes:
            where = "" if set(note.params) == set(self.settings["params"]) else f" for {', '.join(note.params)}"
            lines.append(f"{note.method}{where}: {' '.join(note.reason.split())}")
        return lines


def as_json(value: Any) -> Any:
    """Return settings as JSON types.

    Parameters
    ----------
    value : object
        Mappings, sequences, arrays, numbers, texts, CPParity.

    Returns
    -------
    object
        Dictionaries, lists, numbers, texts; anything else as its text.
    """
    if isinstance(value, CPParity):
        value = vars(value)
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _interval(document: Mapping[str, Any]) -> Interval:
    """Interval of its dictionary, where an end without bound is None."""

    def ends(low: float | None, high: float | None) -> tuple[float, float]:
        return (-math.inf if low is None else low, math.inf if high is None else high)

    values = {key: value for key, value in document.items() if key != "kind"}
    values["lower"], values["upper"] = ends(values["lower"], values["upper"])
    values["pieces"] = tuple(ends(*piece) for piece in values["pieces"])
    return Interval(**values)
