"""Formulas: fronts of complexity and error, means along features and in slices, and what formulas miss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.mathtext import MathTextParser
from matplotlib.ticker import MaxNLocator

from bit.basis import FloatArray
from bit.distill.pareto import ParetoFront, Rule
from bit.distill.select import RegionalErrors
from bit.errors import InputError
from bit.plotting.distributions import Bins
from bit.plotting.style import COLOURS, DASHES, GREY, MARKERS, figure, figure_of, own_axes, panels, style

# Of the panels of a front, and of the list of formulas below, in inches.
_WIDTH, _HEIGHT = 4.6, 4.0
_MARGIN = 0.3
# Sizes of formulas in points; at the smallest one the figure is made wider instead.
_LARGEST, _SMALLEST = 13.0, 9.0
_POINTS = 72.0
_TARGET = (0, (1, 2))


# ---------------------------------------------------------------------- fronts
class _Row(NamedTuple):
    """One line of the list of formulas."""

    complexity: str
    formula: str
    colour: str
    chosen: bool


def pareto(fronts: Mapping[str, ParetoFront], *, rule: Rule = "one_standard_error") -> Figure:
    """Error, correlation and expected limit against complexity, and below them the formulas.

    Parameters
    ----------
    fronts : mapping of str to ParetoFront
        By the text of the legend, such as the backend.
    rule : {"one_standard_error", "mse", "information"}, default="one_standard_error"
        Of `ParetoFront.best`: the formula that it chooses is ringed.

    Returns
    -------
    matplotlib.figure.Figure
        Panels of the mean squared error and of rho^2, and one of limits if there are any; bars are statistical errors.
        The dotted line is the rho^2 of the target itself.

    Raises
    ------
    InputError
        If there are no fronts.
    """
    if not fronts:
        raise InputError("there are no fronts: give at least one, such as {'operon': front}.")
    with_limits = any(np.isfinite(front.column("limit")).any() for front in fronts.values())
    chosen = {label: list(front).index(front.best(rule)) for label, front in fronts.items()}
    rows = _rows(fronts, chosen)
    n_panels = 3 if with_limits else 2
    with style():
        size, width, heights = _layout(rows, _WIDTH * n_panels)
        listed = (sum(heights) + _LARGEST) / _POINTS
        fig = figure(width, _HEIGHT + listed)
        upper, lower = fig.subfigures(2, 1, squeeze=False, height_ratios=(_HEIGHT, listed))[:, 0]
        fig.set_layout_engine("constrained", wspace=0.04, w_pad=0.1, h_pad=0.06)
        axes = upper.subplots(1, n_panels)
        for number, (label, front) in enumerate(fronts.items()):
            _draw_front(axes, front, label, number, chosen[label])
        axes[0].set_yscale("log")
        for panel, text in zip(axes, ("mean squared error", r"$\rho^2$", "95 % limit [TeV$^{-2}$]"), strict=False):
            panel.set_ylabel(text)
            panel.set_xlabel("complexity")
            panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            panel.margins(x=0.07, y=0.09)
        _list_formulas(lower.add_axes((0.0, 0.0, 1.0, 1.0)), rows, size, heights)
        handles = [
            *(axes[0].get_legend_handles_labels()[0] if len(fronts) > 1 else ()),
            Line2D([], [], color=GREY, lw=1.2, ls=_TARGET, label="what is described"),
            Line2D([], [], ls="none", marker="o", ms=13, mfc="none", mec="black", mew=1.4, label="chosen"),
        ]
        upper.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return fig


def _draw_front(axes: Sequence[Axes], front: ParetoFront, label: str, number: int, chosen: int) -> None:
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    look: dict[str, Any] = {"color": colour, "marker": marker, "ms": 6, "lw": 1.2, "elinewidth": 1.2, "capsize": 2}
    look["ls"] = DASHES[number % len(DASHES)]
    for panel, name in zip(axes, ("mse", "rho2", "limit"), strict=False):
        values = front.column(name)
        errors = None if name == "rho2" else front.column(f"{name}_error")
        shown = np.isfinite(values)
        panel.errorbar(
            front.complexity[shown],
            values[shown],
            None if errors is None else np.nan_to_num(errors[shown]),
            label=label if name == "mse" else None,
            **look,
        )
        panel.plot(
            front.complexity[chosen], values[chosen], "o", ms=13, mfc="none", mec="black", mew=1.4, ls="none", zorder=4
        )
    if "target_rho2" in front.config:
        axes[1].axhline(front.config["target_rho2"], color=colour, lw=1.2, ls=_TARGET)


def _rows(fronts: Mapping[str, ParetoFront], chosen: Mapping[str, int]) -> list[_Row]:
    rows = []
    for number, (label, front) in enumerate(fronts.items()):
        for position, expression in enumerate(front):
            colour = COLOURS[number % len(COLOURS)] if len(fronts) > 1 else "black"
            rows.append(_Row(str(expression.complexity), expression.to_latex(), colour, position == chosen[label]))
    return rows


def _layout(rows: Sequence[_Row], width: float) -> tuple[float, float, list[float]]:
    """Size of the formulas in points, width of the figure in inches, and heights of the lines in points."""
    parser = MathTextParser("path")
    boxes = [parser.parse(f"${row.formula}$", 72, FontProperties(size=_LARGEST)) for row in rows]
    widest = max(box.width for box in boxes)
    # The column of complexities and the ring take five letters.
    available = (width - 2 * _MARGIN) * _POINTS - 5 * _LARGEST
    size = float(np.clip(_LARGEST * available / widest, _SMALLEST, _LARGEST))
    needed = (widest * size / _LARGEST + 5 * _LARGEST) / _POINTS + 2 * _MARGIN
    heights = [max(box.height * size / _LARGEST + 0.55 * size, 1.45 * size) for box in boxes]
    return size, max(width, needed), heights


def _list_formulas(panel: Axes, rows: Sequence[_Row], size: float, heights: Sequence[float]) -> None:
    """Write the formulas line by line, beginning at the upper left corner."""
    panel.set_axis_off()
    top = 0.0
    for row, height in zip(rows, heights, strict=True):
        texts = (
            (0.0, "\N{WHITE CIRCLE}" if row.chosen else "", "left"),
            (3 * _LARGEST, row.complexity, "right"),
            (4 * _LARGEST, f"${row.formula}$", "left"),
        )
        for x, text, align in texts:
            written = panel.annotate(
                text,
                (0.0, 1.0),
                (_MARGIN * _POINTS + x, -top - 0.5 * height),
                xycoords="axes fraction",
                textcoords="offset points",
                ha=align,
                va="center",
                size=size,
                color=row.colour,
                annotation_clip=False,
            )
            # The figure has been made large enough for them.
            written.set_in_layout(False)
        top += height


# ---------------------------------------------------------------------- against forest and truth
def formula_profile(
    x: npt.ArrayLike,
    weights_k: npt.ArrayLike,
    weights_0: npt.ArrayLike,
    predictions: Mapping[str, npt.ArrayLike],
    edges: npt.ArrayLike,
    *,
    xlabel: str,
    ylabel: str = "",
    legend: bool = True,
    axes: tuple[Axes, Axes] | None = None,
) -> Figure:
    """Means of the truth, of formulas and of a forest in bins of a feature, and below their differences.

    Parameters
    ----------
    x : array-like of shape (n_events,)
        The feature.
    weights_k, weights_0 : array-like of shape (n_events,)
        Derivative weight and nominal weight; the truth of a bin is sum w_k / sum w_0.
    predictions : mapping of str to array-like of shape (n_events,)
        By the text of the legend.
    edges : array-like of shape (n_bins + 1,)
        Finite, increasing; events beyond are left out.
    xlabel, ylabel : str
        Texts.
    legend : bool, default=True
        False where a neighbouring panel has it.
    axes : tuple of matplotlib.axes.Axes, optional
        Panels for means and differences; default those of a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        Bars at the truth, and the band below, are its statistical error sqrt(sum (w_k - w_0 mean)^2) / |sum w_0|.

    Raises
    ------
    InputError
        If shapes or edges do not fit, or no bin has two events.
    """
    means = _Means(x, weights_k, weights_0, predictions, edges)
    with style():
        if axes is None:
            fig = figure(6.4, 5.6)
            upper, lower = fig.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        else:
            (upper, lower), fig = axes, figure_of(axes[0])
        means.draw(upper)
        low, high = means.limits
        upper.set_ylim(low, high + (0.1 + 0.12 * len(means.learned) if legend else 0.0) * (high - low))
        upper.set_ylabel(ylabel)
        if legend:
            upper.legend(loc="upper center", ncols=2)
        upper.tick_params(labelbottom=False)
        lower.stairs(means.error, means.bins.edges, baseline=-means.error, fill=True, color=GREY, alpha=0.2, lw=0)
        lower.axhline(0.0, color=GREY, lw=1.0)
        for number, values in enumerate(means.learned.values()):
            lower.stairs(values - means.truth, means.bins.edges, baseline=None, lw=1.8, **_line(number))
        lower.set_ylabel("pred. \u2212 true", fontsize=12)
        _finish(lower, means, xlabel)
        lower.locator_params(axis="y", nbins=4)
    return fig


def slices(
    x: npt.ArrayLike,
    held: npt.ArrayLike,
    weights_k: npt.ArrayLike,
    weights_0: npt.ArrayLike,
    predictions: Mapping[str, npt.ArrayLike],
    edges: npt.ArrayLike,
    held_edges: npt.ArrayLike,
    *,
    xlabel: str,
    held_label: str,
    ylabel: str = "",
    legend: bool = True,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Means of the truth, of formulas and of a forest along one feature, while another one stays within a bin.

    Parameters
    ----------
    x, held : array-like of shape (n_events,)
        The feature of the axis, and the one that is held.
    weights_k, weights_0 : array-like of shape (n_events,)
        Derivative weight and nominal weight; the truth of a bin is sum w_k / sum w_0.
    predictions : mapping of str to array-like of shape (n_events,)
        By the text of the legend.
    edges : array-like of shape (n_bins + 1,)
        Of `x`, finite, increasing.
    held_edges : array-like of shape (n_slices + 1,)
        Of `held`, increasing.
    xlabel, held_label, ylabel : str
        Texts; that of `held` without unit.
    legend : bool, default=True
        False where other panels have it.
    axes : sequence of matplotlib.axes.Axes, optional
        A panel for each slice; default those of a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        One panel for each slice, all with the same vertical axis.

    Raises
    ------
    InputError
        If shapes or edges do not fit, or a slice has no bin with two events.

    Notes
    -----
    As Figs. 7 and 8 of arXiv:2109.10414, with means over a bin instead of one value.
    """
    value, fixed = np.asarray(x, dtype=np.float64), np.asarray(held, dtype=np.float64)
    cells = Bins(fixed, held_edges)
    if fixed.shape != value.shape:
        raise InputError("x and held must have one shape, (n_events,).")
    n_slices = len(cells.middles)
    parts = []
    for k in range(n_slices):
        rows = cells.cell == k
        numerator, nominal = (np.asarray(array, dtype=np.float64)[rows] for array in (weights_k, weights_0))
        learned = {label: np.asarray(array, dtype=np.float64)[rows] for label, array in predictions.items()}
        parts.append(_Means(value[rows], numerator, nominal, learned, edges))
    with style():
        row = panels(n_slices, width=4.2, height=3.8)[1][0] if axes is None else axes
        low, high = min(part.limits[0] for part in parts), max(part.limits[1] for part in parts)
        for k, (panel, part) in enumerate(zip(row, parts, strict=True)):
            part.draw(panel)
            panel.set_ylim(low, high)
            lower, upper = cells.edges[k : k + 2]
            panel.set_title(f"{lower:.3g} < {held_label} < {upper:.3g}".replace("-", "\N{MINUS SIGN}"), fontsize=13)
            if k:
                panel.tick_params(labelleft=False)
            else:
                panel.set_ylabel(ylabel)
            _finish(panel, part, xlabel)
        if legend:
            handles, labels = row[0].get_legend_handles_labels()
            figure_of(row[0]).legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure_of(row[0])


