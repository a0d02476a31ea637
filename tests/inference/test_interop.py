import json
import sys

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import chi2

from bit.basis import PolynomialBasis
from bit.errors import InputError, MissingPackageError
from bit.inference import (
    Channel,
    Likelihood,
    Model,
    Sample,
    Template,
    limits,
    scan,
    to_combine,
    to_hepdata,
    to_hist,
    to_pyhf,
)

# pyhf 0.7 validates workspaces by a class that jsonschema has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

LINEAR = PolynomialBasis(["a", "b"], order=1, reference=[0.1, 0.0])


def template(sums, basis, *, process="signal", events=None, edges=None, lumi_fb=2.0):
    sums = np.atleast_2d(np.asarray(sums, dtype=float))
    n_bins, n_terms = sums.shape
    squares = np.zeros((n_bins, n_terms, n_terms))
    if events is not None:
        # Events of equal weights: errors are relative and the same at every theta.
        squares = np.einsum("bk,bl->bkl", sums, sums) / np.reshape(events, (-1, 1, 1))
    edges = (np.arange(n_bins + 1.0),) if edges is None else edges
    return Template(process, basis, edges, sums, squares, np.zeros(n_terms), lumi_fb)


def linear_model(*, shapes=True, backgrounds=True, events=None):
    rng = np.random.default_rng(3)
    basis = PolynomialBasis(["b"], order=1)

    def signal(scale):
        rows = [[20, 3, 1], [15, 1, -2], [10, -2, 1.5], [5, 0.5, 1]]
        return template(np.array(rows) * scale, LINEAR, events=events)

    def flat(*levels):
        return template(np.column_stack([levels, np.zeros(len(levels))]), basis, process="background", events=events)

    bent = {"jes": (signal([[0.9], [1.0], [1.1], [1.0]]), signal([[1.15], [1.02], [0.95], [0.9]]))} if shapes else {}
    tilt = {"tilt": (flat(11, 9, 6, 5), flat(9, 8, 8.5, 6.5))} if shapes else {}
    first = [Sample(signal(1.0), k_factor=1.1, norm={"lumi": 1.03}, shapes=bent)]
    second = [Sample(template(rng.uniform(5, 9, (3, 2)) * [1, 0.2], basis, process="other", events=events))]
    if backgrounds:
        first.append(Sample(flat(10, 8, 7, 6), norm={"lumi": 1.03, "rate": 1.2}, shapes=tilt))
        second.append(Sample(flat(6, 6, 4), norm={"rate": 1.3}))
    return Model([Channel("one", first), Channel("two", second)])


def pyhf_model(workspace):
    pyhf = pytest.importorskip("pyhf", reason="pyhf, with which likelihoods are compared, is not installed")
    space = pyhf.Workspace(json.loads(json.dumps(workspace)))
    settings = {"normsys": {"interpcode": "code1"}, "histosys": {"interpcode": "code4p"}}
    model = space.model(modifier_settings=settings)
    return model, np.array(space.data(model))


def pyhf_values(model, data, points, names):
    """-2 ln L of pyhf at points in our order; parameters that are not ours keep their initial values."""
    out = []
    for point in points:
        values = np.array(model.config.suggested_init(), dtype=float)
        for name, value in zip(names, point, strict=True):
            values[model.config.par_slice(name)] = value
        out.append(-2 * model.logpdf(values, data)[0])
    return np.array(out)


@pytest.mark.parametrize("shapes", [False, True])
def test_differences_of_the_likelihood_are_those_of_pyhf(shapes):
    rng = np.random.default_rng(8)
    model = linear_model(shapes=shapes)
    counts = rng.poisson(Likelihood(model).observed)
    auxiliary = {"lumi": 0.3, "rate": -0.7}
    likelihood = Likelihood(model, counts, auxiliary=auxiliary)
    theirs, data = pyhf_model(to_pyhf(likelihood))
    n = likelihood.n_params - 2
    points = np.column_stack([rng.normal(0, 0.5, (40, 2)), rng.normal(0, 1.2, (40, n))])
    values = pyhf_values(theirs, data, points, likelihood.param_names)
    ours = likelihood.twice_nll(points)
    assert np.abs(ours - ours[0]).max() > 10
    np.testing.assert_allclose(ours - ours[0], values - values[0], rtol=0, atol=1e-8)


def minimised_over_staterrors(theirs, data, point, names):
    """-2 ln L of pyhf, minimised over its staterrors: each is a factor of its own bin."""
    values = np.array(theirs.config.suggested_init(), dtype=float)
    for name, value in zip(names, point, strict=True):
        values[theirs.config.par_slice(name)] = value
    free = np.concatenate(
        [np.arange(values.size)[theirs.config.par_slice(f"staterror_{name}")] for name in theirs.config.channels]
    )

    def twice_nll(gammas):
        values[free] = gammas
        return -2 * theirs.logpdf(values, data)[0]

    # Quadratic to a good approximation: Newton's method in each gamma.
    gammas, h = np.ones(len(free)), 1e-4
    for _ in range(12):
        for k in range(len(gammas)):
            step = h * np.eye(len(gammas))[k]
            low, here, high = twice_nll(gammas - step), twice_nll(gammas), twice_nll(gammas + step)
            gammas[k] -= h * (high - low) / 2 / (high - 2 * here + low)
    return twice_nll(gammas)


