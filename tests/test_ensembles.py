"""Ensembles: what their predictions are made of, copies, files, errors. Whether they are right: physics/."""

import json
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import bit
from bit.artefacts import checksum
from bit.ensembles import BoostedInformationTreeEnsemble
from bit.errors import BitWarning, FileFormatError, InputError
from bit.trees import boosting
from bit.trees.forest_json import as_document


@pytest.fixture
def table(rng):
    """Squares w_0 (1 + theta . u)^2 with features that tell most of u."""
    features = rng.normal(size=(600, 3))
    a, b = (features[:, :2] + 0.3 * rng.normal(size=(600, 2))).T
    nominal = rng.exponential(size=600)
    columns = nominal[:, np.newaxis] * np.column_stack([np.ones(600), 2 * a, 2 * b, 2 * a * a, 2 * a * b, 2 * b * b])
    names = ["x", "y", "z"]
    return bit.EventTable(features, columns, bit.PolynomialBasis(["a", "b"]), feature_names=names, aux={"u": a})


SMALL = bit.BIT(n_estimators=4, max_depth=2, min_samples_leaf=20, n_jobs=1)
PARITY = bit.CPParity(flip=("x",), odd_params=("a",))
BOTH = pytest.mark.parametrize("method", ["bootstrap", "jackknife"])


def trained(table, method="bootstrap", n_members=5, estimator=SMALL, **options):
    return BoostedInformationTreeEnsemble(estimator, n_members, method=method, random_state=3, n_jobs=1, **options).fit(
        table
    )


# ---------------------------------------------------------------------- predictions
@BOTH
def test_predictions_are_made_of_the_members(table, method):
    ensemble = trained(table, method)
    members = ensemble.predict_members(table)
    central = SMALL.fit(table).predict(table)
    assert members.shape == (5, 600, 5)
    np.testing.assert_array_equal(ensemble.predict(table), central)
    np.testing.assert_array_equal(members[2], bit.BIT.from_forest(ensemble.members_[2]).predict(table))
    difference = members - members.mean(axis=0)
    scatter = np.einsum("mia,mib->iab", difference, difference)
    factor = 1 / 4 if method == "bootstrap" else 4 / 5
    covariance = ensemble.predict_covariance(table)
    # A few hundred roundings.
    np.testing.assert_allclose(covariance, factor * scatter, rtol=0, atol=1e-13 * scatter.max())
    np.testing.assert_allclose(
        ensemble.predict_std(table), np.sqrt(np.einsum("iaa->ia", covariance)), rtol=1e-13, atol=0
    )
    np.testing.assert_array_equal(covariance, covariance.swapaxes(1, 2))
    assert np.linalg.eigvalsh(covariance).min() > -1e-13 * covariance.max()
    bias = (members.mean(axis=0) - central) * (1 if method == "bootstrap" else 4)
    np.testing.assert_allclose(ensemble.bias(table), bias, rtol=0, atol=1e-13 * np.abs(members).max())
    assert (ensemble.predict_std(table) > 0).any(axis=0).all()


def test_large_values_do_not_cancel(table):
    """With R = 1e8 + r, differences of squares would lose all of the variance, 1e-16 of R^2."""
    shifted = table.weights.copy()
    shifted[:, 1] += 1e8 * shifted[:, 0]
    moved = bit.EventTable(table.features, shifted, table.basis, feature_names=table.feature_names)
    ensemble = trained(moved, estimator=clone(SMALL).set_params(terms=["a"]))
    expected = ensemble.predict_members(moved).std(axis=0, ddof=1)
    # The members themselves are rounded to 1e8 * 2^-53.
    np.testing.assert_allclose(ensemble.predict_std(moved), expected, rtol=0, atol=1e-6)
    assert expected.mean() > 1e-3


def test_covariance_in_blocks(table, monkeypatch):
    ensemble = trained(table)
    whole = ensemble.predict_covariance(table)
    monkeypatch.setattr("bit.ensembles._BLOCK", 7)
    np.testing.assert_array_equal(ensemble.predict_covariance(table), whole)


