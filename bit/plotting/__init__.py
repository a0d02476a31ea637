"""Figures: functions of arrays and results, which return a `matplotlib.figure.Figure`; `save` writes it.

Nothing here touches pyplot or leaves a trace in matplotlib's global settings. Functions of one panel take
``ax=`` to draw into a panel of yours.
"""

from bit.plotting.comparison import comparison
from bit.plotting.distributions import distribution, profile
from bit.plotting.inference import intervals, scan_curves
from bit.plotting.one_tree import tree
from bit.plotting.power import power_maps
from bit.plotting.regions import contours, corner
from bit.plotting.style import feature_label, figure, panels, param_label, save, style, term_label
from bit.plotting.symbolic import formula_profile, pareto, regional_errors, residuals, slices
from bit.plotting.trees import importance_map, importances, loss, partial_dependence, rho2
from bit.plotting.uncertainties import breakdown, impacts, information_density

__all__ = [
    "breakdown",
    "comparison",
    "contours",
    "corner",
    "distribution",
    "feature_label",
    "figure",
    "formula_profile",
    "impacts",
    "importance_map",
    "importances",
    "information_density",
    "intervals",
    "loss",
    "panels",
    "param_label",
    "pareto",
    "partial_dependence",
    "power_maps",
    "profile",
    "regional_errors",
    "residuals",
    "rho2",
    "save",
    "scan_curves",
    "slices",
    "style",
    "term_label",
    "tree",
]
