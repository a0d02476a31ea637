"""Models in the forms that analysis code reads."""

from bit.export.cpp import to_cpp
from bit.export.formula import formula_to_correctionlib, to_latex, to_tformula
from bit.export.load import load
from bit.export.numpy_module import to_numpy
from bit.export.onnx import to_onnx
from bit.trees.forest_json import to_json

__all__ = [
    "formula_to_correctionlib",
    "load",
    "to_cpp",
    "to_json",
    "to_latex",
    "to_numpy",
    "to_onnx",
    "to_tformula",
]
