"""Networks beside trees: limits from WZ production, and the information that they find in ZH events, with their times.

    python benchmarks/networks.py [--events 150000] [--seconds 30] [--cache FOLDER]

WZ at pT > 300 GeV with 3000 fb^-1: 95 % intervals of cW and cHq3, the other at 0, from the invariant mass of the two
bosons alone and from what boosted information trees and the quadratic classifier of arXiv:2007.10356 learn: with linear
yields in 50 bins of R_a, with quadratic ones in 12 times 12 bins of R(x|theta) at theta = +- a quarter of the width
that the mass gives. ZH: the joint score and the full polynomial, rho^2 on as many other events. Every training takes
about so many seconds. Needs torch.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _contenders import seconds, simulated

import bit
from bit.baselines import SALLY, QuadraticClassifier
from bit.inference import choose_edges, fill, limits
from bit.metrics import rho2
from bit.observables import FunctionObservable

LUMI_FB = 3000.0
N_BINS, N_BINS_2D = 50, 12
TRIAL_EPOCHS, TRIAL_TREES = 1.0, 10


def trees(n_estimators: int) -> bit.BIT:
    """Large trees of linear leaves, as in the benchmark of information."""
    return bit.BIT(
        n_estimators, learning_rate=0.15, leaf="linear", max_depth=None, max_leaf_nodes=64, min_samples_leaf=20
    )


def in_budget(make: Callable[[float], Any], trial: float, table: bit.EventTable, budget: float) -> tuple[float, Any]:
    """A model trained for about so many seconds, as a short trial says, and the time that it took."""
    make(trial).fit(table.take(slice(0, 5000)))  # compiled, imported
    short, _ = seconds(make(trial).fit, table)
    return seconds(make(max(trial, trial * budget / short)).fit, table)


def contenders() -> dict[str, tuple[Callable[[float], Any], float]]:
    """Models by amount of training, and a first amount."""
    return {
        "bit, all functions": (lambda amount: trees(round(amount)), TRIAL_TREES),
        "quadratic classifier": (lambda amount: QuadraticClassifier(n_epochs=amount, random_state=1), TRIAL_EPOCHS),
        "SALLY": (lambda amount: SALLY(n_epochs=amount, random_state=1), TRIAL_EPOCHS),
    }


def compare_limits(train: bit.EventTable, test: bit.EventTable, budget: float) -> None:
    params = train.basis.param_names
    print("\n**WZ, pT > 300 GeV, 3000 fb⁻¹: half widths of 95 % intervals**\n")
    heads = [f"{param}, {order}" for order in ("linear", "quadratic") for param in params]
    print(f"| observable | fit [s] | {' | '.join(heads)} |\n|---|---|{'---|' * len(heads)}")
    calibration, measured = test.split([0.3, 0.7], seed=1)

    def half_width(observable: Any, param: str, order: str, n_bins: int) -> float:
        edges = choose_edges(calibration, observable, n_bins)
        with warnings.catch_warnings(category=bit.BitWarning, action="ignore"):  # some of 12 x 12 bins are empty
            found = limits(fill(measured, observable, edges, LUMI_FB), params=[param], order=order)[param]
        return (found.upper - found.lower) / 2

    mass = bit.observable("sqrt_s")
    widths = [half_width(mass, param, order, N_BINS) for order in ("linear", "quadratic") for param in params]
    print(f"| invariant mass | | {' | '.join(f'{width:.4f}' for width in widths)} |", flush=True)
    sizes = dict(zip(params, widths[len(params) :], strict=True))
    for name, (make, trial) in list(contenders().items())[:2]:
        fit_time, model = in_budget(make, trial, train, budget)
        widths = [half_width(model.observable(param), param, "linear", N_BINS) for param in params]
        widths += [
            half_width(ratios(model, param, sizes[param] / 2), param, "quadratic", N_BINS_2D) for param in params
        ]
        print(f"| {name} | {fit_time:.0f} | {' | '.join(f'{width:.4f}' for width in widths)} |", flush=True)


def ratios(model: Any, param: str, size: float) -> FunctionObservable:
    """R(x|theta) at two values of a coefficient, which tell more than R_a where quadratic terms count."""

    def values(table: bit.EventTable) -> np.ndarray:
        return np.column_stack([model.predict_ratio(table, {param: sign * size}) for sign in (1, -1)])

    return FunctionObservable(f"ratios of {param}", values)


def compare_information(train: bit.EventTable, test: bit.EventTable, budget: float) -> None:
    terms = train.basis.terms[1:]
    print("\n**ZH, ρ²**\n\n| model | fit [s] | " + " | ".join("·".join(term) for term in terms) + " |")
    print("|---|---|" + "---|" * len(terms))
    truth, nominal = test.joint_ratio(), test.weights[:, 0]
    for name, (make, trial) in contenders().items():
        fit_time, model = in_budget(make, trial, train, budget)
        prediction = model.predict(test)
        found = np.atleast_1d(rho2(truth[:, : prediction.shape[1]], prediction, nominal))
        cells = [f"{value:.4f}" for value in found] + [""] * (len(terms) - len(found))
        print(f"| {name} | {fit_time:.0f} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=150_000)
    parser.add_argument("--seconds", type=float, default=30.0, help="training time of each model")
    parser.add_argument("--cache", type=Path, help="folder where simulated events are kept")
    arguments = parser.parse_args()
    for process, compare, options in (("wz", compare_limits, {"cuts": "boosted"}), ("zh", compare_information, {})):
        train, test = (simulated(arguments.events, seed, arguments.cache, process, **options) for seed in (1, 2))
        compare(train, test, arguments.seconds)


if __name__ == "__main__":
    main()
