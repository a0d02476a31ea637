"""From what a model has learned to formulas: rows, search, symmetry, polish, refit, front."""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from types import ModuleType
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from bit.basis import FloatArray
from bit.distill._polish import Front, polish
from bit.distill._search import Problem, SearchSettings, require_operators, require_whole_number
from bit.distill._symmetry import Symmetry, symmetry_of
from bit.distill._targets import (
    IntArray,
    Sample,
    Sampling,
    Target,
    as_values,
    choose_rows,
    columns_of,
    natural_scale,
    require_varying,
    target_of,
)
from bit.distill.pareto import ParetoFront
from bit.distill.refit import fit_constants, mean_squared_error, sandwich
from bit.distill.select import figures, gain_in_rho2, truth_of
from bit.errors import BitWarning, InputError, MissingPackageError, near_match
from bit.events import EventTable
from bit.expression import OPERATORS, Expression
from bit.expression.fold import fold
from bit.expression.nodes import Constant, Node, Variable, call, constants, evaluate, replace
from bit.metrics import rho2
from bit.parity import CPParity
from bit.threads import Threads, n_threads_of

Backend: TypeAlias = Literal["auto", "pysr", "operon", "symbolnet"]

# In the order in which "auto" takes the first that can run.
_BACKENDS = ("pysr", "operon", "symbolnet")
_FEWEST_EVENTS = 10
# Of the time limit: when the search ends, and when the polish does.
_SEARCH_SHARE, _POLISH_SHARE = 0.5, 0.8
# Rows where a prefactor is this much smaller than its root mean square say nothing about the other factor.
_TINY_PREFACTOR = 1e-2
# Errors of formulas that are rounding, relative to the variance of the target.
_EXACT = 1e-18
# A target that differs from the joint score by no more, relative to the range of it, is the joint score.
_SAME_TARGET = 1e-9
# Standard errors, and rho^2, by which one target must be better than another to be advised.
_SIGNIFICANT, _WORTHWHILE = 2.0, 1e-4


