"""Progress bars: the only module that knows tqdm."""

from __future__ import annotations

from typing import Any


def progress_bar(total: int | None, description: str, unit: str, *, show: bool = True) -> Any:
    """Bar on standard error, drawn only where somebody can see it (a terminal or a notebook).

    Parameters
    ----------
    total : int or None
        Number of steps; None where it is not known.
    description, unit : str
        Words in front of the bar and behind the count.
    show : bool, default=True
        False gives a bar that draws nothing, so that callers need no second code path.

    Returns
    -------
    tqdm.tqdm
        A context manager with ``update(n)`` and ``set_postfix_str(text)``.
    """
    if show:
        from tqdm.auto import tqdm
    else:
        from tqdm import tqdm  # "auto" warns in notebooks without widgets, even of bars that draw nothing

    # disable=None is tqdm's own rule: silent unless the stream is a terminal.
    return tqdm(
        total=total,
        desc=description,
        unit=f" {unit}",
        disable=None if show else True,
        leave=False,
        dynamic_ncols=True,
    )
