"""Fisher information of binned and of unbinned Poisson measurements."""

from __future__ import annotations

import numpy as np

from bit.basis import FloatArray, ThetaLike
from bit.errors import InputError, near_match
from bit.events import EventTable
from bit.inference.results import Information
from bit.inference.templates import Template


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
