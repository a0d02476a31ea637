"""pp -> Z H with Z -> l l at leading order, with exact weights in cHW, cHWtil and cHq3.

Operators: O_HW = H^dagger H W^I_mn W^Imn, its CP-odd partner with one dual field strength, and
O_Hq3 = (H^dagger i D^I_m H)(Q sigma^I gamma^m Q), universal in the quark generations, of which the contact
term q q Z H is kept. Helicity amplitudes of arXiv:1706.01816 with the angles of arXiv:1912.07628; the Z is
on-shell (narrow) and its spin correlations are exact. For quark helicity sigma and lepton helicity tau

    M = sum_lam M_lam d_{lam tau},  d_{+-1,tau} = tau (1 +- tau cos th) e^{+-i ph}/sqrt 2,  d_0 = sin th,

can be written with real numbers only: M = A_T (X cos ph, Z sin ph) + B (X sin ph, -Z cos ph) - A_L (Y, 0)
as (real, imaginary) part, with

    X = mZ sqrt(s) sigma tau (1 + sigma tau cosT cos th),  Z = mZ sqrt(s) sigma tau (sigma cosT + tau cos th),
    Y = E_Z sqrt(s) sinT sin th,

and A_T, A_L, B linear in the coefficients. A weight is then a sum of scalar products of three real vectors,
in which quark flavours differ by factors that depend on s only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product as pairs
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import InputError
from bit.parity import CPParity
from bit.particles import LHEEvents
from bit.processes.currents import Chirality, current
from bit.processes.cuts import Cuts, parse_cuts
from bit.processes.detector import Detector, as_detector, standard_normals
from bit.processes.hvv import (
    FB_GEV2,
    Electroweak,
    NeutralLine,
    neutral_tensor_amplitude,
    propagator,
    sm_amplitude,
    structures,
    tensor_couplings,
    weights_from_amplitudes,
)
from bit.processes.pdf import PartonDensities, load
from bit.processes.phase_space import quasi_random_integral
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
    refuse,
    to_laboratory,
    to_rest_frame,
    z_momentum,
)

PARAM_NAMES = ("cHW", "cHWtil", "cHq3")

FEATURES = (
    Feature("sqrt_s", "GeV", r"\sqrt{\hat{s}}"),
    Feature("pt", "GeV", r"p_{T,Z}"),
    Feature("y", "", r"y_{ZH}"),
    Feature("cos_theta", "", r"\cos\Theta"),
    Feature("phi", "", r"\hat{\phi}"),
    Feature("cos_theta_l", "", r"\cos\hat{\theta}"),
    Feature("fLL", "", r"f_{LL}"),
    Feature("f1TT", "", r"f_{TT}^{(1)}"),
    Feature("f2TT", "", r"f_{TT}^{(2)}"),
    Feature("f1LT", "", r"f_{LT}^{(1)}"),
    Feature("f2LT", "", r"f_{LT}^{(2)}"),
    Feature("f1LT_tilde", "", r"\tilde{f}_{LT}^{(1)}"),
    Feature("f2LT_tilde", "", r"\tilde{f}_{LT}^{(2)}"),
    Feature("fTTp", "", r"f_{TT'}"),
    Feature("fTTp_tilde", "", r"\tilde{f}_{TT'}"),
)
FEATURE_NAMES = tuple(feature.name for feature in FEATURES)

CP_PARITY = CPParity(flip=("phi", "f1LT_tilde", "f2LT_tilde", "fTTp_tilde"), odd_params=("cHWtil",))

LEPTONS, ELECTRON = (11, 13, 15), 11
"""PDG identities."""


@dataclass(frozen=True, eq=False)
class ZH:
    """The process at fixed settings, a function of the phase space.

    Parameters
    ----------
    quarks : tuple of str
        Initial flavours out of u, d, s, c, b; each with its antiquark, in both assignments to the beams.
    mu_f : float or None
        Factorisation scale in GeV, None for sqrt(s) of the partons.
    electroweak : Electroweak
        Masses and couplings.
    pdf : PartonDensities
        Densities; negative ones count as 0, so that every weight is positive.
    vertex_shift : bool
        Whether O_Hq3 shifts the coupling of the Z to left-handed quarks as well, by (v^2/Lambda^2) g_Z T3.
    """

    quarks: tuple[str, ...] = ("u", "d")
    mu_f: float | None = None
    electroweak: Electroweak = field(default_factory=Electroweak)
    pdf: PartonDensities = field(default_factory=load)
    vertex_shift: bool = False

    @property
    def branching_ratio(self) -> float:
        """Branching ratio of Z -> l l for one lepton flavour, mZ (g_L^2 + g_R^2)/(24 pi Gamma_Z)."""
        left, right = self.electroweak.z_charge(-0.5, -1.0), self.electroweak.z_charge(0.0, -1.0)
        return self.electroweak.m_z * (left**2 + right**2) / (24.0 * math.pi * self.electroweak.gamma_z)

    def z_momentum(self, sqrt_s: FloatArray) -> FloatArray:
        """Momentum of the Z in the partonic frame.

        Parameters
        ----------
        sqrt_s : ndarray of float64, any shape
            Invariant mass of ZH in GeV, at least mZ + mH.

        Returns
        -------
        ndarray of float64, same shape
            In GeV.
        """
        return z_momentum(sqrt_s, self.electroweak)

    def squared_amplitudes(
        self, sqrt_s: FloatArray, cos_theta: FloatArray, cos_theta_l: FloatArray, phi: FloatArray
    ) -> FloatArray:
        """Weight polynomial of |M|^2 for a quark along +z, summed over helicities.

        Parameters
        ----------
        sqrt_s : ndarray of float64, shape (n,)
            Partonic centre-of-mass energy in GeV.
        cos_theta : ndarray of float64, shape (n,)
            Cosine of the angle between Z and quark.
        cos_theta_l, phi : ndarray of float64, shape (n,)
            Cosine of the polar angle, and azimuth, of the l- in the Z frame; z along the flight of the
            Z, x in the plane of scattering and away from the quark, y = z_quark x z / |...|.

        Returns
        -------
        ndarray of float64, shape (n_quarks, n_terms, n)
            |M(q qbar -> Z H)|^2, not averaged over spins and colours, times the density of the decay
            angles: without unit, its integral over cos_theta_l and phi is that of the stable Z.
        """
        electroweak = self.electroweak
        m_z, m_h = electroweak.m_z, electroweak.m_h
        s = sqrt_s**2
        momentum = self.z_momentum(sqrt_s)
        energy = np.hypot(momentum, m_z)
        sin_both = np.sqrt((1.0 - cos_theta**2) * (1.0 - cos_theta_l**2))
        cos_phi, sin_phi = np.cos(phi), np.sin(phi)
        # Growth of the transverse and longitudinal amplitudes with cHW, of the transverse with cHWtil.
        transverse = 0.5 * (1.0 + (s - m_h**2) / m_z**2)
        longitudinal = transverse - momentum**2 * sqrt_s / (m_z**2 * energy)
        odd = momentum * sqrt_s / m_z**2
        pole, photon = propagator(s, m_z), electroweak.e / s
        lepton = {-1: electroweak.z_charge(-0.5, -1.0) ** 2, 1: electroweak.z_charge(0.0, -1.0) ** 2}
        # (2 mZ/v)^2 from the h Z Z vertex; the decay functions integrate to 8 pi/3 each.
        norm = (2.0 * m_z / electroweak.vev) ** 2 * 3.0 / (8.0 * math.pi) / (lepton[-1] + lepton[1])
        x = electroweak.vev2_per_tev2

        result = np.zeros((len(self.quarks), 10, len(sqrt_s)))
        for sigma in (-1, 1):
            uu, uv, uw, vv, vw, ww = (np.zeros_like(s) for _ in range(6))
            for tau in (-1, 1):
                scale = norm * lepton[tau] * s
                even_part = m_z * (1.0 + sigma * tau * cos_theta * cos_theta_l) * (sigma * tau)
                odd_part = m_z * (tau * cos_theta + sigma * cos_theta_l)
                flat_part = energy * sin_both
                u_re, u_im = even_part * cos_phi - flat_part, odd_part * sin_phi
                v_re, v_im = transverse * even_part * cos_phi - longitudinal * flat_part, transverse * u_im
                w_re, w_im = odd * even_part * sin_phi, -odd * odd_part * cos_phi
                uu += scale * (u_re**2 + u_im**2)
                uv += scale * (u_re * v_re + u_im * v_im)
                uw += scale * (u_re * w_re + u_im * w_im)
                vv += scale * (v_re**2 + v_im**2)
                vw += scale * (v_re * w_re + v_im * w_im)
                ww += scale * (w_re**2 + w_im**2)
            for row, quark in enumerate(self.quarks):
                _, isospin, charge = QUARKS[quark]
                t3 = isospin if sigma < 0 else 0.0
                sm = electroweak.z_charge(t3, charge) * pole
                contact = np.full_like(s, electroweak.g_z * x * t3 / m_z**2)
                if self.vertex_shift:
                    contact += electroweak.g_z * x * t3 * pole
                tensor = 2.0 * x * electroweak.cos * (electroweak.cos * sm + electroweak.sin * charge * photon)
                result[row, 0] += sm**2 * uu
                for column, (first, second, product) in enumerate(
                    (
                        (sm, tensor, uv),
                        (sm, tensor, uw),
                        (sm, contact, uu),
                        (tensor, tensor, vv),
                        (tensor, tensor, vw),
                        (tensor, contact, uv),
                        (tensor, tensor, ww),
                        (tensor, contact, uw),
                        (contact, contact, uu),
                    ),
                    start=1,
                ):
                    result[row, column] += 2.0 * first * second * product
        return result

    def differential_weights(
        self, sqrt_s: FloatArray, y: FloatArray, cos_theta: FloatArray, cos_theta_l: FloatArray, phi: FloatArray
    ) -> FloatArray:
        """Weight polynomial of the differential cross-section of proton collisions, for each flavour.

        d sigma/(d sqrt(s) dy dcosT dcos th dph) with both assignments of quark and antiquark to the beams;
        the antiquark along +z enters with cosT -> -cosT, ph -> ph + pi.

        Parameters
        ----------
        sqrt_s : ndarray of float64, shape (n,)
            Partonic centre-of-mass energy in GeV.
        y : ndarray of float64, shape (n,)
            Rapidity of the ZH system.
        cos_theta, cos_theta_l, phi : ndarray of float64, shape (n,)
            Angles as for `squared_amplitudes`, with the beam along +z in place of the quark.

        Returns
        -------
        ndarray of float64, shape (n_quarks, n_terms, n)
            In fb/GeV, Z -> l l of one lepton flavour included. The sum over flavours is the truth as a
            function of the features, up to a factor that all terms share.
        """
        ahead, behind = self.by_beam(sqrt_s, y, cos_theta, cos_theta_l, phi)
        ahead += behind
        ahead *= differential_factor(FB_GEV2 * self.branching_ratio, sqrt_s, self.z_momentum(sqrt_s))
        return ahead

    def by_beam(
        self, sqrt_s: FloatArray, y: FloatArray, cos_theta: FloatArray, cos_theta_l: FloatArray, phi: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Weight polynomials of |M|^2 times parton densities, for the two assignments to the beams.

        Parameters
        ----------
        sqrt_s, y, cos_theta, cos_theta_l, phi : ndarray of float64, shape (n,)
            As for `differential_weights`.

        Returns
        -------
        quark_ahead, quark_behind : ndarray of float64, shape (n_quarks, n_terms, n)
            With the quark along +z, and along -z. Without unit, up to the same factor.
        """
        ahead, behind = luminosities(self.pdf, self.quarks, sqrt_s, y, self.mu_f)
        return (
            ahead[:, np.newaxis] * self.squared_amplitudes(sqrt_s, cos_theta, cos_theta_l, phi),
            behind[:, np.newaxis] * self.squared_amplitudes(sqrt_s, -cos_theta, cos_theta_l, phi + math.pi),
        )


