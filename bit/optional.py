"""Import of packages that only some users need."""

from __future__ import annotations

import importlib
from types import ModuleType

from bit.errors import MissingPackageError

_EXTRA_OF = {
    "correctionlib": "formats",
    "dask": "dask",
    "distributed": "dask",
    "h5py": "formats",
    "onnx": "export",
    "pyarrow": "formats",
    "pyoperon": "distill",
    "torch": "neural",
    "vegas": "simulate",
    "xgboost": "baselines",
}


def require(module: str, *, for_: str) -> ModuleType:
    """Import an optional package, or say in one sentence how to get it.

    Parameters
    ----------
    module : str
        Name to import, such as ``"vegas"``.
    for_ : str
        What needs it, as it will stand in the message: ``"bit simulate"``.

    Returns
    -------
    module
        The imported package.

    Raises
    ------
    MissingPackageError
        If the package is not installed; the message holds the install command.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        extra = _EXTRA_OF.get(module.partition(".")[0])
        target = f"'boosted-information-trees[{extra}]'" if extra else module
        raise MissingPackageError(
            f"{for_} needs the package {module!r}, which is not installed; install it with: pip install {target}"
        ) from None
