"""Formulas in every language: the numbers of `Expression.predict` up to the last digits of functions."""

import gzip
import json
import math
import re
import runpy
import subprocess
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from reference import tformula
from reference.export_cases import needs_compiler, needs_correctionlib

import bit
from bit.errors import FileFormatError, InputError
from bit.export import to_correctionlib, to_cpp, to_latex, to_numpy, to_tformula
from bit.export.check import compile_cpp
from bit.export.check_formula import check_formula, formula_error, probe_formula
from bit.export.formula import DEEPEST, LANGUAGES, source
from bit.expression import OPERATORS, Expression
from bit.expression.nodes import Call, Constant, Integer, Variable
from bit.expression.rounding import deviation

NAMES = ("x", 'm µ"\\', "minus??/")  # names that need care in source code
FORMATS = [
    pytest.param("cpp", marks=needs_compiler),
    "numpy",
    "tformula",
    pytest.param("correctionlib", marks=needs_correctionlib),
]
X, Y, Z = map(Variable, NAMES)
# What has gone wrong elsewhere: precedence, signs before powers, nested powers, literals, whole numbers, constants.
TREES = {
    **{name: Call(name, (X, Y)[: operator.arity]) for name, operator in OPERATORS.items()},
    **{f"{name}_of_sum": Call(name, (Call("sub", (X, Constant(0.3))), Y)[: o.arity]) for name, o in OPERATORS.items()},
    "minus_square": Call("neg", (Call("square", (X,)),)),
    "square_of_minus": Call("square", (Call("neg", (X,)),)),
    "exp_of_minus_square": Call("exp", (Call("neg", (Call("square", (X,)),)),)),
    "minus_power": Call("neg", (Call("pow", (X, Integer(2))),)),
    "power_of_minus": Call("pow", (Call("neg", (X,)), Integer(3))),
    "power_of_power": Call("pow", (Call("pow", (X, Integer(3))), Constant(0.5))),
    "power_of_power_above": Call("pow", (X, Call("pow", (Y, Integer(2))))),
    "negative_exponent": Call("pow", (X, Integer(-3))),
    "negative_base": Call("pow", (Constant(-2.5), X)),
    "two_minus": Call("sub", (X, Call("sub", (Y, Call("neg", (Z,)))))),
    "minus_minus": Call("neg", (Call("neg", (Constant(-1.5),)),)),
    "left_division": Call("div", (Call("div", (X, Y)), Z)),
    "right_division": Call("div", (X, Call("div", (Y, Z)))),
    "quotient_of_integers": Call("mul", (Call("div", (Integer(1), Integer(2))), X)),
    "division_by_zero": Call("add", (Call("div", (Integer(1), Integer(0))), X)),
    "huge": Call("mul", (Constant(1.7976931348623157e308), X)),
    "tiny": Call("mul", (Constant(5e-324), X)),
    "large_exponent": Call("mul", (Constant(1e22), Call("add", (Constant(-1e-7), X)))),
    "negative_zero": Call("add", (Constant(-0.0), X)),
    "large_integer": Call("mul", (Integer(-(10**30)), X)),
    "constant": Constant(0.1),
    "integer": Integer(-7),
    "variable": Z,
    "nested_extremes": Call("min", (Call("max", (X, Y)), Call("relu", (Z,)))),
    "readme": Call("div", (Call("mul", (Call("mul", (Constant(0.5), X)), Call("sin", (Z,)))),
                           Call("add", (Constant(1.0), Call("square", (Y,)))))),
}  # fmt: skip
LEAVES = st.one_of(
    st.sampled_from([X, Y, Z]),
    st.integers(-3, 3).map(Integer),
    st.floats(allow_nan=False, allow_infinity=False).map(Constant),
)


def calls(below):
    def build(name):
        return st.tuples(*[below] * OPERATORS[name].arity).map(lambda arguments: Call(name, arguments))

    return st.sampled_from(sorted(OPERATORS)).flatmap(build)


def formula(tree, **attributes):
    return Expression(tree, NAMES, **attributes)


EVENTS = probe_formula(formula(X), 3000)


def of_numpy(expression, folder):
    to_numpy(expression, folder / "module.py")
    return runpy.run_path(str(folder / "module.py"))["predict"](EVENTS)


def of_tformula(expression, folder):
    to_tformula(expression, folder / "formula.txt")
    *comments, text = (folder / "formula.txt").read_text().splitlines()
    assert all(line.startswith("//") for line in comments)
    return tformula.evaluate(text, EVENTS, OPERATORS["erf"].function)


def of_correctionlib(expression, folder):
    import correctionlib

    to_correctionlib(expression, folder / "set.json")
    return correctionlib.CorrectionSet.from_file(str(folder / "set.json"))[expression.name].evaluate(*EVENTS.T)


RUN = {"numpy": of_numpy, "tformula": of_tformula, "correctionlib": of_correctionlib}
RUNTIMES = [
    "numpy",
    "tformula",
    pytest.param("correctionlib", marks=needs_correctionlib),
]


