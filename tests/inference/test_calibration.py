import numpy as np
import pytest

from bit.errors import InputError
from bit.inference import calibrate, closure
from bit.processes.analytic import GaussianMean, with_negative_weights

TOY = GaussianMean(order=2, smearing=0.5)


@pytest.fixture(scope="module")
def table():
    return TOY.sample(40_000, seed=4)


def true_ratios(table):
    first, second = TOY.score_moments(table.features[:, 0])
    return np.column_stack([first, 0.5 * second])


def distorted(table):
    """What a badly trained model could say: too flat, shifted in the second order."""
    first, second = true_ratios(table).T
    return np.column_stack([0.7 * first, 0.2 + np.sqrt(second)])


@pytest.mark.parametrize("method", ["isotonic", "binned"])
def test_calibration_restores_the_truth_and_closure_sees_it(table, method):
    test = TOY.sample(40_000, seed=5)
    ratios = calibrate(distorted(table), table, method=method)(distorted(test))
    edges = np.array([-np.inf, *np.linspace(-2, 2, 9), np.inf])
    before = closure(test, distorted(test), [1.0], lambda t: t.column("x"), edges)
    after = closure(test, ratios, [1.0], lambda t: t.column("x"), edges)
    assert before.p_value < 1e-6
    # The events that calibrated fluctuate as much as those of the test: chi2 about twice the number of bins.
    assert after.chi2 < 2 * (after.n_bins + 3 * np.sqrt(2 * after.n_bins))
    assert "chi2" in repr(after)
    # 100 bins of 400 events: the statistical error of a mean is sqrt(var(t)/400), var(t | x) = 0.2.
    error = np.sqrt(0.2 / 400)
    inner = np.abs(test.features[:, 0]) < 1.5
    rms = np.sqrt(np.mean((ratios - true_ratios(test))[inner, 0] ** 2))
    assert rms < 2 * error


def test_isotonic_functions_rise(table):
    noisy = calibrate(true_ratios(table), table, method="binned", n_bins=2000)
    rising = calibrate(true_ratios(table), table, method="isotonic", n_bins=2000)
    assert (np.diff(noisy.calibrated[0]) < 0).any()
    assert (np.diff(rising.calibrated[0]) >= 0).all()
    assert (np.diff(rising.learned[0]) >= 0).all()


def test_global_factors_make_the_total_right(table):
    scale = calibrate(distorted(table), table, method="global")
    nominal = table.weights[:, 0]
    corrected = nominal @ scale(distorted(table))
    assert corrected[1] == pytest.approx(table.weights[:, 2].sum(), rel=1e-12)
    # The linear term is odd: its mean says nothing.
    assert scale.factors[0] == 1.0
    assert scale.factors[1] == pytest.approx(table.weights[:, 2].sum() / (nominal @ distorted(table)[:, 1]), rel=1e-12)
    assert scale.to_dict()["kind"] == "bit-ratio-calibration/1"
    assert "global" in repr(scale)


def test_binned_means_are_exact_where_they_were_made(table):
    ratios = distorted(table)
    made = calibrate(ratios, table, method="binned", n_bins=10)
    order = np.argsort(ratios[:, 0], kind="stable").reshape(10, -1)
    sums = table.weights[order].sum(axis=1)
    np.testing.assert_allclose(made.calibrated[0], sums[:, 1] / sums[:, 0], rtol=1e-10)


@pytest.mark.parametrize("signed", [False, True])
def test_closure_of_the_true_ratio_is_a_chi2(signed):
    """p-values of independent samples: their mean is 1/2 within three standard errors."""
    found = []
    for seed in range(60):
        table = TOY.sample(2000, seed=seed + 10)
        if signed:
            table = with_negative_weights(table, 0.2, seed)
        edges = [-np.inf, -1.0, -0.3, 0.3, 1.0, np.inf]
        found.append(closure(table, true_ratios(table), {"theta": 0.8}, lambda t: t.column("x"), edges).p_value)
    assert np.mean(found) == pytest.approx(0.5, abs=3 / np.sqrt(12 * 60))


def test_closure_of_the_joint_ratio_is_perfect(table):
    result = closure(table, table.joint_ratio(), [0.5], lambda t: t.column("x"), np.linspace(-9, 9, 4))
    np.testing.assert_allclose(result.truth, result.reweighted, rtol=1e-12)
    assert result.truth.sum() == pytest.approx(table.at([0.5]).sum(), rel=1e-12)


def test_bad_input(table):
    ratios = true_ratios(table)
    for arguments, options, message in [
        ((ratios[:, :1], table), {}, "one column for each term"),
        ((np.full_like(ratios, np.nan), table), {}, "ratios: 40000 of 40000"),
        ((ratios, table), {"method": "cubic"}, "choose one of"),
        ((ratios, table), {"n_bins": 0}, "n_bins=0"),
        ((ratios[:100], with_negative_weights(table.take(slice(0, 100)), 0.45, 1)), {}, "do not have a positive sum"),
    ]:
        with pytest.raises(InputError, match=message):
            calibrate(*arguments, **options)
    with pytest.raises(InputError, match="shape"):
        calibrate(ratios, table)(ratios[:, :1])
