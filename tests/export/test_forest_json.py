import json
from dataclasses import replace

import numpy as np
import pytest

import bit
from bit.artefacts import checksum
from bit.errors import FileFormatError, InputError


@pytest.fixture
def model(rng):
    features = rng.normal(size=(500, 2))
    nominal = rng.exponential(size=500)
    weights = np.column_stack([nominal, nominal * features[:, 0], nominal * features[:, 1] ** 2])
    basis = bit.PolynomialBasis(["cHW"], reference=[0.1])
    table = bit.EventTable(features, weights, basis, feature_names=["pt", "phi"], units=["GeV", ""])
    return bit.BIT(n_estimators=5).fit(table)


def written(model, tmp_path):
    path = tmp_path / "model.json"
    model.export(path)
    return path


def test_round_trip_is_exact(model, tmp_path, rng):
    forest = bit.load(written(model, tmp_path))
    probe = np.vstack([rng.normal(size=(1000, 2)), [[np.nan, np.inf], [-np.inf, -0.0]]])
    np.testing.assert_array_equal(forest.predict(probe), model.predict(probe))
    assert forest.basis == model.basis_
    assert forest.output_terms == model.output_terms_
    assert forest.feature_names == ("pt", "phi")
    assert forest.units == ("GeV", "")
    assert forest.config["parameters"]["n_estimators"] == 5
    assert forest.config["bit_version"] == bit.__version__
    np.testing.assert_array_equal(forest.feature_importances(), model.feature_importances_)
    for name in ("count", "sum_w", "sum_w0_squared"):
        np.testing.assert_array_equal(getattr(forest.groups[0], name), getattr(model.forest_.groups[0], name))


def test_a_forest_becomes_an_estimator_again(model, tmp_path, rng):
    again = bit.BIT.from_forest(bit.load(written(model, tmp_path)))
    table = bit.EventTable(rng.normal(size=(50, 2)), np.ones((50, 3)), model.basis_, feature_names=["pt", "phi"])
    assert again.get_params() == model.get_params()
    np.testing.assert_array_equal(again.predict(table), model.predict(table))
    np.testing.assert_array_equal(again.observable("cHW")(table), model.observable("cHW")(table))
    np.testing.assert_array_equal(again.predict_ratio(table, [0.2]), model.predict_ratio(table, [0.2]))


def test_shape_of_plain_targets_is_kept(tmp_path, rng):
    features = rng.normal(size=(300, 2))
    model = bit.BIT(n_estimators=2).fit(features, features[:, 0])
    model.export(tmp_path / "plain.json")
    again = bit.BIT.from_forest(bit.load(tmp_path / "plain.json"))
    np.testing.assert_array_equal(again.predict(features), model.predict(features))
    assert again.predict(features).shape == (300,)


def test_contract_fields(model, tmp_path):
    document = json.loads(written(model, tmp_path).read_text())
    assert document["kind"] == "forest"
    assert document["format"] == "bit-forest/1"
    [group] = document["groups"]
    n_nodes = len(group["feature"])
    for name in ("threshold", "left", "right", "value", "count", "sum_w", "sum_w0_squared"):
        assert len(group[name]) == n_nodes
    assert group["tree_offset"][-1] == n_nodes
    assert len(group["sum_w"][0]) == 3
    assert len(document["base"]) == len(document["outputs"]) == len(group["value"][0]) == 2
    assert all(np.float32(t) == t for t in group["threshold"])
    assert document["features"][0] == {"name": "pt", "unit": "GeV", "latex": "pt"}


def test_block_of_the_parity_is_optional(model, tmp_path, rng):
    path, probe = written(model, tmp_path), rng.normal(size=(100, 2))
    document = json.loads(path.read_text())
    assert document.pop("cp") is None
    path.write_text(json.dumps({**document, "sha256": checksum(document)}))
    np.testing.assert_array_equal(bit.load(path).predict(probe), model.predict(probe))


def test_old_file_stays_if_writing_fails(model, tmp_path):
    path = written(model, tmp_path)
    before = path.read_bytes()
    model.forest_.base[0] = np.nan
    with pytest.raises(ValueError, match="Out of range float"):
        model.export(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["base"].__setitem__(0, 1.0), "checksum does not fit"),
        (lambda d: d.__setitem__("format", "bit-forest/9"), "this version reads 'bit-forest/1'; update bit"),
        (lambda d: d.__setitem__("kind", "bush"), "holds the kind 'bush'"),
    ],
)
def test_changed_files_are_refused(model, tmp_path, change, message):
    path = written(model, tmp_path)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(FileFormatError, match=message):
        bit.load(path)


