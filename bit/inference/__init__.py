"""From events to statements about coefficients: templates, likelihood, information, limits."""

from bit.inference.information import event_information, information, information_kept
from bit.inference.likelihood import Likelihood
from bit.inference.limits import limits, scan
from bit.inference.minimize import fit
from bit.inference.model import Channel, Model, Sample
from bit.inference.results import FitResult, Information, Interval, LimitResult, ScanResult
from bit.inference.templates import Template, choose_edges, equal_probability_edges, fill

__all__ = [
    "Channel",
    "FitResult",
    "Information",
    "Interval",
    "Likelihood",
    "LimitResult",
    "Model",
    "Sample",
    "ScanResult",
    "Template",
    "choose_edges",
    "equal_probability_edges",
    "event_information",
    "fill",
    "fit",
    "information",
    "information_kept",
    "limits",
    "scan",
]
