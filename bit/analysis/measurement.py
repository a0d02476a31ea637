"""Expected intervals of coefficients from several observables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import bit
from bit import plotting
from bit.analysis.events import divide, read_events
from bit.analysis.model import evaluate
from bit.config import BEST, LEARNED, TRUE, Config
from bit.errors import InputError, near_match
from bit.estimators import BoostedInformationTree
from bit.events import EventTable
from bit.inference import Interval, Template
from bit.inference.experiment import Experiment, Parts
from bit.observables import ModelObservable, Observable, TrueScore, observable
from bit.trees.forest import Forest


@dataclass(frozen=True, eq=False)
class Measurement:
    """Expected interval of one coefficient from one observable.

    Attributes
    ----------
    param : str
        The coefficient.
    observable : str
        Name as in the configuration.
    label : str
        Text for tables and figures.
    feature : str or None
        The feature that was chosen as the best one.
    template : Template
        Filled from the test events.
    interval : Interval
        Of the Asimov data of the Standard Model; infinite where the observable tells nothing.
    """

    param: str
    observable: str
    label: str
    feature: str | None
    template: Template
    interval: Interval


@dataclass(frozen=True, eq=False)
class Result:
    """What an analysis found.

    Attributes
    ----------
    config : Config
        What was asked for.
    rho2 : mapping of str to float
        Squared correlation of every learned function with the truth, on test events.
    measurements : tuple of Measurement
        One for each coefficient and observable.
    events : mapping of str to float
        Numbers of events of the parts, effective number and cross-section in fb of the sample.
    """

    config: Config
    rho2: Mapping[str, float]
    measurements: tuple[Measurement, ...]
    events: Mapping[str, float]

    def interval(self, param: str, name: str) -> Interval:
        """Return the interval of a coefficient from an observable.

        Parameters
        ----------
        param, name : str
            Coefficient, and observable as it is named in the configuration.

        Returns
        -------
        Interval
            In TeV^-2.

        Raises
        ------
        InputError
            If there is no such measurement.
        """
        for item in self.measurements:
            if (item.param, item.observable) == (param, name):
                return item.interval
        known = [f"{item.param}:{item.observable}" for item in self.measurements]
        raise InputError(f"no measurement of {param!r} with {name!r}: {near_match(f'{param}:{name}', known)}")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON types, with the configuration and the version of `bit`.

        Returns
        -------
        dict
            Kind ``bit-results/1``; ends of intervals that are not bounded are None.
        """
        return {
            "kind": "bit-results/1",
            "bit_version": bit.__version__,
            "config": self.config.to_dict(),
            "events": dict(self.events),
            "rho2": {name: None if np.isnan(value) else value for name, value in self.rho2.items()},
            "intervals": [
                {"param": item.param, "observable": item.observable, "feature": item.feature}
                | item.interval.to_dict()
                | {"n_bins": item.template.n_bins}
                for item in self.measurements
            ],
        }

    def table(self) -> str:
        """Return what was found as text for a terminal.

        Returns
        -------
        str
            rho^2 of each function, and the intervals of each coefficient.
        """
        return "\n\n".join(part for part in (self._rho2_table(), self._interval_table()) if part)

    def _rho2_table(self) -> str:
        if not self.rho2:
            return ""
        lines = [f"rho^2 of the learned functions with the truth, on {self.events['test']:.0f} test events"]
        lines += [f"  {name:<16} {value:6.3f}" for name, value in self.rho2.items()]
        return "\n".join(lines)

    def _interval_table(self) -> str:
        settings = self.config.limits
        head = (
            f"expected {100 * settings.cl:g} % intervals in TeV^-2 "
            f"({settings.lumi_fb:g} fb^-1, {settings.order}, {settings.n_bins} bins, others {settings.others})"
        )
        columns = list(dict.fromkeys(item.observable for item in self.measurements))
        rows = [["", *(column_title(name) for name in columns)]]
        for param in dict.fromkeys(item.param for item in self.measurements):
            cells = [text_of(item) for item in self.measurements if item.param == param]
            rows.append([param, *cells])
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = ["  " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join([head, *(line.rstrip() for line in lines)])


def column_title(name: str) -> str:
    """Return the text of an observable in tables and legends."""
    return {BEST: "best single feature", LEARNED: "learned", TRUE: "true score"}.get(name, name)


def text_of(item: Measurement) -> str:
    """Return the interval of a measurement, with the feature behind "best"."""
    interval = item.interval
    if not np.isfinite([interval.lower, interval.upper]).any():
        text = "none"
    else:
        text = " or ".join(f"[{low:.4f}, {high:.4f}]" for low, high in interval.pieces)
    return f"{text} ({item.feature})" if item.feature else text


def measure(
    config: Config, parts: Parts, forest: Forest, formulas: Mapping[str, Observable] | None = None
) -> tuple[Measurement, ...]:
    """Expected intervals of all coefficients from all observables.

    Bins are chosen on one part of the events and filled with another; with a parity in the configuration, both
    are made CP-symmetric.

    Parameters
    ----------
    config : Config
        Sections ``[observables]``, ``[limits]``, ``[cp]``.
    parts : Parts
        Events.
    forest : Forest
        For the observable "learned".
    formulas : mapping of str to Observable, optional
        Further observables by name.

    Returns
    -------
    tuple of Measurement
        Coefficient by coefficient.

    Raises
    ------
    InputError
        If the events are too few for the bins.
    """
    parts.require_events(config.limits.n_bins, "limits.n_bins")
    images = parts.mirrored(config.cp)
    experiment = _experiment(config, images.edges, images.test)
    params = config.limits.params or parts.test.basis.param_names
    best = best_features(config, parts, params) if BEST in config.observables.names else {}
    others = formulas or {}
    results = []
    for param in params:
        for name in (*config.observables.names, *others):
            chosen, feature = (others[name], None) if name in others else _observable(config, name, param, forest, best)
            template = experiment.template(chosen)
            interval = experiment.interval(template, param)
            results.append(Measurement(param, name, chosen.label, feature, template, interval))
    return tuple(results)


def _experiment(config: Config, edges: EventTable, test: EventTable) -> Experiment:
    settings = config.limits
    return Experiment(edges, test, settings.lumi_fb, settings.n_bins, settings.cl, settings.order, settings.others)


def _observable(
    config: Config, name: str, param: str, forest: Forest, best: Mapping[str, str]
) -> tuple[Observable, str | None]:
    odd = config.cp is not None and param in config.cp.odd_params
    if name == LEARNED:
        return ModelObservable(BoostedInformationTree.from_forest(forest), param, label="learned", odd=odd), None
    if name == TRUE:
        return TrueScore(param, label="true score", odd=odd), None
    if name == BEST:
        feature = best[param]
        return feature_observable(config, (feature,)), feature
    return feature_observable(config, (name,)), None


def feature_observable(config: Config, names: Sequence[str]) -> Observable:
    """Return one or more features as an observable, with their labels and their parity."""
    label = ", ".join(plotting.feature_label(name, config.data.labels.get(name)) for name in names)
    odd = tuple(config.cp is not None and name in config.cp.flip for name in names)
    return observable(*names, label=label, odd=odd)


def best_features(config: Config, parts: Parts, params: Sequence[str]) -> dict[str, str]:
    """Return the feature with the narrowest interval for each coefficient; chosen on events that give no result."""
    features = {name: feature_observable(config, (name,)) for name in parts.train.feature_names}
    images = parts.mirrored(config.cp)
    return _experiment(config, images.edges, images.train).narrowest(features, params)


def results(config: Config, forest: Forest) -> Result:
    """Evaluate a trained forest on events that its training did not use.

    Parameters
    ----------
    config : Config
        The configuration of the training, or one that divides the events likewise.
    forest : Forest
        Trees.

    Returns
    -------
    Result
        rho^2 and intervals.

    Raises
    ------
    InputError
        If events and forest do not fit, or events are too few.
    """
    table = read_events(config)
    return result_of(config, forest, table, divide(config, table))


def result_of(config: Config, forest: Forest, table: EventTable, parts: Parts) -> Result:
    """Evaluate a forest on the parts of a table; see `results`."""
    return Result(
        config=config,
        rho2=evaluate(forest, parts.test),
        measurements=measure(config, parts, forest),
        events={
            "train": parts.train.n_events,
            "edges": parts.edges.n_events,
            "test": parts.test.n_events,
            "n_eff": table.n_eff,
            "sigma_fb": table.sigma_fb,
        },
    )
