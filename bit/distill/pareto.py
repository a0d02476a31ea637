"""Pareto front of formulas: none is both simpler and better than another, ``bit-front/1`` JSON.

Fields
------
kind, format : "pareto_front", "bit-front/1"
version : version of `bit` that wrote it
config : how the formulas were found
members : list of {expression, figures}: a ``bit-expression/1`` document and the fields of `bit.distill.select.Figures`
sha256 : of the canonical dump of all other fields
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, TypeAlias, get_args, overload

import numpy as np

from bit.artefacts import require_schema, seal, write_document
from bit.basis import FloatArray
from bit.distill.select import Figures
from bit.errors import FileFormatError, InputError
from bit.expression import Expression

FORMAT = "bit-front/1"
Rule: TypeAlias = Literal["one_standard_error", "mse", "information"]


class ParetoFront(Sequence[Expression]):
    """Formulas in order of complexity, with figures of merit.

    Parameters
    ----------
    expressions : sequence of Expression
        Formulas.
    figures : sequence of Figures
        One for each.
    config : mapping, optional
        JSON types: how they were found.

    Raises
    ------
    InputError
        If the numbers of formulas and figures differ, or are 0.

    See Also
    --------
    bit.distill.distill : Makes one.
    """

    def __init__(
        self, expressions: Sequence[Expression], figures: Sequence[Figures], config: Mapping[str, Any] | None = None
    ) -> None:
        if len(expressions) != len(figures) or not expressions:
            raise InputError(
                f"{len(expressions)} formulas with {len(figures)} figures: a front has as many of both, at least one."
            )
        order = sorted(range(len(expressions)), key=lambda position: expressions[position].complexity)
        self.expressions = tuple(expressions[position] for position in order)
        self.figures = tuple(figures[position] for position in order)
        self.config = dict(config or {})

    # ------------------------------------------------------------------ columns
    def __len__(self) -> int:
        """Return the number of formulas."""
        return len(self.expressions)

    @overload
    def __getitem__(self, index: int) -> Expression: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Expression]: ...
    def __getitem__(self, index: int | slice) -> Expression | Sequence[Expression]:
        """Return a formula by position."""
        return self.expressions[index]

    @property
    def complexity(self) -> FloatArray:
        """Complexities, increasing."""
        return np.array([expression.complexity for expression in self.expressions], dtype=np.float64)

    def column(self, name: str) -> FloatArray:
        """One figure of merit of all formulas.

        Parameters
        ----------
        name : str
            A field of `bit.distill.select.Figures`, such as ``"mse"``.

        Returns
        -------
        ndarray of float64, shape (n_formulas,)
            NaN where it is not known.

        Raises
        ------
        InputError
            For an unknown name.
        """
        if name not in Figures.__dataclass_fields__:
            raise InputError(f"no figure {name!r}; there are {', '.join(Figures.__dataclass_fields__)}.")
        values = [getattr(item, name) for item in self.figures]
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    # ------------------------------------------------------------------ choice
    def best(self, rule: Rule = "one_standard_error") -> Expression:
        """Choose a formula.

        Parameters
        ----------
        rule : {"one_standard_error", "mse", "information"}, default="one_standard_error"
            The simplest whose rho^2 is within one standard error of the largest; the one of the smallest MSE; the one
            that keeps most information. rho^2 is that with the joint score, where there is one: close to a model, the
            smallest MSE describes its noise as well.

        Returns
        -------
        Expression
            A member.

        Raises
        ------
        InputError
            For an unknown rule, or if the information is not known.

        Notes
        -----
        The rule of Breiman, Friedman, Olshen and Stone, Classification and Regression Trees (1984), Sec. 3.4.3.
        """
        if rule not in get_args(Rule):
            raise InputError(f"rule={rule!r}: give one of {', '.join(get_args(Rule))}.")
        if rule == "information":
            kept = self.column("information")
            if not np.isfinite(kept).any():
                raise InputError("the information is not known: give distill a coefficient (param).")
            return self.expressions[int(np.nanargmax(kept))]
        if rule == "mse":
            return self.expressions[int(np.argmin(self.column("mse")))]
        rho2 = self.column("rho2")
        highest = int(np.argmax(rho2))
        return self.expressions[int(np.flatnonzero(rho2 >= rho2[highest] - self.column("rho2_error")[highest])[0])]

    def at(self, complexity: int) -> Expression:
        """Return the best formula that is not more complex.

        Parameters
        ----------
        complexity : int
            Number of nodes.

        Returns
        -------
        Expression
            The last member up to there.

        Raises
        ------
        InputError
            If all are more complex.
        """
        within = [expression for expression in self.expressions if expression.complexity <= complexity]
        if not within:
            raise InputError(f"no formula of complexity {complexity}: the simplest has {self[0].complexity}.")
        return within[-1]

    # ------------------------------------------------------------------ text and file
    def to_text(self) -> str:
        """Return a table of formulas and figures.

        Returns
        -------
        str
            One line for each formula, and one of advice about the target, if there is any.
        """
        with_limit = any(item.limit is not None for item in self.figures)
        with_information = any(item.information is not None for item in self.figures)
        heading = f"{'complexity':>10}  {'MSE':>19}  {'rho2':>17}"
        heading += f"  {'information':>15}" if with_information else ""
        heading += f"  {'limit':>17}" if with_limit else ""
        advice = [self.config["advice"]] if "advice" in self.config else []
        return "\n".join([heading + "  formula", *self._rows(with_information, with_limit), *advice])

    def _rows(self, with_information: bool, with_limit: bool) -> Iterator[str]:
        for expression, item in zip(self.expressions, self.figures, strict=True):
            row = f"{expression.complexity:>10}  {item.mse:>9.4g} +- {item.mse_error:<6.1g}"
            row += _pair(item.rho2, item.rho2_error, 17)
            row += _pair(item.information, item.information_error, 15) if with_information else ""
            row += _pair(item.limit, item.limit_error, 17) if with_limit else ""
            yield f"{row}  {expression}"

    def __str__(self) -> str:
        """Return the table."""
        return self.to_text()

    def __repr__(self) -> str:
        """Return a short description."""
        return f"ParetoFront({len(self)} formulas, complexity {self[0].complexity}..{self[-1].complexity})"

    def to_dict(self) -> dict[str, Any]:
        """Return the front as a dictionary of JSON types.

        Returns
        -------
        dict
            The fields described in `bit.distill.pareto`.
        """
        members = [
            {"expression": expression.as_document(), "figures": asdict(item)}
            for expression, item in zip(self.expressions, self.figures, strict=True)
        ]
        return seal("pareto_front", FORMAT, {"config": self.config, "members": members})

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the front as ``bit-front/1`` JSON, which `bit.load` reads.

        Parameters
        ----------
        path : str or path-like
            The file; an older one is replaced only by a complete one.
        """
        write_document(self.to_dict(), path, indent=1)

    @classmethod
    def from_document(cls, document: dict[str, Any], source: str) -> ParetoFront:
        """Build a front from the dictionary of `to_dict`.

        Parameters
        ----------
        document : dict
            Parsed JSON.
        source : str
            Name of the file, for messages.

        Returns
        -------
        ParetoFront
            With the same formulas, figures and configuration.

        Raises
        ------
        FileFormatError
            If it is of a newer format, or was changed.
        """
        require_schema(document, FORMAT, source)
        try:
            members = document["members"]
            expressions = [Expression.from_document(item["expression"], source) for item in members]
            return cls(expressions, [Figures(**item["figures"]) for item in members], document["config"])
        except (KeyError, TypeError, InputError) as error:
            raise FileFormatError(f"{source} is not a front of formulas ({error}); export it again.") from None


def _pair(value: float | None, error: float | None, width: int) -> str:
    """A number with its error in a column."""
    text = "" if value is None or error is None else f"{value:.4f} +- {error:.4f}"
    return f"  {text:>{width}}"
