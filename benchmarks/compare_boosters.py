"""Training time and captured information of `bit` beside LightGBM and XGBoost, in one run on the same events.

    python benchmarks/compare_boosters.py [--events 500000] [--trees 100] [--repeats 3]

Simulated ZH events with 15 features; one coefficient at a time, then all nine functions at once. Every
program gets 100 trees of depth 4, learning rate 0.2, 255 bins, 50 events per leaf, 2 threads, and its weights
scaled to mean 1 without a floor on their sum in a leaf (an absolute floor would cut the tails). Times are
medians of interleaved repeats after a warm-up and include binning; rho^2 is that of 500 000 other events.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import xgboost

import bit
from bit.metrics import rho2
from bit.processes import zh

THREADS = 2


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def fit_bit(table: bit.EventTable, terms: Any, trees: int) -> Callable[[bit.EventTable], np.ndarray]:
    model = bit.BIT(n_estimators=trees, terms=terms, n_jobs=THREADS).fit(table)
    return model.predict


def fit_lightgbm(table: bit.EventTable, column: int, trees: int) -> Callable[[bit.EventTable], np.ndarray]:
    nominal = table.weights[:, 0]
    settings = {"max_bin": 255, "num_threads": THREADS, "verbose": -1}
    data = lightgbm.Dataset(
        table.features, table.weights[:, column] / nominal, nominal / nominal.mean(), params=settings
    )
    settings |= {
        "objective": "regression",
        "learning_rate": 0.2,
        "max_depth": 4,
        "num_leaves": 16,
        "min_child_samples": 50,
        "min_sum_hessian_in_leaf": 0.0,
    }
    booster = lightgbm.train(settings, data, trees)
    return lambda events: booster.predict(events.features, num_threads=THREADS)[:, np.newaxis]


def fit_xgboost(
    table: bit.EventTable, columns: list[int], trees: int, scale: np.ndarray | float = 1.0
) -> Callable[[bit.EventTable], np.ndarray]:
    nominal = table.weights[:, 0]
    model = xgboost.XGBRegressor(
        n_estimators=trees,
        max_depth=4,
        learning_rate=0.2,
        max_bin=255,
        reg_lambda=0.0,
        min_child_weight=0.0,
        tree_method="hist",
        multi_strategy="multi_output_tree" if len(columns) > 1 else "one_output_per_tree",
        n_jobs=THREADS,
    )
    model.fit(table.features, table.weights[:, columns] / nominal[:, np.newaxis] / scale, nominal / nominal.mean())
    return lambda events: model.predict(events.features).reshape(events.n_events, -1)


def compare(contenders: dict[str, Callable[[], Any]], repeats: int) -> dict[str, tuple[float, Any]]:
    """Median time of each contender, taken in turns, and its last model."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    models = {}
    for _ in range(repeats):
        for name, fit in contenders.items():
            start = time.perf_counter()
            models[name] = fit()
            times[name].append(time.perf_counter() - start)
    return {name: (statistics.median(times[name]), models[name]) for name in contenders}


def quality(predict: Callable[..., np.ndarray], test: bit.EventTable, columns: list[int]) -> np.ndarray:
    truth = test.weights[:, columns] / test.weights[:, :1]
    return np.array([rho2(t, p, test.weights[:, 0]) for t, p in zip(truth.T, predict(test).T, strict=True)])


def main() -> None:
    arguments = parse_arguments()
    train = zh.simulate(arguments.events, seed=1).table
    test = zh.simulate(500_000, seed=2).table
    small = train.take(slice(0, 2000))
    trees = arguments.trees
    names = ["*".join(term) for term in train.basis.terms]
    for terms in (None, ["cHW"]):  # compile both shapes of histograms before anything is timed
        fit_bit(small, terms, 2)

    print(
        f"\n{train.n_events} events x {train.features.shape[1]} features, {trees} trees of depth 4, {THREADS} threads\n"
    )
    print(
        "| function | bit [s] | LightGBM [s] | XGBoost [s] | bit/LightGBM | rho2 bit | rho2 LightGBM | rho2 XGBoost |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in ("cHW", "cHWtil", "cHq3"):
        column = train.basis.index(name)
        found = compare(
            {
                "bit": lambda name=name: fit_bit(train, [name], trees),
                "lightgbm": lambda column=column: fit_lightgbm(train, column, trees),
                "xgboost": lambda column=column: fit_xgboost(train, [column], trees),
            },
            arguments.repeats,
        )
        seconds = [found[key][0] for key in ("bit", "lightgbm", "xgboost")]
        values = [float(quality(found[key][1], test, [column])[0]) for key in ("bit", "lightgbm", "xgboost")]
        print(
            f"| {name} | " + " | ".join(f"{value:.2f}" for value in seconds)
            + f" | {seconds[0] / seconds[1]:.2f} | " + " | ".join(f"{value:.4f}" for value in values) + " |",
            flush=True,
        )  # fmt: skip

    columns = list(range(1, train.basis.n_terms))
    rms = np.sqrt(np.average(train.joint_ratio() ** 2, axis=0, weights=train.weights[:, 0]))
    separate_time, separate = 0.0, []
    for column in columns:
        start = time.perf_counter()
        predict = fit_bit(train, [train.basis.terms[column]], trees)
        separate_time += time.perf_counter() - start
        separate.append(float(quality(predict, test, [column])[0]))
    found = compare(
        {
            "joint": lambda: fit_bit(train, None, trees),
            "xgboost": lambda: fit_xgboost(train, columns, trees, rms),
        },
        arguments.repeats,
    )
    equal = max(1, round(trees * separate_time / found["joint"][0]))
    start = time.perf_counter()
    long = fit_bit(train, None, equal)
    long_time = time.perf_counter() - start
    rows = {
        f"bit, nine separate forests of {trees} trees": (separate_time, np.array(separate)),
        f"bit, joint, {trees} trees": (found["joint"][0], quality(found["joint"][1], test, columns)),
        f"bit, joint, {equal} trees (equal time)": (long_time, quality(long, test, columns)),
        f"XGBoost multi_output_tree, targets / rms, {trees} trees": (
            found["xgboost"][0],
            quality(found["xgboost"][1], test, columns),
        ),
    }
    print("\n| nine functions | fit [s] | " + " | ".join(names[1:]) + " |")
    print("|---|---|" + "---|" * len(columns))
    for label, (seconds, values) in rows.items():
        print(f"| {label} | {seconds:.1f} | " + " | ".join(f"{value:.4f}" for value in values) + " |")


if __name__ == "__main__":
    main()
