"""Maps of power."""

import numpy as np
import pytest

from bit import plotting
from bit.errors import InputError
from bit.inference import PowerMap


def parabola(width, params=("cHW", "cHWtil")):
    """Power 1/2 on the circle of radius `width`."""
    x, y = np.linspace(-2, 2, 41), np.linspace(-3, 3, 61)
    distance = (x[:, np.newaxis] ** 2 + y**2) / width**2
    return PowerMap(params, x, y, 1 - 0.5**distance, 0.05, None, "gaussian")


def test_contours_lie_where_the_power_is_one_half(tmp_path):
    fig = plotting.power_maps({"learned": parabola(1.0), "p_T": parabola(1.5), "none": parabola(9.0)})
    axes = fig.axes[0]
    radii = [np.hypot(*curve.get_paths()[0].vertices.T) for curve in axes.collections[1:]]
    assert len(radii) == 2  # the third has no contour on the grid
    # Linear interpolation on a grid of 0.1: its square over eight times the curvature.
    assert radii[0] == pytest.approx(1.0, abs=3e-3)
    assert radii[1] == pytest.approx(1.5, abs=3e-3)
    assert axes.get_ylabel() == r"$c_{H\tilde{W}}/\Lambda^2$ [TeV$^{-2}$]"
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["learned", "p_T", "none"]
    plotting.save(fig, tmp_path / "a.png", dpi=40)


def test_maps_that_cannot_be_compared_are_refused():
    with pytest.raises(InputError, match="same coefficients"):
        plotting.power_maps({"a": parabola(1.0), "b": parabola(1.0, ("cHW", "cHq3"))})
    with pytest.raises(InputError, match="nothing"):
        plotting.power_maps({})
    with pytest.raises(InputError, match="background='c'"):
        plotting.power_maps({"a": parabola(1.0)}, background="c")
