"""Formulas and polynomials for the score of fB in ZH with a stable Z, beside those of arXiv:2109.10414.

    python benchmarks/distill_zh.py [--set-ups Z-0 Z-10 photon-10 ud-0 ud-10] [--events 100000] [--complexity 38]
                                    [--constants 10] [--restarts 6] [--seed 0] [--jobs 2]

Set-ups: up quarks and Z exchange at fB = 0 (Tables 2, 3) and fB = 10 (Table 4); with the photon at fB = 10 (Table 5);
up and down quarks, the flavour drawn and unobserved, and the photon at fB = 0 and 10 (Tables 6, 7).

The target is 10 (t - <t>) as a function of x_p = pT/mH and x_eta = |eta_Z - eta_H|. Mean squared errors are shown on
the events of the fit, as in the paper, and on as many others; the events of largest |t| dominate both, so that only
numbers of one column can be compared; errors are bootstrapped. Polynomials and the forms of the paper are fitted to
the same events, Eq. 24 with its two flat directions, which the fit removes. All members of the front are shown; the
best one with few constants is fitted once more, with errors. With two flavours the polynomial of the highest degree
(fB = 0) and trees with linear leaves (where the score saturates, fB = 10, which polynomials do not describe) show the
floor, below which no function of the two inputs comes.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from _expected import table_row
from papers.zh_undecayed import E_AT_MZ

import bit
from bit.baselines import Polynomial
from bit.basis import FloatArray
from bit.distill import ParetoFront, Refit, distill, refit
from bit.expression import Expression
from bit.observables import FunctionObservable
from bit.processes import zh_undecayed

FEATURES = ("x_p", "x_eta")
TARGET = FunctionObservable("10 t", lambda table: 10.0 * bit.TrueScore("fB")(table))
POLYNOMIALS, RATIONALS = ("add", "sub", "mul", "square", "cube"), ("add", "sub", "mul", "div", "square", "cube")
_REPLICAS, _SEED = 100, 3

TEN_TERMS = (
    "-0.135 - 0.036*x_eta + 0.0021*x_p + 0.148*x_p**2 - 0.0079*x_p*x_eta + 0.0228*x_p**2*x_eta + 0.00136*x_eta**3"
    " - 0.0028*x_p**2*x_eta**2 - 0.0113*x_p*x_eta**3 + 0.0235*x_p**2*x_eta**3"
)
"""Form and values of Table 2."""
EQ_24 = (
    "0.01534*x_p - 0.1663 + 0.15*(x_eta + 15.99)"
    "/(1.5 + 5.0e5/(x_p*((x_p + 18.56)**4 - 1.255e5)*(0.427*(x_eta - 0.3238)**2 + 1.0)))"
)
"""With values near those of Eq. 25."""


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
    forms : dict of str to str
        Formulas of the paper, with values near those that fit.
    """

    f_b: float
    options: dict[str, Any]
    operators: tuple[str, ...]
    degrees: tuple[int, ...]
    published: dict[str, float]
    forms: dict[str, str] = field(default_factory=dict)


