"""Fusion of W bosons: tables 8 to 11 of arXiv:2109.10414, Table II of arXiv:2112.05052, and rates.

Formulas for the score t = d log w/df of f = -cHWtil, as functions of x1, x2 = pT/mH of the jets, D = |Delta eta|, and
dphi, or x = sqrt(x1 x2) and s = sin(dphi), with all parameters fitted again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from bit import EventTable
from bit.processes import vbf
from bit.processes.simulation import Simulation
from papers import reach
from papers.rows import Fit, FloatArray, Row, Target, evaluate, fit, jackknife, mean_and_error

TERM = "cHWtil"
Columns = Mapping[str, FloatArray]


class Formula(NamedTuple):
    """A formula ``form(columns, *parameters)`` for the score, and its MSE."""

    text: str
    form: Callable[..., FloatArray]
    start: tuple[float, ...]
    published: float
    reference: float | None = None


def eq39(at: Columns, a: float, b: float, c: float, d: float) -> FloatArray:
    """Eq. 39."""
    return -at["x1"] * (at["x2"] + c) * (a - b * at["deta_jj"]) * np.sin(at["dphi_jj"] + d)


def seven_parameters(at: Columns, a: float, b: float, c: float, d: float, e: float, f: float, g: float) -> FloatArray:
    """Last line of Table 8."""
    slope = d * at["deta_jj"] + e * at["x2"] + f
    return (at["x2"] + a) * at["x1"] * (b * (c - at["dphi_jj"]) - slope * np.sin(at["dphi_jj"] + g))


def eq41(at: Columns, a: float, b: float, c: float, d: float, e: float, f: float, g: float) -> FloatArray:
    """Eq. 41 as the last line of Table 9 has it; the two disagree in signs and in a power of x."""
    x, s = at["x_times"], at["sin_dphi"]
    return a / (b - (s + (c * s**2 - d) / (e * s**2 * x**2 - s * at["deta_jj"] + f) - g) / x)


EQ_39 = Formula("Eq. 39", eq39, (1.086, 0.10241, 0.24165, 0.00662), 8.50e-3, 8.9e-3)
EQ_41 = Formula("Eq. 41", eq41, (0.7490, 0.37800, 4.218, 4.598, 1.1271, 0.2638, 0.2063), 3.89e-2, 0.047)
SINE = Formula("a sin(dphi)", lambda at, a: a * at["sin_dphi"], (-0.37,), 0.0885, 0.103)
A3 = Formula(
    "a3 pT1 pT2 sin(dphi)",
    lambda at, a: a * at["pt_j1"] * at["pt_j2"] * at["sin_dphi"],
    (-5.5386e-5,),
    0.0217,
    0.0173,
)

TABLE_8 = (
    Formula("a dphi", lambda at, a: a * at["dphi_jj"], (-0.1,), 0.130, 0.1237),
    # The fit from there has a minimum of its own; the lowest is that of a dphi.
    Formula("sin(a dphi), a near -1", lambda at, a: np.sin(a * at["dphi_jj"]), (-1.0,), 0.275),
    Formula("a dphi x1", lambda at, a: a * at["dphi_jj"] * at["x1"], (-0.1,), 9.93e-2, 9.53e-2),
    Formula("-x1 sin(dphi+a)", lambda at, a: -at["x1"] * np.sin(at["dphi_jj"] + a), (0.0,), 0.190),
    Formula("(-x1-a) sin(sin(dphi))", lambda at, a: (-at["x1"] - a) * np.sin(at["sin_dphi"]), (0.1,), 5.63e-2, 5.38e-2),
    Formula("(a-x1) x2 sin(dphi)", lambda at, a: (a - at["x1"]) * at["x2"] * at["sin_dphi"], (0.1,), 1.61e-2, 1.50e-2),
    Formula(
        "x1 (a dphi - sin(sin(dphi))) (x2+b)",
        lambda at, a, b: at["x1"] * (a * at["dphi_jj"] - np.sin(at["sin_dphi"])) * (at["x2"] + b),
        (0.1, 0.1),
        1.44e-2,
    ),
    Formula(
        "-(x2 (a D^2 + x1) + b) sin(dphi+c)",
        lambda at, a, b, c: -(at["x2"] * (a * at["deta_jj"] ** 2 + at["x1"]) + b) * np.sin(at["dphi_jj"] + c),
        (-0.01, 0.1, 0.0),
        1.30e-2,
    ),
    EQ_39,
    Formula(
        "(x2+a) (b x1 (c-dphi) - x1 (d D + e x2 + f) sin(dphi+g))",
        seven_parameters,
        (0.24, 0.1, 0.0, -0.1, 0.0, 1.0, 0.0),
        8.18e-3,
    ),
)
SMEARED = (SINE, A3, EQ_39._replace(published=1.51e-2, reference=0.0111))
TABLE_9 = (
    Formula("a x", lambda at, a: a * at["x_times"], (0.3,), 0.124, 0.117),
    Formula(
        "a x/(x/D + D + b)",
        lambda at, a, b: a * at["x_times"] / (at["x_times"] / at["deta_jj"] + at["deta_jj"] + b),
        (1.0, 1.0),
        0.116,
    ),
    Formula(
        "(s+a) (-s+x-b)/(-s+x+D/x)",
        lambda at, a, b: (
            (at["sin_dphi"] + a)
            * (-at["sin_dphi"] + at["x_times"] - b)
            / (-at["sin_dphi"] + at["x_times"] + at["deta_jj"] / at["x_times"])
        ),
        (1.0, 1.0),
        0.054,
    ),
    EQ_41,
)


@cache
def sample(n_events: int, seed: int, *, smear: bool = False, f: float = 0.0) -> Simulation:
    """Events with the cuts of arXiv:2109.10414, drawn at f."""
    return vbf.simulate(n_events, seed=seed, cuts="P", smear=smear, theta0={TERM: -f}, show_progress=False)


def columns_of(table: EventTable) -> dict[str, FloatArray]:
    """Features by name."""
    return {name: table.column(name).astype(np.float64) for name in vbf.FEATURE_NAMES}


def target_of(table: EventTable) -> Target:
    """Score of f at the reference point of the weights."""
    return Target(-reach.score(table, TERM), table.weights[:, 0] / table.sigma_fb)


def fitted(table: EventTable, formula: Formula) -> Fit:
    """A formula with its parameters fitted again."""
    return fit(target_of(table), partial(formula.form, columns_of(table)), formula.start)


def mse_row(table: EventTable, formula: Formula) -> Row:
    """MSE of a formula with its parameters fitted again."""
    return fitted(table, formula).mse_row(formula.text, formula.published, formula.reference)


def as_published(table: EventTable, formula: Formula, reference: float | None = None) -> Row:
    """MSE of a formula with the published parameters."""
    found = evaluate(target_of(table), formula.form(columns_of(table), *formula.start))
    return found.mse_row(f"{formula.text} as published", formula.published, reference)


def spread(simulation: Simulation) -> Iterator[Row]:
    """Cross-section and mean square of the score."""
    yield Row("sigma [fb]", None, 679.0, simulation.sigma_fb, simulation.sigma_error_fb)
    at = target_of(simulation.table)
    yield Row("<t^2>", 0.158, 0.159, *mean_and_error(at.weight, at.target**2))


def slope(table: EventTable) -> Row:
    """Parameter of the simplest good formula."""
    return fitted(table, A3).value_row(f"{A3.text}: a3 [GeV^-2]", 0, A3.start[0], -5.62e-5)


def parameters(table: EventTable, published: tuple[float, ...], reference: tuple[float | None, ...]) -> Iterator[Row]:
    """Parameters of Eq. 39."""
    found = fitted(table, EQ_39)
    for index, name in enumerate("abcd"):
        yield found.value_row(f"Eq. 39: {name}", index, published[index], reference[index])


EQ_39_REFERENCE, EQ_39_AS_PUBLISHED = (1.19, 0.115, 0.187, 0.0), 9.1e-3
"""References: the parameters of Eq. 39, and its MSE with the published ones."""


def table_8(n_events: int, seed: int) -> Iterator[Row]:
    """Formulas at f = 0."""
    simulation = sample(n_events, seed)
    yield from spread(simulation)
    for formula in TABLE_8:
        yield mse_row(simulation.table, formula)
    yield from parameters(simulation.table, EQ_39.start, EQ_39_REFERENCE)
    yield as_published(simulation.table, EQ_39, EQ_39_AS_PUBLISHED)
    yield slope(simulation.table)


def smeared(n_events: int, seed: int) -> Iterator[Row]:
    """Formulas at f = 0 for smeared jets."""
    table = sample(n_events, seed, smear=True).table
    for formula in SMEARED:
        yield mse_row(table, formula)
    yield from parameters(table, (0.9264, 0.08387, 0.3542, 0.00911), (None,) * 4)


def table_9(n_events: int, seed: int) -> Iterator[Row]:
    """Formulas at f = 1."""
    table = sample(n_events, seed, f=1.0).table
    for formula in TABLE_9:
        yield mse_row(table, formula)
    yield as_published(table, EQ_41)


# Half-widths of the intervals of 1 and 2 standard deviations, in units of those of the best network.
REACH = (
    ("sin(dphi)", (0.37 / 0.26, 0.75 / 0.54), (1.41, 1.45)),
    ("pT1 pT2 sin(dphi)", (0.28 / 0.26, 0.56 / 0.54), (1.03, 1.03)),
    ("Eq. 39 as published", (1.0, 1.0), (1.02, 1.02)),
)
EVENTS_OF_THE_REACH = 100


def reaches(table: EventTable) -> FloatArray:
    """Limits of the observables of `REACH` relative to those of the score, at 1 and 2 standard deviations."""
    at = columns_of(table)
    values = at["sin_dphi"], at["pt_j1"] * at["pt_j2"] * at["sin_dphi"], eq39(at, *EQ_39.start)
    best, *others = (reach.odd_histogram(table, TERM, x) for x in (reach.score(table, TERM), *values))
    return np.array(
        [
            reach.limit(sums, EVENTS_OF_THE_REACH, delta) / reach.limit(best, EVENTS_OF_THE_REACH, delta)
            for sums in others
            for delta in (1.0, 4.0)
        ]
    )


def reach_rows(table: EventTable) -> Iterator[Row]:
    """Reach of the observables relative to the score."""
    found, error = (numbers.reshape(-1, 2) for numbers in (reaches(table), jackknife(reaches, table)))
    for row, (quantity, published, reference) in enumerate(REACH):
        for k, level in enumerate(("1 sigma", "2 sigma")):
            yield Row(f"{quantity}/score, {level}", published[k], reference[k], found[row, k], error[row, k])


def table_11(n_events: int, seed: int) -> Iterator[Row]:
    """Reach at parton level."""
    yield from reach_rows(sample(n_events, seed).table)


def tau_leptons(table: EventTable) -> FloatArray:
    """Events for the published limit of the angle, and limits of angle/score and sign/angle."""
    truth = reach.score(table, TERM)
    angle = reach.odd_histogram(table, TERM, columns_of(table)["dphi_jj"])
    n_expected = reach.events_for(angle, 0.60)
    best = reach.limit(reach.odd_histogram(table, TERM, truth), n_expected)
    sign = reach.histogram(table, TERM, np.concatenate([truth > 0.0, truth < 0.0]).astype(np.int64))
    return np.array([n_expected, 0.60 / best, reach.limit(sign, n_expected) / 0.60])


TAU_LEPTONS = (
    ("events for a limit of 0.60 by dphi", None, 155.0),
    ("limits of cHWtil: dphi/score (published: dphi/network of three classes)", 0.60 / 0.42, 1.34),
    ("limits of cHWtil: sign of the score/dphi (published: network of two classes/dphi)", 0.66 / 0.60, 1.11),
)


def tau_lepton_rows(simulation: Simulation) -> Iterator[Row]:
    """Cross-section and limits with the cuts for H -> tau tau."""
    yield Row("sigma [fb]", None, 874.0, simulation.sigma_fb, simulation.sigma_error_fb)
    found, error = tau_leptons(simulation.table), jackknife(tau_leptons, simulation.table)
    for index, quantity in enumerate(TAU_LEPTONS):
        yield Row(*quantity, found[index], error[index])


def table_ii(n_events: int, seed: int) -> Iterator[Row]:
    """Limits with the cuts for H -> tau tau, all flavours."""
    yield from tau_lepton_rows(vbf.simulate(n_events, seed=seed, quarks="all", cuts="T", show_progress=False))


def total(fusion: vbf.Fusion, n_events: int, seed: int) -> Simulation:
    """Events of all flavours without cuts."""
    return vbf.simulate(n_events, seed=seed, fusion=fusion, quarks="all", show_progress=False)


TOTALS = {"W": ("WW", 2290.0), "neutral": ("ZZ, Z photon and photon photon", 820.0)}


def total_row(simulation: Simulation) -> Row:
    """Cross-section by kind of fusion."""
    what, reference = TOTALS[simulation.configuration["fusion"]]
    return Row(f"sigma of {what} fusion [fb]", None, reference, simulation.sigma_fb, simulation.sigma_error_fb)


def totals(n_events: int, seed: int) -> Iterator[Row]:
    """Cross-sections without cuts, which do not take many events."""
    for fusion in ("W", "neutral"):
        yield total_row(total(fusion, max(n_events // 100, 1), seed))
