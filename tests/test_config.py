"""The configuration: defaults, rules, near matches, and the way through TOML and back."""

import inspect
from dataclasses import fields

import pytest

from bit import BIT
from bit.config import (
    CompareConfig,
    Config,
    ContourConfig,
    DataConfig,
    DistillConfig,
    LimitsConfig,
    OutputConfig,
    PowerConfig,
    from_dict,
    load_config,
)
from bit.demo import SETTINGS
from bit.distill import ParetoFront, distill
from bit.errors import FileFormatError, InputError

SHORTEST = {"data": {"path": "events.root"}}

FULL = """
[data]
path = ["a.root", "b.root"]
tree = "events"
features = ["pt", "phi"]
params = ["cHW", "cHWtil"]
unit = "pb"
norm = "average"
split = [0.5, 0.2, 0.3]
labels = {pt = 'p_{T,Z} "hard"', phi = "\\\\hat{\\\\phi}"}
[train]
n_estimators = 10
max_depth = "none"
max_leaf_nodes = 8
learning_rate = 1e-05
early_stopping = true
terms = ["cHW", ["cHW", "cHW"]]
[cp]
flip = ["phi"]
swap = [["pt_lm", "pt_lp"]]
odd_params = ["cHWtil"]
[observables]
names = ["pt", "learned"]
[limits]
lumi_fb = 3000
cl = 0.9
n_bins = 12
params = ["cHW"]
order = "linear"
others = "profiled"
[contour]
params = ["cHW", "cHWtil"]
cls = [0.9, 0.95]
n_points = 21
[power]
params = ["cHWtil", "cHW"]
alpha = 0.1
n_bins = 5
binning = "optimal"
method = "toys"
n_toys = 500
n_points = 11
[compare]
methods = ["sally", "bit"]
features = ["pt"]
classics = ["pt_z"]
n_best = 2
xgboost = {n_estimators = 20, subsample = 0.5}
networks = {hidden = [16, 16], loss = "quadratic"}
[distill]
target = "true"
param = "cHWtil"
features = ["pt"]
backend = "operon"
operators = ["add", "mul"]
n_points = 500
sampling = "stratified"
max_complexity = 12
n_restarts = 2
n_extensions = 3
max_seconds = 30
mean_subtracted = true
rule = "information"
options = {max_evaluations = 1000, preset = "quick"}
[output]
dir = "somewhere"
seed = 7
"""


def with_value(section, key, value):
    document = {"data": {"path": "events.root"}}
    document.setdefault(section, {})[key] = value
    return document


def test_the_shortest_configuration_has_all_defaults():
    assert from_dict(SHORTEST) == Config(DataConfig(("events.root",)))
    assert from_dict(SHORTEST).limits == LimitsConfig(300.0, 0.95, 20, None, "quadratic", "zero")


def test_every_key_is_read(tmp_path):
    path = tmp_path / "full.toml"
    path.write_text(FULL)
    config = load_config(path)
    assert config.data.path == ("a.root", "b.root")
    assert config.data.split == (0.5, 0.2, 0.3)
    assert config.data.labels == {"pt": 'p_{T,Z} "hard"', "phi": r"\hat{\phi}"}
    assert config.train["max_depth"] is None
    assert config.train["terms"] == ["cHW", ["cHW", "cHW"]]
    assert config.cp.swap == (("pt_lm", "pt_lp"),)
    assert config.limits == LimitsConfig(3000.0, 0.9, 12, ("cHW",), "linear", "profiled")
    assert config.contour == ContourConfig(("cHW", "cHWtil"), (0.9, 0.95), 21)
    assert config.power == PowerConfig(("cHWtil", "cHW"), 0.1, 5, "optimal", "toys", 500, 11)
    assert config.compare == CompareConfig(
        ("sally", "bit"),
        ("pt",),
        ("pt_z",),
        2,
        {"n_estimators": 20, "subsample": 0.5},
        {"hidden": [16, 16], "loss": "quadratic"},
    )
    assert config.distill == DistillConfig(
        "true",
        "cHWtil",
        ("pt",),
        "operon",
        ("add", "mul"),
        500,
        "stratified",
        12,
        2,
        3,
        30.0,
        True,
        "information",
        {"max_evaluations": 1000, "preset": "quick"},
    )
    assert config.output == OutputConfig("somewhere", 7)


def test_train_takes_every_argument_of_the_estimator():
    arguments = {name: "none" if value is None else value for name, value in BIT().get_params().items()}
    assert from_dict({**SHORTEST, "train": arguments}).train == BIT().get_params()


def test_defaults_of_distill_are_those_of_the_library():
    settings, parameters = DistillConfig(), inspect.signature(distill).parameters
    shared = [item.name for item in fields(settings) if item.name in parameters and item.name != "options"]
    assert len(shared) == 11
    assert {name: getattr(settings, name) for name in shared} == {name: parameters[name].default for name in shared}
    assert settings.rule == inspect.signature(ParetoFront.best).parameters["rule"].default


@pytest.mark.parametrize("source", ["full", "demo", "shortest"])
def test_toml_round_trip_is_exact(tmp_path, source):
    path = tmp_path / "config.toml"
    path.write_text(FULL)
    config = load_config(path) if source == "full" else from_dict({"demo": SETTINGS, "shortest": SHORTEST}[source])
    path.write_text(config.to_toml())
    assert load_config(path) == config
    assert from_dict(config.to_dict()) == config


