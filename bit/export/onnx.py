"""A forest as an ONNX model, from standard operators only.

Constant leaves are one ``TreeEnsembleRegressor``. For linear leaves it finds the number of the leaf that an event
reaches in each tree, and the numbers of these leaves are gathered from tables.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from bit.errors import InputError
from bit.export._tables import as_texts, describe, groups_with_trees, single_precision, tables_of
from bit.files import replacing
from bit.optional import require
from bit.trees.forest import Forest, TreeGroup

_OPSETS: Final = {"": 21, "ai.onnx.ml": 3}
_IR_VERSION: Final = 10
_EXACT_INTEGERS: Final = 2**24  # up to which all integers are float32 numbers


def to_onnx(forest: Forest, path: str | os.PathLike[str]) -> None:
    """Write a forest as an ONNX model with all outputs.

    The model takes ``features`` (n, n_features) float32 and gives ``prediction`` (n, n_outputs) float32. Constant
    leaves are rounded to and summed in single precision; linear leaves are summed in double precision and the result
    is rounded; `bit.export.check.single_precision_error` bounds both. For linear leaves an evaluation takes some
    8 n T M K bytes (T trees, M <= 4 features per leaf, K outputs of a tree): give it some thousand events at a time.
    ``metadata_props`` hold features, outputs, polynomial, training, version and checksum, each as JSON.

    Parameters
    ----------
    forest : Forest
        Trees: constant or linear leaves, any number of outputs and groups, with or without exact parity. A model that
        was trained with ``positive=True`` is written before its projection, and the metadata say so.
    path : str or path-like
        The model; an older one is replaced only by a complete one.

    Raises
    ------
    MissingPackageError
        If the package onnx is not installed.
    InputError
        If a number is too large for single precision, or the file cannot be written.
    """
    onnx = require("onnx", for_="to_onnx")
    model = _model(onnx, forest)
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


class _Graph:
    """Operators one after the other; every value is known by its name."""

    def __init__(self, onnx: ModuleType) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: npt.ArrayLike) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def cast(self, value: str, to: str) -> str:
        return self.add("Cast", value, to=getattr(self.onnx.TensorProto, to))

    def trees(self, x: str, nodes: dict[str, Any], targets: _Targets, n_targets: int) -> str:
        return self.add(
            "TreeEnsembleRegressor",
            x,
            domain="ai.onnx.ml",
            n_targets=n_targets,
            aggregate_function="SUM",
            post_transform="NONE",
            **nodes,
            **{f"target_{name}": values.tolist() for name, values in targets._asdict().items()},
        )


class _Targets(NamedTuple):
    """What the leaves add to, one entry for each leaf and output of it."""

    treeids: npt.NDArray[np.int64]
    nodeids: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


def _model(onnx: ModuleType, forest: Forest) -> Any:
    graph, helper, float32 = _Graph(onnx), onnx.helper, onnx.TensorProto.FLOAT
    is_linear = any(group.linear is not None for group in groups_with_trees(forest))
    sum_of_trees, dtype = (_linear_sum, np.float64) if is_linear else (_constant_sum, np.float32)
    if forest.cp is None:
        result = sum_of_trees(graph, "features", forest)
    else:
        # f(x) = (g(x) + parity g(image)) / 2: events and images go through the trees one below the other.
        image = graph.add("Gather", "features", graph.constant(forest.cp.permutation), axis=1)
        image = graph.add("Mul", image, graph.constant(forest.cp.sign))
        both = sum_of_trees(graph, graph.add("Concat", "features", image, axis=0), forest)
        n_events = graph.add("Shape", "features", start=0, end=1)
        start, end = graph.constant(np.zeros(1, np.int64)), graph.constant(np.array([np.iinfo(np.int64).max]))
        first = graph.add("Slice", both, start, n_events)
        second = graph.add("Slice", both, n_events, end)
        second = graph.add("Mul", second, graph.constant(forest.cp.parity.astype(dtype)))
        result = graph.add("Mul", graph.add("Add", first, second), graph.constant(dtype(0.5)))
    graph.nodes.append(helper.make_node("Cast", [result], ["prediction"], to=float32))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "forest",
            [helper.make_tensor_value_info("features", float32, ["n", forest.n_features])],
            [helper.make_tensor_value_info("prediction", float32, ["n", forest.n_outputs])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid(*opset) for opset in _OPSETS.items()],
        ir_version=_IR_VERSION,
        producer_name="bit",
    )
    description = describe(forest)
    model.producer_version, model.doc_string = description["version"], description["holds"]
    helper.set_model_props(model, as_texts(description))
    return model


def _constant_sum(graph: _Graph, x: str, forest: Forest) -> str:
    """All trees of all groups in one operator; the base is a tree of one leaf."""
    groups = groups_with_trees(forest)
    first_tree, nodes, targets = 1, [_leaf_alone()], [_targets([0], [0], range(forest.n_outputs), forest.base)]
    for group in groups:
        trees, within = _positions(group)
        leaf = group.feature < 0
        nodes.append(_nodes(group, trees + first_tree, within))
        targets.append(_targets(trees[leaf] + first_tree, within[leaf], group.outputs, group.value[leaf]))
        first_tree += group.n_trees
    merged = {name: [entry for part in nodes for entry in part[name]] for name in nodes[0]}
    columns = (np.concatenate(parts) for parts in zip(*targets, strict=True))
    return graph.trees(x, merged, _Targets(*columns), forest.n_outputs)


def _linear_sum(graph: _Graph, x: str, forest: Forest) -> str:
    total = graph.constant(forest.base)
    for group in groups_with_trees(forest):
        # A matrix of zeros and ones brings the outputs of the group to their place.
        placement = np.eye(forest.n_outputs)[group.outputs]
        total = graph.add("Add", total, graph.add("MatMul", _group_sum(graph, x, group), graph.constant(placement)))
    return total


def _group_sum(graph: _Graph, x: str, group: TreeGroup) -> str:
    tables, leaf = tables_of(group), _leaf_numbers(graph, x, group)

    def of_leaf(values: npt.NDArray[Any]) -> str:
        return graph.add("Gather", graph.constant(values), leaf, axis=0)

    def summed(value: str, *axes: int) -> str:
        return graph.add("ReduceSum", value, graph.constant(np.array(axes)), keepdims=0)

    constant = summed(of_leaf(tables.value), 1)
    if tables.n_terms == 0:
        return constant
    shape = graph.constant(np.array([-1, group.n_trees, tables.n_terms]))
    columns = graph.add("Flatten", of_leaf(tables.columns), axis=1)
    y = graph.add("Reshape", graph.cast(graph.add("GatherElements", x, columns, axis=1), "DOUBLE"), shape)
    inside = graph.add("Min", graph.add("Max", y, of_leaf(tables.low)), of_leaf(tables.high))
    deviation = graph.add("Sub", inside, of_leaf(tables.centre))
    zero = graph.constant(np.float64(0.0))
    finite = graph.cast(graph.add("Equal", graph.add("Sub", y, y), zero), "INT32")  # y - y is 0 for finite y only
    all_finite = graph.add("ReduceMin", finite, graph.constant(np.array([2])), keepdims=1)
    deviation = graph.add("Where", graph.cast(all_finite, "BOOL"), deviation, zero)
    deviation = graph.add("Unsqueeze", deviation, graph.constant(np.array([3])))
    linear = summed(graph.add("Mul", of_leaf(tables.slope), deviation), 1, 2)
    return graph.add("Add", constant, linear)


def _leaf_numbers(graph: _Graph, x: str, group: TreeGroup) -> str:
    """Leaf of each event and tree: the value of a leaf is its number, and each tree has an output of its own."""
    trees, within = _positions(group)
    leaf = group.feature < 0
    numbers = np.arange(leaf.sum())
    if len(numbers) > _EXACT_INTEGERS:
        raise InputError(
            f"{len(numbers)} linear leaves: ONNX numbers at most {_EXACT_INTEGERS} in single precision; export to C++."
        )
    targets = _Targets(trees[leaf], within[leaf], trees[leaf], numbers.astype(np.float32))
    return graph.cast(graph.trees(x, _nodes(group, trees, within), targets, group.n_trees), "INT64")


def _positions(group: TreeGroup) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Tree of each node, and its number within the tree."""
    trees = np.repeat(np.arange(group.n_trees), np.diff(group.tree_offset))
    return trees, np.arange(len(trees)) - group.tree_offset[trees]


