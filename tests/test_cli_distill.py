"""``bit distill``: the formula that it finds, what it writes, and one sentence for every mistake."""

import _thread
import importlib.util
import json
import re
import tempfile
import time
from threading import Thread

import numpy as np
import pytest
from click.testing import CliRunner

import bit
from bit import EventTable, PolynomialBasis, analysis, write_root
from bit.cli import main
from bit.config import load_config
from bit.expression import Expression

needs_operon = pytest.mark.skipif(
    importlib.util.find_spec("pyoperon") is None, reason="the extra 'distill' is not installed"
)

CONFIG = """
[data]
path = "events.root"
labels = {phi = "\\\\phi"}
[train]
n_estimators = 20
min_samples_leaf = 10
n_jobs = 1
[cp]
flip = ["phi"]
odd_params = ["cHWtil"]
[limits]
n_bins = 5
order = "linear"
[distill]
param = "cHWtil"
backend = "operon"
operators = ["add", "mul", "sin"]
n_points = 400
n_restarts = 2
n_extensions = 1
max_complexity = 10
options = {max_evaluations = 4000, population_size = 200}
[output]
dir = "out"
"""


def small_table(n_events=2000):
    """cHWtil acts through sin(phi) (0.5 + pt / 400), without noise."""
    rng = np.random.default_rng(5)
    pt, phi = rng.exponential(100.0, n_events), rng.uniform(-np.pi, np.pi, n_events)
    w_0 = rng.uniform(0.5, 1.5, n_events) / n_events
    ratios = np.column_stack([np.ones(n_events), pt / 200, np.sin(phi) * (0.5 + pt / 400)])
    return EventTable(
        np.column_stack([pt, phi]).astype(np.float32),
        w_0[:, np.newaxis] * ratios,
        PolynomialBasis(["cHW", "cHWtil"], order=1),
        feature_names=("pt", "phi"),
        units=("GeV", ""),
    )


def write_inputs(folder, n_events=2000):
    write_root(folder / "events.root", small_table(n_events), show_progress=False)
    (folder / "config.toml").write_text(CONFIG)


