"""Examples in docstrings run, and every public function says what it takes and gives."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import bit

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


@pytest.mark.parametrize(("name", "function"), list(public_callables()))
def test_parameters_and_returns_are_described(name, function):
    text = inspect.getdoc(function) or ""
    assert text, name
    if name.startswith(("bit.cli.", "bit.analysis.")):
        return  # commands describe themselves by --help; the steps of an analysis refer to their configuration
    for parameter in inspect.signature(function).parameters:
        if parameter not in {"self", "cls"}:
            assert parameter in text, f"{name} does not describe {parameter}"
    annotation = inspect.signature(function).return_annotation
    if annotation not in {"None", None, inspect.Signature.empty}:
        assert any(word in text for word in ("Returns", "Yields")) or isinstance(function, property), name
