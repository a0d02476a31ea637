"""Formulas: parsed, evaluated, derived and shortened by our own tree, written by `bit.export`."""

from bit.expression.expression import Expression
from bit.expression.operators import OPERATORS

__all__ = ["OPERATORS", "Expression"]
