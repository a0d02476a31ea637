"""q qbar -> Z H: what `bit.processes.zh` and `bit.processes.zh_undecayed` share, whatever the Z does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.errors import InputError, near_match
from bit.particles import LHEEvents
from bit.processes.currents import two_body_momentum
from bit.processes.cuts import Cuts
from bit.processes.hvv import Electroweak
from bit.processes.pdf import PartonDensities
from bit.processes.simulation import SQRT_S_GEV

QUARKS = {
    "u": (2, 0.5, 2 / 3),
    "d": (1, -0.5, -1 / 3),
    "s": (3, -0.5, -1 / 3),
    "c": (4, 0.5, 2 / 3),
    "b": (5, -0.5, -1 / 3),
}
"""PDG identity, isospin of the left-handed quark, and charge."""

HIGGS, Z_BOSON = 25, 23


def quark_codes(quarks: Sequence[str]) -> npt.NDArray[np.int64]:
    """PDG identities.

    Parameters
    ----------
    quarks : sequence of str
        Names out of `QUARKS`.

    Returns
    -------
    ndarray of int64, shape (n_quarks,)
        All positive.
    """
    return np.array([QUARKS[quark][0] for quark in quarks])


def check_flavours(flavour: str, quarks: Sequence[str]) -> None:
    """Refuse options of the initial flavours outside their rule.

    Parameters
    ----------
    flavour : str
        "summed" or "latent".
    quarks : sequence of str
        Names out of `QUARKS`.

    Raises
    ------
    InputError
        For an unknown or repeated name, or none.
    """
    if flavour not in ("summed", "latent"):
        raise InputError(f"flavour={flavour!r}: {near_match(flavour, ('summed', 'latent'))}")
    for quark in quarks:
        if quark not in QUARKS:
            raise InputError(f"quarks name {quark!r}: {near_match(quark, QUARKS)}")
    if not quarks or len(set(quarks)) != len(quarks):
        raise InputError(f"quarks={list(quarks)!r}: name at least one flavour, and each once.")


def z_momentum(sqrt_s: FloatArray, electroweak: Electroweak) -> FloatArray:
    """Momentum of the Z in the partonic frame.

    Parameters
    ----------
    sqrt_s : ndarray of float64, any shape
        Invariant mass of ZH in GeV, at least mZ + mH.
    electroweak : Electroweak
        Masses.

    Returns
    -------
    ndarray of float64, same shape
        In GeV.
    """
    return two_body_momentum(sqrt_s, electroweak.m_z, electroweak.m_h)


def luminosities(
    pdf: PartonDensities, quarks: Sequence[str], sqrt_s: FloatArray, y: FloatArray, mu_f: float | None
) -> tuple[FloatArray, FloatArray]:
    """Products of the densities of quark and antiquark, for both assignments to the beams.

    Parameters
    ----------
    pdf : PartonDensities
        Densities; negative ones count as 0.
    quarks : sequence of str
        Flavours.
    sqrt_s, y : ndarray of float64, shape (n,)
        Partonic energy in GeV, and rapidity of the ZH system.
    mu_f : float or None
        Factorisation scale in GeV, None for `sqrt_s`.

    Returns
    -------
    quark_ahead, quark_behind : ndarray of float64, shape (n_quarks, n)
        xf(x1) xf(x2) with the quark along +z, and along -z.
    """
    scale = sqrt_s if mu_f is None else np.full_like(sqrt_s, mu_f)
    tau = sqrt_s / SQRT_S_GEV
    ids = [sign * QUARKS[quark][0] for quark in quarks for sign in (1, -1)]
    ahead = np.maximum(pdf.xf(ids, tau * np.exp(y), scale), 0.0)
    behind = np.maximum(pdf.xf(ids, tau * np.exp(-y), scale), 0.0)
    return (ahead[:, 0::2] * behind[:, 1::2]).T, (ahead[:, 1::2] * behind[:, 0::2]).T


def differential_factor(norm: float, sqrt_s: FloatArray, momentum: FloatArray) -> FloatArray:
    """Factor from |M|^2 times parton densities to d sigma/(d sqrt(s) dy dcosT).

    Parameters
    ----------
    norm : float
        Unit of the result, times a branching ratio.
    sqrt_s, momentum : ndarray of float64, shape (n,)
        Partonic energy, and momentum of the Z, in GeV.

    Returns
    -------
    ndarray of float64, shape (n,)
        In the unit of `norm` per GeV^3.
    """
    # 1/12 averages over spins and colours, 1/(2s) is the flux, k/(8 pi sqrt(s)) dcosT the phase space,
    # and 2 d sqrt(s)/sqrt(s) dy the measure dx1 dx2/(x1 x2).
    phase_space = momentum / (8.0 * math.pi * sqrt_s)
    return norm / 12.0 / (2.0 * sqrt_s**2) * phase_space * 2.0 / sqrt_s


class Scattering(NamedTuple):
    """Points of the phase space of ZH; arrays of shape (n,).

    Parameters
    ----------
    sqrt_s : ndarray of float64, shape (n,)
        Partonic energy in GeV.
    y : ndarray of float64, shape (n,)
        Rapidity of the ZH system.
    cos_theta : ndarray of float64, shape (n,)
        Cosine of the angle between Z and +z in the partonic frame.
    pt : ndarray of float64, shape (n,)
        Transverse momentum of the Z in GeV.
    jacobian : ndarray of float64, shape (n,)
        d(sqrt_s, y/2, cosT/2)/d(uniforms), in GeV.
    """

    sqrt_s: FloatArray
    y: FloatArray
    cos_theta: FloatArray
    pt: FloatArray
    jacobian: FloatArray


@dataclass(frozen=True)
class ScatteringMap:
    """Map of three uniforms on the phase space of ZH, within the range that cuts leave.

    s has density 1/s^2, y and cosT are flat; pT > p_min bounds s from below and |cosT| from above.

    Parameters
    ----------
    electroweak : Electroweak
        Masses.
    pt_min, s_min, s_max : float
        Limits in GeV and GeV^2.
    """

    electroweak: Electroweak
    pt_min: float
    s_min: float
    s_max: float

    @classmethod
    def of(cls, cuts: Cuts, electroweak: Electroweak, what: str) -> ScatteringMap:
        """Return the map that fits some cuts on ``pt`` and ``sqrt_s``.

        Parameters
        ----------
        cuts : Cuts
            On the features of the process.
        electroweak : Electroweak
            Masses.
        what : str
            Name of the process, for messages.

        Returns
        -------
        ScatteringMap
            It covers all that the cuts leave.

        Raises
        ------
        InputError
            If they leave nothing.
        """
        pt_min, pt_max = cuts.window("pt", 0.0, SQRT_S_GEV)
        threshold = math.hypot(electroweak.m_z, pt_min) + math.hypot(electroweak.m_h, pt_min)
        low, high = cuts.window("sqrt_s", threshold, SQRT_S_GEV)
        if not (pt_min < pt_max and low < high):
            raise InputError(f"{what}: the cuts leave no phase space below {SQRT_S_GEV:.0f} GeV; loosen them.")
        return cls(electroweak, pt_min, low**2, high**2)

    def __call__(self, u_s: FloatArray, u_y: FloatArray, u_theta: FloatArray) -> Scattering:
        """Return the points of the phase space.

        Parameters
        ----------
        u_s, u_y, u_theta : ndarray of float64, shape (n,)
            Between 0 and 1.

        Returns
        -------
        Scattering
            With the Jacobian.
        """
        inverse = 1.0 / self.s_min - u_s * (1.0 / self.s_min - 1.0 / self.s_max)
        sqrt_s = np.sqrt(1.0 / inverse)
        y_max = np.log(SQRT_S_GEV / sqrt_s)
        momentum = z_momentum(sqrt_s, self.electroweak)
        # At threshold the momentum may round to 0; without a cut on pT the quotient is 0 there, too.
        lowest = self.pt_min / np.maximum(momentum, np.finfo(np.float64).tiny)
        cos_max = np.sqrt(np.maximum(1.0 - lowest**2, 0.0))
        y, cos_theta = y_max * (2.0 * u_y - 1.0), cos_max * (2.0 * u_theta - 1.0)
        pt = momentum * np.sqrt(1.0 - cos_theta**2)
        jacobian = sqrt_s**3 / 2.0 * (1.0 / self.s_min - 1.0 / self.s_max) * y_max * cos_max
        return Scattering(sqrt_s, y, cos_theta, pt, jacobian)


def draw_row(values: FloatArray, coins: FloatArray) -> npt.NDArray[np.int64]:
    """Draw a row for each column, in proportion to its values.

    Parameters
    ----------
    values : ndarray of float64, shape (n_rows, n)
        At least 0, and not all 0 in a column.
    coins : ndarray of float64, shape (n,)
        Uniform in [0, 1).

    Returns
    -------
    ndarray of int64, shape (n,)
        Rows.
    """
    reached = np.cumsum(values, axis=0)
    chosen: npt.NDArray[np.int64] = (coins * reached[-1] >= reached[:-1]).sum(axis=0)
    return chosen


def to_laboratory(momenta: FloatArray, y: FloatArray, azimuth: FloatArray) -> FloatArray:
    """Momenta after a rotation around the beam and a boost along it.

    Parameters
    ----------
    momenta : ndarray of float64, shape (..., n, 4)
        (E, px, py, pz) in GeV.
    y, azimuth : ndarray of float64, shape (n,)
        Rapidity of the boost, and angle of the rotation.

    Returns
    -------
    ndarray of float64, shape (..., n, 4)
        A new array.
    """
    energy, px, py, pz = (momenta[..., component] for component in range(4))
    cosh, sinh, cos, sin = np.cosh(y), np.sinh(y), np.cos(azimuth), np.sin(azimuth)
    return np.stack(
        [cosh * energy + sinh * pz, cos * px - sin * py, sin * px + cos * py, sinh * energy + cosh * pz], axis=-1
    )


def to_rest_frame(momenta: FloatArray, total: FloatArray) -> FloatArray:
    """Momenta after the boost without rotation to the frame in which a sum of momenta is at rest.

    Parameters
    ----------
    momenta : ndarray of float64, shape (..., n, 4)
        (E, px, py, pz) in GeV.
    total : ndarray of float64, shape (n, 4)
        The sum, time-like.

    Returns
    -------
    ndarray of float64, shape (..., n, 4)
        A new array.
    """
    velocity = total[:, 1:] / invariant_mass(total)[:, np.newaxis]
    gamma = np.sqrt(1.0 + (velocity**2).sum(axis=-1))
    along = (momenta[..., 1:] * velocity).sum(axis=-1)
    shift = along / (1.0 + gamma) - momenta[..., 0]
    space = momenta[..., 1:] + shift[..., np.newaxis] * velocity
    return np.concatenate([(gamma * momenta[..., 0] - along)[..., np.newaxis], space], axis=-1)


def invariant_mass(momenta: FloatArray) -> FloatArray:
    """Invariant mass sqrt(E^2 - p^2).

    Parameters
    ----------
    momenta : ndarray of float64, shape (..., 4)
        (E, px, py, pz) in GeV, time-like.

    Returns
    -------
    ndarray of float64, shape (...)
        In GeV.
    """
    energy, px, py, pz = (momenta[..., component] for component in range(4))
    mass: FloatArray = np.sqrt((energy - pz) * (energy + pz) - px**2 - py**2)
    return mass


def incoming_pair(outgoing: FloatArray) -> FloatArray:
    """Momenta of massless partons along +z and -z that balance an outgoing system.

    Parameters
    ----------
    outgoing : ndarray of float64, shape (n, 4)
        Sum of the outgoing momenta, without transverse part.

    Returns
    -------
    ndarray of float64, shape (2, n, 4)
        (E, px, py, pz) in GeV.
    """
    partons = np.zeros((2, *outgoing.shape))
    for parton, sign in zip(partons, (1.0, -1.0), strict=True):
        parton[:, 0] = 0.5 * (outgoing[:, 0] + sign * outgoing[:, 3])
        parton[:, 3] = sign * parton[:, 0]
    return partons


def incoming_codes(quarks: npt.NDArray[np.int64], ahead: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """PDG identities of the partons along +z and -z.

    Parameters
    ----------
    quarks : ndarray of int64, shape (n,)
        Of the quarks.
    ahead : ndarray of bool, shape (n,)
        Whether the quark moves along +z.

    Returns
    -------
    ndarray of int64, shape (n, 2)
        q and -q.
    """
    first = np.where(ahead, quarks, -quarks)
    return np.stack([first, -first], axis=-1)


def colour_lines(pdg: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Colour lines of annihilation: the first two particles share one, all others have none.

    Parameters
    ----------
    pdg : ndarray of int64, shape (n, m)
        Particle codes, incoming quark and antiquark first, in either order.

    Returns
    -------
    ndarray of int64, shape (n, m, 2)
        Colour and anticolour.
    """
    lines = np.zeros((*pdg.shape, 2), dtype=np.int64)
    lines[:, :2, 0] = np.where(pdg[:, :2] > 0, _FIRST_LINE, 0)
    lines[:, :2, 1] = np.where(pdg[:, :2] < 0, _FIRST_LINE, 0)
    return lines


