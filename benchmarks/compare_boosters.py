"""Training time and captured information of `bit` beside LightGBM and XGBoost, in one run on the same events.

    python benchmarks/compare_boosters.py [--events 500000] [--trees 100] [--samples 3]

Simulated ZH events with 15 features; one coefficient at a time, then all nine functions at once. Every
program gets 100 trees of depth 4, learning rate 0.2, 255 bins, 50 events per leaf, 2 threads, and its weights
scaled to mean 1 without a floor on their sum in a leaf (an absolute floor would cut the tails). The programs
take turns on several training samples, after a warm-up. Times are medians over the samples and include
binning; rho^2 is the mean, with the standard deviation, over the samples, on 500 000 other events: heavy tails
make single trainings scatter by more than the programs differ.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

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
    parser.add_argument("--samples", type=int, default=3)
    return parser.parse_args()


def fit_bit(table: bit.EventTable, terms: Any, trees: int) -> Callable[[bit.EventTable], np.ndarray]:
    model = bit.BIT(n_estimators=trees, terms=terms, n_jobs=THREADS).fit(table)
    return model.predict


def fit_lightgbm(table: bit.EventTable, column: int, trees: int) -> Callable[[bit.EventTable], np.ndarray]:
    nominal = table.weights[:, 0]
    settings = {"max_bin": 255, "num_threads": THREADS, "verbose": -1}
    target, weight = table.weights[:, column] / nominal, nominal / nominal.mean()
    data = lightgbm.Dataset(table.features, target, weight=weight, params=settings)
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
    targets = table.weights[:, columns] / nominal[:, np.newaxis] / scale
    model.fit(table.features, targets, sample_weight=nominal / nominal.mean())
    return lambda events: model.predict(events.features).reshape(events.n_events, -1)


class Found(NamedTuple):
    """Median times of training and of predicting the test events, and rho^2 of shape (n_samples, n_columns)."""

    fit: float
    predict: float
    rho2: np.ndarray


def run(
    contenders: dict[str, Callable[[bit.EventTable], Any]],
    samples: list[bit.EventTable],
    test: bit.EventTable,
    columns: list[int],
) -> dict[str, Found]:
    """Train programs in turns and test them."""
    truth = test.weights[:, columns] / test.weights[:, :1]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    values: dict[str, list[np.ndarray]] = {name: [] for name in contenders}
    for train in samples:
        for name, fit in contenders.items():
            start = time.perf_counter()
            predict = fit(train)
            fitted = time.perf_counter()
            prediction = predict(test)
            times[name].append((fitted - start, time.perf_counter() - fitted))
            values[name].append(rho2(truth, prediction, test.weights[:, 0]))
    return {name: Found(*np.median(times[name], axis=0).tolist(), np.array(values[name])) for name in contenders}


def shown(values: np.ndarray) -> str:
    spread = f" ± {values.std(ddof=1):.4f}" if len(values) > 1 else ""
    return f"{values.mean():.4f}{spread}"


def one_coefficient(samples: list[bit.EventTable], test: bit.EventTable, trees: int) -> None:
    print("| function | program | fit [s] | / LightGBM | predict 5e5 [s] | / LightGBM | rho2 on test events |")
    print("|---|---|---|---|---|---|---|")
    for name in ("cHW", "cHWtil", "cHq3"):
        column = test.basis.index(name)
        found = run(
            {
                "bit": lambda train, name=name: fit_bit(train, [name], trees),
                "LightGBM": lambda train, column=column: fit_lightgbm(train, column, trees),
                "XGBoost": lambda train, column=column: fit_xgboost(train, [column], trees),
            },
            samples,
            test,
            [column],
        )
        peer = found["LightGBM"]
        for program, one in found.items():
            times = f"{one.fit:.2f} | {one.fit / peer.fit:.2f} | {one.predict:.3f} | {one.predict / peer.predict:.2f}"
            print(f"| {name} | {program} | {times} | {shown(one.rho2)} |", flush=True)


def nine_functions(samples: list[bit.EventTable], test: bit.EventTable, trees: int) -> None:
    columns = list(range(1, test.basis.n_terms))
    first = samples[:1]
    rms = np.sqrt(np.average(test.joint_ratio() ** 2, axis=0, weights=test.weights[:, 0]))
    joint = {f"bit, joint, {trees} trees": lambda train: fit_bit(train, None, trees)}
    peers = {
        f"XGBoost multi_output_tree, targets / rms, {trees} trees": lambda train: fit_xgboost(
            train, columns, trees, rms
        )
    }
    found = run(joint | peers, first, test, columns)
    separate = []
    for column in columns:
        [one] = run(
            {"": lambda train, column=column: fit_bit(train, [test.basis.terms[column]], trees)}, first, test, [column]
        ).values()
        separate.append(one)
    found[f"bit, nine separate forests of {trees} trees"] = Found(
        sum(one.fit for one in separate),
        sum(one.predict for one in separate),
        np.concatenate([one.rho2 for one in separate], axis=1),
    )
    equal = max(1, round(trees * sum(one.fit for one in separate) / found[next(iter(joint))].fit))
    found |= run(
        {f"bit, joint, {equal} trees (equal time)": lambda train: fit_bit(train, None, equal)}, first, test, columns
    )
    names = ["*".join(term) for term in test.basis.terms[1:]]
    print("\n| nine functions at once, one sample | fit [s] | predict 5e5 [s] | " + " | ".join(names) + " |")
    print("|---|---|---|" + "---|" * len(columns))
    for label, one in found.items():
        values = " | ".join(f"{value:.4f}" for value in one.rho2[0])
        print(f"| {label} | {one.fit:.1f} | {one.predict:.2f} | {values} |")


def main() -> None:
    arguments = parse_arguments()
    samples = [zh.simulate(arguments.events, seed=1 + i).table for i in range(arguments.samples)]
    test = zh.simulate(500_000, seed=1000).table
    small = samples[0].take(slice(0, 2000))
    for terms in (None, ["cHW"]):  # compile everything before anything is timed
        fit_bit(small, terms, 2)
    print(f"\n{arguments.events} events x 15 features, {arguments.trees} trees of depth 4, {THREADS} threads\n")
    one_coefficient(samples, test, arguments.trees)
    nine_functions(samples, test, arguments.trees)


if __name__ == "__main__":
    main()
