"""What a trained model looks at: information gain, permutation importance, partial dependence, staged losses.

Everything but `information_gain` needs no more than predictions, so it works for any fitted model with
``predict`` and ``output_terms_`` and, where noted, for any observable. Events keep their weights throughout, and no
nominal weight is divided by, except in `staged_rho2`, whose truth is the joint ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from bit.basis import FloatArray, Term
from bit.errors import InputError, near_match
from bit.events import EventTable
from bit.metrics import loss, rho2
from bit.progress import progress_bar
from bit.trees.forest import Forest, TreeGroup

_IntArray = npt.NDArray[np.int64]
# A variance below this fraction of the mean square is rounding: the prediction is constant.
_CONSTANT = 1e-24
# The grid of a partial dependence leaves out this share of the events on either side.
_TAIL = 0.005
_BAND = (0.16, 0.84)


class Predictor(Protocol):
    """A fitted model: the terms that it learned, and a prediction of each for every event."""

    output_terms_: tuple[Term, ...]

    def predict(self, X: Any) -> FloatArray:
        """Predict R_k(x), shape (n_events, n_terms)."""


Inspected = Predictor | Callable[[EventTable], Any]


@dataclass(frozen=True, eq=False)
class PermutationImportance:
    """Share of the captured information that is lost without a feature.

    Attributes
    ----------
    mean : pandas.DataFrame, shape (n_features, n_terms)
        Mean over the repeats.
    std : pandas.DataFrame, shape (n_features, n_terms)
        Standard deviation over the repeats, which is that of the shuffling only; the statistical error of the
        events is not in it.
    """

    mean: pd.DataFrame
    std: pd.DataFrame


@dataclass(frozen=True, eq=False)
class PartialDependence:
    """Mean prediction as a function of one feature.

    Attributes
    ----------
    feature, unit : str
        The feature and its unit.
    names : tuple of str
        The predicted functions: terms of a model, such as ``"cHW*cHWtil"``, or the name of an observable.
    grid : ndarray of float64, shape (n_points,)
        Values of the feature.
    mean : ndarray of float64, shape (n_points, n_terms)
        w_0-weighted mean of the prediction, in TeV^2 and TeV^4.
    lower, upper : ndarray of float64, shape (n_points, n_terms)
        Quantiles 16 % and 84 % of the predictions of single events, weighted by ``|w_0|``.
    deciles : ndarray of float64, shape (9,)
        Of the feature, weighted by ``|w_0|``.
    """

    feature: str
    unit: str
    names: tuple[str, ...]
    grid: FloatArray
    mean: FloatArray
    lower: FloatArray
    upper: FloatArray
    deciles: FloatArray


# ---------------------------------------------------------------------- trees
def information_gain(model: Any) -> pd.DataFrame:
    """Share of each feature in the information that the splits gained, term by term.

    With S the sum of w_0 in a node and v_k its value, which for an inner node is the S-weighted mean of the
    leaf values below, a split of P into L and R gains for the term k

        S_L v_Lk^2 + S_R v_Rk^2 - S_P v_Pk^2 = (S_L S_R / S_P) (v_Lk - v_Rk)^2 >= 0,

    which is added up over all trees for the feature of the split, and divided by the sum over the features.

    Parameters
    ----------
    model : fitted BoostedInformationTree, or Forest
        The trees.

    Returns
    -------
    pandas.DataFrame, shape (n_features, n_terms)
        Rows are features, columns terms such as ``"cHW"`` and ``"cHW*cHWtil"``. A column sums to 1, or is 0 if no
        split tells anything about its term.

    Notes
    -----
    For ``l2=0`` a leaf value is the learning rate times sum u_k / S of the residual weights u_k, so this is the
    Fisher information of arXiv:2107.10859, Eq. 15, up to that constant; otherwise the leaves are smaller than
    that. ``feature_importances_`` adds up all terms in the metric of the training instead. With ``subsample``
    below 1 and signed weights a node can have S <= 0 on all events; such a split counts as 0. A model with
    ``cp_parity`` is taken as it was grown, before the symmetry is imposed. The slopes of linear leaves are not
    counted here; they are in ``feature_importances_`` and `permutation_importance`.
    """
    forest = _forest(model)
    gains = np.zeros((forest.n_features, forest.n_outputs))
    for group in forest.groups:
        inner = group.feature >= 0
        np.add.at(gains, (group.feature[inner][:, np.newaxis], group.outputs), _gain_per_output(group)[inner])
    total = gains.sum(axis=0)
    shares = np.divide(gains, total, out=np.zeros_like(gains), where=total > 0)
    return pd.DataFrame(shares, index=list(forest.feature_names), columns=list(_names(forest.output_terms)))


def _gain_per_output(group: TreeGroup) -> FloatArray:
    """(S_L S_R / S_P) (v_L - v_R)^2 of each split and output, shape (n_nodes, n_group_outputs); 0 for leaves."""
    value, nominal = group.value.copy(), group.sum_w[:, 0]
    gains = np.zeros_like(value)
    for inner in reversed(list(_levels(group))):
        left, right = group.left[inner], group.right[inner]
        usable = (nominal[left] > 0) & (nominal[right] > 0)
        share = np.where(usable, nominal[left], 0.5) / np.where(usable, nominal[left] + nominal[right], 1.0)
        value[inner] = share[:, np.newaxis] * value[left] + (1.0 - share)[:, np.newaxis] * value[right]
        reduced = np.where(usable, share * nominal[right], 0.0)
        gains[inner] = reduced[:, np.newaxis] * (value[left] - value[right]) ** 2
    return gains


def _levels(group: TreeGroup) -> Iterator[_IntArray]:
    """Inner nodes of all trees, level by level from the roots."""
    nodes = group.tree_offset[:-1]
    while len(nodes):
        inner = nodes[group.feature[nodes] >= 0]
        yield inner
        nodes = np.concatenate([group.left[inner], group.right[inner]]).astype(np.int64)


# ---------------------------------------------------------------------- predictions
def permutation_importance(
    model: Inspected,
    table: EventTable,
    *,
    terms: Sequence[str | Sequence[str]] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    n_repeats: int = 5,
    random_state: int | None = None,
    show_progress: bool = True,
) -> PermutationImportance:
    """Drop of rho^2, relative to what it was, when a feature is replaced by that of other events.

    With df = F - sum w_0 F / sum w_0, rho^2 is C_k / sum w_0 dt_k^2 with C_k = (sum w_k df)^2 / sum w_0 df^2, and
    the importance is 1 - C_k(shuffled) / C_k. The variance of the truth cancels, so events with w_0 = 0 are
    welcome. The replacing values are drawn with probabilities in proportion to ``|w_0|``, each event as often as its
    share tells (for equal weights a plain permutation), so that the feature keeps its distribution in the
    weighted sample; an event that receives the value of one with w_0 < 0 changes the sign of its weights.

    Parameters
    ----------
    model : fitted model, or observable
        Model with ``predict`` and ``output_terms_``, or a function of tables with one value per event and term.
        It decides about threads (``model.n_jobs``).
    table : EventTable
        Events that were not used in training, sum w_0 > 0.
    terms : sequence of str or tuple of str, optional
        For an observable only: the term that each of its columns is an observable of.
    groups : mapping of str to sequence of str, optional
        Features to be replaced together, which belong together or tell much the same, by the name of their row.
        All others are rows of their own.
    n_repeats : int, default=5
        Shuffles of each row, at least 2.
    random_state : int or None, default=None
        Seed; None draws other numbers every time.
    show_progress : bool, default=True
        Draw a progress bar where somebody can see it.

    Returns
    -------
    PermutationImportance
        Mean and standard deviation over the repeats, rows are groups and features, columns terms. 0: not
        needed; 1: without it nothing is left. A term for which the prediction is constant has 0 everywhere.

    Raises
    ------
    InputError
        For unknown or repeated features, terms that the events lack, another reference point than the model's,
        sum w_0 <= 0, or too few repeats.

    Notes
    -----
    Features that tell much the same divide the importance in the way in which the trees happened to use them, and
    shuffling one of them makes events that cannot exist: put them into one of the `groups`.
    Machine Learning 45 (2001) 5 and arXiv:1801.01489, where the loss takes the place of rho^2.
    """
    if n_repeats < 2:
        raise InputError(f"n_repeats={n_repeats}: at least 2 are needed for a standard deviation.")
    predict, wanted = _function(model), _terms(model, terms)
    w_0, w_k = _weights(model, table, wanted)
    prediction = predict(table)
    if prediction.shape[1] != len(wanted):
        raise InputError(f"the observable has {prediction.shape[1]} columns, but {len(wanted)} terms were given.")
    whole = _captured(w_0, w_k, prediction)
    rows = _rows(getattr(model, "feature_names_in_", table.feature_names), groups or {})
    rng = np.random.default_rng(random_state)
    drops = np.zeros((n_repeats, len(rows), len(wanted)))
    with progress_bar(n_repeats * len(rows), "Permuting", "shuffles", show=show_progress) as bar:
        for position, members in enumerate(rows.values()):
            columns = [table.feature_names.index(name) for name in members]
            for repeat in range(n_repeats):
                donors, factor = _draw_donors(w_0, rng)
                features = table.features.copy()
                features[:, columns] = table.features[:, columns][donors]
                left = _captured(factor * w_0, factor[:, np.newaxis] * w_k, predict(replace(table, features=features)))
                drops[repeat, position] = 1.0 - np.divide(left, whole, out=np.ones_like(whole), where=whole > 0)
                bar.update(1)
    index, names = list(rows), list(_names(wanted))
    return PermutationImportance(
        mean=pd.DataFrame(drops.mean(axis=0), index=index, columns=names),
        std=pd.DataFrame(drops.std(axis=0, ddof=1), index=index, columns=names),
    )


def _captured(w_0: FloatArray, w_k: FloatArray, prediction: FloatArray) -> FloatArray:
    """(sum w_k df)^2 / sum w_0 df^2 of each term: rho^2 times the variance of the truth."""
    df = prediction - w_0 @ prediction / w_0.sum()
    variance = w_0 @ df**2
    varies = variance > _CONSTANT * np.abs(w_0 @ prediction**2)
    captured: FloatArray = np.divide((w_k * df).sum(axis=0) ** 2, variance, out=np.zeros_like(variance), where=varies)
    return captured


def _draw_donors(w_0: FloatArray, rng: np.random.Generator) -> tuple[_IntArray, FloatArray]:
    """Event whose feature each event gets, and the factor that its weights get for the sign of that one."""
    size = np.abs(w_0)
    cumulative = np.cumsum(size) / size.sum()
    places = (np.arange(len(w_0)) + rng.random()) / len(w_0)
    donors = np.minimum(np.searchsorted(cumulative, places, side="right"), np.flatnonzero(size)[-1])
    donors = rng.permutation(donors)
    return donors, np.sign(w_0[donors]) * (size.sum() / w_0.sum())


def _rows(known: Sequence[str], groups: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Features that are shuffled together, by the name of their row; features without a group are alone."""
    names = [str(name) for name in known]
    rows: dict[str, tuple[str, ...]] = {}
    for title, members in groups.items():
        if isinstance(members, str) or not members:
            raise InputError(f"groups[{title!r}]={members!r}: give a sequence of features.")
        rows[title] = tuple(members)
    grouped = [name for members in rows.values() for name in members]
    for name in grouped:
        if name not in names:
            raise InputError(f"groups name the unknown feature {name!r}: {near_match(name, names)}")
    if len(set(grouped)) < len(grouped):
        raise InputError(f"groups={dict(groups)} name a feature twice: it can be in one group only.")
    alone = [name for name in names if name not in grouped]
    taken = sorted(set(rows) & set(alone))
    if taken:
        raise InputError(f"groups are called {taken} like features outside of them: choose other names.")
    return rows | {name: (name,) for name in alone}


