"""What the benchmarks share: events, programs with the same settings, fair timing, peak memory.

Every program gets the same number of trees, depth, learning rate, bins, events per leaf and threads, and the
nominal weights scaled to mean 1. No program has a floor on the sum of weights in a leaf (an absolute floor
would cut the tails, where the coefficients act), nor shrinkage of leaves, nor anything random. What a program
cannot do is left at its nearest: XGBoost and CatBoost's symmetric trees have no smallest number of events in a
leaf; `bit` has its default floor on the effective number of events as well; scikit-learn bins by weight where
there are weights, which below 2e5 events takes version 1.9 most of the fit.

A contender is a function ``fit(sample, settings=...)`` that returns the model and a function that predicts.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm
import numpy as np
import xgboost
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

import bit
from bit.basis import Term
from bit.processes.registry import PROCESSES


@dataclass(frozen=True)
class Settings:
    """What all programs are given."""

    trees: int = 100
    depth: int = 4
    leaves: int | None = None  # if given, trees grow leaf by leaf up to so many, of any depth
    learning_rate: float = 0.2
    bins: int = 255
    leaf_events: int = 50
    threads: int = 2


@dataclass(frozen=True, eq=False)
class Sample:
    """The same events as the two kinds of input: a table for `bit`, features, targets and weights for the others.

    Targets are w_k / w_0, of shape (n,) for one function; several are divided by their rms, since programs that
    share trees over targets would see the largest only.
    """

    table: bit.EventTable
    terms: tuple[Term, ...]
    targets: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, table: bit.EventTable, terms: Sequence[Term]) -> Sample:
        """Choose the functions to be learned."""
        targets, nominal = truth_of(table, terms), table.weights[:, 0].copy()
        if len(terms) > 1:
            targets /= np.sqrt(np.average(targets**2, axis=0, weights=nominal))
        return cls(table, tuple(terms), targets if len(terms) > 1 else targets[:, 0], nominal / nominal.mean())

    @property
    def features(self) -> np.ndarray:
        """Features, float32."""
        return self.table.features

    def head(self, n_events: int) -> Sample:
        """First events."""
        return Sample.of(self.table.take(slice(0, n_events)), self.terms)


class Fitted(NamedTuple):
    """A trained model and its own way to predict: features of shape (n, f) to values of shape (n, n_functions)."""

    model: Any
    predict: Callable[[np.ndarray], np.ndarray]


Contender = Callable[..., Fitted]


def truth_of(table: bit.EventTable, terms: Sequence[Term]) -> np.ndarray:
    """Joint ratios w_k / w_0 of shape (n, n_functions)."""
    return table.weights[:, [table.basis.index(term) for term in terms]] / table.weights[:, :1]


# ---------------------------------------------------------------------- programs
def fit_bit(sample: Sample, *, settings: Settings, **options: Any) -> Fitted:
    model = bit.BIT(
        settings.trees,
        learning_rate=settings.learning_rate,
        max_depth=None if settings.leaves else settings.depth,
        max_leaf_nodes=settings.leaves,
        max_bins=settings.bins,
        min_samples_leaf=settings.leaf_events,
        terms=sample.terms,
        n_jobs=settings.threads,
        **options,
    ).fit(sample.table)
    return Fitted(model, model.predict)


def fit_bit_separate(sample: Sample, *, settings: Settings) -> Fitted:
    return fit_bit(sample, settings=settings, strategy="separate")


def fit_lightgbm(sample: Sample, *, settings: Settings, linear: bool = False) -> Fitted:
    """One model per function, which share the binned data."""
    parameters = {
        "objective": "regression",
        "learning_rate": settings.learning_rate,
        "max_depth": -1 if settings.leaves else settings.depth,
        "num_leaves": settings.leaves or 2**settings.depth,
        "linear_tree": linear,
        "max_bin": settings.bins,
        "min_child_samples": settings.leaf_events,
        "min_sum_hessian_in_leaf": 1e-4,  # weights have mean 1; without a floor it can stop with an internal error
        "num_threads": settings.threads,
        "verbose": -1,
    }
    columns = sample.targets.reshape(len(sample.targets), -1).T
    data = lightgbm.Dataset(
        sample.features, columns[0], weight=sample.weights, params=parameters, free_raw_data=not linear
    )
    models = [lightgbm.train(parameters, data.construct().set_label(column), settings.trees) for column in columns]

    def predict(features: np.ndarray) -> np.ndarray:
        return np.column_stack([model.predict(features, num_threads=settings.threads) for model in models])

    return Fitted(models[0], predict)


def fit_xgboost(sample: Sample, *, settings: Settings, strategy: str = "one_output_per_tree") -> Fitted:
    model = xgboost.XGBRegressor(
        n_estimators=settings.trees,
        learning_rate=settings.learning_rate,
        max_depth=0 if settings.leaves else settings.depth,
        max_leaves=settings.leaves or 0,
        grow_policy="lossguide" if settings.leaves else "depthwise",
        max_bin=settings.bins,
        reg_lambda=0.0,
        min_child_weight=0.0,
        tree_method="hist",
        multi_strategy=strategy,
        n_jobs=settings.threads,
    ).fit(sample.features, sample.targets, sample_weight=sample.weights)
    return Fitted(model, lambda features: _matrix(model.predict(features)))


def fit_xgboost_multi(sample: Sample, *, settings: Settings) -> Fitted:
    return fit_xgboost(sample, settings=settings, strategy="multi_output_tree")


def fit_sklearn(sample: Sample, *, settings: Settings) -> Fitted:
    model = HistGradientBoostingRegressor(
        max_iter=settings.trees,
        learning_rate=settings.learning_rate,
        max_depth=settings.depth,
        max_leaf_nodes=2**settings.depth,
        max_bins=settings.bins,
        min_samples_leaf=settings.leaf_events,
        l2_regularization=0.0,
        early_stopping=False,
    )
    with threadpool_limits(settings.threads):
        model.fit(sample.features, sample.targets, sample_weight=sample.weights)

    def predict(features: np.ndarray) -> np.ndarray:
        with threadpool_limits(settings.threads):
            return _matrix(model.predict(features))

    return Fitted(model, predict)


def fit_catboost(sample: Sample, *, settings: Settings) -> Fitted:
    import catboost  # here, since the tests of other benchmarks run without it

    model = catboost.CatBoostRegressor(
        iterations=settings.trees,
        learning_rate=settings.learning_rate,
        depth=settings.depth,
        border_count=min(settings.bins, 255) - 1,
        l2_leaf_reg=0.0,
        random_strength=0.0,
        loss_function="RMSE" if sample.targets.ndim == 1 else "MultiRMSE",
        boosting_type="Plain",
        grow_policy="SymmetricTree",
        bootstrap_type="No",
        leaf_estimation_iterations=1,
        thread_count=settings.threads,
        allow_writing_files=False,
        verbose=False,
    ).fit(sample.features, sample.targets, sample_weight=sample.weights)
    return Fitted(model, lambda features: _matrix(model.predict(features, thread_count=settings.threads)))


SINGLE: Mapping[str, Contender] = {
    "bit": fit_bit,
    "LightGBM": fit_lightgbm,
    "XGBoost": fit_xgboost,
    "HistGradientBoosting": fit_sklearn,
    "CatBoost": fit_catboost,
}


def _matrix(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


# ---------------------------------------------------------------------- events


def simulated(
    n_events: int, seed: int, cache: Path | None = None, process: str = "zh", **options: Any
) -> bit.EventTable:
    """Events of a process; kept in a folder, if one is given, and read from there the next time."""
    label = "_".join([process, *(f"{name}-{value}" for name, value in options.items()), str(n_events), str(seed)])
    path = cache / f"{label}.npz" if cache else None
    if path is None or not path.exists():
        table = PROCESSES[process].simulate(n_events, seed=seed, **options).table
        if path is None:
            return table
        path.parent.mkdir(parents=True, exist_ok=True)
        bit.write_npz(path, table)
    return bit.read_npz(path)


def resampled(table: bit.EventTable, n_events: int, seed: int = 1) -> bit.EventTable:
    """Any number of events, quickly: drawn with replacement, each feature smeared by a hundredth of its spread."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(table), size=n_events)
    features = table.features[rows]
    for i, spread in enumerate(table.features.std(axis=0)):
        features[:, i] += np.float32(0.01 * spread) * rng.standard_normal(n_events, dtype=np.float32)
    return bit.EventTable(features, table.weights[rows], table.basis, feature_names=table.feature_names)


