"""Training with an exact CP parity: f(x) = (g(x) + sign g(Cx)) / 2 for every term."""

import json
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.kernels import predict_forest
from sklearn.base import clone

import bit
from bit.errors import InputError

# Under CP phi and eta change sign, the transverse momenta of the two leptons change places, m stays.
NAMES = ("phi", "m", "pt_m", "pt_p", "eta")
PARITY = bit.CPParity(flip=["phi", "eta"], swap=[("pt_m", "pt_p")], odd_params=["odd"])
BASIS = bit.PolynomialBasis(["odd", "even"])  # terms odd, even, odd*odd, odd*even, even*even
SIGNS = np.array([-1.0, 1.0, 1.0, -1.0, 1.0])


def make_table(rng, n=1500, *, signed=False, special=False, weighted=True):
    """Events that are not symmetric themselves; with NaN, infinities and zeros of both signs if asked for."""
    features = rng.normal([0.3, 0.0, 1.0, 2.0, -0.1], size=(n, 5))
    phi, m, minus, plus, eta = features.T
    nominal = rng.exponential(size=n) if weighted else np.ones(n)
    if signed:
        nominal = nominal * rng.choice([-1.0, 0.0, 1.0], n, p=[0.15, 0.05, 0.8])
    first = np.sin(phi) * (1 + m**2) + 0.5 * eta + rng.normal(size=n)
    second = minus * plus + 0.3 * (minus - plus) + rng.normal(size=n)
    size = np.abs(nominal) + 0.05
    columns = [size * first, size * second, size * first**2, size * first * second, size * second**2]
    if special:
        for value in (np.nan, 0.0, -0.0, np.inf, -np.inf):
            features[rng.random(features.shape) < 0.03] = value
    return bit.EventTable(features, np.column_stack([nominal, *columns]), BASIS, feature_names=NAMES)


def probes(rng, forest):
    """Random float32 of all sizes, special values, and features at thresholds, next to them and opposite."""
    special = np.array([0.0, -0.0, 1e-45, -1e-45, 1e-39, np.inf, -np.inf, np.nan, 3.4e38, 1.0], dtype=np.float32)
    bits = rng.integers(0, 2**32, (300, 5), dtype=np.uint32).view(np.float32)
    bits[np.isnan(bits)] = np.nan  # numpy warns of signalling ones
    parts = [rng.normal(size=(300, 5)).astype(np.float32), bits, rng.choice(special, (300, 5))]
    inner = np.concatenate([group.feature for group in forest.groups])
    edges = np.concatenate([group.threshold for group in forest.groups])[inner >= 0]
    near = np.concatenate([np.nextafter(edges, np.float32(to)) for to in (-np.inf, np.inf)])
    parts.append(rng.choice(np.concatenate([edges, near, -edges, -near]), (600, 5)))
    return np.concatenate(parts)


def image(features):
    return PARITY.mirror(features, NAMES)


def assert_exactly_odd_or_even(prediction, of_image, signs):
    assert not np.isnan(prediction).any()
    np.testing.assert_array_equal(prediction - signs * of_image, 0.0)


def fit(table, **parameters):
    return bit.BIT(**({"n_estimators": 4, "min_samples_leaf": 10, "n_jobs": 1, "cp_parity": PARITY} | parameters)).fit(
        table
    )


OPTIONS = [
    {},
    {"max_depth": None, "max_leaf_nodes": 12},
    {"max_depth": 7, "min_samples_leaf": 1, "min_effective_samples": 0},  # trees of more than 32 leaves
    {"strategy": "separate"},
    {"strategy": "separate", "early_stopping": True, "n_iter_no_change": 1, "random_state": 1, "n_estimators": 30},
    {"subsample": 0.5, "random_state": 1},
    {"max_features": 0.4, "random_state": 1},
    {"early_stopping": True, "n_iter_no_change": 2, "random_state": 1, "n_estimators": 40},
    {"base_points": [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0], [0.0, 2.0]]},
    {"init": None, "l2": 3.0, "min_gain": 1e-3},
    {"max_bins": 3},
    {"max_bins": 4, "bin_weights": "nominal"},
    {"positive": True},
    {"terms": ["odd"]},
    {"terms": ["even", ("odd", "even")]},
]


