"""Constants, couplings and the amplitude of a Higgs boson with two vector bosons.

Covariant derivative D = d - i g T.W - i g' Y B, with W3 = c Z + s A and B = -s Z + c A for the cosine and
sine of the weak angle. The operators are O_HW = H^dagger H W_mn W^mn, O_HB, O_HWB = H^dagger sigma^I H W^I_mn B^mn
and their CP-odd partners with one dual field strength (arXiv:2112.05052, Eq. 2). Of the CP-even ones only
the tensor structure is kept: redefinitions of fields and couplings and shifts of input parameters are left out.
Every coefficient is c/Lambda^2 in TeV^-2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bit.processes.currents import ComplexArray, dot, levi_civita, spinor_product

GEV2_PER_TEV2 = 1e6
FB_GEV2 = 0.3893793721e12
"""(hbar c)^2 in fb GeV^2 (CODATA 2018)."""


@dataclass(frozen=True, kw_only=True)
class Electroweak:
    """Masses and couplings.

    Parameters
    ----------
    e : float, default=0.3028
        Electromagnetic coupling (alpha = 1/137); 0.31345 is its value at mZ.
    sin2 : float, default=0.23122
        Squared sine of the weak angle.
    m_z, gamma_z, m_w, gamma_w, m_h, vev : float
        Masses, widths and vacuum expectation value in GeV.
    """

    e: float = 0.3028
    sin2: float = 0.23122
    m_z: float = 91.1876
    gamma_z: float = 2.4952
    m_w: float = 80.379
    gamma_w: float = 2.085
    m_h: float = 125.1
    vev: float = 246.22

    @property
    def sin(self) -> float:
        """Sine of the weak angle."""
        return float(np.sqrt(self.sin2))

    @property
    def cos(self) -> float:
        """Cosine of the weak angle."""
        return float(np.sqrt(1.0 - self.sin2))

    @property
    def g(self) -> float:
        """SU(2) coupling e/s."""
        return self.e / self.sin

    @property
    def g_prime(self) -> float:
        """U(1) coupling e/c."""
        return self.e / self.cos

    @property
    def g_z(self) -> float:
        """Coupling of the Z, e/(s c)."""
        return self.e / (self.sin * self.cos)

    @property
    def vev2_per_tev2(self) -> float:
        """v^2/TeV^2, the factor that makes a coefficient in TeV^-2 dimensionless."""
        return self.vev**2 / GEV2_PER_TEV2

    def z_charge(self, t3: float, charge: float) -> float:
        """Coupling of the Z to one chirality of a fermion, g_Z (T3 - Q s^2).

        Parameters
        ----------
        t3 : float
            Weak isospin, 0 for right-handed fermions.
        charge : float
            Electric charge in units of the positron's.

        Returns
        -------
        float
            Without unit.
        """
        return self.g_z * (t3 - charge * self.sin2)


@dataclass(frozen=True)
class TensorCouplings:
    """Coefficients of h V X(V) after electroweak mixing, per unit 1/TeV^2.

    Attributes
    ----------
    zz, az, aa, ww : float
        Of two Z, a photon and a Z, two photons, two W.
    """

    zz: float
    az: float
    aa: float
    ww: float


def tensor_couplings(c_w: float, c_b: float, c_wb: float, electroweak: Electroweak) -> TensorCouplings:
    """Couplings C_ZZ, C_AZ, C_AA, C_WW of the operators O_HW, O_HB, O_HWB or of their CP-odd partners.

    Parameters
    ----------
    c_w, c_b, c_wb : float
        Coefficients in TeV^-2: all three of the CP-even or all three of the CP-odd operators.
    electroweak : Electroweak
        Constants; only the weak angle is used.

    Returns
    -------
    TensorCouplings
        ``zz = c^2 c_W + s c c_WB + s^2 c_B`` and so on.

    Notes
    -----
    arXiv:2112.05052, Eq. 9.
    """
    sin, cos = electroweak.sin, electroweak.cos
    return TensorCouplings(
        zz=cos**2 * c_w + sin * cos * c_wb + sin**2 * c_b,
        az=2.0 * sin * cos * (c_w - c_b) + (sin**2 - cos**2) * c_wb,
        aa=sin**2 * c_w - sin * cos * c_wb + cos**2 * c_b,
        ww=c_w,
    )


def propagator(q2: npt.NDArray[Any], mass: float, width: float = 0.0) -> npt.NDArray[Any]:
    """Propagator 1/(q^2 - m^2 + i m Gamma); the terms in q_mu q_nu vanish between conserved currents.

    Parameters
    ----------
    q2 : ndarray of float64, any shape
        Squared momentum in GeV^2.
    mass, width : float
        In GeV; width 0 gives a real result.

    Returns
    -------
    ndarray of float64 or complex128, same shape
        In GeV^-2.
    """
    if width == 0.0:
        return 1.0 / (q2 - mass**2)
    return 1.0 / (q2 - mass**2 + 1j * mass * width)


@dataclass(frozen=True)
class Structures:
    """Lorentz structures of h V V between two currents.

    Attributes
    ----------
    sm, even, odd : ndarray of complex128, shape of the currents without their last axis
        Of the Standard Model, and of the CP-even and the CP-odd tensor, in the units of `structures`.
    """

    sm: ComplexArray
    even: ComplexArray
    odd: ComplexArray


def structures(q1: npt.NDArray[Any], j1: npt.NDArray[Any], q2: npt.NDArray[Any], j2: npt.NDArray[Any]) -> Structures:
    """Contractions of two currents with the h V V vertex.

    S_sm = J1.J2,  S_even = (q1.q2)(J1.J2) - (q1.J2)(q2.J1),  S_odd = eps(q1, J1, q2, J2).

    Parameters
    ----------
    q1, q2 : ndarray of float64, shape (..., 4)
        Momenta of the two bosons in GeV, both into or both out of the vertex: where one enters and
        the other leaves, as in f fbar -> Z* -> Z H, give the negative of the second.
    j1, j2 : ndarray of complex128, shape (..., 4)
        Currents (`bit.processes.currents.current`) or polarisation vectors.

    Returns
    -------
    Structures
        S_sm in GeV^2, S_even and S_odd in GeV^4 (for currents).
    """
    contact = dot(j1, j2)
    return Structures(
        sm=contact,
        even=dot(q1, q2) * contact - dot(q1, j2) * dot(q2, j1),
        odd=levi_civita(q1, j1, q2, j2),
    )


def decay_structures(a: ComplexArray, b: ComplexArray, c: ComplexArray, d: ComplexArray) -> Structures:
    """Contractions of the currents of two decays V -> f fbar, from spinors alone.

    For J1 = J_+(a, b), J2 = J_+(c, d), q1 = p_a + p_b and q2 = p_c + p_d, with <ab> = `spinor_product`,

        S_sm = 2 <ac>* <bd>,  S_even = X + Y,  S_odd = -i (X - Y),
        X = <ab><cd> <ac>*^2,  Y = <ab>*<cd>* <bd>^2,

    X and Y from the self-dual and the anti-self-dual parts of the two field strengths. A left-handed current
    J_-(a, b) is J_+(b, a).

    Parameters
    ----------
    a, c : ndarray of complex128, shape (..., 2)
        Spinors chi_+ of the fermions of right-handed lines, of the antifermions of left-handed ones.
    b, d : ndarray of complex128, shape (..., 2)
        The same of the other ends of the two lines.

    Returns
    -------
    Structures
        As `structures`, to rounding.
    """
    ac, bd = spinor_product(a, c).conj(), spinor_product(b, d)
    decays = spinor_product(a, b) * spinor_product(c, d)
    one, other = decays * ac**2, decays.conj() * bd**2
    return Structures(sm=2.0 * ac * bd, even=one + other, odd=-1j * (one - other))


@dataclass(frozen=True)
class NeutralLine:
    """Coupling times propagator with which a fermion line exchanges a Z and a photon.

    Parameters
    ----------
    z : ndarray or float, any shape
        g_Z (T3 - Q s^2) / (q^2 - mZ^2 + i mZ GammaZ), GeV^-2; the coupling alone for an on-shell Z.
    photon : ndarray or float, same shape
        e Q / q^2, GeV^-2; 0 for an on-shell Z.
    """

    z: npt.NDArray[Any] | float
    photon: npt.NDArray[Any] | float


def sm_amplitude(
    structure: npt.NDArray[Any], mass: float, factor: npt.NDArray[Any] | float, electroweak: Electroweak
) -> npt.NDArray[Any]:
    """Amplitude of the Standard Model, (2 mV^2/v) G1 G2 (J1.J2).

    Parameters
    ----------
    structure : ndarray, any shape
        ``structures(...).sm``.
    mass : float
        mZ or mW in GeV.
    factor : ndarray or float, a shape that broadcasts
        G1 G2, the product of couplings and propagators of the two lines.
    electroweak : Electroweak
        Constants.

    Returns
    -------
    ndarray of complex128, shape of both
        M_SM.
    """
    result: npt.NDArray[Any] = (2.0 * mass**2 / electroweak.vev) * factor * structure
    return result


def neutral_tensor_amplitude(
    structure: npt.NDArray[Any],
    couplings: TensorCouplings,
    line1: NeutralLine,
    line2: NeutralLine,
    electroweak: Electroweak,
) -> npt.NDArray[Any]:
    """Amplitude of a tensor operator by Z and photon exchange.

    M = -(4 v/Lambda^2) [C_ZZ Z1 Z2 + (C_AZ/2)(A1 Z2 + Z1 A2) + C_AA A1 A2] S.

    Parameters
    ----------
    structure : ndarray, any shape
        ``structures(...).even`` or ``.odd``.
    couplings : TensorCouplings
        Of the CP-even or the CP-odd operators, to match `structure`.
    line1, line2 : NeutralLine
        Factors of the two fermion lines.
    electroweak : Electroweak
        Constants.

    Returns
    -------
    ndarray of complex128, shape of all
        The amplitude; for coefficients of 1 TeV^-2 its derivative with respect to them.
    """
    mixed = 0.5 * couplings.az * (line1.photon * line2.z + line1.z * line2.photon)
    exchange = couplings.zz * line1.z * line2.z + mixed + couplings.aa * line1.photon * line2.photon
    result: npt.NDArray[Any] = (-4.0 * electroweak.vev / GEV2_PER_TEV2) * exchange * structure
    return result


def charged_tensor_amplitude(
    structure: npt.NDArray[Any],
    couplings: TensorCouplings,
    factor: npt.NDArray[Any] | float,
    electroweak: Electroweak,
) -> npt.NDArray[Any]:
    """Amplitude of a tensor operator by W exchange, -(4 v/Lambda^2) C_WW G1 G2 S.

    Parameters
    ----------
    structure : ndarray, any shape
        ``structures(...).even`` or ``.odd``.
    couplings : TensorCouplings
        Of the CP-even or the CP-odd operators, to match `structure`.
    factor : ndarray or float, a shape that broadcasts
        G1 G2 with G = (g/sqrt 2)/(q^2 - mW^2).
    electroweak : Electroweak
        Constants.

    Returns
    -------
    ndarray of complex128, shape of all
        The amplitude; for coefficients of 1 TeV^-2 its derivative with respect to them.
    """
    result: npt.NDArray[Any] = (-4.0 * electroweak.vev / GEV2_PER_TEV2) * couplings.ww * factor * structure
    return result


def weights_from_amplitudes(amplitudes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Weight polynomial of amplitudes that are linear in the coefficients.

    w_0 = sum_h |M_0|^2,  w_a = sum_h 2 Re(M_0* M_a),  w_ab = sum_h 2 Re(M_a* M_b).

    Parameters
    ----------
    amplitudes : ndarray of complex128, shape (n_helicities, 1 + n_params, ...)
        M_0 and its derivatives M_a, for each set of external helicities.

    Returns
    -------
    ndarray of float64, shape (..., n_terms)
        In the graded order of `bit.basis.PolynomialBasis`; positive for all values of the coefficients.
    """
    n_params = amplitudes.shape[1] - 1
    pairs = [(0, 0), *((0, a) for a in range(1, n_params + 1))]
    pairs += [(a, b) for a in range(1, n_params + 1) for b in range(a, n_params + 1)]
    columns = []
    for a, b in pairs:
        product = (amplitudes[:, a].conj() * amplitudes[:, b]).real.sum(axis=0)
        columns.append(product if (a, b) == (0, 0) else 2.0 * product)
    return np.stack(columns, axis=-1)