def restricted(table: bit.EventTable, names: Sequence[str]) -> bit.EventTable:
    """The linear terms of some coefficients only, as a sample has them that was made for these."""
    columns = [0, *(table.basis.index(name) for name in names)]
    basis = bit.PolynomialBasis(names, order=1)
    return bit.EventTable(table.features, table.weights[:, columns], basis, feature_names=table.feature_names)


def widened(tables: Sequence[bit.EventTable], seed: int = 40) -> list[bit.EventTable]:
    """Add 25 columns: 9 smooth functions of several features, 8 products of two, 8 of noise.

    The same functions for all tables, in units of the first one's spreads.
    """
    rng = np.random.default_rng(seed)
    centre, spread = tables[0].features.mean(axis=0), tables[0].features.std(axis=0)
    mix = rng.normal(size=(len(centre), 9)) / np.sqrt(len(centre))
    left, right = np.array([rng.choice(len(centre), 2, replace=False) for _ in range(8)]).T
    result = []
    for table in tables:
        scaled = (table.features - centre) / spread
        combined = scaled @ mix
        smooth = np.hstack([np.tanh(combined[:, :3]), np.sin(2 * combined[:, 3:6]), np.exp(-(combined[:, 6:] ** 2))])
        noise = rng.normal(size=(len(table), 8))
        features = np.hstack([table.features, smooth, scaled[:, left] * scaled[:, right], noise]).astype(np.float32)
        names = (*table.feature_names, *(f"extra{i}" for i in range(features.shape[1] - len(centre))))
        result.append(bit.EventTable(features, table.weights, table.basis, feature_names=names))
    return result


