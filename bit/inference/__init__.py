"""From events to statements about coefficients: templates, likelihood, information, limits, power."""

from bit.inference.binnings import adaptive_edges, optimal_edges
from bit.inference.calibration import calibrate, closure
from bit.inference.contours import contour
from bit.inference.diagnostics import breakdown, goodness_of_fit, impacts
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
from bit.inference.interop import to_combine, to_hepdata, to_hist, to_pyhf
from bit.inference.likelihood import Likelihood
from bit.inference.limits import limits, scan
from bit.inference.minimize import fit
from bit.inference.model import Channel, Model, Sample
from bit.inference.power import power, power_map
from bit.inference.results import (
    BinningResult,
    Breakdown,
    ClosureResult,
    ContourResult,
    Directions,
    FitResult,
    GoodnessOfFit,
    Impacts,
    Information,
    InformationDensity,
    Interval,
    LimitResult,
    PowerMap,
    PowerResult,
    RatioCalibration,
    ScanResult,
    ToyInterval,
)
from bit.inference.templates import Template, choose_edges, equal_probability_edges, fill
from bit.inference.toys import likelihood_ratios, toy_interval
from bit.inference.unbinned import UnbinnedLikelihood

__all__ = [
    "BinningResult",
    "Breakdown",
    "Channel",
    "ClosureResult",
    "ContourResult",
    "Directions",
    "FitResult",
    "GoodnessOfFit",
    "Impacts",
    "Information",
    "InformationDensity",
    "Interval",
    "Likelihood",
    "LimitResult",
    "Model",
    "PowerMap",
    "PowerResult",
    "RatioCalibration",
    "Sample",
    "ScanResult",
    "Template",
    "ToyInterval",
    "UnbinnedLikelihood",
    "adaptive_edges",
    "breakdown",
    "calibrate",
    "choose_edges",
    "closure",
    "contour",
    "count_information",
    "eigen_directions",
    "equal_probability_edges",
    "event_information",
    "fill",
    "fit",
    "goodness_of_fit",
    "impacts",
    "information",
    "information_density",
    "information_kept",
    "information_lost",
    "likelihood_ratios",
    "limits",
    "optimal_edges",
    "power",
    "power_map",
    "regional_information",
    "scan",
    "score_information",
    "to_combine",
    "to_hepdata",
    "to_hist",
    "to_pyhf",
    "toy_interval",
]
