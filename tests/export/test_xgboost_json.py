"""Forests as models of XGBoost and back: every event reaches its leaf, sums agree within single precision."""

import json
from dataclasses import replace

import numpy as np
import pytest
from reference.export_cases import CONSTANT_CASES, NAMES, with_whole_leaves

import bit
from bit.errors import FileFormatError, InputError
from bit.export import from_xgboost, to_xgboost
from bit.export.check import xgboost_error
from bit.trees.forest_json import as_document

xgboost = pytest.importorskip("xgboost", reason="xgboost of the extra 'baselines' is not installed")

N_EVENTS = 20_000


def predict(files, features):
    boosters = [xgboost.Booster({"nthread": 1}, model_file=file) for file in files]
    return np.column_stack([booster.inplace_predict(features.astype(np.float32)) for booster in boosters])


@pytest.mark.parametrize("case", CONSTANT_CASES)
def test_every_event_reaches_its_leaf(forests, probes, tmp_path, case):
    """Infinities, NaN, denormal numbers and neighbours of all thresholds, with flipped and swapped features too."""
    forest, probe = with_whole_leaves(forests[case]), probes[case][-N_EVENTS:]
    found = predict(to_xgboost(forest, tmp_path / "model"), probe)
    np.testing.assert_array_equal(found, forest.predict(probe))


@pytest.mark.parametrize("case", CONSTANT_CASES)
def test_predictions_agree_within_single_precision(forests, probes, tmp_path, case):
    forest, probe = forests[case], probes[case][-N_EVENTS:]
    found = predict(to_xgboost(forest, tmp_path / "model"), probe)
    assert found.dtype == np.float32
    assert (np.abs(found - forest.predict(probe)) <= xgboost_error(forest, probe)).all()


def test_files_of_a_forest(forests, tmp_path):
    forest = forests["symmetric"]
    files = to_xgboost(forest, tmp_path / "model")
    assert [file.name for file in files] == ["a.json", "b.json", "a-a.json", "a-b.json", "b-b.json"]
    assert sorted(files) == sorted((tmp_path / "model").iterdir())
    document, name = as_document(forest), ["a", "b", "a*a", "a*b", "b*b"]
    for file, output in zip(files, name, strict=True):
        learner = json.loads(file.read_text(encoding="utf-8"))["learner"]
        assert learner["attributes"]["output"] == output
        assert learner["attributes"]["sha256"] == document["sha256"]
        assert learner["attributes"]["version"] == bit.__version__
        for field in ("features", "outputs", "basis", "cp", "config"):
            assert json.loads(learner["attributes"][field]) == document[field]
        assert float(learner["learner_model_param"]["base_score"]) == pytest.approx(
            forest.base[name.index(output)] if output in ("a", "a*a", "b*b") else 0.0
        )
        trees = learner["gradient_booster"]["model"]["trees"]
        assert len(trees) == 2 * forest.n_trees
        flipped = [
            (i, f)
            for i, tree in enumerate(trees)
            for f, d in zip(tree["split_indices"], tree["default_left"], strict=True)
            if d
        ]
        assert {f for _, f in flipped} == {NAMES.index("phi")}
        assert min(i for i, _ in flipped) >= forest.n_trees
    booster = xgboost.Booster(model_file=files[0])
    assert json.loads(booster.attr("features"))[1]["unit"] == "GeV"
    assert (
        "before the projection"
        in json.loads(to_xgboost(forests["positive"], tmp_path / "positive")[0].read_text(encoding="utf-8"))["learner"][
            "attributes"
        ]["holds"]
    )


def test_only_images_have_a_default_direction(forests, tmp_path):
    for file in to_xgboost(forests["separate"], tmp_path / "model"):
        trees = json.loads(file.read_text(encoding="utf-8"))["learner"]["gradient_booster"]["model"]["trees"]
        assert len(trees) == 6
        assert not any(any(tree["default_left"]) for tree in trees)