def _nodes(group: TreeGroup, trees: npt.NDArray[np.int64], within: npt.NDArray[np.int64]) -> dict[str, list[Any]]:
    inner = group.feature >= 0
    shift = np.arange(len(within)) - within  # from numbers in the group to numbers in the tree

    def of_inner(values: npt.NDArray[Any]) -> list[Any]:
        return list(np.where(inner, values, values.dtype.type(0)).tolist())

    return {
        "nodes_treeids": trees.tolist(),
        "nodes_nodeids": within.tolist(),
        "nodes_featureids": of_inner(group.feature),
        "nodes_modes": np.where(inner, "BRANCH_LT", "LEAF").tolist(),
        "nodes_values": of_inner(group.threshold),
        "nodes_truenodeids": of_inner(group.left - shift),
        "nodes_falsenodeids": of_inner(group.right - shift),
        "nodes_missing_value_tracks_true": [0] * len(within),
    }


def _leaf_alone() -> dict[str, list[Any]]:
    """Tree number 0, with a single node."""
    numbers = ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids", "missing_value_tracks_true")
    return {"nodes_modes": ["LEAF"], "nodes_values": [0.0], **{f"nodes_{name}": [0] for name in numbers}}


def _targets(
    trees: npt.ArrayLike, nodes: npt.ArrayLike, outputs: Sequence[int] | npt.NDArray[np.int64], value: npt.ArrayLike
) -> _Targets:
    """Targets of leaves with a value for each output."""
    n_leaves, n_outputs = np.size(trees), len(outputs)
    return _Targets(
        np.repeat(trees, n_outputs),
        np.repeat(nodes, n_outputs),
        np.tile(outputs, n_leaves),
        single_precision(np.asarray(value)).ravel(),
    )
