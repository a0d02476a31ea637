"""Impacts, parts of the error, and the density of information."""

from dataclasses import replace

import numpy as np
import pytest

from bit import plotting
from bit.errors import InputError
from bit.inference import Breakdown, Impacts, InformationDensity

IMPACTS = Impacts(
    "cHq3",
    0.02,
    0.03,
    ("jes", "lumi", "50%_x$"),
    np.array([0.5, -3.0, 0.0]),
    np.array([0.4, 1.0, 0.9]),
    np.array([-0.02, 0.01, 0.001]),
    np.array([0.02, -0.01, -0.001]),
    "zero",
)


def broken(total, statistical, **parts):
    return Breakdown("cHW", 0.0, total, statistical, tuple(parts), np.array(list(parts.values())), "zero")


def density(information, yields=(1.0, 3.0, 4.0), edges=(-np.inf, 1.0, 2.0, np.inf)):
    matrices = np.zeros((len(information), 2, 2))
    matrices[:, 0, 0] = information
    return InformationDensity(("cHW", "cHq3"), (np.array(edges),), matrices, np.array(yields), np.zeros(2))


def test_impacts_show_pulls_and_shifts(tmp_path):
    fig = plotting.impacts(IMPACTS)
    pulls, shifts = fig.axes
    assert pulls.lines[1].get_xdata() == pytest.approx([0.5, -3.0, 0.0])
    assert pulls.get_xlim() == pytest.approx((-4.4, 4.4))
    widths = [bar.get_width() for bar in shifts.patches]
    assert widths == pytest.approx([0.02, -0.01, -0.001, -0.02, 0.01, 0.001])
    # The largest impact stands on top.
    places = [bar.get_y() for bar in shifts.patches[:3]]
    assert places == sorted(places, reverse=True)
    assert shifts.get_xlabel() == r"shift of $c_{Hq}^{(3)}/\Lambda^2$ [TeV$^{-2}$]"
    plotting.save(fig, tmp_path / "a.png", dpi=40)


def test_few_of_many_impacts_can_be_shown():
    fig = plotting.impacts(IMPACTS, most=2)
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == ["jes", "lumi"]
    with pytest.raises(InputError, match="at least one nuisance"):
        plotting.impacts(IMPACTS, most=0)
    none = np.empty(0)
    with pytest.raises(InputError, match="0 nuisances"):
        plotting.impacts(replace(IMPACTS, names=(), pulls=none, constraints=none, down=none, up=none))


def test_breakdown_is_relative_to_the_total(tmp_path):
    rows = {"cHW": broken(2.0, 1.0, lumi=0.5, jes=1.5), "cHq3": broken(0.1, 0.08, jes=0.02, lumi=0.05)}
    fig = plotting.breakdown(rows)
    widths = [bar.get_width() for bar in fig.axes[0].patches]
    # Group by group, in the order of the first row, whatever that of the others.
    assert widths == pytest.approx([0.5, 0.8, 0.25, 0.5, 0.75, 0.2])
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["statistical", "lumi", "jes"]
    plotting.save(fig, tmp_path / "a.png", dpi=40)


def test_breakdowns_that_differ_are_refused():
    with pytest.raises(InputError, match="same groups"):
        plotting.breakdown({"a": broken(1.0, 1.0, lumi=0.1), "b": broken(1.0, 1.0, jes=0.1)})
    with pytest.raises(InputError, match="at least one row"):
        plotting.breakdown({})


def test_shares_of_information_have_area_one(tmp_path):
    fig = plotting.information_density({"pt": density([1.0, 2.0, 5.0]), "other": density([2.0, 0.0, 0.0])}, "cHW")
    events, *curves = fig.axes[0].patches
    values, edges, _ = curves[0].get_data()
    # Open bins are drawn as wide as their neighbours.
    assert edges == pytest.approx([0.0, 1.0, 2.0, 3.0])
    assert values == pytest.approx([0.125, 0.25, 0.625])
    assert events.get_data()[0] == pytest.approx([0.125, 0.375, 0.5])
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["pt", "other", "events"]
    plotting.save(fig, tmp_path / "a.png", dpi=40)


def test_densities_that_cannot_be_drawn_are_refused():
    with pytest.raises(InputError, match="at least one information density"):
        plotting.information_density({}, "cHW")
    with pytest.raises(InputError, match="same edges"):
        plotting.information_density({"a": density([1, 1, 1]), "b": density([1, 1, 1], edges=(0, 1, 2, 4))}, "cHW")
    with pytest.raises(InputError, match="no information on 'cHq3'"):
        plotting.information_density({"a": density([1, 1, 1])}, "cHq3")
    with pytest.raises(InputError, match="did you mean 'cHW'"):
        plotting.information_density({"a": density([1, 1, 1])}, "cHw")
    with pytest.raises(InputError, match="two finite ends"):
        plotting.information_density({"a": density([1, 1], (1, 1), (-np.inf, 1.0, np.inf))}, "cHW")
