"""Vector-boson fusion from spinors and currents: the slow twin of `bit.processes.fusion`."""

from itertools import product

import numpy as np

from bit.processes.currents import current
from bit.processes.hvv import (
    Electroweak,
    NeutralLine,
    charged_tensor_amplitude,
    neutral_tensor_amplitude,
    propagator,
    sm_amplitude,
    structures,
    tensor_couplings,
)


def four_vector(pt, y, phi, mass=0.0):
    m_t = np.hypot(pt, mass)
    return np.stack([m_t * np.cosh(y), pt * np.cos(phi), pt * np.sin(phi), m_t * np.sinh(y)], axis=-1)


def momenta(pt1, y1, pt2, y2, dphi, y_h, electroweak):
    """Incoming partons along +z and -z, first jet, second jet, Higgs boson; arrays of shape (n, 4)."""
    jet1, jet2 = four_vector(pt1, y1, dphi), four_vector(pt2, y2, np.zeros_like(dphi))
    px, py = -(jet1 + jet2)[..., 1], -(jet1 + jet2)[..., 2]
    higgs = four_vector(np.hypot(px, py), y_h, np.arctan2(py, px), electroweak.m_h)
    total = jet1 + jet2 + higgs
    zero = np.zeros_like(dphi)
    ahead, behind = (total[..., 0] + total[..., 3]) / 2, (total[..., 0] - total[..., 3]) / 2
    return (
        np.stack([ahead, zero, zero, ahead], axis=-1),
        np.stack([behind, zero, zero, -behind], axis=-1),
        jet1,
        jet2,
        higgs,
    )


def amplitudes(k1, k2, jet1, jet2, *, signs=(1, 1), electroweak=None):
    """M_0, M_cHW, M_cHWtil, shape (3, n), for partons (sign 1) or antipartons (-1) along +z and -z."""
    ew = electroweak or Electroweak()
    lines = zip((k1, k2), (jet1, jet2), signs, strict=True)
    # An incoming antiquark takes the place of an outgoing quark in the current.
    first, second = (current(p, k, -1) if sign > 0 else current(k, p, -1) for k, p, sign in lines)
    q1, q2 = k1 - jet1, k2 - jet2
    factor = ew.g**2 / 2
    for q in (q1, q2):
        factor = factor * propagator(q[..., 0] ** 2 - (q[..., 1:] ** 2).sum(axis=-1), ew.m_w)
    found, unit = structures(q1, first, q2, second), tensor_couplings(1.0, 0.0, 0.0, ew)
    return np.stack(
        [
            sm_amplitude(found.sm, ew.m_w, factor, ew),
            charged_tensor_amplitude(found.even, unit, factor, ew),
            charged_tensor_amplitude(found.odd, unit, factor, ew),
        ]
    )


CHARGES = {2: (0.5, 2.0 / 3.0), 1: (-0.5, -1.0 / 3.0)}
"""Isospin of the left-handed quark and electric charge."""


def neutral_amplitudes(k1, k2, jet1, jet2, partons, *, electroweak=None, gamma_z=0.0, helicities=None):
    """M_0, M_cHW, M_cHB, M_cHWB and their CP-odd partners, shape (n_helicities, 7, n), for partons +-1, +-2.

    Helicities are those of the two incoming partons; all four pairs of them by default.
    """
    ew = electroweak or Electroweak()
    q1, q2 = k1 - jet1, k2 - jet2
    result = []
    for pair in helicities or product((-1, 1), repeat=2):
        currents, lines = [], []
        for k, p, parton, helicity in zip((k1, k2), (jet1, jet2), partons, pair, strict=True):
            # The antiparticle of helicity h belongs to the field of chirality -h.
            chirality = helicity if parton > 0 else -helicity
            currents.append(current(p, k, chirality) if parton > 0 else current(k, p, chirality))
            t3, charge = CHARGES[abs(parton)]
            # q^2 = -2 k.p
            q2_line = -2 * (k[..., 0] * p[..., 0] - (k[..., 1:] * p[..., 1:]).sum(axis=-1))
            z = ew.z_charge(t3 if chirality < 0 else 0.0, charge) * propagator(q2_line, ew.m_z, gamma_z)
            lines.append(NeutralLine(z=z, photon=ew.e * charge / q2_line))
        found = structures(q1, currents[0], q2, currents[1])
        tensors = [
            neutral_tensor_amplitude(structure, tensor_couplings(*unit, ew), *lines, ew)
            for structure in (found.even, found.odd)
            for unit in np.eye(3).tolist()
        ]
        result.append(np.stack([sm_amplitude(found.sm, ew.m_z, lines[0].z * lines[1].z, ew), *tensors]))
    return np.stack(result)
