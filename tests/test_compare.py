"""All methods on one sample: what they keep, that they do not disturb each other, failures, tables, JSON."""

import json
import re
import sys

import numpy as np
import pytest

import bit
from bit import CPParity, EventTable, PolynomialBasis
from bit.compare import METHODS, Comparison, compare
from bit.errors import FileFormatError, InputError
from bit.inference import choose_edges, fill, information_kept, limits
from bit.observables import FunctionObservable
from bit.processes.analytic import GaussianMean

PARITY = CPParity(flip=["x"], odd_params=["theta"])
SMEARING = 0.75
SMALL = {
    "train": {"n_estimators": 20, "max_depth": 3},
    "xgboost": {"n_estimators": 20, "max_depth": 2},
    "networks": {"n_epochs": 2, "hidden": (16,)},
    "n_jobs": 1,
    "show_progress": False,
}


def gaussian(n_events=6000, seed=1):
    """One CP-odd coefficient; the feature keeps 1 / (1 + smearing^2) of the information, or with bins a bit less."""
    return GaussianMean(smearing=SMEARING).sample(n_events, seed=seed)


def two_coefficients(n_events=3000, order=1, seed=3):
    """cHW acts through pt, cHWtil through sin(phi); the latent noise is small."""
    rng = np.random.default_rng(seed)
    pt, phi = rng.exponential(100.0, n_events), rng.uniform(-np.pi, np.pi, n_events)
    w_0 = rng.uniform(0.5, 1.5, n_events) / n_events
    r = np.column_stack([pt / 200 + rng.normal(0, 0.1, n_events), np.sin(phi) * (0.5 + pt / 400)])
    columns = [np.ones(n_events), *r.T]
    if order == 2:
        columns += [r[:, 0] ** 2, r[:, 0] * r[:, 1], r[:, 1] ** 2]
    return EventTable(
        np.column_stack([pt, phi]).astype(np.float32),
        w_0[:, np.newaxis] * np.column_stack(columns),
        PolynomialBasis(["cHW", "cHWtil"], order=order),
        feature_names=("pt", "phi"),
    )


def without_times(result, *methods):
    """Rows as JSON types, without what depends on the machine."""
    rows = result.to_dict()["rows"]
    return [
        {key: value for key, value in row.items() if key not in ("training_s", "evaluation_s")}
        for row in rows
        if not methods or row["method"] in methods
    ]


@pytest.fixture(scope="module")
def few():
    """Two methods without optional packages, two coefficients."""
    return compare(two_coefficients(), lumi_fb=1000.0, methods=["bit", "bit_linear"], **SMALL)


# ---------------------------------------------------------------------- physics
def test_a_smeared_gaussian_keeps_what_it_must():
    methods = ["bit", "bit_linear"]
    result = compare(gaussian(20_000), lumi_fb=1000.0, cp=PARITY, methods=methods, **SMALL)
    true, best = result.row("true", "theta"), result.row("best", "theta")
    # The information on 8000 test events fluctuates by sqrt(2 / 8000), that of bins by no more; three of these.
    error = 3 * np.sqrt(2 / 8000)
    assert best.observable == "x"
    assert best.information_kept == pytest.approx(1 / (1 + SMEARING**2), abs=error + 0.02)  # 20 bins lose some per cent
    assert true.information_kept == pytest.approx(0.98, abs=0.02)
    for row in result.rows:
        assert row.width >= true.width * (1 - error)
        assert row.information_kept <= 1.0
        # Linear order: -2 ln L is 1.96^2 where theta is 1.96 / sqrt(I), up to terms of higher order.
        assert result.ratio(row) == pytest.approx(np.sqrt(true.information_kept / row.information_kept), rel=0.02)
    for method in methods:
        # A tree keeps most of what the feature has.
        assert result.row(method, "theta").information_kept > 0.9 * best.information_kept


def test_a_row_is_what_its_parts_give():
    table = gaussian()
    result = compare(
        table, lumi_fb=500.0, methods=["bit"], cp=PARITY, n_bins=10, cl=0.9, order="quadratic", seed=4, **SMALL
    )
    train, edges, test = table.split((0.5, 0.1, 0.4), 4)
    model = bit.BIT(**SMALL["train"], terms=["theta"], cp_parity=PARITY, random_state=4).fit(train)
    observable = model.observable("theta")
    images = test.with_cp_mirror(PARITY)
    template = fill(images, observable, choose_edges(edges.with_cp_mirror(PARITY), observable, 10), 500.0)
    row = result.row("bit", "theta")
    expected = limits(template, cl=0.9, order="quadratic")["theta"]
    assert row.interval.to_dict() == expected.to_dict()
    assert row.information_kept == information_kept(template, images, "theta")