def features_of(
    sqrt_s: FloatArray, y: FloatArray, cos_theta: FloatArray, cos_theta_l: FloatArray, phi: FloatArray, pt: FloatArray
) -> dict[str, FloatArray]:
    """Return the fifteen features by name, in the order of `FEATURES`.

    Parameters
    ----------
    sqrt_s, y, cos_theta, cos_theta_l, phi : ndarray of float64, shape (n,)
        Phase space, as in `ZH.differential_weights`.
    pt : ndarray of float64, shape (n,)
        Transverse momentum of the Z in GeV.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        At fixed sqrt(s), y and flavour the dependence of every weight on the angles is spanned by the nine f's.
    """
    sin_theta, sin_theta_l = np.sqrt(1.0 - cos_theta**2), np.sqrt(1.0 - cos_theta_l**2)
    both_sin, both_cos = sin_theta * sin_theta_l, cos_theta * cos_theta_l
    f_ll, even, odd = both_sin**2, np.cos(phi) * both_sin, np.sin(phi) * both_sin
    columns = (
        sqrt_s,
        pt,
        y,
        cos_theta,
        phi,
        cos_theta_l,
        f_ll,
        both_cos,
        (1.0 + cos_theta**2) * (1.0 + cos_theta_l**2),
        even,
        even * both_cos,
        odd,
        odd * both_cos,
        np.cos(2.0 * phi) * f_ll,
        np.sin(2.0 * phi) * f_ll,
    )
    return dict(zip(FEATURE_NAMES, columns, strict=True))