def test_overrides_change_values_and_are_checked(tmp_path):
    changes = ["limits.lumi_fb=3000", "train.max_depth=3", "output.dir=there", 'limits.params=["cHW"]']
    config = from_dict(SHORTEST, changes)
    assert (config.limits.lumi_fb, config.train["max_depth"], config.output.dir) == (3000.0, 3, "there")
    assert config.limits.params == ("cHW",)
    with pytest.raises(InputError, match=r"limits\.lumi_fb=-1: a positive luminosity"):
        from_dict(SHORTEST, ["limits.lumi_fb=-1"])
    for text in ("lumi_fb=3000", "limits.lumi_fb", "limits.=3"):
        with pytest.raises(InputError, match=r"write section\.key=value"):
            from_dict(SHORTEST, [text])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"dta": {}}, r"unknown section \[dta\]: did you mean 'data'"),
        ({"path": "x"}, r"unknown section \[path\]"),
        ({"data": 3}, r"data=3 stands outside of a section"),
        ({}, r"names no events"),
        (with_value("limits", "lumi", 3), "unknown key 'lumi' in .limits.: did you mean 'lumi_fb'"),
        (with_value("train", "n_estimator", 3), "unknown key 'n_estimator' in .train.*did you mean 'n_estimators'"),
        (with_value("limits", "n_bins", 2.5), r"limits\.n_bins=2\.5: a whole number of at least 1"),
        (with_value("limits", "n_bins", True), r"limits\.n_bins=True"),
        (with_value("limits", "cl", 95), r"limits\.cl=95: a confidence level between 0 and 1"),
        (with_value("limits", "lumi_fb", "300"), r"limits\.lumi_fb='300'"),
        (with_value("limits", "order", "cubic"), r"limits\.order='cubic': choose 'linear' or 'quadratic'"),
        (with_value("data", "split", [0.5, 0.5]), "three positive shares"),
        (with_value("data", "split", [0.5, 0.5, 0.5]), "three positive shares"),
        (with_value("data", "features", ["pt", "pt"]), "every name may stand once"),
        (with_value("data", "features", []), "a list of names is needed"),
        (with_value("data", "labels", ["p_T"]), "a table of texts is needed"),
        (with_value("cp", "swap", ["a", "b"]), "a list of pairs"),
        (with_value("cp", "flips", ["a"]), "did you mean 'flip'"),
        (with_value("contour", "params", ["cHW"]), r"contour\.params=\['cHW'\]: at least two coefficients"),
        (with_value("contour", "cls", [0.68, 95]), r"contour\.cls=\[0\.68, 95\]: confidence levels between 0 and 1"),
        (with_value("contour", "cl", 0.95), "unknown key 'cl' in .contour.: did you mean 'cls'"),
        (with_value("power", "params", ["cHW", "cHWtil", "cHq3"]), r"power\.params=.*: two coefficients are needed"),
        (with_value("power", "alpha", 0.95), r"power\.alpha=0\.95: a size within \(0, 0\.5\]"),
        (with_value("power", "binning", "best"), "choose 'none' or 'equal' or 'optimal'"),
        (with_value("power", "method", "toy"), "choose 'gaussian' or 'toys'"),
        (with_value("power", "toys", 100), "unknown key 'toys' in .power.: did you mean 'n_toys'"),
        (with_value("compare", "methods", ["BIT"]), r"compare\.methods=\['BIT'\]: no 'BIT': did you mean 'bit'\?$"),
        (with_value("compare", "classics", ["pt"]), "no 'pt': did you mean 'pt_z'"),
        (with_value("compare", "n_best", 0), r"compare\.n_best=0: a whole number of at least 1"),
        (with_value("compare", "xgboost", 20), "a table of arguments is needed"),
        (with_value("compare", "trees", {}), "unknown key 'trees' in .compare."),
        (with_value("distill", "target", "forest"), "choose 'learned' or 'true'"),
        (with_value("distill", "operators", ["add", "sine"]), r"distill\.operators=.*: no 'sine': did you mean 'sin'"),
        (with_value("distill", "operators", ["gamma"]), r"no 'gamma': known names: 'add', .*, \.\.\.$"),
        (with_value("distill", "operators", []), "a list of names"),
        (with_value("distill", "backend", "eureqa"), "choose 'auto' or 'pysr' or 'operon' or 'symbolnet'"),
        (with_value("distill", "sampling", "all"), "choose 'information' or 'weights' or 'stratified'"),
        (with_value("distill", "rule", "luck"), "choose 'one_standard_error' or 'mse' or 'information'"),
        (with_value("distill", "n_points", 3), "at least 10"),
        (with_value("distill", "max_seconds", 0), "a positive time"),
        (with_value("distill", "mean_subtracted", 1), "choose true or false"),
        (with_value("distill", "options", 3), "a table of arguments"),
        (with_value("distill", "n_point", 100), "unknown key 'n_point' in .distill.: did you mean 'n_points'"),
        (with_value("output", "seed", -1), r"output\.seed=-1"),
        (with_value("output", "dir", ""), r"output\.dir=''"),
    ],
)
def test_mistakes_are_named(document, message):
    with pytest.raises(InputError, match=message) as caught:
        from_dict(document)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_configuration(tmp_path):
    events = tmp_path / "events.root"
    events.write_bytes(b"root\xff\xfe\x00")
    with pytest.raises(FileFormatError, match="is an event file"):
        load_config(events)
    broken = tmp_path / "broken.toml"
    broken.write_text("[data\npath = 3")
    with pytest.raises(FileFormatError, match="is not TOML"):
        load_config(broken)
    with pytest.raises(InputError, match="no such file"):
        load_config(tmp_path / "missing.toml")


def test_a_configuration_is_frozen():
    with pytest.raises(AttributeError):
        from_dict(SHORTEST).output = OutputConfig()
