import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from reference import zh_spinors
from scipy.special import roots_legendre

import bit
from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.processes import zh
from bit.processes.currents import current, dot
from bit.processes.hvv import Electroweak

QUARKS = {"u": {"isospin": 0.5, "charge": 2 / 3}, "d": {"isospin": -0.5, "charge": -1 / 3}}
BASIS = PolynomialBasis(zh.PARAM_NAMES)


def random_angles(rng, n):
    return (
        rng.uniform(217.0, 4000.0, n),
        rng.uniform(-1.0, 1.0, n),
        rng.uniform(-1.0, 1.0, n),
        rng.uniform(-np.pi, np.pi, n),
    )


# ---------------------------------------------------------------------- amplitudes
@pytest.mark.parametrize(
    ("quark", "expected"),
    [
        ("u", [0.710319519184, 0.170068533824, 6.036974147408]),
        ("d", [0.686890724708, 0.163913584385, 5.840004762991]),
    ],
)
def test_reference_point(quark, expected):
    point = [np.array([value]) for value in (600.0, 0.4, -0.3, 0.8)]
    terms = zh.ZH(quarks=(quark,)).squared_amplitudes(*point)[0, :, 0]
    # The references have twelve decimals.
    np.testing.assert_allclose(terms[1:4] / terms[0], expected, rtol=1e-11)


@pytest.mark.parametrize("quark", ["u", "d"])
def test_agrees_with_spinors(rng, quark):
    point = random_angles(rng, 2000)
    fast = zh.ZH(quarks=(quark,)).squared_amplitudes(*point)[0].T
    slow = zh_spinors.squared_amplitudes(*point, **QUARKS[quark])
    # Single terms pass through 0; rounding scales with the largest value that they could have, sqrt(w_aa w_bb).
    size = np.sqrt(np.stack([slow[:, 0], *(slow[:, k] / 2 for k in (4, 7, 9))], axis=-1))
    pairs = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3)]
    bound = np.stack([size[:, a] * size[:, b] for a, b in pairs], axis=-1)
    # Cancellations in boosted spinors cost up to (sqrt(s)/mZ)^2 units of rounding.
    assert (np.abs(fast - slow) / bound).max() < 1e-12


def test_antiquark_along_z(rng):
    # The beams exchanged: turning the event around the y axis gives cosT -> -cosT, ph -> ph + pi.
    sqrt_s, cos_theta, cos_theta_l, phi = random_angles(rng, 100)
    process = zh.ZH()
    turned = process.squared_amplitudes(sqrt_s, -cos_theta, cos_theta_l, phi + np.pi)
    ew = Electroweak()
    quark, antiquark, _, minus, plus = zh_spinors.momenta(sqrt_s, cos_theta, cos_theta_l, phi, ew)
    for row, charges in enumerate(QUARKS.values()):
        nominal = 0.0
        for chirality in (-1, 1):
            for lepton, t3 in ((-1, -0.5), (1, 0.0)):
                coupling = ew.z_charge(charges["isospin"] if chirality < 0 else 0.0, charges["charge"])
                # Incoming quark along -z and antiquark along +z.
                contact = dot(current(quark, antiquark, chirality), current(minus, plus, lepton))
                nominal = nominal + np.abs(coupling * ew.z_charge(t3, -1.0) * contact) ** 2
        ratio = turned[row, 0] / (nominal / (sqrt_s**2 - ew.m_z**2) ** 2)
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-11)


def test_polynomial_is_a_square(rng):
    # w(theta) >= 0 for every theta: the form [[w0, w_a/2], [w_a/2, w_ab/2]] has no negative eigenvalue.
    terms = zh.ZH().squared_amplitudes(*random_angles(rng, 1000)).sum(axis=0).T
    assert smallest_eigenvalue(terms).min() > -1e-13


