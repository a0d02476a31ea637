"""The likelihood-ratio trick against closed forms, and what mixtures of points lose."""

import json
import sys

import numpy as np
import pytest
from scipy.stats import chi2

import bit
from bit.baselines import RatioTrick
from bit.baselines.ratio_trick import _calibrated, _of_positive_groups
from bit.errors import FileFormatError, InputError, MissingPackageError
from bit.inference import choose_edges, fill
from bit.metrics import calibration
from bit.processes.analytic import GaussianMean, Sine

TOY = GaussianMean(smearing=1.0)
THETA = 0.8
QUICK = {"n_estimators": 60, "random_state": 1, "n_jobs": 1}


@pytest.fixture(scope="module")
def table():
    return TOY.sample(20_000, seed=1)


@pytest.fixture(scope="module")
def test_table():
    return TOY.sample(20_000, seed=2)


def pulls2(model, events, n_bins=8):
    """chi^2 of w(theta)/w_0 against the prediction in bins of it."""
    return calibration(model.predict_ratio(events), events.at([THETA]), events.weights[:, 0], n_bins).chi2


@pytest.mark.parametrize("kind", ["isotonic", "sigmoid"])
def test_calibrated_ratio_is_right(table, test_table, kind):
    model = RatioTrick([THETA], calibration=kind, **QUICK).fit(table)
    # Errors are those of 20 000 events here and of the 6000 by which the output was calibrated.
    assert pulls2(model, test_table) < (1 + 20 / 6) * chi2.ppf(0.99, 8)
    assert model.rate_ == pytest.approx(TOY.cross_section(THETA), rel=0.02)
    # Against the closed form: the validation events fix groups of the output, so the deviation is of the order of the
    # error of such a group, sd(t) theta / sqrt(6000 / n) for a resolution of n = 10 parts.
    truth = TOY.ratio(test_table.column("x"), THETA)
    deviation = np.sqrt(np.average((model.predict_ratio(test_table) - truth) ** 2))
    assert deviation < THETA * np.sqrt(0.5) / np.sqrt(6000 / 10) * 3 < 0.2 * truth.std()


@pytest.mark.parametrize("kind", ["isotonic", "sigmoid"])
def test_calibration_repairs_a_classifier_that_is_too_timid(table, test_table, kind):
    # Few, small steps order the events but leave all probabilities close to 1/2.
    few = QUICK | {"n_estimators": 8, "learning_rate": 0.02}
    raw = pulls2(RatioTrick([THETA], calibration="none", **few).fit(table), test_table)
    repaired = pulls2(RatioTrick([THETA], calibration=kind, **few).fit(table), test_table)
    assert raw > 20 * chi2.ppf(0.99, 8)
    assert repaired < raw / 20


def test_two_samples_are_as_good(table, test_table):
    other = TOY.sample(20_000, seed=3)
    model = RatioTrick([THETA], **QUICK).fit(table, other)
    # Labels instead of weights: an event adds the variance of its label, p (1 - p), to that of t.
    truth = TOY.ratio(test_table.column("x"), THETA)
    deviation = np.sqrt(np.average((model.predict_ratio(test_table) - truth) ** 2))
    assert deviation < 4 * 2 / np.sqrt(12_000 / 10)  # R = P / (1 - P) has the slope 4 at P = 1/2


def test_the_ratio_of_another_reference(table, test_table):
    forth = RatioTrick([THETA], [0.0], **QUICK).fit(table)
    back = RatioTrick([0.0], [THETA], **QUICK).fit(table)
    assert back.rate_ == pytest.approx(1 / forth.rate_)
    product = forth.predict(test_table) + back.predict(test_table)
    assert np.std(product) < 0.1 * np.std(forth.predict(test_table))


def two_angles(n_events, seed):
    """Two independent angles, each with the sine of its own coefficient."""
    samples = [Sine(order=1).sample(n_events, seed=10 * seed + k) for k in range(2)]
    nominal = np.full(n_events, 1.0 / n_events)
    slopes = [sample.weights[:, 1] / sample.weights[:, 0] / n_events for sample in samples]
    return bit.EventTable(
        np.concatenate([sample.features for sample in samples], axis=1),
        np.stack([nominal, *slopes], axis=-1),
        bit.PolynomialBasis(["a", "b"], order=1),
        feature_names=["x", "y"],
    )


def information(observable, events, for_edges):
    template = fill(events, observable, choose_edges(for_edges, observable, 20), lumi_fb=1.0)
    return float((template.sums[:, 1] ** 2 / template.sums[:, 0]).sum())


def test_mixed_signals_dilute_linear_effects():
    # The mixture of a and b at equal values is 1 + theta (sin x + sin y)/2. By symmetry E[sin x | sin x + sin y] is
    # half the sum, whose variance is 1: information 1/4 on a, while the score has 1/2. A factor 2, or sqrt(2) of the
    # limit.
    train, test = two_angles(40_000, 1), two_angles(40_000, 2)
    best = information(bit.TrueScore("a"), test, train)
    # 20 bins lose less than 1 %; the variance of sin^2 x is 1/8, its relative error here 0.4 %.
    assert best == pytest.approx(0.5, rel=0.02)
    settings = {"n_estimators": 80, "random_state": 1, "n_jobs": 1, "calibration": "none", "learning_rate": 0.2}
    mixed = RatioTrick([{"a": 0.5}, {"b": 0.5}], **settings).fit(train)
    assert best / information(mixed.observable(), test, train) == pytest.approx(2.0, rel=0.07)
    alone = RatioTrick({"a": 0.5}, **settings).fit(train)
    assert information(alone.observable("a"), test, train) == pytest.approx(best, rel=0.05)


