import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bit.basis import PolynomialBasis
from bit.errors import BitWarning, InputError
from bit.events import EventTable
from bit.inference import templates as templates_module
from bit.inference.templates import Template, choose_edges, equal_probability_edges, fill
from bit.observables import FunctionObservable, observable


def make_table(n=2000, seed=1, **basis_options):
    rng = np.random.default_rng(seed)
    basis = PolynomialBasis(["a", "b"], **basis_options)
    weights = rng.normal(1.0, 1.0, (n, basis.n_terms))
    return EventTable(rng.normal(size=(n, 2)), weights, basis, feature_names=("x", "y"))


EDGES_X = [-np.inf, -1.0, 0.0, 0.5, np.inf]
EDGES_Y = [-10.0, -0.3, 0.4, 10.0]
THETA = np.array([0.7, -1.3])


def test_yields_and_variance_against_single_events():
    table = make_table(reference=[0.2, -0.1])
    template = fill(table, observable("x"), EDGES_X, 3.0)
    cell = np.digitize(table.column("x"), EDGES_X) - 1
    weight = 3.0 * table.at(THETA)
    # Sums of 2000 numbers of size 10: rounding.
    np.testing.assert_allclose(template.yields(THETA), np.bincount(cell, weight), rtol=1e-11)
    np.testing.assert_allclose(template.variance(THETA), np.bincount(cell, weight**2), rtol=1e-11)
    grid = np.stack([THETA, 0 * THETA])
    # BLAS may add up four terms in another order for two rows than for one.
    np.testing.assert_allclose(template.yields(grid)[1], template.yields([0, 0]), rtol=1e-14)
    assert template.variance(grid).shape == (2, 4)
    assert template.gradient(grid).shape == (2, 4, 2)


def test_gradient_against_differences():
    template = fill(make_table(), observable("x"), EDGES_X, 3.0)
    for a, unit in enumerate(np.eye(2)):
        # Central differences of a quadratic are exact; rounding is 1e-16 * 1e4 / 0.1.
        slope = (template.yields(THETA + 0.1 * unit) - template.yields(THETA - 0.1 * unit)) / 0.2
        np.testing.assert_allclose(template.gradient(THETA)[:, a], slope, atol=1e-9)


def test_two_axes_in_c_order():
    table = make_table()
    template = fill(table, observable("x", "y"), (EDGES_X, EDGES_Y), 1.0)
    assert template.shape == (4, 3)
    nominal, _, _ = np.histogram2d(
        table.column("x"), table.column("y"), bins=[[-100, *EDGES_X[1:-1], 100], EDGES_Y], weights=table.weights[:, 0]
    )
    np.testing.assert_allclose(template.sums[:, 0], nominal.ravel(), rtol=1e-10, atol=1e-12)
    assert "4 x 3 bins" in repr(template)


def test_events_at_edges():
    basis = PolynomialBasis(["a"], order=1)
    x = np.array([[0.0], [1.0], [1.0], [2.0]])
    table = EventTable(x, np.ones((4, 2)), basis, feature_names=("x",))
    assert fill(table, observable("x"), [0, 1, 2], 1.0).sums[:, 0].tolist() == [1.0, 3.0]
    infinite = EventTable(np.array([[-np.inf], [np.inf]]), np.ones((2, 2)), basis, feature_names=("x",))
    assert fill(infinite, observable("x"), [-np.inf, 0, np.inf], 1.0).sums[:, 0].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("chunk", [7, 32768])
def test_sums_do_not_depend_on_chunks_and_are_exact_for_integers(monkeypatch, chunk):
    monkeypatch.setattr(templates_module, "_CHUNK", chunk)
    rng = np.random.default_rng(5)
    flat, weights = rng.integers(0, 5, 1000), rng.integers(-9, 10, (1000, 4)).astype(float)
    sums, sums_ww = templates_module._sum_weights(flat, weights, 6)
    for b in range(6):
        rows = weights[flat == b]
        assert np.array_equal(sums[b], rows.sum(axis=0))
        assert np.array_equal(sums_ww[b], np.einsum("ik,il->kl", rows, rows))


def test_nothing_is_lost_outside_the_edges():
    table = make_table()
    with pytest.warns(BitWarning, match=r"of 2000 events .* lie outside the edges"):
        template = fill(table, observable("x"), [-1.0, 0.0, 0.5], 1.0)
    np.testing.assert_allclose(template.sums.sum(axis=0) + template.outside, table.weights.sum(axis=0), rtol=1e-12)
    out = (table.column("x") < -1) | (table.column("x") > 0.5)
    np.testing.assert_allclose(template.outside, table.weights[out].sum(axis=0), rtol=1e-12)


def test_rebin_equals_coarse_fill():
    table = make_table()
    fine = fill(table, observable("x", "y"), (EDGES_X, EDGES_Y), 2.0)
    coarse_edges = ([-1.0, 0.5, np.inf], [-10.0, 0.4])
    with pytest.warns(BitWarning):
        expected = fill(table, observable("x", "y"), coarse_edges, 2.0)
    merged = fine.rebin(coarse_edges)
    for name in ("sums", "sums_ww", "outside"):
        np.testing.assert_allclose(getattr(merged, name), getattr(expected, name), rtol=1e-11, atol=1e-11)
    with pytest.raises(InputError, match=r"edges \[0.1\] are not among"):
        fine.rebin(([-1.0, 0.1, 0.5], [-10.0, 0.4]))
    with pytest.raises(InputError, match="1 axes"):
        fine.rebin([-1.0, 0.5])


