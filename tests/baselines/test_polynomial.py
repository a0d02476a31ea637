"""Polynomial regression of the score against closed forms."""

import numpy as np
import pytest
from sklearn.base import clone

import bit
from bit.baselines import Polynomial
from bit.distill import refit
from bit.errors import InputError


def events(n_events=2000, seed=1, noise=0.0):
    """Scores 1 - 2 x + 3 x y^2 of a and x^2/2 of b, in units that differ, with unequal weights and noise."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(1.0, 3.0, n_events), 100.0 * rng.normal(size=n_events)
    nominal = rng.exponential(size=n_events) + 0.1
    scores = np.stack([1.0 - 2.0 * x + 3.0 * x * (y / 100.0) ** 2, 0.5 * x**2], axis=-1)
    scores += noise * rng.normal(size=scores.shape)
    weights = nominal[:, np.newaxis] * np.column_stack([np.ones(n_events), scores])
    basis = bit.PolynomialBasis(["a", "b"], order=1)
    return bit.EventTable(np.column_stack([x, y]), weights, basis, feature_names=["x", "y"], units=["", "GeV"])


def test_a_polynomial_is_found_exactly():
    table = events()
    model = Polynomial(3).fit(table)
    assert model.output_terms_ == (("a",), ("b",))
    # Least squares in double precision, of monomials whose correlations are below 0.999.
    np.testing.assert_allclose(model.predict(table), table.joint_ratio(), atol=1e-9)
    known = {(0, 0): (1.0, 0.0), (1, 0): (-2.0, 0.0), (2, 0): (0.0, 0.5), (1, 2): (3e-4, 0.0)}
    for powers, found in zip(model.powers_, model.coef_.T, strict=True):
        expected = known.get(tuple(powers), (0.0, 0.0))
        assert found * 100.0 ** powers[1] == pytest.approx(np.multiply(expected, 100.0 ** powers[1]), abs=1e-8)
    assert model.powers_.shape == (10, 2)
    assert model.n_features_in_ == 2


def test_weights_are_those_of_the_events():
    table = events(500, noise=1.0)
    model = Polynomial(2, terms=["a"]).fit(table)
    x, y = table.features.astype(np.float64).T
    design = np.column_stack([np.ones_like(x), x, y, x**2, x * y, y**2])
    root = np.sqrt(table.weights[:, 0])
    expected = np.linalg.lstsq(design * root[:, np.newaxis], root * table.joint_ratio()[:, 0], rcond=None)[0]
    np.testing.assert_allclose(model.predict(table)[:, 0], design @ expected, rtol=1e-9, atol=1e-9)


def test_the_observable_is_a_formula(tmp_path):
    table = events(noise=0.1)
    model = Polynomial(3).fit(table)
    formula = model.observable("a")
    assert (formula.term, formula.units, formula.n_constants) == (("a",), ("", "GeV"), 10)
    np.testing.assert_allclose(formula(table), model.predict(table)[:, 0], rtol=1e-9, atol=1e-9)
    formula.export(tmp_path / "a.json")
    np.testing.assert_array_equal(bit.load(tmp_path / "a.json")(table), formula(table))
    again = refit(formula, table, bit.TrueScore("a"), n_starts=1)
    # The minimum was there already; a fit of all constants can only rediscover it.
    np.testing.assert_allclose(again.expression(table), formula(table), atol=1e-3 * np.ptp(formula(table)))
    assert (again.errors > 0).all()


def test_columns_are_found_by_name_and_arrays_by_position():
    table = events()
    model = Polynomial(2).fit(table)
    swapped = table.select(features=["y", "x"])
    np.testing.assert_array_equal(model.predict(swapped), model.predict(table))
    np.testing.assert_array_equal(model.predict(table.features), model.predict(table))


def test_it_is_an_estimator():
    model = Polynomial(4, terms=["a"])
    assert clone(model).get_params() == {"degree": 4, "terms": ["a"]}
    assert repr(Polynomial(4)) == "Polynomial(degree=4)"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Polynomial(0), "degree=0: a whole number"),
        (Polynomial(2.0), "degree=2.0"),
        (Polynomial(terms=["c"]), "terms="),
        (Polynomial(terms=[]), "terms="),
    ],
)
def test_bad_arguments(model, message):
    with pytest.raises(InputError, match=message):
        model.fit(events())


def test_bad_events():
    table = events(20)
    with pytest.raises(InputError, match="20 events for 21 monomials"):
        Polynomial(5).fit(table)
    weights = table.weights.copy()
    weights[3, 0] = 0.0
    zero = bit.EventTable(table.features, weights, table.basis, feature_names=table.feature_names)
    with pytest.raises(InputError, match="1 of 20 nominal weights are not positive"):
        Polynomial(1).fit(zero)
    features = table.features.copy()
    features[0, 0] = np.nan
    broken = bit.EventTable(features, table.weights, table.basis, feature_names=table.feature_names)
    with pytest.raises(InputError, match="NaN or infinite"):
        Polynomial(1).fit(broken)
    with pytest.raises(InputError, match="EventTable is needed"):
        Polynomial(1).fit(table.features)
    with pytest.raises(InputError, match="no coefficient 'c'"):
        Polynomial(1).fit(table).observable("c")
