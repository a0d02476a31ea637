"""Figures of merit of formulas on held-out events: errors, correlation, information, expected limits."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.distill._targets import Target, as_values
from bit.errors import BitWarning, InputError
from bit.events import EventTable
from bit.expression import Expression
from bit.inference import equal_probability_edges, fill, limits
from bit.observables import FunctionObservable, Observable

N_BINS = 20
"""Bins for information and limits; each has the same sum of |w_0 f|, since the tails of f carry the information."""

_REPLICAS, _GROUPS = 100, 10


@dataclass(frozen=True)
class Figures:
    """How good a formula is; standard errors are statistical, from the events that judge.

    Attributes
    ----------
    mse, mse_error : float
        Mean squared error sum w_0 (f - t)^2 / sum w_0 with respect to the target; bootstrap error.
    rho2, rho2_error : float
        Squared correlation with the joint score, or with the target if no coefficient is known; bootstrap error.
    information, information_error : float or None
        Share of the information (rate included) that `N_BINS` bins of the formula keep at the SM; jackknife error.
    limit, limit_error : float or None
        Half-width of the expected 95 % interval of the coefficient from these bins at linear order, TeV^-2, if a
        luminosity is given.
    """

    mse: float
    mse_error: float
    rho2: float
    rho2_error: float
    information: float | None = None
    information_error: float | None = None
    limit: float | None = None
    limit_error: float | None = None


def figures(
    expressions: Sequence[Expression],
    table: EventTable,
    target: Target,
    values: FloatArray,
    *,
    lumi_fb: float | None,
    random_state: int,
) -> list[Figures]:
    """Judge formulas on events.

    Parameters
    ----------
    expressions : sequence of Expression
        Finite on all events.
    table : EventTable
        Held-out events.
    target : Target
        What was described.
    values : ndarray of float64, shape (n_events,)
        Its values.
    lumi_fb : float or None
        Luminosity of the limits.
    random_state : int
        Seed of the bootstrap.

    Returns
    -------
    list of Figures
        One for each formula.
    """
    predicted = np.stack([expression(table) for expression in expressions], axis=-1)
    nominal = table.weights[:, 0]
    truth = truth_of(table, target)
    reference = values if truth is None else truth
    replicas = _bootstrapped(predicted, values, reference, nominal, random_state)
    columns = [(array[0], array[1:].std(axis=0, ddof=1)) for array in replicas]
    known = truth is not None and target.term is not None
    judged = []
    for position, expression in enumerate(expressions):
        column = predicted[:, position]
        binned: tuple[float | None, ...] = ()
        if known and target.term is not None and np.ptp(column) > 0.0:
            binned = _binned(column, expression.odd, table, target.term[0], lumi_fb)
        found = (float(array[position]) for pair in columns for array in pair)
        judged.append(Figures(*found, *binned))
    return judged


def truth_of(table: EventTable, target: Target) -> FloatArray | None:
    """Joint score of the coefficient that a target stands for.

    Parameters
    ----------
    table : EventTable
        Simulated events.
    target : Target
        What is described.

    Returns
    -------
    ndarray of float64, shape (n_events,), or None
        None without a coefficient, or where events have no score.
    """
    if target.term is None or target.term[0] not in table.basis.param_names:
        return None
    point = table.basis.reference if target.theta is None else target.theta
    try:
        return table.joint_score(point)[:, table.basis.param_names.index(target.term[0])]
    except InputError:
        return None


def gain_in_rho2(
    formula: Observable, other: Observable, table: EventTable, truth: FloatArray, random_state: int
) -> tuple[float, float]:
    """Compare two formulas on the same events.

    Parameters
    ----------
    formula, other : Observable
        What is compared.
    table : EventTable
        Held-out events.
    truth : ndarray of float64, shape (n_events,)
        Joint score.
    random_state : int
        Seed of the bootstrap.

    Returns
    -------
    gain : float
        rho^2 of the other one minus that of the formula.
    error : float
        Its bootstrap error.
    """
    predicted = np.stack([formula(table), other(table)], axis=-1)
    _, found = _bootstrapped(predicted, truth, truth, table.weights[:, 0], random_state)
    gain = found[:, 1] - found[:, 0]
    return float(gain[0]), float(gain[1:].std(ddof=1))


def _bootstrapped(
    predicted: FloatArray, values: FloatArray, truth: FloatArray, weights: FloatArray, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Errors and squared correlations of formulas: one row for the events, one for each Poisson(1) replica of them."""
    rng = np.random.default_rng(seed)
    # Shifted by the means, so that the variances do not cancel.
    f, t = (array - weights @ array / weights.sum() for array in (predicted, truth))
    t = t[:, np.newaxis]
    parts = (np.ones_like(t), t, t**2, f, f**2, f * t, (predicted - values[:, np.newaxis]) ** 2)
    weighted = np.hstack(parts) * weights[:, np.newaxis]
    copies = (rng.poisson(1.0, len(weights)).astype(np.float64) for _ in range(_REPLICAS))
    sums = np.stack([weighted.sum(axis=0), *(copy @ weighted for copy in copies)])
    ends = np.cumsum([part.shape[1] for part in parts])
    nominal, sum_t, sum_t2, sum_f, sum_f2, sum_ft, error = np.split(sums, ends[:-1], axis=1)
    covariance = sum_ft - sum_f * sum_t / nominal
    variances = (sum_f2 - sum_f**2 / nominal) * (sum_t2 - sum_t**2 / nominal)
    correlation = np.divide(covariance**2, variances, out=np.zeros_like(variances), where=variances > 0.0)
    return error / nominal, correlation


