"""Training on a cluster of dask.distributed, for events that lie in many files or on many machines.

Every partition becomes a shard in the memory of a worker: codes, weights and residuals of its events. The client asks
all shards the same question, dask adds up their answers in a fixed tree, and the client finds the splits: the same code
as on one machine, with the shards elsewhere. All sums are integers, and thresholds are exact quantiles, so the forest
is the same, bit for bit, as that of `BoostedInformationTree` for all events in one table.

A shard is a function of its partition and of what it was told since. The client keeps that record: a shard whose
worker died is built again on another worker from its source and the record, which holds little more than the trees.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

import bit
from bit.basis import FloatArray, PolynomialBasis
from bit.errors import BitError, BitWarning, ClusterError, InputError, near_match
from bit.estimators import BoostedInformationTree
from bit.events import EventTable
from bit.kernels.dtypes import CODE, FEATURE, N_CODES
from bit.kernels.sums import bounds_of, sum_quanta
from bit.optional import require
from bit.threads import Threads
from bit.trees.binner import Binner, Ranking, columns_of_edges, edges_of, encode, loss_of_term, size_or_mean
from bit.trees.exact import quantisation_scale
from bit.trees.forest import Forest
from bit.trees.mirror import Mirror
from bit.trees.sample import Sample
from bit.trees.shards import Quanta, Shards, Split, merge, plant_shard
from bit.trees.walk import IntArray

_FAN = 8  # answers that one task adds up
_POLL = 1.0  # seconds between two looks at whether all workers are there
_LOSSES = 3  # workers that a partition may lose
_Request = tuple[str, tuple[Any, ...]]
# What has to be repeated on a shard that is built again; all other questions leave a shard as it is.
_CHANGES = {
    "measure",
    "quantise",
    "bin",
    "open",
    "divide",
    "shard.start",
    "shard.combine",
    "shard.plant",
    "shard.update",
    "shard.update_pairs",
}
# What each change makes void of those before it.
_REPLACES = {
    "bin": _CHANGES,
    "open": _CHANGES - {"bin"},
    "shard.start": _CHANGES - {"bin", "open"},
    "shard.combine": {"shard.combine"},
    "shard.plant": {"shard.plant", "divide"},
}


class DaskBoostedInformationTree:
    """Boosted information trees, trained on a cluster; the model is that of one machine.

    Parameters
    ----------
    client : distributed.Client, optional
        The cluster; default the current client.
    timeout : float, default=600
        Seconds that one step may take before the training is given up.
    **parameters
        As of `BoostedInformationTree`. Not on a cluster: ``early_stopping``, ``leaf="linear"``, ``positive`` and
        ``subsample`` below 1. `n_jobs` are the threads of the client.

    Attributes
    ----------
    model_ : BoostedInformationTree
        After `fit`: the trained model, in this process.

    Notes
    -----
    Each partition is worked on by one thread, so there should be at least as many as threads of all workers, and
    each must fit into the memory of a worker: 8 bytes for each weight and residual of an event, 2 for each feature;
    while it is read also 4 for each feature. `bit` must be installed on the workers.

    Examples
    --------
    >>> from dask import delayed
    >>> from distributed import Client
    >>> import bit
    >>> from bit.dask import DaskBoostedInformationTree
    >>> from bit.processes.analytic import PowerLaw
    >>> parts = [delayed(PowerLaw().sample)(1000, seed=seed) for seed in (1, 2)]
    >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
    ...     model = DaskBoostedInformationTree(client, n_estimators=5).fit(parts)
    ...     model.model_.n_iter_, model.predict(parts).compute().shape
    (5, (2000, 2))
    """

    def __init__(self, client: Any = None, *, timeout: float = 600.0, **parameters: Any) -> None:
        self.client, self.timeout = client, timeout
        self.estimator = BoostedInformationTree(**parameters)

    def fit(
        self,
        parts: Any,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 10,
        resume: str | os.PathLike[str] | None = None,
        **reading: Any,
    ) -> DaskBoostedInformationTree:
        """Train on the events of all partitions.

        Parameters
        ----------
        parts : sequence of Delayed, Future, str or path-like; or dask DataFrame
            Partitions: delayed `EventTable` or DataFrames, or ROOT files, each of which is a partition. A partition
            whose worker dies is computed or read again, so it must always give the same events.
        checkpoint, checkpoint_every, resume
            As of `BoostedInformationTree.fit`, on the client; a training may be continued on one machine and
            the other way round.
        **reading
            For ROOT files as of `bit.read_root`. For DataFrames: ``basis``, the `PolynomialBasis`; ``weights``, the
            columns with its terms in fb, the nominal one first; ``features``, by default all other columns.

        Returns
        -------
        DaskBoostedInformationTree
            The estimator itself.

        Raises
        ------
        InputError, FileFormatError
            As `BoostedInformationTree.fit` and `bit.read_root`; for partitions with other columns or terms than the
            first one, and for parameters that are not for clusters.
        ClusterError
            If a worker runs out of memory, does not answer in time, or a partition loses its worker for
            the fourth time.

        Warns
        -----
        BitWarning
            If partitions are empty, or Ctrl-C ended the training (the trees grown until then are kept).
        """
        model = clone(self.estimator)
        _refuse(model)
        client = self.client if self.client is not None else _distributed().default_client()
        sample = _ClusterSample(client, _sources(parts, reading), float(self.timeout))
        self.model_ = model.fit(sample, checkpoint=checkpoint, checkpoint_every=checkpoint_every, resume=resume)
        return self

    def predict(self, parts: Any) -> Any:
        """Learned R_k(x) of the events of all partitions, computed where they lie.

        Parameters
        ----------
        parts : sequence of Delayed or Future, or dask DataFrame
            Partitions of features: delayed `EventTable` or DataFrames.

        Returns
        -------
        dask.array.Array of float64, shape (n_events, n_trained_terms)
            One chunk for each partition, of a length that is known once it is computed.
        """
        dask, array = require("dask", for_="bit.dask"), require("dask.array", for_="bit.dask")
        # One node of the graph: the model travels once to each worker.
        model = dask.delayed(self.model_)
        width = len(self.model_.output_terms_)
        chunks = [
            array.from_delayed(dask.delayed(_predicted)(model, part), shape=(np.nan, width), dtype=np.float64)
            for part in _partitions(parts)
        ]
        return array.concatenate(chunks, allow_unknown_chunksizes=True)

    @property
    def forest_(self) -> Forest:
        """The trees."""
        forest: Forest = self.model_.forest_
        return forest


def _distributed() -> Any:
    return require("distributed", for_="bit.dask")


def _refuse(model: BoostedInformationTree) -> None:
    refused = {"early_stopping": model.early_stopping, "positive": model.positive, "leaf": model.leaf == "linear"}
    refused["subsample"] = model.subsample != 1.0
    for name, is_set in refused.items():
        if is_set:
            raise InputError(
                f"{name}={getattr(model, name)!r} is not for clusters, which train on all events with constant "
                "leaves; leave it out, or train on one machine (bit.stream_root for samples larger than memory)."
            )


def _predicted(model: BoostedInformationTree, part: Any) -> FloatArray:
    if hasattr(part, "columns") and len(part) == 0:
        return np.empty((0, len(model.output_terms_)))
    return model.predict(part)


# ---------------------------------------------------------------------- where events come from
class _Source(NamedTuple):
    """A partition: something to be computed or read, and how its content becomes a table."""

    content: Any
    reader: Any


@dataclass(frozen=True)
class _FrameReader:
    """Columns of DataFrames; tables are as they are."""

    basis: PolynomialBasis | None = None
    weights: Sequence[str] = ()
    features: Sequence[str] | None = None

    def __call__(self, content: Any) -> EventTable | None:
        """Return the events, None if there are none."""
        if isinstance(content, EventTable):
            return content
        if not hasattr(content, "columns"):
            raise InputError(f"a partition is a {type(content).__name__}; give EventTables or DataFrames.")
        names = [str(name) for name in content.columns]
        if self.basis is None or len(self.weights) != self.basis.n_terms:
            raise InputError(
                f"partitions are DataFrames, with weights={list(self.weights)}: give basis=, and weights= with one "
                "column for each of its terms."
            )
        features = [name for name in names if name not in self.weights] if self.features is None else self.features
        for name in (*self.weights, *features):
            if name not in names:
                raise InputError(f"a partition has no column {name!r}: {near_match(name, names)}")
        if len(content) == 0:
            return None
        values, weights = content[list(features)].to_numpy(), content[list(self.weights)].to_numpy(np.float64)
        return EventTable(values, weights, self.basis, feature_names=tuple(features))


@dataclass(frozen=True)
class _RootReader:
    """Options of `bit.read_root`."""

    options: Mapping[str, Any]

    def __call__(self, content: str) -> EventTable:
        """Read a file."""
        return bit.read_root(content, show_progress=False, **self.options)


def _partitions(parts: Any) -> list[Any]:
    """Return partitions one by one."""
    if hasattr(parts, "to_delayed"):
        return list(np.ravel(parts.to_delayed()))
    if isinstance(parts, (str, os.PathLike, EventTable)) or not isinstance(parts, Sequence) or not len(parts):
        raise InputError(f"parts is a {type(parts).__name__}: give a list of partitions, or a dask DataFrame.")
    return list(parts)


def _sources(parts: Any, reading: Mapping[str, Any]) -> list[_Source]:
    partitions = _partitions(parts)
    if all(isinstance(part, (str, os.PathLike)) for part in partitions):
        if reading.get("norm", "sum") != "sum" and len(partitions) > 1:
            raise InputError(f"norm={reading['norm']!r} needs all events at once; give files with norm='sum'.")
        return [_Source(os.path.abspath(part), _RootReader(reading)) for part in partitions]
    for name in reading:
        if name not in _FrameReader.__dataclass_fields__:
            raise InputError(f"{name}=: {near_match(name, _FrameReader.__dataclass_fields__)}")
    if hasattr(parts, "to_delayed") and reading.get("features") is None:
        weights = reading.get("weights", ())
        reading = {**reading, "features": [str(name) for name in parts.columns if name not in weights]}
    for number, part in enumerate(partitions):
        if not hasattr(part, "key"):
            raise InputError(
                f"partition {number} is a {type(part).__name__}: give delayed tables, such as "
                "dask.delayed(make_table)(number), futures, or ROOT files."
            )
    return [_Source(part, _FrameReader(**reading)) for part in partitions]


# ---------------------------------------------------------------------- on the workers
class _LostPart(Exception):
    """A shard is not in the state that the client expects; it has to be built again."""


class _Part:
    """A partition on its worker: events first, then a shard."""

    def __init__(self, events: EventTable) -> None:
        self.features = np.asfortranarray(events.features, dtype=FEATURE)
        self.weights = np.ascontiguousarray(events.weights)
        self.quanta = np.empty(0, dtype=np.int64)

    def values(self, name: str, *arguments: Any) -> FloatArray:
        """Numbers of the events, to be summed."""
        if name == "weight":
            return self.weights[:, arguments[0]]
        if name == "measure":
            return self.shares
        nominal = np.abs(self.weights[:, 0])
        if name == "size":
            return nominal
        k, mean, mean_size = arguments
        return loss_of_term(self.weights, k, mean, size_or_mean(nominal, mean_size))

    def bounds(self, name: str, each: Sequence[tuple[Any, ...]]) -> tuple[FloatArray, FloatArray]:
        """Smallest and largest values."""
        low, high = np.array([bounds_of(self.values(name, *arguments)) for arguments in each]).T
        return low, high

    def sums(self, name: str, each: Sequence[tuple[Any, ...]], scales: Sequence[float]) -> IntArray:
        """Integer sums."""
        pairs = zip(each, scales, strict=True)
        return np.array([sum_quanta(self.values(name, *arguments), scale) for arguments, scale in pairs])

    def measure(self, losses: Sequence[tuple[tuple[int, float, float], float]]) -> None:
        """Add up the shares of the events in the losses of all terms."""
        self.shares = np.zeros(len(self.weights))
        for arguments, whole in losses:
            share = self.values("loss", *arguments)
            self.shares += share / whole if whole > 0 else share

    def quantise(self, name: str, whole: float, offset: float, scale: float) -> None:
        """Turn weights of the quantiles into integers."""
        weights = self.values(name) if name == "size" else self.shares / whole + offset if offset else self.shares
        self.quanta = np.rint(weights * scale).astype(np.int64)

    def ranking(self, columns: Sequence[int], symmetric: bool) -> Ranking:
        """Values of columns, or their sizes."""
        values = np.concatenate([self.features[:, column] for column in columns])
        quanta = np.tile(self.quanta, len(columns)) if len(self.quanta) else self.quanta
        return Ranking(np.abs(values) if symmetric else values, quanta)

    def rank(self, method: str, columns: Sequence[int], symmetric: bool, *arguments: Any) -> Any:
        """What a `Ranking` tells."""
        return getattr(self.ranking(columns, symmetric), method)(*arguments)

    def select(
        self, columns: Sequence[int], symmetric: bool, *arguments: Any
    ) -> tuple[npt.NDArray[np.float32], IntArray]:
        """Values in some buckets, each once, and the weight that it has."""
        values, quanta = self.ranking(columns, symmetric).select(*arguments)
        return _distinct(values, quanta if len(quanta) else np.ones(len(values), dtype=np.int64))

    def bin(self, binner: Binner) -> None:
        """Replace features by codes."""
        n_events, n_features = self.features.shape
        self.columns = np.empty((n_features, n_events), dtype=CODE)
        encode(self.features, binner.table, np.empty((n_events, n_features), dtype=CODE), self.columns)
        self.n_edges = binner.n_edges
        del self.features, self.quanta
        self.__dict__.pop("shares", None)

    def open(self, n_residuals: int, n_directions: int, mirror: Mirror | None) -> None:
        """Begin a training."""
        self.shard = plant_shard(self.weights, self.n_edges, n_residuals, n_directions, mirror)
        self.shard.codes[:, : len(self.columns)] = self.columns.T
        self.shard.columns = self.columns

    def divide(self, splits: Sequence[Split], quanta: Quanta, signs: Sequence[FloatArray], size: int) -> IntArray:
        """Divide nodes and sum a child of each."""
        out = np.empty((len(splits), size), dtype=np.int64)
        self.shard.divide(splits, [view.sides(splits) for view in self.shard.views], quanta, signs, out)
        return out


class _Held:
    """A part in a worker's memory, and how many changes it has seen; None while it changes, or if it broke off."""

    def __init__(self, part: _Part | None, description: _Description | None, step: int) -> None:
        self.part, self.description = part, description
        self.step: int | None = step

    def __reduce__(self) -> Any:
        raise TypeError("a part stays in the memory of its worker")


