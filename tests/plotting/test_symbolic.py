"""Fronts of formulas, means along features and in slices, residuals."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bit import EventTable, PolynomialBasis, plotting
from bit.distill import Figures, ParetoFront, regional_mse
from bit.errors import InputError
from bit.expression import Expression
from bit.observables import FunctionObservable

NAMES = ("x_1", "phi")


def limits(k, wanted):
    return (0.2 * 0.5**k, 0.01) if wanted else ()


def front(texts=("x_1", "0.5*x_1 + 1.0", "x_1*sin(phi) + 0.5*square(x_1)"), with_limits=True, scale=1.0):
    figures = [
        Figures(scale * 0.1**k, 0.01 * 0.1**k, 1 - 0.5**k, 0.01, 0.9, 0.01, *limits(k, with_limits))
        for k in range(len(texts))
    ]
    return ParetoFront([Expression.parse(text, NAMES) for text in texts], figures, {"target_rho2": 0.95})


def texts_of(fig):
    return [text.get_text() for panel in fig.findobj(lambda item: hasattr(item, "texts")) for text in panel.texts]


def test_a_front_has_its_figures_and_its_formulas(tmp_path):
    item = front()
    fig = plotting.pareto({"operon": item})
    axes = fig.axes
    assert [panel.get_ylabel() for panel in axes[:3]] == [
        "mean squared error",
        r"$\rho^2$",
        "95 % limit [TeV$^{-2}$]",
    ]
    for panel, name in zip(axes, ("mse", "rho2", "limit"), strict=False):
        curve = panel.containers[0].lines[0]
        assert curve.get_xdata() == pytest.approx(item.complexity)
        assert curve.get_ydata() == pytest.approx(item.column(name))
    assert axes[0].get_yscale() == "log"
    assert axes[1].lines[-1].get_ydata()[0] == 0.95
    ringed = [line for line in axes[0].lines if line.get_markerfacecolor() == "none" and line.get_markersize() == 13]
    assert [line.get_xdata()[0] for line in ringed] == [item.best().complexity]
    written = texts_of(fig)
    assert [f"${expression.to_latex()}$" in written for expression in item] == [True] * 3
    assert written.count("\N{WHITE CIRCLE}") == 1
    plotting.save(fig, tmp_path / "a.png", dpi=40)


def test_no_formula_overlaps_another_or_leaves_the_figure():
    long = " + ".join(f"{k}.25*x_1*sin({k}.5*phi)" for k in range(1, 9))
    fig = plotting.pareto({"a": front(("x_1", "2.0*x_1", long)), "b": front(scale=2.0)})
    canvas = FigureCanvasAgg(fig)
    with plotting.style():
        canvas.draw()
    renderer = canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in fig.axes[-1].texts if text.get_text().startswith("$")]
    assert len(boxes) == 6
    assert all(box.y0 >= 0 and box.x1 <= fig.bbox.x1 for box in boxes)
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(boxes))
    assert min(text.get_fontsize() for text in fig.axes[-1].texts) >= 9.0
    assert max(box.y1 for box in boxes) < min(panel.bbox.y0 for panel in fig.axes[:3])


def test_without_luminosity_there_is_no_panel_of_limits():
    fig = plotting.pareto({"operon": front(with_limits=False)}, rule="mse")
    assert len(fig.axes) == 3


def test_several_fronts_have_a_legend():
    fig = plotting.pareto({"operon": front(), "pysr": front(scale=0.5)})
    texts = [text.get_text() for legend in fig.subfigs[0].legends for text in legend.get_texts()]
    assert texts == ["operon", "pysr", "what is described", "chosen"]
    with pytest.raises(InputError, match="no fronts"):
        plotting.pareto({})


def test_labels_of_formulas_can_be_drawn():
    # feature_label refuses what matplotlib cannot draw.
    for text in ("-1.5e-7*a_b", "a_b/(a_b + 0.5)", "sqrt_abs(a_b)**2 - 3", "log_abs(square(a_b))"):
        label = Expression.parse(text, ["a_b"]).to_latex()
        assert plotting.feature_label("f", label) == f"${label}$"


# ---------------------------------------------------------------------- against forest and truth
@pytest.fixture
def events():
    rng = np.random.default_rng(3)
    x, held = rng.uniform(0.0, 1.0, 4000), rng.uniform(-1.0, 1.0, 4000)
    w_0 = rng.uniform(0.5, 1.5, 4000)
    truth = x * np.sign(held)
    return x, held, w_0 * (truth + 0.1 * rng.normal(size=4000)), w_0, truth


def test_profile_shows_weighted_means(events, tmp_path):
    x, _, w_k, w_0, truth = events
    edges = np.linspace(0.0, 1.0, 5)
    fig = plotting.formula_profile(
        x, w_k, w_0, {"formula": truth, "forest": 0.5 * truth}, edges, xlabel="x", ylabel="R"
    )
    upper, lower = fig.axes
    inside = (x >= edges[1]) & (x < edges[2])
    assert upper.containers[0].lines[0].get_ydata()[1] == pytest.approx(w_k[inside].sum() / w_0[inside].sum())
    formula = w_0[inside] @ truth[inside] / w_0[inside].sum()
    assert upper.patches[0].get_data().values[1] == pytest.approx(formula)
    assert lower.patches[1].get_data().values[1] == pytest.approx(formula - w_k[inside].sum() / w_0[inside].sum())
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["formula", "forest", "true"]
    plotting.save(fig, tmp_path / "a.png", dpi=40)


def test_slices_hold_the_other_feature(events, tmp_path):
    x, held, w_k, w_0, truth = events
    fig = plotting.slices(
        x, held, w_k, w_0, {"formula": truth}, np.linspace(0, 1, 5), [-1, 0, 1], xlabel="x", held_label="y", ylabel="R"
    )
    left, right = fig.axes
    assert [panel.get_title() for panel in fig.axes] == ["\N{MINUS SIGN}1 < y < 0", "0 < y < 1"]
    assert left.get_ylim() == right.get_ylim()
    slopes = [np.diff(panel.patches[0].get_data().values) for panel in fig.axes]
    # Means of x in bins of width 1/4 that hold some 500 events: errors of 1/(4 sqrt(12 * 500)), times sqrt(2), 5 sigma.
    for slope, sign in zip(slopes, (-1, 1), strict=True):
        assert slope == pytest.approx(0.25 * sign, abs=5 * np.sqrt(2) / 4 / np.sqrt(12 * 500))
    plotting.save(fig, tmp_path / "a.png", dpi=40)


def test_residuals_are_those_of_the_first_target(events, tmp_path):
    _, _, _, w_0, truth = events
    fig = plotting.residuals(1.1 * truth, {"forest": truth, "true": truth + 0.5}, w_0, xlabel="t", n_bins=10)
    (panel,) = fig.axes
    first, second = (container.lines[0] for container in panel.containers)
    assert first.get_ydata() == pytest.approx(0.1 * first.get_xdata())
    assert second.get_ydata() == pytest.approx(0.1 * first.get_xdata() - 0.5)
    texts = [text.get_text() for text in panel.get_legend().get_texts()]
    assert texts[0] == "formula \N{MINUS SIGN} forest, RMS"
    plotting.save(fig, tmp_path / "a.png", dpi=40)


def test_errors_by_region(events, tmp_path):
    x, held, w_k, w_0, truth = events
    weights = np.column_stack([w_0, w_k])
    basis = PolynomialBasis(["c"], order=1)
    table = EventTable(np.column_stack([x, held]), weights, basis, feature_names=("x", "y"))
    errors = {
        f"a{k}": regional_mse(FunctionObservable("f", lambda t, k=k: truth + 0.1 * k), table, truth, [0.0, 0.2, 0.6])
        for k in (1, 2)
    }
    fig = plotting.regional_errors(errors)
    (panel,) = fig.axes
    for k, container in zip((1, 2), panel.containers, strict=True):
        assert container.lines[0].get_ydata() == pytest.approx(0.01 * k**2)
    assert [text.get_text() for text in panel.get_xticklabels()] == ["$|t| < 0.2$", "$0.2 < |t| < 0.6$", "$|t| > 0.6$"]
    plotting.save(fig, tmp_path / "a.png", dpi=40)
    other = regional_mse(FunctionObservable("f", lambda t: truth), table, truth, [0.0, 0.3])
    with pytest.raises(InputError, match="2 sets of regions"):
        plotting.regional_errors({"a": errors["a1"], "b": other})


def test_bad_arrays_are_refused(events):
    x, held, w_k, w_0, truth = events
    edges = np.linspace(0, 1, 5)
    with pytest.raises(InputError, match="one shape"):
        plotting.formula_profile(x, w_k, w_0, {"f": truth[:5]}, edges, xlabel="x")
    with pytest.raises(InputError, match="no bin holds two events"):
        plotting.formula_profile(x, w_k, w_0, {"f": truth}, edges + 5, xlabel="x")
    with pytest.raises(InputError, match="x and held"):
        plotting.slices(x, held[:5], w_k, w_0, {}, edges, [-1, 1], xlabel="x", held_label="y")
    with pytest.raises(InputError, match="edges must be finite"):
        plotting.slices(x, held, w_k, w_0, {}, edges, [0, 0], xlabel="x", held_label="y")
    with pytest.raises(InputError, match="one shape"):
        plotting.residuals(truth, {}, w_0)
    with pytest.raises(InputError, match="nearly all events"):
        plotting.residuals(truth, {"f": np.ones_like(truth)}, w_0)
