"""The metric in which splits are judged and losses are counted.

A node with summed residual weights S and nominal weight S_0 is worth S^T Q S / S_0. With Q = L L^T and the
weights rotated once, u = L^T w, that is sum_k u_k^2 / S_0: the same cost for any number of base points. For
one linear term Q = [[1]], and the value is the Fisher information of a Poisson measurement in the node
(arXiv:2107.10859, Eq. 15).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis
from bit.errors import InputError


@dataclass(frozen=True)
class Metric:
    """The factor L of Q = L L^T and its inverse.

    Attributes
    ----------
    rotation : ndarray of float64, shape (n_outputs, n_outputs)
        ``u = w @ rotation``.
    inverse : ndarray of float64, shape (n_outputs, n_outputs)
        Rotated leaf values g give ``g @ inverse``.
    """

    rotation: FloatArray
    inverse: FloatArray

    @classmethod
    def unit(cls, n_outputs: int) -> Metric:
        """Every output as it is.

        Parameters
        ----------
        n_outputs : int
            Number of outputs.

        Returns
        -------
        Metric
            Q = 1.
        """
        return cls(np.eye(n_outputs), np.eye(n_outputs))

    @classmethod
    def from_spread(cls, spread: FloatArray) -> Metric:
        """Every output in units of its spread; outputs without spread are left out.

        Parameters
        ----------
        spread : ndarray of float64, shape (n_outputs,)
            Root of the information of each output, s_a.

        Returns
        -------
        Metric
            Q = diag(1 / s_a^2), 0 where s_a = 0.
        """
        reciprocal = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
        return cls(np.diag(reciprocal), np.diag(spread))

    @classmethod
    def from_base_points(
        cls,
        basis: PolynomialBasis,
        columns: npt.NDArray[np.int64],
        points: npt.ArrayLike,
        is_even: npt.NDArray[np.bool_] | None = None,
    ) -> Metric:
        """Sum of the information at base points, as in arXiv:2205.12976: Q = sum phi(theta) phi(theta)^T.

        Parameters
        ----------
        basis : PolynomialBasis
            Basis of the weights.
        columns : ndarray of int64, shape (n_outputs,)
            Trained terms.
        points : array-like of shape (n_points, n_params)
            Base points, absolute, in TeV^-2.
        is_even : ndarray of bool, shape (n_outputs,), optional
            With an exact parity: which terms are even. Points then stand for themselves and their CP images,
            so that even and odd terms do not mix.

        Returns
        -------
        Metric
            The Cholesky factor of Q.

        Raises
        ------
        InputError
            If the points do not resolve all trained terms.
        """
        monomials = np.atleast_2d(basis.monomials(points))[:, columns]
        unit = np.abs(monomials).max(axis=0)
        rank = np.linalg.matrix_rank(monomials / np.where(unit > 0, unit, 1.0))
        if rank < len(columns):
            names = [basis.terms[k] for k in columns]
            raise InputError(
                f"base_points: {len(monomials)} points resolve only {rank} of the {len(columns)} trained terms "
                f"{names}; add points in which these differ, such as e_a and e_a + e_b for all a <= b."
            )
        metric = monomials.T @ monomials
        if is_even is not None:
            metric = np.where(is_even[:, np.newaxis] == is_even, metric, 0.0)
        factor = np.linalg.cholesky(metric)
        return cls(np.asarray(factor, dtype=np.float64), np.asarray(np.linalg.inv(factor), dtype=np.float64))
