"""Other methods on the same events, with the interface of the trees: what a boosted information tree is compared with.

ONN, RatioTrick
    Classifiers by XGBoost (extra ``baselines``): P_+ - P_- of positive and negative interference (arXiv:2112.05052),
    and the likelihood ratio of a calibrated classifier between samples.
SALLY, QuadraticClassifier
    Networks (PyTorch, extra ``neural``): the joint score, and a ratio that is positive by construction.
Polynomial
    Least squares of the score by all monomials of the features up to a degree (scikit-learn).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "ONN": "bit.baselines.onn",
    "RatioTrick": "bit.baselines.ratio_trick",
    "SALLY": "bit.baselines.neural",
    "QuadraticClassifier": "bit.baselines.neural",
    "Polynomial": "bit.baselines.polynomial",
}

__all__ = ["ONN", "SALLY", "Polynomial", "QuadraticClassifier", "RatioTrick"]

if TYPE_CHECKING:
    from bit.baselines.neural import SALLY, QuadraticClassifier
    from bit.baselines.onn import ONN
    from bit.baselines.polynomial import Polynomial
    from bit.baselines.ratio_trick import RatioTrick


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'bit.baselines' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
