import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.special import xlogy
from scipy.stats import chi2

from bit.basis import PolynomialBasis
from bit.errors import BitWarning, InputError
from bit.events import EventTable
from bit.inference import (
    Channel,
    Likelihood,
    Model,
    Sample,
    Template,
    choose_edges,
    fill,
    fit,
    information,
    limits,
    scan,
)

ONE = PolynomialBasis(["a"], order=1)
TWO = PolynomialBasis(["a", "b"])
SUMS = np.array([[10.0, 1.0, 0.5, 0.6, 0.1, 0.3], [4.0, -2.0, 0.1, 1.5, 0.2, 0.4], [7.0, 0.3, -0.7, 0.2, -0.1, 1.0]])


def template(sums, basis=TWO, *, lumi_fb=1.0, process="signal", events=None):
    """With `events` simulated events in each bin, all of the same weights: sum w w^T = sums sums^T / events."""
    sums = np.atleast_2d(np.asarray(sums, dtype=float))
    n_bins, n_terms = sums.shape
    squares = np.zeros((n_bins, n_terms, n_terms))
    if events is not None:
        squares = np.einsum("bk,bl->bkl", sums, sums) / np.reshape(events, (-1, 1, 1))
    return Template(process, basis, (np.arange(n_bins + 1.0),), sums, squares, np.zeros(n_terms), lumi_fb)


def random_template(rng, basis, n_bins, *, process="signal", lumi_fb=2.0, events=30):
    """Squared amplitudes of some events per bin, together about 6 fb, whose interference differs between bins."""
    n = basis.n_params
    amplitude = rng.normal(0, 0.3, (n_bins, 1, n)) + rng.normal(0, 0.5, (n_bins, events, n))
    shift = 1 + amplitude @ np.array(basis.reference)
    columns = [shift**2]
    for term in basis.terms[1:]:
        at = [basis.param_names.index(name) for name in term]
        product = np.prod(amplitude[..., at], axis=-1)
        columns.append(2 * product * (shift if len(term) == 1 else 1))
    weights = np.stack(columns, axis=-1) * rng.uniform(3.0, 9.0, (n_bins, events, 1)) / events
    squares = np.einsum("bik,bil->bkl", weights, weights)
    edges = (np.arange(n_bins + 1.0),)
    return Template(process, basis, edges, weights.sum(axis=1), squares, np.zeros(basis.n_terms), lumi_fb)


def background(levels, *, process="background", basis=ONE, events=None):
    sums = np.zeros((len(levels), basis.n_terms))
    sums[:, 0] = levels
    return template(sums, basis, process=process, events=events)


def all_features(events):
    """Two channels, two signals of different coefficients and reference points, backgrounds, every kind of nuisance."""
    rng = np.random.default_rng(11)
    first, second = (
        PolynomialBasis(["a", "b"], reference=[0.1, -0.2]),
        PolynomialBasis(["b", "c"], reference=[0.2, 0.1]),
    )
    signal = random_template(rng, first, 4, events=events)
    down, up = (
        random_template(np.random.default_rng(11), first, 4, lumi_fb=lumi, events=events) for lumi in (1.8, 2.3)
    )
    other = random_template(rng, second, 3, process="other", events=events)
    flat = background([9.0, 7.0, 5.0, 3.0], events=[2 * events, 3 * events, 4 * events, 5 * events])
    tilted = [background(levels) for levels in ([10.0, 7.2, 4.7, 2.6], [8.2, 6.9, 5.4, 3.5])]
    return Model(
        [
            Channel(
                "one",
                [
                    Sample(signal, k_factor=1.2, norm={"lumi": 1.02}, shapes={"scale": (down, up)}),
                    Sample(flat, norm={"lumi": 1.02, "rate": 1.3}, shapes={"tilt": tuple(tilted)}),
                ],
            ),
            Channel(
                "two", [Sample(other, norm={"lumi": 1.02, "rate": 0.9}), background([4.0, 4.0, 6.0], events=events)]
            ),
        ]
    )


@pytest.fixture(scope="module")
def model():
    return all_features(30)


