"""The estimator among scikit-learn's tools: its checks, pipelines, searches, cross validation, copies, files."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import bit
from bit.errors import BitError, InputError

EXPECTED_TO_FAIL = {
    "check_sample_weight_equivalence_on_dense_data": (
        "it gives events of weight zero, for which y = w_k / w_0 does not exist: arrays with w_0 = 0 are refused, and "
        "an EventTable takes them; test_integer_weights_are_repeated_events checks the rest"
    ),
}


@parametrize_with_checks(
    [
        bit.BIT(n_estimators=5, min_samples_leaf=1, n_jobs=1),
        bit.BIT(n_estimators=5, min_samples_leaf=1, n_jobs=1, max_depth=None, max_leaf_nodes=8, subsample=0.9),
    ],
    expected_failed_checks=lambda _: EXPECTED_TO_FAIL,
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_integer_weights_are_repeated_events(rng):
    features, target = rng.normal(size=(60, 4)), rng.normal(size=60)
    repeats = rng.integers(1, 5, size=60)
    # Below 255 different values every value has a bin of its own, so that repetitions do not move the edges.
    model = bit.BIT(n_estimators=10, min_samples_leaf=1, min_effective_samples=0)
    weighted = clone(model).fit(features, target, sample_weight=repeats).predict(features)
    repeated = clone(model).fit(np.repeat(features, repeats, axis=0), np.repeat(target, repeats)).predict(features)
    # The quantisation of the weights depends on their largest.
    np.testing.assert_allclose(weighted, repeated, rtol=0, atol=1e-9)
    assert np.abs(weighted - clone(model).fit(features, target).predict(features)).max() > 0.01


@pytest.fixture
def model():
    return bit.BIT(n_estimators=20, min_samples_leaf=5, n_jobs=1)


@pytest.fixture
def frame(rng):
    return pd.DataFrame(rng.normal(size=(300, 3)) * [1.0, 10.0, 1e4], columns=["pt", "phi", "mass"])


@pytest.fixture
def target(frame, rng):
    return frame["pt"].to_numpy() + 0.1 * frame["phi"].to_numpy() + 0.1 * rng.normal(size=len(frame))


@pytest.fixture
def table(rng):
    """Squares w_0 (1 + theta . u)^2 with features that tell most of u."""
    features = rng.normal(size=(600, 3))
    a, b = (features[:, :2] + 0.1 * rng.normal(size=(600, 2))).T
    nominal = rng.exponential(size=600)
    columns = nominal[:, np.newaxis] * np.column_stack([np.ones(600), 2 * a, 2 * b, 2 * a * a, 2 * a * b, 2 * b * b])
    return bit.EventTable(features, columns, bit.PolynomialBasis(["a", "b"]), feature_names=["x", "y", "z"])


# ---------------------------------------------------------------------- pipelines
def test_pipeline_hands_on_the_names_of_columns(model, frame, target):
    pipeline = make_pipeline(StandardScaler(), model).set_output(transform="pandas").fit(frame, target)
    assert list(pipeline[-1].feature_names_in_) == ["pt", "phi", "mass"]
    assert pipeline.score(frame, target) > 0.9
    plain = make_pipeline(StandardScaler(), clone(model)).fit(frame, target)
    assert not hasattr(plain[-1], "feature_names_in_")
    np.testing.assert_array_equal(plain.predict(frame), pipeline.predict(frame))


def test_column_transformer_may_change_the_order(model, frame, target):
    scaled = ColumnTransformer(
        [("wide", StandardScaler(), ["mass"])], remainder="passthrough", verbose_feature_names_out=False
    ).set_output(transform="pandas")
    pipeline = Pipeline([("scale", scaled), ("trees", model)]).fit(frame, target)
    assert list(pipeline["trees"].feature_names_in_) == ["mass", "pt", "phi"]
    shuffled = frame[["phi", "mass", "pt"]]
    np.testing.assert_array_equal(pipeline.predict(shuffled), pipeline.predict(frame))


def test_names_of_columns_are_kept_and_checked(model, frame, target):
    model.fit(frame, target)
    assert model.feature_names_in_.dtype == object
    assert list(model.feature_names_in_) == ["pt", "phi", "mass"]
    expected = model.predict(frame)
    np.testing.assert_array_equal(model.predict(frame[["mass", "pt", "phi"]]), expected)
    np.testing.assert_array_equal(model.predict(frame.assign(more=1.0)), expected)
    np.testing.assert_array_equal(model.predict(frame.to_numpy()), expected)
    with pytest.raises(InputError, match="feature 'phi' of the training is missing: did you mean 'phy'"):
        model.predict(frame.rename(columns={"phi": "phy"}))
    model.fit(frame.to_numpy(), target)
    assert not hasattr(model, "feature_names_in_")


def test_metadata_requests(frame, target, rng):
    with sklearn.config_context(enable_metadata_routing=True):
        model = bit.BIT(n_estimators=20, min_samples_leaf=5).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        weights = rng.exponential(size=len(target))
        scores = cross_val_score(model, frame, target, cv=3, params={"sample_weight": weights})
    by_hand = []
    for train, test in KFold(3).split(frame):
        fitted = bit.BIT(n_estimators=20, min_samples_leaf=5).fit(frame.iloc[train], target[train], weights[train])
        by_hand.append(fitted.score(frame.iloc[test], target[test], sample_weight=weights[test]))
    np.testing.assert_array_equal(scores, by_hand)


# ---------------------------------------------------------------------- searches and cross validation
def test_grid_search(model, frame, target):
    search = GridSearchCV(model, {"max_depth": [1, 4], "l2": [0.0, 1e6]}, cv=3).fit(frame, target)
    assert search.best_params_ == {"l2": 0.0, "max_depth": 4}  # a shrinkage of 10^6 events leaves nothing
    assert search.score(frame, target) > 0.9
    assert list(search.best_estimator_.feature_names_in_) == ["pt", "phi", "mass"]


def test_search_through_a_pipeline(model, frame, target):
    pipeline = Pipeline([("scale", StandardScaler()), ("trees", model)]).set_output(transform="pandas")
    search = GridSearchCV(pipeline, {"trees__learning_rate": [1e-3, 0.2, "auto"]}, cv=3).fit(frame, target)
    assert search.best_params_["trees__learning_rate"] != 1e-3


def test_score_is_r_squared_with_weights(model, frame, target, rng):
    weights = rng.exponential(size=len(target))
    model.fit(frame, target, sample_weight=weights)
    prediction = model.predict(frame)
    assert model.score(frame, target) == pytest.approx(r2_score(target, prediction))
    weighted = model.score(frame, target, sample_weight=weights)
    residual = weights @ (target - prediction) ** 2
    spread = weights @ (target - np.average(target, weights=weights)) ** 2
    assert weighted == pytest.approx(1 - residual / spread)
    assert weighted != model.score(frame, target)


def test_cross_validation_of_a_table(model, table):
    """As the class docstring says: arrays, with w_0 as sample_weight and the basis."""
    parameters = {"sample_weight": table.weights[:, 0], "basis": table.basis}
    prediction = cross_val_predict(model, table.features, table.joint_ratio(), cv=KFold(3), params=parameters)
    assert prediction.shape == (600, 5)
    for train, test in KFold(3).split(table.features):
        fold = clone(model).fit(table.take(train))
        # w_k / w_0 * w_0 differs from w_k by rounding.
        np.testing.assert_allclose(prediction[test], fold.predict(table.take(test)), rtol=1e-9, atol=1e-9)
    assert (bit.metrics.rho2(table.joint_ratio(), prediction, table.weights[:, 0]) > 0.7).all()


def test_cross_validation_gives_models_with_a_polynomial(model, table):
    parameters = {"sample_weight": table.weights[:, 0], "basis": table.basis}
    model.set_params(positive=True)
    result = cross_validate(
        model, table.features, table.joint_ratio(), cv=3, params=parameters, return_estimator=True, n_jobs=1
    )
    for fitted in result["estimator"]:
        assert fitted.basis_ == table.basis
        assert (fitted.predict_ratio(table, {"a": -0.5, "b": 0.5}) >= 0).all()
    assert (result["test_score"] > 0.5).all()


# ---------------------------------------------------------------------- copies and files
def test_clone_keeps_the_parameters_and_nothing_else(table):
    parameters = {"terms": ["a", ("a", "b")], "base_points": np.eye(2), "learning_rate": "auto", "n_estimators": 2}
    model = bit.BIT(**parameters)
    twin = clone(model)
    assert {name: twin.get_params()[name] for name in ("terms", "learning_rate", "n_estimators")} == {
        name: parameters[name] for name in ("terms", "learning_rate", "n_estimators")
    }
    fitted = bit.BIT(n_estimators=2).fit(table)
    assert not hasattr(clone(fitted), "forest_")
    np.testing.assert_array_equal(clone(fitted).fit(table).predict(table), fitted.predict(table))


def test_copies_and_files_predict_the_same(model, table, tmp_path):
    model.set_params(positive=True).fit(table)
    joblib.dump(model, tmp_path / "model.joblib")
    twins = pickle.loads(pickle.dumps(model)), copy.deepcopy(model), joblib.load(tmp_path / "model.joblib")
    for twin in twins:
        np.testing.assert_array_equal(twin.predict(table), model.predict(table))
        np.testing.assert_array_equal(twin.predict_ratio(table, [3.0, -2.0]), model.predict_ratio(table, [3.0, -2.0]))
        assert twin.get_params() == model.get_params()
        assert twin.projected_fraction_ == model.projected_fraction_


def fitted_prediction(model, features, target):
    return clone(model).fit(features, target).predict(features)


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])  # new processes
def test_fits_side_by_side(model, frame, target, backend):
    features = frame.to_numpy()
    expected = [fitted_prediction(model, features, scale * target) for scale in (1.0, 2.0)]
    jobs = (joblib.delayed(fitted_prediction)(model, features, scale * target) for scale in (1.0, 2.0))
    got = joblib.Parallel(n_jobs=2, backend=backend)(jobs)
    np.testing.assert_array_equal(got, expected)


# ---------------------------------------------------------------------- what arrays may be
def test_missing_and_infinite_features_are_allowed(model, frame, target):
    features = frame.to_numpy().copy()
    features[:20, 0], features[20:25, 1], features[25:30, 1] = np.nan, np.inf, -np.inf
    prediction = model.fit(features, target).predict(features)
    assert np.isfinite(prediction).all()
    nullable = pd.DataFrame(features, columns=frame.columns).convert_dtypes()
    nullable.loc[:19, "pt"] = pd.NA
    np.testing.assert_array_equal(model.predict(nullable), prediction)
    mixed = pd.DataFrame(features, columns=frame.columns).astype(object)
    mixed.loc[:19, "pt"] = None
    np.testing.assert_array_equal(model.predict(mixed), prediction)


def test_no_events_have_no_prediction(model, frame, target):
    assert model.fit(frame, target).predict(frame.iloc[:0]).shape == (0,)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
def test_sparse_arrays_are_refused(model, frame, target, kind):
    with pytest.raises(InputError, match="X: Sparse data was passed"):
        model.fit(kind(frame.to_numpy()), target)
    model.fit(frame, target)
    with pytest.raises(TypeError, match="Sparse data"):
        model.predict(kind(frame.to_numpy()))


def test_bad_arrays_are_errors_of_bit(model, frame, target):
    features = frame.to_numpy()
    words = features.astype(object)
    words[3, 1] = {"value": 1.0}
    for X, y, weight, message in [
        (features + 1j, target, None, "X: Complex data not supported"),
        (words, target, None, "X: .*argument must be a string or a real number, not 'dict'"),
        (features[:, :0], target, None, r"X: .*0 feature\(s\)"),
        (features[0], target, None, "X: Expected 2D array, got 1D array .*Reshape your data"),
        (features[:0], target[:0], None, "no events"),
        (features, target + 1j, None, "y: Complex data not supported"),
        (features, np.full(300, "a"), None, "y: .*arrays of bytes/strings"),
        (features, target, np.full(300, "a"), "sample_weight: .*arrays of bytes/strings"),
        (features, target, np.full(300, np.nan), "NaN or infinite"),
        (features, target, np.zeros(300), "300 events have sample_weight w_0 = 0"),
        (features[:1], target[:1], None, "n_samples=1 events to train on"),
        (features, None, None, "requires y to be passed, but the target y is None"),
    ]:
        with pytest.raises(BitError, match=f"(?s){message}"):
            model.fit(X, y, sample_weight=weight)
