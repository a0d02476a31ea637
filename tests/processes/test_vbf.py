from itertools import product

import numpy as np
import pytest
from papers import vbf as papers
from reference import vbf_spinors

from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.processes import vbf
from bit.processes.currents import dot, levi_civita
from bit.processes.detector import SMALLEST_FACTOR
from bit.processes.fusion import charged_weights
from bit.processes.hvv import FB_GEV2, Electroweak, weights_from_amplitudes
from bit.processes.pdf import AnalyticPDF

BASIS = PolynomialBasis(vbf.PARAM_NAMES)
EW = Electroweak()
SIGNS = {False: (1, 1), True: (1, -1)}


def random_point(rng, n):
    """Columns pT1, y1, pT2, y2, dphi, y_H of events, most of which have momentum fractions below 1."""
    pt = 10.0 ** rng.uniform(0.0, 2.7, (2, n))
    y = rng.uniform(-3.0, 3.0, (2, n))
    return pt[0], y[0], pt[1], y[1], rng.uniform(-np.pi, np.pi, n), rng.uniform(-3.0, 3.0, n)


def kinematics_of(table):
    """Final state from the features, forward jet first."""
    column = {name: table.column(name).astype(np.float64) for name in table.feature_names}
    forward_leads = column["eta_j1"] >= column["eta_j2"]

    def ordered(name):
        one, two = column[f"{name}_j1"], column[f"{name}_j2"]
        return np.where(forward_leads, one, two), np.where(forward_leads, two, one)

    (pt1, pt2), (y1, y2) = ordered("pt"), ordered("eta")
    return vbf.Kinematics.of(pt1, y1, pt2, y2, column["dphi_jj"], column["y_h"], EW.m_h)


def largest_values(terms):
    """Values that terms of shape (n_terms, n) could have without cancellation, sqrt(w_aa w_bb)."""
    order = pairs(len(terms))
    size = {a: np.sqrt(terms[row] / (2 if a else 1)) for row, (a, b) in enumerate(order) if a == b}
    return np.stack([size[a] * size[b] for a, b in order])


# ---------------------------------------------------------------------- amplitudes
def test_reference_point():
    point = vbf.Kinematics.of(*(np.array([value]) for value in (80.0, 2.1, 50.0, -1.7, 0.9, 0.3)), EW.m_h)
    np.testing.assert_allclose([point.plus[0] / 2, point.minus[0] / 2], [447.1817815069, 205.3914731570], rtol=1e-12)
    terms = charged_weights(point, EW)[:, 0]
    # The references have eleven digits, and for the coefficient f_WWtil = -cHWtil twelve decimals.
    assert terms[0] / 4 == pytest.approx(2.8622377058e-04, rel=3e-11)
    np.testing.assert_allclose([-terms[2], terms[5]] / terms[0], [-0.183015628514, 0.017999306325], rtol=0, atol=6e-13)


@pytest.mark.parametrize("antiquark", [False, True])
def test_agrees_with_spinors(rng, antiquark):
    point = random_point(rng, 5000)
    fast = charged_weights(vbf.Kinematics.of(*point, EW.m_h), EW, antiquark=antiquark)
    k1, k2, jet1, jet2, _ = vbf_spinors.momenta(*point, EW)
    one, other = (
        vbf_spinors.amplitudes(k1, k2, jet1, jet2, signs=signs)
        for signs in (SIGNS[antiquark], tuple(-sign for sign in SIGNS[antiquark]))
    )
    slow = weights_from_amplitudes(one[np.newaxis]).T
    # Differences of momenta that differ by up to e^6 and squares of them cancel in the spinors: 1e5 units of rounding.
    assert (np.abs(fast - slow) / largest_values(slow)).max() < 1e-10
    assert np.median(np.abs(fast - slow) / largest_values(slow)) < 1e-14
    # Charge conjugation of both partons gives the same.
    np.testing.assert_allclose(
        weights_from_amplitudes(other[np.newaxis]).T / largest_values(slow), slow / largest_values(slow), atol=1e-10
    )


@pytest.mark.parametrize("antiquark", [False, True])
def test_score_in_scalar_products(rng, antiquark):
    # -(2 v^2/mW^2) [(k1.k2) + (p1.p2)] eps(k1, k2, p1, p2)/[(k1.k2)(p1.p2)] for f = -cHWtil; for quark and antiquark
    # the products are k1.p2 and p1.k2.
    point = random_point(rng, 2000)
    terms = charged_weights(vbf.Kinematics.of(*point, EW.m_h), EW, antiquark=antiquark)
    k1, k2, p1, p2, _ = vbf_spinors.momenta(*point, EW)
    one, other = (dot(k1, p2), dot(p1, k2)) if antiquark else (dot(k1, k2), dot(p1, p2))
    score = -2 * EW.vev2_per_tev2 / EW.m_w**2 * (one + other) * levi_civita(k1, k2, p1, p2) / (one * other)
    # Scalar products of nearly parallel jets cancel.
    np.testing.assert_allclose(-terms[2] / terms[0], score, rtol=1e-9)


@pytest.mark.parametrize("antiquark", [False, True])
def test_polynomial_equals_direct_amplitude(rng, antiquark):
    point = random_point(rng, 500)
    terms = charged_weights(vbf.Kinematics.of(*point, EW.m_h), EW, antiquark=antiquark)
    k1, k2, jet1, jet2, _ = vbf_spinors.momenta(*point, EW)
    parts = vbf_spinors.amplitudes(k1, k2, jet1, jet2, signs=SIGNS[antiquark])
    polynomial = weights_from_amplitudes(parts[np.newaxis])
    for theta in rng.uniform(-3.0, 3.0, (5, 2)):
        direct = np.abs(parts[0] + theta @ parts[1:]) ** 2
        scale = np.abs(parts[0]) ** 2 + (theta**2) @ np.abs(parts[1:]) ** 2
        assert (np.abs(polynomial @ BASIS.monomials(theta) - direct) / scale).max() < 1e-12
        # The closed form differs by the rounding of the spinors, as above.
        assert (np.abs(terms.T @ BASIS.monomials(theta) - direct) / scale).max() < 1e-10


KINDS = [(fusion, quarks) for fusion in ("W", "neutral", "all") for quarks in ("ud", "all")]


@pytest.mark.parametrize(("fusion", "quarks"), KINDS)
def test_every_polynomial_is_positive(rng, fusion, quarks):
    process = vbf.VBF(quarks, fusion=fusion)
    terms = process.differential_weights(vbf.Kinematics.of(*random_point(rng, 3000), EW.m_h))
    possible = terms[0] > 0.0
    assert possible.mean() > 0.8
    assert smallest_eigenvalue(terms.T[possible]).min() > -1e-13


def pairs(n_terms):
    """Pairs (a, b) of amplitudes, 0 for the Standard Model, in the order of the terms."""
    n_params = {6: 2, 28: 6}[n_terms]
    return [(0, b) for b in range(n_params + 1)] + [
        (a, b) for a in range(1, n_params + 1) for b in range(a, n_params + 1)
    ]


def smallest_eigenvalue(terms):
    """Of [[w0, w_a/2], [w_a/2, w_ab/2]] with unit diagonal, for terms of shape (n, n_terms)."""
    order = pairs(terms.shape[1])
    size = order[-1][0] + 1
    form = np.empty((len(terms), size, size))
    for (a, b), column in zip(order, terms.T, strict=True):
        form[:, a, b] = form[:, b, a] = column if a == b == 0 else column / 2
    scale = 1 / np.sqrt(np.einsum("nii->ni", form))
    return np.linalg.eigvalsh(form * scale[:, :, None] * scale[:, None, :])[:, 0]


