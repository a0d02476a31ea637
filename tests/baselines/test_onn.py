"""O_NN: ideal outputs of toys, CP symmetry, inputs, files, and h -> 4l."""

import json
import sys
from itertools import pairwise

import numpy as np
import pytest

import bit
from bit.baselines import ONN
from bit.baselines._xgboost import Examples
from bit.baselines.onn import _with_images
from bit.classic import classic
from bit.errors import FileFormatError, InputError, MissingPackageError
from bit.inference import choose_edges, fill, limits
from bit.processes import h4l
from bit.processes.analytic import GaussianMean, with_negative_weights

PARITY = bit.CPParity(flip=("x",), odd_params=("theta",))
QUICK = {"n_estimators": 60, "random_state": 1, "n_jobs": 1}


@pytest.fixture(scope="module")
def table():
    return GaussianMean(smearing=1.0).sample(20_000, seed=1)


def ideal(x, kind):
    """Output at x of the toy: t given x is Gaussian with mean x/2 and variance 1/2, and w_0 = 1."""
    from scipy.special import erf

    mean, deviation = x / 2, np.sqrt(0.5)
    size = deviation * np.sqrt(2 / np.pi) * np.exp(-0.5 * (mean / deviation) ** 2) + mean * erf(
        mean / deviation / 2**0.5
    )
    # Mean of |t| of a standard Gaussian is sqrt(2/pi): half of it is the weight of the SM class.
    return mean / (size + (0.5 * np.sqrt(2 / np.pi) if kind == "multiclass" else 0.0))


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_output_is_the_asymmetry_of_the_weights(table, kind):
    # In bins of x the sums of weights of other events give the same asymmetry without any training. Errors are those of
    # these events and of the training, which are as many, hence the factor 2 in the variance.
    model = ONN(kind, PARITY, **QUICK).fit(table)
    other = GaussianMean(smearing=1.0).sample(20_000, seed=2)
    x, t = other.column("x"), other.weights[:, 1] / other.weights[:, 0]
    found = model.predict(other)
    residual = t - found * (np.abs(t) + (0.5 * np.sqrt(2 / np.pi) if kind == "multiclass" else 0.0))
    chi2 = 0.0
    for low, high in pairwise(np.linspace(-3, 3, 9)):
        inside = residual[(x > low) & (x < high)]
        chi2 += inside.sum() ** 2 / (2 * inside @ inside)
    assert chi2 < 20.1  # 99 % quantile for 8 bins
    # Each of 20 parts of x had 1600 events and images, whose mean sign is known to 1/40.
    assert np.sqrt(np.mean((found - ideal(x, kind)) ** 2)) < 2 / 40 < 0.2 * found.std()


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_exact_symmetry(table, kind):
    model = ONN(kind, PARITY, **QUICK).fit(table)
    images = PARITY.mirror(table.features, table.feature_names)
    np.testing.assert_array_equal(model.predict(images), -model.predict(table))
    plain = ONN(kind, PARITY, symmetry="augment", **QUICK).fit(table)
    difference = plain.predict(images) + plain.predict(table)
    assert 0 < np.abs(difference).max() < 0.2
    np.testing.assert_allclose(model.predict(table), 0.5 * (plain.predict(table) - plain.predict(images)), atol=1e-15)
    assert model.observable().odd
    assert plain.observable().odd


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_negative_weights_are_subtracted(table, kind):
    # A fifth of the events has negative weights, with the same expectations as before.
    signed = with_negative_weights(table, 0.2, seed=3)
    assert signed.weights[:, 0].min() < 0
    found = ONN(kind, PARITY, **QUICK).fit(signed).predict(table)
    # Weights are larger by 1/(1 - 0.4), so that variances are by 1/0.36: the error of 1/40 of the ideal output for
    # positive weights in each of 20 parts of x becomes 1/24.
    assert np.sqrt(np.mean((found - ideal(table.column("x"), kind)) ** 2)) < 2 / 24 < 0.25 * found.std()


def test_images_double_the_events(rng):
    examples = Examples(rng.normal(size=(5, 2)).astype(np.float32), rng.random((5, 3)))
    parity = bit.CPParity(flip=("a",), odd_params=("theta",))
    for odd, order in ((True, [1, 0, 2]), (False, [0, 1, 2])):
        both = _with_images(examples, ("a", "b"), parity, odd)
        assert both.features.shape == (10, 2)
        np.testing.assert_array_equal(both.features[5:], examples.features * [-1, 1])
        np.testing.assert_array_equal(both.weights[5:], examples.weights[:, order])
        np.testing.assert_array_equal(both.weights[:5], examples.weights)


