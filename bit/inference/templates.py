"""Histograms of event weight polynomials: everything statistical reads these, never the events.

An event belongs to the bin with lo <= x < hi; the last bin of an axis also holds x = hi.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import BitWarning, InputError
from bit.events import EventTable

ObservableLike: TypeAlias = Callable[[EventTable], npt.NDArray[np.float64]]
Edges: TypeAlias = tuple[FloatArray, ...]
EdgesLike: TypeAlias = npt.ArrayLike | Sequence[npt.ArrayLike]

# Rows sorted by bin at a time: a block of weights that stays in the cache.
_CHUNK = 32768


_CANCELLED = 1e-12  # of the statistical error: smaller sums are rounding


@dataclass(frozen=True, eq=False)
class Template:
    """Summed weight polynomials of one process in the bins of one observable.

    Made by `fill`. yields(theta) = lumi_fb * sums @ phi(theta).

    Parameters
    ----------
    process : str
        Name of the process.
    basis : PolynomialBasis
        Terms and reference point of the polynomials.
    edges : tuple of ndarray
        One increasing array per axis, outer ones may be infinite; bins stand in C order.
    sums : array-like of shape (n_bins, n_terms)
        Sum of the weights of the events of each bin, in fb.
    sums_ww : array-like of shape (n_bins, n_terms, n_terms)
        Sum of the outer products w w^T, in fb^2: the Monte Carlo covariance of `sums`.
    outside : array-like of shape (n_terms,)
        Sum of the weights of events outside the edges, in fb.
    lumi_fb : float
        Integrated luminosity in fb^-1, positive.

    Raises
    ------
    InputError
        For edges that do not increase, shapes that do not fit, values that are not finite.
    """

    process: str
    basis: PolynomialBasis
    edges: Edges
    sums: FloatArray
    sums_ww: FloatArray
    outside: FloatArray
    lumi_fb: float

    def __post_init__(self) -> None:
        edges = as_edges(self.edges)
        n_bins, n_terms = math.prod(len(axis) - 1 for axis in edges), self.basis.n_terms
        for name, shape in (
            ("sums", (n_bins, n_terms)),
            ("sums_ww", (n_bins, n_terms, n_terms)),
            ("outside", (n_terms,)),
        ):
            array = np.array(getattr(self, name), dtype=np.float64)
            if array.shape != shape:
                raise InputError(f"{name} has shape {array.shape}, expected {shape} for these edges and terms.")
            if not np.isfinite(array).all():
                raise InputError(f"{name} holds NaN or infinity: every sum must be finite.")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if not (np.isfinite(self.lumi_fb) and self.lumi_fb > 0):
            raise InputError(f"lumi_fb={self.lumi_fb}: a luminosity must be positive (fb^-1).")
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "lumi_fb", float(self.lumi_fb))

    @property
    def n_bins(self) -> int:
        """Number of bins, over all axes."""
        return len(self.sums)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of bins of each axis."""
        return tuple(len(axis) - 1 for axis in self.edges)

    def __repr__(self) -> str:
        """Return a short description."""
        bins = " x ".join(str(n) for n in self.shape)
        total = self.lumi_fb * self.sums[:, 0].sum()
        return (
            f"Template({self.process!r}, {bins} bins, params={list(self.basis.param_names)}, "
            f"n_terms={self.basis.n_terms}, {total:.4g} events at the reference point in {self.lumi_fb:g} fb^-1)"
        )

    # ------------------------------------------------------------------ evaluation
    def yields(self, theta: ThetaLike) -> FloatArray:
        """Return the expected events per bin, lumi_fb * sums @ phi(theta).

        Parameters
        ----------
        theta : array-like of shape (..., n_params), or mapping
            Absolute coefficients c/Lambda^2 in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (..., n_bins)
            Numbers of events. They can be negative: for signed weights, few events, or linear terms alone.
        """
        return self.lumi_fb * (self.basis.monomials(theta) @ self.sums.T)

    def gradient(self, theta: ThetaLike) -> FloatArray:
        """Return the derivatives of the yields with respect to the coefficients.

        Parameters
        ----------
        theta : array-like of shape (..., n_params), or mapping
            Absolute coefficients c/Lambda^2 in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (..., n_bins, n_params)
            d yields_b / d theta_a in TeV^2.
        """
        slopes = self.basis.gradient(theta) @ self.sums.T
        return self.lumi_fb * np.swapaxes(slopes, -1, -2)

    def variance(self, theta: ThetaLike) -> FloatArray:
        """Monte Carlo variance of the yields, lumi_fb^2 phi^T (sum w w^T) phi.

        Parameters
        ----------
        theta : array-like of shape (..., n_params), or mapping
            Absolute coefficients c/Lambda^2 in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (..., n_bins)
            Variance from the finite number of simulated events.
        """
        phi = self.basis.monomials(theta)
        # A quadratic form of a sum of outer products is a sum of squares: below 0 it is rounding.
        variance: FloatArray = self.lumi_fb**2 * np.maximum(np.einsum("...k,bkl,...l->...b", phi, self.sums_ww, phi), 0)
        return variance

    # ------------------------------------------------------------------ new templates
    def linear(self) -> Template:
        """Return the template without its second-order terms (about its reference point).

        Returns
        -------
        Template
            On the subset basis of nominal and linear terms.
        """
        terms = [term for term in self.basis.terms if len(term) <= 1]
        kept = [self.basis.index(term) for term in terms]
        return replace(
            self,
            basis=self.basis.subset(terms),
            sums=self.sums[:, kept],
            sums_ww=self.sums_ww[:, kept][:, :, kept],
            outside=self.outside[kept],
        )

    def rebin(self, edges: EdgesLike) -> Template:
        """Return the template with bins merged; what lies beyond the new outer edges moves to `outside`.

        Parameters
        ----------
        edges : array-like of shape (n_bins + 1,), or sequence of arrays
            New edges, each one of the present edges of its axis.

        Returns
        -------
        Template
            Fewer bins, the same total.

        Raises
        ------
        InputError
            If an edge is not among the present ones.
        """
        coarse = as_edges(edges)
        if len(coarse) != len(self.edges):
            raise InputError(f"{len(coarse)} axes of edges for a template with {len(self.edges)}: give one for each.")
        target = np.zeros(self.shape, dtype=np.int64)
        inside = np.ones(self.shape, dtype=bool)
        for axis, (new, old) in enumerate(zip(coarse, self.edges, strict=True)):
            missing = new[~np.isin(new, old)]
            if missing.size:
                raise InputError(f"edges {missing.tolist()} are not among {old.tolist()}: bins can only be merged.")
            position = np.searchsorted(new, old[:-1], side="right") - 1
            along = [1] * len(self.shape)
            along[axis] = -1
            target = target * (len(new) - 1) + position.reshape(along)
            inside &= ((position >= 0) & (position < len(new) - 1)).reshape(along)
        flat, keep = target.ravel(), inside.ravel()
        n_bins = math.prod(len(axis) - 1 for axis in coarse)
        sums = np.zeros((n_bins, self.basis.n_terms))
        sums_ww = np.zeros((n_bins, self.basis.n_terms, self.basis.n_terms))
        np.add.at(sums, flat[keep], self.sums[keep])
        np.add.at(sums_ww, flat[keep], self.sums_ww[keep])
        outside = self.outside + self.sums[~keep].sum(axis=0)
        return replace(self, edges=coarse, sums=sums, sums_ww=sums_ww, outside=outside)


