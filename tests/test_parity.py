import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.parity import CPParity

NAMES = ("phi", "pt_lm", "pt_lp", "m", "eta")
PARITY = CPParity(flip=("phi", "eta"), swap=(("pt_lm", "pt_lp"),), odd_params=("cHWtil", "cHBtil"))


@given(arrays(np.float32, (6, 5)))
def test_mirror_twice_gives_back_every_bit(features):
    # NaN is left out of the comparison of bits: a sign change may act on its sign bit twice
    kept = features.copy()
    once = PARITY.mirror(features, NAMES)
    twice = PARITY.mirror(once, NAMES)
    assert once.dtype == np.float32
    finite = ~np.isnan(features)
    np.testing.assert_array_equal(twice.view(np.int32)[finite], features.view(np.int32)[finite])
    np.testing.assert_array_equal(np.isnan(twice), ~finite)
    np.testing.assert_array_equal(features.view(np.int32), kept.view(np.int32))


def test_mirror():
    features = np.array([[0.1, 10.0, 20.0, 91.0, -1.5]])
    np.testing.assert_array_equal(PARITY.mirror(features, NAMES), [[-0.1, 20.0, 10.0, 91.0, 1.5]])
    np.testing.assert_array_equal(PARITY.permutation(NAMES), [0, 2, 1, 3, 4])
    np.testing.assert_array_equal(PARITY.feature_sign(NAMES), [-1, 1, 1, 1, -1])
    sign, order = PARITY.feature_sign(NAMES), PARITY.permutation(NAMES)
    np.testing.assert_array_equal(features[:, order] * sign, PARITY.mirror(features, NAMES))


def test_a_term_is_odd_if_it_has_an_odd_number_of_odd_coefficients():
    basis = PolynomialBasis(["cHW", "cHWtil", "cHBtil"])
    sign = dict(zip(basis.terms, PARITY.term_sign(basis.terms), strict=True))
    assert sign == {
        (): 1,
        ("cHW",): 1,
        ("cHWtil",): -1,
        ("cHBtil",): -1,
        ("cHW", "cHW"): 1,
        ("cHW", "cHWtil"): -1,
        ("cHW", "cHBtil"): -1,
        ("cHWtil", "cHWtil"): 1,
        ("cHWtil", "cHBtil"): 1,
        ("cHBtil", "cHBtil"): 1,
    }


@given(st.lists(st.floats(-2, 2, width=32), min_size=3, max_size=3))
def test_term_signs_are_the_polynomial_at_flipped_coefficients(theta):
    basis = PolynomialBasis(["cHW", "cHWtil", "cHBtil"])
    flipped = np.array(theta) * [1, -1, -1]
    np.testing.assert_array_equal(basis.monomials(flipped), basis.monomials(theta) * PARITY.term_sign(basis.terms))


def test_nothing_odd():
    assert CPParity().term_sign([(), ("a",)]).tolist() == [1.0, 1.0]
    features = np.ones((2, 2))
    np.testing.assert_array_equal(CPParity().mirror(features, ["a", "b"]), features)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"flip": "phi"}, r"flip='phi'.*\('phi',\)"),
        ({"odd_params": "cHWtil"}, "odd_params='cHWtil'"),
        ({"flip": ("a", "a")}, r"\['a'\] stand twice"),
        ({"flip": ("a",), "swap": (("a", "b"),)}, r"\['a'\] stand twice"),
        ({"swap": (("a", "b"), ("b", "c"))}, r"\['b'\] stand twice"),
    ],
)
def test_bad_parities(arguments, message):
    with pytest.raises(InputError, match=message):
        CPParity(**arguments)


@pytest.mark.parametrize("parity", [CPParity(flip=("phj",)), CPParity(swap=(("phj", "m"),))])
def test_unknown_features(parity):
    with pytest.raises(InputError, match="unknown feature 'phj': did you mean 'phi'"):
        parity.mirror(np.ones((1, 5)), NAMES)
