"""Statistical models for other tools: pyhf, combine, HEPData and hist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import InputError, near_match
from bit.inference.likelihood import Likelihood
from bit.inference.model import Model, Sample
from bit.inference.results import LimitResult, ScanResult
from bit.inference.templates import Template
from bit.optional import require

# Normfactor of all samples where the shape alone is compared.
_FACTOR = "normalisation"


def to_pyhf(
    likelihood: Likelihood | Model | Template | Sequence[Template],
    *,
    poi: str | None = None,
    at: ThetaLike | None = None,
) -> dict[str, Any]:
    """HistFactory workspace of a likelihood, as the dictionary that ``pyhf.Workspace`` takes.

    Every sample becomes one of its yields at 0 and, for every coefficient, one of its slope, multiplied by a
    normfactor that is the coefficient: the sum is exact for linear yields. Normalisations are normsys, shapes
    histosys, Monte Carlo errors a staterror, and the free factor of ``rate=False`` is a normfactor "normalisation".

    Parameters
    ----------
    likelihood : Likelihood, Model, Template or sequence of Template
        With its data; others stand for the likelihood of their Asimov data.
    poi : str, optional
        Parameter of interest; default the first coefficient.
    at : array-like of shape (n_coefficients,) or mapping, optional
        Where yields are replaced by their tangent, and where the relative Monte Carlo errors are taken; needed for
        quadratic yields and for Monte Carlo errors, which HistFactory cannot change with a coefficient.

    Returns
    -------
    dict
        JSON types. The coefficients have bounds of 100 ``step_sizes``; widen them for data that are far away.

    Raises
    ------
    InputError
        If `at` is missing where it is needed, with Monte Carlo errors where a bin expects nothing at `at`, or for
        unknown names.

    Notes
    -----
    A normfactor that a sample names twice counts once in pyhf, so that theta^2 cannot be written. Differences of
    -2 ln L agree up to rounding for

        pyhf.Workspace(w).model(modifier_settings={"normsys": {"interpcode": "code1"},
                                                   "histosys": {"interpcode": "code4p"}})

    The default of pyhf for normsys, code 4, differs by 4e-10 of the yield for kappa = 1.2. For the staterror, only
    the ratio of errors to yields counts in HistFactory; it stands on the first sample, multiplied by the nominal sum
    of all samples, whose slopes count there as for coefficients of 1.
    """
    if not isinstance(likelihood, Likelihood):
        likelihood = Likelihood(likelihood)
    names = likelihood.coefficients
    chosen = names[0] if poi is None else poi
    if chosen not in names:
        raise InputError(f"poi={chosen!r}: {near_match(chosen, names)}")
    if _FACTOR in likelihood.param_names:
        raise InputError(f"{_FACTOR!r} is the name of the free factor in the workspace: rename the parameter.")
    channels = _channels(likelihood)
    if at is None and not all(_linear(sample) for _, samples in channels for sample in samples):
        raise InputError(
            "the yields are quadratic, which HistFactory cannot express; give at= (the tangent there), use "
            "order='linear', or export the polynomials with to_combine."
        )
    if at is None and likelihood.mc_stat:
        raise InputError("relative Monte Carlo errors depend on the coefficients; give at=, the point of the errors.")
    point = likelihood.as_theta({} if at is None else at)[: len(names)]
    where = dict(zip(names, point, strict=True))
    written, observations, first = [], [], 0
    for name, samples in channels:
        parts = [part for sample in samples for part in _pyhf_samples(sample, names, where)]
        n_bins = samples[0].template.n_bins
        if likelihood.mc_stat:
            _add_staterror(name, samples, parts, where)
        if not likelihood.rate:
            for part in parts:
                part["modifiers"].append({"name": _FACTOR, "type": "normfactor", "data": None})
        written.append({"name": name, "samples": parts})
        observations.append({"name": name, "data": likelihood.observed[first : first + n_bins].tolist()})
        first += n_bins
    reach = 100.0 * likelihood.step_sizes()
    parameters: list[dict[str, Any]] = [
        {"name": name, "inits": [float(value)], "bounds": [[float(value - wide), float(value + wide)]]}
        for name, value, wide in zip(
            names, point, np.where(np.isfinite(reach), reach, 100.0)[: len(names)], strict=True
        )
    ]
    if not likelihood.rate:
        parameters.append({"name": _FACTOR, "inits": [1.0], "bounds": [[0.0, 100.0]]})
    for name, value in zip(likelihood.nuisances, likelihood.auxiliary, strict=True):
        parameters.append({"name": name, "auxdata": [float(value)]})
    return {
        "version": "1.0.0",
        "channels": written,
        "observations": observations,
        "measurements": [{"name": "measurement", "config": {"poi": chosen, "parameters": parameters}}],
    }


def to_combine(
    template: Template, *, channel: str = "bin1", ranges: dict[str, tuple[float, float]] | None = None
) -> list[dict[str, Any]]:
    """Scaling file of combine's ``interferenceModel``: yields relative to the SM, exact for quadratic polynomials.

    Parameters
    ----------
    template : Template
        Yields with positive SM expectation in each bin that depends on a coefficient.
    channel : str, default="bin1"
        Name of the channel in the datacard.
    ranges : dict of str to (float, float), optional
        Limits of the coefficients; default (-10, 10) TeV^-2.

    Returns
    -------
    list of dict
        One entry {channel, process, parameters, scaling}, to be written as JSON and given to text2workspace.py by
        ``-P HiggsAnalysis.CombinedLimit.InterferenceModels:interferenceModel --PO scalingData=FILE``. The nominal
        template of the datacard must be the SM yield.

    Raises
    ------
    InputError
        If a bin expects no events at the SM but some elsewhere, or for unknown names.

    Notes
    -----
    Each row is the lower triangle (m00, m10, m11, m20, ...) of the symmetric matrix M with yield ratio v^T M v,
    v = (1, theta): M_0a = w_a / (2 w_0), M_ab = w_ab / (2 w_0). Early versions of combine read the upper triangle; the
    two agree for one coefficient.
    """
    names, given = template.basis.param_names, ranges or {}
    for name in given:
        if name not in names:
            raise InputError(f"ranges names the unknown coefficient {name!r}: {near_match(name, names)}")
    constant, slope, curvature = _expansion(template)
    changing = slope.any(axis=1) | curvature.any(axis=(1, 2))
    bad = (constant <= 0) & changing
    if bad.any():
        at = int(np.argmax(bad))
        raise InputError(
            f"{int(bad.sum())} bins of template {template.process!r} expect no events at the SM (first: bin {at}, "
            f"{constant[at]:.4g}) but change with the coefficients, and combine scales the SM yield; merge bins."
        )
    safe = np.where(constant > 0, constant, 1.0)
    n = len(names)
    matrix = np.zeros((template.n_bins, n + 1, n + 1))
    matrix[:, 0, 0] = 1.0
    matrix[:, 1:, 0] = 0.5 * slope / safe[:, np.newaxis]
    matrix[:, 1:, 1:] = 0.5 * curvature / safe[:, np.newaxis, np.newaxis]
    rows, columns = np.tril_indices(n + 1)
    limits = [given.get(name, (-10.0, 10.0)) for name in names]
    return [
        {
            "channel": channel,
            "process": template.process,
            "parameters": ["cSM[1]"]
            + [f"{name}[0,{low:g},{high:g}]" for name, (low, high) in zip(names, limits, strict=True)],
            "scaling": matrix[:, rows, columns].tolist(),
        }
    ]


def to_hepdata(result: Template | LimitResult | ScanResult, *, theta: ThetaLike | None = None) -> dict[str, Any]:
    """Table of HEPData's YAML format: independent and dependent variables.

    Parameters
    ----------
    result : Template, LimitResult or ScanResult
        A template gives its yields with Monte Carlo errors in bins; limits the best values and intervals; a scan its
        curve.
    theta : array-like of shape (n_params,) or mapping, optional
        For templates: point of the yields, absolute TeV^-2; default 0, the SM.

    Returns
    -------
    dict
        JSON types, keys ``independent_variables`` and ``dependent_variables``. Infinite edges and ends are the strings
        "-inf" and "inf".

    Raises
    ------
    InputError
        If `theta` is given for something else than a template.
    """
    if isinstance(result, Template):
        return _hepdata_yields(result, {} if theta is None else theta)
    if theta is not None:
        raise InputError("theta is the point of a template's yields; other results have their own.")
    if isinstance(result, LimitResult):
        names = [{"value": interval.name} for interval in result.intervals]
        pieces = [
            {
                "value": _number(interval.best),
                "errors": [
                    {
                        "label": f"{100 * result.cl:g}% CL",
                        "asymerror": {
                            "minus": _number(interval.lower - interval.best),
                            "plus": _number(interval.upper - interval.best),
                        },
                    }
                ],
            }
            for interval in result.intervals
        ]
        qualifiers = [{"name": "others", "value": result.others}, {"name": "order", "value": result.order}]
        best = {"header": {"name": "best", "units": "TeV^-2"}, "qualifiers": qualifiers, "values": pieces}
        return {
            "independent_variables": [{"header": {"name": "coefficient"}, "values": names}],
            "dependent_variables": [best],
        }
    curve = {"header": {"name": "-2 ln L"}, "values": [{"value": float(value)} for value in result.twice_nll]}
    points = [{"value": float(value)} for value in result.values]
    return {
        "independent_variables": [{"header": {"name": result.name, "units": "TeV^-2"}, "values": points}],
        "dependent_variables": [curve],
    }


def to_hist(template: Template, *, theta: ThetaLike | None = None) -> Any:
    """Histogram of the yields with their Monte Carlo variances.

    Parameters
    ----------
    template : Template
        With finite outer edges or infinite ones, which become under- and overflow.
    theta : array-like of shape (n_params,) or mapping, optional
        Point of the yields, absolute TeV^-2; default 0, the SM.

    Returns
    -------
    hist.Hist
        Weighted storage, one variable axis for each axis of the template.

    Raises
    ------
    MissingPackageError
        If the package hist is not installed.
    InputError
        If an axis has no finite bin.
    """
    hist = require("hist", for_="to_hist")
    point = {} if theta is None else theta
    axes, windows = [], []
    for number, edges in enumerate(template.edges):
        finite = edges[np.isfinite(edges)]
        if len(finite) < 2:
            raise InputError(f"axis {number} has edges {edges.tolist()}: a histogram needs at least one finite bin.")
        axes.append(hist.axis.Variable(finite, name=f"x{number}"))
        # Position 0 is the underflow.
        first = 0 if np.isinf(edges[0]) else 1
        windows.append(slice(first, first + len(edges) - 1))
    out = hist.Hist(*axes, storage=hist.storage.Weight(), name=template.process)
    view = out.view(flow=True)
    view["value"][tuple(windows)] = template.yields(point).reshape(template.shape)
    view["variance"][tuple(windows)] = template.variance(point).reshape(template.shape)
    return out


def _channels(likelihood: Likelihood) -> list[tuple[str, tuple[Sample, ...]]]:
    """Names and samples of all channels; templates are channels of their own."""
    if likelihood.model is not None:
        return [(channel.name, channel.samples) for channel in likelihood.model.channels]
    many = len(likelihood.templates) > 1
    return [
        (f"{template.process}_{number}" if many else template.process, (Sample(template),))
        for number, template in enumerate(likelihood.templates)
    ]


def _linear(sample: Sample) -> bool:
    return not any(_expansion(template)[2].any() for template in sample.templates)


def _expansion(template: Template) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Yields at 0, slopes and curvatures there."""
    own = template.basis
    full = PolynomialBasis(own.param_names, order=2, reference=own.reference)
    sums = np.zeros((template.n_bins, full.n_terms))
    sums[:, [full.index(term) for term in own.terms]] = template.lumi_fb * template.sums
    n = own.n_params
    sums = full.rebase(sums, np.zeros(n))
    curvature = np.zeros((template.n_bins, n, n))
    rows, columns = np.triu_indices(n)
    curvature[:, rows, columns] = curvature[:, columns, rows] = sums[:, n + 1 :]
    return sums[:, 0], sums[:, 1 : n + 1], curvature


