import re

import awkward as ak
import numpy as np
import pytest
import uproot

from bit.basis import PolynomialBasis
from bit.errors import BitWarning, FileFormatError, InputError
from bit.events import EventTable
from bit.io.root import read_root, root_metadata, write_root

N = 40
F8 = np.dtype(np.float64)


@pytest.fixture
def table():
    rng = np.random.default_rng(5)
    basis = PolynomialBasis(["cHW", "c_HW_til"], reference=[0.1, -0.2])
    features = rng.normal(size=(N, 3)).astype(np.float32)
    features[3, 1], features[4, 2] = np.nan, np.inf
    aux = {
        "event number": np.arange(N) + 2**60,
        "flavour": rng.integers(-5, 6, N).astype(np.int8),
        "passes": rng.random(N) > 0.5,
        "weights": rng.normal(size=(N, 6)),
    }
    return EventTable(
        features,
        rng.normal(size=(N, basis.n_terms)),
        basis,
        feature_names=["pt", "Δφ(jj)", "m_ll"],
        units=["GeV", "", "GeV"],
        aux=aux,
    )


def assert_equal(left, right):
    assert left.basis == right.basis
    assert left.feature_names == right.feature_names
    assert left.units == right.units
    assert left.features.dtype == right.features.dtype
    np.testing.assert_array_equal(left.features, right.features)
    np.testing.assert_array_equal(left.weights, right.weights)
    assert list(left.aux) == list(right.aux)
    for name in left.aux:
        assert left.aux[name].dtype == right.aux[name].dtype
        np.testing.assert_array_equal(left.aux[name], right.aux[name])


def write_tree(path, columns, types=None, kind="mktree", name="t"):
    with uproot.recreate(path) as file:
        tree = getattr(file, kind)(name, types or {key: values.dtype for key, values in columns.items()})
        tree.extend(columns)
    return path


@pytest.fixture
def base_points():
    """Weights of 30 events at 4 points of one coefficient, exactly quadratic."""
    rng = np.random.default_rng(7)
    basis = PolynomialBasis(["cHW"])
    truth = rng.normal(size=(30, 3)) + np.array([3.0, 0.0, 0.0])
    points = np.array([[0.0], [1.0], [-1.0], [2.0]])
    return basis, truth, points, truth @ basis.monomials(points).T


# ---------------------------------------------------------------------- own files
@pytest.mark.parametrize("format_", ["ttree", "rntuple"])
def test_round_trip(tmp_path, table, format_):
    path = tmp_path / "a:b.root"
    write_root(path, table, format=format_, configuration={"process": "zh", "seed": 1})
    assert_equal(read_root(path), table)
    assert_equal(read_root([str(path)], step_size=7), table)
    with uproot.open(path) as file:
        assert ("RNTuple" in file.classnames()["events;1"]) == (format_ == "rntuple")
        keys = set(file["events"].keys())
    assert {"pt", "w", "w__cHW", "w__cHW__c_HW_til", "event_number"} <= keys
    metadata = root_metadata(path)
    assert metadata["configuration"] == {"process": "zh", "seed": 1}
    assert metadata["sigma_fb"] == pytest.approx(table.sigma_fb, rel=1e-15)


def test_float64_and_subset_of_terms(tmp_path, table):
    basis = PolynomialBasis(["a", "b"], terms=["a", ("a", "b")])
    other = EventTable(np.arange(4.0).reshape(2, 2), np.arange(6.0).reshape(2, 3), basis, feature_names=["x", "y"])
    write_root(tmp_path / "x.root", other, tree="mine")
    assert_equal(read_root(tmp_path / "x.root"), other)


def test_many_chunks(tmp_path, monkeypatch, table):
    monkeypatch.setattr("bit.io.root._ROWS", 11)
    write_root(tmp_path / "x.root", table)
    assert_equal(read_root(tmp_path / "x.root"), table)


def test_choice_of_features_aux_and_params(tmp_path, table):
    path = tmp_path / "x.root"
    write_root(path, table)
    part = read_root(path, features=["m_*", "pt"], aux=["flavour"], params=["c_HW_til"])
    assert part.feature_names == ("m_ll", "pt")
    assert part.units == ("GeV", "GeV")
    np.testing.assert_array_equal(part.column("pt"), table.column("pt"))
    assert list(part.aux) == ["flavour"]
    assert part.basis == PolynomialBasis(["c_HW_til"], reference=[-0.2])
    theta = [0.1, 0.7]
    # equal up to the order of additions of six numbers of order 1
    np.testing.assert_allclose(part.at(theta[1:]), table.at(theta), atol=1e-14)
    swapped = read_root(path, params=["c_HW_til", "cHW"])
    np.testing.assert_allclose(swapped.at(theta[::-1]), table.at(theta), atol=1e-14)