def slow_yields(model, theta, nu):
    """Independent route: loops, HistFactory's code 4p as published, templates evaluated by themselves."""

    def interpolated(alpha, low, centre, high):
        if alpha >= 1:
            return alpha * (high - centre)
        if alpha <= -1:
            return alpha * (centre - low)
        half, bend = 0.5 * (high - low), 0.0625 * (high + low - 2 * centre)
        return alpha * (half + alpha * bend * (15 + alpha**2 * (3 * alpha**2 - 10)))

    def at(shape):
        names = shape.basis.param_names
        return shape.yields([theta.get(name, 0.0) for name in names])

    out = []
    for channel in model.channels:
        total = np.zeros(channel.n_bins)
        for sample in channel.samples:
            nominal = at(sample.template)
            shifted = nominal.copy()
            for name, (low, high) in sample.shapes.items():
                shifted += interpolated(nu[name], at(low), nominal, at(high))
            total += sample.k_factor * np.prod([kappa ** nu[name] for name, kappa in sample.norm.items()]) * shifted
        out.append(total)
    return np.concatenate(out)


def test_names(model):
    assert model.param_names == ("a", "b", "c")
    assert model.nuisances == ("lumi", "scale", "rate", "tilt")
    likelihood = Likelihood(model)
    assert likelihood.param_names == ("a", "b", "c", "lumi", "scale", "rate", "tilt")
    assert (likelihood.coefficients, likelihood.nuisances) == (model.param_names, model.nuisances)
    assert "2 channels, 7 bins" in repr(likelihood)
    assert "two: 3 bins, ['other', 'background']" in repr(model)


@pytest.mark.parametrize("order", ["linear", "quadratic"])
def test_yields_against_loops(model, order):
    likelihood = Likelihood(model, order=order)
    rng = np.random.default_rng(2)
    for scale in (0.3, 1.0, 2.5):
        theta = dict(zip("abc", rng.normal(0, 0.1, 3), strict=True))
        nu = dict(zip(model.nuisances, rng.uniform(-scale, scale, 4), strict=True))
        expected = slow_yields(model if order == "quadratic" else model.linear(), theta, nu)
        np.testing.assert_allclose(likelihood.asimov(theta | nu), expected, rtol=1e-12)


def test_coefficients_alone_mean_nuisances_at_zero(model):
    likelihood = Likelihood(model, theta_true=[0.1, 0.0, 0.1])
    points = np.random.default_rng(1).normal(0, 0.1, (5, 3))
    padded = np.column_stack([points, np.zeros((5, 4))])
    assert (likelihood.twice_nll(points) == likelihood.twice_nll(padded)).all()
    assert likelihood.start.tolist() == [0.1, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0]


def test_models_without_nuisances_are_the_templates():
    one, two = template(SUMS), template(SUMS[::-1], PolynomialBasis(["b", "c"]), process="second")
    by_templates = Likelihood([one, two], theta_true={"a": 0.2})
    by_model = Likelihood(Model([Channel("x", [one]), Channel("y", [two])]), theta_true={"a": 0.2})
    points = np.random.default_rng(3).normal(0, 0.3, (50, 3))
    assert by_model.plain
    assert (by_model.objective(points) == by_templates.objective(points)).all()
    halves = [Sample(template(0.5 * SUMS, process=name), k_factor=factor) for name, factor in (("p", 0.5), ("q", 1.5))]
    split = Likelihood(Model([Channel("x", halves), Channel("y", [two])]), theta_true={"a": 0.2})
    np.testing.assert_allclose(split.objective(points), by_templates.objective(points), rtol=1e-10)


