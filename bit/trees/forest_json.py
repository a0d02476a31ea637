"""The canonical file of a forest: ``bit-forest/1`` JSON, which any language can read.

Fields
------
kind, format : "forest", "bit-forest/1"
version : version of `bit` that wrote it
outputs : list of lists of names; ``["cHW"]`` is R_cHW(x), ``["cHW", "cHWtil"]`` the mixed derivative
features : list of {name, unit, latex}, in the order of the columns
base : one number per output, added first
groups : list of trees that share their splits over some outputs
    outputs : numbers of these outputs
    feature : feature of each node's split, -1 for a leaf
    threshold : float32-exact; ``float32(x) < threshold`` goes left, anything else (NaN too) right
    left, right : children, numbered over the whole group; -1 for a leaf
    value : per node one number per output of the group, the learning rate folded in; 0 for inner nodes
    tree_offset : first node of each tree, then the number of nodes
    count, sum_w, sum_w0_squared : events, sums of weights (nominal first) and of squared nominal weights
    gain : information gained by the split
    linear : absent, or per node null or the linear part of a leaf: {features, centre, coef, lo, hi}, and gain, what the
        slopes of each feature gained, which may be absent. To output k of the value of the leaf is added
        sum_m coef[k][m] (min(max(x_m, lo[m]), hi[m]) - centre[m]) with x_m = x[features[m]], terms in order, unless one
        of the x_m is not finite; lo and hi are float32-exact
basis : {param_names, terms, reference} of the polynomial, or null
cp : null or absent, or {sign, permutation, parity}: with image[f] = x[permutation[f]] * sign[f] and g the sum below,
    output k is (g_k(x) + parity[k] g_k(image)) / 2
config : how the forest was trained
compare, nan : "lt", "right"
sha256 : of the canonical dump (sorted keys, no spaces) of all other fields

The sum g is base + the value of the leaf of every tree, added in tree order in double precision; it is the prediction
unless there is a block cp.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from bit.artefacts import require_schema, seal, write_document
from bit.basis import PolynomialBasis
from bit.errors import FileFormatError
from bit.kernels.residuals import LEAF_FEATURES
from bit.trees.forest import ExactParity, Forest, LinearLeaves, TreeGroup

FORMAT = "bit-forest/1"

_ARRAYS: dict[str, Any] = {
    "outputs": np.int64,
    "feature": np.int32,
    "threshold": np.float32,
    "left": np.int32,
    "right": np.int32,
    "value": np.float64,
    "tree_offset": np.int64,
    "count": np.int64,
    "sum_w": np.float64,
    "sum_w0_squared": np.float64,
    "gain": np.float64,
}


def to_json(forest: Forest, path: str | os.PathLike[str]) -> None:
    """Write a forest as ``bit-forest/1`` JSON.

    Parameters
    ----------
    forest : Forest
        Trees.
    path : str or path-like
        The file; an older one is replaced only by a complete one.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    write_document(as_document(forest), path)


def as_document(forest: Forest) -> dict[str, Any]:
    """Return the forest as a dictionary of JSON types.

    Parameters
    ----------
    forest : Forest
        Trees.

    Returns
    -------
    dict
        The fields described above.
    """
    latex = forest.latex or forest.feature_names
    units = forest.units or ("",) * forest.n_features
    basis = forest.basis
    fields: dict[str, Any] = {
        "outputs": [list(term) for term in forest.output_terms],
        "features": [
            {"name": name, "unit": unit, "latex": label}
            for name, unit, label in zip(forest.feature_names, units, latex, strict=True)
        ],
        "base": forest.base.tolist(),
        "groups": [_fields(group) for group in forest.groups],
        "basis": None
        if basis is None
        else {
            "param_names": list(basis.param_names),
            "terms": [list(term) for term in basis.terms],
            "reference": list(basis.reference),
        },
        "cp": None
        if forest.cp is None
        else {name: getattr(forest.cp, name).tolist() for name in ("sign", "permutation", "parity")},
        "config": dict(forest.config),
        "compare": "lt",
        "nan": "right",
    }
    return seal("forest", FORMAT, fields)


def from_document(document: Any, source: str) -> Forest:
    """Build a forest from the dictionary of `as_document`.

    Parameters
    ----------
    document : dict
        Parsed JSON.
    source : str
        Name of the file, for messages.

    Returns
    -------
    Forest
        The trees.

    Raises
    ------
    FileFormatError
        If it is of another kind or a newer schema, or its checksum or structure is wrong.
    """
    if not isinstance(document, dict) or document.get("kind") != "forest":
        raise FileFormatError(f"{source} does not hold a forest; give a file written by model.export.")
    require_schema(document, FORMAT, source)
    try:
        basis = document["basis"]
        forest = Forest(
            groups=tuple(_group(group) for group in document["groups"]),
            base=np.array(document["base"], dtype=np.float64),
            output_terms=tuple(tuple(term) for term in document["outputs"]),
            basis=None
            if basis is None
            else PolynomialBasis(basis["param_names"], reference=basis["reference"], terms=basis["terms"]),
            feature_names=tuple(feature["name"] for feature in document["features"]),
            units=tuple(feature["unit"] for feature in document["features"]),
            latex=tuple(feature["latex"] for feature in document["features"]),
            config=document["config"],
            cp=None if document.get("cp") is None else _parity(document["cp"], len(document["features"])),
        )
        if forest.cp is not None and len(forest.cp.parity) != forest.n_outputs:
            raise ValueError("cp.parity does not have one entry for each output")
        for group in forest.groups:
            _check_group(group, forest)
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{source}: not a valid {FORMAT} file ({type(error).__name__}: {error}).") from None
    return forest


