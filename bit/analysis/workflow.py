"""All steps in a row, and the files that they leave."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bit.analysis.events import divide, read_events
from bit.analysis.figures import draw
from bit.analysis.measurement import Result, result_of
from bit.analysis.model import save_forest, train
from bit.config import Config
from bit.errors import InputError
from bit.files import replacing

Say = Callable[[str], None]


def run(
    config: Config, *, say: Say = lambda text: None, profile_features: Sequence[str] = (), verbose: bool = True
) -> Result:
    """Train, measure, draw, and write everything into the folder of the configuration.

    Parameters
    ----------
    config : Config
        The analysis.
    say : callable, optional
        Is called with one line of text at every step.
    profile_features : sequence of str, optional
        Features of the profiles; default the three most important ones.
    verbose : bool, default=True
        Draw progress bars on a terminal.

    Returns
    -------
    Result
        What also stands in ``results.json``. Beside it are written ``config.toml``, ``forest.json`` and figures.

    Raises
    ------
    InputError
        For anything that the user gave and that does not fit.
    KeyboardInterrupt
        If the training was interrupted; the partial forest has been written then.
    """
    folder = output_folder(config)
    table = read_events(config)
    say(
        f"{table.n_events} events from {', '.join(config.data.path)}: {table.sigma_fb:.5g} fb, "
        f"effective number {table.n_eff:.0f}"
    )
    parts = divide(config, table)
    say(f"train on {parts.train.n_events} events, choose bins on {parts.edges.n_events}, test on {parts.test.n_events}")
    model = train(config, parts, verbose=verbose)
    forest = model.forest_
    write_text(folder / "config.toml", config.to_toml())
    save_forest(config, forest, folder / "forest.json")
    if model.interrupted_:
        raise KeyboardInterrupt(f"the {forest.n_trees} trees until then are in {folder / 'forest.json'}")
    say(f"{forest.n_trees} trees, {len(forest.output_terms)} functions; measure")
    result = result_of(config, forest, table, parts)
    write_json(folder / "results.json", result.to_dict())
    say(f"draw figures into {folder}")
    draw(result, parts, forest, folder, profile_features=profile_features)
    return result


def output_folder(config: Config) -> Path:
    """Make the folder of results, if it does not exist.

    Parameters
    ----------
    config : Config
        Its ``output.dir`` is used.

    Returns
    -------
    pathlib.Path
        The folder, which can be written to.

    Raises
    ------
    InputError
        If it cannot be made or written to.
    """
    folder = Path(config.output.dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder} ({error.strerror}); choose another output.dir.") from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"cannot write into the folder {folder}; choose another output.dir.")
    return folder


def write_json(path: str | os.PathLike[str], document: Mapping[str, Any]) -> None:
    """Write a dictionary of JSON types, readable and whole.

    Parameters
    ----------
    path : str or path-like
        The file.
    document : mapping
        What to write.
    """
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, whole or not at all.

    Parameters
    ----------
    path : str or path-like
        The file.
    text : str
        Its content.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
