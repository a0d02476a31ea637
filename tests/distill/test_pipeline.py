"""From models and observables to fronts of formulas."""

import json
from functools import partial

import numpy as np
import pytest
from reference.distilled_toy import PARITY, QUICK, toy

import bit
from bit import EventTable, PolynomialBasis, TrueScore
from bit.artefacts import checksum
from bit.distill import ParetoFront, distill
from bit.distill._polish import Front, _longer, polish
from bit.distill._symmetry import symmetry_of
from bit.distill._targets import Sample, choose_rows
from bit.distill.select import N_BINS, _bootstrapped
from bit.errors import BitWarning, InputError
from bit.expression.fold import fold
from bit.expression.nodes import Variable, complexity, exponents
from bit.expression.parse import parse, to_text
from bit.inference import equal_probability_edges, fill, information_kept
from bit.metrics import rho2
from bit.observables import FunctionObservable
from bit.threads import Threads

NAMES = ("x", "y", "z")


@pytest.fixture(scope="module")
def front(table):
    return distill(TrueScore("c"), table, valid=toy(1000, 5), lumi_fb=1.0, **QUICK)


def test_the_exact_formula_is_found(front):
    best = front.at(6)
    assert best.complexity == 6
    assert set(best.to_text().split("*")) == {"1.5", "x", "sin(z)"}
    assert front.best("mse").complexity == 6


def test_front_is_ordered_and_improves(front, table):
    assert (np.diff(front.complexity) > 0).all()
    # On the events of the fits; on held-out ones the last digits may differ.
    mse = [table.weights[:, 0] @ (formula(table) - TrueScore("c")(table)) ** 2 for formula in front]
    assert (np.diff(mse) < 0).all()
    assert front.config["backend"] == "operon"
    assert front.config["why"] == "asked for"
    assert front.best().term == ("c",)


def test_figures_of_the_exact_formula(front):
    # 20 bins lose a little of the information; the limit is that of the information at linear order.
    exact = front.figures[-1]
    assert exact.rho2 == pytest.approx(1.0)
    assert 0.95 < exact.information < 1.0
    judge = toy(1000, 5)
    values = front[-1](judge)
    edges = equal_probability_edges(values, judge.weights[:, 0] * np.abs(values), N_BINS)
    template = fill(judge, front[-1], edges, 1.0)
    assert exact.information == pytest.approx(information_kept(template, judge, "c"), rel=1e-9)
    full = 1.0 / np.sqrt(judge.weights[:, 0] @ TrueScore("c")(judge) ** 2)
    assert exact.limit == pytest.approx(1.96 * full / np.sqrt(exact.information), rel=0.1)


def test_same_seed_same_front_for_any_number_of_jobs(table, front):
    again = distill(TrueScore("c"), table, valid=toy(1000, 5), lumi_fb=1.0, **{**QUICK, "n_jobs": 1})
    assert [item.to_text() for item in again] == [item.to_text() for item in front]
    assert again.figures == front.figures


def test_model_is_described(noisy):
    model = bit.BIT(n_estimators=40, max_depth=4, cp_parity=PARITY, random_state=0).fit(noisy)
    front = distill(model, noisy, **{**QUICK, "n_extensions": 0})
    formula = front.best()
    assert formula.odd
    assert formula.cp_sign(PARITY) == -1
    assert formula.name == "formula:c"
    # The forest has averaged the noise out; the formula keeps what it knows.
    assert formula(noisy) == pytest.approx(-formula(mirrored(noisy)), abs=0.0)
    assert max(front.column("rho2")) > 0.98 * front.config["target_rho2"]


def mirrored(table):
    images = PARITY.mirror(table.features, table.feature_names)
    return EventTable(images, table.weights, table.basis, feature_names=table.feature_names)


def test_advice_about_the_target(noisy, front):
    assert "advice" not in front.config  # the joint score itself
    settings = {**QUICK, "operators": ("mul", "sin"), "n_extensions": 0, "valid": toy(4000, 7, noise=0.3)}
    model = bit.BIT(n_estimators=200, max_depth=4, cp_parity=PARITY, random_state=0).fit(noisy)
    found = distill(model, noisy, **settings)
    assert found.config["advice"].endswith("is as good a target")
    assert found.to_text().splitlines()[-1] == found.config["advice"]
    # Learned with a bias: the constant in the sine is wrong, and the joint score corrects it.
    biased, true = (FunctionObservable("sine", partial(wave, b), odd=True) for b in (1.7, 2.2))
    events, judge = (of_score(part, true(part)) for part in (noisy, settings["valid"]))
    found = distill(biased, events, param="c", cp_parity=PARITY, **{**settings, "valid": judge})
    assert "describe TrueScore" in found.config["advice"]
    gain = 1.0 - rho2(true(judge), biased(judge), judge.weights[:, 0])
    assert f"{gain:+.4f}" in found.config["advice"]