def partial_dependence(
    model: Inspected,
    table: EventTable,
    feature: str,
    *,
    grid: npt.ArrayLike | None = None,
    n_points: int = 50,
    max_events: int = 10_000,
    random_state: int | None = None,
    show_progress: bool = True,
) -> PartialDependence:
    """Mean prediction when one feature is set to a value for all events, as a function of that value.

    PD_k(x) = sum_i w_i,0 F_k(x, rest_i) / sum_i w_i,0

    Parameters
    ----------
    model : fitted model, or observable
        Model with ``predict`` and ``output_terms_``, or a function of tables.
    table : EventTable
        Events, sum w_0 > 0.
    feature : str
        Feature to be set.
    grid : array-like of shape (n_points,), optional
        Values, finite and increasing, in the unit of the feature; default all values of a feature that has no more
        than `n_points`, else between the quantiles 0.5 % and 99.5 % half of the points in equal steps of the
        cumulated ``|w_0|`` and half in equal steps of the feature.
    n_points : int, default=50
        Length of the default grid at most, at least 4.
    max_events : int, default=10_000
        So many events, drawn at random, are averaged over at most.
    random_state : int or None, default=None
        Seed of the draw.
    show_progress : bool, default=True
        Draw a progress bar where somebody can see it.

    Returns
    -------
    PartialDependence
        Grid, mean, and a band that holds 68 % of the events' own curves: wide where the effect of the feature
        depends on other features.

    Raises
    ------
    InputError
        For an unknown feature, a feature without finite values, a grid that is not finite and increasing, counts
        that are too small, or sum w_0 <= 0.

    Notes
    -----
    Ann. Statist. 29 (2001) 1189, Section 8.2, here with weights; the events' own curves are those of
    arXiv:1309.6392. The other features stay as they are, also where their values and that of the feature never
    come together.
    """
    if n_points < 4 or max_events < 1:
        raise InputError(f"n_points={n_points}, max_events={max_events}: at least 4 points and 1 event are needed.")
    predict = _function(model)
    values = np.asarray(table.column(feature), dtype=np.float64)
    column = table.feature_names.index(feature)
    _require_nominal(table)
    usable = np.isfinite(values) & (table.weights[:, 0] != 0)
    if not usable.any():
        raise InputError(f"feature {feature!r} is NaN or infinite for every event: it has no grid.")
    quantiles = _Quantiles(values[usable], np.abs(table.weights[usable, 0]))
    points = _default_grid(quantiles, n_points) if grid is None else _checked_grid(grid)
    if table.n_events > max_events:
        rng = np.random.default_rng(random_state)
        table = table.take(np.sort(rng.choice(table.n_events, max_events, replace=False)))
        _require_nominal(table)
    w_0 = table.weights[:, 0]
    mean, band = [], []
    with progress_bar(len(points), f"Setting {feature}", "values", show=show_progress) as bar:
        for point in points:
            features = table.features.copy()
            features[:, column] = point
            curves = predict(replace(table, features=features))
            mean.append(w_0 @ curves / w_0.sum())
            band.append(np.quantile(curves, _BAND, axis=0, weights=np.abs(w_0), method="inverted_cdf"))
            bar.update(1)
    lower, upper = np.array(band).transpose(1, 0, 2)
    return PartialDependence(
        feature=feature,
        unit=(table.units or ())[column],
        names=_column_names(model, lower.shape[1]),
        grid=points,
        mean=np.array(mean),
        lower=lower,
        upper=upper,
        deciles=quantiles.at(np.linspace(0.1, 0.9, 9)),
    )


