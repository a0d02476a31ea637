"""Power of tests over two coefficients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bit.errors import InputError
from bit.inference.results import PowerMap
from bit.plotting.style import COLOURS, DASHES, figure_of, own_axes, param_label, style


def power_maps(
    maps: Mapping[str, PowerMap],
    *,
    background: str | None = None,
    level: float = 0.5,
    title: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Power of one observable as colours, and for each observable the contour of expected exclusion.

    Parameters
    ----------
    maps : mapping of str to PowerMap
        By the text of the legend, all of the same two coefficients and of one size alpha.
    background : str, optional
        The one that is coloured; default the first.
    level : float, default=0.5
        Power of the contours: at 1/2 the median experiment excludes the point at confidence level 1 - alpha.
    title : str
        Title of the panel.
    legend : bool, default=True
        False where a neighbouring panel has it.
    ax : matplotlib.axes.Axes, optional
        Panel to draw into.

    Returns
    -------
    matplotlib.figure.Figure
        Contours inside of which points are not excluded; the plus is the alternative, the SM.

    Raises
    ------
    InputError
        If there are no maps, maps of different coefficients or sizes, or `background` is not one of them.
    """
    kinds = {(result.params, result.alpha) for result in maps.values()}
    if len(kinds) != 1:
        raise InputError(f"maps of {sorted(kinds) or 'nothing'}: give maps of the same coefficients and size.")
    ((params, alpha),) = kinds
    shown = next(iter(maps)) if background is None else background
    if shown not in maps:
        raise InputError(f"background={shown!r} is not one of the maps {list(maps)}.")
    with style():
        panel = own_axes(ax, 6.8, 5.6)
        coloured = maps[shown]
        mesh = panel.pcolormesh(
            coloured.x,
            coloured.y,
            coloured.power.T,
            cmap="Greys",
            vmin=0.0,
            vmax=1.0,
            shading="gouraud",
            rasterized=True,
        )
        bar = figure_of(panel).colorbar(mesh, ax=panel, pad=0.02)
        bar.set_label(rf"power $1-\beta$ at $\alpha={alpha:g}$, {shown}", fontsize=12)
        handles = []
        for number, (label, result) in enumerate(maps.items()):
            colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
            if result.power.min() < level < result.power.max():
                panel.contour(
                    result.x,
                    result.y,
                    result.power.T,
                    levels=[level],
                    colors=[colour],
                    linestyles=[dash],
                    linewidths=2.4,
                )
            handles.append(Line2D([], [], color=colour, ls=dash, lw=2.4, label=label))
        panel.plot([0.0], [0.0], "+", color="black", ms=10, mew=1.6)
        x_label, y_label = (rf"${param_label(name)}/\Lambda^2$ [TeV$^{{-2}}$]" for name in params)
        panel.set_xlabel(x_label)
        panel.set_ylabel(y_label)
        panel.set_xlim(np.min(coloured.x), np.max(coloured.x))
        panel.set_ylim(np.min(coloured.y), np.max(coloured.y))
        panel.set_title(title)
        if legend:
            figure_of(panel).legend(handles=handles, loc="outside upper center", ncols=2)
    return figure_of(panel)
