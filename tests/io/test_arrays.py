import json

import numpy as np
import pytest

from bit.basis import PolynomialBasis
from bit.errors import FileFormatError, InputError
from bit.events import EventTable
from bit.io.arrays import read_npz, write_npz


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trip_is_lossless(tmp_path, dtype):
    table = make_table(dtype)
    write_npz(tmp_path / "x.npz", table, configuration={"seed": 3})
    back = read_npz(tmp_path / "x.npz")
    assert back.basis == table.basis
    assert back.feature_names == table.feature_names
    assert back.units == table.units
    assert back.features.dtype == dtype
    assert back.features.tobytes() == table.features.tobytes()
    assert back.weights.tobytes() == table.weights.tobytes()
    assert list(back.aux) == list(table.aux)
    for name, values in table.aux.items():
        assert back.aux[name].dtype == values.dtype
        np.testing.assert_array_equal(back.aux[name], values)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as archive:
        metadata = json.loads(str(archive["metadata"]))
    assert metadata["schema"] == "bit-events/1"
    assert metadata["configuration"] == {"seed": 3}


def test_name_is_kept_as_given(tmp_path):
    write_npz(tmp_path / "events", make_table())
    assert [entry.name for entry in tmp_path.iterdir()] == ["events"]


def test_same_table_gives_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_npz(tmp_path / name, make_table())
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
