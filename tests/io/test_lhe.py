import dataclasses
import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bit.basis import PolynomialBasis
from bit.errors import BitWarning, FileFormatError, InputError
from bit.io._weight_ids import parse_id
from bit.io.lhe import read_lhe, read_lhe_particles, write_lhe
from bit.particles import LHEEvents

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "smeftsim_VBFH-1.lhe.gz"
needs_sample = pytest.mark.skipif(
    not SAMPLE.is_file(), reason="the MadGraph sample smeftsim_VBFH-1.lhe.gz is not beside the checkout"
)

PARTICLES = [
    "  2 -1    0    0  501    0 0.0 0.0  30.0  30.0 0.0 0. -1.",
    " -2 -1    0    0    0  501 0.0 0.0 -30.0  30.0 0.0 0.  1.",
    " 23  2    1    2    0    0 0.0 0.0 0.0 60.0 60.0 0. 0.",
    " 11  1    3    3    0    0 3.0 0.0 4.0 5.0 0.0 0. 1.  # an electron",
    "-11  1    3    3    0    0 -3.0D+00 0.0 -4.0 5.0d0 0.0 0. -1.",
]
IDS = ("SM", "cHW_1p0", "cHW_m1p0")


def event(weights=(("SM", 2.0), ("cHW_1p0", 2.6), ("cHW_m1p0", 1.6)), central=2.0, particles=PARTICLES, tags=None):
    lines = ["<event>", f" {len(particles)} 7 {central} 91.2 0.0078 0.118", *particles, "<mgrwt>0</mgrwt>"]
    if tags is None:
        tags = "\n".join(["<rwgt>", *(f"<wgt id='{name}'> {value} </wgt>" for name, value in weights), "</rwgt>"])
    return "\n".join([*lines, tags, "</event>\n"])


def document(events, ids=IDS, norm="average", header=None):
    if header is None:
        header = "<initrwgt>\n<weightgroup name='mg'>\n"
        header += "".join(f"<weight id='{name}'>set param_card smeft 7 # orig: 0\n</weight>\n" for name in ids)
        header += "</weightgroup></initrwgt>"
    run_card = f"<MGRunCard>\n  {norm} = event_norm ! average/sum\n</MGRunCard>\n" if norm else ""
    return (
        '<LesHouchesEvents version="3.0">\n<header>\n<!-- <weight id="comment"> -->\n'
        f"{run_card}{header}\n</header>\n"
        "<init>\n2212 2212 6.5e+03 6.5e+03 0 0 247000 247000 -4 1\n2.0 0.01 2.0 7\n<generator>x</generator>\n</init>\n"
        + "".join(events)
        + "</LesHouchesEvents>\n"
    )


def save(tmp_path, text, name="x.lhe"):
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


# ---------------------------------------------------------------------- real MadGraph output
@needs_sample
def test_madgraph_sample():
    table = read_lhe(SAMPLE)
    assert table.n_events == 10_000
    assert table.basis == PolynomialBasis(["cHB", "cHDD", "cHW", "cHWB", "cHbox"])
    # the weights have eight digits
    assert table.sigma_fb == pytest.approx(3343.0188, rel=1e-8)
    sums = table.weights.sum(axis=0) / table.sigma_fb
    slopes = {name: sums[table.basis.index(name)] for name in table.basis.param_names}
    # documented to four decimals
    expected = {"cHB": 0.0025, "cHDD": -0.0109, "cHW": 0.0984, "cHWB": 0.0375, "cHbox": 0.1212}
    assert slopes == pytest.approx(expected, abs=0.00005)
    assert table.feature_names[:5] == ("p1_E", "p1_px", "p1_py", "p1_pz", "p2_E")
    assert table.features.shape == (10_000, 12)
    assert set(table.units) == {"GeV"}
    np.testing.assert_array_equal(table.aux["event_number"], np.arange(10_000))
    # exact fit of 21 terms to 21 points: the polynomial returns the weights, up to rounding
    events = read_lhe_particles(SAMPLE)
    column = events.weights[:, events.weight_ids.index("cHW_0p1_cHbox_0p1")]
    np.testing.assert_allclose(table.at({"cHW": 0.1, "cHbox": 0.1}), column * 1e3 / 10_000, rtol=1e-12)


