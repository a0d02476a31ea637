from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bit.basis import PolynomialBasis
from bit.errors import InputError

NAMES = ("cHW", "cHWtil", "cHq3", "cW", "cHbox")
small = st.floats(-3, 3, width=32)


@st.composite
def bases(draw, order=None):
    n = draw(st.integers(1, 4))
    order = order or draw(st.sampled_from([1, 2]))
    return PolynomialBasis(NAMES[:n], order, reference=draw(st.lists(small, min_size=n, max_size=n)))


def random_weights(basis, n_events=7, seed=0):
    return np.random.default_rng(seed).normal(size=(n_events, basis.n_terms))


def random_points(basis, n_points, seed=1):
    return np.random.default_rng(seed).uniform(-2, 2, size=(n_points, basis.n_params))


def polynomial(basis, weights, theta):
    """The weight polynomial written out, slowly."""
    d = dict(zip(basis.param_names, np.asarray(theta) - np.array(basis.reference), strict=True))
    total = 0.0
    for weight, term in zip(weights, basis.terms, strict=True):
        if len(term) == 0:
            total += weight
        elif len(term) == 1:
            total += weight * d[term[0]]
        else:
            # 1/2 sum_ab over the full range meets each pair a != b twice
            total += weight * d[term[0]] * d[term[1]] * (0.5 if term[0] == term[1] else 1.0)
    return total


# ---------------------------------------------------------------------- terms
@pytest.mark.parametrize("n", [1, 2, 5])
def test_graded_order_and_column_index(n):
    basis = PolynomialBasis(NAMES[:n])
    assert basis.n_terms == (n + 1) * (n + 2) // 2
    assert basis.terms[0] == ()
    assert basis.terms[1 : n + 1] == tuple((name,) for name in NAMES[:n])
    for a, b in combinations_with_replacement(range(n), 2):
        column = 1 + n + a * n - a * (a - 1) // 2 + (b - a)
        assert basis.terms[column] == (NAMES[a], NAMES[b])
        assert basis.index((NAMES[b], NAMES[a])) == column
    assert [basis.index(name) for name in NAMES[:n]] == list(range(1, n + 1))
    assert basis.index(()) == 0


def test_order_one_and_subsets():
    assert PolynomialBasis(["a", "b"], 1).terms == ((), ("a",), ("b",))
    basis = PolynomialBasis(["a", "b"], reference=[1.0, 2.0])
    part = basis.subset(["b", ("b", "a")])
    assert part.terms == ((), ("b",), ("a", "b"))
    assert part.reference == (1.0, 2.0)
    assert part.order == 2
    np.testing.assert_array_equal(part.monomials([3.0, 5.0]), basis.monomials([3.0, 5.0])[[0, 2, 4]])
    assert PolynomialBasis(["a", "b"], terms=["a"]).order == 1


def test_bases_are_values():
    assert PolynomialBasis(["a"]) == PolynomialBasis(("a",), 2, [0.0])
    assert len({PolynomialBasis(["a"]), PolynomialBasis(["a"], reference={"a": 0.0}), PolynomialBasis(["a"], 1)}) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"param_names": "cHW"}, "give a list of names"),
        ({"param_names": []}, "at least one name"),
        ({"param_names": ["a", ""]}, "non-empty"),
        ({"param_names": ["a", "b", "a"]}, r"repeats \['a'\]"),
        ({"param_names": ["a"], "order": 3}, "order=3"),
        ({"param_names": ["a"], "order": 0}, "order=0"),
        ({"param_names": ["a"], "reference": [1.0, 2.0]}, "shape"),
        ({"param_names": ["a", "b"], "reference": [[1.0, 2.0]]}, "shape"),
        ({"param_names": ["a"], "reference": [np.nan]}, "finite"),
        ({"param_names": ["cHW"], "reference": {"chw": 1.0}}, "did you mean 'cHW'"),
        ({"param_names": ["cHW"], "terms": ["cHWtil"]}, "unknown coefficient 'cHWtil'.*did you mean 'cHW'"),
        ({"param_names": ["a", "b"], "terms": ["b", "a"]}, "graded order"),
        ({"param_names": ["a", "b"], "terms": ["a", "a"]}, "once each"),
        ({"param_names": ["a"], "terms": [("a", "a", "a")]}, "order 3"),
    ],
)
def test_bad_bases(arguments, message):
    with pytest.raises(InputError, match=message):
        PolynomialBasis(**arguments)


