"""Higgs production in weak-boson fusion, q q' -> q q' H by W W, at leading order, with exact weights in cHW, cHWtil.

Operators: O_HW = H^dagger H W^I_mn W^Imn and its CP-odd partner with one dual field strength; of the CP-even one
only the tensor structure is kept. The coefficient of arXiv:2109.10414 (Eq. 33) is f_WWtil = -cHWtil.

W bosons couple to left-handed quarks only, so that each process has one helicity amplitude M. Jet 1 comes from the
parton along +z, jet 2 from the one along -z; P+ and P- are twice the energies of these partons, y12 = y1 - y2,
phi = phi1 - phi2, and q1, q2 the momenta of the W bosons. Then

    M_0 = (2 mW^2/v) G1 G2 J1.J2,   |J1.J2|^2 = 4 s_in s_out,   G = (g/sqrt 2)/(q^2 - mW^2),
    M_cHW = -(v^2/mW^2) (A + r A*) M_0,   M_cHWtil = -i (v^2/mW^2) (A - r A*) M_0,   r = s_in/s_out,

with, for two quarks or two antiquarks,

    s_in = P+ P-,   s_out = 2 pT1 pT2 (cosh y12 - cos phi),   A = pT1 pT2 (exp(-y12) - exp(-i phi)),

and, for a quark and an antiquark,

    s_in = P+ pT2 exp(-y2),   s_out = P- pT1 exp(y1),   A = -P- pT1 exp(y2 - i phi).

A and r A* are the self-dual and the anti-self-dual part of the product of the two field strengths. The optimal
observable of cHWtil at the Standard Model is so 2 (v^2/mW^2) (1 + r) Im A, for two quarks proportional to
pT1 pT2 sin(phi) (arXiv:2109.10414, Eq. 36; its prefactor 8 v^2/mW^2 has to be 2 v^2/mW^2 to agree with its Table 8).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import InputError, near_match
from bit.parity import CPParity
from bit.processes.cuts import Cuts, parse_cuts
from bit.processes.hvv import FB_GEV2, Electroweak, propagator
from bit.processes.pdf import PartonDensities, load
from bit.processes.simulation import (
    SQRT_S_GEV,
    Events,
    Feature,
    Simulation,
    generate,
    reference_point,
    require_common,
    require_scale,
)

PARAM_NAMES = ("cHW", "cHWtil")

FEATURES = (
    Feature("x1", "", r"p_{T,j_1}/m_H"),
    Feature("x2", "", r"p_{T,j_2}/m_H"),
    Feature("dphi_jj", "", r"\Delta\phi_{jj}"),
    Feature("deta_jj", "", r"|\Delta\eta_{jj}|"),
    Feature("pt_j1", "GeV", r"p_{T,j_1}"),
    Feature("pt_j2", "GeV", r"p_{T,j_2}"),
    Feature("eta_j1", "", r"\eta_{j_1}"),
    Feature("eta_j2", "", r"\eta_{j_2}"),
    Feature("eta_prod", "", r"\eta_{j_1}\eta_{j_2}"),
    Feature("m_jj", "GeV", r"m_{jj}"),
    Feature("pt_h", "GeV", r"p_{T,H}"),
    Feature("y_h", "", r"y_H"),
    Feature("sin_dphi", "", r"\sin\Delta\phi_{jj}"),
    Feature("cos_dphi", "", r"\cos\Delta\phi_{jj}"),
    Feature("x_times", "", r"\sqrt{p_{T,j_1}p_{T,j_2}}/m_H"),
)
"""Jets 1 and 2 are ordered in pT; dphi_jj is the azimuth of the jet with the larger rapidity minus the other's."""
FEATURE_NAMES = tuple(feature.name for feature in FEATURES)

CP_PARITY = CPParity(flip=("dphi_jj", "sin_dphi"), odd_params=("cHWtil",))
"""Reflection of all momenta, y -> -y. CP would also exchange quarks and antiquarks in the protons; since the
amplitude has no absorptive part, the weights are even or odd under the reflection alone."""

SELECTIONS = {
    "P": "pt_j2>20, abs(eta_j1)<5, abs(eta_j2)<5, deta_jj>2",
    "T": "pt_j1>40, pt_j2>30, abs(eta_j1)<4.5, abs(eta_j2)<4.5, deta_jj>3, eta_prod<0, m_jj>350",
}
"""Cuts by name: P of arXiv:2109.10414, T typical of H -> tau tau."""

