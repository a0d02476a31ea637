"""Laws of training: what must not change a forest, whatever the weights, the number of outputs and the growth."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

import bit
from bit.metrics import rho2
from bit.processes import zh

N_EVENTS = 500
SMALL = {"n_estimators": 4, "min_samples_leaf": 8, "n_jobs": 1}
GROWTH = st.sampled_from([{"max_depth": 3}, {"max_depth": None, "max_leaf_nodes": 9}])


def draw_table(seed, n_outputs, nominal, nan_share):
    """Linear terms with noise; w_0 all equal, positive, or of both signs and zero; ties, and NaN in two features."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(N_EVENTS, 4))
    features[:, 1] = np.round(features[:, 1], 1)
    weight = {"equal": np.full(N_EVENTS, 0.7), "positive": rng.exponential(size=N_EVENTS)}.get(nominal)
    if weight is None:
        weight = rng.exponential(size=N_EVENTS) * rng.choice([-1.0, 0.0, 1.0], N_EVENTS, p=[0.15, 0.05, 0.8])
    score = features[:, :n_outputs] * features[:, 1:2] + rng.normal(size=(N_EVENTS, n_outputs))
    features[rng.random(N_EVENTS) < nan_share, 0] = np.nan
    features[rng.random(N_EVENTS) < nan_share, 1] = np.nan
    basis = bit.PolynomialBasis([f"c{k}" for k in range(n_outputs)], order=1)
    weights = np.column_stack([weight, (np.abs(weight) + 0.1)[:, np.newaxis] * score])
    return bit.EventTable(features, weights, basis, feature_names=list("pqrs"))


TABLES = st.builds(
    draw_table,
    seed=st.integers(0, 2**32 - 1),
    n_outputs=st.sampled_from([1, 3]),
    nominal=st.sampled_from(["equal", "positive", "signed"]),
    nan_share=st.sampled_from([0.0, 0.2]),
)


def fixed_metric(table):
    """Base points e_a: the metric does not depend on the events."""
    return {"base_points": np.eye(len(table.basis.param_names))}


def nodes_of(model):
    [group] = model.forest_.groups
    return {field.name: getattr(group, field.name) for field in fields(group)}


def assert_identical(first, second, *names):
    """All arrays of two forests are equal, bit for bit; or only those named."""
    ours, theirs = nodes_of(first), nodes_of(second)
    for name in names or ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    if not names:
        np.testing.assert_array_equal(first.forest_.base, second.forest_.base)
        np.testing.assert_array_equal(first.train_loss_, second.train_loss_)
        np.testing.assert_array_equal(first.validation_loss_, second.validation_loss_)
        np.testing.assert_array_equal(first.feature_importances_, second.feature_importances_)


# ---------------------------------------------------------------------- threads and rows
@settings(max_examples=15)
@given(
    table=TABLES,
    growth=GROWTH,
    more=st.sampled_from(
        [
            {},
            {"subsample": 0.6, "random_state": 1},
            {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 1, "random_state": 2},
            {"l2": 3.0, "min_gain": 1e-3, "bin_weights": "nominal"},
        ]
    ),
)
def test_threads(table, growth, more):
    one, *others = (bit.BIT(**(SMALL | growth | more | {"n_jobs": n})).fit(table) for n in (1, 2, 3, 5))
    for other in others:
        assert_identical(one, other)
        np.testing.assert_array_equal(one.predict(table), other.predict(table))


@settings(max_examples=15)
@given(table=TABLES, growth=GROWTH, seed=st.integers(0, 2**32 - 1), based=st.booleans())
def test_order_of_rows(table, growth, seed, based):
    parameters = SMALL | growth | (fixed_metric(table) if based else {})
    shuffled = table.take(np.random.default_rng(seed).permutation(N_EVENTS))
    assert_identical(bit.BIT(**parameters).fit(table), bit.BIT(**parameters).fit(shuffled))


