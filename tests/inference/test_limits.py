import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import lambertw
from scipy.stats import chi2

from bit.basis import PolynomialBasis
from bit.errors import BitWarning, InputError
from bit.events import EventTable
from bit.inference import Likelihood, Template, choose_edges, fill, information, limits, scan
from bit.observables import TrueScore, observable


def template(sums, names, order=2, lumi_fb=1.0, reference=None):
    sums = np.atleast_2d(np.asarray(sums, dtype=float))
    n_bins, n_terms = sums.shape
    basis = PolynomialBasis(names, order=order, reference=reference)
    edges = (np.arange(n_bins + 1.0),)
    return Template("s", basis, edges, sums, np.zeros((n_bins, n_terms, n_terms)), np.zeros(n_terms), lumi_fb)


def squared_amplitudes(amplitudes, scale):
    """Rows scale |1 + sum_a amplitude_a theta_a|^2 as derivative columns."""
    k = amplitudes.shape[1]
    pairs = [(i, j) for i in range(k) for j in range(i, k)]
    products = [2 * (amplitudes[:, i] * amplitudes[:, j].conj()).real for i, j in pairs]
    columns = [np.ones(len(amplitudes)), *(2 * amplitudes.real.T), *products]
    return scale * np.column_stack(columns)


def poisson_roots(n, cl=0.95):
    """Where 2 [x - n - n ln(x/n)] equals the chi2 quantile, by Lambert's function."""
    argument = -np.exp(-1 - chi2.ppf(cl, 1) / (2 * n))
    return -n * lambertw(argument, 0).real, -n * lambertw(argument, -1).real


@pytest.mark.parametrize("n", [0.5, 3.0, 40.0, 1e5])
@pytest.mark.parametrize("cl", [0.6827, 0.95])
def test_counting_experiment_of_linear_yield(n, cl):
    low, high = poisson_roots(n, cl)
    interval = limits(template([[n, 2.0 * n]], ["a"], order=1), cl=cl)["a"]
    # Roots are found to 1e-7 of a standard deviation.
    assert interval.lower == pytest.approx((low - n) / (2 * n), rel=1e-6)
    assert interval.upper == pytest.approx((high - n) / (2 * n), rel=1e-6)
    assert not interval.disconnected


@pytest.mark.parametrize("n", [30.0, 1e4])
def test_second_minimum_is_a_piece_of_its_own(n):
    # n (1 + a)^2 gives the SM yield at a = -2 as well.
    low, high = np.sqrt(np.array(poisson_roots(n)) / n)
    interval = limits(template([[n, 2 * n, 2 * n]], ["a"]))["a"]
    assert interval.disconnected
    np.testing.assert_allclose(interval.pieces, [[-1 - high, -1 - low], [-1 + low, -1 + high]], atol=1e-6)
    assert (interval.lower, interval.upper) == (interval.pieces[0][0], interval.pieces[1][1])


def test_few_events_join_the_two_minima():
    # Between the minima the yield n (1 + 2 a + 1.2 a^2) falls to n/6: allowed for few events, excluded for many.
    for n, expected in ((1.5, False), (20.0, True)):
        assert (n / 6 < poisson_roots(n)[0]) == expected
        assert limits(template([[n, 2 * n, 2.4 * n]], ["a"]))["a"].disconnected == expected


def test_pure_second_order_is_symmetric():
    n = 50.0
    interval = limits(template([[n, 0.0, 2.0]], ["a"]))["a"]
    reach = np.sqrt(poisson_roots(n)[1] - n)
    assert interval.upper == pytest.approx(reach, rel=1e-6)
    assert interval.lower == pytest.approx(-reach, rel=1e-6)
    assert interval.best == pytest.approx(0.0, abs=1e-12)


def test_narrow_far_minimum_is_found():
    # Both minima are 1e-2 wide and 2000 apart: (1 + a/1000)^2 in one bin of 1e12 events.
    n, c = 1e12, 1e-3
    interval = limits(template([[n, 2 * n * c, 2 * n * c**2]], ["a"]))["a"]
    low, high = np.sqrt(1 + np.array([-1, 1]) * np.sqrt(chi2.ppf(0.95, 1) / n))
    # The Gaussian limit of the roots deviates by 1/sqrt(n) of the width.
    np.testing.assert_allclose(
        interval.pieces, [[(-1 - high) / c, (-1 - low) / c], [(-1 + low) / c, (-1 + high) / c]], atol=1e-5
    )


