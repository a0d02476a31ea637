"""Boosted Information Trees: optimal observables of EFT coefficients from weighted events.

    events -> forest -> observable -> template -> limit

Public names (imported on first use, so that ``import bit`` is quick):

EventTable, PolynomialBasis, CPParity
    Events, their weight polynomial, and how CP acts on both.
read_root, write_root, read_npz, write_npz, read_parquet, write_parquet, read_lhe, read_lhe_particles, write_lhe,
read_nanoaod, read_madminer
    Files.
stream_root
    Files larger than memory, for ``.fit(stream)``.
BoostedInformationTree (BIT)
    The estimator; ``.fit(table)``, ``.predict(table)``, ``.observable("cHW")``, ``.export(path)``.
observable, TrueScore
    A raw feature, or the joint score of the simulation, as an observable.
load
    Any artefact that was exported.
BitError, BitWarning
    What everything here raises and warns.
BoostedInformationTreeEnsemble
    The same many times on resampled events: errors of the learned functions.
processes, baselines, inference, inspection, compare, export, distill, expression, plotting, metrics, conventions, dask
    Simulators, other methods to compare with, limits, what a model has learned, all methods on one sample
    (``bit.compare.compare(table, lumi_fb=300.0)``), file formats of models, formulas
    (``bit.distill.distill(model, table, param="cHW")``), figures, figures of merit, polynomials of other tools,
    training on a cluster.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "EventTable": "bit.events",
    "PolynomialBasis": "bit.basis",
    "CPParity": "bit.parity",
    "read_root": "bit.io.root",
    "write_root": "bit.io.root",
    "stream_root": "bit.io.stream",
    "read_npz": "bit.io.arrays",
    "write_npz": "bit.io.arrays",
    "read_parquet": "bit.io.arrays",
    "write_parquet": "bit.io.arrays",
    "read_nanoaod": "bit.io.nanoaod",
    "read_madminer": "bit.io.madminer",
    "read_lhe": "bit.io.lhe",
    "read_lhe_particles": "bit.io.lhe",
    "write_lhe": "bit.io.lhe",
    "BoostedInformationTree": "bit.estimators",
    "BIT": "bit.estimators",
    "BoostedInformationTreeEnsemble": "bit.ensembles",
    "observable": "bit.observables",
    "TrueScore": "bit.observables",
    "load": "bit.export.load",
    "BitError": "bit.errors",
    "BitWarning": "bit.errors",
}
_MODULES = (
    "processes",
    "baselines",
    "inference",
    "inspection",
    "compare",
    "export",
    "distill",
    "expression",
    "plotting",
    "metrics",
    "conventions",
    "dask",
)

__all__ = [
    "BIT",
    "BitError",
    "BitWarning",
    "BoostedInformationTree",
    "BoostedInformationTreeEnsemble",
    "CPParity",
    "EventTable",
    "PolynomialBasis",
    "TrueScore",
    "load",
    "observable",
    "read_lhe",
    "read_lhe_particles",
    "read_madminer",
    "read_nanoaod",
    "read_npz",
    "read_parquet",
    "read_root",
    "stream_root",
    "write_lhe",
    "write_npz",
    "write_parquet",
    "write_root",
]

if TYPE_CHECKING:
    from bit import baselines as baselines
    from bit import compare as compare
    from bit import conventions as conventions
    from bit import dask as dask
    from bit import distill as distill
    from bit import export as export
    from bit import expression as expression
    from bit import inference as inference
    from bit import inspection as inspection
    from bit import metrics as metrics
    from bit import plotting as plotting
    from bit import processes as processes
    from bit.basis import PolynomialBasis
    from bit.ensembles import BoostedInformationTreeEnsemble
    from bit.errors import BitError, BitWarning
    from bit.estimators import BIT, BoostedInformationTree
    from bit.events import EventTable
    from bit.export.load import load
    from bit.io.arrays import read_npz, read_parquet, write_npz, write_parquet
    from bit.io.lhe import read_lhe, read_lhe_particles, write_lhe
    from bit.io.madminer import read_madminer
    from bit.io.nanoaod import read_nanoaod
    from bit.io.root import read_root, write_root
    from bit.io.stream import stream_root
    from bit.observables import TrueScore, observable
    from bit.parity import CPParity


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"bit.{name}")
    raise AttributeError(f"module 'bit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_MODULES, "__version__"]
