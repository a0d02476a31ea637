"""Training on a cluster gives the forest of one machine, and survives what happens on clusters."""

import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest

import bit
from bit.errors import BitWarning, ClusterError, FileFormatError, InputError
from bit.trees.forest_json import as_document

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

from bit.dask import DaskBoostedInformationTree  # noqa: E402

# Sockets of workers that are killed are closed when the loop is collected.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BASIS = bit.PolynomialBasis(["a", "b"])
PARITY = bit.CPParity(flip=["p"], swap=[("q", "r")], odd_params=["a"])
SMALL = {"n_estimators": 4, "max_depth": 3}


def make_table(seed, n=1500):
    """Two coefficients, quadratic; w_0 of both signs and 0, ties, NaN."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 4))
    features[:, 3] = np.round(features[:, 3], 1)
    features[rng.random(n) < 0.1, 3] = np.nan
    nominal = rng.exponential(size=n) * np.where(rng.random(n) < 0.1, -1.0, 1.0)
    nominal[:5] = 0.0
    score = np.column_stack([features[:, 0], features[:, 1] * features[:, 2]]) + rng.normal(size=(n, 2))
    columns = [nominal, *(nominal * t for t in score.T)]
    columns += [2 * nominal * score[:, i] * score[:, j] for i, j in ((0, 0), (0, 1), (1, 1))]
    return bit.EventTable(features, np.column_stack(columns), BASIS, feature_names=["p", "q", "r", "s"])


SIZES = (1500, 400, 900)


def make_part(number):
    return make_table(number, SIZES[number])


def whole_table():
    table = make_part(0)
    for number in (1, 2):
        table = table.concat(make_part(number))
    return table


def delayed_parts():
    return [dask.delayed(make_part)(number) for number in range(3)]


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit="2GB"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def assert_same(trained, **parameters):
    """The document of the forest and the losses are those of one machine."""
    local = bit.BIT(**parameters).fit(whole_table())
    assert as_document(trained.forest_) == as_document(local.forest_)
    np.testing.assert_array_equal(trained.model_.train_loss_, local.train_loss_)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cp_parity": PARITY},
        {"strategy": "separate", "n_estimators": 2, "terms": ["a", ("a", "b")]},
        pytest.param({"bin_weights": "count", "max_leaf_nodes": 6, "max_bins": 20}, marks=pytest.mark.slow),
        pytest.param({"bin_weights": "nominal", "terms": ["a"]}, marks=pytest.mark.slow),
        pytest.param(
            {"bin_weights": "loss", "sketch": 2, "max_features": 0.5, "random_state": 3}, marks=pytest.mark.slow
        ),
    ],
    ids=["joint", "parity", "separate", "count", "nominal", "sketch"],
)
def test_forest_is_that_of_one_machine(client, options):
    parameters = SMALL | options
    assert_same(DaskBoostedInformationTree(client, **parameters).fit(delayed_parts()), **parameters)


def test_predictions_lie_on_the_cluster(client):
    trained = DaskBoostedInformationTree(client, **SMALL).fit(delayed_parts())
    predicted = trained.predict(delayed_parts())
    assert predicted.shape[1] == 5
    np.testing.assert_array_equal(predicted.compute(), trained.model_.predict(whole_table()))


def as_frame(number):
    table = make_part(number)
    frame = pd.DataFrame(table.features, columns=table.feature_names)
    return frame.assign(**dict(zip(["w0", "wa", "wb", "waa", "wab", "wbb"], table.weights.T, strict=True)))


def test_data_frames_with_an_empty_partition(client):
    frames = pytest.importorskip("dask.dataframe")
    empty = dask.delayed(as_frame)(0)[:0]
    parts = [dask.delayed(as_frame)(0), empty, dask.delayed(as_frame)(1), dask.delayed(as_frame)(2)]
    frame = frames.from_delayed(parts, meta=as_frame(1).iloc[:0])
    columns = {"basis": BASIS, "weights": ["w0", "wa", "wb", "waa", "wab", "wbb"]}
    with pytest.warns(BitWarning, match=r"partitions \[1\] are empty"):
        trained = DaskBoostedInformationTree(client, **SMALL).fit(frame, **columns)
    assert_same(trained, **SMALL)
    np.testing.assert_array_equal(trained.predict(frame).compute(), trained.model_.predict(whole_table()))
    with pytest.raises(InputError, match="give basis="):
        DaskBoostedInformationTree(client, **SMALL).fit(frame)
    with pytest.raises(InputError, match="no column 'w1'"):
        DaskBoostedInformationTree(client, **SMALL).fit(parts, basis=BASIS, weights=["w1", *columns["weights"][1:]])


def test_root_files(client, tmp_path):
    paths = [tmp_path / f"{number}.root" for number in range(3)]
    for number, path in enumerate(paths):
        bit.write_root(path, make_part(number))
    assert_same(DaskBoostedInformationTree(client, **SMALL).fit(paths), **SMALL)
    with pytest.raises(InputError, match="norm='average' needs all events"):
        DaskBoostedInformationTree(client).fit(paths, norm="average")


def test_checkpoints_go_from_cluster_to_machine(client, tmp_path):
    path = tmp_path / "checkpoint.json"
    DaskBoostedInformationTree(client, **SMALL).fit(delayed_parts(), checkpoint=path)
    longer = SMALL | {"n_estimators": 6}
    continued = DaskBoostedInformationTree(client, **longer).fit(delayed_parts(), resume=path)
    assert_same(continued, **longer)
    local = bit.BIT(**longer).fit(whole_table(), resume=path)
    assert as_document(local.forest_) == as_document(continued.forest_)


# ---------------------------------------------------------------------- what goes wrong
def other_columns():
    table = make_part(1)
    return bit.EventTable(table.features, table.weights, BASIS, feature_names=["p", "q", "r", "t"])


def without_memory():
    raise MemoryError("no room")


@pytest.mark.parametrize(
    ("function", "error", "match"),
    [
        (other_columns, InputError, r"partition 1 has feature_names=.*'t'.*partition 0.*'s'"),
        (without_memory, ClusterError, r"partition 1 on worker tcp.*MemoryError: no room; give smaller partitions"),
        (dict, InputError, "partition 1: a partition is a dict"),
    ],
    ids=["columns", "memory", "type"],
)
def test_bad_partitions(client, function, error, match):
    with pytest.raises(error, match=match):
        DaskBoostedInformationTree(client, **SMALL).fit([dask.delayed(make_part)(0), dask.delayed(function)()])


@pytest.mark.parametrize(
    "option", [{"early_stopping": True}, {"leaf": "linear"}, {"positive": True}, {"subsample": 0.5}], ids=str
)
def test_what_is_not_for_clusters(client, option):
    with pytest.raises(InputError, match=f"{next(iter(option))}=.* is not for clusters"):
        DaskBoostedInformationTree(client, **option).fit(delayed_parts())


@pytest.mark.parametrize(
    "parts", [[], make_table(1, 10), "events.root", [make_table(1, 10)], [1]], ids=lambda p: type(p).__name__
)
def test_what_is_no_partition(client, parts):
    with pytest.raises((InputError, ClusterError)):
        DaskBoostedInformationTree(client).fit(parts)


class Interrupter:
    """A progress bar that does something when so many trees are there."""

    def __init__(self, at_tree, action):
        self.n_trees, self.at_tree, self.action = 0, at_tree, action

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def set_postfix_str(self, *_, **__):
        pass

    def update(self, n):
        self.n_trees += n
        if n and self.n_trees == self.at_tree:
            self.action()


def at_tree(monkeypatch, number, action):
    from bit.trees import boosting

    monkeypatch.setattr(boosting, "progress_bar", lambda *_, **__: Interrupter(number, action))


def test_killed_worker(client, monkeypatch):
    pids = client.run(os.getpid)
    at_tree(monkeypatch, 2, lambda: os.kill(sorted(pids.items())[0][1], signal.SIGKILL))
    trained = DaskBoostedInformationTree(client, **SMALL).fit(delayed_parts())
    monkeypatch.undo()
    assert_same(trained, **SMALL)
    client.wait_for_workers(2, timeout=60)


@pytest.mark.usefixtures("ctrl_c_works")
def test_interrupt_keeps_trees(client, monkeypatch):
    def interrupt():
        # It comes while the client waits for the histograms of the next tree.
        threading.Timer(0.02, signal.raise_signal, [signal.SIGINT]).start()

    at_tree(monkeypatch, 3, interrupt)
    with pytest.warns(BitWarning, match="interrupted after"):
        trained = DaskBoostedInformationTree(client, n_estimators=200, max_depth=3).fit(delayed_parts())
    monkeypatch.undo()
    assert trained.model_.interrupted_
    n_trees = trained.model_.n_iter_
    assert 3 <= n_trees < 200
    local = bit.BIT(n_estimators=n_trees, max_depth=3).fit(whole_table())
    np.testing.assert_array_equal(trained.model_.predict(whole_table()), local.predict(whole_table()))


def killer(number):
    """A partition that is too much for any worker."""
    os.kill(os.getpid(), signal.SIGKILL)


def sleeper(number):
    time.sleep(5)
    return make_part(number)


def test_worker_that_does_not_answer(client):
    with pytest.raises(ClusterError, match=r"no answer within timeout=1 s of partition 0 on tcp.*\(running\)"):
        DaskBoostedInformationTree(client, timeout=1.0, **SMALL).fit([dask.delayed(sleeper)(0)])


def test_damaged_file(client, tmp_path):
    path = tmp_path / "events.root"
    path.write_bytes(b"nothing")
    with pytest.raises(FileFormatError, match=r"partition 0: .*events\.root"):
        DaskBoostedInformationTree(client, **SMALL).fit([path])


@pytest.mark.slow
def test_two_trainings_at_once(client):
    found = {}

    def train(max_depth):
        found[max_depth] = DaskBoostedInformationTree(client, n_estimators=4, max_depth=max_depth).fit(delayed_parts())

    threads = [threading.Thread(target=train, args=[max_depth]) for max_depth in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    for max_depth in (2, 3):
        assert_same(found[max_depth], n_estimators=4, max_depth=max_depth)


@pytest.mark.slow
def test_partition_that_kills_its_workers():
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(ClusterError, match="partition 1 lost its worker 4 times"),
    ):
        DaskBoostedInformationTree(client, **SMALL).fit([dask.delayed(make_part)(0), dask.delayed(killer)(1)])


@pytest.mark.slow
def test_cluster_of_one_that_is_killed(monkeypatch):
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        [pid] = client.run(os.getpid).values()
        at_tree(monkeypatch, 2, lambda: os.kill(pid, signal.SIGKILL))
        trained = DaskBoostedInformationTree(client, **SMALL).fit(delayed_parts())
        monkeypatch.undo()
        assert_same(trained, **SMALL)
