import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bit.parity import CPParity
from bit.threads import Threads
from bit.trees.binner import BIN_WEIGHTS, Binner, Ranking, bin_measure, edges_of, encode
from bit.trees.mirror import Mirror

float32s = st.floats(width=32, allow_nan=True, allow_infinity=True)
few_values = st.sampled_from([-np.inf, -1.5, -0.0, 0.0, 1e-45, 2.0, 3.4028234663852886e38, np.inf, np.nan])
columns = arrays(np.float32, st.integers(1, 60), elements=st.one_of(float32s, few_values))


def fit(values, max_bins=255, weights=None, mirror=None):
    values = np.asarray(values)
    with Threads(1) as threads:
        return Binner.fit(values.reshape(len(values), -1), max_bins, weights, threads, mirror)


def codes_of(binner, values):
    values = np.asarray(values)
    values = values[:, np.newaxis] if values.ndim == 1 else values
    codes = np.empty(values.shape, dtype=np.uint8)
    encode(values, binner.table, codes, np.empty(values.T.shape, dtype=np.uint8))
    return codes


@given(values=columns)
def test_codes_decide_as_thresholds_do(values):
    binner = fit(values)
    codes = codes_of(binner, values)[:, 0]
    edges = binner.edges[0]
    assert np.isfinite(edges).all()
    assert (np.diff(edges) > 0).all()
    for b, edge in enumerate(edges):
        np.testing.assert_array_equal(codes <= b, values < edge)
    assert (codes[np.isnan(values)] == 255).all()


@given(values=columns)
def test_few_values_are_all_parted(values):
    distinct = np.unique(values[~np.isnan(values)])
    codes = codes_of(fit(values), distinct)[:, 0]
    parted = np.diff(codes.astype(int)) > 0
    # Only the largest float32 and +inf have no finite threshold between them.
    inseparable = (distinct[:-1] == np.finfo(np.float32).max) & (distinct[1:] == np.inf)
    np.testing.assert_array_equal(parted, ~inseparable)


@pytest.mark.parametrize("max_bins", [2, 16, 255])
def test_bins_hold_equal_numbers_of_events(rng, max_bins):
    values = rng.normal(size=10_000).astype(np.float32)
    counts = np.bincount(codes_of(fit(values, max_bins), values)[:, 0])
    assert len(counts) == max_bins
    assert counts.max() - counts.min() <= 2  # distinct values: each bin ends within one event of its quantile


def test_weighted_bins_hold_equal_weight(rng):
    values = rng.exponential(size=20_000).astype(np.float32)
    weights = np.exp(values.astype(np.float64))
    binner = fit(values, 20, weights)
    sums = np.bincount(codes_of(binner, values)[:, 0], weights=weights)
    assert len(sums) == 20
    np.testing.assert_allclose(sums, weights.sum() / 20, atol=2 * weights.max())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
