"""Particles of vector-boson fusion in Les Houches records, and what is read back from them."""

import dataclasses

import numpy as np
import pytest

import bit
from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.particles import LHEEvents
from bit.processes import vbf
from bit.processes.hvv import Electroweak

pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")

EW = Electroweak()
THETA0 = {"cHW": 0.4, "cHWtil": -0.8}
CHARGE = {1: -1, 2: 2, 3: -1, 4: 2, 5: -1}


@pytest.fixture(scope="module", params=["W", "all"])
def simulation(request):
    return vbf.simulate(4000, seed=17, fusion=request.param, quarks="all", cuts="P", theta0=THETA0, show_progress=False)


@pytest.fixture(scope="module")
def events(simulation):
    return simulation.lhe_events()


@pytest.fixture(scope="module")
def up_down():
    return vbf.simulate(20_000, seed=18, cuts="P", theta0=THETA0, show_progress=False)


def by_event(values):
    return values.reshape(-1, 5, *values.shape[1:])


def charge(pdg):
    """Three times the charges of quarks and antiquarks."""
    return np.sign(pdg) * np.vectorize(CHARGE.get)(np.abs(pdg))


def selected(events, mask):
    rows = mask[np.repeat(np.arange(events.n_events), np.diff(events.offsets))]
    per_particle = ("pdg", "status", "mothers", "colour", "momenta", "mass", "spin")
    return LHEEvents(
        offsets=np.concatenate([[0], np.cumsum(np.diff(events.offsets)[mask])]),
        **{name: getattr(events, name)[rows] for name in per_particle},
    )


def test_momenta(events):
    momenta = by_event(events.momenta)
    balance = momenta[:, :2].sum(axis=1) - momenta[:, 2:].sum(axis=1)
    assert (np.abs(balance) <= 1e-12 * momenta[:, :2, :1].sum(axis=1)).all()
    assert (momenta[:, :2, 1:3] == 0.0).all()
    np.testing.assert_array_equal(momenta[:, 0, 3], momenta[:, 0, 0])
    np.testing.assert_array_equal(momenta[:, 1, 3], -momenta[:, 1, 0])
    squared = momenta[..., 0] ** 2 - (momenta[..., 1:] ** 2).sum(axis=-1)
    assert (np.abs(squared - by_event(events.mass) ** 2) <= 1e-12 * momenta[..., 0] ** 2).all()
    assert (by_event(events.mass) == [0.0, 0.0, EW.m_h, 0.0, 0.0]).all()
    # The common azimuth is flat.
    azimuth = np.arctan2(momenta[:, 3, 2], momenta[:, 3, 1])
    assert abs(np.exp(1j * azimuth).mean()) < 5 / np.sqrt(len(azimuth))


