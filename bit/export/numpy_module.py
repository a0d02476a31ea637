"""Forests, and formulas, as Python modules that need nothing but numpy."""

from __future__ import annotations

import os
from string import Template
from typing import Any, Final

import numpy.typing as npt

from bit.export._source import python_source
from bit.export._tables import Tables, describe, groups_with_trees, output_names, tables_of, wrapped
from bit.export.formula import numpy_module
from bit.expression.expression import Expression
from bit.files import replacing
from bit.trees.forest import Forest

_MODULE: Final = Template('''\
"""Boosted information trees, written by bit $version; needs nothing but numpy.

    prediction = predict(features)      # (n_events, $n_features) -> (n_events, $n_outputs)

Columns are FEATURES, in this order; results are OUTPUTS. Features are cast to float32; ``x < threshold`` goes left,
anything else (NaN too) right. Sums are taken in double, base first, then tree by tree: the numbers are those of
Forest.predict in bit, bit for bit.
"""

from typing import NamedTuple

import numpy as np

FEATURES = $feature_names
UNITS = $feature_units
OUTPUTS = $output_names
METADATA = $metadata


class Group(NamedTuple):
    """Trees that share their splits over some outputs; roots and children are numbers of splits, or ~leaf."""

    outputs: np.ndarray  # (n_outputs,)
    roots: np.ndarray  # (n_trees,)
    feature: np.ndarray  # (n_splits,)
    threshold: np.ndarray  # (n_splits,) float32
    left: np.ndarray  # (n_splits,)
    right: np.ndarray  # (n_splits,)
    value: np.ndarray  # (n_leaves, n_outputs)
    columns: np.ndarray  # (n_leaves, n_terms): features in which a leaf is linear, n_terms = 0 if it is constant
    low: np.ndarray  # (n_leaves, n_terms): the range to which they are cut
    high: np.ndarray  # (n_leaves, n_terms)
    centre: np.ndarray  # (n_leaves, n_terms): where the linear part is 0
    slope: np.ndarray  # (n_leaves, n_terms, n_outputs)


def predict(features):
    """Return the outputs: features of shape (n_events, $n_features) give doubles of shape (n_events, $n_outputs)."""
    x = np.asarray(features, dtype=np.float32)
    if x.ndim != 2 or x.shape[1] != len(FEATURES):
        raise ValueError(f"features have the shape {x.shape}: (n_events, {len(FEATURES)}) is needed, {FEATURES}")
    $result


def _sum_of_trees(x):
    total = np.tile(BASE, (len(x), 1))
    for group in GROUPS:
        for root in group.roots:
            leaf = _leaf(x, group, root)
            addend = group.value[leaf]
            for slope, deviation in zip(np.moveaxis(group.slope[leaf], 1, 0), _deviations(x, group, leaf).T):
                addend += slope * deviation[:, np.newaxis]
            total[:, group.outputs] += addend
    return total


def _leaf(x, group, root):
    """Number of the leaf of each event."""
    at = np.full(len(x), root)
    rows = np.flatnonzero(at >= 0)
    while len(rows):
        split = at[rows]
        goes_left = x[rows, group.feature[split]] < group.threshold[split]
        at[rows] = np.where(goes_left, group.left[split], group.right[split])
        rows = rows[at[rows] >= 0]
    return ~at


def _deviations(x, group, leaf):
    """Distances from the centres of the leaves, 0 if one of its features is not finite."""
    y = np.take_along_axis(x, group.columns[leaf], axis=1).astype(np.float64)
    inside = np.minimum(np.maximum(y, group.low[leaf]), group.high[leaf])
    return np.where(np.isfinite(y).all(axis=1, keepdims=True), inside - group.centre[leaf], 0.0)

$parity
BASE = $base

GROUPS = [$groups]
''')

_SYMMETRIC: Final = """\
# f(x) = (g(x) + parity g(image of x)) / 2 is even or odd to the last bit.
    return 0.5 * (_sum_of_trees(x) + PARITY * _sum_of_trees(x[:, PERMUTATION] * SIGN))"""

_PARITY: Final = Template("""
PERMUTATION = $permutation
SIGN = $sign
PARITY = $parity
""")


def to_numpy(model: Forest | Expression, path: str | os.PathLike[str]) -> None:
    """Write a forest or a formula as a Python module that needs only numpy.

    The module has ``predict(features)``, from (n_events, n_features) to (n_events, n_outputs), or (n_events,) for a
    formula, the constants ``FEATURES``, ``UNITS``, ``OUTPUTS``, and the dictionary ``METADATA`` with the polynomial,
    the training and the checksum of the model. Its numbers are those of ``model.predict`` bit for bit; a formula with
    ``erf``, which numpy lacks, takes it from Python's ``math`` and may differ in the last digits.

    Parameters
    ----------
    model : Forest or Expression
        Trees: constant or linear leaves, any number of outputs and groups, with or without exact parity. A model that
        was trained with ``positive=True`` is written before its projection, and ``METADATA`` says so. Or a formula.
    path : str or path-like
        The module; an older one is replaced only by a complete one.

    Raises
    ------
    InputError
        If the formula is nested too deeply, or the file cannot be written.
    """
    text = _module(model) if isinstance(model, Forest) else numpy_module(model)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _module(forest: Forest) -> str:
    description = describe(forest)
    features, cp = description["features"], forest.cp
    return _MODULE.substitute(
        version=description["version"],
        n_features=forest.n_features,
        n_outputs=forest.n_outputs,
        feature_names=python_source(tuple(feature["name"] for feature in features)),
        feature_units=python_source(tuple(feature["unit"] for feature in features)),
        output_names=python_source(tuple(output_names(forest))),
        metadata=python_source(description),
        result="return _sum_of_trees(x)" if cp is None else _SYMMETRIC,
        parity=""
        if cp is None
        else _PARITY.substitute(permutation=_array(cp.permutation), sign=_array(cp.sign), parity=_array(cp.parity)),
        base=_array(forest.base),
        groups=", ".join(_group(tables_of(group)) for group in groups_with_trees(forest)),
    )


def _group(group: Tables) -> str:
    fields = (f"    {name}={_array(values)},\n" for name, values in group._asdict().items())
    return "Group(\n" + "".join(fields) + ")"


def _array(values: npt.NDArray[Any]) -> str:
    """Source of an array: Python's shortest decimals give every bit back."""
    numbers = wrapped(map(repr, values.ravel().tolist()), " " * 8)
    flat = f"np.array([{numbers}], dtype=np.{values.dtype})"
    return flat if values.ndim == 1 else f"{flat}.reshape{values.shape}"
