"""A background to pp -> Z H in the same features, as a toy in closed form: `bit.processes.analytic.zh_background`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import InputError
from bit.particles import LHEEvents
from bit.processes.cuts import Cuts, parse_cuts
from bit.processes.detector import Detector, as_detector
from bit.processes.hvv import Electroweak
from bit.processes.pdf import load
from bit.processes.record import Particles
from bit.processes.simulation import (
    SQRT_S_GEV,
    Events,
    Simulation,
    generate,
    reference_point,
    require_common,
    require_scale,
)
from bit.processes.zh import (
    CP_PARITY,
    ELECTRON,
    FEATURE_NAMES,
    FEATURES,
    LEPTONS,
    N_SMEARING,
    PARAM_NAMES,
    ZH,
    cross_section,
    decay_products,
    features_of,
    features_of_momenta,
    measured_features,
)
from bit.processes.zh_scattering import (
    Z_BOSON,
    find,
    incoming_codes,
    incoming_pair,
    refuse,
    to_laboratory,
    to_rest_frame,
)

__all__ = [
    "CP_PARITY",
    "FEATURES",
    "FEATURE_NAMES",
    "PARAM_NAMES",
    "RATE",
    "features_of_particles",
    "zh_background",
]

RATE = 10.0
"""Cross-section in units of that of ZH in the Standard Model."""


def zh_background(
    n_events: int,
    *,
    seed: int,
    mu_f: float | Literal["sqrt_s"] = "sqrt_s",
    e: float = 0.3028,
    cuts: str | None = None,
    sigma_fb: float | None = None,
    slope: float = 5.0,
    smear: bool | Detector = False,
    theta0: ThetaLike | None = None,
    show_progress: bool = True,
) -> Simulation:
    """Simulate a background to `bit.processes.zh` that does not depend on the coefficients.

    With u = y/ln(sqrt(S)/sqrt(s)), between mZ + mH and sqrt(S) = 13 TeV,

        d sigma ~ sqrt(s)^-slope d sqrt(s)  (1 - u^2)^2 du  d cosT  (1 + cos^2 th) d cos th  d ph.

    Parameters
    ----------
    n_events : int
        Number of events, at least 1.
    seed : int
        Not negative; the same seed gives the same table.
    mu_f : float or "sqrt_s", default="sqrt_s"
        Factorisation scale of ZH in GeV, for the default of `sigma_fb`.
    e : float, default=0.3028
        Electromagnetic coupling of ZH, for the default of `sigma_fb`.
    cuts : str, optional
        Comparisons of features with numbers, ``"pt>200, abs(y)<2.5"``.
    sigma_fb : float, optional
        Cross-section within the cuts in fb. Default: `RATE` times that of ZH in the Standard Model within these cuts,
        from quasi-random points that do not depend on the seed (`bit.processes.zh.cross_section`).
    slope : float, default=5.0
        Of the falling spectrum of sqrt(s), above 1.
    smear : bool or Detector, default=False
        Measure what stands for leptons and Higgs boson with a detector, as `bit.processes.zh.simulate` does. Features
        and cuts then are those of the measured momenta, and the default of `sigma_fb` that of ZH measured so, for
        which tight cuts cost precision.
    theta0 : array-like of shape (3,), or mapping, optional
        Reference point of the weights in TeV^-2, such as that of the signal; default the Standard Model.
    show_progress : bool, default=True
        Draw progress bars.

    Returns
    -------
    Simulation
        Table with the features of `bit.processes.zh` (float32), ten weight terms in fb of which only the first is not
        0, and n_eff/n next to 1. ``sigma_error_fb`` is the error of the default of `sigma_fb`, else 0. Les Houches
        records hold u ubar -> Z b bbar, Z -> e- e+, with m_bb = mH and true momenta; as the toy does not say what
        becomes of its second object, the b quarks are isotropic in its rest frame, and u is as often along +z as ubar.

    Raises
    ------
    InputError
        For arguments outside their rule, an unknown feature in the cuts, or cuts that leave nothing.
    MissingPackageError
        If vegas is not installed.

    Notes
    -----
    The distribution is even under CP; its angle ph and the angle th of the decay are independent of all else, unlike
    those of ZH. Not a model of a certain background.
    """
    basis = PolynomialBasis(PARAM_NAMES, order=2)
    point = reference_point(basis, theta0)
    require_common(n_events, seed, e)
    require_scale(None if mu_f == "sqrt_s" else mu_f, "'sqrt_s'")
    if not (math.isfinite(slope) and slope > 1.0):
        raise InputError(f"slope={slope!r}: a number above 1 is needed.")
    if sigma_fb is not None and not (math.isfinite(sigma_fb) and sigma_fb > 0.0):
        raise InputError(f"sigma_fb={sigma_fb!r}: a positive cross-section in fb, or None for that of ZH, is needed.")
    detector = as_detector(smear)
    cube = _Cube.of(parse_cuts(cuts, FEATURE_NAMES), float(slope), detector)
    process = ZH(("u", "d"), None if mu_f == "sqrt_s" else float(mu_f), Electroweak(e=e))
    configuration = {
        "process": "zh_background",
        "cuts": cuts,
        "slope": float(slope),
        "mu_f": mu_f if sigma_fb is None else None,
        "e": e if sigma_fb is None else None,
        "sigma_fb": sigma_fb,
        "detector": detector.configuration() if detector else None,
        "pdf": load().origin if sigma_fb is None else None,
    }
    made = generate(
        cube,
        basis,
        FEATURES,
        point,
        n_events=n_events,
        seed=seed,
        configuration=configuration,
        n_eff_fraction=1.0,
        show_progress=show_progress,
    )
    if sigma_fb is None:
        sigma, error = (RATE * value for value in cross_section(process, cuts, smear=smear))
    else:
        sigma, error = sigma_fb, 0.0
    return replace(made, table=made.table.normalised_to(sigma), sigma_fb=sigma, sigma_error_fb=error)


def background_density(sqrt_s: FloatArray, y: FloatArray, cos_theta_l: FloatArray, *, slope: float = 5.0) -> FloatArray:
    """Probability density of `zh_background` without cuts, that of its docstring divided by its integral.

    Beside `bit.processes.zh.ZH.differential_weights` it gives the share of the signal in every point of a mixture, and
    so the true ratio of their sum.

    Parameters
    ----------
    sqrt_s : ndarray of float64, shape (n,)
        In GeV.
    y, cos_theta_l : ndarray of float64, shape (n,)
        Rapidity, and cosine of the angle th; the density does not depend on cosT and ph.
    slope : float, default=5.0
        As for `zh_background`.

    Returns
    -------
    ndarray of float64, shape (n,)
        Per GeV, unit of rapidity, of cosT and of cos th, and radian; 0 outside the phase space.
    """
    masses = ZH().electroweak
    low = masses.m_z + masses.m_h
    y_max = np.log(SQRT_S_GEV / sqrt_s)
    inside = (sqrt_s > low) & (np.abs(y) < y_max)
    u = np.divide(y, y_max, out=np.zeros_like(y_max), where=inside)
    spectrum = (slope - 1.0) / low * (sqrt_s / low) ** -slope / (1.0 - (SQRT_S_GEV / low) ** (1.0 - slope))
    rapidity = np.divide(15.0 / 16.0 * (1.0 - u**2) ** 2, y_max, out=np.zeros_like(y_max), where=inside)
    # Flat in cosT and in the angle ph.
    return np.where(inside, spectrum * rapidity * 0.375 * (1.0 + cos_theta_l**2) / (4.0 * math.pi), 0.0)


_WHAT = (
    "pp -> Z b bbar with Z -> l l: each needs one l- and one l+ of one flavour, and one b and one bbar that are "
    "outgoing (status 1)"
)
_UP, _BOTTOM = 2, 5
_AT_REST = ("sqrt_s", "cos_theta", "cos_theta_l", "phi")


def features_of_particles(events: LHEEvents) -> tuple[FloatArray, tuple[str, ...]]:
    """Features of the events of a Les Houches file, for `bit.read_lhe`.

    Parameters
    ----------
    events : LHEEvents
        Each with one pair l- l+ of one flavour and one pair b bbar, all outgoing. The latter, of any mass, takes the
        place of the Higgs boson.

    Returns
    -------
    features : ndarray of float64, shape (n_events, 15)
        Those of `bit.processes.zh`.
    names : tuple of str
        `FEATURE_NAMES`.

    Raises
    ------
    InputError
        For events of other processes; it counts them.
    """
    roles = (LEPTONS, [-code for code in LEPTONS], (_BOTTOM,), (-_BOTTOM,))
    places = find(events, [(1, codes) for codes in roles], _WHAT)
    refuse(events.pdg[places[0]] != -events.pdg[places[1]], _WHAT)
    minus, plus, bottom, antibottom = events.momenta[places]
    features = features_of_momenta(np.stack([bottom + antibottom, minus, plus]))
    return np.stack(list(features.values()), axis=-1), FEATURE_NAMES


@dataclass(frozen=True, eq=False)
class _Cube:
    """Map of the unit hypercube on the variables of ZH, sqrt(s) by its quantiles within what the cuts leave.

    Nine further dimensions are the quantiles of what a detector does.
    """

    cuts: Cuts
    slope: float
    pt_min: float
    low: float
    high: float
    masses: ZH
    detector: Detector | None

    @classmethod
    def of(cls, cuts: Cuts, slope: float, detector: Detector | None) -> _Cube:
        masses = ZH()
        m_z, m_h = masses.electroweak.m_z, masses.electroweak.m_h
        # Cuts on what is measured bound no true momentum.
        on_truth = Cuts() if detector else cuts
        pt_min, pt_max = on_truth.window("pt", 0.0, SQRT_S_GEV)
        low, high = on_truth.window("sqrt_s", math.hypot(m_z, pt_min) + math.hypot(m_h, pt_min), SQRT_S_GEV)
        if not (pt_min < pt_max and low < high):
            raise InputError(f"zh_background: the cuts leave no phase space below {SQRT_S_GEV:.0f} GeV; loosen them.")
        return cls(cuts, slope, pt_min, low, high, masses, detector)

    @property
    def n_dim(self) -> int:
        return 5 + (N_SMEARING if self.detector else 0)

    def phase_space(self, points: FloatArray) -> tuple[dict[str, FloatArray], FloatArray]:
        """True features, and density up to a constant."""
        u_s, u_y, u_theta, u_theta_l, u_phi = points.T[:5]
        power = 1.0 - self.slope
        # In units of the lower end, so that no slope overflows.
        span = 1.0 - (self.high / self.low) ** power
        relative = (1.0 - span * u_s) ** (1.0 / power)
        sqrt_s = self.low * relative
        momentum = self.masses.z_momentum(sqrt_s)
        lowest = self.pt_min / np.maximum(momentum, np.finfo(np.float64).tiny)
        cos_max = np.sqrt(np.maximum(1.0 - lowest**2, 0.0))
        y_max, u = np.log(SQRT_S_GEV / sqrt_s), 2.0 * u_y - 1.0
        cos_theta, cos_theta_l = cos_max * (2.0 * u_theta - 1.0), 2.0 * u_theta_l - 1.0
        pt = momentum * np.sqrt(1.0 - cos_theta**2)
        features = features_of(sqrt_s, y_max * u, cos_theta, cos_theta_l, math.pi * (2.0 * u_phi - 1.0), pt)
        return features, (1.0 - u**2) ** 2 * cos_max * (1.0 + cos_theta_l**2)

    def observed(self, features: Mapping[str, FloatArray], points: FloatArray) -> Mapping[str, FloatArray]:
        """Features as they are observed, out of the true ones."""
        if self.detector is None:
            return features
        return measured_features(features, points[:, 5:], self.detector, self.masses.electroweak)

    def __call__(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        features, density = self.phase_space(points)
        return np.where(self.cuts.passes(self.observed(features, points)), density, 0.0), np.ones(len(points))

    def events(self, points: FloatArray) -> Events:
        terms = np.zeros((len(points), 10))
        terms[:, 0] = 1.0
        return Events(self.observed(self.phase_space(points)[0], points), terms)

    def particles(self, points: FloatArray, rng: np.random.Generator) -> Particles:
        features, n, electroweak = self.phase_space(points)[0], len(points), self.masses.electroweak
        sqrt_s, cos_theta, cos_theta_l, phi = (features[name] for name in _AT_REST)
        at_rest = decay_products(sqrt_s, cos_theta, cos_theta_l, phi, electroweak)
        dijet, minus, plus = to_laboratory(at_rest, features["y"], 2.0 * math.pi * rng.random(n))
        z_boson = minus + plus
        dijet[:, 1:3] = -z_boson[:, 1:3]
        incoming = incoming_pair(z_boson + dijet)
        bottom = _isotropic(dijet, electroweak.m_h, rng)
        codes = incoming_codes(np.full(n, _UP), rng.random(n) < 0.5)
        others = np.tile([Z_BOSON, _BOTTOM, -_BOTTOM, ELECTRON, -ELECTRON], (n, 1))
        pdg = np.concatenate([codes, others], axis=1)
        # Quarks carry a colour and antiquarks an anticolour, from the incoming ones to the outgoing ones.
        colour = np.stack([501 * np.isin(pdg, (_UP, _BOTTOM)), 502 * np.isin(pdg, (-_UP, -_BOTTOM))], axis=-1)
        return Particles(
            pdg=pdg,
            status=(-1, -1, 2, 1, 1, 1, 1),
            mothers=((0, 0), (0, 0), (1, 2), (1, 2), (1, 2), (3, 3), (3, 3)),
            colour=colour,
            momenta=np.stack([*incoming, z_boson, bottom, dijet - bottom, minus, plus], axis=1),
            mass=np.array([0.0, 0.0, electroweak.m_z, 0.0, 0.0, 0.0, 0.0]),
        )


def _isotropic(mother: FloatArray, mass: float, rng: np.random.Generator) -> FloatArray:
    """Momenta of one of two massless particles, isotropic in the rest frame of their mother, shape (n, 4)."""
    cos, azimuth = 2.0 * rng.random(len(mother)) - 1.0, 2.0 * math.pi * rng.random(len(mother))
    sin = np.sqrt(1.0 - cos**2)
    at_rest = 0.5 * mass * np.stack([np.ones_like(cos), sin * np.cos(azimuth), sin * np.sin(azimuth), cos], axis=-1)
    return to_rest_frame(at_rest, mother * [1.0, -1.0, -1.0, -1.0])
