import numpy as np
import pytest

from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.inference import Likelihood, Template, fit, information
from bit.inference.minimize import minimum


def template(sums, names, order=1):
    sums = np.asarray(sums, dtype=float)
    n_bins, n_terms = sums.shape
    basis = PolynomialBasis(names, order=order)
    edges = (np.arange(n_bins + 1.0),)
    return Template("s", basis, edges, sums, np.zeros((n_bins, n_terms, n_terms)), np.zeros(n_terms), 1.0)


def test_counting_experiment():
    result = fit(Likelihood(template([[100.0, 20.0]], ["a"]), [130.0]))
    # (n - s0)/s1 and sqrt(n)/s1; Minuit stops at a distance of 2e-7 in -2 ln L, 4e-4 of an error.
    assert result.values[0] == pytest.approx(1.5, abs=4e-4 * result.errors[0])
    # Hesse's numerical second derivative.
    assert result.errors[0] == pytest.approx(np.sqrt(130) / 20, rel=1e-3)
    assert result.twice_nll == pytest.approx(0.0, abs=1e-6)
    assert result.valid


def test_covariance_is_the_inverse_information():
    rng = np.random.default_rng(0)
    shape = template(1e4 * np.column_stack([np.ones(12), rng.normal(0, 0.3, (12, 3))]), ["a", "b", "c"])
    result = fit(Likelihood(shape))
    # Hesse's numerical second derivatives.
    np.testing.assert_allclose(result.covariance, information(shape).covariance, rtol=1e-2, atol=1e-9)
    np.testing.assert_allclose(result.errors, information(shape).errors, rtol=5e-3)


def test_fixed_and_ineffective_coefficients_stay():
    rng = np.random.default_rng(1)
    sums = 500 * np.column_stack([np.ones(8), rng.normal(0, 0.3, (8, 2)), np.zeros(8)])
    shape = template(sums, ["a", "b", "none"])
    likelihood = Likelihood(shape, theta_true=[0.1, 0.2, 0.0])
    result = fit(likelihood, fixed={"b": 0.2}, start={"none": 7.0})
    # Minuit stops at a distance of 2e-7 in -2 ln L.
    assert result.values == pytest.approx([0.1, 0.2, 7.0], abs=4e-4 * result.errors[0])
    assert result.fixed == ("b",)
    assert result.errors[1] == 0
    assert result.valid
    everything = fit(likelihood, fixed={"a": 0.0, "b": 0.0, "none": 0.0})
    assert everything.twice_nll == likelihood.twice_nll([0, 0, 0])
    with pytest.raises(InputError, match="unknown coefficient 'bb'"):
        fit(likelihood, fixed={"bb": 0.0})


def test_fit_finds_its_way_back_from_negative_yields():
    shape = template([[50.0, -20.0], [40.0, 15.0]], ["a"])
    result = fit(Likelihood(shape), start=[4.0])
    # Minuit stops at a distance of 2e-7 in -2 ln L.
    assert result.values[0] == pytest.approx(0.0, abs=4e-4 * result.errors[0])
    assert result.valid


def test_minimum_agrees_with_the_fit_and_never_climbs():
    rng = np.random.default_rng(2)
    sums = 50 * np.column_stack([np.ones(8), rng.normal(0, 0.3, (8, 2))])
    likelihood = Likelihood(template(sums, ["a", "b"]), rng.poisson(50, 8))
    held = np.array([True, False])
    value, theta = minimum(likelihood, np.array([0.3, 0.0]), likelihood.step_sizes(), held)
    exact = fit(likelihood, fixed={"a": 0.3})
    assert theta[0] == 0.3
    # tol = 1e-2 stops at an estimated distance of 2e-5.
    assert value == pytest.approx(exact.twice_nll, abs=1e-4)
    again, _ = minimum(likelihood, exact.values, likelihood.step_sizes(), held)
    assert again <= likelihood.twice_nll(exact.values)
