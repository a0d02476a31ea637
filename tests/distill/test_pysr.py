"""PySR as a backend, without Julia: probe, arguments against the installed signature, and the worker process.

Where a test needs a search that finds something or lasts, a stand-in for the worker's script writes constructed files;
whatever PySR itself would do is not tested here.
"""

import ast
import fcntl
import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bit.distill import _pysr
from bit.distill._search import Problem, SearchSettings
from bit.errors import BitWarning, InputError, MissingPackageError
from bit.expression.nodes import constants
from bit.expression.parse import parse

PROBLEM = Problem(np.arange(8.0).reshape(4, 2), np.arange(4.0), np.ones(4), ("x0", "x1"))
WORKER = _pysr._WORKER
SOURCE = Path(importlib.util.find_spec("pysr").origin).parent


def settings(**changes):
    defaults = {
        "operators": ("add", "mul"),
        "max_complexity": 20,
        "n_restarts": 1,
        "seed": 1,
        "n_jobs": 1,
        "max_seconds": None,
        "verbose": False,
        "options": {},
    }
    return SearchSettings(**{**defaults, **changes})


@pytest.fixture(autouse=True)
def no_julia(monkeypatch, tmp_path):
    """No Julia, whatever the machine has, and every temporary file below `tmp_path`."""
    for name in [name for name in os.environ if name.startswith(("JULIA", "PYTHON_JULIA", "CONDA_PREFIX"))]:
        monkeypatch.delenv(name)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("PYTHON_JULIAPKG_PROJECT", str(tmp_path / "julia_env"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


# The probe.


def make_file(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def prepare(project, executable):
    make_file(project / "pyjuliapkg" / "meta.json", json.dumps({"executable": str(executable), "offline": False}))


def test_nothing_is_there():
    assert "no Julia" in _pysr.available()


@pytest.mark.parametrize("package", ["pysr", "juliacall"])
def test_packages_are_absent(monkeypatch, package):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    assert f"{package!r} is not installed" in _pysr.available()


@pytest.mark.parametrize(("version", "fits"), [("0.9.35", False), ("0.9.36", True), ("0.9.37", False), ("0.10", False)])
def test_juliacall_must_be_the_one_that_pysr_wants(monkeypatch, tmp_path, version, fits):
    prepare(tmp_path / "julia_env", make_file(tmp_path / "julia"))
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: ["click", "juliacall<0.9.37,>=0.9.36", "jax; extra"])
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    reason = _pysr.available()
    assert reason is None if fits else "juliacall<0.9.37,>=0.9.36" in reason


def test_the_rule_of_the_installed_pysr_is_found():
    assert _pysr._juliacall_pin()
    assert _pysr._satisfies(importlib.metadata.version("juliacall"), _pysr._juliacall_pin())


def test_explicit_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHON_JULIACALL_EXE", str(make_file(tmp_path / "julia")))
    assert "set both" in _pysr.available()
    monkeypatch.setenv("PYTHON_JULIACALL_PROJECT", str(tmp_path / "absent"))
    assert "set both" in _pysr.available()
    monkeypatch.setenv("PYTHON_JULIACALL_PROJECT", str(tmp_path))
    assert _pysr.available() is None


def test_prepared_environment(tmp_path):
    executable = make_file(tmp_path / "julia")
    prepare(tmp_path / "julia_env", executable)
    assert _pysr.available() is None
    executable.unlink()
    assert "no Julia" in _pysr.available()
    make_file(tmp_path / "julia_env" / "pyjuliapkg" / "meta.json", '{"executable"')
    assert "no Julia" in _pysr.available()


def test_julia_without_packages(monkeypatch, tmp_path):
    make_file(tmp_path / "programs" / "julia")
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    assert "lacks the packages" in _pysr.available()


def test_relative_project_is_refused(monkeypatch):
    monkeypatch.setenv("PYTHON_JULIAPKG_PROJECT", "here")
    assert "absolute" in _pysr.available()


@pytest.mark.parametrize("kind", ["virtual", "conda", "depot", "home"])
def test_where_the_environment_lies(monkeypatch, tmp_path, kind):
    monkeypatch.delenv("PYTHON_JULIAPKG_PROJECT")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv") if kind == "virtual" else sys.base_prefix)
    if kind == "conda":
        monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "conda"))
    if kind == "depot":
        monkeypatch.setenv("JULIA_DEPOT_PATH", os.pathsep.join([str(tmp_path / "depot"), "/elsewhere"]))
    expected = {
        "virtual": tmp_path / "venv" / "julia_env",
        "conda": tmp_path / "conda" / "julia_env",
        "depot": tmp_path / "depot" / "environments" / "pyjuliapkg",
        "home": tmp_path / "empty" / ".julia" / "environments" / "pyjuliapkg",
    }
    assert _pysr._julia_project() == expected[kind]


