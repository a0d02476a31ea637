"""Formulas for sympy, what it makes shorter, and that it is taken only if it is the same."""

import hypothesis.strategies as st
import numpy as np
import pytest
import sympy
from hypothesis import given, settings

import bit
from bit.errors import InputError
from bit.expression import OPERATORS, Expression, algebra
from bit.expression.nodes import Call, Constant, Integer, Variable, complexity, evaluate
from bit.expression.parse import parse, to_text
from bit.expression.rounding import deviation, rounding_error

NAMES = ("x", "y", "z")
RANDOM = np.random.default_rng(5)
INSIDE = {name: RANDOM.uniform(0.1, 0.9, 50) for name in NAMES}  # the domain of all operators


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_goes_to_sympy(name):
    tree = Call(name, tuple(map(Variable, NAMES[: OPERATORS[name].arity])))
    symbols = algebra.real_symbols(NAMES)
    found = sympy.lambdify([symbols[letter] for letter in NAMES], algebra.to_sympy(tree, symbols), "scipy")
    values = [found(*row) for row in np.column_stack(list(INSIDE.values()))]
    np.testing.assert_allclose(values, evaluate(tree, INSIDE), rtol=1e-14)
    back = algebra.from_sympy(algebra.to_sympy(tree, symbols), {symbol: name for name, symbol in symbols.items()})
    np.testing.assert_allclose(evaluate(back, INSIDE), evaluate(tree, INSIDE), rtol=1e-14)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("sin(x)**2 + cos(x)**2 + y", "y + 1"),
        ("x*y + x*z", "x*(y + z)"),
        ("exp(x)*exp(y)", "exp(x + y)"),
        ("log(exp(x))", "x"),
        ("sqrt(square(x))", "abs(x)"),
        ("(x - y)*(x + y)/(x*x - y*y)", "1"),
        ("2.0*sin(x)*cos(x)", "1.0*sin(2*x)"),
        ("1.3*x*y + 0.7*x*y", "2.0*x*y"),
        ("max(x, 0) + relu(x)", "2*relu(x)"),
        ("x**2.5*x**1.5", "x**4.0"),
        # Other domains: the root of a negative number has no value.
        ("square(sqrt(x))", "square(sqrt(x))"),
        ("exp(log(x))", "exp(log(x))"),
        # Nothing to be found: the form stays.
        ("0.5*x*sin(z)/(1.0 + square(y))", "0.5*x*sin(z)/(1.0 + square(y))"),
        ("aq(x, y) + cbrt(z)", "aq(x, y) + cbrt(z)"),
    ],
)
def test_simplification(text, short):
    found = Expression.parse(text, NAMES).simplified()
    assert found.to_text() == short
    assert isinstance(found.node, Integer) or found.constants.dtype == np.float64


LEAVES = st.one_of(
    st.sampled_from([Variable(name) for name in NAMES]),
    st.integers(-3, 3).map(Integer),
    st.sampled_from([0.25, 1.5, -0.7]).map(Constant),
)


def calls(below):
    def build(name):
        return st.tuples(*[below] * OPERATORS[name].arity).map(lambda arguments: Call(name, arguments))

    return st.sampled_from(("add", "sub", "mul", "div", "square", "sin", "exp", "neg")).flatmap(build)


@given(st.recursive(LEAVES, calls, max_leaves=4))
@settings(max_examples=15)
def test_simplification_keeps_the_function(tree):
    try:
        expression = Expression(tree, NAMES)
        found = expression.simplified()
    except InputError:
        return  # division by the constant 0, which folding refuses
    assert found.complexity <= expression.folded().complexity <= expression.complexity
    error = sum(rounding_error(node, INSIDE, units_of_constants=64.0) for node in (tree, found.node))
    assert (deviation(evaluate(tree, INSIDE), evaluate(found.node, INSIDE)) <= error).all()


def test_names_never_collide_with_sympy():
    names = ("I", "E", "pi", "beta", "lambda", "p T")
    tree = Call(
        "add", (Call("mul", tuple(map(Variable, names[:2]))), Call("mul", tuple(map(Variable, names[::2][:2]))))
    )
    expression = Expression(tree, names)
    found = expression.simplified()
    assert found.complexity < expression.complexity
    events = RANDOM.normal(size=(20, 6))
    np.testing.assert_allclose(found.predict(events), expression.predict(events), rtol=1e-13, atol=1e-14)
    assert {str(symbol) for symbol in expression.to_sympy().free_symbols} == {"I", "E", "pi"}


def test_given_events_decide_too():
    # Equal where random points are, but not on these events.
    expression = Expression.parse("log(exp(x))", NAMES)
    assert expression.simplified().to_text() == "x"
    assert expression.simplified([[1000.0, 0.0, 0.0]]).to_text() == "log(exp(x))"
    table = bit.EventTable([[1000.0]], [[1.0, 1.0]], bit.PolynomialBasis(["cHW"], order=1), feature_names=["x"])
    assert expression.simplified(table).to_text() == "log(exp(x))"


def test_covariance_stays_with_its_constants():
    expression = Expression.parse("0.5*x + 0.25*y", NAMES, covariance=np.diag([0.1, 0.2]))
    assert expression.simplified().covariance.tolist() == [[0.1, 0.0], [0.0, 0.2]]
    assert Expression.parse("0.5*x*y + 0.25*y*x", NAMES, covariance=np.eye(2)).simplified().covariance is None


def test_large_formulas_are_only_folded():
    text = " + ".join(f"sin({k}*x)**2 + cos({k}*x)**2" for k in range(1, 15))
    expression = Expression.parse(text, NAMES)
    assert expression.folded().complexity > algebra.LARGEST
    assert expression.simplified().to_text() == expression.folded().to_text()


def test_sympy_gets_all_digits():
    value = 0.1 + 1e-16
    [number] = Expression.parse(f"{value!r}*x", NAMES).to_sympy().atoms(sympy.Float)
    assert float(number) == value
    x = sympy.Symbol("x", real=True)
    assert Expression.parse("x**3", NAMES).to_sympy().diff(x) == 3 * x**2


def test_foreign_functions_are_refused():
    x = sympy.Symbol("x", real=True)
    with pytest.raises(InputError, match="no operator of formulas"):
        algebra.from_sympy(sympy.gamma(x), {x: "x"})


def test_rounding_has_a_bound():
    columns = {"x": np.array([0.3, 1e10, -2.0]), "y": np.array([0.3, 1e10, -2.0]) * (1 + 1e-9)}
    relative = rounding_error(parse("x*sin(y)", NAMES), columns) / np.abs(evaluate(parse("x*sin(y)", NAMES), columns))
    assert (relative < 3e-15).all()
    # Cancellation: the error is relative to what is subtracted.
    lost = rounding_error(parse("sin(x) - sin(y)", NAMES), columns)
    assert (lost > 1e-16).all()
    assert (lost < 1e-14).all()
    # On which side of the pole or of the edge of the domain an argument lies is not known.
    for text in ("1/(sin(x) - sin(x))", "log(exp(x) - exp(x))", "sqrt(exp(0*x) - 1)", "(exp(x) - exp(x))**-1.5"):
        assert np.isinf(rounding_error(parse(text, NAMES), columns))[0]
    assert rounding_error(parse("sign(sin(x) - sin(x))", NAMES), columns)[0] >= 1.0
    assert to_text(parse("x", NAMES)) == "x"
    assert complexity(parse("x", NAMES)) == 1
