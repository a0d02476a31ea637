import re

import numpy as np
import pytest
from scipy.stats import chi2, kstest

from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.inference import (
    Channel,
    Likelihood,
    Model,
    Sample,
    Template,
    breakdown,
    fit,
    goodness_of_fit,
    impacts,
)

ONE = PolynomialBasis(["a"], order=1)


def template(sums, *, basis=ONE, process="signal", events=None):
    sums = np.atleast_2d(np.asarray(sums, dtype=float))
    n_bins, n_terms = sums.shape
    squares = np.zeros((n_bins, n_terms, n_terms))
    if events is not None:
        squares = np.einsum("bk,bl->bkl", sums, sums) / events
    return Template(process, basis, (np.arange(n_bins + 1.0),), sums, squares, np.zeros(n_terms), 1.0)


def counting(*, rate=1.1, lumi=1.05, events=None):
    """One bin: signal 100 (1 + a) with a luminosity, background 400 with luminosity and rate."""
    signal = Sample(template([[100.0, 100.0]], events=events), norm={"lumi": lumi})
    background = template([[400.0, 0.0]], process="background", events=events)
    return Model([Channel("x", [signal, Sample(background, norm={"lumi": lumi, "rate": rate})])])


def test_breakdown_of_a_counting_experiment():
    # var(100 a) = n + (500 ln kappa_lumi)^2 + (400 ln kappa_rate)^2: one bin does not measure the nuisances.
    result = breakdown(Likelihood(counting()), "a")
    assert 100 * result.statistical == pytest.approx(np.sqrt(500), rel=1e-5)
    assert result.names == ("lumi", "rate")
    assert 100 * result.parts == pytest.approx([500 * np.log(1.05), 400 * np.log(1.1)], rel=1e-5)
    assert result.total**2 == pytest.approx(result.statistical**2 + (result.parts**2).sum(), rel=1e-5)
    together = breakdown(Likelihood(counting()), "a", groups={"all": ["lumi", "rate"]})
    assert together.parts[0] ** 2 == pytest.approx((result.parts**2).sum(), rel=1e-5)
    assert "statistical" in repr(result)
    assert "correlated" not in repr(result)


def test_breakdown_says_what_groups_share():
    # What belongs to two groups is counted twice.
    parts = breakdown(Likelihood(counting()), "a").parts
    twice = breakdown(Likelihood(counting()), "a", groups={"one": ["lumi", "rate"], "two": ["lumi", "rate"]})
    assert twice.parts == pytest.approx(np.hypot(*parts) * np.ones(2), rel=1e-5)
    share = 1 - (twice.statistical**2 + (twice.parts**2).sum()) / twice.total**2
    assert re.search(rf"correlated +{100 * share:.1f} % of the variance$", repr(twice))


def test_monte_carlo_errors_are_a_group():
    result = breakdown(Likelihood(counting(events=1000.0), mc_stat=True), "a")
    assert result.names == ("lumi", "rate", "mc_stat")
    # Two samples of 1000 events each: errors 100 / sqrt(1000) and 400 / sqrt(1000).
    assert 100 * result.parts[2] == pytest.approx(np.hypot(100, 400) / np.sqrt(1000), rel=1e-5)
    assert 100 * result.statistical == pytest.approx(np.sqrt(500), rel=1e-5)


def test_impacts_of_a_counting_experiment():
    likelihood = Likelihood(counting())
    result = impacts(likelihood, "a")
    assert result.names == ("rate", "lumi")
    assert result.pulls == pytest.approx([0.0, 0.0], abs=1e-4)
    assert result.constraints == pytest.approx([1.0, 1.0], rel=1e-5)
    # 100 (1 + a) 1.05^lumi + 400 1.05^lumi 1.1^rate = 500 at nu = -1 and 1.
    assert result.up == pytest.approx([-4 * 0.1, 5 / 1.05 - 5], rel=1e-4)
    assert result.down == pytest.approx([4 * (1 - 1 / 1.1), 5 * 1.05 - 5], rel=1e-4)
    assert result.error == pytest.approx(breakdown(likelihood, "a").total, rel=1e-9)
    assert "rate" in repr(result)


