"""Every error and warning that `bit` raises, and the wording that they share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BitError(Exception):
    """Base class of all errors of `bit`: catch this to catch them all."""


class InputError(BitError, ValueError):
    """A value that the caller gave is outside its rule; the message names value, rule, remedy."""


class FileFormatError(BitError, ValueError):
    """A file exists but does not hold what was asked of it."""


class MissingPackageError(BitError, ImportError):
    """An optional package is needed for this and not installed."""


class ClusterError(BitError, RuntimeError):
    """A cluster did not do what was asked of it: workers died, ran out of memory, or did not answer."""


class BitWarning(UserWarning):
    """Something was dropped, projected, interrupted or approximated, and the result goes on."""


def near_match(name: str, options: Iterable[str]) -> str:
    """Sentence that offers the names closest to `name`, or lists all when none is close.

    Parameters
    ----------
    name : str
        What was asked for.
    options : iterable of str
        What exists.

    Returns
    -------
    str
        ``"did you mean 'a' or 'b'?"`` or ``"known names: ..."`` (first 20).
    """
    names = [str(option) for option in options]
    lowered = {option.lower(): option for option in reversed(names)}
    close = [lowered[hit] for hit in difflib.get_close_matches(name.lower(), lowered, n=3)]
    if close:
        return "did you mean " + " or ".join(repr(hit) for hit in close) + "?"
    shown = ", ".join(repr(option) for option in names[:20])
    return f"known names: {shown}{', ...' if len(names) > 20 else ''}"
