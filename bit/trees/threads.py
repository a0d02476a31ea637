"""How many threads the training of trees can use."""

from __future__ import annotations

from bit.threads import n_threads_of

CODES_PER_THREAD = 1_500_000
"""Events times features below which another thread costs more than it saves."""
_LINEAR_FIT = 16  # what a linear leaf does with an event takes as long as so many more features


def n_threads_for(n_events: int, n_features: int, leaf: str, n_jobs: int | None) -> int:
    """Number of threads for a fit: no more than are of use.

    Parameters
    ----------
    n_events, n_features : int
        Size of the training sample.
    leaf : {"constant", "linear"}
        Kind of the leaves.
    n_jobs : int or None
        As for `n_threads_of`.

    Returns
    -------
    int
        At least 1.
    """
    n_codes = n_events * (n_features + (_LINEAR_FIT if leaf == "linear" else 0))
    return max(1, min(n_threads_of(n_jobs), n_codes // CODES_PER_THREAD))
