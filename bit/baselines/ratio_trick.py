r"""The likelihood-ratio trick: a calibrated classifier between two samples gives their likelihood ratio.

A classifier of events at theta against events at theta_0, with equal total weights, tends to
P(x) = p(x|theta) / (p(x|theta) + p(x|theta_0)), so that with the cross-sections sigma

    R(x) = sigma(theta)/sigma(theta_0) * P/(1 - P) = d sigma(x|theta) / d sigma(x|theta_0)

(arXiv:1506.02169). Instead of one theta a mixture of several may be taken, with the average of their cross-sections:
one training for all of them, which learns the average ratio only. Linear effects of different coefficients, or of both
signs of one, then dilute or cancel each other.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bit.artefacts import require_schema, seal, write_document
from bit.baselines._common import feature_matrix, require_table
from bit.baselines._xgboost import Classifier, Examples, check_options, train
from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import FileFormatError, InputError, near_match
from bit.events import EventTable
from bit.observables import FunctionObservable
from bit.threads import n_threads_of

FORMAT = "bit-ratio-trick/1"
CALIBRATIONS = ("isotonic", "sigmoid", "none")
Calibration: TypeAlias = Literal["isotonic", "sigmoid", "none"]
_GROUPS = 500
"""Validation events are calibrated in at most so many groups of neighbours, whose sums of weights are positive."""
_DEFAULTS = {"min_child_weight": 10.0}


class RatioTrick:
    """Likelihood ratio from a calibrated classifier of gradient-boosted trees (XGBoost).

    Parameters
    ----------
    theta : array-like of shape (n_params,) or (n_points, n_params), mapping, or sequence of mappings
        Absolute point of the numerator, TeV^-2; several are mixed in equal shares.
    theta0 : array-like of shape (n_params,) or mapping, optional
        Point of the denominator; default the reference point of the table.
    calibration : {"isotonic", "sigmoid", "none"}, default="isotonic"
        How the output is corrected with the validation events: by the monotone function that fits them best, by a
        logistic function of the margin (Platt), or not at all.
    n_estimators : int, default=500
        Trees, at most.
    learning_rate : float, default=0.1
        Shrinkage of every tree, within (0, 1].
    max_depth : int, default=4
        Levels of splits.
    early_stopping : bool, default=True
        Keep only the trees up to the smallest loss of the validation events.
    validation_fraction : float, default=0.3
        Part of the events for calibration and early stopping, within (0, 1).
    n_iter_no_change : int, default=20
        Trees without a smaller loss after which training ends.
    random_state : int, optional
        Seed of the validation part and of XGBoost.
    n_jobs : int, optional
        Threads; None for all processors.
    verbose : int, default=0
        1 draws a progress bar.
    **xgboost : number or str
        Parameters of XGBoost, such as ``subsample=0.5``; ``min_child_weight`` is 10 unless given, in units of the mean
        weight.

    Attributes
    ----------
    points_ : ndarray of float64, shape (n_points, n_params)
        Points of the numerator.
    reference_ : ndarray of float64, shape (n_params,)
        Point of the denominator.
    rate_ : float
        Mean sigma(theta) / sigma(theta_0) of them.
    param_names_, feature_names_in_ : tuple of str
        Coefficients and features.
    validation_loss_ : ndarray of float64, shape (n_trees,)
        Cross-entropy of the validation events after each tree; empty without early stopping.

    Raises
    ------
    InputError
        For values outside their rules, at once.

    Notes
    -----
    One table serves as both samples: each event with w(theta) and with w(theta_0), which need not be positive. For
    the calibration, validation events of neighbouring outputs are joined until their sums of both are.
    """

    def __init__(
        self,
        theta: ThetaLike | Sequence[Mapping[str, float]],
        theta0: ThetaLike | None = None,
        *,
        calibration: Calibration = "isotonic",
        n_estimators: int = 500,
        learning_rate: float = 0.1,
        max_depth: int = 4,
        early_stopping: bool = True,
        validation_fraction: float = 0.3,
        n_iter_no_change: int = 20,
        random_state: int | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        **xgboost: Any,
    ) -> None:
        self.theta = theta
        self.theta0 = theta0
        self.calibration = calibration
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.xgboost = xgboost
        self._check()

    # ------------------------------------------------------------------ training
    def fit(self, table: EventTable, denominator: EventTable | None = None) -> RatioTrick:
        """Train, and calibrate on the validation part.

        Parameters
        ----------
        table : EventTable
            Events with weight polynomials.
        denominator : EventTable, optional
            Other events at theta_0; default those of `table`, which then belong to both classes.

        Returns
        -------
        RatioTrick
            The model itself.

        Raises
        ------
        InputError
            If the cross-section at a point, or a sum of weights that the calibration needs, is not positive.
        MissingPackageError
            If xgboost is not installed.
        """
        require_table(table, "table")
        below = table if denominator is None else require_table(denominator, "denominator")
        points = self._points_of(table.basis)
        start = below.basis.as_theta(below.basis.reference if self.theta0 is None else self.theta0)
        upper = np.mean([table.at(point) for point in points], axis=0)
        lower = below.at(start)
        for name, weights in ((f"theta={points.tolist()}", upper), (f"theta0={start.tolist()}", lower)):
            if not weights.sum() > 0.0:
                raise InputError(
                    f"the cross-section at {name} is {weights.sum():.4g} fb: it must be positive; choose points where "
                    "the polynomial holds."
                )
        names = table.feature_names
        features = feature_matrix(table, names)
        shares = upper / upper.sum(), lower / lower.sum()
        if denominator is None:
            examples = Examples(features, np.stack([shares[1], shares[0]], axis=-1))
        else:
            weights = np.zeros((table.n_events + below.n_events, 2))
            weights[: table.n_events, 1], weights[table.n_events :, 0] = shares
            examples = Examples(np.concatenate([features, feature_matrix(below, names)]), weights)
        rng = np.random.default_rng(self.random_state)
        training, validation = examples.split(self.validation_fraction, rng)
        classifier, losses = train(
            training,
            validation if self.early_stopping else None,
            n_estimators=self.n_estimators,
            n_iter_no_change=self.n_iter_no_change,
            parameters={"max_depth": self.max_depth, **_DEFAULTS, **self.xgboost, "learning_rate": self.learning_rate},
            seed=int(rng.integers(2**31)),
            n_threads=n_threads_of(self.n_jobs),
            description="the likelihood-ratio trick",
            show_progress=bool(self.verbose),
        )
        margins = classifier.margins(validation.features, n_threads_of(self.n_jobs)).astype(np.float64)
        self._knots = _calibrated(margins, validation.weights, self.calibration)
        self._classifier, self.validation_loss_ = classifier, losses
        self.points_, self.reference_, self.rate_ = points, start, float(upper.sum() / lower.sum())
        self.param_names_, self.feature_names_in_ = table.basis.param_names, names
        self._units = table.units or ("",) * len(names)
        return self

    def _points_of(self, basis: PolynomialBasis) -> FloatArray:
        theta: Any = self.theta
        if isinstance(theta, Sequence) and any(isinstance(point, Mapping) for point in theta):
            return np.stack([basis.as_theta(point) for point in theta])
        points = np.atleast_2d(basis.as_theta(theta))
        if points.ndim != 2 or len(points) == 0:
            raise InputError(f"theta has shape {points.shape}: one point, or a list of points, is needed.")
        return points

    # ------------------------------------------------------------------ prediction
    def predict_ratio(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Likelihood ratio with the rate, d sigma(x|theta) / d sigma(x|theta_0).

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events; columns with names are taken by name. Cast to float32.

        Returns
        -------
        ndarray of float64, shape (n_events,)
            R(x), positive; for several points of the numerator their mean.
        """
        return np.exp(self.predict(X))

    def predict(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Logarithm of the likelihood ratio, which is the contribution of an event to log L.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events; columns with names are taken by name. Cast to float32.

        Returns
        -------
        ndarray of float64, shape (n_events,)
            log R(x).
        """
        features = feature_matrix(X, self._fitted_features())
        margins = self._classifier.margins(features, n_threads_of(self.n_jobs)).astype(np.float64)
        values, odds = self._knots
        if self.calibration == "isotonic":
            margins = np.interp(margins, values, odds)
        elif self.calibration == "sigmoid":
            margins = values[0] + odds[0] * margins
        return margins + math.log(self.rate_)

    def observable(self, param: str | None = None, theta: ThetaLike | None = None) -> FunctionObservable:
        """Return log R as an observable.

        Parameters
        ----------
        param : str, optional
            Coefficient that is to be measured. It is the same function for all.
        theta : None
            The ratio is that of the points of the training: leave it out.

        Returns
        -------
        FunctionObservable
            A function of event tables.

        Raises
        ------
        InputError
            For an unknown coefficient, or a `theta`.
        """
        self._fitted_features()
        if theta is not None:
            raise InputError(f"theta={theta!r}: the ratio belongs to the points of the training; leave it out.")
        if param is not None and param not in self.param_names_:
            raise InputError(f"no coefficient {param!r} in the training: {near_match(param, self.param_names_)}")
        moved = [name for name, column in zip(self.param_names_, self.points_.T, strict=True) if column.any()]
        what = f"{', '.join(moved)}{f', {len(self.points_)} points' if len(self.points_) > 1 else ''}"
        return FunctionObservable(f"ratio:{','.join(moved)}", self.predict, rf"$\log R$ ({what})")

    # ------------------------------------------------------------------ files
    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the model as one ``bit-ratio-trick/1`` JSON file, which ``bit.load`` reads.

        Parameters
        ----------
        path : str or path-like
            The file; an older one is replaced only by a complete one.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        fields = {
            "features": self._fitted_features(),
            "units": self._units,
            "param_names": self.param_names_,
            "points": self.points_.tolist(),
            "reference": self.reference_.tolist(),
            "rate": self.rate_,
            "knots": [part.tolist() for part in self._knots],
            "config": {name: getattr(self, name) for name in _ARGUMENTS},
            "xgboost": self.xgboost,
            "validation_loss": self.validation_loss_.tolist(),
            "model": self._classifier.as_document(),
        }
        write_document(seal("ratio_trick", FORMAT, fields), path)

    @classmethod
    def from_document(cls, document: dict[str, Any], source: str) -> RatioTrick:
        """Return the trained model that a ``bit-ratio-trick/1`` document describes.

        Parameters
        ----------
        document : dict
            Parsed JSON.
        source : str
            Name of the file, for messages.

        Returns
        -------
        RatioTrick
            Predicts as the one that was trained.

        Raises
        ------
        FileFormatError
            If the schema is newer, or the checksum or the structure is wrong.
        MissingPackageError
            If xgboost is not installed.
        """
        require_schema(document, FORMAT, source)
        try:
            model = cls(document["points"], document["reference"], **document["config"], **document["xgboost"])
            names = tuple(document["features"])
            model._classifier = Classifier.from_document(document["model"], 2, len(names), "the likelihood-ratio trick")
            values, odds = (np.array(part, dtype=np.float64) for part in document["knots"])
            if values.shape != odds.shape or (model.calibration != "none" and values.size == 0):
                raise ValueError("the knots of the calibration do not come in pairs")
            model._knots = values, odds
            model.validation_loss_ = np.array(document["validation_loss"], dtype=np.float64)
            model.points_ = np.array(document["points"], dtype=np.float64)
            model.reference_ = np.array(document["reference"], dtype=np.float64)
            model.rate_, model.param_names_ = float(document["rate"]), tuple(document["param_names"])
            model.feature_names_in_, model._units = names, tuple(document["units"])
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"{source}: not a valid {FORMAT} file ({type(error).__name__}: {error}).") from None
        return model

    # ------------------------------------------------------------------ helpers
    def _fitted_features(self) -> tuple[str, ...]:
        if not hasattr(self, "_classifier"):
            raise InputError("this RatioTrick is not trained yet; call fit first.")
        return self.feature_names_in_

    def _check(self) -> None:
        def demand(name: str, holds: bool, rule: str) -> None:
            if not holds:
                raise InputError(f"{name}={getattr(self, name)!r}: {rule}.")

        demand("calibration", self.calibration in CALIBRATIONS, near_match(str(self.calibration), CALIBRATIONS))
        for name in ("n_estimators", "max_depth", "n_iter_no_change"):
            value = getattr(self, name)
            demand(name, isinstance(value, int) and value >= 1, "a whole number of at least 1 is needed")
        demand("learning_rate", 0.0 < self.learning_rate <= 1.0, "it must lie in (0, 1]")
        demand("validation_fraction", 0.0 < self.validation_fraction < 1.0, "it must lie between 0 and 1")
        seed = self.random_state
        demand(
            "random_state", seed is None or (isinstance(seed, int) and seed >= 0), "None or a whole number is needed"
        )
        check_options(self.xgboost, ("theta", "theta0", *_ARGUMENTS))


_ARGUMENTS = (
    "calibration",
    "n_estimators",
    "learning_rate",
    "max_depth",
    "early_stopping",
    "validation_fraction",
    "n_iter_no_change",
    "random_state",
    "n_jobs",
    "verbose",
)


def _calibrated(margins: FloatArray, weights: FloatArray, calibration: Calibration) -> tuple[FloatArray, FloatArray]:
    """What turns margins into log P/(1 - P): knots of the isotonic function, or intercept and slope of the logistic.

    Neighbouring events are joined into groups, whose sums of both classes are positive also where single weights are
    not.
    """
    if calibration == "none":
        return np.zeros(0), np.zeros(0)
    order = np.argsort(margins, kind="stable")
    n_groups = min(_GROUPS, max(1, len(margins) // 20))
    starts = np.arange(n_groups) * len(margins) // n_groups
    starts = starts[_of_positive_groups(np.add.reduceat(weights[order], starts))]
    sums = np.add.reduceat(weights[order], starts)
    middle = np.add.reduceat(margins[order], starts) / np.diff([*starts, len(margins)])
    total = sums.sum(axis=1)
    if calibration == "isotonic":
        return _isotonic(middle, sums[:, 1] / total, total)
    return _logistic(middle, sums, total)


def _of_positive_groups(sums: FloatArray) -> npt.NDArray[np.int64]:
    """Groups with which larger ones begin whose sums are positive in both classes; the last one takes what is left."""
    first, total = [0], np.zeros(2)
    for group, part in enumerate(sums):
        if (total > 0.0).all():
            first.append(group)
            total = np.zeros(2)
        total = total + part
    if not (total > 0.0).all():
        first.pop()
    if not first or not (sums[first[-1] :].sum(axis=0) > 0.0).all():
        raise InputError(
            "the weights of the validation events have no positive sum where the output is largest, so that there is "
            "no ratio to calibrate: use more events, a point where weights stay positive, or calibration='none'."
        )
    return np.array(first)


def _isotonic(margins: FloatArray, shares: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    from sklearn.isotonic import IsotonicRegression  # here, since loading scikit-learn takes a second

    fitted = IsotonicRegression().fit(margins, shares, sample_weight=weights)
    knots = np.asarray(fitted.y_thresholds_, dtype=np.float64)
    return np.asarray(fitted.X_thresholds_, dtype=np.float64), np.log(knots / (1.0 - knots))


def _logistic(margins: FloatArray, sums: FloatArray, total: FloatArray) -> tuple[FloatArray, FloatArray]:
    from sklearn.linear_model import LogisticRegression  # here, since loading scikit-learn takes a second

    n_groups, mean = len(margins), float(total.mean())
    labels = np.repeat([0, 1], n_groups)
    fitted = LogisticRegression(C=np.inf).fit(np.tile(margins, 2)[:, np.newaxis], labels, sums.T.ravel() / mean)
    return np.array(fitted.intercept_, dtype=np.float64), np.array(fitted.coef_[0], dtype=np.float64)
