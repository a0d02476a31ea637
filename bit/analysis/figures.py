"""The figures of an analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bit import plotting
from bit.analysis.events import mirrored
from bit.analysis.measurement import Measurement, Result, column_title
from bit.basis import FloatArray
from bit.config import BEST, LEARNED, TRUE, Config
from bit.estimators import BoostedInformationTree
from bit.events import EventTable
from bit.inference import Interval, scan
from bit.inference.experiment import Parts
from bit.inspection import staged_loss
from bit.trees.forest import Forest

# Events of the figure of the loss: it shows a trend, to which more would add time only.
_EVENTS_OF_LOSS = 20_000


def draw(result: Result, parts: Parts, forest: Forest, folder: Path, *, profile_features: Sequence[str] = ()) -> None:
    """Write the figures of an analysis as PNG.

    Parameters
    ----------
    result : Result
        What was measured.
    parts : Parts
        Events.
    forest : Forest
        Trees.
    folder : pathlib.Path
        Where to write ``loss``, ``importance``, ``limits``, ``intervals``, ``distribution`` and one ``profile_...``
        for each coefficient.
    profile_features : sequence of str, optional
        Features of the profiles; default the three most important ones.
    """
    config = result.config
    shares = forest.feature_importances()
    names = forest.feature_names
    features = list(profile_features) or [names[k] for k in np.argsort(-shares, kind="stable")[:3]]
    labels = [plotting.feature_label(name, config.data.labels.get(name)) for name in names]
    learned = {term[0] for term in forest.output_terms if len(term) == 1}
    params = [param for param in config.limits.params or parts.test.basis.param_names if param in learned]
    model = BoostedInformationTree.from_forest(forest)
    # Without images under CP: an event and its image are not independent, and errors would come out too small.
    predicted = model.predict(parts.test)
    predictions = {param: predicted[:, forest.output_terms.index((param,))] for param in params}
    plotting.save(plotting.importances(shares, labels), folder / "importance.png")
    _draw_loss(config, model, parts, params, folder)
    _draw_profiles(config, predictions, parts.test, features, folder)
    _draw_distribution(result, predictions, parts.test, folder)
    _draw_limits(result, folder)


def _draw_loss(
    config: Config, model: BoostedInformationTree, parts: Parts, params: Sequence[str], folder: Path
) -> None:
    def curves(table: EventTable) -> dict[str, FloatArray]:
        used = mirrored(config, table.take(np.arange(min(_EVENTS_OF_LOSS, table.n_events))))
        losses = staged_loss(model, used, show_progress=False)
        return {f"${plotting.param_label(param)}$": losses[param].to_numpy() for param in params}

    plotting.save(plotting.loss(curves(parts.train), curves(parts.test)), folder / "loss.png")


def _draw_profiles(
    config: Config, predictions: Mapping[str, FloatArray], table: EventTable, features: Sequence[str], folder: Path
) -> None:
    for param, predicted in predictions.items():
        fig, axes = plotting.panels(len(features), 2, height_ratios=(3, 1), share_x=True)
        for column, name in enumerate(features):
            x = np.asarray(table.column(name), dtype=np.float64)
            plotting.profile(
                x,
                table.weights[:, table.basis.index(param)],
                table.weights[:, 0],
                predicted,
                plain_edges(x, table.weights[:, 0], 16),
                xlabel=axis_label(config, table, name),
                ylabel=rf"$\langle {plotting.term_label([param])}\rangle$ [TeV$^2$]" if column == 0 else "",
                axes=(axes[0, column], axes[1, column]),
            )
        plotting.save(fig, folder / f"profile_{param}.png")


def _draw_distribution(result: Result, predictions: Mapping[str, FloatArray], table: EventTable, folder: Path) -> None:
    fig, axes = plotting.panels(len(predictions), 2, height_ratios=(3, 1), share_x=True)
    for column, (param, x) in enumerate(predictions.items()):
        size = _visible_size(result, param)
        weights = {"SM": table.at({})}
        for value in (size, -size):
            label = rf"${plotting.param_label(param)}/\Lambda^2 = {value:+g}$ TeV$^{{-2}}$"
            weights[label] = table.at({param: value})
        plotting.distribution(
            x,
            weights,
            plain_edges(x, table.weights[:, 0], 30),
            xlabel=rf"learned ${plotting.term_label([param])}(x)$ [TeV$^2$]",
            ratio_label="ratio to SM",
            axes=(axes[0, column], axes[1, column]),
        )
    plotting.save(fig, folder / "distribution.png")


def _draw_limits(result: Result, folder: Path) -> None:
    params = list(dict.fromkeys(item.param for item in result.measurements))
    fig, axes = plotting.panels(len(params))
    table: dict[str, dict[str, Interval]] = {}
    names = {item.observable for item in result.measurements} - {BEST, LEARNED, TRUE}
    for column, param in enumerate(params):
        rows = [item for item in result.measurements if item.param == param]
        bounded = [item.interval for item in rows if np.isfinite([item.interval.lower, item.interval.upper]).all()]
        if not bounded:
            continue
        # Around the best fit: a second minimum, if there is one, lies far away.
        pieces = [piece for item in bounded for piece in item.pieces if piece[0] <= item.best <= piece[1]]
        low, high = min(pieces, key=lambda piece: piece[1] - piece[0])
        points = np.linspace(low - 0.3 * (high - low), high + 0.3 * (high - low), 121)
        settings = result.config.limits
        curves = {
            _legend(item): scan(item.template, param, points, others=settings.others, order=settings.order)
            for item in rows
        }
        plotting.scan_curves(curves, levels=(0.68, settings.cl), ax=axes[0, column])
        table[param] = {
            item.label if item.observable in names else column_title(item.observable): item.interval for item in rows
        }
    if table:
        plotting.save(fig, folder / "limits.png")
        plotting.save(plotting.intervals(table), folder / "intervals.png")


def _legend(item: Measurement) -> str:
    return f"{item.label} (best single)" if item.observable == BEST else item.label


def axis_label(config: Config, table: EventTable, name: str) -> str:
    """Return the text of the axis of a feature."""
    unit = dict(zip(table.feature_names, table.units or (), strict=True))[name]
    return plotting.feature_label(name, config.data.labels.get(name), unit)


def plain_edges(x: FloatArray, nominal: FloatArray, n_bins: int) -> FloatArray:
    """Equal bins over all but the outermost values, whose bins would be nearly empty."""
    used = np.isfinite(x) & (nominal != 0.0)
    if not used.any():
        return np.linspace(0.0, 1.0, n_bins + 1)
    low, high = np.quantile(x[used], [0.001, 0.999], weights=np.abs(nominal[used]), method="inverted_cdf")
    return np.linspace(low, high if high > low else low + 1.0, n_bins + 1)


def _visible_size(result: Result, param: str) -> float:
    """Coefficient five times the end of the narrowest interval, to one digit: large enough to see its effect."""
    ends = [item.interval.upper for item in result.measurements if item.param == param]
    least = min((end for end in ends if end > 0), default=np.inf)
    return float(f"{5 * least:.0e}") if np.isfinite(least) else 1.0