OPTIONS = [{}, {"mc_stat": True}, {"rate": False}]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("nuisances", [True, False])
def test_gradients_against_differences(model, options, nuisances):
    if not nuisances:
        model = Model(Channel(c.name, [sample.template for sample in c.samples]) for c in model.channels)
    rng = np.random.default_rng(7)
    likelihood = Likelihood(model, rng.poisson(25, 7), **options)
    n, h = likelihood.n_params, 1e-5
    for scale in (0.05, 0.3, 1.3):
        theta = scale * rng.uniform(-1, 1, n)
        numeric = [
            (likelihood.objective(theta + h * e) - likelihood.objective(theta - h * e)) / (2 * h) for e in np.eye(n)
        ]
        # Rounding eps * value / h and the third derivative, h^2.
        assert likelihood.objective_gradient(theta) == pytest.approx(numeric, rel=1e-6, abs=1e-6)
        if np.isfinite(likelihood.twice_nll(theta)):
            assert likelihood.gradient(theta) == pytest.approx(likelihood.objective_gradient(theta), rel=1e-9)
            assert likelihood.objective(theta) == pytest.approx(likelihood.twice_nll(theta), rel=1e-12)
    points = rng.normal(0, 0.2, (6, n))
    one_by_one = [likelihood.objective(point) for point in points]
    np.testing.assert_allclose(likelihood.objective(points), one_by_one, rtol=1e-12)
    along = likelihood.objective_along(1, points[:, 1])
    np.testing.assert_allclose(along, likelihood.objective(points[:, [1]] * np.eye(n)[1]), rtol=1e-12)


def profiled_norm(n, mu, level, kappa):
    """-2 ln L of n counts for mu + level kappa^nu, minimised over nu."""

    def twice_nll(nu):
        expected = mu + level * kappa**nu
        return 2 * (expected - n - n * np.log(expected / n)) + nu**2

    return minimize_scalar(twice_nll, bounds=(-6, 6), method="bounded", options={"xatol": 1e-9}).fun


def test_counting_experiment_with_background_and_lognormal_nuisance():
    signal, n = template([[10.0, 10.0]], ONE), 160.0
    model = Model([Channel("x", [signal, Sample(background([100.0]), norm={"rate": 1.2})])])
    likelihood = Likelihood(model, [n])
    result = fit(likelihood)
    # Nothing constrains the background but its own uncertainty: nu = 0 and 10 (1 + a) + 100 = n.
    assert result.values == pytest.approx([5.0, 0.0], abs=4e-4 * max(result.errors))
    # Error propagation at the minimum: (10 sigma_a)^2 = n + (100 ln 1.2)^2, to Hesse's second derivatives.
    assert 10 * result.errors[0] == pytest.approx(np.sqrt(n + (100 * np.log(1.2)) ** 2), rel=2e-3)
    assert result.errors[1] == pytest.approx(1.0, rel=1e-3)
    interval = limits(likelihood)["a"]
    for end in (interval.lower, interval.upper):
        # Minuit knows a profile to 2e-5 of -2 ln L.
        assert profiled_norm(n, 10 * (1 + end), 100.0, 1.2) == pytest.approx(chi2.ppf(0.95, 1), abs=1e-4)
    curve = scan(likelihood, "a", [0.0, 2.0])
    assert curve.twice_nll == pytest.approx([profiled_norm(n, 10 * (1 + a), 100.0, 1.2) for a in (0.0, 2.0)], abs=1e-4)
    assert curve.thetas.shape == (2, 2)


def test_a_nuisance_has_its_own_interval():
    model = Model([Channel("x", [template([[10.0, 10.0]], ONE), Sample(background([100.0]), norm={"rate": 1.2})])])
    result = limits(model, cl=0.6827)
    assert result.names == ("a",)
    held = limits(model, params=["rate"], cl=0.6827)["rate"]
    free = limits(model, params=["rate"], cl=0.6827, others="profiled")["rate"]
    # With a free signal only the constraint is left, nu^2 <= 1; with a = 0 the counts measure it as well.
    assert (free.lower, free.upper) == pytest.approx((-1.0, 1.0), abs=1e-4)
    assert held.upper == pytest.approx(1 / np.sqrt(1 + (100 * np.log(1.2)) ** 2 / 110), rel=0.05)


def test_quadratic_yields_keep_their_second_minimum_with_nuisances():
    # 100 (1 + a)^2 + background gives the SM yield at a = -2 as well.
    signal = template([[100.0, 200.0, 200.0]], PolynomialBasis(["a"]))
    plain = limits(Model([Channel("x", [signal, background([10.0])])]))["a"]
    wider = limits(Model([Channel("x", [signal, Sample(background([10.0]), norm={"rate": 1.5})])]))["a"]
    assert plain.disconnected
    assert wider.disconnected
    assert wider.pieces[1][1] > plain.pieces[1][1]
    # The yield is symmetric about a = -1; profiles are known to 2e-5.
    np.testing.assert_allclose(-2 - np.array(wider.pieces[0])[::-1], wider.pieces[1], atol=1e-4)