def distill(
    model: Any,
    table: EventTable,
    *,
    param: str | None = None,
    backend: Backend = "auto",
    operators: Sequence[str] = ("add", "sub", "mul", "square", "cube", "sin"),
    features: Sequence[str] | None = None,
    n_points: int = 4000,
    sampling: Sampling = "information",
    max_complexity: int = 30,
    cp_parity: CPParity | None = None,
    mean_subtracted: bool = False,
    n_restarts: int = 4,
    n_extensions: int = 6,
    valid: EventTable | None = None,
    lumi_fb: float | None = None,
    max_seconds: float | None = None,
    random_state: int = 0,
    n_jobs: int | None = None,
    verbose: bool = False,
    options: Mapping[str, Any] | None = None,
) -> ParetoFront:
    """Find formulas for what a model has learned, or for any observable.

    Parameters
    ----------
    model : fitted estimator or Observable
        A `BoostedInformationTree`, an ensemble, a network (with `param`); ``TrueScore("cHWtil")``, or any observable
        of one axis. The prediction of a model is free of latent noise, the joint score of its bias:
        ``front.config["advice"]`` says whether the chosen formula gains from constants fitted to the score.
    table : EventTable
        Events; their absolute nominal weights |w_0| are the weights of the fit.
    param : str, optional
        Coefficient whose R (the score at the reference point) is described; may be left out for models with one linear
        term, and for observables that know their coefficient.
    backend : {"auto", "pysr", "operon", "symbolnet"}, default="auto"
        What searches. "auto" takes the first of these that can run without installing anything;
        ``front.config["why"]`` says why.
    operators : sequence of str
        Names of `bit.expression.OPERATORS`.
    features : sequence of str, optional
        Inputs; default all of the table. Fewer give better formulas in the same time.
    n_points : int, default=4000
        Events on which to search, 10^3 to 10^4; constants are fitted to all.
    sampling : {"information", "weights", "stratified"}, default="information"
        Events are drawn in proportion to w (|t| + <|t|>/10), to w, or equally many from ten ranges of |t|. The bulk
        with t near 0 says least about the formula, the tails carry the information.
    max_complexity : int, default=30
        Largest number of operators, constants and variables.
    cp_parity : CPParity, optional
        Makes formulas exactly odd or even; default that of the model, if it has one.
    mean_subtracted : bool, default=False
        Subtract the mean of the target with weights w_0, the convention of arXiv:2109.10414.
    n_restarts : int, default=4
        Independent searches.
    n_extensions : int, default=6
        Rounds in which every part of the best formulas is extended by a constant, a variable or an operator, until
        nothing helps; 0 leaves it at shortening. Searches miss most with quotients, and rounds are worth most there.
    valid : EventTable, optional
        Held-out events for the figures of merit; default `table`.
    lumi_fb : float, optional
        Luminosity in fb^-1 of expected limits; default none are computed.
    max_seconds : float, optional
        Time for search and polish; the best formulas so far are kept. Results then depend on the machine.
    random_state : int, default=0
        Seed; same seed, same front, for any `n_jobs`.
    n_jobs : int, optional
        Processes and threads; None for all processors.
    verbose : bool, default=False
        Show progress.
    options : mapping, optional
        Of the backend.

    Returns
    -------
    ParetoFront
        Formulas in order of complexity, each better than all simpler ones on `table`, with figures from `valid`.

    Raises
    ------
    InputError
        For bad values of any of these, a constant target, or features and targets that are not finite.
    MissingPackageError
        If no backend can run.

    Warns
    -----
    BitWarning
        For constant features, which are left out, and for a search that was cut short.

    Notes
    -----
    Steps: choose rows; scale inputs by powers of ten; search; put the scales back and fold; fit all constants; remove
    each part in turn and extend (the front of a search gains most from this); keep exact symmetries; fit the front to
    all events; judge. Close to arXiv:2109.10414, Sec. 2.3 and 3.2, but for rows by information and for the polish.

    Examples
    --------
    >>> front = distill(model, table, param="cHWtil", valid=held_out)  # doctest: +SKIP
    >>> print(front.best())  # doctest: +SKIP
    """
    started = time.monotonic()
    _require_numbers(n_points, max_complexity, n_restarts, n_extensions, max_seconds, random_state)
    _require_types(table, valid, features, options)
    if sampling not in get_args(Sampling):
        raise InputError(f"sampling={sampling!r}: give one of {', '.join(get_args(Sampling))}.")
    wanted = _operators(operators)
    engine, name, why = choose_backend(backend)
    require_operators(name, wanted, engine.OPERATORS)
    target = target_of(model, param)
    values = as_values(target.observable, table)
    require_varying(values)
    if table.n_events < _FEWEST_EVENTS:
        raise InputError(f"{table.n_events} events: at least {_FEWEST_EVENTS} are needed to find a formula.")
    mean = float(table.weights[:, 0] @ values / table.sigma_fb) if mean_subtracted else 0.0
    used = _varying_features(table, tuple(table.feature_names if features is None else features))
    sample = Sample.of(columns_of(table, used), values - mean, np.abs(table.weights[:, 0]))
    parity = target.parity if cp_parity is None else cp_parity
    symmetry = symmetry_of(parity, _sign(parity, target), used)

    rng = np.random.default_rng(random_state)
    settings = SearchSettings(
        operators=wanted,
        max_complexity=max_complexity,
        n_restarts=n_restarts,
        seed=random_state,
        n_jobs=n_threads_of(n_jobs),
        max_seconds=None if max_seconds is None else _SEARCH_SHARE * max_seconds,
        verbose=verbose,
        options=dict(options or {}),
    )
    rows, emphasis, unbiased = choose_rows(sample, n_points, sampling, rng)
    trees = list(_search(engine, sample, rows, emphasis, symmetry, settings, rng))
    with Threads(settings.n_jobs) as threads:
        polished = polish(
            [tree for tree in trees if np.isfinite(mean_squared_error(tree, sample))],
            sample.take(rows, unbiased),
            max_complexity=max_complexity,
            operators=wanted,
            admissible=_admissible(symmetry, sample, rows),
            threads=threads,
            deadline=None if max_seconds is None else started + _POLISH_SHARE * max_seconds,
            n_rounds=n_extensions,
        )
        final = _fitted_to_all(polished, sample, symmetry, threads)
        covariances = threads.map(lambda node: _covariance(node, sample), final)
    judge = table if valid is None else valid
    config = {
        "backend": name,
        "why": why,
        "target": target.observable.name,
        "mean_subtracted": mean_subtracted,
        "operators": list(wanted),
        "features": list(used),
        "n_events": table.n_events,
        "n_points": len(rows),
        "sampling": sampling,
        "max_complexity": max_complexity,
        "cp_sign": None if symmetry is None else symmetry.sign,
        "n_restarts": n_restarts,
        "n_extensions": n_extensions,
        "max_seconds": max_seconds,
        "random_state": random_state,
        "options": settings.options,
    }
    expressions = [
        Expression(
            node,
            used,
            units=_units(table, used),
            name="formula" if target.term is None else f"formula:{target.term[0]}",
            odd=symmetry.sign < 0 if symmetry is not None else target.odd,
            term=target.term,
            covariance=covariance,
            config={"backend": name, "target": target.observable.name, "random_state": random_state},
        )
        for node, covariance in zip(final, covariances, strict=True)
    ]
    truth, described = truth_of(judge, target), as_values(target.observable, judge) - mean
    if truth is not None:
        config["target_rho2"] = float(rho2(truth, described, judge.weights[:, 0]))
    finite = [expression for expression in expressions if np.isfinite(expression.predict(judge)).all()]
    if not finite:
        raise InputError("no formula is finite on all events of valid; take operators without poles.")
    judged = figures(finite, judge, target, described, lumi_fb=lumi_fb, random_state=random_state)
    front = ParetoFront(finite, judged, config)
    if truth is not None and np.ptp(described - truth) > _SAME_TARGET * np.ptp(truth):
        front.config |= _advice(front.best(), target, table, judge, mean_subtracted, random_state)
    return front


