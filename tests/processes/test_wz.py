import functools
import itertools

import numpy as np
import pytest
from reference import wz_amplitudes
from scipy.special import roots_legendre

import bit
from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.particles import LHEEvents
from bit.processes import wz
from bit.processes.currents import dot
from bit.processes.hvv import Electroweak, weights_from_amplitudes
from bit.processes.wz_amplitudes import WZAmplitudes, after_decay, decay, high_energy_amplitudes

EW = Electroweak()
AMPLITUDES = WZAmplitudes()
BASIS = PolynomialBasis(wz.PARAM_NAMES)
NINE = wz.FEATURE_NAMES[:9]
POINT = np.array(
    [
        [298.7785598961, 292.8689638173, 18.7786172198, 56.0692555816],
        [200.2601223298, 177.0340344665, -18.7786172198, 91.7084007677],
        [151.9622213208, -145.0605531086, 37.2412455177, -25.7496072372],
        [348.9990964533, -324.8424451752, -37.2412455177, -122.0280491121],
    ]
)
"""l+, nu, l-, l+ of a W+ Z event at sqrt(s) = 1 TeV, cos T = 0.3; (E, px, py, pz) in GeV."""
REFERENCE = [2.181897120911, 14.188687522878]


def record_of(leptons, pdg, quarks=(2, -1), status=1):
    """One event of given leptons, shape (4, 4), with partons along z that make them."""
    total = leptons.sum(axis=0)
    ahead, behind = (total[0] + total[3]) / 2, (total[0] - total[3]) / 2
    partons = [[ahead, 0, 0, ahead], [behind, 0, 0, -behind]]
    return LHEEvents(
        offsets=[0, 6],
        pdg=[*quarks, *pdg],
        status=[-1, -1, *[status] * 4],
        mothers=np.zeros((6, 2)),
        colour=np.zeros((6, 2)),
        momenta=np.concatenate([partons, leptons]),
    )


def random_points(rng, n, low=175.0, high=4000.0):
    values = {name: rng.uniform(-1.0, 1.0, n) for name in NINE}
    values["sqrt_s"] = rng.uniform(low, high, n)
    values |= {name: rng.uniform(-np.pi, np.pi, n) for name in ("phi_w", "phi_z")}
    values["charge"] = rng.choice([-1.0, 1.0], n)
    return values


def squared(points):
    return AMPLITUDES.squared_amplitudes(
        *(points[name] for name in ("sqrt_s", "cos_theta", "cos_theta_w", "cos_theta_z", "phi_w", "phi_z", "charge"))
    )


def largest(terms):
    """Largest values that the terms could have, sqrt(w_aa w_bb): rounding scales with them, as terms pass through 0."""
    size = np.sqrt(np.stack([terms[:, 0], terms[:, 3] / 2, terms[:, 5] / 2], axis=-1))
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    return np.stack([size[:, a] * size[:, b] for a, b in pairs], axis=-1)


def assert_same_but_for_rounding(found, expected, momenta):
    """Equal, but for the digits that four-momenta lose: (E/mW)^2 in masses, and as many in the gauge cancellations."""
    relative = np.abs(found - expected) / largest(expected)
    energy = momenta[..., 0].max(axis=-1)
    lost = np.finfo(np.float64).eps * (1.0 + energy / AMPLITUDES.m_w) ** 4
    assert (relative.max(axis=1) < 100.0 * lost).all()
    assert np.median(relative) < 1e-12


def forms(terms):
    """Matrix T of w(theta) = (1, theta) T (1, theta)^t for each event."""
    form = np.empty((len(terms), 3, 3))
    form[:, 0, 0] = terms[:, 0]
    form[:, 0, 1:] = form[:, 1:, 0] = terms[:, 1:3] / 2
    rows, columns = np.triu_indices(2)
    form[:, rows + 1, columns + 1] = form[:, columns + 1, rows + 1] = terms[:, 3:] / 2
    return form


def assert_positive(terms):
    """No form has an eigenvalue below -1e-10 of its trace, with and without a common scale of the coefficients."""
    form = forms(terms)
    scale = 1 / np.sqrt(np.einsum("nii->ni", form))
    for matrix in (form, form * scale[:, :, None] * scale[:, None, :]):
        assert (np.linalg.eigvalsh(matrix)[:, 0] >= -1e-10 * np.einsum("nii->n", matrix)).all()


