"""Seconds, effective number of events and cross-section of the simulators.

    python benchmarks/simulation.py [--events 200000]

One thread; the time includes the adaptation of vegas and the loading of the parton densities.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from bit.processes.registry import PROCESSES
from bit.processes.simulation import Simulation

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "ZH": ("zh", {}),
    "ZH, p_T > 200 GeV": ("zh", {"cuts": "pt>200"}),
    "ZH, stable Z, f_B": ("zh_undecayed", {}),
    "VBF, ud, WW": ("vbf", {"cuts": "P"}),
    "VBF, ud, WW, f_WWtil = 1": ("vbf", {"cuts": "P", "theta0": {"cHWtil": -1.0}}),
    "VBF, all flavours, WW": ("vbf", {"cuts": "T", "quarks": "all"}),
    "VBF, all flavours, neutral bosons": ("vbf", {"cuts": "T", "quarks": "all", "fusion": "neutral"}),
    "VBF, ud, WW, smeared": ("vbf", {"cuts": "P", "smear": True}),
    "h → 2e2μ": ("h4l", {}),
    "h → 4e": ("h4l", {"channel": "4e"}),
    "h → 2e2μ, accepted": ("h4l", {"frame": "lab", "acceptance": True, "cuts": "higgs"}),
    "WZ": ("wz", {}),
    "WZ, p_T > 300 GeV": ("wz", {"cuts": "pt>300"}),
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    return parser.parse_args()


def row(simulate: Callable[..., Simulation], n_events: int, options: dict[str, Any]) -> str:
    start = time.perf_counter()
    result = simulate(n_events, seed=1, show_progress=False, **options)
    seconds = time.perf_counter() - start
    share = result.table.n_eff / n_events
    return f"{seconds:.1f} | {share:.3f} | {result.sigma_fb:.5g} ± {result.sigma_error_fb:.1g}"


def main() -> None:
    arguments = parse_arguments()
    print(f"| {arguments.events} events | time [s] | n_eff/n | σ [fb] |\n|---|---|---|---|")
    for label, (process, options) in CASES.items():
        print(f"| {label} | {row(PROCESSES[process].simulate, arguments.events, options)} |", flush=True)


if __name__ == "__main__":
    main()
