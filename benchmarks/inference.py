"""What learned observables of simulated ZH events can say, beside the true ones: power, contours, and background.

    python benchmarks/inference.py [--events 500000] [--trees 100] [--toys 2000] [--parts power contours background]
                                   [--cache FOLDER]

All numbers are expected ones at `LUMI`, from events that no training has seen. Power: the size is 5 %, the truth the
SM, by the Gaussian estimate and, with --toys, by experiments; at points where the unbinned test with the true ratio has
power 0.3, 0.5 and 0.8. Contours: regions at 95 % of the unbinned likelihood; the half-axes of the ellipse with the same
second moments as the region, and its extent along both coefficients. Background: a toy of ten times the cross-section
of ZH; half the expected 95 % interval of each coefficient, the others 0, from 20 bins of the linear function of the
largest information, chosen on other events, for trees trained without and with the background and for the true
functions. Errors come from the scatter over ten parts of the events. Last the intervals of the unbinned likelihood,
which has no templates to correct the learned ratio: trees with small leaves would be wrong where background events are
few, so that those trained on the mixture have larger ones.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from _contenders import simulated
from scipy.interpolate import RectBivariateSpline
from scipy.optimize import brentq

import bit
from bit.basis import FloatArray
from bit.events import EventTable
from bit.inference import (
    Channel,
    ContourResult,
    Interval,
    Model,
    UnbinnedLikelihood,
    contour,
    fill,
    limits,
    optimal_edges,
    power,
)
from bit.inference.results import Order
from bit.processes import zh
from bit.processes.zh_background import background_density

LUMI = 300.0  # fb^-1
SIZE = 0.05
POWERS = (0.3, 0.5, 0.8)
PAIRS = (("cHW", "cHWtil"), ("cHW", "cHq3"))
N_BINS, N_PARTS = 20, 10
EDGES_SHARE = 0.2
# A leaf of 20 energetic events has no background event, each of which is worth ten of ZH: it learns that there is none.
MIXTURE_LEAF = 2000
WITHOUT, WITH = "trained without background", "trained with background"
TRUE_SIGNAL, TRUE = "true score of ZH", "true score of the mixture"
BINNED = (WITHOUT, WITH, TRUE_SIGNAL, TRUE)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000, help="of each process, to train on; half as many test")
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--toys", type=int, default=0, help="experiments per hypothesis beside the Gaussian power")
    parser.add_argument("--cache", type=Path, help="folder where simulated events are kept")
    every = ("power", "contours", "background")
    parser.add_argument("--parts", nargs="+", choices=every, default=every)
    return parser.parse_args()


def trained(table: EventTable, trees: int, leaf_events: int, what: str) -> bit.BIT:
    start = time.perf_counter()
    model = bit.BIT(
        trees,
        learning_rate=0.15,
        max_depth=None,
        max_leaf_nodes=64,
        min_samples_leaf=leaf_events,
        leaf="linear",
        cp_parity=zh.CP_PARITY,
    ).fit(table)
    print(f"{trees} trees on {table.n_events} events {what}: {time.perf_counter() - start:.0f} s\n", flush=True)
    return model


# ---------------------------------------------------------------------- power
def show_power(test: EventTable, learned: FloatArray, n_toys: int) -> None:
    truth = test.joint_ratio()
    ways: dict[str, dict[str, Any]] = {
        "unbinned": {},
        "5 optimal bins": {"n_bins": 5, "binning": "optimal"},
        "5 equal bins": {"n_bins": 5},
    }
    methods: list[tuple[str, dict[str, Any]]] = [("gaussian", {})] + (
        [("toys", {"method": "toys", "n_toys": n_toys})] if n_toys else []
    )
    print("| point | method | " + " | ".join(f"{way}, {kind}" for way in ways for kind in ("true", "learned")) + " |")
    print("|---|---|" + "---|" * 2 * len(ways))
    for name in test.basis.param_names:
        for wanted in POWERS:
            theta = {name: point_of_power(test, truth, name, wanted)}
            for method, options in methods:
                cells = [
                    power(test, theta, lumi_fb=LUMI, ratios=ratios, alpha=SIZE, **options, **way)
                    for way in ways.values()
                    for ratios in (truth, learned)
                ]
                best = cells[0].power
                texts = [f"{cell.power:.3f} ({100 * (cell.power / best - 1):+.1f} %)" for cell in cells]
                print(f"| {name} = {theta[name]:.4f} | {method} | {' | '.join(texts)} |", flush=True)
    print()


def point_of_power(test: EventTable, truth: FloatArray, name: str, wanted: float) -> float:
    def missing(value: float) -> float:
        return power(test, {name: value}, lumi_fb=LUMI, ratios=truth, alpha=SIZE).power - wanted

    high = 0.01
    while missing(high) < 0:
        high *= 2.0
    return float(brentq(missing, 1e-4, high, xtol=1e-5))


# ---------------------------------------------------------------------- contours
def show_contours(test: EventTable, learned: FloatArray) -> None:
    print("| pair | | true | learned | learned/true |")
    print("|---|---|---|---|---|")
    for pair in PAIRS:
        sizes = [
            sizes_of(contour(UnbinnedLikelihood.asimov(test, ratios, lumi_fb=LUMI), pair, cls=[0.95], n_points=31))
            for ratios in (test.joint_ratio(), learned)
        ]
        for what, true in sizes[0].items():
            found = sizes[1][what]
            print(f"| {pair[0]}, {pair[1]} | {what} | {true:.5f} | {found:.5f} | {found / true:.4f} |", flush=True)
    print()


def sizes_of(result: ContourResult, n_fine: int = 1001) -> dict[str, float]:
    """Half-axes and half-extents of the region in TeV^-2, on a grid refined by splines."""
    x, y = (np.linspace(points[0], points[-1], n_fine) for points in (result.x, result.y))
    inside = RectBivariateSpline(result.y, result.x, result.twice_nll)(y, x) <= result.levels[0]
    rows, columns = np.nonzero(inside)
    # A full ellipse has a quarter of its squared half-axes as second moments.
    long, short = 2.0 * np.sqrt(np.linalg.eigvalsh(np.cov(x[columns], y[rows]))[::-1])
    return {
        "long half-axis": float(long),
        "short half-axis": float(short),
        f"half-extent in {result.names[0]}": float(np.ptp(x[columns])) / 2.0,
        f"half-extent in {result.names[1]}": float(np.ptp(y[rows])) / 2.0,
    }


# ---------------------------------------------------------------------- background
def mixture_ratios(table: EventTable, sigma_background: float) -> FloatArray:
    """True R_k of signal and background together: the signal's, times its share of the density."""
    parts = []
    for rows in np.array_split(np.arange(table.n_events), max(1, table.n_events // 50_000)):
        names = ("sqrt_s", "y", "cos_theta", "cos_theta_l", "phi")
        x = {name: table.column(name)[rows].astype(np.float64) for name in names}
        signal = zh.ZH().differential_weights(**x).sum(axis=0)
        background = sigma_background * background_density(x["sqrt_s"], x["y"], x["cos_theta_l"])
        parts.append((signal[1:] / (signal[0] + background)).T)
    return np.concatenate(parts)


@dataclass(frozen=True)
class Mixture:
    """Signal and background events, and by the name of an observable its R_k for both."""

    signal: EventTable
    background: EventTable
    columns: dict[str, tuple[FloatArray, FloatArray]]

    @property
    def table(self) -> EventTable:
        """All events."""
        return self.signal.concat(self.background)

    def ratios(self, kind: str) -> FloatArray:
        """R_k of all events, in the order of `table`."""
        return np.concatenate(self.columns[kind])

    def take(self, start: float, stop: float) -> Mixture:
        """Part of the events of both, scaled to the full cross-sections."""
        tables = (self.signal, self.background)
        rows = [slice(int(start * table.n_events), int(stop * table.n_events)) for table in tables]
        parts = [table.take(part).normalised_to(table.sigma_fb) for table, part in zip(tables, rows, strict=True)]
        columns = {kind: (pair[0][rows[0]].copy(), pair[1][rows[1]].copy()) for kind, pair in self.columns.items()}
        return Mixture(parts[0], parts[1], columns)


def show_background(mixture: Mixture) -> None:
    names = mixture.signal.basis.param_names
    chosen, rest = mixture.take(0.0, EDGES_SHARE), mixture.take(EDGES_SHARE, 1.0)
    edges = {(kind, name): edges_of(chosen, kind, name) for kind in BINNED for name in names}
    parts = [rest.take(k / N_PARTS, (k + 1) / N_PARTS) for k in range(N_PARTS)]
    print("| coefficient | order | " + " | ".join(BINNED) + " | without/with |")
    print("|---|---|" + "---|" * (len(BINNED) + 1))
    for name in names:
        for order in get_args(Order):
            full = {kind: half_width(rest, kind, name, edges[kind, name], order) for kind in BINNED}
            gains = [
                half_width(part, WITHOUT, name, edges[WITHOUT, name], order)
                / half_width(part, WITH, name, edges[WITH, name], order)
                for part in parts
            ]
            error = np.std(gains, ddof=1) / np.sqrt(N_PARTS)
            cells = " | ".join(f"{value:.4f}" for value in full.values())
            print(f"| {name} | {order} | {cells} | {full[WITHOUT] / full[WITH]:.3f} ± {error:.3f} |", flush=True)
    print("\n| unbinned, quadratic | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for kind in (WITH, TRUE):
        found = limits(UnbinnedLikelihood.asimov(rest.table, rest.ratios(kind), lumi_fb=LUMI))
        cells = " | ".join(f"[{found[name].lower:.4f}, {found[name].upper:.4f}]" for name in names)
        print(f"| {kind} | {cells} |", flush=True)
    print()


def edges_of(mixture: Mixture, kind: str, name: str) -> FloatArray:
    column = mixture.ratios(kind)[:, mixture.signal.basis.index(name) - 1]
    return optimal_edges(mixture.table, lambda _: column, N_BINS, objective=name)


def half_width(mixture: Mixture, kind: str, name: str, edges: FloatArray, order: Order) -> float:
    """Half the length of the expected 95 % interval, from bins of the linear function of the coefficient."""
    k = mixture.signal.basis.index(name) - 1
    tables = {"zh": mixture.signal, "background": mixture.background}
    samples = [
        fill(table, lambda _, values=values: values[:, k], edges, LUMI, process=process)
        for (process, table), values in zip(tables.items(), mixture.columns[kind], strict=True)
    ]
    return half_length(limits(Model([Channel("ll", samples)]), params=[name], order=order)[name])


def half_length(interval: Interval) -> float:
    return sum(high - low for low, high in interval.pieces) / 2.0


def main() -> None:
    arguments = parse_arguments()
    n, cache = arguments.events, arguments.cache
    start = time.perf_counter()
    train, test = simulated(n, 1, cache), simulated(n // 2, 100, cache)
    without = trained(train, arguments.trees, 20, "of ZH")
    learned = without.predict(test)
    if "power" in arguments.parts:
        show_power(test, learned, arguments.toys)
    if "contours" in arguments.parts:
        show_contours(test, learned)
    if "background" in arguments.parts:
        more = simulated(n, 2, cache, "zh_background")
        other = simulated(n // 2, 200, cache, "zh_background")
        both = trained(train.concat(more), arguments.trees, MIXTURE_LEAF, "of ZH and background")
        show_background(
            Mixture(
                test,
                other,
                {
                    WITHOUT: (learned, without.predict(other)),
                    WITH: (both.predict(test), both.predict(other)),
                    TRUE_SIGNAL: (mixture_ratios(test, 0.0), mixture_ratios(other, 0.0)),
                    TRUE: (mixture_ratios(test, other.sigma_fb), mixture_ratios(other, other.sigma_fb)),
                },
            )
        )
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
