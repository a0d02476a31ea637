from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from bit.errors import InputError
from bit.processes.analytic import (
    Exponential,
    GaussianMean,
    Mixture,
    Piecewise,
    PowerLaw,
    Sine,
    Square,
    with_negative_weights,
)

TOYS = {
    "power law": (PowerLaw(sigma_fb=3.0), (20.0, 420.0)),
    "steep power law": (PowerLaw(slope=5.5, low=30.0, high=2000.0, offset=0.0, order=1), (30.0, 2000.0)),
    "exponential": (Exponential(scale=2.5), (0.0, 100.0)),
    "gaussian": (GaussianMean(width=0.7), (-7.0, 7.0)),
    "latent": (GaussianMean(width=1.5, smearing=2.0, sigma_fb=0.2), (-25.0, 25.0)),
    "square": (Square(), (-1.0, 1.0)),
    "sine": (Sine(amplitude=1.5, frequency=2, order=1), (-np.pi, np.pi)),
    "squared sine": (Sine(amplitude=0.8), (-np.pi, np.pi)),
    "mixture": (Mixture(sigma_fb=2.0), (0.0, 1.0)),
    "piecewise": (Piecewise(), (0.0, 8.0)),
    "linear piecewise": (Piecewise(order=1, scores=(-0.7, 0.3, 0.5, 2.0)), (0.0, 8.0)),
}
N_EVENTS = 40_000


@pytest.fixture(params=TOYS, ids=lambda name: name.replace(" ", "-"))
def toy_and_range(request):
    return TOYS[request.param]


def integrate(function, low, high):
    # Broken where a toy has a step or the peak of its density.
    steps = [point for point in (1e-9, 1.0, 2.0, 4.0) if low < point < high] or [0.5 * (low + high)]
    return quad(function, low, high, limit=400, epsabs=1e-13, epsrel=1e-11, points=steps)[0]


@pytest.mark.parametrize("theta", [0.0, 0.2])
def test_densities_are_normalised(toy_and_range, theta):
    toy, (low, high) = toy_and_range
    # The ranges of the unbounded densities leave out less than 1e-9.
    assert integrate(lambda x: float(toy.density(x, theta)), low, high) == pytest.approx(1.0, abs=1e-7)


def test_moments_by_integration(toy_and_range):
    toy, (low, high) = toy_and_range
    expected = toy.mean_moments()
    integrals = [
        integrate(lambda x, k=k: float(toy.nominal_density(x) * toy.score_moments(x)[k]), low, high) for k in (0, 1)
    ]
    integrals.append(integrate(lambda x: float(toy.nominal_density(x) * toy.score_moments(x)[0] ** 2), low, high))
    np.testing.assert_allclose(integrals, expected, rtol=1e-7, atol=1e-9)
    assert toy.information(lumi_fb=2.0) == pytest.approx(2.0 * toy.sigma_fb * expected[2], rel=1e-14)


def test_score_is_the_derivative(toy_and_range):
    toy, (low, high) = toy_and_range
    x = np.linspace(0.9 * low + 0.1 * high, 0.5 * (low + high), 9)
    step = 1e-5
    for theta in (0.0, 0.1):
        slope = (np.log(toy.ratio(x, theta + step)) - np.log(toy.ratio(x, theta - step))) / (2 * step)
        # Error of the central difference: step^2 times a third derivative of order 100.
        np.testing.assert_allclose(toy.score(x, theta), slope, rtol=1e-6, atol=1e-7)


def test_sample_follows_the_density(toy_and_range):
    toy, (low, high) = toy_and_range
    table = toy.sample(N_EVENTS, seed=5)
    x = table.column("x")
    assert low <= x.min() < x.max() <= high
    edges = np.quantile(x, np.linspace(0, 1, 11))
    edges[[0, -1]] = low, high
    # Edges from another sample, so that counts are multinomial.
    counts = np.histogram(toy.sample(N_EVENTS, seed=6).column("x"), edges)[0]
    expected = N_EVENTS * np.array([integrate(lambda v: float(toy.density(v)), a, b) for a, b in pairwise(edges)])
    # chi2 with 9 degrees of freedom is below 33 with probability 1 - 1e-4.
    assert ((counts - expected) ** 2 / expected).sum() < 33


def test_weights(toy_and_range):
    toy, _ = toy_and_range
    table = toy.sample(N_EVENTS, seed=5)
    assert table.basis.param_names == ("theta",)
    assert table.basis.order == toy.order
    assert table.sigma_fb == pytest.approx(toy.sigma_fb, rel=1e-12)
    assert np.ptp(table.weights[:, 0]) == 0.0
    np.testing.assert_array_equal(table.aux["truth"], toy.score(table.column("x")))
    for theta in (-0.3, 0.4):
        weight = table.at([theta])
        error = np.sqrt(N_EVENTS) * weight.std()
        assert abs(weight.sum() - toy.cross_section(theta)) < 5 * error
        if toy.order == 2:
            assert (weight >= -1e-15).all()


