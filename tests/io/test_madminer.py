"""MadMiner files, constructed here with h5py in MadMiner's layout: S256 strings, weights in pb."""

import h5py
import numpy as np
import pytest

from bit.basis import PolynomialBasis
from bit.conventions import to_madminer
from bit.errors import BitWarning, FileFormatError, InputError
from bit.io.madminer import affine, read_madminer

N = 40
BENCHMARKS = np.array([[0, 0], [1, 0], [-1, 0], [0, 2], [0, -2], [1, 1]], dtype=float)
FULL = PolynomialBasis(["cHW", "cHB"])


def texts(values):
    return np.array([value.encode() for value in values], dtype="S256")


def events(rng):
    """Derivatives in pb at 0, and observables with values that were not measured."""
    derivatives = rng.normal(size=(N, 6)) / N
    derivatives[:, 0] = rng.uniform(1, 2, N) / N
    observations = rng.normal(size=(N, 3))
    observations[4, 1] = np.nan
    return derivatives, observations


def content(derivatives, observations):
    """Datasets of a file with six physics benchmarks and two nuisance benchmarks, of which one stands in between."""
    stored = to_madminer(derivatives, FULL, BENCHMARKS)
    weights = np.insert(stored.weights, [2, 6], 1e9, axis=1)  # nuisance weights must not be used
    values = np.insert(BENCHMARKS, [2, 6], 0.0, axis=0)
    names = [f"b{k}" for k in range(6)]
    return {
        "parameters/names": texts(FULL.param_names),
        "parameters/lha_blocks": texts(["smeft", "smeft"]),
        "parameters/lha_ids": np.array([5, 7]),
        "parameters/max_power": np.array([[2], [2]]),
        "parameters/transforms": texts(["", ""]),
        "benchmarks/names": texts([*names[:2], "nuisance_0", *names[2:], "nuisance_1"]),
        "benchmarks/values": values,
        "benchmarks/is_nuisance": np.array([0, 0, 1, 0, 0, 0, 0, 1]),
        "benchmarks/is_reference": np.array([1, 0, 0, 0, 0, 0, 0, 0]),
        "morphing/components": stored.components,
        "morphing/morphing_matrix": stored.morphing_matrix,
        "observables/names": texts(["pt_j1", "delta_phi", "met"]),
        "observables/definitions": texts(["__import__('os').abort()", "0", ""]),
        "samples/observations": observations,
        "samples/weights": weights,
        "samples/sampling_benchmarks": np.zeros(N, dtype=int),
        "sample_summary/signal_events": np.array([30, 10, 0, 0, 0, 0]),
        "sample_summary/background_events": 0,
    }


def save(path, datasets, **changes):
    with h5py.File(path, "w") as file:
        for name, values in (datasets | {name.replace("__", "/"): value for name, value in changes.items()}).items():
            if values is not None:
                file.create_dataset(name, data=values)
    return path


@pytest.fixture
def truth(rng):
    return events(rng)


@pytest.fixture
def datasets(truth):
    return content(*truth)


def assert_weights(found, expected):
    # sums of six products of numbers of the same order
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


# ---------------------------------------------------------------------- what is read
def test_events(tmp_path, truth, datasets):
    derivatives, observations = truth
    table = read_madminer(save(tmp_path / "x.h5", datasets))
    assert table.basis == FULL
    assert_weights(table.weights, 1e3 * derivatives)
    assert table.sigma_fb == pytest.approx(1e3 * derivatives[:, 0].sum(), rel=1e-13)
    assert table.feature_names == ("pt_j1", "delta_phi", "met")
    np.testing.assert_array_equal(table.features, observations)
    np.testing.assert_array_equal(table.aux["sampling_benchmark"], 0)
    assert not table.aux["is_background"].any()
    # MadMiner's own evaluation at a benchmark is the weight of that benchmark
    assert_weights(table.at(BENCHMARKS[5]), 1e3 * datasets["samples/weights"][:, 6])


def test_reference_and_choices(tmp_path, truth, datasets):
    path = save(tmp_path / "x.h5", datasets)
    table = read_madminer(path, reference={"cHB": 0.5}, observables=["met", "pt_j1"])
    assert table.basis == PolynomialBasis(["cHW", "cHB"], reference=[0.0, 0.5])
    assert_weights(table.weights, 1e3 * FULL.rebase(truth[0], [0.0, 0.5]))
    assert table.feature_names == ("met", "pt_j1")
    part = read_madminer(path, reference={"cHB": 0.5}, params=["cHW"])
    assert part.basis == PolynomialBasis(["cHW"])
    assert_weights(part.at([0.7]), table.at([0.7, 0.5]))
    swapped = read_madminer(path, params=["cHB", "cHW"])
    assert_weights(swapped.at([0.3, -0.4]), table.at([-0.4, 0.3]))


def test_many_chunks(tmp_path, monkeypatch, truth, datasets):
    monkeypatch.setattr("bit.io.madminer._ROWS", 7)
    table = read_madminer(save(tmp_path / "x.h5", datasets))
    assert_weights(table.weights, 1e3 * truth[0])
    np.testing.assert_array_equal(table.features, truth[1])


