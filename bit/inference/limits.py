"""Confidence intervals and scans of one coefficient, the others at zero or profiled."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize_scalar
from scipy.special import erfinv

from bit.basis import FloatArray, ThetaLike
from bit.errors import BitWarning, InputError, near_match
from bit.inference.likelihood import Likelihood
from bit.inference.minimize import minimum
from bit.inference.model import Model
from bit.inference.results import Interval, LimitResult, Order, Others, ScanResult
from bit.inference.templates import Template
from bit.inference.unbinned import AnyLikelihood, UnbinnedLikelihood

# Steps of one standard deviation that are doubled in search of a crossing; beyond, the data do not bound it.
_DOUBLINGS = 24
# Yields held at a time when a curve is evaluated at many points: 2 MB.
_BLOCK = 250_000
# A smaller -2 ln L is 0 up to rounding.
_PERFECT = 1e-12
# Points of the search for further minima, per side on a geometric scale and over the whole range: one evaluation
# costs microseconds with the others at zero, a minimisation if they are profiled.
_GRID = {"zero": (128, 257), "profiled": (10, 25)}


def limits(
    model: AnyLikelihood | Model | Template | Sequence[Template],
    *,
    cl: float = 0.95,
    params: Sequence[str] | None = None,
    others: Others = "zero",
    order: Order | None = None,
    theta_true: ThetaLike | None = None,
) -> LimitResult:
    """Confidence interval of each coefficient from -2 ln L - min(-2 ln L) <= chi2 quantile of one degree of freedom.

    Parameters
    ----------
    model : Likelihood, UnbinnedLikelihood, Model, Template or sequence of Template
        Models and templates stand for the likelihood of their Asimov data.
    cl : float, default=0.95
        Confidence level within (0, 1); 0.95 means 3.84.
    params : sequence of str, optional
        Coefficients (or nuisances) to constrain; default all coefficients.
    others : {"zero", "profiled"}, default="zero"
        The other coefficients are 0, or take the values that minimise -2 ln L at each point. Nuisances always do
        the latter.
    order : {"quadratic", "linear"}, optional
        For templates: order of the yields, default "quadratic". A Likelihood has its own.
    theta_true : array-like of shape (n_params,) or mapping, optional
        For templates: absolute point of the Asimov data, TeV^-2; default 0, the SM.

    Returns
    -------
    LimitResult
        One `Interval` per coefficient. Where a second minimum is allowed and values between are not, its `pieces`
        are several and `lower`, `upper` the outermost ends.

    Raises
    ------
    InputError
        For unknown names or options.

    Warns
    -----
    BitWarning
        If the data do not bound a coefficient (its end is infinite).

    Notes
    -----
    At linear order -2 ln L is convex, and one piece exists. At quadratic order, further minima are searched on a grid
    over the whole range that the total number of events allows and are refined before they are compared. A profile
    point is the lowest of what Minuit finds from its neighbours, the best fit, and the neighbour mirrored about the
    best fit; for more coefficients than that, a deeper valley can be missed. The minimum is the lowest one found.
    Yields that turn negative are treated as in ``Likelihood.objective``. With nuisances, Monte Carlo errors or the
    shape alone, the total number of events is no strict bound: the search then covers its range at nominal nuisances
    and goes on outwards from there.
    """
    likelihood = as_likelihood(model, order, theta_true)
    if not 0.0 < cl < 1.0:
        raise InputError(f"cl={cl}: a confidence level lies between 0 and 1, such as 0.95.")
    names = likelihood.coefficients if params is None else _checked_params(params, likelihood.param_names)
    threshold = 2.0 * float(erfinv(cl)) ** 2
    intervals = []
    for name in names:
        curve = _Curve(likelihood, name, others)
        best, pieces = _allowed(curve, threshold)
        ends = float(pieces[0][0]), float(pieces[-1][1])
        if not np.isfinite(ends).all():
            warnings.warn(
                f"the data do not bound {name!r} at {100 * cl:g} % CL (others {others}): its interval is "
                f"{ends}; use more bins, another observable, or fewer free coefficients.",
                BitWarning,
                stacklevel=2,
            )
        intervals.append(Interval(name, *ends, best, pieces, cl, others, likelihood.order))
    return LimitResult(tuple(intervals), cl, others, likelihood.order)


def scan(
    model: AnyLikelihood | Model | Template | Sequence[Template],
    param: str,
    values: npt.ArrayLike,
    *,
    others: Others = "zero",
    order: Order | None = None,
    theta_true: ThetaLike | None = None,
) -> ScanResult:
    """-2 ln L along one coefficient, above its minimum: the curve whose crossings `limits` gives.

    Parameters
    ----------
    model : Likelihood, UnbinnedLikelihood, Model, Template or sequence of Template
        As in `limits`.
    param : str
        The coefficient.
    values : array-like of shape (n_points,)
        Absolute c/Lambda^2 in TeV^-2.
    others : {"zero", "profiled"}, default="zero"
        As in `limits`.
    order : {"quadratic", "linear"}, optional
        As in `limits`.
    theta_true : array-like of shape (n_params,) or mapping, optional
        As in `limits`.

    Returns
    -------
    ScanResult
        Values, -2 ln L above the minimum, and all coefficients at each point.

    Raises
    ------
    InputError
        For unknown names or options, or values that are not finite.
    """
    likelihood = as_likelihood(model, order, theta_true)
    (name,) = _checked_params([param], likelihood.param_names)
    points = np.asarray(values, dtype=np.float64)
    if points.ndim != 1 or points.size == 0 or not np.isfinite(points).all():
        raise InputError(f"values have shape {points.shape}: give at least one finite point, shape (n_points,).")
    curve = _Curve(likelihood, name, others)
    # The survey comes first, so that profiles start from what it found.
    surveyed, heights = _surveyed(curve, 1.0)
    twice_nll = curve.many(points)
    surveyed, heights = np.append(surveyed, points), np.append(heights, twice_nll)
    best, lowest = float(surveyed[np.argmin(heights)]), float(heights.min())
    thetas = np.array([curve.theta_at(float(x)) for x in points])
    return ScanResult(name, likelihood.param_names, points, twice_nll - lowest, thetas, best, others, likelihood.order)


def bounds(
    likelihood: AnyLikelihood, name: str, threshold: float, *, others: Others, free: Sequence[str] = ()
) -> tuple[float, float]:
    """Outermost values of a coefficient at which -2 ln L is at most a threshold above its minimum.

    Parameters
    ----------
    likelihood : Likelihood
        Of any data.
    name : str
        The coefficient.
    threshold : float
        Such as 5.99, the quantile of two degrees of freedom.
    others : {"zero", "profiled"}
        As in `limits`.
    free : sequence of str, optional
        Coefficients that are profiled in either case.

    Returns
    -------
    tuple of float
        Lower and upper end, TeV^-2; infinite where the data do not bound the coefficient.
    """
    _, pieces = _allowed(_Curve(likelihood, name, others, free), threshold)
    return float(pieces[0][0]), float(pieces[-1][1])


class _Curve:
    """-2 ln L as a function of one coefficient; profiled points are remembered and start their neighbours.

    Coefficients that are `free` are profiled in either case.
    """

    def __init__(self, likelihood: AnyLikelihood, name: str, others: Others, free: Sequence[str] = ()) -> None:
        if others not in get_args(Others):
            raise InputError(f"others={others!r}: choose 'zero' or 'profiled'.")
        self.likelihood = likelihood
        self.index = likelihood.param_names.index(name)
        self.steps = likelihood.step_sizes()
        self.step = float(self.steps[self.index])
        self.convex = likelihood.linear and likelihood.plain
        self._fixed = np.arange(likelihood.n_params) == self.index
        # The other coefficients stay at 0, or the fit decides, as it always does about nuisances.
        coefficient = np.isin(likelihood.param_names, [c for c in likelihood.coefficients if c not in free])
        held = coefficient & ~self._fixed if others == "zero" else np.zeros(likelihood.n_params, dtype=bool)
        self.profiled = not (held | self._fixed).all() if others == "zero" else True
        self.free = [int(k) for k in np.flatnonzero(~held)]
        self._known: dict[float, tuple[float, FloatArray]] = {}
        begin = np.where(held, 0.0, likelihood.start)
        _, self._fitted = minimum(likelihood, begin, self.steps, held)
        self._still = held | self._fixed
        self.start = float(self._fitted[self.index])

    def __call__(self, x: float) -> float:
        x = float(x)
        if not self.profiled:
            return float(self.likelihood.objective_along(self.index, np.array([x]))[0])
        if x not in self._known:
            self._known[x] = self._profile(x)
        return self._known[x][0]

    def many(self, points: FloatArray) -> FloatArray:
        """Values at many points; profiles move away from the fit, so that each has a close neighbour."""
        if not self.profiled:
            blocks = np.array_split(points, 1 + len(points) * self.likelihood.n_bins // _BLOCK)
            return np.concatenate([self.likelihood.objective_along(self.index, block) for block in blocks])
        for x in sorted(points, key=lambda x: abs(x - self.start)):
            self(x)
        return np.array([self(x) for x in points])

    def theta_at(self, x: float) -> FloatArray:
        """All coefficients at a point of the curve."""
        if self.profiled:
            self(x)
            return self._known[x][1]
        return np.where(self._fixed, x, 0.0)

    def grid(self, twice_nll: float) -> tuple[FloatArray, bool]:
        """Points in which further minima show, and whether what lies outside them is excluded for sure."""
        low, high = self.likelihood.reach(self.index, self.free, twice_nll)
        bounded = bool(np.isfinite([low, high]).all())
        certain = bounded and self.likelihood.plain
        n_geometric, n_linear = _GRID["profiled" if self.profiled else "zero"]
        if not bounded:
            low, high = self.start - 64 * self.step, self.start + 64 * self.step
        far = max(high - self.start, self.start - low, 4 * self.step)
        outward = np.geomspace(self.step / 2, far, n_geometric)
        points = np.concatenate([np.linspace(low, high, n_linear), self.start + outward, self.start - outward])
        inside = points[(points >= low) & (points <= high)]
        # A point beyond either bound, so that a minimum next to it has neighbours on both sides.
        return np.unique([*inside, self.start, low - self.step, high + self.step]), certain

    def _profile(self, x: float) -> tuple[float, FloatArray]:
        """Lowest of the minima that several starts lead to; a convex function has only one."""
        near = sorted(self._known, key=lambda known: abs(known - x))[:2]
        starts = [self._known[neighbour][1] for neighbour in near[:1]] or [self._fitted]
        if len(near) == 2:
            # The straight line through two neighbours follows a flat valley, however long the step.
            slope = (self._known[near[1]][1] - starts[0]) / (near[1] - near[0])
            starts.insert(0, starts[0] + slope * (x - near[0]))
        if self.convex:
            starts = starts[:1]
        else:
            # A valley that splits in two does so to both sides of the fit.
            starts += [self._fitted, 2.0 * self._fitted - starts[-1]]
        found = [minimum(self.likelihood, np.where(self._fixed, x, start), self.steps, self._still) for start in starts]
        return min(found, key=lambda pair: pair[0])


def _allowed(curve: _Curve, threshold: float) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Best point, and the pieces in which the curve is at most `threshold` above its minimum."""
    points, values = _surveyed(curve, threshold)
    level = values.min() + threshold
    above = values > level
    edges: list[float] = [] if above[0] else [-np.inf]
    for i in np.flatnonzero(above[1:] != above[:-1]):
        edges.append(_crossing(curve, level, points[i], points[i + 1]))
    if not above[-1]:
        edges.append(np.inf)
    return float(points[np.argmin(values)]), tuple(zip(edges[::2], edges[1::2], strict=True))


