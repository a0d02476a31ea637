"""Formulas for CP violation in h -> 2e2mu, distilled from trees, and their limits beside those of arXiv:2112.05052.

    python benchmarks/distill_h4l.py [--coefficients cHWBtil cHBtil cHWtil] [--features phi_4l m12 m34]
                                     [--events 50000] [--trees 200] [--complexity 24] [--restarts 4] [--seed 0]
                                     [--jobs 2] [--plot data/h4l_formula.png]

Trees with linear leaves learn R of one coefficient from Phi_4l, m12, m34, cos theta1 and cos theta2; the search sees
their output and the named features, and keeps formulas that are odd under CP by their form. Limits are those of
benchmarks/onn.py, for the same N: linear terms only, 95 % CL, 20 equally probable bins from the training events, sums
from other events and their CP images; errors of ratios are bootstrapped for both observables alike.

Front: squared correlation with the score, share of the information in the score that bins of the formula keep, and
limits relative to that of the score. Of the front, the shortest formulas are taken whose limits on the training events
are within 5 % and within 1 % of that of the trees. Their constants are fitted to the trees, and again to the score
itself. The figure shows means of R, times the sign of Phi_4l as a function of masses.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onn
from _expected import Experiment, table_row, upper_limit, with_error
from papers.rows import mean_and_error

import bit
from bit.basis import FloatArray
from bit.classic import classic
from bit.distill import ParetoFront, distill, refit
from bit.expression import Expression
from bit.observables import Observable
from bit.plotting import feature_label, panels, param_label, save, style
from bit.plotting.style import COLOURS, DASHES, GREY
from bit.processes import h4l

INPUTS = ("phi_4l", "m12", "m34", "cos_theta1", "cos_theta2")
OPERATORS = ("add", "sub", "mul", "div", "square", "sin")
"""Quotients for the poles of the photon, the sine for the angle."""
CLOSE = (1.05, 1.01)
"""Limits of the formulas that are taken over that of the trees, at most."""
MASS_EDGES = np.array([50.0, 60.0, 68.0, 75.0, 80.0, 84.0, 86.5, 88.5, 90.0, 91.5, 93.0, 95.0, 98.0, 106.0])
SMALL_MASS_EDGES = np.array([12.0, 14.0, 16.0, 18.0, 20.0, 22.5, 25.0, 27.5, 30.0, 33.0, 37.0, 45.0])
ANGLE_EDGES = np.linspace(-np.pi, np.pi, 13)
LATEX = {feature.name: feature.latex for feature in h4l.FEATURES}
LIGHT = 75.0
"""The figure's panels of m34 and of the angle hold events with m12 below, GeV."""


