"""What all artefacts share: one JSON document with kind, format, version of `bit`, and a checksum."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import bit
from bit.errors import FileFormatError, InputError
from bit.files import replacing


def checksum(document: dict[str, Any]) -> str:
    """Return the SHA-256 of the canonical dump of all fields but the checksum itself.

    Parameters
    ----------
    document : dict
        JSON types.

    Returns
    -------
    str
        Hexadecimal digits.
    """
    content = {name: value for name, value in document.items() if name != "sha256"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def seal(kind: str, schema: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return a document with kind, format, version of `bit`, the fields, and the checksum of all.

    Parameters
    ----------
    kind : str
        What `bit.load` looks at, such as ``"forest"``.
    schema : str
        Name and number of the format, such as ``"bit-forest/1"``.
    fields : dict
        JSON types.

    Returns
    -------
    dict
        For `write_document`.

    Raises
    ------
    InputError
        If a field cannot be stored as JSON.
    """
    document = {"kind": kind, "format": schema, "version": bit.__version__, **fields}
    try:
        return {**document, "sha256": checksum(document)}
    except (TypeError, ValueError) as error:
        raise InputError(f"the parameters cannot be stored as JSON ({error}); give numbers and text.") from None


def write_document(document: dict[str, Any], path: str | os.PathLike[str], *, indent: int | None = None) -> None:
    """Write a document as a JSON file, whole or not at all.

    Parameters
    ----------
    document : dict
        Of `seal`.
    path : str or path-like
        The file; an older one is replaced only by a complete one.
    indent : int, optional
        For people who read it; default one line.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    with replacing(path) as temporary:
        text = json.dumps(document, allow_nan=False, indent=indent, ensure_ascii=indent is None)
        temporary.write_text(text + "\n", encoding="utf-8")


def require_schema(document: dict[str, Any], schema: str, source: str) -> None:
    """Refuse another version of a format, and files that were changed.

    Parameters
    ----------
    document : dict
        Parsed JSON.
    schema : str
        The format that this version reads.
    source : str
        Name of the file, for messages.

    Raises
    ------
    FileFormatError
        If the format or the checksum is another one.
    """
    if document.get("format") != schema:
        raise FileFormatError(
            f"{source} has the format {document.get('format')!r}, this version reads {schema!r}; update bit."
        )
    try:
        intact = document.get("sha256") == checksum(document)
    except ValueError:
        intact = False  # bit writes neither NaN nor infinity
    if not intact:
        raise FileFormatError(f"{source}: the checksum does not fit the content; the file was changed or cut.")