_FIRST_LINE = 501


def find(events: LHEEvents, roles: Sequence[tuple[int, Sequence[int]]], what: str) -> npt.NDArray[np.int64]:
    """Find particles by status and PDG identity, each of which every event has once.

    Parameters
    ----------
    events : LHEEvents
        Of n events.
    roles : sequence of (int, sequence of int)
        Status and possible PDG identities of each particle.
    what : str
        The process and what its events must have, for the message.

    Returns
    -------
    ndarray of int64, shape (n_roles, n)
        Their places in the flat arrays of the events.

    Raises
    ------
    InputError
        Where events lack one of them or have several.
    """
    owner = np.repeat(np.arange(len(events)), np.diff(events.offsets))
    places = np.zeros((len(roles), len(events)), dtype=np.int64)
    fits = np.ones(len(events), dtype=bool)
    for row, (status, codes) in zip(places, roles, strict=True):
        candidates = np.flatnonzero((events.status == status) & np.isin(events.pdg, codes))
        fits &= np.bincount(owner[candidates], minlength=len(events)) == 1
        row[owner[candidates]] = candidates
    refuse(~fits, what)
    return places


def find_quarks(events: LHEEvents, what: str) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Find the incoming quark and antiquark of one flavour.

    Parameters
    ----------
    events : LHEEvents
        Of n events.
    what : str
        For the message of `find`.

    Returns
    -------
    names : list of str
        Flavours of `QUARKS` that occur.
    places : ndarray of int64, shape (2, n)
        Of quark and antiquark in the flat arrays of the events.

    Raises
    ------
    InputError
        For events with other incoming partons.
    """
    codes = [code for code, _, _ in QUARKS.values()]
    places = find(events, [(-1, codes), (-1, [-code for code in codes])], what)
    quark, antiquark = events.pdg[places]
    refuse(quark != -antiquark, what)
    return [name for name, (code, _, _) in QUARKS.items() if (quark == code).any()], places


def refuse(wrong: npt.NDArray[np.bool_], what: str) -> None:
    """Refuse events that are not of a process.

    Parameters
    ----------
    wrong : ndarray of bool, shape (n,)
        Which are not.
    what : str
        The process and what its events must have.

    Raises
    ------
    InputError
        If there are any; it counts them.
    """
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} of {len(wrong)} events (first: event {int(np.argmax(wrong))}) are not {what}; "
            "take them out of the file."
        )
