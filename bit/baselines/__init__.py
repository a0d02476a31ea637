"""Other methods on the same events, with the interface of the trees: what a boosted information tree is compared with.

SALLY, QuadraticClassifier
    Networks (PyTorch, extra ``neural``): the joint score, and a ratio that is positive by construction.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "SALLY": "bit.baselines.neural",
    "QuadraticClassifier": "bit.baselines.neural",
}

__all__ = ["SALLY", "QuadraticClassifier"]

if TYPE_CHECKING:
    from bit.baselines.neural import SALLY, QuadraticClassifier


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'bit.baselines' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