def power_of_ten(n: int) -> str:
    """5·10⁵ for 500 000."""
    digits, exponent = f"{n:.2e}".split("e")
    factor = "" if float(digits) == 1 else f"{float(digits):g}·"
    return factor + "10" + str(int(exponent)).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


# ---------------------------------------------------------------------- measurements
def warm_up(fit: Contender, sample: Sample, settings: Settings, n_events: int = 20_000) -> None:
    """Compile, import and allocate what only a first fit and prediction need."""
    small = sample.head(n_events)
    fit(small, settings=replace(settings, trees=3)).predict(small.features)


def seconds(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> tuple[float, Any]:
    """Time of a call, and its result."""
    gc.collect()
    start = time.perf_counter()
    result = function(*arguments, **keywords)
    return time.perf_counter() - start, result


def trees_for(fit: Callable[[int], Any], budget: float) -> int:
    """Number of trees that a fit grows in so many seconds, as two shorter fits say."""
    fit(2)  # compiled, warm
    few = 3
    start, _ = seconds(fit, few)
    some = max(3 * few, round(few * budget / start / 3))
    time, _ = seconds(fit, some)
    each = max(time - start, 1e-3) / (some - few)
    return max(1, few + round((budget - start) / each))


def median_seconds(calls: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median time of each call; the calls take turns, so that a slow minute of the machine hits all of them."""
    times = [[seconds(call)[0] for call in calls.values()] for _ in range(repeats)]
    return dict(zip(calls, np.median(times, axis=0).tolist(), strict=True))


def peak_memory(contenders: Mapping[str, tuple[Contender, Settings]], sample: Sample) -> dict[str, int]:
    """Bytes that each fit takes at most beyond the caller's arrays, each in a process of its own (Linux)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.npz"
        bit.write_npz(path, sample.table)
        result = {}
        for name, (fit, settings) in contenders.items():
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
                result[name] = process.submit(_peak_of_fit, fit, settings, path, sample.terms).result()
        return result


def memory_bound(sample: Sample) -> int:
    """Bytes that a fit of `bit` is allowed: n n_features + 8 n (n_terms + 2) + 64 MB, with the nominal term."""
    n_events, n_features = sample.features.shape
    return n_events * n_features + 8 * n_events * (len(sample.terms) + 3) + 64_000_000


def _peak_of_fit(fit: Contender, settings: Settings, path: Path, terms: Sequence[Term]) -> int:
    sample = Sample.of(bit.read_npz(path), terms)
    # Freed memory that an allocator keeps would be used again by the fit, unseen: little, and back to the system.
    warm_up(fit, sample, settings, n_events=2000)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # sets the high-water mark back to the present size
    before = _status("VmRSS")
    fitted = fit(sample, settings=settings)
    peak = _status("VmHWM") - before
    del fitted
    return peak


def _status(field: str) -> int:
    return 1024 * int(re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text()).group(1))