def test_scikit_learn_interface_dump_and_names(forests, probes, tmp_path):
    names = ("phi", 'm µ"', "pt lead", "eta")
    forest = replace(forests["hundred_trees"], feature_names=names)
    file, *_ = to_xgboost(forest, tmp_path)
    model = xgboost.XGBRegressor()
    model.load_model(file)
    x = np.nan_to_num(probes["hundred_trees"][:1000].astype(np.float32), nan=np.nan, posinf=1e38, neginf=-1e38)
    assert (np.abs(model.predict(x) - forest.predict(x)[:, 0]) <= xgboost_error(forest, x)[:, 0]).all()
    booster = xgboost.Booster(model_file=file)
    assert tuple(booster.feature_names) == names
    assert len(booster.get_dump()) == 100
    gains = booster.get_score(importance_type="total_gain")
    expected = forest.feature_importances()
    for feature, name in enumerate(names):
        assert gains[name] / sum(gains.values()) == pytest.approx(expected[feature], rel=1e-4)


def test_one_output_in_one_file(forests, probes, tmp_path):
    forest = forests["separate"]
    one = replace(forest, groups=forest.groups[:1], base=forest.base[:1], output_terms=forest.output_terms[:1])
    assert to_xgboost(one, tmp_path / "a.json") == (tmp_path / "a.json",)
    probe = probes["separate"][-N_EVENTS:]
    again = bit.load(tmp_path / "a.json")
    assert again.output_terms == (("a",),)
    assert again.feature_names == NAMES
    assert (np.abs(again.predict(probe) - one.predict(probe)) <= xgboost_error(one, probe)).all()
    with pytest.raises(InputError, match="2 outputs, of which an XGBoost file holds one: name a folder"):
        to_xgboost(forest, tmp_path / "b.json")


def test_what_cannot_be_written(forests, tmp_path):
    plain = forests["one_tree"]
    for forest, path, message in (
        (forests["linear"], "a", "linear leaves, and a leaf of XGBoost is one number: export to cpp, numpy or onnx"),
        (replace(plain, feature_names=("a", "b[0]", "c", "d")), "a", r"feature 'b\[0\]': XGBoost refuses"),
        (replace(plain, base=np.full(5, 1e39)), "a", "too large for single precision"),
        (replace(plain, output_terms=(("a", "b"), ("a-b",), *plain.output_terms[2:])), "a", "would be one file"),
        (plain, "missing/a", "cannot make the folder .*missing/a"),
    ):
        with pytest.raises(InputError, match=message):
            to_xgboost(forest, tmp_path / path)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- reading
