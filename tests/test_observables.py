import numpy as np
import pytest

from bit.basis import PolynomialBasis
from bit.errors import InputError
from bit.events import EventTable
from bit.observables import FunctionObservable, ModelObservable, Observable, TrueScore, observable
from bit.parity import CPParity


@pytest.fixture
def table():
    rng = np.random.default_rng(3)
    basis = PolynomialBasis(["cHW", "cHWtil"], reference=[0.5, 0.0])
    weights = np.concatenate([rng.uniform(1, 2, (50, 1)), rng.normal(size=(50, 5))], axis=1)
    return EventTable(rng.normal(size=(50, 2)).astype(np.float32), weights, basis, feature_names=("phi", "pt"))


class LinearModel:
    """A model with the attributes that trained estimators have: R_a and R_aa are known functions of phi."""

    output_terms_ = (("cHW",), ("cHWtil",), ("cHWtil", "cHWtil"))
    basis_ = PolynomialBasis(["cHW", "cHWtil"])

    def __init__(self, cp_parity=None):
        self.cp_parity = cp_parity

    def predict(self, X):
        phi = X.column("phi")
        return np.stack([phi**2, phi, phi**4], axis=1)

    def predict_score(self, X, theta):
        return np.stack([X.column("phi") + theta[0], X.column("phi") * theta[1]], axis=1)


def test_features_become_float64_of_one_or_more_axes(table):
    one, two = observable("phi"), observable("phi", "pt", label=r"$\phi$, $p_T$", odd=(True, False))
    assert isinstance(one, Observable)
    assert (one.name, one.label, one.odd) == ("phi", "phi", False)
    assert (two.name, two.label, two.odd) == ("phi,pt", r"$\phi$, $p_T$", (True, False))
    assert one(table).dtype == np.float64
    assert np.array_equal(one(table), table.column("phi"))
    assert np.array_equal(two(table), table.features)
    with pytest.raises(InputError, match="did you mean 'phi'"):
        observable("ph")(table)


def test_function(table):
    product = FunctionObservable("pt sin", lambda t: t.column("pt") * np.sin(t.column("phi")), odd=True)
    assert isinstance(product, Observable)
    assert (product.label, product.odd) == ("pt sin", True)
    assert product(table).dtype == np.float64
    assert np.array_equal(product(table), table.column("pt") * np.sin(table.column("phi")))


def test_true_score_is_at_the_reference_point_by_default(table):
    score = TrueScore("cHWtil", odd=True)
    assert isinstance(score, Observable)
    assert np.array_equal(score(table), table.weights[:, 2] / table.weights[:, 0])
    sm = table.joint_score([0.0, 0.0])
    assert np.array_equal(TrueScore("cHWtil", theta=[0.0, 0.0])(table), sm[:, 1])
    assert np.array_equal(TrueScore(["cHWtil", "cHW"], theta={"cHW": 0.0})(table), sm[:, ::-1])
    assert TrueScore("cHWtil").name == "score:cHWtil"
    with pytest.raises(InputError, match="did you mean 'cHWtil'"):
        TrueScore("cHWtill")(table)
    with pytest.raises(InputError, match="empty"):
        TrueScore([])


def test_model_gives_ratio_or_score(table):
    model, phi = LinearModel(), table.column("phi").astype(np.float64)
    ratio = ModelObservable(model, "cHWtil")
    assert isinstance(ratio, Observable)
    assert ratio.name == "LinearModel:cHWtil"
    assert np.array_equal(ratio(table), phi)
    # The model works in float32, as the features do: relative rounding 2^-24.
    assert ModelObservable(model, ["cHWtil", "cHW"])(table) == pytest.approx(np.stack([phi, phi**2], 1), rel=1e-6)
    assert ModelObservable(model, "cHWtil", theta=[0.0, 3.0])(table) == pytest.approx(3 * phi, rel=1e-6)
    with pytest.raises(InputError, match="linear term of the model"):
        ModelObservable(model, "cW")


def test_oddness_comes_from_the_parity_of_the_model():
    model = LinearModel(CPParity(flip=("phi",), odd_params=("cHWtil",)))
    assert ModelObservable(model, ["cHW", "cHWtil"]).odd == (False, True)
    assert ModelObservable(model, "cHWtil", odd=False).odd is False
    # Away from the reference point even and odd terms mix.
    assert ModelObservable(model, "cHWtil", theta=[0.0, 1.0]).odd is False
    assert ModelObservable(LinearModel(), "cHWtil").odd is False