def smallest_eigenvalue(terms):
    """Smallest eigenvalue of the forms, each coefficient scaled to a diagonal of 1."""
    form = np.empty((len(terms), 4, 4))
    form[:, 0, 0] = terms[:, 0]
    form[:, 0, 1:] = form[:, 1:, 0] = terms[:, 1:4] / 2
    rows, columns = np.triu_indices(3)
    form[:, rows + 1, columns + 1] = form[:, columns + 1, rows + 1] = terms[:, 4:] / 2
    scale = 1 / np.sqrt(np.einsum("nii->ni", form))
    return np.linalg.eigvalsh(form * scale[:, :, None] * scale[:, None, :])[:, 0]


@pytest.mark.parametrize("theta", [[0.3, -0.3, 0.02], [-2.0, 5.0, 0.3]])
def test_polynomial_equals_direct_amplitude(rng, theta):
    # |M_0 + sum_a theta_a M_a|^2 from the complex helicity amplitudes, written as in arXiv:1706.01816.
    sqrt_s, cos_theta, cos_theta_l, phi = random_angles(rng, 500)
    ew = Electroweak()
    s, m_z, m_h = sqrt_s**2, ew.m_z, ew.m_h
    energy = (s + m_z**2 - m_h**2) / (2 * sqrt_s)
    k = np.sqrt(energy**2 - m_z**2)
    sin_theta, sin_theta_l = np.sqrt(1 - cos_theta**2), np.sqrt(1 - cos_theta_l**2)
    x = ew.vev**2 / 1e6
    leptons = {-1: ew.g_z * (-0.5 + ew.sin2), 1: ew.g_z * ew.sin2}
    c_hw, c_tilde, c_hq = theta
    process = zh.ZH()
    found = process.squared_amplitudes(sqrt_s, cos_theta, cos_theta_l, phi)
    for row, (t3, charge) in enumerate(((0.5, 2 / 3), (-0.5, -1 / 3))):
        total = 0.0
        for sigma in (-1, 1):
            isospin = t3 if sigma < 0 else 0.0
            coupling = ew.g_z * (isospin - charge * ew.sin2)
            d = coupling / (s - m_z**2) * 2 * x * ew.cos**2 + charge * ew.e * 2 * x * ew.sin * ew.cos / s
            common = coupling / (s - m_z**2) + ew.g_z * x * isospin * c_hq / m_z**2
            growth = 1 + (s - m_h**2) / m_z**2
            for tau, lepton in leptons.items():
                amplitude = (
                    -energy
                    * sqrt_s
                    * sin_theta
                    * sin_theta_l
                    * (common + 0.5 * (growth - 2 * k**2 * sqrt_s / (m_z**2 * energy)) * d * c_hw)
                )
                for lam in (-1, 1):
                    transverse = common + 0.5 * growth * d * c_hw - 1j * lam * k * sqrt_s / m_z**2 * d * c_tilde
                    decay = tau * (1 + lam * tau * cos_theta_l) * np.exp(1j * lam * phi) / np.sqrt(2)
                    amplitude = amplitude + (
                        m_z * sqrt_s * sigma * (1 + sigma * lam * cos_theta) / np.sqrt(2) * transverse * decay
                    )
                total = total + lepton**2 * np.abs(amplitude) ** 2
        total = total * (2 * m_z / ew.vev) ** 2 * 3 / (8 * np.pi) / sum(value**2 for value in leptons.values())
        np.testing.assert_allclose(found[row].T @ BASIS.monomials(theta), total, rtol=1e-11)