def decay_products(
    sqrt_s: FloatArray, cos_theta: FloatArray, cos_theta_l: FloatArray, phi: FloatArray, electroweak: Electroweak
) -> FloatArray:
    """Momenta in the partonic frame, with the Z in the half-plane of positive x.

    Parameters
    ----------
    sqrt_s, cos_theta, cos_theta_l, phi : ndarray of float64, shape (n,)
        Phase space, as in `ZH.differential_weights`.
    electroweak : Electroweak
        Masses.

    Returns
    -------
    ndarray of float64, shape (3, n, 4)
        (E, px, py, pz) of the Higgs boson, l- and l+ in GeV.
    """
    momentum = z_momentum(sqrt_s, electroweak)
    energy = np.hypot(momentum, electroweak.m_z)
    sin_theta, sin_theta_l = np.sqrt(1.0 - cos_theta**2), np.sqrt(1.0 - cos_theta_l**2)
    zero = np.zeros_like(sqrt_s)
    flight = np.stack([sin_theta, zero, cos_theta], axis=-1)
    across = sin_theta_l * np.stack([np.cos(phi) * cos_theta, np.sin(phi), -np.cos(phi) * sin_theta])
    result = np.empty((3, len(sqrt_s), 4))
    result[0, :, 0] = np.hypot(momentum, electroweak.m_h)
    result[0, :, 1:] = -momentum[:, np.newaxis] * flight
    for lepton, sign in ((1, 1.0), (2, -1.0)):
        result[lepton, :, 0] = 0.5 * (energy + sign * momentum * cos_theta_l)
        along = 0.5 * (momentum + sign * energy * cos_theta_l)
        result[lepton, :, 1:] = along[:, np.newaxis] * flight + sign * 0.5 * electroweak.m_z * across.T
    return result