def residuals(
    values: npt.ArrayLike,
    targets: Mapping[str, npt.ArrayLike],
    weights: npt.ArrayLike,
    *,
    label: str = "formula",
    xlabel: str = "",
    n_bins: int = 20,
    ax: Axes | None = None,
) -> Figure:
    """Mean residuals of a formula against what it describes.

    Parameters
    ----------
    values : array-like of shape (n_events,)
        Of the formula.
    targets : mapping of str to array-like of shape (n_events,)
        By the text of the legend; the first one is on the horizontal axis.
    weights : array-like of shape (n_events,)
        Nominal weights.
    label, xlabel : str
        Name of the formula, and text of the axis.
    n_bins : int, default=20
        Bins of equal width, which hold all but the outermost values of the first target.
    ax : matplotlib.axes.Axes, optional
        Panel to draw into.

    Returns
    -------
    matplotlib.figure.Figure
        Bars are errors of the means, the band is the root mean square around 0 of the first residual.

    Raises
    ------
    InputError
        If there are no targets, shapes do not fit, or the first target is constant.
    """
    predicted, nominal = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    arrays = {name: np.asarray(array, dtype=np.float64) for name, array in targets.items()}
    if not arrays or predicted.ndim != 1 or any(a.shape != predicted.shape for a in (nominal, *arrays.values())):
        raise InputError("values, weights and every target must have one shape, (n_events,), and one is needed.")
    first = next(iter(arrays.values()))
    low, high = np.quantile(first, [0.001, 0.999])
    if not low < high:
        raise InputError(f"the target is {low:.6g} for nearly all events: there is nothing to compare with.")
    bins = Bins(first, np.linspace(low, high, n_bins + 1))
    total = bins.summed(nominal)
    total = np.where(total == 0.0, np.nan, total)
    centres = bins.summed(nominal * first) / total
    with style():
        panel = own_axes(ax)
        panel.axhline(0.0, color=GREY, lw=1.0)
        for number, (name, target) in enumerate(arrays.items()):
            residual = predicted - target
            mean = bins.summed(nominal * residual) / total
            spread = nominal * (residual - np.append(np.nan_to_num(mean), 0.0)[bins.cell])
            error = np.sqrt(bins.summed(spread**2)) / np.abs(total)
            if number == 0:
                square = np.sqrt(np.abs(bins.summed(nominal * residual**2) / total))
                panel.fill_between(
                    centres, -square, square, color=COLOURS[0], alpha=0.15, lw=0, label=f"{label} \u2212 {name}, RMS"
                )
            panel.errorbar(
                centres,
                mean,
                error,
                fmt=MARKERS[number % len(MARKERS)],
                ms=5,
                elinewidth=1.3,
                color=COLOURS[number % len(COLOURS)],
                label=f"{label} \u2212 {name}, mean",
            )
        low, high = panel.get_ylim()
        panel.set_ylim(low, high + (0.05 + 0.08 * (len(arrays) + 1)) * (high - low))
        panel.set_xlabel(xlabel)
        panel.set_ylabel("residual")
        panel.locator_params(axis="x", nbins=6)
        panel.legend(loc="upper center")
    return figure_of(panel)


