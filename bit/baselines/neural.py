r"""Networks on the same events: the learned joint score, and a ratio that is positive by construction.

`SALLY` regresses the joint score w_a / w_0 (arXiv:1805.00020; arXiv:2109.10414, Sec. 2). `QuadraticClassifier` learns
the functions n_a and n_ab of

    R(x|theta) = (1 + sum_a d_a n_a(x))^2 + sum_a (sum_{b>=a} d_b n_ab(x))^2,          d = theta - reference

by telling events of several base points theta from those of the reference point (arXiv:2007.10356, Eq. 3.5). Both are
trained with PyTorch (extra ``neural``) on one reweighted sample; a trained or loaded model predicts with numpy alone.
"""

from __future__ import annotations

import math
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from bit.artefacts import write_document
from bit.baselines import _network
from bit.baselines._common import features_by_name, parity_document
from bit.baselines._inputs import (
    network_inputs,
    require_interference,
    require_positive_sum,
    standardisation,
)
from bit.baselines._network import Network
from bit.baselines._training import Batchable, Loss, Trainer, Training, initial_layers, threads_of_torch
from bit.basis import FloatArray, PolynomialBasis, Term, ThetaLike, require_finite
from bit.errors import FileFormatError, InputError
from bit.events import EventTable
from bit.observables import ModelObservable
from bit.optional import require
from bit.parity import CPParity
from bit.positivity import natural_scale, quadratic_form
from bit.trees.forest import ExactParity

# Smallest eigenvalue of the second-order form from which the training starts, in natural units: at 0 the loss is flat.
_LEAST_CURVATURE = 1e-2
# Added to a ratio under the logarithm: a square may be 0.
_LEAST_RATIO = 1e-6
# Base points of the quadratic classifier, in units of the coefficient at which the quadratic term equals the SM.
_BASE_SIZES = (0.5, 2.0)