def _surveyed(curve: _Curve, threshold: float) -> tuple[FloatArray, FloatArray]:
    """Points between which all minima lie, refined minima among them, and the values there."""
    if not np.isfinite(curve.step):
        return np.array([curve.start]), np.array([curve(curve.start)])
    level = curve(curve.start) + threshold
    points, certain = (np.array([curve.start]), False) if curve.convex else curve.grid(level)
    if not certain:
        ends = (_outside(curve, level, float(points[0]), -1.0), _outside(curve, level, float(points[-1]), 1.0))
        points = np.unique(np.append(points, ends))
    return _refined(curve, points)


def _crossing(curve: _Curve, level: float, low: float, high: float) -> float:
    """Where the curve crosses the level between two points on different sides of it."""
    return float(brentq(lambda x: curve(x) - level, low, high, xtol=1e-7 * curve.step, rtol=1e-12))


def _outside(curve: _Curve, level: float, extreme: float, side: float) -> float:
    """Find a point beyond `extreme` where the curve exceeds `level`, or the last one within reach."""
    x = extreme
    for doubling in range(_DOUBLINGS):
        if curve(x) > level:
            break
        x = extreme + side * curve.step * 2.0**doubling
    return x


def _refined(curve: _Curve, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Add to the points the minima that they bracket; return all, with the values there."""
    values = curve.many(points)
    # A perfect description of binned data cannot be improved upon; that of unbinned data has no bound.
    low = (values[1:-1] <= values[:-2]) & (values[1:-1] <= values[2:])
    dips = 1 + np.flatnonzero(low & (np.abs(values[1:-1]) > _PERFECT))
    found = [
        minimize_scalar(
            curve, bounds=(points[i - 1], points[i + 1]), method="bounded", options={"xatol": 1e-6 * curve.step}
        ).x
        for i in dips
    ]
    everything = np.unique(np.append(points, found))
    return everything, curve.many(everything)


def as_likelihood(
    model: AnyLikelihood | Model | Template | Sequence[Template], order: Order | None, theta_true: ThetaLike | None
) -> AnyLikelihood:
    """Return a likelihood as it is, and that of the Asimov data of anything else.

    Parameters
    ----------
    model : Likelihood, UnbinnedLikelihood, Model, Template or sequence of Template
        As in `limits`.
    order : {"quadratic", "linear"} or None
        As in `limits`.
    theta_true : array-like, mapping or None
        As in `limits`.

    Returns
    -------
    Likelihood or UnbinnedLikelihood
        To work with.

    Raises
    ------
    InputError
        If `order` or `theta_true` is given with a likelihood.
    """
    if not isinstance(model, (Likelihood, UnbinnedLikelihood)):
        return Likelihood(model, theta_true=theta_true, order=order or "quadratic")
    if order is not None or theta_true is not None:
        raise InputError("order and theta_true are settings of the Likelihood: give them to it instead.")
    return model


def _checked_params(params: Sequence[str], names: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(params, str):
        raise InputError(f"params={params!r}: give a sequence of names, such as [{params!r}].")
    for name in params:
        if name not in names:
            raise InputError(f"no coefficient {name!r}: {near_match(name, names)}")
    return tuple(params)
