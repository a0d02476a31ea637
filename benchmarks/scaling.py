"""How the fit time of `bit` grows with events, threads and functions, beside LightGBM and XGBoost in the same run.

    python benchmarks/scaling.py [--largest 1e7] [--all] [--plot scaling.png] [--cache FOLDER]

Events and threads: one function, 15 features; the events are drawn with replacement from simulated ZH events and
smeared, so that ten millions are made in seconds. Functions: 1, 3, 9, 27, 54 at once on simulated events, as
those of 1 or 3 coefficients (linear), 3, 6, 9 (quadratic); the 6 and 9 are coefficients theta' of random linear
maps theta = A theta' to the three of the simulation, which make the weights exact. XGBoost's multi_output_tree
learns up to 9 functions, and more with --all, as it is slow. Settings are those of `_contenders.py`; the programs
take turns; times are medians.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from _contenders import (
    Contender,
    Fitted,
    Sample,
    Settings,
    fit_bit,
    fit_lightgbm,
    fit_xgboost,
    fit_xgboost_multi,
    median_seconds,
    power_of_ten,
    resampled,
    restricted,
    simulated,
    truth_of,
    warm_up,
)

import bit
from bit.metrics import rho2
from bit.plotting import panels, save, style
from bit.plotting.style import COLOURS, GREY

EVENT_COUNTS = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
THREADS_AT = (1_000_000, 3_000_000)
COEFFICIENTS = {1: (1, 1), 3: (3, 1), 9: (3, 2), 27: (6, 2), 54: (9, 2)}  # functions: (coefficients, order)
PEERS_UP_TO = 9
COLOUR = dict(zip(("bit", "LightGBM", "XGBoost"), COLOURS, strict=False))
Curves = dict[str, dict[int, float]]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=float, default=1e6, help="largest number of events, up to 1e7")
    parser.add_argument("--events", type=int, default=500_000, help="events for functions, fewest for threads")
    parser.add_argument("--trees", type=int, default=Settings.trees)
    parser.add_argument("--threads", type=int, default=Settings.threads)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="XGBoost with 27 and 54 functions, too")
    parser.add_argument("--plot", type=Path, help="file of the figure")
    parser.add_argument("--cache", type=Path, help="folder where simulated events are kept")
    return parser.parse_args()


def fit_seconds(
    contenders: dict[str, Contender], sample: Sample, settings: Settings, repeats: int
) -> tuple[dict[str, float], dict[str, Fitted]]:
    """Median times of the fits, and the last of each."""
    fitted: dict[str, Fitted] = {}

    def train(name: str) -> None:
        fitted[name] = contenders[name](sample, settings=settings)

    for fit in contenders.values():
        warm_up(fit, sample, settings)
    return median_seconds({name: partial(train, name) for name in contenders}, repeats), fitted


def against_events(table: bit.EventTable, largest: float, settings: Settings, repeats: int) -> Curves:
    contenders = {"bit": fit_bit, "LightGBM": fit_lightgbm}
    curves: Curves = {name: {} for name in contenders}
    small = restricted(table, ["cHW"])
    print("| events | bit [s] | LightGBM [s] | LightGBM / bit | bit [ns per event and tree] |")
    print("|---|---|---|---|---|")
    for n_events in (n for n in EVENT_COUNTS if n <= largest):
        sample = Sample.of(resampled(small, n_events), [("cHW",)])
        found, _ = fit_seconds(contenders, sample, settings, repeats)
        for name, time in found.items():
            curves[name][n_events] = time
        cells = (
            f"{found['bit']:.3g} | {found['LightGBM']:.3g} | {found['LightGBM'] / found['bit']:.2f}",
            f"{found['bit'] / n_events / settings.trees * 1e9:.1f}",
        )
        print(f"| {power_of_ten(n_events)} | {' | '.join(cells)} |", flush=True)
    return curves


def against_threads(table: bit.EventTable, event_counts: Sequence[int], settings: Settings, repeats: int) -> None:
    print("\n| events | program | 1 thread [s] | 2 threads [s] | ratio |")
    print("|---|---|---|---|---|")
    for n_events in event_counts:
        sample = Sample.of(resampled(restricted(table, ["cHW"]), n_events), [("cHW",)])
        calls = {
            (name, threads): partial(fit, sample, settings=replace(settings, threads=threads))
            for name, fit in (("bit", fit_bit), ("LightGBM", fit_lightgbm))
            for threads in (1, 2)
        }
        found = median_seconds(calls, repeats)
        for name in ("bit", "LightGBM"):
            one, two = found[name, 1], found[name, 2]
            row = f"{power_of_ten(n_events)} | {name} | {one:.3g} | {two:.3g} | {one / two:.2f}"
            print(f"| {row} |", flush=True)


def mapped(table: bit.EventTable, n_params: int, order: int) -> bit.EventTable:
    """The same events with the polynomial in theta', where theta = A theta' and A has a column for each theta'."""
    n_physical, nominal = table.basis.n_params, table.weights[:, 0]
    linear = truth_of(table, table.basis.terms[1 : 1 + n_physical])
    scale = np.diag(1.0 / np.sqrt(np.average(linear**2, axis=0, weights=nominal)))  # all coefficients alike
    random = np.random.default_rng(n_params).normal(size=(n_physical, n_params))
    matrix = scale @ random if n_params > n_physical else scale[:, :n_params]
    pairs = [tuple(sorted((a, b))) for a in range(n_physical) for b in range(n_physical)]
    names = table.basis.param_names
    second = [table.basis.index((names[a], names[b])) for a, b in pairs]
    basis = bit.PolynomialBasis([f"c{i}" for i in range(n_params)], order=order)
    weights = np.empty((len(table), basis.n_terms))
    weights[:, 0] = nominal
    weights[:, 1 : 1 + n_params] = table.weights[:, 1 : 1 + n_physical] @ matrix
    for column in range(1 + n_params, basis.n_terms):
        a, b = (basis.param_names.index(name) for name in basis.terms[column])
        weights[:, column] = table.weights[:, second] @ np.outer(matrix[:, a], matrix[:, b]).ravel()
    return bit.EventTable(table.features, weights, basis, feature_names=table.feature_names)