_WHAT = (
    "pp -> Z H with Z -> l l: each needs an incoming quark and antiquark of one flavour, and one Higgs boson, one l- "
    "and one l+ of one flavour that are outgoing (status 1)"
)


def features_of_particles(events: LHEEvents) -> tuple[FloatArray, tuple[str, ...]]:
    """Features of the events of a Les Houches file, for `bit.read_lhe`.

    Parameters
    ----------
    events : LHEEvents
        Each with one Higgs boson and one pair l- l+ of one flavour, all outgoing. The Z is their sum.

    Returns
    -------
    features : ndarray of float64, shape (n_events, 15)
        As in `FEATURES`; the partonic frame is the rest frame of ZH, by a boost without rotation.
    names : tuple of str
        `FEATURE_NAMES`.

    Raises
    ------
    InputError
        For events of other processes; it counts them.
    """
    features = features_of_momenta(events.momenta[_outgoing(events)])
    return np.stack(list(features.values()), axis=-1), FEATURE_NAMES


def features_of_momenta(momenta: FloatArray) -> dict[str, FloatArray]:
    """Features of momenta that need not fit together: the Z is the sum of the leptons, of any mass.

    Parameters
    ----------
    momenta : ndarray of float64, shape (3, n, 4)
        (E, px, py, pz) of the Higgs boson, l- and l+ in GeV in the laboratory; the leptons massless.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        As in `FEATURES`; the partonic frame is the rest frame of ZH, by a boost without rotation.
    """
    higgs, minus, plus = momenta
    z_boson = minus + plus
    total = z_boson + higgs
    at_rest, apart = to_rest_frame(np.stack([z_boson, minus - plus]), total)
    x, y, z = at_rest[:, 1:].T
    transverse = np.hypot(x, y)
    momentum = np.hypot(transverse, z)
    cos_theta, sin_theta = z / momentum, transverse / momentum
    # Along x, away from the beam in the plane of scattering, and y = beam x flight.
    cos_z, sin_z = x / transverse, y / transverse
    ahead = cos_z * apart[:, 1] + sin_z * apart[:, 2]
    phi = np.arctan2(cos_z * apart[:, 2] - sin_z * apart[:, 1], cos_theta * ahead - sin_theta * apart[:, 3])
    # Massless leptons have energies (E_Z +- k cos th)/2.
    cos_theta_l = np.clip(apart[:, 0] / momentum, -1.0, 1.0)
    rapidity = np.arctanh(total[:, 3] / total[:, 0])
    pt = np.hypot(z_boson[:, 1], z_boson[:, 2])
    return features_of(invariant_mass(total), rapidity, cos_theta, cos_theta_l, phi, pt)


