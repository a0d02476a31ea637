"""One search with PySR in a process of its own, in which Julia starts: the only file that imports pysr.

Run as ``python -P _pysr_worker.py FOLDER``, where FOLDER has ``request.json`` and ``../problem.npz``. Nothing of `bit`
is imported, so that Julia starts before any library that would disturb it. What it writes: ``started`` once Julia runs,
PySR's own files below ``outputs``, and ``error.txt`` if it fails.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def search(folder: Path) -> None:
    """Run the search that ``request.json`` describes."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    from pysr import PySRRegressor  # type: ignore[import-untyped, unused-ignore]

    (folder / "started").touch()
    import numpy as np
    import sympy  # type: ignore[import-untyped, unused-ignore]

    # PySR asks how its other tools should read the operators that are defined here.
    meaning = {
        "aq": lambda a, b: a / sympy.sqrt(1 + b**2),
        "log_abs": lambda a: sympy.log(abs(a)),
        "sqrt_abs": lambda a: sympy.sqrt(abs(a)),
    }
    parameters = request["parameters"]
    # JSON has no tuples, and PySR tells limits of one argument from those of two by their type.
    parameters["constraints"] = {
        name: tuple(limit) if isinstance(limit, list) else limit for name, limit in parameters["constraints"].items()
    }
    regressor = PySRRegressor(**parameters, extra_sympy_mappings=meaning, output_directory=str(folder / "outputs"))
    with np.load(folder.parent / "problem.npz", allow_pickle=False) as problem:
        regressor.fit(
            problem["columns"], problem["target"], weights=problem["weights"], variable_names=request["names"]
        )


if __name__ == "__main__":
    place = Path(sys.argv[1])
    try:
        search(place)
    except BaseException as error:
        summary = next(iter(str(error).splitlines()), "")
        (place / "error.txt").write_text(f"{type(error).__name__}: {summary}", encoding="utf-8")
        raise
