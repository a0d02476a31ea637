"""The processes that can be simulated, by name: one line for each."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Final

from bit.errors import InputError, near_match


@dataclass(frozen=True)
class Process:
    """Where a process is implemented, and what it is.

    Attributes
    ----------
    module : str
        Module with the function ``simulate``.
    description : str
        One line: reaction and coefficients.
    """

    module: str
    description: str

    def load(self) -> ModuleType:
        """Import the module.

        Returns
        -------
        module
            With the function ``simulate``.
        """
        return importlib.import_module(self.module)


PROCESSES: Final = {
    "h4l": Process("bit.processes.h4l", "h -> 2e2mu, 4e, 4mu; cHW, cHB, cHWB and their CP-odd partners"),
    "vbf": Process("bit.processes.vbf", "q q' -> q q' H by W W fusion; cHW, cHWtil"),
    "zh": Process("bit.processes.zh", "pp -> Z H with Z -> l l; cHW, cHWtil, cHq3"),
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
