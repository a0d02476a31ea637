"""Regions of two coefficients: expected contours, and the power of tests, from several observables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

import bit
from bit import plotting
from bit.analysis.events import divide, mirrored, read_events
from bit.analysis.measurement import best_features, column_title, feature_observable
from bit.basis import FloatArray
from bit.config import BEST, LEARNED, TRUE, Config
from bit.errors import InputError
from bit.estimators import BoostedInformationTree
from bit.inference import (
    ContourResult,
    Likelihood,
    PowerMap,
    Template,
    UnbinnedLikelihood,
    choose_edges,
    contour,
    fill,
    power_map,
)
from bit.inference.experiment import Parts
from bit.inference.limits import bounds
from bit.inference.unbinned import AnyLikelihood
from bit.trees.forest import Forest

# Grids reach beyond the regions by this share of their width on each side.
_MARGIN = 0.1

Pair = tuple[str, str]
_Found = TypeVar("_Found", ContourResult, PowerMap)


@dataclass(frozen=True, eq=False)
class Regions(Generic[_Found]):
    """One result for each pair of coefficients and each observable.

    Attributes
    ----------
    kind : str
        Of the JSON document.
    config : Config
        What was asked for.
    labels : mapping of str to str
        Texts of the observables, by their names in the configuration.
    found : mapping of (str, str) to mapping of str to result
        By pair of coefficients, then by observable.
    best : mapping of (str, str) to tuple of str
        The features that stand behind "best", by pair.
    """

    kind: str
    config: Config
    labels: Mapping[str, str]
    found: Mapping[Pair, Mapping[str, _Found]]
    best: Mapping[Pair, tuple[str, ...]]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON types, with the configuration and the version of `bit`.

        Returns
        -------
        dict
            ``results`` has one entry for each pair and observable, with the features of "best".
        """
        return {
            "kind": self.kind,
            "bit_version": bit.__version__,
            "config": self.config.to_dict(),
            "results": [
                {
                    "observable": name,
                    "label": self.labels[name],
                    "features": list(self.best[pair]) if name == BEST else None,
                }
                | result.to_dict()
                for pair, row in self.found.items()
                for name, result in row.items()
            ],
        }

    def table(self) -> str:
        """Return one line for each pair and observable as text for a terminal.

        Returns
        -------
        str
            The extent of regions along the coefficients in TeV^-2, or the share of the grid that is excluded.
        """
        width = max(len(label) for label in self.labels.values())
        blocks = []
        for (first, second), row in self.found.items():
            head = f"{first} x {second}: {_headline(next(iter(row.values())), self.config)}"
            lines: list[str] = [f"  {self.labels[name]:<{width}}   {_summary(found)}" for name, found in row.items()]
            blocks.append("\n".join([head, *lines]))
        return "\n\n".join(blocks)

    def by_label(self, pair: Pair) -> dict[str, _Found]:
        """Return the results of a pair by the texts of the observables.

        Parameters
        ----------
        pair : tuple of (str, str)
            The coefficients.

        Returns
        -------
        dict
            In the order of the configuration.
        """
        return {self.labels[name]: result for name, result in self.found[pair].items()}


def contours(config: Config, forest: Forest) -> Regions[ContourResult]:
    """Expected confidence regions of all pairs of ``contour.params``.

    Features enter in bins, "best" as a histogram of the best features of both coefficients; the learned and the true
    ratio enter event by event, so that they are optimal at every point.

    Parameters
    ----------
    config : Config
        Sections ``[contour]``, ``[limits]``, ``[observables]``, ``[cp]``.
    forest : Forest
        Trees for all terms of the polynomial, or for the linear ones with ``limits.order = "linear"``.

    Returns
    -------
    Regions
        Of the Asimov data of the Standard Model.

    Raises
    ------
    InputError
        If events and forest do not fit, events are too few, or no observable bounds a coefficient.
    """
    settings = config.contour
    inputs = _Inputs(config, forest, config.limits.n_bins, "contour")
    params = settings.params or config.limits.params or inputs.test.basis.param_names
    if len(params) < 2:
        raise InputError(f"contour.params={list(params)}: at least two coefficients are needed.")
    found = {}
    for pair in combinations(params, 2):
        likelihoods = {name: inputs.likelihood(name, pair) for name in config.observables.names}
        ranges = _ranges(likelihoods, pair, max(settings.cls), config)
        found[pair] = {
            name: contour(
                likelihood,
                pair,
                cls=settings.cls,
                n_points=settings.n_points,
                others=config.limits.others,
                ranges=ranges[name],
            )
            for name, likelihood in likelihoods.items()
        }
    return Regions("bit-contours/1", config, inputs.labels(params), found, inputs.best(found))