def _fields(group: TreeGroup) -> dict[str, Any]:
    fields: dict[str, Any] = {name: getattr(group, name).tolist() for name in _ARRAYS}
    linear = group.linear
    if linear is not None:
        used = (linear.columns >= 0).sum(axis=1).tolist()
        fields["linear"] = [
            {
                "features": linear.columns[node, :n].tolist(),
                "centre": linear.centre[node, :n].tolist(),
                "coef": linear.slope[node, :, :n].tolist(),
                "lo": linear.low[node, :n].tolist(),
                "hi": linear.high[node, :n].tolist(),
                "gain": linear.gain[node, :n].tolist(),
            }
            if n
            else None
            for node, n in enumerate(used)
        ]
    return fields


def _linear(parts: list[dict[str, Any] | None], n_outputs: int) -> LinearLeaves:
    shape = (len(parts), LEAF_FEATURES)
    columns, (centre, gain) = np.full(shape, -1, dtype=np.int64), np.zeros((2, *shape))
    low, high = np.zeros((2, *shape), dtype=np.float32)
    slope = np.zeros((len(parts), n_outputs, LEAF_FEATURES))
    for node, part in enumerate(parts):
        if part is not None:
            n = len(part["features"])
            if not all(isinstance(feature, int) and feature >= 0 for feature in part["features"]):
                raise ValueError("a leaf is linear in a feature that does not exist")
            columns[node, :n] = part["features"]
            for name, target in (
                ("centre", centre[node]),
                ("lo", low[node]),
                ("hi", high[node]),
                ("coef", slope[node]),
                ("gain", gain[node]),
            ):
                numbers = np.array(part.get("gain", [0.0] * n) if name == "gain" else part[name], dtype=np.float64)
                if numbers.shape != target[..., :n].shape or not np.isfinite(numbers).all():
                    raise ValueError(f"{name} of a linear leaf does not have a number for each feature and output")
                target[..., :n] = numbers
    return LinearLeaves(columns, centre, low, high, slope, gain)


def _group(fields: dict[str, Any]) -> TreeGroup:
    arrays = {name: np.array(fields[name], dtype=dtype) for name, dtype in _ARRAYS.items()}
    n_outputs = len(arrays["outputs"])
    arrays["value"] = arrays["value"].reshape(-1, n_outputs)
    arrays["sum_w"] = arrays["sum_w"].reshape(-1, 1 + n_outputs)
    linear = _linear(fields["linear"], n_outputs) if "linear" in fields else None
    return TreeGroup(**arrays, linear=linear)


def _parity(fields: dict[str, Any], n_features: int) -> ExactParity:
    sign = np.array(fields["sign"], dtype=np.float32)
    permutation = np.array(fields["permutation"], dtype=np.int64)
    columns = np.arange(n_features)
    if not (np.array_equal(np.sort(permutation), columns) and np.array_equal(permutation[permutation], columns)):
        raise ValueError("cp.permutation does not swap pairs of features")
    if sign.shape != columns.shape or not (np.abs(sign) == 1.0).all() or (sign != sign[permutation]).any():
        raise ValueError("cp.sign must be +1 or -1 for each feature, the same for swapped ones")
    parity = np.array(fields["parity"], dtype=np.float64)
    if not (np.abs(parity) == 1.0).all():
        raise ValueError("cp.parity must be +1 or -1 for each output")
    return ExactParity(sign, permutation, parity)


def _check_group(group: TreeGroup, forest: Forest) -> None:
    """Refuse trees on which the compiled traversal would run astray."""
    n_nodes = len(group.feature)
    for name in ("threshold", "left", "right", "value", "count", "sum_w", "sum_w0_squared", "gain"):
        if len(getattr(group, name)) != n_nodes:
            raise ValueError(f"{name} has {len(getattr(group, name))} entries for {n_nodes} nodes")
    inner = group.feature >= 0
    nodes = np.arange(n_nodes)[inner]
    children = np.stack([group.left[inner], group.right[inner]])
    if (group.feature >= forest.n_features).any() or (children <= nodes).any() or (children >= n_nodes).any():
        raise ValueError("a node points to a feature or a child that does not exist")
    if group.tree_offset[0] != 0 or group.tree_offset[-1] != n_nodes or (np.diff(group.tree_offset) < 1).any():
        raise ValueError("tree_offset does not cover the nodes")
    if group.linear is not None:
        if len(group.linear.columns) != n_nodes:
            raise ValueError(f"linear has {len(group.linear.columns)} entries for {n_nodes} nodes")
        if (group.linear.columns >= forest.n_features).any():
            raise ValueError("a leaf is linear in a feature that does not exist")
    if (group.outputs < 0).any() or (group.outputs >= forest.n_outputs).any():
        raise ValueError("a group names an output that does not exist")