def test_linear_drops_second_order_about_the_reference_point():
    template = fill(make_table(reference=[0.2, -0.1]), observable("x"), EDGES_X, 2.0)
    linear = template.linear()
    reference = np.array([0.2, -0.1])
    np.testing.assert_allclose(linear.yields(reference), template.yields(reference), rtol=1e-13)
    expected = template.yields(reference) + template.gradient(reference) @ (THETA - reference)
    np.testing.assert_allclose(linear.yields(THETA), expected, rtol=1e-12)
    assert linear.sums_ww.shape == (4, 3, 3)


def test_template_cannot_be_changed():
    template = fill(make_table(), observable("x"), EDGES_X, 2.0)
    for array in (template.sums, template.sums_ww, template.outside, template.edges[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


# ------------------------------------------------------------------ equal-probability edges
@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.booleans(), st.integers(0, 2**32 - 1))
def test_equal_weights_within_one_event(n_bins, symmetric, seed):
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=400), rng.uniform(0.0, 1.0, 400)
    if symmetric:
        x, w = np.concatenate([x, -x]), np.concatenate([w, w])
    edges = equal_probability_edges(x, w, n_bins, symmetric=symmetric)
    assert edges[0] == -np.inf
    assert edges[-1] == np.inf
    assert len(edges) == n_bins + 1
    counts, _ = np.histogram(x, np.clip(edges, -100, 100), weights=w)
    # Each of the two ends of a bin misses its target by at most half of an event (a mirrored pair, if symmetric).
    assert np.abs(counts - w.sum() / n_bins).max() <= (2 if symmetric else 1) * w.max() + 1e-9
    if symmetric:
        assert np.array_equal(edges, -edges[::-1])


def test_edges_with_negative_weights_increase():
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=3000), np.where(rng.random(3000) < 0.2, -1.0, 1.0)
    edges = equal_probability_edges(x, w, 10)
    assert (np.diff(edges) > 0).all()
    counts, _ = np.histogram(x, np.clip(edges, -100, 100), weights=w)
    # Running maxima of a walk with +-1 steps lie above it by a few steps only; the drift is 0.6 per step.
    assert np.abs(counts - 180).max() < 20


def test_edges_lie_between_values_so_that_rounding_moves_no_event():
    x = np.repeat([0.1, 0.2, 0.7, 0.9], 10)
    edges = equal_probability_edges(x, np.ones(40), 4)
    assert edges[1:-1] == pytest.approx([0.15, 0.45, 0.8])
    neighbours = np.array([1.0, np.nextafter(1.0, 2.0)])
    assert equal_probability_edges(neighbours, np.ones(2), 2)[1] == neighbours[1]


def test_too_few_distinct_values():
    with pytest.warns(BitWarning, match="only 2 of 5 bins"):
        edges = equal_probability_edges(np.repeat([0.0, 1.0], 50), np.ones(100), 5)
    assert edges.tolist() == [-np.inf, 0.5, np.inf]


def test_choose_edges_follows_the_observable():
    table = make_table()
    table = EventTable(table.features, np.abs(table.weights), table.basis, feature_names=("x", "y"))
    one = choose_edges(table, observable("x", odd=True), 4)
    assert len(one) == 1
    assert np.array_equal(one[0], -one[0][::-1])
    two = choose_edges(table, observable("x", "y", odd=(False, True)), (3, 6))
    assert [len(axis) for axis in two] == [4, 7]
    assert np.array_equal(two[1], -two[1][::-1])
    assert not np.array_equal(two[0], -two[0][::-1])
    assert not np.array_equal(*choose_edges(table, observable("x", odd=True), 4, symmetric=False), one[0])


# ------------------------------------------------------------------ errors
@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([0.0, 0.3, 0.4, 0.2], r"edges\[3\]=0.2 <= edges\[2\]=0.4: edges must increase strictly; sort or merge bins\."),
        ([0.0, np.nan], "edges must increase strictly"),
        ([0.0, 0.0], "edges must increase strictly"),
        ([1.0], "at least two"),
        ([], "empty"),
        (([0.0, 1.0], [1.0, 0.0]), r"edges\[1\]\[1\]=0 <= edges\[1\]\[0\]=1"),
        (([0.0, 1.0], [1.0, 2.0]), "1 axes but there are 2"),
    ],
)
def test_bad_edges(edges, message):
    with pytest.raises(InputError, match=message):
        fill(make_table(10), observable("x"), edges, 1.0)


def test_bad_values():
    table = make_table(10)

    def with_nan(t):
        return np.where(np.arange(10) < 3, np.nan, t.column("x"))

    with pytest.raises(InputError, match="broken is NaN for 3 of 10 events"):
        fill(table, FunctionObservable("broken", with_nan), EDGES_X, 1.0)
    with pytest.raises(InputError, match=r"gave shape \(4,\) for 10 events"):
        fill(table, lambda t: np.zeros(4), EDGES_X, 1.0)
    with pytest.raises(InputError, match="lumi_fb=-1"):
        fill(table, observable("x"), EDGES_X, -1.0)
    with pytest.raises(InputError, match=r"n_bins=\(2, 3\)"):
        choose_edges(table, observable("x"), (2, 3))
    with pytest.raises(InputError, match="sum to 0"):
        equal_probability_edges([1.0, 2.0], [1.0, -1.0], 2)
    with pytest.raises(InputError, match="1 of 2 values"):
        equal_probability_edges([1.0, np.inf], [1.0, 1.0], 2)
    with pytest.raises(InputError, match="n_bins=0"):
        equal_probability_edges([1.0, 2.0], [1.0, 1.0], 0)
    with pytest.raises(InputError, match=r"sums has shape \(1, 6\), expected \(2, 6\)"):
        Template("s", table.basis, ([0.0, 1.0, 2.0],), np.ones((1, 6)), np.ones((2, 6, 6)), np.ones(6), 1.0)
