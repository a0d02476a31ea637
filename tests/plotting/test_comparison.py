"""The figure of a comparison."""

from dataclasses import replace

import pytest
from test_compare import SMALL, two_coefficients

from bit import CPParity, plotting
from bit.compare import Comparison, compare
from bit.errors import InputError

PARITY = CPParity(flip=["phi"], odd_params=["cHWtil"])


@pytest.fixture(scope="module")
def result():
    return compare(two_coefficients(), lumi_fb=1000.0, methods=["bit"], cp=PARITY, **SMALL)


def test_one_panel_per_coefficient(result, tmp_path):
    fig = plotting.comparison(result)
    assert [axes.get_xlabel() for axes in fig.axes] == [
        r"$c_{HW}/\Lambda^2$ [TeV$^{-2}$]",
        r"$c_{H\tilde{W}}/\Lambda^2$ [TeV$^{-2}$]",
    ]
    labels = [text.get_text() for text in fig.axes[0].get_yticklabels()]
    assert labels == ["pt", "phi", "best feature", "BIT", "true score"]
    assert [text.get_text() for text in fig.axes[1].get_yticklabels()] == [""] * 5
    plotting.save(fig, tmp_path / "a.png", dpi=40)
    plotting.save(fig, tmp_path / "a.pdf")


def test_intervals_stand_beside_their_numbers(result):
    fig = plotting.comparison(result)
    for axes, param in zip(fig.axes, result.params, strict=True):
        row = result.row("bit", param)
        bars = {
            tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2 and line.get_ydata()[0] == 1
        }
        assert bars == {(row.interval.lower, row.interval.upper)}
        texts = {text.get_text() for text in axes.texts if text.get_position()[1] == 1}
        assert texts == {f"{result.ratio(row):.2f}", f"{row.information_kept:.2f}"}


def test_what_does_not_fit_has_arrows(result):
    axes = plotting.comparison(result).axes[1]
    # pt does not bound the odd coefficient: it reaches from side to side.
    left, right = axes.get_xlim()
    arrows = {line.get_marker(): line.get_xdata()[0] for line in axes.lines if line.get_marker() in ("<", ">")}
    assert arrows == {"<": left, ">": right}
    assert "--" in {text.get_text() for text in axes.texts}


def test_other_pieces_of_an_interval_have_arrows(result):
    row = result.row("bit", "cHW")
    low, high = row.interval.pieces[0]
    far = low - 20.0 * (high - low)
    interval = replace(row.interval, lower=far, pieces=((far, far + (high - low)), (low, high)))
    rows = tuple(replace(other, interval=interval) if other is row else other for other in result.rows)
    axes = plotting.comparison(replace(result, rows=rows)).axes[0]
    place = 1  # from below: the true score, BIT
    drawn = [(line.get_marker(), line.get_xdata()[0]) for line in axes.lines if line.get_ydata()[0] == place]
    assert ("<", axes.get_xlim()[0]) in drawn


def test_one_coefficient_has_room_for_title_and_numbers(result):
    one = replace(result, rows=tuple(row for row in result.rows if row.param == "cHWtil"))
    fig = plotting.comparison(one)
    with plotting.style():
        fig.draw_without_rendering()
    boxes = {text.get_text(): text.get_window_extent() for text in [*fig.axes[0].texts, *fig.texts]}
    assert boxes["width"].x1 < boxes["kept"].x0
    for box in boxes.values():
        assert fig.bbox.x0 <= box.x0 < box.x1 <= fig.bbox.x1


def test_a_comparison_without_rows_is_refused(result):
    empty = Comparison((), (), result.settings, result.events, True)
    with pytest.raises(InputError, match="no rows"):
        plotting.comparison(empty)