def test_two_axes_have_as_many_bins_in_all():
    table = two_coefficients()
    both = FunctionObservable("both", lambda t: t.features.astype(np.float64))
    result = compare(table, lumi_fb=1000.0, methods=[], extra={"both": both}, n_bins=16, **SMALL)
    _, edges, test = table.split((0.5, 0.1, 0.4), 1)
    template = fill(test, both, choose_edges(edges, both, 4), 1000.0)
    assert result.row("both", "cHW").information_kept == information_kept(template, test, "cHW")


# ---------------------------------------------------------------------- order, set, seed
def test_rows_do_not_depend_on_each_other(few):
    table = two_coefficients()
    alone = compare(table, lumi_fb=1000.0, methods=["bit"], features=["phi"], classics=[], **SMALL)
    turned = compare(table, lumi_fb=1000.0, methods=["bit_linear", "bit"], features=["phi", "pt"], **SMALL)
    assert without_times(alone) == without_times(few, "phi", "best", "bit", "true")
    for method in ("pt", "phi", "best", "bit", "bit_linear", "true"):
        assert without_times(turned, method) == without_times(few, method)
    one = compare(table, lumi_fb=1000.0, methods=[], params=["cHWtil"], **SMALL)
    assert without_times(one) == [
        row for row in without_times(few, "pt", "phi", "best", "true") if row["param"] == "cHWtil"
    ]


def test_another_seed_divides_otherwise(few):
    again = compare(two_coefficients(), lumi_fb=1000.0, methods=["bit", "bit_linear"], **SMALL)
    assert without_times(again) == without_times(few)
    other = compare(two_coefficients(), lumi_fb=1000.0, methods=["bit", "bit_linear"], seed=2, **SMALL)
    assert without_times(other) != without_times(few)


def test_the_order_of_the_table(few):
    assert [row.method for row in few.rows] == ["pt", "phi", "best", "bit", "bit_linear", "true"] * 2
    assert few.params == ("cHW", "cHWtil")
    assert few.notes == ()
    assert not few.interrupted
    assert few.row("best", "cHW").observable == "pt"
    assert few.row("best", "cHWtil").observable == "phi"
    assert (few.events["train"], few.events["edges"], few.events["test"]) == (1500, 300, 1200)
    assert all((row.training_s is not None) == (row.kind == "trained") for row in few.rows)
    assert all((row.evaluation_s is None) == (row.kind == "true") for row in few.rows)


# ---------------------------------------------------------------------- all methods
@pytest.mark.slow
def test_all_methods_give_a_row_for_every_coefficient():
    pytest.importorskip("xgboost", reason="xgboost is not installed (extra: baselines)")
    pytest.importorskip("torch", reason="torch is not installed (extra: neural)")
    parity = CPParity(flip=["phi"], odd_params=["cHWtil"])
    result = compare(two_coefficients(order=2), lumi_fb=1000.0, cp=parity, **SMALL)
    assert result.notes == ()
    for param in ("cHW", "cHWtil"):
        for method in METHODS:
            row = result.row(method, param)
            assert row.bounded
            # Within statistics of 1200 events and their images no method is better than the truth.
            assert result.ratio(row) > 1 - 3 * np.sqrt(2 / 1200)
            assert row.joint == (method not in ("onn_binary", "onn_multiclass", "ratio"))
    assert result.ratio(result.row("sally", "cHWtil")) < 1.5


def test_classifiers_are_trained_for_each_coefficient():
    pytest.importorskip("xgboost", reason="xgboost is not installed (extra: baselines)")
    result = compare(two_coefficients(), lumi_fb=1000.0, methods=["onn_multiclass", "ratio"], **SMALL)
    assert result.notes == ()
    for param, feature in (("cHW", "pt"), ("cHWtil", "phi")):
        onn, ratio = result.row("onn_multiclass", param), result.row("ratio", param)
        assert (onn.observable, ratio.observable) == (f"ONN:{param}", f"ratio:{param}")
        assert max(onn.width, ratio.width) < 1.3 * result.row(feature, param).width


# ---------------------------------------------------------------------- what is missing
@pytest.mark.parametrize(
    ("package", "missing"),
    [("xgboost", ["onn_binary", "onn_multiclass", "ratio", "ratio_mixture"]), ("torch", ["sally", "quadratic"])],
)
def test_a_missing_package_is_a_note(monkeypatch, package, missing):
    monkeypatch.setitem(sys.modules, package, None)
    result = compare(gaussian(2000), lumi_fb=1000.0, methods=["bit", *missing], **SMALL)
    assert [row.method for row in result.rows] == ["x", "best", "bit", "true"]
    assert [note.method for note in result.notes] == missing
    assert all("pip install" in note.reason and note.params == ("theta",) for note in result.notes)
    assert f"note: {missing[0]}: " in result.to_text()