def parity_of(features: tuple[str, ...]) -> bit.CPParity:
    """CP for these features."""
    flip = tuple(name for name in h4l.CP_PARITY.flip if name in features)
    return bit.CPParity(flip=flip, odd_params=h4l.CP_PARITY.odd_params)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print the time of a block, of all threads and processes."""
    begin, used = time.perf_counter(), sum(os.times()[:4])
    yield
    print(f"{what}: {time.perf_counter() - begin:.0f} s ({sum(os.times()[:4]) - used:.0f} s of CPU)", flush=True)


# ---------------------------------------------------------------------- formulas
def trees(train: bit.EventTable, name: str, n_trees: int, n_jobs: int) -> bit.BIT:
    model = bit.BIT(n_trees, terms=[name], max_depth=5, leaf="linear", cp_parity=parity_of(INPUTS), n_jobs=n_jobs)
    return model.fit(train.select(features=INPUTS))


def formulas(model: bit.BIT, name: str, at: Experiment, settings: dict[str, Any]) -> ParetoFront:
    """The front of one coefficient, judged on the test events."""
    return distill(model, at.train, param=name, backend="operon", operators=OPERATORS, valid=at.test, **settings)


def chosen(front: ParetoFront, model: bit.BIT, name: str, at: Experiment) -> list[Expression]:
    """The shortest formulas that limit nearly as well as the trees, by the training events."""
    seen = Experiment(at.train, at.train, at.parity, at.lumi_fb)
    of_trees = upper_limit(seen.template(model.observable(name), name), name)
    ratios = [upper_limit(seen.template(formula, name), name) / of_trees for formula in front]
    taken = [next((f for f, ratio in zip(front, ratios, strict=True) if ratio <= close), front[-1]) for close in CLOSE]
    return list(dict.fromkeys(taken))


def show_front(front: ParetoFront, name: str, at: Experiment, taken: list[Expression]) -> None:
    of_score = upper_limit(at.template(onn.score(name), name), name)
    print("\n" + table_row("complexity", ("ρ²", "information", "limit / score", "formula")) + "\n|" + "---|" * 5)
    for formula, found in zip(front, front.figures, strict=True):
        ratio = upper_limit(at.template(formula, name), name) / of_score
        mark = "**" if formula in taken else ""
        cells = (f"{found.rho2:.3f}", f"{found.information:.3f}", f"{ratio:.3f}", f"{mark}`{formula}`{mark}")
        print(table_row(str(formula.complexity), cells), flush=True)


def show_constants(formula: Expression, model: bit.BIT, name: str, train: bit.EventTable) -> None:
    of_trees, of_score = (refit(formula, train, target) for target in (model.observable(name), onn.score(name)))
    print("\n" + table_row(f"constants of `{formula}`", ["trees", "score"]) + "\n|---|---|---|")
    for k, pair in enumerate(zip(of_trees.values, of_trees.errors, of_score.values, of_score.errors, strict=True)):
        print(table_row(str(k + 1), (f"{pair[0]:.5g} ± {pair[1]:.2g}", f"{pair[2]:.5g} ± {pair[3]:.2g}")))


def show_symmetry(formula: Expression, test: bit.EventTable) -> None:
    parity = parity_of(formula.features)
    values, images = (formula(table) for table in (test, mirrored(test)))
    print(
        f"\ncp_sign {formula.cp_sign(parity)}, complexity {formula.complexity}, {formula.n_constants} constants, "
        f"max |f(x) + f(Cx)| = {np.abs(values + images).max():.1g}",
        flush=True,
    )


def mirrored(table: bit.EventTable) -> bit.EventTable:
    """The CP images alone."""
    return table.with_cp_mirror(onn.PARITY).take(slice(table.n_events, None))


def show_limits(found: dict[str, list[Expression]], models: dict[str, bit.BIT], at: Experiment) -> None:
    columns = ("Φ₄ℓ", "Φ₄ℓ × m₁₂", "formula", "BIT", "score", "formula / score", "formula / BIT", "formula / Φ₄ℓ × m₁₂")
    print("\n" + table_row("", columns) + "\n|" + "---|" * (len(columns) + 1))
    for name, formulas in found.items():
        angle, both = (
            at.limit(classic(seen), name, edges)
            for seen, edges in (("phi_4l", onn.PHI_EDGES), ("phi_4l,m12", onn.PHI_MASS_EDGES))
        )
        learned, true = (at.limit(seen, name) for seen in (models[name].observable(name), onn.score(name)))
        for formula in formulas:
            own = at.limit(formula, name)
            limits = [f"{limit.value:.2f}" for limit in (angle, both, own, learned, true)]
            ratios = [with_error(own.over(other)) for other in (true, learned, both)]
            print(table_row(f"{name}, complexity {formula.complexity}", [*limits, *ratios]), flush=True)


# ---------------------------------------------------------------------- figure
def means(test: bit.EventTable, values: FloatArray, feature: str, edges: FloatArray) -> FloatArray:
    """Means and errors in ranges of a feature, shape (2, n_ranges)."""
    column, found = test.column(feature), []
    for low, high in pairwise(edges):
        inside = (column >= low) & (column < high)
        weight = test.weights[inside, 0]
        found.append(mean_and_error(weight / weight.sum(), values[inside]))
    return np.array(found).T


def draw(path: Path, name: str, formulas: list[Expression], model: bit.BIT, test: bit.EventTable) -> None:
    fig, (axes,) = panels(3, 1, width=4.6, height=4.2)
    light = test.take(np.flatnonzero(test.column("m12") < LIGHT))
    shown: tuple[tuple[str, FloatArray, bit.EventTable, bool], ...] = (
        ("m12", MASS_EDGES, test, True),
        ("m34", SMALL_MASS_EDGES, light, True),
        ("phi_4l", ANGLE_EDGES, light, False),
    )
    with style():
        for axis, (feature, edges, table, folded) in zip(axes, shown, strict=True):
            sign = np.sign(table.column("phi_4l")) if folded else 1.0
            middle, half = 0.5 * (edges[1:] + edges[:-1]), 0.5 * np.diff(edges)
            truth, error = means(table, sign * onn.score(name)(table), feature, edges)
            axis.errorbar(middle, truth, error, half, fmt="o", markersize=4, color=GREY, label="simulation")
            lines: list[tuple[str, Observable]] = [("BIT", model.observable(name))]
            lines += [(f"formula, {formula.n_constants} constants", formula) for formula in formulas]
            for (what, seen), colour, dashes in zip(lines, COLOURS, DASHES, strict=False):
                values, _ = means(table, sign * seen(table), feature, edges)
                axis.stairs(values, edges, baseline=None, color=colour, linewidth=2.0, linestyle=dashes, label=what)
            axis.axhline(0.0, color=GREY, linewidth=0.8)
            unit = "GeV" if feature.startswith("m") else ""
            axis.set(
                xlabel=feature_label(feature, LATEX[feature], unit),
                xlim=(edges[0], edges[-1]),
                ylabel=r"$\langle R$ sign $\Phi_{4\ell}\rangle$ [TeV$^2$]"
                if folded
                else r"$\langle R\rangle$ [TeV$^2$]",
                title=f"${param_label(name)}$" + ("" if feature == "m12" else rf", $m_{{12}} < {LIGHT:g}$ GeV"),
            )
        axes[0].legend(loc="lower right")
    save(fig, path, dpi=100)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coefficients", nargs="+", choices=list(onn.PUBLISHED), default=list(onn.PUBLISHED))
    parser.add_argument("--features", nargs="+", choices=INPUTS, default=["phi_4l", "m12", "m34"])
    parser.add_argument("--events", type=int, default=50_000, help="for training, and as many for the limits")
    parser.add_argument("--trees", type=int, default=200)
    parser.add_argument("--complexity", type=int, default=24, help="of the longest formula")
    parser.add_argument("--restarts", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the search")
    parser.add_argument("--replicas", type=int, default=100, help="bootstrap samples behind the errors of ratios")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--plot", type=Path, help="figure of the first coefficient")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    with timed("simulation"):
        train, test = (onn.simulate(arguments.events, seed) for seed in (1, 2))
    at = onn.experiment(train, test, arguments.replicas)
    print(f"N = {at.n_expected:.1f} events", flush=True)
    settings: dict[str, Any] = {
        "features": arguments.features,
        "max_complexity": arguments.complexity,
        "n_restarts": arguments.restarts,
        "random_state": arguments.seed,
        "n_jobs": arguments.jobs,
    }
    found: dict[str, list[Expression]] = {}
    models: dict[str, bit.BIT] = {}
    for name in arguments.coefficients:
        print(f"\n## {name}\n")
        with timed("trees"):
            models[name] = trees(train, name, arguments.trees, arguments.jobs)
        with timed("search, polish and figures of merit"):
            front = formulas(models[name], name, at, settings)
        found[name] = chosen(front, models[name], name, at)
        show_front(front, name, at, found[name])
        for formula in found[name]:
            show_symmetry(formula, test)
            show_constants(formula, models[name], name, train)
    show_limits(found, models, at)
    if arguments.plot:
        first = arguments.coefficients[0]
        draw(arguments.plot, first, found[first], models[first], test)


if __name__ == "__main__":
    main()
