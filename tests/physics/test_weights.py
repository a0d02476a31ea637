"""Hard weights against closed forms: negative, zero and heavy-tailed nominal weights, interference and backgrounds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bit
from bit.errors import InputError
from bit.metrics import captured_information, rho2
from bit.processes.analytic import GaussianMean, with_negative_weights

N_SEEDS = 16
N_CELLS = 8
# Sum over 8 cells of squared Student t of 15 degrees of freedom (16 seeds): above 38 with probability 1e-3.
MOST_T2 = 38.0
TEST_EVENTS = 50_000


def table_of(x, weights, order=2):
    basis = bit.PolynomialBasis(["theta"], order=order)
    return bit.EventTable(np.reshape(x, (len(weights), 1)), weights, basis, feature_names=["x"])


# ---------------------------------------------------------------------- negative weights
LATENT = GaussianMean(smearing=1.0, order=1)  # R(x) = x/2, and noise of standard deviation sqrt(1/2)


def constant_share(x):
    return np.full(len(x), 0.2)


def growing_share(x):
    """From 0 at the left to 0.4 at the right, 0.2 on average."""
    return 0.4 / (1.0 + np.exp(-2.0 * x))


def subtracted(share, n_events, seed):
    """Negative events in a share of the cases; their joint ratio differs from that of the positive ones.

    The means R + f d of the positive and R + (1 - f) d of the negative events give
    (1 - f) (R + f d) - f (R + (1 - f) d) = (1 - 2 f) R: the truth is R, but neither kind of event alone has it.
    """
    table = LATENT.sample(n_events, seed=seed)
    fraction = share(table.column("x"))
    signed = with_negative_weights(table, fraction, seed=seed + 1000)
    other = np.where(signed.weights[:, 0] > 0, fraction, 1.0 - fraction)
    weights = signed.weights + np.column_stack([np.zeros(n_events), signed.weights[:, 0] * other])
    return replace(signed, weights=weights)


def positive_of_the_same_size(share, n_events, seed):
    """Positive weights with the same number of effective events at every x.

    Events are kept with probability (1 - 2 f)^2 and weighted by its inverse, so that the mean of w and of w^2
    at x are those of signed events.
    """
    table = LATENT.sample(n_events, seed=seed + 2000)
    kept = (1.0 - 2.0 * share(table.column("x"))) ** 2
    rows = np.random.default_rng(seed + 3000).random(n_events) < kept
    weights = table.weights[rows] / kept[rows, np.newaxis]
    # Noise of the joint ratio as wide as that of the signed events: f (1 - f) comes from the two kinds.
    share_kept = share(table.column("x")[rows])
    width = np.sqrt(share_kept * (1.0 - share_kept))
    weights[:, 1] += weights[:, 0] * width * np.random.default_rng(seed + 4000).choice([-1.0, 1.0], len(weights))
    return replace(table.take(rows), weights=weights)


@pytest.fixture(scope="module")
def probe():
    return LATENT.sample(TEST_EVENTS, seed=99)


def figures(table, probe):
    """Captured information, rho^2, mean squared error over mean square, and the bias in cells of R."""
    prediction = bit.BIT(n_estimators=30, max_depth=3).fit(table).predict(probe)[:, 0]
    truth, nominal = probe.aux["truth"], probe.weights[:, 0]
    cell = np.searchsorted(np.quantile(truth, np.linspace(0, 1, N_CELLS + 1)[1:-1]), truth)
    bias = np.bincount(cell, nominal * (prediction - truth)) / np.bincount(cell, nominal)
    captured = captured_information(nominal * truth, prediction, truth)
    lost = (nominal @ (prediction - truth) ** 2) / (nominal @ truth**2)
    return np.concatenate([[captured, rho2(truth, prediction, nominal), lost], bias])


@pytest.mark.parametrize("share", [constant_share, growing_share])
def test_negative_weights_train_as_well_as_positive_ones_of_the_same_effective_size(share, probe):
    n_events = 16_000
    samples = [(subtracted(share, n_events, s), positive_of_the_same_size(share, n_events, s)) for s in range(N_SEEDS)]
    sizes = np.array([[signed.n_eff, positive.n_eff] for signed, positive in samples])
    # A sum of n_eff effective events has the relative error 1/sqrt(n_eff), its square twice that.
    tolerance = 5.0 * 2.0 / np.sqrt(sizes[:, 1].sum())
    assert sizes[:, 0].mean() == pytest.approx(sizes[:, 1].mean(), rel=tolerance)
    results = np.array([[figures(table, probe) for table in pair] for pair in samples])
    mean = results.mean(axis=0)
    error = results.std(axis=0, ddof=1) / np.sqrt(N_SEEDS)
    # Captured information, rho^2 and loss agree within 4 standard errors of the seeds.
    np.testing.assert_array_less(np.abs(mean[0] - mean[1])[:3], 4.0 * np.hypot(*error)[:3])
    assert mean[0, 1] > 0.95
    # The bias of the signed samples in cells of R vanishes within the spread of the seeds.
    assert ((mean[0] / error[0])[3:] ** 2).sum() < MOST_T2


def test_signs_matter(probe):
    """The same events without their signs learn another function: the test above could fail."""
    table = subtracted(constant_share, 16_000, seed=0)
    sign = np.sign(table.weights[:, :1])
    unsigned = replace(table, weights=table.weights * sign)
    # (1 - f) (R + f) + f (R + 1 - f) = R + 2 f (1 - f).
    assert abs(figures(table, probe)[3:].mean()) < 0.05
    assert figures(unsigned, probe)[3:].mean() == pytest.approx(0.32, abs=0.05)


# ---------------------------------------------------------------------- samples without nominal weight
def split_samples(n_events, rng):
    """SM, interference and squared events as three samples, each unweighted, of R_a = x and R_aa = x^2/2.

    |x| follows p(x), |x| p(x) and x^2 p(x), p the standard normal density: chi distributions of 1, 2 and 3 degrees
    of freedom; their integrals are 1, sqrt(2/pi) and 1.
    """
    parts = []
    for column, (integral, factor) in enumerate(((1.0, 1.0), (np.sqrt(2.0 / np.pi), 1.0), (1.0, 0.5))):
        sign = rng.choice([-1.0, 1.0], n_events)
        x = sign * np.sqrt(rng.chisquare(1 + column, n_events))
        weights = np.zeros((n_events, 3))
        weights[:, column] = factor * integral / n_events * (sign if column == 1 else 1.0)
        parts.append(table_of(x, weights))
    return parts


def test_interference_and_squared_samples_beside_the_nominal_one(rng):
    """Three unweighted samples of one process learn what one sample with all weights does."""
    # Beyond 1.8 leaves get as small as min_effective_samples allows. There numerator and denominator fluctuate
    # independently, and the mean of their quotient is not the quotient of their means.
    grid = np.linspace(-1.8, 1.8, 96)
    truth = np.column_stack([grid, 0.5 * grid**2])
    separate, whole = [], []
    for seed in range(N_SEEDS):
        nominal, interference, squared = split_samples(5_000, rng)
        for found, table in (
            (separate, nominal.concat(interference).concat(squared)),
            (whole, GaussianMean().sample(5_000, seed)),
        ):
            found.append(bit.BIT(n_estimators=60, max_depth=3).fit(table).predict(grid[:, np.newaxis]))
    density = np.exp(-0.5 * grid**2)
    kept = [np.mean([rho2(truth, p, density) for p in found], axis=0) for found in (separate, whole)]
    assert (kept[1] > 0.99).all()
    # Numbers of events of separate samples fluctuate independently. In a leaf of n = 50 nominal events that is a
    # variance (sqrt(2/pi) |x| + x^2) / n of R_a and (x^2 + x^4) / 4 n of R_aa, on average 3 and 4 % of theirs.
    # Leaves of different trees overlap in cells that are smaller, by half or so: twice as much.
    assert (kept[0] > 1 - 2 * np.array([0.03, 0.04])).all()
    # The mean of the bias, its slope, curvature and skewness: 4 squared Student t, above 28 with probability 1e-3.
    # Cells of x would not do: where R_aa vanishes so does the noise, and what is left is the width of the leaves.
    moments = np.polynomial.hermite_e.hermevander(grid, 3) * density[:, np.newaxis] / density.sum()
    projected = np.einsum("xm,sxk->smk", moments, np.array(separate) - truth)
    error = projected.std(axis=0, ddof=1) / np.sqrt(N_SEEDS)
    assert (((projected.mean(axis=0) / error) ** 2).sum(axis=0) < 28.0).all()


def few_values(rng, n_events, n_terms, *, negative=0.0):
    """Features of few values, so that edges are the same for any number of events."""
    features = rng.integers(0, 12, (n_events, 3)).astype(np.float64)
    nominal = rng.exponential(size=n_events) * np.where(rng.random(n_events) < negative, -1.0, 1.0)
    weights = np.column_stack([nominal, rng.normal(size=(n_events, n_terms)) + features[:, :1]])
    return features, weights, bit.PolynomialBasis([f"c{k}" for k in range(n_terms)], order=1)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), n_terms=st.integers(1, 3), signed=st.booleans())
def test_weights_of_an_event_may_stand_in_several_rows(seed, n_terms, signed):
    """Rows (w_0, 0, ...) and (0, w_1, ...) at the same x have the sums of the whole event."""
    rng = np.random.default_rng(seed)
    features, weights, basis = few_values(rng, 400, n_terms, negative=0.2 if signed else 0.0)
    rows = np.repeat(features, n_terms + 1, axis=0)
    alone = (weights[:, :, np.newaxis] * np.eye(n_terms + 1)).reshape(len(rows), -1)
    # Base points fix the metric; the spread of the terms counts fluctuations event by event.
    parameters = {"n_estimators": 4, "min_samples_leaf": 1, "base_points": np.eye(n_terms)}
    parameters["min_effective_samples"] = 15 if signed else 0
    whole = bit.BIT(**parameters).fit(bit.EventTable(features, weights, basis, feature_names=list("xyz")))
    apart = bit.BIT(**parameters).fit(bit.EventTable(rows, alone, basis, feature_names=list("xyz")))
    assert whole.forest_.n_trees == 4
    np.testing.assert_array_equal(whole.forest_.groups[0].feature, apart.forest_.groups[0].feature)
    # Not the same bits: the scale of the integers depends on the number of rows, 2^-50 of the largest weight.
    np.testing.assert_allclose(apart.predict(features), whole.predict(features), atol=1e-9)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), n_terms=st.integers(1, 3), signed=st.booleans())
def test_events_without_any_weight_change_nothing(seed, n_terms, signed):
    rng = np.random.default_rng(seed)
    features, weights, basis = few_values(rng, 400, n_terms, negative=0.2 if signed else 0.0)
    table = bit.EventTable(features, weights, basis, feature_names=list("xyz"))
    empty = bit.EventTable(features[::-1], np.zeros_like(weights), basis, feature_names=list("xyz"))
    parameters = {"n_estimators": 4, "min_samples_leaf": 1, "min_effective_samples": 15 if signed else 0}
    first, second = bit.BIT(**parameters).fit(table), bit.BIT(**parameters).fit(empty.concat(table))
    np.testing.assert_array_equal(first.forest_.groups[0].feature, second.forest_.groups[0].feature)
    np.testing.assert_allclose(first.predict(features), second.predict(features), atol=1e-9)  # as above


# ---------------------------------------------------------------------- backgrounds
def test_background_dilutes_the_ratio():
    """R = R_S sigma_S p_S / (sigma_S p_S + sigma_B p_B), for the linear and the quadratic term."""
    signal, background = GaussianMean(smearing=1.0, sigma_fb=2.0), GaussianMean(width=0.5, smearing=0.5, sigma_fb=3.0)
    grid = np.linspace(-2.5, 2.5, 200)
    densities = [toy.sigma_fb * toy.nominal_density(grid) for toy in (signal, background)]
    first, second = signal.score_moments(grid)
    truth = np.column_stack([first, 0.5 * second]) * (densities[0] / sum(densities))[:, np.newaxis]
    predictions = []
    for seed in range(N_SEEDS):
        other = background.sample(8_000, seed=seed + 100)
        without = replace(other, weights=other.weights * [1.0, 0.0, 0.0])
        table = signal.sample(12_000, seed=seed).concat(without)
        predictions.append(bit.BIT(n_estimators=40, max_depth=3).fit(table).predict(grid[:, np.newaxis]))
    assert rho2(truth, np.mean(predictions, axis=0), sum(densities)).min() > 0.99
    # In cells of x the mean over the seeds is the truth within their spread.
    bias = (np.array(predictions) - truth).reshape(N_SEEDS, N_CELLS, -1, 2).mean(axis=2)
    error = bias.std(axis=0, ddof=1) / np.sqrt(N_SEEDS)
    assert (((bias.mean(axis=0) / error) ** 2).sum(axis=0) < MOST_T2).all()
    # Forgetting the background would be seen.
    undiluted = np.reshape(predictions, (N_SEEDS, N_CELLS, -1, 2)).mean(axis=(0, 2)) - np.reshape(
        np.column_stack([first, 0.5 * second]), (N_CELLS, -1, 2)
    ).mean(axis=1)
    assert (((undiluted / error) ** 2).sum(axis=0) > 10 * MOST_T2).all()


# ---------------------------------------------------------------------- heavy tails
@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**32 - 1),
    negative=st.sampled_from([0.0, 0.2]),
    index=st.floats(0.6, 3.0),
    shape=st.sampled_from([{"max_depth": 6}, {"max_depth": None, "max_leaf_nodes": 40}]),
    effective=st.sampled_from([None, 7.5, 60.0]),
)
def test_every_leaf_has_enough_effective_events(seed, negative, index, shape, effective):
    """Pareto tails down to infinite mean, and signs: counted again from the events of every leaf."""
    rng = np.random.default_rng(seed)
    n_events = 3000
    features = rng.normal(size=(n_events, 2))
    nominal = (1.0 + rng.pareto(index, n_events)) * np.where(rng.random(n_events) < negative, -1.0, 1.0)
    nominal *= np.sign(nominal.sum())
    weights = np.column_stack([nominal, np.abs(nominal) * features[:, 0]])
    table = bit.EventTable(features, weights, bit.PolynomialBasis(["c"], order=1), feature_names=["x", "y"])
    model = bit.BIT(n_estimators=3, min_samples_leaf=20, min_effective_samples=effective, **shape).fit(table)
    floor = 20.0 if effective is None else effective
    [group] = model.forest_.groups
    children = np.concatenate([group.left[group.left >= 0], group.right[group.right >= 0]])
    assert (group.count[children] >= 20).all()
    assert (group.sum_w[children, 0] > 0).all()
    # Squares are rounded up, so the floor holds exactly but for the rounding of the stored sums.
    assert (group.sum_w[children, 0] ** 2 >= floor * group.sum_w0_squared[children] * (1 - 1e-9)).all()
    # The stored sums are those of the events: once by hand, for the leaves of the first tree.
    [first, *_] = model.staged_predict(table)
    nodes = np.arange(group.tree_offset[1])
    for leaf in nodes[group.feature[nodes] < 0]:
        events = nominal[first[:, 0] == group.value[leaf, 0] + model.forest_.base[0]]
        if len(events) == group.count[leaf]:  # two leaves of equal value cannot be told apart
            assert events @ events == pytest.approx(group.sum_w0_squared[leaf], rel=1e-9)
            assert events.sum() == pytest.approx(group.sum_w[leaf, 0], abs=1e-9 * np.abs(nominal).max())


def test_a_few_heavy_events_have_no_leaf_of_their_own(rng):
    """Five events carry 95 % of sum w^2 and an extreme ratio, at the edge of a feature."""
    n_events, floor = 10_000, 50.0
    x = np.sort(rng.integers(0, 100, n_events)).astype(np.float64)
    x[-5:] = 100.0
    nominal = np.ones(n_events)
    nominal[-5:] = 200.0
    ratio = rng.normal(size=n_events)
    ratio[-5:] = 1000.0
    table = table_of(x, np.column_stack([nominal, nominal * ratio]), order=1)
    model = bit.BIT(n_estimators=20, min_effective_samples=floor, learning_rate=1.0).fit(table)
    [group] = model.forest_.groups
    # (1000 + m)^2 >= 50 (200 000 + m) for the m light events beside them.
    fewest = int(np.ceil(np.roots([1.0, 2000.0 - floor, 1e6 - 200_000 * floor]).max()))
    last = [int(group.tree_offset[tree + 1]) - 1 for tree in range(group.n_trees)]
    heavy = group.sum_w0_squared > 40_000.0
    assert fewest == 2180
    assert heavy[last].any()
    assert (group.count[heavy] >= fewest + 5).all()
    # Free to do so, a tree gives them a leaf of their own.
    free = bit.BIT(n_estimators=1, min_samples_leaf=5, min_effective_samples=0).fit(table).forest_.groups[0]
    assert 5 in free.count[free.sum_w0_squared > 40_000.0]


# ---------------------------------------------------------------------- refused
@pytest.mark.parametrize(
    ("nominal", "message"),
    [
        (np.zeros(200), "all nominal weights w_0 are 0: .* concat a table of SM events"),
        (np.full(200, -0.5), "the nominal weights sum to -100: a positive cross-section is needed"),
        (np.tile([1.0, -1.0], 100), "the nominal weights sum to 0: a positive cross-section is needed"),
        (np.tile([1.0, -3.0], 100), "the nominal weights sum to -200: a positive cross-section is needed"),
    ],
)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_samples_without_a_cross_section_are_refused(rng, nominal, message, early_stopping):
    table = table_of(rng.normal(size=200), np.column_stack([nominal, rng.normal(size=200)]), order=1)
    with pytest.raises(InputError, match=message):
        bit.BIT(early_stopping=early_stopping).fit(table)
