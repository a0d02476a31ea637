"""Search with PySR (arXiv:2305.01582), whose engine is written in Julia: each restart in a process of its own.

`import pysr` starts Julia inside the process, downloads it where it is absent, and does not go together with every
other library. So nothing of that happens here: the worker is a script, its results are read from PySR's files, and it
is killed at the time limit or on Ctrl-C, which loses the running iteration only.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from bit.distill._search import Problem, SearchInterrupted, SearchSettings, require_operators, require_options
from bit.distill.hall_of_fame import read_hall_of_fame
from bit.errors import BitError, BitWarning, FileFormatError, InputError, MissingPackageError
from bit.expression.nodes import Node, complexity
from bit.expression.operators import OPERATORS as _ALL_OPERATORS
from bit.progress import progress_bar
from bit.threads import n_threads_of

PAPER: dict[str, Any] = {
    "niterations": 300,
    "populations": 30,
    "population_size": 1000,
    "ncycles_per_iteration": 200,
    "annealing": True,
    "alpha": 1.0,
    "fraction_replaced": 0.5,
    "fraction_replaced_hof": 0.2,
    "batching": False,
    "constraints": {"square": 5, "cube": 3},
}
"""Settings of arXiv:2109.10414, section 2.3, in PySR's present names. Its operators were add, sub, mul, square, cube,
and div or sin where needed, its largest complexity 50 at first (30 to 75). It does not state its parsimony, which stays
PySR's; its acceptance relative to the loss, Eq. (29), is a change of PySR that PySR does not offer."""

PRESETS = {"2109.10414": PAPER}

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "^"}
# Operators that PySR does not have. They must not throw on any real number, and keep the type of their arguments.
_DEFINITIONS = {
    "aq": "aq(x, y) = x / sqrt(one(y) + y * y)",
    "log_abs": "log_abs(x) = log(abs(x))",
    "sqrt_abs": "sqrt_abs(x) = sqrt(abs(x))",
}
# A free exponent gives towers of powers; a constant or a variable is what people read.
_CONSTRAINTS = {"pow": [-1, 1]}
# Options whose keys are operators, named as in this package.
_BY_OPERATOR = ("constraints", "nested_constraints", "complexity_of_operators")

OPERATORS = frozenset(_ALL_OPERATORS)
"""Operators that can be asked for: all."""

# Set by the arguments of `search`, or without meaning for it; everything else can be an option.
_RESERVED = frozenset(
    {
        "binary_operators",
        "default_mutations",
        "default_plugins",
        "delete_tempfiles",
        "deterministic",
        "expression_spec",
        "extra_jax_mappings",
        "extra_sympy_mappings",
        "extra_torch_mappings",
        "input_stream",
        "logger_spec",
        "maxsize",
        "mutations",
        "operators",
        "output_directory",
        "output_jax_format",
        "output_torch_format",
        "plugins",
        "progress",
        "random_state",
        "run_id",
        "temp_equation_file",
        "tempdir",
        "type_spec",
        "unary_operators",
        "update",
        "update_verbosity",
        "verbosity",
        "warm_start",
    }
)
_SMALLEST_MAXSIZE = 7  # PySR refuses less.
_SERIAL = {"parallelism": "serial", "deterministic": True}
_WORKER = Path(__file__).with_name("_pysr_worker.py")
_POLL_SECONDS = 0.1
_REMEDIES = (
    'Remedies: another backend (backend="operon"), which needs no Julia; or Julia: options={"allow_install": True} lets'
    " PySR download it once with its packages (about 1 GB), a prepared one is named by PYTHON_JULIAPKG_PROJECT, or by "
    "PYTHON_JULIACALL_EXE and PYTHON_JULIACALL_PROJECT; or a search with PySR elsewhere, whose hall_of_fame.csv "
    "bit.distill.read_hall_of_fame reads."
)


