"""Contours of pairs of coefficients."""

import numpy as np
import pytest

from bit import plotting
from bit.errors import InputError
from bit.inference import ContourResult


def paraboloid(width, names=("cHW", "cHWtil"), cls=(0.68, 0.95), reach=4.0):
    """-2 ln L = x^2 / width^2 + y^2 / (2 width)^2."""
    x, y = np.linspace(-reach * width, reach * width, 81), np.linspace(-2 * reach * width, 2 * reach * width, 81)
    heights = (x / width) ** 2 + (y[:, np.newaxis] / (2 * width)) ** 2
    levels = tuple(-2 * np.log1p(-cl) for cl in cls)
    return ContourResult(names, x, y, heights, (0.0, 0.0), cls, levels, "zero", "linear")


def test_lines_lie_at_the_levels(tmp_path):
    fig = plotting.contours({"learned": paraboloid(1.0), "pt": paraboloid(1.5)})
    panel = fig.axes[0]
    heights = [
        [np.hypot(path.vertices[:, 0] / width, path.vertices[:, 1] / (2 * width)) ** 2 for path in curve.get_paths()]
        for curve, width in zip(panel.collections, (1.0, 1.0, 1.5, 1.5), strict=True)
    ]
    for found, level in zip(heights, [2.279, 5.991] * 2, strict=True):
        # Between points 0.1 widths apart a parabola is off its chord by at most 0.1^2 / 4, in each direction.
        assert np.concatenate(found) == pytest.approx(level, abs=2 * 0.1**2 / 4 + 1e-3)
    assert [curve.get_alpha() for curve in panel.collections] == [0.5, 1.0, 0.5, 1.0]
    assert panel.get_xlabel() == r"$c_{HW}/\Lambda^2$ [TeV$^{-2}$]"
    assert panel.get_ylabel() == r"$c_{H\tilde{W}}/\Lambda^2$ [TeV$^{-2}$]"
    texts = [text.get_text() for text in fig.legends[0].get_texts()]
    assert texts == ["learned", "pt", "95 % CL, 68 % CL (pale)"]
    plotting.save(fig, tmp_path / "a.png", dpi=40)


def test_a_panel_holds_all_regions_but_those_much_wider():
    half = np.sqrt(5.991)
    low, high = plotting.contours({"a": paraboloid(1.0), "b": paraboloid(1.5)}).axes[0].get_xlim()
    assert -low == pytest.approx(high)
    assert 1.5 * half < high < 2 * half
    low, high = plotting.contours({"a": paraboloid(1.0), "b": paraboloid(100.0)}).axes[0].get_xlim()
    assert 4 * half < high < 6 * half


def test_a_region_beyond_its_grid_is_drawn_without_a_line():
    fig = plotting.contours({"a": paraboloid(1.0, reach=0.5)})
    assert len(fig.axes[0].collections) == 0
    assert fig.axes[0].get_xlim() == (-0.5, 0.5)


def test_contours_that_cannot_be_compared_are_refused():
    for others in ({"b": paraboloid(1.0, ("cHW", "cHq3"))}, {"b": paraboloid(1.0, cls=(0.95,))}):
        with pytest.raises(InputError, match="same coefficients and levels"):
            plotting.contours({"a": paraboloid(1.0), **others})
    with pytest.raises(InputError, match="nothing"):
        plotting.contours({})


def test_a_corner_has_one_panel_for_each_pair(tmp_path):
    pairs = [("cHW", "cHWtil"), ("cHW", "cHq3"), ("cHWtil", "cHq3")]
    rows = {label: [paraboloid(width, pair) for pair in pairs] for label, width in (("learned", 1.0), ("pt", 1.5))}
    fig = plotting.corner(rows)
    visible = [axes.get_visible() for axes in fig.axes]
    assert visible == [True, False, True, True]
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in fig.axes]
    assert labels[2] == (r"$c_{HW}/\Lambda^2$ [TeV$^{-2}$]", r"$c_{Hq}^{(3)}/\Lambda^2$ [TeV$^{-2}$]")
    assert labels[0][0] == labels[3][1] == ""
    assert len(fig.legends) == 1
    plotting.save(fig, tmp_path / "a.png", dpi=40)


def test_a_corner_needs_all_pairs():
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    with pytest.raises(InputError, match="every pair"):
        plotting.corner({"x": [paraboloid(1.0, pair) for pair in pairs[:2]]})
    with pytest.raises(InputError, match="same pairs"):
        plotting.corner({"x": [paraboloid(1.0, pairs[0])], "y": [paraboloid(1.0, pairs[1])]})
    with pytest.raises(InputError, match="at least one pair"):
        plotting.corner({})
