"""Formulas as LaTeX: the form stays, signs and brackets are where readers expect them, matplotlib draws all of it."""

import pytest
from matplotlib.mathtext import MathTextParser

from bit.expression import OPERATORS, Expression
from bit.expression.latex import label_of
from bit.expression.nodes import Call, Variable

NAMES = ("x", "y", "z")
DRAW = MathTextParser("path").parse


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("x - 1.5*y", r"x - 1.5 \, y"),
        ("x - (-1.5)*y", r"x + 1.5 \, y"),
        ("x + (-1.5)", "x - 1.5"),
        ("x + (-y + z)", "x - y + z"),
        ("x - (y - z)", r"x - \left(y - z\right)"),
        ("-(x + y)", r"-\left(x + y\right)"),
        ("(x + y)*z", r"\left(x + y\right) \, z"),
        ("x*(-y)", r"x \, \left(-y\right)"),
        ("-1.5*x*y", r"-1.5 \, x \, y"),
        ("-1.5*x/y", r"-\frac{1.5 \, x}{y}"),
        ("x*2", r"x \cdot 2"),
        ("1.5e-7*x", r"1.5 \times 10^{-7} \, x"),
        ("square(1.5e7)", r"\left(1.5 \times 10^{7}\right)^{2}"),
        ("square(-x)", r"\left(-x\right)^{2}"),
        ("-square(x)", "-x^{2}"),
        ("(-1.5)**x", r"\left(-1.5\right)^{x}"),
        ("(x**y)**z", r"\left(x^{y}\right)^{z}"),
        ("x**(y + 1)", "x^{y + 1}"),
        ("square(x/y)", r"\left(\frac{x}{y}\right)^{2}"),
        ("square(sin(x))", r"\sin^{2}\left(x\right)"),
        ("sin(x)**-1", r"\left(\sin\left(x\right)\right)^{-1}"),
        ("square(log(x))", r"\left(\ln\left(x\right)\right)^{2}"),
        ("aq(x, y + z)", r"\frac{x}{\sqrt{1 + \left(y + z\right)^{2}}}"),
        ("max(x, y - z)", r"\max\left(x,\, y - z\right)"),
        ("log1p(-x)", r"\ln\left(1 - x\right)"),
    ],
)
def test_forms(text, latex):
    found = Expression.parse(text, NAMES).to_latex()
    assert found == latex
    DRAW(f"${found}$")


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_can_be_drawn(name):
    argument = Call("add", (Variable("x"), Variable("y")))
    tree = Call(name, (argument, Variable("z"))[: OPERATORS[name].arity])
    for node in (tree, Call("square", (tree,)), Call("neg", (tree,))):
        DRAW(f"${Expression(node, NAMES).to_latex()}$")


def test_constants_are_rounded_and_features_have_their_labels():
    expression = Expression.parse(
        "0.123456*pt_lm*sin(dphi) + 1.5*x**2",
        ("pt_lm", "dphi", "x"),
        latex=(r"p_{T,\ell^-}", r"\Delta\phi", "x"),
        covariance=[[1e-4, 0.0], [0.0, 0.04]],
    )
    assert expression.to_latex() == r"0.123 \, p_{T,\ell^-} \, \sin\left(\Delta\phi\right) + 1.50 \, x^{2}"
    DRAW(f"${expression.to_latex()}$")
    # An index above takes no second one.
    assert Expression.parse("square(x)", ("x",), latex=("p^+",)).to_latex() == r"\left(p^+\right)^{2}"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("x", "x"),
        ("x1", "x_{1}"),
        ("m_12", "m_{12}"),
        ("dphi", r"\mathrm{dphi}"),
        ("pt_lm", r"\mathrm{pt\_lm}"),
        ("100% {a}", r"\mathrm{100\%\ \{a\}}"),
        ("a^b~c$#", r"\mathrm{a\wedge b\sim c\$\#}"),
    ],
)
def test_names_without_labels_are_escaped(name, label):
    assert label_of(name) == label
    DRAW(f"${label}$")
    assert Expression(Variable(name), (name,)).to_latex() == label


def test_matplotlib_does_not_know_the_ampersand_of_latex():
    assert label_of("a&b") == r"\mathrm{a\&b}"
