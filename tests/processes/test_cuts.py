import numpy as np
import pytest

from bit.errors import InputError
from bit.processes.cuts import parse_cuts

NAMES = ("pt", "y", "sqrt_s")


def test_passes():
    features = {"pt": np.array([100.0, 200.0, 300.0, 400.0, np.nan]), "y": np.array([0.0, 1.0, -3.0, -1.0, 0.0])}
    assert parse_cuts("pt>200, abs(y)<2.5", NAMES).passes(features).tolist() == [False, False, False, True, False]
    assert parse_cuts("pt >= 2e2", NAMES).passes(features).tolist() == [False, True, True, True, False]
    assert parse_cuts("abs( y )<=1.,y<.5", NAMES).passes(features).tolist() == [True, False, False, True, True]


@pytest.mark.parametrize("text", [None, "", "  ", ","])
def test_no_cuts(text):
    assert parse_cuts(text, NAMES).cuts == ()
    assert parse_cuts(text, NAMES).passes({"pt": np.array([np.nan, 1.0])}).all()


def test_window():
    cuts = parse_cuts("pt>200, pt<500, pt>100, y<1", NAMES)
    assert cuts.window("pt", 0.0, 13000.0) == (200.0, 500.0)
    assert cuts.window("sqrt_s", 216.0, 13000.0) == (216.0, 13000.0)


@pytest.mark.parametrize(
    "text", ["pt", "pt=200", "pt>200 and y<1", "__import__('os')>1", "pt>1+1", "1<pt", "pt>nan", "abs(pt>1"]
)
def test_not_understood(text):
    with pytest.raises(InputError, match="not understood"):
        parse_cuts(text, NAMES)


def test_unknown_feature():
    with pytest.raises(InputError, match="did you mean 'sqrt_s'"):
        parse_cuts("sqrts>500", NAMES)
