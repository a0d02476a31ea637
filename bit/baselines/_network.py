"""Fully connected networks without the library that trained them: prediction in numpy, and ``bit-network/1`` JSON.

Fields
------
kind, format : "network", "bit-network/1"
version : version of `bit` that wrote it
estimator : "SALLY" or "QuadraticClassifier", which says what the outputs are: R_k, or n_k
outputs : list of lists of names
features : list of {name, unit, mean, scale}, in the order of the columns
layers : list of {shape, weight, bias}; weight [output, input] in C order and bias are base64 of little-endian float32
activation : "silu", x / (1 + exp(-x)), after every layer but the last
offset, unit : one number per output
basis : {param_names, terms, reference} of the polynomial
cp : null, or {sign, permutation, parity}: with image[f] = x[permutation[f]] * sign[f] and g the network, output k is
    (g_k(x) + parity[k] g_k(image)) / 2 in place of g_k(x)
config : how the network was trained
sha256 : of the canonical dump (sorted keys, no spaces) of all other fields

Features are cast to float32, then turned into (x - mean) / scale; the network computes in float32, and output k stands
for offset[k] + unit[k] g_k(x).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bit.artefacts import require_schema, seal
from bit.basis import FloatArray, PolynomialBasis, Term
from bit.errors import FileFormatError
from bit.trees.forest import ExactParity

KIND = "network"
FORMAT = "bit-network/1"
_ACTIVATION = "silu"
_BLOCK = 16384  # events at a time: their activations stay in the cache

Float32Array = npt.NDArray[np.float32]
Layers = tuple[tuple[Float32Array, Float32Array], ...]


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network with all that is needed to predict.

    Attributes
    ----------
    mean, scale : ndarray of float64, shape (n_features,)
        Standardisation of the features.
    layers : tuple of (weight, bias)
        float32 arrays of shapes (n_out, n_in) and (n_out,).
    offset, unit : ndarray of float64, shape (n_outputs,)
        What turns an output of the last layer into TeV^2 or TeV^4.
    output_terms : tuple of tuple of str
        Names of the outputs.
    basis : PolynomialBasis
        Polynomial of the weights.
    feature_names, units : tuple of str
        The features.
    cp : ExactParity or None
        Exact symmetry of the outputs.
    config : dict
        How it was trained, with the class under ``estimator``.
    """

    mean: FloatArray
    scale: FloatArray
    layers: Layers
    offset: FloatArray
    unit: FloatArray
    output_terms: tuple[Term, ...]
    basis: PolynomialBasis
    feature_names: tuple[str, ...]
    units: tuple[str, ...]
    cp: ExactParity | None
    config: dict[str, Any] = field(default_factory=dict)

    def standardised(self, features: npt.NDArray[np.floating]) -> Float32Array:
        """Inputs of the first layer.

        Parameters
        ----------
        features : ndarray, shape (n_events, n_features)
            In their units.

        Returns
        -------
        ndarray of float32, shape (n_events, n_features)
            Of mean 0 and spread 1 on the training events.
        """
        inputs: Float32Array = ((features.astype(np.float32) - self.mean) / self.scale).astype(np.float32)
        return inputs

    def predict(self, features: npt.NDArray[np.floating]) -> FloatArray:
        """Outputs of events.

        Parameters
        ----------
        features : ndarray, shape (n_events, n_features)
            Finite.

        Returns
        -------
        ndarray of float64, shape (n_events, n_outputs)
            One column for each of `output_terms`.
        """
        values = np.empty((len(features), len(self.offset)))
        for low in range(0, len(features), _BLOCK):
            rows = slice(low, low + _BLOCK)
            block = features[rows].astype(np.float32)
            output = self._last_layer(block)
            if self.cp is not None:
                output = 0.5 * (output + self.cp.parity * self._last_layer(self.cp.image(block)))
            values[rows] = self.offset + self.unit * output
        return values

    def _last_layer(self, features: Float32Array) -> FloatArray:
        values = self.standardised(features)
        for depth, (weight, bias) in enumerate(self.layers, start=1):
            values = values @ weight.T
            values += bias
            if depth < len(self.layers):
                with np.errstate(over="ignore"):  # exp(-x) = inf is right: the activation is then 0
                    values /= 1.0 + np.exp(-values)
        return values.astype(np.float64)


def as_document(network: Network) -> dict[str, Any]:
    """Return the network as a dictionary of JSON types.

    Parameters
    ----------
    network : Network
        What to write.

    Returns
    -------
    dict
        The fields described above.
    """
    columns = zip(network.feature_names, network.units, network.mean.tolist(), network.scale.tolist(), strict=True)
    cp = network.cp
    fields: dict[str, Any] = {
        "estimator": network.config["estimator"],
        "outputs": [list(term) for term in network.output_terms],
        "features": [{"name": name, "unit": unit, "mean": mean, "scale": scale} for name, unit, mean, scale in columns],
        "layers": [
            {"shape": list(weight.shape), "weight": _encoded(weight), "bias": _encoded(bias)}
            for weight, bias in network.layers
        ],
        "activation": _ACTIVATION,
        "offset": network.offset.tolist(),
        "unit": network.unit.tolist(),
        "basis": {
            "param_names": list(network.basis.param_names),
            "terms": [list(term) for term in network.basis.terms],
            "reference": list(network.basis.reference),
        },
        "cp": None
        if cp is None
        else {"sign": cp.sign.tolist(), "permutation": cp.permutation.tolist(), "parity": cp.parity.tolist()},
        "config": network.config,
    }
    return seal(KIND, FORMAT, fields)


def from_document(document: Any, source: str) -> Network:
    """Build a network from the dictionary of `as_document`.

    Parameters
    ----------
    document : dict
        Parsed JSON.
    source : str
        Name of the file, for messages.

    Returns
    -------
    Network
        Bit for bit the one that was written.

    Raises
    ------
    FileFormatError
        If it is of another kind or a newer schema, or its checksum or structure is wrong.
    """
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise FileFormatError(f"{source} does not hold a network; give a file written by model.export.")
    require_schema(document, FORMAT, source)
    try:
        if document["activation"] != _ACTIVATION:
            raise ValueError(f"activation {document['activation']!r} is not {_ACTIVATION!r}")
        features, basis = document["features"], document["basis"]
        network = Network(
            mean=np.array([feature["mean"] for feature in features], dtype=np.float64),
            scale=np.array([feature["scale"] for feature in features], dtype=np.float64),
            layers=tuple(_layer(layer) for layer in document["layers"]),
            offset=np.array(document["offset"], dtype=np.float64),
            unit=np.array(document["unit"], dtype=np.float64),
            output_terms=tuple(tuple(term) for term in document["outputs"]),
            basis=PolynomialBasis(basis["param_names"], reference=basis["reference"], terms=basis["terms"]),
            feature_names=tuple(feature["name"] for feature in features),
            units=tuple(feature["unit"] for feature in features),
            cp=None if document["cp"] is None else _parity(document["cp"], len(features)),
            config=document["config"] | {"estimator": document["estimator"]},
        )
        _check(network)
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{source}: not a valid {FORMAT} file ({type(error).__name__}: {error}).") from None
    return network


def _encoded(values: Float32Array) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode("ascii")


def _layer(fields: dict[str, Any]) -> tuple[Float32Array, Float32Array]:
    n_out, n_in = fields["shape"]
    weight, bias = (
        np.frombuffer(base64.b64decode(fields[name], validate=True), dtype="<f4").astype(np.float32)
        for name in ("weight", "bias")
    )
    return weight.reshape(n_out, n_in), bias.reshape(n_out)


def _parity(fields: dict[str, Any], n_features: int) -> ExactParity:
    cp = ExactParity(
        np.array(fields["sign"], dtype=np.float32),
        np.array(fields["permutation"], dtype=np.int64),
        np.array(fields["parity"], dtype=np.float64),
    )
    columns = np.arange(n_features)
    if not np.array_equal(cp.permutation[cp.permutation], columns) or cp.sign.shape != columns.shape:
        raise ValueError("cp is no involution of the features")
    return cp


def _check(network: Network) -> None:
    """Refuse layers that do not fit together, and numbers that are not finite."""
    n_outputs = len(network.output_terms)
    widths = [len(network.feature_names)]
    for weight, bias in network.layers:
        if weight.shape[1] != widths[-1]:
            raise ValueError(f"a layer takes {weight.shape[1]} inputs after one of {widths[-1]} outputs")
        widths.append(len(bias))
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise ValueError("a layer holds numbers that are not finite")
    if widths[-1] != n_outputs or not network.layers:
        raise ValueError(f"the last layer has {widths[-1]} outputs for {n_outputs} names")
    per_output = [network.offset, network.unit, *([] if network.cp is None else [network.cp.parity])]
    if any(len(values) != n_outputs for values in per_output):
        raise ValueError("offset, unit or cp.parity does not have one entry for each output")
    if not (network.scale > 0).all():
        raise ValueError("a feature has a scale that is not positive")
