"""Observables: named functions of an event table. Inference cannot tell a feature from a model or a formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from bit.basis import FloatArray, ThetaLike
from bit.errors import InputError, near_match
from bit.events import EventTable


@runtime_checkable
class Observable(Protocol):
    """What can be binned: a name, a label for plots, and a value per event.

    Calling it with an `EventTable` gives float64 of shape (n_events,) or (n_events, n_axes). An attribute
    ``odd`` (bool, or one per axis) tells that the observable changes sign under CP, so that its bins should be
    symmetric about 0; without it, it counts as not odd.
    """

    @property
    def name(self) -> str:
        """Identifier, such as ``"phi"``."""

    @property
    def label(self) -> str:
        """Text on an axis; may hold LaTeX between dollar signs."""

    def __call__(self, table: EventTable) -> FloatArray:
        """Evaluate every event of a table."""


@dataclass(frozen=True)
class FeatureObservable:
    """One or more features as they stand in the table; made by `observable`.

    Parameters
    ----------
    names : tuple of str
        Names of the features, one axis each.
    label : str
        Text for plots.
    odd : bool or tuple of bool, default=False
        Whether it changes sign under CP, for all axes or one by one.
    """

    names: tuple[str, ...]
    label: str
    odd: bool | tuple[bool, ...] = False

    @property
    def name(self) -> str:
        """Names of the features, joined by commas."""
        return ",".join(self.names)

    def __call__(self, table: EventTable) -> FloatArray:
        """Return the features, shape (n_events,) for one and (n_events, n_axes) for more."""
        return _one_or_many([table.column(name) for name in self.names])


@dataclass(frozen=True)
class FunctionObservable:
    """Any function of the table under a name: products of features, formulas from papers.

    Parameters
    ----------
    name : str
        Identifier.
    function : callable
        ``function(table)`` gives (n_events,) or (n_events, n_axes).
    label : str, optional
        Text for plots; default the name.
    odd : bool or tuple of bool, default=False
        Whether it changes sign under CP, for all axes or one by one.

    Examples
    --------
    >>> product = FunctionObservable("pt2 sin", lambda t: t.column("pt") ** 2 * np.sin(t.column("phi")), odd=True)
    """

    name: str
    function: Callable[[EventTable], Any]
    label: str = ""
    odd: bool | tuple[bool, ...] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", self.label or self.name)

    def __call__(self, table: EventTable) -> FloatArray:
        """Return the function's values as float64."""
        return np.asarray(self.function(table), dtype=np.float64)


@dataclass(frozen=True, init=False)
class TrueScore:
    """The joint score t_a = d log w(theta) / d theta_a of the events: the best that any observable can be.

    Parameters
    ----------
    params : str or sequence of str
        Coefficients, one axis each.
    theta : array-like of shape (n_params,) or mapping, optional
        Absolute point, TeV^-2; default the reference point of the table.
    label : str, optional
        Text for plots.
    odd : bool or tuple of bool, default=False
        Whether it changes sign under CP: true for a CP-odd coefficient at the SM.

    Notes
    -----
    The score is raw: the rate is included. It depends on the latent truth, so it exists for simulated events
    only, and for those with w(theta) != 0.
    """

    params: tuple[str, ...]
    theta: ThetaLike | None
    label: str
    odd: bool | tuple[bool, ...]

    def __init__(
        self,
        params: str | Sequence[str],
        theta: ThetaLike | None = None,
        *,
        label: str | None = None,
        odd: bool | tuple[bool, ...] = False,
    ) -> None:
        names = _names(params, "params")
        object.__setattr__(self, "params", names)
        object.__setattr__(self, "theta", theta)
        object.__setattr__(self, "label", label or f"true score of {', '.join(names)}")
        object.__setattr__(self, "odd", odd)

    @property
    def name(self) -> str:
        """``score:`` and the coefficients."""
        return f"score:{','.join(self.params)}"

    def __call__(self, table: EventTable) -> FloatArray:
        """Return the score, in TeV^2."""
        columns = [_position(name, table.basis.param_names, "coefficient") for name in self.params]
        point = table.basis.reference if self.theta is None else self.theta
        return _one_or_many(table.joint_score(point).T[columns])


