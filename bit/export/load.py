"""Any artefact that `bit` wrote, read by its ``kind``."""

from __future__ import annotations

import json
import os

from bit.errors import FileFormatError
from bit.files import existing_file
from bit.trees import forest_json
from bit.trees.forest import Forest

_READERS = {"forest": forest_json.from_document}


def load(path: str | os.PathLike[str]) -> Forest:
    """Read an artefact that `bit` wrote.

    Parameters
    ----------
    path : str or path-like
        A JSON file with a field ``kind``.

    Returns
    -------
    Forest
        For the kind "forest".

    Raises
    ------
    InputError
        If there is no such file.
    FileFormatError
        If it is not JSON, of an unknown kind or a newer schema, or was changed.
    """
    file = existing_file(path)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{file} is not JSON ({error}); give a file written by bit.") from None
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind not in _READERS:
        raise FileFormatError(f"{file} holds the kind {kind!r}; known kinds: {sorted(_READERS)}.")
    return _READERS[kind](document, str(file))
