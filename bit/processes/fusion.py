"""Kinematics and amplitudes of q q' -> q q' H by fusion of two vector bosons, in closed form.

Jet 1 comes from the parton along +z, jet 2 from the one along -z; P+ and P- are twice the energies of these partons,
y12 = y1 - y2, phi = phi1 - phi2, and q1, q2 the momenta of the bosons. For currents J1, J2 of left-handed quarks

    |J1.J2|^2 = 4 s_in s_out,   S_even = (A + r A*) J1.J2/2,   S_odd = i (A - r A*) J1.J2/2,   r = s_in/s_out,

with S_even = (q1.q2)(J1.J2) - (q1.J2)(q2.J1) and S_odd = eps(q1, J1, q2, J2) and, for two quarks or two antiquarks,

    s_in = P+ P-,   s_out = 2 pT1 pT2 (cosh y12 - cos phi),   A = pT1 pT2 (exp(-y12) - exp(-i phi)),

and, for a quark along +z and an antiquark along -z,

    s_in = P+ pT2 exp(-y2),   s_out = P- pT1 exp(y1),   A = -P- pT1 exp(y2 - i phi).

A and r A* are the self-dual and the anti-self-dual part of the product of the two field strengths. Right-handed
currents are the complex conjugates of left-handed ones. An antiquark of helicity h has the current of a quark of
helicity h, but the couplings of chirality -h.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.processes.hvv import GEV2_PER_TEV2, Electroweak, propagator, tensor_couplings


@dataclass(frozen=True, eq=False)
class Kinematics:
    """Two massless jets and a Higgs boson up to a common azimuth, arrays of shape (n,); made by `Kinematics.of`.

    Parameters
    ----------
    pt1, y1 : ndarray of float64, shape (n,)
        Transverse momentum (GeV) and rapidity of the first jet.
    pt2, y2 : ndarray of float64, shape (n,)
        The same of the second jet.
    dphi : ndarray of float64, shape (n,)
        Azimuth of the first jet minus that of the second.
    y_h, pt_h : ndarray of float64, shape (n,)
        Rapidity and transverse momentum (GeV) of the Higgs boson, which balances the jets.
    plus, minus : ndarray of float64, shape (n,)
        E + pz and E - pz in GeV of all three: twice the energies of the incoming partons along +z and -z.
    """

    pt1: FloatArray
    y1: FloatArray
    pt2: FloatArray
    y2: FloatArray
    dphi: FloatArray
    y_h: FloatArray
    pt_h: FloatArray
    plus: FloatArray
    minus: FloatArray

    @classmethod
    def of(
        cls,
        pt1: FloatArray,
        y1: FloatArray,
        pt2: FloatArray,
        y2: FloatArray,
        dphi: FloatArray,
        y_h: FloatArray,
        m_h: float,
    ) -> Kinematics:
        """Complete the final state by conservation of momentum.

        Parameters
        ----------
        pt1, y1, pt2, y2, dphi, y_h : ndarray of float64, shape (n,)
            As in the class.
        m_h : float
            Mass of the Higgs boson in GeV.

        Returns
        -------
        Kinematics
            With all fields.
        """
        pt_h = np.hypot(pt1 + pt2 * np.cos(dphi), pt2 * np.sin(dphi))
        m_t, e1, e2, e_h = np.hypot(pt_h, m_h), np.exp(y1), np.exp(y2), np.exp(y_h)
        plus, minus = pt1 * e1 + pt2 * e2 + m_t * e_h, pt1 / e1 + pt2 / e2 + m_t / e_h
        return cls(pt1, y1, pt2, y2, dphi, y_h, pt_h, plus, minus)

    @property
    def m2_jj(self) -> FloatArray:
        """Squared mass of the two jets in GeV^2, in a form that does not cancel for close jets."""
        separation = np.sinh(0.5 * (self.y1 - self.y2)) ** 2 + np.sin(0.5 * self.dphi) ** 2
        result: FloatArray = 4.0 * self.pt1 * self.pt2 * separation
        return result

    def exchanged(self) -> Kinematics:
        """Return the same momenta with the names of the jets exchanged.

        Returns
        -------
        Kinematics
            First jet second.
        """
        return replace(self, pt1=self.pt2, y1=self.y2, pt2=self.pt1, y2=self.y1, dphi=-self.dphi)

    def take(self, rows: npt.NDArray[np.bool_] | slice) -> Kinematics:
        """Return some of the events.

        Parameters
        ----------
        rows : ndarray of bool, shape (n,), or slice
            Which.

        Returns
        -------
        Kinematics
            Those events.
        """
        return Kinematics(*(getattr(self, column.name)[rows] for column in fields(self)))


@dataclass(frozen=True, eq=False)
class _Contraction:
    """The quantities s_in, s_out and A = size (real + i turn) of the description of this file."""

    s_in: FloatArray
    s_out: FloatArray
    size: FloatArray
    real: FloatArray
    turn: FloatArray

    @classmethod
    def of(cls, kinematics: Kinematics, *, antiquark: bool) -> _Contraction:
        """For a quark and an antiquark, or for two quarks or two antiquarks."""
        at = kinematics
        turn = np.sin(at.dphi)
        if antiquark:
            s_in, s_out = at.plus * at.pt2 * np.exp(-at.y2), at.minus * at.pt1 * np.exp(at.y1)
            return cls(s_in, s_out, at.minus * at.pt1 * np.exp(at.y2), -np.cos(at.dphi), turn)
        # exp(-y12) - cos(phi) without cancellation
        real = np.expm1(at.y2 - at.y1) + 2.0 * np.sin(0.5 * at.dphi) ** 2
        return cls(at.plus * at.minus, at.m2_jj, at.pt1 * at.pt2, real, turn)

    @property
    def square(self) -> FloatArray:
        """|J1.J2|^2."""
        result: FloatArray = 4.0 * self.s_in * self.s_out
        return result

    def tensors(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """S_even and S_odd over J1.J2."""
        ratio = self.s_in / self.s_out
        ahead, turned = self.real + 1j * self.turn, self.real - 1j * self.turn
        half = 0.5 * self.size
        return half * (ahead + ratio * turned), 1j * half * (ahead - ratio * turned)


def charged_weights(kinematics: Kinematics, electroweak: Electroweak, *, antiquark: bool = False) -> FloatArray:
    """Weight polynomial of |M|^2 for W W fusion in cHW and cHWtil.

    W bosons couple to left-handed quarks only, so that there is one helicity amplitude, and

        M_0 = (2 mW^2/v) G1 G2 J1.J2,   G = (g/sqrt 2)/(q^2 - mW^2),
        M_cHW = -(v^2/mW^2) (A + r A*) M_0,   M_cHWtil = -i (v^2/mW^2) (A - r A*) M_0.

    Parameters
    ----------
    kinematics : Kinematics
        Final state, where the first jet comes from the parton along +z.
    electroweak : Electroweak
        Masses and couplings.
    antiquark : bool, default=False
        Whether one of the two incoming partons is a quark and the other an antiquark.

    Returns
    -------
    ndarray of float64, shape (6, n)
        |M|^2 in GeV^-2, summed over helicities and not averaged; colours give a factor of 1.
    """
    at = _Contraction.of(kinematics, antiquark=antiquark)
    q2_1, q2_2 = _virtualities(kinematics)
    poles = propagator(q2_1, electroweak.m_w)
    poles *= propagator(q2_2, electroweak.m_w)
    nominal = (electroweak.m_w**2 / electroweak.vev * electroweak.g**2 * poles) ** 2 * 4.0 * at.s_in * at.s_out
    scale = -electroweak.vev2_per_tev2 / electroweak.m_w**2 * at.size
    total, difference = scale * (1.0 + at.s_in / at.s_out), scale * (1.0 - at.s_in / at.s_out)
    # Amplitudes of cHW and cHWtil as multiples of that of the Standard Model.
    even_re, even_im = at.real * total, at.turn * difference
    odd_re, odd_im = -at.turn * total, at.real * difference
    return nominal * np.stack(
        [
            np.ones_like(nominal),
            2.0 * even_re,
            2.0 * odd_re,
            2.0 * (even_re**2 + even_im**2),
            2.0 * (even_re * odd_re + even_im * odd_im),
            2.0 * (odd_re**2 + odd_im**2),
        ]
    )


def _virtualities(kinematics: Kinematics) -> tuple[FloatArray, FloatArray]:
    """Squared momenta of the two bosons in GeV^2, negative."""
    at = kinematics
    return -at.plus * at.pt1 * np.exp(-at.y1), -at.minus * at.pt2 * np.exp(at.y2)


def neutral_charges(electroweak: Electroweak) -> FloatArray:
    """Products of the couplings of quarks and antiquarks to Z and photon, with g_Z (T3 - Q s^2) and e Q.

    Parameters
    ----------
    electroweak : Electroweak
        Couplings.

    Returns
    -------
    ndarray of float64, shape (2, 3, 4)
        For helicities -1 and 1 of the incoming parton, the products Z Z, Z A and A A, of up and down quarks and of up
        and down antiquarks.
    """
    result = np.empty((2, 3, 4))
    for kind, (t3, charge) in enumerate(((0.5, 2.0 / 3.0), (-0.5, -1.0 / 3.0))):
        photon = electroweak.e * charge
        for chirality, isospin in enumerate((t3, 0.0)):
            z = electroweak.z_charge(isospin, charge)
            products = (z * z, z * photon, photon * photon)
            result[chirality, :, kind] = products
            result[1 - chirality, :, kind + 2] = products
    return result


def neutral_weights(
    kinematics: Kinematics,
    line1: FloatArray,
    line2: FloatArray,
    electroweak: Electroweak,
    *,
    gamma_z: float = 0.0,
) -> FloatArray:
    """Weight polynomial of |M|^2 for Z Z, Z gamma and gamma gamma fusion in all six coefficients.

    With the charges z, a of the two lines, P = 1/(q^2 - mZ^2 + i mZ Gamma) and D = 1/q^2,

        M_0 = (2 mZ^2/v) X_ZZ J1.J2,   M_even, M_odd = -4v sum_i C_i X_i (S_even or S_odd),
        X_ZZ = z1 P1 z2 P2,   X_AZ = (a1 D1 z2 P2 + z1 P1 a2 D2)/2,   X_AA = a1 D1 a2 D2,

    where C_ZZ, C_AZ, C_AA are the couplings of h to the bosons (`bit.processes.hvv.tensor_couplings`). The sum over
    helicities and flavours needs the charges only in the products X_i* X_j, which are products of one factor of each
    line: `line1` and `line2` hold sums of these over any flavours, with the densities of the partons.

    Parameters
    ----------
    kinematics : Kinematics
        Final state, where the first jet comes from the parton along +z.
    line1, line2 : ndarray of float64, shape (2, 3, n)
        For helicities -1 and 1, the products z z, z a and a a of the parton along +z and along -z, as in
        `neutral_charges`.
    electroweak : Electroweak
        Masses and couplings.
    gamma_z : float, default=0
        Width of the Z in GeV in the propagators. It has no place where the momentum is space-like, but some
        programs put it there.

    Returns
    -------
    ndarray of float64, shape (28, n)
        |M|^2 in GeV^-2, summed over helicities and not averaged; colours give a factor of 1.
    """
    q2_1, q2_2 = _virtualities(kinematics)
    one, two = _dressed(line1, q2_1, electroweak.m_z, gamma_z), _dressed(line2, q2_2, electroweak.m_z, gamma_z)
    mixing = _mixing(electroweak)
    weights = np.zeros((len(_NEUTRAL_PAIRS), len(q2_1)))
    for opposite in (0, 1):
        # Helicities of a quark and an antiquark in W fusion are opposite, those of two quarks equal.
        at = _Contraction.of(kinematics, antiquark=bool(opposite))
        # Both helicities reversed, the currents are conjugate, which is put on the propagators.
        exchange = _exchange(one[0], two[opposite]) + _exchange(one[1], two[1 - opposite]).conj()
        exchange = np.tensordot(mixing, exchange.reshape(9, -1), 1).reshape(4, 4, -1)
        ratios = (np.ones(1), *at.tensors())
        lorentz = [[at.square * first.conj() * second for second in ratios] for first in ratios]
        if not np.iscomplexobj(exchange):
            lorentz = [[product.real for product in row] for row in lorentz]
        for term, (a, b) in enumerate(_NEUTRAL_PAIRS):
            product = exchange[_EXCHANGE[a], _EXCHANGE[b]] * lorentz[_LORENTZ[a]][_LORENTZ[b]]
            weights[term] += product.real
    weights[1:] *= 2.0
    return weights


# Amplitudes: the Standard Model, then the coefficients (cHW, cHB, cHWB, cHWtil, cHBtil, cHWBtil); for each, how bosons
# are exchanged and which of the structures 1, S_even, S_odd there is.
_EXCHANGE, _LORENTZ = (0, 1, 2, 3, 1, 2, 3), (0, 1, 1, 1, 2, 2, 2)
_NEUTRAL_PAIRS = tuple((0, b) for b in range(7)) + tuple((a, b) for a in range(1, 7) for b in range(a, 7))
_Dressed: TypeAlias = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]


def _dressed(line: FloatArray, q2: FloatArray, m_z: float, gamma_z: float) -> list[_Dressed]:
    """Products z z |P|^2, a z D P*, a a D^2 of charges and propagators, for both helicities."""
    pole, photon = propagator(q2, m_z, gamma_z), 1.0 / q2
    zz, az, aa = pole.real**2 + pole.imag**2, photon * pole.conj(), photon**2
    return [(charges[0] * zz, charges[1] * az, charges[2] * aa) for charges in line]


def _exchange(one: _Dressed, two: _Dressed) -> npt.NDArray[Any]:
    """X_i* X_j for i, j in (ZZ, AZ, AA), shape (3, 3, n); real where the propagators are."""
    (zz1, az1, aa1), (zz2, az2, aa2) = one, two
    result = np.empty((3, 3, len(zz1)), dtype=az1.dtype)
    result[0, 0] = zz1 * zz2
    result[0, 1] = 0.5 * (az1 * zz2 + zz1 * az2)
    result[0, 2] = az1 * az2
    result[1, 1] = 0.25 * (aa1 * zz2 + zz1 * aa2 + 2.0 * (az1.conj() * az2).real)
    result[1, 2] = 0.5 * (aa1 * az2 + az1 * aa2)
    result[2, 2] = aa1 * aa2
    for i, j in ((0, 1), (0, 2), (1, 2)):
        result[j, i] = result[i, j].conj()
    return result


def _mixing(electroweak: Electroweak) -> FloatArray:
    """Matrix (16, 9) from products X_i* X_j to products of amplitudes of the Standard Model, cHW, cHB, cHWB."""
    result = np.zeros((4, 3))
    result[0, 0] = 2.0 * electroweak.m_z**2 / electroweak.vev
    for row, unit in enumerate(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), start=1):
        couplings = tensor_couplings(*unit, electroweak)
        result[row] = couplings.zz, couplings.az, couplings.aa
    result[1:] *= -4.0 * electroweak.vev / GEV2_PER_TEV2
    return np.asarray(np.kron(result, result), dtype=np.float64)