def test_both_signs_cancel():
    # Linear effects of +theta and -theta add up to nothing: the classifier learns that both classes are the same.
    train, test = two_angles(10_000, 1), two_angles(10_000, 2)
    model = RatioTrick([{"a": 0.5}, {"a": -0.5}], calibration="none", **QUICK).fit(train)
    assert np.abs(model.predict(test)).max() < 1e-5


def test_calibration_of_known_margins(rng):
    # Probabilities 1/(1 + exp(-(0.3 + 2 m))): the logistic fit finds them within its errors.
    margins = rng.normal(size=40_000)
    labels = rng.random(40_000) < 1 / (1 + np.exp(-(0.3 + 2 * margins)))
    weights = np.stack([~labels, labels], axis=-1).astype(float)
    chance = 1 / (1 + np.exp(-(0.3 + 2 * margins)))
    design = np.stack([np.ones_like(margins), margins])
    errors = np.sqrt(np.diag(np.linalg.inv(design * chance * (1 - chance) @ design.T)))
    intercept, slope = _calibrated(margins, weights, "sigmoid")
    # Groups of 80 events blur the margins a little.
    assert abs(intercept[0] - 0.3) < 3 * errors[0] + 0.01
    assert abs(slope[0] - 2.0) < 3 * errors[1] + 0.01
    values, odds = _calibrated(margins, weights, "isotonic")
    assert (np.diff(odds) >= 0).all()
    found = np.interp(margins, values, odds)
    assert np.sqrt(np.mean((1 / (1 + np.exp(-found)) - chance) ** 2)) < 3 * np.sqrt(0.25 / (40_000 / 10))


def test_groups_have_positive_sums():
    # Sums of (class 0, class 1): the second group is joined to the first, the last two to the one before them.
    sums = np.array([[2.0, -1.0], [1.0, 3.0], [1.0, 1.0], [3.0, 1.0], [-2.0, 2.0], [1.0, -1.0]])
    assert _of_positive_groups(sums).tolist() == [0, 2, 3]
    with pytest.raises(InputError, match="no positive sum where the output is largest"):
        _of_positive_groups(-sums)


def test_files(table, tmp_path):
    path = tmp_path / "ratio.json"
    for kind in ("isotonic", "sigmoid", "none"):
        model = RatioTrick([[0.5], [0.8]], calibration=kind, **(QUICK | {"n_estimators": 5})).fit(table)
        model.export(path)
        read = bit.load(path)
        assert isinstance(read, RatioTrick)
        assert (read.rate_, read.feature_names_in_) == (model.rate_, model.feature_names_in_)
        np.testing.assert_array_equal(read.predict_ratio(table), model.predict_ratio(table))
        np.testing.assert_array_equal(read.points_, [[0.5], [0.8]])
    document = json.loads(path.read_text())
    assert document["units"] == list(table.units or [""] * len(table.feature_names))
    assert document["reference"] == list(table.basis.reference)
    read.export(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
    path.write_text(json.dumps(document | {"format": "bit-ratio-trick/9"}))
    with pytest.raises(FileFormatError, match="this version reads 'bit-ratio-trick/1'; update bit"):
        bit.load(path)
    document["rate"] *= 2.0
    path.write_text(json.dumps(document))
    with pytest.raises(FileFormatError, match="checksum"):
        bit.load(path)


def test_observable_and_seed(table):
    model, again = (RatioTrick({"theta": 0.5}, **(QUICK | {"subsample": 0.5})).fit(table) for _ in range(2))
    observable = model.observable("theta")
    assert observable.name == "ratio:theta"
    np.testing.assert_allclose(np.exp(observable(table)), model.predict_ratio(table), rtol=1e-14)
    np.testing.assert_array_equal(model.predict(table), again.predict(table))
    with pytest.raises(InputError, match="belongs to the points of the training"):
        model.observable("theta", theta=[0.1])
    with pytest.raises(InputError, match="did you mean 'theta'"):
        model.observable("thet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"calibration": "isotone"}, "did you mean 'isotonic'"),
        ({"n_estimators": 0}, "n_estimators=0"),
        ({"learning_rate": 2.0}, "learning_rate=2.0"),
        ({"validation_fraction": 0.0}, "validation_fraction=0.0"),
        ({"random_state": 0.5}, "random_state=0.5"),
        ({"max_dept": 3}, "did you mean 'max_depth'"),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(InputError, match=message):
        RatioTrick([0.5], **arguments)


def test_bad_use(table, monkeypatch):
    with pytest.raises(InputError, match="not trained yet"):
        RatioTrick([0.5]).predict(table)
    with pytest.raises(InputError, match="an EventTable is needed"):
        RatioTrick([0.5]).fit(table.features)
    with pytest.raises(InputError, match="unknown coefficient 'thet'"):
        RatioTrick([{"thet": 0.5}]).fit(table)
    with pytest.raises(InputError, match="one point, or a list of points"):
        RatioTrick(np.zeros((2, 2, 1))).fit(table)
    negative = bit.EventTable(table.features, -table.weights, table.basis, feature_names=["x"])
    with pytest.raises(InputError, match=r"cross-section at theta=.* must be positive"):
        RatioTrick([0.5]).fit(negative)
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(MissingPackageError, match="likelihood-ratio trick needs the package 'xgboost'"):
        RatioTrick([0.5]).fit(table)
