"""Models in the forms that analysis code reads."""

from bit.export.cpp import to_cpp
from bit.export.load import load
from bit.export.numpy_module import to_numpy
from bit.export.onnx import to_onnx
from bit.trees.forest_json import to_json

__all__ = ["load", "to_cpp", "to_json", "to_numpy", "to_onnx"]
