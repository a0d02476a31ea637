"""Event tables from chunks of columns: what the readers of all column formats do with a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.errors import BitError, FileFormatError, InputError
from bit.events import EventTable
from bit.io._metadata import warn_of_residual
from bit.io._plan import Plan

Column: TypeAlias = Callable[[str], npt.NDArray[Any]]
"""A column of a chunk by name; ValueError where its rows have different lengths."""


class TableBuilder:
    """Preallocated arrays of a table, filled chunk by chunk.

    Parameters
    ----------
    plan : Plan
        Columns and what they mean.
    n_events : int
        Number of events that will be added.
    like : sequence of mapping of column to array
        For each file, arrays with the dtypes and shapes of features and aux (without events).
    """

    def __init__(self, plan: Plan, n_events: int, like: Sequence[Mapping[str, npt.NDArray[Any]]]) -> None:
        self._plan = plan
        used = [arrays[name].dtype for arrays in like for name in plan.features]
        dtype = np.float32 if np.result_type(*used) == np.float32 else np.float64
        self._features = np.empty((n_events, len(plan.features)), dtype=dtype)
        self._weights = np.empty((n_events, plan.basis.n_terms))
        self.residual = np.zeros(n_events)
        """Relative residual of the base-point fit, for each event."""
        self._aux = {
            name: np.empty(
                (n_events, *like[0][name].shape[1:]), dtype=_common_dtype([arrays[name].dtype for arrays in like])
            )
            for name in plan.aux.values()
        }
        self.n_filled = 0
        """Number of events added so far."""

    def __len__(self) -> int:
        """Return the number of events of the finished table."""
        return len(self._weights)

    def add(self, n_events: int, column: Column, path: Path) -> None:
        """Take over the next events.

        Parameters
        ----------
        n_events : int
            Their number.
        column : callable
            Gives a column by name.
        path : Path
            Where they come from, for messages.
        """
        rows = slice(self.n_filled, self.n_filled + n_events)
        for k, name in enumerate(self._plan.features):
            self._features[rows, k] = column(name)
        for name in self._plan.aux.values():
            self._aux[name][rows] = column(name)
        raw = _weight_columns(column, self._plan, path)
        if self._plan.points is None:
            self._weights[rows] = raw
        else:
            _require_finite(raw, rows.start, path)
            fit = self._plan.basis.from_base_points(self._plan.points, raw)
            self._weights[rows], self.residual[rows] = fit.weights, fit.residual
        self.n_filled = rows.stop

    def table(self, factor: float, where: str, more_aux: Mapping[str, npt.NDArray[Any]] | None = None) -> EventTable:
        """Return the table, once all events were added, and warn of large residuals.

        Parameters
        ----------
        factor : float
            Turns the weights into fb.
        where : str
            Name of the source, for the warning.
        more_aux : mapping of str to array, optional
            Further aux arrays.
        """
        if self._plan.points is not None:
            warn_of_residual(self.residual, self._plan.basis.order, where)
        return self.events(factor, more_aux)

    def events(self, factor: float, more_aux: Mapping[str, npt.NDArray[Any]] | None = None) -> EventTable:
        """Return the table without a look at the residuals, whose share counts over all events.

        Parameters
        ----------
        factor, more_aux
            As for `table`.
        """
        self._weights *= factor
        return EventTable(
            self._features,
            self._weights,
            self._plan.basis,
            feature_names=tuple(self._plan.feature_names),
            units=None if self._plan.units is None else tuple(self._plan.units),
            aux={name: self._aux[column] for name, column in self._plan.aux.items()} | dict(more_aux or {}),
        )


def _common_dtype(dtypes: list[np.dtype[Any]]) -> np.dtype[Any]:
    """Return the dtype of all if they agree (result_type would drop its byte order)."""
    return dtypes[0] if len(set(dtypes)) == 1 else np.result_type(*dtypes)


def _weight_columns(column: Column, plan: Plan, path: Path) -> FloatArray:
    """Return stored weights of a chunk as (n, n_columns), one column for each term or base point."""
    expected = plan.basis.n_terms if plan.points is None else len(plan.points)
    arrays = []
    for name in plan.weights:
        try:
            values = np.asarray(column(name), dtype=np.float64)
        except BitError:
            raise
        except ValueError:
            raise FileFormatError(
                f"{path}: the branch {name!r} holds different numbers of weights per event; each needs {expected}."
            ) from None
        arrays.append(values[:, np.newaxis] if values.ndim == 1 else values)
    shapes = [values.shape[1:] for values in arrays]
    if any(len(shape) != 1 for shape in shapes) or sum(shape[0] for shape in shapes) != expected:
        what = "terms" if plan.points is None else "base points"
        raise FileFormatError(
            f"{path}: the branches {plan.weights} hold arrays of shape {shapes} per event for {expected} {what}."
        )
    return np.concatenate(arrays, axis=1)


def _require_finite(weights: FloatArray, start: int, path: Path) -> None:
    bad = ~np.isfinite(weights).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{path}: event {start + row} has base-point weights {weights[row].tolist()}, NaN or infinite; "
            "remove or repair such events."
        )