@settings(max_examples=15)
@given(table=TABLES, growth=GROWTH, seed=st.integers(0, 2**32 - 1))
def test_doubled_weights_are_duplicated_rows(table, growth, seed):
    rng = np.random.default_rng(seed)
    # Few values, so that the edges are the same; weights without ties, so that the best split is unique.
    table = replace(table, features=np.round(table.features))
    times = rng.integers(1, 4, N_EVENTS)
    heavy = replace(table, weights=table.weights * times[:, np.newaxis])
    many = table.take(np.repeat(np.arange(N_EVENTS), times))
    # Floors count rows. Where w_0 has both signs, leaves without a floor have sums near 0 and unlimited values.
    parameters = SMALL | growth | fixed_metric(table) | {"min_samples_leaf": 1, "min_effective_samples": 0}
    if (table.weights[:, 0] < 0).any():
        parameters["max_depth"] = 2
    first, second = bit.BIT(**parameters).fit(heavy), bit.BIT(**parameters).fit(many)
    assert_identical(first, second, "feature", "threshold", "left", "right", "tree_offset")
    # Integers are finer for fewer rows: 2^-50 of the largest weight, divided by the nominal weight of a leaf.
    np.testing.assert_allclose(first.predict(table), second.predict(table), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(nodes_of(first)["sum_w"], nodes_of(second)["sum_w"], rtol=1e-9, atol=1e-9)


# ---------------------------------------------------------------------- weights
@settings(max_examples=15)
@given(table=TABLES, growth=GROWTH, power=st.integers(-60, 60))
def test_scale_of_the_weights_by_powers_of_two(table, growth, power):
    parameters = SMALL | growth | {"l2": 1.5, "min_gain": 1e-4}
    factor = 2.0**power
    first = bit.BIT(**parameters).fit(table)
    second = bit.BIT(**parameters).fit(replace(table, weights=table.weights * factor))
    assert_identical(first, second, "feature", "threshold", "left", "right", "value", "tree_offset", "count")
    ours, theirs = nodes_of(first), nodes_of(second)
    for name, scale in (("sum_w", factor), ("sum_w0_squared", factor**2), ("gain", factor)):
        np.testing.assert_array_equal(ours[name] * scale, theirs[name], err_msg=name)
    np.testing.assert_array_equal(first.train_loss_ * factor, second.train_loss_)


@settings(max_examples=15)
@given(table=TABLES, growth=GROWTH, factor=st.floats(1e-6, 1e6))
def test_scale_of_the_weights(table, growth, factor):
    parameters = SMALL | growth | {"l2": 1.5}
    first = bit.BIT(**parameters).fit(table)
    second = bit.BIT(**parameters).fit(replace(table, weights=table.weights * factor))
    assert_identical(first, second, "feature", "threshold", "left", "right", "tree_offset", "count")
    # Rounding of weights (2^-53) and integers (2^-50), summed over the events of a leaf.
    np.testing.assert_allclose(second.predict(table), first.predict(table), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(second.train_loss_, first.train_loss_ * factor, rtol=1e-9)


@settings(max_examples=10)
@given(table=TABLES, growth=GROWTH, factor=st.sampled_from([2.0, -1.0, -0.25, 3.0, 1e-3]))
def test_unit_of_one_coefficient(table, growth, factor):
    """w_a -> c w_a gives R_a -> c R_a in the same trees; exactly for powers of two."""
    single = bit.EventTable(
        table.features, table.weights[:, :2], bit.PolynomialBasis(["c"], order=1), feature_names=table.feature_names
    )
    first = bit.BIT(**SMALL, **growth).fit(single)
    second = bit.BIT(**SMALL, **growth).fit(replace(single, weights=single.weights * [1.0, factor]))
    assert_identical(first, second, "feature", "threshold", "left", "right", "tree_offset", "count")
    rounding = 0.0 if np.log2(abs(factor)) % 1 == 0 else 1e-9
    expected = factor * first.predict(table)
    np.testing.assert_allclose(second.predict(table), expected, rtol=rounding, atol=rounding * np.abs(expected).max())


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), growth=GROWTH, signed=st.booleans())
def test_linear_change_of_theta_with_quadratic_terms(seed, growth, signed):
    """theta = A theta~: base points move along, and R~(x|theta~) = R(x|A theta~)."""
    rng = np.random.default_rng(seed)
    change = np.eye(2) + 0.4 * rng.normal(size=(2, 2))
    linear = draw_table(seed, 3, "signed" if signed else "positive", 0.2)
    basis = bit.PolynomialBasis(["a", "b"])
    matrix = rng.normal(size=(N_EVENTS, 2, 2)) + np.nan_to_num(linear.features[:, 2, np.newaxis, np.newaxis])
    matrix = matrix + matrix.transpose(0, 2, 1)

    def table_of(gradient, hessian):
        weights = [linear.weights[:, 0], *gradient.T, hessian[:, 0, 0], hessian[:, 0, 1], hessian[:, 1, 1]]
        return bit.EventTable(linear.features, np.column_stack(weights), basis, feature_names=linear.feature_names)

    gradient = linear.weights[:, 1:3]
    first_table = table_of(gradient, matrix)
    second_table = table_of(gradient @ change, change.T @ matrix @ change)
    points = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    first = bit.BIT(**SMALL, **growth, bin_weights="count", base_points=points).fit(first_table)
    moved = np.linalg.solve(change, points.T).T
    second = bit.BIT(**SMALL, **growth, bin_weights="count", base_points=moved).fit(second_table)
    assert_identical(first, second, "feature", "threshold", "left", "right", "tree_offset", "count")
    for theta in rng.normal(size=(3, 2)):
        ratio = second.predict_ratio(second_table, theta)
        # Rounding, times the condition of the points, below 100 for changes like these.
        np.testing.assert_allclose(ratio, first.predict_ratio(first_table, change @ theta), rtol=1e-8, atol=1e-8)


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), growth=GROWTH, columns=st.sampled_from([(1,), (3,), (1, 3), (2, 3)]))
def test_terms_that_are_not_trained_have_no_part(seed, growth, columns):
    table = draw_table(seed, 3, "signed", 0.0)
    names = [table.basis.param_names[k - 1] for k in columns]
    alone = bit.EventTable(
        table.features,
        table.weights[:, [0, *columns]],
        bit.PolynomialBasis(names, order=1),
        feature_names=table.feature_names,
    )
    assert_identical(bit.BIT(**SMALL, **growth, terms=names[::-1]).fit(table), bit.BIT(**SMALL, **growth).fit(alone))


