import dataclasses
import math

import numpy as np
import pytest
from papers import h4l as papers
from reference import h4l_spinors

import bit
from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.particles import LHEEvents
from bit.processes import h4l
from bit.processes.currents import current, dot, levi_civita, spinor, spinor_product
from bit.processes.cuts import Cuts, parse_cuts
from bit.processes.detector import Detector, Response
from bit.processes.hvv import Electroweak, decay_structures, structures, weights_from_amplitudes
from bit.processes.pdf import load

BASIS = PolynomialBasis(h4l.PARAM_NAMES)
EW = Electroweak()
CHANNELS = ["2e2mu", "4e"]
ODD = slice(4, 7)
"""Columns of the linear terms of the CP-odd coefficients."""


def random_decay(rng, n, lowest=5.0):
    """Leptons in the rest frame, shape (4, n, 4), in no particular direction."""
    m1 = rng.uniform(lowest, EW.m_h - lowest, n)
    m2 = rng.uniform(lowest, EW.m_h - m1)
    cosines = rng.uniform(-1.0, 1.0, (3, n))
    angles = rng.uniform(-np.pi, np.pi, (3, n))
    leptons = h4l.decay(m1, m2, cosines[0], cosines[1], angles[0], angles[1], EW.m_h)
    return h4l.turned(leptons, cosines[2], angles[2])


def flavours(channel, n):
    """PDG identities of l-, l+, l-, l+."""
    pair1, pair2 = {"2e2mu": (11, 13), "4e": (11, 11), "4mu": (13, 13)}[channel]
    return np.tile(np.array([[pair1], [-pair1], [pair2], [-pair2]]), n)


def image(leptons):
    """Leptons after CP and half a turn about the y axis."""
    return leptons[[1, 0, 3, 2]] * [1.0, 1.0, -1.0, 1.0]


def largest_values(terms):
    """Values that terms of shape (n, 28) could have without cancellation, sqrt(w_aa w_bb)."""
    squares = [BASIS.terms.index(term) for term in ((), *((name, name) for name in h4l.PARAM_NAMES))]
    size = np.sqrt(terms[:, squares] / np.array([1.0, *[2.0] * 6]))
    rows, columns = np.triu_indices(7)
    return size[:, rows] * size[:, columns]


def smallest_eigenvalue(terms):
    """Of [[w0, w_a/2], [w_a/2, w_ab/2]] with unit diagonal, for terms of shape (n, 28)."""
    rows, columns = np.triu_indices(7)
    form = np.empty((len(terms), 7, 7))
    form[:, rows, columns] = form[:, columns, rows] = terms / np.where(rows + columns == 0, 1.0, 2.0)
    scale = 1 / np.sqrt(np.einsum("nii->ni", form))
    return np.linalg.eigvalsh(form * scale[:, :, None] * scale[:, None, :])[:, 0]


# ---------------------------------------------------------------------- amplitudes
# Momenta have ten decimals in GeV, so that ratios are good to about 1e-9.
PRINTED = 2e-9


def test_reference_points():
    terms = h4l.H4L().squared_amplitudes(h4l_spinors.POINTS)
    ratio = terms / terms[:, :1]
    np.testing.assert_allclose(terms[:, 0], [2.3883119609e-05, 2.9560202586e-07], rtol=PRINTED)
    np.testing.assert_allclose(ratio[0, ODD], [0.01608642965, -0.033440026269, 0.010581247658], rtol=PRINTED)
    np.testing.assert_allclose(ratio[1, ODD], [0.356226664012, 1.379956586835, -0.715359397779], rtol=PRINTED)
    np.testing.assert_allclose(ratio[0, 1:4], [-0.068394791201, 0.093009951188, -0.044334723977], rtol=PRINTED)
    squares = [BASIS.terms.index((name, name)) for name in ("cHWtil", "cHBtil", "cHWBtil")]
    np.testing.assert_allclose(ratio[0, squares], [0.0277005719, 0.0290954004, 0.0115245902], rtol=5e-9)


def test_reference_point_of_one_flavour():
    both, one = (h4l.H4L(channel).squared_amplitudes(h4l_spinors.POINTS)[0] for channel in CHANNELS)
    assert one[0] / both[0] == pytest.approx(0.2562523266, rel=PRINTED)
    np.testing.assert_allclose(one[ODD] / one[0], [0.017868873531, -0.02527979811, 0.005970800187], rtol=2 * PRINTED)


@pytest.mark.parametrize("first", [-1, 1])
@pytest.mark.parametrize("second", [-1, 1])
def test_structures_from_spinors(rng, first, second):
    leptons = random_decay(rng, 500)
    minus1, plus1, minus2, plus2 = leptons
    slow = structures(minus1 + plus1, current(minus1, plus1, first), minus2 + plus2, current(minus2, plus2, second))
    chi = spinor(leptons, 1)
    fast = decay_structures(*chi[[0, 1] if first > 0 else [1, 0]], *chi[[2, 3] if second > 0 else [3, 2]])
    for name, scale in (("sm", 1e4), ("even", 1e8), ("odd", 1e8)):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), atol=1e-14 * scale)


def test_spinor_products(rng):
    leptons = random_decay(rng, 500)
    chi = spinor(leptons, 1)
    product = spinor_product(chi[0], chi[2])
    np.testing.assert_array_equal(spinor_product(chi[2], chi[0]), -product)
    np.testing.assert_allclose(np.abs(product) ** 2, 2 * dot(leptons[0], leptons[2]), atol=1e-10)


