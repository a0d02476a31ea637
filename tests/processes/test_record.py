import numpy as np
import pytest

from bit.basis import PolynomialBasis
from bit.io._weight_ids import parse_id
from bit.processes.record import base_points, weight_id


@pytest.mark.parametrize("reference", [(0.0, 0.0, 0.0), (0.1, -2.5, 1e-7), (1e3, -1 / 3, 0.0)])
def test_ids_say_their_points_exactly(reference):
    basis = PolynomialBasis(("cHW", "cHWtil", "cHq3"), reference=reference)
    for point in base_points(basis):
        named = parse_id(weight_id(basis, point))
        assert [named.get(name, 0.0) for name in basis.param_names] == point.tolist()


@pytest.mark.parametrize("n_params", [1, 2, 6])
def test_points_determine_the_polynomial(rng, n_params):
    basis = PolynomialBasis([f"c{letter}" for letter in "ABCDEF"[:n_params]], reference=rng.normal(size=n_params))
    points = base_points(basis)
    assert len(points) == basis.n_terms
    weights = rng.normal(size=(5, basis.n_terms))
    fit = basis.from_base_points(points, weights @ basis.monomials(points).T)
    np.testing.assert_allclose(fit.weights, weights, atol=1e-12)
