"""Networks beside trees in WZ and ZH: benchmarks/networks.py on the shipped samples."""

from pathlib import Path

import networks
import numpy as np
import pytest

import bit
from bit.inference import fill, information_kept, optimal_edges
from bit.processes import wz

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def parts():
    """Events of WZ that train, choose bins and fill them, with functions of their features."""
    table = networks.decay_functions(bit.read_root(DATA / "wz.root"))
    return table.split([0.5, 0.15, 0.35], seed=1)


def test_turned_events_are_like_others(parts):
    """A sample whose beams are exchanged has the same functions."""
    table = bit.read_root(DATA / "wz.root")
    exchanged = table.features.copy()
    for name in ("y", "cos_theta", "sin_phi_w", "cos_phi_w", "sin_phi_z", "cos_phi_z"):
        exchanged[:, table.feature_names.index(name)] *= -1.0
    other = bit.EventTable(exchanged, table.weights, table.basis, feature_names=table.feature_names)
    functions, same = (networks.decay_functions(events) for events in (table, other))
    moved = [name for name in functions.feature_names if not np.array_equal(functions.column(name), same.column(name))]
    # Azimuths themselves would become phi + pi, on which the cosines of their sum and difference do not depend.
    assert moved == []
    assert len(functions.feature_names) == len(wz.FEATURES)


def half_width(parts, observable, param, order):
    return networks.half_widths(parts, observable, param, order)[0]


def test_quadratic_terms_leave_less_to_gain(parts):
    """With linear yields the score of cW is worth more than a factor 2, with quadratic ones the true ratio is not."""
    calibration, measured = parts[1:]
    mass = bit.observable("sqrt_s")
    linear = [half_width((calibration, measured), seen, "cW", "linear") for seen in (mass, bit.TrueScore("cW"))]
    assert linear[0] > 2 * linear[1]
    widest = half_width((calibration, measured), mass, "cW", "quadratic")
    best = half_width(
        (calibration, measured), networks.ratios(networks.true_ratio, "cW", widest / 2), "cW", "quadratic"
    )
    assert 1.4 < widest / best < 2.0


@pytest.mark.slow
def test_trees_and_the_classifier_agree_on_wz(parts):
    pytest.importorskip("torch", reason="torch is not installed (extra: neural)")
    train, *rest = parts
    trees = networks.trees(150, positive=True).fit(train)
    classifier = networks.QuadraticClassifier(n_epochs=25, random_state=1).fit(train)
    for param in train.basis.param_names:
        by_mass, by_trees, by_classifier = (
            networks.half_widths(tuple(rest), seen, param, "linear")
            for seen in (bit.observable("sqrt_s"), trees.observable(param), classifier.observable(param))
        )
        ratio = by_trees / by_classifier
        # 5 %, and twice the error of the events that fill the bins.
        assert ratio[0] == pytest.approx(1.0, abs=0.05 + 2 * ratio[1:].std(ddof=1))
        assert by_mass[0] > (2.0 if param == "cW" else 1.4) * max(by_trees[0], by_classifier[0])
    for model in (trees, classifier):
        assert networks.least_ratio(model, rest[1].take(slice(0, 1000))) >= 0.0


def kept(parts, observable, param):
    calibration, measured = parts
    edges = optimal_edges(calibration, observable, 20, objective=param, n_fine=100)
    return information_kept(fill(measured, observable, edges, 1.0), measured, param)


def test_trees_keep_the_information_of_zh():
    train, *rest = bit.read_root(DATA / "zh.root").split([0.6, 0.1, 0.3], seed=1)
    model = networks.trees(40, positive=False).set_params(learning_rate=0.2).fit(train)
    for param, least in (("cHW", 0.97), ("cHWtil", 0.93), ("cHq3", 0.99)):
        assert kept(rest, model.observable(param), param) > least * kept(rest, bit.TrueScore(param), param)


@pytest.mark.slow
def test_networks_keep_the_information_of_zh():
    pytest.importorskip("torch", reason="torch is not installed (extra: neural)")
    train, *rest = bit.read_root(DATA / "zh.root").split([0.6, 0.1, 0.3], seed=1)
    for model, factors in (
        (networks.SALLY(n_epochs=15, random_state=1), (0.97, 0.93, 0.98)),
        (networks.QuadraticClassifier(n_epochs=15, random_state=1), (0.94, 0.85, 0.96)),
    ):
        model.fit(train)
        for param, least in zip(train.basis.param_names, factors, strict=True):
            assert kept(rest, model.observable(param), param) > least * kept(rest, bit.TrueScore(param), param)
