"""What every simulator returns, and how it describes its features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bit.basis import FloatArray
from bit.errors import InputError
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


def require_common(n_events: int, seed: int, e: float, theta0: FloatArray, n_params: int) -> None:
    """Refuse arguments that all simulators share, outside their rule.

    Parameters
    ----------
    n_events, seed : int
        At least 1 and 0.
    e : float
        Electric coupling, positive.
    theta0 : ndarray of float64
        Reference point.
    n_params : int
        Its length.

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
    if theta0.ndim != 1:
        raise InputError(f"theta0 has shape {theta0.shape}: one reference point of {n_params} values is needed.")


def sigma_error(nominal: FloatArray, weights: FloatArray, relative: float) -> float:
    """Error of the integral, plus that of the mean weight ratio where the reference point is not the sampled one.

    Parameters
    ----------
    nominal : ndarray of float64, shape (n,)
        Weights with which the events were drawn.
    weights : ndarray of float64, shape (n,)
        Nominal weights at the reference point.
    relative : float
        Relative error of the integral.

    Returns
    -------
    float
        In the unit of the weights.
    """
    sigma = float(weights.sum())
    spread = weights - nominal * (sigma / nominal.sum())
    return math.hypot(relative * sigma, float(np.sqrt(spread @ spread)))