class _NeuralModel(BaseEstimator):  # type: ignore[misc]
    """What the networks share: data, training, prediction, files."""

    hidden: Sequence[int]
    n_epochs: float
    batch_size: int
    learning_rate: float
    schedule: str
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    cp_parity: CPParity | None
    random_state: int | None
    n_jobs: int | None
    verbose: int

    # ------------------------------------------------------------------ training
    def fit(self, table: EventTable) -> Self:
        """Train on events.

        Parameters
        ----------
        table : EventTable
            Events with their weights; no feature may be NaN or infinite.

        Returns
        -------
        SALLY or QuadraticClassifier
            The fitted model itself.

        Raises
        ------
        InputError
            For parameters out of range, features that are not finite, nominal weights whose sum is not positive, or
            terms whose weights are all 0.
        MissingPackageError
            If PyTorch is not installed.

        Warns
        -----
        BitWarning
            If a feature is constant, or Ctrl-C ended the training (the best weights so far are kept).
        """
        torch = require("torch", for_=f"bit.baselines.{type(self).__name__}.fit")
        self.check_parameters()
        if not isinstance(table, EventTable):
            raise InputError(f"a {type(table).__name__} was given: networks are trained on an EventTable.")
        columns = self._columns(table)
        rng = np.random.default_rng(self.random_state)
        train, validation = self._divide(table, rng)
        network = self._untrained(train, columns, rng)
        targets, loss = self._objective(network, columns, train)
        unit = np.abs(train.weights[:, 0]).mean()

        def batchable(part: EventTable) -> Batchable:
            inputs, images = network_inputs(network, part.features)
            arrays = [inputs, images, *((values / unit).astype(np.float32) for values in targets(part))]
            tensors = [None if values is None else torch.from_numpy(values) for values in arrays]
            return Batchable(tensors[0], tensors[1], tuple(tensors[2:]))

        parity = None if network.cp is None else network.cp.parity
        with threads_of_torch(torch, self.n_jobs):
            trainer = Trainer(torch, network.layers, parity, lambda *arrays: loss(torch, *arrays))
            apart = None if validation is None else batchable(validation)
            trainer.run(batchable(train), apart, self._training(), rng)
        self._take_over(replace(network, layers=trainer.best))
        self.train_loss_ = np.array(trainer.train_loss)
        self.validation_loss_ = np.array(trainer.validation_loss)
        self.interrupted_ = trainer.interrupted
        return self

    def _take_over(self, network: Network) -> None:
        """Make this the model of a network."""
        self.network_ = network
        self.basis_ = network.basis
        self.n_features_in_ = len(network.feature_names)
        self.feature_names_in_ = np.array(network.feature_names, dtype=object)
        self.output_terms_ = network.output_terms

    @abstractmethod
    def _columns(self, table: EventTable) -> npt.NDArray[np.int64]:
        """Columns of the weights whose functions are learned, all with interference."""

    @abstractmethod
    def _output_scale(self, table: EventTable, columns: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Offset and unit of every output of the network."""

    @abstractmethod
    def _objective(
        self, network: Network, columns: npt.NDArray[np.int64], train: EventTable
    ) -> tuple[Callable[[EventTable], tuple[FloatArray, ...]], Loss]:
        """What the loss needs of each event, and the loss."""

    def _training(self) -> Training:
        return Training(
            n_epochs=float(self.n_epochs),
            batch_size=self.batch_size,
            learning_rate=float(self.learning_rate),
            schedule=self.schedule,
            patience=self.n_iter_no_change,
            show_progress=self.verbose > 0,
        )

    def _divide(self, table: EventTable, rng: np.random.Generator) -> tuple[EventTable, EventTable | None]:
        require_positive_sum(table.weights[:, 0])
        require_finite(table.features.astype(np.float64, copy=False), "features")
        if not self.early_stopping:
            return table, None
        n_validation = round(self.validation_fraction * table.n_events)
        if not 1 <= n_validation < table.n_events:
            raise InputError(
                f"validation_fraction={self.validation_fraction} of {table.n_events} events leaves one part "
                "empty: use more events or early_stopping=False."
            )
        order = rng.permutation(table.n_events)
        return table.take(np.sort(order[n_validation:])), table.take(np.sort(order[:n_validation]))

    def _untrained(self, table: EventTable, columns: npt.NDArray[np.int64], rng: np.random.Generator) -> Network:
        mean, scale = standardisation(table)
        terms = tuple(table.basis.terms[k] for k in columns)
        offset, unit = self._output_scale(table, columns)
        return Network(
            mean=mean,
            scale=scale,
            layers=initial_layers([len(mean), *self.hidden, len(terms)], rng),
            offset=offset,
            unit=unit,
            output_terms=terms,
            basis=table.basis,
            feature_names=table.feature_names,
            units=table.units or (),
            cp=None if self.cp_parity is None else _exact_parity(self.cp_parity, table.feature_names, terms),
            config={
                "estimator": type(self).__name__,
                "parameters": {name: _jsonable(value) for name, value in self.get_params().items()},
                "n_events": table.n_events,
                "sigma_fb": table.sigma_fb,
            },
        )

    # ------------------------------------------------------------------ prediction
    @abstractmethod
    def predict(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Learned R_k(x) = E[w_k | x] / E[w_0 | x].

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events; columns with names are taken by name. Cast to float32; all values must be finite.

        Returns
        -------
        ndarray of float64, shape (n_events, n_trained_terms)
            One column for each of `output_terms_`, in TeV^2 and TeV^4.

        Raises
        ------
        InputError
            If features are missing or too many, NaN or infinite.
        """

    @abstractmethod
    def _ratio_and_slope(self, X: EventTable | npt.ArrayLike, theta: ThetaLike) -> tuple[FloatArray, FloatArray]:
        """R(x|theta) and its derivatives by theta_a."""

    def predict_ratio(self, X: EventTable | npt.ArrayLike, theta: ThetaLike) -> FloatArray:
        """Learned ratio R(x|theta) = dsigma(theta) / dsigma(reference) at x.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events.
        theta : array-like of shape (n_params,), or mapping
            Coefficients in TeV^-2; terms that were not trained count as 0.

        Returns
        -------
        ndarray of float64, shape (n_events,)
            Of either sign for `SALLY`; at least 0, exactly, for `QuadraticClassifier`.

        Raises
        ------
        InputError
            As `predict`, and if theta is not one point.
        """
        return self._ratio_and_slope(X, theta)[0]

    def predict_score(self, X: EventTable | npt.ArrayLike, theta: ThetaLike) -> FloatArray:
        """Learned score d log R(x|theta) / d theta.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events.
        theta : array-like of shape (n_params,), or mapping
            Where, in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (n_events, n_params)
            In TeV^2; the rate is included.

        Raises
        ------
        InputError
            As `predict_ratio`, and if R(x|theta) <= 0 for an event.
        """
        ratio, slope = self._ratio_and_slope(X, theta)
        bad = ratio <= 0
        if bad.any():
            raise InputError(
                f"the learned R(x|theta) is not positive for {int(bad.sum())} of {len(ratio)} events at "
                f"theta={self.basis_.as_theta(theta).tolist()}; choose theta nearer to the reference point."
            )
        return slope / ratio[:, np.newaxis]

    def observable(self, param: str, theta: ThetaLike | None = None) -> ModelObservable:
        """Learned observable for one coefficient.

        Parameters
        ----------
        param : str
            Coefficient.
        theta : array-like of shape (n_params,), or mapping, optional
            None gives R_a(x); a point gives the score d log R / d theta_a there.

        Returns
        -------
        ModelObservable
            A function of event tables.
        """
        check_is_fitted(self, "network_")
        return ModelObservable(self, param, theta)

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the network as ``bit-network/1`` JSON, readable by ``bit.load``.

        Parameters
        ----------
        path : str or path-like
            The file; an older one is replaced only by a complete one.
        """
        check_is_fitted(self, "network_")
        write_document(_network.as_document(self.network_), path)

    def _outputs(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Outputs of the network in their units."""
        check_is_fitted(self, "network_")
        features = features_by_name(X, self.network_.feature_names, "but the network takes")
        require_finite(features.astype(np.float64, copy=False), "features")
        return self.network_.predict(features)

    def _one_point(self, theta: ThetaLike) -> FloatArray:
        check_is_fitted(self, "network_")
        point = self.basis_.as_theta(theta)
        if point.ndim != 1:
            raise InputError(f"theta={np.asarray(theta).tolist()}: one point is needed; loop over several.")
        return point

    def check_parameters(self) -> None:
        """Check every parameter once, by its rule, as `fit` does at its beginning.

        Raises
        ------
        InputError
            For the first one that breaks its rule: name, value and rule.
        """

        def demand(name: str, holds: bool, rule: str) -> None:
            if not holds:
                raise InputError(f"{name}={getattr(self, name)!r}: {rule}.")

        hidden = self.hidden
        layers = isinstance(hidden, (list, tuple)) and all(_is_int(width) for width in hidden)
        demand("hidden", layers, "the widths of the hidden layers are needed, positive integers in a tuple")
        for name in ("batch_size", "n_iter_no_change"):
            demand(name, _is_int(getattr(self, name)), "a positive integer is needed")
        for name in ("n_epochs", "learning_rate"):
            demand(name, _is_positive(getattr(self, name)), "a positive number is needed")
        demand("schedule", self.schedule in ("linear", "constant"), '"linear" or "constant"')
        fraction = self.validation_fraction
        demand("validation_fraction", _is_positive(fraction) and float(fraction) < 1, "a number in (0, 1)")
        parity = self.cp_parity
        demand("cp_parity", parity is None or isinstance(parity, CPParity), "a CPParity or None")


class SALLY(_NeuralModel):
    r"""Network that regresses the joint score, R_a(x) = E[w_a | x] / E[w_0 | x], of all coefficients at once.

    It minimises, over batches, sum_i sum_a (w_0 f_a(x)^2 - 2 w_a f_a(x)) / s_a^2, which has the same minimum as
    the squared distance from w_a / w_0 but exists for weights of any sign and for w_0 = 0; s_a^2 is the ratio of the
    sums of (w_a - <w_a / w_0> w_0)^2 and of w_0^2.

    Parameters
    ----------
    hidden : tuple of int, default=(100, 100, 100)
        Widths of the hidden layers, with the activation x / (1 + exp(-x)).
    terms : sequence of (str or tuple of str), optional
        Terms to be learned; default the linear ones, the score.
    n_epochs : float, default=20
        Passes through the events at most; a part of a pass is allowed.
    batch_size : int, default=1024
        Events of a step.
    learning_rate : float, default=0.02
        Of the optimiser (Adam) at the start.
    schedule : {"linear", "constant"}, default="linear"
        Whether the learning rate falls to 0 within `n_epochs`, or stays.
    early_stopping : bool, default=True
        Keep `validation_fraction` of the events apart, stop after `n_iter_no_change` epochs without a lower loss on
        them, and keep the weights of the lowest.
    validation_fraction : float, default=0.1
        In (0, 1).
    n_iter_no_change : int, default=10
        Patience of early stopping, in epochs.
    cp_parity : CPParity, optional
        Make every function even or odd under CP, to the last bit: f(x) = (g(x) +- g(Cx)) / 2 with g the network.
    random_state : int or None, default=None
        Seed of the weights, the order of the events and the events apart. With the same number of threads the same
        seed gives the same network.
    n_jobs : int or None, default=1
        Threads of the training; None for all processors of this process. Batches of this size gain nothing from more
        than one, and lose where other programs run.
    verbose : int, default=0
        1 draws a progress bar.

    Attributes
    ----------
    output_terms_ : tuple of tuple of str
        Terms of the columns of `predict`.
    basis_ : PolynomialBasis
        Polynomial of the weights.
    train_loss_, validation_loss_ : ndarray of float64, shape (n_epochs,)
        Loss per event after each epoch, the mean over its batches for the former, in units of the mean \|w_0\|; the
        constant with f_a = <w_a / w_0> left out. The latter is empty without early stopping.
    interrupted_ : bool
        Whether Ctrl-C ended the fit; the best weights found until then are there.
    n_features_in_, feature_names_in_
        Number of features and their names.

    See Also
    --------
    bit.BoostedInformationTree : The same with trees.

    Notes
    -----
    arXiv:1805.00020 and, for Wilson coefficients, arXiv:2109.10414, Eq. 7. Here the score is raw (the rate included)
    and signed nominal weights are allowed. Unlike trees, a network needs finite features and is not invariant under
    monotone maps of them.

    Examples
    --------
    >>> from bit.baselines import SALLY
    >>> SALLY(hidden=(32, 32), random_state=1)
    SALLY(hidden=(32, 32), random_state=1)
    """

    def __init__(
        self,
        hidden: Sequence[int] = (100, 100, 100),
        *,
        terms: Sequence[str | Sequence[str]] | None = None,
        n_epochs: float = 20,
        batch_size: int = 1024,
        learning_rate: float = 0.02,
        schedule: str = "linear",
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        cp_parity: CPParity | None = None,
        random_state: int | None = None,
        n_jobs: int | None = 1,
        verbose: int = 0,
    ) -> None:
        self.hidden = hidden
        self.terms = terms
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.cp_parity = cp_parity
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def predict(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Learned R_k(x); see `_NeuralModel.predict`."""
        return self._outputs(X)

    def _columns(self, table: EventTable) -> npt.NDArray[np.int64]:
        basis = table.basis
        linear = [term for term in basis.terms if len(term) == 1]
        columns = sorted({basis.index(term) for term in (linear if self.terms is None else self.terms)} - {0})
        if not columns:
            raise InputError(f"terms={self.terms!r}: name at least one term besides the nominal one.")
        require_interference(table, columns)
        return np.array(columns, dtype=np.int64)

    def _output_scale(self, table: EventTable, columns: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        nominal = table.weights[:, 0]
        offset = table.weights[:, columns].sum(axis=0) / nominal.sum()
        if self.cp_parity is not None:
            offset[self.cp_parity.term_sign([table.basis.terms[k] for k in columns]) < 0] = 0.0
        residual = table.weights[:, columns] - nominal[:, np.newaxis] * offset
        spread = np.sqrt((residual**2).sum(axis=0) / (nominal @ nominal))
        return offset, np.where(spread > 0, spread, 1.0)

    def _objective(
        self, network: Network, columns: npt.NDArray[np.int64], train: EventTable
    ) -> tuple[Callable[[EventTable], tuple[FloatArray, ...]], Loss]:
        def targets(part: EventTable) -> tuple[FloatArray, ...]:
            nominal = part.weights[:, :1]
            return nominal, (part.weights[:, columns] - nominal * network.offset) / network.unit

        def loss(torch: Any, output: Any, nominal: Any, residual: Any) -> Any:
            return (output * (nominal * output - 2.0 * residual)).sum()

        return targets, loss

    def _ratio_and_slope(self, X: EventTable | npt.ArrayLike, theta: ThetaLike) -> tuple[FloatArray, FloatArray]:
        point, values = self._one_point(theta), self.predict(X)
        columns = [self.basis_.index(term) for term in self.output_terms_]
        ratio = 1.0 + values @ self.basis_.monomials(point)[columns]
        return ratio, values @ self.basis_.gradient(point)[:, columns].T


class QuadraticClassifier(_NeuralModel):
    r"""Network whose ratio is a sum of squares, trained to tell base points from the reference point.

    R(x|theta) = (1 + sum_a d_a n_a(x))^2 + sum_a (sum_{b>=a} d_b n_ab(x))^2 with d = theta - reference: positive for
    every theta, and general, since every positive quadratic form has a Cholesky decomposition. All n_a and n_ab are
    outputs of one network. Every base point p gives a classifier f_p = 1 / (1 + R(x|theta_p) c_p), with
    c_p = sum w_0 / sum w(theta_p) so that both classes weigh the same, and the loss is a sum over base points of

        "cross-entropy":  -sum_i (w_0 log f_p + c_p w(theta_p) log(1 - f_p)),
        "quadratic":       sum_i (w_0 (1 - f_p)^2 + c_p w(theta_p) f_p^2),

    all from the weights of the same events.

    Parameters
    ----------
    hidden : tuple of int, default=(100, 100, 100)
        Widths of the hidden layers, with the activation x / (1 + exp(-x)).
    loss : {"cross-entropy", "quadratic"}, default="cross-entropy"
        The latter, that of the paper, is bounded, so that events with small R or negative weights cannot dominate; the
        former learns large ratios better.
    base_points : array-like of shape (n_points, n_params), optional
        Points theta, in TeV^-2, none of them the reference point. By default points on all axes, on both sides, at
        0.5 and 2 times the coefficient u_a at which the quadratic term equals the SM, and at (u_a, +-u_b) for all
        pairs.
    n_epochs, batch_size, learning_rate, schedule, early_stopping, validation_fraction, n_iter_no_change
        As for `SALLY`.
    cp_parity : CPParity, optional
        Make every n_a and n_ab, and with them every R_a and R_ab, even or odd under CP, to the last bit.
    random_state, n_jobs, verbose
        As for `SALLY`.

    Attributes
    ----------
    output_terms_ : tuple of tuple of str
        Terms of the columns of `predict`: all up to order 2.
    base_points_ : ndarray of float64, shape (n_points, n_params)
        The points of the training.
    basis_, train_loss_, validation_loss_, interrupted_, n_features_in_, feature_names_in_
        As for `SALLY`; losses are means over base points.

    Notes
    -----
    arXiv:2007.10356, Eqs. 2.10 and 3.5, with the base points drawn from one reweighted sample. The n_a are unique,
    n_a = R_a / 2. The n_ab are not: each row (n_aa, n_ab, ...) may change its sign, and where the form
    H_ab = R_ab / 2 - R_a R_b / 4 is singular rows may mix; R_a = 2 n_a and
    R_ab = 2 n_a n_b + 2 sum_{c<=a,b} n_ca n_cb, which `predict` returns, are unique always.

    Examples
    --------
    >>> from bit.baselines import QuadraticClassifier
    >>> QuadraticClassifier(hidden=(32, 32), random_state=1)
    QuadraticClassifier(hidden=(32, 32), random_state=1)
    """

    def __init__(
        self,
        hidden: Sequence[int] = (100, 100, 100),
        *,
        loss: str = "cross-entropy",
        base_points: npt.ArrayLike | None = None,
        n_epochs: float = 20,
        batch_size: int = 1024,
        learning_rate: float = 0.02,
        schedule: str = "linear",
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        cp_parity: CPParity | None = None,
        random_state: int | None = None,
        n_jobs: int | None = 1,
        verbose: int = 0,
    ) -> None:
        self.hidden = hidden
        self.loss = loss
        self.base_points = base_points
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.cp_parity = cp_parity
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def check_parameters(self) -> None:
        """Check every parameter once, by its rule; see `_NeuralModel.check_parameters`."""
        super().check_parameters()
        if self.loss not in _LOSSES:
            raise InputError(f"loss={self.loss!r}: one of {', '.join(map(repr, _LOSSES))}.")

    def predict(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """R_a = 2 n_a and R_ab = 2 n_a n_b + 2 sum_{c<=a,b} n_ca n_cb; see `_NeuralModel.predict`."""
        roots = self.predict_roots(X)
        n_params = self.basis_.n_params
        # Columns of the triangle: n_0a = n_a, n_(c+1)a = n_ca, so that the form is the sum over rows.
        triangle = np.zeros((len(roots), n_params + 1, n_params))
        for k, (row, column) in enumerate(_places(self.basis_)):
            triangle[:, row, column] = roots[:, k]
        form = 2.0 * np.einsum("nca,ncb->nab", triangle, triangle)
        first, second = np.triu_indices(n_params)
        return np.column_stack([2.0 * triangle[:, 0], form[:, first, second]])

    def predict_roots(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Learned n_a and n_ab, the terms inside the squares.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events.

        Returns
        -------
        ndarray of float64, shape (n_events, n_terms - 1)
            In the order of `output_terms_`, in TeV^2; the n_ab are not unique (see above).

        Raises
        ------
        InputError
            As `predict`.
        """
        return self._outputs(X)

    def _columns(self, table: EventTable) -> npt.NDArray[np.int64]:
        complete = PolynomialBasis(table.basis.param_names)
        missing = [term for term in complete.terms if term not in table.basis.terms]
        if missing:
            raise InputError(
                f"the quadratic classifier needs all terms up to order 2, but the table lacks {missing}: give weights "
                "of second order, or use SALLY."
            )
        columns = np.arange(1, table.basis.n_terms)
        require_interference(table, columns[: table.basis.n_params])
        return columns

    def _output_scale(self, table: EventTable, columns: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Roots of the mean polynomial, and the scale of the coefficient of each output."""
        basis, n_params = table.basis, table.basis.n_params
        mean = table.weights[:, 1:].sum(axis=0) / table.weights[:, 0].sum()
        if self.cp_parity is not None:
            mean[self.cp_parity.term_sign(basis.terms[1:]) < 0] = 0.0
        scale = natural_scale(mean, basis) / math.sqrt(2.0)
        form = quadratic_form(mean[np.newaxis], basis)[0] / np.outer(np.append(1.0, scale), np.append(1.0, scale))
        eigenvalue, vector = np.linalg.eigh(form[1:, 1:] - np.outer(form[0, 1:], form[0, 1:]))
        upper = np.linalg.cholesky((vector * np.maximum(eigenvalue, _LEAST_CURVATURE)) @ vector.T).T
        offset = np.concatenate([form[0, 1:], upper[np.triu_indices(n_params)]])
        unit = np.array([scale[column] for _, column in _places(basis)])
        if self.cp_parity is not None:  # of odd outputs exactly 0, not up to rounding
            offset[self.cp_parity.term_sign(basis.terms[1:]) < 0] = 0.0
        return offset * unit, unit

    def _points(self, network: Network, table: EventTable) -> FloatArray:
        """Absolute base points."""
        basis = network.basis
        if self.base_points is None:
            unit = 1.0 / network.unit[: basis.n_params]
            axes = np.diag(unit)
            singles = [sign * size * axis for axis in axes for size in _BASE_SIZES for sign in (-1, 1)]
            pairs = [axes[a] + sign * axes[b] for b in range(len(axes)) for a in range(b) for sign in (-1, 1)]
            points: FloatArray = np.array(basis.reference) + np.array(singles + pairs)
        else:
            points = np.atleast_2d(basis.as_theta(self.base_points))
            if (points == np.array(basis.reference)).all(axis=1).any():
                raise InputError(
                    f"base_points holds the reference point {list(basis.reference)}, which cannot be told from itself."
                )
        for point in points:
            if table.at(point).sum() <= 0:
                raise InputError(
                    f"base point {point.tolist()}: the weights sum to {table.at(point).sum():.4g} fb; a positive "
                    "cross-section is needed."
                )
        return points

    def _objective(
        self, network: Network, columns: npt.NDArray[np.int64], train: EventTable
    ) -> tuple[Callable[[EventTable], tuple[FloatArray, ...]], Loss]:
        basis = network.basis
        points = self.base_points_ = self._points(network, train)
        phi = basis.monomials(points)
        balance = train.weights[:, 0].sum() / (train.weights @ phi.T).sum(axis=0)
        design = np.stack([_design(basis, point) for point in points], axis=-1)  # (n_outputs, n_params + 1, n_points)
        scaled = (design * network.unit[:, np.newaxis, np.newaxis]).reshape(len(network.unit), -1)
        constant = np.einsum("k,kcp->cp", network.offset, design)
        constant[0] += 1.0
        shape, loss_of = (-1, *constant.shape), _LOSSES[self.loss]
        arrays = [values.astype(np.float32) for values in (scaled, constant, balance)]

        def targets(part: EventTable) -> tuple[FloatArray, ...]:
            return part.weights[:, :1], part.weights @ (phi.T * balance)

        def loss(torch: Any, output: Any, nominal: Any, alternative: Any) -> Any:
            matrix, start, factor = (torch.from_numpy(values) for values in arrays)
            inner = (output @ matrix).reshape(shape) + start
            return loss_of(torch, (inner**2).sum(dim=1) * factor, nominal, alternative).sum() / len(points)

        return targets, loss

    def _ratio_and_slope(self, X: EventTable | npt.ArrayLike, theta: ThetaLike) -> tuple[FloatArray, FloatArray]:
        point, roots = self._one_point(theta), self.predict_roots(X)
        inner = roots @ _design(self.basis_, point)
        inner[:, 0] += 1.0
        slope = np.zeros((len(roots), self.basis_.n_params))
        for k, (row, column) in enumerate(_places(self.basis_)):
            slope[:, column] += 2.0 * inner[:, row] * roots[:, k]
        return (inner**2).sum(axis=1), slope


def from_document(document: Any, source: str) -> SALLY | QuadraticClassifier:
    """Build a fitted model from the dictionary of a ``bit-network/1`` file.

    Parameters
    ----------
    document : dict
        Parsed JSON.
    source : str
        Name of the file, for messages.

    Returns
    -------
    SALLY or QuadraticClassifier
        Predicts, bit for bit, as the one that was trained, without PyTorch; the losses of the training are not kept.

    Raises
    ------
    FileFormatError
        As `bit.load`.
    """
    network = _network.from_document(document, source)
    kinds: dict[str, type[SALLY | QuadraticClassifier]] = {"SALLY": SALLY, "QuadraticClassifier": QuadraticClassifier}
    name = network.config["estimator"]
    if name not in kinds:
        raise FileFormatError(f"{source} holds a network of {name!r}; known estimators: {sorted(kinds)}.")
    parameters = dict(network.config.get("parameters", {}))
    if parameters.get("cp_parity") is not None:
        parameters["cp_parity"] = CPParity(**parameters["cp_parity"])
    if isinstance(parameters.get("hidden"), list):
        parameters["hidden"] = tuple(parameters["hidden"])
    model = kinds[name](**parameters)
    model._take_over(network)
    model.interrupted_ = False
    return model


# ---------------------------------------------------------------------- losses
def _quadratic(torch: Any, ratio: Any, nominal: Any, alternative: Any) -> Any:
    f = 1.0 / (1.0 + ratio)
    return nominal * (1.0 - f) ** 2 + alternative * f**2


def _cross_entropy(torch: Any, ratio: Any, nominal: Any, alternative: Any) -> Any:
    return (nominal + alternative) * torch.log1p(ratio) - alternative * torch.log(ratio + _LEAST_RATIO)


_LOSSES: dict[str, Loss] = {"cross-entropy": _cross_entropy, "quadratic": _quadratic}


# ---------------------------------------------------------------------- the sum of squares
def _places(basis: PolynomialBasis) -> Iterator[tuple[int, int]]:
    """Square (0 for the one with the SM) and coefficient of every output n_a, n_ab."""
    position = {name: a for a, name in enumerate(basis.param_names)}
    for term in basis.terms[1:]:
        yield (0, position[term[0]]) if len(term) == 1 else (1 + position[term[0]], position[term[1]])


def _design(basis: PolynomialBasis, theta: FloatArray) -> FloatArray:
    """Matrix D(theta) of shape (n_outputs, n_params + 1): the squares are those of (1, 0, ...) + n @ D."""
    shift = theta - np.array(basis.reference)
    design = np.zeros((basis.n_terms - 1, basis.n_params + 1))
    for k, (row, column) in enumerate(_places(basis)):
        design[k, row] = shift[column]
    return design


def _exact_parity(parity: CPParity, feature_names: tuple[str, ...], terms: tuple[Term, ...]) -> ExactParity:
    return ExactParity(parity.feature_sign(feature_names), parity.permutation(feature_names), parity.term_sign(terms))


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= 1)


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and math.isfinite(value) and bool(value > 0)


def _jsonable(value: Any) -> Any:
    if isinstance(value, CPParity):
        return parity_document(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    return value
