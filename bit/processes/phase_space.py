"""Adaptive integration over the unit hypercube, and events with importance weights from it.

The only module that knows vegas (arXiv:2009.05112). An integrand takes points of the unit hypercube and
returns the cross-section density f there with all Jacobians, in fb, and an ``emphasis`` g > 0, such as the
squared effect that the sample is made to measure. Events are drawn from the mixture

    q(x) proportional to f(x) h(x),   h = 1 - m + m g / <g>,   <g> the mean over f,

and carry weights proportional to 1/h, so the tail where g is large holds many events of small weight, and no
weight exceeds 1/(1 - m) times the mean. The share m is chosen such that n_eff/n has a given value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from bit.basis import FloatArray
from bit.errors import InputError
from bit.optional import require
from bit.progress import progress_bar

CHUNK = 8192
"""Points that are worked on at once: their arrays stay in the cache of a core."""
_PILOT_CHUNKS = 16
_ADAPT_ITERATIONS, _FINAL_ITERATIONS, _BOOST_ITERATIONS, _POINTS_PER_ITERATION = 8, 10, 5, 30_000
_N_ADAPTATION_POINTS = (_ADAPT_ITERATIONS + _FINAL_ITERATIONS + _BOOST_ITERATIONS) * _POINTS_PER_ITERATION


class Integrand(Protocol):
    """Density on the unit hypercube."""

    def __call__(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Density in fb and emphasis.

        Parameters
        ----------
        points : ndarray of float64, shape (n, n_dim)
            Points of the unit hypercube.

        Returns
        -------
        density, emphasis : ndarray of float64, shape (n,)
            Cross-section per unit volume, at least 0, and 0 outside of cuts; positive and finite.
        """


@dataclass(frozen=True)
class Sample:
    """Points with weights.

    Attributes
    ----------
    points : ndarray of float64, shape (n_events, n_dim)
        Points of the unit hypercube, independent of each other and so in random order.
    weights : ndarray of float64, shape (n_events,)
        In fb; their sum is `sigma`.
    sigma, sigma_error : float
        Integral of the density and its standard error, in fb.
    emphasis_share : float
        Share m of the events drawn with the emphasis.
    """

    points: FloatArray
    weights: FloatArray
    sigma: float
    sigma_error: float
    emphasis_share: float


def draw(
    integrand: Integrand,
    n_dim: int,
    n_events: int,
    seed: np.random.SeedSequence,
    *,
    what: str,
    n_eff_fraction: float = 0.75,
    show_progress: bool = True,
) -> Sample:
    """Adapt vegas to a density, integrate it, and draw events.

    The map adapts to the density for the integral, then to q for the events. Of its points with weight
    g = f h the fraction min(1, g/g_cap) is kept, with the weight max(1, g/g_cap) / h; g_cap is the 99.9 %
    quantile of g.

    Parameters
    ----------
    integrand : callable
        Density and emphasis, see `Integrand`.
    n_dim : int
        Dimension of the hypercube.
    n_events : int
        Number of events to draw, at least 1.
    seed : numpy.random.SeedSequence
        Fixes the result.
    what : str
        What is simulated, for messages and the progress bar.
    n_eff_fraction : float, default=0.75
        Wanted n_eff/n = (sum w)^2/(n sum w^2), in (0, 1]. Where the emphasis hardly varies it comes out larger.
    show_progress : bool, default=True
        Draw progress bars.

    Returns
    -------
    Sample
        Points, weights, cross-section.

    Raises
    ------
    InputError
        If the density is 0 at all points that were tried.
    MissingPackageError
        If vegas is not installed.
    """
    source = _Source(integrand, n_dim, np.random.default_rng(seed), what)
    with progress_bar(_N_ADAPTATION_POINTS, f"adapt {what}", "points", show=show_progress) as bar:
        sigma, error = source.integrate(bar)
        flow, emphasis = source.pilot()
        mean = float(np.average(emphasis, weights=flow))
        share = emphasis_share(flow, emphasis, n_eff_fraction)

        def boost(emphasis: FloatArray) -> FloatArray:
            return 1.0 - share + share / mean * emphasis

        source.adapt_further(boost, bar)
    flow, emphasis = source.pilot()
    boosted = flow * boost(emphasis)
    # Where less than one point in a thousand lies inside the cuts the largest value has to do.
    cap = float(np.quantile(boosted, 0.999)) or float(boosted.max())

    points, weights, n_found = [], [], 0
    with progress_bar(n_events, f"simulate {what}", "events", show=show_progress) as bar:
        while n_found < n_events:
            found, flow, emphasis = source.points()
            factor = boost(emphasis)
            relative = flow * factor / cap
            kept = source.rng.random(CHUNK) < relative
            points.append(found[kept])
            weights.append(np.maximum(relative[kept], 1.0) / factor[kept])
            bar.update(min(len(points[-1]), n_events - n_found))
            n_found += len(points[-1])
    chosen = np.concatenate(weights)[:n_events]
    return Sample(
        points=np.concatenate(points)[:n_events],
        weights=chosen * (sigma / chosen.sum()),
        sigma=sigma,
        sigma_error=error,
        emphasis_share=share,
    )