Y_JET_MAX, Y_HIGGS_MAX = 5.5, 5.0
"""Rapidities up to which jets are simulated, and the Higgs boson relative to the middle between them."""
UP, DOWN = (2, 4), (1, 3)
"""PDG identities of the quarks with isospin 1/2 and -1/2."""

_PT_SCALE_GEV = 60.0


@dataclass(frozen=True, eq=False)
class Kinematics:
    """Two massless jets and a Higgs boson up to a common azimuth, arrays of shape (n,); made by `Kinematics.of`.

    Parameters
    ----------
    pt1, y1 : ndarray of float64
        Transverse momentum (GeV) and rapidity of the first jet.
    pt2, y2 : ndarray of float64
        The same of the second jet.
    dphi : ndarray of float64
        Azimuth of the first jet minus that of the second.
    y_h, pt_h : ndarray of float64
        Rapidity and transverse momentum (GeV) of the Higgs boson, which balances the jets.
    plus, minus : ndarray of float64
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

    def take(self, mask: npt.NDArray[np.bool_]) -> Kinematics:
        """Return some of the events.

        Parameters
        ----------
        mask : ndarray of bool, shape (n,)
            Which.

        Returns
        -------
        Kinematics
            Those events.
        """
        return Kinematics(*(getattr(self, column.name)[mask] for column in fields(self)))


@dataclass(frozen=True, eq=False)
class VBF:
    """The process at fixed settings, a function of the phase space.

    Parameters
    ----------
    quarks : {"ud", "all"}
        "ud" for u d -> d u H alone, the process of arXiv:2109.10414; "all" for all combinations of quarks and
        antiquarks of the first two generations that can fuse W bosons.
    mu_f : float or None
        Factorisation scale in GeV, None for mW.
    electroweak : Electroweak
        Masses and couplings.
    pdf : PartonDensities
        Densities; negative ones count as 0, so that every weight is positive.
    """

    quarks: Literal["ud", "all"] = "ud"
    mu_f: float | None = None
    electroweak: Electroweak = field(default_factory=Electroweak)
    pdf: PartonDensities = field(default_factory=load)

    def squared_amplitudes(self, kinematics: Kinematics, *, antiquark: bool = False) -> FloatArray:
        """Weight polynomial of |M|^2 where the first jet comes from the parton along +z.

        Parameters
        ----------
        kinematics : Kinematics
            Final state.
        antiquark : bool, default=False
            Whether one of the two incoming partons is a quark and the other an antiquark.

        Returns
        -------
        ndarray of float64, shape (n_terms, n)
            |M|^2 in GeV^-2, summed over helicities and not averaged; colours give a factor of 1.
        """
        at, electroweak = kinematics, self.electroweak
        plus, minus = at.plus, at.minus
        turn = np.sin(at.dphi)
        if antiquark:
            s_in, s_out = plus * at.pt2 * np.exp(-at.y2), minus * at.pt1 * np.exp(at.y1)
            size = minus * at.pt1 * np.exp(at.y2)
            real = -np.cos(at.dphi)
        else:
            s_in, s_out = plus * minus, at.m2_jj
            size = at.pt1 * at.pt2
            # exp(-y12) - cos(phi) without cancellation
            real = np.expm1(at.y2 - at.y1) + 2.0 * np.sin(0.5 * at.dphi) ** 2
        poles = propagator(-plus * at.pt1 * np.exp(-at.y1), electroweak.m_w)
        poles *= propagator(-minus * at.pt2 * np.exp(at.y2), electroweak.m_w)
        nominal = (electroweak.m_w**2 / electroweak.vev * electroweak.g**2 * poles) ** 2 * 4.0 * s_in * s_out
        scale = -electroweak.vev2_per_tev2 / electroweak.m_w**2 * size
        total, difference = scale * (1.0 + s_in / s_out), scale * (1.0 - s_in / s_out)
        # Amplitudes of cHW and cHWtil as multiples of that of the Standard Model.
        even_re, even_im = real * total, turn * difference
        odd_re, odd_im = -turn * total, real * difference
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

    def differential_weights(self, kinematics: Kinematics) -> FloatArray:
        """Weight polynomial of the differential cross-section of proton collisions.

        d sigma/(dpT1 dpT2 dy1 dy2 dy_H dphi), summed over flavours and over which jet comes from which parton, so
        that it does not depend on the names of the jets.

        Parameters
        ----------
        kinematics : Kinematics
            Final state.

        Returns
        -------
        ndarray of float64, shape (n_terms, n)
            In fb/GeV^2; 0 where a momentum fraction would be above 1.
        """
        at = kinematics
        ahead, behind = at.plus / SQRT_S_GEV, at.minus / SQRT_S_GEV
        same, opposite = self._luminosities(ahead, behind)
        exchanged = at.exchanged()
        squared = same * (self.squared_amplitudes(at) + self.squared_amplitudes(exchanged))
        if self.quarks != "ud":
            both = self.squared_amplitudes(at, antiquark=True) + self.squared_amplitudes(exchanged, antiquark=True)
            squared += opposite * both
        # 1/4 averages over spins, 1/(2s) is the flux, 2/S turns dx1 dx2 delta(E) delta(pz) into fixed x1, x2;
        # d^3p/((2 pi)^3 2E) = pT dpT dphi dy/(16 pi^3) for each particle; one azimuth is integrated.
        s_hadron = SQRT_S_GEV**2
        flux = FB_GEV2 / 4.0 / (2.0 * ahead * behind * s_hadron)
        phase_space = (2.0 * math.pi) ** 4 * (2.0 / s_hadron) * (16.0 * math.pi**3) ** -3 * 2.0 * math.pi
        squared *= flux * phase_space * at.pt1 * at.pt2 / (ahead * behind)
        return squared

    def _luminosities(self, ahead: FloatArray, behind: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Products x1 f x2 f of densities for two quarks or two antiquarks, and for a quark and an antiquark."""
        up_1, down_1, anti_up_1, anti_down_1 = self._densities(ahead)
        up_2, down_2, anti_up_2, anti_down_2 = self._densities(behind)
        same = up_1 * down_2 + down_1 * up_2 + anti_down_1 * anti_up_2 + anti_up_1 * anti_down_2
        opposite = up_1 * anti_up_2 + anti_down_1 * down_2 + anti_up_1 * up_2 + down_1 * anti_down_2
        return same, opposite

    def _densities(self, fraction: FloatArray) -> FloatArray:
        """Momentum densities of up and down quarks, up and down antiquarks, shape (4, n)."""
        scale = self.electroweak.m_w if self.mu_f is None else self.mu_f
        if self.quarks == "ud":
            densities = np.maximum(self.pdf.xf((2, 1), fraction, scale), 0.0).T
            return np.concatenate([densities, np.zeros_like(densities)])
        ids = [sign * parton for sign in (1, -1) for parton in (*UP, *DOWN)]
        densities = np.maximum(self.pdf.xf(ids, fraction, scale), 0.0).T
        result: FloatArray = densities.reshape(4, 2, -1).sum(axis=1)
        return result


