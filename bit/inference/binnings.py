"""Edges of bins that keep the most information, and how many of them are worth having."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, ThetaLike
from bit.errors import InputError, near_match
from bit.events import EventTable
from bit.inference.results import BinningResult
from bit.inference.templates import ObservableLike, choose_edges, fill


def optimal_edges(
    table: EventTable,
    observable: ObservableLike,
    n_bins: int,
    *,
    objective: str | npt.ArrayLike,
    theta: ThetaLike | None = None,
    n_fine: int = 200,
) -> FloatArray:
    """Edges of an observable of one axis with the largest Fisher information, by dynamic programming.

    Of all ways to merge `n_fine` equally probable bins into `n_bins`, the one with the largest
    sum_b d_a lambda_b M_ab d_b lambda_b / lambda_b, which is the information on one coefficient, or tr(M I). The sum
    runs over independent bins, so the best k bins up to an edge hold the best k - 1 bins up to an earlier one, and
    the optimum is exact.

    Parameters
    ----------
    table : EventTable
        Events; `fill` others, or the bins adapt to fluctuations.
    observable : Observable or callable
        ``observable(table)`` gives (n_events,).
    n_bins : int
        Number of bins, at most that of the fine ones.
    objective : str or array-like of shape (n_params, n_params)
        A coefficient, the others known; or a symmetric, positive semi-definite metric M, such as the inverse of a
        matrix of squared resolutions.
    theta : array-like of shape (n_params,) or mapping, optional
        Where, absolute c/Lambda^2 in TeV^-2; default 0, the SM.
    n_fine : int, default=200
        Number of fine bins, between `n_bins` and 2000. Each should hold many events (some 100).

    Returns
    -------
    ndarray of float64, shape (n_bins + 1,)
        Increasing, the outer edges infinite; fewer if equal values leave fewer fine bins.

    Raises
    ------
    InputError
        For an unknown coefficient, a metric that does not fit, numbers of bins outside their rule, or a fine bin
        without a positive yield.
    """
    if not 1 <= n_bins <= n_fine <= 2000:
        raise InputError(f"n_bins={n_bins}, n_fine={n_fine}: 1 <= n_bins <= n_fine <= 2000 is needed.")
    fine = _fine_bins(table, observable, objective, theta, n_fine)
    return fine.edges[_best_cuts(fine, min(n_bins, fine.n_bins))]


def adaptive_edges(
    table: EventTable,
    observable: ObservableLike,
    *,
    objective: str | npt.ArrayLike,
    candidates: Sequence[int] = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50),
    tolerance: float = 0.01,
    theta: ThetaLike | None = None,
    n_fine: int = 200,
    fraction: float = 0.5,
    seed: int = 0,
) -> BinningResult:
    """Smallest number of optimal bins that is nearly as good as any, judged on other events than chose the edges.

    Parameters
    ----------
    table : EventTable
        Events, of which a part chooses the edges and the rest judges them.
    observable : Observable or callable
        ``observable(table)`` gives (n_events,).
    objective : str or array-like of shape (n_params, n_params)
        As for `optimal_edges`.
    candidates : sequence of int
        Numbers of bins to try.
    tolerance : float, default=0.01
        Share of the largest independent information that may be lost for fewer bins, within [0, 1).
    theta : array-like of shape (n_params,) or mapping, optional
        Where, absolute c/Lambda^2 in TeV^-2; default 0, the SM.
    n_fine : int, default=200
        Fine bins of `optimal_edges`.
    fraction : float, default=0.5
        Part of the events that chooses the edges.
    seed : int, default=0
        Of the division.

    Returns
    -------
    BinningResult
        Edges, and the information of every candidate on either part. How much larger it is on the part that chose
        the edges is the overtraining.

    Raises
    ------
    InputError
        As `optimal_edges`, or for candidates, a tolerance or a fraction outside their rule.
    """
    numbers = sorted({int(number) for number in candidates})
    if not numbers or numbers[0] < 1 or numbers[-1] > n_fine:
        raise InputError(f"candidates={list(candidates)}: numbers of bins between 1 and n_fine={n_fine} are needed.")
    if not 0.0 <= tolerance < 1.0:
        raise InputError(f"tolerance={tolerance}: a share within [0, 1) is needed.")
    if not 0.0 < fraction < 1.0:
        raise InputError(f"fraction={fraction}: a share within (0, 1) is needed.")
    choosing, judging = table.split([fraction, 1.0 - fraction], seed)
    fine = _fine_bins(choosing, observable, objective, theta, n_fine)
    other = _sums_in(judging, observable, fine.edges, objective, theta)
    tried = [_best_cuts(fine, min(number, fine.n_bins)) for number in numbers]
    chosen = np.array([fine.information(cuts) for cuts in tried])
    independent = np.array([other.information(cuts) for cuts in tried])
    enough = int(np.argmax(independent >= (1.0 - tolerance) * independent.max()))
    return BinningResult(fine.edges[tried[enough]], np.array(numbers), chosen, independent, tolerance)


@dataclass(frozen=True)
class _FineBins:
    """Cumulated yields and slopes of fine bins; slopes in coordinates in which the metric is 1."""

    edges: FloatArray
    yields: FloatArray
    slopes: FloatArray

    @property
    def n_bins(self) -> int:
        return len(self.edges) - 1

    def information(self, cuts: npt.NDArray[np.int64]) -> float:
        """Objective of the bins between chosen edges."""
        slopes, yields = np.diff(self.slopes[cuts], axis=0), np.diff(self.yields[cuts])
        if not (yields > 0).all():
            raise InputError(
                f"{int((yields <= 0).sum())} of {len(yields)} bins have no positive yield on the events that judge "
                "them; use fewer bins or more events."
            )
        return float((slopes**2 / yields[:, np.newaxis]).sum())


def _fine_bins(
    table: EventTable, observable: ObservableLike, objective: str | npt.ArrayLike, theta: ThetaLike | None, n_fine: int
) -> _FineBins:
    edges = choose_edges(table, observable, n_fine, symmetric=False)
    if len(edges) != 1:
        raise InputError(f"the observable has {len(edges)} axes: optimal edges need one; see choose_edges for more.")
    fine = _sums_in(table, observable, edges[0], objective, theta)
    if not (np.diff(fine.yields) > 0).all():
        raise InputError(f"a fine bin has no positive yield: use fewer than {n_fine} fine bins or more events.")
    return fine


def _sums_in(
    table: EventTable,
    observable: ObservableLike,
    edges: FloatArray,
    objective: str | npt.ArrayLike,
    theta: ThetaLike | None,
) -> _FineBins:
    point = table.basis.as_theta(np.zeros(table.basis.n_params) if theta is None else theta)
    template = fill(table, observable, edges, 1.0)
    slopes = template.gradient(point) @ _root(objective, table.basis.param_names)
    start = np.zeros((1, slopes.shape[1]))
    yields = np.concatenate([[0.0], np.cumsum(template.yields(point))])
    return _FineBins(edges, yields, np.concatenate([start, np.cumsum(slopes, axis=0)]))


def _root(objective: str | npt.ArrayLike, names: tuple[str, ...]) -> FloatArray:
    """Matrix A with A A^T = M."""
    if isinstance(objective, str):
        if objective not in names:
            raise InputError(f"no coefficient {objective!r}: {near_match(objective, names)}")
        return np.eye(len(names))[:, [names.index(objective)]]
    metric = np.asarray(objective, dtype=np.float64)
    n = len(names)
    if metric.shape != (n, n) or not np.allclose(metric, metric.T, rtol=1e-9, atol=0.0):
        raise InputError(
            f"objective has shape {metric.shape}: a coefficient or a symmetric ({n}, {n}) metric is needed."
        )
    values, vectors = np.linalg.eigh(metric)
    if values[0] < -1e-9 * np.abs(values).max() or not values[-1] > 0:
        raise InputError(f"objective has the eigenvalues {values.tolist()}: a metric has none below 0 and one above.")
    root: FloatArray = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


def _best_cuts(fine: _FineBins, n_bins: int) -> npt.NDArray[np.int64]:
    """Positions of the edges of the best `n_bins` bins among the fine ones, the outermost included."""
    n = fine.n_bins
    # value[i, j]: objective of one bin from edge i to edge j > i.
    slopes = fine.slopes[np.newaxis] - fine.slopes[:, np.newaxis]
    yields = fine.yields[np.newaxis] - fine.yields[:, np.newaxis]
    above = np.triu(np.ones((n + 1, n + 1), dtype=bool), 1)
    squares = (slopes**2).sum(axis=-1)
    value = np.where(above, np.divide(squares, yields, out=np.zeros_like(squares), where=above), -np.inf)
    best = value[0]
    came_from = []
    for _ in range(n_bins - 1):
        through = best[:, np.newaxis] + value
        came_from.append(np.argmax(through, axis=0))
        best = through.max(axis=0)
    cuts = [n]
    for origin in reversed(came_from):
        cuts.append(int(origin[cuts[-1]]))
    return np.array([0, *reversed(cuts)])
