"""Searches with Operon in a process of their own: the only file that imports pyoperon.

Run as ``python -P _operon_worker.py SECONDS STEM...``, with tasks in ``STEM.task`` and ``STEM.npz``; the formulas are
left in ``STEM.json``. SECONDS, if not 0, are shared by all. Nothing of `bit` is imported, so that it starts quickly.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

# In fixed notation; fewer would cut small constants.
_DECIMALS = 25


def search(stem: Path, max_seconds: int | None) -> None:
    """Run the search that ``STEM.task`` describes, for some seconds at most."""
    from pyoperon.sklearn import SymbolicRegressor  # type: ignore[import-untyped, unused-ignore]

    task = json.loads(stem.with_suffix(".task").read_text(encoding="utf-8"))
    with np.load(stem.with_suffix(".npz"), allow_pickle=False) as arrays:
        columns, target = arrays["columns"], arrays["target"]
    regressor = SymbolicRegressor(**task["parameters"], max_time=max_seconds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        regressor.fit(columns, target)
        front = sorted(regressor.pareto_front_, key=lambda member: member["length"])
        texts = [regressor.get_model_string(member["tree"], _DECIMALS, task["names"]) for member in front]
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
