import joblib
import numpy as np
import pytest
from scipy.stats import chi2, poisson

from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.inference import Channel, Likelihood, Model, Sample, Template, likelihood_ratios, limits, toy_interval


def template(sums, basis, *, process="signal"):
    sums = np.atleast_2d(np.asarray(sums, dtype=float))
    n_bins, n_terms = sums.shape
    edges = (np.arange(n_bins + 1.0),)
    return Template(process, basis, edges, sums, np.zeros((n_bins, n_terms, n_terms)), np.zeros(n_terms), 1.0)


ONE = PolynomialBasis(["a"], order=1)


def nuisance_model():
    signal = template(
        [[60.0, 30.0, 5.0], [50.0, 5.0, -20.0], [40.0, -10.0, 20.0]], PolynomialBasis(["a", "b"], order=1)
    )
    background = template([[80.0, 0.0], [50.0, 0.0], [30.0, 0.0]], ONE, process="background")
    tilted = [
        template([[80.0 + s * 8, 0.0], [50.0, 0.0], [30.0 - s * 4, 0.0]], ONE, process="background") for s in (-1, 1)
    ]
    samples = [
        Sample(signal, norm={"lumi": 1.03}),
        Sample(background, norm={"lumi": 1.03, "rate": 1.1}, shapes={"tilt": tuple(tilted)}),
    ]
    return Model([Channel("x", samples)])


def within(share, expected, n, sigmas=3.0):
    """Binomial, in standard errors."""
    return abs(share - expected) <= sigmas * np.sqrt(expected * (1 - expected) / n)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_toys_in_parallel_are_the_same(backend):
    likelihood = Likelihood(nuisance_model())
    arguments = (likelihood, "a", {"a": 0.1}, 20)
    alone = likelihood_ratios(*arguments, seed=3)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        np.testing.assert_array_equal(likelihood_ratios(*arguments, seed=3), alone)


def test_coverage_of_a_counting_experiment_is_the_sum_of_poisson_probabilities():
    # q of a single bin depends on the count alone, so that its distribution is exact.
    likelihood, n = Likelihood(template([[20.0, 10.0]], ONE)), 1000
    ratios = likelihood_ratios(likelihood, "a", [0.3], n, seed=3)
    counts = np.arange(200)
    exact = np.array([Likelihood(template([[20.0, 10.0]], ONE), [k]).twice_nll([0.3]) for k in counts])
    for cl in (0.6827, 0.95):
        expected = poisson.pmf(counts, 23.0)[exact <= chi2.ppf(cl, 1)].sum()
        assert within((ratios <= chi2.ppf(cl, 1)).mean(), expected, n)


@pytest.mark.slow
@pytest.mark.parametrize("others", ["zero", "profiled"])
def test_coverage_with_nuisances(others):
    n, truth = 2000, {"a": 0.2} if others == "zero" else {"a": 0.2, "b": -0.1}
    ratios = likelihood_ratios(Likelihood(nuisance_model()), "a", truth, n, seed=5, others=others)
    for cl in (0.6827, 0.95):
        assert within((ratios <= chi2.ppf(cl, 1)).mean(), cl, n)


@pytest.mark.slow
def test_coverage_of_the_shape_alone_and_with_monte_carlo_errors():
    rng, n = np.random.default_rng(8), 2000
    sums = np.column_stack([rng.uniform(80, 160, 10), rng.normal(0, 20, 10)])
    shape = template(sums, ONE)
    for cl in (0.6827, 0.95):
        ratios = likelihood_ratios(Likelihood(shape, rate=False), "a", [0.3], n, seed=1)
        assert within((ratios <= chi2.ppf(cl, 1)).mean(), cl, n)
    squares = np.zeros((10, 2, 2))
    squares[:, 0, 0] = sums[:, 0] ** 2 / 200
    few = Template("s", ONE, shape.edges, sums, squares, np.zeros(2), 1.0)
    for cl in (0.6827, 0.95):
        ratios = likelihood_ratios(Likelihood(few, mc_stat=True), "a", [0.3], n, seed=2)
        assert within((ratios <= chi2.ppf(cl, 1)).mean(), cl, n)
        ignored = [
            Likelihood(few).with_data(Likelihood(few, mc_stat=True).toy([0.3], rng).observed) for _ in range(400)
        ]
        short = np.mean([toy.twice_nll([0.3]) - limits_height(toy) <= chi2.ppf(cl, 1) for toy in ignored])
        # Without them, intervals are too short: 1/200 against 1/120 of the counts.
        assert short < cl - 0.04


