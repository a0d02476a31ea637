"""Power of Neyman-Pearson tests of a point theta against an alternative, the SM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri
from scipy.stats import poisson

from bit.basis import FloatArray, PolynomialBasis, ThetaLike, require_finite
from bit.errors import InputError, near_match
from bit.events import EventTable
from bit.inference.binnings import optimal_edges
from bit.inference.results import PowerMap, PowerResult
from bit.inference.templates import EdgesLike, ObservableLike, Template, choose_edges, equal_probability_edges, fill

PowerMethod: TypeAlias = Literal["gaussian", "toys"]
Binning: TypeAlias = Literal["equal", "optimal"]

# Uniform numbers held at a time.
_BLOCK = 4_000_000


def power(
    table: EventTable,
    theta: ThetaLike,
    *,
    lumi_fb: float,
    ratios: npt.ArrayLike | None = None,
    observable: ObservableLike | None = None,
    n_bins: int | Sequence[int] | None = None,
    binning: Binning = "equal",
    edges: EdgesLike | None = None,
    alpha: float = 0.05,
    alternative: ThetaLike | None = None,
    method: PowerMethod = "gaussian",
    n_toys: int = 2000,
    seed: int = 0,
    floor: float = 1e-3,
) -> PowerResult:
    """Probability 1 - beta to reject theta at size alpha if the alternative is true.

    The test statistic is q = sum_i ln r(x_i) over the observed events, with r = R(x|theta)/R(x|alternative), or in bins
    q = sum_b n_b ln(lambda_b(theta)/lambda_b(alternative)): the ratio of extended likelihoods up to a constant. theta
    is rejected for small q. With the true ratios and no bins no test is more powerful (Neyman and Pearson).

    Parameters
    ----------
    table : EventTable
        Simulated events, not those of a training; they give the distribution of q under both hypotheses.
    theta : array-like of shape (n_params,) or mapping
        The null hypothesis, absolute c/Lambda^2 in TeV^-2.
    lumi_fb : float
        Integrated luminosity in fb^-1.
    ratios : array-like of shape (n_events, n_terms - 1), optional
        R_k of every event: ``model.predict(table)``, or the truth ``table.joint_ratio()``. With `n_bins`, bins of r.
    observable : Observable or callable, optional
        Instead of `ratios`: bins of a classic observable, of one or more axes; needs `n_bins` or `edges`.
    n_bins : int or sequence of int, optional
        Number of bins; default unbinned. Those of an observable are equally probable at the reference point.
    binning : {"equal", "optimal"}, default="equal"
        Bins of r: equally probable under the alternative, or those of `optimal_edges` with the largest
        sum_b (lambda_b - lambda_b')^2 / (lambda_b + lambda_b') of the yields at theta and at the alternative.
    edges : array-like of shape (n_bins + 1,), or sequence of arrays, optional
        Bins of the observable, as for `fill`, instead of `n_bins`.
    alpha : float, default=0.05
        Size within (0, 0.5].
    alternative : array-like of shape (n_params,) or mapping, optional
        What is true, absolute; default 0, the SM.
    method : {"gaussian", "toys"}, default="gaussian"
        "gaussian" takes q as normal with its exact mean and variance under both hypotheses; "toys" draws experiments:
        the counts of bins, or the number of events and their values of q, from the weighted simulated events.
    n_toys : int, default=2000
        Experiments per hypothesis.
    seed : int, default=0
        Of the toys. All theta use the same random numbers, so that maps are smooth.
    floor : float, default=1e-3
        Smallest R; smaller and negative ones are set to it.

    Returns
    -------
    PowerResult
        Power with the statistical error of the toys, and the moments of q. Where theta predicts what the alternative
        does, the Gaussian power is alpha.

    Raises
    ------
    InputError
        For options outside their rule, shapes that do not fit, bins without a positive yield, or toys of events with
        negative weights.

    Notes
    -----
    The tests of toys are not randomised: for few counts their true size is below `alpha`, as is that of any experiment.
    """
    test = _Test(table, lumi_fb, ratios, observable, n_bins, binning, edges, alternative, floor)
    _check_options(alpha, method, n_toys)
    point = test.point(theta)
    sides = test.statistic(point)
    value, error = _power_of(sides, alpha, method, n_toys, seed)
    means, spreads = sides.moments()
    return PowerResult(
        names=table.basis.param_names,
        theta=point,
        alternative=test.alternative,
        power=value,
        error=error,
        alpha=float(alpha),
        n_bins=test.n_bins,
        method=method,
        means=means,
        spreads=spreads,
    )


def power_map(
    table: EventTable,
    params: tuple[str, str],
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    lumi_fb: float,
    ratios: npt.ArrayLike | None = None,
    observable: ObservableLike | None = None,
    n_bins: int | Sequence[int] | None = None,
    binning: Binning = "equal",
    edges: EdgesLike | None = None,
    alpha: float = 0.05,
    alternative: ThetaLike | None = None,
    method: PowerMethod = "gaussian",
    n_toys: int = 2000,
    seed: int = 0,
    floor: float = 1e-3,
) -> PowerMap:
    """Power on a grid of two coefficients, the others as in the alternative.

    Parameters
    ----------
    table : EventTable
        As for `power`.
    params : tuple of (str, str)
        The two coefficients.
    x, y : array-like of shape (n_x,) and (n_y,)
        Their values, absolute c/Lambda^2 in TeV^-2.
    lumi_fb, ratios, observable, n_bins, binning, edges, alpha, alternative, method, n_toys, seed, floor
        As for `power`.

    Returns
    -------
    PowerMap
        Power of shape (n_x, n_y).

    Raises
    ------
    InputError
        As `power`, or for unknown or equal coefficients.
    """
    names = table.basis.param_names
    for name in params:
        if name not in names:
            raise InputError(f"no coefficient {name!r}: {near_match(name, names)}")
    if len(set(params)) != 2:
        raise InputError(f"params={params!r}: a map needs two different coefficients.")
    test = _Test(table, lumi_fb, ratios, observable, n_bins, binning, edges, alternative, floor)
    _check_options(alpha, method, n_toys)
    columns = [names.index(name) for name in params]
    grid_x, grid_y = (np.atleast_1d(np.asarray(values, dtype=np.float64)) for values in (x, y))
    found = np.empty((len(grid_x), len(grid_y)))
    for i, first in enumerate(grid_x):
        for j, second in enumerate(grid_y):
            point = test.alternative.copy()
            point[columns] = first, second
            found[i, j], _ = _power_of(test.statistic(test.point(point)), alpha, method, n_toys, seed)
    return PowerMap((params[0], params[1]), grid_x, grid_y, found, float(alpha), test.n_bins, method)


@dataclass(frozen=True)
class _Statistic:
    """Values of ln r, and how many events are expected with each, under the null and the alternative."""

    log_ratio: FloatArray
    expected: tuple[FloatArray, FloatArray]
    binned: bool

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of q under both: it is a sum of Poisson numbers times constants."""
        means = np.array([n @ self.log_ratio for n in self.expected])
        squares = np.array([n @ self.log_ratio**2 for n in self.expected])
        return means, np.sqrt(np.maximum(squares, 0.0))