# ---------------------------------------------------------------------- amplitudes
def test_reference_point():
    event = record_of(POINT, [-11, 12, 13, -13])
    terms = wz.weights_of_particles(event)[0]
    np.testing.assert_allclose(terms[1:3] / terms[0], REFERENCE, rtol=1e-9)
    values, names = wz.features_of_particles(event, neutrino="known")
    points = dict(zip(names, values.T, strict=True))
    assert points["sqrt_s"][0] == pytest.approx(1000.0, rel=1e-12)
    assert points["cos_theta"][0] == pytest.approx(0.3, abs=1e-11)
    fast = squared(points)[0]
    # Momenta with ten decimals leave the masses of the bosons uncertain by 1e-9.
    np.testing.assert_allclose(fast[1:3] / fast[0], REFERENCE, rtol=1e-9)
    np.testing.assert_allclose(fast, terms, rtol=1e-8)


def test_reference_point_from_diagrams():
    lepton, neutrino, minus, plus = POINT
    partons = np.array([[500.0, 0, 0, 500], [500.0, 0, 0, -500]])
    of_w = wz_amplitudes.line(neutrino, lepton, -1)
    amplitudes = [
        coupling
        * wz_amplitudes.amplitudes(
            *partons, lepton + neutrino, minus + plus, of_w, wz_amplitudes.line(minus, plus, h), 1, EW
        )
        for h, coupling in zip((-1, 1), AMPLITUDES.lepton_charges, strict=True)
    ]
    terms = weights_from_amplitudes(np.array(amplitudes))
    np.testing.assert_allclose(terms[1:3] / terms[0], REFERENCE, rtol=1e-9)


@pytest.mark.parametrize("charge", ["plus", "minus"])
def test_weights_agree_with_diagrams(rng, charge):
    # All features at random, through momenta in the laboratory, against Dirac matrices.
    cube = cube_of(charge=charge, neutrino="known")
    points = rng.random((40, 7))
    features, _ = cube.phase_space(points)
    particles = cube.particles(points, rng)
    partons, leptons = particles.momenta[:, :2], particles.momenta[:, 4:]
    expected = np.empty((40, 6))
    quark_first = particles.pdg[:, 0] > 0
    for row in range(40):
        k1, k2 = partons[row] if quark_first[row] else partons[row, ::-1]
        lepton, neutrino, minus, plus = leptons[row]
        fermion, antifermion = (neutrino, lepton) if charge == "plus" else (lepton, neutrino)
        of_w = wz_amplitudes.line(fermion, antifermion, -1)
        sign = 1 if charge == "plus" else -1
        amplitudes = [
            coupling
            * wz_amplitudes.amplitudes(
                k1, k2, lepton + neutrino, minus + plus, of_w, wz_amplitudes.line(minus, plus, h), sign, EW
            )
            for h, coupling in zip((-1, 1), AMPLITUDES.lepton_charges, strict=True)
        ]
        expected[row] = weights_from_amplitudes(np.array(amplitudes))
    left, right = AMPLITUDES.lepton_charges
    expected *= (3 / (8 * np.pi)) ** 2 / (left**2 + right**2) / (AMPLITUDES.m_w * EW.m_z) ** 2
    beam = np.where(quark_first, 0, 1)
    fast = cube.process.contributions(features)[beam, 0, np.arange(40)]
    assert_same_but_for_rounding(fast, expected, leptons)


@pytest.mark.parametrize("charge", [1, -1])
def test_stable_bosons_agree_with_diagrams(charge):
    # Real polarisation vectors x, L, y: sums over them are those over helicities.
    for sqrt_s, cos_theta in ((180.0, -0.4), (600.0, 0.9), (3000.0, 0.2)):
        p = float(AMPLITUDES.momentum(np.array(sqrt_s)))
        m_w, m_z, sine = AMPLITUDES.m_w, EW.m_z, np.sqrt(1 - cos_theta**2)
        n, x, y = np.array([[sine, 0, cos_theta], [cos_theta, 0, -sine], [0, 1, 0]])
        e_w, e_z = np.hypot(p, m_w), np.hypot(p, m_z)
        of_w = [np.array([0, *x]), np.array([p, *(e_w * n)]) / m_w, np.array([0, *y])]
        of_z = [np.array([0, *x]), np.array([p, *(-e_z * n)]) / m_z, np.array([0, *-y])]
        partons = np.array([[1, 0, 0, 1], [1, 0, 0, -1]]) * sqrt_s / 2
        bosons = np.array([e_w, *(p * n)]), np.array([e_z, *(-p * n)])
        slow = np.array(
            [[wz_amplitudes.amplitudes(*partons, *bosons, one, other, charge, EW) for other in of_z] for one in of_w]
        )
        fast = AMPLITUDES.helicity_amplitudes(np.array([sqrt_s]), np.array([cos_theta]), np.array([float(charge)]))
        np.testing.assert_allclose(
            weights_from_amplitudes(slow.reshape(9, 3)), weights_from_amplitudes(fast.reshape(3, 9).T), rtol=1e-9
        )


