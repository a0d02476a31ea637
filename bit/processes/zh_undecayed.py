"""pp -> Z H with a stable Z at leading order, with exact weights in fB: the first example of arXiv:2109.10414.

The operator is O_B = (i g'/2) (D_m phi)^dagger (D_n phi) B^mn (its Eq. 14). With the weak angle (s_w, c_w), the
covariant derivative of `bit.processes.hvv`, q and p the momenta of the incoming pair and of the Z, and
M = a (J.eps) + b (p.J)(p_H.eps) for the current J of a quark with coupling g = g_Z (T3 - Q s_w^2) and charge Q,

    a_0 = (2 mZ^2/v) g/(s - mZ^2),   b_0 = 0,   K = g' g_Z v/4,
    a_B = K [s_w g mH^2/(s - mZ^2) - c_w e Q (p_H.q)/s],   b_B = K [2 s_w g/(s - mZ^2) - c_w e Q/s],

of which the terms with e Q are due to the photon. The sum over the polarisations of the Z is

    sum |M|^2 = a^2 X + 2 a b Y + b^2 V,   X = s (2 mZ^2 + pT^2)/mZ^2,   Y = s pT^2 (p.q)/mZ^2,   V = s^2 k^2 pT^2/mZ^2,

k and pT the momentum of the Z in the partonic frame and its transverse part, the same for both chiralities. Without
the photon the score at fB = 0 is (g'^2 v^2/4 mZ^2) [mH^2 + (s + mZ^2 - mH^2) pT^2/(2 mZ^2 + pT^2)]. Eq. 21 and 22 of
the paper have s - mZ^2 in place of the bracket (``mode="eq21"``), as if every polarisation behaved as the one in
which J.eps and (p.J)(p_H.eps) are proportional at high energy; its tables agree with the full sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import InputError, near_match
from bit.parity import CPParity
from bit.particles import LHEEvents
from bit.processes.cuts import Cuts, parse_cuts
from bit.processes.detector import Detector, as_detector, standard_normals
from bit.processes.hvv import FB_GEV2, GEV2_PER_TEV2, Electroweak, propagator
from bit.processes.pdf import PartonDensities, load
from bit.processes.record import Particles
from bit.processes.simulation import (
    Events,
    Feature,
    Simulation,
    generate,
    reference_point,
    require_common,
    require_scale,
)
from bit.processes.zh_scattering import (
    HIGGS,
    QUARKS,
    Z_BOSON,
    Scattering,
    ScatteringMap,
    check_flavours,
    colour_lines,
    differential_factor,
    draw_row,
    find,
    find_quarks,
    incoming_codes,
    incoming_pair,
    invariant_mass,
    luminosities,
    quark_codes,
    to_laboratory,
    to_rest_frame,
    z_momentum,
)

PARAM_NAMES = ("fB",)

FEATURES = (
    Feature("x_p", "", r"x_p"),
    Feature("x_eta", "", r"|\eta_-|"),
    Feature("eta_plus", "", r"\eta_+"),
    Feature("sqrt_s", "GeV", r"\sqrt{\hat{s}}"),
    Feature("pt", "GeV", r"p_{T,Z}"),
    Feature("y", "", r"y_{ZH}"),
    Feature("cos_theta", "", r"\cos\Theta"),
)
"""x_p = pT/mH, x_eta = |eta_Z - eta_H| and eta_plus = eta_Z + eta_H with pseudorapidities (arXiv:2109.10414, Eq. 15 and
23); the others as in `bit.processes.zh`."""
FEATURE_NAMES = tuple(feature.name for feature in FEATURES)

CP_PARITY = CPParity()
"""Nothing is odd: O_B conserves CP, and three momenta in a plane with the beam have no angle that changes sign."""


@dataclass(frozen=True, eq=False)
class ZHUndecayed:
    """The process at fixed settings, a function of the phase space.

    Parameters
    ----------
    quarks : tuple of str
        Initial flavours out of u, d, s, c, b; each with its antiquark, in both assignments to the beams.
    mu_f : float or None
        Factorisation scale in GeV, None for sqrt(s) of the partons.
    photon : bool
        Whether the operator acts by exchange of a photon as well.
    mode : {"full", "eq21"}
        Sum over polarisations, or Eq. 21 of arXiv:2109.10414, which has no photon.
    electroweak : Electroweak
        Masses and couplings.
    pdf : PartonDensities
        Densities; negative ones count as 0, so that every weight is positive.
    """

    quarks: tuple[str, ...] = ("u", "d")
    mu_f: float | None = Electroweak.m_z
    photon: bool = True
    mode: Literal["full", "eq21"] = "full"
    electroweak: Electroweak = field(default_factory=Electroweak)
    pdf: PartonDensities = field(default_factory=load)

    def squared_amplitudes(self, sqrt_s: FloatArray, cos_theta: FloatArray) -> FloatArray:
        """Weight polynomial of |M|^2, summed over helicities and polarisations.

        Parameters
        ----------
        sqrt_s : ndarray of float64, shape (n,)
            Partonic centre-of-mass energy in GeV.
        cos_theta : ndarray of float64, shape (n,)
            Cosine of the angle between Z and quark, or antiquark.

        Returns
        -------
        ndarray of float64, shape (n_quarks, 3, n)
            |M(q qbar -> Z H)|^2, not averaged over spins and colours, without unit.
        """
        electroweak = self.electroweak
        m_z, m_h = electroweak.m_z, electroweak.m_h
        s = sqrt_s**2
        momentum = z_momentum(sqrt_s, electroweak)
        pt2 = momentum**2 * (1.0 - cos_theta**2)
        pole = propagator(s, m_z)
        squares = s * (2.0 + pt2 / m_z**2)
        mixed = s * pt2 / m_z**2 * 0.5 * (s + m_z**2 - m_h**2)
        flows = s**2 * momentum**2 * pt2 / m_z**2
        scale = electroweak.g_prime * electroweak.g_z * electroweak.vev / (4.0 * GEV2_PER_TEV2)
        result = np.zeros((len(self.quarks), 3, len(sqrt_s)))
        for row, quark in enumerate(self.quarks):
            _, isospin, charge = QUARKS[quark]
            for t3 in (isospin, 0.0):
                exchange = electroweak.z_charge(t3, charge) * pole
                standard = 2.0 * m_z**2 / electroweak.vev * exchange
                if self.mode == "eq21":
                    growth = scale * electroweak.sin * (s - m_z**2) * exchange
                    contact, flow = growth, np.zeros_like(s)
                else:
                    light = electroweak.cos * electroweak.e * charge / s if self.photon else np.zeros_like(s)
                    contact = scale * (electroweak.sin * exchange * m_h**2 - light * 0.5 * (s + m_h**2 - m_z**2))
                    flow = scale * (2.0 * electroweak.sin * exchange - light)
                result[row, 0] += standard**2 * squares
                result[row, 1] += 2.0 * standard * (contact * squares + flow * mixed)
                result[row, 2] += 2.0 * (contact**2 * squares + 2.0 * contact * flow * mixed + flow**2 * flows)
        return result

    def differential_weights(self, sqrt_s: FloatArray, y: FloatArray, cos_theta: FloatArray) -> FloatArray:
        """Weight polynomial of the differential cross-section of proton collisions, for each flavour.

        d sigma/(d sqrt(s) dy dcosT) with both assignments of quark and antiquark to the beams.

        Parameters
        ----------
        sqrt_s : ndarray of float64, shape (n,)
            Partonic centre-of-mass energy in GeV.
        y : ndarray of float64, shape (n,)
            Rapidity of the ZH system.
        cos_theta : ndarray of float64, shape (n,)
            Cosine of the angle between Z and +z in the partonic frame.

        Returns
        -------
        ndarray of float64, shape (n_quarks, 3, n)
            In fb/GeV.
        """
        ahead, behind = luminosities(self.pdf, self.quarks, sqrt_s, y, self.mu_f)
        factor = differential_factor(FB_GEV2, sqrt_s, z_momentum(sqrt_s, self.electroweak))
        result: FloatArray = (ahead + behind)[:, np.newaxis] * self.squared_amplitudes(sqrt_s, cos_theta) * factor
        return result


def features_of(z_boson: FloatArray, higgs: FloatArray, m_h: float) -> dict[str, FloatArray]:
    """Return the features by name, in the order of `FEATURES`.

    Parameters
    ----------
    z_boson, higgs : ndarray of float64, shape (n, 4)
        Momenta (E, px, py, pz) in GeV in the laboratory.
    m_h : float
        Unit of x_p in GeV.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        sqrt(s), y and cosT determine every weight. x_p and x_eta nearly determine the score of one flavour; not
        wholly, as differences of pseudorapidities of massive particles change under boosts.
    """
    total = z_boson + higgs
    at_rest = to_rest_frame(z_boson, total)
    cos_theta = at_rest[:, 3] / np.hypot(np.hypot(at_rest[:, 1], at_rest[:, 2]), at_rest[:, 3])
    pt = np.hypot(z_boson[:, 1], z_boson[:, 2])
    eta_z, eta_h = (np.arcsinh(p[:, 3] / np.hypot(p[:, 1], p[:, 2])) for p in (z_boson, higgs))
    columns = (
        pt / m_h,
        np.abs(eta_z - eta_h),
        eta_z + eta_h,
        invariant_mass(total),
        pt,
        np.arctanh(total[:, 3] / total[:, 0]),
        cos_theta,
    )
    return dict(zip(FEATURE_NAMES, columns, strict=True))


def produced(scattering: Scattering, azimuth: FloatArray, electroweak: Electroweak) -> FloatArray:
    """Momenta in the laboratory.

    Parameters
    ----------
    scattering : Scattering
        n points of the phase space.
    azimuth : ndarray of float64, shape (n,)
        Of the Z.
    electroweak : Electroweak
        Masses.

    Returns
    -------
    ndarray of float64, shape (2, n, 4)
        (E, px, py, pz) of Z and Higgs boson in GeV.
    """
    momentum = z_momentum(scattering.sqrt_s, electroweak)
    along = momentum * scattering.cos_theta
    at_rest = np.zeros((2, len(along), 4))
    for boson, mass, sign in zip(at_rest, (electroweak.m_z, electroweak.m_h), (1.0, -1.0), strict=True):
        boson[:, 0], boson[:, 1], boson[:, 3] = np.hypot(momentum, mass), sign * scattering.pt, sign * along
    return to_laboratory(at_rest, scattering.y, azimuth)


def measured(momenta: FloatArray, normals: FloatArray, detector: Detector, electroweak: Electroweak) -> FloatArray:
    """Momenta as a detector measures them.

    Parameters
    ----------
    momenta : ndarray of float64, shape (2, n, 4)
        (E, px, py, pz) of Z and Higgs boson in GeV in the laboratory.
    normals : ndarray of float64, shape (2, n, 3)
        Independent standard normal numbers, see `bit.processes.detector.Response.smear`.
    detector : Detector
        Each boson is measured as one object: the momentum of the Z with the response to electrons, into which it
        decays, that of the Higgs boson with the response to jets. Energies follow from momenta and masses.
    electroweak : Electroweak
        Masses.

    Returns
    -------
    ndarray of float64, shape (2, n, 4)
        A new array.
    """
    z_boson = detector.electrons.smear_on_shell(momenta[0], electroweak.m_z, normals[0])
    return np.stack([z_boson, detector.jets.smear_on_shell(momenta[1], electroweak.m_h, normals[1])])


_N_SMEARING = 6
_WHAT = (
    "pp -> Z H with a stable Z: each needs an incoming quark and antiquark of one flavour, and one Z and one Higgs "
    "boson that are outgoing (status 1)"
)


def features_of_particles(events: LHEEvents) -> tuple[FloatArray, tuple[str, ...]]:
    """Features of the events of a Les Houches file, for `bit.read_lhe`.

    Parameters
    ----------
    events : LHEEvents
        Each with one outgoing Z and one outgoing Higgs boson.

    Returns
    -------
    features : ndarray of float64, shape (n_events, 7)
        As in `FEATURES`, x_p with mH = 125.1 GeV.
    names : tuple of str
        `FEATURE_NAMES`.

    Raises
    ------
    InputError
        For events of other processes; it counts them.
    """
    z_boson, higgs = events.momenta[find(events, [(1, (Z_BOSON,)), (1, (HIGGS,))], _WHAT)]
    return np.stack(list(features_of(z_boson, higgs, Electroweak.m_h).values()), axis=-1), FEATURE_NAMES


def weights_of_particles(
    events: LHEEvents,
    *,
    electroweak: Electroweak | None = None,
    photon: bool = True,
    mode: Literal["full", "eq21"] = "full",
) -> FloatArray:
    """Weight polynomial of |M|^2 of the events of a Les Houches file.

    Parameters
    ----------
    events : LHEEvents
        As for `features_of_particles`, with an incoming quark and antiquark of one flavour.
    electroweak : Electroweak, optional
        Masses and couplings, default those of `simulate`.
    photon, mode
        As for `simulate`.

    Returns
    -------
    ndarray of float64, shape (n_events, 3)
        For the flavour of the event, normalised as `ZHUndecayed.squared_amplitudes`.

    Raises
    ------
    InputError
        For events of other processes, which it counts, or an unknown mode.
    """
    _check_mode(mode, photon)
    names, incoming = find_quarks(events, _WHAT)
    features, _ = features_of_particles(events)
    sqrt_s, cos_theta = (features[:, FEATURE_NAMES.index(name)] for name in ("sqrt_s", "cos_theta"))
    process = ZHUndecayed(tuple(names), None, photon, mode, Electroweak() if electroweak is None else electroweak)
    of_flavour = events.pdg[incoming[0]][:, np.newaxis] == quark_codes(names)
    terms: FloatArray = process.squared_amplitudes(sqrt_s, cos_theta)[
        of_flavour.argmax(axis=1), :, np.arange(len(events))
    ]
    return terms


def simulate(
    n_events: int,
    *,
    seed: int,
    mu_f: float | Literal["sqrt_s"] = Electroweak.m_z,
    e: float = 0.3028,
    cuts: str | None = None,
    flavour: Literal["summed", "latent"] = "summed",
    quarks: Sequence[str] = ("u", "d"),
    photon: bool = True,
    mode: Literal["full", "eq21"] = "full",
    smear: bool | Detector = False,
    theta0: ThetaLike | None = None,
    show_progress: bool = True,
) -> Simulation:
    """Simulate pp -> Z H with a stable Z at 13 TeV with exact weights in fB.

    Parameters
    ----------
    n_events : int
        Number of events, at least 1.
    seed : int
        Not negative; the same seed gives the same table.
    mu_f : float or "sqrt_s", default=91.1876
        Factorisation scale in GeV, or the partonic centre-of-mass energy.
    e : float, default=0.3028
        Electromagnetic coupling; 0.31345 is its value at mZ, with which the tables of arXiv:2109.10414 agree.
    cuts : str, optional
        Comparisons of features with numbers, ``"pt>200, abs(y)<2.5"``.
    flavour : {"summed", "latent"}, default="summed"
        "summed" adds the weights of all quark flavours, so that they are a function of the features.
        "latent" draws one flavour for each event in proportion to its weight at the reference point, keeps its PDG
        identity in ``aux["flavour"]`` and gives the event that flavour's polynomial, so that the truth as a function
        of the features is an average.
    quarks : sequence of str, default=("u", "d")
        Initial flavours out of u, d, s, c, b.
    photon : bool, default=True
        Whether the operator acts by exchange of a photon as well as of a Z.
    mode : {"full", "eq21"}, default="full"
        Sum over the polarisations of the Z, or Eq. 21 of arXiv:2109.10414, which needs ``photon=False``.
    smear : bool or Detector, default=False
        Measure both bosons with a detector (`measured`), True for `bit.processes.detector.Detector` as it is. Features
        and cuts then are those of the measured momenta. Weights stay those of the true ones, so that the truth as a
        function of the features is an average. Efficiencies are not applied.
    theta0 : array-like of shape (1,), or mapping, optional
        Reference point of the weights in TeV^-2, at which the events are drawn; default the Standard Model.
    show_progress : bool, default=True
        Draw progress bars.

    Returns
    -------
    Simulation
        Table with the features `FEATURES` (float32) and three weight terms in fb, cross-section, its error, and the
        configuration. Les Houches records hold the true momenta.

    Raises
    ------
    InputError
        For arguments outside their rule, an unknown feature in the cuts, or cuts that leave nothing.
    MissingPackageError
        If vegas is not installed.

    Notes
    -----
    Events have importance weights such that n_eff/n is about 0.75, as in `bit.processes.zh.simulate`.
    """
    basis = PolynomialBasis(PARAM_NAMES, order=2)
    point = reference_point(basis, theta0)
    require_common(n_events, seed, e)
    require_scale(None if mu_f == "sqrt_s" else mu_f, "'sqrt_s'")
    check_flavours(flavour, quarks)
    _check_mode(mode, photon)
    scale = None if mu_f == "sqrt_s" else float(mu_f)
    process = ZHUndecayed(tuple(quarks), scale, bool(photon), mode, Electroweak(e=e))
    detector = as_detector(smear)
    cube = _Cube.of(process, parse_cuts(cuts, FEATURE_NAMES), basis.monomials(point), flavour == "latent", detector)
    return generate(
        cube,
        basis,
        FEATURES,
        point,
        n_events=n_events,
        seed=seed,
        configuration={
            "process": "zh_undecayed",
            "mu_f": mu_f,
            "e": e,
            "cuts": cuts,
            "flavour": flavour,
            "quarks": list(quarks),
            "photon": process.photon,
            "mode": mode,
            "detector": detector.configuration() if detector else None,
            "pdf": load().origin,
        },
        n_eff_fraction=_N_EFF_FRACTION,
        show_progress=show_progress,
    )


_N_EFF_FRACTION = 0.75


def _check_mode(mode: str, photon: bool) -> None:
    """Refuse a mode that does not exist, or has no photon."""
    if mode not in ("full", "eq21"):
        raise InputError(f"mode={mode!r}: {near_match(mode, ('full', 'eq21'))}")
    if mode == "eq21" and photon:
        raise InputError("mode='eq21' has no photon: ask for photon=False, or for mode='full'.")


@dataclass(frozen=True, eq=False)
class _Cube:
    """Map of the unit hypercube on the phase space.

    A fourth dimension draws the flavour, where events keep it; the last six are the quantiles of what a detector does.
    """

    process: ZHUndecayed
    scattering: ScatteringMap
    cuts: Cuts
    monomials: FloatArray
    latent: bool
    detector: Detector | None

    @classmethod
    def of(
        cls, process: ZHUndecayed, cuts: Cuts, monomials: FloatArray, latent: bool, detector: Detector | None
    ) -> _Cube:
        # Cuts on what is measured bound no true momentum.
        on_truth = Cuts() if detector else cuts
        scattering = ScatteringMap.of(on_truth, process.electroweak, "zh_undecayed")
        return cls(process, scattering, cuts, monomials, latent, detector)

    @property
    def n_dim(self) -> int:
        return (4 if self.latent else 3) + (_N_SMEARING if self.detector else 0)

    def phase_space(self, points: FloatArray) -> tuple[dict[str, FloatArray], FloatArray, Scattering]:
        """Features as they are observed, weights of all flavours, and the point of the phase space."""
        found = self.scattering(points[:, 0], points[:, 1], points[:, 2])
        electroweak = self.process.electroweak
        momenta = produced(found, np.zeros(len(points)), electroweak)
        if self.detector:
            normals = np.moveaxis(standard_normals(points[:, -_N_SMEARING:]).reshape(-1, 2, 3), 1, 0)
            momenta = measured(momenta, normals, self.detector, electroweak)
        weights = self.process.differential_weights(found.sqrt_s, found.y, found.cos_theta)
        z_boson, higgs = momenta
        return features_of(z_boson, higgs, electroweak.m_h), weights, found

    def __call__(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        features, weights, found = self.phase_space(points)
        density = (self.monomials @ weights).sum(axis=0) * found.jacobian * 4.0
        density[~self.cuts.passes(features)] = 0.0
        # Interference grows like s: the emphasis follows its square, the Fisher information of the tail.
        return density, found.sqrt_s**4

    def events(self, points: FloatArray) -> Events:
        features, weights, _ = self.phase_space(points)
        if not self.latent:
            return Events(features, weights.sum(axis=0).T)
        chosen = draw_row(self.monomials @ weights, points[:, 3])
        codes = quark_codes(self.process.quarks)[chosen]
        return Events(features, weights[chosen, :, np.arange(len(chosen))], {"flavour": codes})

    def particles(self, points: FloatArray, rng: np.random.Generator) -> Particles:
        _, weights, found = self.phase_space(points)
        process, n = self.process, len(points)
        coins = points[:, 3] if self.latent else rng.random(n)
        chosen = draw_row(self.monomials @ weights, coins)
        # |M|^2 does not depend on the assignment to the beams, the densities do.
        ahead, behind = (
            of_beam[chosen, np.arange(n)]
            for of_beam in luminosities(process.pdf, process.quarks, found.sqrt_s, found.y, process.mu_f)
        )
        is_ahead = rng.random(n) * (ahead + behind) < ahead
        z_boson, higgs = produced(found, 2.0 * math.pi * rng.random(n), process.electroweak)
        incoming = incoming_pair(z_boson + higgs)
        bosons = np.tile([Z_BOSON, HIGGS], (n, 1))
        pdg = np.concatenate([incoming_codes(quark_codes(process.quarks)[chosen], is_ahead), bosons], axis=1)
        return Particles(
            pdg=pdg,
            status=(-1, -1, 1, 1),
            mothers=((0, 0), (0, 0), (1, 2), (1, 2)),
            colour=colour_lines(pdg),
            momenta=np.stack([*incoming, z_boson, higgs], axis=1),
            mass=np.array([0.0, 0.0, process.electroweak.m_z, process.electroweak.m_h]),
        )
