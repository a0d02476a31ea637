"""What networks take of events, and the events that they refuse."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bit.baselines._network import Float32Array, Network
from bit.basis import FloatArray
from bit.errors import BitWarning, InputError
from bit.events import EventTable

# A sum of nominal weights that is a smaller fraction of their sizes is rounding.
_CANCELLED = 1e-12


def standardisation(table: EventTable) -> tuple[FloatArray, FloatArray]:
    features = table.features.astype(np.float64)
    mean, spread = features.mean(axis=0), features.std(axis=0)
    constant = [
        name for name, column in zip(table.feature_names, features.T, strict=True) if column.min() == column.max()
    ]
    if len(constant) == len(spread):
        raise InputError("every feature has one value only; give features that vary.")
    if constant:
        warnings.warn(f"constant features {constant} tell nothing; leave them out.", BitWarning, stacklevel=4)
    return mean, np.where([name in constant for name in table.feature_names], 1.0, spread)


def network_inputs(network: Network, features: npt.NDArray[np.floating]) -> tuple[Float32Array, Float32Array | None]:
    inputs = network.standardised(features)
    if network.cp is None:
        return inputs, None
    return inputs, network.standardised(network.cp.image(features.astype(np.float32)))


def require_positive_sum(nominal: FloatArray) -> None:
    total, size = float(nominal.sum()), float(np.abs(nominal).sum())
    if total <= _CANCELLED * size:
        raise InputError(
            f"the nominal weights sum to {total:.4g}: a positive cross-section of the reference hypothesis is needed "
            f"(their sizes sum to {size:.4g}); concat a table of SM events."
        )


def require_interference(table: EventTable, columns: Sequence[int] | npt.NDArray[np.int64]) -> None:
    empty = ["*".join(table.basis.terms[k]) for k in columns if not table.weights[:, k].any()]
    if empty:
        raise InputError(
            f"the weights of {empty} are 0 for all {table.n_events} events: there is no interference to learn; "
            "give events with these weights, or leave the coefficients out."
        )
