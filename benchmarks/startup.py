"""Seconds of `import bit` and of a first small fit in a fresh process, with a cold and a warm cache of kernels.

python benchmarks/startup.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

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


def seconds(program: str, cache: str) -> float:
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return float(run.stdout)


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        print(f"import bit:            {seconds(IMPORT, cache):6.2f} s")
        print(f"first fit, cold cache: {seconds(FIT, cache):6.2f} s (imports and compilation included)")
        print(f"first fit, warm cache: {seconds(FIT, cache):6.2f} s")


if __name__ == "__main__":
    main()
