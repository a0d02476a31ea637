"""The run of a comparison: one method after the other on the same events."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from bit.classic import available, classic
from bit.compare.methods import METHODS, TRAINED, Task, check_options
from bit.compare.result import KINDS, Comparison, Note, Row, as_json
from bit.errors import BitError, BitWarning, InputError, near_match
from bit.events import EventTable
from bit.inference import Template, information_kept
from bit.inference.experiment import Experiment, Parts
from bit.inference.results import Order, Others
from bit.observables import FeatureObservable, Observable, TrueScore, observable
from bit.parity import CPParity
from bit.progress import progress_bar

# Events of which the time of an evaluation is measured: so many that a call costs little beside its work.
_TIMED_EVENTS = 30_000
_ENOUGH_SECONDS = 0.3

Made = tuple[Mapping[str, Observable], float | None]


@dataclass(frozen=True)
class _Contestant:
    """What makes the observables of some coefficients, and how long a training for them took."""

    method: str
    kind: str
    label: str
    make: Callable[[tuple[str, ...]], Made]
    joint: bool = True


def compare(
    table: EventTable,
    *,
    lumi_fb: float,
    params: Sequence[str] | None = None,
    methods: Sequence[str] = METHODS,
    features: Sequence[str] | None = None,
    classics: Sequence[str] | None = None,
    extra: Mapping[str, Observable | Mapping[str, Observable]] | None = None,
    cp: CPParity | None = None,
    n_bins: int = 20,
    cl: float = 0.95,
    order: Order = "linear",
    others: Others = "zero",
    train: Mapping[str, Any] | None = None,
    xgboost: Mapping[str, Any] | None = None,
    networks: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    split: Sequence[float] = (0.5, 0.1, 0.4),
    seed: int = 1,
    n_jobs: int | None = None,
    show_progress: bool = True,
) -> Comparison:
    """Measure all coefficients with all observables and methods, on the same events.

    The sample is divided once: all methods train on the first part, all bins come from the second one, all intervals
    from the third. Every method has the same seed, so that a row does not depend on which others there are.

    Parameters
    ----------
    table : EventTable
        One sample.
    lumi_fb : float
        Integrated luminosity in fb^-1.
    params : sequence of str, optional
        Coefficients; default all.
    methods : sequence of str
        Names from `METHODS`; default all:

        - "bit", "bit_linear": `bit.BIT` with constant and with linear leaves, one training for all coefficients;
        - "onn_binary", "onn_multiclass": `bit.baselines.ONN`, one training for each coefficient;
        - "ratio": `bit.baselines.RatioTrick` between the reference point and one where the rms of the linear effect is
          0.05, or nearer, where that of the quadratic one is a tenth of it; for each coefficient. "ratio_mixture":
          between the reference point and all of these at once;
        - "sally", "quadratic": `bit.baselines.SALLY` and `QuadraticClassifier`, one training for all.
    features : sequence of str, optional
        Raw features; default all. The best one for each coefficient, chosen on the training events among all of them,
        is compared in any case, and so is the true score.
    classics : sequence of str, optional
        Classic observables (`bit.classic`); default those that the table has the features for. One that is itself a
        feature of the list is not repeated.
    extra : mapping of str to Observable or to mapping, optional
        More observables by name, such as distilled formulas: one for all coefficients, or by coefficient. What they
        were trained on must not be in the third part: ``table.split(split, seed)[0]`` is the first.
    cp : CPParity, optional
        Every event is then used together with its CP image: bins and contents are CP-symmetric, and models that can
        keep the parity exactly do so.
    n_bins : int, default=20
        Equally probable bins of every observable; of two axes, 4 x 4 for 20.
    cl : float, default=0.95
        Confidence level of the intervals.
    order, others : str, default="linear", "zero"
        As in `bit.inference.limits`.
    train : mapping, optional
        Arguments of `bit.BIT` for "bit" and "bit_linear"; only linear terms are learned unless it says otherwise.
    xgboost : mapping, optional
        Arguments of `ONN` and `RatioTrick`, such as ``{"n_estimators": 200}``.
    networks : mapping, optional
        Arguments of `SALLY` and `QuadraticClassifier`, such as ``{"n_epochs": 50}``.
    labels : mapping of str to str, optional
        LaTeX of features, without dollar signs.
    split : sequence of float, default=(0.5, 0.1, 0.4)
        Shares of the events for training, for choosing bins, for the result.
    seed : int, default=1
        Of the division, and of every training.
    n_jobs : int, optional
        Threads of the methods; None for all processors.
    show_progress : bool, default=True
        Draw a progress bar on a terminal.

    Returns
    -------
    Comparison
        Rows by coefficient. A method that fails, or whose package is not installed, is named in the notes with the
        reason. After Ctrl-C there are the rows of all methods that were finished, and `interrupted` is true.

    Raises
    ------
    InputError
        For unknown names or arguments, or too few events for the bins.

    Notes
    -----
    Times are those of this machine. That of a training is without imports and compilation; that of an evaluation is
    the shortest of up to three calls with 30 000 events (test events, repeated). Bins that know nothing keep a share
    of about n_bins / n_eff of the information by fluctuation.

    Examples
    --------
    >>> from bit.compare import compare
    >>> from bit.processes.analytic import GaussianMean
    >>> table = GaussianMean(smearing=0.5).sample(5000, seed=1)
    >>> result = compare(table, lumi_fb=1000.0, methods=["bit"])
    >>> [row.method for row in result.rows]
    ['x', 'best', 'bit', 'true']
    """
    if not isinstance(table, EventTable):
        raise InputError(f"a {type(table).__name__} was given: events with weights are needed, an EventTable.")
    chosen = tuple(params or table.basis.param_names)
    listed = tuple(table.feature_names if features is None else features)
    formulas = tuple(found.name for found in available(table)) if classics is None else tuple(classics)
    more = dict(extra or {})
    options = dict(train or {}), dict(xgboost or {}), dict(networks or {})
    _check_names(table, chosen, methods, listed, formulas, more)
    check_options(*options)
    n_parts = len(tuple(split))
    if n_parts != 3:
        raise InputError(f"split={tuple(split)}: three shares are needed (training, bins, result).")
    parts = Parts(*table.split(split, seed))
    parts.require_events(n_bins, "n_bins")
    images = parts.mirrored(cp)
    experiment = Experiment(images.edges, images.test, lumi_fb, n_bins, cl, order, others)
    task = Task(parts.train, images.train, chosen, cp, *options, seed, n_jobs)
    singles = {name: _feature(name, cp, labels or {}) for name in table.feature_names}
    contestants = [
        *_given(singles, listed, formulas, more),
        _Contestant("best", "best", "best feature", partial(_best, replace(experiment, test=images.train), singles)),
        _Contestant("true", "true", "true score", partial(_true, cp)),
        *(
            _Contestant(name, "trained", TRAINED[name].label, partial(TRAINED[name].train, task), TRAINED[name].joint)
            for name in dict.fromkeys(methods)
        ),
    ]
    rows, notes, interrupted = _run(contestants, chosen, experiment, show_progress)
    settings = as_json(
        {
            "params": list(chosen),
            "methods": list(methods),
            "lumi_fb": lumi_fb,
            "cl": cl,
            "n_bins": n_bins,
            "order": order,
            "others": others,
            "split": list(split),
            "seed": seed,
            "n_jobs": n_jobs,
            "train": options[0],
            "xgboost": options[1],
            "networks": options[2],
            "cp": cp,
        }
    )
    events = {
        "train": parts.train.n_events,
        "edges": parts.edges.n_events,
        "test": parts.test.n_events,
        "n_eff_test": parts.test.n_eff,
        "sigma_fb": table.sigma_fb,
    }
    return Comparison(rows, notes, settings, events, interrupted)


def _check_names(
    table: EventTable,
    params: Sequence[str],
    methods: Sequence[str],
    features: Sequence[str],
    classics: Sequence[str],
    extra: Mapping[str, Observable | Mapping[str, Observable]],
) -> None:
    if isinstance(methods, str):
        raise InputError(f"methods={methods!r}: give a sequence of names, such as [{methods!r}].")
    for what, names, known in (
        ("coefficient", params, table.basis.param_names),
        ("method", methods, METHODS),
        ("feature", features, table.feature_names),
    ):
        for name in names:
            if name not in known:
                raise InputError(f"no {what} {name!r}: {near_match(name, known)}")
    for name in classics:
        classic(name)  # refuses unknown names
    taken = {*METHODS, *table.feature_names, *classics, "best", "true"}
    for name, given in extra.items():
        if name in taken:
            raise InputError(f"extra: {name!r} is the name of another row; choose a different one.")
        if isinstance(given, Mapping) and not set(params) <= set(given):
            raise InputError(f"extra: {name!r} has no observable for {sorted(set(params) - set(given))}; add them.")


# ---------------------------------------------------------------------- contestants
def _feature(name: str, cp: CPParity | None, labels: Mapping[str, str]) -> FeatureObservable:
    label = f"${labels[name]}$" if name in labels else name
    return observable(name, label=label, odd=cp is not None and name in cp.flip)


def _given(
    singles: Mapping[str, FeatureObservable],
    features: Sequence[str],
    classics: Sequence[str],
    extra: Mapping[str, Observable | Mapping[str, Observable]],
) -> list[_Contestant]:
    """Observables that need no training."""
    result = [_Contestant(name, "feature", singles[name].label, partial(_one, singles[name])) for name in features]
    for found in map(classic, classics):
        # One that is a feature of the list stands in the table already.
        if found.name not in features and not (len(found.features) == 1 and found.features[0] in features):
            result.append(_Contestant(found.name, "classic", found.label, partial(_one, found)))
    for name, given in extra.items():
        make = partial(_several, given) if isinstance(given, Mapping) else partial(_one, given)
        result.append(_Contestant(name, "extra", name, make))
    return result


def _one(given: Observable, params: tuple[str, ...]) -> Made:
    return dict.fromkeys(params, given), None


def _several(given: Mapping[str, Observable], params: tuple[str, ...]) -> Made:
    return given, None


def _best(experiment: Experiment, features: Mapping[str, FeatureObservable], params: tuple[str, ...]) -> Made:
    best = experiment.narrowest(features, params)
    return {param: features[best[param]] for param in params}, None


def _true(cp: CPParity | None, params: tuple[str, ...]) -> Made:
    odd = () if cp is None else cp.odd_params
    return {param: TrueScore(param, odd=param in odd) for param in params}, None


# ---------------------------------------------------------------------- measurement
def _run(
    contestants: Sequence[_Contestant], params: tuple[str, ...], experiment: Experiment, show_progress: bool
) -> tuple[tuple[Row, ...], tuple[Note, ...], bool]:
    rows: list[Row] = []
    failures: dict[tuple[str, str], list[str]] = {}
    timed = experiment.test.take(np.resize(np.arange(experiment.test.n_events), _TIMED_EVENTS))
    interrupted = False
    try:
        with progress_bar(len(contestants), "compare", "observables", show=show_progress) as bar:
            for contestant in contestants:
                bar.set_postfix_str(contestant.method)
                for group in [params] if contestant.joint else [(param,) for param in params]:
                    done: list[str] = []
                    try:
                        for row in _rows(contestant, group, experiment, timed):
                            rows.append(row)
                            done.append(row.param)
                    except Exception as error:  # whatever it raises must not cost the other rows
                        failures.setdefault((contestant.method, _reason(error)), []).extend(set(group) - set(done))
                bar.update(1)
    except KeyboardInterrupt:
        interrupted = True
    place = {contestant.method: k for k, contestant in enumerate(contestants)}
    rows.sort(key=lambda row: (params.index(row.param), KINDS.index(row.kind), place[row.method]))
    notes = tuple(
        Note(method, tuple(param for param in params if param in missing), reason)
        for (method, reason), missing in failures.items()
    )
    return tuple(rows), notes, interrupted


def _rows(contestant: _Contestant, params: tuple[str, ...], experiment: Experiment, timed: EventTable) -> Iterator[Row]:
    """Train, if there is something to train, and measure."""
    observables, seconds = contestant.make(params)
    measured: list[Any] = [None]
    for param in params:
        found = observables[param]
        with warnings.catch_warnings():
            # Observables with few different values have fewer bins, and perhaps empty ones.
            warnings.simplefilter("ignore", BitWarning)
            if found is not measured[0]:  # one feature may serve all coefficients
                # Data do not have the true score.
                per_million = None if contestant.kind == "true" else _seconds_per_million(found, timed)
                measured = [found, experiment.template(found), per_million]
            _, template, evaluation_s = measured
            interval = experiment.interval(template, param)
        yield Row(
            method=contestant.method,
            kind=contestant.kind,
            label=contestant.label,
            param=param,
            observable=getattr(found, "name", contestant.method),
            interval=interval,
            information_kept=_kept(template, experiment.test, param),
            training_s=seconds,
            evaluation_s=evaluation_s,
            joint=seconds is not None and contestant.joint,
        )


def _kept(template: Template, table: EventTable, param: str) -> float | None:
    try:
        return information_kept(template, table, param)
    except InputError:  # there is none, or weights of 0 hide how much
        return None


def _seconds_per_million(found: Observable, table: EventTable) -> float:
    """Time of an evaluation; the shortest of up to three."""
    found(table.take(slice(0, 100)))  # whatever is done at the first call only
    times: list[float] = []
    while len(times) < 3 and sum(times) < _ENOUGH_SECONDS:
        start = time.perf_counter()
        found(table)
        times.append(time.perf_counter() - start)
    return min(times) * 1e6 / table.n_events


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, BitError) else f"{type(error).__name__}: {error}"
