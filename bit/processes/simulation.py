"""Events with weights from a process as a function of the unit hypercube, and how a process describes its features."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import InputError
from bit.events import EventTable
from bit.particles import LHEEvents
from bit.processes.phase_space import CHUNK, Integrand, draw
from bit.processes.record import Particles, record

SQRT_S_GEV = 13000.0
"""Energy of the collisions of protons."""


@dataclass(frozen=True)
class Feature:
    """Name, unit and LaTeX label of a feature.

    Parameters
    ----------
    name : str
        Identifier, the column's name in tables and files.
    unit : str
        ``"GeV"``, or ``""`` where there is none (angles are in radians).
    latex : str
        Label without dollar signs.
    """

    name: str
    unit: str
    latex: str


@dataclass(frozen=True)
class Events:
    """What a process knows of some points of the unit hypercube.

    Parameters
    ----------
    features : mapping of str to ndarray, shape (n,)
        Features by name, in the order of the table.
    terms : ndarray of float64, shape (n, n_terms)
        Weight polynomial at the Standard Model, up to a positive factor for each event.
    aux : mapping of str to ndarray, shape (n, ...)
        What is not a feature.
    """

    features: Mapping[str, FloatArray]
    terms: FloatArray
    aux: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


class Cube(Integrand, Protocol):
    """A process as a function of the unit hypercube; its density is that of the reference point."""

    @property
    def n_dim(self) -> int:
        """Dimension of the hypercube."""

    def events(self, points: FloatArray) -> Events:
        """Features and weights.

        Parameters
        ----------
        points : ndarray of float64, shape (n, n_dim)
            Points of the unit hypercube.

        Returns
        -------
        Events
            At these points.
        """

    def particles(self, points: FloatArray, rng: np.random.Generator) -> Particles:
        """Particles of a Les Houches record.

        Parameters
        ----------
        points : ndarray of float64, shape (n, n_dim)
            Points of the unit hypercube.
        rng : numpy.random.Generator
            Draws what the weights do not depend on or sum over: a common azimuth, flavours, beams.

        Returns
        -------
        Particles
            At these points.
        """


@dataclass(frozen=True)
class Simulation:
    """Simulated events and their cross-section.

    Parameters
    ----------
    table : EventTable
        Events with weights in fb; column 0 sums to `sigma_fb`.
    sigma_fb : float
        Cross-section times branching ratio at the reference point, in fb.
    sigma_error_fb : float
        Its standard error, in fb.
    configuration : dict
        All that is needed to simulate the same events again, and what was chosen on the way.
    cube : Cube
        The process.
    points : ndarray of float64, shape (n_events, n_dim)
        The events as points of the unit hypercube.
    """

    table: EventTable
    sigma_fb: float
    sigma_error_fb: float
    configuration: dict[str, Any]
    cube: Cube = field(repr=False)
    points: FloatArray = field(repr=False)

    def lhe_events(self) -> LHEEvents:
        """Particles of all events, with weights at base points that determine the polynomial.

        Returns
        -------
        LHEEvents
            For `bit.write_lhe`. The mean of the weights is the cross-section in pb (``event_norm`` "average"). Base
            points are the reference point r, r +- 1 in each coefficient, and r + 1 in each pair of them, so that
            `bit.read_lhe` finds the same polynomials about any reference point.
        """
        rng = np.random.default_rng(np.random.SeedSequence(self.configuration["seed"], spawn_key=(_FOR_PARTICLES,)))
        particles = self.cube.particles(self.points, rng)
        return record(particles, self.table, self.sigma_fb, self.sigma_error_fb, SQRT_S_GEV)


_FOR_PARTICLES = 1000


def reference_point(basis: PolynomialBasis, theta0: ThetaLike | None) -> FloatArray:
    """Reference point of a sample, the Standard Model by default.

    Parameters
    ----------
    basis : PolynomialBasis
        Of the process.
    theta0 : array-like of shape (n_params,), or mapping, or None
        In TeV^-2.

    Returns
    -------
    ndarray of float64, shape (n_params,)
        One point.

    Raises
    ------
    InputError
        For a wrong number of values, an unknown coefficient, or values that are not finite or beyond 1e4 in size.
    """
    point = np.zeros(basis.n_params) if theta0 is None else basis.as_theta(theta0)
    if point.ndim != 1:
        raise InputError(f"theta0 has shape {point.shape}: one reference point of {basis.n_params} values is needed.")
    for name, value in zip(basis.param_names, point.tolist(), strict=True):
        if not abs(value) <= _LARGEST_COEFFICIENT:
            raise InputError(
                f"theta0 has {name}={value:g}: coefficients are c/Lambda^2 in TeV^-2, at most "
                f"{_LARGEST_COEFFICIENT:g} in size."
            )
    return point


_LARGEST_COEFFICIENT = 1e4


def require_common(n_events: int, seed: int, e: float) -> None:
    """Refuse arguments that all simulators share, outside their rule.

    Parameters
    ----------
    n_events, seed : int
        At least 1 and 0.
    e : float
        Electric coupling, positive.

    Raises
    ------
    InputError
        What, the rule, the remedy.
    """
    if not isinstance(n_events, (int, np.integer)) or n_events < 1:
        raise InputError(f"n_events={n_events!r}: a whole number of at least 1 is needed.")
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed={seed!r}: a whole number of at least 0 is needed.")
    if not (math.isfinite(e) and e > 0):
        raise InputError(f"e={e!r}: the coupling must be positive; 0.3028 and 0.31345 are usual.")


def require_scale(mu_f: object, default: str) -> None:
    """Refuse a factorisation scale that is not positive.

    Parameters
    ----------
    mu_f : float or None
        In GeV; None stands for the default.
    default : str
        What None stands for, for the message.

    Raises
    ------
    InputError
        Where it is not a positive number.
    """
    if mu_f is not None and not (isinstance(mu_f, (int, float)) and math.isfinite(mu_f) and mu_f > 0):
        raise InputError(f"mu_f={mu_f!r}: a positive scale in GeV, or {default}, is needed.")


def generate(
    cube: Cube,
    basis: PolynomialBasis,
    features: Sequence[Feature],
    point: FloatArray,
    *,
    n_events: int,
    seed: int,
    configuration: Mapping[str, Any],
    n_eff_fraction: float,
    show_progress: bool,
) -> Simulation:
    """Draw events at the reference point, and give them their weights.

    Parameters
    ----------
    cube : Cube
        The process.
    basis : PolynomialBasis
        Of its weights, at the Standard Model.
    features : sequence of Feature
        As the cube returns them.
    point : ndarray of float64, shape (n_params,)
        Reference point in TeV^-2, at which the cube gives its density.
    n_events, seed : int
        At least 1 and 0.
    configuration : mapping
        What describes the process, among it ``process`` and ``cuts``.
    n_eff_fraction : float
        Wanted n_eff/n (`bit.processes.phase_space.draw`).
    show_progress : bool
        Draw progress bars.

    Returns
    -------
    Simulation
        Features are float32.

    Raises
    ------
    InputError
        If the cuts leave nothing.
    MissingPackageError
        If vegas is not installed.
    """
    process, cuts = configuration["process"], configuration["cuts"]
    sample = draw(
        cube,
        cube.n_dim,
        n_events,
        np.random.SeedSequence(seed, spawn_key=(0,)),
        what=f"{process} with cuts {cuts!r}" if cuts else process,
        n_eff_fraction=n_eff_fraction,
        show_progress=show_progress,
    )
    columns = np.empty((n_events, len(features)), dtype=np.float32)
    weights = np.empty((n_events, basis.n_terms))
    aux: dict[str, list[npt.NDArray[Any]]] = {}
    monomials = basis.monomials(point)
    for first in range(0, n_events, CHUNK):
        rows = slice(first, first + CHUNK)
        events = cube.events(sample.points[rows])
        columns[rows] = np.stack(list(events.features.values()), axis=-1)
        weights[rows] = events.terms * (sample.weights[rows] / (events.terms @ monomials))[:, np.newaxis]
        for name, values in events.aux.items():
            aux.setdefault(name, []).append(values)
    table = EventTable(
        columns,
        weights,
        basis,
        feature_names=tuple(feature.name for feature in features),
        units=tuple(feature.unit for feature in features),
        aux={name: np.concatenate(parts) for name, parts in aux.items()},
    )
    if point.any():
        table = table.rebase(point)
    return Simulation(
        table=table,
        sigma_fb=sample.sigma,
        sigma_error_fb=sample.sigma_error,
        configuration={
            **configuration,
            "n_events": int(n_events),
            "seed": int(seed),
            "theta0": dict(zip(basis.param_names, point.tolist(), strict=True)),
            "sqrt_s_gev": SQRT_S_GEV,
            "emphasis_share": sample.emphasis_share,
            "versions": {package: importlib.metadata.version(package) for package in ("numpy", "scipy", "vegas")},
        },
        cube=cube,
        points=sample.points,
    )