def available() -> str | None:
    """Tell whether PySR can run here, without importing it, starting a program or touching a file.

    Returns
    -------
    str or None
        None if there is a prepared Julia, else what is missing, in one sentence. A prepared Julia may still fail, for
        example after an update of PySR: then `search` says so.
    """
    for package in ("pysr", "juliacall"):
        if importlib.util.find_spec(package) is None:
            return f"the package {package!r} is not installed (pip install pysr)."
    wanted, present = _juliacall_pin(), importlib.metadata.version("juliacall")
    if not _satisfies(present, wanted):
        return f"PySR needs juliacall{wanted}, and {present} is installed (pip install --upgrade pysr juliacall)."
    explicit = [os.environ.get(f"PYTHON_JULIACALL_{name}") for name in ("EXE", "PROJECT")]
    if any(explicit):
        if all(place and (shutil.which(place) or Path(place).exists()) for place in explicit):
            return None
        return f"PYTHON_JULIACALL_EXE and PYTHON_JULIACALL_PROJECT name {explicit}: set both, to what exists."
    project = _julia_project()
    if not project.is_absolute():
        return f"PYTHON_JULIAPKG_PROJECT={str(project)!r} is not an absolute path."
    if _is_prepared(project):
        return None
    if os.environ.get("PYTHON_JULIAPKG_EXE") or shutil.which("julia") or shutil.which("juliaup"):
        return f'Julia lacks the packages of PySR in {project} (options={{"allow_install": True}} fetches them).'
    return 'no Julia is there (options={"allow_install": True} lets PySR download it, about 1 GB).'


def _juliacall_pin() -> str:
    """PySR's rule for the version of juliacall, such as ``<0.9.37,>=0.9.36``."""
    rules = (re.match(r"juliacall\b([^;]*)", rule) for rule in importlib.metadata.requires("pysr") or ())
    return next((found[1].strip(" ()") for found in rules if found), "")


def _satisfies(version: str, rule: str) -> bool:
    bounds = {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}
    parts = re.findall(r"(<=|>=|<|>)\s*([\d.]+)", rule)
    return all(bounds[sign](_numbers(version), _numbers(bound)) for sign, bound in parts)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _julia_project() -> Path:
    """Folder in which PySR's Julia environment lies, or would."""
    named = os.environ.get("PYTHON_JULIAPKG_PROJECT")
    if named:
        return Path(named)
    prefix = sys.prefix if sys.prefix != sys.base_prefix else os.environ.get("CONDA_PREFIX")
    if prefix is not None:
        return Path(prefix).absolute() / "julia_env"
    depot = os.environ.get("JULIA_DEPOT_PATH", "").split(os.pathsep)[0]
    return Path(depot or Path.home() / ".julia").absolute() / "environments" / "pyjuliapkg"


def _is_prepared(project: Path) -> bool:
    try:
        document = json.loads((project / "pyjuliapkg" / "meta.json").read_text(encoding="utf-8"))
        return Path(document["executable"]).is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def parameter_names() -> list[str]:
    """Names of the arguments of the installed ``PySRRegressor``, read from its source without importing it.

    Returns
    -------
    list of str
        In their order.

    Raises
    ------
    MissingPackageError
        If PySR is not installed, or is not as expected.
    """
    found = importlib.util.find_spec("pysr")
    if found is None or found.origin is None:
        raise MissingPackageError("backend='pysr' needs the package 'pysr'; install it with: pip install pysr")
    source = Path(found.origin).with_name("sr.py")
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and node.name == "PySRRegressor":
            constructor = next(
                item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"
            )
            return [item.arg for item in (*constructor.args.args, *constructor.args.kwonlyargs) if item.arg != "self"]
    raise MissingPackageError(f"{source} has no PySRRegressor; install PySR 2: pip install --upgrade pysr")


