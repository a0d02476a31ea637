"""Events from a process whose answer is known: density x^2 on the unit interval, weights linear and quadratic in x."""

from dataclasses import dataclass

import numpy as np
import pytest

from bit.basis import FloatArray, PolynomialBasis
from bit.errors import InputError
from bit.processes.record import Particles
from bit.processes.simulation import Events, Feature, generate, reference_point, require_common, require_scale

BASIS = PolynomialBasis(("cW", "cHq3"))
FEATURES = (Feature("x", "", "x"), Feature("angle", "", r"\phi"))


@dataclass(frozen=True)
class Toy:
    """w(theta) = x^2 (1 + a x + b)^2 on the unit square; the second coordinate is an angle that nothing depends on."""

    theta: FloatArray
    n_dim: int = 2

    def __call__(self, points):
        return 1000.0 * self.events(points).terms @ BASIS.monomials(self.theta), np.ones(len(points))

    def events(self, points):
        x, one = points[:, 0], np.ones(len(points))
        terms = x[:, None] ** 2 * np.stack([one, 2 * x, 2 * one, 2 * x**2, 2 * x, 2 * one], axis=-1)
        return Events({"x": x, "angle": points[:, 1]}, terms, {"number": np.floor(10 * x).astype(np.int64)})

    def particles(self, points, rng):
        n, energy = len(points), 100.0 * points[:, 0]
        azimuth = rng.uniform(-np.pi, np.pi, n)
        beam = np.stack([energy, 0 * energy, 0 * energy, energy], axis=-1)
        out = np.stack([energy, energy * np.cos(azimuth), energy * np.sin(azimuth), 0 * energy], axis=-1)
        flip = np.array([1.0, -1.0, -1.0, -1.0])
        return Particles(
            pdg=np.tile([2, -2, 11, -11], (n, 1)),
            status=(-1, -1, 1, 1),
            mothers=((0, 0), (0, 0), (1, 2), (1, 2)),
            colour=np.tile([[501, 0], [0, 501], [0, 0], [0, 0]], (n, 1, 1)),
            momenta=np.stack([beam, beam * flip, out, out * flip], axis=1),
            mass=np.zeros(4),
        )


def sigma(a, b):
    """1000 times the integral of x^2 (1 + a x + b)^2."""
    return 1000.0 * ((1 + b) ** 2 / 3 + 2 * a * (1 + b) / 4 + a**2 / 5)


def simulated(theta, n_events=4000, seed=3):
    point = np.array(theta)
    return generate(
        Toy(point),
        BASIS,
        FEATURES,
        point,
        n_events=n_events,
        seed=seed,
        configuration={"process": "toy", "cuts": None},
        n_eff_fraction=0.9,
        show_progress=False,
    )


@pytest.mark.parametrize("theta", [(0.0, 0.0), (1.5, -0.4)])
def test_events_are_drawn_at_the_reference_point(theta):
    result = simulated(theta)
    table = result.table
    assert table.basis.reference == theta
    assert result.sigma_fb == pytest.approx(sigma(*theta), rel=0, abs=5 * result.sigma_error_fb)
    assert table.sigma_fb == pytest.approx(result.sigma_fb, rel=1e-12)
    # The emphasis is flat and the map follows the density: all but the largest weights are equal.
    assert table.n_eff > 0.99 * table.n_events
    x = table.column("x").astype(np.float64)
    for other in ((0.0, 0.0), (-1.0, 0.3), (2.0, 2.0)):
        polynomial = x**2 * (1 + other[0] * x + other[1]) ** 2
        expected = polynomial / (x**2 * (1 + theta[0] * x + theta[1]) ** 2) * table.weights[:, 0]
        # x is rounded to float32, and ratios of polynomials may vary faster than x.
        np.testing.assert_allclose(table.at(other), expected, rtol=1e-4)
        weights = table.at(other)
        error = np.sqrt(len(x)) * weights.std() + result.sigma_error_fb / result.sigma_fb * weights.sum()
        assert weights.sum() == pytest.approx(sigma(*other), rel=0, abs=5 * error)
    np.testing.assert_array_equal(table.aux["number"], np.floor(10 * result.points[:, 0]))


def test_same_seed_same_events():
    one, same, other = simulated((0.5, 0.0), 500), simulated((0.5, 0.0), 500), simulated((0.5, 0.0), 500, seed=4)
    np.testing.assert_array_equal(one.table.features, same.table.features)
    np.testing.assert_array_equal(one.table.weights, same.table.weights)
    assert (one.table.features != other.table.features).any()
    assert one.configuration == same.configuration
    assert one.configuration["theta0"] == {"cW": 0.5, "cHq3": 0.0}


@pytest.mark.parametrize("theta", [(0.0, 0.0), (0.1, -0.37)])
def test_record_determines_the_polynomials(theta):
    result = simulated(theta, 300)
    events = result.lhe_events()
    assert events.event_norm == "average"
    assert events.weight.mean() == pytest.approx(result.sigma_fb / 1e3, rel=1e-12)
    assert events.sigma_pb == pytest.approx(result.sigma_fb / 1e3, rel=1e-12)
    assert len(events.weight_ids) == BASIS.n_terms
    assert events.beam_energies.tolist() == [6500.0, 6500.0]
    first = events.momenta[events.offsets[0] : events.offsets[1]]
    np.testing.assert_allclose(first[:2].sum(axis=0), first[2:].sum(axis=0), atol=1e-12)
    again = result.lhe_events()
    np.testing.assert_array_equal(events.momenta, again.momenta)


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        ([0.1], "2 coefficients"),
        ([[0.1, 0.2]], "one reference point"),
        ({"cWW": 1.0}, "did you mean 'cW'"),
        ([np.nan, 0.0], "must be finite"),
        ([2e5, 0.0], "theta0 has cW=200000: coefficients are c/Lambda\\^2 in TeV\\^-2, at most 10000"),
    ],
)
def test_reference_points_outside_their_rule(theta, message):
    with pytest.raises(InputError, match=message):
        reference_point(BASIS, theta)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 0.3), "n_events=0"),
        ((1.5, 1, 0.3), "n_events=1.5"),
        ((1, -1, 0.3), "seed=-1"),
        ((1, 1, 0.0), "e=0.0"),
        ((1, 1, np.nan), "e=nan"),
    ],
)
def test_arguments_outside_their_rule(arguments, message):
    with pytest.raises(InputError, match=message):
        require_common(*arguments)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, "mW"])
def test_scales_outside_their_rule(scale):
    with pytest.raises(InputError, match="a positive scale in GeV, or None for mW, is needed"):
        require_scale(scale, "None for mW")
