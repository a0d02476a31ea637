import numpy as np
import pytest

from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.events import EventTable
from bit.inference import (
    Likelihood,
    choose_edges,
    count_information,
    eigen_directions,
    event_information,
    fill,
    information,
    information_density,
    information_kept,
    information_lost,
    regional_information,
    score_information,
)
from bit.observables import TrueScore, observable


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(4000, 2))
    one, two = 0.4 * x[:, 0] + 0.2, 0.3 * x[:, 1] * x[:, 0] + 0.1
    norm = rng.uniform(0.5, 1.5, 4000)
    columns = [np.ones(4000), 2 * one, 2 * two, 2 * one**2, 2 * one * two, 2 * two**2]
    weights = norm[:, np.newaxis] * np.column_stack(columns)
    return EventTable(x, weights, PolynomialBasis(["a", "b"]), feature_names=("x", "y"))


@pytest.fixture(scope="module")
def binned(table):
    return fill(table, observable("x", "y"), choose_edges(table, observable("x", "y"), (6, 6)), 0.3)


@pytest.mark.parametrize("theta", [[0.0, 0.0], [0.1, -0.2]])
def test_information_is_the_curvature_of_the_asimov_likelihood(binned, theta):
    likelihood, h = Likelihood(binned, theta_true=theta), 1e-4
    theta = np.array(theta)
    hessian = np.empty((2, 2))
    for i, e in enumerate(np.eye(2)):
        hessian[:, i] = (likelihood.gradient(theta + h * e) - likelihood.gradient(theta - h * e)) / (2 * h)
    # Central differences: h^2 times the fourth derivative.
    np.testing.assert_allclose(information(binned, theta).matrix, 0.5 * hessian, rtol=1e-5)


def test_event_information_is_the_mean_square_of_the_score(table):
    theta = [0.1, -0.2]
    score, weight = table.joint_score(theta), table.at(theta)
    full = event_information(table, 0.3, theta)
    np.testing.assert_allclose(full.matrix, 0.3 * np.einsum("i,ia,ib->ab", weight, score, score), rtol=1e-11)
    shape = event_information(table, 0.3, theta, rate=False)
    centred = table.joint_score(theta, mean_subtracted=True)
    np.testing.assert_allclose(shape.matrix, 0.3 * np.einsum("i,ia,ib->ab", weight, centred, centred), rtol=1e-10)


@pytest.mark.parametrize("rate", [True, False])
def test_binning_and_merging_only_lose_information(table, binned, rate):
    full = event_information(table, 0.3, rate=rate).matrix
    fine = information(binned, rate=rate).matrix
    coarse = information(binned.rebin(tuple(axis[::3] for axis in binned.edges)), rate=rate).matrix
    for more, less in ((full, fine), (fine, coarse)):
        # Positive semi-definite difference, up to rounding of its size.
        assert np.linalg.eigvalsh(more - less)[0] > -1e-12 * np.abs(more).max()
        assert np.trace(more) > np.trace(less)


def test_one_bin_keeps_the_rate_only(table):
    single = fill(table, observable("x"), [-np.inf, np.inf], 0.3)
    total = table.weights.sum(axis=0)
    assert information(single)["a"] == pytest.approx(0.3 * total[1] ** 2 / total[0], rel=1e-12)
    np.testing.assert_allclose(information(single, rate=False).matrix, np.zeros((2, 2)), atol=1e-9)


def test_kept_share_of_the_best_observable_tends_to_one(table):
    shares = []
    for n_bins in (1, 2, 8, 64):
        score = TrueScore("a")
        template = fill(table, score, choose_edges(table, score, n_bins), 0.3)
        shares.append(information_kept(template, table, "a"))
    assert shares == sorted(shares)
    assert shares[-1] <= 1.0
    # 64 equally probable bins of a Gaussian leave about 0.5 % of its variance inside the bins, mostly in the tails;
    # the score is a Gaussian of standard deviation 0.8 and mean 0.4, so the share of the lost part is smaller.
    assert shares[-1] > 0.99
    shape = fill(table, observable("y"), choose_edges(table, observable("y"), 10), 0.3)
    assert information_kept(shape, table, "a", rate=False) < 0.02
    assert information_kept(shape, table, "a") > 0.1