def test_strings_of_variable_length_and_padding(tmp_path, truth, datasets):
    names = np.array(["cHW", "cHB"], dtype=object)
    padded = np.array([b"pt_j1".ljust(256, b"\0"), "Δφ".encode().ljust(256, b"\0"), b"met"], dtype="S256")
    table = read_madminer(save(tmp_path / "x.h5", datasets, parameters__names=names, observables__names=padded))
    assert table.basis.param_names == ("cHW", "cHB")
    assert table.feature_names == ("pt_j1", "Δφ", "met")


# ---------------------------------------------------------------------- groups that may be absent
def test_no_morphing_means_a_fit(tmp_path, truth, datasets):
    path = save(tmp_path / "x.h5", datasets, morphing__components=None, morphing__morphing_matrix=None)
    assert_weights(read_madminer(path).weights, 1e3 * truth[0])


def test_benchmarks_may_be_absent_if_there_is_a_matrix(tmp_path, truth, datasets):
    physics = np.delete(datasets["samples/weights"], [2, 7], axis=1)
    absent = [name for name in datasets if name.startswith(("benchmarks", "sample_summary", "observables"))]
    absent += ["parameters/transforms", "samples/sampling_benchmarks"]
    table = read_madminer(save(tmp_path / "x.h5", datasets | dict.fromkeys(absent), samples__weights=physics))
    assert_weights(table.weights, 1e3 * truth[0])
    assert table.feature_names == ("observable_0", "observable_1", "observable_2")
    assert table.aux == {}


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        (["parameters/names"], "lacks parameters/names"),
        (["samples/weights"], "lacks samples/weights: it holds a set-up but no events"),
        (["samples/observations"], "lacks samples/observations"),
        (["morphing/components", "benchmarks/values"], "weights at unknown points give no polynomial"),
    ],
)
def test_what_is_impossible_without_a_group(tmp_path, datasets, absent, message):
    with pytest.raises(FileFormatError, match=message):
        read_madminer(save(tmp_path / "x.h5", datasets | dict.fromkeys(absent)))


# ---------------------------------------------------------------------- sampling
def test_background(tmp_path, truth, datasets):
    sampled = np.where(np.arange(N) < 10, -1, 0)
    path = save(tmp_path / "x.h5", datasets, samples__sampling_benchmarks=sampled)
    table = read_madminer(path)
    np.testing.assert_array_equal(table.aux["is_background"], np.arange(N) < 10)
    assert_weights(table.weights, 1e3 * truth[0])
    halved = read_madminer(path, sampling_factors={"b0": 1.0, "background": 0.5})
    assert_weights(halved.weights[:10], 500 * truth[0][:10])
    assert_weights(halved.weights[10:], 1e3 * truth[0][10:])


def test_several_sampling_benchmarks_need_factors(tmp_path, truth, datasets):
    # numbers count the physics benchmarks: 3 is b3, although a nuisance benchmark stands before it
    sampled = np.where(np.arange(N) < 30, 0, 3)
    generated = np.array([30, 0, 0, 10, 0, 0])
    path = save(
        tmp_path / "x.h5", datasets, samples__sampling_benchmarks=sampled, sample_summary__signal_events=generated
    )
    with pytest.raises(InputError, match=r"sampled from \['b0', 'b3'\].*\{'b0': 0\.75, 'b3': 0\.25\}"):
        read_madminer(path)
    with pytest.raises(InputError, match=r"give sampling_factors for \['b3'\]"):
        read_madminer(path, sampling_factors={"b0": 1.0})
    table = read_madminer(path, sampling_factors={"b0": 0.75, "b3": 0.25})
    assert_weights(table.weights[:30], 750 * truth[0][:30])
    assert_weights(table.weights[30:], 250 * truth[0][30:])
    for factors, message in (
        ({"b0": 1.0, "b7": 1.0}, "no benchmark 'b7'"),
        ({"nuisance_0": 1.0}, "no benchmark 'nuisance_0'"),
        ({"b0": 1.0, "b3": float("nan")}, "every factor must be finite"),
    ):
        with pytest.raises(InputError, match=message):
            read_madminer(path, sampling_factors=factors)
    with pytest.raises(InputError, match="does not say how events were sampled"):
        read_madminer(save(tmp_path / "y.h5", datasets, samples__sampling_benchmarks=None), sampling_factors={"b0": 1})
    with pytest.raises(FileFormatError, match="names benchmark 6 of 6"):
        read_madminer(save(tmp_path / "z.h5", datasets, samples__sampling_benchmarks=np.full(N, 6)))


