import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from bit.basis import PolynomialBasis
from bit.errors import FileFormatError, InputError
from bit.events import EventTable
from bit.io.arrays import read_npz, read_parquet, write_npz, write_parquet

FORMATS = {"npz": (write_npz, read_npz), "parquet": (write_parquet, read_parquet)}


def make_table(dtype=np.float32, **changes):
    rng = np.random.default_rng(3)
    basis = PolynomialBasis(["cHW", "cHq3"], reference=[0.1, 1 / 3])
    arguments = {
        "feature_names": ["p_T (l⁻)", "aux/x"],
        "units": ["GeV", ""],
        "aux": {"flavour": np.array(["d", "ubar", "s"]), "E[t|x]": rng.normal(size=(3, 5)), "features": np.arange(3)},
    }
    features = rng.normal(size=(3, 2)).astype(dtype)
    features[0, 0], features[1, 1] = np.nan, -np.inf
    return EventTable(features, rng.normal(size=(3, 6)), basis, **(arguments | changes))


def assert_same(back, table):
    assert back.basis == table.basis
    assert back.feature_names == table.feature_names
    assert back.units == table.units
    assert back.features.dtype == table.features.dtype
    assert back.features.tobytes() == table.features.tobytes()
    assert back.weights.tobytes() == table.weights.tobytes()
    assert list(back.aux) == list(table.aux)
    for name, values in table.aux.items():
        assert back.aux[name].dtype == values.dtype
        assert back.aux[name].tobytes() == values.tobytes()


def stored_metadata(path):
    if path.suffix == ".parquet":
        return json.loads(parquet.read_schema(path).metadata[b"bit_metadata"])
    with np.load(path, allow_pickle=False) as archive:
        return json.loads(str(archive["metadata"]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", FORMATS)
def test_round_trip_is_lossless(tmp_path, suffix, dtype):
    write, read = FORMATS[suffix]
    path = tmp_path / f"x.{suffix}"
    table = make_table(dtype)
    write(path, table, configuration={"seed": 3})
    assert_same(read(path), table)
    metadata = stored_metadata(path)
    assert metadata["schema"] == "bit-events/1"
    assert metadata["configuration"] == {"seed": 3}
    assert metadata["sigma_fb"] == table.sigma_fb


@pytest.mark.parametrize("suffix", FORMATS)
def test_round_trip_of_all_kinds_of_aux(tmp_path, suffix):
    write, read = FORMATS[suffix]
    big_endian = np.array([1.5, np.nan, -0.0]).astype(">f8")
    aux = {
        "bool": np.array([True, False, True]),
        "large": np.array([2**64 - 1, 0, 1], dtype=np.uint64),
        "small": np.array([-128, 127, 0], dtype=np.int8),
        "half": np.array([1.5, np.nan, np.inf], dtype=np.float16),
        "big-endian": big_endian,
        "cube": np.arange(12, dtype=np.int16).reshape(3, 2, 2),
        "one column": np.arange(3.0).reshape(3, 1),
        "words": np.array([["é", ""], ["abc", "d"], ["", ""]], dtype="<U7"),
        "bytes": np.array([b"a", b"\xff\x01", b""]),
        "a.b": np.arange(3),
        "b[0]": np.arange(3),
        "a": np.arange(6.0).reshape(3, 2),
    }
    table = make_table(aux=aux, feature_names=["x.y", "x[0]"])
    write(tmp_path / "x", table)
    assert_same(read(tmp_path / "x"), table)


@pytest.mark.parametrize("suffix", FORMATS)
def test_subset_of_terms(tmp_path, suffix):
    write, read = FORMATS[suffix]
    basis = PolynomialBasis(["a", "b"], terms=["b", ("a", "b")])
    table = EventTable(np.ones((2, 1)), np.arange(6.0).reshape(2, 3), basis, feature_names=["x"])
    write(tmp_path / "x", table)
    assert_same(read(tmp_path / "x"), table)


@pytest.mark.parametrize("suffix", FORMATS)
def test_name_is_kept_as_given(tmp_path, suffix):
    FORMATS[suffix][0](tmp_path / "events", make_table())
    assert [entry.name for entry in tmp_path.iterdir()] == ["events"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_same_table_gives_same_bytes(tmp_path, suffix):
    for name in ("a", "b"):
        FORMATS[suffix][0](tmp_path / name, make_table())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_objects_are_never_pickled(tmp_path):
    table = make_table(aux={"anything": np.array([{}, {}, {}], dtype=object)})
    with pytest.raises(InputError, match="aux\\['anything'\\] holds Python objects"):
        write_npz(tmp_path / "x.npz", table)
    np.savez(tmp_path / "x.npz", features=np.array([{}], dtype=object), weights=np.ones(1), metadata=np.array("{}"))
    with pytest.raises(FileFormatError, match="not a whole npz file"):
        read_npz(tmp_path / "x.npz")


def test_bad_files(tmp_path):
    path = tmp_path / "events.npz"
    write_npz(path, make_table())
    with pytest.raises(InputError, match=r"did you mean 'events\.npz'"):
        read_npz(tmp_path / "event.npz")
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"text" * 100):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="not a whole npz file"):
            read_npz(path)
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(FileFormatError, match="not a whole npz file"):
        read_npz(tmp_path / "one.npy")
    np.savez(path, features=np.ones((1, 1)))
    with pytest.raises(FileFormatError, match=r"lacks the arrays \['weights', 'metadata'\]"):
        read_npz(path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("{", "not JSON"),
        ("[]", "schema None"),
        ('{"schema": "bit-events/99"}', "schema 'bit-events/99', this version reads 'bit-events/1'"),
        ('{"schema": "bit-events/1", "terms": []}', "lack \\['param_names'"),
    ],
)
def test_bad_metadata(tmp_path, metadata, message):
    np.savez(tmp_path / "x.npz", features=np.ones((1, 1)), weights=np.ones((1, 2)), metadata=np.array(metadata))
    with pytest.raises(FileFormatError, match=message):
        read_npz(tmp_path / "x.npz")


