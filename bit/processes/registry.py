"""The processes that can be simulated, by name: one line for each."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bit.errors import InputError, near_match

if TYPE_CHECKING:
    from collections.abc import Callable

    from bit.processes.simulation import Simulation


@dataclass(frozen=True)
class Process:
    """Where a process is implemented, and what it is.

    Attributes
    ----------
    module : str
        Its module.
    description : str
        One line: reaction and coefficients.
    function : str
        Name of the function that simulates it.
    """

    module: str
    description: str
    function: str = "simulate"

    @property
    def simulate(self) -> Callable[..., Simulation]:
        """The function that simulates it; its module is imported."""
        found: Callable[..., Simulation] = getattr(importlib.import_module(self.module), self.function)
        return found


PROCESSES: Final = {
    "h4l": Process("bit.processes.h4l", "h -> 2e2mu, 4e, 4mu; cHW, cHB, cHWB and their CP-odd partners"),
    "vbf": Process(
        "bit.processes.vbf", "q q' -> q q' H by fusion of W (cHW, cHWtil), of Z and photons (also cHB, cHWB, ...)"
    ),
    "wz": Process("bit.processes.wz", "pp -> W Z -> l nu l l; cW, cHq3"),
    "zh": Process("bit.processes.zh", "pp -> Z H with Z -> l l; cHW, cHWtil, cHq3"),
    "zh_background": Process(
        "bit.processes.zh_background", "a background to zh, without dependence on its coefficients", "zh_background"
    ),
    "zh_undecayed": Process("bit.processes.zh_undecayed", "pp -> Z H with a stable Z; fB"),
}
"""All processes by the name that the command line knows them by."""


def find_process(name: str) -> Process:
    """Find a process.

    Parameters
    ----------
    name : str
        A key of `PROCESSES`.

    Returns
    -------
    Process
        Its entry.

    Raises
    ------
    InputError
        If there is none of that name; near matches are named.
    """
    if name not in PROCESSES:
        raise InputError(f"no process {name!r}: {near_match(name, PROCESSES)}")
    return PROCESSES[name]
