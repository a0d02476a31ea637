"""Projection of polynomials onto those that are never negative."""

import numpy as np
import pytest

import bit
from bit.errors import InputError
from bit.positivity import is_positive, natural_scale, project, quadratic_form, ratio_and_slope, require_complete

EPS = np.finfo(np.float64).eps


def basis_of(n_params):
    return bit.PolynomialBasis([f"c{a}" for a in range(n_params)], reference=np.linspace(-0.5, 0.5, n_params))


def random_predictions(rng, n_events, n_params):
    """Predictions of which a good part is negative somewhere, in very different sizes."""
    basis = basis_of(n_params)
    values = rng.normal(size=(n_events, basis.n_terms - 1)) * 10.0 ** rng.uniform(-6, 6, size=(n_events, 1))
    diagonal = [basis.index((name, name)) - 1 for name in basis.param_names]
    values[:, diagonal] += 2 * n_params * np.abs(values).max(axis=1, keepdims=True) * rng.random((n_events, 1))
    return values, basis


def squares(rng, n_events, n_params, rank):
    """R = sum_j (u_j0 + u_j . d)^2 with R_0 = 1, as predictions."""
    u = rng.normal(size=(n_events, rank, n_params + 1))
    u /= np.sqrt((u[:, :, :1] ** 2).sum(axis=1, keepdims=True))
    form = np.einsum("nja,njb->nab", u, u)
    first, second = np.triu_indices(n_params)
    return np.concatenate([2 * form[:, 0, 1:], 2 * form[:, 1 + first, 1 + second]], axis=1)


def points(rng, prediction, basis):
    """Thetas of all sizes, and the minimum of R of every event."""
    form = quadratic_form(prediction, basis)
    lowest = -np.einsum("nab,nb->na", np.linalg.pinv(form[:, 1:, 1:], hermitian=True), form[:, 1:, 0])
    size = 10.0 ** rng.uniform(-8, 8, size=(300, 1))
    return np.concatenate([lowest, size * rng.normal(size=(300, basis.n_params))]) + basis.reference


# ---------------------------------------------------------------------- the form
@pytest.mark.parametrize("n_params", [1, 2, 5])
def test_form_is_the_polynomial(rng, n_params):
    basis = basis_of(n_params)
    prediction = rng.normal(size=(20, basis.n_terms - 1))
    theta = rng.normal(size=n_params)
    d = np.concatenate([[1.0], theta - basis.reference])
    expected = 1 + prediction @ basis.monomials(theta)[1:]
    np.testing.assert_allclose(d @ quadratic_form(prediction, basis) @ d, expected, rtol=1e-12, atol=1e-12)


def test_positive_means_no_negative_eigenvalue(rng):
    prediction, basis = random_predictions(rng, 4000, 3)
    # Rows and columns of size 1, since eigenvalues of very unequal entries drown in rounding.
    form = quadratic_form(prediction, basis)
    size = np.sqrt(np.abs(np.einsum("naa->na", form)))
    lowest = np.linalg.eigvalsh(form / (size[:, :, np.newaxis] * size[:, np.newaxis, :]))[:, 0]
    clear = np.abs(lowest) > 1e-9
    positive = is_positive(prediction, basis)
    assert clear.mean() > 0.5
    assert 0.1 < positive[clear].mean() < 0.9
    np.testing.assert_array_equal(positive[clear], lowest[clear] > 0)


@pytest.mark.parametrize("rank", [1, 2, 3, 6])
@pytest.mark.parametrize("n_params", [1, 2, 3, 6])
def test_sums_of_squares_are_not_touched(rng, n_params, rank):
    basis = basis_of(n_params)
    prediction = squares(rng, 2000, n_params, rank)  # singular if rank <= n_params: H is positive up to rounding only
    assert is_positive(prediction, basis).all()
    np.testing.assert_array_equal(project(prediction, basis), prediction)
    theta = rng.normal(size=n_params)
    ratio, _ = ratio_and_slope(prediction, basis, theta)
    # Rounding of a sum whose terms are as large as the largest square of |d| times the form.
    terms = 1 + np.abs(prediction) @ np.abs(basis.monomials(theta)[1:])
    error = np.abs(ratio - 1 - prediction @ basis.monomials(theta)[1:]) / terms
    assert error.max() < 16 * n_params**2 * EPS


