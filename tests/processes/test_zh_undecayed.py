import dataclasses

import numpy as np
import pytest
from reference import zh_polarisations

import bit
from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.processes import zh, zh_undecayed
from bit.processes.hvv import Electroweak
from bit.processes.zh_scattering import QUARKS

BASIS = PolynomialBasis(zh_undecayed.PARAM_NAMES)
EW = Electroweak()


def random_points(rng, n):
    return rng.uniform(217.0, 4000.0, n), rng.uniform(-1.0, 1.0, n)


# ---------------------------------------------------------------------- amplitudes
@pytest.mark.parametrize(
    ("quark", "photon", "expected"),
    [
        ("u", False, [0.064554431911, 0.002332227845]),
        ("u", True, [0.017356085038, 0.008026966073]),
        ("d", True, [0.031524466022, 0.001811271663]),
    ],
)
def test_reference_point(quark, photon, expected):
    process = zh_undecayed.ZHUndecayed(quarks=(quark,), photon=photon)
    terms = process.squared_amplitudes(np.array([600.0]), np.array([0.4]))[0, :, 0]
    # The references have twelve decimals.
    np.testing.assert_allclose(terms[1:] / terms[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("photon", [False, True])
@pytest.mark.parametrize("quark", list(QUARKS))
def test_agrees_with_polarisation_vectors(rng, quark, photon):
    sqrt_s, cos_theta = random_points(rng, 2000)
    electroweak = Electroweak(e=0.31345, m_h=124.0)
    process = zh_undecayed.ZHUndecayed(quarks=(quark,), photon=photon, electroweak=electroweak)
    fast = process.squared_amplitudes(sqrt_s, cos_theta)[0].T
    _, isospin, charge = QUARKS[quark]
    slow = zh_polarisations.squared_amplitudes(
        sqrt_s, cos_theta, isospin, charge, photon=photon, electroweak=electroweak
    )
    # The interference passes through 0; its largest possible value is sqrt(2 w0 w11).
    bound = np.stack([slow[:, 0], np.sqrt(2 * slow[:, 0] * slow[:, 2]), slow[:, 2]], axis=-1)
    # Longitudinal polarisations cancel over up to (sqrt(s)/mZ)^2 units of rounding.
    assert (np.abs(fast - slow) / bound).max() < 1e-12


def test_score_of_z_exchange_in_closed_form(rng):
    sqrt_s, cos_theta = random_points(rng, 100)
    s = sqrt_s**2
    energy = (s + EW.m_z**2 - EW.m_h**2) / (2 * sqrt_s)
    pt2 = (energy**2 - EW.m_z**2) * (1 - cos_theta**2)
    terms = zh_undecayed.ZHUndecayed(quarks=("u", "d"), photon=False).squared_amplitudes(sqrt_s, cos_theta)
    scale = EW.g_prime**2 * EW.vev**2 / (4 * EW.m_z**2) / 1e6
    full = scale * (EW.m_h**2 + (s + EW.m_z**2 - EW.m_h**2) * pt2 / (2 * EW.m_z**2 + pt2))
    np.testing.assert_allclose(terms[:, 1] / terms[:, 0], np.tile(full, (2, 1)), rtol=1e-12)
    # arXiv:2109.10414, Eq. 21 and 22, with the sum of the momenta squared: mH^2 + 2 pH.pZ = s - mZ^2.
    process = zh_undecayed.ZHUndecayed(quarks=("u", "d"), photon=False, mode="eq21")
    terms = process.squared_amplitudes(sqrt_s, cos_theta)
    score = scale * (s - EW.m_z**2)
    np.testing.assert_allclose(terms[:, 1] / terms[:, 0], np.tile(score, (2, 1)), rtol=1e-12)
    np.testing.assert_allclose(terms[:, 2] / terms[:, 0], np.tile(score**2 / 2, (2, 1)), rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"photon": False}, {"photon": False, "mode": "eq21"}])
