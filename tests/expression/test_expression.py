"""Formulas: reading, writing, values, derivatives, short forms, CP, files."""

import json

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings

import bit
from bit.artefacts import checksum
from bit.errors import FileFormatError, InputError
from bit.expression import OPERATORS, Expression
from bit.expression.fold import equal, fold
from bit.expression.nodes import (
    Call,
    Constant,
    Integer,
    Variable,
    complexity,
    constants,
    evaluate,
    exponents,
    from_list,
    to_list,
    walk,
    with_constants,
)
from bit.expression.parse import LONGEST, parse, to_text
from bit.expression.program import value_and_gradient
from bit.observables import Observable

NAMES = ("x", "y", "z")
RANDOM = np.random.default_rng(3)
COLUMNS = {"x": RANDOM.uniform(0.2, 0.9, 40), "y": RANDOM.uniform(-0.9, -0.2, 40), "z": RANDOM.uniform(-0.9, 0.9, 40)}
# Without poles, kinks and roots: rounding stays rounding.
SMOOTH = ("add", "sub", "mul", "neg", "square", "cube", "aq", "sin", "cos", "tanh", "atan", "asinh", "erf")

LEAVES = st.one_of(
    st.sampled_from([Variable(name) for name in NAMES]),
    st.integers(-3, 3).map(Integer),
    st.floats(-3, 3, allow_nan=False).map(lambda value: Constant(round(value, 2))),
)


def trees(operators):
    def calls(below):
        def build(name):
            return st.tuples(*[below] * OPERATORS[name].arity).map(lambda arguments: Call(name, arguments))

        return st.sampled_from(sorted(operators)).flatmap(build)

    return st.recursive(LEAVES, calls, max_leaves=12)


def folded(tree):
    """The short form; formulas that divide by the constant 0 or overflow have none, and say so."""
    try:
        return fold(tree)
    except InputError:
        assume(False)


@given(trees(OPERATORS))
@settings(max_examples=200, deadline=None)
def test_text_and_lists_give_back_the_tree(tree):
    assert parse(to_text(tree), NAMES) == tree
    assert from_list(json.loads(json.dumps(to_list(tree)))) == tree


@given(trees(SMOOTH))
@settings(max_examples=200, deadline=None)
def test_folding_keeps_the_value(tree):
    short = folded(tree)
    # Rounding is relative to the largest number on the way, in either form.
    largest = max(np.abs(evaluate(item, COLUMNS)).max() for form in (tree, short) for item in walk(form))
    assume(np.isfinite(largest))
    difference = evaluate(short, COLUMNS) - evaluate(tree, COLUMNS)
    assert np.abs(difference).max() <= 1e-11 * max(1.0, largest) * complexity(tree)


@given(trees(OPERATORS))
@settings(max_examples=200, deadline=None)
def test_folding_shortens_and_is_done_at_once(tree):
    short = folded(tree)
    assert complexity(short) <= complexity(tree)
    assert complexity(fold(short)) == complexity(short)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("1.3*(2.0*x)*sin(0.98*z)", "2.6*x*sin(0.98*z)"),
        ("0.5*(2.0*x + 3.0)", "1.0*x + 1.5"),
        ("(1.0 + 2.0*x)*(3.0 + 4.0*y)", "8.0*(0.5 + x)*(0.75 + y)"),  # three constants, not four
        ("x*x*x/y", "cube(x)/y"),
        ("x*y + y*x", "2*x*y"),
        ("sin(-x)*cos(-y)", "-sin(x)*cos(y)"),
        ("(x - (-x))/2", "x"),
        ("1.0/(2.0*x + 3.0)", "0.5/(x + 1.5)"),
        ("x - x", "0"),
        ("(-1.5)*x + y", "-1.5*x + y"),
        ("x*2/6", "x/3"),
        ("cube(x/sin(y))", "cube(x/sin(y))"),  # two cubes would be longer
        ("square(2.0*x)", "4.0*square(x)"),
        ("(0.5 - x)*y*sin(z)", "(0.5 - x)*y*sin(z)"),
    ],
)
def test_short_forms(text, short):
    assert to_text(fold(parse(text, NAMES))) == short


