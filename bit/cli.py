"""The command line: parse, call, save. ``bit --help`` lists the commands.

Exit codes: 0 done, 1 an error in what was given, 2 wrong usage of the command, 130 interrupted or told to terminate.
"""

from __future__ import annotations

import dataclasses
import errno
import inspect
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import bit
from bit.errors import BitError, BitWarning, InputError
from bit.processes.registry import PROCESSES, find_process

if TYPE_CHECKING:
    from bit.basis import FloatArray
    from bit.config import Config
    from bit.export.check import Agreement
    from bit.processes.simulation import Simulation
    from bit.trees.forest import Forest

_EXAMPLE = """\b
A configuration is a text file (TOML). The shortest one has two lines:

\b
  [data]
  path = "events.root"

\b
and a fuller one:

\b
  [data]
  path = "zh.root"
  params = ["cHW", "cHq3"]
  [train]                        # arguments of BoostedInformationTree
  n_estimators = 300
  max_depth = 5
  [observables]
  names = ["pt", "best", "learned", "true"]
  [limits]
  lumi_fb = 300.0
  n_bins = 20
  order = "linear"               # or "quadratic"
  [contour]                      # of 'bit contour'; [power] of 'bit power' likewise
  params = ["cHW", "cHq3"]
  [compare]                      # of 'bit compare'
  methods = ["bit", "bit_linear", "onn_multiclass"]
  [distill]                      # of 'bit distill'
  param = "cHW"
  features = ["pt", "y"]
  [output]
  dir = "out"
  seed = 1

\b
All sections and keys: python -m pydoc bit.config
"""


