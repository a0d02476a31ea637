"""Moments of the scores of pp -> W+ Z -> l nu l l against an independent leading-order calculation."""

import numpy as np
import pytest
from scipy.special import roots_legendre

from bit.processes import wz

pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")

# pT > 300 GeV, sqrt(s) < 4 TeV, mu_F = sqrt(s), u dbar: <t> and rms t = sqrt(<t^2>) of cW and cHq3, known to 10 %.
MEAN, RMS, TOLERANCE = np.array([0.29, 5.1]), np.array([3.8, 9.0]), 0.10
PT_MIN, M_MAX = 300.0, 4000.0


@pytest.fixture(scope="module")
def table():
    return wz.simulate(
        20_000,
        seed=31,
        charge="plus",
        neutrino="known",
        generations=1,
        cuts="pt>300, sqrt_s<4000",
        show_progress=False,
    ).table


def moments(table, column):
    """Nominal shares and a column of the scores at the Standard Model."""
    return table.weights[:, 0] / table.sigma_fb, table.joint_ratio()[:, column]


def integrated(process):
    """Cross-section of W+ in fb and mean scores by quadrature, with the decays integrated in closed form."""
    amplitudes, m_z = process.amplitudes, process.electroweak.m_z
    s_min = (np.hypot(amplitudes.m_w, PT_MIN) + np.hypot(m_z, PT_MIN)) ** 2
    nodes = [roots_legendre(n) for n in (40, 30, 40)]
    grid = np.meshgrid(*(node for node, _ in nodes), indexing="ij")
    along_s, along_y, along_cos = (axis.ravel() for axis in grid)
    weight = np.einsum("i,j,k->ijk", *(weights for _, weights in nodes)).ravel()
    half = 0.5 * (1.0 / s_min - 1.0 / M_MAX**2)
    sqrt_s = (0.5 * (1.0 / s_min + 1.0 / M_MAX**2) + half * along_s) ** -0.5
    momentum, y_max = amplitudes.momentum(sqrt_s), np.log(13000.0 / sqrt_s)
    cos_max = np.sqrt(1.0 - (PT_MIN / momentum) ** 2)
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


def test_means_by_quadrature(table):
    sigma, mean = integrated(wz.WZ(generations=1))
    assert (np.abs(mean / MEAN - 1.0) < TOLERANCE).all()
    # 0.274 and 5.05; the sample agrees with both within its errors.
    np.testing.assert_allclose(mean, [0.2738, 5.048], rtol=1e-3)
    # The cross-section of the sample has an error of 1e-3.
    assert table.sigma_fb == pytest.approx(sigma, rel=4e-3)
    for k in (0, 1):
        weight, score = moments(table, k)
        error = np.sqrt(weight**2 @ (score - mean[k]) ** 2)
        assert abs(weight @ score - mean[k]) < 4 * error


def test_spread_of_the_scores(table):
    for k in (0, 1):
        weight, score = moments(table, k)
        mean = weight @ score**2
        error = np.sqrt(weight**2 @ (score**2 - mean) ** 2)
        assert abs(np.sqrt(mean) - RMS[k]) < TOLERANCE * RMS[k] + 3 * error / (2 * RMS[k])


def test_interference_of_cw_cancels_without_the_azimuths(table):
    weight, score = moments(table, 0)
    energy = table.column("sqrt_s")
    for low, high in ((1000, 1300), (1300, 1800), (1800, 4000)):
        inside = (energy > low) & (energy < high)
        share = weight[inside] / weight[inside].sum()
        mean, rms = share @ score[inside], np.sqrt(share @ score[inside] ** 2)
        assert abs(mean) < 0.07 * rms + 3 * np.sqrt(share @ share) * rms


@pytest.mark.parametrize("azimuth", ["cos_2phi_w", "cos_2phi_z"])
def test_interference_of_cw_is_in_the_azimuths(table, azimuth):
    weight, score = moments(table, 0)
    values = 2.0 * score * table.column(azimuth)
    mean = weight @ values
    # 1.5 for each, known to its two digits.
    assert abs(mean - 1.5) < 0.05 + 3 * np.sqrt(weight**2 @ (values - mean) ** 2)
