"""The command line: what the commands write and say, exit codes, and one sentence for every mistake."""

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from reference.export_cases import EXACT, FORMATS, FORMULA_FORMATS, SUFFIX

import bit
from bit import CPParity, EventTable, PolynomialBasis, analysis, read_lhe, read_npz, read_root, write_npz, write_root
from bit.cli import main
from bit.distill import ParetoFront
from bit.distill.select import Figures
from bit.expression import Expression
from bit.inference import UnbinnedLikelihood, choose_edges, contour, power
from bit.io.arrays import read_parquet, write_parquet
from bit.processes import h4l
from bit.processes.registry import PROCESSES

PARITY = CPParity(flip=["phi"], odd_params=["cHWtil"])

READERS = {"root": read_root, "npz": read_npz, "parquet": read_parquet}
WRITERS = {"npz": write_npz, "parquet": write_parquet}

CP = """
[cp]
flip = ["phi"]
odd_params = ["cHWtil"]
"""

CONFIG = f"""
[data]
path = "events.root"
[train]
n_estimators = 5
max_depth = 3
min_samples_leaf = 10
{CP}
[observables]
names = ["pt", "best", "learned", "true"]
[limits]
n_bins = 5
order = "linear"
[output]
dir = "out"
"""


def small_table(n_events=2000):
    """Toy in which cHW acts through pt and cHWtil through sin(phi), with noise that features do not show."""
    rng = np.random.default_rng(5)
    pt, phi = rng.exponential(100.0, n_events), rng.uniform(-np.pi, np.pi, n_events)
    w_0 = rng.uniform(0.5, 1.5, n_events) / n_events
    r_even, r_odd = pt / 200 + rng.normal(0, 0.1, n_events), np.sin(phi) * (0.5 + pt / 400)
    columns = [np.ones(n_events), r_even, r_odd, r_even**2, r_even * r_odd, r_odd**2]
    return EventTable(
        np.column_stack([pt, phi]).astype(np.float32),
        w_0[:, np.newaxis] * np.column_stack(columns),
        PolynomialBasis(["cHW", "cHWtil"]),
        feature_names=("pt", "phi"),
        units=("GeV", ""),
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_root(tmp_path / "events.root", small_table(), show_progress=False)
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(main, list(arguments))


def fails(code, *arguments):
    """Run a command that has to fail, and return its one sentence."""
    result = call(*arguments)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)
    return result.stderr.strip()


# ---------------------------------------------------------------------- help
def test_version_and_help():
    assert call("--version").output == f"bit, version {bit.__version__}\n"
    listing = call("--help").output
    commands = ["compare", "contour", "demo", "distill", "export", "limits", "power", "run", "simulate", "train"]
    commands.append("warmup")
    assert re.findall(r"^  (\w+)  ", listing, flags=re.M)[-11:] == commands
    for command in commands:
        result = call(command, "--help")
        assert result.exit_code == 0
        assert result.output.startswith("Usage: ")


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "bit", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"bit, version {bit.__version__}\n"


def test_the_example_of_the_help_is_a_valid_configuration(folder):
    text = call("run", "--help").output
    (folder / "example.toml").write_text(text[text.rindex("[data]") : text.index("All sections")])
    config = bit.config.load_config(folder / "example.toml")
    assert config.observables.names == ("pt", "best", "learned", "true")


def test_wrong_usage_exits_with_2(folder):
    assert "No such command" in fails(2, "simulat")
    assert "Missing argument" in fails(2, "train")
    assert "No such option" in fails(2, "run", "config.toml", "--sett", "a.b=1")
    assert "Missing option" in fails(2, "simulate", "zh", "-n", "10")
    assert "is not a valid integer" in fails(2, "simulate", "zh", "-n", "1.5", "-o", "a.npz")