@pytest.mark.parametrize(("fusion", "quarks"), KINDS)
def test_reflection_is_exact(rng, fusion, quarks):
    pt1, y1, pt2, y2, dphi, y_h = random_point(rng, 2000)
    point, mirrored = (vbf.Kinematics.of(pt1, y1, pt2, y2, angle, y_h, EW.m_h) for angle in (dphi, -dphi))
    process = vbf.VBF(quarks, fusion=fusion)
    parity = vbf.CP_PARITY if fusion == "W" else vbf.NEUTRAL_CP_PARITY
    sign = parity.term_sign(process.basis.terms)
    expected = [(-1.0) ** sum(name.endswith("til") for name in term) for term in process.basis.terms]
    assert sign.tolist() == expected
    np.testing.assert_array_equal(
        process.differential_weights(mirrored), sign[:, None] * process.differential_weights(point)
    )
    here, there = (np.stack(list(vbf.features_of(at, EW.m_h).values()), axis=-1) for at in (point, mirrored))
    np.testing.assert_array_equal(parity.mirror(here, vbf.FEATURE_NAMES), there)


QUARKS = (2, 4, 1, 3, 5, -2, -4, -1, -3, -5)


def parton_amplitudes(one, two, k1, k2, jets, *, charged):
    """Amplitudes of two partons by W or by neutral fusion, shape (n_helicities, n_amplitudes, n); None without any."""
    if not charged:
        like = [int(np.sign(parton)) * (1 if parton % 2 else 2) for parton in (one, two)]
        return vbf_spinors.neutral_amplitudes(k1, k2, *jets, like)
    # Up quarks and down antiquarks emit W+, the others W-; the Higgs boson needs one of each.
    plus = [(parton > 0) == (parton % 2 == 0) for parton in (one, two)]
    if plus[0] == plus[1] or 5 in (abs(one), abs(two)):
        return None
    return vbf_spinors.amplitudes(k1, k2, *jets, signs=(np.sign(one), np.sign(two)))[np.newaxis]


@pytest.mark.parametrize(("fusion", "quarks"), KINDS)
def test_sum_over_flavours_one_by_one(rng, fusion, quarks):
    # Each parton with a density of its own: a wrong partner would show.
    pdf = AnalyticPDF({parton: (1.0 + 0.3 * i, -0.1 * i, 2.0 + 0.2 * i) for i, parton in enumerate(QUARKS)})
    point = random_point(rng, 50)
    process = vbf.VBF(quarks, pdf=pdf, fusion=fusion)
    found = process.differential_weights(vbf.Kinematics.of(*point, EW.m_h))
    k1, k2, jet1, jet2, _ = vbf_spinors.momenta(*point, EW)
    x1, x2 = 2 * k1[:, 0] / vbf.SQRT_S_GEV, 2 * k2[:, 0] / vbf.SQRT_S_GEV
    expected = np.zeros_like(found)
    place = [process.basis.terms.index(term) for term in BASIS.terms]
    for one, two in product(QUARKS, QUARKS):
        if quarks == "ud" and {one, two} != {1, 2}:
            continue
        density = pdf.xf((one,), x1, 80.0)[:, 0] * pdf.xf((two,), x2, 80.0)[:, 0] / (x1 * x2)
        for jets, charged in product(((jet1, jet2), (jet2, jet1)), (True, False)):
            if fusion == ("neutral" if charged else "W"):
                continue
            amplitudes = parton_amplitudes(one, two, k1, k2, jets, charged=charged)
            if amplitudes is not None:
                expected[place if charged else slice(None)] += density * weights_from_amplitudes(amplitudes).T / 4
    # 1/(2s) |M|^2/4 (2 pi)^4 delta^4 prod d^3p/((2 pi)^3 2E), with d^3p/(2E) = pT dpT dphi dy/2.
    measure = (2 * np.pi) ** 4 * (2 / vbf.SQRT_S_GEV**2) * (1 / (2 * (2 * np.pi) ** 3)) ** 3 * 2 * np.pi
    expected = expected * FB_GEV2 * measure * point[0] * point[2] / (2 * x1 * x2 * vbf.SQRT_S_GEV**2)
    np.testing.assert_allclose(found / largest_values(expected), expected / largest_values(expected), atol=1e-10)