def test_polynomial_is_a_square(rng, options):
    w0, w1, w11 = zh_undecayed.ZHUndecayed(**options).squared_amplitudes(*random_points(rng, 1000)).sum(axis=0)
    assert (w0 > 0).all()
    # |M_0 + f M_1|^2 >= 0 for all f; Eq. 21 has one amplitude, so that the bound is reached.
    assert (w1**2 <= 2 * w0 * w11 * (1 + 1e-12)).all()


def test_standard_model_is_the_integral_over_the_decay():
    sqrt_s, cos_theta = np.array([220.0, 600.0, 2000.0]), np.array([0.1, 0.4, -0.9])
    nodes, node_weights = np.polynomial.legendre.leggauss(8)
    phi = np.linspace(-np.pi, np.pi, 8, endpoint=False)
    cos_l, angle = (grid.ravel() for grid in np.meshgrid(nodes, phi))
    share = np.tile(node_weights, 8) * 2 * np.pi / 8
    stable = zh_undecayed.ZHUndecayed().squared_amplitudes(sqrt_s, cos_theta)[:, 0]
    for i in range(3):
        point = (np.full(64, sqrt_s[i]), np.full(64, cos_theta[i]), cos_l, angle)
        np.testing.assert_allclose(zh.ZH().squared_amplitudes(*point)[:, 0] @ share, stable[:, i], rtol=1e-12)


def test_beams_may_be_exchanged(rng):
    # Two protons: half a turn about an axis across the beam changes nothing.
    sqrt_s, cos_theta = random_points(rng, 100)
    y = rng.uniform(-1.0, 1.0, 100)
    process = zh_undecayed.ZHUndecayed()
    there, back = (process.differential_weights(sqrt_s, sign * y, sign * cos_theta) for sign in (1.0, -1.0))
    np.testing.assert_allclose(there, back, rtol=1e-12)


# ---------------------------------------------------------------------- simulation
@pytest.fixture(scope="module")
def simulation():
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    return zh_undecayed.simulate(10_000, seed=11, show_progress=False)


@pytest.fixture(scope="module")
def moved():
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    return zh_undecayed.simulate(10_000, seed=12, theta0={"fB": 10.0}, flavour="latent", show_progress=False)


def test_table(simulation):
    table = simulation.table
    assert table.feature_names == zh_undecayed.FEATURE_NAMES
    assert table.units == ("", "", "", "GeV", "GeV", "", "")
    assert table.features.dtype == np.float32
    assert table.basis == BASIS
    assert not table.aux
    assert table.sigma_fb == pytest.approx(simulation.sigma_fb, rel=1e-12)
    assert 0.0 < simulation.sigma_error_fb < 2e-3 * simulation.sigma_fb
    assert 0.6 <= table.n_eff / table.n_events <= 0.9


def test_features_fit_together(simulation):
    column = {name: simulation.table.column(name).astype(np.float64) for name in zh_undecayed.FEATURE_NAMES}
    s = column["sqrt_s"] ** 2
    momentum = np.sqrt((s - (EW.m_z + EW.m_h) ** 2) * (s - (EW.m_z - EW.m_h) ** 2) / (4 * s))
    along, pt = momentum * column["cos_theta"], column["pt"]
    # float32: 6e-8, amplified by 1/(1 - cos^2) and, close to the threshold, by s/k^2.
    far = (np.abs(column["cos_theta"]) < 0.99) & (momentum > 20.0)
    np.testing.assert_allclose((pt**2 + along**2)[far], momentum[far] ** 2, rtol=1e-4)
    np.testing.assert_allclose(column["x_p"], pt / EW.m_h, rtol=1e-6)
    etas = []
    for mass, sign in ((EW.m_z, 1.0), (EW.m_h, -1.0)):
        rapidity = column["y"] + sign * np.arcsinh(along / np.hypot(pt, mass))
        etas.append(np.arcsinh(np.hypot(pt, mass) * np.sinh(rapidity) / pt))
    np.testing.assert_allclose(column["x_eta"][far], np.abs(etas[0] - etas[1])[far], atol=1e-4)
    np.testing.assert_allclose(column["eta_plus"][far], (etas[0] + etas[1])[far], atol=1e-4)


