"""Networks: closed forms, positivity, symmetry, files, errors. Small and on one thread, so that seeds give all bits."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bit
from bit.artefacts import checksum
from bit.baselines import SALLY, QuadraticClassifier
from bit.baselines import _training as training
from bit.errors import BitWarning, FileFormatError, InputError, MissingPackageError
from bit.metrics import rho2
from bit.processes import zh
from bit.processes.analytic import GaussianMean, Sine, Square, with_negative_weights

torch = pytest.importorskip("torch", reason="torch is not installed (extra: neural)")

SMALL = {"hidden": (16, 16), "batch_size": 256, "learning_rate": 0.01, "random_state": 1, "n_jobs": 1}
PARITY = bit.CPParity(flip=("x",), odd_params=("theta",))
BOTH = pytest.mark.parametrize("kind", [SALLY, QuadraticClassifier])


def two_coefficients(n_events, seed):
    """w = w_0 [(1 + a x + b y)^2 + (a z)^2] with z = 1 + y/2, w_0 of various sizes."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-1, 1, (2, n_events))
    one = np.ones(n_events)
    ratios = np.column_stack([one, 2 * x, 2 * y, 2 * (x**2 + (1 + y / 2) ** 2), 2 * x * y, 2 * y**2])
    weights = rng.uniform(0.5, 1.5, (n_events, 1)) * ratios / n_events
    basis = bit.PolynomialBasis(["a", "b"])
    return bit.EventTable(np.column_stack([x, y]), weights, basis, feature_names=["x", "y"], units=["GeV", ""])


@pytest.fixture(scope="module")
def table():
    return two_coefficients(4000, seed=1)


@pytest.fixture(scope="module")
def fitted(table):
    return {kind: kind(n_epochs=3, **SMALL).fit(table) for kind in (SALLY, QuadraticClassifier)}


def excess_loss(prediction, truth):
    """Mean squared error in units of the variance of the target, per function."""
    return ((prediction - truth) ** 2).mean(axis=0) / truth.var(axis=0)


# ---------------------------------------------------------------------- closed forms
def test_sally_learns_the_score_behind_a_smearing():
    toy = GaussianMean(smearing=0.5)
    train, test = (toy.sample(8000, seed=seed) for seed in (1, 2))
    model = SALLY(n_epochs=10, **SMALL).fit(train)
    mean, _ = toy.score_moments(test.column("x"))
    # Least squares of p free numbers on n events misses by p var(t|x) / n. A network behaves as if it had as many as
    # it can fit of the noise; 30, a tenth of its 321 numbers, is what a smooth function of one feature leaves room for.
    noise = 1.0 - 1.0 / 1.25  # var(t|x), with var(t) = 1
    assert np.mean((model.predict(test)[:, 0] - mean) ** 2) < 30 * noise / 8000
    # What is left of the squared distance from the joint score is that variance, up to its standard error.
    left = (test.joint_ratio()[:, 0] - model.predict(test)[:, 0]) ** 2
    assert left.mean() == pytest.approx(noise, abs=4 * left.std() / np.sqrt(len(left)))


@pytest.mark.parametrize("loss", ["cross-entropy", "quadratic"])
def test_the_classifier_learns_a_squared_amplitude(loss):
    train, test = (Square().sample(5000, seed=seed) for seed in (1, 2))
    model = QuadraticClassifier(loss=loss, n_epochs=12, **SMALL).fit(train)
    x = test.column("x").astype(np.float64)
    # (1 + theta x)^2 is n_1 = x with n_11 = 0, and w_k / w_0 is a function of x: there is no noise, and what is left is
    # the optimiser's distance from it, asked to be below 4 % of the spread.
    assert excess_loss(model.predict(test), np.column_stack([2 * x, 2 * x**2])).max() < 0.04**2
    ratio = (1 + 0.7 * x) ** 2
    assert excess_loss(model.predict_ratio(test, [0.7])[:, np.newaxis], ratio[:, np.newaxis])[0] < 0.04**2


