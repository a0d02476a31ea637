"""Les Houches records of simulated events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis
from bit.events import EventTable
from bit.particles import LHEEvents

PROTON = 2212
FB_PER_PB = 1e3


@dataclass(frozen=True)
class Particles:
    """The particles of n events that all have the same m particles in the same places.

    Parameters
    ----------
    pdg : ndarray of int64, shape (n, m)
        Particle codes.
    status : sequence of int, length m
        -1 incoming, 1 outgoing, 2 intermediate.
    mothers : sequence of (int, int), length m
        First and last mother, counted from 1; 0 for none.
    colour : ndarray of int64, shape (n, m, 2)
        Colour and anticolour line of each particle, 0 for none.
    momenta : ndarray of float64, shape (n, m, 4)
        E, px, py, pz in GeV.
    mass : ndarray of float64, shape (m,) or (n, m)
        In GeV.
    """

    pdg: npt.NDArray[np.int64]
    status: tuple[int, ...]
    mothers: tuple[tuple[int, int], ...]
    colour: npt.NDArray[np.int64]
    momenta: FloatArray
    mass: FloatArray


def record(
    particles: Particles, table: EventTable, sigma_fb: float, sigma_error_fb: float, sqrt_s_gev: float
) -> LHEEvents:
    """Particles and weights of simulated events.

    Parameters
    ----------
    particles : Particles
        Of n events.
    table : EventTable
        Their weights in fb.
    sigma_fb, sigma_error_fb : float
        Cross-section and its standard error in fb.
    sqrt_s_gev : float
        Energy of the collisions in GeV.

    Returns
    -------
    LHEEvents
        Absolute weights in pb, with the mean as the cross-section.
    """
    n, m = particles.pdg.shape
    points = base_points(table.basis)
    to_mean = n / FB_PER_PB
    weights = np.stack([table.at(point) for point in points], axis=1) * to_mean
    weight = table.weights[:, 0] * to_mean
    header = [sigma_fb / FB_PER_PB, sigma_error_fb / FB_PER_PB, float(weight.max()), 1.0]
    return LHEEvents(
        offsets=np.arange(n + 1) * m,
        pdg=particles.pdg.ravel(),
        status=np.tile(particles.status, n),
        mothers=np.tile(particles.mothers, (n, 1)),
        colour=particles.colour.reshape(-1, 2),
        momenta=particles.momenta.reshape(-1, 4),
        mass=np.broadcast_to(particles.mass, (n, m)).ravel(),
        weight=weight,
        weight_ids=tuple(weight_id(table.basis, point) for point in points),
        weights=weights,
        event_norm="average",
        beam_pdg=np.full(2, PROTON),
        beam_energies=np.full(2, sqrt_s_gev / 2.0),
        processes=np.array([header]),
    )


def base_points(basis: PolynomialBasis) -> FloatArray:
    """Fewest points that determine a polynomial of second order, about its reference point r.

    Parameters
    ----------
    basis : PolynomialBasis
        With all terms up to order 2.

    Returns
    -------
    ndarray of float64, shape (n_terms, n_params)
        r, r +- 1 in each coefficient, r + 1 in each pair of coefficients.
    """
    units = np.eye(basis.n_params)
    first, second = np.triu_indices(basis.n_params, k=1)
    steps = np.concatenate([np.zeros((1, basis.n_params)), units, -units, units[first] + units[second]])
    points: FloatArray = steps + np.array(basis.reference)
    return points


def weight_id(basis: PolynomialBasis, point: FloatArray) -> str:
    """Id of a base point that `bit.read_lhe` understands, such as ``cHW_1p0_cHWtil_m1p0``.

    Parameters
    ----------
    basis : PolynomialBasis
        Names of the coefficients.
    point : ndarray of float64, shape (n_params,)
        Absolute coefficients in TeV^-2.

    Returns
    -------
    str
        ``SM`` where all are 0, else all coefficients with their values in full precision.
    """
    if not point.any():
        return "SM"
    values = (repr(value).replace(".", "p").replace("-", "m").replace("+", "") for value in point.tolist())
    return "_".join(f"{name}_{value}" for name, value in zip(basis.param_names, values, strict=True))
