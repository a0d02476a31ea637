"""Leaves that are linear functions of a few features.

In a leaf R_k(x) = c_k0 + sum_f c_kf (x_f - xbar_f), with xbar the mean of the leaf's events: the constant c_k0 is that
of a constant leaf, S_k / S_0, and the slopes minimise sum w_0 (u_k / w_0 - R_k)^2 with a ridge. They need no more
than the sums of w_0 x x^T and u_k x, so that all outputs share one factorisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.kernels.residuals import LEAF_FEATURES, N_MOMENTS
from bit.trees.walk import IntArray

_FIRST, _SECOND = np.triu_indices(LEAF_FEATURES)
# A direction in which the events of a leaf spread by less than this fraction of the whole range is none.
_FLAT = 1e-10
# The smallest eigenvalue of a matrix of correlations that is taken to be positive.
_RIDGE_FLOOR = 1e-9
_EVENTS_PER_SLOPE = 3
_RIDGES = (1e-4, 0.01, 0.1, 1.0, 10.0)


class LinearWalk(NamedTuple):
    """Linear parts of the leaves of one tree, as ``kernels.residuals`` takes them.

    Attributes
    ----------
    columns : ndarray of int64, shape (n_nodes, 4)
        Features of each leaf, -1 for none.
    signs : ndarray of float64, shape (n_nodes, 4)
        Factors of them.
    centre, low, high : ndarray of float64, shape (n_nodes, 4)
        Mean and range of each.
    slope : ndarray of float64, shape (n_nodes, n_outputs, 4)
        Slopes, learning rate included.
    """

    columns: IntArray
    signs: FloatArray
    centre: FloatArray
    low: FloatArray
    high: FloatArray
    slope: FloatArray


CONSTANT = LinearWalk(
    columns=np.empty((0, LEAF_FEATURES), dtype=np.int64),
    signs=np.empty((0, LEAF_FEATURES)),
    centre=np.empty((0, LEAF_FEATURES)),
    low=np.empty((0, LEAF_FEATURES)),
    high=np.empty((0, LEAF_FEATURES)),
    slope=np.empty((0, 0, LEAF_FEATURES)),
)
"""No linear parts."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums of products over the events of each leaf, see ``kernels.residuals.sum_moments``.

    Attributes
    ----------
    whole : ndarray of float64, shape (n_nodes, 16 + 5 n_outputs)
        The sums.
    halves : ndarray of float64, shape (n_nodes, 2, 16 + 5 n_outputs)
        Those over each half of the events.
    origin, unit : ndarray of float64, shape (n_nodes, 4)
        z = (x - origin) unit.
    low, high : ndarray of float64, shape (n_nodes, 4)
        Range of x.
    """

    whole: FloatArray
    halves: FloatArray
    origin: FloatArray
    unit: FloatArray
    low: FloatArray
    high: FloatArray


def features_of_leaves(
    feature: npt.NDArray[np.integer], left: IntArray, right: IntArray, gain: npt.NDArray[np.floating]
) -> IntArray:
    """Choose the features of each leaf: those that gained most on the way to it, at most four.

    Parameters
    ----------
    feature, left, right : ndarray of int, shape (n_nodes,)
        The tree; feature -1 marks a leaf, children have larger numbers.
    gain : ndarray of float64, shape (n_nodes,)
        Information gained by the splits.

    Returns
    -------
    ndarray of int64, shape (n_nodes, 4)
        Features, -1 for none.
    """
    chosen = np.full((len(feature), LEAF_FEATURES), -1, dtype=np.int64)
    gained: list[dict[int, float]] = [{} for _ in feature]
    for node, f in enumerate(feature.tolist()):
        if f < 0:
            best = sorted(gained[node], key=lambda name: (-gained[node][name], name))[:LEAF_FEATURES]
            chosen[node, : len(best)] = best
            continue
        below = gained[node] | {f: gained[node].get(f, 0.0) + float(gain[node])}
        gained[int(left[node])], gained[int(right[node])] = below, below
    return chosen


@dataclass(frozen=True, eq=False)
class _Normal:
    """Normal equations of the leaves, around the mean of their events.

    Attributes
    ----------
    nominal, square : ndarray of float64, shape (n_nodes,)
        Sums of w and w^2.
    mean : ndarray of float64, shape (n_nodes, 4)
        <z>.
    matrix : ndarray of float64, shape (n_nodes, 4, 4)
        Sums of w (z - <z>) (z - <z>)^T.
    right : ndarray of float64, shape (n_nodes, n_outputs, 4)
        Sums of u (z - <z>).
    """

    nominal: FloatArray
    square: FloatArray
    mean: FloatArray
    matrix: FloatArray
    right: FloatArray

    @classmethod
    def of(cls, sums: FloatArray) -> _Normal:
        n_nodes, n_outputs = len(sums), (sums.shape[1] - N_MOMENTS) // (1 + LEAF_FEATURES)
        square, nominal = sums[:, 0], sums[:, 1]
        weight = np.where(nominal > 0, nominal, 1.0)[:, np.newaxis]
        mean = sums[:, 2 : 2 + LEAF_FEATURES] / weight
        matrix = np.zeros((n_nodes, LEAF_FEATURES, LEAF_FEATURES))
        matrix[:, _FIRST, _SECOND] = sums[:, 2 + LEAF_FEATURES : N_MOMENTS]
        matrix[:, _SECOND, _FIRST] = sums[:, 2 + LEAF_FEATURES : N_MOMENTS]
        matrix -= weight[:, :, np.newaxis] * mean[:, :, np.newaxis] * mean[:, np.newaxis, :]
        residuals = sums[:, N_MOMENTS:].reshape(n_nodes, n_outputs, 1 + LEAF_FEATURES)
        right = residuals[:, :, 1:] - residuals[:, :, :1] * mean[:, np.newaxis, :]
        return cls(nominal, square, mean, matrix, right)

    def slopes(self, used: npt.NDArray[np.bool_], ridges: FloatArray) -> FloatArray:
        """Solve for the slopes with each ridge, shape (n_ridges, n_nodes, n_outputs, 4).

        They are 0 where the matrix is not positive or the effective events are too few.
        """
        # Per unit of nominal weight and of the spread of each feature in the leaf, the matrix is that of the
        # correlations; in this order no root is taken of something that doubles with the weights.
        weight = np.where(self.nominal > 0, self.nominal, 1.0)[:, np.newaxis, np.newaxis]
        matrix, right = self.matrix / weight, self.right / weight
        variance = np.diagonal(matrix, axis1=1, axis2=2)
        wide = used & (variance > _FLAT) & (self.nominal > 0)[:, np.newaxis]
        size = np.sqrt(np.where(wide, variance, 1.0))
        both = wide[:, :, np.newaxis] & wide[:, np.newaxis, :]
        scaled = np.where(both, matrix / (size[:, :, np.newaxis] * size[:, np.newaxis, :]), 0.0)
        diagonal = np.arange(LEAF_FEATURES)
        scaled[:, diagonal, diagonal] = 1.0
        right = np.where(wide[:, np.newaxis, :], right / size[:, np.newaxis, :], 0.0)
        enough = self.nominal**2 >= _EVENTS_PER_SLOPE * (1 + wide.sum(axis=1)) * self.square
        # A ridge is added to every eigenvalue: one decomposition does for all of them.
        eigenvalues, axes = np.linalg.eigh(scaled)
        shifted = eigenvalues + ridges[:, np.newaxis, np.newaxis]
        fits = wide.any(axis=1) & enough & (shifted[:, :, 0] > _RIDGE_FLOOR)
        inverse = np.where(fits[:, :, np.newaxis], 1.0 / np.where(fits[:, :, np.newaxis], shifted, 1.0), 0.0)
        solution = (right @ axes) * inverse[:, :, np.newaxis, :] @ axes.transpose(0, 2, 1)
        slopes: FloatArray = np.where(wide[:, np.newaxis, :], solution / size[:, np.newaxis, :], 0.0)
        return slopes

    def gains(self, slope: FloatArray) -> FloatArray:
        """By how much each feature's slopes c lower the loss, sum_k c_km (2 b_k - A c_k)_m, shape (n_nodes, 4)."""
        gains: FloatArray = (slope * (2.0 * self.right - slope @ self.matrix)).sum(axis=1)
        return gains

    def changes(self, slope: FloatArray) -> FloatArray:
        """What slopes c do to the loss: c^T A c and -2 c b, shape (..., n_nodes, n_outputs, 2)."""
        curvature = ((slope @ self.matrix) * slope).sum(axis=-1)
        return np.stack([curvature, -2.0 * (slope * self.right).sum(axis=-1)], axis=-1)