def call(*arguments):
    return CliRunner().invoke(main, ["distill", "config.toml", *arguments])


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The command, once for all."""
    folder = tmp_path_factory.mktemp("distill")
    write_inputs(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, call("--set", "distill.target=true")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    return tmp_path


# ---------------------------------------------------------------------- what it does
@needs_operon
def test_everything_is_written_and_the_formula_is_found(done):
    folder, result = done
    assert result.exit_code == 0, result.output
    written = {path.name for path in (folder / "out").iterdir()}
    figures = {"front.png", "profiles.png", "slices.png", "residuals.png"}
    assert written == {"forest.json", "formula.json", "front.json", "formula.tex", "report.md"} | figures
    formula = Expression.from_document(json.loads((folder / "out" / "formula.json").read_text()), "formula.json")
    table = small_table()
    # The features stand in the file as float32, whose rounding is 6e-8.
    assert formula(table) == pytest.approx(table.joint_ratio()[:, 1], rel=1e-5, abs=1e-5)
    assert formula.odd
    assert formula.term == ("cHWtil",)
    front = bit.load(folder / "out" / "front.json")
    assert front.config["backend"] == "operon"
    assert front.config["random_state"] == 1
    assert front.config["analysis"]["distill"]["target"] == "true"
    assert str(front) in result.output
    assert r"R_{c_{H\tilde{W}}} = " in (folder / "out" / "formula.tex").read_text()


@needs_operon
def test_the_report_holds_what_was_measured(done):
    folder, result = done
    assert result.exit_code == 0, result.output
    text = (folder / "out" / "report.md").read_text()
    formula = Expression.from_document(json.loads((folder / "out" / "formula.json").read_text()), "formula.json")
    front = bit.load(folder / "out" / "front.json")
    assert f"```\n{formula}\n```" in text
    for expression in front:
        assert f"`{expression}` |" in text
    assert "odd under CP by its form; largest |f(x) + f(Cx)| on test events: 0" in text
    assert "no flat direction" in text
    assert "asked for" in text
    assert "800 more" in text
    for name in ("front", "profiles", "slices", "residuals"):
        assert f"]({name}.png)" in text
        assert (folder / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+) \|", text[text.index("## Limits") :], flags=re.M))
    assert rows["formula"].strip() == rows["true score"].strip()
    assert "(phi)" in rows["best single feature"]
    assert "ρ² with the joint score: 1.0000 (formula)" in text


@needs_operon
def test_trees_are_read_and_described(done, monkeypatch):
    folder, result = done
    assert result.exit_code == 0, result.output
    monkeypatch.chdir(folder)
    forest = (folder / "out" / "forest.json").read_bytes()
    change = ("--set", "output.dir=other", "--set", "distill.mean_subtracted=true", "--set", 'distill.features=["phi"]')
    result = call("--model", "out/forest.json", *change)
    assert result.exit_code == 0, result.output
    assert "20 trees from out/forest.json" in result.output
    assert not (folder / "other" / "forest.json").exists()
    assert (folder / "out" / "forest.json").read_bytes() == forest
    text = (folder / "other" / "report.md").read_text()
    assert "describes the prediction of the trees (20 trees), from phi" in text
    assert "without its mean" in text
    # One feature has nothing to be held.
    assert not (folder / "other" / "slices.png").exists()
    assert "slices" not in text


@needs_operon
def test_numbers_are_those_of_the_library(done, monkeypatch):
    folder, result = done
    assert result.exit_code == 0, result.output
    monkeypatch.chdir(folder)
    config = load_config("config.toml", ["distill.target=true"])
    test = analysis.divide(config, analysis.read_events(config)).test
    nominal, truth = test.weights[:, 0], test.joint_ratio()[:, 1]
    learned = bit.BIT.from_forest(bit.load("out/forest.json")).predict(test)[:, 1]
    text = (folder / "out" / "report.md").read_text()
    assert f"| forest − true | {nominal @ (learned - truth) ** 2 / nominal.sum():.3g} |" in text


# ---------------------------------------------------------------------- mistakes
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("distill.param=cHWtl", "distill.param: no coefficient 'cHWtl': did you mean 'cHWtil'"),
        ('distill.features=["ptt"]', "distill.features: no feature 'ptt': did you mean 'pt'?"),
        ('distill.operators=["add", "erf"]', "the backend 'operon' has no operators ['erf']; it knows: "),
        ("distill.operators=sine", "no 'sine': did you mean 'sin'"),
        ("distill.n_point=3", "unknown key 'n_point' in [distill]"),
        ("limits.n_bins=500", "too few for limits.n_bins=500"),
        ("output.dir=config.toml", "cannot make the folder config.toml"),
    ],
)
@needs_operon
def test_a_mistake_is_one_sentence_before_the_training(folder, change, message):
    result = call("--set", change)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (folder / "out" / "forest.json").exists()


@needs_operon
def test_the_coefficient_must_be_clear(folder):
    (folder / "config.toml").write_text(CONFIG.replace('param = "cHWtil"', ""))
    assert "distill.param: name the coefficient, one of cHW, cHWtil." in call().stderr


@needs_operon
def test_options_of_a_backend_are_checked_by_it(folder):
    result = call("--set", "distill.options={generations = 3}")
    assert result.exit_code == 1
    assert "the backend 'operon' has no options ['generations']" in result.stderr


@needs_operon
def test_other_models_are_refused(folder):
    Expression.parse("pt", ["pt"]).export(folder / "formula.json")
    result = call("--model", "formula.json")
    assert result.exit_code == 1
    assert "formula.json" in result.stderr
    assert result.stderr.count("\n") == 1


@needs_operon
def test_ten_events_are_too_few(folder):
    write_root(folder / "events.root", small_table(10), show_progress=False)
    assert "too few for limits.n_bins=5" in call().stderr


def test_a_missing_backend_is_named(folder, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "pyoperon" else found(name, *more)
    )
    result = call()
    assert result.exit_code == 1
    assert "pyoperon is not installed (pip install" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (folder / "out" / "forest.json").exists()


@needs_operon
@pytest.mark.slow
def test_ctrl_c_keeps_what_was_found(folder, monkeypatch):
    assert CliRunner().invoke(main, ["train", "config.toml"]).exit_code == 0
    # Where the backend leaves the result of each restart: after the first of 500 comes Ctrl-C.
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def interrupt():
        while not list(folder.glob("bit-operon-*/*.json")):
            time.sleep(0.01)
        _thread.interrupt_main()

    Thread(target=interrupt, daemon=True).start()
    result = call("--set", "distill.n_restarts=500", "--set", "distill.target=true")
    assert result.exit_code == 130, result.output
    assert "Warning: the search was interrupted; the formulas until then are kept." in result.stderr
    assert "Interrupted: what was found until then is in out." in result.stderr
    assert "remark: the search was interrupted" in (folder / "out" / "report.md").read_text()
    assert len(bit.load(folder / "out" / "front.json")) >= 1
