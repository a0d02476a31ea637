"""Formulas for the score of cHWtil in vector-boson fusion, beside those of arXiv:2109.10414 and arXiv:2507.05858.

    python benchmarks/distill_vbf.py [--parts front prefactor target interacting reach classifier backends]
                                     [--events 200000] [--seeds 1 2 3 4 5] [--trees 300] [--points 4000]
                                     [--restarts 4] [--backend operon] [--jobs 2] [--plot distill_vbf.png]

Events u d -> d u H with the cuts of arXiv:2109.10414; inputs are x1, x2 = pT/mH of the jets, Delta phi and |Delta eta|.
Mean squared errors are relative to that of Eq. 39 with parameters fitted again on the same events, since the events of
largest |t| dominate both. Errors of ratios are bootstrapped over the same events. Times are those of one search with
polish and figures of merit.

front : the score at f = 0, one search for each seed, whose events it also has; Eq. 39 fitted again.
prefactor : the same with quotients and hyperbolic cosines, beside what trees make of the same inputs.
target : formulas for trees and for the score, of partons and of smeared jets, judged on other events; constants of one
    form on both samples.
interacting : the score at f = 1 from sqrt(x1 x2), sin(Delta phi) and |Delta eta|.
reach : half-widths of expected intervals from 100 events, relative to those of the score; SALLY where PyTorch is.
classifier : formulas for a classifier of events at c = 1 against c = -1, smeared jets: expected significance of c = 1.
backends : fronts of all backends that can run, in one figure.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from _formulas import Spent, front_rows, heading, pair, ratios, row, squared_error, timed
from papers import reach
from papers import vbf as papers
from papers.rows import jackknife

import bit
from bit.baselines import ONN, SALLY
from bit.basis import FloatArray
from bit.distill import ParetoFront, Refit, distill, refit
from bit.errors import MissingPackageError
from bit.expression import Expression
from bit.inference import choose_edges
from bit.metrics import rho2
from bit.observables import FunctionObservable, Observable
from bit.plotting.style import COLOURS, MARKERS, figure, save, style
from bit.processes.hvv import Electroweak

TERM = papers.TERM
CONSTANTS = Electroweak()
INPUTS = ("x1", "x2", "dphi_jj", "deta_jj")
INTERACTING_INPUTS = ("x_times", "sin_dphi", "deta_jj")
PARITY = bit.CPParity(flip=("dphi_jj",), odd_params=(TERM,))
SCORE = bit.TrueScore(TERM, odd=True)
OPERATORS = ("add", "sub", "mul", "sin")
"""Those of the paper but for squares and cubes, which are products."""

EQ_39 = "x1*(x2 + 0.2)*(1.2 - 0.1*deta_jj)*sin(dphi_jj + 0.001)"
PRODUCT = "x1*x2*sin(dphi_jj)"
EIGHT_NODES = "(x1 - 0.1)*x2*sin(dphi_jj)"
WITHIN = {10: 1.75, 16: 1.05, 22: 0.92}
"""Complexity, and the error relative to Eq. 39 that should be reached."""
PUBLISHED = {"(a - x1) x2 sin(dphi)": (8, 1.61e-2 / 8.50e-3), "Eq. 39": (16, 1.0), "seven parameters": (28, 0.96)}
BULK = 3.0
"""Of |t|: errors below are not those of a few events."""


# ---------------------------------------------------------------------- what is done once
@dataclass(frozen=True)
class Study:
    """Settings, and what several parts need.

    Parameters
    ----------
    n_events, n_trees, n_points, n_restarts, n_jobs : int
        Events of each sample, trees, rows and restarts of searches, threads.
    seeds : tuple of int
        Of samples and searches.
    backend : str
        Of the searches.
    plot : Path
        The figure.
    """

    n_events: int
    n_trees: int
    n_points: int
    n_restarts: int
    n_jobs: int
    seeds: tuple[int, ...]
    backend: str
    plot: Path

    def table(self, seed: int, *, smear: bool = False) -> bit.EventTable:
        """Events at f = 0."""
        return papers.sample(self.n_events, seed, smear=smear).table

    @property
    def test_seed(self) -> int:
        """Of events that judge."""
        return max(self.seeds) + 1

    def search(self, target: Any, table: bit.EventTable, seed: int = 1, **changes: Any) -> tuple[ParetoFront, Spent]:
        """A front, and the time it took."""
        options: dict[str, Any] = {
            "operators": OPERATORS,
            "features": INPUTS,
            "backend": self.backend,
            "cp_parity": PARITY,
            "n_points": self.n_points,
            "n_restarts": self.n_restarts,
            "random_state": seed,
            "n_jobs": self.n_jobs,
        }
        with timed() as spent:
            front = distill(target, table, **{**options, **changes})
        return front, spent

    def forest(self, table: bit.EventTable) -> bit.BIT:
        """Trees of the same inputs, odd under CP."""
        model = bit.BIT(self.n_trees, learning_rate=0.1, terms=[TERM], cp_parity=PARITY, n_jobs=self.n_jobs)
        return model.fit(table.select(features=INPUTS, aux=[]))

    @cached_property
    def partons(self) -> Pair:
        """What belongs to partons."""
        return Pair(self, smear=False)

    @cached_property
    def smeared(self) -> Pair:
        """What belongs to smeared jets."""
        return Pair(self, smear=True)


@dataclass(frozen=True)
class Pair:
    """Training and test events, a forest, and fronts for it and for the score."""

    study: Study
    smear: bool

    @cached_property
    def train(self) -> bit.EventTable:
        """Events of the first seed."""
        return self.study.table(self.study.seeds[0], smear=self.smear)

    @cached_property
    def test(self) -> bit.EventTable:
        """Other events."""
        return self.study.table(self.study.test_seed, smear=self.smear)

    @cached_property
    def model(self) -> bit.BIT:
        """The trees."""
        return self.study.forest(self.train)

    @cached_property
    def of_forest(self) -> tuple[ParetoFront, Spent]:
        """Formulas for the trees."""
        return self.study.search(self.model, self.train, param=TERM, valid=self.test)

    @cached_property
    def of_score(self) -> tuple[ParetoFront, Spent]:
        """Formulas for the score."""
        return self.study.search(SCORE, self.train, valid=self.test)


def expression(text: str) -> Expression:
    return Expression.parse(text, INPUTS, name="formula", odd=True, term=(TERM,))


def eq_39(table: bit.EventTable, **options: Any) -> Refit:
    return refit(expression(EQ_39), table, SCORE, **options)


def relative(
    table: bit.EventTable, formulas: list[Observable], reference: Observable, most: float = np.inf
) -> list[tuple[float, float]]:
    """Errors of formulas relative to that of another one, over events with |t| below a bound."""
    truth = SCORE(table)
    part = np.abs(truth) < most
    errors = [squared_error(formula(table), truth)[part] for formula in [*formulas, reference]]
    return ratios(table.weights[part, 0], errors[:-1], errors[-1])


# ---------------------------------------------------------------------- parts
def show_front(study: Study) -> None:
    print(f"**Score at f = 0**: MSE relative to Eq. 39 fitted again, for |t| < {BULK:g} in brackets\n")
    limits = [f"complexity <= {size} (<= {most})" for size, most in WITHIN.items()]
    print(heading("seed", "MSE of Eq. 39", EIGHT_NODES, *limits, "time"))
    fronts, fitted = [], []
    for seed in study.seeds:
        table = study.table(seed)
        reference = eq_39(table)
        simple = refit(expression(EIGHT_NODES), table, SCORE, n_starts=1)
        front, spent = study.search(SCORE, table, seed)
        chosen = [simple.expression, *(front.at(size) for size in WITHIN)]
        cells = [
            f"{pair(whole)} ({pair(bulk)})"
            for whole, bulk in zip(
                relative(table, chosen, reference.expression),
                relative(table, chosen, reference.expression, BULK),
                strict=True,
            )
        ]
        print(row(seed, f"{reference.mse:.3e}", *cells, spent), flush=True)
        fronts.append(front)
        fitted.append(reference)
    print(f"\nFront of seed {study.seeds[0]}:\n\n" + heading("complexity", "MSE/Eq. 39", "rho²", "formula"))
    print("\n".join(front_rows(fronts[0], fitted[0].mse)))
    print("\nEq. 39, f = -cHWtil, fitted again:\n\n" + heading("", *"abcd"))
    print(row("published", *papers.EQ_39.start))
    print(row("independent calculation", *papers.EQ_39_REFERENCE))
    for seed, found in zip(study.seeds, fitted, strict=True):
        # In the text the order is c, a, b, d.
        numbers = [pair((found.values[k], found.errors[k]), 4) for k in (1, 2, 0, 3)]
        print(row(f"seed {seed}", *numbers))


def show_prefactor(study: Study) -> None:
    """Beside sums and products."""
    print("**Quotients and hyperbolic cosines**: MSE relative to Eq. 39 on other events\n")
    train, test = study.partons.train, study.partons.test
    reference = eq_39(train, n_starts=1).expression
    rich, spent = study.search(
        SCORE,
        train,
        valid=test,
        operators=(*OPERATORS, "div", "cosh", "cos"),
        max_complexity=40,
        n_restarts=2 * study.n_restarts,
    )
    plain, _ = study.partons.of_score
    contenders: dict[str, Observable] = {
        f"sums, products, sines, <= {size}": plain.at(size) for size in (*WITHIN, 30)
    } | {f"with quotients, cosh and cos, <= {size}": rich.at(size) for size in (*WITHIN, 30, 40)}
    contenders["trees"] = study.partons.model.observable(TERM)
    contenders["exact score, with rapidities"] = FunctionObservable("exact", exact_score, odd=True)
    print(heading("", "MSE/Eq. 39", f"|t| < {BULK:g}", "rho² with the score", "formula"))
    whole = relative(test, list(contenders.values()), reference)
    bulk = relative(test, list(contenders.values()), reference, BULK)
    for (label, one), every, small in zip(contenders.items(), whole, bulk, strict=True):
        text = f"`{one}`" if isinstance(one, Expression) else ""
        print(row(label, pair(every), pair(small), f"{correlation(one, test):.4f}", text))
    print(f"\nsearch with quotients: {spent}", flush=True)


def exact_score(table: bit.EventTable) -> FloatArray:
    """Score of cHWtil of u d -> d u H from the momenta, by Eq. 35 of arXiv:2109.10414 with the prefactor 2.

    t = (2 v^2/mW^2) [1 + (k1.k2)/(pa.pb)] pT1 pT2 sin(dphi) in TeV^2, with k1.k2 = s/2 of the incoming quarks. Quarks
    that turn back have the opposite sign; they count for up to some per cent where |Delta eta| is 2, and are left out.
    """
    at = papers.columns_of(table)
    pt, rapidity = (at["pt_j1"], at["pt_j2"], at["pt_h"]), (at["eta_j1"], at["eta_j2"], at["y_h"])
    mass = pt[0], pt[1], np.hypot(pt[2], CONSTANTS.m_h)
    forward = sum(m * np.exp(y) for m, y in zip(mass, rapidity, strict=True))
    backward = sum(m * np.exp(-y) for m, y in zip(mass, rapidity, strict=True))
    jets = pt[0] * pt[1] * (np.cosh(at["deta_jj"]) - np.cos(at["dphi_jj"]))
    scale = 2.0 * (CONSTANTS.vev / CONSTANTS.m_w) ** 2 * 1e-6
    return np.asarray(scale * (1.0 + 0.5 * forward * backward / jets) * pt[0] * pt[1] * np.sin(at["dphi_jj"]))


def correlation(observable: Observable, table: bit.EventTable) -> float:
    """Squared correlation with the score."""
    return float(rho2(SCORE(table), observable(table), table.weights[:, 0]))


def show_target(study: Study) -> None:
    print("**Trees or score as target**: on other events; limits at 95 % from 100 events, 20 bins\n")
    sizes = (10, 16, 20, 30)
    for label, pair_of in (("partons", study.partons), ("smeared jets", study.smeared)):
        test, forest = pair_of.test, pair_of.model.observable(TERM)
        fronts = {"trees": pair_of.of_forest, "score": pair_of.of_score}
        contenders: dict[str, Observable] = {"score": SCORE, "trees": forest}
        for what, (front, _) in fronts.items():
            contenders |= {f"formula for the {what}, <= {size}": front.at(size) for size in sizes}
        learned = correlation(forest, test)
        over_score = over_first(test, contenders, (reach.CHI2_95,))
        print(heading(label, "rho² with the score", "of that of the trees", "limit over that of the score"))
        for (name, one), limit in zip(contenders.items(), over_score, strict=True):
            found = correlation(one, test)
            print(row(name, f"{found:.4f}", f"{found / learned:.4f}", pair(limit)))
        for what, (front, spent) in fronts.items():
            print(f"\n{label}, {what}, {spent}:\n\n" + heading("complexity", "MSE", "rho²", "formula"))
            print("\n".join(front_rows(front)), flush=True)
            if "advice" in front.config:
                print(f"\nAdvice: {front.config['advice']}", flush=True)
        print()
    show_pulls(study)


def slim(table: bit.EventTable) -> bit.EventTable:
    """What formulas and trees of `INPUTS` need."""
    return table.select(features=INPUTS, aux=[])


def show_pulls(study: Study) -> None:
    """One form on both samples, and three in order of their errors, as in Tables 10 and 11."""
    formula = study.partons.of_forest[0].at(20)
    partons, smeared = (refit(formula, pair_of.test, SCORE) for pair_of in (study.partons, study.smeared))
    print(f"`{formula}` fitted again, errors {partons.mse:.3e} and {smeared.mse:.3e}:\n")
    print(heading("partons", "smeared jets", "pull"))
    for index, pull in enumerate(smeared.pulls(partons)):
        values = (pair((found.values[index], found.errors[index]), 4) for found in (partons, smeared))
        print(row(*values, f"{pull:.1f}"))
    print("\n" + heading("MSE", "partons", "smeared jets"))
    forms = {"sin(dphi)": "0.4*sin(dphi_jj)", "x1 x2 sin(dphi)": f"0.9*{PRODUCT}", "Eq. 39": EQ_39}
    for label, form in {**forms, "formula": str(formula)}.items():
        found = [
            refit(expression(form), pair_of.test, SCORE, n_starts=1).mse for pair_of in (study.partons, study.smeared)
        ]
        print(row(label, *(f"{mse:.3e}" for mse in found)), flush=True)


def show_interacting(study: Study) -> None:
    print("\n**Score at f = 1** from sqrt(x1 x2), sin(dphi) and |Delta eta|\n")
    train, test = (papers.sample(study.n_events, seed, f=1.0).table for seed in (study.seeds[0], study.test_seed))
    names = INTERACTING_INPUTS
    model = bit.BIT(study.n_trees, learning_rate=0.1, terms=[TERM], n_jobs=study.n_jobs)
    model.fit(train.select(features=names, aux=[]))
    front, spent = study.search(
        bit.TrueScore(TERM),
        train,
        valid=test,
        features=names,
        cp_parity=None,
        operators=("add", "sub", "mul", "div"),
        max_complexity=40,
        n_restarts=2 * study.n_restarts,
    )
    truth, nominal = bit.TrueScore(TERM)(test), test.weights[:, 0]
    variance = float(nominal @ (truth - nominal @ truth / nominal.sum()) ** 2 / nominal.sum())
    found = papers.fitted(train, papers.EQ_41)
    columns = papers.columns_of(test)
    seen = {
        "Eq. 41 fitted again": -papers.eq41(columns, *found.values),
        "trees": model.observable(TERM)(test),
        **{f"formula <= {size}": front.at(size)(test) for size in (10, 16, 22, 30, 40)},
    }
    best = float(rho2(truth, seen["trees"], nominal))
    print(f"Eq. 41: MSE {found.mse:.4f} on its own events\n\n" + heading("", "MSE", "rho²", "of that of the trees"))
    print(row("variance", f"{variance:.4f}", "", ""))
    for label, values in seen.items():
        mse = float(nominal @ squared_error(values, truth) / nominal.sum())
        kept = float(rho2(truth, values, nominal))
        print(row(label, f"{mse:.4f}", f"{kept:.4f}", f"{kept / best:.4f}"))
    print(f"\n{spent}:\n\n" + heading("complexity", "MSE", "rho²", "formula"))
    print("\n".join(front_rows(front)), flush=True)


def show_reach(study: Study) -> None:
    print("\n**Reach**: half-widths of intervals from 100 events, 20 bins, relative to those of the score\n")
    test, of_forest = study.partons.test, study.partons.of_forest[0]
    compared: dict[str, Observable] = {
        "sin(dphi)": expression("sin(dphi_jj)"),
        "pT1 pT2 sin(dphi)": expression(PRODUCT),
        **{f"formula <= {size}": of_forest.at(size) for size in (10, 16, 22, 30)},
        "trees": study.partons.model.observable(TERM),
    }
    if find_spec("torch") is not None:
        network = SALLY(cp_parity=PARITY, random_state=1, n_jobs=study.n_jobs)
        compared["SALLY"] = network.fit(slim(study.partons.train)).observable(TERM)
    contenders = {"score": SCORE, **compared}
    found = over_first(test, contenders, (1.0, 4.0))
    print(heading("", "1 sigma", "2 sigma"))
    for label, one, two in zip(contenders, found[::2], found[1::2], strict=True):
        print(row(label, pair(one), pair(two)), flush=True)


def over_first(
    test: bit.EventTable, contenders: Mapping[str, Observable], levels: tuple[float, ...]
) -> list[tuple[float, float]]:
    """Half-widths relative to those of the first at rises of -2 ln L, all levels of one after the other; jackknife."""
    # Values are found once; groups of the jackknife are rows of them.
    values = np.stack([one(test) for one in contenders.values()], axis=-1)
    table = bit.EventTable(values, test.weights, test.basis, feature_names=tuple(contenders))

    def numbers(part: bit.EventTable) -> FloatArray:
        sums = [reach.odd_histogram(part, TERM, part.column(name)) for name in part.feature_names]
        widths = [[reach.limit(one, papers.EVENTS_OF_THE_REACH, level) for level in levels] for one in sums]
        return np.ravel(np.array(widths) / np.array(widths[0]))

    return list(zip(numbers(table).tolist(), jackknife(numbers, table).tolist(), strict=True))


# ---------------------------------------------------------------------- a classifier as target
def odd_classifier(table: bit.EventTable, study: Study) -> FunctionObservable:
    """P_+ - P_- of events at c = 1 and c = -1, odd; each event and its image is in one of the two samples only."""
    halves = slim(table).split((0.5, 0.5), seed=1)
    positive, negative = (
        half.with_cp_mirror(PARITY).rebase({TERM: c}) for half, c in zip(halves, (1.0, -1.0), strict=True)
    )
    model = ONN(n_estimators=study.n_trees, random_state=1, n_jobs=study.n_jobs).fit_classes(positive, negative)

    def value(at: bit.EventTable) -> FloatArray:
        features = np.stack([at.column(name) for name in INPUTS], axis=-1)
        return np.asarray(0.5 * (model.predict(features) - model.predict(PARITY.mirror(features, INPUTS))))

    return FunctionObservable("classifier", value, odd=True)


def show_classifier(study: Study) -> None:
    print(
        "\n**Classifier of c = 1 against c = -1**, smeared jets: significance of c = 1 relative to pT1 pT2 sin(dphi)\n"
    )
    train, test, forest = study.smeared.train, study.smeared.test, study.smeared.model
    classifier = odd_classifier(train, study)
    search = partial(
        study.search, classifier, train, param=TERM, valid=test, operators=(*OPERATORS, "tanh"), max_complexity=30
    )
    fronts = {study.backend: search()}
    if study.backend != "symbolnet" and find_spec("torch") is not None:
        fronts["symbolnet"] = search(backend="symbolnet")
    contenders: dict[str, Observable] = {"pT1 pT2 sin(dphi)": expression(PRODUCT), "classifier": classifier}
    for name, (front, _) in fronts.items():
        contenders |= {f"{name} <= {size}": front.at(size) for size in (10, 20, 30)}
    contenders |= {"trees": forest.observable(TERM), "score": SCORE}
    values = significances(train, test, contenders)
    reference = values["pT1 pT2 sin(dphi)"]
    print(heading("", "significance, 100 events", "relative", "rho² with the classifier"))
    target, nominal = classifier(test), test.weights[:, 0]
    for label, found in values.items():
        ratio = (found[0] / reference[0], float((found[1:] / reference[1:]).std(ddof=1)))
        print(row(label, f"{found[0]:.3f}", pair(ratio), f"{rho2(target, contenders[label](test), nominal):.4f}"))
    for name, (front, spent) in fronts.items():
        print(f"\n{name}, {spent}:\n\n" + heading("complexity", "MSE", "rho² with the score", "formula"))
        print("\n".join(front_rows(front)), flush=True)


def significances(
    train: bit.EventTable, test: bit.EventTable, contenders: Mapping[str, Observable], n_replicas: int = 50
) -> dict[str, FloatArray]:
    """Of c = 1 against the SM from the shapes of 20 bins, then those of bootstrapped events."""
    counts = np.random.default_rng(3).poisson(1.0, (n_replicas, test.n_events))
    copies = np.concatenate([np.ones((1, test.n_events)), counts])
    at_one, at_zero = test.at({TERM: 1.0}), test.at({TERM: 0.0})
    mirrored = test.at({TERM: -1.0})
    found = {}
    for label, observable in contenders.items():
        (edges,) = choose_edges(train, observable, reach.N_BINS, symmetric=True)
        values = observable(test)
        here, image = (np.searchsorted(edges[1:-1], sign * values, side="right") for sign in (1.0, -1.0))
        n_bins = len(edges) - 1

        def significance(copy: FloatArray, here: Any = here, image: Any = image, n_bins: int = n_bins) -> float:
            signal = np.bincount(here, copy * at_one, n_bins) + np.bincount(image, copy * mirrored, n_bins)
            standard = np.bincount(here, copy * at_zero, n_bins) + np.bincount(image, copy * at_zero, n_bins)
            signal, standard = (100.0 * part / part.sum() for part in (signal, standard))
            return float(np.sqrt(2.0 * (signal @ np.log(signal / standard))))

        found[label] = np.array([significance(copy) for copy in copies])
    return found


# ---------------------------------------------------------------------- backends
def show_backends(study: Study) -> None:
    print("\n**Backends**: MSE relative to Eq. 39 fitted again, on the events of the search\n")
    table = study.table(study.seeds[0])
    reference = eq_39(table, n_starts=1)
    fronts: dict[str, ParetoFront] = {}
    print(heading("backend", *(f"complexity <= {size}" for size in (*WITHIN, 30)), "time"))
    for backend in ("pysr", "operon", "symbolnet"):
        try:
            front, spent = study.search(SCORE, table, backend=backend)
        except MissingPackageError as error:
            print(row(backend, *("" for _ in (*WITHIN, 30)), str(error).split(". ")[0]), flush=True)
            continue
        fronts[backend] = front
        found = relative(table, [front.at(size) for size in (*WITHIN, 30)], reference.expression)
        print(row(backend, *(pair(one) for one in found), spent), flush=True)
    draw(fronts, reference.mse, study.plot)
    for backend, front in fronts.items():
        print(f"\n{backend}:\n\n" + heading("complexity", "MSE/Eq. 39", "rho²", "formula"))
        print("\n".join(front_rows(front, reference.mse)), flush=True)


def draw(fronts: Mapping[str, ParetoFront], unit: float, path: Path) -> None:
    """Errors relative to that of Eq. 39 against complexity, with the published formulas."""
    with style():
        fig = figure(7.0, 4.8)
        panel = fig.subplots()
        for (backend, front), colour, marker in zip(fronts.items(), COLOURS, MARKERS, strict=False):
            error = front.column("mse") / unit
            panel.step(front.complexity, error, where="post", color=colour)
            panel.plot(front.complexity, error, ls="none", marker=marker, color=colour, label=backend)
        x, y = zip(*PUBLISHED.values(), strict=True)
        panel.plot(x, y, ls="none", marker="*", ms=13, color="black", label="arXiv:2109.10414")
        panel.axhline(1.0, color="0.6", lw=0.8, zorder=0)
        panel.set_yscale("log")
        panel.set_xlabel("complexity")
        panel.set_ylabel("mean squared error / that of Eq. 39")
        panel.legend()
    save(fig, path)


PARTS: dict[str, Callable[[Study], None]] = {
    "front": show_front,
    "prefactor": show_prefactor,
    "target": show_target,
    "interacting": show_interacting,
    "reach": show_reach,
    "classifier": show_classifier,
    "backends": show_backends,
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--points", type=int, default=4000)
    parser.add_argument("--restarts", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--backend", choices=("pysr", "operon", "symbolnet"), default="operon")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--plot", type=Path, default=Path("distill_vbf.png"))
    return parser.parse_args()


def main() -> None:
    given = parse_arguments()
    study = Study(
        n_events=given.events,
        n_trees=given.trees,
        n_points=given.points,
        n_restarts=given.restarts,
        n_jobs=given.jobs,
        seeds=tuple(given.seeds),
        backend=given.backend,
        plot=given.plot,
    )
    for part in given.parts:
        PARTS[part](study)
        print(flush=True)


if __name__ == "__main__":
    main()
