"""Boosting: each tree is fitted to what the trees before it left of the weights.

With F the sum of the trees so far, the weights of the next tree are w_k - w_0 F_k (pseudo-residuals,
arXiv:2107.10859, Eq. 33); w_0 never changes. The squared loss that falls is

    sum_i (w_0 F^T Q F - 2 w^T Q F),

which, unlike the sum of w_0 (w_k / w_0 - F_k)^2, exists for events with w_0 = 0.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis
from bit.errors import BitWarning, InputError
from bit.kernels.dtypes import FEATURE
from bit.progress import progress_bar
from bit.trees.binner import Binner
from bit.trees.criterion import Metric
from bit.trees.exact import exact_sum
from bit.trees.forest import TreeGroup
from bit.trees.grower import GrowthRules, Tree, grow_tree
from bit.trees.shards import Shards
from bit.trees.threads import Threads
from bit.trees.walk import IntArray

_PILOT_LEAVES = 64
# A term whose residual is below this fraction of its weights is w_0 times a constant: the base has it exactly.
_FLAT = 1e-12


@dataclass(frozen=True)
class BoostingPlan:
    """Everything that decides about a fit but the events.

    Attributes
    ----------
    n_estimators : int
        Trees.
    learning_rate : float
        Factor on every tree.
    rules : GrowthRules
        When nodes are split; `l2` and `min_gain` in units of the mean |w_0|.
    max_bins : int
        Bins of a feature.
    weigh_bins : bool
        Quantiles by |w_0| instead of events.
    base_points : array or None
        Points of the metric; None scales every term by its spread.
    start_at_mean : bool
        Base sum w_k / sum w_0 instead of 0.
    patience : int or None
        Trees without a lower validation loss after which to stop; None does not stop.
    subsample : float
        Fraction of the events drawn for each tree.
    n_threads : int
        Threads.
    show_progress : bool
        Draw a bar.
    """

    n_estimators: int
    learning_rate: float
    rules: GrowthRules
    max_bins: int
    weigh_bins: bool
    base_points: FloatArray | None
    start_at_mean: bool
    patience: int | None
    subsample: float
    n_threads: int
    show_progress: bool


@dataclass(frozen=True, eq=False)
class BoostingResult:
    """A trained group of trees and how the training went.

    Attributes
    ----------
    group : TreeGroup
        The trees.
    base : ndarray of float64, shape (n_outputs,)
        Prediction before the first tree.
    metric : Metric
        The metric used.
    train_loss : ndarray of float64, shape (n_trees + 1,)
        Loss of the base and after each tree.
    validation_loss : ndarray of float64
        The same on the validation events, scaled to the size of the training sample; empty without.
    constant : ndarray of bool, shape (n_features,)
        Features with one value only.
    interrupted : bool
        Whether Ctrl-C ended the fit.
    """

    group: TreeGroup
    base: FloatArray
    metric: Metric
    train_loss: FloatArray
    validation_loss: FloatArray
    constant: npt.NDArray[np.bool_]
    interrupted: bool


@dataclass(frozen=True, eq=False)
class Sample:
    """Events as training sees them.

    Attributes
    ----------
    features : ndarray of float32 or float64, shape (n, n_features)
        Features.
    weights : ndarray of float64, shape (n, n_terms)
        Weights, the nominal one first.
    """

    features: npt.NDArray[np.floating]
    weights: FloatArray


def boost(
    sample: Sample,
    validation: Sample | None,
    columns: IntArray,
    basis: PolynomialBasis | None,
    plan: BoostingPlan,
    rng: np.random.Generator,
) -> BoostingResult:
    """Train trees on events.

    Parameters
    ----------
    sample : Sample
        Training events, sum w_0 > 0.
    validation : Sample or None
        Events for early stopping.
    columns : ndarray of int64, shape (n_outputs,)
        Columns of the weights to be learned.
    basis : PolynomialBasis or None
        Basis of the weights; needed for base points.
    plan : BoostingPlan
        Settings.
    rng : numpy.random.Generator
        Source of the subsamples.

    Returns
    -------
    BoostingResult
        Trees, base and losses. For ``subsample=1`` they are the same, bit for bit, for any order of the
        events and any number of threads.

    Raises
    ------
    InputError
        If all features are constant.
    """
    with Threads(plan.n_threads) as threads:
        event_weights = np.abs(sample.weights[:, 0]) if plan.weigh_bins else None
        binner = Binner.fit(sample.features, plan.max_bins, event_weights, threads.map)
        if not binner.n_edges.any():
            raise InputError("every feature has one value only, so no split exists; give features that vary.")
        booster = _Booster(sample, columns, plan, binner, threads)
        booster.choose_metric(basis)
        if validation is not None:
            booster.watch(validation)
        interrupted = booster.run(rng)
        return booster.result(interrupted)


class _Booster:
    def __init__(self, sample: Sample, columns: IntArray, plan: BoostingPlan, binner: Binner, threads: Threads) -> None:
        self.columns, self.plan, self.binner, self.threads = columns, plan, binner, threads
        weights = sample.weights
        self.shards = Shards(_encode(binner, sample.features, threads), weights, columns, threads)
        nominal = exact_sum(weights[:, 0])
        self.sums = np.array([exact_sum(weights[:, k]) for k in columns])
        self.base = self.sums / nominal if plan.start_at_mean else np.zeros(len(columns))
        unit = exact_sum(np.abs(weights[:, 0])) / len(weights)
        self.rules = replace(plan.rules, l2=plan.rules.l2 * unit, min_gain=plan.rules.min_gain * unit)
        self.nominal = nominal
        self.n_edges = binner.n_edges
        self.watched: Shards | None = None
        self.trees: list[_FinishedTree] = []

    def choose_metric(self, basis: PolynomialBasis | None) -> None:
        """Fix the metric and rotate the residuals."""
        n_outputs = len(self.columns)
        largest_weight = self.shards.largest_weights
        self.shards.start(self.base, np.eye(n_outputs))
        live = self.shards.largest > _FLAT * largest_weight
        if self.plan.base_points is not None and basis is not None:
            self.metric = Metric.from_base_points(basis, self.columns, self.plan.base_points)
        elif n_outputs == 1:
            self.metric = Metric.from_spread(live.astype(np.float64))
        else:
            self.metric = Metric.from_spread(self._pilot_spread(live))
        self.shards.start(self.base, self.metric.rotation)
        self.train_loss = [self.loss_of_base(self.nominal, self.sums)]
        self.validation_loss: list[float] = []

    def _pilot_spread(self, live: npt.NDArray[np.bool_]) -> FloatArray:
        """s_a with s_a^2 = sum over the leaves of one pilot tree of S_a^2 / S_0, per unit of nominal weight."""
        # The pilot itself needs a scale: the mean absolute residual, which exists for any sign of w_0.
        scale = self.shards.mean_of_residuals(np.abs)
        rough = Metric.from_spread(np.where(live, scale, 0.0))
        self.shards.start(self.base, rough.rotation)
        rules = replace(self.rules, max_depth=None, max_leaf_nodes=_PILOT_LEAVES, min_gain=0.0, l2=0.0)
        tree = grow_tree(self.shards, self.n_edges, rules)
        leaves = [sums for sums, feature in zip(tree.sums, tree.feature, strict=True) if feature < 0 and sums[0] > 0]
        information = np.zeros(len(scale))
        for sums in leaves:
            information += tree.quanta.outputs(sums) ** 2 / tree.quanta.nominal(sums)
        # Of a term without any dependence on x, fluctuations leave so much: sum u^2 / S_0 per leaf. A smaller
        # spread means that the pilot missed the term, as an odd one that cancels between events and their
        # CP images wherever no odd feature is split; such a term would be dropped, or drown all others.
        noise = len(leaves) * self.shards.mean_of_residuals(np.square) * self.shards.n_events / self.nominal
        return np.sqrt(np.maximum(information, noise) / self.nominal) @ rough.inverse

    def watch(self, validation: Sample) -> None:
        """Follow the loss of events that are not trained on."""
        weights = validation.weights
        self.watched = Shards(
            _encode(self.binner, validation.features, self.threads), weights, self.columns, self.threads
        )
        self.watched.start(self.base, self.metric.rotation)
        self.watched_scale = self.shards.n_events / self.watched.n_events
        sums = np.array([exact_sum(weights[:, k]) for k in self.columns])
        self.validation_loss = [self.loss_of_base(exact_sum(weights[:, 0]), sums) * self.watched_scale]

    def loss_of_base(self, nominal: float, sums: FloatArray) -> float:
        """S_0 b^T Q b - 2 S^T Q b of a sample with these sums."""
        rotated = self.base @ self.metric.rotation
        return float(nominal * rotated @ rotated - 2 * (sums @ self.metric.rotation) @ rotated)

    def run(self, rng: np.random.Generator) -> bool:
        """Add trees; return whether Ctrl-C ended it."""
        with progress_bar(self.plan.n_estimators, "Boosting", "trees", show=self.plan.show_progress) as bar:
            try:
                for _ in range(self.plan.n_estimators):
                    self.add_tree(rng)
                    bar.set_postfix_str(f"loss {self.train_loss[-1]:.6g}", refresh=False)
                    bar.update(1)
                    if self.should_stop():
                        break
            except KeyboardInterrupt:
                if not self.trees:
                    raise
                warnings.warn(
                    f"interrupted after {len(self.trees)} of {self.plan.n_estimators} trees; "
                    "the model holds the trees grown so far.",
                    BitWarning,
                    stacklevel=4,
                )
                return True
        return False

    def should_stop(self) -> bool:
        if self.plan.patience is None or not self.validation_loss:
            return False
        return len(self.validation_loss) - 1 - int(np.argmin(self.validation_loss)) >= self.plan.patience

    def add_tree(self, rng: np.random.Generator) -> None:
        chosen = None
        if self.plan.subsample < 1.0:
            chosen = rng.random(self.shards.n_events) < self.plan.subsample
        tree = grow_tree(self.shards, self.n_edges, self.rules, chosen)
        value = self.plan.learning_rate * tree.leaf_values(self.rules.l2)
        walk = tree.walk()
        sums = self.shards.update(walk, value)
        change = _loss_change(sums, value)
        validation_change = None
        if self.watched is not None:
            validation_change = _loss_change(self.watched.update(walk, value), value) * self.watched_scale
        # The tree comes last: an interrupt before it leaves a loss too many, which is cut off at the end.
        self.train_loss.append(self.train_loss[-1] + change)
        if validation_change is not None:
            self.validation_loss.append(self.validation_loss[-1] + validation_change)
        self.trees.append(_FinishedTree(tree, value @ self.metric.inverse, _with_inner_nodes(tree, sums)))

    def result(self, interrupted: bool) -> BoostingResult:
        n_trees = len(self.trees)
        if self.plan.patience is not None and self.validation_loss:
            n_trees = int(np.argmin(self.validation_loss[: n_trees + 1]))
        return BoostingResult(
            group=_group(self.trees, len(self.columns), self.binner).first(n_trees),
            base=self.base,
            metric=self.metric,
            train_loss=np.array(self.train_loss[: len(self.trees) + 1]),
            validation_loss=np.array(self.validation_loss[: len(self.trees) + 1]),
            constant=self.n_edges == 0,
            interrupted=interrupted,
        )


@dataclass(frozen=True, eq=False)
class _FinishedTree:
    tree: Tree
    value: FloatArray
    sums: FloatArray


def _encode(binner: Binner, features: npt.NDArray[np.floating], threads: Threads) -> npt.NDArray[np.uint8]:
    parts = threads.map(lambda bounds: binner.encode(features[bounds[0] : bounds[1]]), threads.ranges(len(features)))
    return np.concatenate(parts)


def _loss_change(sums: FloatArray, value: FloatArray) -> float:
    """Sum over leaves of S_0 v^2 - 2 U v, with U the sums of the residuals."""
    n_outputs = value.shape[1]
    return float((sums[:, 2] * (value**2).sum(axis=1) - 2 * (sums[:, 3 + n_outputs :] * value).sum(axis=1)).sum())


def _with_inner_nodes(tree: Tree, sums: FloatArray) -> FloatArray:
    """Fill the sums of inner nodes from their children."""
    for node in reversed(range(len(sums))):
        if tree.feature[node] >= 0:
            sums[node] = sums[tree.left[node]] + sums[tree.right[node]]
    return sums


def _group(trees: Sequence[_FinishedTree], n_outputs: int, binner: Binner) -> TreeGroup:
    offset = np.concatenate([[0], np.cumsum([len(finished.sums) for finished in trees])]).astype(np.int64)
    features = [np.array(finished.tree.feature, dtype=np.int32) for finished in trees]
    thresholds, lefts, rights = [], [], []
    for finished, first in zip(trees, offset[:-1], strict=True):
        tree = finished.tree
        thresholds += [
            binner.edges[f][b] if f >= 0 else FEATURE(0) for f, b in zip(tree.feature, tree.bins, strict=True)
        ]
        lefts += [first + child if child >= 0 else -1 for child in tree.left]
        rights += [first + child if child >= 0 else -1 for child in tree.right]
    sums = np.concatenate([finished.sums for finished in trees]) if trees else np.empty((0, 3 + 2 * n_outputs))
    return TreeGroup(
        outputs=np.arange(n_outputs),
        feature=np.concatenate(features) if trees else np.empty(0, dtype=np.int32),
        threshold=np.array(thresholds, dtype=FEATURE),
        left=np.array(lefts, dtype=np.int32),
        right=np.array(rights, dtype=np.int32),
        value=np.concatenate([finished.value for finished in trees]) if trees else np.empty((0, n_outputs)),
        tree_offset=offset,
        count=np.rint(sums[:, 0]).astype(np.int64),
        sum_w=np.ascontiguousarray(sums[:, 2 : 3 + n_outputs]),
        sum_w0_squared=np.ascontiguousarray(sums[:, 1]),
        gain=np.array([gain for finished in trees for gain in finished.tree.gain]),
    )


def auto_learning_rate(n_estimators: int) -> float:
    """Learning rate 1 - 0.02^(1/n): after n trees 2 % of a perfectly fitted target are left.

    Parameters
    ----------
    n_estimators : int
        Number of trees.

    Returns
    -------
    float
        Between 0 and 1.
    """
    return 1.0 - math.pow(0.02, 1.0 / n_estimators)
