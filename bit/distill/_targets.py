"""What a formula should describe: the target, the events that say so, and the rows on which to search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, Term
from bit.errors import InputError, near_match
from bit.events import EventTable
from bit.metrics import rho2
from bit.observables import Observable
from bit.parity import CPParity

Sampling: TypeAlias = Literal["information", "weights", "stratified"]
IntArray: TypeAlias = npt.NDArray[np.int64]

# A spread below this fraction of the largest value is rounding.
_CONSTANT = 1e-12
_STRATA = 10
# Inputs whose size lies within these stay as they are, so that angles remain angles.
_NATURAL = (0.1, 10.0)


@dataclass(frozen=True, eq=False)
class Sample:
    """Events to which formulas are fitted.

    Attributes
    ----------
    columns : mapping of str to ndarray, shape (n_events,)
        Features by name.
    target : ndarray of float64, shape (n_events,)
        What to describe.
    weights : ndarray of float64, shape (n_events,)
        Non-negative, sum 1.
    """

    columns: Mapping[str, FloatArray]
    target: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, columns: Mapping[str, FloatArray], target: FloatArray, weights: FloatArray) -> Sample:
        """Normalise weights, once they are found to be weights.

        Parameters
        ----------
        columns : mapping of str to ndarray, shape (n_events,)
            Features by name.
        target, weights : ndarray of float64, shape (n_events,)
            Target, and weights of any scale.

        Returns
        -------
        Sample
            With weights of sum 1.

        Raises
        ------
        InputError
            For another shape, or weights that are negative, not finite, or all 0.
        """
        if weights.shape != target.shape:
            raise InputError(f"weights have shape {weights.shape}, but the target {target.shape}.")
        if not (np.isfinite(weights).all() and (weights >= 0.0).all() and weights.any()):
            raise InputError("weights must be finite and non-negative, and not all 0; take their absolute values.")
        return cls(columns, target, weights / weights.sum())

    @property
    def variance(self) -> float:
        """Weighted variance of the target."""
        return float(self.weights @ (self.target - self.weights @ self.target) ** 2)

    def rho2(self, predicted: FloatArray) -> float:
        """Weighted squared correlation with the target.

        Parameters
        ----------
        predicted : ndarray of float64, shape (n_events,)
            Values of a formula.

        Returns
        -------
        float
            Within [0, 1].
        """
        return float(rho2(self.target, predicted, self.weights))

    def take(self, rows: IntArray, weights: FloatArray) -> Sample:
        """Return some events with other weights.

        Parameters
        ----------
        rows : ndarray of int64, shape (n_rows,)
            Indices.
        weights : ndarray of float64, shape (n_rows,)
            Of these rows.

        Returns
        -------
        Sample
            Normalised again.
        """
        return Sample.of({name: column[rows] for name, column in self.columns.items()}, self.target[rows], weights)


@dataclass(frozen=True, eq=False)
class Target:
    """The observable to describe.

    Attributes
    ----------
    observable : Observable
        Gives the values.
    term : tuple of str or None
        The coefficient whose score it stands for.
    odd : bool
        Whether it says that it changes sign under CP.
    theta : object
        Where its score is taken; None is the reference point.
    parity : CPParity or None
        Of the model behind it.
    """

    observable: Observable
    term: Term | None
    odd: bool
    theta: Any
    parity: CPParity | None


def target_of(model_or_observable: Any, param: str | None) -> Target:
    """Return what is to be described.

    Parameters
    ----------
    model_or_observable : fitted estimator, or Observable
        An estimator needs `param` unless it was trained on one coefficient only.
    param : str or None
        Coefficient; for an observable, the one that it is meant to measure.

    Returns
    -------
    Target
        The observable, and the coefficient.

    Raises
    ------
    InputError
        If it is neither, or the coefficient is not clear.
    """
    source = model_or_observable
    if hasattr(source, "observable") and hasattr(source, "output_terms_"):
        linear = [term[0] for term in source.output_terms_ if len(term) == 1]
        if param is None and len(linear) != 1:
            raise InputError(f"param: the model knows {', '.join(linear)}; name the one to describe.")
        source = source.observable(linear[0] if param is None else param)
    if not isinstance(source, Observable):
        raise InputError(
            f"a {type(source).__name__} cannot be described: give a fitted model, or an observable such as "
            "TrueScore('cHWtil'); of a loaded forest, BIT.from_forest(forest)."
        )
    params: Sequence[str] = getattr(source, "params", None) or ()
    if param is not None and len(params) == 1 and param != params[0]:
        raise InputError(f"param={param!r}: {source.name} is of {params[0]}; name that, or leave param out.")
    if param is None and len(params) == 1:
        param = params[0]
    odd = getattr(source, "odd", False)
    odd = bool(odd) if isinstance(odd, bool) else bool(odd[0])
    parity = getattr(getattr(source, "model", None), "cp_parity", None)
    return Target(source, None if param is None else (param,), odd, getattr(source, "theta", None), parity)


def as_values(target: Observable | npt.ArrayLike, table: EventTable) -> FloatArray:
    """Values of a target for all events.

    Parameters
    ----------
    target : Observable or array-like of shape (n_events,)
        One axis.
    table : EventTable
        Events.

    Returns
    -------
    ndarray of float64, shape (n_events,)
        Finite.

    Raises
    ------
    InputError
        For several axes, another number of values, or values that are not finite.
    """
    if isinstance(target, str):
        raise InputError(f"the target is the text {target!r}: give TrueScore({target!r}), an observable or values.")
    values = np.asarray(target(table) if callable(target) else target, dtype=np.float64)
    if values.shape != (table.n_events,):
        raise InputError(
            f"the target has shape {values.shape}, expected ({table.n_events},): one value for each event."
        )
    bad = ~np.isfinite(values)
    if bad.any():
        raise InputError(
            f"the target is NaN or infinite in {int(bad.sum())} of {len(values)} events; remove these with table.take."
        )
    return values


def require_varying(values: FloatArray) -> None:
    """Refuse a target that a constant describes.

    Parameters
    ----------
    values : ndarray of float64, shape (n_events,)
        The target.

    Raises
    ------
    InputError
        If all values are equal.
    """
    if np.ptp(values) <= _CONSTANT * np.abs(values).max():
        raise InputError(f"the target is {values[0]:.6g} for all events: there is nothing to describe.")


def columns_of(table: EventTable, features: tuple[str, ...]) -> dict[str, FloatArray]:
    """Features by name, for formulas.

    Parameters
    ----------
    table : EventTable
        Events.
    features : tuple of str
        The wanted ones.

    Returns
    -------
    dict of str to ndarray of float64, shape (n_events,)
        Finite.

    Raises
    ------
    InputError
        For unknown or repeated features, or values that are not finite.
    """
    unknown = [name for name in features if name not in table.feature_names]
    if unknown:
        raise InputError(f"no features {unknown}: {near_match(unknown[0], table.feature_names)}")
    if not features or len(set(features)) != len(features):
        raise InputError(f"features={list(features)}: name at least one, and each once.")
    columns = {name: table.column(name).astype(np.float64) for name in features}
    for name, column in columns.items():
        bad = ~np.isfinite(column)
        if bad.any():
            raise InputError(
                f"the feature {name!r} is NaN or infinite in {int(bad.sum())} of {len(bad)} events; leave it out of "
                "features, or remove these events with table.take."
            )
    return columns


def choose_rows(
    sample: Sample, n_points: int, sampling: Sampling, rng: np.random.Generator
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Choose the rows on which to search.

    Parameters
    ----------
    sample : Sample
        All events.
    n_points : int
        Rows at most; fewer if there are not as many events with weight.
    sampling : {"information", "weights", "stratified"}
        Rows drawn without replacement in proportion to w (|t| + <|t|>/10); to w; or equally many from `_STRATA` ranges
        of |t| with equal sums of the first.
    rng : numpy.random.Generator
        Source of the draw.

    Returns
    -------
    rows : ndarray of int64, shape (n_rows,)
        Indices.
    emphasis : ndarray of float64, shape (n_rows,)
        Weights for the search, mean 1: what remains of w |t|, or of w for "weights", beside the density of the rows.
    unbiased : ndarray of float64, shape (n_rows,)
        Weights with which sums over the rows estimate those over all events.
    """
    size = np.abs(sample.target) if sampling != "weights" else np.ones(len(sample.target))
    # Events around t = 0 must stay in the sample, or nothing says that the formula vanishes there.
    wanted = sample.weights * (size + 0.1 * (sample.weights @ size))
    if sampling == "stratified":
        edges = np.linspace(0.0, 1.0, _STRATA + 1)[1:-1]
        order = np.argsort(np.abs(sample.target), kind="stable")
        reached = np.empty(len(order))
        reached[order] = np.cumsum(wanted[order]) / wanted.sum()
        strata = np.searchsorted(edges, reached, side="left")
        density = sample.weights / np.bincount(strata, weights=sample.weights, minlength=_STRATA)[strata]
    else:
        density = wanted
    used = np.flatnonzero(density > 0)
    if len(used) <= n_points:
        chance = np.ones(len(used))
        rows = used
    else:
        chance = _inclusion(density[used], n_points)
        picked = _systematic(chance, rng)
        rows, chance = used[picked], chance[picked]
    emphasis = wanted[rows] / chance
    return rows, emphasis / emphasis.mean(), sample.weights[rows] / chance


