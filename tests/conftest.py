"""Fixtures shared by all tests."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# Kernels compile at their first call, so a first example is slow: no deadline, and the same examples every time.
settings.register_profile("bit", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bit")


@pytest.fixture
def rng():
    return np.random.default_rng(20261121)
