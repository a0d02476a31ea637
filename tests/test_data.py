"""The shipped samples are those that data/README.md describes."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

import bit
from bit.io.root import root_metadata
from bit.processes import h4l, vbf, wz, zh
from bit.processes.registry import PROCESSES

DATA = Path(__file__).parents[1] / "data"
PDF = Path(bit.__file__).parent / "processes" / "pdfs" / "nnpdf31_lo_as_0118.npz"
# Events, options, effective share of events.
SAMPLES = {
    "zh": (50_000, {}, (0.6, 0.9)),
    "h4l": (20_000, {}, (0.85, 1.0)),
    "vbf": (25_000, {"fusion": "all", "quarks": "all", "cuts": "P"}, (0.9, 1.0)),
    "wz": (30_000, {"cuts": "boosted"}, (0.6, 0.9)),
}


@pytest.fixture(scope="module", params=SAMPLES)
def sample(request):
    return request.param, bit.read_root(DATA / f"{request.param}.root", show_progress=False)


def test_checksums():
    text = (DATA / "README.md").read_text()
    for file in [*(DATA / f"{name}.root" for name in SAMPLES), PDF]:
        row = next(line for line in text.splitlines() if f"{file.name}`" in line and line.startswith("|"))
        assert re.findall(r"`([0-9a-f]{64})`", row)[:1] == [hashlib.sha256(file.read_bytes()).hexdigest()], file
        assert file.stat().st_size < 7e6


def test_samples_know_how_they_were_made(sample):
    name, table = sample
    n_events, options, (least, most) = SAMPLES[name]
    made = root_metadata(DATA / f"{name}.root")["configuration"]
    assert (made["process"], made["n_events"], made["seed"]) == (name, n_events, 1)
    assert made["cuts"] == {"P": vbf.SELECTIONS["P"], "boosted": "pt>300"}.get(options.get("cuts"))
    assert table.n_events == n_events
    assert table.features.dtype == np.float32
    assert least <= table.n_eff / n_events <= most
    command = next(line for line in (DATA / "README.md").read_text().splitlines() if f"`{name}.root`" in line)
    assert f"bit simulate {name} -n {n_events} --seed 1" in command


def column_of(table):
    return {name: table.column(name).astype(np.float64) for name in table.feature_names}


def zh_terms(table):
    found = column_of(table)
    return zh.ZH().differential_weights(
        *(found[name] for name in ("sqrt_s", "y", "cos_theta", "cos_theta_l", "phi"))
    ).sum(axis=0).T, zh.PARAM_NAMES


def h4l_terms(table):
    found = column_of(table)
    m_h = h4l.Electroweak().m_h
    angles = (found["cos_theta1"], found["cos_theta2"], found["phi_4l"], np.zeros(table.n_events))
    leptons = h4l.decay(found["m12"], found["m34"], *angles, m_h)
    return h4l.H4L().squared_amplitudes(leptons), h4l.PARAM_NAMES


def vbf_terms(table):
    found = column_of(table)
    process = vbf.VBF("all", fusion="all")
    leads = found["eta_j1"] >= found["eta_j2"]
    (pt1, pt2), (y1, y2) = (
        (
            np.where(leads, found[f"{kind}_j1"], found[f"{kind}_j2"]),
            np.where(leads, found[f"{kind}_j2"], found[f"{kind}_j1"]),
        )
        for kind in ("pt", "eta")
    )
    m_h = process.electroweak.m_h
    kinematics = vbf.Kinematics.of(pt1, y1, pt2, y2, found["dphi_jj"], found["y_h"], m_h)
    return process.differential_weights(kinematics).T, vbf.NEUTRAL_PARAM_NAMES


def wz_terms(table):
    return wz.WZ().differential_weights(column_of(table)), wz.PARAM_NAMES


TERMS = {"zh": zh_terms, "h4l": h4l_terms, "vbf": vbf_terms, "wz": wz_terms}


def test_weights_are_those_of_the_kinematics(sample):
    name, table = sample
    terms, params = TERMS[name](table)
    basis = bit.PolynomialBasis(params)
    kept = [basis.index(term) for term in table.basis.terms]
    ratio, expected = table.joint_ratio(), terms[:, kept[1:]] / terms[:, :1]
    deviation = np.abs(ratio - expected) / np.abs(expected).max(axis=0)
    # Features are stored in float32: relative 6e-8, times a few hundred where amplitudes are steep, and more in
    # a single event where the amplitude of the Standard Model nearly vanishes.
    assert deviation.max() < 1e-4
    assert (deviation > 1e-5).any(axis=1).sum() <= 1


def test_moments_are_those_of_a_fresh_sample(sample):
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    name, table = sample
    _, options, _ = SAMPLES[name]
    made = PROCESSES[name].simulate(5000, seed=77, show_progress=False, **options)
    fresh = made.table.select(params=table.basis.param_names)
    for one, other in zip(table.weights.T, fresh.weights.T, strict=True):
        error = np.hypot(np.sqrt(len(one)) * one.std(), np.sqrt(len(other)) * other.std())
        error = np.hypot(error, made.sigma_error_fb / made.sigma_fb * abs(other.sum()) * np.sqrt(2))
        assert abs(one.sum() - other.sum()) < 5 * error