def test_currents_agree_with_helicities(rng):
    cube = cube_of(neutrino="known")
    points = rng.random((3000, 8))
    features, _ = cube.phase_space(points)
    particles = cube.particles(points, rng)
    beam = np.where(particles.pdg[:, 0] > 0, 0, 1)
    fast = cube.process.contributions(features)[beam, 0, np.arange(3000)]
    again = wz.weights_of_particles(events_of(particles))
    assert 500 < beam.sum() < 2500
    assert_same_but_for_rounding(again, fast, particles.momenta[:, 4:])


def events_of(particles):
    n, m = particles.pdg.shape
    return LHEEvents(
        offsets=np.arange(n + 1) * m,
        pdg=particles.pdg.ravel(),
        status=np.tile(particles.status, n),
        mothers=np.tile(particles.mothers, (n, 1)),
        colour=particles.colour.reshape(-1, 2),
        momenta=particles.momenta.reshape(-1, 4),
    )


@pytest.mark.parametrize("theta", [[0.3, -0.3], [-2.0, 5.0], [40.0, 0.01]])
def test_polynomial_equals_direct_amplitude(rng, theta):
    points = random_points(rng, 500)
    helicities = AMPLITUDES.helicity_amplitudes(points["sqrt_s"], points["cos_theta"], points["charge"])
    at_theta = np.tensordot([1.0, *theta], helicities, 1)
    of_w = decay(points["cos_theta_w"], points["phi_w"], -points["charge"])
    of_z = AMPLITUDES.z_decay(points["cos_theta_z"], points["phi_z"])
    direct = sum(np.abs(after_decay(after_decay(at_theta, one), of_w)) ** 2 for one in of_z)
    terms = squared(points)
    # Where the terms cancel, rounding is that of the terms.
    size = largest(terms) @ np.abs(BASIS.monomials(theta))
    assert (np.abs(terms @ BASIS.monomials(theta) - direct) / size).max() < 1e-12


def test_high_energy_limit():
    cos_theta = np.linspace(-0.6, 0.6, 7)
    for charge in (1.0, -1.0):
        point = np.full(7, 20_000.0), cos_theta, np.full(7, charge)
        found, limit = AMPLITUDES.helicity_amplitudes(*point), high_energy_amplitudes(*point, EW)
        grows = np.abs(limit).max(axis=-1) > 0.0
        # X passes through 0: relative to the largest value along the angle. Corrections are of the order mZ^2/s = 2e-5.
        scale = np.abs(limit).max(axis=-1, keepdims=True)[grows]
        assert grows.sum() == 6
        assert (np.abs(found - limit)[grows] / scale).max() < 1e-4
        # All others fall with s, or grow less.
        others = np.abs(found).max(axis=-1) / np.abs(found).max(axis=(1, 2, 3))[:, np.newaxis, np.newaxis]
        assert others[~grows].max() < 0.03


def test_longitudinal_bosons_do_not_grow():
    sqrt_s = np.array([500.0, 2000.0, 20_000.0])
    for charge in (1.0, -1.0):
        found = AMPLITUDES.helicity_amplitudes(sqrt_s, np.full(3, 0.3), np.full(3, charge))
        longitudinal = np.abs(found[0, 1, 1])
        limit = EW.g**2 / (2 * np.sqrt(2)) * np.sqrt(1 - 0.09)
        # A wrong sign of the three-boson vertex makes it a thousand times this at 2 TeV; corrections fall with s.
        corrections = np.abs(longitudinal / limit - 1.0)
        assert (corrections < 5.0 * (EW.m_z / sqrt_s) ** 2).all()
        assert corrections[2] == pytest.approx(corrections[1] / 100.0, rel=0.01)
        # Equal helicities of the Standard Model fall like mV^2/s, those of cW grow like s.
        assert np.abs(found[0, 0, 0, 2]) < 1e-4 * longitudinal[2]
        assert found[1, 0, 0, 2] / found[1, 0, 0, 1] == pytest.approx(100.0, rel=0.01)


def test_integral_over_decays_is_that_of_stable_bosons():
    nodes, node_weights = roots_legendre(6)
    azimuths = np.arange(6) * 2 * np.pi / 6
    grid = np.meshgrid(nodes, nodes, azimuths, azimuths, indexing="ij")
    weights = np.einsum("i,j,k,l->ijkl", node_weights, node_weights, *np.full((2, 6), 2 * np.pi / 6)).ravel()
    names = ("cos_theta_w", "cos_theta_z", "phi_w", "phi_z")
    for sqrt_s, cos_theta, charge in ((180.0, 0.1, 1.0), (900.0, -0.7, -1.0)):
        points = {name: values.ravel() for name, values in zip(names, grid, strict=True)}
        fixed = {"sqrt_s": sqrt_s, "cos_theta": cos_theta, "charge": charge}
        points |= {name: np.full(len(weights), value) for name, value in fixed.items()}
        stable = AMPLITUDES.helicity_amplitudes(*(np.array([value]) for value in (sqrt_s, cos_theta, charge)))
        expected = weights_from_amplitudes(stable.reshape(3, 9).T)
        found = weights @ squared(points)
        np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_every_polynomial_is_positive(rng):
    assert_positive(squared(random_points(rng, 5000)))


