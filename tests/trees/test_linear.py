"""Linear parts of leaves, from sums over explicit events."""

from dataclasses import dataclass

import numpy as np
import pytest

from bit.trees.linear import _RIDGES as RIDGES
from bit.trees.linear import Moments, features_of_leaves, fit_slopes

EPS = np.finfo(np.float64).eps
# Pairs i <= j of the four features, in the order of the sums.
PAIRS = [(i, j) for i in range(4) for j in range(i, 4)]


# ---------------------------------------------------------------------- which features
def chain(features, gains):
    """A tree whose right child is split again and again."""
    n = 2 * len(features) + 1
    feature, left, right = np.full((3, n), -1)
    gain = np.zeros(n)
    for step, (f, g) in enumerate(zip(features, gains, strict=True)):
        node = 2 * step
        feature[node], gain[node], left[node], right[node] = f, g, node + 1, node + 2
    return feature, left, right, gain


def test_leaves_take_the_features_that_gained_most_on_the_way_to_them():
    columns = features_of_leaves(*chain([5, 3, 7, 3], [10.0, 6.0, 8.0, 3.0]))
    # Feature 3 gains 6 + 3 < 10 in the lowest leaves, and more than 7 only there.
    assert columns[1].tolist() == [5, -1, -1, -1]
    assert columns[3].tolist() == [5, 3, -1, -1]
    assert columns[5].tolist() == [5, 7, 3, -1]
    assert columns[7].tolist() == columns[8].tolist() == [5, 3, 7, -1]
    assert (columns[[0, 2, 4, 6]] == -1).all()


def test_leaves_take_at_most_four_features():
    columns = features_of_leaves(*chain([9, 2, 4, 6, 0], [1.0, 5.0, 3.0, 4.0, 2.0]))
    assert columns[-1].tolist() == columns[-2].tolist() == [2, 6, 4, 0]


def test_of_equal_gains_the_lower_number_comes_first():
    columns = features_of_leaves(*chain([6, 1, 4, 0, 3], [2.0, 2.0, 2.0, 2.0, 2.0]))
    assert columns[-1].tolist() == [0, 1, 3, 4]


def test_gains_on_other_branches_do_not_count():
    feature, left = np.array([0, 1, 2, -1, -1, -1, -1]), np.array([1, 3, 5, -1, -1, -1, -1])
    right = np.array([2, 4, 6, -1, -1, -1, -1])
    columns = features_of_leaves(feature, left, right, np.array([1.0, 9.0, 0.5, 0, 0, 0, 0]))
    assert [row.tolist() for row in columns[3:]] == 2 * [[1, 0, -1, -1]] + 2 * [[0, 2, -1, -1]]


def test_a_single_leaf_has_no_features():
    assert features_of_leaves(*chain([], [])).tolist() == [[-1, -1, -1, -1]]


# ---------------------------------------------------------------------- sums of explicit events
@dataclass
class Events:
    """Events of some leaves: features, nominal weights, residuals, leaf and half."""

    x: np.ndarray
    w: np.ndarray
    u: np.ndarray
    leaf: np.ndarray
    half: np.ndarray

    @property
    def columns(self):
        n_leaves, n_features = self.leaf.max() + 1, self.x.shape[1]
        return np.tile(np.append(np.arange(n_features), np.full(4 - n_features, -1)), (n_leaves, 1))

    def moments(self):
        n_leaves, n_features = self.leaf.max() + 1, self.x.shape[1]
        padded = np.zeros((len(self.x), 4))
        padded[:, :n_features] = self.x
        low, high = padded.min(axis=0), padded.max(axis=0)
        origin, unit = (low + high) / 2, 2 / np.where(high > low, high - low, 2.0)
        z = (padded - origin) * unit
        rows = [self.w**2, self.w, *(self.w * z.T), *(self.w * z[:, i] * z[:, j] for i, j in PAIRS)]
        for rest in self.u.T:
            rows += [rest, *(rest * z.T)]
        sums = np.zeros((n_leaves, 2, len(rows)))
        np.add.at(sums, (self.leaf, self.half), np.array(rows).T)
        lows, highs = np.full((n_leaves, 4), np.inf), np.full((n_leaves, 4), -np.inf)
        np.minimum.at(lows, self.leaf, padded)
        np.maximum.at(highs, self.leaf, padded)
        return Moments(
            sums.sum(axis=1), sums, np.tile(origin, (n_leaves, 1)), np.tile(unit, (n_leaves, 1)), lows, highs
        )

    def fit(self, ridge):
        return fit_slopes(self.columns, self.moments(), ridge)

    def of_leaf(self, leaf):
        mine = self.leaf == leaf
        return self.x[mine], self.w[mine], self.u[mine]


