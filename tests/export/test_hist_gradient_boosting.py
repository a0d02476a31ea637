"""scikit-learn's HistGradientBoostingRegressor as a forest: its numbers, bit for bit."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

import bit
from bit.errors import InputError
from bit.export import from_hist_gradient_boosting


@pytest.fixture(autouse=True)
def _one_thread():
    """Samples are small: threads would mostly wait for each other."""
    with threadpool_limits(1):
        yield


def sample(n, seed, *, nan=False):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    y = 2 * x[:, 0] + x[:, 1] + 0.5 * x[:, 2] + 0.1 * rng.normal(size=n)
    if nan:
        gone = rng.random(x.shape) < 0.1
        y += gone @ [3.0, -3.0, 1.0]  # NaN goes to the right for some features, to the left for others
        x[gone] = np.nan
    return x, y


def fitted(x, y, **options):
    return HistGradientBoostingRegressor(max_iter=30, random_state=0, **options).fit(x, y)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_predictions_are_equal_with_missing_values(loss):
    model = fitted(*sample(4000, 1, nan=True), loss=loss)
    nodes = np.concatenate([predictor.nodes for (predictor,) in model._predictors])
    assert 0.1 < nodes["missing_go_to_left"][nodes["is_leaf"] == 0].mean() < 0.9
    forest = from_hist_gradient_boosting(model)
    events, _ = sample(100_000, 2, nan=True)
    events[::97] = -np.inf
    assert np.isnan(events).any(axis=1).sum() > 20_000
    expected = model.predict(events)
    np.testing.assert_array_equal(forest.predict(events)[:, 0], expected)
    assert expected.std() > 1
    plain = from_hist_gradient_boosting(model, missing_values=False)
    np.testing.assert_array_equal(forest.feature_importances(), plain.feature_importances())
    assert len(plain.groups[0].feature) < len(forest.groups[0].feature) < 10 * len(plain.groups[0].feature)


def test_predictions_are_equal_without_missing_values():
    model = fitted(*sample(4000, 1), max_leaf_nodes=63)  # more leaves than bit masks hold
    forest = from_hist_gradient_boosting(model, missing_values=False)
    events, _ = sample(100_000, 2)
    bounds = np.concatenate([predictor.nodes["num_threshold"] for (predictor,) in model._predictors])
    single = bounds.astype(np.float32)
    near = np.concatenate([np.nextafter(single, np.float32(side)) for side in (-np.inf, np.inf)])
    events[: 3 * len(single)] = np.concatenate([single, near])[:, np.newaxis]
    events[-1000:] = np.random.default_rng(3).choice(
        np.array([np.inf, -np.inf, 0.0, -0.0, 1e-45], np.float32), (1000, 3)
    )
    np.testing.assert_array_equal(forest.predict(events)[:, 0], model.predict(events))
    assert forest.config["estimator"] == "HistGradientBoostingRegressor"
    assert forest.groups[0].count[0] == 4000
    assert forest.feature_importances().argmax() == 0
    assert bit.BIT.from_forest(forest).predict(events[:10]).shape == (10,)


def test_thresholds_of_values_that_are_float32_numbers():
    """x <= v with v itself among the data, where the strict threshold is the next number."""
    x = np.repeat(np.float32([0.0, 0.1, 0.2, 0.3]), 50)[:, np.newaxis]
    model = fitted(x, np.repeat([1.0, 2.0, 0.0, 5.0], 50), min_samples_leaf=1)
    for (predictor,) in model._predictors:
        inner = predictor.nodes["is_leaf"] == 0
        nodes = predictor.nodes
        nodes["num_threshold"][inner] = nodes["num_threshold"][inner].astype(np.float32)
    events = np.unique(np.concatenate([p.nodes["num_threshold"] for (p,) in model._predictors])).astype(np.float32)
    events = np.concatenate([events, *(np.nextafter(events, np.float32(side)) for side in (-1, 1))])[:, np.newaxis]
    forest = from_hist_gradient_boosting(model, missing_values=False)
    np.testing.assert_array_equal(forest.predict(events)[:, 0], model.predict(events))


def test_a_split_that_parts_missing_values_from_all_others(tmp_path):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(2000, 1)).astype(np.float32)
    x[::4] = np.nan
    model = fitted(x, np.isnan(x[:, 0]).astype(float))
    assert np.isinf(model._predictors[0][0].nodes["num_threshold"]).any()
    forest = from_hist_gradient_boosting(model)
    events = np.float32([[np.nan], [-np.inf], [0.0], [3.4e38], [-3.4e38], [5.0]])
    np.testing.assert_array_equal(forest.predict(events)[:, 0], model.predict(events))
    assert np.ptp(forest.predict(events)) > 0.5
    bit.export.to_json(forest, tmp_path / "a.json")
    np.testing.assert_array_equal(bit.load(tmp_path / "a.json").predict(events), forest.predict(events))


def test_names_of_features():
    x, y = sample(500, 1, nan=True)
    frame = pd.DataFrame(x, columns=["pt", "eta", "m"])
    assert from_hist_gradient_boosting(fitted(frame, y), missing_values=False).feature_names == ("pt", "eta", "m")
    assert from_hist_gradient_boosting(fitted(x, y), missing_values=False).feature_names == ("x0", "x1", "x2")


def test_other_models_are_refused():
    x, y = sample(500, 1)
    for model, message in (
        (HistGradientBoostingRegressor(), "a fitted HistGradientBoostingRegressor is needed"),
        (GradientBoostingRegressor(n_estimators=1).fit(x, y), "a GradientBoostingRegressor was given"),
        (HistGradientBoostingClassifier(max_iter=1).fit(x, y > 0), "a HistGradientBoostingClassifier was given"),
        (fitted(x, np.exp(y), loss="poisson"), r"loss='poisson' predicts exp\(sum of trees\)"),
        (fitted(x.round(), y, categorical_features=[0]), "splits by categories"),
    ):
        with pytest.raises(InputError, match=message):
            from_hist_gradient_boosting(model, missing_values=False)