def trained(folder, *, nan=False, **options):
    """A model of XGBoost in a file, and 1e5 events."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(4000, 3)).astype(np.float32)
    y = 2 * x[:, 0] + np.sin(2 * x[:, 1]) + 0.1 * rng.normal(size=4000)
    settings = {"max_depth": 4, "tree_method": "hist", "nthread": 1, **options}
    booster = xgboost.train(settings, xgboost.DMatrix(x, y), 40)
    booster.save_model(folder / "xgboost.json")
    events = rng.normal(size=(100_000, 3)).astype(np.float32)
    events[rng.random(events.shape) < 0.05] = np.nan if nan else 0.0
    events[rng.random(events.shape) < 0.01] = np.inf
    events[rng.random(events.shape) < 0.01] = -np.inf
    return booster, events


@pytest.mark.parametrize(
    "options", [{}, {"gamma": 20.0}, {"tree_method": "approx"}, {"num_parallel_tree": 3, "subsample": 0.5}]
)
def test_models_of_xgboost_become_forests(tmp_path, options):
    """Trained without missing values by "hist", where all of them go to the right."""
    booster, events = trained(tmp_path, nan=True, **options)
    forest = bit.load(tmp_path / "xgboost.json")
    expected = booster.inplace_predict(events)
    assert np.isnan(events).any(axis=1).sum() > 10_000
    assert (np.abs(forest.predict(events)[:, 0] - expected) <= xgboost_error(forest, events)[:, 0]).all()
    assert expected.std() > 1
    gains = booster.get_score(importance_type="total_gain")
    np.testing.assert_allclose(
        forest.feature_importances(), [gains.get(f"f{i}", 0.0) / sum(gains.values()) for i in range(3)], rtol=1e-4
    )
    assert forest.groups[0].sum_w[0, 0] > 0
    assert bit.BIT.from_forest(forest).predict(events[:10]).shape == (10,)


def test_a_forest_of_xgboost_can_be_exported(tmp_path):
    _, events = trained(tmp_path, nan=True, max_depth=9)
    forest = from_xgboost(tmp_path / "xgboost.json")
    files = to_xgboost(forest, tmp_path / "again.json")
    np.testing.assert_array_equal(from_xgboost(*files).predict(events), forest.predict(events))
    assert (np.abs(predict(files, events) - forest.predict(events)) <= xgboost_error(forest, events)).all()


@pytest.mark.parametrize("missing_values", [True, False])
def test_missing_values_to_the_left(tmp_path, missing_values):
    """ "exact" sends all missing values to the left if there were none in the training."""
    booster, events = trained(tmp_path, nan=missing_values, tree_method="exact")
    if missing_values:
        events[events == np.inf] = 3e38  # +inf counts as missing, as is documented
    forest = from_xgboost(tmp_path / "xgboost.json", missing_values=missing_values)
    deviation = np.abs(forest.predict(events)[:, 0] - booster.inplace_predict(events))
    assert (deviation <= xgboost_error(forest, events)[:, 0]).all()
    assert (len(forest.groups[0].feature) == sum(tree.count("\n") for tree in booster.get_dump())) != missing_values


def test_flipped_features_are_read_back(forests, probes, tmp_path):
    forest, probe = forests["symmetric"], probes["symmetric"][-N_EVENTS:].copy()
    probe[probe == np.inf] = 3e38
    for output, file in enumerate(to_xgboost(forest, tmp_path)):
        again = bit.load(file)
        deviation = np.abs(again.predict(probe)[:, 0] - forest.predict(probe)[:, output])
        assert (deviation <= xgboost_error(forest, probe)[:, output]).all()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["gradient_booster", "name"], "dart", "booster is 'dart'; bit reads gbtree models"),
        (["objective", "name"], "binary:logistic", "objective is 'binary:logistic'"),
        (["learner_model_param", "num_class"], "3", "num_class is '3'"),
        (["learner_model_param", "num_target"], "2", "num_target is '2'"),
        (["learner_model_param", "base_score"], "[1E-1,2E-1]", "not a valid model of XGBoost"),
        (["gradient_booster", "model", "trees", 0, "tree_param", "size_leaf_vector"], "2", "leaves are vectors"),
        (["gradient_booster", "model", "trees", 0, "split_type", 0], 1, "splits of categories"),
        (["gradient_booster", "model", "trees", 0, "left_children", 0], 999, "not a valid model of XGBoost"),
        (["gradient_booster", "model", "trees", 0, "left_children", 1], 0, "runs in circles"),
        (["gradient_booster", "model", "trees", 0, "right_children", 0], -7, "does not exist"),
        (["gradient_booster", "model", "trees", 0, "split_indices", 0], 9, "does not exist"),
        (["gradient_booster", "model", "trees", 0, "parents"], [], None),
        (["gradient_booster", "model", "trees"], None, "not a valid model of XGBoost"),
        (["attributes"], {"format": "bit-forest/2"}, r"the format 'bit-forest/2', this version reads .* update bit"),
    ],
)
def test_other_models_are_refused(tmp_path, path, value, message):
    trained(tmp_path)
    file = tmp_path / "xgboost.json"
    document = json.loads(file.read_text())
    inside = document["learner"]
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    file.write_text(json.dumps(document))
    if message is None:  # not needed to evaluate
        assert from_xgboost(file).n_trees == 40
        return
    with pytest.raises(FileFormatError, match=message):
        bit.load(file)


def test_files_that_are_not_of_xgboost(tmp_path):
    file = tmp_path / "a.json"
    for content, message in (("{", "is not JSON"), ("[1]", "does not hold a model of XGBoost")):
        file.write_text(content)
        with pytest.raises(FileFormatError, match=message):
            from_xgboost(file)
    with pytest.raises(InputError, match=r"did you mean 'a.json'\?"):
        from_xgboost(tmp_path / "b.json")
