"""Forests, and formulas, as corrections of correctionlib, schema version 2, written without the library.

A split is a binning in one variable with the edges -inf, s, +inf and the flow "clamp": x < s goes left, anything else
(+inf and NaN too) right. correctionlib compares in double precision and a forest float32(x) < t, so s is the middle
between t and the float32 number below, where rounding to float32 changes. Its parser reads numbers to three units in
the last place: s = t would part float32 numbers wrongly, the middle parts at most doubles so close to it.

With exact parity f(x) = (g(x) + p g(Cx)) / 2 is the sum over twice as many trees. Those of the image read the swapped
columns, and a transform changes the sign of the features that are flipped before they are compared.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.errors import InputError
from bit.export._tables import base_of_sum, describe, groups_with_trees, output_names, require_constant_leaves
from bit.export.formula import correction_set
from bit.expression import Expression
from bit.files import replacing
from bit.trees.forest import Forest, TreeGroup

_SCHEMA: Final = 2
_REVISION: Final = 1  # of each correction, which correctionlib wants to be an integer


def to_correctionlib(model: Forest | Expression, path: str | os.PathLike[str]) -> None:
    """Write a forest or a formula as a correctionlib file, schema version 2.

    A formula is the one correction of its name, of all its features in their order:
    ``CorrectionSet.from_file(path)["formula"].evaluate(*columns)``. Of a forest each output is a compound
    correction of its name (``"cHW"``, ``"cHW*cHWtil"``), the sum of one correction for the base and one for each
    tree, of the features in their order: ``CorrectionSet.from_file(path).compound["cHW"] .evaluate(*columns)``.
    Features in single precision reach the leaves of the forest, NaN, infinities and denormal numbers included;
    those in double precision too, unless they are a few units in the last place from where rounding to float32
    changes. Values are those of ``forest.predict`` up to `bit.export.check.correctionlib_error`: for T trees (T +
    9) 2^-53 times the sum of abs(leaf), 2T with exact parity.
    The ``description`` of the file is JSON with features, outputs, polynomial, training, version and checksum.

    Parameters
    ----------
    model : Forest or Expression
        Trees with constant leaves, any number of outputs and groups, with or without exact parity; or a formula. A
        model that was trained with ``positive=True`` is written before its projection, and the description says so.
    path : str or path-like
        The file, ``.json`` or compressed ``.json.gz``; an older one is replaced only by a complete one.

    Raises
    ------
    InputError
        If leaves are linear (formulas of correctionlib cannot round x to float32, so that their values would differ),
        or the file has another suffix, or it cannot be written.
    """
    if isinstance(model, Forest):
        require_constant_leaves(model, "correctionlib")
    if not str(path).endswith((".json", ".json.gz")):
        raise InputError(f"{path}: correctionlib reads files that end in .json or .json.gz; name it so.")
    document = _document(model) if isinstance(model, Forest) else correction_set(model)
    text = json.dumps(document, allow_nan=False, ensure_ascii=False) + "\n"
    content = text.encode()
    with replacing(path) as temporary:
        # Without the time, which gzip would store, the same model gives the same file.
        temporary.write_bytes(gzip.compress(content, mtime=0) if Path(path).suffix == ".gz" else content)


def _document(forest: Forest) -> dict[str, Any]:
    corrections: list[dict[str, Any]] = []
    compounds = []
    for output, name in enumerate(output_names(forest)):
        parts = list(_corrections(forest, output, name))
        corrections += parts
        compounds.append(
            {
                "name": name,
                "inputs": _inputs(forest, range(forest.n_features)),
                "output": _result(name),
                "inputs_update": [],
                "input_op": "+",
                "output_op": "+",
                "stack": [part["name"] for part in parts],
            }
        )
    return {
        "schema_version": _SCHEMA,
        "description": json.dumps(describe(forest), ensure_ascii=False),
        "corrections": corrections,
        "compound_corrections": compounds,
    }


def _corrections(forest: Forest, output: int, name: str) -> Iterator[dict[str, Any]]:
    """The base and the trees that add to an output, then the trees of the images."""

    def correction(part: str, columns: Sequence[int], data: Any) -> dict[str, Any]:
        return {
            "name": f"{name}/{part}",
            "version": _REVISION,
            "inputs": _inputs(forest, columns),
            "output": _result(name),
            "data": data,
        }

    names, cp = forest.feature_names, forest.cp
    groups = [group for group in groups_with_trees(forest) if output in group.outputs]
    itself = np.arange(forest.n_features)
    yield correction("base", [0], float(base_of_sum(forest)[output]))
    scale = 1.0 if cp is None else 0.5
    trees = (tree for group in groups for tree in _trees_of(group, output, scale, names, itself))
    for number, (columns, data) in enumerate(trees):
        yield correction(f"tree {number}", columns, data)
    if cp is not None:
        scale *= cp.parity[output]
        images = (tree for group in groups for tree in _trees_of(group, output, scale, names, cp.permutation))
        for number, (columns, tree) in enumerate(images):
            data = tree
            for column in columns:
                if cp.sign[column] < 0:
                    data = _negated(names[column], data)
            yield correction(f"image of tree {number}", columns, data)


def _trees_of(
    group: TreeGroup, output: int, scale: float, names: Sequence[str], source: npt.NDArray[np.int64]
) -> Iterator[tuple[list[int], Any]]:
    """Columns and nodes of each tree, where feature f is taken from the column source[f]."""
    values = (scale * group.value[:, np.flatnonzero(group.outputs == output)[0]]).tolist()
    edges = _boundaries(group.threshold).tolist()
    columns = np.where(group.feature >= 0, source[group.feature], -1).tolist()
    left, right = group.left.tolist(), group.right.tolist()
    nodes: list[Any] = values
    for first, stop in zip(group.tree_offset[:-1].tolist(), group.tree_offset[1:].tolist(), strict=True):
        for node in reversed(range(first, stop)):  # children stand behind their parents
            if columns[node] >= 0:
                nodes[node] = {
                    "nodetype": "binning",
                    "input": names[columns[node]],
                    "edges": ["-inf", edges[node], "inf"],
                    "content": [nodes[left[node]], nodes[right[node]]],
                    "flow": "clamp",
                }
        # A tree without splits needs an input all the same.
        yield sorted({column for column in columns[first:stop] if column >= 0}) or [0], nodes[first]


def _boundaries(threshold: npt.NDArray[np.float32]) -> FloatArray:
    """Doubles at which rounding to float32 changes from below the thresholds to the thresholds."""
    below = np.nextafter(threshold, np.float32(-np.inf)).astype(np.float64)
    below = np.maximum(below, -(2.0**128))  # what would stand below the smallest float32
    return 0.5 * (below + threshold.astype(np.float64))


def _negated(name: str, content: Any) -> dict[str, Any]:
    rule = {"nodetype": "formula", "expression": "0.0-x", "parser": "TFormula", "variables": [name]}
    return {"nodetype": "transform", "input": name, "rule": rule, "content": content}


def _inputs(forest: Forest, columns: Sequence[int]) -> list[dict[str, str]]:
    units = forest.units or ("",) * forest.n_features
    return [{"name": forest.feature_names[f], "type": "real", "description": units[f]} for f in columns]


def _result(name: str) -> dict[str, str]:
    return {"name": name, "type": "real"}