# ---------------------------------------------------------------------- the projection
def test_closed_form_of_one_coefficient(rng):
    basis = basis_of(1)
    slope, curvature = rng.normal(size=(2, 1000))
    projected = project(np.column_stack([slope, curvature]), basis)
    np.testing.assert_array_equal(projected[:, 0], slope)
    np.testing.assert_allclose(projected[:, 1], np.maximum(curvature, slope**2 / 2), rtol=1e-14)


@pytest.mark.parametrize("n_params", [2, 3, 6])
def test_projection_is_the_nearest_positive_form(rng, n_params):
    """Conditions of optimality: H+ and H+ - H have no negative eigenvalue, and are orthogonal."""
    basis = basis_of(n_params)
    prediction = rng.normal(size=(500, basis.n_terms - 1))
    before, after = quadratic_form(prediction, basis), quadratic_form(project(prediction, basis), basis)
    np.testing.assert_array_equal(after[:, 0], before[:, 0])
    half = before[:, 0, 1:]
    kept = after[:, 1:, 1:] - half[:, :, np.newaxis] * half[:, np.newaxis, :]
    added = (after - before)[:, 1:, 1:]
    # Sizes are of order 10 at most, eigenvalues exact to some multiples of their rounding.
    tolerance = 1000 * n_params * EPS
    assert np.linalg.eigvalsh(kept).min() > -tolerance
    assert np.linalg.eigvalsh(added).min() > -tolerance
    assert np.abs((kept * added).sum(axis=(1, 2))).max() < 10 * tolerance
    assert (np.abs(added).max(axis=(1, 2)) > 1e-6).mean() > 0.5


def test_only_negative_events_change(rng):
    prediction, basis = random_predictions(rng, 3000, 3)
    positive = is_positive(prediction, basis)
    projected = project(prediction, basis)
    np.testing.assert_array_equal((projected == prediction).all(axis=1), positive)
    np.testing.assert_array_equal(projected[:, :3], prediction[:, :3])


@pytest.mark.parametrize("n_params", [1, 2, 3, 6])
def test_projecting_twice_changes_nothing(rng, n_params):
    prediction, basis = random_predictions(rng, 5000, n_params)
    scale = 10.0 ** rng.uniform(-3, 3, size=n_params)
    once = project(prediction, basis, scale)
    assert not np.array_equal(once, prediction)
    assert is_positive(once, basis, scale).all()
    np.testing.assert_array_equal(project(once, basis, scale), once)


def test_units_do_not_matter(rng):
    prediction, basis = random_predictions(rng, 500, 3)
    scale = np.array([0.5, 1.0, 20.0])
    expected = project(prediction, basis, scale)
    for unit, rtol in ((np.array([1024.0, 0.25, 1.0]), 0), (np.array([1e3, 0.3, 1.0]), 1e-10)):
        # theta -> theta / unit; powers of two do not even round.
        change = np.concatenate([unit, np.outer(unit, unit)[np.triu_indices(3)]])
        other = project(prediction * change, basis, scale * unit) / change
        np.testing.assert_allclose(other, expected, rtol=rtol, atol=rtol * np.abs(expected).max())
    assert not np.array_equal(project(prediction, basis), expected)


# ---------------------------------------------------------------------- ratios
@pytest.mark.parametrize("n_params", [1, 2, 3, 6])
def test_ratio_is_never_negative(rng, n_params):
    basis = basis_of(n_params)
    some, _ = random_predictions(rng, 150, n_params)
    prediction = np.concatenate([some, squares(rng, 150, n_params, 1)])  # R = 0 is reached
    projected = project(prediction, basis)
    lowest, lowest_rounded = np.inf, np.inf
    for theta in points(rng, projected, basis):
        ratio, _ = ratio_and_slope(prediction, basis, theta)
        lowest = min(lowest, ratio.min())
        lowest_rounded = min(lowest_rounded, (1 + projected @ basis.monomials(theta)[1:]).min())
    assert lowest >= 0
    assert lowest_rounded < 0  # what the plain sum of the same polynomials makes of it