def test_even_coefficients_give_even_outputs(table):
    even = bit.CPParity(flip=("x",), odd_params=())
    model = ONN(cp_parity=even, **QUICK).fit(table)
    images = even.mirror(table.features, table.feature_names)
    np.testing.assert_array_equal(model.predict(images), model.predict(table))
    assert not model.observable().odd


def test_seeds_and_threads(table):
    table = table.take(slice(0, 2000))
    first, again, threads = (
        ONN("multiclass", PARITY, **(QUICK | {"n_estimators": 4, "subsample": 0.5, "n_jobs": n_jobs})).fit(table)
        for n_jobs in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.predict(table), again.predict(table))
    np.testing.assert_allclose(first.predict(table), threads.predict(table), atol=1e-5)  # float32 margins
    other = ONN("multiclass", PARITY, **(QUICK | {"n_estimators": 4, "random_state": 2})).fit(table)
    assert not np.array_equal(first.predict(table), other.predict(table))


def test_two_tables_are_the_same_as_one(table):
    # Interference as generators give it, w_0 = 0, and a SM sample; each event then stands in two rows.
    # Few values of x, so that XGBoost has the same bins for all of them.
    x = np.rint(4 * table.features) / 4
    table, sm, interference = (
        bit.EventTable(x, table.weights * kept, table.basis, feature_names=["x"])
        for kept in ([1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    )
    settings = QUICK | {"early_stopping": False, "n_estimators": 20, "min_child_weight": 0.0, "reg_lambda": 0.0}
    one = ONN("multiclass", PARITY, **settings).fit(table).predict(table)
    two = ONN("multiclass", PARITY, **settings).fit(sm, interference).predict(table)
    np.testing.assert_allclose(two, one, atol=1e-5)  # single-precision sums in another order
    binary = ONN("binary", PARITY, **settings)
    np.testing.assert_array_equal(binary.fit(sm, interference).predict(table), binary.fit(table).predict(table))


def test_samples_as_classes(rng):
    # CP-even against CP-odd couplings: both rates are even, so that |x| tells them apart.
    def sample(width):
        x = rng.normal(0, width, (10_000, 1))
        return bit.EventTable(x, np.full((10_000, 1), 2.0), bit.PolynomialBasis(["a"], terms=[()]), feature_names=["x"])

    parity = bit.CPParity(flip=("x",), odd_params=("a",))
    model = ONN(cp_parity=parity, **QUICK).fit_classes(sample(2.0), sample(1.0))
    x = np.array([[0.5], [-0.5], [2.5], [-2.5]])
    ratio = 0.5 * np.exp(0.5 * x[:, 0] ** 2 * (1 - 0.25))
    # About 1000 events lie within +-0.15 of these points, so shares of 1 and 2 are known to 3 %, O to twice that.
    np.testing.assert_allclose(model.predict(x), (ratio - 1) / (ratio + 1), atol=0.15)
    assert model.predict(x)[0] == model.predict(x)[1]
    assert not model.observable().odd
    with pytest.raises(InputError, match="give a sample for each"):
        ONN("multiclass", **QUICK).fit_classes(sample(1.0), sample(1.0))
    with pytest.raises(InputError, match="trained by fit_classes"):
        model.permutation_importance(sample(1.0))


def test_tuning_takes_the_smallest_loss(table):
    model = ONN(cp_parity=PARITY, tune=True, **(QUICK | {"n_estimators": 8, "learning_rate": 0.3})).fit(table)
    losses = [trial.validation_loss for trial in model.trials_]
    assert len(losses) == 9
    assert losses == sorted(losses)
    assert losses[0] == model.validation_loss_.min()
    assert model.n_trees_ == model.trials_[0].n_trees


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_files(table, tmp_path, kind):
    model = ONN(kind, PARITY, tune=kind == "binary", **(QUICK | {"n_estimators": 5, "subsample": 0.7})).fit(table)
    path = tmp_path / "onn.json"
    model.export(path)
    read = bit.load(path)
    assert isinstance(read, ONN)
    assert repr(read) == repr(model)
    assert (read.param_, read.classes_, read.trials_) == (model.param_, model.classes_, model.trials_)
    np.testing.assert_array_equal(read.predict(table), model.predict(table))
    document = json.loads(path.read_text())
    assert document["kind"] == "onn"
    assert document["features"] == list(table.feature_names)
    assert document["units"] == list(table.units or [""] * len(table.feature_names))
    assert document["reference"] == list(table.basis.reference)
    read.export(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
    path.write_text(json.dumps(document | {"format": "bit-onn/9"}))
    with pytest.raises(FileFormatError, match="has the format 'bit-onn/9', this version reads 'bit-onn/1'; update bit"):
        bit.load(path)
    document["config"]["symmetry"] = "augment"
    path.write_text(json.dumps(document))
    with pytest.raises(FileFormatError, match="checksum"):
        bit.load(path)


def test_observable(table):
    model = ONN(cp_parity=PARITY, **QUICK).fit(table)
    for observable in (model.observable(), model.observable("theta")):
        assert isinstance(observable, bit.observables.Observable)
        assert observable.name == "ONN:theta"
        np.testing.assert_array_equal(observable(table), model.predict(table))
    with pytest.raises(InputError, match="does not depend on a point"):
        model.observable("theta", theta=[0.1])
    with pytest.raises(InputError, match="did you mean 'theta'"):
        model.observable("thetaa")


# ---------------------------------------------------------------------- bad input
def weighted(table, **factors):
    weights = table.weights * [factors.get("nominal", 1.0), factors.get("linear", 1.0), 1.0]
    return bit.EventTable(table.features, weights, table.basis, feature_names=table.feature_names)


def test_samples_without_interference(table):
    with pytest.raises(InputError, match="no interference: w_a = 0 for all events"):
        ONN(**QUICK).fit(weighted(table, linear=0.0))
    with pytest.raises(InputError, match="nominal weights w_0 have the sum 0"):
        ONN("multiclass", **QUICK).fit(weighted(table, nominal=0.0))
    positive = table.take(table.weights[:, 1] > 0)
    with pytest.raises(InputError, match="negative weights w_a have the sum 0"):
        ONN(**QUICK).fit(positive)
    # The images of the events have the other sign.
    assert ONN(cp_parity=PARITY, **(QUICK | {"n_estimators": 2})).fit(positive).n_trees_ == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "binar"}, "did you mean 'binary'"),
        ({"symmetry": "exactly"}, "did you mean 'exact'"),
        ({"n_estimators": 0}, "n_estimators=0"),
        ({"learning_rate": 0.0}, "learning_rate=0.0"),
        ({"validation_fraction": 1.0}, "validation_fraction=1.0"),
        ({"tune": True, "early_stopping": False}, "the search needs early_stopping"),
        ({"random_state": -1}, "random_state=-1"),
        ({"cp_parity": "odd"}, "a CPParity is needed"),
        ({"max_dept": 3}, "did you mean 'max_depth'"),
        ({"objective": "binary:logistic"}, "no parameter 'objective'"),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(InputError, match=message):
        ONN(**arguments)


def test_bad_use(table):
    with pytest.raises(InputError, match="not trained yet"):
        ONN().predict(table)
    with pytest.raises(InputError, match="no linear term 'thet'"):
        ONN(param="thet").fit(table)
    with pytest.raises(InputError, match="an EventTable is needed"):
        ONN().fit(table.features)
    with pytest.raises(InputError, match="unknown feature 'y'"):
        ONN(cp_parity=bit.CPParity(flip=("y",), odd_params=("theta",))).fit(table)
    with pytest.raises(InputError, match="leaves one part empty"):
        ONN().fit(table.take([0]))
    model = ONN(cp_parity=PARITY, **(QUICK | {"n_estimators": 1})).fit(table)
    with pytest.raises(InputError, match="feature 'x' of the training is missing"):
        model.predict(bit.EventTable(table.features, table.weights, table.basis, feature_names=["y"]))
    with pytest.raises(InputError, match="X has 2 features, the training had 1"):
        model.predict(np.zeros((3, 2)))
    with pytest.raises(InputError, match="n_repeats=1"):
        model.permutation_importance(table, n_repeats=1)


def test_missing_package(table, tmp_path, monkeypatch):
    path = tmp_path / "onn.json"
    ONN(cp_parity=PARITY, **(QUICK | {"n_estimators": 1})).fit(table).export(path)
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(MissingPackageError, match=r"O_NN needs .*pip install 'boosted-information-trees\[baselines\]'"):
        ONN(**QUICK).fit(table)
    with pytest.raises(MissingPackageError, match="O_NN needs the package 'xgboost'"):
        bit.load(path)


# ---------------------------------------------------------------------- h -> 2e2mu
FEATURES = ("phi_4l", "m12", "m34", "cos_theta1", "cos_theta2")
ODD = ("cHWtil", "cHBtil", "cHWBtil")
H4L_PARITY = bit.CPParity(flip=("phi_4l", "cos_theta1", "cos_theta2"), odd_params=ODD)


@pytest.fixture(scope="module")
def decays():
    simulation = h4l.simulate(24_000, seed=1, frame="lab", acceptance=True, cuts=h4l.SELECTIONS["higgs"])
    return simulation.table.select(features=FEATURES, params=ODD, aux=[]).split([0.5, 0.5], seed=1)


@pytest.fixture(scope="module")
def classifiers(decays):
    settings = {"param": "cHBtil", "n_estimators": 80, "random_state": 1, "n_jobs": 1}
    return {kind: ONN(kind, H4L_PARITY, **settings).fit(decays[0]) for kind in ("binary", "multiclass")}


def upper(decays, observable, edges=None, n_bins=20):
    """Limit on cHBtil from 85 events, for which Phi_4l alone gives 1.4."""
    train, test = decays
    edges = choose_edges(train, observable, n_bins) if edges is None else edges
    template = fill(test.with_cp_mirror(H4L_PARITY), observable, edges, lumi_fb=85.0 / test.sigma_fb)
    return limits(template, order="linear", params=["cHBtil"])["cHBtil"].upper


def test_multiclass_is_as_good_as_the_score(decays, classifiers):
    # Limits on cHBtil of arXiv:2112.05052, Table I: 1.4 and 0.85 for the angle, without and with the mass, 0.71 for the
    # multi-class network. The information is a mean of t^2, known here to about 2 %, so limits to 1 %.
    score = bit.TrueScore("cHBtil", odd=True)
    best = upper(decays, score)
    angle = upper(decays, classic("phi_4l"), np.linspace(-np.pi, np.pi, 17))
    assert angle == pytest.approx(1.40, rel=0.05)
    assert best == pytest.approx(0.72, rel=0.05)
    assert upper(decays, classifiers["multiclass"].observable()) == pytest.approx(best, rel=0.05)
    trees = bit.BIT(100, terms=["cHBtil"], cp_parity=H4L_PARITY, n_jobs=1).fit(decays[0])
    assert upper(decays, classifiers["multiclass"].observable()) == pytest.approx(
        upper(decays, trees.observable("cHBtil")), rel=0.05
    )


def test_multiclass_is_a_monotone_function_of_the_score(decays, classifiers):
    # t / (|t| + k): the score is the same for all events at one x, so that nothing is averaged.
    train, test = decays
    index = train.basis.index(("cHBtil",))
    t = test.weights[:, index] / test.weights[:, 0]
    k = np.abs(train.weights[:, index]).sum() / train.sigma_fb / 2
    found = classifiers["multiclass"].predict(test)
    ideal_output = t / (np.abs(t) + k)
    # Left over is what the trees could not follow.
    assert np.average((found - ideal_output) ** 2) < 0.05 * np.average(ideal_output**2)


def test_an_ideal_binary_classifier_forgets_the_size(decays, classifiers):
    # The sign of the score gives 1.57, the trained classifier, which is smoother, something between it and the score.
    index = decays[0].basis.index(("cHBtil",))
    sign = bit.observables.FunctionObservable("sign", lambda events: np.sign(events.weights[:, index]), odd=True)
    # fill() evaluates the observable on images, whose weights have changed sign.
    worst = upper(decays, sign, np.array([-2.0, 0.0, 2.0]))
    assert worst == pytest.approx(1.57, rel=0.05)
    binary = upper(decays, classifiers["binary"].observable())
    assert 1.2 * upper(decays, bit.TrueScore("cHBtil", odd=True)) < binary < worst
    test = decays[1]
    agree = np.sign(classifiers["binary"].predict(test)) == np.sign(test.weights[:, index])
    assert np.average(agree, weights=np.abs(test.weights[:, index])) > 0.98


def test_angle_matters_most_and_mass_second(decays, classifiers):
    importance = classifiers["multiclass"].permutation_importance(decays[1], n_repeats=2, seed=1)
    assert importance["feature"].tolist()[:2] == ["phi_4l", "m12"]
    assert importance["importance"].is_monotonic_decreasing
    assert importance["importance"][1] > importance["importance"][2] + 10 * importance["error"][:3].max()


def test_trained_on_one_coefficient_and_used_for_another(decays, classifiers):
    # The sign of the interference of cHWBtil is opposite to that of cHBtil at most points.
    observable = classifiers["multiclass"].observable("cHWBtil")
    assert observable.name == "ONN:cHBtil"
    train, test = decays
    template = fill(
        test.with_cp_mirror(H4L_PARITY), observable, choose_edges(train, observable, 20), 85.0 / test.sigma_fb
    )
    crossed = limits(template, order="linear", params=["cHWBtil"])["cHWBtil"].upper
    own = fill(
        test.with_cp_mirror(H4L_PARITY),
        bit.TrueScore("cHWBtil", odd=True),
        choose_edges(train, bit.TrueScore("cHWBtil", odd=True), 20),
        85.0 / test.sigma_fb,
    )
    assert crossed > limits(own, order="linear", params=["cHWBtil"])["cHWBtil"].upper


def test_several_coefficients_need_a_choice(decays):
    with pytest.raises(InputError, match="choose one with param="):
        ONN(cp_parity=H4L_PARITY).fit(decays[0])
