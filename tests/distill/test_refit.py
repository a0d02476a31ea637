"""Constants of formulas: values, errors, flat directions, other samples."""

import numpy as np
import pytest
from reference.distilled_toy import toy

from bit import EventTable, TrueScore
from bit.distill import refit, regional_mse
from bit.distill._targets import Sample
from bit.distill.refit import fit_constants, mean_squared_error, sandwich
from bit.errors import BitWarning, InputError
from bit.expression import Expression
from bit.expression.nodes import constants
from bit.expression.parse import parse
from bit.observables import FunctionObservable

NAMES = ("x", "y", "z")
SCORE = TrueScore("c")


def formula(text):
    return Expression.parse(text, NAMES)


def sample_of(table, target=SCORE):
    columns = {name: table.column(name).astype(np.float64) for name in NAMES}
    return Sample.of(columns, np.asarray(target(table)), table.weights[:, 0])


def test_linear_fit_is_that_of_linear_algebra(noisy):
    sample = sample_of(noisy)
    node, mse = fit_constants(parse("0.1 + 0.2*x + 0.3*y", NAMES), sample)
    design = np.stack([np.ones(noisy.n_events), sample.columns["x"], sample.columns["y"]], axis=-1)
    root = np.sqrt(sample.weights)
    expected, *_ = np.linalg.lstsq(design * root[:, None], sample.target * root, rcond=None)
    assert constants(node) == pytest.approx(expected, rel=1e-8)
    assert mse == mean_squared_error(node, sample)


def test_a_fit_never_loses(noisy):
    sample = sample_of(noisy)
    for text in ("1.0*x**0.5", "log(0.1 + x)", "1.0/(0.3*x)", "x*y"):
        node = parse(text, NAMES)
        before = mean_squared_error(node, sample)
        after = fit_constants(node, sample)[1]
        assert after <= before or (np.isinf(before) and np.isinf(after))


def test_exponents_are_fitted_on_request(table):
    positive = FunctionObservable("power", lambda t: 2.0 * np.abs(t.column("x")) ** 1.7)
    sample = sample_of(table, positive)
    start = parse("1.5*abs(x)**2.0", NAMES)
    assert constants(fit_constants(start, sample)[0])[1] == 2.0
    assert constants(fit_constants(start, sample, fit_exponents=True)[0]) == pytest.approx([2.0, 1.7], rel=1e-8)
    fitted = refit(Expression(start, NAMES), table, positive, fit_exponents=True)
    assert fitted.values == pytest.approx([2.0, 1.7], rel=1e-8)
    assert refit(Expression(start, NAMES), table, positive).errors[1] == 0.0


def test_errors_cover_the_truth():
    # Noise that grows with x: the sandwich holds, equal variances would not. 60 pulls are standard normal.
    pulls = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        events = toy(600, 100 + seed)
        noise = rng.standard_normal(600) * (0.1 + events.column("x") ** 2)
        fitted = refit(formula("1.0*x*sin(z) + 0.1*x"), events, SCORE(events) + noise, n_starts=1)
        pulls.append((fitted.values - [1.5, 0.0]) / fitted.errors)
    spread = np.std(pulls, axis=0)
    # Standard error of a standard deviation from 60 numbers: 1 / sqrt(120) = 0.09.
    assert (np.abs(spread - 1.0) < 4 * 0.09).all()


def test_sandwich_is_its_formula(noisy):
    sample = sample_of(noisy)
    node = fit_constants(parse("0.1 + 0.2*x + 0.3*x*sin(z)", NAMES), sample)[0]
    expression = Expression(node, NAMES)
    slope, weights = expression.jacobian(noisy), sample.weights
    residual = expression.predict(noisy) - sample.target
    inverse = np.linalg.inv(slope.T @ (slope * weights[:, None]))
    meat = slope.T @ (slope * (weights * residual)[:, None] ** 2)
    assert sandwich(node, sample) == pytest.approx(inverse @ meat @ inverse, rel=1e-9)


def test_several_starts_leave_a_poor_valley(table):
    target = FunctionObservable("wave", lambda t: np.sin(2.0 * t.column("z")))
    start = formula("sin(2.6*z)")
    assert refit(start, table, target, n_starts=8).mse < 1e-20


def test_flat_directions_are_removed(noisy):
    # Eq. 24 of arXiv:2109.10414 in small: one constant of a ratio is redundant.
    target = FunctionObservable("ratio", lambda t: 3.0 * t.column("x") / (2.0 + t.column("y") ** 2))
    redundant = formula("2.5*x/(1.5 + 0.9*y**2)")
    with pytest.warns(BitWarning, match="flat direction"):
        fitted = refit(redundant, noisy, target)
    assert fitted.expression.n_constants == 2
    assert len(fitted.removed) == 1
    assert fitted.mse < 1e-20
    assert np.isfinite(fitted.errors).all()


