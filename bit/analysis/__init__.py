"""From a configuration to results: the steps that the commands of `bit` share.

read_events -> divide -> train -> measure -> draw;  run does all of them and writes what they give
"""

from bit.analysis.events import Parts, divide, read_events
from bit.analysis.figures import draw
from bit.analysis.measurement import Measurement, Result, measure, results
from bit.analysis.model import check_division, compile_kernels, evaluate, save_forest, train
from bit.analysis.workflow import Say, output_folder, run, write_json, write_text

__all__ = [
    "Measurement",
    "Parts",
    "Result",
    "Say",
    "check_division",
    "compile_kernels",
    "divide",
    "draw",
    "evaluate",
    "measure",
    "output_folder",
    "read_events",
    "results",
    "run",
    "save_forest",
    "train",
    "write_json",
    "write_text",
]