@needs_sample
def test_madgraph_sample_particles(tmp_path):
    events = read_lhe_particles(SAMPLE)
    assert events.n_events == 10_000
    assert events.event_norm == "average"
    assert events.sigma_pb == pytest.approx(3.343019)
    assert events.weight_ids[0] == "SM"
    assert events.weight_texts[-1].count("set param_card") == 2
    np.testing.assert_array_equal(events.weights[:, 0], events.weight)
    np.testing.assert_array_equal(events.beam_energies, [6500.0, 6500.0])
    # momentum is conserved up to the eleven digits of the file
    incoming = np.where(events.status == -1, 1.0, np.where(events.status == 1, -1.0, 0.0))
    balance = np.add.reduceat(events.momenta * incoming[:, np.newaxis], events.offsets[:-1])
    assert np.abs(balance).max() < 1e-6
    write_lhe(tmp_path / "copy.lhe.gz", events)
    assert_same(read_lhe_particles(tmp_path / "copy.lhe.gz"), events)


@needs_sample
def test_madgraph_sample_choice_of_coefficients():
    table = read_lhe(SAMPLE, params=["cHbox", "cHW"], reference={"cHW": 0.1})
    full = read_lhe(SAMPLE)
    assert table.basis == PolynomialBasis(["cHbox", "cHW"], reference=[0.0, 0.1])
    # weights of eight digits and steps of 0.1: exact solutions of one system, equal up to rounding
    np.testing.assert_allclose(table.at([0.3, 0.4]), full.at({"cHbox": 0.3, "cHW": 0.4}), rtol=1e-9)


def assert_same(left, right):
    for field in dataclasses.fields(LHEEvents):
        mine, theirs = getattr(left, field.name), getattr(right, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype, field.name
            np.testing.assert_array_equal(mine, theirs, err_msg=field.name)
        else:
            assert mine == theirs, field.name


# ---------------------------------------------------------------------- particles
@pytest.mark.parametrize("name", ["x.lhe", "x.lhe.gz", "gzipped_without_suffix.gz"])
def test_particles(tmp_path, name):
    second = event(central=1.0, particles=PARTICLES[:2] + PARTICLES[3:])
    path = save(tmp_path, document([event(), second]), name)
    if name.startswith("gzipped"):
        path = path.rename(tmp_path / "x")
    events = read_lhe_particles(path)
    np.testing.assert_array_equal(events.offsets, [0, 5, 9])
    np.testing.assert_array_equal(events.pdg[:5], [2, -2, 23, 11, -11])
    np.testing.assert_array_equal(events.status[:5], [-1, -1, 2, 1, 1])
    np.testing.assert_array_equal(events.mothers[2:4], [[1, 2], [3, 3]])
    np.testing.assert_array_equal(events.colour[:2], [[501, 0], [0, 501]])
    np.testing.assert_array_equal(events.momenta[3:5], [[5, 3, 0, 4], [5, -3, 0, -4]])
    np.testing.assert_array_equal(events.mass[:3], [0, 0, 60])
    np.testing.assert_array_equal(events.spin[:5], [-1, 1, 0, 1, -1])
    np.testing.assert_array_equal(events.weight, [2.0, 1.0])
    np.testing.assert_array_equal(events.process_id, [7, 7])
    np.testing.assert_array_equal(events.scale, [91.2, 91.2])
    np.testing.assert_array_equal(events.alpha_qcd, [0.118, 0.118])
    np.testing.assert_array_equal(events.processes, [[2.0, 0.01, 2.0, 7.0]])
    assert events.weight_ids == IDS
    assert events.weight_texts == ("set param_card smeft 7 # orig: 0",) * 3
    assert events.outgoing().shape == (2, 2, 4)


def test_chunks_do_not_matter(tmp_path, monkeypatch):
    path = save(tmp_path, document([event(central=k) for k in range(20)]))
    whole = read_lhe_particles(path)
    monkeypatch.setattr("bit.io.lhe._CHUNK", 37)
    assert_same(read_lhe_particles(path), whole)
    np.testing.assert_array_equal(whole.weight, np.arange(20))


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    ids=st.sampled_from([(), ("SM",), ("a_1p0", "1001", "mu r=2 # half")]),
    norm=st.sampled_from([None, "sum", "average"]),
    suffix=st.sampled_from(["", ".gz"]),
    seed=st.integers(0, 2**32),
)
def test_write_and_read_back(tmp_path_factory, counts, ids, norm, suffix, seed):
    n = sum(counts)
    rng = np.random.default_rng(seed)

    def real(*shape):
        return rng.normal(size=shape) * 10.0 ** rng.integers(-306, 306, size=shape)

    def whole(*shape):
        return rng.integers(-(10**9), 10**9, size=shape)

    events = LHEEvents(
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        pdg=whole(n),
        status=whole(n),
        mothers=whole(n, 2),
        colour=whole(n, 2),
        momenta=real(n, 4),
        mass=real(n),
        lifetime=real(n),
        spin=real(n),
        process_id=whole(len(counts)),
        scale=real(len(counts)),
        weight=real(len(counts)),
        weight_ids=ids,
        weight_texts=tuple(f"set param_card smeft {k}" for k in range(len(ids))),
        weights=real(len(counts), len(ids)),
        event_norm=norm,
        beam_energies=real(2),
        processes=np.array([[1.5, 0.1, 2.0, 3.0]]),
    )
    path = tmp_path_factory.mktemp("lhe") / f"x.lhe{suffix}"
    write_lhe(path, events)
    assert_same(read_lhe_particles(path), events)
    first = path.read_bytes()
    write_lhe(path, events)
    assert path.read_bytes() == first


