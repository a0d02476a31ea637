"""What holds for every process that a detector measures, at points of its unit hypercube."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.spatial import cKDTree

from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.processes import wz, zh, zh_background, zh_undecayed
from bit.processes.cuts import parse_cuts
from bit.processes.detector import Detector, Response, standard_normals
from bit.processes.hvv import Electroweak
from bit.processes.zh_scattering import to_laboratory

EW = Electroweak()
N_EVENTS = 20_000
PERFECT = Detector(jets=Response(), electrons=Response(), muons=Response(), photons=Response(), missing=0.0)
MODULES = {"zh": zh, "zh_undecayed": zh_undecayed, "zh_background": zh_background, "wz": wz}
CUTS = {"zh": "pt>200", "zh_undecayed": "pt>200, sqrt_s<1000", "zh_background": "pt>200", "wz": "pt>200"}


def cube(name, detector, cuts="", latent=False):
    module = MODULES[name]
    monomials = PolynomialBasis(module.PARAM_NAMES).monomials(np.zeros(len(module.PARAM_NAMES)))
    selection = parse_cuts(cuts, module.FEATURE_NAMES)
    if name == "wz":
        return wz._Cube.of(wz.WZ(neutrino="known"), selection, monomials, "both", detector)
    if name == "zh_background":
        return zh_background._Cube.of(selection, 5.0, detector)
    process = zh.ZH() if name == "zh" else zh_undecayed.ZHUndecayed()
    return module._Cube.of(process, selection, monomials, latent, detector)


def points_of(rng, cubic, n=N_EVENTS):
    return rng.random((n, cubic.n_dim))


# ---------------------------------------------------------------------- laws
@pytest.mark.parametrize("name", MODULES)
def test_weights_and_rate_are_those_of_the_truth(rng, name):
    plain, smeared = cube(name, None), cube(name, Detector())
    points = points_of(rng, smeared, 2_000)
    true = points[:, : plain.n_dim]
    # No event is moved and none is lost: the same density, point by point, and so the same cross-section.
    np.testing.assert_array_equal(smeared(points)[0], plain(true)[0])
    here, there = plain.events(true), smeared.events(points)
    np.testing.assert_array_equal(there.terms, here.terms)
    assert list(there.features) == list(here.features) == list(MODULES[name].FEATURE_NAMES)
    changed = [feature for feature in here.features if (here.features[feature] != there.features[feature]).all()]
    assert {"sqrt_s", "pt", "y", "cos_theta"} <= set(changed)


@pytest.mark.parametrize("name", ["zh", "zh_undecayed"])
def test_weights_of_drawn_flavours(rng, name):
    plain, smeared = cube(name, None, latent=True), cube(name, Detector(), latent=True)
    points = points_of(rng, smeared, 2_000)
    here, there = plain.events(points[:, : plain.n_dim]), smeared.events(points)
    np.testing.assert_array_equal(there.terms, here.terms)
    np.testing.assert_array_equal(there.aux["flavour"], here.aux["flavour"])


@pytest.mark.parametrize("name", ["zh", "zh_undecayed", "zh_background"])
def test_a_perfect_detector_changes_nothing(rng, name):
    plain, smeared = cube(name, None), cube(name, PERFECT)
    points = points_of(rng, smeared, 2_000)
    here, there = plain.events(points[:, : plain.n_dim]).features, smeared.events(points).features
    # Boosts into the laboratory and back cost up to exp(2 |y|) units of rounding, next to the beam and at rest more.
    tame = (np.abs(here["y"]) < 3.0) & (np.abs(here["cos_theta"]) < 0.999) & (here["sqrt_s"] > 230.0)
    tame &= np.abs(here.get("cos_theta_l", here["cos_theta"])) < 0.999
    assert tame.sum() > 1_000
    for feature, values in here.items():
        difference = np.abs(there[feature] - values)[tame]
        if feature == "phi":
            difference = np.minimum(difference, 2.0 * math.pi - difference)
        assert difference.max() < 1e-9 * max(1.0, np.abs(values[tame]).max()), feature


@pytest.mark.parametrize("name", MODULES)
def test_cuts_hold_on_what_is_measured(rng, name):
    free, smeared, plain = cube(name, Detector()), cube(name, Detector(), CUTS[name]), cube(name, None)
    points = points_of(rng, smeared)
    density = smeared(points)[0]
    kept = density > 0.0
    passes = smeared.cuts.passes(free.events(points).features)
    np.testing.assert_array_equal(kept, passes)
    np.testing.assert_array_equal(density[kept], free(points)[0][kept])
    # Some events enter the cuts, some leave them.
    inside = smeared.cuts.passes(plain.events(points[:, : plain.n_dim]).features)
    assert (kept & ~inside).any()
    assert (inside & ~kept).any()


@pytest.mark.parametrize(("name", "term"), [("zh", 1), ("zh", 2), ("zh_undecayed", 1), ("wz", 1), ("wz", 2)])
def test_information_is_lost(rng, name, term):
    # Events that differ by less than the resolution: t is a function of the true features, of the measured ones hardly.
    plain, smeared = cube(name, None), cube(name, Detector())
    points = points_of(rng, smeared)
    points[:, : plain.n_dim] = 0.35 + 0.006 * points[:, : plain.n_dim]
    true, seen = plain.events(points[:, : plain.n_dim]), smeared.events(points)
    ratio = true.terms[:, term] / true.terms[:, 0]
    # E[(t - t')^2]/2 of nearest neighbours in x is <Var(t|x)>, but for the size of the cells: 20 000 events fill the
    # three to eight dimensions of the truth to some per cent of the variance.
    known, unknown = (unexplained(ratio, events.features) for events in (true, seen))
    assert known < 0.05
    assert unknown > 0.25


def unexplained(score, features):
    """Share of the variance of t among nearest neighbours in the features."""
    columns = [features[name] for name in features if name in ("sqrt_s", "y", "phi") or name.startswith("cos_")]
    columns += [features[name] for name in features if name.startswith("sin_")]
    place = np.stack(columns, axis=-1)
    _, neighbours = cKDTree(place / place.std(axis=0)).query(place / place.std(axis=0), k=2)
    return float(0.5 * ((score - score[neighbours[:, 1]]) ** 2).mean() / score.var())


# ---------------------------------------------------------------------- resolution
def true_momenta(rng, n=N_EVENTS):
    """Higgs boson, l- and l+ in the laboratory."""
    angles = rng.uniform(-0.9, 0.9, (2, n))
    at_rest = zh.decay_products(rng.uniform(300.0, 1500.0, n), *angles, rng.uniform(-3.1, 3.1, n), EW)
    return to_laboratory(at_rest, rng.uniform(-2.0, 2.0, n), rng.uniform(-3.1, 3.1, n))


def pt_of(momenta):
    return np.hypot(momenta[..., 1], momenta[..., 2])


def assert_standard(pull):
    """Mean 0 and standard deviation 1, within five standard errors of a normal distribution."""
    assert abs(pull.mean()) < 5 / math.sqrt(pull.size)
    assert abs(pull.std() - 1.0) < 5 / math.sqrt(2 * pull.size)


def mass_of(momenta):
    energy, x, y, z = np.moveaxis(momenta, -1, 0)
    return np.sqrt(np.maximum(energy**2 - x**2 - y**2 - z**2, 0.0))


def assert_measured(true, seen, response):
    """Relative size, azimuth and, of massless particles, rapidity are smeared as the response says."""
    size = pt_of(true) if response.measures == "pt" else true[..., 0]
    # SMALLEST_FACTOR is many standard deviations away.
    hard = size > 20.0
    assert_standard(((pt_of(seen) / pt_of(true) - 1.0) / response.resolution(size))[hard])
    dphi = np.angle(np.exp(1j * (np.arctan2(seen[..., 2], seen[..., 1]) - np.arctan2(true[..., 2], true[..., 1]))))
    assert_standard(dphi[hard] / response.angle)


def test_resolution_of_leptons_and_higgs_boson(rng):
    true, detector = true_momenta(rng), Detector()
    seen = zh.measured(true, rng.standard_normal((3, N_EVENTS, 3)), detector, EW.m_h)
    assert_measured(true[0], seen[0], detector.jets)
    assert_measured(true[1:], seen[1:], detector.electrons)
    np.testing.assert_allclose(mass_of(seen[0]), EW.m_h, rtol=1e-9)
    # Massless leptons stay so; squares of energies of up to TeV round.
    assert mass_of(seen[1:]).max() < 1e-3
    # Two electrons of some 100 GeV with 10 %/sqrt(E) and 1 %: the mass of the Z to one or two per cent.
    width = np.diff(np.percentile(mass_of(seen[1] + seen[2]), [16, 84]))[0] / 2
    assert 0.5 < width < 2.0


def test_resolution_of_a_stable_z(rng):
    higgs, minus, plus = true_momenta(rng)
    detector, true = Detector(), np.stack([minus + plus, higgs])
    seen = zh_undecayed.measured(true, rng.standard_normal((2, N_EVENTS, 3)), detector, EW)
    assert_measured(true[0], seen[0], detector.electrons)
    assert_measured(true[1], seen[1], detector.jets)
    for momenta, mass in zip(seen, (EW.m_z, EW.m_h), strict=True):
        np.testing.assert_allclose(mass_of(momenta), mass, rtol=1e-9)


def test_azimuth_of_the_event_is_free(rng):
    true, normals = true_momenta(rng, 500), rng.standard_normal((3, 500, 3))
    turned = to_laboratory(true, np.zeros(500), np.full(500, 1.3))
    one, other = (zh.features_of_momenta(zh.measured(m, normals, Detector(), EW.m_h)) for m in (true, turned))
    for name, values in one.items():
        np.testing.assert_allclose(other[name], values, rtol=1e-7, atol=1e-7)


def test_standard_normals_are_finite():
    found = standard_normals(np.array([0.0, 0.5, 1.0]))
    assert np.isfinite(found).all()
    assert (found[0] < -8.0, found[1], found[2] > 8.0) == (True, 0.0, True)


# ---------------------------------------------------------------------- W Z
def wz_leptons(rng, n=2_000, low=200.0):
    """Features and momenta (4, n, 4) of lepton, neutrino, l- and l+."""
    columns = (
        rng.uniform(low, low + 1500.0, n),
        np.zeros(n),
        rng.uniform(-1.5, 1.5, n),
        *rng.uniform(-0.9, 0.9, (3, n)),
        *rng.uniform(-3.1, 3.1, (2, n)),
        np.where(rng.random(n) < 0.5, 1.0, -1.0),
    )
    features = dict(zip(wz.FEATURE_NAMES, columns, strict=False))
    momenta = wz._momenta(features, wz.WZ().amplitudes, rng.uniform(-3.1, 3.1, n))
    return features, np.moveaxis(momenta[:, 4:], 1, 0)


def test_resolution_of_leptons_and_missing_momentum(rng):
    _, true = wz_leptons(rng, N_EVENTS)
    detector, visible = Detector(), true[[0, 2, 3]]
    seen, missing = wz.measured(
        visible, rng.standard_normal((3, N_EVENTS, 3)), rng.standard_normal((N_EVENTS, 2)), detector
    )
    assert_measured(visible[0], seen[0], detector.electrons)
    assert_measured(visible[1:], seen[1:], detector.muons)
    # What the leptons lose the missing momentum gains.
    residual = missing + seen[..., 1:3].sum(axis=0)
    sigma = 0.5 * np.sqrt(wz.SOFT_SUM_ET_GEV + pt_of(seen).sum(axis=0))
    assert sigma.min() > 10.0
    assert_standard(residual / sigma[:, np.newaxis])


def test_neutrino_from_the_mass_of_the_w(rng):
    features, (lepton, neutrino, minus, plus) = wz_leptons(rng)
    m_w = wz.WZ().amplitudes.m_w
    found = wz.reconstructed(np.stack([lepton, minus, plus]), neutrino[:, 1:3], m_w)
    np.testing.assert_array_equal(found[:, 1:3], neutrino[:, 1:3])
    np.testing.assert_allclose(mass_of(found), 0.0, atol=1e-2)
    # Both solutions have the mass of the W and lie as far from a l_z/l_T^2: the true one is one of them.
    np.testing.assert_allclose(mass_of(found + lepton), m_w, rtol=1e-6)
    pt2 = pt_of(lepton) ** 2
    middle = (0.5 * m_w**2 + (lepton * neutrino)[:, 1:3].sum(axis=1)) * lepton[:, 3] / pt2
    apart = [np.abs(momenta[:, 3] - middle) for momenta in (found, neutrino)]
    far = apart[1] > 1.0
    np.testing.assert_allclose(apart[0][far], apart[1][far], rtol=1e-5)
    mass = mass_of(found + lepton + minus + plus)
    same = np.abs(found[:, 3] - neutrino[:, 3]) < 1e-3 * np.abs(found[:, 3])
    assert 0.3 < same.mean() < 0.7
    np.testing.assert_allclose(mass[same], features["sqrt_s"][same], rtol=1e-3)
    assert (mass < features["sqrt_s"] * (1.0 + 1e-6)).all()


def test_imaginary_solutions(rng):
    # Missing momentum k opposite to the lepton with k l_T = mW^2: the transverse mass is 2 mW, and a = -mW^2/2.
    _, (lepton, _, minus, plus) = wz_leptons(rng)
    transverse = pt_of(lepton)[:, np.newaxis]
    missing = -lepton[:, 1:3] * (EW.m_w / transverse) ** 2
    found = wz.reconstructed(np.stack([lepton, minus, plus]), missing, EW.m_w)
    a = 0.5 * EW.m_w**2 + (lepton[:, 1:3] * missing).sum(axis=1)
    np.testing.assert_allclose(a, -0.5 * EW.m_w**2, rtol=1e-9)
    np.testing.assert_allclose(found[:, 3], a * lepton[:, 3] / transverse[:, 0] ** 2, rtol=1e-9)
    assert (mass_of(found + lepton) > EW.m_w).all()


def test_the_ambiguity_at_high_energies_is_a_reflection_of_the_azimuth(rng):
    features, (lepton, neutrino, minus, plus) = wz_leptons(rng, low=20_000.0)
    found = wz.reconstructed(np.stack([lepton, minus, plus]), neutrino[:, 1:3], wz.WZ().amplitudes.m_w)
    again = wz.features_of_momenta(np.stack([lepton, found, minus, plus]), features["charge"], "ambiguous")
    # Up to mW/E, which factors of 1/sin may raise.
    assert np.quantile(np.abs(again["sin_phi_w"] - np.sin(features["phi_w"])), 0.9) < 0.05
    assert np.abs(again["phi_w"]).max() <= math.pi / 2


def test_a_known_neutrino_is_not_measured():
    with pytest.raises(InputError, match="a detector does not see the neutrino"):
        wz.simulate(10, seed=1, neutrino="known", smear=True, show_progress=False)


# ---------------------------------------------------------------------- simulation
def simulated(name, n_events=2_000, **options):
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    function = zh_background.zh_background if name == "zh_background" else MODULES[name].simulate
    return function(n_events, seed=31, show_progress=False, **options)


@pytest.mark.parametrize("name", ["zh_undecayed", *(pytest.param(n, marks=pytest.mark.slow) for n in ("zh", "wz"))])
def test_cross_section_is_that_of_the_truth(name):
    plain, smeared = simulated(name, 100), simulated(name, 100, smear=True)
    error = math.hypot(plain.sigma_error_fb, smeared.sigma_error_fb)
    assert error < 5e-3 * plain.sigma_fb
    assert abs(plain.sigma_fb - smeared.sigma_fb) < 5 * error


@pytest.fixture(scope="module")
def measured():
    return simulated("zh", 10_000, smear=True, cuts="pt>200, abs(y)<2", flavour="latent")


def test_sample(measured):
    table = measured.table
    assert table.column("pt").min() >= 200.0
    assert np.abs(table.column("y")).max() <= 2.0
    true, _ = measured.cube.phase_space(measured.points)
    assert true["pt"].min() < 200.0
    assert 0.6 <= table.n_eff / table.n_events <= 0.9
    assert measured.configuration["detector"] == Detector().configuration()
    # Each event has the polynomial of its flavour at the true point.
    terms = measured.cube.process.differential_weights(
        *(true[name] for name in ("sqrt_s", "y", "cos_theta", "cos_theta_l", "phi"))
    )
    own = np.where((table.aux["flavour"] == 2)[:, np.newaxis], terms[0].T, terms[1].T)
    ratio = own / own[:, :1]
    np.testing.assert_allclose(table.joint_ratio(), ratio[:, 1:], rtol=1e-9, atol=1e-12 * np.abs(ratio).max())


def test_sample_is_even_under_cp(measured):
    table = measured.table
    weight, odd = table.weights[:, 0], table.joint_ratio()[:, 1]
    columns = [table.column(name).astype(np.float64) for name in zh.CP_PARITY.flip]
    for values in (odd, *columns):
        mean = weight @ values / weight.sum()
        assert abs(mean) < 5 * np.sqrt(weight**2 @ (values - mean) ** 2) / weight.sum()


def test_records_hold_the_truth(measured):
    few = dataclasses.replace(measured, table=measured.table.take(np.arange(500)), points=measured.points[:500])
    features, names = zh.features_of_particles(few.lhe_events())
    true, _ = few.cube.phase_space(few.points)
    np.testing.assert_allclose(features[:, names.index("sqrt_s")], true["sqrt_s"], rtol=1e-9)
    assert np.median(np.abs(features[:, 0] - few.table.column("sqrt_s"))) > 5.0


def test_cross_section_from_quasi_random_points(measured):
    sigma, error = zh.cross_section(zh.ZH(), "pt>200, abs(y)<2", smear=True)
    assert error < 0.02 * sigma
    assert abs(sigma - measured.sigma_fb) < 5 * math.hypot(error, measured.sigma_error_fb)
    with pytest.raises(InputError, match=r"zh: the cross-section with cuts 'y>50' vanishes"):
        zh.cross_section(zh.ZH(), "y>50")


def test_background_has_ten_times_the_rate():
    background = simulated("zh_background", 500, smear=True, cuts="pt>200")
    sigma, error = zh.cross_section(zh.ZH(), "pt>200", smear=True)
    assert (background.sigma_fb, background.sigma_error_fb) == pytest.approx((10 * sigma, 10 * error), rel=1e-12)
    assert background.table.column("pt").min() >= 200.0


@pytest.mark.parametrize("name", MODULES)
def test_bad_input(name):
    function = zh_background.zh_background if name == "zh_background" else MODULES[name].simulate
    with pytest.raises(InputError, match=r"smear='atlas': True, False or a bit\.processes\.detector\.Detector"):
        function(10, seed=1, smear="atlas", show_progress=False)


def test_another_detector():
    found = simulated("zh_undecayed", 50, smear=PERFECT)
    assert found.configuration["detector"]["jets"]["stochastic"] == 0.0
    true = found.cube.phase_space(found.points)[2]
    np.testing.assert_allclose(found.table.column("sqrt_s"), true.sqrt_s, rtol=1e-6)
