"""Operon: subprocesses, weights, time limits."""

import os
import signal
import tempfile
import threading

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


@pytest.fixture
def ctrl_c(tmp_path, monkeypatch):
    """Sends Ctrl-C as soon as a file of a name exists in the folder of a search, again if Python lost it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = threading.Event()

    def interrupt(finished):
        while not (found := list(tmp_path.glob(f"*/{finished}"))) and not done.wait(0.01):
            pass
        # An interrupt that arrives while Python runs a callback is swallowed.
        while found and not done.is_set():
            os.kill(os.getpid(), signal.SIGINT)
            done.wait(10.0)

    threads = []

    def start(finished):
        threads.append(threading.Thread(target=interrupt, args=(finished,)))
        threads[0].start()
        return done

    yield start
    done.set()
    threads[0].join()


def test_interrupt_keeps_finished_restarts(problem, tmp_path, ctrl_c):
    all_restarts = changed(n_restarts=1000, n_jobs=1)
    done = ctrl_c("0.json")
    with pytest.warns(BitWarning, match="interrupted"):
        trees = _operon.search(problem, all_restarts)
    done.set()
    assert 0 < len(trees) < 1000
    assert list(tmp_path.iterdir()) == []


def test_interrupt_before_anything_finished(problem, ctrl_c):
    done = ctrl_c("0.err")
    with pytest.raises(KeyboardInterrupt):
        _operon.search(problem, changed(options={"max_evaluations": 10**9}))
    done.set()


def test_bad_settings(problem):
    with pytest.raises(InputError, match=r"no operators \['erf', 'relu'\]; it knows: .*abs"):
        _operon.search(problem, changed(operators=("add", "erf", "relu")))
    with pytest.raises(InputError, match=r"no options \['populations'\]; it knows: max_depth"):
        _operon.search(problem, changed(options={"populations": 3}))
    with pytest.raises(BitError, match="failed"):
        _operon.search(problem, changed(options={"population_size": -3}))
