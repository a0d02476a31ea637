"""Formulas made shorter or better by small changes, each followed by a fit of all constants.

A search prints what selection has left over: factors of 0.98 in a sine, terms that do nothing. Removing each part in
turn, and adding the smallest parts, finds what is better at the same complexity.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bit.distill._search import SearchInterrupted
from bit.distill._targets import Sample
from bit.distill.refit import fit_constants, mean_squared_error
from bit.errors import InputError
from bit.expression.fold import fold
from bit.expression.nodes import (
    Call,
    Constant,
    Integer,
    Node,
    Variable,
    call,
    complexity,
    constants,
    with_constants,
)
from bit.expression.operators import OPERATORS
from bit.threads import Threads

# A more complex formula is kept if its error is smaller by this share.
_WORTH = 2e-3
# Changes are first fitted in few steps to few rows, and go on if their error is at most this many times that of the
# front there.
_SCREENING_STEPS, _SCREENING_ROWS, _PROMISING, _STEPS = 6, 1000, 1.15, 30
_SMALL = 0.1


@dataclass
class Front:
    """The best formula of each complexity that is better than all simpler ones.

    Attributes
    ----------
    max_complexity : int
        Formulas beyond are not kept.
    members : dict of int to (float, node)
        Error and formula by complexity.
    """

    max_complexity: int
    members: dict[int, tuple[float, Node]] = field(default_factory=dict)

    def level(self, size: int) -> float:
        """Smallest error of a formula that is not more complex.

        Parameters
        ----------
        size : int
            Complexity.

        Returns
        -------
        float
            Infinite if there is none.
        """
        return min((loss for other, (loss, _) in self.members.items() if other <= size), default=np.inf)

    def add(self, node: Node, loss: float) -> bool:
        """Keep a formula if it is worth it.

        Parameters
        ----------
        node : node
            Folded.
        loss : float
            Its error.

        Returns
        -------
        bool
            Whether it was kept.
        """
        size = complexity(node)
        if size > self.max_complexity or not loss < self.level(size) * (1.0 - _WORTH):
            return False
        self.members[size] = (loss, node)
        for other in [other for other, (worse, _) in self.members.items() if other > size]:
            if self.members[other][0] >= loss * (1.0 - _WORTH):
                del self.members[other]
        return True

    @property
    def nodes(self) -> list[Node]:
        """Formulas by complexity."""
        return [self.members[size][1] for size in sorted(self.members)]


def polish(
    seeds: Iterable[Node],
    sample: Sample,
    *,
    max_complexity: int,
    operators: Sequence[str],
    admissible: Callable[[Node], bool],
    threads: Threads,
    deadline: float | None,
    n_rounds: int,
) -> Front:
    """Fit, shorten and extend formulas until nothing helps.

    Parameters
    ----------
    seeds : iterable of node
        Where to begin.
    sample : Sample
        Rows on which changes are judged.
    max_complexity : int
        Largest number of nodes.
    operators : sequence of str
        Of these, extensions are made.
    admissible : callable
        ``admissible(node)`` tells whether a formula may stand on the front; others are only shortened.
    threads : Threads
        For the fits.
    deadline : float or None
        Value of ``time.monotonic()`` at which the front is returned as it is.
    n_rounds : int
        Extensions of extensions at most.

    Returns
    -------
    Front
        Fitted to `sample`.

    Warns
    -----
    SearchInterrupted
        On Ctrl-C; the front is returned as it is.
    """
    front = Front(max_complexity)
    seen: set[Node] = set()
    # Long and inadmissible seeds are shortened, too: their remains may be short and admissible.
    known = list(_new(seeds, seen))
    fitted = _fits(known, sample, threads, _STEPS, deadline)
    if not fitted:
        # The time is over already: formulas as they were found are better than none.
        fitted = [(node, mean_squared_error(node, sample)) for node in known]
    fresh = [node for node, _ in sorted(fitted, key=lambda item: item[1])[: 2 * max_complexity]]
    _add(front, fitted, admissible)
    fresh = list(dict.fromkeys([*front.nodes, *fresh]))
    variables = [Variable(name) for name in sample.columns]

    def longer(node: Node) -> Iterator[Node]:
        yield from _shorter(node)
        yield from _longer(node, variables, operators)

    try:
        for _ in range(4 * max_complexity):
            fresh = _add(front, _changed(fresh, _shorter, seen, sample, front, threads, deadline), admissible)
            if not fresh:
                break
        fresh = front.nodes
        for _ in range(n_rounds):
            fresh = _add(front, _changed(fresh, longer, seen, sample, front, threads, deadline), admissible)
            if not fresh:
                break
    except KeyboardInterrupt:
        if not front.members:
            raise
        warnings.warn("the polish was interrupted; the formulas until then are kept.", SearchInterrupted, stacklevel=3)
    return front


def _changed(
    nodes: Iterable[Node],
    rule: Callable[[Node], Iterator[Node]],
    seen: set[Node],
    sample: Sample,
    front: Front,
    threads: Threads,
    deadline: float | None,
) -> list[tuple[Node, float]]:
    """Changed formulas that are promising, fitted."""
    new = _new((other for node in nodes for other in rule(node)), seen)
    candidates = [node for node in new if complexity(node) <= front.max_complexity]
    few = np.arange(0, len(sample.target), max(1, len(sample.target) // _SCREENING_ROWS))
    part = sample.take(few, sample.weights[few])
    level = Front(front.max_complexity)
    level.members = {size: (mean_squared_error(node, part), node) for size, (_, node) in front.members.items()}
    rough = _fits(candidates, part, threads, _SCREENING_STEPS, deadline)
    good = [node for node, loss in rough if loss < _PROMISING * level.level(complexity(node))]
    return _fits(good, sample, threads, _STEPS, deadline)


def _add(front: Front, fitted: Iterable[tuple[Node, float]], admissible: Callable[[Node], bool]) -> list[Node]:
    """Put formulas on the front, and return those that stayed."""
    added = [
        node
        for node, loss in sorted(fitted, key=lambda item: complexity(item[0]))
        if loss < front.level(complexity(node)) and admissible(node) and front.add(node, loss)
    ]
    kept = set(front.nodes)
    return [node for node in added if node in kept]


def _new(nodes: Iterable[Node], seen: set[Node]) -> Iterator[Node]:
    """Short forms that did not come before, constants aside."""
    for node in nodes:
        try:
            short = fold(node)
        except (InputError, OverflowError, ZeroDivisionError):
            continue
        form = with_constants(short, [0.0] * len(constants(short)))
        if form not in seen:
            seen.add(form)
            yield short


def _fits(
    nodes: Iterable[Node], sample: Sample, threads: Threads, max_steps: int, deadline: float | None
) -> list[tuple[Node, float]]:
    def fit(node: Node) -> tuple[Node, float]:
        if deadline is not None and time.monotonic() > deadline:
            return node, np.inf
        return fit_constants(node, sample, max_steps=max_steps)

    return [(node, loss) for node, loss in threads.map(fit, list(nodes)) if np.isfinite(loss)]


# ---------------------------------------------------------------------- small changes
def _everywhere(node: Node, rule: Callable[[Node], Iterator[Node]]) -> Iterator[Node]:
    """Apply a rule to each node in turn, the others left as they are; whole exponents stay whole."""
    yield from rule(node)
    if isinstance(node, Call):
        whole_power = node.operator == "pow" and isinstance(node.arguments[1], Integer)
        for position, argument in enumerate(node.arguments[:1] if whole_power else node.arguments):
            for other in _everywhere(argument, rule):
                yield Call(node.operator, (*node.arguments[:position], other, *node.arguments[position + 1 :]))


def _shorter(node: Node) -> Iterator[Node]:
    """Each part replaced by one of its arguments or a constant, each constant by 0 or 1."""

    def rule(item: Node) -> Iterator[Node]:
        if isinstance(item, Constant):
            yield Integer(0)
            yield Integer(1)
        elif isinstance(item, Call):
            yield from item.arguments
            yield Constant(1.0)

    return _everywhere(node, rule)


def _longer(node: Node, variables: Sequence[Variable], operators: Sequence[str]) -> Iterator[Node]:
    """Each part extended by a constant, a variable or an operator, each variable replaced by another."""
    unary = [name for name in operators if OPERATORS[name].arity == 1]
    products, sums = "mul" in operators, "add" in operators or "sub" in operators

    def rule(item: Node) -> Iterator[Node]:
        if sums:
            yield call("add", item, Constant(_SMALL))
        for variable in variables:
            if products:
                yield call("mul", item, variable)
                yield call("mul", item, call("add", Constant(1.0), call("mul", Constant(_SMALL), variable)))
            if sums:
                yield call("add", item, call("mul", Constant(_SMALL), variable))
            if "div" in operators:
                yield call("div", item, call("add", Constant(1.0), call("mul", Constant(_SMALL), variable)))
            if isinstance(item, Variable) and item != variable:
                yield variable
        if not isinstance(item, Constant | Integer):
            for name in unary:
                yield call(name, item)

    return _everywhere(node, rule)