def test_integral_over_the_decay_is_the_stable_z():
    ew = Electroweak()
    nodes, node_weights = roots_legendre(8)
    phi = np.linspace(-np.pi, np.pi, 8, endpoint=False)
    cos_l, angle = (grid.ravel() for grid in np.meshgrid(nodes, phi))
    weights = np.tile(node_weights, 8) * 2 * np.pi / 8
    for sqrt_s, cos_theta in ((220.0, 0.1), (600.0, 0.4), (2000.0, -0.9)):
        point = (np.full(64, sqrt_s), np.full(64, cos_theta), cos_l, angle)
        integral = zh.ZH(quarks=("u",)).squared_amplitudes(*point)[0, 0] @ weights
        s = sqrt_s**2
        energy = (s + ew.m_z**2 - ew.m_h**2) / (2 * sqrt_s)
        pt2 = (energy**2 - ew.m_z**2) * (1 - cos_theta**2)
        couplings = ew.z_charge(0.5, 2 / 3) ** 2 + ew.z_charge(0.0, 2 / 3) ** 2
        stable = (2 * ew.m_z**2 / ew.vev) ** 2 * couplings * s / (s - ew.m_z**2) ** 2 * (2 + pt2 / ew.m_z**2)
        # Quadrature is exact for these polynomials; the polarisation sum of J.eps is s (2 mZ^2 + pT^2)/mZ^2.
        assert integral == pytest.approx(stable, rel=1e-12)


def test_branching_ratio():
    # mZ (gL^2 + gR^2)/(24 pi GammaZ) with e = 0.3028; with e at mZ it is near the measured 3.37 %.
    assert zh.ZH().branching_ratio == pytest.approx(0.03143, abs=2e-5)
    assert zh.ZH(electroweak=Electroweak(e=0.31345)).branching_ratio == pytest.approx(0.03366, abs=5e-5)


def test_angles_are_spanned_by_the_nine_functions(rng):
    _, cos_theta, cos_theta_l, phi = random_angles(rng, 400)
    sqrt_s, y = np.full(400, 700.0), np.full(400, 0.4)
    terms = zh.ZH().differential_weights(sqrt_s, y, cos_theta, cos_theta_l, phi).sum(axis=0)
    features = zh.features_of(sqrt_s, y, cos_theta, cos_theta_l, phi, sqrt_s)
    functions = np.stack([features[name] for name in zh.FEATURE_NAMES[6:]], axis=-1)
    coefficients, *_ = np.linalg.lstsq(functions, terms.T, rcond=None)
    residual = np.abs(functions @ coefficients - terms.T).max(axis=0) / np.abs(terms).max(axis=1)
    assert residual.max() < 1e-12
    # cHWtil enters through the three functions that are odd under reflection, and only through them.
    odd = [name.endswith("tilde") for name in zh.FEATURE_NAMES[6:]]
    sign = zh.CP_PARITY.term_sign(BASIS.terms)
    forbidden = np.not_equal.outer(np.array(odd), sign < 0)
    relative = np.abs(coefficients) / np.abs(coefficients).max(axis=0)
    assert relative[forbidden].max() < 1e-12
    assert (relative[~forbidden] > 1e-6).sum() > 20


@pytest.mark.parametrize("quarks", [("u",), ("d",), ("u", "d", "s", "c", "b")])
def test_reflection(rng, quarks):
    sqrt_s, cos_theta, cos_theta_l, phi = random_angles(rng, 500)
    y = rng.uniform(-1.0, 1.0, 500)
    process = zh.ZH(quarks=quarks, mu_f=91.1876)
    terms = process.differential_weights(sqrt_s, y, cos_theta, cos_theta_l, phi)
    mirrored = process.differential_weights(sqrt_s, y, cos_theta, cos_theta_l, -phi)
    sign = zh.CP_PARITY.term_sign(BASIS.terms)
    assert sign.tolist() == [1, 1, -1, 1, 1, -1, 1, 1, -1, 1]
    size = np.abs(terms).max(axis=2, keepdims=True)
    assert (np.abs(mirrored - sign[:, None] * terms) / size).max() < 1e-12


# ---------------------------------------------------------------------- simulation
@pytest.fixture(scope="module")
def simulation():
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    return zh.simulate(20_000, seed=11, cuts="pt>200", show_progress=False)