def test_profiles_leave_ridges():
    # n (1 + a + b)^2 and n (1 + a - b)^2 with a background: at a = -1, b = 0 is a ridge between b = -1 and b = 1.
    n = 200.0
    rows = [[n, 2 * n, 2 * n * sign, 2 * n, 2 * n * sign, 2 * n] for sign in (1, -1)]
    quiet = background([20.0, 20.0], basis=TWO)
    model = Model([Channel("x", [template(rows), Sample(quiet, norm={"rate": 1.1})])])
    interval = limits(model, params=["a"], others="profiled")["a"]
    assert [round(0.5 * (low + high)) for low, high in interval.pieces] == [-2, -1, 0]
    curve = scan(model, "a", [-1.0], others="profiled")
    assert curve.twice_nll == pytest.approx([0.0], abs=1e-6)
    assert abs(curve.thetas[0, 1]) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("options", [{}, {"mc_stat": True}])
@pytest.mark.parametrize("others", ["zero", "profiled"])
def test_ends_of_intervals_against_a_search_by_scipy(options, others):
    likelihood = Likelihood(all_features(400), **options)
    interval = limits(likelihood, params=["a"], others=others)["a"]
    free = [k for k in range(likelihood.n_params) if k > (2 if others == "zero" else 0)]
    rng = np.random.default_rng(3)
    for end in (interval.lower, interval.upper):

        def along(rest, end=end):
            theta = np.zeros(likelihood.n_params)
            theta[0], theta[free] = end, rest
            return float(likelihood.objective(theta))

        starts = [rng.normal(0, 0.4, len(free)) for _ in range(6)]
        found = min(minimize(along, start, method="BFGS", options={"gtol": 1e-5}).fun for start in starts)
        # Profiles to 1e-9; BFGS by differences stops at its rounding.
        assert found == pytest.approx(chi2.ppf(0.95, 1), abs=1e-4)


# ---------------------------------------------------------------------- Monte Carlo statistics
def over_gammas(counts, expected, delta):
    """-2 ln L minimised numerically over the factors gamma of all bins, one by one."""
    total = 0.0
    for n, level, error in zip(counts, expected, delta, strict=True):

        def term(gamma, n=n, level=level, error=error):
            return 2 * (gamma * level - n - xlogy(n, gamma * level / max(n, 1e-300))) + ((gamma - 1) / error) ** 2

        total += minimize_scalar(term, bounds=(1e-12, 1 + 30 * error), method="bounded", options={"xatol": 1e-10}).fun
    return total


@pytest.mark.parametrize("counts", [[12.0, 3.0, 0.0], [0.0, 0.0, 0.0], [25.0, 9.0, 40.0]])
def test_monte_carlo_errors_against_minimisation_over_factors(counts):
    rng = np.random.default_rng(4)
    shape = random_template(rng, TWO, 3)
    likelihood = Likelihood(shape, counts, mc_stat=True)
    for theta in rng.normal(0, 0.3, (4, 2)):
        expected = shape.yields(theta)
        delta = np.sqrt(shape.variance(theta)) / expected
        # The bounded search stops at 1e-10 of gamma; its curvature is at most 2 (n + 1/delta^2).
        assert likelihood.twice_nll(theta) == pytest.approx(over_gammas(counts, expected, delta), abs=1e-9)


def test_free_yields_are_the_profile_over_all_sums_of_a_bin():
    """Gaussian errors of all sums with their covariance, minimised over the sums: the claim of the class."""
    shape, n, theta = random_template(np.random.default_rng(6), PolynomialBasis(["a"]), 1), 9.0, 0.4
    precision, phi = np.linalg.inv(shape.sums_ww[0]), shape.basis.monomials([theta])

    def twice_nll(sums):
        expected = max(shape.lumi_fb * sums @ phi, 1e-9)
        shift = sums - shape.sums[0]
        return 2 * (expected - n - n * np.log(expected / n)) + shift @ precision @ shift

    found = minimize(twice_nll, shape.sums[0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11})
    assert Likelihood(shape, [n], mc_stat=True).twice_nll([theta]) == pytest.approx(found.fun, abs=1e-8)


