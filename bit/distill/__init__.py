"""From a trained model to formulas: search, refit, selection."""
