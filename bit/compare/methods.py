"""The methods of a comparison: what each trains, and with which events."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from bit.baselines import ONN, SALLY, QuadraticClassifier, RatioTrick
from bit.basis import FloatArray, Term
from bit.errors import InputError, near_match
from bit.estimators import BoostedInformationTree, check_parameters
from bit.events import EventTable
from bit.observables import Observable
from bit.parity import CPParity

# Points of the ratio trick lie so far from the reference point that the rms of the linear effect is this, and that of
# the quadratic one at most so much of it: in the tails of the score, many times its rms, far points show squares alone.
_LINEAR, _QUADRATIC = 0.05, 0.1


@dataclass(frozen=True, eq=False)
class Task:
    """What the methods are given, all the same.

    Attributes
    ----------
    train, images : EventTable
        Events of the training, and these with their CP images (the same, without a parity).
    params : tuple of str
        Coefficients of the comparison.
    cp : CPParity or None
        Parity, for the models that keep it exactly.
    trees, xgboost, networks : mapping
        Arguments of `bit.BIT`, of the classifiers by XGBoost, and of the networks.
    seed : int
        Of every training.
    n_jobs : int or None
        Threads.
    """

    train: EventTable
    images: EventTable
    params: tuple[str, ...]
    cp: CPParity | None
    trees: Mapping[str, Any]
    xgboost: Mapping[str, Any]
    networks: Mapping[str, Any]
    seed: int
    n_jobs: int | None


@dataclass(frozen=True)
class Method:
    """A method that trains models.

    Attributes
    ----------
    label : str
        Text for tables and figures; LaTeX between dollar signs.
    joint : bool
        Whether one training serves all coefficients.
    model : callable
        ``model(task, params, **changes)`` gives an untrained model for these coefficients.
    shortest : mapping
        Changes with which a training takes the least time.
    mirrored : bool, default=False
        Whether it is given events and images, since it has no parity of its own.
    """

    label: str
    joint: bool
    model: Callable[..., Any]
    shortest: Mapping[str, Any]
    mirrored: bool = False

    def train(self, task: Task, params: tuple[str, ...]) -> tuple[dict[str, Observable], float]:
        """Train for one coefficient, or for all.

        Parameters
        ----------
        task : Task
            Events and settings.
        params : tuple of str
            Coefficients.

        Returns
        -------
        observables : dict of str to Observable
            By coefficient.
        seconds : float
            Time of the training, without imports and compilation.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C, also if the model kept what it had learned until then: it could not be compared.
        """
        events = task.images if self.mirrored else task.train
        # Once in the shortest way, which imports libraries and compiles kernels.
        _uninterrupted(self.model(task, params, **self.shortest).fit(events))
        start = time.perf_counter()
        model = _uninterrupted(self.model(task, params).fit(events))
        seconds = time.perf_counter() - start
        return {param: model.observable(param) for param in params}, seconds


def _uninterrupted(model: Any) -> Any:
    if getattr(model, "interrupted_", False):
        raise KeyboardInterrupt
    return model


def _trees(task: Task, params: tuple[str, ...], *, leaf: str, **changes: Any) -> BoostedInformationTree:
    # Observables are R_a, so other terms are left out; only a positive polynomial needs them.
    terms = {} if task.trees.get("positive") else {"terms": list(params)}
    common = {"cp_parity": task.cp, "random_state": task.seed, "n_jobs": task.n_jobs}
    return BoostedInformationTree(**(terms | common | dict(task.trees) | {"leaf": leaf} | changes))


def _onn(task: Task, params: tuple[str, ...], *, kind: Any, **changes: Any) -> ONN:
    common = {"cp_parity": task.cp, "random_state": task.seed, "n_jobs": task.n_jobs}
    (param,) = params
    return ONN(kind, param=param, **(common | dict(task.xgboost) | changes))


def _ratio(task: Task, params: tuple[str, ...], **changes: Any) -> RatioTrick:
    common = {"random_state": task.seed, "n_jobs": task.n_jobs}
    points = np.array([_point(task.train, param) for param in params])
    return RatioTrick(points, task.train.basis.reference, **(common | dict(task.xgboost) | changes))


def _network(task: Task, params: tuple[str, ...], *, kind: type[Any], **changes: Any) -> Any:
    common = {"cp_parity": task.cp, "random_state": task.seed, "n_jobs": task.n_jobs}
    return kind(**(common | dict(task.networks) | changes))


def _point(table: EventTable, param: str) -> FloatArray:
    """Reference point moved along one coefficient, to where its linear effect shows and its quadratic one does not."""
    basis = table.basis
    linear = _rms(table, (param,))
    if not linear > 0.0:
        raise InputError(f"no interference: w_a = 0 for all events of {param!r}; there is no ratio to learn.")
    distance = _LINEAR / linear
    if (param, param) in basis.terms and (square := _rms(table, (param, param))) > 0.0:
        distance = min(distance, 2.0 * _QUADRATIC * linear / square)
    point = np.array(basis.reference)
    point[basis.param_names.index(param)] += distance
    return point


def _rms(table: EventTable, term: Term) -> float:
    """Root of the mean square of w_k / w_0."""
    w_0, w_k = np.abs(table.weights[:, 0]), table.weights[:, table.basis.index(term)]
    used = w_0 > 0.0
    return float(np.sqrt((w_k[used] ** 2 / w_0[used]).sum() / w_0.sum())) if used.any() else 0.0


_ONE_TREE = {"n_estimators": 1}
_ONE_STEP = {"n_epochs": 1e-6}

TRAINED: Mapping[str, Method] = MappingProxyType(
    {
        "bit": Method("BIT", True, partial(_trees, leaf="constant"), _ONE_TREE),
        "bit_linear": Method("BIT, linear leaves", True, partial(_trees, leaf="linear"), _ONE_TREE),
        "onn_binary": Method("$O_{NN}$, two classes", False, partial(_onn, kind="binary"), _ONE_TREE),
        "onn_multiclass": Method("$O_{NN}$, three classes", False, partial(_onn, kind="multiclass"), _ONE_TREE),
        "ratio": Method("ratio trick", False, _ratio, _ONE_TREE | {"calibration": "none"}, mirrored=True),
        "ratio_mixture": Method("ratio trick, mixture", True, _ratio, _ONE_TREE | {"calibration": "none"}, True),
        "sally": Method("SALLY", True, partial(_network, kind=SALLY), _ONE_STEP),
        "quadratic": Method("quadratic classifier", True, partial(_network, kind=QuadraticClassifier), _ONE_STEP),
    }
)
"""Methods by name: boosted information trees, and those of `bit.baselines`."""

METHODS: tuple[str, ...] = tuple(TRAINED)
"""Names of the methods, in the order of the table."""


def check_options(trees: Mapping[str, Any], xgboost: Mapping[str, Any], networks: Mapping[str, Any]) -> None:
    """Refuse unknown arguments and bad values before any work.

    Parameters
    ----------
    trees, xgboost, networks : mapping
        As in `Task`.

    Raises
    ------
    InputError
        For a name that is not an argument of every model of the group, or is set by the comparison itself, or a value
        that breaks its rule.
    """
    groups: tuple[tuple[str, Mapping[str, Any], tuple[type[Any], ...]], ...] = (
        ("train", trees, (BoostedInformationTree,)),
        ("networks", networks, (SALLY, QuadraticClassifier)),
    )
    for group, options, kinds in groups:
        known = set.intersection(*(set(inspect.signature(kind).parameters) for kind in kinds))
        for name in options:
            if name not in known:
                raise InputError(f"{group}: no argument {name!r}: {near_match(name, sorted(known))}")
    for name in ("kind", "param", "theta", "theta0"):
        if name in xgboost:
            raise InputError(f"xgboost: {name!r} is chosen by the comparison; leave it out.")
    check_parameters(BoostedInformationTree(**trees))
    for network in (SALLY, QuadraticClassifier):
        network(**networks).check_parameters()
    ONN(**xgboost)
    RatioTrick([0.0], **xgboost)