@pytest.mark.parametrize("neutrino", ["ambiguous", "known"])
def test_reflection(rng, neutrino):
    points = random_points(rng, 2000)
    process = wz.WZ(neutrino=neutrino, mu_f=91.1876)
    values = np.stack(list(wz.features_of(points).values()), axis=-1)
    mirrored = wz.CP_PARITY.mirror(values, wz.FEATURE_NAMES)
    # The map of the features is that of the two azimuths, and no coefficient is odd.
    again = wz.features_of(points | {"phi_w": -points["phi_w"], "phi_z": -points["phi_z"]})
    np.testing.assert_allclose(mirrored, np.stack(list(again.values()), axis=-1), atol=1e-15)
    assert (wz.CP_PARITY.term_sign(BASIS.terms) == 1.0).all()
    terms, reflected = process.differential_weights(points), process.differential_weights(again)
    assert (np.abs(terms - reflected) / largest(terms)).max() < 1e-10
    # Each azimuth alone is no symmetry.
    alone = process.differential_weights(points | {"phi_z": -points["phi_z"]})
    assert np.median(np.abs(terms - alone) / largest(terms)) > 1e-3


def test_both_solutions_for_the_neutrino_have_one_weight(rng):
    points = random_points(rng, 500)
    other = points | {"phi_w": np.pi - points["phi_w"]}
    ambiguous, known = wz.WZ(mu_f=300.0), wz.WZ(neutrino="known", mu_f=300.0)
    terms = ambiguous.differential_weights(points)
    assert (np.abs(terms - ambiguous.differential_weights(other)) / largest(terms)).max() < 1e-12
    added = known.differential_weights(points) + known.differential_weights(other)
    assert (np.abs(terms - added) / largest(terms)).max() < 1e-12


def test_generations_add(rng):
    points = random_points(rng, 200, high=1000.0)
    one = wz.WZ(generations=1).differential_weights(points)
    two = wz.WZ(generations=2).differential_weights(points)
    assert (two[:, 0] > one[:, 0]).all()
    luminosity = wz.WZ(generations=2).luminosities(points["sqrt_s"], points["y"], points["charge"])
    np.testing.assert_allclose(
        luminosity[:, :1], wz.WZ(generations=1).luminosities(points["sqrt_s"], points["y"], points["charge"])
    )
    pdf = wz.WZ().pdf
    x = points["sqrt_s"] / 13000.0 * np.exp(np.array([[1.0], [-1.0]]) * points["y"])
    charm_strange = pdf.xf((4, -3, 3, -4), x, points["sqrt_s"])
    plus = points["charge"] > 0
    ahead = charm_strange[0, :, 0] * charm_strange[1, :, 1], charm_strange[0, :, 2] * charm_strange[1, :, 3]
    behind = charm_strange[1, :, 0] * charm_strange[0, :, 1], charm_strange[1, :, 2] * charm_strange[0, :, 3]
    np.testing.assert_allclose(luminosity[0, 1], np.maximum(np.where(plus, *ahead), 0.0), rtol=1e-10)
    np.testing.assert_allclose(luminosity[1, 1], np.maximum(np.where(plus, *behind), 0.0), rtol=1e-10)


def test_branching_ratio():
    # g^2 mW/(48 pi GammaW) and mZ (gL^2 + gR^2)/(24 pi GammaZ); with e at mZ near the measured 10.9 % and 3.37 %.
    assert wz.WZ().branching_ratio == pytest.approx(0.1008 * 0.03143, rel=2e-3)
    assert wz.WZ(electroweak=Electroweak(e=0.31345)).branching_ratio == pytest.approx(0.109 * 0.0337, rel=0.02)


# ---------------------------------------------------------------------- simulation
def cube_of(charge="both", neutrino="ambiguous", cuts="", theta=(0.0, 0.0)):
    return wz._Cube.of(wz.WZ(neutrino=neutrino), wz.parse_cuts(cuts, wz.FEATURE_NAMES), BASIS.monomials(theta), charge)


def simulated(n_events, seed, **options):
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    return wz.simulate(n_events, seed=seed, show_progress=False, **options)


@pytest.fixture(scope="module")
def simulation():
    return simulated(5_000, 11, cuts="boosted")