def test_names_of_the_jets_do_not_matter(rng):
    point = vbf.Kinematics.of(*random_point(rng, 200), EW.m_h)
    process = vbf.VBF("all")
    here, there = process.differential_weights(point), process.differential_weights(point.exchanged())
    # The same terms summed in another order.
    assert (np.abs(here - there) / largest_values(here)).max() < 1e-14
    for one, other in zip(*(vbf.features_of(at, EW.m_h).values() for at in (point, point.exchanged())), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_no_events_beyond_the_beam_energy():
    point = vbf.Kinematics.of(*(np.array([value]) for value in (500.0, 4.0, 50.0, -1.0, 0.4, 0.0)), EW.m_h)
    assert point.plus[0] > vbf.SQRT_S_GEV
    assert (vbf.VBF("all").differential_weights(point) == 0.0).all()


# ---------------------------------------------------------------------- features
def test_features_from_four_vectors(rng):
    point = random_point(rng, 500)
    found = vbf.features_of(vbf.Kinematics.of(*point, EW.m_h), EW.m_h)
    k1, k2, one, two, higgs = vbf_spinors.momenta(*point, EW)
    np.testing.assert_allclose(k1 + k2, one + two + higgs, atol=1e-9)
    np.testing.assert_allclose(found["m_jj"] ** 2, 2 * dot(one, two), rtol=1e-8)
    np.testing.assert_allclose(found["pt_h"], np.hypot(higgs[:, 1], higgs[:, 2]), rtol=1e-12)
    np.testing.assert_allclose(found["y_h"], np.arctanh(higgs[:, 3] / higgs[:, 0]), rtol=1e-9, atol=1e-12)
    ahead = np.where((point[1] > point[3])[:, None], one, two)
    behind = one + two - ahead
    cross = ahead[:, 2] * behind[:, 1] - ahead[:, 1] * behind[:, 2]
    size = found["pt_j1"] * found["pt_j2"]
    np.testing.assert_allclose(found["sin_dphi"], cross / size, atol=1e-12)
    np.testing.assert_allclose(found["cos_dphi"], (one[:, 1] * two[:, 1] + one[:, 2] * two[:, 2]) / size, atol=1e-12)
    np.testing.assert_allclose(found["dphi_jj"], np.arctan2(cross, found["cos_dphi"] * size), atol=1e-12)
    assert (found["pt_j1"] >= found["pt_j2"]).all()
    leading = np.where((point[0] > point[2])[:, None], one, two)
    np.testing.assert_allclose(found["eta_j1"], np.arctanh(leading[:, 3] / leading[:, 0]), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["eta_prod"], found["eta_j1"] * found["eta_j2"], rtol=1e-13)
    np.testing.assert_allclose(found["deta_jj"], np.abs(found["eta_j1"] - found["eta_j2"]), rtol=1e-13)
    np.testing.assert_allclose(found["x_times"] ** 2, found["x1"] * found["x2"], rtol=1e-13)
    np.testing.assert_allclose(found["x1"] * EW.m_h, found["pt_j1"], rtol=1e-13)
    np.testing.assert_allclose(found["x2"] * EW.m_h, found["pt_j2"], rtol=1e-13)
    np.testing.assert_allclose(found["x_h"] * EW.m_h, found["pt_h"], rtol=1e-13)


def test_angle_stays_in_its_range():
    # Smearing may carry the angle beyond pi.
    pi = np.pi
    angles = np.array([pi, -pi, pi + 0.1, -pi - 0.1, 0.0])
    same = np.full(5, 30.0)
    point = vbf.Kinematics.of(same, same / 30, same, -same / 30, angles, same / 30, EW.m_h)
    found = vbf.features_of(point, EW.m_h)["dphi_jj"]
    np.testing.assert_allclose(found, [pi, -pi, 0.1 - pi, pi - 0.1, 0.0], atol=1e-14)
    assert np.abs(found).max() <= pi


def test_smearing(rng):
    n = 100_000
    columns = [np.full(n, value) for value in (50.0, 2.0, 30.0, -1.5, 0.5, 0.3)]
    exact = vbf.Kinematics.of(*columns, EW.m_h)
    seen = vbf.smeared(exact, np.zeros((n, 5)), EW.m_h)
    np.testing.assert_array_equal(
        [seen.pt1, seen.y2, seen.dphi, seen.plus], [exact.pt1, exact.y2, exact.dphi, exact.plus]
    )
    seen = vbf.smeared(exact, rng.standard_normal((n, 5)), EW.m_h)
    for values, mean, spread in (
        (seen.pt1, 50.0, 50.0 * np.sqrt(0.64 / 50.0 + 0.0025)),
        (seen.pt2, 30.0, 30.0 * np.sqrt(0.64 / 30.0 + 0.0025)),
        (seen.y1, 2.0, 0.02),
        (seen.y2, -1.5, 0.02),
        (seen.dphi, 0.5, 0.02 * np.sqrt(2)),
    ):
        # Five standard errors of mean and standard deviation.
        assert values.mean() == pytest.approx(mean, abs=5 * spread / np.sqrt(n))
        assert values.std() == pytest.approx(spread, rel=5 / np.sqrt(2 * n))
    np.testing.assert_array_equal(seen.y_h, exact.y_h)
    balance = np.hypot(seen.pt1 + seen.pt2 * np.cos(seen.dphi), seen.pt2 * np.sin(seen.dphi))
    np.testing.assert_array_equal(seen.pt_h, balance)
    soft = vbf.smeared(vbf.Kinematics.of(*[column / 50 for column in columns], EW.m_h), np.full((n, 5), -2.0), EW.m_h)
    np.testing.assert_allclose(soft.pt1, SMALLEST_FACTOR * columns[0] / 50, rtol=1e-12)


# ---------------------------------------------------------------------- simulation
@pytest.fixture(scope="module")
def simulation():
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    return vbf.simulate(50_000, seed=11, cuts="P", show_progress=False)


@pytest.fixture(scope="module")
def smeared():
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    return vbf.simulate(50_000, seed=12, cuts="P", smear=True, show_progress=False)


def test_table(simulation):
    table = simulation.table
    assert table.feature_names == vbf.FEATURE_NAMES
    assert dict(zip(table.feature_names, table.units, strict=True))["m_jj"] == "GeV"
    assert table.features.dtype == np.float32
    assert table.basis == BASIS
    assert table.weights.shape == (50_000, 6)
    assert table.sigma_fb == pytest.approx(simulation.sigma_fb, rel=1e-12)
    assert 0.0 < simulation.sigma_error_fb < 2e-3 * simulation.sigma_fb
    assert (table.weights[:, 0] > 0.0).all()
    assert smallest_eigenvalue(table.weights).min() > -1e-13
    assert table.n_eff > 0.9 * table.n_events


@pytest.mark.parametrize("name", ["simulation", "smeared"])
def test_cuts_hold(name, request):
    table = request.getfixturevalue(name).table
    assert table.column("pt_j2").min() >= 20.0
    assert max(np.abs(table.column(jet)).max() for jet in ("eta_j1", "eta_j2")) <= 5.0
    assert table.column("deta_jj").min() >= 2.0
    assert np.abs(table.column("dphi_jj")).max() <= np.float32(np.pi)


def test_truth_is_a_function_of_the_features(simulation):
    again = vbf.VBF().differential_weights(kinematics_of(simulation.table)).T
    ratio = again / again[:, :1]
    # float32 features: relative rounding 6e-8, relative to the largest value of each term.
    relative = np.abs(ratio - simulation.table.weights / simulation.table.weights[:, :1]) / np.abs(ratio).max(axis=0)
    assert relative.max() < 1e-5


def test_smearing_leaves_the_weights(simulation, smeared):
    again = vbf.VBF().differential_weights(kinematics_of(smeared.table)).T
    truth = smeared.table.weights / smeared.table.weights[:, :1]
    assert np.median(np.abs(again / again[:, :1] - truth)[:, 2] / np.abs(truth[:, 2])) > 0.01
    assert smeared.table.n_eff > 0.8 * smeared.table.n_events
    assert smallest_eigenvalue(smeared.table.weights).min() > -1e-13
    assert smeared.configuration["smear"]
    # As many events enter the cuts as leave them to a few per cent.
    assert smeared.sigma_fb == pytest.approx(simulation.sigma_fb, rel=0.03)


def test_tail_is_oversampled(simulation):
    size, weight = simulation.table.column("x_times"), simulation.table.weights[:, 0]
    tail = size > 2.0
    assert tail.mean() > 1.5 * weight[tail].sum() / weight.sum()


def test_rate_is_even_in_the_angle(simulation):
    weight, score = simulation.table.weights[:, 0], simulation.table.joint_ratio()[:, 1:2]
    for values in (score[:, 0], simulation.table.column("sin_dphi")):
        mean = weight @ values / weight.sum()
        assert abs(mean) < 5 * np.sqrt(weight**2 @ (values - mean) ** 2) / weight.sum()


def test_a_positive_coefficient_moves_events_to_positive_angles(simulation):
    # f_WWtil = -cHWtil > 0 moves them to negative ones (arXiv:2109.10414, Section 4.2).
    angle = simulation.table.column("sin_dphi")
    # The mean of the sine is 0.09, its standard error 0.003.
    assert simulation.table.at([0.0, 0.5]) @ angle > 0.05 * simulation.sigma_fb


def test_seed(simulation):
    again = vbf.simulate(50_000, seed=11, cuts="P", show_progress=False)
    np.testing.assert_array_equal(again.table.features, simulation.table.features)
    np.testing.assert_array_equal(again.table.weights, simulation.table.weights)


THETA0 = {"cHW": 0.5, "cHWtil": -1.0}


@pytest.fixture(scope="module")
def moved():
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    return vbf.simulate(50_000, seed=13, cuts="P", theta0=THETA0, show_progress=False)


def test_reference_point_of_the_weights(moved):
    assert moved.table.basis.reference == (0.5, -1.0)
    assert moved.configuration["theta0"] == THETA0
    assert moved.table.sigma_fb == pytest.approx(moved.sigma_fb, rel=1e-12)
    # Events are drawn at the reference point: its weights are the ones that vary little.
    assert moved.table.n_eff > 0.9 * moved.table.n_events
    terms = moved.table.rebase([0.0, 0.0]).weights
    again = vbf.VBF().differential_weights(kinematics_of(moved.table)).T
    at_point = BASIS.monomials([0.5, -1.0])
    ratio, expected = terms / (terms @ at_point)[:, None], again / (again @ at_point)[:, None]
    # float32 features, relative to the largest value of each term.
    assert (np.abs(ratio - expected) / np.abs(expected).max(axis=0)).max() < 1e-5


def mean_at(simulation, theta):
    """Cross-section at theta from the weights of a sample, and its standard error."""
    table = simulation.table
    reference, there = table.weights[:, 0], table.at(theta)
    ratio = there.sum() / reference.sum()
    # The sum of the weights is normalised to the cross-section at the reference point, with an error of its own.
    scatter = np.sqrt(((there - ratio * reference) ** 2).sum())
    return there.sum(), np.hypot(scatter, ratio * simulation.sigma_error_fb)


def check_agreement(pairs_of_values):
    """Each value within four of its standard errors of the other."""
    for (one, error), (other, other_error) in pairs_of_values:
        assert abs(one - other) < 4 * np.hypot(error, other_error)


def test_cross_sections_of_samples_agree(simulation, moved):
    standard = [0.0, 0.0]
    check_agreement(
        [
            (mean_at(moved, standard), (simulation.sigma_fb, simulation.sigma_error_fb)),
            (mean_at(simulation, THETA0), (moved.sigma_fb, moved.sigma_error_fb)),
        ]
    )
    # The samples are large enough to see the difference.
    assert abs(moved.sigma_fb - simulation.sigma_fb) > 10 * np.hypot(moved.sigma_error_fb, simulation.sigma_error_fb)


def closure(fusion, n_points, n_events, seed):
    """Cross-sections at random points from the weights of one sample and from direct generation."""
    rng = np.random.default_rng(seed)
    sample = vbf.simulate(n_events, seed=seed, fusion=fusion, quarks="all", cuts="P", show_progress=False)
    names = sample.table.basis.param_names
    for number in range(n_points):
        theta = dict(zip(names, rng.uniform(-1.0, 1.0, len(names)).tolist(), strict=True))
        direct = vbf.simulate(
            100, seed=seed + number + 1, fusion=fusion, quarks="all", cuts="P", theta0=theta, show_progress=False
        )
        yield mean_at(sample, theta), (direct.sigma_fb, direct.sigma_error_fb)


def test_closure():
    check_agreement(closure("W", 2, 20_000, seed=35))


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["W", "neutral"])
def test_closure_at_many_points(fusion):
    results = list(closure(fusion, 20, 200_000, seed=50))
    check_agreement(results)
    assert len(results) == 20


