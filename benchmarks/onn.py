"""Classifiers of interference against the score: limits from simulated h -> 4l, beside those of arXiv:2112.05052.

    python benchmarks/onn.py [--events 50000] [--trees 200] [--lengths 3 10 30 100 300] [--plots FOLDER]

Upper limits on cHWBtil, cHBtil and cHWtil, one at a time, linear terms only, 95 % CL, from N events of the Standard
Model in 2e2mu after 50 < m12 < 106 GeV and m34 > 12 GeV. N is such that Phi_4l limits cHBtil to 1.4, as published.
Angles have 16 bins, or 8 x 4 with m12; the rest has 20 equally probable bins. Bins come from the training events, sums
from other events and their CP images; errors of ratios are those of these events, bootstrapped for both observables
alike. "On cHWBtil": the classifier is trained on that coefficient for all, as in the paper. "Sign of the score" is an
ideal binary classifier.

Then: the binary classifier with the number of trees, without early stopping, for small and large leaves (its
cross-entropy falls, its limit does not follow, since the ideal classifier would know the sign of the score only); the
asymmetry <R sign(Phi_4l)> in ranges of m12, which changes its sign (Fig. 3 of the paper); and 2e2mu together with 4e
and 4mu at the same luminosity, each with trees of its own. The cuts hold for the pairs as they are chosen; pairs of
the other choice in 4e and 4mu reach down to 5 GeV, where photons are, so that these channels tell more than 2e2mu.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from _expected import Experiment, Limit, combined, table_row, upper_limit, with_error
from papers.rows import mean_and_error

import bit
from bit.baselines import ONN
from bit.basis import FloatArray
from bit.classic import classic
from bit.inference import Template
from bit.observables import FunctionObservable, Observable
from bit.plotting import panels, param_label, save, style
from bit.plotting.style import COLOURS, GREY
from bit.processes import h4l

PUBLISHED = {
    "cHWBtil": ("6.2", "1.9", "1.5", "1.4", "1.4"),
    "cHBtil": ("1.4", "0.85", "0.75", "", "0.71"),
    "cHWtil": ("30", "3.7", "3.0", "", "2.7"),
}
"""Phi_4l, Phi_4l and m12, binary, multi-class, multi-class on cHWBtil: arXiv:2112.05052, Table I."""
COLUMNS = (
    "Φ₄ℓ",
    "Φ₄ℓ × m₁₂",
    "O_NN, two classes",
    "O_NN, three classes",
    "three classes on cHWBtil",
    "BIT",
    "sign of the score",
    "score",
)
FEATURES = ("phi_4l", "m12", "m34", "cos_theta1", "cos_theta2", "pt_l1m", "pt_l1p", "pt_l2m", "pt_l2p")
PARITY = bit.CPParity(
    flip=("phi_4l", "cos_theta1", "cos_theta2"),
    swap=(("pt_l1m", "pt_l1p"), ("pt_l2m", "pt_l2p")),
    odd_params=tuple(PUBLISHED),
)
PHI_EDGES = np.linspace(-np.pi, np.pi, 17)
PHI_MASS_EDGES = (np.linspace(-np.pi, np.pi, 9), np.array([50.0, 75.0, 88.0, 92.0, 106.0]))
SIGN_EDGES = np.array([-2.0, 0.0, 2.0])
ASYMMETRY_EDGES = np.array([50.0, 60.0, 68.0, 75.0, 80.0, 84.0, 86.5, 88.5, 90.0, 91.5, 93.0, 95.0, 98.0, 106.0])
"""Of m12 in GeV."""
CHANNELS: tuple[h4l.Channel, ...] = ("2e2mu", "4e", "4mu")
SHARED = "cHWBtil"
"""Coefficient of the classifier that serves for all."""
LENGTHS_OF, LEAVES = "cHBtil", (10.0, 500.0)
"""Coefficient and smallest leaves (min_child_weight) of the study of the number of trees."""


def simulate(n_events: int, seed: int, channel: h4l.Channel = "2e2mu", *, show_progress: bool = True) -> bit.EventTable:
    table = h4l.simulate(
        n_events,
        seed=seed,
        channel=channel,
        frame="lab",
        acceptance=True,
        cuts=h4l.SELECTIONS["higgs"],
        show_progress=show_progress,
    ).table
    return table.select(features=FEATURES, params=list(PUBLISHED), aux=[])


def experiment(train: bit.EventTable, test: bit.EventTable, n_replicas: int) -> Experiment:
    """With the luminosity at which Phi_4l limits cHBtil to 1.4."""
    return Experiment(train, test, PARITY, 1.0, n_replicas).at_limit(classic("phi_4l"), PHI_EDGES, "cHBtil", 1.4)


def score(name: str) -> bit.TrueScore:
    return bit.TrueScore(name, odd=True)


def sign_of_score(name: str) -> Observable:
    return FunctionObservable("sign", lambda table: np.sign(score(name)(table)), odd=True)


def trees(train: bit.EventTable, name: str, n_jobs: int | None = None) -> bit.BIT:
    return bit.BIT(200, terms=[name], max_depth=5, cp_parity=PARITY, n_jobs=n_jobs).fit(train)


# ---------------------------------------------------------------------- limits
def limits_of(at: Experiment, name: str, models: dict[str, Any], shared: ONN) -> dict[str, Limit]:
    """Limits on one coefficient by `COLUMNS`."""
    ways = (
        (classic("phi_4l"), PHI_EDGES),
        (classic("phi_4l,m12"), PHI_MASS_EDGES),
        (models["binary"].observable(), None),
        (models["multiclass"].observable(), None),
        (shared.observable(name), None),
        (models["bit"].observable(name), None),
        (sign_of_score(name), SIGN_EDGES),
        (score(name), None),
    )
    return {what: at.limit(seen, name, edges) for what, (seen, edges) in zip(COLUMNS, ways, strict=True)}


def show_limits(at: Experiment, models: dict[str, dict[str, Any]]) -> None:
    found = {}
    print(table_row("", COLUMNS) + "\n|" + "---|" * (len(COLUMNS) + 1))
    for name, published in PUBLISHED.items():
        found[name] = limits_of(at, name, models[name], models[SHARED]["multiclass"])
        print(table_row(name, [f"{limit.value:.2f}" for limit in found[name].values()]))
        print(table_row("published", [*published, "", "", ""]), flush=True)
    pairs = (
        ("BIT", "O_NN, three classes"),
        ("BIT", "score"),
        ("O_NN, three classes", "score"),
        ("three classes on cHWBtil", "O_NN, three classes"),
    )
    print("\n" + table_row("", [f"{above} / {below}" for above, below in pairs]) + "\n|" + "---|" * (len(pairs) + 1))
    for name, by in found.items():
        print(table_row(name, [with_error(by[above].over(by[below])) for above, below in pairs]), flush=True)


# ---------------------------------------------------------------------- length of the training
def show_lengths(at: Experiment, lengths: list[int], common: dict[str, Any], path: Path | None) -> None:
    print("\n| trees of the binary classifier | min_child_weight | cHBtil | cross-entropy |\n|---|---|---|---|")
    curves: dict[float, list[tuple[float, float]]] = {leaf: [] for leaf in LEAVES}
    for leaf, curve in curves.items():
        for length in lengths:
            changes = {"n_estimators": length, "early_stopping": False, "min_child_weight": leaf}
            model = ONN("binary", param=LENGTHS_OF, **(common | changes)).fit(at.train)
            found = upper_limit(at.template(model.observable(), LENGTHS_OF), LENGTHS_OF)
            curve.append((found, model.loss(at.test)))
            print(f"| {length} | {leaf:g} | {curve[-1][0]:.2f} | {curve[-1][1]:.4f} |", flush=True)
    if path:
        draw_lengths(path, at, lengths, curves)


def draw_lengths(
    path: Path, at: Experiment, lengths: list[int], curves: dict[float, list[tuple[float, float]]]
) -> None:
    fig, ((above,), (below,)) = panels(1, 2, width=6.0, height=5.4, height_ratios=(3, 2), share_x=True)
    with style():
        for (leaf, curve), colour, marker in zip(curves.items(), COLOURS, "os", strict=False):
            found, losses = zip(*curve, strict=True)
            above.plot(lengths, found, color=colour, marker=marker, label=f"two classes, min_child_weight {leaf:g}")
            below.plot(lengths, losses, color=colour, marker=marker)
        for label, seen, edges, dashes in (
            ("sign of the score", sign_of_score(LENGTHS_OF), SIGN_EDGES, "--"),
            ("score", score(LENGTHS_OF), None, ":"),
        ):
            bound = upper_limit(at.template(seen, LENGTHS_OF, edges), LENGTHS_OF)
            above.axhline(bound, color=GREY, linestyle=dashes, label=label)
        above.set(ylabel=f"limit on ${param_label(LENGTHS_OF)}$ [TeV$^{{-2}}$]", ylim=(0, None))
        above.legend(loc="lower right", fontsize="x-small")
        below.set(xlabel="trees", ylabel="cross-entropy", xscale="log", yscale="log")
        below.set_xticks(lengths, labels=[str(length) for length in lengths])
        below.tick_params(axis="x", which="minor", labelbottom=False)
    save(fig, path, dpi=100)


# ---------------------------------------------------------------------- sign flip
def asymmetries(test: bit.EventTable, values: FloatArray) -> FloatArray:
    """Means of a function of the events times the sign of Phi_4l, and errors, in ranges of m12: shape (2, n_ranges)."""
    mass, product = test.column("m12"), values * np.sign(test.column("phi_4l"))
    found = []
    for low, high in pairwise(ASYMMETRY_EDGES):
        inside = (mass >= low) & (mass < high)
        weight = test.weights[inside, 0]
        found.append(mean_and_error(weight / weight.sum(), product[inside]))
    return np.array(found).T


def show_sign_flip(test: bit.EventTable, models: dict[str, Any], path: Path | None) -> None:
    by = {
        "truth": asymmetries(test, score(SHARED)(test)),
        "BIT": asymmetries(test, models["bit"].observable(SHARED)(test)),
        "O_NN, three classes": asymmetries(test, models["multiclass"].predict(test)),
        "O_NN, two classes": asymmetries(test, models["binary"].predict(test)),
    }
    print("\n" + table_row(f"m12 [GeV], {SHARED}", list(by)) + "\n|" + "---|" * (len(by) + 1))
    for k, (low, high) in enumerate(pairwise(ASYMMETRY_EDGES)):
        cells = [f"{values[k]:+.4f} ± {errors[k]:.4f}" for values, errors in by.values()]
        print(table_row(f"{low:g}–{high:g}", cells), flush=True)
    if path:
        draw_sign_flip(path, by)


def draw_sign_flip(path: Path, by: dict[str, FloatArray]) -> None:
    fig, ((above,), (below,)) = panels(1, 2, width=6.4, height=5.6, height_ratios=(1, 1), share_x=True)
    middle = 0.5 * (ASYMMETRY_EDGES[1:] + ASYMMETRY_EDGES[:-1])
    with style():
        for (what, (values, errors)), colour in zip(by.items(), (GREY, *COLOURS), strict=False):
            axis = below if what.startswith("O_NN") else above
            if what == "truth":
                half = 0.5 * np.diff(ASYMMETRY_EDGES)
                axis.errorbar(middle, values, errors, half, fmt="o", markersize=4, color=colour, label=what)
            else:
                axis.stairs(values, ASYMMETRY_EDGES, baseline=None, color=colour, linewidth=2.0, label=what)
        for axis, label in ((above, "⟨$R$ sign Φ⟩ [TeV$^2$]"), (below, "⟨$O$ sign Φ⟩")):
            axis.axhline(0.0, color=GREY, linewidth=0.8)
            axis.set_ylabel(label)
        above.legend(loc="lower right", title=f"${param_label(SHARED)}$")
        below.legend(loc="upper left")
        below.set(xlabel="$m_{12}$ [GeV]", xlim=(ASYMMETRY_EDGES[0], ASYMMETRY_EDGES[-1]))
    save(fig, path, dpi=100)


# ---------------------------------------------------------------------- channels
def channel_templates(at: Experiment, models: dict[str, Any], name: str) -> dict[str, Template]:
    """Templates of the learned and of the true score in one channel."""
    return {"BIT": at.template(models[name].observable(name), name), "score": at.template(score(name), name)}


def show_channels(first: Experiment, models: dict[str, Any], n_events: int, n_jobs: int | None) -> None:
    parts = {"2e2mu": (first, models)}
    for channel in CHANNELS[1:]:
        train, test = (simulate(n_events, seed, channel) for seed in (1, 2))
        own = {name: trees(train, name, n_jobs) for name in PUBLISHED}
        parts[channel] = (Experiment(train, test, PARITY, first.lumi_fb), own)
    sizes = ", ".join(f"{at.n_expected:.1f} in {channel}" for channel, (at, _) in parts.items())
    print(f"\nEvents: {sizes}\n\n| | observable | 2e2μ | and 4e | and 4μ | 2e2μ / all |\n|---|---|---|---|---|---|")
    for name in PUBLISHED:
        templates = {channel: channel_templates(at, own, name) for channel, (at, own) in parts.items()}
        for what in ("BIT", "score"):
            of = {channel: by[what] for channel, by in templates.items()}
            sums = (combined({channel: of[channel] for channel in CHANNELS[: k + 1]}) for k in range(len(CHANNELS)))
            found = [upper_limit(model, name) for model in sums]
            cells = [what, *(f"{value:.2f}" for value in found), f"{found[0] / found[-1]:.2f}"]
            print(table_row(name, cells), flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000, help="for training, and as many for the limits")
    parser.add_argument("--trees", type=int, default=200)
    parser.add_argument("--lengths", type=int, nargs="+", default=[3, 10, 30, 100, 300])
    parser.add_argument("--replicas", type=int, default=100, help="bootstrap samples behind the errors of ratios")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--plots", type=Path, help="folder of the figures")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    start = time.perf_counter()
    train, test = (simulate(arguments.events, seed) for seed in (1, 2))
    at = experiment(train, test, arguments.replicas)
    print(f"N = {at.n_expected:.1f} events, simulated in {time.perf_counter() - start:.0f} s\n", flush=True)
    common: dict[str, Any] = {
        "cp_parity": PARITY,
        "n_estimators": arguments.trees,
        "random_state": 1,
        "n_jobs": arguments.jobs,
    }
    models: dict[str, dict[str, Any]] = {
        name: {
            "binary": ONN("binary", param=name, **common).fit(train),
            "multiclass": ONN("multiclass", param=name, **common).fit(train),
            "bit": trees(train, name, arguments.jobs),
        }
        for name in PUBLISHED
    }
    show_limits(at, models)
    plots = arguments.plots
    show_lengths(at, arguments.lengths, common, plots / "onn_training.png" if plots else None)
    show_sign_flip(test, models[SHARED], plots / "h4l_sign_flip.png" if plots else None)
    show_channels(at, {name: by["bit"] for name, by in models.items()}, arguments.events, arguments.jobs)
    importance = models["cHBtil"]["multiclass"].permutation_importance(test.take(slice(0, 20_000)), n_repeats=3)
    print("\nPermutation importance, three classes, cHBtil:\n")
    print(importance.to_string(index=False))
    print(f"\n{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
