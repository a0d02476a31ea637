"""Minimum of a likelihood: the only user of iminuit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from iminuit import Minuit

from bit.basis import FloatArray, ThetaLike
from bit.errors import InputError, near_match
from bit.inference.results import FitResult
from bit.inference.unbinned import AnyLikelihood

# Steps of a descent, and the change of -2 ln L that is not worth another one.
_DESCENT = 500
_ENOUGH = 1e-9
# Saddles to leave, and the share of a step for second derivatives.
_ESCAPES, _DIFFERENCE = 4, 1e-3
# Steps this much shorter than those of the metric lead nowhere.
_MOST_DAMPING = 1e12


def fit(
    likelihood: AnyLikelihood, *, start: ThetaLike | None = None, fixed: Mapping[str, float] | None = None
) -> FitResult:
    """Maximise a likelihood over its coefficients and nuisances.

    Parameters
    ----------
    likelihood : Likelihood or UnbinnedLikelihood
        Of Asimov or observed data.
    start : array-like of shape (n_params,) or mapping, optional
        Where to begin, absolute c/Lambda^2 in TeV^-2; default ``likelihood.start``, the true point
        of Asimov data, else 0. Quadratic yields can have several minima: the one found is that of the valley of
        `start`, or of the default where that valley leads to none.
    fixed : mapping of str to float, optional
        Coefficients and nuisances that keep a value.

    Returns
    -------
    FitResult
        Values, errors, covariance, and whether the minimiser converged.

    Raises
    ------
    InputError
        For unknown names.
    """
    names = likelihood.param_names
    held = dict(fixed or {})
    for name in held:
        if name not in names:
            raise InputError(f"fixed names the unknown coefficient {name!r}: {near_match(name, names)}")
    origin = likelihood.start if start is None else likelihood.as_theta(start)
    begin = np.array([held.get(name, value) for name, value in zip(names, origin, strict=True)], dtype=np.float64)
    mask = np.array([name in held for name in names])
    covariance = np.zeros((len(names), len(names)))
    if mask.all():
        value = float(likelihood.objective(begin))
        return FitResult(names, begin, np.zeros(len(names)), covariance, tuple(held), value, True)
    steps = likelihood.step_sizes()
    # Far from the minimum, where yields are negative, -2 ln L is too steep for the steps of Migrad. A valley without
    # end, or without a minimum, is left for the default start.
    minuit = _migrad(likelihood, begin if likelihood.plain else descend(likelihood, begin, mask), steps, mask)
    for again in (begin, np.where(mask, begin, likelihood.start)):
        if not (minuit.valid and minuit.accurate):
            minuit = _migrad(likelihood, descend(likelihood, again, mask), steps, mask)
    if minuit.covariance is not None:
        covariance = np.array(minuit.covariance)
        covariance[mask] = covariance[:, mask] = 0.0
    return FitResult(
        names=names,
        values=np.array(minuit.values),
        errors=np.sqrt(np.diag(covariance)),
        covariance=covariance,
        fixed=tuple(name for name in names if name in held),
        twice_nll=float(minuit.fval),
        valid=bool(minuit.valid and minuit.accurate),
    )


def minimum(
    likelihood: AnyLikelihood, start: FloatArray, steps: FloatArray, fixed: npt.NDArray[np.bool_]
) -> tuple[float, FloatArray]:
    """Smallest objective near a point with some parameters fixed, without a covariance: a step of a profile.

    Parameters
    ----------
    likelihood : Likelihood or UnbinnedLikelihood
        Of any data.
    start : ndarray of float64, shape (n_params,)
        Where to begin; fixed coefficients stay there. TeV^-2.
    steps : ndarray of float64, shape (n_params,)
        ``likelihood.step_sizes()``, which need not be computed anew for each point.
    fixed : ndarray of bool, shape (n_params,)
        Parameters that keep their value.

    Returns
    -------
    twice_nll : float
        The value found, never above that at `start`.
    theta : ndarray of float64, shape (n_params,)
        Where.

    Notes
    -----
    Minuit for coefficients alone, `descend` for likelihoods with nuisances or profiled yields.
    """
    before = float(likelihood.objective(start))
    if fixed.all():
        return before, start
    if not likelihood.plain:
        theta = descend(likelihood, start, fixed)
        return float(likelihood.objective(theta)), theta
    minuit = _minuit(likelihood, start, steps, fixed)
    minuit.strategy = 0
    minuit.tol = 1e-2  # -2 ln L to about 2e-5, enough for a crossing at 3.84
    minuit.migrad()
    if minuit.fval is None or not minuit.fval < before:
        return before, start
    return float(minuit.fval), np.array(minuit.values)


def descend(likelihood: AnyLikelihood, start: FloatArray, fixed: npt.NDArray[np.bool_]) -> FloatArray:
    """Walk down to a minimum by damped Gauss-Newton steps, M d = -g/2 with M the metric of the likelihood.

    Parameters
    ----------
    likelihood : Likelihood or UnbinnedLikelihood
        Of any data.
    start : ndarray of float64, shape (n_params,)
        Where to begin.
    fixed : ndarray of bool, shape (n_params,)
        Parameters that keep their value.

    Returns
    -------
    ndarray of float64, shape (n_params,)
        Where a step would lower -2 ln L by less than 1e-9, and which is no saddle in the coefficients; never above the
        start.

    Notes
    -----
    Levenberg's and Marquardt's damping. Every step costs one matrix of n_params x n_params, so that the many
    nuisances of a model are profiled in a few steps where a variable metric needs hundreds.
    """
    free = np.flatnonzero(~fixed)
    theta = _walk(likelihood, np.array(start, dtype=np.float64), free)
    # Symmetric yields have ridges, along which the slope across vanishes exactly.
    for _ in range(_ESCAPES):
        beside = _beside_a_saddle(likelihood, theta, free)
        if beside is None:
            break
        theta = _walk(likelihood, beside, free)
    return theta


def _walk(likelihood: AnyLikelihood, theta: FloatArray, free: npt.NDArray[np.int64]) -> FloatArray:
    damping, value = 1e-3, float(likelihood.objective(theta))
    for _ in range(_DESCENT):
        slope, metric = likelihood.objective_expansion(theta)
        slope, metric = slope[free], metric[np.ix_(free, free)]
        size = np.diag(metric)
        size = np.where(size > 0, size, 1.0)
        lowered = False
        while not lowered and damping < _MOST_DAMPING:
            step = np.linalg.solve(metric + damping * np.diag(size), -slope)
            tried = theta.copy()
            tried[free] += step
            there = float(likelihood.objective(tried))
            lowered = there < value
            # An undamped step that gains nothing, or that promises nothing, has arrived.
            if damping <= 1.0 and (value - there if lowered else -0.5 * slope @ step) < _ENOUGH:
                return tried if lowered else theta
            damping *= 0.1 if lowered else 10.0
        if not lowered:
            break
        theta, value = tried, there
    return theta


def _beside_a_saddle(likelihood: AnyLikelihood, theta: FloatArray, free: npt.NDArray[np.int64]) -> FloatArray | None:
    """Lower point across a saddle in the free coefficients, by differences of gradients; None at a minimum."""
    bent = free[free < likelihood.n_coefficients]
    steps = likelihood.step_sizes()[bent]
    if likelihood.linear or not np.isfinite(steps).all() or not len(bent):
        return None
    units = np.zeros((len(bent), len(theta)))
    units[np.arange(len(bent)), bent] = _DIFFERENCE * steps
    here = likelihood.objective_gradient(theta)
    rows = np.array([(likelihood.objective_gradient(theta + unit) - here)[bent] for unit in units])
    curvature = rows * steps / _DIFFERENCE
    values, vectors = np.linalg.eigh(0.5 * (curvature + curvature.T))
    if values[0] > -1e-3:
        return None
    across = vectors[:, 0] @ units / _DIFFERENCE
    points = np.array([theta + side * across for side in (0.3, -0.3)])
    heights = np.asarray(likelihood.objective(points))
    lower: FloatArray = points[np.argmin(heights)]
    return lower if heights.min() < float(likelihood.objective(theta)) else None


def _migrad(likelihood: AnyLikelihood, start: FloatArray, steps: FloatArray, fixed: npt.NDArray[np.bool_]) -> Minuit:
    minuit = _minuit(likelihood, start, steps, fixed)
    minuit.strategy = 1
    minuit.tol = 1e-4
    minuit.migrad()
    minuit.hesse()
    return minuit


def _minuit(likelihood: AnyLikelihood, start: FloatArray, steps: FloatArray, fixed: npt.NDArray[np.bool_]) -> Minuit:
    """Minuit at `start`, in TeV^-2, with the analytic gradient."""
    minuit = Minuit(likelihood.objective, start, grad=likelihood.objective_gradient, name=likelihood.param_names)
    minuit.errordef = Minuit.LEAST_SQUARES  # -2 ln L rises by 1 at one standard deviation
    minuit.errors = np.where(np.isfinite(steps), steps, 1.0)
    # A coefficient without any effect would only stop the minimiser from converging.
    minuit.fixed = fixed | ~np.isfinite(steps)
    minuit.print_level = 0
    return minuit