def test_missing_aux_and_nan_configuration(tmp_path):
    write_npz(tmp_path / "x.npz", make_table())
    with np.load(tmp_path / "x.npz") as archive:
        kept = {name: archive[name] for name in archive.files if name != "aux/flavour"}
    np.savez(tmp_path / "y.npz", **kept)
    with pytest.raises(FileFormatError, match=r"lacks the aux arrays \['flavour'\]"):
        read_npz(tmp_path / "y.npz")
    with pytest.raises(InputError, match="configuration"):
        write_npz(tmp_path / "z.npz", make_table(), configuration={"x": float("nan")})


# ---------------------------------------------------------------------- Parquet
def long_table(n_events=50):
    rng = np.random.default_rng(4)
    basis = PolynomialBasis(["cHW", "cHq3"], reference=[0.1, -0.2])
    return EventTable(
        rng.normal(size=(n_events, 3)).astype(np.float32),
        rng.normal(size=(n_events, 6)),
        basis,
        feature_names=["jet_pt", "jet_eta", "met"],
        units=["GeV", "", "GeV"],
        aux={"event": np.arange(n_events), "score": rng.normal(size=(n_events, 2))},
    )


def test_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("bit.io.arrays._ROW_GROUP", 11)
    table = long_table()
    write_parquet(tmp_path / "x.parquet", table)
    assert parquet.ParquetFile(tmp_path / "x.parquet").metadata.num_row_groups == 5
    assert_same(read_parquet(tmp_path / "x.parquet"), table)
    for n in (1, 11, 12, 49, 50, 1000):
        assert_same(read_parquet(tmp_path / "x.parquet", max_events=n), table.take(slice(n)))
    monkeypatch.setattr("bit.io.arrays._ROW_GROUP", 7)  # groups of a file need not be those of the reader
    assert_same(read_parquet(tmp_path / "x.parquet"), table)