def test_defaults_of_events():
    events = LHEEvents(
        offsets=[0, 1], pdg=[25], status=[1], mothers=[[0, 0]], colour=[[0, 0]], momenta=[[13.0, 3.0, 4.0, 0.0]]
    )
    assert events.mass == pytest.approx([12.0])
    assert events.spin.tolist() == [9.0]
    assert events.weight.tolist() == [1.0]
    assert events.weights.shape == (1, 0)
    with pytest.raises(InputError, match=r"pdg has shape \(2,\), expected \(1,\)"):
        dataclasses.replace(events, pdg=[25, 25])
    with pytest.raises(InputError, match=r"weights has shape \(1, 0\), expected \(1, 1\)"):
        dataclasses.replace(events, weight_ids=("a",), weight_texts=("",))
    with pytest.raises(InputError, match="ids must differ"):
        dataclasses.replace(events, weight_ids=("a", "a"), weight_texts=("", ""), weights=np.ones((1, 2)))
    with pytest.raises(InputError, match="offsets"):
        dataclasses.replace(events, offsets=[1, 0])


@pytest.mark.parametrize("bad", ["it's", "a<b", " blank "])
def test_unwritable_ids(tmp_path, bad):
    events = read_lhe_particles(save(tmp_path, document([event()])))
    with pytest.raises(InputError, match="cannot be written"):
        write_lhe(tmp_path / "y.lhe", dataclasses.replace(events, weight_ids=("SM", "a", bad)))
    assert not (tmp_path / "y.lhe").exists()