UP = {"quarks": ("u",), "photon": False}
SET_UPS = {
    "Z-0": SetUp(
        0.0,
        UP,
        POLYNOMIALS,
        (2, 3, 4),
        {"degree 2": 3.49e-3, "degree 3": 8.16e-4, "degree 4": 1.28e-4, "ten terms": 7.65e-5},
        {"ten terms": TEN_TERMS},
    ),
    "Z-10": SetUp(10.0, UP, RATIONALS, (2, 3, 4, 8), {"Eq. 24": 7.38e-5}, {"Eq. 24": EQ_24}),
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


def centred(table: bit.EventTable, like: bit.EventTable) -> FloatArray:
    """10 (t - <t>), the mean that of other events."""
    return TARGET(table) - float(like.weights[:, 0] @ TARGET(like)) / like.sigma_fb


@dataclass(frozen=True)
class Sample:
    """Events of a fit, and others."""

    train: bit.EventTable
    test: bit.EventTable

    def row(
        self, what: str, n_constants: int | str, predicted: list[FloatArray], published: float | None = None
    ) -> str:
        """Mean squared errors on both parts."""
        errors = [
            mean_squared_error(table.weights[:, 0], values - centred(table, self.train))
            for table, values in zip((self.train, self.test), predicted, strict=True)
        ]
        return table_row(what, (n_constants, *errors, f"{published:.3g}" if published else ""))

    def formula_row(self, what: str, formula: Expression, published: float | None = None) -> str:
        """The same of a formula."""
        return self.row(what, formula.n_constants, [formula(self.train), formula(self.test)], published)


def mean_squared_error(weight: FloatArray, residual: FloatArray) -> str:
    """With its standard error."""
    squared = residual**2
    copies = np.random.default_rng(_SEED).poisson(1.0, (_REPLICAS, len(weight))) * weight
    mean, error = weight @ squared / weight.sum(), (copies @ squared / copies.sum(axis=1)).std(ddof=1)
    return f"({1e4 * mean:.3g} ± {1e4 * error:.1g})·10⁻⁴"


def show_references(sample: Sample, set_up: SetUp) -> list[str]:
    """Polynomials and forms of the paper; what was removed from the latter."""
    mean = float(sample.train.weights[:, 0] @ TARGET(sample.train)) / sample.train.sigma_fb
    for degree in set_up.degrees:
        model = Polynomial(degree).fit(sample.train)
        predicted = [10.0 * model.predict(table)[:, 0] - mean for table in (sample.train, sample.test)]
        published = set_up.published.get(f"degree {degree}")
        print(sample.row(f"polynomial of degree {degree}", len(model.powers_), predicted, published), flush=True)
    trees = bit.BIT(300, leaf="linear", learning_rate=0.1, random_state=0).fit(sample.train)
    predicted = [10.0 * trees.predict(table)[:, 0] - mean for table in (sample.train, sample.test)]
    print(sample.row("300 trees with linear leaves", "", predicted), flush=True)
    removed: list[str] = []
    for name, text in set_up.forms.items():
        with warnings.catch_warnings(category=bit.BitWarning, action="ignore"):  # flat directions are shown below
            form, truth = Expression.parse(text, FEATURES), centred(sample.train, sample.train)
            found = refit(form, sample.train, truth, n_starts=1)
        print(sample.formula_row(f"{name} of the paper", found.expression, set_up.published[name]), flush=True)
        removed += [f"{name}: {message}" for message in found.removed]
    return removed


def best_of(front: ParetoFront, train: bit.EventTable, n_constants: int) -> Refit:
    """The best formula with so many constants at most, by the training events, fitted to these."""
    weight, truth = train.weights[:, 0], centred(train, train)
    few = [formula for formula in front if formula.n_constants <= n_constants]
    best = min(few, key=lambda formula: float(weight @ (formula(train) - truth) ** 2))
    return refit(best, train, truth, n_starts=1)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set-ups", nargs="+", choices=list(SET_UPS), default=list(SET_UPS))
    parser.add_argument("--events", type=int, default=100_000, help="for training, and as many to judge")
    parser.add_argument("--complexity", type=int, default=38, help="of the longest formula")
    parser.add_argument("--constants", type=int, default=10, help="at most, of the formula that is fitted")
    parser.add_argument("--restarts", type=int, default=6)
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
        sample = Sample(*(simulate(set_up, arguments.events, seed) for seed in (1, 2)))
        print(f"\n## {name}\n\n{table_row('formula', ('constants', 'MSE', 'MSE, other events', 'published'))}")
        print("|" + "---|" * 5)
        removed = show_references(sample, set_up)
        for what, value in set_up.published.items():
            if what.endswith("constants"):
                print(table_row(f"published, {what}", ("", "", "", f"{value:.3g}")))
        begin, used = time.perf_counter(), sum(os.times()[:4])
        front = distill(
            TARGET, sample.train, backend="operon", operators=set_up.operators, mean_subtracted=True, **settings
        )
        spent = time.perf_counter() - begin, sum(os.times()[:4]) - used
        for formula in front:
            print(sample.formula_row(f"`{formula}`", formula), flush=True)
        found = best_of(front, sample.train, arguments.constants)
        print(sample.formula_row("fitted once more", found.expression))
        print("\n".join(["", str(found), "", *removed, *found.removed]))
        print(f"\nSearch, polish and figures of merit: {spent[0]:.0f} s ({spent[1]:.0f} s of CPU)", flush=True)


if __name__ == "__main__":
    main()
