import importlib
import inspect

import numpy as np
import pytest

import bit
from bit.errors import InputError
from bit.processes.registry import PROCESSES, find_process

COMMON = ("n_events", "seed", "mu_f", "e", "cuts", "smear", "theta0", "show_progress")
N_EVENTS = 200
NEEDED = {"h4l": {"frame": "lab"}}
"""What a process asks for before it smears."""
SMEARED_QUICKLY = ("vbf", "zh", "zh_background", "zh_undecayed")
RUNS = [
    pytest.param(name, smear, marks=() if smear is (name in SMEARED_QUICKLY) else pytest.mark.slow)
    for name in PROCESSES
    for smear in (False, True)
]


def module_of(name):
    return importlib.import_module(PROCESSES[name].module)


@pytest.mark.parametrize("name", PROCESSES)
def test_arguments_that_all_share(name):
    parameters = inspect.signature(PROCESSES[name].simulate).parameters
    assert next(iter(parameters)) == "n_events"
    assert set(COMMON) <= set(parameters)
    assert all(parameters[argument].kind is inspect.Parameter.KEYWORD_ONLY for argument in list(parameters)[1:])
    defaults = {argument: parameters[argument].default for argument in COMMON}
    assert defaults["seed"] is inspect.Parameter.empty
    assert (defaults["e"], defaults["cuts"], defaults["smear"], defaults["theta0"]) == (0.3028, None, False, None)
    assert defaults["show_progress"] is True


@pytest.mark.parametrize("name", PROCESSES)
def test_names_that_all_export(name):
    module = module_of(name)
    assert tuple(feature.name for feature in module.FEATURES) == module.FEATURE_NAMES
    assert len(set(module.FEATURE_NAMES)) == len(module.FEATURE_NAMES)
    assert all(feature.latex and feature.unit in ("", "GeV") for feature in module.FEATURES)
    assert set(module.CP_PARITY.odd_params) <= set(module.PARAM_NAMES)


@pytest.mark.parametrize(("name", "smear"), RUNS)
def test_simulated(name, smear, tmp_path):
    pytest.importorskip("vegas", reason="vegas is not installed (extra: simulate)")
    module, options = module_of(name), NEEDED.get(name, {}) if smear else {}
    simulation = PROCESSES[name].simulate(
        N_EVENTS,
        seed=1,
        mu_f=100.0 if name != "h4l" or smear else None,
        e=0.31345,
        cuts=f"abs({module.FEATURE_NAMES[0]})<1e9",
        smear=smear,
        theta0={module.PARAM_NAMES[0]: 0.01},
        show_progress=False,
        **options,
    )
    table = simulation.table
    assert table.feature_names == module.FEATURE_NAMES
    assert table.features.shape == (N_EVENTS, len(module.FEATURES))
    assert table.features.dtype == np.float32
    assert np.isfinite(table.features).all()
    assert table.basis.param_names == module.PARAM_NAMES
    assert table.basis.reference == (0.01, *[0.0] * (len(module.PARAM_NAMES) - 1))
    assert 0.5 * N_EVENTS < table.n_eff <= N_EVENTS * (1.0 + 1e-12)
    assert table.sigma_fb == pytest.approx(simulation.sigma_fb, rel=1e-12)
    configuration = simulation.configuration
    assert (configuration["process"], configuration["seed"], configuration["e"]) == (name, 1, 0.31345)
    assert bool(configuration.get("detector") or configuration.get("smear")) is smear

    # The parity knows the names of features and coefficients, and is an involution.
    parity = module.CP_PARITY
    mirrored = parity.mirror(table.features, table.feature_names)
    np.testing.assert_array_equal(parity.mirror(mirrored, table.feature_names), table.features)
    assert set(np.unique(parity.term_sign(table.basis.terms))) <= {-1.0, 1.0}
    doubled = table.with_cp_mirror(parity)
    assert doubled.n_events == 2 * N_EVENTS
    assert doubled.sigma_fb == pytest.approx(table.sigma_fb, rel=1e-12)

    path = tmp_path / "events.lhe"
    bit.write_lhe(path, simulation.lhe_events())
    again = bit.read_lhe(path, features=module.features_of_particles, reference=table.basis.reference)
    assert again.feature_names == module.FEATURE_NAMES
    size = np.abs(table.weights).max()
    np.testing.assert_allclose(again.weights, table.weights, rtol=0.0, atol=1e-9 * size)


def test_find_process():
    assert find_process("zh") is PROCESSES["zh"]
    with pytest.raises(InputError, match="no process 'zhh': did you mean 'zh'"):
        find_process("zhh")
