import dataclasses
import json

import numpy as np
import pytest

from bit.errors import InputError
from bit.inference import (
    Breakdown,
    ContourResult,
    FitResult,
    GoodnessOfFit,
    Impacts,
    Information,
    Interval,
    LimitResult,
    ScanResult,
    ToyInterval,
)

INTERVAL = Interval("a", -np.inf, 2.0, 0.0, ((-np.inf, -1.0), (0.5, 2.0)), 0.95, "profiled", "quadratic")
LIMITS = LimitResult((INTERVAL,), 0.95, "profiled", "quadratic")
FIT = FitResult(("a", "b"), np.array([1.0, 2.0]), np.array([0.1, 0.0]), np.diag([0.01, 0.0]), ("b",), 1.5, True)
SCAN = ScanResult("a", ("a", "b"), np.arange(3.0), np.arange(3.0) ** 2, np.zeros((3, 2)), 0.0, "zero", "linear")
INFORMATION = Information(("a", "b"), np.diag([4.0, 25.0]), np.zeros(2), True)
GOODNESS = GoodnessOfFit(3.0, 2, 0.2, 0)
IMPACTS = Impacts("a", 0.1, 0.2, ("lumi",), np.zeros(1), np.ones(1), -np.ones(1), np.ones(1), "zero")
BREAKDOWN = Breakdown("a", 0.1, 0.5, 0.4, ("lumi",), np.array([0.3]), "zero")
TOYS = ToyInterval("a", np.arange(2.0), np.zeros(2), np.ones(2), np.ones(2), ((-np.inf, np.inf),), 0.95, 10, "zero")
CONTOUR = ContourResult(
    ("a", "b"), np.arange(2.0), np.arange(2.0), np.eye(2), (0.0, 1.0), (0.95,), (5.99,), "zero", "linear"
)
EVERY = [INTERVAL, LIMITS, FIT, SCAN, INFORMATION, GOODNESS, IMPACTS, BREAKDOWN, TOYS, CONTOUR]


@pytest.mark.parametrize("result", EVERY)
def test_results_are_frozen_and_become_json(result):
    written = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert written["kind"].startswith("bit-")
    assert set(written) == {"kind"} | {field.name for field in dataclasses.fields(result)}
    name = dataclasses.fields(result)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(result, name, None)


def test_infinite_ends_are_none_in_json():
    assert LIMITS.to_dict()["intervals"][0]["pieces"] == [[None, -1.0], [0.5, 2.0]]
    assert FIT.to_dict()["covariance"] == [[0.01, 0.0], [0.0, 0.0]]


def test_arrays_are_read_only_copies():
    values = np.array([1.0, 2.0])
    result = FitResult(("a", "b"), values, values, np.eye(2), (), 0.0, True)
    values[0] = 9.0
    assert result.values[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        result.values[0] = 3.0


def test_repr_is_readable():
    assert repr(INTERVAL) == "Interval(a in [-inf, -1] or [0.5, 2] at 95 % CL, others profiled, quadratic)"
    assert "95 % CL, others profiled, quadratic order" in repr(LIMITS)
    assert "+- 0.1" in repr(FIT)
    assert "fixed" in repr(FIT)
    assert "3 points from 0 to 2" in repr(SCAN)
    assert "rate and shape" in repr(INFORMATION)


def test_access_by_name():
    assert LIMITS["a"] is INTERVAL
    assert LIMITS.names == ("a",)
    assert INTERVAL.disconnected
    assert INFORMATION["b"] == 25.0
    assert INFORMATION.errors.tolist() == [0.5, 0.2]
    for result in (LIMITS, INFORMATION):
        with pytest.raises(InputError, match="'zz'"):
            result["zz"]
