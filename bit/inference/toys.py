"""Intervals by pseudo-experiments, where the chi2 distribution of -2 ln L cannot be trusted."""

from __future__ import annotations

from typing import get_args

import numpy as np
import numpy.typing as npt
from sklearn.utils.parallel import Parallel, delayed

from bit.basis import FloatArray, ThetaLike
from bit.errors import InputError, near_match
from bit.inference.likelihood import Likelihood
from bit.inference.limits import limits
from bit.inference.minimize import descend
from bit.inference.results import Others, ToyInterval

# Points of the search for minima on each side of the SM, from a tenth of a standard deviation on.
_SEARCH = 40
# Points of a construction, if none are given, over this multiple of the half-width of the interval by the quantile.
_POINTS, _WIDER = 31, 1.6


def likelihood_ratios(
    likelihood: Likelihood, param: str, truth: ThetaLike, n_toys: int, *, seed: int, others: Others = "zero"
) -> FloatArray:
    """-2 ln of the profile likelihood ratio of the true value, q = -2 ln L(true) - min(-2 ln L), in toys.

    Parameters
    ----------
    likelihood : Likelihood
        Yields and nuisances; its data do not count.
    param : str
        The coefficient.
    truth : array-like of shape (n_coefficients,) or (n_params,), or mapping
        Point at which toys are thrown: absolute coefficients in TeV^-2, nuisances.
    n_toys : int
        Number of toys.
    seed : int
        Equal seeds at other points give common random numbers.
    others : {"zero", "profiled"}, default="zero"
        Treatment of the other coefficients; nuisances are always profiled.

    Returns
    -------
    ndarray of float64, shape (n_toys,)
        At least 0; distributed as chi2 with one degree of freedom where Wilks' theorem holds. The share of values
        below its quantile is the coverage of `limits`.

    Raises
    ------
    InputError
        For unknown names or options, or no toys.

    Notes
    -----
    Toys are thrown one after the other and fitted in parallel where ``joblib.parallel_config`` says so; the result
    is the same for any number of jobs and any backend.
    """
    search = _Search(likelihood, param, others)
    if n_toys < 1:
        raise InputError(f"n_toys={n_toys}: at least one toy is needed.")
    point = likelihood.as_theta(truth)
    rng = np.random.default_rng(seed)
    toys = (likelihood.toy(point, rng) for _ in range(n_toys))
    return np.array(Parallel()(delayed(search.ratio)(toy, float(point[search.index])) for toy in toys))


def toy_interval(
    likelihood: Likelihood,
    param: str,
    *,
    cl: float = 0.95,
    n_toys: int = 1000,
    seed: int = 0,
    others: Others = "zero",
    values: npt.ArrayLike | None = None,
) -> ToyInterval:
    """Confidence interval of one coefficient by toys, ordered by the likelihood ratio (arXiv:physics/9711021).

    At each value, toys give the distribution of q; a value is allowed if the q of the data is not among the largest
    1 - cl of them. Nuisances (and profiled coefficients) of the toys take their values of the fit to the data there.

    Parameters
    ----------
    likelihood : Likelihood
        Of the data.
    param : str
        The coefficient.
    cl : float, default=0.95
        Confidence level within (0, 1).
    n_toys : int, default=1000
        Toys at each value; the error of a p-value is sqrt(p (1 - p) / n_toys).
    seed : int, default=0
        Of the toys, the same at each value.
    others : {"zero", "profiled"}, default="zero"
        Treatment of the other coefficients.
    values : array-like of shape (n_points,), optional
        Increasing values of the coefficient, TeV^-2; default 31 that reach 1.6 times as far as the interval of
        `limits`.

    Returns
    -------
    ToyInterval
        p-values at the values, and the allowed pieces by linear interpolation between them.

    Raises
    ------
    InputError
        For unknown names or options, values that do not increase, or an unbounded interval without values.

    Notes
    -----
    Yields at the values must not be negative, since no data can be thrown there. Toys are fitted in parallel as
    those of `likelihood_ratios`.
    """
    if not 0.0 < cl < 1.0:
        raise InputError(f"cl={cl}: a confidence level lies between 0 and 1, such as 0.95.")
    search = _Search(likelihood, param, others)
    points = _default_values(likelihood, param, cl, others) if values is None else np.asarray(values, dtype=np.float64)
    if points.ndim != 1 or len(points) < 2 or not (np.diff(points) > 0).all():
        raise InputError(f"values have shape {points.shape}: give at least two, increasing.")
    observed, critical, p_values = [], [], []
    for value in points:
        truth = search.conditional(likelihood, float(value))
        toys = likelihood_ratios(likelihood, param, truth, n_toys, seed=seed, others=others)
        here = search.ratio(likelihood, float(value))
        observed.append(here)
        critical.append(float(np.quantile(toys, cl)))
        # Equal values count: those of discrete data, and exact zeros at a boundary, up to rounding.
        p_values.append((1 + int((toys >= here - 1e-9).sum())) / (1 + n_toys))
    return ToyInterval(
        name=param,
        values=points,
        observed=np.array(observed),
        critical=np.array(critical),
        p_values=np.array(p_values),
        pieces=_pieces(points, np.array(p_values) - (1.0 - cl)),
        cl=cl,
        n_toys=n_toys,
        others=others,
    )


