"""Whether splits of trees with linear leaves are better chosen by what lines gain than by what constants gain.

    python benchmarks/split_gain.py [--seconds 4] [--seeds 1] [--cache FOLDER]

A split on feature f is chosen for the largest sum over both children of

- constants: S_u^2 / S_0, the Fisher information of constant leaves, u the pseudo-residual weights (what the package
  does, and its own code);
- lines, bin means: S_u^2 / S_0 + C_ux^2 / C_xx, x = x_f, C the sums of w_0 x^2 and u x around the mean. In every bin x
  is replaced by its mean, so that the histograms of S_0 and S_u say it all, and only the scan is longer;
- lines, exact: the same with x itself: three more sums in every bin;
- planes: S_u^2 / S_0 + b^T A^-1 b for fits to the children that are linear in f and in up to three features that lead
  to the node, nearly as the leaves will be: up to fourteen sums in every bin, and since siblings have a feature that
  their parent did not have, none follow from differences. About 60 thresholds of each feature are tried;
- planes of 1/8: the same with the sums of every eighth event; leaves are fitted to all events, as ever.

Everything else is the package's: bins, division of the events, histograms of constants, linear leaves whose ridge two
halves of the events choose, residuals. Learning rate 0.2, depth 4 and 6, 50 events per leaf, 255 bins, one function at
a time, 2e5 events for training and 1e5 others for the test, one thread:

- VBF: cuts P, the features x1, x2, dphi_jj, deta_jj, cHWtil;
- ZH: all fifteen features, cHW and cHWtil.

Every rule may train for so many seconds (processor time of the thread; the rules take turns, and the quickest of five
trees stands for all five). Printed are rho^2, the mean squared error of the score relative to that of constants and the
difference of rho^2, both with errors of a paired bootstrap over the test events: with equally many trees, as many as
the slowest rule grows, and with equal time. Another training sample (--seeds 1 2) tells how far it depends on that.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _contenders import simulated

import bit
from bit.kernels._jit import inlined, kernel
from bit.kernels.dtypes import N_CODES
from bit.kernels.residuals import LEAF_FEATURES
from bit.kernels.splitting import _count, _effective
from bit.threads import Threads
from bit.trees.boosting import BinnedEvents, BoostingPlan, _Booster, bin_events
from bit.trees.grower import GrowthRules, Tree, _Candidate, _Grower
from bit.trees.sample import TableSample
from bit.trees.shards import Shards

TRAIN, TEST, REPLICAS = 200_000, 100_000, 200
LEARNING_RATE, LEAF_EVENTS, DEPTHS = 0.2, 50, (4, 6)
SAMPLES = {"VBF": ("vbf", {"cuts": "P"}, ("x1", "x2", "dphi_jj", "deta_jj")), "ZH": ("zh", {}, None)}
TASKS = (("VBF", "cHWtil"), ("ZH", "cHW"), ("ZH", "cHWtil"))
_BLOCK = 5  # trees
_STEPS = 64  # at least 1/64 of the nominal weight lies between two thresholds that planes try
_FLAT = 1e-10  # smallest variance of x, of which the whole range is 2
_RIDGE = 1e-6  # of the planes, relative to the diagonal


# ---------------------------------------------------------------------- lines
@inlined
def _line(s0, su, sx, sxx, sux):
    """Information of a line: that of the constant and that of the slope."""
    mean = sx / s0
    spread = sxx - sx * mean
    cross = sux - su * mean
    return su * su / s0 + (cross * cross / spread if spread > _FLAT * s0 else 0.0)


@inlined
def _allowed(below, total, bounds):
    """Whether both sides of a split have enough events, also effectively."""
    scale, square_scale, count_bits, quantum, least = bounds
    right = total - below
    n_left, n_right = _count(below, count_bits, quantum), _count(right, count_bits, quantum)
    if below[0] <= 0 or right[0] <= 0 or n_left < least or n_right < least:
        return False
    scales = np.full(1, scale)
    return (
        _effective(below, n_left, scales, square_scale, count_bits) >= least
        and _effective(right, n_right, scales, square_scale, count_bits) >= least
    )


@kernel
def find_lines(histogram, rest, means, exact, n_edges, bounds, out_split, out_left):
    """Best split of a node by lines in the children, for sums `rest` of u in every bin.

    x is the mean of its bin, unless `exact` has the sums of w_0 x, w_0 x^2 and u x.
    """
    n_features = n_edges.size
    total = np.zeros(4, dtype=np.int64)
    below = np.zeros(4, dtype=np.int64)
    sums = np.zeros((5, 256))
    gains = np.zeros(256)
    residual = 0.0
    for code in range(256):
        residual += rest[0, code]
        for c in range(4):
            total[c] += histogram[0, code, c]
    unit, best = 1.0 / bounds[0], 0.0
    constant = residual * residual / (total[0] * unit)
    for f in range(n_features):
        a, b, c, d, e = 0.0, 0.0, 0.0, 0.0, 0.0
        for code in range(256):
            x, w, u = means[f, code], histogram[f, code, 0] * unit, rest[f, code]
            a += w
            b += u
            if exact.size == 0:
                c += w * x
                d += w * x * x
                e += u * x
            else:
                c += exact[f, code, 0]
                d += exact[f, code, 1]
                e += exact[f, code, 2]
            sums[0, code], sums[1, code], sums[2, code], sums[3, code], sums[4, code] = a, b, c, d, e
        n = n_edges[f]
        for code in range(n):
            v, r, s, t, q = sums[0, code], sums[1, code], sums[2, code], sums[3, code], sums[4, code]
            gains[code] = _line(v, r, s, t, q) + _line(a - v, b - r, c - s, d - t, e - q)
        reached = -1
        below[:] = 0
        for code in range(n):
            if not gains[code] - constant > best:
                continue
            for other in range(reached + 1, code + 1):
                for k in range(4):
                    below[k] += histogram[f, other, k]
            reached = code
            if _allowed(below, total, bounds):
                best = gains[code] - constant
                out_split[0], out_split[1] = f, code
                out_left[:] = below
    return best


@kernel
def sum_lines(codes, values, rows, nominal, residual, out):
    """Sums of x, x^2 and u x in every bin of x."""
    for i in range(rows.size):
        row = rows[i]
        w, u = nominal[row], residual[row]
        for f in range(values.shape[1]):
            x, code = np.float64(values[row, f]), codes[row, f]
            out[f, code, 0] += w * x
            out[f, code, 1] += w * x * x
            out[f, code, 2] += u * x


# ---------------------------------------------------------------------- planes
@kernel
def sum_planes(codes, values, rows, nominal, residual, path, out):
    """Sums of w, u, w z, u z and w z z^T in every bin, z the features of the path."""
    n_path, products = path.size, np.empty(out.shape[2])
    z = np.empty(n_path)
    for i in range(rows.size):
        row = rows[i]
        w, u = nominal[row], residual[row]
        products[0], products[1] = w, u
        at = 2 + 2 * n_path
        for p in range(n_path):
            z[p] = values[row, path[p]]
            products[2 + p], products[2 + n_path + p] = w * z[p], u * z[p]
            for q in range(p + 1):
                products[at] = w * z[p] * z[q]
                at += 1
        for f in range(values.shape[1]):
            bin_of = out[f, codes[row, f]]
            for c in range(products.size):
                bin_of[c] += products[c]


@inlined
def _plane(s, n_path, n, matrix, right):
    """Information of a plane from the sums of `sum_planes`, then those of w x, w x^2, u x, w x z if n = n_path + 1."""
    w, u = s[0], s[1]
    at = 2 + 2 * n_path
    for p in range(n_path):
        right[p] = s[2 + n_path + p] - u * s[2 + p] / w
        for q in range(p + 1):
            matrix[p, q] = s[at] - s[2 + p] * s[2 + q] / w
            at += 1
    if n > n_path:
        right[n_path] = s[at + 2] - u * s[at] / w
        matrix[n_path, n_path] = s[at + 1] - s[at] * s[at] / w
        for q in range(n_path):
            matrix[n_path, q] = s[at + 3 + q] - s[at] * s[2 + q] / w
    information = u * u / w
    # A = L L^T; the information is the square of L^-1 b.
    for p in range(n):
        pivot = matrix[p, p]
        floor = _FLAT * w + _RIDGE * pivot
        for q in range(p):
            entry = matrix[p, q]
            for k in range(q):
                entry -= matrix[p, k] * matrix[q, k]
            matrix[p, q] = entry * matrix[q, q]
            pivot -= matrix[p, q] * matrix[p, q]
            right[p] -= matrix[p, q] * right[q]
        # The diagonal holds 1 / L_pp: 0 for a direction without any spread.
        matrix[p, p] = 1.0 / np.sqrt(pivot) if pivot > floor else 0.0
        right[p] *= matrix[p, p]
        information += right[p] * right[p]
    return information


@kernel
def find_planes(histogram, moments, means, path, n_edges, bounds, out_split, out_left):
    """Best split of a node by planes in the children."""
    n_path, n_sums = path.size, moments.shape[2]
    matrix, right = np.empty((n_path + 1, n_path + 1)), np.empty(n_path + 1)
    total, below = np.zeros(4, dtype=np.int64), np.zeros(4, dtype=np.int64)
    for code in range(256):
        for c in range(4):
            total[c] += histogram[0, code, c]
    whole, left, rest = np.zeros(n_sums + 3 + n_path), np.zeros(n_sums + 3 + n_path), np.zeros(n_sums + 3 + n_path)
    best = 0.0
    for f in range(n_edges.size):
        n = n_path + 1
        for p in range(n_path):
            if path[p] == f:
                n = n_path
        whole[:], left[:], below[:] = 0.0, 0.0, 0
        for code in range(256):
            _add_bin(moments[f, code], means[f, code], n_path, whole)
        constant, reached = whole[1] * whole[1] / whole[0], 0.0
        for code in range(n_edges[f]):
            _add_bin(moments[f, code], means[f, code], n_path, left)
            for c in range(4):
                below[c] += histogram[f, code, c]
            if left[0] < reached + whole[0] / _STEPS or not _allowed(below, total, bounds):
                continue
            reached = left[0]
            for c in range(rest.size):
                rest[c] = whole[c] - left[c]
            gain = _plane(left, n_path, n, matrix, right) + _plane(rest, n_path, n, matrix, right) - constant
            if gain > best:
                best = gain
                out_split[0], out_split[1] = f, code
                out_left[:] = below
    return best


@inlined
def _add_bin(sums, x, n_path, out):
    n = sums.size
    for c in range(n):
        out[c] += sums[c]
    out[n] += sums[0] * x
    out[n + 1] += sums[0] * x * x
    out[n + 2] += sums[1] * x
    for p in range(n_path):
        out[n + 3 + p] += sums[2 + p] * x


# ---------------------------------------------------------------------- growth
@dataclass(frozen=True, eq=False)
class Values:
    """Features of the training events between -1 and 1, and their mean in every bin."""

    scaled: np.ndarray
    means: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, shards: Shards) -> Values:
        """Scale as the fit of the leaves does."""
        scaled = ((features - shards._origin) * shards._unit).astype(np.float32)
        shard, means = shards._shards[0], np.zeros((features.shape[1], N_CODES))
        for f, column in enumerate(shard.columns):
            weight = np.bincount(column, shard.nominal, N_CODES)
            means[f] = np.bincount(column, shard.nominal * scaled[:, f], N_CODES) / np.where(weight > 0, weight, 1.0)
        return cls(scaled, means)


class _LinesOfMeans(_Grower):
    """Grows trees whose splits are chosen by lines, with the mean of the bin instead of x."""

    values: Values

    def with_splits(self, candidates: list[_Candidate], histograms: np.ndarray) -> list[_Candidate]:
        quanta = self.quanta
        sizes = (float(quanta.scales[0]), quanta.square_scale, quanta.count_bits, quanta.quantum)
        for candidate in candidates:
            split, left = np.full(2, -1), np.zeros(4, dtype=np.int64)
            histogram = candidate.histogram.reshape(-1, N_CODES, 4)
            found = (self.n_edges, (*sizes, self.rules.min_samples_leaf), split, left)
            candidate.gain = self.find(candidate, histogram, found)
            candidate.feature, candidate.bins = split.tolist()
            candidate.left_sums = left
        return [candidate for candidate in candidates if candidate.feature >= 0]

    def events_of(self, candidate: _Candidate) -> tuple[np.ndarray, ...]:
        """What the sums of a node are taken of."""
        shard = self.shards._shards[0]
        low, high = shard.views[0].bounds[candidate.segment]
        rows = shard.views[0].rows[low:high]
        if shard.views[0].whole:
            rows = np.arange(low, high, dtype=rows.dtype)
        return shard.codes, self.values.scaled, rows, shard.nominal, shard.residual[:, shard.first_residual]

    def exact(self, candidate: _Candidate) -> np.ndarray:
        """Sums of w x, w x^2 and u x in every bin, or nothing."""
        return np.empty((0, 0, 0))

    def find(self, candidate: _Candidate, histogram: np.ndarray, found: tuple[Any, ...]) -> float:
        """Gain of the best split, which is written to the arrays in `found`."""
        rest = histogram[:, :, self.quanta.first] / self.quanta.scales[1]
        return find_lines(histogram, rest, self.values.means, self.exact(candidate), *found)


class _Lines(_LinesOfMeans):
    """The same with x itself."""

    def exact(self, candidate: _Candidate) -> np.ndarray:
        sums = np.zeros((len(self.n_edges), N_CODES, 3))
        sum_lines(*self.events_of(candidate), sums)
        return sums


class _Planes(_LinesOfMeans):
    """The same for fits in several features."""

    every = 1  # event that is summed

    def root(self, *, of_all_events: bool) -> list[_Candidate]:
        self.gained: dict[int, dict[int, float]] = {0: {}}  # by segment: what the features on the way gained
        self.parents: list[_Candidate] = []
        return super().root(of_all_events=of_all_events)

    def expand(self, candidates: list[_Candidate]) -> None:
        self.parents = candidates
        super().expand(candidates)

    def with_splits(self, candidates: list[_Candidate], histograms: np.ndarray) -> list[_Candidate]:
        # Children come in pairs, and the left one has its sums from its parent.
        for left, right in zip(candidates[::2], candidates[1::2], strict=False):
            parent = next(parent for parent in self.parents if parent.left_sums is left.sums)
            gained = self.gained[parent.segment]
            gained = gained | {parent.feature: gained.get(parent.feature, 0.0) + parent.gain}
            self.gained[left.segment] = self.gained[right.segment] = gained
        return super().with_splits(candidates, histograms)

    def find(self, candidate: _Candidate, histogram: np.ndarray, found: tuple[Any, ...]) -> float:
        gained = self.gained[candidate.segment]
        if not gained:
            return super().find(candidate, histogram, found)
        path = np.array(sorted(gained, key=lambda f: -gained[f])[: LEAF_FEATURES - 1], dtype=np.int64)
        sums = np.zeros((len(self.n_edges), N_CODES, 2 + 2 * len(path) + len(path) * (len(path) + 1) // 2))
        codes, scaled, rows, *weights = self.events_of(candidate)
        sum_planes(codes, scaled, rows[:: self.every], *weights, path, sums)
        return self.every * find_planes(histogram, sums, self.values.means, path, *found)


class _PlanesOfSome(_Planes):
    """The same by every eighth event."""

    every = 8


GROWERS: dict[str, type[_Grower]] = {
    "constants": _Grower,
    "lines, bin means": _LinesOfMeans,
    "lines, exact": _Lines,
    "planes": _Planes,
    "planes of 1/8": _PlanesOfSome,
}


class _Training(_Booster):
    """A forest with linear leaves that grows tree by tree, and its predictions for test events."""

    def __init__(self, events: BinnedEvents, plan: BoostingPlan, rule: str, test: bit.EventTable) -> None:
        columns = np.array([1])
        super().__init__(events, columns, plan, Threads(1))
        self.choose_metric()
        self.grower = GROWERS[rule]
        self.values = Values.of(events.train.table.features, self.shards)
        self.watched = None
        self.test, self.test_shards = test, self.shards_of(TableSample(test), 0)
        self.start(self.test_shards, self.metric)
        self.predictions: list[np.ndarray] = []
        self.times: list[float] = []

    def _grow(self, rules: GrowthRules, n_edges: np.ndarray, chosen: np.ndarray | None = None) -> Tree:
        grower = self.grower(self.shards, n_edges, rules, self.shards.plant(None, 1))
        grower.values = self.values
        frontier = grower.root(of_all_events=True)
        while frontier:
            grower.expand(frontier)
            frontier = [child for parent in frontier for child in grower.split(parent)]
        return grower.tree

    def clock(self) -> np.ndarray:
        """Time spent after each tree; of five neighbours, which cost about the same, the quickest stands for all."""
        blocks = [self.times[low : low + _BLOCK] for low in range(0, len(self.times), _BLOCK)]
        return np.cumsum([min(block) for block in blocks for _ in block])

    def spent(self) -> float:
        """Time spent so far."""
        return float(self.clock()[-1]) if self.times else 0.0

    def step(self) -> None:
        """Add a tree, timed, and predict."""
        start = time.thread_time()
        self.add_tree(np.random.default_rng(0))
        self.times.append(time.thread_time() - start)
        tree, shard = self.trees[-1], self.test_shards._shards[0]
        self.test_shards.update(tree.walk, tree.value, tree.linear, for_root=False)
        rest = shard.residual[:, shard.first_residual]
        self.predictions.append(((self.test.weights[:, 1] - rest) / self.test.weights[:, 0]).astype(np.float32))


# ---------------------------------------------------------------------- comparison
def plan_of(depth: int) -> BoostingPlan:
    rules = GrowthRules(depth, None, LEAF_EVENTS, float(LEAF_EVENTS), 0.0, 0.0)
    return BoostingPlan(
        n_estimators=1,
        learning_rate=LEARNING_RATE,
        rules=rules,
        max_bins=255,
        bin_weights="mixed",
        base_points=None,
        positive=False,
        parity=None,
        start_at_mean=True,
        patience=None,
        subsample=1.0,
        max_features=1.0,
        leaf="linear",
        ridge=None,
        sketch=None,
        seed=0,
        show_progress=False,
    )


def sample(name: str, term: str, n_events: int, seed: int, cache: Path | None) -> bit.EventTable:
    process, options, features = SAMPLES[name]
    events = simulated(n_events, seed, cache, process, **options)
    features = features or events.feature_names
    columns = [events.feature_names.index(feature) for feature in features]
    weights = events.weights[:, [0, events.basis.index(term)]]
    basis = bit.PolynomialBasis([term], order=1)
    return bit.EventTable(events.features[:, columns], weights, basis, feature_names=features)


def trained(
    events: BinnedEvents, test: bit.EventTable, depth: int, budget: float
) -> dict[str, tuple[np.ndarray, list[np.ndarray]]]:
    """Time spent after each tree, and predictions, of a forest for each rule that has so many seconds."""
    forests = {rule: _Training(events, plan_of(depth), rule, test) for rule in GROWERS}
    growing = list(forests.values())
    while growing:
        # Whoever has spent the least comes next, so that a slow minute of the machine hits all of them.
        forest = min(growing, key=lambda forest: forest.spent())
        forest.step()
        if forest.spent() > budget:
            growing.remove(forest)
    return {rule: (forest.clock(), forest.predictions) for rule, forest in forests.items()}


def compare(
    label: str, forests: dict[str, tuple[np.ndarray, list[np.ndarray]]], truth: np.ndarray, nominal: np.ndarray
) -> None:
    """One row of the table for each rule."""
    fewest = min(len(predictions) for _, predictions in forests.values())
    stages = [[predictions[fewest - 1], predictions[-1]] for _, predictions in forests.values()]
    found = np.array(stages, dtype=np.float64).reshape(2 * len(forests), -1)
    # Errors and rho^2 follow from weighted sums of t, f, t^2, f^2 and t f: one product for each replica.
    columns = np.vstack([np.ones_like(truth), truth, truth**2, found, found**2, truth * found]).T
    rng = np.random.default_rng(1)
    replicas = [(rng.poisson(1.0, len(truth)) * nominal) @ columns for _ in range(REPLICAS)]
    error, captured = _errors_and_rho2(np.array([nominal @ columns, *replicas]))
    for i, (rule, (clock, predictions)) in enumerate(forests.items()):
        cells = [label, rule, f"{1e3 * clock[-1] / len(clock):.1f}"]
        for stage, n_trees in enumerate((fewest, len(predictions))):
            at = 2 * i + stage
            ratio, change = error[:, at] / error[:, stage], 1e4 * (captured[:, at] - captured[:, stage])
            cells += [f"{n_trees}", f"{captured[0, at]:.4f}"]
            cells += [f"{ratio[0]:.3f} ± {ratio[1:].std():.3f}", f"{change[0]:+.1f} ± {change[1:].std():.1f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


def _errors_and_rho2(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of all predictions, in each row of weighted sums."""
    one, t, tt, f, ff, tf = np.split(sums, [1, 2, 3, *(3 + (sums.shape[1] - 3) // 3 * k for k in (1, 2))], axis=1)
    error = (ff - 2 * tf + tt) / one
    return error, (tf - t * f / one) ** 2 / ((tt - t * t / one) * (ff - f * f / one))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="training time of each rule and sample")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of the training samples")
    parser.add_argument("--cache", type=Path, help="folder where simulated events are kept")
    arguments = parser.parse_args()
    of_both = ("trees", "rho²", "MSE / constants", "10⁴ Δrho²")
    header = ("sample", "depth", "splits by", "ms per tree", *of_both, *of_both)
    for seed in arguments.seeds:
        print(f"\nTraining sample {seed}; equally many trees, then equal time, {arguments.seconds:g} s:\n")
        print(f"| {' | '.join(header)} |\n{'|---' * len(header)}|", flush=True)
        for name, term in TASKS:
            train = sample(name, term, TRAIN, seed, arguments.cache)
            test = sample(name, term, TEST, 100, arguments.cache)
            for depth in DEPTHS:
                columns = np.array([1])
                small = bin_events(TableSample(train.take(slice(0, 5000))), None, columns, plan_of(depth), Threads(1))
                trained(small, test.take(slice(0, 100)), depth, 0.0)  # compiled, warm
                events = bin_events(TableSample(train), None, columns, plan_of(depth), Threads(1))
                forests = trained(events, test, depth, arguments.seconds)
                compare(f"{name}, {term} | {depth}", forests, test.joint_ratio()[:, 0], test.weights[:, 0])


if __name__ == "__main__":
    main()
