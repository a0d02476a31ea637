"""Estimators whose leaves are linear functions."""

import json
import math
from dataclasses import fields, replace

import numpy as np
import pytest

import bit
from bit.artefacts import checksum
from bit.errors import FileFormatError, InputError
from bit.kernels.dtypes import FEATURE
from bit.trees import forest_json
from bit.trees.forest import LinearLeaves

EPS = np.finfo(np.float64).eps
NAMES = ("phi", "m", "minus", "plus")
PARITY = bit.CPParity(flip=["phi"], swap=[("minus", "plus")], odd_params=["b"])
BASIS = bit.PolynomialBasis(["a", "b"])
SIGNS = np.array([1.0, -1.0, 1.0, -1.0, 1.0])  # of the terms a, b, aa, ab, bb


def make_table(rng, n=1200, *, special=True, signed=False):
    """Two coefficients; some features not finite, some nominal weights negative if asked for."""
    features = rng.normal([0.2, 1.0, 0.0, 0.0], 1.0, (n, 4)).astype(FEATURE)
    nominal = rng.exponential(size=n)
    if signed:
        nominal *= rng.choice([-1.0, 1.0], n, p=[0.1, 0.9])
    a, b = features[:, 1] + 0.3 * features[:, 2], features[:, 0] + 0.5 * (features[:, 2] - features[:, 3])
    columns = np.column_stack([np.ones(n), a, b, a * a, a * b, b * b]) + 0.2 * rng.normal(size=(n, 6))
    columns[:, 0] = 1.0
    if special:
        chosen = rng.random(features.shape) < 0.03
        features[chosen] = rng.choice([np.nan, np.inf, -np.inf], chosen.sum())
    return bit.EventTable(features, columns * nominal[:, np.newaxis], BASIS, feature_names=NAMES)


def fit(table, **options):
    options = {"n_estimators": 6, "max_depth": 3, "n_jobs": 1, "leaf": "linear"} | options
    return bit.BIT(**options).fit(table)


