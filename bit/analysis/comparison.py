"""All observables and methods on the events of a configuration."""

from __future__ import annotations

from pathlib import Path

from bit import plotting
from bit.analysis.events import divide, read_events
from bit.analysis.workflow import write_json, write_text
from bit.compare import Comparison, compare
from bit.config import Config


def comparison(config: Config, *, verbose: bool = True) -> Comparison:
    """Compare what section ``[compare]`` names, with the statistics of ``[limits]``.

    Parameters
    ----------
    config : Config
        Sections ``[compare]``, ``[limits]``, ``[train]``, ``[cp]``; the events are divided as by `divide`.
    verbose : bool, default=True
        Draw a progress bar on a terminal.

    Returns
    -------
    Comparison
        As from `bit.compare.compare`.

    Raises
    ------
    InputError
        For anything that the user gave and that does not fit.
    """
    table = read_events(config)
    divide(config, table)  # refuses names that do not exist
    settings, statistics = config.compare, config.limits
    return compare(
        table,
        lumi_fb=statistics.lumi_fb,
        params=statistics.params,
        methods=settings.methods,
        features=settings.features,
        classics=settings.classics,
        cp=config.cp,
        n_bins=statistics.n_bins,
        cl=statistics.cl,
        order=statistics.order,
        others=statistics.others,
        train=config.train,
        xgboost=settings.xgboost,
        networks=settings.networks,
        labels=config.data.labels,
        split=config.data.split,
        seed=config.output.seed,
        n_jobs=config.train.get("n_jobs"),
        show_progress=verbose,
    )


def save_comparison(config: Config, result: Comparison, path: Path) -> tuple[Path, ...]:
    """Write a comparison as JSON, and beside it as text, LaTeX and a figure.

    Parameters
    ----------
    config : Config
        Stored in the JSON; its ``compare.n_best`` is that of tables and figure.
    result : Comparison
        What was found, with at least one row.
    path : pathlib.Path
        The JSON file.

    Returns
    -------
    tuple of pathlib.Path
        The four files.
    """
    n_best = config.compare.n_best
    files = tuple(path.with_suffix(suffix) for suffix in (".json", ".txt", ".tex", ".png"))
    write_json(files[0], result.to_dict() | {"config": config.to_dict()})
    write_text(files[1], result.to_text(n_best=n_best) + "\n")
    write_text(files[2], result.to_latex(n_best=n_best))
    plotting.save(plotting.comparison(result, n_best=n_best), files[3])
    return files
