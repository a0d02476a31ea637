"""All tree amplitudes of q q' -> q'' q''' H: t- and u-channel fusion, s-channel H V, and their interference.

In the input scheme {mW, mZ, G_F}, with one insertion of cHW, cHB, cHWB, cHbox or cHDD, and the shifts of couplings that
the last three bring.
"""

import numpy as np

from bit.processes.currents import current, dot
from bit.processes.hvv import (
    NeutralLine,
    charged_tensor_amplitude,
    neutral_tensor_amplitude,
    propagator,
    sm_amplitude,
    structures,
    tensor_couplings,
)

PARAM_NAMES = ("cHW", "cHB", "cHWB", "cHbox", "cHDD")
COLOURS = 3
CHARGES = {0: (0.5, 2.0 / 3.0), 1: (-0.5, -1.0 / 3.0)}
"""Isospin of left-handed quarks and electric charge, for even and odd identities."""


def weights(pdg, spin, momenta, electroweak):
    """|M|^2 and its derivatives: M_p* M_q summed over colours, for p and q in (SM, *PARAM_NAMES), shape (6, 6, n).

    Two incoming and two outgoing quarks, identities and helicities of shape (4,), momenta of shape (4, n, 4).
    """
    incoming = np.array([True, True, False, False])
    bras = np.flatnonzero(incoming == (pdg < 0))
    kets = np.flatnonzero(incoming == (pdg > 0))
    chirality = np.where(pdg > 0, spin, -spin)
    flow = momenta * np.where(incoming, 1.0, -1.0)[:, np.newaxis, np.newaxis]
    pairings = []
    for sign, order in ((1.0, kets), (-1.0, kets[::-1])):
        lines = [(a, b) for a, b in zip(bras, order, strict=True)]
        pairings.append(sign * _amplitudes(lines, pdg, chirality, momenta, flow, electroweak))
    one, other = pairings
    mixed = COLOURS * (_products(one, other) + _products(other, one))
    return COLOURS**2 * (_products(one, one) + _products(other, other)) + mixed


def _products(one, other):
    return (one[:, np.newaxis].conj() * other).real


def _amplitudes(lines, pdg, chirality, momenta, flow, ew):
    """M of the Standard Model and its derivatives, shape (6, n); 0 where quarks or helicities do not fit."""
    result = np.zeros((1 + len(PARAM_NAMES), momenta.shape[1]), dtype=complex)
    if any(chirality[a] != chirality[b] for a, b in lines):
        return result
    kinds = {_kind(pdg[a], pdg[b]) for a, b in lines}
    if len(kinds) > 1 or None in kinds:
        return result
    currents = [current(momenta[a], momenta[b], int(chirality[a])) for a, b in lines]
    q1, q2 = (flow[a] + flow[b] for a, b in lines)
    found = structures(q1, currents[0], q2, currents[1])
    v2, tev = ew.vev2_per_tev2, tensor_couplings
    if kinds == {"W"}:
        if any(chirality[a] > 0 for a, _ in lines):
            return result
        factor = ew.g**2 / 2 * propagator(dot(q1, q1), ew.m_w, ew.gamma_w) * propagator(dot(q2, q2), ew.m_w, ew.gamma_w)
        result[0] = sm_amplitude(found.sm, ew.m_w, factor, ew)
        result[1] = charged_tensor_amplitude(found.even, tev(1.0, 0.0, 0.0, ew), factor, ew)
        result[4:] = np.array([[v2], [-v2 / 4]]) * result[0]
        return result
    exchanged, shifts = [], []
    for (a, _), q in zip(lines, (q1, q2), strict=True):
        t3, charge = CHARGES[abs(pdg[a]) % 2]
        z, q2_line = ew.z_charge(t3 if chirality[a] < 0 else 0.0, charge), dot(q, q)
        exchanged.append(NeutralLine(z * propagator(q2_line, ew.m_z, ew.gamma_z), ew.e * charge / q2_line))
        # Relative shift of g_Z (T3 - Q s^2) by cHWB and by cHDD: s^2 falls by s c v^2 cHWB and c^2 v^2 cHDD/2, and
        # g_Z by the fraction v^2 cHDD/4.
        lever = ew.g_z * charge / z
        shifts.append([lever * ew.sin * ew.cos * v2, lever * ew.cos**2 * v2 / 2 - v2 / 4])
    by_wb, by_dd = np.sum(shifts, axis=0)
    result[0] = sm_amplitude(found.sm, ew.m_z, exchanged[0].z * exchanged[1].z, ew)
    for row, unit in enumerate(np.eye(3).tolist(), start=1):
        result[row] = neutral_tensor_amplitude(found.even, tev(*unit, ew), *exchanged, ew)
    result[3] += by_wb * result[0]
    result[4] = v2 * result[0]
    result[5] = (v2 / 4 + by_dd) * result[0]
    return result


def _kind(one, other):
    """Boson that a line of two quarks emits; quarks do not mix."""
    one, other = abs(one), abs(other)
    if one == other:
        return "Z"
    return "W" if (one + 1) // 2 == (other + 1) // 2 else None