def test_truth_is_the_conditional_mean(toy_and_range):
    # E[(t - E[t|x]) f(x)] = 0 for every f: here for bins of x; the same for the second moment.
    toy, _ = toy_and_range
    table = toy.sample(N_EVENTS, seed=9)
    x, ratios = table.column("x"), table.joint_ratio()
    moments = toy.score_moments(x)
    cell = np.searchsorted(np.quantile(x, np.linspace(0, 1, 9)[1:-1]), x)
    for column, (moment, factor) in enumerate(zip(moments, (1.0, 0.5), strict=True)):
        if column >= ratios.shape[1]:
            continue
        residual = ratios[:, column] - factor * moment
        sums = np.bincount(cell, residual)
        errors = np.sqrt(np.bincount(cell, residual**2)) + 1e-9
        assert (np.abs(sums) < 5 * errors).all()


@pytest.mark.parametrize("theta", [-0.25, 0.15, 0.3])
def test_information_by_integration(toy_and_range, theta):
    toy, (low, high) = toy_and_range
    if toy.order == 1 and not min(1 + theta * t for t in toy.score_range) > 0:
        with pytest.raises(InputError, match=r"must be positive for a density"):
            toy.information(theta=theta)
        return

    def integrand(x):
        return float(toy.nominal_density(x) * toy.score(x, theta) ** 2 * toy.ratio(x, theta))

    expected = 3.0 * toy.sigma_fb * integrate(integrand, low, high)
    assert toy.information(3.0, theta) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("theta", [0.0, 0.3])
def test_information_is_the_variance_of_the_score(toy_and_range, theta):
    # Of events weighted to theta; the number of events contributes through the mean of the score.
    toy, _ = toy_and_range
    if toy.order == 1 and not min(1 + theta * t for t in toy.score_range) > 0:
        theta = 0.0
    x = toy.sample(N_EVENTS, seed=12).column("x")
    values = toy.ratio(x, theta) * toy.score(x, theta) ** 2
    error = values.std() / np.sqrt(N_EVENTS)
    assert abs(values.mean() - toy.information(1.0 / toy.sigma_fb, theta)) < 5 * error + 1e-12


def test_information_in_closed_form():
    # The integrals by hand: artanh(1/2) = ln(3)/2; sqrt(1 - 0.6^2) = 0.8.
    assert Mixture().information(theta=0.5) == pytest.approx(8 * (0.5 * np.log(3) - 0.5), rel=1e-14)
    assert Mixture().information(theta=0.05) == pytest.approx((np.arctanh(0.05) - 0.05) / 0.05**3, rel=1e-10)
    assert Mixture().information(theta=0.05 - 1e-12) == pytest.approx(Mixture().information(theta=0.05), rel=1e-10)
    assert Sine(order=1).information(theta=0.6) == pytest.approx((1 / 0.8 - 1) / 0.36, rel=1e-14)
    assert Square().information(theta=2.5) == pytest.approx(4 / 3, rel=1e-14)


def test_densities_by_hand():
    x = np.array([-0.5, 0.2, 0.9])
    np.testing.assert_allclose(Square().ratio(x, 0.7), (1 + 0.7 * x) ** 2, rtol=1e-14)
    np.testing.assert_allclose(Square().density(x, 0.7), 0.5 * (1 + 0.7 * x) ** 2 / (1 + 0.49 / 3), rtol=1e-14)
    np.testing.assert_allclose(Mixture().density([0.1, 0.8], 0.4), [0.6 + 0.4 * 0.2, 0.6 + 0.4 * 1.6], rtol=1e-14)
    angle = np.array([-2.0, 0.3, 3.0])
    sine = Sine(amplitude=0.5, frequency=3, order=1).density(angle, 0.8)
    np.testing.assert_allclose(sine, (1 + 0.4 * np.sin(3 * angle)) / (2 * np.pi), rtol=1e-14)
    toy = Piecewise(edges=(0.0, 1.0, 3.0), probabilities=(0.4, 0.6), scores=(1.0, -1.0))
    np.testing.assert_array_equal(toy.score([0.5, 1.0, 3.0]), [1.0, -1.0, -1.0])
    np.testing.assert_array_equal(toy.nominal_density([0.5, 2.0, 3.5, -1.0]), [0.4, 0.3, 0.0, 0.0])