def _at(template: Template, where: dict[str, float]) -> dict[str, float]:
    """Coefficients of a template; those of a background do not count."""
    return {name: where.get(name, 0.0) for name in template.basis.param_names}


def _tangents(template: Template, names: Sequence[str], where: dict[str, float]) -> dict[str, FloatArray]:
    """Yields at 0, under the key "", and slopes by coefficient, of the tangent at a point."""
    here = _at(template, where)
    slopes = template.gradient(here)
    own = template.basis.param_names
    parts = {"": template.yields(here) - slopes @ np.array([here[name] for name in own])}
    for name, slope in zip(own, slopes.T, strict=True):
        if name in names:
            parts[name] = slope
    return parts


def _pyhf_samples(sample: Sample, names: Sequence[str], where: dict[str, float]) -> list[dict[str, Any]]:
    """One sample of the constant part, one for each coefficient."""
    nominal = _tangents(sample.template, names, where)
    variations = {
        key: (_tangents(down, names, where), _tangents(up, names, where)) for key, (down, up) in sample.shapes.items()
    }
    parts = dict.fromkeys(name for pair in variations.values() for side in pair for name in side) | nominal
    zero, k = np.zeros(sample.template.n_bins), sample.k_factor
    out = []
    for name in parts:
        if name and name not in sample.param_names:
            continue
        modifiers: list[dict[str, Any]] = [{"name": name, "type": "normfactor", "data": None}] if name else []
        for key, kappa in sample.norm.items():
            modifiers.append({"name": key, "type": "normsys", "data": {"hi": kappa, "lo": 1.0 / kappa}})
        for key, (down, up) in variations.items():
            low, high = k * down.get(name, zero), k * up.get(name, zero)
            data = {"hi_data": high.tolist(), "lo_data": low.tolist()}
            modifiers.append({"name": key, "type": "histosys", "data": data})
        label = f"{sample.process}_{name}" if name else sample.process
        out.append({"name": label, "data": (k * nominal.get(name, zero)).tolist(), "modifiers": modifiers})
    return out


