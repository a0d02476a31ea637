import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from bit.basis import PolynomialBasis
from bit.errors import BitWarning, InputError
from bit.events import EventTable
from bit.inference import Likelihood, UnbinnedLikelihood, contour, event_information, fill, fit, limits, scan
from bit.processes.analytic import Exponential, GaussianMean

TWO = PolynomialBasis(["a", "b"])


@pytest.fixture(scope="module")
def table():
    """Squared amplitudes of two coefficients: R >= 0 everywhere."""
    rng = np.random.default_rng(5)
    a, b = 0.5 * rng.normal(size=(2, 3000)) + 0.1
    columns = np.column_stack([np.ones(3000), 2 * a, 2 * b, 2 * a * a, 2 * a * b, 2 * b * b])
    weights = rng.uniform(0.5, 1.5, (3000, 1)) * columns / 3000
    return EventTable(np.column_stack([a, b]), weights, TWO, feature_names=("a", "b"))


@pytest.fixture(scope="module")
def likelihood(table):
    return UnbinnedLikelihood.asimov(table, table.joint_ratio(), lumi_fb=50.0, theta_true=[0.1, -0.2])


def test_twice_nll_is_the_formula(table, likelihood):
    theta, ratios = np.array([0.3, 0.2]), table.joint_ratio()
    logs = np.log(1.0 + ratios @ TWO.monomials(theta)[1:])
    data = 50.0 * table.at([0.1, -0.2])
    expected = 100.0 * (table.at(theta).sum() - table.sigma_fb) - 2.0 * data @ logs
    assert likelihood.twice_nll(theta) == pytest.approx(expected, rel=1e-12)
    assert likelihood.twice_nll([0.0, 0.0]) == 0.0
    assert likelihood.twice_nll(np.array([[[0.0, 0.0], theta]])).shape == (1, 2)
    assert likelihood.sigma(theta) == pytest.approx(table.at(theta).sum(), rel=1e-12)


def test_limits_scan_and_contour(likelihood):
    interval = limits(likelihood, others="profiled", params=["a"])["a"]
    along = scan(likelihood, "a", np.array([interval.lower, interval.best, interval.upper]), others="profiled")
    # Ends are found to 1e-4 in -2 ln L, each point of a profile to 2e-5.
    np.testing.assert_allclose(along.twice_nll, [3.8415, 0.0, 3.8415], atol=2e-3)
    region = contour(likelihood, ("a", "b"), n_points=41)
    grid = np.stack(np.meshgrid(region.x, region.y), axis=-1)
    np.testing.assert_allclose(region.twice_nll, likelihood.twice_nll(grid) - fit(likelihood).twice_nll, atol=2e-3)
    # The shadow of the region at 3.84 is the profiled interval, to a step of the grid.
    allowed = region.x[(region.twice_nll < 3.8415).any(axis=0)]
    step = region.x[1] - region.x[0]
    assert allowed.min() == pytest.approx(interval.lower, abs=1.5 * step)
    assert allowed.max() == pytest.approx(interval.upper, abs=1.5 * step)


@pytest.mark.parametrize("order", ["linear", "quadratic"])
@pytest.mark.parametrize("theta", [[0.3, -0.2], [-0.9, 0.4], [4.0, 0.0]])
@pytest.mark.filterwarnings("ignore::bit.errors.BitWarning")
def test_gradients_against_differences(table, theta, order):
    likelihood = UnbinnedLikelihood(
        table.joint_ratio(), table.weights.sum(axis=0), TWO, lumi_fb=3e3, order=order, floor=0.01
    )
    theta, h = np.array(theta), 1e-6
    numeric = [(likelihood.objective(theta + h * e) - likelihood.objective(theta - h * e)) / (2 * h) for e in np.eye(2)]
    # Rounding of the difference, eps * (sum of |ln R|) / h; an event that crosses the floor changes its curvature.
    assert likelihood.objective_gradient(theta) == pytest.approx(numeric, rel=1e-5, abs=0.01)
    possible = likelihood.sigma(theta) > 0
    assert np.isfinite(likelihood.twice_nll(theta)) == possible
    assert np.isfinite(likelihood.gradient(theta)).all() == possible