def limits_height(toy):
    """Minimum of a linear likelihood in one coefficient."""
    x = np.linspace(-3, 3, 2001)
    return toy.objective_along(0, x).min()


def boundary():
    """Yields that only rise: n + 40 a^2."""
    return Likelihood(template([[400.0, 0.0, 80.0]], PolynomialBasis(["a"])))


def test_wilks_theorem_fails_at_a_boundary_and_the_toys_say_so():
    # Downward fluctuations, half of all, are best described by a = 0: q is 0 or chi2 distributed, half each.
    n = 1200
    ratios = likelihood_ratios(boundary(), "a", [0.0], n, seed=4)
    none = poisson.cdf(400, 400)
    assert within((ratios <= 1e-6).mean(), none, n)
    counts = np.arange(200, 700)
    heights = np.where(counts > 400, 2 * (400 - counts + counts * np.log(counts / 400)), 0.0)
    for cl in (0.6827, 0.95):
        # The one bin of Poisson counts, exactly; 0.5 + 0.5 cl if it were continuous.
        expected = poisson.pmf(counts, 400)[heights <= chi2.ppf(cl, 1)].sum()
        assert expected > cl + 0.4 * (1 - cl)
        assert within((ratios <= chi2.ppf(cl, 1)).mean(), expected, n)
    assert not within((ratios <= chi2.ppf(0.6827, 1)).mean(), 0.6827, n)


def test_toys_exclude_a_boundary_that_the_quantile_allows():
    likelihood = boundary().with_data([438.0])
    wilks = limits(likelihood)["a"]
    assert wilks.lower < 0 < wilks.upper
    assert not wilks.disconnected
    result = toy_interval(likelihood, "a", n_toys=1000, seed=6, values=[0.0, 0.4])
    # q(0) = 3.50 is exceeded by upward fluctuations alone.
    assert within(result.p_values[0], poisson.sf(437, 400), 1000)
    assert result.p_values[0] < 0.05 < result.p_values[1]
    ((lower, upper),) = result.pieces
    assert 0 < lower < 0.4
    assert upper == np.inf  # the last value is allowed
    assert result.observed[0] < chi2.ppf(0.95, 1)
    assert "by 1000 toys" in repr(result)


def test_interval_by_toys_is_that_of_wilks_where_it_holds():
    rng = np.random.default_rng(9)
    likelihood = Likelihood(nuisance_model()).toy({"a": 0.1}, rng)
    wilks = limits(likelihood, cl=0.6827)["a"]
    width = wilks.upper - wilks.lower
    values = np.array([wilks.lower - 0.2 * width, wilks.lower, wilks.lower + 0.2 * width])
    result = toy_interval(likelihood, "a", cl=0.6827, n_toys=150, seed=1, values=values)
    # Three errors of a p-value of 0.32 from 150 toys.
    assert result.p_values[1] == pytest.approx(1 - 0.6827, abs=3 * np.sqrt(0.32 * 0.68 / 150))
    assert result.observed[1] == pytest.approx(chi2.ppf(0.6827, 1), abs=1e-4)
    assert result.p_values[0] < result.p_values[1] < result.p_values[2]


def test_both_minima_of_quadratic_yields_are_found():
    # The yield 200 (1 + a)^2 is the same at a and -2 - a, so that q(-2) is that of 0.
    likelihood = Likelihood(template([[200.0, 400.0, 400.0]], PolynomialBasis(["a"])))
    near = likelihood_ratios(likelihood, "a", [0.0], 50, seed=2)
    far = likelihood_ratios(likelihood, "a", [-2.0], 50, seed=2)
    np.testing.assert_allclose(near, far, atol=1e-6)
    assert near.max() > 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: likelihood_ratios(boundary(), "b", [0.0], 5, seed=1), "no coefficient 'b'"),
        (lambda: likelihood_ratios(boundary(), "a", [0.0], 0, seed=1), "n_toys=0"),
        (lambda: toy_interval(boundary(), "a", cl=2), "cl=2"),
        (lambda: toy_interval(boundary(), "a", others="free"), "others='free'"),
        (lambda: toy_interval(boundary(), "a", values=[1.0, 0.0]), "increasing"),
    ],
)
def test_errors(make, message):
    with pytest.raises(InputError, match=message):
        make()
