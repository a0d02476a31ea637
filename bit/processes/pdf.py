"""Parton densities: a shipped grid with a cubic spline, and an analytic stand-in.

Both kinds answer one question, ``xf(ids, x, q)``, for many partons at once, since the knots of the
spline have to be found only once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import as_file, files
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.interpolate import NdBSpline, make_interp_spline

from bit.basis import FloatArray
from bit.errors import InputError

SHIPPED_GRID = "nnpdf31_lo_as_0118"


class PartonDensities(Protocol):
    """What a process needs to know of the proton."""

    def xf(self, ids: Sequence[int], x: npt.ArrayLike, q: npt.ArrayLike) -> FloatArray:
        """Momentum densities x f(x, Q); see `PDF.xf`."""


@dataclass(frozen=True, eq=False)
class PDF:
    """Parton densities on a grid, interpolated by a bicubic spline in (ln x, ln Q^2).

    Parameters
    ----------
    x : ndarray of float64, shape (n_x,)
        Knots, increasing, up to 1.
    q : ndarray of float64, shape (n_q,)
        Knots of the factorisation scale in GeV, increasing.
    values : ndarray of float64, shape (n_x, n_q, n_partons)
        x f(x, Q) at the knots.
    ids : tuple of int
        PDG identities of the partons, 21 the gluon.
    origin : str
        Where the numbers come from, with the citation.

    Notes
    -----
    The spline passes through all knots and has continuous second derivatives (not-a-knot at the
    edges), where LHAPDF (arXiv:1412.7420) uses a local bicubic with the same values at the knots.
    """

    x: FloatArray
    q: FloatArray
    values: FloatArray
    ids: tuple[int, ...]
    origin: str

    @cached_property
    def _spline(self) -> NdBSpline:
        along_x = make_interp_spline(np.log(self.x), self.values, k=3, axis=0)
        along_q = make_interp_spline(2.0 * np.log(self.q), along_x.c, k=3, axis=1)
        # scipy moves the axis of interpolation to the front; NdBSpline wants (x, Q, parton).
        coefficients = np.ascontiguousarray(np.moveaxis(along_q.c, 0, 1))
        return NdBSpline((along_x.t, along_q.t), coefficients, 3)

    def _spline_of(self, ids: Sequence[int]) -> NdBSpline:
        """Spline of some columns: a fraction of the cost of all eleven."""
        unknown = [parton for parton in ids if parton not in self.ids]
        if unknown:
            raise InputError(f"no parton with PDG identity {unknown[0]} in this grid; it has {list(self.ids)}.")
        columns = [self.ids.index(parton) for parton in ids]
        return NdBSpline(self._spline.t, np.ascontiguousarray(self._spline.c[..., columns]), 3)

    def xf(self, ids: Sequence[int], x: npt.ArrayLike, q: npt.ArrayLike) -> FloatArray:
        """Momentum densities x f(x, Q) of some partons.

        Parameters
        ----------
        ids : sequence of int
            PDG identities, such as ``(2, -2)``.
        x : array-like of shape (...)
            Momentum fractions; x >= 1 gives 0, x below the grid is set to its lowest knot.
        q : array-like of shape (...)
            Factorisation scale in GeV, broadcast against `x`; set to the edge of the grid outside of it.

        Returns
        -------
        ndarray of float64, shape (..., n_ids)
            x f(x, Q), without unit. Small negative values occur, as in the fit, where a density is
            compatible with 0.

        Raises
        ------
        InputError
            If the grid lacks a parton.
        """
        fraction, scale = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(q, dtype=np.float64))
        points = np.empty((*fraction.shape, 2))
        points[..., 0] = np.log(np.clip(fraction, self.x[0], 1.0))
        points[..., 1] = 2.0 * np.log(np.clip(scale, self.q[0], self.q[-1]))
        density: FloatArray = self._spline_of(ids)(points)
        density[fraction >= 1.0] = 0.0
        return density


@dataclass(frozen=True)
class AnalyticPDF:
    """Densities x f(x) = A x^a (1 - x)^b without scale dependence, for tests and teaching.

    Parameters
    ----------
    parameters : mapping of int to (float, float, float)
        A, a and b for each PDG identity; partons that are not named have density 0.
    """

    parameters: Mapping[int, tuple[float, float, float]]

    def xf(self, ids: Sequence[int], x: npt.ArrayLike, q: npt.ArrayLike) -> FloatArray:
        """Momentum densities x f(x) of some partons.

        Parameters
        ----------
        ids : sequence of int
            PDG identities.
        x : array-like of shape (...)
            Momentum fractions above 0; x >= 1 gives 0.
        q : array-like of shape (...)
            Factorisation scale in GeV; only its shape is used.

        Returns
        -------
        ndarray of float64, shape (..., n_ids)
            x f(x), without unit.
        """
        fraction = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(q, dtype=np.float64))[0]
        rest = np.clip(1.0 - fraction, 0.0, None)
        columns = []
        for parton in ids:
            norm, low, high = self.parameters.get(parton, (0.0, 0.0, 1.0))
            columns.append(np.where(rest > 0.0, norm * fraction**low * rest**high, 0.0))
        return np.stack(columns, axis=-1)


@cache
def load() -> PDF:
    """Parton densities that the package ships.

    NNPDF3.1 at leading order, alpha_s(mZ) = 0.118, central member, for eleven partons,
    1e-6 <= x <= 1 and 10 GeV <= Q <= 13 TeV.

    Returns
    -------
    PDF
        The grid; read once per process.

    Notes
    -----
    NNPDF Collaboration, arXiv:1706.00428. The grid is made by ``data/make_pdf_grid.py`` from the set
    ``NNPDF31_lo_as_0118`` of LHAPDF.
    """
    with as_file(files("bit.processes") / "pdfs" / f"{SHIPPED_GRID}.npz") as path, np.load(path) as grid:
        return PDF(
            grid["x"],
            grid["q"],
            grid["values"].astype(np.float64),
            tuple(int(parton) for parton in grid["ids"]),
            str(grid["origin"]),
        )


def toy() -> AnalyticPDF:
    """Analytic densities with roughly the shape of a proton at 300 GeV, for use without any grid.

    Returns
    -------
    AnalyticPDF
        Up, down, their antiquarks and the gluon, each a fit to the shipped grid at Q = 300 GeV that is good
        to 25 % for 1e-3 < x < 0.1. Meant for tests and teaching, not for rates.
    """
    return AnalyticPDF(
        {
            2: (0.33, -0.23, 1.3),
            1: (0.24, -0.28, 3.5),
            -1: (0.10, -0.42, 6.4),
            -2: (0.09, -0.44, 8.2),
            21: (0.34, -0.71, 7.35),
        }
    )
