"""Speed of the C++ header that `bit.export.to_cpp` writes, beside Forest.predict and XGBoost with the same trees.

    python benchmarks/cpp_header.py [--events 200000] [--trees 100] [--repeats 7] [--flags="-O2 -march=native"]

Trees of depth 4 trained on the shipped ZH events, for one function, and for all nine with the same splits; constant and
linear leaves, and exact parity. One thread. The header is compiled with the first of g++, clang++, c++ (or CXX), the
events are in memory, and the program measures the calls of `evaluate` for all of them; XGBoost gets the forest as
`to_xgboost` writes it, one function. The programs take turns; processor times, medians.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xgboost

import bit
from bit.export import to_cpp, to_xgboost
from bit.export.check import compile_cpp
from bit.processes.zh import CP_PARITY
from bit.trees.forest import Forest

DATA = Path(__file__).parents[1] / "data" / "zh.root"
MODELS: Mapping[str, Mapping[str, Any]] = {
    "one function": {"terms": ["cHWtil"]},
    "one function, exact parity": {"terms": ["cHWtil"], "cp_parity": CP_PARITY},
    "one function, linear leaves": {"terms": ["cHWtil"], "leaf": "linear"},
    "nine functions": {},
}
PROGRAMS = ("header", "forest", "xgboost")
PROGRAM = """\
#include "observable.hpp"
#include <cstdio>
#include <ctime>
#include <vector>

int main(int, char** arguments) {
  std::FILE* file = std::fopen(arguments[1], "rb");
  std::fseek(file, 0, SEEK_END);
  const std::size_t n = static_cast<std::size_t>(std::ftell(file)) / sizeof(double) / observable::n_features;
  std::rewind(file);
  std::vector<double> x(n * observable::n_features), out(n * observable::n_outputs);
  if (std::fread(x.data(), sizeof(double), x.size(), file) != x.size()) return 1;
  const std::clock_t start = std::clock();
  observable::evaluate(x.data(), n, out.data());
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  double total = 0.0;
  for (const double value : out) total += value;
  std::printf("%.17g %.17g\\n", seconds, total);
}
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--flags", default="-O2", help="of the compiler")
    return parser.parse_args()


def timed(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def header_of(forest: Forest, features: np.ndarray, folder: Path, flags: list[str]) -> Callable[[], float]:
    """Compile the header and return what measures one pass over the events, after a comparison of the sums."""
    to_cpp(forest, folder / "observable.hpp")
    (folder / "main.cpp").write_text(PROGRAM, encoding="utf-8")
    features.astype(np.float64).tofile(folder / "events")
    compile_cpp(folder / "main.cpp", folder / "main", *flags)

    def run() -> tuple[float, float]:
        command = [str(folder / "main"), str(folder / "events")]
        seconds, total = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return float(seconds), float(total)

    np.testing.assert_allclose(run()[1], forest.predict(features).sum(), rtol=1e-9)
    return lambda: run()[0]


def main() -> None:
    arguments = parse_arguments()
    table = bit.read_root(DATA, show_progress=False)
    features = np.resize(table.features, (arguments.events, len(table.feature_names)))
    print(f"{arguments.trees} trees of depth 4, {len(table.feature_names)} features, one thread, {arguments.flags}\n")
    print("| trees | header [10⁶ events / s] | Forest.predict | XGBoost | header / Forest.predict | header / XGBoost |")
    print("|---|---|---|---|---|---|")
    for name, options in MODELS.items():
        model = bit.BIT(arguments.trees, max_depth=4, learning_rate=0.1, random_state=0, n_jobs=2, **options)
        forest = model.fit(table).forest_
        with TemporaryDirectory() as place:
            folder = Path(place)
            runs = {
                "header": header_of(forest, features, folder, arguments.flags.split()),
                "forest": lambda forest=forest: timed(lambda: forest.predict(features)),
            }
            if forest.n_outputs == 1 and "leaf" not in options:
                to_xgboost(forest, folder / "model.json")
                booster = xgboost.Booster({"nthread": 1}, model_file=folder / "model.json")
                runs["xgboost"] = lambda booster=booster: timed(lambda: booster.inplace_predict(features))
            times: dict[str, list[float]] = {program: [] for program in runs}
            for _ in range(arguments.repeats):
                for program, run in runs.items():
                    times[program].append(run())
        rates = {program: arguments.events / statistics.median(found) / 1e6 for program, found in times.items()}
        ratios = {program: rates["header"] / rate for program, rate in rates.items()}
        columns = [*(rates.get(program) for program in PROGRAMS), *(ratios.get(program) for program in PROGRAMS[1:])]
        print(f"| {name} | " + " | ".join("–" if value is None else f"{value:.2f}" for value in columns) + " |")


if __name__ == "__main__":
    main()
