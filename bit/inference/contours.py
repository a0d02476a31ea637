"""Confidence regions of two coefficients, the others at zero or profiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, ThetaLike
from bit.errors import InputError, near_match
from bit.inference.limits import as_likelihood, bounds
from bit.inference.minimize import descend
from bit.inference.model import Model
from bit.inference.results import ContourResult, Order, Others
from bit.inference.templates import Template
from bit.inference.unbinned import AnyLikelihood

# Default ranges are wider than the region by this share of its width on each side.
_MARGIN = 0.1


def contour(
    model: AnyLikelihood | Model | Template | Sequence[Template],
    params: tuple[str, str],
    *,
    cls: Sequence[float] = (0.6827, 0.95),
    n_points: int = 61,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    others: Others = "zero",
    order: Order | None = None,
    theta_true: ThetaLike | None = None,
) -> ContourResult:
    """-2 ln L on a grid of two coefficients: regions are where it is below the chi2 quantile of two degrees of freedom.

    Parameters
    ----------
    model : Likelihood, UnbinnedLikelihood, Model, Template or sequence of Template
        As in `limits`.
    params : tuple of two str
        The coefficients along x and y.
    cls : sequence of float, default=(0.6827, 0.95)
        Confidence levels within (0, 1).
    n_points : int, default=61
        Points along each axis.
    ranges : mapping of str to (float, float), optional
        Ends of the axes; default the region of the largest level, all its parts, and a tenth of its width around.
    others : {"zero", "profiled"}, default="zero"
        The other coefficients are 0, or minimise -2 ln L at each point; nuisances always do the latter.
    order : {"quadratic", "linear"}, optional
        As in `limits`.
    theta_true : array-like of shape (n_params,) or mapping, optional
        As in `limits`.

    Returns
    -------
    ContourResult
        The grid, the minimum and the levels; regions may have several parts.

    Raises
    ------
    InputError
        For unknown names or options, or coefficients that the data do not bound if `ranges` lacks them.
    """
    likelihood = as_likelihood(model, order, theta_true)
    if others not in get_args(Others):
        raise InputError(f"others={others!r}: choose 'zero' or 'profiled'.")
    if isinstance(params, str) or len(params) != 2 or params[0] == params[1]:
        raise InputError(f"params={params!r}: give two different coefficients.")
    given = dict(ranges or {})
    for name in (*params, *given):
        if name not in likelihood.coefficients:
            raise InputError(f"no coefficient {name!r}: {near_match(name, likelihood.coefficients)}")
    if not cls or not all(0.0 < cl < 1.0 for cl in cls):
        raise InputError(f"cls={cls}: confidence levels lie between 0 and 1, such as 0.95.")
    if n_points < 2:
        raise InputError(f"n_points={n_points}: at least two points are needed.")
    # The chi2 distribution of two degrees of freedom is an exponential.
    levels = tuple(-2.0 * float(np.log1p(-cl)) for cl in cls)
    axes = []
    for name, other in (params, params[::-1]):
        low, high = given[name] if name in given else _range(likelihood, name, other, max(levels), others)
        axes.append(np.linspace(low, high, n_points))
    x, y = axes
    at = [likelihood.param_names.index(name) for name in params]
    held = likelihood.coefficients if others == "zero" else ()
    fixed = np.isin(likelihood.param_names, held) | ~np.isfinite(likelihood.step_sizes())
    fixed[at] = True
    grid = np.zeros((n_points, n_points, likelihood.n_params))
    grid[:] = np.where(fixed, 0.0, likelihood.start)
    grid[..., at[0]], grid[..., at[1]] = x, y[:, np.newaxis]
    if not fixed.all():
        grid = _profiled(likelihood, grid, fixed)
    heights = np.array([likelihood.objective(row) for row in grid])
    fixed[at] = False
    lowest = grid.reshape(-1, likelihood.n_params)[np.argmin(heights)]
    best = descend(likelihood, lowest, fixed)
    return ContourResult(
        names=(params[0], params[1]),
        x=x,
        y=y,
        twice_nll=heights - float(likelihood.objective(best)),
        best=(float(best[at[0]]), float(best[at[1]])),
        cls=tuple(float(cl) for cl in cls),
        levels=levels,
        others=others,
        order=likelihood.order,
    )


def _range(likelihood: AnyLikelihood, name: str, other: str, level: float, others: Others) -> tuple[float, float]:
    low, high = bounds(likelihood, name, level, others=others, free=[other])
    if not np.isfinite([low, high]).all():
        raise InputError(f"the data do not bound {name!r} (with {other!r} free): give its range in ranges.")
    return low - _MARGIN * (high - low), high + _MARGIN * (high - low)


def _profiled(likelihood: AnyLikelihood, grid: FloatArray, fixed: npt.NDArray[np.bool_]) -> FloatArray:
    """Lowest points with the fixed parameters of the grid: twice over all, so that a valley found late spreads back."""
    grid = grid.copy()
    heights = np.full(grid.shape[:2], np.inf)
    forward = [(i, j) for i in range(grid.shape[0]) for j in range(grid.shape[1])]
    for path in (forward, forward[::-1]):
        for i, j in path:
            near = [(i + di, j + dj) for di, dj in ((0, 0), (-1, 0), (0, -1), (1, 0), (0, 1))]
            starts = [grid[k] for k in near if 0 <= k[0] < grid.shape[0] and 0 <= k[1] < grid.shape[1]]
            # The neighbour that looks best with the values of this point.
            moved = np.where(fixed, grid[i, j], starts)
            there = descend(likelihood, moved[np.argmin(likelihood.objective(moved))], fixed)
            height = float(likelihood.objective(there))
            if height < heights[i, j]:
                grid[i, j], heights[i, j] = there, height
    return grid