def test_table(simulation):
    table = simulation.table
    assert table.feature_names == zh.FEATURE_NAMES
    assert len(zh.FEATURE_NAMES) == 15
    assert table.units == ("GeV", "GeV", *[""] * 13)
    assert table.features.dtype == np.float32
    assert table.basis == BASIS
    assert table.basis.reference == (0.0, 0.0, 0.0)
    assert table.weights.shape == (20_000, 10)
    assert table.sigma_fb == pytest.approx(simulation.sigma_fb, rel=1e-12)
    assert 0.0 < simulation.sigma_error_fb < 2e-3 * simulation.sigma_fb
    assert (table.weights[:, 0] > 0.0).all()
    assert not table.aux


def test_effective_events(simulation):
    assert 0.6 <= simulation.table.n_eff / simulation.table.n_events <= 0.9


def test_tail_is_oversampled(simulation):
    energy, weight = simulation.table.column("sqrt_s"), simulation.table.weights[:, 0]
    tail = energy > 1000.0
    assert tail.mean() > 1.5 * weight[tail].sum() / weight.sum()


def test_cuts_hold(simulation):
    table = simulation.table
    assert table.column("pt").min() >= 200.0
    # The pT cut bounds sqrt(s) from below: sum of the transverse masses.
    assert table.column("sqrt_s").min() >= np.hypot(91.1876, 200.0) + np.hypot(125.1, 200.0) - 1e-3
    assert np.abs(table.column("phi")).max() <= np.float32(np.pi)
    assert np.abs(table.column("cos_theta")).max() <= 1.0


def test_every_event_is_positive(simulation):
    assert smallest_eigenvalue(simulation.table.weights).min() > -1e-13


def test_truth_is_a_function_of_the_features(simulation):
    table = simulation.table
    names = ("sqrt_s", "y", "cos_theta", "cos_theta_l", "phi")
    columns = [table.column(name).astype(np.float64) for name in names]
    again = zh.ZH().differential_weights(*columns).sum(axis=0).T
    ratio, expected = again / again[:, :1], table.weights / table.weights[:, :1]
    # float32 features: relative rounding 6e-8, amplified where an angle is near a pole or an interference near 0.
    relative = np.abs(ratio - expected) / np.abs(expected).max(axis=0)
    assert relative.max() < 1e-4
    assert np.median(relative) < 1e-6


def test_features_fit_together(simulation):
    table = simulation.table
    pt = zh.ZH().z_momentum(table.column("sqrt_s").astype(np.float64)) * np.sqrt(
        1.0 - table.column("cos_theta").astype(np.float64) ** 2
    )
    # float32, amplified by 1/(1 - cos^2) at most 1e3 in this sample.
    np.testing.assert_allclose(table.column("pt"), pt, rtol=1e-4)


def test_rate_is_even_in_phi(simulation):
    score = simulation.table.joint_ratio()[:, 1]
    weight = simulation.table.weights[:, 0]
    mean = weight @ score / weight.sum()
    error = np.sqrt((weight**2) @ (score - mean) ** 2) / weight.sum()
    assert abs(mean) < 5 * error


def test_same_seed_same_table(simulation):
    again = zh.simulate(20_000, seed=11, cuts="pt>200", show_progress=False)
    np.testing.assert_array_equal(again.table.features, simulation.table.features)
    np.testing.assert_array_equal(again.table.weights, simulation.table.weights)
    assert again.configuration == simulation.configuration
    other = zh.simulate(100, seed=12, cuts="pt>200", show_progress=False)
    assert not np.array_equal(other.table.features, simulation.table.features[:100])


@pytest.fixture(scope="module")
def moved():
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    options = {"cuts": "pt>200", "flavour": "latent", "show_progress": False}
    return zh.simulate(20_000, seed=12, theta0=THETA0, **options)


THETA0 = {"cHW": 0.3, "cHWtil": -0.2, "cHq3": -0.02}
CLOSURE_POINTS = ([0.0, 0.0, 0.0], [0.1, -0.2, 0.05])


def coordinates(table):
    names = ("sqrt_s", "y", "cos_theta", "cos_theta_l", "phi")
    return [table.column(name).astype(np.float64) for name in names]