def test_max_events_is_take(tmp_path, table):
    write_root(tmp_path / "x.root", table)
    assert_equal(read_root(tmp_path / "x.root", max_events=13, step_size=5), table.take(slice(13)))


def test_several_files_are_one_sample(tmp_path, table):
    for k, rows in enumerate((slice(0, 15), slice(15, N))):
        write_root(tmp_path / f"{k}.root", table.take(rows))
    paths = [tmp_path / "0.root", tmp_path / "1.root"]
    assert_equal(read_root(paths), table)
    assert_equal(read_root(paths, max_events=20), table.take(slice(20)))
    write_root(paths[1], table.rebase([0.0, 0.0]))
    with pytest.raises(InputError, match=r"1\.root differs from the first file in its reference"):
        read_root(paths)


def test_an_older_file_survives_a_failed_write(tmp_path, table):
    path = tmp_path / "x.root"
    write_root(path, table)
    before = path.read_bytes()
    with pytest.raises(InputError, match="configuration"):
        write_root(path, table, configuration={"bad": object()})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.root"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature_names": ("w", "y", "z")}, "share the branch 'w'"),
        ({"feature_names": ("a b", "a-b", "z")}, "share the branch 'a_b'"),
        ({"aux": {"label": np.array(["a"] * N)}}, "aux 'label' has dtype <U1"),
        ({"aux": {"cube": np.zeros((N, 2, 2))}}, r"aux 'cube' has shape \(40, 2, 2\)"),
    ],
)
def test_write_refuses(tmp_path, table, change, message):
    arguments = {"feature_names": table.feature_names} | change
    with pytest.raises(InputError, match=message):
        write_root(tmp_path / "x.root", EventTable(table.features, table.weights, table.basis, **arguments))
    assert not list(tmp_path.iterdir())


def test_write_refuses_options(tmp_path, table):
    with pytest.raises(InputError, match="format='parquet'"):
        write_root(tmp_path / "x.root", table, format="parquet")
    with pytest.raises(InputError, match="tree='a/b'"):
        write_root(tmp_path / "x.root", table, tree="a/b")
    with pytest.raises(InputError, match="does not exist"):
        write_root(tmp_path / "no" / "x.root", table)


def test_own_file_states_its_normalisation(tmp_path, table):
    write_root(tmp_path / "x.root", table)
    for options in ({"unit": "pb"}, {"norm": "average"}, {"reference": [0, 0]}, {"order": 1}):
        with pytest.raises(InputError, match="written by bit"):
            read_root(tmp_path / "x.root", **options)
    with pytest.raises(InputError, match="points="):
        read_root(tmp_path / "x.root", points=[[0.0, 0.0]])


# ---------------------------------------------------------------------- other files
@pytest.mark.parametrize("kind", ["mktree", "mkrntuple"])
def test_derivative_branches_without_metadata(tmp_path, kind):
    rng = np.random.default_rng(1)
    names = ["w", "w__b", "w__a", "w__a__a", "w__a__b", "w__b__b"]
    columns = {name: rng.normal(size=9) for name in [*names, "x"]} | {"y": np.arange(9, dtype=np.int32)}
    path = write_tree(tmp_path / "x.root", columns, kind=kind)
    table = read_root(path, unit="pb", norm="average", reference={"a": 0.5})
    assert table.basis == PolynomialBasis(["a", "b"], reference=[0.5, 0.0])
    assert set(table.feature_names) == {"x", "y"}
    np.testing.assert_array_equal(table.column("y"), columns["y"])
    # fb from pb, mean from sum: one factor 1000 / 9, rounded once
    expected = columns["w__a__b"] * 1e3 / 9
    np.testing.assert_allclose(table.weights[:, table.basis.index(("a", "b"))], expected, rtol=1e-15)
    swapped = read_root(path, params=["b", "a"], features=["x"])
    np.testing.assert_array_equal(swapped.weights[:, swapped.basis.index(("b", "a"))], columns["w__a__b"])
    assert read_root(path, order=1).basis.terms == ((), ("a",), ("b",))
    del columns["w__a__b"]
    path = write_tree(tmp_path / "y.root", columns, kind=kind)
    assert ("a", "b") not in read_root(path).basis.terms
    with pytest.raises(InputError, match=r"no branch 'w__a__b'.*did you mean"):
        read_root(path, order=2)
    with pytest.raises(InputError, match=r"no branch 'w__c'.*did you mean"):
        read_root(path, params=["c"])


