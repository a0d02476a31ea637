"""Weight polynomials in the conventions of other tools: HyperPoly, topcoffea, combine, MadMiner.

Here a column is a derivative at the reference point (`bit.basis`): the second derivative of a diagonal term is twice
its coefficient, a mixed term is one column. Tools differ in the order of the columns, in whether they store
derivatives, coefficients or matrix elements, and in the point about which they expand:

| tool      | order                                    | second order                       | about           |
|-----------|------------------------------------------|------------------------------------|-----------------|
| bit       | graded: 1, a, b, aa, ab, bb              | derivatives                        | reference point |
| HyperPoly | graded: 1, a, b, aa, ab, bb              | coefficients                       | `ref_point`     |
| topcoffea | lower triangle: 1, a, aa, b, ba, bb      | coefficients                       | 0               |
| combine   | lower triangle: 1, a, aa, b, ba, bb      | elements of a matrix, relative   | 0               |
| MadMiner  | rows of `components`, any order          | coefficients                       | 0               |

All functions take and give arrays of shape (n, n_terms), where n counts events or bins, and are exact up to rounding.
Terms that a basis lacks are zero for the tools, which know complete quadratic polynomials only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, Term
from bit.errors import InputError

IntArray = npt.NDArray[np.int64]


# ---------------------------------------------------------------------- HyperPoly
def to_hyperpoly(weights: npt.ArrayLike, basis: PolynomialBasis) -> FloatArray:
    """Coefficients of HyperPoly (and of WeightInfo): ``p_C``, about the reference point of the basis.

    c_0 = w_0, c_a = w_a, c_aa = w_aa / 2, c_ab = w_ab.

    Parameters
    ----------
    weights : array-like of shape (n, n_terms)
        Derivatives at ``basis.reference``.
    basis : PolynomialBasis
        Their terms; ``basis.reference`` is HyperPoly's ``ref_point``.

    Returns
    -------
    ndarray of float64, shape (n, (n_params + 1)(n_params + 2)/2)
        Graded order, second order included.

    Raises
    ------
    InputError
        If the shape does not fit.

    Notes
    -----
    Two traps of HyperPoly: ``eval`` subtracts ``ref_point`` always; and ``get_parametrization`` with
    ``translate_to_SM=True`` is wrong for two or more coefficients and a reference point other than 0. Move the
    reference point with `PolynomialBasis.rebase` instead.
    """
    full, values = _completed(weights, basis)
    return values * _factor(full)


def from_hyperpoly(coefficients: npt.ArrayLike, basis: PolynomialBasis) -> FloatArray:
    """Derivatives from coefficients of HyperPoly; the inverse of `to_hyperpoly`.

    Parameters
    ----------
    coefficients : array-like of shape (n, (n_params + 1)(n_params + 2)/2)
        ``p_C`` in graded order, about ``basis.reference``.
    basis : PolynomialBasis
        All terms up to order 2, with HyperPoly's ``ref_point`` (0 if a sample states none) as reference.

    Returns
    -------
    ndarray of float64, shape (n, n_terms)
        Derivatives at ``basis.reference``.

    Raises
    ------
    InputError
        If the basis lacks terms or the shape does not fit.
    """
    return _table(coefficients, _required_full(basis)) / _factor(basis)


# ---------------------------------------------------------------------- topcoffea
def to_topcoffea(weights: npt.ArrayLike, basis: PolynomialBasis) -> FloatArray:
    """Coefficients of topcoffea (HistEFT, ``EFTfitCoefficients``, WCFit), about the Standard Model.

    q_00 = w_0, q_a0 = w_a, q_aa = w_aa / 2, q_ba = w_ab, all at 0.

    Parameters
    ----------
    weights : array-like of shape (n, n_terms)
        Derivatives at ``basis.reference``.
    basis : PolynomialBasis
        Their terms; the order of its coefficients must be that of the branch ``WCnames``.

    Returns
    -------
    ndarray of float64, shape (n, (n_params + 1)(n_params + 2)/2)
        Lower triangle row by row, the Standard Model first: (0,0), (a,0), (a,a), (b,0), (b,a), (b,b), ...

    Raises
    ------
    InputError
        If the shape does not fit.

    Notes
    -----
    HistEFT refuses a bin whose content is 0 at the Standard Model but not beyond it, and its histograms carry
    underflow and overflow as first and last rows.
    """
    full, values = _completed(weights, basis)
    at_zero = full.rebase(values, np.zeros(full.n_params))
    return (at_zero * _factor(full))[:, _triangle(full)]


def from_topcoffea(coefficients: npt.ArrayLike, basis: PolynomialBasis) -> FloatArray:
    """Derivatives from coefficients of topcoffea; the inverse of `to_topcoffea`.

    Parameters
    ----------
    coefficients : array-like of shape (n, (n_params + 1)(n_params + 2)/2)
        About the Standard Model, lower triangle row by row.
    basis : PolynomialBasis
        All terms up to order 2 of the coefficients in ``WCnames``, in that order; any reference point.

    Returns
    -------
    ndarray of float64, shape (n, n_terms)
        Derivatives at ``basis.reference``.

    Raises
    ------
    InputError
        If the basis lacks terms or the shape does not fit.
    """
    values = _table(coefficients, _required_full(basis))
    at_zero = np.empty_like(values)
    at_zero[:, _triangle(basis)] = values
    return _from_zero(at_zero / _factor(basis), basis)


# ---------------------------------------------------------------------- combine
def to_combine(weights: npt.ArrayLike, basis: PolynomialBasis) -> FloatArray:
    """Scalings of combine's ``interferenceModel``: a symmetric matrix for each bin, relative to its SM yield.

    s_00 = 1 and s_ij = w_ij / (2 w_0) for all others, w_a0 standing for w_a, so that the yield of a bin is
    w_0 v^T s v with v = (1, c_1, ..., c_n).

    Parameters
    ----------
    weights : array-like of shape (n_bins, n_terms)
        Derivatives at ``basis.reference``, summed over the events of each bin.
    basis : PolynomialBasis
        Their terms.

    Returns
    -------
    ndarray of float64, shape (n_bins, (n_params + 1)(n_params + 2)/2)
        Lower triangle row by row, the Standard Model first.

    Raises
    ------
    InputError
        If the shape does not fit, or a bin is empty at the Standard Model.

    Notes
    -----
    Early versions of the model expect the row-wise *upper* triangle (0,0), (0,a), (0,b), (a,a), ...; the two agree
    for one coefficient only. This is the lower triangle, which later versions expect.
    """
    full, values = _completed(weights, basis)
    at_zero = full.rebase(values, np.zeros(full.n_params))
    nominal = _nonzero(at_zero[:, 0])
    scaling = at_zero / (2.0 * nominal)
    scaling[:, 0] = 1.0
    return scaling[:, _triangle(full)]


def from_combine(scaling: npt.ArrayLike, nominal: npt.ArrayLike, basis: PolynomialBasis) -> FloatArray:
    """Derivatives from scalings of combine; the inverse of `to_combine`.

    Parameters
    ----------
    scaling : array-like of shape (n_bins, (n_params + 1)(n_params + 2)/2)
        Lower triangle row by row.
    nominal : array-like of shape (n_bins,)
        Yields or cross-sections at the Standard Model.
    basis : PolynomialBasis
        All terms up to order 2; any reference point.

    Returns
    -------
    ndarray of float64, shape (n_bins, n_terms)
        Derivatives at ``basis.reference``, in the unit of `nominal`.

    Raises
    ------
    InputError
        If the basis lacks terms, a shape does not fit, or a first element is not 1 (an upper triangle has it too;
        only the caller knows which one a file holds).
    """
    values = _table(scaling, _required_full(basis))
    yields = np.asarray(nominal, dtype=np.float64)
    if yields.shape != (len(values),):
        raise InputError(f"nominal has shape {yields.shape}, expected ({len(values)},): one yield for each bin.")
    if not np.allclose(values[:, 0], 1.0, rtol=0.0, atol=1e-6):
        raise InputError(f"scaling[:, 0]={values[:, 0].tolist()}: the first element of each bin must be 1.")
    at_zero = np.empty_like(values)
    at_zero[:, _triangle(basis)] = 2.0 * values * yields[:, np.newaxis]
    at_zero[:, 0] = yields
    return _from_zero(at_zero, basis)


# ---------------------------------------------------------------------- MadMiner
@dataclass(frozen=True)
class MadMinerWeights:
    """Weights as a MadMiner file holds them.

    Attributes
    ----------
    weights : ndarray of float64, shape (n, n_benchmarks)
        Weights at the benchmarks, in the unit that was given (MadMiner's own is pb).
    components : ndarray of int64, shape (n_components, n_params)
        Powers of the coefficients in each component of the polynomial.
    morphing_matrix : ndarray of float64, shape (n_components, n_benchmarks)
        Coefficients of the polynomial from weights: ``weights @ morphing_matrix.T``.
    """

    weights: FloatArray
    components: IntArray
    morphing_matrix: FloatArray


def to_madminer(weights: npt.ArrayLike, basis: PolynomialBasis, benchmarks: npt.ArrayLike) -> MadMinerWeights:
    """Weights at benchmarks with the matrix that turns them into coefficients about 0, as MadMiner stores them.

    Parameters
    ----------
    weights : array-like of shape (n, n_terms)
        Derivatives at ``basis.reference``.
    basis : PolynomialBasis
        Their terms.
    benchmarks : array-like of shape (n_benchmarks, n_params)
        Points that determine all terms up to order 2.

    Returns
    -------
    MadMinerWeights
        Weights, components and morphing matrix.

    Raises
    ------
    InputError
        If a shape does not fit or the benchmarks do not determine all terms.
    """
    full, values = _completed(weights, basis)
    points = np.atleast_2d(basis.as_theta(benchmarks))
    zero = full.at_reference(np.zeros(full.n_params))
    # Fitted to unit weights, the benchmarks give the matrix itself, and an error if they are too few or alike.
    unit = zero.from_base_points(points, np.eye(len(points))).weights
    return MadMinerWeights(
        weights=values @ full.monomials(points).T,
        components=_powers(full),
        morphing_matrix=(unit * _factor(full)).T,
    )


def from_madminer(
    weights: npt.ArrayLike, components: npt.ArrayLike, morphing_matrix: npt.ArrayLike, basis: PolynomialBasis
) -> FloatArray:
    """Derivatives from MadMiner's weights at benchmarks; the inverse of `to_madminer`.

    C = W M^T and w(theta) = sum_k C_k prod_i theta_i^P_ki, so that w_a = C_k for the powers e_a, w_aa = 2 C_k for 2 e_a
    and w_ab = C_k for e_a + e_b, at 0; then moved to the reference point. Powers that `components` lacks are 0.

    Parameters
    ----------
    weights : array-like of shape (n, n_benchmarks)
        Weights at the physics benchmarks (columns of nuisance benchmarks dropped).
    components : array-like of int, shape (n_components, n_params)
        Powers P of each component.
    morphing_matrix : array-like of shape (n_components, n_benchmarks)
        Matrix M.
    basis : PolynomialBasis
        All terms up to order 2 of the parameters of the file, in its order; any reference point.

    Returns
    -------
    ndarray of float64, shape (n, n_terms)
        Derivatives at ``basis.reference``.

    Raises
    ------
    InputError
        If the basis lacks terms, shapes do not fit, or a component has a total power beyond 2.

    Notes
    -----
    The polynomial is one in the *stored* parameters: where ``parameters/transforms`` relates them to the values of
    the card, see `bit.io.madminer.read_madminer`. MadMiner: arXiv:1907.10621.
    """
    _required_full(basis)
    values, powers = np.asarray(weights, dtype=np.float64), np.asarray(components)
    matrix = np.asarray(morphing_matrix, dtype=np.float64)
    if powers.ndim != 2 or powers.shape[1] != basis.n_params:
        raise InputError(f"components have shape {powers.shape}, expected (n_components, {basis.n_params}).")
    if values.ndim != 2 or matrix.shape != (len(powers), values.shape[1]):
        raise InputError(
            f"weights of shape {values.shape} and a morphing matrix of shape {matrix.shape} do not fit {len(powers)} "
            "components: expected (n, n_benchmarks) and (n_components, n_benchmarks)."
        )
    column_of = {tuple(row): k for k, row in enumerate(_powers(basis).tolist())}
    for row in powers.tolist():
        if tuple(row) not in column_of:
            raise InputError(
                f"the component with powers {row} is of order {sum(row)}: weights are polynomials of order 2 at most, "
                "so this sample (such as production and decay in one coefficient) cannot be read without truncation."
            )
    coefficients = values @ matrix.T
    at_zero = np.zeros((len(values), basis.n_terms))
    np.add.at(at_zero.T, [column_of[tuple(row)] for row in powers.tolist()], coefficients.T)
    return _from_zero(at_zero / _factor(basis), basis)


# ---------------------------------------------------------------------- layouts
def _all_terms(basis: PolynomialBasis) -> tuple[Term, ...]:
    return PolynomialBasis(basis.param_names).terms


def _required_full(basis: PolynomialBasis) -> PolynomialBasis:
    missing = [term for term in _all_terms(basis) if term not in basis.terms]
    if missing:
        raise InputError(
            f"the basis lacks the terms {missing}: other tools store complete quadratic polynomials; use "
            "PolynomialBasis(param_names, reference=...) without terms= and with order=2."
        )
    return basis


def _table(values: npt.ArrayLike, basis: PolynomialBasis) -> FloatArray:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != basis.n_terms:
        raise InputError(
            f"the array has shape {table.shape}, expected (n, {basis.n_terms}) for the {basis.n_params} coefficients "
            f"{list(basis.param_names)}."
        )
    return table


def _completed(weights: npt.ArrayLike, basis: PolynomialBasis) -> tuple[PolynomialBasis, FloatArray]:
    """All terms up to order 2, zeros where the basis has none."""
    values = _table(weights, basis)
    full = PolynomialBasis(basis.param_names, reference=basis.reference)
    out = np.zeros((len(values), full.n_terms))
    out[:, [full.terms.index(term) for term in basis.terms]] = values
    return full, out


def _from_zero(at_zero: FloatArray, basis: PolynomialBasis) -> FloatArray:
    return basis.at_reference(np.zeros(basis.n_params)).rebase(at_zero, basis.reference)


def _powers(basis: PolynomialBasis) -> IntArray:
    return np.array([[term.count(name) for name in basis.param_names] for term in basis.terms], dtype=np.int64)


def _factor(basis: PolynomialBasis) -> FloatArray:
    """Coefficient over derivative: the monomials at unit displacements, 1/2 on the diagonal."""
    return basis.at_reference(np.zeros(basis.n_params)).monomials(np.ones(basis.n_params))


def _triangle(basis: PolynomialBasis) -> list[int]:
    """Columns of a complete basis in the order of a lower triangle whose first row is the Standard Model."""
    names = basis.param_names
    rows = [(), *((name,) for name in names)]
    triangle: list[int] = []
    for i, row in enumerate(rows):
        triangle.extend(basis.index(column + row) for column in rows[: i + 1])
    return triangle


def _nonzero(nominal: FloatArray) -> FloatArray:
    empty = nominal == 0.0
    if empty.any():
        raise InputError(
            f"{int(empty.sum())} bins are empty at the Standard Model (first: bin {int(np.argmax(empty))}), so "
            "scalings relative to it do not exist; merge bins."
        )
    return nominal[:, np.newaxis]
