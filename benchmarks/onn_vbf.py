"""Classifiers against the score in vector-boson fusion: limits on cHWtil, beside those of arXiv:2112.05052.

    python benchmarks/onn_vbf.py [--events 100000] [--trees 300]

Upper limits on cHWtil, linear terms only, 95 % CL, from N events of the Standard Model with cuts as for H -> tau tau
and all quarks, in 20 equally probable bins. N is such that Delta phi_jj limits cHWtil to 0.60, as published. Bins come
from the training events, sums from other events and their CP images; errors of ratios are those of these events,
bootstrapped for both observables alike. "Sign of the score" is an ideal classifier of two classes. Then the same with
smeared jets at the same luminosity; the score, that of the partons, then is a bound that no function of what is
measured reaches.

Last, classifiers of signals against the Standard Model as observables of the linear effect, for smeared jets: the
likelihood-ratio trick with one point of cHWtil, with mixtures of points of both coefficients in equal shares as they
are used to train one classifier for all, and with both signs, whose linear effects cancel.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from _expected import Experiment, Limit, table_row, with_error

import bit
from bit.baselines import ONN, RatioTrick
from bit.classic import classic
from bit.observables import FunctionObservable, Observable
from bit.processes import vbf

TERM = "cHWtil"
LIMIT_OF_THE_ANGLE = 0.60
PUBLISHED = ("0.60", "0.66", "0.42", "", "", "")
"""Delta phi_jj, binary, multi-class: arXiv:2112.05052, Table II."""
COLUMNS = ("Δφ_jj", "O_NN, two classes", "O_NN, three classes", "BIT", "sign of the score", "score")
FEATURES = ("dphi_jj", "pt_j1", "pt_j2", "deta_jj", "m_jj", "pt_h", "y_h")
PARITY = bit.CPParity(flip=("dphi_jj",), odd_params=(TERM,))
SIGN_EDGES = np.array([-2.0, 0.0, 2.0])
SIZE = 0.5
"""Of the coefficients of a signal, in TeV^-2: what the experiment can just tell from the Standard Model."""
SIGNALS: dict[str, list[dict[str, float]]] = {
    "cHWtil": [{TERM: SIZE}],
    "cHWtil and cHW": [{TERM: SIZE}, {"cHW": SIZE}],
    "cHWtil and cHW, both signs of cHW": [{TERM: SIZE}, {"cHW": SIZE}, {"cHW": -SIZE}],
    "both signs of cHWtil": [{TERM: SIZE}, {TERM: -SIZE}],
}


def simulate(n_events: int, seed: int, *, smear: bool = False, show_progress: bool = True) -> bit.EventTable:
    table = vbf.simulate(n_events, seed=seed, quarks="all", cuts="T", smear=smear, show_progress=show_progress).table
    return table.select(features=FEATURES, aux=[])


def experiment(train: bit.EventTable, test: bit.EventTable, n_replicas: int) -> Experiment:
    """With the luminosity at which Delta phi_jj gives the published limit."""
    angle = classic("dphi_jj")
    found = Experiment(train, test, PARITY, 1.0, n_replicas)
    return found.at_limit(angle, found.edges(angle), TERM, LIMIT_OF_THE_ANGLE)


def score() -> bit.TrueScore:
    return bit.TrueScore(TERM, odd=True)


def sign_of_score() -> Observable:
    return FunctionObservable("sign", lambda table: np.sign(score()(table)), odd=True)


def trees(train: bit.EventTable, n_estimators: int, n_jobs: int | None = None) -> bit.BIT:
    return bit.BIT(n_estimators, learning_rate=0.1, terms=[TERM], cp_parity=PARITY, n_jobs=n_jobs).fit(train)


def limits_of(at: Experiment, model: bit.BIT, common: dict[str, Any]) -> dict[str, Limit]:
    """Limits on cHWtil by `COLUMNS`."""
    classifiers = (ONN(kind, PARITY, param=TERM, **common).fit(at.train) for kind in ("binary", "multiclass"))
    seen = [classic("dphi_jj"), *(classifier.observable() for classifier in classifiers)]
    seen += [model.observable(TERM), sign_of_score(), score()]
    edges = {"sign of the score": SIGN_EDGES}
    return {what: at.limit(observable, TERM, edges.get(what)) for what, observable in zip(COLUMNS, seen, strict=True)}


def show_limits(label: str, found: dict[str, Limit]) -> None:
    print(table_row(label, [f"{limit.value:.3f}" for limit in found.values()]))
    print(table_row("over the score", [with_error(limit.over(found["score"])) for limit in found.values()]), flush=True)


def show_mixtures(at: Experiment, found: dict[str, Limit], common: dict[str, Any]) -> None:
    """Limits by classifiers of signals, which know as much of CP as events and their images tell."""
    print("\n| signals, smeared jets | limit on cHWtil | over BIT | over the score |\n|---|---|---|---|")
    symmetric = at.train.with_cp_mirror(PARITY)
    for label, points in SIGNALS.items():
        model = RatioTrick(points, **common).fit(symmetric)
        limit = at.limit(model.observable(), TERM)
        ratios = (with_error(limit.over(found[what])) for what in ("BIT", "score"))
        print(table_row(label, [f"{limit.value:.3f}", *ratios]), flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000, help="for training, and as many for the limits")
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--replicas", type=int, default=100, help="bootstrap samples behind the errors of ratios")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    start = time.perf_counter()
    common: dict[str, Any] = {"n_estimators": arguments.trees, "random_state": 1, "n_jobs": arguments.jobs}
    clear = experiment(*(simulate(arguments.events, seed) for seed in (1, 2)), arguments.replicas)
    train, test = (simulate(arguments.events, seed, smear=True) for seed in (1, 2))
    smeared = Experiment(train, test, PARITY, clear.lumi_fb, arguments.replicas)
    print(f"N = {clear.n_expected:.1f} events, {smeared.n_expected:.1f} smeared\n")
    print(table_row("", COLUMNS) + "\n|" + "---|" * (len(COLUMNS) + 1))
    print(table_row("published", PUBLISHED), flush=True)
    for label, at in (("partons", clear), ("smeared jets", smeared)):
        found = limits_of(at, trees(at.train, arguments.trees, arguments.jobs), common)
        show_limits(label, found)
    show_mixtures(smeared, found, common)
    print(f"\n{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
