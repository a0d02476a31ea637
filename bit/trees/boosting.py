"""Boosting: each tree is fitted to what the trees before it left of the weights.

With F the sum of the trees so far, the weights of the next tree are w_k - w_0 F_k (pseudo-residuals,
arXiv:2107.10859, Eq. 33); w_0 never changes. The squared loss that falls is

    sum_i (w_0 F^T Q F - 2 w^T Q F),

which, unlike the sum of w_0 (w_k / w_0 - F_k)^2, exists for events with w_0 = 0.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis
from bit.errors import BitWarning, InputError
from bit.kernels.dtypes import FEATURE
from bit.parity import CPParity
from bit.progress import progress_bar
from bit.threads import Threads
from bit.trees.binner import Binner
from bit.trees.checkpoint import Checkpoint, FinishedTree, TrainingState
from bit.trees.criterion import Metric
from bit.trees.forest import LinearLeaves, TreeGroup
from bit.trees.grower import GrowthRules, Tree, grow_tree
from bit.trees.linear import CONSTANT, LinearFit, LinearWalk, features_of_leaves, fit_slopes
from bit.trees.mirror import Mirror
from bit.trees.sample import Sample
from bit.trees.shards import Shards
from bit.trees.walk import IntArray, Walk

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
    bin_weights : str
        What the quantiles of the bins count.
    base_points : ndarray of float64, shape (n_points, n_params), or None
        Points of the metric; None scales every term by its spread.
    positive : bool
        Whether the weights in every leaf must have a polynomial that is nowhere negative.
    parity : CPParity or None
        Exact symmetry of the prediction.
    start_at_mean : bool
        Base sum w_k / sum w_0 instead of 0.
    patience : int or None
        Trees without a lower validation loss after which to stop; None does not stop.
    subsample : float
        Fraction of the events drawn for each tree.
    max_features : float
        Fraction of the features drawn for each tree.
    leaf : str
        Whether leaves are "constant" or "linear".
    ridge : float or None
        Shrinkage of the slopes of linear leaves; None chooses it in every tree.
    sketch : int or None
        Number of random combinations of the residuals in which splits are searched; None for all residuals.
    seed : int
        Of these combinations.
    show_progress : bool
        Draw a bar.
    """

    n_estimators: int
    learning_rate: float
    rules: GrowthRules
    max_bins: int
    bin_weights: str
    base_points: FloatArray | None
    positive: bool
    parity: CPParity | None
    start_at_mean: bool
    patience: int | None
    subsample: float
    max_features: float
    leaf: str
    ridge: float | None
    sketch: int | None
    seed: int
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
    train_loss : ndarray of float64, shape (n_trees + 1,)
        Loss of the base and after each tree.
    validation_loss : ndarray of float64, shape (n_trees + 1,)
        The same on the validation events, scaled to the size of the training sample; empty without.
    interrupted : bool
        Whether Ctrl-C ended the fit.
    """

    group: TreeGroup
    base: FloatArray
    train_loss: FloatArray
    validation_loss: FloatArray
    interrupted: bool


@dataclass(frozen=True, eq=False)
class BinnedEvents:
    """What is needed of the events for any number of trainings.

    Attributes
    ----------
    binner : Binner
        Thresholds.
    train : Sample
        Training events.
    validation : Sample or None
        Events for early stopping.
    mirror : Mirror or None
        How CP acts, with the signs of all terms of the basis.
    """

    binner: Binner
    train: Sample
    validation: Sample | None
    mirror: Mirror | None


def bin_events(
    train: Sample, validation: Sample | None, columns: IntArray, plan: BoostingPlan, threads: Threads
) -> BinnedEvents:
    """Choose thresholds, once for all trainings on these events.

    Parameters
    ----------
    train : Sample
        Training events, sum w_0 > 0.
    validation : Sample or None
        Events for early stopping.
    columns : ndarray of int64, shape (n_columns,)
        Columns of the weights to be learned.
    plan : BoostingPlan
        Settings.
    threads : Threads
        Who does the work.

    Returns
    -------
    BinnedEvents
        Events and thresholds.

    Raises
    ------
    InputError
        If all features are constant, or a feature of the parity is unknown.
    """
    mirror = None
    if plan.parity is not None:
        mirror = Mirror.of(plan.parity, train.feature_names, train.basis.terms)
    binner = train.binner(columns, plan.max_bins, plan.bin_weights, threads, mirror)
    if not binner.n_edges.any():
        raise InputError("every feature has one value only, so no split exists; give features that vary.")
    return BinnedEvents(binner, train, validation, mirror)


def boost(
    events: BinnedEvents,
    columns: IntArray,
    plan: BoostingPlan,
    rng: np.random.Generator,
    threads: Threads,
    *,
    label: str = "Boosting",
    checkpoint: Checkpoint | None = None,
    group: int = 0,
) -> BoostingResult:
    """Train trees that share their splits over some terms.

    Parameters
    ----------
    events : BinnedEvents
        Events.
    columns : ndarray of int64, shape (n_outputs,)
        Columns of the weights to be learned.
    plan : BoostingPlan
        Settings.
    rng : numpy.random.Generator
        Source of the subsamples.
    threads : Threads
        Who does the work.
    label : str, default="Boosting"
        Text of the progress bar.
    checkpoint : Checkpoint, optional
        Where the training continues from and is written to.
    group : int, default=0
        Number of this training in the checkpoint.

    Returns
    -------
    BoostingResult
        Trees, base and losses. For ``subsample=1`` they are the same, bit for bit, for any order of the
        events and any number of threads.

    Raises
    ------
    InputError
        If the checkpoint was written for other events, or has more trees than the plan.
    """
    booster = _Booster(events, columns, plan, threads)
    booster.choose_metric()
    if events.validation is not None:
        booster.watch(events.validation)
    if checkpoint is not None:
        booster.follow(checkpoint, group, rng)
    interrupted = booster.run(rng, label)
    return booster.result(interrupted)


class _Booster:
    def __init__(self, events: BinnedEvents, columns: IntArray, plan: BoostingPlan, threads: Threads) -> None:
        self.events, self.columns, self.plan, self.threads = events, columns, plan, threads
        train = events.train
        form = _form(train.basis) if plan.positive else np.empty((0, 0), dtype=np.int64)
        if form.size and train.is_positive(form):
            form = form[:0, :0]  # sums of positive polynomials are positive
        # To be refused where their sums are not positive, the weights are summed beside the residuals.
        self.n_outputs, self.watched_columns = len(columns), columns if form.size else columns[:0]
        sketched = plan.sketch is not None and plan.sketch < len(columns) and not form.size
        self.n_directions = plan.sketch if sketched and plan.sketch is not None else 0
        nominal, *sums = train.sums(np.append(0, columns)).tolist()
        self.sums = np.array(sums)
        self.sums[~self.is_even] = 0.0
        self.base = self.sums / nominal if plan.start_at_mean else np.zeros(len(columns))
        unit = train.size() / train.n_events
        self.shards = self.shards_of(train, self.n_directions)  # last, so that little else is held beside them
        self.rules = replace(
            plan.rules,
            l2=plan.rules.l2 * unit,
            min_gain=plan.rules.min_gain * unit,
            form=np.where(form >= 0, form + self.n_outputs, form),
        )
        self.nominal = nominal
        self.n_edges = events.binner.n_edges
        self.watched: Shards | None = None
        self.trees: list[FinishedTree] = []
        self.checkpoint: Checkpoint | None = None

    def shards_of(self, sample: Sample, n_directions: int) -> Shards:
        columns = np.concatenate([self.columns, self.watched_columns])
        mirror = self.events.mirror
        mirror = None if mirror is None else mirror.of_outputs(columns)
        linear = self.plan.leaf == "linear"
        return sample.shards(self.events.binner, columns, self.threads, mirror, n_directions, with_features=linear)

    @property
    def is_even(self) -> npt.NDArray[np.bool_]:
        """Which outputs have a mean: all but those that are odd under an exact parity."""
        mirror = self.events.mirror
        if mirror is None:
            return np.ones(len(self.columns), dtype=bool)
        even: npt.NDArray[np.bool_] = mirror.signs[self.columns] > 0
        return even

    def start(self, shards: Shards, metric: Metric) -> None:
        """Set the residuals; the watched weights are left as they are."""
        n = len(shards.columns)
        rotation = np.eye(n)
        rotation[: self.n_outputs, : self.n_outputs] = metric.rotation
        shards.start(np.append(self.base, np.zeros(n - self.n_outputs)), rotation)

    def choose_metric(self) -> None:
        """Fix the metric and rotate the residuals."""
        self.start(self.shards, Metric.unit(self.n_outputs))
        live = self.shards.largest[: self.n_outputs] > _FLAT * self.shards.largest_weights[: self.n_outputs]
        if self.plan.base_points is not None:
            blocks = None if self.events.mirror is None else self.is_even
            self.metric = Metric.from_base_points(self.events.train.basis, self.columns, self.plan.base_points, blocks)
        elif self.n_outputs == 1:
            self.metric = Metric.from_spread(live.astype(np.float64))
        else:
            self.metric = Metric.from_spread(self._pilot_spread(live))
        self.start(self.shards, self.metric)
        self.train_loss = [self.loss_of_base(self.nominal, self.sums)]
        self.validation_loss: list[float] = []

    def _pilot_spread(self, live: npt.NDArray[np.bool_]) -> FloatArray:
        """s_a with s_a^2 = sum over the leaves of one pilot tree of S_a^2 / S_0, per unit of nominal weight."""
        # The pilot itself needs a scale: the mean absolute residual, which exists for any sign of w_0.
        n, shards = self.n_outputs, self.shards
        scale = shards.mean_of_residuals(np.abs)[:n]
        rough = Metric.from_spread(np.where(live, scale, 0.0))
        self.start(shards, rough)
        rules = replace(self.rules, max_depth=None, max_leaf_nodes=_PILOT_LEAVES, min_gain=0.0, l2=0.0)
        tree = self._grow(rules, self.n_edges)
        leaves = shards.sum_residuals(tree.walk())
        leaves = leaves[leaves[:, 2] > 0]
        information = (leaves[:, 3 : 3 + n] ** 2 / leaves[:, 2:3]).sum(axis=0)
        nominal = leaves[:, 2].sum()
        # Of a term without any dependence on x, fluctuations leave so much: sum u^2 / S_0 per leaf. A smaller
        # spread means that the pilot missed the term, as an odd one that cancels between events and their
        # CP images wherever no odd feature is split; such a term would be dropped, or drown all others.
        noise = len(leaves) * shards.mean_of_residuals(np.square)[:n] * shards.n_rows / nominal
        spread: FloatArray = np.sqrt(np.maximum(information, noise) / nominal) @ rough.inverse
        return spread

    def watch(self, validation: Sample) -> None:
        """Follow the loss of events that are not trained on."""
        self.watched = self.shards_of(validation, 0)
        self.start(self.watched, self.metric)
        self.watched_scale = self.shards.n_events / self.watched.n_events
        nominal, *others = validation.sums(np.append(0, self.columns)).tolist()
        sums = np.array(others)
        sums[~self.is_even] = 0.0
        self.validation_loss = [self.loss_of_base(nominal, sums) * self.watched_scale]

    def loss_of_base(self, nominal: float, sums: FloatArray) -> float:
        """S_0 b^T Q b - 2 S^T Q b of a sample with these sums."""
        rotated = self.base @ self.metric.rotation
        return float(nominal * rotated @ rotated - 2 * (sums @ self.metric.rotation) @ rotated)

    def follow(self, checkpoint: Checkpoint, group: int, rng: np.random.Generator) -> None:
        """Continue the training of a checkpoint, and write further ones."""
        self.checkpoint, self.checkpoint_group = checkpoint, group
        self.beginning = {
            "base": self.base.tolist(),
            "metric": self.metric.rotation.tolist(),
            "binning": hashlib.sha256(self.events.binner.table.tobytes()).hexdigest(),
            "loss": self.train_loss + self.validation_loss,
        }
        state = checkpoint.state(group)
        if state is None:
            return
        for name, value in self.beginning.items():
            if state.start[name] != value:
                raise InputError(
                    f"resume={checkpoint.source!r}: this checkpoint began with another {name}: the events differ, or "
                    "the part of them that is kept for early stopping; give the same events and random_state, or "
                    "train anew."
                )
        if len(state.trees) > self.plan.n_estimators:
            raise InputError(
                f"resume={checkpoint.source!r} holds {len(state.trees)} trees, more than n_estimators="
                f"{self.plan.n_estimators}; ask for at least as many."
            )
        for tree in state.trees:
            for shards in (self.shards, self.watched):
                if shards is not None:
                    shards.update_with_loss(tree.walk, self._padded(tree.value), self._padded_slopes(tree.linear))
        self.trees = list(state.trees)
        self.train_loss, self.validation_loss = list(state.train_loss), list(state.validation_loss)
        rng.bit_generator.state = dict(state.random)

    def save(self) -> None:
        """Write a checkpoint of the trees so far."""
        if self.checkpoint is not None:
            n = len(self.trees) + 1
            losses = self.train_loss[:n], self.validation_loss[:n]
            state = TrainingState(self.beginning, list(self.trees), *losses, self.random)
            self.checkpoint.save(self.checkpoint_group, state)

    def run(self, rng: np.random.Generator, label: str) -> bool:
        """Add trees; return whether Ctrl-C ended it."""
        every = self.plan.n_estimators if self.checkpoint is None else self.checkpoint.every
        self.random = rng.bit_generator.state
        with progress_bar(self.plan.n_estimators, label, "trees", show=self.plan.show_progress) as bar:
            try:
                bar.update(len(self.trees))
                while len(self.trees) < self.plan.n_estimators and not self.should_stop():
                    self.add_tree(rng)
                    self.random = rng.bit_generator.state
                    if len(self.trees) % every == 0:
                        self.save()
                    bar.set_postfix_str(f"loss {self.train_loss[-1]:.6g}", refresh=False)
                    bar.update(1)
            except KeyboardInterrupt:
                if not self.trees:
                    raise
                self.save()
                warnings.warn(
                    f"interrupted after {len(self.trees)} of {self.plan.n_estimators} trees; "
                    "the model holds the trees grown so far.",
                    BitWarning,
                    stacklevel=4,
                )
                return True
        self.save()
        return False

    def should_stop(self) -> bool:
        if self.plan.patience is None or not self.validation_loss:
            return False
        return len(self.validation_loss) - 1 - int(np.argmin(self.validation_loss)) >= self.plan.patience

    def add_tree(self, rng: np.random.Generator) -> None:
        chosen: npt.NDArray[np.bool_] | None = None
        n_edges = self.n_edges
        if self.plan.subsample < 1.0:
            chosen = np.less(rng.random(self.shards.n_events), self.plan.subsample)
        if self.plan.max_features < 1.0:
            n_edges = _of_some_features(n_edges, self.plan.max_features, rng)
        tree = self._grow(self.rules, n_edges, chosen)
        walk = tree.walk()
        if self.n_directions:
            residuals = self.shards.sum_residuals(walk)[:, 2:]
            _fill_inner_nodes(tree, residuals)
            tree.gain = _gains(tree, residuals, self.rules.l2)
        else:
            residuals = tree.node_sums()
        value = _leaf_values(tree, residuals, self.rules.l2) * self.plan.learning_rate
        padded = self._padded(value)
        fit, slope_change = self._fit_slopes(tree, walk)
        linear = self._padded_slopes(fit.walk)
        if chosen is None and self.events.mirror is None:
            # Over the leaves: S_0 v^2 - 2 U v.
            change = float((residuals[:, :1] * value**2 - 2 * residuals[:, 1:] * value).sum())
            change += slope_change
            self.shards.update(walk, padded, linear, for_root=True)
        else:
            change = self.shards.update_with_loss(walk, padded, linear)
        validation_change = None
        if self.watched is not None:
            validation_change = self.watched.update_with_loss(walk, padded, linear) * self.watched_scale
        # The tree comes last: an interrupt before it leaves a loss too many, which is cut off at the end.
        self.train_loss.append(self.train_loss[-1] + change)
        if validation_change is not None:
            self.validation_loss.append(self.validation_loss[-1] + validation_change)
        feature, bins, left, right = (np.array(column) for column in (tree.feature, tree.bins, tree.left, tree.right))
        self.trees.append(
            FinishedTree(feature, bins, left, right, tree.depth, np.array(tree.gain), value, fit.walk, fit.gains)
        )

    def _padded(self, value: FloatArray) -> FloatArray:
        """Leaf values of all that is summed: the watched weights are left as they are."""
        padded = np.zeros((len(value), len(self.shards.columns)))
        padded[:, : self.n_outputs] = value
        return padded

    def _padded_slopes(self, linear: LinearWalk) -> LinearWalk:
        """Linear parts of all that is summed."""
        if not len(linear.slope):
            return linear
        slope = np.zeros((len(linear.slope), len(self.shards.columns), linear.slope.shape[2]))
        slope[:, : self.n_outputs] = linear.slope
        return linear._replace(slope=slope)

    def _fit_slopes(self, tree: Tree, walk: Walk) -> tuple[LinearFit, float]:
        """Linear parts of the leaves, learning rate included, and what they do to the loss."""
        if self.plan.leaf == "constant":
            return LinearFit(CONSTANT, np.empty((0, 0, 2)), CONSTANT.centre), 0.0
        columns = features_of_leaves(*(np.array(column) for column in (tree.feature, tree.left, tree.right, tree.gain)))
        moments = self.shards.sum_moments(walk, columns, self.n_outputs)
        fit, rate = fit_slopes(columns, moments, self.plan.ridge), self.plan.learning_rate
        change = (rate**2 * fit.changes[..., 0] + rate * fit.changes[..., 1]).sum()
        return fit._replace(walk=fit.walk._replace(slope=rate * fit.walk.slope)), float(change)

    def _combine(self) -> None:
        """Draw the combinations of the residuals in which the next tree's splits are searched."""
        # The seed is that of the tree: neither subsamples nor an earlier end change it.
        rng = np.random.default_rng([self.plan.seed, len(self.trees)])
        # Under an exact parity a combination of even and odd residuals would have no sign in the image.
        kinds = [outputs for outputs in (self.is_even, ~self.is_even) if outputs.any()]
        directions = rng.normal(size=(self.n_outputs, self.n_directions)) / math.sqrt(self.n_directions)
        if self.events.mirror is not None:
            for column in range(self.n_directions):
                number = len(self.trees) * self.n_directions + column
                directions[~kinds[number % len(kinds)], column] = 0.0
        self.shards.combine(directions)

    def _grow(self, rules: GrowthRules, n_edges: IntArray, chosen: npt.NDArray[np.bool_] | None = None) -> Tree:
        if self.n_directions:
            self._combine()
        return grow_tree(self.shards, n_edges, rules, self.n_directions or self.n_outputs, chosen)

    def result(self, interrupted: bool) -> BoostingResult:
        n_trees = len(self.trees)
        if self.plan.patience is not None and self.validation_loss:
            n_trees = int(np.argmin(self.validation_loss[: n_trees + 1]))
        kept = self.trees[:n_trees]
        # The trees were grown on residuals; what their nodes hold of the weights themselves is summed at the end.
        sums = self.shards.sum_weights([tree.walk for tree in kept])[:, : 3 + self.n_outputs]
        n_views = self.shards.n_rows // self.shards.n_events
        return BoostingResult(
            group=_group(kept, sums, self.events.binner, n_views, self.metric.inverse),
            base=self.base,
            train_loss=np.array(self.train_loss[: len(self.trees) + 1]),
            validation_loss=np.array(self.validation_loss[: len(self.trees) + 1]),
            interrupted=interrupted,
        )


