import numpy as np
import pytest

from bit.errors import InputError
from bit.processes.phase_space import draw, emphasis_share

pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")

RATE = 6.0


def falling(points):
    """exp(-RATE u0) (1 + u1), integral (1 - exp(-RATE))/RATE * 1.5, with emphasis on large u0."""
    return np.exp(-RATE * points[:, 0]) * (1.0 + points[:, 1]), np.exp(RATE * points[:, 0])


EXACT = -np.expm1(-RATE) / RATE * 1.5


@pytest.fixture(scope="module")
def sample():
    return draw(falling, 2, 40_000, np.random.SeedSequence(7), what="test", show_progress=False)


def test_integral(sample):
    # Five standard errors; the error itself must be small for such a smooth function.
    assert abs(sample.sigma - EXACT) < 5 * sample.sigma_error
    assert sample.sigma_error < 1e-3 * EXACT
    assert sample.weights.sum() == pytest.approx(sample.sigma, rel=1e-12)


def test_effective_events(sample):
    n_eff = sample.weights.sum() ** 2 / (sample.weights**2).sum()
    # The share comes from a pilot sample, so the wanted 0.75 is met to about a percent.
    assert n_eff / 40_000 == pytest.approx(0.75, abs=0.02)


def test_weighted_sample_follows_the_density(sample):
    edges = np.linspace(0.0, 1.0, 11)
    in_bin = np.digitize(sample.points[:, 0], edges) - 1
    found = np.bincount(in_bin, sample.weights, 10)
    error = np.sqrt(np.bincount(in_bin, sample.weights**2, 10))
    expected = EXACT * -np.diff(np.exp(-RATE * edges)) / -np.expm1(-RATE)
    # Ten bins: chi2 with 9 degrees of freedom (the sum is fixed) is below 33 with probability 1 - 1e-4.
    assert (((found - expected) / error) ** 2).sum() < 33
    assert (sample.weights @ sample.points[:, 1]) / sample.sigma == pytest.approx(5 / 9, abs=0.01)


def test_tail_has_more_events_than_rate(sample):
    tail = sample.points[:, 0] > 0.5
    assert tail.mean() > 1.5 * sample.weights[tail].sum() / sample.sigma
    assert sample.weights[tail].mean() < 0.7 * sample.weights.mean()


def test_order_is_random(sample):
    half = len(sample.points) // 2
    # Difference of two means of 20000 numbers of standard deviation below 0.3.
    assert abs(sample.points[:half, 0].mean() - sample.points[half:, 0].mean()) < 5 * 0.3 * np.sqrt(2 / half)


def test_reproducible(sample):
    again = draw(falling, 2, 40_000, np.random.SeedSequence(7), what="test", show_progress=False)
    np.testing.assert_array_equal(again.points, sample.points)
    np.testing.assert_array_equal(again.weights, sample.weights)
    other = draw(falling, 2, 100, np.random.SeedSequence(8), what="test", show_progress=False)
    assert not np.array_equal(other.points, sample.points[:100])


def test_no_emphasis_gives_nearly_equal_weights():
    flat = draw(
        lambda points: (falling(points)[0], np.ones(len(points))),
        2,
        5_000,
        np.random.SeedSequence(1),
        what="test",
        show_progress=False,
    )
    # Only the points above the cap, of the order of a permille of all, have larger weights.
    assert np.median(flat.weights) == flat.weights.min()
    assert (flat.weights > flat.weights.min()).mean() < 0.02


def test_empty_phase_space():
    with pytest.raises(InputError, match=r"nothing with cuts.*loosen"):
        draw(
            lambda points: (np.zeros(len(points)), points[:, 0]),
            2,
            10,
            np.random.SeedSequence(1),
            what="nothing with cuts",
            show_progress=False,
        )


def test_no_weight_is_large(sample):
    # 1/(1 - m) times the mean, but for the points above the cap (a permille of all).
    bound = sample.weights.mean() / (1.0 - sample.emphasis_share)
    assert (sample.weights > 1.01 * bound).mean() < 0.01


def test_emphasis_share():
    # Two kinds of points, equally many, g = 0.2 and 1.8: <1/h> = (1/(1 - 0.8 m) + 1/(1 + 0.8 m))/2 = 4/3.
    emphasis = np.tile([0.2, 1.8], 500)
    assert emphasis_share(np.ones(1000), emphasis, 0.75) == pytest.approx(0.5 / 0.8, rel=1e-5)
    assert emphasis_share(np.ones(4), np.ones(4), 0.75) == 1.0
    assert emphasis_share(np.ones(4), np.arange(1, 5.0), 1.0) == 0.0
