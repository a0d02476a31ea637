"""Searches with Operon in a process of their own: the only file that imports pyoperon.

Run as ``python -P _operon_worker.py SECONDS STEM...``, with tasks in ``STEM.task`` and ``STEM.npz``; the formulas are
left in ``STEM.json``. SECONDS, if not 0, are shared by all. Where a file ``stop`` appears beside the tasks, the
formulas of the present generation are left, and the process ends. Nothing of `bit` is imported, so that it starts
quickly.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

# In fixed notation; fewer would cut small constants.
_DECIMALS = 25


def search(stem: Path, max_seconds: int | None) -> None:
    """Run the search that ``STEM.task`` describes, for some seconds at most."""
    import pyoperon  # type: ignore[import-untyped, unused-ignore]
    from pyoperon import sklearn  # type: ignore[import-untyped, unused-ignore]

    task = json.loads(stem.with_suffix(".task").read_text(encoding="utf-8"))
    with np.load(stem.with_suffix(".npz"), allow_pickle=False) as arrays:
        columns, target = arrays["columns"], arrays["target"]
    regressor = sklearn.SymbolicRegressor(**task["parameters"], max_time=max_seconds)

    def text(tree: Any) -> str:
        names = dict(zip(regressor.variables_, task["names"], strict=True))
        return str(pyoperon.InfixFormatter.Format(tree, names, _DECIMALS))

    def stop(front: Iterable[Any]) -> None:
        if (stem.parent / "stop").exists():
            # The factor that a search fits to each formula comes at its end only.
            _leave(stem, [f"1.0 * ({text(member.Genotype)})" for member in front])
            os._exit(0)

    algorithm = pyoperon.NSGA2Algorithm
    sklearn.op.NSGA2Algorithm = _watched(algorithm, stop)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            regressor.fit(columns, target)
        finally:
            sklearn.op.NSGA2Algorithm = algorithm
        front = sorted(regressor.pareto_front_, key=lambda member: member["length"])
        _leave(stem, [text(member["tree"]) for member in front])


def _watched(algorithm: Any, stop: Callable[[Iterable[Any]], None]) -> Any:
    """The algorithm, which shows its front after every generation: the regressor has no way to ask for that."""

    class Watched(algorithm):  # type: ignore[misc]
        def Run(self, rng: Any, _: None, n_threads: int, warm_start: bool) -> None:
            super().Run(rng, lambda: stop(self.BestFront), n_threads, warm_start)

    return Watched


def _leave(stem: Path, texts: list[str]) -> None:
    unfinished = stem.with_suffix(".part")
    unfinished.write_text(json.dumps(texts), encoding="utf-8")
    unfinished.replace(stem.with_suffix(".json"))


def search_all(max_seconds: float, stems: list[str]) -> None:
    """Run the searches one after the other, each for its share of the time that is left."""
    started = time.monotonic()
    for position, stem in enumerate(stems):
        left = (max_seconds - (time.monotonic() - started)) / (len(stems) - position)
        search(Path(stem), max(1, int(left)) if max_seconds else None)


if __name__ == "__main__":
    search_all(float(sys.argv[1]), sys.argv[2:])
