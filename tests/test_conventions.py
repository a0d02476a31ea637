"""Converters: each tool's polynomial, evaluated as that tool does it, is the polynomial that went in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bit.basis import PolynomialBasis
from bit.conventions import (
    from_combine,
    from_hyperpoly,
    from_madminer,
    from_topcoffea,
    to_combine,
    to_hyperpoly,
    to_madminer,
    to_topcoffea,
)
from bit.errors import InputError

NAMES = ("ctG", "ctW", "cHq3", "cpt", "cQe1")


# ---------------------------------------------------------------------- the tools' own definitions, element by element
def hyperpoly(coefficients, reference, theta):
    """Sum of coefficients times products of displacements, graded."""
    shift = theta - reference
    n, k, total = len(shift), 1, coefficients[:, 0].copy()
    for a in range(n):
        total += coefficients[:, k] * shift[a]
        k += 1
    for a in range(n):
        for b in range(a, n):
            total += coefficients[:, k] * shift[a] * shift[b]
            k += 1
    return total


def hist_eft(coefficients, theta):
    """Sum over the lower triangle of q_ij c_i c_j with c_0 = 1."""
    c = [1.0, *theta]
    k, total = 0, np.zeros(len(coefficients))
    for i in range(len(c)):
        for j in range(i + 1):
            total += coefficients[:, k] * c[i] * c[j]
            k += 1
    return total


def interference_model(scaling, nominal, theta):
    """Nominal yield times v^T s v, with the symmetric matrix of which the scaling is the lower triangle."""
    v = np.array([1.0, *theta])
    total = np.empty(len(scaling))
    for bin_idx, triangle in enumerate(scaling):
        matrix = np.zeros((len(v), len(v)))
        matrix[np.tril_indices(len(v))] = triangle
        matrix = matrix + matrix.T - np.diag(np.diag(matrix))
        total[bin_idx] = nominal[bin_idx] * v @ matrix @ v
    return total


def morphing(weights, components, matrix, theta):
    """Sum over components of coefficients times powers."""
    return (weights @ matrix.T) @ np.prod(theta ** np.asarray(components, dtype=float), axis=1)


@st.composite
def polynomials(draw):
    """Weights of 3 events about a reference point, and 20 points; small multiples of 1/8, so of similar size."""
    n = draw(st.sampled_from([1, 2, 5]))
    eighths = st.integers(-40, 40).map(lambda k: k / 8)
    reference = draw(hnp.arrays(float, n, elements=eighths.filter(bool)))
    basis = PolynomialBasis(NAMES[:n], reference=reference)
    weights = draw(hnp.arrays(float, (3, basis.n_terms), elements=eighths))
    seed = draw(st.integers(0, 2**32 - 1))
    return basis, weights, np.random.default_rng(seed).normal(size=(20, n))


def size_of(basis, weights, theta):
    """Sum of the absolute values that are added: rounding is relative to it, not to the result."""
    largest = np.abs(np.vstack([theta, np.array(basis.reference)])).max()
    return np.abs(weights).sum() * (1 + 2 * largest) ** 2


EPS = 50 * np.finfo(float).eps  # some fifty additions and products of doubles


@settings(max_examples=40)
@given(polynomials())
def test_hyperpoly(case):
    basis, weights, points = case
    coefficients = to_hyperpoly(weights, basis)
    np.testing.assert_array_equal(from_hyperpoly(coefficients, basis), weights)  # factors of 2 do not round
    for theta in points:
        expected = weights @ basis.monomials(theta)
        found = hyperpoly(coefficients, np.array(basis.reference), theta)
        np.testing.assert_allclose(found, expected, rtol=0, atol=EPS * size_of(basis, weights, theta))


@settings(max_examples=40)
@given(polynomials())
def test_topcoffea(case):
    basis, weights, points = case
    coefficients = to_topcoffea(weights, basis)
    # reference points and weights are small dyadic numbers, so that moving there and back does not round
    np.testing.assert_array_equal(from_topcoffea(coefficients, basis), weights)
    for theta in points:
        expected = weights @ basis.monomials(theta)
        found = hist_eft(coefficients, theta)
        np.testing.assert_allclose(found, expected, rtol=0, atol=EPS * size_of(basis, weights, theta))


@settings(max_examples=40)
@given(polynomials())
def test_combine(case):
    basis, weights, points = case
    nominal = weights @ basis.monomials(np.zeros(basis.n_params))
    weights[:, 0] += np.where(nominal == 0, 1.0, 0.0)  # the SM yield must not vanish
    nominal = weights @ basis.monomials(np.zeros(basis.n_params))
    scaling = to_combine(weights, basis)
    np.testing.assert_array_equal(scaling[:, 0], 1.0)
    size = size_of(basis, weights, points)
    np.testing.assert_allclose(from_combine(scaling, nominal, basis), weights, rtol=0, atol=EPS * size)
    for theta in points:
        expected = weights @ basis.monomials(theta)
        found = interference_model(scaling, nominal, theta)
        np.testing.assert_allclose(found, expected, rtol=0, atol=EPS * size)


@settings(max_examples=40)
@given(polynomials())
def test_madminer(case):
    basis, weights, points = case
    full = PolynomialBasis(basis.param_names)
    # 0, +-1 and pairs of ones determine every term, and the system is solved with a small condition number
    eye = np.eye(basis.n_params)
    pairs = [eye[a] + eye[b] for a in range(basis.n_params) for b in range(a)]
    benchmarks = np.vstack([np.zeros(basis.n_params), eye, -eye, *pairs])
    stored = to_madminer(weights, basis, benchmarks)
    assert stored.weights.shape == (3, len(benchmarks))
    assert stored.morphing_matrix.shape == (full.n_terms, len(benchmarks))
    condition = full.from_base_points(benchmarks, np.ones((1, len(benchmarks)))).condition
    size = condition * size_of(basis, weights, points)
    back = from_madminer(stored.weights, stored.components, stored.morphing_matrix, basis)
    np.testing.assert_allclose(back, weights, rtol=0, atol=EPS * size)
    # rows of components may stand in any order
    order = np.random.default_rng(1).permutation(full.n_terms)
    shuffled = from_madminer(stored.weights, stored.components[order], stored.morphing_matrix[order], basis)
    np.testing.assert_allclose(shuffled, weights, rtol=0, atol=EPS * size)
    for theta in points:
        expected = weights @ basis.monomials(theta)
        found = morphing(stored.weights, stored.components, stored.morphing_matrix, theta)
        np.testing.assert_allclose(found, expected, rtol=0, atol=EPS * size)


# ---------------------------------------------------------------------- layouts by hand
def test_layouts_of_two_coefficients():
    basis = PolynomialBasis(["a", "b"])
    weights = np.array([[2.0, 10.0, 20.0, 100.0, 200.0, 400.0]])  # w, a, b, aa, ab, bb
    np.testing.assert_array_equal(to_hyperpoly(weights, basis), [[2, 10, 20, 50, 200, 200]])
    np.testing.assert_array_equal(to_topcoffea(weights, basis), [[2, 10, 50, 20, 200, 200]])
    np.testing.assert_array_equal(to_combine(weights, basis), [[1, 2.5, 25, 5, 50, 100]])
    stored = to_madminer(weights, basis, [[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1], [1, 1]])
    assert stored.components.tolist() == [[0, 0], [1, 0], [0, 1], [2, 0], [1, 1], [0, 2]]


def test_lower_triangle_of_three_coefficients():
    # element (i, j), i >= j, at i (i + 1)/2 + j with the Standard Model as 0
    basis = PolynomialBasis(["a", "b", "c"])
    for term, column in (
        ((), 0), (("a",), 1), (("a", "a"), 2), (("b",), 3), (("a", "b"), 4), (("b", "b"), 5),
        (("c",), 6), (("a", "c"), 7), (("b", "c"), 8), (("c", "c"), 9),
    ):  # fmt: skip
        weights = np.zeros((1, 10))
        weights[0, basis.index(term)] = 2.0
        expected = np.zeros(10)
        expected[column] = 1.0 if len(term) == 2 and term[0] == term[1] else 2.0
        np.testing.assert_array_equal(to_topcoffea(weights, basis)[0], expected)


def test_terms_that_a_basis_lacks_are_zero():
    basis = PolynomialBasis(["a", "b"], terms=["b", ("a", "b")], reference=[1.0, 0.0])
    full = PolynomialBasis(["a", "b"], reference=[1.0, 0.0])
    weights = np.array([[3.0, 2.0, 5.0]])
    back = from_topcoffea(to_topcoffea(weights, basis), full)
    np.testing.assert_array_equal(back, [[3.0, 0.0, 2.0, 0.0, 5.0, 0.0]])


def test_absent_components_are_zero():
    basis = PolynomialBasis(["a"])
    # w = 3 + 4 a^2 from its values at 0 and 1
    back = from_madminer([[3.0, 7.0]], [[0], [2]], [[1.0, 0.0], [-1.0, 1.0]], basis)
    np.testing.assert_array_equal(back, [[3.0, 0.0, 8.0]])


# ---------------------------------------------------------------------- mistakes
def test_mistakes():
    basis, linear = PolynomialBasis(["a", "b"]), PolynomialBasis(["a", "b"], order=1)
    for convert in (from_hyperpoly, from_topcoffea):
        with pytest.raises(InputError, match=r"the basis lacks the terms \[\('a', 'a'\)"):
            convert(np.ones((2, 3)), linear)
        with pytest.raises(InputError, match=r"shape \(2, 5\), expected \(n, 6\)"):
            convert(np.ones((2, 5)), basis)
    for convert in (to_hyperpoly, to_topcoffea, to_combine):
        with pytest.raises(InputError, match=r"shape \(2, 5\), expected \(n, 6\)"):
            convert(np.ones((2, 5)), basis)
    with pytest.raises(InputError, match=r"1 bins are empty at the Standard Model \(first: bin 1\)"):
        to_combine([[1.0] * 6, [0.0] * 6], basis)
    with pytest.raises(InputError, match="first element of each bin must be 1"):
        from_combine(np.full((1, 6), 2.0), [1.0], basis)
    with pytest.raises(InputError, match=r"nominal has shape \(2,\), expected \(1,\)"):
        from_combine(np.ones((1, 6)), [1.0, 1.0], basis)
    with pytest.raises(InputError, match=r"powers \[3, 1\] is of order 4"):
        from_madminer(np.ones((1, 1)), [[3, 1]], [[1.0]], basis)
    with pytest.raises(InputError, match=r"components have shape \(1, 1\), expected \(n_components, 2\)"):
        from_madminer(np.ones((1, 1)), [[1]], [[1.0]], basis)
    with pytest.raises(InputError, match="do not fit 1 components"):
        from_madminer(np.ones((1, 2)), [[1, 0]], [[1.0]], basis)
    with pytest.raises(InputError, match="6 terms"):
        to_madminer(np.ones((1, 6)), basis, [[0, 0], [1, 0]])