def test_polynomials_are_those_of_the_features(simulation, moved):
    for table in (simulation.table, moved.table.rebase([0.0])):
        columns = [table.column(name).astype(np.float64) for name in ("sqrt_s", "y", "cos_theta")]
        terms = zh_undecayed.ZHUndecayed().differential_weights(*columns)
        found = terms.sum(axis=0).T
        if "flavour" in table.aux:
            found = np.where((table.aux["flavour"] == 2)[:, np.newaxis], terms[0].T, terms[1].T)
        relative = found / found[:, :1] - table.weights / table.weights[:, :1]
        # float32 features: 6e-8, and sqrt(s) enters with a power of up to 8.
        assert (np.abs(relative) <= 1e-5 * np.abs(found / found[:, :1]).max(axis=0)).all()


def test_events_are_drawn_at_the_reference_point(simulation, moved):
    assert moved.table.basis.reference == (10.0,)
    assert moved.configuration["theta0"] == {"fB": 10.0}
    assert 0.6 <= moved.table.n_eff / moved.table.n_events <= 0.9
    back = moved.table.rebase([0.0])
    for theta in ([0.0], [2.0], [10.0]):
        one, other = simulation.table.at(theta), back.at(theta)
        error = np.sqrt((one**2).sum() + (other**2).sum())
        assert abs(one.sum() - other.sum()) < 4 * error
    assert set(np.unique(back.aux["flavour"])) == {1, 2}


@pytest.mark.slow
def test_closure_at_twenty_points(simulation):
    # The polynomials of one sample against samples drawn at each point.
    for seed, f_b in enumerate(np.random.default_rng(7).uniform(-5.0, 15.0, 20)):
        direct = zh_undecayed.simulate(10_000, seed=100 + seed, theta0=[f_b], show_progress=False)
        moved, weight = simulation.table.at([f_b]), direct.table.weights[:, 0]
        for low in (0.0, 100.0, 300.0):
            one, other = moved[simulation.table.column("pt") >= low], weight[direct.table.column("pt") >= low]
            assert abs(one.sum() - other.sum()) < 4.5 * np.sqrt((one**2).sum() + (other**2).sum()), (f_b, low)


def test_flavours_are_drawn_in_proportion_to_their_weight(moved):
    table = moved.table
    columns = [table.column(name).astype(np.float64) for name in ("sqrt_s", "y", "cos_theta")]
    by_flavour = BASIS.monomials([10.0]) @ zh_undecayed.ZHUndecayed().differential_weights(*columns)
    up = by_flavour[0] / by_flavour.sum(axis=0)
    # Given the kinematics the flavour is a Bernoulli variable.
    deviation = ((table.aux["flavour"] == 2) - up).sum() / np.sqrt((up * (1 - up)).sum())
    assert abs(deviation) < 4


def test_same_seed_same_table(simulation):
    again = zh_undecayed.simulate(10_000, seed=11, show_progress=False)
    np.testing.assert_array_equal(again.table.features, simulation.table.features)
    np.testing.assert_array_equal(again.table.weights, simulation.table.weights)
    assert again.configuration == simulation.configuration


def test_cuts_hold():
    table = zh_undecayed.simulate(500, seed=3, cuts="pt>200, x_eta<1, sqrt_s<900", show_progress=False).table
    assert table.column("pt").min() >= 200.0
    assert table.column("x_eta").max() < 1.0
    assert table.column("sqrt_s").max() <= 900.0


@pytest.mark.slow
def test_rate_is_that_of_the_decay_and_of_its_branching_ratio():
    stable = zh_undecayed.simulate(100, seed=3, mu_f="sqrt_s", show_progress=False)
    decayed = zh.simulate(100, seed=3, show_progress=False)
    rate = decayed.sigma_fb / zh.ZH().branching_ratio
    error = np.hypot(stable.sigma_error_fb, rate * decayed.sigma_error_fb / decayed.sigma_fb)
    assert abs(stable.sigma_fb - rate) < 4 * error
    assert error < 2e-3 * rate


