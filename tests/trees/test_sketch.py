"""Splits searched in random combinations of the terms."""

import numpy as np
import pytest

import bit
from bit.processes.analytic import GaussianMean

BASIS = bit.PolynomialBasis(["a", "b", "c"])


def make_table(rng, n=3000):
    x = rng.normal(size=(n, 3))
    nominal = rng.exponential(size=n)
    ratios = np.column_stack([x, x[:, [0]] ** 2, x[:, [0]] * x[:, [1]], x[:, [2]] ** 3])
    ratios = np.column_stack([ratios, np.zeros((n, 3))]) + rng.normal(size=(n, 9))
    weights = nominal[:, np.newaxis] * np.column_stack([np.ones(n), ratios])
    return bit.EventTable(x, weights, BASIS, feature_names=["x", "y", "z"])


@pytest.mark.parametrize("options", [{}, {"subsample": 0.7, "random_state": 3}, {"early_stopping": True}])
def test_losses_fall_and_are_those_of_the_predictions(rng, options):
    table = make_table(rng)
    model = bit.BIT(20, sketch=2, **options).fit(table)
    assert model.train_loss_[-1] < model.train_loss_[0]
    [group] = model.forest_.groups
    assert (group.gain[group.feature >= 0] > 0).mean() > 0.9  # of all terms, not of the combinations only
    # Leaves of the first tree hold all terms: the sums of the weights less the base, times the learning rate.
    if not options:
        stop = group.tree_offset[1]
        leaf = group.feature[:stop] < 0
        sums = group.sum_w[:stop][leaf]
        expected = 0.2 * (sums[:, 1:] / sums[:, :1] - model.forest_.base)
        np.testing.assert_allclose(group.value[:stop][leaf], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_row_order_and_threads_do_not_matter(rng, n_jobs):
    table = make_table(rng)
    first = bit.BIT(5, sketch=3, n_jobs=1).fit(table)
    second = bit.BIT(5, sketch=3, n_jobs=n_jobs).fit(table.take(rng.permutation(table.n_events)))
    np.testing.assert_array_equal(first.predict(table), second.predict(table))


def test_as_many_combinations_as_terms_are_all_terms(rng):
    table = make_table(rng)
    np.testing.assert_array_equal(bit.BIT(5, sketch=9).fit(table).predict(table), bit.BIT(5).fit(table).predict(table))
    toy = GaussianMean().sample(1000, seed=1)
    one = bit.BIT(5, terms=["theta"])
    np.testing.assert_array_equal(one.fit(toy).predict(toy), one.set_params(sketch=1).fit(toy).predict(toy))


def test_exact_parity(rng):
    table = make_table(rng)
    parity = bit.CPParity(flip=["x"], odd_params=["a"])
    model = bit.BIT(10, sketch=2, cp_parity=parity).fit(table)
    image = table.features * [-1, 1, 1]
    signs = np.array([-1.0 if term.count("a") % 2 else 1.0 for term in model.output_terms_])
    np.testing.assert_array_equal(model.predict(image), signs * model.predict(table.features))
    assert model.train_loss_[-1] < model.train_loss_[0]
