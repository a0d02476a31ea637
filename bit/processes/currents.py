"""Spinors and currents of massless fermions, vectorised over events.

Metric (+, -, -, -), four-vectors (E, px, py, pz) on the last axis with upper indices, and
eps_{0123} = +1, so that eps(a, b, c, d) is the determinant with rows a, b, c, d.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray

ComplexArray: TypeAlias = npt.NDArray[np.complex128]
Chirality: TypeAlias = Literal[-1, 1]


def dot(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Minkowski product a.b without complex conjugation.

    Parameters
    ----------
    a, b : ndarray of float64 or complex128, shape (..., 4)
        Four-vectors.

    Returns
    -------
    ndarray, shape (...)
        a0 b0 - a1 b1 - a2 b2 - a3 b3, in the product of the units.
    """
    products = a * b
    result: npt.NDArray[Any] = products[..., 0] - products[..., 1:].sum(axis=-1)
    return result


def levi_civita(a: npt.NDArray[Any], b: npt.NDArray[Any], c: npt.NDArray[Any], d: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Contraction eps_{mu nu rho sigma} a^mu b^nu c^rho d^sigma.

    Parameters
    ----------
    a, b, c, d : ndarray of float64 or complex128, shape (..., 4)
        Four-vectors.

    Returns
    -------
    ndarray, shape (...)
        Determinant of the matrix with rows a, b, c, d, by Laplace's expansion in pairs of rows.
    """

    def minor(u: npt.NDArray[Any], v: npt.NDArray[Any], i: int, j: int) -> Any:
        return u[..., i] * v[..., j] - u[..., j] * v[..., i]

    result: npt.NDArray[Any] = (
        minor(a, b, 0, 1) * minor(c, d, 2, 3)
        - minor(a, b, 0, 2) * minor(c, d, 1, 3)
        + minor(a, b, 0, 3) * minor(c, d, 1, 2)
        + minor(a, b, 1, 2) * minor(c, d, 0, 3)
        - minor(a, b, 1, 3) * minor(c, d, 0, 2)
        + minor(a, b, 2, 3) * minor(c, d, 0, 1)
    )
    return result


def spinor(p: FloatArray, chirality: Chirality) -> ComplexArray:
    """Weyl spinor chi_h(p) of a massless momentum, with chi chi^dagger = p.sigma-bar or p.sigma.

    With p+ = E + pz and pT = px + i py:  chi_+ = (sqrt(p+), pT/sqrt(p+)),
    chi_- = (-pT*/sqrt(p+), sqrt(p+)); for p+ = 0:  chi_+ = (0, sqrt(2E)), chi_- = (-sqrt(2E), 0).

    Parameters
    ----------
    p : ndarray of float64, shape (..., 4)
        Massless momenta in GeV with E > 0.
    chirality : {-1, 1}
        Left (-1) or right (+1).

    Returns
    -------
    ndarray of complex128, shape (..., 2)
        In sqrt(GeV).
    """
    transverse = p[..., 1] + 1j * p[..., 2]
    # E + pz cancels in the backward half, where pT^2/(E - pz) is the same and does not.
    ahead = np.sqrt(p[..., 0] + np.abs(p[..., 3]))
    root = np.where(p[..., 3] > 0.0, ahead, np.abs(transverse) / ahead)
    backward = root == 0.0
    root = np.where(backward, 1.0, root)
    large = np.where(backward, 0.0, root)
    small = np.where(backward, np.sqrt(2.0 * p[..., 0]), transverse / root)
    if chirality > 0:
        return np.stack([large + 0j, small], axis=-1)
    return np.stack([-small.conj(), large + 0j], axis=-1)


def spinor_product(a: ComplexArray, b: ComplexArray) -> ComplexArray:
    """Product <ab> = chi_-(a)^dagger chi_+(b) of two right-handed spinors, the determinant of their components.

    It is antisymmetric, and |<ab>|^2 = 2 p_a.p_b.

    Parameters
    ----------
    a, b : ndarray of complex128, shape (..., 2)
        Spinors chi_+ of `spinor`.

    Returns
    -------
    ndarray of complex128, shape (...)
        In GeV.
    """
    result: ComplexArray = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return result


def current(a: FloatArray, b: FloatArray, chirality: Chirality) -> ComplexArray:
    """Form the current J_h^mu(a, b) = chi_h(a)^dagger sigma_h^mu chi_h(b), with sigma_h = (1, h sigma_i).

    It is conserved: J.q = 0 for the momentum q that the line exchanges.

    - scattering k -> p:         ``current(p, k, h)``, q = k - p into the vertex;
    - annihilation f(k) fbar(l): ``current(l, k, h)``, q = k + l into the vertex;
    - decay V -> f(p) fbar(l):   ``current(p, l, h)``, q = p + l out of the vertex.

    Parameters
    ----------
    a : ndarray of float64, shape (..., 4)
        Outgoing fermion or incoming antifermion, GeV.
    b : ndarray of float64, shape (..., 4)
        Incoming fermion or outgoing antifermion, GeV.
    chirality : {-1, 1}
        Left (-1) or right (+1).

    Returns
    -------
    ndarray of complex128, shape (..., 4)
        In GeV.
    """
    bra, ket = spinor(a, chirality).conj(), spinor(b, chirality)
    upper, lower = bra[..., 0] * ket[..., 0], bra[..., 1] * ket[..., 1]
    cross, turned = bra[..., 0] * ket[..., 1], bra[..., 1] * ket[..., 0]
    return np.stack(
        [
            upper + lower,
            chirality * (cross + turned),
            chirality * 1j * (turned - cross),
            chirality * (upper - lower),
        ],
        axis=-1,
    )


def two_body_momentum(sqrt_s: FloatArray, m1: float, m2: float) -> FloatArray:
    """Momentum of two particles in their common rest frame.

    Parameters
    ----------
    sqrt_s : ndarray of float64, any shape
        Invariant mass of both in GeV, at least m1 + m2; below, the result is 0.
    m1, m2 : float
        Their masses in GeV.

    Returns
    -------
    ndarray of float64, same shape
        In GeV.
    """
    s = sqrt_s**2
    squared = (s - (m1 + m2) ** 2) * (s - (m1 - m2) ** 2) / (4.0 * s)
    momentum: FloatArray = np.sqrt(np.maximum(squared, 0.0))
    return momentum