def _add_staterror(
    channel: str, samples: Sequence[Sample], parts: list[dict[str, Any]], where: dict[str, float]
) -> None:
    """Give all parts of a channel one staterror with the relative errors at a point."""
    expected = np.sum([s.k_factor * s.template.yields(_at(s.template, where)) for s in samples], axis=0)
    variance = np.sum([s.k_factor**2 * s.template.variance(_at(s.template, where)) for s in samples], axis=0)
    counted = np.sum([part["data"] for part in parts], axis=0)
    error = np.sqrt(variance)
    bad = (error > 0) & ((expected <= 0) | (counted <= 0))
    if bad.any():
        at = int(np.argmax(bad))
        raise InputError(
            f"bin {at} of channel {channel!r} expects {expected[at]:.4g} events at the given point and "
            f"{counted[at]:.4g} with all coefficients 1: HistFactory has no relative error for it; merge bins."
        )
    relative = np.divide(error, expected, out=np.zeros_like(error), where=error > 0)
    for number, part in enumerate(parts):
        data = (relative * counted).tolist() if number == 0 else [0.0] * len(relative)
        part["modifiers"].append({"name": f"staterror_{channel}", "type": "staterror", "data": data})


def _hepdata_yields(template: Template, theta: ThetaLike) -> dict[str, Any]:
    """Bins in C order with low and high edges on every axis."""
    bins = np.indices(template.shape).reshape(len(template.shape), -1)
    independent = [
        {
            "header": {"name": f"x{number}"},
            "values": [{"low": _number(edges[i]), "high": _number(edges[i + 1])} for i in position],
        }
        for number, (edges, position) in enumerate(zip(template.edges, bins, strict=True))
    ]
    errors = np.sqrt(template.variance(theta))
    values = [
        {"value": float(value), "errors": [{"label": "MC stat", "symerror": float(error)}]}
        for value, error in zip(template.yields(theta), errors, strict=True)
    ]
    point = template.basis.as_theta(theta)
    qualifiers: list[dict[str, Any]] = [{"name": "luminosity", "units": "fb^-1", "value": template.lumi_fb}]
    for name, value in zip(template.basis.param_names, point, strict=True):
        qualifiers.append({"name": name, "units": "TeV^-2", "value": float(value)})
    dependent = {"header": {"name": template.process, "units": "events"}, "qualifiers": qualifiers, "values": values}
    return {"independent_variables": independent, "dependent_variables": [dependent]}


def _number(value: float) -> float | str:
    """Numbers as JSON can hold them."""
    return float(value) if np.isfinite(value) else str(float(value))
