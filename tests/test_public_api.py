"""What `import bit` offers, and what it costs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import bit


def test_public_names():
    assert len(bit.__all__) <= 25
    modules = bit._MODULES
    for name in (*bit.__all__, *modules):
        assert getattr(bit, name) is not None
    assert bit.BIT is bit.BoostedInformationTree
    assert {*bit.__all__, *modules} <= set(dir(bit))


def test_unknown_name():
    with pytest.raises(AttributeError, match="has no attribute 'Forrest'"):
        bit.Forrest  # noqa: B018


def test_modules_that_the_readme_names_come_with_the_package():
    root = Path(bit.__file__).parent
    named = set(re.findall(r"\bbit\.([a-z_]+)", (root.parent / "README.md").read_text(encoding="utf-8")))
    modules = {name for name in named if (root / name).is_dir() or (root / f"{name}.py").is_file()}
    assert {"dask", "distill"} <= modules <= set(bit._MODULES)


def loaded_after(statement):
    program = f"import sys; {statement}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_import_loads_nothing_heavy():
    heavy = {"numba", "scipy", "pandas", "sklearn", "matplotlib", "uproot", "iminuit", "pysr", "juliacall", "xgboost"}
    heavy |= {"pyarrow", "h5py", "sympy"}
    assert not heavy & loaded_after("import bit")


def test_training_does_not_load_what_it_does_not_need():
    others = {"matplotlib", "uproot", "pysr", "juliacall", "xgboost", "torch", "vegas", "click"}
    assert not others & loaded_after("import bit; bit.BIT(min_samples_leaf=1).fit([[0.0], [1.0]], [1.0, 2.0])")