def test_fit_of_asimov_data_finds_the_truth_with_the_errors_of_the_information(table, likelihood):
    result = fit(likelihood, start=[0.0, 0.0])
    assert result.valid
    # What Minuit leaves: an estimated distance of 2e-7 in -2 ln L from the minimum.
    assert result.values == pytest.approx([0.1, -0.2], abs=1e-3 * result.errors.min())
    best = event_information(table, 50.0, [0.1, -0.2]).covariance
    # Minuit's numerical second derivatives.
    np.testing.assert_allclose(result.covariance, best, rtol=2e-3)


def test_expansion_at_the_truth_is_twice_the_information(table, likelihood):
    theta = np.array([0.1, -0.2])
    slope, metric = likelihood.objective_expansion(theta)
    assert slope == pytest.approx(likelihood.objective_gradient(theta))
    np.testing.assert_allclose(metric, 2 * event_information(table, 50.0, theta).matrix, rtol=1e-10)
    assert likelihood.coefficients == ("a", "b")
    assert likelihood.n_coefficients == 2
    assert likelihood.plain


def test_the_number_of_threads_does_not_change_a_bit(table):
    many = np.tile(table.joint_ratio(), (60, 1))
    values = [UnbinnedLikelihood(many, table.weights.sum(axis=0), TWO, lumi_fb=1.0, n_jobs=n) for n in (1, 2, 3)]
    theta = np.array([0.3, -0.1])
    assert len({float(item.twice_nll(theta)) for item in values}) == 1
    assert len({item.gradient(theta).tobytes() for item in values}) == 1
    assert values[2]._n_threads == 3


@pytest.mark.parametrize("toy", [GaussianMean(order=1), Exponential(order=2)], ids=["gaussian", "exponential"])
def test_intervals_of_toys_are_exact(toy):
    """Events of the toy against the closed form of R and of the cross-section."""
    x = toy.sample(4000, seed=3).features[:400, 0]
    first, second = toy.score_moments(x)
    ratios = np.column_stack([first, 0.5 * second][: toy.order])
    moments = toy.mean_moments()
    total = [toy.sigma_fb, *(np.array([moments[0], 0.5 * moments[1]][: toy.order]) * toy.sigma_fb)]
    likelihood = UnbinnedLikelihood(ratios, total, toy.basis, lumi_fb=400.0)

    def exact(theta):
        return 800.0 * (toy.cross_section(theta) - toy.sigma_fb) - 2.0 * np.log(toy.ratio(x, theta)).sum()

    best = minimize_scalar(exact, bounds=(-0.25, 0.25), method="bounded", options={"xatol": 1e-10}).x
    level = exact(best) + 3.841458820694124
    ends = brentq(lambda t: exact(t) - level, -0.3, best), brentq(lambda t: exact(t) - level, best, 0.3)
    interval = limits(likelihood)["theta"]
    width = ends[1] - ends[0]
    assert likelihood.n_floored([ends[0]]) == likelihood.n_floored([ends[1]]) == 0
    assert fit(likelihood).values == pytest.approx([best], abs=1e-3 * width)
    assert interval.best == pytest.approx(best, abs=1e-2 * width)
    # The minimum is known to 2e-5 in -2 ln L, the crossing to 1e-7 of a step.
    (piece,) = (p for p in interval.pieces if p[0] < best < p[1])
    assert piece == pytest.approx(ends, abs=1e-4 * width)


