"""SymbolNet on a target that is known: formulas are found, limits are kept, seeds repeat."""

from dataclasses import replace

import numpy as np
import pytest

from bit.distill import _symbolnet
from bit.distill._search import Problem, SearchSettings
from bit.errors import BitWarning, InputError
from bit.expression.nodes import complexity, evaluate, variables

NAMES = ("x0", "x1", "x2")
SETTINGS = SearchSettings(("add", "sub", "mul", "sin"), 40, 1, 3, 1, None, False, {"n_steps": 500})


@pytest.fixture(scope="module")
def problem():
    pytest.importorskip("torch", reason="SymbolNet needs PyTorch, which is not installed")
    rng = np.random.default_rng(1)
    columns = rng.normal(size=(600, 3))
    target = columns[:, 0] * np.sin(columns[:, 1])
    return Problem(columns, target / target.std(), rng.uniform(0.5, 1.5, 600), NAMES)


@pytest.fixture(scope="module")
def found(problem):
    return _symbolnet.search(problem, SETTINGS)


def loss(node, problem):
    values = evaluate(node, dict(zip(NAMES, problem.columns.T, strict=True)))
    return np.mean(problem.weights * (values - problem.target) ** 2)


def test_formulas_describe_the_target(problem, found):
    assert min(loss(node, problem) for node in found) < 0.05  # a constant has 1, the best linear function as well
    assert all(complexity(node) <= SETTINGS.max_complexity for node in found)
    assert all(set(variables(node)) <= set(NAMES) for node in found)


def test_same_seed_same_formulas(problem):
    short = replace(SETTINGS, options={"n_steps": 100, "copies": 1})
    assert _symbolnet.search(problem, short) == _symbolnet.search(problem, short)
    assert _symbolnet.search(problem, short) != _symbolnet.search(problem, replace(short, seed=4))


def test_time_limit_keeps_the_best_so_far(problem):
    assert _symbolnet.search(problem, replace(SETTINGS, max_seconds=0.0, n_restarts=1000, options={"n_steps": 200}))


def test_interrupt_keeps_the_best_so_far(problem, monkeypatch):
    add = _symbolnet._Readings.add

    def interrupted(readings, network, **last):
        add(readings, network, **last)
        if readings.best:
            raise KeyboardInterrupt

    monkeypatch.setattr(_symbolnet._Readings, "add", interrupted)
    with pytest.warns(BitWarning, match="interrupted"):
        assert _symbolnet.search(problem, SETTINGS)


def test_other_settings_are_refused(problem):
    with pytest.raises(InputError, match=r"no operators \['log'\]; it knows"):
        _symbolnet.search(problem, replace(SETTINGS, operators=("mul", "log")))
    with pytest.raises(InputError, match="give an operator besides"):
        _symbolnet.search(problem, replace(SETTINGS, operators=("add", "sub")))
    with pytest.raises(InputError, match=r"no options \['depth'\]"):
        _symbolnet.search(problem, replace(SETTINGS, options={"depth": 3}))


@pytest.mark.parametrize("name", sorted(_symbolnet._UNARY))
def test_functions_of_torch_are_those_of_formulas(name):
    torch = pytest.importorskip("torch", reason="SymbolNet needs PyTorch, which is not installed")
    from bit.expression import OPERATORS

    x = np.linspace(-1.4, 1.5, 30)
    ours, theirs = OPERATORS[name].function(x), _symbolnet._UNARY[name](torch, torch.tensor(x)).numpy()
    np.testing.assert_allclose(theirs, ours, atol=2e-3 if name == "sqrt_abs" else 1e-12)  # its floor of 1e-6