def test_cuts_on_one_side():
    # Cuts without absolute value do not narrow the range of rapidities on the other side.
    table = vbf.simulate(3000, seed=3, cuts="eta_j1<1, eta_j2<3, pt_j1<60, deta_jj<4", show_progress=False).table
    assert table.column("eta_j1").min() < -3.0
    assert table.column("eta_j1").max() < 1.0
    assert table.column("pt_j1").max() < 60.0
    assert table.column("deta_jj").max() < 4.0


# ---------------------------------------------------------------------- published and reference numbers
def check(row, tolerance):
    """Within the tolerance of the reference, which includes its own statistics, and three standard errors of ours."""
    assert abs(row.ours - row.reference) < tolerance * abs(row.reference) + 3 * row.error, row


# Of the MSE of formulas with a reference.
PARTONS = {
    "a dphi": 0.08,
    "a dphi x1": 0.08,
    "(-x1-a) sin(sin(dphi))": 0.08,
    "(a-x1) x2 sin(dphi)": 0.10,
    "Eq. 39": 0.10,
}


def check_partons(simulation):
    sigma, spread = papers.spread(simulation)
    assert sigma.ours == pytest.approx(sigma.reference, rel=0.02, abs=5 * sigma.error)
    check(spread, 0.05)
    compared = [formula for formula in papers.TABLE_8 if formula.reference]
    assert [formula.text for formula in compared] == list(PARTONS)
    for formula in compared:
        check(papers.mse_row(simulation.table, formula), PARTONS[formula.text])
    slope = papers.slope(simulation.table)
    assert slope.ours == pytest.approx(slope.reference, rel=0.03)
    return spread