def power_maps(config: Config, forest: Forest) -> Regions[PowerMap]:
    """Power to exclude points of two coefficients if the Standard Model is true.

    Parameters
    ----------
    config : Config
        Sections ``[power]``, ``[observables]``, ``[cp]``, and the luminosity of ``[limits]``.
    forest : Forest
        Trees for all terms of the polynomial.

    Returns
    -------
    Regions
        One pair, all observables on the same grid: the 95 % region of the best of them, and a tenth around.

    Raises
    ------
    InputError
        If events and forest do not fit, events are too few, or no observable bounds a coefficient.
    """
    settings, lumi_fb = config.power, config.limits.lumi_fb
    if config.limits.order != "quadratic":
        raise InputError("limits.order='linear': power is that of the whole polynomial; use 'quadratic'.")
    inputs = _Inputs(config, forest, settings.n_bins, "power")
    pair = (settings.params or config.limits.params or inputs.test.basis.param_names)[:2]
    if len(pair) < 2:
        raise InputError(f"power.params={list(pair)}: two coefficients are needed.")
    first, second = pair
    likelihoods = {name: inputs.likelihood(name, (first, second)) for name in config.observables.names}
    ranges = _ranges(likelihoods, (first, second), 0.95, config)
    x, y = (
        np.linspace(*min((grid[param] for grid in ranges.values()), key=np.ptp), settings.n_points) for param in pair
    )
    maps = {}
    for name in config.observables.names:
        how: dict[str, Any] = {"observable": None, "ratios": None}
        if name in (LEARNED, TRUE):
            how["ratios"] = inputs.ratios(name)
            if settings.binning != "none":
                how |= {"n_bins": settings.n_bins, "binning": settings.binning}
        else:
            how["observable"], how["edges"] = inputs.binned(name, (first, second))
        maps[name] = power_map(
            inputs.test,
            (first, second),
            x,
            y,
            lumi_fb=lumi_fb,
            alpha=settings.alpha,
            method=settings.method,
            n_toys=settings.n_toys,
            seed=config.output.seed,
            **how,
        )
    return Regions(
        "bit-power-maps/1", config, inputs.labels(pair), {(first, second): maps}, inputs.best([(first, second)])
    )


def draw_contours(result: Regions[ContourResult], path: Path) -> None:
    """Write the figure of contours: one panel, or a triangle of them.

    Parameters
    ----------
    result : Regions
        Of `contours`.
    path : pathlib.Path
        The figure.
    """
    rows = [result.by_label(pair) for pair in result.found]
    columns = {label: [row[label] for row in rows] for label in rows[0]}
    plotting.save(plotting.contours(rows[0]) if len(rows) == 1 else plotting.corner(columns), path)


def draw_power(result: Regions[PowerMap], path: Path) -> None:
    """Write the figure of power: colours for the learned observable, or the first, and a contour for each.

    Parameters
    ----------
    result : Regions
        Of `power_maps`.
    path : pathlib.Path
        The figure.
    """
    (pair,) = result.found
    background = result.labels.get(LEARNED)
    plotting.save(plotting.power_maps(result.by_label(pair), background=background), path)


def _headline(result: ContourResult | PowerMap, config: Config) -> str:
    settings = config.limits
    if isinstance(result, PowerMap):
        return (
            f"part of the grid with power above 1/2 at size {result.alpha:g} "
            f"({settings.lumi_fb:g} fb^-1, others zero, {result.method})"
        )
    return (
        f"expected {100 * max(result.cls):g} % regions in TeV^-2 "
        f"({settings.lumi_fb:g} fb^-1, {settings.order}, others {settings.others})"
    )


def _summary(result: ContourResult | PowerMap) -> str:
    if isinstance(result, PowerMap):
        return f"{100 * float((result.power > 0.5).mean()):5.1f} %"
    level = max(result.levels)
    ends = [_extent(x, result.twice_nll.min(axis=axis), level) for axis, x in enumerate((result.x, result.y))]
    return ", ".join(f"{name} in [{low:.4f}, {high:.4f}]" for name, (low, high) in zip(result.names, ends, strict=True))


def _extent(x: FloatArray, heights: FloatArray, level: float) -> tuple[float, float]:
    """Outermost crossings of a level, by linear interpolation; the ends of the grid where it stays below."""
    inside = np.flatnonzero(heights <= level)
    if not inside.size:
        return math.nan, math.nan
    first, last = int(inside[0]), int(inside[-1])
    low = x[0] if first == 0 else np.interp(level, heights[[first, first - 1]], x[[first, first - 1]])
    high = x[-1] if last == len(x) - 1 else np.interp(level, heights[[last, last + 1]], x[[last, last + 1]])
    return float(low), float(high)


