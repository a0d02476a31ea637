"""The polynomial in the Wilson coefficients: its terms, its monomials, its derivatives.

Events, leaves and bins all carry one array with the same last axis: the derivatives of a weight
at the reference point,

    w(theta) = w_0 + sum_a w_a d_a + 1/2 sum_ab w_ab d_a d_b,       d = theta - reference,

in the graded order (), (a), (a, b) with a <= b. The factor 1/2 lives in `monomials` and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bit.errors import InputError, near_match

Term: TypeAlias = tuple[str, ...]
FloatArray: TypeAlias = npt.NDArray[np.float64]
ThetaLike: TypeAlias = Mapping[str, float] | npt.ArrayLike

_BLOCK = 8192  # events whose products stay in the cache


@dataclass(frozen=True)
class BasePointFit:
    """Derivatives found from weights at base points.

    Attributes
    ----------
    weights : ndarray of float64, shape (n_events, n_terms)
        Derivatives at the reference point, in the order of ``basis.terms``.
    residual : ndarray of float64, shape (n_events,)
        Largest deviation of the fitted polynomial from a given weight, relative to the largest
        absolute weight of the event; 0 up to rounding where points and terms are equally many.
    condition : float
        Condition number of the matrix of monomials, each coefficient scaled by its largest value.
    """

    weights: FloatArray
    residual: FloatArray
    condition: float


@dataclass(frozen=True, init=False)
class PolynomialBasis:
    """Terms of a polynomial of order 1 or 2 in named coefficients about a reference point.

    Parameters
    ----------
    param_names : sequence of str
        Names of the coefficients, such as ``("cHW", "cHWtil", "cHq3")``.
    order : {1, 2}, default=2
        Highest order of the polynomial; ignored if `terms` is given.
    reference : array-like of shape (n_params,) or mapping, optional
        Point theta_0 (c/Lambda^2 in TeV^-2) at which the columns are derivatives; default 0, the SM.
    terms : sequence of (str or tuple of str), optional
        Subset of the terms, in graded order; the nominal term ``()`` may be left out and is added.

    Attributes
    ----------
    terms : tuple of tuple of str
        ``((), ("cHW",), ..., ("cHW", "cHW"), ("cHW", "cHWtil"), ...)``.

    Raises
    ------
    InputError
        For no or repeated names, an order other than 1 or 2, unknown names or terms out of order.

    Examples
    --------
    >>> basis = PolynomialBasis(["a", "b"])
    >>> basis.terms
    ((), ('a',), ('b',), ('a', 'a'), ('a', 'b'), ('b', 'b'))
    >>> basis.monomials([2.0, 3.0]).tolist()
    [1.0, 2.0, 3.0, 2.0, 6.0, 4.5]
    """

    param_names: tuple[str, ...]
    order: int
    reference: tuple[float, ...]
    terms: tuple[Term, ...]

    def __init__(
        self,
        param_names: Sequence[str],
        order: int = 2,
        reference: ThetaLike | None = None,
        terms: Iterable[str | Sequence[str]] | None = None,
    ) -> None:
        names = _checked_names(param_names)
        if order not in (1, 2):
            raise InputError(f"order={order!r}: a weight polynomial has order 1 or 2.")
        object.__setattr__(self, "param_names", names)
        if terms is None:
            all_terms = tuple(term for n in range(order + 1) for term in combinations_with_replacement(names, n))
        else:
            all_terms = _checked_terms(terms, names)
        object.__setattr__(self, "terms", all_terms)
        object.__setattr__(self, "order", max(len(term) for term in all_terms))
        zero = np.zeros(len(names))
        point = zero if reference is None else self.as_theta(reference)
        if point.shape != zero.shape:
            raise InputError(f"reference has shape {point.shape}, expected ({len(names)},).")
        object.__setattr__(self, "reference", tuple(float(value) for value in point))

    # ------------------------------------------------------------------ description
    @property
    def n_params(self) -> int:
        """Number of coefficients."""
        return len(self.param_names)

    @property
    def n_terms(self) -> int:
        """Number of terms, the nominal one included."""
        return len(self.terms)

    @cached_property
    def _powers(self) -> npt.NDArray[np.int64]:
        """Exponent of every coefficient in every term, shape (n_terms, n_params)."""
        return np.array([[term.count(name) for name in self.param_names] for term in self.terms], dtype=np.int64)

    @cached_property
    def _factor(self) -> FloatArray:
        """1/2 for the diagonal second-order terms, else 1: columns are derivatives."""
        return np.where((self._powers == 2).any(axis=1), 0.5, 1.0)

    def index(self, term: str | Sequence[str]) -> int:
        """Column of a term.

        Parameters
        ----------
        term : str or sequence of str
            ``"cHW"`` for a linear term, ``("cHW", "cHWtil")`` (in any order) for a second-order
            one, ``()`` for the nominal weight.

        Returns
        -------
        int
            Position on the last axis of weights.

        Raises
        ------
        InputError
            If the basis has no such term.
        """
        wanted = _as_term(term, self.param_names)
        if wanted not in self.terms:
            raise InputError(f"term {wanted!r} is not in the basis; its terms are {list(self.terms)}.")
        return self.terms.index(wanted)

    def subset(self, terms: Iterable[str | Sequence[str]]) -> PolynomialBasis:
        """Return the basis with only the given terms (and the nominal one), in graded order.

        Parameters
        ----------
        terms : iterable of str or sequence of str
            Terms to keep, in any order.

        Returns
        -------
        PolynomialBasis
            Same coefficients and reference point, fewer terms.

        Raises
        ------
        InputError
            If a term is not in this basis.
        """
        kept = {0} | {self.index(term) for term in terms}
        return PolynomialBasis(self.param_names, reference=self.reference, terms=[self.terms[k] for k in sorted(kept)])

    # ------------------------------------------------------------------ evaluation
    def as_theta(self, theta: ThetaLike) -> FloatArray:
        """Turn a point or an array of points into an array of absolute coefficients.

        Parameters
        ----------
        theta : array-like of shape (..., n_params), or mapping
            c/Lambda^2 in TeV^-2. A mapping sets the named coefficients, the others are 0 (SM).

        Returns
        -------
        ndarray of float64, shape (..., n_params)
            A fresh or shared array; do not modify it.

        Raises
        ------
        InputError
            For unknown names, a wrong last axis, or values that are not finite.
        """
        if isinstance(theta, Mapping):
            for name in theta:
                if name not in self.param_names:
                    raise InputError(f"unknown coefficient {name!r}: {near_match(str(name), self.param_names)}")
            theta = [float(theta.get(name, 0.0)) for name in self.param_names]
        values = np.asarray(theta, dtype=np.float64)
        if values.ndim == 0 and self.n_params == 1:
            values = values[np.newaxis]
        if values.ndim == 0 or values.shape[-1] != self.n_params:
            raise InputError(
                f"theta has shape {values.shape}, but there are {self.n_params} coefficients "
                f"{list(self.param_names)}: the last axis must have that length."
            )
        if not np.isfinite(values).all():
            raise InputError(f"theta={values.tolist()}: every coefficient must be finite.")
        return values

    def monomials(self, theta: ThetaLike) -> FloatArray:
        r"""Monomials phi(theta), so that w(theta) = weights @ phi(theta).

        phi = (1, d_a, d_a^2 / 2 on the diagonal, d_a d_b off it) with d = theta - reference.

        Parameters
        ----------
        theta : array-like of shape (..., n_params), or mapping
            Absolute coefficients c/Lambda^2 in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (..., n_terms)
            The monomials, in the order of `terms`.

        Raises
        ------
        InputError
            As `as_theta`.
        """
        shift = self.as_theta(theta) - np.array(self.reference)
        values: FloatArray = self._factor * np.prod(shift[..., np.newaxis, :] ** self._powers, axis=-1)
        return values

    def gradient(self, theta: ThetaLike) -> FloatArray:
        """Derivatives of the monomials, so that grad w(theta) = weights @ gradient(theta).T.

        Parameters
        ----------
        theta : array-like of shape (..., n_params), or mapping
            Absolute coefficients c/Lambda^2 in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (..., n_params, n_terms)
            d phi_k / d theta_a.

        Raises
        ------
        InputError
            As `as_theta`.
        """
        shift = self.as_theta(theta) - np.array(self.reference)
        out = np.empty((*shift.shape, self.n_terms))
        for a in range(self.n_params):
            lowered = self._powers.copy()
            lowered[:, a] = np.maximum(lowered[:, a] - 1, 0)
            product = np.prod(shift[..., np.newaxis, :] ** lowered, axis=-1)
            out[..., a, :] = self._factor * self._powers[:, a] * product
        return out

    # ------------------------------------------------------------------ change of point
    def at_reference(self, theta0: ThetaLike) -> PolynomialBasis:
        """Return the same terms about another reference point.

        Parameters
        ----------
        theta0 : array-like of shape (n_params,), or mapping
            New reference point, absolute.

        Returns
        -------
        PolynomialBasis
            Basis of the weights that `rebase` returns.
        """
        return PolynomialBasis(self.param_names, reference=self.as_theta(theta0), terms=self.terms)

    def rebase(self, weights: npt.ArrayLike, theta0: ThetaLike) -> FloatArray:
        """Derivatives at another reference point; exact, and undone by the way back.

        With d = theta0 - reference: w_0' = w(theta0), w_a' = w_a + sum_b w_ab d_b, w_ab' = w_ab.

        Parameters
        ----------
        weights : array-like of shape (..., n_terms)
            Derivatives at ``reference``.
        theta0 : array-like of shape (n_params,), or mapping
            New reference point, absolute.

        Returns
        -------
        ndarray of float64, shape (..., n_terms)
            Derivatives at `theta0`; their basis is ``at_reference(theta0)``.

        Raises
        ------
        InputError
            If a subset of terms is not closed: a needed linear term is missing.
        """
        values = self._checked_weights(weights)
        point = self.as_theta(theta0)
        shift = dict(zip(self.param_names, point - np.array(self.reference), strict=True))
        out = values.copy()
        out[..., 0] = values @ self.monomials(point)
        for k, term in enumerate(self.terms):
            if len(term) != 2:
                continue
            pairs = {term, term[::-1]}  # one pair on the diagonal, two off it
            for kept, other in pairs:
                if shift[other] == 0.0:
                    continue
                if (kept,) not in self.terms:
                    raise InputError(
                        f"cannot move the reference point along {other!r}: the term {term!r} would "
                        f"create a term ({kept!r},), which this basis lacks; add it to the terms."
                    )
                out[..., self.terms.index((kept,))] += values[..., k] * shift[other]
        return out

    # ------------------------------------------------------------------ weights at base points
    def from_base_points(self, points: npt.ArrayLike, weights: npt.ArrayLike) -> BasePointFit:
        """Derivatives from weights at base points, by least squares.

        Solves sum_k phi_k(theta_p) w_ik = weights_ip for the derivatives w_ik of every event.

        Parameters
        ----------
        points : array-like of shape (n_points, n_params)
            Absolute coefficients of the points, n_points >= n_terms.
        weights : array-like of shape (n_events, n_points)
            Weight of every event at every point.

        Returns
        -------
        BasePointFit
            Derivatives, relative residual per event, condition number.

        Raises
        ------
        InputError
            If the points are fewer than the terms or cannot determine all of them (the terms that
            stay undetermined are named), or if a weight is not finite.
        """
        grid = np.atleast_2d(self.as_theta(points))
        values = np.asarray(weights, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(grid):
            raise InputError(
                f"weights have shape {values.shape}, expected (n_events, {len(grid)}): one column for each base point."
            )
        if len(grid) < self.n_terms:
            raise InputError(
                f"{len(grid)} base points for {self.n_terms} terms {list(self.terms)}: "
                "at least as many points as terms are needed."
            )
        require_finite(values, "weights at the base points")
        # Each coefficient in units of its largest displacement: the condition number then tells
        # about the choice of points, not about the units of the coefficients.
        spread = np.abs(grid - np.array(self.reference)).max(axis=0)
        unit = np.prod(np.where(spread > 0, spread, 1.0) ** self._powers, axis=1)
        matrix = self.monomials(grid) / unit
        _, singular, vectors = np.linalg.svd(matrix)
        tolerance = singular[0] * max(matrix.shape) * np.finfo(np.float64).eps
        rank = int((singular > tolerance).sum())
        if rank < self.n_terms:
            free = np.abs(vectors[rank:]).max(axis=0) > 1e-8
            lost = [term for term, is_free in zip(self.terms, free, strict=True) if is_free]
            raise InputError(
                f"the {len(grid)} base points determine only {rank} of {self.n_terms} terms; "
                f"undetermined: {lost}. Add points in which these differ."
            )
        solution = _product(values, np.linalg.pinv(matrix).T) / unit
        deviation = np.abs(solution @ self.monomials(grid).T - values).max(axis=1)
        largest = np.abs(values).max(axis=1)
        residual = np.divide(deviation, largest, out=np.zeros(len(values)), where=largest > 0)
        return BasePointFit(solution, residual, float(singular[0] / singular[-1]))

    def _checked_weights(self, weights: npt.ArrayLike) -> FloatArray:
        values = np.asarray(weights, dtype=np.float64)
        if values.ndim == 0 or values.shape[-1] != self.n_terms:
            raise InputError(
                f"weights have shape {values.shape}, but the basis has {self.n_terms} terms "
                f"{list(self.terms)}: the last axis must have that length."
            )
        return values


def _product(rows: FloatArray, matrix: FloatArray) -> FloatArray:
    """Product rows @ matrix in a fixed order of additions; that of a library would round differently for fewer rows."""
    product = np.zeros((len(rows), matrix.shape[1]))
    for low in range(0, len(rows), _BLOCK):
        block, out = rows[low : low + _BLOCK], product[low : low + _BLOCK]
        for p, factors in enumerate(matrix):
            out += block[:, p, np.newaxis] * factors
    return product


def require_finite(values: FloatArray, what: str) -> None:
    """Refuse values that are NaN or infinite, and name the first event that has one.

    Parameters
    ----------
    values : ndarray of float64, shape (n_events, ...)
        What to check.
    what : str
        Its name, for the message.

    Raises
    ------
    InputError
        If there is such a value.
    """
    bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if bad.any():
        first = int(np.argmax(bad))
        raise InputError(
            f"{what}: {int(bad.sum())} of {len(values)} events are NaN or infinite "
            f"(first: event {first}, {np.atleast_1d(values[first]).tolist()}); remove or repair these events."
        )


def _checked_names(param_names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(param_names, str):
        raise InputError(f"param_names={param_names!r}: give a list of names, such as [{param_names!r}].")
    names = tuple(param_names)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InputError(f"param_names={names!r}: at least one name, each a non-empty string, is needed.")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"param_names repeats {repeated}: every coefficient may stand once.")
    return names


def _as_term(term: str | Sequence[str], names: tuple[str, ...]) -> Term:
    parts = (term,) if isinstance(term, str) else tuple(term)
    for name in parts:
        if name not in names:
            raise InputError(f"unknown coefficient {name!r} in term {parts!r}: {near_match(str(name), names)}")
    if len(parts) > 2:
        raise InputError(f"term {parts!r} has order {len(parts)}: terms go up to order 2.")
    return tuple(sorted(parts, key=names.index))


def _checked_terms(terms: Iterable[str | Sequence[str]], names: tuple[str, ...]) -> tuple[Term, ...]:
    listed = [_as_term(term, names) for term in terms]
    if () not in listed:
        listed.insert(0, ())
    graded = sorted(set(listed), key=lambda term: (len(term), [names.index(name) for name in term]))
    if listed != graded:
        raise InputError(f"terms={listed} must stand once each and in graded order, as the columns do: {graded}.")
    return tuple(graded)
