"""Every kernel against its slow twin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import kernels as slow

from bit.kernels.binning import encode_features
from bit.kernels.histogram import build_histograms, build_root_histogram
from bit.kernels.partition import partition_rows
from bit.kernels.rotation import rotate_weights
from bit.kernels.traversal import update_residuals
from bit.trees.walk import walk_of

seeds = st.integers(0, 2**32 - 1)


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
    codes = np.empty(features.shape, dtype=np.uint8)
    encode_features(features, edges, codes)
    np.testing.assert_array_equal(codes, slow.encode_features(features, edges))


def random_events(rng, n, n_features, n_outputs):
    codes = rng.integers(0, 256, (n, n_features)).astype(np.uint8)
    nominal = rng.integers(-2, 5, n) / 4
    residual = rng.normal(size=(n, n_outputs))
    rows = rng.permutation(n).astype(np.int32)
    bounds = np.sort(rng.integers(0, n + 1, 4))
    starts, stops = bounds[[0, 2]].astype(np.int64), bounds[[1, 3]].astype(np.int64)
    return codes, nominal, residual, rows, starts, stops


@given(seed=seeds, n_outputs=st.integers(1, 11), counted=st.booleans())
def test_build_histograms(seed, n_outputs, counted):
    rng = np.random.default_rng(seed)
    codes, nominal, residual, rows, starts, stops = random_events(rng, 50, 3, n_outputs)
    scales = 2.0 ** rng.integers(0, 40, 1 + n_outputs)
    count_bits = 6 if counted else 0
    n_channels = -(-(1 + counted + n_outputs) // 4) * 4
    out = np.zeros((2, 3 * 256 * n_channels), dtype=np.int64)
    arguments = (codes, rows, starts, stops, nominal, residual, scales, 2.0**10, count_bits)
    build_histograms(*arguments, out)
    np.testing.assert_array_equal(out, slow.build_histograms(*arguments, n_channels))


@given(seed=seeds, exponent=st.integers(0, 40))
def test_build_root_histogram(seed, exponent):
    codes, _, residual, *_ = random_events(np.random.default_rng(seed), 50, 3, 1)
    out = np.zeros(3 * 256, dtype=np.int64)
    build_root_histogram(codes, residual, 2.0**exponent, out)
    np.testing.assert_array_equal(out, slow.build_root_histogram(codes, residual, 2.0**exponent))


@given(seed=seeds)
def test_partition_rows(seed):
    rng = np.random.default_rng(seed)
    codes, _, _, rows, starts, stops = random_events(rng, 60, 3, 1)
    features, bins = rng.integers(0, 3, 2), rng.integers(0, 256, 2)
    expected_rows, expected_middles = slow.partition_rows(codes, starts, stops, features, bins, rows)
    middles = np.empty(2, dtype=np.int64)
    partition_rows(codes, starts, stops, features, bins, np.empty_like(rows), rows, middles)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_array_equal(middles, expected_middles)


@given(seed=seeds, n_outputs=st.integers(1, 4))
def test_update_residuals(seed, n_outputs):
    rng = np.random.default_rng(seed)
    codes, nominal, residual, *_ = random_events(rng, 60, 3, n_outputs)
    weights = rng.normal(size=(60, n_outputs + 2))
    columns = rng.permutation(n_outputs + 2)[:n_outputs].astype(np.int64)
    tree = tuple(
        np.array(column, dtype=np.int64)
        for column in ([0, -1, 2, -1, -1], [100, -1, 30, -1, -1], [1, -1, 3, -1, -1], [2, -1, 4, -1, -1])
    )
    value = rng.normal(size=(5, n_outputs))
    scales = 2.0 ** rng.integers(0, 40, 2 + 2 * n_outputs)
    sums, updated, largest = slow.update_residuals(codes, tree, value, nominal, weights, columns, scales, residual)
    out_sums, out_largest = np.zeros_like(sums), np.zeros(n_outputs)
    update_residuals(codes, *walk_of(*tree), value, nominal, weights, columns, scales, residual, out_sums, out_largest)
    np.testing.assert_array_equal(out_sums, sums)
    np.testing.assert_array_equal(residual, updated)
    np.testing.assert_array_equal(out_largest, largest)


@pytest.mark.parametrize("diagonal", [True, False])
def test_rotate_weights(rng, diagonal):
    weights, columns = rng.normal(size=(30, 5)), np.array([1, 2, 4])
    nominal, base = np.ascontiguousarray(weights[:, 0]), rng.normal(size=3)
    rotation = np.diag(rng.normal(size=3)) if diagonal else rng.normal(size=(3, 3))
    out, largest = np.empty((30, 3)), np.zeros(3)
    rotate_weights(weights, columns, nominal, base, rotation, out, largest)
    # Same terms in another order of additions: a few roundings of numbers of order 10.
    np.testing.assert_allclose(out, slow.rotate_weights(weights, columns, nominal, base, rotation), atol=1e-13)
    np.testing.assert_array_equal(largest, np.abs(out).max(axis=0))
