"""Formulas and polynomials for the score of fB in ZH with a stable Z, beside those of arXiv:2109.10414.

    python benchmarks/distill_zh.py [--set-ups Z-0 Z-10 photon-10 ud-0 ud-10] [--events 100000] [--complexity 40]
                                    [--constants 10] [--restarts 4] [--seed 0] [--jobs 2]

Set-ups: up quarks and Z exchange at fB = 0 (Tables 2, 3) and fB = 10 (Table 4); with the photon at fB = 10 (Table 5);
up and down quarks, the flavour drawn and unobserved, and the photon at fB = 0 and 10 (Tables 6, 7).

The target is 10 (t - <t>) as a function of x_p = pT/mH and x_eta = |eta_Z - eta_H|. Mean squared errors are those on as
many other events, with bootstrapped errors. All members of the front are shown; of those with few constants the best
one is fitted to the score of all training events, and its flat directions are removed. Polynomials are fitted to the
same events. With two flavours the polynomial of high degree shows the floor, which no function of the two inputs
passes.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from _expected import table_row
from papers.zh_undecayed import E_AT_MZ

import bit
from bit.baselines import Polynomial
from bit.basis import FloatArray
from bit.distill import ParetoFront, Refit, distill, refit
from bit.processes import zh_undecayed

FEATURES = ("x_p", "x_eta")
SCALE = 10.0
SCORE = bit.TrueScore("fB")
POLYNOMIALS, RATIONALS = ("add", "sub", "mul", "square", "cube"), ("add", "sub", "mul", "div", "square", "cube")
_REPLICAS, _SEED = 100, 3


@dataclass(frozen=True)
class SetUp:
    """Events, operators, and what the paper has found.

    Parameters
    ----------
    f_b : float
        Where the score is taken.
    options : dict
        Of the simulation.
    operators : tuple of str
        Of formulas.
    degrees : tuple of int
        Of polynomials.
    published : dict of str to float
        Mean squared errors of the paper.
    """

    f_b: float
    options: dict[str, Any]
    operators: tuple[str, ...]
    degrees: tuple[int, ...]
    published: dict[str, float]


UP = {"quarks": ("u",), "photon": False}
SET_UPS = {
    "Z-0": SetUp(
        0.0,
        UP,
        POLYNOMIALS,
        (2, 3, 4),
        {"degree 2": 3.49e-3, "degree 3": 8.16e-4, "degree 4": 1.28e-4, "9 constants": 7.65e-5},
    ),
    "Z-10": SetUp(10.0, UP, RATIONALS, (2, 3, 4, 8), {"Eq. 25, 9 constants": 7.38e-5, "Eq. 27": 5.42e-5}),
    "photon-10": SetUp(
        10.0, {"quarks": ("u",)}, RATIONALS, (2, 3, 4, 8), {"8 constants": 7.96e-4, "10 constants": 6.03e-4}
    ),
    "ud-0": SetUp(
        0.0, {"flavour": "latent"}, POLYNOMIALS, (2, 3, 4, 6), {"6 constants": 1.63e-3, "8 constants": 1.29e-3}
    ),
    "ud-10": SetUp(
        10.0, {"flavour": "latent"}, RATIONALS, (2, 3, 4, 8), {"7 constants": 1.14e-2, "12 constants": 4.65e-3}
    ),
}


def simulate(set_up: SetUp, n_events: int, seed: int) -> bit.EventTable:
    simulated = zh_undecayed.simulate(
        n_events, seed=seed, e=E_AT_MZ, theta0=[set_up.f_b], show_progress=False, **set_up.options
    )
    return simulated.table.select(features=FEATURES, aux=[])


def target(table: bit.EventTable) -> FloatArray:
    """Score minus its mean."""
    return table.joint_score(table.basis.reference, mean_subtracted=True)[:, 0]


def judged(table: bit.EventTable, predicted: FloatArray) -> tuple[float, float]:
    """Mean squared error of 10 (t - <t>), up to the rate, and its standard error."""
    weight = table.weights[:, 0]
    residual = SCALE * (predicted - target(table))
    squared = residual**2
    copies = np.random.default_rng(_SEED).poisson(1.0, (_REPLICAS, table.n_events)) * weight
    return float(weight @ squared / weight.sum()), float((copies @ squared / copies.sum(axis=1)).std(ddof=1))


def as_text(error: tuple[float, float]) -> str:
    return f"({1e4 * error[0]:.3g} ± {1e4 * error[1]:.1g})e-4"


def search(train: bit.EventTable, test: bit.EventTable, set_up: SetUp, settings: dict[str, Any]) -> ParetoFront:
    return distill(
        SCORE, train, backend="operon", operators=set_up.operators, mean_subtracted=True, valid=test, **settings
    )


def show_polynomials(train: bit.EventTable, test: bit.EventTable, set_up: SetUp) -> None:
    mean = float(train.weights[:, 0] @ SCORE(train) / train.sigma_fb)
    for degree in set_up.degrees:
        model = Polynomial(degree).fit(train)
        error = judged(test, model.predict(test)[:, 0] - mean)
        published = set_up.published.get(f"degree {degree}")
        cells = (len(model.powers_), as_text(error), f"{published:.3g}" if published else "")
        print(table_row(f"polynomial of degree {degree}", cells), flush=True)


def show_front(front: ParetoFront, test: bit.EventTable) -> None:
    for formula in front:
        cells = (formula.n_constants, as_text(judged(test, formula(test))), "")
        print(table_row(f"`{formula}`", cells), flush=True)


def fitted(front: ParetoFront, train: bit.EventTable, n_constants: int) -> Refit:
    """The best formula with so many constants at most, by the training events."""
    weight, truth = train.weights[:, 0], target(train)
    few = [formula for formula in front if formula.n_constants <= n_constants]
    best = min(few, key=lambda formula: float(weight @ (formula(train) - truth) ** 2))
    return refit(best, train, truth)


def show_refit(found: Refit, test: bit.EventTable) -> None:
    print(f"\nWith few constants, fitted to all events: MSE {as_text(judged(test, found.expression(test)))}\n\n{found}")
    for message in found.removed:
        print(message)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set-ups", nargs="+", choices=list(SET_UPS), default=list(SET_UPS))
    parser.add_argument("--events", type=int, default=100_000, help="for training, and as many to judge")
    parser.add_argument("--complexity", type=int, default=40, help="of the longest formula")
    parser.add_argument("--constants", type=int, default=10, help="at most, of the formula that is fitted")
    parser.add_argument("--restarts", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the search")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    settings: dict[str, Any] = {
        "max_complexity": arguments.complexity,
        "n_restarts": arguments.restarts,
        "random_state": arguments.seed,
        "n_jobs": arguments.jobs,
    }
    for name in arguments.set_ups:
        set_up = SET_UPS[name]
        train, test = (simulate(set_up, arguments.events, seed) for seed in (1, 2))
        published = ", ".join(f"{what}: {value:.3g}" for what, value in set_up.published.items())
        print(f"\n## {name} (published: {published})\n\n{table_row('formula', ('constants', 'MSE', 'published'))}")
        print("|" + "---|" * 4)
        show_polynomials(train, test, set_up)
        begin, used = time.perf_counter(), sum(os.times()[:4])
        front = search(train, test, set_up, settings)
        spent = time.perf_counter() - begin, sum(os.times()[:4]) - used
        show_front(front, test)
        show_refit(fitted(front, train, arguments.constants), test)
        print(f"\nSearch, polish and figures of merit: {spent[0]:.0f} s ({spent[1]:.0f} s of CPU)", flush=True)


if __name__ == "__main__":
    main()