def test_profile_finds_all_minima_of_the_other_coefficient():
    # n(1 + a + b)^2 and n(1 + a - b)^2: perfect at (0, 0), (-2, 0), (-1, 1) and (-1, -1).
    n = 200.0
    sums = squared_amplitudes(np.array([[1.0, 1.0], [1.0, -1.0]]), n)
    profiled = limits(template(sums, ["a", "b"]), params=["a"], others="profiled")["a"]
    fixed = limits(template(sums, ["a", "b"]), params=["a"])["a"]
    assert [round(0.5 * (low + high)) for low, high in profiled.pieces] == [-2, -1, 0]
    assert [round(0.5 * (low + high)) for low, high in fixed.pieces] == [-2, 0]
    likelihood = Likelihood(template(sums, ["a", "b"]))
    for piece in profiled.pieces:
        for end in piece:
            b = np.linspace(-3, 3, 60_001)
            by_grid = likelihood.twice_nll(np.column_stack([np.full_like(b, end), b])).min()
            # Profile to 2e-5; grid: curvature 8 n times (1e-4/2)^2 / 2.
            assert by_grid == pytest.approx(chi2.ppf(0.95, 1), abs=1e-4)


def test_gaussian_limit_of_fixed_and_profiled_intervals():
    rng = np.random.default_rng(3)
    n = 1e8
    sums = n * np.column_stack([np.ones(20), rng.normal(0.2, 0.3, (20, 3))])
    shape = template(sums, ["a", "b", "c"], order=1)
    matrix, z = information(shape), np.sqrt(chi2.ppf(0.95, 1))
    fixed, profiled = limits(shape), limits(shape, others="profiled")
    for k, name in enumerate(matrix.names):
        # Third order of the Poisson deviance: relative z / sqrt(n) = 2e-4.
        assert fixed[name].upper == pytest.approx(z / np.sqrt(matrix[name]), rel=1e-3)
        assert profiled[name].upper == pytest.approx(z * matrix.errors[k], rel=1e-3)
        assert profiled[name].lower == pytest.approx(-z * matrix.errors[k], rel=1e-3)


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(20_000, 2))
    amplitudes = np.stack(
        [0.3 * x[:, 0] + 0.1j, (0.2 + 0.3 * x[:, 1]) * np.exp(1j * x[:, 0]), 0.2 * x[:, 0] * (x[:, 1] + 0.5) + 0.1j],
        axis=1,
    )
    weights = squared_amplitudes(amplitudes, 1 / len(x))
    return EventTable(x, weights, PolynomialBasis(["a", "b", "c"]), feature_names=("x", "y"))


@pytest.fixture(scope="module")
def binned(sample):
    both = observable("x", "y")
    return fill(sample, both, choose_edges(sample, both, (5, 4)), 300.0)


@pytest.mark.parametrize("order", ["linear", "quadratic"])
def test_profiled_intervals_contain_fixed_ones_and_cross_at_the_quantile(binned, order):
    fixed, profiled = limits(binned, order=order), limits(binned, others="profiled", order=order)
    assert fixed.order == profiled.order == order
    likelihood = Likelihood(binned, order=order)
    for k, name in enumerate(fixed.names):
        # A profile is known to 2e-5 in -2 ln L, where its slope is about 4 per standard deviation.
        slack = 1e-5 * (fixed[name].upper - fixed[name].lower)
        assert profiled[name].lower <= fixed[name].lower + slack
        assert profiled[name].upper >= fixed[name].upper - slack
        for end in (profiled[name].lower, profiled[name].upper):
            free = [i for i in range(3) if i != k]

            def along(rest, end=end, free=free, k=k):
                theta = np.zeros(3)
                theta[k], theta[free] = end, rest
                return likelihood.objective(theta)

            by_scipy = min(
                minimize(along, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}).fun
                for start in ([0, 0], [0.4, -0.4], [-0.4, 0.4], [0.4, 0.4])
            )
            assert by_scipy == pytest.approx(chi2.ppf(0.95, 1), abs=2e-4)


def test_profile_follows_a_valley_that_splits(sample):
    # At linear order a and c move the bins alike; second-order terms bound them in two valleys of unequal depth.
    rows = np.column_stack([0.3 * sample.column("x") + 0.1j, 0.2 * sample.column("x") + 0.2j * sample.column("y") ** 2])
    basis = PolynomialBasis(["a", "c"])
    table = EventTable(
        sample.features, squared_amplitudes(rows, 1 / len(rows)), basis, feature_names=sample.feature_names
    )
    both = observable("x", "y")
    shape = fill(table, both, choose_edges(table, both, (5, 4)), 300.0)
    with pytest.warns(BitWarning, match="do not bound 'a'"):
        assert limits(shape, params=["a"], others="profiled", order="linear")["a"].upper == np.inf
    interval = limits(shape, params=["a"], others="profiled")["a"]
    likelihood, c = Likelihood(shape), np.linspace(-3, 3, 60_001)
    for end in (interval.lower, interval.upper):
        by_grid = likelihood.twice_nll(np.column_stack([np.full_like(c, end), c])).min()
        # Profile to 2e-5; grid: curvature times (1e-4/2)^2 / 2.
        assert by_grid == pytest.approx(chi2.ppf(0.95, 1), abs=1e-4)