def regional_errors(results: Mapping[str, RegionalErrors], *, symbol: str = "|t|", ax: Axes | None = None) -> Figure:
    """Mean squared errors by size of the target.

    Parameters
    ----------
    results : mapping of str to RegionalErrors
        By the text of the legend, all with the same regions.
    symbol : str, default="|t|"
        LaTeX of the size of the target, without dollar signs.
    ax : matplotlib.axes.Axes, optional
        Panel to draw into.

    Returns
    -------
    matplotlib.figure.Figure
        Logarithmic, with statistical errors; below the regions stands their share of the events.

    Raises
    ------
    InputError
        If there are no results, or their regions differ.
    """
    regions = {tuple(result.edges) for result in results.values()}
    if len(regions) != 1:
        raise InputError(f"results of {len(regions)} sets of regions: give some of the same.")
    (edges,) = regions
    with style():
        panel = own_axes(ax)
        places = np.arange(len(edges) - 1)
        for number, (name, result) in enumerate(results.items()):
            shift = 0.12 * (number - 0.5 * (len(results) - 1))
            panel.errorbar(
                places + shift,
                result.mse,
                result.mse_error,
                fmt=MARKERS[number % len(MARKERS)],
                ms=7,
                elinewidth=1.4,
                color=COLOURS[number % len(COLOURS)],
                label=name,
            )
        panel.set_yscale("log")
        low, high = panel.get_ylim()
        panel.set_ylim(low, high * (high / low) ** (0.1 + 0.09 * len(results)))
        panel.set_xticks(places, [_region(edges, k, symbol) for k in range(len(places))], fontsize=13)
        panel.tick_params(axis="x", which="both", top=False, bottom=False)
        panel.set_xlim(-0.5, len(places) - 0.5)
        panel.set_ylabel("mean squared error")
        panel.legend(loc="upper center")
    return figure_of(panel)


