"""Amplitudes of q qbar' -> W+- Z -> l nu l l at leading order, linear in the coefficients cW and cHq3.

Operators: O_W = eps_IJK W^I_m^n W^J_n^r W^K_r^m and O_Hq3 = (H^dagger i D^I_m H)(Q sigma^I gamma^m Q), universal in the
quark generations, of which the shifts of the couplings of W and Z to quarks are kept; amplitudes are linear in the
coefficients. Both bosons are on-shell (narrow) with exact spin correlations; quarks and leptons are massless. The mass
of the W is mZ c_w and v = 2 mW/g, without which the gauge cancellations of longitudinal bosons would fail.

In the frame of the bosons, with momentum p, energies E_W and E_Z, T the angle between W and quark, r = sqrt(s), and
real polarisation vectors x (in the plane of scattering, away from the quark), y (quark x boson) and L for each boson,
the amplitude is M = sum_ij i^n a_ij D^W_i D^Z_j with n the number of y's and real a_ij,

    a = -(g g_Z/sqrt2) [g_1 A/(k - p_Z)^2 + g_2 B/(k - p_W)^2] +- (g^2 c_w/sqrt2) V/(s - mW^2)
        +- cW (g c_w/sqrt2) T/(s - mW^2),

k the momentum of the quark, g_1 and g_2 its left-handed coupling to the Z over g_Z and that of its partner, upper sign
for the W+. With K = p_W.p_Z, c = cos T and S = sin T (others are 0; those of B follow from A, see `_exchange`):

    A_xx = -r S (r c + p)        A_xL = r mZ - (s c/mZ)(p + E_Z c)          V_xx = V_yy = 2 p r S
    A_yy = -r S p                A_yL = (r/mZ) [r (p + E_Z c) - mZ^2 c]     V_LL = 2 p r S (s - K)/(mW mZ)
    A_xy = -r S E_Z              A_Lx = (r/mW) [K + p r c - r S^2 E_W]      V_Lx = -2 p s c/mW,  V_Ly = -2 p s/mW
    A_yx = r S (r - E_Z)         A_Ly = (r/mW) (K c + p r)                  V_xL =  2 p s c/mZ,  V_yL = -2 p s/mZ
    A_LL = (r S/(mW mZ)) [p K - p r E_Z - r E_W (p + E_Z c)]
    T_xx = T_yy = -6 p r s S     T_Lx, T_Ly = 6 mW p s c, 6 mW p s          T_xL, T_yL = -6 mZ p s c, 6 mZ p s

The weights use helicities, (x +- y)/sqrt2 and L, in which the decays to leptons at (th, ph) have the amplitudes
(cos th -+ eta)/sqrt2 exp(+-i ph) and -sin th, with eta = -1 for the l+ of the W+, +1 for the l- of the W- and for a
left-handed l- of the Z, -1 for a right-handed one (`decay`). CKM = 1; leptons of W and Z are of different flavours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.processes.currents import ComplexArray, current, dot, levi_civita, two_body_momentum
from bit.processes.hvv import GEV2_PER_TEV2, Electroweak, propagator, weights_from_amplitudes


@dataclass(frozen=True, eq=False)
class WZAmplitudes:
    """Amplitudes at fixed couplings.

    Parameters
    ----------
    electroweak : Electroweak
        Couplings and mZ; its mW and v are not used (see `m_w` and `vev2_per_tev2`).
    """

    electroweak: Electroweak = field(default_factory=Electroweak)

    @property
    def m_w(self) -> float:
        """Mass of the W in GeV, mZ c_w."""
        return self.electroweak.m_z * self.electroweak.cos

    @property
    def vev2_per_tev2(self) -> float:
        """v^2/TeV^2 with v = 2 mW/g."""
        return (2.0 * self.m_w / self.electroweak.g) ** 2 / GEV2_PER_TEV2

    @property
    def lepton_charges(self) -> tuple[float, float]:
        """Couplings of the Z to left- and right-handed charged leptons."""
        return self.electroweak.z_charge(-0.5, -1.0), self.electroweak.z_charge(0.0, -1.0)

    def momentum(self, sqrt_s: FloatArray) -> FloatArray:
        """Momentum of the bosons in their common rest frame.

        Parameters
        ----------
        sqrt_s : ndarray of float64, any shape
            Invariant mass of WZ in GeV, at least mW + mZ.

        Returns
        -------
        ndarray of float64, same shape
            In GeV.
        """
        return two_body_momentum(sqrt_s, self.m_w, self.electroweak.m_z)

    def quark_couplings(
        self, charge: FloatArray
    ) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
        """Couplings of the Z to the incoming quark and to its partner, and what cHq3 v^2 adds to them.

        Parameters
        ----------
        charge : ndarray of float64, shape (n,)
            Charge of the W: +1 for u dbar, -1 for d ubar.

        Returns
        -------
        couplings, shifts : tuple of two ndarrays of float64, shape (n,)
            T3 - Q s^2, and T3, of the quark and of its partner.
        """
        sin2, isospin = self.electroweak.sin2, 0.5 * charge
        quark = isospin - (1.0 / 6.0 + isospin) * sin2
        partner = -isospin - (1.0 / 6.0 - isospin) * sin2
        return (quark, partner), (isospin, -isospin)

    def helicity_amplitudes(self, sqrt_s: FloatArray, cos_theta: FloatArray, charge: FloatArray) -> FloatArray:
        """Amplitudes of stable bosons of given helicities, M_0 and its derivatives in cW and cHq3.

        Parameters
        ----------
        sqrt_s : ndarray of float64, shape (n,)
            Partonic centre-of-mass energy in GeV.
        cos_theta : ndarray of float64, shape (n,)
            Cosine of the angle between the W and the quark.
        charge : ndarray of float64, shape (n,)
            Charge of the W, +1 or -1.

        Returns
        -------
        ndarray of float64, shape (3, 3, 3, n)
            Standard Model, cW and cHq3 (TeV^2); helicity +1, 0, -1 of the W; the same of the Z. Without unit.
        """
        linear = self._linear_amplitudes(sqrt_s, cos_theta, charge)
        return _to_helicities(_to_helicities(linear, axis=1), axis=2)

    def _linear_amplitudes(self, sqrt_s: FloatArray, cos_theta: FloatArray, charge: FloatArray) -> FloatArray:
        """The same for polarisations x, L and y of both bosons, a_ij in the description of the module."""
        electroweak, m_w, m_z = self.electroweak, self.m_w, self.electroweak.m_z
        s, p = sqrt_s**2, self.momentum(sqrt_s)
        e_w, e_z = np.hypot(p, m_w), np.hypot(p, m_z)
        c, product = cos_theta, 0.5 * (s - m_w**2 - m_z**2)
        sin = np.sqrt(1.0 - c**2)
        quarks = -electroweak.g * electroweak.g_z / math.sqrt(2.0)
        z_first = _exchange(sqrt_s, p, c, sin, product, (e_w, e_z), (m_w, m_z))
        z_first *= quarks / (m_z**2 - sqrt_s * (e_z + p * c))
        # The other order: W and Z change places, p -> -p, and the directions y and L turn around.
        w_first = _exchange(sqrt_s, -p, c, sin, product, (e_z, e_w), (m_z, m_w)).swapaxes(0, 1)
        w_first *= quarks / (m_w**2 - sqrt_s * (e_w - p * c))
        w_first[0, 1:] *= -1.0
        w_first[1:, 0] *= -1.0
        couplings, shifts = self.quark_couplings(charge)
        result = np.zeros((3, *z_first.shape))
        standard, tensor, shifted = result
        np.add(couplings[0] * z_first, couplings[1] * w_first, out=standard)
        np.add(shifts[0] * z_first, shifts[1] * w_first, out=shifted)
        # V and T of the description, for the polarisations of which they are not 0.
        boson = electroweak.g * electroweak.cos / math.sqrt(2.0) * charge * propagator(s, m_w)
        vertex, tensor_vertex = electroweak.g * boson * 2.0 * p, boson / GEV2_PER_TEV2 * 6.0 * p * s
        standard[_X, _X] += vertex * sqrt_s * sin
        standard[_Y, _Y] += vertex * sqrt_s * sin
        standard[_L, _L] += vertex * sqrt_s * sin * (s - product) / (m_w * m_z)
        standard[_L, _X] -= vertex * s * c / m_w
        standard[_X, _L] += vertex * s * c / m_z
        standard[_L, _Y] -= vertex * s / m_w
        standard[_Y, _L] -= vertex * s / m_z
        tensor[_X, _X] = tensor[_Y, _Y] = -tensor_vertex * sqrt_s * sin
        tensor[_L, _X], tensor[_X, _L] = tensor_vertex * c * m_w, -tensor_vertex * c * m_z
        tensor[_L, _Y], tensor[_Y, _L] = tensor_vertex * m_w, tensor_vertex * m_z
        shifted += standard
        shifted *= self.vev2_per_tev2
        return result

    def squared_amplitudes(
        self,
        sqrt_s: FloatArray,
        cos_theta: FloatArray,
        cos_theta_w: FloatArray,
        cos_theta_z: FloatArray,
        phi_w: FloatArray,
        phi_z: FloatArray,
        charge: FloatArray,
    ) -> FloatArray:
        """Weight polynomial of |M|^2 for a quark along +z and a neutrino that is known, summed over helicities.

        Parameters
        ----------
        sqrt_s, cos_theta, charge : ndarray of float64, shape (n,)
            As for `helicity_amplitudes`.
        cos_theta_w, cos_theta_z : ndarray of float64, shape (n,)
            Cosines of the polar angles of the decays, see `FEATURES`, with the quark in place of the beam.
        phi_w, phi_z : ndarray of float64, shape (n,)
            Azimuths of the decays.

        Returns
        -------
        ndarray of float64, shape (n, n_terms)
            |M(q qbar' -> W Z)|^2, not averaged over spins and colours, times the density of the decay angles: without
            unit, its integral over both pairs of them is that of stable bosons.
        """
        helicities = self.helicity_amplitudes(sqrt_s, cos_theta, charge)
        of_w = decay(cos_theta_w, phi_w, -charge)
        of_z = self.z_decay(cos_theta_z, phi_z)
        return weights_from_amplitudes(np.stack([after_decay(after_decay(helicities, one), of_w) for one in of_z]))

    def z_decay(self, cos_theta: FloatArray, phi: FloatArray) -> tuple[ComplexArray, ComplexArray]:
        """Decay amplitudes of the Z to left- and right-handed l-.

        Parameters
        ----------
        cos_theta, phi : ndarray of float64, shape (n,)
            Polar angle and azimuth of the l-.

        Returns
        -------
        tuple of two ndarrays of complex128, shape (3, n)
            For helicities +1, 0, -1, normalised such that the squares of amplitudes after this decay and that of the W
            (`decay`) are the squares of stable bosons times the density of the angles.
        """
        left, right = self.lepton_charges
        # Each |decay amplitude|^2 integrates to 8 pi/3.
        scale = 3.0 / (8.0 * math.pi) / math.hypot(left, right)
        return scale * left * decay(cos_theta, phi, 1.0), scale * right * decay(cos_theta, phi, -1.0)

    def from_momenta(
        self,
        k: tuple[FloatArray, FloatArray],
        p: tuple[FloatArray, FloatArray],
        outgoing: tuple[ComplexArray, ComplexArray],
        charge: FloatArray,
    ) -> ComplexArray:
        """M_0 and its derivatives in cW and cHq3 from four-vectors, in any frame.

        Parameters
        ----------
        k : tuple of two ndarrays of float64, shape (n, 4)
            Momenta (E, px, py, pz) of the quark and the antiquark in GeV, massless.
        p : tuple of two ndarrays of float64, shape (n, 4)
            Momenta of W and Z in GeV, whose squares may differ from those of the masses.
        outgoing : tuple of two ndarrays of complex128, shape (n, 4)
            Polarisation vectors e of outgoing W and Z, or currents of their decays, with e.p = 0.
        charge : ndarray of float64, shape (n,)
            Charge of the W, +1 or -1.

        Returns
        -------
        ndarray of complex128, shape (3, n)
            Without unit for polarisation vectors.

        Notes
        -----
        The spinor line with the Z next to the quark is <e_W, k - p_Z, e_Z>, <a, b, c> = (a.b)(c.J) - (a.c)(b.J) +
        (b.c)(a.J) + i eps(a, b, c, J), with the current J of the quarks.
        """
        (quark, antiquark), (p_w, p_z), (e_w, e_z) = k, p, outgoing
        electroweak = self.electroweak
        total = quark + antiquark
        source = current(antiquark, quark, -1)

        def line(a: ComplexArray, b: FloatArray, c: ComplexArray) -> ComplexArray:
            even = dot(a, b) * dot(c, source) - dot(a, c) * dot(b, source) + dot(b, c) * dot(a, source)
            result: ComplexArray = (even + 1j * levi_civita(a, b, c, source)) / dot(b, b)
            return result

        z_first, w_first = line(e_w, quark - p_z, e_z), line(e_z, quark - p_w, e_w)
        three = dot(e_w, e_z) * dot(p_w - p_z, source)
        three += 2.0 * (dot(p_z, e_w) * dot(source, e_z) - dot(p_w, e_z) * dot(source, e_w))
        fields = [_field(*pair) for pair in ((total, source), (p_w, e_w), (p_z, e_z))]
        tensor = 6.0 * np.einsum("nab,nbc,nca->n", *fields)
        boson = electroweak.g * electroweak.cos / math.sqrt(2.0) * charge * propagator(dot(total, total), self.m_w)
        quarks = -electroweak.g * electroweak.g_z / math.sqrt(2.0)
        couplings, shifts = self.quark_couplings(charge)
        standard = quarks * (couplings[0] * z_first + couplings[1] * w_first) + electroweak.g * boson * three
        shifted = standard + quarks * (shifts[0] * z_first + shifts[1] * w_first)
        return np.stack([standard, boson / GEV2_PER_TEV2 * tensor, self.vev2_per_tev2 * shifted])


_X, _L, _Y = 0, 1, 2
"""Polarisations of a boson, in an order that becomes +1, 0, -1."""


def _exchange(
    r: FloatArray,
    p: FloatArray,
    c: FloatArray,
    sin: FloatArray,
    product: FloatArray,
    energies: tuple[FloatArray, FloatArray],
    masses: tuple[float, float],
) -> FloatArray:
    """Spinor line with the Z next to the incoming quark, A_ij in the description of the module, shape (3, 3, n).

    With W and Z exchanged and p -> -p, it is B_ji times -1 for each y and L.
    """
    (e_w, e_z), (m_w, m_z) = energies, masses
    across, ahead = r * sin, p + e_z * c
    result = np.empty((3, 3, len(r)))
    result[_X, _X] = -across * (r * c + p)
    result[_Y, _Y] = -across * p
    result[_X, _Y] = -across * e_z
    result[_Y, _X] = across * (r - e_z)
    result[_X, _L] = r * m_z - r**2 * c / m_z * ahead
    result[_Y, _L] = r / m_z * (r * ahead - m_z**2 * c)
    result[_L, _X] = r / m_w * (product + p * r * c - r * sin**2 * e_w)
    result[_L, _Y] = r / m_w * (product * c + p * r)
    result[_L, _L] = across / (m_w * m_z) * (p * product - p * r * e_z - r * e_w * ahead)
    return result


def _to_helicities(linear: FloatArray, axis: int) -> FloatArray:
    """Amplitudes for helicities +1, 0, -1 from those for x, L, y along one axis."""
    result = np.empty_like(linear)
    x, longitudinal, y = np.moveaxis(linear, axis, 0)
    plus, zero, minus = np.moveaxis(result, axis, 0)
    np.add(x, y, out=plus)
    np.subtract(x, y, out=minus)
    plus *= math.sqrt(0.5)
    minus *= math.sqrt(0.5)
    zero[...] = longitudinal
    return result


def decay(cos_theta: FloatArray, phi: FloatArray, eta: FloatArray | float) -> ComplexArray:
    """Decay amplitudes d_+-1 = (cos th -+ eta)/sqrt2 exp(+-i ph) and d_0 = -sin th of a boson to massless leptons.

    Parameters
    ----------
    cos_theta, phi : ndarray of float64, shape (n,)
        Polar angle and azimuth of one lepton in the frame of the boson.
    eta : ndarray of float64, shape (n,), or float
        +1 if this lepton is a left-handed fermion, -1 if it is the antifermion or right-handed.

    Returns
    -------
    ndarray of complex128, shape (3, n)
        For helicities +1, 0, -1; the integral of the product of two of them over the angles is 8 pi/3 or 0.
    """
    turn = np.exp(1j * phi) / math.sqrt(2.0)
    return np.stack([(cos_theta - eta) * turn, -np.sqrt(1.0 - cos_theta**2) + 0j, (cos_theta + eta) * turn.conj()])


def after_decay(amplitudes: npt.NDArray[Any], of_boson: ComplexArray) -> ComplexArray:
    """Amplitudes after the decay of the boson of the last helicity: first that of the Z, then that of the W.

    Parameters
    ----------
    amplitudes : ndarray, shape (..., 3, n)
        For helicities +1, 0, -1 of the boson, as `WZAmplitudes.helicity_amplitudes`.
    of_boson : ndarray of complex128, shape (3, n)
        Its decay amplitudes.

    Returns
    -------
    ndarray of complex128, shape (..., n)
        Sum over its helicities.
    """
    plus, zero, minus = of_boson
    result: ComplexArray = amplitudes[..., 0, :] * plus
    result += amplitudes[..., 1, :] * zero
    result += amplitudes[..., 2, :] * minus
    return result


def _field(p: npt.NDArray[Any], e: ComplexArray) -> ComplexArray:
    """Field p^m e^n - e^m p^n with the second index down, shape (n, 4, 4)."""
    field_up = p[:, :, np.newaxis] * e[:, np.newaxis] - e[:, :, np.newaxis] * p[:, np.newaxis]
    result: ComplexArray = field_up * np.array([1.0, -1.0, -1.0, -1.0])
    return result


def high_energy_amplitudes(
    sqrt_s: FloatArray, cos_theta: FloatArray, charge: FloatArray, electroweak: Electroweak
) -> FloatArray:
    """Limit of `WZAmplitudes.helicity_amplitudes` for sqrt(s) >> mZ, of what does not fall with s in it.

    With S = sin T, X = g^2 (s_w^2 +- 3 c_w^2 cos T)/(3 sqrt2 c_w) and the sign of the charge of the W,

        M_00 = -+(g^2/(2 sqrt2) + sqrt2 cHq3 s) S,   M_++ = M_-- = -+3 g c_w cW s S/sqrt2,
        M_+- = -X tan(T/2),   M_-+ = X cot(T/2).

    Parameters
    ----------
    sqrt_s, cos_theta, charge : ndarray of float64, shape (n,)
        As for `WZAmplitudes.helicity_amplitudes`, with abs(cos_theta) < 1.
    electroweak : Electroweak
        Couplings.

    Returns
    -------
    ndarray of float64, shape (3, 3, 3, n)
        As `WZAmplitudes.helicity_amplitudes`; 0 for all other helicities.

    Notes
    -----
    arXiv:1712.01310 and arXiv:2007.10356; the latter uses the angle of the Z, pi - T. Signs depend on the phases of the
    polarisation vectors. The interference of cW with the Standard Model cancels after integration over the azimuths of
    the decays, as it acts on other helicities.
    """
    sin = np.sqrt(1.0 - cos_theta**2)
    growth = charge * sqrt_s**2 / GEV2_PER_TEV2 * sin
    x = electroweak.g**2 * (electroweak.sin2 + 3.0 * charge * electroweak.cos**2 * cos_theta)
    x /= 3.0 * math.sqrt(2.0) * electroweak.cos
    result = np.zeros((3, 3, 3, len(sqrt_s)))
    result[0, 1, 1] = -charge * electroweak.g**2 / (2.0 * math.sqrt(2.0)) * sin
    result[0, 0, 2] = -x * sin / (1.0 + cos_theta)
    result[0, 2, 0] = x * sin / (1.0 - cos_theta)
    result[1, 0, 0] = result[1, 2, 2] = -3.0 * electroweak.g * electroweak.cos / math.sqrt(2.0) * growth
    result[2, 1, 1] = -math.sqrt(2.0) * growth
    return result
