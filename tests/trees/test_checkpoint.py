"""Trainings that are interrupted and continued give the forest of a training in one go."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import bit
from bit.errors import BitWarning, FileFormatError, InputError
from bit.trees import boosting, checkpoint
from bit.trees.forest_json import as_document

BASIS = bit.PolynomialBasis(["a", "b"])
SMALL = {"n_estimators": 7, "max_depth": 3}
PARITY = bit.CPParity(flip=["p"], odd_params=["a"])


def make_table(seed=1, n=3000):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 4))
    features[rng.random(n) < 0.1, 3] = np.nan
    nominal = rng.exponential(size=n) * np.where(rng.random(n) < 0.1, -1.0, 1.0)
    score = np.column_stack([features[:, 0], features[:, 1] * features[:, 2]]) + rng.normal(size=(n, 2))
    columns = [nominal, *(nominal * t for t in score.T)]
    columns += [2 * nominal * score[:, i] * score[:, j] for i, j in ((0, 0), (0, 1), (1, 1))]
    return bit.EventTable(features, np.column_stack(columns), BASIS, feature_names=["p", "q", "r", "s"])


def assert_same(first, second):
    """All that is in the files of the forests, and the losses."""
    assert as_document(first.forest_) == as_document(second.forest_)
    np.testing.assert_array_equal(first.train_loss_, second.train_loss_)
    np.testing.assert_array_equal(first.validation_loss_, second.validation_loss_)


OPTIONS = {
    "default": {},
    "leaf by leaf": {"max_leaf_nodes": 9},
    "linear": {"leaf": "linear"},
    "parity": {"cp_parity": PARITY, "leaf": "linear"},
    "separate": {"strategy": "separate"},
    "one term": {"terms": ["a"]},
    "sketch": {"sketch": 2, "random_state": 3},
    "subsample": {"subsample": 0.6, "max_features": 0.5, "random_state": 4},
    "validation": {"early_stopping": True, "n_iter_no_change": 2, "learning_rate": 0.9, "random_state": 5},
    "base points": {"base_points": [[1, 0], [0, 1], [1, 1], [-1, 0], [0, -1]], "learning_rate": "auto"},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_continued_training_is_the_same(tmp_path, monkeypatch, name, n_jobs):
    table, options = make_table(), {**SMALL, **OPTIONS[name]}
    whole = bit.BIT(n_jobs=2, **options).fit(table)
    save, written = checkpoint.Checkpoint.save, []

    def save_and_stop(self, group, state):
        save(self, group, state)
        written.append(len(state.trees))
        if len(written) == 2:
            raise SystemExit  # what is written is all that is left

    monkeypatch.setattr(checkpoint.Checkpoint, "save", save_and_stop)
    path = tmp_path / "training.json"
    with pytest.raises(SystemExit):
        bit.BIT(n_jobs=2, **options).fit(table, checkpoint=path, checkpoint_every=2)
    assert written[0] == 2
    monkeypatch.undo()
    monkeypatch.setattr("bit.trees.threads.CODES_PER_THREAD", 1)
    rows = np.arange(table.n_events) if "random_state" in options else np.random.default_rng(0).permutation(3000)
    again = bit.BIT(n_jobs=n_jobs, **options).fit(table.take(rows), resume=path)
    for model in (whole, again):  # of the threads and the order of the sum of w_0 nothing is to be seen
        model.forest_.config["parameters"]["n_jobs"] = model.forest_.config["sigma_fb"] = None
    assert_same(whole, again)


def test_a_finished_training_can_have_more_trees(tmp_path):
    table, path = make_table(), tmp_path / "training.json"
    options = {"subsample": 0.5, "random_state": 1, "max_depth": 3}
    few = bit.BIT(3, **options).fit(table, checkpoint=path)
    assert_same(few, bit.BIT(3, **options).fit(table, resume=path))
    more = bit.BIT(8, **options).fit(table, resume=path, checkpoint=path)
    assert_same(more, bit.BIT(8, **options).fit(table))
    assert_same(more, bit.BIT(8, **options).fit(table, resume=path))
    with pytest.raises(InputError, match="holds 8 trees, more than n_estimators=3"):
        bit.BIT(3, **options).fit(table, resume=path)


def test_arrays_without_a_basis(tmp_path, rng):
    x, path = rng.normal(size=(2000, 2)), tmp_path / "training.json"
    y = x[:, 0] + rng.normal(size=2000)
    bit.BIT(4).fit(x, y, checkpoint=path, checkpoint_every=3)
    np.testing.assert_array_equal(bit.BIT(9).fit(x, y, resume=path).predict(x), bit.BIT(9).fit(x, y).predict(x))


@pytest.mark.parametrize("options", [{}, {"strategy": "separate"}])
def test_ctrl_c_writes_a_checkpoint(tmp_path, monkeypatch, options):
    """Also of a tree that is half taken out of the residuals, and, separately, in the second term."""
    table, path = make_table(), tmp_path / "training.json"
    whole = bit.BIT(**SMALL, **options).fit(table)
    n_calls, stop_at = [0], 10 if options else 5
    update = boosting.Shards.update

    def interrupted(self, *arguments, **more):
        update(self, *arguments, **more)
        n_calls[0] += 1
        if n_calls[0] == stop_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(boosting.Shards, "update", interrupted)
    with pytest.warns(BitWarning, match="interrupted after"):
        stopped = bit.BIT(**SMALL, **options).fit(table, checkpoint=path, checkpoint_every=100)
    monkeypatch.undo()
    assert stopped.interrupted_
    groups = json.loads(path.read_text())["groups"]
    assert [len(group["trees"]) for group in groups] == ([7, 2] if options else [4])
    assert_same(whole, bit.BIT(**SMALL, **options).fit(table, resume=path))


def test_interrupted_writing_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    table, path = make_table(), tmp_path / "training.json"
    bit.BIT(**SMALL).fit(table, checkpoint=path)
    before = path.read_bytes()

    def half(self, text, **_):
        self.write_bytes(text.encode()[: len(text) // 2])
        raise SystemExit

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(SystemExit):
        bit.BIT(**{**SMALL, "n_estimators": 9}).fit(table, checkpoint=path, resume=path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["training.json"]


PROGRAM = """
import sys
sys.path.insert(0, {folder!r})
from test_checkpoint import SMALL, make_table
import bit
bit.BIT(**(SMALL | {{"n_estimators": 10**6, "n_jobs": 1}})).fit(
    make_table(), checkpoint={path!r}, checkpoint_every=3
)
"""


def test_killed_process_leaves_its_last_checkpoint(tmp_path):
    path = tmp_path / "training.json"
    program = PROGRAM.format(folder=str(Path(__file__).parent), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        while process.poll() is None and not (
            path.exists() and len(json.loads(path.read_text())["groups"][0]["trees"]) > 3
        ):
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    [group] = json.loads(path.read_text())["groups"]
    n_trees = len(group["trees"])
    assert n_trees >= 6
    assert n_trees % 3 == 0
    options = SMALL | {"n_estimators": n_trees + 2}
    assert_same(bit.BIT(**options).fit(make_table(), resume=path), bit.BIT(**options).fit(make_table()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_depth": 2}, "max_depth=3, now it is 2"),
        ({"l2": 1.0}, "l2=0.0, now it is 1.0"),
        ({"learning_rate": "auto"}, "learning_rate=0.2, now it is"),
        ({"cp_parity": PARITY}, "cp_parity=None, now it is"),
        ({"terms": ["a"]}, "terms=None, now it is"),
    ],
)
def test_other_settings_are_refused(tmp_path, changes, message):
    path = tmp_path / "training.json"
    bit.BIT(**SMALL).fit(make_table(), checkpoint=path)
    with pytest.raises(InputError, match=message):
        bit.BIT(**(SMALL | changes)).fit(make_table(), resume=path)


def test_other_events_are_refused(tmp_path):
    table, path = make_table(), tmp_path / "training.json"
    bit.BIT(**SMALL).fit(table, checkpoint=path)
    with pytest.raises(InputError, match="n_events=3000, now it is 2999"):
        bit.BIT(**SMALL).fit(table.take(slice(1, None)), resume=path)
    renamed = bit.EventTable(table.features, table.weights, BASIS, feature_names=["p", "q", "r", "t"])
    with pytest.raises(InputError, match="features="):
        bit.BIT(**SMALL).fit(renamed, resume=path)
    with pytest.raises(InputError, match="began with another base"):
        bit.BIT(**SMALL).fit(make_table(seed=2), resume=path)
    moved = bit.EventTable(table.features * [1, 1, 1, 1.5], table.weights, BASIS, feature_names=table.feature_names)
    with pytest.raises(InputError, match="began with another binning"):
        bit.BIT(**SMALL).fit(moved, resume=path)
    early = SMALL | {"early_stopping": True}
    bit.BIT(**early).fit(table, checkpoint=path)
    with pytest.raises(InputError, match="give the same events and random_state"):
        bit.BIT(**early).fit(table, resume=path)  # without a seed, another part is kept apart


def test_bad_files_and_arguments(tmp_path):
    table, path = make_table(), tmp_path / "training.json"
    with pytest.raises(InputError, match="no such file"):
        bit.BIT(**SMALL).fit(table, resume=path)
    model = bit.BIT(**SMALL).fit(table, checkpoint=path)
    text = path.read_text()
    path.write_text(text.replace('"depth": 3', '"depth": 2', 1))
    with pytest.raises(FileFormatError, match="checksum"):
        bit.BIT(**SMALL).fit(table, resume=path)
    path.write_text(text.replace("bit-checkpoint/1", "bit-checkpoint/2"))
    with pytest.raises(FileFormatError, match="update bit"):
        bit.BIT(**SMALL).fit(table, resume=path)
    path.write_text(text[: len(text) // 2])
    with pytest.raises(FileFormatError, match="not JSON"):
        bit.BIT(**SMALL).fit(table, resume=path)
    model.export(path)
    with pytest.raises(FileFormatError, match="does not hold a checkpoint"):
        bit.BIT(**SMALL).fit(table, resume=path)
    with pytest.raises(InputError, match="create it first"):
        bit.BIT(**SMALL).fit(table, checkpoint=tmp_path / "nowhere" / "training.json")
    with pytest.raises(InputError, match="checkpoint_every=0"):
        bit.BIT(**SMALL).fit(table, checkpoint=path, checkpoint_every=0)