class _Test:
    """The events of a test, and what does not depend on theta."""

    def __init__(
        self,
        table: EventTable,
        lumi_fb: float,
        ratios: npt.ArrayLike | None,
        observable: ObservableLike | None,
        n_bins: int | Sequence[int] | None,
        binning: str,
        edges: EdgesLike | None,
        alternative: ThetaLike | None,
        floor: float,
    ) -> None:
        if not (np.isfinite(lumi_fb) and lumi_fb > 0):
            raise InputError(f"lumi_fb={lumi_fb}: a luminosity must be positive (fb^-1).")
        if not 0.0 < floor < 1.0:
            raise InputError(f"floor={floor}: R is 1 at the reference point; choose a number between 0 and 1.")
        if (ratios is None) == (observable is None):
            raise InputError("give either ratios or an observable.")
        if binning not in get_args(Binning):
            raise InputError(f"binning={binning!r}: choose 'equal' or 'optimal'.")
        self.table, self.lumi_fb, self.floor, self.binning = table, float(lumi_fb), floor, binning
        self.alternative = self.point(np.zeros(table.basis.n_params) if alternative is None else alternative)
        self._expected = self.lumi_fb * table.at(self.alternative)
        self._ratios: FloatArray = np.empty((0, 0))
        self._template: Template | None = None
        self.n_bins: int | None = None
        if observable is not None:
            self._template = self._filled(observable, n_bins, edges)
            self.n_bins = self._template.n_bins
        elif ratios is not None:
            self._take_ratios(ratios, n_bins, edges)

    def _filled(
        self, observable: ObservableLike, n_bins: int | Sequence[int] | None, edges: EdgesLike | None
    ) -> Template:
        if edges is not None:
            return fill(self.table, observable, edges, self.lumi_fb)
        if n_bins is None:
            raise InputError("n_bins is missing: the density of an observable is known in bins only.")
        return fill(self.table, observable, choose_edges(self.table, observable, n_bins), self.lumi_fb)

    def _take_ratios(self, ratios: npt.ArrayLike, n_bins: int | Sequence[int] | None, edges: EdgesLike | None) -> None:
        self._ratios = np.asarray(ratios, dtype=np.float64)
        basis = self.table.basis
        if self._ratios.shape != (self.table.n_events, basis.n_terms - 1):
            raise InputError(
                f"ratios have shape {self._ratios.shape}, expected {(self.table.n_events, basis.n_terms - 1)}: one "
                f"column for each of the terms {list(basis.terms[1:])}."
            )
        if edges is not None:
            raise InputError("edges are those of an observable: the ratio differs from one theta to the next.")
        require_finite(self._ratios, "ratios")
        if n_bins is not None and (not isinstance(n_bins, (int, np.integer)) or n_bins < 1):
            raise InputError(f"n_bins={n_bins!r}: one whole number of at least 1 is needed for bins of a ratio.")
        self.n_bins = n_bins

    def point(self, theta: ThetaLike) -> FloatArray:
        """One checked point."""
        point = self.table.basis.as_theta(theta)
        if point.ndim != 1:
            raise InputError(f"theta has shape {point.shape}: one point is needed.")
        return point

    def statistic(self, theta: FloatArray) -> _Statistic:
        """What q is made of for one null hypothesis."""
        if self._template is not None:
            return self._binned(self._template.yields(theta), self._template.yields(self.alternative))
        log_ratio = self._log_ratio(theta)
        expected = self.lumi_fb * self.table.at(theta)
        if self.n_bins is None:
            return _Statistic(log_ratio, (expected, self._expected), False)
        bins = np.zeros(len(log_ratio), dtype=np.int64)
        if self.n_bins > 1 and np.ptp(log_ratio) > 0:
            edges = self._edges(log_ratio, expected)
            bins = np.searchsorted(edges[1:-1], log_ratio, side="right")
        null, other = (np.bincount(bins, weights=n).astype(np.float64) for n in (expected, self._expected))
        return self._binned(null, other)

    def _edges(self, log_ratio: FloatArray, expected: FloatArray) -> FloatArray:
        """Bins of the ratio."""
        assert self.n_bins is not None
        if self.binning == "equal":
            return equal_probability_edges(log_ratio, self._expected, self.n_bins)
        line = EventTable(
            log_ratio[:, np.newaxis],
            np.column_stack([0.5 * (expected + self._expected), expected - self._expected]),
            PolynomialBasis(("distance",), order=1),
            feature_names=("ln r",),
        )
        return optimal_edges(line, lambda _: log_ratio, self.n_bins, objective="distance", n_fine=max(self.n_bins, 500))

    def _log_ratio(self, theta: FloatArray) -> FloatArray:
        basis = self.table.basis
        # The ratio at the reference point is 1 and nothing else.
        null, other = (
            np.log(np.maximum(1.0 + self._ratios @ basis.monomials(point)[1:], self.floor))
            for point in (theta, self.alternative)
        )
        return null - other

    def _binned(self, null: FloatArray, other: FloatArray) -> _Statistic:
        if not ((null > 0) & (other > 0)).all():
            bad = ~((null > 0) & (other > 0))
            first = int(np.argmax(bad))
            raise InputError(
                f"{int(bad.sum())} of {len(bad)} bins expect no or negative events (first: bin {first}, "
                f"{null[first]:.4g} under the null and {other[first]:.4g} under the alternative); use fewer bins or "
                "more events."
            )
        return _Statistic(np.log(null / other), (null, other), True)


