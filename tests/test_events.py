import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.events import EventTable, as_features
from bit.parity import CPParity

BASIS = PolynomialBasis(["cHW", "cHWtil"], reference=[0.2, 0.0])


def make_table(n=50, seed=0, dtype=np.float32, basis=BASIS):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(n, basis.n_terms)) / n
    weights[:, 0] = rng.uniform(0.5, 1.5, n) / n
    return EventTable(
        rng.normal(size=(n, 3)).astype(dtype),
        weights,
        basis,
        feature_names=["phi", "pt_lm", "pt_lp"],
        units={"pt_lm": "GeV", "pt_lp": "GeV"},
        aux={"row": np.arange(n), "mean": rng.normal(size=(n, 2))},
    )


# ---------------------------------------------------------------------- construction
def test_description():
    table = make_table()
    assert len(table) == table.n_events == 50
    assert table.units == ("", "GeV", "GeV")
    assert table.sigma_fb == pytest.approx(table.weights[:, 0].sum())
    w = table.weights[:, 0]
    assert table.n_eff == pytest.approx(w.sum() ** 2 / (w**2).sum())
    np.testing.assert_array_equal(table.column("pt_lp"), table.features[:, 2])
    assert "50 events" in repr(table)
    with pytest.raises(InputError, match=r"did you mean 'pt_l[pm]'"):
        table.column("pt_ln")
    with pytest.raises(dataclasses.FrozenInstanceError):
        table.weights = w


def test_arrays_are_not_copied_nor_changed():
    features, weights = np.ones((3, 1), dtype=np.float32), np.ones((3, 6))
    table = EventTable(features, weights, BASIS, feature_names=["x"])
    assert table.features is features
    assert table.weights is weights
    for other in (table.rebase([1.0, 1.0]), table.normalised_to(7.0), table.split([0.5], 1)[0], table.pool(table)):
        assert other.weights is not weights
    np.testing.assert_array_equal(weights, 1.0)


def test_dataframe_gives_the_names():
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan]})
    table = EventTable(frame, np.ones((2, 6)), BASIS)
    assert table.feature_names == ("a", "b")
    assert table.features.dtype == np.float64
    assert np.isnan(table.features[1, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.ones((3, 5))}, r"weights have shape \(3, 5\), expected \(n_events, 6\)"),
        ({"weights": np.ones(3)}, r"weights have shape \(3,\)"),
        ({"weights": np.ones((2, 6))}, "3 rows of features but 2 rows of weights"),
        ({"features": np.ones((0, 2)), "weights": np.ones((0, 6))}, "no events"),
        ({"features": np.ones(3)}, r"features have shape \(3,\)"),
        ({"features": [["a", "b"]] * 3}, "features must be real numbers"),
        ({"basis": ["cHW"]}, "PolynomialBasis is needed"),
        ({"feature_names": ["a"]}, "1 feature names for 2 features"),
        ({"feature_names": ["a", "a"]}, r"repeats \['a'\]"),
        ({"feature_names": "ab"}, "give a list of names"),
        ({"units": ["GeV"]}, "1 units for 2 features"),
        ({"units": {"c": "GeV"}}, "unknown feature 'c'"),
        ({"aux": {"row": [1, 2]}}, r"aux\['row'\] has shape \(2,\)"),
        ({"aux": {"row": 1}}, r"aux\['row'\] has shape \(\)"),
    ],
)
def test_bad_tables(change, message):
    good = {"features": np.ones((3, 2)), "weights": np.ones((3, 6)), "basis": BASIS, "feature_names": ["a", "b"]}
    EventTable(**good)
    with pytest.raises(InputError, match=message):
        EventTable(**(good | change))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 5])
def test_weights_must_be_finite(value, column):
    weights = np.ones((4, 6))
    weights[2:, column] = value
    with pytest.raises(InputError, match=r"weights: 2 of 4 events are NaN or infinite \(first: event 2"):
        EventTable(np.ones((4, 1)), weights, BASIS, feature_names=["x"])


def test_features_may_be_nan_or_infinite_but_not_beyond_float32():
    kept = as_features([[np.nan, np.inf], [-np.inf, np.finfo(np.float32).max]])
    assert kept.dtype == np.float64
    for value in (1e39, -1e39):
        with pytest.raises(InputError, match=r"features\[1, 0\]=-?1e\+39 is finite but beyond float32"):
            as_features([[0.0, 0.0], [value, 0.0]])
    assert as_features(np.ones((1, 1), dtype=np.int64)).dtype == np.float64
    assert as_features(np.ones((1, 1), dtype=np.float32)).dtype == np.float32