def search(problem: Problem, settings: SearchSettings) -> list[Node]:
    """Find formulas with PySR, one search for each restart.

    Parameters
    ----------
    problem : Problem
        The weighted regression: PySR minimises sum_i w_i (f(x_i) - t_i)^2 / sum_i w_i.
    settings : SearchSettings
        `options` has the parameters of ``PySRRegressor`` in its names (operators in ``constraints``,
        ``nested_constraints`` and ``complexity_of_operators`` in ours), and

        - ``preset="2109.10414"``: the settings of that paper (`PAPER`), which other options replace one by one;
        - ``allow_install=True``: PySR may download Julia and its packages, otherwise it stays offline.

        Searches are serial and repeatable, `n_jobs` of them at a time. ``parallelism="multithreading"`` gives one
        search at a time all threads; it is not repeatable. At `max_seconds`, which the restarts share and which
        includes the start of Julia, a search is stopped.

    Returns
    -------
    list of node
        Halls of fame of all restarts, in their order, without formulas larger than `max_complexity`.

    Raises
    ------
    InputError
        For unknown operators or options, options that PySR refuses, or if the time did not suffice for one formula.
    MissingPackageError
        If PySR or Julia cannot start; the message says why and what can be done.
    KeyboardInterrupt
        On Ctrl-C before the first formula.

    Warns
    -----
    BitWarning
        On Ctrl-C, or if PySR failed on the way: the formulas found so far are returned.
    """
    require_operators("pysr", settings.operators, OPERATORS)
    options = dict(settings.options)
    allow_install = bool(options.pop("allow_install", False))
    parameters = _parameters(settings.operators, settings.max_complexity, options)
    n_threads = n_threads_of(settings.n_jobs)
    serial = parameters["parallelism"] == "serial"
    environment = _environment(1 if serial else n_threads, allow_install)
    with tempfile.TemporaryDirectory(prefix="bit-pysr-", ignore_cleanup_errors=True) as place:
        folders = _requests(Path(place), problem, parameters, settings)
        try:
            failed = _run(folders, n_threads if serial else 1, environment, settings)
        except KeyboardInterrupt:
            if not (found := _read(folders, problem.names)):
                raise
            warnings.warn("interrupted: the formulas that PySR found so far are used.", SearchInterrupted, stacklevel=2)
        else:
            found = _read(folders, problem.names)
            if failed and found:
                warnings.warn(f"{_failure(failed[0])} The formulas found are used.", BitWarning, stacklevel=2)
            elif failed:
                raise _failure(failed[0])
            elif not found:
                raise InputError(
                    f"PySR had no formula after max_seconds={settings.max_seconds}, its start included: give more."
                )
    return [node for node in found if complexity(node) <= settings.max_complexity]


