"""Any artefact that `bit` wrote, read by its ``kind``, and models of XGBoost."""

from __future__ import annotations

import importlib
import json
import os
from operator import attrgetter
from typing import Any

from bit.errors import FileFormatError
from bit.export.xgboost_json import is_xgboost, xgboost_from_document
from bit.files import existing_file

# Where each kind is read; by name, so that reading one imports nothing of the others.
_READERS = {
    "forest": ("bit.trees.forest_json", "from_document"),
    "ensemble": ("bit.ensembles", "BoostedInformationTreeEnsemble.from_document"),
    "onn": ("bit.baselines.onn", "ONN.from_document"),
    "ratio_trick": ("bit.baselines.ratio_trick", "RatioTrick.from_document"),
    "network": ("bit.baselines.neural", "from_document"),
    "expression": ("bit.expression", "Expression.from_document"),
    "pareto_front": ("bit.distill", "ParetoFront.from_document"),
}


def load(path: str | os.PathLike[str]) -> Any:
    """Read an artefact that `bit` wrote, or a model of XGBoost.

    Parameters
    ----------
    path : str or path-like
        A JSON file with a field ``kind``, or XGBoost's JSON of a model with one output.

    Returns
    -------
    Forest, BoostedInformationTreeEnsemble, ONN, RatioTrick, SALLY, QuadraticClassifier, Expression or ParetoFront
        For the kinds "forest", "ensemble", "onn", "ratio_trick", "network", "expression" and "pareto_front"; a Forest
        for XGBoost, see `bit.export.from_xgboost`. ``BIT.from_forest`` makes an estimator of a forest.

    Raises
    ------
    InputError
        If there is no such file.
    FileFormatError
        If it is not JSON, of an unknown kind or a newer schema, or was changed.
    MissingPackageError
        If the package that evaluates such a model is not installed.
    """
    file = existing_file(path)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise FileFormatError(f"{file} is not JSON, not even a text; give a file written by bit.") from None
    except RecursionError:
        raise FileFormatError(f"{file} is nested too deeply; give a file written by bit.") from None
    except json.JSONDecodeError as error:
        raise FileFormatError(f"{file} is not JSON ({error}); give a file written by bit.") from None
    if is_xgboost(document):
        return xgboost_from_document(document, str(file))
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind not in _READERS:
        raise FileFormatError(f"{file} holds the kind {kind!r}; known kinds: {sorted(_READERS)}.")
    module, reader = _READERS[kind]
    return attrgetter(reader)(importlib.import_module(module))(document, str(file))
