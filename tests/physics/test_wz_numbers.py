"""Moments of the scores of pp -> W+ Z -> l nu l l against an independent leading-order calculation."""

import numpy as np
import pytest
from papers import wz as papers
from scipy.special import roots_legendre

from bit.processes import wz

pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")

TOLERANCE = 0.10
"""Of the references for the means and spreads."""


@pytest.fixture(scope="module")
def table():
    return papers.sample(20_000, 31)


@pytest.fixture(scope="module")
def rows(table):
    return {row.quantity: row for row in papers.moments_of(table)}


def integrated(process):
    """Cross-section of W+ in fb and mean scores by quadrature, with the decays integrated in closed form."""
    amplitudes, m_z = process.amplitudes, process.electroweak.m_z
    s_min = (np.hypot(amplitudes.m_w, papers.PT_MIN) + np.hypot(m_z, papers.PT_MIN)) ** 2
    nodes = [roots_legendre(n) for n in (40, 30, 40)]
    grid = np.meshgrid(*(node for node, _ in nodes), indexing="ij")
    along_s, along_y, along_cos = (axis.ravel() for axis in grid)
    weight = np.einsum("i,j,k->ijk", *(weights for _, weights in nodes)).ravel()
    half = 0.5 * (1.0 / s_min - 1.0 / papers.M_MAX**2)
    sqrt_s = (0.5 * (1.0 / s_min + 1.0 / papers.M_MAX**2) + half * along_s) ** -0.5
    momentum, y_max = amplitudes.momentum(sqrt_s), np.log(13000.0 / sqrt_s)
    cos_max = np.sqrt(1.0 - (papers.PT_MIN / momentum) ** 2)
    charge = np.ones_like(sqrt_s)
    luminosity = process.luminosities(sqrt_s, y_max * along_y, charge).sum(axis=1)
    factor = wz.FB_GEV2 * process.branching_ratio / 12.0 / (2.0 * sqrt_s**2) * momentum / (8.0 * np.pi * sqrt_s)
    # d sqrt(s) = sqrt(s)^3/2 d(1/s), and 2/sqrt(s) of the measure of the densities.
    factor = factor * 2.0 / sqrt_s * sqrt_s**3 / 2.0 * half * y_max * cos_max * weight
    total = np.zeros(3)
    for beam, sign in enumerate((1.0, -1.0)):
        found = amplitudes.helicity_amplitudes(sqrt_s, sign * cos_max * along_cos, charge)
        products = [(found[0] * found[k]).sum(axis=(0, 1)) for k in range(3)]
        total += [(factor * luminosity[beam] * product).sum() for product in products]
    return total[0], 2.0 * total[1:] / total[0]


def test_means_by_quadrature(table, rows):
    sigma, mean = integrated(wz.WZ(generations=1))
    # 0.274 and 5.05; the sample agrees with both within its errors.
    np.testing.assert_allclose(mean, [0.2738, 5.048], rtol=1e-3)
    # The cross-section of the sample has an error of 1e-3.
    assert table.sigma_fb == pytest.approx(sigma, rel=4e-3)
    for name, expected in zip(wz.PARAM_NAMES, mean, strict=True):
        row = rows[f"{name}: <t>"]
        assert expected == pytest.approx(row.reference, rel=TOLERANCE)
        assert abs(row.ours - expected) < 4 * row.error


@pytest.mark.parametrize("name", wz.PARAM_NAMES)
def test_spread_of_the_scores(rows, name):
    row = rows[f"{name}: rms of t"]
    assert abs(row.ours - row.reference) < TOLERANCE * row.reference + 3 * row.error


def test_interference_of_cw_cancels_without_the_azimuths(rows):
    ratios = [row for quantity, row in rows.items() if quantity.startswith("cW: <t>/rms")]
    assert len(ratios) == len(papers.SLICES)
    for row in ratios:
        assert abs(row.ours) < papers.CANCELLED + 3 * row.error, row


@pytest.mark.parametrize("boson", ["W", "Z"])
def test_interference_of_cw_is_in_the_azimuths(rows, boson):
    row = rows[f"cW: 2 <t cos(2 phi_{boson})>"]
    # The reference is known to its two digits.
    assert abs(row.ours - row.reference) < 0.05 + 3 * row.error