def test_flavours(simulation, events):
    pdg, fusion = by_event(events.pdg), simulation.configuration["fusion"]
    assert (by_event(events.status) == [-1, -1, 1, 1, 1]).all()
    assert (pdg[:, 2] == 25).all()
    incoming, outgoing = pdg[:, :2], pdg[:, 3:]
    np.testing.assert_array_equal(charge(incoming).sum(axis=1), charge(outgoing).sum(axis=1))
    # Each line stays in its generation and keeps its fermion number.
    np.testing.assert_array_equal(np.sign(incoming), np.sign(outgoing))
    np.testing.assert_array_equal((np.abs(incoming) + 1) // 2, (np.abs(outgoing) + 1) // 2)
    changed = (incoming != outgoing).all(axis=1)
    kept = (incoming == outgoing).all(axis=1)
    assert (changed | kept).all()
    assert changed.mean() > 0.5
    assert changed.all() if fusion == "W" else kept.mean() > 0.1
    assert (np.abs(incoming) == 5).any() == (fusion != "W")
    assert not (np.abs(incoming[changed]) == 5).any()


def test_colours(events):
    pdg, colour = by_event(events.pdg), by_event(events.colour)
    assert (colour[:, 2] == 0).all()
    for place, line in ((0, 501), (1, 502), (3, 501), (4, 502)):
        # Colour of quarks, anticolour of antiquarks.
        assert (colour[:, place, 0] == np.where(pdg[:, place] > 0, line, 0)).all()
        assert (colour[:, place, 1] == np.where(pdg[:, place] < 0, line, 0)).all()


def test_round_trip(simulation, events, tmp_path):
    path = tmp_path / "events.lhe"
    bit.write_lhe(path, events, show_progress=False)
    read = bit.read_lhe(
        path, features=vbf.features_of_particles, reference=simulation.table.basis.reference, show_progress=False
    )
    table = simulation.table
    assert read.feature_names == vbf.FEATURE_NAMES
    assert read.basis == table.basis
    size = np.abs(table.weights).max(axis=0)
    assert (np.abs(read.weights - table.weights) <= 1e-9 * size).all()
    angle = table.feature_names.index("dphi_jj")
    difference = np.abs(read.features - table.features)
    difference[:, angle] = np.minimum(difference[:, angle], 2 * np.pi - difference[:, angle])
    # float32, and momenta in the file with eleven digits.
    assert (difference <= 1e-6 * np.maximum(np.abs(table.features), 1.0)).all()


def test_channels_add_up(simulation):
    process = simulation.cube.process
    kinematics, _ = simulation.cube.phase_space(simulation.points[:300])
    monomials = simulation.cube.monomials
    channels, parts = process.channels(kinematics, monomials)
    assert len(set(channels)) == len(channels) == {"W": 16, "all": 48}[process.fusion]
    assert (parts >= 0.0).all()
    total = monomials @ process.differential_weights(kinematics)
    # Up to flux and phase space, which are those of every channel.
    at = kinematics
    x1, x2 = at.plus / vbf.SQRT_S_GEV, at.minus / vbf.SQRT_S_GEV
    ratio = total / (parts.sum(axis=0) * at.pt1 * at.pt2 / (x1 * x2) ** 2)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)


def test_flavours_in_proportion(simulation, events):
    # The chance of a flavour is its share of the density at the reference point, in each event.
    process = simulation.cube.process
    kinematics, _ = simulation.cube.phase_space(simulation.points)
    channels, parts = process.channels(kinematics, simulation.cube.monomials)
    share = parts / parts.sum(axis=0)
    incoming, outgoing = by_event(events.pdg)[:, :2], by_event(events.pdg)[:, 3:]
    for name, in_channel, drawn in (
        ("up quark ahead", [channel.ahead == 0 for channel in channels], np.isin(incoming[:, 0], (2, 4))),
        ("down antiquark behind", [channel.behind == 3 for channel in channels], np.isin(incoming[:, 1], (-1, -3, -5))),
        ("W", [channel.charged for channel in channels], (incoming != outgoing).all(axis=1)),
    ):
        chance = share[np.array(in_channel)].sum(axis=0)
        # The number is a sum of independent draws.
        error = np.sqrt((chance * (1 - chance)).clip(0.0).sum())
        assert abs(drawn.sum() - chance.sum()) <= 5 * error + 1e-9, name


def test_weights_average_to_those_of_the_sum_over_flavours(up_down):
    # With chances in proportion to w_f(theta0), the mean of w_f(theta)/w_f(theta0) is w(theta)/w(theta0).
    basis = PolynomialBasis(vbf.PARAM_NAMES)
    latent = vbf.weights_of_particles(up_down.lhe_events())
    at_point = latent @ basis.monomials(list(THETA0.values()))
    nominal = up_down.table.weights[:, 0]
    for theta in ([0.0, 0.0], [1.0, 0.5], [-1.0, 1.0]):
        one = latent @ basis.monomials(theta) / at_point
        other = up_down.table.at(theta) / nominal
        difference = nominal * (one - other)
        assert abs(difference.sum()) < 4 * np.sqrt((difference**2).sum())
        # They differ event by event: the flavour tells which jet comes from which parton.
        assert np.abs(one - other).max() > 1e-3


def test_up_and_down_alone(up_down):
    pdg = by_event(up_down.lhe_events().pdg)
    assert {tuple(row) for row in pdg.tolist()} == {(2, 1, 25, 1, 2), (1, 2, 25, 2, 1)}
    process = vbf.VBF("ud", fusion="neutral")
    cube = dataclasses.replace(up_down.cube, process=process, monomials=process.basis.monomials(np.zeros(6)))
    pdg = cube.particles(up_down.points[:200], np.random.default_rng(1)).pdg
    assert {tuple(row) for row in pdg.tolist()} == {(2, 1, 25, 2, 1), (1, 2, 25, 1, 2)}