def test_average_is_over_all_events(tmp_path):
    columns = {"w": np.arange(1.0, 7.0), "w__a": np.ones(6), "x": np.arange(6.0)}
    write_tree(tmp_path / "0.root", {name: values[:2] for name, values in columns.items()})
    write_tree(tmp_path / "1.root", {name: values[2:] for name, values in columns.items()})
    paths = [tmp_path / "0.root", tmp_path / "1.root"]
    whole = read_root(paths, norm="average")
    assert whole.sigma_fb == pytest.approx(3.5, rel=1e-14)
    np.testing.assert_array_equal(whole.features[:, 0], columns["x"])
    np.testing.assert_array_equal(read_root(paths, norm="average", max_events=3).weights, whole.weights[:3])


def test_names_may_hold_underscores(tmp_path):
    columns = {name: np.arange(3.0) for name in ("w", "w__c_HW", "x")}
    assert read_root(write_tree(tmp_path / "x.root", columns)).basis.terms == ((), ("c_HW",))


@pytest.mark.parametrize("kind", ["mktree", "mkrntuple"])
@pytest.mark.parametrize("shape", ["jagged", "fixed", "scalars"])
def test_base_points(tmp_path, base_points, kind, shape):
    basis, truth, points, weights = base_points
    x = np.arange(30, dtype=np.float32)
    if shape == "scalars":
        branches = [f"rw{k}" for k in range(4)]
        columns = {"x": x} | dict(zip(branches, weights.T, strict=True))
        path = write_tree(tmp_path / "x.root", columns, kind=kind)
    else:
        branches = "rw*"
        element = "var * float64" if shape == "jagged" else np.dtype((np.float64, (4,)))
        values = ak.from_regular(ak.Array(weights)) if shape == "jagged" else weights
        path = write_tree(tmp_path / "x.root", {"x": x, "rw": values}, {"x": "float32", "rw": element}, kind=kind)
    table = read_root(path, weights=branches, points=points, params=["cHW"], step_size=7)
    assert table.basis == basis
    assert table.feature_names == ("x",)  # neither the weights nor their counter
    assert table.features.dtype == np.float32
    # well-conditioned 4 x 3 system of numbers of order 10: rounding errors of about 100 ulp
    np.testing.assert_allclose(table.weights, truth, atol=1e-13)
    named = read_root(path, weights=branches, points=[{"cHW": value} for value in points[:, 0]])
    np.testing.assert_allclose(named.weights, table.weights, atol=1e-13)
    shifted = read_root(path, weights=branches, points=points, params=["cHW"], reference=[0.5])
    np.testing.assert_allclose(shifted.weights, basis.rebase(truth, [0.5]), atol=1e-13)


def test_base_point_errors(tmp_path, base_points):
    _, _, points, weights = base_points
    columns = {"x": np.arange(30.0), "rw": weights, "other": np.arange(30.0)}
    path = write_tree(tmp_path / "x.root", columns, {"x": F8, "rw": np.dtype(("f8", (4,))), "other": F8})
    good = {"weights": "rw", "points": points, "params": ["cHW"]}
    for change, error, message in [
        ({"weights": "rv"}, InputError, "no branch for the weights 'rv': known names: 'x', 'rw', 'other'"),
        ({"weights": "*"}, InputError, "name one branch"),
        ({"weights": ["x", "other"], "features": ["x"]}, FileFormatError, "for 4 base points"),
        ({"points": points[:3]}, FileFormatError, "for 3 base points"),
        ({"points": points[:, [0, 0]]}, InputError, "theta has shape"),
        ({"points": None}, InputError, "weights= without points="),
        ({"params": None}, InputError, "needs params="),
        ({"weights": None}, InputError, "points= without weights="),
        ({"points": points * 0}, InputError, r"undetermined: \[\('cHW',\), \('cHW', 'cHW'\)\]"),
        ({"features": ["rw"]}, FileFormatError, "a feature needs one number per event"),
        ({"aux": ["rv"]}, InputError, "no branch for the aux array 'rv'"),
    ]:
        with pytest.raises(error, match=message):
            read_root(path, **(good | change))
    short = write_tree(
        tmp_path / "short.root",
        {"x": np.arange(30.0), "rw": weights[:, :2]},
        {"x": F8, "rw": np.dtype(("f8", (2,)))},
    )
    with pytest.raises(InputError, match="2 base points for 3 terms"):
        read_root(short, weights="rw", points=points[:2], params=["cHW"])