class _Inputs:
    """Events, ratios and templates that contours and power share."""

    def __init__(self, config: Config, forest: Forest, n_bins: int, section: str) -> None:
        table = read_events(config)
        self.config, self.n_bins = config, n_bins
        self.parts: Parts = divide(config, table)
        self.parts.require_events(n_bins, f"{section}.n_bins" if section == "power" else "limits.n_bins")
        self.test = mirrored(config, self.parts.test)
        self._edges = mirrored(config, self.parts.edges)
        self._forest = forest
        self._ratios: dict[str, FloatArray] = {}
        self._best_of: dict[str, str] = {}

    def ratios(self, name: str) -> FloatArray:
        """R_k of the test events, learned or true."""
        if name not in self._ratios:
            self._ratios[name] = self.test.joint_ratio() if name == TRUE else self._learned()
        return self._ratios[name]

    def _learned(self) -> FloatArray:
        terms, found = self.test.basis.terms[1:], self._forest.output_terms
        linear = self.config.limits.order == "linear"
        missing = ["*".join(term) for term in terms if term not in found and not (linear and len(term) > 1)]
        if missing:
            raise InputError(
                f"the forest has not learned {', '.join(missing)}, without which the ratio is not known: train without "
                "train.terms" + ("." if linear else ", or choose limits.order='linear' for contours.")
            )
        predicted = BoostedInformationTree.from_forest(self._forest).predict(self.test)
        ratios = np.zeros((self.test.n_events, len(terms)))
        for k, term in enumerate(terms):
            if term in found:
                ratios[:, k] = predicted[:, found.index(term)]
        return ratios

    def likelihood(self, name: str, pair: Pair) -> AnyLikelihood:
        """-2 ln L of Asimov data of the Standard Model."""
        settings = self.config.limits
        if name in (LEARNED, TRUE):
            return UnbinnedLikelihood.asimov(
                self.test, self.ratios(name), lumi_fb=settings.lumi_fb, order=settings.order
            )
        observable, edges = self.binned(name, pair)
        template: Template = fill(self.test, observable, edges, settings.lumi_fb)
        return Likelihood(template, order=settings.order)

    def binned(self, name: str, pair: Pair) -> tuple[Any, Any]:
        """A feature, or the best features of both coefficients, and edges."""
        features = self._features(name, pair)
        observable = feature_observable(self.config, features)
        # As many bins for two features as for one.
        each = self.n_bins if len(features) == 1 else max(2, round(math.sqrt(self.n_bins)))
        return observable, choose_edges(self._edges, observable, each)

    def _features(self, name: str, pair: Sequence[str]) -> tuple[str, ...]:
        if name != BEST:
            return (name,)
        missing = [param for param in pair if param not in self._best_of]
        if missing:
            self._best_of |= best_features(self.config, self.parts, missing)
        return tuple(dict.fromkeys(self._best_of[param] for param in pair))

    def best(self, pairs: Iterable[Pair]) -> dict[Pair, tuple[str, ...]]:
        """Features behind "best" by pair; empty if it is not among the observables."""
        return {pair: self._features(BEST, pair) for pair in pairs if BEST in self.config.observables.names}

    def labels(self, params: Sequence[str]) -> dict[str, str]:
        """Texts of the observables."""
        texts: dict[str, Callable[[], str]] = {
            LEARNED: lambda: column_title(LEARNED),
            TRUE: lambda: "true ratio",
            BEST: lambda: "best features" if len(params) > 2 else self._joined(params),
        }
        return {
            name: texts[name]() if name in texts else feature_observable(self.config, (name,)).label
            for name in self.config.observables.names
        }

    def _joined(self, params: Sequence[str]) -> str:
        features = self._features(BEST, params)
        return " × ".join(feature_observable(self.config, (name,)).label for name in features) + " (best)"


def _ranges(
    likelihoods: Mapping[str, AnyLikelihood], pair: Pair, cl: float, config: Config
) -> dict[str, dict[str, tuple[float, float]]]:
    """Ends of the grids: those of the region, or of the widest one where an observable does not bound it."""
    level = -2.0 * math.log1p(-cl)
    ranges: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in likelihoods}
    for param, other in (pair, pair[::-1]):
        found = {}
        for name, likelihood in likelihoods.items():
            low, high = bounds(likelihood, param, level, others=config.limits.others, free=[other])
            if math.isfinite(low) and math.isfinite(high):
                found[name] = (low - _MARGIN * (high - low), high + _MARGIN * (high - low))
        if not found:
            raise InputError(
                f"no observable bounds {param!r} (with {other!r} free): add one to observables.names, or choose "
                "other coefficients."
            )
        widest = min(span[0] for span in found.values()), max(span[1] for span in found.values())
        for name in likelihoods:
            ranges[name][param] = found.get(name, widest)
    return ranges