def test_everything_else_is_asked_of_the_model(table):
    ensemble, model = trained(table), SMALL.fit(table)
    theta = [0.1, -0.05]
    np.testing.assert_array_equal(ensemble.predict_ratio(table, theta), model.predict_ratio(table, theta))
    np.testing.assert_array_equal(ensemble.predict_score(table, theta), model.predict_score(table, theta))
    np.testing.assert_array_equal(ensemble.observable("b")(table), model.observable("b")(table))
    assert ensemble.output_terms_ == model.output_terms_
    assert ensemble.basis_ == model.basis_
    assert list(ensemble.feature_names_in_) == ["x", "y", "z"]


def test_shapes_follow_the_targets(table, rng):
    features, target = table.features, table.features[:, 0] + rng.normal(size=600)
    flat = BoostedInformationTreeEnsemble(SMALL, 3, random_state=1).fit(features, target)
    assert flat.predict(features).shape == flat.predict_std(features).shape == flat.bias(features).shape == (600,)
    assert flat.predict_members(features).shape == (3, 600)
    assert flat.predict_covariance(features).shape == (600, 1, 1)
    frame = pd.DataFrame(features, columns=["p", "q", "r"])
    named = BoostedInformationTreeEnsemble(SMALL, 3, random_state=1).fit(frame, target[:, np.newaxis])
    np.testing.assert_array_equal(named.predict_std(frame[["r", "p", "q"]])[:, 0], flat.predict_std(features))


# ---------------------------------------------------------------------- resampling
def test_poisson_counts(table):
    """Every event counts once on the average, with variance 1, and is missing with probability 1/e."""
    ensemble = trained(table, n_members=40)
    rows = np.array([member.groups[0].count[0] for member in ensemble.members_])
    sums = np.array([member.groups[0].sum_w[0, 0] for member in ensemble.members_])
    nominal = table.weights[:, 0]
    # Each event is seen with p = 1 - 1/e; the mean over 40 members within four standard deviations.
    p = 1 - np.exp(-1)
    assert abs(rows.mean() - 600 * p) < 4 * np.sqrt(600 * p * (1 - p) / 40)
    assert abs(sums.mean() - nominal.sum()) < 4 * np.sqrt(nominal @ nominal / 40)
    # The variance of the sums, sum w^2, is known from 40 members to sqrt(2/39).
    assert abs(sums.var(ddof=1) / (nominal @ nominal) - 1) < 4 * np.sqrt(2 / 39)


def test_groups_of_the_jackknife(table):
    ensemble = trained(table, "jackknife", n_members=7)
    rows = np.array([member.groups[0].count[0] for member in ensemble.members_])
    assert sorted(600 - rows) == [85, 85, 86, 86, 86, 86, 86]
    # Every event is left out once, so that the sums, their scale undone, give each event six times.
    sums = np.array([member.groups[0].sum_w[0, 0] * member.groups[0].count[0] / 600 for member in ensemble.members_])
    np.testing.assert_allclose(sums.sum(), 6 * table.weights[:, 0].sum(), rtol=1e-9)  # 2^-43 of the largest weight
    assert len(np.unique(sums)) == 7


def test_members_of_a_smaller_ensemble_come_first(table):
    few, many = trained(table, n_members=3), trained(table, n_members=6)
    np.testing.assert_array_equal(few.predict_members(table), many.predict_members(table)[:3])
    assert len(np.unique(many.predict_members(table)[:, 0, 0])) == 6


@BOTH
@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_same_seed_same_result_for_any_threads(table, method, n_jobs):
    ensemble = trained(table, method, estimator=clone(SMALL).set_params(subsample=0.7))
    again = clone(ensemble).set_params(n_jobs=n_jobs).fit(table)
    np.testing.assert_array_equal(ensemble.predict_members(table), again.predict_members(table))
    other = clone(ensemble).set_params(random_state=4).fit(table)
    assert (ensemble.predict_members(table) != other.predict_members(table)).any()


