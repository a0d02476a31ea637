import dataclasses
import math

import numpy as np
import pytest

from bit.errors import InputError
from bit.processes import detector
from bit.processes.currents import dot
from bit.processes.detector import Detector, Response

KINDS = ["jets", "electrons", "muons", "photons"]
N = 100_000


def response(kind):
    return getattr(Detector(), kind)


def particle(pt, eta, phi=0.3, mass=0.0):
    pt, eta, phi, mass = np.broadcast_arrays(pt, eta, phi, mass)
    p = pt * np.cosh(eta)
    return np.stack([np.hypot(p, mass), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1).astype(float)


def rapidity(momenta):
    return np.arctanh(momenta[..., 3] / momenta[..., 0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("pt", "eta"), [(30.0, 0.0), (200.0, 1.7)])
def test_moments_are_the_stated_resolutions(rng, kind, pt, eta):
    true = particle(np.full(N, pt), eta)
    seen = response(kind).smear(true, rng.standard_normal((N, 3)))
    size = pt if response(kind).measures == "pt" else pt * np.cosh(eta)
    sigma = response(kind).resolution(np.array(size))
    angle = response(kind).angle
    ratio = np.hypot(seen[:, 1], seen[:, 2]) / pt
    # Standard errors: sigma/sqrt(n) of a mean, sigma/sqrt(2n) of a standard deviation.
    for values, mean, width in (
        (ratio, 1.0, sigma),
        (rapidity(seen), eta, angle),
        (np.arctan2(seen[:, 2], seen[:, 1]), 0.3, angle),
    ):
        assert abs(values.mean() - mean) < 5 * width / math.sqrt(N)
        assert abs(values.std() - width) < 5 * width / math.sqrt(2 * N)
    # The three are independent: correlations of 1/sqrt(n).
    both = np.corrcoef([ratio, rapidity(seen), np.arctan2(seen[:, 2], seen[:, 1])])
    assert np.abs(both[np.triu_indices(3, 1)]).max() < 5 / math.sqrt(N)


@pytest.mark.parametrize(
    ("kind", "size", "expected"),
    [
        ("jets", 64.0, math.hypot(0.1, 0.05)),
        ("electrons", 25.0, math.sqrt(0.02**2 + 0.012**2 + 0.01**2)),
        ("photons", 100.0, math.sqrt(0.01**2 + 0.003**2 + 0.01**2)),
        ("muons", 1000.0, math.hypot(0.1, 0.015)),
    ],
)
def test_documented_resolutions(kind, size, expected):
    assert response(kind).resolution(np.array(size)) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_momenta_stay_physical(rng, kind):
    n = 5000
    mass = np.where(rng.random(n) < 0.5, 0.0, rng.uniform(0.0, 30.0, n))
    true = particle(rng.uniform(1.0, 500.0, n), rng.uniform(-4.0, 4.0, n), rng.uniform(-3.0, 3.0, n), mass)
    kept = true.copy()
    normals = 4.0 * rng.standard_normal((n, 3))
    seen = response(kind).smear(true, normals)
    np.testing.assert_array_equal(true, kept)
    pt = np.hypot(seen[:, 1], seen[:, 2])
    factor = pt / np.hypot(true[:, 1], true[:, 2])
    assert factor.min() >= detector.SMALLEST_FACTOR * (1 - 1e-12)
    # m^2 is a difference of squares of energies, with their rounding.
    mass_squared = dot(seen, seen)
    assert (np.abs(mass_squared - (factor * mass) ** 2) < 1e-13 * seen[:, 0] ** 2).all()
    shift = np.angle((seen[:, 1] + 1j * seen[:, 2]) / (true[:, 1] + 1j * true[:, 2]))
    np.testing.assert_allclose(shift, response(kind).angle * normals[:, 2], atol=1e-12)


def test_poor_resolution_is_cut_off():
    true = particle(np.array([20.0, 20.0]), 1.0)
    normals = np.array([[-50.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    seen = detector.JETS.smear(true, normals)
    np.testing.assert_allclose(seen[0], detector.SMALLEST_FACTOR * true[0], rtol=1e-15)
    np.testing.assert_allclose(seen[1], (1.0 + math.sqrt(0.8**2 / 20.0 + 0.05**2)) * true[1], rtol=1e-14)


def test_without_resolution_nothing_changes(rng):
    perfect = Response()
    ideal = Detector(jets=perfect, electrons=perfect, muons=perfect, photons=perfect, missing=0.0)
    true = particle(rng.uniform(1, 500, 999), rng.uniform(-4, 4, 999), rng.uniform(-3, 3, 999), rng.uniform(0, 9, 999))
    normals = rng.standard_normal((999, 3))
    np.testing.assert_array_equal(ideal.jets.smear(true, normals), true)
    np.testing.assert_array_equal(ideal.smear_leptons(true, rng.random(999) < 0.5, normals), true)
    np.testing.assert_array_equal(ideal.smear_missing(true[:, 1:3], true[:, 0], normals[:, :2]), true[:, 1:3])
    np.testing.assert_array_equal(ideal.photons.efficiency(true), 1.0)


def test_leptons_by_flavour(rng):
    true, normals = particle(rng.uniform(10, 90, (4, 50)), 0.7), rng.standard_normal((4, 50, 3))
    electrons = rng.random((4, 50)) < 0.5
    seen = Detector().smear_leptons(true, electrons, normals)
    np.testing.assert_array_equal(seen[electrons], detector.ELECTRONS.smear(true, normals)[electrons])
    np.testing.assert_array_equal(seen[~electrons], detector.MUONS.smear(true, normals)[~electrons])


@pytest.mark.parametrize("sum_et", [100.0, 900.0])
def test_missing_momentum(rng, sum_et):
    true = np.broadcast_to([30.0, -10.0], (N, 2))
    residual = Detector().smear_missing(true, np.full(N, sum_et), rng.standard_normal((N, 2))) - true
    sigma = 0.5 * math.sqrt(sum_et)
    assert np.abs(residual.mean(axis=0)).max() < 5 * sigma / math.sqrt(N)
    assert np.abs(residual.std(axis=0) - sigma).max() < 5 * sigma / math.sqrt(2 * N)


@pytest.mark.parametrize("kind", KINDS)
def test_efficiency(rng, kind):
    at = response(kind)
    pt = np.linspace(at.pt_min + 0.1, 2000.0, 500)
    rising = at.efficiency(particle(pt, 0.0))
    assert (np.diff(rising) >= 0).all()
    assert rising[-1] == pytest.approx(at.plateau, abs=1e-12)
    falling = at.efficiency(particle(60.0, np.linspace(0.0, at.eta_max, 100)[:-1]))
    assert (np.diff(falling) <= 0).all()
    assert (at.efficiency(particle([at.pt_min - 0.1, 60.0], [0.0, at.eta_max + 0.01])) == 0.0).all()
    # The share that is identified has a binomial error.
    probability = float(at.efficiency(particle(at.pt_min + 1.0, 1.0)))
    found = at.identified(particle(np.full(N, at.pt_min + 1.0), 1.0), rng.random(N)).mean()
    assert abs(found - probability) <= 5 * math.sqrt(probability * (1 - probability) / N)


def test_documented_efficiency():
    value = detector.ELECTRONS.efficiency(particle(8.0, 1.235))
    assert value == pytest.approx(0.95 * (1 - math.exp(-2.0)) * (1 - 0.05 / 4), rel=1e-12)


def test_acceptance():
    momenta = particle([21.0, 19.0, 100.0, 100.0], [0.0, 0.0, 4.4, -4.6])
    assert detector.JETS.accepts(momenta).tolist() == [True, False, True, False]


def test_parameters_can_be_changed():
    poor = dataclasses.replace(Detector(), jets=dataclasses.replace(detector.JETS, stochastic=1.2))
    assert poor.jets.resolution(np.array(36.0)) == pytest.approx(math.hypot(0.2, 0.05), rel=1e-14)
    assert poor.configuration()["jets"]["stochastic"] == 1.2
    assert poor.configuration()["missing"] == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Response(stochastic=-0.1), "stochastic=-0.1"),
        (lambda: Response(noise=float("nan")), "noise=nan"),
        (lambda: Response(turn_on=float("inf")), "turn_on=inf"),
        (lambda: Response(plateau=1.1), "plateau=1.1"),
        (lambda: Response(forward=-0.5), "forward=-0.5"),
        (lambda: Response(eta_max=0.0), "eta_max=0.0"),
        (lambda: Response(measures="energ"), "did you mean 'energy'"),
        (lambda: Detector(missing=-1.0), "missing=-1.0"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(InputError, match=message):
        make()
