"""A picture of one tree: splits from left to right, and a table of the leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath
from sklearn.utils.validation import check_is_fitted

from bit.basis import FloatArray, PolynomialBasis, Term
from bit.errors import InputError, near_match
from bit.plotting.style import COLOURS, GREY, feature_label, param_label, style, term_label
from bit.trees.forest import Forest, TreeGroup

_DIVERGING = LinearSegmentedColormap.from_list("bit_diverging", [COLOURS[0], "white", COLOURS[1]])
# Sizes of the drawing, in inches, and of fonts, in points.
_ROW, _GAP, _MARGIN, _HEAD, _FOOT = 0.4, 0.5, 0.25, 1.0, 0.9
_FONT, _SMALL = 10.0, 8.0


def tree(
    model: Any,
    number: int = 0,
    *,
    group: int = 0,
    max_depth: int | None = None,
    terms: Sequence[str | Sequence[str]] | None = None,
    polynomial: bool = False,
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """Draw one tree from left to right, with a table of its leaves.

    Parameters
    ----------
    model : fitted BoostedInformationTree, or Forest
        The trees.
    number : int, default=0
        Which tree, counted from 0.
    group : int, default=0
        Which of ``forest.groups``: there are several if functions were trained separately.
    max_depth : int, optional
        Levels of splits to draw; what is below is drawn as one leaf. Default all.
    terms : sequence of str or tuple of str, optional
        Functions in the table; default the linear ones of the group, or all if there are none.
    polynomial : bool, default=False
        Write R(theta) of every leaf as a formula, of all functions unless `terms` are given; colours are then
        those of the first one.
    labels : mapping of str to str, optional
        LaTeX of features by name, without dollar signs; default what the forest knows.

    Returns
    -------
    matplotlib.figure.Figure
        As large as it takes. The upper branch of a split is the one for which its condition holds, lines are as
        wide as the share of sum w_0 that follows them, below a split stands its share of the information that this
        tree gained. The table has for each leaf the number of training events, the share of sum w_0, and
        R_k = sum w_k / sum w_0 of these events (with ``cp_parity`` an event and its image are half an event each).
        The tree itself adds the learning rate times what the trees before it had left of that.

    Raises
    ------
    InputError
        If there is no such group, tree or term, or a formula is asked of a model without polynomial.
    """
    if not isinstance(model, Forest):
        check_is_fitted(model, "forest_")
        model = model.forest_
    forest: Forest = model
    if not 0 <= group < len(forest.groups):
        raise InputError(f"group={group}: the forest has groups 0 to {len(forest.groups) - 1}.")
    chosen = forest.groups[group]
    if not 0 <= number < chosen.n_trees:
        raise InputError(f"number={number}: there are {chosen.n_trees} trees, counted from 0.")
    if max_depth is not None and max_depth < 0:
        raise InputError(f"max_depth={max_depth}: a number of at least 0 is needed.")
    if polynomial and forest.basis is None:
        raise InputError("this model was trained on arrays without basis=, so it has no polynomial to write.")
    known = [forest.output_terms[k] for k in chosen.outputs]
    shown = _shown_terms(known, terms, polynomial=polynomial)
    root = _arrange(chosen, int(chosen.tree_offset[number]), max_depth)
    texts = _texts(forest, chosen, root, labels or {})
    columns, scale = _table(forest, chosen, known, shown, root, polynomial=polynomial)
    with style():
        return _draw_tree(chosen, root, texts, columns, scale, f"tree {number}")


@dataclass(frozen=True)
class _Spot:
    """A node in the drawing: its level, the row of its leaf or the middle of its children."""

    node: int
    depth: int
    row: float
    children: tuple[_Spot, ...]
    n_hidden: int = 0

    def walk(self) -> Iterator[_Spot]:
        """Yield this spot and all below, upper ones first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class _Column:
    """A column of the table of leaves."""

    title: str
    cells: Sequence[str]
    colours: FloatArray | None = None
    align: Literal["left", "right"] = "right"


@dataclass(frozen=True)
class _Scale:
    """What the colours of the table mean."""

    limit: float
    label: str