# ---------------------------------------------------------------------- transforms
def test_affine_transforms_give_the_values_of_the_card(tmp_path, truth, datasets):
    path = save(tmp_path / "x.h5", datasets, parameters__transforms=texts(["16*theta", "-(theta - 1)/4 + 0.5"]))
    table = read_madminer(path, reference=[0.8, -0.1])
    stored = read_madminer(path, raw=True)
    assert table.basis.reference == (0.8, -0.1)
    assert_weights(stored.weights, 1e3 * truth[0])
    for theta in np.random.default_rng(2).normal(size=(5, 2)):
        card = [16 * theta[0], -(theta[1] - 1) / 4 + 0.5]
        expected = stored.at(theta)
        # moved to another reference point and back, with slopes up to 16
        np.testing.assert_allclose(table.at(card), expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("text", ["theta**2", "1/theta", "sin(theta)", "0*theta", "3", "__import__('os').abort()"])
def test_other_transforms_are_refused(tmp_path, truth, datasets, text):
    path = save(tmp_path / "x.h5", datasets, parameters__transforms=texts(["", text]))
    with pytest.raises(InputError, match=r"'cHB' has the transform .*not affine in theta"):
        read_madminer(path)
    assert_weights(read_madminer(path, raw=True).weights, 1e3 * truth[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("theta", (1.0, 0.0)),
        (" 16.52*theta ", (16.52, 0.0)),
        ("theta*16.52 + 1", (16.52, 1.0)),
        ("2*(theta+1)/4 - theta", (-0.5, 0.5)),
        ("-theta", (-1.0, 0.0)),
        ("+theta**1", (1.0, 0.0)),
        ("2**3*theta", (8.0, 0.0)),
        ("1e-6*theta", (1e-6, 0.0)),
        ("theta*theta", None),
        ("theta/0", None),
        ("theta - theta", None),
        ("(-8)**0.5*theta", None),
        ("9.0**9**9*theta", None),
        ("9**9**9*theta", None),
        ("True*theta", None),
        ("1j*theta", None),
        ("theta if 1 else 2", None),
        ("(lambda: 1)()*theta", None),
        ("theta.real", None),
        ("x", None),
        ("theta +", None),
        ("(" * 250, None),
        ("-" * 250 + "theta", (1.0, 0.0)),
        ("+" * 400 + "theta", None),
        ("1e999*theta", None),
    ],
)
def test_affine(text, expected):
    assert affine(text) == expected


# ---------------------------------------------------------------------- mistakes and damage
def test_powers_beyond_two_are_refused(tmp_path, datasets):
    components = np.array([[0, 0], [4, 0], [3, 1], [0, 2], [2, 0], [1, 0]])
    with pytest.raises(FileFormatError, match=r"powers \[4, 0\] of \['cHW', 'cHB'\] is of order 4"):
        read_madminer(save(tmp_path / "x.h5", datasets, morphing__components=components))


def test_a_morphing_that_misses_the_weights_is_noticed(tmp_path, datasets):
    matrix = datasets["morphing/morphing_matrix"].copy()
    matrix[1] *= 1.5
    with pytest.warns(BitWarning, match="misses a base-point weight"):
        read_madminer(save(tmp_path / "x.h5", datasets, morphing__morphing_matrix=matrix))


def test_mistakes(tmp_path, datasets):
    path = save(tmp_path / "x.h5", datasets)
    for wrong, message in (
        ({"params": ["cHw"]}, "no param 'cHw': did you mean 'cHW'"),
        ({"params": "cHW"}, "params='cHW': give a list of names"),
        ({"observables": ["pt_j"]}, "no observable 'pt_j': did you mean 'pt_j1'"),
        ({"reference": {"cHq3": 1.0}}, "unknown coefficient 'cHq3'"),
    ):
        with pytest.raises(InputError, match=message):
            read_madminer(path, **wrong)
    with pytest.raises(InputError, match=r"did you mean 'x\.h5'"):
        read_madminer(tmp_path / "xx.h5")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"morphing__morphing_matrix": np.ones((6, 8))}, r"shape \(6, 8\) for 6 physics benchmarks"),
        ({"benchmarks__values": np.ones((3, 2))}, "benchmarks/values has 3 entries, but samples/weights has 8 columns"),
        ({"observables__names": texts(["a"])}, "1 observables/names for 3 observables"),
        ({"parameters__transforms": texts(["theta"])}, "1 parameters/transforms for 2 parameters"),
        ({"samples__weights": np.ones((3, 8))}, "do not fit"),
        ({"samples__sampling_benchmarks": np.zeros(3)}, "3 samples/sampling_benchmarks for 40 events"),
        ({"samples__weights": np.ones((0, 8)), "samples__observations": np.ones((0, 3))}, "holds no events"),
    ],
)
def test_inconsistent_files(tmp_path, datasets, changes, message):
    with pytest.raises(FileFormatError, match=message):
        read_madminer(save(tmp_path / "x.h5", datasets, **changes))


def test_damaged_files(tmp_path, datasets):
    path = save(tmp_path / "x.h5", datasets)
    whole = path.read_bytes()
    for damaged in (b"", b"text" * 100, whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match="not a whole HDF5 file"):
            read_madminer(path)


def test_weights_that_are_not_finite_are_refused(tmp_path, datasets):
    weights = datasets["samples/weights"].copy()
    weights[7, 0] = np.nan
    with pytest.raises(InputError, match="event 7"):
        read_madminer(save(tmp_path / "x.h5", datasets, samples__weights=weights))