def test_complexity_counts_as_pysr_does():
    assert Expression.parse("(0.5 - x)*y*sin(z)", NAMES).complexity == 8
    assert Expression.parse("square(x)", NAMES).complexity == 2
    assert Expression.parse("x**2", NAMES).complexity == 3


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_derivatives_are_those_of_differences(name):
    operator = OPERATORS[name]
    arguments = ("0.7*x + 0.1", "0.3 + 0.5*z")[: operator.arity]
    tree = Call(name, tuple(parse(text, NAMES) for text in arguments))
    value, by_constants, by_features = value_and_gradient(tree, COLUMNS, ("x", "z"))
    step = 1e-6
    np.testing.assert_array_equal(value, evaluate(tree, COLUMNS))
    values = constants(tree)
    for position in range(len(values)):
        up, down = (
            evaluate(
                with_constants(tree, [*values[:position], values[position] + shift, *values[position + 1 :]]), COLUMNS
            )
            for shift in (step, -step)
        )
        np.testing.assert_allclose(by_constants[:, position], (up - down) / (2 * step), rtol=1e-6, atol=1e-7)
    for position, feature in enumerate(("x", "z")):
        up, down = (evaluate(tree, COLUMNS | {feature: COLUMNS[feature] + shift}) for shift in (step, -step))
        np.testing.assert_allclose(by_features[:, position], (up - down) / (2 * step), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [name for name, operator in OPERATORS.items() if operator.parity])
def test_parities_of_operators(name):
    inside = {"x": np.linspace(-0.9, 0.9, 12)}
    plus, minus = (evaluate(parse(f"{name}({sign}x)", NAMES), inside) for sign in ("", "0.0-"))
    np.testing.assert_allclose(minus, OPERATORS[name].parity * plus, rtol=1e-15)


def test_spellings_of_other_programs():
    assert parse("plus(x, mult(1.2f-5, y))", NAMES) == parse("x + 1.2e-5*y", NAMES)
    assert parse("fmax((x), (y)) ^ 2", NAMES) == parse("max(x, y)**2", NAMES)
    assert parse("powabs(x, 0.5)", NAMES) == parse("abs(x)**0.5", NAMES)
    assert parse("(-1.5) * X1", {"X1": "p T"}) == Call("mul", (Constant(-1.5), Variable("p T")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x +", "invalid syntax"),
        ("__import__('os').system('true')", "not allowed"),
        ("x.real", "not allowed"),
        ("lambda: 1", "not allowed"),
        ("True", "neither a number nor a variable"),
        ("'x'", "not allowed"),
        ("w + x", "unknown variable 'w'"),
        ("sine(x)", "unknown function 'sine': did you mean 'sin'"),
        ("sin(x, y)", r"sin takes 1 argument\(s\), not 2"),
        ("1e400*x", "not finite"),
        ("1" + 400 * "0" + "*x", "beyond double precision"),
        ("-" * 5000 + "x", "nested too deeply"),
        ("x" * (LONGEST + 1), "at most"),
        ("", "invalid syntax"),
    ],
)
def test_other_text_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse(text, NAMES)


@pytest.mark.parametrize("document", [None, True, ["sinus", "x"], ["sin"], [], {"a": 1}, ["add", 1.0, float("nan")]])
def test_other_lists_are_refused(document):
    with pytest.raises(FileFormatError):
        from_list(document)


def test_exponents_are_known():
    tree = parse("1.5*x**2.5 + y**(0.5*z)", NAMES)
    assert constants(tree) == (1.5, 2.5, 0.5)
    assert exponents(tree) == (False, True, True)


def test_equality_of_forms():
    assert equal(parse("(x + y)*z", NAMES), parse("z*(y + x)", NAMES))
    assert equal(parse("x - y", NAMES), parse("-(y - x)", NAMES))
    assert not equal(parse("x - y", NAMES), parse("y - x", NAMES))


PARITY = bit.CPParity(flip=("z",), swap=(("x", "y"),), odd_params=("cHWtil",))


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("sin(z)", -1),
        ("(x - y)*cos(z)", -1),
        ("1.5*(x + y)*sin(2.0*z)", -1),
        ("z*square(z) + sin(z)*x*y", -1),
        ("x*y*cos(z)", 1),
        ("x*y/(1.0 + square(z))", 1),
        ("sin(z + 0.1)", 0),
        ("x*sin(z)", 0),
    ],
)
def test_cp_is_seen_from_the_form(text, sign):
    expression = Expression.parse(text, NAMES)
    assert expression.cp_sign(PARITY) == sign
    values = RANDOM.normal(size=(50, 3)).astype(np.float32)
    image = PARITY.mirror(values, NAMES)
    np.testing.assert_allclose(expression.mirrored(PARITY).predict(values), expression.predict(image), rtol=1e-15)


@pytest.fixture
def table():
    values = RANDOM.normal(size=(30, 3)).astype(np.float32)
    basis = bit.PolynomialBasis(["cHWtil"], order=1)
    return bit.EventTable(values, np.ones((30, 2)), basis, feature_names=["z", "x", "y"])


