import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bit.trees.binner import Binner

float32s = st.floats(width=32, allow_nan=True, allow_infinity=True)
few_values = st.sampled_from([-np.inf, -1.5, -0.0, 0.0, 1e-45, 2.0, 3.4028234663852886e38, np.inf, np.nan])


def fit(values, max_bins=255, weights=None):
    return Binner.fit(np.asarray(values).reshape(-1, 1), max_bins, weights, map)


@given(values=arrays(np.float32, st.integers(1, 60), elements=st.one_of(float32s, few_values)))
def test_codes_decide_as_thresholds_do(values):
    binner = fit(values)
    codes = binner.encode(values.reshape(-1, 1))[:, 0]
    edges = binner.edges[0]
    assert np.isfinite(edges).all()
    assert (np.diff(edges) > 0).all()
    for b, edge in enumerate(edges):
        np.testing.assert_array_equal(codes <= b, values < edge)
    assert (codes[np.isnan(values)] == 255).all()


@given(values=arrays(np.float32, st.integers(1, 60), elements=st.one_of(float32s, few_values)))
def test_few_values_are_all_parted(values):
    distinct = np.unique(values[~np.isnan(values)])
    codes = fit(values).encode(distinct.reshape(-1, 1))[:, 0]
    parted = np.diff(codes.astype(int)) > 0
    # Only the largest float32 and +inf have no finite threshold between them.
    inseparable = (distinct[:-1] == np.finfo(np.float32).max) & (distinct[1:] == np.inf)
    np.testing.assert_array_equal(parted, ~inseparable)


@pytest.mark.parametrize("max_bins", [2, 16, 255])
def test_bins_hold_equal_numbers_of_events(rng, max_bins):
    values = rng.normal(size=10_000).astype(np.float32)
    counts = np.bincount(fit(values, max_bins).encode(values.reshape(-1, 1))[:, 0])
    assert len(counts) == max_bins
    assert counts.max() - counts.min() <= 2  # distinct values: each bin ends within one event of its quantile


def test_weighted_bins_hold_equal_weight(rng):
    values = rng.exponential(size=20_000).astype(np.float32)
    weights = np.exp(values.astype(np.float64))
    binner = fit(values, 20, weights)
    sums = np.bincount(binner.encode(values.reshape(-1, 1))[:, 0], weights=weights)
    assert len(sums) == 20
    np.testing.assert_allclose(sums, weights.sum() / 20, atol=2 * weights.max())


@pytest.mark.parametrize("weighted", [False, True])
def test_edges_do_not_depend_on_the_order_of_events(rng, weighted):
    values = rng.integers(0, 1000, 5000) / 7.0
    weights = rng.exponential(size=5000) if weighted else None
    order = rng.permutation(5000)
    shuffled = None if weights is None else weights[order]
    np.testing.assert_array_equal(fit(values, 64, weights).edges[0], fit(values[order], 64, shuffled).edges[0])


def test_weights_are_repetitions(rng):
    values = rng.normal(size=3000)
    repeats = rng.integers(1, 5, 3000)
    weighted = fit(values, 32, repeats.astype(np.float64)).edges[0]
    np.testing.assert_array_equal(weighted, fit(np.repeat(values, repeats), 32).edges[0])


def test_nan_can_be_parted_from_everything_finite():
    values = np.array([1.0, 2.0, np.nan, np.nan], dtype=np.float32)
    binner = fit(values)
    assert binner.edges[0][-1] > 2.0
    assert binner.encode(values.reshape(-1, 1))[:, 0].tolist() == [0, 1, 255, 255]


@pytest.mark.parametrize("values", [[3.0, 3.0, 3.0], [np.nan, np.nan], [np.inf, np.inf]])
def test_constant_features_have_no_threshold(values):
    assert len(fit(np.array(values, dtype=np.float32)).edges[0]) == 0


def test_edges_leave_room_for_the_nan_code(rng):
    values = rng.normal(size=5000)
    values[:100] = np.nan
    binner = fit(values, 255)
    assert len(binner.edges[0]) <= 254
    assert binner.encode(values.reshape(-1, 1))[100:].max() <= 254


def test_float64_is_cast(rng):
    values = rng.normal(size=500)
    edges = fit(values).edges[0]
    assert edges.dtype == np.float32
    np.testing.assert_array_equal(edges, fit(values.astype(np.float32)).edges[0])