def measured(momenta: FloatArray, normals: FloatArray, detector: Detector, m_h: float) -> FloatArray:
    """Momenta as a detector measures them.

    Parameters
    ----------
    momenta : ndarray of float64, shape (3, n, 4)
        (E, px, py, pz) of the Higgs boson, l- and l+ in GeV in the laboratory.
    normals : ndarray of float64, shape (3, n, 3)
        Independent standard normal numbers, see `bit.processes.detector.Response.smear`.
    detector : Detector
        The leptons are measured as electrons. The Higgs boson is measured as two b jets would be, as one object: its
        momentum with the response to jets, its energy from this momentum and `m_h`.
    m_h : float
        Mass of the Higgs boson in GeV.

    Returns
    -------
    ndarray of float64, shape (3, n, 4)
        A new array. The pair of leptons has not quite the mass of the Z, and ZH a transverse momentum.
    """
    higgs = detector.jets.smear_on_shell(momenta[0], m_h, normals[0])
    return np.concatenate([higgs[np.newaxis], detector.electrons.smear(momenta[1:], normals[1:])])


N_SMEARING = 9
"""Random numbers of `measured` for each event."""


def measured_features(
    features: Mapping[str, FloatArray], uniforms: FloatArray, detector: Detector, electroweak: Electroweak
) -> dict[str, FloatArray]:
    """Features of the momenta that a detector measures (`measured`).

    Parameters
    ----------
    features : mapping of str to ndarray of float64, shape (n,)
        The true ones.
    uniforms : ndarray of float64, shape (n, 9)
        Independent numbers in [0, 1].
    detector : Detector
        Its resolutions.
    electroweak : Electroweak
        Masses.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        They depend neither on the azimuth of the event nor on efficiencies.
    """
    sqrt_s, y, cos_theta, cos_theta_l, phi = _coordinates(features)
    at_rest = decay_products(sqrt_s, cos_theta, cos_theta_l, phi, electroweak)
    momenta = to_laboratory(at_rest, y, np.zeros_like(y))
    normals = np.moveaxis(standard_normals(uniforms).reshape(-1, 3, 3), 1, 0)
    return features_of_momenta(measured(momenta, normals, detector, electroweak.m_h))


def _outgoing(events: LHEEvents) -> npt.NDArray[np.int64]:
    """Places of Higgs boson, l- and l+, shape (3, n)."""
    places = find(events, [(1, (HIGGS,)), (1, LEPTONS), (1, [-code for code in LEPTONS])], _WHAT)
    _, minus, plus = events.pdg[places]
    refuse(minus != -plus, _WHAT)
    return places


