"""The estimator: inputs, outputs, errors."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from reference.kernels import predict_forest
from sklearn.base import clone
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bit
from bit.errors import InputError
from bit.kernels.bitmask import predict_small_trees
from bit.kernels.traversal import predict_trees
from bit.positivity import is_positive, natural_scale, project, quadratic_form


def make_table(rng, n=800, *, with_nan=False):
    features = rng.normal(size=(n, 3))
    if with_nan:
        features[rng.random((n, 3)) < 0.1] = np.nan
    nominal = rng.exponential(size=n)
    a, b = np.nan_to_num(features[:, 0]), np.nan_to_num(features[:, 1]) ** 2
    columns = [nominal, nominal * a, nominal * b, nominal * a * a * 0.6, nominal * a * b, nominal * b * b * 0.6]
    basis = bit.PolynomialBasis(["a", "b"], reference=[0.5, -1.0])
    return bit.EventTable(features, np.column_stack(columns), basis, feature_names=["x", "y", "z"])


@pytest.fixture
def table(rng):
    return make_table(rng)


@pytest.fixture
def model(table):
    return bit.BIT(n_estimators=8).fit(table)


# ---------------------------------------------------------------------- outputs
@pytest.mark.parametrize("shape", [{"max_depth": 4}, {"max_depth": 1}, {"max_depth": None, "max_leaf_nodes": 13}])
def test_predictions_are_those_of_the_slow_twin(rng, shape):
    table = make_table(rng, with_nan=True)
    model = bit.BIT(n_estimators=5, min_samples_leaf=5, **shape).fit(table)
    probe = np.vstack([table.features[:100], [[np.inf, -np.inf, np.nan]], np.zeros((1, 3))])
    [group] = model.forest_.groups
    inner = np.flatnonzero(group.feature >= 0)[:40]
    for shift in (-np.inf, 0, np.inf):  # at each threshold and one float32 on either side of it
        at = np.zeros((len(inner), 3), dtype=np.float32)
        edge = group.threshold[inner]
        at[np.arange(len(inner)), group.feature[inner]] = edge if shift == 0 else np.nextafter(edge, np.float32(shift))
        probe = np.vstack([probe, at])
    np.testing.assert_array_equal(model.predict(probe), predict_forest(model.forest_, probe))


def test_value_just_below_a_threshold_is_compared_in_float32(model):
    [group] = model.forest_.groups
    node = int(np.flatnonzero(group.feature >= 0)[0])
    probe = np.zeros((1, 3))
    probe[0, group.feature[node]] = np.nextafter(np.float64(group.threshold[node]), -np.inf)
    assert probe.astype(np.float32)[0, group.feature[node]] == group.threshold[node]
    np.testing.assert_array_equal(model.predict(probe), predict_forest(model.forest_, probe))


@pytest.mark.parametrize("n_jobs", [1, 2, 3, -1])
def test_prediction_does_not_depend_on_threads(model, table, n_jobs):
    expected = model.predict(table)
    np.testing.assert_array_equal(model.set_params(n_jobs=n_jobs).predict(table), expected)


def test_shapes_follow_the_input(table, rng):
    assert bit.BIT(n_estimators=2).fit(table).predict(table).shape == (800, 5)
    assert bit.BIT(n_estimators=2, terms=["b"]).fit(table).predict(table).shape == (800, 1)
    features = rng.normal(size=(200, 2))
    assert bit.BIT(n_estimators=2).fit(features, features[:, 0]).predict(features).shape == (200,)
    assert bit.BIT(n_estimators=2).fit(features, features).predict(features).shape == (200, 2)
    assert bit.BIT(n_estimators=2).fit(features, features[:, :1]).predict(features).shape == (200, 1)


def test_arrays_and_table_give_the_same_forest(table):
    arrays = bit.BIT(n_estimators=4).fit(
        table.features, table.joint_ratio(), sample_weight=table.weights[:, 0], basis=table.basis
    )
    from_table = bit.BIT(n_estimators=4).fit(table)
    assert arrays.output_terms_ == from_table.output_terms_ == table.basis.terms[1:]
    # w_k / w_0 * w_0 differs from w_k by rounding.
    np.testing.assert_allclose(arrays.predict(table), from_table.predict(table), rtol=1e-9, atol=1e-12)


def test_chosen_terms(table):
    model = bit.BIT(n_estimators=3, terms=[("b", "a"), "a"]).fit(table)
    assert model.output_terms_ == (("a",), ("a", "b"))
    single = bit.BIT(n_estimators=3, terms=["a"]).fit(table)
    assert single.output_terms_ == (("a",),)


def test_staged_predictions_end_at_the_prediction(model, table):
    stages = list(model.staged_predict(table))
    assert len(stages) == model.n_iter_ == 8
    np.testing.assert_array_equal(stages[-1], model.predict(table))
    np.testing.assert_array_equal(stages[2], model.forest_.first(3).predict(table.features))


def test_ratio_and_score_are_the_polynomial_and_its_slope(model, table):
    theta = np.array([0.6, -0.9])
    ratio = model.predict_ratio(table, theta)
    prediction = model.predict(table)
    d = theta - [0.5, -1.0]
    phi = [d[0], d[1], d[0] ** 2 / 2, d[0] * d[1], d[1] ** 2 / 2]
    np.testing.assert_allclose(ratio, 1 + prediction @ phi, rtol=1e-13)
    step = 1e-6
    for a in range(2):
        shift = step * np.eye(2)[a]
        numerical = (model.predict_ratio(table, theta + shift) - model.predict_ratio(table, theta - shift)) / (2 * step)
        # Central differences of a quadratic are exact up to rounding / step.
        np.testing.assert_allclose(model.predict_score(table, theta)[:, a] * ratio, numerical, atol=1e-8)
    np.testing.assert_array_equal(model.predict_score(table, table.basis.reference), prediction[:, :2])
    np.testing.assert_array_equal(model.predict_ratio(table, {"a": 0.6, "b": -0.9}), ratio)


def test_observables(model, table):
    np.testing.assert_array_equal(model.observable("b")(table), model.predict(table)[:, 1])
    theta = [0.55, -1.0]
    np.testing.assert_array_equal(model.observable("a", theta=theta)(table), model.predict_score(table, theta)[:, 0])


def test_observable_of_a_model_trained_on_arrays(table):
    ratio = table.joint_ratio()[:, 0]
    basis = bit.PolynomialBasis(["a"], order=1)
    model = bit.BIT(n_estimators=3).fit(table.features, ratio, sample_weight=table.weights[:, 0], basis=basis)
    assert model.predict(table).shape == (800,)
    np.testing.assert_array_equal(model.observable("a")(table), model.predict(table))
    with pytest.raises(InputError, match="no linear term of the model 'b'"):
        model.observable("b")


def test_importance_finds_the_features_that_matter(model):
    importance = model.feature_importances_
    assert importance.sum() == pytest.approx(1.0)
    assert importance[2] < 0.02 < min(importance[:2])


def test_columns_are_taken_by_name(model, table):
    order = [2, 0, 1]
    frame = pd.DataFrame(table.features[:, order], columns=["z", "x", "y"])
    np.testing.assert_array_equal(model.predict(frame), model.predict(table))
    with pytest.raises(InputError, match="feature 'y' of the training is missing"):
        model.predict(frame.drop(columns="y"))


# ---------------------------------------------------------------------- scikit-learn
def test_works_in_scikit_learn(rng):
    features = rng.normal(size=(300, 2))
    target = features[:, 0] + 0.1 * rng.normal(size=300)
    model = bit.BIT(n_estimators=20, min_samples_leaf=5)
    pipeline = make_pipeline(StandardScaler(), clone(model)).fit(features, target)
    assert pipeline.score(features, target) > 0.9
    assert cross_val_predict(model, features, target, cv=3).shape == (300,)


def test_pickle_copy_and_read_only_input(table):
    features, weights = table.features.copy(), table.weights.copy()
    features.flags.writeable = weights.flags.writeable = False
    frozen = bit.EventTable(features, weights, table.basis, feature_names=table.feature_names)
    model = bit.BIT(n_estimators=3).fit(frozen)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(twin.predict(frozen), model.predict(table))


def test_inputs_are_not_modified(table):
    features, weights = table.features.copy(), table.weights.copy()
    points = np.array([[1.0, 0], [0, 1], [1, 1], [2, 0], [0, 2]])
    model = bit.BIT(n_estimators=2, base_points=points).fit(table)
    model.predict(table)
    np.testing.assert_array_equal(table.features, features)
    np.testing.assert_array_equal(table.weights, weights)


def test_learning_rate_auto(table):
    auto = bit.BIT(n_estimators=10, learning_rate="auto").fit(table)
    by_hand = bit.BIT(n_estimators=10, learning_rate=1 - 0.02**0.1).fit(table)
    np.testing.assert_array_equal(auto.predict(table), by_hand.predict(table))


def test_feature_layouts_do_not_matter(table):
    fortran = bit.EventTable(
        np.asfortranarray(table.features), table.weights, table.basis, feature_names=table.feature_names
    )
    wide = np.repeat(table.features, 2, axis=1)
    strided = bit.EventTable(wide[:, ::2], table.weights, table.basis, feature_names=table.feature_names)
    expected = bit.BIT(n_estimators=3).fit(table).predict(table)
    for other in (fortran, strided):
        np.testing.assert_array_equal(bit.BIT(n_estimators=3).fit(other).predict(other), expected)


def test_each_kernel_compiles_one_signature(model, table):
    large = bit.BIT(n_estimators=2, max_depth=9, min_samples_leaf=1).fit(table)
    assert np.diff(large.forest_.groups[0].tree_offset).max() > 2 * 32 - 1
    for fitted in (model, large):
        fitted.predict(table)
    before = [len(kernel.signatures) for kernel in (predict_small_trees, predict_trees)]
    assert min(before) >= 1
    for fitted in (model, large):
        fitted.predict(table.features.astype(np.float32))
        fitted.predict(np.asfortranarray(table.features))
        assert fitted.predict(table.features[:0]).shape == (0, 5)
    assert [len(kernel.signatures) for kernel in (predict_small_trees, predict_trees)] == before


# ---------------------------------------------------------------------- positive ratios
def make_squares(rng, n=600):
    """Weights w_0 (1 + u . d)^2 with u = features + noise, in a few events: many leaves are not positive."""
    features = rng.normal(size=(n, 3))
    u = features[:, :2] * [1.0, 30.0] + rng.normal(size=(n, 2)) * [1.0, 30.0]
    a, b = u.T
    nominal = rng.exponential(size=n)
    columns = nominal[:, np.newaxis] * np.column_stack([np.ones(n), 2 * a, 2 * b, 2 * a * a, 2 * a * b, 2 * b * b])
    basis = bit.PolynomialBasis(["a", "b"], reference=[0.5, -1.0])
    return bit.EventTable(features, columns, basis, feature_names=["x", "y", "z"])


@pytest.fixture
def positive_model(rng):
    return bit.BIT(n_estimators=30, min_samples_leaf=5, positive=True).fit(make_squares(rng))


def lowest_points(model, table):
    """The minimum of the learned ratio of every event."""
    form = quadratic_form(model.predict(table), model.basis_)
    return np.linalg.solve(form[:, 1:, 1:], -form[:, 1:, :1])[:, :, 0] + model.basis_.reference


def test_positive_ratios_are_not_negative_anywhere(positive_model, rng):
    table = make_squares(rng, 300)
    plain = bit.BIT.from_forest(positive_model.forest_).set_params(positive=False)
    np.testing.assert_array_equal(positive_model.predict(table), plain.predict(table))
    thetas = lowest_points(plain, table)
    assert min(positive_model.predict_ratio(table, theta).min() for theta in thetas) >= 0
    assert min(plain.predict_ratio(table, theta).min() for theta in thetas) < -0.01
    np.testing.assert_array_equal(
        positive_model.predict_score(table, table.basis.reference), plain.predict_score(table, table.basis.reference)
    )


def test_projected_events_are_counted(positive_model, rng):
    table = make_squares(rng, 300)
    basis, scale = positive_model.basis_, natural_scale(positive_model.forest_.base, positive_model.basis_)
    prediction = positive_model.predict(table)
    share = 1 - is_positive(prediction, basis).mean()
    assert 0.05 < share < 0.95
    assert positive_model.projected_fraction(table) == pytest.approx(share, abs=1e-12)
    theta = [0.4, -1.02]
    expected = 1 + project(prediction, basis, scale) @ basis.monomials(theta)[1:]
    np.testing.assert_allclose(positive_model.predict_ratio(table, theta), expected, rtol=1e-12)
    assert 0 < positive_model.projected_fraction_ < 1
    assert positive_model.forest_.config["projected_fraction"] == positive_model.projected_fraction_


def test_positive_score_is_the_slope_of_the_logarithm(positive_model, rng):
    table = make_squares(rng, 300)
    theta, step = np.array([0.6, -0.99]), 1e-6
    score = positive_model.predict_score(table, theta)
    for a in range(2):
        up, down = (positive_model.predict_ratio(table, theta + sign * step * np.eye(2)[a]) for sign in (1, -1))
        # Central differences: rounding / step, and (step * score)^2 of the score.
        np.testing.assert_allclose(score[:, a], (np.log(up) - np.log(down)) / (2 * step), rtol=1e-6, atol=1e-6)
    observable = positive_model.observable("b", theta=theta)
    np.testing.assert_array_equal(observable(table), score[:, 1])


def test_positive_is_kept_in_the_file(positive_model, rng, tmp_path):
    table = make_squares(rng, 300)
    positive_model.export(tmp_path / "forest.json")
    twin = bit.BIT.from_forest(bit.load(tmp_path / "forest.json"))
    assert twin.positive
    assert twin.projected_fraction_ == positive_model.projected_fraction_
    theta = lowest_points(positive_model, table)[0]
    np.testing.assert_array_equal(twin.predict_ratio(table, theta), positive_model.predict_ratio(table, theta))


def test_projected_fraction_goes_with_positive(positive_model, rng):
    table = make_squares(rng)
    positive_model.set_params(positive=False).fit(table)
    assert not hasattr(positive_model, "projected_fraction_")
    assert "projected_fraction" not in positive_model.forest_.config
    assert 0 < positive_model.projected_fraction(table) < 1  # what positive=True would project


def test_ratio_zero_has_no_score():
    basis = bit.PolynomialBasis(["a"])
    features = np.arange(200.0).reshape(-1, 1)
    model = bit.BIT(n_estimators=2, positive=True).fit(features, np.tile([-2.0, 2.0], (200, 1)), basis=basis)
    np.testing.assert_array_equal(model.predict_ratio(features, [1.0]), 0.0)  # (1 - theta)^2
    with pytest.raises(InputError, match="not positive for 200 of 200 events"):
        model.predict_score(features, [1.0])


def test_positive_needs_all_terms(table, rng):
    features = rng.normal(size=(200, 2))
    model = bit.BIT(n_estimators=2, positive=True)
    linear = bit.PolynomialBasis(["a", "b"], order=1)
    with pytest.raises(InputError, match=r"all terms up to order 2, but \[.*\('a', 'b'\).*\] are not learned"):
        bit.BIT(terms=["a", "b", ("a", "a")], positive=True).fit(table)
    with pytest.raises(InputError, match=r"positive=True: .* need strategy='joint'"):
        bit.BIT(strategy="separate", positive=True).fit(table)
    with pytest.raises(InputError, match="all terms up to order 2"):
        model.fit(features, features, basis=linear)
    with pytest.raises(InputError, match="positive needs a polynomial in theta"):
        model.fit(features, features[:, 0])
    with pytest.raises(InputError, match="all terms up to order 2"):
        bit.BIT(n_estimators=2, terms=["a"]).fit(table).projected_fraction(table)


def test_one_theta_at_a_time(model, table):
    with pytest.raises(InputError, match="one point is needed"):
        model.predict_ratio(table, [[0.5, -1.0], [0.6, -1.0]])


# ---------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("n_estimators", 0, "n_estimators=0: a positive integer"),
        ("learning_rate", 1.5, r"learning_rate=1.5: a number in \(0, 1\] or 'auto'"),
        ("learning_rate", "fast", "learning_rate='fast'"),
        ("max_depth", 0, "max_depth=0"),
        ("max_depth", None, "None needs max_leaf_nodes"),
        ("max_leaf_nodes", 1, "max_leaf_nodes=1"),
        ("min_samples_leaf", 0.5, "min_samples_leaf=0.5"),
        ("min_effective_samples", -1, "min_effective_samples=-1"),
        ("max_bins", 256, "max_bins=256: an integer from 2 to 255"),
        ("bin_weights", "area", "bin_weights='area': one of .*count.*nominal"),
        ("positive", "yes", "positive='yes': True or False"),
        ("init", "zero", "init='zero'"),
        ("l2", -0.1, "l2=-0.1"),
        ("min_gain", float("nan"), "min_gain=nan"),
        ("validation_fraction", 1.0, "validation_fraction=1.0"),
        ("subsample", 0.0, "subsample=0.0"),
        ("max_features", 0.0, r"max_features=0.0: a number in \(0, 1\]"),
        ("max_features", 2, "max_features=2"),
        ("strategy", "both", "strategy='both': 'joint' or 'separate'"),
        ("cp_parity", "x", "cp_parity='x': a CPParity or None"),
        ("n_jobs", 0, "n_jobs=0"),
        ("terms", ["c"], "unknown coefficient 'c'"),
        ("terms", [()], "at least one term besides the nominal"),
        ("base_points", [[1.0, 0.0]], "1 points resolve only 1 of the 5 trained terms"),
        ("base_points", [[1.0, 0.0, 2.0]], "2 coefficients"),
    ],
)
def test_parameters_out_of_range(table, parameter, value, message):
    with pytest.raises(InputError, match=message):
        bit.BIT(**{parameter: value}).fit(table)


def test_bad_arrays(table, rng):
    features = rng.normal(size=(20, 2))
    target = features[:, 0].copy()
    model = bit.BIT(n_estimators=2)
    for kwargs, message in [
        ({"X": features}, "requires y to be passed, but the target y is None: give an EventTable"),
        ({"X": features[:, 0], "y": target}, "X: Expected 2D array, got 1D array"),
        ({"X": features, "y": target[:-1]}, "y has shape"),
        ({"X": features, "y": np.where(target > 0, np.nan, target)}, "NaN or infinite ratios"),
        ({"X": features, "y": target, "sample_weight": np.ones(3)}, "sample_weight has shape"),
        ({"X": features, "y": target, "sample_weight": np.arange(20.0)}, "1 events have sample_weight w_0 = 0"),
        ({"X": features, "y": target, "sample_weight": -np.ones(20)}, "sum to -20"),
        ({"X": features, "y": target, "basis": bit.PolynomialBasis(["a", "b"])}, "y has 1 columns, but basis has 5"),
        ({"X": np.full((20, 2), 1e39), "y": target}, "beyond float32"),
        (
            {"X": np.full((20, 2), "a"), "y": target},
            "X: dtype='numeric' is not compatible with arrays of bytes/strings",
        ),
        ({"X": table, "y": target}, "y= does not go with an EventTable"),
    ]:
        with pytest.raises(InputError, match=message):
            model.fit(**kwargs)


def test_nominal_weights_all_zero(table):
    weights = table.weights.copy()
    weights[:, 0] = 0
    empty = bit.EventTable(table.features, weights, table.basis, feature_names=table.feature_names)
    with pytest.raises(InputError, match="all nominal weights w_0 are 0"):
        bit.BIT().fit(empty)


def test_models_without_a_polynomial_have_no_ratio(rng):
    features = rng.normal(size=(200, 2))
    model = bit.BIT(n_estimators=2).fit(features, features[:, 0])
    for call in (model.predict_ratio, model.predict_score):
        with pytest.raises(InputError, match="trained on arrays without basis="):
            call(features, [0.1])


def test_negative_ratio_has_no_score(table):
    model = bit.BIT(n_estimators=8, terms=["a"]).fit(table)  # 1 + theta R_a alone is not positive
    with pytest.raises(InputError, match=r"not positive for \d+ of 800 events"):
        model.predict_score(table, [-3.0, -1.2])


def test_wrong_number_of_features(model, rng):
    with pytest.raises(InputError, match="X has 2 features, but BoostedInformationTree is expecting 3"):
        model.predict(rng.normal(size=(5, 2)))


@pytest.mark.parametrize("n", [1, 10, 99])
def test_too_few_events(rng, n):
    with pytest.raises(InputError, match=f"{n} events to train on: two leaves of min_samples_leaf=50 events need 100"):
        bit.BIT(min_samples_leaf=50).fit(make_table(rng, n))


def test_separate_terms_have_no_common_metric(table):
    points = [[1.0, 0], [0, 1], [1, 1], [2, 0], [0, 2]]
    with pytest.raises(InputError, match=r"base_points=.*terms with trees of their own have no common metric"):
        bit.BIT(strategy="separate", base_points=points).fit(table)


def test_no_allowed_split_gives_the_mean(rng):
    table = make_table(rng, 100)
    prediction = bit.BIT(n_estimators=3, min_effective_samples=99).fit(table).predict(table)
    expected = table.weights[:, 1:].sum(axis=0) / table.sigma_fb
    np.testing.assert_allclose(prediction, np.tile(expected, (100, 1)), rtol=1e-12)


def test_constant_features_are_refused_if_all_are(rng):
    table = make_table(rng)
    constant = bit.EventTable(
        np.ones_like(table.features), table.weights, table.basis, feature_names=table.feature_names
    )
    with pytest.raises(InputError, match="every feature has one value only"):
        bit.BIT().fit(constant)


def test_constant_feature_is_named_and_never_used(rng):
    table = make_table(rng)
    features = table.features.copy()
    features[:, 2] = 7.0
    constant = bit.EventTable(features, table.weights, table.basis, feature_names=table.feature_names)
    with pytest.warns(bit.BitWarning, match=r"constant features \['z'\] tell nothing"):
        model = bit.BIT(n_estimators=5).fit(constant)
    assert model.feature_importances_[2] == 0
