"""What every search backend gets, and what it gives: standardised columns in, raw trees out.

A backend is a module with

- ``OPERATORS``: names of `bit.expression.OPERATORS` that it can use,
- ``available()``: None if it can run here, else the reason in one sentence,
- ``search(problem, settings)``: trees over ``problem.names``. A candidate that cannot be read is left out; at the time
  limit or Ctrl-C the best found so far are returned, on Ctrl-C with the warning `SearchInterrupted`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bit.basis import FloatArray
from bit.errors import BitWarning, InputError


class SearchInterrupted(BitWarning):
    """Ctrl-C has ended a search; what it had found until then is kept."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A weighted regression in units in which everything is of order 1.

    Attributes
    ----------
    columns : ndarray of float64, shape (n_rows, n_features)
        Scaled inputs, finite.
    target : ndarray of float64, shape (n_rows,)
        Scaled target, finite.
    weights : ndarray of float64, shape (n_rows,)
        Positive, mean 1.
    names : tuple of str
        Of the columns: ``x0``, ``x1``, ...
    """

    columns: FloatArray
    target: FloatArray
    weights: FloatArray
    names: tuple[str, ...]


@dataclass(frozen=True)
class SearchSettings:
    """How to search; every backend reads the same.

    Attributes
    ----------
    operators : tuple of str
        Names of `bit.expression.OPERATORS`.
    max_complexity : int
        Largest number of nodes wanted, as `bit.expression.Expression.complexity` counts.
    n_restarts : int
        Independent searches, each with a seed derived from `seed`.
    seed : int
        Same seed, same result, for any `n_jobs`, unless `max_seconds` ends the search.
    n_jobs : int
        Restarts at a time.
    max_seconds : float or None
        Time for all restarts together.
    verbose : bool
        Whether to show progress.
    options : mapping
        Of one backend, which checks them.
    """

    operators: tuple[str, ...]
    max_complexity: int
    n_restarts: int
    seed: int
    n_jobs: int
    max_seconds: float | None
    verbose: bool
    options: Mapping[str, Any] = field(default_factory=dict)


def require_whole_number(name: str, value: Any, least: int) -> None:
    """Refuse what is no whole number, or too small.

    Parameters
    ----------
    name : str
        Of the argument, for the message.
    value : object
        What was given.
    least : int
        Smallest one that is allowed.

    Raises
    ------
    InputError
        If it is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name}={value!r}: a whole number of at least {least} is needed.")


def require_operators(backend: str, wanted: Iterable[str], known: frozenset[str]) -> None:
    """Refuse operators that a backend cannot use, all in one message.

    Parameters
    ----------
    backend : str
        Its name, for the message.
    wanted : iterable of str
        Operators asked for.
    known : frozenset of str
        Its ``OPERATORS``.

    Raises
    ------
    InputError
        If there are unknown ones.
    """
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InputError(f"the backend {backend!r} has no operators {unknown}; it knows: {', '.join(sorted(known))}.")


def require_options(backend: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse options that a backend does not have, all in one message.

    Parameters
    ----------
    backend : str
        Its name, for the message.
    options : mapping
        Options asked for.
    known : iterable of str
        Names of its options.

    Raises
    ------
    InputError
        If there are unknown ones.
    """
    names = sorted(known)
    unknown = [name for name in options if name not in names]
    if unknown:
        raise InputError(f"the backend {backend!r} has no options {unknown}; it knows: {', '.join(names)}.")
