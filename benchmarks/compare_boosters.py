"""Training time, prediction time, memory and captured information of `bit` beside other boosters, in one run.

    python benchmarks/compare_boosters.py [--size default wide large] [--repeats 3] [--samples 3] [--cache FOLDER]

Simulated ZH events: "default" 5e5 events of 15 features, "large" 5e6 of 15 (one function), "wide" 5e4 of 40
(25 more: smooth functions, products, noise). One function at a time, then all nine at once ("default" only).
Every program gets the same data and the same settings (`_contenders.py`): 100 trees of depth 4, learning rate
0.2, 255 bins, 50 events per leaf, 2 threads.

After a warm-up of each, the programs take turns in several rounds, each round on the next training sample.
Times are medians over the rounds and include binning; memory is the peak of a fit beyond the caller's arrays, in
a fresh process; rho^2, the squared correlation with the truth, is its mean and standard deviation over the
samples, on other events: heavy tails make single trainings scatter by more than the programs differ.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from _contenders import (
    SINGLE,
    Contender,
    Sample,
    Settings,
    fit_bit,
    fit_bit_separate,
    fit_catboost,
    fit_lightgbm,
    fit_xgboost,
    fit_xgboost_multi,
    memory_bound,
    peak_memory,
    power_of_ten,
    seconds,
    simulated,
    truth_of,
    warm_up,
    widened,
)

import bit
from bit.basis import Term
from bit.metrics import rho2

EVENTS = {"default": 500_000, "wide": 50_000, "large": 5_000_000}
LINEAR = (("cHW",), ("cHWtil",), ("cHq3",))
FUNCTIONS = {
    "default": (*LINEAR, ("cHW", "cHW")),
    "wide": (*LINEAR, ("cHW", "cHW")),
    "large": (("cHW",),),
}
SEPARATE = "bit, nine separate forests"


@dataclass
class Found:
    """Seconds of each fit and prediction, rho^2 of each training sample, bytes at the peak."""

    fit: list[float] = field(default_factory=list)
    predict: list[float] = field(default_factory=list)
    rho2: list[np.ndarray] = field(default_factory=list)
    memory: int = 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=list(EVENTS), default=["default"], help="data sets")
    parser.add_argument("--only", choices=["one", "joint"], help="one function at a time, or all nine at once")
    parser.add_argument("--events", type=int, help="training events instead of those of the size")
    parser.add_argument("--test-events", type=int, default=500_000)
    parser.add_argument("--trees", type=int, default=Settings.trees)
    parser.add_argument("--threads", type=int, default=Settings.threads)
    parser.add_argument("--repeats", type=int, default=3, help="rounds of all programs")
    parser.add_argument("--samples", type=int, help='training samples; default one per round, "large" one')
    parser.add_argument("--cache", type=Path, help="folder where simulated events are kept")
    return parser.parse_args()


def run(
    contenders: Mapping[str, tuple[Contender, Settings]],
    samples: list[bit.EventTable],
    test: bit.EventTable,
    terms: tuple[Term, ...],
    repeats: int,
) -> dict[str, Found]:
    """Train programs in turns and test them."""
    trains = [Sample.of(table, terms) for table in samples]
    truth = truth_of(test, terms)
    found = {name: Found() for name in contenders}
    for i in range(max(repeats, len(trains))):
        for name, (fit, settings) in contenders.items():
            time_fit, fitted = seconds(fit, trains[i % len(trains)], settings=settings)
            time_predict, prediction = seconds(fitted.predict, test.features)
            found[name].fit.append(time_fit)
            found[name].predict.append(time_predict)
            if i < len(trains):
                found[name].rho2.append(rho2(truth, prediction, test.weights[:, 0]))
    for name, memory in peak_memory(contenders, trains[0]).items():
        found[name].memory = memory
    return found


def rows(found: Mapping[str, Found], reference: str, bound: int) -> Iterator[str]:
    """Cells of a table, with times relative to one program in brackets."""
    peer = found[reference]
    for name, one in found.items():
        fit, predict = np.median(one.fit), np.median(one.predict)
        memory = f"{one.memory / 1e6:.0f}" + (f" (bound {bound / 1e6:.0f})" if name.startswith("bit") else "")
        values = np.array(one.rho2)
        digits = 4 if values.shape[1] == 1 else 3
        cells = [
            name,
            f"{fit:.2f} ({fit / np.median(peer.fit):.2f})",
            f"{predict:.3f} ({predict / np.median(peer.predict):.2f})",
            memory,
            *(shown(column, digits) for column in values.T),
        ]
        yield " | ".join(cells) + " |"


def shown(values: np.ndarray, digits: int) -> str:
    spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


def label_of(term: Term) -> str:
    return "·".join(term) if len(set(term)) == len(term) else f"{term[0]}²"


def one_function(size: str, samples: list[bit.EventTable], test: bit.EventTable, repeats: int, each: Settings) -> None:
    contenders = {name: (fit, each) for name, fit in SINGLE.items()}
    n_events, n_features = samples[0].features.shape
    for fit, settings in contenders.values():
        warm_up(fit, Sample.of(samples[0], FUNCTIONS[size][:1]), settings)
    for term in FUNCTIONS[size]:
        found = run(contenders, samples, test, (term,), repeats)
        for cells in rows(found, "LightGBM", memory_bound(Sample.of(samples[0], (term,)))):
            print(f"| {power_of_ten(n_events)} × {n_features} | {label_of(term)} | {cells}", flush=True)


def nine_functions(samples: list[bit.EventTable], test: bit.EventTable, repeats: int, each: Settings) -> None:
    terms = test.basis.terms[1:]
    train = Sample.of(samples[0], terms)
    peers = {
        "XGBoost, multi_output_tree": (fit_xgboost_multi, each),
        "XGBoost, one_output_per_tree": (fit_xgboost, each),
        "LightGBM, one model per function": (fit_lightgbm, each),
        "CatBoost, MultiRMSE": (fit_catboost, each),
    }
    ours = {"bit, joint": (fit_bit, each), SEPARATE: (fit_bit_separate, each)}
    for fit, settings in (*ours.values(), *peers.values()):
        warm_up(fit, train, settings)
    time_joint, time_separate = (seconds(fit, train, settings=each)[0] for fit, _ in ours.values())
    longer = replace(each, trees=max(1, round(each.trees * time_separate / time_joint)))
    equal = f"bit, joint, {longer.trees} trees (time of separate)"
    found = run(ours | {equal: (fit_bit, longer)} | peers, samples, test, terms, repeats)
    names = " | ".join(f"ρ² {label_of(term)}" for term in terms)
    print(f"\n| nine functions at once | fit [s] | predict {power_of_ten(len(test))} [s] | memory [MB] | {names} |")
    print("|---|---|---|---|" + "---|" * len(terms))
    for cells in rows(found, "XGBoost, multi_output_tree", memory_bound(train)):
        print(f"| {cells}", flush=True)
    difference = np.mean(found[equal].rho2, axis=0) - np.mean(found[SEPARATE].rho2, axis=0)
    worst = int(np.argmin(difference))
    ratio = np.median(found[equal].fit) / np.median(found[SEPARATE].fit)
    print(
        f"\nJoint at {ratio:.2f} of the time of separate forests: ρ² differs by {difference.min():+.4f} "
        f"({label_of(terms[worst])}) to {difference.max():+.4f}."
    )


def events_of(size: str, arguments: argparse.Namespace) -> tuple[list[bit.EventTable], bit.EventTable]:
    """Training samples and test events."""
    n_samples = arguments.samples or (1 if size == "large" else arguments.repeats)
    n_events = arguments.events or EVENTS[size]
    samples = [simulated(n_events, 1 + i, arguments.cache) for i in range(n_samples)]
    test = simulated(arguments.test_events, 1000, arguments.cache)
    if size == "wide":
        *samples, test = widened([*samples, test])
    return samples, test


def main() -> None:
    arguments = parse_arguments()
    each = Settings(trees=arguments.trees, threads=arguments.threads)
    tested = power_of_ten(arguments.test_events)
    print(f"{each}\nIn brackets: relative to LightGBM; for nine functions, to XGBoost's multi_output_tree.\n")
    if arguments.only != "joint":
        print(f"| events × features | function | program | fit [s] | predict {tested} [s] | memory [MB] | ρ² |")
        print("|---|---|---|---|---|---|---|")
    nine = None
    for size in arguments.size:
        samples, test = events_of(size, arguments)
        if arguments.only != "joint":
            one_function(size, samples, test, arguments.repeats, each)
        if size == "default":
            nine = samples, test
    if arguments.only != "one" and nine:
        nine_functions(*nine, arguments.repeats, each)


if __name__ == "__main__":
    main()