def test_finer_observable_gives_tighter_limits(sample):
    score = TrueScore("a")
    fine = fill(sample, score, choose_edges(sample, score, 20), 300.0)
    coarse = fine.rebin(fine.edges[0][::10])
    assert limits(fine, order="linear")["a"].upper < limits(coarse, order="linear")["a"].upper


def test_theta_is_absolute_whatever_the_reference_point(sample, binned):
    moved = fill(sample.rebase([0.2, -0.1, 0.3]), observable("x", "y"), binned.edges, 300.0)
    here, there = limits(binned, others="profiled"), limits(moved, others="profiled")
    for name in here.names:
        # Same polynomial up to rounding; profiles to 1e-5 of a standard deviation.
        assert there[name].lower == pytest.approx(here[name].lower, rel=1e-4)
        assert there[name].upper == pytest.approx(here[name].upper, rel=1e-4)


def test_asimov_data_of_another_point(binned):
    result = limits(binned, theta_true=[0.15, 0.0, 0.0], order="linear")
    assert result["a"].best == pytest.approx(0.15, abs=1e-3)
    assert result["a"].lower < 0.15 < result["a"].upper
    profiled = limits(binned, theta_true=[0.15, 0.4, 0.0], others="profiled", order="linear")
    assert profiled["a"].best == pytest.approx(0.15, abs=1e-3)
    assert profiled["b"].best == pytest.approx(0.4, abs=1e-3)


def test_scan_crosses_where_the_limit_is(binned):
    for others in ("zero", "profiled"):
        interval = limits(binned, params=["b"], others=others)["b"]
        curve = scan(binned, "b", [interval.lower, 0.0, 0.1, interval.upper], others=others)
        # Profiles are known to 2e-5.
        assert curve.twice_nll[[0, 3]] == pytest.approx(chi2.ppf(0.95, 1), abs=1e-4)
        assert curve.twice_nll[1] == pytest.approx(0.0, abs=1e-6)
        assert curve.thetas.shape == (4, 3)
        assert (curve.thetas[:, 1] == curve.values).all()
        assert (others == "zero") == (curve.thetas[:, [0, 2]] == 0).all()
        np.testing.assert_allclose(Likelihood(binned).twice_nll(curve.thetas) - curve.twice_nll, np.zeros(4), atol=1e-6)


def test_scan_is_relative_to_the_minimum_between_its_points():
    likelihood = Likelihood(template([[100.0, 20.0]], ["a"], order=1), [130.0])
    curve = scan(likelihood, "a", [0.0, 3.0])
    assert curve.best == pytest.approx(1.5, abs=1e-2)
    assert curve.twice_nll[0] == pytest.approx(2 * (100 - 130 - 130 * np.log(100 / 130)), abs=1e-4)


def test_what_the_data_do_not_bound_is_infinite():
    shape = template([[10.0, 1.0, 2.0, 0.0]], ["a", "b", "none"], order=1)
    with pytest.warns(BitWarning, match="do not bound 'none'"):
        assert limits(shape, params=["none"])["none"].pieces == ((-np.inf, np.inf),)
    with pytest.warns(BitWarning, match="do not bound 'a'"):
        result = limits(shape, params=["a"], others="profiled")
    assert result["a"].lower == -np.inf
    assert result["a"].upper == np.inf
    assert np.isfinite(limits(shape, params=["a"])["a"].upper)


def test_errors(binned):
    for call, message in (
        (lambda: limits(binned, cl=95), "cl=95"),
        (lambda: limits(binned, params=["d"]), "no coefficient 'd'"),
        (lambda: limits(binned, params="a"), "sequence"),
        (lambda: limits(binned, others="free"), "others='free'"),
        (lambda: limits(Likelihood(binned), order="linear"), "settings of the Likelihood"),
        (lambda: scan(binned, "a", []), "at least one"),
        (lambda: limits(binned)["d"], "no limit on 'd'"),
    ):
        with pytest.raises(InputError, match=message):
            call()
