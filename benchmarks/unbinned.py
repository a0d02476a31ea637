"""One step of an unbinned fit, -2 ln L and its gradient: compiled against plain numpy, side by side in one run.

    python benchmarks/unbinned.py [--events 1000000] [--params 3] [--threads 2] [--repeats 31]

The polynomial has (n + 1)(n + 2)/2 terms, 10 for three coefficients: nine ratios per event. numpy computes R, the sum
of its logarithms and the sums of R_k / R with as many threads in its matrix products as ours. The two take turns at
random points, so that neither can remember the last one, with a pause before each turn, since the threads of a matrix
product go on waiting busily for the next. Medians and the fastest are compared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from bit.basis import PolynomialBasis
from bit.inference import UnbinnedLikelihood

LUMI = 100.0
PAUSE = 0.1  # seconds


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--params", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=31)
    return parser.parse_args()


def squared_amplitudes(basis: PolynomialBasis, n_events: int) -> np.ndarray:
    """Ratios of |1 + sum_a c_a theta_a|^2, which are never negative."""
    c = 0.2 * np.random.default_rng(1).normal(size=(n_events, basis.n_params))
    columns = [
        2.0 * np.prod([c[:, basis.param_names.index(name)] for name in term], axis=0) for term in basis.terms[1:]
    ]
    return np.column_stack(columns)


def plain_numpy(
    ratios: np.ndarray, total: np.ndarray, weights: np.ndarray, basis: PolynomialBasis, theta: np.ndarray
) -> tuple[float, np.ndarray]:
    phi, slopes = basis.monomials(theta)[1:], basis.gradient(theta)[:, 1:]
    ratio = 1.0 + ratios @ phi
    value = 2.0 * (LUMI * (total[1:] @ phi) - weights @ np.log(ratio))
    return value, 2.0 * slopes @ (LUMI * total[1:] - (weights / ratio) @ ratios)


def timed(call: Callable[[], object]) -> float:
    time.sleep(PAUSE)
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    arguments = parse_arguments()
    basis = PolynomialBasis([f"c{k}" for k in range(arguments.params)])
    ratios, weights = squared_amplitudes(basis, arguments.events), np.ones(arguments.events)
    total = np.concatenate([[1.0], ratios.mean(axis=0)]) * arguments.events / LUMI
    likelihood = UnbinnedLikelihood(
        ratios, total, basis, lumi_fb=LUMI, weights=weights, floor=1e-12, n_jobs=arguments.threads
    )

    def ours(theta: np.ndarray) -> tuple[float, np.ndarray]:
        return float(likelihood.objective(theta)), likelihood.objective_gradient(theta)

    def numpys(theta: np.ndarray) -> tuple[float, np.ndarray]:
        return plain_numpy(ratios, total, weights, basis, theta)

    points = np.random.default_rng(2).normal(scale=0.1, size=(arguments.repeats, arguments.params))
    with threadpool_limits(arguments.threads):
        for theta in points[:3]:
            (value, slope), (other, other_slope) = ours(theta), numpys(theta)
            np.testing.assert_allclose(value, other, rtol=1e-9, atol=1e-9 * arguments.events)
            np.testing.assert_allclose(slope, other_slope, rtol=1e-9, atol=1e-9 * arguments.events)
        times = np.array([[timed(lambda p=p: ours(p)), timed(lambda p=p: numpys(p))] for p in points + 1e-3])
    print(
        f"{arguments.events:.3g} events x {basis.n_terms - 1} ratios, {arguments.threads} threads, value and gradient\n"
    )
    print("| program | median [ms] | fastest [ms] |")
    print("|---|---|---|")
    for name, column in zip(("bit", "numpy"), times.T, strict=True):
        print(f"| {name} | {np.median(column):.1f} | {column.min():.1f} |")
    print(
        f"\nnumpy / bit: {np.median(times[:, 1]) / np.median(times[:, 0]):.1f} by the medians, "
        f"{times[:, 1].min() / times[:, 0].min():.1f} by the fastest"
    )


if __name__ == "__main__":
    main()