def features_of(kinematics: Kinematics, m_h: float) -> dict[str, FloatArray]:
    """Return the features by name, in the order of `FEATURES`.

    Parameters
    ----------
    kinematics : Kinematics
        Final state, with jets in any order.
    m_h : float
        Mass of the Higgs boson in GeV.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        They determine the final state, and with it the truth.

    Notes
    -----
    x1, x2, dphi_jj and deta_jj are those of arXiv:2109.10414 (Eq. 38); x_times and sin_dphi those of Eq. 40.
    """
    at = kinematics
    first_leads, first_ahead = at.pt1 >= at.pt2, at.y1 >= at.y2
    pt_j1, pt_j2 = np.maximum(at.pt1, at.pt2), np.minimum(at.pt1, at.pt2)
    dphi = np.where(first_ahead, at.dphi, -at.dphi)
    # Smearing may carry an angle beyond pi; all others stay as they are, so that flipping the sign is exact.
    dphi = np.where(np.abs(dphi) > math.pi, dphi - np.copysign(2.0 * math.pi, dphi), dphi)
    columns = (
        pt_j1 / m_h,
        pt_j2 / m_h,
        dphi,
        np.abs(at.y1 - at.y2),
        pt_j1,
        pt_j2,
        np.where(first_leads, at.y1, at.y2),
        np.where(first_leads, at.y2, at.y1),
        at.y1 * at.y2,
        np.sqrt(at.m2_jj),
        at.pt_h,
        at.y_h,
        np.sin(dphi),
        np.cos(dphi),
        np.sqrt(pt_j1 * pt_j2) / m_h,
    )
    return dict(zip(FEATURE_NAMES, columns, strict=True))