def wave(b, table):
    return table.column("x") * np.sin(b * table.column("z"))


def of_score(table, score):
    weights = table.weights[:, :1] * np.stack([np.ones_like(score), score], axis=-1)
    return EventTable(table.features, weights, table.basis, feature_names=table.feature_names)


def test_even_observable(table):
    even = FunctionObservable("even", lambda t: np.cos(t.column("z")) * t.column("x"))
    front = distill(even, table, cp_parity=PARITY, **{**QUICK, "operators": ("add", "mul", "cos")})
    assert all(formula.cp_sign(PARITY) == 1 for formula in front)
    assert set(front.best().to_text().split("*")) == {"x", "cos(z)"}


def test_large_and_small_units(table):
    columns = table.features * [1e3, 1.0, 1.0]
    scaled = EventTable(columns, table.weights, table.basis, feature_names=NAMES)
    formula = distill(TrueScore("c"), scaled, **QUICK).best("mse")
    assert formula.constants == pytest.approx([1.5e-3], rel=1e-9)


def test_one_feature():
    rng = np.random.default_rng(0)
    x = rng.uniform(0.0, 1.0, (300, 1))
    table = EventTable(x, np.ones((300, 2)), PolynomialBasis(["c"], order=1), feature_names=["x"])
    front = distill(FunctionObservable("f", lambda t: 2.0 * t.column("x") + 1.0), table, **QUICK)
    assert front.best("mse").constants == pytest.approx([2.0, 1.0], rel=1e-9) or front.best(
        "mse"
    ).constants == pytest.approx([1.0, 2.0], rel=1e-9)
    assert front.figures[0].information is None


def test_mean_is_subtracted(table):
    shifted = FunctionObservable("shifted", lambda t: TrueScore("c")(t) + 3.0)
    front = distill(shifted, table, mean_subtracted=True, **QUICK)
    assert front.config["mean_subtracted"]
    values = front.best("mse")(table)
    assert table.weights[:, 0] @ values / table.sigma_fb == pytest.approx(0.0, abs=1e-9)


def test_tiny_sample():
    front = distill(TrueScore("c"), toy(12, 3), **QUICK)
    assert len(front) >= 1


def test_time_limit_keeps_the_best_so_far(table):
    settings = {**QUICK, "options": {"max_evaluations": 10**9, "population_size": 200}, "max_seconds": 4.0}
    front = distill(TrueScore("c"), table, **settings)
    assert front.column("rho2").max() > 0.5


def test_constant_features_are_left_out(table):
    columns = np.column_stack([table.features, np.ones(table.n_events)])
    wider = EventTable(columns, table.weights, table.basis, feature_names=(*NAMES, "one"))
    with pytest.warns(BitWarning, match="one"):
        assert distill(TrueScore("c"), wider, **QUICK).config["features"] == list(NAMES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operators": ("add", "nonsense", "mul")}, "nonsense"),
        ({"operators": ("add", "erf", "sign")}, r"\['erf', 'sign'\].*it knows: .*add"),
        ({"operators": "add"}, "sequence of names"),
        ({"options": {"generations": 3}}, r"no options \['generations'\]"),
        ({"backend": "eureqa"}, "backend='eureqa'"),
        ({"sampling": "all"}, "sampling='all'"),
        ({"n_points": 1}, "n_points=1"),
        ({"max_complexity": 0}, "max_complexity=0"),
        ({"n_restarts": True}, "n_restarts=True"),
        ({"max_seconds": -1.0}, "max_seconds=-1.0"),
        ({"max_seconds": "60"}, "max_seconds='60'"),
        ({"random_state": -1}, "random_state=-1: a seed"),
        ({"options": 3}, "options=3: give a mapping"),
        ({"valid": np.ones((20, 2))}, "valid is a ndarray: events with weights"),
        ({"param": "d"}, r"param='d': .* is of c; name that, or leave param out"),
        ({"features": ("x", "q")}, "no features"),
        ({"features": ()}, "at least one"),
        ({"features": "x"}, r"features='x': give a sequence of names, such as \['x'\]"),
        ({"features": ("x", "y"), "cp_parity": PARITY}, "none of the features"),
    ],
)
def test_bad_arguments(table, changes, message):
    with pytest.raises(InputError, match=message):
        distill(TrueScore("c"), table, **{**QUICK, **changes})