@pytest.fixture(scope="module")
def moved():
    return simulated(5_000, 12, cuts="boosted", theta0={"cW": -0.4, "cHq3": 0.1}, neutrino="known", charge="minus")


@pytest.mark.parametrize("name", ["simulation", "moved"])
def test_table(name, request):
    simulation = request.getfixturevalue(name)
    table = simulation.table
    assert table.feature_names == wz.FEATURE_NAMES
    assert table.units == ("GeV", "GeV", *[""] * 15)
    assert table.features.dtype == np.float32
    assert table.weights.shape == (5_000, 6)
    assert table.sigma_fb == pytest.approx(simulation.sigma_fb, rel=1e-12)
    assert 0.0 < simulation.sigma_error_fb < 3e-3 * simulation.sigma_fb
    assert (table.weights[:, 0] > 0.0).all()
    assert 0.6 <= table.n_eff / table.n_events <= 0.9
    assert_positive(table.rebase([0.0, 0.0]).weights)
    assert table.column("pt").min() >= 300.0
    assert not table.aux


def test_ranges(simulation, moved):
    table = simulation.table
    assert np.abs(table.column("phi_w")).max() <= np.float32(np.pi / 2)
    assert table.column("cos_phi_w").min() >= -1e-7
    assert np.abs(moved.table.column("phi_w")).max() > 3.0
    assert np.abs(table.column("phi_z")).max() > 3.0
    assert set(np.unique(table.column("charge"))) == {-1.0, 1.0}
    assert set(np.unique(moved.table.column("charge"))) == {-1.0}
    energy, weight = table.column("sqrt_s"), table.weights[:, 0]
    assert (energy > 1500).mean() > 1.5 * weight[energy > 1500].sum() / weight.sum()


@pytest.mark.parametrize("name", ["simulation", "moved"])
def test_truth_is_a_function_of_the_features(name, request):
    simulation = request.getfixturevalue(name)
    table = simulation.table.rebase([0.0, 0.0])
    process = wz.WZ(neutrino=simulation.configuration["neutrino"])
    again = process.differential_weights({name: table.column(name).astype(np.float64) for name in NINE})
    size = largest(again)
    relative = np.abs(again / size - table.weights / largest(table.weights))
    # float32 features: rounding of 6e-8, larger where an angle is next to a pole.
    assert np.median(relative) < 1e-6
    assert relative.max() < 1e-4


@pytest.mark.slow
def test_same_seed_same_table(simulation):
    again = simulated(5_000, 11, cuts="pt>300")
    np.testing.assert_array_equal(again.table.features, simulation.table.features)
    np.testing.assert_array_equal(again.table.weights, simulation.table.weights)
    assert again.configuration == simulation.configuration
    other = simulated(100, 12, cuts="pt>300")
    assert not np.array_equal(other.table.features, simulation.table.features[:100])


def test_configuration(simulation, moved):
    assert simulation.configuration["cuts"] == "pt>300"
    assert simulation.configuration["process"] == "wz"
    assert "1706.00428" in simulation.configuration["pdf"]
    assert moved.configuration["theta0"] == {"cW": -0.4, "cHq3": 0.1}
    assert moved.table.basis.reference == (-0.4, 0.1)


def test_charges_add(rng):
    # At each point of the phase space; so do cross-sections.
    points = rng.random((1000, 8))
    points[:, 7] *= 0.5
    plus, minus = (cube_of(charge)(points[:, :7])[0] for charge in ("plus", "minus"))
    both = cube_of("both")
    np.testing.assert_allclose(both(points)[0], 2.0 * plus, rtol=1e-12)
    points[:, 7] += 0.5
    np.testing.assert_allclose(both(points)[0], 2.0 * minus, rtol=1e-12)
    assert plus.sum() > 1.3 * minus.sum()


@pytest.mark.slow
def test_cross_sections_of_charges_add(simulation):
    plus, minus = (simulated(100, 13, cuts="boosted", charge=charge) for charge in ("plus", "minus"))
    error = np.sqrt(sum(one.sigma_error_fb**2 for one in (plus, minus, simulation)))
    assert abs(plus.sigma_fb + minus.sigma_fb - simulation.sigma_fb) < 4 * error
    assert plus.sigma_fb > 1.5 * minus.sigma_fb
    table = simulation.table
    positive = table.column("charge") > 0
    share = table.weights[positive, 0].sum() / table.sigma_fb
    expected = plus.sigma_fb / (plus.sigma_fb + minus.sigma_fb)
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / table.n_eff)


