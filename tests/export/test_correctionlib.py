"""Forests as correctionlib files: every event reaches its leaf, sums agree within double precision."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
from reference.export_cases import CONSTANT_CASES, NAMES, with_whole_leaves

import bit
from bit.errors import InputError
from bit.export import to_correctionlib
from bit.export.check import correctionlib_error
from bit.trees.forest_json import as_document

correctionlib = pytest.importorskip("correctionlib", reason="correctionlib of the extra 'formats' is not installed")

N_EVENTS = 20_000


def predict(path, features, outputs):
    compound = correctionlib.CorrectionSet.from_file(str(path)).compound
    return np.column_stack([compound["*".join(term)].evaluate(*features.T) for term in outputs])


@pytest.mark.parametrize("case", CONSTANT_CASES)
def test_every_event_reaches_its_leaf(forests, probes, tmp_path, case):
    """NaN, infinities and neighbours of all thresholds in single and double precision, flipped and swapped features."""
    forest, probe = with_whole_leaves(forests[case]), probes[case][-N_EVENTS:]
    to_correctionlib(forest, tmp_path / "a.json")
    np.testing.assert_array_equal(predict(tmp_path / "a.json", probe, forest.output_terms), forest.predict(probe))


@pytest.mark.parametrize("case", CONSTANT_CASES)
def test_predictions_agree_within_double_precision(forests, probes, tmp_path, case):
    forest, probe = forests[case], probes[case][-N_EVENTS:]
    to_correctionlib(forest, tmp_path / "a.json.gz")
    found, bound = predict(tmp_path / "a.json.gz", probe, forest.output_terms), correctionlib_error(forest, probe)
    assert (np.abs(found - forest.predict(probe)) <= bound).all()
    assert bound.max() < 1e-12


def test_doubles_change_sides_where_rounding_to_single_precision_does(forests, tmp_path):
    """A relative distance of 1e-14 from the middle between two float32 numbers is enough."""
    forest = with_whole_leaves(forests["hundred_trees"])
    [group] = forest.groups
    to_correctionlib(forest, tmp_path / "a.json")
    rng = np.random.default_rng(4)
    columns = []
    for feature in range(4):
        upper = np.unique(group.threshold[group.feature == feature])
        lower = np.nextafter(upper, np.float32(-np.inf))
        middle = 0.5 * (upper.astype(np.float64) + lower)
        sides = np.concatenate([middle * (1 + 1e-14), middle * (1 - 1e-14)])
        assert not np.array_equal(sides.astype(np.float32), np.concatenate([upper, upper]))
        columns.append(rng.choice(sides, N_EVENTS))
    events = np.column_stack(columns)
    np.testing.assert_array_equal(predict(tmp_path / "a.json", events, forest.output_terms), forest.predict(events))


def test_document(forests, tmp_path):
    schema = pytest.importorskip("correctionlib.schemav2", reason="pydantic is not installed")
    forest = forests["symmetric"]
    to_correctionlib(forest, tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    schema.CorrectionSet.model_validate(found)
    description, document = json.loads(found["description"]), as_document(forest)
    for field in ("features", "outputs", "basis", "cp", "config", "sha256", "format"):
        assert description[field] == document[field]
    assert description["version"] == bit.__version__
    compounds = {compound["name"]: compound for compound in found["compound_corrections"]}
    assert list(compounds) == ["a", "b", "a*a", "a*b", "b*b"]
    assert [entry["name"] for entry in compounds["a"]["inputs"]] == list(NAMES)
    assert [entry["description"] for entry in compounds["a"]["inputs"]] == ["rad", "GeV", "GeV", "GeV"]
    assert compounds["a*b"]["stack"][0] == "a*b/base"
    assert len(compounds["a*b"]["stack"]) == 1 + 2 * forest.n_trees


def test_compressed_files_are_the_same_every_time(forests, tmp_path):
    for name in ("a.json.gz", "b.json.gz", "c.json"):
        to_correctionlib(forests["separate"], tmp_path / name)
    first = (tmp_path / "a.json.gz").read_bytes()
    assert first == (tmp_path / "b.json.gz").read_bytes()
    assert gzip.decompress(first) == (tmp_path / "c.json").read_bytes()


def test_what_cannot_be_written(forests, tmp_path):
    for forest, name, message in (
        (forests["linear"], "a.json", "linear leaves, and a leaf of correctionlib is one number"),
        (forests["one_tree"], "a.txt", r"a.txt: correctionlib reads files that end in .json or .json.gz"),
    ):
        with pytest.raises(InputError, match=message):
            to_correctionlib(forest, tmp_path / name)
    with pytest.raises(ValueError, match="Out of range float"):
        to_correctionlib(replace(forests["no_trees"], base=np.array([0.0, np.inf])), tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []
