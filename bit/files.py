"""Files that are either whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bit.errors import InputError, near_match


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, and rename it to `path` if the block succeeds.

    An exception, Ctrl-C included, removes the temporary file and leaves an older file as it was.

    Parameters
    ----------
    path : str or path-like
        The file to be written; its folder must exist.

    Yields
    ------
    pathlib.Path
        Where to write, with the same suffixes as `path`.

    Raises
    ------
    InputError
        If the folder does not exist or cannot be written to.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise InputError(f"cannot write {target}: the folder {target.parent} does not exist; create it first.")
    if target.is_dir():
        raise InputError(f"cannot write {target}: it is a folder; name a file in it.")
    try:
        handle, name = tempfile.mkstemp(prefix=".", suffix=target.name, dir=target.parent)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}; choose another place.") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; the user's umask decides about the finished one.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def existing_file(path: str | os.PathLike[str]) -> Path:
    """Return `path` as a Path if it is a file, else say which files of that folder are like it.

    Parameters
    ----------
    path : str or path-like
        The file to be read.

    Returns
    -------
    pathlib.Path
        The same path.

    Raises
    ------
    InputError
        If there is no such file.
    """
    file = Path(path)
    if file.is_file():
        return file
    if file.is_dir():
        raise InputError(f"{file} is a folder, not a file; name a file in it.")
    hint = ""
    if file.parent.is_dir():
        neighbours = [entry.name for entry in sorted(file.parent.iterdir()) if entry.is_file()]
        match = near_match(file.name, neighbours)
        hint = f" {match}" if match.startswith("did") else ""
    raise InputError(f"no such file: {file};{hint or ' check the path.'}")
