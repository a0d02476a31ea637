"""The check of exports: which events it takes, and that it finds what is wrong."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from reference.export_cases import EXACT, FORMATS, SUFFIX, WRITE, needs_compiler

from bit.errors import FileFormatError, InputError, MissingPackageError
from bit.export import to_cpp
from bit.export.check import check_export, probe_events, single_precision_error


@pytest.mark.parametrize("to", FORMATS)
def test_right_exports_pass_and_wrong_ones_do_not(forests, tmp_path, to):
    forest = forests["symmetric" if to in ("xgboost", "correctionlib") else "symmetric_linear"]
    path = tmp_path / f"model{SUFFIX.get(to, '')}"
    WRITE[to](forest, path)
    events = probe_events(forest, 2000)
    found = check_export(forest, path, to, events)
    assert found.n_events == len(events) >= 2000
    if to in EXACT:
        assert found.largest == found.allowed == 0
    else:
        assert 0 < found.largest <= found.allowed < (1e-13 if to == "correctionlib" else 1e-5)
    [group, *others] = forest.groups
    # One threshold a single bit higher.
    threshold = group.threshold.copy()
    threshold[0] = np.nextafter(threshold[0], np.float32(np.inf))
    other = replace(forest, groups=(replace(group, threshold=threshold), *others))
    with pytest.raises(FileFormatError, match=r"deviates from the forest by up to .* write it again"):
        check_export(other, path, to, events)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_probes_try_every_threshold_and_its_neighbours(forests):
    forest = forests["linear"]
    [group] = forest.groups
    x = probe_events(forest)
    assert len(x) == 10_000
    for feature in range(4):
        edges = group.threshold[group.feature == feature]
        bounds = group.linear.low[group.linear.columns == feature]
        for values in (edges, np.nextafter(edges, np.float32(-np.inf)), np.nextafter(edges, np.float32(np.inf))):
            assert len(values) > 0
            assert np.isin(values.astype(np.float64), x[:, feature]).all()
        assert np.isin(np.nextafter(edges.astype(np.float64), -np.inf), x[:, feature]).all()
        assert np.isin(bounds, x[:, feature]).all()
        assert np.isnan(x[:, feature]).any()
        assert {-np.inf, np.inf, 0.0, 1e-310, float(np.float32(1e-45))} <= set(x[:, feature])
        assert np.signbit(x[x[:, feature] == 0, feature]).any()
    np.testing.assert_array_equal(probe_events(forest), x)
    assert probe_events(forests["no_groups"], 4).shape == (13, 4)


def test_bound_holds_for_sums_in_single_precision_in_any_order(forests, probes):
    forest, x = forests["hundred_trees"], probes["hundred_trees"][-2000:]
    nothing = np.zeros((len(x), forest.n_outputs))
    terms = np.diff([nothing, nothing + forest.base, *forest.staged_predict(x)], axis=0).astype(np.float32)
    expected, bound = forest.predict(x), single_precision_error(forest, x)
    rng = np.random.default_rng(2)
    for _ in range(5):
        total = nothing.astype(np.float32)
        for term in rng.permutation(terms):
            total += term
        assert (np.abs(total - expected) <= bound).all()
    assert bound.max() < 1e-3


def test_without_a_compiler_or_a_runtime(forests, tmp_path, monkeypatch):
    forest, events = forests["one_tree"], probe_events(forests["one_tree"], 10)
    to_cpp(forest, tmp_path / "a.hpp")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InputError, match=r"no C\+\+ compiler \(no-such-compiler\) was found"):
        check_export(forest, tmp_path / "a.hpp", "cpp", events)
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"no C\+\+ compiler \(g\+\+, clang\+\+, c\+\+\) was found"):
        check_export(forest, tmp_path / "a.hpp", "cpp", events)
    for to, package in (("onnx", "onnxruntime"), ("xgboost", "xgboost"), ("correctionlib", "correctionlib")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingPackageError, match=f"needs the package '{package}'.* pip install"):
            check_export(forest, tmp_path / "a.hpp", to, events)
    with pytest.raises(InputError, match=r"did you mean 'a.hpp'\?"):
        check_export(forest, tmp_path / "b.hpp", "cpp", events)


@needs_compiler
def test_a_header_that_does_not_compile(forests, tmp_path):
    (tmp_path / "a.hpp").write_text("namespace observable {\n")
    with pytest.raises(FileFormatError, match=r"does not compile the header: .*error"):
        check_export(forests["one_tree"], tmp_path / "a.hpp", "cpp", probe_events(forests["one_tree"], 10))