def test_input_is_not_modified(table):
    features, weights = table.features.copy(), table.weights.copy()
    estimator = clone(SMALL)
    trained(table, estimator=estimator)
    np.testing.assert_array_equal(table.features, features)
    np.testing.assert_array_equal(table.weights, weights)
    assert not hasattr(estimator, "forest_")


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "separate"},
        {"positive": True},
        {"cp_parity": PARITY},
        {"early_stopping": True, "n_estimators": 30, "n_iter_no_change": 2},
        {"max_depth": None, "max_leaf_nodes": 5, "l2": 1.0, "min_gain": 1e-3},
        {"base_points": [[1, 0], [0, 1], [2, 0], [0, 2], [1, 1]], "init": None},
    ],
)
@BOTH
def test_members_are_trained_like_the_model(table, method, options):
    ensemble = trained(table, method, estimator=clone(SMALL).set_params(**options))
    std = ensemble.predict_std(table)
    assert np.isfinite(std).all()
    assert (std > 0).any()
    for member in ensemble.members_:
        assert len(member.groups) == len(ensemble.model_.forest_.groups)
        assert (member.cp is None) == (ensemble.model_.forest_.cp is None)
        stored = member.config["parameters"]
        for name in ("strategy", "positive", "init", "max_leaf_nodes", "early_stopping"):
            assert stored[name] == getattr(ensemble.model_, name)


@pytest.mark.parametrize(("method", "share", "effective"), [("bootstrap", 0.632, 0.5), ("jackknife", 0.8, 0.8)])
def test_rules_count_what_members_see(table, method, share, effective):
    estimator = clone(SMALL).set_params(l2=2.0, min_gain=0.1)
    for floor in (None, 30.0):
        ensemble = trained(table, method, estimator=estimator.set_params(min_effective_samples=floor))
        stored = ensemble.members_[0].config["parameters"]
        assert stored["min_samples_leaf"] == round(share * 20)
        assert stored["min_effective_samples"] == pytest.approx(effective * (floor or 20))
        assert stored["l2"] == pytest.approx(2 * share, rel=1e-3)
        assert stored["min_gain"] == pytest.approx(0.1 * share, rel=1e-3)


def test_shrinkage_means_the_same_for_members(table):
    """The value of the root, sum w / (sum w_0 + l2 unit): l2 is in units of the mean weight of all events."""
    estimator = bit.BIT(1, learning_rate=1.0, min_gain=1e9, l2=600.0, init=None, terms=["a"], n_jobs=1)
    ensemble = trained(table, "jackknife", estimator=estimator)
    central = ensemble.predict(table)[0, 0]
    assert central == pytest.approx(table.weights[:, 1].sum() / (2 * table.weights[:, 0].sum()), rel=1e-9)
    for member, value in zip(ensemble.members_, ensemble.predict_members(table)[:, 0, 0], strict=True):
        nominal, slope = member.groups[0].sum_w[0]
        assert value == pytest.approx(slope / (2 * nominal), rel=1e-9)


def test_constant_features_are_told_once(table):
    features = np.column_stack([table.features, np.ones(600)])
    constant = bit.EventTable(features, table.weights, table.basis, feature_names=["x", "y", "z", "one"])
    with pytest.warns(BitWarning, match=r"constant features \['one'\]") as caught:
        trained(constant)
    assert len(caught) == 1


# ---------------------------------------------------------------------- Ctrl-C
@pytest.fixture
def interrupt_at(monkeypatch):
    """Press Ctrl-C after so many trees, counted over all trainings."""

    def arm(last_tree):
        grown = 0

        class Bar:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

            def set_postfix_str(self, *_, **__):
                pass

            def update(self, n):
                nonlocal grown
                grown += n
                if grown == last_tree:
                    raise KeyboardInterrupt

        monkeypatch.setattr(boosting, "progress_bar", lambda *_, **__: Bar())

    return arm


