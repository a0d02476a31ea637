"""Models in the forms that analysis code reads."""

from bit.export.load import load
from bit.trees.forest_json import to_json

__all__ = ["load", "to_json"]
