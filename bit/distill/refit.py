"""Constants of formulas fitted again: quick least squares for many, values with errors for chosen ones.

Searches work in single precision on a few thousand rows and stop early; the constants of their forms are worth
fitting to all events (arXiv:2109.10414, Sec. 3.2).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from iminuit import Minuit
from scipy.optimize import least_squares

from bit.basis import FloatArray
from bit.distill._search import require_whole_number
from bit.distill._targets import Sample, as_values
from bit.errors import BitWarning, InputError
from bit.events import EventTable
from bit.expression import Expression
from bit.expression.fold import fold
from bit.expression.nodes import (
    Constant,
    Integer,
    Node,
    constants,
    evaluate,
    exponents,
    replace,
    with_constants,
)
from bit.expression.program import Program, value_and_gradient
from bit.metrics import calibration
from bit.observables import Observable

Objective: TypeAlias = Literal["mse", "information", "limit"]

CHI2_BINS = 20
"""Bins of the formula's values in which the mean target is compared with it."""

# A residual of a formula that has no value there; large, so that the step is refused.
_NO_VALUE = 1e6
# Smallest eigenvalue of the normalised Hessian, relative to the largest, of a direction that the data determine.
_FLAT = 1e-10
# A rise of the loss by less is none: the square of it is far below the statistical error of any sample.
_SAME = 1e-6


def fit_constants(
    node: Node, sample: Sample, *, fit_exponents: bool = False, max_steps: int = 50
) -> tuple[Node, float]:
    """Minimise the weighted mean squared error over the constants of one formula.

    Parameters
    ----------
    node : node
        The form, and where to begin.
    sample : Sample
        Events, whose weights sum to 1.
    fit_exponents : bool, default=False
        Whether constants in exponents are fitted, too.
    max_steps : int, default=50
        Evaluations of the formula at most.

    Returns
    -------
    node : node
        With other constants, or as it was if none lower the error.
    mse : float
        Its weighted mean squared error; infinite if it is not finite on all events.

    Notes
    -----
    Levenberg-Marquardt (scipy's ``least_squares``) with derivatives from the tree, in float64.
    """
    before = mean_squared_error(node, sample)
    start = np.array(constants(node))
    free = np.array([fit_exponents or not exponent for exponent in exponents(node)], dtype=bool)
    if not free.any() or not np.isfinite(before):
        return node, before
    root, program = np.sqrt(sample.weights), Program(node, sample.columns)

    def everything(values: FloatArray) -> FloatArray:
        found = start.copy()
        found[free] = values
        return found

    def residual(values: FloatArray) -> FloatArray:
        if not np.isfinite(values).all():
            return np.full(len(root), _NO_VALUE)
        return _finite((program.value(everything(values)) - sample.target) * root, _NO_VALUE)

    def jacobian(values: FloatArray) -> FloatArray:
        by_constants = program.gradient(everything(values))[1]
        return _finite((by_constants if free.all() else by_constants[:, free]) * root[:, np.newaxis], 0.0)

    few = len(root) < free.sum()
    try:
        found = least_squares(
            residual, start[free], jac=jacobian, method="trf" if few else "lm", x_scale="jac", max_nfev=max_steps
        )
    except (ValueError, np.linalg.LinAlgError):
        return node, before
    if not np.isfinite(found.x).all():
        return node, before
    fitted = with_constants(node, everything(found.x).tolist())
    after = mean_squared_error(fitted, sample)
    return (fitted, after) if after < before else (node, before)


def mean_squared_error(node: Node, sample: Sample) -> float:
    """Weighted mean squared error of a formula.

    Parameters
    ----------
    node : node
        The formula.
    sample : Sample
        Events, whose weights sum to 1.

    Returns
    -------
    float
        Infinite if the formula is not finite on all events.
    """
    with np.errstate(all="ignore"):
        value = float(sample.weights @ (evaluate(node, sample.columns) - sample.target) ** 2)
    return value if np.isfinite(value) else np.inf


def _finite(values: FloatArray, instead: float) -> FloatArray:
    if np.isfinite(values).all():
        return values
    return np.asarray(np.nan_to_num(values, nan=instead, posinf=instead, neginf=-instead))