# ---------------------------------------------------------------------- weights at a point
def test_at_joint_ratio_and_score():
    table = make_table()
    theta = np.array([0.3, -0.1])
    w = table.at(theta)
    np.testing.assert_array_equal(w, table.weights @ BASIS.monomials(theta))
    np.testing.assert_array_equal(table.at({"cHW": 0.2}), table.weights[:, 0])
    np.testing.assert_allclose(table.joint_ratio() * table.weights[:, :1], table.weights[:, 1:], rtol=1e-14)
    step = 1e-5
    score = table.joint_score(theta)
    for a in range(2):
        shift = step * np.eye(2)[a]
        ratio = table.at(theta + shift) / table.at(theta - shift)
        safe = np.abs(w) > 0.1 / table.n_events
        # central difference of a logarithm: error step^2/3 (w'/w)^3 with w'/w below 100, rounding 1e-16/step
        np.testing.assert_allclose(score[safe, a], np.log(ratio[safe]) / (2 * step), atol=1e-4)
    np.testing.assert_allclose(table.joint_score(BASIS.reference), table.joint_ratio()[:, :2], rtol=1e-13)


def test_mean_subtracted_score_has_no_mean():
    table = make_table()
    theta = [0.25, 0.1]
    raw, centred = table.joint_score(theta), table.joint_score(theta, mean_subtracted=True)
    assert np.abs(table.at(theta) @ centred).max() < 1e-13  # 50 products of order 0.1, rounded
    shift = raw - centred
    assert np.ptp(shift, axis=0).max() < 1e-9  # scores reach 1e3
    total = table.weights.sum(axis=0)
    np.testing.assert_allclose(shift[0], BASIS.gradient(theta) @ total / (BASIS.monomials(theta) @ total), rtol=1e-9)


def test_zero_weights_have_no_ratio():
    table = make_table()
    table.weights[[3, 7], 0] = 0.0
    with pytest.raises(InputError, match=r"2 events have w_0 = 0 \(first: event 3\)"):
        table.joint_ratio()
    with pytest.raises(InputError, match=r"2 events have w\(theta\) = 0"):
        table.joint_score(BASIS.reference)


@pytest.mark.parametrize("n_points", [1, 2, BASIS.n_terms])
def test_one_point_at_a_time(n_points):
    table = make_table()
    with pytest.raises(InputError, match="one point"):
        table.at(np.zeros((n_points, 2)))
    with pytest.raises(InputError, match="one point"):
        table.joint_score(np.zeros((n_points, 2)))


# ---------------------------------------------------------------------- new tables
def test_take_never_rescales():
    table = make_table()
    for rows in ([4, 2, 2], np.arange(50) % 7 == 0, slice(3, 9)):
        part = table.take(rows)
        picked = rows if isinstance(rows, slice) else np.asarray(rows)
        np.testing.assert_array_equal(part.weights, table.weights[picked])
        np.testing.assert_array_equal(part.features, table.features[picked])
        np.testing.assert_array_equal(part.aux["row"], np.arange(50)[picked])
        assert part.aux["mean"].shape == (len(part), 2)
        assert part.units == table.units
    for nothing in ([], np.zeros(50, dtype=bool), slice(0, 0)):
        with pytest.raises(InputError, match="no events"):
            table.take(nothing)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(10, 80), first=st.floats(0.1, 0.9), seed=st.integers(0, 1000))
def test_split_gives_full_samples_without_overlap(n, first, seed):
    table = make_table(n)
    parts = table.split([first, 1 - first], seed)
    rows = np.concatenate([part.aux["row"] for part in parts])
    assert sorted(rows) == list(range(n))
    for part in parts:
        # each weight is multiplied by one factor n / n_part
        np.testing.assert_allclose(part.weights, table.weights[part.aux["row"]] * n / len(part), rtol=1e-15)
    again = table.split([first, 1 - first], seed)
    assert [part.weights.tobytes() for part in parts] == [part.weights.tobytes() for part in again]
    # parts are a sample each: their average, weighted by size, is the whole
    mean = sum(part.sigma_fb * len(part) for part in parts) / n
    assert mean == pytest.approx(table.sigma_fb, rel=1e-12)


def test_split_undone_by_pool():
    table = make_table(41)
    one, two = table.split([0.3, 0.7], 3)
    joined = one.pool(two)
    order = np.argsort(joined.aux["row"])
    np.testing.assert_allclose(joined.weights[order], table.weights, rtol=1e-14)
    np.testing.assert_array_equal(joined.features[order], table.features)


@pytest.mark.parametrize("fractions", [[0.5, 0.6], [0.0, 0.5], [-0.1], [0.001, 0.999]])
def test_bad_fractions(fractions):
    with pytest.raises(InputError, match="fractions="):
        make_table().split(fractions, 1)


def test_concat_adds_and_pool_averages():
    one, two = make_table(30, seed=1), make_table(50, seed=2)
    both = one.concat(two)
    np.testing.assert_array_equal(both.weights, np.concatenate([one.weights, two.weights]))
    np.testing.assert_array_equal(both.aux["row"], [*range(30), *range(50)])
    assert both.sigma_fb == pytest.approx(one.sigma_fb + two.sigma_fb, rel=1e-13)
    pooled = one.pool(two)
    assert pooled.sigma_fb == pytest.approx((30 * one.sigma_fb + 50 * two.sigma_fb) / 80, rel=1e-13)
    np.testing.assert_array_equal(pooled.features, both.features)


