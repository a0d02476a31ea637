"""From a trained model to formulas: search, refit, selection."""

from bit.distill.hall_of_fame import read_hall_of_fame

__all__ = ["read_hall_of_fame"]