def check_smeared(simulation):
    for formula in papers.SMEARED:
        check(papers.mse_row(simulation.table, formula), 0.05)


def test_symbolic_formulas(simulation):
    # arXiv:2109.10414, Table 8, from an independent leading-order calculation with the same densities.
    check_partons(simulation)


def test_symbolic_formulas_after_smearing(smeared):
    # Tables 10 and 11.
    check_smeared(smeared)


@pytest.mark.slow
def test_symbolic_formulas_large():
    large = vbf.simulate(500_000, seed=21, cuts="P", show_progress=False)
    spread = check_partons(large)
    # At this size the tolerance is that of the reference.
    assert spread.error < 0.01 * spread.ours
    a, b, c, d = papers.parameters(large.table, papers.EQ_39.start, papers.EQ_39_REFERENCE)
    for row, tolerance in ((a, 0.05), (b, 0.05), (c, 0.10)):
        assert row.ours == pytest.approx(row.reference, rel=tolerance)
    assert abs(d.ours) < 0.005
    published = papers.as_published(large.table, papers.EQ_39, papers.EQ_39_AS_PUBLISHED)
    assert published.ours == pytest.approx(published.reference, rel=0.10)
    check_smeared(vbf.simulate(500_000, seed=22, cuts="P", smear=True, show_progress=False))


