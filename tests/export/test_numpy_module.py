"""Forests as numpy modules: the numbers of `Forest.predict`, bit for bit."""

import ast
import runpy

import numpy as np
import pytest
from reference.export_cases import ALL_CASES, NAMES

import bit
from bit.errors import InputError
from bit.export import to_numpy
from bit.trees.forest_json import as_document


@pytest.fixture(scope="module")
def modules(forests, tmp_path_factory):
    folder = tmp_path_factory.mktemp("numpy")
    for case, forest in forests.items():
        to_numpy(forest, folder / f"{case}.py")
    return {case: runpy.run_path(str(folder / f"{case}.py")) for case in forests}


@pytest.mark.parametrize("case", ALL_CASES)
def test_predictions_are_equal(forests, probes, modules, case):
    forest, probe = forests[case], probes[case]
    assert forest.n_trees == {"one_tree": 1, "hundred_trees": 100, "no_trees": 0, "no_groups": 0}.get(case, 6)
    np.testing.assert_array_equal(modules[case]["predict"](probe), forest.predict(probe))


def test_events_of_other_types_and_numbers(forests, probes, modules):
    predict, probe = modules["symmetric_linear"]["predict"], probes["symmetric_linear"][:100]
    expected = forests["symmetric_linear"].predict(probe)
    for events in (probe.astype(np.float32), np.asfortranarray(probe), probe.tolist()):
        np.testing.assert_array_equal(predict(events), expected)
    assert predict(probe[:0]).shape == (0, 5)
    for wrong in (probe[0], probe[:, :3]):
        with pytest.raises(ValueError, match=r"\(n_events, 4\) is needed"):
            predict(wrong)


def test_what_the_module_tells(forests, modules):
    forest, module = forests["separate"], modules["separate"]
    assert module["FEATURES"] == NAMES
    assert module["UNITS"] == ("rad", "GeV", "GeV", "GeV")
    assert module["OUTPUTS"] == ("a", "b")
    metadata, document = module["METADATA"], as_document(forest)
    for name in ("sha256", "features", "outputs", "basis", "cp", "config"):
        assert metadata[name] == document[name]
    assert metadata["basis"]["reference"] == [0.1, 0.0]
    assert metadata["version"] == bit.__version__
    assert "projection" not in metadata["holds"]
    assert "before the projection" in modules["positive"]["METADATA"]["holds"]
    assert modules["symmetric"]["METADATA"]["cp"]["parity"] == [1, -1, 1, -1, 1]


def test_only_numpy_is_imported(forests, tmp_path):
    path = tmp_path / "observable.py"
    to_numpy(forests["symmetric_linear"], path)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"numpy", "typing"}
    assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 130


def test_old_file_stays_if_writing_fails(forests, tmp_path):
    with pytest.raises(InputError, match="does not exist; create it first"):
        to_numpy(forests["one_tree"], tmp_path / "missing" / "a.py")
    assert list(tmp_path.iterdir()) == []