@pytest.mark.parametrize("channel", CHANNELS)
def test_agrees_with_currents(rng, channel):
    leptons = random_decay(rng, 2000)
    fast = h4l.H4L(channel).squared_amplitudes(leptons)
    slow = weights_from_amplitudes(h4l_spinors.amplitudes(leptons, one_flavour=channel != "2e2mu"))
    # Soft and collinear leptons cost the currents a few digits.
    assert (np.abs(fast - slow) / largest_values(slow)).max() < 1e-10
    assert np.median(np.abs(fast - slow) / largest_values(slow)) < 1e-14


def test_scalar_products_without_width(rng):
    # With real propagators, in products of momenta alone: for equal chiralities |J1.J2|^2 = 16 (p1'.p2')(p1.p2) and
    # Re (J1.J2)* S_odd = -8 [(p1'.p2') + (p1.p2)] eps(p1', p2', p1, p2); for opposite ones p1 and p1' change places.
    ew = Electroweak(gamma_z=0.0)
    leptons = random_decay(rng, 500)
    p1, anti1, p2, anti2 = leptons
    q1, q2 = 2 * dot(p1, anti1), 2 * dot(p2, anti2)
    left, right = ew.z_charge(-0.5, -1.0), ew.z_charge(0.0, -1.0)
    nominal, linear = 0.0, 0.0
    for g1, g2, one, other in ((left, left, p1, anti1), (right, right, p1, anti1), (left, right, anti1, p1)):
        for a, b in {(g1, g2), (g2, g1)}:
            z1, z2 = a / (q1 - ew.m_z**2), b / (q2 - ew.m_z**2)
            standard = 2 * ew.m_z**2 / ew.vev * z1 * z2
            c2, s2 = 1 - ew.sin2, ew.sin2
            mixed = ew.sin * ew.cos * (-ew.e) * (z2 / q1 + z1 / q2)
            # cHBtil: C_ZZ = s^2, C_AZ = -2 s c, C_AA = c^2.
            tensor = -4e-6 * ew.vev * (s2 * z1 * z2 - mixed + c2 * ew.e**2 / (q1 * q2))
            nominal = nominal + standard**2 * 16 * dot(other, anti2) * dot(one, p2)
            odd = -8 * (dot(other, anti2) + dot(one, p2)) * levi_civita(other, anti2, one, p2)
            linear = linear + 2 * standard * tensor * odd
    terms = h4l.H4L(electroweak=ew).squared_amplitudes(leptons)
    np.testing.assert_allclose(terms[:, 0], nominal, rtol=1e-9)
    bound = largest_values(terms)[:, 5]
    np.testing.assert_allclose(terms[:, 5] / bound, linear / bound, atol=1e-11)


@pytest.mark.parametrize("channel", CHANNELS)
def test_polynomial_equals_direct_amplitude(rng, channel):
    leptons = random_decay(rng, 300)
    process = h4l.H4L(channel)
    amplitudes, _ = process.amplitudes(leptons)
    terms = process.squared_amplitudes(leptons)
    slow = h4l_spinors.amplitudes(leptons, one_flavour=channel != "2e2mu")
    for theta in rng.uniform(-30.0, 30.0, (5, 6)):
        scale = (np.abs(amplitudes[:, 0]) ** 2 + np.einsum("a,han->hn", theta**2, np.abs(amplitudes[:, 1:]) ** 2)).sum(
            0
        )
        for parts, digits in ((amplitudes, 1e-14), (slow, 1e-10)):
            direct = (np.abs(parts[:, 0] + np.einsum("a,han->hn", theta, parts[:, 1:])) ** 2).sum(axis=0)
            assert (np.abs(terms @ BASIS.monomials(theta) - direct) / scale).max() < 20 * digits


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_polynomial_is_positive(rng, channel):
    assert smallest_eigenvalue(h4l.H4L(channel).squared_amplitudes(random_decay(rng, 3000))).min() > -1e-13


@pytest.mark.parametrize("channel", CHANNELS)
def test_weights_do_not_depend_on_the_frame(rng, channel):
    leptons = random_decay(rng, 300)
    process = h4l.H4L(channel)
    here = process.squared_amplitudes(leptons)
    moved = h4l.boosted(leptons, rng.uniform(-1.0, 1.0, 300), rng.uniform(0.0, 50.0, 300), EW.m_h)
    assert (np.abs(process.squared_amplitudes(moved) - here) / largest_values(here)).max() < 1e-10


@pytest.mark.parametrize("exchange", [[2, 3, 0, 1], [0, 3, 2, 1], [2, 1, 0, 3]])
def test_identical_leptons_may_change_places(rng, exchange):
    leptons = random_decay(rng, 300)
    process = h4l.H4L("4mu")
    here, there = process.squared_amplitudes(leptons), process.squared_amplitudes(leptons[exchange])
    assert (np.abs(here - there) / largest_values(here)).max() < 1e-13
    share, other = process.amplitudes(leptons)[1], process.amplitudes(leptons[exchange])[1]
    np.testing.assert_allclose(other, share if exchange == [2, 3, 0, 1] else 1 - share, atol=1e-12)


@pytest.mark.parametrize("channel", CHANNELS)
def test_cp(rng, channel):
    leptons = random_decay(rng, 2000)
    process, sign = h4l.H4L(channel), h4l.CP_PARITY.term_sign(BASIS.terms)
    assert sign[:7].tolist() == [1, 1, 1, 1, -1, -1, -1]
    here, there = process.squared_amplitudes(leptons), process.squared_amplitudes(image(leptons))
    assert (np.abs(there - sign * here) / largest_values(here)).max() < 1e-12
    # Features are exact, with the pairs that are observed and for a Higgs boson in motion.
    y_h, pt_h = rng.uniform(-2.0, 2.0, 2000), rng.uniform(0.0, 50.0, 2000)
    both = [h4l.paired(at, flavours(channel, 2000), EW.m_z)[0] for at in (leptons, image(leptons))]
    here, there = (h4l.features_of(at, h4l.boosted(at, y_h, pt_h, EW.m_h)) for at in both)
    here, there = (np.stack(list(columns.values()), axis=-1) for columns in (here, there))
    np.testing.assert_array_equal(h4l.CP_PARITY.mirror(here, h4l.FEATURE_NAMES), there)


