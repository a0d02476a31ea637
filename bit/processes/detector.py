"""Detector-like smearing and efficiencies: what a measurement makes of momenta, with resolutions of published order.

A particle of transverse momentum pT is measured with the same direction up to small angles and with

    p -> f p,   f = 1 + N(0, 1) sigma(x),   sigma(x)^2 = a^2/x + (b/x)^2 + c^2 + (k x)^2,

x = pT or energy in GeV, by jets (a, c: sampling of showers, calibration), electrons and photons (a, b, c: calorimeters)
and muons (c, k: multiple scattering, and curvature of stiff tracks). Particles are found with the efficiency

    plateau (1 - exp(-pT/turn_on)) (1 - forward (eta/eta_max)^2)   within pT > pt_min, |eta| < eta_max.

All random numbers are given by the caller: they may be dimensions of a unit hypercube. Smearing leaves weights as they
are, so that E[t|x] of the measured x is an average over what was not seen.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from bit.basis import FloatArray
from bit.errors import InputError, near_match

SMALLEST_FACTOR = 1e-3
"""The least factor on a momentum: directions stay what they are in the tails of a poor resolution."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """Resolution, efficiency and acceptance for one kind of particle.

    Parameters
    ----------
    measures : {"pt", "energy"}, default="pt"
        What the resolution is a function of.
    stochastic : float, default=0
        a in GeV^(1/2).
    noise : float, default=0
        b in GeV.
    constant : float, default=0
        c.
    growth : float, default=0
        k in 1/GeV.
    angle : float, default=0
        Standard deviation in rad of the azimuth, and of the rapidity.
    plateau : float, default=1
        Efficiency of hard central particles, in [0, 1].
    turn_on : float, default=0
        In GeV: scale in pT of the rise of the efficiency; 0 for a plateau from the start.
    forward : float, default=0
        Share of the efficiency that is lost at the largest pseudorapidity, in [0, 1].
    pt_min : float, default=0
        Least transverse momentum in GeV.
    eta_max : float, default=inf
        Largest pseudorapidity.

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    measures: Literal["pt", "energy"] = "pt"
    stochastic: float = 0.0
    noise: float = 0.0
    constant: float = 0.0
    growth: float = 0.0
    angle: float = 0.0
    plateau: float = 1.0
    turn_on: float = 0.0
    forward: float = 0.0
    pt_min: float = 0.0
    eta_max: float = math.inf

    def __post_init__(self) -> None:
        if self.measures not in ("pt", "energy"):
            raise InputError(f"measures={self.measures!r}: {near_match(self.measures, ('pt', 'energy'))}")
        for name in ("stochastic", "noise", "constant", "growth", "angle", "turn_on", "pt_min"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"{name}={value!r}: a finite number of at least 0 is needed.")
        for name in ("plateau", "forward"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise InputError(f"{name}={value!r}: a number in [0, 1] is needed.")
        if not self.eta_max > 0.0:
            raise InputError(f"eta_max={self.eta_max!r}: a positive number is needed, math.inf for no limit.")

    def resolution(self, size: FloatArray) -> FloatArray:
        """Relative resolution sigma(x).

        Parameters
        ----------
        size : ndarray of float64, any shape
            pT or energy in GeV, positive; see `measures`.

        Returns
        -------
        ndarray of float64, same shape
            sigma(x), without unit.
        """
        squared = self.stochastic**2 / size + (self.noise / size) ** 2 + self.constant**2 + (self.growth * size) ** 2
        result: FloatArray = np.sqrt(squared)
        return result

    def factor(self, size: FloatArray, normals: FloatArray) -> FloatArray:
        """Measured over true momentum.

        Parameters
        ----------
        size : ndarray of float64, any shape
            As for `resolution`.
        normals : ndarray of float64
            Independent standard normal numbers, of the same shape.

        Returns
        -------
        ndarray of float64, same shape
            1 + normals sigma(x), at least `SMALLEST_FACTOR`.
        """
        return np.maximum(1.0 + normals * self.resolution(size), SMALLEST_FACTOR)

    def smear(self, momenta: FloatArray, normals: FloatArray) -> FloatArray:
        """Momenta as they are measured.

        All components are multiplied with f, then turned about the beam and boosted along it, which shifts azimuth
        and rapidity and leaves pT as it is. A mass is multiplied with f, so that it stays physical, and 0 stays 0.

        Parameters
        ----------
        momenta : ndarray of float64, shape (..., 4)
            (E, px, py, pz) in GeV in the laboratory, with pT > 0 where the resolution depends on pT.
        normals : ndarray of float64, shape (..., 3)
            Independent standard normal numbers: size, rapidity, azimuth.

        Returns
        -------
        ndarray of float64, shape (..., 4)
            A new array; the same numbers where nothing is smeared.
        """
        energy, x, y, z = np.moveaxis(momenta, -1, 0)
        size = np.hypot(x, y) if self.measures == "pt" else energy
        scale = self.factor(size, normals[..., 0])
        dy, dphi = self.angle * normals[..., 1], self.angle * normals[..., 2]
        cosh, sinh, cos, sin = np.cosh(dy), np.sinh(dy), np.cos(dphi), np.sin(dphi)
        measured = (energy * cosh + z * sinh, x * cos - y * sin, y * cos + x * sin, z * cosh + energy * sinh)
        return np.stack(measured, axis=-1) * scale[..., np.newaxis]

    def smear_on_shell(self, momenta: FloatArray, mass: float, normals: FloatArray) -> FloatArray:
        """Momenta of a particle of known mass as they are measured.

        Parameters
        ----------
        momenta : ndarray of float64, shape (..., 4)
            As for `smear`.
        mass : float
            In GeV: the energy is sqrt(p^2 + mass^2) with the measured momentum p.
        normals : ndarray of float64, shape (..., 3)
            As for `smear`.

        Returns
        -------
        ndarray of float64, shape (..., 4)
            A new array.
        """
        result = self.smear(momenta, normals)
        result[..., 0] = np.sqrt((result[..., 1:] ** 2).sum(axis=-1) + mass**2)
        return result

    def accepts(self, momenta: FloatArray) -> npt.NDArray[np.bool_]:
        """Which particles are within pT > pt_min and |eta| < eta_max.

        Parameters
        ----------
        momenta : ndarray of float64, shape (..., 4)
            (E, px, py, pz) in GeV in the laboratory.

        Returns
        -------
        ndarray of bool, shape (...)
            True for those inside.
        """
        pt, eta = pt_and_eta(momenta)
        result: npt.NDArray[np.bool_] = (pt > self.pt_min) & (np.abs(eta) < self.eta_max)
        return result

    def efficiency(self, momenta: FloatArray) -> FloatArray:
        """Probability that a particle is found and identified.

        Parameters
        ----------
        momenta : ndarray of float64, shape (..., 4)
            (E, px, py, pz) in GeV in the laboratory.

        Returns
        -------
        ndarray of float64, shape (...)
            In [0, 1], 0 outside of the acceptance. A weight, or for `identified`.
        """
        pt, eta = pt_and_eta(momenta)
        risen = -np.expm1(-pt / self.turn_on) if self.turn_on > 0.0 else 1.0
        central = 1.0 - self.forward * np.minimum(np.abs(eta) / self.eta_max, 1.0) ** 2
        return np.where(self.accepts(momenta), self.plateau * risen * central, 0.0)

    def identified(self, momenta: FloatArray, uniforms: FloatArray) -> npt.NDArray[np.bool_]:
        """Which particles are found and identified.

        Parameters
        ----------
        momenta : ndarray of float64, shape (..., 4)
            (E, px, py, pz) in GeV in the laboratory.
        uniforms : ndarray of float64, shape (...)
            Independent numbers, uniform in [0, 1).

        Returns
        -------
        ndarray of bool, shape (...)
            True with the probability `efficiency`.
        """
        result: npt.NDArray[np.bool_] = uniforms < self.efficiency(momenta)
        return result


JETS = Response(stochastic=0.8, constant=0.05, angle=0.02, pt_min=20.0, eta_max=4.5)
"""Jets: a stochastic term of 80 %, a constant of 5 %."""
ELECTRONS = Response(
    measures="energy",
    stochastic=0.10,
    noise=0.3,
    constant=0.01,
    angle=1e-3,
    plateau=0.95,
    turn_on=4.0,
    forward=0.05,
    pt_min=7.0,
    eta_max=2.47,
)
"""Electrons: round numbers of the order of arXiv:1908.00005 (resolution) and arXiv:1902.04655 (loose selection)."""
MUONS = Response(constant=0.015, growth=1e-4, angle=1e-3, plateau=0.99, turn_on=1.5, pt_min=5.0, eta_max=2.7)
"""Muons: 1.5 % for soft tracks, 10 % at 1 TeV; round numbers of the order of arXiv:1603.05598."""
PHOTONS = Response(
    measures="energy",
    stochastic=0.10,
    noise=0.3,
    constant=0.01,
    angle=3e-3,
    plateau=0.93,
    turn_on=10.0,
    forward=0.05,
    pt_min=20.0,
    eta_max=2.37,
)
"""Photons: round numbers of the order of arXiv:1908.00005."""


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A detector, as far as this package knows one; `dataclasses.replace` makes another.

    Parameters
    ----------
    jets, electrons, muons, photons : Response
        By kind of particle; the defaults are of the order of what ATLAS and CMS have published, not fits to it.
    missing : float, default=0.5
        In GeV^(1/2): each component of the missing transverse momentum has the resolution missing sqrt(sum E_T), of
        the order of arXiv:1108.5602.

    Raises
    ------
    InputError
        If `missing` is negative or not finite.
    """

    jets: Response = field(default_factory=lambda: JETS)
    electrons: Response = field(default_factory=lambda: ELECTRONS)
    muons: Response = field(default_factory=lambda: MUONS)
    photons: Response = field(default_factory=lambda: PHOTONS)
    missing: float = 0.5

    def __post_init__(self) -> None:
        if not (math.isfinite(self.missing) and self.missing >= 0.0):
            raise InputError(f"missing={self.missing!r}: a finite number of at least 0 is needed.")

    def smear_leptons(self, momenta: FloatArray, electrons: npt.NDArray[np.bool_], normals: FloatArray) -> FloatArray:
        """Momenta of electrons and muons as they are measured.

        Parameters
        ----------
        momenta : ndarray of float64, shape (..., 4)
            (E, px, py, pz) in GeV in the laboratory.
        electrons : ndarray of bool, shape (...)
            Which leptons are electrons; the others are muons.
        normals : ndarray of float64, shape (..., 3)
            As for `Response.smear`.

        Returns
        -------
        ndarray of float64, shape (..., 4)
            A new array.
        """
        as_electrons, as_muons = self.electrons.smear(momenta, normals), self.muons.smear(momenta, normals)
        return np.where(electrons[..., np.newaxis], as_electrons, as_muons)

    def smear_missing(self, momentum: FloatArray, sum_et: FloatArray, normals: FloatArray) -> FloatArray:
        """Missing transverse momentum as it is measured.

        Parameters
        ----------
        momentum : ndarray of float64, shape (..., 2)
            (px, py) in GeV of what escapes.
        sum_et : ndarray of float64, shape (...)
            Sum of the transverse energies of all that is seen, pile-up included, in GeV, at least 0.
        normals : ndarray of float64, shape (..., 2)
            Independent standard normal numbers.

        Returns
        -------
        ndarray of float64, shape (..., 2)
            A new array.
        """
        result: FloatArray = momentum + normals * (self.missing * np.sqrt(sum_et))[..., np.newaxis]
        return result

    def configuration(self) -> dict[str, object]:
        """All parameters, for the record.

        Returns
        -------
        dict
            Of numbers and dicts of numbers.
        """
        return dataclasses.asdict(self)


def as_detector(smear: bool | Detector) -> Detector | None:
    """Detector that an argument `smear` asks for.

    Parameters
    ----------
    smear : bool or Detector
        True stands for `Detector` as it is.

    Returns
    -------
    Detector or None
        None for False.

    Raises
    ------
    InputError
        For anything else.
    """
    if not isinstance(smear, (bool, np.bool_, Detector)):
        raise InputError(f"smear={smear!r}: True, False or a bit.processes.detector.Detector is needed.")
    if isinstance(smear, Detector):
        return smear
    return Detector() if smear else None


def standard_normals(uniforms: FloatArray) -> FloatArray:
    """Standard normal numbers out of dimensions of a unit hypercube.

    Parameters
    ----------
    uniforms : ndarray of float64, any shape
        In [0, 1].

    Returns
    -------
    ndarray of float64, same shape
        Their quantiles; finite, as 0 and 1 are moved inwards by one rounding.
    """
    result: FloatArray = ndtri(np.clip(uniforms, _EPSILON, 1.0 - _EPSILON))
    return result


_EPSILON = float(np.finfo(np.float64).eps)


def pt_and_eta(momenta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Transverse momentum and pseudorapidity.

    Parameters
    ----------
    momenta : ndarray of float64, shape (..., 4)
        (E, px, py, pz) in GeV, pT > 0.

    Returns
    -------
    pt, eta : ndarray of float64, shape (...)
        The former in GeV.
    """
    pt = np.hypot(momenta[..., 1], momenta[..., 2])
    return pt, np.arcsinh(momenta[..., 3] / pt)
