"""How uncertain the learned functions are because the training sample is finite.

Members of an ensemble are trained like the model itself, each on another resampling of the same events; the scatter of
their predictions estimates the scatter that independent training samples would give.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from bit.artefacts import require_schema, seal, write_document
from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import BitWarning, FileFormatError, InputError, near_match
from bit.estimators import BoostedInformationTree, _as_table
from bit.events import EventTable
from bit.mapped import EventStream
from bit.observables import ModelObservable
from bit.progress import progress_bar
from bit.threads import n_threads_of
from bit.trees import forest_json
from bit.trees.forest import Forest

METHODS = ("bootstrap", "jackknife")
FORMAT = "bit-ensemble/1"
_BLOCK = 16384  # events whose (n, K, K) products are held at a time


class BoostedInformationTreeEnsemble(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""A boosted information tree together with the statistical uncertainty and the bias of what it learned.

    The central values are those of `model_`, trained on all events. Members are trained in the same way, from the
    thresholds of the bins on, on resampled events:

    - ``method="bootstrap"``: every event counts c_i ~ Poisson(1) times;
    - ``method="jackknife"``: the events are divided at random into G = `n_members` groups of equal size n_m, and
      member m is trained without group m, the weights of the others scaled by n / (n - n_m).

    With R_m the prediction of member m of M, Rbar the mean of the R_m, and R that of `model_`, at the same x:

        bootstrap   cov = sum_m (R_m - Rbar)(R_m - Rbar)^T / (M - 1),        bias = Rbar - R
        jackknife   cov = (G - 1) / G sum_m (R_m - Rbar)(R_m - Rbar)^T,      bias = (G - 1)(Rbar - R)

    Parameters
    ----------
    estimator : BoostedInformationTree, optional
        What is trained; not changed. Default: one with default parameters.
    n_members : int, default=20
        Members, at least 2. The standard deviation from M bootstrap members has itself a relative uncertainty of
        1 / sqrt(2 (M - 1)) per event: 16 % for 20, 10 % for 50.
    method : {"bootstrap", "jackknife"}, default="bootstrap"
        How events are resampled.
    random_state : int or None, default=None
        Seed of the resampling and of what is random in the members; that of `model_` is the estimator's own.
        A bootstrap member has its own stream: the first ten of twenty members are the ten of a smaller ensemble.
    n_jobs : int or None, default=None
        Threads within every training and prediction, in place of the estimator's; None for all processors. Members
        are trained one after the other; several at a time, with the same result, under
        ``joblib.parallel_config(backend=..., n_jobs=...)``, where `n_jobs` here should be 1.
        The result does not depend on it.
    verbose : int, default=0
        1 draws a progress bar over the trainings, in place of the estimator's.

    Attributes
    ----------
    model_ : BoostedInformationTree
        Trained on all events, bit for bit what ``estimator.fit`` gives.
    members_ : tuple of Forest
        The members; ``BIT.from_forest(member)`` makes an estimator of one.
    n_members_ : int
        Their number, smaller than `n_members` if Ctrl-C ended the fit.
    basis_, output_terms_, n_features_in_, feature_names_in_ : object
        As of `model_`.

    See Also
    --------
    bit.BoostedInformationTree : The model.

    Notes
    -----
    Poisson bootstrap: each count of the multinomial bootstrap of Efron (doi:10.1214/aos/1176344552) is nearly
    Poisson(1) and, unlike these, independent of the others (Oza and Russell, Online bagging and boosting, 2001;
    Chamandy et al., Estimating uncertainty for massive data streams, 2012). Delete-a-group jackknife:
    Kott, J. Official Statistics 17 (2001) 521.

    Of n events a bootstrap member sees n (1 - 1/e), with (sum w_0)^2 / sum w_0^2 half as large on the average. The
    rules that compare a leaf with numbers of events (`min_samples_leaf`, `min_effective_samples`) and the units of
    `l2` and `min_gain` are scaled by these shares, so that members may split as finely as `model_`. Events that carry
    no weight are left out, and with ``early_stopping=True`` the validation events are resampled, too.

    `predict_std` is the statistical uncertainty only: what the trees cannot follow because of their number, depth,
    leaves or learning rate is a bias that no resampling shows. `bias` shows the part that comes from the size of the
    sample.

    Against the spread of models of 50 independent samples of 10 000 events, rms over x, the bootstrap gives 0.97 to
    1.06 for toys of one feature (2 or 4 levels, 50 or 100 trees, leaves of 50 or 200 events), 1.04 and 1.07 with
    three useless features (2 and 4 levels): where trees follow noise, members divide the noise of the one sample
    differently, which is not a part of the spread. On 25 000 simulated ZH events it gives 0.99 to 1.04. Members choose
    their own bins, since thresholds fluctuate with the events: with those of the model, 32 bins of one feature would
    give 0.78 instead of 0.94, and 255 bins of 40 000 events 0.90 instead of 0.95.

    A jackknife presumes functions that change smoothly when few events are left out. Splits do not, and the few
    differences are scaled up: with one feature and 2 levels its deviations are 1.2 times the spread for 5 groups, 1.6
    for 10 and 2.0 for 20. Prefer the bootstrap.

    Means in leaves become sharper with 1 / sqrt(n), and so does the standard deviation where the leaves keep their
    share of the events and noise, the spread of w_k / w_0 at the same x, dominates. The choice of splits settles more
    slowly, with n^(-1/3) for smooth functions (Buehlmann and Yu, doi:10.1214/aos/1031689014). Little noise is left in
    simulated ZH events whose leptons are measured: there four times the events make the deviation smaller by a factor
    of 1.2 only, but of 1.4 for four times as many trees of a quarter of the learning rate, over which the splits
    average; these have a deviation that is smaller by a quarter to begin with.

    The bootstrap assigns counts to rows: another order of the events gives other members, of the same distribution.

    Examples
    --------
    >>> import bit
    >>> from bit.ensembles import BoostedInformationTreeEnsemble
    >>> from bit.processes.analytic import PowerLaw
    >>> table = PowerLaw().sample(2000, seed=1)
    >>> ensemble = BoostedInformationTreeEnsemble(bit.BIT(n_estimators=10), n_members=5, random_state=1).fit(table)
    >>> ensemble.predict(table).shape, ensemble.predict_std(table).shape, ensemble.predict_covariance(table).shape
    ((2000, 2), (2000, 2), (2000, 2, 2))
    """

    def __init__(
        self,
        estimator: BoostedInformationTree | None = None,
        n_members: int = 20,
        *,
        method: str = "bootstrap",
        random_state: int | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.n_members = n_members
        self.method = method
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    # ------------------------------------------------------------------ training
    def fit(
        self,
        X: EventTable | EventStream | npt.ArrayLike,
        y: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        *,
        basis: PolynomialBasis | None = None,
    ) -> BoostedInformationTreeEnsemble:
        """Train the model on all events, and the members on resampled ones.

        Parameters
        ----------
        X : EventTable, EventStream, or array-like or DataFrame of shape (n_events, n_features)
            Events with their weights, those of `bit.stream_root`, or features alone.
        y : array-like of shape (n_events,) or (n_events, n_terms), optional
            With arrays: the ratios w_k / w_0, as in `BoostedInformationTree.fit`.
        sample_weight : array-like of shape (n_events,), optional
            With arrays: w_0, not 0; default 1.
        basis : PolynomialBasis, optional
            With arrays: the polynomial whose terms the columns of `y` are.

        Returns
        -------
        BoostedInformationTreeEnsemble
            The fitted ensemble itself.

        Raises
        ------
        InputError
            As `BoostedInformationTree.fit`, and for a parameter out of range or more groups than events.
        KeyboardInterrupt
            If Ctrl-C came before two members were complete.

        Warns
        -----
        BitWarning
            If Ctrl-C ended the training: the complete members are kept. Also if a feature is constant.
        """
        self._check_parameters()
        if isinstance(X, EventStream):
            X = X.table()
        table = replace(_as_table(X, y, sample_weight, basis)[0], aux=None)
        if self.method == "jackknife" and table.n_events < self.n_members:
            raise InputError(
                f"n_members={self.n_members} groups of {table.n_events} events: a group needs at least one event; "
                "use fewer members."
            )
        model = clone(self.estimator) if self.estimator is not None else BoostedInformationTree()
        model.set_params(n_jobs=self.n_jobs, verbose=0)
        members: list[Forest] = []
        with progress_bar(self.n_members + 1, "Ensemble", "trainings", show=self.verbose > 0) as bar:
            model.fit(X, y, sample_weight, basis=basis)
            if model.interrupted_:
                raise KeyboardInterrupt
            bar.update(1)
            try:
                for member in self._train_members(model, table):
                    members.append(member)
                    bar.update(1)
            except KeyboardInterrupt:
                if len(members) < 2:
                    raise
        if len(members) < self.n_members:
            warnings.warn(
                f"interrupted after {len(members)} of {self.n_members} members; the ensemble holds these.",
                BitWarning,
                stacklevel=2,
            )
        self._keep(model, tuple(members))
        return self

    def _train_members(self, model: BoostedInformationTree, table: EventTable) -> Iterator[Forest]:
        """Train one member after the other, or as many at a time as ``joblib.parallel_config`` says."""
        seeds = np.random.SeedSequence(self.random_state)
        trainings = (
            delayed(self._train_member)(model, table, m, seed, seeds)
            for m, seed in enumerate(seeds.spawn(self.n_members))
        )
        for member in Parallel(return_as="generator")(trainings):
            if member is None:
                raise KeyboardInterrupt
            yield member

    def _train_member(
        self,
        model: BoostedInformationTree,
        table: EventTable,
        m: int,
        seed: np.random.SeedSequence,
        seed_of_groups: np.random.SeedSequence,
    ) -> Forest | None:
        """Resample and train; None if Ctrl-C ended it."""
        rng = np.random.default_rng(seed)
        seen = self._resampled(table, m, rng, np.random.default_rng(seed_of_groups))
        member = _member_like(model, seen, *self._shares()).set_params(random_state=int(rng.integers(2**31)))
        with warnings.catch_warnings():
            # Of constant features the model has told already, and an unfinished member is dropped.
            warnings.simplefilter("ignore", BitWarning)
            member.fit(seen)
        return None if member.interrupted_ else member.forest_

    def _shares(self) -> tuple[float, float]:
        """Share of the events, and of their effective number, that a member sees."""
        if self.method == "bootstrap":
            return 1.0 - math.exp(-1.0), 0.5
        return 1.0 - 1.0 / self.n_members, 1.0 - 1.0 / self.n_members

    def _resampled(
        self, table: EventTable, m: int, rng: np.random.Generator, rng_of_groups: np.random.Generator
    ) -> EventTable:
        """Return the events that member m sees, with their weights for it."""
        n = table.n_events
        if self.method == "bootstrap":
            factor = rng.poisson(1.0, n).astype(np.float64)
        else:
            factor = (rng_of_groups.permutation(n) % self.n_members != m).astype(np.float64)
            factor *= n / factor.sum()
        if not factor @ table.weights[:, 0] > 0:
            raise InputError(
                f"the nominal weights that member {m} sees do not sum to a positive number: {n} events are too few "
                f"for a {self.method} with such weights; use more."
            )
        rows = np.flatnonzero(factor)
        seen = table.take(rows)
        return replace(seen, weights=seen.weights * factor[rows, np.newaxis])

    def _check_parameters(self) -> None:
        if self.estimator is not None and not isinstance(self.estimator, BoostedInformationTree):
            raise InputError(
                f"estimator is a {type(self.estimator).__name__}: a BoostedInformationTree (bit.BIT) is needed."
            )
        for name, low in (("n_members", 2), ("random_state", 0)):
            value = getattr(self, name)
            is_int = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            if not (is_int and value >= low) and not (name == "random_state" and value is None):
                raise InputError(f"{name}={value!r}: an integer of at least {low} is needed.")
        if self.method not in METHODS:
            raise InputError(f"method={self.method!r}: {near_match(str(self.method), METHODS)}")

    def _keep(self, model: BoostedInformationTree, members: tuple[Forest, ...]) -> None:
        self.model_ = model
        self.members_ = members
        self.n_members_ = len(members)
        # What was trained stays as it was if parameters are set later.
        self._method, self._planned = self.method, int(self.n_members)
        self._seed = None if self.random_state is None else int(self.random_state)
        self.basis_ = model.basis_
        self.output_terms_ = model.output_terms_
        self.n_features_in_ = model.n_features_in_
        if hasattr(model, "feature_names_in_"):
            self.feature_names_in_ = model.feature_names_in_
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    # ------------------------------------------------------------------ prediction
    def predict(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Learned R_k(x) of the model that was trained on all events.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events.

        Returns
        -------
        ndarray of float64, shape (n_events, n_trained_terms)
            As `BoostedInformationTree.predict`, in TeV^2 and TeV^4.
        """
        return self._fitted().predict(X)

    def predict_std(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Statistical standard deviation of `predict`, from the finite number of training events.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events.

        Returns
        -------
        ndarray of float64
            Of the shape and in the units of `predict`; the square root of the diagonal of `predict_covariance`.
        """
        scatter: FloatArray | float = 0.0
        for share, deviation in self._deviations(X):
            scatter = scatter + share * deviation**2
        return self._like_predict(np.sqrt(self._inflation()[0] * scatter / (self.n_members_ - 1)))

    def predict_covariance(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Covariance of the learned functions with each other, event by event.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events.

        Returns
        -------
        ndarray of float64, shape (n_events, n_trained_terms, n_trained_terms)
            Symmetric and positive semi-definite. With phi the monomials of the trained terms at theta, the variance of
            R(x|theta) is ``phi @ cov @ phi``.
        """
        scatter: FloatArray | None = None
        for share, deviation in self._deviations(X):
            if scatter is None:
                scatter = np.zeros((*deviation.shape, deviation.shape[1]))
            for low in range(0, len(deviation), _BLOCK):
                block = deviation[low : low + _BLOCK]
                scatter[low : low + _BLOCK] += share * (block[:, :, np.newaxis] * block[:, np.newaxis, :])
        assert scatter is not None
        scatter *= self._inflation()[0] / (self.n_members_ - 1)
        return scatter

    def predict_members(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Predictions of all members.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events.

        Returns
        -------
        ndarray of float64, shape (n_members, n_events, n_trained_terms)
            Member by member what `predict` is for the model.
        """
        return np.stack([self._like_predict(values) for values in self._predictions(X)])

    def bias(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Estimate how far `predict` is off on the average over training samples of this size.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events.

        Returns
        -------
        ndarray of float64
            Of the shape and in the units of `predict`: mean of the members less `predict`, times n_members - 1 for the
            jackknife. Its own statistical error is that of a mean of members, about
            predict_std / sqrt(n_members) for the bootstrap and predict_std sqrt(n_members - 1) for the jackknife.
        """
        total: FloatArray | float = 0.0
        central = self._fitted()._matrix(X)
        for values in self._predictions(X):
            total = total + (values - central)
        return self._like_predict(np.asarray(total) * (self._inflation()[1] / self.n_members_))

    def predict_ratio(self, X: EventTable | npt.ArrayLike, theta: ThetaLike) -> FloatArray:
        """Learned ratio R(x|theta) of the model that was trained on all events.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events.
        theta : array-like of shape (n_params,), or mapping
            Coefficients in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (n_events,)
            As `BoostedInformationTree.predict_ratio`.
        """
        return self._fitted().predict_ratio(X, theta)

    def predict_score(self, X: EventTable | npt.ArrayLike, theta: ThetaLike) -> FloatArray:
        """Learned score d log R(x|theta) / d theta of the model that was trained on all events.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events.
        theta : array-like of shape (n_params,), or mapping
            Where, in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (n_events, n_params)
            As `BoostedInformationTree.predict_score`, in TeV^2.
        """
        return self._fitted().predict_score(X, theta)

    def observable(self, param: str, theta: ThetaLike | None = None) -> ModelObservable:
        """Learned observable of the model that was trained on all events.

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
        return self._fitted().observable(param, theta)

    # ------------------------------------------------------------------ files
    def export(self, path: str | os.PathLike[str]) -> None:
        """Write model and members as one ``bit-ensemble/1`` JSON file, which ``bit.load`` reads.

        Parameters
        ----------
        path : str or path-like
            The file; an older one is replaced only by a complete one.

        Notes
        -----
        Fields: ``kind`` "ensemble", ``format``, ``version``; ``config`` with the parameters of the ensemble; ``model``
        and ``members``, which hold the documents of forests (``bit-forest/1``, see `bit.trees.forest_json`); ``sha256``
        of the canonical dump (sorted keys, no spaces) of all other fields.
        """
        model = self._fitted()
        fields: dict[str, Any] = {
            "config": {"n_members": self._planned, "method": self._method, "random_state": self._seed},
            "model": forest_json.as_document(model.forest_),
            "members": [forest_json.as_document(member) for member in self.members_],
        }
        write_document(seal("ensemble", FORMAT, fields), path)

    @classmethod
    def from_document(cls, document: dict[str, Any], source: str) -> BoostedInformationTreeEnsemble:
        """Return the fitted ensemble that a ``bit-ensemble/1`` document describes.

        Parameters
        ----------
        document : dict
            Parsed JSON.
        source : str
            Name of the file, for messages.

        Returns
        -------
        BoostedInformationTreeEnsemble
            Predicts as the one that was trained.

        Raises
        ------
        FileFormatError
            If the schema is newer, or the checksum or the structure is wrong.
        """
        require_schema(document, FORMAT, source)
        try:
            forest = forest_json.from_document(document["model"], source)
            members = tuple(forest_json.from_document(member, source) for member in document["members"])
            model = BoostedInformationTree.from_forest(forest)
            ensemble = cls(clone(model), **document["config"])
            ensemble._check_parameters()
            if len(members) < 2 or any(
                (member.n_features, member.n_outputs) != (forest.n_features, forest.n_outputs) for member in members
            ):
                raise ValueError("at least two members are needed, of the features and outputs of the model")
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"{source}: not a valid {FORMAT} file ({type(error).__name__}: {error}).") from None
        ensemble._keep(model, members)
        return ensemble

    # ------------------------------------------------------------------ helpers
    def _fitted(self) -> BoostedInformationTree:
        check_is_fitted(self, "model_")
        return self.model_

    def _predictions(self, X: EventTable | npt.ArrayLike) -> Iterator[FloatArray]:
        """Prediction of each member, shape (n_events, n_trained_terms)."""
        features = self._fitted()._features(X)
        for member in self.members_:
            yield member.predict(features, n_threads_of(self.n_jobs))

    def _deviations(self, X: EventTable | npt.ArrayLike) -> Iterator[tuple[float, FloatArray]]:
        """Pairs (share, deviation) such that sum share deviation^2 is the scatter about the mean of the members.

        The deviation of a member is taken from the mean of those before it (Welford, doi:10.2307/1266577), so that
        no large numbers cancel and a single pass does.
        """
        mean: FloatArray | float = 0.0
        for m, values in enumerate(self._predictions(X), start=1):
            deviation = values - mean
            mean = mean + deviation / m
            yield (m - 1) / m, deviation

    def _inflation(self) -> tuple[float, float]:
        """Factors on the sample covariance of the members, and on the distance of their mean from the model."""
        if self._method == "bootstrap":
            return 1.0, 1.0
        return (self._planned - 1.0) ** 2 / self._planned, self._planned - 1.0

    def _like_predict(self, values: FloatArray) -> FloatArray:
        """Values in the shape of `predict`: a model of one plain array of targets predicts one, too."""
        return values[:, 0] if self._fitted()._y_is_1d else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.allow_nan = True
        return tags


def _member_like(
    model: BoostedInformationTree, seen: EventTable, share: float, effective_share: float
) -> BoostedInformationTree:
    """Return an estimator with rules that mean for what a member sees what they mean for all events.

    `l2` and `min_gain` are in units of the mean weight, which is larger where fewer events have the same sum.
    """
    floor = model.min_samples_leaf if model.min_effective_samples is None else model.min_effective_samples
    member: BoostedInformationTree = clone(model)
    member.set_params(
        min_samples_leaf=max(1, min(round(share * model.min_samples_leaf), seen.n_events // 2)),
        min_effective_samples=effective_share * floor,
        l2=share * model.l2,
        min_gain=share * model.min_gain,
    )
    return member
