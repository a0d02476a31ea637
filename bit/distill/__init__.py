"""From a trained model to formulas: search, polish, refit, selection.

    front = bit.distill.distill(model, table, param="cHWtil", valid=held_out)
    print(front)                        # complexity, MSE, rho^2, information, limit, formula
    formula = front.best()              # an Expression: an observable like any other
    fitted = bit.distill.refit(formula, detector_table, model.observable("cHWtil"))

distill
    Model or observable to a `ParetoFront` of `bit.expression.Expression`.
ParetoFront, Figures
    Formulas in order of complexity with their figures of merit; ``best``, ``at``, ``to_text``, ``export``.
refit, Refit
    Constants of one form with errors on any sample; flat directions removed; pulls between samples.
regional_mse, RegionalErrors
    Mean squared errors by size of the score.

read_hall_of_fame
    Formulas that PySR left on disk.

A new backend is a module ``bit.distill._name`` as `bit.distill._search` describes it.
"""

from bit.distill.hall_of_fame import read_hall_of_fame
from bit.distill.pareto import ParetoFront
from bit.distill.pipeline import distill
from bit.distill.refit import Refit, refit
from bit.distill.select import Figures, RegionalErrors, regional_mse

__all__ = [
    "Figures",
    "ParetoFront",
    "Refit",
    "RegionalErrors",
    "distill",
    "read_hall_of_fame",
    "refit",
    "regional_mse",
]
