"""Formulas found for the score in vector-boson fusion: ours beside those of arXiv:2109.10414."""

import numpy as np
import pytest
from _formulas import ratios
from distill_vbf import BULK, INPUTS, OPERATORS, PARITY, SCORE, WITHIN, eq_39, exact_score, over_first, relative
from papers import vbf as papers

from bit.distill import distill

pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")


def test_exact_score():
    table = papers.sample(5_000, 71).table
    far = table.column("deta_jj") > 5.0  # where no quark turns back
    # Features are in single precision; sines of angles near pi lose most.
    np.testing.assert_allclose(exact_score(table)[far], SCORE(table)[far], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(exact_score(table), SCORE(table), rtol=0.05, atol=1e-5)


def test_parameters_of_the_published_formula():
    # Tolerances of the independent calculation, from 2e5 events of weight 1.
    found = eq_39(papers.sample(50_000, 71).table, n_starts=1)
    c, a, b, d = found.values
    expected = papers.EQ_39_REFERENCE
    assert abs(a / expected[0] - 1.0) < 0.05
    assert abs(b / expected[1] - 1.0) < 0.05
    assert abs(c / expected[2] - 1.0) < 0.10
    assert abs(d) < 0.005


def test_ratios_of_errors(rng):
    reference = rng.exponential(size=20_000)
    found = ratios(np.ones(20_000), [reference, 2.0 * reference, rng.exponential(size=20_000)], reference, 400)
    assert found[0] == (1.0, pytest.approx(0.0, abs=1e-12))
    assert found[1] == (2.0, pytest.approx(0.0, abs=1e-12))
    # Independent means with standard errors 1/sqrt(n); 400 replicas give theirs to 1/sqrt(800).
    assert found[2][1] == pytest.approx(np.sqrt(2.0 / 20_000), rel=5.0 / np.sqrt(800) + 0.03)


def test_half_widths_over_the_score():
    table = papers.sample(5_000, 71).table
    one, other = over_first(table, {"score": SCORE, "twice": lambda at: 2.0 * SCORE(at)}, (1.0,))
    assert one == (1.0, 0.0)
    assert other == (pytest.approx(1.0, rel=1e-12), pytest.approx(0.0, abs=1e-12))


@pytest.mark.slow
def test_formulas_are_better_than_the_published_one():
    pytest.importorskip("pyoperon", reason="pyoperon is not installed (extra: distill)")
    table = papers.sample(50_000, 71).table
    reference = eq_39(table, n_starts=1).expression
    front = distill(
        SCORE,
        table,
        operators=OPERATORS,
        features=INPUTS,
        backend="operon",
        cp_parity=PARITY,
        n_jobs=2,
    )
    chosen = [front.at(size) for size in WITHIN]
    for events in (np.inf, BULK):
        found = relative(table, chosen, reference, events)
        # Limits are those of 2e5 events; errors are bootstrapped over the events at hand, for both formulas alike.
        assert all(value <= most + 2.0 * error for (value, error), most in zip(found, WITHIN.values(), strict=True))
