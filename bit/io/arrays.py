"""Event tables as npz files, lossless."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from bit.errors import FileFormatError, InputError
from bit.events import EventTable
from bit.files import existing_file, replacing
from bit.io._metadata import describe, from_json, stored_basis, to_json

_AUX = "aux/"


def write_npz(
    path: str | os.PathLike[str], table: EventTable, *, configuration: Mapping[str, Any] | None = None
) -> None:
    """Write a table as npz; `read_npz` gives back every bit of it.

    Parameters
    ----------
    path : str or path-like
        The file; an older one is replaced once the new one is whole.
    table : EventTable
        What to write.
    configuration : mapping, optional
        Plain values (as for JSON) that say how the events were made; kept in the metadata.

    Raises
    ------
    InputError
        If an aux array holds Python objects, the configuration is not plain, or the folder does not exist.

    Notes
    -----
    The archive holds ``features`` (n_events, n_features) in its own dtype, ``weights`` (n_events, n_terms)
    float64 in fb, one array ``aux/NAME`` for each aux entry, and ``metadata``, a JSON text: schema
    ``bit-events/1``, coefficients, terms, reference point, names and units of the features, cross-section,
    version, configuration. Nothing is pickled.
    """
    metadata = to_json(describe(table, configuration))
    arrays: dict[str, Any] = {"features": table.features, "weights": table.weights, "metadata": np.array(metadata)}
    for name, values in (table.aux or {}).items():
        if values.dtype.hasobject:
            raise InputError(f"aux[{name!r}] holds Python objects; convert it to numbers or to fixed-width text.")
        arrays[_AUX + name] = values
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read_npz(path: str | os.PathLike[str]) -> EventTable:
    """Read a table that `write_npz` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    EventTable
        As it was written: float32 features stay float32.

    Raises
    ------
    InputError
        If there is no such file.
    FileFormatError
        If it is not an npz file, is damaged, or was not written by `write_npz`.
    """
    file = existing_file(path)
    try:
        with open(file, "rb") as raw, np.load(raw, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise FileFormatError(f"{file} is not a whole npz file ({error}); write it again.") from None
    missing = [name for name in ("features", "weights", "metadata") if name not in arrays]
    if missing:
        raise FileFormatError(f"{file} lacks the arrays {missing} of an event table; write it with write_npz.")
    metadata = from_json(str(arrays["metadata"]), file)
    lost = [name for name in metadata["aux"] if _AUX + name not in arrays]
    if lost:
        raise FileFormatError(f"{file} lacks the aux arrays {lost} that its metadata name; write it again.")
    return EventTable(
        arrays["features"],
        arrays["weights"],
        stored_basis(metadata),
        feature_names=tuple(feature["name"] for feature in metadata["features"]),
        units=tuple(feature["unit"] for feature in metadata["features"]),
        aux={name: arrays[_AUX + name] for name in metadata["aux"]},
    )
