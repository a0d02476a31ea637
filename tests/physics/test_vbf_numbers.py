"""Reach of observables in W fusion against an independent leading-order calculation with the same densities."""

import numpy as np
import pytest
from scipy.optimize import brentq

from bit.processes import vbf

pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")

N_BINS = 20


def binned(table, values):
    """Nominal and linear sums of cHWtil, each event with its mirror image, in bins of equal probability."""
    nominal, linear = table.weights[:, 0], table.weights[:, table.basis.terms.index(("cHWtil",))]
    both = np.concatenate([values, -values])
    weights = np.concatenate([nominal, nominal])
    order = np.argsort(both)
    reached = np.empty_like(both)
    reached[order] = np.cumsum(weights[order])
    bins = np.minimum(reached / weights.sum() * N_BINS, N_BINS - 1).astype(int)
    return sums(bins, weights, np.concatenate([linear, -linear]))


def sums(bins, nominal, linear):
    return np.stack([np.bincount(bins, column) for column in (nominal, linear)], axis=-1)


def limit(histogram, n_expected, twice_delta):
    """Coefficient at which -2 ln L of the expected data of the Standard Model has risen by `twice_delta`."""
    nominal, linear = (histogram / histogram[:, 0].sum() * n_expected).T
    ratio = linear / nominal

    def excess(value):
        shift = value * ratio
        return 2.0 * (nominal * (shift - np.log1p(shift))).sum() - twice_delta

    return brentq(excess, 1e-9, (1.0 - 1e-9) / np.abs(ratio).max())


def score(table):
    return table.joint_ratio()[:, table.basis.terms.index(("cHWtil",)) - 1]


def eq39(table):
    """Formula of arXiv:2109.10414, Eq. 39, with its coefficients."""
    at = {name: table.column(name).astype(np.float64) for name in ("x1", "x2", "deta_jj", "dphi_jj")}
    return at["x1"] * (at["x2"] + 0.242) * (1.086 - 0.1024 * at["deta_jj"]) * np.sin(at["dphi_jj"])


def check_reach(table):
    # arXiv:2109.10414, Section 4.2: 100 events; intervals of 1 and 2 standard deviations.
    sine = table.column("sin_dphi").astype(np.float64)
    size = (table.column("pt_j1") * table.column("pt_j2")).astype(np.float64)
    best = binned(table, score(table))
    for values, expected, tolerance in (
        (sine, (1.41, 1.45), 0.08),
        (size * sine, (1.03, 1.03), 0.04),
        (eq39(table), (1.02, 1.02), 0.04),
    ):
        found = [limit(binned(table, values), 100, delta) / limit(best, 100, delta) for delta in (1.0, 4.0)]
        np.testing.assert_allclose(found, expected, rtol=tolerance)


def test_reach():
    check_reach(vbf.simulate(50_000, seed=61, cuts="P", show_progress=False).table)


def test_reach_of_the_selection_for_tau_leptons():
    table = vbf.simulate(50_000, seed=62, quarks="all", cuts="T", show_progress=False).table
    angle = binned(table, table.column("dphi_jj").astype(np.float64))
    n_expected = brentq(lambda n: limit(angle, n, 3.84) - 0.60, 30, 1000)
    best = limit(binned(table, score(table)), n_expected, 3.84)
    truth = score(table)
    sign = sums(
        np.concatenate([truth > 0.0, truth < 0.0]).astype(int),
        np.tile(table.weights[:, 0], 2),
        np.concatenate([table.weights[:, 2], -table.weights[:, 2]]),
    )
    assert n_expected == pytest.approx(155, rel=0.08)
    assert 0.60 / best == pytest.approx(1.34, rel=0.08)
    assert limit(sign, n_expected, 3.84) / 0.60 == pytest.approx(1.11, rel=0.08)
