import math

import numpy as np
import pytest
from scipy.stats import kstest

from bit.errors import InputError
from bit.processes import zh
from bit.processes.analytic import zh_background
from bit.processes.zh_background import RATE, background_density, features_of_particles

N_EVENTS = 20_000


def simulated(n_events, seed, **options):
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    return zh_background(n_events, seed=seed, show_progress=False, **options)


@pytest.fixture(scope="module")
def free():
    return simulated(N_EVENTS, 1, sigma_fb=2.5)


@pytest.fixture(scope="module")
def boosted():
    return simulated(N_EVENTS, 2, cuts="pt>200, abs(y)<2")


@pytest.fixture(scope="module")
def signal():
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    return zh.simulate(200, seed=3, cuts="pt>200, abs(y)<2", show_progress=False)


def test_table(free, boosted):
    for simulation in (free, boosted):
        table = simulation.table
        assert table.feature_names == zh.FEATURE_NAMES
        assert table.features.dtype == np.float32
        assert table.basis.param_names == zh.PARAM_NAMES
        assert table.weights.shape == (N_EVENTS, 10)
        assert (table.weights[:, 0] > 0.0).all()
        assert not table.weights[:, 1:].any()
        assert table.sigma_fb == pytest.approx(simulation.sigma_fb, rel=1e-12)
        assert table.n_eff > 0.999 * N_EVENTS
    assert (free.sigma_fb, free.sigma_error_fb) == (2.5, 0.0)
    assert boosted.table.column("pt").min() >= np.float32(200)
    assert np.abs(boosted.table.column("y")).max() <= 2.0


def test_features_are_those_of_zh(boosted):
    at = {name: boosted.table.column(name).astype(np.float64) for name in zh.FEATURE_NAMES}
    momentum = zh.ZH().z_momentum(at["sqrt_s"])
    np.testing.assert_allclose(at["pt"], momentum * np.sqrt(1 - at["cos_theta"] ** 2), rtol=1e-4)
    five = (at[name] for name in ("sqrt_s", "y", "cos_theta", "cos_theta_l", "phi"))
    for name, values in zh.features_of(*five, at["pt"]).items():
        np.testing.assert_allclose(at[name], values, atol=1e-5 * np.abs(values).max())


def test_distributions(free):
    at = {name: free.table.column(name).astype(np.float64) for name in zh.FEATURE_NAMES}
    electroweak = zh.ZH().electroweak
    low, high = electroweak.m_z + electroweak.m_h, 13000.0
    u = at["y"] / np.log(high / at["sqrt_s"])
    reached = {
        "sqrt_s": (1 - (at["sqrt_s"] / low) ** -4) / (1 - (high / low) ** -4),
        "y": 0.5 + (15 / 16) * (u - 2 * u**3 / 3 + u**5 / 5),
        "cos_theta": 0.5 * (1 + at["cos_theta"]),
        "cos_theta_l": 0.5 + 3 / 8 * (at["cos_theta_l"] + at["cos_theta_l"] ** 3 / 3),
        "phi": 0.5 * (1 + at["phi"] / np.pi),
    }
    for values in reached.values():
        assert kstest(values, "uniform").pvalue > 1e-4
    # Independent of each other: correlations of 1/sqrt(n).
    correlations = np.corrcoef(list(reached.values()))[np.triu_indices(5, 1)]
    assert np.abs(correlations).max() < 4.5 / math.sqrt(N_EVENTS)


def test_density_is_normalised_and_that_of_the_events(free):
    masses = zh.ZH().electroweak
    low, high = masses.m_z + masses.m_h, 13000.0
    nodes, weights = np.polynomial.legendre.leggauss(40)
    # In ln sqrt(s), in u = y/ln(sqrt(S)/sqrt(s)), and in cos th.
    log_s, u, c = np.meshgrid(0.5 * math.log(high / low) * (nodes + 1) + math.log(low), nodes, nodes, indexing="ij")
    y_max = math.log(high) - log_s
    density = background_density(np.exp(log_s), u * y_max, c, slope=4.0) * np.exp(log_s) * y_max
    total = np.einsum("i,j,k,ijk->", weights, weights, weights, density) * 0.5 * math.log(high / low) * 4 * math.pi
    assert total == pytest.approx(1.0, abs=1e-9)
    at = {name: free.table.column(name).astype(np.float64) for name in ("sqrt_s", "y", "cos_theta_l")}
    assert (background_density(np.array([low - 1, 1000.0]), np.array([0.0, 3.0]), np.zeros(2)) == 0).all()
    # The mean of 1/density over the events of a box is its volume.
    box = (at["sqrt_s"] > 250) & (at["sqrt_s"] < 400) & (np.abs(at["y"]) < 1.5) & (at["cos_theta_l"] > 0)
    inverse = np.where(box, 1.0 / background_density(**at), 0.0)
    assert abs(inverse.mean() - 150 * 3 * 1 * 4 * math.pi) < 4 * inverse.std() / math.sqrt(N_EVENTS)


def test_distribution_is_even_under_cp(boosted):
    table = boosted.table
    for name in zh.CP_PARITY.flip:
        values = table.column(name).astype(np.float64)
        assert abs(values.mean()) < 4.5 * values.std() / math.sqrt(N_EVENTS)


