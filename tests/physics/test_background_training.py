"""Why backgrounds belong in the training: the observable learns where the signal is diluted, and limits get tighter.

The optimal observable of a mixture is w_a^S / (w_0^S + w_0^B), not w_a^S / w_0^S; only a training that sees the
background knows the difference.
"""

import numpy as np
import pytest

import bit
from bit.inference import Channel, Model, choose_edges, fill, limits
from bit.processes import zh
from bit.processes.zh_background import background_density, zh_background

N_EVENTS, N_PARTS, LUMI = 20_000, 10, 300.0


def signal_sample(seed):
    return zh.simulate(N_EVENTS, seed=seed, show_progress=False).table


def background_sample(seed):
    return zh_background(N_EVENTS, seed=seed, show_progress=False).table


def true_score(sigma_background):
    """d ln sigma(x) / d cHW of ZH beside so many fb of background."""

    def evaluate(table):
        names = ("sqrt_s", "y", "cos_theta", "cos_theta_l", "phi")
        x = {name: table.column(name).astype(np.float64) for name in names}
        polynomial = zh.ZH().differential_weights(**x).sum(axis=0)
        density = background_density(x["sqrt_s"], x["y"], x["cos_theta_l"])
        return polynomial[table.basis.index("cHW")] / (polynomial[0] + sigma_background * density)

    return evaluate


def widths(signal, background, observables, edges):
    """Length of the expected 95 % interval of cHW for each observable."""
    found = []
    for observable, axes in zip(observables, edges, strict=True):
        samples = [
            fill(table, observable, axes, LUMI, process=process)
            for process, table in (("zh", signal), ("background", background))
        ]
        interval = limits(Model([Channel("ll", samples)]), params=["cHW"], order="linear")["cHW"]
        found.append(interval.upper - interval.lower)
    return np.array(found)


@pytest.fixture(scope="module")
def measured():
    """Widths without background, with it, and of the true score of the mixture: (n_parts, 3)."""
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    train, more = signal_sample(1), background_sample(2)
    models = [
        bit.BIT(30, max_depth=4, terms=["cHW"], random_state=1).fit(table) for table in (train, train.concat(more))
    ]
    observables = [*(model.observable("cHW") for model in models), true_score(more.sigma_fb)]
    both = train.concat(more)
    edges = [choose_edges(both, observable, 20) for observable in observables]
    signal, background = signal_sample(3), background_sample(4)
    size = N_EVENTS // N_PARTS
    rows = [slice(k * size, (k + 1) * size) for k in range(N_PARTS)]
    parts = [[table.take(part).normalised_to(table.sigma_fb) for table in (signal, background)] for part in rows]
    return np.array([widths(*part, observables, edges) for part in parts])


def test_background_in_the_training_improves_the_limit(measured):
    gains = measured[:, 0] / measured[:, 1]
    error = gains.std(ddof=1) / np.sqrt(N_PARTS)
    assert gains.mean() - 5 * error > 1.0


def test_no_observable_is_better_than_the_true_score_of_the_mixture(measured):
    ratios = measured[:, 1] / measured[:, 2]
    error = ratios.std(ddof=1) / np.sqrt(N_PARTS)
    assert ratios.mean() + 3 * error > 1.0
    # And the learned one comes near it: closer than the one without background, beyond statistics.
    lost = (measured[:, 0] - measured[:, 1]) - (measured[:, 1] - measured[:, 2])
    assert lost.mean() > 3 * lost.std(ddof=1) / np.sqrt(N_PARTS)
