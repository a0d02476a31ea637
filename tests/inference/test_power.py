from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import norm, poisson

import bit
from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.events import EventTable
from bit.inference import power, power_map
from bit.inference.power import _first_above
from bit.observables import observable

ONE = PolynomialBasis(["a"], order=1)
ZH = Path(__file__).parents[2] / "data" / "zh.root"


def counting(excess, n=1000):
    """Events that all look alike."""
    return EventTable(np.zeros((n, 1)), np.tile([[1.0, excess]], (n, 1)) / n, ONE, feature_names=("x",))


def shift(distance, n=20_000):
    """Quantiles of a Gaussian; at a = 1 the weights are those of a Gaussian moved by `distance`."""
    x = ndtri((np.arange(n) + 0.5) / n)
    ratio = np.exp(distance * x - 0.5 * distance**2)
    return EventTable(x[:, np.newaxis], np.column_stack([np.ones(n), ratio - 1]) / n, ONE, feature_names=("x",))


def exact_shift_power(distance, expected, alpha):
    """ln r = d x - d^2/2 is normal with mean -+ d^2/2 and variance d^2; the number of events is Poisson."""
    counts = np.arange(1, int(expected + 12 * np.sqrt(expected)))
    probabilities = poisson.pmf(counts, expected)

    def below(q, side):
        means, spreads = side * 0.5 * distance**2 * counts, distance * np.sqrt(counts)
        return probabilities @ ndtr((q - means) / spreads) + poisson.pmf(0, expected) * (q > 0)

    threshold = brentq(lambda q: below(q, 1.0) - alpha, -100, 100)
    return below(threshold, -1.0)


@pytest.mark.parametrize("excess", [0.5, -0.4])
@pytest.mark.parametrize("lumi_fb", [10.0, 50.0])
@pytest.mark.parametrize("n_bins", [1, None])
def test_counting_experiment_against_poisson(excess, lumi_fb, n_bins):
    table = counting(excess)
    result = power(
        table, [1.0], ratios=table.joint_ratio(), lumi_fb=lumi_fb, n_bins=n_bins, method="toys", n_toys=20_000
    )
    null, numbers = poisson(lumi_fb * (1 + excess)), np.arange(200)
    size = null.cdf(numbers) if excess > 0 else null.sf(numbers - 1)
    rejected = numbers[size <= 0.05]
    other = poisson(lumi_fb)
    exact = other.cdf(rejected.max()) if excess > 0 else other.sf(rejected.min() - 1)
    assert result.power == pytest.approx(exact, abs=3 * result.error)
    assert result.error < 0.01


@pytest.mark.parametrize(("distance", "expected"), [(0.2, 100.0), (0.5, 20.0)])
def test_shifted_gaussian_against_the_exact_power(distance, expected):
    table = shift(distance)
    exact = exact_shift_power(distance, expected, 0.05)
    toys = power(table, [1.0], ratios=table.joint_ratio(), lumi_fb=expected, method="toys", n_toys=4000)
    assert toys.power == pytest.approx(exact, abs=3 * toys.error)
    assert toys.error < 0.03
    gauss = power(table, [1.0], ratios=table.joint_ratio(), lumi_fb=expected)
    # Edgeworth: the skewness g = +-3 (d/2) / sqrt(N) of the sum moves its distribution by g |z^2 - 1| phi(z) / 6 <=
    # 0.4 g / 6 at the power, and by as much, times the ratio of densities (<= 0.4 / phi(1.645)), at the threshold.
    skewness = 1.5 * distance / np.sqrt(expected)
    tolerance = skewness / 6 * (0.4 + abs(1.645**2 - 1) * 0.4)
    assert gauss.power == pytest.approx(exact, abs=tolerance)
    # Mean and variance of q: N d^2/2 and N d^2 (1 + d^2/4), the quantiles being short of the tails.
    assert gauss.means == pytest.approx(expected * 0.5 * distance**2 * np.array([1, -1]), rel=1e-3)
    assert gauss.spreads == pytest.approx(distance * np.sqrt(expected * (1 + distance**2 / 4)), rel=1e-3)


