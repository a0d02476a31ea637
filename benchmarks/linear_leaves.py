"""What linear leaves gain over constants at equal training time, on three processes, beside LightGBM with both.

    python benchmarks/linear_leaves.py [--seconds 5] [--only vbf smeared h4l zh] [--cache FOLDER]

- vbf: u d -> d u H, cuts P, the features x1, x2, dphi_jj, deta_jj and the coefficient cHWtil of arXiv:2109.10414, 2e5
  events together with their CP images, and beside the trees its formula Eq. (39), refitted to the same events;
- smeared: the same with jets smeared like in a detector: the truth is then known up to noise;
- h4l: h -> 2e 2mu in the lab with acceptance, all features, cHWtil, 2e5 events and their images;
- zh: 5e5 events, every function, 100 trees of depth 4: separate trees for each function, or joint ones.

For the first three every program may train for so many seconds on two threads: trees of 31 leaves, learning rate 0.1,
255 bins, 20 events per leaf. They print the weighted mean squared error of the score on 10^6 other events, all and
those with |t| < 3 alone (a few events of the tail carry much of the whole), in TeV^4; its ratio to that of constant
leaves with the error of a paired bootstrap; rho^2; and the expected 95 % interval of the coefficient (linear,
300 fb^-1, 20 bins) relative to that of the true score.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _contenders import (
    Fitted,
    Sample,
    Settings,
    fit_bit,
    fit_bit_separate,
    fit_lightgbm,
    seconds,
    simulated,
    trees_for,
    warm_up,
)
from parity import half_width
from scipy.optimize import least_squares

import bit
from bit.metrics import rho2
from bit.processes import h4l

TERM = "cHWtil"  # that of parity.half_width, too
JETS = ("x1", "x2", "dphi_jj", "deta_jj"), bit.CPParity(("dphi_jj",), odd_params=(TERM,))
SAMPLES: dict[str, tuple[str, dict[str, Any], tuple[str, ...], Any]] = {
    "vbf": ("vbf", {"cuts": "P"}, *JETS),
    "smeared": ("vbf", {"cuts": "P", "smear": True}, *JETS),
    "h4l": ("h4l", {"frame": "lab", "acceptance": True, "cuts": "higgs"}, h4l.FEATURE_NAMES, h4l.CP_PARITY),
}
AT_EQUAL_TIME = Settings(leaves=31, learning_rate=0.1, leaf_events=20)
TRAIN, TEST, REPLICAS = 200_000, 1_000_000, 200
Predict = Callable[[bit.EventTable], np.ndarray]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="training time of each program")
    parser.add_argument("--only", nargs="+", choices=[*SAMPLES, "zh"], default=[*SAMPLES, "zh"])
    parser.add_argument("--cache", type=Path, help="folder where simulated events are kept")
    return parser.parse_args()


def sample(name: str, n_events: int, seed: int, cache: Path | None) -> bit.EventTable:
    process, options, names, _ = SAMPLES[name]
    events = simulated(n_events, seed, cache, process, **options)
    columns = [events.feature_names.index(feature) for feature in names]
    basis = bit.PolynomialBasis([TERM], order=1)
    weights = events.weights[:, [0, events.basis.index(TERM)]]
    return bit.EventTable(events.features[:, columns], weights, basis, feature_names=names)


# ---------------------------------------------------------------------- one function at equal time
def fit_formula(table: bit.EventTable) -> Predict:
    """-x1 (x2 + c) (a - b deta) sin(dphi + d), with the sign of cHWtil."""

    def formula(numbers: np.ndarray, events: bit.EventTable) -> np.ndarray:
        a, b, c, d = numbers
        x1, x2, dphi, deta = events.features.T.astype(np.float64)
        return x1 * (x2 + c) * (a - b * deta) * np.sin(dphi + d)

    root, truth = np.sqrt(table.weights[:, 0] / table.weights[:, 0].mean()), table.joint_ratio()[:, 0]
    found = least_squares(lambda numbers: root * (formula(numbers, table) - truth), [1.0, 0.1, 0.2, 0.0])
    return partial(formula, found.x)


def bootstrap_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted means of the columns in Poisson replicas of the events, shape (REPLICAS, n_columns)."""
    rng = np.random.default_rng(1)
    weighted = np.column_stack([values * weights[:, np.newaxis], weights])
    sums = np.array([rng.poisson(1.0, len(weights)).astype(np.float64) @ weighted for _ in range(REPLICAS)])
    return sums[:, :-1] / sums[:, -1:]


