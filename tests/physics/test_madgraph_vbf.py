"""Ratios of weights, event by event, in a sample of MadGraph5_aMC@NLO with SMEFTsim.

10 000 events p p -> H q q, in the topU3l model with {mW, mZ, G_F} as input, generated at the Standard Model and
reweighted to 20 points in cHW, cHB, cHWB, cHbox and cHDD. They contain W fusion, fusion of neutral bosons and H V
production, with all interference.
"""

from pathlib import Path

import numpy as np
import pytest
from reference import higgs_and_quarks

from bit.basis import PolynomialBasis
from bit.io.lhe import read_lhe_particles
from bit.particles import LHEEvents
from bit.processes import vbf
from bit.processes.hvv import Electroweak

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "smeftsim_VBFH-1.lhe.gz"
pytestmark = pytest.mark.skipif(
    not SAMPLE.is_file(), reason="the MadGraph sample smeftsim_VBFH-1.lhe.gz is not beside the checkout"
)

VEV = (np.sqrt(2.0) * 1.166379e-5) ** -0.5
M_W, M_Z = 80.387, 91.1876
SIN2 = 1.0 - M_W**2 / M_Z**2
EW = Electroweak(e=2.0 * M_W / VEV * SIN2**0.5, sin2=SIN2, m_z=M_Z, m_w=M_W, m_h=125.09, vev=VEV)
# Weights have eight digits: the rounding of a ratio is below 3e-8.
TOLERANCE = 1e-7


@pytest.fixture(scope="module")
def sample():
    return read_lhe_particles(SAMPLE, show_progress=False)


@pytest.fixture(scope="module")
def partons(sample):
    """Rows of the incoming and outgoing quarks, shape (n_events, 4)."""
    strong = (np.abs(sample.pdg) <= 5) & (np.abs(sample.status) == 1)
    order = np.lexsort((sample.status, np.repeat(np.arange(sample.n_events), np.diff(sample.offsets))))
    return order[strong[order]].reshape(-1, 4)


def selected(events, mask):
    """Some of the events, with what `weights_of_particles` needs and the weights."""
    counts = np.diff(events.offsets)
    rows = np.repeat(mask, counts)
    per_particle = ("pdg", "status", "mothers", "colour", "momenta", "mass", "spin")
    return LHEEvents(
        offsets=np.concatenate([[0], np.cumsum(counts[mask])]),
        weight_ids=events.weight_ids,
        weights=events.weights[mask],
        **{name: getattr(events, name)[rows] for name in per_particle},
    )


def published_ratio(events, weight_id):
    column = events.weight_ids.index
    return events.weights[:, column(weight_id)] / events.weights[:, column("SM")]


def value_of(weight_id, names):
    """Coefficients of an id such as cHW_0p1_cHbox_0p1."""
    pieces = weight_id.split("_")
    given = {name: float(value.replace("p", ".")) for name, value in zip(pieces[::2], pieces[1::2], strict=True)}
    return np.array([given.get(name, 0.0) for name in names])


def generations(pdg):
    return (np.abs(pdg) + 1) // 2


@pytest.fixture(scope="module")
def pure(sample, partons):
    """Events that only W fusion, or only neutral fusion, can make: two generations, of which H V makes none.

    For W fusion both quarks change; for neutral fusion none does, and both have the same charge, so that no W links
    them.
    """
    incoming, outgoing = sample.pdg[partons[:, :2]], sample.pdg[partons[:, 2:]]
    different = generations(incoming[:, 0]) != generations(incoming[:, 1])
    kept = (np.sort(incoming) == np.sort(outgoing)).all(axis=1)
    alike = np.abs(incoming[:, 0]) % 2 == np.abs(incoming[:, 1]) % 2
    return {"W": selected(sample, different & ~kept), "neutral": selected(sample, different & kept & alike)}


def ratio_of(events, fusion, theta, **options):
    names = vbf.PARAM_NAMES if fusion == "W" else vbf.NEUTRAL_PARAM_NAMES
    weights = vbf.weights_of_particles(
        events, fusion=fusion, electroweak=EW, **{"gamma_z": EW.gamma_z, "fixed_helicities": True} | options
    )
    basis = PolynomialBasis(names)
    return weights @ basis.monomials(basis.as_theta(theta)) / weights[:, 0]


CASES = [("W", "cHW_0p1"), ("W", "cHW_0p2"), *(("neutral", f"{c}_0p{n}") for c in ("cHW", "cHB") for n in (1, 2))]


