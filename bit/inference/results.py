"""What inference returns: frozen, with a readable repr and `to_dict` for JSON."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.errors import InputError, near_match

Order: TypeAlias = Literal["linear", "quadratic"]
Others: TypeAlias = Literal["zero", "profiled"]


class _Result:
    """Common part: a dictionary of the fields with a kind, arrays read-only."""

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                frozen = value.copy()
                frozen.flags.writeable = False
                object.__setattr__(self, item.name, frozen)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON types.

        Returns
        -------
        dict
            ``kind`` and one entry per field; arrays are lists, infinite and NaN numbers are None.
        """
        return {"kind": self.kind} | {item.name: _plain(getattr(self, item.name)) for item in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False, repr=False)
class FitResult(_Result):
    """Minimum of a likelihood.

    Attributes
    ----------
    names : tuple of str
        Coefficients, then nuisances.
    values, errors : ndarray of float64, shape (n_params,)
        Absolute c/Lambda^2 in TeV^-2 (nuisances in standard deviations), and the roots of the diagonal of `covariance`.
    covariance : ndarray of float64, shape (n_params, n_params)
        Inverse of half the matrix of second derivatives of -2 ln L; 0 for fixed coefficients.
    fixed : tuple of str
        Coefficients that were not fitted.
    twice_nll : float
        -2 ln L there, 0 for a perfect description of the data.
    valid : bool
        Whether the minimiser converged.
    """

    kind: ClassVar[str] = "bit-fit/1"
    names: tuple[str, ...]
    values: FloatArray
    errors: FloatArray
    covariance: FloatArray
    fixed: tuple[str, ...]
    twice_nll: float
    valid: bool

    def __repr__(self) -> str:
        """Return one line per coefficient."""
        lines = [f"FitResult(twice_nll={self.twice_nll:.4g}, valid={self.valid})"]
        for name, value, error in zip(self.names, self.values, self.errors, strict=True):
            spread = "fixed" if name in self.fixed else f"+- {error:.4g}"
            lines.append(f"  {name:<10} {value:>11.4g} {spread}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class Interval(_Result):
    """Confidence interval of one coefficient.

    Attributes
    ----------
    name : str
        The coefficient.
    lower, upper : float
        Outermost ends, absolute c/Lambda^2 in TeV^-2; infinite where the data do not bound it.
    best : float
        Where -2 ln L is smallest.
    pieces : tuple of (float, float)
        The allowed set; more than one piece where a second minimum is allowed and values between are not.
    cl : float
        Confidence level.
    others : {"zero", "profiled"}
        Treatment of the other coefficients.
    order : {"linear", "quadratic"}
        Order of the yields in the coefficients.
    """

    kind: ClassVar[str] = "bit-interval/1"
    name: str
    lower: float
    upper: float
    best: float
    pieces: tuple[tuple[float, float], ...]
    cl: float
    others: Others
    order: Order

    @property
    def disconnected(self) -> bool:
        """Whether values between `lower` and `upper` are excluded."""
        return len(self.pieces) > 1

    def __repr__(self) -> str:
        """Return one line."""
        allowed = " or ".join(f"[{low:.4g}, {high:.4g}]" for low, high in self.pieces)
        return f"Interval({self.name} in {allowed} at {100 * self.cl:g} % CL, others {self.others}, {self.order})"


@dataclass(frozen=True, eq=False, repr=False)
class LimitResult(_Result):
    """Confidence intervals, one per coefficient; ``result["cHWtil"]`` gives one of them.

    Attributes
    ----------
    intervals : tuple of Interval
        In the order asked for.
    cl : float
        Confidence level.
    others : {"zero", "profiled"}
        Treatment of the other coefficients.
    order : {"linear", "quadratic"}
        Order of the yields in the coefficients.
    """

    kind: ClassVar[str] = "bit-limits/1"
    intervals: tuple[Interval, ...]
    cl: float
    others: Others
    order: Order

    @property
    def names(self) -> tuple[str, ...]:
        """Coefficients, in the order of `intervals`."""
        return tuple(interval.name for interval in self.intervals)

    def __getitem__(self, name: str) -> Interval:
        """Return the interval of one coefficient."""
        if name not in self.names:
            raise InputError(f"no limit on {name!r}: {near_match(name, self.names)}")
        return self.intervals[self.names.index(name)]

    def __repr__(self) -> str:
        """Return one line per coefficient."""
        lines = [f"LimitResult({100 * self.cl:g} % CL, others {self.others}, {self.order} order, TeV^-2)"]
        for interval in self.intervals:
            allowed = " or ".join(f"[{low:>9.4g}, {high:>9.4g}]" for low, high in interval.pieces)
            lines.append(f"  {interval.name:<10} {allowed}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class ScanResult(_Result):
    """-2 ln L along one coefficient, above its minimum along that line.

    Attributes
    ----------
    name : str
        The coefficient.
    names : tuple of str
        All coefficients.
    values : ndarray of float64, shape (n_points,)
        Points, absolute c/Lambda^2 in TeV^-2.
    twice_nll : ndarray of float64, shape (n_points,)
        -2 ln L minus its smallest value.
    thetas : ndarray of float64, shape (n_points, n_params)
        All coefficients at each point.
    best : float
        Where the smallest value lies; it need not be one of the points.
    others : {"zero", "profiled"}
        Treatment of the other coefficients.
    order : {"linear", "quadratic"}
        Order of the yields in the coefficients.
    """

    kind: ClassVar[str] = "bit-scan/1"
    name: str
    names: tuple[str, ...]
    values: FloatArray
    twice_nll: FloatArray
    thetas: FloatArray
    best: float
    others: Others
    order: Order

    def __repr__(self) -> str:
        """Return one line."""
        return (
            f"ScanResult({self.name} at {len(self.values)} points from {self.values.min():.4g} to "
            f"{self.values.max():.4g}, best {self.best:.4g}, others {self.others}, {self.order})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class ContourResult(_Result):
    """-2 ln L over two coefficients, above its minimum: contours are its lines at `levels`.

    Attributes
    ----------
    names : tuple of str
        The two coefficients, along x and y.
    x, y : ndarray of float64, shapes (n_x,) and (n_y,)
        Points, absolute c/Lambda^2 in TeV^-2.
    twice_nll : ndarray of float64, shape (n_y, n_x)
        -2 ln L minus its smallest value.
    best : tuple of float
        Where the smallest value lies.
    cls : tuple of float
        Confidence levels.
    levels : tuple of float
        Their chi2 quantiles for two degrees of freedom, 2.30 for 68.27 % and 5.99 for 95 %.
    others : {"zero", "profiled"}
        Treatment of the other coefficients.
    order : {"linear", "quadratic"}
        Order of the yields in the coefficients.
    """

    kind: ClassVar[str] = "bit-contour/1"
    names: tuple[str, str]
    x: FloatArray
    y: FloatArray
    twice_nll: FloatArray
    best: tuple[float, float]
    cls: tuple[float, ...]
    levels: tuple[float, ...]
    others: Others
    order: Order

    def __repr__(self) -> str:
        """Return one line."""
        return (
            f"ContourResult({self.names[0]} x {self.names[1]}, {len(self.x)} x {len(self.y)} points, best "
            f"({self.best[0]:.4g}, {self.best[1]:.4g}), {', '.join(f'{100 * cl:g} %' for cl in self.cls)} CL, "
            f"others {self.others}, {self.order})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Information(_Result):
    """Fisher information of a Poisson measurement.

    Attributes
    ----------
    names : tuple of str
        Coefficients.
    matrix : ndarray of float64, shape (n_params, n_params)
        I_ab in TeV^4: half the expected second derivatives of -2 ln L.
    theta : ndarray of float64, shape (n_params,)
        Where, absolute c/Lambda^2 in TeV^-2.
    rate : bool
        Whether the total number of events counts; False: the shape alone.
    """

    kind: ClassVar[str] = "bit-information/1"
    names: tuple[str, ...]
    matrix: FloatArray
    theta: FloatArray
    rate: bool

    @property
    def covariance(self) -> FloatArray:
        """Inverse of the matrix: the best covariance of unbiased estimators (Cramer-Rao).

        Raises
        ------
        InputError
            If some combination of coefficients has no information.
        """
        scale = np.sqrt(np.where(np.diag(self.matrix) > 0, np.diag(self.matrix), 1.0))
        scaled = self.matrix / np.outer(scale, scale)
        if np.linalg.eigvalsh(scaled)[0] <= len(scale) * np.finfo(np.float64).eps:
            raise InputError(
                f"the information on {list(self.names)} is singular: some combination of them is not measured; "
                "use more bins, another observable, or fewer coefficients."
            )
        inverse: FloatArray = np.linalg.inv(scaled) / np.outer(scale, scale)
        return inverse

    @property
    def errors(self) -> FloatArray:
        """Roots of the diagonal of `covariance`, all coefficients free, in TeV^-2."""
        return np.sqrt(np.diag(self.covariance))

    def __getitem__(self, name: str) -> float:
        """Return the information on one coefficient, the others known."""
        if name not in self.names:
            raise InputError(f"no coefficient {name!r}: {near_match(name, self.names)}")
        at = self.names.index(name)
        return float(self.matrix[at, at])

    def __repr__(self) -> str:
        """Return the matrix with names."""
        lines = [f"Information({'rate and shape' if self.rate else 'shape only'}, TeV^4)"]
        lines.append(" " * 12 + " ".join(f"{name:>11}" for name in self.names))
        for name, row in zip(self.names, self.matrix, strict=True):
            lines.append(f"  {name:<10}" + " ".join(f"{value:>11.4g}" for value in row))
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class GoodnessOfFit(_Result):
    """How well the best fit describes the data.

    Attributes
    ----------
    twice_nll : float
        -2 ln L at the fit against the saturated model, in which every bin and nuisance is described perfectly.
    ndf : int
        Bins and measured nuisances, less the free parameters.
    p_value : float
        Probability of at least this value: of the chi2 distribution, or among the toys.
    n_toys : int
        Number of toys; 0 for the chi2 distribution.
    """

    kind: ClassVar[str] = "bit-goodness-of-fit/1"
    twice_nll: float
    ndf: int
    p_value: float
    n_toys: int

    def __repr__(self) -> str:
        """Return one line."""
        how = f"{self.n_toys} toys" if self.n_toys else "chi2"
        return f"GoodnessOfFit(twice_nll={self.twice_nll:.4g}, ndf={self.ndf}, p={self.p_value:.3g} by {how})"


@dataclass(frozen=True, eq=False, repr=False)
class Impacts(_Result):
    """Shifts of one coefficient when each nuisance moves by its error after the fit.

    Attributes
    ----------
    param : str
        The coefficient.
    value, error : float
        Of the coefficient at the best fit, TeV^-2.
    names : tuple of str
        Nuisances, the largest impact first.
    pulls, constraints : ndarray of float64, shape (n_nuisances,)
        Fitted values less measured ones, and errors after the fit, in units of the error before it.
    down, up : ndarray of float64, shape (n_nuisances,)
        Shifts of the coefficient, TeV^-2, with the nuisance fixed one error below and above its fitted value.
    others : {"zero", "profiled"}
        Treatment of the other coefficients.
    """

    kind: ClassVar[str] = "bit-impacts/1"
    param: str
    value: float
    error: float
    names: tuple[str, ...]
    pulls: FloatArray
    constraints: FloatArray
    down: FloatArray
    up: FloatArray
    others: Others

    def __repr__(self) -> str:
        """Return one line per nuisance."""
        lines = [f"Impacts({self.param} = {self.value:.4g} +- {self.error:.4g}, others {self.others}, TeV^-2)"]
        for row in zip(self.names, self.pulls, self.constraints, self.down, self.up, strict=True):
            lines.append("  {:<12} pull {:>6.2f} +- {:<5.2f} impact {:>+10.3g} {:>+10.3g}".format(*row))
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class Breakdown(_Result):
    """Error of one coefficient and what contributes to it.

    Attributes
    ----------
    param : str
        The coefficient.
    value : float
        At the best fit, TeV^-2.
    total, statistical : float
        Error with everything free, and with all nuisances fixed and no Monte Carlo errors, TeV^-2.
    names : tuple of str
        Groups of nuisances; "mc_stat" are the Monte Carlo errors.
    parts : ndarray of float64, shape (n_groups,)
        Root of the difference of the squared errors with everything free and with the group fixed, TeV^-2. Groups that
        are correlated by the fit do not add up in quadrature: what is missing is more than 0 where they can stand in
        for each other, since fixing one leaves the other, and less than 0 where they overlap.
    others : {"zero", "profiled"}
        Treatment of the other coefficients.
    """

    kind: ClassVar[str] = "bit-breakdown/1"
    param: str
    value: float
    total: float
    statistical: float
    names: tuple[str, ...]
    parts: FloatArray
    others: Others

    def __repr__(self) -> str:
        """Return one line per group."""
        lines = [f"Breakdown({self.param} = {self.value:.4g} +- {self.total:.4g}, others {self.others}, TeV^-2)"]
        shares = np.array([self.statistical, *self.parts]) ** 2 / self.total**2
        for name, share in zip(("statistical", *self.names), shares, strict=True):
            lines.append(f"  {name:<12} {np.sqrt(share) * self.total:>10.4g} {100 * share:>6.1f} % of the variance")
        rest = 100 * (1 - shares.sum())
        if abs(rest) >= 0.05:
            lines.append(f"  {'correlated':<12} {'':>10} {rest:>6.1f} % of the variance")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class ToyInterval(_Result):
    """Confidence interval of one coefficient by toys.

    Attributes
    ----------
    name : str
        The coefficient.
    values : ndarray of float64, shape (n_points,)
        Values at which toys were thrown, absolute c/Lambda^2 in TeV^-2.
    observed, critical : ndarray of float64, shape (n_points,)
        -2 ln of the likelihood ratio of the data, and that which the share `cl` of the toys does not exceed: 3.84 at
        95 % where Wilks' theorem holds.
    p_values : ndarray of float64, shape (n_points,)
        (1 + k)/(1 + n) if k of n toys have at least the value of the data.
    pieces : tuple of (float, float)
        Where the p-value is at least 1 - cl; infinite where the outermost value is still allowed.
    cl : float
        Confidence level.
    n_toys : int
        Toys at each value.
    others : {"zero", "profiled"}
        Treatment of the other coefficients.
    """

    kind: ClassVar[str] = "bit-toy-interval/1"
    name: str
    values: FloatArray
    observed: FloatArray
    critical: FloatArray
    p_values: FloatArray
    pieces: tuple[tuple[float, float], ...]
    cl: float
    n_toys: int
    others: Others

    def __repr__(self) -> str:
        """Return one line."""
        allowed = " or ".join(f"[{low:.4g}, {high:.4g}]" for low, high in self.pieces)
        return f"ToyInterval({self.name} in {allowed} at {100 * self.cl:g} % CL by {self.n_toys} toys)"


def _plain(value: Any) -> Any:
    """JSON counterpart of a field."""
    if isinstance(value, _Result):
        return value.to_dict()
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


@dataclass(frozen=True, eq=False, repr=False)
class RatioCalibration(_Result):
    """Functions that correct learned ratios R_k, one per term; ``calibration(ratios)`` applies them.

    Attributes
    ----------
    terms : tuple of tuple of str
        The terms, in the order of the columns of ratios.
    method : str
        How it was made; see `calibrate`.
    learned, calibrated : tuple of ndarray
        Of every term points of the function: ratios, increasing, and what replaces them. "global" is a straight line
        through them; the other functions are linear between them and shift what is outside by as much as the nearest.
    """

    kind: ClassVar[str] = "bit-ratio-calibration/1"
    terms: tuple[tuple[str, ...], ...]
    method: str
    learned: tuple[FloatArray, ...]
    calibrated: tuple[FloatArray, ...]

    def __call__(self, ratios: npt.ArrayLike) -> FloatArray:
        """Return the corrected ratios, of the same shape (n_events, n_terms - 1)."""
        values = np.asarray(ratios, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.terms):
            raise InputError(f"ratios have shape {values.shape}, expected (n_events, {len(self.terms)}).")
        if self.method == "global":
            return values * self.factors
        columns = zip(values.T, self.learned, self.calibrated, strict=True)
        return np.column_stack([column + np.interp(column, x, y - x) for column, x, y in columns])

    @property
    def factors(self) -> FloatArray:
        """Slope of every function between its outermost points; 1 where it has only one."""
        pairs = zip(self.learned, self.calibrated, strict=True)
        return np.array([(y[-1] - y[0]) / (x[-1] - x[0]) if x[-1] > x[0] else 1.0 for x, y in pairs])

    def __repr__(self) -> str:
        """Return one line per term."""
        lines = [f"RatioCalibration({self.method})"]
        for term, x, factor in zip(self.terms, self.learned, self.factors, strict=True):
            lines.append(f"  {' '.join(term):<16} {len(x)} points, mean slope {factor:.4g}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class ClosureResult(_Result):
    """A distribution at theta against nominal events that are reweighted by learned ratios.

    Attributes
    ----------
    edges : tuple of ndarray
        One array per axis; bins stand in C order.
    theta : ndarray of float64, shape (n_params,)
        Absolute c/Lambda^2 in TeV^-2.
    truth, reweighted : ndarray of float64, shape (n_bins,)
        In fb.
    errors : ndarray of float64, shape (n_bins,)
        Statistical error of truth - reweighted, in fb.
    pulls : ndarray of float64, shape (n_bins,)
        (truth - reweighted) / errors; 0 where there is no error.
    chi2 : float
        Sum of the squared pulls.
    n_bins : int
        Bins that have an error: the degrees of freedom.
    p_value : float
        Probability of at least this chi^2.
    """

    kind: ClassVar[str] = "bit-closure/1"
    edges: tuple[FloatArray, ...]
    theta: FloatArray
    truth: FloatArray
    reweighted: FloatArray
    errors: FloatArray
    pulls: FloatArray
    chi2: float
    n_bins: int
    p_value: float

    def __repr__(self) -> str:
        """Return one line."""
        return f"ClosureResult(chi2={self.chi2:.4g} for {self.n_bins} bins, p={self.p_value:.3g})"


@dataclass(frozen=True, eq=False, repr=False)
class PowerResult(_Result):
    """Power of the test of a null hypothesis against an alternative.

    Attributes
    ----------
    names : tuple of str
        Coefficients.
    theta, alternative : ndarray of float64, shape (n_params,)
        Null and alternative hypothesis, absolute c/Lambda^2 in TeV^-2.
    power : float
        1 - beta: probability to reject `theta` if `alternative` is true.
    error : float
        Statistical error of `power` from the number of toys; 0 for the Gaussian estimate.
    alpha : float
        Size: probability to reject `theta` if it is true.
    n_bins : int or None
        Bins of the observable; None for the unbinned test.
    method : {"gaussian", "toys"}
        How the distributions of the test statistic were found.
    means, spreads : ndarray of float64, shape (2,)
        Mean and standard deviation of the test statistic under the null and the alternative.
    """

    kind: ClassVar[str] = "bit-power/1"
    names: tuple[str, ...]
    theta: FloatArray
    alternative: FloatArray
    power: float
    error: float
    alpha: float
    n_bins: int | None
    method: str
    means: FloatArray
    spreads: FloatArray

    def __repr__(self) -> str:
        """Return one line."""
        how = "unbinned" if self.n_bins is None else f"{self.n_bins} bins"
        point = ", ".join(f"{name}={value:g}" for name, value in zip(self.names, self.theta, strict=True) if value)
        error = f" +- {self.error:.2g}" if self.error else ""
        return f"PowerResult({self.power:.4g}{error} for {point or 'theta=0'} at alpha={self.alpha:g}, {how})"


@dataclass(frozen=True, eq=False, repr=False)
class PowerMap(_Result):
    """Power over a grid of two coefficients, the others at the alternative.

    Attributes
    ----------
    params : tuple of (str, str)
        The two coefficients.
    x, y : ndarray of float64, shape (n_x,) and (n_y,)
        Their values, absolute c/Lambda^2 in TeV^-2.
    power : ndarray of float64, shape (n_x, n_y)
        1 - beta at each point.
    alpha : float
        Size of the tests.
    n_bins : int or None
        Bins of the observable; None for the unbinned test.
    method : {"gaussian", "toys"}
        How the distributions of the test statistic were found.

    Notes
    -----
    Where the power is 1/2, the median p-value of experiments in which the alternative is true is alpha: the contour of
    expected exclusion at that size.
    """

    kind: ClassVar[str] = "bit-power-map/1"
    params: tuple[str, str]
    x: FloatArray
    y: FloatArray
    power: FloatArray
    alpha: float
    n_bins: int | None
    method: str

    def __repr__(self) -> str:
        """Return one line."""
        how = "unbinned" if self.n_bins is None else f"{self.n_bins} bins"
        return f"PowerMap({self.params[0]} x {self.params[1]}, {self.power.shape} points, alpha={self.alpha:g}, {how})"


@dataclass(frozen=True, eq=False, repr=False)
class InformationDensity(_Result):
    """Fisher information bin by bin: where in an observable the sensitivity lies.

    Attributes
    ----------
    names : tuple of str
        Coefficients.
    edges : tuple of ndarray
        One array per axis; bins stand in C order.
    matrices : ndarray of float64, shape (n_bins, n_params, n_params)
        Information of every bin in TeV^4; it adds up.
    yields : ndarray of float64, shape (n_bins,)
        Expected events.
    theta : ndarray of float64, shape (n_params,)
        Where, absolute c/Lambda^2 in TeV^-2.
    """

    kind: ClassVar[str] = "bit-information-density/1"
    names: tuple[str, ...]
    edges: tuple[FloatArray, ...]
    matrices: FloatArray
    yields: FloatArray
    theta: FloatArray

    @property
    def total(self) -> Information:
        """Sum of all bins."""
        return Information(self.names, self.matrices.sum(axis=0), self.theta, True)

    def __getitem__(self, name: str) -> FloatArray:
        """Return the information of every bin on one coefficient, the others known."""
        if name not in self.names:
            raise InputError(f"no coefficient {name!r}: {near_match(name, self.names)}")
        at = self.names.index(name)
        return self.matrices[:, at, at]

    def __repr__(self) -> str:
        """Return one line."""
        return f"InformationDensity({len(self.yields)} bins, params={list(self.names)})"


@dataclass(frozen=True, eq=False, repr=False)
class Directions(_Result):
    """Eigenvectors of a Fisher information: combinations of coefficients that are measured independently.

    Attributes
    ----------
    names : tuple of str
        Coefficients.
    vectors : ndarray of float64, shape (n_params, n_params)
        One direction per row, of length 1 and with its largest component positive; best measured first.
    values : ndarray of float64, shape (n_params,)
        Eigenvalues in TeV^4, decreasing.
    errors : ndarray of float64, shape (n_params,)
        Cramer-Rao bounds along the directions, values^-1/2 in TeV^-2; infinite where nothing is measured.
    """

    kind: ClassVar[str] = "bit-directions/1"
    names: tuple[str, ...]
    vectors: FloatArray
    values: FloatArray
    errors: FloatArray

    def __repr__(self) -> str:
        """Return one line per direction."""
        lines = ["Directions(best measured first, TeV^-2)"]
        for vector, error in zip(self.vectors, self.errors, strict=True):
            parts = " ".join(f"{c:+.3f} {name}" for c, name in zip(vector, self.names, strict=True))
            lines.append(f"  {error:>10.4g}  {parts}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class BinningResult(_Result):
    """Edges whose number was chosen on events that did not choose the edges.

    Attributes
    ----------
    edges : ndarray of float64, shape (n_bins + 1,)
        The chosen ones.
    n_bins : ndarray of int64, shape (n_candidates,)
        Numbers of bins that were tried.
    chosen, independent : ndarray of float64, shape (n_candidates,)
        Information for each, on the events that chose the edges and on the others, per fb^-1.
    tolerance : float
        Share of the best independent information that may be lost for fewer bins.
    """

    kind: ClassVar[str] = "bit-binning/1"
    edges: FloatArray
    n_bins: npt.NDArray[np.int64]
    chosen: FloatArray
    independent: FloatArray
    tolerance: float

    def __repr__(self) -> str:
        """Return one line."""
        best = self.independent.max()
        kept = self.independent[self.n_bins == len(self.edges) - 1]
        share = f"{100 * kept[0] / best:.4g} % of the best" if kept.size and best > 0 else "merged"
        return f"BinningResult({len(self.edges) - 1} bins, {share} of {len(self.n_bins)} candidates)"
