"""How much of the information can be captured in a minute: nine functions of simulated ZH events against training time.

    python benchmarks/information.py [--seconds 2 6 20 60] [--events 500000] [--plot curves.png] [--cache FOLDER]

Every program may use about so many seconds on two threads for all nine functions: its number of trees is what shorter
fits say, and few trees have a larger learning rate. `bit` learns them jointly, in trees of 32 constant or 64 linear
leaves, the latter with exact CP symmetry, too; LightGBM and XGBoost have nine models of 63 leaves, LightGBM's constant
or linear. `bit.baselines.SALLY` is a network of three layers of 100 that learns the score, the three functions of first
order, on one thread, since its batches gain nothing from two (needs torch). Prints rho^2 on 10^6 other events.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _contenders import (
    Fitted,
    Sample,
    Settings,
    fit_bit,
    fit_lightgbm,
    fit_xgboost,
    seconds,
    simulated,
    trees_for,
)

import bit
from bit.baselines import SALLY
from bit.basis import Term
from bit.metrics import rho2
from bit.plotting import panels, save, style
from bit.plotting.style import COLOURS
from bit.processes import zh

SHOWN: tuple[Term, ...] = (("cHW",), ("cHWtil",), ("cHW", "cHW"), ("cHWtil", "cHq3"))
OURS = Settings(leaves=32, learning_rate=0.3, leaf_events=5)
OURS_LINEAR = Settings(leaves=64, learning_rate=0.15, leaf_events=20)
PEERS = Settings(leaves=63, learning_rate=0.1, leaf_events=20)
Curves = dict[str, list[tuple[float, np.ndarray]]]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--seconds", type=float, nargs="+", default=[60.0], help="training times")
    parser.add_argument("--plot", type=Path, help="file of the figure")
    parser.add_argument("--cache", type=Path, help="folder where simulated events are kept")
    return parser.parse_args()


def rate(settings: Settings, trees: int) -> float:
    """The learning rate, or more where so few trees would not get to the end: 2 % of the target are then left."""
    return max(settings.learning_rate, 1.0 - 0.02 ** (1.0 / trees))


def fit_sally(table: bit.EventTable, epochs: float) -> SALLY:
    return SALLY(n_epochs=epochs, early_stopping=False, random_state=1).fit(table)


def epochs_for(table: bit.EventTable, budget: float) -> float:
    """Passes through the events within so many seconds, as a shorter fit says."""
    fit_sally(table.take(slice(0, 1024)), 1.0)  # PyTorch is imported
    trial, _ = seconds(fit_sally, table, 0.2)
    return max(0.01, 0.2 * budget / trial)


def measure(train: Sample, test: bit.EventTable, budgets: list[float]) -> Curves:
    curves: Curves = {}
    truth, nominal = test.joint_ratio(), test.weights[:, 0]

    def add(name: str, trees: str, fit_time: float, predict: Callable[[np.ndarray], np.ndarray]) -> None:
        prediction = predict(test.features)
        found = rho2(truth[:, : prediction.shape[1]], prediction, nominal)
        curves.setdefault(name, []).append((fit_time, found))
        values = [f"{value:.4f}" for value in found] + [""] * (truth.shape[1] - len(found))
        print(f"| {name} | {trees} | {fit_time:.1f} | {' | '.join(values)} |", flush=True)

    programs: dict[str, tuple[Callable[..., Fitted], Settings, dict[str, Any]]] = {
        "bit, joint": (fit_bit, OURS, {}),
        "bit, joint, linear leaves": (fit_bit, OURS_LINEAR, {"leaf": "linear"}),
        "bit, joint, cp_parity, linear leaves": (
            fit_bit,
            OURS_LINEAR,
            {"leaf": "linear", "cp_parity": zh.CP_PARITY},
        ),
        "LightGBM, nine models": (fit_lightgbm, PEERS, {}),
        "LightGBM, nine models, linear leaves": (fit_lightgbm, PEERS, {"linear": True}),
        "XGBoost, nine models": (fit_xgboost, PEERS, {}),
    }
    for name, (fit, settings, options) in programs.items():

        def grow(
            trees: int,
            fit: Callable[..., Fitted] = fit,
            settings: Settings = settings,
            options: dict[str, Any] = options,
        ) -> Fitted:
            return fit(train, settings=replace(settings, trees=trees, learning_rate=rate(settings, trees)), **options)

        for budget in budgets:
            trees = trees_for(grow, budget)
            fit_time, fitted = seconds(grow, trees)
            add(name, str(trees), fit_time, fitted.predict)
    if importlib.util.find_spec("torch") is None:
        print("\ntorch is not installed: no SALLY.")
        return curves
    for budget in budgets:
        epochs = epochs_for(train.table, budget)
        fit_time, model = seconds(fit_sally, train.table, epochs)
        add("SALLY", f"{epochs:.3g} epochs", fit_time, model.predict)
    return curves


def draw(path: Path, curves: Curves, terms: tuple[Term, ...], budgets: list[float]) -> None:
    fig, axes = panels(2, 2)
    with style():
        for axis, term in zip(axes.ravel(), SHOWN, strict=True):
            column = terms.index(term)
            for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
                points = [(fit_time, 1.0 - found[column]) for fit_time, found in curve if column < len(found)]
                if points:
                    linear = "linear" in name
                    style_of = {"marker": "o" if linear else "s", "linestyle": "-" if linear else "--"}
                    axis.loglog(*zip(*points, strict=True), label=name, color=colour, **style_of)
            axis.set(title="·".join(term), xlabel="training time [s]", ylabel="1 − ρ²", ylim=(None, 1))
            axis.set_xticks(budgets, labels=[f"{budget:g}" for budget in budgets])
            axis.tick_params(which="minor", labelbottom=False, labelleft=False)
        axes[0, 0].legend(fontsize="x-small", loc="lower left")
    save(fig, path)


def main() -> None:
    arguments = parse_arguments()
    table, test = simulated(arguments.events, 1, arguments.cache), simulated(1_000_000, 100, arguments.cache)
    train = Sample.of(table, table.basis.terms[1:])
    print("| program | trees | fit [s] | " + " | ".join("·".join(term) for term in train.terms) + " |")
    print("|---|---|---|" + "---|" * len(train.terms))
    curves = measure(train, test, sorted(arguments.seconds))
    if arguments.plot:
        draw(arguments.plot, curves, train.terms, sorted(arguments.seconds))


if __name__ == "__main__":
    main()