# ---------------------------------------------------------------------- values with errors
@dataclass(frozen=True, eq=False)
class Refit:
    """A formula with fitted constants.

    Attributes
    ----------
    expression : Expression
        The formula; its ``covariance`` is that of the constants.
    objective : str
        What was minimised or maximised.
    mse : float
        Weighted mean squared error, in the square of the target's unit.
    rho2 : float
        Weighted squared correlation with the target.
    chi2 : float
        Sum of squared pulls of the mean target in `CHI2_BINS` bins of the formula, to be compared with that number: the
        variance of single events is not known, that of the means is (`bit.metrics.calibration`).
    removed : tuple of str
        One sentence for each flat direction that was removed.
    valid : bool
        Whether the minimiser converged and every constant has a finite error.
    """

    expression: Expression
    objective: Objective
    mse: float
    rho2: float
    chi2: float
    removed: tuple[str, ...]
    valid: bool

    @property
    def values(self) -> FloatArray:
        """Constants, in the order of the text."""
        return self.expression.constants

    @property
    def errors(self) -> FloatArray:
        """Their standard deviations; for a given factor of the formula where the objective does not determine it."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def covariance(self) -> FloatArray:
        """Their covariance."""
        assert self.expression.covariance is not None  # every refit has one
        return self.expression.covariance

    @property
    def correlation(self) -> FloatArray:
        """Their correlations; 0 for a constant that was not fitted."""
        errors = self.errors
        scale = np.where(errors > 0, errors, 1.0)
        return np.asarray(self.covariance / np.outer(scale, scale))

    def pulls(self, other: Refit) -> FloatArray:
        """Shifts of the constants with respect to the same form on another sample, in standard deviations.

        Parameters
        ----------
        other : Refit
            Of independent events.

        Returns
        -------
        ndarray of float64, shape (n_constants,)
            (self - other) / sqrt(error^2 + other error^2), as the last column of Table 10 of arXiv:2109.10414.

        Raises
        ------
        InputError
            If the forms differ.
        """
        if len(self.values) != len(other.values) or _shape(self.expression.node) != _shape(other.expression.node):
            raise InputError(
                f"{self.expression} and {other.expression} are different forms: refit the same one on both samples."
            )
        spread = np.hypot(self.errors, other.errors)
        shift = self.values - other.values
        return np.divide(shift, spread, out=np.zeros_like(shift), where=spread > 0)

    def __str__(self) -> str:
        """Return one line for each constant with its error."""
        rows = [f"  {value: .6g} +- {error:.2g}" for value, error in zip(self.values, self.errors, strict=True)]
        return "\n".join([f"{self.expression}: MSE {self.mse:.4g}, rho2 {self.rho2:.4f}", *rows])


def refit(
    expression: Expression,
    table: EventTable,
    target: Observable | npt.ArrayLike,
    *,
    objective: Objective = "mse",
    weights: npt.ArrayLike | None = None,
    fit_exponents: bool = False,
    n_starts: int = 5,
    random_state: int = 0,
) -> Refit:
    """Fit the constants of a formula to events, with errors, and remove flat directions.

    Parameters
    ----------
    expression : Expression
        The form, and where to begin.
    table : EventTable
        Events with its features, such as those of a detector for a formula found for partons.
    target : Observable or array-like of shape (n_events,)
        What it should describe; usually ``TrueScore(param)`` or ``model.observable(param)``.
    objective : {"mse", "information", "limit"}, default="mse"
        Minimise sum w (f - t)^2 / sum w; or maximise rho^2; or maximise (sum w f t)^2 / (sum w f^2 sum w t^2), the
        share of the information with the rate that f keeps: at linear order the expected limit of an unbinned
        measurement is inverse to its root. The last two do not fix a factor of f: errors are those at a given one.
    weights : array-like of shape (n_events,), optional
        Default the absolute nominal weights |w_0|.
    fit_exponents : bool, default=False
        Whether constants in exponents are fitted, too (Eq. 27 of arXiv:2109.10414).
    n_starts : int, default=5
        Minimisations: one from where the constants are, the others from there times 1 + N(0, 0.3).
    random_state : int, default=0
        Seed of the starts.

    Returns
    -------
    Refit
        The best of all starts.

    Raises
    ------
    InputError
        For shapes that do not fit, values that are not finite, or a formula that is not finite on all events.

    Warns
    -----
    BitWarning
        For each flat direction that is removed.

    Notes
    -----
    Errors are those of least squares with residuals r_i of unknown, unequal variance, as latent noise is:
    V = H^-1 (sum_i w_i^2 r_i^2 J_i J_i^T) H^-1 with H = sum_i w_i J_i J_i^T and J_i the derivatives by the constants
    (H. White, Econometrica 48 (1980) 817, Eq. 9). The largest rho^2 is the least squared error of a + b f, the largest
    share with the rate that of b f; errors are then those of this fit, with b and a fixed where constants of f can
    make up for them.

    A flat direction is an eigenvector of the Hessian, normalised to a unit diagonal, with a vanishing eigenvalue, as
    Eq. 24 of arXiv:2109.10414 has two. One of its constants is set to 1 or 0 where that keeps the loss, and the form
    is folded and fitted again, which leads from Eq. 24 to Eq. 25.
    """
    if objective not in get_args(Objective):
        raise InputError(f"objective={objective!r}: give one of {', '.join(get_args(Objective))}.")
    if not isinstance(expression, Expression) or not isinstance(table, EventTable):
        raise InputError(
            f"a {type(expression).__name__} and a {type(table).__name__} were given: refit needs an Expression, as of "
            "Expression.parse('2.0*x', ['x']), and an EventTable."
        )
    require_whole_number("n_starts", n_starts, 1)
    require_whole_number("random_state", random_state, 0)
    sample = Sample.of(
        expression.columns(table),
        as_values(target, table),
        np.abs(table.weights[:, 0]) if weights is None else np.asarray(weights, dtype=np.float64),
    )
    if not np.isfinite(mean_squared_error(expression.node, sample)):
        raise InputError(f"{expression} is not finite on all events; restrict them to its domain.")
    rng = np.random.default_rng(random_state)
    node, valid = _best_of_starts(expression.node, sample, objective, fit_exponents, n_starts, rng)
    removed: list[str] = []
    while (shorter := without_flat_direction(node, sample, fit_exponents=fit_exponents)) is not None:
        node, message = shorter
        node, valid = _best_of_starts(node, sample, objective, fit_exponents, 1, rng)
        removed.append(message)
        warnings.warn(message, BitWarning, stacklevel=2)
    covariance = sandwich(node, sample, fit_exponents=fit_exponents, objective=objective)
    fitted = changed(expression, node=node, covariance=covariance)
    predicted = np.broadcast_to(evaluate(node, sample.columns), sample.target.shape)
    return Refit(
        expression=fitted,
        objective=objective,
        mse=mean_squared_error(node, sample),
        rho2=sample.rho2(predicted),
        chi2=_chi2(predicted, sample),
        removed=tuple(removed),
        valid=valid and bool(np.isfinite(covariance).all()),
    )


def _best_of_starts(
    node: Node,
    sample: Sample,
    objective: Objective,
    fit_exponents: bool,
    n_starts: int,
    rng: np.random.Generator,
) -> tuple[Node, bool]:
    """Lowest of several minimisations, and whether it converged."""
    start = np.array(constants(node))
    free = np.array([fit_exponents or not exponent for exponent in exponents(node)], dtype=bool)
    if not free.any():
        return node, True
    best, valid, lowest = node, False, np.inf
    for attempt in range(n_starts):
        values = start.copy()
        if attempt:
            values[free] *= 1.0 + 0.3 * rng.standard_normal(int(free.sum()))
        begin = with_constants(node, values.tolist())
        if objective == "mse":
            # Levenberg-Marquardt first: it knows that the loss is a sum of squares.
            begin, _ = fit_constants(begin, sample, fit_exponents=fit_exponents, max_steps=200)
        found, converged, value = _migrad(begin, sample, objective, free)
        if value < lowest * (1.0 - _SAME) or (not valid and converged and value <= lowest):
            best, valid, lowest = found, converged, value
    return best, valid


def _migrad(node: Node, sample: Sample, objective: Objective, free: npt.NDArray[np.bool_]) -> tuple[Node, bool, float]:
    """Minimise an objective over the free constants, in units of its own errors."""
    start = np.array(constants(node))
    # One standard deviation raises the cost by 1.
    n_effective = 1.0 / float(sample.weights @ sample.weights)
    cost_of = _mse_cost if objective == "mse" else _share_cost
    program = Program(node, sample.columns)
    scale = n_effective / max(mean_squared_error(node, sample), _negligible(sample))
    scale = scale if objective == "mse" else n_effective

    def cost(values: FloatArray) -> float:
        if not np.isfinite(values).all():
            return 1e3 * n_effective
        value, _ = cost_of(program, values, sample, objective)
        return scale * value if np.isfinite(value) else 1e3 * n_effective

    def gradient(values: FloatArray) -> FloatArray:
        if not np.isfinite(values).all():
            return np.zeros(len(values))
        slope: FloatArray = scale * cost_of(program, values, sample, objective)[1]
        return _finite(slope, 0.0)

    minuit = Minuit(cost, start, grad=gradient)
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.errors = np.where(start == 0.0, 0.1, 0.1 * np.abs(start))
    minuit.fixed = ~free
    minuit.print_level = 0
    minuit.migrad()
    if minuit.fval is None or not minuit.fval <= cost(start):
        return node, False, cost(start) / scale
    values = np.array(minuit.values)
    return with_constants(node, values.tolist()), bool(minuit.valid), float(minuit.fval) / scale


def _mse_cost(program: Program, values: FloatArray, sample: Sample, objective: Objective) -> tuple[float, FloatArray]:
    value, by_constants, _ = program.gradient(values)
    with np.errstate(all="ignore"):
        residual = value - sample.target
        return float(sample.weights @ residual**2), 2.0 * (sample.weights * residual) @ by_constants


def _share_cost(program: Program, values: FloatArray, sample: Sample, objective: Objective) -> tuple[float, FloatArray]:
    """One minus the squared correlation with the target, of deviations from the mean for the shape alone."""
    value, by_constants, _ = program.gradient(values)
    target, weights = sample.target, sample.weights
    with np.errstate(all="ignore"):
        if objective == "information":
            value = value - weights @ value
            target = target - weights @ target
            by_constants = by_constants - weights @ by_constants
        cross, square, full = weights @ (value * target), weights @ value**2, weights @ target**2
        share = cross**2 / (square * full)
        slope = (
            2.0
            * cross
            / (square * full)
            * ((weights * target) @ by_constants - cross / square * (weights * value) @ by_constants)
        )
    return float(1.0 - share), -slope


def sandwich(node: Node, sample: Sample, *, fit_exponents: bool = False, objective: Objective = "mse") -> FloatArray:
    """Covariance of constants from weighted least squares, whatever the variances of the events.

    Parameters
    ----------
    node : node
        With fitted constants.
    sample : Sample
        The events of the fit.
    fit_exponents : bool, default=False
        Whether constants in exponents were fitted, too.
    objective : {"mse", "information", "limit"}, default="mse"
        Of the fit: least squares of f, of a + b f, or of b f, as in `refit`.

    Returns
    -------
    ndarray of float64, shape (n_constants, n_constants)
        H^-1 (sum w^2 r^2 J J^T) H^-1 with H = sum w J J^T; 0 for what was not fitted.
    """
    value, by_constants, _ = value_and_gradient(node, sample.columns)
    value = np.broadcast_to(value, sample.target.shape)
    free = np.array([fit_exponents or not exponent for exponent in exponents(node)], dtype=bool)
    slope, residual = by_constants[:, free], value - sample.target
    if objective != "mse":
        others = np.stack([value, np.ones_like(value)][: 2 if objective == "information" else 1], axis=-1)
        factors = _least_squares(others, sample.target, sample.weights)
        residual = others @ factors - sample.target
        slope = np.hstack([factors[0] * slope, _beyond(others, slope, sample.weights)])
    scale = np.sqrt(sample.weights @ slope**2)
    slope = slope / np.where(scale > 0, scale, 1.0)
    hessian = slope.T @ (slope * sample.weights[:, np.newaxis])
    scores = slope * (sample.weights * residual)[:, np.newaxis]
    inverse = np.linalg.pinv(hessian, rcond=_FLAT, hermitian=True) / np.where(scale > 0, scale, np.inf)[:, np.newaxis]
    fitted = int(free.sum())
    covariance = np.zeros((len(free), len(free)))
    covariance[np.ix_(free, free)] = (inverse @ (scores.T @ scores) @ inverse.T)[:fitted, :fitted]
    return 0.5 * (covariance + covariance.T)


def _least_squares(columns: FloatArray, target: FloatArray, weights: FloatArray) -> FloatArray:
    """Coefficients of columns that describe a target."""
    root = np.sqrt(weights)
    return np.asarray(np.linalg.lstsq(columns * root[:, np.newaxis], target * root, rcond=None)[0])


def _beyond(columns: FloatArray, others: FloatArray, weights: FloatArray) -> FloatArray:
    """Those columns that others cannot make up for."""
    kept = []
    for column in columns.T:
        rest = column - others @ _least_squares(others, column, weights)
        if weights @ rest**2 > _FLAT * (weights @ column**2):
            kept.append(column)
            others = np.hstack([others, column[:, np.newaxis]])
    return np.stack(kept, axis=-1) if kept else np.empty((len(columns), 0))


def without_flat_direction(node: Node, sample: Sample, *, fit_exponents: bool = False) -> tuple[Node, str] | None:
    """Remove a constant that the others can make up for.

    Parameters
    ----------
    node : node
        With fitted constants.
    sample : Sample
        The events of the fit.
    fit_exponents : bool, default=False
        Whether constants in exponents are fitted, too.

    Returns
    -------
    node : node
        The folded form with one constant less, fitted, of the same loss.
    message : str
        What was removed.
    None
        If there is no flat direction, or no constant of it can be 1 or 0.
    """
    loss = mean_squared_error(node, sample)
    free = np.flatnonzero([fit_exponents or not exponent for exponent in exponents(node)])
    slope = value_and_gradient(node, sample.columns)[1][:, free]
    scale = np.sqrt(sample.weights @ slope**2)
    slope = slope / np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(slope.T @ (slope * sample.weights[:, np.newaxis]))
    for direction in vectors.T[values <= _FLAT * max(values[-1], 1.0)] if len(free) else ():
        for index in np.argsort(-np.abs(direction), kind="stable"):
            if abs(direction[index]) < 1e-3:
                break
            for whole in (1, 0):
                other = _with_integer(node, int(free[index]), whole)
                if other is None:
                    continue
                other, there = fit_constants(other, sample, fit_exponents=fit_exponents, max_steps=200)
                if there <= loss * (1.0 + _SAME) + _negligible(sample):
                    involved = [f"{constants(node)[free[k]]:.4g}" for k in np.flatnonzero(np.abs(direction) > 1e-3)]
                    return other, (
                        f"the constants {', '.join(involved)} of the formula determine only "
                        f"{len(involved) - 1} numbers (flat direction): "
                        f"{constants(node)[free[index]]:.4g} is now {whole}."
                    )
    return None


def _negligible(sample: Sample) -> float:
    """A mean squared error that is rounding."""
    return 1e-20 * float(sample.weights @ sample.target**2)


def _with_integer(node: Node, index: int, whole: int) -> Node | None:
    """The folded form with one constant replaced, if that has fewer constants."""
    position = -1

    def rule(item: Node) -> Node | None:
        nonlocal position
        if isinstance(item, Constant):
            position += 1
            if position == index:
                return Integer(whole)
        return None

    try:
        other = fold(replace(node, rule))
    except (InputError, OverflowError, ZeroDivisionError):
        return None
    return other if len(constants(other)) < len(constants(node)) else None


def _shape(node: Node) -> Node:
    """A form with all constants alike."""
    return with_constants(node, [1.0] * len(constants(node)))


def _chi2(predicted: FloatArray, sample: Sample) -> float:
    n_bins = min(CHI2_BINS, len(predicted))
    return calibration(predicted, sample.weights * sample.target, sample.weights, n_bins).chi2