def test_unbinned_is_the_limit_of_many_bins():
    """The difference falls with the square of the bin width, to the resolution of the finest bins."""
    toy = GaussianMean(order=2)
    table = toy.sample(50_000, seed=2)
    unbinned = UnbinnedLikelihood.asimov(table, table.joint_ratio(), lumi_fb=100.0, theta_true=[0.2])
    points = np.array([[-0.2], [0.1], [0.3]])  # R vanishes at |x| > 6 only
    distances = []
    for n_bins in (20, 80, 320):
        template = fill(table, lambda t: t.column("x"), np.linspace(-6, 6, n_bins + 1), 100.0)
        with pytest.warns(BitWarning, match="dropped"):
            binned = Likelihood(template, theta_true=[0.2])
        values = binned.twice_nll(points) - binned.twice_nll([0.0])
        distances.append(np.abs(values - unbinned.twice_nll(points)).max())
    # Four times as many bins: 16 times nearer where bins hold many events.
    assert distances[1] < distances[0] / 8
    assert distances[2] < distances[1] / 4
    assert distances[2] < 0.01, distances


def test_rate_only_is_the_analytic_result():
    """Events that all look alike: a Poisson number N with mean L sigma (1 + s theta)."""
    basis = PolynomialBasis(["a"], order=1)
    likelihood = UnbinnedLikelihood(np.full((120, 1), 0.5), [2.0, 1.0], basis, lumi_fb=50.0)
    theta = np.array([-0.3, 0.1, 0.7])
    expected = 100.0 * (1 + 0.5 * theta)
    counted = 2 * (expected - 120 * np.log(expected)) - 2 * (100 - 120 * np.log(100))
    np.testing.assert_allclose(likelihood.twice_nll(theta[:, np.newaxis]), counted, rtol=1e-12)
    assert fit(likelihood).values == pytest.approx([0.4], abs=1e-5)
    assert fit(likelihood).errors == pytest.approx([2 * np.sqrt(120) / 100], rel=1e-3)


def test_ratios_below_the_floor_are_counted_and_continued_by_the_tangent():
    basis = PolynomialBasis(["a"], order=1)
    likelihood = UnbinnedLikelihood([[1.0], [-1.0]], [1.0, 0.1], basis, lumi_fb=1.0, weights=[2.0, 1.0], floor=0.01)
    assert likelihood.n_floored([0.5]) == 0
    assert likelihood.n_floored([1.5]) == 1
    tangent = np.log(0.01) + (-0.5 - 0.01) / 0.01
    assert likelihood.twice_nll([1.5]) == pytest.approx(2 * 0.15 - 4 * np.log(2.5) - 2 * tangent, rel=1e-12)
    line = np.linspace(0.98, 3.0, 50)[:, np.newaxis]
    assert (np.diff(likelihood.objective(line)) > 0).all()
    with pytest.warns(BitWarning, match="R < 0.01 for 1 of 2 events at theta=\\[1.5\\]"):
        UnbinnedLikelihood([[1.0], [-1.0]], [1.0, 0.1], basis, lumi_fb=1.0, start=[1.5], floor=0.01)
    assert likelihood.twice_nll([-11.0]) == np.inf  # no cross-section
    assert np.isnan(likelihood.gradient([-11.0])).all()


def test_reach_holds_everything_that_is_allowed(likelihood):
    points = np.random.default_rng(1).uniform(-12, 12, (4000, 2))
    values = likelihood.objective(points)
    for level in (4.0, 200.0, 2000.0):
        inside = points[values <= level]
        assert len(inside) > 0
        for index in (0, 1):
            low, high = likelihood.reach(index, [0, 1], level)
            assert low <= inside[:, index].min()
            assert inside[:, index].max() <= high
            assert high - low < 40  # a bound that says something


def test_reach_of_what_does_not_bound(table):
    linear = UnbinnedLikelihood.asimov(table, table.joint_ratio(), lumi_fb=50.0, order="linear")
    assert linear.linear
    assert linear.reach(0, [0, 1], 4.0) == (-np.inf, np.inf)
    signed = UnbinnedLikelihood(
        table.joint_ratio(), table.weights.sum(axis=0), TWO, lumi_fb=1.0, weights=np.where(np.arange(3000) % 7, 1, -1)
    )
    assert not signed.linear
    assert signed.reach(0, [0], 4.0) == (-np.inf, np.inf)