def test_latent_flavour(moved):
    # Flavour by flavour the polynomial is that of the quark alone, and about the reference point of the sample.
    table = moved.table.rebase([0.0, 0.0, 0.0])
    assert set(np.unique(table.aux["flavour"])) == {1, 2}
    for quark, code in (("u", 2), ("d", 1)):
        own = table.take(np.flatnonzero(table.aux["flavour"] == code))
        terms = zh.ZH(quarks=(quark,)).differential_weights(*coordinates(own))[0].T
        difference = terms / terms[:, :1] - own.weights / own.weights[:, :1]
        # float32 features, see `test_truth_is_a_function_of_the_features`.
        assert (np.abs(difference) < 1e-4 * np.abs(terms / terms[:, :1]).max(axis=0)).all()


def test_flavours_are_drawn_in_proportion_to_their_weight(moved):
    table = moved.table
    by_flavour = BASIS.monomials(THETA0) @ zh.ZH().differential_weights(*coordinates(table))
    up = by_flavour[0] / by_flavour.sum(axis=0)
    # Given the kinematics the flavour is a Bernoulli variable.
    deviation = ((table.aux["flavour"] == 2) - up).sum() / np.sqrt((up * (1 - up)).sum())
    assert abs(deviation) < 4


def assert_same_rate(one, other, theta):
    """Sums of two tables at theta agree, in all and in bins of pT, within their errors."""
    first, second = one.at(theta), other.at(theta)
    edges = [200.0, 300.0, 500.0, np.inf]
    for low, high in [(200.0, np.inf), *pairwise(edges)]:
        a, b = (w[(t.column("pt") >= low) & (t.column("pt") < high)] for t, w in ((one, first), (other, second)))
        assert abs(a.sum() - b.sum()) < 4.5 * np.sqrt((a**2).sum() + (b**2).sum()), (theta, low)


def test_events_are_drawn_at_the_reference_point(simulation, moved):
    assert moved.table.basis.reference == (0.3, -0.2, -0.02)
    assert moved.configuration["theta0"] == THETA0
    assert moved.table.sigma_fb == pytest.approx(moved.sigma_fb, rel=1e-12)
    assert 0.6 <= moved.table.n_eff / moved.table.n_events <= 0.9
    for theta in (*CLOSURE_POINTS, THETA0):
        assert_same_rate(simulation.table, moved.table, theta)


@pytest.mark.slow
def test_closure_at_twenty_points(simulation):
    # Polynomials of one sample against samples drawn at each point: 80 differences within 4.5 standard errors.
    points = np.random.default_rng(7).uniform([-0.3, -0.3, -0.03], [0.3, 0.3, 0.03], (20, 3))
    for seed, theta in enumerate(points):
        direct = zh.simulate(20_000, seed=100 + seed, cuts="pt>200", theta0=theta, show_progress=False)
        assert_same_rate(simulation.table, direct.table, theta)
        assert direct.table.n_eff >= 0.6 * direct.table.n_events


def test_vertex_shift(rng):
    point = random_angles(rng, 500)
    shifted = zh.ZH(vertex_shift=True).squared_amplitudes(*point)
    for row, charges in enumerate(QUARKS.values()):
        slow = zh_spinors.squared_amplitudes(*point, **charges, vertex_shift=True)
        size = np.sqrt(slow[:, 0] * slow[:, 9] / 2)
        assert (np.abs(shifted[row, 3] - slow[:, 3]) / size).max() < 1e-12
        np.testing.assert_allclose(shifted[row, 9], slow[:, 9], rtol=1e-11)
    # The shift adds to the contact term: s - mZ^2 + mZ^2 in place of s - mZ^2.
    s = point[0] ** 2
    contact = zh.ZH().squared_amplitudes(*point)[:, 3]
    factor = s / (s - Electroweak().m_z ** 2)
    np.testing.assert_allclose(shifted[:, 3], contact * factor, rtol=1e-11)