def fill(
    table: EventTable, observable: ObservableLike, edges: EdgesLike, lumi_fb: float, *, process: str = "signal"
) -> Template:
    """Sum the weight polynomials of a table in bins of an observable.

    Parameters
    ----------
    table : EventTable
        Events, weights in fb. Not the ones from which the edges were chosen, nor those of a training.
    observable : Observable or callable
        ``observable(table)`` gives (n_events,) or (n_events, n_axes); +-inf is allowed, NaN is not.
    edges : array-like of shape (n_bins + 1,), or sequence of arrays
        One increasing array per axis; lo <= x < hi, and the last bin of an axis also holds x = hi.
    lumi_fb : float
        Integrated luminosity in fb^-1.
    process : str, default="signal"
        Name of the process.

    Returns
    -------
    Template
        Sums, their Monte Carlo covariance, and what fell outside.

    Warns
    -----
    BitWarning
        If events lie outside the edges; they are kept in ``outside`` and in no bin.

    Raises
    ------
    InputError
        For bad edges, a shape that does not fit them, or NaN values.
    """
    axes = as_edges(edges)
    values = _evaluate(table, observable)
    if values.shape[1] != len(axes):
        raise InputError(f"the observable has {values.shape[1]} axes but there are {len(axes)} arrays of edges.")
    n_bins = math.prod(len(axis) - 1 for axis in axes)
    # One more bin, the last, collects what is outside.
    flat = _flat_bins(values, axes, n_bins)
    sums, sums_ww = _sum_weights(flat, table.weights, n_bins + 1)
    n_outside = int((flat == n_bins).sum())
    if n_outside:
        warnings.warn(
            f"{n_outside} of {table.n_events} events ({sums[-1, 0]:.4g} of {table.sigma_fb:.4g} fb) lie outside "
            "the edges and are in no bin; widen the outer edges (+-inf is allowed) to keep them.",
            BitWarning,
            stacklevel=2,
        )
    return Template(process, table.basis, axes, sums[:-1], sums_ww[:-1], sums[-1], lumi_fb)