def test_a_squared_amplitude_is_represented_exactly():
    """Roots n_1 = x, n_11 = 0 give (1 + theta x)^2 and its derivatives up to the rounding of the network's float32."""
    table = Square().sample(100, seed=1)
    model = QuadraticClassifier(n_epochs=0.1, **SMALL).fit(table)
    one = np.ones((1, 1), dtype=np.float32)
    layers = ((np.concatenate([one, 0 * one]), np.zeros(2, dtype=np.float32)),)
    model._take_over(
        replace(model.network_, mean=0 * one[0], scale=one[0], layers=layers, offset=np.zeros(2), unit=np.ones(2))
    )
    x = table.features[:, 0].astype(np.float32).astype(np.float64)
    assert np.array_equal(model.predict_ratio(table, [1.5]), (1 + 1.5 * x) ** 2)
    assert np.array_equal(model.predict(table), np.column_stack([2 * x, 2 * x**2]))
    assert model.predict_score(table, [0.3])[:, 0] == pytest.approx(2 * x / (1 + 0.3 * x), rel=1e-12)


def test_many_coefficients(table):
    test = two_coefficients(4000, seed=2)
    model = QuadraticClassifier(n_epochs=20, **SMALL).fit(table)
    assert model.output_terms_ == table.basis.terms[1:]
    assert len(model.base_points_) == 2 * 4 + 2
    assert rho2(test.joint_ratio(), model.predict(test), test.weights[:, 0]).min() > 0.99


def test_predicted_derivatives_are_those_of_the_ratio(table, fitted):
    """The polynomial of `predict` is the sum of squares of `predict_ratio`, and its slope that of `predict_score`."""
    model, theta, step = fitted[QuadraticClassifier], np.array([0.4, -0.7]), 1e-5
    polynomial = 1.0 + model.predict(table) @ table.basis.monomials(theta)[1:]
    assert model.predict_ratio(table, theta) == pytest.approx(polynomial, rel=1e-12, abs=1e-12)
    score = model.predict_score(table, theta)
    for a in range(2):
        shift = step * np.eye(2)[a]
        high, low = (model.predict_ratio(table, theta + sign * shift) for sign in (1, -1))
        slope = (high - low) / (2 * step)  # exact for a quadratic polynomial up to rounding / step
        assert score[:, a] * model.predict_ratio(table, theta) == pytest.approx(slope, abs=1e-15 * 100 / step)


@BOTH
def test_reference_point_elsewhere(kind, table):
    """theta is absolute: at the reference point the ratio is 1."""
    moved = table.rebase([0.2, 0.1])
    model = kind(n_epochs=1, **SMALL).fit(moved)
    assert np.array_equal(model.predict_ratio(moved, [0.2, 0.1]), np.ones(len(moved)))
    assert np.array_equal(model.predict_score(moved, [0.2, 0.1]), model.predict(moved)[:, :2])


# ---------------------------------------------------------------------- positivity, symmetry, weights of any sign
def test_the_ratio_is_never_negative(table, fitted):
    rng = np.random.default_rng(3)
    for scale in (0.1, 1.0, 10.0, 1e3):
        for theta in rng.normal(scale=scale, size=(20, 2)):
            assert (fitted[QuadraticClassifier].predict_ratio(table, theta) >= 0).all()


@BOTH
def test_exact_parity(kind):
    train, test = (Sine(order=2).sample(3000, seed=seed) for seed in (1, 2))
    model = kind(n_epochs=3, cp_parity=PARITY, **SMALL).fit(train)
    image = replace(test, features=PARITY.mirror(test.features, test.feature_names))
    sign = PARITY.term_sign(model.output_terms_)
    assert np.array_equal(model.predict(image), model.predict(test) * sign)
    assert np.abs(model.predict(test)[:, 0]).max() > 0.5  # it has learned something odd
    assert model.observable("theta").odd == (True,)
    if kind is QuadraticClassifier:
        assert np.array_equal(model.predict_ratio(image, [0.8]), model.predict_ratio(test, [-0.8]))


def test_symmetric_models_learn_from_each_event_what_its_image_tells():
    """Trained on x > 0 alone, the model knows x < 0."""
    train, test = (Sine(order=1).sample(4000, seed=seed) for seed in (1, 2))
    model = SALLY(n_epochs=30, cp_parity=PARITY, **SMALL).fit(train.take(train.column("x") > 0))
    left = test.take(test.column("x") < 0)
    assert rho2(left.joint_ratio()[:, 0], model.predict(left)[:, 0], left.weights[:, 0]) > 0.98