@pytest.mark.parametrize("backgrounds", [False, True])
def test_monte_carlo_errors_are_those_of_pyhf(backgrounds):
    rng = np.random.default_rng(9)
    # One sample of relative errors that do not depend on theta; of several, at theta = 0 alone.
    model = linear_model(backgrounds=backgrounds, events=40)
    counts = rng.poisson(Likelihood(model).observed)
    likelihood = Likelihood(model, counts, mc_stat=True)
    theirs, data = pyhf_model(to_pyhf(likelihood, at={}))
    points = rng.normal(0, 0.8, (4, likelihood.n_params))
    points[:, :2] *= 0.0 if backgrounds else 0.5
    values = np.array([minimised_over_staterrors(theirs, data, point, likelihood.param_names) for point in points])
    ours = likelihood.twice_nll(points)
    assert np.abs(ours - ours[0]).max() > 1
    np.testing.assert_allclose(ours - ours[0], values - values[0], rtol=0, atol=1e-8)


def test_the_shape_alone_is_a_free_factor_in_pyhf():
    rng = np.random.default_rng(12)
    likelihood = Likelihood(linear_model(), rng.poisson(Likelihood(linear_model()).observed), rate=False)
    theirs, data = pyhf_model(to_pyhf(likelihood))
    names = (*likelihood.param_names, "normalisation")
    points = rng.normal(0, 0.5, (6, likelihood.n_params))

    def lowest(point):
        def along(factor):
            return pyhf_values(theirs, data, [[*point, factor]], names)[0]

        return minimize_scalar(along, bounds=(0.2, 5), method="bounded", options={"xatol": 1e-7}).fun

    values, ours = np.array([lowest(point) for point in points]), likelihood.twice_nll(points)
    assert np.abs(ours - ours[0]).max() > 1
    # The search stops at 1e-7 of the factor, whose curvature is about 2 n = 250.
    np.testing.assert_allclose(ours - ours[0], values - values[0], rtol=0, atol=1e-8)


def test_interval_is_that_of_pyhf():
    model = linear_model()
    likelihood = Likelihood(model, np.random.default_rng(10).poisson(Likelihood(model).observed))
    theirs, data = pyhf_model(to_pyhf(likelihood, poi="b"))
    pyhf = pytest.importorskip("pyhf")
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4))
    interval = limits(likelihood, params=["b"], others="profiled")["b"]
    _, best = pyhf.infer.mle.fit(data, theirs, return_fitted_val=True)

    def height(value):
        _, there = pyhf.infer.mle.fixed_poi_fit(value, data, theirs, return_fitted_val=True)
        return float(there - best) - chi2.ppf(0.95, 1)

    width = interval.upper - interval.lower
    for end in (interval.lower, interval.upper):
        theirs_end = brentq(height, end - 0.05 * width, end + 0.05 * width, xtol=1e-6)
        assert end == pytest.approx(theirs_end, abs=1e-4 * width)


def test_the_default_interpolation_of_pyhf_is_close():
    pyhf = pytest.importorskip("pyhf", reason="pyhf, with which likelihoods are compared, is not installed")
    nu = np.linspace(-2, 2, 401)
    for kappa, bound in ((1.2, 4e-10), (2.0, 5e-6)):
        code4 = pyhf.interpolators.code4([[[[1 / kappa], [1.0], [kappa]]]])(np.array([nu]))
        difference = np.abs(np.asarray(code4)[0, 0, :, 0] / kappa**nu - 1)
        assert difference[np.abs(nu) >= 1].max() < 1e-12
        assert 0.1 * bound < difference.max() < bound


