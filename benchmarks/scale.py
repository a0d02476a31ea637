"""Time and peak memory of training on ROOT files that need not fit into memory, against the number of events.

    python benchmarks/scale.py [--events 1e5 1e6 1e7 3e7] [--trees 20] [--features 30] [--folder FOLDER]

Events with 30 features and 10 weights (three coefficients, linear and quadratic terms) are made in chunks and written
to ROOT files; `bit.stream_root` reads them into its cache and all nine functions are trained at once. Every step runs
in a process of its own, whose peak memory (resident set, with the pages of the cache that are mapped) is that which the
system tells. The bound is 4 GiB at 10^7 events.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

PARAMS = ("a", "b", "c")
CHUNK = 200_000


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=float, nargs="+", default=[1e5, 3e5, 1e6, 3e6, 1e7, 3e7])
    parser.add_argument("--trees", type=int, default=20)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--features", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where files are written (default: temporary, removed)")
    parser.add_argument("--checkpoint", action="store_true", help="write a checkpoint every 10 trees, too")
    parser.add_argument("--step", choices=["write", "read", "train"], help=argparse.SUPPRESS)
    return parser.parse_args()


def chunk(n_events: int, n_features: int, number: int) -> dict[str, np.ndarray]:
    """Events whose scores depend on a few of the features, and fluctuate around it."""
    rng = np.random.default_rng([1, number])
    x = rng.normal(size=(n_features, n_events)).astype(np.float32)
    x[1::3] = np.exp(x[1::3])
    nominal = rng.exponential(size=n_events)
    noise = 0.5 * rng.normal(size=(len(PARAMS), n_events))
    score = np.array([x[0] + 0.3 * x[3] ** 2, x[6] * x[9], np.log(x[1]) + np.sin(x[12])]) + noise
    columns = {f"x{f}": values for f, values in enumerate(x)}
    columns["w"] = nominal
    for a, first in enumerate(PARAMS):
        columns[f"w__{first}"] = nominal * score[a]
        for b, second in enumerate(PARAMS[a:], start=a):
            columns[f"w__{first}__{second}"] = nominal * score[a] * score[b]
    return columns


def write(path: Path, n_events: int, n_features: int) -> None:
    import uproot

    with uproot.recreate(path, compression=None) as file:
        tree = None
        for number, low in enumerate(range(0, n_events, CHUNK)):
            columns = chunk(min(CHUNK, n_events - low), n_features, number)
            if tree is None:
                tree = file.mktree("events", {name: values.dtype for name, values in columns.items()})
            tree.extend(columns)


def run_step(arguments: argparse.Namespace) -> None:
    """One step in this process; prints its time and peak memory."""
    n_events, folder = int(arguments.events[0]), arguments.folder
    begin = time.perf_counter()
    quality = None
    if arguments.step == "write":
        write(folder / "events.root", n_events, arguments.features)
    else:
        import bit

        stream = bit.stream_root(folder / "events.root", cache=folder / "cache")
        table = stream.table()
        if arguments.step == "train":
            model = bit.BIT(arguments.trees, max_depth=arguments.depth, n_jobs=arguments.threads, verbose=1)
            checkpoint = folder / "checkpoint.json" if arguments.checkpoint else None
            begin = time.perf_counter()
            model.fit(table, checkpoint=checkpoint)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if arguments.step == "train":
        quality = mean_rho2(model, arguments.features)
    print(json.dumps({"seconds": seconds, "peak": peak, "rho2": quality}))


def mean_rho2(model: Any, n_features: int) -> float:
    """Squared correlation with the ratios of events that were not trained on, mean over the nine functions."""
    from bit.metrics import rho2

    fresh = chunk(CHUNK, n_features, 10**6)
    weights = np.column_stack([fresh["__".join(["w", *term])] for term in model.output_terms_])
    predicted = model.predict(np.column_stack([fresh[f"x{f}"] for f in range(n_features)]))
    return float(rho2(weights / fresh["w"][:, np.newaxis], predicted, fresh["w"]).mean())


def measured(step: str, n_events: int, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    options = ["--step", step, "--events", str(n_events), "--folder", str(folder)]
    for name in ("trees", "depth", "features", "threads"):
        options += [f"--{name}", str(getattr(arguments, name))]
    options += ["--checkpoint"] if arguments.checkpoint else []
    done = subprocess.run([sys.executable, __file__, *options], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    arguments = parse_arguments()
    if arguments.step:
        run_step(arguments)
        return
    print(f"{arguments.features} features, 10 weights, {arguments.trees} trees of depth {arguments.depth}, ", end="")
    print(f"{arguments.threads} threads\n")
    print("| events | files [GB] | read [s] | peak [GiB] | train [s] | s per tree | peak [GiB] | mean ρ² |")
    print("|---|---|---|---|---|---|---|---|")
    for n_events in map(int, arguments.events):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            folder = Path(name)
            measured("write", n_events, folder, arguments)
            size = (folder / "events.root").stat().st_size / 1e9
            read, train = (measured(step, n_events, folder, arguments) for step in ("read", "train"))
        cells = (
            f"{n_events:.0e} | {size:.2f} | {read['seconds']:.1f} | {read['peak'] / 2**30:.2f}",
            f"{train['seconds']:.1f} | {train['seconds'] / arguments.trees:.2f} | {train['peak'] / 2**30:.2f}",
            f"{train['rho2']:.3f}",
        )
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
