"""What exact CP symmetry gains for a CP-odd coefficient, at equal events.

    python benchmarks/parity.py [--events 50000 500000] [--vbf-events 20000 200000] [--trees 100]

cHWtil in simulated ZH and VBF events: one forest trained as it is, on the events together with their CP images, and
with `cp_parity`; depth 4, 20 events per leaf. Prints rho^2 on other events, and the half width of the expected 95 %
interval of cHWtil (linear term, 300 fb^-1, 20 bins) relative to that of the true score in as many bins.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import bit
from bit.inference import choose_edges, fill, limits
from bit.metrics import rho2
from bit.processes import vbf, zh


def half_width(observable: Any, for_bins: bit.EventTable, test: bit.EventTable) -> float:
    template = fill(test, observable, choose_edges(for_bins, observable, 20), lumi_fb=300)
    interval = limits(template, order="linear", params=["cHWtil"])["cHWtil"]
    return (interval.upper - interval.lower) / 2


def compare(name: str, sizes: list[int], train: bit.EventTable, test: bit.EventTable, parity: Any, trees: int) -> None:
    for_bins, last = test.split([0.3, 0.7], seed=1)
    truth = test.joint_ratio()[:, test.basis.index("cHWtil") - 1]
    best = half_width(bit.TrueScore("cHWtil"), for_bins, last)
    for n in sizes:
        part = train.take(np.arange(n))
        ways = {
            "as it is": (part, None),
            "with images": (part.with_cp_mirror(parity), None),
            "cp_parity": (part, parity),
        }
        for way, (table, cp_parity) in ways.items():
            model = bit.BIT(trees, terms=["cHWtil"], min_samples_leaf=20, cp_parity=cp_parity).fit(table)
            captured = rho2(truth, model.predict(test)[:, 0], test.weights[:, 0])
            width = half_width(model.observable("cHWtil"), for_bins, last) / best
            print(f"| {name} | {n:.0e} | {way} | {captured:.4f} | {width:.3f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[50_000, 500_000])
    parser.add_argument("--vbf-events", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--trees", type=int, default=100)
    arguments = parser.parse_args()
    print("| process | events | training | rho2 of cHWtil | interval / true score's |")
    print("|---|---|---|---|---|")
    tables = [zh.simulate(n, seed=seed).table for n, seed in ((max(arguments.events), 1), (500_000, 2))]
    compare("ZH", arguments.events, *tables, zh.CP_PARITY, arguments.trees)
    # pT_j / m_H repeats pT_j.
    names = [name for name in vbf.FEATURE_NAMES if name not in ("x1", "x2")]
    tables = []
    for n, seed in ((max(arguments.vbf_events), 1), (200_000, 2)):
        events = vbf.simulate(n, seed=seed, cuts="P").table
        columns = [events.feature_names.index(name) for name in names]
        tables.append(bit.EventTable(events.features[:, columns], events.weights, events.basis, feature_names=names))
    compare("VBF", arguments.vbf_events, *tables, vbf.CP_PARITY, arguments.trees)


if __name__ == "__main__":
    main()
