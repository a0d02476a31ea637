"""What the baselines share: features by name, and files."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import bit
from bit.errors import FileFormatError, InputError, near_match
from bit.events import EventTable, as_features
from bit.files import replacing
from bit.parity import CPParity
from bit.trees.forest_json import checksum


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


def write_document(kind: str, schema: str, fields: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write fields as a JSON artefact with kind, format, version of `bit`, and checksum."""
    document = {"kind": kind, "format": schema, "version": bit.__version__, **fields}
    try:
        # The checksum is that of what a reader will find: tuples have become lists.
        document = json.loads(json.dumps(document, allow_nan=False))
    except TypeError as error:
        raise InputError(f"the parameters cannot be stored as JSON ({error}); give numbers and text.") from None
    document["sha256"] = checksum(document)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")


def require_schema(document: dict[str, Any], schema: str, source: str) -> None:
    """Refuse another version of the format, and files that were changed."""
    if document.get("format") != schema:
        raise FileFormatError(
            f"{source} has the format {document.get('format')!r}, this version reads {schema!r}; update bit."
        )
    if document.get("sha256") != checksum(document):
        raise FileFormatError(f"{source}: the checksum does not fit the content; the file was changed or cut.")