def test_a_known_neutrino_changes_no_rate(rng):
    # The density of the ambiguous one is the mean over the two places of the known one.
    points = rng.random((1000, 7))
    ambiguous = cube_of("plus")(points)[0]
    first, second = points.copy(), points.copy()
    first[:, 5] = 0.25 + points[:, 5] / 2
    second[:, 5] = np.mod(0.25 - points[:, 5] / 2, 1.0)
    known = cube_of("plus", "known")
    np.testing.assert_allclose(ambiguous, (known(first)[0] + known(second)[0]) / 2, rtol=1e-9)


def test_settings_matter(rng):
    points = rng.random((1000, 8))
    densities = [
        wz._Cube.of(process, wz.Cuts(), BASIS.monomials([0.0, 0.0]), "both")(points)[0]
        for process in (wz.WZ(), wz.WZ(electroweak=Electroweak(e=0.31345)), wz.WZ(mu_f=91.1876))
    ]
    # The amplitude is of second order in e, and so is the product of the widths of the decays.
    inside = densities[0] > 0.0
    np.testing.assert_allclose(densities[1][inside] / densities[0][inside], (0.31345 / 0.3028) ** 8, rtol=1e-9)
    assert np.median(np.abs(densities[2][inside] / densities[0][inside] - 1.0)) > 0.02


def sum_and_error(table, theta, sigma_error=0.0):
    """Sum of the weights at a point, and its standard error with that of the cross-section of the sample."""
    weights = table.at(theta)
    share = table.weights[:, 0] / table.sigma_fb
    ratio = weights / table.weights[:, 0]
    mean = share @ ratio
    error = table.sigma_fb * np.sqrt(share**2 @ (ratio - mean) ** 2)
    return weights.sum(), np.hypot(error, mean * sigma_error)


def test_closure(simulation, moved):
    # Two samples, drawn at the Standard Model and at another point, give the same cross-sections at both and elsewhere.
    of_minus = simulation.table.take(simulation.table.column("charge") < 0)
    # The number of events with a W- fluctuates, too.
    share = of_minus.sigma_fb / simulation.sigma_fb
    spread = simulation.sigma_fb * np.sqrt(share * (1 - share) / simulation.table.n_eff)
    for theta in ([0.0, 0.0], [-0.4, 0.1], [0.3, -0.05]):
        first, first_error = sum_and_error(of_minus, theta, spread)
        second, second_error = sum_and_error(moved.table, theta, moved.sigma_error_fb)
        assert abs(first - second) < 4 * np.hypot(first_error, second_error)
        assert np.hypot(first_error, second_error) < 0.08 * second


@pytest.mark.slow
def test_closure_at_many_points(rng):
    large = simulated(200_000, 15, cuts="boosted")
    for seed, theta in enumerate(rng.uniform([-1.0, -0.3], [1.0, 0.3], (20, 2))):
        direct = simulated(100, 500 + seed, cuts="boosted", theta0=theta)
        found, error = sum_and_error(large.table, theta, large.sigma_error_fb)
        assert abs(found - direct.sigma_fb) < 4 * np.hypot(error, direct.sigma_error_fb), theta
        assert error < 0.02 * found


def test_rate_is_even_under_reflection(simulation):
    table = simulation.table
    weight = table.weights[:, 0] / table.sigma_fb
    odd = [table.column(name) for name in ("sin_phi_z", "sin_2phi_z", "sin_phi_w", "sin_2phi_w")]
    for values in (*odd, *(table.joint_ratio()[:, k] * column for k in (0, 1) for column in odd)):
        mean = weight @ values
        assert abs(mean) < 5 * np.sqrt(weight**2 @ (values - mean) ** 2)


# ---------------------------------------------------------------------- Les Houches records
@pytest.mark.parametrize("name", ["simulation", "moved"])
def test_round_trip(name, request, tmp_path):
    simulation = request.getfixturevalue(name)
    table = simulation.table
    bit.write_lhe(tmp_path / "wz.lhe.gz", simulation.lhe_events(), show_progress=False)
    neutrino = simulation.configuration["neutrino"]
    read = bit.read_lhe(
        tmp_path / "wz.lhe.gz",
        features=functools.partial(wz.features_of_particles, neutrino=neutrino),
        reference=table.basis.reference,
        show_progress=False,
    )
    assert read.feature_names == wz.FEATURE_NAMES
    assert read.basis == table.basis
    assert np.abs(read.weights - table.weights).max() < 1e-9 * np.abs(table.weights).max()
    difference = np.abs(read.features - table.features)
    scale = np.maximum(np.abs(table.features), 1.0)
    # float32, and angles of leptons that are nearly along their boson.
    azimuths = [k for k, name in enumerate(wz.FEATURE_NAMES) if name in ("phi_w", "phi_z")]
    difference[:, azimuths] = np.minimum(difference[:, azimuths], 2 * np.pi - difference[:, azimuths])
    assert (difference / scale).max() < 1e-4
    assert np.quantile(difference / scale, 0.999) < 1e-6