def test_bad_targets(table):
    with pytest.raises(InputError, match="nothing to describe"):
        distill(FunctionObservable("one", lambda t: np.ones(t.n_events)), table, **QUICK)
    with pytest.raises(InputError, match="NaN or infinite in 2000"):
        distill(FunctionObservable("nan", lambda t: np.full(t.n_events, np.nan)), table, **QUICK)
    with pytest.raises(InputError, match="shape"):
        distill(bit.observable("x", "y"), table, **QUICK)
    with pytest.raises(InputError, match="a str cannot be described"):
        distill("model", table, **QUICK)
    with pytest.raises(InputError, match="at least 10"):
        distill(TrueScore("c"), toy(5, 1), **QUICK)
    features = table.features.copy()
    features[3, 0] = np.nan
    with pytest.raises(InputError, match="'x' is NaN"):
        distill(TrueScore("c"), EventTable(features, table.weights, table.basis, feature_names=NAMES), **QUICK)


def test_automatic_choice_says_why(table):
    front = distill(TrueScore("c"), table, **{**QUICK, "backend": "auto", "options": None, "n_restarts": 1})
    assert front.config["backend"] in front.config["why"]


# ---------------------------------------------------------------------- parts
@pytest.mark.parametrize("sampling", ["information", "weights", "stratified"])
def test_rows_estimate_sums_over_all_events(noisy, sampling):
    columns = {name: noisy.column(name) for name in NAMES}
    sample = Sample.of(columns, TrueScore("c")(noisy), noisy.weights[:, 0])
    full = sample.weights @ sample.target**2
    estimates = []
    for seed in range(40):
        rows, emphasis, unbiased = choose_rows(sample, 500, sampling, np.random.default_rng(seed))
        assert len(np.unique(rows)) == len(rows)
        assert abs(len(rows) - 500) <= 1
        assert emphasis.mean() == pytest.approx(1.0)
        estimates.append(unbiased @ sample.target[rows] ** 2)
    # Horvitz-Thompson: unbiased, so the mean of 40 lies within 4 of its standard errors.
    assert abs(np.mean(estimates) - full) < 4.0 * np.std(estimates) / np.sqrt(40)


def test_information_rows_lie_in_the_tails(noisy):
    sample = Sample.of({}, TrueScore("c")(noisy), noisy.weights[:, 0])
    size = {
        sampling: np.abs(sample.target[choose_rows(sample, 400, sampling, np.random.default_rng(0))[0]]).mean()
        for sampling in ("information", "weights", "stratified")
    }
    assert size["information"] > 1.3 * size["weights"]
    assert size["stratified"] > 1.1 * size["weights"]


def test_polish_removes_what_does_nothing(noisy):
    columns = {name: noisy.column(name).astype(np.float64) for name in NAMES}
    sample = Sample.of(columns, 1.5 * columns["x"] * np.sin(columns["z"]), noisy.weights[:, 0])
    seed = parse("1.4*x*sin(0.98*z + 0.01) + 0.02*y*y", NAMES)
    with Threads(2) as threads:
        front = polish(
            [seed],
            sample,
            max_complexity=20,
            operators=("add", "mul", "sin"),
            admissible=lambda node: True,
            threads=threads,
            deadline=None,
            n_rounds=0,
        )
    assert complexity(front.nodes[-1]) == 6
    assert front.members[6][0] < 1e-20


def test_polish_extends(noisy):
    columns = {name: noisy.column(name).astype(np.float64) for name in NAMES}
    sample = Sample.of(columns, 1.5 * columns["x"] * np.sin(columns["z"]) + 0.5, noisy.weights[:, 0])
    with Threads(1) as threads:
        front = polish(
            [parse("x*z", NAMES)],
            sample,
            max_complexity=12,
            operators=("add", "mul", "sin"),
            admissible=lambda node: True,
            threads=threads,
            deadline=None,
            n_rounds=4,
        )
    assert front.level(8) < 1e-20
    assert "sin(z)" in to_text(front.members[8][1])


