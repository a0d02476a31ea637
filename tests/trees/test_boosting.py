"""Laws of boosting: what must not change the forest, and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bit
from bit.metrics import rho2


def polynomial_table(rng, n=3000, *, signed=False):
    """Two coefficients, quadratic, weights that are not integers; w_0 of both signs if asked for."""
    features = rng.normal(size=(n, 4))
    nominal = rng.exponential(size=n)
    if signed:
        nominal *= np.where(rng.random(n) < 0.2, -1.0, 1.0)
        nominal[:20] = 0.0
    score = np.column_stack([features[:, 0], features[:, 1] * features[:, 2]]) + rng.normal(size=(n, 2))
    columns = [nominal, *(nominal * t for t in score.T)]
    columns += [2 * nominal * score[:, a] * score[:, b] for a, b in ((0, 0), (0, 1), (1, 1))]
    basis = bit.PolynomialBasis(["a", "b"])
    return bit.EventTable(features, np.column_stack(columns), basis, feature_names=["p", "q", "r", "s"])


def assert_same_forest(first, second):
    [left], [right] = first.forest_.groups, second.forest_.groups
    for name in ("feature", "threshold", "left", "right", "value", "tree_offset", "count", "sum_w", "gain"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    np.testing.assert_array_equal(first.forest_.base, second.forest_.base)
    np.testing.assert_array_equal(first.train_loss_, second.train_loss_)


@settings(max_examples=8)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_jobs=st.integers(1, 5),
    signed=st.booleans(),
    bin_weights=st.sampled_from(["count", "nominal"]),
    max_leaf_nodes=st.sampled_from([None, 9]),
)
def test_row_order_and_threads_do_not_matter(seed, n_jobs, signed, bin_weights, max_leaf_nodes):
    rng = np.random.default_rng(seed)
    table = polynomial_table(rng, signed=signed)
    parameters = {"n_estimators": 4, "bin_weights": bin_weights, "max_leaf_nodes": max_leaf_nodes}
    one = bit.BIT(n_jobs=1, **parameters).fit(table)
    shuffled = bit.BIT(n_jobs=n_jobs, **parameters).fit(table.take(rng.permutation(table.n_events)))
    assert_same_forest(one, shuffled)
    np.testing.assert_array_equal(one.predict(table), shuffled.predict(table))


@pytest.mark.parametrize("power", [-40, -3, 5, 60])
def test_scale_of_all_weights_does_not_matter(rng, power):
    table = polynomial_table(rng)
    scaled = bit.EventTable(table.features, table.weights * 2.0**power, table.basis, feature_names=table.feature_names)
    parameters = {"n_estimators": 5, "l2": 1.5, "min_gain": 1e-4}
    first = bit.BIT(**parameters).fit(table)
    second = bit.BIT(**parameters).fit(scaled)
    np.testing.assert_array_equal(first.predict(table), second.predict(table))


def test_monotone_maps_of_features_do_not_matter(rng):
    table = polynomial_table(rng)
    mapped = table.features.copy()
    mapped[:, 0] = np.exp(mapped[:, 0])
    mapped[:, 1] = mapped[:, 1] ** 3
    other = bit.EventTable(mapped, table.weights, table.basis, feature_names=table.feature_names)
    first, second = bit.BIT(n_estimators=5).fit(table), bit.BIT(n_estimators=5).fit(other)
    np.testing.assert_array_equal(first.predict(table), second.predict(other))


def test_doubled_weights_are_duplicated_rows(rng):
    features = rng.integers(0, 30, (500, 3)).astype(np.float64)  # few values: the edges are fixed
    weights = np.column_stack([rng.integers(1, 4, 500), rng.integers(-5, 6, 500)]).astype(np.float64)
    doubled = np.where(rng.random(500) < 0.4, 2, 1)
    basis = bit.PolynomialBasis(["c"], order=1)
    names = ["x", "y", "z"]
    heavy = bit.EventTable(features, weights * doubled[:, np.newaxis], basis, feature_names=names)
    many = bit.EventTable(
        np.repeat(features, doubled, axis=0), np.repeat(weights, doubled, axis=0), basis, feature_names=names
    )
    parameters = {"n_estimators": 5, "min_samples_leaf": 1, "min_effective_samples": 0}
    first, second = bit.BIT(**parameters).fit(heavy), bit.BIT(**parameters).fit(many)
    np.testing.assert_array_equal(first.forest_.groups[0].feature, second.forest_.groups[0].feature)
    # Later trees see residuals quantised on scales that depend on n: 2^-40 of the largest.
    np.testing.assert_allclose(first.predict(heavy), second.predict(heavy), atol=1e-9)


def test_linear_change_of_theta_with_base_points(rng):
    """Base points move with the coefficients, so the trees are the same and R_a transforms as a covector."""
    table = polynomial_table(rng)
    linear = bit.EventTable(
        table.features,
        table.weights[:, :3],
        bit.PolynomialBasis(["a", "b"], order=1),
        feature_names=["p", "q", "r", "s"],
    )
    change = np.array([[2.0, 1.0], [0.0, 4.0]])  # w~ = w @ change, theta = change @ theta~
    weights = np.column_stack([linear.weights[:, 0], linear.weights[:, 1:] @ change])
    moved = bit.EventTable(linear.features, weights, linear.basis, feature_names=linear.feature_names)
    points = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    first = bit.BIT(n_estimators=5, base_points=points).fit(linear)
    second = bit.BIT(n_estimators=5, base_points=np.linalg.solve(change, points.T).T).fit(moved)
    np.testing.assert_array_equal(first.forest_.groups[0].feature, second.forest_.groups[0].feature)
    np.testing.assert_allclose(first.predict(linear) @ change, second.predict(linear), rtol=1e-9, atol=1e-12)


def test_units_of_the_coefficients_do_not_matter(rng):
    """The default metric scales every term by its spread (factors 2^k: exactly)."""
    table = polynomial_table(rng)
    unit = np.array([1.0, 2.0**10, 2.0**-7, 2.0**20, 2.0**3, 2.0**-14])
    other = bit.EventTable(table.features, table.weights * unit, table.basis, feature_names=table.feature_names)
    first, second = bit.BIT(n_estimators=5).fit(table), bit.BIT(n_estimators=5).fit(other)
    np.testing.assert_allclose(first.predict(table) * unit[1:], second.predict(other), rtol=1e-12)


def test_term_that_the_pilot_tree_misses_is_learned(rng, monkeypatch):
    """In a mirrored sample an odd term cancels in every leaf of a pilot tree that splits even features only."""
    from bit.trees import boosting

    monkeypatch.setattr(boosting, "_PILOT_LEAVES", 2)  # one split, on x
    n = 4000
    features = rng.normal(size=(n, 2))
    steep = np.sinh(2 * features[:, 0]) ** 2
    weights = np.column_stack([np.ones(n), steep, 1e-3 * features[:, 1]])
    basis = bit.PolynomialBasis(["even", "odd"], order=1)
    table = bit.EventTable(features, weights, basis, feature_names=["x", "z"])
    mirrored = table.with_cp_mirror(bit.CPParity(flip=["z"], odd_params=["odd"]))
    prediction = bit.BIT(n_estimators=60).fit(mirrored).predict(table)
    alone = bit.BIT(n_estimators=60, terms=["even"]).fit(mirrored).predict(table)
    assert rho2(weights[:, 2], prediction[:, 1], np.ones(n)) > 0.9
    assert rho2(steep, prediction[:, 0], np.ones(n)) > 0.9 * rho2(steep, alone[:, 0], np.ones(n))


def power_law(n, seed):
    """Density x^-3 on [20, 420], score t = 1/2 - ln(x/100): arXiv:2107.10859, section 4."""
    u = np.random.default_rng(seed).random(n)
    x = (20.0**-2 - u * (20.0**-2 - 420.0**-2)) ** -0.5
    return x[:, np.newaxis], 0.5 - np.log(x / 100)


def test_power_law_reaches_the_stated_information():
    features, score = power_law(100_000, seed=1)
    model = bit.BIT(n_estimators=100, learning_rate=0.2, max_depth=1, init=None).fit(features, score)
    captured = [float(score @ F / (score @ score)) for F in model.staged_predict(features)]
    assert captured[19] >= 0.975
    assert captured[99] >= 0.997


def test_losses_are_those_of_the_predictions(rng):
    table = polynomial_table(rng)
    model = bit.BIT(n_estimators=6, terms=["a"], max_depth=2).fit(table)
    nominal, weight = table.weights[:, 0], table.weights[:, 1]
    for stage, loss in zip(model.staged_predict(table), model.train_loss_[1:], strict=True):
        expected = (nominal * stage[:, 0] ** 2 - 2 * weight * stage[:, 0]).sum()
        np.testing.assert_allclose(loss, expected, rtol=1e-10)
    assert (np.diff(model.train_loss_) < 0).all()


def test_subsampled_losses_are_of_all_events(rng):
    table = polynomial_table(rng)
    model = bit.BIT(n_estimators=4, terms=["a"], subsample=0.5, random_state=3).fit(table)
    nominal, weight = table.weights[:, 0], table.weights[:, 1]
    prediction = model.predict(table)[:, 0]
    np.testing.assert_allclose(
        model.train_loss_[-1], (nominal * prediction**2 - 2 * weight * prediction).sum(), rtol=1e-10
    )
    again = bit.BIT(n_estimators=4, terms=["a"], subsample=0.5, random_state=3).fit(table)
    other = bit.BIT(n_estimators=4, terms=["a"], subsample=0.5, random_state=4).fit(table)
    assert_same_forest(model, again)
    assert not np.array_equal(model.predict(table), other.predict(table))


def test_early_stopping_keeps_the_best_tree(rng):
    table = polynomial_table(rng, 2000)
    model = bit.BIT(
        n_estimators=300, max_depth=6, min_samples_leaf=5, learning_rate=0.3, terms=["a"], early_stopping=True,
        n_iter_no_change=7, validation_fraction=0.3, random_state=0,
    ).fit(table)  # fmt: skip
    assert model.n_iter_ == int(np.argmin(model.validation_loss_))
    assert len(model.validation_loss_) == model.n_iter_ + 8
    assert model.forest_.n_trees == model.n_iter_ < 300
    order = np.random.default_rng(0).permutation(2000)[:600]
    nominal, weight = table.weights[order, 0], table.weights[order, 1]
    prediction = model.predict(table)[order, 0]
    expected = (nominal * prediction**2 - 2 * weight * prediction).sum() * 1400 / 600
    np.testing.assert_allclose(model.validation_loss_[model.n_iter_], expected, rtol=1e-10)


def test_negative_weights_train_without_bias(rng):
    """20 % negative w_0 that carry no signal: the slope of the mean is recovered within its error."""
    n = 60_000
    x = rng.normal(size=(n, 1))
    nominal = np.where(rng.random(n) < 0.2, -1.0, 1.0)
    weights = np.column_stack([nominal, nominal * x[:, 0]])
    table = bit.EventTable(x, weights, bit.PolynomialBasis(["c"], order=1), feature_names=["x"])
    model = bit.BIT(n_estimators=100, max_depth=2, min_samples_leaf=300).fit(table)
    grid = np.linspace(-1.5, 1.5, 41)[:, np.newaxis]
    # t = x has no noise: what is left is the width of the cells, far below 0.1 after 100 trees.
    assert np.abs(model.predict(grid)[:, 0] - grid[:, 0]).max() < 0.1
    assert rho2(x[:, 0], model.predict(x)[:, 0], np.ones(n)) > 0.995


def test_terms_proportional_to_the_nominal_weight_are_exact(rng):
    table = polynomial_table(rng)
    weights = table.weights.copy()
    weights[:, 2] = 0.3 * weights[:, 0]
    weights[:, 4] = 0.0
    flat = bit.EventTable(table.features, weights, table.basis, feature_names=table.feature_names)
    prediction = bit.BIT(n_estimators=5).fit(flat).predict(flat)
    np.testing.assert_allclose(prediction[:, 1], 0.3, rtol=1e-12)
    assert (prediction[:, 3] == 0).all()
    assert rho2(table.joint_ratio()[:, 0], prediction[:, 0], table.weights[:, 0]) > 0.1


@pytest.mark.parametrize("at_tree", [1, 5])
def test_interrupt_keeps_the_trees(rng, monkeypatch, at_tree):
    """Ctrl-C between two trees; the callback of the bar stands for the key."""
    from bit.trees import boosting

    class Bar:
        def __enter__(self):
            self.n = 0
            return self

        def __exit__(self, *_):
            return False

        def set_postfix_str(self, *_, **__):
            pass

        def update(self, n):
            self.n += n
            if self.n == at_tree:
                raise KeyboardInterrupt

    monkeypatch.setattr(boosting, "progress_bar", lambda *_, **__: Bar())
    table = polynomial_table(rng)
    with pytest.warns(bit.BitWarning, match=f"interrupted after {at_tree} of 9 trees"):
        model = bit.BIT(n_estimators=9).fit(table)
    assert model.interrupted_
    assert model.n_iter_ == at_tree
    monkeypatch.undo()
    whole = bit.BIT(n_estimators=at_tree).fit(table)
    np.testing.assert_array_equal(model.predict(table), whole.predict(table))
