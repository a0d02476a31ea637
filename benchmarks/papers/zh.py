"""pp -> ZH -> llH: rates and moments of the weights (pT > 200 GeV, mu_F = sqrt(s), u and d quarks)."""

from __future__ import annotations

from collections.abc import Iterator

from bit.processes import zh
from bit.processes.simulation import Simulation
from papers.rows import Row, mean_and_error

MEANS = {"R_a": (0.947, 0.0, 7.86), "R_aa": (2.22, 1.98, 65.0), "R_a^2": (1.28, 0.142, 115.0)}
"""Of `zh.PARAM_NAMES`."""


def boosted_rows(simulation: Simulation) -> Iterator[Row]:
    """Cross-section, and means of linear ratios, quadratic ones, and squares of the linear ones."""
    yield Row("sigma x BR [fb]", None, 1.00, simulation.sigma_fb, simulation.sigma_error_fb)
    table = simulation.table
    ratios, weight = table.joint_ratio(), table.weights[:, 0] / table.sigma_fb
    linear, diagonal = ratios[:, :3], ratios[:, [3, 6, 8]]
    for moment, values in (("R_a", linear), ("R_aa", diagonal), ("R_a^2", linear**2)):
        for name, reference, column in zip(zh.PARAM_NAMES, MEANS[moment], values.T, strict=True):
            yield Row(f"<{moment}>, a = {name}", None, reference, *mean_and_error(weight, column))


def boosted(n_events: int, seed: int) -> Iterator[Row]:
    """The boosted selection."""
    yield from boosted_rows(zh.simulate(n_events, seed=seed, cuts="pt>200", show_progress=False))


def stable(simulation: Simulation) -> Row:
    """Cross-section of a stable Z from up quarks without cuts."""
    pb = 1.0 / zh.ZH().branching_ratio / 1000.0
    return Row("sigma of u ubar -> ZH [pb]", None, 0.3095, simulation.sigma_fb * pb, simulation.sigma_error_fb * pb)


def rates(n_events: int, seed: int) -> Iterator[Row]:
    """Rate without cuts, and the boosted selection."""
    yield stable(zh.simulate(max(n_events // 40, 100), seed=seed, quarks=("u",), show_progress=False))
    yield from boosted(n_events, seed)