def test_steps_change_twice_nll_by_about_one(table):
    likelihood = UnbinnedLikelihood.asimov(table, table.joint_ratio(), lumi_fb=50.0)
    for step, unit in zip(likelihood.step_sizes(), np.eye(2), strict=True):
        assert 0.3 < likelihood.twice_nll(step * unit) < 3.0


def test_linear_order_is_that_of_the_linear_table(table):
    linear = UnbinnedLikelihood.asimov(table, table.joint_ratio(), lumi_fb=50.0, order="linear")
    kept = PolynomialBasis(["a", "b"], order=1)
    alone = EventTable(table.features, table.weights[:, :3], kept, feature_names=("a", "b"))
    other = UnbinnedLikelihood.asimov(alone, alone.joint_ratio(), lumi_fb=50.0)
    assert linear.twice_nll([0.2, 0.1]) == other.twice_nll([0.2, 0.1])
    assert "params=['a', 'b'], linear" in repr(linear)


def test_bad_input(table):
    ratios, total = table.joint_ratio(), table.weights.sum(axis=0)
    spoiled = ratios.copy()
    spoiled[7, 2] = np.nan
    for arguments, options, message in [
        ((spoiled, total, TWO), {}, r"ratios: 1 of 3000 events are NaN or infinite \(first: event 7"),
        ((ratios[:, :4], total, TWO), {}, r"ratios have shape \(3000, 4\), expected \(n_events, 5\)"),
        ((ratios, total[:3], TWO), {}, "6 finite numbers are needed"),
        ((ratios, -total, TWO), {}, "cross-section at the reference point must be positive"),
        ((ratios, total, TWO), {"lumi_fb": 0.0}, "luminosity must be positive"),
        ((ratios, total, TWO), {"weights": np.ones(5)}, r"weights have shape \(5,\), expected \(3000,\)"),
        ((ratios, total, TWO), {"weights": np.full(3000, np.inf)}, "weights: 3000 of 3000"),
        ((ratios, total, TWO), {"floor": 2.0}, "floor=2.0"),
        ((ratios, total, TWO), {"order": "cubic"}, "choose 'linear' or 'quadratic'"),
        ((ratios, total, TWO), {"start": [[0.0, 0.0]]}, "one point"),
    ]:
        with pytest.raises(InputError, match=message):
            UnbinnedLikelihood(*arguments, **({"lumi_fb": 1.0} | options))


@pytest.mark.slow
@pytest.mark.parametrize("toy", [GaussianMean(order=2), Exponential(order=2)], ids=["gaussian", "exponential"])
def test_coverage_of_intervals(toy):
    """How often the truth lies within the intervals of 68 % and 95 %, within three binomial standard errors."""
    theta, n_toys, rng = 0.2, 2000, np.random.default_rng(20)
    pool = toy.sample(400_000, seed=8)
    ratios, total, chance = pool.joint_ratio(), pool.weights.sum(axis=0), pool.at([theta])
    cumulated = np.cumsum(chance)
    expected = 200.0 * cumulated[-1]
    distances = np.empty(n_toys)
    for k in range(n_toys):
        drawn = np.searchsorted(cumulated, rng.random(rng.poisson(expected)) * cumulated[-1])
        likelihood = UnbinnedLikelihood(ratios[drawn], total, toy.basis, lumi_fb=200.0, n_jobs=1)
        distances[k] = likelihood.twice_nll([theta]) - fit(likelihood).twice_nll
    for level, quantile in [(0.6827, 1.0), (0.95, 3.841458820694124)]:
        covered = (distances <= quantile).mean()
        assert covered == pytest.approx(level, abs=3 * np.sqrt(level * (1 - level) / n_toys))


def test_many_starts_find_one_minimum(table, likelihood):
    starts = np.random.default_rng(3).normal(scale=0.5, size=(100, 2))
    found = [fit(likelihood, start=start) for start in starts]
    assert all(result.valid for result in found)
    lowest = min(result.twice_nll for result in found)
    # Squared amplitudes have a second valley, which is shallower.
    assert np.mean([result.twice_nll < lowest + 1e-3 for result in found]) > 0.9
