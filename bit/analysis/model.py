"""Training of a forest, and a forest as observables see it."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bit.config import Config
from bit.errors import BitWarning, InputError
from bit.estimators import BoostedInformationTree
from bit.events import EventTable
from bit.export import load, to_json
from bit.inference import UnbinnedLikelihood
from bit.inference.experiment import Parts
from bit.metrics import rho2
from bit.parity import CPParity
from bit.processes.analytic import PowerLaw
from bit.trees.forest import Forest


def train(
    config: Config,
    parts: Parts,
    *,
    verbose: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> BoostedInformationTree:
    """Train on the first part, with exact symmetry if the configuration has a parity.

    Parameters
    ----------
    config : Config
        Sections ``[train]``, ``[cp]``; the seed is the default of ``random_state``, the parity of ``cp_parity``.
    parts : Parts
        Events.
    verbose : bool, default=True
        Draw a progress bar on a terminal.
    checkpoint, resume : str or path-like, optional
        As of ``BoostedInformationTree.fit``.

    Returns
    -------
    BoostedInformationTree
        Fitted; ``interrupted_`` tells whether Ctrl-C ended it early.

    Raises
    ------
    InputError
        For arguments outside their rule, or too few events to split.
    """
    defaults = {"random_state": config.output.seed, "verbose": int(verbose), "cp_parity": config.cp}
    return BoostedInformationTree(**(defaults | dict(config.train))).fit(
        parts.train, checkpoint=checkpoint, resume=resume
    )


def save_forest(config: Config, forest: Forest, path: str | os.PathLike[str]) -> None:
    """Write a forest with the configuration of the analysis in it.

    Parameters
    ----------
    config : Config
        Stored under ``config.analysis``.
    forest : Forest
        Trees.
    path : str or path-like
        The JSON file.
    """
    latex = tuple(config.data.labels.get(name, name) for name in forest.feature_names)
    to_json(replace(forest, latex=latex, config={**forest.config, "analysis": config.to_dict()}), path)


def load_forest(config: Config, path: Path) -> Forest:
    """Read a forest that was trained with a configuration.

    Parameters
    ----------
    config : Config
        Of the present analysis.
    path : pathlib.Path
        A file of `save_forest`.

    Returns
    -------
    Forest
        The trees.

    Raises
    ------
    InputError
        If there is no such file, or it holds another model.

    Warns
    -----
    BitWarning
        As `check_division`.
    """
    forest = load(path)
    if not isinstance(forest, Forest):
        raise InputError(f"{path} holds a model of type {type(forest).__name__}: give the forest of 'bit train'.")
    check_division(config, forest, path)
    return forest


def check_division(config: Config, forest: Forest, path: str | os.PathLike[str]) -> None:
    """Warn if the test events of a configuration may have been among the training events of a forest.

    Parameters
    ----------
    config : Config
        Of the present analysis.
    forest : Forest
        As read from a file.
    path : str or path-like
        The file, for the message.

    Warns
    -----
    BitWarning
        If the same files were divided otherwise, or nothing is known about the training.
    """
    there = forest.config.get("analysis")
    here = config.to_dict()
    if there is None:
        reason = "does not tell which events it was trained on"
    elif there["data"]["path"] == here["data"]["path"] and (
        there["data"]["split"] != here["data"]["split"] or there["output"]["seed"] != here["output"]["seed"]
    ):
        reason = "was trained with another data.split or output.seed"
    else:
        return
    warnings.warn(
        f"the forest in {os.fspath(path)} {reason}: events of its training may count in this result.",
        BitWarning,
        stacklevel=2,
    )


def evaluate(forest: Forest, table: EventTable) -> dict[str, float]:
    """Squared correlation of every learned function with the joint ratio.

    Parameters
    ----------
    forest : Forest
        Trees.
    table : EventTable
        Events that were not used in training; those with nominal weight 0 do not count.

    Returns
    -------
    dict of str to float
        rho^2 by term, such as ``"cHW*cHW"``.
    """
    columns = [table.basis.index(term) for term in forest.output_terms]
    kept = table.weights[:, 0] != 0.0
    used = table if kept.all() else table.take(kept)
    nominal = used.weights[:, 0]
    values: Any = rho2(
        used.weights[:, columns] / nominal[:, np.newaxis],
        BoostedInformationTree.from_forest(forest).predict(used),
        nominal,
    )
    return {"*".join(term): float(value) for term, value in zip(forest.output_terms, values, strict=True)}


def compile_kernels() -> None:
    """Compile every kernel for the types that training and prediction use; they are cached on disk."""
    toy = PowerLaw().sample(2000, seed=1)
    unequal = toy.normalised_to(1.0).concat(toy)
    # One coefficient, all events; events drawn and kept apart; leaf by leaf with unequal weights.
    BoostedInformationTree(n_estimators=2, terms=["theta"]).fit(toy).predict(toy)
    BoostedInformationTree(n_estimators=2, early_stopping=True, subsample=0.5, random_state=1).fit(toy)
    BoostedInformationTree(n_estimators=2, max_leaf_nodes=4, min_effective_samples=1.0).fit(unequal)
    # Trees too large for bit masks; combinations of terms; polynomials to be kept positive; events and images.
    large = BoostedInformationTree(n_estimators=1, max_depth=7, min_samples_leaf=2, sketch=1, positive=True).fit(toy)
    large.predict(toy)
    large.forest_.evaluator()(toy.features[0])
    parity = CPParity(flip=toy.feature_names[:1])
    BoostedInformationTree(n_estimators=2, cp_parity=parity).fit(toy).predict(toy)
    # Linear leaves of small trees and of large ones, for both types of features.
    for dtype in (np.float32, np.float64):
        typed = EventTable(toy.features.astype(dtype), toy.weights, toy.basis, feature_names=toy.feature_names)
        BoostedInformationTree(n_estimators=2, leaf="linear").fit(typed).predict(typed)
        BoostedInformationTree(n_estimators=2, leaf="linear", cp_parity=parity).fit(typed)
    BoostedInformationTree(n_estimators=1, leaf="linear", max_depth=7, min_samples_leaf=2).fit(toy).predict(toy)
    UnbinnedLikelihood.asimov(toy, toy.joint_ratio(), lumi_fb=1.0).twice_nll([0.1])