def make_events(rng, n=600, n_features=3, n_outputs=2, n_leaves=3):
    x = rng.normal([50.0, -3.0, 0.2, 7.0][:n_features], [20.0, 1.0, 0.05, 3.0][:n_features], (n, n_features))
    x[:, -1] += 0.01 * x[:, 0]  # features that are correlated
    w = rng.exponential(size=n)
    ratio = x @ rng.normal(size=(n_features, n_outputs)) + rng.normal(size=(n, n_outputs))
    return Events(x, w, w[:, np.newaxis] * ratio, rng.integers(0, n_leaves, n), rng.integers(0, 2, n))


def normal_equations(x, w, u):
    """Around the weighted mean: matrix and right side."""
    d = x - np.average(x, axis=0, weights=w)
    return d.T @ (w[:, np.newaxis] * d), d.T @ u


def rounding(x, w):
    """Relative rounding of slopes: n additions in each sum, enlarged by the matrix when it is solved."""
    matrix, _ = normal_equations(x, w, w[:, np.newaxis])
    size = np.sqrt(np.diag(matrix))
    # The sums are not those around the mean: what cancels is at most (range / spread)^2 of what is left.
    cancelled = max(np.ptp(x, axis=0) ** 2 * w.sum() / size**2)
    return len(x) * EPS * np.linalg.cond(matrix / np.outer(size, size)) * cancelled


@pytest.mark.parametrize("n_features", [1, 2, 3, 4])
def test_without_ridge_slopes_are_those_of_least_squares(rng, n_features):
    events = make_events(rng, n_features=n_features)
    walk, *_ = events.fit(0.0)
    for leaf in range(3):
        x, w, u = events.of_leaf(leaf)
        root = np.sqrt(w)[:, np.newaxis]
        design = np.column_stack([np.ones(len(x)), x - walk.centre[leaf, :n_features]])
        solution = np.linalg.lstsq(design * root, u / w[:, np.newaxis] * root, rcond=None)[0]
        scale = np.abs(solution[1:].T * x.std(axis=0)).max() / x.std(axis=0)
        assert (np.abs(walk.slope[leaf, :, :n_features] - solution[1:].T) <= rounding(x, w) * scale).all()
        # With x counted from the mean the intercept is what a constant leaf has.
        mean = u.sum(axis=0) / w.sum()
        assert np.abs(solution[0] - mean).max() <= rounding(x, w) * np.abs(u / w[:, np.newaxis]).max()
        np.testing.assert_array_equal(walk.low[leaf, :n_features], x.min(axis=0))
        np.testing.assert_array_equal(walk.high[leaf, :n_features], x.max(axis=0))
        np.testing.assert_allclose(
            walk.centre[leaf, :n_features], np.average(x, axis=0, weights=w), rtol=0, atol=len(x) * EPS * 100
        )
    np.testing.assert_array_equal(walk.columns, events.columns)
    np.testing.assert_array_equal(walk.signs, 1.0)
    for array in (walk.centre, walk.low, walk.high, walk.slope):
        assert (array[..., n_features:] == 0).all()


