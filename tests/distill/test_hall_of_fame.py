"""Halls of fame constructed here in PySR's format: what is read, what is refused, which of two copies counts."""

import numpy as np
import pytest

from bit.distill import read_hall_of_fame
from bit.errors import BitWarning, FileFormatError, InputError
from bit.expression.nodes import evaluate
from bit.expression.parse import parse

HEADER = "Complexity,Loss,Equation\n"
ROWS = '1,2.5,"0.25"\n3,0.125,"x0 * 1.5"\n8,0.0625,"((0.5 - x1) * x0) * sin(x1)"\n'
NAMES = ("x0", "x1")


def write(folder, text, name="hall_of_fame.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def only(folder, equation, names=NAMES):
    ((_, _, node),) = read_hall_of_fame(write(folder, f'{HEADER}5,0.1,"{equation}"\n'), names)
    return node


def test_rows_are_complexity_loss_and_tree(tmp_path):
    rows = read_hall_of_fame(write(tmp_path, HEADER + ROWS), NAMES)
    assert [row[:2] for row in rows] == [(1, 2.5), (3, 0.125), (8, 0.0625)]
    assert [row[2] for row in rows] == [parse(text, NAMES) for text in ("0.25", "x0*1.5", "(0.5 - x1)*x0*sin(x1)")]
    assert read_hall_of_fame(tmp_path, NAMES) == rows


def test_variables_are_translated(tmp_path):
    assert only(tmp_path, "x0 * x1", {"x0": "pt", "x1": "dphi"}) == parse("pt*dphi", ("pt", "dphi"))


def test_order_and_case_of_columns_do_not_matter(tmp_path):
    path = write(tmp_path, 'loss,equation,COMPLEXITY,Score\n0.5,"max(x0, x1)",3,0.0\n')
    assert read_hall_of_fame(path, NAMES) == [(3, 0.5, parse("max(x0, x1)", NAMES))]


def test_single_precision_numbers_of_julia(tmp_path):
    path = write(tmp_path, HEADER + '3,1.5f-3,"x0 * -2.5f-5"\n3,2.0e-3,"x0 + 1.0f0"\n')
    assert read_hall_of_fame(path, NAMES) == [
        (3, 1.5e-3, parse("x0 * -2.5e-5", NAMES)),
        (3, 2e-3, parse("x0 + 1.0", NAMES)),
    ]


@pytest.mark.parametrize(
    ("equation", "value"),
    [
        ("-1.5 ^ 2.0", 2.25),
        ("x0 + (-1.5 ^ 2.0)", 4.25),
        ("max(-1.5f0 ^ 2.0, x1)", 3.0),
        ("x0 - (1.5 ^ 2.0)", -0.25),
        ("-(x0) ^ 2.0", 4.0),
        ("x1 * (-(x0) ^ 2.0)", 12.0),
        ("x1 - (x0 ^ 2.0)", -1.0),
        ("neg(x0) ^ 2.0", 4.0),
        ("aq(x0, 0.0) + square(x1)", 11.0),
    ],
)
def test_signs_and_powers_mean_what_they_mean_in_pysr(tmp_path, equation, value):
    columns = {"x0": np.array([2.0]), "x1": np.array([3.0])}
    assert evaluate(only(tmp_path, equation), columns) == pytest.approx(value, rel=1e-15)


def test_the_copy_is_preferred_and_is_enough(tmp_path):
    path = write(tmp_path, HEADER + '1,9.0,"x1"\n')
    write(tmp_path, HEADER + ROWS, "hall_of_fame.csv.bak")
    rows = read_hall_of_fame(path, NAMES)
    assert len(rows) == 3
    path.unlink()
    assert read_hall_of_fame(path, NAMES) == read_hall_of_fame(tmp_path, NAMES) == rows


def test_a_cut_copy_gives_way_to_the_whole_file(tmp_path):
    path = write(tmp_path, HEADER + ROWS)
    write(tmp_path, (HEADER + ROWS)[:-12], "hall_of_fame.csv.bak")
    assert len(read_hall_of_fame(path, NAMES)) == 3


def test_a_line_that_is_cut_is_left_out(tmp_path):
    # Only the end of the last line may be missing.
    for n_cut in range(1, len(ROWS.splitlines(keepends=True)[-1]) + 1):
        rows = read_hall_of_fame(write(tmp_path, (HEADER + ROWS)[:-n_cut]), NAMES)
        assert len(rows) == (3 if n_cut == 1 else 2), n_cut
        assert rows[1] == (3, 0.125, parse("x0*1.5", NAMES))


@pytest.mark.parametrize("equation", ["x0 * (1.0 + 2.0im)", "x0 * 1.5f0im", "(0.5im) + x1"])
def test_complex_numbers_are_refused(tmp_path, equation):
    with pytest.raises(FileFormatError, match="complex numbers"):
        only(tmp_path, equation)


@pytest.mark.parametrize("equation", ["x2 + 1.0", "gamma(x0)", "x0 * Inf", "f = #1 + 1; g = #2", "__import__('os')"])
def test_formulas_that_cannot_be_read_are_left_out_with_a_warning(tmp_path, equation):
    path = write(tmp_path, HEADER + ROWS + f'9,0.01,"{equation}"\n')
    with pytest.warns(BitWarning, match="1 of 4 formulas are left out"):
        assert len(read_hall_of_fame(path, NAMES)) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no hall of fame"),
        ("pt,eta\n1.0,2.0\n", "no hall of fame"),
        (HEADER, "no formula that can be read"),
        (HEADER + '1,0.5,"gamma(x0)"\n', "gamma"),
        (HEADER + 'one,0.5,"x0"\n', "'one'"),
        (HEADER + '1,"x0"\n', "3 fields"),
        (HEADER + '1,0.5,"x0\n', "comma-separated"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    with pytest.raises(FileFormatError, match=message):
        read_hall_of_fame(write(tmp_path, text), NAMES)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_hall_of_fame(tmp_path / "hall_of_fame.csv", NAMES)
    with pytest.raises(InputError, match="name the folder of one run"):
        read_hall_of_fame(tmp_path, NAMES)


def test_one_of_several_targets_must_be_named(tmp_path):
    for number in (1, 2):
        write(tmp_path, HEADER + f'1,0.5,"x{number - 1}"\n', f"hall_of_fame_output{number}.csv")
    with pytest.raises(InputError, match=r"hall_of_fame_output1\.csv"):
        read_hall_of_fame(tmp_path, NAMES)
    assert read_hall_of_fame(tmp_path / "hall_of_fame_output2.csv", NAMES) == [(1, 0.5, parse("x1", NAMES))]