def test_negative_weights_do_not_bias():
    toy = GaussianMean()
    signed = with_negative_weights(toy.sample(20000, seed=1), 0.15, seed=2)
    test = toy.sample(5000, seed=3)
    model = SALLY(n_epochs=4, **SMALL).fit(signed)
    # n_eff = 0.49 n, and residuals w_a - w_0 F = 0 at the truth for either sign: no noise, the optimiser's error.
    assert excess_loss(model.predict(test), test.joint_ratio()[:, :1])[0] < 0.1**2


@BOTH
def test_scale_of_weights_and_units_of_theta_do_not_matter(kind, table):
    """All weights times 2^k, or theta in units of 2^k, change nothing but the result's unit: not a bit."""
    plain = kind(n_epochs=1, **SMALL).fit(table)
    heavy = kind(n_epochs=1, **SMALL).fit(replace(table, weights=1024.0 * table.weights))
    assert np.array_equal(plain.predict(table), heavy.predict(table))
    powers = np.array([1.0, *(4.0 ** len(term) for term in table.basis.terms[1:])])
    small = kind(n_epochs=1, **SMALL).fit(replace(table, weights=powers * table.weights))
    found = small.predict(table) / powers[1 : 1 + small.predict(table).shape[1]]
    assert found == pytest.approx(plain.predict(table), rel=1e-3, abs=1e-4)


# ---------------------------------------------------------------------- seeds, files, numpy
@BOTH
def test_seeds(kind, table, fitted):
    again, other = (kind(n_epochs=3, **(SMALL | {"random_state": seed})).fit(table) for seed in (1, 2))
    assert np.array_equal(again.predict(table), fitted[kind].predict(table))
    assert np.array_equal(again.validation_loss_, fitted[kind].validation_loss_)
    assert not np.array_equal(other.predict(table), fitted[kind].predict(table))


def test_the_state_of_torch_is_left_alone(table):
    torch.manual_seed(5)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    SALLY(n_epochs=0.2, **SMALL).fit(table)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@BOTH
def test_numpy_predicts_as_torch_does(kind, table, fitted):
    network = fitted[kind].network_
    layers = []
    for weight, bias in network.layers:
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
        linear.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
        layers += [linear, torch.nn.SiLU()]
    inputs = torch.tensor((table.features.astype(np.float32) - network.mean) / network.scale, dtype=torch.float32)
    with torch.no_grad():
        expected = torch.nn.Sequential(*layers[:-1])(inputs).numpy()
    # float32, sums of 16 numbers of order 1 in three layers
    assert (network.predict(table.features) - network.offset) / network.unit == pytest.approx(expected, abs=1e-5)


@BOTH
@pytest.mark.parametrize("parity", [None, bit.CPParity(swap=[("x", "y")])])
def test_files_keep_every_bit(kind, parity, table, tmp_path):
    model = kind(n_epochs=1, cp_parity=parity, **SMALL).fit(table)
    model.export(tmp_path / "model.json")
    loaded = bit.load(tmp_path / "model.json")
    assert type(loaded) is kind
    assert loaded.get_params() == model.get_params()
    assert (loaded.output_terms_, loaded.basis_) == (model.output_terms_, model.basis_)
    assert np.array_equal(loaded.predict(table), model.predict(table))
    assert np.array_equal(loaded.predict_score(table, [0.1, 0]), model.predict_score(table, [0.1, 0]))
    loaded.export(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "model.json").read_bytes()


def test_loaded_networks_do_not_need_torch(table, fitted, tmp_path):
    fitted[SALLY].export(tmp_path / "model.json")
    np.save(tmp_path / "features.npy", table.features[:50])
    program = (
        f"import sys, numpy as np, bit; model = bit.load({str(tmp_path / 'model.json')!r}); "
        f"print(model.predict(np.load({str(tmp_path / 'features.npy')!r})).sum(), 'torch' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    total, with_torch = printed.split()
    assert float(total) == fitted[SALLY].predict(table.features[:50]).sum()
    assert with_torch == "False"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.__setitem__("format", "bit-network/9"), "has the format 'bit-network/9'"),
        (lambda d: d.__setitem__("estimator", "Sally"), "a network of 'Sally'"),
        (lambda d: d.__setitem__("activation", "relu"), "activation 'relu'"),
        (lambda d: d["layers"].pop(), "the last layer has 16 outputs for 2 names"),
        (lambda d: d["layers"][0].__setitem__("shape", [16, 3]), "cannot reshape"),
        (lambda d: d["offset"].pop(), "does not have one entry for each output"),
        (lambda d: d["features"][0].__setitem__("scale", 0.0), "scale that is not positive"),
    ],
)
def test_broken_files(change, message, fitted, tmp_path):
    path = tmp_path / "model.json"
    fitted[SALLY].export(path)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    if document["format"] == "bit-network/1":
        with pytest.raises(FileFormatError, match="checksum"):
            bit.load(path)
    document["sha256"] = checksum(document)
    path.write_text(json.dumps(document))
    with pytest.raises(FileFormatError, match=message):
        bit.load(path)


