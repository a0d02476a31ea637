"""pp -> ZH with a stable Z and the operator O_B of arXiv:2109.10414, Eq. 14, from the currents of the package."""

import numpy as np
import pytest

from bit.processes.currents import current, dot
from bit.processes.hvv import Electroweak

EW = Electroweak()


def amplitudes(sqrt_s, cos_theta, isospin, charge, *, photon):
    """M_0 and its derivative with respect to f_B for all quark chiralities and polarisations."""
    s = sqrt_s**2
    energy = (s + EW.m_z**2 - EW.m_h**2) / (2 * sqrt_s)
    k = np.sqrt(energy**2 - EW.m_z**2)
    sin_theta = np.sqrt(1 - cos_theta**2)
    quark, antiquark = sqrt_s / 2 * np.array([[1.0, 0, 0, 1.0], [1.0, 0, 0, -1.0]])
    p = np.array([energy, k * sin_theta, 0.0, k * cos_theta])
    k_h = quark + antiquark - p
    polarisations = np.array(
        [
            [0.0, cos_theta, 0.0, -sin_theta],
            [0.0, 0.0, 1.0, 0.0],
            [k / EW.m_z, energy / EW.m_z * sin_theta, 0.0, energy / EW.m_z * cos_theta],
        ]
    )
    result = []
    for chirality in (-1, 1):
        coupling = EW.z_charge(isospin if chirality < 0 else 0.0, charge)
        j = current(antiquark, quark, chirality)
        for polarisation in polarisations:
            contact, flow = dot(j, polarisation), dot(p, j) * dot(k_h, polarisation)
            operator = EW.sin * coupling * (EW.m_h**2 * contact + 2 * flow) / (s - EW.m_z**2)
            if photon:
                exchange = (dot(k_h, quark + antiquark) * contact + flow) / s
                operator = operator - EW.cos * EW.e * charge * exchange
            operator = operator * EW.g_prime * EW.g_z * EW.vev / 4e6
            result.append((2 * EW.m_z**2 / EW.vev * coupling * contact / (s - EW.m_z**2), operator))
    return np.array(result)


def weights(found):
    sm, operator = found.T
    return (np.abs(sm) ** 2).sum(), 2 * (sm.conj() * operator).real.sum(), 2 * (np.abs(operator) ** 2).sum()


@pytest.mark.parametrize(
    ("isospin", "charge", "photon", "linear", "quadratic"),
    [
        (0.5, 2 / 3, False, 0.064554431911, 0.002332227845),
        (0.5, 2 / 3, True, 0.017356085038, 0.008026966073),
        (-0.5, -1 / 3, True, 0.031524466022, 0.001811271663),
    ],
)
def test_reference_point(isospin, charge, photon, linear, quadratic):
    w0, w1, w11 = weights(amplitudes(600.0, 0.4, isospin, charge, photon=photon))
    assert w1 / w0 == pytest.approx(linear, rel=1e-9)
    assert w11 / w0 == pytest.approx(quadratic, rel=1e-9)


@pytest.mark.parametrize(("sqrt_s", "cos_theta"), [(250.0, 0.1), (600.0, 0.4), (3000.0, -0.95)])
def test_closed_form_of_z_exchange(sqrt_s, cos_theta):
    s = sqrt_s**2
    energy = (s + EW.m_z**2 - EW.m_h**2) / (2 * sqrt_s)
    pt2 = (energy**2 - EW.m_z**2) * (1 - cos_theta**2)
    w0, w1, _ = weights(amplitudes(sqrt_s, cos_theta, 0.5, 2 / 3, photon=False))
    factor = EW.g_prime**2 * EW.vev**2 / (4 * EW.m_z**2) / 1e6
    expected = factor * (EW.m_h**2 + (s + EW.m_z**2 - EW.m_h**2) * pt2 / (2 * EW.m_z**2 + pt2))
    assert w1 / w0 == pytest.approx(expected, rel=1e-12)