def _arrange(group: TreeGroup, root: int, max_depth: int | None) -> _Spot:
    """Give every leaf a row of its own, from top to bottom."""
    rows = count()

    def place(node: int, depth: int) -> _Spot:
        if group.feature[node] < 0 or depth == max_depth:
            n_leaves = _n_leaves(group, node)
            return _Spot(node, depth, float(next(rows)), (), n_hidden=n_leaves if n_leaves > 1 else 0)
        children = tuple(place(int(child), depth + 1) for child in (group.left[node], group.right[node]))
        return _Spot(node, depth, 0.5 * (children[0].row + children[1].row), children)

    return place(root, 0)


def _n_leaves(group: TreeGroup, node: int) -> int:
    if group.feature[node] < 0:
        return 1
    return _n_leaves(group, int(group.left[node])) + _n_leaves(group, int(group.right[node]))


def _shown_terms(known: Sequence[Term], terms: Sequence[str | Sequence[str]] | None, *, polynomial: bool) -> list[int]:
    """Positions of the wanted functions among those of the group."""
    if terms is None:
        linear = [k for k, term in enumerate(known) if len(term) == 1]
        return list(range(len(known))) if polynomial or not linear else linear
    wanted = [(term,) if isinstance(term, str) else tuple(term) for term in terms]
    for term in wanted:
        if term not in known and term[::-1] not in known:
            raise InputError(f"terms: these trees do not learn {term!r}; they learn {list(known)}.")
    if not wanted:
        raise InputError("terms is empty: name at least one function.")
    return [known.index(term if term in known else term[::-1]) for term in wanted]


def _texts(forest: Forest, group: TreeGroup, root: _Spot, labels: Mapping[str, str]) -> dict[int, str]:
    """Condition of each split, and a hint at leaves that stand for a part of the tree."""
    for name in labels:
        if name not in forest.feature_names:
            raise InputError(f"labels name the unknown feature {name!r}: {near_match(name, forest.feature_names)}")
    latex = dict(zip(forest.feature_names, forest.latex, strict=False)) | dict(labels)
    texts = {}
    for spot in root.walk():
        if spot.children:
            feature = int(group.feature[spot.node])
            name = forest.feature_names[feature]
            label = feature_label(name, latex.get(name) if latex.get(name) != name else None)
            unit = forest.units[feature] if forest.units else ""
            texts[spot.node] = f"{label} $<$ ${_number(float(group.threshold[spot.node]), 4)}$ {unit}".rstrip()
        elif spot.n_hidden:
            texts[spot.node] = f"… {spot.n_hidden} leaves"
    return texts


def _table(
    forest: Forest, group: TreeGroup, known: Sequence[Term], shown: Sequence[int], root: _Spot, *, polynomial: bool
) -> tuple[list[_Column], _Scale]:
    """Columns of the table of leaves, and the scale of their colours."""
    leaves = [spot.node for spot in root.walk() if not spot.children]
    sums = group.sum_w[leaves]
    nominal = sums[:, 0]
    ratios = np.full((len(leaves), len(known)), np.nan)
    np.divide(sums[:, 1:], nominal[:, np.newaxis], out=ratios, where=nominal[:, np.newaxis] > 0)
    share = 100.0 * nominal / group.sum_w[root.node, 0]
    columns = [
        _Column("events", [f"{number:,}".replace(",", "\u2009") for number in group.count[leaves]]),
        _Column(r"$\Sigma w_0$ [%]", [_percent(float(value)) for value in share]),
    ]
    coloured = shown[:1] if polynomial else shown
    limit = 1.0
    for k in coloured:
        limit = float(np.nanmax(np.abs(ratios[:, k]), initial=0.0)) or 1.0
        colours = _DIVERGING(Normalize(-limit, limit)(np.nan_to_num(ratios[:, k])))
        columns.append(_Column(_quantity(forest, known[k]), _aligned(ratios[:, k]), colours))
    if polynomial and forest.basis is not None:
        terms = [known[k] for k in shown]
        formulas = [_formula(forest.basis, terms, row) for row in ratios[:, shown]]
        columns.append(_Column(r"$R(\theta)$", formulas, align="left"))
    if len(coloured) == 1:
        return columns, _Scale(limit, columns[2].title)
    return columns, _Scale(1.0, "value / largest size in its column")


def _quantity(forest: Forest, term: Term) -> str:
    unit = "" if forest.basis is None else rf" [TeV$^{{{2 * len(term)}}}$]"
    return f"${term_label(term)}${unit}"


