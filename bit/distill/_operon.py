"""Search with Operon (pyoperon): multi-objective genetic programming in C++, in subprocesses.

Subprocesses, since fitted objects cannot be pickled and a running search does not hear Ctrl-C. A worker gets the rows
as npz and its options as JSON, and leaves formulas as text.

Notes
-----
Operon: B. Burlacu, G. Kronberger, M. Kommenda, GECCO 2020 Companion, doi:10.1145/3377929.3398099. It has no sample
weights, so that rows are drawn again in proportion to theirs, and searches in single precision.
"""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bit.basis import FloatArray
from bit.distill._search import Problem, SearchInterrupted, SearchSettings, require_operators, require_options
from bit.distill._targets import IntArray
from bit.errors import BitError, InputError, MissingPackageError
from bit.expression.nodes import Node
from bit.expression.parse import parse
from bit.progress import progress_bar

_SYMBOLS = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "div": "div",
    "aq": "aq",
    "pow": "pow",
    "square": "square",
    # Operon has neither; products and quotients make them, and folding writes them back.
    "cube": "mul",
    "inv": "div",
    "sqrt": "sqrt",
    "sqrt_abs": "sqrtabs",
    "cbrt": "cbrt",
    "abs": "abs",
    "exp": "exp",
    "log": "log",
    "log_abs": "logabs",
    "log1p": "log1p",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "asin": "asin",
    "acos": "acos",
    "atan": "atan",
    "sinh": "sinh",
    "cosh": "cosh",
    "tanh": "tanh",
}
OPERATORS = frozenset(_SYMBOLS)

_DEFAULTS: dict[str, Any] = {
    "max_evaluations": 150_000,
    "population_size": 1000,
    "optimizer_iterations": 3,
    "max_depth": 8,
}
_WORKER = Path(__file__).with_name("_operon_worker.py")
# A search looks at the clock between generations only; then it is ended.
_GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.05
# After Ctrl-C, for the generation at work; one of a large search takes about a second.
_LAST_SECONDS = 5.0


def available() -> str | None:
    """Tell whether the backend can run.

    Returns
    -------
    str or None
        None, or the reason why not, in one sentence.
    """
    if importlib.util.find_spec("pyoperon") is None:
        return "pyoperon is not installed (pip install 'boosted-information-trees[distill]')."
    return None


def search(problem: Problem, settings: SearchSettings) -> list[Node]:
    """Search with several restarts and merge their fronts.

    Parameters
    ----------
    problem : Problem
        Rows, drawn again by weight if weights differ.
    settings : SearchSettings
        ``options``: max_evaluations (of one restart), population_size, optimizer_iterations, max_depth.

    Returns
    -------
    list of node
        Members of all fronts, in the order of the restarts; after the time limit, the best so far of those that began;
        so it is after Ctrl-C.

    Raises
    ------
    InputError
        For unknown operators or options, or values of options that are not whole numbers.
    KeyboardInterrupt
        On Ctrl-C before the first generation has finished.
    MissingPackageError
        If pyoperon is not installed.
    BitError
        If no restart gave anything.
    """
    require_operators("operon", settings.operators, OPERATORS)
    require_options("operon", settings.options, _DEFAULTS)
    _require_whole_numbers(settings.options)
    reason = available()
    if reason is not None:
        raise MissingPackageError(f"the backend 'operon' cannot run: {reason}")
    with tempfile.TemporaryDirectory(prefix="bit-operon-") as folder:
        for restart, seed in enumerate(np.random.SeedSequence(settings.seed).spawn(settings.n_restarts)):
            _write_task(Path(folder), restart, seed, problem, settings)
        _run(Path(folder), settings)
        texts, failures = _results(Path(folder), settings.n_restarts)
    if not texts:
        raise BitError(f"the search with Operon failed: {failures[0]}")
    trees = (_tree(text, problem.names) for text in texts)
    return [tree for tree in trees if tree is not None]


def _require_whole_numbers(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        least = 0 if name == "optimizer_iterations" else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"options[{name!r}]={value!r}: a whole number of at least {least} is needed.")