# ---------------------------------------------------------------------- training
def test_early_stopping_keeps_the_best(table):
    options = SMALL | {"learning_rate": 0.05}
    model = SALLY(n_epochs=40, schedule="constant", n_iter_no_change=2, **options).fit(table)
    best = int(np.argmin(model.validation_loss_))
    assert len(model.validation_loss_) == best + 3 < 40
    until = SALLY(n_epochs=best + 1, schedule="constant", n_iter_no_change=50, **options).fit(table)
    assert np.array_equal(until.predict(table), model.predict(table))


def test_without_early_stopping_all_events_train(table):
    model = SALLY(n_epochs=1.5, early_stopping=False, **SMALL).fit(table)
    assert len(model.validation_loss_) == 0
    assert len(model.train_loss_) == 2


def test_ctrl_c_keeps_the_best_weights(table, monkeypatch):
    keep, calls = training.Trainer.keep, []

    def interrupted_in_the_third(self, validation):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        keep(self, validation)

    monkeypatch.setattr(training.Trainer, "keep", interrupted_in_the_third)
    with pytest.warns(BitWarning, match="interrupted after 3 of 9 epochs"):
        model = SALLY(n_epochs=9, schedule="constant", **SMALL).fit(table)
    monkeypatch.undo()
    assert model.interrupted_
    two = SALLY(n_epochs=2, schedule="constant", **SMALL).fit(table)
    assert np.array_equal(model.predict(table), two.predict(table))


