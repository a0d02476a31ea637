"""What a search for formulas leaves: the formula, the front, figures, and a report of one page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import bit
from bit import plotting
from bit.analysis.distillation import FORMULA, Distillation
from bit.analysis.figures import axis_label, plain_edges
from bit.analysis.measurement import column_title, feature_observable, text_of
from bit.analysis.workflow import write_text
from bit.basis import FloatArray
from bit.config import TRUE
from bit.distill import ParetoFront
from bit.expression.nodes import variables

# Features of profiles and slices, and bins of the feature that is held.
_N_FEATURES, _N_SLICES = 4, 3
_FIGURES = {
    "front": "error, correlation and expected limit against complexity; the chosen formula is ringed",
    "profiles": "means along the features",
    "slices": "means along the features while another one is held",
    "residuals": "what the formula misses",
}


def save_distillation(result: Distillation, folder: Path) -> tuple[Path, ...]:
    """Write a formula, its front, LaTeX, figures and the report.

    Parameters
    ----------
    result : Distillation
        What was found.
    folder : pathlib.Path
        Where to write ``formula.json``, ``front.json``, ``formula.tex``, ``report.md`` and figures.

    Returns
    -------
    tuple of pathlib.Path
        The files.
    """
    result.formula.export(folder / "formula.json")
    result.front.export(folder / "front.json")
    write_text(folder / "formula.tex", latex(result))
    plotting.save(
        plotting.pareto({result.front.config["backend"]: result.front}, rule=result.config.distill.rule),
        folder / "front.png",
    )
    _draw_profiles(result, folder / "profiles.png")
    figures = _figures(result)
    if "slices" in figures:
        _draw_slices(result, folder / "slices.png")
    _draw_residuals(result, folder / "residuals.png")
    write_text(folder / "report.md", report(result))
    names = ("formula.json", "front.json", "formula.tex", "report.md", *(f"{name}.png" for name in figures))
    return tuple(folder / name for name in names)


def latex(result: Distillation) -> str:
    """Return the formula as an equation of LaTeX.

    Parameters
    ----------
    result : Distillation
        What was found.

    Returns
    -------
    str
        With the coefficient and the unit in a comment.
    """
    return (
        f"% score of {result.param} in TeV^2, found by bit {bit.__version__} ({result.front.config['backend']}, "
        f"seed {result.config.output.seed})\n"
        f"\\begin{{equation}}\n  {plotting.term_label([result.param])} = {result.formula.to_latex()}\n"
        "\\end{equation}\n"
    )


def _figures(result: Distillation) -> dict[str, str]:
    """Names of the figures and what they show."""
    return {name: text for name, text in _FIGURES.items() if name != "slices" or _can_be_sliced(result)}


# ---------------------------------------------------------------------- report
def report(result: Distillation) -> str:
    """Return the report.

    Parameters
    ----------
    result : Distillation
        What was found.

    Returns
    -------
    str
        Markdown, one page.
    """
    convention = ", without its mean" if result.config.distill.mean_subtracted else ""
    parts = [
        f"# A formula for {result.param}",
        f"Score of {result.param} at the reference point, in TeV²{convention}:",
        f"$$ {result.formula.to_latex()} $$",
        f"```\n{result.formula}\n```",
        _constants(result),
        "## How it was found",
        "\n".join(f"- {line}" for line in _facts(result)),
        "## Limits",
        _limits(result),
        "## Errors",
        _errors(result),
        "## Front",
        _front(result),
        "## Figures",
        "\n\n".join(f"![{text}]({name}.png)\n{text}" for name, text in _figures(result).items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _constants(result: Distillation) -> str:
    values, errors = result.formula.constants, result.formula.errors
    if not len(values):
        return "It has no constants."
    if errors is None:
        rows = [[f"{value:.6g}", "exact"] for value in values]
    else:
        rows = [[f"{value:.6g}", f"{error:.2g}"] for value, error in zip(values, errors, strict=True)]
    text = (
        "Constants in the order of the text, fitted to all training events. Errors are those of the fit (sandwich); "
        "that the form is only one of many is not among them."
    )
    return f"{text}\n\n{_table(['constant', 'error'], rows)}"


def _facts(result: Distillation) -> Iterator[str]:
    config, found = result.config.distill, result.front.config
    described = "the prediction of the trees" if config.target == "learned" else "the joint score of the simulation"
    yield f"describes {described} ({result.forest.n_trees} trees), from {', '.join(found['features'])}"
    if "advice" in found:
        yield found["advice"]
    yield (
        f"{found['backend']} ({found['why']}), {found['n_restarts']} restarts, seed {found['random_state']}, "
        f"operators {', '.join(found['operators'])}, complexity up to {found['max_complexity']}"
    )
    yield (
        f"searched on {found['n_points']} of {result.n_events['train']} training events ({found['sampling']}), chosen "
        f"by the rule {config.rule} on {result.n_events['edges']} others, judged below on {result.n_events['test']} "
        "more; the front below is that of the choice"
    )
    if found["max_seconds"] is not None:
        yield f"limited to {found['max_seconds']:g} s, so that the result depends on the machine"
    yield _symmetry(result)
    yield from result.removed or ("no flat direction among the constants",)
    yield from (f"remark: {text}" for text in result.remarks)


def _symmetry(result: Distillation) -> str:
    parity = result.config.cp
    if parity is None:
        return "no behaviour under CP was asked for"
    image = parity.mirror(result.values.table.features, result.values.table.feature_names)
    columns = [result.values.table.feature_names.index(name) for name in result.formula.features]
    mirrored = result.formula.predict(image[:, columns])
    wanted = -1 if result.formula.odd else 1
    largest = float(np.abs(mirrored - wanted * result.values.formula).max())
    word, sign = ("odd", "+") if wanted < 0 else ("even", "\N{MINUS SIGN}")
    held = result.formula.cp_sign(parity) == wanted
    return (
        f"{word} under CP {'by its form' if held else 'NOT by its form'}; largest |f(x) {sign} f(Cx)| on test events: "
        f"{largest:.2g}"
    )


def _limits(result: Distillation) -> str:
    settings = result.config.limits
    lengths = {item.observable: sum(high - low for low, high in item.interval.pieces) for item in result.measurements}
    rows = []
    for item in result.measurements:
        ratio = lengths[item.observable] / lengths.get(TRUE, np.nan)
        rows.append([column_title(item.observable), text_of(item), f"{ratio:.3f}" if np.isfinite(ratio) else ""])
    text = (
        f"Expected {100 * settings.cl:g} % intervals of {result.param} in TeV⁻² ({settings.lumi_fb:g} fb⁻¹, "
        f"{settings.order}, {settings.n_bins} bins), and their lengths relative to that of the true score:"
    )
    squared = ", ".join(f"{value:.4f} ({name})" for name, value in result.rho2.items())
    return f"{text}\n\n{_table(['observable', 'interval', 'length'], rows)}\n\nρ² with the joint score: {squared}."


def _errors(result: Distillation) -> str:
    first = next(iter(result.regional.values()))
    low, high = first.edges[1:3]
    heads = ["", "all", f"t < {low:g}", f"t = {low:g} ... {high:g}", f"t > {high:g}", "weighted"]
    nominal = result.values.table.weights[:, 0]
    rows = []
    for name, item in result.regional.items():
        one, two = (getattr(result.values, part) for part in name.split(" \N{MINUS SIGN} "))
        mse = nominal @ (one - two) ** 2 / nominal.sum()
        cells = [f"{m:.3g} ± {e:.1g}" for m, e in zip(item.mse, item.mse_error, strict=True)]
        rows.append([name, f"{mse:.3g}", *cells, f"{item.weighted:.3g}"])
    rows.append(["share of events (true)", "1", *(f"{share:.3f}" for share in first.share), ""])
    return (
        "Mean squared errors in TeV⁴, by the size t of what is subtracted; weighted with the size of what stands "
        f"first (arXiv:2109.10414, Table 11):\n\n{_table(heads, rows)}"
    )


def _front(result: Distillation) -> str:
    rows = []
    for position, (expression, item) in enumerate(zip(result.front, result.front.figures, strict=True)):
        limit = "" if item.limit is None else f"{item.limit:.4g} ± {item.limit_error:.1g}"
        mark = "**" if position == result.position else ""
        rows.append(
            [
                f"{mark}{expression.complexity}{mark}",
                f"{item.mse:.3g} ± {item.mse_error:.1g}",
                f"{item.rho2:.4f}",
                limit,
                f"`{expression}`",
            ]
        )
    heads = ["complexity", "MSE", "ρ²", "limit", "formula"]
    text = (
        "MSE with respect to what is described, ρ² with respect to the joint score, half-width of the 95 % interval to "
        "first order in bins that hold equal sums of |f| (those above hold equally many events)."
    )
    own = result.front.config.get("target_rho2")
    text += "" if own is None else f" What is described has ρ² = {own:.4f}."
    return f"{text}{_simplest(result.front)}\n\n{_table(heads, rows)}"


def _simplest(front: ParetoFront) -> str:
    """The sentence about the formula that suffices for the limit: a small MSE may be more than a measurement needs."""
    limit = front.column("limit")
    if not np.isfinite(limit).any():
        return ""
    lowest = int(np.nanargmin(limit))
    enough = int(np.flatnonzero(limit <= limit[lowest] + front.column("limit_error")[lowest])[0])
    return f" Within one standard error of the lowest limit, complexity {front[enough].complexity} is the simplest."


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# ---------------------------------------------------------------------- figures
def _shown(result: Distillation) -> list[str]:
    """Features of the formula, the most important ones of the trees first."""
    shares = dict(zip(result.forest.feature_names, result.forest.feature_importances(), strict=True))
    names = variables(result.formula.node) or result.formula.features
    return sorted(names, key=lambda name: -shares.get(name, 0.0))[:_N_FEATURES]


def _is_odd(result: Distillation, name: str) -> bool:
    return result.config.cp is not None and name in result.config.cp.flip


def _draw_profiles(result: Distillation, path: Path) -> None:
    names, values = _shown(result), result.values
    nominal = values.table.weights[:, 0]
    fig, axes = plotting.panels(len(names), 2, height_ratios=(3, 1), share_x=True)
    symbol = plotting.term_label([result.param])
    for column, name in enumerate(names):
        # The mean of an odd function along an even feature vanishes; with the sign of the formula it does not.
        folded = result.formula.odd and not _is_odd(result, name)
        sign = np.sign(values.formula) if folded else np.ones(len(nominal))
        mean = rf"{symbol}\,\mathrm{{sgn}}\,f" if folded else symbol
        x = np.asarray(values.table.column(name), dtype=np.float64)
        plotting.formula_profile(
            x,
            nominal * values.true * sign,
            nominal,
            {FORMULA: values.formula * sign, "forest": values.forest * sign},
            plain_edges(x, nominal, 16),
            xlabel=axis_label(result.config, values.table, name),
            ylabel=rf"$\langle {mean}\rangle$ [TeV$^2$]",
            legend=column == 0,
            axes=(axes[0, column], axes[1, column]),
        )
    plotting.save(fig, path)


def _draw_slices(result: Distillation, path: Path) -> None:
    names, values = _shown(result), result.values
    nominal = values.table.weights[:, 0]
    fig, axes = plotting.panels(_N_SLICES, len(names), width=4.2, height=3.6)
    for row, name in enumerate(names):
        x = np.asarray(values.table.column(name), dtype=np.float64)
        held = _held(result, name, names)
        fixed = np.asarray(values.table.column(held), dtype=np.float64)
        plotting.slices(
            x,
            fixed,
            nominal * values.true,
            nominal,
            {FORMULA: values.formula, "forest": values.forest},
            plain_edges(x, nominal, 12),
            _parts(fixed, nominal),
            xlabel=axis_label(result.config, values.table, name),
            held_label=feature_observable(result.config, (held,)).label,
            ylabel=rf"$\langle {plotting.term_label([result.param])}\rangle$ [TeV$^2$]",
            legend=row == 0,
            axes=axes[row],
        )
    plotting.save(fig, path)


def _held(result: Distillation, name: str, names: Sequence[str]) -> str:
    """The most important other feature; of an odd formula one that is odd, without which all means vanish."""
    others = [other for other in names if other != name]
    odd = [other for other in others if result.formula.odd and _is_odd(result, other)]
    return [*odd, *others][0]


def _parts(x: FloatArray, nominal: FloatArray) -> FloatArray:
    """Edges of slices that hold equally much."""
    shares = np.linspace(0.0, 1.0, _N_SLICES + 1)
    edges: FloatArray = np.quantile(x, shares, weights=np.abs(nominal), method="inverted_cdf")
    return edges


def _can_be_sliced(result: Distillation) -> bool:
    """Tell whether there are two features, each with enough different values."""
    names, nominal = _shown(result), result.values.table.weights[:, 0]
    columns = [np.asarray(result.values.table.column(name), dtype=np.float64) for name in names]
    return len(names) > 1 and all((np.diff(_parts(column, nominal)) > 0.0).all() for column in columns)


def _draw_residuals(result: Distillation, path: Path) -> None:
    values = result.values
    targets = {"forest": values.forest, "true": values.true}
    if result.config.distill.target == "true":
        targets = {"true": values.true, "forest": values.forest}
    symbol = plotting.term_label([result.param])
    fig, axes = plotting.panels(2, width=6.2, height=4.8)
    plotting.residuals(
        values.formula,
        targets,
        values.table.weights[:, 0],
        xlabel=rf"{'true' if 'true' in [*targets][:1] else 'learned'} ${symbol}$ [TeV$^2$]",
        ax=axes[0, 0],
    )
    axes[0, 0].set_ylabel("residual [TeV$^2$]")
    plotting.regional_errors(result.regional, ax=axes[0, 1])
    axes[0, 1].set_ylabel("mean squared error [TeV$^4$]")
    plotting.save(fig, path)