def test_luminosity_scales_the_information(table, binned):
    np.testing.assert_allclose(event_information(table, 0.6).matrix, 2 * event_information(table, 0.3).matrix)
    share = information_kept(binned, table, "b")
    assert share == pytest.approx(information(binned)["b"] / event_information(table, 0.3)["b"], rel=1e-12)


def test_covariance_and_errors(binned):
    result = information(binned)
    np.testing.assert_allclose(result.covariance @ result.matrix, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(result.errors, np.sqrt(np.diag(np.linalg.inv(result.matrix))), rtol=1e-10)
    single = binned.rebin(tuple(axis[[0, -1]] for axis in binned.edges))
    with pytest.raises(InputError, match="singular"):
        _ = information(single).errors


def test_what_has_no_information():
    basis = PolynomialBasis(["a"], order=1)
    x = np.array([[0.0], [1.0], [2.0]])
    silent = EventTable(x, np.array([[1.0, 0.5], [0.0, 0.0], [2.0, 0.1]]), basis, feature_names=("x",))
    edges = [-0.5, 0.5, 1.5, 2.5]
    assert information(fill(silent, observable("x"), edges, 1.0))["a"] == pytest.approx(0.25 + 0.005)
    assert event_information(silent, 1.0)["a"] == pytest.approx(0.25 + 0.005)
    infinite = EventTable(x, np.array([[1.0, 0.5], [0.0, 0.3], [2.0, 0.1]]), basis, feature_names=("x",))
    with pytest.raises(InputError, match="first: bin 1, 0"):
        information(fill(infinite, observable("x"), edges, 1.0))
    with pytest.raises(InputError, match="first: event 1, 0"):
        event_information(infinite, 1.0)
    constant = EventTable(x, np.array([[1.0, 0.0]] * 3), basis, feature_names=("x",))
    with pytest.raises(InputError, match="no information on 'a'"):
        information_kept(fill(constant, observable("x"), edges, 1.0), constant, "a")
    with pytest.raises(InputError, match="no coefficient 'b'"):
        information_kept(fill(silent, observable("x"), edges, 1.0), silent, "b")
    with pytest.raises(InputError, match="lumi_fb=0"):
        event_information(silent, 0)


# ---------------------------------------------------------------------- counts, learned scores, regions, directions
@pytest.mark.parametrize("theta", [[0.0, 0.0], [0.1, -0.2]])
def test_rate_and_shape_add_up(table, theta):
    counts = count_information(table, 0.3, theta).matrix
    shape = event_information(table, 0.3, theta, rate=False).matrix
    np.testing.assert_allclose(counts + shape, event_information(table, 0.3, theta).matrix, rtol=1e-10, atol=1e-8)
    assert np.linalg.matrix_rank(counts) == 1


@pytest.mark.parametrize("rate", [True, False])
@pytest.mark.parametrize("theta", [[0.0, 0.0], [0.1, -0.2]])
def test_the_true_score_has_the_full_information(table, rate, theta):
    full = event_information(table, 0.3, theta, rate=rate).matrix
    learned = score_information(table, table.joint_ratio(), 0.3, theta, rate=rate).matrix
    np.testing.assert_allclose(learned, full, rtol=1e-9, atol=1e-9 * np.abs(full).max())


def test_a_learned_score_has_less_whatever_its_scale(table):
    rng = np.random.default_rng(3)
    ratios = table.joint_ratio()
    noisy = 1.0 + 0.1 * rng.normal(size=ratios.shape)
    full = event_information(table, 0.3)
    one = score_information(table, ratios * noisy, 0.3)
    two = score_information(table, 5 * ratios * noisy, 0.3)
    np.testing.assert_allclose(one.matrix, two.matrix, rtol=1e-9, atol=1e-9 * np.abs(one.matrix).max())
    # Noise of 10 % of every score: about 1 % of the variance is not signal.
    assert 0.0 < information_lost(one, full) < 0.03
    nothing = score_information(table, 0 * ratios + 0.1, 0.3).matrix
    np.testing.assert_allclose(nothing, count_information(table, 0.3).matrix, rtol=1e-9)


def test_binned_scores_agree_with_bins(table, binned):
    """The ratio that is constant in bins carries what the bins carry."""
    flat = np.zeros(table.n_events, dtype=int)
    for name, edges in zip(("x", "y"), binned.edges, strict=True):
        flat = flat * (len(edges) - 1) + np.searchsorted(edges[1:-1], table.column(name), side="right")
    ratios = (binned.sums[:, 1:] / binned.sums[:, :1])[flat]
    for rate in (True, False):
        expected = information(binned, rate=rate).matrix
        found = score_information(table, ratios, 0.3, rate=rate).matrix
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())