def weights_of_particles(
    events: LHEEvents, *, electroweak: Electroweak | None = None, vertex_shift: bool = False
) -> FloatArray:
    """Weight polynomial of |M|^2 of the events of a Les Houches file, from currents and their momenta as they are.

    Parameters
    ----------
    events : LHEEvents
        As for `features_of_particles`, with an incoming quark and antiquark of one flavour.
    electroweak : Electroweak, optional
        Masses and couplings, default those of `simulate`.
    vertex_shift : bool, default=False
        As for `simulate`.

    Returns
    -------
    ndarray of float64, shape (n_events, 10)
        For the flavour of the event, summed over helicities, normalised as `ZH.squared_amplitudes`. The mass of the
        lepton pair may differ from mZ; the propagator of this Z is left out, as all terms share it.

    Raises
    ------
    InputError
        For events of other processes; it counts them.
    """
    constants = Electroweak() if electroweak is None else electroweak
    names, incoming = find_quarks(events, _WHAT)
    momenta = events.momenta[np.concatenate([incoming, _outgoing(events)[1:]])]
    terms = np.empty((len(events), 10))
    for name in names:
        code, isospin, charge = QUARKS[name]
        rows = events.pdg[incoming[0]] == code
        terms[rows] = _from_currents(momenta[:, rows], isospin, charge, constants, vertex_shift)
    return terms


def _from_currents(
    momenta: FloatArray, isospin: float, charge: float, electroweak: Electroweak, vertex_shift: bool
) -> FloatArray:
    """Weight polynomial for momenta of quark, antiquark, l- and l+, shape (n, 10)."""
    quark, antiquark, minus, plus = momenta
    s = invariant_mass(quark + antiquark) ** 2
    pole, photon = propagator(s, electroweak.m_z), electroweak.e * charge / s
    unit = tensor_couplings(1.0, 0.0, 0.0, electroweak)
    leptons = {-1: electroweak.z_charge(-0.5, -1.0), 1: electroweak.z_charge(0.0, -1.0)}
    contact = electroweak.vev2_per_tev2 * (1.0 / electroweak.m_z**2 + (pole if vertex_shift else 0.0))
    amplitudes = []
    for chirality, lepton in pairs(_CHIRALITIES, _CHIRALITIES):
        t3 = isospin if chirality < 0 else 0.0
        line = NeutralLine(z=electroweak.z_charge(t3, charge) * pole, photon=photon)
        decay = NeutralLine(z=leptons[lepton], photon=0.0)
        found = structures(
            quark + antiquark, current(antiquark, quark, chirality), -(minus + plus), current(minus, plus, lepton)
        )
        amplitudes.append(
            [
                sm_amplitude(found.sm, electroweak.m_z, line.z * decay.z, electroweak),
                neutral_tensor_amplitude(found.even, unit, line, decay, electroweak),
                neutral_tensor_amplitude(found.odd, unit, line, decay, electroweak),
                sm_amplitude(found.sm, electroweak.m_z, electroweak.g_z * t3 * contact * decay.z, electroweak),
            ]
        )
    norm = 3.0 / (8.0 * math.pi) / (leptons[-1] ** 2 + leptons[1] ** 2) / electroweak.m_z**2
    return norm * weights_from_amplitudes(np.array(amplitudes))


_CHIRALITIES: Final[tuple[Chirality, Chirality]] = (-1, 1)