def test_ratio_terms_are_those_of_the_events(toy_and_range):
    toy, _ = toy_and_range
    table = toy.sample(50, seed=1)
    terms = toy.ratio_terms(table.column("x"))
    assert terms.shape == (50, toy.order)
    theta = 0.35
    expansion = 1 + theta * terms[:, 0] + (0.5 * theta**2 * terms[:, 1] if toy.order == 2 else 0.0)
    np.testing.assert_allclose(toy.ratio(table.column("x"), theta), expansion, rtol=1e-13)
    if "z" not in table.aux:
        np.testing.assert_allclose(terms, table.joint_ratio(), rtol=1e-12)


def experiments(toy, lumi_fb, n_experiments):
    """Features of Poisson numbers of events at theta = 0."""
    rng = np.random.default_rng(7)
    counts = np.maximum(rng.poisson(lumi_fb * toy.sigma_fb, n_experiments), 1)
    return np.split(toy.sample(int(counts.sum()), seed=8).column("x"), np.cumsum(counts)[:-1])


def test_maximum_likelihood_and_limits(toy_and_range):
    toy, _ = toy_and_range
    lumi, n_experiments = 400.0 / toy.sigma_fb, 300
    estimates = np.array([toy.maximum_likelihood(x, lumi) for x in experiments(toy, lumi, n_experiments)])
    error = toy.expected_error(lumi)
    # Statistical errors of mean and standard deviation; the bias is of order 1/sqrt(400) in units of the error, and the
    # correction to the width, of order 1/400, is far below its statistical error.
    assert abs(estimates.mean()) < error * (5 / np.sqrt(n_experiments) + 1 / 20)
    assert abs(estimates.std() / error - 1) < 5 / np.sqrt(2 * n_experiments)
    low, high = toy.expected_limits(lumi, level=0.6827)
    assert (low, high) == pytest.approx((-error, error), rel=1e-4)
    inside = ((estimates > low) & (estimates < high)).mean()
    assert abs(inside - 0.6827) < 5 * np.sqrt(0.6827 * 0.3173 / n_experiments)


def test_likelihood_is_that_of_the_density():
    toy, lumi = Square(sigma_fb=2.0), 30.0
    x = toy.sample(40, seed=2).column("x")
    values = toy.twice_nll(x, [0.0, 0.3, -0.4], lumi)
    for value, theta in zip(values, (0.0, 0.3, -0.4), strict=True):
        expected = lumi * toy.cross_section(theta)
        direct = 2 * (expected - 40 * np.log(expected) - np.log(toy.density(x, theta)).sum())
        at_0 = 2 * (60.0 - 40 * np.log(60.0) - np.log(toy.density(x)).sum())
        assert value == pytest.approx(direct - at_0, abs=1e-10)
        # One point alone is summed in another order.
        assert float(toy.twice_nll(x, theta, lumi)) == pytest.approx(value, abs=1e-12)
    assert np.isinf(Sine(order=1).twice_nll([np.pi / 2], -1.5, 1.0))


def test_maximum_likelihood_in_closed_form():
    # Two bins, p_1 = (1 + theta)/2: theta = (n_1 - n_2)/n.
    toy = Piecewise(edges=(0.0, 1.0, 2.0), probabilities=(0.5, 0.5), scores=(1.0, -1.0), order=1)
    assert toy.maximum_likelihood([0.5] * 55 + [1.5] * 45, 100.0) == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize("x", [-3.0, 0.4, 2.5])
def test_latent_truth_by_brute_force(x):
    toy = GaussianMean(width=1.5, smearing=0.8)

    def joint(z, power):
        gauss = np.exp(-0.5 * (z / 1.5) ** 2 - 0.5 * ((x - z) / 0.8) ** 2) / (2 * np.pi * 1.5 * 0.8)
        return gauss * (z / 1.5**2) ** power

    density, first, second = (quad(joint, -15, 15, args=(k,), points=[x], epsabs=1e-13)[0] for k in range(3))
    assert density == pytest.approx(float(toy.nominal_density(x)), rel=1e-9)
    moments = toy.score_moments(x)
    assert [first / density, second / density] == pytest.approx([float(moment) for moment in moments], rel=1e-9)


def test_latent_information_is_smaller():
    latent, direct = GaussianMean(smearing=1.0), GaussianMean()
    assert direct.information() == pytest.approx(1.0)
    assert latent.information() == pytest.approx(0.5)
    table = latent.sample(N_EVENTS, seed=2)
    joint = (table.weights[:, 0] * table.joint_score([0.0])[:, 0] ** 2).sum()
    # Mean of the square of a standard normal variable, standard deviation sqrt(2/n).
    assert joint == pytest.approx(1.0, abs=5 * np.sqrt(2 / N_EVENTS))
    assert "z" in table.aux