def choose_edges(
    table: EventTable,
    observable: ObservableLike,
    n_bins: int | Sequence[int],
    *,
    symmetric: bool | Sequence[bool] | None = None,
) -> Edges:
    """Edges of bins that are equally probable at the reference point of a table, axis by axis.

    Choose them on one part of the events and `fill` another, or the bins adapt to fluctuations.

    Parameters
    ----------
    table : EventTable
        Events; the nominal weights w_0 are the probabilities.
    observable : Observable or callable
        Of one or more axes.
    n_bins : int or sequence of int
        Bins of every axis, or of each.
    symmetric : bool or sequence of bool, optional
        Whether the edges of an axis are symmetric about 0; default ``observable.odd`` if it has that, else False.

    Returns
    -------
    tuple of ndarray
        For `fill`; outer edges are +-inf.

    Raises
    ------
    InputError
        As `equal_probability_edges`, or if `n_bins` or `symmetric` do not fit the axes.
    """
    values = _evaluate(table, observable)
    n_axes = values.shape[1]
    wanted = getattr(observable, "odd", False) if symmetric is None else symmetric
    counts, mirrored = _per_axis(n_bins, n_axes, "n_bins"), _per_axis(wanted, n_axes, "symmetric")
    nominal = table.weights[:, 0]
    return tuple(
        equal_probability_edges(values[:, axis], nominal, int(counts[axis]), symmetric=bool(mirrored[axis]))
        for axis in range(n_axes)
    )


def equal_probability_edges(
    values: npt.ArrayLike, weights: npt.ArrayLike, n_bins: int, *, symmetric: bool = False
) -> FloatArray:
    """Edges between which the weights have equal sums, as nearly as single events allow.

    Parameters
    ----------
    values : array-like of shape (n_events,)
        Finite values of the observable.
    weights : array-like of shape (n_events,)
        Nominal weights w_0, of positive sum. With negative weights the cumulated sum is not monotone; its
        running maximum is used.
    n_bins : int
        Number of bins.
    symmetric : bool, default=False
        Choose the edges from the absolute values and mirror them about 0. An even `n_bins` has an edge at 0,
        an odd one a bin around it.

    Returns
    -------
    ndarray of float64, shape (n_bins + 1,)
        Increasing, the outer edges -inf and +inf, the others between two neighbouring values.

    Warns
    -----
    BitWarning
        If equal values make fewer bins than asked for.

    Raises
    ------
    InputError
        For shapes that do not fit, values that are not finite, n_bins < 1, or weights without positive sum.
    """
    x = np.asarray(values, dtype=np.float64)
    w = np.asarray(weights, dtype=np.float64)
    if x.ndim != 1 or x.shape != w.shape:
        raise InputError(f"values have shape {x.shape} and weights {w.shape}: both must be (n_events,).")
    if n_bins < 1:
        raise InputError(f"n_bins={n_bins}: at least one bin is needed.")
    bad = int((~np.isfinite(x)).sum())
    if bad:
        raise InputError(f"{bad} of {len(x)} values are NaN or infinite: equal-probability bins need finite values.")
    if not w.sum() > 0:
        raise InputError(f"the weights sum to {w.sum():.4g}: equal probabilities need a positive sum.")
    if symmetric:
        # Even: |x| at probabilities 2/n, 4/n, ... and an edge at 0; odd: at 1/n, 3/n, ...
        first = 2 - n_bins % 2
        positive = _quantile_edges(np.abs(x), w, np.arange(first, n_bins, 2) / n_bins)
        positive = positive[positive > 0]
        inner = np.concatenate([-positive[::-1], [0.0] if n_bins % 2 == 0 else [], positive])
    else:
        inner = _quantile_edges(x, w, np.arange(1, n_bins) / n_bins)
    if len(inner) < n_bins - 1:
        warnings.warn(
            f"only {len(inner) + 1} of {n_bins} bins: too many events share one value of the observable.",
            BitWarning,
            stacklevel=2,
        )
    return np.concatenate([[-np.inf], inner, [np.inf]])


def as_edges(edges: Any) -> Edges:
    """Check edges and return them as a tuple of arrays, one per axis.

    Parameters
    ----------
    edges : array-like of shape (n_bins + 1,), or sequence of arrays
        One increasing array, or one for each axis.

    Returns
    -------
    tuple of ndarray of float64
        Read-only copies.

    Raises
    ------
    InputError
        If an axis has fewer than two edges, or they do not increase strictly.
    """
    listed = list(edges)
    if not listed:
        raise InputError("edges are empty: at least two are needed.")
    axes = [listed] if np.ndim(listed[0]) == 0 else listed
    out = []
    for number, axis in enumerate(axes):
        array = np.array(axis, dtype=np.float64)
        name = "edges" if len(axes) == 1 else f"edges[{number}]"
        if array.ndim != 1 or len(array) < 2:
            raise InputError(f"{name} has shape {array.shape}: a 1-d array of at least two edges is needed.")
        falls = np.flatnonzero(~(array[1:] > array[:-1]))
        if falls.size:
            at = int(falls[0]) + 1
            raise InputError(
                f"{name}[{at}]={array[at]:g} <= {name}[{at - 1}]={array[at - 1]:g}: "
                "edges must increase strictly; sort or merge bins."
            )
        array.flags.writeable = False
        out.append(array)
    return tuple(out)