# ---------------------------------------------------------------------- header and weight variants
def rwgt(*weights):
    return "<rwgt>" + "".join(f"<wgt id={name}>{value}</wgt>\n" for name, value in weights) + "</rwgt>"


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ('<initrwgt><weight id="SM"></weight><weight id="a_1">x</weight></initrwgt>', rwgt(('"SM"', 1), ('"a_1"', 2))),
        ("<initrwgt><weight id='SM' > y <weight id='a_1'>x", rwgt(("'SM'", 1), ("'a_1'", 2))),
        ("<initrwgt><weightgroup><weight MUF=1 id=SM><weight id=a_1>", rwgt(("SM", 1), ("a_1", "+2.D+0"))),
        ("<initrwgt><weight id='\nSM'> y <weight id='a_1 '>x", rwgt(("' SM\n'", " 1\n"), ("'a_1'", 2))),
        ("<weight id='SM'/><weight id='a_1'/>", rwgt(("'a_1'", 2), ("'SM'", 1))),
        ("<weight id='SM'/><weight id='a_1'/>", "<weights> 1.0 2.0 </weights>"),
        ("<weight id='SM'/><weight id='a_1'/>", rwgt(("SM", 1), ("a_1", 2)) + "<weights>9 9</weights>"),
        ("no header", rwgt(("SM", 1), ("a_1", 2))),
    ],
)
def test_spellings_of_weights(tmp_path, header, tags):
    events = read_lhe_particles(save(tmp_path, document([event(tags=tags)] * 2, header=header)))
    assert events.weight_ids == ("SM", "a_1")
    np.testing.assert_array_equal(events.weights, [[1, 2], [1, 2]])


def test_order_of_weights_may_change_between_events(tmp_path):
    weights = (("SM", 2.0), ("cHW_1p0", 2.6), ("cHW_m1p0", 1.6))
    path = save(tmp_path, document([event(weights), event(weights[::-1]), event(weights)]))
    np.testing.assert_array_equal(read_lhe_particles(path).weights, [[2.0, 2.6, 1.6]] * 3)


def test_event_with_attributes_and_group(tmp_path):
    text = event().replace("<event>", "<event npLO=' -1 ' npNLO=' 1 '>")
    events = read_lhe_particles(save(tmp_path, document(["<eventgroup n='2'>\n", text, text, "</eventgroup>\n"])))
    assert events.n_events == 2


def test_header_may_name_weights_that_were_stripped(tmp_path):
    path = save(tmp_path, document([event(tags="")] * 2))
    assert read_lhe_particles(path).weight_ids == ()
    with pytest.raises(FileFormatError, match="no reweighting weights"):
        read_lhe(path)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (event(weights=[("SM", 1), ("cHW_1p0", 2)]), r"event 2 \(from 0\): 1 of 3 weights are missing: \['cHW_m1p0'\]"),
        (event(tags=""), "event 2 .*3 of 3 weights are missing"),
        (event(weights=[(name, 1) for name in (*IDS, "extra")]), r"event 2 .*\['extra'\] are not in the header"),
        (event(weights=[(name, 1) for name in (*IDS, "SM")]), "event 2 .*an id stands twice"),
        (event(weights=[(name, "oops") for name in IDS]), "event 2 .*reweighting weight: could not convert"),
        (event(tags="<weights>1 2</weights>"), "event 2 .*2 numbers in <weights>, but the header names 3"),
        (event(particles=[*PARTICLES[:-1], "1 1 0"]), "event 2 .*61 numbers, expected 6 and then 13"),
        (event(particles=[*PARTICLES[:-1], PARTICLES[-1].replace("5.0d0", "five")]), "event 2 .*the event is damaged"),
        (event().replace("</event>", ""), "event 2 .*second <event>"),
        ("<event>\n</event>\n", "event 2 .*0 numbers"),
    ],
)
def test_damaged_events(tmp_path, bad, message):
    path = save(tmp_path, document([event(), event(), bad, event()]))
    with pytest.raises(FileFormatError, match=message):
        read_lhe_particles(path)


