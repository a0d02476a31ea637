"""What the baselines share: features by name, tables, parities in files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bit.errors import InputError, near_match
from bit.events import EventTable, as_features
from bit.parity import CPParity


def features_by_name(X: EventTable | npt.ArrayLike, names: Sequence[str], taker: str) -> npt.NDArray[np.floating]:
    """Features of a training, by name for tables and DataFrames, by position for arrays; `taker` is for the message."""
    features = X.features if isinstance(X, EventTable) else as_features(X)
    given = list(X.feature_names) if isinstance(X, EventTable) else [str(name) for name in getattr(X, "columns", ())]
    if given:
        for name in names:
            if name not in given:
                raise InputError(f"feature {name!r} of the training is missing: {near_match(name, given)}")
        return features if list(names) == given else features[:, [given.index(name) for name in names]]
    if features.shape[1] != len(names):
        raise InputError(f"X has {features.shape[1]} features, {taker} {len(names)}: {list(names)}.")
    return features


def feature_matrix(X: EventTable | npt.ArrayLike, names: Sequence[str]) -> npt.NDArray[np.float32]:
    """Features of a training as float32, see `features_by_name`."""
    return np.asarray(features_by_name(X, names, "the training had"), dtype=np.float32)


def require_table(value: Any, name: str) -> EventTable:
    """Return a table, or say that one is needed."""
    if not isinstance(value, EventTable):
        raise InputError(f"{name} is a {type(value).__name__}: an EventTable is needed.")
    return value


def parity_document(parity: CPParity | None) -> dict[str, Any] | None:
    """Return a CPParity in JSON types."""
    if parity is None:
        return None
    return {"flip": list(parity.flip), "swap": [list(p) for p in parity.swap], "odd_params": list(parity.odd_params)}


def parity_of(document: dict[str, Any] | None) -> CPParity | None:
    """Return the CPParity of `parity_document`."""
    if document is None:
        return None
    return CPParity(
        flip=tuple(document["flip"]),
        swap=tuple((first, second) for first, second in document["swap"]),
        odd_params=tuple(document["odd_params"]),
    )
