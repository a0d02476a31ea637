"""Higgs production in vector-boson fusion, q q' -> q q' H, at leading order, with exact weight polynomials.

Fusion of W bosons has the coefficients cHW and cHWtil; that of Z bosons and photons has cHB and cHWB and their CP-odd
partners in addition. Operators: O_HW = H^dagger H W^I_mn W^Imn, O_HB, O_HWB = H^dagger sigma^I H W^I_mn B^mn, and the
same with one dual field strength; of the CP-even ones only the tensor structure is kept, without the shifts of
couplings and input parameters. The coefficient of arXiv:2109.10414 (Eq. 33) is f_WWtil = -cHWtil.

The amplitudes are those of `bit.processes.fusion`. Bosons are exchanged in the t-channel only: interference of W with
Z fusion and of one assignment of the jets to the partons with the other, and H V production with V -> q q, are left
out. At the Standard Model the optimal observable of cHWtil in W fusion is 2 (v^2/mW^2) (1 + r) Im A, for two quarks
proportional to pT1 pT2 sin(phi) (arXiv:2109.10414, Eq. 36; its prefactor 8 v^2/mW^2 has to be 2 v^2/mW^2 to agree
with its Table 8).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import InputError, near_match
from bit.parity import CPParity
from bit.particles import IntArray, LHEEvents
from bit.processes.cuts import Cuts, parse_cuts
from bit.processes.detector import JETS, standard_normals
from bit.processes.fusion import Kinematics, charged_weights, neutral_charges, neutral_weights
from bit.processes.fusion_record import EMITS, HIGGS, PARTONS, BoolArray, Record, after_w, momenta_of, refuse
from bit.processes.hvv import FB_GEV2, Electroweak
from bit.processes.pdf import PartonDensities, load
from bit.processes.phase_space import CHUNK
from bit.processes.record import Particles
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

Fusion: TypeAlias = Literal["W", "neutral", "all"]
Quarks: TypeAlias = Literal["ud", "all"]

PARAM_NAMES = ("cHW", "cHWtil")
"""Coefficients of W fusion."""
NEUTRAL_PARAM_NAMES = ("cHW", "cHB", "cHWB", "cHWtil", "cHBtil", "cHWBtil")
"""Coefficients of neutral fusion, and of the sum of both."""

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
    Feature("x_h", "", r"p_{T,H}/m_H"),
)
"""Jets 1 and 2 are ordered in pT; dphi_jj is the azimuth of the jet with the larger rapidity minus the other's."""
FEATURE_NAMES = tuple(feature.name for feature in FEATURES)

CP_PARITY = CPParity(flip=("dphi_jj", "sin_dphi"), odd_params=("cHWtil",))
"""Reflection of all momenta, y -> -y. CP would also exchange quarks and antiquarks in the protons; since the
amplitude has no absorptive part, the weights are even or odd under the reflection alone."""
NEUTRAL_CP_PARITY = CPParity(flip=CP_PARITY.flip, odd_params=("cHWtil", "cHBtil", "cHWBtil"))
"""The same for neutral fusion and the sum of both."""

SELECTIONS = {
    "P": "pt_j2>20, abs(eta_j1)<5, abs(eta_j2)<5, deta_jj>2",
    "T": "pt_j1>40, pt_j2>30, abs(eta_j1)<4.5, abs(eta_j2)<4.5, deta_jj>3, eta_prod<0, m_jj>350",
}
"""Cuts by name: P of arXiv:2109.10414, T typical of H -> tau tau."""

Y_JET_MAX, YHIGGS_MAX = 5.5, 5.0
"""Rapidities up to which jets are simulated, and the Higgs boson relative to the middle between them."""
_TOP = 6
_PT_SCALE_GEV = 60.0


def _basis(fusion: Fusion) -> PolynomialBasis:
    return PolynomialBasis(PARAM_NAMES if fusion == "W" else NEUTRAL_PARAM_NAMES, order=2)


_CHARGED_TERMS = [_basis("neutral").terms.index(term) for term in _basis("W").terms]
"""Where the terms of W fusion stand among those of the sum of both."""


class Channel(NamedTuple):
    """A way to produce the final state of given kinematics.

    Parameters
    ----------
    charged : bool
        Whether W bosons are exchanged, or else Z bosons and photons.
    ahead, behind : int
        Rows of `PARTONS` of the incoming partons along +z and -z.
    exchanged : bool
        Whether the second jet of the kinematics comes from the parton along +z, or else the first.
    """

    charged: bool
    ahead: int
    behind: int
    exchanged: bool


