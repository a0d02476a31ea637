"""The examples of the front page run as they stand (with fewer trees)."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_example(tmp_path, monkeypatch, capsys):
    example, more, statistics, distillation = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    assert "n_estimators=300" in example
    assert len(example.strip().splitlines()) <= 17
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(example.replace("n_estimators=300", "n_estimators=30"), "README.md", "exec"), names)
    exec(compile(more, "README.md", "exec"), names)
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    printed = capsys.readouterr().out.splitlines()
    exec(compile(statistics, "README.md", "exec"), names)
    quick = 'valid=for_bins, n_restarts=1, n_points=500, max_complexity=10, options={"max_evaluations": 3000}'
    exec(compile(distillation.replace("valid=for_bins", quick), "README.md", "exec"), names)
    assert names["formula"] in names["front"]
    assert names["fitted"].values.shape == (names["fitted"].expression.n_constants,)
    assert names["gains"].shape == (15, 9)
    assert names["region"].names == ("cHW", "cHq3")
    assert "statistical" in capsys.readouterr().out
    assert names["one"](names["test"].features[0]).shape == (9,)
    assert (tmp_path / "forest.json").is_file()
    assert len(printed) == 3
    assert all("cHWtil in [-" in line for line in printed)
