"""What is drawn: heights, errors, ratios, against sums done by hand."""

import numpy as np
import pytest

from bit import plotting
from bit.errors import InputError

EDGES = np.array([0.0, 1.0, 2.0])
X = np.array([0.5, 0.5, 1.5, 2.0, 7.0])
W_0 = np.array([1.0, 1.0, 2.0, 2.0, 9.0])


def heights(axes, position):
    return [patch for patch in axes.patches if hasattr(patch, "get_data")][position].get_data().values


def test_distribution_sums_weights_and_leaves_out_what_is_outside():
    doubled = W_0 * [1, 3, 1, 1, 1]
    fig = plotting.distribution(X, {"SM": W_0, "EFT": doubled}, EDGES, xlabel="x")
    upper, lower = fig.axes
    assert heights(upper, 0).tolist() == [2.0, 4.0]
    assert heights(upper, 1).tolist() == [4.0, 4.0]
    assert heights(lower, 0).tolist() == [2.0, 1.0]
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["SM", "EFT"]
    # Error of the ratio 2 in the first bin: w - 2 w_0 = (-1, 1), over the nominal 2.
    (bars,) = [container.lines[2][0] for container in lower.containers]
    low, high = bars.get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(np.sqrt(2) / 2)


def test_distribution_takes_panels_of_the_caller():
    fig, axes = plotting.panels(1, 2)
    assert plotting.distribution(X, {"SM": W_0}, EDGES, xlabel="x", axes=tuple(axes[:, 0])) is fig
    assert axes[1, 0].get_xlabel() == "x"


def test_profile_draws_weighted_means_and_their_errors():
    w_k = W_0 * [1.0, 3.0, 4.0, 4.0, 100.0]
    prediction = np.array([2.0, 2.0, 4.0, 5.0, 100.0])
    fig = plotting.profile(X, w_k, W_0, prediction, EDGES, xlabel="x", ylabel="R")
    upper, lower = fig.axes
    points, _, (bars,) = upper.containers[0].lines
    assert points.get_ydata().tolist() == [2.0, 4.0]
    assert heights(upper, 0).tolist() == [2.0, 4.5]
    half = np.ptp(np.array(bars.get_segments())[:, :, 1], axis=1) / 2
    assert half == pytest.approx([np.sqrt(2) / 2, 0.0])
    # Both means exceed two errors: the lower panel is the ratio, and its bars are those of w_k - w_0 F.
    assert lower.get_ylabel() == "learned / true"
    ratio, _, (bars,) = lower.containers[0].lines
    assert ratio.get_ydata() == pytest.approx([1.0, 4.5 / 4.0])
    half = np.ptp(np.array(bars.get_segments())[:, :, 1], axis=1) / 2
    assert half == pytest.approx([np.sqrt(2) / 2 / 2, 2.0 / 4 / 4])


def test_profile_around_zero_draws_differences():
    w_k = W_0 * [1.0, -1.0, 1.0, -1.0, 0.0]
    lower = plotting.profile(X, w_k, W_0, np.full(5, 0.25), EDGES, xlabel="x").axes[1]
    assert lower.get_ylabel() == "learned − true"
    assert lower.containers[0].lines[0].get_ydata() == pytest.approx([0.25, 0.25])


def test_empty_bins_and_signed_weights_are_no_problem(tmp_path):
    edges = np.linspace(0, 10, 11)
    signed = W_0 * [1, -1, 1, 1, -1]
    plotting.save(plotting.distribution(X, {"SM": signed, "b": W_0}, edges, xlabel="x"), tmp_path / "a.png", dpi=40)
    plotting.save(plotting.profile(X, signed, W_0, X, edges, xlabel="x"), tmp_path / "b.png", dpi=40)
    assert len(list(tmp_path.iterdir())) == 2


def test_bad_arguments_are_named():
    for call in (
        lambda: plotting.distribution(X, {}, EDGES, xlabel="x"),
        lambda: plotting.distribution(X, {"SM": W_0[:-1]}, EDGES, xlabel="x"),
        lambda: plotting.profile(X, W_0, W_0, X[:-1], EDGES, xlabel="x"),
    ):
        with pytest.raises(InputError, match="one shape"):
            call()
    for edges in ([0.0], [0.0, 0.0], [0.0, np.inf]):
        with pytest.raises(InputError, match="edges must be finite and increase"):
            plotting.profile(X, W_0, W_0, X, edges, xlabel="x")
    with pytest.raises(InputError, match="no bin holds two events"):
        plotting.profile(X, W_0, W_0, X, [3.0, 4.0], xlabel="x")
