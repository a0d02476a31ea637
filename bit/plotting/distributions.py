"""Distributions of observables, and learned functions in profiles of features."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bit.basis import FloatArray
from bit.errors import InputError
from bit.plotting.style import COLOURS, DASHES, GREY, figure, figure_of, style


def distribution(
    values: npt.ArrayLike,
    weights: Mapping[str, npt.ArrayLike],
    edges: npt.ArrayLike,
    *,
    xlabel: str,
    ylabel: str = "fb / bin",
    title: str = "",
    ratio_label: str = "ratio",
    axes: tuple[Axes, Axes] | None = None,
) -> Figure:
    """Histograms of one observable with several sets of weights, and their ratios to the first.

    Parameters
    ----------
    values : array-like of shape (n_events,)
        Values of the observable.
    weights : mapping of str to array-like of shape (n_events,)
        Weights in fb by the text of the legend; the first is the denominator of the lower panel.
    edges : array-like of shape (n_bins + 1,)
        Finite, increasing; events beyond are left out.
    xlabel, ylabel, title, ratio_label : str
        Texts.
    axes : tuple of matplotlib.axes.Axes, optional
        Panels for histograms and ratios; default those of a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The upper panel has a logarithmic axis. Bands are the Monte Carlo error of the first set; bars at the
        ratios that of the difference, in which events that both share cancel.

    Raises
    ------
    InputError
        If there are no weights, or shapes or edges do not fit.
    """
    x = np.asarray(values, dtype=np.float64)
    sets = {name: np.asarray(w, dtype=np.float64) for name, w in weights.items()}
    if not sets or x.ndim != 1 or any(w.shape != x.shape for w in sets.values()):
        raise InputError("values and every set of weights must have one shape, (n_events,), and one set is needed.")
    bins = Bins(x, edges)

    with style():
        if axes is None:
            fig = figure(6.4, 5.6)
            upper, lower = fig.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        else:
            (upper, lower), fig = axes, figure_of(axes[0])
        first = next(iter(sets.values()))
        nominal, error = bins.summed(first), np.sqrt(bins.summed(first**2))
        safe = np.where(nominal > 0, nominal, np.nan)
        heights = {name: bins.summed(w) for name, w in sets.items()}
        for number, (name, height) in enumerate(heights.items()):
            colour = GREY if number == 0 else COLOURS[(number - 1) % len(COLOURS)]
            dash = DASHES[number % len(DASHES)]
            shown = np.where(height > 0, height, np.nan)
            upper.stairs(shown, bins.edges, lw=2.0, ls=dash, baseline=None, color=colour, label=name)
            if number > 0:
                ratio = height / safe
                # Both sets share their events, so the error of the ratio is that of w - ratio w_0.
                shift = sets[name] - first * np.append(np.nan_to_num(ratio), 0.0)[bins.cell]
                spread = np.sqrt(bins.summed(shift**2)) / safe
                lower.stairs(ratio, bins.edges, lw=2.0, ls=dash, color=colour, baseline=None)
                lower.errorbar(bins.middles, ratio, spread, fmt="none", ecolor=colour, elinewidth=1.2)
        band = {"color": GREY, "alpha": 0.2, "lw": 0}
        lower.axhline(1.0, color=GREY, lw=1.2)
        floor = np.maximum(nominal - error, 0.5 * nominal)
        upper.stairs(nominal + error, bins.edges, baseline=floor, fill=True, **band)
        lower.stairs(1 + error / safe, bins.edges, baseline=1 - error / safe, fill=True, **band)
        upper.set_yscale("log")
        positive = np.concatenate(list(heights.values()))
        positive = positive[positive > 0]
        if positive.size:
            # Head-room for the legend, so that it covers no bin.
            decades = np.log10(positive.max() / positive.min()) + 1.0
            upper.set_ylim(positive.min() / 2, positive.max() * 10 ** (0.085 * decades * (len(sets) + 0.5)))
        upper.set_ylabel(ylabel)
        upper.set_title(title)
        upper.legend(loc="upper right")
        upper.tick_params(labelbottom=False)
        _finish(lower, bins, xlabel, ratio_label)
    return fig


def profile(
    x: npt.ArrayLike,
    weights_k: npt.ArrayLike,
    weights_0: npt.ArrayLike,
    prediction: npt.ArrayLike,
    edges: npt.ArrayLike,
    *,
    xlabel: str,
    ylabel: str = "",
    axes: tuple[Axes, Axes] | None = None,
) -> Figure:
    """Means of the true and the learned ratio in bins of a feature, and below how they compare.

    Parameters
    ----------
    x : array-like of shape (n_events,)
        The feature.
    weights_k, weights_0 : array-like of shape (n_events,)
        Derivative weight and nominal weight; the truth of a bin is sum w_k / sum w_0.
    prediction : array-like of shape (n_events,)
        Learned ratio F of events that were not used in training; its mean is sum w_0 F / sum w_0.
    edges : array-like of shape (n_bins + 1,)
        Finite, increasing; events beyond are left out.
    xlabel, ylabel : str
        Texts.
    axes : tuple of matplotlib.axes.Axes, optional
        Panels for means and their comparison; default those of a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        Bars at the truth, and bands below, are its statistical error sqrt(sum (w_k - w_0 mean)^2) / |sum w_0|. The
        lower panel has learned / true where the truth exceeds two errors in every bin, else learned - true, with
        bars for the error sqrt(sum (w_k - w_0 F)^2) / |sum w_0| of the difference, in which the events cancel.

    Raises
    ------
    InputError
        If shapes or edges do not fit, or no bin has two events.
    """
    value, w_k, w_0, f = (np.asarray(array, dtype=np.float64) for array in (x, weights_k, weights_0, prediction))
    if value.ndim != 1 or any(array.shape != value.shape for array in (w_k, w_0, f)):
        raise InputError("x, weights_k, weights_0 and prediction must have one shape, (n_events,).")
    bins = Bins(value, edges)
    nominal, count = bins.summed(w_0), bins.summed(np.ones_like(w_0))
    used = (count >= 2) & (nominal != 0)
    if not used.any():
        raise InputError("no bin holds two events: widen the edges.")
    total = np.where(used, nominal, np.nan)
    truth, learned = bins.summed(w_k) / total, bins.summed(w_0 * f) / total
    centred = w_k - w_0 * np.append(np.nan_to_num(truth), 0.0)[bins.cell]
    error = np.sqrt(bins.summed(centred**2)) / np.abs(total)
    distance = np.sqrt(bins.summed((w_k - w_0 * f) ** 2)) / np.abs(total)

    with style():
        if axes is None:
            fig = figure(6.4, 5.6)
            upper, lower = fig.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        else:
            (upper, lower), fig = axes, figure_of(axes[0])
        upper.stairs(learned, bins.edges, color=COLOURS[1], lw=2.2, baseline=None, label="learned")
        upper.errorbar(bins.middles, truth, error, fmt="o", ms=5, color=COLOURS[0], elinewidth=1.5, label="true")
        low, high = np.nanmin([truth - error, learned]), np.nanmax([truth + error, learned])
        reach = (high - low) or 1.0
        upper.set_ylim(low - 0.08 * reach, high + 0.22 * reach)
        upper.set_ylabel(ylabel)
        upper.legend(loc="upper center", ncols=2)
        upper.tick_params(labelbottom=False)
        is_ratio = bool((np.abs(truth[used]) > 2 * error[used]).all())
        scale, centre = (truth, 1.0) if is_ratio else (np.ones_like(truth), 0.0)
        points, bars, band = centre + (learned - truth) / scale, distance / np.abs(scale), error / np.abs(scale)
        lower.stairs(centre + band, bins.edges, baseline=centre - band, fill=True, color=GREY, alpha=0.2, lw=0)
        lower.axhline(centre, color=GREY, lw=1.0)
        lower.errorbar(bins.middles, points, bars, fmt="o", ms=4, color=COLOURS[1], elinewidth=1.2)
        widest = 1.25 * float(np.nanmax(np.abs(points - centre) + bars))
        # A few bins with hardly any events shall not hide what the others show.
        reach = min(widest, max(8.0 * float(np.nanmedian(band)), 1e-12)) or 1.0
        lower.set_ylim(centre - reach, centre + reach)
        _finish(lower, bins, xlabel, "learned / true" if is_ratio else "learned \u2212 true")
    return fig


class Bins:
    """Bins of a feature, and sums over their events; events outside are in none.

    Parameters
    ----------
    values : ndarray of float64, shape (n_events,)
        The feature.
    edges : array-like of shape (n_bins + 1,)
        Finite, increasing.

    Raises
    ------
    InputError
        For other edges.
    """

    def __init__(self, values: FloatArray, edges: npt.ArrayLike) -> None:
        self.edges: FloatArray = np.asarray(edges, dtype=np.float64)
        bounds = self.edges
        if bounds.ndim != 1 or len(bounds) < 2 or not np.isfinite(bounds).all() or not (np.diff(bounds) > 0).all():
            raise InputError("edges must be finite and increase strictly, shape (n_bins + 1,).")
        self.middles: FloatArray = 0.5 * (bounds[1:] + bounds[:-1])
        inside = (values >= bounds[0]) & (values <= bounds[-1])
        # One more bin collects the events outside, so that arrays by event keep their length.
        self.cell = np.where(inside, np.searchsorted(bounds[1:-1], values, side="right"), len(bounds) - 1)

    def summed(self, weights: FloatArray) -> FloatArray:
        """Sum weights in each bin.

        Parameters
        ----------
        weights : ndarray of float64, shape (n_events,)
            Any weights.

        Returns
        -------
        ndarray of float64, shape (n_bins,)
            Their sums.
        """
        sums: FloatArray = np.bincount(self.cell, weights=weights, minlength=len(self.edges)).astype(np.float64)
        return sums[:-1]


def _finish(lower: Axes, bins: Bins, xlabel: str, ylabel: str) -> None:
    """Set what both kinds of lower panels share."""
    lower.set_ylabel(ylabel, fontsize=12)
    lower.set_xlabel(xlabel)
    lower.set_xlim(bins.edges[0], bins.edges[-1])
    lower.locator_params(axis="x", nbins=6)
    lower.locator_params(axis="y", nbins=4)