def _leaf_values(tree: Tree, sums: FloatArray, l2: float) -> FloatArray:
    """U / (S_0 + l2) of the leaves, 0 elsewhere, from S_0 and U of the nodes.

    A leaf without nominal weight (possible for the root only) has 0.
    """
    values: FloatArray = np.zeros_like(sums[:, 1:])
    filled = (np.array(tree.feature) < 0) & (sums[:, 0] > 0)
    values[filled] = sums[filled, 1:] / (sums[filled, :1] + l2)
    return values


def _gains(tree: Tree, sums: FloatArray, l2: float) -> list[float]:
    """Information gained by each split in all residuals, from S_0 and U of all nodes."""
    information = (sums[:, 1:] ** 2).sum(axis=1) / (sums[:, 0] + l2)
    return [
        float(information[left] + information[right] - information[node]) if left >= 0 else 0.0
        for node, (left, right) in enumerate(zip(tree.left, tree.right, strict=True))
    ]


def _form(basis: PolynomialBasis) -> IntArray:
    """Column less 1 of each entry of the quadratic form in (1, theta), -1 for the constant; lower triangle."""
    names = basis.param_names
    form = np.full((1 + len(names), 1 + len(names)), -1, dtype=np.int64)
    for a, first in enumerate(names, start=1):
        form[a, 0] = basis.index((first,)) - 1
        for b, second in enumerate(names[:a], start=1):
            form[a, b] = basis.index((second, first)) - 1
    return form