@pytest.mark.parametrize("options", OPTIONS, ids=",".join)
def test_predictions_are_exactly_odd_or_even(rng, options):
    model = fit(make_table(rng, special=True, signed="positive" not in options), **options)
    assert any((group.feature >= 0).any() for group in model.forest_.groups)
    signs = SIGNS[[BASIS.index(term) - 1 for term in model.output_terms_]]
    np.testing.assert_array_equal(model.forest_.cp.parity, signs)
    x = probes(rng, model.forest_)
    prediction = model.predict(x)
    assert_exactly_odd_or_even(prediction, model.predict(image(x)), signs)
    assert (prediction != 0).any(axis=0).all()
    stages = list(model.staged_predict(x))
    assert len(stages) == model.n_iter_
    for stage, of_image in zip(stages, model.staged_predict(image(x)), strict=True):
        assert_exactly_odd_or_even(stage, of_image, signs)
    np.testing.assert_array_equal(stages[-1], prediction)
    np.testing.assert_array_equal(prediction[:200], predict_forest(model.forest_, x[:200]))


@pytest.mark.parametrize("options", [{}, {"strategy": "separate"}], ids=["joint", "separate"])
def test_round_trip_is_exact(rng, tmp_path, options):
    table = make_table(rng, special=True)
    model = fit(table, **options)
    model.export(tmp_path / "model.json")
    document = json.loads((tmp_path / "model.json").read_text())
    assert document["cp"] == {"sign": [-1, 1, 1, 1, -1], "permutation": [0, 1, 3, 2, 4], "parity": SIGNS.tolist()}
    forest = bit.load(tmp_path / "model.json")
    x = probes(rng, forest)
    np.testing.assert_array_equal(forest.predict(x), model.predict(x))
    assert_exactly_odd_or_even(forest.predict(x), forest.predict(image(x)), SIGNS)
    again = bit.BIT.from_forest(forest)
    assert again.cp_parity == PARITY
    np.testing.assert_array_equal(again.predict(table), model.predict(table))
    np.testing.assert_array_equal(again.fit(table).predict(x), model.predict(x))


# ---------------------------------------------------------------------- what is trained
def integer_table(rng, n=700, *, nan=False, equal=False):
    """Few odd values, so that both trainings part all of them, and integer weights, so that all sums are exact."""
    features = 2.0 * rng.integers(-4, 4, (n, 5)) + 1
    if nan:
        features[rng.random(features.shape) < 0.1] = np.nan
    weights = np.column_stack([rng.integers(1, 5, n), rng.integers(-6, 7, (n, 5))]).astype(np.float64)
    weights[:, 1] += 3 * np.nan_to_num(features[:, 0])
    weights[:, 3] += np.nan_to_num(features[:, 2]) * np.nan_to_num(features[:, 3])
    if equal:
        weights[:, 0] = 2.0
    return bit.EventTable(features, weights, BASIS, feature_names=NAMES)


@pytest.mark.parametrize("nan", [False, True])
@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"terms": ["odd"]}, {"max_depth": None, "max_leaf_nodes": 9, "l2": 2.0}, {"strategy": "separate"}],
    ids=",".join,
)
def test_first_tree_is_that_of_the_mirrored_sample(rng, nan, equal, options):
    table = integer_table(rng, nan=nan, equal=equal)
    exact = fit(table, n_estimators=1, **options)
    mirrored = fit(table.with_cp_mirror(PARITY), n_estimators=1, cp_parity=None, **options)
    np.testing.assert_array_equal(exact.forest_.base, mirrored.forest_.base)
    np.testing.assert_allclose(exact.train_loss_[0], mirrored.train_loss_[0], rtol=1e-12)
    for ours, theirs in zip(exact.forest_.groups, mirrored.forest_.groups, strict=True):
        for name in ("feature", "left", "right", "outputs", "tree_offset", "count", "sum_w", "sum_w0_squared"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), name)
        for name in ("value", "gain"):  # of residuals that are no integers: rounding of the metric
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-12, atol=1e-15)
        # Of a symmetric pair of thresholds t and -t, one is the float32 next to -t.
        expected = theirs.threshold
        is_same = ours.threshold == expected
        is_next = ours.threshold == np.nextafter(expected, np.float32(np.inf))
        assert (is_same | (is_next & np.isin(ours.feature, [0, 4]))).all()
    symmetric = (mirrored.predict(table) + exact.forest_.cp.parity * mirrored.predict(image(table.features))) / 2
    np.testing.assert_allclose(exact.predict(table), symmetric, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"max_leaf_nodes": 20}, {"subsample": 0.4, "random_state": 2}, {"max_bins": 3}]
)
def test_nodes_hold_the_symmetrised_sums(rng, special, options):
    """An event and its image share the weight of the event, in every node of every tree."""
    table = make_table(rng, 600, signed=True, special=special)
    [group] = fit(table, **options).forest_.groups
    mirrored = table.with_cp_mirror(PARITY)
    features = mirrored.features.astype(np.float32)
    for root in group.tree_offset[:-1]:
        members = {int(root): np.ones(1200, dtype=bool)}
        while members:
            node, mask = members.popitem()
            assert group.count[node] == mask.sum()
            weights = mirrored.weights[mask]
            # Float sums of a thousand numbers of order 10 round by 1e-12.
            np.testing.assert_allclose(group.sum_w[node], weights.sum(axis=0), atol=1e-10)
            np.testing.assert_allclose(group.sum_w0_squared[node], (weights[:, 0] ** 2).sum(), atol=1e-10)
            if group.feature[node] >= 0:
                goes_left = features[:, group.feature[node]] < group.threshold[node]
                members[int(group.left[node])] = mask & goes_left
                members[int(group.right[node])] = mask & ~goes_left


