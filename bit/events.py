"""Events: what a detector measures and, per event, the weight polynomial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, ThetaLike, require_finite
from bit.errors import InputError, near_match
from bit.parity import CPParity

_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class EventTable:
    """Features and weight polynomials of simulated events.

    Parameters
    ----------
    features : array-like of shape (n_events, n_features)
        float32 or float64 (others become float64). NaN means "not measured" and is allowed, as is
        +-inf; finite values beyond float32 are refused, since models work in float32.
    weights : array-like of shape (n_events, n_terms)
        Derivatives of the event weight at the reference point, in fb, float64, in the order of
        ``basis.terms``; the sum of column 0 is the cross-section there.
    basis : PolynomialBasis
        Terms, coefficients and reference point.
    feature_names : sequence of str, optional
        One name for each column; may be left out for a DataFrame, whose columns are taken.
    units : sequence of str or mapping of name to str, optional
        Unit of each feature, ``""`` where it has none.
    aux : mapping of str to array, optional
        What is not a feature but belongs to the event (flavour, E[t|x], event number); first axis
        n_events. Carried along by every method and by the readers and writers.

    Raises
    ------
    InputError
        For shapes that do not fit, no events, repeated names, or weights that are NaN or infinite.

    Notes
    -----
    Arrays are taken without a copy where their type allows it, and no method modifies them.
    """

    features: npt.NDArray[np.floating]
    weights: FloatArray
    basis: PolynomialBasis
    feature_names: tuple[str, ...] = field(kw_only=True, default=())
    units: tuple[str, ...] | None = field(kw_only=True, default=None)
    aux: Mapping[str, npt.NDArray[Any]] | None = field(kw_only=True, default=None)

    def __post_init__(self) -> None:
        names = _feature_names(self.features, self.feature_names)
        features = as_features(self.features)
        weights = np.asarray(self.weights, dtype=np.float64)
        if not isinstance(self.basis, PolynomialBasis):
            raise InputError(f"basis is a {type(self.basis).__name__}: a PolynomialBasis is needed.")
        if weights.ndim != 2 or weights.shape[1] != self.basis.n_terms:
            raise InputError(
                f"weights have shape {weights.shape}, expected (n_events, {self.basis.n_terms}): one "
                f"column for each of the terms {list(self.basis.terms)}."
            )
        if len(weights) != len(features):
            raise InputError(f"{len(features)} rows of features but {len(weights)} rows of weights: they must agree.")
        if len(weights) == 0:
            raise InputError("no events: a table needs at least one.")
        if len(names) != features.shape[1]:
            raise InputError(f"{len(names)} feature names for {features.shape[1]} features: give one for each column.")
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise InputError(f"feature_names repeats {repeated}: every feature needs a name of its own.")
        require_finite(weights, "weights")
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "feature_names", names)
        object.__setattr__(self, "units", _units(self.units, names))
        object.__setattr__(self, "aux", _aux(self.aux, len(weights)))

    # ------------------------------------------------------------------ description
    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.weights)

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self.weights)

    @property
    def sigma_fb(self) -> float:
        """Cross-section at the reference point in fb, the sum of the nominal weights."""
        return float(self.weights[:, 0].sum())

    @property
    def n_eff(self) -> float:
        """Effective number of events, (sum w_0)^2 / sum w_0^2; 0 if all nominal weights are 0."""
        nominal = self.weights[:, 0]
        square = float(nominal @ nominal)
        return float(nominal.sum() ** 2 / square) if square > 0 else 0.0

    def __repr__(self) -> str:
        """Return a short description."""
        return (
            f"EventTable({self.n_events} events, features={list(self.feature_names)}, "
            f"params={list(self.basis.param_names)}, n_terms={self.basis.n_terms}, "
            f"sigma={self.sigma_fb:.4g} fb, n_eff={self.n_eff:.0f})"
        )

    def column(self, name: str) -> npt.NDArray[np.floating]:
        """One feature.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        ndarray, shape (n_events,)
            The column, in the unit given for it.

        Raises
        ------
        InputError
            If there is no such feature.
        """
        if name not in self.feature_names:
            raise InputError(f"no feature {name!r}: {near_match(name, self.feature_names)}")
        return self.features[:, self.feature_names.index(name)]

    # ------------------------------------------------------------------ weights at a point
    def at(self, theta: ThetaLike) -> FloatArray:
        """Event weights at theta, w(theta) = weights @ phi(theta).

        Parameters
        ----------
        theta : array-like of shape (n_params,), or mapping
            Absolute coefficients c/Lambda^2 in TeV^-2.

        Returns
        -------
        ndarray of float64, shape (n_events,)
            Weights in fb.
        """
        return self.weights @ self.basis.monomials(self._one_point(theta))

    def joint_ratio(self) -> FloatArray:
        """Joint ratios w_k / w_0 of all terms but the nominal one: the truth that trees regress.

        Returns
        -------
        ndarray of float64, shape (n_events, n_terms - 1)
            In TeV^2 (linear) and TeV^4 (second order).

        Raises
        ------
        InputError
            If a nominal weight is 0.
        """
        return self.weights[:, 1:] / self._nonzero(self.weights[:, 0], "w_0")[:, np.newaxis]

    def joint_score(self, theta: ThetaLike, mean_subtracted: bool = False) -> FloatArray:
        """Joint score t_a = d log w(theta) / d theta_a.

        Parameters
        ----------
        theta : array-like of shape (n_params,), or mapping
            Where, in TeV^-2.
        mean_subtracted : bool, default=False
            The raw score contains the rate. True subtracts the mean with weights w(theta), which is
            d log sigma / d theta_a: the convention of arXiv:2109.10414, Eq. 7.

        Returns
        -------
        ndarray of float64, shape (n_events, n_params)
            In TeV^2.

        Raises
        ------
        InputError
            If an event has w(theta) = 0.
        """
        weight = self._nonzero(self.at(theta), "w(theta)")
        slope = self.weights @ self.basis.gradient(self._one_point(theta)).T
        score = slope / weight[:, np.newaxis]
        if mean_subtracted:
            score -= slope.sum(axis=0) / weight.sum()
        return score

    def _one_point(self, theta: ThetaLike) -> FloatArray:
        point = self.basis.as_theta(theta)
        if point.ndim != 1:
            raise InputError(f"one point theta is needed, not an array of shape {point.shape}.")
        return point

    @staticmethod
    def _nonzero(weight: FloatArray, name: str) -> FloatArray:
        zero = weight == 0.0
        if zero.any():
            raise InputError(
                f"{int(zero.sum())} events have {name} = 0 (first: event {int(np.argmax(zero))}), so their "
                "ratio does not exist; remove them, or use the weights themselves."
            )
        return weight

    # ------------------------------------------------------------------ new tables
    def _replace(self, **changes: Any) -> EventTable:
        arguments: dict[str, Any] = {
            "features": self.features,
            "weights": self.weights,
            "basis": self.basis,
            "feature_names": self.feature_names,
            "units": self.units,
            "aux": self.aux,
        }
        return EventTable(**(arguments | changes))

    def take(self, rows: npt.ArrayLike | slice) -> EventTable:
        """Return some of the events; weights are never rescaled.

        Parameters
        ----------
        rows : array-like of int, shape (n_taken,), of bool, shape (n_events,), or slice
            Row numbers or a mask.

        Returns
        -------
        EventTable
            The chosen events, in the order asked for.
        """
        picked = self._picked(rows)
        return self._replace(
            features=self.features[picked],
            weights=self.weights[picked],
            aux={name: values[picked] for name, values in (self.aux or {}).items()},
        )

    def _picked(self, rows: npt.ArrayLike | slice) -> npt.NDArray[Any] | slice:
        picked = rows if isinstance(rows, slice) else np.asarray(rows)
        if isinstance(picked, np.ndarray) and picked.dtype == bool and picked.shape != (self.n_events,):
            raise InputError(f"the mask has shape {picked.shape}, expected ({self.n_events},).")
        if isinstance(picked, np.ndarray) and picked.size == 0:
            raise InputError("no events were chosen: a table needs at least one.")
        return picked

    def select(
        self,
        *,
        features: Sequence[str] | None = None,
        params: Sequence[str] | None = None,
        aux: Sequence[str] | None = None,
    ) -> EventTable:
        """Return all events with some of the columns.

        Parameters
        ----------
        features : sequence of str, optional
            Features to keep, in this order; default all.
        params : sequence of str, optional
            Coefficients to keep, in the order of the table; the others stay at the reference point. Default all.
        aux : sequence of str, optional
            Arrays of `aux` to keep; default all.

        Returns
        -------
        EventTable
            The same weights at all values of the coefficients that are kept.

        Raises
        ------
        InputError
            For an unknown name; near matches are named.
        """
        extra = dict(self.aux or {})
        for kind, names, known in (
            ("feature", features, self.feature_names),
            ("coefficient", params, self.basis.param_names),
            ("aux array", aux, tuple(extra)),
        ):
            for name in names or ():
                if name not in known:
                    raise InputError(f"no {kind} {name!r}: {near_match(name, known)}")
        changes: dict[str, Any] = {}
        if features is not None:
            columns = [self.feature_names.index(name) for name in features]
            unit = dict(zip(self.feature_names, self.units or (), strict=True))
            changes |= {"features": self.features[:, columns], "feature_names": tuple(features)}
            changes["units"] = tuple(unit[name] for name in features)
        if params is not None:
            terms = [term for term in self.basis.terms if set(term) <= set(params)]
            names_kept = [name for name in self.basis.param_names if name in params]
            reference = [self.basis.reference[self.basis.param_names.index(name)] for name in names_kept]
            weights = self.weights[:, [self.basis.index(term) for term in terms]]
            changes |= {"weights": weights, "basis": PolynomialBasis(names_kept, reference=reference, terms=terms)}
        if aux is not None:
            changes["aux"] = {name: extra[name] for name in aux}
        return self._replace(**changes)

    def split(self, fractions: Sequence[float], seed: int) -> tuple[EventTable, ...]:
        """Random disjoint parts, each rescaled by n/n_part so that each is a full sample.

        Parameters
        ----------
        fractions : sequence of float
            Positive sizes of the parts relative to the table, with sum at most 1.
        seed : int
            Seed of the shuffle.

        Returns
        -------
        tuple of EventTable
            One table for each fraction.

        Raises
        ------
        InputError
            If fractions are not positive, exceed 1 in sum, or leave a part without events.
        """
        sizes = np.atleast_1d(np.asarray(fractions, dtype=np.float64))
        if sizes.ndim != 1 or not (sizes > 0).all() or sizes.sum() > 1 + 1e-12:
            raise InputError(f"fractions={fractions}: each must be positive and their sum at most 1.")
        bounds = np.concatenate([[0], np.rint(np.cumsum(sizes) * self.n_events).astype(int)])
        if (np.diff(bounds) < 1).any():
            raise InputError(f"fractions={fractions} leave a part of {self.n_events} events empty: use larger parts.")
        order = np.random.default_rng(seed).permutation(self.n_events)
        parts = []
        for low, high in pairwise(bounds):
            part = self.take(np.sort(order[low:high]))
            parts.append(part._scaled(self.n_events / part.n_events))
        return tuple(parts)

    def concat(self, other: EventTable) -> EventTable:
        """Return events of two processes; cross-sections add.

        Parameters
        ----------
        other : EventTable
            Same features and basis.

        Returns
        -------
        EventTable
            The events of both, weights as they are.

        Raises
        ------
        InputError
            If features, basis or aux differ.
        """
        self._require_alike(other)
        mine, theirs = self.aux or {}, other.aux or {}
        return self._replace(
            features=np.concatenate([self.features, other.features]),
            weights=np.concatenate([self.weights, other.weights]),
            aux={name: np.concatenate([mine[name], theirs[name]]) for name in mine},
        )

    def pool(self, other: EventTable) -> EventTable:
        """Return more events of one process; cross-sections are averaged by the numbers of events.

        Parameters
        ----------
        other : EventTable
            Another sample of the same process, same features and basis.

        Returns
        -------
        EventTable
            The events of both, weights scaled by n_part/n.

        Raises
        ------
        InputError
            If features, basis or aux differ.
        """
        total = self.n_events + other.n_events
        return self._scaled(self.n_events / total).concat(other._scaled(other.n_events / total))

    def with_cp_mirror(self, parity: CPParity) -> EventTable:
        """Return each event and its CP image, weights halved: a sample that is CP-symmetric exactly.

        Parameters
        ----------
        parity : CPParity
            Action on features and coefficients; odd terms change sign.

        Returns
        -------
        EventTable
            2 n_events events, the images behind the originals.

        Notes
        -----
        An event and its image are not independent: sums of squared weights, such as the Monte Carlo variance of
        a template, come out up to a factor 2 too small for even observables.
        """
        sign = parity.term_sign(self.basis.terms)
        image = self._replace(features=parity.mirror(self.features, self.feature_names), weights=self.weights * sign)
        return self._scaled(0.5).concat(image._scaled(0.5))

    def rebase(self, theta0: ThetaLike) -> EventTable:
        """Return the same events with derivatives at another reference point.

        Parameters
        ----------
        theta0 : array-like of shape (n_params,), or mapping
            New reference point, absolute.

        Returns
        -------
        EventTable
            Same polynomial: ``table.rebase(p).at(theta) == table.at(theta)`` up to rounding.
        """
        return self._replace(weights=self.basis.rebase(self.weights, theta0), basis=self.basis.at_reference(theta0))

    def normalised_to(self, sigma_fb: float) -> EventTable:
        """Return the table scaled to a cross-section at the reference point.

        Parameters
        ----------
        sigma_fb : float
            Cross-section in fb, positive.

        Returns
        -------
        EventTable
            All weights scaled by one factor.

        Raises
        ------
        InputError
            If `sigma_fb` is not positive or the nominal weights sum to 0.
        """
        if not (np.isfinite(sigma_fb) and sigma_fb > 0):
            raise InputError(f"sigma_fb={sigma_fb}: a cross-section must be positive.")
        if self.sigma_fb == 0.0:
            raise InputError("the nominal weights sum to 0: such a table cannot be normalised to a cross-section.")
        return self._scaled(sigma_fb / self.sigma_fb)

    def _scaled(self, factor: float) -> EventTable:
        return self._replace(weights=self.weights * factor)

    def _require_alike(self, other: EventTable) -> None:
        for name, mine, theirs in (
            ("feature_names", self.feature_names, other.feature_names),
            ("units", self.units, other.units),
            ("basis", self.basis, other.basis),
            ("aux", sorted(self.aux or {}), sorted(other.aux or {})),
        ):
            if mine != theirs:
                raise InputError(f"the tables differ in {name}: {mine} and {theirs}; make them equal first.")


def as_features(values: npt.ArrayLike) -> npt.NDArray[np.floating]:
    """Check features and return them as a 2-d float32 or float64 array.

    Parameters
    ----------
    values : array-like of shape (n_events, n_features)
        float32 and float64 are kept, other numbers become float64.

    Returns
    -------
    ndarray of float32 or float64, shape (n_events, n_features)
        Without a copy where possible.

    Raises
    ------
    InputError
        If the array is not 2-d, not numeric, or holds finite values beyond float32.
    """
    try:
        array = np.asarray(values)
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float64, casting="unsafe" if array.dtype == object else "same_kind")
    except (TypeError, ValueError):
        raise InputError("features must be real numbers: found other types; encode or drop those columns.") from None
    if array.ndim != 2 or array.shape[1] == 0:
        raise InputError(f"features have shape {array.shape}, expected (n_events, n_features), at least one feature.")
    if array.dtype == np.float64:
        beyond = (np.abs(array) > _FLOAT32_MAX) & np.isfinite(array)
        if beyond.any():
            row, column = (int(i) for i in np.argwhere(beyond)[0])
            raise InputError(
                f"features[{row}, {column}]={array[row, column]:.6g} is finite but beyond float32 "
                f"(+-{_FLOAT32_MAX:.3g}), in which models work; change the unit or take a logarithm."
            )
    return array


def _feature_names(features: Any, names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise InputError(f"feature_names={names!r}: give a list of names.")
    if not len(names) and hasattr(features, "columns"):
        names = list(features.columns)
    return tuple(str(name) for name in names)


def _units(units: Sequence[str] | Mapping[str, str] | None, names: tuple[str, ...]) -> tuple[str, ...]:
    if units is None:
        return ("",) * len(names)
    if isinstance(units, Mapping):
        for name in units:
            if name not in names:
                raise InputError(f"units name the unknown feature {name!r}: {near_match(name, names)}")
        return tuple(units.get(name, "") for name in names)
    if len(units) != len(names):
        raise InputError(f"{len(units)} units for {len(names)} features: give one for each, '' for none.")
    return tuple(units)


def _aux(aux: Mapping[str, npt.ArrayLike] | None, n_events: int) -> Mapping[str, npt.NDArray[Any]]:
    arrays = {name: np.asarray(values) for name, values in (aux or {}).items()}
    for name, values in arrays.items():
        if values.ndim == 0 or len(values) != n_events:
            raise InputError(f"aux[{name!r}] has shape {values.shape}: its first axis must be the {n_events} events.")
    return arrays
