"""The look of all figures: fonts, colours, labels of coefficients, and saving."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.rcsetup import cycler

from bit.errors import InputError
from bit.files import replacing

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6A3D9A")
"""Colours that colour-blind readers can tell apart (Okabe and Ito, yellow left out), and a violet."""
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
DASHES: Final = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.6, 1.2, 1.6)), (0, (3, 1, 1, 1, 1, 1)))
GREY: Final = "#4D4D4D"

_SETTINGS: Final[Any] = {
    "font.family": "sans-serif",
    "font.size": 13.0,
    "mathtext.fontset": "dejavusans",
    "axes.labelsize": 15.0,
    "axes.titlesize": 15.0,
    "axes.linewidth": 1.0,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "lines.linewidth": 2.0,
    "legend.frameon": False,
    "legend.fontsize": 12.0,
    "legend.handlelength": 2.2,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.minor.visible": True,
    "ytick.minor.visible": True,
    "xtick.labelsize": 12.0,
    "ytick.labelsize": 12.0,
    "xtick.major.size": 6.0,
    "ytick.major.size": 6.0,
    "xtick.minor.size": 3.0,
    "ytick.minor.size": 3.0,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


_SPECIAL: Final = {
    "cHq3": r"c_{Hq}^{(3)}",
    "cHbox": "c_{H\N{WHITE SQUARE}}",
    "cHDD": "c_{HD}",
    "fWWtil": r"f_{W\tilde{W}}",
}


@contextmanager
def style() -> Iterator[None]:
    """Use the look of `bit` within a block; matplotlib's settings are as before afterwards."""
    with mpl.rc_context(_SETTINGS):
        yield


def figure(width: float = 6.4, height: float = 4.8) -> Figure:
    """Return an empty figure that belongs to no window.

    Parameters
    ----------
    width, height : float
        Size in inches.

    Returns
    -------
    matplotlib.figure.Figure
        With constrained layout.
    """
    with style():
        return Figure(figsize=(width, height), layout="constrained")


def panels(
    n_columns: int,
    n_rows: int = 1,
    *,
    width: float = 5.2,
    height: float = 4.6,
    height_ratios: Sequence[float] | None = None,
    share_x: bool = False,
) -> tuple[Figure, npt.NDArray[np.object_]]:
    """Return a figure with a grid of panels.

    Parameters
    ----------
    n_columns, n_rows : int
        Size of the grid.
    width, height : float
        Size of a panel in inches; of a whole column, if `height_ratios` is given.
    height_ratios : sequence of float, optional
        Relative heights of the rows, such as (3, 1) for panels with ratios below.
    share_x : bool, default=False
        One scale for the panels of a column.

    Returns
    -------
    figure : matplotlib.figure.Figure
        The figure.
    axes : ndarray of matplotlib.axes.Axes, shape (n_rows, n_columns)
        Its panels.
    """
    with style():
        fig = figure(width * n_columns, height * (n_rows if height_ratios is None else 1.2))
        axes = fig.subplots(
            n_rows, n_columns, squeeze=False, sharex="col" if share_x else False, height_ratios=height_ratios
        )
    return fig, axes


def param_label(name: str) -> str:
    r"""LaTeX of a Wilson coefficient, without dollar signs.

    Parameters
    ----------
    name : str
        Name as in ``param_names``, such as ``"cHWtil"``.

    Returns
    -------
    str
        ``"c_{H\tilde{W}}"``; the name itself, upright, if it does not begin with c or f.
    """
    if name in _SPECIAL:
        return _SPECIAL[name]
    found = re.fullmatch(r"([cf])([A-Z][A-Za-z]*?)(til)?", name)
    if found is None:
        return r"\mathrm{" + re.sub(r"\W+", r"\\ ", name).replace("_", r"\_") + "}"
    letter, fields, tilde = found.groups()
    if tilde:
        head, rest = ("H", fields[1:]) if fields.startswith("H") and len(fields) > 1 else ("", fields)
        fields = rf"{head}\tilde{{{rest[0]}}}{rest[1:]}"
    return f"{letter}_{{{fields}}}"


def term_label(term: Sequence[str]) -> str:
    """LaTeX of the learned function of a term, without dollar signs.

    Parameters
    ----------
    term : sequence of str
        Coefficients of the term: one or two.

    Returns
    -------
    str
        ``"R_{c_{HW}}"`` or ``"R_{c_{HW}c_{HW}}"``.
    """
    return "R_{" + r"\,".join(param_label(name) for name in term) + "}"


def feature_label(name: str, latex: str | None = None, unit: str = "") -> str:
    """Text of an axis for a feature.

    Parameters
    ----------
    name : str
        Name of the feature, used where there is no LaTeX.
    latex : str, optional
        LaTeX without dollar signs.
    unit : str, default=""
        Unit, ``""`` for none.

    Returns
    -------
    str
        Label with the unit in brackets.

    Raises
    ------
    InputError
        If the LaTeX is not among what matplotlib can draw.
    """
    if latex:
        # An index above an accent would be drawn onto it.
        latex = re.sub(r"(\\tilde\{\w+\})\^(\w)", r"\1^{\\,\2}", latex)
        try:
            MathTextParser("path").parse(f"${latex}$")
        except ValueError:
            raise InputError(
                f"the label {latex!r} of {name!r} cannot be drawn; use simpler LaTeX, without dollar signs."
            ) from None
    text = f"${latex}$" if latex else name.replace("$", r"\$")
    return text + (f" [{unit}]" if unit else "")


def save(fig: Figure, path: str | os.PathLike[str], *, dpi: int = 200) -> None:
    """Write a figure; an older file is replaced by a complete one only.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        What a function of this package returned.
    path : str or path-like
        The file; its suffix is the format: .png, .pdf, .svg.
    dpi : int, default=200
        Dots per inch of a PNG.

    Raises
    ------
    InputError
        If the folder does not exist or the suffix is of no known format.
    """
    known = fig.canvas.get_supported_filetypes()
    suffix = os.path.splitext(os.fspath(path))[1].lstrip(".").lower()
    if suffix not in known:
        raise InputError(f"{os.fspath(path)!r} has no suffix of a figure: use .png, .pdf or .svg.")
    # Ticks and formulas are made when a figure is drawn, so the style has to hold here, too.
    with replacing(path) as temporary, style():
        fig.savefig(temporary, dpi=dpi, format=suffix)


def own_axes(ax: Axes | None, width: float = 6.4, height: float = 4.8) -> Axes:
    """Return the panel to draw into: the given one, or that of a new figure."""
    return figure(width, height).subplots() if ax is None else ax


def figure_of(ax: Axes) -> Figure:
    """Return the figure of a panel."""
    fig = ax.get_figure(root=True)
    if fig is None:
        raise InputError("ax belongs to no figure: take it from bit.plotting.panels().")
    return fig
