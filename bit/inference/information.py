"""Fisher information of counts, of binned and unbinned observables, of full events; where it lies, what is lost."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, ThetaLike, require_finite
from bit.errors import InputError, near_match
from bit.events import EventTable
from bit.inference.results import Directions, Information, InformationDensity
from bit.inference.templates import EdgesLike, ObservableLike, Template, as_edges, fill


def information(template: Template, theta: ThetaLike | None = None, *, rate: bool = True) -> Information:
    """Fisher information of the binned measurement, I_ab = sum_b d_a lambda_b d_b lambda_b / lambda_b.

    Parameters
    ----------
    template : Template
        Expected yields; events outside its edges do not count.
    theta : array-like of shape (n_params,) or mapping, optional
        Where, absolute c/Lambda^2 in TeV^-2; default 0, the SM.
    rate : bool, default=True
        False subtracts what the total number of events tells, d_a lambda d_b lambda / lambda of the sum of all bins.

    Returns
    -------
    Information
        In TeV^4, for the luminosity of the template.

    Raises
    ------
    InputError
        If a bin expects no or negative events but depends on a coefficient.

    Notes
    -----
    The information of arXiv:1612.05261 and 2107.10859; half the second derivatives of the Asimov -2 ln L at its
    minimum.
    """
    point = _point(template.basis.as_theta(np.zeros(template.basis.n_params) if theta is None else theta))
    matrix = _poisson(template.gradient(point), template.yields(point), rate, "bin", "merge bins")
    return Information(template.basis.param_names, matrix, point, rate)


def event_information(
    table: EventTable, lumi_fb: float, theta: ThetaLike | None = None, *, rate: bool = True
) -> Information:
    """Fisher information of the events with their latent truth, I_ab = L sum_i w_i t_ia t_ib: the unbinned best.

    Parameters
    ----------
    table : EventTable
        Simulated events; t is the joint score at theta, rate included.
    lumi_fb : float
        Integrated luminosity in fb^-1, positive.
    theta : array-like of shape (n_params,) or mapping, optional
        Where, absolute c/Lambda^2 in TeV^-2; default 0, the SM.
    rate : bool, default=True
        False subtracts what the total number of events tells.

    Returns
    -------
    Information
        In TeV^4. For non-negative weights, at least that of any binning of the same events.

    Raises
    ------
    InputError
        If an event has weight 0 at theta but depends on a coefficient, or for a luminosity that is not positive.
    """
    if not (np.isfinite(lumi_fb) and lumi_fb > 0):
        raise InputError(f"lumi_fb={lumi_fb}: a luminosity must be positive (fb^-1).")
    point = _point(table.basis.as_theta(np.zeros(table.basis.n_params) if theta is None else theta))
    slope = table.weights @ table.basis.gradient(point).T
    matrix = lumi_fb * _poisson(slope, table.at(point), rate, "event", "remove or smear these events")
    return Information(table.basis.param_names, matrix, point, rate)


def information_kept(
    template: Template, table: EventTable, param: str, *, theta: ThetaLike | None = None, rate: bool = True
) -> float:
    """Share of the information on one coefficient that the bins keep, I_binned / I_full, the others known.

    Parameters
    ----------
    template : Template
        Filled from `table` (or from another sample of the same process; statistical fluctuations then enter).
    table : EventTable
        Events, whose joint score gives the full information.
    param : str
        The coefficient.
    theta : array-like of shape (n_params,) or mapping, optional
        Where, absolute c/Lambda^2 in TeV^-2; default 0, the SM.
    rate : bool, default=True
        Whether both contain the total number of events; False: shape only.

    Returns
    -------
    float
        At most 1 for the events of the template if no weight is negative.

    Raises
    ------
    InputError
        For an unknown coefficient, or one on which the events have no information.

    Notes
    -----
    This is not rho^2 (`bit.metrics.rho2`), the correlation of a prediction with the truth.
    """
    for names in (template.basis.param_names, table.basis.param_names):
        if param not in names:
            raise InputError(f"no coefficient {param!r}: {near_match(param, names)}")
    full = event_information(table, template.lumi_fb, theta, rate=rate)[param]
    if not full > 0:
        raise InputError(f"the events hold no information on {param!r} (I={full:.4g}): there is nothing to keep.")
    return information(template, theta, rate=rate)[param] / full


def count_information(table: EventTable, lumi_fb: float, theta: ThetaLike | None = None) -> Information:
    """Fisher information of the number of events alone, I_ab = L d_a sigma d_b sigma / sigma.

    Parameters
    ----------
    table : EventTable
        Simulated events, whose weights sum to the cross-section.
    lumi_fb : float
        Integrated luminosity in fb^-1, positive.
    theta : array-like of shape (n_params,) or mapping, optional
        Where, absolute c/Lambda^2 in TeV^-2; default 0, the SM.

    Returns
    -------
    Information
        In TeV^4, of rank 1: what ``rate=False`` subtracts elsewhere.

    Raises
    ------
    InputError
        If the cross-section or the luminosity is not positive.
    """
    return information(fill(table, _nothing, [-np.inf, np.inf], lumi_fb), theta)


def score_information(
    table: EventTable, ratios: npt.ArrayLike, lumi_fb: float, theta: ThetaLike | None = None, *, rate: bool = True
) -> Information:
    """Fisher information of an unbinned measurement with learned ratios, I = H V^-1 H^T.

    The learned score is s_a(x) = d_a log R(x|theta). The sums T_a = sum_i s_a(x_i) over the observed events change
    with theta by H_ab = L sum_i d_a w_i s_b(x_i) and have the covariance V_ab = L sum_i w_i s_a(x_i) s_b(x_i), so they
    measure theta with that information. For the true score H = V; for any other s it is less than `event_information`
    (Cauchy-Schwarz), whether s is calibrated or not. The number of events is one more such sum.

    Parameters
    ----------
    table : EventTable
        Simulated events, not those of the training.
    ratios : array-like of shape (n_events, n_terms - 1)
        Their R_k, ``model.predict(table)``.
    lumi_fb : float
        Integrated luminosity in fb^-1, positive.
    theta : array-like of shape (n_params,) or mapping, optional
        Where, absolute c/Lambda^2 in TeV^-2; default 0, the SM.
    rate : bool, default=True
        Whether the total number of events is measured too; False: the shape alone, from centred scores.

    Returns
    -------
    Information
        In TeV^4.

    Raises
    ------
    InputError
        For ratios that do not fit or are not finite, or with R(x|theta) <= 0 for an event.
    """
    if not (np.isfinite(lumi_fb) and lumi_fb > 0):
        raise InputError(f"lumi_fb={lumi_fb}: a luminosity must be positive (fb^-1).")
    point = _point(table.basis.as_theta(np.zeros(table.basis.n_params) if theta is None else theta))
    weight, slope = table.at(point), table.weights @ table.basis.gradient(point).T
    score = _learned_score(table, ratios, point)
    # A constant beside the scores counts events: then the total is measured whatever the model says of it.
    columns = np.column_stack([np.ones(len(score)), score])
    response = lumi_fb * slope.T @ columns
    variance = lumi_fb * columns.T @ (columns * weight[:, np.newaxis])
    # Sums that depend on each other add nothing: the pseudo-inverse leaves them out.
    scale = np.sqrt(np.where(np.diag(variance) > 0, np.diag(variance), 1.0))
    inverse = np.linalg.pinv(variance / np.outer(scale, scale), rcond=1e-12, hermitian=True) / np.outer(scale, scale)
    matrix = response @ inverse @ response.T
    if not rate:
        matrix -= np.outer(response[:, 0], response[:, 0]) / variance[0, 0]
    return Information(table.basis.param_names, 0.5 * (matrix + matrix.T), point, rate)


def information_density(template: Template, theta: ThetaLike | None = None) -> InformationDensity:
    """Information that every bin contributes, d_a lambda_b d_b lambda_b / lambda_b; its sum is `information`.

    Parameters
    ----------
    template : Template
        Expected yields.
    theta : array-like of shape (n_params,) or mapping, optional
        Where, absolute c/Lambda^2 in TeV^-2; default 0, the SM.

    Returns
    -------
    InformationDensity
        One matrix per bin, rate included.

    Raises
    ------
    InputError
        As `information`.
    """
    point = _point(template.basis.as_theta(np.zeros(template.basis.n_params) if theta is None else theta))
    slope, yields = template.gradient(point), template.yields(point)
    _poisson(slope, yields, True, "bin", "merge bins")
    safe = np.where(yields == 0, 1.0, yields)
    matrices = slope[:, :, np.newaxis] * slope[:, np.newaxis, :] / safe[:, np.newaxis, np.newaxis]
    return InformationDensity(template.basis.param_names, template.edges, matrices, yields, point)


def regional_information(
    table: EventTable,
    observable: ObservableLike,
    edges: EdgesLike,
    lumi_fb: float,
    theta: ThetaLike | None = None,
) -> InformationDensity:
    """Information of the full events in each region of phase space, L sum_i w_i t_ia t_ib over the events of a bin.

    Parameters
    ----------
    table : EventTable
        Simulated events; t is the joint score at theta, rate included.
    observable : Observable or callable
        What divides phase space, of one or more axes.
    edges : array-like of shape (n_bins + 1,), or sequence of arrays
        As for `fill`.
    lumi_fb : float
        Integrated luminosity in fb^-1, positive.
    theta : array-like of shape (n_params,) or mapping, optional
        Where, absolute c/Lambda^2 in TeV^-2; default 0, the SM.

    Returns
    -------
    InformationDensity
        One matrix per region; with regions that cover everything the sum is `event_information`.

    Raises
    ------
    InputError
        If an event has weight 0 at theta but depends on a coefficient, or as `fill`.
    """
    point = _point(table.basis.as_theta(np.zeros(table.basis.n_params) if theta is None else theta))
    slope, weight = table.weights @ table.basis.gradient(point).T, table.at(point)
    _poisson(slope, weight, True, "event", "remove or smear these events")
    safe = np.where(weight == 0, 1.0, weight)[:, np.newaxis]
    n = table.basis.n_params
    upper = np.triu_indices(n)
    seen = observable(table)
    # The products are summed as a table of weights, so that the regions are those of any other histogram.
    products = np.column_stack([weight, slope[:, upper[0]] * slope[:, upper[1]] / safe])
    columns = PolynomialBasis([f"entry {k}" for k in range(products.shape[1] - 1)], order=1)
    summed = EventTable(np.zeros((table.n_events, 1)), products, columns, feature_names=("none",))
    binned = fill(summed, lambda _: seen, edges, lumi_fb)
    matrices = np.zeros((binned.n_bins, n, n))
    matrices[:, upper[0], upper[1]] = matrices[:, upper[1], upper[0]] = lumi_fb * binned.sums[:, 1:]
    return InformationDensity(table.basis.param_names, as_edges(edges), matrices, lumi_fb * binned.sums[:, 0], point)


def eigen_directions(measured: Information) -> Directions:
    """Combinations of coefficients that are measured independently of each other, best first.

    Parameters
    ----------
    measured : Information
        Any; directions without information have infinite errors.

    Returns
    -------
    Directions
        Orthonormal vectors, eigenvalues, Cramer-Rao bounds.

    Notes
    -----
    Eigenvectors depend on the units of the coefficients, here all c/Lambda^2 in TeV^-2.
    """
    values, vectors = np.linalg.eigh(measured.matrix)
    order = np.argsort(values)[::-1]
    # Eigenvalues that are rounding errors of the largest.
    values = np.where(values < len(values) * np.finfo(np.float64).eps * values.max(), 0.0, values)[order]
    rows = vectors.T[order]
    largest = rows[np.arange(len(rows)), np.argmax(np.abs(rows), axis=1)]
    with np.errstate(divide="ignore"):
        errors = 1.0 / np.sqrt(values)
    return Directions(measured.names, rows * np.sign(largest)[:, np.newaxis], values, errors)


def information_lost(kept: Information, full: Information) -> float:
    """Share of the information that an observable loses: 0 for the best possible, 1 for one that measures nothing.

    1 - tr(I_full^-1 I) / n_params, the mean loss over the combinations of coefficients in which both are diagonal. It
    does not depend on the choice of the coefficients; for one of them it is 1 - I / I_full.

    Parameters
    ----------
    kept : Information
        Of the observable.
    full : Information
        Of the full events, or of another observable that knows at least as much; from the same events, at the same
        point and luminosity.

    Returns
    -------
    float
        Within [0, 1].

    Raises
    ------
    InputError
        If the two belong to different coefficients or points, `full` is singular, or `kept` exceeds `full` in some
        direction.
    """
    if kept.names != full.names or not np.array_equal(kept.theta, full.theta) or kept.rate != full.rate:
        raise InputError("the two informations differ in coefficients, point or rate: only like can be compared.")
    root = np.linalg.cholesky(full.covariance)
    shares = np.linalg.eigvalsh(root.T @ kept.matrix @ root)
    if shares[-1] > 1.0 + 1e-9 or shares[0] < -1e-9:
        raise InputError(
            f"an observable cannot know {shares[-1]:.6g} times as much as the full events: use the same events, "
            "without negative weights, and the same luminosity for both."
        )
    return float(np.clip(1.0 - shares.mean(), 0.0, 1.0))


def _nothing(table: EventTable) -> FloatArray:
    """Observable that tells nothing."""
    return np.zeros(table.n_events)


def _learned_score(table: EventTable, ratios: npt.ArrayLike, point: FloatArray) -> FloatArray:
    """d_a log R of every event."""
    values = np.asarray(ratios, dtype=np.float64)
    expected = (table.n_events, table.basis.n_terms - 1)
    if values.shape != expected:
        raise InputError(f"ratios have shape {values.shape}, expected {expected}: one column for each term.")
    require_finite(values, "ratios")
    ratio = 1.0 + values @ table.basis.monomials(point)[1:]
    if not (ratio > 0).all():
        raise InputError(
            f"R(x|theta) <= 0 for {int((ratio <= 0).sum())} of {len(ratio)} events (first: event "
            f"{int(np.argmax(ratio <= 0))}): their score does not exist; calibrate the ratios, or choose a point "
            "nearer to the reference point."
        )
    score: FloatArray = values @ table.basis.gradient(point)[:, 1:].T / ratio[:, np.newaxis]
    return score


def _poisson(slope: FloatArray, expected: FloatArray, rate: bool, what: str, remedy: str) -> FloatArray:
    """Sum of slope slope^T / expected over rows; rows that expect nothing and never change do not count."""
    used = slope.any(axis=1) | (expected != 0)
    # Single events may have negative weights; a bin's yield may not.
    bad = used & (expected == 0 if what == "event" else expected <= 0)
    if bad.any():
        first = int(np.argmax(bad))
        raise InputError(
            f"{int(bad.sum())} {what}s have no or negative expectation (first: {what} {first}, "
            f"{expected[first]:.4g}), so their information does not exist; {remedy}."
        )
    rows, weight = slope[used], expected[used]
    matrix: FloatArray = rows.T @ (rows / weight[:, np.newaxis])
    if not rate:
        total = rows.sum(axis=0)
        matrix = matrix - np.outer(total, total) / weight.sum()
    return 0.5 * (matrix + matrix.T)


def _point(theta: FloatArray) -> FloatArray:
    if theta.ndim != 1:
        raise InputError(f"theta has shape {theta.shape}: one point is needed.")
    return theta