def loss_of(prediction, table, metric, columns):
    nominal, weights = table.weights[:, 0], table.weights[:, columns]
    return float(np.einsum("nk,kl,nl->", nominal[:, np.newaxis] * prediction - 2 * weights, metric, prediction))


@pytest.mark.parametrize("term", [("odd",), ("even",), ("odd", "even")])
@pytest.mark.parametrize(
    "options", [{}, {"subsample": 0.5, "random_state": 3}, {"init": None}, {"max_bins": 3}, {"max_depth": 8}]
)
@pytest.mark.parametrize("special", [False, True])
def test_losses_are_those_of_the_predictions(rng, term, options, special):
    table = make_table(rng, special=special, signed=True)
    model = fit(table, terms=[term], **options)
    for stage, loss in zip(model.staged_predict(table), model.train_loss_[1:], strict=True):
        expected = loss_of(stage, table, np.eye(1), [BASIS.index(term)])
        # The float sum over 1500 events of order 10 rounds by 1e-12 of them, the integers by less.
        np.testing.assert_allclose(loss, expected, rtol=1e-10, atol=1e-10)
    base = np.tile(model.forest_.base, (1500, 1))
    np.testing.assert_allclose(model.train_loss_[0], loss_of(base, table, np.eye(1), [BASIS.index(term)]), atol=1e-8)


def test_losses_in_a_metric(rng):
    table = make_table(rng)
    points = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0], [0.0, 2.0]])
    model = fit(table, base_points=points)
    # The points and their CP images: even and odd terms do not mix.
    phi = BASIS.monomials(np.concatenate([points, points * [-1, 1]]))[:, 1:]
    for stage, loss in zip(model.staged_predict(table), model.train_loss_[1:], strict=True):
        np.testing.assert_allclose(loss, loss_of(stage, table, phi.T @ phi / 2, slice(1, None)), rtol=1e-10)


@pytest.mark.parametrize("max_bins", [3, 16, 255])
@pytest.mark.parametrize("zeros", ["nowhere", "everywhere", "in validation only"])
def test_validation_loss_is_that_of_the_prediction(rng, max_bins, zeros):
    table = make_table(rng)
    order = np.random.default_rng(0).permutation(1500)[:450]  # what fit takes for validation
    features = table.features.copy()
    if zeros == "everywhere":
        features[::7, 0] = 0.0
    elif zeros == "in validation only":
        features[order[:200], 0] = 0.0
    table = bit.EventTable(features, table.weights, BASIS, feature_names=NAMES)
    early = {"early_stopping": True, "n_iter_no_change": 3, "validation_fraction": 0.3, "random_state": 0}
    model = fit(table, n_estimators=40, terms=["odd"], max_bins=max_bins, **early)
    assert model.n_iter_ == int(np.argmin(model.validation_loss_)) > 0
    validation = table.take(np.sort(order))
    expected = loss_of(model.predict(validation), validation, np.eye(1), [1]) * 1050 / 450
    np.testing.assert_allclose(model.validation_loss_[model.n_iter_], expected, rtol=1e-10)


