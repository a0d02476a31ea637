"""Seconds of `import bit` and of a first small fit in fresh processes, with a cold and a warm cache of kernels.

    python benchmarks/startup.py [--repeats 5]

A second table says what the imports of the warm start take: `python -X importtime` names every module that is
loaded on the way, and what each takes by itself is summed by package (medians of single processes; the option
makes imports slower by some per cent).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from statistics import median

IMPORT = "import time; t = time.perf_counter(); import bit; print(time.perf_counter() - t)"
FIT = """
import time
t = time.perf_counter()
import numpy as np
import bit
rng = np.random.default_rng(1)
x, w = rng.normal(size=(1000, 3)), rng.exponential(size=1000)
table = bit.EventTable(x, np.column_stack([w, w * x[:, 0], w * x[:, 0] ** 2]), bit.PolynomialBasis(["c"]),
                       feature_names=["a", "b", "c"])
bit.BIT(n_estimators=5).fit(table).predict(table)
print(time.perf_counter() - t)
"""
PACKAGES = ("numpy", "scipy", "sklearn", "pandas", "llvmlite", "numba", "bit")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="processes of which the median is taken, but cold")
    return parser.parse_args()


def fresh_process(program: str, cache: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", program],
        env=os.environ | {"NUMBA_CACHE_DIR": cache},
        capture_output=True,
        text=True,
        check=True,
    )


def seconds(program: str, cache: str, repeats: int) -> float:
    return median(float(fresh_process(program, cache).stdout) for _ in range(repeats))


def import_seconds(program: str, cache: str) -> Counter[str]:
    """Time of the imports, by package; Python's own start is not among them."""
    found: Counter[str] = Counter()
    started = False
    for line in fresh_process(program, cache, "-X", "importtime").stderr.splitlines():
        fields = line.removeprefix("import time:").split("|")
        if not line.startswith("import time:") or not fields[0].strip().isdigit():
            continue
        module = fields[2].strip()
        if started:
            package = module.split(".")[0]
            found[package if package in PACKAGES else "others"] += int(fields[0]) / 1e6
        started |= module == "site"  # the last module that Python loads by itself
    return found


def main() -> None:
    repeats = parse_arguments().repeats
    with tempfile.TemporaryDirectory() as cache:
        bare = seconds(IMPORT, cache, repeats)
        cold = seconds(FIT, cache, 1)
        warm = seconds(FIT, cache, repeats)
        imports = [import_seconds(FIT, cache) for _ in range(repeats)]
    print("| fresh process | [s] |")
    print("|---|---|")
    print(f"| `import bit` | {bare:.3f} |")
    print(f"| first fit, nothing compiled yet | {cold:.2f} |")
    print(f"| first fit, compiled kernels | {warm:.2f} |")
    by_package = {name: median(one[name] for one in imports) for name in (*PACKAGES, "others")}
    print("\n| imports within the latter | [s] |")
    print("|---|---|")
    for name, time in sorted(by_package.items(), key=lambda item: -item[1]):
        print(f"| {name} | {time:.2f} |")
    print(f"| all | {sum(by_package.values()):.2f} |")


if __name__ == "__main__":
    main()