def test_choice_of_columns(tmp_path):
    table = long_table()
    path = tmp_path / "x.parquet"
    write_parquet(path, table)
    part = read_parquet(path, features=["met", "jet_*"], aux=["event"], params=["cHq3"])
    assert part.feature_names == ("met", "jet_pt", "jet_eta")
    assert part.units == ("GeV", "GeV", "")
    np.testing.assert_array_equal(part.column("jet_eta"), table.column("jet_eta"))
    assert list(part.aux) == ["event"]
    assert part.basis == PolynomialBasis(["cHq3"], reference=[-0.2])
    np.testing.assert_allclose(part.at([0.7]), table.at([0.1, 0.7]), rtol=0, atol=1e-14)  # six numbers of order 1
    assert read_parquet(path, aux=[]).aux == {}
    for wrong, message in (
        ({"features": ["jet_pp"]}, "no feature 'jet_pp': did you mean 'jet_pt'"),
        ({"features": "met"}, r"features='met': give a list of names"),
        ({"aux": ["evnt"]}, "no aux array 'evnt': did you mean 'event'"),
        ({"params": ["cHQ3"]}, "no coefficient 'cHQ3': did you mean 'cHq3'"),
        ({"max_events": 0}, "max_events=0: at least one event"),
    ):
        with pytest.raises(InputError, match=message):
            read_parquet(path, **wrong)


def test_pandas_reads_our_columns(tmp_path):
    pandas = pytest.importorskip("pandas")
    table = long_table()
    write_parquet(tmp_path / "x.parquet", table)
    frame = pandas.read_parquet(tmp_path / "x.parquet", columns=["met", "w", "w__cHW__cHq3"])
    np.testing.assert_array_equal(frame["w__cHW__cHq3"], table.weights[:, table.basis.index(("cHW", "cHq3"))])
    np.testing.assert_array_equal(frame["met"], table.column("met"))


def test_parquet_names_and_types_that_cannot_be_written(tmp_path):
    path = tmp_path / "x.parquet"
    for changes, message in (
        ({"feature_names": ["w", "y"]}, "two columns would share the name 'w'"),
        ({"feature_names": ["w__cHq3", "y"]}, "two columns would share the name 'w__cHq3'"),
        ({"aux": {"p_T (l⁻)": np.ones(3)}}, "two columns would share the name 'p_T"),
        ({"aux": {"anything": np.array([{}, {}, {}])}}, "aux 'anything' has dtype object"),
        ({"aux": {"z": np.ones(3, dtype=complex)}}, "aux 'z' has dtype complex128"),
        ({"aux": {"l": np.ones(3, dtype=np.longdouble)}}, "aux 'l' has dtype float128"),
    ):
        with pytest.raises(InputError, match=message):
            write_parquet(path, make_table(**changes))
    twins = PolynomialBasis(["a", "b", "a__b"])
    table = EventTable(np.ones((1, 1)), np.ones((1, 10)), twins, feature_names=["x"])
    with pytest.raises(InputError, match="rename a feature, an aux array or a coefficient"):
        write_parquet(path, table)
    with pytest.raises(InputError, match="configuration"):
        write_parquet(path, make_table(), configuration={"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_bad_parquet_files(tmp_path):
    path = tmp_path / "events.parquet"
    write_parquet(path, long_table(2000))
    with pytest.raises(InputError, match=r"did you mean 'events\.parquet'"):
        read_parquet(tmp_path / "event.parquet")
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 4
    for content in (whole[: len(whole) // 2], b"", b"text" * 100, bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="not a whole Parquet file"):
            read_parquet(path)
    parquet.write_table(pa.table({"x": [1.0], "w": [1.0]}), path)
    with pytest.raises(FileFormatError, match="was not written by write_parquet"):
        read_parquet(path)


def test_damaged_parquet_metadata(tmp_path):
    path = tmp_path / "x.parquet"
    write_parquet(path, long_table())
    table = parquet.read_table(path)
    metadata = json.loads(table.schema.metadata[b"bit_metadata"])
    for changes, message in (
        ({"schema": "bit-events/99"}, "schema 'bit-events/99', this version reads"),
        ({"columns": None}, r"the metadata lack \['columns'\]"),
    ):
        changed = {name: value for name, value in (metadata | changes).items() if value is not None}
        parquet.write_table(table.replace_schema_metadata({"bit_metadata": json.dumps(changed)}), path)
        with pytest.raises(FileFormatError, match=message):
            read_parquet(path)
    parquet.write_table(table.drop(["met", "event"]), path)
    with pytest.raises(FileFormatError, match=r"lacks the columns \['met', 'event'\]"):
        read_parquet(path)
