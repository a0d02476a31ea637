"""Other ways to learn an observable, to compare with: each is trained, evaluated, stored and binned like the trees.

ONN
    P_+ - P_- of a classifier of positive and negative interference (arXiv:2112.05052); needs xgboost.
RatioTrick
    Likelihood ratio of a calibrated classifier between samples; needs xgboost.
SALLY
    Network that regresses the score (arXiv:1805.00020); needs torch.
QuadraticClassifier
    Networks for the quadratic dependence on the coefficients (arXiv:2007.10356); needs torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "ONN": "bit.baselines.onn",
    "QuadraticClassifier": "bit.baselines.neural",
    "RatioTrick": "bit.baselines.ratio_trick",
    "SALLY": "bit.baselines.neural",
}

__all__ = ["ONN", "SALLY", "QuadraticClassifier", "RatioTrick"]

if TYPE_CHECKING:
    from bit.baselines.neural import SALLY, QuadraticClassifier
    from bit.baselines.onn import ONN
    from bit.baselines.ratio_trick import RatioTrick


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'bit.baselines' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
