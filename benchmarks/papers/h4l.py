"""h -> 4l: widths, asymmetries (arXiv:2112.05052, Fig. 3) and expected limits (Table I of that paper)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from bit import EventTable
from bit.processes import h4l
from bit.processes.hvv import Electroweak
from bit.processes.simulation import Simulation
from papers import reach
from papers.rows import FloatArray, Row, jackknife, mean_and_error

_EW = Electroweak()
E_OF_GF = 2.0 * _EW.m_z / _EW.vev * _EW.sin * _EW.cos
"""A coupling with which 2 mZ/v is the coupling of the Z, as in the G_F scheme."""


@cache
def in_lab(n_events: int, seed: int) -> Simulation:
    """2e2mu within the acceptance."""
    return simulated(n_events, seed, frame="lab", acceptance=True)


def simulated(n_events: int, seed: int, **options: Any) -> Simulation:
    """Events without progress bars."""
    return h4l.simulate(n_events, seed=seed, show_progress=False, **options)


def width(seed: int) -> Row:
    """Width with couplings from G_F."""
    found = simulated(100, seed, m_ll_min=1.0, e=E_OF_GF)
    to_mev = 1000.0 * h4l.GAMMA_H_GEV / h4l.SIGMA_H_FB
    value, error = found.sigma_fb * to_mev, found.sigma_error_fb * to_mev
    return Row("width of 2e2mu, m_ll > 1 GeV [MeV]", None, 2.37e-4, value, error)


def flavour_ratio(one_flavour: Simulation, at_rest: Simulation) -> Row:
    """Width of 4e relative to that of 2e2mu."""
    return _ratio_row("4e/2e2mu, m_ll > 5 GeV", 0.542, one_flavour, at_rest)


def accepted_share(accepted: Simulation, at_rest: Simulation) -> Row:
    """Share of 2e2mu in the acceptance."""
    return _ratio_row("share of 2e2mu in the acceptance", 0.51, accepted, at_rest)


def _ratio_row(quantity: str, reference: float, above: Simulation, below: Simulation) -> Row:
    """Ratio of two cross-sections."""
    ratio = above.sigma_fb / below.sigma_fb
    error = ratio * np.hypot(above.sigma_error_fb / above.sigma_fb, below.sigma_error_fb / below.sigma_fb)
    return Row(quantity, None, reference, ratio, float(error))


def widths(n_events: int, seed: int) -> Iterator[Row]:
    """Widths, the share of events in the acceptance, and the asymmetry of one flavour."""
    yield width(seed)
    at_rest, one_flavour = simulated(100, seed), simulated(max(n_events // 10, 100), seed, channel="4e")
    yield flavour_ratio(one_flavour, at_rest)
    yield accepted_share(in_lab(n_events, seed), at_rest)
    yield inversion(one_flavour.table)


EDGES = (0.0, 60.0, 75.0, 83.0, 88.0, 91.2, 95.0, 130.0)
"""Of m12 in GeV."""
FRACTIONS = (0.069, 0.107, 0.078, 0.112, 0.353, 0.262, 0.018)
ASYMMETRIES = {
    "cHWtil": (0.51, 0.094, 0.034, -0.010, -0.041, -0.059, -0.10),
    "cHBtil": (1.83, 0.43, 0.27, 0.154, 0.073, 0.028, -0.09),
    "cHWBtil": (-0.96, -0.20, -0.105, -0.032, 0.018, 0.047, 0.12),
}


def asymmetry(table: EventTable, name: str, low: float, high: float) -> tuple[float, float]:
    """Mean of score times the sign of Phi within a range of m12, and its standard error."""
    inside = table.take(np.flatnonzero((table.column("m12") > low) & (table.column("m12") <= high)))
    nominal = inside.weights[:, 0]
    return mean_and_error(nominal / nominal.sum(), reach.score(inside, name) * np.sign(inside.column("phi_4l")))


def inversion(table: EventTable) -> Row:
    """Asymmetry of two pairs of one flavour at low m12, opposite to that of two flavours."""
    return Row("4e: A of cHBtil, 50 < m12 < 75 GeV", None, -0.51, *asymmetry(table, "cHBtil", 50.0, 75.0))


def fraction_rows(table: EventTable) -> Iterator[Row]:
    """Shares of the ranges of m12."""
    for (low, high), reference in zip(pairwise(EDGES), FRACTIONS, strict=True):
        inside = (table.column("m12") > low) & (table.column("m12") <= high)
        share = mean_and_error(table.weights[:, 0] / table.sigma_fb, inside.astype(np.float64))
        yield Row(f"share of {low:g} < m12 < {high:g} GeV", None, reference, *share)


def asymmetry_rows(table: EventTable) -> Iterator[Row]:
    """Asymmetries A = <t sign(Phi)> in ranges of m12."""
    for name, references in ASYMMETRIES.items():
        for (low, high), reference in zip(pairwise(EDGES), references, strict=True):
            found = asymmetry(table, name, low, high)
            yield Row(f"A of {name}, {low:g} < m12 < {high:g} GeV", None, reference, *found)


def asymmetries(n_events: int, seed: int) -> Iterator[Row]:
    """Shares and asymmetries."""
    table = in_lab(n_events, seed).table
    yield from fraction_rows(table)
    yield from asymmetry_rows(table)


LIMIT_OF_THE_ANGLE = 1.4
"""On cHBtil: the number of events is chosen accordingly."""
EDGES_OF_THE_MASS = (75.0, 88.0, 92.0)
OBSERVABLES = ("Phi", "Phi x m12", "score (published: network of three classes)")
LIMITS: dict[str, tuple[tuple[float, float | None], ...]] = {
    "cHWBtil": ((6.2, 5.8), (1.9, 1.8), (1.4, 1.5)),
    "cHBtil": ((1.4, 1.4), (0.85, 0.86), (0.71, 0.72)),
    # Of the angle alone, regions of the mass cancel: the reference is 34 to 49.
    "cHWtil": ((30.0, None), (3.7, 3.3), (2.7, 2.6)),
}
"""Published and reference limits at 95 % by `OBSERVABLES`."""


def limits(table: EventTable) -> FloatArray:
    """Number of events, and limits of all coefficients by all observables, coefficient by coefficient."""
    phi = np.concatenate([sign * table.column("phi_4l") for sign in (1, -1)])
    mass = np.tile(np.searchsorted(EDGES_OF_THE_MASS, table.column("m12")), 2)

    def angle(n_bins: int) -> reach.IntArray:
        return np.minimum((phi / (2.0 * np.pi) + 0.5) * n_bins, n_bins - 1).astype(np.int64)

    by_angle, by_both = angle(16), angle(8) * (len(EDGES_OF_THE_MASS) + 1) + mass
    n_expected = reach.events_for(reach.histogram(table, "cHBtil", by_angle), LIMIT_OF_THE_ANGLE)
    found = [n_expected]
    for name in LIMITS:
        histograms = (
            *(reach.histogram(table, name, bins) for bins in (by_angle, by_both)),
            reach.odd_histogram(table, name, reach.score(table, name)),
        )
        found += [reach.limit(sums, n_expected) for sums in histograms]
    return np.array(found)


def selected(table: EventTable) -> EventTable:
    """Events with 50 < m12 < 106 GeV and m34 > 12 GeV."""
    m12, m34 = table.column("m12"), table.column("m34")
    return table.take(np.flatnonzero((m12 > 50) & (m12 < 106) & (m34 > 12)))


def limit_rows(table: EventTable) -> Iterator[Row]:
    """Expected limits from selected events."""
    (n_expected, *found), (n_error, *errors) = limits(table), jackknife(limits, table)
    yield Row("events, chosen for a limit of 1.4 on cHBtil by Phi", None, 80.0, n_expected, n_error)
    labels = [(name, what, *values) for name in LIMITS for what, values in zip(OBSERVABLES, LIMITS[name], strict=True)]
    for (name, what, published, reference), ours, error in zip(labels, found, errors, strict=True):
        if (name, what) != ("cHBtil", "Phi"):
            yield Row(f"limit of {name}: {what}", published, reference, ours, error)


def table_i(n_events: int, seed: int) -> Iterator[Row]:
    """Expected limits."""
    yield from limit_rows(selected(in_lab(n_events, seed).table))
