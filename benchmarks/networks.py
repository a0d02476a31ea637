"""Networks beside trees: limits from WZ production, and the information that they find in ZH events, with their times.

    python benchmarks/networks.py [--events 150000] [--trees 300] [--epochs 15] [--parts wz zh]
                                  [--cache FOLDER]

WZ at pT > 300 GeV with 3000 fb^-1: 95 % intervals of cW and cHq3, the other at 0, from the invariant mass of the two
bosons alone, from what boosted information trees and the quadratic classifier of arXiv:2007.10356 learn, and from the
true polynomial: with linear yields in 50 bins of R_a, with quadratic ones in 12 times 12 bins of R(x|theta) at
theta = +- a quarter of the width that the mass gives. Both learn from the simulated features, and from functions of
them (`decay_functions`), without which trees would have to find the signs of products. Ratios have the bootstrap errors
of the events that fill the bins. R(x|theta) >= 0 is looked for on a grid of theta.

ZH: the joint score and the full polynomial on as many other events: the Fisher information on each coefficient in 50
bins of R_a that keep most of it, rate included, as a share of that of the events, and rho^2. Trees use two threads,
networks one, since their batches gain nothing from two; the time is that of all threads. Needs torch.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
from _contenders import simulated
from sklearn.base import clone

import bit
from bit.baselines import SALLY, QuadraticClassifier
from bit.basis import FloatArray
from bit.inference import choose_edges, fill, information_kept, limits, optimal_edges
from bit.inference.results import Order
from bit.inference.templates import ObservableLike
from bit.metrics import rho2
from bit.observables import FunctionObservable

LUMI_FB = 3000.0
N_BINS, N_BINS_2D, N_FINE = 50, 12, 500
N_REPLICAS = 40
GRID = np.linspace(-1.0, 1.0, 9)
"""Values of each coefficient at which ratios must not be negative, in TeV^-2."""
BIT, CLASSIFIER, SCORE = "BIT", "quadratic classifier", "SALLY"
MASS, TRUTH = "invariant mass", "truth"
Parts = tuple[bit.EventTable, bit.EventTable]
"""Events that choose bins, and events that fill them."""
Choice = Callable[[str, Order], ObservableLike]
"""Observable by coefficient and order."""


def trees(n_estimators: int, *, positive: bool) -> bit.BIT:
    """Large trees of linear leaves, as in the benchmark of information."""
    return bit.BIT(
        n_estimators,
        learning_rate=0.1,
        leaf="linear",
        max_depth=None,
        max_leaf_nodes=64,
        min_samples_leaf=20,
        positive=positive,
        n_jobs=2,
    )


def contenders(n_trees: int, n_epochs: float, *, positive: bool) -> dict[str, Any]:
    """Models that are not trained yet."""
    return {
        BIT: trees(n_trees, positive=positive),
        CLASSIFIER: QuadraticClassifier(n_epochs=n_epochs, random_state=1),
        SCORE: SALLY(n_epochs=n_epochs, random_state=1),
    }


def trained(model: Any, table: bit.EventTable) -> float:
    """Train a model, and return the seconds of all threads that it took, without those of compilation and imports."""
    clone(model).set_params(**{"n_estimators" if isinstance(model, bit.BIT) else "n_epochs": 1}).fit(
        table.take(slice(0, 5000))
    )
    start = time.process_time()
    model.fit(table)
    return time.process_time() - start


# ---------------------------------------------------------------------- WZ
def decay_functions(table: bit.EventTable) -> bit.EventTable:
    """The events of WZ with functions of their features that products of helicity amplitudes bring about.

    The beams are alike, so that events are turned until y > 0; cosines of leptons are multiplied by their charge of the
    W, since W+ and W- decay alike then. The rest are products of these, interference of the two transverse helicities
    of one boson, sin^2 cos(2 phi)/(1 + cos^2), and interference of longitudinal and transverse ones of both.
    """
    column = {name: table.column(name).astype(np.float64) for name in table.feature_names}
    side, charge = np.where(column["y"] < 0.0, -1.0, 1.0), column["charge"]
    across = side * column["cos_theta"]
    cosine = {boson: charge * column[f"cos_theta_{boson}"] for boson in "wz"}
    sine = {boson: np.sqrt(1.0 - cosine[boson] ** 2) for boson in "wz"}
    transverse = {boson: sine[boson] ** 2 / (1.0 + cosine[boson] ** 2) * column[f"cos_2phi_{boson}"] for boson in "wz"}
    both = sine["w"] * sine["z"]
    functions = {
        "sqrt_s": column["sqrt_s"],
        "pt": column["pt"],
        "y": np.abs(column["y"]),
        "charge": charge,
        "cos_theta": across,
        "cos_theta_w": cosine["w"],
        "cos_theta_z": cosine["z"],
        "cos_theta cos_theta_w": across * cosine["w"],
        "cos_theta cos_theta_z": across * cosine["z"],
        "cos_theta_w cos_theta_z": cosine["w"] * cosine["z"],
        "TT of w": transverse["w"],
        "TT of z": transverse["z"],
        "TT of both": transverse["w"] + transverse["z"],
        "LT of w": side * sine["w"] * column["cos_phi_w"],
        "LT of z": side * sine["z"] * column["cos_phi_z"],
        "LT, difference": both * np.cos(column["phi_w"] - column["phi_z"]),
        "LT, sum": both * np.cos(column["phi_w"] + column["phi_z"]),
    }
    return bit.EventTable(
        np.column_stack(list(functions.values())), table.weights, table.basis, feature_names=tuple(functions)
    )


def half_widths(parts: Parts, observable: ObservableLike, param: str, order: Order) -> FloatArray:
    """Half the width of the 95 % interval, from the events and from bootstrap samples of them."""
    calibration, measured = parts
    seen, table = observable(measured), measured.select(params=[param])
    edges = choose_edges(calibration, observable, N_BINS if seen.ndim == 1 else N_BINS_2D)
    drawn = np.random.default_rng(1).poisson(1.0, (N_REPLICAS, table.n_events))
    found = []
    with warnings.catch_warnings(category=bit.BitWarning, action="ignore"):  # some of 12 x 12 bins are empty
        for count in (np.ones(table.n_events), *drawn):
            sample = replace(table, weights=table.weights * count[:, np.newaxis])
            interval = limits(fill(sample, lambda _: seen, edges, LUMI_FB), order=order)[param]
            found.append((interval.upper - interval.lower) / 2)
    return np.array(found)


def ratios(of: Callable[..., FloatArray], param: str, size: float) -> FunctionObservable:
    """R(x|theta) at two values of a coefficient, which tell more than R_a where quadratic terms count."""
    return FunctionObservable(
        f"ratios of {param}",
        lambda table: np.column_stack([of(table, {param: sign * size}) for sign in (1, -1)]),
    )


def true_ratio(table: bit.EventTable, theta: dict[str, float]) -> FloatArray:
    ratio: FloatArray = table.at(theta) / table.weights[:, 0]
    return ratio


def least_ratio(model: Any, table: bit.EventTable) -> float:
    """Smallest R(x|theta) of events on the grid."""
    names = table.basis.param_names
    points = (dict(zip(names, point, strict=True)) for point in product(GRID, repeat=len(names)))
    return min(float(model.predict_ratio(table, point).min()) for point in points)


def learned(model: Any, sizes: dict[str, float]) -> Choice:
    """Observables of a trained model."""
    return lambda param, order: (
        model.observable(param) if order == "linear" else ratios(model.predict_ratio, param, sizes[param])
    )


def compare_limits(train: bit.EventTable, test: bit.EventTable, models: dict[str, Any]) -> None:
    params = train.basis.param_names
    columns: list[tuple[str, Order]] = [(param, order) for order in get_args(Order) for param in params]
    print("\n**WZ, pT > 300 GeV, 3000 fb⁻¹: half widths of 95 % intervals**\n")
    heads = " | ".join(f"{param}, {order}" for param, order in columns)
    print(f"| observable | CPU [s] | {heads} | smallest R |\n|---|---|{'---|' * (len(columns) + 1)}")
    calibration, measured = test.split([0.3, 0.7], seed=1)
    found: dict[str, list[FloatArray]] = {}

    def measure(label: str, parts: Parts, choice: Choice, fit_time: str = "", least: str = "") -> None:
        found[label] = [half_widths(parts, choice(param, order), param, order) for param, order in columns]
        cells = " | ".join(f"{width[0]:.4f}" for width in found[label])
        print(f"| {label} | {fit_time} | {cells} | {least} |", flush=True)

    measure(MASS, (calibration, measured), lambda *_: bit.observable("sqrt_s"))
    sizes = {
        param: width[0] / 2 for (param, order), width in zip(columns, found[MASS], strict=True) if order == "quadratic"
    }
    measure(
        TRUTH,
        (calibration, measured),
        lambda param, order: bit.TrueScore(param) if order == "linear" else ratios(true_ratio, param, sizes[param]),
    )
    for features, change in (("simulated features", lambda table: table), ("functions", decay_functions)):
        events, parts = change(train), (change(calibration), change(measured))
        for name in (BIT, CLASSIFIER):
            model = clone(models[name])
            fit_time = trained(model, events)
            least = least_ratio(model, parts[1].take(slice(0, 5000)))
            measure(f"{name}, {features}", parts, learned(model, sizes), f"{fit_time:.0f}", f"{least:.2g}")
    best = f"{BIT}, functions"
    for above, below in ((best, f"{CLASSIFIER}, functions"), (best, TRUTH), (MASS, best), (MASS, TRUTH)):
        ratio = [one / other for one, other in zip(found[above], found[below], strict=True)]
        cells = " | ".join(f"{values[0]:.3f} ± {values[1:].std(ddof=1):.3f}" for values in ratio)
        print(f"| {above} / {below} | | {cells} | |", flush=True)


# ---------------------------------------------------------------------- ZH
def compare_information(train: bit.EventTable, test: bit.EventTable, models: dict[str, Any]) -> None:
    terms, params = train.basis.terms[1:], train.basis.param_names
    heads = [f"kept, {param}" for param in params] + [f"ρ², {'·'.join(term)}" for term in terms]
    print(f"\n**ZH**\n\n| model | CPU [s] | {' | '.join(heads)} |\n|---|---|{'---|' * len(heads)}")
    calibration, measured = test.split([0.3, 0.7], seed=1)
    truth, nominal = measured.joint_ratio(), measured.weights[:, 0]

    def kept(observable: ObservableLike, param: str) -> str:
        edges = optimal_edges(calibration, observable, N_BINS, objective=param, n_fine=N_FINE)
        return f"{information_kept(fill(measured, observable, edges, LUMI_FB), measured, param):.4f}"

    def row(label: str, fit_time: str, observables: list[ObservableLike], found: list[float]) -> None:
        cells = [kept(observable, param) for observable, param in zip(observables, params, strict=True)]
        cells += [f"{value:.4f}" for value in found] + [""] * (len(terms) - len(found))
        print(f"| {label} | {fit_time} | {' | '.join(cells)} |", flush=True)

    row("true score", "", [bit.TrueScore(param) for param in params], [])
    for name, model in models.items():
        fit_time = trained(model, train)
        prediction = model.predict(measured)
        found = np.atleast_1d(rho2(truth[:, : prediction.shape[1]], prediction, nominal))
        row(name, f"{fit_time:.0f}", [model.observable(param) for param in params], list(found))


PARTS: dict[str, tuple[Callable[..., None], dict[str, str]]] = {
    "wz": (compare_limits, {"cuts": "boosted"}),
    "zh": (compare_information, {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=150_000)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--epochs", type=float, default=15.0)
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--cache", type=Path, help="folder where simulated events are kept")
    arguments = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        print("torch is not installed: no networks.")
        return
    for process in arguments.parts:
        compare, options = PARTS[process]
        train, test = (simulated(arguments.events, seed, arguments.cache, process, **options) for seed in (1, 2))
        compare(train, test, contenders(arguments.trees, arguments.epochs, positive=process == "wz"))


if __name__ == "__main__":
    main()
