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
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

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

QUARKS = {
    "u": (2, 0.5, 2 / 3),
    "d": (1, -0.5, -1 / 3),
    "s": (3, -0.5, -1 / 3),
    "c": (4, 0.5, 2 / 3),
    "b": (5, -0.5, -1 / 3),
}
"""PDG identity, isospin of the left-handed quark, and charge."""


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
    """

    quarks: tuple[str, ...] = ("u", "d")
    mu_f: float | None = None
    electroweak: Electroweak = field(default_factory=Electroweak)
    pdf: PartonDensities = field(default_factory=load)

    @property
    def branching_ratio(self) -> float:
        """Branching ratio of Z -> l l for one lepton flavour, mZ (g_L^2 + g_R^2)/(24 pi Gamma_Z)."""
        left, right = self.electroweak.z_charge(-0.5, -1.0), self.electroweak.z_charge(0.0, -1.0)
        return self.electroweak.m_z * (left**2 + right**2) / (24.0 * math.pi * self.electroweak.gamma_z)

    def z_momentum(self, sqrt_s: FloatArray) -> FloatArray:
        """Momentum of the Z in the partonic frame.

        Parameters
        ----------
        sqrt_s : ndarray of float64
            Invariant mass of ZH in GeV, at least mZ + mH.

        Returns
        -------
        ndarray of float64
            In GeV.
        """
        s, m_z, m_h = sqrt_s**2, self.electroweak.m_z, self.electroweak.m_h
        squared = (s - (m_z + m_h) ** 2) * (s - (m_z - m_h) ** 2) / (4.0 * s)
        momentum: FloatArray = np.sqrt(np.maximum(squared, 0.0))
        return momentum

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
        scale = sqrt_s if self.mu_f is None else np.full_like(sqrt_s, self.mu_f)
        tau = sqrt_s / SQRT_S_GEV
        ids = [sign * QUARKS[quark][0] for quark in self.quarks for sign in (1, -1)]
        ahead = np.maximum(self.pdf.xf(ids, tau * np.exp(y), scale), 0.0)
        behind = np.maximum(self.pdf.xf(ids, tau * np.exp(-y), scale), 0.0)
        quark_ahead = (ahead[:, 0::2] * behind[:, 1::2]).T
        quark_behind = (ahead[:, 1::2] * behind[:, 0::2]).T
        squared = quark_ahead[:, np.newaxis] * self.squared_amplitudes(sqrt_s, cos_theta, cos_theta_l, phi)
        squared += quark_behind[:, np.newaxis] * self.squared_amplitudes(sqrt_s, -cos_theta, cos_theta_l, phi + math.pi)
        s = sqrt_s**2
        # 1/12 averages over spins and colours, 1/(2s) is the flux, k/(8 pi sqrt(s)) dcosT the phase space,
        # and 2 d sqrt(s)/sqrt(s) dy the measure dx1 dx2/(x1 x2).
        phase_space = self.z_momentum(sqrt_s) / (8.0 * math.pi * sqrt_s)
        squared *= FB_GEV2 * self.branching_ratio / 12.0 / (2.0 * s) * phase_space * 2.0 / sqrt_s
        return squared


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


def simulate(
    n_events: int,
    *,
    seed: int,
    mu_f: float | Literal["sqrt_s"] = "sqrt_s",
    e: float = 0.3028,
    cuts: str | None = None,
    flavour: Literal["summed", "latent"] = "summed",
    quarks: Sequence[str] = ("u", "d"),
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
        "latent" draws one flavour for each event in proportion to its nominal weight, keeps its PDG identity
        in ``aux["flavour"]`` and gives the event that flavour's polynomial, so that the truth as a function of
        the features is an average.
    quarks : sequence of str, default=("u", "d")
        Initial flavours out of u, d, s, c, b.
    theta0 : array-like of shape (3,), or mapping, optional
        Reference point of the weights in TeV^-2, at which the events are drawn; default the Standard Model.
    show_progress : bool, default=True
        Draw progress bars.

    Returns
    -------
    Simulation
        Table with the features `FEATURES` (float32) and ten weight terms in fb, cross-section times branching
        ratio into one lepton flavour, its error, and the configuration.

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
    _check(n_events, seed, mu_f, e, flavour, quarks)
    process = ZH(tuple(quarks), None if mu_f == "sqrt_s" else float(mu_f), Electroweak(e=e))
    cube = _Cube.of(process, parse_cuts(cuts, FEATURE_NAMES), basis.monomials(point), latent=flavour == "latent")
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
            "branching_ratio": process.branching_ratio,
            "pdf": load().origin,
        },
        n_eff_fraction=_N_EFF_FRACTION,
        show_progress=show_progress,
    )


_N_EFF_FRACTION = 0.75


def _draw_flavour(nominal: FloatArray, coins: FloatArray) -> npt.NDArray[np.int64]:
    """Row of `nominal`, shape (n_quarks, n), in proportion to its values."""
    reached = np.cumsum(nominal, axis=0)
    chosen: npt.NDArray[np.int64] = (coins * reached[-1] >= reached[:-1]).sum(axis=0)
    return chosen


def _check(n_events: int, seed: int, mu_f: object, e: float, flavour: str, quarks: Sequence[str]) -> None:
    """Refuse arguments of `simulate` outside their rule."""
    require_common(n_events, seed, e)
    require_scale(None if mu_f == "sqrt_s" else mu_f, "'sqrt_s'")
    if flavour not in ("summed", "latent"):
        raise InputError(f"flavour={flavour!r}: {near_match(flavour, ('summed', 'latent'))}")
    for quark in quarks:
        if quark not in QUARKS:
            raise InputError(f"quarks name {quark!r}: {near_match(quark, QUARKS)}")
    if not quarks or len(set(quarks)) != len(quarks):
        raise InputError(f"quarks={list(quarks)!r}: name at least one flavour, and each once.")


@dataclass(frozen=True, eq=False)
class _Cube:
    """Map of the unit hypercube on the phase space, within the range that cuts leave.

    s has density 1/s^2, all other variables are flat; pT > p_min bounds s from below and |cosT| from above.
    """

    process: ZH
    cuts: Cuts
    monomials: FloatArray
    latent: bool
    pt_min: float
    s_min: float
    s_max: float

    @classmethod
    def of(cls, process: ZH, cuts: Cuts, monomials: FloatArray, *, latent: bool) -> _Cube:
        m_z, m_h = process.electroweak.m_z, process.electroweak.m_h
        pt_min, pt_max = cuts.window("pt", 0.0, SQRT_S_GEV)
        threshold = math.hypot(m_z, pt_min) + math.hypot(m_h, pt_min)
        low, high = cuts.window("sqrt_s", threshold, SQRT_S_GEV)
        if not (pt_min < pt_max and low < high):
            raise InputError(f"zh: the cuts leave no phase space below {SQRT_S_GEV:.0f} GeV; loosen them.")
        return cls(process, cuts, monomials, latent, pt_min, low**2, high**2)

    @property
    def n_dim(self) -> int:
        return 6 if self.latent else 5

    def phase_space(self, points: FloatArray) -> tuple[dict[str, FloatArray], FloatArray]:
        """Features and Jacobian d(sqrt_s, y, cosT, cos th, ph)/d(points)."""
        u_s, u_y, u_theta, u_theta_l, u_phi = points.T[:5]
        inverse = 1.0 / self.s_min - u_s * (1.0 / self.s_min - 1.0 / self.s_max)
        sqrt_s = np.sqrt(1.0 / inverse)
        y_max = np.log(SQRT_S_GEV / sqrt_s)
        momentum = self.process.z_momentum(sqrt_s)
        # At threshold the momentum may round to 0; without a cut on pT the quotient is 0 there, too.
        lowest = self.pt_min / np.maximum(momentum, np.finfo(np.float64).tiny)
        cos_max = np.sqrt(np.maximum(1.0 - lowest**2, 0.0))
        y, cos_theta = y_max * (2.0 * u_y - 1.0), cos_max * (2.0 * u_theta - 1.0)
        cos_theta_l, phi = 2.0 * u_theta_l - 1.0, math.pi * (2.0 * u_phi - 1.0)
        pt = momentum * np.sqrt(1.0 - cos_theta**2)
        jacobian = sqrt_s**3 / 2.0 * (1.0 / self.s_min - 1.0 / self.s_max) * y_max * cos_max * 16.0 * math.pi
        return features_of(sqrt_s, y, cos_theta, cos_theta_l, phi, pt), jacobian

    def weights(self, features: dict[str, FloatArray]) -> FloatArray:
        names = ("sqrt_s", "y", "cos_theta", "cos_theta_l", "phi")
        return self.process.differential_weights(*(features[name] for name in names))

    def __call__(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        features, jacobian = self.phase_space(points)
        density = (self.monomials @ self.weights(features)).sum(axis=0) * jacobian
        density[~self.cuts.passes(features)] = 0.0
        # Interference grows like s: the emphasis follows its square, the Fisher information of the tail.
        return density, features["sqrt_s"] ** 4

    def events(self, points: FloatArray) -> Events:
        features, _ = self.phase_space(points)
        by_flavour = self.weights(features)
        if not self.latent:
            return Events(features, by_flavour.sum(axis=0).T)
        chosen = _draw_flavour(self.monomials @ by_flavour, points[:, 5])
        pdg = np.array([QUARKS[quark][0] for quark in self.process.quarks])[chosen]
        return Events(features, by_flavour[chosen, :, np.arange(len(chosen))], {"flavour": pdg})