class _Search:
    """Lowest -2 ln L with one coefficient fixed, and over all its values."""

    def __init__(self, likelihood: Likelihood, param: str, others: Others) -> None:
        if param not in likelihood.coefficients:
            raise InputError(f"no coefficient {param!r}: {near_match(param, likelihood.coefficients)}")
        if others not in get_args(Others):
            raise InputError(f"others={others!r}: choose 'zero' or 'profiled'.")
        self.index = likelihood.param_names.index(param)
        steps = likelihood.step_sizes()
        self._own = np.arange(likelihood.n_params) == self.index
        coefficient = np.arange(likelihood.n_params) < likelihood.n_coefficients
        self._held = (coefficient & ~self._own) if others == "zero" else ~np.isfinite(steps)
        step = float(steps[self.index])
        low, high = likelihood.reach(self.index, np.flatnonzero(~self._held).tolist(), 25.0)
        far = max(-low, high, 10 * step) if np.isfinite([low, high]).all() else 64 * step
        outward = np.geomspace(0.1 * step, far, _SEARCH)
        self._grid = np.concatenate([-outward[::-1], [0.0], outward])

    def conditional(self, likelihood: Likelihood, value: float) -> FloatArray:
        """Lowest point with the coefficient fixed."""
        begin = np.where(self._held, 0.0, likelihood.start)
        begin[self.index] = value
        return descend(likelihood, begin, self._held | self._own)

    def ratio(self, likelihood: Likelihood, value: float) -> float:
        """Height of the fixed value above the lowest minimum found from the dips of the curve with the others 0."""
        fixed = self.conditional(likelihood, value)
        heights = likelihood.objective_along(self.index, self._grid)
        inner = heights[1:-1]
        dips = 1 + np.flatnonzero((inner <= heights[:-2]) & (inner <= heights[2:]))
        starts = [fixed]
        for x in self._grid[dips]:
            begin = np.where(self._held, 0.0, likelihood.start)
            begin[self.index] = x
            starts.append(begin)
        there = float(likelihood.objective(fixed))
        found = [float(likelihood.objective(descend(likelihood, start, self._held))) for start in starts]
        return max(there - min(found), 0.0)


def _default_values(likelihood: Likelihood, param: str, cl: float, others: Others) -> FloatArray:
    interval = limits(likelihood, params=[param], cl=cl, others=others)[param]
    if not np.isfinite([interval.lower, interval.upper]).all():
        raise InputError(f"the data do not bound {param!r} at {100 * cl:g} % CL: give values.")
    centre, half = 0.5 * (interval.lower + interval.upper), 0.5 * (interval.upper - interval.lower)
    return np.linspace(centre - _WIDER * half, centre + _WIDER * half, _POINTS)


def _pieces(points: FloatArray, excess: FloatArray) -> tuple[tuple[float, float], ...]:
    """Where a function is not negative, linear between the points; infinite beyond allowed outer points."""
    allowed = excess >= 0
    ends: list[float] = [-np.inf] if allowed[0] else []
    for i in np.flatnonzero(allowed[1:] != allowed[:-1]):
        share = excess[i] / (excess[i] - excess[i + 1])
        ends.append(float(points[i] + share * (points[i + 1] - points[i])))
    if allowed[-1]:
        ends.append(np.inf)
    return tuple(zip(ends[::2], ends[1::2], strict=True))
