"""Training on files that need not fit into memory: the same forests, and a cache that can be trusted."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import uproot

import bit
from bit.errors import BitWarning, FileFormatError, InputError
from bit.io import stream as stream_module
from bit.mapped import MappedTable, forget
from bit.trees.forest_json import as_document

BASIS = bit.PolynomialBasis(["a", "b"], reference=[0.1, -0.2])
N = 4000
SMALL = {"n_estimators": 6, "max_depth": 3}


def make_table(n=N, dtype=np.float64):
    """Signed and zero nominal weights, NaN and infinite features, a feature with few values."""
    rng = np.random.default_rng(7)
    features = rng.normal(size=(n, 4)).astype(dtype)
    features[:, 2] = rng.integers(-3, 4, n)
    features[rng.random(n) < 0.1, 3] = np.nan
    features[:2, 1] = np.inf, -np.inf
    nominal = rng.exponential(size=n) * np.where(rng.random(n) < 0.1, -1.0, 1.0)
    nominal[:20] = 0.0
    score = np.column_stack([features[:, 0], features[:, 2]]) + rng.normal(size=(n, 2))
    columns = [nominal, *(nominal * t for t in score.T)]
    columns += [2 * nominal * score[:, i] * score[:, j] for i, j in ((0, 0), (0, 1), (1, 1))]
    names = {"feature_names": ["p", "q", "r", "s"], "units": ["GeV", "", "", "GeV"]}
    return bit.EventTable(features, np.column_stack(columns), BASIS, **names)


@pytest.fixture
def table():
    return make_table()


@pytest.fixture
def files(table, tmp_path):
    paths = [tmp_path / f"{number}.root" for number in range(2)]
    bit.write_root(paths[0], table.take(slice(0, 1500)))
    bit.write_root(paths[1], table.take(slice(1500, None)))
    return paths


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def assert_same(first, second):
    """All that is in the files of the forests, and the losses."""
    assert as_document(first.forest_) == as_document(second.forest_)
    np.testing.assert_array_equal(first.train_loss_, second.train_loss_)
    np.testing.assert_array_equal(first.validation_loss_, second.validation_loss_)


OPTIONS = {
    "default": {},
    "bins by count": {"bin_weights": "count", "max_bins": 31},
    "linear": {"leaf": "linear"},
    "parity": {"cp_parity": bit.CPParity(flip=["r"], odd_params=["a"])},
    "parity, linear": {"cp_parity": bit.CPParity(flip=["p"], odd_params=["a"]), "leaf": "linear"},
    "separate": {"strategy": "separate"},
    "positive": {"positive": True},
    "sketch": {"sketch": 2, "random_state": 1},
    "subsample": {"subsample": 0.6, "random_state": 2},
    "early stopping": {"early_stopping": True, "random_state": 3},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_forests_are_those_of_a_table_in_memory(table, files, cache, name):
    expected = bit.BIT(**SMALL, **OPTIONS[name]).fit(table)
    stream = bit.stream_root(files, cache=cache, step_size=999)
    assert_same(bit.BIT(**SMALL, **OPTIONS[name]).fit(stream), expected)


@pytest.mark.parametrize("step_size", [7, 250, 10**6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_chunks_do_not_matter(tmp_path, cache, step_size, dtype):
    table = make_table(600, dtype)
    paths = [tmp_path / "a.root", tmp_path / "b.root"]
    bit.write_root(paths[0], table.take(slice(0, 250)))
    bit.write_root(paths[1], table.take(slice(250, None)), format="rntuple")
    stream = bit.stream_root(paths, cache=cache, step_size=step_size)
    read = stream.table()
    assert isinstance(read, MappedTable)
    assert read.features.dtype == np.float32
    np.testing.assert_array_equal(read.features, table.features.astype(np.float32))
    np.testing.assert_array_equal(read.weights, table.weights)
    assert (read.basis, read.feature_names, read.units) == (table.basis, table.feature_names, table.units)
    assert (stream.n_events, stream.feature_names, stream.basis) == (600, table.feature_names, table.basis)
    assert "RootStream(600 events of 2 files, features=['p', 'q', 'r', 's']" in repr(stream)


def write_foreign(path, columns):
    with uproot.recreate(path) as file:
        tree = file.mktree("t", {name: values.dtype for name, values in columns.items()})
        if len(next(iter(columns.values()))):
            tree.extend(columns)


@pytest.mark.parametrize("step_size", [1, 7, 10**6])
def test_base_points_unit_and_norm(tmp_path, cache, step_size):
    """Weights at more base points than terms, in pb, with the cross-section as their mean; an empty file is no harm."""
    rng = np.random.default_rng(2)
    points = rng.normal(size=(9, 2))
    truth = np.column_stack([1 + rng.exponential(size=40), rng.normal(size=(40, 5))])
    weights = truth @ bit.PolynomialBasis(["a", "b"]).monomials(points).T
    columns = {"x": rng.normal(size=40), "y": rng.normal(size=40).astype(np.float32)}
    columns |= {f"w{p}": weights[:, p] for p in range(9)}
    pieces = [slice(0, 0), slice(0, 13), slice(13, 40)]
    paths = [tmp_path / f"{number}.root" for number in range(3)]
    for path, rows in zip(paths, pieces, strict=True):
        write_foreign(path, {name: values[rows] for name, values in columns.items()})
    how = {"features": ["y", "x"], "weights": [f"w{p}" for p in range(9)], "points": points, "params": ["a", "b"]}
    how |= {"unit": "pb", "norm": "average"}
    expected = bit.read_root(paths, **how)
    read = bit.stream_root(paths, cache=cache, step_size=step_size, **how).table()
    np.testing.assert_array_equal(read.weights, expected.weights)
    np.testing.assert_array_equal(read.features, expected.features.astype(np.float32))
    options = {"n_estimators": 3, "min_samples_leaf": 5}
    again = bit.stream_root(paths, cache=cache, **how)
    assert_same(bit.BIT(**options).fit(again), bit.BIT(**options).fit(expected))


def test_bad_fits_of_base_points_are_told_once_for_all_chunks(tmp_path, cache):
    rng = np.random.default_rng(3)
    path, points = tmp_path / "a.root", [[-1.0], [0.0], [1.0], [2.0]]
    write_foreign(path, {"x": rng.normal(size=100), **{f"w{p}": rng.normal(size=100) for p in range(4)}})
    how = {"weights": [f"w{p}" for p in range(4)], "points": points, "params": ["a"]}
    stream = bit.stream_root(path, cache=cache, step_size=10, **how)
    with pytest.warns(BitWarning, match="in 99.0% of the events") as warned:
        stream.table()
    assert len(warned) == 1


def starts(monkeypatch, stop_after=None):
    """Note where every reading of a file starts; interrupt it after so many chunks."""
    found, n_chunks, iterate = [], [0], stream_module.iterate

    def noted(source, plan, step_size, *, start=0, stop=None):
        found.append((source.path.name, start))
        for chunk in iterate(source, plan, step_size, start=start, stop=stop):
            if n_chunks[0] == stop_after:
                raise KeyboardInterrupt
            n_chunks[0] += 1
            yield chunk

    monkeypatch.setattr(stream_module, "iterate", noted)
    return found


@pytest.mark.parametrize("stop_after", [0, 1, 3, 5])
def test_interrupted_reading_goes_on_where_it_was(table, files, cache, monkeypatch, stop_after):
    how = {"cache": cache, "step_size": 500}
    with monkeypatch.context() as patched:
        starts(patched, stop_after)
        with pytest.raises(KeyboardInterrupt):
            bit.stream_root(files, **how).table()
    with monkeypatch.context() as patched:
        found = starts(patched)
        read = bit.stream_root(files, **how).table()
        first = [] if stop_after >= 3 else [("0.root", 500 * stop_after)]
        assert found == [*first, ("1.root", 500 * max(0, stop_after - 3))]
    np.testing.assert_array_equal(read.features, table.features.astype(np.float32))
    np.testing.assert_array_equal(read.weights, table.weights)
    with monkeypatch.context() as patched:
        found = starts(patched)
        bit.BIT(1).fit(bit.stream_root(files, **how))
        assert found == []  # a complete cache is all that is needed


def test_ensembles(table, files, cache):
    from bit.ensembles import BoostedInformationTreeEnsemble

    ensemble = BoostedInformationTreeEnsemble(bit.BIT(**SMALL), n_members=2, random_state=1)
    expected = ensemble.fit(table).predict_std(table)
    found = ensemble.fit(bit.stream_root(files, cache=cache)).predict_std(table)
    np.testing.assert_array_equal(found, expected)


def test_cache_serves_any_training(table, files, cache):
    for options in ({"max_bins": 20}, {"terms": ["b"]}, {"leaf": "linear", "ridge": 0.1}):
        stream = bit.stream_root(files, cache=cache)
        assert_same(bit.BIT(2, **options).fit(stream), bit.BIT(2, **options).fit(table))


def test_stale_cache_is_refused(table, files, cache):
    bit.stream_root(files, cache=cache).table()
    with pytest.raises(InputError, match="holds other events: it was made of 2 files, now 1"):
        bit.stream_root(files[:1], cache=cache).table()
    with pytest.raises(InputError, match=r"features=.*Delete the folder"):
        bit.stream_root(files, cache=cache, features=["p", "q"]).table()
    with pytest.raises(InputError, match="holds other events: weights="):
        bit.stream_root(files, cache=cache, params=["a"]).table()
    status = files[1].stat()
    os.utime(files[1], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(InputError, match=r"it was made of \{.*1\.root"):
        bit.stream_root(files, cache=cache).table()
    shutil.rmtree(cache)
    np.testing.assert_array_equal(bit.stream_root(files, cache=cache).table().weights, table.weights)


def test_files_that_change_are_noticed(table, files, cache, monkeypatch):
    stream = bit.stream_root(files, cache=cache, step_size=500)
    bit.write_root(files[0], table.take(slice(1, 1501)))
    with pytest.raises(InputError, match=r"0\.root changed while it was read"):
        stream.table()
    with pytest.raises(InputError, match="holds other events"):
        bit.stream_root(files, cache=cache).table()  # what was begun was begun with the old file


def test_what_is_missing_is_told_at_once(table, files, tmp_path, cache):
    names = ["p", "q", "r", "t"]
    bit.write_root(files[1], bit.EventTable(table.features, table.weights, BASIS, feature_names=names))
    with pytest.raises(InputError, match="differs from the first file in its features"):
        bit.stream_root(files, cache=cache)
    columns = {"x": np.ones(3), "w": np.ones(3), "w__a": np.ones(3)}
    write_foreign(tmp_path / "c.root", columns | {"y": np.ones(3)})
    write_foreign(tmp_path / "d.root", columns)
    with pytest.raises(InputError, match=r"no branch 'y' in .*d\.root"):
        bit.stream_root([tmp_path / "c.root", tmp_path / "d.root"], cache=cache)
    write_foreign(tmp_path / "e.root", {name: values[:0] for name, values in columns.items()})
    with pytest.raises(FileFormatError, match="holds no events"):
        bit.stream_root(tmp_path / "e.root", cache=cache)
    with pytest.raises(InputError, match="no such file"):
        bit.stream_root(tmp_path / "f.root", cache=cache)
    assert not cache.exists()


def test_bad_numbers_are_refused(tmp_path, cache):
    columns = {"x": np.arange(5.0), "w": np.ones(5), "w__a": np.ones(5)}
    path = tmp_path / "a.root"
    write_foreign(path, columns | {"w__a": np.array([1, 1, 1, np.nan, 1])})
    with pytest.raises(InputError, match="NaN or infinite"):
        bit.stream_root(path, cache=cache).table()
    write_foreign(path, columns | {"x": np.array([1, 1, 1e39, 1, 1])})
    with pytest.raises(InputError, match="beyond float32"):
        bit.stream_root(path, cache=tmp_path / "other").table()


def test_bad_arguments_and_folders(files, cache, tmp_path, monkeypatch):
    for step_size in (0, 1.5, "100 MB", True):
        with pytest.raises(InputError, match="a positive number of events"):
            bit.stream_root(files, cache=cache, step_size=step_size)
    with pytest.raises(InputError, match="name a folder"):
        bit.stream_root(files, cache=files[0]).table()
    with pytest.raises(InputError, match="name a folder"):
        bit.stream_root(files, cache=tmp_path / "no" / "where").table()
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**5))
        with pytest.raises(InputError, match=r"0\.000256 GB are needed, 0\.0001 GB are free"):
            bit.stream_root(files, cache=cache).table()
    bit.stream_root(files, cache=cache).table()
    notes = cache / "cache.json"
    text = notes.read_text()
    notes.write_text(text[:10])
    with pytest.raises(FileFormatError, match="delete the folder"):
        bit.stream_root(files, cache=cache).table()
    notes.write_text(text.replace("bit-cache/1", "bit-cache/9"))
    with pytest.raises(InputError, match="format='bit-cache/9'"):
        bit.stream_root(files, cache=cache).table()


def test_mapped_tables_are_tables(table, files, cache):
    read = bit.stream_root(files, cache=cache).table()
    rng = np.random.default_rng(0)
    for rows in (rng.permutation(N)[:100], rng.random(N) < 0.3, slice(10, 3000, 7), [-1, 5]):
        part, expected = read.take(rows), table.take(rows)
        assert isinstance(part, MappedTable)
        np.testing.assert_array_equal(part.features, expected.features.astype(np.float32))
        np.testing.assert_array_equal(part.weights, expected.weights)
        assert part.units == expected.units
    for part, expected in zip(read.split([0.5, 0.3], seed=1), table.split([0.5, 0.3], seed=1), strict=True):
        np.testing.assert_array_equal(part.weights, expected.weights)
    with pytest.raises(InputError, match="no events were chosen"):
        read.take([])
    # Files of parts have no name; what is written to the arrays does not reach the cache.
    assert sorted(os.listdir(cache)) == ["cache.json", "features.f32", "weights.f64"]
    read.weights[0, 0] = 5.0
    assert bit.stream_root(files, cache=cache).table().weights[0, 0] == table.weights[0, 0]
    model = bit.BIT(**SMALL).fit(table)
    np.testing.assert_array_equal(model.predict(read), model.predict(table))
    with pytest.raises(InputError, match=r"give stream\.table\(\)"):
        model.predict(bit.stream_root(files, cache=cache))


def test_forgotten_arrays_are_read_again(files, cache, table):
    read = bit.stream_root(files, cache=cache).table()
    forget(read.weights[5:])
    forget(read.features)
    forget(table.features)  # an ordinary array: nothing happens
    np.testing.assert_array_equal(read.weights, table.weights)


def test_killed_reading_can_go_on(tmp_path, cache):
    """SIGKILL between two chunks, and in the middle of one: notes never tell of more than what is there."""
    table, path = make_table(), tmp_path / "a.root"
    bit.write_root(path, table)
    program = f"""
