"""Curves of -2 ln L and intervals of coefficients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import erfinv

from bit.errors import InputError
from bit.inference.results import Interval, ScanResult
from bit.plotting.style import COLOURS, DASHES, GREY, MARKERS, figure_of, own_axes, param_label, style


def scan_curves(
    scans: Mapping[str, ScanResult],
    *,
    levels: tuple[float, ...] = (0.68, 0.95),
    xlabel: str = "",
    ylabel: str = r"$-2\,\Delta\ln L$",
    title: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Figure:
    """-2 ln L along one coefficient for several observables, with the levels of confidence.

    Parameters
    ----------
    scans : mapping of str to ScanResult
        Curves by the text of the legend, all of one coefficient.
    levels : tuple of float
        Confidence levels of one degree of freedom, drawn as horizontal lines.
    xlabel, ylabel, title : str
        Texts; default for x the coefficient and its unit.
    legend : bool, default=True
        False where a neighbouring panel has it.
    ax : matplotlib.axes.Axes, optional
        Panel to draw into.

    Returns
    -------
    matplotlib.figure.Figure
        Curves up to twice the highest level.

    Raises
    ------
    InputError
        If there are no scans, or scans of different coefficients.
    """
    names = {result.name for result in scans.values()}
    if len(names) != 1:
        raise InputError(f"scans of {sorted(names) or 'nothing'}: give curves of one coefficient.")
    (name,) = names
    heights = [2.0 * float(erfinv(level)) ** 2 for level in levels]
    top = 2.0 * max(heights)
    with style():
        panel = own_axes(ax)
        for number, (label, result) in enumerate(scans.items()):
            order = np.argsort(result.values)
            panel.plot(
                result.values[order],
                result.twice_nll[order],
                color=COLOURS[number % len(COLOURS)],
                ls=DASHES[number % len(DASHES)],
                lw=2.4,
                zorder=3 - 0.01 * number,
                label=label,
            )
        for level, height in zip(levels, heights, strict=True):
            panel.axhline(height, color=GREY, lw=1.0, ls=(0, (1, 2)))
            panel.annotate(
                f"{100 * level:g} %",
                (0.5, height),
                xycoords=("axes fraction", "data"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                color=GREY,
                fontsize=11,
            )
        panel.set_ylim(-0.02 * top, top * (1.0 + (0.12 + 0.09 * len(scans) if legend else 0.0)))
        limits = [result.values for result in scans.values()]
        panel.set_xlim(min(v.min() for v in limits), max(v.max() for v in limits))
        panel.locator_params(axis="x", nbins=5)
        panel.set_xlabel(xlabel or rf"${param_label(name)}/\Lambda^2$ [TeV$^{{-2}}$]")
        panel.set_ylabel(ylabel)
        panel.set_title(title)
        if legend:
            panel.legend(loc="upper center")
    return figure_of(panel)


def intervals(
    results: Mapping[str, Mapping[str, Interval]],
    *,
    reference: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Widths of intervals of several coefficients for several observables, relative to one of them.

    Parameters
    ----------
    results : mapping of str to mapping of str to Interval
        By coefficient, then by the text of the legend.
    reference : str, optional
        Observable whose widths are 1; default the last.
    ax : matplotlib.axes.Axes, optional
        Panel to draw into.

    Returns
    -------
    matplotlib.figure.Figure
        One group of marks per coefficient; an arrow stands for an interval more than four times as wide, or
        without bounds.

    Raises
    ------
    InputError
        If there are no results, the observables differ, or the reference has no finite width.
    """
    observables = [list(row) for row in results.values()]
    if not observables or any(row != observables[0] for row in observables):
        raise InputError("results need at least one coefficient, and the same observables for each.")
    chosen = reference or observables[0][-1]
    with style():
        panel = own_axes(ax, 6.4, 1.6 + 0.85 * len(results))
        places = np.arange(len(results))[::-1]
        most = 1.0
        for number, label in enumerate(observables[0]):
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            for place, (name, row) in zip(places, results.items(), strict=True):
                unit = _length(row[chosen])
                if not np.isfinite(unit):
                    raise InputError(f"{name} has no finite interval for {chosen!r}: choose another reference.")
                ratio = _length(row[label]) / unit
                y = place + 0.3 - 0.6 * (number + 0.5) / len(observables[0])
                shown = label if place == places[0] else None
                if ratio > 4:
                    panel.plot([], [], marker, color=colour, ms=8, ls="none", label=shown)
                    panel.annotate(
                        "",
                        (1.0, y),
                        (0.9, y),
                        xycoords=("axes fraction", "data"),
                        arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 2},
                    )
                else:
                    most = max(most, ratio)
                    panel.plot([ratio], [y], marker, color=colour, ms=8, ls="none", label=shown)
        panel.axvline(1.0, color=GREY, lw=1.0, ls=(0, (1, 2)))
        panel.set_yticks(places, [f"${param_label(name)}$" for name in results])
        panel.tick_params(axis="y", which="both", left=False, right=False)
        panel.set_ylim(-0.5, len(results) - 0.5)
        panel.set_xlim(1.0 - 0.15 * (most - 0.9), 1.0 + 1.35 * (most - 0.9))
        panel.set_xlabel(f"width of the interval / that of the {chosen}")
        figure_of(panel).legend(loc="outside upper center", ncols=2)
    return figure_of(panel)


def _length(interval: Interval) -> float:
    """Length of the allowed set, which may have several pieces."""
    return sum(high - low for low, high in interval.pieces)
