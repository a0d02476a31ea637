"""Classifiers made of gradient-boosted trees, with weights of either sign: the only user of xgboost.

An event i carries one weight W_ik for each class k, so that it may belong to several classes, and the loss is the
cross-entropy - sum_ik W_ik log P_k(x_i). Its minimum is P_k(x) = E[W_k | x] / sum_j E[W_j | x], for weights of any sign
as long as the averages are not negative. XGBoost refuses negative weights of its own; it is given the derivatives of
this loss instead, whose sums over the events of a leaf are all that it uses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit, log_softmax, softmax

from bit.basis import FloatArray
from bit.errors import InputError, near_match
from bit.optional import require
from bit.progress import progress_bar

OPTIONS = (
    "colsample_bylevel",
    "colsample_bynode",
    "colsample_bytree",
    "gamma",
    "grow_policy",
    "interaction_constraints",
    "max_bin",
    "max_delta_step",
    "max_leaves",
    "min_child_weight",
    "monotone_constraints",
    "multi_strategy",
    "reg_alpha",
    "reg_lambda",
    "sampling_method",
    "subsample",
    "tree_method",
)
"""Parameters of XGBoost that are handed through."""

_LARGEST = np.float32(1e38)
"""XGBoost refuses infinite features: they become this number, which keeps their order."""

Derivatives = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Examples:
    """Events of a classification.

    Parameters
    ----------
    features : ndarray of float32, shape (n_events, n_features)
        NaN means "not measured".
    weights : ndarray of float64, shape (n_events, n_classes)
        Weight of every event in every class, of either sign.
    """

    features: npt.NDArray[np.float32]
    weights: FloatArray

    def take(self, rows: npt.NDArray[Any]) -> Examples:
        """Some of the events."""
        return Examples(self.features[rows], self.weights[rows])

    def split(self, fraction: float, rng: np.random.Generator) -> tuple[Examples, Examples]:
        """Two disjoint parts, the second one with this fraction of the events."""
        n_events = len(self.weights)
        n_second = round(fraction * n_events)
        if not 0 < n_second < n_events:
            raise InputError(
                f"validation_fraction={fraction} of {n_events} events leaves one part empty: use more events."
            )
        order = rng.permutation(n_events)
        return self.take(np.sort(order[n_second:])), self.take(np.sort(order[:n_second]))


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained classifier.

    Parameters
    ----------
    booster : xgboost.Booster
        The trees.
    n_classes : int
        2, of which the second has the margin log P_1/P_0, or more, with a margin each.
    """

    booster: Any
    n_classes: int

    def margins(self, features: npt.NDArray[np.float32], n_threads: int) -> npt.NDArray[np.float32]:
        """Sums of the trees, shape (n_events,) for two classes and (n_events, n_classes) for more."""
        margins: npt.NDArray[np.float32] = self.booster.predict(_matrix(features, n_threads), output_margin=True)
        return margins

    def probabilities(self, features: npt.NDArray[np.float32], n_threads: int) -> FloatArray:
        """Probabilities of the classes, shape (n_events, n_classes)."""
        margins = self.margins(features, n_threads).astype(np.float64)
        if self.n_classes == 2:
            return np.stack([expit(-margins), expit(margins)], axis=-1)
        result: FloatArray = softmax(margins, axis=-1)
        return result

    def as_document(self) -> dict[str, Any]:
        """XGBoost's own JSON model."""
        document: dict[str, Any] = json.loads(bytes(self.booster.save_raw("json")))
        return document

    @classmethod
    def from_document(
        cls, document: Mapping[str, Any], n_classes: int, n_features: int, description: str
    ) -> Classifier:
        """Build the classifier of `as_document`; ValueError if it is not of so many classes and features."""
        xgboost = require("xgboost", for_=description)
        booster = xgboost.Booster()
        booster.load_model(bytearray(json.dumps(document).encode()))
        wrong = booster.num_features() != n_features
        margins = booster.predict(_matrix(np.zeros((1, booster.num_features())), 1), output_margin=True)
        if wrong or margins.shape != ((1,) if n_classes == 2 else (1, n_classes)):
            raise ValueError(f"the trees are not those of {n_classes} classes and {n_features} features")
        return cls(booster, n_classes)


