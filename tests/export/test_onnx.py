"""Forests as ONNX models: what onnxruntime makes of them, and how far single precision takes it from the forest."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from reference.export_cases import ALL_CASES

import bit
from bit.errors import InputError, MissingPackageError
from bit.export import to_onnx
from bit.export.check import single_precision_error
from bit.trees.forest_json import as_document

onnx = pytest.importorskip("onnx", reason="onnx of the extra 'dev' is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime of the extra 'dev' is not installed")

N_EVENTS = 20_000


@pytest.fixture(scope="module")
def models(forests, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    for case, forest in forests.items():
        to_onnx(forest, folder / f"{case}.onnx")
    return {case: folder / f"{case}.onnx" for case in forests}


def predict(path, features, block=2000):
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = features.astype(np.float32)
    results = [session.run(["prediction"], {"features": x[i : i + block]})[0] for i in range(0, len(x), block)]
    return np.concatenate(results)


@pytest.mark.parametrize("case", ALL_CASES)
def test_predictions_agree_within_single_precision(forests, probes, models, case):
    forest, probe = forests[case], probes[case][-N_EVENTS:]
    found, expected = predict(models[case], probe), forest.predict(probe)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert (np.abs(found - expected) <= single_precision_error(forest, probe)).all()


@pytest.mark.parametrize("case", ["hundred_trees", "large_trees", "symmetric", "separate", "linear"])
def test_every_event_reaches_its_leaf(forests, probes, tmp_path, case):
    """Whole numbers as leaf values are exact in single precision, so that one wrong turn would show."""
    rng = np.random.default_rng(3)
    groups = [
        replace(group, value=np.where(group.feature[:, np.newaxis] < 0, rng.integers(-999, 1000, group.value.shape), 0))
        for group in forests[case].groups
    ]
    if case == "linear":  # only where a leaf is constant anyway
        groups = [replace(group, linear=replace(group.linear, slope=0 * group.linear.slope)) for group in groups]
    groups = tuple(replace(group, value=group.value.astype(np.float64)) for group in groups)
    forest = replace(forests[case], groups=groups, base=np.arange(forests[case].n_outputs, dtype=np.float64))
    to_onnx(forest, tmp_path / "a.onnx")
    probe = probes[case][-N_EVENTS:]
    np.testing.assert_array_equal(predict(tmp_path / "a.onnx", probe), forest.predict(probe))


def test_exact_symmetry_survives(forests, probes, models):
    cp, probe = forests["symmetric"].cp, probes["symmetric"][-N_EVENTS:].astype(np.float32)
    of_image = predict(models["symmetric"], cp.image(probe))
    assert cp.parity.min() == -1
    np.testing.assert_array_equal(predict(models["symmetric"], probe), of_image * cp.parity)


@pytest.mark.parametrize("case", ["one_tree", "linear", "symmetric_linear", "no_trees"])
def test_any_number_of_events(forests, probes, models, case):
    probe = probes[case][:7]
    whole = predict(models[case], probe)
    np.testing.assert_array_equal(predict(models[case], probe, block=1), whole)
    assert predict(models[case], probe[:1]).shape == (1, forests[case].n_outputs)


def test_what_the_model_tells(forests, models):
    model, document = onnx.load(models["separate"]), as_document(forests["separate"])
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    for name in ("features", "outputs", "basis", "cp", "config"):
        assert json.loads(metadata[name]) == document[name]
    assert metadata["sha256"] == document["sha256"]
    assert metadata["version"] == model.producer_version == bit.__version__
    positive = onnx.load(models["positive"])
    assert "before the projection" in positive.doc_string
    assert model.ir_version == 10
    assert {opset.domain: opset.version for opset in model.opset_import} == {"": 21, "ai.onnx.ml": 3}
    [one] = [node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor"]
    modes = {mode for attribute in one.attribute if attribute.name == "nodes_modes" for mode in attribute.strings}
    assert modes == {b"BRANCH_LT", b"LEAF"}


def test_numbers_too_large_for_single_precision(forests, tmp_path):
    with pytest.raises(InputError, match="the value 1e\\+39, too large for single precision; export to C"):
        to_onnx(replace(forests["no_trees"], base=np.array([0.0, 1e39])), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_onnx(forests, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'boosted-information-trees\[export\]'"):
        to_onnx(forests["one_tree"], tmp_path / "a.onnx")