@BOTH
@pytest.mark.parametrize("tree", [1, 3])
def test_interrupt_keeps_the_complete_members(table, interrupt_at, method, tree):
    whole = trained(table, method)
    interrupt_at(4 + 3 * 4 + tree)  # the model, three members, and a part of the fourth
    with pytest.warns(BitWarning, match="interrupted after 3 of 5 members") as caught:
        ensemble = trained(table, method)
    assert len(caught) == 1
    assert ensemble.n_members_ == len(ensemble.members_) == 3
    members = ensemble.predict_members(table)
    np.testing.assert_array_equal(members, whole.predict_members(table)[:3])
    # Three of five groups left out: the sample variance of the members has the same expectation.
    factor = 1 if method == "bootstrap" else 16 / 5
    np.testing.assert_allclose(
        ensemble.predict_std(table) ** 2, factor * members.var(axis=0, ddof=1), rtol=0, atol=1e-13 * members.max() ** 2
    )


@pytest.mark.parametrize("tree", [5, 9, 11])
def test_interrupt_before_two_members(table, interrupt_at, tree):
    interrupt_at(tree)
    with pytest.raises(KeyboardInterrupt):
        trained(table)


@pytest.mark.filterwarnings("ignore:interrupted after 2 of 4 trees")
def test_interrupt_of_the_model_itself(table, interrupt_at):
    interrupt_at(2)
    with pytest.raises(KeyboardInterrupt):
        trained(table)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_members_in_parallel_are_the_same(table, backend):
    one_by_one = trained(table)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        ensemble = trained(table)
    for member, other in zip(one_by_one.members_, ensemble.members_, strict=True):
        assert as_document(member) == as_document(other)


# ---------------------------------------------------------------------- scikit-learn
@parametrize_with_checks(
    [BoostedInformationTreeEnsemble(bit.BIT(3, min_samples_leaf=1), 2, random_state=1, n_jobs=1)],
    expected_failed_checks=lambda _: {
        "check_sample_weight_equivalence_on_dense_data": "weights of zero are refused, and resampling counts rows",
    },
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_copies(table):
    ensemble = trained(table)
    again = pickle.loads(pickle.dumps(ensemble))
    np.testing.assert_array_equal(again.predict_covariance(table), ensemble.predict_covariance(table))
    fresh = clone(ensemble)
    assert not hasattr(fresh, "members_")
    assert fresh.get_params()["estimator__max_depth"] == 2
    assert fresh.set_params(estimator__max_depth=3).estimator.max_depth == 3


def test_parameters_set_later_do_not_change_what_was_trained(table):
    ensemble = trained(table, "jackknife")
    before = ensemble.predict_std(table)
    np.testing.assert_array_equal(ensemble.set_params(method="bootstrap", n_members=9).predict_std(table), before)


def test_default_estimator(table):
    ensemble = BoostedInformationTreeEnsemble(n_members=2, random_state=1, n_jobs=1).fit(table)
    assert ensemble.model_.get_params() == bit.BIT(n_jobs=1).get_params()
    assert ensemble.model_.n_iter_ == 100


# ---------------------------------------------------------------------- files
@BOTH
def test_round_trip_is_exact(table, tmp_path, method):
    ensemble = trained(table, method, estimator=clone(SMALL).set_params(cp_parity=PARITY))
    ensemble.export(tmp_path / "ensemble.json")
    again = bit.load(tmp_path / "ensemble.json")
    assert isinstance(again, BoostedInformationTreeEnsemble)
    for name in ("predict", "predict_std", "predict_covariance", "predict_members", "bias"):
        np.testing.assert_array_equal(getattr(again, name)(table), getattr(ensemble, name)(table))
    np.testing.assert_array_equal(again.predict_ratio(table, [0.1, 0.2]), ensemble.predict_ratio(table, [0.1, 0.2]))
    for name in ("method", "n_members", "random_state"):
        assert getattr(again, name) == getattr(ensemble, name)
    assert again.estimator.get_params() == ensemble.model_.get_params()
    again.export(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "ensemble.json").read_text()


def test_shape_of_plain_targets_and_interrupted_ensembles_are_kept(table, tmp_path, interrupt_at):
    interrupt_at(4 + 3 * 4 + 1)
    ensemble = BoostedInformationTreeEnsemble(SMALL, 9, method="jackknife", random_state=np.int64(1))
    with pytest.warns(BitWarning, match="interrupted after 3 of 9"):
        ensemble.fit(table.features, table.features[:, 0])
    ensemble.export(tmp_path / "plain.json")
    again = bit.load(tmp_path / "plain.json")
    assert again.predict_std(table.features).shape == (600,)
    np.testing.assert_array_equal(again.predict_std(table.features), ensemble.predict_std(table.features))
    assert again.n_members_ == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["config"].__setitem__("method", "jackknife"), "checksum does not fit"),
        (lambda d: d.__setitem__("format", "bit-ensemble/9"), "this version reads 'bit-ensemble/1'; update bit"),
    ],
)
def test_changed_files_are_refused(table, tmp_path, change, message):
    path = tmp_path / "ensemble.json"
    trained(table).export(path)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(FileFormatError, match=message):
        bit.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("members"),
        lambda d: d.__setitem__("members", d["members"][:1]),
        lambda d: d["members"][1]["base"].__setitem__(0, 7.0),
        lambda d: d["config"].__setitem__("method", "guess"),
        lambda d: d["config"].__setitem__("colour", "red"),
    ],
)
def test_broken_structures_are_refused(table, tmp_path, change):
    path = tmp_path / "ensemble.json"
    trained(table, n_members=2).export(path)
    document = json.loads(path.read_text())
    change(document)
    document["sha256"] = checksum(document)
    path.write_text(json.dumps(document))
    with pytest.raises(FileFormatError, match=r"ensemble\.json"):
        bit.load(path)


