"""The estimator: boosted information trees with the interface of scikit-learn."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_array, check_is_fitted

import bit
from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import BitWarning, InputError, near_match
from bit.events import EventTable, as_features
from bit.mapped import EventStream
from bit.observables import ModelObservable
from bit.parity import CPParity
from bit.positivity import is_positive, natural_scale, ratio_and_slope, require_complete
from bit.threads import Threads, n_threads_of
from bit.trees.binner import BIN_WEIGHTS, MAX_BINS
from bit.trees.boosting import BinnedEvents, BoostingPlan, BoostingResult, auto_learning_rate, bin_events, boost
from bit.trees.checkpoint import Checkpoint
from bit.trees.forest import ExactParity, Forest
from bit.trees.forest_json import to_json
from bit.trees.grower import GrowthRules
from bit.trees.sample import Sample, TableSample
from bit.trees.threads import n_threads_for

# A sum of nominal weights that is a smaller fraction of their sizes is rounding.
_CANCELLED = 1e-12
# Parameters that may be different in a training that is continued.
_FREE = ("n_estimators", "learning_rate", "n_jobs", "verbose")


class BoostedInformationTree(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Boosted trees that learn the polynomial R(x|theta) = w(theta) / w_0 of events with features x.

    Every tree splits the events so that the Fisher information about the coefficients in its leaves is as
    large as possible, and predicts in a leaf j the polynomial R_k = sum_j w_k / sum_j w_0 for all trained
    terms k at once; the next tree is fitted to w_k - w_0 F_k. The sum converges to the conditional
    expectations R_a(x) = E[w_a | x] / E[w_0 | x] and R_ab(x), whatever was integrated out between the weights
    and the features, and R_a is the optimal observable for small theta_a.

    Parameters
    ----------
    n_estimators : int, default=100
        Number of trees.
    learning_rate : float or "auto", default=0.2
        Factor on every tree, in (0, 1]; ``"auto"`` is 1 - 0.02^(1/n_estimators).
    max_depth : int or None, default=4
        Levels of splits of a tree; None only together with `max_leaf_nodes`.
    max_leaf_nodes : int or None, default=None
        If given, trees grow leaf by leaf, the largest gain first, up to so many leaves.
    min_samples_leaf : int, default=50
        Smallest number of events in a leaf.
    min_effective_samples : float or None, default=None
        Smallest effective number (sum w_0)^2 / sum w_0^2 in a leaf; None means `min_samples_leaf`.
    max_bins : int, default=255
        Bins of a feature, 2 to 255; NaN has one more of its own. Features that `cp_parity` flips need 3.
    bin_weights : {"mixed", "count", "nominal", "loss"}, default="mixed"
        What the bins of a feature hold equal shares of: events, \|w_0\|, the loss (the mean over the terms of
        w_0 (t_a - <t_a>)^2, t_a = w_a / w_0, in units of its sum), or half of events and loss each, so that the
        tails have bins enough, too.
    terms : sequence of (str or tuple of str), optional
        Terms to be learned, such as ``["cHW", ("cHW", "cHW")]``; default all.
    base_points : array-like of shape (n_points, n_params), optional
        Points theta whose information is summed in the split criterion, Q = sum phi(theta) phi(theta)^T
        (arXiv:2205.12976). By default every term is scaled by its spread s_a,
        s_a^2 = sum S_a^2 / S_0 over the 64 leaves of a pilot tree. Array targets without a basis are taken
        as linear terms.
    strategy : {"joint", "separate"}, default="joint"
        One set of trees for all terms, or trees of its own for each term, on the same bins: more exact for as
        many trees, and as many times slower as there are terms. (`bin_weights` "mixed" and "loss" look at all terms.)
    positive : bool, default=False
        Make R(x|theta) >= 0 for every theta: `predict_ratio` and `predict_score` then work with polynomials whose
        R_ab are raised, event by event, until no theta gives a negative ratio (`bit.positivity`); R_a and `predict`
        stay as learned. No leaf may hold weights whose sum is negative for some theta. Needs all terms up to order 2
        and ``strategy="joint"``.
    cp_parity : CPParity, optional
        Make every R_k(x) even or odd under CP, to the last bit: the model is f(x) = (g(x) +- g(Cx)) / 2 with g the sum
        of the trees, and every event counts as half an event and half its image.
    init : {"mean", None}, default="mean"
        Start of the sum: sum w_k / sum w_0, or 0.
    l2 : float, default=0.0
        Added to the nominal weight of a leaf, in units of the mean \|w_0\|: shrinks small leaves.
    min_gain : float, default=0.0
        A split must gain more information, in units of the mean \|w_0\| (times the metric).
    leaf : {"constant", "linear"}, default="constant"
        What a leaf predicts: a number for each term, or a linear function of at most four features, those that
        gained most information on the way to the leaf, R_k = S_k / S_0 + sum_f c_kf (x_f - <x_f>). x_f is cut to the
        range of the training events of the leaf, so that nothing is extrapolated; where one of the features
        is not finite the leaf is constant. Inside a leaf each feature is measured from its mean and in units of its
        spread, so that x -> a x + b changes nothing but rounding; other monotone maps then matter: give a feature in
        the form in which a score may be linear, such as pT rather than log pT. A slope needs at least three
        effective events for each number that is fitted.
    ridge : float or "auto", default="auto"
        Of linear leaves: added to the diagonal of the normal matrix, as a fraction of it. "auto" chooses, for every
        tree and term, that with which slopes from one half of the events lower the loss of the other half most.
    early_stopping : bool, default=False
        Keep `validation_fraction` of the events apart, stop after `n_iter_no_change` trees without a lower
        loss on them, and keep the trees up to the lowest.
    validation_fraction : float, default=0.1
        Fraction of events for early stopping, in (0, 1).
    n_iter_no_change : int, default=10
        Patience of early stopping.
    subsample : float, default=1.0
        Fraction of events drawn at random for each tree, in (0, 1].
    max_features : float, default=1.0
        Fraction of the features drawn at random for each tree, in (0, 1].
    sketch : int or None, default=None
        Search the splits of a tree in so many random combinations of the terms, drawn anew for each tree, instead of
        in all terms (the leaves have all). Quicker for many terms, and less exact for as many trees.
    random_state : int or None, default=None
        Seed of `subsample`, `max_features`, `sketch` and of the validation split; without these nothing is random.
    n_jobs : int or None, default=None
        Threads; None for all processors of this process. The result does not depend on it.
    verbose : int, default=0
        1 draws a progress bar.

    Attributes
    ----------
    forest_ : Forest
        The trees.
    basis_ : PolynomialBasis or None
        Polynomial of the weights.
    output_terms_ : tuple of tuple of str
        Terms of the columns of `predict`.
    train_loss_, validation_loss_ : ndarray of float64, shape (n_iter_ + 1,)
        sum (w_0 F^T Q F - 2 w^T Q F) of the base and after each tree; the validation loss is scaled to the
        number of training events, and empty without early stopping.
    feature_importances_ : ndarray of float64, shape (n_features,)
        Share of each feature in the information gained.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Their names.
    n_iter_ : int
        Trees kept.
    interrupted_ : bool
        Whether Ctrl-C ended the fit; the trees grown until then are there.
    projected_fraction_ : float
        With ``positive=True``: share of the events given to `fit` whose polynomial is projected.

    See Also
    --------
    bit.inference.fill : Histogram of the learned observable.

    Notes
    -----
    arXiv:2107.10859 (one coefficient) and arXiv:2205.12976 (polynomials). Different here: many terms share
    trees in a metric that gives each the same weight; sums are integers, so that forests are bit-identical
    for any row order and number of threads; signed and zero nominal weights are allowed (children need
    sum w_0 > 0); and `max_depth` counts levels of splits, one less than in the papers.

    Pipelines, searches and cross validation of scikit-learn pick rows of arrays, not of event tables. Give them
    ``X=table.features``, ``y=table.joint_ratio()`` and, as parameters of `fit`, ``sample_weight=table.weights[:, 0]``
    and ``basis=table.basis``; events with w_0 = 0 have no such y and are refused. `score` is R^2 of y, weighted by
    its `sample_weight`. Columns of DataFrames are taken by name in `predict`, in any order.

    With ``positive=True`` the form [[1, R_a/2], [R_a/2, R_ab/2]] of an event is projected onto the positive
    semi-definite ones, R_0 and R_a fixed, R_ab in units of the mean R_aa (1 where that is not positive). `predict`,
    `staged_predict` and exported forests hold the polynomials before projection; their configuration tells
    ``positive`` and ``projected_fraction``.

    What if ...

    - the nominal weights are negative (next-to-leading order)? They count with their signs, and nothing is biased; what
      counts is the effective number of events, (sum w_0)^2 / sum w_0^2.
    - there are events with w_0 = 0 (interference-only samples, backgrounds without w_a)? ``concat`` them with the
      nominal sample: only sums of weights are used. Where numerator and denominator come from different events, small
      leaves overestimate abs(R); more events per leaf help, since `min_effective_samples` counts w_0 only.
    - few events carry most of a quadratic term? Leaves need `min_effective_samples`, so that no event has a leaf of its
      own; smaller leaves (5 to 20 events) resolve such tails better than `l2`, which is in units of the mean
      abs(w_0) and flattens them.
    - I want R(x|theta) > 0? ``positive=True``. An observable that is exactly CP-odd? `cp_parity`.
    - there are dozens of terms? ``sketch=2`` to 8. One matters most? ``terms=[...]``, or ``strategy="separate"``.
    - I do not know how many trees? ``early_stopping=True``: the loss on events apart decides, the best number stays.
    - features are NaN or infinite? NaN goes right at every split; infinities are compared as numbers.
    - the events do not fit into memory? ``fit(bit.stream_root(files, cache="folder"))`` gives the same forest and holds
      8 ceil(F / 8) + F + 8 K + 16 bytes per event for F features and K functions (with exact parity 8 more, with linear
      leaves 4 F more), and 8 for each term while these are in use: 2.5 GiB in all for 10^7 events with F = 30, K = 9.
    - the training takes hours? ``fit(table, checkpoint="training.json")``; if it was killed,
      ``fit(table, checkpoint="training.json", resume="training.json")``.
    - I need an error of R(x)? `bit.BoostedInformationTreeEnsemble`.
    - I call it for one event at a time? ``model.forest_.evaluator()``, some microseconds.

    Examples
    --------
    >>> import bit
    >>> from bit.processes.analytic import PowerLaw
    >>> table = PowerLaw().sample(2000, seed=1)
    >>> model = bit.BIT(n_estimators=10).fit(table)
    >>> model.output_terms_
    (('theta',), ('theta', 'theta'))
    >>> model.predict(table).shape
    (2000, 2)
    """

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        learning_rate: float | str = 0.2,
        max_depth: int | None = 4,
        max_leaf_nodes: int | None = None,
        min_samples_leaf: int = 50,
        min_effective_samples: float | None = None,
        max_bins: int = MAX_BINS,
        bin_weights: str = "mixed",
        terms: Sequence[str | Sequence[str]] | None = None,
        base_points: npt.ArrayLike | None = None,
        strategy: str = "joint",
        positive: bool = False,
        cp_parity: CPParity | None = None,
        init: str | None = "mean",
        l2: float = 0.0,
        min_gain: float = 0.0,
        leaf: str = "constant",
        ridge: float | str = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        subsample: float = 1.0,
        max_features: float = 1.0,
        sketch: int | None = None,
        random_state: int | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.min_effective_samples = min_effective_samples
        self.max_bins = max_bins
        self.bin_weights = bin_weights
        self.terms = terms
        self.base_points = base_points
        self.strategy = strategy
        self.positive = positive
        self.cp_parity = cp_parity
        self.init = init
        self.l2 = l2
        self.min_gain = min_gain
        self.leaf = leaf
        self.ridge = ridge
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.subsample = subsample
        self.max_features = max_features
        self.sketch = sketch
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    # ------------------------------------------------------------------ training
    def fit(
        self,
        X: EventTable | EventStream | Sample | npt.ArrayLike,
        y: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        *,
        basis: PolynomialBasis | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 10,
        resume: str | os.PathLike[str] | None = None,
    ) -> BoostedInformationTree:
        """Train on events.

        Parameters
        ----------
        X : EventTable, EventStream, Sample, or array-like or DataFrame of shape (n_events, n_features)
            Events with their weights, those of `bit.stream_root`, those of a cluster (`bit.dask` makes them), or
            features alone.
        y : array-like of shape (n_events,) or (n_events, n_terms), optional
            With arrays: the ratios w_k / w_0. Several columns are independent linear terms, or the terms
            of `basis` but the nominal one.
        sample_weight : array-like of shape (n_events,), optional
            With arrays: w_0, not 0; default 1.
        basis : PolynomialBasis, optional
            With arrays: the polynomial whose terms the columns of `y` are.
        checkpoint : str or path-like, optional
            JSON file to which the training is written every `checkpoint_every` trees (of each term with
            ``strategy="separate"``), at its end, and on Ctrl-C. It is replaced once the new one is whole.
        checkpoint_every : int, default=10
            Trees that are lost at most if the process is killed.
        resume : str or path-like, optional
            Checkpoint of a training to be continued, with the same events and parameters; `n_estimators` may be larger.
            The forest is the same, bit for bit, as that of a training in one go (of more trees, too, unless
            "separate" terms are combined with random subsamples). No further checkpoints are written unless
            `checkpoint` names a file, which may be the same one.

        Returns
        -------
        BoostedInformationTree
            The fitted estimator itself.

        Raises
        ------
        InputError
            For parameters out of range, shapes that do not fit, values that are NaN or infinite, nominal
            weights whose sum is not positive, features that are all constant, fewer than
            2 min_samples_leaf events, or a checkpoint of another training: what, the rule and the remedy.
        FileFormatError
            If the checkpoint is damaged.

        Warns
        -----
        BitWarning
            If a feature is constant, or Ctrl-C ended the training (the trees grown until then are kept).
        """
        plan = self._plan()
        if isinstance(X, EventStream):
            X = X.table()
        sample, basis_in = _as_sample(X, y, sample_weight, basis)
        _require_positive_sum(sample)
        columns = self._columns(sample.basis)
        if self.positive:
            require_complete(basis_in, tuple(sample.basis.terms[k] for k in columns))
        rng = np.random.default_rng(self.random_state)
        train, validation = self._divide(sample, rng)
        if train.n_events < 2 * self.min_samples_leaf:
            raise InputError(
                f"n_samples={train.n_events} events to train on: two leaves of "
                f"min_samples_leaf={self.min_samples_leaf} events need {2 * self.min_samples_leaf}; use more events "
                "or smaller leaves."
            )
        if not isinstance(checkpoint_every, (int, np.integer)) or checkpoint_every < 1:
            raise InputError(f"checkpoint_every={checkpoint_every!r}: a positive number of trees is needed.")
        saved = Checkpoint(checkpoint, int(checkpoint_every), self._settings(sample, plan), resume)
        with Threads(n_threads_for(train.n_events, len(train.feature_names), self.leaf, self.n_jobs)) as threads:
            events = bin_events(train, validation, columns, plan, threads)
            results = self._boost(events, columns, plan, rng, threads, saved)
        names = [str(name) for name in sample.feature_names]
        self._y_is_1d = not isinstance(X, (EventTable, Sample)) and np.ndim(np.asarray(y)) == 1
        self.basis_ = basis_in
        self.output_terms_ = tuple(sample.basis.terms[k] for k in columns)
        self.n_features_in_ = len(names)
        if isinstance(X, (EventTable, Sample)) or hasattr(X, "columns"):
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.forest_ = self._forest(results, events, sample, columns)
        self._count_projected(sample)
        self.train_loss_ = _summed([result.train_loss for result in results])
        self.validation_loss_ = _summed([result.validation_loss for result in results])
        self.n_iter_ = self.forest_.n_trees
        self.interrupted_ = any(result.interrupted for result in results)
        constant = [name for name, n in zip(names, events.binner.n_edges, strict=True) if n == 0]
        if constant:
            warnings.warn(f"constant features {constant} tell nothing; leave them out.", BitWarning, stacklevel=2)
        return self

    def _boost(
        self,
        events: BinnedEvents,
        columns: npt.NDArray[np.int64],
        plan: BoostingPlan,
        rng: np.random.Generator,
        threads: Threads,
        saved: Checkpoint,
    ) -> list[BoostingResult]:
        """Train the terms together, or one after the other."""
        if self.strategy == "joint":
            return [boost(events, columns, plan, rng, threads, checkpoint=saved)]
        results: list[BoostingResult] = []
        checkpoint: Checkpoint | None = saved
        for group, k in enumerate(columns):
            label = "*".join(events.train.basis.terms[k])
            try:
                results.append(
                    boost(events, np.array([k]), plan, rng, threads, label=label, checkpoint=checkpoint, group=group)
                )
            except KeyboardInterrupt:
                if not results:
                    raise
                warnings.warn(
                    f"interrupted before the first tree of {label}; the terms before it are kept.",
                    BitWarning,
                    stacklevel=3,
                )
                plan = replace(plan, n_estimators=0)
                results.append(replace(boost(events, np.array([k]), plan, rng, threads), interrupted=True))
            if results[-1].interrupted:
                plan, checkpoint = replace(plan, n_estimators=0), None
        return results

    def _forest(
        self,
        results: list[BoostingResult],
        events: BinnedEvents,
        sample: Sample,
        columns: npt.NDArray[np.int64],
    ) -> Forest:
        config = {name: _jsonable(value) for name, value in self.get_params().items()}
        first = np.cumsum([0, *(len(result.base) for result in results)])
        groups = tuple(
            replace(result.group, outputs=result.group.outputs + offset)
            for result, offset in zip(results, first[:-1], strict=True)
        )
        cp = None
        if events.mirror is not None:
            sign = np.where(events.mirror.flipped, -1, 1).astype(np.float32)
            cp = ExactParity(sign, events.mirror.source, events.mirror.signs[columns])
        return Forest(
            groups=groups,
            base=np.concatenate([result.base for result in results]),
            output_terms=self.output_terms_,
            basis=self.basis_,
            cp=cp,
            feature_names=sample.feature_names,
            units=sample.units or (),
            config={
                "estimator": type(self).__name__,
                "parameters": config,
                "n_events": sample.n_events,
                "sigma_fb": float(sample.sums(np.zeros(1, dtype=np.int64))[0]),
                "target_is_1d": self._y_is_1d,
                "bit_version": bit.__version__,
            },
        )

    def _count_projected(self, sample: Sample) -> None:
        """Keep the share of projected training events, in the forest as well."""
        if self.positive:
            self.projected_fraction_ = self.projected_fraction(sample.table)
            config = {**self.forest_.config, "projected_fraction": self.projected_fraction_}
            self.forest_ = replace(self.forest_, config=config)
        elif hasattr(self, "projected_fraction_"):
            del self.projected_fraction_

    @classmethod
    def from_forest(cls, forest: Forest) -> BoostedInformationTree:
        """Return a fitted estimator around a forest, such as one read by ``bit.load``.

        Parameters
        ----------
        forest : Forest
            Trees; its ``config`` restores the parameters of the training.

        Returns
        -------
        BoostedInformationTree
            Predicts and observes as the one that was trained; the losses of the training are not kept.
        """
        parameters = dict(forest.config.get("parameters", {}))
        if parameters.get("cp_parity") is not None:
            parameters["cp_parity"] = CPParity(**parameters["cp_parity"])
        model = cls(**{name: value for name, value in parameters.items() if name in cls().get_params()})
        model.forest_ = forest
        model.basis_ = forest.basis
        model.output_terms_ = forest.output_terms
        model.n_features_in_ = forest.n_features
        model.feature_names_in_ = np.array(forest.feature_names, dtype=object)
        model.n_iter_ = forest.n_trees
        model.interrupted_ = False
        model._y_is_1d = bool(forest.config.get("target_is_1d", False))
        if "projected_fraction" in forest.config:
            model.projected_fraction_ = float(forest.config["projected_fraction"])
        return model

    def _plan(self) -> BoostingPlan:
        check_parameters(self)
        rate = auto_learning_rate(self.n_estimators) if self.learning_rate == "auto" else float(self.learning_rate)
        effective = self.min_samples_leaf if self.min_effective_samples is None else self.min_effective_samples
        return BoostingPlan(
            n_estimators=self.n_estimators,
            learning_rate=rate,
            rules=GrowthRules(
                max_depth=self.max_depth,
                max_leaf_nodes=self.max_leaf_nodes,
                min_samples_leaf=self.min_samples_leaf,
                min_effective_samples=float(effective),
                l2=float(self.l2),
                min_gain=float(self.min_gain),
            ),
            max_bins=self.max_bins,
            bin_weights=self.bin_weights,
            base_points=None if self.base_points is None else np.asarray(self.base_points, dtype=np.float64),
            positive=self.positive,
            parity=self.cp_parity,
            start_at_mean=self.init == "mean",
            patience=self.n_iter_no_change if self.early_stopping else None,
            subsample=float(self.subsample),
            max_features=float(self.max_features),
            leaf=self.leaf,
            ridge=None if self.ridge == "auto" else float(self.ridge),
            sketch=self.sketch,
            seed=0 if self.random_state is None else self.random_state,
            show_progress=self.verbose > 0,
        )

    def _settings(self, sample: Sample, plan: BoostingPlan) -> dict[str, Any]:
        """What a training that is continued must have in common with that of its checkpoint."""
        parameters = {name: _jsonable(value) for name, value in self.get_params().items() if name not in _FREE}
        return {
            **parameters,
            "learning_rate": plan.learning_rate,
            "n_events": sample.n_events,
            "features": list(sample.feature_names),
            "terms of the weights": [list(term) for term in sample.basis.terms],
        }

    def _columns(self, basis: PolynomialBasis) -> npt.NDArray[np.int64]:
        if self.terms is None:
            return np.arange(1, basis.n_terms)
        columns = sorted({basis.index(term) for term in self.terms} - {0})
        if not columns:
            raise InputError(f"terms={self.terms!r}: name at least one term besides the nominal one.")
        return np.array(columns, dtype=np.int64)

    def _divide(self, sample: Sample, rng: np.random.Generator) -> tuple[Sample, Sample | None]:
        if not self.early_stopping:
            return sample, None
        table = sample.table
        n_validation = round(self.validation_fraction * table.n_events)
        if not 1 <= n_validation < table.n_events:
            raise InputError(
                f"validation_fraction={self.validation_fraction} of {table.n_events} events leaves one part "
                "empty: use more events or early_stopping=False."
            )
        order = rng.permutation(table.n_events)
        train, validation = (
            TableSample(table.take(np.sort(rows))) for rows in (order[n_validation:], order[:n_validation])
        )
        for part in (train, validation):
            _require_positive_sum(part)
        return train, validation

    # ------------------------------------------------------------------ prediction
    def predict(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Learned R_k(x) = E[w_k | x] / E[w_0 | x].

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events; columns with names are taken by name. Cast to float32, NaN goes right.

        Returns
        -------
        ndarray of float64, shape (n_events, n_trained_terms)
            One column for each of `output_terms_`, in TeV^2 and TeV^4; of the shape of `y` for a model that
            was trained on arrays.

        Raises
        ------
        InputError
            If features are missing or too many.
        """
        check_is_fitted(self, "forest_")
        values = self.forest_.predict(self._features(X), n_threads_of(self.n_jobs))
        return values[:, 0] if self._y_is_1d else values

    def staged_predict(self, X: EventTable | npt.ArrayLike) -> Iterator[FloatArray]:
        """Predictions after each tree.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events.

        Yields
        ------
        ndarray of float64
            As `predict`, after 1, 2, ... trees.
        """
        check_is_fitted(self, "forest_")
        for values in self.forest_.staged_predict(self._features(X)):
            yield values[:, 0] if self._y_is_1d else values

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
            1 + sum_k phi_k(theta) R_k(x), of either sign; at least 0, exactly, with ``positive=True``.

        Raises
        ------
        InputError
            If the model has no polynomial (trained on arrays without `basis`).
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
            If the model has no polynomial, or R(x|theta) <= 0 for an event.
        """
        ratio, slope = self._ratio_and_slope(X, theta)
        bad = ratio <= 0
        if bad.any():
            raise InputError(
                f"the learned R(x|theta) is not positive for {int(bad.sum())} of {len(ratio)} events at "
                f"theta={self._polynomial().as_theta(theta).tolist()}; choose theta nearer to the reference point."
            )
        return slope / ratio[:, np.newaxis]

    def projected_fraction(self, X: EventTable | npt.ArrayLike) -> float:
        """Share of events whose learned polynomial is negative for some theta, so that ``positive=True`` projects it.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events, at least one.

        Returns
        -------
        float
            Number of projected events over number of events, the same with and without ``positive=True`` in prediction.

        Raises
        ------
        InputError
            If the model did not learn all terms up to order 2.
        """
        basis, scale = self._complete_polynomial()
        return float(np.mean(~is_positive(self._matrix(X), basis, scale)))

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
        check_is_fitted(self, "forest_")
        return ModelObservable(self, param, theta)

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the forest as ``bit-forest/1`` JSON, readable by ``bit.load``.

        Parameters
        ----------
        path : str or path-like
            The file.
        """
        check_is_fitted(self, "forest_")
        to_json(self.forest_, path)

    @property
    def feature_importances_(self) -> FloatArray:
        """Share of each feature in the information gained by all splits."""
        check_is_fitted(self, "forest_")
        return self.forest_.feature_importances()

    # ------------------------------------------------------------------ helpers
    def _matrix(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        values = self.predict(X)
        return values[:, np.newaxis] if values.ndim == 1 else values

    def _polynomial(self) -> PolynomialBasis:
        check_is_fitted(self, "forest_")
        if self.basis_ is None:
            raise InputError(
                "this model was trained on arrays without basis=, so theta has no meaning for it; "
                "train on an EventTable or give fit(..., basis=)."
            )
        return self.basis_

    def _complete_polynomial(self) -> tuple[PolynomialBasis, FloatArray]:
        """Basis and scales of the coefficients, of a model that learned all terms up to order 2."""
        basis = self._polynomial()
        require_complete(basis, self.output_terms_)
        return basis, natural_scale(self.forest_.base, basis)

    def _ratio_and_slope(self, X: EventTable | npt.ArrayLike, theta: ThetaLike) -> tuple[FloatArray, FloatArray]:
        """R(x|theta) and its derivatives by theta_a, of the projected polynomials if `positive`."""
        if self.positive:
            basis, scale = self._complete_polynomial()
            return ratio_and_slope(self._matrix(X), basis, theta, scale)
        basis = self._polynomial()
        if basis.as_theta(theta).ndim != 1:
            raise InputError(f"theta={np.asarray(theta).tolist()}: one point is needed; loop over several.")
        values = self._matrix(X)
        columns = [basis.index(term) for term in self.output_terms_]
        return 1.0 + values @ basis.monomials(theta)[columns], values @ basis.gradient(theta)[:, columns].T

    def _features(self, X: EventTable | npt.ArrayLike) -> npt.NDArray[np.floating]:
        if isinstance(X, EventTable) or hasattr(X, "columns"):
            given = list(X.feature_names) if isinstance(X, EventTable) else [str(name) for name in X.columns]
            features = X.features if isinstance(X, EventTable) else _as_features(X)
            known = getattr(self, "feature_names_in_", None)
            if known is None or list(known) == given:
                return self._of_width(features)
            for name in known:
                if name not in given:
                    raise InputError(f"feature {name!r} of the training is missing: {near_match(str(name), given)}")
            return features[:, [given.index(name) for name in known]]
        return self._of_width(_as_features(X))

    def _of_width(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        if features.shape[1] != self.n_features_in_:
            raise InputError(
                f"X has {features.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        return features

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.allow_nan = True
        return tags


BIT = BoostedInformationTree


def _as_sample(
    X: EventTable | Sample | npt.ArrayLike,
    y: npt.ArrayLike | None,
    sample_weight: npt.ArrayLike | None,
    basis: PolynomialBasis | None,
) -> tuple[Sample, PolynomialBasis | None]:
    """Return the events, and the basis that the user gave."""
    if isinstance(X, Sample):
        return X, X.basis
    table, basis_in = _as_table(X, y, sample_weight, basis)
    return TableSample(table), basis_in


def _as_table(
    X: EventTable | npt.ArrayLike,
    y: npt.ArrayLike | None,
    sample_weight: npt.ArrayLike | None,
    basis: PolynomialBasis | None,
) -> tuple[EventTable, PolynomialBasis | None]:
    """Return the events as a table, and the basis that the user gave."""
    if isinstance(X, EventTable):
        for name, value in (("y", y), ("sample_weight", sample_weight), ("basis", basis)):
            if value is not None:
                raise InputError(
                    f"{name}= does not go with an EventTable, which holds the weights itself; leave it out."
                )
        return X, X.basis
    if y is None:
        raise InputError(
            "BoostedInformationTree requires y to be passed, but the target y is None: give an EventTable, or arrays X "
            "and y = w_k / w_0."
        )
    features = _as_features(X)
    ratios = _as_numbers(y, "y", ensure_2d=False).astype(np.float64, copy=False)
    if ratios.ndim not in (1, 2) or len(ratios) != len(features):
        raise InputError(f"y has shape {ratios.shape}, expected ({len(features)},) or ({len(features)}, n_terms).")
    nominal = np.ones(len(features))
    if sample_weight is not None:
        nominal = _as_numbers(sample_weight, "sample_weight", ensure_2d=False).astype(np.float64, copy=False)
    if nominal.shape != (len(features),):
        raise InputError(f"sample_weight has shape {nominal.shape}, expected ({len(features)},).")
    if not np.isfinite(ratios).all():
        raise InputError("y holds NaN or infinite ratios: remove these events, or train on an EventTable of weights.")
    if (nominal == 0).any():
        raise InputError(
            f"{int((nominal == 0).sum())} events have sample_weight w_0 = 0, and y = w_k / w_0 does not exist for "
            "zero weights; train on an EventTable of weights."
        )
    matrix = ratios[:, np.newaxis] if ratios.ndim == 1 else ratios
    n_terms = matrix.shape[1]
    if basis is not None and basis.n_terms != n_terms + 1:
        raise InputError(f"y has {n_terms} columns, but basis has {basis.n_terms - 1} terms besides the nominal one.")
    names = list(X.columns) if hasattr(X, "columns") else [f"x{i}" for i in range(features.shape[1])]
    table = EventTable(
        features,
        np.column_stack([nominal, matrix * nominal[:, np.newaxis]]),
        basis or PolynomialBasis([f"y{i}" for i in range(n_terms)], order=1),
        feature_names=tuple(str(name) for name in names),
    )
    return table, basis


class _InputTypeError(InputError, TypeError):
    """What is no array of numbers at all, such as a sparse matrix: scikit-learn expects a TypeError for it."""


def _as_numbers(values: Any, name: str, *, ensure_2d: bool) -> npt.NDArray[Any]:
    """Dense array of real numbers, NaN and infinities among them, by the rules and messages of scikit-learn."""
    try:
        array: npt.NDArray[Any] = check_array(
            values, ensure_all_finite=False, ensure_2d=ensure_2d, ensure_min_samples=0, input_name=name
        )
    except TypeError as error:
        raise _InputTypeError(f"{name}: {error}") from None
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None
    return array


def _as_features(X: Any) -> npt.NDArray[np.floating]:
    if isinstance(X, EventStream):
        raise InputError(f"X is {X!r}: this needs its table; give stream.table().")
    return as_features(_as_numbers(X, "X", ensure_2d=True))


def _require_positive_sum(sample: Sample) -> None:
    total, size = float(sample.sums(np.zeros(1, dtype=np.int64))[0]), sample.size()
    if size == 0:
        raise InputError(
            "all nominal weights w_0 are 0: ratios need events of the reference hypothesis; "
            "concat a table of SM events."
        )
    if total <= _CANCELLED * size:
        raise InputError(
            f"the nominal weights sum to {total:.4g}: a positive cross-section is needed "
            f"(their sizes sum to {size:.4g})."
        )


def check_parameters(model: BoostedInformationTree) -> None:
    """Check every parameter once, by its rule, as training does at its beginning.

    Parameters
    ----------
    model : BoostedInformationTree
        Before its training.

    Raises
    ------
    InputError
        For the first one that breaks its rule: name, value and rule.
    """

    def demand(name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise InputError(f"{name}={getattr(model, name)!r}: {rule}.")

    def is_int(value: Any, low: int) -> bool:
        return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= low)

    def is_float(value: Any) -> bool:
        return isinstance(value, (int, float, np.integer, np.floating)) and math.isfinite(float(value))

    for name in ("n_estimators", "min_samples_leaf", "n_iter_no_change"):
        demand(name, is_int(getattr(model, name), 1), "a positive integer is needed")
    rate = model.learning_rate
    demand("learning_rate", rate == "auto" or (is_float(rate) and 0 < float(rate) <= 1), "a number in (0, 1] or 'auto'")
    demand("max_depth", model.max_depth is None or is_int(model.max_depth, 1), "a positive integer or None")
    leaves = model.max_leaf_nodes
    demand("max_leaf_nodes", leaves is None or is_int(leaves, 2), "an integer of at least 2, or None")
    demand(
        "max_depth", model.max_depth is not None or leaves is not None, "None needs max_leaf_nodes, or trees never end"
    )
    effective = model.min_effective_samples
    demand(
        "min_effective_samples", effective is None or (is_float(effective) and effective >= 0), "at least 0, or None"
    )
    demand("max_bins", is_int(model.max_bins, 2) and model.max_bins <= MAX_BINS, f"an integer from 2 to {MAX_BINS}")
    demand("bin_weights", model.bin_weights in BIN_WEIGHTS, f"one of {', '.join(BIN_WEIGHTS)}")
    demand("positive", isinstance(model.positive, (bool, np.bool_)), "True or False")
    demand("init", model.init in ("mean", None), "'mean' or None")
    demand("leaf", model.leaf in ("constant", "linear"), '"constant" or "linear"')
    ridge_fits = model.ridge == "auto" or (is_float(model.ridge) and float(model.ridge) >= 0)
    demand("ridge", ridge_fits, "a number from 0 on, or 'auto'")
    for name in ("l2", "min_gain"):
        value = getattr(model, name)
        demand(name, is_float(value) and value >= 0, "a number of at least 0")
    fraction = model.validation_fraction
    demand("validation_fraction", is_float(fraction) and 0 < fraction < 1, "a number in (0, 1)")
    for name in ("subsample", "max_features"):
        value = getattr(model, name)
        demand(name, is_float(value) and 0 < value <= 1, "a number in (0, 1]")
    demand("sketch", model.sketch is None or is_int(model.sketch, 1), "a positive integer or None")
    demand("strategy", model.strategy in ("joint", "separate"), "'joint' or 'separate'")
    parity = model.cp_parity
    demand("cp_parity", parity is None or isinstance(parity, CPParity), "a CPParity or None")
    if model.strategy == "separate":
        demand("positive", not model.positive, "leaves with all terms of the polynomial need strategy='joint'")
        demand(
            "base_points", model.base_points is None, "terms with trees of their own have no common metric; leave out"
        )


def _summed(losses: list[FloatArray]) -> FloatArray:
    """Sum of losses by number of trees; a training that ended early keeps its last loss."""
    longest = max(len(loss) for loss in losses)
    total = np.zeros(longest)
    for loss in losses:
        total += np.pad(loss, (0, longest - len(loss)), mode="edge") if len(loss) else 0.0
    return total


def _jsonable(value: Any) -> Any:
    if isinstance(value, CPParity):
        return {
            "flip": list(value.flip),
            "swap": [list(pair) for pair in value.swap],
            "odd_params": list(value.odd_params),
        }
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    return value
