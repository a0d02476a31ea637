import numpy as np
import pytest

from bit.errors import InputError
from bit.metrics import calibration, captured_information, loss, rho2


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_rho2_is_the_weighted_correlation(rng):
    truth, noise, w = rng.normal(size=4000), rng.normal(size=4000), rng.uniform(0.1, 2, 4000)
    prediction = 0.3 * truth + noise + 5.0
    expected = np.cov(truth, prediction, aweights=w)
    # Rounding of sums over 4000 numbers.
    assert rho2(truth, prediction, w) == pytest.approx(
        expected[0, 1] ** 2 / (expected[0, 0] * expected[1, 1]), rel=1e-11
    )
    assert isinstance(rho2(truth, prediction, w), float)


def test_rho2_ignores_scale_and_shift_of_either_side(rng):
    truth, prediction, w = rng.normal(size=(3, 500))
    w = np.abs(w)
    assert rho2(2 * truth - 3, -7 * prediction + 1, 5 * w) == pytest.approx(rho2(truth, prediction, w), rel=1e-10)
    assert rho2(truth, 4 - 3 * truth, w) == pytest.approx(1.0, rel=1e-12)


def test_rho2_of_columns_and_of_constants(rng):
    truth = rng.normal(size=(300, 3))
    truth[:, 2] = 0.1
    prediction = np.column_stack([truth[:, 0], np.full(300, 0.7), truth[:, 0]])
    values = rho2(truth, prediction, np.ones(300))
    assert values.shape == (3,)
    assert values[0] == pytest.approx(1.0)
    assert values[1] == 0.0
    assert np.isnan(values[2])


def test_weight_counts_as_repetition(rng):
    truth, prediction = rng.normal(size=(2, 60))
    repeat = rng.integers(1, 4, 60)
    spelled_out = rho2(np.repeat(truth, repeat), np.repeat(prediction, repeat), np.ones(repeat.sum()))
    assert rho2(truth, prediction, repeat) == pytest.approx(spelled_out, rel=1e-11)


def test_loss_is_least_for_the_ratio_of_sums(rng):
    w_0 = rng.normal(0.5, 1.0, 1000)  # signed
    w_k = rng.normal(size=1000)
    best = np.full(1000, w_k.sum() / w_0.sum())
    lowest = loss(w_k, w_0, best)
    assert lowest == pytest.approx(-(w_k.sum() ** 2) / w_0.sum(), rel=1e-10)
    assert loss(w_k, w_0, best + 0.1) > lowest
    assert loss(w_k, w_0, best - 0.1) > lowest
    assert loss(np.column_stack([w_k, w_k]), w_0, np.column_stack([best, 0 * best])).tolist() == [
        pytest.approx(lowest),
        0.0,
    ]


def test_captured_information_of_cells(rng):
    w_0, t, cell = rng.uniform(0.5, 1.5, 2000), rng.normal(1, 1, 2000), rng.integers(0, 10, 2000)
    w_k = w_0 * t
    sum_k, sum_0 = np.bincount(cell, w_k), np.bincount(cell, w_0)
    captured = captured_information(w_k, (sum_k / sum_0)[cell], t)
    assert captured == pytest.approx((sum_k**2 / sum_0).sum() / (w_0 * t**2).sum(), rel=1e-11)
    assert captured < 1
    assert captured_information(w_k, t, t) == 1.0
    with pytest.raises(InputError, match="no information"):
        captured_information(w_k, t, 0 * t)


def test_calibration_pulls_are_standard_normal_for_the_conditional_mean(rng):
    n = 50_000
    f = rng.normal(size=n)
    w_0 = rng.uniform(0.5, 1.5, n)
    result = calibration(f, w_0 * (f + rng.normal(size=n)), w_0, 50)
    assert result.pulls.shape == (50,)
    # chi2 of 50 bins has mean 50 and standard deviation 10; four of them.
    assert abs(result.chi2 - 50) < 40
    assert (np.diff(result.prediction) > 0).all()
    np.testing.assert_allclose(result.pulls, (result.truth - result.prediction) / result.error, rtol=1e-9)
    # A slope that is wrong by 5 % is many standard deviations off: 0.05 * f * sqrt(1000) in each bin of 1000 events.
    assert calibration(1.05 * f, w_0 * (f + rng.normal(size=n)), w_0, 50).chi2 > 100
    assert "n_bins=50" in repr(result)


def test_calibration_keeps_equal_predictions_together(rng):
    f = np.repeat([0.0, 1.0], [900, 100])
    result = calibration(f, f + rng.normal(size=1000), np.ones(1000), 10)
    assert result.prediction.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rho2([1.0, 2.0], [1.0], [1.0, 1.0]), r"prediction has shape \(1,\)"),
        (lambda: rho2([1.0, np.nan], [1.0, 2.0], [1.0, 1.0]), "truth: 1 of 2"),
        (lambda: rho2([1.0, 2.0], [1.0, 2.0], [1.0, -1.0]), "sum to 0"),
        (lambda: loss([1.0, 2.0], [1.0], [1.0, 2.0]), "weights_0 has shape"),
        (lambda: calibration([1.0, 2.0], [1.0, 2.0], [1.0, 1.0], 3), "n_bins=3"),
        (lambda: calibration([[1.0], [2.0]], [[1.0], [2.0]], [1.0, 1.0], 1), "one term at a time"),
        (lambda: captured_information([], [], []), "expected"),
    ],
)
def test_errors_name_value_and_rule(call, message):
    with pytest.raises(InputError, match=message):
        call()