def test_missing_term():
    with pytest.raises(InputError, match="is not in the basis"):
        PolynomialBasis(["a"], 1).index(("a", "a"))


# ---------------------------------------------------------------------- evaluation
@given(bases(), st.integers(0, 100))
def test_monomials_are_the_polynomial(basis, seed):
    weights = random_weights(basis, 1, seed)[0]
    theta = random_points(basis, 3, seed)
    expected = [polynomial(basis, weights, point) for point in theta]
    # sums of at most 15 products of numbers below 25: rounding far below 1e-12
    np.testing.assert_allclose(basis.monomials(theta) @ weights, expected, atol=1e-12)


@given(bases())
def test_reference_point_gives_the_nominal_weight(basis):
    np.testing.assert_array_equal(basis.monomials(basis.reference), np.eye(basis.n_terms)[0])


@given(bases(), st.integers(0, 100))
def test_weights_are_derivatives(basis, seed):
    """Columns are first and second derivatives at the reference point, found by central differences."""
    weights = random_weights(basis, 1, seed)[0]
    centre, step = np.array(basis.reference), 0.5
    unit = dict(zip(basis.param_names, step * np.eye(basis.n_params), strict=True))

    def w(shift):
        return basis.monomials(centre + shift) @ weights

    for weight, term in zip(weights, basis.terms, strict=True):
        # central differences are exact for polynomials of order 2 up to rounding
        if len(term) == 1:
            difference = (w(unit[term[0]]) - w(-unit[term[0]])) / (2 * step)
        elif len(term) == 2:
            a, b = unit[term[0]], unit[term[1]]
            difference = (w(a + b) - w(a - b) - w(b - a) + w(-a - b)) / (4 * step**2)
        else:
            difference = w(0.0)
        assert difference == pytest.approx(weight, abs=1e-12)


@given(bases(), st.integers(0, 100))
def test_gradient_is_the_difference_of_monomials(basis, seed):
    theta = random_points(basis, 1, seed)[0]
    step = 0.25
    for a in range(basis.n_params):
        shift = step * np.eye(basis.n_params)[a]
        difference = (basis.monomials(theta + shift) - basis.monomials(theta - shift)) / (2 * step)
        # exact for order 2, up to rounding of numbers below 25
        np.testing.assert_allclose(basis.gradient(theta)[a], difference, atol=1e-12)


def test_shapes_and_forms_of_theta():
    basis = PolynomialBasis(["a", "b"])
    assert basis.monomials(np.zeros((4, 3, 2))).shape == (4, 3, 6)
    assert basis.gradient(np.zeros((4, 3, 2))).shape == (4, 3, 2, 6)
    np.testing.assert_array_equal(basis.monomials({"b": 2.0}), basis.monomials([0.0, 2.0]))
    one = PolynomialBasis(["a"])
    np.testing.assert_array_equal(one.monomials(2.0), [1.0, 2.0, 2.0])
    for bad, message in (([1.0], "shape"), (1.0, "shape"), ([np.inf, 0.0], "finite"), ({"c": 1.0}, "unknown")):
        with pytest.raises(InputError, match=message):
            basis.monomials(bad)


# ---------------------------------------------------------------------- change of reference
@given(bases(), st.integers(0, 100))
def test_rebase_keeps_the_polynomial_and_returns(basis, seed):
    weights = random_weights(basis, seed=seed)
    there, theta = random_points(basis, 2, seed)
    moved = basis.rebase(weights, there)
    # numbers below 100: rounding below 1e-12
    new_basis = basis.at_reference(there)
    np.testing.assert_allclose(moved @ new_basis.monomials(theta), weights @ basis.monomials(theta), atol=1e-12)
    np.testing.assert_allclose(new_basis.rebase(moved, basis.reference), weights, atol=1e-12)
    np.testing.assert_array_equal(basis.rebase(weights, basis.reference), weights)


def test_rebase_closed_form():
    basis = PolynomialBasis(["a", "b"])
    weights = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    kept = weights.copy()
    d_a, d_b = 0.5, -2.0
    expected = [
        1 + 2 * d_a + 3 * d_b + 0.5 * (4 * d_a**2 + 2 * 5 * d_a * d_b + 6 * d_b**2),
        2 + 4 * d_a + 5 * d_b,
        3 + 5 * d_a + 6 * d_b,
        4,
        5,
        6,
    ]
    np.testing.assert_array_equal(basis.rebase(weights, [d_a, d_b]), expected)  # exact: binary fractions
    np.testing.assert_array_equal(weights, kept)