# ---------------------------------------------------------------------- commands
def test_run_writes_everything_and_says_what_it_found(folder):
    result = call("run", "config.toml", "--set", "limits.lumi_fb=1000")
    assert result.exit_code == 0, result.output
    written = {path.name for path in (folder / "out").iterdir()}
    figures = {"loss", "importance", "profile_cHW", "profile_cHWtil", "distribution", "limits", "intervals"}
    assert written == {"config.toml", "forest.json", "results.json"} | {f"{name}.png" for name in figures}
    found = json.loads((folder / "out" / "results.json").read_text())
    assert found["bit_version"] == bit.__version__
    assert found["config"]["limits"]["lumi_fb"] == 1000
    assert found["events"]["train"] == 1000
    rows = {(row["param"], row["observable"]): row for row in found["intervals"]}
    assert len(rows) == 8
    # The even feature cannot tell about the odd coefficient; phi can, and is found.
    assert rows["cHWtil", "pt"]["lower"] is None
    assert rows["cHWtil", "best"]["feature"] == "phi"
    assert rows["cHW", "best"]["feature"] == "pt"
    width = {key: row["upper"] - row["lower"] for key, row in rows.items() if row["lower"] is not None}
    assert width["cHWtil", "true"] < width["cHWtil", "learned"] < width["cHWtil", "best"]
    assert "rho^2" in result.output
    assert re.search(r"cHWtil +none +\[.*\(phi\)", result.output)
    # Training and limits one by one, from the configuration that was written, give the same.
    assert "5 trees for 5 functions" in call("train", "out/config.toml", "-o", "model.json").output
    assert (folder / "model.json").read_bytes() == (folder / "out" / "forest.json").read_bytes()
    result = call("limits", "out/config.toml", "--model", "model.json", "-o", "limits.json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert json.loads((folder / "limits.json").read_text()) == found
    stored = bit.load("model.json").config
    assert stored["analysis"]["train"]["n_estimators"] == 5
    assert stored["parameters"]["random_state"] == 1
    assert bit.load("model.json").latex == ("pt", "phi")


def rows_of(path):
    """Results by observable, and the document."""
    document = json.loads(path.read_text())
    return {row["observable"]: row for row in document["results"]}, document


def half_area(row):
    inside = np.array(row["twice_nll"]) <= row["levels"][-1]
    return inside.sum() * np.ptp(row["x"]) * np.ptp(row["y"])


def test_contour_writes_regions_of_all_observables(folder):
    assert call("train", "config.toml", "--set", "train.n_estimators=30").exit_code == 0
    result = call("contour", "config.toml", "--set", "contour.n_points=21", "--set", "contour.cls=[0.68, 0.9]")
    assert result.exit_code == 0, result.output
    assert (folder / "out" / "contour.png").read_bytes().startswith(b"\x89PNG")
    rows, document = rows_of(folder / "out" / "contour.json")
    assert document["kind"] == "bit-contours/1"
    assert document["config"]["contour"]["cls"] == [0.68, 0.9]
    assert list(rows) == ["pt", "best", "learned", "true"]
    assert rows["best"]["label"] == "pt × phi (best)"
    assert [row["features"] for row in rows.values()] == [None, ["pt", "phi"], None, None]
    assert rows["learned"]["order"] == "linear"
    # pt does not bound cHWtil to first order: its grid there is the widest of the others.
    assert rows["pt"]["y"] == max((rows[name]["y"] for name in ("best", "learned", "true")), key=max)
    assert half_area(rows["true"]) < half_area(rows["learned"]) < half_area(rows["best"]) < half_area(rows["pt"])
    assert re.search(r"true ratio +cHW in \[-0\.\d+, 0\.\d+\], cHWtil in", result.output)
    # The same from its parts.
    config = bit.config.load_config("config.toml")
    test = analysis.divide(config, analysis.read_events(config)).test.with_cp_mirror(PARITY)
    likelihood = UnbinnedLikelihood.asimov(test, test.joint_ratio(), lumi_fb=300.0, order="linear")
    ranges = {
        "cHW": (rows["true"]["x"][0], rows["true"]["x"][-1]),
        "cHWtil": tuple(np.array(rows["true"]["y"])[[0, -1]]),
    }
    expected = contour(likelihood, ("cHW", "cHWtil"), cls=(0.68, 0.9), n_points=21, ranges=ranges)
    np.testing.assert_allclose(rows["true"]["twice_nll"], expected.twice_nll, rtol=1e-9, atol=1e-9)


def test_contour_of_three_coefficients_is_a_corner(folder):
    table = small_table()
    w_0 = table.weights[:, :1]
    r = np.column_stack([table.joint_ratio()[:, :2], 0.3 * table.column("pt") / 100 * np.cos(table.column("phi"))])
    squares = [r[:, i] * r[:, j] for i in range(3) for j in range(i, 3)]
    basis = PolynomialBasis(["cHW", "cHWtil", "cHq3"])
    weights = w_0 * np.column_stack([np.ones(len(r)), r, *squares])
    write_npz(folder / "three.npz", EventTable(table.features, weights, basis, feature_names=("pt", "phi")))
    change = ["--set", "data.path=three.npz", "--set", 'observables.names=["best", "true"]']
    assert call("train", "config.toml", *change).exit_code == 0
    result = call("contour", "config.toml", *change, "--set", "contour.n_points=5", "-o", "corner.json")
    assert result.exit_code == 0, result.output
    assert (folder / "corner.png").exists()
    document = json.loads((folder / "corner.json").read_text())
    pairs = [("cHW", "cHWtil"), ("cHW", "cHq3"), ("cHWtil", "cHq3")]
    assert [tuple(row["names"]) for row in document["results"]] == [pair for pair in pairs for _ in range(2)]
    assert {row["label"] for row in document["results"]} == {"best features", "true ratio"}


def test_compare_writes_tables_and_a_figure(folder):
    result = call("compare", "config.toml", "--set", 'compare.methods=["bit"]', "--set", "compare.n_best=1")
    assert result.exit_code == 0, result.output
    out = folder / "out"
    assert {path.name for path in out.iterdir()} == {
        "compare.json",
        "compare.txt",
        "compare.tex",
        "compare.png",
        "config.toml",
    }
    assert (out / "compare.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads((out / "compare.json").read_text())
    assert document["config"]["compare"]["methods"] == ["bit"]
    found = bit.compare.Comparison.from_dict(document)
    assert [row.method for row in found.rows] == ["pt", "phi", "best", "bit", "true"] * 2
    text = found.to_text(n_best=1)
    assert (out / "compare.txt").read_text() == text + "\n"
    assert (out / "compare.tex").read_text() == found.to_latex(n_best=1)
    assert text in result.output
    # The events are those of the other commands, so that the best feature has the interval that 'bit run' gives.
    assert call("run", "config.toml").exit_code == 0
    rows = json.loads((out / "results.json").read_text())["intervals"]
    there = {(row["param"], row["observable"]): row for row in rows}
    for param in ("cHW", "cHWtil"):
        for name in ("best", "true"):
            row, other = found.row(name, param), there[param, name]
            assert (row.interval.lower, row.interval.upper) == (other["lower"], other["upper"])
    # Again from what was written, into another place.
    again = call("compare", "out/config.toml", "-o", "again.json", "--set", 'compare.methods=["bit"]')
    assert again.exit_code == 0, again.output
    assert {path.name for path in folder.glob("again.*")} == {"again.json", "again.txt", "again.tex", "again.png"}


def test_compare_refuses_bad_input_at_once(folder):
    assert "did you mean 'bit'" in fails(1, "compare", "config.toml", "--set", 'compare.methods=["bitt"]')
    assert "no feature 'pT'" in fails(1, "compare", "config.toml", "--set", 'compare.features=["pT"]')
    assert "no parameter" in fails(1, "compare", "config.toml", "--set", "compare.xgboost={n_tree=3}")
    assert "name of a .json file" in fails(1, "compare", "config.toml", "-o", "table.tex")
    assert not list(folder.glob("table*"))


def test_compare_writes_what_was_done_until_ctrl_c(folder, monkeypatch):
    fit = bit.BIT.fit

    def interrupted(self, table):
        fit(self, table).interrupted_ = True
        return self

    monkeypatch.setattr(bit.BIT, "fit", interrupted)
    message = fails(130, "compare", "config.toml", "--set", 'compare.methods=["bit"]')
    assert "what was found until then is in out/compare.json" in message
    found = json.loads((folder / "out" / "compare.json").read_text())
    assert found["interrupted"]
    assert {row["method"] for row in found["rows"]} == {"pt", "phi", "best", "true"}
    assert "note: interrupted" in (folder / "out" / "compare.txt").read_text()


def test_training_goes_on_from_a_checkpoint(folder):
    assert call("train", "config.toml", "--set", "train.n_estimators=9", "-o", "whole.json").exit_code == 0
    assert call("train", "config.toml", "--checkpoint", "training.json").exit_code == 0
    more = ["--set", "train.n_estimators=9", "--resume", "training.json", "-o", "more.json"]
    assert call("train", "config.toml", *more).exit_code == 0
    assert (folder / "more.json").read_bytes() == (folder / "whole.json").read_bytes()
    message = fails(1, "train", "config.toml", "--set", "train.max_depth=2", "--resume", "training.json")
    assert "max_depth=3, now it is 2" in message


def test_events_in_a_cache_give_the_same_forest(folder):
    assert call("train", "config.toml").exit_code == 0
    expected = json.loads((folder / "out" / "forest.json").read_text())
    assert call("train", "config.toml", "--set", "data.cache=cache").exit_code == 0
    found = json.loads((folder / "out" / "forest.json").read_text())
    assert (folder / "cache" / "weights.f64").exists()
    assert found["groups"] == expected["groups"]
    assert found["base"] == expected["base"]
    write_npz(folder / "events.npz", small_table())
    change = ["--set", "data.path=events.npz", "--set", "data.cache=cache"]
    assert "data.cache='cache' is for ROOT files" in fails(1, "train", "config.toml", *change)


@pytest.mark.parametrize("binning", ["none", "equal", "optimal"])
def test_power_writes_maps_of_all_observables(folder, binning):
    assert call("train", "config.toml", "--set", "train.n_estimators=30").exit_code == 0
    quadratic = ["--set", "limits.order=quadratic", "--set", "power.n_points=9", "--set", "power.n_bins=6"]
    result = call("power", "config.toml", *quadratic, "--set", f"power.binning={binning}")
    assert result.exit_code == 0, result.output
    assert (folder / "out" / "power.png").read_bytes().startswith(b"\x89PNG")
    rows, document = rows_of(folder / "out" / "power.json")
    assert document["kind"] == "bit-power-maps/1"
    assert [rows[name]["n_bins"] for name in ("pt", "true")] == [6, None if binning == "none" else 6]
    mean = {name: np.mean(row["power"]) for name, row in rows.items()}
    assert mean["true"] > mean["learned"] > mean["pt"]
    assert re.search(r"learned +\d+\.\d %", result.output)


def test_power_by_toys_is_that_of_the_library(folder):
    assert call("train", "config.toml").exit_code == 0
    change = ["limits.order=quadratic", "power.n_points=3", "power.n_bins=4", 'observables.names=["pt"]']
    change += ["power.method=toys", "power.n_toys=300"]
    result = call("power", "config.toml", *(part for text in change for part in ("--set", text)))
    assert result.exit_code == 0, result.output
    rows, _ = rows_of(folder / "out" / "power.json")
    config = bit.config.load_config("config.toml", change)
    parts = analysis.divide(config, analysis.read_events(config))
    pt = bit.observable("pt")
    expected = power(
        parts.test.with_cp_mirror(PARITY),
        [rows["pt"]["x"][2], rows["pt"]["y"][0]],
        lumi_fb=300.0,
        observable=pt,
        edges=choose_edges(parts.edges.with_cp_mirror(PARITY), pt, 4),
        method="toys",
        n_toys=300,
        seed=1,
    )
    assert rows["pt"]["power"][2][0] == expected.power
    assert rows["pt"]["method"] == "toys"


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_choices_of_features_and_coefficients(folder, suffix):
    WRITERS[suffix](folder / f"events.{suffix}", small_table())
    change = ["--set", f"data.path=events.{suffix}", "--set", 'data.params=["cHW"]', "--set", 'data.features=["pt"]']
    (folder / "config.toml").write_text(CONFIG.replace(CP, ""))
    assert call("train", "config.toml", *change).exit_code == 0
    forest = bit.load("out/forest.json")
    assert forest.feature_names == ("pt",)
    assert forest.output_terms == (("cHW",), ("cHW", "cHW"))


def test_coefficients_with_any_name_can_be_drawn(folder):
    table = small_table()
    basis = PolynomialBasis(["cHbox", "50%_{x}$"])
    write_root(folder / "events.root", EventTable(table.features, table.weights, basis, feature_names=("p$t", "a_b")))
    (folder / "config.toml").write_text(CONFIG.replace(CP, "").replace('"pt"', '"p$t"'))
    result = call("run", "config.toml")
    assert result.exit_code == 0, result.output
    assert (folder / "out" / "limits.png").exists()


def test_limits_warns_if_the_events_were_divided_otherwise(folder):
    assert call("train", "config.toml").exit_code == 0
    result = call("limits", "config.toml", "--set", "output.seed=2")
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: the forest in out/forest.json was trained with another data.split")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("suffix", READERS)
def test_simulate_writes_events_with_their_configuration(folder, suffix):
    pytest.importorskip("vegas", reason="the extra 'simulate' is not installed")
    path = f"zh.{suffix}"
    result = call("simulate", "zh", "-n", "200", "--seed", "3", "-o", path, "--cuts", "pt>100", "--theta0", "cHW=0.1")
    assert result.exit_code == 0, result.output
    table = READERS[suffix](path)
    assert table.n_events == 200
    assert table.column("pt").min() > 100
    assert table.basis.reference == (0.1, 0.0, 0.0)
    assert re.search(rf"cross-section +{table.sigma_fb:.5g} \+- \S+ fb", result.output)
    assert re.search(rf"effective number +{table.n_eff:.0f}\n", result.output)


def test_simulate_passes_the_options_of_a_process(folder):
    pytest.importorskip("vegas", reason="the extra 'simulate' is not installed")
    options = ("--cuts", "P", "--quarks", "all", "--smear", "--mu-f", "100", "--theta0", "cHWtil=0.5")
    result = call("simulate", "vbf", "-n", "50", "-o", "vbf.npz", *options)
    assert result.exit_code == 0, result.output
    table = read_npz("vbf.npz")
    assert table.basis.param_names == ("cHW", "cHWtil")
    assert table.basis.reference == (0.0, 0.5)
    with np.load("vbf.npz") as archive:
        made = json.loads(str(archive["metadata"]))["configuration"]
    assert (made["process"], made["quarks"], made["smear"], made["mu_f"]) == ("vbf", "all", True, 100.0)


def test_simulate_four_leptons(folder):
    pytest.importorskip("vegas", reason="the extra 'simulate' is not installed")
    options = ("--channel", "4e", "--frame", "lab", "--acceptance", "--cuts", "higgs")
    result = call("simulate", "h4l", "-n", "50", "-o", "h4l.root", *options)
    assert result.exit_code == 0, result.output
    table = read_root("h4l.root")
    assert table.basis.param_names == ("cHW", "cHB", "cHWB", "cHWtil", "cHBtil", "cHWBtil")
    assert table.aux["leptons"].shape == (50, 16)
    assert table.column("m34").min() > 12.0


def test_simulate_some_coefficients_and_features_alone(folder):
    pytest.importorskip("vegas", reason="the extra 'simulate' is not installed")
    call("simulate", "h4l", "-n", "30", "-o", "all.root")
    result = call("simulate", "h4l", "-n", "30", "--params", "cHWtil, cHW", "--no-aux", "-o", "some.root")
    assert result.exit_code == 0, result.output
    every, some = read_root("all.root"), read_root("some.root")
    assert some.basis.param_names == ("cHW", "cHWtil")
    assert not some.aux
    theta = {"cHW": 0.3, "cHWtil": -0.7}
    np.testing.assert_allclose(some.at(theta), every.at(theta), rtol=1e-12)
    said = fails(1, "simulate", "h4l", "-n", "30", "--theta0", "cHB=0.1", "--params", "cHW", "-o", "x.root")
    assert "--params leaves cHB out, which --theta0 sets to 0.1: keep it." in said


@pytest.mark.parametrize("name", ["h4l.lhe", "h4l.lhe.gz"])
def test_simulate_writes_particles(folder, name):
    pytest.importorskip("vegas", reason="the extra 'simulate' is not installed")
    options = ("-n", "60", "--seed", "4", "--theta0", "cHW=0.2,cHBtil=-0.1")
    result = call("simulate", "h4l", *options, "-o", name)
    assert result.exit_code == 0, result.output
    assert (folder / name).read_bytes().startswith(b"\x1f\x8b" if name.endswith(".gz") else b"<LesHouchesEvents")
    table = read_lhe(name, params=h4l.PARAM_NAMES, reference={"cHW": 0.2, "cHBtil": -0.1})
    assert re.search(rf"cross-section +{table.sigma_fb:.5g} \+- \S+ fb", result.output)
    # The same seed gives the same events: their weights, once through base points in a file, once directly.
    assert call("simulate", "h4l", *options, "-o", "h4l.npz").exit_code == 0
    direct = read_npz("h4l.npz")
    assert table.basis == direct.basis
    np.testing.assert_allclose(table.weights, direct.weights, rtol=0, atol=1e-9 * direct.weights.max())


def test_a_missing_package_is_missed_before_the_simulation(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    said = fails(1, "simulate", "zh", "-n", "1000000000", "-o", "zh.parquet")
    assert "writing zh.parquet needs the package 'pyarrow', which is not installed; install it with: pip" in said


def test_processes_are_listed_and_can_be_loaded():
    text = call("simulate", "--help").output
    for name, process in PROCESSES.items():
        assert re.search(rf"^ +{name} +{re.escape(process.description)}$", text, flags=re.M)
        assert callable(process.simulate)


def test_warmup_compiles_every_kernel_for_every_use():
    import importlib
    import pkgutil

    import bit.kernels

    def compiled():
        found = {}
        for module in pkgutil.iter_modules(bit.kernels.__path__):
            names = vars(importlib.import_module(f"bit.kernels.{module.name}"))
            for name, value in names.items():
                if getattr(value, "signatures", None) is not None and not name.startswith("_"):
                    found[name] = len(value.signatures)
        return found

    result = call("warmup")
    assert result.exit_code == 0
    before = compiled()
    assert before
    assert min(before.values()) >= 1
    # A training of another shape needs nothing more.
    table = small_table().with_cp_mirror(PARITY)
    bit.BIT(n_estimators=2, max_depth=2, early_stopping=True).fit(table).predict(table)
    assert compiled() == before


# ---------------------------------------------------------------------- exports
@pytest.fixture
def forest(folder):
    """A small forest in model.json."""
    model = bit.BIT(n_estimators=3, min_samples_leaf=10).fit(small_table())
    model.export("model.json")
    return model.forest_


@pytest.mark.parametrize("to", FORMATS)
def test_export_writes_and_checks(forest, to):
    plain, checked = (name + SUFFIX.get(to, "") for name in ("plain", "checked"))
    assert call("export", "model.json", "--to", to, "-o", plain).output == f"written to             {plain}\n"
    result = call("export", "model.json", "--to", to, "-o", checked, "--check")
    assert result.exit_code == 0, result.output
    assert re.search(r"events compared +10000\n", result.output)
    largest, allowed = re.search(r"largest deviation +(\S+) \(rounding explains up to (\S+)\)", result.output).groups()
    assert float(largest) <= float(allowed) < 1e-5
    assert (float(allowed) == 0) == (to in EXACT)
    first, second = (sorted([path, *path.glob("*.json")]) for path in (Path(plain), Path(checked)))
    assert len(first) == len(second) == (1 + len(forest.base) if to == "xgboost" else 1)
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True) if a.is_file())


def test_export_checks_with_events_of_a_file(forest):
    table = small_table()
    columns = [table.column("phi"), table.column("pt"), table.column("phi")]
    wider = EventTable(np.stack(columns, 1), table.weights, table.basis, feature_names=("phi", "pt", "other"))
    write_npz("events.npz", wider)
    for data in ("events.npz", "events.root"):
        result = call("export", "model.json", "--to", "numpy", "-o", "a.py", "--check", "--data", data)
        assert result.exit_code == 0, result.output
        assert re.search(r"events compared +2000\n", result.output)
        assert re.search(r"largest deviation +0 ", result.output)


def test_export_names_the_namespace(forest):
    assert call("export", "model.json", "--to", "cpp", "-o", "a.hpp", "--name", "zh_forest").exit_code == 0
    assert "zh_forest::evaluate" in Path("a.hpp").read_text()


def test_mistakes_in_exports_are_one_sentence(forest, folder):
    small = {"n_estimators": 1, "min_samples_leaf": 10}
    ratio = bit.baselines.RatioTrick([0.1] * small_table().basis.n_params, n_estimators=1, n_jobs=1)
    ratio.fit(small_table()).export("ratio.json")
    bit.BoostedInformationTreeEnsemble(bit.BIT(**small), n_members=2).fit(small_table()).export("ensemble.json")
    formula = Expression.parse("0.5*x", ["x"])
    ParetoFront([formula], [Figures(mse=0.1, mse_error=0.0, rho2=0.9, rho2_error=0.0)]).export("front.json")
    for message, arguments in (
        ("bit.load('front.json').best().export", ["front.json", "--to", "cpp", "-o", "a"]),
        ("did you mean 'model.json'", ["modle.json", "--to", "cpp", "-o", "a"]),
        ("ensemble.json holds an ensemble: export its forests one by one", ["ensemble.json", "--to", "cpp", "-o", "a"]),
        ("model of type RatioTrick: only forests and formulas", ["ratio.json", "--to", "cpp", "-o", "a"]),
        ("--to latex is for formulas, this is a forest: take one of json,", ["model.json", "--to", "latex", "-o", "a"]),
        ("a C++ identifier is needed", ["model.json", "--to", "cpp", "-o", "a", "--name", "a-b"]),
        ("leave it out for --to onnx", ["model.json", "--to", "onnx", "-o", "a", "--name", "b"]),
        ("add --check, or leave it out", ["model.json", "--to", "numpy", "-o", "a", "--data", "events.root"]),
        ("the folder missing does not exist", ["model.json", "--to", "numpy", "-o", "missing/a"]),
        ("one: name a folder", ["model.json", "--to", "xgboost", "-o", "a.json"]),
        ("no such file: a.npz", ["model.json", "--to", "numpy", "-o", "a", "--check", "--data", "a.npz"]),
    ):
        said = fails(1, "export", *arguments)
        assert said.startswith("Error: ")
        assert message in said, said
        assert "\n" not in said
    assert not (folder / "a").exists()
    assert "is not one of 'json', 'cpp', 'numpy', 'onnx'" in fails(2, "export", "model.json", "--to", "xml", "-o", "a")


@pytest.fixture
def formula(folder):
    """A formula of the features of the events, in formula.json."""
    expression = Expression.parse("0.5*pt*sin(phi)/(1.0 + square(pt))", ("phi", "pt"), term=("cHWtil",))
    expression.export("formula.json")
    return expression


@pytest.mark.parametrize("to", FORMULA_FORMATS)
def test_export_of_formulas_writes_and_checks(formula, to):
    for check in ((), ("--check",), ("--check", "--data", "events.npz")):
        write_npz("events.npz", small_table())
        result = call("export", "formula.json", "--to", to, "-o", "a.json", *check)
        assert result.exit_code == 0, result.output
        assert result.output.startswith("written to             a.json\n")
        assert formula.to_text() in Path("a.json").read_text() or to == "json"
        if not check:
            assert result.output.count("\n") == 1
        elif to in ("latex", "tformula"):
            assert re.search(r"check +not run: ", result.output)
        else:
            assert re.search(rf"events compared +{2000 if '--data' in check else 10000}\n", result.output)
            pattern = r"largest deviation +(\S+) \(rounding explains up to (\S+)\)"
            largest, allowed = map(float, re.search(pattern, result.output).groups())
            assert largest <= allowed
            assert (allowed == 0) == (to in ("json", "numpy"))


def test_forests_and_formulas_have_their_own_formats(formula, folder):
    said = fails(1, "export", "formula.json", "--to", "onnx", "-o", "a")
    assert "--to onnx is for forests, this is a formula: take one of json, cpp, numpy, latex" in said
    assert not (folder / "a").exists()


# ---------------------------------------------------------------------- mistakes
def changed(folder, old, new):
    (folder / "config.toml").write_text(CONFIG.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"events.root"', '"event.root"', "no such file: event.root; did you mean 'events.root'?"),
        ('"events.root"', '"config.toml"', "config.toml has the suffix '.toml'"),
        ('"events.root"', '"events.root"\nfeatures = ["ptt"]', "did you mean 'pt'?"),
        ('"events.root"', '"events.root"\nparams = ["cHw"]', "did you mean 'cHW'"),
        ('"events.root"', '"events.root"\ntree = "event"', "did you mean 'events'?"),
        ('"events.root"', '"events.root"\nlabels = {p = "p_T"}', "data.labels: no feature 'p'"),
        ('"events.root"', '"events.root"\nlabels = {pt = "{p"}', "the label '{p' of 'pt' cannot be drawn"),
        ("[train]", "[trian]", "unknown section [trian]: did you mean 'train'?"),
        ("max_depth", "max_deph", "unknown key 'max_deph' in [train]"),
        ("max_depth = 3", "max_depth = 0", "max_depth=0: a positive integer or None"),
        ("max_depth = 3", "learning_rate = 3", "learning_rate=3: a number in (0, 1]"),
        ('names = ["pt"', 'names = ["pT"', "observables.names: no feature 'pT': did you mean 'pt'?"),
        ('odd_params = ["cHWtil"]', 'odd_params = ["cHBtil"]', "cp.odd_params: no coefficient 'cHBtil'"),
        ('flip = ["phi"]', 'flip = ["ph"]', "did you mean 'phi'?"),
        ("n_bins = 5", 'n_bins = 5\nparams = ["cHB"]', "limits.params: no coefficient 'cHB'"),
        ("n_bins = 5", "n_bins = 500", "800 events for the result are too few for limits.n_bins=500"),
        ('dir = "out"', 'dir = "config.toml"', "cannot make the folder config.toml"),
        ("n_estimators", "[n", "is not TOML"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_sentence(folder, old, new, message):
    changed(folder, old, new)
    said = fails(1, "run", "config.toml")
    assert said.startswith("Error: ")
    assert message in said
    assert "\n" not in said


def test_other_mistakes_are_one_sentence(folder):
    for message, arguments in (
        ("no such file: confg.toml; did you mean 'config.toml'?", ["train", "confg.toml"]),
        ("events.root is an event file", ["train", "events.root"]),
        ("the folder missing does not exist", ["train", "config.toml", "-o", "missing/forest.json"]),
        ("no such file: out/forest.json; make it with 'bit train config.toml'", ["limits", "config.toml"]),
        ("config.toml is not JSON", ["limits", "config.toml", "--model", "config.toml"]),
        ("events.root is not JSON, not even a text", ["limits", "config.toml", "--model", "events.root"]),
        ("write section.key=value", ["run", "config.toml", "--set", "lumi=3"]),
        ("ends in none of .root, .npz, .parquet, .lhe, .lhe.gz", ["simulate", "zh", "-n", "5", "-o", "zh.csv"]),
        ("no process 'vbff': did you mean 'vbf'?", ["simulate", "vbff", "-n", "5", "-o", "a.npz"]),
        ("no process 'ttbar': known names: 'h4l', ", ["simulate", "ttbar", "-n", "5", "-o", "a.npz"]),
        ("n_events=0: a whole number of at least 1", ["simulate", "h4l", "-n", "0", "-o", "a.npz"]),
        ("seed=-1: a whole number of at least 0", ["simulate", "zh", "-n", "5", "--seed", "-1", "-o", "a.npz"]),
        ("the folder missing does not exist", ["simulate", "h4l", "-n", "5", "-o", "missing/h4l.lhe.gz"]),
        ("the folder missing does not exist", ["simulate", "zh", "-n", "5", "-o", "missing/zh.npz"]),
        ("did you mean 'pt'?", ["simulate", "zh", "-n", "5", "-o", "zh.npz", "--cuts", "ptt>5"]),
        ("write name=value", ["simulate", "zh", "-n", "5", "-o", "zh.npz", "--theta0", "0.1"]),
        ("--mu-f='low': a number is needed", ["simulate", "zh", "-n", "5", "-o", "zh.npz", "--mu-f", "low"]),
        ("vbf has no option --flavour", ["simulate", "vbf", "-n", "5", "-o", "a.npz", "--flavour", "latent"]),
        ("smear has no meaning for frame='rest'", ["simulate", "h4l", "-n", "5", "-o", "a.npz", "--smear"]),
        ("acceptance has no meaning for frame='rest'", ["simulate", "h4l", "-n", "5", "-o", "a.npz", "--acceptance"]),
        ("unknown coefficient 'cHB'", ["simulate", "zh", "-n", "5", "-o", "zh.npz", "--theta0", "cHB=1"]),
    ):
        said = fails(1, *arguments)
        assert said.startswith("Error: ")
        assert message in said, said
        assert "\n" not in said
    assert not list(folder.glob("*.npz"))


def test_mistakes_in_contours_and_power_are_one_sentence(folder):
    assert call("train", "config.toml", "--set", 'train.terms=["cHW", "cHWtil"]').exit_code == 0
    quadratic, names = ("--set", "limits.order=quadratic"), ("--set", 'observables.names=["pt"]')
    for message, arguments in (
        (
            "contour.params: no coefficient 'cHw': did you mean 'cHW'",
            ["contour", "--set", 'contour.params=["cHw", "x"]'],
        ),
        (
            "power.params: no coefficient 'cHw': did you mean 'cHW'",
            ["power", *quadratic, "--set", 'power.params=["cHw", "cHWtil"]'],
        ),
        ("contour.params=['cHW']: at least two", ["contour", "--set", 'limits.params=["cHW"]']),
        ("power.params=['cHW']: two", ["power", *quadratic, "--set", 'limits.params=["cHW"]']),
        ("power is that of the whole polynomial", ["power"]),
        ("the forest has not learned cHW*cHW, cHW*cHWtil, cHWtil*cHWtil", ["contour", *quadratic]),
        ("too few for power.n_bins=500", ["power", *quadratic, "--set", "power.n_bins=500"]),
        ("no observable bounds 'cHWtil'", ["contour", *names]),
        ("the folder missing does not exist", ["contour", "-o", "missing/contour.json"]),
        ("no such file: model.json", ["power", "--model", "model.json"]),
    ):
        command, *rest = arguments
        said = fails(1, command, "config.toml", *rest)
        assert said.startswith("Error: ")
        assert message in said, said
        assert "\n" not in said
    assert not list((folder / "out").glob("*.png"))
    # To first order the linear functions are enough.
    assert call("contour", "config.toml", "--set", "contour.n_points=5").exit_code == 0


def test_ten_events_are_too_few(folder):
    write_root(folder / "events.root", small_table(10), show_progress=False)
    assert "events to train on: two leaves of min_samples_leaf=" in fails(1, "run", "config.toml")
    # Trees alone can be trained on them if asked for.
    assert call("train", "config.toml", "--set", "train.min_samples_leaf=1").exit_code == 0
    assert "too few for limits.n_bins=5" in fails(1, "limits", "config.toml", "--set", "train.min_samples_leaf=1")


def test_a_forest_of_other_events_is_refused(folder):
    assert call("train", "config.toml").exit_code == 0
    table = small_table()
    renamed = EventTable(table.features, table.weights, table.basis, feature_names=("pt_z", "phi"))
    write_root(folder / "events.root", renamed, show_progress=False)
    changed(folder, '"pt", "best"', '"pt_z", "best"')
    assert "'pt'" in fails(1, "limits", "config.toml")


def test_termination_keeps_the_trees(folder):
    """Batch systems send SIGTERM before they kill."""
    analysis.compile_kernels()
    before = signal.getsignal(signal.SIGTERM)
    timer = threading.Timer(1.5, signal.raise_signal, [signal.SIGTERM])
    timer.start()
    result = call("train", "config.toml", "--set", "train.n_estimators=1000000")
    timer.join()
    assert result.exit_code == 130, result.output
    assert 1 <= bit.load("out/forest.json").n_trees < 1_000_000
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
@pytest.mark.parametrize("command", ["train", "run"])
def test_ctrl_c_keeps_the_trees_and_exits_with_130(folder, command):
    analysis.compile_kernels()
    old = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        # Long after the reading of 2000 events (0.1 s), and long before a million trees.
        signal.setitimer(signal.ITIMER_REAL, 1.5)
        result = call(command, "config.toml", "--set", "train.n_estimators=1000000")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, old)
    assert result.exit_code == 130, result.output
    n_trees = bit.load("out/forest.json").n_trees
    assert 1 <= n_trees < 1_000_000
    assert f"Warning: interrupted after {n_trees} of 1000000 trees" in result.stderr
    assert f"Interrupted: the {n_trees} trees until then are in out/forest.json." in result.stderr
    assert not (folder / "out" / "results.json").exists()