def test_base_points_with_nan_or_ragged_rows(tmp_path, base_points):
    _, _, points, weights = base_points
    options = {"weights": "rw", "points": points, "params": ["cHW"]}
    weights[17, 2] = np.nan
    types = {"x": F8, "rw": np.dtype(("f8", (4,)))}
    path = write_tree(tmp_path / "x.root", {"x": np.arange(30.0), "rw": weights}, types)
    with pytest.raises(InputError, match=r"event 17 .*NaN"):
        read_root(path, step_size=5, **options)
    rows = [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0]]
    types = {"x": F8, "rw": "var * float64"}
    path = write_tree(tmp_path / "y.root", {"x": np.arange(2.0), "rw": ak.Array(rows)}, types)
    with pytest.raises(FileFormatError, match="different numbers of weights per event"):
        read_root(path, **options)


def test_base_points_that_are_no_polynomial_warn(tmp_path, base_points):
    _, _, points, weights = base_points
    weights[:, 3] *= 1.1
    types = {"x": F8, "rw": np.dtype(("f8", (4,)))}
    path = write_tree(tmp_path / "x.root", {"x": np.arange(30.0), "rw": weights}, types)
    with pytest.warns(BitWarning, match="misses a base-point weight"):
        read_root(path, weights="rw", points=points, params=["cHW"])


def test_feature_types(tmp_path):
    columns = {
        "w": np.ones(4),
        "w__a": np.ones(4),
        "f": np.arange(4, dtype=np.float32),
        "i": np.arange(4, dtype=np.int32),
        "flag": np.array([True, False, True, False]),
        "jets": ak.Array([[1.0], [], [2.0], []]),
    }
    types = {name: values.dtype for name, values in columns.items() if name != "jets"}
    path = write_tree(tmp_path / "x.root", columns, types | {"jets": "var * float64"})
    assert read_root(path, features=["f", "flag"]).features.dtype == np.float32
    assert read_root(path, features=["f", "i"]).features.dtype == np.float64
    assert read_root(path, features=["*"]).feature_names == ("f", "i", "flag", "njets")
    with pytest.raises(FileFormatError, match=r"'jets' has type 'double\[\]'"):
        read_root(path, features=["jets"])
    with pytest.raises(FileFormatError, match="aux needs equally long rows"):
        read_root(path, features=["f"], aux=["jets"])
    with pytest.raises(InputError, match="no branch for the feature 'flagg': did you mean 'flag'"):
        read_root(path, features=["flagg"])


def test_choice_of_tree(tmp_path):
    path = tmp_path / "x.root"
    columns = {"w": np.ones(2), "w__a": np.ones(2), "x": np.arange(2.0)}
    with uproot.recreate(path) as file:
        for name in ("first", "second"):
            file.mktree(name, dict.fromkeys(columns, np.dtype("f8"))).extend(columns)
    with pytest.raises(InputError, match=re.escape("several trees ['first', 'second']")):
        read_root(path)
    with pytest.raises(InputError, match=r"no tree 'frist'.*did you mean 'first'"):
        read_root(path, tree="frist")
    assert read_root(path, tree="second").n_events == 2


def test_highest_cycle_is_read(tmp_path):
    path = tmp_path / "x.root"
    for update, value in ((uproot.recreate, 1.0), (uproot.update, 2.0)):
        with update(path) as file:
            file.mktree("t", {"w": F8, "w__a": F8, "x": F8}).extend(
                {"w": np.ones(2), "w__a": np.ones(2), "x": np.full(2, value)}
            )
    with uproot.open(path) as file:
        assert file.keys() == ["t;1", "t;2"]
    np.testing.assert_array_equal(read_root(path).features[:, 0], [2.0, 2.0])


