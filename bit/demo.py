"""The demonstration: three coefficients of pp -> Z H from one sample, from events to limits and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import bit
from bit.analysis import Result, Say, run
from bit.config import BEST, LEARNED, TRUE, Config, from_dict
from bit.errors import InputError
from bit.processes import zh

DATA: Final = "data/zh.root"

SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "data": {
        "path": DATA,
        "split": [0.6, 0.1, 0.3],
        "labels": {feature.name: feature.latex for feature in zh.FEATURES},
    },
    "train": {"n_estimators": 300, "max_depth": 5, "learning_rate": 0.1},
    "cp": {"flip": list(zh.CP_PARITY.flip), "odd_params": list(zh.CP_PARITY.odd_params)},
    "observables": {"names": ["pt", BEST, LEARNED, TRUE]},
    "limits": {"lumi_fb": 300.0, "cl": 0.95, "n_bins": 20, "order": "linear"},
    "output": {"dir": "demo", "seed": 1},
}
"""The configuration of the demonstration, as `bit.config` documents it: all that can be tuned stands here."""

PROFILE_FEATURES: Final = ("pt", "cos_theta_l", "phi")


def demo_config(data: str | None = None, out: str | None = None, overrides: Sequence[str] = ()) -> Config:
    """Return the configuration of the demonstration.

    Parameters
    ----------
    data : str, optional
        The sample; default ``data/zh.root`` in the current folder, else in the checkout of the package.
    out : str, optional
        Folder of results; default ``demo``.
    overrides : sequence of str, optional
        Changes, such as ``"train.n_estimators=50"``.

    Returns
    -------
    Config
        Checked.

    Raises
    ------
    InputError
        If there is no sample; the message says how to make it.
    """
    places = [Path(data)] if data else [Path(DATA), Path(bit.__file__).parents[1] / DATA]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InputError(
            f"no sample {places[0]}: make it with 'bit simulate zh -n 50000 --seed 1 -o {places[0]}', "
            "or name one with --data."
        )
    document = {name: dict(section) for name, section in SETTINGS.items()}
    document["data"]["path"] = str(found)
    if out:
        document["output"]["dir"] = out
    return from_dict(document, overrides, source="demo")


def run_demo(config: Config, *, say: Say = lambda text: None, verbose: bool = True) -> Result:
    """Run the demonstration and write it into the folder of the configuration.

    Parameters
    ----------
    config : Config
        From `demo_config`.
    say : callable, optional
        Is called with one line of text at every step.
    verbose : bool, default=True
        Draw progress bars on a terminal.

    Returns
    -------
    Result
        rho^2 and intervals; ``result.table()`` is what the command prints.
    """
    return run(config, say=say, profile_features=PROFILE_FEATURES, verbose=verbose)
