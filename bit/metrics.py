"""How good a regression of the joint ratios is: correlation, loss, captured information, calibration.

All sums run over events with signed weights; nothing here divides by a nominal weight, which may be 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.errors import InputError

# A variance below this fraction of the mean square is rounding: the values are constant.
_CONSTANT = 1e-24


@dataclass(frozen=True, eq=False)
class Calibration:
    """Prediction against truth in bins of the prediction.

    Attributes
    ----------
    prediction : ndarray of float64, shape (n_bins,)
        w_0-weighted mean prediction.
    truth : ndarray of float64, shape (n_bins,)
        Sum of w_k over sum of w_0.
    error : ndarray of float64, shape (n_bins,)
        Statistical error of truth - prediction, sqrt(sum (w_k - w_0 F)^2) / |sum w_0|.
    pulls : ndarray of float64, shape (n_bins,)
        (truth - prediction) / error; standard normal if the prediction is E[w_k | x] / E[w_0 | x].
    """

    prediction: FloatArray
    truth: FloatArray
    error: FloatArray
    pulls: FloatArray

    @property
    def chi2(self) -> float:
        """Sum of squared pulls, to be compared with the number of bins."""
        return float(self.pulls @ self.pulls)

    def __repr__(self) -> str:
        """Return a short description."""
        return f"Calibration(n_bins={len(self.pulls)}, chi2={self.chi2:.2f})"


def rho2(truth: npt.ArrayLike, prediction: npt.ArrayLike, weights: npt.ArrayLike) -> FloatArray | np.float64:
    r"""Weighted, mean-subtracted squared correlation of prediction and truth.

    rho^2 = (sum w dt df)^2 / (sum w dt^2 sum w df^2), where dt and df have their weighted means removed.

    Parameters
    ----------
    truth, prediction : array-like of shape (n_events,) or (n_events, n_terms)
        Joint ratio (or E[t | x]) and its prediction, both finite, of events not used in training.
    weights : array-like of shape (n_events,)
        Nominal weights w_0, any unit.

    Returns
    -------
    ndarray of float64, shape (n_terms,), or float64 for 1-d input
        Within [0, 1] for non-negative weights. 0 for a constant prediction, NaN for a constant truth.

    Raises
    ------
    InputError
        For shapes that do not fit, values that are not finite, or weights with sum 0.

    Notes
    -----
    This is not the share of information that an observable keeps: for that, see
    `bit.inference.information_kept`.
    """
    t, f, w = _aligned(truth=truth, prediction=prediction, weights=weights)
    total = _nonzero_sum(w)
    dt, df = t - w @ t / total, f - w @ f / total
    cross, var_t, var_f = w @ (dt * df), w @ dt**2, w @ df**2
    flat_t = np.abs(var_t) <= _CONSTANT * np.abs(w @ t**2)
    flat_f = np.abs(var_f) <= _CONSTANT * np.abs(w @ f**2)
    product = np.where(flat_t | flat_f, 1.0, var_t * var_f)
    value: FloatArray = np.where(flat_t, np.nan, np.where(flat_f, 0.0, cross**2 / product))
    return value[()]


def loss(weights_k: npt.ArrayLike, weights_0: npt.ArrayLike, prediction: npt.ArrayLike) -> FloatArray | np.float64:
    """Squared loss of a prediction F of w_k / w_0, up to a constant: sum (w_0 F^2 - 2 w_k F).

    Its minimum over functions of x is F = E[w_k | x] / E[w_0 | x], where the loss is -sum w_0 F^2. The constant
    sum w_k^2 / w_0, which some events leave undefined, is not added.

    Parameters
    ----------
    weights_k : array-like of shape (n_events,) or (n_events, n_terms)
        Derivative weights, columns of ``EventTable.weights``.
    weights_0 : array-like of shape (n_events,)
        Nominal weights, any sign.
    prediction : array-like, shape of `weights_k`
        Predicted ratio.

    Returns
    -------
    ndarray of float64, shape (n_terms,), or float64 for 1-d input
        In fb times the square of the ratio's unit.

    Raises
    ------
    InputError
        For shapes that do not fit or values that are not finite.

    Notes
    -----
    The loss of arXiv:2107.10859 and 2205.12976, summed over events instead of leaves.
    """
    w_k, f, w_0 = _aligned(weights_k=weights_k, prediction=prediction, weights_0=weights_0)
    value: FloatArray | np.float64 = w_0 @ f**2 - 2.0 * (w_k * f).sum(axis=0)
    return value


def captured_information(
    weights_k: npt.ArrayLike, prediction: npt.ArrayLike, truth: npt.ArrayLike
) -> FloatArray | np.float64:
    """Share of the Fisher information that a prediction captures, sum w_k F / sum w_k t.

    For the best prediction of any partition, F = sum w_k / sum w_0 in its cells, this is the information of a
    Poisson measurement in those cells over that of the truth, and it cannot exceed 1 on the events it was made from.

    Parameters
    ----------
    weights_k : array-like of shape (n_events,) or (n_events, n_terms)
        Derivative weights of linear terms.
    prediction, truth : array-like, shape of `weights_k`
        Predicted ratio, and the ratio that a perfect prediction has: w_k / w_0, or E[t | x] where it is known.

    Returns
    -------
    ndarray of float64, shape (n_terms,), or float64 for 1-d input
        The share; a prediction that is too large by a factor c is credited c times as much, so look at
        `calibration` as well.

    Raises
    ------
    InputError
        For shapes that do not fit, values that are not finite, or a truth without information.
    """
    w_k, f, t = _aligned(weights_k=weights_k, prediction=prediction, truth=truth)
    full = (w_k * t).sum(axis=0)
    if (full == 0.0).any():
        raise InputError("sum w_k * truth = 0: the truth has no information to capture; drop this term.")
    value: FloatArray | np.float64 = (w_k * f).sum(axis=0) / full
    return value


def calibration(
    prediction: npt.ArrayLike, weights_k: npt.ArrayLike, weights_0: npt.ArrayLike, n_bins: int = 20
) -> Calibration:
    """Compare a prediction F with sum w_k / sum w_0 in bins of F that hold equally many events.

    Also the closure of a predicted ratio R(x | theta): give ``table.at(theta)`` as `weights_k`.

    Parameters
    ----------
    prediction : array-like of shape (n_events,)
        Predicted ratio of events not used in training.
    weights_k, weights_0 : array-like of shape (n_events,)
        The weights whose ratio is predicted; numerator, nominal.
    n_bins : int, default=20
        Number of bins, at most n_events; equal predictions always share a bin, so that there can be fewer.

    Returns
    -------
    Calibration
        Means, errors and pulls per bin, in increasing order of the prediction.

    Raises
    ------
    InputError
        For shapes that do not fit, values that are not finite, or n_bins outside 1..n_events.
    """
    f, w_k, w_0 = _aligned(prediction=prediction, weights_k=weights_k, weights_0=weights_0)
    if f.ndim != 1:
        raise InputError(f"prediction has shape {f.shape}: calibrate one term at a time, shape (n_events,).")
    if not 1 <= n_bins <= len(f):
        raise InputError(f"n_bins={n_bins}: between 1 and the number of events, {len(f)}.")
    order = np.argsort(f, kind="stable")
    wanted = order[(np.arange(1, n_bins) * len(f)) // n_bins]
    cell = np.searchsorted(np.unique(f[wanted]), f, side="right")
    _, cell = np.unique(cell, return_inverse=True)
    residual = w_k - w_0 * f
    nominal, numerator, predicted, difference, square = (
        np.bincount(cell, weights=values) for values in (w_0, w_k, w_0 * f, residual, residual**2)
    )
    error = np.sqrt(square)
    pulls = np.divide(difference, error, out=np.zeros_like(error), where=error > 0)
    scale = np.where(nominal == 0.0, np.nan, nominal)
    return Calibration(predicted / scale, numerator / scale, error / np.abs(scale), pulls)


def _aligned(**arrays: npt.ArrayLike) -> tuple[FloatArray, ...]:
    """Float64 arrays, finite; the first two have one shape, the third that shape or one value per event."""
    values = {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()}
    (first, shape), *others = ((name, array.shape) for name, array in values.items())
    if len(shape) not in (1, 2) or shape[0] == 0:
        raise InputError(f"{first} has shape {shape}, expected (n_events,) or (n_events, n_terms).")
    for position, (name, other) in enumerate(others):
        if other != shape and (position == 0 or other != shape[:1]):
            raise InputError(f"{name} has shape {other}, but {first} has {shape}: give one value for each.")
    for name, array in values.items():
        bad: Any = ~np.isfinite(array)
        if bad.any():
            raise InputError(f"{name}: {int(bad.sum())} of {array.size} values are NaN or infinite; remove them.")
    return tuple(values.values())


def _nonzero_sum(weights: FloatArray) -> float:
    total = float(weights.sum())
    if total == 0.0:
        raise InputError("the weights sum to 0, so no weighted mean exists; use the nominal weights.")
    return total
