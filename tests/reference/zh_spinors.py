"""ZH, Z -> l l from spinors and currents: the slow twin of `bit.processes.zh.ZH.squared_amplitudes`."""

import numpy as np

from bit.processes.currents import current
from bit.processes.hvv import (
    Electroweak,
    NeutralLine,
    neutral_tensor_amplitude,
    sm_amplitude,
    structures,
    tensor_couplings,
    weights_from_amplitudes,
)


def momenta(sqrt_s, cos_theta, cos_theta_l, phi, electroweak):
    """Quark along +z, antiquark, Z in the x-z plane, l-, l+; arrays of shape (n, 4)."""
    s = sqrt_s**2
    m_z, m_h = electroweak.m_z, electroweak.m_h
    zero = np.zeros_like(sqrt_s)
    quark = np.stack([sqrt_s / 2, zero, zero, sqrt_s / 2], axis=-1)
    antiquark = quark * [1, 1, 1, -1]
    energy = (s + m_z**2 - m_h**2) / (2 * sqrt_s)
    k = np.sqrt(energy**2 - m_z**2)
    sin_theta, sin_theta_l = np.sqrt(1 - cos_theta**2), np.sqrt(1 - cos_theta_l**2)
    e_z = np.stack([sin_theta, zero, cos_theta], axis=-1)
    e_x = np.stack([cos_theta, zero, -sin_theta], axis=-1)
    e_y = np.stack([zero, zero + 1, zero], axis=-1)
    z_boson = np.concatenate([energy[:, None], k[:, None] * e_z], axis=-1)
    across = sin_theta_l[:, None] * (np.cos(phi)[:, None] * e_x + np.sin(phi)[:, None] * e_y)
    leptons = []
    for sign in (1, -1):
        along = (energy * sign * cos_theta_l + k) / 2
        lepton_energy = (energy + k * sign * cos_theta_l) / 2
        vector = sign * m_z / 2 * across + along[:, None] * e_z
        leptons.append(np.concatenate([lepton_energy[:, None], vector], axis=-1))
    return quark, antiquark, z_boson, *leptons


def squared_amplitudes(sqrt_s, cos_theta, cos_theta_l, phi, *, isospin, charge, electroweak=None, vertex_shift=False):
    """Weight polynomial, shape (n, 10), with the normalisation of the fast form."""
    ew = electroweak or Electroweak()
    quark, antiquark, z_boson, minus, plus = momenta(sqrt_s, cos_theta, cos_theta_l, phi, ew)
    s = sqrt_s**2
    pole = 1 / (s - ew.m_z**2)
    unit = tensor_couplings(1.0, 0.0, 0.0, ew)
    leptons = {-1: ew.z_charge(-0.5, -1.0), 1: ew.z_charge(0.0, -1.0)}
    amplitudes = []
    for chirality in (-1, 1):
        t3 = isospin if chirality < 0 else 0.0
        line = NeutralLine(z=ew.z_charge(t3, charge) * pole, photon=ew.e * charge / s)
        for lepton_chirality, coupling in leptons.items():
            found = structures(
                quark + antiquark,
                current(antiquark, quark, chirality),
                -z_boson,
                current(minus, plus, lepton_chirality),
            )
            # The shift of the coupling of the Z, (v^2/Lambda^2) g_Z T3, times the vertex (2 mZ^2/v) h Z Z.
            shift = ew.vev**2 / 1e6 * ew.g_z * t3 * 2 * ew.m_z**2 / ew.vev * pole if vertex_shift else 0.0
            on_shell = NeutralLine(z=coupling, photon=0.0)
            amplitudes.append(
                [
                    sm_amplitude(found.sm, ew.m_z, line.z * coupling, ew),
                    neutral_tensor_amplitude(found.even, unit, line, on_shell, ew),
                    neutral_tensor_amplitude(found.odd, unit, line, on_shell, ew),
                    (2 * ew.vev / 1e6 * ew.g_z * t3 + shift) * coupling * found.sm,
                ]
            )
    norm = 3 / (8 * np.pi) / (leptons[-1] ** 2 + leptons[1] ** 2) / ew.m_z**2
    return norm * weights_from_amplitudes(np.array(amplitudes))