def simulate(
    n_events: int,
    *,
    seed: int,
    mu_f: float | Literal["sqrt_s"] = "sqrt_s",
    e: float = 0.3028,
    cuts: str | None = None,
    flavour: Literal["summed", "latent"] = "summed",
    quarks: Sequence[str] = ("u", "d"),
    vertex_shift: bool = False,
    smear: bool | Detector = False,
    theta0: ThetaLike | None = None,
    show_progress: bool = True,
) -> Simulation:
    """Simulate pp -> Z H, Z -> l l at 13 TeV with exact weights in cHW, cHWtil and cHq3.

    Parameters
    ----------
    n_events : int
        Number of events, at least 1.
    seed : int
        Not negative; the same seed gives the same table.
    mu_f : float or "sqrt_s", default="sqrt_s"
        Factorisation scale in GeV, or the partonic centre-of-mass energy.
    e : float, default=0.3028
        Electromagnetic coupling; 0.31345 is its value at mZ.
    cuts : str, optional
        Comparisons of features with numbers, ``"pt>200, abs(y)<2.5"``.
    flavour : {"summed", "latent"}, default="summed"
        "summed" adds the weights of all quark flavours, so that they are a function of the features.
        "latent" draws one flavour for each event in proportion to its weight at the reference point, keeps its PDG
        identity in ``aux["flavour"]`` and gives the event that flavour's polynomial, so that the truth as a function
        of the features is an average.
    quarks : sequence of str, default=("u", "d")
        Initial flavours out of u, d, s, c, b.
    vertex_shift : bool, default=False
        Let O_Hq3 shift the coupling of the Z to left-handed quarks as well, by (v^2/Lambda^2) g_Z T3.
    smear : bool or Detector, default=False
        Measure leptons and Higgs boson with a detector (`measured`), True for `bit.processes.detector.Detector` as it
        is. Features and cuts then are those of the measured momenta. Weights stay those of the true ones, so that the
        truth as a function of the features is an average. Efficiencies are not applied.
    theta0 : array-like of shape (3,), or mapping, optional
        Reference point of the weights in TeV^-2, at which the events are drawn; default the Standard Model.
    show_progress : bool, default=True
        Draw progress bars.

    Returns
    -------
    Simulation
        Table with the features `FEATURES` (float32) and ten weight terms in fb, cross-section times branching
        ratio into one lepton flavour, its error, and the configuration. Les Houches records hold the true momenta.

    Raises
    ------
    InputError
        For arguments outside their rule, an unknown feature in the cuts, or cuts that leave nothing.
    MissingPackageError
        If vegas is not installed.

    Notes
    -----
    Events have importance weights on purpose: a share of them is drawn like s^2 times the cross-section, as
    the square of an interference that grows with s, and the rest like the cross-section, such that n_eff/n is
    about 0.75 (`bit.processes.phase_space`). The tail, where the coefficients act, so holds many events.
    """
    basis = PolynomialBasis(PARAM_NAMES, order=2)
    point = reference_point(basis, theta0)
    require_common(n_events, seed, e)
    require_scale(None if mu_f == "sqrt_s" else mu_f, "'sqrt_s'")
    check_flavours(flavour, quarks)
    scale = None if mu_f == "sqrt_s" else float(mu_f)
    process = ZH(tuple(quarks), scale, Electroweak(e=e), vertex_shift=bool(vertex_shift))
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
            "process": "zh",
            "mu_f": mu_f,
            "e": e,
            "cuts": cuts,
            "flavour": flavour,
            "quarks": list(quarks),
            "vertex_shift": process.vertex_shift,
            "detector": detector.configuration() if detector else None,
            "branching_ratio": process.branching_ratio,
            "pdf": load().origin,
        },
        n_eff_fraction=_N_EFF_FRACTION,
        show_progress=show_progress,
    )


_N_EFF_FRACTION = 0.75


def cross_section(process: ZH, cuts: str | None = None, *, smear: bool | Detector = False) -> tuple[float, float]:
    """Cross-section in the Standard Model, from quasi-random points.

    Parameters
    ----------
    process : ZH
        Flavours, scale and couplings.
    cuts, smear
        As for `simulate`.

    Returns
    -------
    sigma, error : float
        In fb, branching ratio included, and its standard error (`bit.processes.phase_space.quasi_random_integral`).

    Raises
    ------
    InputError
        For an unknown feature in the cuts, or cuts that leave nothing.
    """
    monomials = PolynomialBasis(PARAM_NAMES, order=2).monomials(np.zeros(len(PARAM_NAMES)))
    cube = _Cube.of(process, parse_cuts(cuts, FEATURE_NAMES), monomials, False, as_detector(smear))
    sigma, error = quasi_random_integral(cube, cube.n_dim)
    if not sigma > 0.0:
        raise InputError(f"zh: the cross-section with cuts {cuts!r} vanishes at all points tried; loosen them.")
    return sigma, error


