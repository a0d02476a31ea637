"""WZ -> l nu l l from Feynman diagrams with Dirac matrices: the slow twin of `bit.processes.wz`.

Two diagrams with the exchange of a quark and one with the three-boson vertex, written with 4x4 matrices and with the
vertices as tensors, in the unitary gauge. The decays enter as spinor lines, or as the polarisation vectors of stable
bosons.
"""

from itertools import permutations

import numpy as np

METRIC = np.diag([1.0, -1.0, -1.0, -1.0])
_ZERO, _ONE = np.zeros((2, 2)), np.eye(2)
_SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
GAMMA = np.array(
    [np.block([[_ZERO, _ONE], [_ONE, _ZERO]])] + [np.block([[_ZERO, sigma], [-sigma, _ZERO]]) for sigma in _SIGMA]
)
"""Dirac matrices gamma^mu of the chiral representation."""
GAMMA5 = np.diag([-1.0, -1.0, 1.0, 1.0])


def slash(p):
    return np.einsum("m,mij->ij", METRIC @ p, GAMMA)


def dirac_spinor(p, chirality):
    """Solution of p-slash u = 0 of one chirality with u u^dagger = p-slash gamma^0 P, up to a phase."""
    projected = 0.5 * (np.eye(4) + chirality * GAMMA5) @ slash(p) @ GAMMA[0]
    values, vectors = np.linalg.eigh(projected)
    return np.sqrt(values[-1]) * vectors[:, -1]


def line(a, b, chirality):
    """Current ubar(a) gamma^mu u(b) of one chirality."""
    bar = dirac_spinor(a, chirality).conj() @ GAMMA[0]
    return np.array([bar @ matrix @ dirac_spinor(b, chirality) for matrix in GAMMA])


def gauge_vertex(p1, p2, p3):
    """Three-boson vertex (all momenta outgoing, indices up) of the Yang-Mills term: V^{abc}."""
    return (
        np.einsum("ab,c->abc", METRIC, p1 - p2)
        + np.einsum("bc,a->abc", METRIC, p2 - p3)
        + np.einsum("ca,b->abc", METRIC, p3 - p1)
    )


def field_tensors(p):
    """Field strength p^m e^n - e^m p^n as a tensor: shape (m, n, index of e), the last index down."""
    unit = np.eye(4)
    return np.einsum("m,nk->mnk", p, unit) - np.einsum("mk,n->mnk", unit, p)


def triple_field_strength(p1, p2, p3):
    """Vertex of eps_IJK W^I_m^n W^J_n^r W^K_r^m: signed sum over the assignments of the bosons, indices down."""
    # The second index of each field strength is lowered for the product of matrices.
    fields = [np.einsum("mnk,np->mpk", field_tensors(p), METRIC) for p in (p1, p2, p3)]
    total = np.zeros((4, 4, 4))
    for order in permutations(range(3)):
        sign = np.linalg.det(np.eye(3)[list(order)])
        first, second, third = ("abc"[k] for k in order)
        chain = f"mp{first},pr{second},rm{third}->abc"
        total += sign * np.einsum(chain, *(fields[k] for k in order), optimize=True)
    return total


def amplitudes(k1, k2, p_w, p_z, e_w, e_z, charge, ew):
    """M_0 and its derivatives in cW and cHq3 for a quark k1, an antiquark k2 and outgoing vectors of W and Z."""
    m_w, g, g_z = ew.m_z * ew.cos, ew.g, ew.g_z
    up, down = 0.5 - 2 / 3 * ew.sin2, -0.5 + 1 / 3 * ew.sin2
    shift = (2 * m_w / g) ** 2 / 1e6
    first, last, shift_first, shift_last = (up, down, 0.5, -0.5) if charge > 0 else (down, up, -0.5, 0.5)
    q = k1 + k2
    bra, ket = dirac_spinor(k2, -1).conj() @ GAMMA[0], dirac_spinor(k1, -1)

    def exchange(one, momentum, other):
        return bra @ slash(one) @ slash(momentum) @ slash(other) @ ket / (momentum @ METRIC @ momentum)

    # The first boson is emitted next to the incoming quark.
    z_first, w_first = exchange(e_w, k1 - p_z, e_z), exchange(e_z, k1 - p_w, e_w)
    current = np.array([bra @ matrix @ ket for matrix in GAMMA])
    s = q @ METRIC @ q
    propagator = (METRIC - np.outer(q, q) / m_w**2) / (s - m_w**2)
    inner = propagator @ METRIC @ current
    # All bosons outgoing: the one that the quarks make has momentum -q.
    vertex = np.einsum("abc,a,b,c->", gauge_vertex(-q, p_w, p_z), *(METRIC @ vector for vector in (inner, e_w, e_z)))
    # With W^+- = (W^1 -+ i W^2)/sqrt 2 the sum over eps_IJK is -i times the signed sum over the places of W^+, W^- and
    # W^3, and three derivatives of outgoing waves give i^3.
    triple = np.einsum("abc,a,b,c->", triple_field_strength(-q, p_w, p_z), inner, e_w, e_z)
    sign = 1.0 if charge > 0 else -1.0
    quarks = -g * g_z / np.sqrt(2)
    three = sign * g**2 * ew.cos / np.sqrt(2)
    standard = quarks * (first * z_first + last * w_first) + three * vertex
    c_w = -sign * ew.cos * g / np.sqrt(2) / 1e6 * triple
    shifted = quarks * ((first + shift_first) * z_first + (last + shift_last) * w_first) + three * vertex
    return np.array([standard, c_w, shift * shifted])