def test_probe_and_arguments_import_and_write_nothing(tmp_path):
    before = sorted(tmp_path.rglob("*"))
    _pysr.available()
    _pysr._parameters(("add",), 20, {"preset": "2109.10414"})
    assert not {"pysr", "juliacall", "juliapkg"} & sys.modules.keys()
    assert sorted(tmp_path.rglob("*")) == before


# Arguments, against the installed source.


def method_arguments(name):
    """Names of the arguments of a method of the installed PySRRegressor."""
    for node in ast.walk(ast.parse((SOURCE / "sr.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and node.name == "PySRRegressor":
            function = next(item for item in node.body if getattr(item, "name", "") == name)
            return {item.arg for item in (*function.args.args, *function.args.kwonlyargs)}
    return set()


def keywords_in_worker(name):
    """Names of the keyword arguments with which the worker calls a function."""
    for node in ast.walk(ast.parse(WORKER.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and name in {getattr(node.func, "id", ""), getattr(node.func, "attr", "")}:
            return {item.arg for item in node.keywords if item.arg}
    return set()


def test_every_argument_exists_in_the_installed_pysr():
    known = set(_pysr.parameter_names())
    assert known == method_arguments("__init__") - {"self"}
    assert {"niterations", "maxsize", "output_directory"} <= known
    operators = tuple(sorted(_pysr.OPERATORS))
    ours = _pysr._parameters(operators, 20, {"preset": "2109.10414"}).keys() | {"random_state"}
    assert ours <= known
    assert known >= _pysr.PAPER.keys()
    assert known >= _pysr._RESERVED
    assert known >= keywords_in_worker("PySRRegressor") == {"extra_sympy_mappings", "output_directory"}
    assert method_arguments("fit") >= keywords_in_worker("fit") == {"weights", "variable_names"}


def test_every_operator_is_known_to_pysr_or_defined():
    tree = ast.parse((SOURCE / "export_sympy.py").read_text(encoding="utf-8"))
    table = next(
        node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "sympy_mappings"
    )
    known = {key.value for key in table.keys} | set("+-*/^")
    assert {_pysr._spelling(name) for name in _pysr.OPERATORS - _pysr._DEFINITIONS.keys()} <= known
    assert all(definition.startswith(f"{name}(") for name, definition in _pysr._DEFINITIONS.items())


def test_operators_and_their_limits_are_translated():
    operators = ("add", "div", "pow", "aq", "sin", "square")
    options = {
        "constraints": {"div": [-1, 9], "sin": 5},
        "nested_constraints": {"sin": {"sin": 0, "pow": 1}},
        "complexity_of_operators": {"div": 2},
    }
    parameters = _pysr._parameters(operators, 25, options)
    assert parameters["binary_operators"] == ["+", "/", "^", "aq(x, y) = x / sqrt(one(y) + y * y)"]
    assert parameters["unary_operators"] == ["sin", "square"]
    assert parameters["constraints"] == {"/": [-1, 9], "sin": 5}
    assert parameters["nested_constraints"] == {"sin": {"sin": 0, "^": 1}}
    assert parameters["complexity_of_operators"] == {"/": 2}
    assert parameters["maxsize"] == 25
    assert _pysr._parameters(operators, 25, {})["constraints"] == {"^": [-1, 1]}


def test_settings_of_the_paper():
    # arXiv:2109.10414, section 2.3.
    operators = ("add", "sub", "mul", "square", "cube")
    parameters = _pysr._parameters(operators, 50, {"preset": "2109.10414", "populations": 10})
    stated = {
        "niterations": 300,
        "populations": 10,  # of its first example, replacing 30
        "population_size": 1000,
        "ncycles_per_iteration": 200,
        "alpha": 1.0,
        "fraction_replaced": 0.5,
        "fraction_replaced_hof": 0.2,
        "maxsize": 50,
        "constraints": {"square": 5, "cube": 3},
    }
    assert stated.items() <= parameters.items()
    assert _pysr._parameters(("add", "cube"), 50, {"preset": "2109.10414"})["constraints"] == {"cube": 3}


def test_searches_are_repeatable_unless_threads_are_asked_for():
    assert {"parallelism": "serial", "deterministic": True}.items() <= _pysr._parameters(("add",), 9, {}).items()
    threads = _pysr._parameters(("add",), 9, {"parallelism": "multithreading"})
    assert threads["deterministic"] is False
    assert _pysr._parameters(("add",), 3, {})["maxsize"] == 7  # PySR's smallest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"niteration": 3}, "niteration"),
        ({"maxsize": 3}, "no options"),
        ({"preset": "2109.1"}, "2109.10414"),
        ({"constraints": {"cos": 3}}, "'cos'"),
        ({"constraints": 3}, "mapping"),
        ({"early_stop_condition": object()}, "JSON"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        _pysr.search(PROBLEM, settings(options=options))


def test_unknown_operators_are_refused():
    with pytest.raises(InputError, match="'gamma'"):
        _pysr.search(PROBLEM, settings(operators=("add", "gamma")))


def test_absent_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install pysr"):
        _pysr.search(PROBLEM, settings())


@pytest.mark.parametrize("allow", [False, True])
def test_the_worker_is_offline_unless_allowed(allow):
    environment = _pysr._environment(3, allow)
    assert environment["PYTHON_JULIAPKG_OFFLINE"] == ("no" if allow else "yes")
    assert environment["PYTHON_JULIACALL_THREADS"] == "3"
    assert environment["HOME"] == os.environ["HOME"]


# The real worker, without Julia.


def test_without_julia_there_is_one_clear_error(tmp_path):
    with pytest.raises(MissingPackageError) as caught:
        _pysr.search(PROBLEM, settings(n_restarts=3, max_seconds=600.0))
    message = str(caught.value)
    assert "could not find Julia" in message
    for remedy in ('backend="operon"', "allow_install", "read_hall_of_fame"):
        assert remedy in message
    assert not {"pysr", "juliacall"} & sys.modules.keys()
    assert not list(tmp_path.glob("bit-pysr-*"))


def test_the_worker_reads_what_is_written_for_it(tmp_path):
    folders = _pysr._requests(tmp_path, PROBLEM, {"maxsize": 9}, settings(n_restarts=2))
    requests = [json.loads((folder / "request.json").read_text()) for folder in folders]
    assert [request["names"] for request in requests] == [["x0", "x1"]] * 2
    assert requests[0]["parameters"]["random_state"] != requests[1]["parameters"]["random_state"]
    with np.load(folders[0].parent / "problem.npz") as stored:
        assert np.array_equal(stored["columns"], PROBLEM.columns)
        assert np.array_equal(stored["target"], PROBLEM.target)
        assert np.array_equal(stored["weights"], PROBLEM.weights)


STAND_IN = """
import json
from pathlib import Path
import sympy
class PySRRegressor:
    def __init__(self, *, extra_sympy_mappings, output_directory, constraints, run_id, **parameters):
        a, b = sympy.symbols("a b")
        meaning = {name: str(f(a, b) if name == "aq" else f(a)) for name, f in extra_sympy_mappings.items()}
        self.record = {"meaning": meaning, "tuples": [name for name in constraints if type(constraints[name]) is tuple]}
        self.record["parameters"] = parameters
        self.run = Path(output_directory) / run_id
    def fit(self, X, y, *, weights, variable_names):
        self.record["problem"] = [X.tolist(), y.tolist(), weights.tolist(), variable_names]
        Path(RECORD).write_text(json.dumps(self.record))
        self.run.mkdir(parents=True)
        (self.run / "hall_of_fame.csv").write_text('Complexity,Loss,Equation\\n3,0.1,"x0 + x1"\\n')
"""


def test_the_worker_hands_everything_on(monkeypatch, tmp_path):
    # A stand-in for the package pysr, which records what the real worker gives to it.
    record = tmp_path / "record.json"
    make_file(tmp_path / "packages" / "pysr.py", STAND_IN.replace("RECORD", repr(str(record))))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    options = {"niterations": 7, "constraints": {"sin": 5, "pow": [-1, 2]}}
    found = _pysr.search(PROBLEM, settings(operators=("add", "pow", "aq", "sin"), options=options))
    assert found == [parse("x0 + x1", PROBLEM.names)]
    written = json.loads(record.read_text())
    columns, target, weights = PROBLEM.columns.tolist(), PROBLEM.target.tolist(), PROBLEM.weights.tolist()
    assert written["problem"] == [columns, target, weights, ["x0", "x1"]]
    assert written["tuples"] == ["^"]
    assert written["parameters"]["niterations"] == 7
    assert written["parameters"]["random_state"] == int(np.random.SeedSequence(1).generate_state(1)[0])
    assert written["meaning"].keys() == _pysr._DEFINITIONS.keys()
    assert written["meaning"]["aq"] == "a/sqrt(b**2 + 1)"


# Stand-ins for the worker: what is done with its files, time and end.

BEGIN = """
import json, os, subprocess, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
seed = json.loads((folder / "request.json").read_text())["parameters"]["random_state"]
(folder / "started").touch()
def write(*equations):
    run = folder / "outputs" / "run"
    run.mkdir(parents=True)
    rows = [f'{i},0.5,"{equation}"' for i, equation in enumerate(equations)]
    (run / "hall_of_fame.csv").write_text("\\n".join(["Complexity,Loss,Equation", *rows, ""]))
"""


@pytest.fixture
def worker(monkeypatch, tmp_path):
    def install(script):
        path = tmp_path / "worker.py"
        path.write_text(BEGIN + script)
        monkeypatch.setattr(_pysr, "_WORKER", path)

    return install


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_formulas_of_all_restarts_in_order_for_any_number_of_jobs(worker, n_jobs):
    worker("write('x0', f'x1 * {seed}.0')")
    found = _pysr.search(PROBLEM, settings(n_restarts=3, n_jobs=n_jobs))
    seeds = np.random.SeedSequence(1).generate_state(3).astype(float).tolist()
    expected = [text for seed in seeds for text in ("x0", f"x1 * {seed!r}")]
    assert found == [parse(text, PROBLEM.names) for text in expected]


def test_larger_formulas_are_left_out(worker):
    worker("write('x0', 'x0 + x1', '((x0 + x1) + x0) + x1')")
    found = _pysr.search(PROBLEM, settings(max_complexity=3))
    assert found == [parse(text, PROBLEM.names) for text in ("x0", "x0 + x1")]


LASTING = """
write(f'x0 * {seed}.0')
child = "import fcntl, sys, time; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); print(flush=True);"
child = [sys.executable, "-c", child + " time.sleep(600)", str(folder.parents[1] / f"lock{folder.name}")]
process = subprocess.Popen(child, stdout=subprocess.PIPE)
process.stdout.readline()
(folder / "ready").touch()
time.sleep(600)
"""


def n_ready(tmp_path):
    return len(list(tmp_path.glob("bit-pysr-*/*/ready")))


def all_have_ended(tmp_path, n_expected):
    """Whether the children of the workers, which lock a file for ten minutes, are gone."""
    locks = sorted(tmp_path.glob("lock*"))
    assert len(locks) == n_expected
    for lock in locks:
        with lock.open("w") as file:
            for _ in range(200):
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:  # the system takes its time to end a killed process
                    time.sleep(0.1)
            else:
                return False
    return True


@pytest.mark.parametrize(("n_restarts", "n_jobs"), [(1, 1), (2, 1), (2, 2)])
def test_time_limit_keeps_what_was_found_and_ends_all_processes(worker, monkeypatch, tmp_path, n_restarts, n_jobs):
    worker(LASTING)
    # A clock on which every wave of searches uses up its share once it is ready, however slow the machine.
    clock = SimpleNamespace(monotonic=lambda: 5.0 * n_ready(tmp_path) * (2 / n_restarts), sleep=time.sleep)
    monkeypatch.setattr(_pysr, "time", clock)
    found = _pysr.search(PROBLEM, settings(n_restarts=n_restarts, n_jobs=n_jobs, max_seconds=10.0))
    assert [constants(node) for node in found] == [
        (float(seed),) for seed in np.random.SeedSequence(1).generate_state(n_restarts)
    ]
    assert all_have_ended(tmp_path, n_restarts)
    assert not list(tmp_path.glob("bit-pysr-*"))


def interrupting_clock(is_time):
    def sleep(seconds):
        if is_time():
            raise KeyboardInterrupt
        time.sleep(seconds)

    return SimpleNamespace(monotonic=time.monotonic, sleep=sleep)


def test_interrupt_keeps_what_was_found_and_ends_all_processes(worker, monkeypatch, tmp_path):
    worker(LASTING)
    monkeypatch.setattr(_pysr, "time", interrupting_clock(lambda: n_ready(tmp_path) == 2))
    with pytest.warns(BitWarning, match="interrupted"):
        found = _pysr.search(PROBLEM, settings(n_restarts=3, n_jobs=2))
    assert len(found) == 2
    assert all_have_ended(tmp_path, 2)
    assert not list(tmp_path.glob("bit-pysr-*"))


def test_interrupt_before_the_first_formula(worker, monkeypatch, tmp_path):
    worker("time.sleep(600)")
    monkeypatch.setattr(_pysr, "time", interrupting_clock(lambda: bool(list(tmp_path.glob("bit-pysr-*/*/started")))))
    with pytest.raises(KeyboardInterrupt):
        _pysr.search(PROBLEM, settings())
    assert not list(tmp_path.glob("bit-pysr-*"))


def test_time_limit_before_the_first_formula(worker):
    worker("time.sleep(600)")
    with pytest.raises(InputError, match=r"max_seconds=0\.2"):
        _pysr.search(PROBLEM, settings(max_seconds=0.2))


def test_failure_on_the_way_keeps_what_was_found(worker):
    worker("write('x0'); raise ValueError('out of memory')")
    with pytest.warns(BitWarning, match="PySR stopped: ValueError: out of memory"):
        assert _pysr.search(PROBLEM, settings()) == [parse("x0", PROBLEM.names)]


def test_refusal_by_pysr_is_an_input_error(worker):
    worker("(folder / 'error.txt').write_text('TypeError: bad value'); sys.exit(1)")
    with pytest.raises(InputError, match="PySR stopped: TypeError: bad value"):
        _pysr.search(PROBLEM, settings())


def test_crash_at_the_start_is_reported_once(worker, tmp_path):
    worker("(folder / 'started').unlink(); (folder.parents[1] / f'begun{folder.name}').touch(); os.abort()")
    with pytest.raises(MissingPackageError, match="ended without a message"):
        _pysr.search(PROBLEM, settings(n_restarts=3))
    assert len(list(tmp_path.glob("begun*"))) == 1