def test_tables_that_differ_are_not_joined():
    table = make_table()
    renamed = EventTable(table.features, table.weights, BASIS, feature_names=["a", "b", "c"], aux=table.aux)
    bare = EventTable(
        table.features, table.weights, BASIS, feature_names=table.feature_names, units=table.units, aux={}
    )
    for other, word in ((renamed, "feature_names"), (table.rebase([1.0, 0.0]), "basis"), (bare, "aux")):
        for method in (table.concat, table.pool):
            with pytest.raises(InputError, match=f"differ in {word}"):
                method(other)


def test_cp_mirror_is_exactly_symmetric():
    table = make_table()
    parity = CPParity(flip=("phi",), swap=(("pt_lm", "pt_lp"),), odd_params=("cHWtil",))
    both = table.with_cp_mirror(parity)
    assert both.n_events == 100
    assert both.sigma_fb == pytest.approx(table.sigma_fb, rel=1e-13)
    original, image = both.take(slice(0, 50)), both.take(slice(50, 100))
    np.testing.assert_array_equal(original.weights, table.weights / 2)
    np.testing.assert_array_equal(image.weights, table.weights / 2 * parity.term_sign(BASIS.terms))
    np.testing.assert_array_equal(image.features, table.features[:, [0, 2, 1]] * np.float32([-1, 1, 1]))
    # the mirrored sample at theta is the sample at theta with odd coefficients flipped, event by event
    np.testing.assert_array_equal(image.at([0.3, -0.7]), original.at([0.3, 0.7]))
    # odd terms cancel pair by pair, so every odd sum is exactly 0 there
    odd = parity.term_sign(BASIS.terms) < 0
    assert (original.weights[:, odd] + image.weights[:, odd] == 0).all()
    again = image.with_cp_mirror(parity).take(slice(50, 100))
    np.testing.assert_array_equal(again.features, table.features)
    np.testing.assert_array_equal(again.weights, table.weights / 4)


def test_rebase_keeps_the_polynomial():
    table = make_table()
    moved = table.rebase({"cHWtil": 0.5})
    assert moved.basis.reference == (0.0, 0.5)
    # six products of order 0.1 each
    np.testing.assert_allclose(moved.at([0.4, -0.3]), table.at([0.4, -0.3]), atol=1e-14)
    np.testing.assert_allclose(moved.rebase(BASIS.reference).weights, table.weights, atol=1e-14)
    np.testing.assert_array_equal(moved.features, table.features)


def test_normalised_to():
    table = make_table()
    scaled = table.normalised_to(12.5)
    assert scaled.sigma_fb == pytest.approx(12.5, rel=1e-14)
    np.testing.assert_allclose(scaled.joint_ratio(), table.joint_ratio(), rtol=1e-13)
    assert scaled.n_eff == pytest.approx(table.n_eff, rel=1e-13)
    for bad in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="sigma_fb="):
            table.normalised_to(bad)
    flat = make_table(2)
    flat.weights[:, 0] = [1.0, -1.0]
    assert flat.n_eff == 0.0
    with pytest.raises(InputError, match="sum to 0"):
        flat.normalised_to(1.0)


# ---------------------------------------------------------------------- select
def three_params(rng, n=20):
    basis = PolynomialBasis(["a", "b", "c"], reference=[0.1, -0.2, 0.0])
    features = rng.normal(size=(n, 3)).astype(np.float32)
    aux = {"number": np.arange(n), "momenta": rng.normal(size=(n, 4))}
    units = ("GeV", "", "GeV")
    return EventTable(
        features, rng.normal(size=(n, basis.n_terms)), basis, feature_names=["x", "y", "z"], units=units, aux=aux
    )


def test_select_keeps_the_weights_at_all_values_of_the_rest(rng):
    table = three_params(rng)
    part = table.select(features=["z", "x"], params=["c", "a"], aux=["number"])
    assert part.feature_names == ("z", "x")
    assert part.units == ("GeV", "GeV")
    np.testing.assert_array_equal(part.features, table.features[:, [2, 0]])
    assert part.features.dtype == np.float32
    assert part.basis.param_names == ("a", "c")
    assert part.basis.reference == (0.1, 0.0)
    assert list(part.aux) == ["number"]
    for theta in ({"a": 0.3}, {"a": -1.0, "c": 2.0}):
        np.testing.assert_allclose(part.at(theta), table.at({"b": -0.2} | theta), rtol=1e-12)
    whole = table.select()
    np.testing.assert_array_equal(whole.weights, table.weights)
    assert set(whole.aux) == {"number", "momenta"}
    assert not table.select(aux=[]).aux


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"features": ["xx"]}, "no feature 'xx': did you mean 'x'"),
        ({"params": ["d"]}, "no coefficient 'd'"),
        ({"aux": ["numbers"]}, "no aux array 'numbers': did you mean 'number'"),
    ],
)
def test_select_refuses_unknown_names(rng, what, message):
    with pytest.raises(InputError, match=message):
        three_params(rng).select(**what)
