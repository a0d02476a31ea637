"""Minimum of a likelihood: the only user of iminuit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from iminuit import Minuit

from bit.basis import FloatArray, ThetaLike
from bit.errors import InputError, near_match
from bit.inference.likelihood import Likelihood
from bit.inference.results import FitResult


def fit(
    likelihood: Likelihood, *, start: ThetaLike | None = None, fixed: Mapping[str, float] | None = None
) -> FitResult:
    """Maximise a likelihood over its coefficients.

    Parameters
    ----------
    likelihood : Likelihood
        Of Asimov or observed data.
    start : array-like of shape (n_params,) or mapping, optional
        Where to begin, absolute c/Lambda^2 in TeV^-2; default ``likelihood.start``, the true point
        of Asimov data, else 0. Quadratic yields can have several
        minima: the one found is that of the valley of `start`.
    fixed : mapping of str to float, optional
        Coefficients that keep a value.

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
    minuit = _minuit(likelihood, begin, likelihood.step_sizes(), mask)
    minuit.strategy = 1
    minuit.tol = 1e-4
    minuit.migrad()
    minuit.hesse()
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
    likelihood: Likelihood, start: FloatArray, steps: FloatArray, fixed: npt.NDArray[np.bool_]
) -> tuple[float, FloatArray]:
    """Smallest objective near a point with some coefficients fixed, without a covariance: a step of a profile.

    Parameters
    ----------
    likelihood : Likelihood
        Of any data.
    start : ndarray of float64, shape (n_params,)
        Where to begin; fixed coefficients stay there. TeV^-2.
    steps : ndarray of float64, shape (n_params,)
        ``likelihood.step_sizes()``, which need not be computed anew for each point.
    fixed : ndarray of bool, shape (n_params,)
        Coefficients that keep their value.

    Returns
    -------
    twice_nll : float
        The value found, never above that at `start`.
    theta : ndarray of float64, shape (n_params,)
        Where.
    """
    before = float(likelihood.objective(start))
    if fixed.all():
        return before, start
    minuit = _minuit(likelihood, start, steps, fixed)
    minuit.strategy = 0
    minuit.tol = 1e-2  # -2 ln L to about 2e-5, enough for a crossing at 3.84
    minuit.migrad()
    if minuit.fval is None or not minuit.fval < before:
        return before, start
    return float(minuit.fval), np.array(minuit.values)


def _minuit(likelihood: Likelihood, start: FloatArray, steps: FloatArray, fixed: npt.NDArray[np.bool_]) -> Minuit:
    """Minuit at `start`, in TeV^-2, with the analytic gradient."""
    minuit = Minuit(likelihood.objective, start, grad=likelihood.objective_gradient, name=likelihood.param_names)
    minuit.errordef = Minuit.LEAST_SQUARES  # -2 ln L rises by 1 at one standard deviation
    minuit.errors = np.where(np.isfinite(steps), steps, 1.0)
    # A coefficient without any effect would only stop the minimiser from converging.
    minuit.fixed = fixed | ~np.isfinite(steps)
    minuit.print_level = 0
    return minuit