def train(
    examples: Examples,
    validation: Examples | None,
    *,
    n_estimators: int,
    n_iter_no_change: int,
    parameters: Mapping[str, Any],
    seed: int,
    n_threads: int,
    description: str,
    show_progress: bool,
) -> tuple[Classifier, FloatArray]:
    """Boost trees; with validation events, until their loss has not improved for so many rounds.

    Returns
    -------
    Classifier
        Up to the round of the smallest loss of the validation events, if there are any.
    ndarray of float64
        That loss after each round, per unit of weight; empty without validation events.
    """
    xgboost = require("xgboost", for_=description)
    n_classes = examples.weights.shape[1]
    settings = {
        "tree_method": "hist",
        **parameters,
        "objective": "binary:logistic" if n_classes == 2 else "multi:softprob",
        "base_score": 0.5,
        "disable_default_eval_metric": 1,
        "seed": seed,
        "nthread": n_threads,
        "verbosity": 1,
    }
    if n_classes > 2:
        settings["num_class"] = n_classes
    weights = np.asarray(examples.weights / np.abs(examples.weights).sum(axis=1).mean(), dtype=np.float32)
    found: dict[str, dict[str, list[float]]] = {}
    watched = [] if validation is None else [(_matrix(validation.features, n_threads), "validation")]
    with progress_bar(n_estimators, description, "trees", show=show_progress) as bar:

        def objective(margins: npt.NDArray[np.float32], _: Any) -> Derivatives:
            bar.update(1)
            return derivatives(margins, weights)

        def measure(margins: npt.NDArray[np.float32], _: Any) -> tuple[str, float]:
            assert validation is not None  # asked for only if there is something to watch
            return "loss", cross_entropy(margins, validation.weights)

        booster = xgboost.train(
            settings,
            _matrix(examples.features, n_threads),
            n_estimators,
            evals=watched,
            obj=objective,
            custom_metric=measure if watched else None,
            early_stopping_rounds=n_iter_no_change if watched else None,
            evals_result=found,
            verbose_eval=False,
        )
    if not watched:
        return Classifier(booster, n_classes), np.zeros(0)
    return Classifier(booster[: booster.best_iteration + 1], n_classes), np.array(found["validation"]["loss"])


def derivatives(margins: npt.NDArray[np.float32], weights: npt.NDArray[np.float32]) -> Derivatives:
    """First and second derivatives of the cross-entropy by the margins, of their shape.

    For more than two classes the second derivatives are doubled, as XGBoost does: its step takes the classes one by
    one, which would otherwise be too long.
    """
    total = weights.sum(axis=1)
    if weights.shape[1] == 2:
        chance = expit(margins)
        return total * chance - weights[:, 1], total * chance * (1.0 - chance)
    chance = softmax(margins, axis=1)
    total = total[:, np.newaxis]
    return total * chance - weights, 2.0 * total * chance * (1.0 - chance)


def cross_entropy(margins: npt.NDArray[np.floating], weights: FloatArray) -> float:
    """- sum_ik W_ik log P_k(x_i) / sum_ik W_ik."""
    wide = margins.astype(np.float64)
    logarithms = np.stack([log_expit(-wide), log_expit(wide)], axis=-1) if wide.ndim == 1 else log_softmax(wide, axis=1)
    return float(-(weights * logarithms).sum() / weights.sum())


def check_options(options: Mapping[str, Any], others: tuple[str, ...]) -> None:
    """Refuse keyword arguments that are neither ours nor parameters of XGBoost."""
    for name in options:
        if name not in OPTIONS:
            raise InputError(f"no parameter {name!r}: {near_match(name, (*others, *OPTIONS))}")


def _matrix(features: npt.NDArray[Any], n_threads: int) -> Any:
    xgboost = require("xgboost", for_="a baseline of boosted trees")
    finite = np.clip(np.asarray(features, dtype=np.float32), -_LARGEST, _LARGEST)
    return xgboost.DMatrix(finite, nthread=n_threads)