def test_whole_exponents_stay_whole():
    longer = [fold(node) for node in _longer(parse("x**4*y", NAMES), [Variable("y")], ("add", "mul", "sin"))]
    assert longer
    assert not any(exponent for node in longer for exponent in exponents(node))


def test_a_front_keeps_what_is_worth_it():
    front = Front(10)
    assert front.add(parse("x*y", NAMES), 1.0)
    assert not front.add(parse("x*y*z", NAMES), 1.0)
    assert front.add(parse("x*y*z", NAMES), 0.5)
    assert front.add(parse("x", NAMES), 0.6)
    assert sorted(front.members) == [1, 5]
    assert not front.add(parse("x*x*x*x*x*x*x*x*x*x", NAMES), 0.0)


def test_projection_is_odd():
    symmetry = symmetry_of(PARITY, -1, NAMES)
    node = parse("x*sin(z + 0.1) + y", NAMES)
    assert not symmetry.holds(node)
    assert symmetry.holds(symmetry.projected(node))


def test_swapped_features_make_odd_prefactors():
    parity = bit.CPParity(swap=(("x", "y"),), odd_params=("c",))
    symmetry = symmetry_of(parity, -1, NAMES)
    rng = np.random.default_rng(0)
    columns = {name: rng.standard_normal(100) for name in NAMES}
    sample = Sample.of(columns, columns["x"] - columns["y"], np.ones(100))
    assert to_text(symmetry.prefactor(sample, ("mul",))) == "x - y"
    assert list(symmetry.even_inputs(())) == ["z", "x+y", "x*y"]
    with pytest.raises(InputError, match="only one is among the features"):
        symmetry_of(parity, -1, ("x", "z"))


# ---------------------------------------------------------------------- fronts
def test_front_round_trip(front, tmp_path):
    front.export(tmp_path / "front.json")
    again = bit.load(tmp_path / "front.json")
    assert [item.to_text() for item in again] == [item.to_text() for item in front]
    assert again.figures == front.figures
    assert again.config == front.config
    assert again.to_dict() == front.to_dict()


def test_front_refuses_changed_files(front, tmp_path):
    path = tmp_path / "front.json"
    front.export(path)
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"config": {}}))
    with pytest.raises(bit.errors.FileFormatError, match="checksum does not fit"):
        bit.load(path)
    del document["members"]
    path.write_text(json.dumps(document | {"sha256": checksum(document)}))
    with pytest.raises(bit.errors.FileFormatError, match="not a front of formulas"):
        bit.load(path)


def test_front_answers_bad_questions(front):
    with pytest.raises(InputError, match="no figure"):
        front.column("beauty")
    with pytest.raises(InputError, match="rule="):
        front.best("luck")
    with pytest.raises(InputError, match="no formula of complexity 0"):
        front.at(0)
    with pytest.raises(InputError, match="at least one"):
        ParetoFront([], [])


def test_one_standard_error(front):
    rho2, error = front.column("rho2"), front.column("rho2_error")
    highest = int(np.argmax(rho2))
    chosen = list(front).index(front.best())
    assert rho2[chosen] >= rho2[highest] - error[highest]
    assert (rho2[:chosen] < rho2[highest] - error[highest]).all()


def test_errors_are_those_of_other_samples():
    """The bootstrap errors of one sample are the scatter between samples."""
    judged = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(2000, 3))
        truth = x[:, 0] + rng.normal(size=2000)
        found = _bootstrapped(x[:, :1], truth, truth, np.ones(2000), seed)
        judged.append([number for array in found for number in (array[0, 0], array[1:, 0].std(ddof=1))])
    mse, mse_error, rho2, rho2_error = np.array(judged).T
    # Relative errors of 60 samples' scatter: 1 / sqrt(118); of the mean of their bootstrap errors: less.
    for values, errors in ((mse, mse_error), (rho2, rho2_error)):
        assert errors.mean() == pytest.approx(values.std(ddof=1), rel=3 / np.sqrt(118))
    assert mse.mean() == pytest.approx(1.0, abs=4 * mse.std() / np.sqrt(60))
    assert rho2.mean() == pytest.approx(0.5, abs=4 * rho2.std() / np.sqrt(60))


def test_text_has_a_line_for_each(front):
    lines = front.to_text().splitlines()
    assert len(lines) == len(front) + 1
    assert str(front.best()) in str(front)