def test_information_adds_up_over_bins_and_regions(table, binned):
    theta = [0.1, -0.2]
    density = information_density(binned, theta)
    np.testing.assert_allclose(density.total.matrix, information(binned, theta).matrix, rtol=1e-12)
    np.testing.assert_allclose(density["a"], density.matrices[:, 0, 0])
    regions = regional_information(table, observable("x", "y"), binned.edges, 0.3, theta)
    np.testing.assert_allclose(regions.total.matrix, event_information(table, 0.3, theta).matrix, rtol=1e-10)
    np.testing.assert_allclose(regions.yields, density.yields, rtol=1e-10)
    # In every region the bin keeps no more than its events have.
    for full, kept in zip(regions.matrices, density.matrices, strict=True):
        assert np.linalg.eigvalsh(full - kept)[0] > -1e-9 * np.abs(full).max()
    assert density.to_dict()["kind"] == "bit-information-density/1"
    with pytest.raises(InputError, match="no coefficient 'c'"):
        density["c"]


def test_directions_diagonalise(table):
    full = event_information(table, 0.3)
    directions = eigen_directions(full)
    np.testing.assert_allclose(directions.vectors @ directions.vectors.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(
        directions.vectors @ full.covariance @ directions.vectors.T, np.diag(directions.errors**2), atol=1e-9
    )
    assert directions.values[0] > directions.values[1] > 0
    # Of counts one direction is measured.
    assert np.isinf(eigen_directions(count_information(table, 0.3)).errors).tolist() == [False, True]
    assert "best measured first" in repr(directions)


def test_information_lost_is_between_nothing_and_all(table, binned):
    full = event_information(table, 0.3)
    assert information_lost(full, full) == pytest.approx(0.0, abs=1e-12)
    lost = information_lost(information(binned), full)
    coarse = information_lost(information(binned.rebin(tuple(axis[::3] for axis in binned.edges))), full)
    assert 0.0 < lost < coarse < information_lost(count_information(table, 0.3), full) < 1.0


def test_information_lost_does_not_depend_on_the_coordinates(table, binned):
    """a = a' + b', b = 2 b': a linear change of the coefficients."""
    change = np.array([[1.0, 1.0], [0.0, 2.0]])

    def moved(measured):
        return type(measured)(measured.names, change.T @ measured.matrix @ change, measured.theta, measured.rate)

    full, kept = event_information(table, 0.3), information(binned)
    assert information_lost(moved(kept), moved(full)) == pytest.approx(information_lost(kept, full), rel=1e-9)


def test_information_of_different_measurements_cannot_be_compared(table, binned):
    full = event_information(table, 0.3)
    with pytest.raises(InputError, match="only like can be compared"):
        information_lost(information(binned, [0.1, 0.0]), full)
    with pytest.raises(InputError, match="times as much as the full events"):
        information_lost(event_information(table, 0.6), full)
    with pytest.raises(InputError, match=r"R\(x\|theta\) <= 0 for"):
        score_information(table, -table.joint_ratio(), 0.3, [3.0, 0.0])
    with pytest.raises(InputError, match="ratios have shape"):
        score_information(table, table.joint_ratio()[:, :2], 0.3)
    with pytest.raises(InputError, match="luminosity"):
        score_information(table, table.joint_ratio(), -1.0)
