"""Ratios that are never negative: the learned polynomial of an event, projected onto the positive ones.

With d = theta - reference, the ratio is a quadratic form in (1, d) and a sum of squares if that form is positive:

    R(x|theta) = (1, d)^T M (1, d),                   M = [[1, R_a / 2], [R_a / 2, R_ab / 2]]
               = (1 + 1/2 sum_a R_a d_a)^2 + d^T H d,     H_ab = R_ab / 2 - R_a R_b / 4.

R >= 0 for every theta if and only if M has no negative eigenvalue, if and only if its Schur complement H has none.
The truth has none, being a mean of weights that are not negative; a learned polynomial has some where few events or
a large cancellation decide.

The projection sets the negative eigenvalues of H to 0, in units in which each coefficient is multiplied by its
scale, and so raises R_ab; R_0 = 1 and R_a stay. Of all positive forms with these R_0 and R_a that is the nearest one
in the Frobenius norm (Higham, doi:10.1016/0024-3795(88)90223-6). The nearest of all forms with R_0 = 1 would be
another one; it has no closed form, and it moves R_a, so that noise in the second order would enter the observable
that is optimal at the reference point. Here that observable is the same with and without projection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, Term, ThetaLike
from bit.errors import InputError

_BLOCK = 65536  # events at a time
# Rounding of H and of its eigenvalues, per coefficient, relative to the terms of which H is the difference.
_ROUNDING = 8 * float(np.finfo(np.float64).eps)


class _Squares(NamedTuple):
    """The forms of a block of events as (1 + half_slope . d)^2 + |factor^T d|^2."""

    half_slope: FloatArray
    factor: FloatArray
    projected: npt.NDArray[np.bool_]


def require_complete(basis: PolynomialBasis | None, terms: tuple[Term, ...]) -> None:
    """Refuse a polynomial that cannot be made positive, since it lacks terms.

    Parameters
    ----------
    basis : PolynomialBasis or None
        Polynomial of the weights; None for plain targets.
    terms : tuple of tuple of str
        The learned terms, without the nominal one.

    Raises
    ------
    InputError
        If there is no polynomial, or a term up to order 2 is not learned; all missing terms are named.
    """
    if basis is None:
        raise InputError("positive needs a polynomial in theta: train on an EventTable or give fit(..., basis=).")
    missing = [term for term in PolynomialBasis(basis.param_names).terms[1:] if term not in terms]
    if missing:
        raise InputError(
            f"positive needs all terms up to order 2, but {missing} are not learned: train on all terms of an "
            "order-2 basis (terms=None), or leave positive=False."
        )


def natural_scale(base: npt.ArrayLike, basis: PolynomialBasis) -> FloatArray:
    """Return the scales s_a = sqrt(R_aa) of a mean prediction, which make s_a d_a a pure number.

    Parameters
    ----------
    base : array-like of shape (n_terms - 1,)
        Mean R_a in TeV^2 and R_ab in TeV^4.
    basis : PolynomialBasis
        All terms up to order 2.

    Returns
    -------
    ndarray of float64, shape (n_params,)
        In TeV^2; 1 where the mean R_aa is not positive.

    Raises
    ------
    InputError
        If the basis is not complete, or the shape does not fit.
    """
    curvature = np.einsum("naa->na", quadratic_form(np.reshape(base, (1, -1)), basis)[:, 1:, 1:])[0]
    return np.sqrt(np.where(curvature > 0, 2.0 * curvature, 1.0))


def quadratic_form(prediction: npt.ArrayLike, basis: PolynomialBasis) -> FloatArray:
    """Return the matrices M = [[1, R_a / 2], [R_a / 2, R_ab / 2]], for which R(x|theta) = (1, d)^T M (1, d).

    Parameters
    ----------
    prediction : array-like of shape (n_events, n_terms - 1)
        R_a in TeV^2 and R_ab in TeV^4, in the order of ``basis.terms[1:]``.
    basis : PolynomialBasis
        All terms up to order 2.

    Returns
    -------
    ndarray of float64, shape (n_events, n_params + 1, n_params + 1)
        Symmetric.

    Raises
    ------
    InputError
        If the basis is not complete, or the shape does not fit.
    """
    values = _checked(prediction, basis)
    n = basis.n_params
    first, second = np.triu_indices(n)  # graded order: (a, b) with a <= b
    form = np.ones((len(values), n + 1, n + 1))
    form[:, 0, 1:] = form[:, 1:, 0] = 0.5 * values[:, :n]
    form[:, first + 1, second + 1] = form[:, second + 1, first + 1] = 0.5 * values[:, n:]
    return form


def is_positive(
    prediction: npt.ArrayLike, basis: PolynomialBasis, scale: npt.ArrayLike | None = None
) -> npt.NDArray[np.bool_]:
    """Tell which events have R(x|theta) >= 0 for every theta, up to rounding; `project` changes the others.

    Parameters
    ----------
    prediction : array-like of shape (n_events, n_terms - 1)
        R_a in TeV^2 and R_ab in TeV^4, in the order of ``basis.terms[1:]``.
    basis : PolynomialBasis
        All terms up to order 2.
    scale : array-like of shape (n_params,), optional
        Factors that make the coefficients comparable, positive, in TeV^2; default 1. The answer does not depend on
        them, but for rounding.

    Returns
    -------
    ndarray of bool, shape (n_events,)
        Whether the smallest eigenvalue of the form is at least 0.

    Raises
    ------
    InputError
        If the basis is not complete, or a shape does not fit.
    """
    values, unit = _checked(prediction, basis), _checked_scale(scale, basis)
    result = np.empty(len(values), dtype=bool)
    for rows in _blocks(values):
        result[rows] = ~_squares(values[rows], basis, unit).projected
    return result


def project(prediction: npt.ArrayLike, basis: PolynomialBasis, scale: npt.ArrayLike | None = None) -> FloatArray:
    """Raise R_ab where R(x|theta) is negative for some theta, as little as possible, until it is not.

    Parameters
    ----------
    prediction : array-like of shape (n_events, n_terms - 1)
        R_a in TeV^2 and R_ab in TeV^4, in the order of ``basis.terms[1:]``.
    basis : PolynomialBasis
        All terms up to order 2.
    scale : array-like of shape (n_params,), optional
        Factors that make the coefficients comparable, positive, in TeV^2; default 1. Scales that follow the units
        make the projection independent of these.

    Returns
    -------
    ndarray of float64, shape (n_events, n_terms - 1)
        R_a unchanged; R_ab unchanged for all events with `is_positive`. A second projection changes nothing.

    Raises
    ------
    InputError
        If the basis is not complete, or a shape does not fit.

    Notes
    -----
    The monomials of these values add up to R >= 0 up to rounding; `ratio_and_slope` is not negative exactly.
    """
    values, unit = _checked(prediction, basis), _checked_scale(scale, basis)
    first, second = np.triu_indices(basis.n_params)
    result = values.copy()
    for rows in _blocks(values):
        squares = _squares(values[rows], basis, unit)
        changed = squares.projected
        half, factor = squares.half_slope[changed], squares.factor[changed]
        curvature = factor @ factor.swapaxes(1, 2) + half[:, :, np.newaxis] * half[:, np.newaxis, :]
        result[np.arange(len(values))[rows][changed], basis.n_params :] = 2.0 * curvature[:, first, second]
    return result


def ratio_and_slope(
    prediction: npt.ArrayLike, basis: PolynomialBasis, theta: ThetaLike, scale: npt.ArrayLike | None = None
) -> tuple[FloatArray, FloatArray]:
    """R(x|theta) of the projected polynomials and its derivatives, evaluated as a sum of squares.

    Parameters
    ----------
    prediction : array-like of shape (n_events, n_terms - 1)
        R_a in TeV^2 and R_ab in TeV^4, in the order of ``basis.terms[1:]``; not projected, or projected already.
    basis : PolynomialBasis
        All terms up to order 2.
    theta : array-like of shape (n_params,), or mapping
        Absolute coefficients c/Lambda^2 in TeV^-2.
    scale : array-like of shape (n_params,), optional
        As in `project`.

    Returns
    -------
    ratio : ndarray of float64, shape (n_events,)
        At least 0, exactly; 1 at the reference point.
    slope : ndarray of float64, shape (n_events, n_params)
        d R / d theta_a in TeV^2; R_a at the reference point.

    Raises
    ------
    InputError
        If the basis is not complete, a shape does not fit, or theta is not one point.
    """
    values, unit = _checked(prediction, basis), _checked_scale(scale, basis)
    phi = basis.monomials(theta)
    if phi.ndim != 1:
        raise InputError(f"theta: one point of {basis.n_params} coefficients is needed, not {phi.shape[:-1]} points.")
    shift = phi[1 : 1 + basis.n_params]  # the linear monomials are theta - reference
    ratio, slope = np.empty(len(values)), np.empty((len(values), basis.n_params))
    for rows in _blocks(values):
        half, factor, _ = _squares(values[rows], basis, unit)
        linear = 1.0 + half @ shift
        inner = np.einsum("nab,a->nb", factor, shift)
        ratio[rows] = linear**2 + (inner**2).sum(axis=1)
        slope[rows] = 2.0 * (linear[:, np.newaxis] * half + np.einsum("nab,nb->na", factor, inner))
    return ratio, slope


def _squares(values: FloatArray, basis: PolynomialBasis, scale: FloatArray) -> _Squares:
    form = quadratic_form(values, basis)
    half, block = form[:, 0, 1:], form[:, 1:, 1:]
    square = half[:, :, np.newaxis] * half[:, np.newaxis, :]
    rest = block - square
    factor, definite = _cholesky(rest)
    projected = np.zeros(len(values), dtype=bool)
    other = np.flatnonzero(~definite)
    if other.size:  # the batched eigenvalues cost ten times as much as all the rest, so only where they are needed
        unit = np.outer(scale, scale)
        eigenvalue, vector = np.linalg.eigh(rest[other] / unit)
        size = ((np.abs(block[other]) + np.abs(square[other])) / unit).max(axis=(1, 2))
        projected[other] = eigenvalue[:, 0] < -_ROUNDING * basis.n_params * size
        root = np.sqrt(np.maximum(eigenvalue, 0.0))
        factor[other] = scale[:, np.newaxis] * vector * root[:, np.newaxis, :]
    return _Squares(half, factor, projected)


def _cholesky(matrix: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Lower triangles B with B B^T = matrix, and where they exist; unlike numpy's, it goes on where they do not."""
    factor = np.zeros_like(matrix)
    definite = np.ones(len(matrix), dtype=bool)
    for a in range(matrix.shape[1]):
        row = factor[:, a, :a]
        pivot = matrix[:, a, a] - (row**2).sum(axis=1)
        definite &= pivot > 0
        root = np.sqrt(np.where(definite, pivot, 1.0))
        factor[:, a, a] = root
        below = matrix[:, a + 1 :, a] - (factor[:, a + 1 :, :a] * row[:, np.newaxis, :]).sum(axis=2)
        factor[:, a + 1 :, a] = np.where(definite, 1.0, 0.0)[:, np.newaxis] * below / root[:, np.newaxis]
    return factor, definite


def _blocks(values: FloatArray) -> Iterator[slice]:
    for low in range(0, len(values), _BLOCK):
        yield slice(low, low + _BLOCK)


def _checked(prediction: npt.ArrayLike, basis: PolynomialBasis) -> FloatArray:
    require_complete(basis, basis.terms[1:])
    values = np.asarray(prediction, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != basis.n_terms - 1:
        raise InputError(
            f"prediction has shape {values.shape}, expected (n_events, {basis.n_terms - 1}): one column for each of "
            f"the terms {list(basis.terms[1:])}."
        )
    return values


def _checked_scale(scale: npt.ArrayLike | None, basis: PolynomialBasis) -> FloatArray:
    if scale is None:
        return np.ones(basis.n_params)
    values = np.asarray(scale, dtype=np.float64)
    if values.shape != (basis.n_params,) or not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"scale={values.tolist()}: {basis.n_params} positive numbers are needed, one per coefficient.")
    return values
