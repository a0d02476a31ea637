"""How much of the information can be captured in a minute: nine functions of simulated ZH events.

    python benchmarks/information.py [--events 500000] [--seconds 60] [--cache FOLDER]

Every program may use about so many seconds on two threads for all nine functions: its number of trees is what a
short fit before says. `bit` learns them jointly, with and without exact CP symmetry and linear leaves, in trees of 32
leaves; LightGBM has nine models of 63 leaves, constant or linear. Prints rho^2 on 10^6 other events.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from _contenders import seconds, simulated

import bit
from bit.metrics import rho2
from bit.processes import zh

THREADS = 2
SHORT = 10  # trees of the fit that finds the speed


def fit_bit(
    table: bit.EventTable, trees: int, *, min_samples_leaf: int = 5, **options: Any
) -> Callable[[bit.EventTable], np.ndarray]:
    model = bit.BIT(
        trees,
        max_depth=None,
        max_leaf_nodes=32,
        min_samples_leaf=min_samples_leaf,
        learning_rate=0.3,
        n_jobs=THREADS,
        **options,
    )
    return model.fit(table).predict


def fit_lightgbm(table: bit.EventTable, trees: int, *, linear: bool = False) -> Callable[[bit.EventTable], np.ndarray]:
    nominal, ratios = table.weights[:, 0], table.joint_ratio()
    weight = nominal / nominal.mean()
    settings = {"max_bin": 255, "num_threads": THREADS, "verbose": -1, "linear_tree": linear}
    data = lightgbm.Dataset(table.features, weight=weight, params=settings, free_raw_data=False)
    # LightGBM 4.7 stops with an internal error for trees of this size if there is no floor at all.
    settings |= {"objective": "regression", "learning_rate": 0.1, "num_leaves": 63, "min_sum_hessian_in_leaf": 1e-4}
    models = []
    for column in ratios.T:
        data.set_label(column)
        models.append(lightgbm.train(settings, data, trees))
    return lambda events: np.column_stack([model.predict(events.features, num_threads=THREADS) for model in models])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    train, test = simulated(arguments.events, 1, arguments.cache), simulated(1_000_000, 100, arguments.cache)
    truth = test.joint_ratio()
    programs: dict[str, Callable[[int], Any]] = {
        "bit, joint": lambda trees: fit_bit(train, trees),
        "bit, joint, cp_parity": lambda trees: fit_bit(train, trees, cp_parity=zh.CP_PARITY),
        "bit, joint, cp_parity, linear leaves": lambda trees: fit_bit(
            train, trees, cp_parity=zh.CP_PARITY, leaf="linear", min_samples_leaf=20
        ),
        "LightGBM, nine models": lambda trees: fit_lightgbm(train, trees),
        "LightGBM, nine models, linear leaves": lambda trees: fit_lightgbm(train, trees, linear=True),
    }
    print("| program | trees | fit [s] | " + " | ".join("*".join(term) for term in test.basis.terms[1:]) + " |")
    print("|---|---|---|" + "---|" * truth.shape[1])
    for name, fit in programs.items():
        fit(2)  # compiled, warm
        once, _ = seconds(fit, SHORT)
        twice, _ = seconds(fit, 2 * SHORT)
        each = (twice - once) / SHORT
        trees = max(1, int((arguments.seconds - once) / each) + SHORT)
        time, predict = seconds(fit, trees)
        found = rho2(truth, predict(test), test.weights[:, 0])
        print(f"| {name} | {trees} | {time:.0f} | " + " | ".join(f"{value:.4f}" for value in found) + " |", flush=True)


if __name__ == "__main__":
    main()
