"""Curves of the loss and bars of importance."""

import numpy as np
import pytest

from bit import plotting
from bit.errors import InputError


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
