import math

import numpy as np
import pytest
from scipy.integrate import dblquad, quad

from bit.errors import InputError
from bit.processes.analytic import ExponentialRates, GaussianMeanWidth, PowerLawSlope

FAMILIES = {
    "power-law": (PowerLawSlope(low=20.0, sigma_fb=3.0), [3.5]),
    "exponential": (ExponentialRates(), [0.8]),
    "exponential-2d": (ExponentialRates(n_features=2), [0.5, 2.0]),
    "exponential-4d": (ExponentialRates(n_features=4), [0.5, 1.0, 2.0, 3.0]),
    "gaussian": (GaussianMeanWidth(), [-0.4, 1.7]),
}
N_EVENTS = 40_000


@pytest.fixture(params=FAMILIES)
def family_and_theta(request):
    family, theta = FAMILIES[request.param]
    return family, np.array(theta)


def test_densities_are_normalised():
    power, exponential, gauss = (FAMILIES[name] for name in ("power-law", "exponential", "gaussian"))
    for (family, theta), low in ((power, 20.0), (exponential, 0.0), (gauss, -np.inf)):
        integral = quad(lambda x, f=family, t=theta: f.density([x], t)[0], low, np.inf, epsabs=1e-12)[0]
        assert integral == pytest.approx(1.0, abs=1e-9)
    family, theta = FAMILIES["exponential-2d"]
    assert dblquad(lambda x, y: family.density([[x, y]], theta)[0], 0, 20, 0, 80)[0] == pytest.approx(1.0, abs=1e-6)
    assert family.density([[1.0, -0.1]], theta)[0] == 0.0
    assert power[0].density([19.9], power[1])[0] == 0.0


def test_densities_by_hand():
    assert PowerLawSlope(low=2.0).density([4.0], [3.0]) == pytest.approx(2.0 / 2.0 * 0.125, rel=1e-14)
    family = ExponentialRates(n_features=3)
    assert family.density([[1.0, 2.0, 0.5]], [1.0, 0.5, 2.0]) == pytest.approx(math.exp(-3.0), rel=1e-14)
    assert GaussianMeanWidth().density([3.0], [1.0, 2.0]) == pytest.approx(math.exp(-0.5) / 2 / math.sqrt(2 * math.pi))


def differences(function, theta, step):
    """Central differences of a function of theta, with the parameter on the last axis."""
    units = step * np.eye(len(theta))
    return np.stack([(function(theta + unit) - function(theta - unit)) / (2 * step) for unit in units], axis=-1)


def test_score_and_second_derivatives(family_and_theta):
    family, theta = family_and_theta
    x = family.sample(20, 1, theta0=theta).features
    # Error of central differences: step^2 times third derivatives, of order 100 at most.
    slope = differences(lambda point: np.log(family.density(x, point)), theta, 1e-5)
    np.testing.assert_allclose(family.score(x, theta), slope, rtol=1e-6, atol=1e-6)
    n_params = len(theta)
    ratios = family.ratio_terms(x, theta)
    np.testing.assert_array_equal(ratios[:, :n_params], family.score(x, theta))
    # d_a d_b p / p, from the score and the density.
    second = differences(lambda point: family.score(x, point) * family.density(x, point)[:, None], theta, 1e-5)
    second /= family.density(x, theta)[:, None, None]
    np.testing.assert_allclose(ratios[:, n_params:], second[:, *np.triu_indices(n_params)], rtol=1e-6, atol=1e-5)


def test_weights_are_the_derivatives(family_and_theta):
    family, theta = family_and_theta
    table = family.sample(N_EVENTS, 5, theta0=theta)
    assert table.basis.reference == tuple(theta)
    assert table.feature_names == family.feature_names
    assert table.sigma_fb == pytest.approx(family.sigma_fb, rel=1e-12)
    np.testing.assert_allclose(table.joint_ratio(), family.ratio_terms(table.features, theta), rtol=1e-12)
    np.testing.assert_array_equal(table.aux["truth"], family.score(table.features, theta))
    # The remainder of the series is of third order: half the step, an eighth of the deviation.
    few = table.take(np.arange(50))
    step = 0.02 * theta / np.abs(theta)
    remainder = [
        np.abs(few.at(theta + f * step) / few.weights[:, 0] - family.ratio(few.features, theta + f * step, theta)).max()
        for f in (1.0, 0.5)
    ]
    assert remainder[0] > 0.0
    assert remainder[1] / remainder[0] == pytest.approx(1 / 8, rel=0.25)
    # The rate does not depend on theta.
    means = table.joint_ratio().mean(axis=0)
    assert (np.abs(means) < 5 * table.joint_ratio().std(axis=0) / math.sqrt(N_EVENTS)).all()