def test_weights_do_not_depend_on_the_order_in_the_record(simulation, events):
    fusion = simulation.configuration["fusion"]
    found = vbf.weights_of_particles(events, fusion=fusion)
    order = (np.arange(events.n_events)[:, np.newaxis] * 5 + [1, 0, 4, 2, 3]).ravel()
    names = ("pdg", "status", "momenta", "mass")
    mixed = dataclasses.replace(events, **{name: getattr(events, name)[order] for name in names})
    again = vbf.weights_of_particles(mixed, fusion=fusion)
    np.testing.assert_allclose(again, found, rtol=1e-9, atol=1e-12 * np.abs(found).max(axis=0).min())
    features = vbf.features_of_particles(mixed)[0]
    np.testing.assert_allclose(features, vbf.features_of_particles(events)[0], rtol=1e-12, atol=1e-12)


def test_helicities_add_up(simulation, events):
    fusion = simulation.configuration["fusion"]
    total = vbf.weights_of_particles(events, fusion=fusion)
    parts = []
    for one in (-1.0, 1.0):
        for two in (-1.0, 1.0):
            spin = by_event(events.spin.copy())
            spin[:, 0], spin[:, 1] = one, two
            fixed = dataclasses.replace(events, spin=spin.ravel())
            parts.append(vbf.weights_of_particles(fixed, fusion=fusion, fixed_helicities=True))
    np.testing.assert_allclose(sum(parts), total, rtol=1e-12, atol=1e-13 * np.abs(total).max())
    with pytest.raises(InputError, match=r"4000 of 4000 events .* helicities"):
        vbf.weights_of_particles(events, fusion=fusion, fixed_helicities=True)


def test_either_jet_from_either_parton(events, simulation):
    if simulation.configuration["fusion"] != "all":
        pytest.skip("identical quarks need neutral fusion")
    incoming = by_event(events.pdg)[:, :2]
    alike = selected(events, incoming[:, 0] == incoming[:, 1])
    assert alike.n_events > 100
    swapped = by_event(np.arange(len(alike.pdg)))[:, [0, 1, 2, 4, 3]].ravel()
    other = dataclasses.replace(alike, momenta=alike.momenta[swapped])
    np.testing.assert_allclose(
        vbf.weights_of_particles(other, fusion="neutral"), vbf.weights_of_particles(alike, fusion="neutral"), rtol=1e-9
    )


def test_other_processes_are_refused(events, simulation):
    fusion = simulation.configuration["fusion"]
    for place, parton in ((0, 21), (3, 21), (2, 23), (4, 11)):
        pdg = by_event(events.pdg.copy())
        pdg[:3, place] = parton
        wrong = dataclasses.replace(events, pdg=pdg.ravel())
        with pytest.raises(InputError, match="3 of 4000 events are not q q' -> q q' H"):
            vbf.features_of_particles(wrong)
        with pytest.raises(InputError, match="first is event 0"):
            vbf.weights_of_particles(wrong, fusion=fusion)
    if fusion == "W":
        # u d -> d u H can be neutral fusion too, with the jets from the other partons.
        incoming, outgoing = np.sort(by_event(events.pdg)[:, :2]), np.sort(by_event(events.pdg)[:, 3:])
        count = (incoming != outgoing).any(axis=1).sum()
        assert 100 < count < 3900
        with pytest.raises(InputError, match=f"{count} of 4000 events are not of fusion='neutral'"):
            vbf.weights_of_particles(events, fusion="neutral")
    with pytest.raises(InputError, match="did you mean 'neutral'"):
        vbf.weights_of_particles(events, fusion="netral")


def test_a_decayed_higgs_boson(events):
    status = by_event(events.status.copy())
    status[:, 2] = 2
    decayed = dataclasses.replace(events, status=status.ravel())
    np.testing.assert_array_equal(vbf.features_of_particles(decayed)[0], vbf.features_of_particles(events)[0])


def test_particles_are_those_before_smearing():
    smeared = vbf.simulate(500, seed=20, cuts="P", smear=True, show_progress=False)
    features, names = vbf.features_of_particles(smeared.lhe_events())
    seen = smeared.table.column("pt_j1")
    ratio = features[:, names.index("pt_j1")] / seen
    # A resolution of 0.05 to 0.2.
    assert 0.05 < np.std(ratio) < 0.25
