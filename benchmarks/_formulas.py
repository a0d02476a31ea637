"""Formulas beside a reference on the same events: ratios of errors, correlations, times of all processes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.distill import ParetoFront

_REPLICAS, _SEED = 100, 11


@dataclass
class Spent:
    """Seconds of a block.

    Parameters
    ----------
    wall : float
        By the clock.
    cpu : float
        Of all threads and of the processes that ended within the block.
    """

    wall: float = 0.0
    cpu: float = 0.0

    def __str__(self) -> str:
        """Both."""
        return f"{self.wall:.0f} s ({self.cpu:.0f} s of CPU)"


@contextmanager
def timed() -> Iterator[Spent]:
    """Measure a block."""
    spent, begin, used = Spent(), time.perf_counter(), sum(os.times()[:4])
    try:
        yield spent
    finally:
        spent.wall, spent.cpu = time.perf_counter() - begin, sum(os.times()[:4]) - used


def ratios(
    weights: FloatArray, errors: Sequence[FloatArray], reference: FloatArray, n_replicas: int = _REPLICAS
) -> list[tuple[float, float]]:
    """Weighted sums of squared errors, shape (n_events,) each, relative to that of a reference.

    The standard error is that of the ratio over replicas with Poisson(1) copies of every event: large errors of the
    same few events stand above and below.
    """
    rng = np.random.default_rng(_SEED)
    weighted = np.stack([*errors, reference], axis=-1) * weights[:, np.newaxis]
    total = weighted.sum(axis=0)
    sums = np.stack([rng.poisson(1.0, len(weights)).astype(np.float64) @ weighted for _ in range(n_replicas)])
    spread = (sums[:, :-1] / sums[:, -1:]).std(axis=0, ddof=1)
    return list(zip((total[:-1] / total[-1]).tolist(), spread.tolist(), strict=True))


def pair(number: tuple[float, float], decimals: int = 3) -> str:
    """A number and its error."""
    return f"{number[0]:.{decimals}f} ± {number[1]:.{decimals}f}"


def row(*cells: object) -> str:
    """One row of a table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def heading(*cells: str) -> str:
    """First two rows of a table."""
    return f"{row(*cells)}\n|{'---|' * len(cells)}"


def front_rows(front: ParetoFront, relative_to: float = 1.0) -> Iterator[str]:
    """Complexity, mean squared error relative to another, rho^2 and formula of all members."""
    for formula, found in zip(front, front.figures, strict=True):
        yield row(formula.complexity, f"{found.mse / relative_to:.4g}", f"{found.rho2:.4f}", f"`{formula}`")


def squared_error(values: npt.ArrayLike, target: FloatArray) -> FloatArray:
    """Of each event."""
    return np.asarray((np.asarray(values) - target) ** 2)