def test_bad_files(tmp_path, table):
    write_root(tmp_path / "events.root", table)
    with pytest.raises(InputError, match=r"no such file.*did you mean 'events\.root'"):
        read_root(tmp_path / "event.root")
    with pytest.raises(InputError, match="paths is empty"):
        read_root([])
    (tmp_path / "text.root").write_text("not a ROOT file, but long enough to look at\n" * 20)
    with pytest.raises(FileFormatError, match="cannot be read as a ROOT file"):
        read_root(tmp_path / "text.root")
    (tmp_path / "none.root").write_bytes(b"")
    with pytest.raises(FileFormatError, match="cannot be read as a ROOT file"):
        read_root(tmp_path / "none.root")
    whole = (tmp_path / "events.root").read_bytes()
    for fraction in (0.05, 0.3, 0.6, 0.9, 1 - 1 / len(whole)):
        (tmp_path / "cut.root").write_bytes(whole[: int(fraction * len(whole))])
        with pytest.raises(FileFormatError, match=r"cannot be read as a ROOT file|is truncated"):
            read_root(tmp_path / "cut.root")
    with uproot.recreate(tmp_path / "empty.root") as file:
        file["note"] = "no tree"
    with pytest.raises(FileFormatError, match="holds no tree; it holds \\['note'\\]"):
        read_root(tmp_path / "empty.root")
    with pytest.raises(FileFormatError, match="not written by write_root"):
        root_metadata(tmp_path / "empty.root")


def test_empty_tree_and_missing_branches(tmp_path):
    with uproot.recreate(tmp_path / "x.root") as file:
        file.mktree("t", {"w": F8, "w__a": F8, "x": F8})
    with pytest.raises(FileFormatError, match="holds no events"):
        read_root(tmp_path / "x.root")
    path = write_tree(tmp_path / "y.root", {"x": np.ones(3), "y": np.ones(3)})
    with pytest.raises(InputError, match="no weight polynomial"):
        read_root(path)
    path = write_tree(tmp_path / "z.root", {"w": np.ones(3), "w__a": np.ones(3)})
    with pytest.raises(FileFormatError, match="no branch is left for the features"):
        read_root(path)
    write_tree(tmp_path / "first.root", {"w": np.ones(3), "w__a": np.ones(3), "x": np.ones(3)})
    with pytest.raises(InputError, match=r"no branch 'x' in .*z\.root"):
        read_root([tmp_path / "first.root", tmp_path / "z.root"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(tmp_path, value):
    columns = {"w": np.ones(5), "w__a": np.array([0, 1, value, 3, 4]), "x": np.ones(5)}
    with pytest.raises(InputError, match="first: event 2"):
        read_root(write_tree(tmp_path / "x.root", columns))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "ab"}, "unit='ab'"),
        ({"norm": "mean"}, "norm='mean'"),
        ({"max_events": 0}, "max_events=0"),
        ({"features": "x"}, "features='x': give a list"),
        ({"params": "a"}, "params='a': give a list"),
    ],
)
def test_bad_options(tmp_path, options, message):
    path = write_tree(tmp_path / "x.root", {"w": np.ones(3), "w__a": np.ones(3), "x": np.ones(3)})
    with pytest.raises(InputError, match=message):
        read_root(path, **options)


# ---------------------------------------------------------------------- elements of jagged branches
def write_jagged(path):
    columns = {
        "jet_pt": ak.values_astype(ak.Array([[1.5], [], [2.0, 3.0]]), "float32"),
        "jet_id": ak.Array([[1], [], [2, 3]]),
        "met": np.array([7.0, 8.0, 9.0], dtype=np.float32),
        "w": np.ones(3),
        "w__cHW": np.arange(3.0),
    }
    types = {"jet_pt": "var * float32", "jet_id": "var * int64", "met": np.float32, "w": F8, "w__cHW": F8}
    return write_tree(path, columns, types)


def test_elements_of_jagged_branches(tmp_path):
    path = write_jagged(tmp_path / "x.root")
    table = read_root(path, features=["jet_pt[1]", "met", "jet_pt[0]"], order=1, step_size=2)
    assert table.feature_names == ("jet_pt[1]", "met", "jet_pt[0]")
    assert table.features.dtype == np.float32
    np.testing.assert_array_equal(table.features, [[np.nan, 7, 1.5], [np.nan, 8, np.nan], [3, 9, 2]])
    numbers = read_root(path, features=["jet_id[0]"], order=1)
    np.testing.assert_array_equal(numbers.features, [[1], [np.nan], [2]])
    for features, message in (
        (["jet_pt"], "needs one number per event, such as jet_pt.0."),
        (["met[0]"], "write 'met', not 'met.0.'"),
        (["jet_p[0]"], "did you mean 'jet_pt'"),
    ):
        with pytest.raises((InputError, FileFormatError), match=message):
            read_root(path, features=features, order=1)