def test_information_is_the_covariance_of_the_score(family_and_theta):
    family, theta = family_and_theta
    score = family.score(family.sample(N_EVENTS, 6, theta0=theta).features, theta)
    products = score[:, :, None] * score[:, None, :]
    error = products.std(axis=0) / math.sqrt(N_EVENTS)
    assert (np.abs(products.mean(axis=0) - family.information(theta)) < 5 * error).all()
    np.testing.assert_allclose(family.information(theta, 7.0), 7.0 * family.information(theta), rtol=1e-15)


def test_estimate_is_where_the_score_vanishes(family_and_theta):
    family, theta = family_and_theta
    x = family.sample(60, 7, theta0=theta).features
    estimate = family.maximum_likelihood(x)
    scale = np.abs(family.score(x, estimate)).max()
    assert np.abs(family.score(x, estimate).mean(axis=0)).max() < 1e-13 * scale
    # A maximum: any other point is less likely.
    for shift in 0.05 * np.vstack([np.eye(len(theta)), -np.eye(len(theta))]):
        moved = np.log(family.density(x, estimate + shift)).sum()
        assert moved < np.log(family.density(x, estimate)).sum()


def test_spread_of_estimates(family_and_theta):
    family, theta = family_and_theta
    n_experiments, n_events = 400, 500
    x = family.sample(n_experiments * n_events, 8, theta0=theta).features
    estimates = np.array([family.maximum_likelihood(part) for part in np.split(x, n_experiments)])
    low, high = family.expected_limits(theta, n_events, level=0.6827).T
    error = 0.5 * (high - low)
    # Corrections to the limit of many events: bias of one error/sqrt(500) or so.
    assert (
        np.abs(estimates.mean(axis=0) - theta) < error * (5 / math.sqrt(n_experiments) + 1.5 / math.sqrt(500))
    ).all()
    assert (np.abs(estimates.std(axis=0) / error - 1) < 5 / math.sqrt(2 * n_experiments)).all()
    np.testing.assert_allclose(family.exact_limits(theta, 10**6), family.expected_limits(theta, 10**6), rtol=1e-5)


@pytest.mark.parametrize("n_events", [2, 5])
def test_coverage_of_exact_limits(family_and_theta, n_events):
    family, theta = family_and_theta
    n_experiments, level = 1000, 0.8
    x = family.sample(n_experiments * n_events, 9, theta0=theta).features
    covered = np.zeros(len(theta))
    for part in np.split(x, n_experiments):
        limits = family.exact_limits(family.maximum_likelihood(part), n_events, level=level)
        covered += (limits[:, 0] < theta) & (theta < limits[:, 1])
    assert (np.abs(covered / n_experiments - level) < 5 * math.sqrt(level * (1 - level) / n_experiments)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExponentialRates(n_features=0), "n_features=0"),
        (lambda: PowerLawSlope(low=0.0), "low=0.0"),
        (lambda: PowerLawSlope(sigma_fb=-1.0), "sigma_fb=-1.0"),
        (lambda: PowerLawSlope().sample(10, 1, theta0=[1.0]), "slope=1: this parameter must be above 1"),
        (lambda: GaussianMeanWidth().density([1.0], [0.0, 0.0]), "width=0"),
        (lambda: ExponentialRates().sample(0, 1, theta0=[1.0]), "n_events=0"),
        (lambda: ExponentialRates().sample(5, -1, theta0=[1.0]), "seed=-1"),
        (lambda: ExponentialRates().sample(5, 1, theta0={"rat": 1.0}), "did you mean 'rate'"),
        (lambda: ExponentialRates().score([1.0], [[1.0], [2.0]]), "one point of 1 values"),
        (lambda: ExponentialRates(n_features=2).score([1.0, 2.0], [1.0, 1.0]), r"\(n, 2\) is needed"),
        (lambda: ExponentialRates().exact_limits([1.0], 1), "at least 2"),
        (lambda: ExponentialRates().exact_limits([1.0], 5, level=0.0), "level=0.0"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(InputError, match=message):
        make()