def compare(expression, to, values):
    """Deviations are within the bound; how many events have one."""
    allowed = formula_error(expression, to, EVENTS)
    decided = np.isfinite(allowed)
    different = deviation(values, expression.predict(EVENTS))
    worst = np.argmax(np.where(decided & (different > allowed), different, 0.0))
    assert (different <= allowed)[decided].all(), (EVENTS[worst], values[worst], different[worst], allowed[worst])
    return decided.mean()


@pytest.mark.parametrize("to", FORMATS)
def test_every_operator_is_written(to):
    language = LANGUAGES[to]
    for name in OPERATORS:
        assert source(formula(TREES[name]), language)
    assert set(language.forms) <= set(OPERATORS)


@pytest.mark.parametrize("to", RUNTIMES)
@pytest.mark.parametrize("case", TREES)
def test_values(case, to, tmp_path):
    expression = formula(TREES[case])
    assert compare(expression, to, RUN[to](expression, tmp_path)) > 0.9


@pytest.mark.parametrize("to", RUNTIMES)
@given(tree=st.recursive(LEAVES, calls, max_leaves=10))
@settings(max_examples=100)
def test_values_of_any_formula(tree, to, tmp_path_factory):
    expression = formula(tree)
    compare(expression, to, RUN[to](expression, tmp_path_factory.mktemp("any")))


def random_tree(rng, depth):
    if depth == 0 or rng.random() < 0.2:
        leaves = (X, Y, Z, Integer(int(rng.integers(-3, 4))), Constant(float(rng.normal() * 10 ** rng.uniform(-5, 5))))
        return leaves[rng.integers(len(leaves))]
    name = sorted(OPERATORS)[rng.integers(len(OPERATORS))]
    return Call(name, tuple(random_tree(rng, depth - 1) for _ in range(OPERATORS[name].arity)))


CPP_MAIN = """\
%s
#include <cstdio>
#include <vector>

int main() {
  std::vector<double> x(%d), out(%d);
  if (std::fread(x.data(), sizeof(double), x.size(), stdin) != x.size()) return 1;
%s
}
"""
CPP_CASE = """\
  NAME::evaluate(x.data(), out.size(), out.data());
  if (NAME::evaluate(x.data())[0] != out[0] && out[0] == out[0]) return 2;
  if (std::fwrite(out.data(), sizeof(double), out.size(), stdout) != out.size()) return 3;
"""


@needs_compiler
@pytest.mark.parametrize("flags", [(), pytest.param(("-O3", "-march=native"), marks=pytest.mark.slow)])
def test_values_in_cpp(tmp_path, rng, flags):
    """All headers stand side by side in one program, which is compiled with warnings as errors."""
    trees = [*TREES.values(), *(random_tree(rng, 4) for _ in range(60))]
    expressions = {f"formula_{number}": formula(tree) for number, tree in enumerate(trees)}
    for name, expression in expressions.items():
        to_cpp(expression, tmp_path / f"{name}.hpp", name=name)
    includes = "\n".join(f'#include "{name}.hpp"' for name in expressions)
    cases = "".join(CPP_CASE.replace("NAME", name) for name in expressions)
    (tmp_path / "main.cpp").write_text(CPP_MAIN % (includes, EVENTS.size, len(EVENTS), cases))
    compile_cpp(tmp_path / "main.cpp", tmp_path / "main", *flags)
    output = subprocess.run([tmp_path / "main"], input=EVENTS.tobytes(), capture_output=True, check=True).stdout
    for expression, values in zip(expressions.values(), np.frombuffer(output).reshape(-1, len(EVENTS)), strict=True):
        decided = compare(expression, "cpp", values)
        assert decided > 0.9 or expression.node not in TREES.values()


def test_constants_keep_every_bit():
    for value in (0.1, -1 / 3, 1e22, 1e-7, 5e-324, 1.7976931348623157e308, 123456789.125):
        for to, language in LANGUAGES.items():
            text = source(formula(Constant(value)), language).strip("(-)")
            assert (float.fromhex(text) if to == "cpp" else float(text)) == abs(value)
            if to in ("tformula", "correctionlib"):
                assert re.fullmatch(r"\d+\.\d+(e-?\d+)?", text), text


def test_no_language_depends_on_precedence():
    text = source(formula(TREES["minus_power"]), LANGUAGES["correctionlib"])
    assert text == "((-1.0) * pow(x[0], 2.0))"
    for to in ("tformula", "correctionlib"):
        assert "^" not in "".join(LANGUAGES[to].forms.values())


DESCRIBED = formula(
    Call("mul", (Constant(0.1), X)),
    units=("GeV", "", "rad"),
    name="ours",
    label="line \\",
    odd=True,
    term=("cHWtil",),
    covariance=[[0.01]],
    config={"backend": "operon", "reference": [0.0]},
)