def probe_of(rng, n=400):
    """Events inside, beyond and far beyond the training range, and with values that are not finite."""
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3e38, -3e38]
    return np.concatenate([rng.normal(size=(n, 4)), 10 * rng.normal(size=(n, 4)), rng.choice(special, (n // 4, 4))])


def arrays_of(forest):
    """Everything of which the forest consists, linear parts included."""
    arrays = [forest.base]
    for group in forest.groups:
        arrays += [getattr(group, field.name) for field in fields(group) if field.name != "linear"]
        arrays += [getattr(group.linear, field.name) for field in fields(LinearLeaves)]
    return arrays


def assert_same_forest(one, other):
    for first, second in zip(arrays_of(one), arrays_of(other), strict=True):
        assert first.dtype == second.dtype
        assert first.shape == second.shape
        assert first.tobytes() == second.tobytes()


def has_slopes(forest):
    return all((group.linear.slope != 0).any() for group in forest.groups)


# ---------------------------------------------------------------------- a slow reference
def predict_document(document, features):
    """What the JSON says, by its description of the fields, in Python floats."""
    return [predict_event(document, [float(x) for x in row]) for row in np.asarray(features, dtype=FEATURE)]


def predict_event(document, x):
    total = sum_of_trees(document, x)
    cp = document["cp"]
    if cp is None:
        return total
    image = [x[j] * sign for j, sign in zip(cp["permutation"], cp["sign"], strict=True)]
    of_image = sum_of_trees(document, image)
    return [0.5 * (g + sign * h) for g, sign, h in zip(total, cp["parity"], of_image, strict=True)]


def leaf_of(group, root, x):
    node = root
    while group["feature"][node] >= 0:
        goes_left = x[group["feature"][node]] < group["threshold"][node]
        node = group["left" if goes_left else "right"][node]
    return node


def sum_of_trees(document, x):
    total = list(document["base"])
    for group in document["groups"]:
        for root in group["tree_offset"][:-1]:
            node = leaf_of(group, root, x)
            values, part = list(group["value"][node]), group["linear"][node]
            if part is not None and all(math.isfinite(x[f]) for f in part["features"]):
                deviations = [
                    min(max(x[f], low), high) - centre
                    for f, low, high, centre in zip(
                        part["features"], part["lo"], part["hi"], part["centre"], strict=True
                    )
                ]
                for k, coefficients in enumerate(part["coef"]):
                    for c, deviation in zip(coefficients, deviations, strict=True):
                        values[k] += c * deviation
            for output, value in zip(group["outputs"], values, strict=True):
                total[output] += value
    return total


OPTIONS = [
    {},
    {"ridge": 0.0},
    {"ridge": 0.7, "terms": ["a"]},
    {"max_depth": 8, "min_samples_leaf": 25, "min_effective_samples": 0, "ridge": 0.1},  # more than 32 leaves
    {"strategy": "separate"},
    {"strategy": "separate", "early_stopping": True, "n_iter_no_change": 1, "learning_rate": 0.9, "random_state": 0},
    {"cp_parity": PARITY},
    {"cp_parity": PARITY, "strategy": "separate", "ridge": 0.1},
    {"base_points": [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0], [0.0, 2.0]]},
    {"subsample": 0.5, "max_features": 0.6, "random_state": 2},
    {"sketch": 2},
    {"positive": True, "ridge": 0.3},
    {"l2": 3.0, "init": None},
    {"min_effective_samples": 5000},  # trees without a split
]
ids = ["default", *(",".join(f"{name}={value}"[:30] for name, value in options.items()) for options in OPTIONS[1:])]
all_options = pytest.mark.parametrize("options", OPTIONS, ids=ids)


@all_options
def test_all_ways_to_predict_agree_with_the_document(rng, options):
    model = fit(make_table(rng), **options)
    forest, probe = model.forest_, probe_of(rng)
    assert has_slopes(forest) == (options.get("min_effective_samples", 0) == 0)
    expected = predict_document(forest_json.as_document(forest), probe)
    np.testing.assert_array_equal(model.predict(probe), expected)
    np.testing.assert_array_equal(forest.predict(probe, n_threads=3), expected)
    *_, last = forest.staged_predict(probe)
    np.testing.assert_array_equal(last, expected)
    evaluate = forest.evaluator()
    np.testing.assert_array_equal([evaluate(row) for row in probe], expected)


@all_options
def test_stages_are_the_cut_forests(rng, options):
    model = fit(make_table(rng), **options)
    probe = probe_of(rng, 100)
    stages = list(model.staged_predict(probe))
    assert len(stages) == model.n_iter_ >= 1
    for n, stage in enumerate(stages, start=1):
        np.testing.assert_array_equal(model.forest_.first(n).predict(probe), stage)


@pytest.mark.parametrize("n", [1, 255, 256, 257, 513, 2100])
@pytest.mark.parametrize("options", [{}, {"terms": ["a"]}, {"max_depth": 7, "min_samples_leaf": 10}], ids=str)
def test_blocks_of_events(rng, n, options):
    """Parts of blocks and several of them, for few outputs and many, small trees and large ones."""
    forest = fit(make_table(rng, 600), n_estimators=2, **options).forest_
    probe = probe_of(rng, 1000)[:n]
    np.testing.assert_array_equal(forest.predict(probe), predict_document(forest_json.as_document(forest), probe))
    assert forest.predict(probe[:0]).shape == (0, forest.n_outputs)


@all_options
def test_round_trip_is_exact(rng, tmp_path, options):
    model = fit(make_table(rng), **options)
    model.export(tmp_path / "model.json")
    forest, probe = bit.load(tmp_path / "model.json"), probe_of(rng)
    assert_same_forest(forest, model.forest_)
    np.testing.assert_array_equal(forest.predict(probe), model.predict(probe))
    again = bit.BIT.from_forest(forest)
    assert again.get_params() == model.get_params()
    assert again.leaf == "linear"


# ---------------------------------------------------------------------- what is learned
def piecewise(x):
    return np.abs(x[:, 0]) + 0.5 * x[:, 1]


def test_piecewise_linear_functions_are_learned_with_few_trees(rng):
    """A tree with few leaves describes it; the numbers of as many constant leaves leave steps."""
    x, test = rng.uniform(-1, 1, (4000, 2)), rng.uniform(-1, 1, (4000, 2))
    error = {}
    for leaf in ("constant", "linear"):
        model = bit.BIT(n_estimators=5, learning_rate=1.0, max_depth=3, leaf=leaf, n_jobs=1).fit(x, piecewise(x))
        error[leaf] = np.mean((model.predict(test) - piecewise(test)) ** 2)
    assert error["linear"] < error["constant"] / 10


def test_a_straight_line_is_found_exactly_without_ridge(rng):
    """Every leaf holds the line itself, so that one tree with learning rate 1 leaves rounding only."""
    x = rng.uniform(-1, 1, (2000, 2)).astype(FEATURE)
    y = 3.0 + 2.0 * x[:, 0].astype(np.float64) - x[:, 1]
    options = {"n_estimators": 1, "learning_rate": 1.0, "max_depth": 3, "leaf": "linear", "n_jobs": 1}
    model = bit.BIT(ridge=0.0, **options).fit(x, y)
    # A leaf may be narrow in a feature; sums of 2000 events, enlarged by (range / spread)^2.
    part = model.forest_.groups[0].linear
    spread = (part.high - part.low)[part.columns >= 0].min() / 4
    leaves = model.forest_.groups[0].feature < 0
    both = (part.columns[leaves] >= 0).sum(axis=1) == 2
    inside = both[np.searchsorted(np.flatnonzero(leaves), leaf_numbers(model.forest_, x))]
    assert inside.mean() > 0.3
    assert np.abs(model.predict(x) - y)[inside].max() < 2000 * EPS * 6 * (2 / spread) ** 2


def leaf_numbers(forest, x):
    """Leaf of each event in the first tree."""
    fields = forest_json.as_document(forest)["groups"][0]
    return np.array([leaf_of(fields, 0, row) for row in np.asarray(x, dtype=FEATURE).astype(float).tolist()])


def test_constants_of_the_leaves_are_those_of_constant_leaves(rng):
    table = make_table(rng, special=False)
    linear, constant = (fit(table, n_estimators=1, leaf=leaf).forest_.groups[0] for leaf in ("linear", "constant"))
    assert constant.linear is None
    for name in ("feature", "threshold", "left", "right", "value", "sum_w", "gain"):
        np.testing.assert_array_equal(getattr(linear, name), getattr(constant, name))


def test_centres_and_ranges_are_those_of_the_events_of_the_leaf(rng):
    table = make_table(rng)
    forest = fit(table, n_estimators=1).forest_
    part, w = forest.groups[0].linear, table.weights[:, 0]
    numbers = leaf_numbers(forest, table.features)
    checked = 0
    for leaf in np.unique(numbers):
        used = part.columns[leaf] >= 0
        x = table.features[numbers == leaf][:, part.columns[leaf][used]].astype(np.float64)
        finite = np.isfinite(x).all(axis=1)
        if not used.any():
            continue
        checked += 1
        np.testing.assert_array_equal(part.low[leaf][used], x[finite].min(axis=0))
        np.testing.assert_array_equal(part.high[leaf][used], x[finite].max(axis=0))
        mean = np.average(x[finite], axis=0, weights=w[numbers == leaf][finite])
        np.testing.assert_allclose(part.centre[leaf][used], mean, rtol=0, atol=1e-8)  # z is cut off at 1 - 1e-9
        # They come first, each one once, and are among those of the path.
        assert used[: used.sum()].all()
        assert len(set(part.columns[leaf][used])) == used.sum()
    assert checked > 3


@pytest.mark.parametrize("options", [{}, {"strategy": "separate"}, {"cp_parity": PARITY}], ids=str)
def test_nothing_is_extrapolated(rng, options):
    """Along one feature beyond its range in every leaf, predictions stay at those of the edges."""
    table = make_table(rng, special=False)
    model = fit(table, **options)
    # Beyond all events (and images) no threshold parts two probes.
    edge = np.abs(table.features).max() * np.float32(1.0000001)
    start = rng.normal(size=(200, 4)).astype(FEATURE)
    for feature in range(4):
        for sign in (-1, 1):
            at_edge, beyond, far = start.copy(), start.copy(), start.copy()
            at_edge[:, feature], beyond[:, feature], far[:, feature] = sign * edge, sign * 2 * edge, sign * 3e38
            expected = model.predict(at_edge)
            np.testing.assert_array_equal(model.predict(beyond), expected)
            np.testing.assert_array_equal(model.predict(far), expected)


def test_beyond_the_range_of_a_leaf_its_edge_counts(rng):
    """An event of a leaf, moved along one of its features to the edge and beyond, as far as the leaf goes."""
    table = make_table(rng, special=False)
    forest = fit(table, n_estimators=1).forest_
    part, numbers, checked = forest.groups[0].linear, leaf_numbers(forest, table.features), 0
    for leaf in np.flatnonzero(part.columns[:, 0] >= 0):
        start = table.features[np.flatnonzero(numbers == leaf)[0]]
        for m, feature in enumerate(part.columns[leaf][part.columns[leaf] >= 0]):
            for edge, sign in ((part.low[leaf, m], -1), (part.high[leaf, m], 1)):
                steps = [0.0, 1e-6, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 1e30]
                line = np.tile(start, (len(steps), 1))
                line[:, feature] = np.array([edge + sign * step for step in steps]).astype(FEATURE)
                here = leaf_numbers(forest, line) == leaf
                assert here[0]  # the range is that of events in the leaf
                checked += (line[here, feature] != line[0, feature]).sum()
                prediction = forest.predict(line[here])
                np.testing.assert_array_equal(prediction, np.tile(prediction[0], (len(prediction), 1)))
    assert checked > 50
    # Within the range it is a slope that counts.
    assert len(np.unique(forest.predict(table.features)[:, 0])) > table.n_events / 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_make_a_leaf_constant(rng, value):
    forest = fit(make_table(rng), n_estimators=1).forest_
    group = forest.groups[0]
    start = rng.normal(size=(300, 4))
    checked = 0
    for feature in range(4):
        probe = start.copy()
        probe[:, feature] = value
        leaves = leaf_numbers(forest, probe)
        is_used = (group.linear.columns[leaves] == feature).any(axis=1)
        checked += is_used.sum()
        np.testing.assert_array_equal(forest.predict(probe)[is_used], (forest.base + group.value[leaves])[is_used])
    assert checked > 100


def test_events_without_finite_features_still_count_for_the_constant(rng):
    x = rng.normal(size=(1000, 1))
    x[::4] = np.nan
    y = np.where(np.isnan(x[:, 0]), 5.0, x[:, 0])
    model = bit.BIT(n_estimators=1, learning_rate=1.0, max_depth=1, leaf="linear", ridge=0.0, n_jobs=1).fit(x, y)
    group = model.forest_.groups[0]
    leaves = np.flatnonzero(group.feature < 0)
    np.testing.assert_allclose(
        group.value[leaves, 0] + model.forest_.base[0],
        group.sum_w[leaves, 1] / group.sum_w[leaves, 0],
        rtol=1000 * EPS,
    )
    assert (model.predict([[np.nan]]) == model.forest_.base[0] + group.value[leaves[-1], 0]).all()


# ---------------------------------------------------------------------- always the same bits
REPEATED = [
    {},
    {"ridge": 0.0},
    {"terms": ["b"]},
    {"strategy": "separate"},
    {"cp_parity": PARITY},
    {"sketch": 2},
    {"positive": True},
]


@pytest.mark.parametrize("options", REPEATED, ids=str)
def test_threads_and_order_of_the_events_do_not_matter(rng, options):
    table = make_table(rng)
    expected = fit(table, **options).forest_
    assert has_slopes(expected)
    for n_jobs in (1, 2, 3):
        assert_same_forest(fit(table, n_jobs=n_jobs, **options).forest_, expected)
    for _ in range(2):
        shuffled = table.take(rng.permutation(table.n_events))
        assert_same_forest(fit(shuffled, n_jobs=2, **options).forest_, expected)


def test_what_the_memory_held_before_does_not_matter(rng):
    """Records have more bytes than features; what stands in the rest must not decide about halves of the events."""
    table = make_table(rng, 300)
    table = bit.EventTable(table.features[:, :3], table.weights, BASIS, feature_names=NAMES[:3])
    expected = fit(table).forest_
    for value in range(1, 13):
        # Freed memory of the sizes of the records is what the next training is likely to get.
        left_behind = [np.full(size, value + 0.1) for size in range(600, 3600, 8)]
        del left_behind
        assert_same_forest(fit(table).forest_, expected)


@pytest.mark.parametrize("factor", [2.0, 4.0])
@pytest.mark.parametrize("ridge", ["auto", 0.0])
def test_weights_times_a_power_of_two_give_the_same_functions(rng, ridge, factor):
    """It changes no mantissa: neither the halves of the events nor a rounding."""
    table = make_table(rng)
    scaled = bit.EventTable(table.features, factor * table.weights, BASIS, feature_names=NAMES)
    one, other = (fit(each, ridge=ridge).forest_.groups[0] for each in (table, scaled))
    np.testing.assert_array_equal(one.value, other.value)
    np.testing.assert_array_equal(factor * one.linear.gain, other.linear.gain)
    for field in fields(LinearLeaves)[:-1]:
        np.testing.assert_array_equal(getattr(one.linear, field.name), getattr(other.linear, field.name))


def test_float64_features_are_cast(rng):
    """What is trained on is what a prediction sees: float32."""
    table = make_table(rng)
    features = table.features * (1 + rng.uniform(-1e-8, 1e-8, table.features.shape))
    cast = bit.EventTable(features.astype(FEATURE), table.weights, BASIS, feature_names=NAMES)
    expected = fit(cast).forest_
    assert has_slopes(expected)
    assert_same_forest(fit(bit.EventTable(features, table.weights, BASIS, feature_names=NAMES)).forest_, expected)


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_features_whose_range_is_lost_in_float32(rng, ridge):
    """As float64 all values lie within 0.02, as float32 they are 2 apart."""
    x = 2.0**24 + 1 + 0.01 * rng.choice([-1.0, 1.0], (2000, 1))
    other = rng.normal(size=(2000, 1))
    y = other[:, 0] + 0.5 * np.sign(x[:, 0] - 2.0**24 - 1) + 0.1 * rng.normal(size=2000)
    model = bit.BIT(n_estimators=5, leaf="linear", ridge=ridge, max_depth=2, n_jobs=1)
    model.fit(np.hstack([x, other]), y)
    assert np.isfinite(model.train_loss_).all()
    assert (np.diff(model.train_loss_) < 0).all()
    assert np.abs(model.predict(np.hstack([x, other])) - y).max() < 4 * np.abs(y).max()


# ---------------------------------------------------------------------- CP
@pytest.mark.parametrize("options", [{}, {"strategy": "separate"}, {"ridge": 0.0}, {"sketch": 2}], ids=str)
def test_parity_is_exact(rng, options):
    model = fit(make_table(rng), cp_parity=PARITY, **options)
    assert has_slopes(model.forest_)
    probe = probe_of(rng)
    image = PARITY.mirror(probe, NAMES)
    one, other = model.predict(probe), model.predict(image)
    np.testing.assert_array_equal(one - SIGNS * other, 0.0)
    assert (one != 0).any(axis=0).all()
    evaluate = model.forest_.evaluator()
    np.testing.assert_array_equal([evaluate(row) for row in image], other)


def test_one_flipped_feature_is_learned_as_odd(rng):
    """A straight line through 0 in the only feature, from events on one side of 0 only."""
    x = rng.uniform(0.1, 1.0, (2000, 2)).astype(FEATURE)
    weights = np.column_stack([np.ones(2000), x[:, 0], x[:, 1]]).astype(np.float64)
    basis = bit.PolynomialBasis(["odd", "even"], order=1)
    table = bit.EventTable(x, weights, basis, feature_names=["phi", "m"])
    parity = bit.CPParity(flip=["phi"], odd_params=["odd"])
    model = fit(table, cp_parity=parity, n_estimators=20, learning_rate=0.5, ridge=0.01, max_depth=2)
    probe = rng.uniform(0.1, 1.0, (500, 2)).astype(FEATURE)
    mirrored = probe * np.array([-1, 1], dtype=FEATURE)
    one, other = model.predict(probe), model.predict(mirrored)
    np.testing.assert_array_equal(one[:, 0] + other[:, 0], 0.0)
    np.testing.assert_array_equal(one[:, 1] - other[:, 1], 0.0)
    # Steps of four leaves would leave a scatter of at least 1/16 of the range in each feature.
    assert np.abs(one - probe).mean() < 0.9 / 32


# ---------------------------------------------------------------------- losses
def direct_losses(model, table, column):
    """sum (w_0 F^2 - 2 w F) over the events, after each tree, of a single term."""
    w0, w = table.weights[:, 0], table.weights[:, column]
    stages = [np.full(len(w0), model.forest_.base[0]), *(stage[:, 0] for stage in model.staged_predict(table))]
    return np.array([math.fsum(w0 * f * f - 2 * w * f) for f in stages])


def loss_rounding(model, table, column):
    """Ten operations on each event in each tree, each with the rounding of the largest number in it."""
    w0, w = table.weights[:, 0], table.weights[:, column]
    size = np.abs(model.predict(table)).max() + np.abs(model.forest_.base[0])
    largest = np.abs(w0).sum() * size**2 + 2 * np.abs(w).sum() * size
    return 10 * (1 + model.n_iter_) * table.n_events * EPS * largest


@pytest.mark.parametrize("ridge", ["auto", 0.0, 0.3])
@pytest.mark.parametrize("parity", [None, PARITY], ids=["events", "pairs"])
def test_training_losses_are_those_of_the_prediction(rng, ridge, parity):
    """A single term has the metric 1, so that nothing is scaled."""
    table = make_table(rng)
    model = fit(table, terms=["a"], ridge=ridge, n_estimators=15, cp_parity=parity)
    direct = direct_losses(model, table, 1)
    tolerance = loss_rounding(model, table, 1)
    if parity is None:
        np.testing.assert_allclose(model.train_loss_, direct, rtol=0, atol=tolerance)
    else:
        # An event and its image count as half an event each; for even terms the loss is that of the event.
        np.testing.assert_allclose(np.diff(model.train_loss_), np.diff(direct), rtol=0, atol=tolerance)
    assert (np.diff(model.train_loss_) < 0).all()


@pytest.mark.parametrize("options", [{}, {"strategy": "separate"}, {"ridge": 0.5}, {"l2": 1.0}], ids=str)
def test_training_losses_fall(rng, options):
    losses = fit(make_table(rng), n_estimators=25, **options).train_loss_
    assert len(losses) == 26
    assert (np.diff(losses) < 0).all()


def test_training_losses_of_signed_weights(rng):
    """What holds for any sign is that the loss is that of the prediction."""
    table = make_table(rng, signed=True)
    model = fit(table, terms=["a"], n_estimators=10, ridge=0.1)
    assert has_slopes(model.forest_)
    np.testing.assert_allclose(
        model.train_loss_, direct_losses(model, table, 1), rtol=0, atol=loss_rounding(model, table, 1)
    )


@pytest.mark.parametrize("parity", [None, PARITY], ids=["events", "pairs"])
def test_losses_of_subsamples_are_those_of_all_events(rng, parity):
    table = make_table(rng)
    model = fit(table, terms=["a"], n_estimators=10, subsample=0.5, random_state=3, cp_parity=parity)
    assert has_slopes(model.forest_)
    np.testing.assert_allclose(
        np.diff(model.train_loss_), np.diff(direct_losses(model, table, 1)), rtol=0, atol=loss_rounding(model, table, 1)
    )
    assert model.train_loss_[-1] < model.train_loss_[0]
    assert_same_forest(
        fit(table, terms=["a"], n_estimators=10, subsample=0.5, random_state=3, cp_parity=parity, n_jobs=3).forest_,
        model.forest_,
    )


@pytest.mark.parametrize("strategy", ["joint", "separate"])
def test_early_stopping_keeps_the_trees_up_to_the_lowest_validation_loss(rng, strategy):
    table = make_table(rng)
    options = {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 3, "random_state": 5}
    model = fit(table, n_estimators=200, learning_rate=0.5, strategy=strategy, terms=["a"], **options)
    losses = model.validation_loss_
    assert 1 <= model.n_iter_ == np.argmin(losses) < 200
    assert len(losses) == len(model.train_loss_) == model.n_iter_ + 1 + 3
    order = np.random.default_rng(5).permutation(table.n_events)
    held_out = table.take(np.sort(order[:360]))
    direct = direct_losses(model, held_out, 1) * (840 / 360)
    tolerance = loss_rounding(model, held_out, 1) * (840 / 360)
    np.testing.assert_allclose(losses[: model.n_iter_ + 1], direct, rtol=0, atol=tolerance)


# ---------------------------------------------------------------------- several outputs
def test_terms_of_a_joint_forest_have_slopes_of_their_own(rng):
    table = make_table(rng, 3000, special=False)
    model = fit(table, n_estimators=40, terms=["a", "b"])
    x = table.features.astype(np.float64)
    truth = np.column_stack([x[:, 1] + 0.3 * x[:, 2], x[:, 0] + 0.5 * (x[:, 2] - x[:, 3])])
    constant = fit(table, n_estimators=40, terms=["a", "b"], leaf="constant")
    for k in range(2):
        left = [np.var(m.predict(table)[:, k] - truth[:, k]) for m in (model, constant)]
        assert left[0] < left[1] / 2
    # Slopes of different terms in one leaf are not multiples of each other.
    slope = model.forest_.groups[0].linear.slope
    assert np.linalg.matrix_rank(slope.transpose(1, 0, 2).reshape(2, -1)) == 2


def test_the_metric_does_not_change_the_slopes(rng):
    """Slopes are fitted to rotated residuals and turned back: scales of powers of two leave their bits."""
    table = make_table(rng)
    weights = table.weights.copy()
    weights[:, 2] *= 2.0**20
    scaled = bit.EventTable(table.features, weights, BASIS, feature_names=NAMES)
    options = {"terms": ["a", "b"], "bin_weights": "nominal", "ridge": 0.1}
    one, other = fit(table, **options).forest_.groups[0], fit(scaled, **options).forest_.groups[0]
    np.testing.assert_array_equal(one.feature, other.feature)
    np.testing.assert_array_equal(one.linear.columns, other.linear.columns)
    factor = np.array([1.0, 2.0**20])[:, np.newaxis]
    size = np.abs(one.linear.slope).max(axis=(0, 2), keepdims=True)
    np.testing.assert_allclose(one.linear.slope / size, other.linear.slope / factor / size, rtol=0, atol=1e-9)


def test_positive_ratios_are_not_negative(rng):
    n = 1500
    features = rng.normal(size=(n, 3)).astype(FEATURE)
    a, b = features[:, 0] + rng.normal(size=n), features[:, 1] + rng.normal(size=n)
    nominal = rng.exponential(size=n)[:, np.newaxis]
    columns = nominal * np.column_stack([np.ones(n), 2 * a, 2 * b, 2 * a * a, 2 * a * b, 2 * b * b])
    table = bit.EventTable(features, columns, BASIS, feature_names=["x", "y", "z"])
    model = fit(table, positive=True, n_estimators=30, min_samples_leaf=20)
    assert has_slopes(model.forest_)
    assert (model.train_loss_[1:] < model.train_loss_[:-1]).all()
    for theta in rng.normal(scale=2.0, size=(50, 2)):
        assert model.predict_ratio(table, theta).min() >= 0
    # Without the projection some would be: slopes know nothing of the bound.
    assert 0 < model.projected_fraction_ < 1


def test_ensembles_have_linear_leaves(rng, tmp_path):
    table = make_table(rng, 800)
    estimator = bit.BIT(n_estimators=3, max_depth=2, leaf="linear", n_jobs=1)
    ensemble = bit.BoostedInformationTreeEnsemble(estimator, n_members=3, random_state=1, n_jobs=1).fit(table)
    assert_same_forest(ensemble.model_.forest_, estimator.fit(table).forest_)
    assert all(has_slopes(member) for member in ensemble.members_)
    assert not np.array_equal(ensemble.members_[0].groups[0].value, ensemble.members_[1].groups[0].value)
    probe = probe_of(rng, 50)
    ensemble.export(tmp_path / "ensemble.json")
    again = bit.load(tmp_path / "ensemble.json")
    np.testing.assert_array_equal(again.predict(probe), ensemble.predict(probe))
    for one, other in zip(again.members_, ensemble.members_, strict=True):
        assert_same_forest(one, other)


# ---------------------------------------------------------------------- bad values
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("leaf", "quadratic"),
        ("leaf", None),
        ("leaf", ["linear"]),
        ("ridge", -1),
        ("ridge", -1e-9),
        ("ridge", "some"),
        ("ridge", math.nan),
        ("ridge", math.inf),
        ("ridge", None),
        ("ridge", [0.1]),
    ],
)
@pytest.mark.parametrize("leaf", ["constant", "linear"])
def test_bad_values_are_named(rng, leaf, name, value):
    with pytest.raises(InputError) as caught:
        fit(make_table(rng, 300), **{"leaf": leaf, name: value})
    assert str(caught.value).startswith(f"{name}={value!r}: ")


@pytest.mark.parametrize("ridge", [0, 0.0, 2, np.float32(0.5), np.int64(1), "auto"])
def test_good_values_are_taken(rng, ridge):
    model = fit(make_table(rng, 300), n_estimators=1, ridge=ridge)
    assert model.n_iter_ == 1
    assert model.get_params()["ridge"] is ridge


# ---------------------------------------------------------------------- bad files
def changed_part(document, change):
    """The first linear part with at least two features, of a group with several outputs."""
    parts = [part for part in document["groups"][0]["linear"] if part is not None and len(part["features"]) >= 2]
    change(parts[0])


@pytest.mark.parametrize(
    "change",
    [
        lambda part: part["features"].__setitem__(0, 4),
        lambda part: part["features"].__setitem__(0, -1),
        lambda part: part["features"].__setitem__(0, -2),
        lambda part: part["features"].__setitem__(0, 0.5),
        lambda part: part["features"].__setitem__(0, "m"),
        lambda part: part["features"].pop(),
        lambda part: part["features"].append(0),
        lambda part: part["centre"].append(0.0),
        lambda part: part.__setitem__("centre", part["centre"][:1]),
        lambda part: part.__setitem__("lo", part["lo"][:1]),
        lambda part: part.__setitem__("hi", part["hi"][:1]),
        lambda part: part["coef"].pop(),
        lambda part: part.__setitem__("coef", part["coef"][:1]),
        lambda part: part["coef"][0].append(1.0),
        lambda part: part.__setitem__("coef", [row[:1] for row in part["coef"]]),
        lambda part: part.__setitem__("coef", part["coef"][0]),
        lambda part: part.pop("coef"),
        lambda part: part.pop("lo"),
        lambda part: part["centre"].__setitem__(0, None),
        lambda part: part["coef"][0].__setitem__(0, "much"),
    ],
    ids=[
        "feature too large", "feature -1", "feature -2", "half a feature", "feature by name", "fewer features",
        "more features", "more centres", "one centre", "one low", "one high", "fewer terms", "one term",
        "more coefficients", "one coefficient", "flat coefficients", "no coefficients", "no low", "centre null",
        "coefficient text",
    ],
)  # fmt: skip
def test_corrupt_parts_are_refused(rng, tmp_path, change):
    document = forest_json.as_document(fit(make_table(rng), n_estimators=2).forest_)
    changed_part(document, change)
    assert_refused(document, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda group: group["linear"].pop(),
        lambda group: group["linear"].append(None),
        lambda group: group.__setitem__("linear", None),
        lambda group: group.__setitem__("linear", []),
        lambda group: group.__setitem__("linear", {"features": [0]}),
        lambda group: group["linear"].__setitem__(0, 5),
    ],
    ids=["shorter", "longer", "null", "empty", "no list", "number for a leaf"],
)
def test_corrupt_blocks_are_refused(rng, tmp_path, change):
    document = forest_json.as_document(fit(make_table(rng), n_estimators=2).forest_)
    change(document["groups"][0])
    assert_refused(document, tmp_path)