# ---------------------------------------------------------------------- what was asked for
def _require_types(
    table: EventTable,
    valid: EventTable | None,
    features: Sequence[str] | None,
    options: Mapping[str, Any] | None,
) -> None:
    for name, value in {"table": table, "valid": valid}.items():
        if not isinstance(value, EventTable) and (name == "table" or value is not None):
            raise InputError(f"{name} is a {type(value).__name__}: events with weights are needed, an EventTable.")
    if isinstance(features, str):
        raise InputError(f"features={features!r}: give a sequence of names, such as [{features!r}].")
    if options is not None and not isinstance(options, Mapping):
        raise InputError(f"options={options!r}: give a mapping, such as {{'max_evaluations': 100000}}.")


def _require_numbers(
    n_points: int,
    max_complexity: int,
    n_restarts: int,
    n_extensions: int,
    max_seconds: float | None,
    random_state: int,
) -> None:
    require_whole_number("n_points", n_points, 10)
    require_whole_number("max_complexity", max_complexity, 1)
    require_whole_number("n_restarts", n_restarts, 1)
    require_whole_number("n_extensions", n_extensions, 0)
    if isinstance(random_state, bool) or not isinstance(random_state, int | np.integer) or random_state < 0:
        raise InputError(f"random_state={random_state!r}: a seed is needed, a whole number of at least 0.")
    if max_seconds is not None and not (isinstance(max_seconds, int | float | np.number) and max_seconds > 0):
        raise InputError(f"max_seconds={max_seconds!r}: give a positive time, or None for no limit.")


def _operators(operators: Sequence[str]) -> tuple[str, ...]:
    if isinstance(operators, str) or not operators:
        raise InputError(f"operators={operators!r}: give a sequence of names, such as ('add', 'mul', 'sin').")
    unknown = [name for name in operators if name not in OPERATORS]
    if unknown:
        raise InputError(f"unknown operators {unknown}: {near_match(str(unknown[0]), OPERATORS)}")
    return tuple(dict.fromkeys(operators))