def test_power_law_default_is_the_documented_one():
    toy = PowerLaw()
    x = np.array([20.0, 100.0, 420.0])
    np.testing.assert_allclose(toy.score(x), 0.5 - np.log(x / 100.0), rtol=1e-15)
    density = toy.nominal_density(np.array([20.0, 40.0, 19.0, 421.0]))
    assert density[0] / density[1] == pytest.approx(8.0, rel=1e-14)
    assert density[2:].tolist() == [0.0, 0.0]


def test_same_seed_same_sample():
    one, two, other = (PowerLaw().sample(50, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.features, two.features)
    assert not np.array_equal(one.features, other.features)


@pytest.mark.parametrize("varying", [False, True])
def test_negative_weights_keep_the_expectations(varying):
    table = GaussianMean(smearing=1.0).sample(N_EVENTS, seed=3)
    x = table.column("x")
    fraction = 0.4 / (1.0 + np.exp(-x)) if varying else 0.2
    signed = with_negative_weights(table, fraction, seed=4)
    negative = signed.weights[:, 0] < 0
    # A binomial number of negative events, and per cell of x the difference of sums of independent events.
    assert negative.sum() == pytest.approx(0.2 * N_EVENTS, abs=5 * np.sqrt(0.16 * N_EVENTS))
    cell = np.searchsorted(np.quantile(x, np.linspace(0, 1, 9)[1:-1]), x)
    for column in range(3):
        change = signed.weights[:, column] - table.weights[:, column]
        pull = np.bincount(cell, change) / np.sqrt(np.bincount(cell, change**2))
        assert (np.abs(pull) < 4.5).all()  # 24 pulls beyond 4.5 sigma: probability 2e-4
        ratio = signed.weights[:, column] * (1.0 - 2.0 * fraction) / table.weights[:, column]
        np.testing.assert_allclose(ratio, np.where(negative, -1.0, 1.0), rtol=1e-14)
    np.testing.assert_array_equal(signed.features, table.features)
    np.testing.assert_array_equal(signed.aux["truth"], table.aux["truth"])
    if not varying:
        # (sum s)^2 / n = n (1 - 2 f)^2 within the binomial error of sum s.
        assert signed.n_eff == pytest.approx(0.36 * N_EVENTS, rel=5 * 2 * 0.8 / 0.6 / np.sqrt(N_EVENTS))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PowerLaw(slope=1.0), "slope > 1"),
        (lambda: PowerLaw(low=50.0, high=40.0), "low < high"),
        (lambda: Exponential(scale=0.0), "scale=0.0"),
        (lambda: GaussianMean(width=-1.0), "width > 0"),
        (lambda: GaussianMean(smearing=-1.0), "smearing >= 0"),
        (lambda: GaussianMean(order=3), "order=3"),
        (lambda: Square(order=1), "order=1"),
        (lambda: Mixture(order=2), "order=2"),
        (lambda: Sine(amplitude=0.0), "amplitude=0.0"),
        (lambda: Sine(frequency=1.5), "frequency=1.5"),
        (lambda: Piecewise(edges=(0.0, 1.0, 1.0, 2.0, 3.0)), "increase"),
        (lambda: Piecewise(scores=(1.0, 2.0)), "4 bins, 4 probabilities, 2 scores"),
        (lambda: Piecewise(probabilities=(0.5, 0.3, 0.2, 0.1)), "with sum 1"),
        (lambda: Piecewise(scores=(1.0, 2.0, np.nan, 0.0)), "finite"),
        (lambda: Mixture().expected_limits(10.0, level=1.0), "level=1.0"),
        (lambda: Exponential(sigma_fb=0.0), "sigma_fb=0.0"),
        (lambda: PowerLaw().sample(0, seed=1), "n_events=0"),
        (lambda: PowerLaw().sample(10, seed=-1), "seed=-1"),
        (lambda: with_negative_weights(PowerLaw().sample(10, seed=1), 0.5, seed=1), "fraction=0.5"),
        (lambda: with_negative_weights(PowerLaw().sample(10, seed=1), np.linspace(-0.1, 0.4, 10), 1), "fraction=-0.1"),
        (lambda: with_negative_weights(PowerLaw().sample(10, seed=1), float("nan"), 1), "fraction=nan"),
        (lambda: with_negative_weights(PowerLaw().sample(10, seed=1), np.zeros(9), seed=1), "give one number, or 10"),
        (lambda: with_negative_weights(PowerLaw().sample(10, seed=1), 0.2, seed=-1), "seed=-1"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(InputError, match=message):
        make()
