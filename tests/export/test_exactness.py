"""Every format beside the forest, on random and on simulated events, from one tree to a thousand."""

from pathlib import Path

import numpy as np
import pytest
from reference.export_cases import EXACT, FORMATS, SUFFIX, WRITE

import bit
from bit.export.check import check_export, probe_events
from bit.processes.zh import CP_PARITY

DATA = Path(__file__).parents[2] / "data" / "zh.root"
KINDS = {
    "plain": {"terms": ["cHW", "cHWtil"]},
    "symmetric": {"terms": ["cHW", "cHWtil"], "cp_parity": CP_PARITY},
    "separate": {"terms": ["cHW", "cHq3"], "strategy": "separate"},
    "symmetric and separate": {"terms": ["cHW", "cHWtil"], "cp_parity": CP_PARITY, "strategy": "separate"},
}
# Trees, and how many random and how many simulated events.
SIZES = [
    (1, 100_000),
    (100, 10_000),
    pytest.param((100, 100_000), marks=pytest.mark.slow),
    pytest.param((1000, 100_000), marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def table():
    return bit.read_root(DATA, show_progress=False)


@pytest.fixture(scope="module")
def simulated(table):
    """The shipped events, and each once more measured to 2 %: doubles that are no float32 numbers."""
    rng = np.random.default_rng(11)
    features = table.features.astype(np.float64)
    return rng.permutation(np.concatenate([features, features * rng.normal(1.0, 0.02, features.shape)]))


@pytest.fixture(scope="module")
def trained(table):
    """Trees of each kind, trained when asked for."""
    found = {}

    def train(kind, n_trees):
        enough = 100 if n_trees <= 100 else 1000
        if (kind, enough) not in found:
            model = bit.BIT(enough, learning_rate=0.1, n_jobs=1, random_state=0, **KINDS[kind])
            found[kind, enough] = model.fit(table.take(np.arange(10_000))).forest_
        return found[kind, enough].first(n_trees)

    return train


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}-{size[1]}")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("to", FORMATS)
def test_exports_are_the_forest(trained, simulated, tmp_path, to, kind, size):
    n_trees, n_events = size
    forest, path = trained(kind, n_trees), tmp_path / f"model{SUFFIX.get(to, '')}"
    assert (forest.n_trees, forest.cp is not None) == (n_trees, "symmetric" in kind)
    WRITE[to](forest, path)
    for events in (probe_events(forest, n_events), simulated[:n_events]):
        found = check_export(forest, path, to, events)  # an error if it deviates by more than rounding explains
        assert found.n_events >= n_events
        scale = np.abs(forest.predict(events)).max()
        assert found.allowed <= {"correctionlib": 1e-11, **dict.fromkeys(EXACT, 0.0)}.get(to, 5e-3) * scale
