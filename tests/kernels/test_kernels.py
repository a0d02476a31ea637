"""Every kernel against its slow twin."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference import kernels as slow

from bit.kernels.binning import encode_features
from bit.kernels.bitmask import MAX_LEAVES, predict_small_trees
from bit.kernels.histogram import build_histogram, build_root_histogram, divide_nodes
from bit.kernels.rotation import rotate_weights
from bit.kernels.sorting import pick_steps, sort_values, sum_sorted
from bit.kernels.splitting import all_positive, find_splits
from bit.kernels.traversal import predict_one, predict_trees, update_residuals, update_residuals_of_pairs
from bit.trees.forest import TreeGroup
from bit.trees.walk import bitmasks_of, children_of, depths_of, walk_of

seeds = st.integers(0, 2**32 - 1)
SQUARE_SCALE = 2.0  # so small that squares of multiples of 1/4 are rounded
widths = st.sampled_from([1, 7, 8, 9, 17])


@given(seed=seeds, n_edges=st.integers(0, 254))
def test_encode_features(seed, n_edges):
    rng = np.random.default_rng(seed)
    edges = np.full((2, 256), np.nan, dtype=np.float32)
    for row in edges:
        row[:n_edges] = np.unique(rng.integers(-300, 300, 2000))[:n_edges] / 8
    features = (rng.integers(-320, 320, (40, 2)) / 8).astype(np.float32)
    features[rng.random(features.shape) < 0.1] = np.nan
    features[0], features[1] = np.inf, -np.inf
    if n_edges:
        features[2] = np.nextafter(edges[:, n_edges // 2], np.float32(-np.inf))
        features[3] = edges[:, n_edges // 2]
    codes = np.full((40, 8), 77, dtype=np.uint8)
    encode_features(features, edges, codes)
    np.testing.assert_array_equal(codes[:, :2], slow.encode_features(features, edges))
    assert (codes[:, 2:] == 77).all()


# ---------------------------------------------------------------------- quantiles
SPECIAL = [-np.inf, np.inf, np.nan, -np.nan, 0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, 1.5, -1.5]
values_with_ties = arrays(
    np.float32,
    st.integers(0, 60),
    elements=st.one_of(st.floats(width=32), st.sampled_from(np.array(SPECIAL, dtype=np.float32))),
)


def sorted_by_kernel(values):
    keys, scratch_keys = np.empty((2, len(values)), dtype=np.uint32)
    order, scratch_order = np.empty((2, len(values)), dtype=np.int32)
    sort_values(values.view(np.uint32), scratch_keys, scratch_order, keys, order)
    return keys, order


def assert_sorted(values):
    keys, order = sorted_by_kernel(values)
    np.testing.assert_array_equal(order, slow.sort_values(values))
    ordered = values[order]
    same = (ordered[1:] == ordered[:-1]) | (np.isnan(ordered[1:]) & np.isnan(ordered[:-1]))
    np.testing.assert_array_equal(keys[1:] == keys[:-1], same)
    np.testing.assert_array_equal(keys == 0xFFFFFFFF, np.isnan(ordered))
    assert (keys[1:] >= keys[:-1]).all()


@given(values=values_with_ties)
def test_sort_values(values):
    assert_sorted(values)


def test_sort_values_of_all_sizes(rng):
    bits = rng.integers(0, 2**32, 5000, dtype=np.uint32)
    assert_sorted(np.concatenate([bits, bits[::3], ~bits[::5]]).view(np.float32))


@given(values=values_with_ties, seed=seeds, weighted=st.booleans())
def test_sums_and_steps_of_sorted_values(values, seed, weighted):
    rng = np.random.default_rng(seed)
    quanta = rng.integers(0, 4, len(values)) if weighted else np.empty(0, dtype=np.int64)
    weights = quanta if weighted else np.ones(len(values), dtype=np.int64)
    keys, order = sorted_by_kernel(values)
    n_valid, _, total = sum_sorted(keys, order, quanta)
    assert sum_sorted(keys, order, quanta) == slow.sum_sorted(values, weights)
    targets = np.sort(rng.integers(0, total + 2, rng.integers(1, 9)))
    steps = np.empty(len(targets), dtype=np.int64)
    steps = steps[: pick_steps(keys, order, quanta, n_valid, targets, steps)]
    np.testing.assert_array_equal(steps, slow.pick_steps(values, weights, targets))


# ---------------------------------------------------------------------- records
class Records:
    """Random events in the layout of the engine: codes, nominal weight and residuals in one row of 64-bit words."""

    def __init__(self, rng, n, n_features, n_outputs, *, counted=True):
        self.n_features, self.first = n_features, -(-n_features // 8) + 1
        self.records = rng.normal(size=(n, self.first + n_outputs))
        self.codes, self.words = self.records.view(np.uint8), self.records.view(np.uint64)
        self.codes[:, :n_features] = rng.choice([0, 1, 2, 100, 254, 255], (n, n_features))  # many ties
        self.nominal = rng.integers(-2, 5, n) / 4 if counted else np.full(n, 0.75)
        self.records[:, self.first - 1] = self.nominal
        self.residual = self.records[:, self.first :]
        self.scales = 2.0 ** rng.integers(0, 40, 1 + n_outputs)
        self.count_bits = int(n).bit_length() if counted else 0
        self.n_channels = -(-(1 + counted + n_outputs) // 4) * 4

    @property
    def of_features(self):
        return self.codes[:, : self.n_features]

    def summed(self, rows, image):
        arguments = (self.of_features, self.nominal, self.residual, rows, self.scales, SQUARE_SCALE, self.count_bits)
        return slow.build_histogram(*arguments, *image, self.n_channels)


def random_image(rng, n_features, n_outputs, *, mirrored):
    """Signs, source and relabel of CP images, or of the events themselves."""
    if not mirrored:
        return np.ones(n_outputs), np.arange(n_features), np.empty(0, dtype=np.uint8)
    signs = rng.choice([-1.0, 1.0], n_outputs)
    return signs, rng.permutation(n_features), rng.integers(0, 256, 256 * n_features).astype(np.uint8)


@given(seed=seeds, n_features=widths, n_outputs=st.integers(1, 11), counted=st.booleans(), mirrored=st.booleans())
def test_build_histogram(seed, n_features, n_outputs, counted, mirrored):
    rng = np.random.default_rng(seed)
    events = Records(rng, 50, n_features, n_outputs, counted=counted)
    image = random_image(rng, n_features, n_outputs, mirrored=mirrored)
    assert_histogram(events, rng.permutation(50).astype(np.int32), int(rng.integers(0, 51)), image)


@pytest.mark.parametrize("n_outputs", [2, 5])
@pytest.mark.parametrize("mirrored", [False, True])
def test_build_histogram_in_tiles(rng, n_outputs, mirrored):
    events = Records(rng, 9000, 9, n_outputs)
    image = random_image(rng, 9, n_outputs, mirrored=mirrored)
    assert_histogram(events, rng.permutation(9000).astype(np.int32), 8700, image)


def assert_histogram(events, rows, n_rows, image):
    out = np.full(events.n_features * 256 * events.n_channels, 3, dtype=np.int64)
    build_histogram(
        events.codes, events.words, events.records, events.n_features, rows, n_rows,
        events.scales, SQUARE_SCALE, events.count_bits, *image, out,
    )  # fmt: skip
    np.testing.assert_array_equal(out - 3, events.summed(rows[:n_rows], image))


@given(
    seed=seeds, n_features=widths, n_outputs=st.integers(1, 11), counted=st.booleans(), mirrored=st.booleans(),
    n_nodes=st.integers(0, 4),
)  # fmt: skip
def test_divide_nodes(seed, n_features, n_outputs, counted, mirrored, n_nodes):
    rng = np.random.default_rng(seed)
    events = Records(rng, 80, n_features, n_outputs, counted=counted)
    bounds = np.sort(rng.integers(0, 81, 2 * n_nodes)).reshape(n_nodes, 2)  # gaps between nodes, and empty nodes
    assert_divided(rng, events, bounds, random_image(rng, n_features, n_outputs, mirrored=mirrored))


@pytest.mark.parametrize("mirrored", [False, True])
def test_divide_nodes_in_tiles(rng, mirrored):
    events = Records(rng, 14_000, 9, 2)
    image = random_image(rng, 9, 2, mirrored=mirrored)
    assert_divided(rng, events, np.array([[10, 9000], [9000, 9003], [9100, 13_500]]), image)


def assert_divided(rng, events, bounds, image):
    n_nodes = len(bounds)
    starts, stops = np.ascontiguousarray(bounds.T).astype(np.int64)
    columns = rng.integers(0, events.n_features, n_nodes)
    goes_right = rng.integers(0, 2, (n_nodes, 256)).astype(np.uint8)
    sums_right = rng.integers(0, 2, n_nodes).astype(np.uint8)
    rows = rng.permutation(len(events.records)).astype(np.int32)  # scattered, as deep in a tree
    expected_rows, expected_middles, expected = slow.divide_nodes(
        events.of_features, starts, stops, columns, goes_right, sums_right, rows, lambda r: events.summed(r, image)
    )
    middles = np.empty(n_nodes, dtype=np.int64)
    out = np.full((n_nodes, events.n_features * 256 * events.n_channels), -5, dtype=np.int64)
    divide_nodes(
        events.codes, events.words, events.records, events.n_features, starts, stops, columns, goes_right, sums_right,
        events.scales, SQUARE_SCALE, events.count_bits, *image, np.empty_like(rows), rows, middles, out,
    )  # fmt: skip
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_array_equal(middles, expected_middles)
    np.testing.assert_array_equal(out + 5, expected.reshape(out.shape))


@given(seed=seeds, n_features=widths, exponent=st.integers(0, 40))
def test_build_root_histogram(seed, n_features, exponent):
    events = Records(np.random.default_rng(seed), 50, n_features, 1)
    out = np.ones(n_features * 256, dtype=np.int64)
    build_root_histogram(events.codes, events.records, n_features, 2.0**exponent, out)
    expected = slow.build_root_histogram(events.of_features, events.residual[:, 0], 2.0**exponent)
    np.testing.assert_array_equal(out - 1, expected)


# ---------------------------------------------------------------------- splits
@dataclass
class Nodes:
    """Histograms of some nodes with small integer weights, and everything that tells how to read them."""

    histograms: np.ndarray
    n_edges: np.ndarray
    scales: np.ndarray
    square_scale: float
    count_bits: int
    quantum: int


def random_nodes(rng, n_nodes, n_outputs, *, counted, n_events=30, residuals=None):
    n_features = 3
    n_edges = np.array([0, *rng.integers(1, 12, 2)])[rng.permutation(n_features)]
    nominal = rng.integers(-1, 4, n_events).astype(np.float64) if counted else np.full(n_events, 2.0)
    residual = rng.integers(-4, 5, (n_events, n_outputs)).astype(np.float64) if residuals is None else residuals
    scales = 2.0 ** rng.integers(0, 20, 1 + n_outputs)
    n_channels = -(-(1 + counted + n_outputs) // 4) * 4
    count_bits, square_scale = (6, 2.0**7) if counted else (0, 1.0)
    image = (np.ones(n_outputs), np.arange(n_features), np.empty(0, dtype=np.uint8))
    # Codes up to the number of edges, and 255 for NaN.
    codes = np.column_stack([rng.choice([*range(n + 1), 255], n_events) for n in n_edges])
    node = rng.integers(0, n_nodes, n_events)
    histograms = [
        slow.build_histogram(
            codes, nominal, residual, np.flatnonzero(node == k), scales, square_scale, count_bits, *image, n_channels
        )
        for k in range(n_nodes)
    ]
    return Nodes(np.array(histograms), n_edges, scales, square_scale, count_bits, int(2 * scales[0]))


def assert_splits(nodes, features, rules, n_outputs, form):
    n_nodes = len(nodes.histograms)
    scales = (nodes.scales, nodes.square_scale, nodes.count_bits, nodes.quantum)
    gains, splits = np.full(n_nodes, np.nan), np.full((n_nodes, 2), 99, dtype=np.int64)
    left = np.zeros((n_nodes, nodes.histograms.shape[1] // (3 * 256)), dtype=np.int64)
    find_splits(
        nodes.histograms, features[0], features[-1] + 1, nodes.n_edges, *scales, *rules, n_outputs, form,
        gains, splits, left,
    )  # fmt: skip
    best = slow.find_splits(nodes.histograms, features, nodes.n_edges, *scales, *rules, n_outputs, form)
    for k, (gain, split, sums) in enumerate(best):
        assert gains[k] == gain
        assert tuple(splits[k]) == split
        if sums is not None:
            np.testing.assert_array_equal(left[k], sums)
    return best


no_form = np.empty((0, 0), dtype=np.int64)
rules = st.tuples(
    st.integers(0, 4), st.sampled_from([0.0, 1.7, 4.3]), st.sampled_from([0.0, 0.5]), st.sampled_from([0.0, 2.1])
)


@given(
    seed=seeds, n_outputs=st.integers(1, 5), n_watched=st.integers(0, 2), counted=st.booleans(), rules=rules,
    features=st.sampled_from([range(3), range(1, 3), range(1)]),
)  # fmt: skip
def test_find_splits(seed, n_outputs, n_watched, counted, rules, features):
    """Ties, zero and negative weights, features without thresholds, and residuals that are only summed."""
    nodes = random_nodes(np.random.default_rng(seed), 3, n_outputs + n_watched, counted=counted)
    assert_splits(nodes, features, rules, n_outputs, no_form)


def test_find_splits_finds_some(rng):
    nodes = random_nodes(rng, 3, 2, counted=True)
    best = assert_splits(nodes, range(3), (1, 0.0, 0.0, 0.0), 2, no_form)
    assert all(gain > 0 for gain, *_ in best)


FORMS = {
    1: np.array([[-1, -1], [0, 1]]),
    2: np.array([[-1, -1, -1], [0, 2, -1], [1, 3, 4]]),
}


def squares(rng, n, n_params):
    """Residuals of w_0 = 2 times squares (1 + u d)^2, some of them spoiled by a little."""
    u = rng.integers(-2, 3, (n, n_params))
    first, second = np.triu_indices(n_params)
    residuals = 2 * np.column_stack([2 * u, 2 * u[:, first] * u[:, second]])
    residuals[:, n_params] -= rng.integers(0, 5, n) * (rng.random(n) < 0.5)
    return residuals.astype(np.float64)


@given(seed=seeds, n_params=st.integers(1, 2), rules=rules)
def test_find_splits_with_positive_children(seed, n_params, rules):
    rng = np.random.default_rng(seed)
    residuals = squares(rng, 30, n_params)
    # The gain counts other residuals, the first ones; the form is of those behind them.
    form = np.where(FORMS[n_params] < 0, -1, FORMS[n_params] + 1)
    residuals = np.column_stack([rng.integers(-4, 5, 30).astype(np.float64), residuals])
    nodes = random_nodes(rng, 2, residuals.shape[1], counted=False, residuals=residuals)
    assert_splits(nodes, range(3), rules, 1, form)


@pytest.mark.parametrize(
    ("curvature", "allowed"), [([1, -1, 2, 3], 0), ([-2, 1, 2, 3], 2), ([-2, 5, 2, -1], 1), ([-2, 1, 2, -1], -1)]
)
def test_children_that_are_not_positive_are_refused(curvature, allowed):
    """Events with the polynomial 1 + curvature d^2 / 2, the gain of another residual, largest for the first split."""
    residual = np.column_stack([[-6.0, 4.0, 1.0, 0.0], np.zeros(4), curvature])
    image = (np.ones(3), np.arange(1), np.empty(0, dtype=np.uint8))
    codes = np.arange(4).reshape(-1, 1)
    histogram = slow.build_histogram(codes, np.ones(4), residual, range(4), np.ones(4), 1.0, 0, *image, 4)

    def best(form):
        gains, splits, left = np.zeros(1), np.zeros((1, 2), dtype=np.int64), np.zeros((1, 4), dtype=np.int64)
        scales, rules = (np.ones(4), 1.0, 0, 1), (1, 0.0, 0.0, 0.0)
        find_splits(histogram[np.newaxis], 0, 1, np.array([3]), *scales, *rules, 1, form, gains, splits, left)
        return int(splits[0, 1])

    assert best(no_form) == 0
    assert best(np.array([[-1, -1], [1, 2]])) == allowed


@given(seed=seeds, n_params=st.integers(1, 2))
def test_all_positive(seed, n_params):
    rng = np.random.default_rng(seed)
    weights = np.column_stack([np.full(6, 2.0), squares(rng, 6, n_params)])
    weights[rng.random(6) < 0.3, :] = 0.0
    for k in range(7):
        assert all_positive(weights[:k], FORMS[n_params]) == slow.all_positive(weights[:k], FORMS[n_params])


def test_zero_on_the_diagonal_is_positive_only_with_zeros_beside_it():
    form = FORMS[1]
    for weights, expected in [([0, 0, 0], True), ([0, 0, 1], True), ([1, 0, 0], True), ([1, 1, 0], False)]:
        assert all_positive(np.array([weights], dtype=np.float64), form) is expected
    assert not all_positive(np.array([[0.0, 1.0, 5.0]]), form)
    assert not all_positive(np.array([[-1.0, 0.0, 0.0]]), form)
    assert all_positive(np.array([[1.0, 2.0, 2.0 - 1e-12]]), form)  # (1 + d)^2 up to rounding
    assert not all_positive(np.array([[1.0, 2.0, 2.0 - 1e-6]]), form)


# ---------------------------------------------------------------------- traversal
# Leaves at depths 1, 2 and 3; and a tree that is one leaf.
TREES = {
    "three levels": ([0, -1, 2, -1, 1, -1, -1], [100, -1, 1, -1, 0, -1, -1],
                     [1, -1, 3, -1, 5, -1, -1], [2, -1, 4, -1, 6, -1, -1]),
    "one leaf": ([-1], [-1], [-1], [-1]),
}  # fmt: skip
trees = st.sampled_from(list(TREES))


def random_update(rng, tree, n, n_outputs):
    tree = tuple(np.array(column, dtype=np.int64) for column in TREES[tree])
    events = Records(rng, n, 3, n_outputs)
    weights = rng.normal(size=(n, n_outputs + 2))
    weights[:, 0] = events.nominal
    columns = rng.permutation(n_outputs + 2)[:n_outputs].astype(np.int64)
    value = rng.normal(size=(len(tree[0]), n_outputs))
    scales = 2.0 ** rng.integers(0, 40, 2 + 2 * n_outputs)
    return events, tree, value, weights, columns, scales


@given(seed=seeds, n_outputs=st.integers(1, 4), tree=trees)
def test_update_residuals(seed, n_outputs, tree):
    assert_update(np.random.default_rng(seed), tree, 60, n_outputs)


def test_update_residuals_in_blocks(rng):
    assert_update(rng, "three levels", 700, 3)


def assert_update(rng, tree, n, n_outputs):
    events, tree, *rest = random_update(rng, tree, n, n_outputs)
    sums, updated, largest = slow.update_residuals(events.of_features, tree, *rest, events.residual)
    out_sums, out_largest = np.zeros_like(sums), np.zeros(n_outputs)
    scale = 2.0 ** rng.integers(0, 40)
    out_root = np.zeros(events.n_features * 256 if n_outputs == 1 else 0, dtype=np.int64)
    update_residuals(
        events.codes, *walk_of(*tree), *rest, events.records, events.first, scale, events.n_features,
        out_sums, out_largest, out_root,
    )  # fmt: skip
    np.testing.assert_array_equal(out_sums, sums)
    np.testing.assert_array_equal(events.residual, updated)
    np.testing.assert_array_equal(out_largest, largest)
    if n_outputs == 1:
        np.testing.assert_array_equal(out_root, slow.build_root_histogram(events.of_features, updated[:, 0], scale))


@given(seed=seeds, n_outputs=st.integers(1, 4), tree=trees)
def test_update_residuals_of_pairs(seed, n_outputs, tree):
    assert_update_of_pairs(np.random.default_rng(seed), tree, 60, n_outputs)


def test_update_residuals_of_pairs_in_blocks(rng):
    assert_update_of_pairs(rng, "three levels", 700, 3)


def assert_update_of_pairs(rng, tree, n, n_outputs):
    events, tree, *rest = random_update(rng, tree, n, n_outputs)
    image = random_image(rng, 3, n_outputs, mirrored=True)
    loss_scales = 2.0 ** rng.integers(0, 40, n_outputs)
    sums, losses, updated, largest = slow.update_residuals_of_pairs(
        events.of_features, tree, *rest, loss_scales, *image, events.residual
    )
    out_sums, out_losses, out_largest = np.zeros_like(sums), np.zeros_like(losses), np.zeros(n_outputs)
    update_residuals_of_pairs(
        events.codes, *walk_of(*tree), *rest, loss_scales, *image, events.records, events.first,
        out_sums, out_losses, out_largest,
    )  # fmt: skip
    np.testing.assert_array_equal(out_sums, sums)
    np.testing.assert_array_equal(out_losses, losses)
    np.testing.assert_array_equal(events.residual, updated)
    np.testing.assert_array_equal(out_largest, largest)


# ---------------------------------------------------------------------- prediction
def random_group(rng, leaves, n_outputs):
    """Trees with given numbers of leaves, grown at random, with ties between thresholds and values."""
    columns = {name: [] for name in ("feature", "threshold", "left", "right")}
    offset = [0]
    for n_leaves in leaves:
        tree = {"feature": [-1], "threshold": [0.0], "left": [-1], "right": [-1]}
        for _ in range(n_leaves - 1):
            node = rng.choice(np.flatnonzero(np.array(tree["feature"]) < 0))
            tree["feature"][node], tree["threshold"][node] = rng.integers(3), rng.choice([-0.5, 0.0, 1e-45, 1.0, 7.5])
            for side in ("left", "right"):
                tree[side][node] = offset[-1] + len(tree["feature"])
                for name, value in (("feature", -1), ("threshold", 0.0), ("left", -1), ("right", -1)):
                    tree[name].append(value)
        for name, values in tree.items():
            columns[name] += values
        offset.append(len(columns["feature"]))
    n = offset[-1]
    arrays = {name: np.array(columns[name], dtype=np.int32) for name in ("feature", "left", "right")}
    arrays["threshold"] = np.array(columns["threshold"], dtype=np.float32)
    value = np.where(arrays["feature"][:, np.newaxis] < 0, rng.normal(size=(n, n_outputs)), 0.0)
    return TreeGroup(
        outputs=rng.permutation(n_outputs + 1)[:n_outputs], value=value, tree_offset=np.array(offset),
        count=np.zeros(n, dtype=np.int64), sum_w=np.zeros((n, 1 + n_outputs)), sum_w0_squared=np.zeros(n),
        gain=np.zeros(n), **arrays,
    )  # fmt: skip


def random_features(rng, n):
    values = [-np.inf, -0.5, -1e-45, -0.0, 0.0, 1e-45, 1.0, np.nextafter(np.float32(7.5), np.float32(0)), 7.5, np.nan]
    return rng.choice([*values, np.inf], (n, 3)).astype(np.float32)


def walk_arrays(group):
    children = children_of(group.feature, group.left, group.right)
    depth = depths_of(group.feature, group.left, group.right, group.tree_offset)
    feature = np.where(group.feature < 0, 0, group.feature).astype(np.uint32)
    return (feature, group.threshold, children, group.value, group.tree_offset, depth)


# One event, a part of a block, blocks to the edge and beyond; trees up to the largest that fit into a mask.
event_numbers = st.sampled_from([1, 5, 256, 257, 530])
leaf_numbers = st.lists(st.sampled_from([1, 2, 3, 9, 31, 32]), min_size=1, max_size=9)


@settings(max_examples=40)
@given(seed=seeds, n=event_numbers, leaves=leaf_numbers, n_outputs=st.sampled_from([1, 2, 4, 9]), data=st.data())
def test_prediction(seed, n, leaves, n_outputs, data):
    first = data.draw(st.integers(0, len(leaves)))
    last = data.draw(st.integers(first, len(leaves)))
    assert_prediction(np.random.default_rng(seed), n, leaves, n_outputs, first, last)


def assert_prediction(rng, n, leaves, n_outputs, first, last):
    group, features = random_group(rng, leaves, n_outputs), random_features(rng, n)
    start = rng.normal(size=(n, n_outputs + 1))
    expected = slow.predict_trees(features, group, slice(first, last), start)
    out = start.copy()
    predict_trees(features, *walk_arrays(group), first, last, group.outputs, out)
    np.testing.assert_array_equal(out, expected)
    masks = bitmasks_of(group.feature, group.threshold, group.left, group.right, group.value, group.tree_offset)
    assert (masks is None) == (max(leaves) > MAX_LEAVES)
    if masks is not None:
        out = start.copy()
        predict_small_trees(features, *masks, first, last, group.outputs, out)
        np.testing.assert_array_equal(out, slow.predict_small_trees(features, group, slice(first, last), start))
    one = start[0].copy()
    predict_one(features[0], *walk_arrays(group), group.outputs, one)
    np.testing.assert_array_equal(one, slow.predict_one(features[:1], group, slice(None), start[:1])[0])


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_prediction_of_trees_too_large_for_masks(rng, n_outputs):
    assert_prediction(rng, 300, [33, 2, 200], n_outputs, 0, 3)


# ---------------------------------------------------------------------- rotation
@pytest.mark.parametrize("diagonal", [True, False])
def test_rotate_weights(rng, diagonal):
    weights, columns = rng.normal(size=(30, 5)), np.array([1, 2, 4])
    base = rng.normal(size=3)
    rotation = np.diag(rng.normal(size=3)) if diagonal else rng.normal(size=(3, 3))
    out, largest = np.full((30, 6), 7.0), np.zeros(3)
    rotate_weights(weights, columns, base, rotation, out, 2, largest)
    assert (out[:, [0, 1, 5]] == 7.0).all()
    # Same terms in another order of additions: a few roundings of numbers of order 10.
    np.testing.assert_allclose(out[:, 2:5], slow.rotate_weights(weights, columns, base, rotation), atol=1e-13)
    np.testing.assert_array_equal(largest, np.abs(out[:, 2:5]).max(axis=0))