def test_monte_carlo_errors_widen_intervals_and_vanish_with_many_events():
    sums = np.array([[40.0, 10.0], [30.0, -5.0]])
    exact = limits(template(sums, ONE))["a"]
    widths = []
    for events in (100, 10_000, 10**9):
        likelihood = Likelihood(template(sums, ONE, events=events), mc_stat=True)
        interval = limits(likelihood)["a"]
        widths.append(interval.upper - interval.lower)
    assert widths[0] > widths[1] > widths[2]
    # delta^2 = 1e-9 against 1/40 of the counts.
    assert widths[2] == pytest.approx(exact.upper - exact.lower, rel=1e-6)


def test_a_negative_yield_is_improbable_with_monte_carlo_errors():
    shape = template([[40.0, 10.0], [30.0, -5.0]], PolynomialBasis(["a"], order=1), events=100)
    likelihood, far = Likelihood(shape, mc_stat=True), [-4.5]
    assert (shape.yields(far) < 0).any()
    assert Likelihood(shape).twice_nll(far) == np.inf
    assert 0 < likelihood.twice_nll(far) < np.inf


# ---------------------------------------------------------------------- shape alone
def test_shape_alone_is_the_multinomial_likelihood():
    counts = np.array([12.0, 3.0, 0.0])
    likelihood = Likelihood(template(SUMS), counts, rate=False)
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (20, 2))
    yields = template(SUMS).yields(points)
    by_hand = -2 * (xlogy(counts, yields / yields.sum(axis=1, keepdims=True))).sum(axis=1)
    values = likelihood.twice_nll(points)
    np.testing.assert_allclose(values - values[0], by_hand - by_hand[0], atol=1e-12)
    # Against an explicit minimisation over the factor.
    scaled = minimize_scalar(lambda s: Likelihood(template(s * SUMS), counts).twice_nll(points[0]), bracket=(0.5, 1))
    assert values[0] == pytest.approx(scaled.fun, abs=1e-9)


def test_shape_alone_does_not_see_a_common_factor():
    basis = PolynomialBasis(["a"], order=1)
    common = Likelihood(template([[10.0, 2.0], [5.0, 1.0]], basis), rate=False)
    np.testing.assert_allclose(common.twice_nll(np.linspace(-4, 9, 20)[:, np.newaxis]), np.zeros(20), atol=1e-12)
    with pytest.warns(BitWarning, match="do not bound 'a'"):
        assert limits(common)["a"].upper == np.inf
    shape = template([[10.0, 2.0], [5.0, -1.0]], basis)
    rate, alone = (limits(Likelihood(shape, rate=rate))["a"] for rate in (True, False))
    assert alone.upper > rate.upper


# ---------------------------------------------------------------------- backgrounds in training
def test_the_score_of_the_mixture_is_the_best_observable():
    """The claim of the module: R of signal and background together, not that of the signal."""
    rng = np.random.default_rng(13)
    x = rng.uniform(0, 1, (40_000, 2))
    score, background_share = 2 * x[:, 0] - 1, np.where(x[:, 1] < 0.5, 0.05, 3.0)
    ones = np.full(len(x), 1 / len(x))
    signal = EventTable(x, np.column_stack([ones, ones * score]), ONE, feature_names=("x", "y"))
    nothing = np.column_stack([ones * background_share, np.zeros(len(x))])
    mixture = signal.concat(EventTable(x, nothing, ONE, feature_names=("x", "y")))

    def by_signal(table):
        return 2 * table.column("x") - 1

    def by_mixture(table):
        return by_signal(table) / (1 + np.where(table.column("y") < 0.5, 0.05, 3.0))

    kept = {}
    for observable in (by_signal, by_mixture):
        binned = fill(mixture, observable, choose_edges(mixture, observable, 40), 1000.0)
        kept[observable] = information(binned)["a"]
    # Unbinned, L times the mean of s t^2 / (1 + b/s), and (integral s t^2) / (1 + 1.525) for the signal's score.
    best = 1000 * np.mean(score**2 / (1 + background_share))
    assert kept[by_mixture] == pytest.approx(best, rel=0.02)
    assert kept[by_signal] == pytest.approx(1000 * np.mean(score**2) / 2.525, rel=0.02)
    assert kept[by_mixture] > 1.5 * kept[by_signal]