def test_quadratic_yields_are_refused_or_replaced_by_their_tangent():
    shape = template([[20.0, 3.0, 4.0], [10.0, -1.0, 2.0]], PolynomialBasis(["a"]))
    with pytest.raises(InputError, match="the yields are quadratic"):
        to_pyhf(shape)
    theirs, _ = pyhf_model(to_pyhf(shape, at={"a": 0.5}))
    here, h = shape.yields([0.5]), 1e-3
    np.testing.assert_allclose(theirs.expected_actualdata([0.5]), here, rtol=1e-12)
    np.testing.assert_allclose(
        theirs.expected_actualdata([0.5 + h]), here + h * shape.gradient([0.5])[:, 0], rtol=1e-12
    )
    assert to_pyhf(Likelihood(shape, order="linear"))["measurements"][0]["config"]["poi"] == "a"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: to_pyhf(linear_model(), poi="c"), "poi='c'"),
        (
            lambda: to_pyhf(
                Model([Channel("x", [Sample(template([[5.0, 1.0]], PolynomialBasis(["normalisation"], 1)))])])
            ),
            "rename the parameter",
        ),
        (lambda: to_pyhf(Likelihood(linear_model(events=9), mc_stat=True)), "give at="),
        (
            lambda: to_pyhf(
                Likelihood(template([[5.0, -9.0]], PolynomialBasis(["a"], 1), events=9), mc_stat=True), at={}
            ),
            "bin 0 of channel 'signal' expects 10 events",
        ),
        (lambda: to_combine(template([[0.0, 1.0, 1.0]], PolynomialBasis(["a"]))), "1 bins of template 'signal' expect"),
        (
            lambda: to_combine(template([[1.0, 1.0]], PolynomialBasis(["a"], 1)), ranges={"b": (0, 1)}),
            "coefficient 'b'",
        ),
        (
            lambda: to_hepdata(limits(template([[9.0, 3.0]], PolynomialBasis(["a"], 1))), theta=[0.0]),
            "theta is the point",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_combine_scaling_gives_the_yields(n):
    rng = np.random.default_rng(n)
    names = ["a", "b", "c"][:n]
    basis = PolynomialBasis(names, reference=rng.normal(0, 0.2, n))
    sums = rng.normal(0, 1, (4, basis.n_terms)) + 20 * (np.arange(basis.n_terms) == 0)
    shape = template(sums, basis)
    (entry,) = json.loads(json.dumps(to_combine(shape, channel="ee", ranges={"a": (-2, 4)})))
    assert entry["channel"] == "ee"
    assert entry["process"] == "signal"
    assert entry["parameters"][:2] == ["cSM[1]", "a[0,-2,4]"]
    assert len(entry["scaling"]) == 4
    sm = shape.yields(np.zeros(n))
    for theta in rng.normal(0, 1, (20, n)):
        vector = np.array([1.0, *theta])
        for row, nominal, expected in zip(entry["scaling"], sm, shape.yields(theta), strict=True):
            matrix = np.zeros((n + 1, n + 1))
            matrix[np.tril_indices(n + 1)] = row
            matrix = matrix + np.tril(matrix, -1).T
            assert nominal * vector @ matrix @ vector == pytest.approx(expected, rel=1e-12)


def test_hepdata_tables():
    edges = ([-np.inf, 0.0, np.inf], [0.0, 1.0, 2.0])
    shape = template(np.arange(8.0).reshape(4, 2) + 5, PolynomialBasis(["a"], 1), edges=edges, events=25)
    table = json.loads(json.dumps(to_hepdata(shape, theta=[0.5]), allow_nan=False))
    assert [len(axis["values"]) for axis in table["independent_variables"]] == [4, 4]
    assert table["independent_variables"][0]["values"][0] == {"low": "-inf", "high": 0.0}
    assert table["independent_variables"][1]["values"][1] == {"low": 1.0, "high": 2.0}
    (dependent,) = table["dependent_variables"]
    assert [entry["value"] for entry in dependent["values"]] == shape.yields([0.5]).tolist()
    assert dependent["values"][0]["errors"][0]["symerror"] == pytest.approx(shape.yields([0.5])[0] / 5)
    assert {"name": "a", "units": "TeV^-2", "value": 0.5} in dependent["qualifiers"]
    result = limits(shape)
    (best,) = to_hepdata(result)["dependent_variables"][0]["values"]
    assert best["errors"][0]["asymerror"]["plus"] == pytest.approx(result["a"].upper - result["a"].best)
    curve = to_hepdata(scan(shape, "a", [0.0, 0.1]))
    assert [entry["value"] for entry in curve["independent_variables"][0]["values"]] == [0.0, 0.1]


def test_histograms():
    pytest.importorskip("hist", reason="the package hist, the histograms' own, is not installed")
    edges = ([-np.inf, 0.0, 1.0, 3.0], [0.0, 1.0, 2.0])
    shape = template(np.arange(12.0).reshape(6, 2) + 5, PolynomialBasis(["a"], 1), edges=edges, events=25)
    out = to_hist(shape, theta=[0.5])
    values, variances = out.values(flow=True), out.variances(flow=True)
    assert values.shape == (4, 4)
    np.testing.assert_array_equal(values[:3, 1:3].ravel(), shape.yields([0.5]))
    np.testing.assert_array_equal(variances[:3, 1:3].ravel(), shape.variance([0.5]))
    assert values.sum() == pytest.approx(shape.yields([0.5]).sum())
    with pytest.raises(InputError, match="at least one finite bin"):
        to_hist(template([[1.0, 0.0]], PolynomialBasis(["a"], 1), edges=([-np.inf, np.inf],)))


def test_histograms_need_their_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "hist", None)
    with pytest.raises(MissingPackageError, match="to_hist needs the package 'hist'"):
        to_hist(template([[1.0, 0.0]], PolynomialBasis(["a"], 1)))
