"""Models in the forms that analysis code reads."""

from bit.export.correctionlib import to_correctionlib
from bit.export.cpp import to_cpp
from bit.export.formula import to_latex, to_tformula
from bit.export.hist_gradient_boosting import from_hist_gradient_boosting
from bit.export.load import load
from bit.export.numpy_module import to_numpy
from bit.export.onnx import to_onnx
from bit.export.xgboost_json import from_xgboost, to_xgboost
from bit.trees.forest_json import to_json

__all__ = [
    "from_hist_gradient_boosting",
    "from_xgboost",
    "load",
    "to_correctionlib",
    "to_cpp",
    "to_json",
    "to_latex",
    "to_numpy",
    "to_onnx",
    "to_tformula",
    "to_xgboost",
]