def _binned(
    values: FloatArray, odd: bool, table: EventTable, param: str, lumi_fb: float | None
) -> tuple[float | None, ...]:
    """Information kept at the SM and its jackknife error, limit and its error."""
    formula = FunctionObservable("formula", lambda _: values, odd=odd)
    with warnings.catch_warnings():
        # A formula with few values fills fewer bins; that is its own fault and shows in the information.
        warnings.simplefilter("ignore", BitWarning)
        edges = equal_probability_edges(values, np.abs(table.weights[:, 0] * values), N_BINS, symmetric=odd)
    point = np.zeros(table.basis.n_params)
    weight = table.at(point)
    slope = table.weights @ table.basis.gradient(point)[table.basis.param_names.index(param)]
    if (weight == 0.0).any():
        return ()
    # Sums by bin and group; without one group at a time they give the jackknife.
    group = np.arange(table.n_events) % _GROUPS
    cell = np.searchsorted(edges[1:-1], values, side="right") * _GROUPS + group
    shape = (len(edges) - 1, _GROUPS)
    nominal, linear = (np.bincount(cell, column, math.prod(shape)).reshape(shape) for column in (weight, slope))
    full = np.bincount(group, slope**2 / weight, _GROUPS)

    def share(without: FloatArray) -> float:
        expected, change = (nominal * without).sum(axis=1), (linear * without).sum(axis=1)
        used = expected > 0.0
        return float((change[used] ** 2 / expected[used]).sum() / (full * without).sum())

    kept = share(np.ones(_GROUPS))
    parts = [share(1.0 - one) for one in np.eye(_GROUPS)]
    spread = float(np.sqrt((_GROUPS - 1) * np.var(parts)))
    if lumi_fb is None:
        return kept, spread, None, None
    interval = limits(fill(table, formula, edges, lumi_fb), params=[param], order="linear")[param]
    half = 0.5 * (interval.upper - interval.lower)
    # At linear order the limit is inverse to the root of the information.
    return kept, spread, half, 0.5 * half * spread / kept


@dataclass(frozen=True, eq=False)
class RegionalErrors:
    """Mean squared errors by size of the target, and weighted with it.

    Attributes
    ----------
    edges : ndarray of float64, shape (n_regions + 1,)
        Of |t|.
    mse : ndarray of float64, shape (n_regions,)
        sum w_0 (f - t)^2 / sum w_0 over the events of a region; NaN for an empty one.
    mse_error : ndarray of float64, shape (n_regions,)
        Its standard error.
    share : ndarray of float64, shape (n_regions,)
        Share of sum w_0 in the region.
    weighted : float
        Score-weighted mean, sum w_0 |f| (f - t)^2 / sum w_0.
    """

    edges: FloatArray
    mse: FloatArray
    mse_error: FloatArray
    share: FloatArray
    weighted: float


def regional_mse(
    expression: Observable,
    table: EventTable,
    target: Observable | npt.ArrayLike,
    edges: npt.ArrayLike = (0.0, 0.1, 0.5),
) -> RegionalErrors:
    """Mean squared errors in regions of |t|, as Table 11 of arXiv:2109.10414 has them.

    Parameters
    ----------
    expression : Expression or Observable
        The formula.
    table : EventTable
        Held-out events.
    target : Observable or array-like of shape (n_events,)
        What it should describe, t.
    edges : array-like of shape (n_regions,), default=(0, 0.1, 0.5)
        Lower ends of the regions, increasing; the last one is open.

    Returns
    -------
    RegionalErrors
        For each region, and the score-weighted error.

    Raises
    ------
    InputError
        For values that are not finite, or edges that do not increase.

    Notes
    -----
    The weighted error is Eq. 43 of arXiv:2109.10414 with |g| in place of g, which would cancel for an odd g.
    """
    bounds = np.append(np.asarray(edges, dtype=np.float64), np.inf)
    if bounds.ndim != 1 or len(bounds) < 2 or not (np.diff(bounds) > 0).all():
        raise InputError(f"edges={list(np.asarray(edges).tolist())}: lower ends of regions of |t| must increase.")
    truth, predicted = as_values(target, table), as_values(expression, table)
    nominal = table.weights[:, 0]
    error = (predicted - truth) ** 2
    region = np.searchsorted(bounds, np.abs(truth), side="right") - 1
    rows = []
    for k in range(len(bounds) - 1):
        inside = region == k
        total = nominal[inside].sum()
        mean = nominal[inside] @ error[inside] / total if total else np.nan
        spread = np.sqrt(nominal[inside] ** 2 @ (error[inside] - mean) ** 2) / abs(total) if total else np.nan
        rows.append((mean, spread, total / nominal.sum()))
    mse, mse_error, share = np.array(rows).T
    weighted = float(nominal @ (np.abs(predicted) * error) / nominal.sum())
    return RegionalErrors(bounds, mse, mse_error, share, weighted)