# ---------------------------------------------------------------------- Les Houches events
def test_particles(simulation, moved):
    for sample in (simulation, moved):
        events = sample.lhe_events()
        momenta, pdg = events.momenta.reshape(-1, 4, 4), events.pdg.reshape(-1, 4)
        np.testing.assert_allclose(momenta[:, :2].sum(axis=1), momenta[:, 2:].sum(axis=1), rtol=0, atol=1e-11)
        mass2 = momenta[..., 0] ** 2 - (momenta[..., 1:] ** 2).sum(axis=-1)
        expected = np.array([0.0, 0.0, EW.m_z, EW.m_h]) ** 2
        assert (np.abs(mass2 - expected) < 1e-13 * momenta[..., 0].max() ** 2).all()
        assert (pdg[:, 0] == -pdg[:, 1]).all()
        assert (pdg[:, 2:] == [23, 25]).all()
        # The quark flies along its proton more often, and faster.
        assert (pdg[:, 0] > 0).mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(len(pdg)))
        quark_is_faster = (momenta[:, 0, 0] > momenta[:, 1, 0]) == (pdg[:, 0] > 0)
        assert 0.6 < quark_is_faster.mean() < 0.9
        colour = events.colour.reshape(-1, 4, 2)
        assert (colour[pdg[:, 0] > 0] == [[501, 0], [0, 501], [0, 0], [0, 0]]).all()
        if sample is moved:
            assert (np.abs(pdg[:, 0]) == sample.table.aux["flavour"]).all()


@pytest.mark.parametrize("name", ["simulation", "moved"])
def test_round_trip_through_a_file(name, request, tmp_path):
    sample = request.getfixturevalue(name)
    bit.write_lhe(tmp_path / "zh.lhe", sample.lhe_events(), show_progress=False)
    table = bit.read_lhe(
        tmp_path / "zh.lhe",
        features=zh_undecayed.features_of_particles,
        reference=sample.table.basis.reference,
        show_progress=False,
    )
    assert table.feature_names == sample.table.feature_names
    np.testing.assert_allclose(table.features, sample.table.features, rtol=2e-7, atol=1e-6)
    largest = np.abs(sample.table.weights).max(axis=0)
    assert (np.abs(table.weights - sample.table.weights) <= 1e-9 * largest).all()


def test_weights_of_particles(moved):
    found = zh_undecayed.weights_of_particles(moved.lhe_events())
    expected = moved.table.rebase([0.0]).weights
    # |M|^2 does not depend on the beams: the flavour's own polynomial up to a factor.
    ratio, expected = found / found[:, :1], expected / expected[:, :1]
    assert (np.abs(ratio - expected) <= 1e-9 * np.abs(expected).max(axis=0)).all()


def test_other_events_are_refused(simulation):
    stable = simulation.lhe_events()
    with pytest.raises(InputError, match=r"10000 of 10000 events .* l\+"):
        zh.features_of_particles(stable)
    status = stable.status.copy()
    status[[6, 14]] = 2
    with pytest.raises(InputError, match=r"2 of 10000 events \(first: event 1\) are not .*stable Z"):
        zh_undecayed.features_of_particles(dataclasses.replace(stable, status=status))
    pdg = stable.pdg.copy()
    pdg[0] = 21
    with pytest.raises(InputError, match=r"1 of 10000 events \(first: event 0\) .* quark and antiquark"):
        zh_undecayed.weights_of_particles(dataclasses.replace(stable, pdg=pdg))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_events": 0}, "n_events=0"),
        ({"mu_f": -5.0}, "mu_f=-5.0"),
        ({"flavour": "sumed"}, "did you mean 'summed'"),
        ({"quarks": ("t",)}, "quarks name 't'"),
        ({"mode": "eq22"}, "did you mean 'eq21'"),
        ({"mode": "eq21"}, "has no photon"),
        ({"theta0": [0.1, 0.2]}, "1 coefficient"),
        ({"theta0": {"cHW": 1.0}}, "unknown coefficient 'cHW'"),
        ({"cuts": "pT>200"}, "did you mean 'pt'"),
        ({"cuts": "sqrt_s<200"}, "no phase space"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        zh_undecayed.simulate(**{"n_events": 10, "seed": 1, "show_progress": False} | arguments)
