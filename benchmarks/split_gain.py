"""Whether splits of trees with linear leaves are better chosen by what lines gain than by what constants gain.

    python benchmarks/split_gain.py [--trees 60] [--repeats 2] [--seeds 1] [--cache FOLDER]

A split on feature f is chosen for the largest sum over both children of

- constants: S_u^2 / S_0, the Fisher information of constant leaves (the package's rule, and its own code);
- lines, bin means: S_u^2 / S_0 + C_ux^2 / C_xx, with C the sums of w_0 x^2 and u x around the mean, x = x_f. The
  mean of x in a bin stands for x, so that the histograms of S_0 and S_u say it all and only the scan is longer;
- lines, exact: the same with x itself: three more sums in every bin;
- planes: S_u^2 / S_0 + b^T A^-1 b for a fit that is linear in f and in up to three features that lead to the node,
  those which gained most, about as the leaf will be: up to fifteen sums in every bin, siblings share none of them.

Everything else is the package's: binning, division of the events, histograms of constants, linear leaves with the
ridge that two halves of the events choose, residuals. Trees of depth 4 and 6, learning rate 0.2, 50 events per leaf,
255 bins, one function at a time, 2e5 events for training and 1e5 others for the test, one thread:

- VBF: cuts P, the features x1, x2, dphi_jj, deta_jj, and cHWtil;
- ZH: all fifteen features, cHW and cHWtil.

For each rule it prints the time per tree and, relative to constants with equally many trees and with equal time, the
ratio of the mean squared errors of the score and 10^4 times the difference of rho^2, both with the error of a paired
bootstrap over test events. At equal time every rule has as long as constants need for all of their trees. The rules
take turns tree by tree, all of it is repeated, and of each tree the shortest time counts. The last two rules are
there to see what is possible: what they sum is not shared between siblings, so they could be somewhat faster.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _contenders import simulated

import bit
from bit.kernels._jit import inlined, kernel
from bit.kernels.dtypes import N_CODES
from bit.kernels.splitting import _count, _effective
from bit.metrics import rho2
from bit.trees.boosting import BinnedEvents, BoostingPlan, _Booster, bin_events
from bit.trees.grower import GrowthRules, Tree, _Candidate, _Grower
from bit.trees.shards import Shards
from bit.trees.threads import Threads

TRAIN, TEST, REPLICAS = 200_000, 100_000, 200
LEARNING_RATE, LEAF_EVENTS, DEPTHS = 0.2, 50, (4, 6)
SAMPLES = {"VBF": ("vbf", {"cuts": "P"}, ("x1", "x2", "dphi_jj", "deta_jj")), "ZH": ("zh", {}, None)}
TASKS = (("VBF", "cHWtil"), ("ZH", "cHW"), ("ZH", "cHWtil"))
_PATH = 3  # features that lead to a node, beside that of the split
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
def find_lines(histogram, means, exact, n_edges, first, unit, bounds, out_split, out_left):
    """Best split of a node by lines in the children; x from the mean of its bin, or exact sums of x, x^2 and u x."""
    n_features = n_edges.size
    total = np.zeros(4, dtype=np.int64)
    below = np.zeros(4, dtype=np.int64)
    sums = np.zeros((5, 256))
    gains = np.zeros(256)
    for code in range(256):
        for c in range(4):
            total[c] += histogram[0, code, c]
    w_unit = 1.0 / bounds[0]
    s0, su = total[0] * w_unit, total[first] * unit
    constant, best = su * su / s0, 0.0
    for f in range(n_features):
        a, b, c, d, e = 0.0, 0.0, 0.0, 0.0, 0.0
        for code in range(256):
            x, w, u = means[f, code], histogram[f, code, 0] * w_unit, histogram[f, code, first] * unit
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
        constant = whole[1] * whole[1] / whole[0]
        for code in range(n_edges[f]):
            _add_bin(moments[f, code], means[f, code], n_path, left)
            for c in range(4):
                below[c] += histogram[f, code, c]
            if moments[f, code, 0] == 0.0 or not _allowed(below, total, bounds):
                continue
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
        for candidate in candidates:
            split, left = np.full(2, -1), np.zeros(4, dtype=np.int64)
            histogram = candidate.histogram.reshape(-1, N_CODES, 4)
            candidate.gain = self.find(candidate, histogram, split, left)
            candidate.feature, candidate.bins = split.tolist()
            candidate.left_sums = left
        return [candidate for candidate in candidates if candidate.feature >= 0]

    @property
    def bounds(self) -> tuple[float, float, int, int, int]:
        quanta = self.quanta
        scale = float(quanta.scales[0])
        return scale, quanta.square_scale, quanta.count_bits, quanta.quantum, self.rules.min_samples_leaf

    def rows_of(self, candidate: _Candidate) -> np.ndarray:
        view = self.shards._shards[0].views[0]
        low, high = view.bounds[candidate.segment]
        return np.arange(low, high, dtype=view.rows.dtype) if view.whole else view.rows[low:high]

    def exact(self, candidate: _Candidate) -> np.ndarray:
        return np.empty((0, 0, 0))

    def find(self, candidate: _Candidate, histogram: np.ndarray, split: np.ndarray, left: np.ndarray) -> float:
        first, unit = self.quanta.first, 1.0 / float(self.quanta.scales[1])
        exact = self.exact(candidate)
        return find_lines(histogram, self.values.means, exact, self.n_edges, first, unit, self.bounds, split, left)


class _Lines(_LinesOfMeans):
    """The same with x itself."""

    def exact(self, candidate: _Candidate) -> np.ndarray:
        shard, sums = self.shards._shards[0], np.zeros((len(self.n_edges), N_CODES, 3))
        residual = shard.residual[:, shard.first_residual]
        sum_lines(shard.codes, self.values.scaled, self.rows_of(candidate), shard.nominal, residual, sums)
        return sums


class _Planes(_LinesOfMeans):
    """The same for fits in several features."""

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

    def find(self, candidate: _Candidate, histogram: np.ndarray, split: np.ndarray, left: np.ndarray) -> float:
        gained, shard = self.gained[candidate.segment], self.shards._shards[0]
        path = np.array(sorted(gained, key=lambda f: -gained[f])[:_PATH], dtype=np.int64)
        sums = np.zeros((len(self.n_edges), N_CODES, 2 + 2 * len(path) + len(path) * (len(path) + 1) // 2))
        residual = shard.residual[:, shard.first_residual]
        sum_planes(shard.codes, self.values.scaled, self.rows_of(candidate), shard.nominal, residual, path, sums)
        return find_planes(histogram, sums, self.values.means, path, self.n_edges, self.bounds, split, left)


GROWERS: dict[str, type[_Grower]] = {
    "constants": _Grower,
    "lines, bin means": _LinesOfMeans,
    "lines, exact": _Lines,
    "planes": _Planes,
}


class _Training(_Booster):
    """A forest with linear leaves that grows tree by tree, and its predictions for test events."""

    def __init__(self, events: BinnedEvents, plan: BoostingPlan, rule: str, test: bit.EventTable) -> None:
        columns = np.array([1])
        super().__init__(events, columns, plan, Threads(1))
        self.choose_metric()
        self.grower = GROWERS[rule]
        self.values = Values.of(events.train.features, self.shards)
        self.watched = None
        self.test, self.test_shards = test, self.shards_of(test, 0)
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

    def step(self) -> None:
        """Add a tree, timed, and predict."""
        start = time.perf_counter()
        self.add_tree(np.random.default_rng(0))
        self.times.append(time.perf_counter() - start)
        tree, shard = self.trees[-1], self.test_shards._shards[0]
        self.test_shards.update(tree.walk, tree.value, tree.linear.walk, for_root=False)
        rest = shard.residual[:, shard.first_residual]
        self.predictions.append(((self.test.weights[:, 1] - rest) / self.test.weights[:, 0]).astype(np.float32))


# ---------------------------------------------------------------------- comparison
def plan_of(depth: int, trees: int) -> BoostingPlan:
    rules = GrowthRules(depth, None, LEAF_EVENTS, float(LEAF_EVENTS), 0.0, 0.0)
    return BoostingPlan(
        n_estimators=trees,
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
    events: BinnedEvents, test: bit.EventTable, depth: int, trees: int, repeats: int
) -> tuple[dict[str, np.ndarray], dict[str, list[np.ndarray]]]:
    """Shortest times of all trees of each rule, and predictions after each of them."""
    times: dict[str, list[list[float]]] = {rule: [] for rule in GROWERS}
    for _ in range(repeats):
        forests = {rule: _Training(events, plan_of(depth, trees), rule, test) for rule in GROWERS}
        for _ in range(trees):
            for forest in forests.values():
                forest.step()
        for rule, forest in forests.items():
            times[rule].append(forest.times)
    shortest = {rule: np.min(runs, axis=0) for rule, runs in times.items()}
    return shortest, {rule: forest.predictions for rule, forest in forests.items()}


def versus(truth: np.ndarray, nominal: np.ndarray, prediction: np.ndarray, reference: np.ndarray) -> str:
    """Ratio of the errors and difference of rho^2, with errors of a paired bootstrap."""
    both = np.stack([prediction, reference]).astype(np.float64)
    # rho^2 and errors from the weighted sums of 1, t, f, t^2, f^2, t f: one product for each replica.
    columns = np.column_stack([np.ones_like(truth), truth, *both, truth**2, *(both**2), *(truth * both)])
    rng = np.random.default_rng(1)
    counts = (rng.poisson(1.0, len(truth)) for _ in range(REPLICAS))
    replicas = np.array([(count * nominal) @ columns for count in counts])
    ratio, difference = _ratio_and_difference(replicas).std(axis=1)
    value, change = _ratio_and_difference((nominal @ columns)[np.newaxis])[:, 0]
    return f"{value:.3f} ± {ratio:.3f} | {1e4 * change:+.1f} ± {1e4 * difference:.1f}"


def _ratio_and_difference(sums: np.ndarray) -> np.ndarray:
    one, t, tt = sums[:, [0]], sums[:, [1]], sums[:, [4]]
    f, ff, tf = sums[:, 2:4], sums[:, 5:7], sums[:, 7:9]
    errors = ff - 2 * tf + tt
    captured = (tf - t * f / one) ** 2 / ((tt - t * t / one) * (ff - f * f / one))
    return np.stack([errors[:, 0] / errors[:, 1], captured[:, 0] - captured[:, 1]])


def compare(
    label: str,
    depth: int,
    times: dict[str, np.ndarray],
    predictions: dict[str, list[np.ndarray]],
    truth: np.ndarray,
    nominal: np.ndarray,
) -> None:
    reference, budget = predictions["constants"][-1], times["constants"].sum()
    for rule, each in times.items():
        last = predictions[rule]
        affordable = max(1, int(np.searchsorted(np.cumsum(each), budget * (1 + 1e-9), side="right")))
        cells = [
            f"{label} | {depth} | {rule} | {1e3 * each.mean():.1f}",
            f"{np.average((last[-1] - truth) ** 2, weights=nominal):.4g} | {rho2(truth, last[-1], nominal):.4f}",
            versus(truth, nominal, last[-1], reference),
            f"{affordable} | {versus(truth, nominal, last[affordable - 1], reference)}",
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trees", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=2, help="of everything, for the times")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of the training samples")
    parser.add_argument("--cache", type=Path, help="folder where simulated events are kept")
    arguments = parser.parse_args()
    print(
        "| sample | depth | rule | ms per tree | MSE | rho² | / constants | Δrho² [10⁻⁴] "
        "| trees in equal time | / constants | Δrho² [10⁻⁴] |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for seed in arguments.seeds:
        for name, term in TASKS:
            train = sample(name, term, TRAIN, seed, arguments.cache)
            test = sample(name, term, TEST, 100, arguments.cache)
            truth, nominal = test.joint_ratio()[:, 0], test.weights[:, 0]
            for depth in DEPTHS:
                events = bin_events(train, None, np.array([1]), plan_of(depth, arguments.trees), Threads(1))
                times, predictions = trained(events, test, depth, arguments.trees, arguments.repeats)
                compare(f"{name}, {term}", depth, times, predictions, truth, nominal)


if __name__ == "__main__":
    main()