def test_members_of_other_models_are_refused(table, tmp_path):
    for name, terms in (("one", ["a"]), ("two", ["a", "b"])):
        trained(table, n_members=2, estimator=clone(SMALL).set_params(terms=terms)).export(tmp_path / name)
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("one", "two"))
    one["members"] = two["members"]
    one["sha256"] = checksum(one)
    (tmp_path / "mixed").write_text(json.dumps(one))
    with pytest.raises(FileFormatError, match="of the features and outputs of the model"):
        bit.load(tmp_path / "mixed")


# ---------------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "BIT"}, "estimator is a str: a BoostedInformationTree"),
        ({"n_members": 1}, "n_members=1: an integer of at least 2"),
        ({"n_members": 2.0}, "n_members=2.0: an integer"),
        ({"random_state": -1}, "random_state=-1: an integer of at least 0"),
        ({"method": "boostrap"}, "did you mean 'bootstrap'"),
        ({"estimator": bit.BIT(max_depth=0)}, "max_depth=0"),
        ({"method": "jackknife", "n_members": 601}, "n_members=601 groups of 600 events"),
    ],
)
def test_parameters_out_of_range(table, options, message):
    with pytest.raises(InputError, match=message):
        BoostedInformationTreeEnsemble(**options).fit(table)


def test_weights_that_some_members_cannot_use(rng):
    """Signed weights that sum to a little more than nothing: some bootstrap samples have a negative sum."""
    nominal = np.append(np.ones(51), -np.ones(49))
    table = bit.EventTable(
        rng.normal(size=(100, 1)),
        np.column_stack([nominal, nominal]),
        bit.PolynomialBasis(["a"], order=1),
        feature_names=["x"],
    )
    with pytest.raises(InputError, match="do not sum to a positive number: 100 events are too few for a bootstrap"):
        trained(table, n_members=50)