@dataclass(frozen=True, eq=False)
class VBF:
    """The process at fixed settings, a function of the phase space.

    Parameters
    ----------
    quarks : {"ud", "all"}
        "ud" for u d -> d u H by W fusion, the process of arXiv:2109.10414, and u d -> u d H by neutral fusion; "all"
        for all combinations of massless quarks and antiquarks: u, d, s, c, and b in neutral fusion.
    mu_f : float or None
        Factorisation scale in GeV, None for mW.
    electroweak : Electroweak
        Masses and couplings.
    pdf : PartonDensities
        Densities; negative ones count as 0, so that every weight is positive.
    fusion : {"W", "neutral", "all"}
        Fusion of W bosons, of Z bosons and photons, or the sum of both, without interference.
    """

    quarks: Quarks = "ud"
    mu_f: float | None = None
    electroweak: Electroweak = field(default_factory=Electroweak)
    pdf: PartonDensities = field(default_factory=load)
    fusion: Fusion = "W"

    @property
    def basis(self) -> PolynomialBasis:
        """Coefficients of the weights: `PARAM_NAMES` for W fusion, else `NEUTRAL_PARAM_NAMES`."""
        return _basis(self.fusion)

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
        x1, x2 = at.plus / SQRT_S_GEV, at.minus / SQRT_S_GEV
        ahead, behind = self.densities(x1), self.densities(x2)
        if self.fusion == "W":
            squared = self._charged(at, _without_b(ahead), _without_b(behind))
        else:
            squared = self._neutral(at, ahead.sum(axis=1), behind.sum(axis=1))
            if self.fusion == "all":
                squared[_CHARGED_TERMS] += self._charged(at, _without_b(ahead), _without_b(behind))
        # 1/4 averages over spins, 1/(2s) is the flux, 2/S turns dx1 dx2 delta(E) delta(pz) into fixed x1, x2;
        # d^3p/((2 pi)^3 2E) = pT dpT dphi dy/(16 pi^3) for each particle; one azimuth is integrated.
        s_hadron = SQRT_S_GEV**2
        flux = FB_GEV2 / 4.0 / (2.0 * x1 * x2 * s_hadron)
        phase_space = (2.0 * math.pi) ** 4 * (2.0 / s_hadron) * (16.0 * math.pi**3) ** -3 * 2.0 * math.pi
        squared *= flux * phase_space * at.pt1 * at.pt2 / (x1 * x2)
        return squared

    def densities(self, fraction: FloatArray) -> FloatArray:
        """Momentum densities x f(x) of `PARTONS`.

        Parameters
        ----------
        fraction : ndarray of float64, shape (n,)
            Momentum fractions x.

        Returns
        -------
        ndarray of float64, shape (4, 2 or 3, n)
            Of two generations for W fusion, else of three; 0 for the flavours that are left out.
        """
        scale = self.electroweak.m_w if self.mu_f is None else self.mu_f
        partons = PARTONS if self.fusion != "W" else PARTONS[:, :2]
        wanted = np.isin(partons, (1, 2)) if self.quarks == "ud" else np.abs(partons) != _TOP
        result = np.zeros((*partons.shape, len(fraction)))
        result[wanted] = np.maximum(self.pdf.xf(partons[wanted].tolist(), fraction, scale), 0.0).T
        return result

    def _charged(self, at: Kinematics, ahead: FloatArray, behind: FloatArray) -> FloatArray:
        """|M|^2 of W fusion with densities, summed over flavours and both assignments of the jets, shape (6, n)."""
        exchanged = at.exchanged()
        same = sum(ahead[one] * behind[two] for one, two in ((0, 1), (1, 0), (3, 2), (2, 3)))
        squared: FloatArray = same * (self._charged_square(at) + self._charged_square(exchanged))
        if self.quarks != "ud":
            opposite = sum(ahead[one] * behind[two] for one, two in ((0, 2), (3, 1), (2, 0), (1, 3)))
            both = self._charged_square(at, antiquark=True) + self._charged_square(exchanged, antiquark=True)
            squared += opposite * both
        return squared

    def _charged_square(self, at: Kinematics, *, antiquark: bool = False) -> FloatArray:
        return charged_weights(at, self.electroweak, antiquark=antiquark)

    def _neutral(self, at: Kinematics, ahead: FloatArray, behind: FloatArray) -> FloatArray:
        """|M|^2 of neutral fusion with densities, summed as in `_charged`, shape (28, n)."""
        charges = neutral_charges(self.electroweak)
        every = slice(None)
        pairs = ((slice(0, 1), slice(1, 2)), (slice(1, 2), slice(0, 1))) if self.quarks == "ud" else ((every, every),)
        squared = np.zeros((self.basis.n_terms, len(at.pt1)))
        for one, two in pairs:
            line1, line2 = (np.tensordot(charges[..., k], f[k], 1) for k, f in ((one, ahead), (two, behind)))
            for assigned in (at, at.exchanged()):
                squared += neutral_weights(assigned, line1, line2, self.electroweak)
        return squared

    def channels(self, kinematics: Kinematics, monomials: FloatArray) -> tuple[tuple[Channel, ...], FloatArray]:
        """Parts of the differential cross-section by kind of bosons, flavours, and which jet comes from which parton.

        Parameters
        ----------
        kinematics : Kinematics
            Final state.
        monomials : ndarray of float64, shape (n_terms,)
            Of the coefficients (`bit.basis.PolynomialBasis.monomials`).

        Returns
        -------
        channels : tuple of Channel
            All that there are.
        parts : ndarray of float64, shape (n_channels, n)
            Their shares of the cross-section, up to a common factor in each event.
        """
        at = kinematics
        densities = [self.densities(end / SQRT_S_GEV) for end in (at.plus, at.minus)]
        sums = [(found.sum(axis=1), _without_b(found)) for found in densities]
        labels = [Channel(*label) for label in product((True, False), range(4), range(4), (False, True))]
        labels = [label for label in labels if self._exists(label)]
        charges = neutral_charges(self.electroweak)
        parts = np.empty((len(labels), len(at.pt1)))
        for row, (charged, one, two, exchanged) in enumerate(labels):
            assigned = at.exchanged() if exchanged else at
            if charged:
                weights = charged_weights(assigned, self.electroweak, antiquark=one // 2 != two // 2)
                monomial = monomials if self.fusion == "W" else monomials[_CHARGED_TERMS]
            else:
                line1, line2 = (np.multiply.outer(charges[..., k], np.ones_like(at.pt1)) for k in (one, two))
                weights, monomial = neutral_weights(assigned, line1, line2, self.electroweak), monomials
            parts[row] = monomial @ weights * sums[0][charged][one] * sums[1][charged][two]
        return tuple(labels), parts

    def _exists(self, channel: Channel) -> bool:
        if self.fusion == ("neutral" if channel.charged else "W"):
            return False
        if self.quarks == "ud" and {channel.ahead, channel.behind} != {0, 1}:
            return False
        return not channel.charged or bool(EMITS[channel.ahead] != EMITS[channel.behind])


def _without_b(densities: FloatArray) -> FloatArray:
    """Sum over the first two generations of the densities of `PARTONS`."""
    result: FloatArray = densities[:, :2].sum(axis=1)
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
        at.pt_h / m_h,
    )
    return dict(zip(FEATURE_NAMES, columns, strict=True))


