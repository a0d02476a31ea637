import numpy as np
import pytest
from reference import h4l_spinors

from bit.processes.currents import current, dot
from bit.processes.hvv import (
    Electroweak,
    charged_tensor_amplitude,
    propagator,
    sm_amplitude,
    structures,
    tensor_couplings,
    weights_from_amplitudes,
)

EW = Electroweak()
# Momenta are given with ten decimals in GeV, so that ratios are good to about 1e-9.
PRINTED = 2e-9


def four_leptons(leptons, columns):
    """Weights of h -> 2e2mu in the columns (cHW, cHB, cHWB) or (cHWtil, cHBtil, cHWBtil) of the amplitudes."""
    amplitudes = h4l_spinors.amplitudes(leptons, one_flavour=False)
    return weights_from_amplitudes(amplitudes[:, [0, *columns]])


EVEN, ODD = (1, 2, 3), (4, 5, 6)


def test_four_leptons_cp_odd():
    one, other = four_leptons(h4l_spinors.POINTS, ODD)
    assert one[0] == pytest.approx(2.3883119609e-05, rel=PRINTED)
    linear = [0.01608642965, -0.033440026269, 0.010581247658]
    np.testing.assert_allclose(one[1:4] / one[0], linear, rtol=PRINTED)
    np.testing.assert_allclose(one[[4, 7, 9]] / one[0], [0.0277005719, 0.0290954004, 0.0115245902], rtol=5e-9)
    assert other[0] == pytest.approx(2.9560202586e-07, rel=PRINTED)
    linear = [0.356226664012, 1.379956586835, -0.715359397779]
    np.testing.assert_allclose(other[1:4] / other[0], linear, rtol=PRINTED)


def test_four_leptons_cp_even():
    weights, _ = four_leptons(h4l_spinors.POINTS, EVEN)
    np.testing.assert_allclose(
        weights[1:4] / weights[0], [-0.068394791201, 0.093009951188, -0.044334723977], rtol=PRINTED
    )


def test_four_leptons_cp_operation():
    # CP reverses all momenta and exchanges l- and l+ in both pairs: odd terms change sign exactly.
    image = h4l_spinors.POINTS[[1, 0, 3, 2]] * [1, -1, -1, -1]
    weights, mirrored = (four_leptons(leptons, ODD) for leptons in (h4l_spinors.POINTS, image))
    sign = np.array([1, -1, -1, -1, 1, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(mirrored, sign * weights, rtol=1e-9)


def test_weak_boson_fusion():
    pta, ptb, phi, ya, yb, yh = 80.0, 50.0, 0.9, 2.1, -1.7, 0.3
    pa = pta * np.array([np.cosh(ya), np.cos(phi), np.sin(phi), np.sinh(ya)])
    pb = ptb * np.array([np.cosh(yb), 1.0, 0.0, np.sinh(yb)])
    px, py = -(pa + pb)[1:3]
    mt = np.sqrt(EW.m_h**2 + px**2 + py**2)
    total = pa + pb + np.array([mt * np.cosh(yh), px, py, mt * np.sinh(yh)])
    k1 = (total[0] + total[3]) / 2 * np.array([1.0, 0.0, 0.0, 1.0])
    k2 = (total[0] - total[3]) / 2 * np.array([1.0, 0.0, 0.0, -1.0])
    np.testing.assert_allclose([k1[0], k2[0]], [447.1817815069, 205.3914731570], rtol=1e-12)
    q1, q2 = k1 - pa, k2 - pb
    found = structures(q1, current(pa, k1, -1), q2, current(pb, k2, -1))
    factor = EW.g**2 / 2 * propagator(dot(q1, q1), EW.m_w) * propagator(dot(q2, q2), EW.m_w)
    # f_WW~ of the reference is -cHWtil.
    amplitudes = [
        sm_amplitude(found.sm, EW.m_w, factor, EW),
        charged_tensor_amplitude(found.odd, tensor_couplings(-1.0, 0.0, 0.0, EW), factor, EW),
    ]
    weights = weights_from_amplitudes(np.array([amplitudes])) / 4
    assert weights[0] == pytest.approx(2.8622377058e-04, rel=1e-9)
    np.testing.assert_allclose(weights[1:] / weights[0], [-0.183015628514, 0.017999306325], rtol=1e-9)


def test_couplings_in_the_unbroken_phase():
    # With massless bosons the exchange of Z and photon is that of W3 and B: all relative signs at once.
    coefficients = (0.7, -1.3, 0.4)
    mixed = tensor_couplings(*coefficients, EW)
    for t3, charge in ((0.5, 2 / 3), (-0.5, -1 / 3), (-0.5, -1.0), (0.0, -1.0)):
        z, a = EW.z_charge(t3, charge), EW.e * charge
        broken = mixed.zz * z**2 + mixed.az * z * a + mixed.aa * a**2
        isospin, hypercharge = EW.g * t3, EW.g_prime * (charge - t3)
        c_w, c_b, c_wb = coefficients
        unbroken = isospin**2 * c_w + hypercharge**2 * c_b - isospin * hypercharge * c_wb
        assert broken == pytest.approx(unbroken, rel=1e-13)


def test_propagator():
    assert propagator(np.array(100.0), 5.0) == pytest.approx(1 / 75.0, rel=1e-15)
    assert propagator(np.array(25.0), 5.0, 2.0) == pytest.approx(1 / 10j, rel=1e-15)


def test_weights_of_amplitudes(rng):
    amplitudes = rng.standard_normal((3, 3, 20)) + 1j * rng.standard_normal((3, 3, 20))
    weights = weights_from_amplitudes(amplitudes)
    assert weights.shape == (20, 6)
    theta = rng.standard_normal(2)
    full = amplitudes[:, 0] + theta[0] * amplitudes[:, 1] + theta[1] * amplitudes[:, 2]
    a, b = theta
    monomials = [1.0, a, b, a * a / 2, a * b, b * b / 2]
    np.testing.assert_allclose(weights @ monomials, (np.abs(full) ** 2).sum(axis=0), rtol=1e-12)