def test_refit_without_flat_directions_keeps_the_form(noisy):
    fitted = refit(formula("1.0*x*sin(z)"), noisy, SCORE)
    assert fitted.removed == ()
    assert fitted.valid
    assert fitted.values == pytest.approx([1.5], abs=5.0 * fitted.errors[0])
    assert fitted.correlation == pytest.approx(np.ones((1, 1)))
    # 20 bins, one constant fitted: chi2 of 20 numbers within five of its standard deviations.
    assert abs(fitted.chi2 - 20.0) < 5.0 * np.sqrt(40.0)
    assert "MSE" in str(fitted)


def test_pulls_between_samples(noisy):
    form = formula("1.0*x*sin(z) + 0.1*y")
    first, second = refit(form, noisy, SCORE), refit(form, toy(4000, 77, noise=0.3), SCORE)
    assert (np.abs(first.pulls(second)) < 5.0).all()
    smeared = EventTable(noisy.features * [0.8, 1.0, 1.0], noisy.weights, noisy.basis, feature_names=NAMES)
    assert abs(refit(form, smeared, SCORE).pulls(first)[0]) > 5.0
    with pytest.raises(InputError, match="different forms"):
        first.pulls(refit(formula("1.0*x*z"), noisy, SCORE))


@pytest.mark.parametrize("objective", ["information", "limit"])
def test_other_objectives(noisy, objective):
    fitted = refit(formula("1.0*x*sin(0.8*z)"), noisy, SCORE, objective=objective)
    best = refit(formula("1.0*x*sin(0.8*z)"), noisy, SCORE)
    # For a score whose mean vanishes all objectives have the same optimum, up to the factor in front.
    assert fitted.values[1] == pytest.approx(best.values[1], abs=5.0 * best.errors[1])
    assert fitted.rho2 >= best.rho2 - 1e-6 or objective == "limit"
    # The same fit to a few parts in a thousand, at another factor in front.
    assert fitted.errors[1] == pytest.approx(best.errors[1], rel=0.05)
    assert fitted.errors[0] / fitted.values[0] == pytest.approx(best.errors[0] / best.values[0], rel=0.05)


@pytest.mark.parametrize(("objective", "squared"), [("information", "0.1 + 0.9*({})"), ("limit", "0.9*({})")])
def test_errors_of_what_determines_no_factor(noisy, objective, squared):
    """The largest share of the information is a least square with a factor, and with an offset for rho^2."""
    shape = "x*sin(0.8*z) + 0.3*x"
    shares = refit(formula(shape), noisy, SCORE, objective=objective, n_starts=1)
    squares = refit(formula(squared.format(shape)), noisy, SCORE, n_starts=1)
    last = slice(-len(shares.values), None)
    # Minima are found to a few hundredths of an error.
    assert (np.abs(shares.values - squares.values[last]) < 0.05 * squares.errors[last]).all()
    assert shares.covariance == pytest.approx(squares.covariance[last, last], rel=1e-2)


def test_bad_refits(noisy):
    with pytest.raises(InputError, match="a str and a EventTable were given: refit needs an Expression"):
        refit("x*sin(z)", noisy, SCORE)
    with pytest.raises(InputError, match=r"the target is the text 'c': give TrueScore\('c'\)"):
        refit(formula("1.0*x*sin(z)"), noisy, "c")
    with pytest.raises(InputError, match="objective='l1'"):
        refit(formula("1.0*x"), noisy, SCORE, objective="l1")
    with pytest.raises(InputError, match="n_starts=0"):
        refit(formula("1.0*x"), noisy, SCORE, n_starts=0)
    with pytest.raises(InputError, match="random_state=-1"):
        refit(formula("1.0*x"), noisy, SCORE, random_state=-1)
    with pytest.raises(InputError, match="not finite on all events"):
        refit(formula("log(1.0*x)"), noisy, SCORE)
    with pytest.raises(InputError, match="weights"):
        refit(formula("1.0*x"), noisy, SCORE, weights=-np.ones(noisy.n_events))
    with pytest.raises(InputError, match="shape"):
        refit(formula("1.0*x"), noisy, np.ones(3))


def test_regional_errors(noisy):
    regions = regional_mse(formula("1.5*x*sin(z)"), noisy, SCORE)
    assert regions.share.sum() == pytest.approx(1.0)
    total = sample_of(noisy)
    assert regions.mse @ regions.share == pytest.approx(mean_squared_error(parse("1.5*x*sin(z)", NAMES), total))
    predicted = formula("1.5*x*sin(z)")(noisy)
    expected = total.weights @ (np.abs(predicted) * (predicted - total.target) ** 2)
    assert regions.weighted == pytest.approx(expected)
    assert np.isnan(regional_mse(formula("x"), noisy, SCORE, (0.0, 1e9)).mse[1])
    with pytest.raises(InputError, match="must increase"):
        regional_mse(formula("x"), noisy, SCORE, (0.5, 0.1))
