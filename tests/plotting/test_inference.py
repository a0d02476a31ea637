"""Curves of -2 ln L and widths of intervals."""

import numpy as np
import pytest

from bit import plotting
from bit.errors import InputError
from bit.inference import Interval, ScanResult


def parabola(name, width):
    x = np.linspace(-3, 3, 31)
    return ScanResult(name, (name,), x, (x / width) ** 2, x[:, np.newaxis], 0.0, "zero", "linear")


def interval(half, name="cHW"):
    return Interval(name, -half, half, 0.0, ((-half, half),), 0.95, "zero", "linear")


def test_scan_curves_draw_levels_and_labels(tmp_path):
    fig = plotting.scan_curves({"p_T": parabola("cHWtil", 2.0), "learned": parabola("cHWtil", 1.0)})
    axes = fig.axes[0]
    levels = [line.get_ydata()[0] for line in axes.lines[2:]]
    # Quantiles of chi^2 with one degree of freedom; 68 % is not quite one.
    assert levels == pytest.approx([0.98895, 3.84146], abs=1e-5)
    assert axes.get_xlabel() == r"$c_{H\tilde{W}}/\Lambda^2$ [TeV$^{-2}$]"
    assert axes.get_xlim() == (-3.0, 3.0)
    plotting.save(fig, tmp_path / "a.png", dpi=40)


def test_scans_of_two_coefficients_are_refused():
    with pytest.raises(InputError, match="one coefficient"):
        plotting.scan_curves({"a": parabola("cHW", 1.0), "b": parabola("cHq3", 1.0)})
    with pytest.raises(InputError, match="one coefficient"):
        plotting.scan_curves({})


def test_intervals_are_relative_to_the_reference_and_arrows_stand_for_wide_ones(tmp_path):
    rows = {
        "cHW": {"pt": interval(1.5), "learned": interval(1.1), "true": interval(1.0)},
        "cHq3": {"pt": interval(np.inf), "learned": interval(2.0), "true": interval(2.0)},
    }
    fig = plotting.intervals(rows)
    axes = fig.axes[0]
    marks = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
    assert marks == pytest.approx([1.5, 1.1, 1.0, 1.0, 1.0])
    assert [note.arrowprops is not None for note in axes.texts] == [True]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["$c_{HW}$", "$c_{Hq}^{(3)}$"]
    plotting.save(fig, tmp_path / "a.png", dpi=40)


def test_intervals_that_cannot_be_compared_are_refused():
    with pytest.raises(InputError, match="same observables"):
        plotting.intervals({"a": {"x": interval(1.0)}, "b": {"y": interval(1.0)}})
    with pytest.raises(InputError, match="no finite interval"):
        plotting.intervals({"a": {"x": interval(np.inf)}})
    with pytest.raises(InputError, match="at least one"):
        plotting.intervals({})