def _formula(basis: PolynomialBasis, terms: Sequence[Term], ratios: FloatArray) -> str:
    """1 + sum_k phi_k R_k of one leaf as mathtext, with the numbers in phi_k(theta) multiplied out."""
    factor = basis.monomials(np.array(basis.reference) + 1.0)
    if not np.isfinite(ratios).all():
        return "\u2013"
    text = "1"
    for term, ratio in zip(terms, ratios, strict=True):
        value = float(factor[basis.index(term)] * ratio)
        if value != 0.0:
            text += (" - " if value < 0 else " + ") + _number(abs(value), 3) + r"\," + _monomial(basis, term)
    return f"${text}$"


def _monomial(basis: PolynomialBasis, term: Term) -> str:
    """Product of the coefficients, or of their distances from the reference point where that is not 0."""
    moved = [basis.reference[basis.param_names.index(name)] != 0.0 for name in term]
    names = [r"\Delta " * far + param_label(name) for name, far in zip(term, moved, strict=True)]
    if len(term) == 1 or term[0] != term[1]:
        return r"\,".join(names)
    return rf"({names[0]})^2" if moved[0] or "^" in names[0] else f"{names[0]}^2"


def _draw_tree(
    group: TreeGroup, root: _Spot, texts: Mapping[int, str], columns: Sequence[_Column], scale: _Scale, title: str
) -> Figure:
    n_leaves = sum(not spot.children for spot in root.walk())
    starts = _starts(root, texts)
    widths = [0.2 + max(_width(text, _FONT) for text in (column.title, *column.cells)) for column in columns]
    size = (max(starts[-1] + sum(widths), 7.0) + _MARGIN, _HEAD + _ROW * n_leaves + _FOOT)
    fig = Figure(figsize=size)
    panel = fig.add_axes((0.0, 0.0, 1.0, 1.0))
    panel.set_axis_off()
    panel.set_xlim(0.0, size[0])
    panel.set_ylim(size[1], 0.0)
    _draw_branches(panel, group, root, texts, starts)
    left = starts[-1]
    for column, width in zip(columns, widths, strict=True):
        _draw_column(panel, column, left, width)
        left += width
    panel.text(_MARGIN, 0.35, title, fontsize=13, va="center")
    caption = (
        "upper branch: the condition holds; lower branch: it does not, or the value is missing\n"
        r"width of a line: share of $\Sigma w_0$; below a split: its share of the information gained by this tree"
    )
    panel.text(_MARGIN, size[1] - 0.2, caption, fontsize=_SMALL, color=GREY, va="bottom")
    _draw_colour_bar(fig, scale, size)
    return fig


def _starts(root: _Spot, texts: Mapping[int, str]) -> list[float]:
    """Left edge of the boxes of each level, and of the table behind the last."""
    widths: dict[int, float] = {}
    for spot in root.walk():
        if spot.node in texts:
            widths[spot.depth] = max(widths.get(spot.depth, 0.0), _width(texts[spot.node], _FONT))
    return [_MARGIN + sum(widths[level] + _GAP for level in range(depth)) for depth in range(len(widths) + 1)]


def _gain_shares(group: TreeGroup, root: _Spot) -> FloatArray:
    """Share of each node in the gain of its tree, hidden splits included; of no use for nodes of other trees."""
    number = int(np.searchsorted(group.tree_offset, root.node))
    total = group.gain[root.node : int(group.tree_offset[number + 1])].sum()
    return group.gain / (total or 1.0)


def _y(row: float) -> float:
    return _HEAD + _ROW * (row + 0.5)