def _of_some_features(n_edges: IntArray, fraction: float, rng: np.random.Generator) -> IntArray:
    """Thresholds of a random part of the features that have any."""
    usable = np.flatnonzero(n_edges)
    drawn = rng.choice(usable, max(1, round(fraction * len(usable))), replace=False)
    kept = np.zeros_like(n_edges)
    kept[drawn] = n_edges[drawn]
    return kept


def _fill_inner_nodes(tree: Tree | FinishedTree, sums: FloatArray) -> None:
    """Set the sums of inner nodes from their children."""
    for node in reversed(range(len(sums))):
        if tree.feature[node] >= 0:
            sums[node] = sums[tree.left[node]] + sums[tree.right[node]]


def _group(
    trees: Sequence[FinishedTree], sums: FloatArray, binner: Binner, n_views: int, inverse: FloatArray
) -> TreeGroup:
    """Trees and the sums of their leaves as flat arrays; an event and its image share the weight of the event."""
    n_outputs = sums.shape[1] - 3
    offset = np.cumsum([0, *(len(tree.value) for tree in trees)]).astype(np.int64)
    thresholds, lefts, rights = [], [], []
    for tree, first, last in zip(trees, offset[:-1], offset[1:], strict=True):
        _fill_inner_nodes(tree, sums[first:last])
        thresholds += [
            binner.edges[f][b] if f >= 0 else FEATURE(0) for f, b in zip(tree.feature, tree.bins, strict=True)
        ]
        lefts.append(np.where(tree.left >= 0, first + tree.left, -1))
        rights.append(np.where(tree.right >= 0, first + tree.right, -1))
    return TreeGroup(
        outputs=np.arange(n_outputs),
        feature=_joined([tree.feature for tree in trees]),
        threshold=np.array(thresholds, dtype=FEATURE),
        left=_joined(lefts),
        right=_joined(rights),
        # The terms instead of the rotated residuals.
        value=np.concatenate([tree.value @ inverse for tree in trees]) if trees else np.empty((0, n_outputs)),
        tree_offset=offset,
        count=np.rint(sums[:, 0]).astype(np.int64),
        sum_w=np.ascontiguousarray(sums[:, 2:]) / n_views,
        sum_w0_squared=np.ascontiguousarray(sums[:, 1]) / n_views**2,
        gain=np.concatenate([tree.gain for tree in trees]) / n_views if trees else np.empty(0),
        linear=_linear_leaves(trees, n_views, inverse),
    )


def _joined(parts: Sequence[IntArray]) -> npt.NDArray[np.int32]:
    return np.concatenate(parts).astype(np.int32) if parts else np.empty(0, dtype=np.int32)


def _linear_leaves(trees: Sequence[FinishedTree], n_views: int, inverse: FloatArray) -> LinearLeaves | None:
    """Linear parts of the leaves of all trees, if they have any."""
    if not trees or not len(trees[0].linear.columns):
        return None
    columns, _, centre, low, high, _ = (
        np.concatenate(arrays) for arrays in zip(*(tree.linear for tree in trees), strict=True)
    )
    slope = np.concatenate([np.einsum("nkf,kj->njf", tree.linear.slope, inverse) for tree in trees])
    gain = np.concatenate([tree.linear_gain for tree in trees]) / n_views
    return LinearLeaves(columns, centre, low.astype(FEATURE), high.astype(FEATURE), slope, gain)


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