def test_ctrl_c_before_the_first_epoch_is_raised(table, monkeypatch):
    def interrupted(self, *arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(training.Trainer, "epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        SALLY(**SMALL).fit(table)


@BOTH
def test_progress_bar(kind, table, capsys):
    kind(n_epochs=1, verbose=1, **SMALL).fit(table)
    kind(n_epochs=1, **SMALL).fit(table)
    assert capsys.readouterr().out == ""


# ---------------------------------------------------------------------- interface and errors
def test_terms_and_columns(table, fitted):
    model = fitted[SALLY]
    assert model.output_terms_ == (("a",), ("b",))
    assert model.observable("b")(table) == pytest.approx(model.predict(table)[:, 1])
    assert model.observable("b", theta=[0.1, 0.0])(table) == pytest.approx(model.predict_score(table, [0.1, 0.0])[:, 1])
    frame = pd.DataFrame(table.features, columns=["x", "y"])[["y", "x"]]
    assert np.array_equal(model.predict(frame), model.predict(table))
    one = SALLY(terms=["b", ("a", "a")], n_epochs=0.1, **SMALL).fit(table)
    assert one.output_terms_ == (("b",), ("a", "a"))
    ratio = 1 + one.predict(table) @ [0.3, 0.5 * 0.2**2]
    assert one.predict_ratio(table, [0.2, 0.3]) == pytest.approx(ratio)


@BOTH
def test_features_that_are_not_finite(kind, table, fitted):
    features = table.features.copy()
    features[[3, 7], 1] = np.nan, np.inf
    with pytest.raises(InputError, match=r"features: 2 of 4000 events are NaN or infinite \(first: event 3"):
        kind(**SMALL).fit(replace(table, features=features))
    with pytest.raises(InputError, match="features: 2 of 4000 events are NaN or infinite"):
        fitted[kind].predict(features)


@BOTH
def test_samples_without_interference(kind, table):
    weights = table.weights.copy()
    weights[:, table.basis.index("b")] = 0.0
    with pytest.raises(InputError, match=r"weights of \['b'\] are 0 for all 4000 events: there is no interference"):
        kind(**SMALL).fit(replace(table, weights=weights))


@BOTH
def test_samples_without_sm(kind, table):
    weights = table.weights.copy()
    weights[:, 0] = 0.0
    with pytest.raises(InputError, match=r"the nominal weights sum to 0: .* concat a table of SM events"):
        kind(**SMALL).fit(replace(table, weights=weights))


def test_the_classifier_needs_second_order():
    with pytest.raises(InputError, match=r"all terms up to order 2, but the table lacks \[\('theta', 'theta'\)\]"):
        QuadraticClassifier(**SMALL).fit(GaussianMean(order=1).sample(100, seed=1))


def test_base_points(table):
    with pytest.raises(InputError, match="holds the reference point"):
        QuadraticClassifier(base_points=[[1.0, 0.0], [0.0, 0.0]], **SMALL).fit(table)
    model = QuadraticClassifier(base_points=[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], n_epochs=0.1, **SMALL).fit(table)
    assert model.base_points_.tolist() == [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    linear = table.weights * [1, 1, 1, 0, 1, 1] + [0, 1e-4, 0, 0, 0, 0]
    with pytest.raises(InputError, match=r"base point \[-5.0, 0.0\]: the weights sum to"):
        QuadraticClassifier(base_points=[-5.0, 0.0], **SMALL).fit(replace(table, weights=linear))


@BOTH
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden", 100),
        ("hidden", (0,)),
        ("n_epochs", 0),
        ("batch_size", 1.5),
        ("learning_rate", -1.0),
        ("schedule", "cosine"),
        ("validation_fraction", 1.0),
        ("n_iter_no_change", 0),
        ("cp_parity", "phi"),
    ],
)
def test_parameters_out_of_range(kind, name, value, table):
    with pytest.raises(InputError, match=f"^{name}="):
        kind(**(SMALL | {name: value})).fit(table)


def test_wrong_loss(table):
    with pytest.raises(InputError, match="loss='hinge': one of 'cross-entropy', 'quadratic'"):
        QuadraticClassifier(loss="hinge").fit(table)


def test_other_input(table, fitted):
    with pytest.raises(InputError, match="a ndarray was given: networks are trained on an EventTable"):
        SALLY().fit(table.features)
    with pytest.raises(InputError, match="X has 1 features, but the network takes 2"):
        fitted[SALLY].predict(table.features[:, :1])
    with pytest.raises(InputError, match="feature 'y' of the training is missing"):
        fitted[SALLY].predict(table.select(features=["x"]))
    with pytest.raises(InputError, match="one point is needed"):
        fitted[SALLY].predict_ratio(table, [[0.0, 0.0]])
    with pytest.raises(InputError, match="not positive for"):
        fitted[SALLY].predict_score(table, [-50.0, 0.0])


def test_constant_features(table):
    features = np.column_stack([table.features, np.ones(4000)])
    wider = replace(table, features=features, feature_names=("x", "y", "one"), units=None)
    with pytest.warns(BitWarning, match=r"constant features \['one'\] tell nothing"):
        model = SALLY(n_epochs=1, **SMALL).fit(wider)
    assert np.isfinite(model.predict(wider)).all()
    with pytest.raises(InputError, match="every feature has one value only"):
        SALLY(**SMALL).fit(replace(table, features=np.ones((4000, 2))))


@BOTH
def test_without_torch(kind, table, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingPackageError, match=rf"{kind.__name__}.fit needs the package 'torch'.*\[neural\]"):
        kind().fit(table)


# ---------------------------------------------------------------------- simulated events
def test_zh():
    """On few of the shipped events, in a second of training, both learn most of what there is to know about cHq3."""
    events = bit.read_root(Path(__file__).parents[2] / "data" / "zh.root").take(slice(0, 12000))
    train, test = events.split([0.6, 0.4], seed=1)
    options = SMALL | {"hidden": (32, 32), "n_epochs": 6}
    for model, least in ((SALLY(**options), 0.9), (QuadraticClassifier(cp_parity=zh.CP_PARITY, **options), 0.8)):
        prediction = model.fit(train).predict(test)
        column = model.output_terms_.index(("cHq3",))
        truth = test.joint_ratio()[:, test.basis.index("cHq3") - 1]
        assert rho2(truth, prediction[:, column], test.weights[:, 0]) > least
