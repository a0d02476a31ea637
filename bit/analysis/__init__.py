"""From a configuration to results: the steps that the commands of `bit` share.

read_events -> divide -> train -> measure -> draw;  run does all of them and writes what they give;
contours and power_maps are of pairs of coefficients; comparison is of all observables and methods; distillation
finds formulas
"""

from bit.analysis.comparison import comparison, save_comparison
from bit.analysis.distillation import Distillation, distillation
from bit.analysis.events import divide, read_events
from bit.analysis.figures import draw
from bit.analysis.formula_report import save_distillation
from bit.analysis.measurement import Measurement, Result, measure, results
from bit.analysis.model import check_division, compile_kernels, evaluate, load_forest, save_forest, train
from bit.analysis.regions import Regions, contours, draw_contours, draw_power, power_maps
from bit.analysis.workflow import Say, output_folder, run, write_json, write_text
from bit.inference.experiment import Parts

__all__ = [
    "Distillation",
    "Measurement",
    "Parts",
    "Regions",
    "Result",
    "Say",
    "check_division",
    "comparison",
    "compile_kernels",
    "contours",
    "distillation",
    "divide",
    "draw",
    "draw_contours",
    "draw_power",
    "evaluate",
    "load_forest",
    "measure",
    "output_folder",
    "power_maps",
    "read_events",
    "results",
    "run",
    "save_comparison",
    "save_distillation",
    "save_forest",
    "train",
    "write_json",
    "write_text",
]