@dataclass(frozen=True, eq=False)
class _Quantiles:
    values: FloatArray
    sizes: FloatArray

    def at(self, steps: FloatArray) -> FloatArray:
        """Quantiles with the sizes as weights; each is one of the values."""
        found: FloatArray = np.quantile(self.values, steps, weights=self.sizes, method="inverted_cdf")
        return found


def _default_grid(quantiles: _Quantiles, n_points: int) -> FloatArray:
    different = np.unique(quantiles.values)
    if len(different) <= n_points:
        return different
    n_equal = n_points // 2
    steps = quantiles.at(np.linspace(_TAIL, 1.0 - _TAIL, n_points - n_equal))
    # Quantiles alone would leave the tail of a falling spectrum, where effects are large, almost without points.
    return np.unique(np.concatenate([steps, np.linspace(steps[0], steps[-1], n_equal + 2)[1:-1]]))


def _checked_grid(grid: npt.ArrayLike) -> FloatArray:
    points = np.asarray(grid, dtype=np.float64)
    if points.ndim != 1 or not len(points) or not np.isfinite(points).all() or not (np.diff(points) > 0).all():
        raise InputError(f"grid={grid!r}: give finite values that increase, shape (n_points,).")
    return points


def _column_names(model: Any, number: int) -> tuple[str, ...]:
    """Terms of a model; name of an observable, numbered if it has several axes."""
    if hasattr(model, "predict"):
        return _names(model.output_terms_)
    name = str(getattr(model, "name", "prediction"))
    return (name,) if number == 1 else tuple(f"{name}[{k}]" for k in range(number))


