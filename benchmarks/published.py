"""Numbers of papers beside ours: formulas fitted to simulated events, rates, asymmetries and limits.

    python benchmarks/published.py [--events 200000] [--seed 1] [--sections WORD ...]

"Published" is the number of the paper in the heading; papers with a detector or a shower are comparable where ratios
are. "Reference" is an independent leading-order calculation with the same parton densities, on 2e5 events of weight 1.

Mean squared errors (MSE) have heavy tails: those of 5e5 events of weight 1, as arXiv:2109.10414 has, scatter by the
last column, and ours, on events with importance weights, by the one before it. Errors of limits are jackknife errors.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial

from papers import h4l, vbf, wz, zh, zh_undecayed
from papers.rows import Row

Section = Callable[[int, int], Iterator[Row]]
SECTIONS: dict[str, Section] = {
    "arXiv:2109.10414, Table 2 (ZH, Z exchange, fB = 0)": zh_undecayed.table_2,
    "arXiv:2109.10414, Table 3 (ZH, Z exchange, fB = 0)": zh_undecayed.table_3,
    "arXiv:2109.10414, Table 4 (ZH, Z exchange, fB = 10)": zh_undecayed.table_4,
    "arXiv:2109.10414, Table 5 (ZH, Z and photon, fB = 10)": zh_undecayed.table_5,
    "arXiv:2109.10414, Table 5 (ZH), pT < 1 TeV": partial(zh_undecayed.table_5, cuts=zh_undecayed.WITHIN_FIGURES),
    "arXiv:2109.10414, Table 6 (ZH, both flavours, fB = 0)": zh_undecayed.table_6,
    "arXiv:2109.10414, Table 7 (ZH, both flavours, fB = 10)": zh_undecayed.table_7,
    "arXiv:2109.10414, Table 7 (ZH), pT < 1 TeV": partial(zh_undecayed.table_7, cuts=zh_undecayed.WITHIN_FIGURES),
    "arXiv:2109.10414, Table 8 (VBF, f = 0)": vbf.table_8,
    "arXiv:2109.10414, Table 9 (VBF, f = 1)": vbf.table_9,
    "arXiv:2109.10414, Tables 10 and 11 (VBF, f = 0, full detector; ours: smeared jets)": vbf.smeared,
    "arXiv:2109.10414, Table 11 (VBF, reach with a detector; ours: partons, 100 events)": vbf.table_11,
    "arXiv:2112.05052, Table II (VBF, cuts for H -> tau tau)": vbf.table_ii,
    "VBF without cuts": vbf.totals,
    "arXiv:2112.05052, Table I (h -> 4l, limits at 95 %)": h4l.table_i,
    "h -> 4l, asymmetries A = <t sign(Phi)> within the acceptance": h4l.asymmetries,
    "h -> 4l, widths": h4l.widths,
    "pp -> ZH -> llH": zh.rates,
    "pp -> WZ -> l nu l l": wz.moments,
}
"""Headings, and functions of the number of events and the seed."""


def chosen(words: list[str] | None) -> dict[str, Section]:
    """Sections with one of the words in the heading, or all."""
    if words is None:
        return SECTIONS
    unknown = [word for word in words if not any(word.lower() in heading.lower() for heading in SECTIONS)]
    if unknown:
        raise SystemExit(f"no section with {unknown[0]!r} in its heading; there are:\n  " + "\n  ".join(SECTIONS))
    return {
        heading: rows for heading, rows in SECTIONS.items() if any(word.lower() in heading.lower() for word in words)
    }


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}" if abs(value) >= 0.01 else f"{value:.2e}"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sections", nargs="+", metavar="WORD", help="sections with one of these in the heading")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    for heading, rows in chosen(arguments.sections).items():
        print(f"\n**{heading}**\n\n| quantity | published | reference | ours | error | scatter of the published |")
        print("|---|---|---|---|---|---|", flush=True)
        for row in rows(arguments.events, arguments.seed):
            cells = (row.published, row.reference, row.ours, row.error, row.scatter)
            print(f"| {row.quantity} | " + " | ".join(number(cell) for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