def test_it_is_an_observable(table):
    expression = Expression.parse("0.5*x - y", NAMES, label="half", odd=True)
    assert isinstance(expression, Observable)
    expected = 0.5 * table.column("x").astype(float) - table.column("y").astype(float)
    np.testing.assert_array_equal(expression(table), expected)
    assert expression(table).dtype == np.float64


def test_tables_go_by_name_and_arrays_by_position(table):
    expression = Expression.parse("x*sin(z) + 2.0", NAMES)
    np.testing.assert_array_equal(
        expression.predict(table.select(features=["x", "z"])), expression.predict(table.features[:, [1, 2, 0]])
    )
    with pytest.raises(InputError, match="needs the feature 'z'"):
        expression.predict(table.select(features=["x", "y"]))
    with pytest.raises(InputError, match=r"expected \(n_events, 3\)"):
        expression.predict(table.features[:, :2])


def test_a_constant_is_a_formula(table):
    expression = Expression.parse("1.5", NAMES)
    assert expression.predict(table).tolist() == [1.5] * 30
    assert expression.jacobian(table).shape == (30, 1)
    assert not expression.gradient(table.features).any()


def test_outside_its_domain_an_observable_is_an_error(table):
    expression = Expression.parse("log(x)", NAMES)
    assert np.isnan(expression.predict(table)).any()
    with pytest.raises(InputError, match="no finite value in"):
        expression(table)


def test_errors_round_the_constants():
    expression = Expression.parse("1.23456*x + 0.00123456*y - 1234.56", NAMES)
    assert str(expression) == "1.235*x + 0.001235*y - 1235.0"
    fitted = expression.with_constants(expression.constants, np.diag([0.012, 0.00034, 230.0]) ** 2)
    assert str(fitted) == "1.235*x + 0.00123*y - 1.23e+03"
    assert Expression.parse(fitted.to_text(), NAMES).constants.tolist() == expression.constants.tolist()
    np.testing.assert_allclose(fitted.errors, [0.012, 0.00034, 230.0])


def test_people_read_differences():
    expression = Expression.parse("(-1.5)*x + (-0.5)*y*z + (-2) - (-0.25)/x + x**(-1.0) + (-x)", NAMES)
    assert str(expression) == "-1.5*x - 0.5*y*z - 2 + 0.25/x + x**(-1.0) - x"
    inside = np.linspace(0.1, 0.9, 30).reshape(10, 3)
    again = Expression.parse(str(expression), NAMES)
    np.testing.assert_allclose(again.predict(inside), expression.predict(inside), rtol=1e-13)
    assert np.abs(again.constants).tolist() == np.abs(expression.constants).tolist()


def test_an_exact_fit_has_no_digits_of_rounding():
    assert str(Expression.parse("2.0*x", NAMES, covariance=[[1e-40]])) == "2.0*x"


def test_other_constants_keep_the_form():
    expression = Expression.parse("1.5*x + 2*y", NAMES)
    assert expression.with_constants([3.0]).to_text() == "3.0*x + 2*y"
    with pytest.raises(InputError, match="2 values for 1 constants"):
        expression.with_constants([1.0, 2.0])
    with pytest.raises(InputError, match="not finite"):
        expression.with_constants([np.nan])


def test_files(tmp_path, table):
    expression = Expression.parse(
        "0.1*sin(z)/(1.0 + square(x))",
        NAMES,
        units=("GeV", "GeV", ""),
        latex=("p_1", "p_2", r"\phi"),
        name="ours",
        odd=True,
        term=("cHWtil",),
        covariance=[[0.01, 0.0], [0.0, 0.02]],
        config={"backend": "operon"},
    )
    path = tmp_path / "formula.json"
    expression.export(path)
    back = bit.load(path)
    assert back.as_document() == expression.as_document()
    assert np.array_equal(back(table), expression(table))
    document = json.loads(path.read_text())
    for change, message in [
        ({"format": "bit-expression/2"}, "update bit"),
        ({"name": "other"}, "checksum does not fit"),
        ({"tree": ["sinus", "z"]}, "not a formula of bit"),
        ({"tree": ["sin", "w"]}, "unknown feature 'w'"),
    ]:
        changed = document | change
        if "tree" in change:
            changed["sha256"] = checksum(changed)
        path.write_text(json.dumps(changed))
        with pytest.raises(FileFormatError, match=message):
            bit.load(path)


def test_what_is_given_is_checked():
    with pytest.raises(InputError, match="unknown feature 'x'"):
        Expression(Variable("x"), ("y",))
    with pytest.raises(InputError, match="2 units for 1 features"):
        Expression(Variable("x"), ("x",), units=("", ""))
    with pytest.raises(InputError, match="covariance has shape"):
        Expression(Variable("x"), ("x",), covariance=np.eye(2))