# ---------------------------------------------------------------------- fits, data
@pytest.mark.parametrize("options", [{}, {"rate": False}, pytest.param({"mc_stat": True}, marks=pytest.mark.slow)])
def test_fits_converge_from_any_start(options):
    likelihood = Likelihood(all_features(3000), order="linear", **options)
    rng = np.random.default_rng(12)
    errors = fit(likelihood).errors
    # Where Monte Carlo errors count, further minima exist at yields that nearly vanish.
    far = 3 if likelihood.mc_stat else 10
    for _ in range(100):
        start = np.concatenate([rng.uniform(-far, far, 3) * errors[:3], rng.uniform(-3, 3, 4)])
        result = fit(likelihood, start=start)
        assert result.valid
        # Asimov data: the minimum is 0 at the SM; Minuit stops at a distance of 2e-7.
        assert result.twice_nll == pytest.approx(0.0, abs=1e-5)


def test_asimov_data_of_shifted_nuisances_are_measured_there(model):
    truth = {"a": 0.1, "lumi": 1.0, "tilt": -0.5}
    likelihood = Likelihood(model, theta_true=truth)
    assert likelihood.twice_nll(truth) == pytest.approx(0.0, abs=1e-20)
    again = Likelihood(model).with_data(likelihood.observed, auxiliary={"lumi": 1.0, "tilt": -0.5})
    assert again.twice_nll(truth) == likelihood.twice_nll(truth)
    assert again.auxiliary.tolist() == [1.0, 0.0, 0.0, -0.5]
    assert Likelihood(model).twice_nll([0.0, 0.0, 0.0]) == 0.0


def test_other_data_leave_the_likelihood_alone(model):
    likelihood = Likelihood(model)
    counts = np.random.default_rng(5).poisson(likelihood.observed)
    other, fresh = likelihood.with_data(counts), Likelihood(model, counts)
    point = np.array([0.1, 0.0, 0.1, 0.3, -0.2, 1.4, 0.1])
    assert other.twice_nll(point) == fresh.twice_nll(point)
    assert likelihood.twice_nll(np.zeros(7)) == 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sample(template(SUMS), norm={"lumi": 0.0}), "lumi=0.0 of sample 'signal'"),
        (lambda: Sample(template(SUMS), k_factor=-1.0), "k_factor=-1.0"),
        (lambda: Sample(template(SUMS), shapes={"jes": (template(SUMS[:2]), template(SUMS))}), "other edges"),
        (lambda: Sample(template(SUMS), shapes={"jes": (template(SUMS),)}), r"two templates, \(down, up\)"),
        (
            lambda: Sample(template(SUMS), norm={"x": 1.1}, shapes={"x": (template(SUMS), template(SUMS))}),
            "'x' is in norm and in shapes",
        ),
        (lambda: Channel("x", []), "no samples"),
        (lambda: Channel("x", [template(SUMS), template(SUMS)]), "two samples of process 'signal'"),
        (lambda: Channel("x", [template(SUMS), background([1.0])]), "sample 'background' of channel 'x' has other"),
        (lambda: Model([]), "no channels"),
        (lambda: Model([Channel("x", [template(SUMS)])] * 2), "two channels are named 'x'"),
        (lambda: Model([Channel("x", [background([1.0])])]), "no sample depends"),
        (lambda: Model([Channel("x", [Sample(template(SUMS), norm={"a": 1.1})])]), "'a' is a coefficient and a nuis"),
        (lambda: Likelihood(Model([Channel("x", [template(-SUMS)])])), "bin 0 of channel 'x' expects -10 events"),
        (lambda: Likelihood(template(SUMS), rate=False, mc_stat=True), "needs rate=True"),
        (lambda: Likelihood(template(SUMS), [0, 0, 0], rate=False), "no events are observed"),
        (lambda: Likelihood(template(SUMS), auxiliary={"lumi": 1.0}), "auxiliary needs observed"),
        (lambda: Likelihood(template(SUMS), [1, 1, 1], auxiliary={"lumi": 1.0}), "unknown nuisance 'lumi'"),
    ],
)
def test_errors(make, message):
    with pytest.raises(InputError, match=message):
        make()
