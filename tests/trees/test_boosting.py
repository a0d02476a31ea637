"""Laws of boosting: what must not change the forest, and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bit
from bit.metrics import rho2
from bit.trees.binner import BIN_WEIGHTS
from bit.trees.grower import grow_tree


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
    bin_weights=st.sampled_from(BIN_WEIGHTS),
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
    # Thresholds that do not depend on the choice of the coefficients.
    first = bit.BIT(n_estimators=5, base_points=points, bin_weights="count").fit(linear)
    moved_points = np.linalg.solve(change, points.T).T
    second = bit.BIT(n_estimators=5, base_points=moved_points, bin_weights="count").fit(moved)
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


def interrupt_at(monkeypatch, n_trees):
    """Ctrl-C while the tree with this number is growing."""
    from bit.trees import boosting

    grown = []

    def grow(*arguments):
        if len(grown) == n_trees:
            raise KeyboardInterrupt
        grown.append(grow_tree(*arguments))
        return grown[-1]

    monkeypatch.setattr(boosting, "grow_tree", grow)


# ---------------------------------------------------------------------- trees of their own for every term
ALL_TERMS = (("a",), ("b",), ("a", "a"), ("a", "b"), ("b", "b"))
SMALL = {"n_estimators": 4, "n_jobs": 1}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"max_leaf_nodes": 7, "max_depth": None}, {"init": None, "l2": 2.0}, {"terms": ["b", ("a", "b")]}],
    ids=",".join,
)
def test_separate_trees_are_those_of_single_terms(rng, signed, options):
    table = polynomial_table(rng, 1500, signed=signed)
    # Thresholds are chosen once, for all terms together, unless they count events.
    options = {"bin_weights": "count", **SMALL, **options}
    model = bit.BIT(strategy="separate", **options).fit(table)
    terms = model.output_terms_
    assert terms == ((("b",), ("a", "b")) if "terms" in options else ALL_TERMS)
    assert [group.outputs.tolist() for group in model.forest_.groups] == [[k] for k in range(len(terms))]
    singles = [bit.BIT(**(options | {"terms": [term]})).fit(table) for term in terms]
    np.testing.assert_array_equal(model.predict(table), np.column_stack([single.predict(table) for single in singles]))
    np.testing.assert_array_equal(model.forest_.base, np.concatenate([single.forest_.base for single in singles]))
    np.testing.assert_array_equal(model.train_loss_, np.sum([single.train_loss_ for single in singles], axis=0))
    assert len(model.validation_loss_) == 0
    for group, single in zip(model.forest_.groups, singles, strict=True):
        [expected] = single.forest_.groups
        for name in ("feature", "threshold", "left", "right", "value", "tree_offset", "count", "sum_w", "gain"):
            np.testing.assert_array_equal(getattr(group, name), getattr(expected, name))
    stages = list(model.staged_predict(table))
    assert len(stages) == model.n_iter_ == 4
    np.testing.assert_array_equal(stages[-1], model.predict(table))


def test_separate_trees_stop_early_one_by_one(rng):
    table = polynomial_table(rng, 2000)
    options = {"n_estimators": 60, "early_stopping": True, "n_iter_no_change": 3, "random_state": 0, "n_jobs": 1}
    options |= {"bin_weights": "count", "learning_rate": 0.4}
    model = bit.BIT(strategy="separate", **options).fit(table)
    singles = [bit.BIT(terms=[term], **options).fit(table) for term in ALL_TERMS]
    n_trees = [group.n_trees for group in model.forest_.groups]
    assert n_trees == [single.n_iter_ for single in singles]
    assert len(set(n_trees)) > 1
    assert model.n_iter_ == max(n_trees) < 60
    np.testing.assert_array_equal(model.predict(table), np.column_stack([single.predict(table) for single in singles]))
    # Sums of losses by number of trees, where a term that has stopped keeps its last loss.
    for name in ("train_loss_", "validation_loss_"):
        losses = [getattr(single, name) for single in singles]
        longest = max(map(len, losses))
        padded = [np.append(loss, np.full(longest - len(loss), loss[-1])) for loss in losses]
        np.testing.assert_array_equal(getattr(model, name), np.sum(padded, axis=0))
    stages = list(model.staged_predict(table))
    assert len(stages) == model.n_iter_
    np.testing.assert_array_equal(stages[-1], model.predict(table))
    np.testing.assert_array_equal(model.forest_.first(2).predict(table.features), stages[1])


def test_separate_trees_survive_the_file(rng, tmp_path):
    table = polynomial_table(rng, 1000)
    model = bit.BIT(strategy="separate", **SMALL).fit(table)
    model.export(tmp_path / "model.json")
    forest = bit.load(tmp_path / "model.json")
    assert len(forest.groups) == 5
    np.testing.assert_array_equal(forest.predict(table.features), model.predict(table))
    again = bit.BIT.from_forest(forest)
    assert again.strategy == "separate"
    np.testing.assert_array_equal(again.predict(table), model.predict(table))


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_separate_trees_do_not_depend_on_threads_and_order(rng, n_jobs):
    table = polynomial_table(rng, 1200)
    options = {**SMALL, "strategy": "separate"}
    one = bit.BIT(**options).fit(table)
    several = bit.BIT(**(options | {"n_jobs": n_jobs})).fit(table.take(rng.permutation(1200)))
    np.testing.assert_array_equal(one.predict(table), several.predict(table))
    np.testing.assert_array_equal(one.train_loss_, several.train_loss_)


@pytest.mark.parametrize("at_tree", [5, 7])
def test_interrupt_in_a_later_term_keeps_the_terms_before(rng, monkeypatch, at_tree):
    table = polynomial_table(rng, 1000)
    whole = bit.BIT(strategy="separate", **SMALL).fit(table)
    interrupt_at(monkeypatch, at_tree)
    with pytest.warns(bit.BitWarning, match=f"interrupted after {at_tree - 4} of 4 trees"):
        model = bit.BIT(strategy="separate", **SMALL).fit(table)
    assert model.interrupted_
    assert [group.n_trees for group in model.forest_.groups] == [4, at_tree - 4, 0, 0, 0]
    expected = whole.predict(table)
    np.testing.assert_array_equal(model.predict(table)[:, 0], expected[:, 0])
    np.testing.assert_array_equal(
        model.predict(table)[:, 1], whole.forest_.first(at_tree - 4).predict(table.features)[:, 1]
    )
    np.testing.assert_array_equal(model.predict(table)[:, 2:], np.tile(whole.forest_.base[2:], (1000, 1)))
    assert len(model.train_loss_) == 5


def test_interrupt_before_the_first_tree_of_a_later_term_keeps_the_terms_before(rng, monkeypatch):
    table = polynomial_table(rng, 1000)
    whole = bit.BIT(strategy="separate", **SMALL).fit(table)
    interrupt_at(monkeypatch, 4)
    model = bit.BIT(strategy="separate", **SMALL)
    try:
        with pytest.warns(bit.BitWarning, match="interrupted"):
            model.fit(table)
    except KeyboardInterrupt:  # which would end the tests
        pytest.fail("the first term is lost")
    assert model.interrupted_
    assert [group.n_trees for group in model.forest_.groups] == [4, 0, 0, 0, 0]
    np.testing.assert_array_equal(model.predict(table)[:, 0], whole.predict(table)[:, 0])


def test_interrupt_before_the_first_tree_of_all_is_passed_on(rng, monkeypatch):
    table = polynomial_table(rng, 1000)
    interrupt_at(monkeypatch, 0)
    for strategy in ("joint", "separate"):
        with pytest.raises(KeyboardInterrupt):
            bit.BIT(strategy=strategy, **SMALL).fit(table)


# ---------------------------------------------------------------------- some features for every tree
def features_of_trees(model):
    [group] = model.forest_.groups
    bounds = zip(group.tree_offset[:-1], group.tree_offset[1:], strict=True)
    return [set(group.feature[low:high].tolist()) - {-1} for low, high in bounds]


@pytest.mark.parametrize(("fraction", "most"), [(0.01, 1), (0.25, 1), (0.5, 2), (0.8, 3), (0.99, 4)])
def test_trees_use_a_fraction_of_the_features(rng, fraction, most):
    table = polynomial_table(rng, 2000)
    options = {"n_estimators": 40, "max_depth": 6, "min_samples_leaf": 10, "n_jobs": 1}
    model = bit.BIT(max_features=fraction, random_state=5, **options).fit(table)
    used = features_of_trees(model)
    assert max(map(len, used)) == most
    assert set().union(*used) == {0, 1, 2, 3}
    again = bit.BIT(max_features=fraction, random_state=5, **options).fit(table)
    assert_same_forest(model, again)
    if most < 4:
        other = bit.BIT(max_features=fraction, random_state=6, **options).fit(table)
        assert not np.array_equal(model.predict(table), other.predict(table))


def test_all_features_are_nothing_random(rng):
    table = polynomial_table(rng, 1000)
    models = [bit.BIT(max_features=1.0, random_state=seed, **SMALL).fit(table) for seed in (1, 2, None)]
    assert_same_forest(models[0], models[1])
    assert_same_forest(models[0], models[2])
    assert_same_forest(models[0], bit.BIT(**SMALL).fit(table))


def test_drawn_features_do_not_depend_on_threads_and_order(rng):
    table = polynomial_table(rng, 1000)
    options = {**SMALL, "max_features": 0.5, "random_state": 3}
    first = bit.BIT(**options).fit(table)
    second = bit.BIT(**(options | {"n_jobs": 3})).fit(table.take(rng.permutation(1000)))
    assert_same_forest(first, second)


def test_constant_features_are_not_drawn(rng):
    """The fraction is one of the features that have thresholds."""
    table = polynomial_table(rng, 1000)
    features = np.column_stack([table.features, np.full((1000, 6), 7.0)])
    constant = bit.EventTable(features, table.weights, table.basis, feature_names=list("pqrsabcdef"))
    with pytest.warns(bit.BitWarning, match="constant features"):
        model = bit.BIT(max_features=0.25, random_state=1, n_estimators=12, n_jobs=1).fit(constant)
    assert all(len(used) == 1 for used in features_of_trees(model))


# ---------------------------------------------------------------------- positive leaves
def forms_of(sums, basis):
    """Matrices of the quadratic forms in (1, theta), from sums of weights in the order of the terms."""
    n = len(basis.param_names)
    form = np.zeros((len(sums), n + 1, n + 1))
    form[:, 0, 0] = sums[:, 0]
    for a, first in enumerate(basis.param_names):
        form[:, 0, a + 1] = form[:, a + 1, 0] = sums[:, basis.index((first,))] / 2
        for b, second in enumerate(basis.param_names):
            form[:, a + 1, b + 1] = sums[:, basis.index((first, second))] / 2
    return form


def lowest_eigenvalues(group, basis):
    """Of the leaves, with rows and columns in units of their diagonals: relative to the size of the form."""
    form = forms_of(group.sum_w[group.feature < 0], basis)
    size = np.sqrt(np.abs(np.einsum("naa->na", form)))
    return np.linalg.eigvalsh(form / (size[:, :, np.newaxis] * size[:, np.newaxis, :]))[:, 0]


def barely_positive_table(rng, n, *, signed):
    """w_0 (1 + u d)^2 with noise that makes the forms of most events, but not their sum, negative somewhere."""
    features = rng.normal(size=(n, 4))
    u = features[:, :2] + rng.normal(size=(n, 2))
    nominal = rng.exponential(size=n)
    if signed:
        nominal *= rng.choice([-1.0, 1.0], n, p=[0.2, 0.8])
    columns = np.column_stack([np.ones(n), 2 * u, 2 * u[:, 0] ** 2, 2 * u[:, 0] * u[:, 1], 2 * u[:, 1] ** 2])
    columns[:, 3:] += rng.normal(scale=4, size=(n, 3))
    basis = bit.PolynomialBasis(["a", "b"], reference=[0.1, -0.2])
    return bit.EventTable(features, columns * nominal[:, np.newaxis], basis, feature_names=["p", "q", "r", "s"])


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_depth": None, "max_leaf_nodes": 15},
        {"min_samples_leaf": 3, "min_effective_samples": 0, "max_depth": 6},
        {"cp_parity": bit.CPParity(flip=["p"], swap=[("r", "s")], odd_params=["a"])},
        {"base_points": [[1, 0], [0, 1], [1, 1], [2, 0], [0, 2]]},
        {"max_features": 0.5, "random_state": 1},
        {"n_jobs": 3},
    ],
    ids=",".join,
)
def test_leaves_are_positive(rng, signed, options):
    table = barely_positive_table(rng, 1500, signed=signed)
    options = {"n_estimators": 5, "min_samples_leaf": 10, "n_jobs": 1, **options}
    model = bit.BIT(positive=True, **options).fit(table)
    plain = bit.BIT(**options).fit(table)
    [group], [free] = model.forest_.groups, plain.forest_.groups
    assert lowest_eigenvalues(free, table.basis).min() < -0.01
    assert (group.feature >= 0).sum() > 10
    assert lowest_eigenvalues(group, table.basis).min() >= -1e-9
    # The sums beside the residuals leave no trace but that.
    assert group.value.shape == (len(group.feature), 5)
    assert group.sum_w.shape == (len(group.feature), 6)


def test_losses_of_positive_trees_are_those_of_the_predictions(rng):
    table = barely_positive_table(rng, 1500, signed=True)
    points = np.array([[1, 0], [0, 1], [1, 1], [2, 0], [0, 2]]) + table.basis.reference
    model = bit.BIT(n_estimators=4, positive=True, base_points=points, min_samples_leaf=10, n_jobs=1).fit(table)
    phi = table.basis.monomials(points)[:, 1:]
    for stage, loss in zip(model.staged_predict(table), model.train_loss_[1:], strict=True):
        twice = table.weights[:, :1] * stage - 2 * table.weights[:, 1:]
        np.testing.assert_allclose(loss, np.einsum("nk,kl,nl->", twice, phi.T @ phi, stage), rtol=1e-9)


@pytest.mark.parametrize("cp_parity", [None, bit.CPParity(flip=["p"], odd_params=["a"])])
def test_positive_events_are_not_restricted(rng, cp_parity):
    """A sum of positive polynomials is positive: the same trees."""
    features = rng.normal(size=(1500, 4))
    u = features[:, :2] + rng.normal(size=(1500, 2))
    columns = np.column_stack([np.ones(1500), 2 * u, 2 * u[:, 0] ** 2, 2 * u[:, 0] * u[:, 1], 2 * u[:, 1] ** 2])
    columns[:20] = 0.0
    basis = bit.PolynomialBasis(["a", "b"])
    weights = columns * rng.exponential(size=(1500, 1))
    table = bit.EventTable(features, weights, basis, feature_names=["p", "q", "r", "s"])
    options = {"n_estimators": 5, "min_samples_leaf": 2, "n_jobs": 1, "cp_parity": cp_parity}
    assert_same_forest(bit.BIT(positive=True, **options).fit(table), bit.BIT(**options).fit(table))


def test_positive_does_not_depend_on_threads_and_order(rng):
    table = barely_positive_table(rng, 1000, signed=True)
    options = {"n_estimators": 3, "min_samples_leaf": 10, "positive": True}
    first = bit.BIT(n_jobs=1, **options).fit(table)
    second = bit.BIT(n_jobs=3, **options).fit(table.take(rng.permutation(1000)))
    assert_same_forest(first, second)