def test_truncated_and_foreign_files(tmp_path):
    text = document([event()] * 30)
    for fraction in (0.02, 0.5, 0.9, 0.99):
        with pytest.raises(FileFormatError, match=r"truncated|<init>"):
            read_lhe_particles(save(tmp_path, text[: int(fraction * len(text))]))
    with pytest.raises(FileFormatError, match="does not end"):
        read_lhe_particles(save(tmp_path, text.replace("</LesHouchesEvents>", "")))
    zipped = gzip.compress(text.encode())
    for fraction in (0.01, 0.5, 0.99):
        (tmp_path / "x.lhe.gz").write_bytes(zipped[: int(fraction * len(zipped))])
        with pytest.raises(FileFormatError, match="truncated or damaged"):
            read_lhe_particles(tmp_path / "x.lhe.gz")
    broken = bytearray(zipped)
    broken[len(broken) // 2] ^= 255
    (tmp_path / "x.lhe.gz").write_bytes(bytes(broken))
    with pytest.raises(FileFormatError):
        read_lhe_particles(tmp_path / "x.lhe.gz")
    with pytest.raises(FileFormatError, match="no whole <init>"):
        read_lhe_particles(save(tmp_path, ""))
    with pytest.raises(FileFormatError, match="holds no events"):
        read_lhe_particles(save(tmp_path, document([])))
    with pytest.raises(FileFormatError, match="<init> block does not hold"):
        read_lhe_particles(save(tmp_path, text.replace("2.0 0.01 2.0 7", "2.0 0.01")))
    with pytest.raises(InputError, match=r"did you mean 'x\.lhe'"):
        read_lhe_particles(tmp_path / "xx.lhe")


# ---------------------------------------------------------------------- ids
@pytest.mark.parametrize(
    ("weight_id", "expected"),
    [
        ("cHW_0p1_cHbox_0p1", {"cHW": 0.1, "cHbox": 0.1}),
        ("rwgt_cHW_m1p0", {"cHW": -1.0}),
        ("EFTrwgt183_ctG_0.4_ctW_-1.2", {"ctG": 0.4, "ctW": -1.2}),
        ("ctG_0p5", {"ctG": 0.5}),
        ("ctp_2", {"ctp": 2.0}),
        ("cpQM_m2p5_cHq3_1_cpt_0p0", {"cpQM": -2.5, "cHq3": 1.0, "cpt": 0.0}),
        ("ft1_m0p02", {"ft1": -0.02}),
        ("c_HW_0p1_c_HW_til_m3", {"c_HW": 0.1, "c_HW_til": -3.0}),
        ("rwgt_12_cHW_1em3", {"cHW": 1e-3}),
        ("mg_reweight_3_cHW_1e-2_cHB_+2.", {"cHW": 0.01, "cHB": 2.0}),
        ("SM", {}),
        ("sm", {}),
        ("rwgt_SM", {}),
        ("EFTrwgt0_sm", {}),
        ("1", None),
        ("1001", None),
        ("rwgt_1", None),
        ("mg_reweight_1", None),
        ("EFTrwgt183", None),
        ("cHW", None),
        ("cHW_0p1_cHbox", None),
        ("cHW_0p1_0p2", None),
        ("cHW_0p1_cHW_0p2", None),
        ("MUR=0.5 MUF=1.0", None),
        ("", None),
    ],
)
def test_ids(weight_id, expected):
    assert parse_id(weight_id) == expected


def test_known_names_win():
    assert parse_id("point_cHW_0p1_cHB_2", ["cHW", "cHB"]) == {"cHW": 0.1, "cHB": 2.0}
    assert parse_id("c_3_0p1_c_33_0p2", ["c_3", "c_33"]) == {"c_3": 0.1, "c_33": 0.2}
    assert parse_id("m1_0p5", ["m1"]) == {"m1": 0.5}
    assert parse_id("cHW_0p1_junk_cHB_2", ["cHW", "cHB"]) is None


names = st.from_regex(r"c[A-Za-z0-9]{0,6}(_[A-Za-z][A-Za-z]{0,3})?", fullmatch=True).filter(
    lambda name: name.lower() != "sm" and "_m" not in name.lower()
)


@settings(max_examples=50, deadline=None)
@given(point=st.dictionaries(names, st.decimals(-99, 99, places=3), min_size=1, max_size=4), dot=st.sampled_from("p."))
def test_written_ids_are_read(point, dot):
    # without `params`, part of a name may not read as a number: the names drawn here never do
    text = "_".join(f"{name}_{value}" for name, value in point.items())
    if dot == "p":
        text = "_".join(f"{name}_" + str(value).replace("-", "m").replace(".", "p") for name, value in point.items())
    expected = {name: float(value) for name, value in point.items()}
    assert parse_id(text) == expected
    assert parse_id("rwgt_" + text) == expected
    assert parse_id(text, list(point)) == expected


# ---------------------------------------------------------------------- tables
# w(c) = 2 + 0.5 c + 0.1 c^2, so the derivatives at 0 are 2, 0.5 and 0.2
def test_table(tmp_path):
    path = save(tmp_path, document([event()] * 4))
    table = read_lhe(path)
    assert table.basis == PolynomialBasis(["cHW"])
    # 1000 fb / pb and the mean over four events; three points, weights of order 1
    np.testing.assert_allclose(table.weights, np.tile([500.0, 125.0, 50.0], (4, 1)), rtol=1e-13)
    assert table.feature_names == ("p1_E", "p1_px", "p1_py", "p1_pz", "p2_E", "p2_px", "p2_py", "p2_pz")
    np.testing.assert_array_equal(table.features[0], [5, 3, 0, 4, 5, -3, 0, -4])
    np.testing.assert_array_equal(table.aux["event_number"], [0, 1, 2, 3])
    np.testing.assert_array_equal(table.aux["process_id"], [7, 7, 7, 7])
    np.testing.assert_allclose(read_lhe(path, norm="sum", unit="fb").weights, table.weights * 4e-3, rtol=1e-13)
    moved = read_lhe(path, reference=[1.0])
    np.testing.assert_allclose(moved.weights, table.rebase([1.0]).weights, rtol=1e-12)


def test_norm_from_the_header(tmp_path):
    per_event = read_lhe(save(tmp_path, document([event()] * 4, norm="sum")), unit="fb")
    assert per_event.sigma_fb == pytest.approx(8.0, rel=1e-13)
    for norm in (None, "unity"):
        path = save(tmp_path, document([event()] * 4, norm=norm))
        with pytest.raises(InputError, match="event_norm in the header is"):
            read_lhe(path)
        assert read_lhe(path, norm="average").sigma_fb == pytest.approx(2000.0, rel=1e-13)
    for options, message in (({"unit": "nb"}, "unit='nb'"), ({"norm": "mean"}, "norm='mean'")):
        with pytest.raises(InputError, match=message):
            read_lhe(path, **({"norm": "sum"} | options))


def test_features(tmp_path):
    path = save(tmp_path, document([event()] * 3))
    table = read_lhe(path, features=lambda events: (events.outgoing()[:, :, 0].sum(axis=1, keepdims=True), ["E"]))
    assert table.feature_names == ("E",)
    np.testing.assert_array_equal(table.features[:, 0], [10.0] * 3)
    table = read_lhe(path, features={"x": [1.0, 2.0, 3.0], "y": np.arange(3)})
    np.testing.assert_array_equal(table.features, [[1, 0], [2, 1], [3, 2]])
    with pytest.raises(InputError, match=r"features\['x'\] has shape \(2,\)"):
        read_lhe(path, features={"x": [1.0, 2.0]})
    with pytest.raises(InputError, match="features is empty"):
        read_lhe(path, features={})


def test_varying_multiplicity_needs_a_callable(tmp_path):
    path = save(tmp_path, document([event(), event(particles=PARTICLES[:-1])]))
    with pytest.raises(InputError, match="between 1 and 2 outgoing"):
        read_lhe(path)
    table = read_lhe(path, features=lambda events: (np.diff(events.offsets)[:, np.newaxis], ["n"]))
    np.testing.assert_array_equal(table.features[:, 0], [5, 4])


def test_numeric_ids_are_variations_beside_named_ones(tmp_path):
    weights = (("1001", 9.0), ("SM", 2.0), ("cHW_1p0", 2.6), ("cHW_m1p0", 1.6), ("rwgt_2", 7.0))
    path = save(tmp_path, document([event(weights)] * 2, ids=[name for name, _ in weights]))
    assert read_lhe(path).basis.n_terms == 3
    mixed = [(name.replace("1001", "PDF = 1"), value) for name, value in weights]
    path = save(tmp_path, document([event(mixed)] * 2, ids=[name for name, _ in mixed]))
    with pytest.warns(BitWarning, match=r"1 weights whose ids name no coefficients .*'PDF = 1'"):
        table = read_lhe(path)
    assert table.sigma_fb == pytest.approx(2000.0, rel=1e-13)


def test_index_ids_need_points(tmp_path):
    weights = (("rwgt_1", 2.6), ("rwgt_2", 1.6), ("rwgt_3", 5.0))
    path = save(tmp_path, document([event(weights)] * 2, ids=[name for name, _ in weights]))
    with pytest.raises(FileFormatError, match=r"\['rwgt_1', 'rwgt_2', 'rwgt_3'\] carry no values.*points="):
        read_lhe(path)
    points = {"rwgt_1": {"cHW": 1.0}, "rwgt_2": {"cHW": -1.0}, "XWGTUP": {}}
    table = read_lhe(path, points=points)
    np.testing.assert_allclose(table.weights, np.tile([1000.0, 250.0, 100.0], (2, 1)), rtol=1e-13)
    linear = read_lhe(path, points={"rwgt_1": {"c": 1.0}, "rwgt_2": {"c": -1.0}}.get, order=1)
    np.testing.assert_allclose(linear.weights, np.tile([1050.0, 250.0], (2, 1)), rtol=1e-13)
    with pytest.raises(InputError, match=r"points names the weight 'rwgt_4'.*did you mean"):
        read_lhe(path, points=points | {"rwgt_4": {"cHW": 2.0}})
    with pytest.raises(InputError, match="unknown coefficient 'cHW'"):
        read_lhe(path, points=points, params=["cHB"])
    with pytest.raises(InputError, match="2 base points for 3 terms"):
        read_lhe(path, points={name: points[name] for name in ("rwgt_1", "XWGTUP")})


def test_params_select_points(tmp_path):
    weights = (("SM", 2.0), ("a_1", 2.6), ("a_m1_b_0p0", 1.6), ("b_1", 7.0), ("a_1_b_1", 8.0), ("b_2", 9.0))
    path = save(tmp_path, document([event(weights)], ids=[name for name, _ in weights]))
    np.testing.assert_allclose(read_lhe(path, params=["a"]).weights, [[2000, 500, 200]], rtol=1e-13)
    assert read_lhe(path).basis.param_names == ("a", "b")
    with pytest.raises(InputError, match=r"no weight id of .* names the coefficient 'aa': did you mean 'a'"):
        read_lhe(path, params=["aa"])


def test_too_few_points_and_bad_weights(tmp_path):
    path = save(tmp_path, document([event(weights=[("SM", 2.0), ("cHW_1p0", 2.6)])], ids=IDS[:2]))
    with pytest.raises(InputError, match="2 base points for 3 terms"):
        read_lhe(path)
    for value in ("nan", "inf"):
        bad = event(weights=[("SM", 2.0), ("cHW_1p0", value), ("cHW_m1p0", 1.6)])
        with pytest.raises(InputError, match="first: event 1"):
            read_lhe(save(tmp_path, document([event(), bad])))


def test_weights_that_are_no_polynomial_warn(tmp_path):
    weights = (("SM", 2.0), ("a_1", 2.6), ("a_m1", 1.6), ("a_2", 4.0))
    path = save(tmp_path, document([event(weights)], ids=[name for name, _ in weights]))
    with pytest.warns(BitWarning, match=r"100\.0% of the events the polynomial of order 2 misses"):
        read_lhe(path)
