"""Formulas that are exactly odd or even under CP: prefactors, even inputs, and antisymmetrised forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bit.basis import FloatArray
from bit.distill._targets import IntArray, Sample
from bit.errors import InputError
from bit.expression import Expression
from bit.expression.fold import fold
from bit.expression.nodes import Constant, Node, Variable, call, evaluate
from bit.parity import CPParity

# Deviation from the symmetry that is rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Symmetry:
    """What a formula must do under CP.

    Attributes
    ----------
    parity : CPParity
        How CP acts on the features in use.
    sign : int
        -1 if the formula must change sign, else 1.
    features : tuple of str
        Features in use.
    """

    parity: CPParity
    sign: int
    features: tuple[str, ...]

    def holds(self, node: Node) -> bool:
        """Tell whether the symmetry follows from the form of a formula.

        Parameters
        ----------
        node : node
            The formula.

        Returns
        -------
        bool
            False is no proof of the contrary.
        """
        try:
            return Expression(node, self.features).cp_sign(self.parity) == self.sign
        except (InputError, OverflowError, ZeroDivisionError):
            return False

    def holds_numerically(self, node: Node, columns: Mapping[str, FloatArray]) -> bool:
        """Tell whether the values at the CP images of events agree up to rounding.

        Parameters
        ----------
        node : node
            The formula.
        columns : mapping of str to ndarray, shape (n_events,)
            Features by name.

        Returns
        -------
        bool
            |f(Cx) - sign f(x)| <= 1e-9 max |f|.
        """
        here, there = evaluate(node, columns), evaluate(node, self.images(columns))
        return bool(np.abs(there - self.sign * here).max() <= _ROUNDING * np.abs(here).max())

    def images(self, columns: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Features of the CP images.

        Parameters
        ----------
        columns : mapping of str to ndarray, shape (n_events,)
            Features by name.

        Returns
        -------
        dict of str to ndarray
            The same features.
        """
        mirrored = self.parity.mirror(np.stack([columns[name] for name in self.features], axis=-1), self.features)
        return dict(zip(self.features, mirrored.T.astype(np.float64), strict=True))

    def projected(self, node: Node) -> Node | None:
        """Return (f(x) + sign f(Cx)) / 2 in short form.

        Parameters
        ----------
        node : node
            The formula.

        Returns
        -------
        node or None
            None if it cannot be folded.
        """
        image = Expression(node, self.features).mirrored(self.parity).node
        half = call("mul", Constant(0.5), call("add" if self.sign > 0 else "sub", node, image))
        try:
            return fold(half)
        except (InputError, OverflowError, ZeroDivisionError):
            return None

    def with_images(self, sample: Sample, rows: IntArray, rng: np.random.Generator) -> Sample:
        """Return rows of a sample, about half of them, at random, replaced by their CP images.

        Parameters
        ----------
        sample : Sample
            Events.
        rows : ndarray of int64, shape (n_rows,)
            Indices.
        rng : numpy.random.Generator
            Decides.

        Returns
        -------
        Sample
            With the weights of the rows.
        """
        part = sample.take(rows, sample.weights[rows])
        images, mirrored = self.images(part.columns), rng.random(len(rows)) < 0.5
        columns = {name: np.where(mirrored, images[name], part.columns[name]) for name in self.features}
        return Sample(columns, np.where(mirrored, self.sign * part.target, part.target), part.weights)

    def prefactor(self, sample: Sample, operators: Sequence[str]) -> Node | None:
        """Odd function of one or two features that has most to do with an odd target; None for an even one.

        Parameters
        ----------
        sample : Sample
            Events.
        operators : sequence of str
            That formulas may use.

        Returns
        -------
        node or None
            A flipped feature, its sine, or the difference of swapped ones, by captured information.
        """
        if self.sign > 0:
            return None
        library: list[Node] = [Variable(name) for name in self.parity.flip]
        if "sin" in operators:
            library += [call("sin", Variable(name)) for name in self.parity.flip]
        library += [call("sub", Variable(first), Variable(second)) for first, second in self.parity.swap]
        captured = [sample.rho2(evaluate(node, sample.columns)) for node in library]
        return library[int(np.argmax(captured))]

    def even_inputs(self, operators: Sequence[str]) -> dict[str, Node]:
        """Functions of the features that CP leaves as they are.

        Parameters
        ----------
        operators : sequence of str
            That formulas may use.

        Returns
        -------
        dict of str to node
            By a text that tells what they are.
        """
        swapped = {name for pair in self.parity.swap for name in pair}
        inputs: dict[str, Node] = {
            name: Variable(name) for name in self.features if name not in self.parity.flip and name not in swapped
        }
        for name in self.parity.flip:
            inputs[f"{name}^2"] = call("square", Variable(name))
            if "sin" in operators or "cos" in operators:
                inputs[f"cos({name})"] = call("cos", Variable(name))
        for first, second in self.parity.swap:
            inputs[f"{first}+{second}"] = call("add", Variable(first), Variable(second))
            inputs[f"{first}*{second}"] = call("mul", Variable(first), Variable(second))
        return inputs


def symmetry_of(parity: CPParity | None, sign: int, features: tuple[str, ...]) -> Symmetry | None:
    """Restrict a parity to the features in use.

    Parameters
    ----------
    parity : CPParity or None
        How CP acts.
    sign : int
        -1 for an odd target, else 1.
    features : tuple of str
        In use.

    Returns
    -------
    Symmetry or None
        None without a parity.

    Raises
    ------
    InputError
        If half of a swapped pair is used, or nothing that could make a formula odd.
    """
    if parity is None:
        return None
    for pair in parity.swap:
        if sum(name in features for name in pair) == 1:
            raise InputError(f"CP swaps {pair[0]!r} and {pair[1]!r}, but only one is among the features; use both.")
    flip = tuple(name for name in parity.flip if name in features)
    swap = tuple(pair for pair in parity.swap if pair[0] in features)
    if sign < 0 and not flip and not swap:
        raise InputError(
            f"none of the features {', '.join(features)} changes under CP, so no formula of them is odd; add one of "
            f"{', '.join((*parity.flip, *(name for pair in parity.swap for name in pair))) or 'those that do'}."
        )
    return Symmetry(CPParity(flip=flip, swap=swap), sign, features)
