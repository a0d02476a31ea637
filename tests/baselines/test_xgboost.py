"""The loss whose derivatives XGBoost gets, also for weights of both signs."""

import numpy as np
import pytest
from scipy.special import expit

from bit.baselines._xgboost import Classifier, Examples, cross_entropy, derivatives, train

SETTINGS = {
    "n_estimators": 40,
    "n_iter_no_change": 5,
    "parameters": {"max_depth": 2, "learning_rate": 0.3, "min_child_weight": 1.0},
    "seed": 1,
    "n_threads": 1,
    "description": "test",
    "show_progress": False,
}


@pytest.mark.parametrize("n_classes", [2, 3])
def test_derivatives_are_those_of_the_cross_entropy(rng, n_classes):
    n_events, step = 6, 1e-4
    weights = rng.normal(1.0, 1.0, (n_events, n_classes))
    margins = rng.normal(size=n_events if n_classes == 2 else (n_events, n_classes))
    first, second = derivatives(margins, weights)
    for place in np.ndindex(*margins.shape):
        shift = np.zeros_like(margins)
        shift[place] = step
        lower, middle, upper = (cross_entropy(margins + k * shift, weights) * weights.sum() for k in (-1.0, 0.0, 1.0))
        # Central differences are exact up to O(step^2), and rounding of 1e-16 / step and / step^2.
        assert first[place] == pytest.approx((upper - lower) / (2 * step), abs=1e-6)
        scale = 1.0 if n_classes == 2 else 2.0
        assert second[place] == pytest.approx(scale * (upper - 2 * middle + lower) / step**2, abs=1e-5)


def binned_events(rng, n_events=40_000):
    """Events in ten cells, a fifth of them with negative weights, and the share of class 1 of each cell."""
    cells = rng.integers(10, size=n_events)
    sign = np.where(rng.random(n_events) < 0.2, -1.0, 1.0)
    labels = rng.random(n_events) < np.linspace(0.1, 0.9, 10)[cells]
    weights = np.stack([np.where(labels, 0.0, sign), np.where(labels, sign, 0.0)], axis=-1)
    sums = np.stack([np.bincount(cells, column) for column in weights.T], axis=-1)
    return Examples(cells[:, np.newaxis].astype(np.float32), weights), sums[:, 1] / sums.sum(axis=1)


def test_negative_weights_are_subtracted(rng):
    # Trees that isolate every cell reach the minimum of the loss, the share of the signed weights of the cell.
    examples, shares = binned_events(rng)
    settings = SETTINGS | {"n_estimators": 300, "parameters": {"max_depth": 4, "reg_lambda": 0.0}}
    classifier, losses = train(examples, None, **settings)
    found = classifier.probabilities(np.arange(10, dtype=np.float32)[:, np.newaxis], 1)
    assert losses.size == 0
    np.testing.assert_allclose(found[:, 1], shares, atol=1e-4)  # single-precision sums over 4000 events of a cell
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-15)


def test_early_stopping_keeps_the_trees_of_the_smallest_loss(rng):
    examples, _ = binned_events(rng, 4000)
    noisy = Examples(np.concatenate([examples.features, rng.normal(size=(4000, 5))], axis=1), examples.weights)
    training, validation = noisy.split(0.5, rng)
    classifier, losses = train(training, validation, **SETTINGS | {"n_estimators": 400})
    kept = classifier.booster.num_boosted_rounds()
    assert kept == losses.argmin() + 1 == len(losses) - SETTINGS["n_iter_no_change"] < 400
    found = cross_entropy(classifier.margins(validation.features, 1), validation.weights)
    assert found == pytest.approx(losses.min(), rel=1e-6)


def test_infinite_features_are_the_largest(rng):
    x = np.array([-np.inf, -1.0, 1.0, np.inf] * 100, dtype=np.float32)
    weights = np.stack([x < 2.0, x > 2.0], axis=-1).astype(float)
    classifier, _ = train(Examples(x[:, np.newaxis], weights), None, **SETTINGS)
    found = classifier.probabilities(np.array([[-np.inf], [1.0], [np.inf]], dtype=np.float32), 1)[:, 1]
    assert (found[:2] < 0.01).all()
    assert found[2] > 0.99


def test_documents_give_the_same_numbers(rng):
    examples, _ = binned_events(rng, 2000)
    classifier, _ = train(examples, None, **SETTINGS)
    again = Classifier.from_document(classifier.as_document(), 2, 1, "test")
    np.testing.assert_array_equal(again.margins(examples.features, 1), classifier.margins(examples.features, 1))
    np.testing.assert_array_equal(
        again.probabilities(examples.features, 1)[:, 1], expit(classifier.margins(examples.features, 1).astype(float))
    )
    for n_classes, n_features in ((3, 1), (2, 2)):
        with pytest.raises(ValueError, match="not those of"):
            Classifier.from_document(classifier.as_document(), n_classes, n_features, "test")
