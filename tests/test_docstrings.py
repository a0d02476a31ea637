"""Examples in docstrings run, and every public function says what it takes and gives."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import textwrap

import pytest

import bit
from bit import errors

# Commands describe themselves by --help; the steps of an analysis refer to their configuration.
DESCRIBED_ELSEWHERE = ("bit.cli", "bit.analysis.")
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(bit.__path__, "bit.")
    if module.name != "bit.__main__" and not module.name.startswith("bit.kernels")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def public_callables():
    for name in MODULES:
        if any(part.startswith("_") for part in name.split(".")) or name == "bit.plotting.style":
            continue
        module = importlib.import_module(name)
        for attribute, value in vars(module).items():
            if attribute.startswith("_") or getattr(value, "__module__", None) != name:
                continue
            if inspect.isfunction(value):
                yield f"{name}.{attribute}", value
            elif inspect.isclass(value) and not getattr(value, "_is_protocol", False):
                for method, function in vars(value).items():
                    described = any(hasattr(base, method) for base in value.__mro__[1:])  # by the base class
                    if not method.startswith("_") and inspect.isfunction(function) and not described:
                        yield f"{name}.{attribute}.{method}", function


def public_classes():
    for name in MODULES:
        if any(part.startswith("_") for part in name.split(".")) or name.startswith(DESCRIBED_ELSEWHERE):
            continue
        for attribute, value in vars(importlib.import_module(name)).items():
            of_here = inspect.isclass(value) and value.__module__ == name and not attribute.startswith("_")
            if of_here and not issubclass(value, Exception) and not getattr(value, "_is_protocol", False):
                yield f"{name}.{attribute}", value


def entries(text, *sections):
    """What the sections of a docstring in numpydoc's form describe: names, and all of each entry."""
    for section in sections:
        found = re.search(rf"^{section}\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text, re.MULTILINE | re.DOTALL)
        for entry in re.split(r"\n(?=\S)", found.group(1).strip()) if found else ():
            yield [name.strip().lstrip("*") for name in entry.split("\n")[0].split(" : ")[0].split(",")], entry


def raised(function):
    """Names of the errors that a function itself raises; its inner functions are not asked."""
    pending, found = [ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]], set()
    while pending:
        for node in ast.iter_child_nodes(pending.pop()):
            if isinstance(node, ast.FunctionDef | ast.Lambda):
                continue
            pending.append(node)
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
                found.add(node.exc.func.id)
    return found


def without_shape(text, *sections):
    """Arrays that are described without a shape or another place that has it."""
    for names, entry in entries(text, *sections):
        kind = entry.split("\n")[0].partition(" : ")[2] or entry
        if re.match(r"ndarray|array", kind) and not re.search(r"[Ss]hape|\(n|As (in|for) |As `", entry):
            yield names


@pytest.mark.parametrize(("name", "function"), list(public_callables()))
def test_parameters_and_returns_are_described(name, function):
    text = inspect.getdoc(function) or ""
    assert text, name
    if name.startswith(DESCRIBED_ELSEWHERE):
        return
    described = {parameter for names, _ in entries(text, "Parameters", "Other Parameters") for parameter in names}
    assert set(inspect.signature(function).parameters) - {"self", "cls"} <= described
    assert not list(without_shape(text, "Parameters", "Returns", "Yields"))
    annotation = inspect.signature(function).return_annotation
    if annotation not in {"None", None, inspect.Signature.empty}:
        assert any(word in text for word in ("Returns", "Yields")) or isinstance(function, property), name
    own = raised(function) & set(vars(errors))
    assert own <= {error for names, _ in entries(text, "Raises") for error in names}


@pytest.mark.parametrize(("name", "value"), list(public_classes()))
def test_classes_are_described(name, value):
    texts = [inspect.cleandoc(base.__doc__ or "") for base in value.__mro__[:-1]]
    assert texts[0], name
    assert not list(without_shape(texts[0], "Parameters", "Attributes"))
    described = {item for text in texts for names, _ in entries(text, "Parameters", "Attributes") for item in names}
    assert set(inspect.signature(value).parameters) <= described
    checks = [vars(value)[method] for method in ("__init__", "__post_init__") if method in vars(value)]
    if any("InputError" in raised(check) for check in checks if check.__code__.co_filename != "<string>"):
        assert any("InputError" in names for text in texts for names, _ in entries(text, "Raises")), name