def _evaluate(table: EventTable, observable: ObservableLike) -> FloatArray:
    """Values of an observable as (n_events, n_axes), without NaN."""
    values = np.asarray(observable(table), dtype=np.float64)
    if values.ndim not in (1, 2) or len(values) != table.n_events:
        raise InputError(
            f"the observable gave shape {values.shape} for {table.n_events} events: "
            "expected (n_events,) or (n_events, n_axes)."
        )
    values = values.reshape(table.n_events, -1)
    missing = np.isnan(values).any(axis=1)
    if missing.any():
        name = getattr(observable, "name", "the observable")
        raise InputError(
            f"{name} is NaN for {int(missing.sum())} of {table.n_events} events (first: event "
            f"{int(np.argmax(missing))}): they belong to no bin; select events or give them a value."
        )
    return values


def _flat_bins(values: FloatArray, axes: Edges, n_bins: int) -> npt.NDArray[np.int64]:
    """Bin of every event in C order; n_bins for events outside."""
    flat = np.zeros(len(values), dtype=np.int64)
    inside = np.ones(len(values), dtype=bool)
    for axis, edges in enumerate(axes):
        x = values[:, axis]
        # The inner edges alone decide the bin, so that x = hi falls in the last one.
        flat = flat * (len(edges) - 1) + np.searchsorted(edges[1:-1], x, side="right")
        inside &= (x >= edges[0]) & (x <= edges[-1])
    return np.where(inside, flat, n_bins)


def _sum_weights(flat: npt.NDArray[np.int64], weights: FloatArray, n_bins: int) -> tuple[FloatArray, FloatArray]:
    """Sum w and w w^T per bin: rows are sorted by bin, chunk by chunk, and each bin is one matrix product."""
    n_terms = weights.shape[1]
    sums = np.zeros((n_bins, n_terms))
    sums_ww = np.zeros((n_bins, n_terms, n_terms))
    for bins, rows in _chunks(flat, weights, max(_CHUNK, 16 * n_bins)):
        starts = np.flatnonzero(np.r_[True, bins[1:] != bins[:-1]])
        for b, low, high in zip(bins[starts], starts, [*starts[1:], len(bins)], strict=True):
            block = rows[low:high]
            sums[b] += block.sum(axis=0)
            sums_ww[b] += block.T @ block
    # Odd terms cancel between events and their CP images up to rounding. A sum that is 1e-12 of its own
    # statistical error is such a rounding: kept, it would be taken for a (gigantic) limit.
    spread = np.sqrt(np.einsum("bkk->bk", sums_ww))
    sums[np.abs(sums) <= _CANCELLED * spread] = 0.0
    return sums, sums_ww


def _chunks(
    flat: npt.NDArray[np.int64], weights: FloatArray, size: int
) -> Iterator[tuple[npt.NDArray[np.int64], FloatArray]]:
    for start in range(0, len(flat), size):
        bins = flat[start : start + size]
        order = np.argsort(bins, kind="stable")
        yield bins[order], weights[start : start + size][order]


def _quantile_edges(x: FloatArray, weights: FloatArray, probabilities: FloatArray) -> FloatArray:
    """Distinct edges between neighbouring values, the cumulated weight below each nearest to its target."""
    distinct, inverse = np.unique(x, return_inverse=True)
    cumulated = np.cumsum(np.bincount(inverse, weights=weights))
    rising = np.maximum.accumulate(cumulated)
    target = probabilities * cumulated[-1]
    after = np.clip(np.searchsorted(rising, target), 0, len(distinct) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(rising[before] - target) < np.abs(rising[after] - target)
    last = np.unique(np.where(nearer, before, after))
    last = last[last < len(distinct) - 1]
    low, high = distinct[last], distinct[last + 1]
    middle = low + 0.5 * (high - low)
    # Between adjacent floats the middle rounds to one of them; the upper one separates them, since lo <= x.
    edges: FloatArray = np.where(middle > low, middle, high)
    return edges


def _per_axis(value: Any, n_axes: int, name: str) -> npt.NDArray[Any]:
    array = np.atleast_1d(value)
    if array.shape not in ((1,), (n_axes,)):
        raise InputError(f"{name}={value!r}: give one value, or one for each of the {n_axes} axes.")
    return np.broadcast_to(array, (n_axes,))
