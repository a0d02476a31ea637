"""Labels, saving, and that the look leaves no trace."""

import matplotlib as mpl
import pytest
from matplotlib.mathtext import MathTextParser

from bit import plotting
from bit.errors import InputError


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("cHW", "c_{HW}"),
        ("cHWtil", r"c_{H\tilde{W}}"),
        ("cHBtil", r"c_{H\tilde{B}}"),
        ("cHWBtil", r"c_{H\tilde{W}B}"),
        ("cHq3", "c_{Hq}^{(3)}"),
        ("cHbox", "c_{H\N{WHITE SQUARE}}"),
        ("cW", "c_{W}"),
        ("fB", "f_{B}"),
        ("fWWtil", r"f_{W\tilde{W}}"),
        ("cHDD", "c_{HD}"),
        ("theta_1", r"\mathrm{theta\_1}"),
        ("odd$^name{", r"\mathrm{odd\ name\ }"),
    ],
)
def test_labels_of_coefficients(name, latex):
    assert plotting.param_label(name) == latex
    # Whatever the name, the label can be drawn.
    MathTextParser("path").parse(f"${latex}$")


def test_labels_of_terms_and_features():
    assert plotting.term_label(["cHW", "cHq3"]) == r"R_{c_{HW}\,c_{Hq}^{(3)}}"
    assert plotting.feature_label("pt", "p_T", "GeV") == "$p_T$ [GeV]"
    assert plotting.feature_label("pt") == "pt"
    assert plotting.feature_label("a$b") == r"a\$b"
    with pytest.raises(InputError, match="cannot be drawn"):
        plotting.feature_label("pt", r"\unknown{p}")
    assert plotting.feature_label("f", r"\tilde{f}^2_{LT}") == r"$\tilde{f}^{\,2}_{LT}$"


def test_global_settings_are_untouched(tmp_path):
    before = dict(mpl.rcParams)
    fig, axes = plotting.panels(2, 2, height_ratios=(3, 1), share_x=True)
    axes[0, 0].plot([0, 1], [0, 1])
    plotting.save(fig, tmp_path / "a.png", dpi=50)
    assert dict(mpl.rcParams) == before
    assert axes.shape == (2, 2)


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_save_writes_the_format_of_the_suffix(tmp_path, suffix):
    fig = plotting.figure(2, 2)
    fig.subplots().set_xlabel(rf"${plotting.param_label('cHWtil')}$")
    plotting.save(fig, tmp_path / f"a.{suffix}")
    head = (tmp_path / f"a.{suffix}").read_bytes()[:5]
    assert head.startswith({"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix])
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{suffix}"]


def test_save_refuses_what_it_cannot_write(tmp_path):
    fig = plotting.figure()
    with pytest.raises(InputError, match="no suffix of a figure"):
        plotting.save(fig, tmp_path / "a.jpgg")
    with pytest.raises(InputError, match="does not exist"):
        plotting.save(fig, tmp_path / "missing" / "a.png")