# ---------------------------------------------------------------------- Les Houches events
def test_particles(simulation, moved):
    ew = Electroweak()
    for sample in (simulation, moved):
        events = sample.lhe_events()
        momenta, pdg = events.momenta.reshape(-1, 6, 4), events.pdg.reshape(-1, 6)
        np.testing.assert_allclose(momenta[:, :2].sum(axis=1), momenta[:, 3:].sum(axis=1), rtol=0, atol=1e-11)
        np.testing.assert_array_equal(momenta[:, 2], momenta[:, 4] + momenta[:, 5])
        mass2 = momenta[..., 0] ** 2 - (momenta[..., 1:] ** 2).sum(axis=-1)
        expected = np.array([0.0, 0.0, ew.m_z, ew.m_h, 0.0, 0.0]) ** 2
        assert (np.abs(mass2 - expected) < 1e-13 * momenta[..., 0].max() ** 2).all()
        assert (pdg[:, 0] == -pdg[:, 1]).all()
        assert (pdg[:, 2:] == [23, 25, 11, -11]).all()
        quark_is_faster = (momenta[:, 0, 0] > momenta[:, 1, 0]) == (pdg[:, 0] > 0)
        assert 0.6 < quark_is_faster.mean() < 0.9
        colour = events.colour.reshape(-1, 6, 2)
        assert (colour[pdg[:, 0] > 0][:, :2] == [[501, 0], [0, 501]]).all()
        assert not colour[:, 2:].any()
    assert (np.abs(pdg[:, 0]) == moved.table.aux["flavour"]).all()


@pytest.mark.parametrize("name", ["simulation", "moved"])
def test_round_trip_through_a_file(name, request, tmp_path):
    sample = request.getfixturevalue(name)
    bit.write_lhe(tmp_path / "zh.lhe", sample.lhe_events(), show_progress=False)
    table = bit.read_lhe(
        tmp_path / "zh.lhe",
        features=zh.features_of_particles,
        reference=sample.table.basis.reference,
        show_progress=False,
    )
    assert table.feature_names == zh.FEATURE_NAMES
    np.testing.assert_allclose(table.features, sample.table.features, rtol=2e-7, atol=1e-6)
    largest = np.abs(sample.table.weights).max(axis=0)
    assert (np.abs(table.weights - sample.table.weights) <= 1e-9 * largest).all()


