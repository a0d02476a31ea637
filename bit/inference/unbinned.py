"""Unbinned likelihood of events with learned or true ratios R(x|theta)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, ThetaLike, require_finite
from bit.errors import BitWarning, InputError
from bit.events import EventTable
from bit.inference.likelihood import Likelihood
from bit.inference.results import Order
from bit.kernels.likelihood import LANES, sum_log_ratios
from bit.threads import Threads, n_threads_of

# Blocks of events that one call of the kernel sums: 32768 events, so that waking a thread costs little. Fixed, so that
# the sums, taken in this order, do not depend on the number of threads.
_CHUNK = 256
# The quadratic form that bounds -2 ln L keeps half of the curvature of the total.
_SHARE = 2.0


class UnbinnedLikelihood:
    r"""Extended -2 ln L of events whose density is known relative to that at the reference point.

    -2 ln L = 2 L [sigma(theta) - sigma(theta_0)] - 2 sum_i n_i ln R(x_i|theta), which is 0 at the reference point
    theta_0 of the basis, with R(x|theta) = 1 + sum_k R_k(x) phi_k(theta) the ratio of differential cross-sections,
    rate included. Backgrounds belong in `ratios` and `total` alike: a model trained on signal and background learns
    the ratio of their sum.

    Parameters
    ----------
    ratios : array-like of shape (n_events, n_terms - 1)
        R_k of every event, in TeV^2 (linear) and TeV^4 (second order): ``model.predict(table)`` or, for the latent
        truth, ``table.joint_ratio()``.
    total : array-like of shape (n_terms,)
        Polynomial of the cross-section in fb: ``table.weights.sum(axis=0)`` of the simulated events.
    basis : PolynomialBasis
        Terms and reference point of both.
    lumi_fb : float
        Integrated luminosity in fb^-1.
    weights : array-like of shape (n_events,), optional
        How often each event was seen: 1 (default) for data, L w_i(theta) for simulated Asimov data (`asimov`).
    start : array-like of shape (n_params,) or mapping, optional
        Where fits begin; default 0, the SM.
    order : {"quadratic", "linear"}, default="quadratic"
        "linear" drops the second-order terms about the reference point.
    floor : float, default=1e-3
        Ratio below which the logarithm is continued by its tangent, see the notes.
    n_jobs : int, optional
        Threads; the result does not depend on it.

    Attributes
    ----------
    param_names : tuple of str
        Coefficients.
    order : {"quadratic", "linear"}
        As given.
    start : ndarray of float64, shape (n_params,)
        Where fits begin.
    n_events : float
        Sum of the weights.

    Raises
    ------
    InputError
        For shapes that do not fit, NaN or infinite ratios or weights, a cross-section, luminosity or floor that is
        not positive.

    Warns
    -----
    BitWarning
        If events lie below the floor at `start`.

    Notes
    -----
    A ratio of densities is positive, but a learned one, or a linear one, can be 0 or negative for some events. Below
    `floor` ln R is replaced by ln(floor) + R/floor - 1, so that value and gradient are finite and the event still
    disfavours such theta; `n_floored` counts these events at any theta. Where true amplitudes vanish, the tangent lies
    above ln R by 4/3 on average over the floored events, a share of order sqrt(floor) of all at a theta that brings
    the zero into reach. `twice_nll` and `objective` agree, except that `twice_nll` is +inf where the cross-section is
    not positive.

    The same methods as those of `Likelihood` serve fits, limits and scans.
    """

    def __init__(
        self,
        ratios: npt.ArrayLike,
        total: npt.ArrayLike,
        basis: PolynomialBasis,
        *,
        lumi_fb: float,
        weights: npt.ArrayLike | None = None,
        start: ThetaLike | None = None,
        order: Order = "quadratic",
        floor: float = 1e-3,
        n_jobs: int | None = None,
    ) -> None:
        if order not in get_args(Order):
            raise InputError(f"order={order!r}: choose 'linear' or 'quadratic'.")
        if not (np.isfinite(lumi_fb) and lumi_fb > 0):
            raise InputError(f"lumi_fb={lumi_fb}: a luminosity must be positive (fb^-1).")
        if not 1e-100 < floor < 1.0:
            raise InputError(f"floor={floor}: R is 1 at the reference point; choose a number between 1e-100 and 1.")
        values, sigma = _checked(ratios, total, basis)
        counts = _checked_weights(weights, len(values))
        kept = [k for k, term in enumerate(basis.terms) if len(term) <= (1 if order == "linear" else 2)]
        self.basis = basis.subset([basis.terms[k] for k in kept])
        self.order: Order = order
        self.param_names = basis.param_names
        self.lumi_fb, self.floor = float(lumi_fb), float(floor)
        self.total = sigma[kept]
        self.n_events = float(counts.sum())
        columns = values[:, [k - 1 for k in kept[1:]]]
        self._mean_sums = np.concatenate([[self.n_events], counts @ columns])
        self._squares = np.einsum("i,ik,ik->k", np.abs(counts), columns, columns)
        self._ratios, self._weights = _blocks(columns, counts)
        self._signed = bool((counts < 0).any())
        n_chunks = -(-len(self._ratios) // _CHUNK)
        self._n_threads = max(1, min(n_threads_of(n_jobs), n_chunks // 2))
        self._last: tuple[bytes, FloatArray] | None = None
        self.start = np.zeros(self.n_params) if start is None else self.as_theta(start)
        below = self.n_floored(self.start)
        if below:
            warnings.warn(
                f"R < {floor:g} for {below} of {len(values)} events at theta={self.start.tolist()}: their logarithm "
                "is continued by its tangent; calibrate the ratios or train with positive=True.",
                BitWarning,
                stacklevel=2,
            )

    @classmethod
    def asimov(
        cls,
        table: EventTable,
        ratios: npt.ArrayLike,
        *,
        lumi_fb: float,
        theta_true: ThetaLike | None = None,
        order: Order = "quadratic",
        floor: float = 1e-3,
        n_jobs: int | None = None,
    ) -> UnbinnedLikelihood:
        """Likelihood of the events expected at a point: every simulated event counts L w_i(theta_true) times.

        Parameters
        ----------
        table : EventTable
            Simulated events.
        ratios : array-like of shape (n_events, n_terms - 1)
            R_k of these events, learned or true.
        lumi_fb : float
            Integrated luminosity in fb^-1.
        theta_true : array-like of shape (n_params,) or mapping, optional
            Absolute point of the data, TeV^-2; default 0, the SM.
        order, floor, n_jobs
            As for the class.

        Returns
        -------
        UnbinnedLikelihood
            With `total` from the sums of the table, and `start` at `theta_true`.

        Raises
        ------
        InputError
            As the class.
        """
        basis = table.basis
        if order == "linear":
            basis = basis.subset([term for term in basis.terms if len(term) <= 1])
        point = basis.as_theta(np.zeros(basis.n_params) if theta_true is None else theta_true)
        kept = [table.basis.index(term) for term in basis.terms]
        return cls(
            ratios,
            table.weights.sum(axis=0),
            table.basis,
            lumi_fb=lumi_fb,
            weights=lumi_fb * (table.weights[:, kept] @ basis.monomials(point)),
            start=point,
            order=order,
            floor=floor,
            n_jobs=n_jobs,
        )

    @property
    def n_params(self) -> int:
        """Number of coefficients."""
        return len(self.param_names)

    @property
    def coefficients(self) -> tuple[str, ...]:
        """Names of the coefficients: there are no other parameters."""
        return self.param_names

    @property
    def n_coefficients(self) -> int:
        """Number of coefficients."""
        return self.n_params

    @property
    def plain(self) -> bool:
        """Whether all is fixed by the coefficients: no nuisances."""
        return True

    @property
    def linear(self) -> bool:
        """Whether all ratios are linear in the coefficients and no event is subtracted: -2 ln L is then convex."""
        return self.basis.order == 1 and not self._signed

    @property
    def n_bins(self) -> int:
        """Number of bins: none."""
        return 0

    def __repr__(self) -> str:
        """Return a short description."""
        return (
            f"UnbinnedLikelihood({self.n_events:.4g} events, {self.lumi_fb:g} fb^-1, "
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
        point = self.basis.as_theta(theta)
        if point.ndim != 1:
            raise InputError(f"theta has shape {point.shape}: one point, ({self.n_params},), is needed.")
        return point

    def sigma(self, theta: ThetaLike) -> FloatArray | np.float64:
        """Total cross-section.

        Parameters
        ----------
        theta : array-like of shape (..., n_params), or mapping
            Absolute coefficients c/Lambda^2 in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (...)
            In fb.
        """
        value: FloatArray | np.float64 = self.basis.monomials(theta) @ self.total
        return value

    def twice_nll(self, theta: ThetaLike) -> FloatArray | np.float64:
        """-2 ln L relative to the reference point.

        Parameters
        ----------
        theta : array-like of shape (..., n_params), or mapping
            Absolute coefficients c/Lambda^2 in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (...)
            Of either sign; +inf where no event is expected in total.
        """
        points = self.basis.as_theta(theta)
        value: FloatArray = np.where(self.sigma(points) > 0, self.objective(points), np.inf)
        return value if value.ndim else np.float64(value)

    def gradient(self, theta: ThetaLike) -> FloatArray:
        """Return the derivatives of `twice_nll`, 2 L d sigma / d theta_a - 2 sum_i n_i d ln R_i / d theta_a.

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
        return self.objective_gradient(point) if self.sigma(point) > 0 else np.full(self.n_params, np.nan)

    def n_floored(self, theta: ThetaLike) -> int:
        """Count the events whose ratio lies below the floor.

        Parameters
        ----------
        theta : array-like of shape (n_params,), or mapping
            Absolute coefficients c/Lambda^2 in TeV^-2, such as the values of a fit.

        Returns
        -------
        int
            Events of weight other than 0.
        """
        return int(self._sums(self.as_theta(theta))[-1])

    # ------------------------------------------------------------------ what fits minimise
    def objective(self, theta: FloatArray) -> FloatArray | np.float64:
        """-2 ln L, finite everywhere.

        Parameters
        ----------
        theta : ndarray of float64, shape (..., n_params)
            Absolute coefficients c/Lambda^2 in TeV^-2, not checked.

        Returns
        -------
        ndarray of float64, shape (...)
            0 at the reference point.
        """
        if theta.ndim > 1:
            return np.array([self.objective(point) for point in theta])
        phi = self.basis.monomials(theta)
        return np.float64(2.0 * (self.lumi_fb * (phi[1:] @ self.total[1:]) - self._sums(theta)[0]))

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
            As `objective`.
        """
        return np.asarray(self.objective(values[:, np.newaxis] * np.eye(self.n_params)[index]))

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
        slopes = self.basis.gradient(theta)[:, 1:]
        result: FloatArray = 2.0 * (slopes @ (self.lumi_fb * self.total[1:] - self._sums(theta)[1:-1]))
        return result

    def objective_expansion(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the derivatives of `objective`, and the second ones without those of the ratios (Gauss-Newton).

        Parameters
        ----------
        theta : ndarray of float64, shape (n_params,)
            Absolute coefficients c/Lambda^2 in TeV^-2, not checked.

        Returns
        -------
        gradient : ndarray of float64, shape (n_params,)
            As `objective_gradient`.
        metric : ndarray of float64, shape (n_params, n_params)
            2 sum_i n_i t_ia t_ib with t = d ln R / d theta; with the true ratios and at the minimum of Asimov data
            twice the Fisher information.
        """
        phi, slopes = self.basis.monomials(theta)[1:], self.basis.gradient(theta)[:, 1:]
        metric = np.zeros((self.n_params, self.n_params))
        for start in range(0, len(self._ratios), _CHUNK):
            block = self._ratios[start : start + _CHUNK]
            ratio = np.maximum(1.0 + np.einsum("bki,k->bi", block, phi), self.floor)
            score = np.einsum("ak,bki->abi", slopes, block) / ratio
            metric += np.einsum("abi,cbi,bi->ac", score, score, np.abs(self._weights[start : start + _CHUNK]))
        return self.objective_gradient(theta), 2.0 * metric

    def step_sizes(self) -> FloatArray:
        """Distance from the reference point over which each coefficient alone changes -2 ln L by about 1.

        Returns
        -------
        ndarray of float64, shape (n_params,)
            1/sqrt(I_aa), or the scale of the second-order terms if that is shorter; +inf without any effect.
        """
        rate = np.zeros(self.n_params)
        for term, square in zip(self.basis.terms[1:], self._squares, strict=True):
            if len(set(term)) == 1:
                at = self.param_names.index(term[0])
                rate[at] = max(rate[at], square**0.5 if len(term) == 1 else (0.25 * square) ** 0.25)
        with np.errstate(divide="ignore"):
            steps: FloatArray = 1.0 / rate
        return steps

    def reach(self, index: int, free: Sequence[int], twice_nll: float) -> tuple[float, float]:
        """Bounds on one coefficient outside which -2 ln L exceeds a value, from the total number of events.

        The logarithm is concave: sum_i n_i ln R_i <= N ln p + N (P/p - 1) with P the mean ratio, a quadratic form of
        theta, and any p > 0. So -2 ln L lies above a quadratic form, and for large p that is positive definite where
        sigma(theta) is: the allowed coefficients lie in an ellipsoid, whose extent along the axis is returned.

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
        _, _, curvature = self._form(self.lumi_fb * self.total, free)
        size = np.sqrt(np.abs(np.diag(curvature)))
        unbounded = (-np.inf, np.inf)
        if self._signed or not self.n_events > 0 or not (size > 0).all():
            return unbounded
        scale = np.outer(size, size)
        if np.linalg.eigvalsh(curvature / scale)[0] < 1e-6:
            return unbounded
        _, _, of_mean = self._form(self._mean_sums / self.n_events, free)
        # Largest p at which the form is not yet positive definite, in units in which that of sigma is 1.
        root = np.linalg.inv(np.linalg.cholesky(curvature / scale))
        critical = self.n_events * np.linalg.eigvalsh(root @ (of_mean / scale) @ root.T)[-1]
        p = max(1.0, _SHARE * critical)
        value, slope, curvature = self._form(self.lumi_fb * self.total - self._mean_sums / p, free)
        most = 0.5 * twice_nll + self.lumi_fb * self.total[0] + self.n_events * (np.log(p) - 1.0)
        inverse = np.linalg.inv(curvature)
        centre = -inverse @ slope
        at = free.index(index)
        radius = np.sqrt(max(2.0 * (most - value - 0.5 * slope @ centre), 0.0) * inverse[at, at])
        return float(centre[at] - radius), float(centre[at] + radius)

    # ------------------------------------------------------------------ private
    def _form(self, polynomial: FloatArray, free: list[int]) -> tuple[float, FloatArray, FloatArray]:
        """Value, slope and curvature of a polynomial in the free coefficients at theta = 0."""
        origin = np.zeros(self.n_params)
        slope = self.basis.gradient(origin) @ polynomial
        moved = self.basis.gradient(np.eye(self.n_params)) @ polynomial - slope
        return float(self.basis.monomials(origin) @ polynomial), slope[free], moved[np.ix_(free, free)]

    def _sums(self, theta: FloatArray) -> FloatArray:
        """Sums of the kernel over all events; the last ones are kept, since value and gradient follow each other."""
        key, last = theta.tobytes(), self._last
        if last is not None and last[0] == key:
            return last[1]
        phi = np.ascontiguousarray(self.basis.monomials(theta)[1:])
        sums = np.empty((-(-len(self._ratios) // _CHUNK), len(phi) + 2, LANES))
        # Whoever is free takes the next chunk, so that a thread without a processor holds up nobody.
        chunks = iter(range(len(sums)))

        def add_chunks(_: int) -> None:
            for chunk in chunks:
                rows = slice(chunk * _CHUNK, (chunk + 1) * _CHUNK)
                sum_log_ratios(self._ratios[rows], self._weights[rows], phi, self.floor, sums[chunk])

        with Threads(self._n_threads) as threads:
            threads.map(add_chunks, range(self._n_threads))
        total: FloatArray = sums.sum(axis=(0, 2))
        self._last = key, total
        return total


def _checked(
    ratios: npt.ArrayLike, total: npt.ArrayLike, basis: PolynomialBasis
) -> tuple[npt.NDArray[np.float64], FloatArray]:
    values, sigma = np.asarray(ratios, dtype=np.float64), np.asarray(total, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != basis.n_terms - 1 or len(values) == 0:
        raise InputError(
            f"ratios have shape {values.shape}, expected (n_events, {basis.n_terms - 1}): one column for each of the "
            f"terms {list(basis.terms[1:])}."
        )
    require_finite(values, "ratios")
    if sigma.shape != (basis.n_terms,) or not np.isfinite(sigma).all():
        raise InputError(f"total={sigma.tolist()}: {basis.n_terms} finite numbers are needed, one for each term.")
    if not sigma[0] > 0:
        raise InputError(f"total[0]={sigma[0]:g}: the cross-section at the reference point must be positive (fb).")
    return values, sigma


def _checked_weights(weights: npt.ArrayLike | None, n_events: int) -> FloatArray:
    if weights is None:
        return np.ones(n_events)
    counts = np.asarray(weights, dtype=np.float64)
    if counts.shape != (n_events,):
        raise InputError(f"weights have shape {counts.shape}, expected ({n_events},): one for each event.")
    require_finite(counts, "weights")
    return counts


def _blocks(columns: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ratios and weights as the kernel takes them; events that fill up the last block have weight 0."""
    n, n_columns = columns.shape
    n_blocks = -(-n // LANES)
    ratios, counts = np.zeros((n_blocks, n_columns, LANES)), np.zeros((n_blocks, LANES))
    full = n // LANES
    ratios[:full] = columns[: full * LANES].reshape(full, LANES, n_columns).swapaxes(1, 2)
    if full < n_blocks:
        ratios[full, :, : n - full * LANES] = columns[full * LANES :].T
    counts.reshape(-1)[:n] = weights
    return ratios, counts


AnyLikelihood: TypeAlias = Likelihood | UnbinnedLikelihood
"""What fits, scans and limits work on."""
