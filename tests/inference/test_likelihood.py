import numpy as np
import pytest
from scipy import stats

from bit.basis import PolynomialBasis
from bit.errors import BitWarning, InputError
from bit.inference import Likelihood, Template, limits

TWO = PolynomialBasis(["a", "b"])
SUMS = np.array([[10.0, 1.0, 0.5, 0.6, 0.1, 0.3], [4.0, -2.0, 0.1, 1.5, 0.2, 0.4], [2.0, 0.3, -0.7, 0.2, -0.1, 1.0]])


def template(sums, basis=TWO, lumi_fb=1.0, process="signal"):
    sums = np.atleast_2d(np.asarray(sums, dtype=float))
    n_bins, n_terms = sums.shape
    edges = (np.arange(n_bins + 1.0),)
    return Template(process, basis, edges, sums, np.zeros((n_bins, n_terms, n_terms)), np.zeros(n_terms), lumi_fb)


def test_twice_nll_against_scipy_by_differences():
    counts = np.array([12.0, 3.0, 0.0])
    likelihood = Likelihood(template(SUMS), counts)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 2))

    def by_scipy(theta):
        return -2 * stats.poisson.logpmf(counts, template(SUMS).yields(theta)).sum()

    values = likelihood.twice_nll(points)
    reference = np.array([by_scipy(theta) for theta in points])
    assert values.shape == (20,)
    np.testing.assert_allclose(values - values[0], reference - reference[0], atol=1e-12)
    assert (values >= 0).all()


def test_asimov_data_are_described_perfectly():
    likelihood = Likelihood(template(SUMS, lumi_fb=3.0), theta_true={"a": 0.3, "b": -0.2})
    np.testing.assert_allclose(likelihood.observed, template(SUMS, lumi_fb=3.0).yields([0.3, -0.2]), rtol=1e-13)
    # Squares of rounding errors.
    assert likelihood.twice_nll([0.3, -0.2]) == pytest.approx(0.0, abs=1e-26)
    assert likelihood.gradient([0.3, -0.2]) == pytest.approx([0.0, 0.0], abs=1e-12)
    assert likelihood.twice_nll([0.0, 0.0]) > 0.01


def test_small_differences_survive_large_counts():
    likelihood = Likelihood(template([[1e14, 1e14]], PolynomialBasis(["a"], order=1)))
    # n [x - log(1 + x)] = n x^2 / 2 - ..., with x = 1e-9: 1e-4 of events out of 1e14; float64 keeps n x^2 to
    # eps * n x / (n x^2) = 2e-7, where differences of single terms n ln n would leave nothing.
    assert likelihood.twice_nll([1e-9]) == pytest.approx(1e-4, rel=3e-7)


@pytest.mark.parametrize("theta", [[0.3, -0.2], [-0.9, 0.4], [3.0, 0.0], [9.0, 9.0]])
@pytest.mark.parametrize("order", ["linear", "quadratic"])
def test_gradients_against_differences(theta, order):
    likelihood = Likelihood(template(SUMS), [12.0, 3.0, 0.0], order=order)
    theta, h = np.array(theta), 1e-6
    numeric = [(likelihood.objective(theta + h * e) - likelihood.objective(theta - h * e)) / (2 * h) for e in np.eye(2)]
    # Rounding of the difference, eps * value / h, and the parabola's third derivative at its joint.
    tolerance = 1e-9 * (1 + float(likelihood.objective(theta))) + 1e-4
    assert likelihood.objective_gradient(theta) == pytest.approx(numeric, rel=1e-5, abs=tolerance)
    if np.isfinite(likelihood.twice_nll(theta)):
        assert likelihood.gradient(theta) == pytest.approx(likelihood.objective_gradient(theta), rel=1e-12)
        assert likelihood.objective(theta) == pytest.approx(likelihood.twice_nll(theta), rel=1e-12)
    else:
        assert np.isnan(likelihood.gradient(theta)).all()


def test_objective_along_one_coefficient():
    likelihood = Likelihood(template(SUMS), [12.0, 3.0, 0.0])
    x = np.linspace(-3, 3, 50)
    for index in (0, 1):
        # Rounding: the same polynomial, added up in another order, where the parabola is as steep as 1e8.
        expected = likelihood.objective(x[:, np.newaxis] * np.eye(2)[index])
        np.testing.assert_allclose(likelihood.objective_along(index, x), expected, rtol=1e-10)


def test_negative_yields_are_excluded_and_the_objective_rises_towards_them():
    likelihood = Likelihood(template([[4.0, -2.0], [3.0, 0.1]], PolynomialBasis(["a"], order=1)))
    assert likelihood.twice_nll([2.5]) == np.inf
    assert likelihood.twice_nll([2.0]) == np.inf  # exactly no events expected, four seen
    line = np.linspace(1.9, 3.0, 200)[:, np.newaxis]
    assert (np.diff(likelihood.objective(line)) > 0).all()
    assert np.isfinite(likelihood.objective(line)).all()


