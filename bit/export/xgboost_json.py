"""A forest as XGBoost models, one file for each output; and single-output models of XGBoost as forests.

The files are those of ``Booster.save_model`` and load in XGBoost 3 and what reads its JSON: one scalar per leaf,
``base_score`` as a plain number, NaN to the right (``default_left`` 0).

With exact parity f(x) = (g(x) + p g(Cx)) / 2 becomes a sum over twice as many trees, since Cx only renames features
and changes signs: -x < t is "not x < next float after -t", so such a split has its children swapped. NaN has to go to
the same child as before, which is now the left one: these splits alone have ``default_left`` 1.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bit.errors import FileFormatError, InputError
from bit.export._imported import ImportedTree, forest_of_trees
from bit.export._tables import (
    as_texts,
    base_of_sum,
    describe,
    groups_with_trees,
    output_names,
    require_constant_leaves,
    single_precision,
)
from bit.files import existing_file, replacing
from bit.trees.forest import ExactParity, Forest, TreeGroup
from bit.trees.forest_json import FORMAT

_SCHEMA: Final = [3, 0, 0]
_NO_PARENT: Final = 2147483647
_REMEDY: Final = "bit reads gbtree models of reg:squarederror with one output and numbers as features"


# ---------------------------------------------------------------------- writing
def to_xgboost(forest: Forest, path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write each output of a forest as an XGBoost model (JSON), which needs no XGBoost to write.

    XGBoost rounds leaves to single precision and sums them so: `bit.export.check.xgboost_error` bounds the deviation
    from ``forest.predict`` by (T + 3) 2^-24 times the sum of abs(leaf) for T trees, 2T with exact parity. Every event
    reaches the same leaves, NaN, infinities and denormal numbers included. Readers that ignore ``default_left``, such
    as FastForest and ROOT's RBDT, part NaN otherwise where exact parity flips the sign of a feature, and nowhere else.
    ``attributes`` hold features, outputs, polynomial, training, version and checksum, as text or JSON, and which
    ``output`` the file is.

    Parameters
    ----------
    forest : Forest
        Trees with constant leaves, any number of outputs and groups, with or without exact parity. A model that was
        trained with ``positive=True`` is written before its projection, and the attributes say so.
    path : str or path-like
        For one output, a file that ends in ``.json``; else a folder, made if it does not exist, with one file for each
        output: ``cHW.json``, ``cHW-cHWtil.json``. Older files are replaced only by complete ones.

    Returns
    -------
    tuple of pathlib.Path
        The files, in the order of the outputs.

    Raises
    ------
    InputError
        If leaves are linear, a number is too large for single precision, the name of a feature has one of ``[]<``,
        which XGBoost refuses, or the files cannot be written.
    """
    require_constant_leaves(forest, "XGBoost")
    _check_names(forest.feature_names)
    files = xgboost_files(forest, path)
    documents = [_document(forest, output) for output in range(forest.n_outputs)]
    folder = files[0].parent
    if folder == Path(path):
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {folder}: {error.strerror}; choose another place.") from None
    for file, document in zip(files, documents, strict=True):
        with replacing(file) as temporary:
            # XGBoost does not decode \u escapes.
            temporary.write_text(json.dumps(document, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
    return files


def xgboost_files(forest: Forest, path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Files of `to_xgboost`.

    Parameters
    ----------
    forest : Forest
        Trees.
    path : str or path-like
        File or folder.

    Returns
    -------
    tuple of pathlib.Path
        One for each output.

    Raises
    ------
    InputError
        If one file is named for several outputs, or two outputs would share one.
    """
    target = Path(path)
    if target.suffix == ".json":
        if forest.n_outputs > 1:
            raise InputError(
                f"{target} is one file, and the forest has {forest.n_outputs} outputs, of which an XGBoost file holds "
                "one: name a folder."
            )
        return (target,)
    names = [re.sub(r"[^\w.-]", "_", "-".join(term)) for term in forest.output_terms]
    if len(set(names)) < len(names):
        raise InputError(f"two of the outputs {output_names(forest)} would be one file in {target}: rename them.")
    return tuple(target / f"{name}.json" for name in names)


def _check_names(names: tuple[str, ...]) -> None:
    for name in names:
        if re.search(r"[\[\]<]", name):
            raise InputError(f"feature {name!r}: XGBoost refuses the characters [ ] and < in names; rename it.")


def _document(forest: Forest, output: int) -> dict[str, Any]:
    trees = list(_trees(forest, output))
    base = single_precision(base_of_sum(forest)[output : output + 1])[0]
    model = {
        "gbtree_model_param": {"num_trees": str(len(trees)), "num_parallel_tree": "1"},
        "iteration_indptr": list(range(len(trees) + 1)),
        "tree_info": [0] * len(trees),
        "trees": [{"id": i, **tree} for i, tree in enumerate(trees)],
    }
    learner = {
        "attributes": {**as_texts(describe(forest)), "output": output_names(forest)[output]},
        "feature_names": list(forest.feature_names),
        "feature_types": ["float"] * forest.n_features,
        "learner_model_param": {
            "base_score": str(base),
            "boost_from_average": "0",
            "num_class": "0",
            "num_feature": str(forest.n_features),
            "num_target": "1",
        },
        "objective": {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}},
        "gradient_booster": {"name": "gbtree", "model": model},
    }
    return {"version": _SCHEMA, "learner": learner}


def _trees(forest: Forest, output: int) -> Iterator[dict[str, Any]]:
    """Trees of all groups that add to an output, then those of the images."""
    groups = [group for group in groups_with_trees(forest) if output in group.outputs]
    scale = 1.0 if forest.cp is None else 0.5
    for group in groups:
        nothing_flipped = np.zeros(len(group.feature), dtype=np.bool_)
        yield from _trees_of(group, output, scale, nothing_flipped, forest.n_features)
    if forest.cp is not None:
        for group in groups:
            image, flipped = _image(group, forest.cp)
            yield from _trees_of(image, output, scale * forest.cp.parity[output], flipped, forest.n_features)


def _image(group: TreeGroup, cp: ExactParity) -> tuple[TreeGroup, npt.NDArray[np.bool_]]:
    """Trees that give for x what those of the group give for the image of x, and which splits are flipped."""
    inner = group.feature >= 0
    flipped = inner & (cp.sign[group.feature] < 0)
    above = np.nextafter(-group.threshold, np.float32(np.inf))
    image = replace(
        group,
        feature=np.where(inner, cp.permutation[group.feature], -1).astype(np.int32),
        threshold=np.where(flipped, above, group.threshold),
        left=np.where(flipped, group.right, group.left),
        right=np.where(flipped, group.left, group.right),
    )
    return image, flipped


def _nodes_of_trees(group: TreeGroup) -> Iterator[npt.NDArray[np.int64]]:
    """Nodes of each tree, children side by side: deep in a tree XGBoost takes left + 1 for the right one."""
    left, right = group.left.tolist(), group.right.tolist()
    for root in group.tree_offset[:-1].tolist():
        nodes, n_expanded = [root], 0
        while n_expanded < len(nodes):
            node = nodes[n_expanded]
            n_expanded += 1
            if left[node] >= 0:
                nodes += [left[node], right[node]]
        yield np.array(nodes)


def _trees_of(
    group: TreeGroup, output: int, scale: float, default_left: npt.NDArray[np.bool_], n_features: int
) -> Iterator[dict[str, Any]]:
    column = int(np.flatnonzero(group.outputs == output)[0])
    inner = group.feature >= 0
    conditions = np.where(inner, group.threshold, single_precision(scale * group.value[:, column]))
    for nodes in _nodes_of_trees(group):
        n_nodes, is_split = len(nodes), inner[nodes]
        left = np.where(is_split, 2 * np.cumsum(is_split) - 1, -1)
        right = np.where(is_split, left + 1, -1)
        parents = np.full(n_nodes, _NO_PARENT)
        for child in (left, right):
            parents[child[is_split]] = np.flatnonzero(is_split)
        yield {
            "tree_param": {
                "num_nodes": str(n_nodes),
                "num_feature": str(n_features),
                "num_deleted": "0",
                "size_leaf_vector": "1",
            },
            "left_children": left.tolist(),
            "right_children": right.tolist(),
            "parents": parents.tolist(),
            "split_indices": np.where(is_split, group.feature[nodes], 0).tolist(),
            "split_conditions": conditions[nodes].tolist(),
            "split_type": [0] * n_nodes,
            "default_left": default_left[nodes].astype(np.int64).tolist(),
            "base_weights": [0.0] * n_nodes,
            "loss_changes": group.gain[nodes].tolist(),
            "sum_hessian": group.sum_w[nodes, 0].tolist(),
            "categories": [],
            "categories_nodes": [],
            "categories_segments": [],
            "categories_sizes": [],
        }


# ---------------------------------------------------------------------- reading
def from_xgboost(path: str | os.PathLike[str], *, missing_values: bool = True) -> Forest:
    """Read a model of XGBoost with one output as a forest.

    Its numbers are those of ``Booster.predict`` with all trees, apart from the rounding of XGBoost's sum in single
    precision (`bit.export.check.xgboost_error`).

    Parameters
    ----------
    path : str or path-like
        JSON written by ``save_model`` or by `to_xgboost`: booster gbtree, objective reg:squarederror, one number per
        leaf, splits of numbers.
    missing_values : bool, default=True
        Whether events may hold NaN. A forest sends it to the right; where the model sends it to the left
        (``default_left``), a further split, x < 3.4028235e38, parts it from numbers. These trees are larger, and
        +inf counts as missing there. False leaves the trees as they are, for events without NaN.

    Returns
    -------
    Forest
        One output, named as the file names it or ``"y0"``; ``gain`` and the nominal ``sum_w`` are XGBoost's loss
        changes and sums of hessians, counts are 0. No polynomial belongs to it.

    Raises
    ------
    InputError
        If there is no such file.
    FileFormatError
        If it is not such a model, or was written by a newer `bit`.
    """
    file = existing_file(path)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{file} is not JSON ({error}); give a file of save_model('model.json').") from None
    return xgboost_from_document(document, str(file), missing_values=missing_values)


def is_xgboost(document: Any) -> bool:
    """Tell whether a document has the structure of XGBoost's models.

    Parameters
    ----------
    document : object
        Parsed JSON.

    Returns
    -------
    bool
        Whether to read it with `xgboost_from_document`.
    """
    return isinstance(document, dict) and isinstance(document.get("learner"), dict)


def xgboost_from_document(document: Any, source: str, *, missing_values: bool = True) -> Forest:
    """Read the parsed JSON of XGBoost, see `from_xgboost`.

    Parameters
    ----------
    document : object
        Parsed JSON.
    source : str
        Name of the file, for messages.
    missing_values : bool, default=True
        As for `from_xgboost`.

    Returns
    -------
    Forest
        The trees.

    Raises
    ------
    FileFormatError
        As for `from_xgboost`.
    """
    if not is_xgboost(document):
        raise FileFormatError(f"{source} does not hold a model of XGBoost; {_REMEDY}.")
    try:
        learner = document["learner"]
        attributes = learner.get("attributes", {})
        if attributes.get("format", FORMAT) != FORMAT:
            raise FileFormatError(
                f"{source} was made of a forest of the format {attributes['format']!r}, this version reads {FORMAT!r}; "
                "update bit."
            )
        _check_kind(learner, source)
        trees = [_tree(fields, source) for fields in learner["gradient_booster"]["model"]["trees"]]
        parameters = learner["learner_model_param"]
        n_features = int(parameters["num_feature"])
        return forest_of_trees(
            trees,
            base=float(np.float32(parameters["base_score"].strip("[]"))),
            feature_names=tuple(learner.get("feature_names") or (f"x{i}" for i in range(n_features))),
            output=attributes.get("output", "y0"),
            missing_values=missing_values,
            estimator="XGBoost " + ".".join(str(part) for part in document["version"]),
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(
            f"{source}: not a valid model of XGBoost ({type(error).__name__}: {error}); {_REMEDY}."
        ) from None


def _check_kind(learner: dict[str, Any], source: str) -> None:
    parameters = learner["learner_model_param"]
    for name, value, wanted in (
        ("booster", learner["gradient_booster"]["name"], ("gbtree",)),
        ("objective", learner["objective"]["name"], ("reg:squarederror",)),
        ("num_class", parameters["num_class"], ("0",)),
        ("num_target", parameters.get("num_target", "1"), ("0", "1")),
    ):
        if value not in wanted:
            raise FileFormatError(f"{source}: {name} is {value!r}; {_REMEDY}.")


def _tree(fields: dict[str, Any], source: str) -> ImportedTree:
    left, right, feature, default_left, split_type = (
        np.array(fields[name], dtype=np.int64)
        for name in ("left_children", "right_children", "split_indices", "default_left", "split_type")
    )
    conditions, gain, hessian = (
        np.array(fields[name], dtype=np.float32) for name in ("split_conditions", "loss_changes", "sum_hessian")
    )
    if fields["tree_param"]["size_leaf_vector"] not in ("0", "1"):
        raise FileFormatError(f"{source}: leaves are vectors; {_REMEDY}.")
    inner = left >= 0
    if split_type[inner].any():
        raise FileFormatError(f"{source} has splits of categories; {_REMEDY}.")
    return ImportedTree(
        feature=np.where(inner, feature, -1),
        threshold=conditions,
        left=left,
        right=right,
        nan_left=default_left.astype(np.bool_),
        value=conditions.astype(np.float64),
        gain=gain.astype(np.float64),
        n_events=np.zeros(len(left), dtype=np.int64),
        sum_w0=hessian.astype(np.float64),
    )