# ---------------------------------------------------------------------- features
@settings(max_examples=15)
@given(table=TABLES, growth=GROWTH, max_bins=st.sampled_from([255, 13]), seed=st.integers(0, 2**32 - 1))
def test_strictly_monotone_maps_of_features(table, growth, max_bins, seed):
    """Any increasing list of float32 numbers in place of the values that occur; NaN stays NaN."""
    rng = np.random.default_rng(seed)
    table = replace(table, features=table.features.astype(np.float32))
    mapped = table.features.copy()
    for column in mapped.T:
        values = np.unique(column[~np.isnan(column)])
        steps = (10.0 ** rng.uniform(-3, 3, 4 * len(values))).astype(np.float32)
        image = np.unique(np.cumsum(steps) - np.float32(100.0))
        image = image[np.sort(rng.choice(len(image), len(values), replace=False))]
        column[~np.isnan(column)] = image[np.searchsorted(values, column[~np.isnan(column)])]
    first = bit.BIT(**SMALL, **growth, max_bins=max_bins).fit(table)
    other = replace(table, features=mapped)
    second = bit.BIT(**SMALL, **growth, max_bins=max_bins).fit(other)
    assert_identical(first, second, *(name for name in nodes_of(first) if name != "threshold"))
    np.testing.assert_array_equal(first.predict(table), second.predict(other))