class _Description(NamedTuple):
    """What the client knows of a partition."""

    n_events: int
    feature_names: tuple[str, ...]
    units: tuple[str, ...] | None
    basis: PolynomialBasis


class _Call:
    """Requests to a part that has seen `step` changes: all but the last one change it, the last one is answered."""

    # Not a tuple: dask would look into it for tasks.
    def __init__(self, step: int, requests: Sequence[_Request]) -> None:
        self.step, self.requests = step, list(requests)


def _build(content: Any, reader: Any, call: _Call) -> _Held:
    events = reader(content)
    if events is None:
        return _Held(None, None, call.step)
    part = _Part(events)
    for method, arguments in call.requests:
        attrgetter(method)(part)(*arguments)
    description = _Description(events.n_events, events.feature_names, events.units, events.basis)
    return _Held(part, description, call.step)


def _describe(held: _Held) -> _Description | None:
    return held.description


def _answer(held: _Held, call: _Call) -> Any:
    # A part that was built again has seen the changes that still await others.
    done = -1 if held.step is None else held.step - call.step
    if not 0 <= done < len(call.requests):
        raise _LostPart
    step, held.step = held.step, None
    for method, arguments in call.requests[done:]:
        answer = attrgetter(method)(held.part)(*arguments)
        step = (step or 0) + (method in _CHANGES)
    held.step = step
    return answer