def _region(edges: Sequence[float], k: int, symbol: str) -> str:
    low, high = edges[k], edges[k + 1]
    if np.isinf(high):
        return f"${symbol} > {low:.3g}$"
    return f"${symbol} < {high:.3g}$" if low == 0.0 else f"${low:.3g} < {symbol} < {high:.3g}$"


class _Means:
    """Truth and predictions in bins of a feature."""

    def __init__(
        self,
        x: npt.ArrayLike,
        weights_k: npt.ArrayLike,
        weights_0: npt.ArrayLike,
        predictions: Mapping[str, npt.ArrayLike],
        edges: npt.ArrayLike,
    ) -> None:
        value, w_k, w_0 = (np.asarray(array, dtype=np.float64) for array in (x, weights_k, weights_0))
        learned = {label: np.asarray(array, dtype=np.float64) for label, array in predictions.items()}
        if value.ndim != 1 or any(array.shape != value.shape for array in (w_k, w_0, *learned.values())):
            raise InputError("x, weights_k, weights_0 and every prediction must have one shape, (n_events,).")
        self.bins = Bins(value, edges)
        nominal, count = self.bins.summed(w_0), self.bins.summed(np.ones_like(w_0))
        used = (count >= 2) & (nominal != 0)
        if not used.any():
            raise InputError("no bin holds two events: widen the edges.")
        total = np.where(used, nominal, np.nan)
        self.truth: FloatArray = self.bins.summed(w_k) / total
        centred = w_k - w_0 * np.append(np.nan_to_num(self.truth), 0.0)[self.bins.cell]
        self.error: FloatArray = np.sqrt(self.bins.summed(centred**2)) / np.abs(total)
        self.learned = {label: self.bins.summed(w_0 * values) / total for label, values in learned.items()}

    def draw(self, panel: Axes) -> None:
        """Points of the truth, lines of the predictions."""
        panel.errorbar(
            self.bins.middles, self.truth, self.error, fmt="o", ms=4.5, color=GREY, elinewidth=1.4, label="true"
        )
        for number, (label, values) in enumerate(self.learned.items()):
            panel.stairs(values, self.bins.edges, baseline=None, lw=2.0, label=label, **_line(number))

    @property
    def limits(self) -> tuple[float, float]:
        """Of the vertical axis."""
        low = float(np.nanmin([self.truth - self.error, *self.learned.values()]))
        high = float(np.nanmax([self.truth + self.error, *self.learned.values()]))
        reach = (high - low) or 1.0
        return low - 0.07 * reach, high + 0.07 * reach


def _line(number: int) -> dict[str, Any]:
    """Look of a prediction: the first one on top of the others."""
    colours = (COLOURS[1], COLOURS[0], *COLOURS[2:])
    return {
        "color": colours[number % len(colours)],
        "ls": DASHES[number % len(DASHES)],
        "zorder": 3 - 0.01 * number,
    }


def _finish(panel: Axes, means: _Means, xlabel: str) -> None:
    panel.set_xlabel(xlabel)
    panel.set_xlim(means.bins.edges[0], means.bins.edges[-1])
    panel.locator_params(axis="x", nbins=5)