def _draw_branches(
    panel: Axes, group: TreeGroup, root: _Spot, texts: Mapping[int, str], starts: Sequence[float]
) -> None:
    gain_shares = _gain_shares(group, root)
    nominal = np.maximum(group.sum_w[:, 0] / group.sum_w[root.node, 0], 0.0)
    box = {"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": GREY, "linewidth": 0.8}
    for spot in root.walk():
        if spot.node not in texts:
            continue
        text, x, y = texts[spot.node], starts[spot.depth], _y(spot.row)
        panel.text(x, y, text, fontsize=_FONT, va="center", bbox=box if spot.children else None)
        if not spot.children:
            continue
        middle, bend = x + 0.5 * _width(text, _FONT), starts[spot.depth + 1] - 0.62 * _GAP
        share = f"{100 * gain_shares[spot.node]:.1f} %"
        panel.text(middle, y + 0.185, share, fontsize=7, color=GREY, ha="center", va="top")
        for child in spot.children:
            inner = child.node in texts
            stop = starts[child.depth] - (0.0 if child.children else 0.06) if inner else starts[-1]
            corners = [middle, bend, bend, stop], [y, y, _y(child.row), _y(child.row)]
            thickness = 0.8 + 5.0 * float(nominal[child.node])
            panel.plot(*corners, color="#B5B5B5", lw=thickness, zorder=0, solid_joinstyle="round")
    for child, word, above in zip(root.children, ("yes", "no"), (True, False), strict=False):
        place = starts[1] - 0.52 * _GAP, _y(child.row) + (-0.06 if above else 0.06)
        panel.text(*place, word, fontsize=_SMALL, color=GREY, va="bottom" if above else "top")


def _draw_column(panel: Axes, column: _Column, left: float, width: float) -> None:
    place = left + (0.1 if column.align == "left" else width - 0.1)
    panel.text(place, _HEAD - 0.15, column.title, fontsize=_FONT, ha=column.align, va="center")
    for row, text in enumerate(column.cells):
        colour = "white" if column.colours is None else tuple(column.colours[row])
        if column.colours is not None:
            corner = (left, _y(row) - _ROW / 2)
            panel.add_patch(Rectangle(corner, width, _ROW, facecolor=colour, edgecolor="white"))
        panel.text(place, _y(row), text, fontsize=_FONT, ha=column.align, va="center", color=ink(colour))


def _draw_colour_bar(fig: Figure, scale: _Scale, size: tuple[float, float]) -> None:
    place = ((size[0] - _MARGIN - 2.0) / size[0], 0.55 / size[1], 2.0 / size[0], 0.12 / size[1])
    bar = fig.colorbar(
        ScalarMappable(Normalize(-scale.limit, scale.limit), _DIVERGING),
        cax=fig.add_axes(place),
        orientation="horizontal",
    )
    bar.ax.tick_params(labelsize=_SMALL, length=3)
    bar.ax.minorticks_off()
    bar.set_label(scale.label, fontsize=_SMALL + 1)


def _width(text: str, points: float) -> float:
    """Width of a text in inches."""
    return float(TextPath((0.0, 0.0), text, size=points).get_extents().width) / 72.0


def ink(colour: Any) -> str:
    """Black or white, whichever can be read on a colour.

    Parameters
    ----------
    colour : matplotlib colour
        The background.

    Returns
    -------
    str
        ``"black"`` or ``"white"``.
    """
    return "black" if np.dot(to_rgb(colour), (0.299, 0.587, 0.114)) > 0.5 else "white"


def fixed(value: float, decimals: int) -> str:
    """Decimal number with a proper minus, none before 0.

    Parameters
    ----------
    value : float
        The number.
    decimals : int
        Digits behind the point.

    Returns
    -------
    str
        Its text.
    """
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "\u2212")


def _number(value: float, digits: int) -> str:
    """Mathtext of a number with so many significant digits."""
    if value == 0.0 or 1e-3 <= abs(value) < 1e6:
        return np.format_float_positional(value, precision=digits, unique=False, fractional=False, trim="-")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return rf"{float(mantissa):g}\times10^{{{int(exponent)}}}"


def _percent(value: float) -> str:
    """One decimal for what is large; two digits for what is small."""
    return fixed(value, 1) if abs(value) >= 1.0 or value == 0.0 else f"${_number(value, 2)}$"


def _aligned(values: FloatArray) -> list[str]:
    """Numbers of a column: three digits for the largest, one decimal more for smaller ones."""
    largest = float(np.nanmax(np.abs(values), initial=0.0))

    def text(value: float) -> str:
        if np.isnan(value):
            return "\u2013"
        if value == 0.0:
            return "0"
        if not 1e-3 <= largest < 1e6:
            return f"${_number(value, 3)}$"
        own, common = (2 - int(np.floor(np.log10(abs(size)))) for size in (value, largest))
        return fixed(value, min(max(own, 0), max(common, 0) + 1))

    return [text(float(value)) for value in values]
