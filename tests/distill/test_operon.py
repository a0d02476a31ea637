"""Operon: subprocesses, weights, time limits."""

import os
import signal
import tempfile
import threading
import time

import numpy as np
import pytest

from bit.distill import _operon
from bit.distill._search import Problem, SearchSettings
from bit.errors import BitError, BitWarning, InputError
from bit.expression.nodes import evaluate

SETTINGS = SearchSettings(("add", "mul", "sin"), 12, 2, 3, 2, None, False, {"max_evaluations": 3000})


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    columns = rng.uniform(-2.0, 2.0, (300, 2))
    return Problem(columns, columns[:, 0] * np.sin(columns[:, 1]), np.ones(300), ("x0", "x1"))


def changed(**changes):
    return SearchSettings(**{**vars(SETTINGS), **changes})


def best_error(problem, trees):
    columns = dict(zip(problem.names, problem.columns.T, strict=True))
    return min(np.mean((evaluate(tree, columns) - problem.target) ** 2) for tree in trees)


def test_search_is_reproducible(problem):
    trees = _operon.search(problem, SETTINGS)
    assert best_error(problem, trees) < 1e-2 * problem.target.var()
    assert _operon.search(problem, changed(n_jobs=1)) == trees


def test_rows_are_drawn_by_weight():
    weights = np.array([0.5, 1.0, 2.5, 0.0001])
    weights /= weights.mean()
    rng = np.random.default_rng(0)
    counts = np.array([np.bincount(_operon._resampled(weights, rng), minlength=4) for _ in range(500)])
    assert (counts.sum(axis=1) == 4).all()
    # Systematic resampling: each count is the weight rounded down or up.
    assert (counts >= np.floor(weights)).all()
    assert (counts <= np.ceil(weights)).all()
    assert counts.mean(axis=0) == pytest.approx(weights, abs=5.0 * 0.5 / np.sqrt(500))


def test_time_limit_keeps_the_best_so_far(problem):
    endless = changed(max_seconds=2.0, options={"max_evaluations": 10**9})
    assert best_error(problem, _operon.search(problem, endless)) < problem.target.var()


def interrupt_once(finished, folder):
    """Send Ctrl-C as soon as a file of that name exists in a folder of a search."""
    while not list(folder.glob(f"*/{finished}")):
        time.sleep(0.01)
    time.sleep(0.3)  # the file is there just before the process that it belongs to is known
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("ctrl_c_works")
def test_interrupt_keeps_finished_restarts(problem, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    all_restarts = changed(n_restarts=1000, n_jobs=1)
    thread = threading.Thread(target=interrupt_once, args=("0.json", tmp_path))
    thread.start()
    with pytest.warns(BitWarning, match="interrupted"):
        trees = _operon.search(problem, all_restarts)
    thread.join()
    assert 0 < len(trees) < 1000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("ctrl_c_works")
def test_interrupt_keeps_the_best_of_running_restarts(problem, monkeypatch):
    """A search without end is interrupted when it has been at work for a while."""
    started = _operon._start

    def start_and_interrupt(*arguments):
        threading.Timer(3.0, os.kill, [os.getpid(), signal.SIGINT]).start()
        return started(*arguments)

    monkeypatch.setattr(_operon, "_start", start_and_interrupt)
    monkeypatch.setattr(_operon, "_LAST_SECONDS", 60.0)  # a machine may be slow; the worker ends by itself
    with pytest.warns(BitWarning, match="the formulas until then are kept"):
        trees = _operon.search(problem, changed(n_restarts=1, n_jobs=1, options={"max_evaluations": 10**9}))
    assert best_error(problem, trees) < problem.target.var()


@pytest.mark.usefixtures("ctrl_c_works")
def test_interrupt_before_anything_finished(problem, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(_operon, "_LAST_SECONDS", 0.0)
    thread = threading.Thread(target=interrupt_once, args=("0.err", tmp_path))
    thread.start()
    with pytest.raises(KeyboardInterrupt, match="no generation of the search had finished"):
        _operon.search(problem, changed(options={"max_evaluations": 10**9}))
    thread.join()


def test_bad_settings(problem):
    with pytest.raises(InputError, match=r"no operators \['erf', 'relu'\]; it knows: .*abs"):
        _operon.search(problem, changed(operators=("add", "erf", "relu")))
    with pytest.raises(InputError, match=r"no options \['populations'\]; it knows: max_depth"):
        _operon.search(problem, changed(options={"populations": 3}))
    for name, value in {"population_size": -3, "max_evaluations": "1000", "optimizer_iterations": 1.5}.items():
        with pytest.raises(InputError, match=rf"options\['{name}'\]={value!r}: a whole number of at least [01]"):
            _operon.search(problem, changed(options={name: value}))


def test_failures_are_told(problem, tmp_path, monkeypatch):
    monkeypatch.setattr(_operon, "_WORKER", tmp_path / "no_worker.py")
    with pytest.raises(BitError, match=r"the search with Operon failed: .*no_worker"):
        _operon.search(problem, changed())