def test_many_bins_approach_the_unbinned_test():
    table = shift(0.3)
    options = {"ratios": table.joint_ratio(), "lumi_fb": 60.0}
    best = power(table, [1.0], **options).power
    values = [power(table, [1.0], n_bins=n, **options).power for n in (1, 2, 3, 5, 10, 20, 80, 400)]
    assert (np.diff([*values, best]) > 0).all()
    # Nothing but shape: one bin rejects as often as it errs. The quantiles miss 1e-6 of the rate at a = 1.
    assert values[0] == pytest.approx(0.05, abs=1e-5)
    # n bins keep all but about 1/n of the variance of a Gaussian: of the power less.
    assert values[-1] == pytest.approx(best, abs=1 / 400)
    for n, equal in [(5, values[3]), (10, values[4])]:
        assert equal < power(table, [1.0], n_bins=n, binning="optimal", **options).power < best


def test_bins_of_the_observable_are_those_of_the_ratio():
    """The ratio of the shift rises with x."""
    table = shift(0.3)
    by_ratio = power(table, [1.0], ratios=table.joint_ratio(), n_bins=8, lumi_fb=60.0)
    by_x = power(table, [1.0], observable=observable("x"), n_bins=8, lumi_fb=60.0)
    assert by_x.power == pytest.approx(by_ratio.power, rel=1e-9)
    inner = norm.ppf(np.arange(1, 8) / 8)
    edges = power(table, [1.0], observable=observable("x"), edges=[-np.inf, *inner, np.inf], lumi_fb=60.0)
    assert edges.power == pytest.approx(by_ratio.power, rel=1e-3)


def test_size_of_the_test_and_the_trivial_hypothesis():
    table = shift(0.3)
    result = power(table, [0.0], ratios=table.joint_ratio(), lumi_fb=60.0, alpha=0.1)
    assert result.power == 0.1
    # If the null is true, it is rejected with probability alpha.
    swapped = power(
        table, [1.0], alternative=[1.0 - 1e-9], ratios=table.joint_ratio(), lumi_fb=60.0, method="toys", n_toys=4000
    )
    assert swapped.power == pytest.approx(0.05, abs=3 * swapped.error)


def test_toys_use_common_random_numbers():
    """Along a line the power rises without noise between neighbours, and the same seed gives the same result."""
    table = shift(0.3)
    options = {"ratios": table.joint_ratio(), "lumi_fb": 40.0, "method": "toys", "n_toys": 1000}
    values = np.array([power(table, [a], **options).power for a in np.linspace(0.8, 1.0, 6)])
    assert (np.diff(values) >= 0).all()
    # Independent toys of 1000 would scatter by 0.016 around this line.
    assert np.abs(values - np.polyval(np.polyfit(np.arange(6), values, 1), np.arange(6))).max() < 0.01
    assert power(table, [0.8], **options).power == values[0]
    assert power(table, [0.8], seed=1, **options).power != values[0]


def test_events_of_toys_are_drawn_by_their_weights():
    """The search from a guess against a search from scratch, among events of very different weights."""
    rng = np.random.default_rng(4)
    weights = rng.exponential(size=500) ** 4
    weights[rng.random(500) < 0.2] = 0.0
    cumulated, uniform = np.cumsum(weights), rng.random(20_000)
    targets = uniform * cumulated[-1]
    guide = np.searchsorted(cumulated, np.arange(1000) * (cumulated[-1] / 1000))
    found = _first_above(cumulated, targets, guide[(uniform * 1000).astype(int)])
    np.testing.assert_array_equal(found, np.searchsorted(cumulated, targets, side="right"))


@pytest.fixture(scope="module")
def zh():
    table = bit.read_root(ZH)
    train, test = table.split([0.5, 0.5], 1)
    model = bit.BIT(n_estimators=40, max_depth=4, random_state=1).fit(train)
    return test, model.predict(test)