@pytest.mark.parametrize("name", ["simulation", "moved"])
def test_records_are_physical(name, request):
    events = request.getfixturevalue(name).lhe_events()
    momenta, pdg = events.momenta.reshape(-1, 8, 4), events.pdg.reshape(-1, 8)
    status = events.status.reshape(-1, 8)
    assert (status == [-1, -1, 2, 2, 1, 1, 1, 1]).all()
    scale = momenta[:, :2, 0].sum(axis=1)[:, None]
    assert (np.abs(momenta[:, :2].sum(axis=1) - momenta[:, 4:].sum(axis=1)) < 1e-12 * scale).all()
    np.testing.assert_array_equal(momenta[:, :2, 1:3], 0.0)
    assert (momenta[:, 0, 3] > 0).all()
    assert (momenta[:, 1, 3] < 0).all()
    np.testing.assert_allclose(momenta[:, 2], momenta[:, 4] + momenta[:, 5], atol=1e-9)
    np.testing.assert_allclose(momenta[:, 3], momenta[:, 6] + momenta[:, 7], atol=1e-9)
    squares = dot(momenta, momenta)
    expected = np.zeros(8)
    expected[2:4] = AMPLITUDES.m_w**2, EW.m_z**2
    assert (np.abs(squares - expected) / momenta[..., 0] ** 2).max() < 1e-12
    charges = {1: -1, 2: 2, 3: -1, 4: 2, 11: -3, 12: 0, 13: -3, 23: 0, 24: 3}
    charge = np.vectorize(lambda code: charges[abs(code)] * np.sign(code))(pdg)
    np.testing.assert_array_equal(charge[:, :2].sum(axis=1), charge[:, 2])
    np.testing.assert_array_equal(charge[:, 4] + charge[:, 5], charge[:, 2])
    # A quark has the line 501 as colour, an antiquark as anticolour.
    colour = events.colour.reshape(-1, 8, 2)
    np.testing.assert_array_equal(colour[:, :2, 0], np.where(pdg[:, :2] > 0, 501, 0))
    np.testing.assert_array_equal(colour[:, :2, 1], np.where(pdg[:, :2] < 0, 501, 0))


def test_what_a_record_draws(simulation):
    # Quarks carry more momentum than antiquarks, first generations are more frequent, azimuths flat.
    events = simulation.lhe_events()
    momenta, pdg = events.momenta.reshape(-1, 8, 4), events.pdg.reshape(-1, 8)
    weight = events.weight / events.weight.sum()
    table = simulation.table
    columns = {name: table.column(name).astype(np.float64) for name in NINE}
    process = wz.WZ()
    shares = process.luminosities(columns["sqrt_s"], columns["y"], columns["charge"])[:, None]
    shares = shares * process.contributions(columns)[:, :, None, :, 0]
    shares /= shares.sum(axis=(0, 1, 2))
    second = weight @ (np.abs(pdg[:, 0]) > 2)
    behind = weight @ (pdg[:, 0] < 0)
    known, _ = wz.features_of_particles(events, neutrino="known")
    other = weight @ (known[:, wz.FEATURE_NAMES.index("cos_phi_w")] < 0)
    n_eff = table.n_eff
    for found, share in ((behind, shares[1]), (other, shares[:, 1]), (second, shares[:, :, 1])):
        expected = weight @ share.reshape(-1, share.shape[-1]).sum(axis=0)
        assert abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / n_eff)
        assert 0.02 < expected < 0.6
    azimuth = np.arctan2(momenta[:, 2, 2], momenta[:, 2, 1])
    assert abs(weight @ np.cos(azimuth)) < 4 / np.sqrt(2 * n_eff)


def test_weights_of_records_are_those_of_the_table(moved):
    # The neutrino is known, so that only beams and generations are summed.
    events = moved.lhe_events()
    table = moved.table.rebase([0.0, 0.0])
    columns = {name: table.column(name).astype(np.float64) for name in NINE}
    beam = np.where(events.pdg.reshape(-1, 8)[:, 0] > 0, 0, 1)
    expected = wz.WZ(neutrino="known").contributions(columns)[beam, 0, np.arange(len(table))]
    found = wz.weights_of_particles(events)
    # float32 features.
    assert np.median(np.abs(found - expected) / largest(expected)) < 1e-6


