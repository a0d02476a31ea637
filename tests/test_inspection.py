"""Importance, partial dependence and staged losses, against closed forms."""

import numpy as np
import pandas as pd
import pytest

import bit
from bit.errors import InputError
from bit.inspection import (
    information_gain,
    partial_dependence,
    permutation_importance,
    staged_loss,
    staged_rho2,
)
from bit.metrics import loss, rho2
from bit.observables import FunctionObservable
from bit.trees.forest import Forest, TreeGroup

NAMES = ("x", "y", "z")


def additive(n, kind="equal", seed=1, order=1):
    """Standard normal x, y, z, and the joint ratio t = 2 x + y (order 2: t^2 / 2 as well), weighted in four ways."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 3)) * (1.5 if kind == "sampled" else 1.0)
    t = 2 * x[:, 0] + x[:, 1]
    w_0 = np.full(n, 1.0 / n)
    if kind == "sampled":  # drawn wider than the distribution that the weights give
        w_0 *= 1.5**3 * np.exp(-0.5 * (x**2).sum(axis=1) * (1 - 1 / 1.5**2))
    w_k = w_0 * t
    if kind == "signed":
        sign = np.where(rng.random(n) < 0.15, -1.0, 1.0)
        w_0, w_k = w_0 * sign, w_k * sign
    if kind == "interference":  # half of the events carry w_0 only, the other half w_k only
        nominal = rng.random(n) < 0.5
        w_0, w_k = np.where(nominal, w_0, 0.0), np.where(nominal, 0.0, w_k)
    columns = [w_0, w_k] if order == 1 else [w_0, w_k, 0.5 * w_k * t]
    return bit.EventTable(x, np.stack(columns, axis=1), bit.PolynomialBasis(["a"], order), feature_names=NAMES)


@pytest.fixture(scope="module")
def table():
    return additive(20_000)


@pytest.fixture(scope="module")
def model(table):
    return bit.BIT(n_estimators=20, n_jobs=1).fit(table)


TRUTH = FunctionObservable("truth", lambda events: 2 * events.column("x") + events.column("y"))


# ---------------------------------------------------------------------- information gain
def group(outputs, feature, left, right, value, nominal):
    n = len(feature)
    value, nominal = np.array(value, dtype=float), np.array(nominal, dtype=float)
    return TreeGroup(
        outputs=np.array(outputs),
        feature=np.array(feature, dtype=np.int32),
        threshold=np.zeros(n, dtype=np.float32),
        left=np.array(left, dtype=np.int32),
        right=np.array(right, dtype=np.int32),
        value=value,
        tree_offset=np.array([0, n]),
        count=np.ones(n, dtype=np.int64),
        sum_w=np.column_stack([nominal, np.zeros_like(value)]),
        sum_w0_squared=np.ones(n),
        gain=np.zeros(n),
    )


def forest(*groups):
    terms = (("a",), ("b",), ("a", "b"))
    return Forest(groups, np.zeros(3), terms, None, NAMES, ("", "", ""))


def test_information_gain_of_a_tree_by_hand():
    # Root on x: S = 2 with values (1, 0) against S = 1 + 1 with (3, 1) and (5, 1), split on y; z in a tree of its own.
    joint = group(
        [0, 1], [0, -1, 1, -1, -1], [1, -1, 3, -1, -1], [2, -1, 4, -1, -1], [[0, 0], [1, 0], [0, 0], [3, 1], [5, 1]],
        [4, 2, 2, 1, 1],
    )  # fmt: skip
    alone = group([2], [2, -1, -1], [1, -1, -1], [2, -1, -1], [[0.0], [1.0], [-1.0]], [2, 1, 1])
    shares = information_gain(forest(joint, alone))
    # Root: 2*1 + 2*16 - 4*2.5^2 = 9 and 2*0 + 2*1 - 4*0.5^2 = 1; below: 9 + 25 - 2*16 = 2 and 0.
    assert list(shares.columns) == ["a", "b", "a*b"]
    assert shares["a"].tolist() == pytest.approx([9 / 11, 2 / 11, 0])
    assert shares["b"].tolist() == [1, 0, 0]
    assert shares["a*b"].tolist() == [0, 0, 1]


def test_information_gain_does_not_depend_on_the_order_of_nodes():
    children_first = group(
        [0, 1], [0, -1, -1, 1, -1], [4, -1, -1, 1, -1], [3, -1, -1, 2, -1], [[0, 0], [3, 1], [5, 1], [0, 0], [1, 0]],
        [4, 1, 1, 2, 2],
    )  # fmt: skip
    assert information_gain(forest(children_first))["a"].tolist() == pytest.approx([9 / 11, 2 / 11, 0])


def test_splits_without_nominal_weight_and_terms_without_splits_count_as_nothing():
    odd = group([0], [0, -1, -1], [1, -1, -1], [2, -1, -1], [[0.0], [1.0], [-1.0]], [1, 2, -1])
    shares = information_gain(forest(odd))
    assert (shares.to_numpy() == 0).all()


def test_information_gain_of_one_term_is_the_importance_of_the_training(model):
    shares = information_gain(model)
    # Both are sums of the same information; values and gains differ by the rounding of the residuals to integers.
    np.testing.assert_allclose(shares["a"], model.feature_importances_, rtol=1e-6, atol=1e-9)
    assert shares["a"].sum() == pytest.approx(1.0)
    assert information_gain(model.forest_).equals(shares)


def test_information_gain_tells_terms_apart():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((20_000, 3))
    weights = np.column_stack([np.ones(20_000), x[:, 0], x[:, 1]])
    events = bit.EventTable(x, weights, bit.PolynomialBasis(["a", "b"], 1), feature_names=NAMES)
    shares = information_gain(bit.BIT(n_estimators=10, n_jobs=1).fit(events))
    # A split on x fits b by chance: about one unit of noise per leaf against n per unit of signal.
    assert shares.loc["x", "a"] > 0.99
    assert shares.loc["y", "b"] > 0.99


# ---------------------------------------------------------------------- permutation importance
@pytest.mark.parametrize("kind", ["equal", "sampled", "signed", "interference"])
def test_permutation_importance_of_an_additive_function(kind):
    events = additive(100_000, kind)
    options = {"terms": ["a"], "random_state": 1, "n_repeats": 3}
    found = permutation_importance(TRUTH, events, groups={"both": ("x", "y")}, **options)
    single = permutation_importance(TRUTH, events, **options)
    # rho^2 is (var y)^2 / var^2 = 1/25 without x and 16/25 without y. A sum over n events with effective weights has
    # a relative error 1/sqrt(n_eff), for signed ones once more for the donors; covariance and variance of t have
    # errors of 5 and sqrt(50) in units of it, which change the importance by up to 0.32 and 0.13 of that: five sigma.
    tolerance = 5 * (0.32 * 5 + 0.13 * 50**0.5) * events.n_events**0.5 / events.n_eff
    assert tolerance < 0.1
    assert single.mean.loc["x", "a"] == pytest.approx(1 - 1 / 25, abs=tolerance)
    assert single.mean.loc["y", "a"] == pytest.approx(1 - 16 / 25, abs=tolerance)
    # Without both nothing but noise is left: rho^2 ~ 1/n_eff.
    assert found.mean.loc["both", "a"] == pytest.approx(1.0, abs=tolerance**2)
    assert list(found.mean.index) == ["both", "z"]


def test_a_feature_that_is_not_used_has_no_importance():
    found = permutation_importance(TRUTH, additive(1000), terms=["a"], random_state=1)
    # Donors of equal weights are a permutation, and z does not enter: only the order of summation is left.
    assert found.mean.loc["z", "a"] == pytest.approx(0.0, abs=1e-12)
    assert found.std.loc["z", "a"] == pytest.approx(0.0, abs=1e-12)


def test_permutation_importance_of_a_model():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((30_000, 3))
    weights = np.column_stack([np.ones(30_000), x[:, 0] + rng.standard_normal(30_000)])
    events = bit.EventTable(x, weights, bit.PolynomialBasis(["a"], 1), feature_names=NAMES)
    model = bit.BIT(n_estimators=10, n_jobs=1).fit(events.take(slice(0, 20_000)))
    found = permutation_importance(model, events.take(slice(20_000, None)), random_state=2)
    assert found.mean.loc["x", "a"] > 0.98
    for noise in ("y", "z"):  # zero within what shuffling makes of it
        assert abs(found.mean.loc[noise, "a"]) <= 5 * found.std.loc[noise, "a"]


def test_permutation_importance_is_reproducible_and_a_model_is_its_observable(model, table):
    test = table.take(slice(0, 2000))
    first, again, other = (permutation_importance(model, test, random_state=seed, n_repeats=2) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first.mean, again.mean)
    pd.testing.assert_frame_equal(first.std, again.std)
    assert not first.mean.equals(other.mean)
    one = permutation_importance(model.observable("a"), test, terms=["a"], random_state=1, n_repeats=2)
    pd.testing.assert_frame_equal(one.mean, first.mean)


def test_a_constant_prediction_needs_no_feature():
    constant = FunctionObservable("one", lambda events: np.ones(events.n_events))
    found = permutation_importance(constant, additive(100), terms=["a"], random_state=1)
    assert (found.mean.to_numpy() == 0).all()


def test_models_of_plain_arrays_and_features_in_another_order(table):
    model = bit.BIT(n_estimators=3, n_jobs=1).fit(table.features, table.joint_ratio()[:, 0], table.weights[:, 0])
    named = bit.EventTable(table.features, table.weights, bit.PolynomialBasis(["y0"], 1), feature_names=NAMES)
    assert permutation_importance(model, named, random_state=1, n_repeats=2).mean.shape == (3, 1)
    assert staged_rho2(model, named).shape == (4, 1)
    model = bit.BIT(n_estimators=3, n_jobs=1).fit(table)
    swapped = bit.EventTable(table.features[:, ::-1], table.weights, table.basis, feature_names=NAMES[::-1])
    one, two = (permutation_importance(model, events, random_state=1, n_repeats=2) for events in (table, swapped))
    pd.testing.assert_frame_equal(one.mean, two.mean)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_repeats": 1}, "at least 2"),
        ({"groups": {"g": ("x", "u")}}, "unknown feature 'u'"),
        ({"groups": {"g": "xy"}}, "sequence of features"),
        ({"groups": {"g": ("x", "y"), "h": ("y", "z")}}, "one group only"),
        ({"groups": {"z": ("x", "y")}}, "other names"),
        ({"terms": None}, "of which term"),
        ({"terms": ["b"]}, "unknown coefficient 'b'"),
        ({"terms": ["a", ("a",)]}, "1 columns, but 2 terms"),
    ],
)
def test_permutation_importance_refuses(options, message):
    with pytest.raises(InputError, match=message):
        permutation_importance(TRUTH, additive(100), **{"terms": ["a"]} | options)


def test_events_that_do_not_fit_the_model(model, table):
    with pytest.raises(InputError, match="knows its terms"):
        permutation_importance(model, table, terms=["a"])
    with pytest.raises(InputError, match="neither a fitted model nor an observable"):
        permutation_importance("model", table)
    quadratic = additive(1000, order=2)
    with pytest.raises(InputError, match="reference point"):
        staged_loss(model, quadratic.rebase([0.1]))
    negative = bit.EventTable(table.features, -table.weights, table.basis, feature_names=NAMES)
    for inspect in (permutation_importance, staged_loss, lambda *given: partial_dependence(*given, "x")):
        with pytest.raises(InputError, match="positive sum"):
            inspect(model, negative)


# ---------------------------------------------------------------------- partial dependence
def test_partial_dependence_of_an_additive_function():
    events = additive(5000, "sampled")
    function = FunctionObservable("f", lambda t: 2 * t.column("x") + t.column("y") ** 2)
    result = partial_dependence(function, events, "x", grid=[-1.0, 0.0, 2.5])
    w_0, rest = events.weights[:, 0], events.column("y") ** 2
    np.testing.assert_allclose(result.mean[:, 0], [shift + w_0 @ rest / w_0.sum() for shift in (-2, 0, 5)], rtol=1e-12)
    quantiles = np.quantile(rest, [0.16, 0.84], weights=w_0, method="inverted_cdf")
    np.testing.assert_allclose(result.lower[:, 0], quantiles[0] + np.array([-2, 0, 5]), rtol=1e-12)
    np.testing.assert_allclose(result.upper[:, 0], quantiles[1] + np.array([-2, 0, 5]), rtol=1e-12)
    assert result.names == ("f",)
    assert (result.feature, result.unit) == ("x", "")
    # Deciles of a standard normal within five sigma, at the outermost sqrt(0.1 * 0.9 / n_eff) / (density 0.1755).
    np.testing.assert_allclose(result.deciles[[0, 4, 8]], [-1.2816, 0, 1.2816], atol=5 * 1.71 / events.n_eff**0.5)


def test_default_grid_lies_between_quantiles_or_holds_the_few_values_that_exist():
    features = np.column_stack([np.arange(1000.0) ** 2, np.arange(1000) % 4, np.where(np.arange(1000) < 10, np.nan, 1)])
    weights = np.ones((1000, 2))
    events = bit.EventTable(features, weights, bit.PolynomialBasis(["a"], 1), feature_names=NAMES)
    grid = partial_dependence(bit.observable("x"), events, "x", n_points=20).grid
    assert len(grid) == 20
    assert (np.diff(grid) > 0).all()
    # 0.5 % and 99.5 % of 1000 events: the 5th and the 995th.
    assert (grid[0], grid[-1]) == (4.0**2, 994.0**2)
    assert partial_dependence(bit.observable("y"), events, "y").grid.tolist() == [0, 1, 2, 3]
    result = partial_dependence(bit.observable("z", "y"), events, "z")
    assert result.grid.tolist() == [1]
    assert result.names == ("z,y[0]", "z,y[1]")
    assert result.mean.tolist() == [[1.0, 1.5]]


def test_partial_dependence_of_a_model_on_some_of_the_events(model, table):
    first, again, other = (
        partial_dependence(model, table, "x", n_points=5, max_events=500, random_state=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.mean, again.mean)
    assert (first.mean != other.mean).any()
    assert first.names == ("a",)
    everything = partial_dependence(model, table, "x", grid=first.grid, max_events=table.n_events)
    for point, mean in zip(first.grid, everything.mean[:, 0], strict=True):
        features = np.column_stack([np.full(table.n_events, point), table.features[:, 1:]])
        assert mean == pytest.approx(model.predict(features).mean(), rel=1e-9)
    assert (np.diff(everything.mean[:, 0]) > 0).all()


@pytest.mark.parametrize(
    ("feature", "options", "message"),
    [
        ("u", {}, "no feature 'u'"),
        ("x", {"grid": [0.0, 0.0]}, "increase"),
        ("x", {"grid": [np.nan]}, "increase"),
        ("x", {"grid": []}, "increase"),
        ("x", {"n_points": 3}, "at least 4 points"),
        ("x", {"max_events": 0}, "1 event"),
    ],
)
def test_partial_dependence_refuses(feature, options, message):
    with pytest.raises(InputError, match=message):
        partial_dependence(TRUTH, additive(100), feature, **options)


def test_a_feature_without_finite_values_has_no_grid():
    events = bit.EventTable([[np.nan], [np.inf]], np.ones((2, 2)), bit.PolynomialBasis(["a"], 1), feature_names=("x",))
    with pytest.raises(InputError, match="no grid"):
        partial_dependence(bit.observable("x"), events, "x")


# ---------------------------------------------------------------------- stages
def test_stages_end_at_the_prediction(model, table):
    correlation, losses = staged_rho2(model, table), staged_loss(model, table)
    w_0, w_k, prediction = table.weights[:, 0], table.weights[:, 1:], model.predict(table)
    assert len(correlation) == len(losses) == 21
    assert correlation.loc[0, "a"] == 0.0
    assert correlation.loc[20, "a"] == pytest.approx(rho2(w_k / w_0[:, None], prediction, w_0)[0], rel=1e-12)
    assert losses.loc[20, "a"] == pytest.approx(loss(w_k, w_0, prediction)[0] / w_0.sum(), rel=1e-12)
    # For one term the metric is 1, and the loss of the training is that of the same events, of rounded residuals.
    np.testing.assert_allclose(losses["a"] * w_0.sum(), model.train_loss_, rtol=1e-6)
    assert correlation.index.name == "trees"


def test_staged_loss_needs_no_joint_ratio(model):
    events = additive(2000, "interference", seed=4)
    with pytest.raises(InputError, match="w_0 = 0"):
        staged_rho2(model, events)
    losses = staged_loss(model, events)["a"]
    assert losses.iloc[-1] < losses.iloc[0]


def test_terms_of_several_orders_have_columns_of_their_own():
    events = additive(3000, order=2)
    model = bit.BIT(n_estimators=4, n_jobs=1).fit(events)
    for frame in (information_gain(model), staged_rho2(model, events), staged_loss(model, events)):
        assert list(frame.columns) == ["a", "a*a"]
    truth = events.joint_ratio()
    expected = rho2(truth, model.predict(events), events.weights[:, 0])
    np.testing.assert_allclose(staged_rho2(model, events).iloc[-1], expected, rtol=1e-12)
