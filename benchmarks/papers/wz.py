"""pp -> W+ Z -> l nu l l: moments of the scores (pT > 300 GeV, sqrt(s) < 4 TeV, mu_F = sqrt(s), u dbar)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bit import EventTable
from bit.processes import wz
from papers.rows import Row, mean_and_error, rms_and_error

PT_MIN, M_MAX = 300.0, 4000.0
MEAN, RMS = (0.29, 5.1), (3.8, 9.0)
"""<t> and sqrt(<t^2>) of `wz.PARAM_NAMES`."""
CANCELLED = 0.07
"""Bound on |<t>|/rms of cW at fixed sqrt(s), which vanishes at high energy."""
SLICES = ((1000.0, 1300.0), (1300.0, 1800.0), (1800.0, M_MAX))
"""Ranges of sqrt(s) in GeV."""


def sample(n_events: int, seed: int) -> EventTable:
    """Events with a known neutrino."""
    return wz.simulate(
        n_events,
        seed=seed,
        charge="plus",
        neutrino="known",
        generations=1,
        cuts=f"pt>{PT_MIN:g}, sqrt_s<{M_MAX:g}",
        show_progress=False,
    ).table


def moment_rows(table: EventTable) -> Iterator[Row]:
    """Means and spreads of the scores."""
    weight, scores = table.weights[:, 0] / table.sigma_fb, table.joint_ratio()[:, :2]
    for name, mean, rms, score in zip(wz.PARAM_NAMES, MEAN, RMS, scores.T, strict=True):
        yield Row(f"{name}: <t>", None, mean, *mean_and_error(weight, score))
        yield Row(f"{name}: rms of t", None, rms, *rms_and_error(weight, score))


def interference_rows(table: EventTable) -> Iterator[Row]:
    """Interference of cW: none at high energy, but in the azimuths of the decays."""
    nominal, score, energy = table.weights[:, 0], table.joint_ratio()[:, 0], table.column("sqrt_s")
    for low, high in SLICES:
        inside = (energy > low) & (energy < high)
        weight = nominal[inside] / nominal[inside].sum()
        (mean, error), (rms, _) = (find(weight, score[inside]) for find in (mean_and_error, rms_and_error))
        what = f"cW: <t>/rms of t (reference: below {CANCELLED:g}), {low:g} < sqrt(s) < {high:g} GeV"
        yield Row(what, None, None, mean / rms, error / rms)
    for boson in "wz":
        azimuth = table.column(f"cos_2phi_{boson}").astype(np.float64)
        found = mean_and_error(nominal / table.sigma_fb, 2.0 * score * azimuth)
        yield Row(f"cW: 2 <t cos(2 phi_{boson.upper()})>", None, 1.5, *found)


def moments_of(table: EventTable) -> Iterator[Row]:
    """All of them."""
    yield from moment_rows(table)
    yield from interference_rows(table)


def moments(n_events: int, seed: int) -> Iterator[Row]:
    """The same of new events."""
    yield from moments_of(sample(n_events, seed))