import os, signal
import bit
from bit.io import stream
write, n = stream._write, [0]
def killed(files, n_events, first, chunk, residual):
    n[0] += 1
    if n[0] == 3:
        files["weights"].write(b"half of a chunk")
        files["weights"].flush()
        os.kill(os.getpid(), signal.SIGKILL)
    write(files, n_events, first, chunk, residual)
stream._write = killed
bit.stream_root({str(path)!r}, cache={str(cache)!r}, step_size=500).table()
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert json.loads((cache / "cache.json").read_text())["n_read"] == 1000
    read = bit.stream_root(path, cache=cache, step_size=40).table()
    np.testing.assert_array_equal(read.weights, table.weights)
    np.testing.assert_array_equal(read.features, table.features.astype(np.float32))


MEMORY = """
import sys
import bit
stream = bit.stream_root(sys.argv[1] + "/a.root", cache=sys.argv[1] + "/cache")
bit.BIT(2).fit(stream)
# Unlike the figure of getrusage, this one does not begin with what the parent held.
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(1024 * int(peak))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_features_are_never_in_memory_at_once(tmp_path):
    """Of an event with F = 96 features and one function, training holds 232 bytes, but not the 4 F of the features.

    The record (codes in whole words, nominal weight, residual) has 8 ceil(F / 8) + 16 bytes, the codes by feature have
    F, the numbers of its row 8, its weights in the cache 16. The ranking of single features, before, holds less.
    """
    peaks = []
    for n in (50_000, 250_000):
        folder = tmp_path / str(n)
        folder.mkdir()
        rng = np.random.default_rng(1)
        columns = {f"x{f}": rng.normal(size=n).astype(np.float32) for f in range(96)}
        write_foreign(folder / "a.root", columns | {"w": np.ones(n), "w__a": columns["x0"] + rng.normal(size=n)})
        bit.stream_root(folder / "a.root", cache=folder / "cache").table()
        program = [sys.executable, "-c", MEMORY, str(folder)]
        peaks.append(int(subprocess.run(program, capture_output=True, text=True, check=True).stdout))
    growth = (peaks[1] - peaks[0]) / 200_000
    assert 216 < growth < 232 + 0.5 * 384
