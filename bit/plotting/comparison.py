"""Intervals of all coefficients from all observables and methods of a comparison."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation, Transform

from bit.errors import InputError
from bit.plotting.style import COLOURS, GREY, panels, param_label, style

if TYPE_CHECKING:
    from bit.compare import Comparison, Row

_COLOUR_OF = {
    "feature": GREY,
    "classic": COLOURS[4],
    "best": GREY,
    "trained": COLOURS[0],
    "extra": COLOURS[2],
    "true": "black",
}
# Inches of a panel with its numbers, and of the names beside the first one, which need them also if it is the only one.
_PANEL, _NAMES = 4.6, 1.9
# Inches from the panel to its numbers.
_WIDTH_AT, _KEPT_AT = 0.16, 0.75
# Intervals are drawn up to so many times the width of the best one; arrows stand for the rest.
_WIDEST = 3.2


def comparison(result: Comparison, *, n_best: int = 3) -> Figure:
    """Intervals of every coefficient, methods down the side, with the information that each keeps.

    Parameters
    ----------
    result : bit.compare.Comparison
        What was found.
    n_best : int, default=3
        So many features, and classic observables, of each coefficient are drawn, those with the narrowest intervals.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per coefficient. The band is the interval of the true score; an arrow stands for an interval that is
        much wider, or without bounds, or has another piece out there. The numbers are the width relative to that of the
        true score, and the share of the Fisher information (rate included) that is kept.

    Raises
    ------
    InputError
        If there is no row.
    """
    if not result.rows:
        raise InputError("the comparison has no rows: there is nothing to draw; its notes tell why.")
    by_param = {param: {row.method: row for row in result.shown(param, n_best)[0]} for param in result.params}
    wanted = {method for rows in by_param.values() for method in rows}
    methods = list(dict.fromkeys(row.method for row in result.rows if row.method in wanted))
    everything = {(row.method, row.param): row for row in result.rows}
    with style():
        width = _PANEL + _NAMES / len(result.params)
        fig, axes = panels(len(result.params), width=width, height=1.3 + 0.34 * len(methods))
        for column, param in enumerate(result.params):
            rows = [everything.get((method, param)) for method in methods]
            _draw(axes[0, column], result, param, rows)
            axes[0, column].set_yticks(np.arange(len(methods))[::-1])
            axes[0, column].set_yticklabels([_label(result, method) for method in methods] if column == 0 else [])
        settings = result.settings
        fig.suptitle(
            f"{100 * settings['cl']:g} % intervals, {settings['lumi_fb']:g} fb$^{{-1}}$, {settings['order']}, "
            f"{settings['n_bins']} bins, others {settings['others']}",
            fontsize=13,
        )
    return fig


def _draw(panel: Axes, result: Comparison, param: str, rows: list[Row | None]) -> None:
    """Draw one coefficient; rows that are missing leave a gap."""
    there = [row for row in rows if row is not None and row.bounded]
    true = [row for row in there if row.kind == "true"]
    best = (true or sorted(there, key=lambda row: row.width))[:1]
    low, high = (best[0].interval.lower, best[0].interval.upper) if best else (-1.0, 1.0)
    half, middle = 0.5 * _WIDEST * (high - low), 0.5 * (low + high)
    if true:
        panel.axvspan(low, high, color=GREY, alpha=0.13, lw=0)
    panel.axvline(0.0, color=GREY, lw=1.0, ls=(0, (1, 2)))
    for place, row in zip(range(len(rows))[::-1], rows, strict=True):
        if row is None:
            panel.text(middle, place, "missing", ha="center", va="center", color=GREY, fontsize=10)
            continue
        _bar(panel, row, place, (middle - half, middle + half))
        ratio = result.ratio(row)
        texts = (
            (_WIDTH_AT, f"{ratio:.2f}" if ratio < 99.5 else "--" if not math.isfinite(ratio) else f"{ratio:.0f}"),
            (_KEPT_AT, "--" if row.information_kept is None else f"{row.information_kept:.2f}"),
        )
        for x, text in texts:
            panel.text(1.0, place, text, transform=_right_of(panel, x), va="center", fontsize=10.5)
    for x, text in ((_WIDTH_AT, "width"), (_KEPT_AT, "kept")):
        panel.text(1.0, len(rows) - 0.35, text, transform=_right_of(panel, x), fontsize=10.5, color=GREY)
    panel.set_xlim(middle - half, middle + half)
    panel.set_ylim(-0.7, len(rows) - 0.3)
    panel.tick_params(axis="y", which="both", left=False, right=False, pad=10)
    panel.locator_params(axis="x", nbins=5)
    panel.set_xlabel(rf"${param_label(param)}/\Lambda^2$ [TeV$^{{-2}}$]")


def _right_of(panel: Axes, inches: float) -> Transform:
    # A distance that does not depend on the width of the panel, so that the layout knows what room it takes.
    return panel.get_yaxis_transform() + ScaledTranslation(inches, 0.0, panel.figure.dpi_scale_trans)


def _bar(panel: Axes, row: Row, place: int, span: tuple[float, float]) -> None:
    """Draw the pieces of an interval, with arrows where they leave the panel."""
    colour, (left, right) = _COLOUR_OF[row.kind], span
    for low, high in row.interval.pieces:
        inside = max(low, left), min(high, right)
        if inside[0] >= inside[1]:
            edge, marker = (left, "<") if high <= left else (right, ">")
            panel.plot([edge], [place], marker, color=colour, ms=8, clip_on=False)
            continue
        panel.plot(inside, (place, place), color=colour, lw=3.0, solid_capstyle="butt")
        for end, edge, marker in ((low, left, "<"), (high, right, ">")):
            if left <= end <= right:
                panel.plot([end], [place], "|", color=colour, ms=9, mew=2.0)
            else:
                panel.plot([edge], [place], marker, color=colour, ms=8, clip_on=False)


def _label(result: Comparison, method: str) -> str:
    from bit.compare.tables import title

    rows = [row for row in result.rows if row.method == method]
    # The best feature may be another one for each coefficient.
    return title(rows[0]) if rows[0].kind != "best" or len({row.observable for row in rows}) == 1 else rows[0].label
