"""Binned likelihood of counts: polynomial yields, nuisances and Monte Carlo errors, in one or several channels."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import BitWarning, InputError, near_match
from bit.inference._counts import BarlowBeeston, Counts, Multinomial, Poisson
from bit.inference._yields import Mixture, Polynomials, Prediction, WithVariance
from bit.inference.model import Model, Sample
from bit.inference.results import Order
from bit.inference.templates import Template


class Likelihood:
    r"""-2 ln L of binned counts whose expectations are polynomials in the coefficients.

    -2 ln L = 2 sum_b [lambda_b - n_b - n_b ln(lambda_b / n_b)] + sum_j (nu_j - a_j)^2, which is 0 where every
    lambda_b(theta, nu) equals n_b and every nuisance nu_j its measured value a_j. Only differences have a meaning.
    Several templates are independent channels, matched by the names of their coefficients, and their terms add.

    Parameters
    ----------
    templates : Template, sequence of Template, or Model
        One template per channel, or a model of several processes with nuisances.
    observed : array-like of shape (n_bins,), optional
        Counts in all bins, channel after channel; default the Asimov data at `theta_true`.
    theta_true : array-like of shape (n_coefficients,) or (n_params,), or mapping, optional
        Point of the Asimov data: absolute coefficients in TeV^-2; default 0, the SM. Nuisances may be named; their
        measured values are then those.
    order : {"quadratic", "linear"}, default="quadratic"
        "linear" drops the second-order terms about each template's reference point, in Asimov data and expectation.
    auxiliary : mapping of str to float, optional
        Measured values a_j of nuisances; the others are 0. For data that are observed.
    rate : bool, default=True
        False compares the shape alone: one factor that multiplies the yields of all bins is free. It is
        profiled analytically, which makes the Poisson likelihood a multinomial one.
    mc_stat : bool, default=False
        Include the finite number of simulated events: the true yield of each bin is free, with a Gaussian constraint
        to lambda_b, and is profiled analytically (Barlow and Beeston, Comput. Phys. Commun. 77 (1993) 219, in the
        simplified form of arXiv:1103.0354). Its relative error is that of the templates at the same theta. False is
        the default because sensitivities are quoted for the expected yields themselves; switch it on where the error
        of a template is not small against that of the data.

    Attributes
    ----------
    param_names : tuple of str
        Coefficients of all templates, in order of appearance, then nuisances.
    coefficients, nuisances : tuple of str
        The two parts of `param_names`.
    templates : tuple of Template
        Nominal templates as used: linear ones for order "linear".
    model : Model or None
        As used, if a model was given.
    observed : ndarray of float64, shape (n_bins,)
        The data.
    auxiliary : ndarray of float64, shape (n_nuisances,)
        Measured values of the nuisances.
    order : {"quadratic", "linear"}
        As given.
    rate, mc_stat : bool
        As given.
    start : ndarray of float64, shape (n_params,)
        Where fits begin: `theta_true`, or 0 (the SM) and the measured values of nuisances.

    Raises
    ------
    InputError
        For no templates, counts that do not fit or are negative, negative Asimov yields, counts in a bin that
        never expects any, no counts at all without rate, or `mc_stat` without rate.

    Warns
    -----
    BitWarning
        If bins are dropped because they expect and hold nothing at any theta.

    Notes
    -----
    Where a yield is negative, or 0 with events observed, no Poisson probability exists: `twice_nll` is +inf there,
    so that such theta are excluded. With `mc_stat` a yield below 0 is only improbable, since the true one may still
    be positive. Fits and limits work on `objective`, which is finite everywhere. Templates of few events then have
    further minima far from the data, where yields nearly vanish and their errors do not: they are no artefact.

    The constraint of `mc_stat`, (gamma - 1)^2 / delta^2 with delta(theta)^2 = phi^T V phi / (phi^T S)^2, is what
    remains if all sums S of a bin are free with their covariance V and are profiled at fixed theta; it has no term
    ln delta(theta), because the simulated events themselves do not depend on theta.
    """

    def __init__(
        self,
        templates: Template | Sequence[Template] | Model,
        observed: npt.ArrayLike | None = None,
        *,
        theta_true: ThetaLike | None = None,
        order: Order = "quadratic",
        auxiliary: Mapping[str, float] | None = None,
        rate: bool = True,
        mc_stat: bool = False,
    ) -> None:
        if order not in get_args(Order):
            raise InputError(f"order={order!r}: choose 'linear' or 'quadratic'.")
        if observed is not None and theta_true is not None:
            raise InputError("observed and theta_true exclude each other: theta_true is for Asimov data only.")
        if auxiliary is not None and observed is None:
            raise InputError("auxiliary needs observed: for Asimov data, name the nuisances in theta_true.")
        if mc_stat and not rate:
            raise InputError("mc_stat=True needs rate=True: a free factor and free yields have no closed form.")
        self.order: Order = order
        self.rate, self.mc_stat = rate, mc_stat
        groups = self._take_templates(templates)
        self.templates = tuple(sample.template for samples in groups for sample in samples)
        self.param_names = self.coefficients + self.nuisances
        self._space = PolynomialBasis(self.param_names, order=1)
        nominal = Polynomials.of(groups, self.coefficients)
        self._yields: Polynomials | Mixture = (
            Mixture.of(groups, self.coefficients, self.nuisances) if self.nuisances else nominal
        )
        self._kept = np.ones(len(nominal.constant), dtype=bool)
        self.start = np.zeros(self.n_params) if theta_true is None else self.as_theta(theta_true)
        if observed is None:
            counts, measured = self.asimov(self.start), self.start[self.n_coefficients :]
        else:
            counts, measured = self._checked_counts(observed), self._checked_auxiliary(auxiliary)
            self.start = np.concatenate([self.start[: self.n_coefficients], measured])
        self._kept = self._used_bins(counts)
        self._nominal = nominal.take(self._kept)
        used = self._yields.take(self._kept) if self.nuisances else self._nominal
        self._predicted: Prediction = used
        if mc_stat:
            self._predicted = WithVariance.of(used, self._nominal, groups, self.coefficients, self._kept)
        self._set_data(counts, measured)

    @property
    def n_params(self) -> int:
        """Number of coefficients and nuisances."""
        return len(self.param_names)

    @property
    def n_coefficients(self) -> int:
        """Number of coefficients; nuisances follow them."""
        return len(self.coefficients)

    @property
    def linear(self) -> bool:
        """Whether all nominal yields are linear in the coefficients."""
        return not self._nominal.curvature.any()

    @property
    def plain(self) -> bool:
        """Whether all yields are fixed by the coefficients: no nuisances, no free factor, no Monte Carlo errors.

        -2 ln L of linear yields is then convex.
        """
        return self.rate and not self.mc_stat and not self.nuisances

    @property
    def n_bins(self) -> int:
        """Number of bins of all channels, dropped ones included."""
        return len(self.observed)

    def __repr__(self) -> str:
        """Return a short description."""
        return (
            f"Likelihood({len(self._labels)} channels, {self.n_bins} bins, {self.observed.sum():.4g} events, "
            f"params={list(self.param_names)}, {self.order})"
        )

    # ------------------------------------------------------------------ public functions of theta
    def as_theta(self, theta: ThetaLike) -> FloatArray:
        """Turn one point into an array in the order of `param_names`.

        Parameters
        ----------
        theta : array-like of shape (n_params,) or (n_coefficients,), or mapping
            Absolute coefficients c/Lambda^2 in TeV^-2, nuisances in standard deviations; a mapping sets the named
            ones, the others are 0.

        Returns
        -------
        ndarray of float64, shape (n_params,)
            The point.

        Raises
        ------
        InputError
            For unknown names, a wrong shape, or values that are not finite.
        """
        point = self._points(theta)
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
        expected = self._yields(self.as_theta(theta))
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
        points = self._points(theta)
        return self._constrained(self._counts.value(self._predicted(points)), points)

    def gradient(self, theta: ThetaLike) -> FloatArray:
        """Return the derivatives of `twice_nll`, such as 2 sum_b (1 - n_b / lambda_b) d lambda_b / d theta_a.

        Parameters
        ----------
        theta : array-like of shape (n_params,), or mapping
            Absolute coefficients c/Lambda^2 in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (n_params,)
            In TeV^2; NaN where `twice_nll` is infinite.
        """
        point = self.as_theta(theta)
        predicted, slope = self._predicted.with_slope(point)
        return self._constrained_slope(self._counts.slope(predicted) @ slope, point)

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
        return self._constrained(self._counts.continued(self._predicted(theta)), theta)

    def objective_along(self, index: int, values: FloatArray) -> FloatArray:
        """`objective` at many values of one parameter, the others 0.

        Parameters
        ----------
        index : int
            The parameter.
        values : ndarray of float64, shape (n_points,)
            Absolute c/Lambda^2 in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (n_points,)
            At least 0.
        """
        along = np.asarray(self._counts.continued(self._predicted.along(index, values)))
        if self.nuisances:
            others = np.where(np.arange(self.n_params) == index, values[:, np.newaxis], 0.0)
            return np.asarray(self._constrained(along, others))
        return along

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
        predicted, slope = self._predicted.with_slope(theta)
        return self._constrained_slope(self._counts.continued_slope(predicted) @ slope, theta)

    def objective_expansion(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the derivatives of `objective`, and the second ones without those of the yields (Gauss-Newton).

        Parameters
        ----------
        theta : ndarray of float64, shape (n_params,)
            Absolute coefficients c/Lambda^2 in TeV^-2, not checked.

        Returns
        -------
        gradient : ndarray of float64, shape (n_params,)
            As `objective_gradient`.
        metric : ndarray of float64, shape (n_params, n_params)
            Never negative; at the minimum of Asimov data twice the Fisher information.
        """
        predicted, slope = self._predicted.with_slope(theta)
        metric = self._counts.metric(predicted, slope)
        nuisances = np.arange(self.n_coefficients, self.n_params)
        metric[nuisances, nuisances] += 2.0
        return self._constrained_slope(self._counts.continued_slope(predicted) @ slope, theta), metric

    def step_sizes(self) -> FloatArray:
        """Distance from the SM over which each parameter alone changes -2 ln L by about 1.

        Returns
        -------
        ndarray of float64, shape (n_params,)
            1/sqrt(I_aa), or the scale of the second-order terms if that is shorter; +inf without any effect.
        """
        observed, nominal = self._counts.observed, self._nominal
        width = np.sqrt(2.0 * np.maximum(observed, 1.0) / self._counts.curvature)
        scale = np.maximum(nominal.constant, np.maximum(observed, width))[:, np.newaxis]
        linear = np.sqrt((nominal.slope**2 / scale).sum(axis=0))
        bent = np.einsum("baa->ba", nominal.curvature)
        quadratic = ((0.5 * bent) ** 2 / scale).sum(axis=0) ** 0.25
        with np.errstate(divide="ignore"):
            steps: FloatArray = 1.0 / np.maximum(linear, quadratic)
        if not self.nuisances:
            return steps
        moved = self._predicted.with_slope(np.zeros(self.n_params))[1][: len(scale), self.n_coefficients :]
        return np.concatenate([steps, 1.0 / np.sqrt(1.0 + (moved**2 / scale).sum(axis=0))])

    def reach(self, index: int, free: Sequence[int], twice_nll: float) -> tuple[float, float]:
        """Bounds on one parameter outside which -2 ln L exceeds a value, from the total number of events.

        -2 ln L of the bins is never below that of their sum, and the total yield is a quadratic form: where it
        bounds the coefficients, they lie in an ellipsoid, whose extent along the axis is returned. This holds for
        `plain` likelihoods; with nuisances or Monte Carlo errors, it is the bound at their nominal values. A nuisance
        is bounded by its constraint.

        Parameters
        ----------
        index : int
            The parameter.
        free : sequence of int
            Parameters that may take any value, `index` among them; the other coefficients are 0.
        twice_nll : float
            The value.

        Returns
        -------
        tuple of float
            Lower and upper bound, TeV^-2; infinite if the total yield does not bound the coefficients.
        """
        if index >= self.n_coefficients:
            measured = self.auxiliary[index - self.n_coefficients]
            return float(measured - np.sqrt(twice_nll)), float(measured + np.sqrt(twice_nll))
        if not self.rate:
            return -np.inf, np.inf
        free = [k for k in free if k < self.n_coefficients]
        total = self._counts.observed.sum()
        # A larger total has 2 [lambda - n - n ln(lambda/n)] > twice_nll, since x - ln(1 + x) >= x^2 / (2 + 2 x).
        most = total + twice_nll + np.sqrt(twice_nll * total)
        slope, curvature = (
            self._nominal.slope.sum(axis=0)[free],
            self._nominal.curvature.sum(axis=0)[np.ix_(free, free)],
        )
        size = np.sqrt(np.abs(np.diag(curvature)))
        if not (size > 0).all() or np.linalg.eigvalsh(curvature / np.outer(size, size))[0] < 1e-6:
            return -np.inf, np.inf
        inverse = np.linalg.inv(curvature)
        centre = -inverse @ slope
        lowest = self._nominal.constant.sum() + 0.5 * slope @ centre
        at = free.index(index)
        radius = np.sqrt(max(2.0 * (most - lowest), 0.0) * inverse[at, at])
        return float(centre[at] - radius), float(centre[at] + radius)

    # ------------------------------------------------------------------ other data
    def with_data(self, observed: npt.ArrayLike, *, auxiliary: Mapping[str, float] | None = None) -> Likelihood:
        """Return the same likelihood for other data, without computing the yields anew.

        Parameters
        ----------
        observed : array-like of shape (n_bins,)
            Counts in all bins, channel after channel.
        auxiliary : mapping of str to float, optional
            Measured values of nuisances; the others are 0.

        Returns
        -------
        Likelihood
            Of these data; fits begin at the SM.

        Raises
        ------
        InputError
            As the class.
        """
        other = copy.copy(self)
        counts, measured = self._checked_counts(observed), self._checked_auxiliary(auxiliary)
        other._refuse_unexpected(counts, ~self._kept)
        other.start = np.concatenate([np.zeros(self.n_coefficients), measured])
        other._set_data(counts, measured)
        return other

    def toy(self, theta: ThetaLike, rng: np.random.Generator) -> Likelihood:
        """Return the likelihood of a pseudo-experiment: Poisson counts, and Gaussian measurements of the nuisances.

        Parameters
        ----------
        theta : array-like of shape (n_coefficients,) or (n_params,), or mapping
            The truth.
        rng : numpy.random.Generator
            Source of random numbers.

        Returns
        -------
        Likelihood
            Of the toy. With `mc_stat`, the true yields vary about the expected ones by the Monte Carlo errors.

        Raises
        ------
        InputError
            If a yield is negative.
        """
        point = self.as_theta(theta)
        expected = self.asimov(point)
        if self.mc_stat:
            kept = np.flatnonzero(self._kept)
            errors = np.sqrt(self._predicted(point)[len(kept) :])
            expected[kept] = np.maximum(expected[kept] + errors * rng.standard_normal(len(kept)), 0.0)
        measured = point[self.n_coefficients :] + rng.standard_normal(len(self.nuisances))
        auxiliary = dict(zip(self.nuisances, measured, strict=True))
        return self.with_data(rng.poisson(expected), auxiliary=auxiliary)

    def without_mc_stat(self) -> Likelihood:
        """Return the likelihood of the same data without Monte Carlo errors.

        Returns
        -------
        Likelihood
            With ``mc_stat=False``.
        """
        other = copy.copy(self)
        other.mc_stat = False
        other._predicted = self._yields.take(self._kept) if self.nuisances else self._nominal
        other._set_data(self.observed, self.auxiliary)
        return other

    @property
    def n_used_bins(self) -> int:
        """Number of bins that expect events at some theta."""
        return int(self._kept.sum())

    # ------------------------------------------------------------------ private
    def _take_templates(self, templates: Template | Sequence[Template] | Model) -> list[tuple[Sample, ...]]:
        """Set names and labels; return the samples that are added, channel after channel."""
        linear = self.order == "linear"
        if isinstance(templates, Model):
            self.model: Model | None = templates.linear() if linear else templates
            # Names of the model as given: a coefficient without linear terms is still one of its coefficients.
            self.coefficients, self.nuisances = templates.param_names, templates.nuisances
            self._labels = [(f"channel {channel.name!r}", channel.n_bins) for channel in templates.channels]
            return [channel.samples for channel in self.model.channels]
        given = (templates,) if isinstance(templates, Template) else tuple(templates)
        if not given:
            raise InputError("no templates: a likelihood needs at least one.")
        self.model = None
        self.coefficients = tuple(dict.fromkeys(name for template in given for name in template.basis.param_names))
        self.nuisances = ()
        self._labels = [(f"template {template.process!r}", template.n_bins) for template in given]
        return [(Sample(template.linear() if linear else template),) for template in given]

    def _points(self, theta: ThetaLike) -> FloatArray:
        """Points (..., n_params) of all parameters; nuisances are 0 where coefficients alone are given."""
        if self.nuisances and not isinstance(theta, Mapping):
            values = np.asarray(theta, dtype=np.float64)
            if np.atleast_1d(values).shape[-1] == self.n_coefficients:
                values = np.atleast_1d(values)
                nothing = np.zeros((*values.shape[:-1], len(self.nuisances)))
                theta = np.concatenate([values, nothing], axis=-1)
        return self._space.as_theta(theta)

    def _constrained(self, value: Any, points: FloatArray) -> FloatArray | np.float64:
        """Add the constraints of the nuisances to -2 ln L of the counts."""
        if self.nuisances:
            value = value + ((points[..., self.n_coefficients :] - self.auxiliary) ** 2).sum(axis=-1)
        result: FloatArray | np.float64 = value
        return result

    def _constrained_slope(self, slope: FloatArray, point: FloatArray) -> FloatArray:
        if self.nuisances:
            slope[self.n_coefficients :] += 2.0 * (point[self.n_coefficients :] - self.auxiliary)
        return slope

    def _set_data(self, counts: FloatArray, measured: FloatArray) -> None:
        kind: type[Counts] = Poisson if self.rate else Multinomial
        if self.mc_stat:
            kind = BarlowBeeston
        if not self.rate and not counts.any():
            raise InputError("rate=False but no events are observed: there is no shape to compare.")
        self.observed, self.auxiliary = counts, measured
        self._counts: Counts = kind(counts[self._kept], self._nominal.constant)

    def _used_bins(self, counts: FloatArray) -> npt.NDArray[np.bool_]:
        empty = self._yields.vanishing
        self._refuse_unexpected(counts, empty)
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

    def _refuse_unexpected(self, counts: FloatArray, empty: npt.NDArray[np.bool_]) -> None:
        if (empty & (counts > 0)).any():
            first = int(np.argmax(empty & (counts > 0)))
            raise InputError(
                f"{self._where(first)} holds {counts[first]:g} events but expects none at any theta; "
                "merge bins or add the missing process."
            )

    def _checked_counts(self, observed: npt.ArrayLike) -> FloatArray:
        counts = np.array(observed, dtype=np.float64)
        if counts.shape != self._kept.shape:
            raise InputError(
                f"observed has shape {counts.shape}, expected {self._kept.shape}: all bins, channel after channel."
            )
        if not (np.isfinite(counts).all() and (counts >= 0).all()):
            raise InputError("observed holds negative, infinite or NaN counts: each must be a number >= 0.")
        return counts

    def _checked_auxiliary(self, auxiliary: Mapping[str, float] | None) -> FloatArray:
        measured = dict(auxiliary or {})
        for name, value in measured.items():
            if name not in self.nuisances:
                raise InputError(f"auxiliary names the unknown nuisance {name!r}: {near_match(name, self.nuisances)}")
            if not np.isfinite(value):
                raise InputError(f"auxiliary[{name!r}]={value}: a measured value must be finite.")
        return np.array([measured.get(name, 0.0) for name in self.nuisances], dtype=np.float64)

    def _where(self, position: int) -> str:
        """Name a bin by template or channel, and number."""
        for label, n_bins in self._labels:
            if position < n_bins:
                return f"bin {position} of {label}"
            position -= n_bins
        raise IndexError(position)