def _check_options(alpha: float, method: str, n_toys: int) -> None:
    if not 0.0 < alpha <= 0.5:
        raise InputError(f"alpha={alpha}: a size lies within (0, 0.5], such as 0.05.")
    if method not in get_args(PowerMethod):
        raise InputError(f"method={method!r}: choose 'gaussian' or 'toys'.")
    if method == "toys" and n_toys * alpha < 10:
        raise InputError(f"n_toys={n_toys}: at least {10 / alpha:.0f} are needed to find the quantile of {alpha:g}.")


def _power_of(sides: _Statistic, alpha: float, method: str, n_toys: int, seed: int) -> tuple[float, float]:
    """Power and its error."""
    if method == "toys":
        null, other = (_toys(sides, which, n_toys, seed) for which in (0, 1))
        return _power_of_toys(null, other, alpha)
    means, spreads = sides.moments()
    threshold = means[0] + spreads[0] * ndtri(alpha)
    if spreads[1] == 0.0:
        return alpha, 0.0
    return float(ndtr((threshold - means[1]) / spreads[1])), 0.0


def _power_of_toys(null: FloatArray, other: FloatArray, alpha: float) -> tuple[float, float]:
    """Share of `other` below the alpha-quantile of `null`, with the errors of both."""
    n = len(null)
    ordered = np.sort(null)

    def at(size: float) -> float:
        return float((other < ordered[min(int(size * n + 1e-9), n - 1)]).mean())

    value, spread = at(alpha), np.sqrt(alpha * (1.0 - alpha) / n)
    of_quantile = 0.5 * (at(alpha + spread) - at(max(alpha - spread, 0.0)))
    return value, float(np.hypot(np.sqrt(value * (1.0 - value) / len(other)), of_quantile))