class LinearFit(NamedTuple):
    """Linear parts of the leaves of one tree, and what they gain.

    Attributes
    ----------
    walk : LinearWalk
        The linear parts. A leaf has none where its normal matrix is not positive, or where its effective number
        of events is below three for each number that is fitted.
    changes : ndarray of float64, shape (n_nodes, n_outputs, 2)
        What the slopes c do to the loss: c^T A c and -2 c b.
    gains : ndarray of float64, shape (n_nodes, 4)
        By how much the slopes of each feature lower the loss of all outputs.
    """

    walk: LinearWalk
    changes: FloatArray
    gains: FloatArray


def fit_slopes(columns: IntArray, moments: Moments, ridge: float | None) -> LinearFit:
    """Fit the linear parts of the leaves.

    Parameters
    ----------
    columns : ndarray of int64, shape (n_nodes, 4)
        Features of each leaf, -1 for none.
    moments : Moments
        Sums over both halves of the events.
    ridge : float or None
        Added to the diagonal of the normal matrix, as a fraction of it; None chooses it for each output, as that
        which with slopes from one half lowers the loss of the other half most; if none does, there are no slopes.

    Returns
    -------
    LinearFit
        The linear parts.
    """
    used = columns >= 0
    whole = _Normal.of(moments.whole)
    if ridge is None:
        ridges = np.array(_RIDGES)
        one, other = (_Normal.of(moments.halves[:, half]) for half in (0, 1))
        crossed = other.changes(one.slopes(used, ridges)) + one.changes(other.slopes(used, ridges))
        loss = crossed.sum(axis=(1, 3))
        best = loss.argmin(axis=0)
        slope = np.take_along_axis(whole.slopes(used, ridges), best[np.newaxis, np.newaxis, :, np.newaxis], axis=0)[0]
        slope = np.where((loss.min(axis=0) < 0)[:, np.newaxis], slope, 0.0)
    else:
        slope = whole.slopes(used, np.array([ridge]))[0]
    in_use = np.asarray(slope.any(axis=(1, 2)))[:, np.newaxis] & used
    walk = LinearWalk(
        columns=np.where(in_use, columns, -1),
        signs=np.ones(columns.shape),
        centre=np.where(in_use, moments.origin + whole.mean / np.where(used, moments.unit, 1.0), 0.0),
        low=np.where(in_use, moments.low, 0.0),
        high=np.where(in_use, moments.high, 0.0),
        slope=slope * moments.unit[:, np.newaxis, :],
    )
    return LinearFit(walk, whole.changes(slope), whole.gains(slope))
