"""What limits the precision: impacts of nuisances, parts of the error, and where the information lies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bit.errors import InputError
from bit.inference.results import Breakdown, Impacts, InformationDensity
from bit.plotting.style import COLOURS, DASHES, GREY, figure_of, own_axes, panels, param_label, style


def impacts(result: Impacts, *, most: int = 20) -> Figure:
    """Pulls of nuisances, and the shifts of the coefficient that they cause.

    Parameters
    ----------
    result : Impacts
        Of `bit.inference.impacts`.
    most : int, default=20
        Nuisances to show, those with the largest impacts.

    Returns
    -------
    matplotlib.figure.Figure
        Left the pulls with their errors after the fit, in units of those before it; right the shifts.

    Raises
    ------
    InputError
        If there are no nuisances, or `most` is below 1.
    """
    if not result.names or most < 1:
        raise InputError(f"{len(result.names)} nuisances and most={most}: at least one nuisance is needed.")
    n = min(most, len(result.names))
    places = np.arange(n)[::-1]
    fig, axes = panels(2, width=4.2, height=1.9 + 0.36 * n)
    with style():
        pulls, shifts = axes[0]
        pulls.axvspan(-1.0, 1.0, color="0.9", lw=0)
        pulls.axvline(0.0, color=GREY, lw=1.0, ls=(0, (1, 2)))
        pulls.errorbar(
            result.pulls[:n], places, xerr=result.constraints[:n], fmt="o", color="black", ms=5, capsize=3, lw=1.6
        )
        widest = max(2.0, 1.1 * float(np.max(np.abs(result.pulls[:n]) + result.constraints[:n])))
        pulls.set_xlim(-widest, widest)
        pulls.set_xlabel(r"pull $\pm$ error after the fit")
        pulls.set_yticks(places, [name.replace("$", r"\$") for name in result.names[:n]])
        for values, colour, label in ((result.up, COLOURS[1], r"$+1\sigma$"), (result.down, COLOURS[0], r"$-1\sigma$")):
            shifts.barh(places, values[:n], 0.62, color=colour, alpha=0.85, label=label)
        shifts.axvline(0.0, color="black", lw=1.0)
        shifts.margins(x=0.12)
        shifts.locator_params(axis="x", nbins=5)
        shifts.set_xlabel(rf"shift of ${param_label(result.param)}/\Lambda^2$ [TeV$^{{-2}}$]")
        shifts.set_yticks(places, [])
        for panel in (pulls, shifts):
            panel.tick_params(axis="y", which="both", left=False, right=False)
            panel.set_ylim(-0.6, n - 0.4)
        fig.legend(*shifts.get_legend_handles_labels(), loc="outside upper right", ncols=2)
        fig.suptitle(
            rf"${param_label(result.param)}/\Lambda^2 = {result.value:.3g} \pm {result.error:.3g}$ TeV$^{{-2}}$",
            x=0.02,
            ha="left",
            fontsize=15,
        )
    return fig


def breakdown(results: Mapping[str, Breakdown], *, ax: Axes | None = None) -> Figure:
    """Total error of coefficients or observables, and its parts.

    Parameters
    ----------
    results : mapping of str to Breakdown
        By the text of the row, such as the coefficient, all with the same groups.
    ax : matplotlib.axes.Axes, optional
        Panel to draw into.

    Returns
    -------
    matplotlib.figure.Figure
        Bars in units of the total error of each row. Parts add up in quadrature only if the fit does not correlate
        them.

    Raises
    ------
    InputError
        If there are no results, or their groups differ.
    """
    groups = [result.names for result in results.values()]
    if not groups or any(set(row) != set(groups[0]) for row in groups):
        raise InputError("results need at least one row, and the same groups of nuisances in each.")
    names = ("statistical", *groups[0])
    height = 0.8 / len(names)
    with style():
        panel = own_axes(ax, 6.4, 1.9 + (0.3 + 0.24 * len(names)) * len(results))
        places = np.arange(len(results))[::-1]
        for number, name in enumerate(names):
            values = [
                (result.statistical if number == 0 else result.parts[result.names.index(name)]) / result.total
                for result in results.values()
            ]
            panel.barh(
                places + 0.4 - (number + 0.5) * height,
                values,
                0.86 * height,
                color=COLOURS[number % len(COLOURS)],
                alpha=1.0 if number < len(COLOURS) else 0.5,
                label=name.replace("$", r"\$"),
            )
        panel.axvline(1.0, color=GREY, lw=1.0, ls=(0, (1, 2)))
        panel.set_xlim(0.0, 1.08)
        panel.set_yticks(places, list(results))
        panel.tick_params(axis="y", which="both", left=False, right=False)
        panel.set_ylim(-0.5, len(results) - 0.5)
        panel.set_xlabel("part of the error / total error")
        figure_of(panel).legend(loc="outside upper center", ncols=3)
    return figure_of(panel)


def information_density(
    results: Mapping[str, InformationDensity],
    param: str,
    *,
    xlabel: str = "",
    title: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """Share of the information on one coefficient in each bin, beside the share of the events.

    Parameters
    ----------
    results : mapping of str to InformationDensity
        By the text of the legend, of one axis each and with the same edges.
    param : str
        The coefficient, the others known.
    xlabel, title : str
        Texts.
    legend : bool, default=True
        False where a neighbouring panel has it.
    ax : matplotlib.axes.Axes, optional
        Panel to draw into.

    Returns
    -------
    matplotlib.figure.Figure
        Steps of area 1 for the information, filled ones for the events of the first result. Outer bins that reach to
        infinity are drawn as wide as their neighbours, and open on that side. In bins of unequal width the height is
        a share per unit of x.

    Raises
    ------
    InputError
        If there are no results, more than one axis, different edges, an unknown coefficient or no information on it.
    """
    if not results:
        raise InputError("no results: give at least one information density.")
    first = next(iter(results.values()))
    for label, result in results.items():
        if len(result.edges) != 1 or not np.array_equal(result.edges[0], first.edges[0]):
            raise InputError(f"{label!r} has {len(result.edges)} axes: give densities of one axis with the same edges.")
        if not result[param].sum() > 0:
            raise InputError(f"{label!r} has no information on {param!r}: choose another coefficient or observable.")
    drawn = _finite(first.edges[0])
    widths = np.diff(drawn)
    with style():
        panel = own_axes(ax)
        events = panel.stairs(first.yields / first.yields.sum() / widths, drawn, fill=True, color="0.87")
        events.set_label("events")
        for number, result in enumerate(results.values()):
            panel.stairs(
                result[param] / result[param].sum() / widths,
                drawn,
                baseline=None,
                color=COLOURS[number % len(COLOURS)],
                ls=DASHES[number % len(DASHES)],
                lw=2.4,
            )
        panel.set_xlim(drawn[0], drawn[-1])
        panel.set_ylim(bottom=0.0)
        panel.margins(y=0.08)
        panel.set_xlabel(xlabel)
        panel.set_ylabel(rf"density of information on ${param_label(param)}$")
        panel.set_title(title)
        if legend:
            lines = [
                Line2D([], [], color=COLOURS[k % len(COLOURS)], ls=DASHES[k % len(DASHES)], lw=2.4, label=label)
                for k, label in enumerate(results)
            ]
            figure_of(panel).legend(handles=[*lines, events], loc="outside upper center", ncols=2)
    return figure_of(panel)


def _finite(edges: np.ndarray) -> np.ndarray:
    """Edges with infinite ends replaced by bins as wide as their neighbours."""
    drawn = edges.copy()
    inner = drawn[np.isfinite(drawn)]
    if len(inner) < 2:
        raise InputError(f"edges {edges.tolist()}: at least one bin with two finite ends is needed for a figure.")
    if not np.isfinite(drawn[0]):
        drawn[0] = 2 * inner[0] - inner[1]
    if not np.isfinite(drawn[-1]):
        drawn[-1] = 2 * inner[-1] - inner[-2]
    return drawn
