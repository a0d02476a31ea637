"""Tables of a comparison: aligned text, and LaTeX."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bit.compare.result import Comparison, Row

_HEAD = ("", "interval", "rel. width", "inf. kept", "training [s]", "evaluation [s]")
_LEGEND = (
    "rel. width: of the interval, relative to that of the true score in as many bins (about 1 is the best possible)",
    "inf. kept: share of the Fisher information at the SM, rate included; bins of the true score lose some, too",
    "training: * once for all coefficients; evaluation: of 10^6 events",
)
_NOTHING = "-"
_LINE = 118


def text_table(comparison: Comparison, n_best: int) -> str:
    """Aligned text; see `Comparison.to_text`.

    Parameters
    ----------
    comparison : Comparison
        What was found.
    n_best : int
        Features, and classic observables, to show for each coefficient.

    Returns
    -------
    str
        One block per coefficient, and the notes.
    """
    settings, events = comparison.settings, comparison.events
    lines = [
        f"expected {100 * settings['cl']:g} % intervals in TeV^-2 ({settings['lumi_fb']:g} fb^-1, "
        f"{settings['order']}, {settings['n_bins']} bins, others {settings['others']})",
        f"trained on {events['train']:.0f} events, bins from {events['edges']:.0f}, measured on {events['test']:.0f}",
    ]
    shown = {param: comparison.shown(param, n_best) for param in comparison.params}
    cells = {row: _text_cells(row, comparison.ratio(row)) for rows, _ in shown.values() for row in rows}
    widths = [max(map(len, column)) for column in zip(_HEAD, *cells.values(), strict=True)]
    for param, (rows, others) in shown.items():
        lines += ["", _aligned((param, *_HEAD[1:]), widths)]
        lines += [_aligned(cells[row], widths) for row in rows]
        lines += _summed_up(others)
    lines += ["", *_LEGEND, *(f"note: {text}" for text in comparison.note_texts())]
    return "\n".join(lines)


def latex_table(comparison: Comparison, n_best: int) -> str:
    """LaTeX; see `Comparison.to_latex`.

    Parameters
    ----------
    comparison : Comparison
        What was found.
    n_best : int
        Features, and classic observables, to show for each coefficient.

    Returns
    -------
    str
        A ``tabular``.
    """
    from bit.plotting import param_label  # here, since it loads matplotlib

    level = f"{100 * comparison.settings['cl']:g}"
    lines = [
        r"\begin{tabular}{llrrrr}",
        r"\toprule",
        rf" & {level}\,\% interval [TeV$^{{-2}}$] & rel.\ width & inf.\ kept & training [s] & evaluation [s] \\",
    ]
    for param in comparison.params:
        label = param_label(param).replace("\N{WHITE SQUARE}", r"\square")
        lines += [r"\midrule", rf"\multicolumn{{6}}{{l}}{{${label}$}} \\"]
        for row in comparison.shown(param, n_best)[0]:
            lines.append(" & ".join(_latex_cells(row, comparison.ratio(row))) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", *(f"% {text}" for text in (*_LEGEND, *comparison.note_texts()))]
    return "\n".join(lines) + "\n"


def title(row: Row) -> str:
    """Label of a row for tables and figures, with the feature that is the best one.

    Parameters
    ----------
    row : Row
        Of a comparison.

    Returns
    -------
    str
        Without units; LaTeX between dollar signs.
    """
    label = re.sub(r" \[[^]]*\]", "", row.label)
    return f"{label} ({row.observable})" if row.kind == "best" else label


def _text_cells(row: Row, ratio: float) -> tuple[str, ...]:
    # Formulas are better read by their names than in the signs that a terminal has.
    name = row.method if row.kind in ("feature", "classic") else re.sub(r"[${}]", "", title(row))
    return (f"  {name}", _interval(row, "{} or {}", "none"), *_numbers(row, ratio, "*"))


def _latex_cells(row: Row, ratio: float) -> tuple[str, ...]:
    interval = _interval(row, "{} or {}", _NOTHING)
    return (escaped(title(row)), f"${interval}$" if row.bounded else "--", *_numbers(row, ratio, r"$^*$"))


def _interval(row: Row, join: str, nothing: str) -> str:
    if not row.bounded:
        return nothing
    digits = max(0, 2 - math.floor(math.log10(row.width))) if row.width > 0 else 3
    return " or ".join(f"[{low:.{digits}f}, {high:.{digits}f}]" for low, high in row.interval.pieces)


def _numbers(row: Row, ratio: float, star: str) -> tuple[str, ...]:
    return (
        f"{ratio:.3f}" if ratio < 99.5 else f"{ratio:.0f}" if math.isfinite(ratio) else _NOTHING,
        _NOTHING if row.information_kept is None else f"{row.information_kept:.3f}",
        _NOTHING if row.training_s is None else f"{row.training_s:.1f}{star if row.joint else ''}",
        _NOTHING if row.evaluation_s is None else f"{row.evaluation_s:.2f}",
    )


def _summed_up(rows: Sequence[Row]) -> Iterator[str]:
    """One line of names for each kind of rows that are not shown."""
    wider = [row.method for row in rows if row.bounded]
    unbounded = [row.method for row in rows if not row.bounded]
    for what, names in (("wider", wider), ("none", unbounded)):
        text = f"  {what}: {', '.join(names)}"
        if names:
            yield text if len(text) <= _LINE else f"{text[: text.rindex(',', 0, _LINE - 5)]}, ..."


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, second, *numbers = (
        cell.ljust(width) if k < 2 else cell.rjust(width)
        for k, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join((first, second, *numbers)).rstrip()


def escaped(label: str) -> str:
    """Escape what is special in LaTeX outside of dollar signs.

    Parameters
    ----------
    label : str
        Text with formulas between dollar signs.

    Returns
    -------
    str
        LaTeX.
    """
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    # Parts at odd places are formulas.
    return "".join(
        part if k % 2 else re.sub(r"[\\~^&%$#_{}]", lambda found: special.get(found[0], "\\" + found[0]), part)
        for k, part in enumerate(re.split(r"(\$[^$]+\$)", label))
    )