def test_couplings_cancel_in_the_score(rng):
    leptons = random_decay(rng, 100)
    weak, strong = (h4l.H4L(electroweak=Electroweak(e=e)).squared_amplitudes(leptons) for e in (0.3028, 0.31345))
    np.testing.assert_allclose(strong, weak * (0.31345 / 0.3028) ** 4, rtol=1e-9)


# ---------------------------------------------------------------------- kinematics and features
def test_decay(rng):
    point = [np.array([value]) for value in (89.0, 28.0, 0.3, -0.4, -2.44159, 0.0)]
    # The angle of the reference is given with six digits.
    np.testing.assert_allclose(h4l.decay(*point, EW.m_h)[:, 0], h4l_spinors.POINTS[:, 0], atol=1e-4)
    leptons = random_decay(rng, 500)
    np.testing.assert_allclose(dot(leptons, leptons), 0.0, atol=1e-10)
    np.testing.assert_allclose(leptons.sum(axis=0), np.broadcast_to([EW.m_h, 0, 0, 0], (500, 4)), atol=1e-11)


def test_features_from_four_vectors(rng):
    leptons = random_decay(rng, 500)
    y_h, pt_h = rng.uniform(-2.0, 2.0, 500), rng.uniform(0.0, 50.0, 500)
    seen = h4l.boosted(leptons, y_h, pt_h, EW.m_h)
    found = h4l.features_of(leptons, seen)
    minus1, plus1, minus2, plus2 = (momenta[:, 1:] for momenta in leptons)
    flight = minus1 + plus1
    normals = [np.cross(minus, plus) for minus, plus in ((minus1, plus1), (minus2, plus2))]
    n1, n2 = (normal / np.linalg.norm(normal, axis=1)[:, None] for normal in normals)
    angle = np.sign((flight * np.cross(n1, n2)).sum(axis=1)) * np.arccos(np.clip((n1 * n2).sum(axis=1), -1, 1))
    np.testing.assert_allclose(found["phi_4l"], angle, atol=1e-6)
    np.testing.assert_allclose(found["sin_phi"], np.sin(angle), atol=1e-6)
    np.testing.assert_allclose(found["cos_phi"], np.cos(angle), atol=1e-9)
    np.testing.assert_allclose(found["cos_theta_star"], flight[:, 2] / np.linalg.norm(flight, axis=1), atol=1e-12)
    for pair, (one, other) in (("12", leptons[:2]), ("34", leptons[2:])):
        np.testing.assert_allclose(found[f"m{pair}"] ** 2, dot(one + other, one + other), rtol=1e-9)
    for name, lepton in (("l1m", 0), ("l1p", 1), ("l2m", 2), ("l2p", 3)):
        energy, x, y, z = seen[lepton].T
        np.testing.assert_allclose(found[f"pt_{name}"] ** 2, x**2 + y**2, rtol=1e-12)
        np.testing.assert_allclose(np.tanh(found[f"eta_{name}"]), z / energy, atol=1e-9)
    # The leptons make a Higgs boson that moves as asked for.
    total = seen.sum(axis=0)
    np.testing.assert_allclose(dot(total, total), EW.m_h**2, rtol=1e-9)
    np.testing.assert_allclose(np.arctanh(total[:, 3] / total[:, 0]), y_h, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(total[:, 1], pt_h, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(total[:, 2], 0.0, atol=1e-10)


def test_angles_of_the_decay_are_found_again(rng):
    cosines, angles = rng.uniform(-1.0, 1.0, (2, 300)), rng.uniform(-np.pi, np.pi, (2, 300))
    m1, m2 = rng.uniform(60.0, 90.0, 300), rng.uniform(10.0, 30.0, 300)
    leptons = h4l.decay(m1, m2, *cosines, *angles, EW.m_h)
    found = h4l.features_of(leptons, leptons)
    for name, value in (("m12", m1), ("m34", m2), ("cos_theta1", cosines[0]), ("cos_theta2", cosines[1])):
        np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found["phi_4l"], angles[0], atol=1e-9)


def test_pairs_of_one_flavour(rng):
    leptons = random_decay(rng, 500)
    named, _ = h4l.paired(leptons, flavours("4mu", 500), EW.m_z)

    def mass(minus, plus):
        return np.sqrt(2 * dot(leptons[minus], leptons[plus]))

    distance = np.stack([np.abs(mass(minus, plus) - EW.m_z) for minus in (0, 2) for plus in (1, 3)])
    found = h4l.features_of(named, named)
    np.testing.assert_allclose(np.abs(found["m12"] - EW.m_z), distance.min(axis=0), atol=1e-9)
    # Negative leptons stay negative, and none is lost.
    for rows in ([0, 2], [1, 3]):
        np.testing.assert_array_equal(np.sort(named[rows], axis=0), np.sort(leptons[rows], axis=0))


def test_pairs_of_two_flavours(rng):
    leptons, pdg = random_decay(rng, 500), flavours("2e2mu", 500)
    named, flavour = h4l.paired(leptons, pdg, EW.m_z)
    found = h4l.features_of(leptons, leptons)
    exchanged = np.abs(found["m34"] - EW.m_z) < np.abs(found["m12"] - EW.m_z)
    assert 0 < exchanged.sum() < 500
    for row, other in enumerate((2, 3, 0, 1)):
        np.testing.assert_array_equal(named[row], np.where(exchanged[:, None], leptons[other], leptons[row]))
        np.testing.assert_array_equal(flavour[row], np.where(exchanged, pdg[other], pdg[row]))


def test_own_frame_undoes_the_motion(rng):
    leptons = random_decay(rng, 500)
    moved = h4l.boosted(leptons, rng.uniform(-2.0, 2.0, 500), rng.uniform(0.0, 50.0, 500), EW.m_h)
    np.testing.assert_allclose(h4l.in_own_frame(moved), leptons, atol=1e-10)


def seen_event(pt, eta, phi):
    pt, eta, phi = (np.array(values, dtype=float)[:, None] for values in (pt, eta, phi))
    return np.stack([pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"pt": (30, 20, 7.1, 5.1)}, True),
        ({"pt": (30, 20, 6.9, 5.1)}, True),
        ({"pt": (30, 6.9, 20, 8)}, False),
        ({"pt": (30, 20, 8, 4.9)}, False),
        ({"pt": (19.9, 19, 19, 19)}, False),
        ({"pt": (21, 9.9, 9.9, 9.9)}, False),
        ({"eta": (2.5, 0, 0, 0)}, False),
        ({"eta": (0, 0, -2.6, 0)}, True),
        ({"eta": (0, 0, -2.8, 0)}, False),
        ({"phi": (3.13, 0, 1.5, -3.13)}, False),
        ({"phi": (3.1, 0, 1.5, -3.1)}, True),
    ],
)
def test_acceptance(change, expected):
    event = {"pt": (30, 20, 15, 10), "eta": (0, 0, 0, 0), "phi": (0.0, 1.0, 2.0, 3.0)} | change
    electrons = np.array([[True], [True], [False], [False]])
    assert h4l.accepted(seen_event(**event), electrons).tolist() == [expected]


