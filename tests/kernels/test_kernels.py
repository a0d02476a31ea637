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
from bit.kernels.histogram import build_histograms
from bit.kernels.likelihood import LANES, sum_log_ratios
from bit.kernels.partition import divide_rows
from bit.kernels.residuals import (
    build_root_histogram,
    lanes_of_moments,
    sum_by_leaf,
    sum_moments,
    update_residuals,
    update_residuals_of_pairs,
)
from bit.kernels.rotation import rotate_weights
from bit.kernels.sorting import fill_buckets, key_range, pick_steps, select_buckets, sort_values
from bit.kernels.splitting import all_positive, find_splits
from bit.kernels.sums import bounds_of, sum_quanta
from bit.kernels.traversal import predict_one, predict_trees
from bit.trees.forest import TreeGroup
from bit.trees.linear import CONSTANT, LinearWalk
from bit.trees.mirror import Mirror
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
    codes, columns = np.full((40, 8), 77, dtype=np.uint8), np.empty((2, 40), dtype=np.uint8)
    encode_features(features, edges, codes, columns)
    np.testing.assert_array_equal(codes[:, :2], slow.encode_features(features, edges))
    np.testing.assert_array_equal(columns, codes[:, :2].T)
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


def buckets_of(values, n_bits):
    """Smallest key and shift for at most ``2**n_bits`` buckets, and the bucket of every value, -1 for NaN."""
    bits = values.view(np.uint32)
    keys = np.empty(len(values), dtype=np.int64)
    by_kernel, order = sorted_by_kernel(values)
    keys[order] = by_kernel
    lowest, highest, n_valid = key_range(bits)
    valid = ~np.isnan(values)
    assert n_valid == valid.sum()
    if n_valid == 0:
        return None
    assert (lowest, highest) == (keys[valid].min(), keys[valid].max())
    shift = max(0, int(highest - lowest).bit_length() - n_bits)
    return np.uint32(lowest), np.uint32(shift), np.where(valid, (keys - lowest) >> shift, -1)


@given(values=values_with_ties, seed=seeds, weighted=st.booleans(), n_bits=st.sampled_from([1, 3, 16]))
def test_buckets(values, seed, weighted, n_bits):
    buckets = buckets_of(values, n_bits)
    if buckets is None:
        return
    *rule, bucket = buckets
    rng = np.random.default_rng(seed)
    quanta = rng.integers(0, 4, len(values)) if weighted else np.empty(0, dtype=np.int64)
    counts, weights = np.zeros((2, bucket.max() + 1), dtype=np.int64)
    fill_buckets(values.view(np.uint32), quanta, *rule, counts, weights)
    for b in range(len(counts)):
        assert counts[b] == (bucket == b).sum()
        assert weights[b] == (quanta[bucket == b].sum() if weighted else counts[b])
    chosen = rng.integers(0, 2, len(counts)).astype(np.uint8)
    expected = [i for i, b in enumerate(bucket) if b >= 0 and chosen[b]]
    rows = np.empty(len(expected), dtype=np.int32)
    select_buckets(values.view(np.uint32), *rule, chosen, rows)
    np.testing.assert_array_equal(rows, expected)


@given(values=values_with_ties, seed=seeds, weighted=st.booleans(), n_bits=st.sampled_from([1, 3, 16]))
def test_pick_steps(values, seed, weighted, n_bits):
    """All values, whichever buckets they are in: the sums below a bucket agree with those of the values before it."""
    values = values[~np.isnan(values)]
    buckets = buckets_of(values, n_bits)
    if buckets is None:
        return
    *rule, bucket = buckets
    rng = np.random.default_rng(seed)
    quanta = rng.integers(0, 4, len(values)) if weighted else np.empty(0, dtype=np.int64)
    weights = quanta if weighted else np.ones(len(values), dtype=np.int64)
    before = np.array([weights[bucket < b].sum() for b in range(bucket.max() + 1)])
    targets = np.sort(rng.integers(0, weights.sum() + 2, rng.integers(1, 9)))
    steps = np.empty(len(targets), dtype=np.int64)
    keys, order = sorted_by_kernel(values)
    steps = steps[: pick_steps(keys, order, quanta, *rule, before, targets, steps)]
    np.testing.assert_array_equal(steps, slow.pick_steps(values, weights, targets))


