"""Flavours and momenta of q q' -> q q' H in Les Houches records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.errors import InputError
from bit.particles import IntArray, LHEEvents
from bit.processes.fusion import Kinematics, charged_weights, neutral_charges, neutral_weights
from bit.processes.hvv import Electroweak

BoolArray: TypeAlias = npt.NDArray[np.bool_]

PARTONS = np.array([(2, 4, 6), (1, 3, 5), (-2, -4, -6), (-1, -3, -5)])
"""PDG identities of up and down quarks, up and down antiquarks; the third generation takes part in neutral fusion only,
and without top quarks."""
EMITS = (1, -1, -1, 1)
"""Charge of the W that each row of `PARTONS` can emit."""
HIGGS = 25

_B_QUARK, _GLUON = 5, 21


def after_w(partons: IntArray) -> IntArray:
    """Identities of partons after they emitted a W; quarks do not mix.

    Parameters
    ----------
    partons : ndarray of int64, any shape
        PDG identities of quarks and antiquarks.

    Returns
    -------
    ndarray of int64, same shape
        Partners in the same generation.
    """
    result: IntArray = np.sign(partons) * (np.abs(partons) + np.where(partons % 2 == 0, -1, 1))
    return result


def momenta_of(kinematics: Kinematics, exchanged: BoolArray, azimuth: FloatArray, m_h: float) -> FloatArray:
    """Four-momenta of all particles.

    Parameters
    ----------
    kinematics : Kinematics
        Final state, up to a common azimuth.
    exchanged : ndarray of bool, shape (n,)
        Whether the second jet comes from the parton along +z, or else the first.
    azimuth : ndarray of float64, shape (n,)
        Of the first jet.
    m_h : float
        Mass of the Higgs boson in GeV.

    Returns
    -------
    ndarray of float64, shape (n, 5, 4)
        (E, px, py, pz) in GeV of the partons along +z and -z, the Higgs boson, the jets from the first and from the
        second parton. Their sum is conserved to rounding.
    """
    at = kinematics
    jets = np.stack(
        [_four_vector(at.pt1, at.y1, azimuth, 0.0), _four_vector(at.pt2, at.y2, azimuth - at.dphi, 0.0)], axis=1
    )
    jets = np.where(exchanged[:, np.newaxis, np.newaxis], jets[:, ::-1], jets)
    px, py = -jets[:, :, 1].sum(axis=1), -jets[:, :, 2].sum(axis=1)
    higgs = _four_vector(np.hypot(px, py), at.y_h, np.arctan2(py, px), m_h)
    higgs[:, 1], higgs[:, 2] = px, py
    total = jets.sum(axis=1) + higgs
    incoming = np.zeros((len(px), 2, 4))
    for side, sign in enumerate((1.0, -1.0)):
        incoming[:, side, 0] = 0.5 * (total[:, 0] + sign * total[:, 3])
        incoming[:, side, 3] = sign * incoming[:, side, 0]
    return np.concatenate([incoming, higgs[:, np.newaxis], jets], axis=1)


def _four_vector(pt: FloatArray, y: FloatArray, phi: FloatArray, mass: float) -> FloatArray:
    m_t = np.hypot(pt, mass)
    return np.stack([m_t * np.cosh(y), pt * np.cos(phi), pt * np.sin(phi), m_t * np.sinh(y)], axis=-1)


@dataclass(frozen=True, eq=False)
class Record:
    """Partons and kinematics of given events; the first jet is assigned to the parton along +z.

    Parameters
    ----------
    incoming : ndarray of int64, shape (n, 2)
        PDG identities of the partons along +z and -z.
    outgoing : ndarray of int64, shape (n, 2)
        PDG identities of the two jets.
    spin : ndarray of float64, shape (n, 2)
        Helicities of the incoming partons, 9 where unknown.
    kinematics : Kinematics
        Final state.
    """

    incoming: IntArray
    outgoing: IntArray
    spin: FloatArray
    kinematics: Kinematics

    def exchanged(self) -> Record:
        """Return the same events with the jets assigned the other way.

        Returns
        -------
        Record
            First jet second.
        """
        return replace(self, outgoing=self.outgoing[:, ::-1], kinematics=self.kinematics.exchanged())

    def exchanges_w(self) -> BoolArray:
        """Whether each jet is what its parton becomes by emission of a W, and the two W have opposite charges.

        Returns
        -------
        ndarray of bool, shape (n,)
            One value for each event.
        """
        emitted = np.take(EMITS, self._rows()).sum(axis=1)
        result: BoolArray = (self.outgoing == after_w(self.incoming)).all(axis=1) & (emitted == 0)
        return result

    def charged_weights(self, helicities: FloatArray, electroweak: Electroweak) -> FloatArray:
        """Weight polynomial of |M|^2 for W fusion.

        Parameters
        ----------
        helicities : ndarray of float64, shape (n, 2, 2)
            For both incoming partons, factors of the helicities -1 and 1: 1 and 1 for their sum.
        electroweak : Electroweak
            Masses and couplings.

        Returns
        -------
        ndarray of float64, shape (6, n)
            As `bit.processes.fusion.charged_weights`, whatever the flavours of the jets.
        """
        anti = self.incoming < 0
        same, opposite = (charged_weights(self.kinematics, electroweak, antiquark=flag) for flag in (False, True))
        # Quarks have helicity -1, antiquarks 1.
        share = np.where(anti, helicities[..., 1], helicities[..., 0]).prod(axis=1)
        result: FloatArray = share * np.where(anti[:, 0] == anti[:, 1], same, opposite)
        return result

    def neutral_weights(self, helicities: FloatArray, electroweak: Electroweak, gamma_z: float) -> FloatArray:
        """Weight polynomial of |M|^2 for neutral fusion.

        Parameters
        ----------
        helicities : ndarray of float64, shape (n, 2, 2)
            As for `charged_weights`.
        electroweak : Electroweak
            Masses and couplings.
        gamma_z : float
            Width of the Z in GeV in its space-like propagators.

        Returns
        -------
        ndarray of float64, shape (28, n)
            As `bit.processes.fusion.neutral_weights`, whatever the flavours of the jets.
        """
        charges, rows = neutral_charges(electroweak), self._rows()
        line1, line2 = (charges[..., rows[:, side]] * helicities[:, side].T[:, np.newaxis] for side in (0, 1))
        return neutral_weights(self.kinematics, line1, line2, electroweak, gamma_z=gamma_z)

    def _rows(self) -> IntArray:
        """Rows of `PARTONS` of the incoming partons."""
        result: IntArray = np.abs(self.incoming) % 2 + 2 * (self.incoming < 0)
        return result

    @classmethod
    def of(cls, events: LHEEvents) -> Record:
        """Find the particles by their identities and status.

        Parameters
        ----------
        events : LHEEvents
            With two incoming quarks along the beam, two outgoing quarks, and a Higgs boson, which may be decayed.

        Returns
        -------
        Record
            Of all events.

        Raises
        ------
        InputError
            If events are of another process.
        """
        status, pdg = events.status, events.pdg
        strong = (np.abs(pdg) <= _B_QUARK) | (pdg == _GLUON)
        quark = strong & (pdg != _GLUON)
        beam, jet, higgs = status == -1, strong & (status == 1), (pdg == HIGGS) & (status > 0)
        event = np.repeat(np.arange(events.n_events), np.diff(events.offsets))
        ahead, across = events.momenta[:, 3] > 0.0, np.hypot(events.momenta[:, 1], events.momenta[:, 2])
        along = beam & quark & (across <= 1e-6 * events.momenta[:, 0])
        wanted = ((along & ahead, 1), (along & ~ahead, 1), (beam, 2), (jet, 2), (jet & quark, 2), (higgs, 1))
        fits = [np.bincount(event[mask], minlength=events.n_events) == count for mask, count in wanted]
        refuse(~np.all(fits, axis=0), "q q' -> q q' H with two incoming quarks along the beam, two outgoing quarks")
        # Incoming partons in the order +z, -z.
        order = np.lexsort((~ahead, event))
        first = order[beam[order]].reshape(-1, 2)
        last = np.flatnonzero(jet).reshape(-1, 2)
        beams, jets, (boson,) = events.momenta[first], events.momenta[last], (events.momenta[higgs],)
        pt = np.hypot(jets[..., 1], jets[..., 2])
        y, phi = np.arcsinh(jets[..., 3] / pt), np.arctan2(jets[..., 2], jets[..., 1])
        pt_h = np.hypot(boson[:, 1], boson[:, 2])
        kinematics = Kinematics(
            pt[:, 0],
            y[:, 0],
            pt[:, 1],
            y[:, 1],
            phi[:, 0] - phi[:, 1],
            np.arcsinh(boson[:, 3] / np.hypot(pt_h, events.mass[higgs])),
            pt_h,
            2.0 * beams[:, 0, 0],
            2.0 * beams[:, 1, 0],
        )
        return cls(pdg[first], pdg[last], events.spin[first], kinematics)


def refuse(wrong: BoolArray, rule: str) -> None:
    """Refuse events that are not of this process.

    Parameters
    ----------
    wrong : ndarray of bool, shape (n,)
        Which events.
    rule : str
        What they are not, for the message.

    Raises
    ------
    InputError
        If there are any; it says how many, and which is the first.
    """
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} of {len(wrong)} events are not {rule}; the first is event {int(np.argmax(wrong))}. "
            "Leave such events out."
        )