def smeared(kinematics: Kinematics, normals: FloatArray, m_h: float) -> Kinematics:
    """Jets as a detector would measure them.

    As `bit.processes.detector.JETS`: pT is multiplied with 1 + N(0, sqrt(0.8^2 GeV/pT + 0.05^2)), and N(0, 0.02) added
    to each rapidity and azimuth. The Higgs boson keeps its rapidity and balances the measured jets.

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
    pt1, pt2 = at.pt1 * JETS.factor(at.pt1, numbers[0]), at.pt2 * JETS.factor(at.pt2, numbers[1])
    y1, y2 = at.y1 + JETS.angle * numbers[2], at.y2 + JETS.angle * numbers[3]
    dphi = at.dphi + JETS.angle * math.sqrt(2.0) * numbers[4]
    return Kinematics.of(pt1, y1, pt2, y2, dphi, at.y_h, m_h)


def simulate(
    n_events: int,
    *,
    seed: int,
    fusion: Fusion = "W",
    quarks: Quarks = "ud",
    mu_f: float | None = None,
    e: float = 0.3028,
    cuts: str | None = None,
    smear: bool = False,
    theta0: ThetaLike | None = None,
    show_progress: bool = True,
) -> Simulation:
    """Simulate q q' -> q q' H by fusion of vector bosons at 13 TeV with exact weights.

    Parameters
    ----------
    n_events : int
        Number of events, at least 1.
    seed : int
        Not negative; the same seed gives the same table.
    fusion : {"W", "neutral", "all"}, default="W"
        Fusion of W bosons, with the coefficients cHW and cHWtil; of Z bosons and photons, with the coefficients
        `NEUTRAL_PARAM_NAMES`; or the sum of both without interference, with the same ones.
    quarks : {"ud", "all"}, default="ud"
        "ud" is u d -> d u H alone for W fusion, as in arXiv:2109.10414, and u d -> u d H for neutral fusion; "all"
        adds c, s, antiquarks and, in neutral fusion, b.
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
    theta0 : array-like of shape (2,) or (6,), or mapping, optional
        Reference point of the weights in TeV^-2, at which the events are drawn; default the Standard Model.
    show_progress : bool, default=True
        Draw progress bars.

    Returns
    -------
    Simulation
        Table with the features `FEATURES` (float32) and 6 or, with six coefficients, 28 weight terms in fb;
        cross-section, its error, and the configuration. Its particles are those before smearing, with one choice of
        flavours for each event.

    Raises
    ------
    InputError
        For arguments outside their rule, an unknown feature in the cuts, or cuts that leave nothing.
    MissingPackageError
        If vegas is not installed.

    Notes
    -----
    A small share of the events is drawn like pT1^2 pT2^2 times the cross-section, the square of the interference, such
    that n_eff/n is about 0.92, with smearing 0.85 to 0.9 (`bit.processes.phase_space`). H V production and
    interference of different exchanges are left out, and so are the loops by which the Standard Model fuses photons.
    """
    _check(n_events, seed, fusion, quarks, mu_f, e)
    process = VBF(quarks, None if mu_f is None else float(mu_f), Electroweak(e=e), fusion=fusion)
    point = reference_point(process.basis, theta0)
    selection = SELECTIONS.get(cuts or "", cuts)
    cube = _Cube.of(process, parse_cuts(selection, FEATURE_NAMES), process.basis.monomials(point), smear)
    return generate(
        cube,
        process.basis,
        FEATURES,
        point,
        n_events=n_events,
        seed=seed,
        configuration={
            "process": "vbf",
            "fusion": fusion,
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


def _check(n_events: int, seed: int, fusion: str, quarks: str, mu_f: object, e: float) -> None:
    """Refuse arguments of `simulate` outside their rule."""
    require_common(n_events, seed, e)
    _check_fusion(fusion)
    if quarks not in ("ud", "all"):
        raise InputError(f"quarks={quarks!r}: {near_match(quarks, ('ud', 'all'))}")
    require_scale(mu_f, "None for mW")


def _check_fusion(fusion: str) -> None:
    if fusion not in ("W", "neutral", "all"):
        raise InputError(f"fusion={fusion!r}: {near_match(fusion, ('W', 'neutral', 'all'))}")


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
            mean + YHIGGS_MAX * (2.0 * u_h - 1.0),
            self.process.electroweak.m_h,
        )
        volume = (_PT_SCALE_GEV * largest) ** 2 * (2.0 * self.y_max - self.deta_min) * 4.0 * math.pi * YHIGGS_MAX
        return kinematics, volume * (2.0 * self.y_max - deta) / (rest1 * rest2) ** 2

    def features(self, kinematics: Kinematics, points: FloatArray) -> dict[str, FloatArray]:
        m_h = self.process.electroweak.m_h
        return features_of(smeared(kinematics, standard_normals(points[:, 6:]), m_h) if self.smear else kinematics, m_h)

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

    def particles(self, points: FloatArray, rng: np.random.Generator) -> Particles:
        kinematics, _ = self.phase_space(points)
        uniforms = rng.random((4, len(points)))
        incoming, outgoing, exchanged = self._flavours(kinematics, uniforms[:3])
        momenta = momenta_of(kinematics, exchanged, 2.0 * math.pi * uniforms[3], self.process.electroweak.m_h)
        pdg = np.insert(np.concatenate([incoming, outgoing], axis=1), 2, HIGGS, axis=1)
        lines = np.array([501, 502, 0, 501, 502])
        # The colour of a quark stands in the first column, the anticolour of an antiquark in the second.
        colour = np.stack([np.where(pdg > 0, lines, 0), np.where(pdg < 0, lines, 0)], axis=-1)
        return Particles(
            pdg=pdg,
            status=(-1, -1, 1, 1, 1),
            mothers=((0, 0), (0, 0), (1, 2), (1, 2), (1, 2)),
            colour=colour,
            momenta=momenta,
            mass=np.array([0.0, 0.0, self.process.electroweak.m_h, 0.0, 0.0]),
        )

    def _flavours(self, kinematics: Kinematics, uniforms: FloatArray) -> tuple[IntArray, IntArray, BoolArray]:
        """Incoming and outgoing partons (n, 2), and whether the second jet comes from the parton along +z."""
        incoming, outgoing = np.empty((2, len(kinematics.pt1), 2), dtype=np.int64)
        exchanged = np.empty(len(kinematics.pt1), dtype=bool)
        for first in range(0, len(exchanged), CHUNK):
            rows = slice(first, first + CHUNK)
            at = kinematics.take(rows)
            channels, parts = self.process.channels(at, self.monomials)
            columns = np.array(channels, dtype=np.int64)[_drawn(parts, uniforms[0, rows])]
            for side, fraction in enumerate((at.plus / SQRT_S_GEV, at.minus / SQRT_S_GEV)):
                kind = columns[:, 1 + side]
                generations = self.process.densities(fraction)[kind, :, np.arange(len(kind))].T
                generations[2:, columns[:, 0] == 1] = 0.0
                incoming[rows, side] = PARTONS[kind, _drawn(generations, uniforms[1 + side, rows])]
            charged = columns[:, :1] == 1
            outgoing[rows] = np.where(charged, after_w(incoming[rows]), incoming[rows])
            exchanged[rows] = columns[:, 3] == 1
        return incoming, outgoing, exchanged


def _drawn(parts: FloatArray, uniforms: FloatArray) -> IntArray:
    """Row of each column of `parts`, in proportion to its share, from one uniform number."""
    reached = np.cumsum(parts, axis=0)
    row: IntArray = np.argmax(reached > uniforms * reached[-1], axis=0)
    return row


def features_of_particles(events: LHEEvents) -> tuple[FloatArray, tuple[str, ...]]:
    """Features of the events of a Les Houches file: ``bit.read_lhe(path, features=vbf.features_of_particles)``.

    Parameters
    ----------
    events : LHEEvents
        With two incoming quarks along the beam, two outgoing quarks, and a Higgs boson, which may be decayed.

    Returns
    -------
    features : ndarray of float64, shape (n_events, n_features)
        See `FEATURES`, with the mass of the Higgs boson of `bit.processes.hvv.Electroweak`.
    names : tuple of str
        `FEATURE_NAMES`.

    Raises
    ------
    InputError
        If events are of another process; it says how many.
    """
    columns = features_of(Record.of(events).kinematics, Electroweak().m_h)
    return np.stack(list(columns.values()), axis=-1), FEATURE_NAMES


def weights_of_particles(
    events: LHEEvents,
    *,
    fusion: Fusion = "W",
    electroweak: Electroweak | None = None,
    gamma_z: float = 0.0,
    fixed_helicities: bool = False,
) -> FloatArray:
    """Weight polynomials of |M|^2 for the momenta and flavours of given events, to compare event by event.

    Parameters
    ----------
    events : LHEEvents
        As for `features_of_particles`.
    fusion : {"W", "neutral", "all"}, default="W"
        Which bosons, as in `simulate`; all events must have flavours that these can produce.
    electroweak : Electroweak, optional
        Masses and couplings.
    gamma_z : float, default=0
        Width of the Z in GeV in its space-like propagators. It does not belong there, but some programs have it.
    fixed_helicities : bool, default=False
        Take the helicities of the incoming quarks from the spin column instead of summing over them.

    Returns
    -------
    ndarray of float64, shape (n_events, n_terms)
        |M|^2 in GeV^-2 about the Standard Model, not averaged over spins, with the coefficients `PARAM_NAMES` for
        W fusion, else `NEUTRAL_PARAM_NAMES`. Where either jet can come from either parton, as in u u -> u u H, the
        sum of both without interference.

    Raises
    ------
    InputError
        If events are of another process, or have no helicities where these are asked for.
    """
    _check_fusion(fusion)
    constants = electroweak or Electroweak()
    record = Record.of(events)
    helicities = np.ones((*record.incoming.shape, 2))
    if fixed_helicities:
        refuse((np.abs(record.spin) != 1.0).any(axis=1), "with helicities of -1 or 1 of the incoming quarks")
        helicities = (record.spin[:, :, np.newaxis] == np.array([-1.0, 1.0])).astype(np.float64)
    weights = np.zeros((_basis(fusion).n_terms, events.n_events))
    possible = np.zeros(events.n_events, dtype=bool)
    for assigned in (record, record.exchanged()):
        if fusion != "neutral":
            fits = assigned.exchanges_w()
            terms = slice(None) if fusion == "W" else _CHARGED_TERMS
            weights[terms] += np.where(fits, assigned.charged_weights(helicities, constants), 0.0)
            possible |= fits
        if fusion != "W":
            fits = (assigned.outgoing == assigned.incoming).all(axis=1)
            weights += np.where(fits, assigned.neutral_weights(helicities, constants, gamma_z), 0.0)
            possible |= fits
    refuse(~possible, f"of fusion={fusion!r}")
    return weights.T