def quasi_random_integral(integrand: Integrand, n_dim: int) -> tuple[float, float]:
    """Integral of a density from quasi-random points, always the same.

    Parameters
    ----------
    integrand : callable
        Density and emphasis, see `Integrand`.
    n_dim : int
        Dimension of the hypercube.

    Returns
    -------
    integral, error : float
        In fb: mean of eight shifted Kronecker sequences of 8192 points, and the standard error from their scatter.
    """
    growth = _growth(n_dim)
    points = np.outer(np.arange(CHUNK), growth ** -np.arange(1.0, n_dim + 1.0))
    shifts = np.random.default_rng(0).random((_N_SHIFTS, n_dim))
    means = np.array([integrand((shift + points) % 1.0)[0].mean() for shift in shifts])
    return float(means.mean()), float(means.std(ddof=1) / np.sqrt(_N_SHIFTS))


_N_SHIFTS = 8


def _growth(n_dim: int) -> float:
    """The root g > 1 of g^(n+1) = g + 1, which generalises the golden ratio to n dimensions."""
    return float(brentq(lambda g: g ** (n_dim + 1) - g - 1.0, 1.0, 2.0, xtol=1e-15))


def emphasis_share(flow: FloatArray, emphasis: FloatArray, n_eff_fraction: float) -> float:
    """Share m of the emphasis with which a sample has a given n_eff/n.

    A sample drawn with density f h, h = 1 - m + m g/<g>, and weighted with 1/h has n_eff/n = 1/<1/h>, at
    least 1 - m, with means over f; it falls as m grows.

    Parameters
    ----------
    flow : ndarray of float64, shape (n,)
        Weights of a pilot sample of f.
    emphasis : ndarray of float64, shape (n,)
        The emphasis g > 0.
    n_eff_fraction : float
        Wanted n_eff/n, in (0, 1].

    Returns
    -------
    float
        m between 0 and 1; 1 where even that leaves n_eff/n above the wanted value.
    """
    probability = flow / flow.sum()
    relative = emphasis / (probability @ emphasis)

    def excess(share: float) -> float:
        return float(probability @ (1.0 / (1.0 - share + share * relative))) * n_eff_fraction - 1.0

    if n_eff_fraction >= 1.0:
        return 0.0
    if excess(1.0) <= 0.0:
        return 1.0
    return float(brentq(excess, 0.0, 1.0, xtol=1e-6))


class _Source:
    """Points of the unit hypercube from a vegas map that adapts to an integrand."""

    def __init__(self, integrand: Integrand, n_dim: int, rng: np.random.Generator, what: str) -> None:
        self._vegas = require("vegas", for_=f"the simulation of {what}")
        # The generator is handed over: vegas would otherwise draw from a global state.
        self._integrator = self._vegas.Integrator([[0.0, 1.0]] * n_dim, ran_array_generator=rng.random)
        self._integrand, self._n_dim, self._what = integrand, n_dim, what
        self.rng = rng

    def integrate(self, bar: Any) -> tuple[float, float]:
        """Adapt to the density and integrate it; integral and standard error."""
        self._run(np.ones_like, _ADAPT_ITERATIONS, bar)
        # Without further adaptation the iterations are independent and their average is unbiased.
        result = self._run(np.ones_like, _FINAL_ITERATIONS, bar, adapt=False)
        return float(result.mean), float(result.sdev)

    def adapt_further(self, boost: Callable[[FloatArray], FloatArray], bar: Any) -> None:
        """Adapt the map to the boosted density, so that a good share of its points is kept."""
        self._run(boost, _BOOST_ITERATIONS, bar)

    def points(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One chunk of points, their density times the Jacobian of the map, and their emphasis."""
        uniforms = self.rng.random((CHUNK, self._n_dim))
        points, jacobian = np.empty_like(uniforms), np.empty(CHUNK)
        self._integrator.map.map(uniforms, points, jacobian)
        density, emphasis = self._integrand(points)
        return points, density * jacobian, emphasis

    def pilot(self) -> tuple[FloatArray, FloatArray]:
        """Density times Jacobian and emphasis of many points."""
        chunks = [self.points() for _ in range(_PILOT_CHUNKS)]
        flow = np.concatenate([flow for _, flow, _ in chunks])
        if not flow.any():
            raise InputError(
                f"{self._what}: the cross-section vanishes at all of {_N_ADAPTATION_POINTS} points that were tried; "
                "loosen the cuts."
            )
        return flow, np.concatenate([emphasis for _, _, emphasis in chunks])

    def _run(
        self, boost: Callable[[FloatArray], FloatArray], n_iterations: int, bar: Any, *, adapt: bool = True
    ) -> Any:
        def boosted(points: npt.NDArray[np.float64]) -> FloatArray:
            density, emphasis = self._integrand(points)
            bar.update(len(points))
            return density * boost(emphasis)

        batch = self._vegas.lbatchintegrand(boosted)
        return self._integrator(batch, nitn=n_iterations, neval=_POINTS_PER_ITERATION, adapt=adapt)
