"""Forests as C++ headers: they compile without warnings, and give the numbers of `Forest.predict` bit for bit."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reference.export_cases import ALL_CASES, NAMES, needs_compiler

import bit
from bit.errors import FileFormatError, InputError
from bit.export import to_cpp
from bit.export.check import compile_cpp
from bit.trees.forest_json import as_document

# One program for all headers, which so also stand side by side in one translation unit.
PROGRAM = """\
%(includes)s
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

template <std::size_t N>
void print(const std::array<const char*, N>& texts) {
  for (const char* text : texts) std::fwrite(text, 1, std::strlen(text) + 1, stdout);
}

template <std::size_t n_features, std::size_t n_outputs, class One, class Many>
int compare(One one, Many many) {
  std::vector<double> x(n_features), all, out;
  while (std::fread(x.data(), sizeof(double), n_features, stdin) == n_features) {
    all.insert(all.end(), x.begin(), x.end());
    const std::array<double, n_outputs> result = one(x.data());
    out.insert(out.end(), result.begin(), result.end());
  }
  std::vector<double> again(out.size());
  many(all.data(), all.size() / n_features, again.data());
  if (std::memcmp(out.data(), again.data(), out.size() * sizeof(double)) != 0) return 1;
  return std::fwrite(out.data(), sizeof(double), out.size(), stdout) == out.size() ? 0 : 1;
}

int main(int, char** arguments) {
  const std::string name = arguments[1];
  if (name == "texts") {
    print(separate::feature_names);
    print(separate::feature_units);
    print(separate::output_names);
    print(std::array<const char*, 2>{{separate::bit_version, separate::sha256}});
    return 0;
  }
%(cases)s
  return 2;
}
"""
CASE = """\
  if (name == "NAME") {
    const auto one = [](const double* x) { return NAME::evaluate(x); };
    const auto many = [](const double* x, std::size_t n, double* out) { NAME::evaluate(x, n, out); };
    return compare<NAME::n_features, NAME::n_outputs>(one, many);
  }
"""


def write_program(forests, folder):
    for name, forest in forests.items():
        to_cpp(forest, folder / f"{name}.hpp", name=name)
    includes = "\n".join(f'#include "{name}.hpp"' for name in forests)
    cases = "".join(CASE.replace("NAME", name) for name in forests)
    (folder / "main.cpp").write_text(PROGRAM % {"includes": includes, "cases": cases})
    return folder / "main.cpp"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cpp")


@pytest.fixture(scope="module")
def programs(forests, folder):
    """The same program without optimisation, and with all of it and fused multiply-add where there is one."""
    source = write_program(forests, folder)
    compile_cpp(source, folder / "plain", "-O0")
    compile_cpp(source, folder / "native", "-O3", "-march=native")
    return folder / "plain", folder / "native"


def run(program, name, events):
    done = subprocess.run([program, name], input=events.tobytes(), capture_output=True, check=True)
    return np.frombuffer(done.stdout)


@needs_compiler
@pytest.mark.parametrize("case", ALL_CASES)
def test_predictions_are_equal(forests, probes, programs, case):
    plain, native = programs
    for program, probe in ((plain, probes[case][-20_000:]), (native, probes[case])):
        expected = forests[case].predict(probe)
        np.testing.assert_array_equal(run(program, case, probe).reshape(expected.shape), expected)


@needs_compiler
def test_no_events(forests, programs):
    assert run(programs[0], "linear", np.empty((0, 4))).size == 0


@needs_compiler
def test_names_and_checksum_survive(forests, programs):
    texts = subprocess.run([programs[0], "texts"], capture_output=True, check=True).stdout.decode().split("\0")[:-1]
    units, outputs = ("rad", "GeV", "GeV", "GeV"), ("a", "b")
    assert texts == [*NAMES, *units, *outputs, bit.__version__, as_document(forests["separate"])["sha256"]]


@needs_compiler
def test_fast_math_is_refused(forests, folder, programs):
    with pytest.raises(FileFormatError, match="compile without -ffast-math"):
        compile_cpp(folder / "main.cpp", folder / "fast", "-fsyntax-only", "-ffast-math")


@needs_compiler
def test_two_forests_of_one_name_clash_loudly(forests, tmp_path):
    for file, case in (("a", "one_tree"), ("b", "roots"), ("c", "one_tree")):
        to_cpp(forests[case], tmp_path / f"{file}.hpp")
    main = tmp_path / "main.cpp"
    main.write_text('#include "a.hpp"\n#include "c.hpp"\nint main() {}\n')
    compile_cpp(main, tmp_path / "same", "-fsyntax-only")
    main.write_text('#include "a.hpp"\n#include "b.hpp"\nint main() {}\n')
    with pytest.raises(FileFormatError, match="redefinition"):
        compile_cpp(main, tmp_path / "other", "-fsyntax-only")


def described(path):
    """The description in the comment of a header."""
    lines = [line.removeprefix("// ") for line in path.read_text().splitlines() if line.startswith("// ")]
    return json.loads("\n".join(lines[lines.index("{") : lines.index("}") + 1]))


def test_the_comment_says_what_it_is(forests, tmp_path):
    path = tmp_path / "forest.hpp"
    to_cpp(forests["positive"], path)
    text = path.read_text(encoding="ascii")
    assert "namespace observable {" in text
    assert "bit for bit" in text
    found = described(path)
    document = as_document(forests["positive"])
    for name in ("sha256", "version", "features", "outputs", "basis", "cp", "config"):
        assert found[name] == document[name]
    assert found["config"]["parameters"]["positive"] is True
    assert "before the projection" in found["holds"]


@pytest.mark.parametrize("name", ["", "a b", "1st", "a-b", "double", "std", "_a", "a__b", "é", "a::b", "a\n", "main"])
def test_names_that_are_none(forests, tmp_path, name):
    with pytest.raises(InputError, match="a C\\+\\+ identifier is needed") as error:
        to_cpp(forests["one_tree"], tmp_path / "a.hpp", name=name)
    assert list(tmp_path.iterdir()) == []
    # What the message proposes is accepted.
    proposed = re.search(r"such as '(\w+)'", str(error.value))[1]
    to_cpp(forests["one_tree"], tmp_path / "a.hpp", name=proposed)
    assert f"namespace {proposed} {{" in (tmp_path / "a.hpp").read_text()


# ---------------------------------------------------------------------- use
@needs_compiler
def test_example_reads_a_csv_file(forests, probes, tmp_path):
    """With a column that the forest does not know, and the others in another order."""
    forest, events = (
        replace(forests["symmetric"], feature_names=("phi", "m", "minus", "plus")),
        probes["symmetric"][-500:],
    )
    to_cpp(forest, tmp_path / "observable.hpp")
    (tmp_path / "example.cpp").write_text((Path(__file__).parent / "example.cpp").read_text(encoding="utf-8"))
    compile_cpp(tmp_path / "example.cpp", tmp_path / "example")
    table = np.column_stack([np.arange(500), events[:, ::-1]])
    file = tmp_path / "events.csv"
    np.savetxt(file, table, fmt="%.17g", delimiter=",", header="event,plus,minus,m,phi", comments="")
    done = subprocess.run([tmp_path / "example", file], capture_output=True, text=True, check=True)
    header, *lines = done.stdout.splitlines()
    assert header == "a,b,a*a,a*b,b*b"
    found = np.array([line.split(",") for line in lines], dtype=np.float64)
    np.testing.assert_array_equal(found, forest.predict(events))
    file.write_text("plus,minus,phi\n")
    done = subprocess.run([tmp_path / "example", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "the file has no column m\n")