def smeared(kinematics: Kinematics, normals: FloatArray, m_h: float) -> Kinematics:
    """Jets as a detector would measure them.

    pT is multiplied with 1 + N(0, sqrt(0.8^2 GeV/pT + 0.05^2)), and 0 where that is negative; N(0, 0.02) is added to
    each rapidity and azimuth. The Higgs boson keeps its rapidity and balances the measured jets.

    Parameters
    ----------
    kinematics : Kinematics
        Final state of partons.
    normals : ndarray of float64, shape (n, 5)
        Independent standard normal numbers: pT1, pT2, y1, y2, dphi.
    m_h : float
        Mass of the Higgs boson in GeV.

    Returns
    -------
    Kinematics
        The jets keep their names.
    """
    at, numbers = kinematics, normals.T
    pt1, pt2 = (
        np.maximum(pt * (1.0 + number * np.sqrt(0.8**2 / pt + 0.05**2)), 0.0)
        for pt, number in zip((at.pt1, at.pt2), numbers, strict=False)
    )
    dphi = at.dphi + 0.02 * math.sqrt(2.0) * numbers[4]
    return Kinematics.of(pt1, at.y1 + 0.02 * numbers[2], pt2, at.y2 + 0.02 * numbers[3], dphi, at.y_h, m_h)


def simulate(
    n_events: int,
    *,
    seed: int,
    quarks: Literal["ud", "all"] = "ud",
    mu_f: float | None = None,
    e: float = 0.3028,
    cuts: str | None = None,
    smear: bool = False,
    theta0: ThetaLike | None = None,
    show_progress: bool = True,
) -> Simulation:
    """Simulate q q' -> q q' H by W W fusion at 13 TeV with exact weights in cHW and cHWtil.

    Parameters
    ----------
    n_events : int
        Number of events, at least 1.
    seed : int
        Not negative; the same seed gives the same table.
    quarks : {"ud", "all"}, default="ud"
        "ud" is u d -> d u H alone, as in arXiv:2109.10414; "all" adds all flavours but b and t, and antiquarks.
    mu_f : float, optional
        Factorisation scale in GeV, default mW.
    e : float, default=0.3028
        Electromagnetic coupling; 0.31345 is its value at mZ. Ratios of weights do not depend on it.
    cuts : str, optional
        "P" or "T" of `SELECTIONS`, or comparisons of features with numbers, ``"pt_j2>30, abs(eta_j1)<4"``.
        Jets are within 5.5 units of rapidity in any case, the Higgs boson within 5 of the middle between them.
    smear : bool, default=False
        Smear the jets like a detector (`smeared`), for features and cuts. Weights stay those of the partons, so that
        the truth as a function of the features is an average.
    theta0 : array-like of shape (2,), or mapping, optional
        Reference point of the weights in TeV^-2, at which the events are drawn; default the Standard Model.
    show_progress : bool, default=True
        Draw progress bars.

    Returns
    -------
    Simulation
        Table with the features `FEATURES` (float32) and six weight terms in fb, cross-section, its error, and the
        configuration.

    Raises
    ------
    InputError
        For arguments outside their rule, an unknown feature in the cuts, or cuts that leave nothing.
    MissingPackageError
        If vegas is not installed.

    Notes
    -----
    A small share of the events is drawn like pT1^2 pT2^2 times the cross-section, the square of the interference, such
    that n_eff/n is about 0.92, with smearing 0.9 (`bit.processes.phase_space`). Fusion of neutral bosons and H V
    production are left out.
    """
    basis = PolynomialBasis(PARAM_NAMES, order=2)
    point = reference_point(basis, theta0)
    _check(n_events, seed, quarks, mu_f, e)
    selection = SELECTIONS.get(cuts or "", cuts)
    process = VBF(quarks, None if mu_f is None else float(mu_f), Electroweak(e=e))
    cube = _Cube.of(process, parse_cuts(selection, FEATURE_NAMES), basis.monomials(point), smear)
    return generate(
        cube,
        basis,
        FEATURES,
        point,
        n_events=n_events,
        seed=seed,
        configuration={
            "process": "vbf",
            "quarks": quarks,
            "mu_f": process.electroweak.m_w if mu_f is None else float(mu_f),
            "e": e,
            "cuts": selection,
            "smear": bool(smear),
            "pdf": load().origin,
        },
        n_eff_fraction=_N_EFF_FRACTION,
        show_progress=show_progress,
    )


_N_EFF_FRACTION = 0.92