# ---------------------------------------------------------------------- stages
def staged_rho2(model: Any, table: EventTable, *, show_progress: bool = True) -> pd.DataFrame:
    """Squared correlation with the truth after each tree.

    Parameters
    ----------
    model : fitted BoostedInformationTree
        The trees.
    table : EventTable
        Events that were not used in training; 20 000 show the trend.
    show_progress : bool, default=True
        Draw a progress bar where somebody can see it.

    Returns
    -------
    pandas.DataFrame, shape (n_trees + 1, n_terms)
        rho^2 as in `bit.metrics.rho2`, with the joint ratio as truth. The row 0 is the base, a constant: 0.

    Raises
    ------
    InputError
        If an event has w_0 = 0, so that it has no joint ratio: use `staged_loss`.
    """
    terms = _terms(model, None)
    _weights(model, table, terms)
    truth = table.joint_ratio()[:, [table.basis.index(term) - 1 for term in terms]]
    return _staged(model, table, lambda prediction: rho2(truth, prediction, table.weights[:, 0]), show_progress)


def staged_loss(model: Any, table: EventTable, *, show_progress: bool = True) -> pd.DataFrame:
    """Squared loss sum (w_0 F^2 - 2 w_k F) / sum w_0 after each tree, term by term.

    Parameters
    ----------
    model : fitted BoostedInformationTree
        The trees.
    table : EventTable
        Events with any w_0 of positive sum, used in training or not.
    show_progress : bool, default=True
        Draw a progress bar where somebody can see it.

    Returns
    -------
    pandas.DataFrame, shape (n_trees + 1, n_terms)
        As `bit.metrics.loss`, per unit of nominal weight, so that samples of any size compare. The row 0 is the
        base. ``model.train_loss_`` is the sum over the terms in the metric of the training instead.
    """
    w_0, w_k = _weights(model, table, _terms(model, None))
    return _staged(model, table, lambda prediction: loss(w_k, w_0, prediction) / w_0.sum(), show_progress)