def _write_task(
    folder: Path, restart: int, seed: np.random.SeedSequence, problem: Problem, settings: SearchSettings
) -> None:
    rng = np.random.default_rng(seed)
    rows = _resampled(problem.weights, rng)
    np.savez(folder / f"{restart}.npz", columns=problem.columns[rows], target=problem.target[rows])
    symbols = dict.fromkeys(_SYMBOLS[name] for name in settings.operators)
    parameters = {
        **_DEFAULTS,
        **settings.options,
        "allowed_symbols": ",".join([*symbols, "constant", "variable"]),
        "objectives": ["mse", "length"],
        "max_length": settings.max_complexity,
        # The budget is that of evaluations; generations must not end the search before.
        "generations": 1_000_000_000,
        "n_threads": 1,
        "random_state": int(rng.integers(2**32)),
    }
    task = {"parameters": parameters, "names": problem.names}
    (folder / f"{restart}.task").write_text(json.dumps(task), encoding="utf-8")


def _resampled(weights: FloatArray, rng: np.random.Generator) -> IntArray:
    """Rows drawn in proportion to their weights, systematically: a row of weight w comes floor(w) or ceil(w) times."""
    if np.ptp(weights) == 0.0:
        return np.arange(len(weights))
    reached = np.cumsum(weights) / weights.sum() * len(weights)
    picked = np.searchsorted(reached, np.arange(len(weights)) + rng.random(), side="right")
    return np.minimum(picked, len(weights) - 1)


def _run(folder: Path, settings: SearchSettings) -> None:
    """Share the restarts among processes, which import Operon once, until all are done, time is over, or Ctrl-C."""
    n_workers = min(settings.n_jobs, settings.n_restarts)
    over = math.inf if settings.max_seconds is None else time.monotonic() + settings.max_seconds + _GRACE_SECONDS
    workers: list[subprocess.Popen[bytes]] = []
    try:
        for first in range(n_workers):
            workers.append(_start(folder, range(first, settings.n_restarts, n_workers), settings.max_seconds))
        with progress_bar(settings.n_restarts, "operon", "restarts", show=settings.verbose) as bar:
            while _at_work(workers, over):
                bar.update(len(list(folder.glob("*.json"))) - bar.n)
    except KeyboardInterrupt:
        (folder / "stop").touch()
        last = time.monotonic() + _LAST_SECONDS
        while _at_work(workers, last):
            pass
        if not any(folder.glob("*.json")):
            raise KeyboardInterrupt("no generation of the search had finished, so there is no formula") from None
        warnings.warn("the search was interrupted; the formulas until then are kept.", SearchInterrupted, stacklevel=4)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _at_work(workers: Iterable[subprocess.Popen[bytes]], until: float) -> bool:
    """Whether a process still runs and the time is not over; then some time has passed."""
    if time.monotonic() >= until or all(worker.poll() is not None for worker in workers):
        return False
    time.sleep(_POLL_SECONDS)
    return True


def _start(folder: Path, restarts: Iterable[int], max_seconds: float | None) -> subprocess.Popen[bytes]:
    tasks = [str(folder / str(restart)) for restart in restarts]
    command = [sys.executable, "-P", str(_WORKER), str(max_seconds or 0), *tasks]
    with Path(tasks[0] + ".err").open("wb") as errors:
        # A session of its own: Ctrl-C in a terminal is for the parent, which decides.
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
        )


def _results(folder: Path, n_restarts: int) -> tuple[list[str], list[str]]:
    """Formulas of the restarts that finished, and last lines of what the processes complained of."""
    finished = [folder / f"{restart}.json" for restart in range(n_restarts)]
    texts = [text for file in finished if file.exists() for text in json.loads(file.read_text(encoding="utf-8"))]
    complaints = [file.read_text(encoding="utf-8", errors="replace").strip() for file in sorted(folder.glob("*.err"))]
    failures = [text.splitlines()[-1] for text in complaints if text]
    return list(dict.fromkeys(texts)), failures or ["no restart finished within the time limit; allow more seconds."]


def _tree(text: str, names: tuple[str, ...]) -> Node | None:
    """A formula of Operon, or None if it holds numbers that are not finite."""
    try:
        return parse(text, names)
    except InputError:
        return None
