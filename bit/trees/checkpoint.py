"""Trainings that can be continued: the trees so far and what the next one depends on, as ``bit-checkpoint/1`` JSON.

Residuals are not stored. They follow from the weights by taking out the trees again, in the same order and with the
same roundings, so that a continued training gives the same forest, bit for bit, as one that was never interrupted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from bit.artefacts import require_schema, seal, write_document
from bit.basis import FloatArray
from bit.errors import FileFormatError, InputError
from bit.files import existing_file
from bit.kernels.residuals import LEAF_FEATURES
from bit.trees.linear import LinearWalk
from bit.trees.walk import IntArray, Walk, walk_of

FORMAT: Final = "bit-checkpoint/1"


@dataclass(frozen=True, eq=False)
class FinishedTree:
    """A tree in bin numbers and in the rotated residuals that it was fitted to.

    Attributes
    ----------
    feature, bins, left, right : ndarray of int64, shape (n_nodes,)
        Split of every node; feature -1 marks a leaf.
    depth : int
        Steps to the lowest leaf.
    gain : ndarray of float64, shape (n_nodes,)
        Information gained by the split, 0 for leaves.
    value : ndarray of float64, shape (n_nodes, n_outputs)
        Values of the leaves, learning rate included.
    linear : LinearWalk
        Linear parts of the leaves, learning rate included.
    linear_gain : ndarray of float64, shape (n_nodes, 4) or (0, 4)
        By how much the slopes of each feature lower the loss.
    """

    feature: IntArray
    bins: IntArray
    left: IntArray
    right: IntArray
    depth: int
    gain: FloatArray
    value: FloatArray
    linear: LinearWalk
    linear_gain: FloatArray

    @property
    def walk(self) -> Walk:
        """The tree in the form of ``kernels.traversal``."""
        return walk_of(self.feature, self.bins, self.left, self.right, self.depth)


@dataclass(frozen=True, eq=False)
class TrainingState:
    """How far the training of a group of trees has come.

    Attributes
    ----------
    start : mapping
        What the training began with: base, metric, thresholds and first losses. They are sums over the events, and
        tell whether a continued training has the same events.
    trees : list of FinishedTree
        The trees so far.
    train_loss, validation_loss : list of float
        Of the base and after each tree.
    random : mapping
        State of the random numbers behind the last tree.
    """

    start: Mapping[str, Any]
    trees: list[FinishedTree]
    train_loss: list[float]
    validation_loss: list[float]
    random: Mapping[str, Any]


class Checkpoint:
    """Where a training is written to from time to time, and what it continues.

    Parameters
    ----------
    path : str, path-like or None
        The file; None writes none.
    every : int
        Trees between two checkpoints.
    settings : mapping
        What decides about the training but the events, as JSON types.
    resume : str, path-like or None
        Checkpoint of a training to be continued.

    Raises
    ------
    InputError
        If there is no such checkpoint, it has other settings, or the folder of `path` does not exist.
    FileFormatError
        If the file is no checkpoint, or damaged.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        every: int,
        settings: Mapping[str, Any],
        resume: str | os.PathLike[str] | None,
    ) -> None:
        self.path, self.every, self.settings = path, every, json.loads(json.dumps(settings))
        self.source = "" if resume is None else os.fspath(resume)
        if path is not None and not Path(path).parent.is_dir():
            raise InputError(f"checkpoint={os.fspath(path)!r}: the folder does not exist; create it first.")
        self._states: list[TrainingState] = []
        if resume is not None:
            found, self._states = _read(existing_file(resume))
            self._require_same(found)

    def _require_same(self, found: Mapping[str, Any]) -> None:
        for name in {**found, **self.settings}:
            there, here = found.get(name), self.settings.get(name)
            if there != here:
                raise InputError(
                    f"resume={self.source!r}: this checkpoint was written with {name}={there!r}, now it is {here!r}; "
                    "continue with the same settings and events (n_estimators may grow), or train anew."
                )

    def state(self, group: int) -> TrainingState | None:
        """How far a group had come.

        Parameters
        ----------
        group : int
            Its number.

        Returns
        -------
        TrainingState or None
            None if it had not begun.
        """
        return self._states[group] if group < len(self._states) else None

    def save(self, group: int, state: TrainingState) -> None:
        """Write the checkpoint, if there is a file for it; the last one stays until this is whole.

        Parameters
        ----------
        group : int
            Number of the group that is being trained.
        state : TrainingState
            How far it has come.
        """
        self._states[group : group + 1] = [state]
        if self.path is None:
            return
        groups = [_as_json(of_group) for of_group in self._states]
        write_document(seal("checkpoint", FORMAT, {"settings": self.settings, "groups": groups}), self.path)


def _as_json(state: TrainingState) -> dict[str, Any]:
    document = {field.name: getattr(state, field.name) for field in fields(state)}
    document["trees"] = [
        {field.name: _listed(getattr(tree, field.name)) for field in fields(tree)} for tree in state.trees
    ]
    return document


def _listed(value: Any) -> Any:
    if isinstance(value, LinearWalk):
        return {name: array.tolist() for name, array in value._asdict().items()}
    return value.tolist() if isinstance(value, np.ndarray) else value


def _read(path: Path) -> tuple[dict[str, Any], list[TrainingState]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FileFormatError(f"{path} is not JSON ({error}); give a checkpoint of fit.") from None
    if not isinstance(document, dict) or document.get("kind") != "checkpoint":
        raise FileFormatError(f"{path} does not hold a checkpoint; give a file that fit wrote with checkpoint=.")
    require_schema(document, FORMAT, str(path))
    return document["settings"], [_state(group) for group in document["groups"]]


def _state(document: Mapping[str, Any]) -> TrainingState:
    return TrainingState(**{**document, "trees": [_tree(tree) for tree in document["trees"]]})


def _tree(document: Mapping[str, Any]) -> FinishedTree:
    arrays = {name: np.array(document[name], dtype=np.int64) for name in ("feature", "bins", "left", "right")}
    value = np.array(document["value"], dtype=np.float64)
    parts = document["linear"]
    columns = np.array(parts["columns"], dtype=np.int64)
    numbers = {name: np.array(parts[name], dtype=np.float64) for name in LinearWalk._fields if name != "columns"}
    # An empty list has lost its shape.
    n_leaves, n_used = len(columns), LEAF_FEATURES
    of_leaves = {name: array.reshape(n_leaves, n_used) for name, array in numbers.items() if name != "slope"}
    slope = numbers["slope"].reshape(n_leaves, value.shape[1] if n_leaves else 0, n_used)
    return FinishedTree(
        **arrays,
        depth=document["depth"],
        gain=np.array(document["gain"], dtype=np.float64),
        value=value,
        linear=LinearWalk(columns.reshape(n_leaves, n_used), **of_leaves, slope=slope),
        linear_gain=np.array(document["linear_gain"], dtype=np.float64).reshape(n_leaves, n_used),
    )
