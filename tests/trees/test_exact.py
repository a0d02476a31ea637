from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bit.trees.exact import exact_sum, quantisation_scale

largest_values = st.floats(min_value=1e-250, max_value=1e250)


@given(largest=largest_values, n=st.integers(1, 10**9))
def test_scale_is_the_largest_power_of_two_that_fits(largest, n):
    scale = quantisation_scale(largest, n)
    total = Fraction(largest) * n * Fraction(scale)
    assert total < 2**62
    assert 2 * total >= 2**62 or scale == 2.0**1000


@given(largest=st.floats(min_value=1e-200, max_value=1e200))
def test_stated_error(largest):
    # Half a unit per event, below 2^-35 of the largest at 10^8 events.
    assert 0.5 / quantisation_scale(largest, 10**8) < 2.0**-35 * largest


@pytest.mark.parametrize("n", [1, 7, 100_000])
def test_sum_within_the_stated_error_of_the_exact_one(rng, n):
    values = rng.standard_cauchy(n)
    exact = float(sum(map(Fraction, values.tolist())))
    assert abs(exact_sum(values) - exact) <= n * n * np.abs(values).max() * 2.0**-62 + 1e-15 * abs(exact)


def test_sum_does_not_depend_on_the_order(rng):
    values = rng.standard_cauchy(10_000)
    assert len({exact_sum(rng.permutation(values)) for _ in range(20)}) == 1
    assert len({float(rng.permutation(values).sum()) for _ in range(20)}) > 1  # what a float sum would do


def test_zeros():
    assert quantisation_scale(0.0, 5) == 1.0
    assert exact_sum(np.zeros(3)) == 0.0