@dataclass(frozen=True, eq=False)
class _Cube:
    """Map of the unit hypercube on the phase space; the angles of the decay are flat.

    A sixth dimension draws the flavour, where events keep it; the last nine are the quantiles of what a detector does.
    """

    process: ZH
    scattering: ScatteringMap
    cuts: Cuts
    monomials: FloatArray
    latent: bool
    detector: Detector | None

    @classmethod
    def of(cls, process: ZH, cuts: Cuts, monomials: FloatArray, latent: bool, detector: Detector | None) -> _Cube:
        # Cuts on what is measured bound no true momentum.
        on_truth = Cuts() if detector else cuts
        scattering = ScatteringMap.of(on_truth, process.electroweak, "zh")
        return cls(process, scattering, cuts, monomials, latent, detector)

    @property
    def n_dim(self) -> int:
        return (6 if self.latent else 5) + (N_SMEARING if self.detector else 0)

    def phase_space(self, points: FloatArray) -> tuple[dict[str, FloatArray], FloatArray]:
        """True features and Jacobian d(sqrt_s, y, cosT, cos th, ph)/d(points)."""
        found = self.scattering(points[:, 0], points[:, 1], points[:, 2])
        cos_theta_l, phi = 2.0 * points[:, 3] - 1.0, math.pi * (2.0 * points[:, 4] - 1.0)
        features = features_of(found.sqrt_s, found.y, found.cos_theta, cos_theta_l, phi, found.pt)
        return features, found.jacobian * 16.0 * math.pi

    def observed(self, features: dict[str, FloatArray], points: FloatArray) -> dict[str, FloatArray]:
        """Features as they are observed, out of the true ones."""
        if self.detector is None:
            return features
        return measured_features(features, points[:, -N_SMEARING:], self.detector, self.process.electroweak)

    def __call__(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        features, jacobian = self.phase_space(points)
        density = (self.monomials @ self.process.differential_weights(*_coordinates(features))).sum(axis=0) * jacobian
        density[~self.cuts.passes(self.observed(features, points))] = 0.0
        # Interference grows like s: the emphasis follows its square, the Fisher information of the tail.
        return density, features["sqrt_s"] ** 4

    def events(self, points: FloatArray) -> Events:
        features, _ = self.phase_space(points)
        by_flavour = self.process.differential_weights(*_coordinates(features))
        features = self.observed(features, points)
        if not self.latent:
            return Events(features, by_flavour.sum(axis=0).T)
        chosen = draw_row(self.monomials @ by_flavour, points[:, 5])
        return Events(
            features,
            by_flavour[chosen, :, np.arange(len(chosen))],
            {"flavour": quark_codes(self.process.quarks)[chosen]},
        )

    def particles(self, points: FloatArray, rng: np.random.Generator) -> Particles:
        features, _ = self.phase_space(points)
        coordinates = _coordinates(features)
        # Rows of the first half have the quark along +z.
        shares = self.monomials @ np.concatenate(self.process.by_beam(*coordinates))
        n_quarks, n = len(self.process.quarks), len(points)
        if self.latent:
            # As in `events`: a common factor changes no flavour.
            flavour = draw_row(shares[:n_quarks] + shares[n_quarks:], points[:, 5])
            shares *= np.tile(np.arange(n_quarks)[:, np.newaxis] == flavour, (2, 1))
        row = draw_row(shares, rng.random(n))
        quarks = quark_codes(self.process.quarks)[row % n_quarks]
        y, azimuth = features["y"], 2.0 * math.pi * rng.random(n)
        sqrt_s, _, cos_theta, cos_theta_l, phi = coordinates
        at_rest = decay_products(sqrt_s, cos_theta, cos_theta_l, phi, self.process.electroweak)
        higgs, minus, plus = to_laboratory(at_rest, y, azimuth)
        z_boson = minus + plus
        higgs[:, 1:3] = -z_boson[:, 1:3]
        incoming = incoming_pair(z_boson + higgs)
        others = np.tile([Z_BOSON, HIGGS, ELECTRON, -ELECTRON], (n, 1))
        pdg = np.concatenate([incoming_codes(quarks, row < n_quarks), others], axis=1)
        electroweak = self.process.electroweak
        return Particles(
            pdg=pdg,
            status=(-1, -1, 2, 1, 1, 1),
            mothers=((0, 0), (0, 0), (1, 2), (1, 2), (3, 3), (3, 3)),
            colour=colour_lines(pdg),
            momenta=np.stack([*incoming, z_boson, higgs, minus, plus], axis=1),
            mass=np.array([0.0, 0.0, electroweak.m_z, electroweak.m_h, 0.0, 0.0]),
        )


def _coordinates(features: Mapping[str, FloatArray]) -> tuple[FloatArray, ...]:
    """Phase space out of the features, in the order of `ZH.differential_weights`."""
    return tuple(features[name] for name in ("sqrt_s", "y", "cos_theta", "cos_theta_l", "phi"))