def test_rebase_of_a_subset():
    closed = PolynomialBasis(["a", "b"], terms=["a", ("a", "b")])
    np.testing.assert_array_equal(closed.rebase([1.0, 2.0, 3.0], [0.0, 2.0]), [1.0, 8.0, 3.0])
    with pytest.raises(InputError, match=r"would create a term \('b',\)"):
        closed.rebase([1.0, 2.0, 3.0], [1.0, 0.0])
    with pytest.raises(InputError, match="last axis"):
        closed.rebase([1.0, 2.0], [0.0, 0.0])


# ---------------------------------------------------------------------- base points
@settings(max_examples=50, deadline=None)
@given(bases(), st.integers(0, 3), st.integers(0, 100))
def test_base_points_give_back_the_derivatives(basis, n_more, seed):
    weights = random_weights(basis, seed=seed)
    points = random_points(basis, basis.n_terms + n_more, seed)
    given_weights = weights @ basis.monomials(points).T
    try:
        fit = basis.from_base_points(points, given_weights)
    except InputError:
        assume(False)
    assume(fit.condition < 1e6)
    # a least-squares solution loses the condition number times a few ulp; the scale of a coefficient adds up to 25
    np.testing.assert_allclose(fit.weights, weights, atol=1e-12 * fit.condition)
    assert fit.residual.shape == (len(weights),)
    # the residual is free of the condition number
    assert fit.residual.max() < 1e-12


def test_condition_does_not_depend_on_units():
    grid = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [1, 1]], dtype=float)
    basis = PolynomialBasis(["a", "b"])
    weights = np.ones((1, 6))
    plain = basis.from_base_points(grid, weights).condition
    scaled = basis.from_base_points(grid * [1e-3, 1e4], weights).condition
    assert scaled == pytest.approx(plain, rel=1e-10)
    assert plain < 20


def test_residual_tells_of_another_order():
    basis = PolynomialBasis(["a"], 1)
    points = np.array([[-1.0], [0.0], [1.0]])
    fit = basis.from_base_points(points, [[2.0, 1.0, 2.0], [0.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
    # 1 + a^2 at (-1, 0, 1): the best line is 5/3, which misses by at most 2/3 of 2
    np.testing.assert_allclose(fit.residual, [1 / 3, 0.0, 0.0], atol=1e-15)


def test_undetermined_terms_are_named():
    basis = PolynomialBasis(["a", "b"])
    # b never appears alone at two values, and never with a
    points = [[0, 0], [1, 0], [-1, 0], [2, 0], [0, 1], [3, 0]]
    with pytest.raises(InputError, match=r"determine only 4 of 6") as error:
        basis.from_base_points(points, np.ones((1, 6)))
    message = str(error.value)
    assert "undetermined: [('b',), ('a', 'b'), ('b', 'b')]" in message
    with pytest.raises(InputError, match=r"undetermined: \[\('a', 'b'\)\]"):
        basis.from_base_points([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [0, 2]], np.ones((1, 6)))


@pytest.mark.parametrize("n_rows", [1, 2, 7, 100, 9000])
def test_base_points_of_some_events_are_those_of_all(rng, n_rows):
    """To the last bit: chunks in which files are read do not matter."""
    basis = PolynomialBasis(["a", "b", "c"])
    points, weights = rng.normal(size=(30, 3)), rng.normal(size=(10_000, 30))
    whole = basis.from_base_points(points, weights).weights
    part = basis.from_base_points(points, weights[500 : 500 + n_rows]).weights
    np.testing.assert_array_equal(part, whole[500 : 500 + n_rows])


def test_bad_base_points():
    basis = PolynomialBasis(["a"])
    good = [[0.0], [1.0], [2.0]]
    with pytest.raises(InputError, match="2 base points for 3 terms"):
        basis.from_base_points(good[:2], np.ones((4, 2)))
    with pytest.raises(InputError, match=r"expected \(n_events, 3\)"):
        basis.from_base_points(good, np.ones((4, 2)))
    with pytest.raises(InputError, match=r"expected \(n_events, 3\)"):
        basis.from_base_points(good, np.ones(3))
    with pytest.raises(InputError, match=r"first: event 1, \[1\.0, nan, 1\.0\]"):
        basis.from_base_points(good, [[1, 1, 1], [1, np.nan, 1]])
