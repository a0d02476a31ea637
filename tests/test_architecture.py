"""The layers of the package, the owners of third-party libraries, and what must never stand in its code."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "bit"

# A module may import from lower layers and from its own package; siblings of layer 4 never import each other.
LAYER = {
    **dict.fromkeys(
        [
            "errors",
            "optional",
            "progress",
            "files",
            "artefacts",
            "basis",
            "conventions",
            "parity",
            "threads",
            "kernels",
        ],
        0,
    ),
    **dict.fromkeys(["events", "mapped", "particles", "processes", "metrics"], 1),
    **dict.fromkeys(["trees", "expression"], 2),
    **dict.fromkeys(["estimators", "ensembles", "positivity", "baselines", "observables", "classic"], 3),
    **dict.fromkeys(["inference", "inspection", "export", "io", "dask"], 4),
    **dict.fromkeys(["distill", "compare", "plotting"], 5),
    **dict.fromkeys(["analysis", "config", "demo", "cli", "__main__"], 6),
}
# Who imports which library; numpy and the standard library are free.
OWNERS = {
    "numba": {"kernels/_jit.py"},
    "llvmlite": {"kernels/_jit.py"},
    "vegas": {"processes/phase_space.py"},
    "xgboost": {"baselines/_xgboost.py", "export/check.py"},
    "torch": {"baselines/neural.py", "distill/_symbolnet.py"},
    "iminuit": {"inference/minimize.py", "distill/refit.py"},
    "uproot": {"io/root.py"},
    "awkward": {"io/root.py"},
    "pylhe": {"io/lhe.py"},
    "h5py": {"io/madminer.py"},
    "pyarrow": {"io/arrays.py"},
    "sympy": {"expression/algebra.py", "distill/_pysr_worker.py"},
    "pysr": {"distill/_pysr_worker.py"},
    "pyoperon": {"distill/_operon_worker.py"},
    "dask": {"dask.py"},
    "distributed": {"dask.py"},
    "hist": {"inference/interop.py"},
    "click": {"cli.py"},
    "tqdm": {"progress.py"},
    "onnx": {"export/onnx.py"},
    "onnxruntime": {"export/check.py"},
    "correctionlib": {"export/check.py", "export/check_formula.py"},
}
FREE = {"numpy", "scipy", "pandas", "sklearn"}


def sources():
    return sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imported_modules(path):
    """Absolute names of everything that a file imports, and of libraries asked for by ``require``."""
    for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "require" and len(node.keywords) == 1:
            yield node.args[0].value


def part_of(module):
    return module.split("/")[0].removesuffix(".py")


@pytest.mark.parametrize("path", sources())
def test_every_file_belongs_to_a_layer(path):
    assert path == "__init__.py" or part_of(path) in LAYER


@pytest.mark.parametrize("path", sources())
def test_imports_go_down(path):
    if path == "__init__.py":
        return  # lazy table of public names
    here = part_of(path)
    for module in imported_modules(path):
        pieces = module.split(".")
        if pieces[0] != "bit" or len(pieces) == 1 or pieces[1] in {here, "__version__"}:
            continue
        assert LAYER[pieces[1]] <= LAYER[here], f"{path} imports {module} from a higher layer"
        assert not (LAYER[pieces[1]] == LAYER[here] == 4), f"{path} imports its sibling {module}"


@pytest.mark.parametrize("path", sources())
def test_libraries_have_owners(path):
    for module in imported_modules(path):
        library = module.split(".")[0]
        if library in FREE or library in sys.stdlib_module_names or library == "bit":
            continue
        if library == "matplotlib":
            assert path.startswith("plotting/"), f"{path} imports matplotlib"
        else:
            assert path in OWNERS[library], f"{path} imports {module}"


@pytest.mark.parametrize("path", [path for path in sources() if path.startswith("kernels/")])
def test_kernels_call_only_their_own_file(path):
    allowed = {"bit.kernels._jit", "bit.kernels.dtypes"}
    for module in imported_modules(path):
        if module.startswith("bit."):
            assert module.rpartition(".")[0] in allowed | {"bit.kernels"} or module in allowed


@pytest.mark.parametrize("path", sources())
def test_no_code_from_files_and_no_prints(path):
    for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            assert name not in {"eval", "exec", "sympify"}, f"{path}:{node.lineno}"
            assert not (name == "print" and path != "cli.py"), f"{path}:{node.lineno}"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert "pickle" not in names, f"{path} imports pickle"
