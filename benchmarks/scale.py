"""Time and peak memory of training on ROOT files that need not fit into memory, against the number of events.

    python benchmarks/scale.py [--events 1e5 1e6 1e7 3e7] [--trees 20] [--features 30] [--folder FOLDER]
    python benchmarks/scale.py --dask [--events 1e5 1e6] [--trees 20] [--features 30]

Events with 30 features and 10 weights (three coefficients, linear and quadratic terms) are made in chunks and written
to ROOT files; `bit.stream_root` reads them into its cache and all nine functions are trained at once. Every step runs
in a process of its own, whose peak memory (resident set, with the pages of the cache that are mapped) is that which the
system tells. The bound is 4 GiB at 10^7 events.

With --dask: the same events in memory, trained by two threads, and by a cluster of two processes of one thread each on
this machine, whose forest has to be the same; XGBoost and xgboost.dask for one of the functions, with the same trees,
depth and learning rate. What a cluster adds are messages: their number and size are counted, too.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import unittest.mock
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
    parser.add_argument("--dask", action="store_true", help="a cluster of two processes against two threads")
    parser.add_argument("--step", choices=["write", "read", "train", "dask"], help=argparse.SUPPRESS)
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
    if arguments.step == "dask":
        print(json.dumps(on_cluster(n_events, arguments)))
        return
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


def as_table(n_events: int, n_features: int, number: int) -> Any:
    """The events of one chunk."""
    import bit

    columns = chunk(n_events, n_features, number)
    basis = bit.PolynomialBasis(PARAMS)
    weights = np.column_stack([columns["__".join(["w", *term])] for term in basis.terms])
    names = [f"x{f}" for f in range(n_features)]
    return bit.EventTable(np.column_stack([columns[name] for name in names]), weights, basis, feature_names=names)


def on_cluster(n_events: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of all programs, and what travelled."""
    import dask
    import dask.array
    import distributed
    import xgboost
    import xgboost.dask

    import bit
    from bit.dask import DaskBoostedInformationTree, _ClusterSample
    from bit.trees.forest_json import as_document

    half, n_features = n_events // 2, arguments.features
    tables = [as_table(half, n_features, number) for number in (0, 1)]
    table = tables[0].concat(tables[1])
    settings = {"n_estimators": arguments.trees, "max_depth": arguments.depth, "n_jobs": 2}
    boosting = {"max_depth": arguments.depth, "eta": 0.2, "max_bin": 255, "tree_method": "hist", "nthread": 2}
    found: dict[str, Any] = {}

    def timed(name: str, function: Any) -> Any:
        begin = time.perf_counter()
        result = function()
        found[name] = time.perf_counter() - begin
        return result

    calls: list[tuple[str, int, float]] = []
    gather = _ClusterSample._gather

    def counting(sample: Any, function: Any, call: Any, by: Any) -> Any:
        begin = time.perf_counter()
        answer = gather(sample, function, call, by)
        size = sum(getattr(part, "nbytes", 8) for part in (answer if isinstance(answer, tuple) else [answer]))
        name = "other" if call is None else call.requests[-1][0]
        calls.append((name, size, time.perf_counter() - begin))
        return answer

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        parts = [dask.delayed(as_table)(half, n_features, number) for number in (0, 1)]
        # Once, so that kernels are loaded everywhere.
        DaskBoostedInformationTree(client, n_estimators=2).fit(
            [dask.delayed(as_table)(2000, n_features, number) for number in (0, 1)]
        )
        futures = client.compute(parts)
        distributed.wait(futures)
        for functions, terms in (("nine", None), ("one", ["a"])):
            model = DaskBoostedInformationTree(client, terms=terms, **settings)
            with unittest.mock.patch.object(_ClusterSample, "_gather", counting):
                calls.clear()
                timed(f"cluster {functions}", lambda model=model: model.fit(futures))
            found[f"calls {functions}"] = {
                name: [len(sizes), sum(sizes) / 1e6, sum(times)]
                for name in dict.fromkeys(call[0] for call in calls)
                for sizes, times in [zip(*[call[1:] for call in calls if call[0] == name], strict=True)]
            }
            local = bit.BIT(terms=terms, **settings)
            timed(f"local {functions}", lambda local=local: local.fit(table))
            if as_document(model.forest_) != as_document(local.forest_):
                raise SystemExit("the forests differ")
        x, y, w = (
            [dask.delayed(function)(future) for future in futures]
            for function in (
                lambda t: t.features,
                lambda t: t.weights[:, 1] / t.weights[:, 0],
                lambda t: t.weights[:, 0],
            )
        )
        arrays = [
            dask.array.concatenate([dask.array.from_delayed(part, (half, *shape), dtype=kind) for part in chunks])
            for chunks, shape, kind in ((x, (n_features,), np.float32), (y, (), np.float64), (w, (), np.float64))
        ]
        arrays = client.persist(arrays)
        distributed.wait(arrays)

        def xgboost_on_cluster() -> None:
            data = xgboost.dask.DaskQuantileDMatrix(client, arrays[0], arrays[1], weight=arrays[2], max_bin=255)
            xgboost.dask.train(client, boosting, data, num_boost_round=arguments.trees)

        timed("xgboost cluster", xgboost_on_cluster)
    target, nominal = table.weights[:, 1] / table.weights[:, 0], table.weights[:, 0]

    def xgboost_here() -> None:
        data = xgboost.QuantileDMatrix(table.features, target, weight=nominal, nthread=2, max_bin=255)
        xgboost.train(boosting, data, arguments.trees)

    timed("xgboost local", xgboost_here)
    return found


def print_cluster(found: dict[str, Any], n_events: int, n_trees: int) -> None:
    """Rows of one number of events."""
    rows = (("`bit`, nine functions", "local nine", "cluster nine"), ("`bit`, one", "local one", "cluster one"))
    for name, local, cluster in (*rows, ("XGBoost, one", "xgboost local", "xgboost cluster")):
        seconds = found[local], found[cluster]
        added = 1000 * (seconds[1] - seconds[0]) / n_trees
        print(f"| {n_events:.0e} | {name} | {seconds[0]:.2f} | {seconds[1]:.2f} | {added:.0f} |", flush=True)
    for functions in ("nine", "one"):
        cells = (
            f"{name}: {n} calls, {size:.1f} MB, {t:.2f} s" for name, (n, size, t) in found[f"calls {functions}"].items()
        )
        print(f"  {functions}: " + "; ".join(cells), file=sys.stderr)


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
    if arguments.dask:
        print("| events | program | two threads [s] | two processes [s] | added per tree [ms] |\n|---|---|---|---|---|")
        for n_events in map(int, arguments.events):
            print_cluster(measured("dask", n_events, Path(), arguments), n_events, arguments.trees)
        return
    print(f"{arguments.features} features, 10 weights, {arguments.trees} trees of depth {arguments.depth}, ", end="")
    print(f"{arguments.threads} threads\n")
    print("| events | files [GB] | read [s] | peak [GiB] | train [s] | s per tree | peak [GiB] | mean ρ² |")
    print("|---|---|---|---|---|---|---|---|")
    if arguments.folder is not None:
        arguments.folder.mkdir(parents=True, exist_ok=True)
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
