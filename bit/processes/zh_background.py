"""A background to pp -> Z H in the same features, as a toy in closed form: `bit.processes.analytic.zh_background`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import InputError
from bit.processes.cuts import Cuts, parse_cuts
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
from bit.processes.zh import FEATURE_NAMES, FEATURES, PARAM_NAMES, ZH, features_of

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
        from quasi-random points that do not depend on the seed (`zh_cross_section`).
    slope : float, default=5.0
        Of the falling spectrum of sqrt(s), above 1.
    theta0 : array-like of shape (3,), or mapping, optional
        Reference point of the weights in TeV^-2, such as that of the signal; default the Standard Model.
    show_progress : bool, default=True
        Draw progress bars.

    Returns
    -------
    Simulation
        Table with the features of `bit.processes.zh` (float32), ten weight terms in fb of which only the first is not
        0, and n_eff/n next to 1. ``sigma_error_fb`` is the error of the default of `sigma_fb`, else 0. There are no
        particles: `Simulation.lhe_events` is refused.

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
    cube = _Cube.of(parse_cuts(cuts, FEATURE_NAMES), float(slope))
    process = ZH(("u", "d"), None if mu_f == "sqrt_s" else float(mu_f), Electroweak(e=e))
    configuration = {
        "process": "zh_background",
        "cuts": cuts,
        "slope": float(slope),
        "mu_f": mu_f if sigma_fb is None else None,
        "e": e if sigma_fb is None else None,
        "sigma_fb": sigma_fb,
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
    sigma, error = (sigma_fb, 0.0) if sigma_fb is not None else _times_rate(*_cross_section(process, cube))
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


def zh_cross_section(process: ZH, cuts: str | None = None) -> tuple[float, float]:
    """Cross-section of ZH in the Standard Model, from quasi-random points.

    Parameters
    ----------
    process : ZH
        Flavours, scale and couplings.
    cuts : str, optional
        As for `zh_background`.

    Returns
    -------
    sigma, error : float
        In fb: mean of eight shifted Kronecker sequences of 8192 points, and the standard error from their scatter.

    Raises
    ------
    InputError
        For an unknown feature in the cuts, or cuts that leave nothing.
    """
    return _cross_section(process, _Cube.of(parse_cuts(cuts, FEATURE_NAMES), 5.0))


def _cross_section(process: ZH, cube: _Cube) -> tuple[float, float]:
    shifts = np.random.default_rng(0).random((_N_SHIFTS, cube.n_dim))
    means = np.array([_mean_density(process, cube, shift) for shift in shifts])
    return float(means.mean()), float(means.std(ddof=1) / math.sqrt(_N_SHIFTS))


def _mean_density(process: ZH, cube: _Cube, shift: FloatArray) -> float:
    steps = _GROWTH ** -np.arange(1.0, cube.n_dim + 1.0)
    points = (shift + np.outer(np.arange(_N_POINTS), steps)) % 1.0
    features, jacobian, _ = cube.phase_space(points)
    names = ("sqrt_s", "y", "cos_theta", "cos_theta_l", "phi")
    nominal = process.differential_weights(*(features[name] for name in names))[:, 0].sum(axis=0)
    return float(np.where(cube.cuts.passes(features), nominal * jacobian, 0.0).mean())


_N_SHIFTS, _N_POINTS = 8, 8192
_GROWTH = 1.1347241384015194
"""The root g of g^6 = g + 1, which generalises the golden ratio to five dimensions."""


def _times_rate(sigma: float, error: float) -> tuple[float, float]:
    return RATE * sigma, RATE * error


@dataclass(frozen=True, eq=False)
class _Cube:
    """Map of the unit hypercube on the variables of ZH, sqrt(s) by its quantiles within what the cuts leave."""

    cuts: Cuts
    slope: float
    pt_min: float
    low: float
    high: float
    masses: ZH

    @classmethod
    def of(cls, cuts: Cuts, slope: float) -> _Cube:
        masses = ZH()
        m_z, m_h = masses.electroweak.m_z, masses.electroweak.m_h
        pt_min, pt_max = cuts.window("pt", 0.0, SQRT_S_GEV)
        low, high = cuts.window("sqrt_s", math.hypot(m_z, pt_min) + math.hypot(m_h, pt_min), SQRT_S_GEV)
        if not (pt_min < pt_max and low < high):
            raise InputError(f"zh_background: the cuts leave no phase space below {SQRT_S_GEV:.0f} GeV; loosen them.")
        return cls(cuts, slope, pt_min, low, high, masses)

    @property
    def n_dim(self) -> int:
        return 5

    def phase_space(self, points: FloatArray) -> tuple[dict[str, FloatArray], FloatArray, FloatArray]:
        """Features, Jacobian d(sqrt_s, y, cosT, cos th, ph)/d(points), and density up to a constant."""
        u_s, u_y, u_theta, u_theta_l, u_phi = points.T
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
        jacobian = self.low * relative**self.slope * span / -power * y_max * cos_max * 16.0 * math.pi
        return features, jacobian, (1.0 - u**2) ** 2 * cos_max * (1.0 + cos_theta_l**2)

    def __call__(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        features, _, density = self.phase_space(points)
        return np.where(self.cuts.passes(features), density, 0.0), np.ones(len(points))

    def events(self, points: FloatArray) -> Events:
        terms = np.zeros((len(points), 10))
        terms[:, 0] = 1.0
        return Events(self.phase_space(points)[0], terms)

    def particles(self, points: FloatArray, rng: np.random.Generator) -> Particles:
        del points, rng
        raise InputError("zh_background is a toy in its features, without particles: save the table instead.")
