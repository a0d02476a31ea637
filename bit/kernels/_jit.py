"""The numba policy of the package, in one place.

Every kernel is compiled lazily, cached on disk, releases the GIL (the callers run chunks of rows on a
thread pool) and follows numpy's rules for division by zero. Nothing else in the package imports numba.
A cached kernel calls only kernels of its own file, since the cache of numba is keyed by that file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_F = TypeVar("_F", bound=Callable[..., Any])


def kernel(function: _F) -> _F:
    """Compile a function for one set of argument types, at its first call.

    Parameters
    ----------
    function : callable
        A loop over events, bins or nodes, with its outputs among the arguments.

    Returns
    -------
    callable
        The compiled function.
    """
    return cast(_F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def inlined(function: _F) -> _F:
    """Compile a helper that is only called by kernels of its own file, and inlined there.

    Parameters
    ----------
    function : callable
        A few lines shared by kernels.

    Returns
    -------
    callable
        The compiled function.
    """
    return cast(_F, numba.njit(nogil=True, error_model="numpy", inline="always")(function))
