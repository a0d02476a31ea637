"""Reach of observables in W fusion against an independent leading-order calculation with the same densities."""

import numpy as np
import pytest
from papers import reach
from papers import vbf as papers

import bit
from bit.processes import vbf

pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")

# Of the three observables of arXiv:2109.10414, Section 4.4, at 1 and 2 standard deviations.
TOLERANCE = np.repeat([0.08, 0.04, 0.04], 2)


def test_reach():
    found = papers.reaches(vbf.simulate(50_000, seed=61, cuts="P", show_progress=False).table)
    expected = np.ravel([reference for _, _, reference in papers.REACH])
    assert (np.abs(found / expected - 1.0) < TOLERANCE).all()


def test_reach_of_the_selection_for_tau_leptons():
    table = vbf.simulate(50_000, seed=62, quarks="all", cuts="T", show_progress=False).table
    expected = [reference for _, _, reference in papers.TAU_LEPTONS]
    np.testing.assert_allclose(papers.tau_leptons(table), expected, rtol=0.08)


def test_limit_in_closed_form():
    # Two bins of n/2 events and ratios r and -r: -2 ln L = -n log(1 - c^2 r^2).
    sums = np.array([[3.0, 0.6], [3.0, -0.6]])
    expected = np.sqrt(-np.expm1(-1.0 / 50)) / 0.2
    assert reach.limit(sums, 50, 1.0) == pytest.approx(expected, rel=1e-10)
    assert reach.events_for(sums, reach.limit(sums, 50)) == pytest.approx(50, rel=1e-10)


def test_histogram_of_events_and_images(rng):
    nominal = rng.uniform(0.5, 1.0, 4000)
    weights = np.stack([nominal, nominal * rng.standard_normal(4000)], axis=-1)
    table = bit.EventTable(np.zeros((4000, 1)), weights, bit.PolynomialBasis(["c"], order=1), feature_names=("x",))
    sums = reach.odd_histogram(table, "c", reach.score(table, "c"))
    # Equal probabilities up to an event, and bins that are each other's images.
    np.testing.assert_allclose(sums[:, 0], 0.1 * nominal.sum(), atol=2 * nominal.max())
    np.testing.assert_allclose(sums[:, 1], -sums[::-1, 1], atol=2 * np.abs(weights[:, 1]).max())
    assert (np.diff(sums[:, 1] / sums[:, 0]) > 0.0).all()