def test_three_bins_and_zeros(rng):
    """An event with phi = 0 and its image are on the same side, in training as in prediction."""
    table = make_table(rng)
    features = table.features.copy()
    features[::4, 0] = 0.0
    table = bit.EventTable(features, table.weights, BASIS, feature_names=NAMES)
    model = fit(table, terms=["odd"], max_bins=3)
    assert model.train_loss_[-1] < 0
    np.testing.assert_allclose(model.train_loss_[-1], loss_of(model.predict(table), table, np.eye(1), [1]), rtol=1e-10)
    assert_exactly_odd_or_even(model.predict(table), model.predict(image(features)), np.array([-1.0]))


def test_training_loss_falls(rng):
    model = fit(make_table(rng), n_estimators=20)
    assert (np.diff(model.train_loss_) < 0).all()


@settings(max_examples=8)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_jobs=st.integers(1, 5),
    signed=st.booleans(),
    weighted=st.booleans(),
    options=st.sampled_from([{}, {"max_leaf_nodes": 9}, {"terms": ["odd"]}, {"strategy": "separate"}]),
)
def test_row_order_and_threads_do_not_matter(seed, n_jobs, signed, weighted, options):
    rng = np.random.default_rng(seed)
    table = make_table(rng, signed=signed, weighted=weighted, special=True)
    one = fit(table, **options)
    shuffled = fit(table.take(rng.permutation(table.n_events)), n_jobs=n_jobs, **options)
    for ours, theirs in zip(one.forest_.groups, shuffled.forest_.groups, strict=True):
        for field in fields(ours):
            np.testing.assert_array_equal(getattr(ours, field.name), getattr(theirs, field.name), field.name)
    np.testing.assert_array_equal(one.forest_.base, shuffled.forest_.base)
    np.testing.assert_array_equal(one.train_loss_, shuffled.train_loss_)
    np.testing.assert_array_equal(one.predict(table), shuffled.predict(table))


def test_images_of_the_events_train_the_same_trees(rng):
    """A sample of CP images has the same symmetrised sums; terms that are odd have changed their sign in it."""
    table = integer_table(rng)
    of_images = bit.EventTable(image(table.features), table.weights * [1, *SIGNS], BASIS, feature_names=NAMES)
    ours, theirs = fit(table), fit(of_images)
    np.testing.assert_array_equal(ours.predict(table), theirs.predict(table))
    np.testing.assert_array_equal(ours.train_loss_, theirs.train_loss_)


def test_base_of_odd_terms_is_zero(rng):
    table = make_table(rng)
    base = fit(table).forest_.base
    mean = table.weights[:, 1:].sum(axis=0) / table.sigma_fb
    assert (np.abs(mean) > 0.01).all()
    assert (base[SIGNS < 0] == 0).all()
    np.testing.assert_allclose(base[SIGNS > 0], mean[SIGNS > 0], rtol=1e-12)
    assert (fit(table, init=None).forest_.base == 0).all()


def test_odd_terms_without_odd_features_are_zero(rng):
    """Every event is its own image: nothing odd can be learned, and the even terms are as without parity."""
    table = make_table(rng)
    model = fit(table, cp_parity=bit.CPParity(odd_params=["odd"]), min_samples_leaf=20)
    assert (model.predict(table)[:, SIGNS < 0] == 0).all()
    options = {"terms": ["even", ("even", "even")], "base_points": [[0.0, 1.0], [0.0, 2.0]]}
    even = fit(table, cp_parity=bit.CPParity(), min_samples_leaf=20, **options)
    plain = fit(table, cp_parity=None, **options)  # counts and weights are doubled by the images
    # Residuals are quantised on scales that depend on the number of rows: 2^-40 of the largest.
    np.testing.assert_allclose(even.predict(table), plain.predict(table), rtol=1e-9)


@pytest.mark.parametrize("init", ["mean", None])
def test_trees_share_the_work_of_both_parities(rng, init):
    """Enough trees learn both the odd and the even function."""
    n = 6000
    features = rng.uniform(-1, 1, size=(n, 5))
    odd, even = np.sin(3 * features[:, 0]) * features[:, 1], 1 + features[:, 2] * features[:, 3]
    weights = np.column_stack([np.ones(n), odd, even])
    basis = bit.PolynomialBasis(["odd", "even"], order=1)
    table = bit.EventTable(features, weights, basis, feature_names=NAMES)
    prediction = fit(table, n_estimators=200, init=init).predict(table)
    for truth, learned in zip((odd, even), prediction.T, strict=True):
        # Without noise what is left is the width of the cells: far below a twentieth of the variance.
        assert ((truth - learned) ** 2).mean() < 0.05 * truth.var()