# ---------------------------------------------------------------------- phase space
def cube(channel="2e2mu", lowest=5.0):
    return h4l._Cube(h4l.H4L(channel), Cuts(), np.zeros(6), lowest, None, False)


def mean_and_error(values):
    return values.mean(), values.std() / math.sqrt(len(values))


def test_volume_of_phase_space():
    # Massless: (2 pi)^-8 (pi/2)^3 s^2/(3! 2!); the heavier pair is either one. Only the masses matter.
    points = np.full((4000, 50, 9), 0.5)
    points[..., 0], points[..., 1] = np.meshgrid(*((np.arange(n) + 0.5) / n for n in (4000, 50)), indexing="ij")
    _, jacobian = cube(lowest=1e-3).phase_space(points.reshape(-1, 9))
    assert 2 * jacobian.mean() == pytest.approx((2 * np.pi) ** -8 * (np.pi / 2) ** 3 * EW.m_h**4 / 12, rel=1e-2)


def test_both_pairings_are_counted(rng):
    # Without regard to the second resonance: the factor 1/4 of identical particles, and 2 for the heavier pair.
    points = rng.random((60_000, 9))
    cubic = cube("4e")
    leptons, jacobian = cubic.phase_space(points)
    squared = h4l.H4L("4e").squared_amplitudes(leptons)[:, 0]
    rate = h4l.SIGMA_H_FB / h4l.GAMMA_H_GEV / (2 * EW.m_h)
    possible = cubic._possible(cubic.observed(leptons, points))
    plain = np.where(possible, rate * squared * 2 * jacobian, 0.0)
    (mean, error), (expected, expected_error) = mean_and_error(cubic(points)[0]), mean_and_error(plain)
    assert expected_error < 0.08 * expected
    assert abs(mean - expected) < 4 * math.hypot(error, expected_error)


def test_motion_of_the_higgs_boson(rng):
    motion = h4l._Motion.of(EW.m_h / 2, 20.0, EW.m_h)
    y, pt = motion(rng.random(200_000), rng.random(200_000))
    grid = np.linspace(-4.6, 4.6, 2001)
    tau = EW.m_h / h4l.SQRT_S_GEV
    density = np.prod([load().xf((21,), tau * np.exp(sign * grid), EW.m_h / 2)[:, 0] for sign in (1, -1)], axis=0)
    expected = density @ grid**2 / density.sum()
    mean, error = mean_and_error(y**2)
    assert abs(mean - expected) < 4 * error + 1e-3
    # The median of pT/(pT^2 + scale^2)^2 is the scale.
    assert np.median(pt) == pytest.approx(20.0, rel=0.02)
    assert pt.max() <= 1000.0
    assert (h4l._Motion.of(EW.m_h / 2, 0.0, EW.m_h)(rng.random(9), rng.random(9))[1] == 0.0).all()


# ---------------------------------------------------------------------- simulation
def simulated(n_events, seed, **options):
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    return h4l.simulate(n_events, seed=seed, show_progress=False, **options)


@pytest.fixture(scope="module")
def at_rest():
    return simulated(10_000, 11)


@pytest.fixture(scope="module")
def one_flavour():
    return simulated(10_000, 12, channel="4e")


@pytest.fixture(scope="module")
def in_lab():
    return simulated(40_000, 13, frame="lab", acceptance=True)


