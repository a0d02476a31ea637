"""What an event file says about itself, and the normalisation of weights: shared by all formats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from warnings import warn

import numpy as np

from bit.basis import FloatArray, PolynomialBasis
from bit.errors import BitWarning, FileFormatError, InputError, near_match
from bit.events import EventTable

SCHEMA: Final = "bit-events/1"
_REQUIRED: Final = ("param_names", "terms", "reference", "features", "aux")
_FB: Final = {"fb": 1.0, "pb": 1e3}
_RESIDUAL: Final = 1e-3


def describe(table: EventTable, configuration: Mapping[str, Any] | None) -> dict[str, Any]:
    """Collect all of a table that is not an array, ready for JSON."""
    from bit import __version__

    return {
        "schema": SCHEMA,
        "bit_version": __version__,
        "param_names": list(table.basis.param_names),
        "terms": [list(term) for term in table.basis.terms],
        "reference": list(table.basis.reference),
        "features": [
            {"name": name, "unit": unit} for name, unit in zip(table.feature_names, table.units or (), strict=True)
        ],
        "aux": list(table.aux or {}),
        "sigma_fb": table.sigma_fb,
        "n_events": table.n_events,
        "configuration": dict(configuration or {}),
    }


def to_json(metadata: Mapping[str, Any]) -> str:
    """Write metadata as JSON, or say that the configuration is not made of plain values."""
    try:
        return json.dumps(metadata, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"configuration: {error}; use only finite numbers, strings, lists and dicts.") from None


def from_json(text: str, path: Path) -> dict[str, Any]:
    """Read metadata and check that this version of bit understands it."""
    try:
        metadata = json.loads(text)
    except ValueError as error:
        raise FileFormatError(f"{path}: the metadata are not JSON ({error}); write the file again.") from None
    schema = metadata.get("schema") if isinstance(metadata, dict) else None
    if schema != SCHEMA:
        raise FileFormatError(f"{path}: the metadata have schema {schema!r}, this version reads {SCHEMA!r}.")
    missing = [key for key in _REQUIRED if key not in metadata]
    if missing:
        raise FileFormatError(f"{path}: the metadata lack {missing}; write the file again.")
    return dict(metadata)


def stored_basis(metadata: Mapping[str, Any]) -> PolynomialBasis:
    """Return the basis in which the weights of a file are stored."""
    return PolynomialBasis(metadata["param_names"], reference=metadata["reference"], terms=metadata["terms"])


def to_fb(unit: str, norm: str, n_events: int) -> float:
    """Return the factor that turns stored weights into fb with sum equal to the cross-section."""
    if unit not in _FB:
        raise InputError(f"unit={unit!r}: {near_match(str(unit), _FB)}")
    if norm not in ("average", "sum"):
        raise InputError(
            f"norm={norm!r}: 'average' (the mean of the weights is the cross-section) or 'sum' (their sum is)."
        )
    return _FB[unit] / (n_events if norm == "average" else 1)


def warn_of_residual(residual: FloatArray, order: int, where: str) -> None:
    """Warn if more than 1% of the events miss their base-point weights by more than 0.1%."""
    large = residual > _RESIDUAL
    if large.mean() > 0.01:
        warn(
            f"{where}: in {100 * large.mean():.1f}% of the events the polynomial of order {order} misses a base-point "
            f"weight by more than {_RESIDUAL:g} of the event's largest weight (worst: {np.max(residual):.2g}); "
            "check the points, the order, and whether all coefficients that differ between points are named.",
            BitWarning,
            stacklevel=3,
        )