class _Commands(click.Group):
    """Group that turns errors, warnings and Ctrl-C of all commands into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("always", BitWarning)
            default = warnings.showwarning

            def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
                if issubclass(category, BitWarning):
                    click.echo(f"Warning: {message}", err=True)
                else:
                    default(message, category, *where, **more)

            warnings.showwarning = show
            try:
                with _termination_interrupts():
                    return super().invoke(ctx)
            except BitError as error:
                raise click.ClickException(str(error)) from None
            except KeyboardInterrupt as interrupt:
                text = str(interrupt)
                click.echo(f"\nInterrupted{': ' + text if text else ''}.", err=True)
                ctx.exit(130)
            except OSError as error:
                if error.errno == errno.EPIPE:
                    raise  # click knows what to do when the reader of a pipe went away
                where = f"{error.filename}: " if error.filename else ""
                raise click.ClickException(f"{where}{error.strerror or error}") from None


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Batch systems send SIGTERM some time before they kill: what there is is saved then, as on Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield  # other threads cannot change what signals do
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group("bit", cls=_Commands, context_settings=_SETTINGS)
@click.version_option(bit.__version__, "--version", prog_name="bit")
def main() -> None:
    """Optimal observables of effective-field-theory coefficients, from weighted events to limits.

    Events are features x and, for each event, a weight that is a polynomial in Wilson coefficients. bit trains
    boosted trees that learn how these weights depend on x, and so the observable that measures the coefficients
    best; and it tells what interval to expect from it.

    \b
    To see it all at work:    bit demo
    With your own events:     bit run config.toml
    Beside other methods:     bit compare config.toml
    A formula for referees:   bit distill config.toml
    Events to play with:      bit simulate zh -n 50000 --seed 1 -o zh.root
    """  # noqa: D301


# ---------------------------------------------------------------------- events
_PROCESSES = "\b\nPROCESS is one of\n" + "\n".join(
    f"  {name:<{max(map(len, PROCESSES))}}  {process.description}" for name, process in PROCESSES.items()
)


@main.command(short_help="Simulate events with exact weights.", epilog=_PROCESSES)
@click.argument("process")
@click.option("-n", "--n-events", type=int, required=True, help="Number of events.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same events.")
@click.option("-o", "--output", type=click.Path(), required=True, help="File to write; its suffix is the format.")
@click.option(
    "--cuts", metavar="TEXT", help="Features, such as 'pt>200, abs(y)<2.5', or a name: vbf P, T; h4l higgs; wz boosted."
)
@click.option("--theta0", metavar="TEXT", help="Reference point in TeV^-2, such as 'cHW=0.1,cHq3=-0.02'.")
@click.option("--params", metavar="TEXT", help="Coefficients to keep, such as 'cHW,cHWtil'; the others are 0.")
@click.option("--no-aux", is_flag=True, help="Leave out what is not a feature, such as the momenta of h4l.")
@click.option(
    "--mu-f", metavar="GEV", help="Factorisation scale.  [default: zh, wz sqrt_s; zh_undecayed mZ; vbf mW; h4l mH/2]"
)
@click.option("--e", type=float, default=0.3028, show_default=True, help="Electromagnetic coupling.")
@click.option(
    "--smear", is_flag=True, default=None, help="Measure the particles as a detector does; h4l with --frame lab."
)
@click.option("--quarks", metavar="TEXT", help="vbf: ud (default) or all; zh, zh_undecayed: such as u,d,s.")
@click.option(
    "--flavour",
    type=click.Choice(["summed", "latent"]),
    help="zh, zh_undecayed: sum over quark flavours (default), or draw one per event (kept in aux).",
)
@click.option("--vertex-shift", is_flag=True, default=None, help="zh: cHq3 shifts the coupling of Z and quarks, too.")
@click.option("--photon/--no-photon", default=None, help="zh_undecayed: with photon exchange (default), or without.")
@click.option(
    "--mode", type=click.Choice(["full", "eq21"]), help="zh_undecayed: the score in full (default), or as published."
)
@click.option(
    "--fusion", type=click.Choice(["W", "neutral", "all"]), help="vbf: of W (default), of Z and photons, or both."
)
@click.option(
    "--channel", type=click.Choice(["2e2mu", "4e", "4mu"]), help="h4l: flavours of the leptons; default 2e2mu."
)
@click.option(
    "--frame", type=click.Choice(["rest", "lab"]), help="h4l: the Higgs boson at rest (default), or produced."
)
@click.option("--acceptance", is_flag=True, default=None, help="h4l: only what a detector would see; with --frame lab.")
@click.option("--charge", type=click.Choice(["both", "plus", "minus"]), help="wz: charge of the W; default both.")
@click.option(
    "--neutrino", type=click.Choice(["ambiguous", "known"]), help="wz: sum over its two solutions (default), or not."
)
def simulate(
    process: str,
    n_events: int,
    seed: int,
    output: str,
    mu_f: str | None,
    theta0: str | None,
    quarks: str | None,
    params: str | None,
    no_aux: bool,
    **others: Any,
) -> None:
    """Simulate events with exact weights, at 13 TeV and leading order.

    \b
    Formats:
      .root .npz .parquet   features and the weight polynomial of each event
      .lhe .lhe.gz          particles (before smearing), and weights at base points that determine the polynomial

    \b
    Examples:
      bit simulate zh -n 50000 --seed 1 -o zh.root
      bit simulate zh -n 500000 --cuts "pt>200" -o boosted.npz
      bit simulate vbf -n 200000 --cuts P -o vbf.root
      bit simulate h4l -n 100000 --frame lab --acceptance --cuts higgs -o h4l.root
      bit simulate h4l -n 100000 --params cHWtil,cHBtil,cHWBtil --no-aux -o odd.parquet
      bit simulate h4l -n 10000 -o h4l.lhe.gz
    """  # noqa: D301
    make = find_process(process).simulate
    write = _event_writer(output)
    _check_writable(output)
    options = {name: value for name, value in others.items() if value is not None}
    if quarks is not None:
        options["quarks"] = quarks if process == "vbf" else tuple(quarks.split(","))
    if mu_f is not None:
        options["mu_f"] = "sqrt_s" if mu_f == "sqrt_s" else _number(mu_f, "--mu-f")
    if theta0 is not None:
        options["theta0"] = _point(theta0)
    for name in options:
        if name not in inspect.signature(make).parameters:
            raise InputError(f"{process} has no option --{name.replace('_', '-')}: leave it out.")
    result = _selected(make(n_events, seed=seed, **options), params, no_aux)
    write(result)
    click.echo(f"cross-section          {result.sigma_fb:.5g} +- {result.sigma_error_fb:.2g} fb")
    click.echo(f"events                 {result.table.n_events}")
    click.echo(f"effective number       {result.table.n_eff:.0f}")
    click.echo(f"written to             {output}")


# ---------------------------------------------------------------------- analysis
_overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change the configuration, such as --set limits.lumi_fb=3000; may be repeated.",
)
_config_file = click.argument("config", type=click.Path(), metavar="CONFIG.toml")


@main.command(epilog=_EXAMPLE, short_help="Train trees and write them.")
@_config_file
@click.option("-o", "--output", type=click.Path(), help="Forest to write; default forest.json in output.dir.")
@click.option("--checkpoint", type=click.Path(), help="File to which the training is written every 10 trees.")
@click.option("--resume", type=click.Path(), help="Checkpoint of a training to be continued.")
@_overrides
def train(
    config: str, output: str | None, checkpoint: str | None, resume: str | None, overrides: tuple[str, ...]
) -> None:
    """Train trees on a part of the events and write the forest as JSON.

    Ctrl-C ends the training; the trees grown until then are written.

    \b
    Examples:
      bit train config.toml --set train.n_estimators=500 -o forest.json
      bit train config.toml --checkpoint training.json
      bit train config.toml --checkpoint training.json --resume training.json
    """  # noqa: D301
    from bit import analysis
    from bit.config import load_config

    settings = load_config(config, overrides)
    target = Path(output) if output else analysis.output_folder(settings) / "forest.json"
    _check_writable(target)
    parts = analysis.divide(settings, analysis.read_events(settings))
    click.echo(f"train on {parts.train.n_events} events")
    model = analysis.train(settings, parts, checkpoint=checkpoint, resume=resume)
    analysis.save_forest(settings, model.forest_, target)
    if model.interrupted_:
        raise KeyboardInterrupt(f"the {model.n_iter_} trees until then are in {target}")
    click.echo(f"{model.n_iter_} trees for {len(model.output_terms_)} functions written to {target}")


@main.command(epilog=_EXAMPLE, short_help="Expected intervals from trained trees.")
@_config_file
@click.option("-m", "--model", type=click.Path(), help="Forest of 'bit train'; default forest.json in output.dir.")
@click.option("-o", "--output", type=click.Path(), help="Results to write as JSON; default limits.json in output.dir.")
@_overrides
def limits(config: str, model: str | None, output: str | None, overrides: tuple[str, ...]) -> None:
    """Tell what intervals of the coefficients to expect from a trained forest and other observables.

    Bins and results come from events that the training with the same configuration did not use.

    \b
    Example:
      bit limits config.toml --model forest.json --set limits.lumi_fb=3000
    """  # noqa: D301
    from bit import analysis

    settings, forest, target = _trained(config, overrides, model, output, "limits")
    result = analysis.results(settings, forest)
    analysis.write_json(target, result.to_dict())
    click.echo(result.table())
    click.echo(f"\nwritten to {target}")


@main.command(epilog=_EXAMPLE, short_help="Expected regions of pairs of coefficients.")
@_config_file
@click.option("-m", "--model", type=click.Path(), help="Forest of 'bit train'; default forest.json in output.dir.")
@click.option("-o", "--output", type=click.Path(), help="Results to write as JSON; default contour.json in output.dir.")
@_overrides
def contour(config: str, model: str | None, output: str | None, overrides: tuple[str, ...]) -> None:
    """Tell what regions of two coefficients to expect, from a trained forest and other observables.

    All pairs of contour.params; the learned and the true ratio count event by event, features in bins. A figure is
    written beside the JSON: contours, or a triangle of them for more than two coefficients.

    \b
    Example:
      bit contour config.toml --set 'contour.params=["cHW", "cHWtil"]'
    """  # noqa: D301
    from bit import analysis

    settings, forest, target = _trained(config, overrides, model, output, "contour")
    result = analysis.contours(settings, forest)
    analysis.write_json(target, result.to_dict())
    analysis.draw_contours(result, target.with_suffix(".png"))
    click.echo(result.table())
    click.echo(f"\nwritten to {target} and {target.with_suffix('.png')}")


@main.command(epilog=_EXAMPLE, short_help="Power to exclude values of two coefficients.")
@_config_file
@click.option("-m", "--model", type=click.Path(), help="Forest of 'bit train'; default forest.json in output.dir.")
@click.option("-o", "--output", type=click.Path(), help="Results to write as JSON; default power.json in output.dir.")
@_overrides
def power(config: str, model: str | None, output: str | None, overrides: tuple[str, ...]) -> None:
    """Tell with what probability values of two coefficients are excluded if the Standard Model is true.

    By Neyman-Pearson tests of size power.alpha over a grid, with the learned and the true ratio and with binned
    features. A map is drawn beside the JSON, with a line where the power is one half.

    \b
    Example:
      bit power config.toml --set power.alpha=0.05 --set power.method=toys
    """  # noqa: D301
    from bit import analysis

    settings, forest, target = _trained(config, overrides, model, output, "power")
    result = analysis.power_maps(settings, forest)
    analysis.write_json(target, result.to_dict())
    analysis.draw_power(result, target.with_suffix(".png"))
    click.echo(result.table())
    click.echo(f"\nwritten to {target} and {target.with_suffix('.png')}")


@main.command("compare", epilog=_EXAMPLE, short_help="All observables and methods on one sample.")
@_config_file
@click.option("-o", "--output", type=click.Path(), help="Results to write as JSON; default compare.json in output.dir.")
@_overrides
def compare_(config: str, output: str | None, overrides: tuple[str, ...]) -> None:
    """Compare all observables and methods on the same events.

    Features, classic observables, boosted information trees, classifiers (XGBoost), networks (PyTorch) and the true
    score: for each coefficient the expected interval, the information kept, and the time of training and evaluation. A
    method whose package is not installed is left out. A text, a LaTeX table and a figure are written beside the JSON.

    Ctrl-C ends it; what was found until then is written.

    \b
    Methods:
      bit, bit_linear             boosted information trees with constant, with linear leaves
      onn_binary, onn_multiclass  classifiers of the sign of the interference
      ratio, ratio_mixture        classifiers of points: of one for each coefficient, of all at once
      sally, quadratic            networks: the score, and a ratio that is positive

    \b
    Example:
      bit compare config.toml --set 'compare.methods=["bit", "onn_multiclass"]'
    """  # noqa: D301
    from bit import analysis
    from bit.config import load_config

    settings = load_config(config, overrides)
    folder = analysis.output_folder(settings)
    target = Path(output) if output else folder / "compare.json"
    if target.suffix != ".json":
        raise InputError(f"--output={output!r}: give the name of a .json file; the others stand beside it.")
    _check_writable(target)
    result = analysis.comparison(settings)
    if not result.rows:
        raise KeyboardInterrupt("nothing was finished, so nothing is written")
    files = analysis.save_comparison(settings, result, target)
    if output is None:
        analysis.write_text(folder / "config.toml", settings.to_toml())
    click.echo(result.to_text(n_best=settings.compare.n_best))
    click.echo(f"\nwritten to {', '.join(map(str, files))}")
    if result.interrupted:
        raise KeyboardInterrupt(f"what was found until then is in {target}")


@main.command(epilog=_EXAMPLE, short_help="A formula for what trees have learned.")
@_config_file
@click.option("-m", "--model", type=click.Path(), help="Forest; default forest.json in output.dir, or else trained.")
@_overrides
def distill(config: str, model: str | None, overrides: tuple[str, ...]) -> None:
    """Find a formula for what trees have learned about one coefficient, or for the true score.

    Writes into output.dir: report.md (the formula, its limits beside those of trees, true score and best feature),
    formula.json, formula.tex, front.json (all formulas) and figures. The formula is searched on the events of the
    training, chosen on those of the bins, and judged on the rest.

    Ctrl-C ends the search; the best formulas until then are written.

    \b
    Example:
      bit distill config.toml --set distill.param=cHWtil --set distill.max_seconds=300
    """  # noqa: D301
    from bit import analysis
    from bit.config import load_config

    settings = load_config(config, overrides)
    result = analysis.distillation(settings, Path(model) if model else None, say=click.echo)
    files = analysis.save_distillation(result, analysis.output_folder(settings))
    click.echo(f"\n{result.front}\n\nchosen: {result.formula}\n\nwritten to {', '.join(map(str, files))}")
    if result.interrupted:
        raise KeyboardInterrupt(f"what was found until then is in {settings.output.dir}")


@main.command(epilog=_EXAMPLE, short_help="Train, limits and figures in one go.")
@_config_file
@_overrides
def run(config: str, overrides: tuple[str, ...]) -> None:
    """Do everything: train, limits, figures; all goes into the folder output.dir.

    \b
    Example:
      bit run config.toml --set output.dir=first_try
    """  # noqa: D301
    from bit import analysis
    from bit.config import load_config

    settings = load_config(config, overrides)
    result = analysis.run(settings, say=click.echo)
    click.echo("\n" + result.table())


@main.command(short_help="Show all of it on simulated pp -> Z H events.")
@click.option("--data", type=click.Path(), help="The sample; default data/zh.root.")
@click.option("--out", default="demo", show_default=True, type=click.Path(), help="Folder of results.")
@_overrides
def demo(data: str | None, out: str, overrides: tuple[str, ...]) -> None:
    """Show it at work on 50 000 simulated events of pp -> Z H -> l l H.

    Trains on three coefficients at once and compares the interval that each can expect from the transverse momentum,
    from the best single feature, from the learned observable and from the true score of the simulation, which is
    the best that can be. Writes results.json, forest.json, config.toml and figures.
    """
    from bit.demo import demo_config, run_demo

    start = time.perf_counter()
    settings = demo_config(data, out, overrides)
    result = run_demo(settings, say=click.echo)
    click.echo("\n" + result.table())
    click.echo(f"\nresults and figures are in {settings.output.dir} ({time.perf_counter() - start:.0f} s)")


@main.command(short_help="Compile everything once, ahead of time.")
def warmup() -> None:
    """Compile all kernels, so that the first training does not have to.

    They are cached on disk; this is needed once after an installation or an update.
    """
    from bit.analysis import compile_kernels

    start = time.perf_counter()
    compile_kernels()
    click.echo(f"all kernels are compiled ({time.perf_counter() - start:.1f} s)")


# ---------------------------------------------------------------------- exports
@main.command(short_help="Write trained trees or formulas for other programs.")
@click.argument("model", type=click.Path(), metavar="MODEL.json")
@click.option(
    "--to",
    type=click.Choice(["json", "cpp", "numpy", "onnx", "xgboost", "correctionlib", "latex", "tformula"]),
    required=True,
    help="Format.",
)
@click.option("-o", "--output", type=click.Path(), required=True, help="File to write; xgboost: or folder.")
@click.option("--name", help="cpp: namespace.  [default: observable]")
@click.option("--check", is_flag=True, help="Evaluate the file that was written, and compare with the model.")
@click.option("--data", type=click.Path(), help="Events of the check; default: 10000 on which it could go wrong.")
def export(model: str, to: Any, output: str, name: str | None, check: bool, data: str | None) -> None:
    """Write a trained forest or a formula in a form that analysis code reads.

    \b
    Formats:
      json           the format that bit itself reads
      cpp            a C++17 header without dependencies, in double precision
      numpy          a Python module that needs numpy only, in double precision
      correctionlib  corrections in double precision, .json or .json.gz
      onnx           forests: a model for onnxruntime and others, in single precision
      xgboost        forests: XGBoost's JSON, in single precision: a folder with a file
                     for each output, or with one output a file that ends in .json
      latex          formulas: for publications, with rounded constants
      tformula       formulas: the string of ROOT's TFormula

    \b
    Examples:
      bit export forest.json --to cpp -o observable.hpp --check
      bit export formula.json --to latex -o formula.tex
    """  # noqa: D301
    from bit.export import load
    from bit.expression import Expression
    from bit.trees.forest import Forest

    if data and not check:
        raise InputError(f"--data={data!r} names events for --check: add --check, or leave it out.")
    if name and to != "cpp":
        raise InputError(f"--name={name!r} is the namespace of C++: leave it out for --to {to}.")
    loaded = load(model)
    if hasattr(loaded, "members_"):
        raise InputError(
            f"{model} holds an ensemble: export its forests one by one, bit.load({model!r}).members_[i] with "
            f"bit.export.to_{to}."
        )
    if hasattr(loaded, "best"):
        raise InputError(
            f"{model} holds a front of formulas: export one of them, bit.load({model!r}).best().export('formula.json')."
        )
    if not isinstance(loaded, Forest | Expression):
        raise InputError(
            f"{model} holds a model of type {type(loaded).__name__}: only forests and formulas have other formats."
        )
    if to != "xgboost":
        _check_writable(output)
    write = _export_formula if isinstance(loaded, Expression) else _export_forest
    write(loaded, to, output, name or "observable", check, data)


def _export_forest(forest: Any, to: Any, output: str, name: str, check: bool, data: str | None) -> None:
    from bit.export import to_correctionlib, to_cpp, to_json, to_numpy, to_onnx, to_xgboost
    from bit.export.check import check_export, probe_events

    writers: dict[str, Any] = {
        "json": to_json,
        "cpp": partial(to_cpp, name=name),
        "numpy": to_numpy,
        "onnx": to_onnx,
        "xgboost": to_xgboost,
        "correctionlib": to_correctionlib,
    }
    if to not in writers:
        raise InputError(f"--to {to} is for formulas, this is a forest: take one of {', '.join(writers)}.")
    features = _features_of(forest.feature_names, data) if data else probe_events(forest)
    writers[to](forest, output)
    click.echo(f"written to             {output}")
    if check:
        _tell(check_export(forest, output, to, features, name=name))


def _export_formula(formula: Any, to: Any, output: str, name: str, check: bool, data: str | None) -> None:
    from bit.export import to_correctionlib, to_cpp, to_latex, to_numpy, to_tformula
    from bit.export.check_formula import check_formula, probe_formula

    writers: dict[str, Any] = {
        "json": type(formula).export,
        "cpp": partial(to_cpp, name=name),
        "numpy": to_numpy,
        "latex": to_latex,
        "tformula": to_tformula,
        "correctionlib": to_correctionlib,
    }
    if to not in writers:
        raise InputError(f"--to {to} is for forests, this is a formula: take one of {', '.join(writers)}.")
    features = _features_of(formula.features, data) if data else probe_formula(formula)
    writers[to](formula, output)
    click.echo(f"written to             {output}")
    unchecked = {"latex": "LaTeX has no values", "tformula": "it needs ROOT"}
    if check and to in unchecked:
        click.echo(f"check                  not run: {unchecked[to]}")
    elif check:
        _tell(check_formula(formula, output, to, features, name=name))


def _tell(found: Agreement) -> None:
    click.echo(f"events compared        {found.n_events}")
    click.echo(f"largest deviation      {found.largest:.3g} (rounding explains up to {found.allowed:.3g})")


# ---------------------------------------------------------------------- helpers
def _trained(
    config: str, overrides: tuple[str, ...], model: str | None, output: str | None, name: str
) -> tuple[Config, Forest, Path]:
    """Return the configuration, the forest, and the file of results, which can be written."""
    from bit import analysis
    from bit.config import load_config

    settings = load_config(config, overrides)
    source = Path(model) if model else Path(settings.output.dir) / "forest.json"
    if not model and not source.is_file():
        raise InputError(f"no such file: {source}; make it with 'bit train {config}', or name another with --model.")
    forest = analysis.load_forest(settings, source)
    target = Path(output) if output else analysis.output_folder(settings) / f"{name}.json"
    _check_writable(target)
    return settings, forest, target


def _features_of(names: tuple[str, ...], path: str) -> FloatArray:
    """Features of the events of a file, in the order of a model."""
    from bit import analysis
    from bit.config import from_dict

    config = from_dict({"data": {"path": path, "features": list(names)}}, (), source="--data")
    return analysis.read_events(config).features.astype("float64")


def _event_writer(path: str) -> Callable[[Simulation], None]:
    """Return what writes simulated events in the format that a suffix names."""
    from bit.io.arrays import require_pyarrow, write_npz, write_parquet
    from bit.io.lhe import write_lhe
    from bit.io.root import write_root

    tables: dict[str, Any] = {".root": write_root, ".npz": write_npz, ".parquet": write_parquet}
    if path.endswith(".parquet"):
        require_pyarrow(f"writing {path}")
    for suffix, write in tables.items():
        if path.endswith(suffix):
            return lambda result: write(path, result.table, configuration=result.configuration)
    if path.endswith((".lhe", ".lhe.gz")):
        return lambda result: write_lhe(path, result.lhe_events())
    raise InputError(
        f"{path!r} ends in none of {', '.join(tables)}, .lhe, .lhe.gz: name the file so that its format is known."
    )


def _selected(result: Simulation, params: str | None, no_aux: bool) -> Simulation:
    """Keep some coefficients, or the features alone."""
    names = None if params is None else [name.strip() for name in params.split(",")]
    table = result.table.select(params=names, aux=() if no_aux else None)
    for name, value in result.configuration["theta0"].items():
        if value != 0.0 and name not in table.basis.param_names:
            raise InputError(f"--params leaves {name} out, which --theta0 sets to {value:g}: keep it.")
    configuration = result.configuration | {"params": list(table.basis.param_names)}
    return dataclasses.replace(result, table=table, configuration=configuration)


def _check_writable(path: str | Path) -> None:
    """Fail before the work, not after it, where a file cannot be written."""
    from bit.files import replacing

    try:
        with replacing(path):
            raise _NothingWritten
    except _NothingWritten:
        pass


class _NothingWritten(Exception):
    """Leaves `replacing` without a file."""


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{name}={text!r}: a number is needed.") from None


def _point(text: str) -> dict[str, float]:
    """Read ``"cHW=0.1, cHq3=-0.02"``."""
    point = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"--theta0: {part.strip()!r} is not understood: write name=value, such as 'cHW=0.1'.")
        point[name.strip()] = _number(value, f"--theta0 {name.strip()}")
    return point