def _parameters(operators: Sequence[str], max_complexity: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of PySRRegressor, as JSON types."""
    chosen = dict(options)
    preset = chosen.pop("preset", None)
    if preset is not None and preset not in PRESETS:
        raise InputError(f"options['preset']={preset!r}: there is {' or '.join(map(repr, PRESETS))}.")
    require_options("pysr", chosen, {*parameter_names(), "preset", "allow_install"} - _RESERVED)
    base = PRESETS[preset] if preset is not None else {}
    limits = {**_CONSTRAINTS, **base.get("constraints", {})}
    defaults = {"constraints": {name: limit for name, limit in limits.items() if name in operators}}
    parameters = {**_SERIAL, **base, **defaults, **chosen}
    for option in _BY_OPERATOR:
        if option in parameters:
            parameters[option] = _spelled(option, parameters[option], operators)
    parameters |= {
        "binary_operators": [_definition(name) for name in operators if _ALL_OPERATORS[name].arity == 2],
        "unary_operators": [_definition(name) for name in operators if _ALL_OPERATORS[name].arity == 1],
        "maxsize": max(max_complexity, _SMALLEST_MAXSIZE),
        "deterministic": parameters["parallelism"] == "serial",
        "verbosity": 0,
        "progress": False,
        "input_stream": "devnull",
        "update": False,
        "run_id": "run",
    }
    try:
        json.dumps(parameters)
    except TypeError as error:
        raise InputError(f"options of PySR are handed to another process as JSON: {error}.") from None
    return parameters


def _definition(operator: str) -> str:
    return _DEFINITIONS.get(operator, _spelling(operator))


def _spelling(operator: str) -> str:
    return _INFIX.get(operator, operator)


def _spelled(option: str, value: Any, operators: Sequence[str]) -> dict[str, Any]:
    """The same mapping with operators in PySR's names, one or two levels deep."""
    if not isinstance(value, Mapping):
        raise InputError(f"options[{option!r}]={value!r}: give a mapping with names of operators.")
    unknown = [name for name in value if name not in operators]
    if unknown:
        raise InputError(f"options[{option!r}] names {unknown}, which the search does not use; it uses {operators}.")
    spelled: dict[str, Any] = {}
    for name, item in value.items():
        spelled[_spelling(name)] = _spelled(option, item, operators) if isinstance(item, Mapping) else item
    return spelled


def _environment(n_threads: int, allow_install: bool) -> dict[str, str]:
    """Environment of the worker: offline unless allowed otherwise, and no more threads than asked for."""
    return {
        **os.environ,
        "PYTHON_JULIAPKG_OFFLINE": "no" if allow_install else "yes",
        "JULIA_PKG_OFFLINE": "false" if allow_install else "true",
        "PYTHON_JULIACALL_THREADS": str(n_threads),
        "PYTHON_JULIACALL_HANDLE_SIGNALS": "yes",
        "PYTHON_JULIACALL_AUTOLOAD_IPYTHON_EXTENSION": "no",
    }


def _requests(place: Path, problem: Problem, parameters: dict[str, Any], settings: SearchSettings) -> list[Path]:
    """Write what the workers read; returns a folder for each restart."""
    np.savez(place / "problem.npz", columns=problem.columns, target=problem.target, weights=problem.weights)
    seeds = np.random.SeedSequence(settings.seed).generate_state(settings.n_restarts)
    folders = []
    for number, seed in enumerate(seeds):
        folder = place / str(number)
        folder.mkdir()
        request = {"names": list(problem.names), "parameters": {**parameters, "random_state": int(seed)}}
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        folders.append(folder)
    return folders


def _run(
    folders: Sequence[Path], n_at_once: int, environment: Mapping[str, str], settings: SearchSettings
) -> list[Path]:
    """Run one worker for each folder until all have ended or their time is over; returns the folders of failed ones."""
    end = time.monotonic() + (math.inf if settings.max_seconds is None else settings.max_seconds)
    waiting, failed = list(folders), []
    running: dict[Path, tuple[subprocess.Popen[bytes], float]] = {}
    with progress_bar(len(folders), "PySR", "searches", show=settings.verbose) as bar, _killed_at_last(running):
        while waiting or running:
            while waiting and len(running) < n_at_once:
                now = time.monotonic()
                share = (end - now) / math.ceil(len(waiting) / n_at_once)
                folder = waiting.pop(0)
                running[folder] = _start(folder, environment), now + share
            time.sleep(_POLL_SECONDS)
            for folder, (process, limit) in list(running.items()):
                code = process.poll()
                if code is None and time.monotonic() < limit:
                    continue
                _kill(process)
                del running[folder]
                bar.update()
                if code:
                    failed.append(folder)
                    if not _has_started(folder):
                        waiting.clear()  # Where Julia does not start once, it will not for the others.
            bar.refresh()
    return failed


def _start(folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with (folder / "log.txt").open("wb") as log:
        # -P: the folder of the script is no place for imports. A session of its own can be killed as a whole, and does
        # not get the terminal's Ctrl-C.
        return subprocess.Popen(
            [sys.executable, "-P", str(_WORKER), str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )


@contextmanager
def _killed_at_last(running: Mapping[Path, tuple[subprocess.Popen[bytes], float]]) -> Iterator[None]:
    try:
        yield
    finally:
        for process, _ in running.values():
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a worker with all that it started; nothing happens to one that has ended and left nothing behind."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _has_started(folder: Path) -> bool:
    return (folder / "started").exists()


def _failure(folder: Path) -> BitError:
    """What is wrong with a worker that ended by itself."""
    lines: list[str] = []
    for name in ("error.txt", "log.txt"):
        if (folder / name).is_file():
            lines += reversed((folder / name).read_text(encoding="utf-8", errors="replace").splitlines())
    reason = next((line.strip() for line in lines if line.strip()), "it ended without a message")
    if _has_started(folder):
        return InputError(f"PySR stopped: {reason}. Check the options given to it.")
    return MissingPackageError(f"PySR cannot start: {reason}. {_REMEDIES}")


def _read(folders: Sequence[Path], names: Sequence[str]) -> list[Node]:
    """Formulas of all searches that have some."""
    found: list[Node] = []
    for folder in folders:
        # A search that was killed early has no file, or one without formulas.
        with suppress(InputError, FileFormatError):
            found += [node for _, _, node in read_hall_of_fame(folder / "outputs" / "run", names)]
    return found
