"""Classifiers of interference against the score: limits from simulated h -> 2e2mu, beside those of arXiv:2112.05052.

    python benchmarks/onn.py [--events 50000] [--trees 200] [--lengths 10 30 100 300]

Upper limits on cHWBtil, cHBtil and cHWtil, one at a time, linear terms only, 95 % CL, from N events of the Standard
Model after 50 < m12 < 106 GeV and m34 > 12 GeV. N is such that Phi_4l limits cHBtil to 1.4, as published.
Angles have 16 bins, or 8 x 4 with m12; the rest has 20 equally probable bins. Bins come from the training events, sums
from other events and their CP images. "sign of the score" is an ideal binary classifier. The second table follows the
binary classifier with the number of trees, without early stopping, for small and large leaves: its cross-entropy falls,
its limit does not follow, since the ideal classifier would know the sign of the score only.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import brentq

import bit
from bit.baselines import ONN
from bit.classic import classic
from bit.inference import choose_edges, fill, limits
from bit.observables import FunctionObservable
from bit.processes import h4l

PUBLISHED = {
    "cHWBtil": (6.2, 1.9, 1.5, 1.4),
    "cHBtil": (1.4, 0.85, 0.75, 0.71),
    "cHWtil": (30.0, 3.7, 3.0, 2.7),
}
"""Phi_4l, Phi_4l and m12, binary, multi-class: arXiv:2112.05052, Table I."""
FEATURES = ("phi_4l", "m12", "m34", "cos_theta1", "cos_theta2", "pt_l1m", "pt_l1p", "pt_l2m", "pt_l2p")
PARITY = bit.CPParity(
    flip=("phi_4l", "cos_theta1", "cos_theta2"),
    swap=(("pt_l1m", "pt_l1p"), ("pt_l2m", "pt_l2p")),
    odd_params=tuple(PUBLISHED),
)
PHI_EDGES = np.linspace(-np.pi, np.pi, 17)
PHI_MASS_EDGES = (np.linspace(-np.pi, np.pi, 9), np.array([50.0, 75.0, 88.0, 92.0, 106.0]))


def simulate(n_events: int, seed: int) -> bit.EventTable:
    simulation = h4l.simulate(n_events, seed=seed, frame="lab", acceptance=True, cuts=h4l.SELECTIONS["higgs"])
    return simulation.table.select(features=FEATURES, params=list(PUBLISHED), aux=[])


def upper_limit(template: Any, name: str) -> float:
    return limits(template, order="linear", params=[name])[name].upper


def luminosity(mirrored: bit.EventTable) -> float:
    """Where Phi_4l limits cHBtil to 1.4, in fb^-1."""
    template = fill(mirrored, classic("phi_4l"), PHI_EDGES, lumi_fb=1.0)

    def excess(logarithm: float) -> float:
        return upper_limit(replace(template, lumi_fb=np.exp(logarithm)), "cHBtil") - 1.4

    start = np.log(80.0 / mirrored.sigma_fb)
    return float(np.exp(brentq(excess, start - 1.5, start + 1.5, xtol=1e-4)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000, help="for training, and as many for the limits")
    parser.add_argument("--trees", type=int, default=200)
    parser.add_argument("--lengths", type=int, nargs="+", default=[10, 30, 100, 300])
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    start = time.perf_counter()
    train, test = (simulate(arguments.events, seed) for seed in (1, 2))
    mirrored = test.with_cp_mirror(PARITY)
    lumi_fb = luminosity(mirrored)

    def limit(observable: Any, name: str, edges: Any = None) -> str:
        edges = choose_edges(train, observable, 20) if edges is None else edges
        return f"{upper_limit(fill(mirrored, observable, edges, lumi_fb), name):.2f}"

    print(f"N = {lumi_fb * test.sigma_fb:.1f} events, simulated in {time.perf_counter() - start:.0f} s\n")
    print("| | Phi_4l | Phi_4l, m12 | binary | multi-class | BIT | sign of the score | score |")
    print("|---|---|---|---|---|---|---|---|")
    common: dict[str, Any] = {
        "cp_parity": PARITY,
        "n_estimators": arguments.trees,
        "random_state": 1,
        "n_jobs": arguments.jobs,
    }
    for name, published in PUBLISHED.items():
        score = bit.TrueScore(name, odd=True)
        sign = FunctionObservable("sign", lambda table, score=score: np.sign(score(table)), odd=True)
        cells = [
            limit(classic("phi_4l"), name, PHI_EDGES),
            limit(classic("phi_4l,m12"), name, PHI_MASS_EDGES),
            *(
                limit(ONN(kind, param=name, **common).fit(train).observable(), name)
                for kind in ("binary", "multiclass")
            ),
            limit(
                bit.BIT(200, terms=[name], max_depth=5, cp_parity=PARITY, n_jobs=arguments.jobs)
                .fit(train)
                .observable(name),
                name,
            ),
            limit(sign, name, np.array([-2.0, 0.0, 2.0])),
            limit(score, name),
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
        print(f"| published | {' | '.join(f'{value:g}' for value in published)} | | | |", flush=True)
    print("\n| trees of the binary classifier | min_child_weight | cHBtil | cross-entropy |")
    print("|---|---|---|---|")
    for smallest in (10.0, 500.0):
        for length in arguments.lengths:
            changes = {"n_estimators": length, "early_stopping": False, "min_child_weight": smallest}
            model = ONN("binary", param="cHBtil", **(common | changes)).fit(train)
            print(
                f"| {length} | {smallest:g} | {limit(model.observable(), 'cHBtil')} | {model.loss(test):.4f} |",
                flush=True,
            )
    model = ONN("multiclass", param="cHBtil", **common).fit(train)
    print("\nPermutation importance, multi-class, cHBtil:\n")
    print(model.permutation_importance(test.take(slice(0, 20_000)), n_repeats=3).to_string(index=False))
    print(f"\n{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
