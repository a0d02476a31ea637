"""What bins expect as functions of coefficients and nuisances, with derivatives; points are not checked here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis
from bit.inference.model import Sample
from bit.inference.templates import Template

Mask: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.int64]
Groups: TypeAlias = Sequence[Sequence[Sample]]

# Of the variance: keeps the ratio of two yields finite where the nominal one crosses 0.
_REGULAR = 1e-10
# A minimiser may try a factor e^20, but no overflow.
_LARGEST = 20.0


class Prediction(Protocol):
    """Numbers that a set of counts is compared with, as functions of all parameters."""

    def __call__(self, theta: FloatArray) -> FloatArray:
        """Return the numbers, (..., n), at points (..., n_params)."""

    def with_slope(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the numbers and their derivatives (n, n_params) at one point."""

    def along(self, index: int, values: FloatArray) -> FloatArray:
        """Return the numbers (n_points, n) where one parameter has the given values and the others are 0."""


class Polynomials:
    """Yields of second order in the coefficients: value, slope and curvature at 0."""

    def __init__(self, constant: FloatArray, slope: FloatArray, curvature: FloatArray) -> None:
        self.constant, self.slope, self.curvature = constant, slope, curvature

    @classmethod
    def of(cls, groups: Groups, names: Sequence[str]) -> Polynomials:
        """Nominal yields of samples that are added in each group, group after group."""
        parts = []
        for samples in groups:
            terms = [_expanded(sample, names) for sample in samples]
            parts.append([sum(arrays[1:], start=arrays[0]) for arrays in zip(*terms, strict=True)])
        constant, slope, curvature = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return cls(constant, slope, curvature)

    @property
    def n_params(self) -> int:
        """Number of coefficients."""
        return int(self.slope.shape[1])

    @property
    def vanishing(self) -> Mask:
        """Bins whose yield is 0 at every point."""
        empty: Mask = (self.constant == 0) & ~self.slope.any(axis=1) & ~self.curvature.any(axis=(1, 2))
        return empty

    def __call__(self, theta: FloatArray) -> FloatArray:
        return self._at(theta)[0]

    def with_slope(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        expected, bend = self._at(theta)
        return expected, self.slope + bend

    def along(self, index: int, values: FloatArray) -> FloatArray:
        x = values[:, np.newaxis]
        slope, curvature = self.slope[:, index], self.curvature[:, index, index]
        expected: FloatArray = self.constant + x * (slope + 0.5 * curvature * x)
        return expected

    def take(self, kept: Mask) -> Polynomials:
        return Polynomials(self.constant[kept], self.slope[kept], self.curvature[kept])

    def _at(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return yields (..., n_bins), and what the curvature adds to the slope."""
        bend = (theta @ self.curvature.reshape(-1, self.n_params).T).reshape(*theta.shape[:-1], *self.slope.shape)
        expected = self.constant + ((self.slope + 0.5 * bend) * theta[..., np.newaxis, :]).sum(axis=-1)
        return expected, bend


class _Monomials:
    """phi = (1, theta_a, theta_a^2 / 2 or theta_a theta_b) of a full basis at reference 0, without checks."""

    def __init__(self, basis: PolynomialBasis) -> None:
        self.n_params = n = basis.n_params
        pairs = [(a, b) for a in range(n) for b in range(a, n)]
        self._first, self._second = (np.array(side) for side in zip(*pairs, strict=True))
        self._factor = np.where(self._first == self._second, 0.5, 1.0)
        unit = np.eye(n)
        # d (theta_a theta_b) = theta_b e_a + theta_a e_b
        both = unit[self._first][:, :, np.newaxis] * unit[self._second][:, np.newaxis, :]
        self._change = self._factor[:, np.newaxis, np.newaxis] * (both + np.swapaxes(both, 1, 2))

    def __call__(self, theta: FloatArray) -> FloatArray:
        """Return the monomials (..., n_terms)."""
        pairs = self._factor * theta[..., self._first] * theta[..., self._second]
        return np.concatenate([np.ones((*theta.shape[:-1], 1)), theta, pairs], axis=-1)

    def slope(self, theta: FloatArray) -> FloatArray:
        """Return the derivatives (n_terms, n_params) at one point."""
        return np.concatenate([np.zeros((1, self.n_params)), np.eye(self.n_params), self._change @ theta])


class Mixture:
    """Yields with nuisances, lambda_b = sum_k c_k(nu) Q_kb(theta): one row for each component k and bin b.

    The components of a sample are its nominal polynomial and, for every shape, up - nominal and nominal - down.
    """

    def __init__(self, basis: _Monomials, rows: FloatArray, bins: IntArray, parts: IntArray, factors: _Factors) -> None:
        self._basis, self._rows, self._bins, self._parts, self._factors = basis, rows, bins, parts, factors
        self.n_params = basis.n_params + factors.n_nuisances
        # Rows are sorted by bin, and every bin has some.
        self._starts = np.flatnonzero(np.r_[True, bins[1:] != bins[:-1]])

    @classmethod
    def of(cls, groups: Groups, names: Sequence[str], nuisances: Sequence[str]) -> Mixture:
        """Samples that are added in each group, group after group."""
        basis = PolynomialBasis(names, order=2)
        rows: list[FloatArray] = []
        bins, parts, first = [], [], 0
        for samples in groups:
            n_bins = samples[0].template.n_bins
            for sample in samples:
                nominal = _sums(sample.template, basis)
                shapes = [(name, _sums(down, basis), _sums(up, basis)) for name, (down, up) in sample.shapes.items()]
                blocks = [nominal, *(block for _, down, up in shapes for block in (up - nominal, nominal - down))]
                for block in blocks:
                    parts.append(np.full(n_bins, len(rows)))
                    rows.append(block)
                    bins.append(np.arange(first, first + n_bins))
            first += n_bins
        factors = _Factors([sample for samples in groups for sample in samples], nuisances)
        flat = np.concatenate(bins)
        order = np.argsort(flat, kind="stable")
        return cls(_Monomials(basis), np.concatenate(rows)[order], flat[order], np.concatenate(parts)[order], factors)

    @property
    def vanishing(self) -> Mask:
        """Bins whose yield is 0 at every point."""
        empty: Mask = ~np.logical_or.reduceat(self._rows.any(axis=1), self._starts)
        return empty

    def __call__(self, theta: FloatArray) -> FloatArray:
        n = self._basis.n_params
        values = self._basis(theta[..., :n]) @ self._rows.T
        factors = self._factors(theta[..., n:])
        expected: FloatArray = np.add.reduceat(factors[..., self._parts] * values, self._starts, axis=-1)
        return expected

    def with_slope(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        n = self._basis.n_params
        values = self._rows @ self._basis(theta[:n])
        slopes = self._rows @ self._basis.slope(theta[:n])
        factors, changes = self._factors.with_slope(theta[n:])
        factor = factors[self._parts]
        by_row = np.column_stack(
            [factor * values, factor[:, np.newaxis] * slopes, changes[self._parts] * values[:, np.newaxis]]
        )
        summed = np.add.reduceat(by_row, self._starts, axis=0)
        return summed[:, 0], summed[:, 1:]

    def along(self, index: int, values: FloatArray) -> FloatArray:
        return self(_line(index, values, self.n_params))

    def take(self, kept: Mask) -> Mixture:
        rows = kept[self._bins]
        return Mixture(self._basis, self._rows[rows], self._bins[rows], self._parts[rows], self._factors)


class _Factors:
    """c_k(nu) = k_factor prod_n kappa_n^nu_n h_k(nu) of all components k: one of each sample, two of each shape."""

    def __init__(self, samples: Sequence[Sample], nuisances: Sequence[str]) -> None:
        names = list(nuisances)
        self.n_nuisances = len(names)
        scale, log_kappa, shape, side = [], [], [], []
        for sample in samples:
            powers = [np.log(sample.norm.get(name, 1.0)) for name in names]
            for name, towards in [(names[0], 0.0)] + [(name, sign) for name in sample.shapes for sign in (1.0, -1.0)]:
                scale.append(sample.k_factor)
                log_kappa.append(powers)
                shape.append(names.index(name))
                side.append(towards)
        self._scale, self._log_kappa = np.array(scale), np.array(log_kappa)
        # Which nuisance interpolates a component, and towards up (+1) or down (-1); 0 for the nominal one.
        self._shape, self._side = np.array(shape), np.array(side)
        self._own = (self._shape[:, np.newaxis] == np.arange(self.n_nuisances)) & (self._side != 0)[:, np.newaxis]

    def __call__(self, nu: FloatArray) -> FloatArray:
        """Return the factors (..., n_components)."""
        norm, weight, _ = self._pieces(nu)
        factors: FloatArray = norm * weight
        return factors

    def with_slope(self, nu: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the factors (n_components,) and their derivatives (n_components, n_nuisances)."""
        norm, weight, change = self._pieces(nu)
        factors = norm * weight
        moving = np.abs(self._log_kappa @ nu) < _LARGEST
        by_norm = (factors * moving)[:, np.newaxis] * self._log_kappa
        return factors, by_norm + (norm * change)[:, np.newaxis] * self._own

    def _pieces(self, nu: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        norm = self._scale * np.exp(np.clip(nu @ self._log_kappa.T, -_LARGEST, _LARGEST))
        # Towards down, -h(-nu) multiplies nominal - down; its derivative is h'(-nu).
        weight, change = _interpolation(self._side * nu[..., self._shape])
        return norm, np.where(self._side == 0, 1.0, self._side * weight), change


class WithVariance:
    """Yields, then their Monte Carlo variances delta_b(theta)^2 lambda_b^2, as one array of 2 n_bins numbers.

    delta_b is the relative error at the nominal value of all nuisances, as in HistFactory.
    """

    def __init__(
        self, yields: Polynomials | Mixture, nominal: Polynomials, basis: _Monomials, squares: FloatArray
    ) -> None:
        self._yields, self._nominal, self._basis, self._squares = yields, nominal, basis, squares
        self.n_params = yields.n_params
        # phi^T S phi = sum over pairs of terms, each pair once.
        self._first, self._second = np.triu_indices(squares.shape[1])
        twice = np.where(self._first == self._second, 1.0, 2.0)
        self._pairs = twice * squares[:, self._first, self._second]

    @classmethod
    def of(
        cls,
        yields: Polynomials | Mixture,
        nominal: Polynomials,
        groups: Groups,
        names: Sequence[str],
        kept: Mask,
    ) -> WithVariance:
        """Add the variances of all samples to the yields of the bins that are kept."""
        basis = PolynomialBasis(names, order=2)
        squares = np.concatenate([sum(_squares(sample, basis) for sample in samples) for samples in groups])
        return cls(yields, nominal, _Monomials(basis), squares[kept])

    def __call__(self, theta: FloatArray) -> FloatArray:
        expected = self._yields(theta)
        at = theta[..., : self._basis.n_params]
        phi = self._basis(at)
        variance = np.maximum((phi[..., self._first] * phi[..., self._second]) @ self._pairs.T, 0)
        if self._yields is not self._nominal:
            variance = variance * _ratio(expected, self._nominal(at), variance)[0] ** 2
        return np.concatenate([expected, variance], axis=-1)

    def with_slope(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        n = self._basis.n_params
        expected, slope = self._yields.with_slope(theta)
        phi, change = self._basis(theta[:n]), self._basis.slope(theta[:n])
        weighted = self._squares @ phi
        variance = np.maximum(weighted @ phi, 0)
        steep = np.zeros_like(slope)
        steep[:, :n] = 2.0 * weighted @ change
        if self._yields is not self._nominal:
            nominal, nominal_slope = self._nominal.with_slope(theta[:n])
            ratio, by_expected, by_nominal, by_variance = _ratio(expected, nominal, variance)
            ratio_slope = by_expected[:, np.newaxis] * slope + by_variance[:, np.newaxis] * steep
            ratio_slope[:, :n] += by_nominal[:, np.newaxis] * nominal_slope
            steep = (ratio**2)[:, np.newaxis] * steep + (2.0 * variance * ratio)[:, np.newaxis] * ratio_slope
            variance = variance * ratio**2
        return np.concatenate([expected, variance]), np.concatenate([slope, steep])

    def along(self, index: int, values: FloatArray) -> FloatArray:
        return self(_line(index, values, self.n_params))


def _interpolation(nu: FloatArray) -> tuple[FloatArray, FloatArray]:
    """h(nu) of code 4p and its derivative: nu above 1, 0 below -1, a polynomial between."""
    square = nu * nu
    inside = np.abs(nu) < 1
    above = (nu >= 1).astype(np.float64)
    value = np.where(inside, 0.5 * nu + square * (15.0 - 10.0 * square + 3.0 * square * square) / 16.0, above * nu)
    slope = np.where(inside, 0.5 + nu * (15.0 - 20.0 * square + 9.0 * square * square) / 8.0, above)
    return value, slope


def _ratio(
    expected: FloatArray, nominal: FloatArray, variance: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """expected/nominal, kept finite, and its derivatives with respect to the three arguments."""
    regular = _REGULAR * variance
    below = nominal * nominal + regular
    usable = below > 0
    below = np.where(usable, below, 1.0)
    ratio = np.where(usable, (expected * nominal + regular) / below, 1.0)
    by_nominal = (expected - 2.0 * ratio * nominal) / below
    return ratio, nominal / below, by_nominal, _REGULAR * (1.0 - ratio) / below


def _line(index: int, values: FloatArray, n_params: int) -> FloatArray:
    points: FloatArray = values[:, np.newaxis] * np.eye(n_params)[index]
    return points


def _expanded(sample: Sample, names: Sequence[str]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Value, slope and curvature at theta = 0: the template's polynomial about the SM, exactly."""
    template, n = sample.template, len(names)
    own = template.basis.param_names
    # The coefficients of a background do not count.
    known = [k for k, name in enumerate(own) if name in names]
    at = [names.index(own[k]) for k in known]
    origin = np.zeros(len(own))
    jacobian = template.gradient(origin)
    slope = np.zeros((template.n_bins, n))
    slope[:, at] = jacobian[:, known]
    curvature = np.zeros((template.n_bins, n, n))
    for i, unit in zip(at, np.eye(len(own))[known], strict=True):
        curvature[:, at, i] = (template.gradient(unit) - jacobian)[:, known]
    k = sample.k_factor
    return k * template.yields(origin), k * slope, k * 0.5 * (curvature + np.swapaxes(curvature, 1, 2))


def _transfer(template: Template, basis: PolynomialBasis) -> FloatArray:
    """Matrix (n_terms of the template, n_terms of `basis`) that moves sums to `basis`, at reference 0."""
    own = PolynomialBasis(template.basis.param_names, order=2, reference=template.basis.reference)
    chosen = np.eye(own.n_terms)[[own.index(term) for term in template.basis.terms]]
    moved = own.rebase(chosen, np.zeros(own.n_params))
    out = np.zeros((template.basis.n_terms, basis.n_terms))
    for k, term in enumerate(own.terms):
        if set(term) <= set(basis.param_names):
            out[:, basis.index(term)] = moved[:, k]
    return out


def _sums(template: Template, basis: PolynomialBasis) -> FloatArray:
    """Numbers of events, as derivatives at 0 in the terms of `basis`."""
    sums: FloatArray = template.lumi_fb * template.sums @ _transfer(template, basis)
    return sums


def _squares(sample: Sample, basis: PolynomialBasis) -> FloatArray:
    """Covariances (n_bins, n_terms, n_terms) of the nominal numbers of events."""
    transfer = _transfer(sample.template, basis)
    squares: FloatArray = (sample.k_factor * sample.template.lumi_fb) ** 2 * (
        transfer.T @ sample.template.sums_ww @ transfer
    )
    return squares