@pytest.mark.parametrize("name", ["at_rest", "one_flavour", "in_lab"])
def test_table(name, request):
    simulation = request.getfixturevalue(name)
    table = simulation.table
    assert table.feature_names == h4l.FEATURE_NAMES
    assert dict(zip(table.feature_names, table.units, strict=True))["m12"] == "GeV"
    assert table.features.dtype == np.float32
    assert table.basis == BASIS
    assert table.weights.shape[1] == 28
    assert table.sigma_fb == pytest.approx(simulation.sigma_fb, rel=1e-12)
    assert 0.0 < simulation.sigma_error_fb < 4e-3 * simulation.sigma_fb
    assert (table.weights[:, 0] > 0.0).all()
    assert smallest_eigenvalue(table.weights).min() > -1e-13
    assert table.n_eff > 0.85 * table.n_events
    assert min(table.column("m12").min(), table.column("m34").min()) >= np.float32(5.0)


@pytest.mark.parametrize(("name", "channel"), [("at_rest", "2e2mu"), ("one_flavour", "4e"), ("in_lab", "2e2mu")])
def test_truth_is_a_function_of_five_features(name, channel, request):
    table = request.getfixturevalue(name).table
    five = ("m12", "m34", "cos_theta1", "cos_theta2", "phi_4l")
    columns = [table.column(feature).astype(np.float64) for feature in five]
    leptons = h4l.decay(*columns, np.zeros(table.n_events), EW.m_h)
    again = h4l.H4L(channel).squared_amplitudes(leptons)
    size = largest_values(again)
    relative = np.abs(again / size - table.weights / largest_values(table.weights))
    # float32 features: rounding of 6e-8, times what resonance and photon poles make of it.
    assert np.quantile(relative, 0.999) < 1e-4
    assert np.median(relative) < 1e-6


def test_leptons_of_the_table(in_lab, one_flavour):
    table = in_lab.table
    leptons, pdg = table.aux["leptons"].reshape(-1, 4, 4), table.aux["pdg"]
    total = leptons.sum(axis=1)
    np.testing.assert_allclose(dot(total, total), EW.m_h**2, rtol=1e-8)
    for lepton, name in enumerate(("l1m", "l1p", "l2m", "l2p")):
        np.testing.assert_allclose(table.column(f"pt_{name}"), np.hypot(*leptons[:, lepton, 1:3].T), rtol=1e-6)
    np.testing.assert_array_equal(np.sort(pdg, axis=1), np.broadcast_to([-13, -11, 11, 13], pdg.shape))
    np.testing.assert_array_equal(pdg[:, ::2], -pdg[:, 1::2])
    assert (one_flavour.table.aux["pdg"] == [11, -11, 11, -11]).all()
    electrons = np.abs(pdg).T == 11
    assert h4l.accepted(np.moveaxis(leptons, 0, 1), electrons).all()
    # Fewer electrons in the lighter pair: they need more transverse momentum.
    weight = table.weights[:, 0] / table.sigma_fb
    assert 0.3 < weight[electrons[2]].sum() < 0.48


def test_pairs_of_the_table(one_flavour):
    leptons = one_flavour.table.aux["leptons"].reshape(-1, 4, 4)
    masses = [np.sqrt(2 * dot(leptons[:, minus], leptons[:, plus])) for minus in (0, 2) for plus in (1, 3)]
    assert np.min(masses) >= 5.0 - 1e-9
    nearest = np.abs(np.array(masses) - EW.m_z).min(axis=0)
    np.testing.assert_allclose(np.abs(one_flavour.table.column("m12") - EW.m_z), nearest, atol=1e-4)


THETA0 = {"cHBtil": 0.5, "cHW": -1.0}


@pytest.fixture(scope="module")
def elsewhere():
    return simulated(10_000, 15, theta0=THETA0)


def sum_and_error(values):
    return values.sum(), math.sqrt(len(values)) * values.std()


def test_seed(at_rest, one_flavour):
    again = simulated(10_000, 11).table
    np.testing.assert_array_equal(again.features, at_rest.table.features)
    np.testing.assert_array_equal(again.weights, at_rest.table.weights)
    np.testing.assert_array_equal(again.aux["leptons"], at_rest.table.aux["leptons"])
    assert not np.array_equal(one_flavour.points, at_rest.points)


def test_reference_point(elsewhere, at_rest):
    table = elsewhere.table
    assert table.basis.reference == (-1.0, 0.0, 0.0, 0.0, 0.5, 0.0)
    assert elsewhere.configuration["theta0"] == dict.fromkeys(h4l.PARAM_NAMES, 0.0) | THETA0
    assert table.sigma_fb == pytest.approx(elsewhere.sigma_fb, rel=1e-12)
    assert (table.weights[:, 0] > 0.0).all()
    assert table.n_eff > 0.85 * table.n_events
    # The polynomials are those of the amplitudes, up to the flow.
    leptons = np.moveaxis(table.aux["leptons"].reshape(-1, 4, 4), 1, 0)
    expected = h4l.H4L().squared_amplitudes(leptons)
    found = BASIS.at_reference(THETA0).rebase(table.weights, np.zeros(6))
    relative = found / largest_values(found) - expected / largest_values(expected)
    assert np.abs(relative).max() < 1e-9
    # Both samples agree on the cross-sections at both reference points; at its own, each has that of the integral.
    for theta in (np.zeros(6), THETA0):
        one, other = (sum_and_error(simulation.table.at(theta)) for simulation in (elsewhere, at_rest))
        errors = [one[1], other[1], elsewhere.sigma_error_fb, at_rest.sigma_error_fb]
        assert abs(one[0] - other[0]) < 5 * np.linalg.norm(errors)


