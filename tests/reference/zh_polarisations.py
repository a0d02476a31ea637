"""ZH with a stable Z, summed over polarisation vectors: the slow twin of `bit.processes.zh_undecayed`."""

import numpy as np

from bit.processes.currents import current, dot
from bit.processes.hvv import Electroweak, weights_from_amplitudes


def amplitudes(sqrt_s, cos_theta, isospin, charge, *, photon, electroweak=None):
    """M_0 and its derivative with respect to fB for quark chiralities and polarisations, shape (6, 2, n)."""
    ew = electroweak or Electroweak()
    s, zero, one = sqrt_s**2, np.zeros_like(sqrt_s), np.ones_like(sqrt_s)
    energy = (s + ew.m_z**2 - ew.m_h**2) / (2 * sqrt_s)
    k = np.sqrt(energy**2 - ew.m_z**2)
    sin_theta = np.sqrt(1 - cos_theta**2)
    quark = np.stack([sqrt_s / 2, zero, zero, sqrt_s / 2], axis=-1)
    antiquark = quark * [1, 1, 1, -1]
    p = np.stack([energy, k * sin_theta, zero, k * cos_theta], axis=-1)
    k_h = quark + antiquark - p
    polarisations = (
        np.stack([zero, cos_theta, zero, -sin_theta], axis=-1),
        np.stack([zero, zero, one, zero], axis=-1),
        np.stack([k, energy * sin_theta, zero, energy * cos_theta], axis=-1) / ew.m_z,
    )
    result = []
    for chirality in (-1, 1):
        coupling = ew.z_charge(isospin if chirality < 0 else 0.0, charge)
        j = current(antiquark, quark, chirality)
        for polarisation in polarisations:
            contact, flow = dot(j, polarisation), dot(p, j) * dot(k_h, polarisation)
            operator = ew.sin * coupling * (ew.m_h**2 * contact + 2 * flow) / (s - ew.m_z**2)
            if photon:
                exchange = (dot(k_h, quark + antiquark) * contact + flow) / s
                operator = operator - ew.cos * ew.e * charge * exchange
            standard = 2 * ew.m_z**2 / ew.vev * coupling * contact / (s - ew.m_z**2)
            result.append((standard, operator * ew.g_prime * ew.g_z * ew.vev / 4e6))
    return np.array(result)


def squared_amplitudes(sqrt_s, cos_theta, isospin, charge, *, photon, electroweak=None):
    """Weight polynomial, shape (n, 3), with the normalisation of the closed form."""
    found = amplitudes(sqrt_s, cos_theta, isospin, charge, photon=photon, electroweak=electroweak)
    return weights_from_amplitudes(found)