def test_features_do_not_depend_on_order_or_azimuth(simulation):
    events = simulation.lhe_events()
    order = np.arange(len(events.pdg)).reshape(-1, 6)[:, [1, 0, 5, 3, 4, 2]].ravel()
    angle = np.repeat(np.random.default_rng(3).uniform(0, 2 * np.pi, len(events)), 6)
    momenta = events.momenta.copy()
    momenta[:, 1] = np.cos(angle) * events.momenta[:, 1] - np.sin(angle) * events.momenta[:, 2]
    momenta[:, 2] = np.sin(angle) * events.momenta[:, 1] + np.cos(angle) * events.momenta[:, 2]
    changes = {name: getattr(events, name)[order] for name in ("pdg", "status", "mothers", "colour", "mass")}
    turned = dataclasses.replace(events, momenta=momenta[order], lifetime=None, spin=None, **changes)
    np.testing.assert_allclose(
        zh.features_of_particles(turned)[0], zh.features_of_particles(events)[0], rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("vertex_shift", [False, True])
def test_weights_of_particles(moved, vertex_shift):
    # Currents of the momenta against helicity amplitudes of the angles to the quark.
    events = moved.lhe_events()
    found = zh.weights_of_particles(events, vertex_shift=vertex_shift)
    features, _ = zh.features_of_particles(events)
    sqrt_s, _, _, cos_theta, phi, cos_theta_l = features[:, :6].T
    first = events.pdg.reshape(-1, 6)[:, 0]
    ahead = first > 0
    process = zh.ZH(vertex_shift=vertex_shift)
    terms = process.squared_amplitudes(
        sqrt_s, np.where(ahead, cos_theta, -cos_theta), cos_theta_l, np.where(ahead, phi, phi + np.pi)
    )
    expected = np.where(np.abs(first) == 2, terms[0], terms[1]).T
    np.testing.assert_allclose(found[:, 0], expected[:, 0], rtol=1e-9)
    ratio, expected = found / found[:, :1], expected / expected[:, :1]
    assert (np.abs(ratio - expected) <= 1e-9 * np.abs(expected).max(axis=0)).all()


def test_other_events_are_refused(simulation):
    events = simulation.lhe_events()
    for place, code, what in ((4, 13, "one flavour"), (3, 23, "one Higgs boson"), (0, 21, "quark and antiquark")):
        pdg = events.pdg.copy()
        pdg[place + 12] = code
        with pytest.raises(InputError, match=rf"1 of 20000 events \(first: event 2\) are not .*{what}"):
            zh.weights_of_particles(dataclasses.replace(events, pdg=pdg))


def test_configuration(simulation):
    configuration = simulation.configuration
    assert configuration["seed"] == 11
    assert configuration["cuts"] == "pt>200"
    assert configuration["theta0"] == {"cHW": 0.0, "cHWtil": 0.0, "cHq3": 0.0}
    assert "1706.00428" in configuration["pdf"]


@pytest.mark.slow
def test_settings_matter():
    fixed = zh.simulate(200, seed=3, mu_f=91.1876, show_progress=False)
    strong = zh.simulate(200, seed=3, e=0.31345, show_progress=False)
    default = zh.simulate(200, seed=3, show_progress=False)
    # |M|^2 ~ e^2 and the branching ratio ~ e^2; errors of the integrals are 4e-4 each.
    assert strong.sigma_fb / default.sigma_fb == pytest.approx((0.31345 / 0.3028) ** 4, rel=3e-3)
    assert fixed.sigma_fb / default.sigma_fb == pytest.approx(1.0, abs=0.2)
    assert abs(fixed.sigma_fb - default.sigma_fb) > 10 * default.sigma_error_fb


def test_cut_on_two_features():
    table = zh.simulate(500, seed=3, cuts="sqrt_s>500, sqrt_s<600, abs(y)<1", show_progress=False).table
    assert 500.0 <= table.column("sqrt_s").min() < table.column("sqrt_s").max() <= 600.0
    assert np.abs(table.column("y")).max() < 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_events": 0}, "n_events=0"),
        ({"n_events": 2.5}, "n_events=2.5"),
        ({"seed": -1}, "seed=-1"),
        ({"mu_f": -5.0}, "mu_f=-5.0"),
        ({"mu_f": "sqrts"}, "mu_f='sqrts'"),
        ({"e": 0.0}, "e=0.0"),
        ({"e": float("nan")}, "e=nan"),
        ({"flavour": "sumed"}, "did you mean 'summed'"),
        ({"quarks": ("u", "t")}, "quarks name 't'"),
        ({"quarks": ()}, "at least one flavour"),
        ({"quarks": ("u", "u")}, "each once"),
        ({"theta0": [0.1, 0.2]}, "3 coefficients"),
        ({"theta0": [[0.1, 0.2, 0.3]]}, "one reference point"),
        ({"theta0": {"cHB": 1.0}}, "unknown coefficient 'cHB'"),
        ({"cuts": "pT>200"}, "did you mean 'pt'"),
        ({"cuts": "pt>7000"}, "leave no phase space"),
        ({"cuts": "pt>300, pt<200"}, "leave no phase space"),
        ({"cuts": "sqrt_s<200"}, "leave no phase space"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        zh.simulate(**{"n_events": 10, "seed": 1, "show_progress": False} | arguments)


def test_cuts_that_only_sampling_finds_empty():
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    with pytest.raises(InputError, match=r"y>50.*loosen the cuts"):
        zh.simulate(10, seed=1, cuts="y>50", show_progress=False)
