import re
from pathlib import Path

import pytest

from bit.errors import FileFormatError, InputError
from bit.io._weight_ids import parse_id
from bit.io.lhe import read_lhe_particles
from bit.io.reweight_card import read_reweight_card

PLACES = {("SMEFT", 5): "cHW", ("smeft", 7): "cHB"}

CARD = """\
# a comment
change rwgt_dir rwgt
change helicity False

launch --rwgt_name=SM
set smeft 5 0.0
set SMEFT 7 0
launch --rwgt_name=cHW_1p0 --rwgt_info=text   # comments end lines
   set param_card smeft 5 1.0D+00
launch
   set smeft 7 -2.5
   set param_card cHW 0.5
   set mass 25 0.0
"""


def save(tmp_path, text):
    path = tmp_path / "reweight_card.dat"
    path.write_text(text)
    return path


def test_points_in_the_order_of_the_card(tmp_path):
    points = read_reweight_card(save(tmp_path, CARD), PLACES)
    assert list(points) == ["SM", "cHW_1p0", "rwgt_3"]
    assert points["SM"] == {"cHW": 0.0, "cHB": 0.0}
    assert points["cHW_1p0"] == {"cHW": 1.0, "cHB": 0.0}
    assert points["rwgt_3"] == {"cHW": 0.5, "cHB": -2.5}


def test_a_coefficient_that_is_not_set_keeps_the_value_of_the_card(tmp_path):
    points = read_reweight_card(save(tmp_path, CARD), PLACES, defaults={"cHB": 0.3})
    assert points["SM"] == {"cHW": 0.0, "cHB": 0.0}
    assert points["cHW_1p0"] == {"cHW": 1.0, "cHB": 0.3}


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", FileFormatError, "no line 'launch'"),
        ("set smeft 5 1.0\nlaunch\n", FileFormatError, "line 1 .* is not understood"),
        ("launch\nset smeft 5\n", InputError, "line 2 .* coefficients has no name for smeft"),
        ("launch\nset smeft 5 1.0 2.0\n", FileFormatError, "line 2 .* is not understood"),
        ("launch\nset smeft five 1.0\n", FileFormatError, "line 2 .* is not understood"),
        ("launch\nset smeft 5 scan:[1,2]\n", FileFormatError, "line 2 .* is not understood"),
        ("launch\nset\n", FileFormatError, "line 2 .* is not understood"),
        ("lunch\n", FileFormatError, "line 1 .'lunch'. is not understood"),
        ("launch --rwgt_name=a\nlaunch --rwgt_name=a\n", FileFormatError, "'a' stands twice"),
        ("change model other\nlaunch\n", FileFormatError, "another process or model"),
        ("launch\nset smeft 6 1.0\n", InputError, "coefficients has no name for smeft 6"),
        ("launch\nset mt 173\n", InputError, "coefficients has no name for mt"),
    ],
)
def test_mistakes(tmp_path, text, kind, message):
    with pytest.raises(kind, match=message):
        read_reweight_card(save(tmp_path, text), PLACES)


def test_unknown_default(tmp_path):
    with pytest.raises(InputError, match=r"defaults name 'cHb'.*\['cHB', 'cHW'\]"):
        read_reweight_card(save(tmp_path, CARD), PLACES, defaults={"cHb": 1.0})


SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "smeftsim_VBFH-1.lhe.gz"


@pytest.mark.skipif(
    not SAMPLE.is_file(), reason="the MadGraph sample smeftsim_VBFH-1.lhe.gz is not beside the checkout"
)
def test_the_card_of_a_madgraph_sample_agrees_with_the_names_of_its_weights(tmp_path):
    # The header repeats the commands of the card for each weight; the sample names its weights by their values, too.
    events = read_lhe_particles(SAMPLE, show_progress=False)
    lines = []
    for name, text in zip(events.weight_ids, events.weight_texts, strict=True):
        commands = re.findall(r"set param_card \w+ \d+ \S+ # orig: \S+", text)
        lines += [f"launch --rwgt_name={name}", *commands]
    places = {("smeft", 8): "cHB", ("smeft", 5): "cHDD", ("smeft", 7): "cHW", ("smeft", 9): "cHWB"}
    places[("smeft", 4)] = "cHbox"
    points = read_reweight_card(save(tmp_path, "\n".join(lines)), places)
    assert list(points) == list(events.weight_ids)
    for name, point in points.items():
        assert {key: value for key, value in point.items() if value} == parse_id(name)