@pytest.mark.parametrize(("fusion", "weight_id"), [*CASES, ("neutral", "cHB_0p1_cHW_0p1")])
def test_fusion_event_by_event(pure, fusion, weight_id):
    events = pure[fusion]
    assert events.n_events > {"W": 1500, "neutral": 250}[fusion]
    names = ("cHW",) if fusion == "W" else ("cHW", "cHB")
    theta = dict(zip(names, value_of(weight_id, names).tolist(), strict=True))
    found, expected = ratio_of(events, fusion, theta), published_ratio(events, weight_id)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE)
    assert np.ptp(expected) > 1e-3


def test_factors_of_the_other_coefficients(pure):
    # cHbox rescales H, cHDD rescales H W W with -1/4.
    for fusion, weight_id, factor in (
        ("W", "cHbox_0p2", 1.0 + 0.2 * EW.vev2_per_tev2),
        ("neutral", "cHbox_0p2", 1.0 + 0.2 * EW.vev2_per_tev2),
        ("W", "cHDD_0p2", 1.0 - 0.05 * EW.vev2_per_tev2),
        ("W", "cHB_0p2", 1.0),
        ("W", "cHWB_0p2", 1.0),
    ):
        np.testing.assert_allclose(published_ratio(pure[fusion], weight_id), factor**2, rtol=TOLERANCE)


def test_what_the_comparison_needs(pure):
    events = pure["neutral"]
    expected = published_ratio(events, "cHW_0p2")
    for options in ({"fixed_helicities": False}, {"gamma_z": 0.0}):
        found = ratio_of(events, "neutral", {"cHW": 0.2}, **options)
        assert np.abs(found / expected - 1.0).max() > 1e-3
    # The shifts of the Z couplings in this scheme, which the simulation leaves out, are seen with cHWB.
    found = ratio_of(events, "neutral", {"cHWB": 0.1})
    assert 1e-3 < np.median(np.abs(found / published_ratio(events, "cHWB_0p1") - 1.0)) < 0.03


@pytest.fixture(scope="module")
def all_trees(sample, partons):
    """Products of amplitudes of `higgs_and_quarks`, shape (n_amplitudes, n_amplitudes, n_events)."""
    pdg, spin = sample.pdg[partons], sample.spin[partons].astype(int)
    kinds, number = np.unique(np.concatenate([pdg, spin], axis=1), axis=0, return_inverse=True)
    size = 1 + len(higgs_and_quarks.PARAM_NAMES)
    result = np.empty((size, size, sample.n_events))
    for index, kind in enumerate(kinds):
        rows = np.flatnonzero(number.ravel() == index)
        momenta = np.moveaxis(sample.momenta[partons[rows]], 0, 1)
        result[:, :, rows] = higgs_and_quarks.weights(kind[:4], kind[4:], momenta, EW)
    return result


def test_every_event_and_every_weight(sample, all_trees):
    # With s-channel H V, interference and the shifts of couplings all events agree.
    points = [weight_id for weight_id in sample.weight_ids if weight_id != "SM"]
    assert len(points) == 20
    for weight_id in points:
        theta = np.concatenate([[1.0], value_of(weight_id, higgs_and_quarks.PARAM_NAMES)])
        found = np.einsum("a,b,abn->n", theta, theta, all_trees) / all_trees[0, 0]
        np.testing.assert_allclose(found, published_ratio(sample, weight_id), rtol=TOLERANCE)


def test_features(sample, partons):
    features, names = vbf.features_of_particles(sample)
    at = dict(zip(names, features.T, strict=True))
    one, two = np.moveaxis(sample.momenta[partons[:, 2:]], 1, 0)
    total = one + two
    m_jj = np.sqrt(total[:, 0] ** 2 - (total[:, 1:] ** 2).sum(axis=1))
    # Eleven digits of the momenta, in a difference of squares.
    np.testing.assert_allclose(at["m_jj"], m_jj, rtol=1e-6)
    higgs = sample.momenta[sample.pdg == 25]
    np.testing.assert_allclose(at["pt_h"], np.hypot(higgs[:, 1], higgs[:, 2]), atol=1e-6)
    np.testing.assert_allclose(at["y_h"], np.arctanh(higgs[:, 3] / higgs[:, 0]), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(at["x_times"] ** 2, at["x1"] * at["x2"], rtol=1e-12)