def at_a_large_coefficient(n_events):
    return papers.sample(n_events, 23, f=1.0).table


def test_score_at_a_large_coefficient():
    # Table 9 of arXiv:2109.10414 at f_WWtil = 1.
    table = at_a_large_coefficient(20_000)
    check(papers.mse_row(table, papers.TABLE_9[0]), 0.10)
    check(papers.mse_row(table, papers.EQ_41), 0.25)


@pytest.mark.slow
def test_score_at_a_large_coefficient_large():
    table = at_a_large_coefficient(500_000)
    check(papers.mse_row(table, papers.TABLE_9[0]), 0.10)
    refitted, published = papers.mse_row(table, papers.EQ_41), papers.as_published(table, papers.EQ_41)
    check(refitted, 0.25)
    assert refitted.ours < published.ours < papers.mse_row(table, papers.TABLE_9[0]).ours


@pytest.mark.parametrize("fusion", ["W", "neutral"])
def test_all_flavours_without_cuts(fusion):
    result = papers.total(fusion, 100, 25)
    row = papers.total_row(result)
    assert row.error < 3e-3 * row.ours
    assert row.ours == pytest.approx(row.reference, rel=0.03)
    assert result.configuration["fusion"] == fusion
    assert result.configuration["cuts"] is None
    assert result.configuration["mu_f"] == EW.m_w


