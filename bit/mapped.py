"""Events in memory-mapped files: tables that are larger than what should be held in memory at once."""

from __future__ import annotations

import mmap
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bit.events import EventTable

_BLOCK = 65536  # events copied at a time


class EventStream(ABC):
    """Events that are described, and read once they are needed."""

    @abstractmethod
    def table(self) -> MappedTable:
        """Read what was not read before, and return the events as a table that lies in files.

        Returns
        -------
        MappedTable
            The events.
        """


@dataclass(frozen=True, eq=False)
class MappedTable(EventTable):
    """Events whose arrays are memory-mapped files: the system holds as much of them as there is room for.

    Parameters
    ----------
    features, weights, basis, feature_names, units, aux
        As of `EventTable`; float32 features are fastest column by column (Fortran order).
    folder : Path
        Where `take` puts its files.
    """

    folder: Path = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        forget(self.weights)

    def take(self, rows: npt.ArrayLike | slice) -> MappedTable:
        """Return some of the events, in files without a name that vanish with the table.

        Parameters
        ----------
        rows : array-like of int or bool, or slice
            Row numbers or a mask.

        Returns
        -------
        MappedTable
            The chosen events, in the order asked for; weights are not rescaled.
        """
        chosen = np.arange(self.n_events)[self._picked(rows)]
        columns = _unnamed((self.features.shape[1], len(chosen)), self.features.dtype, self.folder)
        for f in range(len(columns)):
            columns[f] = self.features[:, f][chosen]
            forget(columns)
            forget(self.features)
        weights = _unnamed((len(chosen), self.weights.shape[1]), self.weights.dtype, self.folder)
        for low in range(0, len(chosen), _BLOCK):
            weights[low : low + _BLOCK] = self.weights[chosen[low : low + _BLOCK]]
            forget(weights)
            forget(self.weights)
        aux = {name: values[chosen] for name, values in (self.aux or {}).items()}
        return MappedTable(
            columns.T,
            weights,
            self.basis,
            feature_names=self.feature_names,
            units=self.units,
            aux=aux,
            folder=self.folder,
        )


def forget(array: npt.NDArray[Any]) -> None:
    """Take the pages of a memory-mapped array out of this process's memory; they are mapped again when read.

    Parameters
    ----------
    array : ndarray, any shape
        The array, or a view of it; for arrays that are not memory-mapped nothing happens.
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def map_file(path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a file as an array; what is written to it stays in memory.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of int
        Shape of the array, in C order.
    dtype : dtype
        Type of its elements.

    Returns
    -------
    ndarray
        Of this shape.
    """
    # Not read-only: for such arrays all kernels would be compiled anew.
    return np.asarray(np.memmap(path, dtype=dtype, mode="c", shape=shape))


def _unnamed(shape: tuple[int, ...], dtype: npt.DTypeLike, folder: Path) -> npt.NDArray[Any]:
    """Return an array in a file that nobody else sees, and that the system removes with the array."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.asarray(np.memmap(file, dtype=dtype, mode="w+", shape=shape))
