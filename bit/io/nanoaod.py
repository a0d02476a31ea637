"""Event tables from NanoAOD, the CMS format, with its reweighting weights."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final
from warnings import warn

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import BitWarning, FileFormatError, InputError
from bit.events import EventTable
from bit.io._builder import Column
from bit.io._metadata import to_fb
from bit.io._plan import Plan
from bit.io._weight_ids import CENTRAL, base_points
from bit.io.root import fill_table, sum_branch

_WEIGHT: Final = "genWeight"
_ROUNDING: Final = 2.0**-14 / np.sqrt(12.0)
"""Standard deviation of the relative rounding error of a number with 14 bits of mantissa, at most."""
_NOISE: Final = 0.1


def read_nanoaod(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    points: Mapping[str, Mapping[str, float]] | Sequence[str],
    features: Sequence[str],
    xsec_pb: float,
    params: Sequence[str] | None = None,
    reference: ThetaLike | None = None,
    order: int = 2,
    weights: str = "LHEReweightingWeight",
    sum_of_weights: float | None = None,
    aux: Sequence[str] = (),
    max_events: int | None = None,
    step_size: int | str = "100 MB",
    show_progress: bool = True,
) -> EventTable:
    """Read NanoAOD files with reweighting weights into an event table.

    Parameters
    ----------
    paths : str, path-like, or sequence of them
        Files of ONE sample.
    points : mapping of str to {coefficient: value}, or sequence of str
        The weights in the order in which they are stored. Either the base point (TeV^-2) of each, as
        `bit.io.reweight_card.read_reweight_card` gives them; its further key ``"XWGTUP"`` is the point at which the
        events were made, whose weight is the central one. Or their names, if those tell the coefficients, as
        ``["SM", "cHW_1p0", ...]`` (grammar: `bit.read_lhe`).
    features : sequence of str
        Branches with one number per event, or elements of jagged branches, ``"GenJet_pt[0]"``, NaN in events that
        have fewer.
    xsec_pb : float
        Cross-section of the sample as generated, in pb: that of its central weights.
    params : sequence of str, optional
        Coefficients; default: all that the points name, in the order of their appearance.
    reference : array-like of shape (n_params,) or mapping, optional
        Reference point of the table, default 0, the SM.
    order : {1, 2}, default=2
        Order of the polynomial.
    weights : str, default="LHEReweightingWeight"
        Branch with the weights, stored as ratios to the central one.
    sum_of_weights : float, optional
        Sum of ``genWeight`` over all events that were generated. Default: ``genEventSumw``, summed over the trees
        ``Runs`` of all files; events that a selection dropped are thus accounted for.
    aux : sequence of str, optional
        Further branches to carry along, such as ``["event", "luminosityBlock"]``.
    max_events : int, optional
        Read at most so many; as with `EventTable.take`, weights are not rescaled.
    step_size : int or str, default="100 MB"
        Events, or memory, per chunk.
    show_progress : bool, default=True
        Show a progress bar on a terminal.

    Returns
    -------
    EventTable
        Weights in fb, ratio * genWeight * xsec / sum of weights, as derivatives. Aux ``genWeight`` and
        ``closure_residual``: the largest deviation of the polynomial from a weight of the event, relative to its
        largest weight (rounding alone gives up to 3e-5 or so; 0 where points and terms are equally many).

    Raises
    ------
    InputError
        For missing files, branches or trees, points that do not determine the terms, a cross-section or a sum of
        weights that is not positive.
    FileFormatError
        If a file is damaged, or its events do not have as many weights as `points` names.

    Warns
    -----
    BitWarning
        If more than one weight of an event is exactly 1: a weight that was missing in the LHE event keeps this
        value silently, as does one that rounding cannot tell from the central weight. If rounding of the ratios makes
        up more than 10% of the spread of a term; the condition number of the points is then quoted. If
        in more than 1% of the events the polynomial misses a weight by more than 10^-3 of the largest one.

    Notes
    -----
    Ratios are stored with 14 bits of mantissa, a relative step of 6e-5, so that second derivatives from base points
    that lie close together are noise: prefer base points far apart.
    """
    if not (np.isfinite(xsec_pb) and xsec_pb > 0):
        raise InputError(f"xsec_pb={xsec_pb}: the cross-section of the sample in pb must be positive.")
    for option, names in (("points", points), ("features", features), ("params", params), ("aux", aux)):
        if isinstance(names, str):
            raise InputError(f"{option}={names!r}: give a list of names, such as [{names!r}].")
    ratios = _Ratios(points, params, reference, order, weights)
    plan = Plan(
        features=list(features),
        feature_names=list(features),
        units=None,
        aux={name: name for name in dict.fromkeys([_WEIGHT, *aux])},
        weights=[weights],
        basis=ratios.basis,
        points=ratios.grid,
    )
    total = sum_branch(paths, "Runs", "genEventSumw") if sum_of_weights is None else sum_of_weights
    if not (np.isfinite(total) and total > 0):
        raise InputError(f"the sum of weights is {total}: it must be positive; give sum_of_weights=.")
    builder = fill_table(
        paths,
        "Events",
        plan,
        prepare=ratios.prepared,
        max_events=max_events,
        step_size=step_size,
        show_progress=show_progress,
    )
    where = str(paths if isinstance(paths, str | os.PathLike) else next(iter(paths)))
    ratios.warn(where)
    factor = to_fb("pb", "sum", 1) * xsec_pb / total
    return builder.table(factor, where, {"closure_residual": builder.residual})


class _Ratios:
    """The stored ratios: which of them are base points, and what is odd about them."""

    def __init__(
        self,
        points: Mapping[str, Mapping[str, float]] | Sequence[str],
        params: Sequence[str] | None,
        reference: ThetaLike | None,
        order: int,
        branch: str,
    ) -> None:
        names = list(points)
        if not all(isinstance(name, str) for name in names):
            raise InputError(
                f"points={names[:5]}...: numbers carry no coefficients; give names such as 'cHW_1p0', or the base "
                "points from the reweight card (read_reweight_card)."
            )
        self._names = [name for name in names if name != CENTRAL]
        used = base_points(self._names, points if isinstance(points, Mapping) else None, params, "points")
        if params is None:
            params = list(dict.fromkeys(name for point in used.values() for name in point))
        self.basis = PolynomialBasis(params, order=order, reference=reference)
        self.grid = np.array([self.basis.as_theta(point) for point in used.values()]).reshape(-1, len(params))
        self._columns = [self._names.index(name) if name != CENTRAL else len(self._names) for name in used]
        fit = self.basis.from_base_points(self.grid, np.eye(len(self.grid)))
        self._solution, self._condition = fit.weights, fit.condition
        self._branch = branch
        self._n_events = self._n_ones = 0
        self._squares: FloatArray = np.zeros(len(self.grid))
        self._derivatives: FloatArray = np.zeros((2, self.basis.n_terms))

    def prepared(self, column: Column) -> Column:
        """Turn the ratios of a chunk into weights at the base points."""

        def prepare(name: str) -> npt.NDArray[Any]:
            if name != self._branch:
                return column(name)
            ratios = np.asarray(column(name), dtype=np.float64)
            if ratios.ndim != 2 or ratios.shape[1] != len(self._names):
                found = ratios.shape[1] if ratios.ndim == 2 else "one number"
                raise FileFormatError(
                    f"{self._branch}: {found} weights per event, but points names {len(self._names)}; name all "
                    "weights in the order of the reweight card."
                )
            self._inspect(ratios)
            central = np.column_stack([ratios, np.ones(len(ratios))])
            weights: FloatArray = central[:, self._columns] * column(_WEIGHT)[:, np.newaxis]
            return weights

        return prepare

    def _inspect(self, ratios: FloatArray) -> None:
        """Collect what the warnings need."""
        used = np.column_stack([ratios, np.ones(len(ratios))])[:, self._columns]
        derivatives = used @ self._solution
        self._n_events += len(ratios)
        self._n_ones += int(((ratios == 1.0).sum(axis=1) > 1).sum())
        self._squares += (used**2).sum(axis=0)
        self._derivatives += np.stack([derivatives.sum(axis=0), (derivatives**2).sum(axis=0)])

    def warn(self, where: str) -> None:
        """Warn of weights that are exactly 1, and of terms that are rounding errors."""
        if self._n_ones:
            warn(
                f"{where}: in {self._n_ones} of {self._n_events} events more than one weight is exactly 1, as it is "
                "where a weight was missing in the LHE event, or a base point is too close to the point of generation.",
                BitWarning,
                stacklevel=3,
            )
        mean, square = self._derivatives / self._n_events
        spread = np.sqrt(np.maximum(square - mean**2, 0.0))
        rounded = np.array(self._columns) < len(self._names)  # the central weight is exact
        noise = _ROUNDING * np.sqrt((rounded * self._squares / self._n_events) @ self._solution**2)
        # A term that scales all events alike is rounded alike in all of them: its spread is 0, not noise.
        noisy = [
            f"{'*'.join(term)} ({100 * min(1.0, n / s):.0f}%)"
            for term, n, s in zip(self.basis.terms, noise.tolist(), spread.tolist(), strict=True)
            if term and _NOISE * s < n < s / _NOISE
        ]
        if noisy:
            warn(
                f"{where}: weights are stored with 14 bits, and rounding makes up a good part of the spread of "
                f"{', '.join(noisy)}; use base points farther apart (condition number: {self._condition:.3g}).",
                BitWarning,
                stacklevel=3,
            )
