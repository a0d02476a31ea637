"""Forests of every kind that the exports have to say."""

import shutil
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

import bit
from bit.export import to_correctionlib, to_cpp, to_json, to_numpy, to_onnx, to_xgboost
from bit.export.check import COMPILERS

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, COMPILERS)), reason=f"no C++ compiler ({', '.join(COMPILERS)}) is installed"
)
needs_onnx = pytest.mark.skipif(
    not (find_spec("onnx") and find_spec("onnxruntime")),
    reason="onnx and onnxruntime of the extra 'dev' are not installed",
)
needs_xgboost = pytest.mark.skipif(not find_spec("xgboost"), reason="xgboost of the extra 'baselines' is not installed")
needs_correctionlib = pytest.mark.skipif(
    not find_spec("correctionlib"), reason="correctionlib of the extra 'formats' is not installed"
)
EXACT = ("json", "cpp", "numpy")
FORMATS = [
    "json",
    pytest.param("cpp", marks=needs_compiler),
    "numpy",
    pytest.param("onnx", marks=needs_onnx),
    pytest.param("xgboost", marks=needs_xgboost),
    pytest.param("correctionlib", marks=needs_correctionlib),
]
WRITE = {
    "json": to_json,
    "cpp": to_cpp,
    "numpy": to_numpy,
    "onnx": to_onnx,
    "xgboost": to_xgboost,
    "correctionlib": to_correctionlib,
}
SUFFIX = {"correctionlib": ".json"}  # which it demands
FORMULA_FORMATS = [
    "json",
    pytest.param("cpp", marks=needs_compiler),
    "numpy",
    "latex",
    "tformula",
    pytest.param("correctionlib", marks=needs_correctionlib),
]

NAMES = ("phi", 'm µ"\\', "minus??/", "plus")  # names that need care in source code
PARITY = bit.CPParity(flip=["phi"], swap=[("minus??/", "plus")], odd_params=["b"])
CASES = {
    "one_tree": {"n_estimators": 1},
    "hundred_trees": {"n_estimators": 100},
    "linear": {"leaf": "linear"},
    "symmetric": {"cp_parity": PARITY},
    "symmetric_linear": {"cp_parity": PARITY, "leaf": "linear", "strategy": "separate"},
    "separate": {"strategy": "separate", "terms": ["a", "b"]},
    "separate_linear": {"strategy": "separate", "leaf": "linear", "early_stopping": True, "n_iter_no_change": 1},
    "large_trees": {"max_depth": 8, "min_samples_leaf": 2, "min_effective_samples": 0},  # more than 32 leaves
    # Leaf by leaf, deeper than the levels that XGBoost keeps in an array of its own.
    "deep_symmetric": {"cp_parity": PARITY, "max_depth": None, "max_leaf_nodes": 60, "min_effective_samples": 0},
    "positive": {"positive": True},
    "roots": {"min_effective_samples": 5000},  # trees without a split
    "linear_roots": {"min_effective_samples": 5000, "leaf": "linear"},
}
ALL_CASES = [*CASES, "no_trees", "no_groups"]
CONSTANT_CASES = [case for case in ALL_CASES if "linear" not in case]


def make_table(n=1200):
    rng = np.random.default_rng(20261122)
    features = rng.normal([0.2, 1.0, 0.0, 0.0], 1.0, (n, 4)).astype(np.float32)
    nominal = rng.exponential(size=n)
    a, b = features[:, 1] + 0.3 * features[:, 2], features[:, 0] + 0.5 * (features[:, 2] - features[:, 3])
    columns = np.column_stack([np.ones(n), a, b, a * a, a * b, b * b]) + 0.2 * rng.normal(size=(n, 6))
    special = rng.random(features.shape) < 0.02
    features[special] = rng.choice([np.nan, np.inf, -np.inf], special.sum())
    basis = bit.PolynomialBasis(["a", "b"], reference=[0.1, 0.0])
    units = ("rad", "GeV", "GeV", "GeV")
    return bit.EventTable(features, columns * nominal[:, np.newaxis], basis, feature_names=NAMES, units=units)


def make_forests():
    """Forest of each case, by name."""
    table = make_table()
    options = {"n_estimators": 6, "min_samples_leaf": 10, "max_depth": 3, "random_state": 0, "n_jobs": 1}
    found = {case: bit.BIT(**(options | changes)).fit(table).forest_ for case, changes in CASES.items()}
    found["no_trees"] = found["separate"].first(0)
    found["no_groups"] = replace(found["one_tree"], groups=())
    return found


def with_whole_leaves(forest):
    """The forest with even numbers as values, exact in any precision and order: one wrong turn would show."""
    rng = np.random.default_rng(3)

    def values(group):
        return np.where(group.feature[:, np.newaxis] < 0, 2.0 * rng.integers(-999, 1000, group.value.shape), 0.0)

    groups = tuple(replace(group, value=values(group)) for group in forest.groups)
    return replace(forest, groups=groups, base=2.0 * np.arange(forest.n_outputs))
