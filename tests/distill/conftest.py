"""Events of the small problem of `reference.distilled_toy`, with and without noise."""

import pytest
from reference.distilled_toy import toy


@pytest.fixture(scope="session")
def table():
    return toy(2000, 1)


@pytest.fixture(scope="session")
def noisy():
    return toy(4000, 2, noise=0.3)
