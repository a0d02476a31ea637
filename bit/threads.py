"""Threads for one fit, prediction or likelihood.

Kernels release the GIL, so plain threads on ranges of rows do: no threading layer of numba, which could not be
cached, forked or interrupted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeVar

from bit.errors import InputError

_T = TypeVar("_T")


def n_threads_of(n_jobs: int | None) -> int:
    """Number of threads for a scikit-learn style ``n_jobs``.

    Parameters
    ----------
    n_jobs : int or None
        None or -1 for all processors that this process may use, -2 for all but one, and so on.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    InputError
        For 0.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if n_jobs is None:
        return available
    if n_jobs == 0:
        raise InputError("n_jobs=0: give a positive number of threads, or None for all.")
    return n_jobs if n_jobs > 0 else max(1, available + 1 + n_jobs)


class Threads:
    """The calling thread and a pool of others.

    Parameters
    ----------
    n_threads : int
        Number of threads, the calling one included.
    """

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self._pool: Executor | None = ThreadPoolExecutor(n_threads - 1) if n_threads > 1 else None

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[..., _T], *arguments: Iterable[Any]) -> list[_T]:
        """Call a function for each set of arguments and return the results in order.

        Parameters
        ----------
        function : callable
            Something that releases the GIL.
        *arguments : iterable
            As for the builtin ``map``.

        Returns
        -------
        list
            The results.
        """
        if self._pool is None:
            return list(map(function, *arguments))
        calls = list(zip(*arguments, strict=True))
        # The calling thread takes every n-th task itself: waking another costs as much as a small task.
        pending = {i: self._pool.submit(function, *call) for i, call in enumerate(calls) if i % self.n_threads}
        mine = {i: function(*calls[i]) for i in range(0, len(calls), self.n_threads)}
        return [mine[i] if i in mine else pending[i].result() for i in range(len(calls))]

    def ranges(self, n: int) -> list[tuple[int, int]]:
        """Cut 0..n into one contiguous range per thread.

        Parameters
        ----------
        n : int
            Length.

        Returns
        -------
        list of (int, int)
            Non-empty ranges.
        """
        bounds = [n * i // self.n_threads for i in range(self.n_threads + 1)]
        return [(low, high) for low, high in pairwise(bounds) if high > low]