def test_edges_do_not_depend_on_the_order_of_events(rng, weighted, mirrored):
    values = rng.integers(-1000, 1000, (5000, 4)) / 7.0
    weights = rng.exponential(size=5000) if weighted else None
    order = rng.permutation(5000)
    shuffled = None if weights is None else weights[order]
    mirror = MIRROR if mirrored else None
    first, second = fit(values, 64, weights, mirror), fit(values[order], 64, shuffled, mirror)
    for ours, theirs in zip(first.edges, second.edges, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_edges_do_not_depend_on_threads(rng):
    values = rng.normal(size=(2000, 4))
    with Threads(3) as threads:
        several = Binner.fit(values, 32, None, threads, MIRROR)
    for ours, theirs in zip(fit(values, 32, None, MIRROR).edges, several.edges, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_weights_are_repetitions(rng):
    values = rng.normal(size=3000)
    repeats = rng.integers(1, 5, 3000)
    weighted = fit(values, 32, repeats.astype(np.float64)).edges[0]
    np.testing.assert_array_equal(weighted, fit(np.repeat(values, repeats), 32).edges[0])


def test_nan_can_be_parted_from_everything_finite():
    values = np.array([1.0, 2.0, np.nan, np.nan], dtype=np.float32)
    binner = fit(values)
    assert binner.edges[0][-1] > 2.0
    assert codes_of(binner, values)[:, 0].tolist() == [0, 1, 255, 255]


@pytest.mark.parametrize("values", [[3.0, 3.0, 3.0], [np.nan, np.nan], [np.inf, np.inf]])
def test_constant_features_have_no_threshold(values):
    assert len(fit(np.array(values, dtype=np.float32)).edges[0]) == 0


def test_edges_leave_room_for_the_nan_code(rng):
    values = rng.normal(size=5000)
    values[:100] = np.nan
    binner = fit(values, 255)
    assert len(binner.edges[0]) <= 254
    assert codes_of(binner, values)[100:].max() <= 254


def test_float64_is_cast(rng):
    values = rng.normal(size=500)
    edges = fit(values).edges[0]
    assert edges.dtype == np.float32
    np.testing.assert_array_equal(edges, fit(values.astype(np.float32)).edges[0])


def test_many_rows_are_encoded_block_by_block(rng):
    values = rng.normal(size=(20_000, 2))
    binner = fit(values, 100)
    codes, by_feature = np.full((20_000, 8), 99, dtype=np.uint8), np.empty((2, 20_000), dtype=np.uint8)
    encode(values, binner.table, codes, by_feature)
    np.testing.assert_array_equal(by_feature, codes[:, :2].T)
    for f, edges in enumerate(binner.edges):
        np.testing.assert_array_equal(codes[:, f], np.searchsorted(edges, values[:, f].astype(np.float32), "right"))
    assert (codes[:, 2:] == 99).all()


# ---------------------------------------------------------------------- what the quantiles count
def signed_weights(rng, n=400):
    weights = rng.normal(size=(n, 4))
    weights[:, 0] = rng.exponential(size=n) * rng.choice([-1.0, 1.0], n, p=[0.2, 0.8])
    weights[:30, 0] = 0.0
    weights[:10] = 0.0
    weights[:, 3] = 0.25 * weights[:, 0]  # of no interest
    return weights


@pytest.mark.parametrize("name", BIN_WEIGHTS)
def test_measures_are_not_negative_and_free_of_order(rng, name):
    weights, order = signed_weights(rng), rng.permutation(400)
    of = np.array([1, 2, 3])
    measure = bin_measure(weights, of, name, Threads(1))
    if measure is None:
        assert name == "count"
        return
    assert measure.shape == (400,)
    assert np.isfinite(measure).all()
    assert (measure >= 0).all()
    assert measure.max() > 0
    np.testing.assert_array_equal(bin_measure(weights[order], of, name, Threads(1)), measure[order])


@pytest.mark.parametrize("name", BIN_WEIGHTS)
def test_measures_do_not_depend_on_units_of_the_weights(rng, name):
    """Edges are the same if all weights are scaled, or the terms one by one (by powers of two, so exactly)."""
    weights, of = signed_weights(rng), np.array([1, 2])
    values = rng.normal(size=400)
    expected = fit(values, 16, bin_measure(weights, of, name, Threads(1))).edges[0]
    for unit in ([8.0, 8.0, 8.0, 8.0], [1.0, 2.0**-30, 2.0**20, 1.0]):
        np.testing.assert_array_equal(
            fit(values, 16, bin_measure(weights * unit, of, name, Threads(1))).edges[0], expected
        )


# ---------------------------------------------------------------------- symmetric thresholds
# x0 changes sign, x1 stays, x2 and x3 change places.
NAMES = ("x0", "x1", "x2", "x3")
MIRROR = Mirror.of(CPParity(flip=["x0"], swap=[("x2", "x3")], odd_params=["c"]), NAMES, ((), ("c",)))
ONE_FLIPPED = Mirror.of(CPParity(flip=["x0"]), ("x0",), ((),))


def probes_of(edges):
    """Float32 at, one below and one above each threshold and its opposite, and the special values."""
    down, up = np.float32(-np.inf), np.float32(np.inf)
    values = np.concatenate([edges, -edges, [0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan]])
    values = values.astype(np.float32)
    with np.errstate(over="ignore"):
        return np.concatenate([values, np.nextafter(values, down), np.nextafter(values, up)])


@given(values=columns, max_bins=st.sampled_from([3, 4, 5, 17, 255]), probe=columns)
def test_code_of_the_opposite_is_the_opposite_code(values, max_bins, probe):
    values = np.append(values, np.float32(1.0))  # never all 0 or NaN
    binner = fit(values, max_bins, None, ONE_FLIPPED)
    [edges] = binner.edges
    assert len(edges) < max_bins
    assert np.isfinite(edges).all()
    assert (np.diff(edges) > 0).all()
    probe = np.concatenate([probe, values, probes_of(edges)])
    if not (values == 0.0).any():  # 0 is told from its opposite, itself, where it does not occur
        probe = probe[probe != 0.0]
    codes, opposite = (codes_of(binner, x)[:, 0].astype(int) for x in (probe, -probe))
    is_nan = np.isnan(probe)
    np.testing.assert_array_equal(opposite[~is_nan], len(edges) - codes[~is_nan])
    assert (codes[is_nan] == 255).all()
    assert (opposite[is_nan] == 255).all()


@given(values=columns, max_bins=st.sampled_from([3, 4, 255]))
def test_zero_has_a_bin_of_its_own(values, max_bins):
    values = np.concatenate([values, np.array([0.0, 1.0], dtype=np.float32)])
    binner = fit(values, max_bins, None, ONE_FLIPPED)
    around = np.array([-1e-45, -0.0, 0.0, 1e-45], dtype=np.float32)
    low, negative_zero, zero, high = codes_of(binner, around)[:, 0].astype(int)
    assert low + 1 == zero == negative_zero == high - 1
    assert 2 * zero == len(binner.edges[0])


@pytest.mark.parametrize("max_bins", [2, 3, 4, 5, 255])
@pytest.mark.parametrize("with_zeros", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_number_of_symmetric_bins(rng, max_bins, with_zeros, weighted):
    values = rng.normal(size=5000)
    if with_zeros:
        values[:5] = 0.0
    weights = rng.exponential(size=5000) if weighted else None
    n_edges = len(fit(values, max_bins, weights, ONE_FLIPPED).edges[0])
    # Thresholds come in pairs, of which one encloses 0.
    assert n_edges == 2 * ((max_bins - 1) // 2)


def test_symmetric_bins_hold_equal_numbers_of_events_and_images(rng):
    values = rng.exponential(size=20_001).astype(np.float32) - np.float32(0.5)
    binner = fit(values, 64, None, ONE_FLIPPED)
    codes = codes_of(binner, np.concatenate([values, -values]))[:, 0]
    counts = np.bincount(codes)
    assert len(counts) == len(binner.edges[0]) + 1 >= 62
    np.testing.assert_array_equal(counts, counts[::-1])
    counts = np.delete(counts, len(counts) // 2)  # the bin of 0, which does not occur
    assert counts.max() - counts.min() <= 2


def test_swapped_features_share_thresholds(rng):
    values = rng.normal(size=(3000, 4))
    values[:, 3] = 5 * values[:, 3] + 2
    weights = rng.exponential(size=3000)
    for event_weights in (None, weights):
        edges = fit(values, 32, event_weights, MIRROR).edges
        np.testing.assert_array_equal(edges[2], edges[3])
        both = np.concatenate([values[:, 2], values[:, 3]])
        alone = fit(both, 32, None if event_weights is None else np.tile(weights, 2))
        np.testing.assert_array_equal(edges[2], alone.edges[0])
        np.testing.assert_array_equal(edges[1], fit(values[:, 1], 32, event_weights).edges[0])


def test_codes_of_images_follow_from_those_of_the_events(rng):
    values = rng.normal(size=(2000, 4)).astype(np.float32)
    values[rng.random(values.shape) < 0.05] = np.nan
    values[rng.random(values.shape) < 0.05] = 0.0
    values[0], values[1] = np.inf, -np.inf
    binner = fit(values, 24, None, MIRROR)
    relabel = MIRROR.relabel(binner.n_edges).reshape(4, 256)
    codes = codes_of(binner, values)
    images = values[:, MIRROR.source] * np.where(MIRROR.flipped, -1, 1).astype(np.float32)
    expected = codes_of(binner, images)
    for f in range(4):
        np.testing.assert_array_equal(relabel[f, codes[:, MIRROR.source[f]]], expected[:, f])


@pytest.mark.parametrize("max_bins", [2, 3, 255])
def test_constant_symmetric_features(max_bins):
    for values in ([0.0, -0.0, 0.0], [np.nan, np.nan], [0.0, np.nan]):
        assert len(fit(np.array(values, dtype=np.float32), max_bins, None, ONE_FLIPPED).edges[0]) == 0
    # One value is parted from its image.
    [edges] = fit(np.full(5, 3.0), max_bins, None, ONE_FLIPPED).edges
    assert (edges > -3).all()
    assert (edges <= 3).all()
    assert len(edges) == (2 if max_bins > 2 else 0)
    swapped = np.column_stack([[0.0, 1.0], [1.0, 2.0], [7.0, 7.0], [7.0, 7.0]])
    assert [len(edges) for edges in fit(swapped, 255, None, MIRROR).edges][2:] == [0, 0]
    swapped[:, 3] = 8.0
    assert [len(edges) for edges in fit(swapped, 255, None, MIRROR).edges][2:] == [1, 1]


@pytest.mark.parametrize("bits", [4, 10, 20])
@pytest.mark.parametrize("symmetric", [False, True])
def test_thresholds_do_not_depend_on_the_number_of_buckets(rng, bits, symmetric):
    class Other(Ranking):
        bucket_bits = bits

    values = rng.normal(size=5000).astype(np.float32)
    values[::7] = np.round(values[::7], 1)
    values[::50] = np.nan
    values = np.abs(values) if symmetric else values
    for max_bins in (5, 60, 255):
        for quanta in (np.empty(0, dtype=np.int64), rng.integers(0, 1000, 5000)):
            edges = [edges_of(kind(values, quanta), max_bins, symmetric=symmetric) for kind in (Ranking, Other)]
            np.testing.assert_array_equal(*edges)
