from itertools import combinations

import numpy as np
import pytest

from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.events import EventTable
from bit.inference import adaptive_edges, choose_edges, fill, information, optimal_edges
from bit.observables import observable
from bit.processes import h4l
from bit.processes.analytic import GaussianMean, PowerLaw

METRIC = np.array([[2.0, 0.5], [0.5, 0.3]])


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(3000, 1))
    one, two = 0.4 * np.sin(2 * x[:, 0]) + 0.1, 0.3 * x[:, 0] ** 2
    weights = rng.uniform(0.5, 1.5, (3000, 1)) * np.column_stack([np.ones(3000), one, two])
    return EventTable(x, weights, PolynomialBasis(["a", "b"], order=1), feature_names=("x",))


def objective_of(template, objective):
    measured = information(template)
    return measured[objective] if isinstance(objective, str) else np.trace(objective @ measured.matrix)


@pytest.mark.parametrize("objective", ["a", "b", METRIC], ids=["a", "b", "metric"])
@pytest.mark.parametrize("n_bins", [1, 2, 4, 9, 10])
def test_optimum_against_all_ways_to_merge(table, objective, n_bins):
    x = observable("x")
    fine = fill(table, x, choose_edges(table, x, 10), 1.0)
    best = max(
        objective_of(fine.rebin(fine.edges[0][[0, *cuts, 10]]), objective)
        for cuts in combinations(range(1, 10), n_bins - 1)
    )
    edges = optimal_edges(table, x, n_bins, objective=objective, n_fine=10)
    assert len(edges) == n_bins + 1
    assert objective_of(fill(table, x, edges, 1.0), objective) == pytest.approx(best, rel=1e-12)


def test_optimal_bins_are_at_least_as_good_as_equally_probable_ones(table):
    x = observable("x")
    equal = information(fill(table, x, choose_edges(table, x, 5), 1.0))["a"]
    best = information(fill(table, x, optimal_edges(table, x, 5, objective="a", n_fine=200), 1.0))["a"]
    assert best > 1.01 * equal


def test_optimal_bins_of_a_gaussian_are_those_of_the_best_quantiser():
    """Two to four levels of a Gaussian keep 2/pi, 0.8098 and 0.8825 of its variance (Max, IRE Trans. IT-6, 7)."""
    table = GaussianMean(order=1).sample(200_000, seed=1)
    x = observable("x")
    for n_bins, kept, inner in [
        (2, 2 / np.pi, [0.0]),
        (3, 0.8098, [-0.6120, 0.6120]),
        (4, 0.8825, [-0.9816, 0, 0.9816]),
    ]:
        edges = optimal_edges(table, x, n_bins, objective="theta", n_fine=400)
        # The information of 2e5 events fluctuates by sqrt(2/n) = 0.3 %; the share of it less. At its maximum it is flat
        # in the edges, which fluctuate by some fine bins (0.25 % of the events each, 0.006 at the centre).
        share = information(fill(table, x, edges, 1.0))["theta"] / (table.features[:, 0] ** 2).mean()
        assert share == pytest.approx(kept, rel=3e-3)
        assert edges[1:-1] == pytest.approx(inner, abs=0.05)


def test_adaptive_number_of_bins():
    table = PowerLaw(order=1).sample(60_000, seed=3)
    result = adaptive_edges(table, observable("x"), objective="theta", tolerance=0.02)
    at = list(result.n_bins).index(len(result.edges) - 1)
    enough = result.independent >= 0.98 * result.independent.max()
    assert enough[at]
    assert not enough[:at].any()
    # What chose the edges gains with every bin.
    assert (np.diff(result.chosen) >= 0).all()
    assert 2 < len(result.edges) - 1 < 50
    assert result.to_dict()["kind"] == "bit-binning/1"
    assert "% of the best" in repr(result)


def test_few_events_without_information_take_one_bin():
    """Only the rate depends on the coefficient: more bins gain on the events that chose them, not on others."""
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 400))
    table = EventTable(
        x[:, np.newaxis],
        np.column_stack([np.ones(400), 1 + noise]),
        PolynomialBasis(["a"], order=1),
        feature_names=("x",),
    )
    result = adaptive_edges(table, observable("x"), objective="a", tolerance=0.1, n_fine=20, candidates=[1, 2, 5, 10])
    assert result.chosen[-1] > 1.05 * result.chosen[0]
    assert result.independent[-1] < 1.1 * result.independent[0]
    assert len(result.edges) == 2


def test_two_observables_at_once():
    table = h4l.simulate(4000, seed=2, show_progress=False).table
    pair = observable("phi_4l", "m12")
    edges = choose_edges(table, pair, (4, 3))
    template = fill(table, pair, edges, 10.0)
    assert template.shape == (4, 3)
    np.testing.assert_allclose(template.sums.sum(axis=0), table.weights.sum(axis=0), rtol=1e-9, atol=1e-15)
    # Each axis alone is equally probable.
    shares = template.sums[:, 0].reshape(4, 3)
    np.testing.assert_allclose(shares.sum(axis=1) / shares.sum(), 1 / 4, atol=2 / 4000 * 3)
    both = information(template).matrix
    for axis in (0, 1):
        name = pair.names[axis]
        alone = information(fill(table, observable(name), edges[axis], 10.0)).matrix
        assert np.linalg.eigvalsh(both - alone)[0] > -1e-9 * np.abs(both).max()


def test_bad_input(table):
    x = observable("x")
    for options, message in [
        ({"n_bins": 0, "objective": "a"}, "n_bins=0"),
        ({"n_bins": 300, "objective": "a"}, "n_fine=200"),
        ({"n_bins": 2, "objective": "c"}, "no coefficient 'c'"),
        ({"n_bins": 2, "objective": np.eye(3)}, r"symmetric \(2, 2\) metric"),
        ({"n_bins": 2, "objective": -np.eye(2)}, "none below 0"),
    ]:
        with pytest.raises(InputError, match=message):
            optimal_edges(table, x, **options)
    with pytest.raises(InputError, match="2 axes"):
        optimal_edges(table, observable("x", "x"), 2, objective="a")
    for options, message in [
        ({"candidates": []}, "candidates"),
        ({"tolerance": 1.0}, "tolerance=1.0"),
        ({"fraction": 0.0}, "fraction=0.0"),
    ]:
        with pytest.raises(InputError, match=message):
            adaptive_edges(table, x, objective="a", **options)