def pulls(table, direct):
    """Differences of a reweighted sample from one drawn at its point, in cells of features and standard errors."""
    theta, found = direct.basis.reference, []
    weight, other = table.at(theta), direct.weights[:, 0]
    for name, edges in (
        ("m12", [70, 90]),
        ("m34", [15, 25]),
        ("phi_4l", [-1.5, 0.0, 1.5]),
        ("cos_theta1", [-0.3, 0.3]),
    ):
        cells = [np.searchsorted(edges, sample.column(name)) for sample in (table, direct)]
        for cell in range(len(edges) + 1):
            (one, error1), (two, error2) = (
                sum_and_error(np.where(inside == cell, values, 0.0))
                for inside, values in zip(cells, (weight, other), strict=True)
            )
            found.append((one - two) / math.hypot(error1, error2))
    return np.array(found)


# 13 pulls beyond 4.5 standard errors: probability 9e-5.
LARGEST_PULL = 4.5


def test_closure(at_rest, elsewhere):
    assert np.abs(pulls(at_rest.table, elsewhere.table)).max() < LARGEST_PULL
    assert np.abs(pulls(elsewhere.table, at_rest.table)).max() < LARGEST_PULL


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_closure_of_random_points(at_rest, smeared, number):
    # Coefficients of a size that changes the rate by about one.
    theta = np.random.default_rng([5, number]).uniform(-1.0, 1.0, 6) * [2.0, 1.0, 1.5, 4.0, 1.0, 2.0]
    options = {"frame": "lab", "acceptance": True, "smear": True} if number % 2 else {}
    direct = simulated(10_000, 77 + number, theta0=theta, **options)
    assert np.abs(pulls((smeared if options else at_rest).table, direct.table)).max() < LARGEST_PULL


# ---------------------------------------------------------------------- detector
@pytest.fixture(scope="module")
def smeared():
    return simulated(10_000, 16, frame="lab", acceptance=True, smear=True)


def leptons_of(aux, name="leptons"):
    return np.moveaxis(aux[name].reshape(-1, 4, 4), 1, 0)


def detecting(channel="2e2mu", cuts="", acceptance=False, detector=None):
    """A cube with a detector."""
    motion = h4l._Motion.of(EW.m_h / 2, 20.0, EW.m_h)
    selection = parse_cuts(cuts, h4l.FEATURE_NAMES)
    return h4l._Cube(h4l.H4L(channel), selection, np.zeros(6), 5.0, motion, acceptance, detector or Detector())


@pytest.mark.parametrize("channel", CHANNELS)
def test_measured_leptons(rng, channel):
    cubic, points = detecting(channel, "m34>12", acceptance=True), rng.random((30_000, 23))
    points = points[cubic(points)[0] > 0.0]
    assert len(points) > 3000
    events = cubic.events(points)
    seen, true, pdg = leptons_of(events.aux), leptons_of(events.aux, "true_leptons"), events.aux["pdg"].T
    # Weights are those of the true leptons, features those of the measured ones.
    moving = cubic.process.squared_amplitudes(true)
    assert (np.abs(moving - events.terms) / largest_values(events.terms)).max() < 1e-9
    found = h4l.features_of(h4l.in_own_frame(seen), seen)
    for name, values in events.features.items():
        np.testing.assert_array_equal(values, found[name])
    electrons = np.abs(pdg) == 11
    assert h4l.accepted(seen, electrons).all()
    assert events.features["m34"].min() > 12.0
    total = true.sum(axis=0)
    np.testing.assert_allclose(dot(total, total), EW.m_h**2, rtol=1e-8)
    # Cuts and acceptance hold for what is measured only.
    assert not h4l.accepted(true, electrons).all()
    assert h4l.features_of(h4l.in_own_frame(true), true)["m34"].min() < 12.0
    # The pairs are those of the measured masses.
    distance = [np.abs(events.features[name] - EW.m_z) for name in ("m12", "m34")]
    assert (distance[0] <= distance[1]).all()


@pytest.mark.parametrize("channel", CHANNELS)
def test_resolution_of_the_leptons(rng, channel):
    n = 20_000
    points, detector, cubic = rng.random((n, 23)), Detector(), detecting(channel)
    observed = cubic.observed(cubic.phase_space(points)[0], points)
    # The measured leptons may be in other pairs.
    order = [
        np.argmin([np.linalg.norm((seen - true)[:, 1:], axis=1) for seen in observed.seen], axis=0)
        for true in observed.true_seen
    ]
    seen = np.take_along_axis(observed.seen, np.array(order)[:, :, None], axis=0)
    pt, energy = np.hypot(*np.moveaxis(observed.true_seen, -1, 0)[1:3]), observed.true_seen[..., 0]
    electrons = np.abs(observed.pdg) == 11
    sigma = np.where(electrons, detector.electrons.resolution(energy), detector.muons.resolution(pt))
    pull = (np.hypot(seen[..., 1], seen[..., 2]) / pt - 1.0) / sigma
    # Soft collinear leptons could be taken for each other, and sigma is small only above a few GeV.
    hard = (pt > 5.0).all(axis=0)
    pull = pull[:, hard].ravel()
    assert abs(pull.mean()) < 5 / math.sqrt(pull.size)
    assert abs(pull.std() - 1.0) < 5 / math.sqrt(2 * pull.size)


def test_flavours_follow_the_measured_pairs(rng):
    # Electrons as they are, muons so poor that pairs change their names: electrons are known by their momenta.
    cubic, points = (
        detecting(detector=Detector(electrons=Response(), muons=Response(constant=0.5))),
        rng.random((2000, 23)),
    )
    observed = cubic.observed(cubic.phase_space(points)[0], points)
    exchanged = observed.seen_pdg[0] != observed.pdg[0]
    assert 50 < exchanged.sum() < 1950
    for pdg in (11, -11):
        seen, true = (
            np.moveaxis(momenta, 1, 0)[(identities == pdg).T]
            for momenta, identities in ((observed.seen, observed.seen_pdg), (observed.true_seen, observed.pdg))
        )
        np.testing.assert_array_equal(seen, true)
    np.testing.assert_array_equal(cubic.events(points).aux["pdg"].T, observed.seen_pdg)
    np.testing.assert_array_equal(cubic.particles(points, rng).pdg[:, 1:].T, observed.pdg)