@pytest.mark.parametrize("ridge", [1e-3, 0.5, 20.0])
def test_ridge_is_a_fraction_of_the_diagonal(rng, ridge):
    events = make_events(rng)
    walk, *_ = events.fit(ridge)
    for leaf in range(3):
        x, w, u = events.of_leaf(leaf)
        matrix, right = normal_equations(x, w, u)
        expected = np.linalg.solve(matrix + ridge * np.diag(np.diag(matrix)), right).T
        scale = np.abs(expected * x.std(axis=0)).max() / x.std(axis=0)
        assert (np.abs(walk.slope[leaf, :, :3] - expected) <= rounding(x, w) * scale).all()


def test_slopes_shrink_with_the_ridge(rng):
    events = make_events(rng, n_features=1)
    plain, shrunk = events.fit(0.0)[0].slope, events.fit(3.0)[0].slope
    np.testing.assert_allclose(shrunk, plain / 4, rtol=4 * EPS, atol=0)
    assert (np.abs(plain[..., 0]) > 0).all()


def loss(w, u, value):
    return (w[:, np.newaxis] * value**2 - 2 * u * value).sum(axis=0)


@pytest.mark.parametrize("ridge", [0.0, 0.3, None])
def test_changes_are_those_of_the_loss(rng, ridge):
    events = make_events(rng)
    walk, changes, _ = events.fit(ridge)
    for leaf in range(3):
        x, w, u = events.of_leaf(leaf)
        constant = u.sum(axis=0) / w.sum()
        step = (x - walk.centre[leaf, :3]) @ walk.slope[leaf, :, :3].T
        for rate in (1.0, 0.2):
            direct = loss(w, u, rate * (constant + step)) - loss(w, u, rate * constant)
            claimed = rate**2 * changes[leaf, :, 0] + rate * changes[leaf, :, 1]
            largest = (w[:, np.newaxis] * (constant**2 + step**2) + np.abs(u) * (np.abs(constant) + np.abs(step))).sum()
            assert np.abs(direct - claimed).max() <= 4 * rounding(x, w) * largest


def test_without_ridge_the_loss_falls_by_what_the_slopes_explain(rng):
    changes = make_events(rng).fit(0.0)[1]
    # At the minimum c^T A c = c b.
    np.testing.assert_allclose(changes[..., 0], -changes[..., 1] / 2, rtol=1e-9)
    assert (changes.sum(axis=2) < 0).all()


def test_units_of_features_and_weights_do_not_matter(rng):
    events = make_events(rng)
    factor = np.array([1024.0, 2.0**-10, 2.0])
    scaled = Events(events.x * factor, 4 * events.w, 4 * events.u, events.leaf, events.half)
    for ridge in (0.0, 0.3, None):
        plain, other = events.fit(ridge)[0], scaled.fit(ridge)[0]
        np.testing.assert_array_equal(other.slope[..., :3] * factor, plain.slope[..., :3])
        np.testing.assert_array_equal(other.centre[..., :3], plain.centre[..., :3] * factor)


# ---------------------------------------------------------------------- constant leaves
def assert_constant(walk, leaf):
    assert (walk.columns[leaf] == -1).all()
    for array in (walk.slope, walk.centre, walk.low, walk.high):
        assert (array[leaf] == 0).all()


@pytest.mark.parametrize("ridge", [0.0, 0.1, None])
def test_leaves_with_few_effective_events_are_constant(rng, ridge):
    """Two slopes and an intercept need nine events; events that carry next to no weight do not count."""
    x = rng.normal(size=(208, 2))
    leaf = np.repeat([0, 1, 2], [8, 100, 100])
    w = np.ones(208)
    w[8 + 8 : 108] = 1e-6
    ratio = x.sum(axis=1, keepdims=True)
    events = Events(x, w, w[:, np.newaxis] * ratio, leaf, np.arange(208) % 2)
    walk, changes, _ = events.fit(ridge)
    for few in (0, 1):
        assert_constant(walk, few)
        assert (changes[few] == 0).all()
    assert (walk.columns[2] == [0, 1, -1, -1]).all()
    assert (walk.slope[2, :, :2] > 0.5).all()


