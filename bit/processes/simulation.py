"""What every simulator returns, and how it describes its features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bit.events import EventTable


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
    """

    table: EventTable
    sigma_fb: float
    sigma_error_fb: float
    configuration: dict[str, Any]