def test_a_method_that_fails_does_not_stop_the_others():
    pytest.importorskip("xgboost", reason="xgboost is not installed (extra: baselines)")
    table = two_coefficients()
    weights = table.weights.copy()
    weights[:, table.basis.index(("cHWtil",))] = 0.0
    silent = EventTable(table.features, weights, table.basis, feature_names=table.feature_names)

    def broken(events):
        raise ZeroDivisionError("no such thing")

    result = compare(silent, lumi_fb=1000.0, methods=["onn_binary", "bit"], extra={"broken": broken}, **SMALL)
    notes = {note.method: note for note in result.notes}
    assert set(notes) == {"onn_binary", "broken"}
    assert notes["onn_binary"].params == ("cHWtil",)
    assert "no interference" in notes["onn_binary"].reason
    assert notes["broken"].params == ("cHW", "cHWtil")
    assert notes["broken"].reason == "ZeroDivisionError: no such thing"
    assert result.row("onn_binary", "cHW").bounded
    with pytest.raises(InputError, match="no row of 'onn_binary' for 'cHWtil': no interference"):
        result.row("onn_binary", "cHWtil")
    # There is no information to keep, no interval, and nothing to compare with.
    true = result.row("true", "cHWtil")
    assert true.information_kept is None
    assert not true.bounded
    assert np.isnan(result.ratio(true))
    assert "onn_binary for cHWtil: no interference" in result.to_text()
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False)) == result.to_dict()
    bit.plotting.comparison(result)


def test_ctrl_c_keeps_what_is_done():
    def interrupting(events):
        raise KeyboardInterrupt

    table = two_coefficients()
    result = compare(table, lumi_fb=1000.0, methods=["bit"], extra={"stop": interrupting}, **SMALL)
    assert result.interrupted
    assert [row.method for row in result.rows] == ["pt", "phi"] * 2
    assert "note: interrupted" in result.to_text()
    bit.plotting.comparison(result)


def test_an_interrupted_training_gives_no_row(monkeypatch):
    original = bit.BIT.fit

    def fit(self, table):
        original(self, table)
        self.interrupted_ = self.leaf == "linear"
        return self

    monkeypatch.setattr(bit.BIT, "fit", fit)
    result = compare(gaussian(2000), lumi_fb=1000.0, methods=["bit", "bit_linear"], **SMALL)
    assert result.interrupted
    assert [row.method for row in result.rows] == ["x", "best", "bit", "true"]


# ---------------------------------------------------------------------- own observables
def test_own_observables_by_coefficient(few):
    table = two_coefficients()
    formulas = {"cHW": bit.observable("pt"), "cHWtil": FunctionObservable("sine", lambda t: np.sin(t.column("phi")))}
    result = compare(
        table, lumi_fb=1000.0, methods=[], extra={"formula": formulas, "phi twice": bit.observable("phi")}, **SMALL
    )
    assert result.row("formula", "cHW").interval.to_dict() == few.row("pt", "cHW").interval.to_dict()
    assert result.row("formula", "cHWtil").width < result.row("phi twice", "cHWtil").width * 1.01
    assert [row.kind for row in result.rows if row.method == "formula"] == ["extra"] * 2


def test_classic_observables_stand_once():
    rng = np.random.default_rng(1)
    n_events = 2000
    phi, mass = rng.uniform(-np.pi, np.pi, n_events), rng.uniform(50, 106, n_events)
    table = EventTable(
        np.column_stack([phi, mass]),
        np.column_stack([np.ones(n_events), np.sin(phi)]) / n_events,
        PolynomialBasis(["cHWtil"], order=1),
        feature_names=("phi_4l", "m12"),
    )
    result = compare(table, lumi_fb=1000.0, methods=[], **SMALL)
    assert [(row.method, row.kind) for row in result.rows] == [
        ("phi_4l", "feature"),
        ("m12", "feature"),
        ("phi_4l,m12", "classic"),
        ("best", "best"),
        ("true", "true"),
    ]


