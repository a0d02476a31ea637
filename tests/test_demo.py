"""The demonstration at a small size."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from bit import load, write_root
from bit.analysis import results
from bit.cli import main
from bit.config import load_config
from bit.demo import demo_config
from bit.errors import InputError
from bit.processes import zh

SMALL = ["train.n_estimators=30", "train.max_depth=4", "limits.n_bins=10"]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    pytest.importorskip("vegas", reason="the extra 'simulate' is not installed")
    path = tmp_path_factory.mktemp("zh") / "zh.root"
    write_root(path, zh.simulate(6000, seed=1, show_progress=False).table, show_progress=False)
    return path


def test_the_demo_compares_four_observables(sample, tmp_path):
    changes = [part for text in SMALL for part in ("--set", text)]
    said = CliRunner().invoke(main, ["demo", "--data", str(sample), "--out", str(tmp_path / "demo"), *changes])
    assert said.exit_code == 0, said.output
    assert said.output.startswith("6000 events")
    assert "best single feature" in said.output
    assert f"results and figures are in {tmp_path / 'demo'}" in said.output
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    assert {"results.json", "forest.json", "config.toml", "loss.png", "limits.png", "distribution.png"} <= names
    assert {f"profile_{param}.png" for param in zh.PARAM_NAMES} <= names

    config = demo_config(str(sample), str(tmp_path / "demo"), SMALL)
    assert load_config(tmp_path / "demo" / "config.toml") == config
    result = results(config, load(tmp_path / "demo" / "forest.json"))
    assert json.loads((tmp_path / "demo" / "results.json").read_text()) == result.to_dict()
    assert result.table() in said.output
    assert len(result.rho2) == 9
    assert all(0 <= value <= 1 for value in result.rho2.values())
    for param in zh.PARAM_NAMES:
        half = {}
        for name in ("pt", "best", "learned", "true"):
            interval = result.interval(param, name)
            half[name] = 0.5 * (interval.upper - interval.lower)
        # Ten bins of the true score hold nearly all that any observable can tell; other bins may exceed it by their
        # statistical fluctuations only, which are below 5 % with the 1800 test events.
        assert half["true"] < 1.05 * min(half.values())
        assert half["learned"] < 1.3 * half["true"]
    assert result.interval("cHWtil", "pt").upper == np.inf
    with pytest.raises(InputError, match="no measurement of 'cHB' with 'true'"):
        result.interval("cHB", "true")


def test_a_missing_sample_is_explained(tmp_path):
    with pytest.raises(InputError, match=r"make it with 'bit simulate zh -n 50000 --seed 1 -o nothere\.root'"):
        demo_config("nothere.root")
    result = CliRunner().invoke(main, ["demo", "--data", str(tmp_path / "zh.root")])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: no sample ")
