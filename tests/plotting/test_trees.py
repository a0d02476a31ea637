"""Curves of the loss and rho^2, importance as bars and as a map, partial dependence."""

import numpy as np
import pytest

from bit import plotting
from bit.errors import InputError
from bit.inspection import PartialDependence


def test_loss_is_relative_to_start_and_end_of_the_training():
    fig = plotting.loss({"a": [10.0, 8.0, 6.0]}, {"a": [20.0, 18.0, 17.0]})
    training, test = fig.axes[0].lines
    assert training.get_xdata().tolist() == [1, 2]
    assert training.get_ydata().tolist() == [-0.5, -1.0]
    assert test.get_ydata().tolist() == [-0.5, -0.75]
    assert [text.get_text() for text in fig.axes[0].get_legend().get_texts()] == ["a", "training", "test"]


def test_a_loss_that_never_falls_is_drawn(tmp_path):
    plotting.save(plotting.loss({"a": [0.0, 0.0]}), tmp_path / "a.png", dpi=40)
    assert (tmp_path / "a.png").exists()


def test_loss_refuses_curves_without_trees():
    for arguments in (({},), ({"a": [1.0]},), ({"a": [1.0, 0.0]}, {"b": [1.0, 0.0]})):
        with pytest.raises(InputError, match="curve"):
            plotting.loss(*arguments)


def test_importances_are_sorted_with_the_largest_on_top():
    axes = plotting.importances([0.1, 0.6, 0.3], ["a", "b", "c"], n_largest=2).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c", "b"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([30.0, 60.0])
    with pytest.raises(InputError, match="2 labels"):
        plotting.importances(np.ones(3), ["a", "b"])
    plotting.importances(np.zeros(2), ["a", "b"])  # a forest without splits


def test_importances_with_errors():
    axes = plotting.importances([0.5, -0.01], ["a", "b"], errors=[0.02, 0.03]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["-1.0 ± 3.0", "50.0 ± 2.0"]
    assert axes.get_xlim()[0] == pytest.approx(1.1 * -4.0)
    (errors,) = axes.containers[1].lines[2]
    np.testing.assert_allclose([segment[:, 0] for segment in errors.get_segments()], [[-4, 2], [48, 52]])
    with pytest.raises(InputError, match=r"errors \(1,\)"):
        plotting.importances([0.5, 0.1], ["a", "b"], errors=[0.1])


def test_importance_map_keeps_what_matters_for_any_function(tmp_path):
    values = [[0.0, 0.0], [0.9, 0.02], [0.0, 0.98], [0.1, 0.0]]
    fig = plotting.importance_map(values, ["a", "b", "c", "d"], ["R1", "R2"], n_largest=3)
    axes = fig.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c", "b", "d"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["R1", "R2"]
    assert [text.get_text() for text in axes.texts] == ["0.0", "98", "90", "2.0", "10", "0.0"]
    # White ink on the dark cells only.
    assert [text.get_color() for text in axes.texts] == ["black", "white", "white", "black", "black", "black"]
    plotting.save(fig, tmp_path / "a.png", dpi=40)
    plotting.importance_map(np.zeros((1, 1)), ["a"], ["R"])  # a forest without splits
    for arguments in ((values, ["a"], ["R1", "R2"]), (values, list("abcd"), ["R1"]), (np.empty((0, 0)), [], [])):
        with pytest.raises(InputError, match="labels of rows"):
            plotting.importance_map(*arguments)


def test_rho2_shows_what_is_missing(tmp_path):
    fig = plotting.rho2({"a": [0.0, 0.5, 0.9], "b": [0.0, 0.25]})
    axes = fig.axes[0]
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0.5, pytest.approx(0.1)], [0.75]]
    assert axes.lines[0].get_xdata().tolist() == [1, 2]
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    plotting.save(fig, tmp_path / "a.png", dpi=40)
    for curves in ({}, {"a": [0.5]}, {"a": [0.0, 1.5]}):
        with pytest.raises(InputError, match="each curve"):
            plotting.rho2(curves)


def test_partial_dependence_draws_mean_band_and_deciles(tmp_path):
    grid = np.array([0.0, 1.0, 3.0])
    mean = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, 9.0]])
    result = PartialDependence("pt", "GeV", ("a", "a*b"), grid, mean, mean - 1, mean + 2, np.linspace(-1, 7, 9))
    fig = plotting.partial_dependence(result, "a*b")
    axes = fig.axes[0]
    line, rug = axes.lines
    assert line.get_ydata().tolist() == [5.0, 6.0, 9.0]
    assert rug.get_xdata().tolist() == [0.0, 1.0, 2.0, 3.0]  # deciles off the grid are left out
    (band,) = axes.collections
    assert {4.0, 11.0} <= set(band.get_paths()[0].vertices[:, 1])
    assert axes.get_xlabel() == "pt [GeV]"
    assert axes.get_ylabel() == "mean prediction of a*b"
    plotting.save(fig, tmp_path / "a.png", dpi=40)
    with pytest.raises(InputError, match="no function 'b'"):
        plotting.partial_dependence(result, "b")
