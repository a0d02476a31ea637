"""From a configuration to a formula: search, choice, judgement on other events, files and figures."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bit.analysis.events import divide, read_events
from bit.analysis.measurement import Measurement, measure
from bit.analysis.model import load_forest, save_forest, train
from bit.analysis.workflow import Say, output_folder
from bit.basis import FloatArray
from bit.config import Config
from bit.distill import ParetoFront, RegionalErrors, distill, refit, regional_mse
from bit.distill._search import SearchInterrupted, require_operators
from bit.distill.pipeline import choose_backend
from bit.errors import BitWarning, InputError, MissingPackageError, near_match
from bit.estimators import BoostedInformationTree
from bit.events import EventTable
from bit.expression import Expression
from bit.inference.experiment import Parts
from bit.metrics import rho2
from bit.observables import FunctionObservable, Observable, TrueScore
from bit.trees.forest import Forest

FORMULA = "formula"
"""Name of the formula among the observables."""

# Regions of |t| in units of its root mean square: about those of Table 11 of arXiv:2109.10414, 0.1 and 0.5 TeV^2.
_REGIONS = (0.25, 1.25)


@dataclass(frozen=True, eq=False)
class Values:
    """The formula, the forest and the truth for the test events, without their means if the configuration says so.

    Attributes
    ----------
    table : EventTable
        Test events with a nominal weight other than 0, without images under CP.
    formula, forest, true : ndarray of float64, shape (n_events,)
        In TeV^2.
    """

    table: EventTable
    formula: FloatArray
    forest: FloatArray
    true: FloatArray


@dataclass(frozen=True, eq=False)
class Distillation:
    """What a search for formulas found.

    Attributes
    ----------
    config : Config
        What was asked for.
    param : str
        The coefficient.
    front : ParetoFront
        All formulas, judged on the events that choose bins.
    formula : Expression
        The chosen one, fitted again, with errors of its constants.
    position : int
        Of the chosen one in the front.
    removed : tuple of str
        Flat directions of its constants that were removed.
    remarks : tuple of str
        Warnings of the search: features left out, an interruption.
    interrupted : bool
        Whether Ctrl-C ended the search.
    measurements : tuple of Measurement
        Expected intervals from the observables of the configuration, and from the formula.
    rho2 : mapping of str to float
        Squared correlation with the joint score, on test events, of the formula and of the forest.
    regional : mapping of str to RegionalErrors
        Mean squared errors on test events, by what is compared.
    values : Values
        For figures.
    forest : Forest
        Trees.
    n_events : mapping of str to int
        Numbers of events of the parts.
    """

    config: Config
    param: str
    front: ParetoFront
    formula: Expression
    position: int
    removed: tuple[str, ...]
    remarks: tuple[str, ...]
    interrupted: bool
    measurements: tuple[Measurement, ...]
    rho2: Mapping[str, float]
    regional: Mapping[str, RegionalErrors]
    values: Values
    forest: Forest
    n_events: Mapping[str, int]


def distillation(
    config: Config, model: Path | None = None, *, say: Say = lambda text: None, verbose: bool = True
) -> Distillation:
    """Find formulas on the training events, choose one on the second part, and judge it on the third.

    Parameters
    ----------
    config : Config
        Section ``[distill]``, and those of ``bit run``.
    model : pathlib.Path, optional
        The forest; default ``forest.json`` in the folder of the configuration, trained if there is none.
    say : callable, optional
        Is called with one line of text at every step.
    verbose : bool, default=True
        Draw progress bars on a terminal.

    Returns
    -------
    Distillation
        Also if Ctrl-C ended the search, with the best so far.

    Raises
    ------
    InputError
        For anything that the user gave and that does not fit.
    MissingPackageError
        If the backend cannot run.
    KeyboardInterrupt
        On Ctrl-C before the first formula, or if it ended the training; the partial forest has been written then.
    """
    table = read_events(config)
    parts = divide(config, table)
    param = _require_possible(config, parts)
    source = output_folder(config) / "forest.json" if model is None else model
    if model is None and not source.exists():
        forest = _trained(config, parts, source, say, verbose)
    else:
        forest = load_forest(config, source)
        say(f"{forest.n_trees} trees from {source}")
    learned = BoostedInformationTree.from_forest(forest).observable(param)
    odd = config.cp is not None and param in config.cp.odd_params
    target: Observable = learned if config.distill.target == "learned" else TrueScore(param, odd=odd)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", BitWarning)
        front = _search(config, parts, target, param, say, verbose)
    for item in caught:
        warnings.warn(item.message, stacklevel=2)
    chosen = front.best(config.distill.rule)
    say(f"{len(front)} formulas, up to complexity {front[-1].complexity}; judge the chosen one")
    described = target(parts.train)
    described = described - _mean(config, described, parts.train)
    fitted = refit(chosen, parts.train, described, random_state=config.output.seed)
    # Residuals of an exact formula are rounding, and so are errors from them.
    covariance = None if chosen.covariance is None else fitted.expression.covariance
    formula = _labelled(config, replace(fitted.expression, covariance=covariance, label=FORMULA))
    values = _values(config, parts, formula, learned, param)
    nominal = values.table.weights[:, 0]
    statistics = replace(config, limits=replace(config.limits, params=(param,)))
    return Distillation(
        config=config,
        param=param,
        front=ParetoFront(
            [_labelled(config, expression) for expression in front],
            front.figures,
            front.config | {"analysis": config.to_dict()},
        ),
        formula=formula,
        position=list(front).index(chosen),
        removed=fitted.removed,
        remarks=tuple(str(item.message) for item in caught if issubclass(item.category, BitWarning)),
        interrupted=any(issubclass(item.category, SearchInterrupted) for item in caught),
        measurements=measure(statistics, parts, forest, {FORMULA: formula}),
        rho2={
            name: float(rho2(values.true, predicted, nominal))
            for name, predicted in ((FORMULA, values.formula), ("forest", values.forest))
        },
        regional=_regional(values),
        values=values,
        forest=forest,
        n_events={"train": parts.train.n_events, "edges": parts.edges.n_events, "test": parts.test.n_events},
    )


def _require_possible(config: Config, parts: Parts) -> str:
    """Return the coefficient; refuse before the training what could not be done after it."""
    settings, basis = config.distill, parts.train.basis
    known = config.limits.params or basis.param_names
    if settings.param is None and len(known) != 1:
        raise InputError(f"distill.param: name the coefficient, one of {', '.join(known)}.")
    param = known[0] if settings.param is None else settings.param
    if param not in basis.param_names:
        raise InputError(f"distill.param: no coefficient {param!r}: {near_match(param, basis.param_names)}")
    for name in settings.features or ():
        if name not in parts.train.feature_names:
            raise InputError(f"distill.features: no feature {name!r}: {near_match(name, parts.train.feature_names)}")
    engine, name, _ = choose_backend(settings.backend)
    require_operators(name, settings.operators, engine.OPERATORS)
    reason = engine.available()
    # PySR may be allowed to install what it lacks.
    if reason is not None and not settings.options.get("allow_install", False):
        raise MissingPackageError(f"the backend {name!r} cannot run: {reason}")
    parts.require_events(config.limits.n_bins, "limits.n_bins")
    return param


def _trained(config: Config, parts: Parts, path: Path, say: Say, verbose: bool) -> Forest:
    say(f"train on {parts.train.n_events} events")
    model = train(config, parts, verbose=verbose)
    save_forest(config, model.forest_, path)
    if model.interrupted_:
        raise KeyboardInterrupt(f"the {model.n_iter_} trees until then are in {path}")
    return model.forest_


def _search(config: Config, parts: Parts, target: Observable, param: str, say: Say, verbose: bool) -> ParetoFront:
    settings = config.distill
    say(f"search for formulas of {target.label} on {parts.train.n_events} events")
    return distill(
        target,
        parts.train,
        param=param,
        backend=settings.backend,
        operators=settings.operators,
        features=settings.features,
        n_points=settings.n_points,
        sampling=settings.sampling,
        max_complexity=settings.max_complexity,
        cp_parity=config.cp,
        mean_subtracted=settings.mean_subtracted,
        n_restarts=settings.n_restarts,
        n_extensions=settings.n_extensions,
        valid=parts.edges,
        lumi_fb=config.limits.lumi_fb,
        max_seconds=settings.max_seconds,
        random_state=config.output.seed,
        n_jobs=config.train.get("n_jobs"),
        verbose=verbose,
        options=settings.options,
    )


def _labelled(config: Config, expression: Expression) -> Expression:
    """Return a formula with the LaTeX of its features."""
    return replace(expression, latex=tuple(config.data.labels.get(name, name) for name in expression.features))


def _mean(config: Config, values: FloatArray, table: EventTable) -> float:
    """Of the training events, if it is to be subtracted."""
    return float(table.weights[:, 0] @ values / table.sigma_fb) if config.distill.mean_subtracted else 0.0


def _values(config: Config, parts: Parts, formula: Expression, learned: Observable, param: str) -> Values:
    kept = parts.test.weights[:, 0] != 0.0
    table = parts.test if kept.all() else parts.test.take(kept)
    column = parts.train.basis.index(param)
    mean = parts.train.weights[:, column].sum() / parts.train.sigma_fb if config.distill.mean_subtracted else 0.0
    return Values(
        table,
        formula(table),
        learned(table) - _mean(config, learned(parts.train), parts.train),
        table.weights[:, column] / table.weights[:, 0] - mean,
    )


def _regional(values: Values) -> dict[str, RegionalErrors]:
    """Errors in regions of the size of what is described, relative to its root mean square."""
    nominal = values.table.weights[:, 0]
    size = float(np.sqrt(np.abs(nominal) @ values.true**2 / np.abs(nominal).sum()))
    edges = [0.0, *(float(f"{share * size:.2g}") for share in _REGIONS)]
    formula = FunctionObservable(FORMULA, lambda _: values.formula)
    forest = FunctionObservable("forest", lambda _: values.forest)
    return {
        f"{first.name} \N{MINUS SIGN} {name}": regional_mse(first, values.table, second, edges)
        for first, name, second in (
            (formula, "true", values.true),
            (forest, "true", values.true),
            (formula, "forest", values.forest),
        )
    }
