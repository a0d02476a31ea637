"""How a forest was trained and what it looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bit.errors import InputError, near_match
from bit.plotting.one_tree import fixed, ink
from bit.plotting.style import COLOURS, DASHES, GREY, feature_label, figure_of, own_axes, style

if TYPE_CHECKING:
    from bit.inspection import PartialDependence

_RISING = LinearSegmentedColormap.from_list("bit_rising", ["white", COLOURS[0]])


def loss(
    training: Mapping[str, npt.ArrayLike],
    test: Mapping[str, npt.ArrayLike] | None = None,
    *,
    xlabel: str = "number of trees",
    ylabel: str = r"$(L - L_{\mathrm{start}})\,/\,|L_{\mathrm{end}} - L_{\mathrm{start}}|_{\mathrm{training}}$",
    ax: Axes | None = None,
) -> Figure:
    """Loss after each tree, every curve relative to where it started, in units of the whole training's decrease.

    Parameters
    ----------
    training : mapping of str to array-like of shape (n_trees + 1,)
        Loss of the base and after each tree, by the text of the legend, such as ``model.train_loss_`` or the columns
        of ``bit.inspection.staged_loss(model, table)``.
    test : mapping of str to array-like of shape (n_trees + 1,), optional
        The same on events that were not used in training, per event on the same scale as `training`.
    xlabel, ylabel : str
        Texts.
    ax : matplotlib.axes.Axes, optional
        Panel to draw into.

    Returns
    -------
    matplotlib.figure.Figure
        Full lines fall from 0 to -1; dashed ones are the test.

    Raises
    ------
    InputError
        If a curve has fewer than two values, or `test` has names that `training` lacks.
    """
    curves = {name: np.asarray(values, dtype=np.float64) for name, values in training.items()}
    others = {name: np.asarray(values, dtype=np.float64) for name, values in (test or {}).items()}
    if not curves or not set(others) <= set(curves):
        raise InputError("training needs at least one curve, and test only curves that training has.")
    if any(values.ndim != 1 or len(values) < 2 for values in (*curves.values(), *others.values())):
        raise InputError("a curve of the loss needs two values at least: that of the base and that of one tree.")
    with style():
        panel = own_axes(ax)
        handles = []
        for colour, (name, values) in zip(_cycle(len(curves)), curves.items(), strict=True):
            scale = abs(values[-1] - values[0]) or 1.0
            trees = np.arange(1, len(values))
            panel.plot(trees, (values[1:] - values[0]) / scale, color=colour)
            if name in others:
                held = others[name]
                panel.plot(np.arange(1, len(held)), (held[1:] - held[0]) / scale, color=colour, ls=(0, (4, 1.5)))
            handles.append(Line2D([], [], color=colour, label=name))
        if others:
            handles += [
                Line2D([], [], color=GREY, label="training"),
                Line2D([], [], color=GREY, ls=(0, (4, 1.5)), label="test"),
            ]
        panel.set_xscale("log")
        panel.set_xlim(1, max(2, *(len(values) - 1 for values in curves.values())))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.set_xlabel(xlabel)
        panel.set_ylabel(ylabel)
        panel.legend(handles=handles, loc="upper right", ncols=2 if others else 1)
    return figure_of(panel)


def rho2(
    curves: Mapping[str, npt.ArrayLike],
    *,
    xlabel: str = "number of trees",
    ylabel: str = r"$1 - \rho^2$",
    ax: Axes | None = None,
) -> Figure:
    """What is missing of the squared correlation with the truth after each tree.

    Parameters
    ----------
    curves : mapping of str to array-like of shape (n_trees + 1,)
        rho^2 of the base and after each tree by the text of the legend, such as the columns of
        ``bit.inspection.staged_rho2(model, table)``.
    xlabel, ylabel : str
        Texts.
    ax : matplotlib.axes.Axes, optional
        Panel to draw into.

    Returns
    -------
    matplotlib.figure.Figure
        Curves of 1 - rho^2, both axes logarithmic.

    Raises
    ------
    InputError
        If there is no curve, or one has fewer than two values or values above 1.
    """
    lines = {name: np.asarray(values, dtype=np.float64) for name, values in curves.items()}
    if not lines or any(values.ndim != 1 or len(values) < 2 or values.max() > 1 for values in lines.values()):
        raise InputError("each curve needs rho^2 of the base and of one tree at least, none of them above 1.")
    with style():
        panel = own_axes(ax, 7.6, 4.8)
        for number, (name, values) in enumerate(lines.items()):
            dash = DASHES[number // len(COLOURS) % len(DASHES)]
            colour = COLOURS[number % len(COLOURS)]
            panel.plot(np.arange(1, len(values)), 1.0 - values[1:], color=colour, ls=dash, label=name)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xlim(1, max(2, *(len(values) - 1 for values in lines.values())))
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter("{x:g}")
        panel.set_xlabel(xlabel)
        panel.set_ylabel(ylabel)
        panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure_of(panel)


def importances(
    values: npt.ArrayLike,
    labels: Sequence[str],
    *,
    errors: npt.ArrayLike | None = None,
    n_largest: int = 15,
    xlabel: str = "share of the information gained [%]",
    ax: Axes | None = None,
) -> Figure:
    """Importance of features as bars, the largest on top.

    Parameters
    ----------
    values : array-like of shape (n_features,)
        Shares, such as ``model.feature_importances_``, or a column of ``bit.inspection.permutation_importance``.
    labels : sequence of str
        One text per feature.
    errors : array-like of shape (n_features,), optional
        Drawn as bars of error.
    n_largest : int, default=15
        Bars at most.
    xlabel : str
        Text.
    ax : matplotlib.axes.Axes, optional
        Panel to draw into.

    Returns
    -------
    matplotlib.figure.Figure
        Bars with their percentages.

    Raises
    ------
    InputError
        If values, errors and labels are not equally many.
    """
    shares = 100.0 * np.asarray(values, dtype=np.float64)
    spread = np.zeros_like(shares) if errors is None else 100.0 * np.asarray(errors, dtype=np.float64)
    if shares.ndim != 1 or len(shares) != len(labels) or not len(shares) or spread.shape != shares.shape:
        raise InputError(
            f"values have shape {shares.shape} and errors {spread.shape} but there are {len(labels)} labels: "
            "give one for each."
        )
    order = np.argsort(-shares, kind="stable")[:n_largest][::-1]
    with style():
        panel = own_axes(ax, 6.4, 1.4 + 0.36 * len(order))
        places = np.arange(len(order))
        panel.barh(places, shares[order], height=0.7, color=COLOURS[0])
        if errors is not None:
            panel.errorbar(shares[order], places, xerr=spread[order], fmt="none", ecolor=GREY, elinewidth=1.5)
        for place, share, error in zip(places, shares[order], spread[order], strict=True):
            text = f"{share:.1f}" if errors is None else f"{share:.1f} ± {error:.1f}"
            end = max(share, 0.0) + error
            panel.annotate(text, (end, place), (4, 0), textcoords="offset points", va="center", fontsize=11)
        panel.set_yticks(places, [labels[k] for k in order])
        panel.tick_params(axis="y", which="both", left=False, right=False)
        panel.set_ylim(-0.7, len(order) - 0.3)
        reach = (1.12 if errors is None else 1.3) * float((shares + spread).max())
        panel.set_xlim(min(0.0, 1.1 * float((shares - spread)[order].min())), max(reach, 1e-3))
        panel.set_xlabel(xlabel)
    return figure_of(panel)


def importance_map(
    values: npt.ArrayLike,
    labels: Sequence[str],
    columns: Sequence[str],
    *,
    n_largest: int = 15,
    title: str = "share of the information gained [%]",
    ax: Axes | None = None,
) -> Figure:
    """Importance of features for each learned function, as a table in colours.

    Parameters
    ----------
    values : array-like of shape (n_features, n_terms)
        Shares, such as ``bit.inspection.information_gain(model)`` or ``permutation_importance(...).mean``.
    labels : sequence of str
        One text per feature.
    columns : sequence of str
        One text per function.
    n_largest : int, default=15
        Rows at most; those with the largest value in any column.
    title : str
        Text above.
    ax : matplotlib.axes.Axes, optional
        Panel to draw into.

    Returns
    -------
    matplotlib.figure.Figure
        Percentages in cells, the feature with the largest mean on top.

    Raises
    ------
    InputError
        If there are not as many labels as rows, or not as many texts as columns.
    """
    shares = 100.0 * np.asarray(values, dtype=np.float64)
    if shares.shape != (len(labels), len(columns)) or not shares.size:
        raise InputError(
            f"values have shape {shares.shape} but there are {len(labels)} labels of rows and {len(columns)} of "
            "columns: give one for each."
        )
    kept = np.argsort(-shares.max(axis=1), kind="stable")[:n_largest]
    order = kept[np.argsort(-shares[kept].mean(axis=1), kind="stable")]
    with style():
        panel = own_axes(ax, 2.2 + 0.72 * len(columns), 1.6 + 0.36 * len(order))
        norm = Normalize(0.0, max(float(shares.max()), 1e-3))
        panel.imshow(shares[order], cmap=_RISING, norm=norm, aspect="auto")
        for row, feature in enumerate(order):
            for column, share in enumerate(shares[feature]):
                text = fixed(share, 0 if abs(share) >= 9.95 else 1)
                colour = ink(_RISING(norm(share)))
                panel.text(column, row, text, ha="center", va="center", fontsize=11, color=colour)
        panel.set_xticks(np.arange(len(columns)), list(columns))
        panel.set_yticks(np.arange(len(order)), [labels[k] for k in order])
        panel.tick_params(which="both", length=0, labeltop=True, labelbottom=False)
        panel.minorticks_off()
        panel.set_title(title, pad=12)
    return figure_of(panel)


def partial_dependence(
    result: PartialDependence,
    name: str,
    *,
    xlabel: str = "",
    ylabel: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Mean prediction against the value of a feature.

    Parameters
    ----------
    result : PartialDependence
        From ``bit.inspection.partial_dependence``.
    name : str
        Which function, one of ``result.names``.
    xlabel, ylabel : str
        Texts; default the feature with its unit, and the name.
    ax : matplotlib.axes.Axes, optional
        Panel to draw into.

    Returns
    -------
    matplotlib.figure.Figure
        The mean as a line, a band with 68 % of the events' own curves, and at the bottom ticks at the deciles of
        the feature.

    Raises
    ------
    InputError
        If the result has no such function.
    """
    if name not in result.names:
        raise InputError(f"no function {name!r}: {near_match(name, result.names)}")
    column = result.names.index(name)
    with style():
        panel = own_axes(ax)
        low, high = result.lower[:, column], result.upper[:, column]
        panel.fill_between(result.grid, low, high, color=COLOURS[0], alpha=0.2, lw=0, label="68 % of the events")
        panel.plot(result.grid, result.mean[:, column], color=COLOURS[0], lw=2.4, label="mean")
        inside = result.deciles[(result.deciles >= result.grid[0]) & (result.deciles <= result.grid[-1])]
        rug = panel.get_xaxis_transform()
        panel.plot(inside, np.zeros_like(inside), "|", ms=14, mew=1.6, color=GREY, transform=rug)
        if len(result.grid) > 1:
            panel.set_xlim(result.grid[0], result.grid[-1])
        panel.locator_params(axis="x", nbins=6)
        panel.set_xlabel(xlabel or feature_label(result.feature, unit=result.unit))
        panel.set_ylabel(ylabel or f"mean prediction of {name}")
        panel.legend(loc="best")
    return figure_of(panel)


def _cycle(number: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(number)]