def test_rate_is_ten_times_that_of_zh(boosted, signal):
    sigma, error = zh.cross_section(zh.ZH(), "pt>200, abs(y)<2")
    assert error < 3e-3 * sigma
    assert abs(sigma - signal.sigma_fb) < 5 * math.hypot(error, signal.sigma_error_fb)
    assert boosted.sigma_fb == pytest.approx(RATE * sigma, rel=1e-12)
    assert boosted.sigma_error_fb == pytest.approx(RATE * error, rel=1e-12)


def test_background_adds_to_the_signal(boosted, signal):
    both = signal.table.concat(boosted.table)
    assert both.sigma_fb == pytest.approx(signal.sigma_fb + boosted.sigma_fb, rel=1e-12)
    theta = [0.2, -0.1, 0.03]
    assert both.at(theta).sum() == pytest.approx(signal.table.at(theta).sum() + boosted.sigma_fb, rel=1e-12)


def test_reference_point_and_seed(free):
    again = simulated(N_EVENTS, 1, sigma_fb=2.5, theta0={"cHq3": 0.02}).table
    assert again.basis.reference == (0.0, 0.0, 0.02)
    np.testing.assert_array_equal(again.features, free.table.features)
    np.testing.assert_array_equal(again.weights, free.table.weights)


@pytest.fixture(scope="module")
def particles():
    return simulated(2_000, 4, cuts="pt>50").lhe_events()


def test_particles(particles):
    pdg, momenta = particles.pdg.reshape(-1, 7), particles.momenta.reshape(-1, 7, 4)
    assert set(np.unique(pdg[:, 0])) == {-2, 2}
    np.testing.assert_array_equal(pdg[:, 1], -pdg[:, 0])
    np.testing.assert_array_equal(pdg[:, 2:], np.tile([23, 5, -5, 11, -11], (2_000, 1)))
    np.testing.assert_array_equal(particles.status.reshape(-1, 7)[0], [-1, -1, 2, 1, 1, 1, 1])
    # Energies of up to TeV balance to rounding, and squared masses to rounding of their squares.
    incoming, outgoing = momenta[:, :2].sum(axis=1), momenta[:, 3:].sum(axis=1)
    np.testing.assert_allclose(outgoing, incoming, rtol=0.0, atol=1e-9 * incoming[:, 0].max())
    np.testing.assert_allclose(momenta[:, 2], momenta[:, 5] + momenta[:, 6], rtol=1e-12, atol=1e-9)
    electroweak, largest = zh.ZH().electroweak, 1e-13 * incoming[:, 0].max() ** 2
    for members, mass in ((momenta[:, [i]], 0.0) for i in (0, 1, 3, 4, 5, 6)):
        np.testing.assert_allclose(squared_mass(members), mass, atol=largest)
    np.testing.assert_allclose(squared_mass(momenta[:, 3:5]), electroweak.m_h**2, atol=largest)
    np.testing.assert_allclose(squared_mass(momenta[:, 5:7]), electroweak.m_z**2, atol=largest)
    # Colour flows from the quark to the b, anticolour from the antiquark to the bbar.
    colour = particles.colour.reshape(-1, 7, 2)
    assert (colour[..., 0] == np.where((pdg == 2) | (pdg == 5), 501, 0)).all()
    assert (colour[..., 1] == np.where((pdg == -2) | (pdg == -5), 502, 0)).all()


def squared_mass(members):
    energy, x, y, z = members.sum(axis=1).T
    return energy**2 - x**2 - y**2 - z**2


def test_b_quarks_are_isotropic(particles):
    _, _, _, bottom, antibottom, _, _ = np.moveaxis(particles.momenta.reshape(-1, 7, 4), 1, 0)
    pair = bottom + antibottom
    # Energies (E +- k cos)/2 of massless products.
    cos = (bottom - antibottom)[:, 0] / np.linalg.norm(pair[:, 1:], axis=1)
    assert kstest(0.5 * (1 + cos), "uniform").pvalue > 1e-4


def test_features_of_particles(free, boosted):
    for simulation in (free, boosted):
        features, names = features_of_particles(simulation.lhe_events())
        assert names == zh.FEATURE_NAMES
        found, expected = features[:, 0], simulation.table.column("sqrt_s")
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    # Away from the poles of all angles float32 rounding is what is left.
    inner = np.abs(boosted.table.features[:, [3, 5]]).max(axis=1) < 0.99
    difference = np.abs(features - boosted.table.features)[inner] / np.maximum(1.0, np.abs(features[inner]))
    assert difference.max() < 1e-6


def test_other_events_are_refused(signal):
    with pytest.raises(InputError, match=r"200 of 200 events .*are not pp -> Z b bbar"):
        features_of_particles(signal.lhe_events())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_events": 0}, "n_events=0"),
        ({"slope": 1.0}, "slope=1.0"),
        ({"sigma_fb": -2.0}, "sigma_fb=-2.0"),
        ({"mu_f": 0.0}, "mu_f=0.0"),
        ({"cuts": "ptz>20"}, "ptz"),
        ({"cuts": "pt>9000"}, "no phase space"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        zh_background(**{"n_events": 10, "seed": 1, "show_progress": False} | arguments)
