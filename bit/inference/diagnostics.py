"""What a fit says about data and errors: goodness of fit, impacts of nuisances, breakdown of the error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from bit.basis import FloatArray
from bit.errors import InputError, near_match
from bit.inference.likelihood import Likelihood
from bit.inference.minimize import fit, minimum
from bit.inference.results import Breakdown, FitResult, GoodnessOfFit, Impacts, Others

# Of a standard deviation: second derivatives from differences of analytic gradients.
_STEP = 1e-3


def goodness_of_fit(
    likelihood: Likelihood, result: FitResult, *, n_toys: int = 0, seed: int | None = None
) -> GoodnessOfFit:
    """Compare the best fit with the saturated model (Baker and Cousins, Nucl. Instrum. Meth. 221 (1984) 437).

    Parameters
    ----------
    likelihood : Likelihood
        Of observed data.
    result : FitResult
        Its best fit.
    n_toys : int, default=0
        Number of toys at the fitted point, each of which is fitted; 0 uses the chi2 distribution with the number
        of bins less the number of free coefficients, which needs about five events in every bin.
    seed : int, optional
        Of the toys.

    Returns
    -------
    GoodnessOfFit
        Value, degrees of freedom and p-value; (1 + k)/(1 + n) if k of n toys are at least as far off.

    Raises
    ------
    InputError
        If the names differ, no degree of freedom is left, or n_toys is negative.
    """
    if result.names != likelihood.param_names:
        raise InputError(f"the fit is one of {list(result.names)}, not of {list(likelihood.param_names)}.")
    if n_toys < 0:
        raise InputError(f"n_toys={n_toys}: a number of toys is at least 0.")
    # A coefficient without any effect is not fitted.
    free = np.isfinite(likelihood.step_sizes()) & ~np.isin(result.names, result.fixed)
    ndf = likelihood.n_used_bins + len(likelihood.nuisances) - int(free.sum()) - (not likelihood.rate)
    if ndf < 1:
        raise InputError(f"{likelihood.n_used_bins} bins leave {ndf} degrees of freedom: use more bins.")
    if n_toys == 0:
        return GoodnessOfFit(result.twice_nll, ndf, float(chi2.sf(result.twice_nll, ndf)), 0)
    rng = np.random.default_rng(seed)
    held = {name: float(result.values[result.names.index(name)]) for name in result.fixed}
    worse = 0
    for _ in range(n_toys):
        toy = likelihood.toy(result.values, rng)
        worse += fit(toy, start=result.values, fixed=held).twice_nll >= result.twice_nll
    return GoodnessOfFit(result.twice_nll, ndf, (1 + worse) / (1 + n_toys), n_toys)


def impacts(likelihood: Likelihood, param: str, *, others: Others = "zero") -> Impacts:
    """Shifts of a coefficient when each nuisance is fixed one error beside its fitted value, the rest fitted again.

    Parameters
    ----------
    likelihood : Likelihood
        Of a model with nuisances.
    param : str
        The coefficient.
    others : {"zero", "profiled"}, default="zero"
        The other coefficients are 0, or fitted.

    Returns
    -------
    Impacts
        Pulls, constraints and shifts, the largest first.

    Raises
    ------
    InputError
        For an unknown coefficient, no nuisances, or a fit that does not converge.
    """
    if not likelihood.nuisances:
        raise InputError("the likelihood has no nuisances: there is nothing to move.")
    index, best, held = _best(likelihood, param, others)
    covariance = _covariance(likelihood, best, np.flatnonzero(~held))
    errors, steps = np.sqrt(np.diag(covariance)), likelihood.step_sizes()
    shifts = []
    for k in range(likelihood.n_coefficients, likelihood.n_params):
        moved = []
        for side in (-1.0, 1.0):
            # The linear prediction is close to the answer.
            start = best + side * covariance[:, k] / errors[k]
            start[held] = best[held]
            _, there = minimum(likelihood, start, steps, held | (np.arange(len(best)) == k))
            moved.append(there[index] - best[index])
        shifts.append(moved)
    down, up = np.array(shifts).T
    order = np.argsort(-np.maximum(np.abs(down), np.abs(up)), kind="stable")
    nuisances = slice(likelihood.n_coefficients, None)
    return Impacts(
        param=param,
        value=float(best[index]),
        error=float(errors[index]),
        names=tuple(likelihood.nuisances[k] for k in order),
        pulls=(best[nuisances] - likelihood.auxiliary)[order],
        constraints=errors[nuisances][order],
        down=down[order],
        up=up[order],
        others=others,
    )


def breakdown(
    likelihood: Likelihood,
    param: str,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    others: Others = "zero",
) -> Breakdown:
    """Split the error of a coefficient by fixing groups of nuisances at their fitted values.

    Parameters
    ----------
    likelihood : Likelihood
        Of any data.
    param : str
        The coefficient.
    groups : mapping of str to sequence of str, optional
        Nuisances by name of the group; default each nuisance is its own. Monte Carlo errors, if included, are a
        group "mc_stat" of their own.
    others : {"zero", "profiled"}, default="zero"
        The other coefficients are 0, or fitted; their effect then belongs to the statistical error.

    Returns
    -------
    Breakdown
        Errors from the second derivatives of -2 ln L at the best fit.

    Raises
    ------
    InputError
        For unknown names, or a fit that does not converge.
    """
    chosen = {name: [name] for name in likelihood.nuisances} if groups is None else dict(groups)
    for group, names in chosen.items():
        for name in names:
            if name not in likelihood.nuisances:
                raise InputError(f"group {group!r}: no nuisance {name!r}: {near_match(name, likelihood.nuisances)}")
    index, best, held = _best(likelihood, param, others)

    def error(of: Likelihood, at: FloatArray, fixed: Sequence[str]) -> float:
        free = np.flatnonzero(~(held | np.isin(of.param_names, list(fixed))))
        return float(np.sqrt(_covariance(of, at, free)[index, index]))

    total = error(likelihood, best, [])
    without = {group: error(likelihood, best, names) for group, names in chosen.items()}
    exact, there = likelihood, best
    if likelihood.mc_stat:
        exact = likelihood.without_mc_stat()
        _, there, _ = _best(exact, param, others)
        without["mc_stat"] = error(exact, there, [])
    statistical = error(exact, there, likelihood.nuisances)
    parts = np.sqrt(np.maximum(total**2 - np.array(list(without.values())) ** 2, 0.0))
    return Breakdown(param, float(best[index]), total, statistical, tuple(without), parts, others)


def _best(likelihood: Likelihood, param: str, others: Others) -> tuple[int, FloatArray, npt.NDArray[np.bool_]]:
    """Position of a coefficient, the best fit, and which parameters were not fitted."""
    if param not in likelihood.coefficients:
        raise InputError(f"no coefficient {param!r}: {near_match(param, likelihood.coefficients)}")
    if others not in get_args(Others):
        raise InputError(f"others={others!r}: choose 'zero' or 'profiled'.")
    fixed = {name: 0.0 for name in likelihood.coefficients if others == "zero" and name != param}
    result = fit(likelihood, fixed=fixed)
    if not result.valid:
        raise InputError(
            f"the fit of {param!r} (others {others}) does not converge; use more bins or fix coefficients."
        )
    held = np.isin(likelihood.param_names, list(fixed)) | ~np.isfinite(likelihood.step_sizes())
    # Minuit stops at 4e-4 of an error, which is much for a small impact.
    _, best = minimum(likelihood, result.values, likelihood.step_sizes(), held)
    return likelihood.param_names.index(param), best, held


def _covariance(likelihood: Likelihood, theta: FloatArray, free: npt.NDArray[np.int64]) -> FloatArray:
    """Inverse of half the second derivatives of -2 ln L in the free parameters, 0 for the others."""
    steps = _STEP * likelihood.step_sizes()[free]
    units = np.eye(len(theta))[free] * steps[:, np.newaxis]
    rows = [
        (likelihood.objective_gradient(theta + unit) - likelihood.objective_gradient(theta - unit))[free]
        for unit in units
    ]
    # Half of the differences over twice the steps, in units of the steps: scales of coefficients do not matter.
    curvature = 0.25 * np.array(rows) * steps
    scaled = 0.5 * (curvature + curvature.T)
    if np.linalg.eigvalsh(scaled)[0] <= 0:
        raise InputError("the second derivatives of -2 ln L are not positive at the fit: no error can be given.")
    out = np.zeros((len(theta), len(theta)))
    out[np.ix_(free, free)] = np.linalg.inv(scaled) * np.outer(steps, steps)
    return out
