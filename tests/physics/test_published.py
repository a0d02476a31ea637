"""The table of published numbers: which sections it has, and how it is printed."""

import sys

import published
import pytest


def test_sections_are_chosen_by_words():
    assert published.chosen(None) == published.SECTIONS
    found = published.chosen(["vbf", "WZ"])
    assert 1 < len(found) < len(published.SECTIONS)
    assert all("VBF" in heading or "WZ" in heading for heading in found)


def test_unknown_section():
    with pytest.raises(SystemExit, match=r"no section with 'Table 99' in its heading.*\n.*Table 2 "):
        published.chosen(["VBF", "Table 99"])


def test_printed_table(monkeypatch, capsys):
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    monkeypatch.setattr(sys, "argv", ["published.py", "--events", "500", "--sections", "Table 3"])
    published.main()
    _, heading, _, names, _, *rows = capsys.readouterr().out.splitlines()
    assert heading == "**arXiv:2109.10414, Table 3 (ZH, Z exchange, fB = 0)**"
    assert names == "| quantity | published | reference | ours | error | scatter of the published |"
    assert len(rows) == 6
    assert rows[0].startswith("| a x (x+y): MSE | 0.0381 |  | 0.0")
    assert all(row.count("|") == names.count("|") for row in rows)
