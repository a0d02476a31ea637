"""Observables measured alike: the same events for bins, the same for yields, and one kind of interval."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bit.errors import BitWarning, InputError
from bit.events import EventTable
from bit.inference.limits import limits
from bit.inference.results import Interval, Order, Others
from bit.inference.templates import ObservableLike, Template, choose_edges, fill
from bit.parity import CPParity

# On average a bin of the result needs so many simulated events, or its content is noise.
_EVENTS_PER_BIN = 10


@dataclass(frozen=True, eq=False)
class Parts:
    """Disjoint parts of a sample, each scaled to the full cross-section.

    Attributes
    ----------
    train, edges, test : EventTable
        For training, for choosing bins, and for results.
    """

    train: EventTable
    edges: EventTable
    test: EventTable

    def require_events(self, n_bins: int, key: str) -> None:
        """Refuse more bins than the events are enough for.

        Parameters
        ----------
        n_bins : int
            Bins of every observable.
        key : str
            How their number is called where it was given, for the message.

        Raises
        ------
        InputError
            If there are fewer than two events for choosing a bin, or ten for its content.
        """
        needed = {"test": _EVENTS_PER_BIN * n_bins, "edges": 2 * n_bins}
        for name, least in needed.items():
            found = getattr(self, name).n_events
            if found < least:
                raise InputError(
                    f"{found} events for {'the result' if name == 'test' else 'choosing bins'} are too few for "
                    f"{key}={n_bins}, which needs {least}; use fewer bins or more events."
                )

    def mirrored(self, cp: CPParity | None) -> Parts:
        """Return the parts with the CP image of every event, if there is a parity.

        Parameters
        ----------
        cp : CPParity or None
            Action of CP; None leaves the parts as they are.

        Returns
        -------
        Parts
            CP-symmetric exactly; an event and its image are in the same part.
        """
        if cp is None:
            return self
        return Parts(*(part.with_cp_mirror(cp) for part in (self.train, self.edges, self.test)))


@dataclass(frozen=True, eq=False)
class Experiment:
    """How all observables of a comparison are measured.

    Parameters
    ----------
    edges, test : EventTable
        Events that choose the bins, and others that fill them.
    lumi_fb : float
        Integrated luminosity in fb^-1.
    n_bins : int, default=20
        Equally probable bins of every observable.
    cl : float, default=0.95
        Confidence level.
    order, others : str
        As in `bit.inference.limits`.
    """

    edges: EventTable
    test: EventTable
    lumi_fb: float
    n_bins: int = 20
    cl: float = 0.95
    order: Order = "quadratic"
    others: Others = "zero"

    def template(self, observable: ObservableLike) -> Template:
        """Fill an observable.

        Parameters
        ----------
        observable : Observable or callable
            Of one axis, or of more, which then have as many bins in all, to the nearest whole number for each.

        Returns
        -------
        Template
            In equally probable bins, symmetric about 0 for odd observables.
        """
        n_axes = max(1, observable(self.edges.take([0])).size)
        each = self.n_bins if n_axes == 1 else max(2, round(self.n_bins ** (1 / n_axes)))
        return fill(self.test, observable, choose_edges(self.edges, observable, each), self.lumi_fb)

    def interval(self, template: Template, param: str) -> Interval:
        """Interval of one coefficient that Asimov data of the Standard Model give.

        Parameters
        ----------
        template : Template
            Expected yields.
        param : str
            The coefficient.

        Returns
        -------
        Interval
            In TeV^-2; infinite, without a warning, where the observable tells nothing.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the data do not bound", BitWarning)
            return limits(template, cl=self.cl, params=[param], others=self.others, order=self.order)[param]

    def narrowest(self, observables: Mapping[str, ObservableLike], params: Sequence[str]) -> dict[str, str]:
        """Which observable gives the narrowest interval.

        Parameters
        ----------
        observables : mapping of str to Observable
            By name, such as all features; those that cannot be binned (NaN) lose.
        params : sequence of str
            Coefficients.

        Returns
        -------
        dict of str to str
            Name of the best one for each coefficient.

        Raises
        ------
        InputError
            If none can be binned.
        """
        widths: dict[str, dict[str, float]] = {param: {} for param in params}
        for name, observable in observables.items():
            with warnings.catch_warnings():
                # Observables with few different values are expected here.
                warnings.simplefilter("ignore", BitWarning)
                try:
                    template = self.template(observable)
                except InputError:
                    continue
                for param in params:
                    pieces = self.interval(template, param).pieces
                    widths[param][name] = sum(high - low for low, high in pieces)
        if not widths[params[0]]:
            raise InputError(f"none of the features {list(observables)} can be binned: all hold NaN.")
        return {param: min(widths[param], key=widths[param].__getitem__) for param in params}
