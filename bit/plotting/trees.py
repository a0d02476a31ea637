"""How a forest was trained and what it looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bit.errors import InputError
from bit.plotting.style import COLOURS, GREY, figure_of, own_axes, style


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
        Loss of the base and after each tree, by the text of the legend.
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


def importances(
    values: npt.ArrayLike,
    labels: Sequence[str],
    *,
    n_largest: int = 15,
    xlabel: str = "share of the information gained [%]",
    ax: Axes | None = None,
) -> Figure:
    """Importance of features as bars, the largest on top.

    Parameters
    ----------
    values : array-like of shape (n_features,)
        Shares, such as ``model.feature_importances_``.
    labels : sequence of str
        One text per feature.
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
        If values and labels are not equally many.
    """
    shares = 100.0 * np.asarray(values, dtype=np.float64)
    if shares.ndim != 1 or len(shares) != len(labels) or not len(shares):
        raise InputError(f"values have shape {shares.shape} but there are {len(labels)} labels: give one for each.")
    order = np.argsort(-shares, kind="stable")[:n_largest][::-1]
    with style():
        panel = own_axes(ax, 6.4, 1.4 + 0.36 * len(order))
        places = np.arange(len(order))
        panel.barh(places, shares[order], height=0.7, color=COLOURS[0])
        for place, share in zip(places, shares[order], strict=True):
            panel.annotate(f"{share:.1f}", (share, place), (4, 0), textcoords="offset points", va="center", fontsize=11)
        panel.set_yticks(places, [labels[k] for k in order])
        panel.tick_params(axis="y", which="both", left=False, right=False)
        panel.set_ylim(-0.7, len(order) - 0.3)
        panel.set_xlim(0, max(1.12 * shares.max(), 1e-3))
        panel.set_xlabel(xlabel)
    return figure_of(panel)


def _cycle(number: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(number)]