def _staged(model: Any, table: EventTable, measure: Callable[[FloatArray], Any], show_progress: bool) -> pd.DataFrame:
    forest = _forest(model)
    # A forest without trees knows its constant; the features of the event do not matter.
    base = forest.first(0).predict(np.zeros((1, forest.n_features)))
    results = [measure(np.repeat(base, table.n_events, axis=0))]
    with progress_bar(forest.n_trees, "Stages", "trees", show=show_progress) as bar:
        for prediction in model.staged_predict(table):
            results.append(measure(prediction.reshape(table.n_events, -1)))
            bar.update(1)
    frame = pd.DataFrame(np.array(results), columns=list(_names(forest.output_terms)))
    return frame.rename_axis("trees")


# ---------------------------------------------------------------------- borders
def _forest(model: Any) -> Forest:
    if isinstance(model, Forest):
        return model
    check_is_fitted(model, "forest_")
    forest: Forest = model.forest_
    return forest


def _function(model: Any) -> Callable[[EventTable], FloatArray]:
    """Prediction of a model or an observable, always with shape (n_events, n_columns)."""
    if hasattr(model, "predict"):
        check_is_fitted(model, "output_terms_")
        evaluate = model.predict
    elif callable(model):
        evaluate = model
    else:
        raise InputError(f"{type(model).__name__} is neither a fitted model nor an observable, a function of tables.")
    return lambda table: np.asarray(evaluate(table), dtype=np.float64).reshape(table.n_events, -1)


def _terms(model: Any, terms: Sequence[str | Sequence[str]] | None) -> tuple[Term, ...]:
    """Term of each column of the prediction."""
    if hasattr(model, "predict"):
        check_is_fitted(model, "output_terms_")
        if terms is not None:
            raise InputError(f"terms={terms!r}: {type(model).__name__} knows its terms; leave them out.")
        return tuple(model.output_terms_)
    if terms is None or isinstance(terms, str) or not len(terms):
        raise InputError(f"terms={terms!r}: tell of which term each column of the observable is, such as ['cHW'].")
    return tuple((term,) if isinstance(term, str) else tuple(term) for term in terms)


def _weights(model: Any, table: EventTable, terms: Sequence[Term]) -> tuple[FloatArray, FloatArray]:
    """w_0 and the columns of the terms, at the reference point of the model."""
    basis = getattr(model, "basis_", None)
    if basis is not None and basis.reference != table.basis.reference:
        raise InputError(
            f"the events have the reference point {table.basis.reference}, the model {basis.reference}: "
            "use table.rebase(model.basis_.reference)."
        )
    _require_nominal(table)
    return table.weights[:, 0], table.weights[:, [table.basis.index(term) for term in terms]]


def _require_nominal(table: EventTable) -> None:
    if not table.weights[:, 0].sum() > 0:
        raise InputError(
            f"the nominal weights of {table.n_events} events sum to {table.weights[:, 0].sum():.4g}: means over "
            "events need a positive sum; take more events, or concat events of the reference hypothesis."
        )


def _names(terms: Sequence[Term]) -> tuple[str, ...]:
    return tuple("*".join(term) for term in terms)