# ---------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ["bitt"]}, "no method 'bitt': did you mean"),
        ({"methods": "bit"}, "give a sequence of names"),
        ({"params": ["cHWtl"]}, "no coefficient 'cHWtl': did you mean 'cHWtil'"),
        ({"features": ["pT"]}, "no feature 'pT': did you mean 'pt'"),
        ({"classics": ["phi4l"]}, "no classic observable 'phi4l'"),
        ({"split": (0.5, 0.5)}, "three shares are needed"),
        ({"n_bins": 200}, "too few for n_bins=200"),
        ({"train": {"n_tree": 3}}, "train: no argument 'n_tree'"),
        ({"networks": {"terms": ["cHW"]}}, "networks: no argument 'terms'"),
        ({"train": {"learning_rate": -1}}, "learning_rate=-1: a number in"),
        ({"networks": {"n_epochs": -3}}, "n_epochs=-3: a positive number"),
        ({"xgboost": {"n_tree": 3}}, "n_tree"),
        ({"xgboost": {"kind": "binary"}}, "'kind' is chosen by the comparison"),
        ({"extra": {"bit": bit.observable("pt")}}, "'bit' is the name of another row"),
        ({"extra": {"f": {"cHW": bit.observable("pt")}}}, r"no observable for \['cHWtil'\]"),
    ],
)
def test_bad_input_is_refused_before_the_work(changes, message):
    with pytest.raises(InputError, match=message):
        compare(two_coefficients(), lumi_fb=1000.0, show_progress=False, **changes)


# ---------------------------------------------------------------------- tables
def test_the_text_is_aligned(few):
    text = few.to_text()
    assert text.startswith("expected 95 % intervals in TeV^-2 (1000 fb^-1, linear, 20 bins, others zero)\n")
    heads = [line for line in text.splitlines() if "inf. kept" in line and "rel. width" in line and ":" not in line]
    assert [head.split()[0] for head in heads] == ["cHW", "cHWtil"]
    lines = text.splitlines()
    block = lines[lines.index(heads[0]) : lines.index(heads[1]) - 1]
    assert {len(line) for line in block[1:-1]} <= {len(heads[0])}
    kept = f"{few.row('bit', 'cHW').information_kept:.3f}"
    assert re.search(rf"^  BIT +\[-0\.\d+, 0\.\d+\] +\d\.\d{{3}} +{kept} +\d+\.\d\*", text, flags=re.M)


def test_features_beyond_the_best_are_summed_up(few):
    shown, others = few.shown("cHWtil", 1)
    assert [row.method for row in shown] == ["phi", "best", "bit", "bit_linear", "true"]
    assert [row.method for row in others] == ["pt"]
    assert "  wider: pt\n" in few.to_text(n_best=1)


def test_an_observable_that_tells_nothing_is_named_so():
    parity = CPParity(flip=["phi"], odd_params=["cHWtil"])
    result = compare(two_coefficients(), lumi_fb=1000.0, methods=[], cp=parity, **SMALL)
    assert not result.row("pt", "cHWtil").bounded
    assert "  none: pt\n" in result.to_text()
    assert [row.method for row in result.shown("cHWtil")[0]] == ["phi", "best", "true"]


def test_latex_is_balanced_and_escaped():
    table = two_coefficients()
    odd_names = EventTable(table.features, table.weights, table.basis, feature_names=("p_t", "50%_&{x}"))
    result = compare(odd_names, lumi_fb=1000.0, methods=["bit"], labels={"p_t": r"p_{T}"}, **SMALL)
    text = result.to_latex()
    body = text[: text.index(r"\end{tabular}")]
    plain = re.sub(r"\\[\\%&_{}#$]", "", body)
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0
    assert "%" not in plain
    rows = [line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {re.sub(r"\\&", "", row).count("&") for row in rows} == {5}
    assert r"50\%\_\&\{x\}" in body
    assert "$p_{T}$" in body
    assert r"$c_{H\tilde{W}}$" in body
    assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text) == ["tabular"]
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    # Notes are comments.
    assert all(line.startswith("%") for line in text[text.index(r"\end{tabular}") :].splitlines()[1:])


# ---------------------------------------------------------------------- JSON
def test_json_round_trip():
    parity = CPParity(flip=["phi"], odd_params=["cHWtil"])
    result = compare(two_coefficients(order=2), lumi_fb=1000.0, methods=[], cp=parity, order="linear", **SMALL)
    document = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    again = Comparison.from_dict(document)
    assert again.to_dict() == document == result.to_dict()
    assert again.to_text() == result.to_text()
    assert again.row("pt", "cHWtil").interval.pieces == ((-np.inf, np.inf),)
    assert document["kind"] == "bit-comparison/1"
    assert document["settings"]["cp"]["flip"] == ["phi"]


def test_other_documents_are_refused(few):
    with pytest.raises(FileFormatError, match="'bit-results/1'"):
        Comparison.from_dict({"kind": "bit-results/1"})
    document = few.to_dict()
    del document["rows"][0]["interval"]
    with pytest.raises(FileFormatError, match="KeyError: 'interval'"):
        Comparison.from_dict(document)