def _toys(sides: _Statistic, which: int, n_toys: int, seed: int) -> FloatArray:
    """Values of q in toys of one hypothesis; the random numbers depend on it and on the seed alone."""
    rng = np.random.default_rng([seed, which])
    expected = sides.expected[which]
    if sides.binned:
        # Quantiles of the same uniform numbers, so that counts change little from one theta to the next.
        counts = poisson.ppf(rng.random((n_toys, len(expected))), expected)
        return _rounded((counts * sides.log_ratio).sum(axis=1), sides)
    if (expected < 0).any():
        raise InputError(
            f"{int((expected < 0).sum())} events have negative weights: toys cannot draw them; use bins, or the "
            "Gaussian estimate."
        )
    order = np.argsort(sides.log_ratio, kind="stable")
    values, cumulated = sides.log_ratio[order], np.cumsum(expected[order])
    total = cumulated[-1]
    n_events = poisson.ppf(rng.random(n_toys), total).astype(np.int64)
    # Where every one of many equal steps of the total begins: a search from there is a step or two.
    guide = np.searchsorted(cumulated, np.arange(2 * len(values)) * (total / (2 * len(values))))
    cumulated[-1] = np.inf
    sums, rows = np.zeros(n_toys), max(1, _BLOCK // n_toys)
    # Row j holds event j of every toy: a larger number of events only adds rows.
    for start in range(0, int(n_events.max()), rows):
        numbers = np.arange(start, min(start + rows, int(n_events.max())))
        uniform = rng.random(len(numbers) * n_toys)
        drawn = _first_above(cumulated, uniform * total, guide[(uniform * len(guide)).astype(np.int64)])
        kept = numbers[:, np.newaxis] < n_events
        sums += np.where(kept, values[drawn].reshape(kept.shape), 0.0).sum(axis=0)
    return _rounded(sums, sides)


def _first_above(increasing: FloatArray, targets: FloatArray, guess: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """First position whose value exceeds the target, from guesses that lie at most slightly beyond it."""
    found = np.maximum(guess - 1, 0)
    open_ones = np.flatnonzero(increasing[found] <= targets)
    while open_ones.size:
        found[open_ones] += 1
        open_ones = open_ones[increasing[found[open_ones]] <= targets[open_ones]]
    return found


def _rounded(q: FloatArray, sides: _Statistic) -> FloatArray:
    """Values of q in steps of 1e-10 of the largest term: equal counts are equal, whatever the order of the sum."""
    step = 1e-10 * float(np.abs(sides.log_ratio).max()) or 1.0
    result: FloatArray = np.round(q / step)
    return result