def test_nine_effective_events_are_enough_for_two_slopes(rng):
    x = rng.normal(size=(9, 2))
    events = Events(x, np.ones(9), x[:, :1] - x[:, 1:], np.zeros(9, dtype=int), np.arange(9) % 2)
    walk, *_ = events.fit(0.0)
    np.testing.assert_allclose(walk.slope[0, 0, :2], [1, -1], rtol=rounding(x, np.ones(9)))


@pytest.mark.parametrize("ridge", [0.0, 0.1, None])
def test_features_without_spread_have_no_slope(rng, ridge):
    x = rng.normal(size=(200, 2))
    x[:100, 1] = 0.25
    leaf = np.repeat([0, 1], 100)
    events = Events(x, np.ones(200), x[:, :1] + x[:, 1:], leaf, np.arange(200) % 2)
    walk, *_ = events.fit(ridge)
    assert walk.slope[0, 0, 1] == 0
    assert abs(walk.slope[0, 0, 0] - 1) < 0.2
    assert abs(walk.slope[1, 0, 1] - 1) < 0.2
    only = Events(np.where(leaf[:, np.newaxis] == 0, 0.25, x), events.w, events.u, leaf, events.half)
    assert_constant(only.fit(ridge)[0], 0)


def test_equal_features_share_their_slope_or_have_none(rng):
    """Their matrix has no inverse; with a ridge r each has 1 / (2 + r) of the slope of both together."""
    x = np.repeat(rng.normal(size=(200, 1)), 2, axis=1)
    events = Events(x, np.ones(200), 3 * (x[:, :1] - x[:, 0].mean()), np.zeros(200, dtype=int), np.arange(200) % 2)
    assert_constant(events.fit(0.0)[0], 0)
    np.testing.assert_allclose(events.fit(0.5)[0].slope[0, 0, :2], 3 / 2.5, rtol=200 * EPS * 10)


@pytest.mark.parametrize("ridge", [0.0, 0.1, None])
def test_leaves_whose_weights_sum_to_nothing_positive_are_constant(rng, ridge):
    x = rng.normal(size=(300, 1))
    leaf = np.repeat([0, 1, 2], 100)
    w = np.ones(300)
    w[:100] = -1.0
    w[100:200] = np.tile([1.0, -1.0], 50)
    walk, changes, _ = Events(x, w, x.copy(), leaf, rng.integers(0, 2, 300)).fit(ridge)
    for bad in (0, 1):
        assert_constant(walk, bad)
        assert (changes[bad] == 0).all()
    assert walk.columns[2, 0] == 0


def test_a_spread_that_is_negative_gives_no_slope(rng):
    """Positive weights in the middle and negative ones at the edges."""
    x = np.concatenate([rng.uniform(-0.1, 0.1, 900), [-1.0, 1.0] * 150])[:, np.newaxis]
    w = np.repeat([1.0, -0.4], [900, 300])
    events = Events(x, w, x.copy(), np.zeros(1200, dtype=int), np.arange(1200) % 2)
    assert w @ x[:, 0] ** 2 < 0 < w.sum()
    assert_constant(events.fit(0.0)[0], 0)


@pytest.mark.parametrize("ridge", [0.0, 0.1, None])
def test_leaves_without_events_are_constant(rng, ridge):
    events = make_events(rng)
    moments = events.moments()
    moments.whole[1] = moments.halves[1] = 0.0
    moments.low[1], moments.high[1] = np.inf, -np.inf
    walk, changes, _ = fit_slopes(events.columns, moments, ridge)
    assert_constant(walk, 1)
    assert np.isfinite(changes).all()
    assert all(np.isfinite(array).all() for array in walk[1:])
    unused = np.full_like(events.columns, -1)
    for leaf in range(3):
        assert_constant(fit_slopes(unused, moments, ridge)[0], leaf)


# ---------------------------------------------------------------------- the ridge that is chosen
@pytest.mark.parametrize("ridge", [0.0, 0.3, None])
def test_gains_of_the_features_add_up_to_what_the_loss_falls_by(rng, ridge):
    events = make_events(rng)
    _, changes, gains = events.fit(ridge)
    np.testing.assert_allclose(gains.sum(axis=1), -changes.sum(axis=(1, 2)), rtol=1e-9)
    assert gains.any()