@settings(max_examples=10)
@given(table=TABLES, growth=GROWTH, order=st.permutations(range(4)))
def test_order_of_features(table, growth, order):
    other = bit.EventTable(
        table.features[:, order], table.weights, table.basis, feature_names=[table.feature_names[f] for f in order]
    )
    first, second = bit.BIT(**SMALL, **growth).fit(table), bit.BIT(**SMALL, **growth).fit(other)
    np.testing.assert_array_equal(first.predict(table), second.predict(other))
    # Gains are added up in the same order; the total is not.
    np.testing.assert_allclose(second.feature_importances_, first.feature_importances_[order], rtol=1e-12)


@settings(max_examples=8)
@given(table=TABLES, growth=GROWTH, at=st.integers(0, 4), value=st.sampled_from([0.0, -3.5, np.inf, np.nan]))
def test_constant_feature_changes_nothing(table, growth, at, value):
    names = [*table.feature_names[:at], "flat", *table.feature_names[at:]]
    wide = bit.EventTable(np.insert(table.features, at, value, axis=1), table.weights, table.basis, feature_names=names)
    first = bit.BIT(**SMALL, **growth).fit(table)
    with pytest.warns(bit.BitWarning, match=r"constant features \['flat'\]"):
        second = bit.BIT(**SMALL, **growth).fit(wide)
    moved = nodes_of(first)["feature"] + (nodes_of(first)["feature"] >= at)
    np.testing.assert_array_equal(moved, nodes_of(second)["feature"])
    assert_identical(first, second, *(name for name in nodes_of(first) if name != "feature"))


@settings(max_examples=10)
@given(table=TABLES, growth=GROWTH, beyond=st.sampled_from([1e3, 3e38, np.inf]))
def test_nan_is_above_all_values(table, growth, beyond):
    features = np.round(table.features, 1)  # few values: each has a bin of its own
    first_table = replace(table, features=features)
    second_table = replace(table, features=np.where(np.isnan(features), beyond, features))
    first, second = (bit.BIT(**SMALL, **growth).fit(each) for each in (first_table, second_table))
    assert_identical(first, second, *(name for name in nodes_of(first) if name != "threshold"))
    np.testing.assert_array_equal(first.predict(first_table), second.predict(second_table))


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_missing_values_carry_information(rng, n_outputs):
    """A feature that is measured for 70 % of the events: both its value and its absence are learned."""
    n = 20_000
    features = rng.normal(size=(n, 2))
    absent = rng.random(n) < 0.3
    truth = np.where(absent, -0.7, features[:, 0])
    features[absent, 0] = np.nan
    score = truth[:, np.newaxis] * np.arange(1, n_outputs + 1) + rng.normal(size=(n, n_outputs))
    model = bit.BIT(n_estimators=60, max_depth=3, min_samples_leaf=200).fit(features, score)
    prediction = model.predict(features)
    # Each leaf of 200 events of unit noise is off by 0.07; the mean of 6000 absent ones by 0.013, and no split on
    # the other feature moves it by more than the noise of its leaves.
    assert rho2(truth, prediction[:, 0], np.ones(n)) > 0.97
    assert prediction[absent, 0].mean() == pytest.approx(-0.7, abs=5 * 0.013)


# ---------------------------------------------------------------------- losses
def metric_of(table, points):
    """Q = sum phi phi^T of linear terms."""
    return points.T @ points if len(table.basis.param_names) > 1 else np.eye(1)


def loss_of(table, prediction, metric):
    nominal, weights = table.weights[:, 0], table.weights[:, 1:]
    squares = np.einsum("ij,jk,ik->i", prediction, metric, prediction)
    return nominal @ squares - 2.0 * np.einsum("ij,jk,ik->", weights, metric, prediction)


