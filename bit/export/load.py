"""Any artefact that `bit` wrote, read by its ``kind``, and models of XGBoost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bit.errors import FileFormatError
from bit.export.xgboost_json import is_xgboost, xgboost_from_document
from bit.files import existing_file
from bit.trees import forest_json
from bit.trees.forest import Forest

if TYPE_CHECKING:
    from bit.baselines.neural import SALLY, QuadraticClassifier
    from bit.baselines.onn import ONN
    from bit.baselines.ratio_trick import RatioTrick
    from bit.ensembles import BoostedInformationTreeEnsemble
    from bit.expression import Expression

    Artefact = Forest | BoostedInformationTreeEnsemble | ONN | RatioTrick | SALLY | QuadraticClassifier | Expression


def _ensemble(document: dict[str, Any], source: str) -> BoostedInformationTreeEnsemble:
    from bit.ensembles import BoostedInformationTreeEnsemble  # here, since a forest is read without scikit-learn

    return BoostedInformationTreeEnsemble.from_document(document, source)


def _onn(document: dict[str, Any], source: str) -> ONN:
    from bit.baselines.onn import ONN

    return ONN.from_document(document, source)


def _ratio_trick(document: dict[str, Any], source: str) -> RatioTrick:
    from bit.baselines.ratio_trick import RatioTrick

    return RatioTrick.from_document(document, source)


def _network(document: dict[str, Any], source: str) -> SALLY | QuadraticClassifier:
    from bit.baselines import neural

    return neural.from_document(document, source)


def _expression(document: dict[str, Any], source: str) -> Expression:
    from bit.expression import Expression

    return Expression.from_document(document, source)


_READERS: dict[str, Callable[[Any, str], Artefact]] = {
    "forest": forest_json.from_document,
    "ensemble": _ensemble,
    "onn": _onn,
    "ratio_trick": _ratio_trick,
    "network": _network,
    "expression": _expression,
}


def load(path: str | os.PathLike[str]) -> Artefact:
    """Read an artefact that `bit` wrote, or a model of XGBoost.

    Parameters
    ----------
    path : str or path-like
        A JSON file with a field ``kind``, or XGBoost's JSON of a model with one output.

    Returns
    -------
    Forest, BoostedInformationTreeEnsemble, ONN, RatioTrick, SALLY, QuadraticClassifier or Expression
        For the kinds "forest", "ensemble", "onn", "ratio_trick", "network" and "expression"; a Forest for XGBoost, see
        `bit.export.from_xgboost`. ``BIT.from_forest`` makes an estimator of a forest.

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
    except json.JSONDecodeError as error:
        raise FileFormatError(f"{file} is not JSON ({error}); give a file written by bit.") from None
    if is_xgboost(document):
        return xgboost_from_document(document, str(file))
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind not in _READERS:
        raise FileFormatError(f"{file} holds the kind {kind!r}; known kinds: {sorted(_READERS)}.")
    return _READERS[kind](document, str(file))
