"""Binned Poisson likelihood of polynomial yields, for one or several independent templates."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import BitWarning, InputError
from bit.inference.results import Order
from bit.inference.templates import Template

# Below this fraction of the observed yield, `objective` replaces -2 ln L by a parabola.
_NEARLY_ZERO = 1e-4


class Likelihood:
    r"""-2 ln L of binned counts whose expectations are polynomials in the coefficients.

    -2 ln L = 2 sum_b [lambda_b(theta) - n_b - n_b ln(lambda_b(theta) / n_b)], which is 0 where every lambda_b equals
    n_b. Only differences have a meaning. Several templates are independent channels, matched by the names of their
    coefficients, and their terms add.

    Parameters
    ----------
    templates : Template or sequence of Template
        One per channel.
    observed : array-like of shape (n_bins,), optional
        Counts in all bins, channel after channel; default the Asimov data at `theta_true`.
    theta_true : array-like of shape (n_params,) or mapping, optional
        Absolute point of the Asimov data, TeV^-2; default 0, the SM.
    order : {"quadratic", "linear"}, default="quadratic"
        "linear" drops the second-order terms about each template's reference point, in Asimov data and expectation.

    Attributes
    ----------
    param_names : tuple of str
        Coefficients of all templates, in order of appearance.
    templates : tuple of Template
        As used: linear ones for order "linear".
    observed : ndarray of float64, shape (n_bins,)
        The data.
    order : {"quadratic", "linear"}
        As given.
    start : ndarray of float64, shape (n_params,)
        Where fits begin: `theta_true`, or 0 (the SM).

    Raises
    ------
    InputError
        For no templates, counts that do not fit or are negative, negative Asimov yields, counts in a bin that
        never expects any.

    Warns
    -----
    BitWarning
        If bins are dropped because they expect and hold nothing at any theta.

    Notes
    -----
    Where a yield is negative, or 0 with events observed, no Poisson probability exists: `twice_nll` is +inf there,
    so that such theta are excluded. Fits and limits work on `objective`, which is finite everywhere.
    """

    def __init__(
        self,
        templates: Template | Sequence[Template],
        observed: npt.ArrayLike | None = None,
        *,
        theta_true: ThetaLike | None = None,
        order: Order = "quadratic",
    ) -> None:
        given = (templates,) if isinstance(templates, Template) else tuple(templates)
        if not given:
            raise InputError("no templates: a likelihood needs at least one.")
        if order not in get_args(Order):
            raise InputError(f"order={order!r}: choose 'linear' or 'quadratic'.")
        if observed is not None and theta_true is not None:
            raise InputError("observed and theta_true exclude each other: theta_true is for Asimov data only.")
        self.order: Order = order
        self.templates = given if order == "quadratic" else tuple(template.linear() for template in given)
        self.param_names = tuple(dict.fromkeys(name for template in given for name in template.basis.param_names))
        self._space = PolynomialBasis(self.param_names, order=1)
        self._constant, self._slope, self._curvature = self._polynomial()
        self.start = np.zeros(self.n_params) if theta_true is None else self.as_theta(theta_true)
        if observed is None:
            self.observed = self.asimov(self.start)
        else:
            self.observed = self._checked_counts(observed)
        self._kept = self._used_bins()
        self._c, self._g, self._h = (array[self._kept] for array in (self._constant, self._slope, self._curvature))
        self._n = self.observed[self._kept]
        self._floor, self._floor_slope, self._floor_curvature = self._continuation()

    @property
    def n_params(self) -> int:
        """Number of coefficients."""
        return len(self.param_names)

    @property
    def linear(self) -> bool:
        """Whether all yields are linear in the coefficients; -2 ln L is then convex."""
        return not self._curvature.any()

    @property
    def n_bins(self) -> int:
        """Number of bins of all channels, dropped ones included."""
        return len(self.observed)

    def __repr__(self) -> str:
        """Return a short description."""
        return (
            f"Likelihood({len(self.templates)} channels, {self.n_bins} bins, {self.observed.sum():.4g} events, "
            f"params={list(self.param_names)}, {self.order})"
        )

    # ------------------------------------------------------------------ public functions of theta
    def as_theta(self, theta: ThetaLike) -> FloatArray:
        """Turn one point into an array in the order of `param_names`.

        Parameters
        ----------
        theta : array-like of shape (n_params,), or mapping
            Absolute coefficients c/Lambda^2 in TeV^-2; a mapping sets the named ones, the others are 0.

        Returns
        -------
        ndarray of float64, shape (n_params,)
            The point.

        Raises
        ------
        InputError
            For unknown names, a wrong shape, or values that are not finite.
        """
        point = self._space.as_theta(theta)
        if point.ndim != 1:
            raise InputError(f"theta has shape {point.shape}: one point, ({self.n_params},), is needed.")
        return point

    def asimov(self, theta: ThetaLike) -> FloatArray:
        """Return the expected counts of all bins, channel after channel.

        Parameters
        ----------
        theta : array-like of shape (n_params,), or mapping
            Absolute coefficients c/Lambda^2 in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (n_bins,)
            Numbers of events, not rounded.

        Raises
        ------
        InputError
            If a yield is negative.
        """
        expected, _ = self._expected(self.as_theta(theta), self._constant, self._slope, self._curvature)
        if (expected < 0).any():
            first = int(np.argmax(expected < 0))
            raise InputError(
                f"{self._where(first)} expects {expected[first]:.4g} events at theta={self.as_theta(theta).tolist()}: "
                "data cannot be negative; merge bins or use more events."
            )
        return expected

    def twice_nll(self, theta: ThetaLike) -> FloatArray | np.float64:
        """-2 ln L relative to a perfect description of the data.

        Parameters
        ----------
        theta : array-like of shape (..., n_params), or mapping
            Absolute coefficients c/Lambda^2 in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (...)
            At least 0; +inf where a yield is negative, or 0 with events observed.
        """
        expected, _ = self._expected(self._space.as_theta(theta), self._c, self._g, self._h)
        possible = (expected > 0) | ((expected == 0) & (self._n == 0))
        terms = np.where(possible, _deviance(np.where(possible, expected, 1.0), self._n), np.inf)
        value: FloatArray | np.float64 = terms.sum(axis=-1)
        return value

    def gradient(self, theta: ThetaLike) -> FloatArray:
        """Return the derivatives of `twice_nll`, 2 sum_b (1 - n_b / lambda_b) d lambda_b / d theta_a.

        Parameters
        ----------
        theta : array-like of shape (n_params,), or mapping
            Absolute coefficients c/Lambda^2 in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (n_params,)
            In TeV^2; NaN where `twice_nll` is infinite.
        """
        expected, slope = self._expected(self.as_theta(theta), self._c, self._g, self._h)
        if not ((expected > 0) | ((expected == 0) & (self._n == 0))).all():
            return np.full(self.n_params, np.nan)
        ratio = np.divide(self._n, expected, out=np.zeros_like(expected), where=self._n > 0)
        result: FloatArray = 2.0 * (1.0 - ratio) @ slope
        return result

    # ------------------------------------------------------------------ what fits minimise
    def objective(self, theta: FloatArray) -> FloatArray | np.float64:
        """`twice_nll`, continued by a steep parabola in bins whose yield is nearly 0 or negative.

        It is finite, has a continuous gradient and equals `twice_nll` where every yield exceeds 10^-4 of the observed
        one (0, where nothing is observed), so that a minimiser that steps too far finds its way back.

        Parameters
        ----------
        theta : ndarray of float64, shape (..., n_params)
            Absolute coefficients c/Lambda^2 in TeV^-2, not checked.

        Returns
        -------
        ndarray of float64, shape (...)
            At least 0.
        """
        return self._continued(self._expected(theta, self._c, self._g, self._h)[0])

    def objective_along(self, index: int, values: FloatArray) -> FloatArray:
        """`objective` at many values of one coefficient, the others 0.

        Parameters
        ----------
        index : int
            The coefficient.
        values : ndarray of float64, shape (n_points,)
            Absolute c/Lambda^2 in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (n_points,)
            At least 0.
        """
        x = values[:, np.newaxis]
        slope, curvature = self._g[:, index], self._h[:, index, index]
        return np.asarray(self._continued(self._c + x * (slope + 0.5 * curvature * x)))

    def objective_gradient(self, theta: FloatArray) -> FloatArray:
        """Return the derivatives of `objective`.

        Parameters
        ----------
        theta : ndarray of float64, shape (n_params,)
            Absolute coefficients c/Lambda^2 in TeV^-2, not checked.

        Returns
        -------
        ndarray of float64, shape (n_params,)
            In TeV^2.
        """
        expected, slope = self._expected(theta, self._c, self._g, self._h)
        missing = np.minimum(expected - self._floor, 0.0)
        some = self._n > 0
        ratio = np.divide(self._n, expected - missing, out=np.zeros_like(expected), where=some)
        result: FloatArray = (2.0 * (1.0 - ratio) + self._floor_curvature * missing) @ slope
        return result

    def step_sizes(self) -> FloatArray:
        """Distance from the SM over which each coefficient alone changes -2 ln L by about 1.

        Returns
        -------
        ndarray of float64, shape (n_params,)
            1/sqrt(I_aa), or the scale of the second-order terms if that is shorter; +inf without any effect.
        """
        width = np.sqrt(2.0 * np.maximum(self._n, 1.0) / self._floor_curvature)
        scale = np.maximum(self._c, np.maximum(self._n, width))[:, np.newaxis]
        linear = np.sqrt((self._g**2 / scale).sum(axis=0))
        bent = np.einsum("baa->ba", self._h)
        quadratic = ((0.5 * bent) ** 2 / scale).sum(axis=0) ** 0.25
        with np.errstate(divide="ignore"):
            steps: FloatArray = 1.0 / np.maximum(linear, quadratic)
        return steps

    def reach(self, index: int, free: Sequence[int], twice_nll: float) -> tuple[float, float]:
        """Bounds on one coefficient outside which -2 ln L exceeds a value, from the total number of events.

        -2 ln L of the bins is never below that of their sum, and the total yield is a quadratic form: where it
        bounds the coefficients, they lie in an ellipsoid, whose extent along the axis is returned.

        Parameters
        ----------
        index : int
            The coefficient.
        free : sequence of int
            Coefficients that may take any value, `index` among them; the others are 0.
        twice_nll : float
            The value.

        Returns
        -------
        tuple of float
            Lower and upper bound, TeV^-2; infinite if the total yield does not bound the coefficients.
        """
        free = list(free)
        total = self._n.sum()
        # A larger total has 2 [lambda - n - n ln(lambda/n)] > twice_nll, since x - ln(1 + x) >= x^2 / (2 + 2 x).
        most = total + twice_nll + np.sqrt(twice_nll * total)
        slope, curvature = self._g.sum(axis=0)[free], self._h.sum(axis=0)[np.ix_(free, free)]
        size = np.sqrt(np.abs(np.diag(curvature)))
        if not (size > 0).all() or np.linalg.eigvalsh(curvature / np.outer(size, size))[0] < 1e-6:
            return -np.inf, np.inf
        inverse = np.linalg.inv(curvature)
        centre = -inverse @ slope
        lowest = self._c.sum() + 0.5 * slope @ centre
        at = free.index(index)
        radius = np.sqrt(max(2.0 * (most - lowest), 0.0) * inverse[at, at])
        return float(centre[at] - radius), float(centre[at] + radius)

    # ------------------------------------------------------------------ private
    def _polynomial(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Value, slope and curvature of all yields at theta = 0: the templates' polynomials about the SM, exactly."""
        n = self.n_params
        constant, slope, curvature = [], [], []
        for template in self.templates:
            names = template.basis.param_names
            at = [self.param_names.index(name) for name in names]
            origin = np.zeros(len(names))
            jacobian = template.gradient(origin)
            full_slope = np.zeros((template.n_bins, n))
            full_slope[:, at] = jacobian
            full_curvature = np.zeros((template.n_bins, n, n))
            for i, unit in zip(at, np.eye(len(names)), strict=True):
                full_curvature[:, at, i] = template.gradient(unit) - jacobian
            constant.append(template.yields(origin))
            slope.append(full_slope)
            curvature.append(0.5 * (full_curvature + np.swapaxes(full_curvature, 1, 2)))
        return np.concatenate(constant), np.concatenate(slope), np.concatenate(curvature)

    def _expected(
        self, theta: FloatArray, constant: FloatArray, slope: FloatArray, curvature: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return yields (..., n_bins) and their derivatives (..., n_bins, n_params)."""
        bend = (theta @ curvature.reshape(-1, self.n_params).T).reshape(*theta.shape[:-1], *slope.shape)
        expected = constant + ((slope + 0.5 * bend) * theta[..., np.newaxis, :]).sum(axis=-1)
        return expected, slope + bend

    def _continued(self, expected: FloatArray) -> FloatArray | np.float64:
        """-2 ln L of yields (..., n_bins), a parabola below the floor."""
        missing = np.minimum(expected - self._floor, 0.0)
        parabola = missing * (self._floor_slope + 0.5 * self._floor_curvature * missing)
        value: FloatArray | np.float64 = (_deviance(expected - missing, self._n) + parabola).sum(axis=-1)
        return value

    def _continuation(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Yield below which `objective` is a parabola, its slope there, its curvature."""
        some = self._n > 0
        # Without events -2 ln L is linear down to 0, so only negative yields are continued; the SM sets the scale.
        least = np.maximum(self._c, 1e-6 * max(float(self._n.sum()), 1.0))
        width = _NEARLY_ZERO * np.where(some, self._n, least)
        floor = np.where(some, width, 0.0)
        return floor, 2.0 * (1.0 - np.where(some, self._n / width, 0.0)), 2.0 * np.maximum(self._n, 1.0) / width**2

    def _used_bins(self) -> npt.NDArray[np.bool_]:
        empty = (self._constant == 0) & ~self._slope.any(axis=1) & ~self._curvature.any(axis=(1, 2))
        if (empty & (self.observed > 0)).any():
            first = int(np.argmax(empty & (self.observed > 0)))
            raise InputError(
                f"{self._where(first)} holds {self.observed[first]:g} events but expects none at any theta; "
                "merge bins or add the missing process."
            )
        if empty.all():
            raise InputError("no bin expects any event: the templates are empty.")
        if empty.any():
            warnings.warn(
                f"{int(empty.sum())} of {len(empty)} bins expect no events at any theta and are dropped "
                f"(first: {self._where(int(np.argmax(empty)))}).",
                BitWarning,
                stacklevel=3,
            )
        kept: npt.NDArray[np.bool_] = ~empty
        return kept

    def _checked_counts(self, observed: npt.ArrayLike) -> FloatArray:
        counts = np.array(observed, dtype=np.float64)
        if counts.shape != self._constant.shape:
            raise InputError(
                f"observed has shape {counts.shape}, expected {self._constant.shape}: all bins, channel after channel."
            )
        if not (np.isfinite(counts).all() and (counts >= 0).all()):
            raise InputError("observed holds negative, infinite or NaN counts: each must be a number >= 0.")
        return counts

    def _where(self, position: int) -> str:
        """Name a bin by template and number."""
        for template in self.templates:
            if position < template.n_bins:
                return f"bin {position} of template {template.process!r}"
            position -= template.n_bins
        raise IndexError(position)


def _deviance(expected: FloatArray, observed: FloatArray) -> FloatArray:
    """2 [lambda - n - n ln(lambda/n)] for lambda > 0, or lambda = n = 0; accurate where lambda is close to n."""
    some = observed > 0
    excess = np.divide(expected - observed, observed, out=np.zeros_like(expected), where=some)
    return 2.0 * np.where(some, observed * (excess - np.log1p(excess)), expected)
