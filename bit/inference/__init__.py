"""From events to statements about coefficients: templates, likelihood, information, limits, power."""

from bit.inference.binnings import adaptive_edges, optimal_edges
from bit.inference.calibration import calibrate, closure
from bit.inference.information import (
    count_information,
    eigen_directions,
    event_information,
    information,
    information_density,
    information_kept,
    information_lost,
    regional_information,
    score_information,
)
from bit.inference.likelihood import Likelihood
from bit.inference.limits import limits, scan
from bit.inference.minimize import fit
from bit.inference.power import power, power_map
from bit.inference.results import (
    BinningResult,
    ClosureResult,
    Directions,
    FitResult,
    Information,
    InformationDensity,
    Interval,
    LimitResult,
    PowerMap,
    PowerResult,
    RatioCalibration,
    ScanResult,
)
from bit.inference.templates import Template, choose_edges, equal_probability_edges, fill
from bit.inference.unbinned import UnbinnedLikelihood

__all__ = [
    "BinningResult",
    "ClosureResult",
    "Directions",
    "FitResult",
    "Information",
    "InformationDensity",
    "Interval",
    "Likelihood",
    "LimitResult",
    "PowerMap",
    "PowerResult",
    "RatioCalibration",
    "ScanResult",
    "Template",
    "UnbinnedLikelihood",
    "adaptive_edges",
    "calibrate",
    "choose_edges",
    "closure",
    "count_information",
    "eigen_directions",
    "equal_probability_edges",
    "event_information",
    "fill",
    "fit",
    "information",
    "information_density",
    "information_kept",
    "information_lost",
    "limits",
    "optimal_edges",
    "power",
    "power_map",
    "regional_information",
    "scan",
    "score_information",
]
