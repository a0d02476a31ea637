"""Fixtures shared by all tests."""

import signal

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# Kernels compile at their first call, so a first example is slow: no deadline, and the same examples every time.
settings.register_profile("bit", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bit")


@pytest.fixture
def rng():
    return np.random.default_rng(20261121)


@pytest.fixture
def ctrl_c_works():
    """SIGINT raises KeyboardInterrupt, also where the tests run in the background, whose shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def threads_for_few_events(monkeypatch):
    """As many threads as asked for: the samples of tests are smaller than those for which threads pay."""
    monkeypatch.setattr("bit.trees.threads.CODES_PER_THREAD", 1)