def choose_backend(backend: str) -> tuple[ModuleType, str, str]:
    """Choose what searches.

    Parameters
    ----------
    backend : str
        A name, or "auto" for the first that can run.

    Returns
    -------
    module : module
        As `bit.distill._search` describes it.
    name : str
        Its name.
    why : str
        Why it was chosen.

    Raises
    ------
    InputError
        For an unknown name.
    MissingPackageError
        If it cannot run, or none can.
    """
    if backend not in get_args(Backend):
        raise InputError(f"backend={backend!r}: give one of {', '.join(get_args(Backend))}.")
    if backend != "auto":
        # Whether it can run may depend on its options: its own search knows.
        return importlib.import_module(f"bit.distill._{backend}"), backend, "asked for"
    refused: list[str] = []
    for name in _BACKENDS:
        engine = importlib.import_module(f"bit.distill._{name}")
        reason = engine.available()
        if reason is None:
            return engine, name, "; ".join([*refused, f"{name} can run"])
        refused.append(f"{name}: {reason.rstrip('.')}")
    raise MissingPackageError(f"no backend can search for formulas. {'; '.join(refused)}.")


def _varying_features(table: EventTable, features: tuple[str, ...]) -> tuple[str, ...]:
    columns = columns_of(table, features)
    constant = [name for name, column in columns.items() if np.ptp(column) == 0.0]
    if len(constant) == len(features):
        raise InputError(f"the features {', '.join(features)} are constant: there is nothing to make a formula of.")
    if constant:
        warnings.warn(f"the features {constant} are constant and are left out.", BitWarning, stacklevel=3)
    return tuple(name for name in features if name not in constant)


def _sign(parity: CPParity | None, target: Target) -> int:
    if parity is not None and target.term is not None:
        return int(parity.term_sign([target.term])[0])
    return -1 if target.odd else 1


def _units(table: EventTable, features: tuple[str, ...]) -> tuple[str, ...] | None:
    if table.units is None:
        return None
    return tuple(table.units[table.feature_names.index(name)] for name in features)


# ---------------------------------------------------------------------- search
@dataclass(frozen=True)
class _Task:
    """One search: inputs as functions of the features, and what its formulas are multiplied with."""

    sample: Sample
    emphasis: FloatArray
    inputs: Mapping[str, Node]
    prefactor: Node | None
    n_restarts: int


def _tasks(
    sample: Sample,
    rows: IntArray,
    emphasis: FloatArray,
    symmetry: Symmetry | None,
    settings: SearchSettings,
    rng: np.random.Generator,
) -> Iterator[_Task]:
    """Free search; with a symmetry also one that can only give formulas that have it."""
    if symmetry is None:
        inputs: dict[str, Node] = {name: Variable(name) for name in sample.columns}
        yield _Task(sample.take(rows, sample.weights[rows]), emphasis, inputs, None, settings.n_restarts)
        return
    part = symmetry.with_images(sample, rows, rng)
    n_even = settings.n_restarts // 2
    inputs = {name: Variable(name) for name in symmetry.features}
    yield _Task(part, emphasis, inputs, None, settings.n_restarts - n_even)
    even = symmetry.even_inputs(settings.operators)
    if n_even and even:
        yield _Task(part, emphasis, even, symmetry.prefactor(part, settings.operators), n_even)


def _search(
    engine: ModuleType,
    sample: Sample,
    rows: IntArray,
    emphasis: FloatArray,
    symmetry: Symmetry | None,
    settings: SearchSettings,
    rng: np.random.Generator,
) -> Iterator[Node]:
    """Formulas of the features from all searches."""
    tasks = list(_tasks(sample, rows, emphasis, symmetry, settings, rng))
    for number, task in enumerate(tasks):
        share = None if settings.max_seconds is None else settings.max_seconds * task.n_restarts / settings.n_restarts
        problem, substitutes, scale = _problem(task)
        part = SearchSettings(
            operators=settings.operators,
            max_complexity=settings.max_complexity,
            n_restarts=task.n_restarts,
            seed=settings.seed * len(tasks) + number,
            n_jobs=settings.n_jobs,
            max_seconds=share,
            verbose=settings.verbose,
            options=settings.options,
        )
        # The constant is always on the front, whatever the search finds.
        for tree in [Constant(1.0), *engine.search(problem, part)]:
            product = tree if task.prefactor is None else call("mul", task.prefactor, tree)
            node = _with_scales(product, substitutes, scale)
            if node is None:
                continue
            yield node
            if symmetry is not None and not symmetry.holds(node):
                other = symmetry.projected(node)
                if other is not None:
                    yield other


