"""Classic observables against the features of the simulators and hand-made events."""

import numpy as np
import pytest

import bit
from bit.classic import OBSERVABLES, available, classic
from bit.errors import InputError
from bit.observables import Observable
from bit.processes import h4l, vbf, wz, zh

ZH_FEATURES = {
    "f_LL": "fLL",
    "f1_TT": "f1TT",
    "f2_TT": "f2TT",
    "f1_LT": "f1LT",
    "f2_LT": "f2LT",
    "f1_LT_tilde": "f1LT_tilde",
    "f2_LT_tilde": "f2LT_tilde",
    "f_TTp": "fTTp",
    "f_TTp_tilde": "fTTp_tilde",
}


def events(names, features):
    basis = bit.PolynomialBasis(["cHWtil"], order=1)
    return bit.EventTable(features, np.ones((len(features), 2)), basis, feature_names=names)


@pytest.fixture
def samples(rng):
    """Events in the features of each process; those of ZH belong together."""
    angles = {
        "sqrt_s": rng.uniform(300, 900, 50),
        "y": rng.normal(size=50),
        "cos_theta": rng.uniform(-1, 1, 50),
        "cos_theta_l": rng.uniform(-1, 1, 50),
        "phi": rng.uniform(-np.pi, np.pi, 50),
        "pt": rng.uniform(0, 300, 50),
    }
    columns = zh.features_of(*(angles[name] for name in ("sqrt_s", "y", "cos_theta", "cos_theta_l", "phi", "pt")))
    result = {"zh": events(zh.FEATURE_NAMES, np.stack([columns[name] for name in zh.FEATURE_NAMES], axis=-1))}
    for name, module in (("h4l", h4l), ("vbf", vbf), ("wz", wz)):
        result[name] = events(module.FEATURE_NAMES, rng.uniform(-1, 1, (50, len(module.FEATURE_NAMES))))
    return result


def test_angular_functions_of_zh_are_the_features(samples):
    for name, feature in ZH_FEATURES.items():
        np.testing.assert_allclose(classic(name)(samples["zh"]), samples["zh"].column(feature), rtol=1e-13, atol=1e-15)


def test_values_by_hand():
    table = events(["pt_j1", "pt_j2", "dphi_jj"], [[80.0, 50.0, np.pi / 6], [100.0, 30.0, -np.pi / 2]])
    np.testing.assert_allclose(classic("pt_pt_sin_dphi")(table), [2000.0, -3000.0], rtol=1e-15)
    np.testing.assert_array_equal(classic("dphi_jj")(table), [np.pi / 6, -np.pi / 2])
    table = events(["phi_4l", "m12"], [[0.3, 91.0], [-1.0, 60.0]])
    np.testing.assert_array_equal(classic("phi_4l,m12")(table), [[0.3, 91.0], [-1.0, 60.0]])
    np.testing.assert_array_equal(classic("phi_4l")(table), [0.3, -1.0])


def test_parity_is_that_of_the_features(samples):
    parities = {"zh": zh.CP_PARITY, "h4l": h4l.CP_PARITY, "vbf": vbf.CP_PARITY}
    seen = set()
    for process, parity in parities.items():
        table = samples[process]
        image = events(table.feature_names, parity.mirror(table.features, table.feature_names))
        for observable in available(table):
            sign = np.where(observable.odd, -1.0, 1.0)
            np.testing.assert_allclose(observable(image), sign * observable(table), rtol=1e-13, atol=1e-15)
            seen.add(observable.name)
    assert seen == set(OBSERVABLES)


def test_names_and_availability(samples):
    found = {process: {observable.name for observable in available(table)} for process, table in samples.items()}
    assert found["h4l"] == {"phi_4l", "phi_4l,m12"}
    assert found["vbf"] == {"dphi_jj", "pt_pt_sin_dphi"}
    assert found["wz"] == {"pt_z"}
    assert found["zh"] == {"pt_z", *ZH_FEATURES}
    for name, observable in OBSERVABLES.items():
        assert isinstance(observable, Observable)
        assert observable.name == name
        assert "$" in observable.label


def test_unknown_names_and_features(samples):
    with pytest.raises(InputError, match=r"no classic observable 'phi_4'.*did you mean 'phi_4l'"):
        classic("phi_4")
    with pytest.raises(InputError, match="no feature 'dphi_jj'"):
        classic("dphi_jj")(samples["h4l"])