def test_a_feature_that_says_nothing_gains_nothing(rng):
    """Without noise and ridge its slope is 0, and the other feature has all of the gain."""
    x = rng.normal(size=(500, 2))
    events = Events(x, np.ones(500), 2.0 * x[:, :1], np.zeros(500, dtype=int), rng.integers(0, 2, 500))
    gains = events.fit(0.0).gains[0]
    explained = 4.0 * ((x[:, 0] - x[:, 0].mean()) ** 2).sum()
    np.testing.assert_allclose(gains, [explained, 0, 0, 0], rtol=1e-9, atol=1e-9 * explained)


def test_clean_slopes_are_not_shrunk(rng):
    n = 4000
    x = rng.normal(size=(n, 2))
    ratio = x @ [[1.0], [-2.0]] + 0.01 * rng.normal(size=(n, 1))
    events = Events(x, np.ones(n), ratio, rng.integers(0, 4, n), rng.integers(0, 2, n))
    np.testing.assert_array_equal(events.fit(None)[0].slope, events.fit(min(RIDGES))[0].slope)


def test_noise_gets_next_to_no_slopes(rng):
    """With slopes from noise the loss of other events rises, on average by 1 / (1 + ridge)^2 for each slope.

    The rise of 300 leaves with four slopes and two halves each, in units of its scatter, is sqrt(2400) / 2 / (1 + r):
    twelve for r = 1, so that no smaller ridge can win.
    """
    n = 60_000
    x = rng.normal(size=(n, 4))
    events = Events(x, np.ones(n), rng.normal(size=(n, 1)), rng.integers(0, 300, n), rng.integers(0, 2, n))
    chosen, mild = events.fit(None)[0].slope, events.fit(1.0)[0].slope
    assert np.abs(mild).max() > 0
    assert (chosen**2).sum() < (mild**2).sum() / 2


def test_the_ridge_is_chosen_for_each_output(rng):
    n = 60_000
    x = rng.normal(size=(n, 4))
    noise = rng.normal(size=(n, 1))
    clean = x.sum(axis=1, keepdims=True)
    events = Events(x, np.ones(n), np.hstack([clean, noise]), rng.integers(0, 300, n), rng.integers(0, 2, n))
    chosen = events.fit(None)[0].slope
    np.testing.assert_array_equal(chosen[:, 0], events.fit(min(RIDGES))[0].slope[:, 0])
    assert (chosen[:, 1] ** 2).sum() < (events.fit(1.0)[0].slope[:, 1] ** 2).sum() / 2


def test_the_ridge_is_that_with_which_one_half_lowers_the_loss_of_the_other_most(rng):
    """One leaf, one feature and outputs from no slope to a clear one: all candidates tried by hand."""
    n, n_outputs = 60, 80
    x = rng.normal(size=(n, 1))
    u = x * np.linspace(0.0, 0.6, n_outputs) + rng.normal(size=(n, n_outputs))
    events = Events(x, np.ones(n), u, np.zeros(n, dtype=int), np.arange(n) % 2)
    chosen = events.fit(None)[0].slope[0, :, 0]
    (first, b), (second, d) = (normal_equations(x[half::2], np.ones(n // 2), u[half::2]) for half in (0, 1))
    first, second = first[0, 0], second[0, 0]

    def change(k, ridge):
        one, other = b[0, k] / first / (1 + ridge), d[0, k] / second / (1 + ridge)
        return second * one**2 - 2 * d[0, k] * one + first * other**2 - 2 * b[0, k] * other

    taken = []
    for k in range(n_outputs):
        best = min(RIDGES, key=lambda ridge, k=k: change(k, ridge))
        if change(k, best) >= 0:
            assert chosen[k] == 0
            taken.append(None)
        else:
            assert chosen[k] == events.fit(best)[0].slope[0, k, 0]
            taken.append(best)
    assert None in taken
    assert len(set(taken)) > 3
