"""NanoAOD files, constructed here with uproot: ratios with 14 bits of mantissa, sums of weights in the tree Runs."""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from bit.basis import PolynomialBasis
from bit.errors import BitWarning, FileFormatError, InputError
from bit.io._weight_ids import parse_id
from bit.io.lhe import read_lhe, read_lhe_particles
from bit.io.nanoaod import read_nanoaod
from bit.io.reweight_card import read_reweight_card

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "smeftsim_VBFH-1.lhe.gz"
needs_sample = pytest.mark.skipif(
    not SAMPLE.is_file(), reason="the MadGraph sample smeftsim_VBFH-1.lhe.gz is not beside the checkout"
)
N = 200
BASIS = PolynomialBasis(["cHW", "cHB"])
POINTS = {
    "SM": {},
    "cHW_1p0": {"cHW": 1.0},
    "cHW_m1p0": {"cHW": -1.0},
    "cHB_1p0": {"cHB": 1.0},
    "cHB_m1p0": {"cHB": -1.0},
    "cHW_1p0_cHB_1p0": {"cHW": 1.0, "cHB": 1.0},
    "cHW_2p0_cHB_m1p0": {"cHW": 2.0, "cHB": -1.0},
}
STEP = 2.0**-14


def rounded(values):
    """Numbers with 14 bits of mantissa, as NanoAOD keeps them."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2**15) / 2**15, exponent).astype(np.float32)


def truth(n_events=N):
    """Generator weights, and derivatives of the ratios at 0; the events are made at cHW = 0.5."""
    rng = np.random.default_rng(11)
    ratios = rng.normal(size=(n_events, 6))
    ratios[:, 0] = 8.0  # w(theta) stays positive in most events
    ratios /= (ratios @ BASIS.monomials([0.5, 0.0]))[:, np.newaxis]
    return rng.choice([2.0, -1.0], n_events), ratios


def save(path, weights, gen_weight, *, runs=True, n_jets=None):
    n_events = len(gen_weight)
    counts = np.arange(n_events) % 3 if n_jets is None else n_jets
    jets = ak.unflatten(np.arange(counts.sum(), dtype=np.float32), counts)
    with uproot.recreate(path) as file:
        tree = file.mktree(
            "Events",
            {
                "genWeight": np.float32,
                "LHEReweightingWeight": "var * float32",
                "GenJet_pt": "var * float32",
                "GenMET_pt": np.float32,
                "event": np.uint64,
            },
        )
        tree.extend(
            {
                "genWeight": gen_weight.astype(np.float32),
                "LHEReweightingWeight": weights
                if isinstance(weights, ak.Array)
                else ak.from_regular(ak.Array(weights)),
                "GenJet_pt": jets,
                "GenMET_pt": np.arange(n_events, dtype=np.float32),
                "event": np.arange(n_events, dtype=np.uint64) + 2**40,
            }
        )
        if runs:
            table = file.mktree("Runs", {"genEventSumw": np.float64, "run": np.uint32})
            # two runs; a filter has dropped events, whose weights are in the sums
            table.extend({"genEventSumw": np.array([300.0, 100.0]), "run": np.array([1, 1], dtype=np.uint32)})
    return path


def stored(points, ratios):
    return rounded(ratios @ BASIS.monomials([[p.get("cHW", 0.0), p.get("cHB", 0.0)] for p in points.values()]).T)


@pytest.fixture
def sample(tmp_path):
    gen_weight, ratios = truth()
    return save(tmp_path / "nano.root", stored(POINTS, ratios), gen_weight), gen_weight, ratios


def read(path, points=POINTS, **options):
    arguments = {"features": ["GenMET_pt"], "xsec_pb": 2.0, "show_progress": False}
    return read_nanoaod(path, points=points, **(arguments | options))


def test_weights_in_fb(sample):
    path, gen_weight, ratios = sample
    table = read(path)
    assert table.basis == BASIS
    factor = 2000.0 / 400.0 * gen_weight
    # Half a step of rounding in each ratio; the polynomial goes through 7 points with 6 terms.
    largest = np.abs(stored(POINTS, ratios)).max()
    gain = np.abs(
        BASIS.from_base_points([[p.get("cHW", 0), p.get("cHB", 0)] for p in POINTS.values()], np.eye(7)).weights
    )
    bound = STEP / 2 * largest * gain.sum(axis=0)
    assert (np.abs(table.weights / factor[:, np.newaxis] - ratios) < bound).all()
    assert (np.abs(table.weights / factor[:, np.newaxis] - ratios).max(axis=0) > 0).all()
    np.testing.assert_array_equal(table.aux["genWeight"], gen_weight)
    assert 0 < table.aux["closure_residual"].max() < 7 * STEP
    np.testing.assert_array_equal(table.features[:, 0], np.arange(N))


def test_names_card_and_mapping_give_the_same(sample, tmp_path):
    path, _, _ = sample
    table = read(path)
    np.testing.assert_array_equal(read(path, list(POINTS)).weights, table.weights)
    lines = []
    for name, point in POINTS.items():
        lines += [f"launch --rwgt_name=rw_{name}", *(f"set smeft {(5, 7)[k == 'cHB']} {v}" for k, v in point.items())]
    (tmp_path / "card.dat").write_text("\n".join(lines))
    card = read_reweight_card(tmp_path / "card.dat", {("smeft", 5): "cHW", ("smeft", 7): "cHB"})
    np.testing.assert_array_equal(read(path, card).weights, table.weights)
    moved = read(path, reference={"cHW": 0.5})
    # at the point of generation the ratio is 1
    np.testing.assert_allclose(moved.weights[:, 0], 5.0 * table.aux["genWeight"], rtol=30 * STEP)


def test_the_point_of_generation_may_be_a_base_point(tmp_path):
    gen_weight, ratios = truth()
    six = {name: POINTS[name] for name in list(POINTS)[1:6]}
    path = save(tmp_path / "x.root", stored(six, ratios), gen_weight)
    with pytest.raises(InputError, match="5 base points for 6 terms"):
        read(path, six)
    table = read(path, six | {"XWGTUP": {"cHW": 0.5}})
    np.testing.assert_allclose(table.at([0.5, 0.0]), 5.0 * gen_weight, rtol=1e-14)
    np.testing.assert_allclose(table.weights[:, 0] / (5.0 * gen_weight), ratios[:, 0], rtol=30 * STEP)


def test_features_aux_and_several_files(sample, tmp_path):
    path, gen_weight, ratios = sample
    save(tmp_path / "second.root", stored(POINTS, ratios), gen_weight)
    one = read(path, features=["GenJet_pt[0]", "GenMET_pt"], aux=["event"], step_size=33)
    np.testing.assert_array_equal(np.isnan(one.features[:, 0]), np.arange(N) % 3 == 0)
    assert one.features.dtype == np.float32
    np.testing.assert_array_equal(one.aux["event"], np.arange(N) + 2**40)
    both = read([path, tmp_path / "second.root"], features=["GenJet_pt[0]", "GenMET_pt"], aux=["event"])
    # twice the events, twice the sum of weights: the same cross-section
    np.testing.assert_allclose(both.weights[:N], one.weights / 2, rtol=1e-15)
    assert both.sigma_fb == pytest.approx(one.sigma_fb, rel=1e-13)
    first = read(path, max_events=10)
    np.testing.assert_array_equal(first.weights, one.weights[:10])


def test_sum_of_weights(sample, tmp_path):
    path, gen_weight, ratios = sample
    table = read(path)
    half = read(path, sum_of_weights=800.0)
    np.testing.assert_allclose(half.weights, table.weights / 2, rtol=1e-15)
    skim = save(tmp_path / "skim.root", stored(POINTS, ratios), gen_weight, runs=False)
    with pytest.raises(InputError, match="no tree 'Runs'"):
        read(skim)
    np.testing.assert_array_equal(read(skim, sum_of_weights=400.0).weights, table.weights)


# ---------------------------------------------------------------------- what the format hides
def test_weights_that_are_exactly_one_are_noticed(tmp_path):
    gen_weight, ratios = truth()
    weights = stored(POINTS, ratios)
    weights[3, 2] = 1.0  # a weight that was missing: one alone is no sign
    assert read(save(tmp_path / "x.root", weights, gen_weight)).n_events == N
    weights[[3, 50], 4] = weights[50, 2] = 1.0
    with pytest.warns(BitWarning, match="in 2 of 200 events more than one weight is exactly 1"):
        read(save(tmp_path / "y.root", weights, gen_weight))
    weights[90, 2] = 1.0  # three events of 200 are more than 1%
    with (
        pytest.warns(BitWarning, match="in 2 of 200 events more than one weight is exactly 1"),
        pytest.warns(BitWarning, match="in 1.5% of the events the polynomial of order 2 misses"),
    ):
        read(save(tmp_path / "z.root", weights, gen_weight))


def test_base_points_too_close_together_are_noticed(tmp_path):
    gen_weight, ratios = truth(2000)
    ratios[:, 1:] /= 10.0
    ratios[:, 0] += 1.0 - ratios @ BASIS.monomials([0.5, 0.0])
    close = {name: {key: value / 16 for key, value in point.items()} for name, point in POINTS.items()}
    path = save(tmp_path / "x.root", stored(close, ratios), gen_weight)
    with pytest.warns(BitWarning) as caught:
        table = read(path, close)
    # the stated share is what rounding does: error of the second derivative over its spread
    (text,) = [str(warning.message) for warning in caught if "condition number" in str(warning.message)]
    stated = float(text.partition("cHW*cHW (")[2].partition("%")[0]) / 100
    found = table.weights[:, 3] / (5.0 * gen_weight)
    error = (found - ratios[:, 3]).std() / found.std()
    # ratios lie between powers of two, where the relative step is between 2^-15 and 2^-14
    assert stated / 2 < error < stated * 1.1
    assert " cHW (" not in text  # first derivatives are good


@needs_sample
def test_ratios_of_a_madgraph_sample(tmp_path):
    events = read_lhe_particles(SAMPLE, show_progress=False)
    exact = read_lhe(SAMPLE, show_progress=False)
    ratios = events.weights / events.weight[:, np.newaxis]
    path = save(tmp_path / "x.root", rounded(ratios), events.weight)
    with pytest.warns(BitWarning) as caught:
        table = read(
            path, list(events.weight_ids), xsec_pb=exact.sigma_fb / 1e3, sum_of_weights=float(events.weight.sum())
        )
    assert table.basis == exact.basis
    # Each ratio is off by at most half a step, and derivatives by what the base points make of that.
    grid = [exact.basis.as_theta(parse_id(name)) for name in events.weight_ids]
    gain = np.abs(exact.basis.from_base_points(grid, np.eye(len(grid))).weights)
    bound = (STEP / 2 * ratios @ gain) * exact.weights[:, :1]
    # weights of the file have eight digits, generator weights are stored as float32
    assert (np.abs(table.weights - exact.weights) <= bound * (1 + 1e-6) + 1e-6 * np.abs(exact.weights)).all()
    # Base points at 0.1 and 0.2 are too close for the terms with the smallest spread, and for them alone: cHDD^2 has
    # 0.006 TeV^4, cHW^2 has 1.1 TeV^4. The coefficient cHbox scales all events alike and is no noise.
    (text,) = [str(warning.message) for warning in caught if "condition number" in str(warning.message)]
    assert "cHDD*cHDD (" in text
    assert "cHW*cHW (" not in text
    assert " cHbox (" not in text


# ---------------------------------------------------------------------- mistakes
def test_mistakes(sample):
    path, _, _ = sample
    for wrong, kind, message in (
        ({"xsec_pb": 0.0}, InputError, "xsec_pb=0.0"),
        ({"sum_of_weights": -1.0}, InputError, "the sum of weights is -1.0"),
        ({"points": [0, 1, 2]}, InputError, "numbers carry no coefficients"),
        ({"points": ["rwgt_1", "rwgt_2"]}, FileFormatError, "carry no values of coefficients"),
        ({"points": "SM"}, InputError, "points='SM': give a list"),
        ({"features": "GenMET_pt"}, InputError, "features='GenMET_pt': give a list"),
        ({"points": list(POINTS)[:6]}, FileFormatError, "7 weights per event, but points names 6"),
        ({"weights": "LHEReweightingWeigt"}, InputError, "did you mean 'LHEReweightingWeight'"),
        ({"features": ["GenMET"]}, InputError, "did you mean 'GenMET_pt'"),
        ({"features": ["GenJet_pt"]}, FileFormatError, r"such as GenJet_pt\[0\]"),
        ({"params": ["cHq3"]}, InputError, "no weight id of points names the coefficient 'cHq3'"),
    ):
        points = wrong.pop("points", POINTS if "params" not in wrong else list(POINTS))
        with pytest.raises(kind, match=message):
            read(path, points, **wrong)


def test_different_numbers_of_weights(tmp_path):
    gen_weight, ratios = truth()
    ragged = ak.Array([row[: 6 + i % 2] for i, row in enumerate(stored(POINTS, ratios).tolist())])
    path = save(tmp_path / "x.root", ak.values_astype(ragged, "float32"), gen_weight)
    with pytest.raises(FileFormatError, match="different numbers of weights per event"):
        read(path)