def test_nothing_observed_allows_a_yield_of_zero():
    likelihood = Likelihood(template([[4.0, -2.0]], PolynomialBasis(["a"], order=1)), [0.0])
    assert likelihood.twice_nll([0.5]) == 6.0
    assert likelihood.twice_nll([2.0]) == likelihood.objective(np.array([2.0])) == 0.0
    assert likelihood.twice_nll([2.1]) == np.inf
    # lambda = 3.84 / 2 is excluded from above; below lambda = 0 the parabola of width 4e-4 rises at once.
    interval = limits(likelihood)["a"]
    assert interval.lower == pytest.approx((4 - 3.841458821 / 2) / 2, rel=1e-6)
    assert interval.upper == pytest.approx(2.0, abs=1e-3)


def test_channels_are_matched_by_name():
    other_basis = PolynomialBasis(["c", "a"], reference=[0.1, 0.2])
    other = np.abs(np.random.default_rng(1).normal(3, 1, (2, 6)))
    both = Likelihood([template(SUMS), template(other, other_basis, process="second")])
    assert both.param_names == ("a", "b", "c")
    assert both.n_bins == 5
    theta = {"a": 0.2, "b": -0.1, "c": 0.3}
    first = Likelihood(template(SUMS)).twice_nll([0.2, -0.1])
    second = Likelihood(template(other, other_basis)).twice_nll([0.3, 0.2])
    assert both.twice_nll(theta) == pytest.approx(first + second, rel=1e-12)
    assert "2 channels, 5 bins" in repr(both)


def test_linear_order_is_that_of_the_linear_template():
    basis = PolynomialBasis(["a", "b"], reference=[0.2, 0.0])
    likelihood = Likelihood(template(SUMS, basis), order="linear")
    linear = template(SUMS, basis).linear()
    np.testing.assert_allclose(likelihood.asimov([0.5, 0.1]), linear.yields([0.5, 0.1]), rtol=1e-13)
    assert likelihood.linear
    assert not Likelihood(template(SUMS, basis)).linear


def test_bins_that_never_expect_anything_are_dropped():
    sums = np.vstack([SUMS, np.zeros(6)])
    with pytest.warns(BitWarning, match="1 of 4 bins .* bin 3 of template 'signal'"):
        likelihood = Likelihood(template(sums))
    assert likelihood.twice_nll([0.1, 0.1]) == Likelihood(template(SUMS)).twice_nll([0.1, 0.1])
    with pytest.raises(InputError, match="bin 3 of template 'signal' holds 2 events but expects none"):
        Likelihood(template(sums), [1.0, 1.0, 1.0, 2.0])
    with pytest.raises(InputError, match="the templates are empty"):
        Likelihood(template(np.zeros((2, 6))))


def test_reach_holds_everything_that_is_allowed():
    rng = np.random.default_rng(4)
    amplitude = rng.normal(size=(6, 2))
    a, b = amplitude.T
    sums = 20 * np.stack([np.ones(6), 2 * a, 2 * b, 2 * a * a, 2 * a * b, 2 * b * b], axis=1)  # 20 |1 + a t + b u|^2
    likelihood = Likelihood(template(sums))
    points = rng.uniform(-3, 3, (100_000, 2))
    allowed = points[likelihood.twice_nll(points) < 3.84]
    assert len(allowed) > 50
    for index in (0, 1):
        low, high = likelihood.reach(index, [0, 1], 3.84)
        assert low < allowed[:, index].min()
        assert high > allowed[:, index].max()
    assert Likelihood(template(sums), order="linear").reach(0, [0, 1], 3.84) == (-np.inf, np.inf)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Likelihood([]), "no templates"),
        (lambda: Likelihood(template(SUMS), order="cubic"), "order='cubic'"),
        (lambda: Likelihood(template(SUMS), [1.0, 2.0]), r"observed has shape \(2,\), expected \(3,\)"),
        (lambda: Likelihood(template(SUMS), [1.0, 2.0, -1.0]), "negative"),
        (lambda: Likelihood(template(SUMS), [1.0, 2.0, 1.0], theta_true=[0, 0]), "exclude each other"),
        (lambda: Likelihood(template(-SUMS)), "bin 0 of template 'signal' expects -10 events"),
        (lambda: Likelihood(template(SUMS)).twice_nll({"aa": 1.0}), "unknown coefficient 'aa'"),
        (lambda: Likelihood(template(SUMS)).gradient([[0.0, 0.0]]), "one point"),
    ],
)
def test_errors(make, message):
    with pytest.raises(InputError, match=message):
        make()