@given(values=arrays(np.float64, st.integers(1, 30), elements=st.integers(-(2**40), 2**40).map(float)))
def test_sums_of_a_column(values):
    assert bounds_of(values) == (values.min(), values.max())
    assert sum_quanta(values[::-1], 0.25) == sum(round(value / 4) for value in values)


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

    @property
    def columns(self):
        return np.ascontiguousarray(self.of_features.T)

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
    """Two nodes with a gap between them; and all rows in order."""
    middle = n_rows // 3
    starts, stops = np.array([0, middle + n_rows // 4]), np.array([middle, n_rows])
    assert_histograms(events, rows, starts, stops, image)
    assert_histograms(events, np.empty(0, dtype=np.int32), np.array([0]), np.array([len(events.records)]), image)


def assert_histograms(events, rows, starts, stops, image):
    out = np.full((len(starts), events.n_features * 256 * events.n_channels), 3, dtype=np.int64)
    build_histograms(
        events.codes, events.words, events.records, events.n_features, rows, starts, stops,
        events.scales, SQUARE_SCALE, events.count_bits, *image, out,
    )  # fmt: skip
    rows = rows if len(rows) else np.arange(len(events.records))
    for node, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        np.testing.assert_array_equal(out[node] - 3, events.summed(rows[start:stop], image))


@given(seed=seeds, n_nodes=st.integers(0, 4), whole=st.booleans())
def test_divide_rows(seed, n_nodes, whole):
    rng = np.random.default_rng(seed)
    columns = rng.choice([0, 1, 2, 100, 254, 255], (3, 80)).astype(np.uint8)
    if whole:
        starts, stops, rows = np.array([0]), np.array([80]), np.arange(80, dtype=np.int32)
    else:
        # Gaps between nodes, empty nodes, and rows that are scattered, as deep in a tree.
        starts, stops = np.ascontiguousarray(np.sort(rng.integers(0, 81, 2 * n_nodes)).reshape(n_nodes, 2).T)
        rows = rng.permutation(80).astype(np.int32)
    features = rng.integers(0, 3, len(starts))
    goes_right = rng.integers(0, 2, (len(starts), 256)).astype(np.uint8)
    expected_rows, expected_middles = slow.divide_rows(columns, starts, stops, features, goes_right, rows)
    out_rows, middles = np.full_like(rows, -7) if whole else rows.copy(), np.empty(len(starts), dtype=np.int64)
    divide_rows(columns, starts, stops, features, goes_right, whole, np.empty_like(rows), out_rows, middles)
    np.testing.assert_array_equal(out_rows, expected_rows)
    np.testing.assert_array_equal(middles, expected_middles)


@given(seed=seeds, n_features=widths, exponent=st.integers(0, 40))
def test_build_root_histogram(seed, n_features, exponent):
    events = Records(np.random.default_rng(seed), 50, n_features, 1)
    out = np.ones(n_features * 256, dtype=np.int64)
    build_root_histogram(events.columns, events.records, events.first, 2.0**exponent, out)
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
trees = st.sampled_from([*TREES, "large"])


def random_tree(rng, name):
    """Feature, bin and children of a tree; a large one has more nodes than a byte can number."""
    if name in TREES:
        return tuple(np.array(column, dtype=np.int64) for column in TREES[name])
    n_nodes = 2 * 150 + 1
    feature, bins, left, right = np.full((4, n_nodes), -1, dtype=np.int64)
    leaves = [0]
    for first in range(1, n_nodes, 2):
        node = leaves.pop(rng.integers(0, len(leaves)))
        feature[node] = rng.integers(0, 3)
        bins[node] = rng.choice([0, 1, 2, 99, 100] if feature[node] < 2 else [0, 1, 2, 100, 253])
        left[node], right[node] = first, first + 1
        leaves += [first, first + 1]
    return feature, bins, left, right


def walk_of_tree(tree):
    feature, _, left, right = tree
    return walk_of(*tree, int(depths_of(feature, left, right, np.array([0, len(feature)]))[0]))


def random_update(rng, tree, n, n_outputs):
    tree = random_tree(rng, tree)
    events = Records(rng, n, 3, n_outputs)
    # Codes as they can be with these thresholds: at most their number, or that of NaN.
    n_edges = np.array([101, 101, 254])
    events.codes[:, :3] = np.where(events.of_features == 255, 255, np.minimum(events.of_features, n_edges))
    value = rng.normal(size=(len(tree[0]), n_outputs))
    return events, tree, value, 2.0 ** rng.integers(0, 40, n_outputs), n_edges


NO_FEATURES = np.empty((0, 0), dtype=np.float32)
leaf_kinds = st.sampled_from(["constant", "float32", "float64"])


def random_leaves(rng, n_nodes, n_outputs, *, signed):
    """Linear parts with up to four of six features; about a quarter of the leaves has none."""
    columns, signs = np.full((n_nodes, 4), -1), np.ones((n_nodes, 4))
    (centre, low, high), slope = np.zeros((3, n_nodes, 4)), np.zeros((n_nodes, n_outputs, 4))
    for node in range(n_nodes):
        m = int(rng.integers(0, 5)) if rng.random() < 0.9 else 0
        columns[node, :m] = rng.permutation(6)[:m]
        if signed:
            signs[node, :m] = rng.choice([-1.0, 1.0], m)
        low[node, :m], high[node, :m] = np.sort(rng.normal(size=(2, m)), axis=0)
        centre[node, :m] = rng.normal(size=m)  # also outside the range, as with negative weights
        slope[node, :, :m] = rng.normal(size=(n_outputs, m))
    return LinearWalk(columns, signs, centre, low, high, slope)


def random_values(rng, n, dtype):
    """Values of six features, some of them not finite, some only so as float32."""
    features = rng.normal(size=(n, 6))
    special = [np.nan, np.inf, -np.inf, -0.0] + ([1e300, 1.0 + 2**-40] if dtype == "float64" else [])
    chosen = rng.random(features.shape) < 0.05
    features[chosen] = rng.choice(special, chosen.sum())
    return features.astype(dtype)


def random_linear(rng, n, n_nodes, n_outputs, kind, *, signed=True):
    """Features and linear parts of the leaves for the kernel, and the same for the twin."""
    if kind == "constant":
        return (NO_FEATURES, CONSTANT), (None, None)
    features, leaves = random_values(rng, n, kind), random_leaves(rng, n_nodes, n_outputs, signed=signed)
    return (features, leaves), (features, leaves)


@given(seed=seeds, n_outputs=st.integers(1, 4), tree=trees, kind=leaf_kinds)
def test_update_residuals(seed, n_outputs, tree, kind):
    assert_update(np.random.default_rng(seed), tree, 60, n_outputs, kind)


@pytest.mark.parametrize("kind", ["constant", "float32"])
def test_update_residuals_in_blocks(rng, kind):
    assert_update(rng, "three levels", 2500, 3, kind)


def assert_update(rng, tree, n, n_outputs, kind):
    events, tree, value, loss_scales, _ = random_update(rng, tree, n, n_outputs)
    (features, leaves), of_twin = random_linear(rng, n, len(tree[0]), n_outputs, kind)
    losses, updated, largest = slow.update_residuals(
        events.of_features, tree, value, events.nominal, loss_scales, events.residual, *of_twin
    )
    out_losses, out_largest = np.zeros_like(losses), np.zeros(n_outputs)
    scale = 2.0 ** rng.integers(0, 40)
    out_root = np.zeros(events.n_features * 256 if n_outputs == 1 else 0, dtype=np.int64)
    without_loss = events.records.copy()
    for records, scales, sums in [
        (without_loss, loss_scales[:0], out_losses[:0]),
        (events.records, loss_scales, out_losses),
    ]:
        out_root[:], out_largest[:] = 0, 0
        update_residuals(
            events.columns, *walk_of_tree(tree), value, features, *leaves, records[:, events.first - 1], records,
            events.first, scales, scale, sums, out_largest, out_root,
        )  # fmt: skip
    np.testing.assert_array_equal(without_loss, events.records)
    np.testing.assert_array_equal(out_losses, losses)
    np.testing.assert_array_equal(events.residual, updated)
    np.testing.assert_array_equal(out_largest, largest)
    if n_outputs == 1:
        np.testing.assert_array_equal(out_root, slow.build_root_histogram(events.of_features, updated[:, 0], scale))


def random_mirror(rng, n_outputs, n_features=3):
    """CP that swaps the first two features, which then have the same thresholds, and turns some of them round."""
    flipped = rng.random(n_features) < 0.5
    flipped[1] = flipped[0]
    source = np.arange(n_features)
    source[:2] = 1, 0
    return Mirror(source, flipped, rng.choice([-1.0, 1.0], n_outputs))


@given(seed=seeds, n_outputs=st.integers(1, 4), tree=trees, kind=leaf_kinds)
def test_update_residuals_of_pairs(seed, n_outputs, tree, kind):
    assert_update_of_pairs(np.random.default_rng(seed), tree, 60, n_outputs, kind)


@pytest.mark.parametrize("kind", ["constant", "float32"])
def test_update_residuals_of_pairs_in_blocks(rng, kind):
    assert_update_of_pairs(rng, "three levels", 2500, 3, kind)


def assert_update_of_pairs(rng, tree, n, n_outputs, kind):
    events, tree, value, loss_scales, n_edges = random_update(rng, tree, n, n_outputs)
    # The leaves are linear in six features, of which only the first three have codes.
    mirror = random_mirror(rng, n_outputs, 6)
    coded = Mirror(mirror.source[:3], mirror.flipped[:3], mirror.signs)
    image = (mirror.signs, mirror.source[:3], coded.relabel(n_edges))
    (features, leaves), of_twin = random_linear(rng, n, len(tree[0]), n_outputs, kind, signed=False)
    losses, updated, largest = slow.update_residuals_of_pairs(
        events.of_features, tree, value, events.nominal, loss_scales, *image, events.residual, *of_twin, mirror
    )
    out_losses, out_largest = np.zeros_like(losses), np.zeros(n_outputs)
    walk = walk_of_tree(tree)
    of_images = coded.walk_of_images(walk, n_edges)
    without_loss = events.records.copy()
    for records, scales, sums in [
        (without_loss, loss_scales[:0], out_losses[:0]),
        (events.records, loss_scales, out_losses),
    ]:
        out_largest[:] = 0
        update_residuals_of_pairs(
            events.columns, *walk, of_images.feature, of_images.above, of_images.below, value,
            features, *leaves[:2], *mirror.leaves_of_images(leaves), *leaves[2:],
            records[:, events.first - 1], records, events.first, scales, mirror.signs, sums, out_largest,
        )  # fmt: skip
    np.testing.assert_array_equal(without_loss, events.records)
    np.testing.assert_array_equal(out_losses, losses)
    np.testing.assert_array_equal(events.residual, updated)
    np.testing.assert_array_equal(out_largest, largest)


class Moments:
    """Everything of which `sum_moments` makes its sums, for random leaves and events."""

    def __init__(self, rng, tree, n, n_outputs, dtype):
        self.events, self.tree, *_ = random_update(rng, tree, n, n_outputs)
        self.features = random_values(rng, n, dtype)
        self.leaves = random_leaves(rng, len(self.tree[0]), n_outputs, signed=True)
        self.origin = rng.normal(size=self.leaves.columns.shape)
        self.unit = rng.uniform(0.1, 1.0, self.leaves.columns.shape)
        self.signs = rng.choice([-1.0, 1.0], n_outputs)
        self.scales = 2.0 ** rng.integers(0, 40, 2 + n_outputs)

    def summed(self, rows=slice(None)):
        """Sums, lowest and highest values of some rows, from the kernel."""
        n_nodes, n_outputs = len(self.tree[0]), len(self.signs)
        records = np.ascontiguousarray(self.events.records[rows])
        lanes, n_lanes = lanes_of_moments(n_outputs)
        sums = np.full(n_nodes * 2 * n_lanes, 5, dtype=np.int64)
        low, high = np.full((n_nodes, 4), np.inf), np.full((n_nodes, 4), -np.inf)
        sum_moments(
            np.ascontiguousarray(self.events.columns[:, rows]), *walk_of_tree(self.tree), self.features[rows],
            self.leaves.columns, self.leaves.signs, self.origin, self.unit, records.view(np.uint64),
            records[:, self.events.first - 1], records, self.events.first, self.signs, self.scales, sums, low, high,
        )  # fmt: skip
        return sums.reshape(n_nodes, 2, n_lanes)[:, :, lanes] - 5, low, high

    def of_twin(self):
        events, leaves = self.events, self.leaves
        return slow.sum_moments(
            events.of_features, self.tree, self.features, leaves.columns, leaves.signs, self.origin, self.unit,
            events.words, events.nominal, events.residual, self.signs, self.scales,
        )  # fmt: skip


@given(seed=seeds, n_outputs=st.integers(1, 4), tree=trees, dtype=st.sampled_from(["float32", "float64"]))
def test_sum_moments(seed, n_outputs, tree, dtype):
    moments = Moments(np.random.default_rng(seed), tree, 60, n_outputs, dtype)
    for got, expected in zip(moments.summed(), moments.of_twin(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_sum_moments_in_blocks(rng):
    moments = Moments(rng, "three levels", 2500, 2, "float32")
    summed = moments.summed()
    for got, expected in zip(summed, moments.of_twin(), strict=True):
        np.testing.assert_array_equal(got, expected)
    # Each half is there, and has about half of the squared weights.
    square = summed[0][..., 0].sum(axis=0) / summed[0][..., 0].sum()
    assert abs(square[0] - 0.5) < 5 * 0.5 / np.sqrt(len(moments.features) / 4)


@given(seed=seeds, n_outputs=st.integers(1, 4), tree=trees)
def test_moments_depend_neither_on_the_order_nor_on_the_unit_of_the_weights(seed, n_outputs, tree):
    rng = np.random.default_rng(seed)
    moments = Moments(rng, tree, 60, n_outputs, "float32")
    expected = moments.summed()
    cut = int(rng.integers(0, 61))
    order = rng.permutation(60)
    parts = [moments.summed(order[:cut]), moments.summed(order[cut:])]
    np.testing.assert_array_equal(parts[0][0] + parts[1][0], expected[0])
    np.testing.assert_array_equal(np.minimum(parts[0][1], parts[1][1]), expected[1])
    np.testing.assert_array_equal(np.maximum(parts[0][2], parts[1][2]), expected[2])
    moments.events.records[:, moments.events.first - 1 :] *= 2
    moments.scales[0], moments.scales[1:] = moments.scales[0] / 4, moments.scales[1:] / 2
    np.testing.assert_array_equal(moments.summed()[0], expected[0])


def test_constant_leaves_have_no_moments(rng):
    moments = Moments(rng, "three levels", 60, 2, "float32")
    moments.leaves.columns[:] = -1
    sums, low, high = moments.summed()
    assert (sums == 0).all()
    assert (low == np.inf).all()
    assert (high == -np.inf).all()


@given(seed=seeds, n_outputs=st.integers(1, 6), names=st.lists(trees, min_size=1, max_size=3))
def test_sum_by_leaf(seed, n_outputs, names):
    assert_sums(np.random.default_rng(seed), names, 60, n_outputs)


def test_sum_by_leaf_in_blocks(rng):
    assert_sums(rng, ["three levels", "large"], 2500, 2)


def assert_sums(rng, names, n, n_outputs):
    events = Records(rng, n, 3, 1)
    forest = [random_tree(rng, name) for name in names]
    weights = rng.normal(size=(n, n_outputs + 2))
    outputs = rng.permutation(n_outputs + 2)[:n_outputs]
    signs, scales = rng.choice([-1.0, 1.0], n_outputs), 2.0 ** rng.integers(0, 40, 2 + n_outputs)
    walks = [walk_of_tree(tree) for tree in forest]
    flat = [np.concatenate([walk[k] for walk in walks]) for k in range(4)]
    offset = np.cumsum([0, *(len(tree[0]) for tree in forest)])
    n_lanes = -(-(3 + n_outputs) // 4) * 4
    out = np.full(offset[-1] * n_lanes, 2, dtype=np.int64)
    depth = np.array([walk.depth for walk in walks])
    sum_by_leaf(events.columns, *flat, offset, depth, events.nominal, weights, outputs, signs, scales, out)
    expected = [
        slow.sum_by_leaf(events.of_features, tree, events.nominal, signs * weights[:, outputs], scales)
        for tree in forest
    ]
    np.testing.assert_array_equal(out.reshape(-1, n_lanes)[:, : 3 + n_outputs] - 2, np.concatenate(expected))
    assert (out.reshape(-1, n_lanes)[:, 3 + n_outputs :] == 2).all()


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


# ---------------------------------------------------------------------- unbinned likelihood
@given(seed=seeds, n_blocks=st.integers(1, 3), n_columns=st.integers(1, 10), floor=st.sampled_from([1e-3, 0.5, 1e-12]))
def test_sum_log_ratios(seed, n_blocks, n_columns, floor):
    rng = np.random.default_rng(seed)
    ratios, phi = rng.normal(size=(n_blocks, n_columns, LANES)), 0.3 * rng.normal(size=n_columns)
    # Multiples of 1/32: R is exact, so on the same side of the floor in both.
    ratios, phi = np.round(4 * ratios) / 4, np.round(8 * phi) / 8
    ratios[0, :, :3] = 0.0, 1e6, -1e6
    weights = rng.choice([1.0, 0.0, -0.5, 3.0], (n_blocks, LANES))
    sums = np.full((n_columns + 2, LANES), np.nan)
    sum_log_ratios(ratios, weights, phi, floor, sums)
    rows, flat = ratios.swapaxes(1, 2).reshape(-1, n_columns), weights.ravel()
    expected = slow.sum_log_ratios(rows, flat, phi, floor)
    terms = [slow.sum_log_ratios(row[None], w[None], phi, floor) for row, w in zip(rows, flat, strict=True)]
    # Rounding: a few units in the last place of every term.
    error = np.abs(sums.sum(axis=1) - expected)
    assert (error <= 1e-14 * (np.abs(terms).sum(axis=0) + np.abs(flat).sum())).all()
    assert sums.sum(axis=1)[-1] == expected[-1]


@given(value=st.floats(1e-300, 1e300))
def test_logarithms_are_exact_to_rounding(value):
    """One event with R = value: R_1 = value - 1 is exact below 2^53 only, so R is what the kernel makes of it."""
    ratios, weights, sums = np.zeros((1, 2, LANES)), np.zeros((1, LANES)), np.empty((4, LANES))
    ratios[0, 0, 5], ratios[0, 1, 5], weights[0, 5] = -1.0, value, 1.0
    sum_log_ratios(ratios, weights, np.ones(2), 1e-305, sums)
    assert sums.sum(axis=1)[0] == pytest.approx(np.log(value), rel=6e-16, abs=1e-16)
