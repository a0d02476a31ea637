"""The shipped sample is the one that data/README.md describes."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

import bit
from bit.io.root import root_metadata
from bit.processes import zh

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def table():
    return bit.read_root(DATA / "zh.root", show_progress=False)


def test_checksums():
    sums = re.findall(r"`([0-9a-f]{64})`", (DATA / "README.md").read_text())
    files = [DATA / "zh.root", Path(bit.__file__).parent / "processes" / "pdfs" / "nnpdf31_lo_as_0118.npz"]
    assert sums == [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    assert (DATA / "zh.root").stat().st_size < 8 * 2**20


def test_sample_knows_how_it_was_made(table):
    configuration = root_metadata(DATA / "zh.root")["configuration"]
    assert (configuration["process"], configuration["n_events"], configuration["seed"]) == ("zh", 50_000, 1)
    assert table.n_events == 50_000
    assert table.basis.param_names == zh.PARAM_NAMES
    assert table.feature_names == zh.FEATURE_NAMES
    assert 0.6 <= table.n_eff / table.n_events <= 0.9


def test_weights_are_those_of_the_kinematics(table):
    names = ("sqrt_s", "y", "cos_theta", "cos_theta_l", "phi")
    truth = zh.ZH().differential_weights(*(table.column(name).astype(np.float64) for name in names)).sum(axis=0)
    ratio, expected = table.joint_ratio(), (truth[1:] / truth[0]).T
    # Features are stored in float32: six digits, of which the steep amplitudes lose one or two.
    assert (np.abs(ratio - expected) < 1e-4 * np.abs(expected).max(axis=0)).all()