def at_equal_time(name: str, budget: float, cache: Path | None) -> None:
    *_, parity = SAMPLES[name]
    train, test = sample(name, TRAIN, 1, cache), sample(name, TEST, 2, cache)
    both, for_bins = train.with_cp_mirror(parity), sample(name, TRAIN, 3, cache)
    truth, nominal = test.joint_ratio()[:, 0], test.weights[:, 0]
    terms = [(TERM,)]
    alone, doubled = Sample.of(train, terms), Sample.of(both, terms)
    programs: dict[str, Callable[..., Fitted]] = {
        "bit, constant leaves": partial(fit_bit, doubled),
        "bit, linear leaves": partial(fit_bit, doubled, leaf="linear"),
        "bit, linear leaves, cp_parity": partial(fit_bit, alone, leaf="linear", cp_parity=parity),
        "LightGBM": partial(fit_lightgbm, doubled),
        "LightGBM, linear leaves": partial(fit_lightgbm, doubled, linear=True),
    }
    rows, errors = [], []

    def add(program: str, trees: str, time: float, predict: Predict) -> None:
        prediction = predict(test)
        errors.append((prediction - truth) ** 2)
        rows.append(
            (program, trees, time, rho2(truth, prediction, nominal), half_width(predict, for_bins, test) / best)
        )

    best = half_width(bit.TrueScore(TERM), for_bins, test)
    for program, fit in programs.items():

        def grow(trees: int, fit: Callable[..., Fitted] = fit) -> Predict:
            fitted = fit(settings=replace(AT_EQUAL_TIME, trees=trees))
            return lambda events: fitted.predict(events.features)[:, 0]

        trees = trees_for(grow, budget)
        time, predict = seconds(grow, trees)
        add(program, str(trees), time, predict)
    if name != "h4l":
        time, predict = seconds(fit_formula, both)
        add("Eq. (39), refitted", "", time, predict)
    square = np.column_stack(errors)
    core = np.abs(truth) < 3
    samples = (square, nominal), (square[core], nominal[core])
    mean, core_mean = (np.average(errors_of, axis=0, weights=weights) for errors_of, weights in samples)
    replicas = (bootstrap_means(errors_of, weights) for errors_of, weights in samples)
    ratio, core_ratio = ((found / found[:, :1]).std(axis=0) for found in replicas)
    print(f"\n{name}: <t^2> = {np.average(truth**2, weights=nominal):.4g}\n")
    columns = ("program", "trees", "fit [s]", "MSE", "/ constant", "MSE, abs(t) < 3", "/ constant", "rho^2", "interval")
    print(f"| {' | '.join(columns)} |")
    print("|---|---|---|---|---|---|---|---|---|")
    for i, (program, trees_used, time, captured, width) in enumerate(rows):
        cells = (
            f"{program} | {trees_used} | {time:.1f} | {mean[i]:.3g} | {mean[i] / mean[0]:.3f} ± {ratio[i]:.3f}",
            f"{core_mean[i]:.3g} | {core_mean[i] / core_mean[0]:.3f} ± {core_ratio[i]:.3f}",
            f"{captured:.4f} | {width:.4f}",
        )
        print("| " + " | ".join(cells) + " |", flush=True)


# ---------------------------------------------------------------------- every function of ZH, equal trees
def zh_at_equal_trees(cache: Path | None) -> None:
    settings, train, test = Settings(), simulated(500_000, 1, cache), simulated(1_000_000, 100, cache)
    everything = Sample.of(train, train.basis.terms[1:])
    programs: dict[str, Callable[..., Fitted]] = {
        "bit, joint": fit_bit,
        "bit, joint, linear leaves": partial(fit_bit, leaf="linear"),
        "bit, separate": fit_bit_separate,
        "bit, separate, linear leaves": partial(fit_bit, strategy="separate", leaf="linear"),
        "LightGBM": fit_lightgbm,
        "LightGBM, linear leaves": partial(fit_lightgbm, linear=True),
    }
    print(f"\nzh, {settings}\n")
    print("| program | fit [s] | predict 10⁶ [s] | " + " | ".join("·".join(term) for term in everything.terms) + " |")
    print("|---|---|---|" + "---|" * len(everything.terms))
    for program, fit in programs.items():
        warm_up(fit, everything, settings)
        time, fitted = seconds(fit, everything, settings=settings)
        time_predict, prediction = seconds(fitted.predict, test.features)
        captured = rho2(test.joint_ratio(), prediction, test.weights[:, 0])
        cells = [f"{time:.1f}", f"{time_predict:.2f}", *(f"{value:.4f}" for value in captured)]
        print(f"| {program} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    arguments = parse_arguments()
    for name in arguments.only:
        if name == "zh":
            zh_at_equal_trees(arguments.cache)
        else:
            at_equal_time(name, arguments.seconds, arguments.cache)


if __name__ == "__main__":
    main()
