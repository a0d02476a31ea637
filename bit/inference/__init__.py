"""From events to statements about coefficients: templates, likelihood, information, limits."""

from bit.inference.contours import contour
from bit.inference.diagnostics import breakdown, goodness_of_fit, impacts
from bit.inference.information import event_information, information, information_kept
from bit.inference.interop import to_combine, to_hepdata, to_hist, to_pyhf
from bit.inference.likelihood import Likelihood
from bit.inference.limits import limits, scan
from bit.inference.minimize import fit
from bit.inference.model import Channel, Model, Sample
from bit.inference.results import (
    Breakdown,
    ContourResult,
    FitResult,
    GoodnessOfFit,
    Impacts,
    Information,
    Interval,
    LimitResult,
    ScanResult,
    ToyInterval,
)
from bit.inference.templates import Template, choose_edges, equal_probability_edges, fill
from bit.inference.toys import likelihood_ratios, toy_interval

__all__ = [
    "Breakdown",
    "Channel",
    "ContourResult",
    "FitResult",
    "GoodnessOfFit",
    "Impacts",
    "Information",
    "Interval",
    "Likelihood",
    "LimitResult",
    "Model",
    "Sample",
    "ScanResult",
    "Template",
    "ToyInterval",
    "breakdown",
    "choose_edges",
    "contour",
    "equal_probability_edges",
    "event_information",
    "fill",
    "fit",
    "goodness_of_fit",
    "impacts",
    "information",
    "information_kept",
    "likelihood_ratios",
    "limits",
    "scan",
    "to_combine",
    "to_hepdata",
    "to_hist",
    "to_pyhf",
    "toy_interval",
]
