r"""O_NN = P_+ - P_-: a classifier of positive and negative interference as an observable (arXiv:2112.05052).

The interference w_a/w_0 of an event is positive or negative. A classifier that tells the two kinds apart, each event
with the weight |w_a|, gives an observable whose sign follows the interference; a third class, the SM, tells how large
the interference is compared with it. With E[. | x] the averages over events at the same x, and equal total weights of
the SM and of the average of both kinds, the ideal outputs are

    binary        O = E[w_a | x] / E[|w_a| | x],
    multi-class   O = E[w_a | x] / (E[|w_a| | x] + k E[w_0 | x]),      k = sum |w_a| / (2 sum w_0).

If x determines the event, the first is the sign of the score t = w_a/w_0 and the second is t/(|t| + k), a monotone
function of it: the observable is then as good as the score, while the binary one forgets the size of the effect.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from bit.artefacts import require_schema, seal, write_document
from bit.baselines._common import (
    feature_matrix,
    parity_document,
    parity_of,
    require_table,
)
from bit.baselines._xgboost import Classifier, Examples, check_options, cross_entropy, train
from bit.basis import FloatArray, ThetaLike
from bit.errors import FileFormatError, InputError, near_match
from bit.events import EventTable
from bit.observables import FunctionObservable
from bit.parity import CPParity
from bit.threads import n_threads_of

FORMAT = "bit-onn/1"
KINDS = {"binary": ("negative", "positive"), "multiclass": ("negative", "positive", "sm")}
SYMMETRIES = ("exact", "augment")
_NEGATIVE, _POSITIVE, _SM = 0, 1, 2
_DEFAULTS = {"min_child_weight": 10.0}
_GRID = tuple({"max_depth": depth, "min_child_weight": weight} for depth in (2, 4, 6) for weight in (1.0, 10.0, 100.0))
"""What ``tune=True`` tries."""
_GRID_OF_ONE: tuple[dict[str, Any], ...] = ({},)


@dataclass(frozen=True)
class Trial:
    """One training of the search.

    Attributes
    ----------
    max_depth : int
        Levels of splits.
    min_child_weight : float
        Smallest sum of second derivatives in a leaf.
    n_trees : int
        Rounds until the smallest loss.
    validation_loss : float
        That loss.
    """

    max_depth: int
    min_child_weight: float
    n_trees: int
    validation_loss: float


class ONN:
    """Classifier of positive and negative interference by gradient-boosted trees (XGBoost).

    Parameters
    ----------
    kind : {"binary", "multiclass"}, default="binary"
        Two classes, or three: with the SM.
    cp_parity : CPParity, optional
        Action of CP on the features. Every event of the training is accompanied by its CP image, with -w_a for a CP-odd
        coefficient and +w_a for a CP-even one.
    param : str, optional
        Coefficient whose interference is learned; needed if the events have interference of several.
    symmetry : {"exact", "augment"}, default="exact"
        With `cp_parity`: "exact" also makes the output itself odd, O(x) = (O(x) - O(Cx))/2 (or even), up to the last
        bit; "augment" leaves it as learned from the events and their images.
    n_estimators : int, default=500
        Rounds of boosting, at most; of one tree each, or one for each class.
    learning_rate : float, default=0.1
        Shrinkage of every tree, within (0, 1].
    max_depth : int, default=4
        Levels of splits.
    early_stopping : bool, default=True
        Keep a part of the events for validation, and the trees up to the smallest loss on it. An event and its image
        are always on the same side.
    validation_fraction : float, default=0.2
        That part, within (0, 1).
    n_iter_no_change : int, default=20
        Rounds without a smaller loss after which training ends.
    tune : bool, default=False
        Try nine pairs of `max_depth` and ``min_child_weight`` instead of those given and keep the one with the smallest
        loss of the validation events; needs `early_stopping`.
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
    param_ : str or None
        Coefficient that was learned; None after `fit_classes`.
    param_names_ : tuple of str
        All coefficients of the training's basis.
    classes_ : tuple of str
        Classes in the order of `predict_proba`.
    feature_names_in_ : tuple of str
        Features.
    n_trees_ : int
        Rounds of boosting that were kept.
    validation_loss_ : ndarray of float64, shape (n_rounds,)
        Cross-entropy of the validation events after each round.
    trials_ : tuple of Trial
        What ``tune=True`` tried, in order of the loss.

    Raises
    ------
    InputError
        For values outside their rules, at once.

    See Also
    --------
    bit.BoostedInformationTree : Regresses the score itself.

    Notes
    -----
    Ours differs from the paper: trees in place of networks, and no scaling of the features. An event with w_0 < 0
    belongs to the class of the sign of w_a/w_0 with the weight -|w_a|, and to the SM with w_0, so that such events are
    subtracted from others at the same x instead of blurring both classes.

    If x determines the score, as in simulated h -> 2e2mu without smearing, the ideal output of the binary kind is the
    sign of the score, which forgets the size of the effect. A trained one is smoother, and its loss does not tell how
    good an observable it is: for cHBtil in the set-up of the paper, limits are 1.0 to 1.4 for 10 to 300 trees, while
    the loss falls by a factor of 70; the sign gives 1.57, the multi-class kind and the score 0.72
    (``benchmarks/onn.py``).

    Examples
    --------
    >>> import bit
    >>> from bit.processes.analytic import GaussianMean
    >>> table = GaussianMean(smearing=0.5).sample(2000, seed=1)
    >>> parity = bit.CPParity(flip=("x",), odd_params=("theta",))
    >>> model = bit.baselines.ONN(cp_parity=parity, n_estimators=20, random_state=1).fit(table)
    >>> values = model.predict(table)
    """

    def __init__(
        self,
        kind: Literal["binary", "multiclass"] = "binary",
        cp_parity: CPParity | None = None,
        *,
        param: str | None = None,
        symmetry: Literal["exact", "augment"] = "exact",
        n_estimators: int = 500,
        learning_rate: float = 0.1,
        max_depth: int = 4,
        early_stopping: bool = True,
        validation_fraction: float = 0.2,
        n_iter_no_change: int = 20,
        tune: bool = False,
        random_state: int | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        **xgboost: Any,
    ) -> None:
        self.kind = kind
        self.cp_parity = cp_parity
        self.param = param
        self.symmetry = symmetry
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tune = tune
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.xgboost = xgboost
        self._check()

    def __repr__(self) -> str:
        """Return the call that makes an equal, untrained model."""
        return f"ONN({', '.join(f'{name}={value!r}' for name, value in (self._config() | self.xgboost).items())})"

    # ------------------------------------------------------------------ training
    def fit(self, table: EventTable, interference: EventTable | None = None) -> ONN:
        """Train on interference weights.

        Parameters
        ----------
        table : EventTable
            Events with w_a, and for the SM class with w_0; or the SM sample, if there is another of the interference.
        interference : EventTable, optional
            Sample of the interference, such as generators give it (w_0 = 0); only w_a is used of it, and only w_0 of
            `table`, which the binary kind does not need.

        Returns
        -------
        ONN
            The model itself.

        Raises
        ------
        InputError
            For events without interference, or without one of its signs, or without a SM.
        MissingPackageError
            If xgboost is not installed.
        """
        require_table(table, "table")
        source = table if interference is None else require_table(interference, "interference")
        param = self._param_of(source)
        weights, names = self._classes_of(source, param), source.feature_names
        features = feature_matrix(source, names)
        if self.kind == "multiclass" and interference is not None:
            weights[:, _SM] = 0.0
            standard = np.zeros((table.n_events, 3))
            standard[:, _SM] = table.weights[:, 0]
            features = np.concatenate([feature_matrix(table, names), features])
            weights = np.concatenate([standard, weights])
        examples = Examples(features, weights)
        odd = self.cp_parity is not None and self.cp_parity.term_sign([(param,)])[0] < 0
        return self._train(examples, source, param, bool(odd))

    def fit_classes(self, positive: EventTable, negative: EventTable, sm: EventTable | None = None) -> ONN:
        """Train on samples instead of the signs of interference, such as CP-odd against CP-even couplings.

        Parameters
        ----------
        positive, negative : EventTable
            Events of the two classes, with their nominal weights w_0, whose sums are made equal.
        sm : EventTable, optional
            Third class, of the multi-class kind.

        Returns
        -------
        ONN
            The model itself. An event and its CP image, if there is a `cp_parity`, are of the same class, since rates
            are even.

        Raises
        ------
        InputError
            If the number of samples does not fit the kind, or a sample has no positive sum of weights.
        MissingPackageError
            If xgboost is not installed.
        """
        samples = {"negative": negative, "positive": positive, "sm": sm}
        if (sm is None) == (self.kind == "multiclass"):
            raise InputError(
                f"kind={self.kind!r} has the classes {list(self.classes_)}: give a sample for each of them."
            )
        names = require_table(positive, "positive").feature_names
        features, weights = [], []
        for column, name in enumerate(self.classes_):
            sample = require_table(samples[name], name)
            if not sample.sigma_fb > 0.0:
                raise InputError(
                    f"the sum of the nominal weights of {name} is {sample.sigma_fb:.4g}: it must be positive."
                )
            block = np.zeros((sample.n_events, len(self.classes_)))
            block[:, column] = sample.weights[:, 0] / sample.sigma_fb
            features.append(feature_matrix(sample, names))
            weights.append(block)
        return self._train(Examples(np.concatenate(features), np.concatenate(weights)), positive, None, False)

    def _param_of(self, table: EventTable) -> str:
        """Coefficient to learn, which has interference."""
        basis = table.basis
        linear = [term[0] for term in basis.terms if len(term) == 1]
        active = [name for name in linear if table.weights[:, basis.index((name,))].any()]
        if self.param is not None and self.param not in linear:
            raise InputError(f"no linear term {self.param!r} in the table: {near_match(self.param, linear)}")
        if not active or self.param not in (None, *active):
            raise InputError(
                f"no interference: w_a = 0 for all events of {self.param or linear}; P_+ - P_- needs events with "
                "linear weights, so simulate the interference with the SM."
            )
        if self.param is None and len(active) > 1:
            raise InputError(f"the events have interference of {active}: choose one with param=.")
        return self.param or active[0]

    def _train(self, examples: Examples, table: EventTable, param: str | None, odd: bool) -> ONN:
        names = table.feature_names
        if self.cp_parity is not None:
            self.cp_parity.feature_sign(names)  # refuses unknown features before any work
        rng = np.random.default_rng(self.random_state)
        parts = examples.split(self.validation_fraction, rng) if self.early_stopping else (examples, None)
        seed = int(rng.integers(2**31))
        used = (_with_images(part, names, self.cp_parity, odd) if part else None for part in parts)
        training, validation = (_balanced(part) if part else None for part in used)
        assert training is not None  # the first part always exists
        given = {"max_depth": self.max_depth, **_DEFAULTS, **self.xgboost}
        results = []
        for trial in _GRID if self.tune else _GRID_OF_ONE:
            classifier, losses = train(
                training,
                validation,
                n_estimators=self.n_estimators,
                n_iter_no_change=self.n_iter_no_change,
                parameters=given | trial | {"learning_rate": self.learning_rate},
                seed=seed,
                n_threads=n_threads_of(self.n_jobs),
                description="O_NN",
                show_progress=bool(self.verbose),
            )
            results.append((trial, classifier, losses))
        if self.tune:
            results.sort(key=lambda result: float(result[2].min()))
        self.trials_ = tuple(
            Trial(**trial, n_trees=int(losses.argmin()) + 1, validation_loss=float(losses.min()))
            for trial, _, losses in results
            if trial
        )
        _, self._classifier, self.validation_loss_ = results[0]
        self.param_, self.param_names_ = param, table.basis.param_names
        self.feature_names_in_, self._odd = names, odd
        self._units, self._reference = table.units or ("",) * len(names), table.basis.reference
        return self

    # ------------------------------------------------------------------ prediction
    @property
    def classes_(self) -> tuple[str, ...]:
        """Classes in the order of `predict_proba`."""
        return KINDS[self.kind]

    @property
    def n_trees_(self) -> int:
        """Rounds of boosting that were kept."""
        return int(self._fitted().booster.num_boosted_rounds())

    def predict_proba(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events; columns with names are taken by name. Cast to float32.

        Returns
        -------
        ndarray of float64, shape (n_events, n_classes)
            In the order of `classes_`, with sum 1.
        """
        classifier = self._fitted()
        features, threads = feature_matrix(X, self.feature_names_in_), n_threads_of(self.n_jobs)
        chances = classifier.probabilities(features, threads)
        if self.cp_parity is None or self.symmetry != "exact":
            return chances
        images = classifier.probabilities(self.cp_parity.mirror(features, self.feature_names_in_), threads)
        return 0.5 * (chances + (_swapped(images) if self._odd else images))

    def predict(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Return the observable P_+ - P_-.

        Parameters
        ----------
        X : EventTable, or array-like or DataFrame of shape (n_events, n_features)
            Events; columns with names are taken by name. Cast to float32.

        Returns
        -------
        ndarray of float64, shape (n_events,)
            Between -1 and 1.
        """
        chances = self.predict_proba(X)
        difference: FloatArray = chances[:, _POSITIVE] - chances[:, _NEGATIVE]
        return difference

    def observable(self, param: str | None = None, theta: ThetaLike | None = None) -> FunctionObservable:
        """Return P_+ - P_- as an observable.

        Parameters
        ----------
        param : str, optional
            Coefficient that is to be measured; default the one of the training. It is the same function for all.
        theta : None
            P_+ - P_- belongs to no point: leave it out.

        Returns
        -------
        FunctionObservable
            A function of event tables, odd if it was trained with `cp_parity` for a CP-odd coefficient.

        Raises
        ------
        InputError
            For an unknown coefficient, or a `theta`.
        """
        self._fitted()
        if theta is not None:
            raise InputError(f"theta={theta!r}: P_+ - P_- does not depend on a point; leave it out.")
        if param is not None and param not in self.param_names_:
            raise InputError(f"no coefficient {param!r} in the training: {near_match(param, self.param_names_)}")
        trained = self.param_ or "samples"
        return FunctionObservable(f"ONN:{trained}", self.predict, f"$P_+ - P_-$ ({self.kind}, {trained})", self._odd)

    def permutation_importance(self, table: EventTable, *, n_repeats: int = 5, seed: int = 0) -> pd.DataFrame:
        """How much worse the classification becomes when the values of a feature are shuffled over the events.

        Parameters
        ----------
        table : EventTable
            Events with the coefficient of the training, not used in it; both terms are needed for the multi-class kind.
        n_repeats : int, default=5
            Shuffles for each feature, at least 2.
        seed : int, default=0
            Seed of the shuffles.

        Returns
        -------
        pandas.DataFrame
            Columns "feature", "importance" (mean increase of the cross-entropy per unit of weight) and "error" (of that
            mean), largest first. Features that repeat one another share their importance.

        Raises
        ------
        InputError
            If the model was trained on samples, or the table lacks the coefficient.
        """
        if not isinstance(n_repeats, int) or n_repeats < 2:
            raise InputError(f"n_repeats={n_repeats!r}: at least 2 are needed for an error.")
        features, weights = self._examples_of(table)
        before = self._loss(features, weights)
        rng, rows = np.random.default_rng(seed), []
        for column, name in enumerate(self.feature_names_in_):
            shuffled = features.copy()
            increases = []
            for _ in range(n_repeats):
                shuffled[:, column] = rng.permutation(features[:, column])
                increases.append(self._loss(shuffled, weights) - before)
            rows.append((name, np.mean(increases), np.std(increases, ddof=1) / np.sqrt(n_repeats)))
        frame = pd.DataFrame(rows, columns=["feature", "importance", "error"])
        return frame.sort_values("importance", ascending=False, ignore_index=True)

    def loss(self, table: EventTable) -> float:
        """Cross-entropy of the classes per unit of weight.

        Parameters
        ----------
        table : EventTable
            Events with the coefficient of the training, not used in it.

        Returns
        -------
        float
            log 2, or log 3, for a model that has learned nothing.

        Raises
        ------
        InputError
            If the model was trained on samples, or the table lacks the coefficient.
        """
        return self._loss(*self._examples_of(table))

    def _examples_of(self, table: EventTable) -> tuple[npt.NDArray[np.float32], FloatArray]:
        """Features, and weights in the classes, of events that have a weight in one."""
        self._fitted()
        if self.param_ is None:
            raise InputError("the model was trained by fit_classes: its classes are not in the weights of a table.")
        examples = _balanced(
            Examples(feature_matrix(table, self.feature_names_in_), self._classes_of(table, self.param_))
        )
        return examples.features, examples.weights

    def _classes_of(self, table: EventTable, param: str) -> FloatArray:
        """Weights of every event in the classes."""
        w_0, w_a = table.weights[:, 0], table.weights[:, table.basis.index((param,))]
        # An event of negative w_0 is subtracted from the class of its score, as it would be in a histogram.
        sign = np.where(w_0 < 0.0, -1.0, 1.0)
        size = sign * np.abs(w_a)
        is_positive = sign * w_a > 0.0
        columns = [np.where(is_positive, 0.0, size), np.where(is_positive, size, 0.0), w_0]
        return np.stack(columns[: len(self.classes_)], axis=-1)

    def _loss(self, features: npt.NDArray[np.float32], weights: FloatArray) -> float:
        chances = self.predict_proba(features)
        # Logarithms of probabilities are margins of the same softmax.
        tiny = np.finfo(np.float64).tiny
        margins = np.log(np.maximum(chances, tiny))
        return cross_entropy(margins[:, 1] - margins[:, 0] if chances.shape[1] == 2 else margins, weights)

    # ------------------------------------------------------------------ files
    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the model as one ``bit-onn/1`` JSON file, which ``bit.load`` reads.

        Parameters
        ----------
        path : str or path-like
            The file; an older one is replaced only by a complete one.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        classifier = self._fitted()
        fields = {
            "param": self.param_,
            "param_names": self.param_names_,
            "classes": self.classes_,
            "reference": self._reference,
            "features": self.feature_names_in_,
            "units": self._units,
            "odd": self._odd,
            "cp": parity_document(self.cp_parity),
            "config": self._config(),
            "xgboost": self.xgboost,
            "trials": [vars(trial) for trial in self.trials_],
            "validation_loss": self.validation_loss_.tolist(),
            "model": classifier.as_document(),
        }
        write_document(seal("onn", FORMAT, fields), path)

    @classmethod
    def from_document(cls, document: dict[str, Any], source: str) -> ONN:
        """Return the trained model that a ``bit-onn/1`` document describes.

        Parameters
        ----------
        document : dict
            Parsed JSON.
        source : str
            Name of the file, for messages.

        Returns
        -------
        ONN
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
            model = cls(cp_parity=parity_of(document["cp"]), **document["config"], **document["xgboost"])
            names = tuple(document["features"])
            model._classifier = Classifier.from_document(document["model"], len(model.classes_), len(names), "O_NN")
            model.validation_loss_ = np.array(document["validation_loss"], dtype=np.float64)
            model.trials_ = tuple(Trial(**trial) for trial in document["trials"])
            model.param_, model.param_names_ = document["param"], tuple(document["param_names"])
            model.feature_names_in_, model._odd = names, bool(document["odd"])
            model._units, model._reference = tuple(document["units"]), tuple(document["reference"])
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"{source}: not a valid {FORMAT} file ({type(error).__name__}: {error}).") from None
        return model

    # ------------------------------------------------------------------ helpers
    def _fitted(self) -> Classifier:
        if not hasattr(self, "_classifier"):
            raise InputError("this ONN is not trained yet; call fit first.")
        return self._classifier

    def _config(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name in _ARGUMENTS}

    def _check(self) -> None:
        def demand(name: str, holds: bool, rule: str) -> None:
            if not holds:
                raise InputError(f"{name}={getattr(self, name)!r}: {rule}.")

        for name, known in (("kind", tuple(KINDS)), ("symmetry", SYMMETRIES)):
            value = getattr(self, name)
            demand(name, value in known, near_match(str(value), known))
        demand("cp_parity", self.cp_parity is None or isinstance(self.cp_parity, CPParity), "a CPParity is needed")
        for name in ("n_estimators", "max_depth", "n_iter_no_change"):
            value = getattr(self, name)
            demand(name, isinstance(value, int) and value >= 1, "a whole number of at least 1 is needed")
        demand("learning_rate", 0.0 < self.learning_rate <= 1.0, "it must lie in (0, 1]")
        demand("validation_fraction", 0.0 < self.validation_fraction < 1.0, "it must lie between 0 and 1")
        demand("tune", not self.tune or self.early_stopping, "the search needs early_stopping=True")
        seed = self.random_state
        demand(
            "random_state", seed is None or (isinstance(seed, int) and seed >= 0), "None or a whole number is needed"
        )
        check_options(self.xgboost, (*_ARGUMENTS, "cp_parity"))


