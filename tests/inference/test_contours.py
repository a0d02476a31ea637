import numpy as np
import pytest
from scipy.stats import chi2

from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.inference import Channel, Likelihood, Model, Sample, Template, contour, information


def template(sums, names, order=2, *, process="s"):
    sums = np.atleast_2d(np.asarray(sums, dtype=float))
    n_bins, n_terms = sums.shape
    edges = (np.arange(n_bins + 1.0),)
    basis = PolynomialBasis(names, order=order)
    return Template(process, basis, edges, sums, np.zeros((n_bins, n_terms, n_terms)), np.zeros(n_terms), 1.0)


def gaussian(n=1e8, bins=12):
    rng = np.random.default_rng(3)
    return template(n * np.column_stack([np.ones(bins), rng.normal(0.1, 0.3, (bins, 3))]), ["a", "b", "c"], order=1)


@pytest.mark.parametrize("others", ["zero", "profiled"])
def test_ellipse_of_the_gaussian_limit(others):
    shape = gaussian()
    result = contour(shape, ("a", "c"), others=others, n_points=15)
    matrix = information(shape).matrix
    covariance = np.linalg.inv(matrix)
    inner = (
        np.linalg.inv(covariance[np.ix_([0, 2], [0, 2])]) if others == "profiled" else matrix[np.ix_([0, 2], [0, 2])]
    )
    points = np.stack(np.meshgrid(result.x, result.y), axis=-1)
    expected = np.einsum("yxi,ij,yxj->yx", points, inner, points)
    # Third order of the Poisson deviance, z / sqrt(n), for z up to 5.
    np.testing.assert_allclose(result.twice_nll, expected, rtol=2e-3, atol=1e-6)
    assert result.levels == pytest.approx(chi2.ppf([0.6827, 0.95], 2))
    # The ellipse of the largest level, with a margin of 10 % on each side.
    reach = np.sqrt(result.levels[1] * np.diag(np.linalg.inv(inner)))
    assert [result.x[-1], result.y[-1]] == pytest.approx(1.2 * reach, rel=1e-3)
    assert result.best == pytest.approx((0.0, 0.0), abs=1e-4 * reach.min())


def test_all_parts_of_a_region_lie_on_the_grid():
    # n (1 + a + b)^2 and n (1 + a - b)^2: perfect at (0, 0), (-2, 0), (-1, 1) and (-1, -1).
    n = 200.0
    pairs = [(1.0, 1.0), (1.0, -1.0)]
    shape = template(
        [[n, 2 * n * p, 2 * n * q, 2 * n * p * p, 2 * n * p * q, 2 * n * q * q] for p, q in pairs], ["a", "b"]
    )
    result = contour(shape, ("a", "b"), n_points=61)
    likelihood = Likelihood(shape)
    points = np.stack(np.meshgrid(result.x, result.y), axis=-1)
    np.testing.assert_allclose(result.twice_nll, likelihood.objective(points), atol=1e-6)
    inside = points[result.twice_nll < result.levels[1]]
    for centre in ([0, 0], [-2, 0], [-1, 1], [-1, -1]):
        assert (np.abs(inside - centre).sum(axis=1) < 0.25).any()
    assert "61 x 61 points" in repr(result)


def test_nuisances_widen_the_region():
    shape = gaussian(n=100.0, bins=6)
    background = template(np.column_stack([np.full(6, 50.0), np.zeros(6)]), ["a"], order=1, process="background")
    fixed, free = (
        contour(
            Model([Channel("x", [shape, Sample(background, norm=norm)])]),
            ("a", "b"),
            n_points=9,
            ranges={"a": (-1, 1), "b": (-1, 1)},
        )
        for norm in ({}, {"rate": 1.3})
    )
    assert (free.twice_nll <= fixed.twice_nll + 1e-8).all()
    assert (free.twice_nll < fixed.twice_nll - 0.1).any()
    assert free.twice_nll.min() >= 0
    assert free.to_dict()["kind"] == "bit-contour/1"


def test_errors():
    shape = gaussian()
    for call, message in (
        (lambda: contour(shape, "ab"), "two different"),
        (lambda: contour(shape, ("a", "a")), "two different"),
        (lambda: contour(shape, ("a", "d")), "no coefficient 'd'"),
        (lambda: contour(shape, ("a", "b"), cls=[95]), "cls="),
        (lambda: contour(shape, ("a", "b"), n_points=1), "n_points=1"),
        (lambda: contour(shape, ("a", "b"), others="free"), "others='free'"),
        (lambda: contour(template([[9.0, 1.0, 2.0]], ["a", "b"], 1), ("a", "b")), "do not bound 'a'"),
    ):
        with pytest.raises(InputError, match=message):
            call()