def test_perfect_detector_changes_nothing():
    points = np.random.default_rng(3).uniform(0.01, 0.99, (500, 23))
    motion = h4l._Motion.of(EW.m_h / 2, 20.0, EW.m_h)
    perfect = Detector(electrons=Response(), muons=Response())
    for channel in ("2e2mu", "4mu"):
        plain, measured = (
            h4l._Cube(h4l.H4L(channel), Cuts(), np.zeros(6), 5.0, motion, True, detector)
            for detector in (None, perfect)
        )
        assert (plain.n_dim, measured.n_dim) == (11, 23)
        np.testing.assert_array_equal(measured(points)[0], plain(points[:, :11])[0])
        here, there = plain.events(points[:, :11]), measured.events(points)
        np.testing.assert_array_equal(there.terms, here.terms)
        np.testing.assert_array_equal(there.aux["leptons"], here.aux["leptons"])
        np.testing.assert_array_equal(there.aux["true_leptons"], here.aux["leptons"])
        for name, values in here.features.items():
            np.testing.assert_allclose(there.features[name], values, rtol=1e-7, atol=1e-9)


@pytest.mark.slow
def test_simulated_detector(smeared):
    assert smeared.configuration["detector"]["muons"]["constant"] == 0.015
    assert smeared.table.n_eff > 0.85 * smeared.table.n_events
    assert (np.linalg.norm(smeared.table.aux["leptons"] - smeared.table.aux["true_leptons"], axis=1) > 0.0).all()


@pytest.mark.slow
def test_smearing_is_even_under_cp(smeared):
    weight, odd = smeared.table.weights[:, 0], smeared.table.weights[:, ODD]
    for values in (*(odd.T / weight), smeared.table.column("sin_phi")):
        mean = weight @ values / weight.sum()
        assert abs(mean) < 5 * np.sqrt(weight**2 @ (values - mean) ** 2) / weight.sum()


# ---------------------------------------------------------------------- Les Houches records
def few(simulation, n=200):
    """The first events of a simulation."""
    return dataclasses.replace(simulation, table=simulation.table.take(np.arange(n)), points=simulation.points[:n])


def read_back(simulation, tmp_path, reference):
    path = tmp_path / "events.lhe.gz"
    bit.write_lhe(path, simulation.lhe_events(), show_progress=False)
    return bit.read_lhe(path, features=h4l.features_of_particles, reference=reference, show_progress=False)


@pytest.mark.parametrize("name", ["at_rest", "one_flavour", "in_lab", "elsewhere"])
def test_les_houches_round_trip(name, request, tmp_path):
    simulation = few(request.getfixturevalue(name))
    for reference in (simulation.table.basis.reference, np.zeros(6)):
        table, again = simulation.table.rebase(reference), read_back(simulation, tmp_path, reference)
        assert again.feature_names == table.feature_names
        assert again.basis == table.basis
        assert np.abs(again.weights - table.weights).max() < 1e-9 * np.abs(table.weights).max()
        # float32 in the table; angles next to a pole of the frame amplify the rounding of momenta.
        np.testing.assert_allclose(again.features, table.features, rtol=2e-6, atol=2e-6)


def test_records_of_a_detector_hold_true_leptons(rng):
    cubic, points = detecting("4mu"), rng.random((500, 23))
    particles = cubic.particles(points, rng)
    true = leptons_of(cubic.events(points).aux, "true_leptons")
    np.testing.assert_array_equal(particles.momenta[:, 1:], np.moveaxis(true, 0, 1))
    np.testing.assert_allclose(particles.momenta[:, 0], true.sum(axis=0), rtol=1e-14)


@pytest.mark.parametrize("name", ["in_lab", "one_flavour"])
def test_weights_of_particles(name, request):
    simulation = few(request.getfixturevalue(name))
    found, expected = h4l.weights_of_particles(simulation.lhe_events()), simulation.table.weights
    assert np.abs(found / largest_values(found) - expected / largest_values(expected)).max() < 1e-9
    strong = h4l.weights_of_particles(simulation.lhe_events(), electroweak=Electroweak(e=0.31345))
    np.testing.assert_allclose(strong[:, 0] / found[:, 0], (0.31345 / 0.3028) ** 4, rtol=1e-9)


def record_of(events):
    """Events as lists of (pdg, status, momentum)."""
    particles = [particle for event in events for particle in event]
    return LHEEvents(
        offsets=np.cumsum([0, *(len(event) for event in events)]),
        pdg=[pdg for pdg, _, _ in particles],
        status=[status for _, status, _ in particles],
        mothers=np.zeros((len(particles), 2)),
        colour=np.zeros((len(particles), 2)),
        momenta=[momentum for _, _, momentum in particles],
    )