def _merged(by: Any, *answers: Any) -> Any:
    return list(answers) if by is None else merge(by, answers)


def _distinct(values: npt.NDArray[np.float32], quanta: IntArray) -> tuple[npt.NDArray[np.float32], IntArray]:
    found, place = np.unique(values, return_inverse=True)
    total = np.zeros(len(found), dtype=np.int64)
    np.add.at(total, place, quanta)
    return found, total


# ---------------------------------------------------------------------- on the client
@dataclass
class _Place:
    """Where a partition is."""

    number: int
    source: _Source
    worker: str = ""
    held: Any = None
    n_lost: int = 0


@dataclass(eq=False)
class _ClusterSample(Sample):
    """Partitions on a cluster; for the methods see `Sample`."""

    client: Any
    sources: Sequence[_Source]
    timeout: float
    places: list[_Place] = field(init=False)
    record: list[_Request] = field(init=False, default_factory=list)
    pending: list[_Request] = field(init=False, default_factory=list)
    step: int = field(init=False, default=0)  # changes that the parts have seen, without the pending ones

    def __post_init__(self) -> None:
        self.places = [_Place(number, source) for number, source in enumerate(self.sources)]
        for place in self.places:
            self._build(place)
        self._describe()

    def _describe(self) -> None:
        """Find out what the partitions hold, and leave out the empty ones."""
        found: list[_Description | None] = self._gather(_describe, None, None)
        filled = [(place, what) for place, what in zip(self.places, found, strict=True) if what is not None]
        if not filled:
            raise InputError(f"all {len(found)} partitions are empty: give events.")
        if len(filled) < len(found):
            empty = [number for number, what in enumerate(found) if what is None]
            warnings.warn(f"partitions {empty} are empty and left out.", BitWarning, stacklevel=5)
        self.places = [place for place, _ in filled]
        first = filled[0][1]
        for place, what in filled[1:]:
            for name in ("feature_names", "units", "basis"):
                here, there = getattr(what, name), getattr(first, name)
                if here != there:
                    raise InputError(
                        f"partition {place.number} has {name}={here}, partition {filled[0][0].number} {there}; "
                        "give partitions with the same columns and terms."
                    )
        self._first, self._n_events = first, sum(what.n_events for _, what in filled)

    # ------------------------------------------------------------------ requests
    def tell(self, method: str, *arguments: Any) -> None:
        """Change all parts; it is done together with the next question."""
        self.pending.append((method, arguments))
        self._note(method, arguments)

    def ask(self, method: str, *arguments: Any, by: np.ufunc | tuple[np.ufunc, ...] | None = np.add) -> Any:
        """Call a method of all parts, and return their merged answers, or a list of them."""
        answer = self._gather(_answer, _Call(self.step, [*self.pending, (method, arguments)]), by)
        self.step += len(self.pending)
        self.pending = []
        if method in _CHANGES:
            self._note(method, arguments)
            self.step += 1
        return answer

    def _note(self, method: str, arguments: tuple[Any, ...]) -> None:
        void = _REPLACES.get(method, set())
        self.record = [(name, of) for name, of in self.record if name not in void]
        self.record.append((method, arguments))

    def _build(self, place: _Place) -> None:
        """Put a part on the worker that has fewest, in the state of all others."""
        workers = self._workers()
        n_parts = {worker: sum(other.worker == worker for other in self.places) for worker in workers}
        place.worker = min(workers, key=lambda worker: (n_parts[worker], worker))
        content = place.source.content
        if hasattr(content, "dask"):
            if place.n_lost:
                # Under other names: the old ones are still bound to the worker that is gone.
                content = require("dask.graph_manipulation", for_="bit.dask").clone(content)
            content = self.client.compute(content, workers=[place.worker])
        call = _Call(self.step + len(self.pending), self.record)
        place.held = self._submit(_build, content, place.source.reader, call, workers=[place.worker])

    def _workers(self) -> list[str]:
        """Addresses of the workers; waits for one if there is none, as while the only one restarts."""
        deadline = time.monotonic() + self.timeout
        while True:
            workers = sorted(self.client.scheduler_info(n_workers=-1)["workers"])
            if workers:
                return workers
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"the cluster has had no worker for {self.timeout:g} s; start workers and try again."
                )
            time.sleep(_POLL)

    def _submit(self, function: Any, *arguments: Any, **where: Any) -> Any:
        return self.client.submit(function, *arguments, pure=False, **where)

    def _gather(self, function: Any, call: _Call | None, by: Any) -> Any:
        """Send a call to all parts, build those again that are lost, and merge the answers in a fixed tree."""

        def send(place: _Place) -> Any:
            arguments = () if call is None else (call,)
            return self._submit(function, place.held, *arguments, workers=[place.worker])

        answers = [send(place) for place in self.places]
        while True:
            level = answers
            while len(level) > 1 or level is answers:
                fan = len(level) if by is None else _FAN
                groups = [level[low : low + fan] for low in range(0, len(level), fan)]
                level = [self._submit(_merged, by, *group) for group in groups]
            lost = self._wait(level[0], answers)
            if not lost:
                return level[0].result()
            for i in lost:
                place = self.places[i]
                place.n_lost += 1
                if place.n_lost > _LOSSES:
                    raise ClusterError(
                        f"partition {place.number} lost its worker {place.n_lost} times, at last {place.worker}; if "
                        "workers are killed for lack of memory, give smaller partitions or more memory."
                    )
                self._build(place)
                answers[i] = send(place)

    def _wait(self, result: Any, answers: Sequence[Any]) -> list[int]:
        """Wait for the result, or return which answers will never come."""
        deadline = time.monotonic() + self.timeout
        while result.status == "pending":
            try:
                _distributed().wait(result, timeout=_POLL)
            except TimeoutError:
                lost = self._gone()
                if lost:
                    return lost
                if time.monotonic() > deadline:
                    raise ClusterError(self._late(answers)) from None
        if result.status == "finished":
            return []
        lost = self._gone()
        for i, (answer, place) in enumerate(zip(answers, self.places, strict=True)):
            if answer.status != "error" or i in lost:
                continue
            error = answer.exception()
            if isinstance(error, _LostPart):
                lost.append(i)
            elif not isinstance(error, _distributed().scheduler.KilledWorker):
                self._raise(place, error)
        if lost:
            return lost
        error = result.exception() if result.status == "error" else result.status
        raise ClusterError(f"the cluster could not add up what its workers found ({error}); look at its logs.")

    def _gone(self) -> list[int]:
        """Which parts were on workers that are no longer there."""
        there = self.client.scheduler_info(n_workers=-1)["workers"]
        return [i for i, place in enumerate(self.places) if place.worker not in there]

    def _late(self, answers: Sequence[Any]) -> str:
        there = self.client.scheduler_info(n_workers=-1)["workers"]
        late = [place for place, answer in zip(self.places, answers, strict=True) if answer.status == "pending"]
        names = ", ".join(
            f"partition {place.number} on {place.worker} ({there.get(place.worker, {}).get('status', 'gone')})"
            for place in late
        )
        return (
            f"no answer within timeout={self.timeout:g} s of {names or 'the tasks that add up'}; a worker that is "
            "paused has too little memory: give smaller partitions, more workers, or a longer timeout."
        )

    def _raise(self, place: _Place, error: BaseException) -> None:
        if isinstance(error, BitError):
            raise type(error)(f"partition {place.number}: {error}") from error
        remedy = "; give smaller partitions or more memory" if isinstance(error, MemoryError) else ""
        raise ClusterError(
            f"partition {place.number} on worker {place.worker}: {type(error).__name__}: {error}{remedy}."
        ) from error

    # ------------------------------------------------------------------ Sample
    @property
    def table(self) -> EventTable:
        """Refused."""
        raise InputError("the events lie on a cluster; this needs them in one table.")

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self._n_events

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features."""
        return self._first.feature_names

    @property
    def units(self) -> tuple[str, ...] | None:
        """Units of the features."""
        return self._first.units

    @property
    def basis(self) -> PolynomialBasis:
        """Polynomial of the weights."""
        return self._first.basis

    def _exact(self, name: str, each: Sequence[tuple[Any, ...]]) -> tuple[list[float], FloatArray]:
        """Sums as those of `bit.trees.exact`, and the largest values."""
        low, high = self.ask("bounds", name, each, by=(np.minimum, np.maximum))
        scales = [quantisation_scale(float(size), self.n_events) for size in np.maximum(high, -low)]
        sums = self.ask("sums", name, each, scales)
        return [int(total) / scale for total, scale in zip(sums, scales, strict=True)], high

    def sums(self, columns: IntArray) -> FloatArray:
        """Sum columns of the weights."""
        return np.array(self._exact("weight", [(int(k),) for k in columns])[0])

    def size(self) -> float:
        """Sum the sizes of the nominal weights."""
        return self._exact("size", [()])[0][0]

    def is_positive(self, form: IntArray) -> bool:
        """Refused."""
        raise InputError("positive=True is not for clusters.")

    def binner(
        self, columns: IntArray, max_bins: int, bin_weights: str, threads: Threads, mirror: Mirror | None
    ) -> Binner:
        """Choose thresholds, one feature after the other."""
        self._weigh(columns, bin_weights)
        edges = []
        for f in range(len(self.feature_names)):
            symmetric = mirror is not None and bool(mirror.flipped[f])
            ranked = _ClusterRanking(self, tuple(columns_of_edges(f, mirror)), symmetric)
            edges.append(edges_of(ranked, max_bins, symmetric=symmetric))
        binner = Binner(tuple(edges))
        self.tell("bin", binner)
        return binner

    def _weigh(self, columns: IntArray, name: str) -> None:
        """Weights of the quantiles, as `bit.trees.binner.bin_measure`."""
        (size,), (largest,) = self._exact("size", [()])
        if name == "count":
            return
        if name == "nominal":
            self.tell("quantise", "size", 1.0, 0.0, quantisation_scale(float(largest), 2 * self.n_events))
            return
        total, *sums = self.sums(np.append(0, columns)).tolist()
        each = [(int(k), s / total, size / self.n_events) for k, s in zip(columns, sums, strict=True)]
        self.tell("measure", list(zip(each, self._exact("loss", each)[0], strict=True)))
        (whole,), (largest,) = self._exact("measure", [()])
        if whole > 0:
            offset = 1.0 / self.n_events if name == "mixed" else 0.0
            largest = largest / whole + offset if offset else largest
            self.tell("quantise", "measure", whole, offset, quantisation_scale(float(largest), 2 * self.n_events))

    def shards(
        self,
        binner: Binner,
        columns: IntArray,
        threads: Threads,
        mirror: Mirror | None,
        n_directions: int,
        *,
        with_features: bool,
    ) -> Shards:
        """Begin a training."""
        return _ClusterShards(self, binner, columns, threads, mirror, n_directions)


@dataclass(frozen=True, eq=False)
class _ClusterRanking:
    """Values of one feature; for the methods see `bit.trees.binner.Ranked`."""

    sample: _ClusterSample
    columns: tuple[int, ...]
    symmetric: bool

    @property
    def n_values(self) -> int:
        return self.sample.n_events * len(self.columns)

    @property
    def bucket_bits(self) -> int:
        # Of many events too many would share the buckets of the quantiles, and travel.
        return min(max(16, self.n_values.bit_length() - 3), 20)

    def _ask(self, method: str, *arguments: Any, by: Any) -> Any:
        return self.sample.ask("rank", method, self.columns, self.symmetric, *arguments, by=by)

    def key_range(self) -> tuple[int, int, int]:
        lowest, highest, n_valid = self._ask("key_range", by=(np.minimum, np.maximum, np.add))
        return int(lowest), int(highest), int(n_valid)

    def fill(self, lowest: int, shift: int, n_buckets: int) -> tuple[IntArray, IntArray]:
        counts, weights = self._ask("fill", lowest, shift, n_buckets, by=(np.add, np.add))
        return counts, weights

    def select(
        self, lowest: int, shift: int, chosen: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], IntArray]:
        found = self.sample.ask("select", self.columns, self.symmetric, lowest, shift, chosen, by=None)
        values, quanta = zip(*found, strict=True)
        return _distinct(np.concatenate(values), np.concatenate(quanta))

    def largest(self) -> float:
        return float(self._ask("largest", by=np.maximum))


class _ClusterShards(Shards):
    """Shards on a cluster; for the methods see `Shards`."""

    def __init__(
        self,
        sample: _ClusterSample,
        binner: Binner,
        columns: IntArray,
        threads: Threads,
        mirror: Mirror | None,
        n_directions: int,
    ) -> None:
        self.threads, self._sample = threads, sample
        sample.tell("open", len(columns), n_directions, mirror)
        self._begin(sample.n_events, binner, columns, mirror, n_directions)

    def _ask(self, method: str, *arguments: Any, by: np.ufunc | tuple[np.ufunc, ...] = np.add) -> Any:
        return self._sample.ask(f"shard.{method}", *arguments, by=by)

    def _plant(self, chosen: npt.NDArray[np.bool_] | None) -> None:
        if chosen is not None:
            raise InputError("subsamples are not for clusters.")
        self._sample.tell("shard.plant", None)

    def divide(self, splits: Sequence[Split], quanta: Quanta) -> npt.NDArray[np.int64]:
        """Divide nodes and sum the events of one child of each."""
        size = self.n_features * N_CODES * quanta.n_channels
        sums: npt.NDArray[np.int64] = self._sample.ask("divide", splits, quanta, self._signs, size)
        return sums[np.newaxis]