def _inclusion(density: FloatArray, n_points: int) -> FloatArray:
    """Chances proportional to a density, at most 1, of sum n_points."""
    chance = n_points * density / density.sum()
    while (chance > 1.0).any():
        sure = chance >= 1.0
        rest = density[~sure]
        chance = np.where(sure, 1.0, (n_points - sure.sum()) * density / rest.sum())
    return np.asarray(chance)


def _systematic(chance: FloatArray, rng: np.random.Generator) -> IntArray:
    """Rows drawn with given chances, in random order so that neighbours are independent."""
    order = rng.permutation(len(chance))
    reached = np.floor(np.cumsum(chance[order]) + rng.random())
    return np.sort(order[np.diff(reached, prepend=0.0) > 0])


def natural_scale(column: FloatArray, weights: FloatArray) -> float:
    """Power of ten by which an input is divided for the search: 1 for what is of order 1, such as angles.

    Parameters
    ----------
    column, weights : ndarray of float64, shape (n_rows,)
        The input and weights.

    Returns
    -------
    float
        Positive.
    """
    size = float(np.sqrt(weights @ column**2 / weights.sum()))
    if size == 0.0 or _NATURAL[0] <= size <= _NATURAL[1]:
        return 1.0
    return float(10.0 ** np.round(np.log10(size)))