def test_zh_five_bins_of_the_learned_ratio(zh):
    """Equally probable bins lose what sits in the tail of p_T; bins chosen for information lose less than 3 %."""
    test, ratios = zh
    theta = {"cHW": 0.05}
    best = power(test, theta, ratios=test.joint_ratio(), lumi_fb=200.0).power
    learned, equal, optimal, pt = (
        power(test, theta, lumi_fb=200.0, **options).power
        for options in (
            {"ratios": ratios},
            {"ratios": ratios, "n_bins": 5},
            {"ratios": ratios, "n_bins": 5, "binning": "optimal"},
            {"observable": observable("pt"), "n_bins": 5},
        )
    )
    assert best >= learned > 0.98 * best
    assert optimal > 0.97 * best
    assert learned > optimal > equal > 0.94 * best
    assert pt < optimal


def test_map_agrees_with_points_and_is_smooth(zh):
    test, ratios = zh
    x, y = np.linspace(-0.1, 0.1, 5), np.linspace(-0.4, 0.4, 3)
    grid = power_map(test, ("cHW", "cHWtil"), x, y, ratios=ratios, lumi_fb=100.0)
    assert grid.power.shape == (5, 3)
    point = power(test, {"cHW": 0.05, "cHWtil": -0.4}, ratios=ratios, lumi_fb=100.0)
    assert grid.power[3, 0] == point.power
    assert grid.power[2, 1] == 0.05
    assert grid.power.min() == 0.05
    assert grid.to_dict()["kind"] == "bit-power-map/1"
    assert "cHW=0.05" in repr(point)
    assert "unbinned" in repr(grid)


def test_bad_input(zh):
    test, ratios = zh
    good = {"ratios": ratios, "lumi_fb": 10.0}
    for theta, options, message in [
        ({"cHW": 1.0}, {"lumi_fb": 10.0}, "either ratios or an observable"),
        ({"cHW": 1.0}, good | {"observable": observable("pt")}, "either ratios or an observable"),
        ({"cHW": 1.0}, {"observable": observable("pt"), "lumi_fb": 10.0}, "n_bins is missing"),
        ({"cHW": 1.0}, good | {"lumi_fb": -1.0}, "luminosity"),
        ({"cHW": 1.0}, good | {"alpha": 0.7}, "alpha=0.7"),
        ({"cHW": 1.0}, good | {"method": "guess"}, "choose 'gaussian' or 'toys'"),
        ({"cHW": 1.0}, good | {"method": "toys", "n_toys": 50}, "at least 200"),
        ({"cHW": 1.0}, good | {"n_bins": (2, 2)}, "one whole number"),
        ({"cHW": 1.0}, good | {"binning": "best"}, "choose 'equal' or 'optimal'"),
        ({"cHW": 1.0}, good | {"edges": [0, 1]}, "edges are those of an observable"),
        ({"cHW": 1.0}, good | {"floor": 0.0}, "floor=0.0"),
        ({"cHW": 1.0}, good | {"ratios": ratios[:, :2]}, "ratios have shape"),
        ({"cHW": 1.0}, good | {"ratios": np.full_like(ratios, np.nan)}, "NaN or infinite"),
        ({"cH": 1.0}, good, "unknown coefficient 'cH'"),
        (np.zeros((2, 3)), good, "one point is needed"),
    ]:
        with pytest.raises(InputError, match=message):
            power(test, theta, **options)
    with pytest.raises(InputError, match="two different coefficients"):
        power_map(test, ("cHW", "cHW"), [0.0], [0.0], **good)
    with pytest.raises(InputError, match="no coefficient 'x'"):
        power_map(test, ("cHW", "x"), [0.0], [0.0], **good)
    table = counting(-0.5)
    with pytest.raises(InputError, match="1 of 1 bins expect no or negative events"):
        power(table, [3.0], ratios=table.joint_ratio(), lumi_fb=1.0, n_bins=1)
    with pytest.raises(InputError, match="1000 events have negative weights"):
        power(table, [3.0], ratios=table.joint_ratio(), lumi_fb=1.0, method="toys")