def against_functions(
    train: bit.EventTable, test: bit.EventTable, settings: Settings, repeats: int, peers_up_to: int
) -> Curves:
    curves: Curves = {"bit": {}, "XGBoost": {}}
    print(f"\n| functions, {power_of_ten(len(train))} events | program | fit [s] | mean ρ² | smallest ρ² |")
    print("|---|---|---|---|---|")
    for n_functions, (n_params, order) in COEFFICIENTS.items():
        tables = [mapped(table, n_params, order) for table in (train, test)]
        terms = tables[0].basis.terms[1:]
        sample, truth = Sample.of(tables[0], terms), truth_of(tables[1], terms)
        peer = {"XGBoost": fit_xgboost if n_functions == 1 else fit_xgboost_multi}
        contenders = {"bit": fit_bit} | (peer if n_functions <= peers_up_to else {})
        found, fitted = fit_seconds(contenders, sample, settings, repeats)
        for name, time in found.items():
            curves[name][n_functions] = time
            values = rho2(truth, fitted[name].predict(test.features), test.weights[:, 0])
            print(f"| {n_functions} | {name} | {time:.3g} | {values.mean():.3f} | {values.min():.3f} |", flush=True)
    return curves


def draw(path: Path, events: Curves, functions: Curves, settings: Settings) -> None:
    fig, axes = panels(2, 2, height_ratios=(3, 1), share_x=True)
    with style():
        draw_column(axes[:, 0], events, "events", anchor=-1)
        draw_column(axes[:, 1], functions, "functions learned at once", anchor=0)
        axes[1, 1].set_xticks(list(COEFFICIENTS), labels=[str(n) for n in COEFFICIENTS])
        axes[1, 1].set_xticks([], minor=True)
        axes[0, 0].set_ylabel(f"time of {settings.trees} trees [s]")
        axes[1, 0].set_ylabel("ratio to bit")
    save(fig, path)


def draw_column(axes: np.ndarray, curves: Curves, xlabel: str, anchor: int) -> None:
    """Times above and their ratios below, with a line in proportion to x through one of our points."""
    upper, lower = axes
    ours = curves["bit"]
    for (name, curve), marker in zip(curves.items(), "os", strict=True):
        upper.loglog(list(curve), list(curve.values()), marker=marker, label=name, color=COLOUR[name])
        lower.semilogx(list(curve), [curve[x] / ours[x] for x in curve], marker=marker, color=COLOUR[name])
    through = list(ours)[anchor]
    line = [ours[through] * x / through for x in ours]
    upper.loglog(list(ours), line, color=GREY, linestyle=":", linewidth=1.5, label="proportional")
    upper.legend()
    lower.set(xlabel=xlabel, ylim=(0, 1.1 * lower.dataLim.ymax))


def main() -> None:
    arguments = parse_arguments()
    settings = Settings(trees=arguments.trees, threads=arguments.threads)
    train = simulated(arguments.events, 1, arguments.cache)
    test = simulated(arguments.events, 1000, arguments.cache)
    print(f"{settings}\n")
    events = against_events(train, arguments.largest, settings, arguments.repeats)
    counts = [arguments.events, *(n for n in THREADS_AT if arguments.events < n <= arguments.largest)]
    against_threads(train, counts, settings, arguments.repeats)
    peers_up_to = max(COEFFICIENTS) if arguments.all else PEERS_UP_TO
    functions = against_functions(train, test, settings, arguments.repeats, peers_up_to)
    if arguments.plot:
        draw(arguments.plot, events, functions, settings)


if __name__ == "__main__":
    main()
