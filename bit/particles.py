"""Particles of simulated events as a Les Houches event file holds them, in flat arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.errors import InputError

IntArray = npt.NDArray[np.int64]

# Fields with this default are filled in __post_init__, where the number of events is known.
_FILLED: Final[Any] = None


@dataclass(frozen=True, eq=False, kw_only=True)
class LHEEvents:
    """Events of a Les Houches file: n_particles particles in all, those of event i in ``offsets[i]:offsets[i + 1]``.

    Parameters
    ----------
    offsets : array-like of int, shape (n_events + 1,)
        First particle of each event; starts at 0 and ends at n_particles.
    pdg, status : array-like of int, shape (n_particles,)
        Particle code and status: -1 incoming, 1 outgoing, 2 intermediate.
    mothers, colour : array-like of int, shape (n_particles, 2)
        First and last mother (1 is the first particle of the event, 0 none); colour and anticolour line.
    momenta : array-like of float, shape (n_particles, 4)
        E, px, py, pz in GeV.
    mass : array-like of float, shape (n_particles,), optional
        In GeV; default sqrt(max(E^2 - p^2, 0)).
    lifetime, spin : array-like of float, shape (n_particles,), optional
        Proper lifetime in mm (default 0); helicity, 9 where unknown (default).
    process_id : array-like of int, shape (n_events,), optional
        Default 1.
    scale, alpha_qed, alpha_qcd : array-like of float, shape (n_events,), optional
        Scale in GeV and couplings; default -1, which means "not given".
    weight : array-like of float, shape (n_events,), optional
        XWGTUP, in the units of the file (pb as a rule); default 1.
    weight_ids : sequence of str, optional
        Names of the reweighting weights.
    weight_texts : sequence of str, optional
        What the header says about each of them; default "".
    weights : array-like of float, shape (n_events, n_ids), optional
        Reweighting weights, absolute like XWGTUP; needed if there are ids.
    event_norm : str, optional
        "average" or "sum": whether the mean or the sum of XWGTUP is the cross-section.
    beam_pdg, beam_energies : array-like of shape (2,), optional
        Particle codes and energies (GeV) of the beams.
    pdf_group, pdf_set : array-like of int, shape (2,), optional
        Parton densities of the beams, as in the header.
    weight_strategy : int, default=-4
        IDWTUP of the header.
    processes : array-like of shape (n_processes, 4), optional
        Cross-section, its error, largest weight and id of each process, from the header, in pb.

    Raises
    ------
    InputError
        If shapes do not fit together.

    Notes
    -----
    Meaning and order of the entries follow the Les Houches accords, hep-ph/0109068 and hep-ph/0609017.
    """

    offsets: IntArray
    pdg: IntArray
    status: IntArray
    mothers: IntArray
    colour: IntArray
    momenta: FloatArray
    mass: FloatArray = _FILLED
    lifetime: FloatArray = _FILLED
    spin: FloatArray = _FILLED
    process_id: IntArray = _FILLED
    scale: FloatArray = _FILLED
    alpha_qed: FloatArray = _FILLED
    alpha_qcd: FloatArray = _FILLED
    weight: FloatArray = _FILLED
    weight_ids: tuple[str, ...] = ()
    weight_texts: tuple[str, ...] = _FILLED
    weights: FloatArray = _FILLED
    event_norm: str | None = None
    beam_pdg: IntArray = _FILLED
    beam_energies: FloatArray = _FILLED
    pdf_group: IntArray = _FILLED
    pdf_set: IntArray = _FILLED
    weight_strategy: int = -4
    processes: FloatArray = _FILLED

    def __post_init__(self) -> None:
        offsets = np.asarray(self.offsets, dtype=np.int64)
        if offsets.ndim != 1 or len(offsets) < 2 or offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise InputError("offsets must start at 0 and never fall, with one entry more than there are events.")
        object.__setattr__(self, "offsets", offsets)
        n_events, n = len(offsets) - 1, int(offsets[-1])
        object.__setattr__(self, "weight_ids", tuple(self.weight_ids))
        n_ids = len(self.weight_ids)
        texts = ("",) * n_ids if self.weight_texts is None else tuple(self.weight_texts)
        object.__setattr__(self, "weight_texts", texts)
        if len(texts) != n_ids or len(set(self.weight_ids)) != n_ids:
            raise InputError(f"{n_ids} weight_ids, {len(texts)} weight_texts: ids must differ and have one text each.")
        for name, kind, shape, default in (
            ("pdg", np.int64, (n,), None),
            ("status", np.int64, (n,), None),
            ("mothers", np.int64, (n, 2), None),
            ("colour", np.int64, (n, 2), None),
            ("momenta", np.float64, (n, 4), None),
            ("mass", np.float64, (n,), 0.0 if self.mass is not None else _invariant_mass(self.momenta)),
            ("lifetime", np.float64, (n,), 0.0),
            ("spin", np.float64, (n,), 9.0),
            ("process_id", np.int64, (n_events,), 1),
            ("scale", np.float64, (n_events,), -1.0),
            ("alpha_qed", np.float64, (n_events,), -1.0),
            ("alpha_qcd", np.float64, (n_events,), -1.0),
            ("weight", np.float64, (n_events,), 1.0),
            ("weights", np.float64, (n_events, n_ids), np.empty((n_events, 0))),
            ("beam_pdg", np.int64, (2,), 0),
            ("beam_energies", np.float64, (2,), 0.0),
            ("pdf_group", np.int64, (2,), 0),
            ("pdf_set", np.int64, (2,), 0),
        ):
            given = getattr(self, name)
            if given is None and default is not None:
                given = np.full(shape, default) if np.ndim(default) == 0 else default
            values = np.asarray(given, dtype=kind)
            if values.shape != shape:
                raise InputError(
                    f"{name} has shape {values.shape}, expected {shape} ({n_events} events, {n} particles, "
                    f"{n_ids} weight ids)."
                )
            object.__setattr__(self, name, values)
        processes = np.empty((0, 4)) if self.processes is None else np.asarray(self.processes, dtype=np.float64)
        if processes.ndim != 2 or processes.shape[1] != 4:
            raise InputError(f"processes has shape {processes.shape}, expected (n_processes, 4).")
        object.__setattr__(self, "processes", processes)

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.offsets) - 1

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self)

    @property
    def sigma_pb(self) -> float:
        """Cross-section that the header states, summed over processes, in pb."""
        return float(self.processes[:, 0].sum())

    def __repr__(self) -> str:
        """Return a short description."""
        return (
            f"LHEEvents({self.n_events} events, {len(self.pdg)} particles, {len(self.weight_ids)} reweighting weights, "
            f"event_norm={self.event_norm!r}, sigma={self.sigma_pb:.4g} pb)"
        )

    def outgoing(self) -> FloatArray:
        """Four-momenta of the outgoing particles (status 1), in the order of the file.

        Returns
        -------
        ndarray of float64, shape (n_events, n_outgoing, 4)
            E, px, py, pz in GeV.

        Raises
        ------
        InputError
            If events have different numbers of outgoing particles.
        """
        is_out = self.status == 1
        event = np.repeat(np.arange(self.n_events), np.diff(self.offsets))
        count = np.bincount(event[is_out], minlength=self.n_events)
        if (count != count[0]).any():
            raise InputError(
                f"events have between {count.min()} and {count.max()} outgoing particles, so features by position do "
                "not exist; give features= as a function of LHEEvents."
            )
        momenta: FloatArray = self.momenta[is_out].reshape(self.n_events, int(count[0]), 4)
        return momenta


def _invariant_mass(momenta: npt.ArrayLike) -> FloatArray:
    p = np.asarray(momenta, dtype=np.float64)
    mass: FloatArray = np.sqrt(np.maximum(p[..., 0] ** 2 - (p[..., 1:] ** 2).sum(axis=-1), 0.0))
    return mass
