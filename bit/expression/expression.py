"""A formula as an artefact: an observable that a referee can read, ``bit-expression/1`` JSON.

Fields
------
kind, format : "expression", "bit-expression/1"
version : version of `bit` that wrote it
name, label, odd : of the observable
term : coefficients whose R it stands for, such as ["cHWtil"], or null
features : list of {name, unit, latex}, in the order of the columns that `predict` takes
tree : nested lists; ["mul", 1.5, ["sin", "dphi"]] is 1.5 sin(dphi). Operators are those of `bit.expression.OPERATORS`;
    a number with a decimal point is a constant, a whole number belongs to the form, a text is a feature
covariance : matrix of the constants in the order of the tree (operators before their arguments), or null
config : how it was found
sha256 : of the canonical dump of all other fields
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as changed
from typing import Any

import numpy as np
import numpy.typing as npt

from bit.artefacts import require_schema, seal, write_document
from bit.basis import FloatArray, Term
from bit.errors import FileFormatError, InputError, near_match
from bit.events import EventTable
from bit.expression import nodes
from bit.expression.fold import equal, fold
from bit.expression.latex import label_of, to_latex
from bit.expression.nodes import Node
from bit.expression.parse import parse, readable, to_text
from bit.expression.program import value_and_gradient
from bit.parity import CPParity

FORMAT = "bit-expression/1"
# An error this much smaller than its constant is rounding: the fit is exact.
_EXACT = 1e-9


@dataclass(frozen=True, eq=False)
class Expression:
    """A formula of some features, with constants that can be refitted.

    Parameters
    ----------
    node : node
        The tree; usually made by `Expression.parse` or `bit.distill.distill`.
    features : sequence of str
        Features in the order of the columns of plain arrays; the formula need not use all of them.
    units, latex : sequence of str, optional
        Of the features; LaTeX without dollar signs.
    name : str, default="formula"
        Identifier of the observable.
    label : str, optional
        Text on axes; default the name.
    odd : bool, default=False
        Whether it changes sign under CP.
    term : tuple of str, optional
        Coefficients whose function R it stands for.
    covariance : ndarray of float64, shape (n_constants, n_constants), optional
        Of the constants; a constant that was not fitted has zeros.
    config : mapping, optional
        JSON types: how the formula was found.

    Raises
    ------
    InputError
        If the formula uses a feature that is not listed, or shapes do not fit.

    See Also
    --------
    bit.distill.distill : Find formulas for what a model has learned.
    """

    node: Node
    features: tuple[str, ...]
    units: tuple[str, ...] | None = field(default=None, kw_only=True)
    latex: tuple[str, ...] | None = field(default=None, kw_only=True)
    name: str = field(default="formula", kw_only=True)
    label: str = field(default="", kw_only=True)
    odd: bool = field(default=False, kw_only=True)
    term: Term | None = field(default=None, kw_only=True)
    covariance: FloatArray | None = field(default=None, kw_only=True)
    config: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        names = tuple(self.features)
        for used in nodes.variables(self.node):
            if used not in names:
                raise InputError(f"the formula uses the unknown feature {used!r}: {near_match(used, names)}")
        for what, texts in (("units", self.units), ("latex", self.latex)):
            if texts is not None and len(texts) != len(names):
                raise InputError(f"{len(texts)} {what} for {len(names)} features: give one for each, '' for none.")
        if self.covariance is not None:
            expected = (self.n_constants, self.n_constants)
            covariance = np.array(self.covariance, dtype=np.float64)
            # JSON writes a matrix of no constants as an empty list.
            covariance = covariance.reshape(expected) if covariance.size == 0 else covariance
            if covariance.shape != expected:
                raise InputError(f"the covariance has shape {covariance.shape}, the constants need {expected}.")
            covariance.flags.writeable = False
            object.__setattr__(self, "covariance", covariance)
        object.__setattr__(self, "features", names)
        object.__setattr__(self, "label", self.label or self.name)

    @classmethod
    def parse(cls, text: str, features: Sequence[str], **attributes: Any) -> Expression:
        """Read a formula from text; nothing is evaluated.

        Parameters
        ----------
        text : str
            Such as ``"(0.5 - x1) * x2 * sin(dphi)"``: + - * / ** and the functions of `bit.expression.OPERATORS`.
            A number with a decimal point is a constant; a whole number without one belongs to the form.
        features : sequence of str
            Names that may stand there, in the order of columns.
        **attributes
            Other parameters of the class.

        Returns
        -------
        Expression
            The formula as it stands, not simplified.

        Raises
        ------
        InputError
            If the text is not such a formula.
        """
        return cls(parse(text, features), tuple(features), **attributes)

    # ------------------------------------------------------------------ what it is
    @property
    def complexity(self) -> int:
        """Number of operators, constants and variables, each counting one, as in PySR."""
        return nodes.complexity(self.node)

    @property
    def constants(self) -> FloatArray:
        """Values of the constants, shape (n_constants,), in the order in which they are written."""
        return np.array(nodes.constants(self.node), dtype=np.float64)

    @property
    def n_constants(self) -> int:
        """Number of constants that a refit may change."""
        return len(nodes.constants(self.node))

    @property
    def errors(self) -> FloatArray | None:
        """Standard deviations of the constants, shape (n_constants,), or None before a refit."""
        return None if self.covariance is None else np.sqrt(np.diag(self.covariance))

    def __str__(self) -> str:
        """Return the formula with constants rounded to two digits of their errors, or to four digits."""
        return to_text(readable(self.node), self._rounding())

    def _rounding(self) -> Callable[[float], str]:
        """Text of the constants, asked for one after the other."""
        errors = iter([math.nan] * self.n_constants if self.errors is None else self.errors.tolist())
        return lambda value: _rounded(value, next(errors))

    def to_text(self) -> str:
        """Return the formula with all digits, as `Expression.parse` reads it.

        Returns
        -------
        str
            Python syntax. Features stand under their names; those that are no Python names, such as "pT (lead)", can be
            read by people only: the file that `Expression.export` writes holds the tree.
        """
        return to_text(self.node)

    def to_latex(self) -> str:
        """Return the formula as LaTeX, in the form in which it stands.

        Constants are rounded to two digits of their errors, or to four digits; features have their LaTeX, or their
        names.

        Returns
        -------
        str
            For math mode, without dollar signs; matplotlib draws it, too.
        """
        labels = self.latex or self.features
        by_name = {
            name: label if label not in ("", name) else label_of(name)
            for name, label in zip(self.features, labels, strict=True)
        }
        return to_latex(self.node, by_name, self._rounding())

    def to_sympy(self) -> Any:
        """Return the formula for sympy, to derive, integrate or rearrange it.

        Returns
        -------
        sympy.Expr
            Features are real symbols of their names, constants are ``Float`` with all digits.
        """
        from bit.expression import algebra

        return algebra.to_sympy(self.node, algebra.real_symbols(self.features))

    def __repr__(self) -> str:
        """Return a short description."""
        return f"Expression({str(self)!r}, complexity={self.complexity})"

    # ------------------------------------------------------------------ values
    def predict(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Value of the formula for every event.

        Parameters
        ----------
        X : EventTable or array-like of shape (n_events, n_features)
            A table with the features by name, or columns in the order of `features`.

        Returns
        -------
        ndarray of float64, shape (n_events,)
            NaN or infinite outside the domain of the formula.

        Raises
        ------
        InputError
            If features are missing.
        """
        columns, n_events = self._columns(X)
        return np.broadcast_to(nodes.evaluate(self.node, columns), (n_events,)).copy()

    def __call__(self, table: EventTable) -> FloatArray:
        """Return the finite values of the formula, shape (n_events,): the formula as an observable."""
        values = self.predict(table)
        bad = ~np.isfinite(values)
        if bad.any():
            raise InputError(
                f"the formula {self} has no finite value in {int(bad.sum())} of {len(values)} events; restrict the "
                "events to its domain or take another formula."
            )
        return values

    def jacobian(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Derivatives by the constants.

        Parameters
        ----------
        X : EventTable or array-like of shape (n_events, n_features)
            As in `predict`.

        Returns
        -------
        ndarray of float64, shape (n_events, n_constants)
            In the order of `constants`.
        """
        return value_and_gradient(self.node, self._columns(X)[0])[1]

    def gradient(self, X: EventTable | npt.ArrayLike) -> FloatArray:
        """Derivatives by the features.

        Parameters
        ----------
        X : EventTable or array-like of shape (n_events, n_features)
            As in `predict`.

        Returns
        -------
        ndarray of float64, shape (n_events, n_features)
            In the order of `features`, 0 for those that the formula does not use.
        """
        return value_and_gradient(self.node, self._columns(X)[0], self.features)[2]

    def columns(self, X: EventTable | npt.ArrayLike) -> dict[str, FloatArray]:
        """Features by name, as float64.

        Parameters
        ----------
        X : EventTable or array-like of shape (n_events, n_features)
            As in `predict`.

        Returns
        -------
        dict of str to ndarray, shape (n_events,)
            All of `features`; of a table, those that the formula uses.
        """
        return self._columns(X)[0]

    def _columns(self, X: EventTable | npt.ArrayLike) -> tuple[dict[str, FloatArray], int]:
        if isinstance(X, EventTable):
            # value_and_gradient reads the number of events from a column, so that there is always one.
            wanted = nodes.variables(self.node) or X.feature_names[:1]
            missing = [name for name in wanted if name not in X.feature_names]
            if missing:
                raise InputError(
                    f"the formula needs the feature {missing[0]!r}: {near_match(missing[0], X.feature_names)}"
                )
            return {name: X.column(name).astype(np.float64) for name in wanted}, X.n_events
        values = np.asarray(X, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.features):
            raise InputError(
                f"X has shape {values.shape}, expected (n_events, {len(self.features)}): columns "
                f"{', '.join(self.features)}."
            )
        return dict(zip(self.features, values.T, strict=True)), len(values)

    # ------------------------------------------------------------------ other formulas
    def with_constants(self, values: npt.ArrayLike, covariance: npt.ArrayLike | None = None) -> Expression:
        """Return the same form with other constants.

        Parameters
        ----------
        values : array-like of shape (n_constants,)
            In the order of `constants`.
        covariance : array-like of shape (n_constants, n_constants), optional
            Of these values.

        Returns
        -------
        Expression
            New formula.
        """
        node = nodes.with_constants(self.node, np.asarray(values, dtype=np.float64).tolist())
        return changed(self, node=node, covariance=None if covariance is None else np.asarray(covariance))

    def folded(self) -> Expression:
        """Return the short form: constants merged, signs and powers in their places, redundant constants gone.

        Returns
        -------
        Expression
            The same function; without a covariance if the constants have changed.
        """
        return self._reformed(fold(self.node))

    def _reformed(self, node: Node) -> Expression:
        kept = self.covariance if nodes.constants(node) == nodes.constants(self.node) else None
        return changed(self, node=node, covariance=kept)

    def simplified(self, X: EventTable | npt.ArrayLike | None = None) -> Expression:
        """Return a shorter form that sympy finds, or that of `folded`.

        What sympy proposes is taken only if it has fewer nodes and the same values: on random points, and on `X`.

        Parameters
        ----------
        X : EventTable or array-like of shape (n_events, n_features), optional
            Events, as in `predict`.

        Returns
        -------
        Expression
            The same function; its numbers with a decimal point are constants that can be refitted. Without a
            covariance if the constants have changed.
        """
        from bit.expression import algebra

        given = () if X is None else (self._columns(X)[0],)
        return self._reformed(algebra.simplify(self.node, given))

    def mirrored(self, parity: CPParity) -> Expression:
        """Return the formula of the CP image, x -> f(Cx).

        Parameters
        ----------
        parity : CPParity
            Features that change sign or places.

        Returns
        -------
        Expression
            Of the same features.

        Raises
        ------
        InputError
            If the formula uses a feature whose partner is not among `features`.
        """
        partner = dict([*parity.swap, *((second, first) for first, second in parity.swap)])

        def image(item: Node) -> Node | None:
            if not isinstance(item, nodes.Variable):
                return None
            if item.name in parity.flip:
                return nodes.call("neg", item)
            return nodes.Variable(partner.get(item.name, item.name))

        return changed(self, node=nodes.replace(self.node, image))

    def cp_sign(self, parity: CPParity) -> int:
        """Behaviour under CP, found from the form of the formula.

        Parameters
        ----------
        parity : CPParity
            Features that change sign or places.

        Returns
        -------
        int
            -1 if f(Cx) = -f(x) for all x, 1 if f(Cx) = f(x), 0 if neither follows from the form.
        """
        image = self.mirrored(parity).node
        if equal(image, self.node):
            return 1
        return -1 if equal(image, nodes.call("neg", self.node)) else 0

    # ------------------------------------------------------------------ file
    def as_document(self) -> dict[str, Any]:
        """Return the formula as a dictionary of JSON types.

        Returns
        -------
        dict
            The fields described in `bit.expression.expression`.
        """
        units = self.units or ("",) * len(self.features)
        latex = self.latex or self.features
        fields = {
            "name": self.name,
            "label": self.label,
            "odd": self.odd,
            "term": None if self.term is None else list(self.term),
            "features": [
                {"name": name, "unit": unit, "latex": label}
                for name, unit, label in zip(self.features, units, latex, strict=True)
            ],
            "tree": nodes.to_list(self.node),
            "covariance": None if self.covariance is None else self.covariance.tolist(),
            "config": dict(self.config),
        }
        return seal("expression", FORMAT, fields)

    @classmethod
    def from_document(cls, document: Any, source: str) -> Expression:
        """Build a formula from the dictionary of `as_document`.

        Parameters
        ----------
        document : dict
            Parsed JSON.
        source : str
            Name of the file, for messages.

        Returns
        -------
        Expression
            The formula.

        Raises
        ------
        FileFormatError
            If it has a newer format, fields are missing, or it was changed.
        """
        require_schema(document, FORMAT, source)
        try:
            features = document["features"]
            return cls(
                nodes.from_list(document["tree"]),
                tuple(item["name"] for item in features),
                units=tuple(item["unit"] for item in features),
                latex=tuple(item["latex"] for item in features),
                name=document["name"],
                label=document["label"],
                odd=document["odd"],
                term=None if document["term"] is None else tuple(document["term"]),
                covariance=None if document["covariance"] is None else np.array(document["covariance"]),
                config=document["config"],
            )
        except (KeyError, TypeError, InputError, FileFormatError) as error:
            raise FileFormatError(f"{source} is not a formula of bit ({error}); export it again.") from None

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the formula as ``bit-expression/1`` JSON, which `bit.load` reads.

        Parameters
        ----------
        path : str or path-like
            The file; an older one is replaced only by a complete one.
        """
        write_document(self.as_document(), path, indent=1)


def _rounded(value: float, error: float) -> str:
    """A number with two digits of its error, or with four digits if there is none."""
    if not (math.isfinite(error) and error > _EXACT * abs(value)):
        text = f"{value:.4g}"
    else:
        decimals = 1 - math.floor(math.log10(error))
        text = f"{value:.{decimals}f}" if 0 <= decimals <= 6 else f"{value:.{max(0, _digits(value) + decimals)}e}"
    return text if any(mark in text for mark in ".e") else text + ".0"


def _digits(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value else 0