def test_particles_are_found_by_identity(rng):
    leptons = random_decay(rng, 3)
    moved = h4l.boosted(leptons, np.array([0.5, -1.0, 0.2]), np.array([10.0, 0.0, 30.0]), EW.m_h)
    plain, mixed = [], []
    for event, pair in enumerate(((11, 13), (13, 13), (11, 11))):
        ids = (pair[0], -pair[0], pair[1], -pair[1])
        found = [(pdg, 1, momentum) for pdg, momentum in zip(ids, moved[:, event], strict=True)]
        plain.append(found)
        jet, gluon = (21, 1, [50.0, 30.0, 0.0, 40.0]), (21, -1, [90.0, 0.0, 0.0, 90.0])
        mixed.append([gluon, found[2], (23, 2, [91.0, 0.0, 0.0, 0.0]), found[3], jet, found[1], found[0]])
    for function in (h4l.weights_of_particles, lambda events: h4l.features_of_particles(events)[0]):
        here, there = function(record_of(plain)), function(record_of(mixed))
        np.testing.assert_allclose(there, here, rtol=1e-10, atol=1e-10 * np.abs(here).max())
    expected = [h4l.H4L("2e2mu" if row == 0 else "4e").squared_amplitudes(leptons[:, [row]])[0] for row in range(3)]
    np.testing.assert_allclose(h4l.weights_of_particles(record_of(plain)), expected, rtol=1e-8)


@pytest.mark.parametrize("pdg", [(11, -11, 13), (11, -11, 13, -11), (11, 11, -13, -13), (15, -15, 11, -11)])
def test_other_events_are_refused(rng, pdg):
    momenta = random_decay(rng, 1)[:, 0]
    good = [(identity, 1, p) for identity, p in zip((11, -11, 13, -13), momenta, strict=True)]
    bad = [(identity, 1, p) for identity, p in zip(pdg, momenta, strict=False)]
    for function in (h4l.features_of_particles, h4l.weights_of_particles):
        with pytest.raises(InputError, match="2 of 3 events do not hold two pairs"):
            function(record_of([bad, good, bad]))


# ---------------------------------------------------------------------- published and reference numbers
@pytest.mark.slow
def test_cross_sections_of_seeds_scatter_by_their_error():
    results = [simulated(100, seed, channel="4mu") for seed in range(12)]
    sigma, error = (np.array([getattr(result, name) for result in results]) for name in ("sigma_fb", "sigma_error_fb"))
    pull = (sigma - np.average(sigma, weights=error**-2)) / error
    # chi2 with 11 degrees of freedom lies between 1.9 and 35 with probability 1 - 1e-3.
    assert 1.9 < (pull**2).sum() < 35


def test_widths(at_rest, one_flavour):
    # An independent leading-order calculation.
    width, ratio = papers.width(14), papers.flavour_ratio(one_flavour, at_rest)
    assert width.ours == pytest.approx(width.reference, rel=0.02)
    assert ratio.ours == pytest.approx(ratio.reference, rel=0.03)


def test_accepted_share(in_lab, at_rest):
    row = papers.accepted_share(in_lab, at_rest)
    assert row.ours == pytest.approx(row.reference, abs=0.01)


def test_shares_of_the_mass(in_lab):
    rows = list(papers.fraction_rows(in_lab.table))
    assert len(rows) == 7
    for row in rows:
        assert abs(row.ours - row.reference) < 0.001 + 4 * row.error, row


def test_asymmetries(in_lab):
    rows = list(papers.asymmetry_rows(in_lab.table))
    assert len(rows) == 21
    for row in rows:
        # The references are rounded and of a sample with statistics of its own.
        assert abs(row.ours - row.reference) < 5 * row.error + 0.03 * abs(row.reference) + 0.005, row


def test_asymmetry_of_one_flavour_is_opposite(one_flavour):
    row = papers.inversion(one_flavour.table)
    assert abs(row.ours - row.reference) < 5 * row.error + 0.05


def test_rate_is_even(at_rest):
    weight, odd = at_rest.table.weights[:, 0], at_rest.table.weights[:, ODD]
    for values in (*(odd.T / weight), at_rest.table.column("sin_phi")):
        mean = weight @ values / weight.sum()
        assert abs(mean) < 5 * np.sqrt(weight**2 @ (values - mean) ** 2) / weight.sum()


def test_limits(in_lab):
    # The angle, angle and mass, and the score, in comparison with Table I of arXiv:2112.05052.
    n_expected, *found = papers.limits(papers.selected(in_lab.table))
    assert 70 < n_expected < 95
    expected = [reference for values in papers.LIMITS.values() for _, reference in values]
    for value, reference in zip(found, expected, strict=True):
        # The angle alone says nothing about cHWtil: regions of the mass cancel.
        assert value > 20 if reference is None else value == pytest.approx(reference, rel=0.12)


# ---------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_events": 0}, "n_events=0"),
        ({"seed": -1}, "seed=-1"),
        ({"e": 0.0}, "e=0.0"),
        ({"channel": "2e2m"}, "did you mean '2e2mu'"),
        ({"frame": "labs"}, "did you mean 'lab'"),
        ({"m_ll_min": 0.0}, "m_ll_min=0.0"),
        ({"m_ll_min": 70.0}, "m_ll_min=70.0"),
        ({"pt_scale": -1.0}, "pt_scale=-1.0"),
        ({"mu_f": -5.0}, "mu_f=-5.0"),
        ({"mu_f": 60.0}, "mu_f has no meaning for frame='rest'"),
        ({"acceptance": True}, "acceptance has no meaning for frame='rest'"),
        ({"smear": True}, "smear has no meaning for frame='rest'"),
        ({"smear": "atlas", "frame": "lab"}, "smear='atlas'"),
        ({"theta0": [0.1]}, "6 coefficients"),
        ({"theta0": {"cHWtild": 1.0}}, "did you mean 'cHWtil'"),
        ({"cuts": "m_12>20"}, "did you mean 'm12'"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        h4l.simulate(**{"n_events": 10, "seed": 1, "show_progress": False} | arguments)


def test_cuts_that_leave_nothing():
    with pytest.raises(InputError, match=r"m34>70.*loosen the cuts"):
        simulated(10, 1, cuts="m34>70")
