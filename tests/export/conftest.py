"""Forests of every kind, and the events on which their exports could go wrong; made once."""

import pytest
from reference.export_cases import make_forests

from bit.export.check import probe_events


@pytest.fixture(scope="session")
def forests():
    """Forest of each case, by name."""
    return make_forests()


@pytest.fixture(scope="session")
def probes(forests):
    """Events of each case: 1e5 of them, half at random, half thresholds, their neighbours and special values."""
    return {case: probe_events(forest, 100_000) for case, forest in forests.items()}