def test_all_flavours_with_cuts():
    result = vbf.simulate(2000, seed=26, quarks="all", cuts="T", show_progress=False)
    assert result.sigma_error_fb < 3e-3 * result.sigma_fb
    assert result.sigma_fb == pytest.approx(874.0, rel=0.02)
    assert result.configuration["quarks"] == "all"
    assert "m_jj>350" in result.configuration["cuts"]
    for name, low in (("m_jj", 350.0), ("pt_j1", 40.0), ("pt_j2", 30.0), ("deta_jj", 3.0)):
        assert result.table.column(name).min() >= low
    assert result.table.column("eta_prod").max() < 0.0


@pytest.mark.slow
def test_cross_sections_of_seeds_scatter_by_their_error():
    results = [vbf.simulate(100, seed=seed, cuts="P", show_progress=False) for seed in range(12)]
    sigma, error = (np.array([getattr(result, name) for result in results]) for name in ("sigma_fb", "sigma_error_fb"))
    pull = (sigma - np.average(sigma, weights=error**-2)) / error
    # chi2 with 11 degrees of freedom lies between 1.9 and 35 with probability 1 - 1e-3.
    assert 1.9 < (pull**2).sum() < 35


def test_settings_matter(rng):
    point = vbf.Kinematics.of(*random_point(rng, 50), EW.m_h)
    strong = vbf.VBF(electroweak=Electroweak(e=0.31345)).differential_weights(point)
    # |M|^2 ~ e^4.
    default = vbf.VBF().differential_weights(point)
    np.testing.assert_allclose(strong, default * (0.31345 / 0.3028) ** 4, rtol=1e-12)
    result = vbf.simulate(100, seed=3, cuts="P", e=0.31345, mu_f=200.0, show_progress=False)
    sigma = result.sigma_fb / (0.31345 / 0.3028) ** 4
    # A few per cent from the scale, against 679 fb at mW.
    assert sigma == pytest.approx(679.0, rel=0.2)
    assert abs(sigma - 679.0) > 10 * result.sigma_error_fb
    assert result.configuration["mu_f"] == 200.0


# ---------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_events": 0}, "n_events=0"),
        ({"n_events": 2.5}, "n_events=2.5"),
        ({"seed": -1}, "seed=-1"),
        ({"mu_f": -5.0}, "mu_f=-5.0"),
        ({"mu_f": "sqrt_s"}, "mu_f='sqrt_s'"),
        ({"e": 0.0}, "e=0.0"),
        ({"quarks": "al"}, "did you mean 'all'"),
        ({"fusion": "neutrl"}, "did you mean 'neutral'"),
        ({"fusion": "all", "theta0": [0.1, 0.2]}, "6 coefficients"),
        ({"theta0": [0.1]}, "2 coefficients"),
        ({"theta0": [[0.1, 0.2]]}, "one reference point"),
        ({"theta0": {"cHWtild": 1.0}}, "did you mean 'cHWtil'"),
        ({"cuts": "pt_j3>20"}, "did you mean 'pt_j"),
        ({"cuts": "pt_j2>7000"}, "leave no phase space"),
        ({"cuts": "deta_jj>11"}, "leave no phase space"),
        ({"cuts": "abs(eta_j1)<1, abs(eta_j2)<1, deta_jj>2"}, "leave no phase space"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        vbf.simulate(**{"n_events": 10, "seed": 1, "show_progress": False} | arguments)


def test_cuts_that_only_sampling_finds_empty():
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    with pytest.raises(InputError, match=r"m_jj>13000.*loosen the cuts"):
        vbf.simulate(10, seed=1, cuts="m_jj>13000", show_progress=False)