@dataclass(frozen=True, init=False)
class ModelObservable:
    """What a trained model predicts: R_a, or d log R(x | theta) / d theta_a; made by ``model.observable``.

    Parameters
    ----------
    model : fitted estimator
        With ``predict`` and ``output_terms_``, and for `theta` with ``predict_score`` and ``basis_``.
    params : str or sequence of str
        Coefficients, one axis each.
    theta : array-like of shape (n_params,) or mapping, optional
        Absolute point, TeV^-2, of the predicted score; default R_a, the score at the reference point.
    label : str, optional
        Text for plots.
    odd : bool or tuple of bool, optional
        Whether it changes sign under CP; default from the model's ``cp_parity``, if it has one (R_a only).

    Raises
    ------
    InputError
        If the model was not trained on a coefficient.
    """

    model: Any
    params: tuple[str, ...]
    theta: ThetaLike | None
    label: str
    odd: bool | tuple[bool, ...]

    def __init__(
        self,
        model: Any,
        params: str | Sequence[str],
        theta: ThetaLike | None = None,
        *,
        label: str | None = None,
        odd: bool | tuple[bool, ...] | None = None,
    ) -> None:
        names = _names(params, "params")
        known = [term[0] for term in model.output_terms_ if len(term) == 1]
        for name in names:
            _position(name, known, "linear term of the model")
        parity = getattr(model, "cp_parity", None)
        if odd is None and parity is not None and theta is None:
            odd = tuple(bool(sign < 0) for sign in parity.term_sign([(name,) for name in names]))
        at = "" if theta is None else " at theta"
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "params", names)
        object.__setattr__(self, "theta", theta)
        object.__setattr__(self, "label", label or f"predicted score of {', '.join(names)}{at}")
        object.__setattr__(self, "odd", odd or False)

    @property
    def name(self) -> str:
        """Class of the model and the coefficients."""
        return f"{type(self.model).__name__}:{','.join(self.params)}"

    def __call__(self, table: EventTable) -> FloatArray:
        """Return the prediction, in TeV^2."""
        if self.theta is None:
            terms = list(self.model.output_terms_)
            # A model that was trained on one plain array predicts one, too.
            predicted = np.asarray(self.model.predict(table), dtype=np.float64).reshape(table.n_events, -1)
            return _one_or_many([predicted[:, terms.index((name,))] for name in self.params])
        names = self.model.basis_.param_names
        score = np.asarray(self.model.predict_score(table, self.theta), dtype=np.float64)
        return _one_or_many([score[:, names.index(name)] for name in self.params])


def observable(
    name: str, *names: str, label: str | None = None, odd: bool | tuple[bool, ...] = False
) -> FeatureObservable:
    """Return the observable that one feature, or several side by side, are.

    Parameters
    ----------
    name, *names : str
        Features of the tables that it will be called with; each is one axis.
    label : str, optional
        Text for plots; default the names.
    odd : bool or tuple of bool, default=False
        Whether it changes sign under CP, for all axes or one by one.

    Returns
    -------
    FeatureObservable
        ``observable("phi")(table)`` has shape (n_events,), ``observable("phi", "pt")(table)`` (n_events, 2).
    """
    everything = (name, *names)
    return FeatureObservable(everything, label or ", ".join(everything), odd)


def _one_or_many(columns: Any) -> FloatArray:
    """One column as (n,), more as (n, d)."""
    values = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=-1)
    return values[:, 0] if values.shape[1] == 1 else values


def _names(params: str | Sequence[str], what: str) -> tuple[str, ...]:
    names = (params,) if isinstance(params, str) else tuple(params)
    if not names:
        raise InputError(f"{what} is empty: name at least one.")
    return names


def _position(name: str, known: Sequence[str], what: str) -> int:
    if name not in known:
        raise InputError(f"no {what} {name!r}: {near_match(name, known)}")
    return list(known).index(name)