@settings(max_examples=15)
@given(
    table=TABLES,
    growth=GROWTH,
    init=st.sampled_from(["mean", None]),
    learning_rate=st.sampled_from([0.1, 1.0]),
    l2=st.sampled_from([0.0, 20.0]),
)
def test_losses_are_those_of_the_predictions_and_never_rise(table, growth, init, learning_rate, l2):
    n_outputs = len(table.basis.param_names)
    points = np.random.default_rng(5).normal(size=(n_outputs + 1, n_outputs)) if n_outputs > 1 else np.eye(1)
    metric = metric_of(table, points)
    model = bit.BIT(**SMALL, **growth, base_points=points, init=init, learning_rate=learning_rate, l2=l2).fit(table)
    stages = [np.tile(model.forest_.base, (N_EVENTS, 1)), *model.staged_predict(table)]
    assert len(stages) == len(model.train_loss_) == 5
    scale = np.abs(table.weights).sum()
    for stage, loss in zip(stages, model.train_loss_, strict=True):
        # Sums of 500 numbers, added up tree by tree.
        np.testing.assert_allclose(loss, loss_of(table, stage, metric), rtol=1e-10, atol=1e-11 * scale)
    # Each leaf with S_0 > 0 lowers the loss by S_0 v^2 (2/rate - 1) at least; a tree without splits leaves it.
    assert (np.diff(model.train_loss_) <= 1e-12 * scale).all()
    assert model.train_loss_[-1] < model.train_loss_[0]


@settings(max_examples=8)
@given(table=TABLES, growth=GROWTH, seed=st.integers(0, 100))
def test_early_stopping_keeps_the_forest_of_the_lowest_loss(table, growth, seed):
    parameters = SMALL | growth | fixed_metric(table) | {"n_estimators": 30, "learning_rate": 0.5}
    model = bit.BIT(
        **parameters, early_stopping=True, validation_fraction=0.4, n_iter_no_change=3, random_state=seed
    ).fit(table)
    best = int(np.argmin(model.validation_loss_))
    assert model.n_iter_ == model.forest_.n_trees == best
    assert len(model.validation_loss_) in (best + 4, 31)
    order = np.random.default_rng(seed).permutation(N_EVENTS)
    rest, chosen = table.take(np.sort(order[200:])), table.take(np.sort(order[:200]))
    metric = np.eye(len(table.basis.param_names))
    # The same forest as one of so many trees on the training part.
    if best > 0:
        plain = bit.BIT(**(parameters | {"n_estimators": best})).fit(rest)
        assert_identical(model, plain, *nodes_of(model))
    losses = [loss_of(chosen, np.tile(model.forest_.base, (200, 1)), metric)]
    losses += [loss_of(chosen, stage, metric) for stage in model.staged_predict(chosen)]
    np.testing.assert_allclose(model.validation_loss_[: best + 1], np.array(losses) * 300 / 200, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_no_function_falls_as_trees_are_added():
    """Nine functions of ZH: rho^2 on other events after 100, 200 and 300 trees, with a paired bootstrap."""
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    train = zh.simulate(300_000, seed=31, show_progress=False).table
    test = zh.simulate(500_000, seed=32, show_progress=False).table
    model = bit.BIT(n_estimators=300).fit(train)
    truth, nominal = test.joint_ratio(), test.weights[:, 0]
    stages = [model.forest_.first(n).predict(test.features) for n in (100, 200, 300)]
    rng = np.random.default_rng(33)
    # Every event counts k times, k from a Poisson distribution, the same for all stages: what a few events with
    # large ratios do to all stages alike drops out of the differences. 50 replicas give sigma to 10 %.
    replicas = [nominal] + [nominal * rng.poisson(1.0, test.n_events) for _ in range(50)]
    found = np.array([[rho2(truth, stage, weights) for stage in stages] for weights in replicas])
    # 2 sigma for the lowest of nine functions: each may exceed it with 1 - (1 - 0.0228)^(1/9), which is 2.80 sigma.
    # The three differences are not counted as trials of their own.
    least = -norm.isf(1.0 - norm.cdf(2.0) ** (1 / 9))
    for early, late in ((0, 1), (1, 2), (0, 2)):
        difference = found[:, late] - found[:, early]
        assert (difference[0] >= least * difference[1:].std(axis=0, ddof=1)).all()