@pytest.mark.parametrize(
    ("field", "position", "value"),
    [("left", 0, 10_000), ("right", 0, 0), ("feature", 0, 9), ("tree_offset", -1, 3), ("outputs", 0, 5)],
)
def test_trees_that_lead_astray_are_refused(model, tmp_path, field, position, value):
    path = written(model, tmp_path)
    document = json.loads(path.read_text())
    document["groups"][0][field][position] = value
    document["sha256"] = checksum(document)
    path.write_text(json.dumps(document))
    with pytest.raises(FileFormatError, match="not a valid bit-forest/1 file"):
        bit.load(path)


# ---------------------------------------------------------------------- exact parity
@pytest.fixture
def symmetric_model(rng):
    features = rng.normal(size=(300, 4))
    nominal = rng.exponential(size=300)
    odd, even = np.sin(features[:, 0]), features[:, 2] * features[:, 3]
    weights = np.column_stack([np.ones(300), odd, even]) * nominal[:, np.newaxis]
    basis = bit.PolynomialBasis(["odd", "even"], order=1)
    table = bit.EventTable(features, weights, basis, feature_names=["phi", "m", "pt_m", "pt_p"])
    parity = bit.CPParity(flip=["phi"], swap=[("pt_m", "pt_p")], odd_params=["odd"])
    return bit.BIT(n_estimators=3, cp_parity=parity).fit(table)


def test_block_of_the_parity(model, symmetric_model, tmp_path, rng):
    assert json.loads(written(model, tmp_path).read_text())["cp"] is None
    path = written(symmetric_model, tmp_path)
    document = json.loads(path.read_text())
    assert document["cp"] == {"sign": [-1, 1, 1, 1], "permutation": [0, 1, 3, 2], "parity": [-1, 1]}
    x = rng.normal(size=(50, 4))
    image = x[:, document["cp"]["permutation"]] * document["cp"]["sign"]
    trees = replace(symmetric_model.forest_, cp=None)
    expected = (trees.predict(x) + [-1, 1] * trees.predict(image)) / 2
    np.testing.assert_array_equal(bit.load(path).predict(x), expected)
    assert np.abs(expected[:, 0]).max() > 0.0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sign", [-1, 1, 1], "cp.sign must be"),
        ("sign", [-1, 1, 1, 0.5], "cp.sign must be"),
        ("sign", [-1, 1, -1, 1], "the same for swapped ones"),
        ("sign", [None, 1, 1, 1], "cp.sign must be"),
        ("permutation", [1, 2, 0, 3], "does not swap pairs"),
        ("permutation", [0, 1, 2, 2], "does not swap pairs"),
        ("permutation", [0, 1, 3, 9], "does not swap pairs"),
        ("permutation", [0, 1, 2], "does not swap pairs"),
        ("parity", [-1, 1, 1], "one entry for each output"),
        ("parity", [-1, 0], "cp.parity must be"),
    ],
)
def test_malformed_parities_are_refused(symmetric_model, tmp_path, name, value, message):
    path = written(symmetric_model, tmp_path)
    document = json.loads(path.read_text())
    document["cp"][name] = value
    document["sha256"] = checksum(document)
    path.write_text(json.dumps(document))
    with pytest.raises(FileFormatError, match=message):
        bit.load(path)


@pytest.mark.parametrize("name", ["sign", "permutation", "parity"])
def test_incomplete_parities_are_refused(symmetric_model, tmp_path, name):
    path = written(symmetric_model, tmp_path)
    document = json.loads(path.read_text())
    del document["cp"][name]
    document["sha256"] = checksum(document)
    path.write_text(json.dumps(document))
    with pytest.raises(FileFormatError, match=f"not a valid bit-forest/1 file .*{name}"):
        bit.load(path)


def test_files_that_are_no_models(tmp_path):
    path = tmp_path / "model.json"
    path.write_text("hello")
    with pytest.raises(FileFormatError, match="is not JSON"):
        bit.load(path)
    path.write_text("[1, 2]")
    with pytest.raises(FileFormatError, match="holds the kind None"):
        bit.load(path)
    with pytest.raises(InputError, match=r"did you mean 'model.json'\?"):
        bit.load(tmp_path / "modle.json")