def test_no_information_is_lost(rng):
    """With noise the exact parity is like twice the events: nearer to a known odd function on other events."""

    def sample(n):
        features = rng.normal(size=(n, 5))
        truth = np.tanh(features[:, 0]) * (1 + 0.5 * features[:, 1]) + 0.5 * (features[:, 2] - features[:, 3])
        weights = np.column_stack([np.ones(n), truth + 3 * rng.normal(size=n)])
        basis = bit.PolynomialBasis(["odd"], order=1)
        return bit.EventTable(features, weights, basis, feature_names=NAMES), truth

    train, _ = sample(10_000)
    test, truth = sample(10_000)
    options = {"n_estimators": 60, "min_samples_leaf": 50}
    exact, plain = fit(train, **options), fit(train, cp_parity=None, **options)
    squares = [(model.predict(test)[:, 0] - truth) ** 2 for model in (plain, exact)]
    gained = squares[0] - squares[1]
    error = gained.std() / np.sqrt(len(gained))
    assert gained.mean() > 3 * error
    assert squares[1].mean() < 0.5 * truth.var()


# ---------------------------------------------------------------------- the border
def test_arrays_have_names_too(rng):
    table = make_table(rng)
    parity = bit.CPParity(flip=["x0", "x4"], swap=[("x2", "x3")], odd_params=["odd"])
    features, target, nominal = table.features, table.joint_ratio(), table.weights[:, 0]
    model = bit.BIT(n_estimators=3, cp_parity=parity).fit(features, target, nominal, basis=BASIS)
    assert_exactly_odd_or_even(model.predict(features), model.predict(image(features)), SIGNS)
    named = bit.BIT(n_estimators=3, cp_parity=PARITY).fit(table)
    # w_k / w_0 * w_0 differs from w_k by rounding.
    np.testing.assert_allclose(model.predict(features), named.predict(features), rtol=1e-9, atol=1e-12)
    # Coefficients of plain targets are y0, y1, ...
    parity = bit.CPParity(flip=["x0", "x4"], swap=[("x2", "x3")], odd_params=["y0"])
    for shape in (target[:, 0], target[:, :2]):
        plain = bit.BIT(n_estimators=3, cp_parity=parity).fit(features, shape, nominal)
        signs = np.array([-1.0, 1.0])[: shape[0].size]
        ours, theirs = (plain.predict(x).reshape(1500, -1) for x in (features, image(features)))
        assert_exactly_odd_or_even(ours, theirs, signs)


def test_columns_of_data_frames_have_names(rng):
    table = make_table(rng)
    order = ["eta", "pt_p", "m", "phi", "pt_m"]
    frame = pd.DataFrame(table.features, columns=NAMES)[order]
    target, nominal = table.joint_ratio(), table.weights[:, 0]
    model = bit.BIT(n_estimators=3, cp_parity=PARITY).fit(frame, target, nominal, basis=BASIS)
    images = pd.DataFrame(image(table.features), columns=NAMES)
    assert_exactly_odd_or_even(model.predict(frame), model.predict(images), SIGNS)


@pytest.mark.parametrize(
    ("parity", "message"),
    [
        (bit.CPParity(flip=["phj"]), "unknown feature 'phj': did you mean 'phi'"),
        (bit.CPParity(swap=[("pt_m", "pt_q")]), "unknown feature 'pt_q': did you mean 'pt_[mp]'"),
        ("phi", "cp_parity='phi': a CPParity or None"),
        (True, "cp_parity=True: a CPParity or None"),
        ({"flip": ["phi"]}, "a CPParity or None"),
    ],
)
def test_bad_parities_are_refused(rng, parity, message):
    with pytest.raises(InputError, match=message):
        bit.BIT(cp_parity=parity).fit(make_table(rng, 200))


def test_parity_is_a_parameter(rng):
    table = make_table(rng, 300)
    model = clone(bit.BIT(n_estimators=2, cp_parity=PARITY, min_samples_leaf=10))
    assert model.get_params()["cp_parity"] == PARITY
    assert model.fit(table).forest_.cp is not None
    assert model.set_params(cp_parity=None).fit(table).forest_.cp is None


def test_observables_of_odd_terms_are_odd(rng):
    table = make_table(rng)
    mirrored = bit.EventTable(image(table.features), table.weights, BASIS, feature_names=NAMES)
    observable = fit(table).observable("odd")
    np.testing.assert_array_equal(observable(table), -observable(mirrored))