def test_every_file_tells_what_it_holds(tmp_path):
    to_cpp(DESCRIBED, tmp_path / "a.hpp")
    to_numpy(DESCRIBED, tmp_path / "a.py")
    to_latex(DESCRIBED, tmp_path / "a.tex")
    to_tformula(DESCRIBED, tmp_path / "a.txt")
    to_correctionlib(DESCRIBED, tmp_path / "a.json")

    def comments(name, mark):
        lines = (tmp_path / name).read_text().splitlines()
        lines = lines[lines.index(f"{mark} {{") : lines.index(f"{mark} }}") + 1]
        return json.loads("".join(line.removeprefix(mark) for line in lines))

    found = [
        comments("a.hpp", "//"),
        comments("a.tex", "%"),
        comments("a.txt", "//"),
        json.loads(json.dumps(runpy.run_path(str(tmp_path / "a.py"))["METADATA"])),
        json.loads(json.loads((tmp_path / "a.json").read_text())["description"]),
    ]
    document = DESCRIBED.as_document()
    for description in found:
        assert description["formula"] == DESCRIBED.to_text()
        assert description["version"] == bit.__version__
        for field in ("sha256", "features", "term", "odd", "label", "config", "covariance"):
            assert description[field] == document[field]
    assert (tmp_path / "a.tex").read_text().splitlines()[-1] == r"0.10 \, x"


def test_correctionlib_files(tmp_path):
    for name in ("a.json", "a.json.gz", "b.json.gz"):
        to_correctionlib(DESCRIBED, tmp_path / name)
    assert gzip.decompress((tmp_path / "a.json.gz").read_bytes()) == (tmp_path / "a.json").read_bytes()
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()
    with pytest.raises(InputError, match=r"end in \.json or \.json\.gz"):
        to_correctionlib(DESCRIBED, tmp_path / "a.txt")


@needs_correctionlib
def test_correctionlib_accepts_the_schema():
    from correctionlib import schemav2

    from bit.export.formula import correction_set

    model = schemav2.CorrectionSet.model_validate(correction_set(DESCRIBED))
    assert [entry.name for entry in model.corrections[0].inputs] == list(NAMES)


def test_numpy_module_stands_alone(tmp_path):
    expression = formula(Call("erf", (Call("square", (X,)),)))
    to_numpy(expression, tmp_path / "a.py")
    text = (tmp_path / "a.py").read_text()
    assert re.findall(r"^(?:import|from) (\w+)", text, flags=re.M) == ["math", "numpy"]
    module = runpy.run_path(str(tmp_path / "a.py"))
    assert module["predict"]([[1.0, 2.0, 3.0]]).tolist() == [math.erf(1.0)]
    assert module["predict"](np.empty((0, 3))).shape == (0,)
    assert module["FEATURES"] == NAMES
    for wrong in ([1.0, 2.0, 3.0], [[1.0, 2.0]]):
        with pytest.raises(ValueError, match=r"\(n_events, 3\) is needed"):
            module["predict"](wrong)
    to_numpy(formula(X), tmp_path / "a.py")
    assert "import math" not in (tmp_path / "a.py").read_text()


def test_deep_formulas_are_refused(tmp_path):
    tree = X
    for _ in range(DEEPEST):
        tree = Call("sin", (tree,))
    to_numpy(formula(tree), tmp_path / "a.py")
    assert np.isfinite(runpy.run_path(str(tmp_path / "a.py"))["predict"]([[1.0, 0.0, 0.0]])).all()
    with pytest.raises(InputError, match=f"{DEEPEST + 1} levels deep"):
        to_numpy(formula(Call("sin", (tree,))), tmp_path / "a.py")


@pytest.mark.parametrize("to", ["json", *(entry for entry in FORMATS if entry != "tformula")])
def test_right_exports_pass_and_wrong_ones_do_not(to, tmp_path):
    write = {"json": Expression.export, "cpp": to_cpp, "numpy": to_numpy, "correctionlib": to_correctionlib}
    expression, path = formula(TREES["readme"]), tmp_path / "a.json"
    write[to](expression, path)
    found = check_formula(expression, path, to, EVENTS)
    assert found.n_events > 0.99 * len(EVENTS)
    assert found.largest <= found.allowed < 1e-12
    other = expression.with_constants([0.5, 1.0 + 1e-14])
    with pytest.raises(FileFormatError, match=r"deviates from the formula by .* write it again"):
        check_formula(other, path, to, EVENTS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_old_file_stays_if_a_name_is_wrong(tmp_path):
    to_cpp(DESCRIBED, tmp_path / "a.hpp")
    before = (tmp_path / "a.hpp").read_text()
    with pytest.raises(InputError, match=r"a C\+\+ identifier is needed"):
        to_cpp(replace(DESCRIBED, name="other"), tmp_path / "a.hpp", name="double")
    assert (tmp_path / "a.hpp").read_text() == before


def test_events_that_decide_nothing_are_told(tmp_path):
    difference = Call("sub", (Call("sin", (X,)), Call("sin", (X,))))
    expression = formula(Call("log", (Call("add", (Call("erf", (difference,)), difference)),)))
    to_numpy(expression, tmp_path / "a.py")
    with pytest.raises(InputError, match=r"rounding decides the value of .* in all 100 events"):
        check_formula(expression, tmp_path / "a.py", "numpy", np.ones((100, 3)))
