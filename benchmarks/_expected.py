"""Expected limits on CP-odd coefficients from simulated events and their CP images, and errors of ratios of limits."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import brentq

import bit
from bit.basis import FloatArray
from bit.inference import Channel, Model, Template, choose_edges, fill, limits
from bit.inference.templates import EdgesLike, ObservableLike

N_BINS = 20
_SEED = 7


@dataclass(frozen=True, eq=False)
class Limit:
    """An upper limit at 95 %, and what it would be on other test events.

    Parameters
    ----------
    value : float
        In TeV^-2.
    replicas : ndarray of float64, shape (n_replicas,)
        The same from Poisson-bootstrapped test events, the same ones for all observables.
    """

    value: float
    replicas: FloatArray

    def over(self, other: Limit) -> tuple[float, float]:
        """Ratio to another limit, and its standard error due to the test events, which both share."""
        return self.value / other.value, float((self.replicas / other.replicas).std(ddof=1))


@dataclass(frozen=True, eq=False)
class Experiment:
    """Events of the Standard Model of which one coefficient at a time is measured, linear terms only.

    Parameters
    ----------
    train : EventTable
        Events that choose the bins.
    test : EventTable
        Other events, which fill them together with their CP images.
    parity : CPParity
        What makes the images.
    lumi_fb : float
        Integrated luminosity in fb^-1.
    n_replicas : int
        Bootstrap samples for errors.
    """

    train: bit.EventTable
    test: bit.EventTable
    parity: bit.CPParity
    lumi_fb: float
    n_replicas: int = 100

    @cached_property
    def mirrored(self) -> bit.EventTable:
        """Test events and their CP images."""
        return self.test.with_cp_mirror(self.parity)

    @property
    def n_expected(self) -> float:
        """Expected events."""
        return self.lumi_fb * self.test.sigma_fb

    @cached_property
    def multiplicities(self) -> FloatArray:
        """How often each event and its image are drawn, shape (n_replicas, 2 n_events)."""
        drawn = np.random.default_rng(_SEED).poisson(1.0, (self.n_replicas, self.test.n_events))
        return np.tile(drawn, 2).astype(np.float64)

    def at_limit(self, observable: ObservableLike, edges: EdgesLike, name: str, value: float) -> Experiment:
        """The same experiment with the luminosity at which an observable gives this limit."""
        template = fill(self.mirrored, observable, edges, lumi_fb=1.0)

        def excess(logarithm: float) -> float:
            return upper_limit(replace(template, lumi_fb=np.exp(logarithm)), name) - value

        start = np.log(100.0 / self.test.sigma_fb)
        return replace(self, lumi_fb=float(np.exp(brentq(excess, start - 1.5, start + 1.5, xtol=1e-4))))

    def template(self, observable: ObservableLike, name: str, edges: EdgesLike | None = None) -> Template:
        """Yields of one coefficient in bins that are given, or equally probable."""
        table = self.mirrored.select(params=[name])
        return fill(table, observable, self.edges(observable, edges), self.lumi_fb)

    def limit(self, observable: ObservableLike, name: str, edges: EdgesLike | None = None) -> Limit:
        """Upper limit on one coefficient."""
        table, chosen = self.mirrored.select(params=[name]), self.edges(observable, edges)
        seen = observable(table)

        def found(weights: FloatArray) -> float:
            return upper_limit(fill(replace(table, weights=weights), lambda _: seen, chosen, self.lumi_fb), name)

        replicas = [found(table.weights * count[:, np.newaxis]) for count in self.multiplicities]
        return Limit(found(table.weights), np.array(replicas))

    def edges(self, observable: ObservableLike, given: EdgesLike | None = None) -> EdgesLike:
        """Those that are given, or those of equally probable bins."""
        if given is not None:
            return given
        with warnings.catch_warnings(category=bit.BitWarning, action="ignore"):  # few trees have few values
            return choose_edges(self.train, observable, N_BINS)


def upper_limit(model: Template | Model, name: str) -> float:
    """At 95 %, the other coefficients 0, linear terms only."""
    return limits(model, order="linear", params=[name])[name].upper


def combined(channels: dict[str, Template]) -> Model:
    """Channels that are measured together."""
    return Model(Channel(name, [template]) for name, template in channels.items())


def table_row(label: str, cells: Sequence[Any]) -> str:
    """One row of a table."""
    return f"| {label} | {' | '.join(str(cell) for cell in cells)} |"


def with_error(ratio: tuple[float, float]) -> str:
    """A number and its error."""
    return f"{ratio[0]:.3f} ± {ratio[1]:.3f}"