_ARGUMENTS = (
    "kind",
    "param",
    "symmetry",
    "n_estimators",
    "learning_rate",
    "max_depth",
    "early_stopping",
    "validation_fraction",
    "n_iter_no_change",
    "tune",
    "random_state",
    "n_jobs",
    "verbose",
)


def _with_images(examples: Examples, names: tuple[str, ...], parity: CPParity | None, odd: bool) -> Examples:
    """Return events and, behind them, their CP images, which change the sign of an odd interference."""
    if parity is None:
        return examples
    images = _swapped(examples.weights) if odd else examples.weights
    return Examples(
        np.concatenate([examples.features, parity.mirror(examples.features, names)]),
        np.concatenate([examples.weights, images]),
    )


def _swapped(columns: FloatArray) -> FloatArray:
    """Return the columns of the two signs in the place of each other."""
    order = np.arange(columns.shape[1])
    order[[_NEGATIVE, _POSITIVE]] = _POSITIVE, _NEGATIVE
    return columns[:, order]


def _balanced(examples: Examples) -> Examples:
    """Events with a weight, the SM class scaled to the mean of the two others."""
    weights = examples.weights
    totals = weights.sum(axis=0)
    for name, total in zip(KINDS["multiclass"], totals, strict=False):
        if not total > 0.0:
            what = "nominal weights w_0" if name == "sm" else f"{name} weights w_a"
            raise InputError(
                f"the {what} have the sum {abs(total):g} in the training or its validation part: each class needs "
                "events; use a sample of both signs (or cp_parity), and the SM sample for the multi-class kind."
            )
    scale = np.ones_like(totals)
    scale[_SM:] = 0.5 * totals[:_SM].sum() / totals[_SM:]
    kept = weights.any(axis=1)
    return Examples(examples.features[kept], weights[kept] * scale)
