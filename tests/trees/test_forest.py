"""Trained forests: all ways to evaluate them agree with the slow twin."""

import numpy as np
import pytest
from reference.kernels import predict_forest

import bit

NAMES = ("phi", "m", "minus", "plus")
PARITY = bit.CPParity(flip=["phi"], swap=[("minus", "plus")], odd_params=["b"])


def make_table(rng, n=700):
    features = rng.normal(size=(n, 4))
    nominal = rng.exponential(size=n)
    a, b = features[:, 0] * features[:, 1], features[:, 2] - features[:, 3]
    columns = np.column_stack([np.ones(n), a, b, a * a, a * b, b * b]) + 0.2 * rng.normal(size=(n, 6))
    basis = bit.PolynomialBasis(["a", "b"])
    return bit.EventTable(features, columns * nominal[:, np.newaxis], basis, feature_names=NAMES)


def fit(table, **options):
    return bit.BIT(**({"n_estimators": 9, "min_samples_leaf": 5, "n_jobs": 1} | options)).fit(table)


@pytest.fixture
def probe(rng):
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3e38]
    return np.concatenate([rng.normal(size=(290, 4)), rng.choice(special, (100, 4))])


OPTIONS = [
    {},
    {"terms": ["a"]},
    {"max_depth": 8, "min_samples_leaf": 2, "min_effective_samples": 0},  # more than 32 leaves
    {"strategy": "separate", "early_stopping": True, "n_iter_no_change": 1, "learning_rate": 0.9, "random_state": 0},
    {"cp_parity": PARITY},
    {"cp_parity": PARITY, "strategy": "separate"},
    {"min_effective_samples": 690},  # trees without a split
]


@pytest.mark.parametrize("options", OPTIONS, ids=",".join)
def test_all_ways_to_predict_agree(rng, probe, options):
    forest = fit(make_table(rng), **options).forest_
    expected = predict_forest(forest, probe)
    np.testing.assert_array_equal(forest.predict(probe), expected)
    np.testing.assert_array_equal(forest.predict(probe, n_threads=3), expected)
    *_, last = forest.staged_predict(probe)
    np.testing.assert_array_equal(last, expected)
    evaluate = forest.evaluator()
    for dtype in (np.float64, np.float32):
        rows = probe.astype(dtype)
        rows.flags.writeable = False
        np.testing.assert_array_equal([evaluate(row) for row in rows], expected)


@pytest.mark.parametrize("options", OPTIONS, ids=",".join)
def test_stages_are_the_cut_forests(rng, probe, options):
    forest = fit(make_table(rng), **options).forest_
    stages = list(forest.staged_predict(probe))
    assert len(stages) == forest.n_trees
    for n, stage in enumerate(stages, start=1):
        cut = forest.first(n)
        assert cut.n_trees == n
        assert all(group.n_trees <= n for group in cut.groups)
        np.testing.assert_array_equal(stage, cut.predict(probe))
    assert forest.first(0).n_trees == 0
    base = np.tile(forest.base, (len(probe), 1))
    np.testing.assert_array_equal(forest.first(0).predict(probe), base)


def test_one_event_does_not_change_the_base(rng, probe):
    forest = fit(make_table(rng)).forest_
    base, evaluate = forest.base.copy(), forest.evaluator()
    first = evaluate(probe[0])
    kept = first.copy()
    evaluate(probe[1])
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(forest.base, base)


def test_importances_are_shares_of_the_gain(rng):
    forest = fit(make_table(rng), strategy="separate").forest_
    total = np.zeros(4)
    for group in forest.groups:
        for feature, gain in zip(group.feature, group.gain, strict=True):
            if feature >= 0:
                total[feature] += gain
            else:
                assert gain == 0
    np.testing.assert_allclose(forest.feature_importances(), total / total.sum(), rtol=1e-12)
    assert (forest.first(0).feature_importances() == 0).all()


@pytest.mark.parametrize("shape", [(3,), (5, 2), (5, 4)])
def test_another_number_of_features_is_refused(rng, shape):
    x = rng.normal(size=(200, 3))
    forest = bit.BIT(n_estimators=2, min_samples_leaf=5).fit(x, x[:, 0]).forest_
    with pytest.raises(bit.errors.InputError, match=r"expected \(n, 3\): columns"):
        forest.predict(np.ones(shape))
