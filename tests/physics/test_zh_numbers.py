"""Rates and moments of pp -> ZH -> llH against an independent leading-order calculation with the same densities."""

import numpy as np
import pytest
from papers import zh as papers

from bit.processes import zh

pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")

# Of the references, which are given with three digits.
TOLERANCE = {"R_a": (0.02, 0.02, 0.02), "R_aa": (0.03, 0.03, 0.10), "R_a^2": (0.03, 0.03, 0.10)}


def check_boosted(simulation):
    rows = {row.quantity: row for row in papers.boosted_rows(simulation)}
    sigma = rows["sigma x BR [fb]"]
    # The reference's own statistical error is in the tolerance.
    assert sigma.ours == pytest.approx(sigma.reference, rel=0.02, abs=5 * sigma.error)
    for moment, tolerances in TOLERANCE.items():
        for name, tolerance in zip(zh.PARAM_NAMES, tolerances, strict=True):
            row = rows[f"<{moment}>, a = {name}"]
            # The mean of the CP-odd coefficient is 0: there the tolerance is that of its spread.
            scale = row.reference or np.sqrt(rows["<R_a^2>, a = cHWtil"].reference)
            assert abs(row.ours - row.reference) < tolerance * scale + 3 * row.error, row
    return rows


def test_boosted():
    simulation = zh.simulate(30_000, seed=21, cuts="pt>200", show_progress=False)
    check_boosted(simulation)
    assert 0.6 <= simulation.table.n_eff / 30_000 <= 0.9


@pytest.mark.slow
def test_boosted_large():
    simulation = zh.simulate(400_000, seed=22, cuts="pt>200", show_progress=False)
    rows = check_boosted(simulation)
    for moment in TOLERANCE:
        for name in ("cHW", "cHq3"):
            # At this size the tolerance is the reference's, not the sample's (cHWtil has mean 0).
            row = rows[f"<{moment}>, a = {name}"]
            assert row.error < 0.01 * row.ours, row


def test_up_quarks_without_cuts():
    simulation = zh.simulate(5_000, seed=23, quarks=("u",), show_progress=False)
    row = papers.stable(simulation)
    assert row.ours == pytest.approx(row.reference, rel=0.01)
    assert 0.6 <= simulation.table.n_eff / 5_000 <= 0.9


def test_score_of_the_odd_coefficient_grows_with_energy():
    table = zh.simulate(20_000, seed=24, show_progress=False).table
    square, energy = table.joint_ratio()[:, 1] ** 2, table.column("sqrt_s")
    weight = table.weights[:, 0]
    means = [np.average(square[mask], weights=weight[mask]) for mask in (energy < 300, energy > 800)]
    assert means[1] > 5 * means[0]


@pytest.mark.slow
def test_cross_sections_of_seeds_scatter_by_their_error():
    results = [zh.simulate(100, seed=seed, show_progress=False) for seed in range(12)]
    sigma = np.array([result.sigma_fb for result in results])
    error = np.array([result.sigma_error_fb for result in results])
    pull = (sigma - np.average(sigma, weights=error**-2)) / error
    # chi2 with 11 degrees of freedom lies between 1.9 and 35 with probability 1 - 1e-3.
    assert 1.9 < (pull**2).sum() < 35
