"""Polynomials of the features, fitted to the score by weighted least squares (scikit-learn).

The baseline of arXiv:2109.10414, Sec. 3.2: what a formula must beat, or be shorter than.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.utils.validation import check_is_fitted

from bit.baselines._common import features_by_name, require_table
from bit.basis import FloatArray
from bit.errors import InputError, near_match
from bit.events import EventTable
from bit.expression import Expression
from bit.expression.nodes import Constant, Integer, Node, Variable, call


class Polynomial(BaseEstimator):  # type: ignore[misc]
    """Polynomial of the features for each score R_a = w_a / w_0 at the reference point of the table.

    It minimises sum_i w_0 (f_a(x) - w_a / w_0)^2 over the coefficients of all monomials up to a degree.

    Parameters
    ----------
    degree : int, default=3
        Largest sum of powers, at least 1; n features have (n + degree)! / (n! degree!) monomials.
    terms : sequence of str, optional
        Wilson coefficients whose scores are fitted; default all.

    Attributes
    ----------
    output_terms_ : tuple of tuple of str
        Terms of the columns of `predict`.
    powers_ : ndarray of int64, shape (n_monomials, n_features)
        Powers of the features in each monomial, the constant first.
    coef_ : ndarray of float64, shape (n_outputs, n_monomials)
        Coefficients of the monomials, in TeV^2 over the units of these.
    pipeline_ : Pipeline
        Of scikit-learn: monomials, their standardisation, linear regression.
    n_features_in_, feature_names_in_
        Number of features and their names.

    See Also
    --------
    bit.distill.distill : Finds shorter formulas.

    Notes
    -----
    Select the features first, ``table.select(features=("x_p", "x_eta"))``: a polynomial of all of them has many terms.

    Examples
    --------
    >>> from bit.baselines import Polynomial
    >>> Polynomial(4)
    Polynomial(degree=4)
    """

    def __init__(self, degree: int = 3, *, terms: Sequence[str] | None = None) -> None:
        self.degree = degree
        self.terms = terms

    def fit(self, table: EventTable) -> Polynomial:
        """Fit the coefficients.

        Parameters
        ----------
        table : EventTable
            Events with positive nominal weights and finite features.

        Returns
        -------
        Polynomial
            The model itself.

        Raises
        ------
        InputError
            For a degree below 1, unknown coefficients, nominal weights that are not positive, features that are not
            finite, or fewer events than monomials.
        """
        if isinstance(self.degree, bool) or not isinstance(self.degree, int) or self.degree < 1:
            raise InputError(f"degree={self.degree!r}: a whole number of at least 1 is needed.")
        require_table(table, "table")
        names = self._names(table)
        nominal = table.weights[:, 0]
        if not (nominal > 0.0).all():
            raise InputError(
                f"{int((nominal <= 0.0).sum())} of {table.n_events} nominal weights are not positive, so that these "
                "events have no score: remove them with table.take, or use BoostedInformationTree."
            )
        features = _finite(table.features)
        monomials = PolynomialFeatures(self.degree, include_bias=False)
        n_monomials = monomials.fit(features[:1]).n_output_features_ + 1
        if table.n_events < n_monomials:
            raise InputError(f"{table.n_events} events for {n_monomials} monomials: lower the degree.")
        columns = [table.basis.index((name,)) for name in names]
        pipeline = make_pipeline(monomials, StandardScaler(), LinearRegression())
        pipeline.fit(
            features, table.weights[:, columns] / nominal[:, np.newaxis], linearregression__sample_weight=nominal
        )
        self.pipeline_: Pipeline = pipeline
        self.output_terms_ = tuple((name,) for name in names)
        self.powers_, self.coef_ = _coefficients(pipeline)
        self.feature_names_in_ = np.array(table.feature_names, dtype=object)
        self.n_features_in_ = len(table.feature_names)
        self._units = table.units
        return self

    def predict(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Value of the polynomials.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events; columns with names are taken by name.

        Returns
        -------
        ndarray of float64, shape (n_events, n_outputs)
            R_a for each of `output_terms_`.

        Raises
        ------
        InputError
            If features are missing or not finite.
        """
        check_is_fitted(self, "pipeline_")
        features = features_by_name(X, tuple(self.feature_names_in_), "but the polynomial takes")
        return np.asarray(self.pipeline_.predict(_finite(features)), dtype=np.float64)

    def observable(self, param: str) -> Expression:
        """Return the polynomial of one coefficient as a formula, which is an observable and can be written to a file.

        Parameters
        ----------
        param : str
            Wilson coefficient.

        Returns
        -------
        Expression
            Sum of monomials; `bit.distill.refit` gives its constants errors.

        Raises
        ------
        InputError
            For a coefficient that was not fitted.
        """
        check_is_fitted(self, "pipeline_")
        known = [term[0] for term in self.output_terms_]
        if param not in known:
            raise InputError(f"no coefficient {param!r} in the training: {near_match(param, known)}")
        names = tuple(str(name) for name in self.feature_names_in_)
        coefficients = self.coef_[known.index(param)]
        parts = [_monomial(value, powers, names) for value, powers in zip(coefficients, self.powers_, strict=True)]
        return Expression(
            reduce(partial(call, "add"), parts),
            names,
            units=self._units,
            name=f"polynomial:{param}",
            label=f"polynomial of degree {self.degree}",
            term=(param,),
        )

    def _names(self, table: EventTable) -> tuple[str, ...]:
        known = table.basis.param_names
        names = known if self.terms is None else tuple(self.terms)
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise InputError(f"terms={list(names)}: {near_match(str(unknown[0]) if unknown else '', known)}")
        return names


def _finite(features: npt.NDArray[Any]) -> FloatArray:
    values = np.asarray(features, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError("features are NaN or infinite, where a polynomial has no value; remove these events.")
    return values


def _coefficients(pipeline: Pipeline) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Powers and coefficients of the monomials as they are, the constant first."""
    monomials, scaler, regression = (step for _, step in pipeline.steps)
    slopes = np.atleast_2d(regression.coef_) / scaler.scale_
    constant = regression.intercept_ - slopes @ scaler.mean_
    powers = np.concatenate([np.zeros((1, monomials.n_features_in_), dtype=np.int64), monomials.powers_])
    return powers, np.column_stack([constant, slopes])


def _monomial(coefficient: float, powers: npt.NDArray[np.int64], names: Sequence[str]) -> Node:
    """One monomial with its coefficient."""
    product: Node = Constant(float(coefficient))
    for name, power in zip(names, powers, strict=True):
        if power:
            factor = Variable(name) if power == 1 else call("pow", Variable(name), Integer(int(power)))
            product = call("mul", product, factor)
    return product
