"""Amplitudes of neutral fusion in closed form against spinors, and records of vector-boson fusion."""

from itertools import product

import numpy as np
import pytest
from reference import vbf_spinors

from bit.basis import PolynomialBasis
from bit.processes import vbf
from bit.processes.currents import current
from bit.processes.fusion import Kinematics, charged_weights, neutral_charges, neutral_weights
from bit.processes.hvv import Electroweak, structures, weights_from_amplitudes

EW = Electroweak()
BASIS = PolynomialBasis(vbf.NEUTRAL_PARAM_NAMES)
# Rows of the charges: up and down quarks, up and down antiquarks.
ROWS = {2: 0, 1: 1, -2: 2, -1: 3}
PAIRS = [(0, b) for b in range(7)] + [(a, b) for a in range(1, 7) for b in range(a, 7)]


def random_point(rng, n):
    pt = 10.0 ** rng.uniform(0.0, 2.7, (2, n))
    y = rng.uniform(-3.0, 3.0, (2, n))
    return pt[0], y[0], pt[1], y[1], rng.uniform(-np.pi, np.pi, n), rng.uniform(-3.0, 3.0, n)


def largest_values(terms):
    """Values that terms of shape (28, n) could have without cancellation, sqrt(w_aa w_bb)."""
    size = {a: np.sqrt(terms[row] / (2 if a else 1)) for row, (a, b) in enumerate(PAIRS) if a == b}
    return np.stack([size[a] * size[b] for a, b in PAIRS])


def lines(partons, n, electroweak, helicities=((1, 1), (1, 1))):
    charges = neutral_charges(electroweak)
    for parton, helicity in zip(partons, helicities, strict=True):
        yield np.multiply.outer(charges[..., ROWS[parton]] * np.array(helicity)[:, np.newaxis], np.ones(n))


@pytest.mark.parametrize("gamma_z", [0.0, 2.4952, 60.0])
def test_neutral_fusion_agrees_with_spinors(rng, gamma_z):
    point = random_point(rng, 1000)
    kinematics = Kinematics.of(*point, EW.m_h)
    momenta = vbf_spinors.momenta(*point, EW)[:4]
    for partons in product(ROWS, repeat=2):
        fast = neutral_weights(kinematics, *lines(partons, 1000, EW), EW, gamma_z=gamma_z)
        slow = weights_from_amplitudes(vbf_spinors.neutral_amplitudes(*momenta, partons, gamma_z=gamma_z)).T
        difference = np.abs(fast - slow) / largest_values(slow)
        # Momenta that differ by up to e^6 cancel in the spinors.
        assert difference.max() < 1e-10
        assert np.median(difference) < 1e-14


@pytest.mark.parametrize("partons", [(2, 1), (1, -2), (-1, 2), (-2, -2)])
def test_each_helicity(rng, partons):
    point = random_point(rng, 200)
    kinematics, momenta = Kinematics.of(*point, EW.m_h), vbf_spinors.momenta(*point, EW)[:4]
    # cHW hardly acts on right-handed quarks far above mZ: Z and photon cancel. The scale is that of all helicities.
    size = largest_values(weights_from_amplitudes(vbf_spinors.neutral_amplitudes(*momenta, partons, gamma_z=2.5)).T)
    for pair in product((-1, 1), repeat=2):
        chosen = [(helicity == -1, helicity == 1) for helicity in pair]
        fast = neutral_weights(kinematics, *lines(partons, 200, EW, chosen), EW, gamma_z=2.5)
        slow = vbf_spinors.neutral_amplitudes(*momenta, partons, gamma_z=2.5, helicities=[pair])
        assert (np.abs(fast - weights_from_amplitudes(slow).T) / size).max() < 1e-10


def test_charged_fusion_is_the_limit_of_neutral_fusion(rng):
    # With the charges of W bosons and the mass of the Z made that of the W, only left-handed lines of one kind, and
    # cHW with the coupling C_ZZ = 1 - s^2: the two closed forms have the same structure.
    n = 500
    point = Kinematics.of(*random_point(rng, n), EW.m_h)
    alike = Electroweak(m_z=EW.m_w, sin2=1e-12)
    line = np.zeros((2, 3, n))
    line[0, 0] = alike.g**2 / 2
    neutral, charged = neutral_weights(point, line, line, alike), charged_weights(point, alike)
    rows = [BASIS.terms.index(term) for term in PolynomialBasis(vbf.PARAM_NAMES).terms]
    size = largest_values(np.where(neutral == 0.0, 1.0, neutral))[rows]
    assert (np.abs(neutral[rows] - charged) / size).max() < 1e-11


def test_structures_of_quark_and_antiquark(rng):
    # The complex amplitudes of both kinds, not only their squares.
    point = random_point(rng, 500)
    kinematics = Kinematics.of(*point, EW.m_h)
    k1, k2, jet1, jet2, _ = vbf_spinors.momenta(*point, EW)
    first = current(jet1, k1, -1)
    for antiquark, second in ((False, current(jet2, k2, -1)), (True, current(k2, jet2, -1))):
        found = structures(k1 - jet1, first, k2 - jet2, second)
        square = np.abs(found.sm) ** 2
        fast = charged_weights(kinematics, EW, antiquark=antiquark)
        scale = -2.0 * EW.vev2_per_tev2 / EW.m_w**2
        for row, structure in ((1, found.even), (2, found.odd)):
            expected = 2.0 * scale * (found.sm.conj() * structure).real / square
            size = np.abs(scale * structure / found.sm)
            assert (np.abs(fast[row] / fast[0] - expected) / size).max() < 1e-9


def test_photons_need_charges_of_both_lines(rng):
    # Without Z charges only gamma gamma remains, and it needs C_AA, which is s^2 for cHW and c^2 for cHB.
    n = 100
    point = Kinematics.of(*random_point(rng, n), EW.m_h)
    photon = np.zeros((2, 3, n))
    photon[:, 2] = 1.0
    terms = dict(zip(BASIS.terms, neutral_weights(point, photon, photon, EW), strict=True))
    assert (terms[()] == 0.0).all()
    np.testing.assert_allclose(terms["cHB", "cHB"] * EW.sin2**2, terms["cHW", "cHW"] * (1 - EW.sin2) ** 2, rtol=1e-12)
    np.testing.assert_allclose(terms["cHW", "cHB"] ** 2, terms["cHW", "cHW"] * terms["cHB", "cHB"], rtol=1e-12)