def _check(n_events: int, seed: int, quarks: str, mu_f: object, e: float) -> None:
    """Refuse arguments of `simulate` outside their rule."""
    require_common(n_events, seed, e)
    if quarks not in ("ud", "all"):
        raise InputError(f"quarks={quarks!r}: {near_match(quarks, ('ud', 'all'))}")
    require_scale(mu_f, "None for mW")


@dataclass(frozen=True, eq=False)
class _Cube:
    """Map of the unit hypercube on the phase space with y1 > y2, within the range that cuts leave.

    pT = pT_min + 60 GeV u/(1 - u); flat are y1 - y2, the mean of y1 and y2, y_H minus this mean, and dphi. Five
    further dimensions hold what the detector does.
    """

    process: VBF
    cuts: Cuts
    monomials: FloatArray
    smear: bool
    pt_min: float
    y_max: float
    deta_min: float

    @classmethod
    def of(cls, process: VBF, cuts: Cuts, monomials: FloatArray, smear: bool) -> _Cube:
        if smear:
            return cls(process, cuts, monomials, smear, 0.0, Y_JET_MAX, 0.0)
        pt_min, _ = cuts.window("pt_j2", 0.0, SQRT_S_GEV)
        deta_min, _ = cuts.window("deta_jj", 0.0, 2.0 * Y_JET_MAX)
        absolute = Cuts(tuple(cut for cut in cuts.cuts if cut.absolute))
        y_max = max(absolute.window(name, 0.0, Y_JET_MAX)[1] for name in ("eta_j1", "eta_j2"))
        if not (deta_min < 2.0 * y_max and pt_min < SQRT_S_GEV / 2.0):
            raise InputError(f"vbf: the cuts leave no phase space below {SQRT_S_GEV:.0f} GeV; loosen them.")
        return cls(process, cuts, monomials, smear, pt_min, y_max, deta_min)

    @property
    def n_dim(self) -> int:
        return 11 if self.smear else 6

    def phase_space(self, points: FloatArray) -> tuple[Kinematics, FloatArray]:
        """Final state of partons and Jacobian d(pT1, pT2, y1, y2, y_H, dphi)/d(points)."""
        u_pt1, u_pt2, u_deta, u_mean, u_h, u_phi = points.T[:6]
        # No jet has more than half of the energy.
        largest = SQRT_S_GEV / (SQRT_S_GEV + 2.0 * _PT_SCALE_GEV)
        rest1, rest2 = 1.0 - largest * u_pt1, 1.0 - largest * u_pt2
        deta = self.deta_min + (2.0 * self.y_max - self.deta_min) * u_deta
        mean = (self.y_max - 0.5 * deta) * (2.0 * u_mean - 1.0)
        kinematics = Kinematics.of(
            self.pt_min + _PT_SCALE_GEV * (1.0 / rest1 - 1.0),
            mean + 0.5 * deta,
            self.pt_min + _PT_SCALE_GEV * (1.0 / rest2 - 1.0),
            mean - 0.5 * deta,
            math.pi * (2.0 * u_phi - 1.0),
            mean + Y_HIGGS_MAX * (2.0 * u_h - 1.0),
            self.process.electroweak.m_h,
        )
        volume = (_PT_SCALE_GEV * largest) ** 2 * (2.0 * self.y_max - self.deta_min) * 4.0 * math.pi * Y_HIGGS_MAX
        return kinematics, volume * (2.0 * self.y_max - deta) / (rest1 * rest2) ** 2

    def features(self, kinematics: Kinematics, points: FloatArray) -> dict[str, FloatArray]:
        m_h = self.process.electroweak.m_h
        return features_of(smeared(kinematics, ndtri(points[:, 6:]), m_h) if self.smear else kinematics, m_h)

    def __call__(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        kinematics, jacobian = self.phase_space(points)
        possible = self.cuts.passes(self.features(kinematics, points))
        possible &= (kinematics.plus < SQRT_S_GEV) & (kinematics.minus < SQRT_S_GEV)
        density = np.zeros(len(points))
        weights = self.process.differential_weights(kinematics.take(possible))
        density[possible] = self.monomials @ weights * jacobian[possible]
        # The emphasis follows the square of the interference, the Fisher information of the tail.
        return density, (kinematics.pt1 * kinematics.pt2) ** 2

    def events(self, points: FloatArray) -> Events:
        kinematics, _ = self.phase_space(points)
        return Events(self.features(kinematics, points), self.process.differential_weights(kinematics).T)
