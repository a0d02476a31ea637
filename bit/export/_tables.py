"""What every export writes: a forest as plain tables, and what it is and how it came about."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.errors import InputError
from bit.trees.forest import Forest, LinearLeaves, TreeGroup
from bit.trees.forest_json import as_document

_DESCRIBED = ("format", "version", "sha256", "features", "outputs", "basis", "cp", "config")
_PREDICTION = "predict(x), the sum of base and trees: one number per output"
_UNPROJECTED = (
    "predict(x), the sum of base and trees, before the projection that keeps R(x|theta) positive: the model was "
    "trained with positive=True, and predict_ratio and predict_score of the model project, this does not"
)


class Tables(NamedTuple):
    """Trees that share their splits over some outputs: inner nodes and leaves apart.

    Roots and children are the numbers of splits, or ``~leaf`` (negative) for leaves.

    Attributes
    ----------
    outputs : ndarray of int64, shape (n_outputs,)
        Which outputs of the forest.
    roots : ndarray of int64, shape (n_trees,)
        Where each tree begins.
    feature, left, right : ndarray of int64, shape (n_splits,)
        Column that is compared, and where it leads.
    threshold : ndarray of float32, shape (n_splits,)
        ``float32(x) < threshold`` goes left, anything else right.
    value : ndarray of float64, shape (n_leaves, n_outputs)
        Constant part of the leaves.
    columns : ndarray of int64, shape (n_leaves, n_terms)
        Features in which a leaf is linear; n_terms is 0 if no leaf is. A leaf with fewer has one of them again, with
        the slope 0: whether all are finite stays the same.
    low, high, centre : ndarray of float64, shape (n_leaves, n_terms)
        Range to which they are cut, and where the linear part is 0.
    slope : ndarray of float64, shape (n_leaves, n_terms, n_outputs)
        Slopes.
    """

    outputs: npt.NDArray[np.int64]
    roots: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float32]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    value: FloatArray
    columns: npt.NDArray[np.int64]
    low: FloatArray
    high: FloatArray
    centre: FloatArray
    slope: FloatArray

    @property
    def n_terms(self) -> int:
        """Features in which a leaf is linear, at most."""
        return int(self.columns.shape[1])


def tables_of(group: TreeGroup) -> Tables:
    """Tables of one group."""
    is_leaf = group.feature < 0
    inner = ~is_leaf
    number = np.where(is_leaf, ~(np.cumsum(is_leaf, dtype=np.int64) - 1), np.cumsum(inner, dtype=np.int64) - 1)
    return Tables(
        group.outputs,
        number[group.tree_offset[:-1]],
        group.feature[inner].astype(np.int64),
        group.threshold[inner],
        number[group.left[inner]],
        number[group.right[inner]],
        group.value[is_leaf],
        *_linear_tables(group.linear, is_leaf, len(group.outputs)),
    )


def _linear_tables(linear: LinearLeaves | None, is_leaf: npt.NDArray[np.bool_], n_outputs: int) -> tuple[Any, ...]:
    n_leaves = int(is_leaf.sum())
    if linear is None:
        nothing = np.empty((n_leaves, 0))
        return nothing.astype(np.int64), nothing, nothing, nothing, np.empty((n_leaves, 0, n_outputs))
    columns = linear.columns[is_leaf]
    n_terms = int((columns >= 0).sum(axis=1).max(initial=0))
    columns = np.where(columns < 0, np.maximum(columns[:, :1], 0), columns)[:, :n_terms]
    parts = (linear.low, linear.high, linear.centre)
    low, high, centre = (part[is_leaf, :n_terms].astype(np.float64) for part in parts)
    return columns, low, high, centre, linear.slope[is_leaf, :, :n_terms].transpose(0, 2, 1)


def groups_with_trees(forest: Forest) -> list[TreeGroup]:
    """Groups that add something to the base."""
    return [group for group in forest.groups if group.n_trees]


def describe(forest: Forest) -> dict[str, Any]:
    """Features, outputs, polynomial, training, version and checksum of a forest, as JSON types."""
    document = as_document(forest)
    positive = forest.config.get("parameters", {}).get("positive", False)
    return {"holds": _UNPROJECTED if positive else _PREDICTION, **{name: document[name] for name in _DESCRIBED}}


def as_texts(description: dict[str, Any]) -> dict[str, str]:
    """A description for formats whose metadata are text: anything but text as JSON."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in description.items()
    }


def require_constant_leaves(forest: Forest, of_format: str) -> None:
    """Refuse linear leaves where a format has constants only."""
    if any(group.linear is not None for group in forest.groups):
        raise InputError(
            f"this forest has linear leaves, and a leaf of {of_format} is one number: export to cpp, numpy or onnx, or "
            "train with leaf='constant'."
        )


def single_precision(values: FloatArray) -> npt.NDArray[np.float32]:
    """Values rounded to float32, if all of them fit."""
    largest = np.abs(values).max(initial=0.0)
    if largest > np.finfo(np.float32).max:
        raise InputError(f"a leaf has the value {largest:.3g}, too large for single precision; export to C++ or numpy.")
    return values.astype(np.float32)


def base_of_sum(forest: Forest) -> FloatArray:
    """Base of the sum over all trees and, with a parity, their images: with it the base of odd outputs cancels."""
    return forest.base if forest.cp is None else 0.5 * (1.0 + forest.cp.parity) * forest.base


def output_names(forest: Forest) -> list[str]:
    """Outputs as single words: ``"cHW"``, ``"cHW*cHWtil"``."""
    return ["*".join(term) for term in forest.output_terms]


def wrapped(words: Iterable[str], indent: str, width: int = 90) -> str:
    """Words separated by commas: as they are if they fit into one line, else in lines that are indented."""
    lines, line = [], indent
    for word in words:
        if len(line) + len(word) > width and line != indent:
            lines.append(line)
            line = indent
        line += f" {word}," if line != indent else f"{word},"
    lines.append(line[:-1])
    return "\n" + "\n".join(lines) if len(lines) > 1 else lines[0].strip()
