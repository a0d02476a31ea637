"""A formula laid out for many evaluations: what depends on no constant is evaluated once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bit.basis import FloatArray
from bit.expression.nodes import Call, Constant, Node, Variable, constants
from bit.expression.operators import OPERATORS, Operator


class Program:
    """Values and derivatives of one form on given events, for any values of its constants.

    Parameters
    ----------
    node : node
        The form.
    columns : mapping of str to ndarray, shape (n_events,)
        Features by name.
    wanted : sequence of str, optional
        Features to derive by.
    """

    def __init__(self, node: Node, columns: Mapping[str, FloatArray], wanted: Sequence[str] = ()) -> None:
        self.n_events = len(next(iter(columns.values())))
        self._columns = columns
        self._constants: list[int] = []
        self._features: dict[str, list[int]] = {name: [] for name in wanted}
        # Of every node, arguments before their operator; None where it depends on what is derived by.
        self._values: list[Any] = []
        self._active: list[bool] = []
        self._steps: list[tuple[int, Operator, tuple[int, ...]]] = []
        with np.errstate(all="ignore"):
            self._root = self._lay_out(node)

    def value(self, values: Sequence[float] | FloatArray) -> FloatArray:
        """Evaluate the formula.

        Parameters
        ----------
        values : sequence of float
            One per constant, in the order of `bit.expression.nodes.constants`.

        Returns
        -------
        ndarray of float64, shape (n_events,)
            NaN or infinite outside the domain.
        """
        with np.errstate(all="ignore"):
            return self._spread(self._run(values)[self._root])

    def gradient(self, values: Sequence[float] | FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Evaluate and derive the formula, in one pass up and one down.

        Parameters
        ----------
        values : sequence of float
            As for `value`.

        Returns
        -------
        value : ndarray of float64, shape (n_events,)
            As `value` returns it.
        by_constants : ndarray of float64, shape (n_events, n_constants)
            In their order.
        by_features : ndarray of float64, shape (n_events, n_wanted)
            In the order of `wanted`.
        """
        with np.errstate(all="ignore"):
            found = self._run(values)
            adjoints: dict[int, Any] = {self._root: 1.0}
            for index, operator, below in reversed(self._steps):
                adjoint, arguments = adjoints.pop(index), [found[k] for k in below]
                for k, derivative in zip(below, operator.derivatives, strict=True):
                    if self._active[k]:
                        adjoints[k] = adjoint * derivative(found[index], *arguments)
            by_features = [sum(adjoints[k] for k in places) for places in self._features.values()]
            return (
                self._spread(found[self._root]),
                self._table([adjoints[k] for k in self._constants]),
                self._table(by_features),
            )

    # ------------------------------------------------------------------ how it is laid out
    def _lay_out(self, node: Node) -> int:
        """Append a node and all below it; the constants come in the order of the text."""
        if isinstance(node, Call):
            below = tuple(self._lay_out(argument) for argument in node.arguments)
            operator, active = OPERATORS[node.operator], any(self._active[k] for k in below)
            index = self._append(None if active else operator.function(*(self._values[k] for k in below)), active)
            if active:
                self._steps.append((index, operator, below))
            return index
        if isinstance(node, Variable):
            index = self._append(self._columns[node.name], node.name in self._features)
            self._features.get(node.name, []).append(index)
            return index
        index = self._append(np.float64(node.value), isinstance(node, Constant))
        if isinstance(node, Constant):
            self._constants.append(index)
        return index

    def _append(self, value: Any, active: bool) -> int:
        self._values.append(value)
        self._active.append(active)
        return len(self._values) - 1

    def _run(self, values: Sequence[float] | FloatArray) -> list[Any]:
        found = self._values.copy()
        for index, value in zip(self._constants, values, strict=True):
            found[index] = np.float64(value)
        for index, operator, below in self._steps:
            found[index] = operator.function(*(found[k] for k in below))
        return found

    def _spread(self, value: Any) -> FloatArray:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), (self.n_events,))

    def _table(self, parts: Sequence[Any]) -> FloatArray:
        table = np.empty((len(parts), self.n_events))
        for row, part in zip(table, parts, strict=True):
            row[:] = part
        return table.T


def value_and_gradient(
    node: Node, columns: Mapping[str, FloatArray], wanted: Sequence[str] = ()
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Value, and derivatives by all constants and by some features.

    Parameters
    ----------
    node : node
        Root.
    columns : mapping of str to ndarray, shape (n_events,)
        Features by name.
    wanted : sequence of str, optional
        Features to derive by.

    Returns
    -------
    value : ndarray of float64, shape (n_events,)
        At the constants of the formula.
    by_constants : ndarray of float64, shape (n_events, n_constants)
        In their order.
    by_features : ndarray of float64, shape (n_events, n_wanted)
        In the order of `wanted`.
    """
    return Program(node, columns, wanted).gradient(constants(node))