def test_particles_are_found_in_any_order(simulation):
    events = simulation.lhe_events()
    momenta, pdg = events.momenta.reshape(-1, 8, 4)[:50], events.pdg.reshape(-1, 8)[:50]
    expected, _ = wz.features_of_particles(events)
    weights = wz.weights_of_particles(events)
    for order in itertools.islice(itertools.permutations(range(4)), 0, 24, 5):
        for one in range(3):
            leptons = momenta[one, 4:][list(order)]
            event = record_of(leptons, pdg[one, 4:][list(order)], pdg[one, :2])
            found, _ = wz.features_of_particles(event)
            np.testing.assert_allclose(found[0], expected[one], rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(wz.weights_of_particles(event)[0], weights[one], rtol=1e-6)


def test_pair_of_one_flavour_is_the_one_closer_to_the_z():
    plain, _ = wz.features_of_particles(record_of(POINT, [-11, 12, 13, -13]))
    same, _ = wz.features_of_particles(record_of(POINT[[3, 1, 2, 0]], [-11, 12, 11, -11]))
    np.testing.assert_array_equal(plain, same)


def test_off_shell_bosons(rng):
    # Bosons of other masses than those of the propagators and couplings, against Dirac matrices.
    features, _ = cube_of(neutrino="known").phase_space(rng.random((20, 8)))
    features = features | {"sqrt_s": np.linspace(200.0, 2000.0, 20), "charge": np.repeat([1.0, -1.0], 10)}
    momenta = wz._momenta(features, WZAmplitudes(Electroweak(m_z=95.0)), rng.uniform(-np.pi, np.pi, 20))
    for row, momentum in enumerate(momenta):
        sign = int(features["charge"][row])
        lepton, neutrino, minus, plus = momentum[4:]
        event = record_of(momentum[4:], [-11 * sign, 12 * sign, 13, -13], (2, -1) if sign > 0 else (1, -2))
        partons = event.momenta[:2]
        of_w = wz_amplitudes.line(*((neutrino, lepton) if sign > 0 else (lepton, neutrino)), -1)
        amplitudes = [
            coupling
            * wz_amplitudes.amplitudes(
                *partons, lepton + neutrino, minus + plus, of_w, wz_amplitudes.line(minus, plus, h), sign, EW
            )
            for h, coupling in zip((-1, 1), AMPLITUDES.lepton_charges, strict=True)
        ]
        expected = weights_from_amplitudes(np.array(amplitudes))
        found = wz.weights_of_particles(event)[0]
        assert np.abs(found / found[0] - expected / expected[0]).max() < 1e-8 * np.abs(expected / expected[0]).max()


# ---------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_events": 0}, "n_events=0"),
        ({"seed": -1}, "seed=-1"),
        ({"e": 0.0}, "e=0.0"),
        ({"mu_f": -5.0}, "mu_f=-5.0"),
        ({"mu_f": "sqrt_S"}, "mu_f='sqrt_S': a positive scale in GeV, or 'sqrt_s', is needed"),
        ({"charge": "pluss"}, "did you mean 'plus'"),
        ({"neutrino": "knwon"}, "did you mean 'known'"),
        ({"generations": 3}, "generations=3"),
        ({"theta0": [0.1]}, "2 coefficients"),
        ({"theta0": {"cw": 1.0}}, "did you mean 'cW'"),
        ({"cuts": "pT>200"}, "did you mean 'pt'"),
        ({"cuts": "pt>7000"}, "no phase space is left"),
        ({"cuts": "pt>300, pt<200"}, "no phase space is left"),
        ({"cuts": "sqrt_s<170"}, "no phase space is left"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        wz.simulate(**{"n_events": 10, "seed": 1, "show_progress": False} | arguments)


@pytest.mark.parametrize(
    ("pdg", "message"),
    [
        ([-11, 11, 13, -13], "1 of 1 events do not have W -> l nu"),
        ([11, 12, 13, -13], "1 of 1 events do not have W -> l nu"),
        ([-11, 14, 13, -13], "1 of 1 events do not have W -> l nu"),
        ([-11, 12, 13, -15], "1 of 1 events do not have W -> l nu"),
    ],
)
def test_other_leptons(pdg, message):
    with pytest.raises(InputError, match=message):
        wz.features_of_particles(record_of(POINT, pdg))


def test_other_particles():
    with pytest.raises(InputError, match="1 of 1 events do not have 4 particles with status 1"):
        wz.features_of_particles(record_of(POINT, [-11, 12, 13, -13], status=2))
    with pytest.raises(InputError, match="did you mean 'known'"):
        wz.features_of_particles(record_of(POINT, [-11, 12, 13, -13]), neutrino="knwn")
    for quarks in ((21, 2), (2, 1), (2, -2), (1, -2), (-1, -2)):
        with pytest.raises(InputError, match="a quark and an antiquark whose charges"):
            wz.weights_of_particles(record_of(POINT, [-11, 12, 13, -13], quarks))


@pytest.mark.slow
def test_cuts_that_only_sampling_finds_empty():
    with pytest.raises(InputError, match=r"y>50.*loosen the cuts"):
        simulated(10, 1, cuts="pt>300, y>50")