def test_impacts_are_the_covariances_of_a_gaussian_model():
    rng = np.random.default_rng(1)
    basis = PolynomialBasis(["a", "b"], order=1)
    nominal = 1e6 * np.column_stack([np.ones(6), rng.normal(0, 0.1, (6, 2))])
    shapes = {}
    for name in ("one", "two"):
        shift = np.zeros((6, 3))
        shift[:, 0] = rng.normal(0, 1e3, 6)
        shapes[name] = tuple(template(nominal + side * shift, basis=basis) for side in (-1, 1))
    model = Model([Channel("x", [Sample(template(nominal, basis=basis), shapes=shapes)])])
    counts = rng.poisson(Likelihood(model).observed)
    likelihood = Likelihood(model, counts)
    result, best = impacts(likelihood, "a", others="profiled"), fit(likelihood)
    for name, down, up, constraint in zip(result.names, result.down, result.up, result.constraints, strict=True):
        k = best.names.index(name)
        # Third order of the Poisson deviance, 1e-3, and Hesse's numerical derivatives.
        assert up == pytest.approx(best.covariance[0, k] / best.errors[k], rel=1e-2)
        assert down == pytest.approx(-up, rel=1e-2)
        assert constraint == pytest.approx(best.errors[k], rel=2e-3)
    assert result.value == pytest.approx(best.values[0], abs=1e-3 * best.errors[0])


def test_goodness_of_fit_is_uniform_for_toys():
    rng = np.random.default_rng(4)
    sums = np.column_stack([rng.uniform(60, 120, 8), rng.normal(0, 30, 8)])
    tilt = tuple(template(sums * (1 + side * 0.05 * np.linspace(-1, 1, 8)[:, None])) for side in (-1, 1))
    model = Model([Channel("x", [Sample(template(sums), norm={"lumi": 1.05}, shapes={"tilt": tilt})])])
    likelihood = Likelihood(model)
    values = []
    for _ in range(150):
        toy = likelihood.toy({"a": 0.2, "lumi": 0.5}, rng)
        result = goodness_of_fit(toy, fit(toy))
        assert result.ndf == 7
        values.append(result.p_value)
    # 1e-3: what a uniform distribution passes in 999 of 1000 seeds.
    assert kstest(values, "uniform").pvalue > 1e-3


def test_goodness_of_fit_by_toys_agrees_with_chi2():
    rng = np.random.default_rng(5)
    sums = np.column_stack([np.full(6, 200.0), rng.normal(0, 40, 6)])
    likelihood = Likelihood(template(sums), rng.poisson(200, 6))
    result = fit(likelihood)
    by_chi2 = goodness_of_fit(likelihood, result)
    by_toys = goodness_of_fit(likelihood, result, n_toys=300, seed=1)
    assert by_chi2.ndf == 5
    assert by_chi2.p_value == pytest.approx(chi2.sf(likelihood.twice_nll(result.values), 5), rel=1e-6)
    # Four standard errors of 300 toys.
    assert by_toys.p_value == pytest.approx(by_chi2.p_value, abs=4 * np.sqrt(0.25 / 300))
    assert "300 toys" in repr(by_toys)
    assert "by chi2" in repr(by_chi2)
    fixed = fit(likelihood, fixed={"a": 0.0})
    assert goodness_of_fit(likelihood, fixed).ndf == 6
    alone = Likelihood(template(sums), likelihood.observed, rate=False)
    assert goodness_of_fit(alone, fit(alone)).ndf == 4


def test_toys_have_the_moments_of_the_model():
    likelihood = Likelihood(counting(events=100.0), mc_stat=True)
    rng = np.random.default_rng(6)
    toys = [likelihood.toy({"a": 0.5, "rate": 1.0}, rng) for _ in range(2000)]
    counts = np.array([toy.observed[0] for toy in toys])
    measured = np.array([toy.auxiliary for toy in toys])
    expected = likelihood.asimov({"a": 0.5, "rate": 1.0})[0]
    # Relative error of the sum at the nominal nuisances.
    delta = np.hypot(15, 40) / 550
    spread = np.sqrt(expected + (delta * expected) ** 2)
    assert counts.mean() == pytest.approx(expected, abs=4 * spread / np.sqrt(2000))
    assert counts.std() == pytest.approx(spread, rel=4 / np.sqrt(2 * 2000))
    assert measured.mean(axis=0) == pytest.approx([0.0, 1.0], abs=4 / np.sqrt(2000))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: impacts(Likelihood(template([[9.0, 1.0]])), "a"), "no nuisances"),
        (lambda: impacts(Likelihood(counting()), "b"), "no coefficient 'b'"),
        (lambda: impacts(Likelihood(counting()), "a", others="free"), "others='free'"),
        (lambda: breakdown(Likelihood(counting()), "a", groups={"x": ["jes"]}), "no nuisance 'jes'"),
        (lambda: goodness_of_fit(Likelihood(counting()), fit(Likelihood(counting()))), "0 degrees of freedom"),
        (
            lambda: goodness_of_fit(Likelihood(counting()), fit(Likelihood(template([[9.0, 1.0]])))),
            "the fit is one of",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(InputError, match=message):
        make()
