"""Calibration of learned ratios R_k(x), and tests of closure by reweighting."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression
from scipy.stats import chi2

from bit.basis import FloatArray, PolynomialBasis, ThetaLike, require_finite
from bit.errors import InputError
from bit.events import EventTable
from bit.inference.results import ClosureResult, RatioCalibration
from bit.inference.templates import EdgesLike, ObservableLike, as_edges, fill

Method: TypeAlias = Literal["global", "binned", "isotonic"]

# A scale factor with a larger relative error than this says nothing.
_WORST_ERROR = 1.0 / 3.0


def calibrate(
    ratios: npt.ArrayLike, table: EventTable, *, method: Method = "isotonic", n_bins: int = 100
) -> RatioCalibration:
    """Compare learned R_k with the events' weights and find the functions that correct them, term by term.

    Parameters
    ----------
    ratios : array-like of shape (n_events, n_terms - 1)
        ``model.predict(table)``.
    table : EventTable
        Events that were not used in training, with positive nominal weights in every bin.
    method : {"isotonic", "binned", "global"}, default="isotonic"
        "global" multiplies R_k by (sum w_k / sum w_0) / <R_k>, so that the total is right; a term whose factor is
        not known to a third (a CP-odd one, of mean 0) keeps factor 1. "binned" regresses w_k/w_0 on R_k: in bins of
        R_k with equal numbers of events the mean of R_k becomes sum w_k / sum w_0, linear between and a constant
        shift outside. "isotonic" also makes the means non-decreasing (weighted by sum w_0), so that fluctuations
        do not change the order of events.
    n_bins : int, default=100
        Bins of "binned" and "isotonic"; equal ratios share one.

    Returns
    -------
    RatioCalibration
        A callable of ratios.

    Raises
    ------
    InputError
        For shapes that do not fit, NaN, unknown methods, or bins whose nominal weight is not positive.

    Notes
    -----
    A regression of the truth on R_k makes E[w_k | R_k] = R_k E[w_0 | R_k]; it cannot add what the model did not find.
    Fluctuations that a model learned from few events make R_k too wide, and the regression shrinks it; but they had
    cancelled in distributions of the features, which can close worse afterwards. `closure` in the observables of
    the measurement tells which is better.
    """
    if method not in get_args(Method):
        raise InputError(f"method={method!r}: choose one of {list(get_args(Method))}.")
    values = _checked(ratios, table)
    if not 1 <= n_bins <= table.n_events:
        raise InputError(f"n_bins={n_bins}: between 1 and the number of events, {table.n_events}.")
    nominal = table.weights[:, 0]
    pairs = []
    for k, term in enumerate(table.basis.terms[1:]):
        if method == "global":
            factor = _factor(values[:, k], table.weights[:, k + 1], nominal)
            pairs.append((np.array([0.0, 1.0]), np.array([0.0, factor])))
        else:
            learned, true, share = _binned(values[:, k], table.weights[:, k + 1], nominal, n_bins, str(term))
            pairs.append((learned, isotonic_regression(true, weights=share).x if method == "isotonic" else true))
    return RatioCalibration(table.basis.terms[1:], method, tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))


def closure(
    table: EventTable,
    ratios: npt.ArrayLike,
    theta: ThetaLike,
    observable: ObservableLike,
    edges: EdgesLike,
) -> ClosureResult:
    """Compare the distribution at theta with that of nominal events reweighted by learned ratios.

    Parameters
    ----------
    table : EventTable
        Events that were not used in training.
    ratios : array-like of shape (n_events, n_terms - 1)
        Their learned R_k.
    theta : array-like of shape (n_params,) or mapping
        Absolute c/Lambda^2 in TeV^-2.
    observable : callable
        What is histogrammed, of one or more axes; for example a feature, or the learned ratio itself.
    edges : array-like of shape (n_bins + 1,), or sequence of arrays
        As for `fill`.

    Returns
    -------
    ClosureResult
        Both distributions, the error of their difference per bin (of the same events, so smaller than that of
        either), pulls, chi^2 and its probability. Bins without any difference do not count.

    Raises
    ------
    InputError
        For shapes that do not fit, or NaN.
    """
    values = _checked(ratios, table)
    point = table.basis.as_theta(theta)
    phi = table.basis.monomials(point)
    reweighted = table.weights[:, 0] * (1.0 + values @ phi[1:])
    pair = np.column_stack([reweighted, table.at(point) - reweighted])
    # A table of two columns, so that one fill gives the sums and the variance of the difference.
    seen = observable(table)
    columns = PolynomialBasis(("difference",), order=1)
    both = EventTable(np.zeros((table.n_events, 1)), pair, columns, feature_names=("none",))
    binned = fill(both, lambda _: seen, edges, 1.0)
    difference, error = binned.sums[:, 1], np.sqrt(binned.sums_ww[:, 1, 1])
    pulls = np.divide(difference, error, out=np.zeros_like(error), where=error > 0)
    n_used = int((error > 0).sum())
    total = float((pulls**2).sum())
    return ClosureResult(
        edges=as_edges(edges),
        theta=point,
        truth=binned.sums.sum(axis=1),
        reweighted=binned.sums[:, 0],
        errors=error,
        pulls=pulls,
        chi2=total,
        n_bins=n_used,
        p_value=float(chi2.sf(total, n_used)) if n_used else 1.0,
    )


def _checked(ratios: npt.ArrayLike, table: EventTable) -> FloatArray:
    values = np.asarray(ratios, dtype=np.float64)
    expected = (table.n_events, table.basis.n_terms - 1)
    if values.shape != expected:
        raise InputError(f"ratios have shape {values.shape}, expected {expected}: one column for each term.")
    require_finite(values, "ratios")
    return values


def _factor(learned: FloatArray, weights: FloatArray, nominal: FloatArray) -> float:
    """Ratio of the sums of w_k and of w_0 R_k, or 1 where either is compatible with 0."""
    for summed in (weights, nominal * learned):
        if not np.sqrt((summed**2).sum()) < _WORST_ERROR * abs(summed.sum()):
            return 1.0
    return float(weights.sum() / (nominal @ learned))


def _binned(
    learned: FloatArray, weights: FloatArray, nominal: FloatArray, n_bins: int, name: str
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean of R_k, sum w_k / sum w_0 and sum w_0 in bins of R_k that hold equally many events."""
    ordered = np.sort(learned)
    inner = np.unique(ordered[(np.arange(1, n_bins) * len(ordered)) // n_bins])
    _, cell = np.unique(np.searchsorted(inner, learned, side="right"), return_inverse=True)
    share: FloatArray = np.bincount(cell, weights=nominal).astype(np.float64)
    if not (share > 0).all():
        raise InputError(
            f"the nominal weights of {int((share <= 0).sum())} of {len(share)} bins of R_k of the term {name} do not "
            "have a positive sum; use fewer bins or more events."
        )
    mean, true = (np.bincount(cell, weights=x) / share for x in (nominal * learned, weights))
    # With weights of both signs the means of neighbouring bins can be in the wrong order.
    order = np.argsort(mean, kind="stable")
    return mean[order], true[order], share[order]
