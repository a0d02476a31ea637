"""Prediction speed of `bit` beside other boosters and a compiler of trees, and the latency of a single event.

    python benchmarks/prediction.py [--events 1000000] [--trees 300] [--repeats 5] [--cache FOLDER]

ZH events with 15 features, float32; trees of depth 4 from each program's own training (`_contenders.py`), two
threads, each program's own predict; CatBoost's trees are symmetric. The programs take turns; times are medians.
lleaves compiles LightGBM's model to machine code first. Single events go in one after the other, on one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightgbm
import lleaves
import numpy as np
from _contenders import (
    Sample,
    Settings,
    fit_bit,
    fit_catboost,
    fit_lightgbm,
    fit_xgboost,
    median_seconds,
    power_of_ten,
    seconds,
    simulated,
)

import bit

CALLS = 3000


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="events to predict")
    parser.add_argument("--train-events", type=int, default=200_000)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--threads", type=int, default=Settings.threads)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cache", type=Path, help="folder where simulated events are kept")
    return parser.parse_args()


def compiled(booster: lightgbm.Booster) -> lleaves.Model | None:
    """The model as machine code, or None, with the reason printed, where lleaves fails with this llvmlite."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.txt"
        booster.save_model(path)
        try:
            model = lleaves.Model(model_file=path)
            time_compile, _ = seconds(model.compile)
        except Exception as error:  # whatever an incompatible llvmlite raises
            versions = " with ".join(f"{name} {version(name)}" for name in ("lleaves", "llvmlite"))
            print(f"{versions} does not work and is left out: {type(error).__name__}: {error}.\n")
            return None
    print(f"lleaves compiled the model in {time_compile:.1f} s.\n")
    return model


def many_events(predictions: Mapping[str, Callable[[np.ndarray], Any]], features: np.ndarray, repeats: int) -> None:
    for predict in predictions.values():
        predict(features[:1000])
    calls = {name: lambda predict=predict: predict(features) for name, predict in predictions.items()}
    found = median_seconds(calls, repeats)
    print(f"| program | {power_of_ten(len(features))} events [s] | million events / s | / LightGBM |")
    print("|---|---|---|---|")
    for name, time_one in found.items():
        speed = len(features) / time_one / 1e6
        print(f"| {name} | {time_one:.3f} | {speed:.3g} | {found['LightGBM'] / time_one:.1f} |")


def one_event(predictions: Mapping[str, Callable[[np.ndarray], Any]], features: np.ndarray) -> None:
    """Median time of a call, over calls with different events."""
    print("\n| program | one event [µs] |")
    print("|---|---|")
    for name, predict in predictions.items():
        rows = [row.copy() for row in features[:CALLS]]
        times = np.empty(len(rows))
        for row in rows[:100]:
            predict(row)
        for i, row in enumerate(rows):
            start = time.perf_counter_ns()
            predict(row)
            times[i] = time.perf_counter_ns() - start
        print(f"| {name} | {np.median(times) / 1e3:.1f} |")


def main() -> None:
    arguments = parse_arguments()
    settings = Settings(trees=arguments.trees, threads=arguments.threads)
    train = simulated(arguments.train_events, 1, arguments.cache)
    features = simulated(arguments.events, 1000, arguments.cache).features
    sample, all_terms = Sample.of(train, [("cHW",)]), Sample.of(train, train.basis.terms[1:])
    one, nine, light, xgb, cat = (
        fit_bit(sample, settings=settings),
        fit_bit(all_terms, settings=settings),
        fit_lightgbm(sample, settings=settings),
        fit_xgboost(sample, settings=settings),
        fit_catboost(sample, settings=settings),
    )
    print(f"{arguments.trees} trees of depth {settings.depth}, {settings.threads} threads for many events\n")
    fast = compiled(light.model)
    many = {
        "bit, one function": one.predict,
        "bit, nine functions": nine.predict,
        "LightGBM": light.predict,
        "XGBoost": xgb.predict,
        "CatBoost": cat.predict,
    }
    alone = bit.BIT.from_forest(one.model.forest_).set_params(n_jobs=1)
    single = {
        "bit, forest.evaluator()": one.model.forest_.evaluator(),
        "bit, forest.evaluator(), nine functions": nine.model.forest_.evaluator(),
        "bit, model.predict": lambda row: alone.predict(row[np.newaxis]),
        "LightGBM": lambda row: light.model.predict(row[np.newaxis], num_threads=1),
    }
    if fast is not None:
        many["lleaves"] = lambda values: fast.predict(values, n_jobs=settings.threads)
        single["lleaves"] = lambda row: fast.predict(row[np.newaxis], n_jobs=1)
        np.testing.assert_allclose(many["lleaves"](features[:1000]), light.predict(features[:1000])[:, 0], rtol=1e-9)
    many_events(many, features, arguments.repeats)
    one_event(single, features)


if __name__ == "__main__":
    main()