def test_ratio_and_slope_are_those_of_the_projected_polynomial(rng):
    basis = basis_of(3)
    prediction = rng.normal(size=(1000, basis.n_terms - 1))
    scale, theta = np.array([1.0, 0.1, 3.0]), rng.normal(size=3)
    projected = project(prediction, basis, scale)
    ratio, slope = ratio_and_slope(prediction, basis, theta, scale)
    # Sums of ten terms whose sizes are below 100.
    np.testing.assert_allclose(ratio, 1 + projected @ basis.monomials(theta)[1:], rtol=0, atol=1000 * EPS * 100)
    np.testing.assert_allclose(slope, projected @ basis.gradient(theta)[:, 1:].T, rtol=0, atol=1000 * EPS * 100)
    again = ratio_and_slope(projected, basis, theta, scale)
    np.testing.assert_allclose(again[0], ratio, rtol=0, atol=1000 * EPS * 100)


def test_reference_point(rng):
    prediction, basis = random_predictions(rng, 100, 3)
    ratio, slope = ratio_and_slope(prediction, basis, basis.reference)
    np.testing.assert_array_equal(ratio, 1.0)
    np.testing.assert_array_equal(slope, prediction[:, :3])


def test_many_events_are_as_few(rng):
    prediction, basis = random_predictions(rng, 70_000, 2)  # more than are worked on at a time
    theta, tail = [0.3, -2.0], slice(65_000, 70_000)
    whole = project(prediction, basis), is_positive(prediction, basis), *ratio_and_slope(prediction, basis, theta)
    part = prediction[tail]
    parts = project(part, basis), is_positive(part, basis), *ratio_and_slope(part, basis, theta)
    for expected, value in zip(whole, parts, strict=True):
        # Matrix products of long and short arrays round differently.
        np.testing.assert_allclose(value, expected[tail], rtol=1e-12)


def test_inputs_are_not_modified(rng):
    prediction, basis = random_predictions(rng, 100, 2)
    copy = prediction.copy()
    prediction.flags.writeable = False
    project(prediction, basis)
    ratio_and_slope(prediction, basis, [1.0, 1.0])
    np.testing.assert_array_equal(prediction, copy)


# ---------------------------------------------------------------------- scales, errors
def test_natural_scale():
    basis = basis_of(2)
    np.testing.assert_array_equal(natural_scale([5.0, 5.0, 4.0, 7.0, -1.0], basis), [2.0, 1.0])


def test_missing_terms_are_named():
    basis = basis_of(2)
    require_complete(basis, basis.terms[1:])
    with pytest.raises(InputError, match=r"all terms up to order 2, but \[\('c0', 'c1'\)\] are not learned"):
        require_complete(basis, tuple(term for term in basis.terms if term != ("c0", "c1")))
    with pytest.raises(InputError, match="positive needs a polynomial"):
        require_complete(None, (("y0",),))
    with pytest.raises(InputError, match="are not learned"):
        quadratic_form(np.zeros((3, 2)), bit.PolynomialBasis(["a", "b"], order=1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prediction": np.zeros((3, 4))}, r"prediction has shape \(3, 4\), expected \(n_events, 5\)"),
        ({"prediction": np.zeros(5)}, r"prediction has shape \(5,\)"),
        ({"scale": [1.0, 0.0]}, "2 positive numbers are needed"),
        ({"scale": [1.0]}, "2 positive numbers are needed"),
        ({"theta": [[1.0, 2.0], [3.0, 4.0]]}, "one point of 2 coefficients is needed"),
        ({"theta": {"c9": 1.0}}, "unknown coefficient 'c9'"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        ratio_and_slope(**{"prediction": np.zeros((3, 5)), "basis": basis_of(2), "theta": [1.0, 1.0]} | arguments)