def _problem(task: _Task) -> tuple[Problem, dict[str, Node], float]:
    """A task in units of order 1, what its inputs stand for, and the unit of its target."""
    weights, target = task.emphasis, task.sample.target
    used = np.ones(len(target), dtype=bool)
    if task.prefactor is not None:
        # sum w (p g - t)^2 = sum w p^2 (g - t / p)^2
        factor = evaluate(task.prefactor, task.sample.columns)
        used = np.abs(factor) > _TINY_PREFACTOR * np.sqrt(np.mean(factor**2))
        weights, target = (weights * factor**2)[used], target[used] / factor[used]
    columns, substitutes = [], {}
    for position, node in enumerate(task.inputs.values()):
        column = np.broadcast_to(evaluate(node, task.sample.columns), used.shape)[used]
        size = natural_scale(column, weights)
        columns.append(column / size)
        substitutes[f"x{position}"] = node if size == 1.0 else call("mul", Constant(1.0 / size), node)
    scale = float(np.sqrt(weights @ target**2 / weights.sum()))
    problem = Problem(np.stack(columns, axis=-1), target / scale, weights / weights.mean(), tuple(substitutes))
    return problem, substitutes, scale


def _with_scales(tree: Node, substitutes: Mapping[str, Node], scale: float) -> Node | None:
    """A formula of the features in the unit of the target, or None if it has no short form."""

    def rule(item: Node) -> Node | None:
        return substitutes.get(item.name) if isinstance(item, Variable) else None

    try:
        return fold(call("mul", Constant(scale), replace(tree, rule)))
    except (InputError, OverflowError, ZeroDivisionError):
        return None


# ---------------------------------------------------------------------- fits
def _admissible(symmetry: Symmetry | None, sample: Sample, rows: IntArray) -> Any:
    """Test of what may stand on the front."""
    if symmetry is None:
        return lambda node: True
    columns = {name: column[rows] for name, column in sample.columns.items()}
    return lambda node: symmetry.holds(node) and symmetry.holds_numerically(node, columns)


def _covariance(node: Node, sample: Sample) -> FloatArray | None:
    """Of the constants; None if there are none, or if the formula is exact: then residuals are rounding."""
    exact = mean_squared_error(node, sample) <= 1e3 * _EXACT * sample.variance
    return None if exact or not constants(node) else sandwich(node, sample)


def _fitted_to_all(front: Front, sample: Sample, symmetry: Symmetry | None, threads: Threads) -> list[Node]:
    """Formulas of a front with constants from all events, ranked again."""
    fitted = threads.map(lambda node: fit_constants(node, sample), front.nodes)
    ranked = Front(front.max_complexity)
    for node, loss in sorted(fitted, key=lambda item: item[1]):
        short = fold(node)
        if np.isfinite(loss) and (symmetry is None or symmetry.holds(short)):
            ranked.add(short, max(loss, _EXACT * sample.variance))
    if not ranked.members:
        raise InputError(
            "no formula is finite on all events and has the symmetry asked for; allow other operators, a larger "
            "max_complexity, or more seconds."
        )
    return ranked.nodes


def _advice(
    formula: Expression,
    target: Target,
    table: EventTable,
    judge: EventTable,
    mean_subtracted: bool,
    random_state: int,
) -> dict[str, str]:
    """Whether constants fitted to the joint score of the events are better on held-out ones; empty if unknown."""
    own, truth = truth_of(table, target), truth_of(judge, target)
    if own is None or truth is None or not formula.n_constants:
        return {}
    mean = float(table.weights[:, 0] @ own / table.sigma_fb) if mean_subtracted else 0.0
    sample = Sample.of(formula.columns(table), own - mean, np.abs(table.weights[:, 0]))
    node, _ = fit_constants(formula.node, sample, max_steps=200)
    gain, error = gain_in_rho2(formula, changed(formula, node=node, covariance=None), judge, truth, random_state)
    better = gain > max(_SIGNIFICANT * error, _WORTHWHILE)
    return {
        "advice": f"constants of {formula} fitted to the joint score change rho2 by {gain:+.4f} +- {error:.4f}: "
        + ("describe TrueScore, or refit to it" if better else f"{target.observable.name} is as good a target")
    }