def assert_refused(document, tmp_path):
    document["sha256"] = checksum(document)
    path = tmp_path / "model.json"
    path.write_text(json.dumps(document))
    with pytest.raises(FileFormatError, match=r"model.json: not a valid bit-forest/1 file"):
        bit.load(path)


def test_changed_slopes_do_not_fit_the_checksum(rng, tmp_path):
    document = forest_json.as_document(fit(make_table(rng), n_estimators=2).forest_)
    changed_part(document, lambda part: part["coef"][0].__setitem__(0, 1.0))
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(FileFormatError, match="checksum does not fit"):
        bit.load(tmp_path / "model.json")


def test_files_without_gains_are_read(rng, tmp_path):
    """They tell nothing about the importance of features, and are not needed for predictions."""
    model = fit(make_table(rng))
    document = forest_json.as_document(model.forest_)
    for part in document["groups"][0]["linear"]:
        if part is not None:
            del part["gain"]
    document["sha256"] = checksum(document)
    path = tmp_path / "forest.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    forest, probe = bit.load(path), probe_of(rng)
    np.testing.assert_array_equal(forest.predict(probe), model.forest_.predict(probe))
    assert not forest.groups[0].linear.gain.any()


def test_slopes_count_for_the_importance_of_features(rng):
    """Of a plane only a part is left to slopes; the features share what splits and slopes gained."""
    table = make_table(rng, special=False)
    model = fit(table)
    group = model.forest_.groups[0]
    gained = np.zeros(4)
    for node, feature in enumerate(group.feature):
        if feature >= 0:
            gained[feature] += group.gain[node]
        for column, gain in zip(group.linear.columns[node], group.linear.gain[node], strict=True):
            if column >= 0:
                gained[column] += gain
    assert group.linear.gain.sum() > 0
    np.testing.assert_allclose(model.feature_importances_, gained / gained.sum(), rtol=1e-12)


def test_forests_of_constant_leaves_have_no_block(rng):
    forest = fit(make_table(rng), n_estimators=2, leaf="constant").forest_
    assert all("linear" not in group for group in forest_json.as_document(forest)["groups"])
    assert all(group.linear is None for group in forest.groups)
    linear = fit(make_table(rng), n_estimators=2).forest_
    without = replace(linear, groups=tuple(replace(group, linear=None) for group in linear.groups))
    assert all("linear" not in group for group in forest_json.as_document(without)["groups"])
