"""scikit-learn's HistGradientBoostingRegressor as a forest."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.errors import InputError
from bit.export._imported import ImportedTree, forest_of_trees
from bit.trees.forest import Forest

_IDENTITY_LINKS: Final = ("squared_error", "absolute_error", "quantile")


def from_hist_gradient_boosting(model: Any, *, missing_values: bool = True) -> Forest:
    """Return the trees of a fitted HistGradientBoostingRegressor as a forest.

    scikit-learn compares x <= v in double precision, a forest float32(x) < t: with t the float32 number after the
    largest one that is not above v both agree for every x that is a float32 number. The sum is scikit-learn's, base
    first, then tree by tree, bit for bit. Where a split only parts missing values from all others (v infinite), +inf
    and 3.4028235e38, the largest float32 number, count as missing.

    Parameters
    ----------
    model : HistGradientBoostingRegressor
        Fitted; loss squared_error, absolute_error or quantile, features without categories.
    missing_values : bool, default=True
        Whether events may hold NaN. A forest sends it to the right; where the model sends it to the left, as at about
        half of the splits if there was no NaN in the training, a further split, x < 3.4028235e38, parts it from
        numbers. These trees are larger, and +inf counts as missing there. False leaves the trees as they are, for
        events without NaN.

    Returns
    -------
    Forest
        One output, ``"y0"``; ``gain`` and counts are scikit-learn's, sums of weights are 0. No polynomial belongs to
        it.

    Raises
    ------
    InputError
        If it is not such a model.

    Notes
    -----
    scikit-learn has no public access to the trees of this model; it is read as versions 1.6 to 1.9 keep it.
    """
    predictors = getattr(model, "_predictors", None)
    if predictors is None or type(model).__name__ != "HistGradientBoostingRegressor":
        raise InputError(f"a {type(model).__name__} was given: a fitted HistGradientBoostingRegressor is needed.")
    if model.loss not in _IDENTITY_LINKS:
        raise InputError(f"loss={model.loss!r} predicts exp(sum of trees): {', '.join(_IDENTITY_LINKS)} can be read.")
    trees = [_tree(predictor.nodes) for (predictor,) in predictors]
    names = getattr(model, "feature_names_in_", [f"x{i}" for i in range(model.n_features_in_)])
    return forest_of_trees(
        trees,
        base=float(np.ravel(model._baseline_prediction)[0]),
        feature_names=tuple(str(name) for name in names),
        output="y0",
        missing_values=missing_values,
        estimator=type(model).__name__,
    )


def _tree(nodes: Any) -> ImportedTree:
    inner = nodes["is_leaf"] == 0
    if nodes["is_categorical"][inner].any():
        raise InputError("the model splits by categories: a forest compares numbers; train with categories as numbers.")
    return ImportedTree(
        feature=np.where(inner, nodes["feature_idx"], -1),
        threshold=_strict(nodes["num_threshold"]),
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        nan_left=nodes["missing_go_to_left"].astype(np.bool_),
        value=nodes["value"].astype(np.float64),
        gain=nodes["gain"].astype(np.float64),
        n_events=nodes["count"].astype(np.int64),
        sum_w0=np.zeros(len(nodes)),
    )


def _strict(bound: FloatArray) -> npt.NDArray[np.float32]:
    """Thresholds t such that x < t if and only if x <= bound, for x in float32."""
    infinity = np.float32(np.inf)
    with np.errstate(over="ignore"):
        rounded = bound.astype(np.float32)
    below = np.where(rounded > bound, np.nextafter(rounded, -infinity), rounded)
    return np.minimum(np.nextafter(below, infinity), np.finfo(np.float32).max)
