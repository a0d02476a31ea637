"""Confidence regions of two coefficients: one pair, or all pairs of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bit.basis import FloatArray
from bit.errors import InputError
from bit.inference.results import ContourResult
from bit.plotting.style import COLOURS, DASHES, GREY, figure_of, own_axes, panels, param_label, style

# Regions more than this many times as wide as the smallest one run out of the panel.
_WIDEST = 4.0
_MARGIN = 0.12


def contours(
    results: Mapping[str, ContourResult], *, title: str = "", legend: bool = True, ax: Axes | None = None
) -> Figure:
    """Regions of two coefficients for several observables.

    Parameters
    ----------
    results : mapping of str to ContourResult
        By the text of the legend, all of the same two coefficients and confidence levels.
    title : str
        Title of the panel.
    legend : bool, default=True
        False where a neighbouring panel has it.
    ax : matplotlib.axes.Axes, optional
        Panel to draw into.

    Returns
    -------
    matplotlib.figure.Figure
        Lines of the highest level in full strength, lower ones paler; the plus is the SM. A region more than four
        times as wide as the smallest one runs out of the panel.

    Raises
    ------
    InputError
        If there are no results, or results of different coefficients or levels.
    """
    pairs = {(result.names, result.cls) for result in results.values()}
    if len(pairs) != 1:
        raise InputError(f"contours of {sorted(pairs) or 'nothing'}: give results of the same coefficients and levels.")
    ((names, cls),) = pairs
    with style():
        panel = own_axes(ax, 6.0, 5.4)
        for number, result in enumerate(results.values()):
            _draw(panel, result, number, 3 - 0.01 * number)
        panel.plot([0.0], [0.0], "+", color="black", ms=10, mew=1.6)
        panel.set_xlim(*_limits([result.x for result in results.values()], [_inside(r, 0) for r in results.values()]))
        panel.set_ylim(*_limits([result.y for result in results.values()], [_inside(r, 1) for r in results.values()]))
        x_label, y_label = (rf"${param_label(name)}/\Lambda^2$ [TeV$^{{-2}}$]" for name in names)
        panel.set_xlabel(x_label)
        panel.set_ylabel(y_label)
        panel.set_title(title)
        panel.locator_params(axis="x", nbins=4)  # long labels
        panel.locator_params(axis="y", nbins=5)
        if legend:
            figure_of(panel).legend(handles=_handles(list(results), cls), loc="outside upper center", ncols=2)
    return figure_of(panel)


def corner(results: Mapping[str, Sequence[ContourResult]]) -> Figure:
    """Regions of all pairs of coefficients for several observables.

    Parameters
    ----------
    results : mapping of str to sequence of ContourResult
        By the text of the legend: the same pairs for each, x before y in the order of the coefficients.

    Returns
    -------
    matplotlib.figure.Figure
        A triangle of panels: the later coefficient of a pair upwards.

    Raises
    ------
    InputError
        If there are no results, pairs are missing or differ from one observable to the next.
    """
    pairs = [[result.names for result in row] for row in results.values()]
    if not pairs or not pairs[0] or any(row != pairs[0] for row in pairs):
        raise InputError("results need at least one pair of coefficients, and the same pairs for each observable.")
    names = list(dict.fromkeys(name for pair in zip(*pairs[0], strict=True) for name in pair))
    wanted = [(x, y) for i, x in enumerate(names) for y in names[i + 1 :]]
    if sorted(wanted) != sorted(pairs[0]):
        raise InputError(f"pairs {pairs[0]}: give every pair of {names} once, in this order.")
    cls = next(iter(results.values()))[0].cls
    n = len(names) - 1
    fig, axes = panels(n, n, width=3.6, height=3.3)
    for panel in axes.ravel():
        panel.set_visible(False)
    for k, (x, y) in enumerate(pairs[0]):
        column, row = names.index(x), names.index(y) - 1
        panel = axes[row, column]
        panel.set_visible(True)
        contours({label: found[k] for label, found in results.items()}, legend=False, ax=panel)
        if row < n - 1:
            panel.set_xlabel("")
        if column > 0:
            panel.set_ylabel("")
    fig.align_labels()
    with style():
        fig.legend(handles=_handles(list(results), cls), loc="outside upper center", ncols=2)
    return fig


def _draw(panel: Axes, result: ContourResult, number: int, order: float) -> None:
    colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
    for level in result.levels:
        if result.twice_nll.min() < level < result.twice_nll.max():
            panel.contour(
                result.x,
                result.y,
                result.twice_nll,
                levels=[level],
                colors=[colour],
                linestyles=[dash],
                linewidths=2.4,
                alpha=1.0 if level == max(result.levels) else 0.5,
                zorder=order,
            )


def _handles(labels: Sequence[str], cls: Sequence[float]) -> list[Line2D]:
    lines = [
        Line2D([], [], color=COLOURS[k % len(COLOURS)], ls=DASHES[k % len(DASHES)], lw=2.4, label=label)
        for k, label in enumerate(labels)
    ]
    ordered = sorted(cls, reverse=True)
    text = f"{100 * ordered[0]:g} % CL" + "".join(f", {100 * cl:g} % CL (pale)" for cl in ordered[1:])
    return [*lines, Line2D([], [], color=GREY, lw=2.4, label=text)]


def _inside(result: ContourResult, axis: int) -> FloatArray:
    """Ends of the region of the highest level along an axis."""
    points = result.x if axis == 0 else result.y
    allowed = (result.twice_nll <= max(result.levels)).any(axis=axis)
    inside = points[allowed]
    return np.array([inside[0], inside[-1]]) if inside.size else points[[0, -1]]


def _limits(grids: Sequence[FloatArray], regions: Sequence[FloatArray]) -> tuple[float, float]:
    """Ends of a panel: all regions, but at most a multiple of the smallest one, and no further than any grid."""
    smallest = min(regions, key=np.ptp)
    least, centre = float(np.ptp(smallest)), float(smallest.mean())
    low = max(min(float(region[0]) for region in regions), centre - 0.5 * _WIDEST * least)
    high = min(max(float(region[1]) for region in regions), centre + 0.5 * _WIDEST * least)
    margin = _MARGIN * (high - low)
    ends = max(low - margin, min(grid[0] for grid in grids)), min(high + margin, max(grid[-1] for grid in grids))
    return float(ends[0]), float(ends[1])
